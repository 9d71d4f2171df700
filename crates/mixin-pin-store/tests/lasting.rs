//! The contract of stores that outlive their process: over several handles, and with a clock that leaps.

use mixin_pin_store::test_suite::{lasting_store, new_session};

#[test]
fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("iterators.db");
    lasting_store(|clock| mixin_pin_store::SqliteStore::open(&path).unwrap().clock(clock), new_session);
}

#[cfg(feature = "redis")]
mod redis {
    use mixin_pin_store::RedisStore;
    use mixin_pin_test_servers::redis::RedisServer;
    #[cfg(feature = "redis-ha")]
    use mixin_pin_test_servers::{cluster::ClusterServers, sentinel::SentinelServers};

    use super::{lasting_store, new_session};

    fn assert_conforms(url: &str) {
        lasting_store(|clock| RedisStore::open(url).unwrap().clock(clock), new_session);
    }

    #[test]
    fn one_server_conforms() {
        let Some(server) = RedisServer::start("one_server_conforms", &[]) else { return };
        assert_conforms(&server.url());
    }

    #[cfg(feature = "redis-ha")]
    #[test]
    fn sentinel_conforms() {
        let Some(servers) = SentinelServers::start("sentinel_conforms") else { return };
        assert_conforms(&servers.url());
    }

    #[cfg(feature = "redis-ha")]
    #[test]
    fn a_cluster_conforms() {
        let Some(servers) = ClusterServers::start("a_cluster_conforms") else { return };
        assert_conforms(&servers.url());
    }
}

#[cfg(all(feature = "postgres", unix))]
#[test]
fn postgres_conforms_behind_a_pooler_too() {
    use mixin_pin_store::PostgresStore;
    use mixin_pin_test_servers::postgres::{Pooler, PostgresServer};

    let test = "postgres_conforms_behind_a_pooler_too";
    let Some(server) = PostgresServer::start(test, &[]) else { return };
    PostgresStore::create(&server.url()).unwrap();
    let Some(pooler) = Pooler::start(test, &server) else { return };
    for url in [server.url(), pooler.url()] {
        lasting_store(|clock| PostgresStore::open(&url).unwrap().clock(clock), new_session);
    }
}
