#!/usr/bin/env python3
"""Computes the kit's own vectors, those with the source `made`, and leaves all others as they are. Independent of this
project: hashlib for the hashes, the `cryptography` package (OpenSSL) for ciphers and signatures, and the arithmetic of
RFC 7748 and RFC 8032 spelled out where OpenSSL has no function.

    pip install cryptography && python3 make.py            write the files again
    python3 make.py --check                                fail if a file would change
"""

import base64
import hashlib
import json
import pathlib
import sys
import uuid

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key)

HERE = pathlib.Path(__file__).parent
SOURCES = {
    "docs": "Requests as Mixin's developer documentation printed them in 2018. Some were edited by hand after they were "
            "signed, so their hash does not match. `public_key` is the `session_secret` that the documentation's own "
            "`POST /users` registers.",
    "clients": "Throw-away sessions, made for this project and used with the clients below.",
    "fox-one": "Made by fox-one/mixin-sdk-go v2 with a throw-away session, and opened by an independent program on Go's "
               "standard library.",
    "node": "Made by @mixin.dev/mixin-node-sdk 7.5.5 with a throw-away session, and opened by the same program.",
    "python": "Made by mixinsdk 0.2.1 with a throw-away session, and opened by the same program.",
    "dart": "MixinNetwork/mixin_bot_sdk_dart: test/pin_test.dart, a known answer with a fixed IV.",
    "nist": "NIST SP 800-38A, F.2.5 and F.2.6 (AES-256-CBC), and CBCGFSbox256 of the AES Algorithm Validation Suite.",
    "made": "Computed by make.py in this folder.",
}


def std(data):
    return base64.b64encode(data).decode()


def url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def raw(public):
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def read(name):
    return json.loads((HERE / name).read_text())["vectors"]


ids = {name: str(uuid.uuid5(uuid.NAMESPACE_URL, "mixin-pin/" + name)) for name in "abcdef"}
a, b, c, d, e, f = ids.values()

# Curve arithmetic: RFC 8032, section 5.1, and RFC 7748, section 4.1.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
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


def base_point():
    y = 4 * pow(5, P - 2, P) % P
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x & 1 else x, y


def to_x25519(ed25519):
    y = int.from_bytes(ed25519, "little") & (2**255 - 1)
    return ((1 + y) * pow(1 - y, P - 2, P) % P).to_bytes(32, "little")


# A session in every form that its keys take.
session_seed = hashlib.sha256(b"mixin-pin kit session").digest()
session_key = Ed25519PrivateKey.from_private_bytes(session_seed)
session_public = raw(session_key.public_key())
server_public = raw(Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"mixin-pin kit server").digest()).public_key())
server_x25519 = to_x25519(server_public)
scalar = X25519PrivateKey.from_private_bytes(hashlib.sha512(session_seed).digest()[:32])
pin_key = scalar.exchange(X25519PublicKey.from_public_bytes(server_x25519))


def pin_keys():
    whole = session_seed + session_public

    def form(name, comment, **keys):
        return {"id": "made-" + name, "type": "pin-key", "source": "made", "comment": comment,
                "keystore": keys, "public_key": url(session_public), "pin_key": pin_key.hex()}

    yield form("dashboard", "Seed and Ed25519 key of the server, both in hex.",
               app_id=a, session_id=b, session_private_key=session_seed.hex(), server_public_key=server_public.hex())
    yield form("dashboard-64", "The private key as 64 bytes: seed, then public key.",
               app_id=a, session_id=b, session_private_key=whole.hex(), server_public_key=server_public.hex())
    yield form("user", "A user who is no app.",
               user_id=a, session_id=b, session_private_key=session_seed.hex(), server_public_key=server_public.hex())
    yield form("bot", "Base64url. The server's key is an X25519 key.",
               client_id=a, session_id=b, private_key=url(whole), pin_token=url(server_x25519))
    yield form("bot-padded", "The same in standard base64, padded.",
               client_id=a, session_id=b, private_key=std(whole), pin_token=std(server_x25519))
    yield form("pin-token-base64", "The answer's field name of 2020.",
               client_id=a, session_id=b, private_key=url(whole), pin_token_base64=url(server_x25519))
    yield form("base64-server-key", "Base64 in server_public_key is an X25519 key, and hex an Ed25519 key "
               "(baizhiheizi/mixin_bot: lib/mixin_bot/configuration.rb).",
               app_id=a, session_id=b, session_private_key=session_seed.hex(), server_public_key=url(server_x25519))
    rsa = next(vector for vector in read("pin-keys.json") if vector["id"] == "rsa-2048")
    key = load_pem_private_key(rsa["keystore"]["private_key"].encode(), None)
    pkcs8 = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    yield {**rsa, "id": "made-rsa-pkcs8", "source": "made", "comment": "The session rsa-2048 with its key as PKCS#8.",
           "keystore": {**rsa["keystore"], "private_key": pkcs8}}


