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
    /// The command is quoted for Windows' cmd.
    WindowsQuotes,
    /// A shell would put a variable's value or another command's output into the command.
    Variable {
        /// The variable's name; empty for the output of a command.
        name: String,
    },
    /// The last option lacks its value.
    Value {
        /// The option.
        option: String,
    },
    /// The command uses an option that this reader does not know, or that changes the request in a way it does not follow.
    Option {
        /// The option, without its value.
        option: String,
    },
    /// The command takes its body from a file, or the body is not UTF-8.
    Body,
    /// The command takes headers from a file.
    HeaderFile,
    /// The command has no URL.
    Url,
    /// The command has more than one URL.
    Urls,
    /// The command has neither an `Authorization: Bearer` header nor `--oauth2-bearer`.
    Token,
}

impl fmt::Display for CurlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Option { option } => {
                return write!(
                    f,
                    "the curl option {} is not understood; remove it if the request is the same without it, otherwise use \
                     --token, --method, --path and --body",
                    Shown(option)
                );
            }
            Self::Value { option } => {
                return write!(f, "the curl option {} has no value; copy the command whole", Shown(option));
            }
            Self::Variable { name } if !name.is_empty() => {
                return write!(f, "the curl command has the variable ${} of a shell; put its value there", Shown(name));
            }
            Self::Variable { .. } => "the curl command runs another command within it; put that one's output there",
            Self::WindowsQuotes => "the curl command is quoted for Windows' cmd; copy it as cURL (bash) or (POSIX)",
            Self::Missing => "there is no curl command in the text; copy one from a browser or a log",
            Self::Quotes => "the curl command's quotes do not close; copy it whole",
            Self::Body => "the curl command's body is in a file, or is not UTF-8; use --token, --method, --path and --body",
            Self::HeaderFile => {
                "the curl command's headers are in a file; give each with -H, or use --token, --method, --path and --body"
            }
            Self::Urls => "the curl command has more than one URL; leave the one to check",
            Self::Url => "the curl command has no http or https URL; copy it whole",
            Self::Token => {
                "the curl command has no token, neither in an Authorization: Bearer header nor as --oauth2-bearer; copy it whole"
            },
        })
    }
}

impl std::error::Error for CurlError {}
