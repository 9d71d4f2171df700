//! Shows values from the command line and the environment in messages: as they are, or by length and kind if they may be
//! secrets.
//!
//! A user may give a key, a whole keystore or a PIN by mistake where a file name belongs. It must not get into a log.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs};

use mixin_pin_protocol::Shown;

use crate::files::is_stdin;

/// The environment variable for the keystore file.
pub(crate) const KEYSTORE_VARIABLE: &str = "MIXIN_KEYSTORE";
/// The environment variable for the API's URL.
pub(crate) const API_VARIABLE: &str = "MIXIN_API";
/// The environment variable for the URL of the store of iterators.
pub(crate) const STORE_VARIABLE: &str = "MIXIN_STORE";
/// The environment variable for a file whose first line is the passphrase of a locked keystore: for cron jobs and services.
pub(crate) const PASSPHRASE_VARIABLE: &str = "MIXIN_PASSPHRASE_FILE";

/// What precedes the name of an environment variable in place of a store's URL.
pub(crate) const ENV_PREFIX: &str = "env:";

/// A path in a message.
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
    /// Whether it may be a secret and is shown by length and kind only.
    pub(crate) fn is_hidden(&self) -> bool {
        kind_of_path(self.0).is_some()
    }

    /// The path in JSON output, which has its own escapes.
    pub(crate) fn in_json(&self) -> String {
        if self.is_hidden() { self.to_string() } else { self.0.to_string_lossy().into_owned() }
    }

    /// The path as a word of a shell command; None if it cannot be shown as it is.
    pub(crate) fn as_word(&self) -> Option<String> {
        let text = self.0.to_str().filter(|text| !self.is_hidden() && !text.contains(Shown::escapes))?;
        let word = shlex::try_quote(text).ok()?;
        // A leading hyphen would make it an option.
        Some(if text.starts_with('-') { format!("./{word}") } else { word.into_owned() })
    }
}

/// What was read, in a message: a path, or standard input.
pub(crate) struct ShownInput<'p>(pub(crate) &'p Path);

impl fmt::Display for ShownInput<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_stdin(self.0) { f.write_str("standard input") } else { ShownPath(self.0).fmt(f) }
    }
}

/// What secret a path may be. The part that exists is a name, so only the rest is checked.
fn kind_of_path(path: &Path) -> Option<&'static str> {
    let is_there = |path: &&Path| !path.as_os_str().is_empty() && fs::symlink_metadata(path).is_ok();
    let rest = match path.ancestors().find(is_there) {
        // A base64 key may begin with a slash, so the root alone does not count.
        Some(folder) if folder.parent().is_some() => path.strip_prefix(folder).unwrap_or(path),
        _ => path,
    };
    let name = rest.file_name().map(OsStr::to_string_lossy);
    secret_kind(&rest.to_string_lossy()).or_else(|| name.and_then(|name| secret_kind(&name)))
}

/// Whether a value may be a secret.
pub(crate) fn is_secret(value: &str) -> bool {
    // A store's path follows its scheme.
    let path = value.strip_prefix("sqlite:").unwrap_or(value);
    kind_of_path(Path::new(path)).is_some()
}

/// Whether a URL has a password, or in a URL of Redis a user, which some take for the password. The path of a database has
/// none, even with an `@` in it.
pub(crate) fn has_password(url: &str) -> bool {
    // An option's name may precede it.
    let url = url.strip_prefix("--").and_then(|option| option.split_once('=')).map_or(url, |(_, url)| url);
    let is_postgres = ["postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme));
    user_of(url).is_some_and(|user| !is_postgres || user.contains(':')) || !passwords_in_query(url).is_empty()
}

/// What is behind the `://` of a URL with hosts. An option's name may precede the scheme.
fn behind_scheme(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.rsplit('=').next().and_then(|scheme| scheme.split(':').next());
    // No database has a host, but a mistaken URL may have one, with a password.
    (scheme != Some("sqlite") || (url.contains("sqlite://") && !rest.starts_with('/'))).then_some(rest)
}

/// The user and password in a URL: the part before the last `@`, because a password may have one that is not escaped.
fn user_of(url: &str) -> Option<&str> {
    behind_scheme(url)?.rsplit_once('@').map(|(user, _)| user).filter(|user| !user.is_empty())
}

/// The values of a URL's options that are passwords, such as `password` and `sentinel_password`.
fn passwords_in_query(url: &str) -> Vec<&str> {
    let query = behind_scheme(url).and_then(|rest| rest.split_once('?')).map_or("", |(_, query)| query);
    let options = query.split(['&', '?']).filter_map(|option| option.split_once('='));
    let is_password =
        |(name, value): &(&str, &str)| unescaped(name).to_ascii_lowercase().contains("password") && !value.is_empty();
    options.filter(is_password).map(|(_, value)| value).collect()
}

/// The passwords in a URL, as they are written there and without escapes.
fn passwords_of(url: &str) -> Vec<String> {
    let own = user_of(url).and_then(|user| user.split_once(':')).map(|(_, password)| password);
    let written = own.into_iter().chain(passwords_in_query(url)).filter(|password| !password.is_empty());
    written.flat_map(|password| [password.to_owned(), unescaped(password)]).collect()
}

/// A part of a URL without percent escapes.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *first == b'%').and_then(|hex| base16ct::mixed::decode_vec(hex).ok());
        bytes.push(escaped.as_ref().map_or(*first, |bytes| bytes[0]));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Removes a password from a message: as a part of a URL, in quotes, and if it is no word, anywhere.
fn without_password(message: String, password: &str) -> String {
    let is_word = password.chars().all(char::is_alphabetic);
    if !is_word && password.chars().count() >= SHORTEST {
        return message.replace(password, HIDDEN);
    }
    let around = [(":", "@"), ("=", ""), ("'", "'"), ("`", "`"), ("\"", "\"")];
    around.iter().fold(message, |message, (before, after)| {
        message.replace(&format!("{before}{password}{after}"), &format!("{before}{HIDDEN}{after}"))
    })
}

/// A value of which only the length is shown.
pub(crate) struct Length<'v>(pub(crate) &'v str);

