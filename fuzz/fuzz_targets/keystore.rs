//! Reads any bytes as a keystore, without a panic. Errors quote nothing from the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mixin_pin_fuzz::{Counter, planted};
use mixin_pin_protocol::keystore::{Keystore, KeystoreShape};

/// The seeds have this value in place of secrets.
const MARK: &str = "S3CR3T";

fuzz_target!(|bytes: &[u8]| {
    let complaint = match Keystore::parse(bytes) {
        Ok(mut keystore) => {
            planted(keystore.shape() == KeystoreShape::OAuth);
            if let Some(key) = keystore.take_spend_key() {
                let _ = key.to_tip_key(None);
            }
            // A scope is public and may be any text.
            let shown = format!("{keystore:?}");
            assert!(keystore.shape() == KeystoreShape::OAuth || !shown.contains(MARK), "{shown}");
            match keystore.shape() {
                KeystoreShape::OAuth => keystore.into_oauth_session().err(),
                KeystoreShape::RemoteSigner => keystore.into_remote_session().err(),
                _ => keystore.into_session(&mut Counter::default()).err(),
            }
        }
        Err(error) => Some(error),
    };
    if let Some(complaint) = complaint {
        let said = format!("{complaint} {complaint:?}");
        assert!(!said.contains(MARK), "{said}");
        assert!(said.len() < 1000, "an error message of {} bytes", said.len());
    }
});
