//! `session upgrade` and `session rotate`: give a session another key, and write its keystore.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, RsaPublicKey, Session, SessionKey};
use mixin_pin_http::{Client, KeyState, KeyVerdict, OAuthClient, Outcome, SessionChange};
use mixin_pin_protocol::answer::{NewSession, User};
use mixin_pin_protocol::keystore::{Keystore, KeystoreShape, ServerKey, SpendKey};
use mixin_pin_store::{CallKind, Error as StoreError};
use serde_json::{Value, json};

use super::tip::{Changed, KeyChange};
use crate::args::{ClientArgs, SessionRotateArgs, SessionUpgradeArgs, UpgradeBy};
use crate::client::{self, AnyClient};
use crate::error::{Error, FileProblem, KeyProblem, KeystoreProblem};
use crate::files::{self, SecretFile};
use crate::guided::{self, Change, Failure, KeyFile, Kind, Names, Standing, Unfinished, Works, is_refusal};
use crate::keystore::{self, Passphrase};
use crate::outcome::{MEMORY, next_command, send};
use crate::output::{self, GOOD, Output, WARN};
use crate::pins::{self, Digits};
use crate::redact::ShownPath;
use crate::system;
use crate::time::seconds;

pub(crate) fn upgrade(args: &SessionUpgradeArgs, output: &Output) -> Result<(), Error> {
    let tip_key = || args.tip_key.as_deref().map(|path| KeyFile { path, option: "--tip-key" });
    // A file that cannot be used must not show only after the session has changed.
    if let Some(file) = tip_key() {
        let unfinished = files::with_suffix(&args.out, UNFINISHED);
        let keystore = &args.client.session.keystore;
        file.refuse_shared(&[("--keystore", keystore), ("--out", &args.out), ("the unfinished change", &unfinished)])?;
        file.check()?;
    }
    let old = Old::read(&args.client)?;
    let Some(VerifyingKey::Rsa(rsa)) = old.keystore.public_key() else {
        return Err(KeystoreProblem::NotRsa.at(&args.client.session.keystore));
    };
    let digits = Digits::new(&args.source);
    let way = match args.by {
        UpgradeBy::LegacyUsers => Way::LegacyUsers { rsa, digits: &digits },
        UpgradeBy::SessionSecret => Way::SessionSecret,
    };
    let again = upgrade_flags(args).and_then(|flags| again("session upgrade", &args.client, &args.out, &flags));
    let run = Run::new(Kind::Upgrade, &old, &args.client, &args.out, way, again);
    let finished = run.run(output)?;
    let Some(new_key) = tip_key() else {
        return output.result(&finished.value(&run, None), || finished.text(&run));
    };
    output.progress(|| finished.text(&run))?;
    let Finished { client, spend_key, .. } = &finished;
    let change = KeyChange {
        client,
        args: &args.client,
        keystore: &args.out,
        of_keystore: spend_key.as_ref(),
        new_key,
        old_key: None,
        digits: &digits,
        again: run.again.clone(),
    };
    let Changed { value, text } = change.run(output)?;
    output.result(&finished.value(&run, Some(value)), || text)
}

pub(crate) fn rotate(args: &SessionRotateArgs, output: &Output) -> Result<(), Error> {
    let old = Old::read(&args.client)?;
    let owner = args.owner.as_deref().map(|path| client::open_owner(path, &args.client.api, &args.client.store));
    let owner = owner.transpose()?;
    let way = owner.as_ref().map_or(Way::SessionSecret, Way::Owner);
    let again = rotate_flags(args).and_then(|flags| again("session rotate", &args.client, &args.out, &flags));
    let run =
        Run { may_be_refused: args.old_refused, ..Run::new(Kind::Rotate, &old, &args.client, &args.out, way, again) };
    let finished = run.run(output)?;
    output.result(&finished.value(&run, None), || finished.text(&run))
}

/// The options of an upgrade beside its files. None if one cannot be shown.
fn upgrade_flags(args: &SessionUpgradeArgs) -> Option<Vec<&str>> {
    let mut flags = Vec::new();
    if args.by == UpgradeBy::SessionSecret {
        flags.extend(["--by", "session-secret"]);
    }
    if let Some(path) = &args.tip_key {
        flags.extend(["--tip-key", path.to_str()?]);
    }
    if args.source.pin_stdin {
        flags.push("--pin-stdin");
    }
    Some(flags)
}

