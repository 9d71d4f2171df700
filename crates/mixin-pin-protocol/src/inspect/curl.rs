//! Reads a `curl` command as people copy it out of documentation, a browser or a log.

mod options;
mod words;

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use self::options::Kind;
use super::CapturedRequest;
use crate::CurlError;

/// What `--data-urlencode` encodes: all but unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn parse(text: &str) -> Result<CapturedRequest, CurlError> {
    let mut command = Command::default();
    let mut words = words::arguments(text)?.into_iter();
    let mut has_options = true;
    while let Some(word) = words.next() {
        if !has_options || !word.starts_with('-') {
            command.set_url(word)?;
        } else if word == "--" {
            has_options = false;
        } else if let Some(name) = word.strip_prefix("--") {
            let option = || word.split_once('=').map_or(word.as_str(), |(option, _)| option).to_owned();
            match options::kind(name).ok_or_else(|| CurlError::Option { option: option() })? {
                Kind::Bare => command.switch(name),
                Kind::Value => command.set(name, words.next().ok_or_else(|| CurlError::Value { option: option() })?)?,
            }
        } else {
            command.short(&word[1..], &mut words)?;
        }
    }
    command.into_request()
}

/// The parts of the command that decide the request.
#[derive(Default)]
struct Command {
    method: Option<String>,
    url: Option<String>,
    headers: Vec<(String, String)>,
    /// The token of `--oauth2-bearer`.
    bearer: Option<String>,
    data: Option<String>,
    /// The parts of `--url-query`.
    query: String,
    is_get: bool,
    is_head: bool,
    keeps_dots: bool,
}

impl Command {
    /// Reads letters in one word, such as `sXPOST`. The first one with a value takes the rest or the next word.
    fn short(&mut self, letters: &str, words: &mut impl Iterator<Item = String>) -> Result<(), CurlError> {
        let mut chars = letters.chars();
        while let Some(letter) = chars.next() {
            let option = || format!("-{letter}");
            let name = options::of_letter(letter).ok_or_else(|| CurlError::Option { option: option() })?;
            if options::kind(name) == Some(Kind::Bare) {
                self.switch(name);
                continue;
            }
            let glued = Some(chars.as_str().to_owned()).filter(|rest| !rest.is_empty());
            let value = glued.or_else(|| words.next());
            return self.set(name, value.ok_or_else(|| CurlError::Value { option: option() })?);
        }
        Ok(())
    }

    fn switch(&mut self, name: &str) {
        match name {
            "get" => self.is_get = true,
            "head" => self.is_head = true,
            "path-as-is" => self.keeps_dots = true,
            _ => {}
        }
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), CurlError> {
        match name {
            "request" => self.method = Some(value),
            "url" => self.set_url(value)?,
            "header" if value.starts_with('@') => return Err(CurlError::HeaderFile),
            "header" => {
                if let Some((name, text)) = value.split_once(':') {
                    self.headers.push((name.trim().to_owned(), text.trim().to_owned()));
                }
            }
            "oauth2-bearer" => self.bearer = Some(value),
            "data" | "data-ascii" | "data-binary" | "json" if value.starts_with('@') => return Err(CurlError::Body),
            // Each text of `--json` is a piece of one body.
            "json" => self.data.get_or_insert_default().push_str(&value),
            "data" | "data-ascii" | "data-binary" | "data-raw" => join(self.data.get_or_insert_default(), &value),
            "data-urlencode" => join(self.data.get_or_insert_default(), &url_encoded(&value)?),
            "url-query" => match value.strip_prefix('+') {
                Some(raw) => join(&mut self.query, raw),
                None => join(&mut self.query, &url_encoded(&value)?),
            },
            _ => {}
        }
        Ok(())
    }

    fn set_url(&mut self, url: String) -> Result<(), CurlError> {
        if self.url.replace(url).is_some() { Err(CurlError::Urls) } else { Ok(()) }
    }

