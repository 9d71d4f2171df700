//! A device that keeps a session and makes the request that verifies a PIN, without a heap or a standard library.
//!
//! On a microcontroller this is part of a program: the board's start-up code calls `_start` and passes in the board's
//! functions. On other machines the same device code runs as a command.
//!
//! ```sh
//! cargo build --target thumbv7em-none-eabi -p mixin-pin-core --example firmware --no-default-features --features ed25519
//! cargo run -p mixin-pin-core --example firmware
//! ```
#![cfg_attr(target_os = "none", no_std, no_main)]

/// What is on the device.
mod device {
    use core::time::Duration;

    use mixin_pin_core::rand_core::CryptoRng;
    use mixin_pin_core::token::RequestHash;
    use mixin_pin_core::uuid::Uuid;
    use mixin_pin_core::{Ed25519Key, Error, MonotonicNonces, NonceSource, Pin, Session, UnixTime, X25519PublicKey};

    /// Room for a body and a token.
    pub struct Buffers {
        pub body: [u8; 128],
        pub token: [u8; 640],
    }

    /// The key never leaves the device. Store the last iterator where a reset does not erase it.
    pub struct Device {
        session: Session,
        nonces: MonotonicNonces,
    }

    impl Device {
        pub fn new(seed: &[u8; 32], server: &X25519PublicKey, last_iterator: u64) -> Result<Self, Error> {
            let key = Ed25519Key::from_bytes(seed)?;
            let session = Session::ed25519(Uuid::from_u128(1), Uuid::from_u128(2), key, server)?;
            Ok(Self { session, nonces: MonotonicNonces::starting_after(last_iterator) })
        }

        /// Writes the body and the token of a request that verifies a PIN.
        pub fn verify_pin<'b>(
            &self,
            pin: Pin,
            request_id: Uuid,
            now: UnixTime,
            rng: &mut dyn CryptoRng,
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
        let parts = [r#"{"pin_base64":""#, pin, r#""}"#];
        let needed = parts.iter().map(|part| part.len()).sum();
        let out = out.get_mut(..needed).ok_or(Error::BufferTooSmall { needed })?;
        let mut start = 0;
        for part in parts {
            out[start..start + part.len()].copy_from_slice(part.as_bytes());
            start += part.len();
        }
        core::str::from_utf8(out).map_err(|_| Error::EncryptedPinFormat)
    }
}

#[cfg(target_os = "none")]
mod board {
    #![allow(unsafe_code, reason = "the linker must find the entry point by its name")]

    use core::convert::Infallible;
    use core::panic::PanicInfo;

    use mixin_pin_core::rand_core::{TryCryptoRng, TryRng};
    use mixin_pin_core::uuid::Uuid;
    use mixin_pin_core::{Error, Pin, UnixTime, X25519PublicKey};

    use super::device::{Buffers, Device};

    /// What the board's own code provides.
    #[repr(C)]
    pub struct Board {
        seed: [u8; 32],
        server: [u8; 32],
        last_iterator: u64,
        read_pin: extern "C" fn(digits: &mut [u8; 6]),
        unix_seconds: extern "C" fn() -> u64,
        /// Eight bytes of the hardware's randomness.
        random: extern "C" fn() -> u64,
        send: extern "C" fn(text: *const u8, len: usize),
    }

    struct HardwareRng<'b>(&'b Board);

    impl TryRng for HardwareRng<'_> {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            let mut bytes = [0; 4];
            self.try_fill_bytes(&mut bytes)?;
            Ok(u32::from_le_bytes(bytes))
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok((self.0.random)())
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
            for chunk in out.chunks_mut(8) {
                chunk.copy_from_slice(&(self.0.random)().to_le_bytes()[..chunk.len()]);
            }
            Ok(())
        }
    }

    impl TryCryptoRng for HardwareRng<'_> {}

    fn run(board: &Board) -> Result<(), Error> {
        let device = Device::new(&board.seed, &X25519PublicKey::from_bytes(&board.server)?, board.last_iterator)?;
        let mut digits = [0; 6];
        (board.read_pin)(&mut digits);
        let pin = Pin::new(&digits)?;
        let now = UnixTime::from_secs((board.unix_seconds)());
        let request_id = Uuid::from_u64_pair((board.random)(), (board.random)());
        let mut buffers = Buffers { body: [0; 128], token: [0; 640] };
        let (body, token) = device.verify_pin(pin, request_id, now, &mut HardwareRng(board), &mut buffers)?;
        for text in [token, body] {
            (board.send)(text.as_ptr(), text.len());
        }
        Ok(())
    }

    /// Makes and sends one request; false when it could not be made.
    #[unsafe(no_mangle)]
    pub extern "C" fn _start(board: &Board) -> bool {
        run(board).is_ok()
    }

    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        loop {
            core::hint::spin_loop();
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::SystemTime;

    use getrandom::{SysRng, rand_core::UnwrapErr};
    use mixin_pin_core::{Ed25519Key, Pin, UnixTime, uuid::Uuid};

    let mut rng = UnwrapErr(SysRng);
    let server = Ed25519Key::generate(&mut rng).public_key().to_x25519()?;
    let key = Ed25519Key::generate(&mut rng);
    let device = device::Device::new(key.expose_seed(), &server, 0)?;

    let mut buffers = device::Buffers { body: [0; 128], token: [0; 640] };
    let now = UnixTime::from_secs(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs());
    let (body, token) = device.verify_pin(Pin::new("314159")?, Uuid::from_u128(3), now, &mut rng, &mut buffers)?;
    println!("POST /pin/verify\nAuthorization: Bearer {token}\n\n{body}");
    Ok(())
}
