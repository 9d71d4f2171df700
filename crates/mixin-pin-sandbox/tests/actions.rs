//! Calls that ask for an action, over HTTP: the signature must be over the action that path and body ask for.

mod common;

use base16ct::lower::encode_string;
use common::{Kind, app, client, reason, refusal, register, sandbox};
use mixin_pin_core::tip::{Amount, TipAction, TipKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Pin, Secret};
use mixin_pin_http::{Client, Error, Outcome};
use mixin_pin_protocol::action::Action;
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::call::LogQuery;
use mixin_pin_protocol::{ActionError, CallError, Error as ProtocolError};
use serde_json::{Map, Value, json};

const ID: &str = "4a2d4dcb-3f1b-4cfc-8b5c-f2b9a4a9e4a1";

fn key() -> TipKey {
    TipKey::from_seed(&[1; 32])
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value}") };
    map
}

fn transfer_body(amount: &str) -> Map<String, Value> {
    object(json!({"asset_id": ID, "opponent_id": ID, "amount": amount, "trace_id": ID, "memo": "thanks"}))
}

fn transfer(amount: &str) -> TipAction<'_> {
    let id = ID.parse().unwrap();
    TipAction::Transfer {
        asset_id: id,
        opponent_id: id,
        amount: Amount::new(amount).unwrap(),
        trace_id: id,
        memo: "thanks",
    }
}

fn tip_client(sandbox: &mixin_pin_sandbox::Sandbox, kind: Kind) -> Client {
    let client = client(sandbox, register(sandbox, kind));
    client.install_tip(None, &key()).unwrap().done().unwrap();
    client
}

/// Sends a signature that the client itself would refuse.
fn send(client: &Client, path: &str, body: &Map<String, Value>, credential: Secret) -> Result<Outcome<Value>, Error> {
    client.call_with_pin("POST", path, body, credential)
}

#[test]
fn a_receipt_shows_what_was_received() {
    for kind in Kind::ALL {
        let sandbox = sandbox();
        let client = tip_client(&sandbox, kind);
        let signature = Secret::TipSignature(key().sign(&transfer("1.5")));
        let receipt = send(&client, "/transfers", &transfer_body("1.50"), signature).unwrap().done().unwrap();
        let body = encode_string(transfer("1.5").body().as_bytes());
        assert_eq!(receipt["holds"], true);
        assert_eq!(receipt["action"], json!({"name": "TIP:TRANSFER:CREATE:", "body": body}));
        assert_eq!(receipt["pin"]["kind"], "tip-signature");
        assert_eq!(receipt["pin"]["field"], "pin_base64");
        assert_eq!(receipt["received"], Value::Object(transfer_body("1.50")));
    }
}

#[test]
fn digits_permit_any_action() {
    let sandbox = sandbox();
    for kind in Kind::ALL {
        let client = client(&sandbox, register(&sandbox, kind));
        let pin = Pin::new("123456").unwrap();
        client.create_pin(&pin).unwrap().done().unwrap();
        let path = format!("/multisigs/requests/{ID}/sign");
        let receipt = send(&client, &path, &Map::new(), (&pin).into()).unwrap().done().unwrap();
        assert_eq!((&receipt["holds"], &receipt["pin"]["kind"]), (&json!(true), &json!("six-digit")));
        let wrong = Pin::new("000000").unwrap();
        assert_eq!(reason(send(&client, &path, &Map::new(), (&wrong).into())), (20_119, "pin".to_owned()));
    }
}

#[test]
fn a_wrong_signature_costs_a_try_and_the_refusal_names_the_action() {
    let sandbox = sandbox();
    let client = tip_client(&sandbox, Kind::Ed25519);
    let other_action = key().secret(&TipAction::RemoveAddress { address_id: ID.parse().unwrap() });
    let refused = refusal(send(&client, "/transfers", &transfer_body("1.5"), other_action)).extra.unwrap();
    assert_eq!((&refused["reason"], &refused["tries_left"]), (&json!("signature"), &json!(4)));
    assert_eq!(refused["action"]["name"], "TIP:TRANSFER:CREATE:");
    let other_key = TipKey::from_seed(&[2; 32]).secret(&transfer("1.5"));
    assert_eq!(reason(send(&client, "/transfers", &transfer_body("1.5"), other_key)), (20_119, "signature".to_owned()));
    // The body was changed after it was signed.
    let other_amount = key().secret(&transfer("1.5"));
    assert_eq!(
        reason(send(&client, "/transfers", &transfer_body("15"), other_amount)),
        (20_119, "signature".to_owned())
    );
    assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap().len(), 3);
}

