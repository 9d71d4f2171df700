//! The statements. Each is one round trip, without a name and without state of the session, so that a pooler may send each to
//! another connection.
//!
//! `setting` sets what holds for its own transaction alone: the time to wait for a lock, and whether the commit waits for the
//! disk. It must be read by the statement, or the server does not run it.

/// The identity of the server and of the table: system identifier, timeline, database, table. It changes when a standby is
/// promoted, after a recovery to an earlier time, and if a dump that creates the table is restored. Without `fsync` a restart
/// may lose writes, so it changes then, too. NULL on a standby.
///
/// It stays the same if the server's files are put back from a copy, also elsewhere, or if rows alone are restored.
macro_rules! server {
    () => {
        "CASE WHEN pg_is_in_recovery() THEN NULL ELSE (SELECT system_identifier FROM pg_control_system())::text
             || '/' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)
             || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())::text
             || '/' || 'mixin_pin.sessions'::regclass::oid::text
             || CASE current_setting('fsync') WHEN 'off' THEN '/' || (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text
                ELSE '' END
         END"
    };
}

/// The start of a statement that must be on the disk before its answer. `$1` is the limit for locks in milliseconds.
macro_rules! durable {
    () => {
        "WITH setting AS MATERIALIZED (SELECT set_config('lock_timeout', $1, true) || CASE
             WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', true) ELSE ''
             END AS text)"
    };
}