def cbc(key, iv, padded):
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


def pad(block):
    count = 16 - len(block) % 16
    return block + bytes([count]) * count


def pin(name, kind, secret, timestamp, iterator):
    iv = hashlib.sha256(b"mixin-pin kit iv " + name.encode()).digest()[:16]
    block = secret + timestamp.to_bytes(8, "little") + iterator.to_bytes(8, "little")
    return {"id": name, "type": "encrypted-pin", "source": "made", "pin_key": pin_key.hex(), "kind": kind,
            "secret": secret.hex(), "timestamp": timestamp, "iterator": str(iterator), "iv": iv.hex(),
            "ciphertext": url(iv + cbc(pin_key, iv, pad(block)))}


NOW = 1_700_000_000
NANOS = NOW * 10**9 + 123_456_789
tip_seed = hashlib.sha256(b"mixin-pin test TIP seed").digest()
tip_key = Ed25519PrivateKey.from_private_bytes(tip_seed)
tip_public = raw(tip_key.public_key())


def installation(counter):
    return tip_public + counter.to_bytes(8, "big")


def encrypted_pins():
    yield pin("made-digits", "digits", b"123456", NOW, NANOS)
    yield pin("made-digits-zero", "digits", b"000000", NOW, NANOS)
    yield pin("made-digits-first-iterator", "digits", b"999999", NOW, 1)
    # Above 2^53 a number of JSON or JavaScript loses digits, above 2^63 a signed one overflows.
    yield pin("made-digits-iterator-2-53", "digits", b"123456", NOW, 2**53 + 1)
    yield pin("made-digits-iterator-2-63", "digits", b"123456", NOW, 2**63)
    yield pin("made-digits-iterator-greatest", "digits", b"123456", NOW, 2**64 - 1)
    yield pin("made-digits-after-2106", "digits", b"123456", 2**32, NANOS)
    yield pin("made-tip-key", "tip-key", installation(1), NOW, NANOS)
    yield pin("made-tip-key-counter", "tip-key", installation(258), NOW, NANOS)
    signature = tip_key.sign(b"TIP:VERIFY:%032d" % NANOS)
    yield pin("made-tip-signature", "tip-signature", signature, NOW, NANOS)


def pin_updates():
    def update(name, comment, old, new, fields):
        texts = ["" if one is None else one["ciphertext"] for one in (old, new)]
        body = json.dumps(dict(zip(fields, texts)), separators=(",", ":"))
        part = lambda one: one and {key: value for key, value in one.items() if key not in ("id", "type", "source", "pin_key")}
        return {"id": "made-" + name, "type": "pin-update", "source": "made", "comment": comment, "pin_key": pin_key.hex(),
                "old": part(old), "new": part(new), "body": body}

    legacy, base64_fields = ("old_pin", "pin"), ("old_pin_base64", "pin_base64")
    yield update("create", "A first PIN: there is no old one.", None, pin("create", "digits", b"123456", NOW, NANOS), legacy)
    yield update("change", "The old PIN has the lower iterator.", pin("change old", "digits", b"123456", NOW, NANOS),
                 pin("change new", "digits", b"654321", NOW, NANOS + 1), legacy)
    yield update("install", "A TIP key takes the place of six digits.", pin("install old", "digits", b"654321", NOW, NANOS),
                 pin("install new", "tip-key", installation(1), NOW, NANOS + 1), base64_fields)


