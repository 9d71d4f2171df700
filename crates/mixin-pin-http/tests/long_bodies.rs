//! Long requests and long answers arrive whole.

mod common;

use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use common::{builder, read_pieces};
use mixin_pin_http::Outcome;
use serde_json::{Value, json};

/// Answers one request with `answer`, and returns the pieces in which the request was read.
fn serve(answer: String) -> (String, thread::JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let pieces = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (pieces, id) = read_pieces(&mut stream);
        let len = answer.len();
        write!(stream, "HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nContent-Length: {len}\r\n\r\n{answer}").unwrap();
        pieces
    });
    (url, pieces)
}

#[test]
fn long_bodies_and_long_answers_arrive_whole() {
    for len in [10_000, 20_000, 40_000, 200_000, 900_000] {
        let sent = "s".repeat(len);
        let (url, pieces) = serve(json!({ "data": "r".repeat(len) }).to_string());
        let client = builder().base_url(url).build().unwrap();
        let received = client.call::<Value>("POST", "/anything", Some(&json!({ "text": sent }))).unwrap();
        let Outcome::Done(received) = received else { panic!("{len}: {received:?}") };
        assert_eq!(received, Value::String("r".repeat(len)));
        let whole = pieces.join().unwrap().concat();
        assert!(whole.ends_with(format!("{{\"text\":\"{sent}\"}}").as_bytes()), "{len}");
    }
}
