//! `resolve`: finds out what became of an `update` whose answer was lost, which the journal lists or the options describe.

use std::fmt::Write as _;

use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, Pin, UnixTime};
use mixin_pin_http::{Client, Credential, Verdict};
use mixin_pin_protocol::keystore::SpendKey;
use mixin_pin_store::{CallKind, PendingCall};
use serde_json::{Value, json};

use crate::args::{EXPIRES_AT, NEW_USER, ResolveArgs};
use crate::error::Error;
use crate::outcome::{MEMORY, next_command, send};
use crate::output::{self, GOOD, Output, WARN};
use crate::{client, journal, pins};

/// A PIN of either kind. [`Credential`] borrows from it.
enum OwnedCredential {
    Digits(Pin),
    Tip(Box<TipKey>),
}

impl OwnedCredential {
    fn as_credential(&self) -> Credential<'_> {
        match self {
            Self::Digits(pin) => Credential::Digits(pin),
            Self::Tip(key) => Credential::Tip(key),
        }
    }
}

/// The pending calls of the session.
struct Journal {
    changes: Vec<PendingCall>,
    /// Only those that are not under way.
    verifications: Vec<PendingCall>,
    others: Vec<PendingCall>,
}

impl Journal {
    fn read(client: &Client) -> Result<Self, Error> {
        let (changes, rest): (Vec<_>, Vec<_>) =
            client.pending()?.into_iter().partition(|call| call.kind == CallKind::UpdatePin);
        let (mut verifications, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|call| call.kind == CallKind::VerifyPin);
        verifications.retain(|call| call.under_way_for.is_none());
        Ok(Self { changes, verifications, others })
    }

    /// Fails if a change may still get its answer.
    fn refuse_under_way(&self) -> Result<(), Error> {
        let under_way = self.changes.iter().find_map(|call| Some((call.request_id, call.under_way_for?)));
        under_way.map_or(Ok(()), |(request_id, left)| Err(Error::UnderWay { request_id, left }))
    }

    /// Removes the verifications.
    fn forget_verifications(&self, client: &Client) -> Result<(), Error> {
        for call in &self.verifications {
            client.settle(call.request_id)?;
        }
        Ok(())
    }
}

/// What is known of a change now.
struct Finding {
    value: Value,
    text: String,
    failure: Option<Error>,
}

pub(crate) fn run(args: &ResolveArgs, output: &Output) -> Result<(), Error> {
    let (client, spend_key) = client::open(&args.client)?;
    let journal = Journal::read(&client)?;
    // A store in memory has no journal of other processes.
    let is_described = args.describe_a_change() || args.client.store.store.as_deref() == Some(MEMORY);
    let Finding { mut value, mut text, failure } = if !is_described && journal.changes.is_empty() {
        nothing()
    } else {
        if !is_described {
            journal.refuse_under_way()?;
        }
        settle(args, &client, spend_key, &journal, output)?
    };
    journal.forget_verifications(&client)?;

    let entries = |calls: &[PendingCall]| -> Value { calls.iter().map(journal::to_json).collect() };
    value["changes"] = entries(&journal.changes);
    value["verifications"] = entries(&journal.verifications);
    value["to_check"] = entries(&journal.others);
    for call in &journal.verifications {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\nremoved from the journal: a verification, which changed nothing\n  {}",
            journal::line(call)
        );
    }
    let scene = (&args.client).into();
    for call in &journal.others {
        let (line, advice) = (journal::line(call), journal::advice(call, Some(&scene)));
        let _ = write!(
            text,
            "\n{WARN}also pending{WARN:#}: a call that this command cannot settle\n  {line}\n    {advice}"
        );
    }
    output.result(&value, || text)?;
    failure.map_or(Ok(()), Err)
}

/// No change to settle.
fn nothing() -> Finding {
    let text = format!(
        "{GOOD}nothing to settle{GOOD:#}: the store lists no change of this session; to settle one that another store may \
         list, name that store or describe the change (mixin-pin help resolve)"
    );
    let value = json!({ "verdict": "nothing-pending", "may_cost": 0, "tries_spent": 0, "user": null });
    Finding { value, text, failure: None }
}

