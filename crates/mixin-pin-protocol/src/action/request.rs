//! The request of an action: its path, and its body without the PIN.

use base16ct::lower::encode_string;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mixin_pin_core::uuid::Uuid;
use serde_json::{Map, Value, json};

use super::{Action, EncryptedSalt, MasterProof, Opponent};

impl Action {
    /// The method of all actions: `POST`.
    pub const METHOD: &str = "POST";

    /// The request's path. `user_id` is the user who makes the request.
    pub fn path(&self, user_id: Uuid) -> String {
        match self {
            Self::Verify { .. } => "/pin/verify".to_owned(),
            Self::AddAddress { .. } => "/addresses".to_owned(),
            Self::RemoveAddress { address_id } => format!("/addresses/{address_id}/delete"),
            Self::DeactivateUser { .. } => "/me/deactivate".to_owned(),
            Self::CreateEmergencyContact { verification_id, .. } => {
                format!("/emergency_verifications/{verification_id}")
            }
            Self::ReadEmergencyContact => "/emergency_contact".to_owned(),
            Self::RemoveEmergencyContact => "/emergency_contact/delete".to_owned(),
            Self::UpdatePhoneNumber { verification_id, .. } => format!("/verifications/{verification_id}"),
            Self::SignMultisig { request_id } => format!("/multisigs/{request_id}/sign"),
            Self::UnlockMultisig { request_id } => format!("/multisigs/{request_id}/unlock"),
            Self::SignCollectible { request_id } => format!("/collectibles/requests/{request_id}/sign"),
            Self::UnlockCollectible { request_id } => format!("/collectibles/requests/{request_id}/unlock"),
            Self::Transfer { .. } => "/transfers".to_owned(),
            Self::Withdraw { .. } => "/withdrawals".to_owned(),
            Self::Transaction { .. } => "/transactions".to_owned(),
            Self::ApproveOAuth { .. } => "/oauth/authorize".to_owned(),
            Self::UpdateProvisioning { device_id, .. } => format!("/provisionings/{device_id}"),
            Self::TransferAppOwnership { .. } => format!("/apps/{user_id}/transfer"),
            Self::RegisterSafe { .. } => "/safe/users".to_owned(),
            Self::LogOutSession { .. } => "/logout".to_owned(),
            Self::ExportSalt { .. } => "/me/salt_export".to_owned(),
        }
    }

    /// The request's body, without the PIN. Amounts are the texts that are signed.
    pub fn body(&self) -> Map<String, Value> {
        let body = Body::default();
        match self {
            Self::Verify { timestamp } => body.field("timestamp", *timestamp),
            Self::AddAddress { asset_id, chain_id, destination, tag, label } => body
                .text("asset_id", asset_id)
                .optional("chain_id", chain_id.as_ref())
                .text("destination", destination)
                .text("tag", tag)
                .text("label", label),
            Self::RemoveAddress { .. }
            | Self::ReadEmergencyContact
            | Self::RemoveEmergencyContact
            | Self::SignMultisig { .. }
            | Self::UnlockMultisig { .. }
            | Self::SignCollectible { .. }
            | Self::UnlockCollectible { .. } => body,
            Self::DeactivateUser { verification_id } => body.optional("verification_id", verification_id.as_ref()),
            Self::CreateEmergencyContact { verification_id: _, code } => {
                body.text("purpose", "CONTACT").text("code", code)
            }
            Self::UpdatePhoneNumber { verification_id: _, code, salt } => {
                body.text("purpose", "PHONE").text("code", code).salt(salt.as_ref())
            }
            Self::Transfer { asset_id, opponent_id, amount, trace_id, memo } => body
                .text("asset_id", asset_id)
                .text("opponent_id", opponent_id)
                .text("amount", amount)
                .text("trace_id", trace_id)
                .text("memo", memo),
            Self::Withdraw { address_id, amount, fee, trace_id, memo } => body
                .text("address_id", address_id)
                .text("amount", amount)
                .optional("fee", fee.as_ref())
                .text("trace_id", trace_id)
                .text("memo", memo),
            Self::Transaction { asset_id, opponent, amount, trace_id, memo } => {
                let body = match opponent {
                    Opponent::Key(key) => body.text("opponent_key", key),
                    Opponent::Users { receivers, threshold } => {
                        let receivers: Vec<String> = receivers.iter().map(ToString::to_string).collect();
                        let users = json!({ "receivers": receivers, "threshold": threshold });
                        body.field("opponent_multisig", users)
                    }
                };
                body.text("asset_id", asset_id).text("amount", amount).text("trace_id", trace_id).text("memo", memo)
            }
            Self::ApproveOAuth { authorization_id, scopes } => {
                body.text("authorization_id", authorization_id).field("scopes", scopes.as_slice())
            }
            Self::UpdateProvisioning { device_id: _, secret } => body.text("secret", secret),
            Self::TransferAppOwnership { user_id } => body.text("user_id", user_id),
            Self::RegisterSafe { public_key, signature, salt, master } => body
                .text("public_key", &encode_string(public_key.as_bytes()))
                .text("signature", &URL_SAFE_NO_PAD.encode(signature))
                .salt(salt.as_ref())
                .master(master.as_deref()),
            Self::LogOutSession { session_id } => body.text("session_id", session_id),
            Self::ExportSalt { master } => body.master(Some(master)),
        }
        .0
    }
}

#[derive(Default)]
struct Body(Map<String, Value>);

impl Body {
    fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn text(self, name: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.field(name, value.to_string())
    }

    fn optional(self, name: &str, value: Option<&impl ToString>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    fn salt(self, salt: Option<&EncryptedSalt>) -> Self {
        self.optional("salt_base64", salt.map(EncryptedSalt::as_str).as_ref())
    }

    fn master(self, master: Option<&MasterProof>) -> Self {
        match master {
            Some(MasterProof { public_key, signature }) => self
                .text("master_public_hex", &encode_string(public_key.as_bytes()))
                .text("master_signature_hex", &encode_string(signature)),
            None => self,
        }
    }
}
