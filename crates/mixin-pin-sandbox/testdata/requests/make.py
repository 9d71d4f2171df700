#!/usr/bin/env python3
"""Makes requests.json: HTTP requests as clients in other languages build them, byte for byte. Independent of this project:
the `cryptography` package (OpenSSL) encrypts and signs. Keys, ids, times and IVs are fixed, so each run gives the same
bytes.

    pip install cryptography && python3 make.py > requests.json

Each client's method, path, body, claims, ids and encodings are as in its source, which the request names. What its
libraries add is not in that source: other headers, the order of headers and claims, and whether a token's header has a
`typ`. There these requests differ, as the libraries do.
"""

import base64
import hashlib
import json
import pathlib
import struct
import uuid

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

HERE = pathlib.Path(__file__).parent
START = 1_790_000_000
ASSET = "965e5c6e-434c-3fa9-b780-c50f43cd955c"
DAY = 86_400

GO = "MixinNetwork/bot-api-go-client: "
FOX = "fox-one/mixin-sdk-go: "
RUBY = "baizhiheizi/mixin_bot: lib/mixin_bot/"
DART = "MixinNetwork/mixin_bot_sdk_dart: lib/src/"
KOTLIN = "MixinNetwork/bot-api-kotlin-client: library/src/main/kotlin/one/mixin/bot/"
PHP = "ExinOne/mixin-sdk-php: src/"
GUIDE = "MixinNetwork/developers.mixin.one: developers-docs/docs/"
NODE = "MixinNetwork/bot-api-nodejs-client: src/client/"
ANDROID = "MixinNetwork/android-app: app/src/main/java/one/mixin/android/"
IOS = "MixinNetwork/ios-app: MixinServices/MixinServices/Services/"

accounts, authorizations, requests = [], [], []
counter = 0


def fixed(label, length=32):
    return hashlib.sha512(("mixin-pin recorded " + label).encode()).digest()[:length]


def new_id():
    global counter
    counter += 1
    raw = bytearray(fixed(f"id {counter}", 16))
    raw[6], raw[8] = raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(raw)))


def std(data):
    return base64.b64encode(data).decode()


def url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def compact(value):
    """JSON without blanks, as most encoders write it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def sorted_json(value):
    """As Go writes a map, and JOSE for Ruby every object."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


class Account:
    def __init__(self, name, rsa=False, owner=None):
        self.name, self.user_id, self.session_id = name, new_id(), new_id()
        if rsa:
            self.key = load_pem_private_key((HERE.parent / "rsa-1024.pem").read_bytes(), None)
            public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            # What a server would wrap for the session.
            self.pin_key = fixed(name + " pin key")
        else:
            seed = fixed(name + " session")
            self.key = Ed25519PrivateKey.from_private_bytes(seed)
            public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            scalar = X25519PrivateKey.from_private_bytes(hashlib.sha512(seed).digest()[:32])
            server = X25519PrivateKey.from_private_bytes(fixed(name + " server"))
            self.pin_key = scalar.exchange(server.public_key())
        self.rsa = rsa
        self.tip = Ed25519PrivateKey.from_private_bytes(fixed(name + " tip"))
        self.tip_public = self.tip.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        accounts.append({"name": name, "user_id": self.user_id, "session_id": self.session_id,
                         "public_key": std(public), "pin_key": self.pin_key.hex(),
                         **({"owner": owner.user_id} if owner else {})})

    def encrypt(self, secret, seconds, iterator):
        """The block of section 3, under an IV that depends on all that it holds."""
        block = secret + struct.pack("<QQ", seconds, iterator)
        padder = padding.PKCS7(128).padder()
        block = padder.update(block) + padder.finalize()
        iv = fixed(self.name + block.hex(), 16)
        cipher = Cipher(algorithms.AES(self.pin_key), modes.CBC(iv)).encryptor()
        return iv + cipher.update(block) + cipher.finalize()

    def sign(self, message):
        if self.rsa:
            return self.key.sign(message, rsa_padding.PKCS1v15(), hashes.SHA512())
        return self.key.sign(message)

    def installation(self):
        return self.tip_public + struct.pack(">Q", 1)

    def verify_signature(self, nanos):
        return self.tip.sign(b"TIP:VERIFY:%032d" % nanos)

    def action_signature(self, *parts):
        return self.tip.sign(hashlib.sha256("".join(parts).encode()).digest())


class Moved:
    """The session of an account after its key was replaced. It stays the same session."""

    rsa = False

    def __init__(self, account, seed):
        self.name, self.user_id, self.session_id = account.name, account.user_id, account.session_id
        self.key = Ed25519PrivateKey.from_private_bytes(seed)

    def sign(self, message):
        return self.key.sign(message)


def raw_public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def request_hash(method, path, body):
    return hashlib.sha256((method + path + body).encode()).hexdigest()


def token(signer, header, claims):
    head = url(header.encode()) + "." + url(claims.encode())
    return head + "." + url(signer.sign(head.encode()))


