//! Requests that never end, and too many connections: all of them are ended, other clients are served meanwhile, and the
//! sandbox stops in time.

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Kind, app, client, raw, reason, register, rng, sandbox, send_parts, verdict};
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Pin, PinKey};
use mixin_pin_sandbox::{Account, Config, Sandbox};
use serde_json::{Value, json};

const TIME: Duration = Duration::from_millis(500);
/// Extra time for a busy machine.
const SLACK: Duration = Duration::from_secs(5);
const HEAD: &str = "POST /pin/verify HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 100\r\n\r\n";

fn quick(max_connections: usize) -> Sandbox {
    Sandbox::start(&Config { max_connections, head_time: TIME, body_time: TIME, ..Config::default() }).unwrap()
}

fn connect(sandbox: &Sandbox, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(sandbox.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    stream
}

/// Reads until the sandbox closes the connection, which it must within `most`.
fn until_closed(mut stream: TcpStream, most: Duration) -> String {
    let begun = Instant::now();
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
    }
    assert!(begun.elapsed() < most, "open for {:?}", begun.elapsed());
    String::from_utf8(said).unwrap()
}

/// Sends single bytes until the sandbox closes the connection.
fn dribble(mut stream: TcpStream) {
    let begun = Instant::now();
    while stream.write_all(b"x").is_ok() {
        thread::sleep(Duration::from_millis(20));
        assert!(begun.elapsed() < 3 * TIME + SLACK, "the connection is still open");
    }
}

#[test]
fn endless_heads_bodies_and_pauses_are_cut_off() {
    let sandbox = quick(64);
    let most = 3 * TIME + SLACK;
    assert_eq!(until_closed(connect(&sandbox, ""), most), "");
    until_closed(connect(&sandbox, "POST /pin/verify HTTP/1.1\r\nHost: s"), most);
    for request in [HEAD, "POST /pin/verify HTTP/1.1\r\nHost: sandbox\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx"] {
        let said = until_closed(connect(&sandbox, request), most);
        assert!(said.contains("\"reason\":\"body_too_slow\""), "{said}");
    }
    let said = until_closed(connect(&sandbox, "GET /me HTTP/1.1\r\nHost: sandbox\r\n\r\n"), most);
    assert!(said.contains("token_missing"), "an idle connection is closed: {said}");
    let said = until_closed(connect(&sandbox, "GET /me HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 9\r\n\r\n"), most);
    assert!(said.contains("body_with_get"), "{said}");
    thread::scope(|scope| {
        scope.spawn(|| dribble(connect(&sandbox, "POST /pin/verify HTTP/1.1\r\nX: ")));
        scope.spawn(|| dribble(connect(&sandbox, &HEAD.replace("100", "100000"))));
        scope.spawn(|| dribble(connect(&sandbox, &HEAD.replace("100", "1000"))));
    });
}

#[test]
fn limits_of_any_size_are_accepted() {
    let (head_time, body_time) = (Duration::MAX, Duration::MAX);
    for max_connections in [0, usize::MAX] {
        let config = Config { max_connections, head_time, body_time, ..Config::default() };
        let sandbox = Sandbox::start(&config).unwrap();
        client(&sandbox, register(&sandbox, Kind::Ed25519)).me().unwrap();
    }
}

#[test]
fn an_endless_head_is_refused() {
    let sandbox = sandbox();
    let mut stream = connect(&sandbox, "GET /me HTTP/1.1\r\nX: ");
    let sent = (0..256).take_while(|_| stream.write_all(&vec![b'x'; 1 << 18]).is_ok()).count();
    assert!(sent < 256, "64 MiB of a head were accepted");
}

#[test]
fn a_client_that_reads_no_answers_is_cut_off() {
    let sandbox = Sandbox::start(&Config { status_page: true, head_time: TIME, body_time: TIME, ..Config::default() });
    let sandbox = sandbox.unwrap();
    let host = sandbox.address().to_string();
    let mut stream = connect(&sandbox, "");
    stream.set_nonblocking(true).unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    // Writes until the answers fill all buffers and the sandbox cuts off the connection.
    let begun = Instant::now();
    let ended = loop {
        match stream.write(request.as_bytes()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(20)),
            Err(error) => break error.kind(),
        }
        assert!(begun.elapsed() < 6 * TIME + 2 * SLACK, "it is still open");
    };
    assert!(matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{ended:?}");
}

