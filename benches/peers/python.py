"""Times Python's mixinsdk. Prints nanoseconds for each kind of work as a JSON object. mixinsdk encrypts digits only."""

import base64
import json
import os
import time

import nacl.bindings
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from mixinsdk.clients._sign import encrypt_pin, sign_authentication_token

USER = "00000000-0000-4000-8000-000000000001"
SESSION = "00000000-0000-4000-8000-000000000002"


def measure(work):
    """The median of five rounds."""
    rounds = []
    for _ in range(5):
        begun, count = time.perf_counter_ns(), 0
        while time.perf_counter_ns() - begun < 300_000_000:
            work()
            count += 1
        rounds.append((time.perf_counter_ns() - begun) / count)
    return round(sorted(rounds)[2])


def rsa_key(bits):
    key = rsa.generate_private_key(65537, bits)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return pem.decode()


def token(key, algorithm):
    return measure(lambda: sign_authentication_token(USER, SESSION, key, algorithm, "POST", "/pin/verify", "{}"))


_, private = nacl.bindings.crypto_sign_seed_keypair(os.urandom(32))
server, _ = nacl.bindings.crypto_box_keypair()
pin_token = base64.urlsafe_b64encode(server)
print(
    json.dumps(
        {
            "encrypt-digits": measure(lambda: encrypt_pin("314159", pin_token, private, "Ed25519", SESSION)),
            "token-eddsa": token(private, "EdDSA"),
            "token-rs512-1024": token(rsa_key(1024), "RS512"),
            "token-rs512-2048": token(rsa_key(2048), "RS512"),
        }
    )
)
