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
mod asset;
mod encode;
mod error;
mod field;
mod ghost;
mod hash;
mod point;
mod scalar;
mod transaction;
mod wire;

pub use mixin_pin_core;
pub use address::{AddressError, Members, MixAddress, XinAddress};
pub use amount::{Amount, AmountError};
pub use asset::AssetId;
pub use encode::Unsigned;
pub use error::{DecodeError, DecodeProblem, EncodeError, EncodeProblem};
pub use field::Field;
pub use ghost::MaskSecret;
pub use hash::{Hash, HexError};
pub use scalar::ScalarError;
pub use transaction::{
    Aggregate, Authorization, Deposit, DetachedSignature, Input, Inputs, Mint, Output, OutputKind, Outputs, Signatures,
    SignaturesIter, Transaction, Withdrawal,
};
