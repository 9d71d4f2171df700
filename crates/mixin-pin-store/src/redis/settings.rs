//! The URL of a store: which servers, how to connect to them, and the options of our own.

use std::net::IpAddr;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _};

use crate::Error;

/// What the URL says.
pub(super) struct Settings {
    pub(super) places: Places,
    /// Connections to servers that have sessions. Their address may be another.
    pub(super) node: ConnectionInfo,
    /// Whether other machines may be reached without TLS.
    pub(super) allows_plaintext: bool,
    pub(super) options: Options,
}

/// Which servers.
pub(super) enum Places {
    One,
    #[cfg(feature = "redis-ha")]
    Sentinels {
        sentinels: Vec<ConnectionInfo>,
        /// The name of the primary.
        name: String,
    },
    #[cfg(feature = "redis-ha")]
    Cluster(Vec<ConnectionAddr>),
}

/// What the URL says about leases.
#[derive(Clone, Default)]
pub(super) struct Options {
    /// How many replicas must have a lease before it counts.
    pub(super) replicas: u32,
    /// The `run_id`s of servers that were new at that start, and so have lost nothing.
    pub(super) new: String,
}

impl Settings {
    pub(super) fn read(url: &str) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").ok_or(Error::Url)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        #[cfg(not(feature = "redis-ha"))]
        let _ = place;
        let mut settings = match scheme {
            "redis" | "rediss" => Self::new(Places::One, connection(url)?),
            #[cfg(feature = "redis-ha")]
            _ => ha::read(scheme, place, query)?,
            #[cfg(not(feature = "redis-ha"))]
            _ => return Err(Error::Url),
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=').ok_or(Error::Url)? {
                ("plaintext", "allow") => settings.allows_plaintext = true,
                ("replicas", count) => settings.options.replicas = count.parse().map_err(|_| Error::Url)?,
                ("new", runs) if runs.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b',') => {
                    runs.clone_into(&mut settings.options.new);
                }
                // The client library reads it.
                ("protocol", _) => {}
                ("sentinel_user" | "sentinel_password", _) if settings.has_sentinels() => {}
                _ => return Err(Error::Url),
            }
        }
        settings.check_addresses()?;
        Ok(settings)
    }

    fn new(places: Places, node: ConnectionInfo) -> Self {
        Self { places, node, allows_plaintext: false, options: Options::default() }
    }

    #[cfg_attr(not(feature = "redis-ha"), expect(clippy::unused_self, reason = "there is one kind of place"))]
    const fn has_sentinels(&self) -> bool {
        #[cfg(feature = "redis-ha")]
        return matches!(self.places, Places::Sentinels { .. });
        #[cfg(not(feature = "redis-ha"))]
        false
    }

    fn check_addresses(&self) -> Result<(), Error> {
        match &self.places {
            Places::One => self.check(self.node.addr()),
            #[cfg(feature = "redis-ha")]
            Places::Sentinels { sentinels, .. } => {
                sentinels.iter().try_for_each(|sentinel| self.check(sentinel.addr()))
            }
            #[cfg(feature = "redis-ha")]
            Places::Cluster(nodes) => nodes.iter().try_for_each(|node| self.check(node)),
        }
    }

    /// Refuses an address of another machine without TLS, unless the URL allows it.
    pub(super) fn check(&self, address: &ConnectionAddr) -> Result<(), Error> {
        match address {
            ConnectionAddr::Tcp(host, _) if !self.allows_plaintext && !is_this_machine(host) => Err(Error::Plaintext),
            _ => Ok(()),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn connection(url: &str) -> Result<ConnectionInfo, Error> {
    let to = url.into_connection_info().map_err(|_| Error::Url)?;
    let settings = to.redis_settings().clone().set_skip_set_lib_name();
    Ok(to.set_redis_settings(settings))
}

#[cfg(feature = "redis-ha")]
mod ha {
    use super::{Error, Places, Settings, connection};

    /// Reads the URL of Sentinels or of a cluster, without our options.
    pub(super) fn read(scheme: &str, place: &str, query: &str) -> Result<Settings, Error> {
        let (login, place) = place.rsplit_once('@').unwrap_or(("", place));
        let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
        let (tls, is_cluster) = match scheme {
            "redis+sentinel" => ("redis", false),
            "rediss+sentinel" => ("rediss", false),
            "redis-cluster" => ("redis", true),
            "rediss-cluster" => ("rediss", true),
            _ => return Err(Error::Url),
        };
        let url = |login: &str, host: &str, db: &str| {
            let at = if login.is_empty() { "" } else { "@" };
            format!("{tls}://{login}{at}{host}/{db}?{query}")
        };
        if is_cluster {
            // A cluster has only this database.
            if !matches!(path, "" | "0") {
                return Err(Error::Url);
            }
            let infos =
                hosts.split(',').map(|host| connection(&url(login, host, "0"))).collect::<Result<Vec<_>, _>>()?;
            let nodes = infos.iter().map(|info| info.addr().clone()).collect();
            let node = infos.into_iter().next().ok_or(Error::Url)?;
            return Ok(Settings::new(Places::Cluster(nodes), node));
        }
        let (name, db) = path.split_once('/').unwrap_or((path, "0"));
        if name.is_empty() {
            return Err(Error::Url);
        }
        let option = |name: &str| {
            let value = query.split('&').find_map(|option| option.strip_prefix(name)?.strip_prefix('='));
            // The part of a URL before the host takes fewer characters than a query.
            value.unwrap_or_default().replace('@', "%40").replace('/', "%2F").replace(':', "%3A")
        };
        let (user, password) = (option("sentinel_user"), option("sentinel_password"));
        let own = if password.is_empty() { String::new() } else { format!("{user}:{password}") };
        let sentinels = hosts.split(',').map(|host| connection(&url(&own, &with_port(host), "0")));
        let sentinels = sentinels.collect::<Result<Vec<_>, _>>()?;
        let places = Places::Sentinels { sentinels, name: name.to_owned() };
        Ok(Settings::new(places, connection(&url(login, "localhost", db))?))
    }

    /// Adds the usual port of a Sentinel to a host without a port.
    fn with_port(host: &str) -> String {
        let after_brackets = host.rfind(']').map_or(host, |end| &host[end..]);
        if after_brackets.contains(':') { host.to_owned() } else { format!("{host}:26379") }
    }
}
