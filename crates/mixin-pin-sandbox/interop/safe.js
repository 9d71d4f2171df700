// The official Node SDK as peer of the Safe's differential test: reads a JSON job a line, writes a JSON answer a line, and
// needs no network. Started by `run`; ../../mixin-pin-safe/interop/differential.rs gives the jobs.
'use strict';

const fs = require('fs');
const {
  MixinApi,
  blake3Hash,
  buildMixAddress,
  buildSafeTransaction,
  decodeSafeTransaction,
  encodeSafeTransaction,
  parseMixAddress,
  signSafeTransaction,
} = require('@mixin.dev/mixin-node-sdk');

const hex = (bytes) => Buffer.from(bytes).toString('hex');
// The SDK exports no hash of a transaction.
const hash = (unsigned) => hex(blake3Hash(Buffer.from(unsigned, 'hex')));

function mixAddress(text) {
  const address = parseMixAddress(text);
  if (!address) throw new Error('not a MIX address');
  return address;
}

function recipient({ destination, tag, mix, amount }) {
  return destination === undefined ? { mixAddress: mixAddress(mix), amount } : { destination, tag, amount };
}

function build({ inputs, outputs, ghosts, extra, references }) {
  const utxos = inputs.map((input) => ({
    transaction_hash: input.hash,
    output_index: input.index,
    asset: input.asset,
  }));
  const keys = ghosts.map((ghost) => ghost ?? undefined);
  return buildSafeTransaction(utxos, outputs.map(recipient), keys, Buffer.from(extra, 'hex'), references);
}

const operations = {
  build(job) {
    const raw = encodeSafeTransaction(build(job));
    return { raw, hash: hash(raw) };
  },
  decode({ raw }) {
    const { asset, inputs, outputs, references, extra, signatureMap } = decodeSafeTransaction(raw);
    const answer = {
      asset,
      inputs: inputs.map((input) => [input.hash, input.index]),
      outputs: outputs.map(({ type, amount, keys, mask, script, withdrawal }) => {
        const to = withdrawal ? [withdrawal.address, withdrawal.tag] : null;
        return { type, amount: `${amount}`, keys: [...keys], mask, script: hex(Buffer.from(script, 'hex')), withdrawal: to };
      }),
      references,
      extra: hex(extra),
      signatures: signatureMap ?? [],
    };
    const unsigned = encodeSafeTransaction(decodeSafeTransaction(raw));
    return { ...answer, unsigned, hash: hash(unsigned) };
  },
  // Signs what it builds, or the bytes `raw`.
  sign({ raw, views, spend, position, ...job }) {
    return { raw: signSafeTransaction(raw ? decodeSafeTransaction(raw) : build(job), views, spend, position) };
  },
  // Only receivers with keys in their addresses: others would need the server.
  async ghosts({ outputs, trace, spend }) {
    const ghosts = await MixinApi({}).utxo.ghostKey(outputs.map(recipient), trace, spend);
    return { ghosts: ghosts.map((ghost) => (ghost ? { mask: ghost.mask, keys: ghost.keys } : null)) };
  },
  address({ mix }) {
    const address = mixAddress(mix);
    const { threshold, uuidMembers, xinMembers } = address;
    return { threshold, members: uuidMembers.length ? uuidMembers : xinMembers, text: buildMixAddress(address) };
  },
};

async function main() {
  for (const line of fs.readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
    const { op, ...job } = JSON.parse(line);
    let answer;
    try {
      answer = { ok: await operations[op](job) };
    } catch (error) {
      answer = { error: `${error.name}: ${error.message}` };
    }
    console.log(JSON.stringify(answer));
  }
}

main();
