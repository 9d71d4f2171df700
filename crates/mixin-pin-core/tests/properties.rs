//! Properties of every input.
#![cfg(feature = "alloc")]

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use mixin_pin_core::token::RequestHash;
use mixin_pin_core::{EncryptedPin, MonotonicNonces, NonceSource, Pin, PinBlock, PinKey, Secret, UnixTime, hazmat};
use proptest::prelude::*;

/// The bytes of a secret, from which one is made as often as needed.
#[derive(Debug, Clone)]
enum Plain {
    Digits(String),
    TipKey([u8; 40]),
    TipSignature([u8; 64]),
}

impl Plain {
    fn secret(&self) -> Secret {
        match self {
            Self::Digits(text) => Pin::new(text).unwrap().into(),
            Self::TipKey(bytes) => Secret::TipKey(*bytes),
            Self::TipSignature(bytes) => Secret::TipSignature(*bytes),
        }
    }
}

fn plain() -> impl Strategy<Value = Plain> {
    prop_oneof![
        "[0-9]{6}".prop_map(Plain::Digits),
        (any::<[u8; 32]>(), any::<u64>()).prop_map(|(key, counter)| {
            let mut bytes = [0; 40];
            bytes[..32].copy_from_slice(&key);
            bytes[32..].copy_from_slice(&counter.to_be_bytes());
            Plain::TipKey(bytes)
        }),
        (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(r, s)| {
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(&r);
            bytes[32..].copy_from_slice(&s);
            Plain::TipSignature(bytes)
        }),
    ]
}

fn block(plain: &Plain, timestamp: u64, iterator: u64) -> PinBlock {
    hazmat::block(plain.secret(), timestamp, iterator)
}

