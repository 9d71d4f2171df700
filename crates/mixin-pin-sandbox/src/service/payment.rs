//! Payments: transfers, withdrawals and transactions. No money exists here. A trace id is paid once, and its receipt can be
//! read.

use std::collections::HashSet;

use mixin_pin_core::SystemRng;
use mixin_pin_core::tip::Amount;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::answer::ErrorCode;
use mixin_pin_protocol::call::random_uuid;
use serde_json::{Map, Value, json};

use super::{Call, Service, without_query};
use crate::Error;
use crate::database::{PaymentRow, Transaction};
use crate::reply::{Answer, HandlerError, Refusal};
use crate::time::{nanos, rfc3339};

/// The longest body of a payment with a trace id, in bytes, because its receipt is stored.
const MAX_LEN: usize = 16 << 10;
/// In characters (developers.mixin.one: `api/transfer/transfer.md` of 2025).
const MAX_MEMO_LEN: usize = 200;
/// Digits after the point (the same page).
const MAX_DECIMALS: usize = 8;
/// developers.mixin.one: `api/error-codes.md`.
const TRANSFER_TOO_SMALL: u32 = 20_120;
const WITHDRAWAL_TOO_SMALL: u32 = 20_127;
const RECEIVERS: u32 = 20_150;
/// "Transfer has been paid by someone else" (developers.mixin.one: `api/error-codes.md`), "transfer is already paid"
/// (android-app: `ErrorHandler.kt`), "invalid trace id" (mixin-sdk-go: `error.go`).
const PAID_ALREADY: u32 = 20_125;

/// What a call pays, apart from its PIN.
pub(super) struct Payment {
    kind: &'static str,
    trace_id: Option<Uuid>,
    /// The fields that make two payments the same, in one form each.
    fields: Map<String, Value>,
}

impl Payment {
    /// Reads the fields that matter, as far as they are there: six digits permit any body.
    pub(super) fn read(path: &str, call: &Call<'_>, body: &Map<String, Value>) -> Result<Self, Refusal> {
        let (kind, names): (_, &[&str]) = match path {
            "transfers" => ("transfer", &["asset_id", "opponent_id", "amount", "memo"]),
            "withdrawals" => ("withdrawal", &["address_id", "asset_id", "destination", "tag", "amount", "fee", "memo"]),
            _ => ("raw", &["asset_id", "opponent_key", "opponent_multisig", "amount", "memo"]),
        };
        let trace_id = match body.get("trace_id") {
            None | Some(Value::Null) => None,
            Some(id) => Some(
                id.as_str()
                    .and_then(|id| id.parse().ok())
                    .ok_or_else(|| Refusal::field("trace_id", "missing or invalid"))?,
            ),
        };
        if trace_id.is_some() && call.body.len() > MAX_LEN {
            return Err(Refusal::new(ErrorCode::BadRequest, "body_too_long"));
        }
        let fields: Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), canonical(name, body.get(*name)))).collect();
        for name in ["amount", "fee"] {
            check_amount(name, fields.get(name).unwrap_or(&Value::Null))?;
        }
        if fields["memo"].as_str().is_some_and(|memo| memo.chars().count() > MAX_MEMO_LEN) {
            return Err(Refusal::field("memo", "too_long"));
        }
        if fields["amount"] == "0" {
            let code = if kind == "withdrawal" { WITHDRAWAL_TOO_SMALL } else { TRANSFER_TOO_SMALL };
            return Err(Refusal::new(ErrorCode::from(code), "amount").with("field", "amount"));
        }
        let receivers = fields.get("opponent_multisig").and_then(|multisig| multisig["receivers"].as_array());
        let mut seen = HashSet::new();
        if receivers.is_some_and(|ids| ids.iter().any(|id| !seen.insert(id))) {
            return Err(Refusal::new(ErrorCode::from(RECEIVERS), "receivers").with("field", "opponent_multisig"));
        }
        Ok(Self { kind, trace_id, fields })
    }

    /// Pays if nobody has paid under this trace id. The same payment again gets the first one's answer. `receipt` shows what
    /// was received.
    pub(super) fn pay(
        &self,
        tx: &Transaction<'_>,
        call: &Call<'_>,
        mut receipt: Map<String, Value>,
    ) -> Result<Value, HandlerError> {
        let (user_id, fields) = (call.user.user_id, Value::from(self.fields.clone()).to_string());
        let paid = self.trace_id.map(|id| tx.payment(id)).transpose()?.flatten();
        match paid {
            Some(paid) if paid.user_id == user_id && paid.kind == self.kind && paid.fields == fields => {
                return Ok(read_receipt(&paid)?);
            }
            Some(_) => return Err(Refusal::new(ErrorCode::from(PAID_ALREADY), "trace_id").into()),
            None => {}
        }
        // As in the documentation of 2018 (developers.mixin.one: `api/_docs/alpha-mixin-network/transfer.md`).
        receipt.insert("type".to_owned(), self.kind.into());
        receipt.insert(
            "snapshot_id".to_owned(),
            random_uuid(&mut SystemRng::new().map_err(Error::from)?).to_string().into(),
        );
        receipt.insert("created_at".to_owned(), rfc3339(nanos(call.now)).into());
        for (name, value) in &self.fields {
            let value = match (name.as_str(), value) {
                ("amount", Value::String(amount)) => format!("-{amount}").into(),
                _ => value.clone(),
            };
            receipt.insert(name.clone(), value);
        }
        let receipt = Value::from(receipt);
        let Some(trace_id) = self.trace_id else { return Ok(receipt) };
        let mut receipt = receipt;
        receipt["trace_id"] = trace_id.to_string().into();
        let row = PaymentRow { trace_id, user_id, kind: self.kind.to_owned(), fields, receipt: receipt.to_string() };
        if tx.add_payment(&row)? {
            Ok(receipt)
        } else {
            Err(Refusal::new(ErrorCode::TooManyRequests, "payments_full").into())
        }
    }
}

