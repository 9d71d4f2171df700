//! The files and arguments of `safe`, one module for each format.
//!
//! They come from elsewhere: each is limited in size, and an error names the line or the field, never the text found.

mod error;
mod inputs;
mod json;
mod policy;
mod raw;
mod receivers;
mod views;

use std::path::Path;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_safe::{AddressError, MixAddress, XinAddress};

pub(crate) use error::SafeError;
pub(crate) use inputs::Inputs;
pub(crate) use policy::PolicyFile;
pub(crate) use raw::RawTransaction;
pub(crate) use receivers::Receivers;
pub(crate) use views::Views;

use crate::error::Error;
use json::Node;

/// Reads an address with one or several receivers.
pub(crate) fn address(text: &str) -> Result<MixAddress, AddressError> {
    if text.starts_with("XIN") { MixAddress::new_keys(1, &[text.parse::<XinAddress>()?]) } else { text.parse() }
}

/// The same, or the address of one user by the user's id, which has no checksum.
pub(crate) fn address_or_user(text: &str) -> Result<MixAddress, AddressError> {
    match text.parse::<Uuid>() {
        Ok(user) => MixAddress::new_users(1, &[user]),
        Err(_) => address(text),
    }
}

/// The usual text of an address: XIN for a single receiver with keys.
pub(crate) fn address_text(address: &MixAddress) -> String {
    let mut keys = address.members().addresses();
    match (address.threshold(), keys.len(), keys.next()) {
        (1, 1, Some(only)) => only.to_string(),
        _ => address.to_string(),
    }
}

/// An address in a file.
fn address_in(node: &Node<'_>) -> Result<MixAddress, Error> {
    let text = node.text("it must be an address in quotes, which begins with MIX or XIN")?.trim();
    address(text).map_err(|cause| match text.parse::<Uuid>() {
        Ok(_) => node.fails("it is an id, not an address; mixin-pin safe address ID shows the address of a user"),
        Err(_) => node.fails(cause.to_string()),
    })
}

/// A field of a file, in errors. The name is empty for the whole file.
struct Place<'p> {
    path: &'p Path,
    name: String,
}

impl Place<'_> {
    fn fails(&self, problem: impl Into<String>) -> Error {
        SafeError::Field { path: self.path.to_owned(), field: self.name.clone(), problem: problem.into() }.into()
    }
}

fn place(path: &Path, name: impl Into<String>) -> Place<'_> {
    Place { path, name: name.into() }
}

const HEX_32: &str = "it must be 64 hexadecimal digits in quotes, without 0x";
