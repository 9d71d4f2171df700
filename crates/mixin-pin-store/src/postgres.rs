//! Iterators in PostgreSQL, for bots that already keep their data there.
//!
//! A session has one row. An attempt to lease reads the row. Then one statement changes it, if its fence is still the one that
//! was read. The fence is a random number that each lease and each release replaces. The same statement records the call that
//! the lease is for. The server's clock ends leases.
//!
//! A server that was promoted, recovered or restored may have lost its last writes, and with them a lease that its holder still
//! believes in. So the table `servers` keeps an identity of each server, which changes then. After a new identity is entered,
//! no session is leased for as long as a lost lease may last.

#[cfg(feature = "async")]
mod asynchronous;
mod attempt;
mod connections;
mod failure;
mod lease;
mod pass_file;
mod patience;
mod schema;
mod settings;
mod statements;
mod tls;

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use mixin_pin_core::{Error as CoreError, UnixTime, uuid::Uuid};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSqlOwned, Type};

use crate::backoff::Backoff;
use crate::engine::{Clock, system_clock};
use crate::{
    CallKind, Error, LeaseReply, LeaseTerms, ManagedStore, NonceStore, PendingCall, Place, PostgresError, Risk,
    SessionRecord, iterators,
};

use attempt::{Found, leased_for, new_fence};
use connections::{Engine, Parameter, Pool};
use failure::{Failure, is_conflict};
use lease::PostgresLease;
use patience::{Patience, UNLIMITED};
use settings::Settings;
use statements::{BEHIND, FORGET, FSYNC, PENDING, RAISE, SCHEMA, SESSIONS, SETTLE};

/// Iterators in a PostgreSQL database. Needs PostgreSQL 12 or later; the tests use 15.
///
/// The tables are in the schema `mixin_pin`. [`PostgresStore::create`] makes them. Opening makes nothing. A user that only
/// uses the store needs USAGE on the schema, and SELECT, INSERT, UPDATE and DELETE on its tables.
///
/// The URL is `postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE`, with several `HOST:PORT` separated by commas for a
/// cluster: the first that accepts writes is used. Where the URL says nothing, libpq's environment counts. Options are libpq's:
/// `sslmode`, `sslrootcert` (also `system`), `sslcert`, `sslkey`, `host`, `hostaddr`, `port`, `user`, `dbname`, `passfile`,
/// `connect_timeout` and those for dead connections. The password is the URL's, that of `PGPASSWORD`, or that of the pass file.
/// Revocation lists (`~/.postgresql/root.crl`) are not read.
///
/// The store works behind a pooler in transaction mode. It has at most eight connections. Clones are cheap and share them.
/// Iterators end at `i64::MAX`, in the year 2262. A lease and its iterators are on the server's disk before they are returned,
/// also with `synchronous_commit = off`.
///
/// # Failovers
/// A standby may lack the last writes when it is promoted. Iterators still rise, because they are never below the clock, but
/// the journal may lack the last calls. After a promotion, a recovery to an earlier time or the restoration of a dump that
/// creates the tables, a session cannot be leased for as long as its longest lease so far or the wanted one, whichever is
/// longer, but no more than a day. This counts from the first lease that is asked for. Callers wait for it as for any lease. A
/// server that starts from a snapshot of its disk or from another copy of its files looks like the one that was copied, and
/// rows that are restored into existing tables look like its own, so no session waits then.
///
/// # Requests without an answer
/// If a request to lease has no answer, the server may run it later. So the store takes it back, and it then changes nothing.
/// If the server cannot be reached for that, the lease lasts until it ends by itself, and the journal lists a call that was
/// never sent.
///
/// ```no_run
/// use mixin_pin_store::{ManagedStore, PostgresStore};
///
/// let url = "postgres://bot@db.example/bots?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem";
/// PostgresStore::create(url)?; // once
/// let store = PostgresStore::open(url)?;
/// for risk in store.risks()? {
///     eprintln!("warning: {risk}");
/// }
/// # Ok::<(), mixin_pin_store::Error>(())
/// ```
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    clock: Clock,
    /// For each request.
    limit: Duration,
}

impl PostgresStore {
    /// The SQL that [`PostgresStore::create`] runs, for an administrator who runs it instead: `psql --single-transaction`.
    pub const SCHEMA: &'static str = SCHEMA;

