// The older Node SDK (npm `mixin-node-sdk`) against a sandbox: digits and transfers, with RSA and Ed25519 sessions. Our
// command also decrypts its PINs. Started by `run`.
//
// It is unmodified. Its users, too, must do two things:
// - Set the API's address on the client's axios, as the constructor takes none.
// - Wait a millisecond between PIN calls, as its iterators are milliseconds.
// It signs no tokens with RSA keys of 1024 bits: its package `jsonwebtoken` refuses them.
'use strict';

const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const { Client, getSignPIN } = require('mixin-node-sdk');

const url = process.env.MIXIN_API;
const mixinPin = (args, input = '') =>
  JSON.parse(execFileSync(process.env.MIXIN_PIN, ['--json', ...args], { input, stdio: ['pipe', 'pipe', 'ignore'] }));
const millisecond = () => new Promise((resolve) => setTimeout(resolve, 2));

let passed = 0;
async function step(name, work) {
  await work();
  await millisecond();
  passed += 1;
  console.log(`ok ${name}`);
}

// The SDK returns the API's errors as values.
async function refused(call, code, reason) {
  const error = await call();
  assert.strictEqual(error.code, code);
  assert.strictEqual((error.extra || {}).reason, reason);
}
async function accepted(call) {
  const answer = await call();
  assert.strictEqual(answer.code, undefined, JSON.stringify(answer));
  return answer;
}

function connect(keystore) {
  const client = new Client(keystore);
  client.request.defaults.baseURL = url;
  return client;
}

// A user that our command registers, with the keystore in this SDK's shape.
function rsaUser(kind) {
  const file = `old-${kind}.json`;
  mixinPin(['keystore', 'new', '--kind', kind, '--app-keystore', 'app.json', '--name', 'Old', '--out', file, '--api', url]);
  return [connect({ ...JSON.parse(fs.readFileSync(file)), pin: '123456' }), file];
}

// A user that the SDK registers.
async function ed25519User() {
  const file = 'old-ed25519.json';
  mixinPin(['keystore', 'convert', 'app.json', '--shape', 'bot', '--out', 'old-app.json']);
  const app = connect(JSON.parse(fs.readFileSync('old-app.json')));
  const user = await accepted(() => app.createUser('Old'));
  const keystore = {
    client_id: user.user_id,
    session_id: user.session_id,
    private_key: user.private_key,
    pin_token: user.pin_token_base64,
    pin: '123456',
  };
  fs.writeFileSync(file, JSON.stringify(keystore), { mode: 0o600 });
  return [connect(keystore), file];
}

async function drive(kind, client, file) {
  const id = client.keystore.client_id;
  const asset = '965e5c6e-434c-3fa9-b780-c50f43cd955c';
  await step(`${kind}: reads the profile`, async () =>
    assert.strictEqual((await accepted(() => client.userMe())).user_id, id));
  await step(`${kind}: creates the PIN`, () => accepted(() => client.modifyPin('123456')));
  await step(`${kind}: verifies it`, () => accepted(() => client.verifyPin('123456')));
  // It encrypts the new PIN first, so with a lower or an equal iterator.
  await step(`${kind}: changes it`, () => accepted(() => client.modifyPin('654321', '123456')));
  await step(`${kind}: the old one is refused`, () => refused(() => client.verifyPin('123456'), 20119, 'pin'));
  await step(`${kind}: transfers`, async () => {
    const transfer = { asset_id: asset, opponent_id: id, amount: '1.50', trace_id: client.newUUID(), memo: 'mémo' };
    const receipt = await accepted(() => client.transfer({ ...transfer }, '654321'));
    assert.strictEqual(receipt.trace_id || receipt.received.trace_id, transfer.trace_id);
  });
  await step(`${kind}: our command decrypts its encrypted PIN`, () => {
    const encrypted = getSignPIN(client.keystore, '271828');
    assert.strictEqual(mixinPin(['decrypt', '--keystore', file, '--reveal', '--', encrypted]).secret, '271828');
  });
  await step(`${kind}: our command verifies the PIN, and the SDK again`, async () => {
    mixinPin(['verify', '--api', url, '--keystore', file, '--pin-stdin'], '654321\n');
    await accepted(() => client.verifyPin('654321'));
  });
}

async function main() {
  await drive('rsa2048', ...rsaUser('rsa2048'));
  await drive('ed25519', ...(await ed25519User()));
  console.log(`${passed} passed, 0 failed`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
