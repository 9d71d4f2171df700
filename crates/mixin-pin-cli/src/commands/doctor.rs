//! `doctor`: checks everything that a PIN call needs, without making one.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anstyle::Style;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Session, SystemRng, UnixTime};
use mixin_pin_http::{Client, ClockOffset, DEFAULT_API, Error as HttpError, Probe};
use mixin_pin_protocol::answer::{ErrorCode, Reason, User};
use mixin_pin_protocol::keystore::KeystoreShape;
use mixin_pin_protocol::{Shown, TokenFault};
use mixin_pin_store::{CallKind, MAX_LEAP, PendingCall, Place, SessionRecord};
use serde_json::json;

use crate::args::{ApiArgs, ClientArgs};
use crate::client::{self, store_name};
use crate::error::Error;
use crate::journal::SETTLED_BY;
use crate::outcome::{next_command, store_command};
use crate::output::{BAD, DIM, GOOD, Output, Progress, WARN};
use crate::redact::ShownPath;
use crate::time::{now, server_time, span};
use crate::{files, journal, keystore};

/// Beyond this offset the server may refuse the timestamp in an encrypted PIN.
const CLOCK_LIMIT: Duration = Duration::from_secs(300);
/// Beyond this offset the clock deserves a warning.
const CLOCK_NOTICE: Duration = Duration::from_secs(5);

/// The checks that ask the server.
const SERVER_CHECKS: &[&str] = &["server", "clock", "session", "PIN key"];

/// Facts that only the server knows.
const UNSEEN: &str = "Not visible from here: whether another client of this session has used greater iterators; the server \
                      then refuses PINs with 20119 (mixin-pin help store raise).";

