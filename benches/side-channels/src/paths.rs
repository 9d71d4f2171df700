//! Does the core branch on a secret, or use one as an address? Secrets are marked as undefined for Valgrind's memcheck,
//! which reports every branch and every address that depends on one.

use std::convert::Infallible;
use std::ffi::c_void;
use std::hint::black_box;
use std::ops::Range;
use std::process::ExitCode;

use mixin_pin_core::rand_core::{TryCryptoRng, TryRng};
use mixin_pin_core::token::Signer as _;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Pin, PinKey, PinToken, RsaKey, Secret, hazmat};

unsafe extern "C" {
    safe fn memcheck_is_running() -> i32;
    safe fn memcheck_count_errors() -> usize;
    fn memcheck_make_undefined(start: *mut c_void, len: usize);
    fn memcheck_make_defined(start: *mut c_void, len: usize);
}

/// Marks the value as secret.
fn secret<T>(value: T) -> T {
    hide(&value);
    value
}

/// Marks the value's memory as undefined.
fn hide<T>(value: &T) {
    // SAFETY: the range is the value's. Only memcheck's view of it changes.
    unsafe { memcheck_make_undefined((&raw const *value).cast_mut().cast(), size_of::<T>()) };
}

/// Marks the value as public.
fn public<T>(mut value: T) -> T {
    // SAFETY: as above.
    unsafe { memcheck_make_defined((&raw mut value).cast(), size_of::<T>()) };
    value
}

/// Numbers that count as secret, and are the same in each run.
struct SecretRandomness(u64);

impl TryRng for SecretRandomness {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = secret(self.0.to_be_bytes()[0]);
        }
        Ok(())
    }
}

impl TryCryptoRng for SecretRandomness {}

const IV: [u8; 16] = [3; 16];

fn pin() -> Pin {
    Pin::new("314159").expect("six digits")
}

/// A secret key and a public one.
fn pair() -> (Ed25519Key, Ed25519Key) {
    let key = |seed: [u8; 32]| Ed25519Key::from_bytes(&seed).expect("a seed");
    (key(secret([7; 32])), key([8; 32]))
}

/// PEM of an RSA key. Modulus, public exponent and the encoding's structure are public.
///
/// The first bytes of each secret number are public, too: a DER reader must look at them to check the number's length.
fn rsa_pem() -> String {
    const LOOKED_AT: usize = 9;
    const SECRET: Range<usize> = 3..9;
    let key = RsaKey::from_pem(include_str!("../../../crates/mixin-pin-core/testdata/rsa-2048-pkcs8.pem"));
    let key = key.expect("a key");
    let (der, pem) = (key.to_pkcs1_der(), key.to_pkcs1_pem().expect("PEM").to_string());
    let line_at = pem.find('\n').expect("lines") + 1;
    // A sequence of integers, whose length takes two bytes.
    let mut at = 4;
    for number in 0..SECRET.end {
        let (head, len) = match der[at + 1] {
            0x82 => (4, usize::from(der[at + 2]) << 8 | usize::from(der[at + 3])),
            0x81 => (3, usize::from(der[at + 2])),
            len => (2, usize::from(len)),
        };
        let (start, end) = (at + head, at + head + len);
        if SECRET.contains(&number) {
            // The base64 characters that encode only this number, in lines of 64.
            for letter in ((start + LOOKED_AT) * 8).div_ceil(6)..end * 8 / 6 {
                hide(&pem.as_bytes()[line_at + letter + letter / 64]);
            }
        }
        at = end;
    }
    pem
}

/// The number of branches and addresses of `operation` that depend on a secret.
fn reports<T>(operation: impl FnOnce() -> T) -> usize {
    let before = memcheck_count_errors();
    black_box(operation());
    memcheck_count_errors() - before
}

fn encrypt(of: impl FnOnce() -> Secret) -> usize {
    let key = PinKey::from_bytes(&secret([7; 32])).expect("32 bytes");
    let block = hazmat::block(of(), 1, 2);
    reports(|| hazmat::encrypt_with_iv(&key, &block, &IV))
}