/// As `upgrade_flags`, for a rotation.
fn rotate_flags(args: &SessionRotateArgs) -> Option<Vec<&str>> {
    let mut flags = Vec::new();
    if let Some(path) = &args.owner {
        flags.extend(["--owner", path.to_str()?]);
    }
    if args.old_refused {
        flags.push("--old-refused");
    }
    Some(flags)
}

/// The same command.
fn again(command: &str, args: &ClientArgs, out: &Path, flags: &[&str]) -> Option<String> {
    next_command(command, &args.into(), &[&["--out", out.to_str()?], flags].concat())
}

/// The old keystore.
struct Old {
    keystore: Keystore,
    session: Session,
    client: Client,
    /// The passphrase of the file, which the new files get, too.
    passphrase: Option<Passphrase>,
}

impl Old {
    fn read(args: &ClientArgs) -> Result<Self, Error> {
        let path = &args.session.keystore;
        let (text, passphrase) = keystore::read_text(path)?;
        let session = || keystore::into_session(path, keystore::parse(path, &text)?);
        let keystore = keystore::parse(path, &text)?;
        keystore::warn_of_notes(path, &keystore);
        let client = client::changing_client(session()?, args)?;
        Ok(Self { keystore, session: session()?, client, passphrase })
    }

    fn ids(&self) -> (Uuid, Uuid) {
        (self.keystore.user_id(), self.keystore.session_id())
    }
}

/// The call that makes the change.
enum Way<'a> {
    /// `POST /legacy/users`: the PIN in digits approves.
    LegacyUsers { rsa: RsaPublicKey, digits: &'a Digits<'a> },
    /// `POST /session/secret`: the old key signs.
    SessionSecret,
    /// `POST /safe/apps/:id/session`: the app's owner signs.
    Owner(&'a AnyClient),
}

/// A run that changes the key of a session.
struct Run<'a> {
    kind: Kind,
    old: &'a Old,
    args: &'a ClientArgs,
    /// The new keystore.
    out: &'a Path,
    /// The file with the new key until then.
    unfinished: PathBuf,
    way: Way<'a>,
    /// Whether the server may refuse the old keystore: an app's owner can do without it.
    may_be_refused: bool,
    /// The command that goes on if this one stops.
    again: Option<String>,
}

/// A change that is complete.
struct Finished {
    client: Client,
    spend_key: Option<SpendKey>,
    user: User,
    was_complete: bool,
    old_works: bool,
    pin_verified: Option<bool>,
    left_out: Vec<&'static str>,
}

impl<'a> Run<'a> {
    fn new(kind: Kind, old: &'a Old, args: &'a ClientArgs, out: &'a Path, way: Way<'a>, again: Option<String>) -> Self {
        let unfinished = files::with_suffix(out, UNFINISHED);
        Self { kind, old, args, out, unfinished, way, may_be_refused: false, again }
    }

    fn is_app(&self) -> bool {
        matches!(self.way, Way::Owner(_))
    }

    fn old_path(&self) -> &Path {
        &self.args.session.keystore
    }

