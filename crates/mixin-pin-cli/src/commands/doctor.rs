//! `doctor`: whether all that a PIN call needs is there, before one is made.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anstyle::Style;
use mixin_pin_core::Session;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_http::{Client, ClockOffset, DEFAULT_API, Error as HttpError};
use mixin_pin_protocol::answer::User;
use mixin_pin_store::AnyStore;
use serde_json::json;

use super::settings;
use super::store::place;
use crate::args::{ClientArgs, StoreArgs};
use crate::error::Error;
use crate::files;
use crate::keystores::{self, Facts};
use crate::output::{BAD, DIM, GOOD, Output, Slow, WARN};
use crate::store::{self, MEMORY};
use crate::time::now;

/// From here on the sealed timestamp of a PIN may be refused.
const CLOCK_LIMIT: Duration = Duration::from_secs(300);
/// From here on somebody should look at the clock.
const CLOCK_NOTICE: Duration = Duration::from_secs(5);

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
    output.result(&json!({ "healthy": bad == 0, "checks": checks }), || report.describe())?;
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
            None => self.add("permissions", Verdict::Ok, format!("only its owner can read {}", path.display())),
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
        if args.store.as_deref() == Some(MEMORY) {
            return self.add("store", Verdict::Warn, "none: right where nothing else ever uses the session");
        }
        let known = store::kept(args).and_then(|kept| {
            let record = kept.sessions()?.into_iter().find(|record| Some(record.session_id) == session_id);
            Ok((place(&kept), record, matches!(kept, AnyStore::Sqlite(_))))
        });
        match known {
            Err(error) => self.add("store", Verdict::Bad, error.to_string()),
            Ok((place, Some(record), _)) => {
                let is_ahead = now().and_then(|now| Ok(record.last_iterator > now.as_nanos()?)).unwrap_or(false);
                if is_ahead {
                    let text = format!(
                        "{place}: the session's last iterator is ahead of this clock; if the clock is right, run: \
                         mixin-pin store reset {}",
                        record.session_id
                    );
                    self.add("store", Verdict::Warn, text);
                } else {
                    self.add("store", Verdict::Ok, format!("{place}: knows the session"));
                }
            }
            Ok((place, None, is_local)) => {
                let more = if is_local { "; where another machine uses it too, give both one store" } else { "" };
                self.add("store", Verdict::Ok, format!("{place}: the session is new here{more}"));
            }
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
                self.add("server", Verdict::Bad, format!("{}: {error}{proxy}", args.api.url));
                return self.skip(&["clock", "session"], "needs the server");
            }
        };
        let sandbox = if args.api.url == DEFAULT_API { "" } else { ", which is not Mixin's own" };
        self.add("server", Verdict::Ok, format!("{} answers{sandbox}", args.api.url));
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
            (0, 0) => write!(text, "\nAll is well."),
            (0, _) => write!(text, "\nPIN calls will work; {warned} to think about."),
            _ => write!(text, "\n{bad} to mend before a PIN is sent."),
        };
        text
    }
}

fn describe(user: &User) -> String {
    let pin = match (user.has_pin, user.tip_key_base64.is_empty()) {
        (_, false) => "a TIP key is installed",
        (true, true) => "a PIN is set",
        (false, true) => "no PIN is set: mixin-pin update --new-user makes one",
    };
    format!(
        "accepted, for {}; {pin}",
        if user.full_name.is_empty() { "a user without a name" } else { &user.full_name }
    )
}
