//! A Redis Cluster: three masters, and a replica of each.

use std::fmt::Display;

use crate::redis::{RedisServer, await_condition, free_port};

/// Three masters and a replica of each, which is promoted about two seconds after its master fails. They stop with the test.
pub struct ClusterServers {
    /// The first three start as masters.
    nodes: Vec<RedisServer>,
    /// The nodes that were killed.
    killed: Vec<usize>,
}

impl ClusterServers {
    /// Starts a cluster. Returns None and prints a warning if no Redis is installed.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[])
    }

    /// Starts a cluster with these settings of its servers.
    pub fn start_with(test: &str, more: &[&str]) -> Option<Self> {
        let start = |_| {
            let bus = free_port().to_string();
            // A replica of any age is promoted: a busy machine may delay its last contact.
            let settings = [
                "--cluster-enabled yes --cluster-node-timeout 1000 --cluster-replica-validity-factor 0",
                "--repl-diskless-sync-delay 0 --cluster-port",
            ];
            let words: Vec<&str> = settings.iter().flat_map(|words| words.split(' ')).collect();
            RedisServer::start(test, &[&words[..], &[&bus], more].concat()).map(|node| (node, bus))
        };
        let (nodes, buses): (Vec<_>, Vec<_>) = (0..6).map(start).collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let ids: Vec<String> = nodes.iter().map(|node| node.command(&["CLUSTER", "MYID"])).collect();
        for (node, (first, last)) in nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
            node.command(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
        }
        for (node, epoch) in nodes.iter().zip(1..) {
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()]);
        }
        for (node, bus) in nodes.iter().zip(&buses) {
            nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &node.port().to_string(), bus]);
        }
        let cluster = Self { nodes, killed: Vec::new() };
        cluster.await_all("the nodes know each other", |node| {
            let known = node.command(&["CLUSTER", "NODES"]);
            known.lines().count() == 6 && !known.contains("handshake")
        });
        for (replica, master) in cluster.nodes[3..].iter().zip(&ids) {
            replica.command(&["CLUSTER", "REPLICATE", master]);
        }
        cluster.await_complete();
        Some(cluster)
    }

    fn await_all(&self, what: &str, holds: impl Fn(&RedisServer) -> bool) {
        await_condition(what, || self.living().all(|(_, node)| holds(node)));
    }

    /// The nodes that were not killed.
    fn living(&self) -> impl Iterator<Item = (usize, &RedisServer)> {
        self.nodes.iter().enumerate().filter(|(place, _)| !self.killed.contains(place))
    }

    fn await_complete(&self) {
        self.await_all("the cluster is complete", |node| {
            let known = node.command(&["CLUSTER", "NODES"]);
            let is_synced =
                node.info("replication", "role") == "master" || node.info("replication", "master_link_status") == "up";
            known.lines().filter(|line| line.contains("slave")).count() == 3
                && !known.contains("fail")
                && is_synced
                && node.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
        });
    }

    /// The URL of the store. It names the nodes' first starts, so sessions are used at once although the nodes are new.
    pub fn url(&self) -> String {
        let list = |of: &dyn Fn(&RedisServer) -> String| self.nodes.iter().map(of).collect::<Vec<_>>().join(",");
        let (hosts, runs) =
            (list(&|node| format!("127.0.0.1:{}", node.port())), list(&|node| node.run_id().to_owned()));
        format!("redis-cluster://{hosts}?new={runs}")
    }

    /// The nodes, those that were killed included.
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// The place among the nodes of the one that has the session.
    pub fn primary_of(&self, session: impl Display) -> Option<usize> {
        let key = key(session);
        // Any other node redirects.
        self.living().find(|(_, node)| node.command(&["DEL", &key]) == "0").map(|(place, _)| place)
    }

    /// Kills the node that has the session.
    pub fn kill_primary_of(&mut self, session: impl Display) {
        let place = self.primary_of(session).expect("a node has the session");
        self.nodes[place].kill();
        self.killed.push(place);
    }

    /// Runs `write` while the replica of the session's node gets no write, kills the node, and lets the replica go on.
    #[cfg(unix)]
    pub fn kill_primary_after<T>(&mut self, session: impl Display, write: impl FnOnce() -> T) -> T {
        let place = self.primary_of(session).expect("a node has the session");
        let port = self.nodes[place].port().to_string();
        let replica = self.living().find(|(_, node)| node.info("replication", "master_port") == port);
        let replica = replica.expect("the node has a replica").0;
        self.nodes[replica].cut_off(&self.nodes[place]);
        let written = write();
        self.nodes[place].kill();
        self.killed.push(place);
        self.nodes[replica].signal("CONT");
        written
    }

    /// Waits until a node has the session and accepts writes.
    pub fn wait_until_writable(&self, session: impl Display) {
        let session = session.to_string();
        await_condition("a node accepts writes", || self.primary_of(&session).is_some());
    }

    /// Starts the nodes that were killed, and waits until they are synced replicas.
    pub fn restore(&mut self) {
        for killed in std::mem::take(&mut self.killed) {
            self.nodes[killed].start_again(&[]);
        }
        self.await_complete();
    }
}

/// A key in the slot of the session.
fn key(session: impl Display) -> String {
    format!("mixin-pin-test:{{{session}}}")
}