    fn digits(&self) -> Option<&Digits<'a>> {
        match self.way {
            Way::LegacyUsers { digits, .. } => Some(digits),
            _ => None,
        }
    }

    fn run(&self, output: &Output) -> Result<Finished, Error> {
        if files::is_there(self.out) {
            return self.complete_existing();
        }
        let mut passphrase = self.old.passphrase.as_ref();
        // A name that cannot be used must not show only after the change.
        drop(SecretFile::create(self.out)?);
        let is_resumed = files::is_there(&self.unfinished);
        let created = if is_resumed {
            None
        } else {
            match self.check_old() {
                // Another run of the same command was quicker.
                Err(_) if files::is_there(self.out) => return self.complete_existing(),
                Err(_) if files::is_there(&self.unfinished) => return Err(Error::OtherRun),
                checked => checked?,
            }
            // The PIN is asked for before a key is made that may not be needed.
            self.digits().map(Digits::get).transpose()?;
            match Unfinished::create(&self.unfinished, self.kind, self.is_app(), self.old.ids(), passphrase) {
                // Another run of the same command was quicker.
                Err(Error::File { problem: FileProblem::Exists, .. }) => return Err(Error::OtherRun),
                created => Some(created?),
            }
        };
        // Two changes at once by an app's owner would end the session of the first. The lock ends with the process.
        let _lock = match files::lock(&self.unfinished) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Error::OtherRun),
            // Some file systems have no locks.
            lock => lock,
        };
        if files::is_there(self.out) {
            if created.is_some() {
                // This run made the key, and has sent nothing.
                files::remove(&self.unfinished)?;
            }
            return self.complete_existing();
        }
        let asked;
        let unfinished = match created {
            // Another run has removed it.
            _ if !files::is_there(&self.unfinished) => return Err(Error::OtherRun),
            Some(created) => created,
            None => {
                output.progress(|| format!("going on with the key in {}", ShownPath(&self.unfinished)))?;
                let unfinished;
                (unfinished, asked) = self.resume()?;
                // The key was locked, and stays so.
                passphrase = passphrase.or(asked.as_ref());
                unfinished
            }
        };
        let key = &unfinished.key;
        let patience = Duration::from_secs(self.args.api.timeout);
        let mut change = KeyChangeOf {
            run: self,
            key,
            output,
            sent: None,
            is_asked: false,
            is_answered: false,
            left: None,
            is_shown: false,
        };
        let new = guided::carry_out(&mut change, is_resumed, patience)
            .map_err(|failure| self.stopped(failure, is_resumed))?;
        let new = self.check_new(&mut change, new)?;
        let server_key = new.server_key.ok_or_else(|| self.stop(Error::Key(KeyProblem::NoServerKey), Works::New))?;
        if server_key.to_x25519().and_then(|server| key.agree(&server)).is_err() {
            return Err(self.stop(Error::Key(KeyProblem::WeakServerKey), Works::New));
        }
        let is_dashboard = self.old.keystore.shape() == KeystoreShape::Dashboard;
        let written = self.old.keystore.write_next(self.is_app() || is_dashboard, new.session_id, key, &server_key);
        let stopped = |error| self.stop(error, Works::New);
        let written = written.map_err(|cause| stopped(KeystoreProblem::Content(cause).at(self.old_path())))?;
        match keystore::write_new(self.out, &written.text, passphrase) {
            // Another run of the same command was quicker.
            Err(Error::File { problem: FileProblem::Exists, .. }) => return self.complete_existing(),
            written => written.map_err(stopped)?,
        }
        // The key was read from the file, which is locked since then.
        self.finish(written.text.as_bytes(), false, Some(true), written.left_out)
    }

    /// Asks whether the server accepts the new key under the id of the answer: no keystore is written that does not work.
    fn check_new(&self, change: &mut KeyChangeOf<'_>, new: New) -> Result<New, Error> {
        if new.is_accepted {
            return Ok(new);
        }
        let (user_id, _) = self.old.ids();
        let unknown = |cause| self.stop(cause, Works::Unknown);
        let asked = send(|| self.old.client.ask_with(user_id, new.session_id, change.key));
        if let KeyState::Accepted(_) = asked.map_err(unknown)? {
            return Ok(new);
        }
        change.is_answered = true;
        let works = match change.ask().map_err(unknown)? {
            Standing::New(asked) => return Ok(New { server_key: asked.server_key.or(new.server_key), ..asked }),
            Standing::Old => Works::Old,
            Standing::Neither => Works::Neither,
        };
        Err(self.stop(Error::Key(KeyProblem::NewRefused), works))
    }

    /// Asks whether the server accepts the old keystore, before anything is written or sent. A change by a key that was
    /// replaced cannot succeed, and one by an app's owner ends the session that replaced it.
    fn check_old(&self) -> Result<(), Error> {
        let (user_id, session_id) = self.old.ids();
        let asked = send(|| self.old.client.ask_with(user_id, session_id, self.old.session.signer()));
        let user = match asked.map_err(|cause| self.stop(cause, Works::Unchanged))? {
            KeyState::Accepted(user) => user,
            KeyState::Refused if self.may_be_refused => return Ok(()),
            KeyState::Refused => {
                return Err(KeystoreProblem::OldRefused { is_app: self.is_app() }.at(self.old_path()));
            }
        };
        match self.way {
            Way::LegacyUsers { .. } if pins::installed_key(&user).is_some() => Err(Error::Key(KeyProblem::TipKeySet)),
            Way::LegacyUsers { .. } if !user.has_pin => Err(Error::Key(KeyProblem::NoPin)),
            _ => Ok(()),
        }
    }

    /// Reads the key of an earlier run, which must be of this change. Returns the passphrase that was asked for, too.
    fn resume(&self) -> Result<(Unfinished, Option<Passphrase>), Error> {
        // Who put it there would know the new key.
        if system::is_of_others(&self.unfinished) {
            return Err(FileProblem::OfOthers.at(&self.unfinished));
        }
        let (file, asked) = Unfinished::read(&self.unfinished, self.old.passphrase.as_ref())?;
        // A change to the same key would count as made before it is sent.
        if self.old.keystore.public_key() == Some(VerifyingKey::Ed25519(file.key.public_key())) {
            return Err(FileProblem::Unfinished.at(&self.unfinished));
        }
        let Unfinished { kind, is_app, user_id, old_session_id, .. } = file;
        if (kind, is_app, (user_id, old_session_id)) == (self.kind, self.is_app(), self.old.ids()) {
            Ok((file, asked))
        } else {
            Err(FileProblem::OtherUnfinished { kind, is_app, user_id }.at(&self.unfinished))
        }
    }

    /// The new keystore is there: an earlier run has written it, or it is another file.
    fn complete_existing(&self) -> Result<Finished, Error> {
        let (text, asked) = keystore::read_text_with(self.out, self.old.passphrase.as_ref())?;
        let new = keystore::parse(self.out, &text)?;
        let is_own = self.is_own_unfinished(&new, self.old.passphrase.as_ref().or(asked.as_ref()))?;
        let is_of_user = new.user_id() == self.old.keystore.user_id();
        let is_old = new.public_key() == self.old.keystore.public_key();
        if !is_of_user || is_old || !matches!(new.public_key(), Some(VerifyingKey::Ed25519(_))) {
            return Err(FileProblem::Exists.at(self.out));
        }
        // The spend key is written, so it is not left out.
        let is_spend_key = |name: &&str| matches!(*name, "spend_private_key" | "spend_key" | "safe_key");
        let left_out = self.old.keystore.further_secrets().iter().copied().filter(|name| !is_spend_key(name)).collect();
        self.finish(&text, true, is_own, left_out)
    }

    /// Whether the file with the key is of this change. None if there is no file. It is an error if it has another key than
    /// the new keystore: it may be the only copy.
    fn is_own_unfinished(&self, new: &Keystore, passphrase: Option<&Passphrase>) -> Result<Option<bool>, Error> {
        if !files::is_there(&self.unfinished) {
            return Ok(None);
        }
        let Ok((file, _)) = Unfinished::read(&self.unfinished, passphrase) else { return Ok(Some(false)) };
        if new.public_key() == Some(VerifyingKey::Ed25519(file.key.public_key())) {
            Ok(Some((file.user_id, file.old_session_id) == self.old.ids()))
        } else {
            Err(FileProblem::OtherKey { keystore: self.out.to_owned() }.at(&self.unfinished))
        }
    }

    /// Checks the new keystore, retires the old session, and removes the file with the key if it is of this change.
    fn finish(
        &self,
        text: &[u8],
        was_complete: bool,
        is_own: Option<bool>,
        left_out: Vec<&'static str>,
    ) -> Result<Finished, Error> {
        let mut new = keystore::parse(self.out, text)?;
        let (spend_key, pin_token, session_id) = (new.take_spend_key(), new.pin_token(), new.session_id());
        let client = client::changing_client(keystore::into_session(self.out, new)?, self.args)?;
        let signer = keystore::into_session(self.out, keystore::parse(self.out, text)?)?;
        let user = match KeyState::of(client.me()) {
            Ok(KeyState::Accepted(user)) => user,
            Ok(KeyState::Refused) => {
                let works = match self.old_works() {
                    Ok(true) => Works::Old,
                    Ok(false) => Works::Neither,
                    Err(_) => Works::Unknown,
                };
                let is_in_the_way = works != Works::Neither || files::is_there(&self.unfinished);
                let (said, run) = (self.names().works(works), self.again.clone());
                let cause = KeystoreProblem::Refused { is_in_the_way }.at(self.out);
                let failure = Failure { is_final: !is_in_the_way, ..Failure::new(cause, works) };
                return Err(failure.into_error(said, None, run));
            }
            Err(error) => return Err(self.stop(error.into(), Works::Unknown)),
        };
        let shown = NewSession::of_user(&user).and_then(|shown| shown.server_key.to_x25519().ok());
        if shown.is_some_and(|shown| pin_token.is_some_and(|ours| ours != shown.to_base64_url())) {
            return Err(self.stop(KeystoreProblem::OtherServerKey.at(self.out), Works::New));
        }
        let stopped = |error| self.stop(error, Works::New);
        let old_works = self.old_works().map_err(stopped)?;
        // Then they are two sessions of the user, unless the file with the key shows that one follows from the other.
        if was_complete && old_works && session_id != self.old.keystore.session_id() && is_own != Some(true) {
            return Err(FileProblem::Exists.at(self.out));
        }
        let pin_verified = self.verify(&client, &user, spend_key.as_ref());
        if let Some(left) = self.settle_journal(&signer).map_err(stopped)? {
            let failure = Failure { wait: Some(left), ..Failure::new(Error::Key(KeyProblem::MayReplace), Works::New) };
            let kept = files::is_there(&self.unfinished).then_some(&*self.unfinished);
            return Err(failure.into_error(self.names().works(Works::New), kept, self.again.clone()));
        }
        if !old_works {
            self.retire(session_id).map_err(stopped)?;
        }
        match is_own {
            Some(true) => files::remove(&self.unfinished)?,
            Some(false) => output::warn(&format!(
                "{} stays: it cannot be read, or is of another change",
                ShownPath(&self.unfinished)
            )),
            None => {}
        }
        Ok(Finished { client, spend_key, user, was_complete, old_works, pin_verified, left_out })
    }

    /// Verifies a PIN that is at hand: that proves the PIN key of the new session. None without one.
    fn verify(&self, client: &Client, user: &User, spend_key: Option<&SpendKey>) -> Option<bool> {
        let installed = pins::installed_key(user);
        let verified = match (installed, self.digits().and_then(Digits::known)) {
            (Some(installed), _) => {
                let key = spend_key?.to_tip_key(Some(&installed)).ok()?;
                send(|| client.verify_tip(&key))
            }
            (None, Some(pin)) if user.has_pin => send(|| client.verify_pin(pin)),
            _ => return None,
        };
        let warn = |cause: &dyn std::fmt::Display| {
            output::warn(&format!("the PIN is not verified with {}: {cause}", ShownPath(self.out)));
        };
        match verified {
            Ok(Outcome::Done(_)) => Some(true),
            Ok(Outcome::Unknown(lost)) => {
                warn(&lost.cause);
                None
            }
            Err(error) => {
                warn(&error);
                Some(false)
            }
        }
    }

    /// Whether a journal outlives this process and lists the change.
    fn has_journal(&self) -> bool {
        !matches!(self.way, Way::Owner(AnyClient::OAuth(_))) && self.args.store.store.as_deref() != Some(MEMORY)
    }

    /// The client with the journal of the change, and which asks: the old session's, or that of the app's owner.
    fn asking(&self) -> &Client {
        match self.way {
            Way::Owner(AnyClient::User(owner, _)) => owner,
            _ => &self.old.client,
        }
    }

    /// The change, as the server is asked about it.
    fn change(&self, key: &Ed25519Key) -> SessionChange {
        let (user_id, session_id) = self.old.ids();
        SessionChange::new(user_id, session_id, key.public_key())
    }

    fn old_works(&self) -> Result<bool, Error> {
        let (user_id, session_id) = self.old.ids();
        let state = send(|| self.old.client.ask_with(user_id, session_id, self.old.session.signer()))?;
        Ok(matches!(state, KeyState::Accepted(_)))
    }

    /// Removes from the journal what is known now: the new key is the session's. Returns how long another request of the app's
    /// owner may still replace it.
    fn settle_journal(&self, new: &Session) -> Result<Option<Duration>, Error> {
        let client = self.asking();
        let SessionKey::Ed25519(key) = new.signer() else { return Ok(None) };
        if !client.pending()?.iter().any(|call| call.kind == CallKind::ChangeSession) {
            return Ok(None);
        }
        let change = self.change(key).or_session_ids([new.session_id()]).after_answer();
        let resolution = send(|| client.resolve_session(change, self.old.session.signer(), key))?;
        if let Some(error) = &resolution.journal_error {
            output::warn(&format!("the journal failed and may still list the change: {error}"));
        }
        Ok(if self.is_app() { resolution.may_arrive(&client.pending()?) } else { None })
    }

    /// Forgets the old session's iterators if the new one has another id.
    fn retire(&self, new_session_id: Uuid) -> Result<(), Error> {
        let (_, old_session_id) = self.old.ids();
        if new_session_id == old_session_id {
            return Ok(());
        }
        match client::open_store_quietly(&self.args.store)?.forget(old_session_id) {
            Err(StoreError::Unsettled) => {
                output::warn(&format!(
                    "the store keeps the old session {old_session_id}, because it lists calls of it; mixin-pin pending shows them"
                ));
                Ok(())
            }
            forgotten => Ok(forgotten.map(drop)?),
        }
    }

    /// The error for a change that is not complete. If nothing was sent with the new key, it is removed.
    fn stopped(&self, mut failure: Failure, is_resumed: bool) -> Error {
        let was_sent = is_resumed || failure.works != Works::Unchanged;
        // A file that cannot be removed stays, and the message says so.
        let is_kept = was_sent || files::remove(&self.unfinished).is_err();
        // The server refuses the same request again.
        failure.is_final = match &failure.cause {
            Error::Http(error) => !is_kept && is_refusal(error),
            Error::Key(KeyProblem::OtherAppKey) => true,
            _ => false,
        };
        if self.is_app() && matches!(failure.cause, Error::Key(KeyProblem::Neither)) {
            failure.cause = Error::Key(KeyProblem::NeitherOfApp);
        }
        let said = self.names().works(failure.works);
        failure.into_error(said, is_kept.then_some(&*self.unfinished), self.again.clone())
    }

    /// The error for a new keystore or key that the server accepts, or refuses, unexpectedly.
    fn stop(&self, cause: Error, works: Works) -> Error {
        let is_needed = files::is_there(&self.unfinished) && !files::is_there(self.out);
        let (said, kept) = (self.names().works(works), is_needed.then_some(&*self.unfinished));
        Failure::new(cause, works).into_error(said, kept, self.again.clone())
    }

    fn names(&self) -> Names {
        let new = if files::is_there(self.out) { self.out } else { &self.unfinished };
        Names::of_files(self.old_path(), new)
    }
}

