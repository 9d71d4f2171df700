//! Neither the database nor the observations contain an unencrypted PIN, and no user can spend another's tries.

mod common;

use std::fmt::Write as _;
use std::fs;
use std::sync::{Arc, Mutex};

use common::{Kind, client, now, reason, register, rng, sandbox, send, signed, verdict};
use mixin_pin_core::{Ed25519Key, MonotonicNonces, Pin, PinKey, Session};
use mixin_pin_protocol::call::Calls;
use mixin_pin_sandbox::{Config, Sandbox};
use mixin_pin_test_memory::holds;

const FIRST: &str = "271828";
const SECOND: &str = "161803";
const WRONG: &str = "662607";

fn pin(digits: &str) -> Pin {
    Pin::new(digits).unwrap()
}

#[test]
fn neither_the_database_nor_the_observations_contain_a_pin() {
    let folder = tempfile::tempdir().unwrap();
    let observed = Arc::new(Mutex::new(String::new()));
    let listener = observed.clone();
    let config = Config {
        database: Some(folder.path().join("sandbox.db")),
        observer: Some(Arc::new(move |seen| writeln!(listener.lock().unwrap(), "{seen:?}").unwrap())),
        ..Config::default()
    };
    let sandbox = Sandbox::start(&config).unwrap();
    for kind in [Kind::Ed25519, Kind::Rsa1024] {
        let client = client(&sandbox, register(&sandbox, kind));
        client.create_pin(&pin(FIRST)).unwrap().done().unwrap();
        client.change_pin(&pin(FIRST), &pin(SECOND)).unwrap().done().unwrap();
        assert_eq!(reason(client.verify_pin(&pin(WRONG))), (20_119, "pin".to_owned()));
        client.verify_pin(&pin(SECOND)).unwrap().done().unwrap();
    }
    let mut kept: Vec<u8> = Vec::new();
    let mut look = || {
        for file in fs::read_dir(folder.path()).unwrap() {
            kept.extend(fs::read(file.unwrap().path()).unwrap());
        }
    };
    // Looks while the write-ahead log exists, and again after it was merged.
    look();
    sandbox.stop().unwrap();
    look();
    let observed = observed.lock().unwrap();
    for secret in [FIRST, SECOND, WRONG] {
        assert!(!holds(&kept, secret.as_bytes()), "{secret} is in the database");
        assert!(!observed.contains(secret), "{secret} is in the observations");
    }
    // The search itself works.
    assert!(holds(&kept, b"A User") && holds(&kept, b"PIN_INCORRECT"));
    assert!(observed.contains("/pin/update"));
}

#[test]
fn no_user_spends_anothers_tries() {
    let sandbox = sandbox();
    let (victim, attacker) = (register(&sandbox, Kind::Ed25519), register(&sandbox, Kind::Ed25519));
    let nonces = MonotonicNonces::new();
    let create = signed(&victim, Calls::new(&victim, now(), &mut rng()).nonces(&nonces).create_pin(&pin(FIRST)));
    assert_eq!(verdict(&send(&sandbox, &create)), (0, ""));
    let create = signed(&attacker, Calls::new(&attacker, now(), &mut rng()).nonces(&nonces).create_pin(&pin(FIRST)));
    assert_eq!(verdict(&send(&sandbox, &create)), (0, ""));

    // The attacker uses the victim's ids, but another key.
    let key = Ed25519Key::generate(&mut rng());
    let pin_key = PinKey::from_bytes(victim.pin_key().expose()).unwrap();
    let forged = Session::from_parts(victim.user_id(), victim.session_id(), key, pin_key);
    for _ in 0..20 {
        let guess = signed(&forged, Calls::new(&forged, now(), &mut rng()).nonces(&nonces).verify_pin(&pin(WRONG)));
        assert_eq!(verdict(&send(&sandbox, &guess)), (401, "token_signature"));
    }
    // The attacker uses its own session, beyond the day's tries.
    let mut verdicts = Vec::new();
    for _ in 0..8 {
        let guess = signed(&attacker, Calls::new(&attacker, now(), &mut rng()).nonces(&nonces).verify_pin(&pin(WRONG)));
        verdicts.push(verdict(&send(&sandbox, &guess)).0);
    }
    assert_eq!(verdicts, [20_119, 20_119, 20_119, 20_119, 20_119, 429, 429, 429]);
    let honest = client(&sandbox, victim);
    honest.verify_pin(&pin(FIRST)).unwrap().done().unwrap();
}