pub(crate) fn run(args: &ClientArgs, output: &Output) -> Result<(), Error> {
    let mut report = Report::default();
    let path = &args.session.keystore;
    report.permissions(path);
    let found = report.keystore(path);
    let record = report.store(args, found.as_ref().map(|(session_id, _)| *session_id));
    let offset = match found {
        Some((_, Some(sessions))) => report.server(sessions, args),
        Some((_, None)) => {
            report.skip(SERVER_CHECKS, "needs the private key");
            None
        }
        None => {
            report.skip(SERVER_CHECKS, "needs the keystore");
            None
        }
    };
    if let Some(record) = record {
        report.last_use(&record, offset, args);
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
    /// The finding, and what to do about it.
    text: String,
}

impl Check {
    fn to_json(&self) -> serde_json::Value {
        json!({ "name": self.name, "verdict": self.verdict.word(), "text": self.text })
    }
}

/// The checks so far.
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
        if files::is_stdin(path) {
            return self.skip(&["permissions"], "the keystore is read from standard input, which has none");
        }
        if path.metadata().is_err() {
            return self.skip(&["permissions"], "needs the keystore");
        }
        match files::exposure(path) {
            Some(warning) => self.add("permissions", Verdict::Bad, warning),
            None => self.add("permissions", Verdict::Ok, format!("only its owner can read {}", ShownPath(path))),
        }
    }

    /// Reads the keystore. Returns the session's id, and the session unless a remote signer has its private key.
    fn keystore(&mut self, path: &Path) -> Option<(Uuid, Option<Sessions>)> {
        let read = || {
            let text = keystore::read_text_quietly(path)?;
            Ok((keystore::parse(path, &text)?, keystore::parse(path, &text)?))
        };
        let (mut keystore, again) = match read() {
            Ok(keystores) => keystores,
            Err(error) => return self.unusable(&error),
        };
        let (shape, holds_pin, pin_token) = (keystore.shape(), keystore.holds_pin(), keystore.pin_token());
        let notes = keystore.notes().to_vec();
        let unusable_spend_key = keystore::unusable_spend_key(&mut keystore);
        let rsa_bits = keystore.public_key().as_ref().and_then(keystore::rsa_bits);
        if shape == KeystoreShape::RemoteSigner {
            let session_id = keystore.session_id();
            let text = format!(
                "complete: {shape}, session {session_id}; check the rest with the program that calls this signer"
            );
            self.add("keystore", Verdict::Warn, text);
            return Some((session_id, None));
        }
        let sessions = keystore::into_session(path, keystore).and_then(|session| {
            Ok(Sessions {
                session,
                again: keystore::into_session(path, again)?,
                pin_token: pin_token.unwrap_or_default(),
            })
        });
        let sessions = match sessions {
            Ok(sessions) => sessions,
            Err(error) => return self.unusable(&error),
        };
        let session_id = sessions.session.session_id();
        self.add("keystore", Verdict::Ok, format!("complete: {shape}, session {session_id}"));
        for note in notes {
            let verdict = if note.is_doubtful() { Verdict::Warn } else { Verdict::Ok };
            self.add("reading", verdict, note.to_string());
        }
        if let Some(text) = unusable_spend_key {
            self.add("spend key", Verdict::Warn, text);
        }
        if holds_pin {
            let text =
                "the keystore holds a PIN: anyone who reads the file has both key and PIN. Remove the PIN from it";
            self.add("pin", Verdict::Warn, text);
        }
        match rsa_bits {
            Some(bits) if bits < 2048 => {
                let text = format!(
                    "a state could break RSA of {bits} bits; mixin-pin session upgrade makes an Ed25519 session of it"
                );
                self.add("key", Verdict::Warn, text);
            }
            Some(bits) => self.add("key", Verdict::Ok, format!("RSA of {bits} bits")),
            None => self.add("key", Verdict::Ok, "Ed25519"),
        }
        Some((session_id, Some(sessions)))
    }

    fn unusable(&mut self, error: &Error) -> Option<(Uuid, Option<Sessions>)> {
        self.add("keystore", Verdict::Bad, error.to_string());
        None
    }

    /// Checks the store. Returns what it knows of the session.
    fn store(&mut self, args: &ClientArgs, session_id: Option<Uuid>) -> Option<SessionRecord> {
        let known = client::open_store_quietly(&args.store).and_then(|store| {
            let record = store.sessions()?.into_iter().find(|record| Some(record.session_id) == session_id);
            let risks = store.risks()?;
            let pending = session_id.map(|session_id| store.pending(session_id)).transpose()?;
            // Reading does not show that a store can be written. There is no such call, so this changes nothing.
            store.settle(session_id.unwrap_or_default(), Uuid::nil())?;
            Ok((store, record, risks, pending))
        });
        let (store, record, risks, pending) = match known {
            Ok((store, ..)) if store.place() == Place::Memory => {
                self.add("store", Verdict::Warn, "none: correct only if nothing else ever uses the session");
                return None;
            }
            Ok(known) => known,
            Err(error) => {
                self.add("store", Verdict::Bad, error.to_string());
                return None;
            }
        };
        let (verdict, text) = match &record {
            None if matches!(store.place(), Place::File(_)) => {
                (Verdict::Ok, "the session is new here; if another machine uses it too, give both one store".to_owned())
            }
            None => (Verdict::Ok, "the session is new here".to_owned()),
            Some(record) => known_session(record, args.store.store.as_deref()),
        };
        // The command uses every database with `Durability::PowerCut`. Other findings end with a command.
        let durability = match (store.place(), verdict) {
            (Place::File(_), Verdict::Ok) => "; an iterator and its call are on the disk before the PIN is sent",
            _ => "",
        };
        self.add("store", verdict, format!("{}: {text}{durability}", store_name(&*store)));
        for risk in risks {
            self.add("store risk", Verdict::Warn, risk.to_string());
        }
        if let Some(calls) = pending {
            self.pending(&calls, args);
        }
        record
    }

    /// Reports a last iterator that is far behind the server's clock, or this one if the server's is unknown.
    fn last_use(&mut self, record: &SessionRecord, offset: Option<ClockOffset>, args: &ClientArgs) {
        // Other checks report a clock that cannot be used.
        let Ok(now) = now().and_then(UnixTime::as_nanos) else { return };
        let whose = if offset.is_some() { "the server's" } else { "this" };
        let behind = Duration::from_nanos(server_time(now, offset).saturating_sub(record.last_iterator));
        if behind <= MAX_LEAP {
            return;
        }
        let session_id = record.session_id.to_string();
        let raise = next_command("store raise", &args.into(), &[&session_id, "--to-server-time"])
            .unwrap_or_else(|| format!("mixin-pin store raise {session_id} --to-server-time"));
        let text = format!(
            "the session's last iterator is {} behind {whose} clock: the session was not used since then, or the store was \
             restored from a backup. After a restore, calls made since the backup are not listed as pending: look for them \
             yourself. The next iterator comes from the clock; if Mixin refuses it with 20119, run: {raise}",
            span(behind)
        );
        self.add("last use", Verdict::Warn, text);
    }

    fn pending(&mut self, calls: &[PendingCall], args: &ClientArgs) {
        let command = |name| next_command(name, &args.into(), &[]).unwrap_or_else(|| format!("mixin-pin {name}"));
        let is_change = |call: &PendingCall| call.kind == CallKind::UpdatePin && call.under_way_for.is_none();
        let found = journal::count(calls.len());
        // After a lost change, a PIN that is sent may be a wrong one.
        let (verdict, text) = if calls.is_empty() {
            (Verdict::Ok, "no call has an unknown outcome".to_owned())
        } else if calls.iter().any(is_change) {
            (Verdict::Bad, format!("{found}, with a change of the PIN; {SETTLED_BY}{}", command("resolve")))
        } else {
            (Verdict::Warn, format!("{found}; run: {}", command("pending")))
        };
        self.add("pending", verdict, text);
    }

    /// Makes calls that read, which cost no try. Returns how far the server's clock is from this one.
    fn server(&mut self, sessions: Sessions, args: &ClientArgs) -> Option<ClockOffset> {
        let Sessions { session, again, pin_token } = sessions;
        let probe = match probe(client::without_store(session, &args.api)) {
            Ok(probe) => probe,
            Err(error) => {
                self.add("server", Verdict::Bad, format!("{}: {error}", Shown(&args.api.url)));
                self.skip(&SERVER_CHECKS[1..], "needs the server");
                return None;
            }
        };
        let sandbox = if args.api.url == DEFAULT_API { "" } else { ", which is not Mixin's own" };
        self.add("server", Verdict::Ok, format!("{} answers{sandbox}", Shown(&args.api.url)));
        self.clock(probe.clock);
        let error = match probe.user {
            Ok(user) => {
                self.add("session", Verdict::Ok, describe(&user));
                self.pin_key(&again, &user);
                return probe.clock;
            }
            Err(error) => error,
        };
        let is_clock_wrong = probe.clock.is_some_and(|offset| offset.distance() > CLOCK_LIMIT);
        let text = match &error {
            _ if is_clock_wrong => error.to_string(),
            HttpError::Protocol(error)
                if matches!(
                    error.reason(),
                    Some(Reason::Token(TokenFault::Signature | TokenFault::Algorithm))
                ) =>
            {
                "not accepted by this server (code 401): the private key in the keystore is not the session's; another key may have \
                 replaced it, so look for the newer keystore, or use the session's own as it was created"
                    .to_owned()
            }
            _ if !is_unknown_session(&error) => error.to_string(),
            _ => format!("not accepted by this server (code 401): {}", why_unknown(again, &pin_token, &args.api)),
        };
        self.add("session", Verdict::Bad, text);
        self.skip(&["PIN key"], "needs the session");
        probe.clock
    }

    /// Compares the session's PIN key with the one that the server's answer stands for.
    fn pin_key(&mut self, session: &Session, user: &User) {
        let tokens = [&user.pin_token, &user.pin_token_base64];
        let mut tokens = tokens.into_iter().filter(|token| !token.is_empty()).peekable();
        if tokens.peek().is_none() {
            let text = "not checked: the server's answer has no pin_token to compare it with";
            return self.add("PIN key", Verdict::Skipped, text);
        }
        // A token that cannot be read is of another kind of session, which says nothing about this one.
        let are_same = SystemRng::new().map(|mut rng| {
            let keys = tokens.filter_map(|token| session.unwrap_pin_token(token, &mut rng).ok());
            keys.map(|key| key.is_same(session.pin_key())).reduce(|one, other| one || other)
        });
        match are_same {
            Ok(None) => {
                let text = "not checked: the server's pin_token is not one of a session like this";
                self.add("PIN key", Verdict::Skipped, text);
            }
            Ok(Some(true)) => self.add("PIN key", Verdict::Ok, "the server has the same"),
            Ok(Some(false)) => {
                let text = "not the one that the server's pin_token stands for: PINs would be encrypted under a key that the \
                            server does not have; send none. Use the session's own keystore as it was created, or register a \
                            new session";
                self.add("PIN key", Verdict::Bad, text);
            }
            Err(error) => self.add("PIN key", Verdict::Bad, error.to_string()),
        }
    }

    fn clock(&mut self, offset: Option<ClockOffset>) {
        let Some(offset) = offset else {
            return self.add("clock", Verdict::Skipped, "the server does not tell its time");
        };
        let distance = offset.distance();
        if distance > CLOCK_LIMIT {
            self.add("clock", Verdict::Bad, format!("{offset}: PINs will be refused; set this machine's clock"));
        } else if distance > CLOCK_NOTICE {
            self.add("clock", Verdict::Warn, format!("{offset}; use NTP to keep this machine's clock right"));
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
            (0, 0) => write!(text, "\nNo problems found.\n{UNSEEN}"),
            (0, _) => write!(text, "\nNo problems found; {warned} to consider.\n{UNSEEN}"),
            _ => write!(text, "\n{bad} to fix before a PIN is sent."),
        };
        text
    }
}

