//! `inspect`: reports on a captured request.

use std::fmt::Write as _;
use std::path::Path;

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519PublicKey, Session, UnixTime};
use mixin_pin_protocol::inspect::{CapturedRequest, Known, Level, PinReport, Report, inspect};
use mixin_pin_protocol::keystore::KeystoreShape;
use mixin_pin_protocol::{CurlError, Shown};
use serde_json::{Value, json};

use crate::args::InspectArgs;
use crate::error::Error;
use crate::files::{self, MAX_CAPTURE, MAX_KEYSTORE};
use crate::keystore;
use crate::output::{BAD, DIM, GOOD, Output, WARN};
use crate::time::{calendar, now};

pub(crate) fn run(args: &InspectArgs, output: &Output) -> Result<(), Error> {
    let request = captured(args)?;
    let mut key = args.public_key.as_deref().map(public_key).transpose()?;
    let mut tip_key = args.tip_key.as_deref().map(Ed25519PublicKey::from_text).transpose().map_err(Error::PublicKey)?;
    let mut session = None;
    if let Some(path) = &args.keystore {
        let mut keystore = keystore::read(path)?;
        key = key.or_else(|| keystore.public_key());
        if tip_key.is_none()
            && let Some(spend_key) = keystore.take_spend_key()
        {
            tip_key = Some(spend_key.to_tip_key(None)?.public_key().clone());
        }
        // An OAuth authorization has no PIN.
        if keystore.shape() != KeystoreShape::OAuth {
            session = Some(keystore::into_unsigned_session(path, keystore)?);
        }
    }
    let known =
        Known { public_key: key.as_ref(), pin_key: session.as_ref().map(Session::pin_key), tip_key: tip_key.as_ref() };
    let at = args.at.map_or_else(now, |at| Ok(UnixTime::from_secs(at)))?;
    let report = inspect(&request, &known, at)?;
    output.result(&json!(report), || describe(&request, &report, at))?;
    if report.is_valid() { Ok(()) } else { Err(Error::DoesNotHold) }
}

fn captured(args: &InspectArgs) -> Result<CapturedRequest, Error> {
    match (&args.curl, &args.token, &args.method, &args.path) {
        (Some(file), ..) => Ok(CapturedRequest::from_curl(&files::read_text(file, MAX_CAPTURE)?)?),
        (None, Some(token), Some(method), Some(path)) => Ok(CapturedRequest {
            method: method.clone(),
            path: path.clone(),
            body: args.body.as_deref().map(files::read).transpose()?.unwrap_or_default(),
            token: token.clone(),
            request_id: None,
            plain_http: false,
        }),
        // The parser of the command line rules this out.
        _ => Err(CurlError::Missing.into()),
    }
}

/// Parses a key, or reads a file with one.
fn public_key(text: &str) -> Result<VerifyingKey, Error> {
    VerifyingKey::from_text(text).or_else(|cause| {
        let path = Path::new(text);
        if path.exists() {
            VerifyingKey::from_text(&files::read_text(path, MAX_KEYSTORE)?).map_err(Error::PublicKey)
        } else {
            Err(Error::PublicKey(cause))
        }
    })
}

/// The report as text: the verdict, the findings, then the request.
fn describe(request: &CapturedRequest, report: &Report, at: UnixTime) -> String {
    let (style, verdict) = if report.is_valid() { (GOOD, "HOLDS") } else { (BAD, "DOES NOT HOLD") };
    let mut text = format!("{style}{verdict}{style:#}  checked as of {}\n", date(at.secs()));
    // Writing to a String does not fail.
    for finding in &report.findings {
        let (style, word) = match finding.level {
            Level::Fail => (BAD, "fail"),
            Level::Warn => (WARN, "warn"),
            Level::Info => (DIM, "info"),
        };
        let _ = write!(text, "\n  {style}{word}{style:#}  {}", Shown(&finding.text));
    }
    if report.findings.is_empty() {
        text.push_str("\n  no problems found");
    }
    text.push('\n');

    let rows = rows(request, report);
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in rows {
        let _ = write!(text, "\n  {name:<width$}  {}", Shown(&value));
    }
    text
}

fn rows<'r>(request: &CapturedRequest, report: &'r Report) -> Vec<(&'r str, String)> {
    let claim = |name: &str| match report.claims.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "(absent)".to_owned(),
    };
    let hash = if report.request_hash.matches { "matches" } else { "differs" };
    let signature = match report.signature.valid {
        Some(true) => "valid",
        Some(false) => "not valid",
        None => "not checked: give --public-key or --keystore",
    };
    let mut rows = vec![
        ("request", format!("{} {}", request.method, request.path)),
        ("algorithm", report.alg.clone()),
        ("user", claim("uid")),
        ("session", claim("sid")),
        ("request id", claim("jti")),
        ("issued", time(&report.claims, "iat")),
        ("expires", format!("{}{}", time(&report.claims, "exp"), if report.expired { ", expired" } else { "" })),
        ("hash", format!("{hash} ({})", report.request_hash.computed)),
        ("signature", signature.to_owned()),
    ];
    rows.extend(report.pins.iter().map(|pin| (pin.field.as_str(), describe_pin(pin))));
    rows
}

fn describe_pin(pin: &PinReport) -> String {
    let mut text = pin.bytes.map_or_else(|| "not readable".to_owned(), |bytes| format!("{bytes} bytes"));
    let _ = write!(text, ", {}", pin.kind);
    let Some(decrypted) = &pin.decrypted else { return text };
    let _ = write!(text, ", encrypted {}, iterator {}", date(decrypted.timestamp), decrypted.iterator);
    if let Some(counter) = decrypted.counter {
        let _ = write!(text, ", counter {counter}");
    }
    if let Some(holds) = decrypted.signature_holds {
        text.push_str(if holds { ", signature holds" } else { ", signature does not hold" });
    }
    text
}

fn time(claims: &serde_json::Map<String, Value>, name: &str) -> String {
    let Some(seconds) = claims.get(name).and_then(Value::as_i64) else { return "(absent)".to_owned() };
    u64::try_from(seconds).map_or_else(|_| seconds.to_string(), date)
}

/// Unix seconds as a date, or as a number if they are beyond the calendar.
fn date(seconds: u64) -> String {
    calendar(UnixTime::from_secs(seconds)).map_or_else(|| seconds.to_string(), |time| format!("{time} ({seconds})"))
}
