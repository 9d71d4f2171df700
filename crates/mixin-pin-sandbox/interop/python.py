"""Python's mixinsdk against a sandbox, and its ciphertexts under ours. Run by `run` beside this file.

The package is of 2022. What it needs to run here is done from outside: its request ids are made to equal its tokens'
`jti`, as the protocol has it, and the `+` and `/` of an RSA `pin_token`, which it cannot read, become `-` and `_`.
"""

import base64
import json
import os
import subprocess
import uuid

import nacl.bindings
import nacl.signing
from mixinsdk.clients import _requests, _sign
from mixinsdk.clients.client_http import HttpClient_WithAppConfig
from mixinsdk.clients.config import AppConfig
from mixinsdk.types.errors import RequestError

with open("sandbox.json") as file:
    URL = json.load(file)["url"]
passed = 0


class PairedIds:
    """A token's id is drawn first, its request's right after: both get the same."""

    last = None

    @classmethod
    def uuid4(cls):
        if cls.last is None:
            cls.last = uuid.uuid4()
            return cls.last
        again, cls.last = cls.last, None
        return again


_sign.uuid = PairedIds
_requests.uuid = PairedIds


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


def url_safe(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def client(kind, path):
    """A user of our making, in a keystore of the shape that this client reads."""
    mixin_pin(["keystore", "new", "--kind", kind, "--app-keystore", "app.json", "--name", "Python", "--out", path,
               "--api", URL])
    with open(path) as file:
        ours = json.load(file)
    if kind == "ed25519":
        key = nacl.signing.SigningKey(bytes.fromhex(ours["session_private_key"]))
        server = nacl.bindings.crypto_sign_ed25519_pk_to_curve25519(bytes.fromhex(ours["server_public_key"]))
        theirs = {"client_id": ours["user_id"], "pin_token": url_safe(server),
                  "private_key": url_safe(bytes(key) + bytes(key.verify_key))}
    else:
        theirs = {"client_id": ours["client_id"], "private_key": ours["private_key"],
                  "pin_token": ours["pin_token"].replace("+", "-").replace("/", "_")}
    config = {"pin": "", "session_id": ours["session_id"], **theirs}
    return HttpClient_WithAppConfig(AppConfig.from_payload(config), api_base=URL)


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

    def opens():
        sealed = bot.encrypt_pin("271828")
        opened = mixin_pin(["decrypt", "--keystore", path, "--reveal", "--", sealed])
        check(opened["secret"] == "271828")

    step(f"{kind}: its encrypted PIN opens under ours", opens)


def check(holds):
    assert holds


for kind in ["rsa1024", "rsa2048", "ed25519"]:
    drive(kind)
print(f"{passed} passed, 0 failed")