/// The end of the name of the file with the new key.
pub(super) const UNFINISHED: &str = ".unfinished";

impl Finished {
    fn value(&self, run: &Run<'_>, tip: Option<Value>) -> Value {
        let (user_id, old_session_id) = run.old.ids();
        let mut value = json!({
            "session": if run.kind == Kind::Upgrade { "upgraded" } else { "rotated" },
            "already": self.was_complete,
            "keystore": ShownPath(run.out).in_json(),
            "user_id": user_id.to_string(),
            "session_id": self.client.session().session_id().to_string(),
            "old_session_id": old_session_id.to_string(),
            "old_works": self.old_works,
            "pin_verified": self.pin_verified,
            "left_out": self.left_out,
        });
        if let Some(tip) = tip {
            value["tip"] = tip;
        }
        value
    }

    fn text(&self, run: &Run<'_>) -> String {
        let word = match (run.kind, self.was_complete) {
            (_, true) => "complete already",
            (Kind::Upgrade, false) => "upgraded",
            (Kind::Rotate, false) => "rotated",
        };
        let (new, old) = (ShownPath(run.out), guided::shown(run.old_path()));
        let pin = match self.pin_verified {
            Some(true) => ", and the PIN is verified with it",
            _ => "",
        };
        let mut text = format!("{GOOD}{word}{GOOD:#}: {new} works for {}{pin}", output::user_name(&self.user));
        // Writing to a String does not fail.
        let _ = if self.old_works {
            write!(text, "\n  {WARN}{old} works, too{WARN:#}")
        } else {
            write!(text, "\n  {old} does not work any more")
        };
        if !self.left_out.is_empty() {
            let _ = write!(text, "\n  only {old} has: {}; keep them if you need them", self.left_out.join(", "));
        }
        text
    }
}

