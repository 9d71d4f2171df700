//! Finds the server that has a session: the only one, the one that Sentinels name, or a node of a cluster.

#[cfg(feature = "redis-ha")]
mod cluster;
#[cfg(feature = "redis-ha")]
mod sentinel;

use std::sync::Arc;

use mixin_pin_core::uuid::Uuid;
use redis::{Client, ConnectionAddr};

use super::connections::Patience;
use super::settings::{Places, Settings};
use crate::Error;
#[cfg(feature = "redis-ha")]
use crate::RedisError;

#[cfg(feature = "redis-ha")]
pub(super) use cluster::{Inquiry, primaries};
#[cfg(feature = "redis-ha")]
pub(super) use sentinel::Poll;

/// A server, by its address.
pub(super) type Server = Arc<Client>;

/// The address of a server.
pub(super) fn address(server: &Server) -> &ConnectionAddr {
    server.get_connection_info().addr()
}

/// The servers of a store. Clones share what they know.
#[derive(Clone)]
pub(super) struct Servers {
    settings: Arc<Settings>,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    One(Server),
    #[cfg(feature = "redis-ha")]
    Sentinels(Arc<sentinel::Sentinels>),
    #[cfg(feature = "redis-ha")]
    Cluster(Arc<cluster::Nodes>),
}

impl Servers {
    /// How often a request that has not run goes on to another server.
    pub(super) const HOPS: u32 = 5;

    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        let client = |info: &redis::ConnectionInfo| Client::open(info.clone()).map(Arc::new).map_err(|_| Error::Url);
        let kind = match &settings.places {
            Places::One => Kind::One(client(&settings.node)?),
            #[cfg(feature = "redis-ha")]
            Places::Sentinels { sentinels, name } => {
                let sentinels = sentinels.iter().map(client).collect::<Result<_, _>>()?;
                Kind::Sentinels(Arc::new(sentinel::Sentinels::new(sentinels, name)))
            }
            #[cfg(feature = "redis-ha")]
            Places::Cluster(nodes) => {
                let nodes = nodes.iter().map(|node| client(&settings.node.clone().set_addr(node.clone())));
                Kind::Cluster(Arc::new(cluster::Nodes::new(nodes.collect::<Result<_, _>>()?)))
            }
        };
        Ok(Self { settings: Arc::new(settings), kind })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The server to ask for a session, or for none in particular.
    #[cfg_attr(not(feature = "redis-ha"), expect(clippy::unnecessary_wraps, reason = "the only server is known"))]
    pub(super) fn of(&self, session_id: Option<Uuid>) -> Result<Server, Error> {
        #[cfg(not(feature = "redis-ha"))]
        let _ = session_id;
        match &self.kind {
            Kind::One(server) => Ok(server.clone()),
            #[cfg(feature = "redis-ha")]
            Kind::Sentinels(sentinels) => sentinels.primary().ok_or(Error::Redis(RedisError::NoPrimary)),
            #[cfg(feature = "redis-ha")]
            Kind::Cluster(nodes) => nodes.of(session_id),
        }
    }

    /// The node to which the answer of another sends a request. None for any other answer.
    pub(super) fn redirected(
        &self,
        session_id: Option<Uuid>,
        from: &Server,
        error: &redis::RedisError,
    ) -> Option<Result<Server, Error>> {
        #[cfg(not(feature = "redis-ha"))]
        let _ = (session_id, from, error);
        match &self.kind {
            Kind::One(_) => None,
            #[cfg(feature = "redis-ha")]
            Kind::Sentinels(_) => None,
            #[cfg(feature = "redis-ha")]
            Kind::Cluster(nodes) => {
                // During a move (`ASK`) neither node has all keys of a session.
                let (to, _) = error.redirect_node().filter(|_| error.code() == Some("MOVED"))?;
                let (host, port) = to.rsplit_once(':')?;
                let server = self.node_at(host, port.parse().ok()?, from);
                if let Ok(server) = &server {
                    nodes.learn(session_id, server);
                }
                Some(server)
            }
        }
    }

    /// Whether another server may have the session after a failure.
    pub(super) const fn may_change(&self) -> bool {
        !matches!(self.kind, Kind::One(_))
    }

    /// Learns from a failure of a server.
    pub(super) fn failed(&self, server: &Server, patience: Patience, error: redis::RedisError) -> Error {
        #[cfg(feature = "redis-ha")]
        let is_redirected = error.code() == Some("MOVED");
        #[cfg(not(feature = "redis-ha"))]
        let _ = server;
        let error = patience.classify(error);
        Error::Redis(match &self.kind {
            Kind::One(_) => error,
            #[cfg(feature = "redis-ha")]
            Kind::Sentinels(sentinels) => {
                if error.may_pass() {
                    sentinels.forget(server);
                }
                error
            }
            #[cfg(feature = "redis-ha")]
            Kind::Cluster(nodes) => {
                let error = if is_redirected { RedisError::Redirects } else { error };
                if error.may_pass() && !matches!(error, RedisError::Busy) {
                    nodes.failed(server);
                }
                // The cluster is moving the session's keys. Nothing has run.
                if matches!(error, RedisError::OtherNode) { RedisError::Busy } else { error }
            }
        })
    }
}

#[cfg(feature = "redis-ha")]
impl Servers {
    /// The Sentinels to ask before [`Servers::of`] knows the primary. None if it does, or if there are none.
    pub(super) fn poll(&self) -> Option<Poll> {
        match &self.kind {
            Kind::Sentinels(sentinels) => sentinels.poll(),
            _ => None,
        }
    }

    /// Learns from the answers of Sentinels.
    pub(super) fn learn(&self, poll: &Poll) -> Result<(), Error> {
        let Kind::Sentinels(sentinels) = &self.kind else { return Ok(()) };
        let (host, port) = sentinels.decide(poll)?;
        sentinels.learn(self.server(host, port)?, poll.begun());
        Ok(())
    }

    /// The node at an address as a cluster writes it: an empty host is that of the node that answers.
    pub(super) fn node_at(&self, host: &str, port: u16, from: &Server) -> Result<Server, Error> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match address(from) {
            ConnectionAddr::Tcp(own, _) | ConnectionAddr::TcpTls { host: own, .. } if matches!(host, "" | "?") => {
                self.server(own.clone(), port)
            }
            _ => self.server(host.to_owned(), port),
        }
    }

    /// How to find out whether this server has the session. None if nobody else knows.
    pub(super) fn inquiry(&self, server: &Server, session_id: Uuid, fence: &str) -> Option<Inquiry> {
        let Kind::Cluster(nodes) = &self.kind else { return None };
        Some(Inquiry::new(nodes, server, session_id, fence))
    }

    /// Learns which node has a session.
    fn found(&self, session_id: Uuid, server: &Server) {
        if let Kind::Cluster(nodes) = &self.kind {
            nodes.learn(Some(session_id), server);
        }
    }

    /// Learns of a node.
    fn known(&self, server: &Server) {
        if let Kind::Cluster(nodes) = &self.kind {
            nodes.learn(None, server);
        }
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.kind, Kind::Cluster(_))
    }

    /// A server that has sessions.
    fn server(&self, host: String, port: u16) -> Result<Server, Error> {
        let address = match self.settings.node.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        self.settings.check(&address)?;
        Client::open(self.settings.node.clone().set_addr(address)).map(Arc::new).map_err(|_| Error::Url)
    }
}
