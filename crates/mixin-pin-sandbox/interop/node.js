// The official Node SDK against a sandbox, and its ciphertexts under ours. Run by `run` beside this file.
'use strict';

const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const { MixinApi, getED25519KeyPair, base64RawURLEncode, signEd25519PIN } = require('@mixin.dev/mixin-node-sdk');

const { url } = JSON.parse(fs.readFileSync('sandbox.json'));
const api = (keystore) => MixinApi({ keystore, requestConfig: { baseURL: url } });
const mixinPin = (args, input = '') =>
  JSON.parse(execFileSync(process.env.MIXIN_PIN, ['--json', ...args], { input, stdio: ['pipe', 'pipe', 'ignore'] }));

let passed = 0;
async function step(name, work) {
  await work();
  passed += 1;
  console.log(`ok ${name}`);
}

async function refused(call, code, reason) {
  await assert.rejects(call, (error) => {
    assert.strictEqual(error.code, code);
    assert.strictEqual((error.extra || {}).reason, reason);
    return true;
  });
}

async function main() {
  const app = api(JSON.parse(fs.readFileSync('app.json')));
  const session = getED25519KeyPair();
  let user;
  let keystore;

  await step('registers a user under the app', async () => {
    user = await app.user.createBareUser('Node', base64RawURLEncode(session.publicKey));
    keystore = {
      app_id: user.user_id,
      session_id: user.session_id,
      server_public_key: user.server_public_key,
      session_private_key: Buffer.from(session.seed).toString('hex'),
    };
    fs.writeFileSync('user.json', JSON.stringify(keystore), { mode: 0o600 });
  });
  const client = api(keystore);

  await step('reads /me and /safe/me', async () => {
    assert.strictEqual((await client.user.profile()).user_id, user.user_id);
    assert.strictEqual((await client.safe.checkRegisteration()).has_pin, false);
  });

  const tip = getED25519KeyPair();
  const tipSeed = Buffer.from(tip.seed).toString('hex');
  const tipPublic = Buffer.from(tip.publicKey).toString('hex');
  await step('installs a TIP key', async () => {
    const updated = await client.pin.updateTipPin('', tipPublic, 1);
    assert.strictEqual(updated.has_pin, true);
    assert.strictEqual(updated.tip_counter, 1);
  });
  await step('proves the TIP key', () => client.pin.verifyTipPin(tipSeed));
  await step('is refused with another key', () => {
    const other = Buffer.from(getED25519KeyPair().seed).toString('hex');
    return refused(() => client.pin.verifyTipPin(other), 20119, 'signature');
  });

  await step('our command proves the same key in the same session', async () => {
    const me = mixinPin(['verify', '--api', url, '--keystore', 'user.json', '--spend-key-stdin'], tipSeed);
    assert.strictEqual(me.user.user_id, user.user_id);
    // And back: our iterators are nanoseconds like Node's, so that it may go on.
    await client.pin.verifyTipPin(tipSeed);
  });

  await step('its encrypted PIN opens under ours', () => {
    const sealed = signEd25519PIN('5a'.repeat(64), keystore);
    const opened = mixinPin(['decrypt', '--keystore', 'user.json', '--reveal', '--', sealed]);
    assert.strictEqual(opened.kind, 'tip-signature');
    assert.strictEqual(opened.secret, '5a'.repeat(64));
  });

  await step('six digits, which it reads as hex, are refused and cost no try', async () => {
    // Its sealing makes three bytes of "123456", a length that no PIN has.
    await refused(() => client.pin.verify('123456'), 20119, 'ciphertext');
  });

  console.log(`${passed} passed, 0 failed`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
