//! What a value that somebody gave is called in a message: itself, or its length and kind where it may be a secret.
//!
//! A key, a whole keystore or a PIN gets into a place for a name by a slip, and must not go on to a log from there.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use mixin_pin_protocol::Shown;

use crate::environment;

/// A path as messages and JSON have it.
pub(crate) struct ShownPath<'p>(pub(crate) &'p Path);

impl fmt::Display for ShownPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        match secret_kind(&text) {
            Some(kind) => write!(f, "{} that looks like {kind}", Length(&text)),
            None => Shown(&text).fmt(f),
        }
    }
}

impl ShownPath<'_> {
    /// Whether it is told by its length and kind.
    pub(crate) fn is_hidden(&self) -> bool {
        secret_kind(&self.0.to_string_lossy()).is_some()
    }

    /// The same for JSON, which has escapes of its own: a path that is shown is there as it is.
    pub(crate) fn in_json(&self) -> String {
        if self.is_hidden() { self.to_string() } else { self.0.to_string_lossy().into_owned() }
    }

    /// Whether its last part is hidden, which is what a new file is called.
    pub(crate) fn has_hidden_name(&self) -> bool {
        self.0.file_name().is_some_and(|name| secret_kind(&name.to_string_lossy()).is_some())
    }
}

/// A value of which nothing but its length is told.
pub(crate) struct Length<'v>(pub(crate) &'v str);

impl fmt::Display for Length<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text of {} characters", self.0.chars().count())
    }
}

/// What a text may be that is not to be shown.
pub(crate) fn secret_kind(text: &str) -> Option<&'static str> {
    let trimmed = text.trim();
    if trimmed.starts_with(['{', '[', '"']) || trimmed.contains("\":") || trimmed.contains("\",") {
        Some("JSON")
    } else if trimmed.contains("-----BEGIN") || has_key(trimmed) {
        Some("a key")
    } else if is_digits(trimmed) || trimmed.rsplit(['/', '\\']).next().is_some_and(is_digits) {
        Some("a PIN")
    } else if trimmed.split_whitespace().count() >= 12 {
        Some("a phrase")
    } else if text.contains(['\n', '\r']) {
        Some("several lines")
    } else {
        None
    }
}

/// Six digits and more, and nothing but what may stand between them.
fn is_digits(text: &str) -> bool {
    text.chars().filter(|c| c.is_numeric()).count() >= 6
        && text.chars().all(|c| c.is_numeric() || c.is_whitespace() || matches!(c, '-' | ',' | ';'))
}

/// Whether a part of a text is as long and as random as a key in hex or base64. Base64 may have slashes in it, and then is
/// all there is.
fn has_key(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-');
    let whole = text.trim_end_matches('=');
    text.split(|c| !is_part(c)).any(looks_random)
        || (!whole.starts_with('/') && whole.chars().all(|c| is_part(c) || c == '/') && looks_random(whole))
}

fn looks_random(run: &str) -> bool {
    let count = |is: fn(&char) -> bool| run.chars().filter(is).count();
    let (upper, lower) = (count(char::is_ascii_uppercase), count(char::is_ascii_lowercase));
    let digits = count(char::is_ascii_digit);
    if run.len() >= 40 && digits > 0 && count(char::is_ascii_hexdigit) == run.len() {
        return true;
    }
    let is_mixed = upper >= 3 && lower >= 3 && digits >= 1;
    let class = |c: u8| (c.is_ascii_uppercase(), c.is_ascii_lowercase(), c.is_ascii_digit());
    let changes = run.as_bytes().windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count();
    // In random base64 the kind of character changes at two places of three, in names made of words far more seldom.
    is_mixed && (run.len() >= 40 || run.len() >= 20 && changes * 100 >= (run.len() - 1) * 45)
}

/// A message without the values of the command line and the environment that may be secrets: a net below all messages, for
/// those that a library made.
pub(crate) fn without_secrets(message: &str) -> String {
    let variables = [environment::KEYSTORE, environment::API, environment::STORE, environment::PASSPHRASE_FILE];
    let given = env::args_os().skip(1).chain(variables.into_iter().filter_map(env::var_os));
    given.fold(message.to_owned(), |message, value| without(message, &value))
}

