//! `encrypt` and `decrypt`: one encrypted PIN, without a call.

use std::time::Instant;

use base16ct::lower::encode_string;
use mixin_pin_core::{EncryptedPin, Nonce, SecretKind, Session, SystemRng, UnixTime};
use mixin_pin_protocol::call::encode_pin;
use mixin_pin_protocol::check::OpenedPin;
use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore as _};
use serde_json::json;

use crate::args::{DecryptArgs, PinArgs, StoreArgs};
use crate::client::{DEFAULT_WAIT, LEASE, open_store};
use crate::error::Error;
use crate::outcome::store_command;
use crate::output::Output;
use crate::time::{calendar, now};
use crate::{keystore, pins};

pub(crate) fn encrypt(args: &PinArgs, output: &Output) -> Result<(), Error> {
    let session = keystore::session(&args.session.keystore)?;
    let pin = pins::read(&args.source, "PIN")?;
    let nonce = next_nonce(&session, &args.store)?;
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
    let path = &args.session.keystore;
    let session = keystore::into_unsigned_session(path, keystore::read(path)?)?;
    let (key, text) = (session.pin_key(), args.ciphertext.trim());
    let block = EncryptedPin::from_base64(text)
        .and_then(|encrypted| key.decrypt(&encrypted))
        .map_err(|cause| OpenedPin::read(key, text).map_or(Error::Ciphertext(cause), Error::Opened))?;
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
        let time = time.map_or_else(|| "beyond the calendar".to_owned(), |time| time.to_string());
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

/// Takes a nonce from the store, for a PIN that another program sends.
fn next_nonce(session: &Session, args: &StoreArgs) -> Result<Nonce, Error> {
    // Opening the store is a part of the wait.
    let begun = Instant::now();
    let (store, session_id) = (open_store(args)?, session.session_id());
    let wait = args.max_wait().unwrap_or(DEFAULT_WAIT).saturating_sub(begun.elapsed());
    // The command does not wait until the PIN is sent.
    let terms = LeaseTerms::new(LEASE).wait(wait);
    let mut reply = store.lease(session_id, &terms)?;
    // The session is new to the store, and this command asks no server for its time. So it trusts the clock.
    if matches!(reply, LeaseReply::ClockUnconfirmed { ahead: None }) {
        reply = store.lease(session_id, &terms.with_confirmed_clock())?;
    }
    match reply {
        LeaseReply::Granted(lease) => Ok(lease.next(now()?)?),
        LeaseReply::Busy => {
            Err(Error::SessionBusy { left: store.session(session_id)?.and_then(|record| record.leased_for) })
        }
        LeaseReply::ClockUnconfirmed { ahead } => {
            let reset = store_command(&["store", "reset", &session_id.to_string()], args.store.as_deref());
            Err(Error::ClockLeap { ahead: ahead.unwrap_or_default(), reset })
        }
    }
}
