//! Signers of every kind behind one type; the core's own keys in faster hands where the feature `accel` has them.

use mixin_pin_core::token::Signer;

pub(crate) type BoxSigner = Box<dyn Signer + Send + Sync>;

#[cfg(not(feature = "accel"))]
pub(crate) fn boxed<S: Signer + Send + Sync + 'static>(signer: S) -> BoxSigner {
    Box::new(signer)
}

#[cfg(feature = "accel")]
pub(crate) fn boxed<S: Signer + Send + Sync + 'static>(signer: S) -> BoxSigner {
    use std::any::Any;

    use mixin_pin_accel::FastKey;
    use mixin_pin_core::{Ed25519Key, SessionKey};

    // Only the core's own keys are handed on; whoever brings a signer of theirs has chosen it.
    let mut signer = Some(signer);
    let any: &mut dyn Any = &mut signer;
    if let Some(key) = any.downcast_mut::<Option<SessionKey>>().and_then(Option::take) {
        return Box::new(FastKey::from(key));
    }
    let any: &mut dyn Any = &mut signer;
    if let Some(key) = any.downcast_mut::<Option<Ed25519Key>>().and_then(Option::take) {
        return Box::new(FastKey::from(SessionKey::Ed25519(key)));
    }
    match signer {
        Some(signer) => Box::new(signer),
        // Taken only where it was returned.
        None => unreachable!("a signer is either one of the core's or not"),
    }
}

#[cfg(test)]
mod tests {
    use mixin_pin_core::token::Algorithm;
    use mixin_pin_core::{Ed25519Key, Error, RsaKey, SessionKey, SystemRng, rand_core::CryptoRng};

    use super::*;

    fn sign(signer: &dyn Signer) -> Vec<u8> {
        let mut signature = vec![0; signer.signature_len()];
        signer.sign(b"message", &mut SystemRng::new().unwrap(), &mut signature).unwrap();
        signature
    }

    #[test]
    fn every_key_signs_as_before() {
        let key = || Ed25519Key::from_bytes(&[7; 32]).unwrap();
        let expected = sign(&key());
        assert_eq!(sign(&*boxed(key())), expected);
        assert_eq!(sign(&*boxed(SessionKey::Ed25519(key()))), expected);
        for bits in [1024, 2048] {
            let key = RsaKey::generate(&mut SystemRng::new().unwrap(), bits).unwrap();
            let expected = sign(&key);
            assert_eq!(sign(&*boxed(SessionKey::Rsa(key))), expected);
        }
    }

    /// As a device that holds a key.
    struct Foreign;

    impl Signer for Foreign {
        fn algorithm(&self) -> Algorithm {
            Algorithm::EdDsa
        }

        fn signature_len(&self) -> usize {
            3
        }

        fn sign(&self, _: &[u8], _: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), Error> {
            signature.copy_from_slice(b"own");
            Ok(())
        }
    }

    #[test]
    fn a_signer_of_somebody_elses_is_taken_as_it_is() {
        assert_eq!(sign(&*boxed(Foreign)), b"own");
    }
}
