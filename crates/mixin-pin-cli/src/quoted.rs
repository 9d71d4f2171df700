//! What a value that somebody gave is called in a message: itself, or its length and kind where it may be a secret.
//!
//! A key, a whole keystore or a PIN gets into a place for a name by a slip, and must not go on to a log from there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

use mixin_pin_protocol::Shown;

use crate::environment;

/// A path as messages and JSON have it.
pub(crate) struct ShownPath<'p>(pub(crate) &'p Path);

impl fmt::Display for ShownPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string_lossy();
        match kind_of_path(self.0) {
            Some(kind) => write!(f, "{} that looks like {kind}", Length(&text)),
            None => Shown(&text).fmt(f),
        }
    }
}

impl ShownPath<'_> {
    /// Whether it is told by its length and kind.
    pub(crate) fn is_hidden(&self) -> bool {
        kind_of_path(self.0).is_some()
    }

    /// The same for JSON, which has escapes of its own: a path that is shown is there as it is.
    pub(crate) fn in_json(&self) -> String {
        if self.is_hidden() { self.to_string() } else { self.0.to_string_lossy().into_owned() }
    }

    /// The path as a word of a shell's command line; None where it cannot be shown as it is.
    pub(crate) fn as_word(&self) -> Option<String> {
        let text = self.0.to_str().filter(|text| !self.is_hidden() && !text.contains(Shown::escapes))?;
        let word = shlex::try_quote(text).ok()?;
        // Else it would be taken for an option.
        Some(if text.starts_with('-') { format!("./{word}") } else { word.into_owned() })
    }
}

/// What secret a path may be. A file or folder that exists shows its name to its folder anyway: only the rest of the path is
/// looked at.
fn kind_of_path(path: &Path) -> Option<&'static str> {
    let is_there = |path: &&Path| !path.as_os_str().is_empty() && fs::symlink_metadata(path).is_ok();
    let rest = match path.ancestors().find(is_there) {
        // A whole key in base64 may begin with a slash.
        Some(folder) if folder.parent().is_some() => path.strip_prefix(folder).unwrap_or(path),
        _ => path,
    };
    let name = rest.file_name().map(OsStr::to_string_lossy);
    secret_kind(&rest.to_string_lossy()).or_else(|| name.and_then(|name| secret_kind(&name)))
}

/// Whether a value that was given, be it a path or not, may be a secret.
pub(crate) fn is_secret(value: &str) -> bool {
    // A store's path stands after its scheme.
    let path = value.strip_prefix("sqlite:").unwrap_or(value);
    kind_of_path(Path::new(path)).is_some()
}

/// Whether a URL names a user or a password. A database's path does not, whatever is in it.
pub(crate) fn has_password(url: &str) -> bool {
    user_of(url).is_some()
}

/// What stands before the `@` in a URL: the user and the password.
fn user_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    // An option's name may stand before it.
    let scheme = scheme.rsplit('=').next().and_then(|scheme| scheme.split(':').next());
    rest.rsplit_once('@').map(|(user, _)| user).filter(|user| !user.is_empty() && scheme != Some("sqlite"))
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

