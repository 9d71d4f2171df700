//! `safe sign`: signs what the policy allows, after it has asked.

use base16ct::lower::encode_string;
use mixin_pin_safe::{
    Approved, Authorization, Class, DetachedSignature, Evidence, Members, MergeError, Payee, SpendKey, ToSign, merge,
};
use serde_json::json;

use super::report::{self, Report};
use super::{Known, OwnedKey};
use crate::args::SafeSignArgs;
use crate::error::Error;
use crate::files::SecretFile;
use crate::output::{self, GOOD, Output};
use crate::pins;
use crate::redact::ShownPath;
use crate::safe::{PolicyFile, RawTransaction, SafeError, Views};
use crate::time::now;

pub(crate) fn sign(args: &SafeSignArgs, output: &Output) -> Result<(), Error> {
    let raw = RawTransaction::read(&args.raw)?;
    let transaction = raw.decode()?;
    let policy = PolicyFile::read(&args.policy)?;
    let out = args.out.as_deref().map(SecretFile::create).transpose()?;
    let views = Views::read(&args.views, &transaction)?;
    let (known, key_of_trace) = Known::read(&args.evidence, true, &transaction)?;
    known.refuse_spent(&transaction)?;
    let (spent, claims) = (known.spent(&transaction)?, known.claims());
    let evidence = Evidence { spent: &spent, receivers: &claims };
    let approved = policy.check(&transaction, &evidence, now()?)?;
    if args.yes {
        refuse_unproven(&approved)?;
    }
    // A key is not typed for what is refused.
    let spend_key = key_of_trace.map_or_else(|| OwnedKey::read(&args.evidence.key), Ok)?;
    let owner = spend_key.key.public_key();
    let to_sign = (0..)
        .zip(views.iter())
        .map(|(input, view)| approved.input(input, view, owner).map_err(|cause| SafeError::Sign { input, cause }))
        .collect::<Result<Vec<_>, _>>()?;
    let existing: Vec<_> = match transaction.authorization() {
        Authorization::Signatures(signatures) => {
            signatures.iter().map(|signature| (signature.input, signature.signer)).collect()
        }
        _ => Vec::new(),
    };
    let is_signed = |to_sign: &&ToSign<'_>| existing.contains(&(to_sign.input(), to_sign.signer()));
    let again = to_sign.iter().filter(is_signed).count();
    if again > 0 {
        output::warn(&format!("this key has signed {again} of {} inputs already", to_sign.len()));
    }
    if !args.yes {
        ask(&approved, &policy)?;
    }
    // The policy may have expired while the command waited for the answer.
    policy.check(&transaction, &evidence, now()?)?;
    let key = SpendKey::new(&spend_key.key);
    let signatures = (0..)
        .zip(&to_sign)
        .map(|(input, to_sign)| to_sign.sign(&key).map_err(|cause| SafeError::Sign { input, cause }))
        .collect::<Result<Vec<DetachedSignature>, _>>()?;
    let merged = merge(&transaction, &spent, &signatures).map_err(SafeError::Merge)?;
    let signed = encode_string(&merged.encode().map_err(|cause| SafeError::Merge(MergeError::Encode(cause)))?);
    let missing = report::missing(&transaction, &merged);
    let most = missing.iter().max().copied().unwrap_or(0);
    if let Some(out) = out {
        out.finish(format!("{signed}\n").as_bytes())?;
    }
    if most > 0 {
        output::warn(&format!("{most} more signature{} needed", if most == 1 { " is" } else { "s are" }));
    }
    let value = json!({
        "hash": approved.hash().to_string(),
        "raw": signed,
        "signatures": report::positions(merged.signatures()),
        "missing": missing,
        "complete": merged.is_complete(),
    });
    output.result(&value, || match &args.out {
        Some(path) => format!("{GOOD}signed{GOOD:#} {} in {}", approved.hash(), ShownPath(path)),
        None => signed.clone(),
    })
}

/// Fails unless all inputs and receivers are proven.
fn refuse_unproven(approved: &Approved<'_, '_>) -> Result<(), SafeError> {
    let effects = approved.effects();
    if !effects.inputs_proven() {
        return Err(SafeError::YesUnproven { output: None, are_users: false });
    }
    match effects.outputs().find(|effect| effect.class != Class::Proven) {
        Some(effect) => {
            let are_users = matches!(effect.to, Payee::Address(to) if matches!(to.members(), Members::Users(_)));
            Err(SafeError::YesUnproven { output: Some(effect.index), are_users })
        }
        None => Ok(()),
    }
}

/// Shows what the transaction does on the terminal that answers.
fn ask(approved: &Approved<'_, '_>, policy: &PolicyFile) -> Result<(), Error> {
    let report = Report::new(approved.effects());
    // The end is seen when the rest has left the screen.
    let text = format!(
        "{}\n{}\nleaves      {} of at most {}\ntype yes to sign: ",
        report.in_text(),
        report.not_proven(),
        approved.leaves(),
        policy.most
    );
    if pins::confirm(&text)? { Ok(()) } else { Err(SafeError::Declined.into()) }
}
