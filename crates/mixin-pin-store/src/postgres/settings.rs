//! Settings of connections: addresses, user, password, TLS. As with libpq, they come from the URL, the environment and the pass
//! file.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, Host};

use super::pass_file::{self, Entry};
use super::tls::{Roots, SslMode, Tls};
use crate::PostgresError;

/// The options of a URL. Their meaning is libpq's.
const OPTIONS: [&str; 23] = [
    "user",
    "password",
    "passfile",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "application_name",
    "options",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "channel_binding",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "target_session_attrs",
    "load_balance_hosts",
    "sslnegotiation",
];
/// The folder of Debian's servers, which is libpq's default there.
#[cfg(unix)]
const SOCKET_FOLDER: &str = "/var/run/postgresql";

/// Everything that connecting needs.
pub(super) struct Settings {
    pub(super) targets: Vec<Target>,
    pub(super) mode: SslMode,
    /// None if no connection uses TLS.
    pub(super) tls: Option<Tls>,
    /// Whether the servers are tried in a random order.
    pub(super) is_random: bool,
}

/// One server.
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) is_socket: bool,
    /// Whether it is on this machine.
    pub(super) is_local: bool,
}

impl Settings {
    pub(super) fn from_url(url: &str) -> Result<Self, PostgresError> {
        Self::read(url, &|name| std::env::var(name).ok())
    }

    fn read(url: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, PostgresError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let base: Config = base.parse().map_err(|_| PostgresError::Url)?;
        let mut options = Options { given: read_options(query)?, env };
        let home = home(env);
        let postgres_folder = home.as_ref().map(|home| home.join(".postgresql"));

        let given = |text: &String| !text.is_empty();
        let user = options
            .url("user")
            .or_else(|| base.get_user().map(str::to_owned).filter(given))
            .or_else(|| env("PGUSER").filter(given))
            .or_else(|| whoami::username().ok())
            .ok_or(PostgresError::OptionValue { name: "user" })?;
        let database = options
            .url("dbname")
            .or_else(|| base.get_dbname().map(str::to_owned))
            .or_else(|| env("PGDATABASE"))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| user.clone());
        let password = options
            .url("password")
            .map(String::into_bytes)
            .or_else(|| base.get_password().map(<[u8]>::to_vec))
            .or_else(|| env("PGPASSWORD").map(String::into_bytes))
            .filter(|password| !password.is_empty());
        let pass_file = options.get("passfile", "PGPASSFILE").map(PathBuf::from).or_else(|| default_pass_file(env));

        let servers = servers(&base, &mut options)?;
        let mut common = Config::new();
        common.user(&user).dbname(&database);
        common.application_name(options.get("application_name", "PGAPPNAME").unwrap_or_else(|| "mixin-pin".into()));
        if let Some(text) = options.get("options", "PGOPTIONS") {
            common.options(text);
        }
        apply_times(&mut common, &mut options)?;
        common.channel_binding(match options.get("channel_binding", "PGCHANNELBINDING").as_deref() {
            None | Some("prefer") => ChannelBinding::Prefer,
            Some("disable") => ChannelBinding::Disable,
            // The connector has no channel bindings.
            Some(_) => return Err(PostgresError::OptionValue { name: "channel_binding" }),
        });
        // The store cannot use a standby.
        if !matches!(
            options.get("target_session_attrs", "PGTARGETSESSIONATTRS").as_deref(),
            None | Some("any" | "read-write" | "primary")
        ) {
            return Err(PostgresError::OptionValue { name: "target_session_attrs" });
        }
        if !matches!(options.url("sslnegotiation").as_deref(), None | Some("postgres")) {
            return Err(PostgresError::OptionValue { name: "sslnegotiation" });
        }
        let is_random = match options.get("load_balance_hosts", "PGLOADBALANCEHOSTS").as_deref() {
            None | Some("disable") => false,
            Some("random") => true,
            Some(_) => return Err(PostgresError::OptionValue { name: "load_balance_hosts" }),
        };

