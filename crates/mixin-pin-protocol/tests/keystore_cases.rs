//! Keystores as people have them: the files in `testdata/keystores`, whose index says what becomes of each, and variants of
//! them.

use std::fs;
use std::path::Path;

use mixin_pin_protocol::KeystoreError;
use mixin_pin_protocol::core::rand_core::CryptoRng;
use mixin_pin_protocol::keystore::{Keystore, KeystoreNote, KeystoreShape, ServerKeyKind};
use serde::Deserialize;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/keystores");

#[derive(Deserialize)]
struct Case {
    file: String,
    reads: bool,
    user_id: Option<String>,
    session_id: Option<String>,
    pin_key_hex: Option<String>,
    error_names: Vec<String>,
}

fn rng() -> impl CryptoRng {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn read(file: &str) -> Vec<u8> {
    fs::read(Path::new(FOLDER).join(file)).unwrap()
}

fn text(file: &str) -> String {
    String::from_utf8(read(file)).unwrap()
}

fn pin_key(keystore: Keystore) -> String {
    base16ct::lower::encode_string(keystore.into_session(&mut rng()).unwrap().pin_key().expose())
}

#[test]
fn every_file_comes_out_as_its_index_says() {
    let cases: Vec<Case> = serde_json::from_slice(&read("index.json")).unwrap();
    assert_eq!(cases.len(), 27);
    for Case { file, reads, user_id, session_id, pin_key_hex, error_names } in cases {
        match Keystore::parse(&read(&file)) {
            Ok(keystore) => {
                assert!(reads, "{file} reads");
                let Some(expected) = pin_key_hex else {
                    assert_eq!(keystore.shape(), KeystoreShape::OAuth, "{file}");
                    continue;
                };
                assert_eq!(Some(keystore.user_id().to_string()), user_id, "{file}");
                assert_eq!(Some(keystore.session_id().to_string()), session_id, "{file}");
                assert_eq!(pin_key(keystore), expected, "{file}");
            }
            Err(error) => {
                assert!(!reads, "{file}: {error}");
                let said = error.to_string();
                assert!(error_names.iter().all(|name| said.contains(name.as_str())), "{file}: {said}");
            }
        }
    }
}
