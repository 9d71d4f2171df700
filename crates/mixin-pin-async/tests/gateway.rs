//! Proxies, slow signers and endless limits. The outcome is unknown only if something may have been sent.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{Server, USER, builder, pin, read_request, respond};
use mixin_pin_async::store::MemoryStore;
use mixin_pin_async::{ApiSettings, Client, Error, Outcome, SettingsError};
use mixin_pin_core::token::{Algorithm, Signer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Session, SignerError, rand_core::CryptoRng};
use mixin_pin_protocol::{CallError, Error as ProtocolError};
use serde_json::{Map, Value};

async fn transfer(client: &Client) -> Result<Outcome<Value>, Error> {
    client.call_with_pin("POST", "/transfers", &Map::new(), pin()).await
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

#[tokio::test]
async fn a_signer_slower_than_the_call_or_the_lease_sends_nothing() {
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
            slow.verify_pin(&pin()).await.map(drop),
            slow.change_pin(&pin(), &pin()).await.map(drop),
            transfer(&slow).await.map(drop),
            slow.call::<Value>("POST", "/x", None).await.map(drop),
            slow.call::<Value>("GET", "/me", None).await.map(drop),
            slow.me().await.map(drop),
        ] {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::TimeOver { .. }) && error.nothing_changed(), "{error:?}");
        }
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 0, "nothing was sent");
    client(20, 2_000).verify_pin(&pin()).await.unwrap().done().unwrap();
}

#[tokio::test]
async fn a_body_is_never_sent_with_a_get() {
    let server = Server::start(|stream, id| respond(stream, &format!("503 Down\r\nX-Request-Id: {id}"), ""));
    let body = serde_json::json!({ "pin_base64": "AAAA" });
    for method in ["GET", "HEAD"] {
        let error = server.client().call::<Value>(method, "/me", Some(&body)).await.unwrap_err();
        assert!(
            matches!(error, Error::Protocol(ProtocolError::Call(CallError::BodyOfRead))) && error.nothing_changed(),
            "{error:?}"
        );
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn endless_time_limits_count_as_a_day() {
    let server = Server::answering("200 OK", USER);
    let long = Duration::from_secs(u64::MAX);
    let client = builder()
        .api(ApiSettings::new().base_url(&server.url).connect_timeout(long))
        .timeout(long)
        .wait(long)
        .token_lifetime(long);
    let client = client.store(MemoryStore::new()).build().unwrap();
    client.verify_pin(&pin()).await.unwrap().done().unwrap();
    assert!(client.me().await.unwrap().has_pin);
}

/// Accepts one SOCKS5 connection, and replies with this code: 0 for success. Returns its stream, on which the test answers as
/// the API, and the requested host.
fn socks5(listener: &TcpListener, code: u8) -> (TcpStream, String) {
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
    stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    (stream, host)
}

#[tokio::test]
async fn a_socks_proxy_carries_the_call() {
    for scheme in ["socks5", "socks5h"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = format!("{scheme}://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut stream, host) = socks5(&listener, 0);
            let id = read_request(&mut stream);
            respond(&mut stream, &format!("200 OK\r\nX-Request-Id: {id}"), USER);
            host
        });
        let client = builder()
            .api(ApiSettings::new().base_url("http://192.0.2.7").allow_plain_http(true).proxy(Some(&proxy)))
            .build()
            .unwrap();
        client.verify_pin(&pin()).await.unwrap().done().unwrap();
        assert_eq!(server.join().unwrap(), "192.0.2.7");
    }
}

#[tokio::test]
async fn without_a_connection_a_pin_call_is_encrypted_again_and_sent_once() {
    // A proxy that refuses the first connection, and answers on the second itself.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("socks5://{}", proxy.local_addr().unwrap());
    let server = thread::spawn(move || {
        const CONNECTION_REFUSED: u8 = 5;
        drop(socks5(&proxy, CONNECTION_REFUSED));
        let (mut stream, _) = socks5(&proxy, 0);
        let id = read_request(&mut stream);
        respond(&mut stream, &format!("200 OK\r\nX-Request-Id: {id}"), USER);
        proxy.set_nonblocking(true).unwrap();
        proxy.accept().is_err()
    });
    let client = builder().api(ApiSettings::new().base_url("http://127.0.0.1:9").proxy(Some(&url))).build().unwrap();
    client.verify_pin(&pin()).await.unwrap().done().unwrap();
    assert!(server.join().unwrap(), "nothing else was sent");
}

#[tokio::test]
async fn a_call_that_never_gets_a_connection_in_its_time_was_not_sent() {
    // A proxy that accepts connections, and answers nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for (scheme, api) in [("http", "https"), ("socks5", "http")] {
        let proxy = format!("{scheme}://{}", listener.local_addr().unwrap());
        let settings = ApiSettings::new().base_url(format!("{api}://192.0.2.7")).allow_plain_http(true);
        let store = MemoryStore::new();
        let client =
            builder().api(settings.proxy(Some(&proxy))).timeout(Duration::from_millis(200)).store(store.clone());
        let client = client.build().unwrap();
        let error = client.verify_pin(&pin()).await.unwrap_err();
        let Error::Connect(cause) = &error else { panic!("{scheme}: {error:?}") };
        assert!(cause.is_timeout() && error.nothing_changed());
        assert!(client.pending().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_is_no_proxy_means_that_nothing_was_sent() {
    // A mail server answers in place of the proxy.
    // A plain-HTTP API is reached through an HTTP proxy without a tunnel, so the proxy may have got the request.
    for (scheme, api) in [
        ("http", "https"),
        ("https", "https"),
        ("socks4", "http"),
        ("socks4a", "http"),
        ("socks5", "http"),
        ("socks5h", "http"),
    ] {
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
        let api = ApiSettings::new().base_url(format!("{api}://192.0.2.7")).allow_plain_http(true).proxy(Some(&proxy));
        let client = builder().api(api.connect_timeout(Duration::from_secs(2))).build().unwrap();
        let error = client.verify_pin(&pin()).await.unwrap_err();
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
