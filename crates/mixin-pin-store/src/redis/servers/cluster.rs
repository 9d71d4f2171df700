//! The nodes of a cluster, and which of them has a session, as far as their answers told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mixin_pin_core::uuid::Uuid;
use redis::Value;

use super::{Server, Servers, address};
use crate::{Error, RedisError};

/// What is known of the nodes.
pub(in crate::redis) struct Nodes(Mutex<Known>);

struct Known {
    /// The first is asked where nothing is known of a session. One that failed becomes the last.
    nodes: VecDeque<Server>,
    sessions: HashMap<Uuid, Server>,
}

impl Nodes {
    pub(super) fn new(nodes: VecDeque<Server>) -> Self {
        Self(Mutex::new(Known { nodes, sessions: HashMap::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, session_id: Option<Uuid>) -> Result<Server, Error> {
        let known = self.lock();
        let server = session_id.and_then(|session_id| known.sessions.get(&session_id)).or_else(|| known.nodes.front());
        server.cloned().ok_or(Error::Url)
    }

    pub(super) fn learn(&self, session_id: Option<Uuid>, server: &Server) {
        let mut known = self.lock();
        if !known.nodes.iter().any(|node| address(node) == address(server)) {
            known.nodes.push_back(server.clone());
        }
        if let Some(session_id) = session_id {
            known.sessions.insert(session_id, server.clone());
        }
    }

    pub(super) fn failed(&self, server: &Server) {
        let is_other = |node: &Server| address(node) != address(server);
        let mut known = self.lock();
        known.sessions.retain(|_, node| is_other(node));
        if let Some(place) = known.nodes.iter().position(|node| !is_other(node))
            && let Some(node) = known.nodes.remove(place)
        {
            known.nodes.push_back(node);
        }
    }
}

/// The nodes that have sessions, from the answer of `from` to `CLUSTER SLOTS`.
pub(in crate::redis) fn primaries(servers: &Servers, from: &Server, answer: &Value) -> Result<Vec<Server>, Error> {
    let foreign = || Error::Redis(RedisError::Other("its answer to CLUSTER SLOTS is unknown".into()));
    let Value::Array(ranges) = answer else { return Err(foreign()) };
    let mut found: Vec<Server> = Vec::new();
    for range in ranges {
        let Value::Array(range) = range else { return Err(foreign()) };
        let Some(Value::Array(node)) = range.get(2) else { return Err(foreign()) };
        let host = match node.first() {
            Some(Value::BulkString(host)) => String::from_utf8(host.clone()).map_err(|_| foreign())?,
            Some(Value::Nil) => String::new(),
            _ => return Err(foreign()),
        };
        let Some(Value::Int(port)) = node.get(1) else { return Err(foreign()) };
        let server = servers.node_at(&host, u16::try_from(*port).map_err(|_| foreign())?, from)?;
        if !found.iter().any(|known| address(known) == address(&server)) {
            found.push(server);
        }
    }
    Ok(found)
}