fn settle(
    args: &ResolveArgs,
    client: &Client,
    mut spend_key: Option<SpendKey>,
    journal: &Journal,
    output: &Output,
) -> Result<Finding, Error> {
    for call in &journal.changes {
        output.progress(|| format!("pending change:\n  {}", journal::line(call)))?;
    }
    // The old spend key may be a seed or a scalar; the installed key shows which.
    let installed = if args.old_tip { pins::installed_key(&send(|| client.me())?) } else { None };
    // The old one comes first, as for `update`.
    let old = if args.new_user {
        None
    } else if args.old_tip {
        let key = match spend_key.take() {
            Some(key) => key,
            None => pins::spend_key(args.tip.spend_key_stdin, "old spend key")?,
        };
        Some(OwnedCredential::Tip(Box::new(old_tip_key(&key, installed.as_ref())?)))
    } else {
        Some(OwnedCredential::Digits(pins::read(&args.source, "old PIN")?))
    };
    let new = if args.tip.is_wanted() {
        let key = pins::spend_key_or(spend_key, args.tip.spend_key_stdin, "new spend key")?;
        OwnedCredential::Tip(Box::new(key.to_tip_key(None)?))
    } else {
        OwnedCredential::Digits(pins::read(&args.source, "new PIN")?)
    };

    let old = old.as_ref().map(OwnedCredential::as_credential);
    let plan = send(|| client.resolve_update(old, new.as_credential(), args.expires_at.map(UnixTime::from_secs)))?;
    let may_cost = plan.may_cost();
    if may_cost > 0 {
        output::warn(&format!("this may cost up to {may_cost} of the day's tries"));
    }
    let resolution = send(|| plan.settle())?;
    let (mut next, mut end) = (None, None);
    let (word, text, failure) = match &resolution.verdict {
        Verdict::Applied(_) => ("applied", format!("{GOOD}applied{GOOD:#}: the new PIN is set"), None),
        Verdict::NotApplied(_) => {
            let still = if old.is_some() { "the old PIN is set" } else { "there is still no PIN" };
            ("not-applied", format!("{GOOD}not applied{GOOD:#}, and it will not be: {still}"), None)
        }
        Verdict::NotYet { expires_at, remaining } => {
            next = run_again(args, &expires_at.secs().to_string());
            end = Some(expires_at.secs());
            let text = format!(
                "{WARN}not applied so far{WARN:#}; the lost request may still arrive, for {} seconds. Then run: {}",
                remaining.as_secs(),
                next.as_deref().unwrap_or("mixin-pin resolve")
            );
            ("not-yet", text, Some(Error::Unresolved))
        }
        Verdict::Neither => {
            let more = if journal.changes.len() > 1 { "; another of the pending changes may have set it" } else { "" };
            let text = format!("{WARN}neither{WARN:#}: the PIN is neither the old one nor the new one{more}");
            ("neither", text, Some(Error::DoesNotHold))
        }
        Verdict::Undetermined => {
            let text = format!(
                "{WARN}still unknown{WARN:#}: no PIN was accepted, and the answers do not say why. Both may be wrong, another \
                 client's iterators may be ahead (mixin-pin explain 20119), or a proxy may send each request twice"
            );
            ("undetermined", text, Some(Error::Unresolved))
        }
        Verdict::TriesSpent => {
            let text = format!("{WARN}the day's tries are spent{WARN:#}: resolve again tomorrow");
            ("tries-spent", text, Some(Error::Unresolved))
        }
        _ => {
            let text = format!("{WARN}still unknown{WARN:#}: the answer to a check was lost too; resolve again");
            ("unknown", text, Some(Error::Unresolved))
        }
    };
    let user = match &resolution.verdict {
        Verdict::Applied(user) | Verdict::NotApplied(user) => Some(user),
        _ => None,
    };
    let spent = resolution.tries_spent;
    let mut value = json!({ "verdict": word, "may_cost": may_cost, "tries_spent": spent, "user": user });
    if let Some(end) = end {
        value["expires_at"] = end.into();
        value["next_command"] = next.into();
    }
    Ok(Finding { value, text: format!("{text} (tries spent: {spent} at most)"), failure })
}

/// The same command with the expiry of the lost request's token, which must not move.
fn run_again(args: &ResolveArgs, expires_at: &str) -> Option<String> {
    let tip = if args.tip.is_wanted() { args.tip.flag() } else { &[] };
    next_command("resolve", &(&args.client).into(), &[&[NEW_USER], tip, &[EXPIRES_AT, expires_at]].concat())
}

fn old_tip_key(key: &SpendKey, installed: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
    // If neither reading matches, a new key is already installed, and either reading will do.
    Ok(key.to_tip_key(installed).or_else(|_| key.to_tip_key(None))?)
}
