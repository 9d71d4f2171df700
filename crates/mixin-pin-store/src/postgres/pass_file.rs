//! libpq's pass file: `host:port:database:user:password`, one entry a line.

use std::path::Path;

use crate::PostgresError;

/// Whose password is asked for.
#[derive(Clone, Copy)]
pub(super) struct Entry<'e> {
    pub(super) host: &'e str,
    pub(super) port: u16,
    pub(super) database: &'e str,
    pub(super) user: &'e str,
}

/// The password of the first entry that fits. A file that does not exist has none, as for libpq.
///
/// # Errors
/// If others can read the file. libpq ignores it then.
pub(super) fn password(path: &Path, entry: Entry<'_>) -> Result<Option<Vec<u8>>, PostgresError> {
    let Ok(text) = std::fs::read(path) else { return Ok(None) };
    check_mode(path)?;
    Ok(find(&text, entry))
}

/// Refuses a file that others can read, where files have modes.
#[cfg_attr(
    not(unix),
    expect(unused_variables, clippy::unnecessary_wraps, reason = "no file of this system has a mode")
)]
pub(super) fn check_mode(path: &Path) -> Result<(), PostgresError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;

        if let Ok(metadata) = std::fs::metadata(path) {
            let (mode, is_roots) = (metadata.mode() & 0o777, metadata.uid() == 0);
            // libpq lets a group read a key that belongs to root.
            let allowed = if is_roots && path.extension().is_some_and(|end| end == "key") { 0o740 } else { 0o700 };
            if mode & !allowed != 0 {
                return Err(PostgresError::Exposed { path: path.to_owned(), mode });
            }
        }
    }
    Ok(())
}

fn find(text: &[u8], entry: Entry<'_>) -> Option<Vec<u8>> {
    let port = entry.port.to_string();
    let wanted = [entry.host, &port, entry.database, entry.user];
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.starts_with(b"#") {
            return None;
        }
        let mut rest = line;
        for wanted in wanted {
            let (field, after) = field(rest);
            // A star that is not escaped fits everything.
            let is_star = rest.starts_with(b"*:");
            if !is_star && field != wanted.as_bytes() {
                return None;
            }
            rest = after?;
        }
        Some(field(rest).0).filter(|password| !password.is_empty())
    })
}

/// The field at the start of a line without its escapes, and what follows the colon after it.
fn field(line: &[u8]) -> (Vec<u8>, Option<&[u8]>) {
    let mut field = Vec::new();
    let mut bytes = line.iter().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b':' => return (field, line.get(place + 1..)),
            b'\\' => field.push(bytes.next().map_or(b'\\', |(_, escaped)| *escaped)),
            byte => field.push(*byte),
        }
    }
    (field, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str, user: &str) -> Option<String> {
        let entry = Entry { host, port: 5432, database: "bots", user };
        find(text.as_bytes(), entry).map(|password| String::from_utf8(password).unwrap())
    }

    #[test]
    fn the_first_entry_that_fits_has_the_password() {
        let text =
            "# db:5432:bots:bot:no\n\nshort:5432\ndb:5433:*:bot:other port\r\ndb:5432:bots:bot:s3:cret\r\n*:*:*:*:any";
        assert_eq!(found(text, "db", "bot").as_deref(), Some("s3"), "a colon ends the password, unless it is escaped");
        assert_eq!(found(text, "db", "other").as_deref(), Some("any"));
        assert_eq!(found("db:5432:bots:bot:", "db", "bot"), None);
        assert_eq!(found("", "db", "bot"), None);
    }

    #[test]
    fn a_backslash_escapes_colons_backslashes_and_stars() {
        let text = r"\:\:1:5432:bots:b\\t:p\:\\w";
        assert_eq!(found(text, "::1", r"b\t").as_deref(), Some(r"p:\w"));
        assert_eq!(found(r"\*:5432:bots:bot:no", "db", "bot"), None);
        assert_eq!(found(r"\*:5432:bots:bot:yes", "*", "bot").as_deref(), Some("yes"));
        assert_eq!(found(r"db:5432:bots:bot:ends\", "db", "bot").as_deref(), Some(r"ends\"));
    }
}