#[test]
fn slow_clients_on_every_connection_lock_out_no_other_client() {
    const CONNECTIONS: usize = 8;
    let sandbox = quick(CONNECTIONS);
    for _ in 0..3 {
        let slow: Vec<TcpStream> = (0..2 * CONNECTIONS)
            .map(|number| connect(&sandbox, if number % 2 == 0 { HEAD } else { "POST / HTTP/1.1\r\n" }))
            .collect();
        let begun = Instant::now();
        let answer = raw(&sandbox, b"GET /me HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n");
        assert!(answer.contains("token_missing"), "{answer}");
        assert!(begun.elapsed() < 9 * TIME + SLACK, "{:?}", begun.elapsed());
        drop(slow);
    }
}

#[test]
fn bodies_that_do_not_arrive_delay_no_other_client() {
    let sandbox = sandbox();
    let chunked = HEAD.replace("Content-Length: 100", "Transfer-Encoding: chunked");
    let long = HEAD.replace("100", "1000000");
    let slow: Vec<TcpStream> = (0..32)
        .map(|number| connect(&sandbox, &if number % 2 == 0 { format!("{chunked}5\r\nx") } else { format!("{long}x") }))
        .collect();
    // When this is answered, the sandbox has read everything above.
    client(&sandbox, register(&sandbox, Kind::Ed25519)).me().unwrap();
    let begun = Instant::now();
    let chunked = chunked.replace("Host: sandbox", "Host: sandbox\r\nConnection: close");
    let answer = raw(&sandbox, format!("{chunked}2\r\n{{}}\r\n0\r\n\r\n").as_bytes());
    assert!(answer.contains("token_missing"), "{answer}");
    let head = HEAD.replace("Host: sandbox", "Host: sandbox\r\nConnection: close").replace("100", "1000000");
    let answer = raw(&sandbox, [head.as_bytes(), &vec![b' '; 1_000_000]].concat().as_slice());
    assert!(answer.contains("token_missing"), "{answer}");
    assert!(begun.elapsed() < SLACK, "{:?}", begun.elapsed());
    drop(slow);
}

