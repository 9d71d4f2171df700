//! Which TIP action a request asks for, read from its method, path and body.
//!
//! A TIP signature covers a hash. So a server must rebuild the action from the request to check the signature.

use mixin_pin_core::tip::{Amount, TIP_SIGNATURE_LEN, TipAction};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Error};
use serde_json::{Map, Value};

use crate::ActionError;

/// The TIP action that a request asks for. Clients sign some requests in more than one way: see
/// [`actions`](Self::actions).
#[derive(Debug, Clone)]
pub struct RequestedAction<'b>(Parts<'b>);

#[derive(Debug, Clone)]
enum Parts<'b> {
    /// An action that borrows from the body alone.
    Action(TipAction<'b>),
    /// `RegisterSafe` borrows a parsed key.
    RegisterSafe { user_id: Uuid, public_key: Ed25519PublicKey },
    /// `Transaction` borrows a parsed list.
    Transaction {
        asset_id: Uuid,
        opponent_key: &'b str,
        receivers: Vec<Uuid>,
        threshold: u32,
        amount: Amount<'b>,
        trace_id: Uuid,
        memo: &'b str,
    },
}

impl RequestedAction<'_> {
    /// The action, as the apps sign it.
    pub fn action(&self) -> TipAction<'_> {
        match &self.0 {
            Parts::Action(action) => *action,
            Parts::RegisterSafe { user_id, public_key } => TipAction::RegisterSafe { user_id: *user_id, public_key },
            Parts::Transaction { asset_id, opponent_key, receivers, threshold, amount, trace_id, memo } => {
                TipAction::Transaction {
                    asset_id: *asset_id,
                    opponent_key,
                    receivers,
                    threshold: *threshold,
                    amount: *amount,
                    trace_id: *trace_id,
                    memo,
                }
            }
        }
    }

    /// Every action that the signature may cover, [`action`](Self::action) first.
    ///
    /// These are two for a withdrawal without a fee: the apps sign nothing for it (android-app: `TipBody.kt`), fox-one's
    /// client signs `0` (mixin-sdk-go: `legacy_withdraw.go`).
    pub fn actions(&self) -> impl Iterator<Item = TipAction<'_>> {
        let action = self.action();
        let other = match action {
            TipAction::Withdraw { address_id, amount, fee: None, trace_id, memo } => Amount::new("0")
                .ok()
                .map(|fee| TipAction::Withdraw { address_id, amount, fee: Some(fee), trace_id, memo }),
            _ => None,
        };
        [Some(action), other].into_iter().flatten()
    }

    /// The action that a signature covers.
    ///
    /// # Errors
    /// [`Error::Signature`] if it covers none of [`actions`](Self::actions), or the key is another.
    pub fn verify(&self, signature: &[u8; TIP_SIGNATURE_LEN], key: &Ed25519PublicKey) -> Result<TipAction<'_>, Error> {
        self.actions().find(|action| action.verify(signature, key).is_ok()).ok_or(Error::Signature)
    }
}

