//! The nodes of a cluster, and which of them has a session, as far as their answers told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;
use redis::{Cmd, FromRedisValue as _, RedisResult, Value};

use super::super::connections::Patience;
use super::super::lease_key;
use super::{Server, Servers, address};
use crate::{Error, RedisError};

/// What is known of the nodes.
pub(in crate::redis) struct Nodes {
    /// Those that the URL names. They are never forgotten.
    named: Vec<Server>,
    known: Mutex<Known>,
}

struct Known {
    /// The first is asked where nothing is known of a session. One that failed becomes the last.
    nodes: VecDeque<Server>,
    sessions: HashMap<Uuid, Server>,
}

impl Nodes {
    /// How many nodes are remembered. Any of them finds the others.
    const MOST: usize = 64;

    pub(super) fn new(named: Vec<Server>) -> Self {
        let known = Known { nodes: named.iter().cloned().collect(), sessions: HashMap::new() };
        Self { named, known: Mutex::new(known) }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, session_id: Option<Uuid>) -> Result<Server, Error> {
        let known = self.lock();
        let server = session_id.and_then(|session_id| known.sessions.get(&session_id)).or_else(|| known.nodes.front());
        server.cloned().ok_or(Error::Url)
    }

    pub(super) fn learn(&self, session_id: Option<Uuid>, server: &Server) {
        let mut known = self.lock();
        if !known.nodes.iter().any(|node| address(node) == address(server)) {
            let is_learned = |node: &Server| !self.named.iter().any(|named| Arc::ptr_eq(named, node));
            if known.nodes.len() >= Self::MOST
                && let Some(last) = known.nodes.iter().rposition(is_learned)
            {
                known.nodes.remove(last);
            }
            if known.nodes.len() < Self::MOST {
                known.nodes.push_back(server.clone());
            }
        }
        if let Some(session_id) = session_id {
            known.sessions.insert(session_id, server.clone());
        }
    }

