//! Settles a change of a session's key: asks the server with the old key and with the new one, which changes nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use base16ct::lower::encode_string;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Session, SessionKey};
use mixin_pin_http::{Client, Error as HttpError, KeyState, KeyVerdict, SessionChange};
use mixin_pin_protocol::KeystoreError;
use mixin_pin_protocol::answer::ErrorCode;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_store::{CallKind, PendingCall};
use serde_json::{Value, json};

use crate::args::ResolveArgs;
use crate::commands::session::UNFINISHED;
use crate::error::{Error, FileProblem, KeystoreProblem};
use crate::guided::{self, Kind, Unfinished};
use crate::outcome::{MEMORY, next_command, send};
use crate::output::{GOOD, WARN};
use crate::redact::{ShownInput, ShownPath};
use crate::time::seconds;
use crate::{files, journal, keystore};

/// What is known of a session's key now.
pub(super) struct Finding {
    pub(super) value: Value,
    pub(super) text: String,
    /// Whether the old keystore works. None if it was not asked for.
    pub(super) old_works: Option<bool>,
    pub(super) is_known: bool,
    pub(super) journal_error: Option<String>,
}

/// A keystore or an unfinished one, with the new key.
struct New {
    path: PathBuf,
    /// The change of an unfinished one, and whether an app's owner makes it.
    unfinished: Option<(Kind, bool)>,
    user_id: Uuid,
    /// Of a keystore its session's id, of an unfinished one the old session's.
    session_id: Uuid,
    key: Ed25519Key,
}

impl New {
    /// Reads the file, or the unfinished one beside it if it is not there.
    fn read(path: &Path) -> Result<Self, Error> {
        let unfinished = files::with_suffix(path, UNFINISHED);
        let is_beside = !files::is_stdin(path) && !files::is_there(path) && files::is_there(&unfinished);
        let path = if is_beside { unfinished } else { path.to_owned() };
        let (text, _) = keystore::read_text(&path)?;
        let keystore = match Keystore::parse(&text) {
            Err(KeystoreError::Unfinished) => {
                let Some(file) = Unfinished::parse(&text) else { return Err(FileProblem::Unfinished.at(&path)) };
                let Unfinished { kind, is_app, user_id, old_session_id: session_id, key } = file;
                return Ok(Self { path, unfinished: Some((kind, is_app)), user_id, session_id, key });
            }
            keystore => keystore.map_err(|cause| KeystoreProblem::Content(cause).at(&path))?,
        };
        let (user_id, session_id) = (keystore.user_id(), keystore.session_id());
        let session = keystore::into_session(&path, keystore)?;
        match session.replace_signer(()).1 {
            SessionKey::Ed25519(key) => Ok(Self { path, unfinished: None, user_id, session_id, key }),
            // A session's key is replaced by an Ed25519 key only.
            _ => Err(KeystoreProblem::NotNew.at(&path)),
        }
    }

    /// Fails if the old session cannot get this key: it is neither the user's nor that of an app of the user.
    fn check(&self, client: &Client, old: &Session) -> Result<(), Error> {
        let is_of_app = self.unfinished.is_none_or(|(_, is_app)| is_app);
        let is_of_user = self.user_id == old.user_id();
        if is_of_user && self.unfinished.is_some() && self.session_id != old.session_id() {
            Err(FileProblem::OtherSession.at(&self.path))
        } else if is_of_user || is_of_app && is_own_app(client, self.user_id, old.user_id())? {
            Ok(())
        } else {
            Err(FileProblem::OtherUser { user_id: self.user_id }.at(&self.path))
        }
    }
}

