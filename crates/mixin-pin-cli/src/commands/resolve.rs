//! `resolve`: finds out what became of an `update` whose answer was lost, which the journal lists or the options describe, and of
//! a change of a session's key.

mod keys;

use std::fmt::Write as _;
use std::slice;

use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, Pin, UnixTime};
use mixin_pin_http::{Client, Credential, Resolution, Verdict};
use mixin_pin_protocol::keystore::SpendKey;
use mixin_pin_store::{CallKind, PendingCall};
use serde_json::{Value, json};

use crate::args::{EXPIRES_AT, NEW_USER, ResolveArgs};
use crate::error::Error;
use crate::journal::SETTLED_BY;
use crate::outcome::{MEMORY, Scene, next_command, send, send_known};
use crate::output::{self, GOOD, Output, WARN};
use crate::redact::without_secrets;
use crate::time::{date, now};
use crate::{client, journal, keystore, pins};

/// A PIN of either kind. [`Credential`] borrows from it.
pub(super) enum OwnedCredential {
    Digits(Pin),
    Tip(Box<TipKey>),
}

impl OwnedCredential {
    pub(super) fn as_credential(&self) -> Credential<'_> {
        match self {
            Self::Digits(pin) => Credential::Digits(pin),
            Self::Tip(key) => Credential::Tip(key),
        }
    }
}

/// The pending calls of the session.
pub(super) struct Journal {
    pub(super) changes: Vec<PendingCall>,
    /// Changes of a session's key.
    of_keys: Vec<PendingCall>,
    /// Only those that are not under way.
    verifications: Vec<PendingCall>,
    others: Vec<PendingCall>,
}

impl Journal {
    pub(super) fn read(client: &Client) -> Result<Self, Error> {
        let (changes, rest): (Vec<_>, Vec<_>) =
            client.pending()?.into_iter().partition(|call| call.kind == CallKind::UpdatePin);
        let (mut verifications, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|call| call.kind == CallKind::VerifyPin);
        verifications.retain(|call| call.under_way_for.is_none());
        let (of_keys, others) = keys::of(others);
        Ok(Self { changes, of_keys, verifications, others })
    }

    /// Fails if a change may still get its answer.
    pub(super) fn refuse_under_way(&self) -> Result<(), Error> {
        let under_way =
            self.changes.iter().chain(&self.of_keys).find_map(|call| Some((call.request_id, call.under_way_for?)));
        under_way.map_or(Ok(()), |(request_id, left)| Err(Error::UnderWay { request_id, left }))
    }

    /// Removes the changes, after a verification: its iterator is greater than theirs, so they cannot be carried out any more.
    pub(super) fn forget_changes(&self, client: &Client) -> Result<(), Error> {
        for call in self.changes.iter().filter(|call| call.under_way_for.is_none()) {
            client.settle(call.request_id)?;
        }
        Ok(())
    }

    /// Removes the verifications.
    pub(super) fn forget_verifications(&self, client: &Client, output: &Output) -> Result<(), Error> {
        for call in &self.verifications {
            if let Err(error) = client.settle(call.request_id) {
                output::warn(&format!("a verification is still in the journal: {error}; resolve again to remove it"));
                break;
            }
            output.progress(|| {
                format!("removed from the journal: a verification, which changed nothing\n  {}", journal::line(call))
            })?;
        }
        Ok(())
    }
}

/// What is known of a change now.
struct Finding {
    value: Value,
    text: String,
    failure: Option<Error>,
    /// Why the journal may have more than it should, or cannot be read. The verdict stands.
    journal_error: Option<String>,
}

