//! Sessions, secrets and tokens return the parts that they were made of.
#![cfg(all(feature = "rsa", feature = "ed25519"))]

mod common;

use std::time::Duration;

use common::{NOW, hex, rng, testdata};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::token::{Jws, RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    Ed25519Key, Error, OAuthSession, Pin, PinBlock, PinKey, RsaKey, Secret, SecretKind, Session, hazmat,
};

const IDS: [Uuid; 3] = [Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3)];

#[test]
fn a_session_with_another_signer_keeps_its_ids_and_pin_key() {
    let server = Ed25519Key::generate(&mut rng()).public_key().to_x25519().unwrap();
    let key = Ed25519Key::generate(&mut rng());
    let public_key = key.public_key();
    let session = Session::ed25519(IDS[0], IDS[1], key, &server).unwrap();
    let pin_key = *session.pin_key().expose();
    let session = session.map_signer(Box::new);
    assert_eq!((session.user_id(), session.session_id()), (IDS[0], IDS[1]));
    assert_eq!(*session.pin_key().expose(), pin_key);

    let hash = RequestHash::of("GET", "/me", b"");
    let claims = session.claims(hash, IDS[2], NOW, Duration::from_secs(60)).unwrap();
    let token = session.sign(&claims, &mut rng()).unwrap();
    let jws = Jws::parse(token.as_str()).unwrap();
    assert_eq!(jws.header().unwrap(), br#"{"alg":"EdDSA","typ":"JWT"}"#);
    jws.verify(&VerifyingKey::Ed25519(public_key)).unwrap();
}

#[test]
fn an_oauth_session_signs_for_its_app() {
    let (key, server) = (Ed25519Key::generate(&mut rng()), Ed25519Key::generate(&mut rng()));
    let public_key = VerifyingKey::Ed25519(key.public_key());
    let session = OAuthSession::new(IDS[0], IDS[1], "PROFILE:READ", key, server.public_key()).unwrap();
    let session = session.map_signer(Box::new);
    assert_eq!((session.app_id(), session.authorization_id(), session.scope()), (IDS[0], IDS[1], "PROFILE:READ"));
    assert_eq!(session.server_key(), &VerifyingKey::Ed25519(server.public_key()));
    let claims = session.claims(RequestHash::of("GET", "/me", b""), IDS[2], NOW, Duration::from_secs(60)).unwrap();
    let token = session.sign(&claims, &mut rng()).unwrap();
    let payload = Jws::parse(token.as_str()).unwrap();
    payload.verify(&public_key).unwrap();
    let claims = payload.payload().unwrap();
    assert!(String::from_utf8(claims).unwrap().contains(&format!(r#""aid":"{}""#, IDS[1])));
}

#[test]
fn blocks_and_copies_keep_their_secrets() {
    let pin = Pin::new("314159").unwrap();
    for secret in [Secret::from(&pin), Secret::TipKey([4; 40]), Secret::TipSignature([5; 64])] {
        let copy = Secret::from(&secret);
        let kind = copy.kind();
        let encrypted = hazmat::encrypt_with_iv(&PinKey::generate(&mut rng()), &hazmat::block(copy, 1, 2), &[3; 16]);
        assert_eq!(encrypted.kind(), kind);
        let block: PinBlock = hazmat::block(Secret::from(&secret), 1, 2);
        assert_eq!(*block.secret(), secret);
    }
    assert_eq!(Secret::from(&pin).kind(), SecretKind::SixDigits);
    assert_eq!(hazmat::decrypt_blocks(&PinKey::generate(&mut rng()), &[0; 16], &mut [0; 17]), Err(Error::Decrypt));
}

#[test]
fn a_generated_tip_key_is_the_key_of_its_seed() {
    let (key, seed) = TipKey::generate(&mut rng());
    assert_eq!(key.public_key(), TipKey::from_seed(&seed).public_key());
    let scalar = [0x40; 32];
    let read = TipKey::scalar_from_text(&hex(&scalar)).unwrap();
    assert_eq!(read.public_key(), TipKey::from_scalar(&scalar).unwrap().public_key());
}

#[test]
fn a_written_rsa_public_key_is_read_back() {
    let key = VerifyingKey::Rsa(RsaKey::from_pem(&testdata("rsa-2048-pkcs8.pem")).unwrap().public_key());
    let text = key.to_session_secret().unwrap();
    assert_eq!(VerifyingKey::from_text(&text).unwrap(), key);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n");
    let wrapped: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = pem.replace(&text, &wrapped.join("\n"));
    assert_eq!(VerifyingKey::from_text(&pem).unwrap(), key);
    assert_eq!(VerifyingKey::from_text(&pem.replace("PUBLIC KEY", "CERTIFICATE")), Err(Error::PublicKey));
    let private = testdata("rsa-2048-pkcs8.pem").replace("PRIVATE KEY", "EC PRIVATE KEY");
    assert_eq!(RsaKey::from_pem(&private).unwrap_err(), Error::RsaPem);
}
