//! A TIP key signs a transfer, and the signature is encrypted as a PIN.

use mixin_pin_core::tip::{Amount, TipAction, TipKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Error, MonotonicNonces, NonceSource, PinKey, SystemRng, UnixTime};

fn main() -> Result<(), Error> {
    let mut rng = SystemRng::new()?;
    // Throw-away values. A keystore has the spend key, and the answer to `GET /safe/me` its public key.
    let (spend_private_key, tip_key_base64) = example_key();
    let (asset_id, opponent_id, trace_id) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let (pin_key, nonces) = (PinKey::generate(&mut rng), MonotonicNonces::new());
    let now = UnixTime::from_secs(1_700_000_000);

    let expected = Ed25519PublicKey::from_text(&tip_key_base64)?;
    let key = TipKey::matching(&spend_private_key, &expected)?; // a seed or a raw scalar, whichever fits
    let amount = Amount::new("1.50")?; // signed, and to be sent, as 1.5
    let action = TipAction::Transfer { asset_id, opponent_id, amount, trace_id, memo: "thanks" };
    let pin = pin_key.encrypt(key.secret(&action), nonces.next(now)?, &mut rng);
    println!("{{\"amount\":\"{amount}\",\"pin_base64\":\"{}\"}}", pin.to_url_safe());
    Ok(())
}

fn example_key() -> (String, String) {
    let public = TipKey::from_seed(&[0x42; 32]).public_key().to_base64_url();
    ("42".repeat(32), public)
}
