//! Actions that a PIN permits, such as a transfer: the request of each, and the action of each request.
//!
//! A client makes path, body and signature from an [`Action`]: see [`Calls::act`](crate::call::Calls::act). A TIP signature
//! covers a hash, so a server rebuilds the action from the request to check the signature: see [`Action::read`].

mod read;
mod request;
mod salt;

use std::fmt;

use mixin_pin_core::tip::{Amount, AmountBuf, TIP_SIGNATURE_LEN, TipAction, TipSigner, safe_message};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Error, SignerError};

use serde_json::{Map, Value};

use crate::ActionError;

pub(crate) use read::check_spelling;
pub use salt::{EncryptedSalt, MasterProof};

/// An action that a PIN permits, with everything that its request needs and that the session does not have. All requests
/// are POST.
///
/// Each variant names its path and its sources: the apps' files, then other clients' as repository: file. The apps' files
/// are in android-app, `app/src/main/java/one/mixin/android/api/service/`, and in ios-app,
/// `MixinServices/MixinServices/Services/API/`. What Mixin's server accepts beyond this is not known.
///
/// ```
/// use mixin_pin_protocol::action::Action;
/// use mixin_pin_protocol::core::uuid::Uuid;
///
/// let (user_id, trace_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
/// let transfer = Action::Transfer {
///     asset_id: "c94ac88f-4671-3976-b60a-09064f1811e8".parse()?,
///     opponent_id: Uuid::from_u128(3),
///     amount: "1.50".parse()?,
///     trace_id, // a new random id; with the same id the same payment is not made twice
///     memo: "thanks".to_owned(),
/// };
/// assert_eq!(transfer.path(user_id), "/transfers");
/// assert_eq!(transfer.body()["amount"], "1.5"); // the text that is signed
/// assert_eq!(transfer.tip(user_id).prefix(), "TIP:TRANSFER:CREATE:");
///
/// let read = Action::read("POST", "/transfers", &transfer.body())?;
/// assert_eq!(read, Some(transfer));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// `Debug` prints neither codes nor salts.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// Verify the TIP key: `POST /pin/verify` (`AccountService.kt`, `AccountAPI.swift`; bot-api-go-client: `pin.go`).
    /// [`Calls::verify_tip`](crate::call::Calls::verify_tip) takes the time itself.
    Verify {
        /// Nanoseconds since 1970.
        timestamp: u64,
    },
    /// Add a withdrawal address: `POST /addresses` (`AddressService.kt`, `AddressAPI.swift`; bot-api-go-client:
    /// `address.go`).
    AddAddress {
        /// The asset.
        asset_id: Uuid,
        /// The asset's chain, which the apps name since 2025. It is not signed.
        chain_id: Option<Uuid>,
        /// Where withdrawals go.
        destination: String,
        /// A tag or memo that the destination needs; empty for none.
        tag: String,
        /// A name for the user.
        label: String,
    },
    /// Remove a withdrawal address: `POST /addresses/:address_id/delete` (`AddressService.kt`, `AddressAPI.swift`;
    /// bot-api-go-client: `address.go`).
    RemoveAddress {
        /// The address.
        address_id: Uuid,
    },
    /// Deactivate the user: `POST /me/deactivate` (`AccountService.kt`, `AccountAPI.swift`). `/account/deactivate` is
    /// read, too; no client shows it.
    DeactivateUser {
        /// The verification of the phone, for purpose `DEACTIVATED`. None for a user without a phone number, whose key
        /// signs the user's id.
        verification_id: Option<Uuid>,
    },
    /// Set an emergency contact: `POST /emergency_verifications/:verification_id` (`EmergencyService.kt`,
    /// `EmergencyAPI.swift`).
    CreateEmergencyContact {
        /// The verification, for purpose `CONTACT`.
        verification_id: Uuid,
        /// The code that the contact received.
        code: String,
    },
    /// Read the emergency contact: `POST /emergency_contact` (`EmergencyService.kt`, `EmergencyAPI.swift`).
    ReadEmergencyContact,
    /// Remove the emergency contact: `POST /emergency_contact/delete` (`EmergencyService.kt`, `EmergencyAPI.swift`).
    RemoveEmergencyContact,
    /// Change the phone number: `POST /verifications/:verification_id` (`AccountService.kt`, `AccountAPI.swift`).
    UpdatePhoneNumber {
        /// The verification, for purpose `PHONE`.
        verification_id: Uuid,
        /// The code that the new number received.
        code: String,
        /// The salt of the user's key for the safe, if the apps' wallet uses one.
        salt: Option<EncryptedSalt>,
    },
    /// Sign a multisig request: `POST /multisigs/:request_id/sign` (`AccountService.kt`, `MultisigAPI.swift`;
    /// bot-api-kotlin-client: `UserCallService.kt`). `/multisigs/requests/:request_id/sign` is read, too (bot-api-go-client: `multisigs.go`;
    /// bot-api-nodejs-client: `multisig.ts`).
    SignMultisig {
        /// The request.
        request_id: Uuid,
    },
    /// Unlock a multisig request: `POST /multisigs/:request_id/unlock`, and `/multisigs/requests/:request_id/unlock` is read,
    /// as for [`SignMultisig`](Self::SignMultisig).
    UnlockMultisig {
        /// The request.
        request_id: Uuid,
    },
    /// Sign a collectible request: `POST /collectibles/requests/:request_id/sign` (`AccountService.kt`,
    /// `CollectibleAPI.swift`; mixin-sdk-go: `legacy_collectible.go`; bot-api-nodejs-client: `collectible.ts`).
    SignCollectible {
        /// The request.
        request_id: Uuid,
    },
    /// Unlock a collectible request: `POST /collectibles/requests/:request_id/unlock`, as for
    /// [`SignCollectible`](Self::SignCollectible).
    UnlockCollectible {
        /// The request.
        request_id: Uuid,
    },
    /// Pay another user: `POST /transfers` (`AssetService.kt`, `PaymentAPI.swift`; bot-api-go-client: `transfer.go`, up to 2023).
    Transfer {
        /// The asset.
        asset_id: Uuid,
        /// The user who is paid.
        opponent_id: Uuid,
        /// The amount.
        amount: AmountBuf,
        /// The id that prevents a second payment.
        trace_id: Uuid,
        /// A note to the receiver; empty for none.
        memo: String,
    },
    /// Withdraw to an address: `POST /withdrawals` (`AssetService.kt`; `WithdrawalAPI.swift`, up to 2024; bot-api-go-client:
    /// `withdrawal.go`, up to 2023).
    Withdraw {
        /// The address.
        address_id: Uuid,
        /// The amount.
        amount: AmountBuf,
        /// The fee of the request. Clients disagree on what is signed without one: see [`signed`](Self::signed).
        fee: Option<AmountBuf>,
        /// The id that prevents a second payment.
        trace_id: Uuid,
        /// A note; empty for none.
        memo: String,
    },
    /// Pay several users together, or a main-net key: `POST /transactions` (`AccountService.kt`,
    /// `PaymentAPI.swift`; bot-api-go-client: `transfer.go`, up to 2023).
    Transaction {
        /// The asset.
        asset_id: Uuid,
        /// Who is paid.
        opponent: Opponent,
        /// The amount.
        amount: AmountBuf,
        /// The id that prevents a second payment.
        trace_id: Uuid,
        /// A note; empty for none.
        memo: String,
    },
    /// Let an app act for the user: `POST /oauth/authorize` (`AuthorizationService.kt`, `AuthorizeAPI.swift`;
    /// mixin-sdk-go: `authorization.go`).
    ApproveOAuth {
        /// The authorization.
        authorization_id: Uuid,
        /// What the app may do. Scopes are not signed.
        scopes: Vec<String>,
    },
    /// Provision another device: `POST /provisionings/:device_id` (`ProvisioningService.kt`,
    /// `ProvisioningAPI.swift`).
    UpdateProvisioning {
        /// The device's id, as its QR code has it.
        device_id: Uuid,
        /// The encrypted message to the device, in standard base64.
        secret: String,
    },
    /// Give an app to another user: `POST /apps/:user_id/transfer`, where the app itself makes the request
    /// (bot-api-go-client: `app.go`; mixin-sdk-go: `ownership.go`).
    TransferAppOwnership {
        /// The new owner.
        user_id: Uuid,
    },
    /// Register with the safe: `POST /safe/users` (`UtxoService.kt`, `SafeAPI.swift`; bot-api-go-client:
    /// `safe_user.go`). [`register_safe`](Self::register_safe) makes the signature.
    RegisterSafe {
        /// The user's key for the safe.
        public_key: Ed25519PublicKey,
        /// That key's signature of [`safe_message`].
        signature: [u8; TIP_SIGNATURE_LEN],
        /// The salt of that key. The apps send it, bots do not.
        salt: Option<EncryptedSalt>,
        /// The user's mnemonic key. The apps send it, bots do not.
        master: Option<Box<MasterProof>>,
    },
    /// End a session of the user: `POST /logout` (`AccountService.kt`, `AccountAPI.swift`).
    LogOutSession {
        /// The session: this one, or another of the user.
        session_id: Uuid,
    },
    /// Export the salt of the user's key for the safe: `POST /me/salt_export` (`AccountService.kt`,
    /// `ExportSaltRequest.swift`).
    ExportSalt {
        /// The user's mnemonic key.
        master: MasterProof,
    },
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self {
            // Only its request knows the user.
            Self::TransferAppOwnership { .. } => "/apps/:user_id/transfer".to_owned(),
            _ => self.path(Uuid::nil()),
        };
        let mut body = self.body();
        for secret in ["code", "salt_base64"] {
            if let Some(value) = body.get_mut(secret) {
                *value = "...".into();
            }
        }
        f.debug_struct("Action").field("path", &path).field("body", &body).finish()
    }
}

