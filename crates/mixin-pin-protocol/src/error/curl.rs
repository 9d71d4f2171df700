//! What can be wrong with a `curl` command.

use std::fmt;

use crate::Shown;

/// Why a `curl` command cannot be read.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CurlError {
    /// The text has no `curl` command.
    Missing,
    /// The quotes of the command do not close.
    Quotes,
    /// The command uses an option that this reader does not know.
    Option {
        /// The option, without its value.
        option: String,
    },
    /// The command takes its body from a file, or quotes it as `$'…'`.
    Body,
    /// The command has no URL.
    Url,
    /// The command has no `Authorization: Bearer` header.
    Token,
}

impl fmt::Display for CurlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option { option } => {
                return write!(f, "the curl option {} is not understood; remove it", Shown(option));
            }
            Self::Missing => "there is no curl command in the text; copy one from a browser or a log",
            Self::Quotes => "the curl command's quotes do not close; copy it whole",
            Self::Body => "the curl command's body is in a file or in $'…'; use --token, --method, --path and --body",
            Self::Url => "the curl command has no http or https URL; copy it whole",
            Self::Token => "the curl command has no Authorization: Bearer header; copy it whole",
        })
    }
}

impl std::error::Error for CurlError {}
