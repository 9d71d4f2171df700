//! Property: a keystore that is read encrypts under the key that an independent implementation derives from the same file.
//!
//! Keystores of all shapes are generated with the damage that people's files have. A Python program reads each and decrypts
//! a PIN that was encrypted here.

#[path = "common/python.rs"]
mod python;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use mixin_pin_protocol::core::rand_core::CryptoRng;
use mixin_pin_protocol::core::uuid::Uuid;
use mixin_pin_protocol::core::{Ed25519Key, MonotonicNonces, NonceSource, Pin, PinKey, RsaKey, UnixTime};
use mixin_pin_protocol::keystore::Keystore;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

const KEYSTORES: usize = 600;
const PIN: &str = "739146";
/// The cases with RSA keys; all are of 2048 bits.
const RSA_CASES: [&str; 4] = [
    include_str!("../testdata/keystore-rsa-bot.json"),
    include_str!("../testdata/keystores/pem-76-columns.json"),
    include_str!("../testdata/keystores/pem-text-before.json"),
    include_str!("../testdata/keystores/pem-in-session-private-key.json"),
];

fn rng() -> impl CryptoRng {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

/// What is chosen for one keystore. Numbers choose among the forms of a part.
#[derive(Debug, Clone)]
struct Choice {
    rsa: Option<usize>,
    seeds: [[u8; 32]; 2],
    ids: [u128; 2],
    key_name: &'static str,
    key_form: usize,
    damage: usize,
    server_name: &'static str,
    server_form: usize,
    id_name: &'static str,
    id_form: usize,
    spelling: usize,
    around: usize,
    encoding: usize,
}

fn choices() -> impl Strategy<Value = Choice> {
    let number = || any::<prop::sample::Index>().prop_map(|index| index.index(10_000));
    let keys = (prop::option::weighted(0.4, 0..RSA_CASES.len()), any::<[[u8; 32]; 2]>(), any::<[u128; 2]>());
    let names = (
        prop::sample::select(&["session_private_key", "private_key", "session_key"][..]),
        prop::sample::select(&["server_public_key", "pin_token", "pin_token_base64"][..]),
        prop::sample::select(&["app_id", "client_id", "user_id"][..]),
    );
    let forms = (number(), number(), number(), number(), number(), number(), number());
    (keys, names, forms).prop_map(|((rsa, seeds, ids), (key_name, server_name, id_name), forms)| {
        let (key_form, damage, server_form, id_form, spelling, around, encoding) = forms;
        Choice {
            rsa,
            seeds,
            ids,
            key_name,
            key_form,
            damage,
            server_name,
            server_form,
            id_name,
            id_form,
            spelling,
            around,
            encoding,
        }
    })
}

fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn pem(label: &str, der: &[u8], columns: usize) -> String {
    let base64 = STANDARD.encode(der);
    let lines: Vec<_> = base64.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn damaged(pem: &str, damage: usize) -> String {
    let footer = pem.rfind("-----END").unwrap();
    match damage % 16 {
        0 => pem.replace('\n', " "),
        1 => pem.replace('\n', ""),
        2 => pem.replace('\n', "\\n"),
        3 => pem.replace('\n', "\\r\\n"),
        4 => pem.replace('\n', "\n      "),
        5 => pem.split_once('\n').unwrap().1.to_owned(),
        6 => pem[..footer].to_owned(),
        7 => pem.replace("-----", "---"),
        8 => pem.replace('\n', " \t\r\n"),
        9 => pem.replacen('\n', "\n\n", 1),
        10 => format!("Key of the bot:\n{pem}"),
        11 => pem.lines().filter(|line| !line.starts_with('-')).collect(),
        12 => pem.replace('\n', "\r\n"),
        _ => pem.to_owned(),
    }
}

fn around(value: &str, form: usize) -> String {
    match form % 6 {
        0 => format!(" {value}\n"),
        1 => format!("{}\n{}", &value[..value.len() / 2], &value[value.len() / 2..]),
        2 => format!("\u{feff}{value}"),
        3 => format!("'{value}'"),
        _ => value.to_owned(),
    }
}

fn spelled(name: &str, spelling: usize) -> String {
    match spelling % 5 {
        0 => name.to_uppercase(),
        1 => name.replace('_', "-"),
        2 => name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect(),
        _ => name.to_owned(),
    }
}

fn id(number: u128, form: usize) -> String {
    let id = Uuid::from_u128(number);
    match form % 6 {
        0 => id.simple().to_string(),
        1 => id.braced().to_string().to_uppercase(),
        2 => format!("0x{}", id.simple()),
        3 => format!("{id}\r\n"),
        _ => id.to_string(),
    }
}

/// PKCS#8 of an Ed25519 key, SPKI of an Ed25519 and of an X25519 key, each before its 32 bytes (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
const X25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0];

/// The private key and the server's value, as texts.
fn key_texts(choice: &Choice) -> (String, String) {
    if let Some(at) = choice.rsa {
        let case: Value = serde_json::from_str(RSA_CASES[at]).unwrap();
        let text = case["private_key"].as_str().or_else(|| case["session_private_key"].as_str()).unwrap();
        let key = RsaKey::from_pem(text).unwrap();
        let pin_key = PinKey::from_bytes(&choice.seeds[0]).unwrap();
        let token = key.public_key().wrap_pin_key(&pin_key, Uuid::from_u128(choice.ids[1]), &mut rng()).unwrap();
        let columns = [64, 76, 1, 100_000][choice.key_form % 4];
        let text = damaged(&pem("RSA PRIVATE KEY", &key.to_pkcs1_der(), columns), choice.damage);
        let token = match choice.server_form % 3 {
            0 => STANDARD.encode(token.as_bytes()),
            1 => URL_SAFE_NO_PAD.encode(token.as_bytes()),
            _ => hex(token.as_bytes()),
        };
        return (text, token);
    }
    let [key, server] = choice.seeds.map(|seed| Ed25519Key::from_bytes(&seed).unwrap());
    let pair = [&key.expose_seed()[..], key.public_key().as_bytes()].concat();
    let pkcs8 = [&PKCS8, &key.expose_seed()[..]].concat();
    let text = match choice.key_form % 8 {
        0 => hex(&pair),
        1 => STANDARD.encode(&pair),
        2 => URL_SAFE_NO_PAD.encode(&pair),
        3 => URL_SAFE.encode(key.expose_seed()),
        4 => format!("0x{}", hex(key.expose_seed())),
        5 => STANDARD.encode(pkcs8),
        6 => return (damaged(&pem("PRIVATE KEY", &pkcs8, 64), choice.damage), server_text(&server, choice)),
        _ => hex(key.expose_seed()).to_uppercase(),
    };
    (around(&text, choice.around), server_text(&server, choice))
}

fn server_text(server: &Ed25519Key, choice: &Choice) -> String {
    let ed25519 = server.public_key();
    let x25519 = ed25519.to_x25519().unwrap();
    let text = match choice.server_form % 7 {
        0 => STANDARD.encode(x25519.as_bytes()),
        1 => x25519.to_base64_url(),
        2 => STANDARD.encode([&ED25519_SPKI, &ed25519.as_bytes()[..]].concat()),
        3 => STANDARD.encode([&X25519_SPKI, &x25519.as_bytes()[..]].concat()),
        4 => return pem("PUBLIC KEY", &[&ED25519_SPKI, &ed25519.as_bytes()[..]].concat(), 64),
        5 => format!("0X{}", hex(ed25519.as_bytes())),
        _ => hex(ed25519.as_bytes()),
    };
    around(&text, choice.around / 6)
}

fn file(choice: &Choice) -> Vec<u8> {
    let (key, server) = key_texts(choice);
    let fields: Map<String, Value> = [
        (choice.id_name, id(choice.ids[0], choice.id_form)),
        ("session_id", id(choice.ids[1], choice.id_form / 6)),
        (choice.key_name, key),
        (choice.server_name, server),
    ]
    .into_iter()
    .map(|(name, value)| (spelled(name, choice.spelling), json!(value)))
    .collect();
    let text = serde_json::to_string_pretty(&fields).unwrap();
    let le = || text.encode_utf16().flat_map(u16::to_le_bytes);
    match choice.encoding % 8 {
        0 => [0xff, 0xfe].into_iter().chain(le()).collect(),
        1 => [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect(),
        2 => le().collect(),
        3 => [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        _ => text.into_bytes(),
    }
}

#[test]
fn a_pin_decrypts_under_the_independently_derived_key() {
    let Some(python) = python::find("cryptography", "a_pin_decrypts_under_the_independently_derived_key") else {
        return;
    };
    let (mut runner, strategy) = (TestRunner::default(), choices());
    let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    let mut cases = Vec::new();
    for _ in 0..KEYSTORES {
        let choice = strategy.new_tree(&mut runner).unwrap().current();
        let bytes = file(&choice);
        let keystore = Keystore::parse(&bytes).unwrap_or_else(|error| panic!("{error}: {choice:?}"));
        let public_key = keystore.public_key().unwrap();
        let session = keystore.into_session(&mut rng()).unwrap_or_else(|error| panic!("{error}: {choice:?}"));
        assert_eq!([session.user_id(), session.session_id()], choice.ids.map(Uuid::from_u128));
        let pin = session.pin_key().encrypt(Pin::new(PIN).unwrap(), nonces.next(now).unwrap(), &mut rng());
        let line = json!({ "keystore": STANDARD.encode(&bytes), "pin": pin.to_url_safe().as_str() });
        // A `session_secret` is the SPKI of an RSA key, and the 32 bytes of an Ed25519 key.
        let secret = public_key.to_session_secret().unwrap();
        let public_key = match choice.rsa {
            Some(_) => secret,
            None => STANDARD.encode([&ED25519_SPKI[..], &URL_SAFE_NO_PAD.decode(secret).unwrap()].concat()),
        };
        let ids = (session.user_id().to_string(), session.session_id().to_string());
        let expected = json!({ "user_id": ids.0, "session_id": ids.1, "public_key": public_key, "secret": PIN });
        cases.push((choice, line, expected));
    }
    python::compare(python, "keystores.py", &cases);
}
