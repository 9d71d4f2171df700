//! Errors of the PostgreSQL store.

use std::error::Error as StdError;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::BoxError;

/// What is wrong with a PostgreSQL server, its database or the connection to it.
///
/// No variant contains the text of a message of the server: such texts may repeat names and values.
#[non_exhaustive]
#[derive(Debug)]
pub enum PostgresError {
    /// The URL cannot be read.
    Url,
    /// The URL has an option that the store does not know.
    UnknownOption {
        /// The option, or `?` if it does not look like the name of an option.
        name: String,
    },
    /// An option of the URL, or its environment variable, has a value that the store cannot use.
    OptionValue {
        /// The option.
        name: &'static str,
    },
    /// Other users can read the pass file or the key of the client certificate.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file with certificates or a key cannot be used.
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: BoxError,
    },
    /// Nothing listens at the address.
    Refused,
    /// The server cannot be reached, or the connection broke.
    Unreachable(BoxError),
    /// The server ended the connection without a reason, or its answer is not PostgreSQL's.
    NoAnswer,
    /// No answer came in time.
    TimedOut {
        /// The time that was allowed.
        limit: Duration,
    },
    /// The store's connections were all in use.
    NoConnectionFree {
        /// The time that was allowed.
        limit: Duration,
    },
    /// The server has no TLS, but `sslmode` demands it.
    NoTls,
    /// There is no TLS connection, for example because the certificate is not trusted.
    Tls(BoxError),
    /// The server wants a password. Neither the URL, `PGPASSWORD` nor the pass file has one.
    PasswordMissing,
    /// The server refuses the password (28P01).
    PasswordWrong,
    /// The server does not admit this user, from this machine, to this database, or not without TLS (28000).
    NotAdmitted,
    /// The server wants another kind of authentication, or did not prove that it knows the password.
    Authentication,
    /// The server has no such database (3D000).
    NoDatabase,
    /// The user may not read or write the tables (42501).
    Forbidden,
    /// The database has no schema `mixin_pin`.
    NoSchema,
    /// A newer version of this software has created the schema.
    NewerSchema {
        /// Its version.
        found: i32,
    },
    /// The schema `mixin_pin` lacks tables or columns, or has values that this software does not write.
    OtherSchema,
    /// The server admits no further connection (53300).
    TooManyConnections,
    /// The server's disk is full (53100).
    DiskFull,
    /// The server is a standby, or its transactions are read-only (25006).
    ReadOnly,
    /// The server is starting, recovering or shutting down (57P01, 57P02, 57P03).
    Unavailable,
    /// Another transaction holds a row of the store for too long (55P03).
    Locked,
    /// The server cancelled the statement (57014).
    Cancelled,
    /// A pooler ended the connection (08P01), or its server cannot be reached.
    Pooler,
    /// Another failure of the server.
    Other(BoxError),
}

impl PostgresError {
    /// Whether the same call may succeed later, although nobody changes anything.
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Refused
                | Self::Unreachable(_)
                | Self::NoAnswer
                | Self::TimedOut { .. }
                | Self::NoConnectionFree { .. }
                | Self::TooManyConnections
                | Self::ReadOnly
                | Self::Unavailable
                | Self::Locked
                | Self::Cancelled
                | Self::Pooler
        )
    }
}

