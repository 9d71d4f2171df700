//! Payments by their trace ids.

use mixin_pin_core::uuid::Uuid;
use rusqlite::params;

use super::{Transaction, column, uuid_column};
use crate::Error;

/// A payment and the answer that its first call got.
pub(crate) struct PaymentRow {
    pub(crate) trace_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) kind: String,
    pub(crate) fields: String,
    pub(crate) receipt: String,
}

impl Transaction<'_> {
    pub(crate) fn payment(&self, trace_id: Uuid) -> Result<Option<PaymentRow>, Error> {
        self.find("SELECT * FROM payments WHERE trace_id = ?1", [trace_id.to_string()], |row| {
            Ok(PaymentRow {
                trace_id,
                user_id: uuid_column(row, "user_id")?,
                kind: column(row, "kind")?,
                fields: column(row, "fields")?,
                receipt: column(row, "receipt")?,
            })
        })
    }

    /// Adds a payment. Returns false if the table is full: one that is dropped could be paid again.
    pub(crate) fn add_payment(&self, payment: &PaymentRow) -> Result<bool, Error> {
        // The highest number is the number of payments: none is ever removed.
        if self.count("SELECT COALESCE(MAX(number), 0) FROM payments", [])? >= self.capacity.payments {
            return Ok(false);
        }
        self.execute(
            "INSERT INTO payments (trace_id, user_id, kind, fields, receipt) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                payment.trace_id.to_string(),
                payment.user_id.to_string(),
                payment.kind,
                payment.fields,
                payment.receipt
            ],
        )?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::database;
    use super::*;

    #[test]
    fn a_full_table_accepts_no_more_payments_and_drops_none() {
        let database = database();
        let add = |id| {
            let row = PaymentRow {
                trace_id: Uuid::from_u128(id),
                user_id: Uuid::nil(),
                kind: String::new(),
                fields: String::new(),
                receipt: String::new(),
            };
            database.write(|tx| tx.add_payment(&row)).unwrap()
        };
        assert_eq!([1, 2, 3, 4].map(add), [true, true, false, false]);
        assert!(database.read(|tx| tx.payment(Uuid::from_u128(1))).unwrap().is_some());
        assert!(database.read(|tx| tx.payment(Uuid::from_u128(3))).unwrap().is_none());
    }
}