        let mut targets = Vec::new();
        for server in servers {
            let mut config = common.clone();
            config.port(server.port);
            if let Some(address) = server.address {
                config.hostaddr(address);
            }
            match &server.host {
                #[cfg(unix)]
                Host::Unix(path) => config.host_path(path),
                Host::Tcp(name) => config.host(name),
            };
            let from_file = || {
                let Some(path) = pass_file.as_deref().filter(|_| password.is_none()) else { return Ok(None) };
                let host = server.name_in_pass_file();
                let entry = Entry { host: &host, port: server.port, database: &database, user: &user };
                pass_file::password(path, entry)
            };
            if let Some(password) = from_file()?.as_ref().or(password.as_ref()) {
                config.password(password);
            }
            targets.push(Target { config, is_socket: server.is_socket(), is_local: server.is_local() });
        }

        let (mode, roots) = ssl_mode(&mut options, postgres_folder.as_deref())?;
        let needs_tls = mode != SslMode::Disable && targets.iter().any(|target| !target.is_socket);
        let tls = if needs_tls {
            let in_folder = |name: &str| Some(postgres_folder.as_ref()?.join(name)).filter(|path| path.exists());
            let path = |options: &mut Options<'_>, option: &str, variable: &str, name: &str| {
                options.get(option, variable).map(PathBuf::from).or_else(|| in_folder(name))
            };
            let certificate = path(&mut options, "sslcert", "PGSSLCERT", "postgresql.crt");
            let key = path(&mut options, "sslkey", "PGSSLKEY", "postgresql.key");
            Some(Tls::new(mode, roots, certificate.zip(key))?)
        } else {
            None
        };
        Ok(Self { targets, mode, tls, is_random })
    }
}

/// The options of the URL, and after them the environment.
struct Options<'e> {
    given: HashMap<&'static str, String>,
    env: &'e dyn Fn(&str) -> Option<String>,
}

impl Options<'_> {
    fn url(&mut self, name: &str) -> Option<String> {
        self.given.remove(name).filter(|value| !value.is_empty())
    }

    fn get(&mut self, name: &str, variable: &str) -> Option<String> {
        self.url(name).or_else(|| (self.env)(variable).filter(|value| !value.is_empty()))
    }
}

fn read_options(query: &str) -> Result<HashMap<&'static str, String>, PostgresError> {
    // A password with a question mark that is not written as %3F would be read as an option, and shown as one.
    if query.contains('@') {
        return Err(PostgresError::Url);
    }
    let decode = |text: &str| {
        percent_decode_str(text).decode_utf8().map(std::borrow::Cow::into_owned).map_err(|_| PostgresError::Url)
    };
    let mut given = HashMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(PostgresError::Url)?;
        let name = decode(name)?;
        let Some(known) = OPTIONS.into_iter().find(|known| *known == name) else {
            let is_name = name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            return Err(PostgresError::UnknownOption { name: if is_name { name } else { "?".to_owned() } });
        };
        given.insert(known, decode(value)?);
    }
    Ok(given)
}

struct Server {
    host: Host,
    /// Where to connect, if not to the address of the host's name.
    address: Option<IpAddr>,
    port: u16,
}

impl Server {
    fn is_socket(&self) -> bool {
        !matches!(self.host, Host::Tcp(_))
    }

    fn is_local(&self) -> bool {
        match &self.host {
            Host::Tcp(name) => match self.address.or_else(|| name.parse().ok()) {
                Some(address) => address.is_loopback(),
                None => name == "localhost",
            },
            #[cfg(unix)]
            Host::Unix(_) => true,
        }
    }

    fn name_in_pass_file(&self) -> String {
        match &self.host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(path) if path == Path::new(SOCKET_FOLDER) || path == Path::new("/tmp") => "localhost".to_owned(),
            #[cfg(unix)]
            Host::Unix(path) => path.to_string_lossy().into_owned(),
        }
    }
}

