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
/// fee) and `Transaction` (opponent key, receivers, threshold and amount).
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
    /// Deactivate the user who has no phone number: `TIP:USER:DEACTIVATE:`, too (android-app:
    /// `DeleteAccountPinBottomSheetDialogFragment.kt`; ios-app: `AccountAPI.swift`).
    DeactivateWithoutPhone {
        /// The user.
        user_id: Uuid,
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
        /// The number of receivers who must sign to spend it. For a key, the Go clients sign `0` (bot-api-go-client:
        /// `transfer.go`, up to 2023; mixin-sdk-go: `legacy_transaction_raw.go`). The documentation and the PHP and Ruby
        /// clients sign nothing in its place (developers.mixin.one: `transfer/raw-transfer.md`, up to 2025; mixin-sdk-php:
        /// `src/Apis/Wallet.php`; `mixin_bot`: `lib/mixin_bot/api/legacy_transaction.rb`).
        threshold: Option<u32>,
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
    /// End a session of the user: `TIP:SESSION:LOGOUT:` (android-app: `TipBody.kt`; ios-app: `TIPBody.swift`).
    LogOutSession {
        /// The session.
        session_id: Uuid,
    },
    /// Export the salt of the user's key for the safe: `TIP:USER:EXPORT:PRIVATE:` (android-app: `TipBody.kt`; ios-app:
    /// `TIPBody.swift`).
    ExportSalt {
        /// The user.
        user_id: Uuid,
    },
}

impl<'a> TipAction<'a> {
    /// The start of the body, which names the action in the protocol: for example `TIP:TRANSFER:CREATE:`.
    pub const fn prefix(&self) -> &'static str {
        match self {
            Self::Verify { .. } => TipBody::VERIFY_PREFIX,
            Self::AddAddress { .. } => "TIP:ADDRESS:ADD:",
            Self::RemoveAddress { .. } => "TIP:ADDRESS:REMOVE:",
            Self::DeactivateUser { .. } | Self::DeactivateWithoutPhone { .. } => "TIP:USER:DEACTIVATE:",
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
            Self::LogOutSession { .. } => "TIP:SESSION:LOGOUT:",
            Self::ExportSalt { .. } => "TIP:USER:EXPORT:PRIVATE:",
        }
    }

    /// The parameters in the order in which they are signed, each with the name of its field.
    ///
    /// ```
    /// use mixin_pin_core::tip::TipAction;
    /// use mixin_pin_core::uuid::Uuid;
    ///
    /// let action = TipAction::AddAddress { asset_id: Uuid::nil(), destination: "bc1q", tag: "", label: "home" };
    /// let names: Vec<_> = action.parameters().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["asset_id", "destination", "tag", "label"]);
    /// let last = action.parameters().last().map(|(_, value)| value.to_string());
    /// assert_eq!(last.as_deref(), Some("home"));
    /// ```
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, TipParameter<'a>)> + use<'a> {
        use Part::{Id, Ids, Key, Number, Text};

        let id = |name, id| [Some((name, Id(id))), None, None, None, None, None, None];
        let two = |one, two| [Some(one), Some(two), None, None, None, None, None];
        let amount_text = |amount: Amount<'a>| Text(amount.as_str());
        let parts = match *self {
            Self::Verify { timestamp } => [Some(("timestamp", Number(timestamp))), None, None, None, None, None, None],
            Self::AddAddress { asset_id, destination, tag, label } => [
                Some(("asset_id", Id(asset_id))),
                Some(("destination", Text(destination))),
                Some(("tag", Text(tag))),
                Some(("label", Text(label))),
                None,
                None,
                None,
            ],
            Self::RemoveAddress { address_id } => id("address_id", address_id),
            Self::DeactivateUser { phone_verification_id } => id("phone_verification_id", phone_verification_id),
            Self::CreateEmergencyContact { verification_id, code }
            | Self::UpdatePhoneNumber { verification_id, code } => {
                two(("verification_id", Id(verification_id)), ("code", Text(code)))
            }
            Self::ReadEmergencyContact | Self::RemoveEmergencyContact => [None; 7],
            Self::SignMultisig { request_id }
            | Self::UnlockMultisig { request_id }
            | Self::SignCollectible { request_id }
            | Self::UnlockCollectible { request_id } => id("request_id", request_id),
            Self::Transfer { asset_id, opponent_id, amount, trace_id, memo } => [
                Some(("asset_id", Id(asset_id))),
                Some(("opponent_id", Id(opponent_id))),
                Some(("amount", amount_text(amount))),
                Some(("trace_id", Id(trace_id))),
                Some(("memo", Text(memo))),
                None,
                None,
            ],
            Self::Withdraw { address_id, amount, fee, trace_id, memo } => [
                Some(("address_id", Id(address_id))),
                Some(("amount", amount_text(amount))),
                Some(("fee", fee.map_or(Text(""), amount_text))),
                Some(("trace_id", Id(trace_id))),
                Some(("memo", Text(memo))),
                None,
                None,
            ],
            Self::Transaction { asset_id, opponent_key, receivers, threshold, amount, trace_id, memo } => [
                Some(("asset_id", Id(asset_id))),
                Some(("opponent_key", Text(opponent_key))),
                Some(("receivers", Ids(receivers))),
                Some(("threshold", threshold.map_or(Text(""), |threshold| Number(threshold.into())))),
                Some(("amount", amount_text(amount))),
                Some(("trace_id", Id(trace_id))),
                Some(("memo", Text(memo))),
            ],
            Self::ApproveOAuth { authorization_id } => id("authorization_id", authorization_id),
            Self::UpdateProvisioning { device_id, secret } => {
                two(("device_id", Id(device_id)), ("secret", Text(secret)))
            }
            Self::TransferAppOwnership { user_id }
            | Self::DeactivateWithoutPhone { user_id }
            | Self::ExportSalt { user_id } => id("user_id", user_id),
            Self::RegisterSafe { user_id, public_key } => {
                two(("user_id", Id(user_id)), ("public_key", Key(public_key)))
            }
            Self::LogOutSession { session_id } => id("session_id", session_id),
        };
        parts.into_iter().flatten().map(|(name, part)| (name, TipParameter(part)))
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
        let mut hasher = Hasher(Sha256::new_with_prefix(self.prefix()));
        match *self {
            Self::Verify { timestamp } => return TipBody::verify(timestamp),
            // android-app: `TipBody.kt`; ios-app: `TIPBody.swift`. No field of the request has it.
            Self::ReadEmergencyContact | Self::RemoveEmergencyContact => hasher.0.update("0"),
            _ => self.parameters().for_each(|(_, parameter)| {
                // A hasher takes any text.
                let _ = write!(hasher, "{parameter}");
            }),
        }
        hasher.body()
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

/// A parameter of an action. `Display` writes it as it is signed: ids in lowercase with hyphens, a list's ids one after
/// another, numbers in decimal, a key in lowercase hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TipParameter<'a>(Part<'a>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Id(Uuid),
    Ids(&'a [Uuid]),
    Text(&'a str),
    Number(u64),
    Key(&'a Ed25519PublicKey),
}

impl fmt::Display for TipParameter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Part::Id(id) => write!(f, "{id}"),
            Part::Ids(ids) => ids.iter().try_for_each(|id| write!(f, "{id}")),
            Part::Text(text) => f.write_str(text),
            Part::Number(number) => write!(f, "{number}"),
            Part::Key(key) => key.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

/// Hashes text.
struct Hasher(Sha256);

impl Hasher {
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