    /// Opens a store on a PostgreSQL server.
    ///
    /// # Errors
    /// [`Error::Postgres`] if the URL cannot be read, the server cannot be used, or the database has no tables of this version.
    pub fn open(url: &str) -> Result<Self, Error> {
        Self::open_within(url, UNLIMITED)
    }

    /// Opens a store as [`PostgresStore::open`] does. Opening, and each later request, waits for the server no longer than
    /// `limit`, or a second if that is longer. By default each step may take five seconds: a free connection, connecting, and
    /// each answer.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub fn open_within(url: &str, limit: Duration) -> Result<Self, Error> {
        let inner = Arc::new(Inner::new(url, limit)?);
        let store = inner.clone();
        inner.run(async move |pool| store.check(&pool).await)?;
        Ok(Self(inner))
    }

    /// Makes the tables in one transaction, unless they are there. Returns whether it made them. Needs the right to create a
    /// schema in the database.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub fn create(url: &str) -> Result<bool, Error> {
        let inner = Inner::new(url, UNLIMITED)?;
        let limit = inner.limit;
        inner.run(async move |pool| schema::create(&pool, Patience::new(limit)).await)
    }

    /// The same store with another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        let Inner { engine, limit, .. } = &*self.0;
        Self(Arc::new(Inner { engine: engine.clone(), clock: Arc::new(move || Ok(clock())), limit: *limit }))
    }
}

impl ManagedStore for PostgresStore {
    fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        let inner = self.0.clone();
        let rows = self.0.run(async move |pool| inner.query(&pool, Patience::new(inner.limit), SESSIONS, &[]).await)?;
        rows.iter().map(record).collect()
    }

    fn session(&self, session_id: Uuid) -> Result<Option<SessionRecord>, Error> {
        let inner = self.0.clone();
        let rows = self.0.run(async move |pool| {
            let patience = Patience::new(inner.limit);
            inner
                .query(&pool, patience, &format!("{SESSIONS} AND s.session_id = $1"), &[(&session_id, Type::UUID)])
                .await
        })?;
        rows.first().map(record).transpose()
    }

    fn all_pending(&self) -> Result<Vec<PendingCall>, Error> {
        let inner = self.0.clone();
        self.0.run(async move |pool| inner.pending(&pool, None).await)
    }

    fn forget(&self, session_id: Uuid) -> Result<bool, Error> {
        let inner = self.0.clone();
        self.0.run(async move |pool| inner.forget(&pool, session_id).await)
    }

    fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error> {
        iterators::check_room(to, i64::MAX.unsigned_abs())?;
        let inner = self.0.clone();
        self.0.run(async move |pool| inner.raise(&pool, session_id, to).await)
    }

    fn place(&self) -> Place<'_> {
        Place::Postgres
    }

    fn risks(&self) -> Result<Vec<Risk>, Error> {
        let inner = self.0.clone();
        self.0.run(async move |pool| inner.risks(&pool).await)
    }
}

