//! The PostgreSQL store on a real server: its contract, poolers, failovers, clocks, and servers that cannot be used.
#![cfg(all(feature = "postgres", unix))]

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{
    MINUTE, TestClock, assert_a_record_behind_its_journal_is_raised, assert_calls_are_listed_and_keep_their_session,
    assert_iterators_far_ahead_are_refused, assert_old_verifications_are_dropped, assert_sessions_are_raised,
    assert_sessions_are_shown_and_forgotten, call, confirmed, leave_unknown, new_session, now, request_ids, take_lease,
};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Error as CoreError, UnixTime};
use mixin_pin_store::{
    CallKind, Error, LeaseReply, LeaseTerms, ManagedStore, NonceStore, PostgresError, PostgresStore, Risk, test_suite,
};
use mixin_pin_test_servers::postgres::{Pooler, PostgresServer};

const DAY: u64 = 86_400;
const START: u64 = 1_795_517_646;

/// A server with the store's tables.
fn start(test: &str, settings: &[&str]) -> Option<PostgresServer> {
    let server = PostgresServer::start(test, settings)?;
    assert!(mixin_pin_store::create(&server.url()).unwrap());
    Some(server)
}

/// Sets a session's last iterator directly.
fn write(server: &PostgresServer) -> impl Fn(Uuid, u64) {
    |session, iterator| {
        server.psql(&format!(
            "UPDATE mixin_pin.sessions SET last_iterator = {iterator} WHERE session_id = '{session}'"
        ));
    }
}

#[test]
fn the_store_conforms() {
    let Some(server) = start("the_store_conforms", &[]) else { return };
    test_suite::nonce_store(&PostgresStore::open(&server.url()).unwrap(), new_session);
    test_suite::nonce_store(&*mixin_pin_store::open(&server.url()).unwrap(), new_session);
}

#[test]
fn the_store_conforms_behind_a_pooler_in_transaction_mode() {
    let test = "the_store_conforms_behind_a_pooler_in_transaction_mode";
    let Some(server) = PostgresServer::start(test, &[]) else { return };
    let Some(pooler) = Pooler::start(test, &server) else { return };
    assert!(mixin_pin_store::create(&pooler.url()).unwrap());
    assert!(!mixin_pin_store::create(&pooler.url()).unwrap());
    test_suite::nonce_store(&PostgresStore::open(&pooler.url()).unwrap(), new_session);
}
