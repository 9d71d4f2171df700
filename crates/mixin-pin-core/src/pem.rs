//! PEM of private keys, as OpenSSL reads it (RFC 7468, section 2, and the older RFC 1421).
//!
//! Lines may have any length and blanks in them. A blank line may follow the header. Text and other blocks around the key are
//! skipped.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// PKCS#1 and PKCS#8.
const LABELS: [&str; 2] = ["RSA PRIVATE KEY", "PRIVATE KEY"];

/// The DER of the first unencrypted private key.
///
/// Returns `None` if the text has no such key. An encrypted PKCS#1 key does not count: headers come before its data.
pub(crate) fn private_key(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut lines = text.split('\n').map(|line| line.trim_end_matches(|c: char| c <= ' '));
    let label = lines.find_map(|line| LABELS.into_iter().find(|label| label_of(line, BEGIN) == Some(label)))?;
    // Large enough never to grow, because growing would leave a copy in memory.
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    for (at, line) in lines.enumerate() {
        if let Some(end) = label_of(line, END) {
            return if end == label { decode(&base64) } else { None };
        }
        if line.is_empty() && at > 0 {
            return None;
        }
        base64.extend(line.split_ascii_whitespace());
    }
    None
}

fn decode(base64: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut der = Zeroizing::new(vec![0; base64.len()]);
    let len = Base64::decode(base64, &mut der).ok()?.len();
    der.truncate(len);
    Some(der)
}

fn label_of<'t>(line: &'t str, mark: &str) -> Option<&'t str> {
    line.strip_prefix(mark)?.strip_suffix(DASHES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn the_first_unencrypted_private_key_is_read() {
        let key = "-----BEGIN PRIVATE KEY-----\nAAEC\n-----END PRIVATE KEY-----";
        let public = key.replace("PRIVATE", "PUBLIC");
        for text in [
            String::from(key),
            format!("\r\n{key}\r\n"),
            key.replace('\n', " \t\r\n"),
            key.replace("AAEC", "\nA\nA E\tC"),
            format!("note\n{public}\n{key}\n{}", key.replace("AAEC", "BBBB")),
        ] {
            assert_eq!(private_key(&text).unwrap().as_slice(), [0, 1, 2], "{text:?}");
        }
        for text in [
            String::new(),
            public,
            key.replace("END PRIVATE", "END RSA PRIVATE"),
            key.replace("-----END", "END"),
            key.replace("BEGIN", " BEGIN"),
            key.replace("AAEC", "Proc-Type: 4,ENCRYPTED\n\nAAEC"),
            key.replace("AAEC", "AA=EC"),
            key.replace("AAEC", "AAECA"),
            key.replace("AAEC", "AAE"),
            key.replace("AAEC", "AAEC\n"),
            key.replace("AAEC", "\n\nAAEC"),
            key.replace('\n', "\r"),
            key.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            key[..40].into(),
        ] {
            assert_eq!(private_key(&text), None, "{text:?}");
        }
    }
}
