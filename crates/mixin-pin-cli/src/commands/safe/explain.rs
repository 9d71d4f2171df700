//! `safe explain`: what a transaction does, and what is refused under every policy.

use std::fmt::Write as _;
use std::slice;

use mixin_pin_safe::{Effects, Evidence, PointCheck, Receiver, Refusal, SpentOutput};
use serde_json::Value;

use super::Known;
use super::report::{Report, finding};
use crate::args::SafeExplainArgs;
use crate::error::Error;
use crate::output::{self, BAD, Output};
use crate::safe::RawTransaction;

pub(crate) fn explain(args: &SafeExplainArgs, output: &Output) -> Result<(), Error> {
    let raw = RawTransaction::read(&args.raw)?;
    let transaction = raw.decode()?;
    let (known, _) = Known::read(&args.evidence, false, &transaction)?;
    let (mut spent, mut claims) = (known.spent(&transaction)?, known.claims());
    if let Err(spent) = known.refuse_spent(&transaction) {
        output::warn(&spent.to_string());
    }
    let mut findings: Vec<Refusal> = Vec::new();
    // What is false explains nothing, so it is left out, and the rest still counts.
    let mut is_true = |spent: &[SpentOutput<'_>], receivers: &[Receiver<'_>]| {
        let refusal = Effects::of(&transaction, &Evidence { spent, receivers }).err();
        findings.extend(refusal);
        refusal.is_none()
    };
    claims.retain(|claim| is_true(&[], slice::from_ref(claim)));
    if !is_true(&[], &claims) {
        claims.clear();
    }
    if !is_true(&spent, &[]) {
        spent.clear();
    }
    let effects = Effects::of(&transaction, &Evidence { spent: &spent, receivers: &claims })?;
    effects.for_each_refusal(PointCheck::Whole, &mut |refusal| findings.push(refusal));
    let report = Report::new(&effects);
    let mut value = report.in_json();
    value["findings"] = findings.iter().map(finding).collect::<Vec<Value>>().into();
    output.result(&value, || {
        let mut text = report.in_text();
        // Writing to a String does not fail.
        for finding in &findings {
            let _ = write!(text, "\n{BAD}refused{BAD:#}     {finding}");
        }
        if findings.is_empty() {
            text += "\nfindings    none";
        }
        // False spent outputs are a finding already.
        if args.evidence.inputs.is_none() {
            text += report.unchecked();
        }
        text
    })
}
