//! As firmware would: no heap, no clock, no standard library in `device`; buffers, time and randomness come in. With
//! `default-features = false, features = ["ed25519"]` nothing else is linked. `crates/mixin-pin-core/no-std` links such a
//! program for real.
//!
//! ```sh
//! cargo run -p mixin-pin-core --example firmware
//! ```

use std::error::Error;
use std::time::SystemTime;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, SystemRng, UnixTime};

/// What is on the device.
mod device {
    use core::time::Duration;

    use mixin_pin_core::rand_core::CryptoRng;
    use mixin_pin_core::token::RequestHash;
    use mixin_pin_core::uuid::Uuid;
    use mixin_pin_core::{Error, MonotonicNonces, NonceSource, Pin, Session, UnixTime};

    /// Room for a body and a token.
    pub struct Buffers {
        pub body: [u8; 128],
        pub token: [u8; 640],
    }

    /// The key never leaves the device; the last iterator should outlast a reset.
    pub struct Device {
        pub session: Session,
        pub nonces: MonotonicNonces,
    }

    impl Device {
        /// Makes the request that proves a PIN: its body and its token, in the buffers.
        pub fn prove<'b, R: CryptoRng>(
            &self,
            pin: Pin,
            request_id: Uuid,
            now: UnixTime,
            rng: &mut R,
            buffers: &'b mut Buffers,
        ) -> Result<(&'b str, &'b str), Error> {
            let encrypted = self.session.pin_key().encrypt(pin, self.nonces.next(now)?, rng);
            let body = body(encrypted.to_url_safe().as_str(), &mut buffers.body)?;
            let hash = RequestHash::of("POST", "/pin/verify", body.as_bytes());
            let claims = self.session.claims(hash, request_id, now, Duration::from_secs(60))?;
            let token = claims.sign_into(self.session.signer(), rng, &mut buffers.token)?;
            Ok((body, token))
        }
    }

    fn body<'b>(pin: &str, out: &'b mut [u8]) -> Result<&'b str, Error> {
        const PARTS: [&str; 2] = [r#"{"pin_base64":""#, r#""}"#];
        let needed = PARTS[0].len() + pin.len() + PARTS[1].len();
        let out = out.get_mut(..needed).ok_or(Error::BufferTooSmall { needed })?;
        out[..PARTS[0].len()].copy_from_slice(PARTS[0].as_bytes());
        out[PARTS[0].len()..needed - PARTS[1].len()].copy_from_slice(pin.as_bytes());
        out[needed - PARTS[1].len()..].copy_from_slice(PARTS[1].as_bytes());
        // All three are ASCII.
        core::str::from_utf8(out).map_err(|_| Error::EncryptedPinFormat)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    use mixin_pin_core::{MonotonicNonces, Pin, Session};

    let mut rng = SystemRng::new()?;
    let server = Ed25519Key::generate(&mut rng).public_key().to_x25519()?;
    let key = Ed25519Key::generate(&mut rng);
    let session = Session::ed25519(Uuid::from_u128(1), Uuid::from_u128(2), key, &server)?;
    let device = device::Device { session, nonces: MonotonicNonces::new() };

    let mut buffers = device::Buffers { body: [0; 128], token: [0; 640] };
    let now = UnixTime::try_from(SystemTime::now())?;
    let (body, token) = device.prove(Pin::new("314159")?, Uuid::from_u128(3), now, &mut rng, &mut buffers)?;
    println!("POST /pin/verify\nAuthorization: Bearer {token}\n\n{body}");
    Ok(())
}
