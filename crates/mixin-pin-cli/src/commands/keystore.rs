//! `keystore new`, `check`, `lock` and `unlock`.

use std::path::Path;

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, PinToken, RsaKey, SystemRng, X25519PublicKey};
use mixin_pin_http::Client;
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::keystore::{ServerKey, write_ed25519, write_rsa};
use mixin_pin_protocol::{KeystoreError, Shown};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{calling, known, settings};
use crate::args::{KeystoreCheckArgs, KeystoreLockArgs, KeystoreNewArgs, SessionKind};
use crate::error::Error;
use crate::files::{self, MAX_KEYSTORE, Replacement, SecretFile};
use crate::keystores::{self, Facts};
use crate::lock::{self, Passphrase};
use crate::output::{self, BAD, GOOD, Output, Slow};
use crate::quoted::ShownPath;

pub(crate) fn new(args: &KeystoreNewArgs, output: &Output) -> Result<(), Error> {
    // Begun first: a user whose key could not be written is lost.
    let file = SecretFile::create(&args.out)?;
    let passphrase = if args.lock { Some(Passphrase::ask_new()?) } else { None };
    let app = settings(Client::builder(keystores::session(&args.app_keystore)?), &args.api).build()?;
    let (user, text) = register(&app, args.kind, &args.name)?;
    match passphrase {
        Some(passphrase) => file.finish(locked(&args.out, text.as_bytes(), &passphrase)?.as_bytes())?,
        None => file.finish(text.as_bytes())?,
    }
    let out = ShownPath(&args.out);
    let value = json!({ "keystore": out.in_json(), "kind": args.kind.as_str(), "user": user });
    output.result(&value, || {
        format!("{GOOD}registered{GOOD:#} {} ({}), keystore in {out}", Shown(&user.full_name), user.user_id)
    })
}

/// A new private key of either kind.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub(crate) enum NewKey {
    Rsa(RsaKey),
    Ed25519(Ed25519Key),
}

impl NewKey {
    pub(crate) fn generate(kind: SessionKind) -> Result<Self, Error> {
        let mut rng = SystemRng::new()?;
        Ok(match kind {
            SessionKind::Rsa1024 => Self::Rsa(RsaKey::generate(&mut rng, 1024)?),
            SessionKind::Rsa2048 => Self::Rsa(RsaKey::generate(&mut rng, 2048)?),
            SessionKind::Ed25519 => Self::Ed25519(Ed25519Key::generate(&mut rng)),
        })
    }

    pub(crate) fn public_key(&self) -> VerifyingKey {
        match self {
            Self::Rsa(key) => VerifyingKey::Rsa(key.public_key()),
            Self::Ed25519(key) => VerifyingKey::Ed25519(key.public_key()),
        }
    }

    /// The keystore of the user that was registered with this key.
    pub(crate) fn keystore(&self, user: &User) -> Result<Zeroizing<String>, Error> {
        let session_id = user.session_id.ok_or(Error::Registration)?;
        match self {
            Self::Rsa(key) => {
                let pin_token = PinToken::from_base64(&user.pin_token).map_err(|_| Error::Registration)?;
                Ok(write_rsa(user.user_id, session_id, key, &pin_token)?)
            }
            Self::Ed25519(key) => {
                let server = Ed25519PublicKey::from_text(&user.server_public_key)
                    .map(ServerKey::Ed25519)
                    .or_else(|_| X25519PublicKey::from_base64(&user.pin_token_base64).map(ServerKey::X25519))
                    .map_err(|_| Error::Registration)?;
                Ok(write_ed25519(user.user_id, session_id, key, &server))
            }
        }
    }
}

pub(super) fn register(app: &Client, kind: SessionKind, name: &str) -> Result<(User, Zeroizing<String>), Error> {
    let key = {
        let _slow = Slow::new("making a key");
        NewKey::generate(kind)?
    };
    let user = known(calling(|| app.register(&key.public_key(), name))?)?;
    let text = key.keystore(&user)?;
    Ok((user, text))
}

pub(crate) fn check(args: &KeystoreCheckArgs, output: &Output) -> Result<(), Error> {
    let path = &args.file;
    let keystore = match keystores::read(path) {
        Err(Error::Keystore { cause, .. }) => return incomplete(&cause, output),
        other => other?,
    };
    let facts = Facts::of(&keystore);
    if !facts.is_oauth()
        && let Err(cause) = keystore.into_session(&mut SystemRng::new()?)
    {
        return incomplete(&cause, output);
    }
    if facts.holds_pin() {
        output::warn("the keystore holds a PIN; whoever reads the file has key and PIN together. Take the PIN out");
    }
    let (Facts { shape, user_id, session_id, also_holds, .. }, bits) = (&facts, facts.rsa_bits());
    let algorithm = facts.public_key.algorithm();
    let value = json!({
        "complete": true,
        "shape": shape.as_str(),
        "user_id": user_id.to_string(),
        "session_id": session_id.to_string(),
        "algorithm": algorithm.as_str(),
        "key_bits": bits,
        "also_holds": also_holds,
    });
    output.result(&value, || {
        let bits = bits.map(|bits| format!(", {bits} bits")).unwrap_or_default();
        let more = if also_holds.is_empty() { "nothing".to_owned() } else { also_holds.join(", ") };
        let mut text = format!(
            "{GOOD}complete{GOOD:#}: {shape}\n  user        {user_id}\n  session     {session_id}\n  algorithm   \
             {algorithm}{bits}\n  also holds  {more}"
        );
        if facts.is_oauth() {
            text.push_str("\n  note        an OAuth authorization has no PIN of its own");
        }
        text
    })
}

pub(crate) fn lock(args: &KeystoreLockArgs, output: &Output) -> Result<(), Error> {
    let path = &args.file;
    let bytes = files::read_keystore(path)?;
    if lock::is_locked(&bytes) {
        return Err(Error::Locked { path: path.clone() });
    }
    // Whatever else it is, is not ours to lock.
    keystores::parse(path, &bytes)?;
    let file = Written::begin(args)?;
    let passphrase = Passphrase::ask_new()?;
    let locked = locked(path, &bytes, &passphrase)?;
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
    let bytes = files::read_keystore(path)?;
    if !lock::is_locked(&bytes) {
        return Err(Error::NotLocked { path: path.clone() });
    }
    let file = Written::begin(args)?;
    let text = lock::open(path, &bytes, &Passphrase::ask()?)?;
    keystores::parse(path, &text)?;
    match file {
        Written::Beside(file) => file.finish(&text)?,
        Written::InPlace(file) => file.finish_secret(&text)?,
    }
    done("unlocked", args, output)
}

/// The file that is made of another.
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

/// Locks a keystore, and sees whether it opens before there is nothing else left of it.
fn locked(path: &Path, text: &[u8], passphrase: &Passphrase) -> Result<String, Error> {
    let locked = lock::lock(text, passphrase).map_err(|cause| Error::Write { path: path.to_owned(), cause })?;
    if locked.len() > MAX_KEYSTORE {
        return Err(Error::TooLong { path: path.to_owned(), limit: MAX_KEYSTORE });
    }
    let opens = lock::open(path, locked.as_bytes(), passphrase)?.ct_eq(text);
    if opens.into() { Ok(locked) } else { Err(Error::Passphrase { path: path.to_owned() }) }
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
