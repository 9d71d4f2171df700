//! Policies.

use std::path::Path;

use mixin_pin_core::UnixTime;
use mixin_pin_safe::{
    Amount, Approved, AssetId, Evidence, ExtraRule, MixAddress, Policy, Refusal, Transaction, Unproven, Withdrawal,
};

use super::json::{Json, Node};
use super::raw::{from_hex, hex32};
use super::{HEX_32, address_in};
use crate::error::Error;
use crate::files::{self, MAX_KEYSTORE};

const FIELDS: [&str; 10] =
    ["asset", "most", "most_outputs", "until", "own", "receivers", "withdrawals", "extra", "references", "unproven"];

/// A policy that was read from a file. What the file does not say is forbidden.
pub(crate) struct PolicyFile {
    asset: AssetId,
    pub(crate) most: Amount,
    own: Vec<MixAddress>,
    receivers: Vec<MixAddress>,
    withdrawals: Vec<OwnedWithdrawal>,
    most_outputs: u16,
    extra: Extra,
    references: Vec<[u8; 32]>,
    unproven: Unproven,
    until: UnixTime,
}

struct OwnedWithdrawal {
    address: String,
    tag: String,
}

enum Extra {
    None,
    Exactly(Vec<u8>),
    AtMost(u32),
}

impl PolicyFile {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = files::read_text(path, MAX_KEYSTORE)?;
        let json = Json::read(path, text.as_bytes())?;
        let policy = Node::new(path, &json);
        policy.has_only(&FIELDS)?;
        let outputs = "it must be a number from 0 to 65535, without quotes";
        Ok(Self {
            asset: asset(&policy.needed("asset", ASSET)?)?,
            most: amount(&policy.needed("most", AMOUNT)?)?,
            own: list(&policy, "own", address_in)?,
            receivers: list(&policy, "receivers", address_in)?,
            withdrawals: list(&policy, "withdrawals", OwnedWithdrawal::read)?,
            most_outputs: policy.needed("most_outputs", outputs)?.number(outputs)?,
            extra: policy.get("extra").map_or(Ok(Extra::None), |extra| Extra::read(&extra))?,
            references: list(&policy, "references", hash)?,
            unproven: policy.get("unproven").map_or(Ok(Unproven::Refuse), |node| unproven(&node))?,
            until: time(&policy.needed("until", TIME)?)?,
        })
    }

    /// Checks a transaction against the policy.
    pub(crate) fn check<'t, 'e>(
        &self,
        transaction: &Transaction<'t>,
        evidence: &Evidence<'e>,
        now: UnixTime,
    ) -> Result<Approved<'t, 'e>, Refusal> {
        let withdrawals: Vec<_> = self.withdrawals.iter().map(OwnedWithdrawal::as_withdrawal).collect();
        let policy = Policy {
            asset: self.asset,
            most: self.most,
            own: &self.own,
            receivers: &self.receivers,
            withdrawals: &withdrawals,
            most_outputs: self.most_outputs,
            extra: match &self.extra {
                Extra::None => ExtraRule::Forbidden,
                Extra::Exactly(bytes) => ExtraRule::Exactly(bytes),
                Extra::AtMost(length) => ExtraRule::AtMost(*length),
            },
            references: &self.references,
            unproven: self.unproven,
            until: self.until,
        };
        policy.check(transaction, evidence, now)
    }
}

impl OwnedWithdrawal {
    fn read(node: &Node<'_>) -> Result<Self, Error> {
        node.has_only(&["address", "tag"])?;
        let expected = "it must be a text in quotes";
        let address = node.needed("address", expected)?.text(expected)?.to_owned();
        let tag = node.get("tag").map_or(Ok(""), |tag| tag.text(expected))?.to_owned();
        Ok(Self { address, tag })
    }

    const fn as_withdrawal(&self) -> Withdrawal<'_> {
        Withdrawal { address: self.address.as_bytes(), tag: self.tag.as_bytes() }
    }
}

impl Extra {
    fn read(node: &Node<'_>) -> Result<Self, Error> {
        let expected = "it must be \"none\", or an object with either exactly or at_most";
        match (node.get("exactly"), node.get("at_most")) {
            (None, None) if !node.is_object() && node.text(expected)? == "none" => return Ok(Self::None),
            (None, None) | (Some(_), Some(_)) => return Err(node.fails(expected)),
            _ => node.has_only(&["exactly", "at_most"])?,
        }
        if let Some(length) = node.get("at_most") {
            return length.number("it must be a number of bytes, without quotes").map(Self::AtMost);
        }
        let expected = "it must be hexadecimal, in quotes and without 0x";
        let exactly = node.needed("exactly", expected)?;
        match exactly.text(expected)? {
            "" => Err(exactly.fails("it is empty; to forbid extra bytes, write \"extra\": \"none\"")),
            hex => from_hex(hex).map(Self::Exactly).ok_or_else(|| exactly.fails(expected)),
        }
    }
}

/// The values of a list, which may be missing.
fn list<T>(policy: &Node<'_>, field: &str, read: impl Fn(&Node<'_>) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let Some(list) = policy.get(field) else { return Ok(Vec::new()) };
    list.list("it must be a list, in [ and ]")?.iter().map(|node| read(&node)).collect()
}

pub(super) const ASSET: &str = "it must be a UUID, or 64 hexadecimal digits, in quotes and without 0x";
pub(super) const AMOUNT: &str = "it must be an amount in quotes, such as \"1.5\"";
const TIME: &str = "it must be a time in quotes, such as \"2027-01-31T00:00:00Z\"";

/// An asset by its UUID or by the kernel's hash of it.
pub(super) fn asset(node: &Node<'_>) -> Result<AssetId, Error> {
    let text = node.text(ASSET)?;
    let asset = text.parse().ok().or_else(|| text.parse().ok().map(AssetId::from_uuid));
    asset.ok_or_else(|| node.fails(ASSET))
}

pub(super) fn amount(node: &Node<'_>) -> Result<Amount, Error> {
    node.text(AMOUNT)?.parse().map_err(|cause: mixin_pin_safe::AmountError| node.fails(cause.to_string()))
}

/// 32 bytes in hex.
pub(super) fn hash(node: &Node<'_>) -> Result<[u8; 32], Error> {
    hex32(node.text(HEX_32)?).ok_or_else(|| node.fails(HEX_32))
}

fn unproven(node: &Node<'_>) -> Result<Unproven, Error> {
    let expected = "it must be \"refuse\", \"attested\" or \"any\"";
    match node.text(expected)? {
        "refuse" => Ok(Unproven::Refuse),
        "attested" => Ok(Unproven::Attested),
        "any" => Ok(Unproven::Any),
        _ => Err(node.fails(expected)),
    }
}

fn time(node: &Node<'_>) -> Result<UnixTime, Error> {
    let time: Option<jiff::Timestamp> = node.text(TIME)?.parse().ok();
    let seconds = time.and_then(|time| time.as_second().try_into().ok());
    seconds.map(UnixTime::from_secs).ok_or_else(|| node.fails(TIME))
}