    /// The other nodes, those that work last.
    fn others(&self, server: &Server) -> Vec<Server> {
        self.lock().nodes.iter().rev().filter(|node| address(node) != address(server)).cloned().collect()
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

/// The question whether a node that granted a lease has the session, as other nodes know.
///
/// A node that hung does not know that its replica was promoted meanwhile. The others do.
pub(in crate::redis) struct Inquiry {
    key: String,
    session_id: Uuid,
    fence: String,
    /// The node that granted the lease.
    server: Server,
    /// Those not yet asked, the next one last.
    left: Vec<Server>,
    /// The node itself, by other names.
    same: Vec<Server>,
    /// Whether the node named all nodes, and each of them is the node itself.
    is_alone: bool,
    has_named: bool,
    result: Option<Result<bool, Error>>,
    failure: Option<RedisError>,
}

impl Inquiry {
    /// How long one node may take.
    pub(in crate::redis) const LIMIT: Duration = Duration::from_secs(1);

    pub(super) fn new(nodes: &Nodes, server: &Server, session_id: Uuid, fence: &str) -> Self {
        Self {
            key: lease_key(session_id),
            session_id,
            fence: fence.to_owned(),
            server: server.clone(),
            left: nodes.others(server),
            same: Vec::new(),
            is_alone: false,
            has_named: false,
            result: None,
            failure: None,
        }
    }

    /// The next node to ask, and what. None if enough is known.
    pub(in crate::redis) fn next(&mut self) -> Option<(Server, Cmd)> {
        if self.result.is_some() {
            return None;
        }
        if let Some(node) = self.left.pop() {
            return Some((node, Cmd::get(&self.key)));
        }
        // The node itself knows others.
        let mut question = redis::cmd("CLUSTER");
        question.arg("SLOTS");
        (!self.has_named).then(|| (self.server.clone(), question))
    }

    pub(in crate::redis) fn answered(
        &mut self,
        servers: &Servers,
        patience: Patience,
        node: &Server,
        answer: RedisResult<Value>,
    ) {
        if address(node) == address(&self.server) {
            self.has_named = true;
            match answer.map_err(|error| servers.failed(node, patience, error)) {
                Ok(answer) => match all(servers, node, &answer) {
                    Ok(named) => self.named(servers, named),
                    Err(error) => self.result = Some(Err(error)),
                },
                Err(error) => self.result = Some(Err(error)),
            }
            return;
        }
        let answer = answer.and_then(|answer| Ok(Option::<String>::from_redis_value(answer)?));
        let error = match answer {
            // The same node by another name.
            Ok(Some(fence)) if fence == self.fence => {
                self.same.push(node.clone());
                return;
            }
            // This one has the session.
            Ok(_) => {
                servers.found(self.session_id, node);
                self.result = Some(Ok(false));
                return;
            }
            Err(error) => error,
        };
        self.is_alone = false;
        self.result = match servers.redirected(Some(self.session_id), node, &error) {
            Some(to) => Some(to.map(|to| address(&to) == address(&self.server))),
            // It is moving the session, so it has it.
            None if error.code() == Some("ASK") => Some(Ok(false)),
            None => {
                let Error::Redis(error) = servers.failed(node, patience, error) else { return };
                self.failure = Some(error);
                None
            }
        };
    }

    /// Learns all nodes from the one that granted the lease.
    fn named(&mut self, servers: &Servers, nodes: Vec<Server>) {
        self.is_alone = true;
        let is_known = |node: &Server| self.same.iter().any(|same| address(same) == address(node));
        self.left =
            nodes.into_iter().filter(|node| address(node) != address(&self.server) && !is_known(node)).collect();
        self.left.iter().for_each(|node| servers.known(node));
    }

    /// Whether the node has the session. False if another has it.
    pub(in crate::redis) fn result(self) -> Result<bool, Error> {
        match self.result {
            Some(result) => result,
            None if self.is_alone => Ok(true),
            None => {
                Err(Error::Redis(self.failure.filter(|error| !error.may_pass()).unwrap_or(RedisError::ClusterDown)))
            }
        }
    }
}

/// The nodes that have sessions, from the answer of `from` to `CLUSTER SLOTS`.
pub(in crate::redis) fn primaries(servers: &Servers, from: &Server, answer: &Value) -> Result<Vec<Server>, Error> {
    nodes(servers, from, answer, 1)
}

/// These nodes and their replicas.
fn all(servers: &Servers, from: &Server, answer: &Value) -> Result<Vec<Server>, Error> {
    nodes(servers, from, answer, usize::MAX)
}

/// The first nodes of each range.
fn nodes(servers: &Servers, from: &Server, answer: &Value, most: usize) -> Result<Vec<Server>, Error> {
    let foreign = || Error::Redis(RedisError::Other("its answer to CLUSTER SLOTS is unknown".into()));
    let Value::Array(ranges) = answer else { return Err(foreign()) };
    let mut found: Vec<Server> = Vec::new();
    for range in ranges {
        let Value::Array(range) = range else { return Err(foreign()) };
        let [_, _, nodes @ ..] = &range[..] else { return Err(foreign()) };
        if nodes.is_empty() {
            return Err(foreign());
        }
        for node in nodes.iter().take(most) {
            let Value::Array(node) = node else { return Err(foreign()) };
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
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_number_of_nodes_is_remembered_and_those_of_the_url_stay() {
        let server = |port: usize| Arc::new(redis::Client::open(format!("redis://127.0.0.1:{port}")).unwrap());
        let nodes = Nodes::new(vec![server(1), server(2)]);
        for port in 3..1_000 {
            nodes.learn(Some(Uuid::from_u128(7)), &server(port));
            nodes.failed(&server(1 + port % 2));
        }
        nodes.learn(Some(Uuid::from_u128(7)), &server(1_000));
        let known: Vec<_> = nodes.lock().nodes.iter().map(|node| address(node).to_string()).collect();
        assert_eq!(known.len(), Nodes::MOST);
        for port in [1, 2, 1_000] {
            assert!(known.contains(&format!("127.0.0.1:{port}")), "{port}: {known:?}");
        }
        assert_eq!(address(&nodes.of(Some(Uuid::from_u128(7))).unwrap()), address(&server(1_000)));
    }
}