def record(client, source, what, account, clock, method, path, headers, body="", expect=None):
    """`headers` hold the token. The length is added where the client sends a body."""
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
    if body or method == "POST":
        head += f"Content-Length: {len(body.encode())}\r\n"
    requests.append({"client": client, "source": source, "what": what, "account": account, "clock": clock,
                     "request": head + "\r\n" + body, "expect": expect or "accepted"})


def refused(code, reason):
    return {"code": code, "reason": reason}


class Client:
    """One client with a session, and its clock."""

    def __init__(self, account, start=START):
        self.account, self.clock = account, start

    def later(self, seconds=10):
        self.clock += seconds

    def nanos(self):
        return self.clock * 10**9 + 123_456_789


class Go(Client):
    """Ids of token and request are two different ones. PINs are decoded as hex. Iterators are nanoseconds."""

    name = "bot-api-go-client"

    def call(self, source, what, method, path, body="", expect=None):
        self.later()
        claims = {"uid": self.account.user_id, "sid": self.account.session_id, "iat": self.clock,
                  "exp": self.clock + 90 * DAY, "jti": new_id(), "sig": request_hash(method, path, body), "scp": "FULL"}
        signed = token(self.account, '{"alg":"EdDSA","typ":"JWT"}', sorted_json(claims))
        headers = [("Host", "api.mixin.one"), ("User-Agent", "Bot-API-Go-Client"), ("Authorization", "Bearer " + signed),
                   ("Content-Type", "application/json"), ("X-Request-Id", new_id()), ("Accept-Encoding", "gzip")]
        record(self.name, GO + source, what, self.account.name, self.clock, method, path, headers, body, expect)

    def pin(self, hex_text, more=0):
        return url(self.account.encrypt(bytes.fromhex(hex_text), self.clock, self.nanos() + more))

    def story(self):
        account = self.account
        self.call("request.go, auth.go", "reads the profile; the token's id is not the request's", "GET", "/me")
        self.later()
        self.call("pin.go, user.go", "creates a PIN, its digits given as hex", "POST", "/pin/update", sorted_json(
            {"old_pin_base64": "", "pin_base64": self.pin(b"123456".hex())}))
        self.later()
        self.call("pin.go", "verifies the digits as they are, which it decodes as hex", "POST", "/pin/verify",
                  sorted_json({"pin_base64": self.pin("123456")}), refused(20119, "secret_length"))
        self.later()
        self.call("pin.go, user.go", "replaces the digits by a TIP key", "POST", "/pin/update", sorted_json(
            {"old_pin_base64": self.pin(b"123456".hex()), "pin_base64": self.pin(account.installation().hex(), 41_000)}))
        self.later()
        nanos = self.nanos()
        self.call("pin.go", "verifies the TIP key; the timestamp is the iterator", "POST", "/pin/verify", sorted_json(
            {"pin_base64": self.pin(account.verify_signature(nanos).hex()), "timestamp": nanos}))
        self.later()
        removed = new_id()
        signature = account.action_signature("TIP:ADDRESS:REMOVE:", removed)
        self.call("address.go", "removes an address", "POST", f"/addresses/{removed}/delete",
                  sorted_json({"pin_base64": self.pin(signature.hex())}))


