//! `tip new-key`, `tip sign` and `tip change`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base16ct::lower::encode_string;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, Pin};
use mixin_pin_http::{Client, Credential, Outcome, Verdict};
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::keystore::{Keystore, SpendKey};
use serde_json::{Value, json};

use super::resolve::Journal;
use crate::args::{ClientArgs, TipChangeArgs, TipNewKeyArgs, TipSignArgs};
use crate::error::{Error, FileProblem, KeyProblem};
use crate::guided::{self, Change, KeyFile, Names, REPLACED, Standing};
use crate::outcome::{next_command, send, send_or_next};
use crate::output::{self, GOOD, Output, user_name};
use crate::pins::Digits;
use crate::redact::{ShownInput, ShownPath};
use crate::{client, files, keystore, pins};

pub(crate) fn new_key(args: &TipNewKeyArgs, output: &Output) -> Result<(), Error> {
    let key = KeyFile { path: &args.out, option: "--out" }.create()?;
    let hex = encode_string(key.public_key().as_bytes());
    let base64 = key.public_key().to_base64_url();
    let out = ShownPath(&args.out);
    let value = json!({ "spend_key": out.in_json(), "public_key": hex, "tip_key_base64": base64 });
    output.result(&value, || format!("{GOOD}new TIP key{GOOD:#} in {out}\n  public key  {hex}\n  in base64   {base64}"))
}

pub(crate) fn sign(args: &TipSignArgs, output: &Output) -> Result<(), Error> {
    let expected = args.public_key.as_deref().map(Ed25519PublicKey::from_text).transpose().map_err(Error::PublicKey)?;
    let mut keystore = args.keystore_to_read().map(keystore::read).transpose()?;
    let user_id = args.user_id.or_else(|| keystore.as_ref().map(Keystore::user_id));
    if user_id.is_none() && args.action.needs_user_id() {
        return Err(Error::UserIdMissing);
    }
    let of_keystore = keystore.as_mut().and_then(Keystore::take_spend_key);
    let key = pins::tip_key_or(of_keystore, args.spend_key_stdin, expected.as_ref(), "spend key")?;
    let (body, signature) =
        args.action.with(user_id.unwrap_or_default(), |action| (action.body(), key.sign(action)))?;
    let (body, signature) = (encode_string(body.as_bytes()), encode_string(&signature));
    let public_key = encode_string(key.public_key().as_bytes());
    output.result(&json!({ "body": body, "signature": signature, "public_key": public_key }), || signature.clone())
}

pub(crate) fn change(args: &TipChangeArgs, output: &Output) -> Result<(), Error> {
    let (client, of_keystore) = client::open(&args.client)?;
    let run = KeyChange {
        client: &client,
        args: &args.client,
        keystore: &args.client.session.keystore,
        of_keystore: of_keystore.as_ref(),
        new_key: KeyFile { path: &args.new_key, option: "--new-key" },
        old_key: args.old_key.as_deref(),
        digits: &Digits::new(&args.source),
        again: again(args),
    };
    let Changed { value, text } = run.run(output)?;
    output.result(&value, || text)
}

/// The same command.
fn again(args: &TipChangeArgs) -> Option<String> {
    let mut flags = vec!["--new-key", args.new_key.to_str()?];
    if let Some(old_key) = &args.old_key {
        flags.extend(["--old-key", old_key.to_str()?]);
    }
    if args.source.pin_stdin {
        flags.push("--pin-stdin");
    }
    next_command("tip change", &(&args.client).into(), &flags)
}

/// A change of the PIN to a TIP key, from digits or from another TIP key.
pub(super) struct KeyChange<'a> {
    pub(super) client: &'a Client,
    /// The API and the store.
    pub(super) args: &'a ClientArgs,
    /// The keystore of the client's session.
    pub(super) keystore: &'a Path,
    pub(super) of_keystore: Option<&'a SpendKey>,
    pub(super) new_key: KeyFile<'a>,
    pub(super) old_key: Option<&'a Path>,
    pub(super) digits: &'a Digits<'a>,
    /// The command that goes on if this one stops.
    pub(super) again: Option<String>,
}

/// What a change reports.
pub(super) struct Changed {
    pub(super) value: Value,
    pub(super) text: String,
}