    fn into_request(self) -> Result<CapturedRequest, CurlError> {
        let header = |wanted: &str| {
            self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
        };
        // A header replaces what an option would send.
        let token = match header("Authorization") {
            Some(value) => value
                .split_once(' ')
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                .map(|(_, token)| token.trim().to_owned()),
            None => self.bearer.clone(),
        };
        let token = token.ok_or(CurlError::Token)?;
        let (query, body) = match &self.data {
            Some(_) if self.is_get && !self.query.is_empty() => {
                return Err(CurlError::Option { option: "--url-query".to_owned() });
            }
            Some(data) if self.is_get => (data.as_str(), None),
            body => (self.query.as_str(), body.as_deref()),
        };
        let (path, plain_http) = target(self.url.as_deref().ok_or(CurlError::Url)?, query, self.keeps_dots)?;
        let by_options = match body {
            _ if self.is_head => "HEAD",
            Some(_) => "POST",
            None => "GET",
        };
        Ok(CapturedRequest {
            method: self.method.clone().unwrap_or_else(|| by_options.to_owned()),
            path,
            body: body.unwrap_or_default().as_bytes().to_vec(),
            token,
            request_id: header("X-Request-Id").map(str::to_owned),
            plain_http,
        })
    }
}

fn join(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push('&');
    }
    text.push_str(more);
}

/// The value of `--data-urlencode`: `content`, `=content` or `name=content`. A name stays as it is.
fn url_encoded(value: &str) -> Result<String, CurlError> {
    let (name, content) = match value.find('=').or_else(|| value.find('@')) {
        Some(at) if value[at..].starts_with('@') => return Err(CurlError::Body),
        Some(at) => (&value[..at], &value[at + 1..]),
        None => ("", value),
    };
    let mut text = if name.is_empty() { String::new() } else { format!("{name}=") };
    for part in utf8_percent_encode(content, ENCODED) {
        // Writing to a String does not fail.
        let _ = text.write_str(if part == "%20" { "+" } else { part });
    }
    Ok(text)
}

/// What follows the host, with more of a query, and whether the scheme is plain HTTP.
fn target(url: &str, more: &str, keeps_dots: bool) -> Result<(String, bool), CurlError> {
    // Without a scheme curl takes http.
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let plain_http = match scheme.to_ascii_lowercase().as_str() {
        "https" => false,
        "http" => true,
        _ => return Err(CurlError::Url),
    };
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let rest = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let mut path = if keeps_dots { path.to_owned() } else { without_dots(path) };
    if path.is_empty() {
        path.push('/');
    }
    let mut query = query.map(str::to_owned);
    if !more.is_empty() {
        let query = query.get_or_insert_default();
        if !query.is_empty() && !query.ends_with('&') {
            query.push('&');
        }
        query.push_str(more);
    }
    if let Some(query) = query {
        path.push('?');
        path.push_str(&query);
    }
    Ok((path, plain_http))
}

/// A path without the segments `.` and `..`, as curl sends it unless `--path-as-is` is given.
fn without_dots(path: &str) -> String {
    let mut segments = Vec::new();
    let Some(path) = path.strip_prefix('/') else { return path.to_owned() };
    let mut ends_in_dots = false;
    for segment in path.split('/') {
        ends_in_dots = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    if ends_in_dots {
        segments.push("");
    }
    format!("/{}", segments.join("/"))
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
            (format!("curl {auth} -X"), CurlError::Value { option: "-X".to_owned() }),
            (format!("curl {auth} --request"), CurlError::Value { option: "--request".to_owned() }),
            (format!("curl {auth}"), CurlError::Url),
            (format!("curl {auth} ftp://x/y"), CurlError::Url),
            ("curl https://x".to_owned(), CurlError::Token),
            ("curl -H 'Authorization: Basic abc' https://x".to_owned(), CurlError::Token),
            (format!("curl {auth} https://x -d @body.json"), CurlError::Body),
            (format!("curl {auth} https://x --data-urlencode name@file"), CurlError::Body),
            (format!("curl {auth} https://x https://y"), CurlError::Urls),
            ("curl -H @headers https://x".to_owned(), CurlError::HeaderFile),
            (format!("curl {auth} https://x --form=a"), CurlError::Option { option: "--form".to_owned() }),
            (format!("curl {auth} https://x -sF a=b"), CurlError::Option { option: "-F".to_owned() }),
        ] {
            assert_eq!(parse(&text), Err(expected), "{text}");
        }
    }
}
