//! Reads a `curl` command as people copy it out of documentation, a browser or a log.

use super::CapturedRequest;
use crate::CurlError;

/// Options with a value that says nothing about the request.
const WITH_VALUE: [&str; 14] = [
    "-A",
    "--user-agent",
    "-o",
    "--output",
    "-m",
    "--max-time",
    "--connect-timeout",
    "-x",
    "--proxy",
    "--cacert",
    "-e",
    "--referer",
    "--resolve",
    "--retry",
];
/// Options without a value that say nothing about the request.
const BARE: [&str; 21] = [
    "-i",
    "--include",
    "-s",
    "--silent",
    "-S",
    "--show-error",
    "-v",
    "--verbose",
    "-L",
    "--location",
    "-k",
    "--insecure",
    "--compressed",
    "-g",
    "--globoff",
    "-f",
    "--fail",
    "--http1.1",
    "--http2",
    "-sS",
    "-N",
];

pub(super) fn parse(text: &str) -> Result<CapturedRequest, CurlError> {
    let mut words = command(text)?.into_iter().skip(1);
    let mut method = None;
    let mut url = None;
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut body: Option<String> = None;

    while let Some(word) = words.next() {
        // `-XPOST` and `-HName: value` carry their values in the same word.
        let (option, glued) = match word.as_str() {
            w if w.len() > 2 && ["-X", "-H", "-d"].contains(&w.get(..2).unwrap_or_default()) => {
                (w[..2].to_owned(), Some(w[2..].to_owned()))
            }
            w => (w.to_owned(), None),
        };
        let mut value = || glued.clone().or_else(|| words.next()).ok_or(CurlError::Quotes);
        match option.as_str() {
            "-X" | "--request" => method = Some(value()?),
            "-H" | "--header" => {
                if let Some((name, text)) = value()?.split_once(':') {
                    headers.push((name.trim().to_owned(), text.trim().to_owned()));
                }
            }
            "-d" | "--data" | "--data-raw" | "--data-binary" | "--data-ascii" | "--json" => {
                let more = value()?;
                let from_file = more.starts_with('@') && option != "--data-raw";
                // The word splitter leaves the `$` of `$'…'` in front of what was quoted.
                if from_file || more.starts_with('$') {
                    return Err(CurlError::Body);
                }
                body = Some(match body {
                    Some(before) => format!("{before}&{more}"),
                    None => more,
                });
            }
            "--url" => url = Some(value()?),
            name if WITH_VALUE.contains(&name) => drop(value()?),
            name if BARE.contains(&name) => {}
            name if name.starts_with('-') => {
                let option = name.split_once('=').map_or(name, |(option, _)| option).to_owned();
                return Err(CurlError::Option { option });
            }
            _ => url = Some(word),
        }
    }

    let header = |wanted: &str| {
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    };
    let token = header("Authorization")
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim().to_owned())
        .ok_or(CurlError::Token)?;
    let (path, plain_http) = path_of(&url.ok_or(CurlError::Url)?)?;
    Ok(CapturedRequest {
        method: method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned()),
        path,
        body: body.unwrap_or_default().into_bytes(),
        token,
        request_id: header("X-Request-Id").map(str::to_owned),
        plain_http,
    })
}

/// The words of the first command that starts with `curl`, over as many lines as its quotes and backslashes span.
fn command(text: &str) -> Result<Vec<String>, CurlError> {
    // Converted to a shell's line ends. All else between quotes stays unchanged.
    let text = text.replace("\r\n", "\n");
    let starts_command = |line: &str| line.starts_with("curl ") || line == "curl \\";
    let mut rest = text.as_str();
    let command = loop {
        let line = rest.trim_start();
        let line = line.strip_prefix("$ ").unwrap_or(line);
        if starts_command(line.split('\n').next().unwrap_or_default()) {
            break line;
        }
        rest = rest.split_once('\n').ok_or(CurlError::Missing)?.1;
    };
    one_line(command).and_then(|command| shlex::split(&command)).ok_or_else(|| {
        // A quote escaped inside `$'…'` never closes for the word splitter.
        if command.contains(" $'") { CurlError::Body } else { CurlError::Quotes }
    })
}