/// What the server says of a new key.
struct New {
    session_id: Uuid,
    server_key: Option<ServerKey>,
    /// Whether the server accepted the key under this id. If not, its answer to the change names the id.
    is_accepted: bool,
}

/// The change of a session's key, as a guided change.
struct KeyChangeOf<'a> {
    run: &'a Run<'a>,
    key: &'a Ed25519Key,
    output: &'a Output,
    /// When this run sent the last request.
    sent: Option<Instant>,
    /// Whether the server was asked since the last request.
    is_asked: bool,
    /// Whether the change got its answer.
    is_answered: bool,
    /// How long a request in the journal may still arrive, as the last question showed.
    left: Option<Duration>,
    /// Whether the app's owner sees that the app has this key.
    is_shown: bool,
}

/// How long a request may arrive if no journal tells when it was sent: the longest life of a token, and some seconds for the
/// difference of clocks.
const UNLISTED: Duration = client::LONGEST_TOKEN.saturating_add(Duration::from_secs(5));

impl KeyChangeOf<'_> {
    /// The ids of the app's sessions with the new key, as its owner sees them. No source says whether an authorization may
    /// read them: if the server refuses, none is known, and the change is made again with the same key.
    fn listed(&self, owner: &OAuthClient) -> Result<Vec<Uuid>, Error> {
        let (user_id, _) = self.run.old.ids();
        let sessions = match owner.sessions(&[user_id]) {
            Err(error) if is_refusal(&error) => return Ok(Vec::new()),
            sessions => sessions?,
        };
        let key = self.key.public_key();
        Ok(sessions
            .iter()
            .filter(|one| one.user_id == user_id && one.has_key(&key))
            .map(|one| one.session_id)
            .collect())
    }

    /// The key of the app's session, as its owner sees it (MixinNetwork/bot-api-nodejs-client: `src/client/types/app.ts`).
    /// None if the owner may not see it, or if it is no Ed25519 key.
    fn shown_key(&self, owner: &AnyClient) -> Result<Option<Ed25519PublicKey>, Error> {
        let (app_id, _) = self.run.old.ids();
        let app = send(|| match owner {
            AnyClient::User(owner, _) => owner.app(app_id),
            AnyClient::OAuth(owner) => owner.app(app_id),
        });
        match app {
            Err(Error::Http(error)) if is_refusal(&error) => Ok(None),
            app => Ok(Ed25519PublicKey::from_text(&app?.session_public_key).ok()),
        }
    }

    /// Fails if the app has a key of another change, whose session this one would end.
    fn refuse_other_key(&self, owner: &AnyClient) -> Result<(), Error> {
        let Some(shown) = self.shown_key(owner)? else { return Ok(()) };
        let is_old = self.run.old.keystore.public_key() == Some(VerifyingKey::Ed25519(shown.clone()));
        if is_old || shown == self.key.public_key() { Ok(()) } else { Err(Error::Key(KeyProblem::OtherAppKey)) }
    }

    /// `session_id` is that under which the server accepted the key.
    fn new_of(&self, user: &User, session_id: Option<Uuid>) -> New {
        let (_, old_session_id) = self.run.old.ids();
        let session = NewSession::of_user(user);
        let session_id = session_id.or(user.session_id).unwrap_or(old_session_id);
        New { session_id, server_key: session.map(|session| session.server_key), is_accepted: true }
    }
}

