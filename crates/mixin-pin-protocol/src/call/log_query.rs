//! The query of `GET /logs`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Error;

/// Everything but the unreserved characters of RFC 3986.
const QUERY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which page of the log to read.
///
/// ```
/// use mixin_pin_protocol::call::LogQuery;
///
/// let query = LogQuery { limit: Some(10), ..LogQuery::wrong_pins() };
/// assert_eq!(query.category.as_deref(), Some("PIN_INCORRECT"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only this category, such as `PIN_INCORRECT`.
    pub category: Option<String>,
    /// 1 to 100 entries.
    pub limit: Option<u8>,
    /// Where to begin: a time of RFC 3339.
    pub offset: Option<String>,
}

impl LogQuery {
    /// The failed attempts at the PIN.
    pub fn wrong_pins() -> Self {
        Self { category: Some("PIN_INCORRECT".to_owned()), ..Self::default() }
    }

    pub(super) fn path(&self) -> Result<String, Error> {
        if self.limit.is_some_and(|limit| !(1..=100).contains(&limit)) {
            return Err(Error::LogLimit);
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
