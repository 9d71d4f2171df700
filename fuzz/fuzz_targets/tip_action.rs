//! Determines the action of any request, without a panic. The body to sign equals the protocol's body, which is built here a
//! second time as one text.
#![no_main]

use std::fmt::Write as _;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::tip::{Amount, TipAction, TipKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_fuzz::planted;
use mixin_pin_protocol::action::Action;
use openssl::sha::sha256;
use serde_json::Value;

static KEY: LazyLock<TipKey> = LazyLock::new(|| TipKey::from_seed(&[7; 32]));

/// The parameters of an action, joined.
fn parameters(action: &TipAction<'_>) -> String {
    let concat = |parts: &[&dyn std::fmt::Display]| parts.iter().map(ToString::to_string).collect::<String>();
    match *action {
        TipAction::Verify { timestamp } => format!("{timestamp:032}"),
        TipAction::AddAddress { asset_id, destination, tag, label } => concat(&[&asset_id, &destination, &tag, &label]),
        TipAction::RemoveAddress { address_id: id }
        | TipAction::DeactivateUser { phone_verification_id: id }
        | TipAction::SignMultisig { request_id: id }
        | TipAction::UnlockMultisig { request_id: id }
        | TipAction::SignCollectible { request_id: id }
        | TipAction::UnlockCollectible { request_id: id }
        | TipAction::ApproveOAuth { authorization_id: id }
        | TipAction::TransferAppOwnership { user_id: id }
        | TipAction::DeactivateWithoutPhone { user_id: id }
        | TipAction::LogOutSession { session_id: id }
        | TipAction::ExportSalt { user_id: id } => id.to_string(),
        TipAction::CreateEmergencyContact { verification_id, code }
        | TipAction::UpdatePhoneNumber { verification_id, code } => concat(&[&verification_id, &code]),
        TipAction::ReadEmergencyContact | TipAction::RemoveEmergencyContact => "0".to_owned(),
        TipAction::Transfer { asset_id, opponent_id, amount, trace_id, memo } => {
            concat(&[&asset_id, &opponent_id, &amount, &trace_id, &memo])
        }
        TipAction::Withdraw { address_id, amount, fee, trace_id, memo } => {
            let fee = fee.map(|fee| fee.to_string()).unwrap_or_default();
            concat(&[&address_id, &amount, &fee, &trace_id, &memo])
        }
        TipAction::Transaction { asset_id, opponent_key, receivers, threshold, amount, trace_id, memo } => {
            let receivers: String = receivers.iter().map(ToString::to_string).collect();
            let threshold = threshold.map(|threshold| threshold.to_string()).unwrap_or_default();
            concat(&[&asset_id, &opponent_key, &receivers, &threshold, &amount, &trace_id, &memo])
        }
        TipAction::UpdateProvisioning { device_id, secret } => concat(&[&device_id, &secret]),
        TipAction::RegisterSafe { user_id, public_key } => {
            public_key.as_bytes().iter().fold(user_id.to_string(), |mut text, byte| {
                write!(text, "{byte:02x}").expect("a String takes it");
                text
            })
        }
        _ => unreachable!("every action is above"),
    }
}

fn check(action: &TipAction<'_>) {
    let text = format!("{}{}", action.prefix(), parameters(action));
    let body = action.body();
    if matches!(action, TipAction::Verify { .. }) {
        assert_eq!(body.as_bytes(), text.as_bytes());
    } else {
        assert_eq!(body.as_bytes(), sha256(text.as_bytes()));
    }
    // Signing costs more than all the rest: one in sixteen.
    if body.as_bytes()[0] < 16 {
        let signature = KEY.sign(action);
        assert!(action.verify(&signature, KEY.public_key()).is_ok());
        assert!(TipAction::ReadEmergencyContact.verify(&signature, KEY.public_key()).is_err() || text.ends_with('0'));
    }
    planted(matches!(action, TipAction::Transaction { receivers, .. } if !receivers.is_empty()));
}

const ID: &str = "4a2d4dcb-3f1b-4cfc-8b5c-f2b9a4a9e4a1";
/// Every path that asks for an action, with an id where it has one.
const PATHS: [&str; 26] = [
    "/pin/verify",
    "/addresses",
    "/addresses/ID/delete",
    "/transfers",
    "/withdrawals",
    "/transactions",
    "/multisigs/requests/ID/sign",
    "/multisigs/requests/ID/unlock",
    "/collectibles/requests/ID/sign",
    "/collectibles/requests/ID/unlock",
    "/oauth/authorize",
    "/provisionings/ID",
    "/apps/ID/transfer",
    "/safe/users",
    "/emergency_verifications/ID",
    "/emergency_contact",
    "/emergency_contact/delete",
    "/verifications/ID",
    "/account/deactivate",
    "/me/deactivate",
    "/me/salt_export",
    "/logout",
    "/multisigs/ID/sign",
    "/multisigs/ID/unlock",
    "/pin/update",
    "/me",
];

fuzz_target!(|input: (u8, &str)| {
    let (path, text) = input;
    if let Ok(amount) = Amount::new(text) {
        assert_eq!(Amount::new(&amount.to_string()), Ok(amount), "a canonical amount is read back");
        let id = Uuid::from_u128(5);
        check(&TipAction::Transfer { asset_id: id, opponent_id: id, amount, trace_id: id, memo: text });
    }
    // The body, after a listed path or one of the fuzzer's choice.
    let (path, body) = match PATHS.get(usize::from(path)) {
        Some(path) => (path.replace("ID", ID), text),
        None => text.split_once('\n').map_or((String::new(), text), |(path, body)| (path.to_owned(), body)),
    };
    if let Ok(Value::Object(fields)) = serde_json::from_str(body) {
        let user_id = Uuid::from_u128(7);
        if let Ok(Some(action)) = Action::read("POST", &path, &fields) {
            action.signed(user_id).for_each(|action| check(&action));
            let again = Action::read("POST", &action.path(user_id), &action.body());
            assert_eq!(again, Ok(Some(action)), "the request of an action asks for it");
        }
    }
});