def request_hash(method, path, body):
    return hashlib.sha256((method + path + body).encode()).hexdigest()


HASHES = [
    ("get", "GET", "/me", ""),
    ("query", "GET", "/network/snapshots?limit=10&offset=2018-05-01T10:00:00%2B08:00", ""),
    ("post", "POST", "/pin/verify", '{"pin":"x"}'),
    ("blanks", "POST", "/pin/verify", '{ "pin": "x" }\n'),
    ("utf-8", "POST", "/transfers", '{"memo":"l\u00e4bel \u4f60\u597d \U0001f600"}'),
    ("escaped", "POST", "/transfers", '{"memo":"l\\u00e4bel","path":"a\\/b","pin":"AA\\u003d\\u003d"}'),
    ("empty-post", "POST", "/multisigs/requests/0b0bf6ba-2d4d-4e3b-9d8c-3f4c8b8a0f7a/cancel", ""),
]


def request_hashes():
    for name, method, path, body in HASHES:
        yield {"id": "made-" + name, "type": "request-hash", "source": "made", "method": method, "path": path,
               "body": body, "hash": request_hash(method, path, body)}


def sign(key, message):
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, padding.PKCS1v15(), hashes.SHA512())


def signing_input(header, claims):
    return url(header.encode()) + "." + url(claims.encode())


def make_token(key, header, claims):
    message = signing_input(header, claims)
    return message + "." + url(sign(key, message.encode()))


def claims_text(method, path, body, **more):
    claims = {"uid": a, "sid": b, "iat": NOW, "exp": NOW + 60, "jti": c, "sig": request_hash(method, path, body),
              "scp": "FULL"}
    return json.dumps({**claims, **more}, separators=(",", ":"))


EDDSA = '{"alg":"EdDSA","typ":"JWT"}'
RS512 = '{"alg":"RS512","typ":"JWT"}'


def tokens():
    rsa = next(vector for vector in read("pin-keys.json") if vector["id"] == "rsa-2048")
    rsa_key = load_pem_private_key(rsa["keystore"]["private_key"].encode(), None)
    eddsa = {"alg": "EdDSA", "public_key": url(session_public), "private_key": session_seed.hex(), "session_id": b}
    rs512 = {"alg": "RS512", "public_key": rsa["public_key"], "private_key": rsa["keystore"]["private_key"],
             "session_id": b}

    def vector(name, keys, key, header, method, path, body, claims):
        return {"id": "made-" + name, "type": "token", "source": "made", **keys, "method": method, "path": path,
                "body": body, "header": header, "claims": claims, "token": make_token(key, header, claims),
                "hash_matches": json.loads(claims)["sig"] == request_hash(method, path, body),
                "signature_verifies": True}

    get, post = HASHES[1][1:], HASHES[4][1:]
    yield vector("eddsa-get", eddsa, session_key, EDDSA, *get, claims_text(*get))
    yield vector("eddsa-post", eddsa, session_key, EDDSA, *post, claims_text(*post))
    yield vector("eddsa-without-typ", eddsa, session_key, '{"alg":"EdDSA"}', *get, claims_text(*get))
    yield vector("eddsa-other-body", eddsa, session_key, EDDSA, *post, claims_text("POST", "/transfers", "{}"))
    me = ("GET", "/me", "")
    oauth = json.dumps({"iss": a, "aid": d, "scp": "PROFILE:READ PHONE:READ", "iat": NOW, "exp": NOW + 60, "jti": c,
                        "sig": request_hash(*me)}, separators=(",", ":"))
    yield vector("eddsa-oauth", eddsa, session_key, EDDSA, *me, oauth)
    yield vector("rs512-get", rs512, rsa_key, RS512, *get, claims_text(*get))
    yield vector("rs512-post", rs512, rsa_key, RS512, *post, claims_text(*post))


