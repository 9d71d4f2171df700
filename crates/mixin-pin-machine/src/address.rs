//! Addresses of the API and of proxies: scheme, host and port.

use http::Uri;

/// Parses an address without path, query or fragment. Its port must be 1 to 65535.
pub(crate) fn parse(text: &str) -> Option<Uri> {
    // `Uri` drops a fragment.
    if text.contains(['#', '?']) {
        return None;
    }
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let port = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, rest)| rest);
    let port = port.strip_prefix(authority.host())?;
    // `Uri` treats an invalid port as absent.
    let is_number =
        |port: &str| port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_number);
    let is_bare = uri.scheme().is_some() && !authority.host().is_empty() && matches!(uri.path(), "" | "/");
    (is_port && is_bare).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_only_scheme_host_and_port() {
        for text in
            ["https://x", "https://x/", "http://x:1", "socks5h://u:p@x:65535", "https://[::1]:8/", "HTTPS://X.example"]
        {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "x",
            "x:80",
            "/",
            "https://",
            "https:///",
            "https://x//",
            "https://x/path",
            "https://x?",
            "https://x?q",
            "https://x/?q",
            "https://x#",
            "https://x#f",
            "https://x/#f",
            "https://x y",
            "https://x:",
            "https://x:0",
            "https://x:65536",
            "https://x:+80",
            "https://x:99999",
            "https://x:-1",
            "https://x:8x",
            "https://[::1",
            "https://u@",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
