//! The action of a request, read from its method, path and body.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mixin_pin_core::Ed25519PublicKey;
use mixin_pin_core::tip::{AmountBuf, TIP_SIGNATURE_LEN};
use mixin_pin_core::uuid::Uuid;
use serde_json::{Map, Value};

use super::{Action, EncryptedSalt, MasterProof, Opponent};
use crate::ActionError;

impl Action {
    /// The action that a request asks for. None for a path without a known action.
    ///
    /// `/pin/update` asks for no action, because there the old key signs its own counter.
    ///
    /// ```
    /// use mixin_pin_protocol::action::Action;
    /// use mixin_pin_protocol::core::{Error, tip::TipKey, uuid::Uuid};
    /// use serde_json::Map;
    ///
    /// let (key, user_id, address_id) = (TipKey::from_seed(&[7; 32]), Uuid::from_u128(7), Uuid::from_u128(1));
    /// let action = Action::RemoveAddress { address_id };
    /// let signature = key.sign(&action.tip(user_id));
    ///
    /// let path = format!("/addresses/{address_id}/delete");
    /// let Ok(Some(asked)) = Action::read("POST", &path, &Map::new()) else { panic!("known") };
    /// assert_eq!(asked, action);
    /// assert!(asked.verify(user_id, &signature, key.public_key()).is_ok());
    /// let other = TipKey::from_seed(&[8; 32]);
    /// assert_eq!(asked.verify(user_id, &signature, other.public_key()), Err(Error::Signature));
    /// ```
    ///
    /// # Errors
    /// [`ActionError::Field`] when the request lacks a field of the action, or has it in another form.
    pub fn read(method: &str, path: &str, body: &Map<String, Value>) -> Result<Option<Self>, ActionError> {
        if method != Self::METHOD {
            return Ok(None);
        }
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let read = Self::of(&segments, &Fields(body));
        read.map_err(|Missing(field)| ActionError::Field { asked: prefix(&segments), field })
    }

    fn of(segments: &[&str], body: &Fields<'_>) -> Result<Option<Self>, Missing> {
        Ok(Some(match *segments {
            ["pin", "verify"] => Self::Verify { timestamp: body.number("timestamp")? },
            ["addresses"] => Self::AddAddress {
                asset_id: body.id("asset_id")?,
                chain_id: body.optional("chain_id", id)?,
                destination: body.text("destination")?.to_owned(),
                tag: body.text_or_empty("tag")?,
                label: body.text("label")?.to_owned(),
            },
            ["addresses", id, "delete"] => Self::RemoveAddress { address_id: segment_id(id)? },
            ["transfers"] => Self::Transfer {
                asset_id: body.id("asset_id")?,
                opponent_id: body.id("opponent_id")?,
                amount: body.amount()?,
                trace_id: body.id("trace_id")?,
                memo: body.text_or_empty("memo")?,
            },
            ["withdrawals"] => Self::Withdraw {
                address_id: body.id("address_id")?,
                amount: body.amount()?,
                fee: body.optional("fee", amount)?,
                trace_id: body.id("trace_id")?,
                memo: body.text_or_empty("memo")?,
            },
            ["transactions"] => Self::Transaction {
                asset_id: body.id("asset_id")?,
                opponent: body.opponent()?,
                amount: body.amount()?,
                trace_id: body.id("trace_id")?,
                memo: body.text_or_empty("memo")?,
            },
            ["multisigs", "requests", id, "sign"] | ["multisigs", id, "sign"] => {
                Self::SignMultisig { request_id: segment_id(id)? }
            }
            ["multisigs", "requests", id, "unlock"] | ["multisigs", id, "unlock"] => {
                Self::UnlockMultisig { request_id: segment_id(id)? }
            }
            ["collectibles", "requests", id, "sign"] => Self::SignCollectible { request_id: segment_id(id)? },
            ["collectibles", "requests", id, "unlock"] => Self::UnlockCollectible { request_id: segment_id(id)? },
            ["oauth", "authorize"] => {
                Self::ApproveOAuth { authorization_id: body.id("authorization_id")?, scopes: body.scopes()? }
            }
            ["provisionings", id] => {
                Self::UpdateProvisioning { device_id: segment_id(id)?, secret: body.text("secret")?.to_owned() }
            }
            ["apps", _, "transfer"] => Self::TransferAppOwnership { user_id: body.id("user_id")? },
            ["safe", "users"] => Self::RegisterSafe {
                public_key: body.required("public_key", public_key)?,
                signature: body.required("signature", url_signature)?,
                salt: body.optional("salt_base64", salt)?,
                master: body.master()?.map(Box::new),
            },
            ["emergency_verifications", id] => {
                body.purpose("CONTACT")?;
                Self::CreateEmergencyContact { verification_id: segment_id(id)?, code: body.text("code")?.to_owned() }
            }
            ["emergency_contact"] => Self::ReadEmergencyContact,
            ["emergency_contact", "delete"] => Self::RemoveEmergencyContact,
            ["verifications", id] => {
                // For NONE, a check of the present number, iOS sends a PIN, too (ios-app: `AccountAPI.swift`). It changes
                // no number.
                body.purpose("PHONE")?;
                Self::UpdatePhoneNumber {
                    verification_id: segment_id(id)?,
                    code: body.text("code")?.to_owned(),
                    salt: body.optional("salt_base64", salt)?,
                }
            }
            ["me" | "account", "deactivate"] => {
                Self::DeactivateUser { verification_id: body.optional("verification_id", id)? }
            }
            ["logout"] => Self::LogOutSession { session_id: body.id("session_id")? },
            ["me", "salt_export"] => Self::ExportSalt { master: body.master()?.ok_or(Missing("master_public_hex"))? },
            _ => return Ok(None),
        }))
    }
}

