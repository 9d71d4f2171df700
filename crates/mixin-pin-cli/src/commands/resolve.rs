//! `resolve`: what became of an `update` whose answer was lost.

use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, Pin, UnixTime};
use mixin_pin_http::{Credential, Verdict};
use mixin_pin_protocol::keystore::SpendKey;
use serde_json::json;

use super::{EXPIRES_AT, NEW_USER, calling, next_command, open, tip};
use crate::args::ResolveArgs;
use crate::error::Error;
use crate::output::{self, GOOD, Output, WARN};
use crate::pins;

/// A PIN of either kind, to be borrowed from.
enum Owned {
    Digits(Pin),
    Tip(Box<TipKey>),
}

impl Owned {
    const fn as_credential(&self) -> Credential<'_> {
        match self {
            Self::Digits(pin) => Credential::Digits(pin),
            Self::Tip(key) => Credential::Tip(key),
        }
    }
}

pub(crate) fn run(args: &ResolveArgs, output: &Output) -> Result<(), Error> {
    let (client, mut spend_key) = open(&args.client)?;
    // The server's key tells which reading of the old one fits.
    let installed = if args.old_tip { tip::installed(&calling(|| client.me())?) } else { None };
    // In the order of `update`: the old one first.
    let old = if args.new_user {
        None
    } else if args.old_tip {
        let key = match spend_key.take() {
            Some(key) => key,
            None => pins::spend_key(args.tip.spend_key_stdin, "old spend key")?,
        };
        Some(Owned::Tip(Box::new(read(&key, installed.as_ref())?)))
    } else {
        Some(Owned::Digits(pins::read(&args.source, "old PIN")?))
    };
    let new = if args.tip.is_wanted() {
        let key = tip::chosen(args.tip.spend_key_stdin, spend_key, "new spend key")?;
        Owned::Tip(Box::new(key.to_tip_key(None)?))
    } else {
        Owned::Digits(pins::read(&args.source, "new PIN")?)
    };

    let old = old.as_ref().map(Owned::as_credential);
    let plan = calling(|| client.resolve_update(old, new.as_credential(), args.expires_at.map(UnixTime::from_secs)))?;
    let may_cost = plan.may_cost();
    if may_cost > 0 {
        output::warn(&format!("finding out may cost up to {may_cost} of the day's tries"));
    }
    let resolution = calling(|| plan.settle())?;
    let (mut next, mut end) = (None, None);
    let (word, text, failure) = match &resolution.verdict {
        Verdict::Applied(_) => ("applied", format!("{GOOD}applied{GOOD:#}: the new PIN holds"), None),
        Verdict::NotApplied(_) => {
            let holds = if old.is_some() { "the old PIN holds" } else { "there is still no PIN" };
            ("not-applied", format!("{GOOD}not applied{GOOD:#}, and it will not be: {holds}"), None)
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
            let text = format!("{WARN}neither{WARN:#}: the PIN is another than the old one and the new one");
            ("neither", text, Some(Error::DoesNotHold))
        }
        Verdict::Unproven => {
            let text = format!(
                "{WARN}still unknown{WARN:#}: no PIN was accepted, and the answers do not say why. They may be wrong, another \
                 client's iterators may be ahead (mixin-pin explain 20119), or a proxy on the way sends each request twice"
            );
            ("unproven", text, Some(Error::Unresolved))
        }
        Verdict::TriesSpent => {
            let text = format!("{WARN}the day's tries are spent{WARN:#}: resolve again tomorrow");
            ("tries-spent", text, Some(Error::Unresolved))
        }
        _ => {
            let text = format!("{WARN}still unknown{WARN:#}: the answer to the proof was lost, too; resolve again");
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
    output.result(&value, || format!("{text} (tries spent: {spent} at the most)"))?;
    failure.map_or(Ok(()), Err)
}

/// The same once more, with the end of the lost request's token, so that it does not move.
fn run_again(args: &ResolveArgs, expires_at: &str) -> Option<String> {
    let tip = if args.tip.is_wanted() { tip::flag(&args.tip) } else { &[] };
    next_command("resolve", &args.client, &[&[NEW_USER], tip, &[EXPIRES_AT, expires_at]].concat())
}

fn read(key: &SpendKey, installed: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
    // Where it fits neither way, the key has been changed already: then any reading will do.
    Ok(key.to_tip_key(installed).or_else(|_| key.to_tip_key(None))?)
}
