#!/usr/bin/env node
// Checks the kit's vectors with node:crypto alone: an example of a runner, and independent of this project.
//
//     node run.mjs [FILE]…
//
// Prints what it skipped. Fails if a vector fails.

import assert from 'node:assert/strict';
import * as crypto from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const SECRETS = { 6: 'digits', 40: 'tip-key', 64: 'tip-signature' };
const P = 2n ** 255n - 19n;

class Refused extends Error {}
function refuseUnless(condition, why) {
  if (!condition) throw new Refused(why);
}

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const fromHex = (text) => Buffer.from(text, 'hex');
const hash = (algorithm, ...parts) => crypto.createHash(algorithm).update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest();

// Either alphabet, padded or not. Node ignores characters of no alphabet, so they are looked for.
function fromBase64(text) {
  refuseUnless(/^[A-Za-z0-9+/_-]*={0,2}$/.test(text), 'no base64');
  return Buffer.from(text, 'base64');
}

// Numbers in little-endian order.
const fromLittle = (bytes) => BigInt('0x' + hex(Buffer.from(bytes).reverse()));
const toLittle = (number) => fromHex(number.toString(16).padStart(64, '0')).reverse();
const modulo = (a) => ((a % P) + P) % P;
function power(base, exponent) {
  let result = 1n;
  for (base = modulo(base); exponent > 0n; exponent >>= 1n, base = (base * base) % P) {
    if (exponent & 1n) result = (result * base) % P;
  }
  return result;
}
const inverse = (a) => power(a, P - 2n);

// Keys. RFC 8410: the DER of a key is a constant, then its 32 bytes.

const DER = {
  ed25519Private: '302e020100300506032b657004220420',
  ed25519Public: '302a300506032b6570032100',
  x25519Private: '302e020100300506032b656e04220420',
  x25519Public: '302a300506032b656e032100',
};
const privateKey = (kind, bytes) =>
  crypto.createPrivateKey({ key: Buffer.concat([fromHex(DER[kind]), bytes]), format: 'der', type: 'pkcs8' });
const rawPublicKey = (kind, bytes) =>
  crypto.createPublicKey({ key: Buffer.concat([fromHex(DER[kind]), bytes]), format: 'der', type: 'spki' });
const spki = (key) => crypto.createPublicKey(key).export({ format: 'der', type: 'spki' });
const ed25519 = (seed) => privateKey('ed25519Private', seed);

const keyBytes = (text) => (/^([0-9a-f]{2}){32,}$/.test(text) ? fromHex(text) : fromBase64(text));

// RFC 7748, section 4.1: u = (1 + y) / (1 - y).
function toX25519(publicKey) {
  const y = fromLittle(publicKey) & (2n ** 255n - 1n);
  return toLittle(modulo((1n + y) * inverse(1n - y)));
}

// A key in hex is an Ed25519 key, one in base64 an X25519 key.
function serverKey({ server_public_key, pin_token, pin_token_base64 }) {
  const text = server_public_key || pin_token || pin_token_base64;
  return /^[0-9a-f]{64}$/.test(text) ? toX25519(fromHex(text)) : fromBase64(text);
}

// The public key as registered, and the PIN key.
function sessionOf(keystore) {
  const text = keystore.private_key || keystore.session_private_key;
  if (text.includes('PRIVATE KEY')) {
    const oaep = { key: text, oaepHash: 'sha256', oaepLabel: Buffer.from(keystore.session_id) };
    return [spki(text).toString('base64'), crypto.privateDecrypt(oaep, fromBase64(keystore.pin_token))];
  }
  const whole = keyBytes(text);
  const seed = whole.subarray(0, 32);
  const publicKey = spki(ed25519(seed)).subarray(-32);
  if (whole.length > 32) assert.equal(hex(whole.subarray(32)), hex(publicKey), 'the halves of the key do not belong together');
  const scalar = privateKey('x25519Private', hash('sha512', seed).subarray(0, 32));
  const pinKey = crypto.diffieHellman({ privateKey: scalar, publicKey: rawPublicKey('x25519Public', serverKey(keystore)) });
  return [publicKey.toString('base64url'), pinKey];
}

function publicKey(text) {
  const bytes = fromBase64(text);
  if (bytes.length === 32) return rawPublicKey('ed25519Public', bytes);
  return crypto.createPublicKey({ key: bytes, format: 'der', type: 'spki' });
}

// Encrypted PINs

function cbc(make, key, iv, data) {
  const cipher = make('aes-256-cbc', key, iv).setAutoPadding(false);
  return Buffer.concat([cipher.update(data), cipher.final()]);
}

