//! The reader of `curl` commands against the real curl: both make the same request of a command.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use mixin_pin_protocol::inspect::CapturedRequest;

/// A server that answers each connection's first request with 200 and passes the request on.
fn server() -> (String, std::sync::mpsc::Receiver<CapturedRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                match line.trim_end_matches(['\r', '\n']) {
                    "" => break,
                    line => head.push(line.to_owned()),
                }
            }
            let mut first = head[0].split(' ');
            let (method, path) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
            let header = |wanted: &str| {
                let mut headers = head[1..].iter().filter_map(|line| line.split_once(": "));
                headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned())
            };
            let mut body = vec![0; header("Content-Length").map_or(0, |length| length.parse().unwrap())];
            reader.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            let token = header("Authorization").and_then(|value| Some(value.strip_prefix("Bearer ")?.to_owned()));
            let request_id = header("X-Request-Id");
            sender
                .send(CapturedRequest {
                    method,
                    path,
                    body,
                    token: token.unwrap_or_default(),
                    request_id,
                    plain_http: true,
                })
                .unwrap();
        }
    });
    (url, receiver)
}

/// Commands with `@` for the server's address. All have a token.
const COMMANDS: &[&str] = &[
    "curl -H 'Authorization: Bearer a.b.c' @",
    "curl -H 'authorization: Bearer a.b.c' -H 'x-request-id: 7' @/me",
    "curl --oauth2-bearer a.b.c @/me",
    "curl --oauth2-bearer x.y.z -H 'Authorization: Bearer a.b.c' @/me",
    // Glued letters.
    "curl -sXPOST --oauth2-bearer a.b.c @/me",
    "curl -sSXGET --oauth2-bearer a.b.c @/me",
    "curl -XDELETE -H'Authorization: Bearer a.b.c' -m5 @/me",
    "curl -sd'{\"a\":1}' --oauth2-bearer a.b.c @/me",
    "curl -gsSfLk4 --oauth2-bearer a.b.c @/me",
    "curl -Ad -u me:secret -H 'Authorization: Bearer a.b.c' -b 'a=b' -e http://x @/me",
    // Methods.
    "curl -I --oauth2-bearer a.b.c @/me",
    "curl --head --oauth2-bearer a.b.c @/me",
    "curl -IG -d a=1 --oauth2-bearer a.b.c @/me",
    "curl -I -X OPTIONS --oauth2-bearer a.b.c @/me",
    "curl -X PUT -X PATCH --oauth2-bearer a.b.c @/me",
    // Bodies.
    "curl --oauth2-bearer a.b.c @/me -d a=1 -d b=2",
    "curl --oauth2-bearer a.b.c @/me -d ''",
    "curl --oauth2-bearer a.b.c @/me --data-raw @x --data-binary y --data-ascii z",
    "curl --oauth2-bearer a.b.c @/me --json '{\"a\":' --json '1}'",
    "curl --oauth2-bearer a.b.c @/me --json '{}' -d x",
    "curl --oauth2-bearer a.b.c @/me -d x --json '{}'",
    "curl --oauth2-bearer a.b.c @/me --json '{}' -X PUT",
    "curl --oauth2-bearer a.b.c @/me --data-urlencode 'a b&c=d e/f~g-h_i.j%é'",
    "curl --oauth2-bearer a.b.c @/me --data-urlencode 'plain text' --data-urlencode '=a=b' --data-urlencode 'n m=o p'",
    "curl --oauth2-bearer a.b.c @/me --data-urlencode 'a@b=c' --data-urlencode '=a@b' --data-urlencode 'n='",
    "curl --oauth2-bearer a.b.c @/me --data-raw 'a\\\nb'",
    "curl --oauth2-bearer a.b.c @/me --data-raw \"a\\\nb \\\"c\\\" \\d \\\\ \\$\"",
    "curl --oauth2-bearer a.b.c @/me --data-raw a\\ b\\'c",
    // Queries.
    "curl -G --oauth2-bearer a.b.c @/me",
    "curl -G -d a=1 -d b=2 --oauth2-bearer a.b.c @/me",
    "curl --get -d a=1 --data-urlencode 'b=2 3' --oauth2-bearer a.b.c '@/me?x=y'",
    "curl -sGd a=1 --oauth2-bearer a.b.c '@/me?x=y&'",
    "curl -G -d a=1 --oauth2-bearer a.b.c '@/me?'",
    "curl -G -d a=1 --oauth2-bearer a.b.c '@?x#top'",
    "curl -G -d a=1 --oauth2-bearer a.b.c '@'",
    "curl -G -X POST -d a=1 --oauth2-bearer a.b.c @/me",
    "curl -G --json '{}' --oauth2-bearer a.b.c @/me",
    "curl --url-query a=1 --url-query 'b=c d' --url-query +e=%2f --oauth2-bearer a.b.c '@/me?x'",
    "curl --url-query a=1 -d x --oauth2-bearer a.b.c @/me",
    // Paths.
    "curl --oauth2-bearer a.b.c '@/a/../b/./c//d/..?x=/../y#top'",
    "curl --oauth2-bearer a.b.c '@/../a/b/.'",
    "curl --oauth2-bearer a.b.c --path-as-is '@/a/../b'",
    "curl --oauth2-bearer a.b.c --url @/a%2Fb",
    "curl --oauth2-bearer a.b.c -- @/me",
    // What surrounds a command.
    "curl --oauth2-bearer a.b.c @/me | cat",
    "curl --oauth2-bearer a.b.c @/me; true",
    "curl --oauth2-bearer a.b.c @/me # a comment",
    "curl --no-silent --oauth2-bearer a.b.c --max-time 5 --retry 0 --compressed --http1.1 @/me -o /dev/null",
];

#[test]
fn curl_sends_the_request_that_is_read() {
    let (url, received) = server();
    for command in COMMANDS {
        let command = command.replace("@x", "\0").replace("a@b", "\u{1}").replace('@', &url);
        let command = command.replace('\0', "@x").replace('\u{1}', "a@b");
        let shell = Command::new("sh")
            .args(["-c", "command -v curl >/dev/null || exit 127; eval \"$1\"", "sh", &command])
            // Neither the user's settings nor a proxy.
            .envs([("HOME", "/nonexistent"), ("CURL_HOME", "/nonexistent"), ("NO_PROXY", "*"), ("no_proxy", "*")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        if shell.status.code() == Some(127) {
            assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "curl is needed");
            std::io::stderr().write_all(b"SKIPPED: the requests of curl need curl\n").unwrap();
            return;
        }
        assert!(shell.status.success(), "{command}: {shell:?}");
        let sent = received.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
        assert_eq!(CapturedRequest::from_curl(&command), Ok(sent), "{command}");
    }
}

#[test]
fn bash_quotes_are_read_as_bash_reads_them() {
    let quoted = r"$'a\'b\n\x41\101\u00e9\U0001F600\\\q\e\a!'";
    let bash = match Command::new("bash").args(["-c", &format!("printf %s {quoted}")]).env("LC_ALL", "C.UTF-8").output()
    {
        Ok(bash) => bash.stdout,
        Err(error) => {
            assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "bash is needed: {error}");
            std::io::stderr().write_all(b"SKIPPED: the quotes of bash need bash\n").unwrap();
            return;
        }
    };
    let command = format!("curl https://x -H 'Authorization: Bearer a.b.c' --data-raw {quoted}");
    assert_eq!(CapturedRequest::from_curl(&command).unwrap().body, bash);
}
