//! An encrypted PIN, and the token of the request that carries it.

use std::time::{Duration, SystemTime};

use mixin_pin_core::token::RequestHash;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Error, MonotonicNonces, NonceSource, Pin, Session, SystemRng, UnixTime};

fn main() -> Result<(), Error> {
    let mut rng = SystemRng::new()?;
    let now = UnixTime::try_from(SystemTime::now())?;
    // Throw-away keys. A keystore has yours and the server's.
    let server = Ed25519Key::generate(&mut rng).public_key().to_x25519()?;
    let key = Ed25519Key::generate(&mut rng);
    let session = Session::ed25519(Uuid::from_u128(1), Uuid::from_u128(2), key, &server)?;

    let nonces = MonotonicNonces::new();
    let pin = session.pin_key().encrypt(Pin::new("314159")?, nonces.next(now)?, &mut rng);
    let body = format!(r#"{{"pin_base64":"{}"}}"#, pin.to_url_safe());
    let hash = RequestHash::of("POST", "/pin/verify", body.as_bytes());
    let claims = session.claims(hash, Uuid::from_u128(3), now, Duration::from_secs(60))?;
    let token = session.sign(&claims, &mut rng)?;
    println!("POST /pin/verify\nAuthorization: Bearer {}\n\n{body}", token.as_str());
    Ok(())
}
