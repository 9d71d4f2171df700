//! The file with the new key of a session change that has not been completed.

use std::path::Path;

use base16ct::lower::encode_string;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, SystemRng};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::{Error, FileProblem};
use crate::files;
use crate::keystore::{self, Passphrase};

/// The change that a file belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Upgrade,
    Rotate,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Upgrade => "session upgrade",
            Self::Rotate => "session rotate",
        }
    }
}

/// A new key, and the session that gets it.
pub(crate) struct Unfinished {
    pub(crate) kind: Kind,
    /// Whether the user is an app whose owner makes the change.
    pub(crate) is_app: bool,
    pub(crate) user_id: Uuid,
    pub(crate) old_session_id: Uuid,
    pub(crate) key: Ed25519Key,
}

/// The fields of the file. The texts are borrowed, so that no copy of the key is made.
#[derive(Deserialize)]
struct Fields<'t> {
    unfinished: &'t str,
    user_id: Option<&'t str>,
    app_id: Option<&'t str>,
    session_id: &'t str,
    session_private_key: &'t str,
}

impl Unfinished {
    /// Makes a key, writes the file, and reads it back.
    pub(crate) fn create(
        path: &Path,
        kind: Kind,
        is_app: bool,
        (user_id, old_session_id): (Uuid, Uuid),
        passphrase: Option<&Passphrase>,
    ) -> Result<Self, Error> {
        let key = Ed25519Key::generate(&mut SystemRng::new()?);
        let this = Self { kind, is_app, user_id, old_session_id, key };
        keystore::write_new(path, &this.to_text(), passphrase)?;
        files::check_durable(path)?;
        // What is sent is what the disk has.
        let (read, _) = Self::read(path, passphrase)?;
        let is_same = read.key.expose_seed().ct_eq(this.key.expose_seed());
        if is_same.into() { Ok(read) } else { Err(FileProblem::Differs.at(path)) }
    }

    fn to_text(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(encode_string(self.key.expose_seed()));
        let id_field = if self.is_app { "app_id" } else { "user_id" };
        let (user_id, session_id) = (self.user_id.to_string(), self.old_session_id.to_string());
        let parts = [
            "{\n  \"unfinished\": \"",
            self.kind.as_str(),
            "\",\n  \"",
            id_field,
            "\": \"",
            &user_id,
            "\",\n  \"session_id\": \"",
            &session_id,
            "\",\n  \"session_private_key\": \"",
            &seed,
            "\"\n}\n",
        ];
        // Growing would leave copies of the key in memory.
        let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
        for part in parts {
            text.push_str(part);
        }
        text
    }

    /// Reads the file, which is locked with this passphrase or with one that is asked for.
    pub(crate) fn read(path: &Path, passphrase: Option<&Passphrase>) -> Result<(Self, Option<Passphrase>), Error> {
        let (text, asked) = keystore::read_text_with(path, passphrase)?;
        Ok((Self::parse(&text).ok_or_else(|| FileProblem::Unfinished.at(path))?, asked))
    }

    /// Parses the text of a file. None if it is another one.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let fields: Fields<'_> = serde_json::from_slice(text).ok()?;
        let kind = [Kind::Upgrade, Kind::Rotate].into_iter().find(|kind| kind.as_str() == fields.unfinished)?;
        let (is_app, user_id) = match (fields.app_id, fields.user_id) {
            (Some(id), None) => (true, id),
            (None, Some(id)) => (false, id),
            _ => return None,
        };
        let key = Ed25519Key::from_text(fields.session_private_key).ok()?;
        let (user_id, old_session_id) = (user_id.parse().ok()?, fields.session_id.parse().ok()?);
        Some(Self { kind, is_app, user_id, old_session_id, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_it_was_written_and_no_other_is() {
        let key = || Ed25519Key::from_bytes(&[7; 32]).unwrap();
        for (kind, is_app) in [(Kind::Upgrade, false), (Kind::Rotate, false), (Kind::Rotate, true)] {
            let (user_id, old_session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
            let text = Unfinished { kind, is_app, user_id, old_session_id, key: key() }.to_text();
            let read = Unfinished::parse(text.as_bytes()).unwrap();
            assert_eq!((read.kind, read.is_app), (kind, is_app));
            assert_eq!((read.user_id, read.old_session_id), (user_id, old_session_id));
            assert_eq!(read.key.public_key(), key().public_key());
            for (part, other) in [
                (kind.as_str(), "session"),
                ("session_id", "session"),
                ("0707", "07"),
                ("_id\": \"00000000", "_id\": \"0"),
                ("}", ""),
            ] {
                assert!(text.contains(part) && Unfinished::parse(text.replace(part, other).as_bytes()).is_none());
            }
        }
        assert!(Unfinished::parse(include_bytes!("../../testdata/keystore-dashboard.json")).is_none());
    }
}
