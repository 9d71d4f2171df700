//! The proxy for the API, read from the environment as curl does. An invalid proxy is an error and is never bypassed.

use std::ffi::OsString;
use std::net::IpAddr;

use crate::{ProxyUrl, SettingsError, address};

/// The default port of a proxy, as for curl. `https` has its own.
const DEFAULT_PORT: u16 = 1080;

/// The schemes of proxies.
const SCHEMES: [&str; 7] = ["http", "https", "socks", "socks4", "socks4a", "socks5", "socks5h"];

/// Reads a proxy's URL. Without a scheme it is an HTTP proxy, as for curl.
pub(crate) fn parse(url: &str, origin: &'static str) -> Result<ProxyUrl, SettingsError> {
    let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let read = || {
        let uri = address::parse(&url)?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        let authority = uri.authority().filter(|_| SCHEMES.contains(&scheme.as_str()))?;
        Some(match authority.port_u16() {
            None if scheme != "https" => format!("{scheme}://{authority}:{DEFAULT_PORT}"),
            _ => format!("{scheme}://{authority}"),
        })
    };
    read().map(|url| ProxyUrl { url, origin }).ok_or(SettingsError::Proxy { origin })
}

/// The proxy that the environment names for a host. The first variable that is not empty counts.
pub(crate) fn from_environment(
    scheme: &str,
    host: &str,
    get: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<ProxyUrl>, SettingsError> {
    // In a CGI program a request can set HTTP_PROXY by its header `Proxy`.
    let is_cgi = get("REQUEST_METHOD").is_some();
    let names: &[&str] = match scheme {
        "http" if is_cgi => &["http_proxy", "all_proxy", "ALL_PROXY"],
        "http" => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
        _ => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let get = |name: &str| get(name).filter(|value| !value.is_empty());
    let Some((origin, value)) = names.iter().find_map(|name| Some((*name, get(name)?))) else { return Ok(None) };
    let no_proxy = ["no_proxy", "NO_PROXY"].into_iter().find_map(get).unwrap_or_default();
    if is_listed(&no_proxy.to_string_lossy(), host) {
        return Ok(None);
    }
    let value = value.to_str().ok_or(SettingsError::Proxy { origin })?;
    parse(value, origin).map(Some)
}

/// Whether a list of hosts, separated by commas or blanks, contains a host: by its name, a parent domain, its address,
/// its network (`10.0.0.0/8`), or `*` for all hosts.
fn is_listed(list: &str, host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches([']', '.']).to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    let mut entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    list.trim() == "*"
        || entries.any(|entry| {
            let entry = entry.to_ascii_lowercase();
            if let Some(address) = address {
                let entry = entry.trim_start_matches('[').trim_end_matches(']');
                let (network, bits) =
                    entry.split_once('/').map_or((entry, None), |(network, bits)| (network, Some(bits)));
                return network.parse().is_ok_and(|network| is_within(address, network, bits));
            }
            let domain = entry.trim_start_matches('.').trim_end_matches('.');
            host.strip_suffix(domain).is_some_and(|rest| !domain.is_empty() && (rest.is_empty() || rest.ends_with('.')))
        })
}

/// Whether an address is in a network. Without a number of bits, or with 0, all bits must match.
fn is_within(address: IpAddr, network: IpAddr, bits: Option<&str>) -> bool {
    let (address, network, len) = match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (u128::from(one.to_bits()) << 96, u128::from(other.to_bits()) << 96, 32)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits(), other.to_bits(), 128),
        _ => return false,
    };
    let bits = bits.map_or(Ok(len), str::parse);
    bits.is_ok_and(|bits| bits <= len && (address ^ network).leading_zeros() >= if bits == 0 { len } else { bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(scheme: &str, host: &str, variables: &[(&str, &str)]) -> Result<Option<String>, SettingsError> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Ok(from_environment(scheme, host, get)?.map(|proxy| proxy.url))
    }

    #[test]
    fn the_schemes_variable_takes_precedence_over_all_proxy() {
        let all = [
            ("ALL_PROXY", "socks5://a:1"),
            ("all_proxy", "socks5://b:1"),
            ("HTTPS_PROXY", "http://c:1"),
            ("https_proxy", "http://d:1"),
            ("http_proxy", "http://e:1"),
        ];
        let chosen = |scheme, from: usize| choose(scheme, "api.example", &all[..from]).unwrap().unwrap();
        assert_eq!(chosen("https", 5), "http://d:1");
        assert_eq!(chosen("https", 3), "http://c:1");
        assert_eq!(chosen("https", 2), "socks5://b:1");
        assert_eq!(chosen("https", 1), "socks5://a:1");
        assert_eq!(chosen("http", 5), "http://e:1");
        assert_eq!(chosen("http", 4), "socks5://b:1");
        assert_eq!(choose("https", "api.example", &[("HTTP_PROXY", "http://c:1")]).unwrap(), None);
        assert_eq!(choose("https", "api.example", &[]).unwrap(), None);
    }

    #[test]
    fn empty_variables_do_not_count_and_a_request_cannot_name_a_proxy() {
        let empty = [("https_proxy", ""), ("HTTPS_PROXY", ""), ("ALL_PROXY", "http://d:1")];
        assert_eq!(choose("https", "api.example", &empty).unwrap().unwrap(), "http://d:1");
        assert_eq!(choose("https", "api.example", &empty[..2]).unwrap(), None);
        let listed = [("ALL_PROXY", "http://d:1"), ("no_proxy", ""), ("NO_PROXY", "api.example")];
        assert_eq!(choose("https", "api.example", &listed).unwrap(), None);
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil:1")];
        assert_eq!(choose("http", "api.example", &cgi).unwrap(), None);
        assert_eq!(choose("http", "api.example", &cgi[1..]).unwrap().unwrap(), "http://evil:1");
    }

    #[test]
    fn an_invalid_proxy_is_refused_and_its_variable_named() {
        for (name, value) in [
            ("ALL_PROXY", "no proxy"),
            ("HTTPS_PROXY", "ftp://x:1"),
            ("https_proxy", "http://"),
            ("all_proxy", "http://x:99999"),
            ("HTTPS_PROXY", "http://x:0"),
            ("HTTPS_PROXY", "socks6://x:1"),
            ("HTTPS_PROXY", "http://x:1/path"),
            ("HTTPS_PROXY", "http://x:1?q"),
            ("HTTPS_PROXY", " "),
            ("HTTPS_PROXY", "http://\u{e9}"),
        ] {
            let error = choose("https", "api.example", &[(name, value)]).unwrap_err();
            assert!(matches!(error, SettingsError::Proxy { origin } if origin == name), "{value}: {error:?}");
            assert_eq!(choose("https", "api.example", &[(name, value), ("NO_PROXY", "*")]).unwrap(), None);
        }
        for scheme in ["http", "https", "socks4", "socks4a", "socks", "socks5", "socks5h"] {
            let url = format!("{scheme}://user:pw@x:1");
            assert!(choose("https", "api.example", &[("HTTPS_PROXY", &url)]).unwrap().is_some(), "{url}");
        }
        for (value, expected) in [
            ("x:3128", "http://x:3128"),
            ("x", "http://x:1080"),
            ("http://x/", "http://x:1080"),
            ("socks5://x", "socks5://x:1080"),
            ("https://x", "https://x"),
        ] {
            assert_eq!(choose("https", "api.example", &[("HTTPS_PROXY", value)]).unwrap().unwrap(), expected);
        }
    }

    #[test]
    fn no_proxy_is_read_as_curl_reads_it() {
        let listed = [
            ("api.example", "api.example"),
            ("api.example", "example"),
            ("api.example", ".example"),
            ("API.Example.", "api.EXAMPLE"),
            ("api.example", "other, api.example"),
            ("api.example", "other api.example."),
            ("api.example", " * "),
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7", "192.0.2.0/24"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]", "[2001:db8::7]"),
            ("[2001:db8::7]", "2001:db8::/32"),
        ];
        for (host, list) in listed {
            assert!(is_listed(list, host), "{host} {list}");
        }
        let others = [
            ("api.example", ""),
            ("api.example", ","),
            ("api.example", "."),
            ("api.example", "pi.example"),
            ("api.example", "www.api.example"),
            ("api.example", "*.example"),
            ("192.0.2.7", "2.7"),
            ("192.0.2.7", "192.0.3.0/24"),
            ("192.0.2.7", "192.0.2.0/33"),
            ("192.0.2.7", "0.0.0.0/0"),
            ("192.0.2.7", "other,*"),
            ("192.0.2.7", "192.0.2.0/x"),
            ("192.0.2.7", "::/0"),
            ("[2001:db8::7]", "2001:db9::/32"),
        ];
        for (host, list) in others {
            assert!(!is_listed(list, host), "{host} {list}");
        }
    }
}
