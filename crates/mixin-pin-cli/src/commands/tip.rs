//! `tip`, and the TIP halves of `verify` and `update`.

use base16ct::lower::encode_string;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, SystemRng};
use mixin_pin_http::Client;
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::keystore::SpendKey;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{calling, known, known_or_run, new_user as new_user_flag};
use crate::action::Action;
use crate::args::{CallArgs, TipNewKeyArgs, TipSignArgs, TipSource, UpdateArgs, VerifyArgs};
use crate::error::Error;
use crate::files::SecretFile;
use crate::keystores;
use crate::output::{GOOD, Output};
use crate::pins;
use crate::quoted::ShownPath;

pub(crate) fn new_key(args: &TipNewKeyArgs, output: &Output) -> Result<(), Error> {
    let file = SecretFile::create(&args.out)?;
    let (key, seed) = TipKey::generate(&mut SystemRng::new()?);
    let mut text = Zeroizing::new(encode_string(seed.as_ref()));
    text.push('\n');
    file.finish(text.as_bytes())?;
    let hex = encode_string(key.public_key().as_bytes());
    let base64 = key.public_key().to_base64_url();
    let out = ShownPath(&args.out);
    let value = json!({ "spend_key": out.in_json(), "public_key": hex, "tip_key_base64": base64 });
    output.result(&value, || format!("{GOOD}new TIP key{GOOD:#} in {out}\n  public key  {hex}\n  in base64   {base64}"))
}

pub(crate) fn sign(args: &TipSignArgs, output: &Output) -> Result<(), Error> {
    let expected = args.public_key.as_deref().map(Ed25519PublicKey::from_text).transpose().map_err(Error::PublicKey)?;
    let of_keystore = match &args.keystore {
        Some(path) if !args.spend_key_stdin => keystores::read(path)?.take_spend_key(),
        _ => None,
    };
    let key = chosen(args.spend_key_stdin, of_keystore, "spend key")?.to_tip_key(expected.as_ref())?;
    let (body, signature) = args.action.with(|action| (action.body(), key.sign(action)))?;
    let (body, signature) = (encode_string(body.as_bytes()), encode_string(&signature));
    let public_key = encode_string(key.public_key().as_bytes());
    output.result(&json!({ "body": body, "signature": signature, "public_key": public_key }), || signature.clone())
}

/// Makes another call with the signature of a TIP action in its body, by the key that the server knows.
pub(crate) fn call(
    client: &Client,
    args: &CallArgs,
    body: &Map<String, Value>,
    of_keystore: Option<SpendKey>,
    action: &Action,
) -> Result<Value, Error> {
    let installed = installed(&calling(|| client.me())?);
    let key = chosen(args.spend_key_stdin, of_keystore, "spend key")?.to_tip_key(installed.as_ref())?;
    let called =
        action.with(|action| calling(|| client.call_with_tip(&args.method, &args.path, body, &key, action)))?;
    known(called?)
}

/// Proves the user's TIP key.
pub(crate) fn verify(client: &Client, args: &VerifyArgs, of_keystore: Option<SpendKey>) -> Result<User, Error> {
    let installed = installed(&calling(|| client.me())?);
    let key = chosen(args.tip.spend_key_stdin, of_keystore, "spend key")?.to_tip_key(installed.as_ref())?;
    let outcome = calling(|| client.verify_tip(&key))?;
    known_or_run(outcome, "verify", &args.client, flag(&args.tip))
}

/// Installs a TIP key, in the place of nothing, of digits or of another.
pub(crate) fn update(client: &Client, args: &UpdateArgs, of_keystore: Option<SpendKey>) -> Result<User, Error> {
    let (new_user, spend_key_stdin) = (args.new_user, args.tip.spend_key_stdin);
    // Who says that there is no PIN is believed, and refused by the server if there is one.
    let me = if new_user { None } else { Some(calling(|| client.me())?) };
    if let Some(me) = &me
        && let Some(installed) = installed(me)
    {
        // Two keys: the keystore's may be the old one, the new one is always given.
        let old = match of_keystore.map(|key| key.to_tip_key(Some(&installed))) {
            Some(Ok(old)) => old,
            _ => pins::spend_key(spend_key_stdin, "old spend key")?.to_tip_key(Some(&installed))?,
        };
        let new = pins::spend_key(spend_key_stdin, "new spend key")?.to_tip_key(None)?;
        if new.public_key() == old.public_key() {
            return Err(Error::SameSpendKey);
        }
        let outcome = calling(|| client.change_tip(&old, me.tip_counter, &new))?;
        return known_or_run(outcome, "resolve", &args.client, &[&["--old-tip"], flag(&args.tip)].concat());
    }
    let old = if new_user { None } else { Some(pins::read(&args.source, "old PIN")?) };
    let new = chosen(spend_key_stdin, of_keystore, "new spend key")?.to_tip_key(None)?;
    let outcome = calling(|| client.install_tip(old.as_ref(), &new))?;
    known_or_run(outcome, "resolve", &args.client, &[new_user_flag(args), flag(&args.tip)].concat())
}

/// The key that the server knows the user by.
pub(super) fn installed(user: &User) -> Option<Ed25519PublicKey> {
    Ed25519PublicKey::from_text(&user.tip_key_base64).ok()
}

/// How another command is told to take the key from the same place.
pub(super) const fn flag(source: &TipSource) -> &'static [&'static str] {
    if source.spend_key_stdin { &["--spend-key-stdin"] } else { &["--tip"] }
}

/// The key that was given, or else the keystore's.
pub(super) fn chosen(
    spend_key_stdin: bool,
    of_keystore: Option<SpendKey>,
    which: &'static str,
) -> Result<SpendKey, Error> {
    match of_keystore {
        Some(key) if !spend_key_stdin => Ok(key),
        _ => pins::spend_key(spend_key_stdin, which),
    }
}
