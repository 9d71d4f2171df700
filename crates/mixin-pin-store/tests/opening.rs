//! Opening a store while its server fails.
#![cfg(feature = "redis")]

use std::thread;
use std::time::Duration;

use mixin_pin_store::{Error, RedisError, open_within};
use mixin_pin_test_servers::redis::RedisServer;

#[test]
fn opening_waits_for_a_server_that_is_started_again() {
    let Some(mut server) = RedisServer::start("opening_waits_for_a_server_that_is_started_again", &[]) else { return };
    let url = server.url();
    server.kill();
    let refused = open_within(&url, Duration::ZERO).err();
    assert!(matches!(refused, Some(Error::Redis(RedisError::Refused))), "{refused:?}");
    let opening = thread::spawn(move || open_within(&url, Duration::from_secs(60)).map(drop));
    thread::sleep(Duration::from_millis(300));
    server.restart();
    opening.join().unwrap().unwrap();
}
