//! `encrypt` and `decrypt`: an encrypted PIN by itself.

use base16ct::lower::encode_string;
use mixin_pin_core::{EncryptedPin, SecretKind, SystemRng, UnixTime};
use mixin_pin_protocol::call::encode_pin;
use serde_json::json;

use crate::args::{DecryptArgs, PinArgs};
use crate::error::Error;
use crate::output::Output;
use crate::time::calendar;
use crate::{keystores, pins, store};

pub(crate) fn encrypt(args: &PinArgs, output: &Output) -> Result<(), Error> {
    let session = keystores::session(&args.session.keystore)?;
    let pin = pins::read(&args.source, "PIN")?;
    let nonce = store::nonce(&session, &args.store)?;
    let (timestamp, iterator) = (nonce.timestamp(), nonce.iterator());
    let encrypted = session.pin_key().encrypt(pin, nonce, &mut SystemRng::new()?);
    let text = encode_pin(&session, &encrypted);
    let value = json!({
        "ciphertext": text.as_str(),
        "timestamp": timestamp,
        "iterator": iterator.to_string(),
        "bytes": encrypted.as_bytes().len(),
    });
    output.result(&value, || text.to_string())
}

pub(crate) fn decrypt(args: &DecryptArgs, output: &Output) -> Result<(), Error> {
    let session = keystores::session(&args.session.keystore)?;
    let encrypted = EncryptedPin::from_base64(args.ciphertext.trim()).map_err(Error::Ciphertext)?;
    let block = session.pin_key().decrypt(&encrypted).map_err(Error::Ciphertext)?;
    let mut value = json!({
        "kind": block.kind().as_str(),
        "timestamp": block.timestamp(),
        "iterator": block.iterator().to_string(),
    });
    let secret = args.reveal.then(|| match block.kind() {
        SecretKind::SixDigits => String::from_utf8_lossy(block.secret().expose()).into_owned(),
        _ => encode_string(block.secret().expose()),
    });
    if let Some(secret) = &secret {
        value["secret"] = secret.as_str().into();
    }
    output.result(&value, || {
        let time = calendar(UnixTime::from_secs(block.timestamp()));
        let time = time.map_or_else(|| "beyond any calendar".to_owned(), |time| time.to_string());
        let mut text = format!(
            "kind       {}\ntimestamp  {} ({time})\niterator   {}",
            block.kind(),
            block.timestamp(),
            block.iterator()
        );
        if let Some(secret) = secret {
            text.push_str("\nsecret     ");
            text.push_str(&secret);
        }
        text
    })
}
