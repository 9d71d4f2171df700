//! Keys from the texts of fields: what kind each is, or what it is instead.

use std::fmt;

use base16ct::mixed;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding as _};
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, Error, PinToken, RsaKey, X25519PublicKey};
use zeroize::Zeroizing;

use super::note::{KeystoreNote, ServerKeyKind};
use super::pem::{self, Label};
use super::text::clean;
use super::write::ServerKey;
use crate::KeystoreError;

/// What a field holds instead of an unencrypted RSA or Ed25519 private key, or instead of the server's key.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// A public key.
    PublicKey,
    /// The server's public key of the same keystore.
    ServerKey,
    /// The public key of the same keystore's private key, where the server's belongs.
    OwnPublicKey,
    /// A placeholder, such as `${KEY}` or `****`, or a reference to a store of secrets.
    Placeholder,
    /// Hex or base64 of a text that is itself hex, base64 or PEM, as the fields of a Kubernetes secret are.
    EncodedTwice,
    /// A certificate, or a request for one.
    Certificate,
    /// A private key that is encrypted with a passphrase.
    EncryptedKey,
    /// A private key in OpenSSH's format, of any kind.
    OpenSshKey,
    /// A private key of another kind, such as an elliptic curve's.
    OtherKey,
    /// The name of a file, as huo-ju/mixin-node has it.
    FileName,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicKey => "is a public key; put the private key of that pair there",
            Self::ServerKey => "is the same as its server's public key; put the session's private key there",
            Self::OwnPublicKey => "is the session's own public key; put the server's public key there",
            Self::Placeholder => "is a placeholder or a reference; put there what it stands for",
            Self::EncodedTwice => "is encoded twice; decode it once, and put the result there",
            Self::Certificate => "is a certificate; put the private key there",
            Self::EncryptedKey => {
                "is encrypted with a passphrase; put the decrypted key there, which this prints: openssl pkey -in FILE"
            }
            Self::FileName => "is the name of a file; put the text of that file there",
            Self::OpenSshKey => "is a private key in OpenSSH's format; write it as PEM in PKCS #8",
            Self::OtherKey => "is a private key of another kind; a session's key is RSA or Ed25519",
        })
    }
}

/// A session's private key.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one exists at a time")]
pub(super) enum PrivateKey {
    Rsa(RsaKey),
    Ed25519(Ed25519Key),
}

impl PrivateKey {
    pub(super) fn public_key(&self) -> VerifyingKey {
        match self {
            Self::Rsa(key) => VerifyingKey::Rsa(key.public_key()),
            Self::Ed25519(key) => VerifyingKey::Ed25519(key.public_key()),
        }
    }

    /// Reads a key of either kind: hex, base64, PEM, damaged PEM, or base64 of DER.
    pub(super) fn read(field: &'static str, text: &str, notes: &mut Vec<KeystoreNote>) -> Result<Self, KeystoreError> {
        let failed = |cause| KeystoreError::Field { field, cause };
        let cleaned = clean(text);
        match Ed25519Key::from_text(&cleaned) {
            Ok(key) => return Ok(Self::Ed25519(key)),
            Err(_) if is_encoded_twice(&cleaned) => return Err(encoded_twice(field)),
            Err(Error::Ed25519Key) => {}
            Err(cause) => return Err(failed(cause)),
        }
        check_hex(field, &cleaned)?;
        if !pem::has_marks(text) {
            if [".pem", ".key", ".der", ".txt"].iter().any(|end| cleaned.ends_with(end)) {
                return Err(KeystoreError::Holds { field, holding: Holding::FileName });
            }
            let bytes = decode_secret(&cleaned).ok_or_else(|| not_encoded(field, &cleaned))?;
            if bytes.first() != Some(&SEQUENCE) || bytes.len() < MIN_DER {
                return Err(KeystoreError::KeyLength { field, len: bytes.len() });
            }
            let key = Self::from_der(field, &bytes)?;
            notes.push(KeystoreNote::PemRepaired { field });
            return Ok(key);
        }
        match RsaKey::from_pem(text) {
            Err(Error::RsaPem) => {}
            other => return other.map(Self::Rsa).map_err(failed),
        }
        match Ed25519Key::from_pem(text) {
            Err(Error::Ed25519Key) => {}
            other => return other.map(Self::Ed25519).map_err(failed),
        }
        let block = pem::find(text).ok_or(failed(Error::RsaPem))?;
        let holding = match block.label {
            Label::Key => {
                let der = decode_secret(&block.base64).ok_or(failed(Error::RsaPem))?;
                let key = Self::from_der(field, &der)?;
                notes.push(KeystoreNote::PemRepaired { field });
                return Ok(key);
            }
            Label::Encrypted => Holding::EncryptedKey,
            Label::PublicKey => Holding::PublicKey,
            Label::Certificate => Holding::Certificate,
            Label::OpenSshKey => Holding::OpenSshKey,
            Label::OtherKey => Holding::OtherKey,
        };
        Err(KeystoreError::Holds { field, holding })
    }

