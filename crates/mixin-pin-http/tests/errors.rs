//! The text of each error is pinned in `testdata/errors.txt`. Texts of the network are not.

use std::time::Duration;

use mixin_pin_http::store::Error as StoreError;
use mixin_pin_http::{ClockOffset, Error, NextStep, SettingsError};

#[test]
fn every_error_says_what_it_said() {
    let errors = [
        SettingsError::BaseUrl.into(),
        SettingsError::PlainHttp.into(),
        SettingsError::Proxy { origin: "HTTPS_PROXY" }.into(),
        SettingsError::Header.into(),
        Error::Store(StoreError::other("the disk is full")),
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
    let next = [NextStep::ResolveUpdate, NextStep::VerifyAgain, NextStep::CheckFirst];
    let said: Vec<_> = errors.iter().map(ToString::to_string).chain(next.iter().map(ToString::to_string)).collect();
    let said = said.join("\n") + "\n";
    assert_eq!(said, include_str!("../testdata/errors.txt"));
}
