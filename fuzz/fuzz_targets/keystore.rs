//! Reads any bytes as a keystore, without a panic. What converts gives the same session again. Errors quote nothing from the
//! file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::PinKey;
use mixin_pin_fuzz::{Counter, planted};
use mixin_pin_protocol::KeystoreError;
use mixin_pin_protocol::keystore::{Keystore, KeystoreShape, OutputShape};

/// The seeds have this value in place of secrets, and as the name of an object.
const MARK: &str = "S3CR3T";

fuzz_target!(|bytes: &[u8]| {
    let complaint = match Keystore::parse(bytes) {
        Ok(mut keystore) => {
            planted(keystore.shape() == KeystoreShape::OAuth);
            // A scope is public and may be any text.
            let shown = format!("{keystore:?}");
            assert!(keystore.shape() == KeystoreShape::OAuth || !shown.contains(MARK), "{shown}");
            for note in keystore.notes() {
                assert!(!note.to_string().contains(MARK));
            }
            let again: Vec<_> = OutputShape::ALL.into_iter().filter_map(|shape| rewritten(&keystore, shape)).collect();
            if let Some(key) = keystore.take_spend_key() {
                let _ = key.to_tip_key(None);
            }
            let session = session(keystore);
            for (shape, other) in again {
                match (&session, other) {
                    (Ok(one), Ok(two)) => assert!(one.is_same(&two), "{shape} gives another PIN key"),
                    (Err(one), Err(two)) => assert_eq!(one.to_string(), two.to_string(), "{shape}"),
                    (one, two) => panic!("{shape}: {:?}, {:?}", one.as_ref().err(), two.err()),
                }
            }
            session.err()
        }
        Err(error) => Some(error),
    };
    if let Some(complaint) = complaint {
        let said = format!("{complaint} {complaint:?}");
        assert!(!said.contains(MARK), "{said}");
        assert!(said.len() < 1000, "an error message of {} bytes", said.len());
    }
});

/// What the keystore gives when it was written in a shape and read again. None if the shape cannot hold it.
fn rewritten(keystore: &Keystore, shape: OutputShape) -> Option<(OutputShape, Result<PinKey, KeystoreError>)> {
    let written = keystore.write(shape, false).ok()?;
    let again = Keystore::parse(written.text.as_bytes()).expect("what was written is read");
    assert_eq!((again.user_id(), again.session_id()), (keystore.user_id(), keystore.session_id()), "{shape}");
    assert_eq!((again.public_key(), again.pin_token()), (keystore.public_key(), keystore.pin_token()), "{shape}");
    Some((shape, session(again)))
}

/// The PIN key of the session. For OAuth, which has none, the seed of its key stands for it.
fn session(keystore: Keystore) -> Result<PinKey, KeystoreError> {
    match keystore.shape() {
        KeystoreShape::OAuth => {
            let session = keystore.into_oauth_signer()?;
            Ok(PinKey::from_bytes(session.signer().expose_seed()).expect("32 bytes"))
        }
        KeystoreShape::RemoteSigner => {
            Ok(PinKey::from_bytes(keystore.into_remote_session()?.pin_key().expose()).expect("32 bytes"))
        }
        _ => {
            Ok(PinKey::from_bytes(keystore.into_session(&mut Counter::default())?.pin_key().expose())
                .expect("32 bytes"))
        }
    }
}