/// The session, read twice: a client takes one.
struct Sessions {
    session: Session,
    again: Session,
    /// The keystore's own PIN token.
    pin_token: String,
}

fn probe(client: Result<Client, Error>) -> Result<Probe, Error> {
    let client = client?;
    let _progress = Progress::new("asking the server");
    Ok(client.probe()?)
}

/// Whether a refusal may mean that the server does not know the session. Only a sandbox names another reason.
fn is_unknown_session(error: &HttpError) -> bool {
    let HttpError::Protocol(error) = error else { return false };
    error.api_error().is_some_and(|api| api.code == ErrorCode::Unauthorized)
        && error.reason().is_none_or(|reason| reason == Reason::Session)
}

/// Why the server may not know the session. Tries it with user and session id exchanged: both are UUIDs, and no other check
/// tells them apart.
fn why_unknown(session: Session, pin_token: &str, api: &ApiArgs) -> String {
    let exchanged = SystemRng::new().map_err(Error::from).and_then(|mut rng| {
        let pin_key = session.unwrap_pin_token(pin_token, &mut rng)?;
        let (user_id, session_id) = (session.session_id(), session.user_id());
        let (_, signer) = session.replace_signer(());
        probe(client::without_store(Session::from_parts(user_id, session_id, signer, pin_key), api))
    });
    let ids = match exchanged.map(|probe| probe.user) {
        Ok(Ok(_)) => {
            return "the keystore has user id and session id exchanged, because the server accepts them the other way round; exchange \
                    the two values in the keystore"
                .to_owned();
        }
        Ok(Err(error)) if is_unknown_session(&error) => "with user id and session id exchanged it is refused too",
        _ => "user id and session id may be exchanged, which could not be tried",
    };
    format!(
        "likely causes: the session was replaced or signed out, the keystore is of another server than --api, or an id or the \
         private key in it is of another session; {ids}"
    )
}

