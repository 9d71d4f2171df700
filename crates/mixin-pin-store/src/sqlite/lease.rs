//! A lease in the database: further iterators, and the release.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::{NonceSource, UnixTime, uuid::Uuid};
use rusqlite::{Transaction, params};

use super::connections::Generation;
use super::patience::LOCK_WAIT;
use super::table::read;
use super::{Inner, calls};
use crate::engine::LeaseState;
use crate::journal::OwnEntry;
use crate::{Error, Lease, iterators};

pub(super) struct SqliteLease {
    pub(super) store: Arc<Inner>,
    pub(super) generation: Generation,
    pub(super) session_id: Uuid,
    pub(super) fence: i64,
    pub(super) state: LeaseState,
    pub(super) entry: OwnEntry,
}

impl SqliteLease {
    /// Reserves `work`'s result on the database that granted the lease. Returns None if that file was moved away.
    fn reserving<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Result<Option<T>, Error> {
        let store = &self.store;
        store.connections.with_same(self.generation, |connection| store.in_transaction(connection, true, work))
    }

    /// Releases by `work`. The call was made, so this waits however short its own wait was: otherwise a call whose outcome is
    /// known would stay in the journal.
    fn releasing<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Result<Option<T>, Error> {
        let store = &self.store;
        store
            .connections
            .with_same_within(LOCK_WAIT, self.generation, |connection| store.in_transaction(connection, false, work))
    }
}

impl NonceSource for SqliteLease {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        let has_fence = |_| {
            let found = self.store.connections.with_same(self.generation, |connection| {
                read(connection, self.session_id).map_err(|cause| self.store.classify(cause))
            })?;
            Ok(found.flatten().is_some_and(|row| row.fence == self.fence))
        };
        self.state.take((self.store.clock)().ok(), has_fence, || {
            let taken = self.reserving(|db| {
                let row = read(db, self.session_id).map_err(|cause| self.store.classify(cause))?;
                let last = row.filter(|row| row.fence == self.fence).ok_or(Error::LeaseLost)?.last_iterator;
                let taken = iterators::next(last, now)?;
                db.prepare_cached("UPDATE sessions SET last_iterator = ?2 WHERE session_id = ?1")
                    .and_then(|mut update| update.execute(params![self.session_id.as_bytes(), taken.to_be_bytes()]))
                    .map_err(|cause| self.store.classify(cause))?;
                Ok(taken)
            })?;
            taken.ok_or(Error::LeaseLost)
        })
    }
}

impl Lease for SqliteLease {
    fn remaining(&self) -> Duration {
        if self.store.connections.is_named(self.generation) {
            self.state.remaining((self.store.clock)().ok())
        } else {
            Duration::ZERO
        }
    }

    fn granted_at(&self) -> UnixTime {
        self.state.granted_at()
    }

    fn keep_entry(&self, keep: bool) {
        self.entry.keep(keep);
    }
}

impl Drop for SqliteLease {
    fn drop(&mut self) {
        // If this fails, the lease ends by itself, and the entry stays.
        let _ = self.releasing(|db| {
            db.prepare_cached("UPDATE sessions SET held_until = NULL WHERE session_id = ?1 AND fence = ?2")
                .and_then(|mut release| release.execute(params![self.session_id.as_bytes(), self.fence]))
                .and_then(|_| match self.entry.to_remove() {
                    Some(request_id) => calls::remove(db, self.session_id, request_id),
                    None => Ok(false),
                })
                .map_err(|cause| self.store.classify(cause))
        });
    }
}

impl fmt::Debug for SqliteLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLease").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}
