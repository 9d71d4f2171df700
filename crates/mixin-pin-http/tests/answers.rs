//! Servers that misbehave: the client classifies each answer, and sends nothing twice.

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{Server, USER, builder, pin, read_request};
use mixin_pin_http::{ApiSettings, Error, Outcome, SettingsError};
use mixin_pin_protocol::answer::{ErrorCode, User};
use mixin_pin_protocol::call::LogQuery;
use mixin_pin_protocol::{AnswerError, Error as ProtocolError};

fn protocol(error: Error) -> AnswerError {
    match error {
        Error::Protocol(ProtocolError::Answer(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_answer_is_done() {
    let server = Server::answering("200 OK", USER);
    let user = server.client().verify_pin(&pin()).unwrap().done().unwrap();
    assert!(user.has_pin);
}

#[test]
fn a_refusal_keeps_code_description_and_extra() {
    let body = r#"{"error":{"status":202,"code":20119,"description":"PIN incorrect.","extra":{"left":4}}}"#;
    let server = Server::answering("202 Accepted", body);
    let AnswerError::Refusal(error) = protocol(server.client().verify_pin(&pin()).unwrap_err()) else { panic!() };
    assert_eq!(error.code, ErrorCode::PinIncorrect);
    assert_eq!(error.description, "PIN incorrect.");
    assert_eq!(error.extra.unwrap()["left"], 4);
}

#[test]
fn a_web_page_leaves_the_outcome_unknown() {
    let server = Server::answering("200 OK", "<html><body>Welcome to the hotel</body></html>");
    assert_eq!(protocol(server.lost()), AnswerError::Html { status: 200 });
}

#[test]
fn a_server_error_leaves_the_outcome_unknown() {
    let server = Server::answering("502 Bad Gateway", "<html>");
    assert_eq!(protocol(server.lost()), AnswerError::Server { status: 502 });
    let body = r#"{"error":{"status":500,"code":7000,"description":"Internal"}}"#;
    let AnswerError::Failure(error) = protocol(Server::answering("500 Oops", body).lost()) else { panic!() };
    assert_eq!(error.code, ErrorCode::Server(7000));
}

#[test]
fn an_empty_answer_leaves_the_outcome_unknown() {
    assert_eq!(protocol(Server::answering("200 OK", "").lost()), AnswerError::Empty { status: 200 });
}

#[test]
fn truncated_json_leaves_the_outcome_unknown() {
    let error = Server::answering("200 OK", &USER[..30]).lost();
    assert_eq!(protocol(error), AnswerError::CutOff { status: 200 });
}

#[test]
fn a_connection_cut_in_the_body_leaves_the_outcome_unknown() {
    let server = Server::start(|stream, id| {
        write!(stream, "HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nContent-Length: 500\r\n\r\n{{\"data\"").unwrap();
    });
    assert!(matches!(server.lost(), Error::Interrupted(_)));
}

#[test]
fn a_connection_closed_without_an_answer_leaves_the_outcome_unknown() {
    assert!(matches!(Server::start(|_, _| ()).lost(), Error::Interrupted(_)));
}

#[test]
fn a_server_that_never_answers_leaves_the_outcome_unknown_in_time() {
    let server = Server::start(|stream, _| {
        // Waits until the client gives up and closes the connection.
        let _ = stream.read(&mut [0; 1]);
    });
    let client = builder().base_url(&server.url).timeout(Duration::from_millis(300)).build().unwrap();
    assert!(matches!(server.lost_by(&client), Error::Timeout { .. }));
}

#[test]
fn ten_mebibytes_are_refused_whether_announced_or_not() {
    let announced = Server::start(|stream, id| {
        let head = format!("HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nContent-Length: 10485760\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
    });
    assert!(matches!(announced.lost(), Error::AnswerTooLong { limit: 1_048_576 }));
    let streamed = Server::start(|stream, id| {
        let head = format!("HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // The client closes the connection when the answer is too long. Then writing fails.
        for _ in 0..160 {
            if stream.write_all(&vec![b' '; 65_536]).is_err() {
                break;
            }
        }
    });
    assert!(matches!(streamed.lost(), Error::AnswerTooLong { limit: 1_048_576 }));
}

#[test]
fn an_answer_to_another_request_leaves_the_outcome_unknown() {
    let other = Server::start(|stream, _| {
        let id = "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09";
        let len = USER.len();
        write!(stream, "HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nContent-Length: {len}\r\n\r\n{USER}").unwrap();
    });
    assert_eq!(protocol(other.lost()), AnswerError::RequestIdMismatch);
    let none = Server::start(|stream, _| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{USER}", USER.len()).unwrap();
    });
    assert_eq!(protocol(none.lost()), AnswerError::RequestIdMissing);
}

#[test]
fn a_redirection_is_not_followed() {
    let elsewhere = Server::answering("200 OK", USER);
    let url = elsewhere.url.clone();
    let server = Server::start(move |stream, id| {
        let head = "HTTP/1.1 307 Temporary Redirect";
        write!(stream, "{head}\r\nX-Request-Id: {id}\r\nLocation: {url}/x\r\nContent-Length: 0\r\n\r\n").unwrap();
    });
    assert!(matches!(server.lost(), Error::Redirect { status: 307 }));
    assert_eq!(elsewhere.requests.load(Ordering::SeqCst), 0);
}

#[test]
fn an_answer_that_is_not_http_leaves_the_outcome_unknown() {
    let server = Server::start(|stream, _| stream.write_all(b"220 mail.example ESMTP\r\n").unwrap());
    assert!(matches!(server.lost(), Error::Interrupted(_)));
}

#[test]
fn a_refused_connection_means_that_nothing_was_sent() {
    // Nothing listens on this port. Another test might take a free port before the client connects.
    let client = builder().base_url("http://127.0.0.1:9").build().unwrap();
    let error = client.verify_pin(&pin()).unwrap_err();
    assert!(matches!(error, Error::Connect(_)) && error.nothing_changed(), "{error:?}");
}

#[test]
fn an_unknown_host_name_means_that_nothing_was_sent() {
    // RFC 6761, section 6.4: this name never exists.
    let client = builder().api(ApiSettings::new().base_url("https://mixin-pin.invalid").proxy(None)).build().unwrap();
    let error = client.verify_pin(&pin()).unwrap_err();
    assert!(matches!(error, Error::Connect(_)) && error.nothing_changed(), "{error:?}");
}

#[test]
fn a_failed_tls_handshake_means_that_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // The server answers in plain HTTP.
            let _ = stream.unwrap().write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let client = builder().base_url(format!("https://127.0.0.1:{port}")).build().unwrap();
    assert!(matches!(client.verify_pin(&pin()).unwrap_err(), Error::Connect(_)));
}

#[test]
fn a_failed_read_is_an_error_and_never_unknown() {
    let server = Server::start(|_, _| ());
    assert!(matches!(server.client().me().unwrap_err(), Error::Interrupted(_)));
    assert!(matches!(server.client().call::<User>("GET", "/me", None).unwrap_err(), Error::Interrupted(_)));
    let lost = server.client().call::<User>("POST", "/transfers", Some(&serde_json::json!({}))).unwrap();
    assert!(matches!(lost, Outcome::Unknown(_)));
}

#[test]
fn invalid_settings_are_named() {
    let build = |url: &str| builder().base_url(url).build();
    for url in [
        "",
        "api.mixin.one",
        "ftp://x",
        "https://",
        "https://x/path",
        "https://x?q",
        "https://x?",
        "https://x#",
        "https://x#f",
        "https://x/#f",
        "https://x:99999",
        "https://x:0",
        "https://user:pw@x",
        "https://x y",
    ] {
        assert!(matches!(build(url), Err(SettingsError::BaseUrl)), "{url}");
    }
    for url in ["http://api.mixin.one", "http://10.0.0.1:80", "http://localhost.example"] {
        assert!(matches!(build(url), Err(SettingsError::PlainHttp)), "{url}");
        assert!(builder().api(ApiSettings::new().base_url(url).allow_plain_http(true)).build().is_ok());
    }
    for url in
        ["https://api.mixin.one", "https://api.mixin.one/", "http://localhost:1", "http://127.0.0.1", "http://[::1]:8"]
    {
        assert!(build(url).is_ok(), "{url}");
    }
    assert!(matches!(
        builder().api(ApiSettings::new().proxy(Some("no proxy"))).build(),
        Err(SettingsError::Proxy { .. })
    ));
    assert!(builder().api(ApiSettings::new().proxy(Some("http://proxy.example:3128"))).build().is_ok());
    assert!(matches!(builder().api(ApiSettings::new().user_agent("a\r\nb")).build(), Err(SettingsError::Header)));
    assert!(matches!(builder().api(ApiSettings::new().device_id("\u{e9}")).build(), Err(SettingsError::Header)));
}

#[test]
fn a_proxy_and_the_headers_are_used_as_set() {
    let seen = Arc::new(std::sync::Mutex::new(String::new()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let note = seen.clone();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 8192];
        let count = stream.read(&mut buffer).unwrap();
        note.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
    });
    let client = builder()
        .api(
            ApiSettings::new()
                .base_url(format!("http://127.0.0.1:{port}"))
                .user_agent("bot/7")
                .device_id("00a5a4ae-dcdc-48db-ab8e-a7eef69b441d"),
        )
        .build()
        .unwrap();
    assert!(client.me().is_err(), "no answer");
    server.join().unwrap();
    let text = seen.lock().unwrap().to_ascii_lowercase();
    for line in
        ["user-agent: bot/7", "mixin-device-id: 00a5a4ae-dcdc-48db-ab8e-a7eef69b441d", "content-type: application/json"]
    {
        assert!(text.contains(line), "{text}");
    }

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        line
    });
    let client = builder().api(ApiSettings::new().base_url("https://api.example").proxy(Some(&proxy))).build().unwrap();
    assert!(matches!(client.verify_pin(&pin()).unwrap_err(), Error::Connect(_)), "no tunnel was made");
    assert!(server.join().unwrap().starts_with("CONNECT api.example:443 "));
}

#[test]
fn pin_calls_of_one_session_go_one_at_a_time() {
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let id = read_request(&mut stream);
                MOST.fetch_max(INSIDE.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::sleep(Duration::from_millis(20));
                INSIDE.fetch_sub(1, Ordering::SeqCst);
                let len = USER.len();
                let head =
                    format!("HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nContent-Length: {len}\r\nConnection: close");
                write!(stream, "{head}\r\n\r\n{USER}").unwrap();
            });
        }
    });
    let client = builder().base_url(url).build().unwrap();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| client.verify_pin(&pin()).unwrap().done().unwrap());
        }
    });
    assert_eq!(MOST.load(Ordering::SeqCst), 1);
}

#[test]
fn a_verification_may_be_answered_by_nothing_and_a_list_by_its_only_entry() {
    let server = Server::answering("200 OK", "{}");
    let client = server.client();
    let user = client.verify_pin(&pin()).unwrap().done().unwrap();
    assert_eq!((user.user_id, user.has_pin), (client.session().user_id(), true));
    assert!(matches!(client.change_pin(&pin(), &pin()).unwrap(), Outcome::Unknown(_)));

    let logs = |body: &str| Server::answering("200 OK", body).client();
    let one = logs(r#"{"data":{"log_id":"1","code":null}}"#).pin_logs(&LogQuery::wrong_pins()).unwrap();
    assert_eq!((one.len(), one[0].log_id.as_str()), (1, "1"));
    assert_eq!(logs(r#"{"data":null}"#).pin_logs(&LogQuery::wrong_pins()).unwrap(), []);
    let error = logs(r#"{"data":[{"log_id":null}]}"#).pin_logs(&LogQuery::wrong_pins()).unwrap_err();
    assert!(error.to_string().contains("its data[0].log_id is null"), "{error}");
}
