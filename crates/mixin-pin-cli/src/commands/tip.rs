//! `tip new-key` and `tip sign`.

use base16ct::lower::encode_string;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, SystemRng};
use serde_json::json;
use zeroize::Zeroizing;

use crate::args::{TipNewKeyArgs, TipSignArgs};
use crate::error::Error;
use crate::files::SecretFile;
use crate::output::{GOOD, Output};
use crate::redact::ShownPath;
use crate::{keystore, pins};

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
        Some(path) if !args.spend_key_stdin => keystore::read(path)?.take_spend_key(),
        _ => None,
    };
    let key = pins::spend_key_or(of_keystore, args.spend_key_stdin, "spend key")?;
    let key = pins::tip_key(&key, expected.as_ref(), "spend key")?;
    let (body, signature) = args.action.with(|action| (action.body(), key.sign(action)))?;
    let (body, signature) = (encode_string(body.as_bytes()), encode_string(&signature));
    let public_key = encode_string(key.public_key().as_bytes());
    output.result(&json!({ "body": body, "signature": signature, "public_key": public_key }), || signature.clone())
}
