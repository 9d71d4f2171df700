#!/usr/bin/env python3
"""Computes tip.json, independently of this project: hashlib for the bodies, the `cryptography` package (OpenSSL) for
the signatures, and the arithmetic of RFC 8032 spelled out for the key that is a raw scalar.

    pip install cryptography && python3 make-tip.py > tip.json
"""

import hashlib
import json
import uuid

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


seed = hashlib.sha256(b"mixin-pin test TIP seed").digest()
key = Ed25519PrivateKey.from_private_bytes(seed)
safe = raw(Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32).public_key()).hex()
ids = {name: str(uuid.uuid5(uuid.NAMESPACE_URL, "mixin-pin/" + name)) for name in "abcdef"}
a, b, c, d, e, f = ids.values()


def action(name, prefix, parameters, **fields):
    body = hashlib.sha256((prefix + "".join(parameters)).encode()).digest()
    return vector(name, body, fields)


def vector(name, body, fields):
    return {"action": name, "fields": fields, "body": body.hex(), "signature": key.sign(body).hex()}


timestamp = 1700000000123456789
actions = [
    vector("Verify", ("TIP:VERIFY:%032d" % timestamp).encode(), {"timestamp": timestamp}),
    action("AddAddress", "TIP:ADDRESS:ADD:", [a, "bc1qdestination", "tag", "l\u00e4bel"],
           asset_id=a, destination="bc1qdestination", tag="tag", label="l\u00e4bel"),
    action("RemoveAddress", "TIP:ADDRESS:REMOVE:", [b], address_id=b),
    action("DeactivateUser", "TIP:USER:DEACTIVATE:", [c], phone_verification_id=c),
    action("CreateEmergencyContact", "TIP:EMERGENCY:CONTACT:CREATE:", [d, "1234"], verification_id=d, code="1234"),
    action("ReadEmergencyContact", "TIP:EMERGENCY:CONTACT:READ:", ["0"]),
    action("RemoveEmergencyContact", "TIP:EMERGENCY:CONTACT:REMOVE:", ["0"]),
    action("UpdatePhoneNumber", "TIP:PHONE:NUMBER:UPDATE:", [e, "5678"], verification_id=e, code="5678"),
    action("SignMultisig", "TIP:MULTISIG:REQUEST:SIGN:", [f], request_id=f),
    action("UnlockMultisig", "TIP:MULTISIG:REQUEST:UNLOCK:", [f], request_id=f),
    action("SignCollectible", "TIP:COLLECTIBLE:REQUEST:SIGN:", [f], request_id=f),
    action("UnlockCollectible", "TIP:COLLECTIBLE:REQUEST:UNLOCK:", [f], request_id=f),
    action("Transfer", "TIP:TRANSFER:CREATE:", [a, b, "1.5", c, "memo"],
           asset_id=a, opponent_id=b, amount="1.50", trace_id=c, memo="memo"),
    action("Withdraw", "TIP:WITHDRAWAL:CREATE:", [a, "10", "0.001", b, ""],
           address_id=a, amount="10.00", fee="0.001", trace_id=b, memo=""),
    action("Transaction", "TIP:TRANSACTION:CREATE:", [a, "XINkey", b, c, "2", "0.00000001", d, "memo"],
           asset_id=a, opponent_key="XINkey", receivers=[b, c], threshold=2, amount="0.00000001", trace_id=d,
           memo="memo"),
    action("ApproveOAuth", "TIP:OAUTH:APPROVE:", [a], authorization_id=a),
    action("UpdateProvisioning", "TIP:PROVISIONING:UPDATE:", [b, "c2VjcmV0"], device_id=b, secret="c2VjcmV0"),
    action("TransferAppOwnership", "TIP:APP:OWNERSHIP:TRANSFER:", [c], user_id=c),
    action("RegisterSafe", "SEQUENCER:REGISTER:", [d, safe], user_id=d, public_key=safe),
]

# A raw scalar: the public key is that multiple of the base point (RFC 8032, section 5.1.4).
P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P


def add(p, q):
    (x1, y1), (x2, y2) = p, q
    k = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + k, P - 2, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, P - 2, P) % P)


def multiple(n, point):
    result = (0, 1)
    while n:
        if n & 1:
            result = add(result, point)
        point = add(point, point)
        n >>= 1
    return result


y = 4 * pow(5, P - 2, P) % P
x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
x = pow(x2, (P + 3) // 8, P)
if (x * x - x2) % P:
    x = x * pow(2, (P - 1) // 4, P) % P
base = (P - x if x & 1 else x, y)
scalar = hashlib.sha256(b"mixin-pin test TIP scalar").digest()
px, py = multiple(int.from_bytes(scalar, "little"), base)
scalar_public = (py | (px & 1) << 255).to_bytes(32, "little")

print(json.dumps({
    "seed": seed.hex(),
    "public_key": raw(key.public_key()).hex(),
    "installation": {"counter": 258, "secret": (raw(key.public_key()) + (258).to_bytes(8, "big")).hex()},
    "scalar": {"scalar": scalar.hex(), "public_key": scalar_public.hex()},
    "safe": {"user_id": d, "signature": key.sign(hashlib.sha3_256(d.encode()).digest()).hex()},
    "actions": actions,
}, indent=1))
