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
    /// The ports of the servers that clients use.
    ports: [u16; 2],
    is_tls: bool,
    sentinels: Vec<Sentinel>,
    /// The server that was killed.
    killed: Option<usize>,
}

struct Sentinel {
    process: Child,
    port: u16,
    /// The port that clients use.
    public: u16,
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
        Self::start_with(test, None, &[], &[])
    }

    /// Starts all of them with these settings of the servers and lines of the Sentinels' configuration. With the files of a
    /// key and a certificate for 127.0.0.1, clients use TLS.
    pub fn start_with(
        test: &str,
        files: Option<&[String; 2]>,
        of_servers: &[&str],
        of_sentinels: &[&str],
    ) -> Option<Self> {
        let program = program(test)?;
        let mut settings: Vec<String> = ["--repl-diskless-sync-delay", "0"].map(str::to_owned).into();
        settings.extend(of_servers.iter().map(ToString::to_string));
        let start = |primary: Option<u16>| {
            let (mut settings, mut public) = (settings.clone(), None);
            for (name, value) in files.map(tls).unwrap_or_default() {
                public = public.or_else(|| value.parse().ok());
                settings.extend([format!("--{name}"), value]);
            }
            if let Some(primary) = primary {
                settings.extend(["--replicaof".to_owned(), "127.0.0.1".to_owned(), primary.to_string()]);
            }
            let server = RedisServer::start(test, &settings.iter().map(String::as_str).collect::<Vec<_>>())?;
            let public = public.unwrap_or(server.port());
            Some((server, public))
        };
        let (primary, port) = start(None)?;
        let (replica, other) = start(Some(port))?;
        let sentinels = (0..3).map(|_| start_sentinel(program, port, files, of_sentinels)).collect();
        let (servers, ports) = ([primary, replica], [port, other]);
        let servers = Self { servers, ports, is_tls: files.is_some(), sentinels, killed: None };
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
        let hosts: Vec<String> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.public)).collect();
        let scheme = if self.is_tls { "rediss+sentinel" } else { "redis+sentinel" };
        let [one, other] = &self.servers;
        format!("{scheme}://{}/{NAME}?new={},{}", hosts.join(","), one.run_id(), other.run_id())
    }

    /// The ports of the Sentinels.
    pub fn sentinel_ports(&self) -> Vec<u16> {
        self.sentinels.iter().map(|sentinel| sentinel.port).collect()
    }

    /// Which of the two servers most Sentinels name.
    fn named(&self) -> Option<usize> {
        let names = |port: &u16| {
            let address = format!("127.0.0.1\n{port}");
            let by = |sentinel: &&Sentinel| {
                command(sentinel.port, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]) == address
            };
            self.sentinels.iter().filter(by).count() > 1
        };
        self.ports.iter().position(names)
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
        let port = self.ports[1 - killed].to_string();
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

/// Settings of TLS. The port comes first.
fn tls([key, certificate]: &[String; 2]) -> Vec<(&'static str, String)> {
    vec![
        ("tls-port", free_port().to_string()),
        ("tls-key-file", key.clone()),
        ("tls-cert-file", certificate.clone()),
        ("tls-ca-cert-file", certificate.clone()),
        ("tls-auth-clients", "no".to_owned()),
        ("tls-replication", "yes".to_owned()),
    ]
}

fn start_sentinel(program: &str, primary: u16, files: Option<&[String; 2]>, more: &[&str]) -> Sentinel {
    let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
    let tls = files.map(tls).unwrap_or_default();
    let public = tls.first().map_or(port, |(_, port)| port.parse().unwrap());
    let tls: Vec<String> = tls.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
    let lines = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor {NAME} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {NAME} 1000\nsentinel failover-timeout {NAME} 3000\n{}{}\n",
        tls.concat(),
        more.join("\n")
    );
    let file = folder.path().join("sentinel.conf");
    std::fs::write(&file, lines).unwrap();
    let process = spawn(program, &file, folder.path());
    let sentinel = Sentinel { process, port, public, _folder: folder };
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