impl Change for KeyChangeOf<'_> {
    type New = New;

    const IS_ASKED_AGAIN: bool = true;

    fn ask(&mut self) -> Result<Standing<New>, Error> {
        let run = self.run;
        let mut change = run.change(self.key);
        if let Way::Owner(AnyClient::OAuth(owner)) = run.way {
            change = change.or_session_ids(self.listed(owner)?);
        }
        if self.is_answered {
            change = change.after_answer();
        }
        let resolution = send(|| run.asking().resolve_session(change, run.old.session.signer(), self.key))?;
        if let Some(error) = &resolution.journal_error {
            output::warn(&format!("the journal failed and may still list what is settled: {error}"));
        }
        (self.is_asked, self.left) = (true, resolution.may_arrive(&run.asking().pending()?));
        let session_id = resolution.new_session_id();
        Ok(match resolution.verdict {
            KeyVerdict::New(user) => Standing::New(self.new_of(&user, session_id)),
            KeyVerdict::Old(_) | KeyVerdict::NotYet { .. } => Standing::Old,
            _ => {
                if let Way::Owner(owner) = run.way {
                    self.is_shown = self.shown_key(owner)? == Some(self.key.public_key());
                }
                Standing::Neither
            }
        })
    }

    fn send(&mut self) -> Result<Outcome<New>, Error> {
        let run = self.run;
        let (user_id, old_session_id) = run.old.ids();
        let new_key = self.key.public_key();
        match run.way {
            Way::Owner(owner) if !run.may_be_refused => self.refuse_other_key(owner)?,
            _ => {}
        }
        (self.sent, self.is_asked, self.left) = (Some(Instant::now()), false, None);
        if !run.has_journal() {
            files::touch(&run.unfinished)?;
        }
        let outcome = match &run.way {
            Way::LegacyUsers { rsa, digits } => {
                let pin = digits.get()?;
                send(|| run.old.client.upgrade_session(rsa, pin, &new_key))?
            }
            Way::SessionSecret => send(|| run.old.client.replace_session_key(&new_key))?,
            Way::Owner(AnyClient::User(owner, _)) => send(|| owner.replace_app_session(user_id, &new_key))?,
            Way::Owner(AnyClient::OAuth(owner)) => send(|| owner.replace_app_session(user_id, &new_key))?,
        };
        Ok(match outcome {
            Outcome::Done(new) => Outcome::Done(New {
                session_id: new.session_id.unwrap_or(old_session_id),
                server_key: Some(new.server_key),
                is_accepted: false,
            }),
            Outcome::Unknown(lost) => Outcome::Unknown(lost),
        })
    }

    /// An upgrade by PIN does not need the old key: made again, it can only set the same new key. An app's owner does not
    /// need it either, and may end a session that another change made, unless the app has this key and only its session's id
    /// is not known.
    fn may_repeat(&self) -> bool {
        match self.run.way {
            Way::LegacyUsers { .. } => true,
            Way::SessionSecret => false,
            Way::Owner(_) => self.run.may_be_refused || self.is_shown,
        }
    }

    fn outwait(&mut self) -> Result<bool, Error> {
        if !self.run.is_app() || self.run.has_journal() {
            return Ok(false);
        }
        // A time in the future says nothing.
        let age = files::age(&self.run.unfinished)?.unwrap_or_default();
        let Some(wait) = UNLISTED.checked_sub(age).filter(|wait| !wait.is_zero()) else { return Ok(false) };
        self.output.progress(|| {
            format!("waiting {}: an earlier request may still arrive, and no journal lists it", seconds(wait))
        })?;
        thread::sleep(wait);
        Ok(true)
    }

    fn may_arrive(&mut self) -> Result<Option<Duration>, Error> {
        match &self.run.way {
            // The old key signs or approves, so a request that arrives later is refused.
            Way::LegacyUsers { .. } | Way::SessionSecret => Ok(None),
            Way::Owner(AnyClient::OAuth(_)) => {
                Ok(self.sent.and_then(|sent| UNLISTED.checked_sub(sent.elapsed())).filter(|left| !left.is_zero()))
            }
            Way::Owner(AnyClient::User(owner, _)) => {
                let (app_id, _) = self.run.old.ids();
                let path = format!("/safe/apps/{app_id}/session");
                if !owner.pending()?.iter().any(|call| call.kind == CallKind::ChangeSession && call.path == path) {
                    return Ok(None);
                }
                if !self.is_asked {
                    self.ask()?;
                }
                Ok(self.left)
            }
        }
    }
}