/// The tables. `PostgresStore::SCHEMA` shows them.
pub(super) const SCHEMA: &str = concat!(
    "CREATE SCHEMA mixin_pin;
COMMENT ON SCHEMA mixin_pin IS 'Leases and iterators of Mixin sessions, and calls whose outcome is unknown';

CREATE TABLE mixin_pin.schema_version (
    version integer PRIMARY KEY
);
INSERT INTO mixin_pin.schema_version VALUES (1);

-- Iterators are nanoseconds since 1970.
CREATE TABLE mixin_pin.sessions (
    session_id uuid PRIMARY KEY,
    -- The last one that was reserved. NULL: the session is not known yet.
    last_iterator bigint CHECK (last_iterator >= 0),
    -- The one to which the owner raised the session.
    raised_to bigint CHECK (raised_to >= 0),
    -- Changes with each lease and each release.
    fence uuid NOT NULL,
    -- NULL: not leased.
    lease_ends timestamptz,
    -- Of the last lease.
    lease_duration interval,
    -- Of all leases: a server that lost its last writes may have lost such a one.
    longest_lease interval
);

-- Calls that are under way, or whose outcome is unknown.
CREATE TABLE mixin_pin.calls (
    session_id uuid NOT NULL,
    request_id uuid NOT NULL,
    -- Of the lease that made the call.
    fence uuid NOT NULL,
    kind text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    first_iterator bigint NOT NULL,
    last_iterator bigint NOT NULL,
    -- In nanoseconds since 1970.
    sent_at bigint NOT NULL,
    -- In seconds since 1970.
    expires_at bigint NOT NULL,
    PRIMARY KEY (session_id, request_id)
);

-- Servers that the store has used, with each promotion of one and each restored dump. After a row is added, no session is
-- leased for as long as a lost lease may last.
CREATE TABLE mixin_pin.servers (
    server text PRIMARY KEY,
    first_seen timestamptz NOT NULL
);
INSERT INTO mixin_pin.servers VALUES (",
    server!(),
    ", '-infinity');
"
);

/// The tables and their columns that the database has.
pub(super) const COLUMNS: &str = "SELECT coalesce(c.relname::text, ''), coalesce(a.attname::text, ''),
        coalesce(a.atttypid::regtype::text, '')
    FROM pg_catalog.pg_namespace AS n
    LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = 'mixin_pin'";

pub(super) const VERSION: &str = "SELECT max(version) FROM mixin_pin.schema_version";

/// `$1` session, `$2` duration of the lease that is asked for, in microseconds. Exactly one row.
///
/// A server that was first seen in the future was so by a clock that has gone back. It is seen anew. A pause lasts for a day at
/// most: calls take far less.
pub(super) const READ: &str = concat!(
    "SELECT server.name, coalesce(known.first_seen <= clock_timestamp(), false),
        coalesce(clock_timestamp() < known.first_seen
            + least(greatest($2 * interval '1 microsecond', s.longest_lease), interval '1 day'), false),
        s.fence, s.last_iterator, s.raised_to,
        (extract(epoch FROM s.lease_ends - clock_timestamp()) * 1000000)::bigint,
        (extract(epoch FROM s.lease_duration) * 1000000)::bigint,
        (SELECT max(c.last_iterator) FROM mixin_pin.calls AS c WHERE c.session_id = $1)
    FROM (SELECT ",
    server!(),
    " AS name) AS server
    LEFT JOIN mixin_pin.servers AS known ON known.server = server.name
    LEFT JOIN mixin_pin.sessions AS s ON s.session_id = $1"
);

/// `$2` server. If it was seen by a clock that has gone back, the pause counts from now.
pub(super) const SEE_SERVER: &str = concat!(
    durable!(),
    " INSERT INTO mixin_pin.servers (server, first_seen) SELECT $2, clock_timestamp() FROM setting
    WHERE setting.text IS NOT NULL
    ON CONFLICT (server) DO UPDATE SET first_seen = clock_timestamp() WHERE servers.first_seen > clock_timestamp()"
);

/// `$2` session, `$3` fence.
pub(super) const ADD_SESSION: &str = concat!(
    durable!(),
    " INSERT INTO mixin_pin.sessions (session_id, fence) SELECT $2, $3 FROM setting
    WHERE setting.text IS NOT NULL ON CONFLICT DO NOTHING"
);

/// Leases the session if its fence and its last iterator are still those that were read. Each lease and each release changes
/// the fence, so the session is then as it was read.
///
/// `$2` session, `$3` that fence, `$4` server, `$5` new fence, `$6` last iterator, `$7` duration in microseconds, `$8` the
/// second before which a verification must have expired to be dropped. Of the call, or NULL: `$9` request, `$10` kind, `$11`
/// method, `$12` path, `$13` first iterator, `$14` time, `$15` when its token expires. `$16` the last iterator that was read,
/// or NULL: `RESERVE` changes it and not the fence.
///
/// A row that another transaction locks is left out, so this waits for nobody.
pub(super) const LEASE: &str = concat!(
    durable!(),
    ", session AS (
        SELECT s.session_id FROM mixin_pin.sessions AS s, setting
        WHERE s.session_id = $2 AND s.fence = $3 AND s.last_iterator IS NOT DISTINCT FROM $16 AND $4 = (SELECT ",
    server!(),
    ") AND setting.text IS NOT NULL
        FOR UPDATE OF s SKIP LOCKED
    ), leased AS (
        UPDATE mixin_pin.sessions AS s SET fence = $5, last_iterator = $6,
            lease_ends = clock_timestamp() + $7 * interval '1 microsecond', lease_duration = $7 * interval '1 microsecond',
            longest_lease = greatest(s.longest_lease, $7 * interval '1 microsecond')
        FROM session WHERE s.session_id = session.session_id RETURNING s.session_id
    ), dropped AS (
        DELETE FROM mixin_pin.calls AS c USING leased
        WHERE c.session_id = leased.session_id AND c.kind = 'verify' AND c.expires_at < $8
            AND c.request_id IS DISTINCT FROM $9
    ), entered AS (
        INSERT INTO mixin_pin.calls AS c (session_id, request_id, fence, kind, method, path, first_iterator, last_iterator,
            sent_at, expires_at)
        SELECT leased.session_id, $9, $5, $10, $11, $12, $13, $6, $14, $15 FROM leased WHERE $9 IS NOT NULL
        ON CONFLICT (session_id, request_id) DO UPDATE SET fence = excluded.fence, kind = excluded.kind,
            method = excluded.method, path = excluded.path, first_iterator = excluded.first_iterator,
            last_iterator = excluded.last_iterator, sent_at = excluded.sent_at, expires_at = excluded.expires_at
    ) SELECT true FROM leased"
);

/// Ends the lease with a fence, and removes the entry that it has for a request. A statement `LEASE` with this fence that
/// arrives later finds another one. It is on the disk, too: otherwise the session could be leased again after a crash.
///
/// `$2` session, `$3` fence that the lease found, `$4` its own fence, `$5` new fence, `$6` request or NULL.
pub(super) const RELEASE: &str = concat!(
    durable!(),
    ", released AS (
        UPDATE mixin_pin.sessions AS s SET fence = $5, lease_ends = CASE s.fence WHEN $4 THEN NULL ELSE s.lease_ends END
        FROM setting WHERE s.session_id = $2 AND s.fence IN ($3, $4) AND setting.text IS NOT NULL
    ), removed AS (
        DELETE FROM mixin_pin.calls AS c USING setting
        WHERE c.session_id = $2 AND c.request_id = $6 AND c.fence = $4 AND setting.text IS NOT NULL
    ) SELECT true"
);

/// `$1` session, `$2` fence.
pub(super) const HAS_FENCE: &str = "SELECT true FROM mixin_pin.sessions AS s
    WHERE s.session_id = $1 AND s.fence = $2 AND s.lease_ends > clock_timestamp()";

/// `$2` session, `$3` fence, `$4` iterator. May run twice, or late: it lowers nothing.
pub(super) const RESERVE: &str = concat!(
    durable!(),
    " UPDATE mixin_pin.sessions AS s SET last_iterator = greatest(s.last_iterator, $4) FROM setting
    WHERE s.session_id = $2 AND s.fence = $3 AND s.lease_ends > clock_timestamp() AND setting.text IS NOT NULL
    RETURNING true"
);

/// `$2` session, `$3` fence, `$4` last iterator, `$5` the one to which it is raised, `$6` new fence. Returns the last iterator.
pub(super) const RAISE: &str = concat!(
    durable!(),
    " UPDATE mixin_pin.sessions AS s SET last_iterator = greatest(s.last_iterator, $4), raised_to = $5, fence = $6,
        lease_ends = NULL
    FROM setting WHERE s.session_id = $2 AND s.fence = $3 AND setting.text IS NOT NULL
    RETURNING s.last_iterator"
);

/// `$2` session, `$3` fence.
pub(super) const FORGET: &str = concat!(
    durable!(),
    " DELETE FROM mixin_pin.sessions AS s USING setting
    WHERE s.session_id = $2 AND s.fence = $3 AND setting.text IS NOT NULL
        AND NOT EXISTS (SELECT FROM mixin_pin.calls AS c WHERE c.session_id = $2)
    RETURNING s.last_iterator IS NOT NULL"
);

/// `$2` session, `$3` request. Returns whether the call is under way, and whether its entry was removed.
pub(super) const SETTLE: &str = concat!(
    durable!(),
    ", entry AS (
        SELECT c.fence, coalesce(s.fence = c.fence AND s.lease_ends > clock_timestamp()
            AND s.lease_ends <= clock_timestamp() + 2 * s.lease_duration, false) AS is_under_way
        FROM mixin_pin.calls AS c LEFT JOIN mixin_pin.sessions AS s ON s.session_id = c.session_id
        WHERE c.session_id = $2 AND c.request_id = $3
    ), removed AS (
        DELETE FROM mixin_pin.calls AS c USING entry, setting
        WHERE c.session_id = $2 AND c.request_id = $3 AND c.fence = entry.fence AND NOT entry.is_under_way
            AND setting.text IS NOT NULL
        RETURNING true
    ) SELECT EXISTS (SELECT FROM entry WHERE is_under_way), EXISTS (SELECT FROM removed)"
);

