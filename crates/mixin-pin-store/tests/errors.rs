//! What each error says, kept word by word: whoever changes a message sees it here, beside all others.

use std::io;
use std::path::PathBuf;

use mixin_pin_store::Error;

#[test]
fn every_error_says_what_it_said() {
    let path = || PathBuf::from("/data/iterators.db");
    let errors = [
        Error::HoldLost,
        Error::NoDataFolder,
        Error::Url,
        Error::Held,
        Error::File { path: path(), cause: io::Error::new(io::ErrorKind::NotADirectory, "not a directory") },
        Error::NewerSchema { path: path(), found: 9 },
        Error::OtherDatabase { path: path() },
        Error::Corrupt { path: path() },
        Error::ReadOnly { path: path() },
        Error::DiskFull { path: path() },
        Error::Locked { path: path() },
        #[cfg(feature = "redis")]
        Error::RedisFull,
        #[cfg(feature = "redis")]
        Error::RedisContent,
    ];
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    // Those of Redis come last.
    let kept = include_str!("../testdata/errors.txt").lines().take(said.len()).collect::<Vec<_>>();
    assert_eq!(said, kept);
}
