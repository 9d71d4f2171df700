//! `doctor`: whether all that a PIN call needs is there, before one is made.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anstyle::Style;
use mixin_pin_core::Session;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_http::{Client, ClockOffset, DEFAULT_API, Error as HttpError};
use mixin_pin_protocol::Shown;
use mixin_pin_protocol::answer::User;
use mixin_pin_store::{Place, SessionRecord};
use serde_json::json;

use super::settings;
use super::store::place;
use crate::args::{ClientArgs, StoreArgs};
use crate::error::Error;
use crate::files;
use crate::keystores::{self, Facts};
use crate::output::{BAD, DIM, GOOD, Output, Slow, WARN};
use crate::quoted::ShownPath;
use crate::store;
use crate::time::{now, span};

/// From here on the encrypted timestamp of a PIN may be refused.
const CLOCK_LIMIT: Duration = Duration::from_secs(300);
/// From here on somebody should look at the clock.
const CLOCK_NOTICE: Duration = Duration::from_secs(5);

/// What no check can tell, for only the server knows it.
const UNSEEN: &str = "Not seen from here: whether another client of this session has used greater iterators; the server \
                      then refuses PINs with 20119 (mixin-pin help store raise).";

pub(crate) fn run(args: &ClientArgs, output: &Output) -> Result<(), Error> {
    let mut report = Report::default();
    let path = &args.session.keystore;
    report.permissions(path);
    let session = report.keystore(path);
    let session_id = session.as_ref().map(Session::session_id);
    report.store(&args.store, session_id);
    match session {
        Some(session) => report.server(session, args),
        None => report.skip(&["server", "clock", "session"], "needs the keystore"),
    }

    let bad = report.count(Verdict::Bad);
    let checks: Vec<_> = report.checks.iter().map(Check::to_json).collect();
    output.result(&json!({ "healthy": bad == 0, "checks": checks, "unseen": UNSEEN }), || report.describe())?;
    if bad == 0 { Ok(()) } else { Err(Error::DoesNotHold) }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Bad,
    Skipped,
}

impl Verdict {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Skipped => "skip",
        }
    }

    const fn style(self) -> Style {
        match self {
            Self::Ok => GOOD,
            Self::Warn => WARN,
            Self::Bad => BAD,
            Self::Skipped => DIM,
        }
    }
}

struct Check {
    name: &'static str,
    verdict: Verdict,
    /// What was found, and what to do where something is to be done.
    text: String,
}

impl Check {
    fn to_json(&self) -> serde_json::Value {
        json!({ "name": self.name, "verdict": self.verdict.word(), "text": self.text })
    }
}

/// What was looked at so far.
#[derive(Default)]
struct Report {
    checks: Vec<Check>,
}

impl Report {
    fn add(&mut self, name: &'static str, verdict: Verdict, text: impl Into<String>) {
        self.checks.push(Check { name, verdict, text: text.into() });
    }

    fn skip(&mut self, names: &[&'static str], why: &str) {
        for name in names {
            self.add(name, Verdict::Skipped, why);
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }

    fn permissions(&mut self, path: &Path) {
        if path.metadata().is_err() {
            return self.skip(&["permissions"], "needs the keystore");
        }
        match files::exposure(path) {
            Some(warning) => self.add("permissions", Verdict::Bad, warning),
            None => self.add("permissions", Verdict::Ok, format!("only its owner can read {}", ShownPath(path))),
        }
    }

    /// Reads the keystore and makes its session.
    fn keystore(&mut self, path: &Path) -> Option<Session> {
        let opened = keystores::read_unwarned(path).and_then(|keystore| {
            let facts = Facts::of(&keystore);
            let session = if facts.is_oauth() { None } else { Some(keystores::open(path, keystore)?) };
            Ok((facts, session))
        });
        let (facts, session) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.add("keystore", Verdict::Bad, error.to_string());
                return None;
            }
        };
        if session.is_none() {
            let text = "an OAuth authorization: it has no PIN, and reads what its user allowed";
            self.add("keystore", Verdict::Bad, text);
            return None;
        }
        self.add("keystore", Verdict::Ok, format!("complete: {}, session {}", facts.shape, facts.session_id));
        if facts.holds_pin() {
            let text = "the keystore holds a PIN beside the key: who reads the file has both. Take the PIN out";
            self.add("pin", Verdict::Warn, text);
        }
        match facts.rsa_bits() {
            Some(bits) if bits < 2048 => {
                let text = format!("RSA of {bits} bits is within reach of a state; register a session with Ed25519");
                self.add("key", Verdict::Warn, text);
            }
            Some(bits) => self.add("key", Verdict::Ok, format!("RSA of {bits} bits")),
            None => self.add("key", Verdict::Ok, "Ed25519"),
        }
        session
    }

