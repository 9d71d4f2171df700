//! A PostgreSQL server for one test, standbys of it, and a pooler before it.

use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A PostgreSQL server on a free port, with a superuser `postgres` who needs no password. It stops with the test.
pub struct PostgresServer {
    programs: PathBuf,
    /// The user and group of the server and of its files. None for those of the test.
    user: Option<(u32, u32)>,
    folder: TempDir,
    port: u16,
    process: Child,
    settings: Vec<String>,
}

impl PostgresServer {
    /// Starts a server with settings such as `synchronous_commit=off`. Unlike a real one, it does not wait for its disk
    /// (`fsync=off`) unless the settings say so. Returns None and prints a warning if none is installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(test: &str, settings: &[&str]) -> Option<Self> {
        let Some(programs) = programs() else {
            skip(test, "PostgreSQL");
            return None;
        };
        let (user, folder) = (unprivileged_user(), tempfile::tempdir().unwrap());
        give(folder.path(), user);
        let mut initdb = as_user(&programs.join("initdb"), user);
        initdb.args(["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"]);
        run(initdb.arg(folder.path().join("data")));
        Some(Self::start_in(programs, user, folder, settings))
    }

    fn start_in(programs: PathBuf, user: Option<(u32, u32)>, folder: TempDir, settings: &[&str]) -> Self {
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        let port = free_port();
        let process = spawn(&programs, user, folder.path(), port, &settings);
        let mut server = Self { programs, user, folder, port, process, settings };
        server.wait_until_ready();
        server
    }

    /// A standby of this server. It replicates all that this server writes.
    ///
    /// # Panics
    /// If the copy fails.
    #[must_use]
    pub fn standby(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        give(folder.path(), self.user);
        let mut copy = as_user(&tool(&self.programs, "pg_basebackup"), self.user);
        copy.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-X", "stream", "-c", "fast"]);
        run(copy.args(["--write-recovery-conf", "--no-sync", "-D"]).arg(folder.path().join("data")));
        Self::start_in(self.programs.clone(), self.user, folder, &[])
    }

    /// Makes a standby a primary, and waits until it is one.
    ///
    /// # Panics
    /// If it does not become one.
    pub fn promote(&self) {
        assert_eq!(self.psql("SELECT pg_promote()"), "t");
    }

    /// The URL of the store for the superuser.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of the store for a user, who may have a password after a colon.
    pub fn url_of(&self, user: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/postgres", self.port)
    }

    /// The server's port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The folder with the server's data and its socket.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file that the server can read and nobody else.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        run(Command::new("chmod").arg("600").arg(&path));
        give(&path, self.user);
        path
    }

    /// Runs SQL as the superuser, and returns the values, without a header.
    ///
    /// # Panics
    /// If it fails.
    pub fn psql(&self, sql: &str) -> String {
        let output = self.psql_command(sql).output().expect("psql");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        assert!(output.status.success(), "{sql}: {}", text(output.stderr));
        text(output.stdout)
    }

    /// Runs SQL of a file as the superuser.
    ///
    /// # Panics
    /// If it fails.
    pub fn psql_file(&self, path: &Path) {
        run(self.psql_command("SELECT 1").arg("-f").arg(path));
    }

    /// A dump of the store's tables as SQL.
    ///
    /// # Panics
    /// If it fails.
    pub fn dump(&self) -> String {
        let mut command = Command::new(tool(&self.programs, "pg_dump"));
        command.args([
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
            "-U",
            "postgres",
            "-n",
            "mixin_pin",
            "postgres",
        ]);
        String::from_utf8(run(&mut command)).unwrap()
    }

    /// The command that runs SQL, for a test that lets it go on.
    pub fn psql_command(&self, sql: &str) -> Command {
        let mut command = Command::new(tool(&self.programs, "psql"));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-d", "postgres"]);
        command.args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        command
    }

    /// Sends a signal, such as `STOP` or `CONT`, to all the server's processes.
    ///
    /// # Panics
    /// If it cannot be sent.
    pub fn signal(&self, signal: &str) {
        let main = self.process.id().to_string();
        let children = Command::new("pgrep").args(["-P", &main]).output().expect("pgrep");
        let children = String::from_utf8(children.stdout).unwrap();
        // A child may end meanwhile.
        let _ = Command::new("kill").args(["-s", signal]).args(children.split_whitespace()).output();
        run(Command::new("kill").args(["-s", signal, &main]));
    }

    /// Stops the server at once, as a crash does.
    ///
    /// # Panics
    /// If it does not stop.
    pub fn kill(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            run(Command::new("kill").args(["-s", "QUIT", &self.process.id().to_string()]));
            self.process.wait().unwrap();
        }
    }

    /// Stops the server at once and starts it again on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn restart(&mut self) {
        self.kill();
        self.process = spawn(&self.programs, self.user, self.folder.path(), self.port, &self.settings);
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        for _ in 0..1_000 {
            let is_ready = Command::new(tool(&self.programs, "pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .expect("pg_isready");
            if is_ready.success() {
                return;
            }
            assert!(self.process.try_wait().unwrap().is_none(), "the PostgreSQL server did not start");
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the PostgreSQL server did not start");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // The test is over, whatever happens here.
        let id = self.process.id().to_string();
        if matches!(self.process.try_wait(), Ok(None)) {
            let _ = Command::new("kill").args(["-s", "CONT", &id]).status();
            let _ = Command::new("kill").args(["-s", "QUIT", &id]).status();
        }
        let _ = self.process.wait();
    }
}

/// PgBouncer in transaction mode before a server. It stops with the test.
pub struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    /// Starts a pooler with two connections to the server. Returns None and prints a warning if none is installed.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(test: &str, server: &PostgresServer) -> Option<Self> {
        let Some(program) = find("pgbouncer", &["/usr/sbin", "/usr/local/sbin"]) else {
            skip(test, "pgbouncer");
            return None;
        };
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let path = |name: &str| folder.path().join(name);
        fs::write(path("users"), "\"postgres\" \"\"\n").unwrap();
        let mut settings = format!("[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\n", server.port);
        writeln!(settings, "listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =").unwrap();
        writeln!(settings, "auth_type = trust\nauth_file = {}", path("users").display()).unwrap();
        writeln!(settings, "pool_mode = transaction\ndefault_pool_size = 2\nserver_login_retry = 1").unwrap();
        fs::write(path("settings"), settings).unwrap();
        for path in [folder.path(), &path("users"), &path("settings")] {
            give(path, server.user);
        }
        let process = as_user(&program, server.user)
            .arg("-q")
            .arg(path("settings"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer");
        let mut pooler = Self { process, port, _folder: folder };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(pooler.process.try_wait().unwrap().is_none(), "pgbouncer did not start");
            thread::sleep(Duration::from_millis(10));
        }
        Some(pooler)
    }

    /// The URL of the store, through the pooler.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of PostgreSQL's programs, which Debian keeps out of PATH.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(versions.into_iter().rev())
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// A client's program, which may be in another folder than the server's.
fn tool(programs: &Path, name: &str) -> PathBuf {
    Some(programs.join(name)).filter(|path| path.exists()).unwrap_or_else(|| name.into())
}

fn find(program: &str, folders: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(folders.iter().map(PathBuf::from));
    places.map(|folder| folder.join(program)).find(|path| path.exists())
}

#[allow(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
fn skip(test: &str, program: &str) {
    use std::io::Write as _;

    assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "{test} needs {program}");
    writeln!(std::io::stderr(), "SKIPPED: {test} needs {program}").unwrap();
}

/// The user of a server whose test runs as root, which PostgreSQL refuses.
fn unprivileged_user() -> Option<(u32, u32)> {
    let id = |words: &[&str]| -> Option<u32> {
        let output = Command::new("id").args(words).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"].into_iter().find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)))
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = user {
        // It may not read the folder of the test.
        command.uid(user).gid(group).current_dir("/");
    }
    command
}

fn give(path: &Path, user: Option<(u32, u32)>) {
    if let Some((user, group)) = user {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

fn spawn(programs: &Path, user: Option<(u32, u32)>, folder: &Path, port: u16, settings: &[String]) -> Child {
    let mut command = as_user(&programs.join("postgres"), user);
    command.arg("-D").arg(folder.join("data"));
    let own = [format!("port={port}"), format!("unix_socket_directories={}", folder.display())];
    for setting in ["listen_addresses=127.0.0.1", "fsync=off", "max_connections=40", "shared_buffers=16MB"]
        .into_iter()
        .chain(own.iter().map(String::as_str))
        .chain(settings.iter().map(String::as_str))
    {
        command.args(["-c", setting]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("postgres")
}

/// PostgreSQL cannot choose a free port itself.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Runs a command that must succeed, and returns what it prints.
fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
