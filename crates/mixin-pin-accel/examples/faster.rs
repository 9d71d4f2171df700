//! The core's own key and a faster library sign the same token.
//!
//! ```sh
//! cargo run --release -p mixin-pin-accel --example faster
//! ```

use std::time::{Duration, Instant};

use getrandom::{SysRng, rand_core::UnwrapErr};
use mixin_pin_accel::FastKey;
use mixin_pin_core::token::{RequestHash, Signer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Error, RsaKey, Session, UnixTime};

fn main() -> Result<(), Error> {
    let mut rng = UnwrapErr(SysRng);
    let (user_id, session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let key = RsaKey::generate(&mut rng, 2048)?;
    let pin_key = mixin_pin_core::PinKey::generate(&mut rng);
    let pin_token = key.public_key().wrap_pin_key(&pin_key, session_id, &mut rng)?;

    let session = Session::rsa(user_id, session_id, key, &pin_token, &mut rng)?;
    let (pure, took) = sign(&session)?;
    println!("pure Rust  {took:.0?}");
    let session = session.map_signer(FastKey::from);
    let (fast, took) = sign(&session)?;
    println!("{:<10?} {took:.0?}", session.signer().backend());
    assert_eq!(pure, fast);
    Ok(())
}

fn sign<S: Signer>(session: &Session<S>) -> Result<(String, Duration), Error> {
    let hash = RequestHash::of("GET", "/me", b"");
    let claims =
        session.claims(hash, Uuid::from_u128(3), UnixTime::from_secs(1_700_000_000), Duration::from_secs(60))?;
    let mut rng = UnwrapErr(SysRng);
    let begun = Instant::now();
    let token = session.sign(&claims, &mut rng)?;
    Ok((token.as_str().to_owned(), begun.elapsed()))
}