fn servers(base: &Config, options: &mut Options<'_>) -> Result<Vec<Server>, PostgresError> {
    let by_name = |name: &str| match name {
        "" => default_host(),
        #[cfg(unix)]
        path if path.starts_with('/') => Host::Unix(path.into()),
        name => Host::Tcp(name.to_owned()),
    };
    let split = |text: String| text.split(',').map(|part| part.trim().to_owned()).collect::<Vec<_>>();
    let addresses: Vec<IpAddr> = options
        .get("hostaddr", "PGHOSTADDR")
        .map(split)
        .unwrap_or_default()
        .iter()
        .map(|text| text.parse().map_err(|_| PostgresError::OptionValue { name: "hostaddr" }))
        .collect::<Result<_, _>>()?;
    let hosts: Vec<Host> = match options.url("host") {
        Some(names) => split(names).iter().map(|name| by_name(name)).collect(),
        None if !base.get_hosts().is_empty() => base
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => by_name(name),
                #[cfg(unix)]
                Host::Unix(path) => Host::Unix(path.clone()),
            })
            .collect(),
        None if !addresses.is_empty() => addresses.iter().map(|address| Host::Tcp(address.to_string())).collect(),
        None => split((options.env)("PGHOST").unwrap_or_default()).iter().map(|name| by_name(name)).collect(),
    };
    if !addresses.is_empty() && addresses.len() != hosts.len() {
        return Err(PostgresError::OptionValue { name: "hostaddr" });
    }
    let from_url = |base: &Config| (!base.get_ports().is_empty()).then(|| base.get_ports().to_vec());
    let ports = match options.url("port") {
        Some(ports) => read_ports(&split(ports))?,
        None => match from_url(base) {
            Some(ports) => ports,
            None => read_ports(&split((options.env)("PGPORT").unwrap_or_default()))?,
        },
    };
    let port = |place: usize| match &ports[..] {
        [port] => Ok(*port),
        ports if ports.len() == hosts.len() => Ok(ports[place]),
        _ => Err(PostgresError::OptionValue { name: "port" }),
    };
    hosts
        .iter()
        .enumerate()
        .map(|(place, host)| {
            Ok(Server { host: host.clone(), address: addresses.get(place).copied(), port: port(place)? })
        })
        .collect()
}

fn read_ports(texts: &[String]) -> Result<Vec<u16>, PostgresError> {
    let read = |text: &String| {
        if text.is_empty() { Ok(5432) } else { text.parse().map_err(|_| PostgresError::OptionValue { name: "port" }) }
    };
    texts.iter().map(read).collect()
}

fn default_host() -> Host {
    #[cfg(unix)]
    if let Some(folder) = [SOCKET_FOLDER, "/tmp"].into_iter().find(|folder| Path::new(folder).is_dir()) {
        return Host::Unix(folder.into());
    }
    Host::Tcp("localhost".to_owned())
}

fn home(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    env(if cfg!(windows) { "USERPROFILE" } else { "HOME" }).filter(|home| !home.is_empty()).map(PathBuf::from)
}

fn default_pass_file(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if cfg!(windows) {
        return Some(PathBuf::from(env("APPDATA")?).join("postgresql").join("pgpass.conf"));
    }
    Some(home(env)?.join(".pgpass"))
}

/// Sets the time limit for connecting, and the probes that detect a dead connection.
fn apply_times(config: &mut Config, options: &mut Options<'_>) -> Result<(), PostgresError> {
    let number = |options: &mut Options<'_>, name: &'static str| {
        options.url(name).map(|text| text.parse::<u64>().map_err(|_| PostgresError::OptionValue { name })).transpose()
    };
    if let Some(seconds) = number(options, "connect_timeout")?.filter(|seconds| *seconds > 0) {
        config.connect_timeout(Duration::from_secs(seconds));
    }
    if let Some(milliseconds) = number(options, "tcp_user_timeout")?.filter(|milliseconds| *milliseconds > 0) {
        config.tcp_user_timeout(Duration::from_millis(milliseconds));
    }
    if let Some(is_on) = number(options, "keepalives")? {
        config.keepalives(is_on != 0);
    }
    // Connections stay open. These defaults notice within two minutes that a firewall has dropped one.
    let seconds =
        |found: Option<u64>, default| Duration::from_secs(found.filter(|found| *found > 0).unwrap_or(default));
    config.keepalives_idle(seconds(number(options, "keepalives_idle")?, 60));
    config.keepalives_interval(seconds(number(options, "keepalives_interval")?, 15));
    let count = number(options, "keepalives_count")?.filter(|count| *count > 0).unwrap_or(4);
    config
        .keepalives_retries(u32::try_from(count).map_err(|_| PostgresError::OptionValue { name: "keepalives_count" })?);
    Ok(())
}

