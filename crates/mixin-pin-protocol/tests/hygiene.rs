//! Keystores for a remote signer leave no PIN key in freed memory.

use mixin_pin_protocol::core::token::Signer as _;
use mixin_pin_protocol::keystore::{Keystore, write_remote};
use mixin_pin_test_memory::{Memory, left_behind};

#[global_allocator]
static MEMORY: Memory = Memory;

#[test]
fn writing_and_reading_leave_nothing() {
    let whole = Keystore::parse(include_bytes!("../testdata/keystore-dashboard.json")).unwrap();
    let session = whole.into_session(&mut getrandom::rand_core::UnwrapErr(getrandom::SysRng)).unwrap();
    let pin_key = *session.pin_key().expose();
    let hex = base16ct::lower::encode_string(&pin_key);
    let left = left_behind(&[&pin_key[..16], &hex.as_bytes()[..16]], || {
        let text = write_remote(&session);
        let remote = Box::new(Keystore::parse(text.as_bytes()).unwrap().into_remote_session().unwrap());
        assert_eq!((*remote.signer(), remote.pin_key().expose()), (session.signer().algorithm(), &pin_key));
        remote
    });
    assert_eq!(left, 0);
}
