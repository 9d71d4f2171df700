//! The example of an own store conforms to the contract.

#[allow(dead_code, reason = "the tests use a part")]
#[path = "../examples/own_store.rs"]
mod own_store;

use mixin_pin_store::test_suite;
use own_store::OwnStore;

#[test]
fn the_store_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    test_suite::nonce_store(&OwnStore::open(&path).unwrap(), test_suite::new_session);
    test_suite::lasting_store(|clock| OwnStore::open(&path).unwrap().clock(clock), test_suite::new_session);
}
