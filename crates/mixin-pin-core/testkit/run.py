#!/usr/bin/env python3
"""Checks the kit's vectors with the `cryptography` package: an example of a runner, and independent of this project.

    pip install cryptography && python3 run.py [FILE]…

Prints what it skipped. Fails if a vector fails, or if a file is not as schema.json says and `jsonschema` is installed.
"""

import base64
import hashlib
import json
import pathlib
import re
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = pathlib.Path(__file__).parent
SECRETS = {6: "digits", 40: "tip-key", 64: "tip-signature"}
P = 2**255 - 19


def from_base64(text):
    """Either alphabet, padded or not."""
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


# Keys

def key_bytes(text):
    return bytes.fromhex(text) if re.fullmatch("([0-9a-f]{2}){32,}", text) else from_base64(text)


def to_x25519(ed25519):
    """RFC 7748, section 4.1: u = (1 + y) / (1 - y)."""
    y = int.from_bytes(ed25519, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, -1, P) % P).to_bytes(32, "little")


def server_key(keystore):
    """The server's X25519 key. A key in hex is an Ed25519 key, one in base64 an X25519 key."""
    text = keystore.get("server_public_key") or keystore.get("pin_token") or keystore["pin_token_base64"]
    return to_x25519(key_bytes(text)) if re.fullmatch("[0-9a-f]{64}", text) else from_base64(text)


def session_of(keystore):
    """The public key as registered, and the PIN key."""
    private = keystore.get("private_key") or keystore["session_private_key"]
    if "PRIVATE KEY" in private:
        key = serialization.load_pem_private_key(private.encode(), None)
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), keystore["session_id"].encode())
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(der).decode(), key.decrypt(from_base64(keystore["pin_token"]), oaep)
    whole = key_bytes(private)
    public = raw(Ed25519PrivateKey.from_private_bytes(whole[:32]).public_key())
    assert whole[32:] in (b"", public), "the halves of the key do not belong together"
    scalar = X25519PrivateKey.from_private_bytes(hashlib.sha512(whole[:32]).digest()[:32])
    return url(public), scalar.exchange(X25519PublicKey.from_public_bytes(server_key(keystore)))


def public_key(text):
    data = from_base64(text)
    return Ed25519PublicKey.from_public_bytes(data) if len(data) == 32 else serialization.load_der_public_key(data)


# Encrypted PINs

def cbc(key, iv, data, encrypt):
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    context = cipher.encryptor() if encrypt else cipher.decryptor()
    return context.update(data) + context.finalize()


def decrypt(key, text):
    """The secret, the timestamp and the iterator. Raises ValueError for anything that is no encrypted PIN."""
    data = from_base64(text)
    if len(data) < 48 or len(data) % 16 or len(data) > 112:
        raise ValueError("no length of an encrypted PIN")
    block = cbc(key, data[:16], data[16:], False)
    count = block[-1]
    if not 1 <= count <= 16 or block[-count:] != bytes([count]) * count:
        raise ValueError("the padding is wrong")
    secret, numbers = block[:-count][:-16], block[:-count][-16:]
    if len(secret) not in SECRETS:
        raise ValueError("no length of a secret")
    return (secret, *struct.unpack("<QQ", numbers))


def encrypt(key, iv, secret, timestamp, iterator):
    block = secret + struct.pack("<QQ", timestamp, iterator)
    count = 16 - len(block) % 16
    return iv + cbc(key, iv, block + bytes([count]) * count, True)


def check_pin(key, pin):
    secret, timestamp, iterator = bytes.fromhex(pin["secret"]), pin["timestamp"], int(pin["iterator"])
    assert decrypt(key, pin["ciphertext"]) == (secret, timestamp, iterator), "decrypts to something else"
    assert SECRETS[len(secret)] == pin["kind"], "the kind of secret"
    again = encrypt(key, bytes.fromhex(pin["iv"]), secret, timestamp, iterator)
    assert again == from_base64(pin["ciphertext"]), "encrypts to something else"


