//! The form in which PINs are stored: a keyed hash.

use hmac::{Hmac, KeyInit, Mac};
use mixin_pin_core::Pin;
use mixin_pin_core::rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::Error;

/// Separates this use of a key from every other: in databases of version 8 and older, a session's PIN key was also its hash
/// key.
const LABEL: &[u8] = b"mixin-pin-sandbox PIN";

/// The key of a user's hashes. It stays when the session gets a new key, and so the PIN stays.
pub(crate) struct HashKey(Zeroizing<[u8; 32]>);

impl HashKey {
    pub(crate) fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *key);
        Self(key)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        bytes.try_into().map(|key| Self(Zeroizing::new(key))).map_err(|_| Error::DatabaseContent)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

/// HMAC-SHA-256 of a PIN under its user's hash key. Two users with the same PIN have different hashes.
///
/// # Security
/// The key is in the same database: an attacker who reads all of it can try the million PINs. The hash protects a PIN
/// if only this column leaks, as in a log.
pub(crate) struct PinHash([u8; 32]);

impl PinHash {
    pub(crate) fn of(pin: &Pin, key: &HashKey) -> Result<Self, Error> {
        Ok(Self(mac(pin, key)?.finalize().into_bytes().into()))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        bytes.try_into().map(Self).map_err(|_| Error::DatabaseContent)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time.
    pub(crate) fn matches(&self, pin: &Pin, key: &HashKey) -> Result<bool, Error> {
        Ok(mac(pin, key)?.verify_slice(&self.0).is_ok())
    }
}

fn mac(pin: &Pin, key: &HashKey) -> Result<Hmac<Sha256>, Error> {
    // HMAC accepts keys of any length.
    let mut mac = Hmac::new_from_slice(key.expose()).map_err(|_| Error::DatabaseContent)?;
    mac.update(LABEL);
    mac.update(pin.expose());
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_pin_and_key() {
        let (pin, other) = (Pin::new("123456").unwrap(), Pin::new("123457").unwrap());
        let (key, other_key) = (HashKey::from_bytes(&[1; 32]).unwrap(), HashKey::from_bytes(&[2; 32]).unwrap());
        let hash = PinHash::of(&pin, &key).unwrap();
        assert!(hash.matches(&pin, &key).unwrap());
        assert!(!hash.matches(&other, &key).unwrap());
        assert!(!hash.matches(&pin, &other_key).unwrap());
        assert!(PinHash::from_bytes(hash.as_bytes()).unwrap().matches(&pin, &key).unwrap());
        assert!(PinHash::from_bytes(b"123456").is_err());
    }
}