/// `$1` session, or NULL for all.
pub(super) const PENDING: &str =
    "SELECT c.session_id, c.request_id, c.kind, c.method, c.path, c.first_iterator, c.last_iterator,
        c.sent_at, c.expires_at,
        CASE WHEN s.fence = c.fence THEN (extract(epoch FROM s.lease_ends - clock_timestamp()) * 1000000)::bigint END,
        (extract(epoch FROM s.lease_duration) * 1000000)::bigint
    FROM mixin_pin.calls AS c LEFT JOIN mixin_pin.sessions AS s ON s.session_id = c.session_id
    WHERE $1 IS NULL OR c.session_id = $1
    ORDER BY c.session_id, c.first_iterator";

pub(super) const SESSIONS: &str = "SELECT s.session_id, s.last_iterator, s.raised_to,
        (extract(epoch FROM s.lease_ends - clock_timestamp()) * 1000000)::bigint,
        (extract(epoch FROM s.lease_duration) * 1000000)::bigint
    FROM mixin_pin.sessions AS s WHERE s.last_iterator IS NOT NULL";

/// Sessions whose record is behind their journal, and by how much.
pub(super) const BEHIND: &str = "SELECT c.session_id, max(c.last_iterator) - coalesce(max(s.last_iterator), 0)
    FROM mixin_pin.calls AS c LEFT JOIN mixin_pin.sessions AS s ON s.session_id = c.session_id
    GROUP BY c.session_id HAVING max(c.last_iterator) > coalesce(max(s.last_iterator), 0)
    ORDER BY c.session_id";

pub(super) const FSYNC: &str = "SELECT current_setting('fsync') = 'off'";