pub(crate) fn run(args: &ResolveArgs, output: &Output) -> Result<(), Error> {
    let path = &args.client.session.keystore;
    let (text, _) = keystore::read_text(path)?;
    let mut keystore = keystore::parse(path, &text)?;
    keystore::warn_of_notes(path, &keystore);
    let spend_key = keystore.take_spend_key();
    let client = client::user_client(keystore::into_session(path, keystore)?, &args.client)?;
    let journal = Journal::read(&client)?;
    // A store in memory has no journal of other processes.
    let is_in_memory = args.client.store.store.as_deref() == Some(MEMORY) && args.new_keystore.is_none();
    let is_described = args.describe_a_change() || is_in_memory;
    if !is_described {
        journal.refuse_under_way()?;
    }
    let keys = if journal.of_keys.is_empty() && args.new_keystore.is_none() {
        None
    } else {
        for call in &journal.of_keys {
            output.progress(|| format!("pending change of a key:\n  {}", journal::line(call)))?;
        }
        let session = keystore::into_session(path, keystore::parse(path, &text)?)?;
        Some(keys::settle(args, &client, &session)?)
    };
    // A PIN change can be settled with a session that works.
    let is_over = keys.as_ref().is_some_and(|keys| keys.old_works == Some(false));
    let has_changes = is_described || !journal.changes.is_empty();
    let Finding { mut value, mut text, failure, journal_error } =
        if is_over || !has_changes { nothing() } else { settle(args, &client, spend_key, &journal, output)? };
    let (mut failure, mut journal_error) = (failure, journal_error);
    if let Some(keys) = keys {
        value["session"] = keys.value;
        text = if is_over && !journal.changes.is_empty() {
            format!("{}\nResolve the session's PIN changes with the keystore that works", keys.text)
        } else if has_changes {
            format!("{}\n{text}", keys.text)
        } else {
            keys.text
        };
        journal_error = journal_error.or(keys.journal_error);
        if failure.is_none() && (!keys.is_known || is_over && !journal.changes.is_empty()) {
            failure = Some(Error::Unresolved);
        }
    }
    let entries = |calls: &[PendingCall]| -> Value { calls.iter().map(journal::to_json).collect() };
    value["changes"] = entries(&journal.changes);
    value["verifications"] = entries(&journal.verifications);
    value["to_check"] = entries(&journal.others);
    value["journal_error"] = journal_error.as_deref().map(without_secrets).into();
    let scene = (&args.client).into();
    for call in &journal.others {
        let (line, advice) = (journal::line(call), journal::advice(call, Some(&scene)));
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\n{WARN}also pending{WARN:#}: a call that this command cannot settle\n  {line}\n    {advice}"
        );
    }
    // The verdict comes first: a failure of the store must not hide it.
    output.result(&value, || text)?;
    if let Some(error) = journal_error {
        output::warn(&format!(
            "the verdict stands, but the journal failed and may still list what is settled: {error}; mixin-pin pending lists \
             what is left"
        ));
    }
    journal.forget_verifications(&client, output)?;
    failure.map_or(Ok(()), Err)
}

/// No change to settle.
fn nothing() -> Finding {
    let text = format!(
        "{GOOD}nothing to settle{GOOD:#}: the store lists no change of this session; to settle one that another store \
         lists, name that store; --new-user, --tip and --old-tip describe one that none lists (mixin-pin help resolve)"
    );
    let value = json!({
        "verdict": "nothing-pending", "may_cost": 0, "tries_spent": 0, "user": null, "still_pending": []
    });
    Finding { value, text, failure: None, journal_error: None }
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
        OwnedCredential::Tip(Box::new(pins::tip_key_or(spend_key, args.tip.spend_key_stdin, None, "new spend key")?))
    } else {
        OwnedCredential::Digits(pins::read(&args.source, "new PIN")?)
    };

    let old = old.as_ref().map(OwnedCredential::as_credential);
    let plan = send(|| client.resolve_update(old, new.as_credential(), args.expires_at.map(UnixTime::from_secs)))?;
    let may_cost = plan.may_cost();
    if may_cost > 0 {
        output::warn(&format!("this may cost up to {may_cost} of the day's tries"));
    }
    let mut resolution = send(|| plan.settle())?;
    let mut journal_error = resolution.journal_error.take().map(|error| error.to_string());
    if let (Verdict::Applied(_), OwnedCredential::Tip(key)) = (&resolution.verdict, &new) {
        journal_error = journal_error.or_else(|| settle_installed(client, key, journal));
    }
    let (mut next, mut end, mut user) = (None, None, None);
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
            // The verdict does not depend on this answer.
            user = send(|| client.me()).ok();
            let more = if journal.changes.len() > 1 { "; another of the pending changes may have set it" } else { "" };
            let text = if user.as_ref().is_some_and(|user| !user.has_pin) {
                "no PIN is set, neither the old one nor the new one; if the update was to create it, add --new-user"
                    .to_owned()
            } else {
                format!("neither the old PIN nor the new one is set{more}")
            };
            ("neither", format!("{WARN}neither{WARN:#}: {text}"), Some(Error::DoesNotHold))
        }
        Verdict::Undetermined => {
            let text = format!(
                "{WARN}still unknown{WARN:#}: no PIN was accepted, and the answers do not say why. Both may be wrong, another \
                 client's iterators may be ahead (mixin-pin explain 20119), or a proxy may send each request twice"
            );
            ("undetermined", text, Some(Error::Unresolved))
        }
        Verdict::TriesSpent => {
            let text = format!("{WARN}the day's tries are spent{WARN:#}: wait 24 hours, then resolve again");
            ("tries-spent", text, Some(Error::Unresolved))
        }
        _ => {
            let text = format!("{WARN}still unknown{WARN:#}: the answer to a check was lost too; resolve again");
            ("unknown", text, Some(Error::Unresolved))
        }
    };
    let user = match &resolution.verdict {
        Verdict::Applied(user) | Verdict::NotApplied(user) => Some(user),
        _ => user.as_ref(),
    };
    let spent = resolution.tries_spent;
    let mut text = format!("{text} (tries spent: {spent} at most)");
    let mut value = json!({ "verdict": word, "may_cost": may_cost, "tries_spent": spent, "user": user });
    let (left, journal_error) = left(client, journal_error);
    value["still_pending"] = left.as_ref().map(|left| left.iter().map(journal::to_json).collect::<Value>()).into();
    // The verdict says the time, and the command to run then.
    let is_said = matches!(resolution.verdict, Verdict::NotYet { .. });
    for call in left.iter().flatten().filter(|_| !is_said) {
        let (line, advice) = (journal::line(call), after(&resolution, call, &(&args.client).into()));
        // Writing to a String does not fail.
        let _ = write!(text, "\n{WARN}still pending{WARN:#}: a change\n  {line}\n    {advice}");
    }
    if let Some(end) = end {
        value["expires_at"] = end.into();
        value["next_command"] = next.into();
    }
    Ok(Finding { value, text, failure, journal_error })
}

