//! What each error says, kept word by word: whoever changes a message sees it here, beside all others.

use std::io;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_sandbox::Error;

#[test]
fn every_error_says_what_it_said() {
    let cause = || io::Error::other("as the system says");
    let errors = [
        Error::Listen(cause()),
        Error::Runtime(cause()),
        Error::Serve(cause()),
        Error::Panicked,
        Error::DatabaseFile(cause()),
        Error::DatabaseExposed { path: "sandbox.db".into(), mode: 0o644 },
        Error::DatabaseVersion { found: 2 },
        Error::DatabaseContent,
        Error::AccountExists { user_id: Uuid::nil() },
        Error::UsersFull,
    ];
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let said = said.join("\n") + "\n";
    assert_eq!(said, include_str!("../testdata/errors.txt"));
}
