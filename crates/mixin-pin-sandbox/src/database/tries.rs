//! The tries that wrong PINs cost. Times are nanoseconds since 1970.

use mixin_pin_core::uuid::Uuid;
use rusqlite::params;

use super::{Transaction, column};
use crate::Error;

impl Transaction<'_> {
    /// How many tries were used after a time.
    pub(crate) fn tries(&self, session_id: Uuid, after: i64) -> Result<u32, Error> {
        self.count(
            "SELECT COUNT(*) FROM tries WHERE session_id = ?1 AND at > ?2",
            params![session_id.to_string(), after],
        )
    }

    /// When the try was used after which `newer` others were.
    pub(crate) fn try_before(&self, session_id: Uuid, newer: u32) -> Result<Option<i64>, Error> {
        self.find(
            "SELECT at FROM tries WHERE session_id = ?1 ORDER BY at DESC LIMIT 1 OFFSET ?2",
            params![session_id.to_string(), newer],
            |row| column(row, "at"),
        )
    }

    /// Adds a try, and drops those up to `expired` and the oldest beyond the capacity.
    pub(crate) fn add_try(&self, session_id: Uuid, at: i64, expired: i64) -> Result<(), Error> {
        let session_id = session_id.to_string();
        self.execute("INSERT INTO tries (session_id, at) VALUES (?1, ?2)", params![session_id, at])?;
        self.execute("DELETE FROM tries WHERE session_id = ?1 AND at <= ?2", params![session_id, expired])?;
        self.execute(
            "DELETE FROM tries WHERE session_id = ?1 AND number <= (
                 SELECT number FROM tries WHERE session_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            params![session_id, self.capacity.tries_of_session],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{CAPACITY, database};
    use super::*;

    #[test]
    fn tries_are_counted_by_time_and_the_oldest_are_dropped() {
        let database = database();
        let [one, other] = [1, 2].map(Uuid::from_u128);
        database
            .write(|tx| {
                for at in [10, 20, 30] {
                    tx.add_try(one, at, 0)?;
                }
                tx.add_try(other, 15, 0)?;
                assert_eq!([9, 10, 29, 30].map(|after| tx.tries(one, after).unwrap()), [3, 2, 1, 0]);
                assert_eq!([0, 2, 3].map(|newer| tx.try_before(one, newer).unwrap()), [Some(30), Some(10), None]);
                tx.add_try(one, 40, 10)?;
                assert_eq!((tx.tries(one, 0)?, tx.tries(other, 0)?), (3, 1), "10 has expired");
                for at in 41..60 {
                    tx.add_try(one, at, 10)?;
                }
                assert_eq!(tx.tries(one, 0)?, CAPACITY.tries_of_session);
                Ok(())
            })
            .unwrap();
    }
}