/// Verifies an installed TIP key, which costs no try, if a change may still be carried out otherwise: the verification's iterator
/// is greater. Returns why the journal failed, if it did.
fn settle_installed(client: &Client, key: &TipKey, journal: &Journal) -> Option<String> {
    let is_left = |call: &PendingCall| call.kind == CallKind::UpdatePin && call.under_way_for.is_none();
    match client.pending() {
        Ok(calls) if calls.iter().any(is_left) => {}
        Ok(_) => return None,
        Err(error) => return Some(error.to_string()),
    }
    match send_known(|| client.verify_tip(key)) {
        Ok(_) => journal.forget_changes(client).err().map(|error| error.to_string()),
        Err(error) => {
            output::warn(&format!("the new key is installed, and verifying it failed: {error}"));
            None
        }
    }
}

/// The changes that the journal still has, and why it failed first, if it did. None if it cannot be read.
fn left(client: &Client, error: Option<String>) -> (Option<Vec<PendingCall>>, Option<String>) {
    let (left, read_error) = match client.pending() {
        Ok(calls) => (Some(calls), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let left = left.map(|calls| calls.into_iter().filter(|call| call.kind == CallKind::UpdatePin).collect());
    (left, error.or(read_error))
}

/// What to do about a change that is still in the journal after the verdict.
fn after(resolution: &Resolution, call: &PendingCall, scene: &Scene<'_>) -> String {
    let verdict = &resolution.verdict;
    let is_known = matches!(verdict, Verdict::Applied(_) | Verdict::NotApplied(_));
    let is_neither = matches!(verdict, Verdict::Neither);
    let has_expired = now().is_ok_and(|now| now.secs() >= call.expires_at.secs());
    let (advice, removal) = (|| journal::advice(call, Some(scene)), || journal::removal(call, Some(scene)));
    if call.under_way_for.is_some() {
        advice()
    } else if resolution.settled(slice::from_ref(call)).next().is_some() {
        format!("it is settled; {}", removal())
    } else if is_known || is_neither && !has_expired {
        let command = journal::next(call, Some(scene)).unwrap_or_else(|| "mixin-pin resolve".to_owned());
        let end = date(call.expires_at);
        format!("it may still be carried out until some seconds after {end}; then, {SETTLED_BY}{command}")
    } else if is_neither {
        format!("{}; or, if another client has set the PIN, {}", advice(), removal())
    } else {
        advice()
    }
}

/// The same command with the expiry of the lost request's token, which must not move.
fn run_again(args: &ResolveArgs, expires_at: &str) -> Option<String> {
    let tip = if args.tip.is_wanted() { args.tip.flag() } else { &[] };
    next_command("resolve", &(&args.client).into(), &[&[NEW_USER], tip, &[EXPIRES_AT, expires_at]].concat())
}

fn old_tip_key(key: &SpendKey, installed: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
    // If neither reading matches, a new key is already installed, and either reading will do.
    key.to_tip_key(installed).or_else(|_| pins::tip_key(key, None, "old spend key"))
}
