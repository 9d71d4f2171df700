//! `inspect`: a report on a captured request.

use std::fmt::Write as _;
use std::path::Path;

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519PublicKey, Session, UnixTime};
use mixin_pin_protocol::inspect::{CapturedRequest, Known, Level, Report, inspect};
use serde_json::{Value, json};

use super::now;
use crate::args::InspectArgs;
use crate::error::Error;
use crate::files;
use crate::output::{BAD, DIM, GOOD, Output, WARN};

pub(crate) fn run(args: &InspectArgs, output: &Output) -> Result<(), Error> {
    let request = captured(args)?;
    let mut key = args.public_key.as_deref().map(public_key).transpose()?;
    let mut tip_key = args.tip_key.as_deref().map(Ed25519PublicKey::from_text).transpose().map_err(Error::PublicKey)?;
    let mut session = None;
    if let Some(path) = &args.keystore {
        let mut keystore = files::keystore(path)?;
        key = key.or_else(|| Some(keystore.public_key()));
        if tip_key.is_none()
            && let Some(spend_key) = keystore.take_spend_key()
        {
            tip_key = Some(spend_key.to_tip_key(None)?.public_key().clone());
        }
        session = Some(files::open(path, keystore)?);
    }
    let known =
        Known { public_key: key.as_ref(), pin_key: session.as_ref().map(Session::pin_key), tip_key: tip_key.as_ref() };
    let at = args.at.map_or_else(now, |at| Ok(UnixTime::from_secs(at)))?;
    let report = inspect(&request, &known, at)?;
    output.result(&json!(report), || describe(&request, &report))?;
    if report.holds() { Ok(()) } else { Err(Error::DoesNotHold) }
}

fn captured(args: &InspectArgs) -> Result<CapturedRequest, Error> {
    match (&args.curl, &args.token, &args.method, &args.path) {
        (Some(file), ..) => Ok(CapturedRequest::from_curl(&files::read_text(file)?)?),
        (None, Some(token), Some(method), Some(path)) => Ok(CapturedRequest {
            method: method.clone(),
            path: path.clone(),
            body: args.body.as_deref().map(files::read).transpose()?.unwrap_or_default(),
            token: token.clone(),
            request_id: None,
            plain_http: false,
        }),
        // The command line was checked for this already.
        _ => Err(Error::Input(mixin_pin_protocol::Error::CurlMissing)),
    }
}

/// A key as text, or a file with one.
fn public_key(text: &str) -> Result<VerifyingKey, Error> {
    VerifyingKey::from_text(text).or_else(|cause| {
        let path = Path::new(text);
        if path.is_file() {
            VerifyingKey::from_text(&files::read_text(path)?).map_err(Error::PublicKey)
        } else {
            Err(Error::PublicKey(cause))
        }
    })
}

fn describe(request: &CapturedRequest, report: &Report) -> String {
    let mut text = if report.holds() {
        format!("{GOOD}HOLDS{GOOD:#}: nothing that could be checked fails")
    } else {
        format!("{BAD}DOES NOT HOLD{BAD:#}")
    };
    let mut row = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = write!(text, "\n  {name:<11}{value}");
    };
    let claim = |name: &str| match report.claims.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "(absent)".to_owned(),
    };
    row("request", &format!("{} {}", request.method, request.path));
    row("algorithm", &report.alg);
    row("user", &claim("uid"));
    row("session", &claim("sid"));
    row("request id", &claim("jti"));
    row("issued", &time(&report.claims, "iat"));
    row("expires", &format!("{}{}", time(&report.claims, "exp"), if report.expired { ", expired" } else { "" }));
    let hash = if report.request_hash.matches { "matches" } else { "differs" };
    row("hash", &format!("{hash} ({})", report.request_hash.computed));
    row(
        "signature",
        match report.signature.valid {
            Some(true) => "valid",
            Some(false) => "not valid",
            None => "not checked",
        },
    );
    for pin in &report.pins {
        let bytes = pin.bytes.map_or_else(|| "not readable".to_owned(), |bytes| format!("{bytes} bytes"));
        let opened = pin.opened.as_ref().map_or_else(String::new, |opened| {
            let signature = match opened.signature_holds {
                Some(true) => ", signature holds",
                Some(false) => ", signature does not hold",
                None => "",
            };
            let counter = opened.counter.map_or_else(String::new, |counter| format!(", counter {counter}"));
            format!(", sealed {}, iterator {}{counter}{signature}", opened.timestamp, opened.iterator)
        });
        row(&pin.field, &format!("{bytes}, {}{opened}", pin.kind));
    }
    for finding in &report.findings {
        let (style, word) = match finding.level {
            Level::Fail => (BAD, "fail"),
            Level::Warn => (WARN, "warn"),
            Level::Info => (DIM, "info"),
        };
        let _ = write!(text, "\n  {style}{word}{style:#}       {}", finding.text);
    }
    text
}

fn time(claims: &serde_json::Map<String, Value>, name: &str) -> String {
    let Some(seconds) = claims.get(name).and_then(Value::as_i64) else { return "(absent)".to_owned() };
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| format!("{seconds} ({time})"))
}
