//! Claims on receivers.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_safe::{Claim, MaskSecret, Members, MixAddress, Receiver, Transaction};
use zeroize::Zeroizing;

use super::json::{Json, Node};
use super::policy::hash;
use super::{HEX_32, SafeError, address_in, address_text};
use crate::error::Error;
use crate::redact::ShownInput;
use crate::{files, output};

/// The longest file. 256 outputs of 64 keys have 1.1 MiB.
const MAX_RECEIVERS: usize = 4 * 1024 * 1024;

/// The claims of a file.
pub(crate) struct Receivers {
    path: PathBuf,
    claims: Vec<Claimed>,
}

struct Claimed {
    output: u16,
    address: MixAddress,
    basis: Basis,
}

enum Basis {
    Trace(Uuid),
    Secret(MaskSecret),
    Answered { mask: [u8; 32], keys: Vec<[u8; 32]> },
}

impl Receivers {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = files::read_secret_input(path, "mask secret", MAX_RECEIVERS)?;
        let json = Json::read(path, &text)?;
        let items = Node::new(path, &json).items()?;
        if items.iter().any(|item| item.get("mask_secret").is_some()) {
            files::warn_if_exposed(path);
        }
        // A list that grows would leave copies of secrets.
        let mut claims = Vec::with_capacity(items.len());
        for item in items.iter() {
            claims.push(Claimed::read(&item)?);
        }
        Ok(Self { path: path.to_owned(), claims })
    }

    /// Whether the spend key is needed.
    pub(crate) fn have_trace(&self) -> bool {
        self.claims.iter().any(|claimed| matches!(claimed.basis, Basis::Trace(_)))
    }

    /// Derives the mask secrets of traces with the bytes of the spend key.
    pub(crate) fn derive(&mut self, transaction: &Transaction<'_>, key: Option<&[u8]>) -> Result<(), Error> {
        for claimed in &mut self.claims {
            let Basis::Trace(trace) = claimed.basis else { continue };
            let key = key.ok_or_else(|| SafeError::TraceKey { path: self.path.clone() })?;
            let output = transaction.output(claimed.output);
            let is_of = |secret: &MaskSecret| output.is_some_and(|output| *output.mask == secret.mask());
            // The official Go client takes the first 32 bytes of the key, the one for Node all of it.
            let mut secret = MaskSecret::from_trace(trace, claimed.output, key.get(..32).unwrap_or(key));
            if key.len() > 32 && !is_of(&secret) {
                secret = MaskSecret::from_trace(trace, claimed.output, key);
            }
            // The mask of what users receive is the server's.
            let has_keys = !matches!(claimed.address.members(), Members::Users(_));
            if has_keys && output.is_some() && !is_of(&secret) {
                output::warn(&format!(
                    "{}: the mask of output {} is not what its trace and this spend key give: the trace may be of another \
                     payment, or the spend key of another sender; the sender can write the claims for co-signers with safe \
                     check --receivers-out",
                    ShownInput(&self.path),
                    claimed.output
                ));
            }
            claimed.basis = Basis::Secret(secret);
        }
        Ok(())
    }

    /// The file with the claims, after [`Receivers::derive`].
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        // A string that grows would leave copies of secrets.
        let mut text =
            Zeroizing::new(String::with_capacity(self.claims.iter().map(Claimed::most_text).sum::<usize>() + 4));
        let mut separator = "[";
        for Claimed { output, address, basis } in &self.claims {
            // Writing to a String does not fail.
            let address = address_text(address);
            let _ = write!(text, "{separator}\n  {{ \"output\": {output}, \"address\": \"{address}\", ");
            let _ = match basis {
                Basis::Trace(trace) => write!(text, "\"trace\": \"{trace}\""),
                Basis::Secret(secret) => write!(text, "\"mask_secret\": \"{}\"", Hex(secret.as_bytes())),
                Basis::Answered { mask, keys } => {
                    let _ = write!(text, "\"mask\": \"{}\", \"keys\": [", Hex(mask));
                    for (index, key) in keys.iter().enumerate() {
                        let _ = write!(text, "{}\"{}\"", if index == 0 { "" } else { ", " }, Hex(key));
                    }
                    text.write_str("]")
                }
            };
            text.push_str(" }");
            separator = ",";
        }
        text.push_str(if self.claims.is_empty() { "[]\n" } else { "\n]\n" });
        text
    }

    /// The claims, after [`Receivers::derive`].
    pub(crate) fn claims(&self) -> Vec<Receiver<'_>> {
        self.claims.iter().filter_map(Claimed::to_receiver).collect()
    }
}

/// Bytes in hex.
struct Hex<'b>(&'b [u8; 32]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = Zeroizing::new([0; 64]);
        f.write_str(base16ct::lower::encode_str(self.0, digits.as_mut()).map_err(|_| fmt::Error)?)
    }
}

impl Claimed {
    /// A bound of its length as text.
    fn most_text(&self) -> usize {
        let keys = if let Basis::Answered { keys, .. } = &self.basis { keys.len() } else { 0 };
        256 + self.address.to_string().len() + 68 * keys
    }

    /// The claim. None for a trace, which [`Receivers::derive`] replaces.
    fn to_receiver(&self) -> Option<Receiver<'_>> {
        let claim = match &self.basis {
            Basis::Trace(_) => return None,
            Basis::Secret(secret) => Claim::Recomputed(secret),
            Basis::Answered { mask, keys } => Claim::Answered { mask, keys },
        };
        Some(Receiver { output: self.output, address: &self.address, claim })
    }

    fn read(item: &Node<'_>) -> Result<Self, Error> {
        // The type is in the answer to POST /safe/keys.
        item.has_only(&["output", "address", "trace", "mask_secret", "mask", "keys", "type"])?;
        let fields = ["trace", "mask_secret", "mask", "keys"].map(|field| item.get(field));
        let basis = match &fields {
            [Some(trace), None, None, None] => {
                let expected = "it must be a UUID in quotes";
                Basis::Trace(trace.text(expected)?.parse().map_err(|_| trace.fails(expected))?)
            }
            [None, Some(secret), None, None] => {
                let read = MaskSecret::from_hex(secret.text(HEX_32)?);
                Basis::Secret(read.map_err(|cause| secret.fails(cause.to_string()))?)
            }
            [None, None, Some(mask), Some(keys)] => {
                let keys = keys.list("it must be a list, in [ and ]")?;
                Basis::Answered {
                    mask: hash(mask)?,
                    keys: keys.iter().map(|key| hash(&key)).collect::<Result<_, _>>()?,
                }
            }
            _ => return Err(item.fails("give one of trace, mask_secret, or mask and keys together")),
        };
        let (output, to) =
            ("it must be the index of the output, without quotes", "it must be the address that the output pays");
        Ok(Self {
            output: item.needed("output", output)?.number(output)?,
            address: address_in(&item.needed("address", to)?)?,
            basis,
        })
    }
}
