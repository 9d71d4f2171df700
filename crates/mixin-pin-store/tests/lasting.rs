//! The contract of stores that outlive their process: over several handles, and with a clock that leaps.

#[cfg(feature = "redis")]
use mixin_pin_store::RedisStore;
use mixin_pin_store::SqliteStore;
use mixin_pin_store::test_suite::{lasting_store, new_session};

#[test]
fn sqlite_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("iterators.db");
    lasting_store(|clock| SqliteStore::open(&path).unwrap().clock(clock), new_session);
}

#[cfg(feature = "redis")]
#[test]
fn redis_conforms() {
    let Some(server) = mixin_pin_test_servers::redis::RedisServer::start("redis_conforms", &[]) else { return };
    lasting_store(|clock| RedisStore::open(&server.url()).unwrap().clock(clock), new_session);
}
