//! Gateways that answer in place of the API, proxies that send requests twice, and slow signers. The outcome is unknown only
//! if something may have been sent.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{Server, USER, builder, pin, read_request, respond};
use mixin_pin_core::token::{Algorithm, Signer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Session, SignerError, rand_core::CryptoRng};
use mixin_pin_http::store::MemoryStore;
use mixin_pin_http::{ApiSettings, Client, Error, NextStep, Outcome, SettingsError};
use mixin_pin_protocol::{AnswerError, CallError, Error as ProtocolError};
use serde_json::{Map, Value};

fn transfer(client: &Client) -> Result<Outcome<Value>, Error> {
    client.call_with_pin("POST", "/transfers", &Map::new(), pin())
}

fn error(code: u32, extra: &str) -> String {
    format!(r#"{{"error":{{"status":202,"code":{code},"description":"d"{extra}}}}}"#)
}

#[test]
fn a_gateways_error_in_mixins_envelope_leaves_a_transfer_unknown() {
    let statuses = ["200 OK", "202 Accepted", "500 Oops", "502 Bad Gateway", "504 Gateway Timeout", "409 Conflict"];
    for status in statuses {
        for code in [0, 408, 409, 500, 502, 503, 504, 7000, 7002, 10_001, 20_125, 99_999] {
            let server = Server::answering(status, error(code, ""));
            let Outcome::Unknown(lost) = transfer(&server.client()).unwrap() else { panic!("{status} {code}") };
            assert_eq!((lost.next, server.requests.load(Ordering::SeqCst)), (NextStep::CheckFirst, 1));
            assert!(
                matches!(*lost.cause, Error::Protocol(ProtocolError::Answer(AnswerError::Failure(_)))),
                "{status} {code}: {lost:?}"
            );
            assert!(
                !lost.cause.nothing_changed() && !lost.cause.to_string().contains("before the call"),
                "{}",
                lost.cause
            );
        }
    }
    // A documented code counts only in an answer that looks like Mixin's refusals.
    for status in ["400 Bad Request", "403 Forbidden", "429 Too Many Requests", "500 Oops", "503 Service Unavailable"] {
        let server = Server::answering(status, error(10_002, ""));
        assert!(matches!(transfer(&server.client()).unwrap(), Outcome::Unknown(_)), "{status}");
    }
    // An answer with both `data` and `error` decides nothing.
    let both = r#"{"data":{"ok":1},"error":{"status":202,"code":10002}}"#;
    assert!(matches!(transfer(&Server::answering("200 OK", both).client()).unwrap(), Outcome::Unknown(_)));
    for code in [400, 403, 404, 10_002, 10_006, 20_117, 20_118, 20_120] {
        let error = transfer(&Server::answering("202 Accepted", error(code, "")).client()).unwrap_err();
        assert!(error.nothing_changed(), "{code}: {error:?}");
    }
}

#[test]
fn reads_are_repeated_after_mixins_own_server_errors() {
    for (status, code, requests) in [
        ("200 OK", 500, 4),
        ("500 Oops", 7000, 4),
        ("504 Gone", 504, 4),
        ("202 Accepted", 429, 4),
        ("200 OK", 99_999, 1),
    ] {
        let server = Server::answering(status, error(code, ""));
        server.client().me().unwrap_err();
        assert_eq!(server.requests.load(Ordering::SeqCst), requests, "{status} {code}");
    }
}

#[test]
fn a_refusal_that_may_be_about_a_copy_leaves_changes_unknown_and_fails_verifications() {
    let extras =
        ["", r#","extra":"once more""#, r#","extra":{"left":4}"#, r#","extra":{"reason":"iterator too small"}"#];
    for code in [401, 429, 20_119] {
        for extra in extras {
            let server = || Server::answering("202 Accepted", error(code, extra));
            let Outcome::Unknown(lost) = transfer(&server().client()).unwrap() else { panic!("{code} {extra}") };
            assert!(!lost.cause.nothing_changed(), "{code} {extra}");
            let Outcome::Unknown(lost) = server().client().change_pin(&pin(), &pin()).unwrap() else {
                panic!("{code}")
            };
            assert_eq!(lost.next, NextStep::ResolveUpdate);
            // Verifying changes nothing, so its refusal is an error, even if it does not tell whether the PIN is right.
            let refused = server().client().verify_pin(&pin()).unwrap_err();
            assert!(
                matches!(refused, Error::Protocol(ProtocolError::Answer(AnswerError::Refusal(_))))
                    && !refused.nothing_changed()
            );
        }
    }
    // A known reason shows that this copy was refused.
    for (code, reason) in [(20_119, "pin"), (20_119, "signature"), (20_119, "ciphertext"), (401, "token_signature")] {
        let body = error(code, &format!(r#","extra":{{"reason":"{reason}"}}"#));
        let error = transfer(&Server::answering("202 Accepted", body).client()).unwrap_err();
        assert!(error.nothing_changed(), "{reason}: {error:?}");
    }
    // A repeated or expired request has a copy that was sent by something on the network.
    for reason in ["request_repeated", "token_expired"] {
        let body = error(401, &format!(r#","extra":{{"reason":"{reason}"}}"#));
        let server = Server::answering("202 Accepted", body);
        assert!(matches!(server.client().verify_pin(&pin()).unwrap(), Outcome::Unknown(_)), "{reason}");
    }
}

/// Signs with Ed25519 after a pause.
struct SlowSigner(Ed25519Key, Duration);

impl Signer for SlowSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDsa
    }

    fn signature_len(&self) -> usize {
        self.0.signature_len()
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
        thread::sleep(self.1);
        self.0.sign(message, rng, signature)
    }
}

#[test]
fn a_signer_slower_than_the_call_or_the_lease_sends_nothing() {
    let server = Server::answering("200 OK", USER);
    let client = |signing: u64, limit: u64| {
        let public = Ed25519Key::from_bytes(&[2; 32]).unwrap().public_key().to_x25519().unwrap();
        let key = Ed25519Key::from_bytes(&[1; 32]).unwrap();
        let session = Session::ed25519(Uuid::nil(), Uuid::from_u128(0x510), key, &public).unwrap();
        let session = session.map_signer(|_| {
            let key = Ed25519Key::from_bytes(&[1; 32]).unwrap();
            SlowSigner(key, Duration::from_millis(signing))
        });
        let builder = Client::builder_with_signer(session).base_url(&server.url).store(MemoryStore::new());
        builder.timeout(Duration::from_millis(limit)).build().unwrap()
    };
    // The call may take 200 ms, and its lease lasts 300 ms.
    for signing in [250, 500] {
        let slow = client(signing, 200);
        for result in [
            slow.verify_pin(&pin()).map(drop),
            slow.change_pin(&pin(), &pin()).map(drop),
            transfer(&slow).map(drop),
            slow.call::<Value>("POST", "/x", None).map(drop),
            slow.call::<Value>("GET", "/me", None).map(drop),
            slow.me().map(drop),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::TimeOver { .. }) && error.nothing_changed(), "{error:?}");
        }
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 0, "nothing was sent");
    client(20, 2_000).verify_pin(&pin()).unwrap().done().unwrap();
}

#[test]
fn a_body_is_never_sent_with_a_get() {
    let server = Server::start(|stream, id| respond(stream, &format!("503 Down\r\nX-Request-Id: {id}"), ""));
    let body = serde_json::json!({ "pin_base64": "AAAA" });
    for method in ["GET", "HEAD"] {
        let error = server.client().call::<Value>(method, "/me", Some(&body)).unwrap_err();
        assert!(
            matches!(error, Error::Protocol(ProtocolError::Call(CallError::BodyOfRead))) && error.nothing_changed(),
            "{error:?}"
        );
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn endless_time_limits_count_as_a_day() {
    let server = Server::answering("200 OK", USER);
    let long = Duration::from_secs(u64::MAX);
    let client = builder()
        .api(ApiSettings::new().base_url(&server.url).connect_timeout(long))
        .timeout(long)
        .wait(long)
        .token_lifetime(long);
    let client = client.store(MemoryStore::new()).build().unwrap();
    client.verify_pin(&pin()).unwrap().done().unwrap();
    assert!(client.me().unwrap().has_pin);
}

/// Accepts one SOCKS5 connection. Returns its stream, on which the test answers as the API, and the requested host.
fn socks5(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    let read = |stream: &mut TcpStream, len: usize| {
        let mut bytes = vec![0; len];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    };
    let greeting = read(&mut stream, 2);
    assert_eq!(greeting[0], 5);
    read(&mut stream, greeting[1].into());
    stream.write_all(&[5, 0]).unwrap();
    let request = read(&mut stream, 4);
    assert_eq!(request[..2], [5, 1]);
    let host = if request[3] == 1 {
        read(&mut stream, 4).iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
    } else {
        let len = read(&mut stream, 1)[0];
        String::from_utf8(read(&mut stream, len.into())).unwrap()
    };
    read(&mut stream, 2);
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    (stream, host)
}

#[test]
fn a_socks_proxy_carries_the_call() {
    for scheme in ["socks5", "socks5h"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = format!("{scheme}://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, host) = socks5(&listener);
            let id = read_request(&mut stream);
            respond(&mut stream, &format!("200 OK\r\nX-Request-Id: {id}"), USER);
            host
        });
        let client = builder()
            .api(ApiSettings::new().base_url("http://192.0.2.7").allow_plain_http(true).proxy(Some(&proxy)))
            .build()
            .unwrap();
        client.verify_pin(&pin()).unwrap().done().unwrap();
        assert_eq!(server.join().unwrap(), "192.0.2.7");
    }
}

#[test]
fn a_server_that_is_no_proxy_means_that_nothing_was_sent() {
    // A mail server answers in place of the proxy.
    for scheme in ["http", "https", "socks4", "socks4a", "socks5", "socks5h"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = format!("{scheme}://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = stream.unwrap().write_all(b"220 mail.example ESMTP\r\n");
            }
        });
        let api = ApiSettings::new().base_url("http://192.0.2.7").allow_plain_http(true).proxy(Some(&proxy));
        let client = builder().api(api.connect_timeout(Duration::from_secs(2))).build().unwrap();
        let error = client.verify_pin(&pin()).unwrap_err();
        assert!(matches!(error, Error::Connect(_)) && error.nothing_changed(), "{scheme}: {error:?}");
        assert!(connections.load(Ordering::SeqCst) > 0, "{scheme}: the proxy was bypassed");
    }
    for url in ["socks6://x:1", "ftp://x:1", "http://x:99999", "http://", "http://x/path"] {
        assert!(
            matches!(builder().api(ApiSettings::new().proxy(Some(url))).build(), Err(SettingsError::Proxy { .. })),
            "{url}"
        );
    }
}
