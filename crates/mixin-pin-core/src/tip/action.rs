//! What a TIP key signs: a body for each action, hashed from the action's parameters.

use core::fmt::{self, Write as _};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Amount, TIP_SIGNATURE_LEN};
use crate::{Ed25519PublicKey, Error};

/// An action that a TIP key permits, with its parameters. This type fixes the order in which they are hashed.
///
/// # Security
/// Mixin joins parameters without separators. Where two texts of variable length meet, different actions may have the
/// same body, and a signature for one is valid for the other: `AddAddress` (destination, tag, label), `Withdraw` (amount,
/// fee) and `Transaction` (opponent key and receivers, threshold and amount).
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TipAction<'a> {
    /// Verify the key: `TIP:VERIFY:`, not hashed.
    Verify {
        /// Nanoseconds since 1970, sent as `timestamp` beside the signature.
        timestamp: u64,
    },
    /// Add a withdrawal address: `TIP:ADDRESS:ADD:`.
    AddAddress {
        /// The asset.
        asset_id: Uuid,
        /// Where withdrawals go.
        destination: &'a str,
        /// A tag or memo that the destination needs; empty for none.
        tag: &'a str,
        /// A name for the user.
        label: &'a str,
    },
    /// Remove a withdrawal address: `TIP:ADDRESS:REMOVE:`.
    RemoveAddress {
        /// The address.
        address_id: Uuid,
    },
    /// Deactivate the user: `TIP:USER:DEACTIVATE:`.
    DeactivateUser {
        /// The verification of the phone.
        phone_verification_id: Uuid,
    },
    /// Set an emergency contact: `TIP:EMERGENCY:CONTACT:CREATE:`.
    CreateEmergencyContact {
        /// The verification.
        verification_id: Uuid,
        /// The code that was sent.
        code: &'a str,
    },
    /// Read the emergency contact: `TIP:EMERGENCY:CONTACT:READ:`.
    ReadEmergencyContact,
    /// Remove the emergency contact: `TIP:EMERGENCY:CONTACT:REMOVE:`.
    RemoveEmergencyContact,
    /// Change the phone number: `TIP:PHONE:NUMBER:UPDATE:`.
    UpdatePhoneNumber {
        /// The verification.
        verification_id: Uuid,
        /// The code that was sent.
        code: &'a str,
    },
    /// Sign a multisig request: `TIP:MULTISIG:REQUEST:SIGN:`.
    SignMultisig {
        /// The request.
        request_id: Uuid,
    },
    /// Unlock a multisig request: `TIP:MULTISIG:REQUEST:UNLOCK:`.
    UnlockMultisig {
        /// The request.
        request_id: Uuid,
    },
    /// Sign a collectible request: `TIP:COLLECTIBLE:REQUEST:SIGN:`.
    SignCollectible {
        /// The request.
        request_id: Uuid,
    },
    /// Unlock a collectible request: `TIP:COLLECTIBLE:REQUEST:UNLOCK:`.
    UnlockCollectible {
        /// The request.
        request_id: Uuid,
    },
    /// Pay another user: `TIP:TRANSFER:CREATE:`.
    Transfer {
        /// The asset.
        asset_id: Uuid,
        /// The user who is paid.
        opponent_id: Uuid,
        /// The amount.
        amount: Amount<'a>,
        /// The id that prevents a second payment.
        trace_id: Uuid,
        /// A note to the receiver.
        memo: &'a str,
    },
    /// Withdraw to an address: `TIP:WITHDRAWAL:CREATE:`.
    Withdraw {
        /// The address.
        address_id: Uuid,
        /// The amount.
        amount: Amount<'a>,
        /// The fee of the request. Without one nothing is signed in its place, as the apps do (android-app:
        /// `TipBody.kt`); fox-one's client signs `0` (mixin-sdk-go: `legacy_withdraw.go`).
        fee: Option<Amount<'a>>,
        /// The id that prevents a second payment.
        trace_id: Uuid,
        /// A note.
        memo: &'a str,
    },
    /// Pay a main-net key or several users: `TIP:TRANSACTION:CREATE:`.
    Transaction {
        /// The asset.
        asset_id: Uuid,
        /// The key that is paid; empty for none.
        opponent_key: &'a str,
        /// The users who are paid together, in the request's order.
        receivers: &'a [Uuid],
        /// The number of receivers who must sign to spend it.
        threshold: u32,
        /// The amount.
        amount: Amount<'a>,
        /// The id that prevents a second payment.
        trace_id: Uuid,
        /// A note.
        memo: &'a str,
    },
    /// Let an app act for the user: `TIP:OAUTH:APPROVE:`.
    ApproveOAuth {
        /// The authorization.
        authorization_id: Uuid,
    },
    /// Provision another device: `TIP:PROVISIONING:UPDATE:`.
    UpdateProvisioning {
        /// The device.
        device_id: Uuid,
        /// The secret of the device's request.
        secret: &'a str,
    },
    /// Give an app to another user: `TIP:APP:OWNERSHIP:TRANSFER:`.
    TransferAppOwnership {
        /// The new owner.
        user_id: Uuid,
    },
    /// Register with the safe: `SEQUENCER:REGISTER:`.
    RegisterSafe {
        /// The user.
        user_id: Uuid,
        /// The user's key for the safe.
        public_key: &'a Ed25519PublicKey,
    },
}