    fn store(&mut self, args: &StoreArgs, session_id: Option<Uuid>) {
        let known = store::open_unwarned(args).and_then(|store| {
            let record = store.sessions()?.into_iter().find(|record| Some(record.session_id) == session_id);
            let risks = store.risks()?;
            Ok((store, record, risks))
        });
        let (store, record, risks) = match known {
            Ok((store, ..)) if store.place() == Place::Memory => {
                return self.add("store", Verdict::Warn, "none: right where nothing else ever uses the session");
            }
            Ok(known) => known,
            Err(error) => return self.add("store", Verdict::Bad, error.to_string()),
        };
        let (verdict, text) = match record {
            None if matches!(store.place(), Place::File(_)) => (
                Verdict::Ok,
                "the session is new here; where another machine uses it too, give both one store".to_owned(),
            ),
            None => (Verdict::Ok, "the session is new here".to_owned()),
            Some(record) => known_session(&record),
        };
        self.add("store", verdict, format!("{}: {text}", place(&*store)));
        for risk in risks {
            self.add("store risk", Verdict::Warn, risk.to_string());
        }
    }

    /// One call that reads, and so costs no try.
    fn server(&mut self, session: Session, args: &ClientArgs) {
        let probe = settings(Client::builder(session), &args.api).build().and_then(|client| {
            let _slow = Slow::new("asking the server");
            client.probe()
        });
        let probe = match probe {
            Ok(probe) => probe,
            Err(error) => {
                let proxy = match &error {
                    HttpError::Connect(_) => "; is the machine online, and is a proxy needed (HTTPS_PROXY)?",
                    _ => "",
                };
                self.add("server", Verdict::Bad, format!("{}: {error}{proxy}", Shown(&args.api.url)));
                return self.skip(&["clock", "session"], "needs the server");
            }
        };
        let sandbox = if args.api.url == DEFAULT_API { "" } else { ", which is not Mixin's own" };
        self.add("server", Verdict::Ok, format!("{} answers{sandbox}", Shown(&args.api.url)));
        self.clock(probe.clock);
        match probe.user {
            Ok(user) => self.add("session", Verdict::Ok, describe(&user)),
            Err(error) => self.add("session", Verdict::Bad, error.to_string()),
        }
    }

    fn clock(&mut self, offset: Option<ClockOffset>) {
        let Some(offset) = offset else {
            return self.add("clock", Verdict::Skipped, "the server does not name its time");
        };
        let distance = offset.distance();
        if distance > CLOCK_LIMIT {
            self.add("clock", Verdict::Bad, format!("{offset}: PINs will be refused; set this machine's clock right"));
        } else if distance > CLOCK_NOTICE {
            self.add("clock", Verdict::Warn, format!("{offset}; let NTP keep this machine's clock"));
        } else {
            self.add("clock", Verdict::Ok, offset.to_string());
        }
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
        for Check { name, verdict, text: found } in &self.checks {
            let (style, word) = (verdict.style(), verdict.word());
            // Writing to a String does not fail.
            let _ = writeln!(text, "{style}{word:<4}{style:#}  {name:<width$}  {found}");
        }
        let (bad, warned) = (self.count(Verdict::Bad), self.count(Verdict::Warn));
        let _ = match (bad, warned) {
            (0, 0) => write!(text, "\nNothing to mend was found.\n{UNSEEN}"),
            (0, _) => write!(text, "\nNothing to mend was found; {warned} to think about.\n{UNSEEN}"),
            _ => write!(text, "\n{bad} to mend before a PIN is sent."),
        };
        text
    }
}

/// What to say of a session that the store knows.
fn known_session(record: &SessionRecord) -> (Verdict, String) {
    let SessionRecord { session_id, last_iterator, raised_to, .. } = record;
    // Where the clock cannot be used, other checks say so.
    let Ok((now, nanos)) = now().and_then(|now| Ok((now, now.as_nanos()?))) else {
        return (Verdict::Ok, "knows the session".to_owned());
    };
    let ahead = Duration::from_nanos(last_iterator.saturating_sub(nanos));
    if ahead.is_zero() {
        return (Verdict::Ok, "knows the session".to_owned());
    }
    let ahead = format!("the session's last iterator is {} ahead of this clock", span(ahead));
    if record.is_refused(now) {
        let far_ahead = format!("mixin-pin store raise {session_id} --to {last_iterator} --far-ahead");
        let text = format!(
            "{ahead}, too far to be followed; set the clock right, or if it is right, run: mixin-pin store reset \
             {session_id}, or where another client of the session has used such iterators: {far_ahead}"
        );
        return (Verdict::Bad, text);
    }
    let raised = if raised_to.is_some() { ", and its owner has raised it" } else { "" };
    let text = format!("{ahead}{raised}; if the clock is to lead again, run: mixin-pin store reset {session_id}");
    (Verdict::Warn, text)
}

fn describe(user: &User) -> String {
    let pin = match (user.has_pin, user.tip_key_base64.is_empty()) {
        (_, false) => "a TIP key is installed",
        (true, true) => "a PIN is set",
        (false, true) => "no PIN is set: mixin-pin update --new-user makes one",
    };
    format!(
        "accepted, for {}; {pin}",
        if user.full_name.is_empty() { Shown("a user without a name") } else { Shown(&user.full_name) }
    )
}