/// Six digits, in one run or with what may stand between them, or several such. More digits are a date or a number.
fn is_digits(text: &str) -> bool {
    let is_between = |c: char| c.is_whitespace() || matches!(c, '-' | ',' | ';');
    let is_six = |text: &str| text.chars().filter(|c| c.is_numeric()).count() == 6;
    text.chars().all(|c| c.is_numeric() || is_between(c)) && (is_six(text) || text.split(is_between).any(is_six))
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
    /// What is shorter is no secret, and stands in other words.
    const SHORTEST: usize = 6;
    let value = value.to_string_lossy();
    // An option's value, a URL's path, and the password in a URL.
    let option = value.split_once('=').map(|(_, value)| value);
    let path = option.unwrap_or(&value).split_once(':').map(|(_, path)| path);
    let values = [Some(&*value), option, path].into_iter().flatten().filter(|value| is_secret(value));
    // As it was given, and as a path that was made plain: a key has slashes, perhaps two together.
    let plain = |secret: &str| Path::new(secret).components().collect::<PathBuf>().to_string_lossy().into_owned();
    let forms = values.flat_map(|secret| [secret.to_owned(), secret.trim().to_owned(), plain(secret)]);
    let message = forms.fold(message, |message, secret| {
        if secret.chars().count() < SHORTEST { message } else { message.replace(&secret, "******") }
    });
    match user_of(&value) {
        Some(user) => message.replace(&format!("://{user}@"), "://******@"),
        None => message,
    }
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
            "2024-01-31",
            "20240131",
            "backups/2024-01-31",
            "/no/such/20240131",
            "1764121661",
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
            ("739146;852963", "a PIN"),
            ("739 146", "a PIN"),
            ("a b c d e f g h i j k l", "a phrase"),
            ("a\nb", "several lines"),
        ] {
            let length = text.chars().count();
            assert_eq!(shown(text), format!("a text of {length} characters that looks like {kind}"));
        }
    }

    #[test]
    fn the_name_of_what_is_there_is_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let commit = "3f786850e387550fdab836ed7e6dc881de23001b";
        let release = folder.path().join(commit);
        fs::create_dir(&release).unwrap();
        for name in ["nope.json", "", "shared/keystore.json"] {
            assert_eq!(ShownPath(&release.join(name)).to_string(), release.join(name).to_string_lossy());
        }
        fs::write(release.join("739146"), "x").unwrap();
        assert!(!ShownPath(&release.join("739146")).is_hidden());
        // What is not there may be anything, wherever it would be.
        for name in ["739147", "{\"a\":1}", commit, "missing/739147"] {
            let path = release.join(name);
            assert!(ShownPath(&path).is_hidden() && ShownPath(&path).as_word().is_none(), "{name}");
        }
        assert!(!is_secret(&format!("sqlite:{}", release.join("x.db").display())));
        let value = release.join("nope.json");
        let message = format!("{} is damaged", value.display());
        assert_eq!(without(message.clone(), value.as_os_str()), message);
    }

    #[test]
    fn a_path_is_a_word_for_a_shell_as_it_is_or_none() {
        let word = |text: &str| ShownPath(Path::new(text)).as_word();
        assert_eq!(word("me.json").as_deref(), Some("me.json"));
        assert_eq!(word("-rf").as_deref(), Some("./-rf"));
        for text in ["my keys;x/me.json", "-a b", "$(x)", "it's"] {
            let words = shlex::split(&word(text).unwrap()).unwrap();
            assert_eq!(words, [if text.starts_with('-') { format!("./{text}") } else { text.to_owned() }]);
        }
        assert_eq!((word("a\nb"), word("a\u{202e}b"), word("739146")), (None, None, None));
    }

    #[test]
    fn no_password_is_in_a_path() {
        for url in ["redis://a@h", "redis://:x@h/", "rediss://u:p@h:1/0", "redis://u:p@ss@h", "--store=redis://a@h"] {
            assert!(has_password(url), "{url}");
        }
        for url in ["sqlite:/a@b/x.db", "sqlite://a@b/x", "sqlite:a://b@c", "redis://h/", "memory:", "redis://@h/"] {
            assert!(!has_password(url), "{url}");
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
            // A user's name is replaced where it stands for one, and nothing that is in all words.
            ("redis://a@h:1/".to_owned(), "at redis://a@h:1/: can be".to_owned(), "at redis://******@h:1/: can be"),
            ("[".to_owned(), "a [list]".to_owned(), "a [list]"),
            ("{\"a\"".to_owned(), "{\"a\": 1}".to_owned(), "{\"a\": 1}"),
            ("     [".to_owned(), "a [list]".to_owned(), "a [list]"),
        ] {
            assert_eq!(without(message, OsStr::new(&value)), left);
        }
    }
}
