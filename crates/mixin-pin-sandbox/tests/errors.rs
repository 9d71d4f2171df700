//! The text of every error, compared with `testdata/errors.txt`, so a change of a message shows up in review.

use std::io;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_sandbox::Error;

#[test]
fn error_messages_are_unchanged() {
    let cause = || io::Error::other("as the system says");
    let errors = [
        Error::Listen(cause()),
        Error::Runtime(cause()),
        Error::Panicked,
        Error::DatabaseFile(cause()),
        Error::DatabaseExposed { path: "sandbox.db".into(), mode: 0o644 },
        Error::Database("as SQLite says".into()),
        Error::DatabaseVersion { found: 2 },
        Error::DatabaseContent,
        Error::AccountExists { user_id: Uuid::nil() },
        Error::AccountNoApp { user_id: Uuid::nil() },
        Error::AccountOwner { user_id: Uuid::nil() },
        Error::UsersFull,
    ];
    let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(messages.join("\n") + "\n", include_str!("../testdata/errors.txt"));
}