/// The finding about a session that the store knows.
fn known_session(record: &SessionRecord, store: Option<&str>) -> (Verdict, String) {
    let SessionRecord { session_id, last_iterator, raised_to, .. } = record;
    // Other checks report a clock that cannot be used.
    let Ok((now, nanos)) = now().and_then(|now| Ok((now, now.as_nanos()?))) else {
        return (Verdict::Ok, "knows the session".to_owned());
    };
    let ahead = Duration::from_nanos(last_iterator.saturating_sub(nanos));
    if ahead.is_zero() {
        return (Verdict::Ok, "knows the session".to_owned());
    }
    let session_id = session_id.to_string();
    let reset = store_command(&["store", "reset", &session_id], store);
    let ahead = format!("the session's last iterator is {} ahead of this clock", span(ahead));
    if record.is_refused(now) {
        let to = last_iterator.to_string();
        let far_ahead = store_command(&["store", "raise", &session_id, "--to", &to, "--far-ahead"], store);
        let text = format!(
            "{ahead}, too far to follow; set the clock right, or if it is right, run: {reset}; \
             if another client of the session has used such iterators, run: {far_ahead}"
        );
        return (Verdict::Bad, text);
    }
    let raised = if raised_to.is_some() { ", and its owner has raised it" } else { "" };
    let text = format!("{ahead}{raised}; to let the clock lead again, run: {reset}");
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