class Fox(Client):
    """The ids are equal. `X-Force-Authentication` is sent. Unpadded base64url in `pin` and `old_pin`."""

    name = "mixin-sdk-go"

    def headers(self, signed, jti, has_body):
        more = [("Content-Type", "application/json")] if has_body else []
        agent = "bot mixin-sdk-go (go1.24.0; linux/amd64)"
        return [("Host", "api.mixin.one"), ("User-Agent", agent), ("Accept", "application/json"),
                ("Authorization", "Bearer " + signed), *more, ("X-Force-Authentication", "true"), ("X-Request-Id", jti),
                ("Accept-Encoding", "gzip")]

    def call(self, source, what, method, path, body="", expect=None):
        self.later()
        jti = new_id()
        claims = {"uid": self.account.user_id, "sid": self.account.session_id, "iat": self.clock,
                  "exp": self.clock + 60, "jti": jti, "sig": request_hash(method, path, body), "scp": "FULL"}
        alg = "RS512" if self.account.rsa else "EdDSA"
        signed = token(self.account, '{"alg":"%s","typ":"JWT"}' % alg, sorted_json(claims))
        record(self.name, FOX + source, what, self.account.name, self.clock, method, path,
               self.headers(signed, jti, True), body, expect)

    def pin(self, secret, more=0):
        return url(self.account.encrypt(secret, self.clock, self.nanos() + more))

    def story(self):
        account = self.account
        self.call("request.go, keystore.go", "reads the profile", "GET", "/me")
        self.later()
        self.call("pin.go", "creates a PIN without the field old_pin", "POST", "/pin/update",
                  sorted_json({"pin": self.pin(b"123456")}))
        self.later()
        self.call("pin.go", "changes it", "POST", "/pin/update",
                  sorted_json({"old_pin": self.pin(b"123456"), "pin": self.pin(b"654321", 30_000)}))
        self.later()
        self.call("pin.go", "verifies it", "POST", "/pin/verify", sorted_json({"pin": self.pin(b"654321")}))
        self.later()
        # The field has no JSON tag, so Go writes its name as it is.
        trace = new_id()
        self.call("legacy_transfer.go", "transfers, with the PIN in a field named Pin", "POST", "/transfers", compact(
            {"asset_id": ASSET, "opponent_id": account.user_id, "amount": "1.5", "trace_id": trace, "memo": "memo",
             "opponent_multisig": {}, "Pin": self.pin(b"654321")}))
        self.call("legacy_transfer.go", "reads the transfer by its trace id", "GET", f"/transfers/trace/{trace}")
        self.later()
        self.call("pin.go", "replaces the digits by a TIP key", "POST", "/pin/update", sorted_json(
            {"old_pin": self.pin(b"654321"), "pin": self.pin(account.installation(), 30_000)}))
        self.later()
        nanos = self.nanos()
        self.call("pin.go", "verifies the TIP key", "POST", "/pin/verify", sorted_json(
            {"pin_base64": self.pin(account.verify_signature(nanos), 20_000), "timestamp": nanos}))
        self.later()
        trace = new_id()
        signature = account.action_signature("TIP:TRANSFER:CREATE:", ASSET, account.user_id, "1.5", trace, "memo")
        self.call("legacy_transfer.go, tip.go", "transfers with a TIP signature", "POST", "/transfers", compact(
            {"asset_id": ASSET, "opponent_id": account.user_id, "amount": "1.5", "trace_id": trace, "memo": "memo",
             "opponent_multisig": {}, "pin_base64": self.pin(signature)}))
        self.later()
        address, trace = new_id(), new_id()
        signature = account.action_signature("TIP:WITHDRAWAL:CREATE:", address, "1.5", "0", trace, "memo")
        self.call("legacy_withdraw.go, tip.go", "withdraws without a fee, for which it signs 0", "POST", "/withdrawals", compact(
            {"address_id": address, "amount": "1.5", "trace_id": trace, "memo": "memo",
             "pin_base64": self.pin(signature)}))


class FoxOAuth(Fox):
    """An app's call under a user's authorization."""

    def __init__(self, user):
        super().__init__(user)
        seed = fixed("authorization app")
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.row = {"authorization_id": new_id(), "app_id": new_id(), "user_id": user.user_id, "scope": "PROFILE:READ",
                    "app_key": public.hex(), "server_seed": fixed("authorization server").hex()}
        authorizations.append(self.row)

    def sign(self, message):
        return self.key.sign(message)

    def oauth(self, name, source, what, jti, lifetime, headers):
        self.later()
        claims = {"iss": self.row["app_id"], "aid": self.row["authorization_id"], "scp": "PROFILE:READ",
                  "iat": self.clock, "exp": self.clock + lifetime, "sig": request_hash("GET", "/me", ""), "jti": jti}
        signed = token(self, '{"alg":"EdDSA","typ":"JWT"}', sorted_json(claims))
        record(name, source, what, self.account.name, self.clock, "GET", "/me", headers(signed))

    def story(self):
        jti = new_id()
        self.oauth(Fox.name, FOX + "oauth_ed25519.go", "an app reads the profile under an authorization", jti, 60,
                   lambda signed: self.headers(signed, jti, True))
        go = [("Host", "api.mixin.one"), ("User-Agent", "Bot-API-Go-Client")]
        self.oauth(Go.name, GO + "auth.go, request.go", "the same, with a request id that is not the token's", new_id(),
                   90 * DAY, lambda signed: [*go, ("Authorization", "Bearer " + signed),
                                             ("Content-Type", "application/json"), ("X-Request-Id", new_id()),
                                             ("Accept-Encoding", "gzip")])
        self.oauth("guide", GUIDE + "api/guide.md", "the same with curl, without a request id", new_id(), 90 * DAY,
                   lambda signed: [("Host", "api.mixin.one"), ("User-Agent", "curl/7.88.1"), ("Accept", "*/*"),
                                   ("Content-Type", "application/json"), ("Authorization", "Bearer " + signed)])


