//! No secret is left in heap memory that a call gives back: each block is looked through as it is freed. Nor is one said by
//! what a call returns, or logged at the level TRACE.

mod common;

use std::fmt::Write as _;
use std::sync::Mutex;

use common::{Server, USER, builder};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519Key, Pin};
use mixin_pin_test_memory::{Memory, holds, left_behind};

const DIGITS: &str = "739146";
const OTHER: &str = "852963";
const TIP_SEED: [u8; 32] = *b"a seed that is found where it is";

#[global_allocator]
static MEMORY: Memory = Memory;

/// Keeps all that the libraries below the client log but the wire itself.
struct Log(Mutex<String>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // The bytes on the wire, in hex: a token and an encrypted PIN are among them, which docs/security.md tells.
        if record.target() != "ureq_proto::util" {
            writeln!(self.0.lock().unwrap(), "{} {}", record.target(), record.args()).unwrap();
        }
    }

    fn flush(&self) {}
}

static LOG: Log = Log(Mutex::new(String::new()));

#[test]
fn calls_leave_no_secret() {
    // The keys of `builder`'s session.
    let seed = [1; 32];
    let server = Ed25519Key::from_bytes(&[2; 32]).unwrap().public_key().to_x25519().unwrap();
    let pin_key = *Ed25519Key::from_bytes(&seed).unwrap().agree(&server).unwrap().expose();
    let marks = [
        DIGITS.as_bytes(),
        OTHER.as_bytes(),
        &pin_key[..16],
        &pin_key[16..],
        &seed[..],
        &TIP_SEED[..16],
        &TIP_SEED[16..],
    ];
    assert_eq!(left_behind(&marks, || format!("PIN {DIGITS}")), 1, "what is left is found");

    let done = Server::answering("200 OK", USER);
    let refused =
        Server::answering("202 Accepted", r#"{"error":{"status":202,"code":20119,"description":"PIN incorrect."}}"#);
    let lost = Server::start(|_, _| ());
    let mut said = String::new();
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let left = left_behind(&marks, || {
        for server in [&done, &refused, &lost] {
            let client = builder().base_url(&server.url).build().unwrap();
            let (pin, other, key) = (Pin::new(DIGITS).unwrap(), Pin::new(OTHER).unwrap(), TipKey::from_seed(&TIP_SEED));
            for outcome in [
                client.create_pin(&pin),
                client.change_pin(&pin, &other),
                client.verify_pin(&pin),
                client.install_tip(Some(&pin), &key),
                client.verify_tip(&key),
            ] {
                write!(said, "{outcome:?}").unwrap();
                if let Err(error) = &outcome {
                    write!(said, "{error}").unwrap();
                }
            }
            write!(said, "{:?}", client.me()).unwrap();
        }
    });
    assert_eq!(left, 0);
    assert!(said.contains("PinIncorrect") && said.contains("Unknown"), "{said}");
    let logged = LOG.0.lock().unwrap();
    assert!(logged.contains("ureq"), "something is logged");
    assert!(!logged.contains("eyJ"), "no token is: {logged}");
    for mark in marks {
        assert!(!holds(logged.as_bytes(), mark), "{logged}");
        assert!(!holds(said.as_bytes(), mark), "{said}");
    }
}
