//! Accounts with keys of the caller's own, and what `GET /me` shows of a session's PIN key.

mod common;

use common::{Kind, app, client, register, rng, sandbox};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, Pin, PinKey, PinToken, RsaKey, Session, X25519PublicKey};
use mixin_pin_http::Client;
use mixin_pin_protocol::keystore::{Keystore, ServerKey, write_app, write_rsa};
use mixin_pin_sandbox::{Account, Config, Sandbox};
use serde_json::Value;

fn me(sandbox: &Sandbox, session: Session) -> Value {
    client(sandbox, session).call("GET", "/me", None).unwrap().done().unwrap()
}

#[test]
fn me_shows_the_pin_token_of_a_registered_session() {
    let sandbox = sandbox();
    for kind in Kind::ALL {
        let session = register(&sandbox, kind);
        let (user_id, session_id) = (session.user_id(), session.session_id());
        let pin_key = *session.pin_key().expose();
        let me = me(&sandbox, session);
        let shown = me["pin_token"].as_str().unwrap();
        match kind {
            Kind::Ed25519 => assert!(X25519PublicKey::from_base64(shown).is_ok(), "{shown}"),
            Kind::Rsa1024 | Kind::Rsa2048 => {
                let key = RsaKey::from_pem(common::pem(kind)).unwrap();
                let token = PinToken::from_base64(shown).unwrap();
                let session = Session::rsa(user_id, session_id, key, &token, &mut rng()).unwrap();
                assert_eq!(*session.pin_key().expose(), pin_key);
            }
        }
    }
    // The app's own session.
    let app: Value = app(&sandbox).call("GET", "/me", None).unwrap().done().unwrap();
    let keystore: Value = serde_json::from_str(sandbox.app_keystore()).unwrap();
    let server = keystore["server_public_key"].as_str().unwrap();
    let server = Ed25519PublicKey::from_text(server).unwrap().to_x25519().unwrap();
    assert_eq!(app["pin_token"], server.to_base64_url());
}

#[test]
fn an_account_from_a_keystore_is_served_with_its_pin_or_tip_key() {
    let sandbox = sandbox();
    let parse = |text: &str| Keystore::parse(text.as_bytes()).unwrap();
    let pin = Pin::new("314159").unwrap();
    let shown = |user: &Client| -> Value { user.call("GET", "/me", None).unwrap().done().unwrap() };

    let rsa_key = RsaKey::from_pem(common::pem(Kind::Rsa2048)).unwrap();
    let (user_id, session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let pin_key = PinKey::from_bytes(&[1; 32]).unwrap();
    let pin_token = rsa_key.public_key().wrap_pin_key(&pin_key, session_id, &mut rng()).unwrap();
    let rsa = write_rsa(user_id, session_id, &rsa_key, &pin_token).unwrap();
    let server_key = Ed25519Key::from_bytes(&[2; 32]).unwrap().public_key();
    let server = ServerKey::Ed25519(server_key.clone());
    let key = Ed25519Key::from_bytes(&[5; 32]).unwrap();
    let dashboard = write_app(Uuid::from_u128(3), Uuid::from_u128(4), &key, &server);

    let account = Account::from_keystore(parse(&rsa), "With digits", &mut rng()).unwrap();
    sandbox.add_account(&Account { pin: Some(Pin::new("314159").unwrap()), ..account }).unwrap();
    let user = client(&sandbox, parse(&rsa).into_session(&mut rng()).unwrap());
    assert_eq!(user.verify_pin(&pin).unwrap().done().unwrap().full_name, "With digits");
    assert_eq!(shown(&user)["pin_token"], pin_token.to_base64());

    let key = TipKey::from_seed(&[3; 32]);
    let account = Account::from_keystore(parse(&dashboard), "With a TIP key", &mut rng()).unwrap();
    sandbox.add_account(&Account { tip_key: Some(key.public_key().clone()), ..account }).unwrap();
    let user = client(&sandbox, parse(&dashboard).into_session(&mut rng()).unwrap());
    let verified = user.verify_tip(&key).unwrap().done().unwrap();
    assert_eq!((verified.tip_counter, verified.has_pin), (1, true));
    assert!(user.verify_tip(&TipKey::from_seed(&[4; 32])).is_err());
    assert_eq!(shown(&user)["pin_token"], server_key.to_x25519().unwrap().to_base64_url());
}

#[test]
fn many_accounts_are_added_all_or_none() {
    let sandbox = Sandbox::start(&Config::default()).unwrap();
    let account = |number: u128, key: u8| {
        let key = VerifyingKey::Ed25519(Ed25519Key::from_bytes(&[key; 32]).unwrap().public_key());
        let id = Uuid::from_u128(number);
        Account::new(id, id, "One of two", key, PinKey::from_bytes(&[1; 32]).unwrap())
    };
    assert!(sandbox.add_accounts(&[account(1, 1), account(1, 2)]).is_err(), "two keys for one session");
    sandbox.add_accounts(&[account(1, 2), account(2, 2)]).unwrap();
    sandbox.add_accounts(&[account(1, 2), account(2, 2)]).unwrap();
}
