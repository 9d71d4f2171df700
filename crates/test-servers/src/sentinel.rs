//! A Redis primary, its replica, and three Sentinels.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::redis::{RedisServer, await_condition, command, free_port, program};

/// The name of the primary.
const NAME: &str = "mixin";

/// A Redis primary, its replica, and three Sentinels, which promote the replica about a second after the primary fails.
/// They stop with the test.
pub struct SentinelServers {
    servers: [RedisServer; 2],
    sentinels: Vec<Sentinel>,
    /// The server that was killed.
    killed: Option<usize>,
}

struct Sentinel {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl SentinelServers {
    /// Starts all of them. Returns None and prints a warning if no Redis is installed.
    pub fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[], &[])
    }

    /// Starts all of them with these settings of the servers and lines of the Sentinels' configuration.
    pub fn start_with(test: &str, of_servers: &[&str], of_sentinels: &[&str]) -> Option<Self> {
        let program = program(test)?;
        let settings = [&["--repl-diskless-sync-delay", "0"], of_servers].concat();
        let primary = RedisServer::start(test, &settings)?;
        let port = primary.port();
        let replica =
            RedisServer::start(test, &[&settings[..], &["--replicaof", "127.0.0.1", &port.to_string()]].concat())?;
        let sentinels = (0..3).map(|_| start_sentinel(program, port, of_sentinels)).collect();
        let servers = Self { servers: [primary, replica], sentinels, killed: None };
        servers.wait_until_complete();
        Some(servers)
    }

    /// Waits until the replica is synced, and each Sentinel knows it and the other Sentinels.
    fn wait_until_complete(&self) {
        let primary = self.primary();
        await_condition("the replica is synced", || {
            self.servers[1 - primary].info("replication", "master_link_status") == "up"
        });
        await_condition("the Sentinels know all servers", || {
            self.sentinels.iter().all(|sentinel| {
                let known = command(sentinel.port, &["SENTINEL", "MASTER", NAME]);
                let replicas = command(sentinel.port, &["SENTINEL", "REPLICAS", NAME]);
                let lines: Vec<&str> = known.lines().collect();
                let field = |name: &str| lines.chunks(2).find(|pair| pair[0] == name).map(|pair| pair[1]);
                let down = ["s_down", "o_down", "disconnected"];
                field("num-slaves") == Some("1")
                    && field("num-other-sentinels") == Some("2")
                    && field("flags") == Some("master")
                    && down.iter().all(|flag| !replicas.contains(flag))
            })
        });
    }

    /// The URL of the store. It names the servers' first starts, so sessions are used at once although the servers are new.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        let [one, other] = &self.servers;
        format!("redis+sentinel://{}/{NAME}?new={},{}", hosts.join(","), one.run_id(), other.run_id())
    }

    /// The ports of the Sentinels.
    pub fn sentinel_ports(&self) -> Vec<u16> {
        self.sentinels.iter().map(|sentinel| sentinel.port).collect()
    }

    /// Which of the two servers most Sentinels name.
    fn named(&self) -> Option<usize> {
        let names = |server: &RedisServer| {
            let address = format!("127.0.0.1\n{}", server.port());
            let by = |sentinel: &&Sentinel| {
                command(sentinel.port, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]) == address
            };
            self.sentinels.iter().filter(by).count() > 1
        };
        self.servers.iter().position(names)
    }

    fn primary(&self) -> usize {
        self.named().expect("the Sentinels agree on a primary")
    }

    /// The server that the Sentinels name as the primary.
    pub fn primary_server(&self) -> &RedisServer {
        &self.servers[self.primary()]
    }

    /// The other server.
    pub fn replica_server(&self) -> &RedisServer {
        &self.servers[1 - self.primary()]
    }

    /// Kills the primary at once.
    pub fn kill_primary(&mut self) {
        let primary = self.primary();
        self.servers[primary].kill();
        self.killed = Some(primary);
    }

    /// Runs `write` while the replica gets no write of its primary, kills the primary, and lets the replica go on.
    #[cfg(unix)]
    pub fn kill_primary_after<T>(&mut self, write: impl FnOnce() -> T) -> T {
        let primary = self.primary();
        self.servers[1 - primary].cut_off(&self.servers[primary]);
        let written = write();
        self.servers[primary].kill();
        self.killed = Some(primary);
        self.servers[1 - primary].signal("CONT");
        written
    }

    /// Waits until the Sentinels name a primary that accepts writes.
    pub fn wait_until_writable(&self) {
        await_condition("a primary accepts writes", || {
            self.named()
                .filter(|named| self.killed != Some(*named))
                .is_some_and(|named| is_writable(&self.servers[named]))
        });
    }

    /// Starts the server that was killed as a replica, and waits until it is synced and the Sentinels know that.
    pub fn restore(&mut self) {
        let Some(killed) = self.killed.take() else { return };
        self.wait_until_writable();
        let port = self.servers[1 - killed].port().to_string();
        self.servers[killed].start_again(&["--replicaof", "127.0.0.1", &port]);
        self.wait_until_complete();
    }

    /// Starts the server that was killed as the primary that it was. The Sentinels make it a replica after about ten seconds.
    pub fn start_killed(&mut self) {
        if let Some(killed) = self.killed.take() {
            self.servers[killed].start_again(&["--replicaof", "no", "one"]);
        }
    }
}

fn is_writable(server: &RedisServer) -> bool {
    server.info("replication", "role") == "master" && server.command(&["DEL", "mixin-pin-test"]) == "0"
}

fn start_sentinel(program: &str, primary: u16, more: &[&str]) -> Sentinel {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let lines = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 3000\n{}\n",
        more.join("\n")
    );
    let file = folder.path().join("sentinel.conf");
    std::fs::write(&file, lines).unwrap();
    let process = spawn(program, &file, folder.path());
    let sentinel = Sentinel { process, port, _folder: folder };
    await_condition("a Sentinel starts", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    sentinel
}

fn spawn(program: &str, file: &Path, folder: &Path) -> Child {
    Command::new(program)
        .arg(file)
        .arg("--sentinel")
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
