"""Reads keystores without this project's code, and decrypts a PIN with each.

Standard input has a JSON object a line: `keystore`, base64 of a file, and `pin`, base64url of a PIN that was encrypted for it.
Standard output gets an object a line: user and session id, base64 of the public key's DER, and the decrypted secret.
Needs the package cryptography.
"""

import base64
import hashlib
import json
import re
import sys
import uuid

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

P = 2**255 - 19
SPKI = bytes.fromhex("302a300506032b65")  # then 6e for X25519 or 70 for Ed25519, and 032100


def text_of(data):
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding)
    if data[1] == 0:
        return data.decode("utf-16-le")
    return data.decode("utf-16-be" if data[0] == 0 else "utf-8")


def bare(value):
    value = re.sub(r"\\[rnt]|[\s\"'\u200b\ufeff]", "", value)
    return value[2:] if re.fullmatch(r"0[xX]([0-9a-fA-F]{32}){1,4}", value) else value


def is_hex(value):
    return len(value) % 2 == 0 and re.fullmatch("[0-9a-fA-F]+", value)


def from_base64(value):
    value = value.rstrip("=").replace("-", "+").replace("_", "/")
    return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)


def decoded(value):
    value = bare(value)
    return bytes.fromhex(value) if is_hex(value) else from_base64(value)


def private_key(value):
    if "PRIVATE" in value:
        # What is between the words of header and footer, if it is a key at all.
        value = re.sub(r"\\[rnt]", "", value)
        value = re.sub(r"BEGIN[A-Z ]*KEY|END[A-Z ]*KEY", "|", value)
        value = max(re.sub(r"[^A-Za-z0-9+/|]", "", value).split("|"), key=len)
    data = decoded(value)
    if len(data) in (32, 64):
        return ed25519.Ed25519PrivateKey.from_private_bytes(data[:32])
    return serialization.load_der_private_key(data, None)


def x25519_of(y):
    y = int.from_bytes(y, "little") % 2**255
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little")


def server_key(value):
    value = bare(re.sub("-----.*?-----", "", value))
    data = bytes.fromhex(value) if is_hex(value) else from_base64(value)
    if data.startswith(SPKI):
        is_edwards, data = data[len(SPKI)] == 0x70, data[-32:]
    else:
        is_edwards = is_hex(value)
    return x25519_of(data) if is_edwards else data


def opened(keystore, pin):
    fields = {re.sub("[^a-z0-9]", "", name.lower()): value for name, value in keystore.items()}
    first = lambda *names: next(fields[name] for name in names if name in fields)
    user_id, session_id = (
        str(uuid.UUID(bare(value))) for value in (first("appid", "clientid", "userid"), first("sessionid"))
    )
    key = private_key(first("sessionprivatekey", "privatekey", "sessionkey"))
    if isinstance(key, rsa.RSAPrivateKey):
        sha = hashes.SHA256()
        oaep = padding.OAEP(padding.MGF1(sha), sha, session_id.encode())
        pin_key = key.decrypt(decoded(first("pintoken", "pintokenbase64", "serverpublickey")), oaep)
    else:
        raw = serialization.Encoding.Raw
        seed = key.private_bytes(raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        server = server_key(first("serverpublickey", "pintokenbase64", "pintoken"))
        scalar = x25519.X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])
        pin_key = scalar.exchange(x25519.X25519PublicKey.from_public_bytes(server))
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    encrypted = from_base64(pin)
    cipher = Cipher(algorithms.AES(pin_key), modes.CBC(encrypted[:16])).decryptor()
    block = cipher.update(encrypted[16:]) + cipher.finalize()
    return {
        "user_id": user_id,
        "session_id": session_id,
        "public_key": base64.b64encode(public).decode(),
        "secret": block[:6].decode("ascii", "replace"),
    }


for line in sys.stdin:
    line = json.loads(line)
    print(json.dumps(opened(json.loads(text_of(base64.b64decode(line["keystore"]))), line["pin"])))