class Ruby(Client):
    """No request id. Iterator and timestamp are the same number: the low 32 bits of the seconds."""

    name = "mixin_bot"

    def call(self, source, what, method, path, body="", expect=None):
        self.later()
        claims = {"uid": self.account.user_id, "sid": self.account.session_id, "iat": self.clock,
                  "exp": self.clock + 600, "jti": new_id(), "sig": request_hash(method, path, body), "scp": "FULL"}
        signed = token(self.account, '{"alg":"EdDSA","typ":"JWT"}', sorted_json(claims))
        headers = [("Content-Type", "application/json"), ("User-Agent", "mixin_bot/2.4.0"),
                   ("Authorization", "Bearer " + signed),
                   ("Accept-Encoding", "gzip;q=1.0,deflate;q=0.6,identity;q=0.3"), ("Accept", "*/*"),
                   ("Host", "api.mixin.one")]
        record(self.name, RUBY + source, what, self.account.name, self.clock, method, path, headers, body, expect)

    def pin(self, secret, iterator=None):
        iterator = (self.clock if iterator is None else iterator) % 2**32
        return url(self.account.encrypt(secret, iterator, iterator))

    def story(self):
        account = self.account
        self.call("client.rb, utils/crypto.rb", "reads the profile without a request id", "GET", "/safe/me")
        self.later()
        self.call("api/pin.rb, utils/crypto.rb", "creates a PIN; the iterator is in seconds", "POST", "/pin/update",
                  compact({"old_pin_base64": "", "pin_base64": self.pin(b"123456", self.clock + 1)}))
        self.later()
        self.call("api/pin.rb", "changes it", "POST", "/pin/update", compact(
            {"old_pin_base64": self.pin(b"123456"), "pin_base64": self.pin(b"654321", self.clock + 1)}))
        self.later()
        self.call("api/pin.rb", "verifies it", "POST", "/pin/verify", compact({"pin": self.pin(b"654321")}))
        self.later()
        self.call("api/legacy_transfer.rb", "transfers", "POST", "/transfers", compact(
            {"asset_id": ASSET, "opponent_id": account.user_id, "amount": "1.5", "trace_id": new_id(), "memo": "",
             "pin": self.pin(b"654321")}))
        self.later()
        nanos = self.nanos()
        self.call("api/pin.rb", "installs a TIP key, with the low bits of nanoseconds in place of both numbers", "POST",
                  "/pin/update", compact({"old_pin_base64": self.pin(b"654321", nanos),
                                          "pin_base64": self.pin(account.installation(), nanos + 1)}),
                  refused(20119, "timestamp"))