/// Whether an app is not known to be another user's.
fn is_own_app(client: &Client, app_id: Uuid, user_id: Uuid) -> Result<bool, Error> {
    match send(|| client.app(app_id)) {
        Ok(app) => Ok(app.creator_id.is_none_or(|creator_id| creator_id == user_id)),
        Err(Error::Http(error)) if is_forbidden(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether there is no such app, or none that the user may see.
fn is_forbidden(error: &HttpError) -> bool {
    let code = match error {
        HttpError::Protocol(error) => error.api_error().map(|error| error.code),
        _ => None,
    };
    matches!(code, Some(ErrorCode::Forbidden | ErrorCode::NotFound))
}

/// Finds out which key is the session's. `old` is the session of --keystore, which may be that of an app's owner.
pub(super) fn settle(args: &ResolveArgs, client: &Client, old: &Session) -> Result<Finding, Error> {
    let mut finding = match &args.new_keystore {
        Some(path) => with_both(args, client, old, &New::read(path)?)?,
        None => with_old(args, client, old)?,
    };
    let left: Vec<_> = client.pending()?.into_iter().filter(|call| call.kind == CallKind::ChangeSession).collect();
    finding.value["still_pending"] = left.iter().map(journal::to_json).collect::<Value>();
    for call in &left {
        // Writing to a String does not fail.
        let _ = write!(finding.text, "\n{WARN}still pending{WARN:#}: a change of a key\n  {}", journal::line(call));
    }
    Ok(finding)
}

#[allow(clippy::too_many_lines, reason = "an arm for each verdict")]
fn with_both(args: &ResolveArgs, client: &Client, old: &Session, new: &New) -> Result<Finding, Error> {
    new.check(client, old)?;
    let is_owner = new.user_id != old.user_id();
    let old_session_id = if is_owner { new.session_id } else { old.session_id() };
    let change = SessionChange::new(new.user_id, old_session_id, new.key.public_key()).or_session_ids([new.session_id]);
    // The server refuses the owner's key as the app's, so only the new key can be accepted then.
    let resolution = send(|| client.resolve_session(change, old.signer(), &new.key))?;
    let left = resolution.may_arrive(&client.pending()?);
    // A store in memory lists nothing of another process.
    let is_listed = resolution.is_listed() || args.client.store.store.as_deref() == Some(MEMORY);
    let old_shown =
        if is_owner { "the app's old keystore".to_owned() } else { guided::shown(&args.client.session.keystore) };
    let new_shown = ShownInput(&new.path).to_string();
    // The owner's journal has it then.
    let is_by_owner = !is_owner && matches!(new.unfinished, Some((_, true)));
    let again = new.unfinished.map_or_else(
        || "the session command".to_owned(),
        |(kind, is_app)| format!("the same {}{}", kind.as_str(), if is_app { ", with --owner," } else { "" }),
    );
    let (word, works, text) = match &resolution.verdict {
        KeyVerdict::New(_) if !is_owner && !resolution.is_old_refused() => (
            "both",
            None,
            format!(
                "{WARN}both{WARN:#}: the server accepts {old_shown} and {new_shown}, which are of two sessions, so this does not \
                 tell what became of a change"
            ),
        ),
        KeyVerdict::New(_) if new.unfinished.is_none() && resolution.new_session_id() != Some(new.session_id) => (
            "other-session",
            None,
            format!(
                "{WARN}other session{WARN:#}: the server accepts the key in {new_shown}, but not with the file's session id, so \
                 that file does not work; move it away, and run the session command again"
            ),
        ),
        KeyVerdict::New(_) if is_owner && left.is_some() => (
            "new-so-far",
            Some(Which::New),
            format!(
                "{WARN}new{WARN:#}: so far the key in {new_shown} is the session's; an earlier request may still replace it, for \
                 {}",
                seconds(left.unwrap_or_default())
            ),
        ),
        KeyVerdict::New(_) if new.unfinished.is_some() => (
            "new",
            Some(Which::New),
            format!(
                "{GOOD}new{GOOD:#}: the key in {new_shown} is the session's; run {again} again, which writes the keystore"
            ),
        ),
        KeyVerdict::New(_) => ("new", Some(Which::New), format!("{GOOD}new{GOOD:#}: {new_shown} works")),
        KeyVerdict::Old(_) => (
            "old",
            Some(Which::Old),
            format!("{GOOD}old{GOOD:#}: {old_shown} works, and the change was not carried out"),
        ),
        KeyVerdict::NotYet { .. } if is_by_owner => (
            "old-so-far",
            Some(Which::Old),
            format!(
                "{WARN}old{WARN:#}: so far {old_shown} works; the app's owner makes this change, so give the owner's keystore \
                 with --keystore"
            ),
        ),
        KeyVerdict::NotYet { .. } if !is_listed => (
            "old",
            Some(Which::Old),
            format!(
                "{GOOD}old{GOOD:#}: {old_shown} works, and the store lists no change of its key that this session made"
            ),
        ),
        KeyVerdict::NotYet { remaining, .. } => (
            "old-so-far",
            Some(Which::Old),
            format!(
                "{WARN}old{WARN:#}: so far {old_shown} works; the lost request may still arrive, for {}",
                seconds(*remaining)
            ),
        ),
        _ if is_owner && has_other_key(client, new)? => (
            "old-so-far",
            Some(Which::Old),
            format!(
                "{WARN}old{WARN:#}: so far the app has another key than that in {new_shown}{}; whether {old_shown} works is not known",
                match left {
                    Some(left) => format!(", and a request may still arrive, for {}", seconds(left)),
                    None if is_listed => String::new(),
                    None => ", and the store lists no change of it".to_owned(),
                }
            ),
        ),
        _ if is_by_owner => (
            "neither",
            None,
            format!(
                "{WARN}neither{WARN:#}: the server accepts neither {old_shown} nor {new_shown}; keep both. The app's owner makes \
                 this change: give the owner's keystore with --keystore"
            ),
        ),
        _ => (
            "neither",
            None,
            format!(
                "{WARN}neither{WARN:#}: the server accepts neither {old_shown} nor {new_shown}; keep both. The clock may be \
                 wrong, the session may be over, or it may have an id that is not known here: run {again} again, or, if an app's \
                 owner made the change, give the owner's keystore with --keystore"
            ),
        ),
    };
    let path = works.map(|works| match works {
        Which::New => ShownPath(&new.path).in_json(),
        Which::Old => ShownPath(&args.client.session.keystore).in_json(),
    });
    // The owner's keystore is not the app's old one.
    let path = path.filter(|_| !is_owner || works == Some(Which::New));
    Ok(Finding {
        value: json!({ "verdict": word, "works": path, "is_unfinished": new.unfinished.is_some() }),
        text,
        old_works: works.filter(|_| !is_owner).map(|works| works == Which::Old),
        is_known: matches!(word, "new" | "old"),
        journal_error: resolution.journal_error.map(|error| error.to_string()),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Old,
    New,
}

/// Whether the server shows another key for an app's session.
fn has_other_key(owner: &Client, new: &New) -> Result<bool, Error> {
    let shown = send(|| owner.app(new.user_id))?.session_public_key;
    let own = encode_string(new.key.public_key().as_bytes());
    Ok(!shown.is_empty() && !shown.eq_ignore_ascii_case(&own))
}

/// Without the new key only the old one can be asked for.
fn with_old(args: &ResolveArgs, client: &Client, old: &Session) -> Result<Finding, Error> {
    let state = send(|| client.ask_with(old.user_id(), old.session_id(), old.signer()))?;
    let works = matches!(state, KeyState::Accepted(_));
    let path = &args.client.session.keystore;
    let shown = guided::shown(path);
    let command =
        next_command("resolve", &(&args.client).into(), &[]).unwrap_or_else(|| "mixin-pin resolve".to_owned());
    let text = if works {
        format!("{WARN}old{WARN:#}: so far {shown} works; a pending change may still arrive, or be that of an app")
    } else {
        format!(
            "{WARN}not the old one{WARN:#}: the server refuses {shown}; the new key may be the session's, or this clock is wrong"
        )
    };
    Ok(Finding {
        value: json!({
            "verdict": if works { "old-so-far" } else { "old-refused" },
            "works": works.then(|| ShownPath(path).in_json()),
            "is_unfinished": null,
            "next_command": format!("{command} --new-keystore NEW"),
        }),
        text: format!(
            "{text}. To settle it, run with the new keystore or its unfinished file: {command} --new-keystore NEW"
        ),
        old_works: Some(works),
        is_known: false,
        journal_error: None,
    })
}

/// The pending changes of keys.
pub(super) fn of(calls: Vec<PendingCall>) -> (Vec<PendingCall>, Vec<PendingCall>) {
    calls.into_iter().partition(|call| call.kind == CallKind::ChangeSession)
}