def tip_actions():
    safe = raw(Ed25519PrivateKey.from_private_bytes(bytes([9]) * 32).public_key()).hex()
    keys = {"seed": tip_seed.hex(), "public_key": tip_public.hex()}

    def vector(name, prefix, body, fields):
        return {"id": "made-" + name, "type": "tip-action", "source": "made", **keys, "action": name, "prefix": prefix,
                "fields": fields, "order": list(fields), "body": body.hex(), "signature": tip_key.sign(body).hex()}

    def action(name, prefix, parameters, **fields):
        return vector(name, prefix, hashlib.sha256((prefix + "".join(parameters)).encode()).digest(), fields)

    yield vector("Verify", "TIP:VERIFY:", ("TIP:VERIFY:%032d" % NANOS).encode(), {"timestamp": str(NANOS)})
    yield action("AddAddress", "TIP:ADDRESS:ADD:", [a, "bc1qdestination", "tag", "l\u00e4bel"],
                 asset_id=a, destination="bc1qdestination", tag="tag", label="l\u00e4bel")
    yield action("RemoveAddress", "TIP:ADDRESS:REMOVE:", [b], address_id=b)
    yield action("DeactivateUser", "TIP:USER:DEACTIVATE:", [c], phone_verification_id=c)
    yield action("CreateEmergencyContact", "TIP:EMERGENCY:CONTACT:CREATE:", [d, "1234"], verification_id=d, code="1234")
    yield action("ReadEmergencyContact", "TIP:EMERGENCY:CONTACT:READ:", ["0"])
    yield action("RemoveEmergencyContact", "TIP:EMERGENCY:CONTACT:REMOVE:", ["0"])
    yield action("UpdatePhoneNumber", "TIP:PHONE:NUMBER:UPDATE:", [e, "5678"], verification_id=e, code="5678")
    yield action("SignMultisig", "TIP:MULTISIG:REQUEST:SIGN:", [f], request_id=f)
    yield action("UnlockMultisig", "TIP:MULTISIG:REQUEST:UNLOCK:", [f], request_id=f)
    yield action("SignCollectible", "TIP:COLLECTIBLE:REQUEST:SIGN:", [f], request_id=f)
    yield action("UnlockCollectible", "TIP:COLLECTIBLE:REQUEST:UNLOCK:", [f], request_id=f)
    yield action("Transfer", "TIP:TRANSFER:CREATE:", [a, b, "1.5", c, "memo"],
                 asset_id=a, opponent_id=b, amount="1.50", trace_id=c, memo="memo")
    yield action("Withdraw", "TIP:WITHDRAWAL:CREATE:", [a, "10", "0.001", b, ""],
                 address_id=a, amount="10.00", fee="0.001", trace_id=b, memo="")
    yield action("Transaction", "TIP:TRANSACTION:CREATE:", [a, "XINkey", b, c, "2", "0.00000001", d, "memo"],
                 asset_id=a, opponent_key="XINkey", receivers=[b, c], threshold=2, amount="0.00000001", trace_id=d,
                 memo="memo")
    yield action("ApproveOAuth", "TIP:OAUTH:APPROVE:", [a], authorization_id=a)
    yield action("UpdateProvisioning", "TIP:PROVISIONING:UPDATE:", [b, "c2VjcmV0"], device_id=b, secret="c2VjcmV0")
    yield action("TransferAppOwnership", "TIP:APP:OWNERSHIP:TRANSFER:", [c], user_id=c)
    yield action("RegisterSafe", "SEQUENCER:REGISTER:", [d, safe], user_id=d, public_key=safe)
    yield action("DeactivateWithoutPhone", "TIP:USER:DEACTIVATE:", [e], user_id=e)
    yield action("LogOutSession", "TIP:SESSION:LOGOUT:", [a], session_id=a)
    yield action("ExportSalt", "TIP:USER:EXPORT:PRIVATE:", [b], user_id=b)


def tip_keys():
    yield {"id": "made-installation", "type": "tip-installation", "source": "made", "public_key": tip_public.hex(),
           "counter": 258, "secret": installation(258).hex()}
    number = hashlib.sha256(b"mixin-pin test TIP scalar").digest()
    x, y = multiple(int.from_bytes(number, "little"), base_point())
    yield {"id": "made-scalar", "type": "tip-scalar", "source": "made", "scalar": number.hex(),
           "public_key": (y | (x & 1) << 255).to_bytes(32, "little").hex()}
    yield {"id": "made-safe", "type": "safe-signature", "source": "made", "seed": tip_seed.hex(),
           "public_key": tip_public.hex(), "user_id": d,
           "signature": tip_key.sign(hashlib.sha3_256(d.encode()).digest()).hex()}