class Dart(Client):
    """No request id. Absent fields are null. Iterators are milliseconds times a million."""

    name = "mixin_bot_sdk_dart"

    def call(self, source, what, method, path, body="", expect=None):
        self.later()
        claims = {"uid": self.account.user_id, "sid": self.account.session_id, "iat": self.clock,
                  "exp": self.clock + 365 * DAY, "jti": new_id(), "sig": request_hash(method, path, body), "scp": "FULL"}
        signed = token(self.account, '{"alg":"EdDSA","typ":"JWT"}', compact(claims))
        headers = [("user-agent", "Dart/3.8 (dart:io)"), ("accept-encoding", "gzip"),
                   ("authorization", "Bearer " + signed), ("content-type", "application/json"), ("host", "api.mixin.one")]
        record(self.name, DART + source, what, self.account.name, self.clock, method, path, headers, body, expect)

    def pin(self, secret, more=0):
        return url(self.account.encrypt(secret, self.clock, self.nanos() // 10**6 * 10**6 + more))

    def story(self):
        account = self.account
        self.call("client.dart, auth.dart", "reads the profile without a request id", "GET", "/me")
        self.later()
        self.call("api/account_api.dart, pin.dart", "creates a PIN; old_pin and timestamp are null", "POST", "/pin/update",
                  compact({"pin": self.pin(b"123456"), "old_pin": None, "timestamp": None}))
        self.later()
        self.call("api/account_api.dart, pin.dart", "verifies it", "POST", "/pin/verify",
                  compact({"pin": self.pin(b"123456"), "old_pin": None, "timestamp": None}))
        self.later()
        self.call("api/account_api.dart, pin.dart", "replaces the digits by a TIP key", "POST", "/pin/update", compact(
            {"pin": self.pin(account.installation(), 1), "old_pin": self.pin(b"123456"), "timestamp": None}))
        self.later()
        nanos = self.nanos() // 10**6 * 10**6
        self.call("pin.dart, util/tip.dart", "verifies the TIP key, the signature in pin", "POST", "/pin/verify", compact(
            {"pin": self.pin(account.verify_signature(nanos)), "old_pin": None, "timestamp": nanos}))


class Kotlin(Client):
    """No request id. Padded base64 whose `=` Gson writes as \\u003d."""

    name = "bot-api-kotlin-client"

    def call(self, source, what, method, path, body="", expect=None):
        self.later()
        claims = {"uid": self.account.user_id, "sid": self.account.session_id, "jti": new_id(), "scp": "FULL",
                  "sig": request_hash(method, path, body), "exp": self.clock + 1800, "iat": self.clock}
        signed = token(self.account, '{"alg":"EdDSA"}', compact(claims))
        content = [("Content-Type", "application/json; charset=UTF-8")] if body else []
        headers = [("User-Agent", "UA_BOT"), ("Accept-Language", "en"), ("Authorization", "Bearer " + signed), *content,
                   ("Host", "api.mixin.one"), ("Connection", "Keep-Alive"), ("Accept-Encoding", "gzip")]
        record(self.name, KOTLIN + source, what, self.account.name, self.clock, method, path, headers, body, expect)

    def body(self, value):
        return compact(value).replace("=", "\\u003d")

    def pin(self, secret, more=0):
        return std(self.account.encrypt(secret, self.clock, self.nanos() // 10**6 * 10**6 + more))

    def story(self):
        account = self.account
        self.call("Session.kt, util/OkHttpProvider.kt", "reads the profile without a request id", "GET", "/safe/me")
        self.later()
        self.call("Session.kt, vo/PinRequest.kt", "creates a PIN without the field old_pin", "POST", "/pin/update",
                  self.body({"pin": self.pin(b"131416")}))
        self.later()
        self.call("Session.kt, vo/PinRequest.kt", "verifies it", "POST", "/pin/verify",
                  self.body({"pin": self.pin(b"131416")}))
        self.later()
        self.call("safe/Tip.kt", "replaces the digits by a TIP key", "POST", "/pin/update", self.body(
            {"pin": self.pin(account.installation(), 1), "old_pin": self.pin(b"131416")}))
        self.later()
        trace = new_id()
        signature = account.action_signature("TIP:TRANSFER:CREATE:", ASSET, account.user_id, "0.0000001", trace, "test")
        self.call("safe/TipBody.kt, vo/TransferRequest.kt", "transfers with a TIP signature in pin", "POST", "/transfers",
                  self.body({"asset_id": ASSET, "opponent_id": account.user_id, "amount": "0.0000001",
                             "pin": self.pin(signature), "trace_id": trace, "memo": "test"}))
        self.later()
        address, trace = new_id(), new_id()
        signature = account.action_signature("TIP:WITHDRAWAL:CREATE:", address, "1.5", trace)
        self.call("safe/TipBody.kt, vo/WithdrawalRequest.kt", "withdraws 1.50 without a fee, for which it signs nothing",
                  "POST", "/withdrawals", self.body({"address_id": address, "amount": "1.50", "pin": self.pin(signature),
                                                     "trace_id": trace}))
        self.later()
        request = new_id()
        signature = account.action_signature("TIP:MULTISIG:REQUEST:SIGN:", request)
        self.call("safe/TipBody.kt, api/call/UserCallService.kt", "signs a multisig request", "POST",
                  f"/multisigs/{request}/sign", self.body({"pin": self.pin(signature)}))


class Php(Client):
    """No request id. Padded base64 whose `/` json_encode writes as \\/. Iterators are nanoseconds with random low digits."""

    name = "mixin-sdk-php"

    def call(self, source, what, method, path, body="", more=(), expect=None):
        self.later()
        claims = compact({"uid": self.account.user_id, "sid": self.account.session_id, "iat": self.clock,
                          "exp": self.clock + 200, "jti": new_id(), "sig": request_hash(method, path, body),
                          "scp": "FULL"})
        header = '{"typ":"JWT","alg":"RS512"}' if self.account.rsa else '{"alg":"EdDSA"}'
        signed = token(self.account, header, claims)
        headers = [("Host", "api.mixin.one"), ("User-Agent", "GuzzleHttp/7"), ("Content-Type", "application/json"),
                   ("Authorization", "Bearer " + signed), *more]
        record(self.name, PHP + source, what, self.account.name, self.clock, method, path, headers, body, expect)

    def body(self, value):
        return compact(value).replace("/", "\\/")

    def pin(self, secret, more=0):
        return std(self.account.encrypt(secret, self.clock, self.nanos() // 10**5 * 10**5 + 41_857 + more))

    def story(self):
        account = self.account
        kind = "RSA" if account.rsa else "Ed25519"
        self.call("Apis/Api.php, Traits/MixinSDKTrait.php", f"{kind}: reads the profile without a request id", "GET", "/me")
        self.later()
        self.call("Apis/Pin.php", f"{kind}: creates a PIN", "POST", "/pin/update",
                  self.body({"old_pin": "", "pin": self.pin(b"123456")}))
        self.later()
        self.call("Apis/Pin.php", f"{kind}: verifies it", "POST", "/pin/verify", self.body({"pin": self.pin(b"123456")}))
        device = [("Mixin-Device-Id", account.session_id)]
        self.later()
        self.call("Apis/Wallet.php", f"{kind}: transfers, with a Mixin-Device-Id", "POST", "/transfers", self.body(
            {"asset_id": ASSET, "opponent_id": account.user_id, "amount": "1.5", "trace_id": new_id(), "memo": "a/b",
             "pin": self.pin(b"123456")}), device)
        self.later()
        self.call("Apis/Pin.php", f"{kind}: replaces the digits by a TIP key", "POST", "/pin/update", self.body(
            {"old_pin": self.pin(b"123456"), "pin": self.pin(account.installation(), 50_000)}))
        self.later()
        nanos = self.nanos() // 10**5 * 10**5
        self.call("Apis/Pin.php, Utils/TIPService.php", f"{kind}: verifies the TIP key", "POST", "/pin/verify", self.body(
            {"pin_base64": self.pin(account.verify_signature(nanos)), "timestamp": nanos}))
        self.later()
        trace = new_id()
        signature = account.action_signature("TIP:TRANSFER:CREATE:", ASSET, account.user_id, "1.5", trace, "a/b")
        self.call("Apis/Wallet.php", f"{kind}: transfers with a TIP signature", "POST", "/transfers", self.body(
            {"asset_id": ASSET, "opponent_id": account.user_id, "amount": "1.5", "trace_id": trace, "memo": "a/b",
             "pin_base64": self.pin(signature)}), device)
        # PHP takes the text 0 for empty, so the fee is left out.
        self.later()
        address, trace = new_id(), new_id()
        signature = account.action_signature("TIP:WITHDRAWAL:CREATE:", address, "1.5", trace, "a/b")
        self.call("Apis/Wallet.php, Traits/MixinSDKTrait.php", f"{kind}: withdraws without a fee, for which it signs nothing",
                  "POST", "/withdrawals", self.body({"address_id": address, "amount": "1.5", "memo": "a/b",
                                                     "trace_id": trace, "pin_base64": self.pin(signature)}))


class GoUpgrade(Go):
    """The only client that upgrades RSA sessions. The bearer is empty, the PIN's iterator is 0."""

    def __init__(self, account, start=START):
        super().__init__(account, start)
        pem = (HERE.parent / "rsa-1024.pem").read_text().split("-----")[2]
        self.seed = hashlib.sha512(base64.b64decode(pem)).digest()[:32]

    def upgrade(self, what, expect=None, iterator=0):
        self.later()
        spki = self.account.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        body = sorted_json({
            "session_secret_legacy": url(spki), "session_id": self.account.session_id,
            "session_secret": url(raw_public(Ed25519PrivateKey.from_private_bytes(self.seed))),
            "pin": url(self.account.encrypt(b"123456", self.clock, iterator))})
        headers = [("Host", "api.mixin.one"), ("User-Agent", "Bot-API-Go-Client"), ("Authorization", "Bearer "),
                   ("Content-Type", "application/json"), ("X-Request-Id", new_id()), ("Accept-Encoding", "gzip")]
        record(self.name, GO + "legacy_user.go, request.go", what, self.account.name, self.clock, "POST", "/legacy/users",
               headers, body, expect)

    def story(self):
        # This client cannot create a PIN of an RSA session.
        fox = Fox(self.account, self.clock)
        fox.call("pin.go", "creates a PIN in a session that is upgraded later", "POST", "/pin/update",
                 sorted_json({"pin": fox.pin(b"123456")}))
        self.clock = fox.clock
        self.upgrade("upgrades an RSA session, without a token")
        self.upgrade("makes the same upgrade again: its new key is derived from the old one")
        Go(Moved(self.account, self.seed), self.clock).call(
            "request.go, auth.go", "reads the profile in the upgraded session", "GET", "/me")


class Node(Client):
    """The dashboard: an OAuth session of an app's owner. The ids are equal."""

    name = "bot-api-nodejs-client"
    scope = "PROFILE:READ APPS:READ APPS:WRITE"

    def __init__(self, owner):
        super().__init__(owner)
        seed = fixed("dashboard app")
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.row = {"authorization_id": new_id(), "app_id": new_id(), "user_id": owner.user_id, "scope": self.scope,
                    "app_key": raw_public(self.key).hex(), "server_seed": fixed("dashboard server").hex()}
        authorizations.append(self.row)

    def sign(self, message):
        return self.key.sign(message)

    def call(self, source, what, method, path, body="", expect=None):
        self.later()
        jti = new_id()
        claims = {"iss": self.row["app_id"], "aid": self.row["authorization_id"], "iat": self.clock,
                  "exp": self.clock + 3600, "jti": jti, "sig": request_hash(method, path, body), "scp": self.scope}
        signed = token(self, '{"alg":"EdDSA","typ":"JWT"}', compact(claims))
        content = [("Content-Type", "application/json")] if body else []
        headers = [("Accept", "application/json, text/plain, */*"), *content, ("X-Request-Id", jti),
                   ("Authorization", "Bearer " + signed), ("User-Agent", "axios/1.7.9"),
                   ("Accept-Encoding", "gzip, compress, deflate, br"), ("Host", "api.mixin.one")]
        record(self.name, NODE + source, what, self.account.name, self.clock, method, path, headers, body, expect)

    def story(self, app):
        self.call("app.ts, utils/auth.ts", "the dashboard reads an app", "GET", f"/apps/{app.user_id}")
        key = Ed25519PrivateKey.from_private_bytes(fixed("new session of an app"))
        self.call("app.ts, utils/auth.ts", "the dashboard replaces the session of an app", "POST",
                  f"/safe/apps/{app.user_id}/session", compact({"session_public_key": raw_public(key).hex()}))
        signature = app.tip.sign(hashlib.sha3_256(app.user_id.encode()).digest())
        self.call("app.ts, utils/uniq.ts", "the dashboard registers an app with the safe", "POST",
                  f"/safe/apps/{app.user_id}/register",
                  compact({"signature_base64": url(signature), "spend_public_key": app.tip_public.hex()}))
        other = Ed25519PrivateKey.from_private_bytes(fixed("another spend key"))
        self.call("app.ts, utils/uniq.ts", "the dashboard cannot register it again with another key", "POST",
                  f"/safe/apps/{app.user_id}/register",
                  compact({"signature_base64": url(other.sign(hashlib.sha3_256(app.user_id.encode()).digest())),
                           "spend_public_key": raw_public(other).hex()}), refused(403, "has_safe"))


class Android(Client):
    """The ids are equal. The iterator counts calls. Padded base64 whose `=` Gson writes as \\u003d, in `pin`."""

    name = "android-app"
    platform = {"platform": "Android", "platform_version": "15", "package_name": "one.mixin.messenger",
                "app_version": "3.9.0"}

    def __init__(self, account, start=START):
        super().__init__(account, start)
        self.iterator = 0

    def call(self, source, what, method, path, body="", expect=None):
        self.later()
        jti = new_id()
        claims = {"jti": jti, "exp": self.clock + 1800, "iat": self.clock, "uid": self.account.user_id,
                  "sid": self.account.session_id, "sig": request_hash(method, path, body), "scp": "FULL"}
        signed = token(self.account, '{"alg":"%s"}' % ("RS512" if self.account.rsa else "EdDSA"), compact(claims))
        content = [("Content-Type", "application/json; charset=UTF-8")] if body else []
        headers = [("User-Agent", "Mixin/3.9.0 (Android 15; x; en-US)"), ("Accept-Language", "en"),
                   ("Mixin-Device-Id", self.account.session_id), ("X-Request-Id", jti),
                   ("Authorization", "Bearer " + signed), *content, ("Host", "api.mixin.one"),
                   ("Connection", "Keep-Alive"), ("Accept-Encoding", "gzip")]
        record(self.name, ANDROID + source, what, self.account.name, self.clock, method, path, headers, body, expect)

    def body(self, value):
        return compact(value).replace("=", "\\u003d")

    def pin(self, secret):
        self.iterator += 1
        return std(self.account.encrypt(secret, self.clock, self.iterator))

    def signed(self, *parts):
        return self.pin(self.account.action_signature(*parts))

    def install(self):
        self.later()
        self.call("tip/Tip.kt", "installs a TIP key", "POST", "/pin/update",
                  self.body({"pin": self.pin(self.account.installation())}))

    def replace_key(self):
        seed = fixed(self.account.name + " new session")
        public = raw_public(Ed25519PrivateKey.from_private_bytes(seed))
        self.call("ui/landing/LoadingFragment.kt, session/Session.kt", "replaces the RSA key of its session", "POST",
                  "/session/secret", self.body({"session_secret": std(public)}))
        Android(Moved(self.account, seed), self.clock).call(
            "session/Session.kt", "reads the profile with the session's new key", "GET", "/safe/me")

    def emergency(self):
        verification = new_id()
        self.later()
        self.call("api/service/EmergencyService.kt, api/request/EmergencyRequest.kt", "sets an emergency contact", "POST",
                  f"/emergency_verifications/{verification}", self.body({
                      "identity_number": "7001", "pin": self.signed("TIP:EMERGENCY:CONTACT:CREATE:", verification, "1234"),
                      "code": "1234", "purpose": "CONTACT", **self.platform}))
        for what, word, path in [("reads", "READ", ""), ("removes", "REMOVE", "/delete")]:
            self.later()
            self.call("api/service/EmergencyService.kt, tip/TipBody.kt", f"{what} its emergency contact", "POST",
                      "/emergency_contact" + path, self.body({"pin": self.signed(f"TIP:EMERGENCY:CONTACT:{word}:", "0")}))

    def story(self):
        user_id = self.account.user_id
        self.install()
        self.emergency()
        self.later()
        master = Ed25519PrivateKey.from_private_bytes(fixed("mnemonic"))
        self.call("api/response/ExportRequest.kt, tip/TipBody.kt", "exports its salt", "POST", "/me/salt_export", self.body(
            {"pin_base64": self.signed("TIP:USER:EXPORT:PRIVATE:", user_id), "master_public_hex": raw_public(master).hex(),
             "master_signature_hex": master.sign(user_id.encode()).hex()}))
        verification = new_id()
        self.later()
        self.call("ui/setting/delete/DeleteAccountPinBottomSheetDialogFragment.kt", "deactivates itself by its phone", "POST",
                  "/me/deactivate", self.body({"pin_base64": self.signed("TIP:USER:DEACTIVATE:", verification),
                                               "verification_id": verification}))
        self.call("session/Session.kt", "is refused after that", "GET", "/safe/me", expect=refused(401, "session"))

    def log_out(self):
        session = self.account.session_id
        self.install()
        self.later()
        self.call("api/request/LogoutRequest.kt, tip/TipBody.kt", "ends its session", "POST", "/logout", self.body(
            {"session_id": session, "pin_base64": self.signed("TIP:SESSION:LOGOUT:", session)}))
        self.call("session/Session.kt", "is refused after it ended its session", "GET", "/safe/me",
                  expect=refused(401, "session"))


class Ios(Android):
    """Like Android's, with unpadded base64url in `pin_base64`."""

    name = "ios-app"

    def call(self, source, what, method, path, body="", expect=None):
        self.later()
        jti = new_id()
        claims = {"uid": self.account.user_id, "sid": self.account.session_id, "iat": self.clock,
                  "exp": self.clock + 1800, "jti": jti, "sig": request_hash(method, path, body), "scp": "FULL"}
        signed = token(self.account, '{"alg":"EdDSA","typ":"JWT"}', compact(claims))
        content = [("Content-Type", "application/json")] if body else []
        headers = [("Host", "api.mixin.one"), ("Accept-Language", "en"), ("Accept-Encoding", "br;q=1.0, gzip;q=0.9"),
                   ("User-Agent", "Mixin/3.9.0 (iPhone; iOS 18.5; en-US)"), ("X-Request-Id", jti), *content,
                   ("Mixin-Device-Id", self.account.session_id), ("Authorization", "Bearer " + signed)]
        record(self.name, IOS + source, what, self.account.name, self.clock, method, path, headers, body, expect)

    def pin(self, secret):
        self.iterator += 1
        return url(self.account.encrypt(secret, self.clock, self.iterator))

    def story(self):
        self.later()
        self.call("Crypto/TIP/TIP.swift", "installs a TIP key", "POST", "/pin/update",
                  compact({"pin_base64": self.pin(self.account.installation())}))
        verification = new_id()
        self.later()
        self.call("API/EmergencyAPI.swift", "sets an emergency contact without naming it", "POST",
                  f"/emergency_verifications/{verification}", compact({
                      "code": "1234", "purpose": "CONTACT",
                      "pin_base64": self.signed("TIP:EMERGENCY:CONTACT:CREATE:", verification, "1234")}))
        self.later()
        self.call("API/AccountAPI.swift, Crypto/TIP/TIPBody.swift", "deactivates itself without a phone", "POST",
                  "/me/deactivate",
                  compact({"pin_base64": self.signed("TIP:USER:DEACTIVATE:", self.account.user_id)}))
        self.call("API/AccountAPI.swift", "is refused after that", "GET", "/safe/me", expect=refused(401, "session"))


Go(Account("go")).story()
Fox(Account("fox")).story()
Fox(Account("fox-rsa", rsa=True)).story()
FoxOAuth(Account("authorizer")).story()
ruby = Account("ruby")
Ruby(ruby).story()
Dart(Account("dart")).story()
Kotlin(Account("kotlin")).story()
Php(Account("php")).story()
Php(Account("php-rsa", rsa=True)).story()

# One session, two clients: after nanoseconds no second is high enough.
shared = Account("shared")
dart = Dart(shared)
dart.call("api/account_api.dart, pin.dart", "creates a PIN in a session that it shares with another client", "POST",
          "/pin/update", compact({"pin": dart.pin(b"123456"), "old_pin": None, "timestamp": None}))
ruby = Ruby(shared, START + 60)
ruby.call("api/pin.rb, utils/crypto.rb", "is refused after iterators in nanoseconds", "POST", "/pin/verify",
          compact({"pin": ruby.pin(b"123456")}), refused(20119, "iterator"))
# Milliseconds times a million from one client, then full nanoseconds from another.
go = Go(shared, START + 120)
go.call("pin.go", "is accepted after iterators in milliseconds times a million", "POST", "/pin/verify",
        sorted_json({"pin_base64": go.pin(b"123456".hex())}))

GoUpgrade(Account("go-upgrade", rsa=True)).story()
owner = Account("app-owner")
Node(owner).story(Account("owned-app", owner=owner))
Android(Account("android-rsa", rsa=True)).replace_key()
Android(Account("android")).story()
Android(Account("android-logout")).log_out()
Ios(Account("ios")).story()
flutter = Dart(Account("flutter"))
flutter.name = "flutter-app"
session = compact({"session_id": flutter.account.session_id})
flutter.call("api/account_api.dart, vo/request/logout_request.dart", "ends its session without a PIN", "POST", "/logout",
             session)
flutter.call("api/account_api.dart", "is refused after it ended its session", "GET", "/me", expect=refused(401, "session"))

print(json.dumps({"accounts": accounts, "authorizations": authorizations, "requests": requests}, indent=1,
                 ensure_ascii=False))
