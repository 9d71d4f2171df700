//! The test kit: the documentation's requests of 2018, the output of other clients, and vectors of our own. What needs a
//! keystore or a token's claims is checked in `mixin-pin-protocol`.
#![cfg(all(feature = "rsa", feature = "ed25519"))]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{hex, rng, text, unhex, vector, vectors};
use mixin_pin_core::token::{Jws, RequestHash, Signer, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    Ed25519Key, Ed25519PublicKey, EncryptedPin, Error, PinKey, PinToken, RsaKey, X25519PublicKey, hazmat,
};
use serde_json::Value;

/// The `sig` claim of a token.
fn claimed_hash(jws: &Jws<'_>) -> RequestHash {
    let claims: Value = serde_json::from_slice(&jws.payload().unwrap()).unwrap();
    RequestHash::from_hex(text(&claims, "sig")).unwrap()
}

fn hash_of(request: &Value) -> RequestHash {
    RequestHash::of(text(request, "method"), text(request, "path"), text(request, "body").as_bytes())
}

#[test]
fn tokens_verify_as_the_vectors_say() {
    let vectors = vectors("tokens.json");
    let of = |source: &str| vectors.iter().filter(|vector| vector["source"] == source).count();
    assert_eq!([of("docs"), of("fox-one"), of("node"), of("python"), of("made")], [6, 6, 1, 2, 7]);
    for vector in &vectors {
        let id = text(vector, "id");
        let key = VerifyingKey::from_text(text(vector, "public_key")).unwrap();
        let jws = Jws::parse(text(vector, "token")).unwrap();
        assert_eq!(key.algorithm().as_str(), text(vector, "alg"), "{id}");
        assert_eq!(jws.header().unwrap(), text(vector, "header").as_bytes(), "{id}");
        assert_eq!(jws.payload().unwrap(), text(vector, "claims").as_bytes(), "{id}");
        assert_eq!(jws.verify(&key).is_ok(), vector["signature_verifies"], "signature of {id}");
        assert_eq!(claimed_hash(&jws) == hash_of(vector), vector["hash_matches"], "hash of {id}");
    }
}

#[test]
fn tokens_of_known_keys_are_signed_as_the_vectors_say() {
    let signed = vectors("tokens.json").into_iter().filter(|vector| vector["private_key"].is_string());
    let mut count = 0;
    for vector in signed {
        let (input, signature) = text(&vector, "token").rsplit_once('.').unwrap();
        let private = text(&vector, "private_key");
        let made = if vector["alg"] == "EdDSA" {
            signature_of(&Ed25519Key::from_text(private).unwrap(), input)
        } else {
            signature_of(&RsaKey::from_pem(private).unwrap(), input)
        };
        assert_eq!(made, signature, "{}", text(&vector, "id"));
        count += 1;
    }
    assert_eq!(count, 7);
}

fn signature_of<S: Signer>(key: &S, input: &str) -> String {
    let mut signature = vec![0; key.signature_len()];
    key.sign(input.as_bytes(), &mut rng(), &mut signature).unwrap();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature)
}

#[test]
fn request_hashes_are_as_the_vectors_say() {
    for vector in vectors("request-hashes.json") {
        let expected = RequestHash::from_hex(text(&vector, "hash")).unwrap();
        assert_eq!(hash_of(&vector), expected, "{}", text(&vector, "id"));
    }
}

/// Decrypts a PIN of the vectors, compares it with what it holds, and encrypts it again under the same IV.
fn check_pin(key: &PinKey, pin: &Value, id: &str) {
    let encrypted = EncryptedPin::from_base64(text(pin, "ciphertext")).unwrap();
    let block = key.decrypt(&encrypted).unwrap();
    assert_eq!(hex(block.secret().expose()), text(pin, "secret"), "{id}");
    assert_eq!(block.timestamp(), pin["timestamp"], "{id}");
    assert_eq!(block.iterator().to_string(), text(pin, "iterator"), "{id}");
    let iv = unhex(text(pin, "iv")).try_into().unwrap();
    assert_eq!(hazmat::encrypt_with_iv(key, &block, &iv), encrypted, "{id}");
}

#[test]
fn pins_decrypt_and_encrypt_as_the_vectors_say() {
    let vectors = vectors("encrypted-pins.json");
    let of = |source: &str| vectors.iter().filter(|vector| vector["source"] == source).count();
    assert_eq!([of("fox-one"), of("node"), of("python"), of("dart"), of("made")], [9, 2, 3, 1, 10]);
    for vector in &vectors {
        check_pin(&PinKey::from_text(text(vector, "pin_key")).unwrap(), vector, text(vector, "id"));
    }
}

#[test]
fn both_pins_of_an_update_decrypt_and_encrypt_as_the_vectors_say() {
    for vector in vectors("pin-updates.json") {
        let (id, key) = (text(&vector, "id"), PinKey::from_text(text(&vector, "pin_key")).unwrap());
        let body: Value = serde_json::from_str(text(&vector, "body")).unwrap();
        for (name, field) in [("old", "old_pin"), ("new", "pin")] {
            let sent = body.get(field).or_else(|| body.get(format!("{field}_base64"))).unwrap();
            let pin = &vector[name];
            assert_eq!(sent, pin.get("ciphertext").unwrap_or(&Value::from("")), "{id}");
            if pin.is_object() {
                check_pin(&key, pin, id);
            }
        }
    }
}

