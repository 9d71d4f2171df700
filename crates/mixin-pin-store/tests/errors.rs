//! The text of each error, compared with `testdata/errors.txt`.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use mixin_pin_store::{Error, PostgresError, RedisError, SqliteError};

#[test]
fn error_messages_are_unchanged() {
    let path = || PathBuf::from("/data/iterators.db");
    let errors = [
        Error::LeaseLost,
        Error::NoDataFolder,
        Error::Url,
        Error::NotBuilt { feature: "postgres" },
        Error::Plaintext,
        Error::InUse,
        Error::Unsettled,
        Error::NoIteratorLeft,
        Error::NoRuntime,
        Error::IteratorAhead { ahead: Duration::from_secs(400 * 86_400 + 3_600) },
        Error::IteratorAhead { ahead: Duration::from_secs(86_400 + 7_200) },
        Error::IteratorAhead { ahead: Duration::from_secs(86_401) },
        Error::NoRoomAbove { greatest: 9_223_285_636_854_775_807 },
        Error::SqliteUri,
        Error::SqliteMemory,
        Error::Sqlite(SqliteError::File {
            path: path(),
            cause: io::Error::new(io::ErrorKind::NotADirectory, "not a directory"),
        }),
        Error::Sqlite(SqliteError::NewerSchema { path: path(), found: 9 }),
        Error::Sqlite(SqliteError::OtherDatabase { path: path() }),
        Error::Sqlite(SqliteError::Altered { path: path() }),
        Error::Sqlite(SqliteError::Exposed { path: path(), mode: 0o666 }),
        Error::Sqlite(SqliteError::OtherOwner { path: PathBuf::from("/data/iterators.db-wal") }),
        Error::Sqlite(SqliteError::Folder { path: path() }),
        Error::Sqlite(SqliteError::HardLinked { path: path() }),
        Error::Sqlite(SqliteError::Moving { path: path() }),
        Error::Sqlite(SqliteError::Forked { path: path() }),
        Error::Sqlite(SqliteError::Corrupt { path: path() }),
        Error::Sqlite(SqliteError::ReadOnly { path: path() }),
        Error::Sqlite(SqliteError::DiskFull { path: path() }),
        Error::Sqlite(SqliteError::Locked { path: path() }),
        Error::Redis(RedisError::Refused),
        Error::Redis(RedisError::Unreachable("connection reset".into())),
        Error::Redis(RedisError::TimedOut { limit: Duration::from_secs(4) }),
        Error::Redis(RedisError::PasswordMissing),
        Error::Redis(RedisError::PasswordWrong),
        Error::Redis(RedisError::Forbidden),
        Error::Redis(RedisError::Full),
        Error::Redis(RedisError::CannotSave),
        Error::Redis(RedisError::Replica),
        Error::Redis(RedisError::FewReplicas),
        Error::Redis(RedisError::Loading),
        Error::Redis(RedisError::Busy),
        Error::Redis(RedisError::ClusterDown),
        Error::Redis(RedisError::OtherNode),
        Error::Redis(RedisError::NoDatabase),
        Error::Redis(RedisError::Content),
        Error::Postgres(PostgresError::Url),
        Error::Postgres(PostgresError::UnknownOption { name: "sslmod".into() }),
        Error::Postgres(PostgresError::OptionValue { name: "sslmode" }),
        Error::Postgres(PostgresError::Exposed { path: PathBuf::from("/home/bot/.pgpass"), mode: 0o644 }),
        Error::Postgres(PostgresError::Certificate {
            path: PathBuf::from("/home/bot/.postgresql/root.crt"),
            cause: "it contains no certificate".into(),
        }),
        Error::Postgres(PostgresError::Refused),
        Error::Postgres(PostgresError::Unreachable("connection reset".into())),
        Error::Postgres(PostgresError::TimedOut { limit: Duration::from_secs(4) }),
        Error::Postgres(PostgresError::NoConnectionFree { limit: Duration::from_secs(4) }),
        Error::Postgres(PostgresError::NoTls),
        Error::Postgres(PostgresError::Tls("invalid peer certificate: UnknownIssuer".into())),
        Error::Postgres(PostgresError::PasswordMissing),
        Error::Postgres(PostgresError::PasswordWrong),
        Error::Postgres(PostgresError::NotAdmitted),
        Error::Postgres(PostgresError::Authentication),
        Error::Postgres(PostgresError::NoDatabase),
        Error::Postgres(PostgresError::Forbidden),
        Error::Postgres(PostgresError::NoSchema),
        Error::Postgres(PostgresError::NewerSchema { found: 9 }),
        Error::Postgres(PostgresError::OtherSchema),
        Error::Postgres(PostgresError::TooManyConnections),
        Error::Postgres(PostgresError::DiskFull),
        Error::Postgres(PostgresError::ReadOnly),
        Error::Postgres(PostgresError::Unavailable),
        Error::Postgres(PostgresError::Locked),
        Error::Postgres(PostgresError::Cancelled),
        Error::Postgres(PostgresError::Pooler),
    ];
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(said.join("\n") + "\n", include_str!("../testdata/errors.txt"));
}
