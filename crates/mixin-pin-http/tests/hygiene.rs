//! A call leaves no secret in the heap memory that it frees: each block is searched as it is freed. No secret is in the
//! call's result or in the log at level TRACE.

mod common;

use std::fmt::Write as _;
use std::sync::Mutex;

use common::{Server, USER, builder};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Pin, PinKey, RsaKey, Session, SessionKey, SystemRng};
use mixin_pin_http::Client;
use mixin_pin_test_memory::{Memory, holds, left_behind};

const DIGITS: &str = "739146";
const OTHER: &str = "852963";
const TIP_SEED: [u8; 32] = *b"a seed that is found where it is";

#[global_allocator]
static MEMORY: Memory = Memory;

/// Records all log messages of the client's libraries, except the bytes on the wire.
struct Log(Mutex<String>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        // These messages are the bytes on the wire in hex, with tokens and encrypted PINs. See docs/security.md.
        if record.target() != "ureq_proto::util" {
            writeln!(self.0.lock().unwrap(), "{} {}", record.target(), record.args()).unwrap();
        }
    }

    fn flush(&self) {}
}

static LOG: Log = Log(Mutex::new(String::new()));

/// Made on another thread: moving a secret leaves a copy on the stack, and unused memory of a box may pick it up.
fn rsa_client(server: &Server, der: &[u8], pin_key: &[u8]) -> Box<Client> {
    let make = || {
        let key = SessionKey::Rsa(RsaKey::from_der(der).unwrap());
        let session = Session::from_parts(Uuid::nil(), Uuid::max(), key, PinKey::from_bytes(pin_key).unwrap());
        Box::new(Client::builder(session).base_url(&server.url).build().unwrap())
    };
    std::thread::scope(|scope| scope.spawn(make).join().unwrap())
}

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
    assert_eq!(left_behind(&marks, || format!("PIN {DIGITS}")), 1, "the search finds a secret");

    let done = Server::answering("200 OK", USER);
    let refused =
        Server::answering("202 Accepted", r#"{"error":{"status":202,"code":20119,"description":"PIN incorrect."}}"#);
    let lost = Server::start(|_, _| ());
    let rsa_key = RsaKey::generate(&mut SystemRng::new().unwrap(), 1024).unwrap();
    let (old_key, new_key) = (rsa_key.public_key(), Ed25519Key::from_bytes(&[3; 32]).unwrap());
    let rsa_key = rsa_key.to_pkcs1_der();
    let servers = [&done, &refused, &lost];
    let rsa_clients = servers.map(|server| rsa_client(server, &rsa_key, &pin_key));
    let mut shown = String::new();
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let left = left_behind(&marks, || {
        for (server, rsa_client) in servers.into_iter().zip(&rsa_clients) {
            let client = builder().base_url(&server.url).build().unwrap();
            let (pin, other, key) = (Pin::new(DIGITS).unwrap(), Pin::new(OTHER).unwrap(), TipKey::from_seed(&TIP_SEED));
            for outcome in [
                client.create_pin(&pin),
                client.change_pin(&pin, &other),
                client.verify_pin(&pin),
                client.install_tip(Some(&pin), &key),
                client.verify_tip(&key),
            ] {
                write!(shown, "{outcome:?}").unwrap();
                if let Err(error) = &outcome {
                    write!(shown, "{error}").unwrap();
                }
            }
            write!(shown, "{:?}", client.me()).unwrap();
            let upgrade = rsa_client.upgrade_session(&old_key, &pin, &new_key.public_key());
            write!(shown, "{upgrade:?}").unwrap();
            write!(shown, "{:?}", client.ask_with(Uuid::nil(), Uuid::max(), &new_key)).unwrap();
        }
    });
    assert_eq!(left, 0);
    assert!(shown.contains("PinIncorrect") && shown.contains("Unknown"), "{shown}");
    let logged = LOG.0.lock().unwrap();
    assert!(logged.contains("ureq"), "something is logged");
    assert!(!logged.contains("eyJ"), "a token is logged: {logged}");
    for mark in marks {
        assert!(!holds(logged.as_bytes(), mark), "{logged}");
        assert!(!holds(shown.as_bytes(), mark), "{shown}");
    }
}