    fn from_der(field: &'static str, der: &[u8]) -> Result<Self, KeystoreError> {
        let failed = |cause| KeystoreError::Field { field, cause };
        match RsaKey::from_der(der) {
            Err(Error::RsaPem) => {}
            other => return other.map(Self::Rsa).map_err(failed),
        }
        match Ed25519Key::from_pkcs8_der(der) {
            Err(Error::Ed25519Key) => {}
            other => return other.map(Self::Ed25519).map_err(failed),
        }
        let (needed, content) = sequence(der).ok_or(failed(Error::RsaPem))?;
        if der.len() < needed {
            return Err(KeystoreError::CutShort { field, len: der.len(), needed });
        }
        Err(holding(content).map_or(failed(Error::RsaPem), |holding| KeystoreError::Holds { field, holding }))
    }
}

/// The tags of DER.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
/// The shortest DER that is taken for one: an Ed25519 public key. The bytes of a shorter value may begin like DER by chance.
const MIN_DER: usize = 44;

/// The length that a DER sequence says to have, header included, and as much of its content as there is.
fn sequence(der: &[u8]) -> Option<(usize, &[u8])> {
    element(der).filter(|(tag, ..)| *tag == SEQUENCE).map(|(_, needed, content)| (needed, content))
}

/// The tag of a DER element, its length with the header, and as much of its content as there is.
fn element(der: &[u8]) -> Option<(u8, usize, &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), &rest[2..]),
        _ => return None,
    };
    Some((*tag, der.len() - rest.len() + len, &rest[..len.min(rest.len())]))
}

/// What a sequence is that is no RSA or Ed25519 private key, by the tags of its first two elements.
fn holding(content: &[u8]) -> Option<Holding> {
    let (first, len, inner) = element(content)?;
    let second = content.get(len).copied();
    match (first, second) {
        // SubjectPublicKeyInfo, and the PublicKey of PKCS#1.
        (SEQUENCE, Some(BIT_STRING)) => Some(Holding::PublicKey),
        (INTEGER, Some(INTEGER)) if len > 3 => Some(Holding::PublicKey),
        // EncryptedPrivateKeyInfo of PKCS#8.
        (SEQUENCE, Some(OCTET_STRING)) => Some(Holding::EncryptedKey),
        (SEQUENCE, Some(SEQUENCE)) if !inner.is_empty() => Some(Holding::Certificate),
        // PKCS#8 of another algorithm, and the ECPrivateKey of SEC 1.
        (INTEGER, Some(SEQUENCE | OCTET_STRING)) => Some(Holding::OtherKey),
        _ => None,
    }
}

/// Refuses hex with an odd number of digits, which would be read as base64.
fn check_hex(field: &'static str, text: &str) -> Result<(), KeystoreError> {
    let is_cut = text.len() > 16 && !text.len().is_multiple_of(2);
    if is_cut && is_hex(text) { Err(KeystoreError::OddHex { field, digits: text.len() }) } else { Ok(()) }
}

/// What a text is that is neither hex nor base64.
fn not_encoded(field: &'static str, text: &str) -> KeystoreError {
    // Of shells and Compose, templates, forms, 1Password, SOPS and AWS.
    let starts = ["${", "$(", "{{", "<", "op://", "ENC[", "arn:"];
    if starts.iter().any(|start| text.starts_with(start)) || text.bytes().all(|c| c == b'*') {
        return KeystoreError::Holds { field, holding: Holding::Placeholder };
    }
    KeystoreError::NotEncoded { field }
}

fn encoded_twice(field: &'static str) -> KeystoreError {
    KeystoreError::Holds { field, holding: Holding::EncodedTwice }
}

/// Whether a text decodes to PEM, or to the hex or base64 of a key or a PIN token.
fn is_encoded_twice(text: &str) -> bool {
    let Some(bytes) = decode_secret(text) else { return false };
    let Ok(inside) = std::str::from_utf8(&bytes) else { return false };
    let has_length = |key: &[u8]| matches!(key.len(), 32 | 64 | 128..);
    pem::has_marks(inside) || decode_secret(&clean(inside)).is_some_and(|key| has_length(&key))
}

/// Whether there are hex digits only, in constant time.
fn is_hex(text: &str) -> bool {
    text.bytes().fold(true, |hex, c| hex & c.is_ascii_hexdigit())
}

