//! `safe explain`, `safe check`, `safe sign`, `safe verify` and `safe address`.

mod explain;
mod report;
mod sign;

use std::fmt::Write as _;

use mixin_pin_core::Ed25519PublicKey;
use mixin_pin_core::tip::TipKey;
use mixin_pin_protocol::keystore::{Keystore, KeystoreShape, SpendKey};
use mixin_pin_safe::{Evidence, Members, Receiver, SpentOutput, Transaction, merge};
use serde_json::json;

use crate::args::{EvidenceArgs, SafeAddressArgs, SafeCheckArgs, SafeVerifyArgs, SpendKeyArgs};
use crate::error::Error;
use crate::files::SecretFile;
use crate::output::{GOOD, Output};
use crate::safe::{self, Inputs, PolicyFile, RawTransaction, Receivers, SafeError};
use crate::time::now;
use crate::{keystore, pins};
use report::Report;

pub(crate) use explain::explain;
pub(crate) use sign::sign;

pub(crate) fn check(args: &SafeCheckArgs, output: &Output) -> Result<(), Error> {
    let raw = RawTransaction::read(&args.raw)?;
    let transaction = raw.decode()?;
    let policy = PolicyFile::read(&args.policy)?;
    let receivers_out = args.receivers_out.as_deref().map(SecretFile::create).transpose()?;
    let (known, _) = Known::read(&args.evidence, false, &transaction)?;
    known.refuse_spent(&transaction)?;
    let (spent, claims) = (known.spent(&transaction)?, known.claims());
    let evidence = Evidence { spent: &spent, receivers: &claims };
    let approved = policy.check(&transaction, &evidence, now()?)?;
    if let (Some(out), Some(receivers)) = (receivers_out, &known.receivers) {
        out.finish(receivers.to_text().as_bytes())?;
    }
    let report = Report::new(approved.effects());
    let mut value = report.in_json();
    value["leaves"] = approved.leaves().to_string().into();
    value["most"] = policy.most.to_string().into();
    output.result(&value, || {
        let (text, unchecked) = (report.in_text(), report.unchecked());
        format!(
            "{GOOD}allowed{GOOD:#}\nleaves      {} of at most {}\n{text}{unchecked}",
            approved.leaves(),
            policy.most
        )
    })
}

pub(crate) fn verify(args: &SafeVerifyArgs, output: &Output) -> Result<(), Error> {
    let raw = RawTransaction::read(&args.raw)?;
    let transaction = raw.decode()?;
    let inputs = Inputs::read(&args.inputs)?;
    let spent = inputs.spent(&transaction)?;
    let merged = merge(&transaction, &spent, &[]).map_err(SafeError::Merge)?;
    let missing = report::missing(&transaction, &merged);
    let signatures = report::signatures(&transaction);
    // The keys decide which signatures are valid.
    let proven = spent.iter().all(SpentOutput::is_proven);
    let value = json!({
        "hash": transaction.hash().to_string(),
        "signatures": signatures,
        "missing": missing,
        "complete": merged.is_complete(),
        "inputs_proven": proven,
    });
    output.result(&value, || {
        let keys = if proven { "proven" } else { "not proven: a server states them" };
        let mut text =
            format!("transaction {}\nkeys        {keys}\nsignatures  {} valid", transaction.hash(), signatures.len());
        for (input, missing) in missing.iter().enumerate() {
            // Writing to a String does not fail.
            let _ = write!(text, "\n  input {input}   {missing} missing");
        }
        text + if merged.is_complete() { "\ncomplete" } else { "\nnot complete" }
    })?;
    if merged.is_complete() { Ok(()) } else { Err(Error::DoesNotHold) }
}

pub(crate) fn address(args: &SafeAddressArgs, output: &Output) -> Result<(), Error> {
    let address = safe::address_or_user(&args.address).map_err(SafeError::Address)?;
    let (kind, members): (_, Vec<String>) = match address.members() {
        members @ Members::Users(_) => ("uuid", members.users().map(|user| user.to_string()).collect()),
        members => ("xin", members.addresses().map(|address| address.to_string()).collect()),
    };
    let text = safe::address_text(&address);
    let value = json!({
        "address": text,
        "kind": kind,
        "threshold": address.threshold(),
        "members": members,
    });
    output.result(&value, || {
        let who = if kind == "uuid" { "user" } else { "keys" };
        let mut text = format!("address     {text}\nthreshold   {} of {}", address.threshold(), members.len());
        for member in &members {
            // Writing to a String does not fail.
            let _ = write!(text, "\n{who}        {member}");
        }
        text
    })
}

/// What the files say about a transaction.
struct Known {
    inputs: Option<Inputs>,
    receivers: Option<Receivers>,
}

impl Known {
    /// Reads the files. Reads the spend key if a trace needs it, and if an argument says where it is or it `may_be_asked` for.
    fn read(
        args: &EvidenceArgs,
        may_be_asked: bool,
        transaction: &Transaction<'_>,
    ) -> Result<(Self, Option<OwnedKey>), Error> {
        let inputs = args.inputs.as_deref().map(Inputs::read).transpose()?;
        let mut key = None;
        let mut receivers = args.receivers.as_deref().map(Receivers::read).transpose()?;
        if let Some(receivers) = receivers.as_mut().filter(|receivers| receivers.have_trace()) {
            let is_given = args.key.spend_key_stdin || args.key.keystore.is_some();
            key = if is_given || may_be_asked { Some(OwnedKey::read(&args.key)?) } else { None };
            let bytes = key.as_ref().map(|key| key.text.to_bytes()).transpose()?;
            receivers.derive(transaction, bytes.as_deref().map(Vec::as_slice))?;
        }
        Ok((Self { inputs, receivers }, key))
    }

    /// Refuses what the file says is spent.
    fn refuse_spent(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        self.inputs.as_ref().map_or(Ok(()), |inputs| inputs.refuse_spent(transaction))
    }

    /// The spent outputs. Empty if there is no file of them.
    fn spent(&self, transaction: &Transaction<'_>) -> Result<Vec<SpentOutput<'_>>, Error> {
        self.inputs.as_ref().map_or_else(|| Ok(Vec::new()), |inputs| inputs.spent(transaction))
    }

    fn claims(&self) -> Vec<Receiver<'_>> {
        self.receivers.as_ref().map(Receivers::claims).unwrap_or_default()
    }
}

/// The spend key of the owner.
struct OwnedKey {
    text: SpendKey,
    key: TipKey,
}

impl OwnedKey {
    fn read(args: &SpendKeyArgs) -> Result<Self, Error> {
        let expected = args.public_key.as_deref().map(Ed25519PublicKey::from_text).transpose();
        let expected = expected.map_err(Error::PublicKey)?;
        let mut keystore = match args.keystore_to_read() {
            Some(path) => {
                let keystore = keystore::read(path)?;
                if keystore.shape() == KeystoreShape::RemoteSigner {
                    return Err(SafeError::RemoteSigner { path: path.to_owned() }.into());
                }
                Some(keystore)
            }
            None => None,
        };
        let text = match keystore.as_mut().and_then(Keystore::take_spend_key) {
            Some(text) => text,
            None => pins::spend_key(args.spend_key_stdin, "spend key")?,
        };
        let key = pins::tip_key(&text, expected.as_ref(), "spend key")?;
        Ok(Self { text, key })
    }
}
