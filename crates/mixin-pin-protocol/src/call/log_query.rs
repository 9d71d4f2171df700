//! The query of `GET /logs`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::CallError;

/// Everything but the unreserved characters of RFC 3986.
const QUERY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which page of the log to read.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only this category, such as `PIN_INCORRECT`.
    pub category: Option<String>,
    /// The most entries to return, 1 to 100.
    pub limit: Option<u8>,
    /// Where to begin: a time in RFC 3339.
    pub offset: Option<String>,
}

impl LogQuery {
    /// The failed PIN attempts.
    pub fn wrong_pins() -> Self {
        Self { category: Some("PIN_INCORRECT".to_owned()), ..Self::default() }
    }

    pub(super) fn path(&self) -> Result<String, CallError> {
        if self.limit.is_some_and(|limit| !(1..=100).contains(&limit)) {
            return Err(CallError::LogLimit);
        }
        let limit = self.limit.map(|limit| limit.to_string());
        let pairs =
            [("category", self.category.as_deref()), ("limit", limit.as_deref()), ("offset", self.offset.as_deref())];
        let mut path = "/logs".to_owned();
        for (name, value) in pairs {
            if let Some(value) = value {
                path.push(if path.contains('?') { '&' } else { '?' });
                path.push_str(name);
                path.push('=');
                path.extend(utf8_percent_encode(value, &QUERY));
            }
        }
        Ok(path)
    }
}
