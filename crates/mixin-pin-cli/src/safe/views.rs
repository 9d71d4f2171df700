//! Views: the secrets that a server gives for each input.

use std::path::Path;

use mixin_pin_safe::{Transaction, View};

use super::json::{Items, Json, Node};
use super::raw::from_hex;
use super::{HEX_32, SafeError};
use crate::error::Error;
use crate::files;

/// The longest file. The answer for a transaction of 4 MiB has 8 MiB.
const MAX_VIEWS: usize = 16 * 1024 * 1024;

/// The views of a transaction, one for each input.
pub(crate) struct Views(Vec<View>);

impl Views {
    pub(crate) fn read(path: &Path, transaction: &Transaction<'_>) -> Result<Self, Error> {
        let text = files::read_secret_input(path, "view", MAX_VIEWS)?;
        files::warn_if_exposed(path);
        let json = Json::read(path, &text)?;
        let file = Node::new(path, &json);
        // The answer to POST /safe/transaction/requests. Its receivers are not read, because their order relative to outputs
        // is not known.
        let is_answer = file.is_object();
        let mut views = file.items()?;
        if is_answer || views.iter().any(|view| view.is_object()) {
            views = of_request(&views, transaction)?.ok_or_else(|| SafeError::OtherViews { path: path.to_owned() })?;
        }
        let inputs = transaction.inputs().len();
        if views.len() != inputs {
            return Err(SafeError::ViewCount { path: path.to_owned(), views: views.len(), inputs }.into());
        }
        // A list that grows would leave copies of secrets.
        let mut read = Vec::with_capacity(inputs);
        for node in views.iter() {
            read.push(View::from_hex(node.text(HEX_32)?).map_err(|cause| node.fails(cause.to_string()))?);
        }
        Ok(Self(read))
    }

    /// The views, in the order of the inputs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &View> {
        self.0.iter()
    }
}

/// The views of the request with the same transaction.
fn of_request<'j>(requests: &Items<'j>, transaction: &Transaction<'_>) -> Result<Option<Items<'j>>, Error> {
    for request in requests.iter() {
        let expected = "it must be the raw transaction in hex, in quotes";
        let raw = from_hex(request.needed("raw_transaction", expected)?.text(expected)?);
        let hash = raw.as_deref().and_then(|raw| Some(Transaction::decode(raw).ok()?.hash()));
        if hash == Some(transaction.hash()) {
            let state = request.get("state");
            if let Some(state) = state.filter(|state| !state.text("").is_ok_and(|state| state == "unspent")) {
                return Err(state.fails(
                    "it is not unspent, so the request id was used before; nothing is signed; ask GET /safe/transactions/ID \
                     what happened to it",
                ));
            }
            let expected = "it must be a list of views, in [ and ]";
            return request.needed("views", expected)?.list(expected).map(Some);
        }
    }
    Ok(None)
}
