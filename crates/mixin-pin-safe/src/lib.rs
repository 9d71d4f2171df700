//! A careful signer for Mixin's Safe transactions, the transactions of Mixin's kernel in version 5.
//!
//! A TIP key is a PIN and, as spend key, it signs the transactions that move money. This crate says what such a
//! transaction does, and signs only what a policy allows.
//!
//! **In scope:** bytes to a transaction and back, its hash, amounts, addresses, ghost keys, what is proven about inputs
//! and receivers, policies, signatures of view and spend key, and others' signatures.
//!
//! **Out of scope:** sending, asking for outputs, views or ghost keys, Mixin's JSON, files, clocks and randomness. A
//! signer takes bytes and gives bytes.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(any(feature = "alloc", test))]
extern crate alloc;

mod address;
mod amount;
mod approved;
mod asset;
mod careful;
mod claim;
mod effects;
mod encode;
mod error;
mod field;
mod ghost;
mod hash;
mod merge;
mod point;
mod policy;
mod refusal;
mod scalar;
mod sign;
mod spend;
mod spent;
mod transaction;
mod verify;
mod view;
mod wire;

pub use mixin_pin_core;

pub use address::{AddressError, Members, MixAddress, XinAddress};
pub use amount::{Amount, AmountError};
pub use approved::Approved;
pub use asset::AssetId;
pub use careful::PointCheck;
pub use claim::{Claim, Class, Evidence, Receiver};
pub use effects::{Effect, Effects, Payee};
pub use encode::Unsigned;
pub use error::{DecodeError, DecodeProblem, EncodeError, EncodeProblem};
pub use field::Field;
pub use ghost::MaskSecret;
pub use hash::{Hash, HexError};
pub use merge::{MergeError, Merged, merge};
pub use policy::{ExtraRule, Policy, Unproven};
pub use refusal::Refusal;
pub use scalar::ScalarError;
pub use sign::{SignError, ToSign};
pub use spend::SpendKey;
pub use spent::{ProofError, SpentOutput};
pub use transaction::{
    Aggregate, Authorization, Deposit, DetachedSignature, Input, Inputs, Mint, Output, OutputKind, Outputs, Signatures,
    SignaturesIter, Transaction, Withdrawal,
};
pub use verify::VerifyError;
pub use view::View;

/// Compiles the README's example.
#[cfg(all(doctest, feature = "alloc"))]
#[doc = include_str!("../README.md")]
struct Readme;