/// The mode, and the root certificates that it checks against.
fn ssl_mode(options: &mut Options<'_>, folder: Option<&Path>) -> Result<(SslMode, Option<Roots>), PostgresError> {
    let roots = match options.get("sslrootcert", "PGSSLROOTCERT").as_deref() {
        Some("system") => Some(Roots::System),
        Some(path) => Some(Roots::File(path.into())),
        None => folder.map(|folder| folder.join("root.crt")).filter(|path| path.exists()).map(Roots::File),
    };
    let is_system = matches!(roots, Some(Roots::System));
    let mode = match options.get("sslmode", "PGSSLMODE").as_deref() {
        None if is_system => SslMode::VerifyFull,
        None | Some("prefer") => SslMode::Prefer,
        Some("disable") => SslMode::Disable,
        Some("allow") => SslMode::Allow,
        Some("require") => SslMode::Require,
        Some("verify-ca") => SslMode::VerifyCa,
        Some("verify-full") => SslMode::VerifyFull,
        Some(_) => return Err(PostgresError::OptionValue { name: "sslmode" }),
    };
    if is_system && mode != SslMode::VerifyFull {
        // Anybody can have a certificate from these roots, for another name.
        return Err(PostgresError::OptionValue { name: "sslmode" });
    }
    if matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) && roots.is_none() {
        let path = folder.unwrap_or(Path::new("~/.postgresql")).join("root.crt");
        let cause = "there is no file with root certificates".into();
        return Err(PostgresError::Certificate { path, cause });
    }
    Ok((mode, roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, env: &[(&str, &str)]) -> Result<Settings, PostgresError> {
        let env = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(url, &env)
    }

    fn config(url: &str, env: &[(&str, &str)]) -> Config {
        read(url, env).unwrap().targets[0].config.clone()
    }

    /// User, database and password.
    fn who(url: &str, env: &[(&str, &str)]) -> [String; 3] {
        let config = config(url, env);
        let password = config.get_password().map(|password| String::from_utf8(password.to_vec()).unwrap());
        [config.get_user(), config.get_dbname(), password.as_deref()].map(|text| text.unwrap_or_default().to_owned())
    }

    #[test]
    fn the_url_comes_before_the_environment_and_that_before_the_pass_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pass");
        std::fs::write(&file, "db:5433:bots:bot:from file\nlocalhost:*:*:*:by socket").unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let file = file.to_str().unwrap();
        let env = [("PGUSER", "env"), ("PGDATABASE", "data"), ("PGPASSWORD", "secret"), ("PGPASSFILE", file)];
        assert_eq!(who("postgres://bot:p%40ss@db/bots", &env), ["bot", "bots", "p@ss"]);
        assert_eq!(who("postgresql://db/?user=one&dbname=two&password=three", &env), ["one", "two", "three"]);
        assert_eq!(who("postgres://db", &env), ["env", "data", "secret"]);
        assert_eq!(who("postgres://bot@db:5433/bots", &env[3..]), ["bot", "bots", "from file"]);
        assert_eq!(who("postgres://bot@db/bots", &env[3..]), ["bot", "bots", ""], "another port");
        assert_eq!(who("postgres://bot@db", &[]), ["bot", "bot", ""], "the database has the user's name");
        #[cfg(unix)]
        assert_eq!(who("postgres://bot@%2Fvar%2Frun%2Fpostgresql", &env[3..])[2], "by socket");
        let named = format!("postgres://bot@db:5433/bots?passfile={}", file.replace('/', "%2F"));
        assert_eq!(who(&named, &[])[2], "from file");
    }

    #[test]
    fn hosts_ports_and_addresses_are_paired() {
        let servers = |url: &str, env: &[(&str, &str)]| -> Vec<(String, u16)> {
            let targets = read(url, env).unwrap().targets;
            let server = |target: Target| {
                let host = match &target.config.get_hosts()[0] {
                    Host::Tcp(name) => name.clone(),
                    #[cfg(unix)]
                    Host::Unix(path) => path.to_str().unwrap().to_owned(),
                };
                assert_eq!(target.is_socket, host.starts_with('/'));
                (host, target.config.get_ports()[0])
            };
            targets.into_iter().map(server).collect()
        };
        let pairs =
            |pairs: &[(&str, u16)]| pairs.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect::<Vec<_>>();
        assert_eq!(servers("postgres://a:1,b,[::1]:3/x", &[]), pairs(&[("a", 1), ("b", 5432), ("::1", 3)]));
        assert_eq!(servers("postgres:///x?host=a,/run&port=7", &[]), pairs(&[("a", 7), ("/run", 7)]));
        assert_eq!(servers("postgres://ignored:9/x?host=a,b&port=7,8", &[]), pairs(&[("a", 7), ("b", 8)]));
        assert_eq!(servers("postgres:///x", &[("PGHOST", "e"), ("PGPORT", "6")]), pairs(&[("e", 6)]));
        assert_eq!(servers("postgres:///x?hostaddr=10.0.0.1", &[]), pairs(&[("10.0.0.1", 5432)]));
        assert_eq!(config("postgres://a/x?hostaddr=10.0.0.1", &[]).get_hostaddrs().len(), 1);
        for (url, name) in
            [("a,b/x?hostaddr=10.0.0.1", "hostaddr"), ("a,b,c/x?port=1,2", "port"), ("a/x?port=99999", "port")]
        {
            let refused = read(&format!("postgres://{url}"), &[]).err().unwrap();
            assert!(matches!(&refused, PostgresError::OptionValue { name: found } if *found == name), "{refused:?}");
        }
        let is_local = |url: &str| read(url, &[]).unwrap().targets[0].is_local;
        for local in ["127.0.0.1", "[::1]", "localhost", "%2Frun", "other?hostaddr=127.0.0.1"] {
            assert!(is_local(&format!("postgres://{local}")), "{local}");
        }
        assert!(!is_local("postgres://10.0.0.1") && !is_local("postgres://localhost?hostaddr=10.0.0.1"));
    }

    #[test]
    fn unknown_options_are_named_unless_they_may_be_part_of_a_password() {
        let refused = |query: &str| read(&format!("postgres://bot@db/x?{query}"), &[]).err().unwrap();
        let named = |query: &str| match refused(query) {
            PostgresError::UnknownOption { name } => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(named("sslmod=require"), "sslmod");
        assert_eq!(named("Secr3t!=1"), "?");
        for unreadable in ["sslmode", "a=b@db/x", "sslmode=%FF"] {
            assert!(matches!(refused(unreadable), PostgresError::Url), "{unreadable}");
        }
        for value in [
            "sslmode=maybe",
            "target_session_attrs=standby",
            "channel_binding=require",
            "load_balance_hosts=often",
            "connect_timeout=soon",
            "keepalives_count=-1",
            "sslnegotiation=direct",
        ] {
            let name = value.split('=').next().unwrap();
            assert!(matches!(refused(value), PostgresError::OptionValue { name: found } if found == name), "{value}");
        }
        assert!(matches!(read("postgres://[", &[]).err().unwrap(), PostgresError::Url));
    }

    #[test]
    fn a_mode_that_verifies_needs_root_certificates() {
        let home = tempfile::tempdir().unwrap();
        let env = [("HOME", home.path().to_str().unwrap()), ("PGSSLMODE", "verify-full")];
        let mode = |url: &str, env: &[(&str, &str)]| read(url, env).map(|settings| settings.mode);
        assert!(matches!(mode("postgres://db", &env), Err(PostgresError::Certificate { .. })));
        assert_eq!(mode("postgres://db?sslmode=disable", &env).unwrap(), SslMode::Disable);
        assert_eq!(mode("postgres://db?sslrootcert=system", &env[..1]).unwrap(), SslMode::VerifyFull);
        assert_eq!(mode("postgres://db", &env[..1]).unwrap(), SslMode::Prefer);
        assert!(!read("postgres://db?sslmode=require", &env[..1]).unwrap().tls.unwrap().is_verified);
        // As with libpq, a file of the user turns the check on.
        std::fs::create_dir(home.path().join(".postgresql")).unwrap();
        std::fs::write(home.path().join(".postgresql/root.crt"), "no certificate").unwrap();
        assert!(matches!(mode("postgres://db?sslmode=require", &env[..1]), Err(PostgresError::Certificate { .. })));
    }
}