impl Service {
    /// `GET /transfers/trace/:id` (bot-api-nodejs-client: `src/client/transfer.ts`) and `GET /snapshots/trace/:id`
    /// (bot-api-go-client: `snapshot_legacy.go`).
    pub(super) fn is_trace(path: &str) -> bool {
        trace_of(path).is_some()
    }

    pub(super) fn read_payment(tx: &Transaction<'_>, call: &Call<'_>) -> Answer {
        let trace_id = trace_of(without_query(call.path)).and_then(|id| id.parse().ok());
        let paid = trace_id.map(|id| tx.payment(id)).transpose()?.flatten();
        match paid.filter(|paid| paid.user_id == call.user.user_id) {
            Some(paid) => Ok(read_receipt(&paid)?.into()),
            None => Err(Refusal::new(ErrorCode::NotFound, "trace_id").into()),
        }
    }
}

fn trace_of(path: &str) -> Option<&str> {
    let id = path.strip_prefix("/transfers/trace/").or_else(|| path.strip_prefix("/snapshots/trace/"))?;
    Some(id).filter(|id| !id.is_empty() && !id.contains('/'))
}

fn read_receipt(paid: &PaymentRow) -> Result<Value, Error> {
    serde_json::from_str(&paid.receipt).map_err(|_| Error::DatabaseContent)
}

/// An amount that is there must be a plain decimal with few digits after the point.
fn check_amount(name: &str, value: &Value) -> Result<(), Refusal> {
    let Value::String(text) = value else { return Ok(()) };
    if text.is_empty() {
        return Ok(());
    }
    if Amount::new(text).is_err() {
        return Err(Refusal::field(name, "not a plain decimal"));
    }
    match text.split_once('.') {
        Some((_, decimals)) if decimals.len() > MAX_DECIMALS => Err(Refusal::field(name, "more than 8 decimals")),
        _ => Ok(()),
    }
}

/// A field in the form in which equal values are equal. Absent text is empty.
fn canonical(name: &str, value: Option<&Value>) -> Value {
    match value {
        None | Some(Value::Null) => json!(""),
        Some(Value::String(text)) if matches!(name, "amount" | "fee") => {
            Amount::new(text).map_or_else(|_| text.as_str().into(), |amount| amount.to_string().into())
        }
        Some(Value::String(text)) if name.ends_with("_id") => {
            text.parse::<Uuid>().map_or_else(|_| text.as_str().into(), |id| id.to_string().into())
        }
        Some(value) => value.clone(),
    }
}
