//! The text of each error, compared with `testdata/errors.txt`. Texts from the network library are left out.

use std::time::Duration;

use mixin_pin_machine::core::SignerError;
use mixin_pin_machine::protocol::{AnswerError, Remedy};
use mixin_pin_machine::store::Error as StoreError;
use mixin_pin_machine::{ClockOffset, Error, NextStep, SettingsError};

#[test]
fn error_messages_are_unchanged() {
    let errors = [
        SettingsError::BaseUrl.into(),
        SettingsError::PlainHttp.into(),
        SettingsError::Proxy { origin: "HTTPS_PROXY" }.into(),
        SettingsError::Header.into(),
        Error::Store(StoreError::other("the disk is full")),
        Error::Signer(SignerError::new()),
        Error::SessionBusy { waited: Duration::from_millis(1_500) },
        Error::LeaseLost,
        Error::TimeOver { limit: Duration::from_secs(30) },
        Error::ClockUnconfirmed(Box::new(Error::Timeout { limit: Duration::from_secs(30) })),
        Error::ClockUnconfirmed(Box::new(Error::NoServerTime)),
        Error::Clock { offset: ClockOffset::Ahead(Duration::from_secs(7_300)) },
        Error::Clock { offset: ClockOffset::Behind(Duration::from_secs(301)) },
        Error::Clock { offset: ClockOffset::Ahead(Duration::from_secs(400 * 86_400)) },
        Error::Timeout { limit: Duration::from_secs(30) },
        Error::AnswerTooLong { limit: 1_048_576 },
        Error::Redirect { status: 302 },
    ];
    let next = [NextStep::ResolveUpdate, NextStep::VerifyAgain, NextStep::AskBothKeys, NextStep::CheckFirst];
    let said: Vec<_> = errors.iter().map(ToString::to_string).chain(next.iter().map(ToString::to_string)).collect();
    let said = said.join("\n") + "\n";
    assert_eq!(said, include_str!("../testdata/errors.txt"));
}

#[test]
fn nothing_that_was_not_sent_calls_a_person() {
    let limit = Duration::from_secs(30);
    let behind = ClockOffset::Behind(Duration::from_secs(301));
    for (error, remedy) in [
        (SettingsError::BaseUrl.into(), Remedy::Mend),
        (Error::Store(StoreError::other("the disk is full")), Remedy::Mend),
        (Error::Store(StoreError::LeaseLost), Remedy::TryAgain),
        (Error::Store(StoreError::InUse), Remedy::TryAgain),
        (Error::SessionBusy { waited: limit }, Remedy::TryAgain),
        (Error::LeaseLost, Remedy::TryAgain),
        (Error::TimeOver { limit }, Remedy::TryAgain),
        (Error::ClockUnconfirmed(Box::new(Error::Timeout { limit })), Remedy::TryAgain),
        (Error::ClockUnconfirmed(Box::new(Error::NoServerTime)), Remedy::Mend),
        (Error::Clock { offset: behind }, Remedy::Mend),
    ] {
        assert!(error.nothing_changed(), "{error}");
        assert_eq!(error.remedy(), remedy, "{error}");
    }
    for error in [Error::Timeout { limit }, Error::Redirect { status: 302 }, AnswerError::Server { status: 502 }.into()]
    {
        assert!(!error.nothing_changed(), "{error}");
        assert_eq!(error.remedy(), Remedy::Alert, "{error}");
    }
}
