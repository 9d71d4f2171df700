//! Requests that other web pages make a browser send are refused. Other clients are not restricted.

mod common;

use common::{Kind, app, ask, get, now, register, rng, signed};
use mixin_pin_core::CodeVerifier;
use mixin_pin_protocol::call::Calls;
use mixin_pin_sandbox::{Config, Sandbox};
use serde_json::json;

fn with_page() -> Sandbox {
    Sandbox::start(&Config { status_page: true, ..Config::default() }).unwrap()
}

#[track_caller]
fn assert_page(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("<h2>Accounts</h2>"), "{answer}");
}

#[track_caller]
fn assert_no_page(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    assert!(!answer.contains("Accounts") && !answer.contains("Sandbox App"), "{answer}");
}

#[test]
fn the_page_answers_only_to_names_of_this_machine() {
    let sandbox = with_page();
    let port = sandbox.address().port();
    for host in ["localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "[::1]"] {
        assert_page(&get(&sandbox, "/", &[("Host", &format!("{host}:{port}"))]));
        assert_page(&get(&sandbox, "/", &[("Host", host)]));
    }
    let own = format!("127.0.0.1:{port}");
    assert_page(&get(&sandbox, &format!("http://{own}/"), &[("Host", &own)]));
    for host in [
        "sandbox",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "192.168.1.1",
        "[::2]",
        "2130706433",
        "evil@localhost",
        "",
    ] {
        assert_no_page(&get(&sandbox, "/", &[("Host", &format!("{host}:{port}"))]), 421);
    }
    assert_no_page(&get(&sandbox, "/", &[]), 421);
    assert_no_page(&get(&sandbox, "/", &[("Host", &own), ("Host", &own)]), 421);
    assert_no_page(&get(&sandbox, "http://evil.example/", &[("Host", &own)]), 421);
    assert_no_page(&ask(&sandbox, "HEAD", "/", &[("Host", "evil.example")], ""), 421);
    assert_no_page(&get(&sandbox, "/?", &[("Host", "evil.example")]), 421);
}

#[test]
fn the_page_answers_only_to_its_own_origin() {
    let sandbox = with_page();
    let port = sandbox.address().port();
    let own = format!("127.0.0.1:{port}");
    for origin in [format!("http://{own}"), format!("http://localhost:{port}"), format!("http://[::1]:{port}")] {
        assert_page(&get(&sandbox, "/", &[("Host", &own), ("Origin", &origin)]));
    }
    let others = [
        "null".to_owned(),
        String::new(),
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        format!("https://{own}"),
        "http://127.0.0.1".to_owned(),
        format!("http://127.0.0.1:{}", port ^ 1),
        format!("http://{own}/"),
        format!("http://{own}@evil.example"),
        format!("http://{own}, http://evil.example"),
    ];
    for origin in &others {
        assert_no_page(&get(&sandbox, "/", &[("Host", &own), ("Origin", origin)]), 403);
    }
    let (host, own) = (own.clone(), format!("http://{own}"));
    let twice = [("Host", host.as_str()), ("Origin", own.as_str()), ("Origin", "http://evil.example")];
    assert_no_page(&get(&sandbox, "/", &twice), 403);
}

#[test]
fn unsigned_calls_from_other_origins_are_refused() {
    let sandbox = with_page();
    let port = sandbox.address().port();
    let app_id = app(&sandbox).session().user_id();
    let challenge = CodeVerifier::generate(&mut rng()).challenge();
    let authorization = json!({"client_id": app_id, "scope": "PROFILE:READ", "code_challenge": challenge}).to_string();
    let exchange = json!({"client_id": app_id, "code": "x"}).to_string();
    for (path, body, expected) in [
        ("/sandbox/authorizations", &authorization, "authorization_id"),
        ("/sandbox/authorizations?x", &authorization, "authorization_id"),
        ("/oauth/token", &exchange, "ed25519"),
        ("/legacy/users", &exchange, "session_id"),
    ] {
        let answer_to = |headers: &[(&str, &str)]| ask(&sandbox, "POST", path, headers, body);
        // A container or a tunnel may give it any name.
        let own = format!("http://localhost:{port}");
        for headers in [&[("Host", "sandbox")][..], &[("Host", "sandbox"), ("Origin", &own)]] {
            let answer = answer_to(headers);
            assert!(answer.contains(expected), "{answer}");
        }
        for origin in ["http://evil.example", "null", "http://localhost:1"] {
            let answer = answer_to(&[("Host", &format!("127.0.0.1:{port}")), ("Origin", origin)]);
            assert!(answer.starts_with("HTTP/1.1 202") && answer.contains("\"reason\":\"origin\""), "{answer}");
            assert!(answer.contains("\"code\":403") && !answer.contains(expected), "{answer}");
        }
    }
}

#[test]
fn signed_calls_are_accepted_by_any_name_and_from_any_origin() {
    let sandbox = with_page();
    let session = register(&sandbox, Kind::Ed25519);
    for origin in [None, Some("http://evil.example")] {
        let me = signed(&session, Calls::new(&session, now(), &mut rng()).me());
        let mut headers: Vec<(&str, &str)> = me.headers().collect();
        headers.push(("Host", "mixin.example"));
        headers.extend(origin.map(|origin| ("Origin", origin)));
        let answer = get(&sandbox, "/me", &headers);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"has_pin\":false"), "{answer}");
    }
}
