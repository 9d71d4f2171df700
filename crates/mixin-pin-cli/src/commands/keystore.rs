//! `keystore new`, `check`, `convert`, `lock` and `unlock`.

use std::io::{self, IsTerminal as _};

use mixin_pin_core::SystemRng;
use mixin_pin_protocol::keystore::{KeystoreShape, OutputShape};
use mixin_pin_protocol::{KeystoreError, Shown};
use serde_json::json;

use crate::args::{KeystoreCheckArgs, KeystoreConvertArgs, KeystoreLockArgs, KeystoreNewArgs};
use crate::error::{Error, KeystoreProblem};
use crate::files::{self, Replacement, SecretFile};
use crate::keystore::{self, Passphrase};
use crate::output::{self, BAD, GOOD, Output};
use crate::redact::ShownPath;
use crate::{client, registration};

pub(crate) fn new(args: &KeystoreNewArgs, output: &Output) -> Result<(), Error> {
    // The file comes first: if the key cannot be written, the user must not be registered.
    let file = SecretFile::create(&args.out)?;
    let passphrase = if args.lock { Some(Passphrase::ask_new()?) } else { None };
    let app = client::without_store(keystore::session(&args.app_keystore)?, &args.api)?;
    let (user, text) = registration::register(&app, args.kind, &args.name)?;
    match passphrase {
        Some(passphrase) => file.finish(keystore::lock(&args.out, text.as_bytes(), &passphrase)?.as_bytes())?,
        None => file.finish(text.as_bytes())?,
    }
    let out = ShownPath(&args.out);
    let value = json!({ "keystore": out.in_json(), "kind": args.kind.as_str(), "user": user });
    output.result(&value, || {
        format!("{GOOD}registered{GOOD:#} {} ({}), keystore in {out}", Shown(&user.full_name), user.user_id)
    })
}

pub(crate) fn check(args: &KeystoreCheckArgs, output: &Output) -> Result<(), Error> {
    let path = &args.file;
    let mut keystore = match keystore::read_with_notes(path) {
        Err(Error::Keystore { problem: KeystoreProblem::Content(cause), .. }) => return incomplete(&cause, output),
        other => other?,
    };
    let (shape, user_id, session_id) = (keystore.shape(), keystore.user_id(), keystore.session_id());
    let (algorithm, also_holds) = (keystore.algorithm(), keystore.further_secrets().to_vec());
    let bits = keystore.public_key().as_ref().and_then(keystore::rsa_bits);
    let (holds_pin, lacks_server_key) = (keystore.holds_pin(), keystore.lacks_server_key());
    let mut notes: Vec<_> = keystore.notes().iter().map(ToString::to_string).collect();
    notes.extend(keystore::unusable_spend_key(&mut keystore));
    match keystore.into_session(&mut SystemRng::new()?) {
        Ok(_) => {}
        Err(KeystoreError::OAuth) => notes.push("an OAuth authorization has no PIN".to_owned()),
        Err(KeystoreError::RemoteSigner) => {
            notes.push("another program signs; this command cannot make its calls".to_owned());
        }
        Err(cause) => return incomplete(&cause, output),
    }
    if holds_pin {
        output::warn(
            "the keystore holds a PIN; anyone who reads the file has both key and PIN. Remove the PIN from it",
        );
    }
    let value = json!({
        "complete": true,
        "shape": shape.as_str(),
        "user_id": user_id.to_string(),
        "session_id": session_id.to_string(),
        "algorithm": algorithm.as_str(),
        "key_bits": bits,
        "also_holds": also_holds,
        "notes": notes,
    });
    output.result(&value, || {
        let bits = bits.map(|bits| format!(", {bits} bits")).unwrap_or_default();
        let more = if also_holds.is_empty() { "nothing".to_owned() } else { also_holds.join(", ") };
        let lacking = if lacks_server_key { ", without the server's key" } else { "" };
        let mut text = format!(
            "{GOOD}complete{GOOD:#}: {shape}{lacking}\n  user        {user_id}\n  session     {session_id}\n  algorithm   \
             {algorithm}{bits}\n  also holds  {more}"
        );
        for note in &notes {
            text.push_str("\n  note        ");
            text.push_str(note);
        }
        text
    })
}