impl fmt::Display for Length<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text of {} characters", self.0.chars().count())
    }
}

/// The kind of secret that a text may be.
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

/// One or several groups of six digits, with or without separators. More digits are a date or a number.
fn is_digits(text: &str) -> bool {
    let is_between = |c: char| c.is_whitespace() || matches!(c, '-' | ',' | ';');
    let is_six = |text: &str| text.chars().filter(|c| c.is_numeric()).count() == 6;
    text.chars().all(|c| c.is_numeric() || is_between(c)) && (is_six(text) || text.split(is_between).any(is_six))
}

/// Whether a part of a text is as long and random as a key in hex or base64. Base64 with slashes is recognized only as a
/// whole text.
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
    let is_mixed = upper >= 3 && lower >= 3;
    let class = |c: u8| (c.is_ascii_uppercase(), c.is_ascii_lowercase(), c.is_ascii_digit());
    let changes = run.as_bytes().windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count();
    // In random base64 the class changes at two of three characters, in names made of words far less often. One in 1,400
    // random keys of 32 bytes has no digit.
    let signs = [run.len() >= 40, digits > 0, changes * 100 >= run.len().saturating_sub(1) * 45];
    is_mixed && run.len() >= 20 && signs.into_iter().filter(|is_found| *is_found).count() >= 2
}

/// Removes from a message all values of the command line and the environment that may be secrets. This catches messages that
/// libraries made.
pub(crate) fn without_secrets(message: &str) -> String {
    let variables = [KEYSTORE_VARIABLE, API_VARIABLE, STORE_VARIABLE, PASSPHRASE_VARIABLE];
    // `store move` takes the names of variables.
    let named = env::args_os().skip(1).filter_map(|arg| env::var_os(arg.to_str()?.strip_prefix(ENV_PREFIX)?));
    let given = env::args_os().skip(1).chain(variables.into_iter().filter_map(env::var_os)).chain(named);
    let message = given.fold(message.to_owned(), |message, value| without(message, &value));
    match env::var(PGPASSWORD) {
        Ok(password) if !password.is_empty() => without_password(message, &password),
        _ => message,
    }
}

/// PostgreSQL's variable for a password.
const PGPASSWORD: &str = "PGPASSWORD";
/// What is shown in place of a secret.
const HIDDEN: &str = "******";
/// Shorter values are no secrets and are parts of other words.
const SHORTEST: usize = 6;