#[test]
fn a_missing_field_is_named_and_costs_no_try() {
    let sandbox = sandbox();
    let client = tip_client(&sandbox, Kind::Ed25519);
    let credential = || key().secret(&transfer("1"));
    let extra = refusal(send(&client, "/transfers", &object(json!({"asset_id": ID})), credential())).extra.unwrap();
    assert_eq!(extra["field"], "opponent_id");
    let without_pin = client.call::<Value>("POST", "/transfers", Some(&Value::Object(transfer_body("1"))));
    assert_eq!(reason(without_pin), (10_002, "absent".to_owned()));
    assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap(), []);
}

#[test]
fn the_client_refuses_an_action_that_does_not_match_the_body() {
    let sandbox = sandbox();
    let client = tip_client(&sandbox, Kind::Ed25519);
    let sent: Result<Outcome<Value>, _> =
        client.call_with_tip("POST", "/transfers", &transfer_body("15"), &key(), &transfer("1.5"));
    assert!(
        matches!(sent, Err(Error::Protocol(ProtocolError::Call(CallError::Action(ActionError::Mismatch { .. }))))),
        "{sent:?}"
    );
    assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap(), []);
}

#[test]
fn a_user_registers_with_the_safe_once() {
    for kind in Kind::ALL {
        let sandbox = sandbox();
        let client = tip_client(&sandbox, kind);
        let safe_key = TipKey::from_seed(&[9; 32]);

        // Signed with a different key.
        let user_id = client.session().user_id();
        let action = Action::RegisterSafe {
            public_key: safe_key.public_key().clone(),
            signature: TipKey::from_seed(&[8; 32]).sign_for_safe(user_id),
            salt: None,
            master: None,
        };
        let forged = client.call_with_tip::<User>("POST", "/safe/users", &action.body(), &key(), &action.tip(user_id));
        assert_eq!(reason(forged).0, 10_002);

        let me: Value = client.call("GET", "/safe/me", None).unwrap().done().unwrap();
        assert_eq!(me["has_safe"], false);
        client.register_safe(&key(), &safe_key).unwrap().done().unwrap();
        let me: Value = client.call("GET", "/safe/me", None).unwrap().done().unwrap();
        assert_eq!(me["has_safe"], true);
        assert_eq!(reason(client.register_safe(&key(), &safe_key)), (403, "has_safe".to_owned()));
        assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap(), []);
    }
}

#[test]
fn an_app_transfers_itself_to_a_user() {
    let sandbox = sandbox();
    let app = app(&sandbox);
    app.install_tip(None, &key()).unwrap().done().unwrap();
    let owner = register(&sandbox, Kind::Ed25519);
    let app_id = app.session().user_id();
    let transfer_to = |client: &Client, to: Uuid| {
        let body = object(json!({"user_id": to.to_string()}));
        let action = TipAction::TransferAppOwnership { user_id: to };
        client.call_with_tip::<Value>("POST", &format!("/apps/{app_id}/transfer"), &body, &key(), &action)
    };
    assert_eq!(reason(transfer_to(&app, Uuid::nil())).0, 10_002);
    assert_eq!(reason(transfer_to(&app, app_id)).0, 10_002);
    let transferred = transfer_to(&app, owner.user_id()).unwrap().done().unwrap();
    assert_eq!(transferred["creator_id"], owner.user_id().to_string());
    let other = tip_client(&sandbox, Kind::Ed25519);
    assert_eq!(reason(transfer_to(&other, owner.user_id())).0, 403);
}
