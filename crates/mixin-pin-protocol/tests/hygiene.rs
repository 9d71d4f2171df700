//! Keystores leave no secret in freed memory, however they are written.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mixin_pin_protocol::core::token::Signer as _;
use mixin_pin_protocol::core::{Ed25519Key, RsaKey};
use mixin_pin_protocol::keystore::{Keystore, OutputShape, write_remote};
use mixin_pin_test_memory::{Memory, left_behind};

#[global_allocator]
static MEMORY: Memory = Memory;

#[test]
fn writing_and_reading_leave_nothing() {
    let whole = Keystore::parse(include_bytes!("../testdata/keystore-dashboard.json")).unwrap();
    let session = whole.into_session(&mut getrandom::rand_core::UnwrapErr(getrandom::SysRng)).unwrap();
    let pin_key = *session.pin_key().expose();
    let hex = base16ct::lower::encode_string(&pin_key);
    let left = left_behind(&[&pin_key[..16], &hex.as_bytes()[..16]], || {
        let text = write_remote(&session);
        let remote = Box::new(Keystore::parse(text.as_bytes()).unwrap().into_remote_session().unwrap());
        assert_eq!((*remote.signer(), remote.pin_key().expose()), (session.signer().algorithm(), &pin_key));
        remote
    });
    assert_eq!(left, 0);
}

#[test]
fn every_form_of_a_keystore_leaves_nothing() {
    const SEED: [u8; 32] = *b"a seed that is found where it is";
    const SPEND_KEY: [u8; 32] = *b"a spend key, found where it lies";
    let key = Ed25519Key::from_bytes(&SEED).unwrap();
    let pair = [&SEED[..], key.public_key().as_bytes()].concat();
    let der = [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20], &SEED[..]].concat();
    let (hex, base64) = (base16ct::lower::encode_string(&SEED), STANDARD.encode(&pair));
    let (pem, spend_key) = (STANDARD.encode(&der), base16ct::lower::encode_string(&SPEND_KEY));
    let marks: [&[u8]; 7] = [
        &SEED[8..24],
        &hex.as_bytes()[16..36],
        &base64.as_bytes()[10..30],
        &pem.as_bytes()[30..50],
        &SPEND_KEY[8..24],
        &spend_key.as_bytes()[16..36],
        b"739146",
    ];
    let form = |key: &str, pin: &str| {
        format!(
            r#"{{"app_id": "f3e9d3e5-c473-4bc2-a9b6-5b730a7a8575", "session_id": "b7bce11c-e816-4769-a90a-c61b413be460",
            "session_private_key": "{key}", "spend_key": "{spend_key}", "pin": "{pin}",
            "server_public_key": "387380cc8553d6fad4be2ecd6db5edf16ed6305ecc3f38fda9c28df31a022e80"}}"#
        )
    };
    for text in [
        form(&hex, "739146"),
        form(&format!("0x{hex}\\n"), &spend_key),
        form(&base64, &STANDARD.encode(SPEND_KEY)),
        form(&format!(" {} \\n{}", &base64[..60], &base64[60..]), "739146"),
        form(&format!("-----BEGIN PRIVATE KEY-----\\n{pem}\\n-----END PRIVATE KEY-----\\n"), "739146"),
        form(&format!("-----BEGIN PRIVATE KEY----- {pem} -----END PRIVATE KEY-----"), "739146"),
        form(&pem, "739146"),
        form(&format!("\\u{:04x}{}", hex.as_bytes()[0], &hex[1..]), "739146"),
    ] {
        let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [text.as_bytes(), &utf_16] {
            let left = left_behind(&marks, || {
                // Nothing moves out of a box, because that would leave a copy in it.
                let mut keystore = Box::new(Keystore::parse(bytes).unwrap());
                let written = OutputShape::ALL.map(|shape| keystore.write(shape, true).unwrap());
                let key = keystore.take_spend_key().unwrap().to_tip_key(None).unwrap();
                (written, Box::new(key), keystore)
            });
            assert_eq!(left, 0, "{text}");
        }
    }
}

#[test]
fn every_form_of_an_rsa_keystore_leaves_neither_text_nor_der() {
    const FILE: &str = include_str!("../testdata/keystores/pem-text-before.json");
    let pem = serde_json::from_str::<serde_json::Value>(FILE).unwrap()["private_key"].as_str().unwrap().to_owned();
    let der = RsaKey::from_pem(&pem).unwrap().to_pkcs1_der().to_vec();
    let escaped = serde_json::to_string(&pem).unwrap();
    let line = pem.lines().nth(12).unwrap().as_bytes();
    // The middle of the private exponent, and a line in which its text is.
    let marks = [&line[..32], &der[320..344]];
    let damaged = [" ", "", "\\\\n", "\\n    "].map(|end| FILE.replace(&escaped, &escaped.replace("\\n", end)));
    for text in damaged.iter().map(String::as_str).chain([FILE]) {
        let left = left_behind(&marks, || {
            let keystore = Box::new(Keystore::parse(text.as_bytes()).unwrap());
            let written = [OutputShape::Bot, OutputShape::Ruby].map(|shape| keystore.write(shape, false).unwrap());
            (written, keystore)
        });
        assert_eq!(left, 0, "{text}");
    }
}

#[test]
fn refused_files_leave_nothing() {
    const SEED: [u8; 32] = *b"a seed that is found where it is";
    const SERVER: &str = "387380cc8553d6fad4be2ecd6db5edf16ed6305ecc3f38fda9c28df31a022e80";
    let key = Ed25519Key::from_bytes(&SEED).unwrap();
    let (hex, pin) = (base16ct::lower::encode_string(&SEED), "739146");
    let pair = STANDARD.encode([&SEED[..], key.public_key().as_bytes()].concat());
    let marks = [&SEED[8..24], &hex.as_bytes()[16..36], &pair.as_bytes()[10..30], pin.as_bytes()];
    let good = format!(
        r#"{{"app_id": "f3e9d3e5-c473-4bc2-a9b6-5b730a7a8575", "session_id": "b7bce11c-e816-4769-a90a-c61b413be460",
        "session_private_key": "{hex}", "pin": "{pin}", "server_public_key": "{SERVER}"}}"#
    );
    let quoted = serde_json::to_string(&good).unwrap();
    for text in [
        // Not objects.
        &quoted,
        &quoted[..quoted.len() - 1],
        &format!("[{good}]"),
        pin,
        // Elsewhere than it belongs.
        &format!(r#"{{"a": {good}}}"#),
        &format!(r#"{{"a": {quoted}}}"#),
        &good.replace(SERVER, &hex),
        &good.replace(SERVER, &pair),
        // Damaged.
        &good[..good.len() - 1],
        &good.replace(&hex, &hex[1..]),
        &good.replace(&hex, &format!("{hex}!")),
    ] {
        let left = left_behind(&marks, || Keystore::parse(text.as_bytes()).unwrap_err());
        assert_eq!(left, 0, "{text}");
    }
}
