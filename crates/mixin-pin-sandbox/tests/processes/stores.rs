//! The stores that the trials run over, with their servers.

use std::path::Path;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_test_servers::cluster::ClusterServers;
#[cfg(unix)]
use mixin_pin_test_servers::postgres::{Pooler, PostgresServer};
use mixin_pin_test_servers::redis::RedisServer;
use mixin_pin_test_servers::sentinel::SentinelServers;

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Sqlite,
    Redis,
    Sentinel,
    Cluster,
    Postgres,
    Pgbouncer,
}

impl Kind {
    pub const ALL: [Self; 6] =
        [Self::Sqlite, Self::Redis, Self::Sentinel, Self::Cluster, Self::Postgres, Self::Pgbouncer];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
            Self::Postgres => "postgres",
            Self::Pgbouncer => "pgbouncer",
        }
    }
}

/// A store's servers. They stop with the test.
pub enum Servers {
    Sqlite,
    Redis(RedisServer),
    Sentinel(Box<SentinelServers>),
    Cluster(ClusterServers),
    #[cfg(unix)]
    Postgres(PostgresServer),
    #[cfg(unix)]
    Pgbouncer(PostgresServer, Pooler),
}

impl Servers {
    /// Starts them, durable so that a restart loses nothing, or faster. None if they are not installed.
    pub fn start(kind: Kind, test: &str, is_durable: bool) -> Option<Self> {
        let settings = |durable: &'static [&'static str]| if is_durable { durable } else { &[] };
        #[cfg(unix)]
        let postgres = || PostgresServer::start(test, settings(&["fsync=on"]));
        Some(match kind {
            Kind::Sqlite => Self::Sqlite,
            Kind::Redis => {
                Self::Redis(RedisServer::start(test, settings(&["--appendonly", "yes", "--appendfsync", "always"]))?)
            }
            Kind::Sentinel => Self::Sentinel(Box::new(SentinelServers::start(test)?)),
            Kind::Cluster => Self::Cluster(ClusterServers::start(test)?),
            #[cfg(not(unix))]
            Kind::Postgres | Kind::Pgbouncer => return None,
            #[cfg(unix)]
            Kind::Postgres => Self::Postgres(postgres()?),
            #[cfg(unix)]
            Kind::Pgbouncer => {
                let server = postgres()?;
                let pooler = Pooler::start(test, &server)?;
                Self::Pgbouncer(server, pooler)
            }
        })
    }

    /// The URL of the store, which is created.
    pub fn url(&self, folder: &Path) -> String {
        let url = match self {
            Self::Sqlite => format!("sqlite:{}", folder.join("iterators.db").display()),
            Self::Redis(server) => server.url(),
            Self::Sentinel(servers) => servers.url(),
            Self::Cluster(servers) => servers.url(),
            #[cfg(unix)]
            Self::Postgres(server) => server.url(),
            #[cfg(unix)]
            Self::Pgbouncer(_, pooler) => pooler.url(),
        };
        mixin_pin_store::create(&url).unwrap();
        url
    }

    /// Kills the server that has the session.
    pub fn kill(&mut self, session_id: Uuid) {
        match self {
            Self::Sqlite => panic!("SQLite has no server"),
            Self::Redis(server) => server.kill(),
            Self::Sentinel(servers) => servers.kill_primary(),
            Self::Cluster(servers) => servers.kill_primary_of(session_id),
            #[cfg(unix)]
            Self::Postgres(server) | Self::Pgbouncer(server, _) => server.kill(),
        }
    }

    /// Starts the killed server again. Where another was promoted, it becomes a synced replica of that.
    pub fn restore(&mut self, session_id: Uuid) {
        match self {
            Self::Sqlite => {}
            Self::Redis(server) => server.restart(),
            Self::Sentinel(servers) => servers.restore(),
            Self::Cluster(servers) => {
                // Before that, the killed node would come back as a master without data.
                servers.wait_until_writable(session_id);
                servers.restore();
            }
            #[cfg(unix)]
            Self::Postgres(server) | Self::Pgbouncer(server, _) => server.restart(),
        }
    }
}