function decrypt(key, text) {
  const data = fromBase64(text);
  refuseUnless(data.length >= 48 && data.length % 16 === 0 && data.length <= 112, 'no length of an encrypted PIN');
  const block = cbc(crypto.createDecipheriv, key, data.subarray(0, 16), data.subarray(16));
  const count = block[block.length - 1];
  refuseUnless(count >= 1 && count <= 16 && block.subarray(-count).every((byte) => byte === count), 'the padding is wrong');
  const length = block.length - count - 16;
  refuseUnless(length in SECRETS, 'no length of a secret');
  return [block.subarray(0, length), block.readBigUInt64LE(length), block.readBigUInt64LE(length + 8)];
}

function checkPin(key, { kind, secret, timestamp, iterator, iv, ciphertext }) {
  const opened = decrypt(key, ciphertext);
  assert.deepEqual([hex(opened[0]), opened[1], opened[2]], [secret, BigInt(timestamp), BigInt(iterator)], 'decrypts to something else');
  assert.equal(SECRETS[secret.length / 2], kind, 'the kind of secret');
  const numbers = Buffer.alloc(16);
  numbers.writeBigUInt64LE(BigInt(timestamp));
  numbers.writeBigUInt64LE(BigInt(iterator), 8);
  const block = Buffer.concat([fromHex(secret), numbers]);
  const count = 16 - (block.length % 16);
  const again = cbc(crypto.createCipheriv, key, fromHex(iv), Buffer.concat([block, Buffer.alloc(count, count)]));
  assert.equal(hex(Buffer.concat([fromHex(iv), again])), hex(fromBase64(ciphertext)), 'encrypts to something else');
}

// Tokens

const requestHash = ({ method, path, body }) => hex(hash('sha256', method + path + body));

// Base64url without padding, and no unused bits: one text for the same bytes.
function decodePart(text) {
  refuseUnless(/^[A-Za-z0-9_-]*$/.test(text), 'no base64url');
  const bytes = Buffer.from(text, 'base64url');
  refuseUnless(bytes.toString('base64url') === text, 'not the only text for these bytes');
  return bytes;
}

// The claims that matter must be there once: JSON.parse would use the last of two.
function jsonObject(bytes) {
  let value;
  try {
    value = JSON.parse(bytes);
  } catch {
    throw new Refused('no JSON');
  }
  refuseUnless(value !== null && typeof value === 'object' && !Array.isArray(value), 'no object');
  return value;
}

const isEd25519 = (key) => key.asymmetricKeyType === 'ed25519';
function verifies(key, token) {
  const end = token.lastIndexOf('.');
  return crypto.verify(isEd25519(key) ? null : 'sha512', Buffer.from(token.slice(0, end)), key, decodePart(token.slice(end + 1)));
}

function checkToken(request, at) {
  const parts = request.token.split('.');
  refuseUnless(parts.length === 3, 'not three parts');
  const [header, claims] = parts.map(decodePart).slice(0, 2).map(jsonObject);
  const key = publicKey(request.public_key);
  refuseUnless(header.alg === (isEd25519(key) ? 'EdDSA' : 'RS512'), "the algorithm is not the key's");
  refuseUnless(!('crit' in header) && (header.b64 ?? true) === true, 'an extension');
  refuseUnless(verifies(key, request.token), 'the signature is wrong');
  refuseUnless(Number.isInteger(claims.exp) && claims.exp > at, 'the token has expired');
  refuseUnless(claims.sig === requestHash(request), "the hash is another request's");
}

function assertRefused(work, comment) {
  assert.throws(work, Refused, `accepted: ${comment}`);
}

// TIP

// Without zeros at the end.
const plain = (amount) => (amount.includes('.') ? amount.replace(/0+$/, '').replace(/\.$/, '') : amount);

function actionBody({ prefix, fields, order }) {
  if (prefix === 'TIP:VERIFY:') return Buffer.from(prefix + fields.timestamp.padStart(32, '0'));
  const isEmergency = ['TIP:EMERGENCY:CONTACT:READ:', 'TIP:EMERGENCY:CONTACT:REMOVE:'].includes(prefix);
  const parts = isEmergency
    ? ['0']
    : order.flatMap((name) => (['amount', 'fee'].includes(name) ? plain(fields[name]) : fields[name]));
  return hash('sha256', prefix + parts.join(''));
}

const D = modulo(-121665n * inverse(121666n));
const BASE = [15112221349535400772501151409588531511454012693041857206046113283949847762202n, modulo(4n * inverse(5n))];
function add([x1, y1], [x2, y2]) {
  const k = modulo(D * x1 * x2 * y1 * y2);
  return [modulo((x1 * y2 + x2 * y1) * inverse(1n + k)), modulo((y1 * y2 + x1 * x2) * inverse(1n - k))];
}