proptest! {
    #[test]
    fn an_encrypted_block_decrypts_to_itself(
        key in any::<[u8; 32]>(), iv in any::<[u8; 16]>(), plain in plain(), timestamp: u64, iterator: u64,
    ) {
        let key = PinKey::from_bytes(&key).unwrap();
        let encrypted = hazmat::encrypt_with_iv(&key, &block(&plain, timestamp, iterator), &iv);
        prop_assert_eq!(&encrypted.as_bytes()[..16], &iv);
        prop_assert_eq!(key.decrypt(&encrypted).unwrap(), block(&plain, timestamp, iterator));
        for text in [encrypted.to_standard(), encrypted.to_url_safe()] {
            prop_assert_eq!(&EncryptedPin::from_base64(text.as_str()).unwrap(), &encrypted);
        }
    }

    #[test]
    fn a_ciphertext_with_a_flipped_bit_does_not_decrypt_to_the_same_block(
        key in any::<[u8; 32]>(), iv in any::<[u8; 16]>(), plain in plain(), timestamp: u64, iterator: u64,
        at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let key = PinKey::from_bytes(&key).unwrap();
        let encrypted = hazmat::encrypt_with_iv(&key, &block(&plain, timestamp, iterator), &iv);
        let mut bytes = encrypted.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // CBC has no authentication: the changed ciphertext may decrypt, but never to the same block.
        if let Ok(decrypted) = key.decrypt(&EncryptedPin::from_bytes(&bytes).unwrap()) {
            prop_assert_ne!(decrypted, block(&plain, timestamp, iterator));
        }
    }

    #[test]
    fn a_shorter_or_longer_ciphertext_does_not_decrypt_to_the_same_block(
        key in any::<[u8; 32]>(), iv in any::<[u8; 16]>(), plain in plain(), timestamp: u64, iterator: u64,
        keep in any::<prop::sample::Index>(), more in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let key = PinKey::from_bytes(&key).unwrap();
        let encrypted = hazmat::encrypt_with_iv(&key, &block(&plain, timestamp, iterator), &iv);
        let whole = encrypted.as_bytes();
        let shorter = whole[..keep.index(whole.len())].to_vec();
        let tail = whole[keep.index(whole.len()) + 1..].to_vec();
        let longer = [whole, &more].concat();
        for bytes in [shorter, tail, longer] {
            if let Ok(pin) = EncryptedPin::from_bytes(&bytes) && let Ok(decrypted) = key.decrypt(&pin) {
                prop_assert_ne!(decrypted, block(&plain, timestamp, iterator));
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused_without_a_panic(text in ".{0,200}") {
        let _ = EncryptedPin::from_base64(&text);
        let _ = mixin_pin_core::token::Jws::parse(&text);
        prop_assert_eq!(Pin::new(&text).is_ok(), text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit()));
    }

    #[test]
    fn the_request_hash_is_sha256_of_the_joined_parts(
        method in "[A-Z]{3,7}", path in "/[!-~]{0,60}", body in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        use sha2::Digest as _;
        let expected = sha2::Sha256::digest([method.as_bytes(), path.as_bytes(), &body].concat());
        prop_assert_eq!(RequestHash::of(&method, &path, &body).to_string(), common::hex(&expected));
    }

    #[test]
    fn nonces_strictly_increase_with_any_clock(clock in prop::collection::vec(any::<u64>(), 1..60)) {
        let nonces = MonotonicNonces::new();
        let mut last = 0;
        for nanos in clock {
            match nonces.reserve(UnixTime::from_nanos(nanos)) {
                Ok(next) => {
                    prop_assert!(next > last && next >= nanos);
                    last = next;
                }
                Err(error) => {
                    prop_assert_eq!(error, mixin_pin_core::Error::IteratorExhausted);
                    prop_assert_eq!(last, u64::MAX);
                }
            }
        }
    }
}

#[test]
fn iterators_do_not_repeat_with_eight_threads_and_a_clock_that_jumps_back() {
    const PER_THREAD: usize = 5_000;
    let nonces = MonotonicNonces::new();
    let clock = AtomicU64::new(1_795_517_646_000_000_000);
    let given: Vec<Vec<u64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let (nonces, clock) = (&nonces, &clock);
                scope.spawn(move || {
                    (0..PER_THREAD)
                        .map(|round| {
                            // Usually forward by a little, sometimes back by a whole day.
                            let now = if (round + thread) % 97 == 0 {
                                clock.fetch_sub(86_400_000_000_000, Ordering::Relaxed)
                            } else {
                                clock.fetch_add(13, Ordering::Relaxed)
                            };
                            nonces.reserve(UnixTime::from_nanos(now)).unwrap()
                        })
                        .collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for of_one in &given {
        assert!(of_one.windows(2).all(|pair| pair[0] < pair[1]), "iterators rise in each thread");
    }
    let mut all = given.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 8 * PER_THREAD, "no iterator is given out twice");
}

#[cfg(feature = "ed25519")]
mod tokens {
    use core::time::Duration;

    use mixin_pin_core::rand_core::CryptoRng;
    use mixin_pin_core::token::{Algorithm, Claims, Jws, Signer, VerifyingKey};
    use mixin_pin_core::uuid::Uuid;
    use mixin_pin_core::{Ed25519Key, Error, SignerError};

    use super::*;

    fn token_of(signer: &impl Signer) -> String {
        let hash = RequestHash::of("POST", "/pin/verify", b"{}");
        let lifetime = Duration::from_secs(60);
        Claims::new(Uuid::nil(), Uuid::nil(), Uuid::nil(), hash, common::NOW, lifetime)
            .unwrap()
            .sign(signer, &mut common::rng())
            .unwrap()
            .as_str()
            .to_owned()
    }

    /// Tries every change of one character to another base64url character or a dot, and its removal.
    fn assert_every_change_is_refused(token: &str, key: &VerifyingKey) {
        const OTHERS: &[u8] = b"AQgw-_09.";
        Jws::parse(token).unwrap().verify(key).unwrap();
        let is_valid = |text: &str| Jws::parse(text).and_then(|jws| jws.verify(key)).is_ok();
        for at in 0..token.len() {
            let (head, tail) = token.split_at(at);
            assert!(!is_valid(&format!("{head}{}", &tail[1..])), "without character {at}");
            for other in OTHERS.iter().filter(|c| **c != token.as_bytes()[at]) {
                let changed = format!("{head}{}{}", char::from(*other), &tail[1..]);
                assert!(!is_valid(&changed), "{} at {at}", char::from(*other));
            }
        }
        for changed in [format!("{token}A"), format!("A{token}"), format!("{token}="), format!("{token} ")] {
            assert!(!is_valid(&changed), "{changed}");
        }
    }

    #[test]
    fn every_change_of_an_eddsa_token_is_refused() {
        let key = Ed25519Key::from_bytes(&[9; 32]).unwrap();
        let token = token_of(&key);
        assert_every_change_is_refused(&token, &VerifyingKey::Ed25519(key.public_key()));
    }

    #[cfg(feature = "rsa")]
    #[test]
    fn every_change_of_an_rs512_token_is_refused() {
        let session = common::vector("pin-keys.json", "rsa-1024");
        let key = mixin_pin_core::RsaKey::from_pem(common::text(&session["keystore"], "private_key")).unwrap();
        let token = token_of(&key);
        assert_every_change_is_refused(&token, &VerifyingKey::Rsa(key.public_key()));
    }

    proptest! {
        #[test]
        fn a_token_is_the_same_in_one_step_in_two_and_without_a_heap(
            seed: [u8; 32], ids: [u128; 3], path in "/[!-~]{0,60}", now in 0..u64::from(u32::MAX), lifetime in 1..u64::from(u32::MAX),
        ) {
            let (key, mut rng) = (Ed25519Key::from_bytes(&seed).unwrap(), common::rng());
            let [user, session, request] = ids.map(Uuid::from_u128);
            let hash = RequestHash::of("GET", &path, b"");
            let (now, lifetime) = (UnixTime::from_secs(now), Duration::from_secs(lifetime));
            let claims = Claims::new(user, session, request, hash, now, lifetime).unwrap();

            let one_step = claims.sign(&key, &mut rng).unwrap();
            let mut buffer = [0; 1024];
            prop_assert_eq!(claims.sign_into(&key, &mut rng, &mut buffer).unwrap(), one_step.as_str());

            let unsigned = claims.unsigned(Algorithm::EdDsa);
            prop_assert_eq!(unsigned.algorithm(), Algorithm::EdDsa);
            let mut signature = [0; 64];
            key.sign(unsigned.message(), &mut rng, &mut signature).unwrap();
            let two_steps = unsigned.with_signature(&signature).unwrap();
            prop_assert_eq!(two_steps.authorization(), one_step.authorization());
        }

        #[test]
        fn only_a_signature_of_the_algorithms_length_fits(len in 0..600_usize) {
            let hash = RequestHash::of("GET", "/me", b"");
            let lifetime = Duration::from_secs(60);
            let claims = Claims::new(Uuid::nil(), Uuid::nil(), Uuid::nil(), hash, common::NOW, lifetime).unwrap();
            for (algorithm, fits) in [(Algorithm::EdDsa, len == 64), (Algorithm::Rs512, (128..=512).contains(&len))] {
                let token = claims.unsigned(algorithm).with_signature(&vec![7; len]);
                match token {
                    Ok(token) => {
                        prop_assert!(fits, "{}", algorithm);
                        prop_assert!(Jws::parse(token.as_str()).is_ok());
                    }
                    Err(error) => prop_assert_eq!((error, fits), (Error::Signer, false)),
                }
            }
        }
    }

    #[cfg(feature = "rsa")]
    #[test]
    fn an_rs512_token_is_made_in_two_steps() {
        let key = mixin_pin_core::RsaKey::from_pem(&common::testdata("rsa-2048-pkcs8.pem")).unwrap();
        let hash = RequestHash::of("GET", "/me", b"");
        let lifetime = Duration::from_secs(60);
        let claims = Claims::new(Uuid::nil(), Uuid::nil(), Uuid::nil(), hash, common::NOW, lifetime).unwrap();
        let unsigned = claims.unsigned(Algorithm::Rs512);
        let mut signature = [0; 256];
        key.sign(unsigned.message(), &mut common::rng(), &mut signature).unwrap();
        let token = unsigned.with_signature(&signature).unwrap();
        Jws::parse(token.as_str()).unwrap().verify(&VerifyingKey::Rsa(key.public_key())).unwrap();
        let mut buffer = [0; 1024];
        assert_eq!(claims.sign_into(&key, &mut common::rng(), &mut buffer).unwrap(), token.as_str());
    }

    /// A signer with any algorithm and length.
    struct Odd(Algorithm, usize);

    impl Signer for Odd {
        fn algorithm(&self) -> Algorithm {
            self.0
        }

        fn signature_len(&self) -> usize {
            self.1
        }

        fn sign(&self, _: &[u8], _: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
            signature.fill(7);
            Ok(())
        }
    }

    #[test]
    fn a_signer_that_does_not_fit_its_algorithm_is_refused() {
        use std::error::Error as _;

        let hash = RequestHash::of("GET", "/me", b"");
        let lifetime = Duration::from_secs(60);
        let claims = Claims::new(Uuid::nil(), Uuid::nil(), Uuid::nil(), hash, common::NOW, lifetime).unwrap();
        let mut rng = common::rng();
        for odd in [
            Odd(Algorithm::EdDsa, 63),
            Odd(Algorithm::EdDsa, 128),
            Odd(Algorithm::Rs512, 64),
            Odd(Algorithm::Rs512, 513),
        ] {
            assert_eq!(claims.sign(&odd, &mut rng).unwrap_err(), Error::Signer);
            assert_eq!(claims.sign_into(&odd, &mut rng, &mut [0; 2048]), Err(Error::Signer));
            let error = claims.unsigned(odd.0).sign(&odd, &mut rng).unwrap_err();
            assert!(error.source().unwrap().to_string().contains("length"), "{error:?}");
        }
        let error = claims.unsigned(Algorithm::Rs512).sign(&Odd(Algorithm::EdDsa, 64), &mut rng).unwrap_err();
        assert!(error.source().unwrap().to_string().contains("algorithm"), "{error:?}");
    }

    #[test]
    fn a_token_of_another_key_is_refused() {
        let token = token_of(&Ed25519Key::from_bytes(&[9; 32]).unwrap());
        let other = Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key();
        assert!(Jws::parse(&token).unwrap().verify(&VerifyingKey::Ed25519(other)).is_err());
    }
}
