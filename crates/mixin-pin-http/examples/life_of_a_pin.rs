//! The life of a PIN, from the user's registration to a TIP key, against a sandbox or any other stand-in:
//!
//! ```sh
//! mixin-pin sandbox --app-keystore-out app.json
//! cargo run -p mixin-pin-http --example life_of_a_pin -- http://127.0.0.1:… app.json
//! ```

use std::error::Error;

use mixin_pin_http::core::tip::TipKey;
use mixin_pin_http::core::token::VerifyingKey;
use mixin_pin_http::core::uuid::Uuid;
use mixin_pin_http::core::{Ed25519Key, Pin, PinToken, RsaKey, Session, SystemRng, X25519PublicKey};
use mixin_pin_http::protocol::action::Action;
use mixin_pin_http::protocol::answer::{ErrorCode, User};
use mixin_pin_http::protocol::call::LogQuery;
use mixin_pin_http::protocol::keystore::Keystore;
use mixin_pin_http::{Client, Outcome};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (Some(url), Some(keystore)) = (args.next(), args.next()) else {
        return Err("usage: life_of_a_pin URL APP_KEYSTORE".into());
    };
    let keystore = Keystore::parse(&std::fs::read(keystore)?)?;
    let app = Client::builder(keystore.into_session(&mut SystemRng::new()?)?).base_url(&url).build()?;
    let rsa = Client::builder(register_rsa(&app)?).base_url(&url).build()?;
    let ed25519 = Client::builder(register_ed25519(&app)?).base_url(&url).build()?;
    for (name, client) in [("RSA", rsa), ("Ed25519", ed25519)] {
        live(&client)?;
        println!("ok {name} session: created, verified, changed, replaced by a TIP key, used for an action");
    }
    Ok(())
}

/// The server wraps a PIN key for us.
fn register_rsa(app: &Client) -> Result<Session> {
    let mut rng = SystemRng::new()?;
    let key = RsaKey::generate(&mut rng, 2048)?;
    let user = known(app.register(&VerifyingKey::Rsa(key.public_key()), "Life of a PIN")?)?;
    let session_id = user.session_id.ok_or("no session id")?;
    Ok(Session::rsa(user.user_id, session_id, key, &PinToken::from_base64(&user.pin_token)?, &mut rng)?)
}

/// Derives the PIN key from our key and the server's.
fn register_ed25519(app: &Client) -> Result<Session> {
    let key = Ed25519Key::generate(&mut SystemRng::new()?);
    let user = known(app.register(&VerifyingKey::Ed25519(key.public_key()), "Life of a PIN")?)?;
    let server = X25519PublicKey::from_base64(&user.pin_token_base64)?;
    Ok(Session::ed25519(user.user_id, user.session_id.ok_or("no session id")?, key, &server)?)
}

fn live(client: &Client) -> Result<()> {
    let (first, second) = (Pin::new("314159")?, Pin::new("271828")?);
    assert!(!client.me()?.has_pin, "a new user has no PIN");
    known(client.create_pin(&first)?)?;
    known(client.verify_pin(&first)?)?;
    known(client.change_pin(&first, &second)?)?;
    let refused = client.verify_pin(&first).expect_err("the old PIN is wrong now");
    assert_eq!(code(&refused), Some(ErrorCode::PinIncorrect), "{refused}");
    assert_eq!(client.pin_logs(&LogQuery::wrong_pins())?.len(), 1, "the refusal is in the log");

    let (key, _seed) = TipKey::generate(&mut SystemRng::new()?);
    let user: User = known(client.install_tip(Some(&second), &key)?)?;
    assert_eq!(user.tip_key_base64, key.public_key().to_base64_url());
    known(client.verify_tip(&key)?)?;
    known(client.register_safe(&key, &key)?)?;
    let (asset_id, label) = (Uuid::from_u128(1), "Alice".to_owned());
    let action =
        Action::AddAddress { asset_id, chain_id: None, destination: "0x1".to_owned(), tag: String::new(), label };
    let _: Value = known(client.act(&key, &action)?)?;
    Ok(())
}

/// A bot would find out what became of the call; see `Outcome`.
fn known<T>(outcome: Outcome<T>) -> Result<T> {
    match outcome {
        Outcome::Done(answer) => Ok(answer),
        Outcome::Unknown(lost) => Err(lost.cause),
    }
    .map_err(Into::into)
}

fn code(error: &mixin_pin_http::Error) -> Option<ErrorCode> {
    match error {
        mixin_pin_http::Error::Protocol(error) => error.api_error().map(|error| error.code),
        _ => None,
    }
}
