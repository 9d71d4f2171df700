//! Fast keys make the same signatures as the core's own keys.

use getrandom::{SysRng, rand_core::UnwrapErr};
use mixin_pin_accel::{Backend, FastKey};
use mixin_pin_core::token::{Jws, Signer, VerifyingKey};
use mixin_pin_core::{Ed25519Key, Error, RsaKey, SessionKey};
use proptest::prelude::*;

fn sign<S: Signer>(signer: &S, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; signer.signature_len()];
    signer.sign(message, &mut UnwrapErr(SysRng), &mut signature).unwrap();
    signature
}

fn rsa(bits: usize) -> [SessionKey; 2] {
    let key = RsaKey::generate(&mut UnwrapErr(SysRng), bits).unwrap();
    let again = RsaKey::from_pem(&key.to_pkcs1_pem().unwrap()).unwrap();
    [SessionKey::Rsa(key), SessionKey::Rsa(again)]
}

fn assert_same(pure: &SessionKey, fast: &FastKey, message: &[u8]) {
    assert_eq!(fast.algorithm(), pure.algorithm());
    assert_eq!(fast.signature_len(), pure.signature_len());
    assert_eq!(sign(fast, message), sign(pure, message));
}

/// The library for an RSA key of this size.
const fn backend(bits: usize) -> Backend {
    match bits {
        2048.. => Backend::AwsLc,
        _ if cfg!(feature = "openssl") => Backend::OpenSsl,
        _ => Backend::Pure,
    }
}

#[test]
fn rsa_signatures_are_the_same_at_every_size() {
    for bits in [1024, 2048, 3072] {
        let [pure, key] = rsa(bits);
        let fast = FastKey::from(key);
        assert_eq!(fast.backend(), backend(bits), "{bits}");
        for len in [0, 1, 120, 4096] {
            assert_same(&pure, &fast, &vec![0x5a; len]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ed25519_signatures_are_the_same(seed: [u8; 32], message: Vec<u8>) {
        let key = || SessionKey::Ed25519(Ed25519Key::from_bytes(&seed).unwrap());
        let fast = FastKey::from(key());
        prop_assert_eq!(fast.backend(), Backend::AwsLc);
        assert_same(&key(), &fast, &message);
    }
}

#[test]
fn a_buffer_of_another_length_is_an_error() {
    let mut keys = vec![SessionKey::Ed25519(Ed25519Key::from_bytes(&[7; 32]).unwrap())];
    for bits in [1024, 2048] {
        let [key, _] = rsa(bits);
        keys.push(key);
    }
    for fast in keys.into_iter().map(FastKey::from) {
        for len in [0, fast.signature_len() - 1, fast.signature_len() + 1] {
            let refused = fast.sign(b"message", &mut UnwrapErr(SysRng), &mut vec![0; len]);
            assert_eq!(refused.unwrap_err().to_string(), Error::Signer.to_string(), "{fast:?} {len}");
        }
    }
}

#[test]
fn a_fast_signature_is_valid_and_the_key_is_not_shown() {
    use std::time::Duration;

    use mixin_pin_core::uuid::Uuid;
    use mixin_pin_core::{PinKey, Session, UnixTime, token::RequestHash};

    let [pure, key] = rsa(2048);
    let SessionKey::Rsa(pure) = pure else { unreachable!("made of RSA") };
    let pin_key = PinKey::from_bytes(&[1; 32]).unwrap();
    let session = Session::from_parts(Uuid::from_u128(1), Uuid::from_u128(2), key, pin_key).map_signer(FastKey::from);
    let now = UnixTime::from_secs(1_700_000_000);
    let hash = RequestHash::of("GET", "/me", b"");
    let claims = session.claims(hash, Uuid::from_u128(3), now, Duration::from_secs(60)).unwrap();
    let token = session.sign(&claims, &mut UnwrapErr(SysRng)).unwrap();
    Jws::parse(token.as_str()).unwrap().verify(&VerifyingKey::Rsa(pure.public_key())).unwrap();
    assert_eq!(format!("{:?}", session.signer()), "FastKey(AwsLc)");
}
