//! The sandbox decrypts nothing unless the token is valid, and reveals nothing about the PIN of a refused request.

mod common;

use std::sync::{Arc, Mutex};

use common::{Kind, get, now, register, rng, send_parts, signed, verdict};
use mixin_pin_core::token::{Claims, RequestHash};
use mixin_pin_core::{EncryptedPin, MonotonicNonces, Nonce, NonceSource as _, Pin, Session, UnixTime, hazmat};
use mixin_pin_protocol::call::{Calls, random_uuid};
use mixin_pin_sandbox::{Config, Observation, Sandbox};
use serde_json::{Value, json};

const PIN: &str = "739146";
const IV: [u8; 16] = [3; 16];

struct Watched {
    sandbox: Sandbox,
    seen: Arc<Mutex<Vec<Observation>>>,
}

impl Watched {
    fn start() -> Self {
        let seen: Arc<Mutex<Vec<Observation>>> = Arc::default();
        let kept = seen.clone();
        let observer = Arc::new(move |call: &Observation| kept.lock().unwrap().push(call.clone()));
        let config =
            Config { observer: Some(observer), status_page: true, require_request_id: true, ..Config::default() };
        Self { sandbox: Sandbox::start(&config).unwrap(), seen }
    }

    fn last(&self) -> Observation {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    fn page(&self) -> String {
        get(&self.sandbox, "/", &[("Host", &self.sandbox.address().to_string())])
    }
}

fn with_pin(sandbox: &Sandbox) -> Session {
    let session = register(sandbox, Kind::Ed25519);
    let nonces = MonotonicNonces::new();
    let create =
        signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&nonces).create_pin(&Pin::new(PIN).unwrap()));
    assert_eq!(verdict(&common::send(sandbox, &create)), (0, ""));
    session
}

/// An encrypted PIN, a second one made from it whose iterator is the PIN, and that iterator. An attacker who knows the time
/// and the iterator can place the first block as the last block of a TIP key, and choose the block before it so that the
/// padding is valid.
fn captured(session: &Session) -> (EncryptedPin, EncryptedPin, u64) {
    let (time, iterator) = (now().secs(), now().as_nanos().unwrap());
    let block = hazmat::block(Pin::new(PIN).unwrap(), time, iterator);
    let captured = hazmat::encrypt_with_iv(session.pin_key(), &block, &IV);
    let first = &captured.as_bytes()[16..32];
    let known = [&time.to_le_bytes()[2..], &iterator.to_le_bytes()[..2]].concat();
    let mut before = IV;
    for (byte, known) in before[8..].iter_mut().zip(known) {
        *byte ^= known ^ 8;
    }
    let moved = EncryptedPin::from_bytes(&[[5; 48].as_slice(), &before, first].concat()).unwrap();
    let inside = [PIN.as_bytes(), &time.to_le_bytes()[..2]].concat();
    (captured, moved, u64::from_le_bytes(inside.try_into().unwrap()))
}

/// Makes the header `Authorization` and a request id for a body.
type Token<'t> = dyn Fn(&[u8]) -> Option<(String, String)> + 't;

