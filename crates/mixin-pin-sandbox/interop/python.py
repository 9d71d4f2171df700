"""Python's mixinsdk against a sandbox. Our command also reads its ciphertexts and tokens, and the packages that it uses
read ours. Started by `run`.

The package is from 2022. It cannot read the `+` and `/` of an RSA `pin_token`: they become `-` and `_`.
"""

import base64
import json
import os
import subprocess

import jwt
import nacl.bindings
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from mixinsdk.clients import _sign
from mixinsdk.clients.client_http import HttpClient_WithAppConfig
from mixinsdk.clients.config import AppConfig
from mixinsdk.types.errors import RequestError

URL = os.environ["MIXIN_API"]
passed = 0


def step(name, work):
    global passed
    work()
    passed += 1
    print("ok", name)


def mixin_pin(args, text=""):
    command = [os.environ["MIXIN_PIN"], "--json", *args]
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def refused(call, code):
    try:
        call()
    except RequestError as error:
        assert error.status_code == code, error.status_code
    else:
        raise AssertionError("the call was not refused")


def client(kind, path):
    """A user that our command registers, in a keystore that this client can read."""
    mixin_pin(["keystore", "new", "--kind", kind, "--app-keystore", "app.json", "--name", "Python", "--out", path,
               "--api", URL])
    if kind == "ed25519":
        bot = f"bot-{path}"
        mixin_pin(["keystore", "convert", path, "--shape", "bot", "--out", bot])
    else:
        bot = path
    with open(bot) as file:
        theirs = json.load(file)
    theirs["pin_token"] = theirs["pin_token"].replace("+", "-").replace("/", "_")
    return HttpClient_WithAppConfig(AppConfig.from_payload({"pin": "", **theirs}), api_base=URL)


def drive(kind):
    path = kind + ".json"
    bot = client(kind, path)
    user = bot.config.client_id

    step(f"{kind}: reads the profile", lambda: check(bot.api.user.get_me()["data"]["user_id"] == user))
    step(f"{kind}: creates the PIN",
         lambda: check(bot.api.pin.update("", bot.encrypt_pin("123456"))["data"]["has_pin"]))
    step(f"{kind}: verifies it", lambda: bot.api.pin.verify(bot.encrypt_pin("123456")))
    step(f"{kind}: changes it",
         lambda: bot.api.pin.update(bot.encrypt_pin("123456"), bot.encrypt_pin("654321")))
    step(f"{kind}: the old one is refused",
         lambda: refused(lambda: bot.api.pin.verify(bot.encrypt_pin("123456")), 20119))
    step(f"{kind}: our command verifies the new one, and Python again",
         lambda: (mixin_pin(["verify", "--api", URL, "--keystore", path, "--pin-stdin"], "654321\n"),
                  bot.api.pin.verify(bot.encrypt_pin("654321"))))

    def we_decrypt():
        encrypted = bot.encrypt_pin("271828")
        opened = mixin_pin(["decrypt", "--keystore", path, "--reveal", "--", encrypted])
        check(opened["secret"] == "271828")

    step(f"{kind}: our command decrypts its encrypted PIN", we_decrypt)

    def they_decrypt():
        ours = mixin_pin(["encrypt", "--keystore", path, "--pin-stdin"], "271828\n")["ciphertext"]
        encrypted = base64.b64decode(ours) if kind != "ed25519" else base64.urlsafe_b64decode(ours + "==")
        cipher = Cipher(algorithms.AES(pin_key(bot.config)), modes.CBC(encrypted[:16])).decryptor()
        block = cipher.update(encrypted[16:]) + cipher.finalize()
        check(block[:6] == b"271828" and block[22:] == bytes([10]) * 10)

    step(f"{kind}: its key decrypts our encrypted PIN", they_decrypt)

    def their_token():
        config = bot.config
        token = _sign.sign_authentication_token(config.client_id, config.session_id, config.private_key,
                                                config.key_algorithm, "GET", "/me")
        report = mixin_pin(["inspect", "--keystore", path, "--token", token, "--method", "GET", "--path", "/me"])
        check(report["request_hash"]["matches"] and report["signature"]["valid"])

    step(f"{kind}: our command verifies its token", their_token)

    def our_token():
        token = mixin_pin(["token", "--keystore", path, "--method", "GET", "--path", "/me"])["token"]
        claims = jwt.decode(token, public_key(bot.config), algorithms=["RS512" if kind != "ed25519" else "EdDSA"])
        check(claims["uid"] == user and claims["sid"] == bot.config.session_id)

    step(f"{kind}: PyJWT verifies our token", our_token)


def pin_key(config):
    """The key, as the package computes it before it encrypts."""
    token = base64.urlsafe_b64decode(config.pin_token)
    if config.key_algorithm == "RS512":
        key = serialization.load_pem_private_key(config.private_key.encode(), password=None)
        sha256 = hashes.SHA256()
        return key.decrypt(token, padding.OAEP(mgf=padding.MGF1(algorithm=sha256), algorithm=sha256,
                                               label=config.session_id.encode()))
    return nacl.bindings.crypto_scalarmult(nacl.bindings.crypto_sign_ed25519_sk_to_curve25519(config.private_key), token)


def public_key(config):
    if config.key_algorithm == "RS512":
        return serialization.load_pem_private_key(config.private_key.encode(), password=None).public_key()
    return ed25519.Ed25519PrivateKey.from_private_bytes(config.private_key[:32]).public_key()


def check(is_true):
    assert is_true


for kind in ["rsa1024", "rsa2048", "ed25519"]:
    drive(kind)
print(f"{passed} passed, 0 failed")
