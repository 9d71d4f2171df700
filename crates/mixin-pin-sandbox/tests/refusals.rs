//! What the sandbox refuses, and which refusals cost a try.

mod common;

use std::time::Duration;

use base64::Engine as _;
use common::{Kind, client, now, reason, register, rng, sandbox, send, send_parts, verdict};
use mixin_pin_core::token::{Claims, RequestHash};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{EncryptedPin, MonotonicNonces, Pin, Secret, UnixTime, hazmat};
use mixin_pin_http::Client;
use mixin_pin_protocol::CallError;
use mixin_pin_protocol::call::{Calls, LogQuery, PreparedRequest, UnsignedRequest, random_uuid};
use mixin_pin_sandbox::{Config, Sandbox};
use serde_json::{Value, json};

fn pin(digits: &str) -> Pin {
    Pin::new(digits).unwrap()
}

fn with_pin(sandbox: &Sandbox) -> Client {
    let client = client(sandbox, register(sandbox, Kind::Rsa2048));
    client.create_pin(&pin("123456")).unwrap().done().unwrap();
    client
}

/// `POST /pin/verify` with a block that the test chooses.
fn verify_block(client: &Client, encrypted: &EncryptedPin) -> (u32, String) {
    reason(client.call::<Value>("POST", "/pin/verify", Some(&json!({ "pin": encrypted.to_standard().as_str() }))))
}

fn tries_left(client: &Client) -> u64 {
    let error = common::refusal(client.verify_pin(&pin("000000")));
    error.extra.unwrap()["tries_left"].as_u64().unwrap()
}

/// The request, signed with the client's key.
fn signed_by(client: &Client, request: Result<UnsignedRequest, CallError>) -> PreparedRequest {
    request.unwrap().sign(mixin_pin_http::hazmat::signer(client), &mut rng()).unwrap()
}

#[test]
fn a_wrong_iterator_a_stale_block_or_an_unreadable_one_costs_no_try() {
    let sandbox = sandbox();
    let client = with_pin(&sandbox);
    let session = client.session();
    let now = now().secs();
    let nanos = now * 1_000_000_000 + 999_999_999;
    let encrypt = |secret: Secret, timestamp, iterator| {
        hazmat::encrypt_with_iv(session.pin_key(), &hazmat::block(secret, timestamp, iterator), &[3; 16])
    };
    let digits = || Secret::from(pin("123456"));
    let wrong = || Secret::from(pin("000000"));
    for secret in [digits, wrong] {
        assert_eq!(verify_block(&client, &encrypt(secret(), now, 1)), (20_119, "iterator".to_owned()));
        assert_eq!(verify_block(&client, &encrypt(secret(), now, 0)), (20_119, "iterator".to_owned()));
        assert_eq!(verify_block(&client, &encrypt(secret(), now - 600, nanos)), (20_119, "timestamp".to_owned()));
        assert_eq!(verify_block(&client, &encrypt(secret(), now + 600, nanos)), (20_119, "timestamp".to_owned()));
        assert_eq!(verify_block(&client, &encrypt(secret(), u64::MAX, nanos)), (20_119, "timestamp".to_owned()));
    }
    let junk = EncryptedPin::from_bytes(&[9; 48]).unwrap();
    assert_eq!(verify_block(&client, &junk), (20_119, "ciphertext".to_owned()));
    let no_base64 = client.call::<Value>("POST", "/pin/verify", Some(&json!({ "pin": "!" })));
    assert_eq!(reason(no_base64), (20_119, "ciphertext".to_owned()));
    let tip = encrypt(Secret::TipSignature([7; 64]), now, nanos);
    assert_eq!(verify_block(&client, &tip), (20_118, "kind".to_owned()));

    assert_eq!(tries_left(&client), 4, "nothing above cost a try");
    assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap().len(), 1);
}

#[test]
fn the_right_pin_costs_no_try() {
    let sandbox = sandbox();
    let client = with_pin(&sandbox);
    for _ in 0..8 {
        client.verify_pin(&pin("123456")).unwrap().done().unwrap();
    }
    assert_eq!(tries_left(&client), 4);
}

