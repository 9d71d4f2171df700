//! Real data: the documentation's own requests of 2018, and the output of other clients.
#![cfg(all(feature = "rsa", feature = "ed25519"))]

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::{hex, list, rng, text, unhex, vectors};
use mixin_pin_core::token::{Jws, RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    Ed25519Key, Ed25519PublicKey, EncryptedPin, Error, Pin, PinKey, PinToken, RsaKey, Session, X25519PublicKey, hazmat,
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
fn tokens_of_the_2018_documentation_verify_as_expected() {
    let docs = vectors("docs-tokens.json");
    let key = VerifyingKey::from_text(text(&docs, "public_key")).unwrap();
    assert!(matches!(&key, VerifyingKey::Rsa(rsa) if rsa.bits() == 1024));
    let tokens = list(&docs, "tokens");
    assert_eq!(tokens.len(), 6);
    for request in tokens {
        let jws = Jws::parse(text(request, "token")).unwrap();
        let path = text(request, "path");
        assert_eq!(jws.verify(&key).is_ok(), request["signature_verifies"], "signature of {path}");
        assert_eq!(claimed_hash(&jws) == hash_of(request), request["hash_matches"], "hash of {path}");
    }
}

#[test]
fn pins_and_tokens_of_other_clients_decrypt_and_verify() {
    let clients = vectors("clients.json");
    for vector in list(&clients, "sessions") {
        let name = text(vector, "name");
        let session = session(&vector["keystore"]);
        assert_eq!(hex(session.pin_key().expose()), text(vector, "pin_key_hex"), "PIN key of {name}");

        let pins = list(vector, "encrypted_pins");
        assert!(pins.len() >= 4, "{name}");
        for pin in pins {
            let encrypted = EncryptedPin::from_base64(text(pin, "ciphertext")).unwrap();
            let block = session.pin_key().decrypt(&encrypted).unwrap();
            let opened = &pin["opened"];
            let client = text(pin, "client");
            assert_eq!(hex(block.secret().expose()), text(opened, "secret_hex"), "{name}, {client}");
            assert_eq!(block.timestamp(), opened["timestamp"], "{name}, {client}");
            assert_eq!(block.iterator().to_string(), text(opened, "iterator"), "{name}, {client}");
        }

        let key = VerifyingKey::from_text(text(vector, "public_key")).unwrap();
        for request in list(vector, "tokens") {
            let jws = Jws::parse(text(request, "token")).unwrap();
            jws.verify(&key).unwrap_or_else(|e| panic!("{name}, {}: {e}", text(request, "client")));
            assert_eq!(claimed_hash(&jws), hash_of(request), "{name}, {}", text(request, "client"));
        }
    }
}

#[test]
fn the_keystore_of_2020_has_the_same_pin_key() {
    let clients = vectors("clients.json");
    let vector = list(&clients, "sessions").iter().find(|s| s["keystore_2020"].is_object()).unwrap();
    let old = &vector["keystore_2020"];
    let key = Ed25519Key::from_text(text(old, "private_key")).unwrap();
    assert_eq!(key.public_key(), Ed25519PublicKey::from_text(text(vector, "public_key")).unwrap());
    let server = X25519PublicKey::from_base64(text(old, "pin_token")).unwrap();
    assert_eq!(hex(key.agree(&server).unwrap().expose()), text(vector, "pin_key_hex"));
}

#[test]
fn ciphertexts_equal_those_of_mixins_dart_client() {
    let dart = vectors("mixin-dart.json");
    let key = Ed25519Key::from_text(text(&dart, "private_key")).unwrap();
    let server = X25519PublicKey::from_base64(text(&dart, "pin_token")).unwrap();
    let pin_key = key.agree(&server).unwrap();
    let pin = Pin::new(text(&dart, "pin")).unwrap();
    let block = hazmat::block(pin, dart["timestamp"].as_u64().unwrap(), dart["iterator"].as_u64().unwrap());
    let iv = unhex(text(&dart, "iv_hex")).try_into().unwrap();
    let encrypted = hazmat::encrypt_with_iv(&pin_key, &block, &iv);
    assert_eq!(encrypted.to_url_safe().as_str(), text(&dart, "ciphertext"));
    assert_eq!(pin_key.decrypt(&encrypted).unwrap(), block);
}

#[test]
fn a_pin_token_unwraps_under_its_own_session_id_only() {
    let clients = vectors("clients.json");
    let keystore = &list(&clients, "sessions")[0]["keystore"];
    let key = RsaKey::from_pem(text(keystore, "private_key")).unwrap();
    let pin_token = PinToken::from_base64(text(keystore, "pin_token")).unwrap();
    let wrong_label = Uuid::from_u128(1);
    assert_eq!(key.unwrap_pin_key(&pin_token, wrong_label, &mut rng()).unwrap_err(), Error::PinToken);
    let right: Uuid = text(keystore, "session_id").parse().unwrap();
    assert!(key.unwrap_pin_key(&pin_token, right, &mut rng()).is_ok());
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

    let clients = vectors("clients.json");
    for vector in &list(&clients, "sessions")[..2] {
        let key = RsaKey::from_pem(text(&vector["keystore"], "private_key")).unwrap();
        let public = VerifyingKey::from_text(text(vector, "public_key")).unwrap();
        assert_eq!(VerifyingKey::Rsa(key.public_key()), public);
        assert_eq!(public.to_session_secret().unwrap(), text(vector, "public_key"));
        let again = RsaKey::from_pem(&key.to_pkcs1_pem().unwrap()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
    }
}

fn session(keystore: &Value) -> Session {
    let user_field = if keystore["app_id"].is_string() { "app_id" } else { "client_id" };
    let user_id = text(keystore, user_field).parse().unwrap();
    let session_id = text(keystore, "session_id").parse().unwrap();
    if keystore["private_key"].is_string() {
        let key = RsaKey::from_pem(text(keystore, "private_key")).unwrap();
        let pin_token = PinToken::from_base64(text(keystore, "pin_token")).unwrap();
        Session::rsa(user_id, session_id, key, &pin_token, &mut rng()).unwrap()
    } else {
        let key = Ed25519Key::from_text(text(keystore, "session_private_key")).unwrap();
        let server = Ed25519PublicKey::from_text(text(keystore, "server_public_key")).unwrap();
        Session::ed25519(user_id, session_id, key, &server.to_x25519().unwrap()).unwrap()
    }
}

#[test]
fn nist_cbc_vectors_decrypt() {
    let nist = vectors("nist-cbc.json");
    let decrypt = |key: &[u8], iv: &[u8], vector: &Value| {
        let mut blocks = unhex(text(vector, "ciphertext"));
        hazmat::decrypt_blocks(&PinKey::from_bytes(key).unwrap(), iv.try_into().unwrap(), &mut blocks).unwrap();
        assert_eq!(hex(&blocks), text(vector, "plaintext"));
    };
    let (modes, boxes) = (list(&nist, "sp800_38a"), list(&nist, "gfsbox_256"));
    assert_eq!((modes.len(), boxes.len()), (1, 5));
    for vector in modes {
        decrypt(&unhex(text(vector, "key")), &unhex(text(vector, "iv")), vector);
    }
    for vector in boxes {
        decrypt(&[0; 32], &[0; 16], vector);
    }
}
