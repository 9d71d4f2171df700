//! The outputs that a transaction spends: proven by raw transactions, or stated by a server.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use mixin_pin_safe::{Amount, AssetId, Input, SpentOutput, Transaction};

use super::json::{Json, Node};
use super::policy::{AMOUNT, ASSET, amount, asset, hash};
use super::raw::from_hex;
use super::{HEX_32, SafeError, place};
use crate::error::Error;
use crate::{files, output};

/// The longest file. The answer to GET /safe/outputs with 500 outputs of 64 keys has 3 MiB.
const MAX_INPUTS: usize = 64 * 1024 * 1024;

/// What a file says of outputs.
pub(crate) struct Inputs {
    path: PathBuf,
    sources: Vec<Source>,
    stated: Vec<Stated>,
}

/// A raw transaction that has outputs.
struct Source {
    hash: [u8; 32],
    raw: Vec<u8>,
}

/// An output as a server states it.
struct Stated {
    hash: [u8; 32],
    index: u16,
    asset: AssetId,
    amount: Amount,
    keys: Vec<[u8; 32]>,
    mask: [u8; 32],
    threshold: u8,
    state: State,
}

/// The state of an output, in a server's words.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// It is unspent, or nothing is said.
    Unspent,
    Spent,
    Other,
}

impl Inputs {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = files::read_text(path, MAX_INPUTS)?;
        let json = Json::read(path, text.as_bytes())?;
        let mut inputs = Self { path: path.to_owned(), sources: Vec::new(), stated: Vec::new() };
        let mut seen = HashSet::new();
        for item in Node::new(path, &json).items()?.iter() {
            if let Some(raw) = item.get("raw_transaction") {
                inputs.sources.push(Source::read(&raw)?);
            } else if item.is_object() {
                let stated = Stated::read(&item)?;
                if !seen.insert((stated.hash, stated.index)) {
                    return Err(item.fails("an item before it has the same hash and index"));
                }
                inputs.stated.push(stated);
            } else {
                inputs.sources.push(Source::read(&item)?);
            }
        }
        Ok(inputs)
    }

    /// The spent outputs of a transaction, one for each input.
    pub(crate) fn spent<'s>(&'s self, transaction: &Transaction<'_>) -> Result<Vec<SpentOutput<'s>>, Error> {
        (0..).zip(transaction.inputs()).map(|(index, input)| self.spent_by(index, &input)).collect()
    }

    /// Refuses outputs that are spent, and warns of those that are not said to be unspent.
    pub(crate) fn refuse_spent(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        for (index, input) in transaction.inputs().enumerate() {
            let state = self.stated(&input).map_or(State::Unspent, |stated| stated.state);
            let place = place(&self.path, format!("the output that input {index} spends"));
            match state {
                State::Unspent => {}
                State::Spent => return Err(place.fails("its state is spent; spend another one")),
                State::Other => output::warn(
                    &place.fails("its state is not unspent: a transaction that spends it may be signed").to_string(),
                ),
            }
        }
        Ok(())
    }

    fn stated(&self, input: &Input<'_>) -> Option<&Stated> {
        self.stated.iter().find(|stated| stated.hash == *input.hash && stated.index == input.index)
    }

    fn spent_by(&self, index: u16, input: &Input<'_>) -> Result<SpentOutput<'_>, Error> {
        if let Some(source) = self.sources.iter().find(|source| source.hash == *input.hash) {
            let proven = SpentOutput::proven(&source.raw, input);
            return proven.map_err(|cause| SafeError::Proof { path: self.path.clone(), input: index, cause }.into());
        }
        let missing = || SafeError::SpentMissing { path: self.path.clone(), input: index };
        let stated = self.stated(input).ok_or_else(missing)?;
        Ok(SpentOutput::stated(stated.asset, stated.amount, &stated.keys, &stated.mask, stated.threshold))
    }
}

impl Source {
    fn read(node: &Node<'_>) -> Result<Self, Error> {
        let expected = "it must be a raw transaction in hex, in quotes and without 0x, or an item of GET /safe/outputs";
        let raw = from_hex(node.text(expected)?.trim()).ok_or_else(|| node.fails(expected))?;
        let hash = Transaction::decode(&raw).map_err(|cause| node.fails(cause.to_string()))?.hash().0;
        Ok(Self { hash, raw })
    }
}

impl Stated {
    /// Reads an item of the answer to GET /safe/outputs. It has more fields than are used.
    fn read(item: &Node<'_>) -> Result<Self, Error> {
        let index = "it must be a number from 0 to 65535, without quotes";
        let keys = "it must be a list, in [ and ]";
        // An empty text says nothing.
        let given = |field: &str| item.get(field).filter(|node| !node.is_empty_text());
        Ok(Self {
            // The kernel's id, and the id of the API.
            asset: same(item, ["kernel_asset_id", "asset", "asset_id"], given, asset, ASSET)?,
            hash: hash(&item.needed("transaction_hash", HEX_32)?)?,
            index: item.needed("output_index", index)?.number(index)?,
            amount: amount(&item.needed("amount", AMOUNT)?)?,
            keys: item.needed("keys", keys)?.list(keys)?.iter().map(|key| hash(&key)).collect::<Result<_, _>>()?,
            // Nothing is concluded from the mask of a spent output.
            mask: given("mask").map_or(Ok([0; 32]), |mask| hash(&mask))?,
            threshold: {
                let expected = "it must be a number from 0 to 255, without quotes";
                let number = |node: &Node<'_>| node.number(expected);
                same(item, ["receivers_threshold", "threshold"], given, number, expected)?
            },
            state: match item.get("state") {
                None => State::Unspent,
                Some(state) => match state.text("it must be a state, in quotes")? {
                    "unspent" => State::Unspent,
                    "spent" => State::Spent,
                    _ => State::Other,
                },
            },
        })
    }
}

/// The value of fields with the same meaning, of which one is needed.
fn same<'j, T: PartialEq, const N: usize>(
    item: &Node<'j>,
    fields: [&str; N],
    given: impl Fn(&str) -> Option<Node<'j>>,
    read: impl Fn(&Node<'j>) -> Result<T, Error>,
    expected: &str,
) -> Result<T, Error> {
    let mut found: Option<(T, &str)> = None;
    for field in fields {
        let Some(node) = given(field) else { continue };
        let value = read(&node)?;
        match &found {
            Some((first, name)) if *first != value => return Err(node.fails(format!("it differs from {name}"))),
            Some(_) => {}
            None => found = Some((value, field)),
        }
    }
    found.map(|(value, _)| value).ok_or_else(|| item.field_fails(fields[0], format!("it is missing; {expected}")))
}