#[test]
fn invalid_tokens_are_refused_each_for_its_reason() {
    let sandbox = sandbox();
    let client = with_pin(&sandbox);
    let session = client.session();
    let body = b"{\"pin\":\"x\"}";
    let jti = random_uuid(&mut rng());
    let jti_text = jti.to_string();
    let token_for = |user, sid, at: UnixTime, lifetime| {
        let hash = RequestHash::of("POST", "/pin/verify", body);
        let claims = Claims::new(user, sid, jti, hash, at, Duration::from_secs(lifetime)).unwrap();
        claims.sign(mixin_pin_http::hazmat::signer(&client), &mut rng()).unwrap().as_str().to_owned()
    };
    let (user, sid) = (session.user_id(), session.session_id());
    let good = token_for(user, sid, now(), 60);
    let post = |token: &str, path: &str, id: &str, body: &[u8]| {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", authorization.as_str()), ("X-Request-Id", id)];
        let answer = send_parts(&sandbox, "POST", path, &headers, body);
        (verdict(&answer).0, verdict(&answer).1.to_owned())
    };
    let refused = |reason: &str| (401, reason.to_owned());
    let verify = |token: &str| post(token, "/pin/verify", &jti_text, body);

    assert_eq!(post(&good, "/pin/verify", &jti_text, b"{\"pin\":\"y\"}"), refused("token_request_hash"));
    assert_eq!(post(&good, "/pin/verify?", &jti_text, body), refused("token_request_hash"));
    assert_eq!(post(&good, "/pin/update", &jti_text, body), refused("token_request_hash"));
    let early = UnixTime::from_secs(now().secs() - 61);
    assert_eq!(verify(&token_for(user, sid, early, 60)), refused("token_expired"));
    let late = UnixTime::from_secs(now().secs() + 400);
    assert_eq!(verify(&token_for(user, sid, late, 60)), refused("token_issued_at"));
    assert_eq!(verify(&token_for(user, Uuid::nil(), now(), 60)), refused("session"));
    assert_eq!(verify(&token_for(Uuid::nil(), sid, now(), 60)), refused("session"));
    assert_eq!(verify("x.y"), refused("token_format"));
    let (_, rest) = good.split_once('.').unwrap();
    for header in
        ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9", "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9"]
    {
        assert_eq!(verify(&format!("{header}.{rest}")), refused("token_algorithm"));
    }
    let (input, signature) = good.rsplit_once('.').unwrap();
    let other_end = if signature.starts_with('A') { "B" } else { "A" };
    assert_eq!(verify(&format!("{input}.{other_end}{}", &signature[1..])), refused("token_signature"));
    let answer = send_parts(&sandbox, "POST", "/pin/verify", &[("X-Request-Id", &jti_text)], body);
    assert_eq!(verdict(&answer), (401, "token_missing"));

    // The token is valid. Only the PIN in the body is not.
    assert_eq!(verify(&good), (20_119, "ciphertext".to_owned()));
}

#[test]
fn a_repeated_header_counts_as_missing() {
    let sandbox = sandbox();
    let client = with_pin(&sandbox);
    let session = client.session();
    let me = signed_by(&client, Calls::for_algorithm(session, *session.signer(), now(), &mut rng()).me());
    let id = me.request_id().to_string();
    let (bearer, id) = (("Authorization", me.authorization().unwrap()), ("X-Request-Id", id.as_str()));
    for (headers, verdict) in [
        (vec![bearer, bearer, id], "token_missing"),
        (vec![("Authorization", "Bearer a.b.c"), bearer, id], "token_missing"),
        (vec![bearer, id], "has_pin"),
    ] {
        let answer = common::get(&sandbox, "/me", &[&[("Host", "sandbox")], headers.as_slice()].concat());
        assert!(answer.contains(verdict), "{verdict} in {answer}");
    }
}

#[test]
fn the_request_id_may_be_absent_or_another_unless_the_sandbox_is_strict() {
    for require_request_id in [false, true] {
        let sandbox = Sandbox::start(&Config { require_request_id, ..Config::default() }).unwrap();
        let client = with_pin(&sandbox);
        let session = client.session();
        let other = Uuid::from_u128(7).to_string();
        for sent in [vec![], vec![other.as_str()], vec!["no UUID"], vec![other.as_str(), other.as_str()]] {
            let me = signed_by(&client, Calls::for_algorithm(session, *session.signer(), now(), &mut rng()).me());
            let mut headers = vec![("Host", "sandbox"), ("Authorization", me.authorization().unwrap())];
            headers.extend(sent.iter().map(|id| ("X-Request-Id", *id)));
            let answer = common::get(&sandbox, "/me", &headers);
            let verdict = if require_request_id { "token_request_id" } else { "has_pin" };
            assert!(answer.contains(verdict), "{sent:?}: {answer}");
            // The answer repeats what was sent.
            let repeated = sent.first().map(|id| format!("x-request-id: {id}\r\n"));
            match repeated {
                Some(header) => assert!(answer.contains(&header), "{header} in {answer}"),
                None => assert!(!answer.contains("x-request-id"), "{answer}"),
            }
        }
        client.verify_pin(&pin("123456")).unwrap().done().unwrap();
    }
}