/// Who is paid by [`Action::Transaction`].
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opponent {
    /// A main-net key, which is not empty: `opponent_key`.
    Key(String),
    /// Users who own the payment together: `opponent_multisig`.
    Users {
        /// The users. Their order is signed.
        receivers: Vec<Uuid>,
        /// How many of them must sign to spend it.
        threshold: u32,
    },
}

impl Action {
    /// Registers the user with the safe, as bots do: `safe_key` signs the user's id.
    ///
    /// # Errors
    /// [`SignerError`] if the key cannot sign.
    pub fn register_safe(user_id: Uuid, safe_key: &dyn TipSigner) -> Result<Self, SignerError> {
        let (public_key, signature) = (safe_key.public_key().clone(), safe_key.sign(&safe_message(user_id))?);
        Ok(Self::RegisterSafe { public_key, signature, salt: None, master: None })
    }

    /// What a TIP key signs for this action. `user_id` is the user who makes the request.
    pub fn tip(&self, user_id: Uuid) -> TipAction<'_> {
        match *self {
            Self::Verify { timestamp } => TipAction::Verify { timestamp },
            Self::AddAddress { asset_id, chain_id: _, ref destination, ref tag, ref label } => {
                TipAction::AddAddress { asset_id, destination, tag, label }
            }
            Self::RemoveAddress { address_id } => TipAction::RemoveAddress { address_id },
            Self::DeactivateUser { verification_id: Some(id) } => {
                TipAction::DeactivateUser { phone_verification_id: id }
            }
            Self::DeactivateUser { verification_id: None } => TipAction::DeactivateWithoutPhone { user_id },
            Self::CreateEmergencyContact { verification_id, ref code } => {
                TipAction::CreateEmergencyContact { verification_id, code }
            }
            Self::ReadEmergencyContact => TipAction::ReadEmergencyContact,
            Self::RemoveEmergencyContact => TipAction::RemoveEmergencyContact,
            Self::UpdatePhoneNumber { verification_id, ref code, salt: _ } => {
                TipAction::UpdatePhoneNumber { verification_id, code }
            }
            Self::SignMultisig { request_id } => TipAction::SignMultisig { request_id },
            Self::UnlockMultisig { request_id } => TipAction::UnlockMultisig { request_id },
            Self::SignCollectible { request_id } => TipAction::SignCollectible { request_id },
            Self::UnlockCollectible { request_id } => TipAction::UnlockCollectible { request_id },
            Self::Transfer { asset_id, opponent_id, ref amount, trace_id, ref memo } => {
                TipAction::Transfer { asset_id, opponent_id, amount: amount.as_amount(), trace_id, memo }
            }
            Self::Withdraw { address_id, ref amount, ref fee, trace_id, ref memo } => TipAction::Withdraw {
                address_id,
                amount: amount.as_amount(),
                fee: fee.as_ref().map(AmountBuf::as_amount),
                trace_id,
                memo,
            },
            Self::Transaction { asset_id, ref opponent, ref amount, trace_id, ref memo } => {
                let (opponent_key, receivers, threshold) = match opponent {
                    Opponent::Key(key) => (key.as_str(), &[][..], 0),
                    Opponent::Users { receivers, threshold } => ("", &receivers[..], *threshold),
                };
                let (amount, threshold) = (amount.as_amount(), Some(threshold));
                TipAction::Transaction { asset_id, opponent_key, receivers, threshold, amount, trace_id, memo }
            }
            Self::ApproveOAuth { authorization_id, scopes: _ } => TipAction::ApproveOAuth { authorization_id },
            Self::UpdateProvisioning { device_id, ref secret } => TipAction::UpdateProvisioning { device_id, secret },
            Self::TransferAppOwnership { user_id } => TipAction::TransferAppOwnership { user_id },
            Self::RegisterSafe { ref public_key, .. } => TipAction::RegisterSafe { user_id, public_key },
            Self::LogOutSession { session_id } => TipAction::LogOutSession { session_id },
            Self::ExportSalt { master: _ } => TipAction::ExportSalt { user_id },
        }
    }

    /// Everything that the signature may cover, [`tip`](Self::tip) first.
    ///
    /// These are two where clients differ and nobody shows what Mixin checks:
    /// - A withdrawal without a fee: the apps sign nothing for it (android-app: `TipBody.kt`), fox-one's client signs `0`
    ///   (mixin-sdk-go: `legacy_withdraw.go`).
    /// - A payment to a main-net key: see the threshold of [`TipAction::Transaction`].
    pub fn signed(&self, user_id: Uuid) -> impl Iterator<Item = TipAction<'_>> {
        let action = self.tip(user_id);
        let other = match (self, action) {
            (_, TipAction::Withdraw { address_id, amount, fee: None, trace_id, memo }) => Amount::new("0")
                .ok()
                .map(|fee| TipAction::Withdraw { address_id, amount, fee: Some(fee), trace_id, memo }),
            (
                Self::Transaction { opponent: Opponent::Key(_), .. },
                TipAction::Transaction { asset_id, opponent_key, receivers, threshold: _, amount, trace_id, memo },
            ) => Some(TipAction::Transaction {
                asset_id,
                opponent_key,
                receivers,
                threshold: None,
                amount,
                trace_id,
                memo,
            }),
            _ => None,
        };
        [Some(action), other].into_iter().flatten()
    }

    /// What a signature covers.
    ///
    /// # Errors
    /// [`Error::Signature`] if it covers nothing of [`signed`](Self::signed), or the key is another.
    pub fn verify(
        &self,
        user_id: Uuid,
        signature: &[u8; TIP_SIGNATURE_LEN],
        key: &Ed25519PublicKey,
    ) -> Result<TipAction<'_>, Error> {
        self.signed(user_id).find(|action| action.verify(signature, key).is_ok()).ok_or(Error::Signature)
    }

    /// Checks that path and body have the signed ids and amounts as they are signed. A server that takes the request's own
    /// text would find another signature.
    pub(crate) fn check_form(&self, path: &str, body: &Map<String, Value>, user_id: Uuid) -> Result<(), ActionError> {
        let tip = self.tip(user_id);
        let wrong = |field| Err(ActionError::Form { asked: tip.prefix(), field });
        // An absent or empty field is not signed, or as an empty text.
        let differs = |name: &str, signed: &str| {
            let text = body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            text.is_some_and(|text| text != signed)
        };
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        for (name, value) in tip.parameters() {
            // The request has this one as the others.
            let name = if name == "phone_verification_id" { "verification_id" } else { name };
            let value = value.to_string();
            if (name.ends_with("_id") || matches!(name, "amount" | "fee")) && differs(name, &value) {
                return wrong(name);
            }
            let is_same = |segment: &str| segment.parse::<Uuid>().is_ok_and(|id| id.to_string() == value);
            if path.split('/').any(|segment| segment != value && is_same(segment)) {
                return wrong("id in the path");
            }
        }
        let receivers = |body: &Map<String, Value>| body.get("opponent_multisig")?.get("receivers").cloned();
        match self {
            Self::Transaction { opponent: Opponent::Users { .. }, .. }
                if receivers(body) != receivers(&self.body()) =>
            {
                wrong("receivers")
            }
            _ => Ok(()),
        }
    }

    /// Checks that a signature of `given` covers this action.
    pub(crate) fn check(&self, user_id: Uuid, given: &TipAction<'_>) -> Result<(), ActionError> {
        if self.signed(user_id).any(|action| action == *given) {
            return Ok(());
        }
        let asked = self.tip(user_id);
        let field = (asked.prefix() == given.prefix())
            .then(|| asked.parameters().zip(given.parameters()).find(|(asked, given)| asked != given))
            .flatten()
            .map(|((name, _), _)| name);
        Err(ActionError::Mismatch { asked: asked.prefix(), given: given.prefix(), field })
    }
}