impl TipAction<'_> {
    /// The start of the body, which names the action in the protocol: for example `TIP:TRANSFER:CREATE:`.
    pub const fn prefix(&self) -> &'static str {
        match self {
            Self::Verify { .. } => TipBody::VERIFY_PREFIX,
            Self::AddAddress { .. } => "TIP:ADDRESS:ADD:",
            Self::RemoveAddress { .. } => "TIP:ADDRESS:REMOVE:",
            Self::DeactivateUser { .. } => "TIP:USER:DEACTIVATE:",
            Self::CreateEmergencyContact { .. } => "TIP:EMERGENCY:CONTACT:CREATE:",
            Self::ReadEmergencyContact => "TIP:EMERGENCY:CONTACT:READ:",
            Self::RemoveEmergencyContact => "TIP:EMERGENCY:CONTACT:REMOVE:",
            Self::UpdatePhoneNumber { .. } => "TIP:PHONE:NUMBER:UPDATE:",
            Self::SignMultisig { .. } => "TIP:MULTISIG:REQUEST:SIGN:",
            Self::UnlockMultisig { .. } => "TIP:MULTISIG:REQUEST:UNLOCK:",
            Self::SignCollectible { .. } => "TIP:COLLECTIBLE:REQUEST:SIGN:",
            Self::UnlockCollectible { .. } => "TIP:COLLECTIBLE:REQUEST:UNLOCK:",
            Self::Transfer { .. } => "TIP:TRANSFER:CREATE:",
            Self::Withdraw { .. } => "TIP:WITHDRAWAL:CREATE:",
            Self::Transaction { .. } => "TIP:TRANSACTION:CREATE:",
            Self::ApproveOAuth { .. } => "TIP:OAUTH:APPROVE:",
            Self::UpdateProvisioning { .. } => "TIP:PROVISIONING:UPDATE:",
            Self::TransferAppOwnership { .. } => "TIP:APP:OWNERSHIP:TRANSFER:",
            Self::RegisterSafe { .. } => "SEQUENCER:REGISTER:",
        }
    }

    /// The bytes to sign: SHA-256 of prefix and parameters, or the text itself for `Verify`.
    ///
    /// ```
    /// use mixin_pin_core::tip::TipAction;
    ///
    /// let body = TipAction::Verify { timestamp: 1_700_000_000_000_000_000 }.body();
    /// assert_eq!(body.as_bytes(), b"TIP:VERIFY:00000000000001700000000000000000");
    /// ```
    pub fn body(&self) -> TipBody {
        let hasher = || Hasher::new(self.prefix());
        match *self {
            Self::Verify { timestamp } => TipBody::verify(timestamp),
            Self::AddAddress { asset_id, destination, tag, label } => {
                hasher().id(asset_id).text(destination).text(tag).text(label).body()
            }
            Self::RemoveAddress { address_id } => hasher().id(address_id).body(),
            Self::DeactivateUser { phone_verification_id } => hasher().id(phone_verification_id).body(),
            Self::CreateEmergencyContact { verification_id, code }
            | Self::UpdatePhoneNumber { verification_id, code } => hasher().id(verification_id).text(code).body(),
            Self::ReadEmergencyContact | Self::RemoveEmergencyContact => hasher().text("0").body(),
            Self::SignMultisig { request_id }
            | Self::UnlockMultisig { request_id }
            | Self::SignCollectible { request_id }
            | Self::UnlockCollectible { request_id } => hasher().id(request_id).body(),
            Self::Transfer { asset_id, opponent_id, amount, trace_id, memo } => {
                hasher().id(asset_id).id(opponent_id).text(amount.as_str()).id(trace_id).text(memo).body()
            }
            Self::Withdraw { address_id, amount, fee, trace_id, memo } => {
                let fee = fee.map_or("", Amount::as_str);
                hasher().id(address_id).text(amount.as_str()).text(fee).id(trace_id).text(memo).body()
            }
            Self::Transaction { asset_id, opponent_key, receivers, threshold, amount, trace_id, memo } => {
                let hasher = hasher().id(asset_id).text(opponent_key);
                receivers
                    .iter()
                    .fold(hasher, |hasher, receiver| hasher.id(*receiver))
                    .number(threshold)
                    .text(amount.as_str())
                    .id(trace_id)
                    .text(memo)
                    .body()
            }
            Self::ApproveOAuth { authorization_id } => hasher().id(authorization_id).body(),
            Self::UpdateProvisioning { device_id, secret } => hasher().id(device_id).text(secret).body(),
            Self::TransferAppOwnership { user_id } => hasher().id(user_id).body(),
            Self::RegisterSafe { user_id, public_key } => hasher().id(user_id).hex(public_key.as_bytes()).body(),
        }
    }

    /// Verifies a signature over this action, as a server does.
    ///
    /// # Errors
    /// [`Error::Signature`] if the key, the action or a parameter differs.
    pub fn verify(&self, signature: &[u8; TIP_SIGNATURE_LEN], key: &Ed25519PublicKey) -> Result<(), Error> {
        key.verify(self.body().as_bytes(), signature)
    }
}

