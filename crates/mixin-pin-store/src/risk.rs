//! Problems of a store that can still be used.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;

/// A problem of a store that can still be used. `Display` says what it is and what to do about it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Risk {
    /// Other users can read the database. It contains session ids and iterators, but no secret.
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Other users can write the database's folder.
    WritableFolder {
        /// The folder.
        path: PathBuf,
        /// Whether the sticky bit is set: then they can add files, but not move or replace the database.
        is_sticky: bool,
    },
    /// Redis may drop records, leases and the journal when memory runs short. Without its record a session goes by the clock.
    /// Without its lease a session can be leased twice. Without its journal, calls with an unknown outcome are not listed.
    Eviction {
        /// The server's `maxmemory-policy`.
        policy: String,
    },
    /// PostgreSQL does not wait for its disk (`fsync = off`). A power cut may lose the last writes, or damage the database.
    PostgresNotOnDisk,
    /// The connection to PostgreSQL on another machine is not encrypted.
    PostgresPlaintext,
    /// The connection to PostgreSQL on another machine is encrypted, but the server's certificate is not verified.
    PostgresUnverified,
    /// Redis does not tell which start and replication a server has, because the user may not send `INFO`. So sessions do not
    /// pause after a failover or a restart, and two callers may then have the same session.
    NoPause,
    /// Redis does not tell some settings, because the user may not send `CONFIG GET`.
    SettingsUnknown,
    /// Redis saves nothing to its disk. A restart forgets iterators and the journal. Leases are covered by the pause.
    NotSaved,
    /// Redis saves writes later than it confirms them. A crash may lose the last ones: entries of the journal, and leases,
    /// which are covered by the pause.
    SavedLate {
        /// The setting.
        setting: String,
    },
    /// Redis accepts writes without its replicas. If a primary is cut off from them, a failover loses its writes.
    WritesAlone,
    /// The server has more replicas than a lease waits for. One that lacks the lease may be promoted.
    MoreReplicas {
        /// How many it has.
        connected: u32,
        /// How many a lease waits for.
        awaited: u32,
    },
    /// A session's record is behind its own journal, as after a restore of a part of the store, or an eviction. Its next lease
    /// goes on above the journal.
    Behind {
        /// The session.
        session_id: Uuid,
        /// How far the last iterator is behind the journal's greatest.
        by: Duration,
    },
}

impl Risk {
    /// Whether it follows from a usual setting. Show it where the store is examined, not at each call.
    pub const fn is_minor(&self) -> bool {
        matches!(
            self,
            Self::WritableFolder { .. }
                | Self::SettingsUnknown
                | Self::NotSaved
                | Self::SavedLate { .. }
                | Self::WritesAlone
        )
    }
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadableByOthers { path, mode } => {
                write!(f, "{0} can be read by others (mode {mode:03o}); run: chmod 600 {0}", path.display())
            }
            Self::WritableFolder { path, is_sticky: false } => write!(
                f,
                "others can write {0}, so they can move or replace the database; run: chmod go-w {0}, or name a file in \
                 another folder",
                path.display()
            ),
            Self::WritableFolder { path, is_sticky: true } => write!(
                f,
                "others can create files in {}, next to the database or before it; name a file in a folder that only you can \
                 write",
                path.display()
            ),
            Self::Eviction { policy } => write!(
                f,
                "Redis may drop leases when memory runs short (maxmemory-policy {policy}); set it to noeviction"
            ),
            Self::PostgresNotOnDisk => f.write_str(
                "PostgreSQL does not wait for its disk (fsync = off), so a power cut may lose leases and calls, or damage the database; \
                 set fsync = on",
            ),
            Self::PostgresPlaintext => f.write_str(
                "the connection to PostgreSQL on another machine is not encrypted, so others may read or change records; add \
                 ?sslmode=verify-full&sslrootcert=FILE to the URL",
            ),
            Self::PostgresUnverified => f.write_str(
                "PostgreSQL's certificate is not verified, so another server may pose as it; add \
                 ?sslmode=verify-full&sslrootcert=FILE to the URL",
            ),
            Self::NoPause => f.write_str(
                "the user of Redis may not send INFO, so after a failover or a restart two callers may use the same session, and \
                 its maxmemory-policy is unknown; allow it the command INFO",
            ),
            Self::SettingsUnknown => f.write_str(
                "the user of Redis may not send CONFIG GET, so its settings appendfsync, save and min-replicas-to-write are unknown; \
                 check them on the server",
            ),
            Self::NotSaved => f.write_str(
                "Redis saves nothing to its disk (appendonly no, save \"\"), so a restart forgets which calls have an unknown outcome; \
                 set appendonly yes",
            ),
            Self::SavedLate { setting } => write!(
                f,
                "Redis saves late ({setting}), so a crash may forget the last calls with an unknown outcome; set appendonly yes and \
                 appendfsync always if that matters more than speed"
            ),
            Self::WritesAlone => f.write_str(
                "Redis accepts writes without its replicas (min-replicas-to-write 0), and a failover loses such writes; set \
                 min-replicas-to-write 1, or add replicas=1 to the URL",
            ),
            Self::MoreReplicas { connected, awaited } => write!(
                f,
                "Redis has {connected} replicas, but a lease waits for {awaited}, so one without the lease may be promoted; set \
                 replicas={connected} in the URL"
            ),
            Self::Behind { session_id, by } => write!(
                f,
                "the record of session {session_id} is {} its journal, as after a restore from a backup or an eviction; its next \
                 call goes on above the journal; if Mixin then refuses it with 20119, run: mixin-pin store raise {session_id} \
                 --to-server-time --keystore FILE",
                // Iterators are nanoseconds since 1970, or greater.
                if *by < Duration::from_secs(10 * 365 * 86_400) {
                    format!("{by:.1?} behind")
                } else {
                    "missing, or far behind".to_owned()
                }
            ),
        }
    }
}