/// The command up to its end. Lines that end in a backslash are joined, because the splitter would make words of their line
/// ends. Returns None when a quote or the command does not end.
fn one_line(text: &str) -> Option<String> {
    let mut command = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\n', None) => return Some(command),
            ('\\', None | Some('"')) => {
                let escaped = chars.next()?;
                if escaped != '\n' {
                    command.extend([c, escaped]);
                }
                continue;
            }
            ('\'' | '"', None) => quote = Some(c),
            (_, Some(open)) if open == c => quote = None,
            _ => {}
        }
        command.push(c);
    }
    quote.is_none().then_some(command)
}

/// What follows the host, and whether the scheme is plain HTTP.
fn path_of(url: &str) -> Result<(String, bool), CurlError> {
    let (scheme, rest) = url.split_once("://").ok_or(CurlError::Url)?;
    let plain_http = match scheme {
        "https" => false,
        "http" => true,
        _ => return Err(CurlError::Url),
    };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let path = match rest.find(['/', '?']) {
        None => "/".to_owned(),
        Some(at) if rest[at..].starts_with('?') => format!("/{}", &rest[at..]),
        Some(at) => rest[at..].to_owned(),
    };
    Ok((path, plain_http))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_over_several_lines_amid_other_text_is_read() {
        let text = "Try this:\n\n  $ curl -sS -XPOST \\\n  -H 'Authorization: Bearer a.b.c' \\\n  -H \"x-request-id: 7\" \\\n  \
                    --data '{\"pin\":\"x\",\n  \"y\":1}' 'https://api.mixin.one/pin/verify?a=%2B#top'\nand then\n";
        let request = parse(text).unwrap();
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, "/pin/verify?a=%2B");
        assert_eq!(request.token, "a.b.c");
        assert_eq!(request.request_id.as_deref(), Some("7"));
        assert!(!request.plain_http);
        assert!(request.body.starts_with(b"{\"pin\":\"x\",\n"));
    }

    #[test]
    fn a_quoted_body_is_taken_byte_for_byte() {
        for body in ["{\n  \"pin\": \"x\"\n}", "a\\\nb", "\n$ curl x", "a \\", "# no comment"] {
            let text = format!("$ curl -H 'Authorization: Bearer a.b.c' https://x \\\n  --data-raw '{body}'\nand more");
            assert_eq!(parse(&text).unwrap().body, body.as_bytes(), "{body:?}");
        }
    }

    #[test]
    fn without_a_method_the_body_decides_it() {
        let get = parse("curl -H 'Authorization: Bearer a.b.c' http://localhost").unwrap();
        assert_eq!((get.method.as_str(), get.path.as_str(), get.plain_http), ("GET", "/", true));
        let post = parse("curl -H 'Authorization: Bearer a.b.c' https://x?q -d '{}'").unwrap();
        assert_eq!((post.method.as_str(), post.path.as_str()), ("POST", "/?q"));
    }

    #[test]
    fn missing_and_unsupported_parts_are_named() {
        let auth = "-H 'Authorization: Bearer a.b.c'";
        for (text, expected) in [
            ("wget https://x".to_owned(), CurlError::Missing),
            (format!("curl {auth} 'https://x"), CurlError::Quotes),
            (format!("curl {auth} \\"), CurlError::Quotes),
            (format!("curl {auth} -X"), CurlError::Quotes),
            (format!("curl {auth}"), CurlError::Url),
            (format!("curl {auth} ftp://x/y"), CurlError::Url),
            ("curl https://x".to_owned(), CurlError::Token),
            ("curl -H 'Authorization: Basic abc' https://x".to_owned(), CurlError::Token),
            (format!("curl {auth} https://x -d @body.json"), CurlError::Body),
            (format!("curl {auth} https://x --data-raw $'a\\'b'"), CurlError::Body),
            (format!("curl {auth} https://x --form=a"), CurlError::Option { option: "--form".to_owned() }),
        ] {
            assert_eq!(parse(&text), Err(expected), "{text}");
        }
    }
}