impl KeyChange<'_> {
    pub(super) fn run(self, output: &Output) -> Result<Changed, Error> {
        let new_file = &self.new_key;
        new_file.refuse_shared(&[("--keystore", self.keystore)])?;
        if let Some(old) = self.old_key {
            let replaced = files::with_suffix(old, REPLACED);
            new_file.refuse_shared(&[("--old-key", old), ("the replaced --old-key", &replaced)])?;
        }
        new_file.check()?;
        let old_key =
            self.old_key.filter(|path| files::is_there(path)).map(|path| old_file(path).text()).transpose()?;
        self.refuse_one_key(old_key.as_ref())?;
        let me = send(|| self.client.me())?;
        let installed = pins::installed_key(&me);
        let journal = Journal::read(self.client)?;
        let is_installed = |key: &TipKey| installed.as_ref() == Some(key.public_key());
        let there = files::is_there(new_file.path).then(|| new_file.read_matching(installed.as_ref())).transpose()?;
        let is_made = there.is_none();
        let (new, was_installed) = match there {
            Some(new) if is_installed(&new) => (new, true),
            there => {
                journal.refuse_under_way()?;
                // The old PIN is asked for before a key is made that may not be needed.
                let old = self.old(&me, installed.as_ref(), old_key.as_ref())?;
                let new = match there {
                    Some(new) => new,
                    None => new_file.make(output)?,
                };
                self.install(&journal, old.as_ref(), &new, me.tip_counter)?;
                (new, false)
            }
        };
        // Read before the verification, whose iterator is greater than those of all calls that are listed now.
        let journal = Journal::read(self.client)?;
        let user = send_or_next(|| self.client.verify_tip(&new), "verify", self.args, &["--spend-key-stdin"])
            .inspect_err(|_| output::warn("the new key is installed; the same command verifies it again"))?;
        journal.forget_changes(self.client)?;
        journal.forget_verifications(self.client, output)?;
        let replaced = self.mark(!was_installed);
        let holds_old = self.warn_of_keystore(&new);
        let (path, user_id) = (ShownPath(new_file.path), user.user_id);
        let word = if was_installed { "already installed" } else { "installed" };
        let value = json!({
            "pin": if was_installed { "unchanged" } else { "changed" },
            "user_id": user_id.to_string(),
            "new_key": path.in_json(),
            "made_new_key": is_made,
            "verified": true,
            "replaced": replaced.as_deref().map(|path| ShownPath(path).in_json()),
            "keystore_holds_old_key": holds_old,
        });
        let mut text = format!("{GOOD}TIP key {word} and verified{GOOD:#} for {}: {path}", user_name(&user));
        if let Some(replaced) = replaced {
            // Writing to a String does not fail.
            let _ = write!(text, "\n  old key     {}", ShownPath(&replaced));
        }
        Ok(Changed { value, text })
    }

    /// Refuses an old key that is the new one: it would be marked as replaced.
    fn refuse_one_key(&self, old_key: Option<&SpendKey>) -> Result<(), Error> {
        let (Some(path), Some(text)) = (self.old_key, old_key) else { return Ok(()) };
        let new = &self.new_key;
        if files::is_there(new.path) && old_file(path).key_of(text, None)?.public_key() == new.read(None)?.public_key()
        {
            return Err(FileProblem::SameKey { other: path.to_owned() }.at(new.path));
        }
        Ok(())
    }

    /// The PIN that is set now; None for a user without a PIN. `old_key` is the text of the old key's file, if that exists.
    fn old(
        &self,
        me: &User,
        installed: Option<&Ed25519PublicKey>,
        old_key: Option<&SpendKey>,
    ) -> Result<Option<Old<'_>>, Error> {
        match (installed, self.old_key, self.of_keystore) {
            (Some(_), Some(path), _) => {
                let file = old_file(path);
                let key = old_key.map_or_else(|| file.read(installed), |text| file.key_of(text, installed))?;
                Ok(Some(Old::Tip(Box::new(key))))
            }
            (Some(installed), None, Some(key)) => {
                let key = key.to_tip_key(Some(installed)).map_err(|_| Error::Key(KeyProblem::OldMissing))?;
                Ok(Some(Old::Tip(Box::new(key))))
            }
            (Some(_), None, None) => Err(Error::Key(KeyProblem::OldMissing)),
            (None, Some(_), _) => Err(Error::Key(KeyProblem::NoTipKeyYet)),
            (None, None, _) if me.has_pin => Ok(Some(Old::Digits(self.digits.get()?))),
            (None, None, _) => Ok(None),
        }
    }

    fn install(&self, journal: &Journal, old: Option<&Old<'_>>, new: &TipKey, counter: u64) -> Result<User, Error> {
        let mut change = Installation { client: self.client, old, counter, new };
        let patience = Duration::from_secs(self.args.api.timeout);
        let names = Names { old: "the old PIN".to_owned(), new: ShownInput(self.new_key.path).to_string() };
        guided::carry_out(&mut change, !journal.changes.is_empty(), patience).map_err(|failure| {
            let said = names.works(failure.works);
            failure.into_error(said, Some(self.new_key.path), self.again.clone())
        })
    }

    /// Renames the file of the old key. Returns its new name. The change is complete, so what fails is a warning.
    ///
    /// `is_old` says that its key was the installed one.
    fn mark(&self, is_old: bool) -> Option<PathBuf> {
        let old = self.old_key?;
        let replaced = files::with_suffix(old, REPLACED);
        let Ok(file) = fs::symlink_metadata(old) else {
            // An earlier run has renamed it.
            return files::is_there(&replaced).then_some(replaced);
        };
        let shown = ShownPath(old);
        if !is_old {
            output::warn(&format!(
                "{shown} keeps its name: the new key was installed before this run, so it is not known whether this was the old key"
            ));
            return None;
        }
        let cause = if file.is_file() {
            match files::rename_new(old, &replaced) {
                Ok(()) => return Some(replaced),
                Err(Error::File { problem: FileProblem::Exists, .. }) => format!("{} exists", ShownPath(&replaced)),
                Err(Error::File { problem: FileProblem::Write(cause), .. }) => cause.to_string(),
                Err(error) => error.to_string(),
            }
        } else {
            // A link such as /dev/stdin is not the user's.
            "it is not a regular file".to_owned()
        };
        output::warn(&format!("{shown} keeps its name ({cause}); its key was replaced and does not work any more"));
        None
    }

    /// Warns if the keystore has another spend key, which `--tip` would use. Returns whether it has one.
    fn warn_of_keystore(&self, new: &TipKey) -> bool {
        let Some(key) = self.of_keystore else { return false };
        let is_old = key.to_tip_key(Some(new.public_key())).is_err();
        if is_old {
            output::warn(&format!(
                "{} still has another spend key, which --tip uses, and each use costs a try: put the new key there, or give it \
                 with --spend-key-stdin < {}",
                ShownInput(self.keystore),
                ShownPath(self.new_key.path)
            ));
        }
        is_old
    }
}

