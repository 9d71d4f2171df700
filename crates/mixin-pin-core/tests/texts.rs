//! Values as text, and references and boxes in place of their targets.
#![cfg(all(feature = "rsa", feature = "ed25519", feature = "getrandom"))]

mod common;

use std::time::Duration;

use common::{rng, text};
use mixin_pin_core::tip::Amount;
use mixin_pin_core::token::{Algorithm, Jws, RequestHash, Signer, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    CodeVerifier, Ed25519Key, MonotonicNonces, NonceSource, OAuthSession, Pin, PinBlock, PinKey, PinToken, RsaKey,
    SecretKind, Session, SystemRng, X25519PublicKey, hazmat,
};

#[test]
fn values_are_shown_under_the_protocols_names() {
    assert_eq!(SecretKind::ALL.map(|kind| kind.to_string()), ["six-digit", "tip-key", "tip-signature"]);
    assert_eq!([Algorithm::Rs512, Algorithm::EdDsa].map(|algorithm| algorithm.to_string()), ["RS512", "EdDSA"]);
    assert_eq!(Amount::new("1.50").unwrap().to_string(), "1.5");
}

#[test]
fn an_encrypted_pin_is_shown_as_it_is_sent() {
    let key = PinKey::from_bytes(&[7; 32]).unwrap();
    let encrypted = hazmat::encrypt_with_iv(&key, &hazmat::block(Pin::new("123456").unwrap(), 1, 2), &[0; 16]);
    let encoded = encrypted.to_url_safe();
    assert_eq!(encoded.as_str().len(), 64);
    assert_eq!(encoded.to_string(), encoded.as_str());
    assert!(format!("{encoded:?}").contains("EncodedPin"));
    assert!(format!("{encrypted:?}").contains("EncryptedPin"));
}

#[test]
fn written_keys_are_read_back() {
    let key = Ed25519Key::from_bytes(&[7; 32]).unwrap();
    let public = key.public_key();
    assert_eq!(public.to_base64_url().len(), 43);
    assert_eq!(VerifyingKey::from_text(&public.to_base64_url()).unwrap(), VerifyingKey::Ed25519(public.clone()));
    assert_eq!(key.to_base64_url().len(), 86);
    assert_eq!(Ed25519Key::from_text(&key.to_base64_url()).unwrap().public_key(), public);
    let verifying = VerifyingKey::Ed25519(public.clone());
    assert_eq!(VerifyingKey::from_text(&verifying.to_session_secret().unwrap()).unwrap(), verifying);

    let montgomery = public.to_x25519().unwrap();
    let read = X25519PublicKey::from_base64(&montgomery.to_base64_url()).unwrap();
    assert_eq!(read, montgomery);
    let other = Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key().to_x25519().unwrap();
    assert_ne!(other, montgomery);
    assert_eq!(PinToken::from_base64("dG9rZW4").unwrap().to_base64(), "dG9rZW4=");

    let rsa = RsaKey::from_pem(&common::testdata("rsa-2048-pkcs8.pem")).unwrap().public_key();
    assert!(format!("{rsa:?}").contains("RsaPublicKey"));
}

#[test]
fn debug_does_not_show_a_received_token() {
    let vector = common::vector("tokens.json", "docs-1");
    let token = text(&vector, "token");
    let shown = format!("{:?}", Jws::parse(token).unwrap());
    assert!(shown.contains("Jws") && !shown.contains(token.rsplit('.').next().unwrap()), "{shown}");
}

#[test]
fn debug_does_not_show_a_signed_token() {
    let session = session();
    let hash = RequestHash::of("GET", "/me", b"");
    let claims = session.claims(hash, Uuid::nil(), common::NOW, Duration::from_secs(60)).unwrap();
    let token = session.sign(&claims, &mut rng()).unwrap();
    let shown = format!("{token:?}");
    assert!(shown.contains("Token") && !shown.contains(token.as_str().rsplit('.').next().unwrap()), "{shown}");
    let unsigned = claims.unsigned(Algorithm::EdDsa);
    let message = std::str::from_utf8(unsigned.message()).unwrap();
    let shown = format!("{unsigned:?}");
    assert!(shown.contains("UnsignedToken") && !shown.contains(message.rsplit('.').next().unwrap()), "{shown}");
}

fn session() -> Session {
    let server = Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key().to_x25519().unwrap();
    let key = Ed25519Key::from_bytes(&[7; 32]).unwrap();
    Session::ed25519(Uuid::from_u128(1), Uuid::from_u128(2), key, &server).unwrap()
}

#[test]
fn references_and_boxes_behave_as_their_targets() {
    let key = Ed25519Key::from_bytes(&[7; 32]).unwrap();
    let mut expected = [0; 64];
    key.sign(b"message", &mut rng(), &mut expected).unwrap();
    let check = |signer: &dyn Signer| {
        let mut signature = [0; 64];
        signer.sign(b"message", &mut rng(), &mut signature).unwrap();
        assert_eq!((signature, signer.signature_len(), signer.algorithm()), (expected, 64, Algorithm::EdDsa));
    };
    check(&&key);
    check(&(Box::new(Ed25519Key::from_bytes(&[7; 32]).unwrap()) as Box<dyn Signer>));
    let nonces = MonotonicNonces::starting_after(41);
    let by_reference: &MonotonicNonces = &nonces;
    assert_eq!(NonceSource::reserve(&by_reference, mixin_pin_core::UnixTime::from_secs(0)), Ok(42));
}

#[test]
fn an_oauth_session_has_its_scope_and_each_code_its_challenge() {
    let server = Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key();
    let key = Ed25519Key::from_bytes(&[7; 32]).unwrap();
    let session = OAuthSession::new(Uuid::nil(), Uuid::nil(), "PROFILE:READ", key, server).unwrap();
    assert_eq!(session.scope(), "PROFILE:READ");
    // SHA-256 of the verifier's bytes, in unpadded base64url: 43 characters, as Mixin's clients make it.
    let verifier = CodeVerifier::generate(&mut rng());
    assert_eq!(verifier.challenge().len(), 43);
    assert_ne!(verifier.challenge(), CodeVerifier::generate(&mut rng()).challenge());
}

#[test]
fn randomness_is_random() {
    fn differ(mut rng: impl mixin_pin_core::rand_core::CryptoRng) {
        // All three numbers of 32 bits are alike once in 2⁶⁴.
        let small = [rng.next_u32(), rng.next_u32(), rng.next_u32()];
        assert!(small[0] != small[1] || small[1] != small[2]);
        assert_ne!(rng.next_u64(), rng.next_u64());
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        assert_ne!(bytes, [0; 32]);
    }
    differ(SystemRng::new().unwrap());
}

#[test]
fn debug_shows_a_block_without_its_secret() {
    let nonce = MonotonicNonces::new().next(common::NOW).unwrap();
    let shown = format!("{:?}", PinBlock::new(Pin::new("739146").unwrap(), nonce));
    assert!(shown.contains("PinBlock") && !shown.contains("739146"), "{shown}");
}