#[cfg(unix)]
#[test]
fn idle_connections_close_when_no_file_descriptors_are_left() {
    use std::{env, fs, io, process};

    // The file to which this test, run as a separate process, writes the address of its sandbox.
    const ADDRESS_FILE: &str = "MIXIN_PIN_TEST_ADDRESS";
    if let Some(path) = env::var_os(ADDRESS_FILE).map(std::path::PathBuf::from) {
        let sandbox = sandbox();
        fs::write(path.with_extension("new"), sandbox.address().to_string()).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
        // Waits until the test closes the pipe.
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("address");
    let mut child = process::Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh"])
        .arg(env::current_exe().unwrap())
        .args(["--exact", "idle_connections_close_when_no_file_descriptors_are_left"])
        .env(ADDRESS_FILE, &path)
        .stdin(process::Stdio::piped())
        .stdout(process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let address: std::net::SocketAddr = loop {
        match fs::read_to_string(&path) {
            Ok(address) => break address.parse().unwrap(),
            Err(_) => assert!(begun.elapsed() < 6 * SLACK, "the sandbox does not start"),
        }
        thread::sleep(Duration::from_millis(20));
    };
    let idle: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    let begun = Instant::now();
    let mut honest = TcpStream::connect(address).unwrap();
    honest.set_read_timeout(Some(2 * SLACK)).unwrap();
    honest.write_all(b"GET /me HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let read = honest.read_to_string(&mut answer);
    drop((idle, child.stdin.take()));
    assert!(child.wait().unwrap().success());
    read.unwrap();
    assert!(answer.contains("token_missing"), "{answer}");
    assert!(begun.elapsed() < SLACK, "{:?}", begun.elapsed());
}

// Other systems may have shorter queues.
#[cfg(target_os = "linux")]
#[test]
fn a_client_behind_many_others_can_connect() {
    let sandbox = quick(1);
    let _crowd: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect_timeout(&sandbox.address(), Duration::from_millis(900)).unwrap()).collect();
    let answer = raw(&sandbox, b"GET /me HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n");
    assert!(answer.contains("token_missing"), "{answer}");
}

#[test]
fn idle_and_busy_connections_close_when_others_wait() {
    const ASK: &[u8] = b"GET /me HTTP/1.1\r\nHost: sandbox\r\n\r\n";
    // With these time limits they would stay open for long.
    let sandbox = Sandbox::start(&Config { max_connections: 4, ..Config::default() }).unwrap();
    let mut idle: Vec<TcpStream> = (0..2).map(|_| connect(&sandbox, "")).collect();
    for stream in &mut idle {
        stream.write_all(ASK).unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut stream = connect(&sandbox, "");
                // Requests on one connection until it is closed.
                while !stop.load(Ordering::SeqCst) && stream.write_all(ASK).is_ok() {
                    if !matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
                        break;
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(100));
        let answers: Vec<String> = (0..3)
            .map(|_| {
                let mut stream = connect(&sandbox, "GET /me HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n");
                stream.set_read_timeout(Some(SLACK)).unwrap();
                let mut answer = String::new();
                // After an error the answer is incomplete, and the assertion below fails.
                let _ = stream.read_to_string(&mut answer);
                answer
            })
            .collect();
        stop.store(true, Ordering::SeqCst);
        assert!(answers.iter().all(|answer| answer.contains("token_missing")), "{answers:?}");
    });
    for stream in idle {
        assert_eq!(until_closed(stream, SLACK), "");
    }
}

#[test]
fn the_sandbox_stops_within_seconds_despite_open_connections() {
    for drop_it in [false, true] {
        let sandbox = sandbox();
        let open: Vec<TcpStream> =
            ["", "POST /pin", HEAD, "GET /me HTTP/1.1\r\nHost: sandbox\r\n\r\n", "POST / HTTP/1.1\r\nX: y\r\n"]
                .iter()
                .map(|sent| connect(&sandbox, sent))
                .collect();
        // When this is answered, the sandbox has read everything above.
        client(&sandbox, register(&sandbox, Kind::Ed25519)).me().unwrap();
        let address = sandbox.address();
        let begun = Instant::now();
        if drop_it {
            drop(sandbox);
        } else {
            sandbox.stop().unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(3) + SLACK / 2, "{:?}", begun.elapsed());
        assert!(TcpStream::connect(address).is_err());
        for stream in open {
            until_closed(stream, SLACK);
        }
    }
}

#[test]
fn ten_thousand_accounts_fit() {
    let sandbox = sandbox();
    let pin_key = PinKey::generate(&mut rng());
    let account = |id| {
        let public_key = VerifyingKey::Ed25519(Ed25519Key::from_bytes(&[7; 32]).unwrap().public_key());
        let pin_key = PinKey::from_bytes(pin_key.expose()).unwrap();
        Account::new(Uuid::from_u128(id), Uuid::from_u128(id), "One of many", public_key, pin_key)
    };
    let accounts: Vec<Account> = (1..=10_000).map(account).collect();
    sandbox.add_accounts(&accounts).unwrap();
    let session = register(&sandbox, Kind::Ed25519);
    client(&sandbox, session).me().unwrap();
}

#[test]
fn stored_text_has_a_maximum_length() {
    let sandbox = sandbox();
    let app = app(&sandbox);
    let secret = VerifyingKey::Ed25519(Ed25519Key::generate(&mut rng()).public_key()).to_session_secret().unwrap();
    let named = |len: usize, secret: &str| {
        let body = json!({ "full_name": "x".repeat(len), "session_secret": secret });
        app.call::<Value>("POST", "/users", Some(&body))
    };
    named(256, &secret).unwrap().done().unwrap();
    let too_long = || (10_002, "too_long".to_owned());
    assert_eq!(reason(named(257, &secret)), too_long());
    assert_eq!(reason(named(1, &"A".repeat(1025))), too_long());

    let ask = |scope: usize, challenge: usize| {
        let app_id = app.session().user_id();
        let body = json!({ "client_id": app_id, "scope": "x".repeat(scope), "code_challenge": "x".repeat(challenge) });
        send_parts(&sandbox, "POST", "/sandbox/authorizations", &[], body.to_string().as_bytes())
    };
    let answer = ask(1024, 128);
    assert_eq!(verdict(&answer), (0, ""));
    assert_eq!(verdict(&ask(1025, 128)), (10_002, "too_long"));
    assert_eq!(verdict(&ask(1024, 129)), (10_002, "too_long"));

    let user = client(&sandbox, register(&sandbox, Kind::Ed25519));
    let pin = Pin::new("314159").unwrap();
    user.create_pin(&pin).unwrap().done().unwrap();
    let scope = "x".repeat(1024);
    let approval = json!({ "authorization_id": answer["data"]["authorization_id"], "scopes": [scope, scope] });
    let approved = user.call_with_pin::<Value>("POST", "/oauth/authorize", approval.as_object().unwrap(), &pin);
    assert_eq!(reason(approved).0, 10_002);
}

#[test]
fn unsigned_bodies_have_a_smaller_limit() {
    let sandbox = sandbox();
    let post = |path: &str, len: usize| {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n");
        raw(&sandbox, [head.as_bytes(), &vec![b' '; len]].concat().as_slice())
    };
    for path in ["/sandbox/authorizations", "/oauth/token", "/oauth/token?x", "/legacy/users"] {
        assert!(post(path, 16 << 10).contains("\"reason\":\"body\""));
        assert!(post(path, (16 << 10) + 1).contains("\"reason\":\"body_too_long\""));
    }
    assert!(post("/pin/verify", 1 << 20).contains("\"reason\":\"token_missing\""));
}