fn without(message: String, value: &OsStr) -> String {
    let value = value.to_string_lossy();
    // An option's value, a URL's path, and the password in a URL.
    let option = value.split_once('=').map(|(_, value)| value);
    let path = option.unwrap_or(&value).split_once(':').map(|(_, path)| path);
    let values = [Some(&*value), option, path].into_iter().flatten().filter(|value| is_secret(value));
    // As it was given, and as a normalized path: a key may have two slashes in a row.
    let plain = |secret: &str| Path::new(secret).components().collect::<PathBuf>().to_string_lossy().into_owned();
    let forms = values.flat_map(|secret| [secret.to_owned(), secret.trim().to_owned(), plain(secret)]);
    let message =
        forms.fold(
            message,
            |message, secret| {
                if secret.chars().count() < SHORTEST { message } else { message.replace(&secret, HIDDEN) }
            },
        );
    // The user of PostgreSQL alone is no secret, and a command to run next contains it.
    let message = match user_of(&value).filter(|_| has_password(&value)) {
        Some(user) => message.replace(&format!("://{user}@"), &format!("://{HIDDEN}@")),
        None => message,
    };
    passwords_of(&value).iter().fold(message, |message, password| without_password(message, password))
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
    fn random_keys_are_recognized() {
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
                    // A key that begins with a slash may look like a path of short parts.
                    missed += usize::from(!shown(&text).ends_with("looks like a key") && !text.starts_with('/'));
                }
            }
        }
        assert!(missed <= 2, "{missed} of 8000");
    }

    #[test]
    fn a_value_that_is_no_name_is_shown_by_its_kind() {
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
    fn the_name_of_an_existing_file_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let commit = "3f786850e387550fdab836ed7e6dc881de23001b";
        let release = folder.path().join(commit);
        fs::create_dir(&release).unwrap();
        for name in ["nope.json", "", "shared/keystore.json"] {
            assert_eq!(ShownPath(&release.join(name)).to_string(), release.join(name).to_string_lossy());
        }
        fs::write(release.join("739146"), "x").unwrap();
        assert!(!ShownPath(&release.join("739146")).is_hidden());
        // A path that does not exist may be anything.
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
    fn a_path_is_quoted_for_a_shell_or_left_out() {
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
    fn a_path_has_no_password() {
        for url in ["redis://a@h", "redis://:x@h/", "rediss://u:p@h:1/0", "redis://u:p@ss@h", "--store=redis://a@h"] {
            assert!(has_password(url), "{url}");
        }
        for url in ["sqlite:/a@b/x.db", "sqlite:///a@b/x", "sqlite:a://b@c", "redis://h/", "memory:", "redis://@h/"] {
            assert!(!has_password(url), "{url}");
        }
        for url in [
            "redis+sentinel://u:p@a,b:1/name/0",
            "rediss-cluster://u@a,b",
            "redis+sentinel://a,b/name?sentinel_user=u&sentinel_password=p",
            "postgres://u:p@h/d",
            "postgresql://u:p@a:1,b:2/d?sslmode=require",
            "postgres://u@h/d?sslmode=require&password=p",
            "postgres://u@h/d?pass%77ord=p",
            "postgres:///d?host=/run&sslpassword=p@q",
        ] {
            assert!(has_password(url), "{url}");
        }
        for url in [
            "redis+sentinel://a,b:1/name?replicas=1&sentinel_user=u",
            "redis-cluster://a,b?plaintext=allow",
            "postgres://u@h/d?sslmode=require",
            "postgres://h:5432/d",
            "postgresql:///d?host=/run&password=",
        ] {
            assert!(!has_password(url), "{url}");
        }
    }

    #[test]
    fn values_that_may_be_secrets_are_removed_from_messages() {
        let hex = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        for (value, message, left) in [
            ("739146".to_owned(), "no 739146 here".to_owned(), "no ****** here"),
            ("--pin=739146".to_owned(), "no 739146 here".to_owned(), "no ****** here"),
            (format!("sqlite:{hex}"), format!("{hex} is damaged"), "****** is damaged"),
            (format!("--store=sqlite:{hex}"), format!("{hex} is damaged"), "****** is damaged"),
            ("redis://:hunter2@host/".to_owned(), "at redis://:hunter2@host/".to_owned(), "at redis://******@host/"),
            ("redis://u:hunter2@a,b/n".to_owned(), "args: `u` `hunter2`".to_owned(), "args: `u` `******`"),
            ("redis://u:word@h".to_owned(), "args: `u` `word`, a word".to_owned(), "args: `u` `******`, a word"),
            ("redis://u:a%2Fb%40cd@h".to_owned(), "a/b@cd or a%2Fb%40cd".to_owned(), "****** or ******"),
            ("postgres://u@h/d?password=a%2".to_owned(), "?password=a%2".to_owned(), "?password=******"),
            ("env:X".to_owned(), "env:X".to_owned(), "env:X"),
            ("me.json".to_owned(), "me.json is damaged".to_owned(), "me.json is damaged"),
            ("postgres://bot@h/d".to_owned(), "run: postgres://bot@h/d".to_owned(), "run: postgres://bot@h/d"),
            ("--store=postgres://bot@h/d".to_owned(), "run: postgres://bot@h/d".to_owned(), "run: postgres://bot@h/d"),
            ("postgres://u:word@h/d".to_owned(), "at postgres://u:word@h/d".to_owned(), "at postgres://******@h/d"),
            ("sqlite://u:word@h".to_owned(), "'sqlite://u:word@h'".to_owned(), "'sqlite://******@h'"),
            // A user's name is replaced only in its URL. Short values are not replaced, because they are parts of other words.
            ("redis://a@h:1/".to_owned(), "at redis://a@h:1/: can be".to_owned(), "at redis://******@h:1/: can be"),
            ("[".to_owned(), "a [list]".to_owned(), "a [list]"),
            ("{\"a\"".to_owned(), "{\"a\": 1}".to_owned(), "{\"a\": 1}"),
            ("     [".to_owned(), "a [list]".to_owned(), "a [list]"),
        ] {
            assert_eq!(without(message, OsStr::new(&value)), left);
        }
    }
}