#[test]
fn blocks_of_the_refusals_do_not_decrypt() {
    let refused = vectors("refusals.json").into_iter().filter(|vector| vector["type"] == "refused-block");
    let mut count = 0;
    for vector in refused {
        let key = PinKey::from_text(text(&vector, "pin_key")).unwrap();
        let opened =
            EncryptedPin::from_base64(text(&vector, "ciphertext")).and_then(|encrypted| key.decrypt(&encrypted));
        assert!(opened.is_err(), "{}", text(&vector, "id"));
        count += 1;
    }
    assert_eq!(count, 15);
}

/// The public key and the PIN key of a keystore.
fn keys_of(keystore: &Value) -> (VerifyingKey, PinKey) {
    let field = |names: &[&str]| names.iter().find_map(|name| keystore[name].as_str());
    let private = field(&["private_key", "session_private_key"]).unwrap();
    let server = field(&["server_public_key", "pin_token", "pin_token_base64"]).unwrap();
    if private.contains("PRIVATE KEY") {
        let key = RsaKey::from_pem(private).unwrap();
        let session_id = text(keystore, "session_id").parse().unwrap();
        let pin_key = key.unwrap_pin_key(&PinToken::from_base64(server).unwrap(), session_id, &mut rng()).unwrap();
        return (VerifyingKey::Rsa(key.public_key()), pin_key);
    }
    let key = Ed25519Key::from_text(private).unwrap();
    // Hex is an Ed25519 key, base64 an X25519 key.
    let server = if server.len() == 64 {
        Ed25519PublicKey::from_text(server).unwrap().to_x25519().unwrap()
    } else {
        X25519PublicKey::from_base64(server).unwrap()
    };
    (VerifyingKey::Ed25519(key.public_key()), key.agree(&server).unwrap())
}

#[test]
fn keystores_give_the_keys_of_the_vectors() {
    let vectors = vectors("pin-keys.json");
    assert_eq!(vectors.len(), 13);
    for vector in &vectors {
        let (public_key, pin_key) = keys_of(&vector["keystore"]);
        assert_eq!(public_key, VerifyingKey::from_text(text(vector, "public_key")).unwrap(), "{}", text(vector, "id"));
        assert_eq!(hex(pin_key.expose()), text(vector, "pin_key"), "{}", text(vector, "id"));
    }
}

#[test]
fn a_pin_token_unwraps_under_its_own_session_id_only() {
    let vector = vector("pin-keys.json", "rsa-1024");
    let keystore = &vector["keystore"];
    let key = RsaKey::from_pem(text(keystore, "private_key")).unwrap();
    let pin_token = PinToken::from_base64(text(keystore, "pin_token")).unwrap();
    let wrong_label = Uuid::from_u128(1);
    assert_eq!(key.unwrap_pin_key(&pin_token, wrong_label, &mut rng()).unwrap_err(), Error::PinToken);
    let right: Uuid = text(keystore, "session_id").parse().unwrap();
    let pin_key = key.unwrap_pin_key(&pin_token, right, &mut rng()).unwrap();
    assert_eq!(hex(pin_key.expose()), text(&vector, "pin_key"));
    let bytes = STANDARD.decode(pin_token.to_base64()).unwrap();
    for broken in [&bytes[1..], &bytes[..64], &[0; 128], &[]] {
        let broken = PinToken::from_base64(&STANDARD.encode(broken)).unwrap();
        assert_eq!(key.unwrap_pin_key(&broken, right, &mut rng()).unwrap_err(), Error::PinToken);
    }
}

#[test]
fn rsa_keys_are_read_from_both_kinds_of_pem_only() {
    assert_eq!(RsaKey::from_pem(&common::testdata("rsa-2048-pkcs8.pem")).unwrap().public_key().bits(), 2048);
    let small = RsaKey::from_pem(&common::testdata("rsa-512.pem")).unwrap_err();
    assert_eq!(small, Error::RsaKeySize { bits: 512 });
    assert_eq!(small.to_string(), "the RSA key has 512 bits; a session's key must have 1024 to 4096");
    assert_eq!(RsaKey::from_pem(&common::testdata("ec-p256.pem")).unwrap_err(), Error::RsaPem);

    for id in ["rsa-1024", "rsa-2048", "made-rsa-pkcs8"] {
        let vector = vector("pin-keys.json", id);
        let key = RsaKey::from_pem(text(&vector["keystore"], "private_key")).unwrap();
        let public = VerifyingKey::from_text(text(&vector, "public_key")).unwrap();
        assert_eq!(VerifyingKey::Rsa(key.public_key()), public);
        assert_eq!(public.to_session_secret().unwrap(), text(&vector, "public_key"));
        let again = RsaKey::from_pem(&key.to_pkcs1_pem().unwrap()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
    }
}

#[test]
fn aes_cbc_decrypts_as_the_vectors_say() {
    let vectors = vectors("aes-cbc.json");
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let [key, iv, mut blocks] = ["key", "iv", "ciphertext"].map(|name| unhex(text(&vector, name)));
        let iv: [u8; 16] = iv.try_into().unwrap();
        hazmat::decrypt_blocks(&PinKey::from_bytes(&key).unwrap(), &iv, &mut blocks).unwrap();
        assert_eq!(hex(&blocks), text(&vector, "plaintext"), "{}", text(&vector, "id"));
    }
}