/// The TIP action that a request asks for. None for a path without a known action.
///
/// `user_id` is the user who makes the request. `/pin/verify` asks for "verify" with the `timestamp` of its body.
/// `/pin/update` asks for no action, because there the old key signs its own counter.
///
/// ```
/// use mixin_pin_protocol::action::requested;
/// use mixin_pin_protocol::core::uuid::Uuid;
///
/// let body = serde_json::Map::new();
/// let path = "/addresses/4a2d4dcb-3f1b-4cfc-8b5c-f2b9a4a9e4a1/delete";
/// let requested_action = requested("POST", path, &body, Uuid::nil())?.unwrap();
/// assert_eq!(requested_action.action().prefix(), "TIP:ADDRESS:REMOVE:");
/// assert!(requested("GET", "/me", &body, Uuid::nil())?.is_none());
/// # Ok::<(), mixin_pin_protocol::ActionError>(())
/// ```
///
/// # Errors
/// [`ActionError::Field`] when the request lacks a field of the action.
pub fn requested<'b>(
    method: &str,
    path: &str,
    body: &'b Map<String, Value>,
    user_id: Uuid,
) -> Result<Option<RequestedAction<'b>>, ActionError> {
    if method != "POST" {
        return Ok(None);
    }
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let body = Fields(body);
    let action = match segments[..] {
        ["pin", "verify"] => TipAction::Verify { timestamp: body.number("timestamp")? },
        ["addresses"] => TipAction::AddAddress {
            asset_id: body.id("asset_id")?,
            destination: body.text("destination")?,
            tag: body.optional("tag")?,
            label: body.text("label")?,
        },
        ["addresses", id, "delete"] => TipAction::RemoveAddress { address_id: segment_id(id)? },
        ["transfers"] => TipAction::Transfer {
            asset_id: body.id("asset_id")?,
            opponent_id: body.id("opponent_id")?,
            amount: body.amount("amount")?,
            trace_id: body.id("trace_id")?,
            memo: body.optional("memo")?,
        },
        ["withdrawals"] => TipAction::Withdraw {
            address_id: body.id("address_id")?,
            amount: body.amount("amount")?,
            fee: match body.optional("fee")? {
                "" => None,
                fee => Some(amount(fee, "fee")?),
            },
            trace_id: body.id("trace_id")?,
            memo: body.optional("memo")?,
        },
        ["transactions"] => {
            let (receivers, threshold) = body.multisig()?;
            return Ok(Some(RequestedAction(Parts::Transaction {
                asset_id: body.id("asset_id")?,
                opponent_key: body.optional("opponent_key")?,
                receivers,
                threshold,
                amount: body.amount("amount")?,
                trace_id: body.id("trace_id")?,
                memo: body.optional("memo")?,
            })));
        }
        ["multisigs", "requests", id, "sign"] | ["multisigs", id, "sign"] => {
            TipAction::SignMultisig { request_id: segment_id(id)? }
        }
        ["multisigs", "requests", id, "unlock"] | ["multisigs", id, "unlock"] => {
            TipAction::UnlockMultisig { request_id: segment_id(id)? }
        }
        ["collectibles", "requests", id, "sign"] => TipAction::SignCollectible { request_id: segment_id(id)? },
        ["collectibles", "requests", id, "unlock"] => TipAction::UnlockCollectible { request_id: segment_id(id)? },
        ["oauth", "authorize"] => TipAction::ApproveOAuth { authorization_id: body.id("authorization_id")? },
        ["provisionings", id] => {
            TipAction::UpdateProvisioning { device_id: segment_id(id)?, secret: body.text("secret")? }
        }
        ["apps", _, "transfer"] => TipAction::TransferAppOwnership { user_id: body.id("user_id")? },
        ["safe", "users"] => {
            let public_key = Ed25519PublicKey::from_text(body.text("public_key")?)
                .map_err(|_| ActionError::Field { field: "public_key" })?;
            return Ok(Some(RequestedAction(Parts::RegisterSafe { user_id, public_key })));
        }
        ["emergency_verifications", id] => {
            TipAction::CreateEmergencyContact { verification_id: segment_id(id)?, code: body.text("code")? }
        }
        ["emergency_contact"] => TipAction::ReadEmergencyContact,
        ["emergency_contact", "delete"] => TipAction::RemoveEmergencyContact,
        ["verifications", id] => {
            TipAction::UpdatePhoneNumber { verification_id: segment_id(id)?, code: body.text("code")? }
        }
        ["account", "deactivate"] => TipAction::DeactivateUser { phone_verification_id: body.id("verification_id")? },
        _ => return Ok(None),
    };
    Ok(Some(RequestedAction(Parts::Action(action))))
}

/// Refuses a path that a server may read differently than [`requested`] does: with dots, empty segments, percent signs,
/// backslashes or semicolons, or a known path in other letters or with another method.
pub(crate) fn check_spelling(method: &str, path: &str) -> Result<(), ActionError> {
    let asks = |path: &str| !matches!(requested("POST", path, &Map::new(), Uuid::nil()), Ok(None));
    let bare = path.split_once('?').map_or(path, |(bare, _)| bare);
    let is_plain = bare.strip_prefix('/').is_some_and(|segments| {
        segments.split('/').all(|segment| !matches!(segment, "" | "." | "..") && !segment.contains(['%', '\\', ';']))
    });
    let is_misspelt = !asks(bare) && asks(&bare.to_ascii_lowercase());
    if !is_plain || is_misspelt || (method != "POST" && asks(bare)) { Err(ActionError::Path) } else { Ok(()) }
}

/// The fields of the body. A missing field is an error that names it.
struct Fields<'b>(&'b Map<String, Value>);

