//! TIP actions on the command line.

use clap::{Parser, Subcommand};
use mixin_pin_core::Ed25519PublicKey;
use mixin_pin_core::tip::{Amount, TipAction};
use mixin_pin_core::uuid::Uuid;

use super::shared::id;
use crate::error::Error;

/// An action alone, as `call --tip` takes it.
#[derive(Parser)]
#[command(name = "--tip", no_binary_name = true, disable_help_subcommand = true)]
pub(crate) struct ActionLine {
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What a TIP key may sign.
#[derive(Subcommand)]
pub(crate) enum Action {
    /// Verify the key.
    Verify {
        /// Nanoseconds since 1970; to change a key, the old key's counter.
        #[arg(long, value_name = "NANOSECONDS")]
        timestamp: u64,
    },
    /// Add a withdrawal address.
    AddAddress {
        #[arg(long, value_parser = id)]
        asset_id: Uuid,
        #[arg(long)]
        destination: String,
        #[arg(long, default_value = "")]
        tag: String,
        #[arg(long)]
        label: String,
    },
    /// Remove a withdrawal address.
    RemoveAddress {
        #[arg(long, value_parser = id)]
        address_id: Uuid,
    },
    /// Deactivate the user.
    DeactivateUser {
        #[arg(long, value_parser = id)]
        phone_verification_id: Uuid,
    },
    /// Set an emergency contact.
    CreateEmergencyContact {
        #[arg(long, value_parser = id)]
        verification_id: Uuid,
        #[arg(long)]
        code: String,
    },
    /// Read the emergency contact.
    ReadEmergencyContact,
    /// Remove the emergency contact.
    RemoveEmergencyContact,
    /// Change the phone number.
    UpdatePhoneNumber {
        #[arg(long, value_parser = id)]
        verification_id: Uuid,
        #[arg(long)]
        code: String,
    },
    /// Sign a multisig request.
    SignMultisig {
        #[arg(long, value_parser = id)]
        request_id: Uuid,
    },
    /// Unlock a multisig request.
    UnlockMultisig {
        #[arg(long, value_parser = id)]
        request_id: Uuid,
    },
    /// Sign a collectible request.
    SignCollectible {
        #[arg(long, value_parser = id)]
        request_id: Uuid,
    },
    /// Unlock a collectible request.
    UnlockCollectible {
        #[arg(long, value_parser = id)]
        request_id: Uuid,
    },
    /// Pay another user.
    Transfer {
        #[arg(long, value_parser = id)]
        asset_id: Uuid,
        #[arg(long, value_parser = id)]
        opponent_id: Uuid,
        #[arg(long)]
        amount: String,
        #[arg(long, value_parser = id)]
        trace_id: Uuid,
        #[arg(long, default_value = "")]
        memo: String,
    },
    /// Withdraw to an address.
    Withdraw {
        #[arg(long, value_parser = id)]
        address_id: Uuid,
        #[arg(long)]
        amount: String,
        /// The fee of the request, if it has one.
        #[arg(long)]
        fee: Option<String>,
        #[arg(long, value_parser = id)]
        trace_id: Uuid,
        #[arg(long, default_value = "")]
        memo: String,
    },
    /// Pay a mainnet address or several users.
    Transaction {
        #[arg(long, value_parser = id)]
        asset_id: Uuid,
        #[arg(long, default_value = "")]
        opponent_key: String,
        /// A receiver. Repeat it for each one, in the request's order.
        #[arg(long = "receiver")]
        receivers: Vec<Uuid>,
        #[arg(long)]
        threshold: u32,
        #[arg(long)]
        amount: String,
        #[arg(long, value_parser = id)]
        trace_id: Uuid,
        #[arg(long, default_value = "")]
        memo: String,
    },
    /// Let an app act for the user.
    ApproveOauth {
        #[arg(long, value_parser = id)]
        authorization_id: Uuid,
    },
    /// Provision another device.
    UpdateProvisioning {
        #[arg(long, value_parser = id)]
        device_id: Uuid,
        #[arg(long)]
        secret: String,
    },
    /// Give an app to another user.
    TransferAppOwnership {
        #[arg(long, value_parser = id)]
        user_id: Uuid,
    },
    /// Register with the safe.
    RegisterSafe {
        #[arg(long, value_parser = id)]
        user_id: Uuid,
        /// The user's key for the safe, in hex or base64.
        #[arg(long)]
        public_key: String,
    },
    /// Deactivate the user who has no phone number.
    DeactivateWithoutPhone {
        #[arg(long, value_parser = id)]
        user_id: Uuid,
    },
    /// End a session of the user.
    LogOutSession {
        #[arg(long, value_parser = id)]
        session_id: Uuid,
    },
    /// Export the salt of the user's key for the safe.
    ExportSalt {
        #[arg(long, value_parser = id)]
        user_id: Uuid,
    },
}

impl Action {
    /// Calls `use_it` with the action, which borrows from `self`.
    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&TipAction<'_>) -> T) -> Result<T, Error> {
        let safe_key;
        let action = match self {
            Self::Verify { timestamp } => TipAction::Verify { timestamp: *timestamp },
            Self::AddAddress { asset_id, destination, tag, label } => {
                TipAction::AddAddress { asset_id: *asset_id, destination, tag, label }
            }
            Self::RemoveAddress { address_id } => TipAction::RemoveAddress { address_id: *address_id },
            Self::DeactivateUser { phone_verification_id } => {
                TipAction::DeactivateUser { phone_verification_id: *phone_verification_id }
            }
            Self::CreateEmergencyContact { verification_id, code } => {
                TipAction::CreateEmergencyContact { verification_id: *verification_id, code }
            }
            Self::ReadEmergencyContact => TipAction::ReadEmergencyContact,
            Self::RemoveEmergencyContact => TipAction::RemoveEmergencyContact,
            Self::UpdatePhoneNumber { verification_id, code } => {
                TipAction::UpdatePhoneNumber { verification_id: *verification_id, code }
            }
            Self::SignMultisig { request_id } => TipAction::SignMultisig { request_id: *request_id },
            Self::UnlockMultisig { request_id } => TipAction::UnlockMultisig { request_id: *request_id },
            Self::SignCollectible { request_id } => TipAction::SignCollectible { request_id: *request_id },
            Self::UnlockCollectible { request_id } => TipAction::UnlockCollectible { request_id: *request_id },
            Self::Transfer { asset_id, opponent_id, amount, trace_id, memo } => TipAction::Transfer {
                asset_id: *asset_id,
                opponent_id: *opponent_id,
                amount: Amount::new(amount)?,
                trace_id: *trace_id,
                memo,
            },
            Self::Withdraw { address_id, amount, fee, trace_id, memo } => TipAction::Withdraw {
                address_id: *address_id,
                amount: Amount::new(amount)?,
                fee: fee.as_deref().map(Amount::new).transpose()?,
                trace_id: *trace_id,
                memo,
            },
            Self::Transaction { asset_id, opponent_key, receivers, threshold, amount, trace_id, memo } => {
                TipAction::Transaction {
                    asset_id: *asset_id,
                    opponent_key,
                    receivers,
                    threshold: Some(*threshold),
                    amount: Amount::new(amount)?,
                    trace_id: *trace_id,
                    memo,
                }
            }
            Self::ApproveOauth { authorization_id } => TipAction::ApproveOAuth { authorization_id: *authorization_id },
            Self::UpdateProvisioning { device_id, secret } => {
                TipAction::UpdateProvisioning { device_id: *device_id, secret }
            }
            Self::TransferAppOwnership { user_id } => TipAction::TransferAppOwnership { user_id: *user_id },
            Self::RegisterSafe { user_id, public_key } => {
                safe_key = Ed25519PublicKey::from_text(public_key).map_err(Error::PublicKey)?;
                TipAction::RegisterSafe { user_id: *user_id, public_key: &safe_key }
            }
            Self::DeactivateWithoutPhone { user_id } => TipAction::DeactivateWithoutPhone { user_id: *user_id },
            Self::LogOutSession { session_id } => TipAction::LogOutSession { session_id: *session_id },
            Self::ExportSalt { user_id } => TipAction::ExportSalt { user_id: *user_id },
        };
        Ok(use_it(&action))
    }
}