const fn old_file(path: &Path) -> KeyFile<'_> {
    KeyFile { path, option: "--old-key" }
}

/// The PIN before the change.
enum Old<'d> {
    Digits(&'d Pin),
    Tip(Box<TipKey>),
}

impl Old<'_> {
    fn as_credential(&self) -> Credential<'_> {
        match self {
            Old::Digits(pin) => Credential::Digits(pin),
            Old::Tip(key) => Credential::Tip(&**key),
        }
    }
}

/// The installation of a TIP key, as a guided change.
struct Installation<'a> {
    client: &'a Client,
    old: Option<&'a Old<'a>>,
    counter: u64,
    new: &'a TipKey,
}

impl Change for Installation<'_> {
    type New = User;

    // Verifying the old PIN settles it: a lost request cannot be carried out any more. Again would cost a try again.
    const IS_ASKED_AGAIN: bool = false;

    fn ask(&mut self) -> Result<Standing<User>, Error> {
        let old = self.old.map(Old::as_credential);
        let plan = send(|| self.client.resolve_update(old, Credential::Tip(self.new), None))?;
        if plan.may_cost() > 0 {
            output::warn(&format!("this may cost up to {} of the day's tries", plan.may_cost()));
        }
        let resolution = send(|| plan.settle())?;
        if let Some(error) = resolution.journal_error {
            output::warn(&format!("the journal failed and may still list what is settled: {error}"));
        }
        match resolution.verdict {
            Verdict::Applied(user) => Ok(Standing::New(user)),
            Verdict::NotApplied(_) => Ok(Standing::Old),
            Verdict::Neither => Ok(Standing::Neither),
            Verdict::Lost(lost) => Err(Error::Unknown { lost, run: None, listed_by: None }),
            _ => Err(Error::Unresolved),
        }
    }

    fn send(&mut self) -> Result<Outcome<User>, Error> {
        send(|| match self.old {
            None => self.client.install_tip(None, self.new),
            Some(Old::Digits(pin)) => self.client.install_tip(Some(pin), self.new),
            Some(Old::Tip(key)) => self.client.change_tip(&**key, self.counter, self.new),
        })
    }
}