/// Sends an encrypted PIN with a token that the test chooses.
fn verify(sandbox: &Sandbox, encrypted: &EncryptedPin, token: impl FnOnce(&[u8]) -> Option<(String, String)>) -> Value {
    let body = json!({ "pin": encrypted.to_standard().as_str() }).to_string();
    let (authorization, id) = token(body.as_bytes()).unzip();
    let headers: Vec<(&str, &str)> = [("Authorization", &authorization), ("X-Request-Id", &id)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    send_parts(sandbox, "POST", "/pin/verify", &headers, body.as_bytes())
}

/// The session's token for a body, issued at `at`.
fn token(session: &Session, body: &[u8], at: UnixTime) -> (String, String) {
    let jti = random_uuid(&mut rng());
    let hash = RequestHash::of("POST", "/pin/verify", body);
    let minute = std::time::Duration::from_secs(60);
    let claims = Claims::new(session.user_id(), session.session_id(), jti, hash, at, minute).unwrap();
    let token = claims.sign(session.signer(), &mut rng()).unwrap();
    (format!("Bearer {}", token.as_str()), jti.to_string())
}

#[test]
fn nothing_is_decrypted_without_a_valid_token() {
    let watched = Watched::start();
    let session = with_pin(&watched.sandbox);
    let (captured, moved, inside) = captured(&session);
    assert_eq!(session.pin_key().decrypt(&moved).unwrap().iterator(), inside, "the second block decrypts to the PIN");
    let junk = EncryptedPin::from_bytes(&[9; 80]).unwrap();

    let early = UnixTime::from_secs(now().secs() - 61);
    let expired = |body: &[u8]| Some(token(&session, body, early));
    let forged = |body: &[u8]| {
        let (token, id) = token(&session, body, now());
        let (input, _) = token.rsplit_once('.').unwrap();
        Some((format!("{input}.{}", "A".repeat(86)), id))
    };
    let of_another_body = |_: &[u8]| Some(token(&session, b"{}", now()));
    let with_another_id = |body: &[u8]| Some((token(&session, body, now()).0, random_uuid(&mut rng()).to_string()));
    let tokens: [(&str, &Token<'_>); 4] = [
        ("token_expired", &expired),
        ("token_signature", &forged),
        ("token_request_hash", &of_another_body),
        ("token_request_id", &with_another_id),
    ];
    for (reason, token) in tokens {
        let mut results = Vec::new();
        for encrypted in [&captured, &moved, &junk] {
            let answer = verify(&watched.sandbox, encrypted, token);
            assert_eq!(verdict(&answer), (401, reason));
            let seen = watched.last();
            assert_eq!(seen.pins.len(), 1);
            assert_eq!(seen.pins[0].iterator, None, "{reason}");
            // All three are observed alike.
            results.push((answer, seen.status, seen.code, seen.reason));
        }
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{results:?}");
    }
    let page = watched.page();
    assert!(page.contains("token_signature") && !page.contains("open"), "{page}");
    assert!(!page.contains(&inside.to_string()), "{page}");
    let observed = format!("{:?}", watched.seen.lock().unwrap());
    assert!(!observed.contains(PIN) && !observed.contains(&inside.to_string()), "{observed}");
}

#[test]
fn iterators_are_shown_only_of_calls_that_succeeded() {
    let watched = Watched::start();
    let session = with_pin(&watched.sandbox);
    let valid = |body: &[u8]| Some(token(&session, body, now()));
    let (_, moved, inside) = captured(&session);
    assert_eq!(verdict(&verify(&watched.sandbox, &moved, valid)).0, 20_119);
    assert_eq!(watched.last().pins[0].iterator, None);

    let nonces = MonotonicNonces::new();
    let encrypt = |digits| {
        let nonce: Nonce = nonces.next(now()).unwrap();
        let iterator = nonce.iterator();
        (session.pin_key().encrypt(Pin::new(digits).unwrap(), nonce, &mut rng()), iterator)
    };
    let (wrong, spent) = encrypt("000000");
    assert_eq!(verdict(&verify(&watched.sandbox, &wrong, valid)), (20_119, "pin"));
    assert_eq!(watched.last().pins[0].iterator, None);
    let (right, iterator) = encrypt(PIN);
    assert_eq!(verdict(&verify(&watched.sandbox, &right, valid)), (0, ""));
    assert_eq!(watched.last().pins[0].iterator, Some(iterator));

    let page = watched.page();
    assert!(page.contains(&format!("<td>{iterator}</td>")), "{page}");
    for hidden in [inside, spent] {
        assert!(!page.contains(&hidden.to_string()), "{page}");
    }
    // An update shows both.
    let (old, new) = (encrypt(PIN), encrypt("271828"));
    let text = |encrypted: &EncryptedPin| encrypted.to_standard().as_str().to_owned();
    let body = json!({ "pin": text(&new.0), "old_pin": text(&old.0) }).to_string();
    let update =
        signed(&session, Calls::new(&session, now(), &mut rng()).other("POST", "/pin/update", Some(body.as_bytes())));
    assert_eq!(verdict(&common::send(&watched.sandbox, &update)), (0, ""));
    let iterators: Vec<_> = watched.last().pins.iter().map(|pin| pin.iterator).collect();
    assert_eq!(iterators, [Some(old.1), Some(new.1)]);
}