/// The prefix of the action that a path asks for, if a request for it can lack a field.
fn prefix(segments: &[&str]) -> &'static str {
    match *segments {
        ["pin", ..] => "TIP:VERIFY:",
        ["addresses"] => "TIP:ADDRESS:ADD:",
        ["addresses", ..] => "TIP:ADDRESS:REMOVE:",
        ["transfers"] => "TIP:TRANSFER:CREATE:",
        ["withdrawals"] => "TIP:WITHDRAWAL:CREATE:",
        ["transactions"] => "TIP:TRANSACTION:CREATE:",
        ["multisigs", .., "sign"] => "TIP:MULTISIG:REQUEST:SIGN:",
        ["multisigs", ..] => "TIP:MULTISIG:REQUEST:UNLOCK:",
        ["collectibles", .., "sign"] => "TIP:COLLECTIBLE:REQUEST:SIGN:",
        ["collectibles", ..] => "TIP:COLLECTIBLE:REQUEST:UNLOCK:",
        ["oauth", ..] => "TIP:OAUTH:APPROVE:",
        ["provisionings", ..] => "TIP:PROVISIONING:UPDATE:",
        ["apps", ..] => "TIP:APP:OWNERSHIP:TRANSFER:",
        ["safe", ..] => "SEQUENCER:REGISTER:",
        ["emergency_verifications", ..] => "TIP:EMERGENCY:CONTACT:CREATE:",
        ["verifications", ..] => "TIP:PHONE:NUMBER:UPDATE:",
        ["logout"] => "TIP:SESSION:LOGOUT:",
        ["me", "salt_export"] => "TIP:USER:EXPORT:PRIVATE:",
        // `me/deactivate` and `account/deactivate`; the contact's calls have no fields.
        _ => "TIP:USER:DEACTIVATE:",
    }
}

/// The name of a field that is absent or has another form.
struct Missing(&'static str);

/// Refuses a path that a server may read differently than [`Action::read`] does: with dots, empty segments, percent signs,
/// backslashes or semicolons, or a known path in other letters or with another method.
pub(crate) fn check_spelling(method: &str, path: &str) -> Result<(), ActionError> {
    let asks = |path: &str| !matches!(Action::read(Action::METHOD, path, &Map::new()), Ok(None));
    let bare = path.split_once('?').map_or(path, |(bare, _)| bare);
    let is_plain = bare.strip_prefix('/').is_some_and(|segments| {
        segments.split('/').all(|segment| !matches!(segment, "" | "." | "..") && !segment.contains(['%', '\\', ';']))
    });
    let is_misspelt = !asks(bare) && asks(&bare.to_ascii_lowercase());
    if !is_plain || is_misspelt || (method != Action::METHOD && asks(bare)) { Err(ActionError::Path) } else { Ok(()) }
}

/// The fields of the body. A missing field is an error that names it.
struct Fields<'b>(&'b Map<String, Value>);