#[test]
fn a_token_is_good_once_for_reads_and_changes() {
    for refuse_repeated_requests in [true, false] {
        let sandbox = Sandbox::start(&Config { refuse_repeated_requests, ..Config::default() }).unwrap();
        let client = with_pin(&sandbox);
        let session = client.session();
        let me = signed_by(&client, Calls::for_algorithm(session, *session.signer(), now(), &mut rng()).me());
        assert_eq!(verdict(&send(&sandbox, &me)), (0, ""));
        let again = if refuse_repeated_requests { (401, "request_repeated") } else { (0, "") };
        assert_eq!(verdict(&send(&sandbox, &me)), again);
    }
}

#[test]
fn a_block_that_opens_to_another_length_is_explained_and_costs_no_try() {
    let sandbox = sandbox();
    let client = with_pin(&sandbox);
    let key = client.session().pin_key();
    let encrypt = |secret: &[u8], timestamp: u64| {
        let mut plain = [secret, &timestamp.to_le_bytes(), &u64::MAX.to_le_bytes()].concat();
        let padding = 16 - plain.len() % 16;
        plain.resize(plain.len() + padding, u8::try_from(padding).unwrap());
        // The first blocks of a long secret are a whole ciphertext by themselves.
        let mut long = [0; 64];
        long[..plain.len()].copy_from_slice(&plain);
        let encrypted = hazmat::encrypt_with_iv(key, &hazmat::block(Secret::TipSignature(long), 0, 0), &[3; 16]);
        base64::engine::general_purpose::STANDARD.encode(&encrypted.as_bytes()[..16 + plain.len()])
    };
    for field in ["pin", "pin_base64"] {
        for (secret, hint) in [
            (&[0x12, 0x34, 0x56][..], "pin opens, and holds 3 bytes: the digits were decoded as hex"),
            (b"12345a", "pin opens, and holds 6 bytes that are not all digits"),
            (&[7; 32], "pin opens, and holds 32 bytes; a PIN has 6"),
        ] {
            let body = json!({ (field): encrypt(secret, now().secs()) });
            let error = common::refusal(client.call::<Value>("POST", "/pin/verify", Some(&body)));
            let extra = error.extra.unwrap();
            assert_eq!((error.code.as_u32(), &extra["reason"]), (20_119, &json!("secret_length")));
            assert_eq!((&extra["field"], &extra["secret_bytes"]), (&json!("pin"), &json!(secret.len())));
            assert!(extra["hint"].as_str().unwrap().starts_with(hint), "{extra}");
        }
        let body = json!({ (field): encrypt(&[0x12, 0x34, 0x56], 7) });
        assert_eq!(reason(client.call::<Value>("POST", "/pin/verify", Some(&body))), (20_119, "ciphertext".to_owned()));
    }
    assert_eq!(tries_left(&client), 4, "nothing above cost a try, nor the iterator");
}

#[test]
fn a_pin_may_have_either_name_and_only_one() {
    let sandbox = sandbox();
    let client = with_pin(&sandbox);
    let nonces = MonotonicNonces::new();
    let encrypt = |digits: &str| {
        let nonce = mixin_pin_core::NonceSource::next(&nonces, now()).unwrap();
        client.session().pin_key().encrypt(pin(digits), nonce, &mut rng()).to_url_safe().to_string()
    };
    let post = |path: &str, body: &Value| client.call::<Value>("POST", path, Some(body));
    for (old, new) in [("old_pin", "pin"), ("old_pin", "pin_base64"), ("old_pin_base64", "pin")] {
        let body = json!({ (old): encrypt("123456"), (new): encrypt("123456") });
        post("/pin/update", &body).unwrap().done().unwrap();
    }
    // fox-one's client sends `Pin`.
    for (used, empty) in [("pin", "pin_base64"), ("pin_base64", "pin"), ("Pin", "pin")] {
        for absent in [json!(""), Value::Null] {
            post("/pin/verify", &json!({ (used): encrypt("123456"), (empty): absent })).unwrap().done().unwrap();
        }
    }
    let twice = json!({ "pin": encrypt("123456"), "pin_base64": encrypt("123456") });
    assert_eq!(reason(post("/pin/verify", &twice)), (10_002, "given twice".to_owned()));
}