# Tokens

def request_hash(request):
    return hashlib.sha256((request["method"] + request["path"] + request["body"]).encode()).hexdigest()


def decode_part(text):
    """Base64url without padding, and no unused bits: one text for the same bytes."""
    if not re.fullmatch("[A-Za-z0-9_-]*", text):
        raise ValueError("no base64url")
    data = from_base64(text)
    if url(data) != text:
        raise ValueError("not the only text for these bytes")
    return data


def json_object(data):
    def distinct(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name is there twice")
        return dict(pairs)

    value = json.loads(data, object_pairs_hook=distinct)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def verifies(key, token):
    message, _, signature = token.rpartition(".")
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(decode_part(signature), message.encode())
        else:
            key.verify(decode_part(signature), message.encode(), padding.PKCS1v15(), hashes.SHA512())
    except InvalidSignature:
        return False
    return True


def check_token(request, at):
    """Raises ValueError unless the token is good for the request at that time."""
    header, claims, _ = map(decode_part, request["token"].split("."))
    header, claims = json_object(header), json_object(claims)
    key = public_key(request["public_key"])
    if header.get("alg") != ("EdDSA" if isinstance(key, Ed25519PublicKey) else "RS512"):
        raise ValueError("the algorithm is not the key's")
    if "crit" in header or header.get("b64", True) is not True:
        raise ValueError("an extension")
    if not verifies(key, request["token"]):
        raise ValueError("the signature is wrong")
    if not isinstance(claims.get("exp"), int) or claims["exp"] <= at:
        raise ValueError("the token has expired")
    if claims.get("sig") != request_hash(request):
        raise ValueError("the hash is another request's")


def refuses(work):
    try:
        work()
    except ValueError:
        return True
    return False


# TIP

def plain(amount):
    """Without zeros at the end."""
    return amount.rstrip("0").rstrip(".") if "." in amount else amount


def action_body(vector):
    fields, order = vector["fields"], vector["order"]
    if vector["prefix"] == "TIP:VERIFY:":
        return ("TIP:VERIFY:%032d" % int(fields["timestamp"])).encode()
    if vector["prefix"] in ("TIP:EMERGENCY:CONTACT:READ:", "TIP:EMERGENCY:CONTACT:REMOVE:"):
        fields, order = {"zero": "0"}, ["zero"]
    parts = [vector["prefix"]]
    for name in order:
        value = fields[name]
        if name in ("amount", "fee"):
            value = plain(value)
        parts += value if isinstance(value, list) else [str(value)]
    return hashlib.sha256("".join(parts).encode()).digest()


D = -121665 * pow(121666, -1, P) % P


def add(p, q):
    (x1, y1), (x2, y2) = p, q
    k = D * x1 * x2 * y1 * y2 % P
    return (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202, 4 * pow(5, -1, P) % P)


def scalar_public_key(scalar):
    """RFC 8032, section 5.1.5, without hash and clamping: that multiple of the base point."""
    n, point, result = int.from_bytes(scalar, "little"), BASE, (0, 1)
    while n:
        result, point, n = add(result, point) if n & 1 else result, add(point, point), n >> 1
    return (result[1] | (result[0] & 1) << 255).to_bytes(32, "little")


# One function for each type of vector

def pin_key(vector):
    public, key = session_of(vector["keystore"])
    assert public == vector["public_key"], "the public key"
    assert key.hex() == vector["pin_key"], "the PIN key"


def encrypted_pin(vector):
    check_pin(bytes.fromhex(vector["pin_key"]), vector)


def pin_update(vector):
    key, old, new, body = bytes.fromhex(vector["pin_key"]), vector["old"], vector["new"], json.loads(vector["body"])
    texts = [body.get("old_pin", body.get("old_pin_base64")), body.get("pin", body.get("pin_base64"))]
    assert texts == [old["ciphertext"] if old else "", new["ciphertext"]], "the body"
    check_pin(key, new)
    if old:
        check_pin(key, old)
        assert int(old["iterator"]) < int(new["iterator"]), "the old PIN's iterator must be lower"


def request_hashes(vector):
    assert request_hash(vector) == vector["hash"]


def token(vector):
    header, claims, signature = vector["token"].split(".")
    assert (header, claims) == (url(vector["header"].encode()), url(vector["claims"].encode())), "the signing input"
    assert json_object(vector["header"])["alg"] == vector["alg"]
    assert verifies(public_key(vector["public_key"]), vector["token"]) == vector["signature_verifies"], "the signature"
    assert (json_object(vector["claims"])["sig"] == request_hash(vector)) == vector["hash_matches"], "the hash"
    if "private_key" not in vector:
        return
    message = (header + "." + claims).encode()
    if vector["alg"] == "EdDSA":
        made = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["private_key"])).sign(message)
    else:
        key = serialization.load_pem_private_key(vector["private_key"].encode(), None)
        made = key.sign(message, padding.PKCS1v15(), hashes.SHA512())
    assert url(made) == signature, "signs otherwise"