/// The bytes that are signed for an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TipBody {
    bytes: [u8; Self::MAX_LEN],
    len: usize,
}

impl TipBody {
    const VERIFY_PREFIX: &'static str = "TIP:VERIFY:";
    const VERIFY_DIGITS: usize = 32;
    /// The text of `Verify` has 43 bytes. All other bodies are the 32 bytes of a hash.
    const MAX_LEN: usize = Self::VERIFY_PREFIX.len() + Self::VERIFY_DIGITS;

    fn verify(timestamp: u64) -> Self {
        let mut bytes = [b'0'; Self::MAX_LEN];
        bytes[..Self::VERIFY_PREFIX.len()].copy_from_slice(Self::VERIFY_PREFIX.as_bytes());
        let mut rest = timestamp;
        for digit in bytes.iter_mut().rev().take(Self::VERIFY_DIGITS) {
            *digit = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
        }
        Self { bytes, len: Self::MAX_LEN }
    }

    /// 43 bytes for `Verify`, 32 for every other action.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Hashes a body, part by part.
struct Hasher(Sha256);

impl Hasher {
    fn new(prefix: &str) -> Self {
        Self(Sha256::new_with_prefix(prefix))
    }

    fn text(self, text: &str) -> Self {
        Self(self.0.chain_update(text))
    }

    /// Lowercase, with hyphens.
    fn id(mut self, id: Uuid) -> Self {
        let _ = write!(self, "{id}");
        self
    }

    fn hex(self, bytes: &[u8; 32]) -> Self {
        bytes.iter().fold(self, |mut hasher, byte| {
            let _ = write!(hasher, "{byte:02x}");
            hasher
        })
    }

    fn number(mut self, number: u32) -> Self {
        // A hasher takes any text.
        let _ = write!(self, "{number}");
        self
    }

    fn body(self) -> TipBody {
        let hash = self.0.finalize();
        let mut bytes = [0; TipBody::MAX_LEN];
        bytes[..hash.len()].copy_from_slice(&hash);
        TipBody { bytes, len: hash.len() }
    }
}

impl fmt::Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text);
        Ok(())
    }
}
