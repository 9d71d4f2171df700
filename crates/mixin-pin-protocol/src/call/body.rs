//! Bodies that carry encrypted PINs: the fields that these stand in, and the bytes around them.

use std::fmt::{self, Write as _};
use std::io;

use mixin_pin_core::token::Algorithm;
use mixin_pin_core::{EncodedPin, EncryptedPin, SecretKind};
use serde_json::{Map, Value};

use crate::Error;

/// Where encrypted PINs stand in a body, and in which base64.
pub(super) struct PinFields {
    pub(super) old_pin: &'static str,
    pub(super) pin: &'static str,
    pub(super) encode: fn(&EncryptedPin) -> EncodedPin,
}

impl PinFields {
    /// Those of a session that signs by this algorithm, for a secret of this kind.
    pub(super) const fn of(algorithm: Algorithm, kind: SecretKind) -> &'static Self {
        match (algorithm, kind) {
            (Algorithm::Rs512, SecretKind::SixDigits) => &DIGIT_FIELDS,
            _ => &LATER_FIELDS,
        }
    }
}

/// For the digits of an RSA session.
const DIGIT_FIELDS: PinFields = PinFields { old_pin: "old_pin", pin: "pin", encode: EncryptedPin::to_standard };
/// For everything else, which came later.
const LATER_FIELDS: PinFields =
    PinFields { old_pin: "old_pin_base64", pin: "pin_base64", encode: EncryptedPin::to_url_safe };

/// Whether a body has a field for a PIN.
pub(crate) fn has_pin_field(body: &Map<String, Value>) -> bool {
    [&DIGIT_FIELDS, &LATER_FIELDS]
        .iter()
        .any(|fields| body.contains_key(fields.pin) || body.contains_key(fields.old_pin))
}

/// A body written at once.
pub(super) fn text_body(text: fmt::Arguments<'_>) -> Vec<u8> {
    // Room for the fields of two encrypted PINs, so that it need not grow.
    let mut body = String::with_capacity(64 + 2 * EncodedPin::MAX_LEN);
    // A `String` takes whatever it is given.
    let _ = body.write_fmt(text);
    body.into_bytes()
}

/// A body of JSON with an encrypted PIN added at its end.
pub(super) fn body_with_pin(body: &Map<String, Value>, field: &str, pin: &EncodedPin) -> Result<Vec<u8>, Error> {
    let mut len = Counter(0);
    serde_json::to_writer(&mut len, body).map_err(|_| Error::BodyNotJson)?;
    let comma = if body.is_empty() { "" } else { "," };
    let rest = [comma, "\"", field, "\":\"", pin.as_str(), "\"}"];
    let mut json = Vec::with_capacity(len.0 + rest.iter().map(|part| part.len()).sum::<usize>());
    serde_json::to_writer(&mut json, body).map_err(|_| Error::BodyNotJson)?;
    // The closing brace.
    json.pop();
    for part in rest {
        json.extend_from_slice(part.as_bytes());
    }
    Ok(json)
}

/// Counts what is written.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