impl<'b> Fields<'b> {
    fn text(&self, field: &'static str) -> Result<&'b str, ActionError> {
        self.0.get(field).and_then(Value::as_str).ok_or(ActionError::Field { field })
    }

    /// An absent field counts as empty.
    fn optional(&self, field: &'static str) -> Result<&'b str, ActionError> {
        match self.0.get(field) {
            None | Some(Value::Null) => Ok(""),
            Some(_) => self.text(field),
        }
    }

    fn id(&self, field: &'static str) -> Result<Uuid, ActionError> {
        self.text(field)?.parse().map_err(|_| ActionError::Field { field })
    }

    fn amount(&self, field: &'static str) -> Result<Amount<'b>, ActionError> {
        amount(self.text(field)?, field)
    }

    fn number(&self, field: &'static str) -> Result<u64, ActionError> {
        self.0.get(field).and_then(Value::as_u64).ok_or(ActionError::Field { field })
    }

    /// The receivers and how many of them must sign. Empty if a single key is paid.
    fn multisig(&self) -> Result<(Vec<Uuid>, u32), ActionError> {
        let wrong = || ActionError::Field { field: "opponent_multisig" };
        let Some(value) = self.0.get("opponent_multisig").filter(|value| !value.is_null()) else {
            return Ok((Vec::new(), 0));
        };
        let receivers = value.get("receivers").and_then(Value::as_array).ok_or_else(wrong)?;
        let receivers = receivers.iter().map(|id| id.as_str().and_then(|id| id.parse().ok()));
        let threshold = value.get("threshold").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
        Ok((receivers.collect::<Option<_>>().ok_or_else(wrong)?, threshold.ok_or_else(wrong)?))
    }
}

fn amount<'t>(text: &'t str, field: &'static str) -> Result<Amount<'t>, ActionError> {
    Amount::new(text).map_err(|_| ActionError::Field { field })
}

fn segment_id(text: &str) -> Result<Uuid, ActionError> {
    text.parse().map_err(|_| ActionError::Field { field: "id in the path" })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "4a2d4dcb-3f1b-4cfc-8b5c-f2b9a4a9e4a1";
    const OTHER: &str = "e2c8dcc3-5b6b-4a79-8f5c-a0d1c7c3a0f7";

    fn id(text: &str) -> Uuid {
        text.parse().unwrap()
    }

    #[track_caller]
    fn assert_asks(path: &str, body: &Value, expected: &TipAction<'_>) {
        let user = Uuid::from_u128(7);
        let asked = requested("POST", path, body.as_object().unwrap(), user).unwrap().unwrap();
        assert_eq!(asked.action(), *expected, "{path}");
    }

    #[test]
    fn each_path_asks_for_its_action() {
        let amount = Amount::new("1.5").unwrap();
        let key = Ed25519PublicKey::from_bytes(&[1; 32]).ok();
        let request = TipAction::SignMultisig { request_id: id(ID) };
        assert_asks(&format!("/multisigs/requests/{ID}/sign"), &json!({}), &request);
        assert_asks(&format!("/multisigs/{ID}/sign"), &json!({}), &request);
        let request = TipAction::UnlockMultisig { request_id: id(ID) };
        assert_asks(&format!("/multisigs/{ID}/unlock"), &json!({}), &request);
        assert_asks(&format!("/multisigs/requests/{ID}/unlock"), &json!({}), &request);
        let request = TipAction::SignCollectible { request_id: id(ID) };
        assert_asks(&format!("/collectibles/requests/{ID}/sign"), &json!({}), &request);
        let request = TipAction::UnlockCollectible { request_id: id(ID) };
        assert_asks(&format!("/collectibles/requests/{ID}/unlock?x=1"), &json!({}), &request);
        assert_asks("/pin/verify", &json!({"timestamp": 9}), &TipAction::Verify { timestamp: 9 });
        let action = TipAction::AddAddress { asset_id: id(ID), destination: "d", tag: "", label: "l" };
        assert_asks("/addresses", &json!({"asset_id": ID, "destination": "d", "label": "l"}), &action);
        let action =
            TipAction::Transfer { asset_id: id(ID), opponent_id: id(OTHER), amount, trace_id: id(ID), memo: "m" };
        let body =
            json!({"asset_id": ID, "opponent_id": OTHER, "amount": "1.50", "trace_id": ID, "memo": "m", "more": 1});
        assert_asks("/transfers", &body, &action);
        let withdraw = |fee| TipAction::Withdraw { address_id: id(ID), amount, fee, trace_id: id(OTHER), memo: "" };
        for body in [
            json!({"address_id": ID, "amount": "1.5", "trace_id": OTHER}),
            json!({"address_id": ID, "amount": "1.5", "trace_id": OTHER, "fee": null}),
            json!({"address_id": ID, "amount": "1.5", "trace_id": OTHER, "fee": ""}),
        ] {
            assert_asks("/withdrawals", &body, &withdraw(None));
            let asked = requested("POST", "/withdrawals", body.as_object().unwrap(), Uuid::nil()).unwrap().unwrap();
            let zero = Amount::new("0").unwrap();
            assert_eq!(asked.actions().collect::<Vec<_>>(), [withdraw(None), withdraw(Some(zero))]);
        }
        let body = json!({"address_id": ID, "amount": "1.5", "trace_id": OTHER, "fee": "0"});
        let asked = requested("POST", "/withdrawals", body.as_object().unwrap(), Uuid::nil()).unwrap().unwrap();
        assert_eq!(asked.actions().count(), 1, "a fee that the request names is signed as such");
        let body = json!({"address_id": ID, "amount": "1.5", "fee": "1.5", "trace_id": OTHER, "memo": null});
        assert_asks("/withdrawals", &body, &withdraw(Some(amount)));
        let receivers = [id(ID), id(OTHER)];
        let transaction = |opponent_key, receivers, threshold| TipAction::Transaction {
            asset_id: id(ID),
            opponent_key,
            receivers,
            threshold,
            amount,
            trace_id: id(OTHER),
            memo: "",
        };
        let body = json!({"asset_id": ID, "amount": "1.5", "trace_id": OTHER,
            "opponent_multisig": {"receivers": [ID, OTHER], "threshold": 2}});
        assert_asks("/transactions", &body, &transaction("", &receivers, 2));
        let body = json!({"asset_id": ID, "amount": "1.5", "trace_id": OTHER, "opponent_key": "XIN"});
        assert_asks("/transactions", &body, &transaction("XIN", &[], 0));
        assert_asks(
            "/oauth/authorize",
            &json!({"authorization_id": ID}),
            &TipAction::ApproveOAuth { authorization_id: id(ID) },
        );
        let action = TipAction::TransferAppOwnership { user_id: id(OTHER) };
        assert_asks(&format!("/apps/{ID}/transfer"), &json!({"user_id": OTHER}), &action);
        let action = TipAction::UpdateProvisioning { device_id: id(ID), secret: "s" };
        assert_asks(&format!("/provisionings/{ID}"), &json!({"secret": "s"}), &action);
        let action = TipAction::CreateEmergencyContact { verification_id: id(ID), code: "1" };
        assert_asks(&format!("/emergency_verifications/{ID}"), &json!({"code": "1"}), &action);
        assert_asks("/emergency_contact", &json!({}), &TipAction::ReadEmergencyContact);
        assert_asks("/emergency_contact/delete", &json!({}), &TipAction::RemoveEmergencyContact);
        let action = TipAction::UpdatePhoneNumber { verification_id: id(ID), code: "1" };
        assert_asks(&format!("/verifications/{ID}"), &json!({"code": "1"}), &action);
        let action = TipAction::DeactivateUser { phone_verification_id: id(ID) };
        assert_asks("/account/deactivate", &json!({"verification_id": ID}), &action);
        if let Some(key) = &key {
            let action = TipAction::RegisterSafe { user_id: Uuid::from_u128(7), public_key: key };
            assert_asks("/safe/users", &json!({"public_key": "01".repeat(32)}), &action);
        }
    }

    #[test]
    fn another_spelling_of_a_path_is_refused() {
        let id = format!("/addresses/{ID}/delete");
        for path in ["/transfers", "/transfers?x=%2F", "/safe/users", "/some/new/path", "/apps/Some-App/other", &id] {
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

    #[test]
    fn missing_fields_are_named_and_other_paths_ask_for_no_action() {
        let ask = |method: &str, path: &str, body: Value| {
            requested(method, path, body.as_object().unwrap(), Uuid::nil()).map(|asked| asked.is_some())
        };
        let missing = |field| Err(ActionError::Field { field });
        assert_eq!(ask("POST", "/transfers", json!({"asset_id": ID})), missing("opponent_id"));
        let body = json!({"asset_id": ID, "opponent_id": ID, "amount": 1.5, "trace_id": ID});
        assert_eq!(ask("POST", "/transfers", body), missing("amount"));
        assert_eq!(ask("POST", "/addresses/7/delete", json!({})), missing("id in the path"));
        assert_eq!(ask("POST", "/safe/users", json!({"public_key": "00"})), missing("public_key"));
        let body = json!({"asset_id": ID, "opponent_multisig": {"receivers": ["x"], "threshold": 1}});
        assert_eq!(ask("POST", "/transactions", body), missing("opponent_multisig"));
        for (method, path) in [
            ("GET", "/transfers"),
            ("POST", "/pin/update"),
            ("POST", "/"),
            ("POST", "/multisigs/requests/1/sign/more"),
            ("POST", "/transfers/1"),
        ] {
            assert_eq!(ask(method, path, json!({})), Ok(false), "{path}");
        }
    }
}