#[test]
fn a_wrong_pin_uses_its_iterator_up_unless_the_sandbox_keeps_it() {
    for wrong_pin_spends_iterator in [true, false] {
        let sandbox = Sandbox::start(&Config { wrong_pin_spends_iterator, ..Config::default() }).unwrap();
        let client = with_pin(&sandbox);
        let session = client.session();
        let (now, nanos) = (now().secs(), now().secs() * 1_000_000_000 + 999_999_999);
        let verify = |digits, iterator| {
            let block = hazmat::block(pin(digits), now, iterator);
            verify_block(&client, &hazmat::encrypt_with_iv(session.pin_key(), &block, &[3; 16]))
        };
        assert_eq!(verify("000000", nanos), (20_119, "pin".to_owned()));
        let again = if wrong_pin_spends_iterator { "iterator" } else { "pin" };
        assert_eq!(verify("000000", nanos), (20_119, again.to_owned()));
    }
}

#[test]
fn repeated_requests_are_still_refused_for_their_iterators_if_allowed() {
    let config = Config { refuse_repeated_requests: false, ..Config::default() };
    let sandbox = Sandbox::start(&config).unwrap();
    let client = with_pin(&sandbox);
    let session = client.session();
    let nonces = MonotonicNonces::new();
    let request = signed_by(
        &client,
        Calls::for_algorithm(session, *session.signer(), now(), &mut rng()).nonces(&nonces).verify_pin(&pin("123456")),
    );
    assert_eq!(verdict(&send(&sandbox, &request)), (0, ""));
    assert_eq!(verdict(&send(&sandbox, &request)), (20_119, "iterator"));
}

#[test]
fn a_change_whose_iterators_are_out_of_order_is_refused_on_demand_and_changes_nothing() {
    let sandbox = Sandbox::start(&Config { old_pin_first: true, ..Config::default() }).unwrap();
    let client = with_pin(&sandbox);
    let session = client.session();
    let now = now().secs();
    let base = now * 1_000_000_000 + 500_000_000;
    let encrypt = |digits, iterator| {
        let block = hazmat::block(pin(digits), now, iterator);
        hazmat::encrypt_with_iv(session.pin_key(), &block, &[5; 16]).to_standard().as_str().to_owned()
    };
    for (old, new) in [(base + 1, base), (base, base)] {
        let body = json!({ "old_pin": encrypt("123456", old), "pin": encrypt("654321", new) });
        let result = client.call::<Value>("POST", "/pin/update", Some(&body));
        assert_eq!(reason(result), (20_119, "iterator".to_owned()));
    }
    client.verify_pin(&pin("123456")).unwrap().done().unwrap();
}

#[test]
fn a_change_may_have_its_iterators_in_any_order_above_those_used() {
    let sandbox = sandbox();
    let client = with_pin(&sandbox);
    let session = client.session();
    let now = now().secs();
    // Above those that the client takes from the clock.
    let base = (now + 60) * 1_000_000_000;
    let encrypt = |digits, iterator| {
        let block = hazmat::block(pin(digits), now, iterator);
        hazmat::encrypt_with_iv(session.pin_key(), &block, &[5; 16]).to_standard().as_str().to_owned()
    };
    let change = |old, old_iterator, new, new_iterator| {
        let body = json!({ "old_pin": encrypt(old, old_iterator), "pin": encrypt(new, new_iterator) });
        client.call::<Value>("POST", "/pin/update", Some(&body))
    };
    change("123456", base, "654321", base).unwrap().done().unwrap();
    change("654321", base + 7, "123456", base + 1).unwrap().done().unwrap();
    // The greater of the two counts as used.
    for (old, new) in [(base + 8, base + 7), (base + 7, base + 8)] {
        assert_eq!(reason(change("123456", old, "654321", new)), (20_119, "iterator".to_owned()));
    }
    change("123456", base + 8, "654321", base + 9).unwrap().done().unwrap();
}

#[test]
fn bodies_over_a_mebibyte_are_refused() {
    let sandbox = sandbox();
    // The length is only announced: the sandbox closes the connection without reading the body.
    let len = (1 << 20) + 1;
    let head =
        format!("POST /pin/verify HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n");
    let answer = common::raw(&sandbox, head.as_bytes());
    assert!(answer.contains("\"code\":400") && answer.contains("\"reason\":\"body_too_long\""), "{answer}");
}