pub(crate) fn convert(args: &KeystoreConvertArgs, output: &Output) -> Result<(), Error> {
    let (path, shape) = (&args.file, OutputShape::from(args.shape));
    let file = match &args.out {
        Some(out) => Some(SecretFile::create(out)?),
        None if io::stdout().is_terminal() => return Err(Error::SecretToTerminal),
        None => None,
    };
    let keystore = keystore::read(path)?;
    let failed = |cause| KeystoreProblem::Content(cause).at(path);
    let written = keystore.write(shape, args.with_spend_key).map_err(failed)?;
    // A session that cannot be used is not written again.
    if !matches!(keystore.shape(), KeystoreShape::OAuth | KeystoreShape::RemoteSigner) {
        keystore::into_session(path, keystore)?;
    }
    let left_out = written.left_out.join(", ");
    let Some((file, out)) = file.zip(args.out.as_ref()) else {
        if !left_out.is_empty() {
            output::warn(&format!("left out: {left_out}"));
        }
        return output::print_secret(&written.text);
    };
    if args.lock {
        let passphrase = Passphrase::ask_new()?;
        file.finish(keystore::lock(out, written.text.as_bytes(), &passphrase)?.as_bytes())?;
    } else {
        file.finish(written.text.as_bytes())?;
    }
    let out = ShownPath(out);
    let value = json!({ "keystore": out.in_json(), "shape": shape.as_str(), "left_out": written.left_out });
    output.result(&value, || {
        let left_out = if left_out.is_empty() { String::new() } else { format!("\n  left out    {left_out}") };
        format!("{GOOD}written{GOOD:#}: {out}, in the shape {shape}{left_out}")
    })
}

pub(crate) fn lock(args: &KeystoreLockArgs, output: &Output) -> Result<(), Error> {
    let path = &args.file;
    refuse_in_place_of_stdin(args)?;
    let bytes = files::read_keystore_quietly(path)?;
    if keystore::is_locked(&bytes) {
        return Err(KeystoreProblem::Locked.at(path));
    }
    // Other files are not locked.
    keystore::parse(path, &bytes)?;
    let file = Written::begin(args)?;
    let passphrase = Passphrase::ask_new()?;
    let locked = keystore::lock(path, &bytes, &passphrase)?;
    if let Written::InPlace(_) = file
        && let Some(warning) = files::other_names(path)
    {
        output::warn(&warning);
    }
    match file {
        Written::Beside(file) => file.finish(locked.as_bytes())?,
        Written::InPlace(file) => file.finish_locked(locked.as_bytes())?,
    }
    done("locked", args, output)
}

pub(crate) fn unlock(args: &KeystoreLockArgs, output: &Output) -> Result<(), Error> {
    let path = &args.file;
    refuse_in_place_of_stdin(args)?;
    let bytes = files::read_keystore_quietly(path)?;
    if !keystore::is_locked(&bytes) {
        return Err(KeystoreProblem::NotLocked.at(path));
    }
    let file = Written::begin(args)?;
    let text = keystore::unlock(path, &bytes, &Passphrase::ask()?)?;
    keystore::parse(path, &text)?;
    match file {
        Written::Beside(file) => file.finish(&text)?,
        Written::InPlace(file) => file.finish_secret(&text)?,
    }
    done("unlocked", args, output)
}

/// Standard input cannot be replaced by the result.
fn refuse_in_place_of_stdin(args: &KeystoreLockArgs) -> Result<(), Error> {
    if files::is_stdin(&args.file) && args.out.is_none() { Err(Error::StdinInPlace) } else { Ok(()) }
}

/// Where the result goes.
enum Written {
    Beside(SecretFile),
    InPlace(Replacement),
}

impl Written {
    fn begin(args: &KeystoreLockArgs) -> Result<Self, Error> {
        Ok(match &args.out {
            Some(out) => Self::Beside(SecretFile::create(out)?),
            None => Self::InPlace(Replacement::of(&args.file)?),
        })
    }
}

fn done(what: &str, args: &KeystoreLockArgs, output: &Output) -> Result<(), Error> {
    let out = ShownPath(args.out.as_ref().unwrap_or(&args.file));
    output.result(&json!({ "keystore": out.in_json(), what: true }), || format!("{GOOD}{what}{GOOD:#}: {out}"))
}

fn incomplete(cause: &KeystoreError, output: &Output) -> Result<(), Error> {
    let value = json!({ "complete": false, "problem": cause.to_string() });
    output.result(&value, || format!("{BAD}incomplete{BAD:#}: {}", Shown(&cause.to_string())))?;
    Err(Error::DoesNotHold)
}