impl fmt::Display for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str(
                "the URL of PostgreSQL cannot be read; write postgres://USER@HOST:PORT/DATABASE?OPTION=VALUE, and special characters \
                 of user, password and values as %XX",
            ),
            Self::UnknownOption { name } => write!(
                f,
                "the URL of PostgreSQL has an unknown option ({name}); remove it, or correct its name"
            ),
            Self::OptionValue { name } => {
                write!(f, "PostgreSQL's option {name} has a value that cannot be used here; correct it")
            }
            Self::Exposed { path, mode } => {
                write!(f, "others can read {0} (mode {mode:03o}); run: chmod 600 {0}", path.display())
            }
            Self::Certificate { path, cause } => write!(
                f,
                "{} cannot be used for TLS: {cause}; name another file by sslrootcert, sslcert or sslkey",
                path.display()
            ),
            Self::Refused => f.write_str(
                "nothing listens at the address of PostgreSQL (connection refused); start PostgreSQL, or correct host and port",
            ),
            Self::Unreachable(cause) => {
                write!(f, "PostgreSQL cannot be reached: {cause}; check host and port, and the network")
            }
            Self::NoAnswer => f.write_str(
                "the server ended the connection, or answered something else than PostgreSQL does; check that it is PostgreSQL, then try again",
            ),
            Self::TimedOut { limit } => write!(
                f,
                "PostgreSQL did not answer within {limit:.1?}; check whether it or its pooler hangs, and whether a firewall drops packets"
            ),
            Self::NoConnectionFree { limit } => write!(
                f,
                "all connections of this store to PostgreSQL were in use for {limit:.1?}; make fewer calls at once, or wait \
                 longer"
            ),
            Self::NoTls => f.write_str(
                "PostgreSQL has no TLS, and sslmode demands it; turn TLS on there (ssl = on), or if the network is safe, lower sslmode",
            ),
            Self::Tls(cause) => write!(
                f,
                "there is no TLS connection to PostgreSQL: {cause}; check the server's certificate, sslrootcert and the host's name"
            ),
            Self::PasswordMissing => f.write_str(
                "PostgreSQL wants a password; put it into the pass file (~/.pgpass) or into PGPASSWORD",
            ),
            Self::PasswordWrong => {
                f.write_str("PostgreSQL refuses the password of this user (28P01); correct it in the URL, in PGPASSWORD or in the pass file")
            }
            Self::NotAdmitted => f.write_str(
                "PostgreSQL does not admit this user from here (28000); check the user's name, pg_hba.conf, and whether it demands TLS",
            ),
            Self::Authentication => f.write_str(
                "PostgreSQL and this program do not agree on how to authenticate; name scram-sha-256 in pg_hba.conf, and check that this \
                 is the right server",
            ),
            Self::NoDatabase => {
                f.write_str("PostgreSQL has no database of that name (3D000); correct the end of the URL, or create it: createdb NAME")
            }
            Self::Forbidden => f.write_str(
                "the user of PostgreSQL lacks a permission (42501); run as the owner: GRANT USAGE ON SCHEMA mixin_pin TO …; GRANT SELECT, \
                 INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mixin_pin TO …; to create the schema: GRANT CREATE ON DATABASE … TO …",
            ),
            Self::NoSchema => f.write_str(
                "the PostgreSQL database has no schema mixin_pin yet; create it: mixin-pin store create --store postgres://…",
            ),
            Self::NewerSchema { found } => write!(
                f,
                "the schema mixin_pin in PostgreSQL was created by a newer version of this software (version {found}); update this one"
            ),
            Self::OtherSchema => f.write_str(
                "the schema mixin_pin in PostgreSQL has other tables, columns or values than this software writes; name another database, \
                 or rename that schema and create it again: a correct clock keeps the iterators rising, but calls that were pending are \
                 not listed then",
            ),
            Self::TooManyConnections => f.write_str(
                "PostgreSQL admits no further connection (53300); close some, raise max_connections, or put a pooler before it",
            ),
            Self::DiskFull => f.write_str("the disk of PostgreSQL is full (53100); make room"),
            Self::ReadOnly => f.write_str(
                "this PostgreSQL server is a standby or read-only (25006); name the primary, or all servers of the cluster: \
                 postgres://USER@HOST,HOST/DATABASE",
            ),
            Self::Unavailable => {
                f.write_str("PostgreSQL is starting, recovering or shutting down (57P01 to 57P03); try again when it is up")
            }
            Self::Locked => f.write_str(
                "another transaction locked a row of the store in PostgreSQL for too long; find it in pg_locks, or wait longer",
            ),
            Self::Cancelled => f.write_str(
                "PostgreSQL cancelled a statement (57014); check statement_timeout of the user and of the database, and try again",
            ),
            Self::Pooler => f.write_str(
                "the pooler before PostgreSQL ended the connection (08P01); its log says why: check its user, its database, and whether \
                 it reaches PostgreSQL",
            ),
            Self::Other(cause) => write!(f, "PostgreSQL: {cause}"),
        }
    }
}

impl StdError for PostgresError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Certificate { cause, .. } | Self::Unreachable(cause) | Self::Tls(cause) | Self::Other(cause) => {
                Some(&**cause)
            }
            _ => None,
        }
    }
}
