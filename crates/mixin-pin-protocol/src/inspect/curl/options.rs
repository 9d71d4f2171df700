//! curl's options: which ones take a value, and which letters stand for them.
//!
//! Source: `curl --help all` of versions 7.88 and 8; tests/curl.rs compares the table with the installed curl.

/// What follows an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Bare,
    /// A value.
    Value,
}

/// Options that decide the request, in curl's spelling without hyphens.
const READ_BARE: &[&str] = &["get", "head", "path-as-is"];
const READ_VALUE: &[&str] = &[
    "data",
    "data-ascii",
    "data-binary",
    "data-raw",
    "data-urlencode",
    "header",
    "json",
    "oauth2-bearer",
    "request",
    "url",
    "url-query",
];

/// Options without a value that do not change method, path, body or token.
const OTHER_BARE: &[&str] = &[
    "anyauth",
    "basic",
    "cert-status",
    "compressed",
    "create-dirs",
    "digest",
    "disable",
    "doh-insecure",
    "fail",
    "fail-early",
    "fail-with-body",
    "false-start",
    "globoff",
    "haproxy-protocol",
    "http0.9",
    "http1.0",
    "http1.1",
    "http2",
    "http2-prior-knowledge",
    "http3",
    "http3-only",
    "ignore-content-length",
    "include",
    "insecure",
    "ipv4",
    "ipv6",
    "junk-session-cookies",
    "location",
    "location-trusted",
    "negotiate",
    "netrc",
    "netrc-optional",
    "no-alpn",
    "no-buffer",
    "no-clobber",
    "no-keepalive",
    "no-npn",
    "no-progress-meter",
    "no-sessionid",
    "ntlm",
    "parallel",
    "parallel-immediate",
    "post301",
    "post302",
    "post303",
    "progress-bar",
    "proxy-insecure",
    "proxytunnel",
    "raw",
    "remote-header-name",
    "remote-name",
    "remote-name-all",
    "remote-time",
    "remove-on-error",
    "retry-all-errors",
    "retry-connrefused",
    "show-error",
    "silent",
    "ssl",
    "ssl-no-revoke",
    "ssl-reqd",
    "styled-output",
    "suppress-connect-headers",
    "tcp-fastopen",
    "tcp-nodelay",
    "tlsv1",
    "tlsv1.0",
    "tlsv1.1",
    "tlsv1.2",
    "tlsv1.3",
    "tr-encoding",
    "trace-time",
    "verbose",
    "xattr",
];
/// Options with a value that do not change method, path, body or token.
const OTHER_VALUE: &[&str] = &[
    "abstract-unix-socket",
    "alt-svc",
    "cacert",
    "capath",
    "cert",
    "cert-type",
    "ciphers",
    "connect-timeout",
    "connect-to",
    "continue-at",
    "cookie",
    "cookie-jar",
    "create-file-mode",
    "crlfile",
    "curves",
    "dns-interface",
    "dns-ipv4-addr",
    "dns-ipv6-addr",
    "dns-servers",
    "doh-url",
    "dump-header",
    "etag-compare",
    "etag-save",
    "expect100-timeout",
    "happy-eyeballs-timeout-ms",
    "hsts",
    "interface",
    "keepalive-time",
    "key",
    "key-type",
    "libcurl",
    "limit-rate",
    "local-port",
    "max-filesize",
    "max-redirs",
    "max-time",
    "netrc-file",
    "noproxy",
    "output",
    "output-dir",
    "parallel-max",
    "pass",
    "pinnedpubkey",
    "preproxy",
    "proto",
    "proto-default",
    "proto-redir",
    "proxy",
    "proxy-cacert",
    "proxy-header",
    "proxy-user",
    "proxy1.0",
    "range",
    "rate",
    "referer",
    "resolve",
    "retry",
    "retry-delay",
    "retry-max-time",
    "socks4",
    "socks4a",
    "socks5",
    "socks5-hostname",
    "speed-limit",
    "speed-time",
    "stderr",
    "time-cond",
    "tls-max",
    "tls13-ciphers",
    "trace",
    "trace-ascii",
    "unix-socket",
    "user",
    "user-agent",
    "write-out",
];

/// The letters of the options above.
const LETTERS: &[(char, &str)] = &[
    ('#', "progress-bar"),
    ('0', "http1.0"),
    ('1', "tlsv1"),
    ('4', "ipv4"),
    ('6', "ipv6"),
    ('A', "user-agent"),
    ('C', "continue-at"),
    ('D', "dump-header"),
    ('E', "cert"),
    ('G', "get"),
    ('H', "header"),
    ('I', "head"),
    ('J', "remote-header-name"),
    ('L', "location"),
    ('N', "no-buffer"),
    ('O', "remote-name"),
    ('R', "remote-time"),
    ('S', "show-error"),
    ('U', "proxy-user"),
    ('X', "request"),
    ('Y', "speed-limit"),
    ('Z', "parallel"),
    ('b', "cookie"),
    ('c', "cookie-jar"),
    ('d', "data"),
    ('e', "referer"),
    ('f', "fail"),
    ('g', "globoff"),
    ('i', "include"),
    ('j', "junk-session-cookies"),
    ('k', "insecure"),
    ('m', "max-time"),
    ('n', "netrc"),
    ('o', "output"),
    ('p', "proxytunnel"),
    ('q', "disable"),
    ('r', "range"),
    ('s', "silent"),
    ('u', "user"),
    ('v', "verbose"),
    ('w', "write-out"),
    ('x', "proxy"),
    ('y', "speed-time"),
    ('z', "time-cond"),
];

/// Returns None for an option that is not known, or that changes the request in a way that is not read.
pub(super) fn kind(name: &str) -> Option<Kind> {
    let is_in = |lists: [&[&str]; 2]| lists.iter().any(|list| list.contains(&name));
    let is_switched_off = || name.strip_prefix("no-").is_some_and(|name| OTHER_BARE.contains(&name));
    if is_in([READ_VALUE, OTHER_VALUE]) {
        Some(Kind::Value)
    } else if is_in([READ_BARE, OTHER_BARE]) || is_switched_off() {
        Some(Kind::Bare)
    } else {
        None
    }
}

/// The option that a letter stands for.
pub(super) fn of_letter(letter: char) -> Option<&'static str> {
    LETTERS.iter().find(|(known, _)| *known == letter).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_table_agrees_with_curls_help() {
        let help = match Command::new("curl").args(["--help", "all"]).output() {
            Ok(output) => String::from_utf8(output.stdout).unwrap(),
            Err(error) => {
                assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "curl is needed: {error}");
                std::io::Write::write_all(&mut std::io::stderr(), b"SKIPPED: curl's help needs curl\n").unwrap();
                return;
            }
        };
        let mut found = 0;
        for line in help.lines().filter_map(|line| line.get(..4).zip(line.get(4..))) {
            // " -d, --data <data>    HTTP POST data"
            let (letter, Some(rest)) = (line.0, line.1.trim_start().strip_prefix("--")) else { continue };
            let (name, rest) = rest.split_once(' ').unwrap();
            let Some(kind) = kind(name) else { continue };
            found += 1;
            let has_value = rest.starts_with(['<', '[']);
            assert_eq!(kind == Kind::Value, has_value, "--{name}");
            if let Some(letter) = letter.trim().strip_prefix('-').and_then(|rest| rest.chars().next()) {
                assert_eq!(of_letter(letter), Some(name), "-{letter}");
            }
        }
        assert!(found > 140, "{found}");
        assert!(LETTERS.iter().all(|(_, name)| kind(name).is_some()));
    }
}