// RFC 8032, section 5.1.5, without hash and clamping: that multiple of the base point.
function scalarPublicKey(scalar) {
  let [point, result] = [BASE, [0n, 1n]];
  for (let n = fromLittle(scalar); n > 0n; n >>= 1n, point = add(point, point)) {
    if (n & 1n) result = add(result, point);
  }
  return toLittle(result[1] | ((result[0] & 1n) << 255n));
}

// One function for each type of vector.
const CHECKS = {
  'pin-key'({ keystore, public_key, pin_key }) {
    const [key, pinKey] = sessionOf(keystore);
    assert.equal(key, public_key, 'the public key');
    assert.equal(hex(pinKey), pin_key, 'the PIN key');
  },
  'encrypted-pin'(vector) {
    checkPin(fromHex(vector.pin_key), vector);
  },
  'pin-update'({ pin_key, old, new: next, body }) {
    const sent = JSON.parse(body);
    assert.equal(sent.old_pin ?? sent.old_pin_base64, old ? old.ciphertext : '', 'the body');
    assert.equal(sent.pin ?? sent.pin_base64, next.ciphertext, 'the body');
    checkPin(fromHex(pin_key), next);
    if (!old) return;
    checkPin(fromHex(pin_key), old);
    assert(BigInt(old.iterator) < BigInt(next.iterator), "the old PIN's iterator must be lower");
  },
  'request-hash'(vector) {
    assert.equal(requestHash(vector), vector.hash);
  },
  token(vector) {
    const [header, claims, signature] = vector.token.split('.');
    assert.equal(header, Buffer.from(vector.header).toString('base64url'), 'the header');
    assert.equal(claims, Buffer.from(vector.claims).toString('base64url'), 'the claims');
    assert.equal(jsonObject(vector.header).alg, vector.alg);
    assert.equal(verifies(publicKey(vector.public_key), vector.token), vector.signature_verifies, 'the signature');
    assert.equal(jsonObject(vector.claims).sig === requestHash(vector), vector.hash_matches, 'the hash');
    if (!vector.private_key) return;
    const message = Buffer.from(`${header}.${claims}`);
    const made =
      vector.alg === 'EdDSA'
        ? crypto.sign(null, message, ed25519(fromHex(vector.private_key)))
        : crypto.sign('sha512', message, vector.private_key);
    assert.equal(made.toString('base64url'), signature, 'signs otherwise');
  },
  'tip-action'(vector) {
    const key = ed25519(fromHex(vector.seed));
    assert.equal(hex(spki(key).subarray(-32)), vector.public_key);
    const body = actionBody(vector);
    assert.equal(hex(body), vector.body, 'the body');
    assert.equal(hex(crypto.sign(null, body, key)), vector.signature, 'the signature');
  },
  'tip-installation'({ public_key, counter, secret }) {
    assert.equal(public_key + BigInt(counter).toString(16).padStart(16, '0'), secret);
  },
  'tip-scalar'({ scalar, public_key }) {
    assert.equal(hex(scalarPublicKey(fromHex(scalar))), public_key);
  },
  'safe-signature'({ seed, public_key, user_id, signature }) {
    const key = ed25519(fromHex(seed));
    assert.equal(hex(spki(key).subarray(-32)), public_key);
    assert.equal(hex(crypto.sign(null, hash('sha3-256', user_id), key)), signature);
  },
  'refused-block'({ pin_key, ciphertext, comment }) {
    assertRefused(() => decrypt(fromHex(pin_key), ciphertext), comment);
  },
  'refused-token'(vector) {
    assertRefused(() => checkToken(vector, vector.at), vector.comment);
  },
  'aes-cbc'({ key, iv, plaintext, ciphertext }) {
    assert.equal(hex(cbc(crypto.createCipheriv, fromHex(key), fromHex(iv), fromHex(plaintext))), ciphertext);
    assert.equal(hex(cbc(crypto.createDecipheriv, fromHex(key), fromHex(iv), fromHex(ciphertext))), plaintext);
  },
};

let passed = 0;
let failed = 0;
const skipped = ['schema.json: node:crypto has no reader of JSON Schema'];
let names = process.argv.slice(2);
if (names.length === 0) {
  names = readdirSync(HERE).filter((name) => name.endsWith('.json') && name !== 'schema.json').map((name) => join(HERE, name));
}
for (const path of names) {
  for (const vector of JSON.parse(readFileSync(path)).vectors) {
    const name = `${basename(path)} ${vector.id}`;
    const check = CHECKS[vector.type];
    if (!check) {
      skipped.push(`${name}: this runner does not know the type ${vector.type}`);
      continue;
    }
    try {
      check(vector);
      passed += 1;
    } catch (error) {
      failed += 1;
      console.log(`FAILED ${name}: ${error.message}`);
    }
  }
}
for (const text of skipped) console.log(`skipped ${text}`);
console.log(`${passed} passed, ${failed} failed, ${skipped.length} skipped`);
process.exitCode = failed || !passed ? 1 : 0;
