//! The example of an own store conforms to the contract.

#[allow(dead_code, reason = "the tests use a part")]
#[path = "../examples/own_store.rs"]
mod own_store;

use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_store::{CallIntent, CallKind, LeaseReply, LeaseTerms, NonceStore as _, test_suite};
use own_store::OwnStore;
use rusqlite::Connection;

#[test]
fn the_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    test_suite::nonce_store(&OwnStore::open(&path).unwrap(), test_suite::new_session);
    test_suite::lasting_store(|clock| OwnStore::open(&path).unwrap().clock(clock), test_suite::new_session);
}

#[test]
fn a_session_goes_on_above_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let clock = || UnixTime::from_secs(1_700_000_000);
    let store = OwnStore::open(&path).unwrap().clock(clock);
    let (session_id, request_id) = (test_suite::new_session(), test_suite::new_session());
    let lifetime = Duration::from_secs(60);
    let (method, path_of_call) = ("POST".into(), "/pin/update".into());
    let kind = CallKind::UpdatePin;
    let call = CallIntent { request_id, method, path: path_of_call, kind, token_lifetime: lifetime };
    let terms = LeaseTerms::new(lifetime).with_confirmed_clock();
    let lease = |terms: &LeaseTerms<'_>| match store.lease(session_id, terms).unwrap() {
        LeaseReply::Granted(lease) => lease,
        other => panic!("{other:?}"),
    };
    lease(&terms.for_call(&call)).keep_entry(true);
    let above = *store.pending(session_id).unwrap()[0].iterators.end();

    let database = Connection::open(&path).unwrap();
    for behind in
        ["UPDATE mixin_sessions SET last_iterator = last_iterator - 3600000000000", "DELETE FROM mixin_sessions"]
    {
        assert_eq!(database.execute(behind, []).unwrap(), 1);
        let next = lease(&terms).reserve(clock()).unwrap();
        assert!(next > above, "{next} after {above}, after {behind}");
    }
}
