// Times the official Node SDK. Prints nanoseconds for each kind of work as a JSON object. The SDK takes Ed25519 sessions
// and PINs in hex only.
const crypto = require('crypto');
const sdk = require('@mixin.dev/mixin-node-sdk');

const keystore = {
  app_id: '00000000-0000-4000-8000-000000000001',
  session_id: '00000000-0000-4000-8000-000000000002',
  session_private_key: crypto.randomBytes(32).toString('hex'),
  server_public_key: sdk.getED25519KeyPair().publicKey.toString('hex'),
};
const request = '00000000-0000-4000-8000-000000000003';
const signature = 'ab'.repeat(64);

// The median of five rounds. Each is long enough for the JIT compiler.
function time(work) {
  const took = [];
  for (let round = 0; round < 5; round++) {
    const begun = process.hrtime.bigint();
    let count = 0;
    while (process.hrtime.bigint() - begun < 500_000_000n) {
      work();
      count++;
    }
    took.push(Number(process.hrtime.bigint() - begun) / count);
  }
  return Math.round(took.sort((one, other) => one - other)[2]);
}

const token = body => sdk.signAccessToken('POST', '/pin/verify', body, request, keystore);
const encrypt = () => sdk.signEd25519PIN(signature, keystore);
console.log(
  JSON.stringify({
    'encrypt-tip': time(encrypt),
    'token-eddsa': time(() => token('{}')),
    'call-ed25519-tip': time(() => token(JSON.stringify({ pin_base64: encrypt(), timestamp: 1 }))),
  }),
);
