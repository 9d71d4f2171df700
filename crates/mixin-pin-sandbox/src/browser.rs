//! Refuses requests that other web pages make a browser send, by the headers `Host` and `Origin`.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::uri::Authority;

/// Whether the request calls the server by a name of this machine.
///
/// A page elsewhere can point its own name at this machine (DNS rebinding) and read the answer. The browser then sends
/// that name as `Host`.
pub(crate) fn names_this_machine(request: &Parts, local: SocketAddr) -> bool {
    let mut hosts = request.headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let target = request.uri.authority().map(Authority::as_str);
    host.to_str().is_ok_and(|host| own_port(host, local).is_some())
        && target.is_none_or(|target| own_port(target, local).is_some())
}

/// Whether another page sent the request. Browsers say so in `Origin`, which no page can change.
pub(crate) fn is_cross_origin(request: &Parts, local: SocketAddr) -> bool {
    request.headers.get_all(ORIGIN).iter().any(|origin| {
        let authority = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        authority.and_then(|authority| own_port(authority, local)) != Some(local.port())
    })
}

/// The port of an authority whose host is this machine: `localhost`, a loopback address, or the address that the client
/// connected to.
fn own_port(authority: &str, local: SocketAddr) -> Option<u16> {
    // The colons of an IPv6 address are in brackets.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??)
        }
        _ => (authority, 80),
    };
    let address = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    };
    let is_own = address.map(|address| address.to_canonical()).map_or_else(
        || host.eq_ignore_ascii_case("localhost"),
        |address| address.is_loopback() || address == local.ip().to_canonical(),
    );
    is_own.then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_reached_address_and_loopback_are_this_machine() {
        let local = "192.168.1.5:8080".parse().unwrap();
        assert_eq!(own_port("192.168.1.5:8080", local), Some(8080));
        assert_eq!(own_port("[::ffff:192.168.1.5]:1", local), Some(1));
        assert_eq!(own_port("localhost", local), Some(80));
        let six = "[2001:db8::1]:8080".parse().unwrap();
        assert_eq!(own_port("[2001:db8::1]", six), Some(80));
        assert_eq!(own_port("[::1]:9", six), Some(9));
        for other in [
            "192.168.1.6:8080",
            "192.168.1.5:",
            "192.168.1.5:80800",
            "::1",
            "[192.168.1.5]",
            "[::1",
            "localhost:+",
            "user@localhost",
            " localhost",
            "",
            ":",
            "[]",
        ] {
            assert_eq!(own_port(other, local), None, "{other}");
        }
    }
}