def refused_blocks():
    iv = bytes(range(16))
    tail = NOW.to_bytes(8, "little") + NANOS.to_bytes(8, "little")
    good = iv + cbc(pin_key, iv, pad(b"123456" + tail))

    def block(name, comment, ciphertext):
        text = ciphertext if isinstance(ciphertext, str) else url(ciphertext)
        return {"id": "made-block-" + name, "type": "refused-block", "source": "made", "comment": comment,
                "pin_key": pin_key.hex(), "ciphertext": text}

    yield block("empty", "No bytes.", b"")
    yield block("iv-only", "The IV alone.", iv)
    yield block("one-block", "One block after the IV: too short for any secret.", good[:32])
    yield block("cut", "The last byte is missing, so these are no whole blocks.", good[:-1])
    yield block("long", "Longer than any secret.", iv + cbc(pin_key, iv, pad(bytes(96) + tail)))
    yield block("no-base64", "A character of no alphabet.", "!" + url(good)[1:])
    yield block("other-key", "Encrypted with another key.", iv + cbc(bytes(32), iv, pad(b"123456" + tail)))
    unpadded = b"123456" + tail
    yield block("padding-zero", "Padding bytes of zero.", iv + cbc(pin_key, iv, unpadded + bytes(10)))
    yield block("padding-short", "The last padding byte says 9, where there are 10.",
                iv + cbc(pin_key, iv, unpadded + bytes([10]) * 9 + bytes([9])))
    yield block("padding-mixed", "One padding byte differs.",
                iv + cbc(pin_key, iv, unpadded + bytes([10]) * 4 + bytes([11]) + bytes([10]) * 5))
    yield block("padding-17", "Padding of more than a block.", iv + cbc(pin_key, iv, bytes(15) + bytes([17]) * 17))
    yield block("three-bytes", "A secret of 3 bytes: the digits 123456 were decoded as hex.",
                iv + cbc(pin_key, iv, pad(bytes.fromhex("123456") + tail)))
    yield block("five-digits", "A secret of 5 bytes.", iv + cbc(pin_key, iv, pad(b"12345" + tail)))
    yield block("bare-tip-key", "A TIP key without its counter.", iv + cbc(pin_key, iv, pad(tip_public + tail)))
    yield block("cut-signature", "A signature of 63 bytes.", iv + cbc(pin_key, iv, pad(bytes(63) + tail)))