fn without(message: String, value: &OsStr) -> String {
    let value = value.to_string_lossy();
    // An option's value, a URL's path, and the password in a URL.
    let option = value.split_once('=').map(|(_, value)| value);
    let path = option.unwrap_or(&value).split_once(':').map(|(_, path)| path);
    let user = value.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map(|(user, _)| user);
    let values = [Some(&*value), option, path].into_iter().flatten().filter(|value| secret_kind(value).is_some());
    values.chain(user.filter(|user| !user.is_empty())).fold(message, |message, secret| {
        [secret, secret.trim()].into_iter().fold(message, |message, secret| message.replace(secret, "******"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        ShownPath(Path::new(text)).to_string()
    }

    #[test]
    fn names_are_shown_as_they_are() {
        for name in [
            "",
            "-",
            ".",
            "me.json",
            "/dev/stdin",
            "standard input",
            "my keys/me.json",
            "../../x",
            "C:\\Users\\Me\\me.json",
            "/home/Me/.config/Mixin/keystore-2024-01-31.json",
            "/tmp/.tmpAbC123/with-tip.json",
            "12345",
            "http://127.0.0.1:45678",
            "v1.2.3",
            "/proc/1234567/fd/3",
            "/data/20240131/me.json",
            "7b1f7f6e-5d0e-4f6e-9b0e-2f9b9e0f3c11",
            "Keystore-7b1f7f6e-5d0e-4f6e-9b0e-2f9b9e0f3c11.json",
            "MyMixinKeystoreForProduction2024Backup.json",
            "/nix/store/0c5m8q5v3n1f6y0w9z4k2h7j8b3d1a6s-mixin-pin/share/keystore.json",
            "ключи/мои.json",
            "/var/lib/app/releases/a1b2c3d/shared/keystore.json",
            "keystore (copy 2).json",
            "my \"best\" keys.json",
        ] {
            assert_eq!(shown(name), name);
        }
        let odd = "a\u{202e}b\tc";
        assert_eq!((shown(odd).as_str(), ShownPath(Path::new(odd)).in_json().as_str()), (r"a\u{202e}b\tc", odd));
    }

    #[test]
    fn random_keys_are_told_by_their_length() {
        use base64::Engine as _;
        use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        use mixin_pin_core::rand_core::Rng as _;

        let mut rng = mixin_pin_core::SystemRng::new().unwrap();
        let mut missed = 0;
        for length in [32, 48, 64, 128] {
            for _ in 0..500 {
                let mut bytes = vec![0; length];
                rng.fill_bytes(&mut bytes);
                let hex = base16ct::lower::encode_string(&bytes);
                for text in [hex.to_uppercase(), hex, URL_SAFE_NO_PAD.encode(&bytes), STANDARD.encode(&bytes)] {
                    // One that begins with a slash may be a path of short parts.
                    missed += usize::from(!shown(&text).ends_with("looks like a key") && !text.starts_with('/'));
                }
            }
        }
        assert!(missed <= 2, "{missed} of 8000");
    }

    #[test]
    fn what_is_no_name_is_told_by_its_kind() {
        for (text, kind) in [
            ("{\"app_id\":1}", "JSON"),
            (" [1]", "JSON"),
            ("x\": \"y", "JSON"),
            ("-----BEGIN PRIVATE KEY-----", "a key"),
            ("eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.e30.x", "a key"),
            ("739146", "a PIN"),
            (" 739146\n", "a PIN"),
            ("keys/739146", "a PIN"),
            ("739-146", "a PIN"),
            ("\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}", "a PIN"),
            ("a b c d e f g h i j k l", "a phrase"),
            ("a\nb", "several lines"),
        ] {
            let length = text.chars().count();
            assert_eq!(shown(text), format!("a text of {length} characters that looks like {kind}"));
        }
    }

    #[test]
    fn a_message_loses_the_values_that_may_be_secrets() {
        let hex = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        for (value, message, left) in [
            ("739146".to_owned(), "no 739146 here".to_owned(), "no ****** here"),
            ("--pin=739146".to_owned(), "no 739146 here".to_owned(), "no ****** here"),
            (format!("sqlite:{hex}"), format!("{hex} is damaged"), "****** is damaged"),
            (format!("--store=sqlite:{hex}"), format!("{hex} is damaged"), "****** is damaged"),
            ("redis://:hunter2@host/".to_owned(), "at redis://:hunter2@host/".to_owned(), "at redis://******@host/"),
            ("me.json".to_owned(), "me.json is damaged".to_owned(), "me.json is damaged"),
        ] {
            assert_eq!(without(message, OsStr::new(&value)), left);
        }
    }
}