impl Fields<'_> {
    /// The value of a field; none if it is absent or null.
    fn value(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn text(&self, field: &'static str) -> Result<&str, Missing> {
        self.value(field).and_then(Value::as_str).ok_or(Missing(field))
    }

    /// An absent field counts as empty.
    fn text_or_empty(&self, field: &'static str) -> Result<String, Missing> {
        self.value(field).map_or(Ok(String::new()), |_| self.text(field).map(str::to_owned))
    }

    fn required<T>(&self, field: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, Missing> {
        read(self.text(field)?).ok_or(Missing(field))
    }

    /// None for a field that is absent or empty.
    fn optional<T>(&self, field: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Missing> {
        match self.value(field) {
            None => Ok(None),
            Some(value) if value.as_str() == Some("") => Ok(None),
            Some(_) => self.required(field, read).map(Some),
        }
    }

    fn id(&self, field: &'static str) -> Result<Uuid, Missing> {
        self.required(field, id)
    }

    fn amount(&self) -> Result<AmountBuf, Missing> {
        self.required("amount", amount)
    }

    fn number(&self, field: &'static str) -> Result<u64, Missing> {
        self.value(field).and_then(Value::as_u64).ok_or(Missing(field))
    }

    /// With another purpose, the same path is for something else. An absent one is not refused: it is not signed.
    fn purpose(&self, known: &str) -> Result<(), Missing> {
        let wrong = self.optional("purpose", |purpose| Some(purpose == known))? == Some(false);
        if wrong { Err(Missing("purpose")) } else { Ok(()) }
    }

    fn opponent(&self) -> Result<Opponent, Missing> {
        let wrong = || Missing("opponent_multisig");
        // fox-one's client writes an empty `opponent_multisig` for none (mixin-sdk-go: `legacy_transfer.go`, with transfers).
        let users =
            self.value("opponent_multisig").filter(|users| users.as_object().is_none_or(|users| !users.is_empty()));
        match (self.optional("opponent_key", |key| Some(key.to_owned()))?, users) {
            (Some(key), None) => Ok(Opponent::Key(key)),
            (None, Some(users)) => {
                let receivers = users.get("receivers").and_then(Value::as_array).ok_or_else(wrong)?;
                let receivers = receivers.iter().map(|receiver| receiver.as_str().and_then(id));
                let threshold =
                    users.get("threshold").and_then(Value::as_u64).and_then(|number| number.try_into().ok());
                Ok(Opponent::Users {
                    receivers: receivers.collect::<Option<_>>().ok_or_else(wrong)?,
                    threshold: threshold.ok_or_else(wrong)?,
                })
            }
            (Some(_), Some(_)) | (None, None) => Err(wrong()),
        }
    }

    /// An absent list counts as empty.
    fn scopes(&self) -> Result<Vec<String>, Missing> {
        let Some(scopes) = self.value("scopes") else { return Ok(Vec::new()) };
        let scopes = scopes.as_array().map(|scopes| scopes.iter().map(|scope| scope.as_str().map(str::to_owned)));
        scopes.and_then(Iterator::collect).ok_or(Missing("scopes"))
    }

    /// None if both fields are absent.
    fn master(&self) -> Result<Option<MasterProof>, Missing> {
        let key = self.optional("master_public_hex", public_key)?;
        let signature = self.optional("master_signature_hex", hex_signature)?;
        match (key, signature) {
            (Some(public_key), Some(signature)) => Ok(Some(MasterProof { public_key, signature })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Missing("master_public_hex")),
            (Some(_), None) => Err(Missing("master_signature_hex")),
        }
    }
}

fn id(text: &str) -> Option<Uuid> {
    text.parse().ok()
}

fn amount(text: &str) -> Option<AmountBuf> {
    AmountBuf::new(text).ok()
}

fn public_key(text: &str) -> Option<Ed25519PublicKey> {
    Ed25519PublicKey::from_text(text).ok()
}

fn salt(text: &str) -> Option<EncryptedSalt> {
    EncryptedSalt::new(text).ok()
}

fn url_signature(text: &str) -> Option<[u8; TIP_SIGNATURE_LEN]> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?.try_into().ok()
}

fn hex_signature(text: &str) -> Option<[u8; TIP_SIGNATURE_LEN]> {
    base16ct::mixed::decode_vec(text).ok()?.try_into().ok()
}

fn segment_id(text: &str) -> Result<Uuid, Missing> {
    id(text).ok_or(Missing("id in the path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4a2d4dcb-3f1b-4cfc-8b5c-f2b9a4a9e4a1";

    #[test]
    fn another_spelling_of_a_path_is_refused() {
        let id = format!("/addresses/{ID}/delete");
        for path in
            ["/transfers", "/transfers?x=%2F", "/safe/users", "/some/new/path", "/apps/Some-App/other", "/logout", &id]
        {
            assert_eq!(check_spelling("POST", path), Ok(()), "{path}");
        }
        let upper = id.to_ascii_uppercase();
        for path in [
            "/transfers/",
            "/./transfers",
            "/Transfers",
            "//transfers",
            "/transfers/.",
            "/x/../transfers",
            "/%74ransfers",
            "/transfers%2F",
            "/transfers;x=1",
            "/transfers\\",
            "/SAFE/users?x",
            "/Me/Deactivate",
            "/logout/",
            "/safe//users",
            "/some/new/path/",
            "/",
            "",
            &upper,
            &id.replace("/delete", "/Delete"),
        ] {
            assert_eq!(check_spelling("POST", path), Err(ActionError::Path), "{path}");
        }
        assert_eq!(check_spelling("PUT", "/transfers"), Err(ActionError::Path));
        assert_eq!(check_spelling("PUT", "/some/new/path"), Ok(()));
    }
}