/// Decodes a secret in hex or base64 in constant time. A text that may be either, which only hex digits are, is hex.
pub(super) fn decode_secret(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; text.len()]);
    let url_safe = text.bytes().fold(false, |found, c| found | matches!(c, b'-' | b'_'));
    let bare = text.trim_end_matches('=');
    let len = if text.len().is_multiple_of(2) && is_hex(text) {
        mixed::decode(text, &mut bytes).ok()?.len()
    } else if url_safe {
        Base64UrlUnpadded::decode(bare, &mut bytes).ok()?.len()
    } else {
        Base64Unpadded::decode(bare, &mut bytes).ok()?.len()
    };
    bytes.truncate(len);
    Some(bytes)
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Decodes base64 of public data. A private key may be there by mistake, so it is erased all the same.
fn decode_public(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let engine = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    engine.decode(text).ok().map(Zeroizing::new)
}

/// Likewise for hex.
fn decode_public_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    mixed::decode_vec(text).ok().map(Zeroizing::new)
}

/// DER before the 32 bytes of a public key (RFC 8410, section 4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const X25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00];

/// Reads the server's key of an Ed25519 session.
///
/// Hex is an Ed25519 key and base64 an X25519 key (`baizhiheizi/mixin_bot`: `lib/mixin_bot/configuration.rb`), DER says what it
/// is. If a value cannot be the key that this rule says but can be the other, it is read as the other: a key that was made
/// from a private key has prime order, and other 32 bytes have it with a probability of a sixteenth.
pub(super) fn server_key(
    field: &'static str,
    text: &str,
    notes: &mut Vec<KeystoreNote>,
) -> Result<ServerKey, KeystoreError> {
    let failed = |cause| KeystoreError::Field { field, cause };
    let cleaned = clean(text);
    check_hex(field, &cleaned)?;
    let hex = if cleaned.len().is_multiple_of(2) { decode_public_hex(&cleaned) } else { None };
    let is_hex = hex.is_some();
    let from_pem = || pem::find(text).and_then(|block| decode_public(&block.base64));
    let bytes =
        hex.or_else(|| decode_public(&cleaned)).or_else(from_pem).ok_or_else(|| not_encoded(field, &cleaned))?;
    if let Some(key) = bytes.strip_prefix(&ED25519_SPKI) {
        return Ed25519PublicKey::from_bytes(key).map(ServerKey::Ed25519).map_err(failed);
    }
    if let Some(key) = bytes.strip_prefix(&X25519_SPKI) {
        return X25519PublicKey::from_bytes(key).map(ServerKey::X25519).map_err(failed);
    }
    if bytes.len() != 32 {
        if is_encoded_twice(&cleaned) {
            return Err(encoded_twice(field));
        }
        return Err(KeystoreError::ServerKeyLength { field, len: bytes.len() });
    }
    let usual = if field == "server_public_key" { ServerKeyKind::Ed25519 } else { ServerKeyKind::X25519 };
    let by_rule = if is_hex { ServerKeyKind::Ed25519 } else { ServerKeyKind::X25519 };
    let (ed25519, x25519) = (Ed25519PublicKey::from_bytes(&bytes), X25519PublicKey::from_bytes(&bytes));
    let may_be_ed25519 = || ed25519.as_ref().is_ok_and(Ed25519PublicKey::has_prime_order);
    let may_be_x25519 = || x25519.as_ref().is_ok_and(|key| key.to_ed25519().is_ok_and(|point| point.has_prime_order()));
    // The checks cost as much as an agreement. A key of the usual kind in its own field needs none.
    let read_as = match by_rule {
        ServerKeyKind::Ed25519 if ed25519.is_ok() && usual == by_rule => by_rule,
        ServerKeyKind::Ed25519 if !may_be_ed25519() && may_be_x25519() => ServerKeyKind::X25519,
        ServerKeyKind::X25519 if usual != by_rule && !may_be_x25519() && may_be_ed25519() => ServerKeyKind::Ed25519,
        _ => by_rule,
    };
    let key = match read_as {
        ServerKeyKind::Ed25519 => ServerKey::Ed25519(ed25519.map_err(failed)?),
        ServerKeyKind::X25519 => ServerKey::X25519(x25519.map_err(failed)?),
    };
    if read_as != usual || read_as != by_rule {
        notes.push(KeystoreNote::ServerKey { field, read_as });
    }
    Ok(key)
}

/// Reads the PIN token of an RSA session, whose length is that of the key.
pub(super) fn pin_token(field: &'static str, text: &str, key: &RsaKey) -> Result<PinToken, KeystoreError> {
    let needed = key.public_key().bits().div_ceil(8);
    let cleaned = clean(text);
    check_hex(field, &cleaned)?;
    let hex = if cleaned.len() == 2 * needed { decode_public_hex(&cleaned) } else { None };
    let bytes = hex.or_else(|| decode_public(&cleaned));
    let bytes = bytes.ok_or_else(|| not_encoded(field, &cleaned))?;
    if bytes.len() != needed {
        if is_encoded_twice(&cleaned) {
            return Err(encoded_twice(field));
        }
        return Err(KeystoreError::PinTokenLength { field, len: bytes.len(), needed });
    }
    PinToken::from_bytes(&bytes).map_err(|cause| KeystoreError::Field { field, cause })
}