/// Sends a token for one method, path and body with others of the same hash.
fn resplit(sandbox: &Sandbox, signed: (&str, &str, &str), sent: (&str, &str, &str)) -> (u64, String) {
    let app = mixin_pin_protocol::keystore::Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap();
    let app = app.into_session(&mut rng()).unwrap();
    let body = Some(signed.2.as_bytes()).filter(|body| !body.is_empty());
    let jti = random_uuid(&mut rng());
    let hash = RequestHash::of(signed.0, signed.1, body.unwrap_or_default());
    assert_eq!(hash, RequestHash::of(sent.0, sent.1, sent.2.as_bytes()), "{sent:?}");
    let minute = Duration::from_secs(60);
    let claims = Claims::new(app.user_id(), app.session_id(), jti, hash, now(), minute).unwrap();
    let token = claims.sign(app.signer(), &mut rng()).unwrap();
    let (bearer, id) = (format!("Bearer {}", token.as_str()), jti.to_string());
    let headers = [("Host", "sandbox"), ("Authorization", bearer.as_str()), ("X-Request-Id", id.as_str())];
    let answer = common::ask(sandbox, sent.0, sent.1, &headers, sent.2);
    if answer.starts_with("HTTP/1.1 400") {
        return (400, "no HTTP".to_owned());
    }
    let answer: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    (verdict(&answer).0, verdict(&answer).1.to_owned())
}

#[test]
fn a_token_is_valid_for_no_other_split_of_path_and_body() {
    let sandbox = sandbox();
    let refused = |reason: &str| (400, reason.to_owned());
    let done = (0, String::new());
    let whole = "/logs?limit=5";
    assert_eq!(resplit(&sandbox, ("GET", whole, ""), ("GET", whole, "")), done);
    for at in "/logs".len()..whole.len() {
        let (path, body) = whole.split_at(at);
        assert_eq!(resplit(&sandbox, ("GET", whole, ""), ("GET", path, body)), refused("body_with_get"), "{body}");
    }
    let key = mixin_pin_core::Ed25519Key::generate(&mut rng()).public_key();
    let secret = mixin_pin_core::token::VerifyingKey::Ed25519(key).to_session_secret().unwrap();
    let body = json!({ "session_secret": secret, "full_name": "x" }).to_string();
    // The end of the path as the body.
    for (path, reason) in [("/users/", "path"), ("/users?", "no HTTP"), ("/users?x=", "no HTTP")] {
        let long = format!("{path}{body}");
        assert_eq!(resplit(&sandbox, ("POST", &long, ""), ("POST", &long, "")), refused(reason), "{long}");
    }
    // The beginning of a body at the end of the path.
    for at in 1..body.len() {
        let (eaten, left) = body.split_at(at);
        let answer = resplit(&sandbox, ("POST", "/users", &body), ("POST", &format!("/users{eaten}"), left));
        assert_eq!(answer, refused("path"), "{eaten}");
    }
    let other = format!("?x{body}");
    assert_eq!(resplit(&sandbox, ("POST", "/users?x", &body), ("POST", "/users", &other)), refused("body"));
    assert_eq!(resplit(&sandbox, ("POST", "/users?x", &body), ("POST", "/users?x", &body)), done);
}

#[test]
fn only_an_opening_brace_is_refused_in_a_path() {
    let sandbox = sandbox();
    let post = |path: &str| common::ask(&sandbox, "POST", path, &[("Host", "sandbox")], "{}");
    for path in ["/x?ids[]=1", "/a|b", "/é", "/x?a=[1]|2", "/a}b"] {
        let answer = post(path);
        assert!(answer.contains("\"reason\":\"endpoint\""), "{path}: {answer}");
    }
    for path in ["/x{", "/x{}", "/{x"] {
        let answer = post(path);
        assert!(answer.contains("\"reason\":\"path\""), "{path}: {answer}");
    }
}

#[test]
fn a_get_with_a_body_is_refused_before_any_other_check() {
    let sandbox = Sandbox::start(&Config { status_page: true, ..Config::default() }).unwrap();
    let own = sandbox.address().to_string();
    for path in ["/", "/me", "/nowhere"] {
        let answer = common::ask(&sandbox, "GET", path, &[("Host", &own)], "x");
        assert!(answer.starts_with("HTTP/1.1 202") && answer.contains("body_with_get"), "{answer}");
        let chunked =
            format!("GET {path} HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
        let answer = common::raw(&sandbox, format!("{chunked}1\r\nx\r\n0\r\n\r\n").as_bytes());
        assert!(answer.contains("body_with_get"), "{answer}");
        let answer = common::raw(&sandbox, format!("{chunked}0\r\n\r\n").as_bytes());
        assert!(!answer.contains("\"reason\":\"body_with_get\""), "{answer}");
        // The answer to HEAD has no body with a reason.
        let answer = common::ask(&sandbox, "HEAD", path, &[("Host", &own)], "x");
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
}