fn decrypt(of: Secret) -> usize {
    let (hidden, known) = (secret([7; 32]), [7; 32]);
    let encrypted =
        hazmat::encrypt_with_iv(&PinKey::from_bytes(&known).expect("32 bytes"), &hazmat::block(of, 1, 2), &IV);
    let key = PinKey::from_bytes(&hidden).expect("32 bytes");
    reports(|| key.decrypt(&encrypted))
}

fn main() -> ExitCode {
    if memcheck_is_running() == 0 {
        eprintln!("this program needs valgrind: ./run paths");
        return ExitCode::FAILURE;
    }
    // One report each for results that are not secret: whether a block decrypts, whether keys agree. Decrypting digits
    // has a second one, because `Pin::new` checks them again.
    //
    // The `rsa` crate implements RSA. It blinds base, exponents and primes with fresh random numbers. Three reports
    // concern the random base: whether it is below the modulus, whether it has an inverse, and whether the result is
    // right. The others are in the division that makes Montgomery parameters of a prime times a random factor. Its steps
    // depend on the length of that product, which differs in each operation. The counts are for version 0.10.0. If they
    // change, look at the log.
    let checks: [(&str, usize, usize); 14] = [
        ("a key schedule is made", 0, reports(|| PinKey::from_bytes(&secret([7; 32])))),
        ("digits are encrypted", 0, encrypt(|| secret(pin()).into())),
        ("a TIP key is encrypted", 0, encrypt(|| Secret::TipKey(secret([5; 40])))),
        ("a TIP signature is encrypted", 0, encrypt(|| Secret::TipSignature(secret([5; 64])))),
        ("digits are decrypted", 2, decrypt(pin().into())),
        ("a TIP key is decrypted", 1, decrypt(Secret::TipKey([5; 40]))),
        ("a TIP signature is decrypted", 1, decrypt(Secret::TipSignature([5; 64]))),
        ("PINs are compared", 0, {
            let (one, other) = (secret(pin()), pin());
            reports(|| one == other)
        }),
        ("an Ed25519 key signs", 0, {
            let (key, _) = pair();
            reports(|| {
                let mut signature = [0; 64];
                key.sign(b"message", &mut SecretRandomness(1), &mut signature).expect("64 bytes");
                public(signature)
            })
        }),
        ("X25519 keys agree", 1, {
            let (key, peer) = pair();
            let peer = peer.public_key().to_x25519().expect("a point");
            reports(|| key.agree(&peer))
        }),
        ("an RSA key signs", 39, {
            let key = RsaKey::from_pem(&rsa_pem()).expect("a key");
            reports(|| {
                let mut signature = [0; 256];
                key.sign(b"message", &mut SecretRandomness(1), &mut signature).expect("256 bytes");
                public(signature)
            })
        }),
        ("an RSA key refuses a PIN token", 40, {
            let key = RsaKey::from_pem(&rsa_pem()).expect("a key");
            let token = PinToken::from_base64(&("AQEB".repeat(85) + "AQ")).expect("256 bytes");
            reports(|| key.unwrap_pin_key(&token, Uuid::nil(), &mut SecretRandomness(1)))
        }),
        ("CONTROL: bytes are compared one by one", 1, {
            let one = secret(*b"314159");
            reports(|| one.iter().zip(b"314158").all(|(one, other)| black_box(one) == other))
        }),
        ("CONTROL: a table is looked up", 1, {
            let (table, index) = (black_box([1_u8; 256]), secret(5_u8));
            reports(|| table[usize::from(black_box(index))])
        }),
    ];
    let mut failures = 0;
    for (what, expected, reports) in checks {
        let as_wanted = if what.starts_with("CONTROL") { reports >= expected } else { reports == expected };
        failures += usize::from(!as_wanted);
        println!("{what:<42} {reports} reports{}", if as_wanted { "" } else { "  WRONG" });
    }
    println!("{} operations, {failures} failed", checks.len());
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