impl NonceStore for PostgresStore {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, Error> {
        let (call, terms, inner) = (terms.call().cloned(), terms.without_call(), self.0.clone());
        let leased = self.0.run(async move |pool| inner.lease(pool, session_id, terms, call, || true).await)?;
        Ok(match leased {
            LeaseReply::Granted(held) => LeaseReply::Granted(Box::new(PostgresLease(held))),
            LeaseReply::Busy => LeaseReply::Busy,
            LeaseReply::ClockUnconfirmed { ahead } => LeaseReply::ClockUnconfirmed { ahead },
        })
    }

    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, Error> {
        let inner = self.0.clone();
        self.0.run(async move |pool| inner.pending(&pool, Some(session_id)).await)
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, Error> {
        let inner = self.0.clone();
        self.0.run(async move |pool| inner.settle(&pool, session_id, request_id).await)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings contain a password.
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl Inner {
    fn new(url: &str, limit: Duration) -> Result<Self, Error> {
        let settings = Arc::new(Settings::from_url(url)?);
        Ok(Self { engine: Arc::new(Engine::new(settings)), clock: system_clock(), limit })
    }

    /// Runs `work` on the store's thread, and waits for it.
    fn run<T, F>(&self, work: impl FnOnce(Arc<Pool>) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (handle, pool) = self.engine.get()?;
        let (reply, result) = mpsc::sync_channel(1);
        let work = work(pool);
        drop(handle.spawn(async move {
            // The caller waits.
            let _ = reply.send(work.await);
        }));
        result.recv().map_err(|_| stopped())?
    }

    async fn check(&self, pool: &Arc<Pool>) -> Result<(), Error> {
        schema::check(pool, Patience::new(self.limit)).await
    }

    /// Runs a statement that may run twice, until no other transaction comes first: where transactions are serializable, this
    /// may happen to one that only reads. If the tables are not as they should be, finds out what is wrong with them.
    async fn query(
        &self,
        pool: &Arc<Pool>,
        patience: Patience,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        let mut conflicts = Backoff::new(patience.of_step());
        loop {
            match pool.query(patience, statement, parameters).await {
                Ok(rows) => return Ok(rows),
                Err(failure) if is_conflict(&failure.error) => after_a_conflict(&mut conflicts).await?,
                Err(Failure { error: PostgresError::OtherSchema, .. }) => {
                    schema::check(pool, patience).await?;
                    return Err(PostgresError::OtherSchema.into());
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    /// The calls of one session, or of all, at one moment.
    async fn pending(&self, pool: &Arc<Pool>, session_id: Option<Uuid>) -> Result<Vec<PendingCall>, Error> {
        let parameters: [Parameter<'_>; 1] = [(&session_id, Type::UUID)];
        let rows = self.query(pool, Patience::new(self.limit), PENDING, &parameters).await?;
        rows.iter().map(call).collect()
    }

    async fn settle(&self, pool: &Arc<Pool>, session_id: Uuid, request_id: Uuid) -> Result<bool, Error> {
        let patience = Patience::new(self.limit);
        let parameters: [Parameter<'_>; 3] =
            [(&lock_limit(patience), Type::TEXT), (&session_id, Type::UUID), (&request_id, Type::UUID)];
        let rows = self.query(pool, patience, SETTLE, &parameters).await?;
        let row = rows.first().ok_or(PostgresError::OtherSchema)?;
        if column(row, 0)? { Err(Error::InUse) } else { column(row, 1) }
    }

    async fn forget(&self, pool: &Arc<Pool>, session_id: Uuid) -> Result<bool, Error> {
        let patience = Patience::new(self.limit);
        let mut conflicts = Backoff::new(patience.of_step());
        loop {
            let Found { row, journal, .. } = self.find(pool, session_id, Duration::ZERO, patience).await?;
            if row.as_ref().is_some_and(|row| row.leased_for().is_some()) {
                return Err(Error::InUse);
            }
            if journal.is_some() {
                return Err(Error::Unsettled);
            }
            let Some(row) = row else { return Ok(false) };
            let parameters: [Parameter<'_>; 3] =
                [(&lock_limit(patience), Type::TEXT), (&session_id, Type::UUID), (&row.fence, Type::UUID)];
            let rows = self.query(pool, patience, FORGET, &parameters).await?;
            if let Some(row) = rows.first() {
                return column(row, 0);
            }
            after_a_conflict(&mut conflicts).await?;
        }
    }

    async fn raise(&self, pool: &Arc<Pool>, session_id: Uuid, to: u64) -> Result<u64, Error> {
        let (patience, now) = (Patience::new(self.limit), (self.clock)()?);
        let has_no_effect = iterators::is_far_behind(to, now)?;
        let mut conflicts = Backoff::new(patience.of_step());
        loop {
            let found = self.find(pool, session_id, Duration::ZERO, patience).await?;
            if found.row.as_ref().is_some_and(|row| row.leased_for().is_some()) {
                return Err(Error::InUse);
            }
            if found.last().is_none() && has_no_effect {
                return Ok(now.as_nanos()?);
            }
            let Some(row) = &found.row else {
                self.add_session(pool, session_id, patience).await?;
                continue;
            };
            let last = found.last().map_or(to, |last| last.max(to));
            let raised_to = row.raised_to.map_or(to, |before| before.max(to));
            let number = |number: u64| i64::try_from(number).map_err(|_| Error::Core(CoreError::IteratorExhausted));
            let parameters: [Parameter<'_>; 6] = [
                (&lock_limit(patience), Type::TEXT),
                (&session_id, Type::UUID),
                (&row.fence, Type::UUID),
                (&number(last)?, Type::INT8),
                (&number(raised_to)?, Type::INT8),
                (&new_fence()?, Type::UUID),
            ];
            if let Some(row) = self.query(pool, patience, RAISE, &parameters).await?.first() {
                return iterator(row, 0)?.ok_or(PostgresError::OtherSchema.into());
            }
            after_a_conflict(&mut conflicts).await?;
        }
    }

    async fn risks(&self, pool: &Arc<Pool>) -> Result<Vec<Risk>, Error> {
        let patience = Patience::new(self.limit);
        let mut risks = Vec::new();
        let rows = self.query(pool, patience, FSYNC, &[]).await?;
        if column(rows.first().ok_or(PostgresError::OtherSchema)?, 0)? {
            risks.push(Risk::PostgresNotOnDisk);
        }
        if let Some(security) = pool.security(patience).await?.filter(|security| !security.is_local) {
            if !security.is_encrypted {
                risks.push(Risk::PostgresPlaintext);
            } else if !security.is_verified {
                risks.push(Risk::PostgresUnverified);
            }
        }
        for row in &self.query(pool, patience, BEHIND, &[]).await? {
            let by = iterator(row, 1)?.ok_or(PostgresError::OtherSchema)?;
            risks.push(Risk::Behind { session_id: column(row, 0)?, by: Duration::from_nanos(by) });
        }
        Ok(risks)
    }
}

/// Waits a moment after another transaction came first.
async fn after_a_conflict(conflicts: &mut Backoff) -> Result<(), Error> {
    if conflicts.pause().await? { Ok(()) } else { Err(PostgresError::Locked.into()) }
}

/// The store's thread has ended, which it does only if a task panics.
fn stopped() -> Error {
    PostgresError::Other("the store's thread has stopped".into()).into()
}

/// A row of [`SESSIONS`].
fn record(row: &Row) -> Result<SessionRecord, Error> {
    Ok(SessionRecord {
        session_id: column(row, 0)?,
        last_iterator: iterator(row, 1)?.ok_or(PostgresError::OtherSchema)?,
        leased_for: leased_for(duration(row, 3)?, duration(row, 4)?.unwrap_or_default()),
        raised_to: iterator(row, 2)?,
    })
}

/// A value of a row. It has another type only if other software changed the tables.
fn column<T: FromSqlOwned>(row: &Row, place: usize) -> Result<T, Error> {
    row.try_get(place).map_err(|_| PostgresError::OtherSchema.into())
}

fn iterator(row: &Row, place: usize) -> Result<Option<u64>, Error> {
    let number: Option<i64> = column(row, place)?;
    number.map(|number| u64::try_from(number).map_err(|_| PostgresError::OtherSchema.into())).transpose()
}

/// A time in microseconds. None if it is not above zero.
fn duration(row: &Row, place: usize) -> Result<Option<Duration>, Error> {
    let time: Option<i64> = column(row, place)?;
    Ok(time.and_then(|time| u64::try_from(time).ok()).filter(|time| *time > 0).map(Duration::from_micros))
}

/// An iterator that the table can hold.
fn bigint(iterator: u64) -> Result<u64, Error> {
    if iterator > i64::MAX.unsigned_abs() { Err(CoreError::IteratorExhausted.into()) } else { Ok(iterator) }
}

/// A lease's duration in microseconds, of at most a hundred years.
fn micros(duration: Duration) -> i64 {
    const LONGEST: i64 = 100 * 366 * 86_400 * 1_000_000;
    i64::try_from(duration.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

/// The time for which the server waits for a lock, in milliseconds: a little less than the caller waits for the answer.
fn lock_limit(patience: Patience) -> String {
    (patience.of_step().as_millis() * 9 / 10).max(1).to_string()
}

fn call(row: &Row) -> Result<PendingCall, Error> {
    let foreign = || Error::Postgres(PostgresError::OtherSchema);
    let number = |place| iterator(row, place)?.ok_or_else(foreign);
    let kind: String = column(row, 2)?;
    let iterators = number(5)?..=number(6)?;
    if iterators.is_empty() {
        return Err(foreign());
    }
    Ok(PendingCall {
        session_id: column(row, 0)?,
        request_id: column(row, 1)?,
        method: column(row, 3)?,
        path: column(row, 4)?,
        kind: CallKind::from_name(&kind).ok_or_else(foreign)?,
        iterators,
        sent_at: UnixTime::from_nanos(number(7)?),
        expires_at: UnixTime::from_secs(number(8)?),
        under_way_for: leased_for(duration(row, 9)?, duration(row, 10)?.unwrap_or_default()),
    })
}