def tip_action(vector):
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"]))
    assert raw(key.public_key()).hex() == vector["public_key"]
    body = action_body(vector)
    assert body.hex() == vector["body"], "the body"
    assert key.sign(body).hex() == vector["signature"], "the signature"


def tip_installation(vector):
    assert bytes.fromhex(vector["public_key"]) + struct.pack(">Q", vector["counter"]) == bytes.fromhex(vector["secret"])


def tip_scalar(vector):
    assert scalar_public_key(bytes.fromhex(vector["scalar"])).hex() == vector["public_key"]


def safe_signature(vector):
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(vector["seed"]))
    assert raw(key.public_key()).hex() == vector["public_key"]
    assert key.sign(hashlib.sha3_256(vector["user_id"].encode()).digest()).hex() == vector["signature"]


def refused_block(vector):
    assert refuses(lambda: decrypt(bytes.fromhex(vector["pin_key"]), vector["ciphertext"])), "accepted: " + vector["comment"]


def refused_token(vector):
    assert refuses(lambda: check_token(vector, vector["at"])), "accepted: " + vector["comment"]


def aes_cbc(vector):
    key, iv, clear, data = (bytes.fromhex(vector[name]) for name in ("key", "iv", "plaintext", "ciphertext"))
    assert cbc(key, iv, clear, True) == data and cbc(key, iv, data, False) == clear


CHECKS = {
    "pin-key": pin_key, "encrypted-pin": encrypted_pin, "pin-update": pin_update, "request-hash": request_hashes,
    "token": token, "tip-action": tip_action, "tip-installation": tip_installation, "tip-scalar": tip_scalar,
    "safe-signature": safe_signature, "refused-block": refused_block, "refused-token": refused_token, "aes-cbc": aes_cbc,
}


def main(names):
    passed, failed, skipped = 0, 0, []
    try:
        import jsonschema

        schema = jsonschema.Draft202012Validator(json.loads((HERE / "schema.json").read_text()))
    except ImportError:
        schema = None
        skipped.append("schema.json: the package jsonschema is not installed")
    for path in map(pathlib.Path, names or sorted(set(HERE.glob("*.json")) - {HERE / "schema.json"})):
        content = json.loads(path.read_text())
        if schema:
            schema.validate(content)
        for vector in content["vectors"]:
            name = f"{path.name} {vector['id']}"
            if vector["type"] not in CHECKS:
                skipped.append(f"{name}: this runner does not know the type {vector['type']}")
                continue
            try:
                CHECKS[vector["type"]](vector)
                passed += 1
            except (AssertionError, ValueError) as error:
                failed += 1
                print(f"FAILED {name}: {error}")
    for text in skipped:
        print(f"skipped {text}")
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