def refused_tokens():
    me = ("GET", "/me", "")
    claims = claims_text(*me)
    good = make_token(session_key, EDDSA, claims)
    head, signature = good.rsplit(".", 1)
    signature_bytes = base64.urlsafe_b64decode(signature + "==")
    assert {"-", "_"} & set(signature), "the standard alphabet would make no difference"

    def refused(name, comment, token, request=me, **more):
        method, path, body = request
        return {"id": "made-token-" + name, "type": "refused-token", "source": "made", "comment": comment,
                "public_key": url(session_public), "method": method, "path": path, "body": body, "at": NOW,
                "token": token, **more}

    def signed(header, text=claims):
        return make_token(session_key, header, text)

    yield refused("two-parts", "The signature is missing.", head)
    yield refused("four-parts", "A part too many.", good + "." + signature)
    yield refused("empty-signature", "The signature is empty.", head + ".")
    yield refused("padded", "Padding, which RFC 7515 does not allow.", good + "==")
    yield refused("standard-alphabet", "The standard base64 alphabet in the signature.",
                  head + "." + std(signature_bytes).rstrip("="))
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    yield refused("trailing-bits", "The last character has unused bits set, so two texts would be one signature.",
                  good[:-1] + last[last.index(good[-1]) + 1], strict=True)
    flipped = bytes([signature_bytes[0] ^ 1]) + signature_bytes[1:]
    yield refused("changed-signature", "One bit of the signature is changed.", head + "." + url(flipped))
    s = int.from_bytes(signature_bytes[32:], "little") + ORDER
    yield refused("malleable-signature", "The group's order was added to S, which RFC 8032 does not allow.",
                  head + "." + url(signature_bytes[:32] + s.to_bytes(32, "little")))
    other = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
    yield refused("other-key", "Signed with another key.", make_token(other, EDDSA, claims))
    yield refused("alg-none", "No signature, and a header that says so.",
                  signing_input('{"alg":"none","typ":"JWT"}', claims) + ".")
    mac = hmac.HMAC(session_public, hashes.SHA256())
    message = signing_input('{"alg":"HS256","typ":"JWT"}', claims)
    mac.update(message.encode())
    yield refused("alg-hs256", "An HMAC whose key is the public key.", message + "." + url(mac.finalize()))
    yield refused("alg-rs512", "The header names the algorithm of another kind of key.", signed(RS512))
    yield refused("alg-absent", "The header names no algorithm.", signed('{"typ":"JWT"}'))
    yield refused("alg-case", "The algorithm's name in other case.", signed('{"alg":"eddsa","typ":"JWT"}'))
    yield refused("crit", "A critical extension that no reader knows.",
                  signed('{"alg":"EdDSA","crit":["exp"],"exp":1,"typ":"JWT"}'))
    yield refused("header-list", "The header is no object.", signed('["EdDSA"]'))
    yield refused("claims-text", "The claims are no object.", signed(EDDSA, '"claims"'))
    yield refused("claim-twice", "A claim is there twice, so two readers may see two tokens.",
                  signed(EDDSA, claims[:-1] + ',"sig":"' + request_hash("POST", "/transfers", "{}") + '"}'))
    yield refused("expired", "The token expires at the second at which it is used.",
                  signed(EDDSA, claims_text(*me, iat=NOW - 60, exp=NOW)))
    yield refused("exp-absent", "The token never expires.",
                  signed(EDDSA, json.dumps({key: value for key, value in json.loads(claims).items() if key != "exp"})),
                  strict=True)
    yield refused("exp-text", "The time is a text.", signed(EDDSA, claims_text(*me, exp=str(NOW + 60))))
    yield refused("other-method", "The hash covers another method.", good, ("POST", "/me", ""))
    yield refused("other-path", "The hash covers another path.", good, ("GET", "/me?", ""))
    yield refused("other-body", "The hash covers another body.", good, ("GET", "/me", " "))
    yield refused("hash-absent", "There is no hash.",
                  signed(EDDSA, json.dumps({key: value for key, value in json.loads(claims).items() if key != "sig"})))


def refusals():
    yield from refused_blocks()
    yield from refused_tokens()


FILES = {
    "pin-keys.json": ("A session's PIN key, from its keystore.", pin_keys),
    "encrypted-pins.json": ("Encrypted PINs: what is in them, and their text under a fixed IV.", encrypted_pins),
    "pin-updates.json": ("The two encrypted PINs of /pin/update, and the body.", pin_updates),
    "request-hashes.json": ("The hash of a request, for the claim sig.", request_hashes),
    "tokens.json": ("Signed tokens of requests.", tokens),
    "tip-actions.json": ("What a TIP key signs for each action.", tip_actions),
    "tip-keys.json": ("TIP keys: an installation, a raw scalar, and the signature that registers with the safe.", tip_keys),
    "refusals.json": ("Blocks and tokens that must be refused, and why.", refusals),
    "aes-cbc.json": ("AES-256-CBC without padding, the cipher under all encrypted PINs.", lambda: []),
}

changed = []
for name, (description, make) in FILES.items():
    path = HERE / name
    vectors = [vector for vector in read(name) if vector["source"] != "made"] if path.exists() else []
    vectors += make()
    sources = {key: text for key, text in SOURCES.items() if any(vector["source"] == key for vector in vectors)}
    content = {"$schema": "schema.json", "description": description, "sources": sources, "vectors": vectors}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    if not path.exists() or path.read_text() != text:
        changed.append(name)
        if "--check" not in sys.argv:
            path.write_text(text)
print("\n".join(f"changed: {name}" for name in changed) or f"{len(FILES)} files are as computed")
if changed and "--check" in sys.argv:
    sys.exit(1)
