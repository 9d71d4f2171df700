// The official Node SDK against a sandbox. Our command also reads the SDK's ciphertexts and tokens, and the SDK ours.
// Started by `run`.
'use strict';

const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const { createDecipheriv } = require('crypto');
const {
  MixinApi,
  base64RawURLDecode,
  base64RawURLEncode,
  getChallenge,
  getED25519KeyPair,
  sharedEd25519Key,
  signAccessToken,
  signEd25519PIN,
  signToken,
} = require('@mixin.dev/mixin-node-sdk');

const url = process.env.MIXIN_API;
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
  await step('verifies the TIP key', () => client.pin.verifyTipPin(tipSeed));
  await step('is refused with another key', () => {
    const other = Buffer.from(getED25519KeyPair().seed).toString('hex');
    return refused(() => client.pin.verifyTipPin(other), 20119, 'signature');
  });

  await step('our command verifies the same key in the same session', async () => {
    const me = mixinPin(['verify', '--api', url, '--keystore', 'user.json', '--spend-key-stdin'], tipSeed);
    assert.strictEqual(me.user.user_id, user.user_id);
    // Back to the SDK: our iterators are nanoseconds like the SDK's, so it can continue.
    await client.pin.verifyTipPin(tipSeed);
  });

  await step('our command decrypts its encrypted PIN', () => {
    const encrypted = signEd25519PIN('5a'.repeat(64), keystore);
    const opened = mixinPin(['decrypt', '--keystore', 'user.json', '--reveal', '--', encrypted]);
    assert.strictEqual(opened.kind, 'tip-signature');
    assert.strictEqual(opened.secret, '5a'.repeat(64));
  });

  await step('six digits, which it decodes as hex, are refused and cost no try', async () => {
    // It encrypts "123456" as three bytes, a length that no PIN has.
    await refused(() => client.pin.verify('123456'), 20119, 'secret_length');
  });

  await step('given as hex, digits are created, verified, changed and replaced by a TIP key', async () => {
    const hex = (digits) => Buffer.from(digits).toString('hex');
    const other = getED25519KeyPair();
    const user = await app.user.createBareUser('Digits', base64RawURLEncode(other.publicKey));
    const digits = api({
      app_id: user.user_id,
      session_id: user.session_id,
      pin_token_base64: user.pin_token_base64,
      session_private_key: Buffer.from(other.seed).toString('hex'),
    });
    await digits.pin.update('', hex('123456'));
    await digits.pin.verify(hex('123456'));
    await digits.pin.update(hex('123456'), hex('654321'));
    await refused(() => digits.pin.verify(hex('123456')), 20119, 'pin');
    const installed = await digits.pin.updateTipPin(hex('654321'), tipPublic, 1);
    assert.strictEqual(installed.tip_counter, 1);
    await digits.pin.verifyTipPin(tipSeed);
  });

  await step('registers with the safe', async () => {
    await client.safe.register(user.user_id, tipSeed, Buffer.from(tip.seed));
    assert.strictEqual((await client.safe.checkRegisteration()).has_safe, true);
  });

  await step('removes an address', async () => {
    const receipt = await client.address.delete(tipSeed, user.user_id);
    assert.strictEqual(receipt.action.name, 'TIP:ADDRESS:REMOVE:');
    assert.strictEqual(receipt.holds, true);
  });

  await step('transfers an app to the user', async () => {
    await app.pin.updateTipPin('', tipPublic, 1);
    assert.strictEqual((await app.app.migrate(tipSeed, user.user_id)).creator_id, user.user_id);
  });

  await step('exchanges a code that our command approved, and reads the profile by OAuth', async () => {
    const { verifier, challenge } = getChallenge();
    const appId = JSON.parse(fs.readFileSync('app.json')).app_id;
    // The real service does this over a web socket.
    const waiting = await client.request({
      method: 'post',
      url: '/sandbox/authorizations',
      data: { client_id: appId, scope: 'PROFILE:READ', code_challenge: challenge },
    });
    const id = waiting.authorization_id;
    fs.writeFileSync('approval.json', JSON.stringify({ authorization_id: id, scopes: ['PROFILE:READ'] }));
    const approve = ['call', 'POST', '/oauth/authorize', '--api', url, '--keystore', 'user.json'];
    const action = ['--body', 'approval.json', '--spend-key-stdin', '--tip', 'approve-oauth', '--authorization-id', id];
    const { authorization_code: code } = mixinPin([...approve, ...action], tipSeed);
    const key = getED25519KeyPair();
    const grant = await client.oauth.getToken({
      client_id: appId,
      code,
      code_verifier: verifier,
      ed25519: base64RawURLEncode(key.publicKey),
    });
    const session_private_key = Buffer.from(key.seed).toString('hex');
    const authorized = api({ app_id: appId, session_private_key, ...grant });
    assert.strictEqual((await authorized.user.profile()).user_id, user.user_id);
  });

  await step('its shared key decrypts our encrypted PIN', () => {
    const { ciphertext } = mixinPin(['encrypt', '--keystore', 'user.json', '--pin-stdin'], '271828\n');
    const encrypted = base64RawURLDecode(ciphertext);
    const cipher = createDecipheriv('aes-256-cbc', sharedEd25519Key(keystore), encrypted.subarray(0, 16));
    const block = Buffer.concat([cipher.update(encrypted.subarray(16)), cipher.final()]);
    assert.strictEqual(block.subarray(0, 6).toString(), '271828');
    assert.strictEqual(block.length, 6 + 8 + 8);
  });

  await step('our token equals, byte for byte, the one that it makes from the same claims', () => {
    const { token, claims } = mixinPin(['token', '--keystore', 'user.json', '--method', 'GET', '--path', '/me']);
    const inOrder = {};
    for (const name of ['uid', 'sid', 'iat', 'exp', 'jti', 'sig', 'scp']) inOrder[name] = claims[name];
    assert.strictEqual(signToken(inOrder, keystore.session_private_key), token);
  });

  await step('our command verifies its token', () => {
    const id = '2f1f0f0e-3b1a-4f0e-9a55-0d6f4f6f2c11';
    const token = signAccessToken('GET', '/me?a=%2B', '', id, keystore);
    const args = ['--token', token, '--method', 'GET', '--path', '/me?a=%2B'];
    const report = mixinPin(['inspect', '--keystore', 'user.json', ...args]);
    assert.strictEqual(report.request_hash.matches && report.signature.valid, true);
  });

  console.log(`${passed} passed, 0 failed`);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
