//! RSA's private operation, by the Chinese remainder theorem, on integers whose size is known when the
//! crate is compiled.
//!
//! Arithmetic is `crypto-bigint`'s, in constant time for all that is secret. The base is blinded: a pair `(r^e, r^-1)`
//! is drawn, and squared for each of the next signatures, since the inverse costs as much as a quarter of a signature.
//! Every result is checked with the public exponent before it is given out, so that a fault in the arithmetic does not
//! give the key away.

use alloc::boxed::Box;
#[cfg(feature = "std")]
use std::sync::Mutex;

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Limb, NonZero, Odd, RandomMod, U512, U768, U1024, U1536, U2048, U3072, U4096, Uint, Word};
use rand_core::CryptoRng;
use rsa::pkcs1::RsaPrivateKeyRef;
use zeroize::{Zeroize, Zeroizing};

use crate::Error;

/// The private operation at one size.
pub(super) trait PrivateOperation: Send + Sync {
    /// Raises `message`, a big-endian number as long as the modulus, to the private exponent, into `out`, which is as long.
    /// Fails for a number that is not below the modulus.
    fn apply(&self, message: &[u8], rng: &mut dyn CryptoRng, out: &mut [u8]) -> Result<(), Error>;
}

/// The operation at the smallest size that the primes and the modulus fit; None for a key that is not one of two primes
/// and a small public exponent.
pub(super) fn private_operation(key: &RsaPrivateKeyRef<'_>) -> Option<Box<dyn PrivateOperation>> {
    Crt::<{ U512::LIMBS }, { U1024::LIMBS }>::boxed(key)
        .or_else(|| Crt::<{ U768::LIMBS }, { U1536::LIMBS }>::boxed(key))
        .or_else(|| Crt::<{ U1024::LIMBS }, { U2048::LIMBS }>::boxed(key))
        .or_else(|| Crt::<{ U1536::LIMBS }, { U3072::LIMBS }>::boxed(key))
        .or_else(|| Crt::<{ U2048::LIMBS }, { U4096::LIMBS }>::boxed(key))
}

/// A key whose primes have `H` limbs and whose modulus has `W`, twice as many.
struct Crt<const H: usize, const W: usize> {
    n: FixedMontyParams<W>,
    e: u64,
    p: FixedMontyParams<H>,
    q: FixedMontyParams<H>,
    dp: Uint<H>,
    dq: Uint<H>,
    /// The inverse of `q` modulo `p`.
    q_inv: FixedMontyForm<H>,
    /// The pair last used, and how often its line was.
    #[cfg(feature = "std")]
    blinding: Mutex<Option<(Blinding<W>, u8)>>,
}

impl<const H: usize, const W: usize> Crt<H, W> {
    const HALVES: () = assert!(W == 2 * H);

    fn boxed(key: &RsaPrivateKeyRef<'_>) -> Option<Box<dyn PrivateOperation>> {
        Self::new(key).map(|operation| Box::new(operation) as Box<dyn PrivateOperation>)
    }

    /// Takes the numbers of a key, if they fit and belong together: `n = pq`, `q_inv` and the exponents are inverses, and
    /// `d` is both of these.
    #[allow(clippy::many_single_char_names, reason = "RFC 8017 calls them so")]
    fn new(key: &RsaPrivateKeyRef<'_>) -> Option<Self> {
        let () = Self::HALVES;
        if key.other_prime_infos.is_some() {
            return None;
        }
        // The cheapest question first, since it is asked for every size.
        let n = Odd::new(fixed::<W>(key.modulus.as_bytes())?).into_option()?;
        let e = exponent(key.public_exponent.as_bytes())?;
        let d = Zeroizing::new(split(&Zeroizing::new(fixed::<W>(key.private_exponent.as_bytes())?)));
        let (p, dp) = prime(key.prime1.as_bytes(), key.exponent1.as_bytes(), &d, e)?;
        let (q, dq) = prime(key.prime2.as_bytes(), key.exponent2.as_bytes(), &d, e)?;
        let q_inv = FixedMontyForm::new(&Zeroizing::new(fixed(key.coefficient.as_bytes())?), &p);
        let key = Self {
            n: FixedMontyParams::new_vartime(n),
            e,
            p,
            q,
            dp,
            dq,
            q_inv,
            #[cfg(feature = "std")]
            blinding: Mutex::new(None),
        };
        key.is_whole().then_some(key)
    }

    fn is_whole(&self) -> bool {
        let (p, q) = (self.p.modulus().as_ref(), self.q.modulus().as_ref());
        let product = Zeroizing::new(p.widening_mul(q));
        let inverses = Zeroizing::new((self.q_inv * FixedMontyForm::new(q, &self.p)).retrieve());
        join::<H, W>(&product.0, &product.1) == *self.n.modulus().as_ref() && *inverses == Uint::ONE
    }

    /// A blinding pair that no signature was made with.
    fn blinding(&self, rng: &mut dyn CryptoRng) -> Blinding<W> {
        #[cfg(feature = "std")]
        if let Ok(mut kept) = self.blinding.try_lock() {
            let (pair, uses) = match &*kept {
                Some((pair, uses)) if *uses < MAX_BLINDING_USES => (pair.square(), uses + 1),
                _ => (Blinding::draw(&self.n, self.e, rng), 1),
            };
            *kept = Some((pair.duplicate(), uses));
            return pair;
        }
        // Another thread signs with this key at the same moment, or there is no lock to be had.
        Blinding::draw(&self.n, self.e, rng)
    }
}

impl<const H: usize, const W: usize> PrivateOperation for Crt<H, W> {
    fn apply(&self, message: &[u8], rng: &mut dyn CryptoRng, out: &mut [u8]) -> Result<(), Error> {
        let message = from_be_bytes::<W>(message);
        if message >= *self.n.modulus().as_ref() {
            return Err(Error::Signer);
        }
        let message = FixedMontyForm::new(&message, &self.n);
        let blinding = self.blinding(rng);
        let blinded = Zeroizing::new((message * blinding.factor).retrieve());
        let halves = Zeroizing::new(split::<H, W>(&blinded));

        let m_p = Zeroizing::new(reduce(&halves, &self.p).pow_amm(&self.dp));
        let m_q = Zeroizing::new(reduce(&halves, &self.q).pow_amm(&self.dq).retrieve());
        // Garner: m = m_q + q * ((m_p - m_q) / q mod p).
        let h = Zeroizing::new(((*m_p - FixedMontyForm::new(&m_q, &self.p)) * self.q_inv).retrieve());
        let product = Zeroizing::new(h.widening_mul(self.q.modulus().as_ref()));
        let joined = Zeroizing::new(join::<H, W>(&product.0, &product.1));
        let sum = Zeroizing::new(joined.wrapping_add(&join::<H, W>(&m_q, &Uint::ZERO)));

        let result = Zeroizing::new(FixedMontyForm::new(&sum, &self.n) * blinding.inverse);
        if power_vartime(&result, self.e) != message {
            return Err(Error::Signer);
        }
        to_be_bytes(&Zeroizing::new(result.retrieve()), out);
        Ok(())
    }
}

impl<const H: usize, const W: usize> Drop for Crt<H, W> {
    fn drop(&mut self) {
        self.p.zeroize();
        self.q.zeroize();
        self.dp.zeroize();
        self.dq.zeroize();
        self.q_inv.zeroize();
    }
}

/// How many signatures a line of pairs serves, each the square of the one before; as OpenSSL has it.
#[cfg(feature = "std")]
const MAX_BLINDING_USES: u8 = 32;

/// What a base is multiplied by, and what takes that off the result again.
struct Blinding<const W: usize> {
    /// `r^e`
    factor: FixedMontyForm<W>,
    /// `r^-1`
    inverse: FixedMontyForm<W>,
}

impl<const W: usize> Blinding<W> {
    fn draw(n: &FixedMontyParams<W>, e: u64, rng: &mut dyn CryptoRng) -> Self {
        loop {
            let r = Zeroizing::new(Uint::random_mod_vartime(rng, n.modulus().as_nz_ref()));
            let r = Zeroizing::new(FixedMontyForm::new(&r, n));
            // All but one in 2^500 have an inverse.
            if let Some(inverse) = r.invert().into_option() {
                return Self { factor: power_vartime(&r, e), inverse };
            }
        }
    }
}

#[cfg(feature = "std")]
impl<const W: usize> Blinding<W> {
    /// The pair of `r^2`.
    const fn square(&self) -> Self {
        Self { factor: self.factor.square(), inverse: self.inverse.square() }
    }

    const fn duplicate(&self) -> Self {
        Self { factor: self.factor, inverse: self.inverse }
    }
}

impl<const W: usize> Drop for Blinding<W> {
    fn drop(&mut self) {
        self.factor.zeroize();
        self.inverse.zeroize();
    }
}

/// Raises to a public exponent, which is not zero.
fn power_vartime<const W: usize>(base: &FixedMontyForm<W>, e: u64) -> FixedMontyForm<W> {
    let mut power = *base;
    for bit in (0..e.ilog2()).rev() {
        power = power.square();
        if e >> bit & 1 == 1 {
            power *= base;
        }
    }
    power
}

/// A number of two halves modulo a prime of one, by one multiplication: the upper half counts `R`, whose Montgomery form
/// is `R^2`.
fn reduce<const H: usize>([low, high]: &[Uint<H>; 2], prime: &FixedMontyParams<H>) -> FixedMontyForm<H> {
    FixedMontyForm::new(low, prime)
        + FixedMontyForm::new(high, prime) * FixedMontyForm::from_montgomery(*prime.r2(), prime)
}

/// A prime and its exponent, if `e` undoes that, and `d`, in two halves, is the same for this prime.
fn prime<const H: usize>(
    prime: &[u8],
    exponent: &[u8],
    [low, high]: &[Uint<H>; 2],
    e: u64,
) -> Option<(FixedMontyParams<H>, Uint<H>)> {
    let (prime, exponent) = (Zeroizing::new(fixed::<H>(prime)?), Zeroizing::new(fixed::<H>(exponent)?));
    let order = Zeroizing::new(NonZero::new(prime.wrapping_sub(&Uint::ONE)).into_option()?);
    let undone = Uint::rem_wide(exponent.widening_mul(&Uint::from(e)), &order);
    let of_d = Zeroizing::new(Uint::rem_wide((*low, *high), &order));
    let params = FixedMontyParams::new(Odd::new(*prime).into_option()?);
    (undone == Uint::ONE && *of_d == *exponent).then_some((params, *exponent))
}

/// The big-endian number at this size, if it fits.
fn fixed<const L: usize>(number: &[u8]) -> Option<Uint<L>> {
    (number.len() <= L * LIMB).then(|| from_be_bytes(number))
}

/// A public exponent of 64 bits at most.
fn exponent(e: &[u8]) -> Option<u64> {
    let e = fixed::<{ crypto_bigint::U64::LIMBS }>(e)?;
    Some(u64::from(e)).filter(|e| *e > 0)
}

fn split<const H: usize, const W: usize>(number: &Uint<W>) -> [Uint<H>; 2] {
    let mut halves = [Uint::ZERO; 2];
    let (low, high) = number.as_limbs().split_at(H);
    halves[0].as_mut_limbs().copy_from_slice(low);
    halves[1].as_mut_limbs().copy_from_slice(high);
    halves
}

fn join<const H: usize, const W: usize>(low: &Uint<H>, high: &Uint<H>) -> Uint<W> {
    let mut number = Uint::ZERO;
    let (to_low, to_high) = number.as_mut_limbs().split_at_mut(H);
    to_low.copy_from_slice(low.as_limbs());
    to_high.copy_from_slice(high.as_limbs());
    number
}

/// Bytes of a limb.
const LIMB: usize = size_of::<Word>();

/// Reads a number that fits.
fn from_be_bytes<const W: usize>(bytes: &[u8]) -> Uint<W> {
    let mut number = Uint::ZERO;
    for (limb, chunk) in number.as_mut_limbs().iter_mut().zip(bytes.rchunks(LIMB)) {
        let mut word = [0; LIMB];
        word[LIMB - chunk.len()..].copy_from_slice(chunk);
        *limb = Limb(Word::from_be_bytes(word));
    }
    number
}

/// Writes a number into as many bytes as it needs or more.
fn to_be_bytes<const W: usize>(number: &Uint<W>, out: &mut [u8]) {
    for (limb, chunk) in number.as_limbs().iter().zip(out.rchunks_mut(LIMB)) {
        chunk.copy_from_slice(&limb.0.to_be_bytes()[LIMB - chunk.len()..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crypto_bigint::U128;
    use rsa::PrivateKey;
    use rsa::pkcs1::EncodeRsaPrivateKey as _;
    use rsa::pkcs8::der::{Decode as _, SecretDocument};

    #[test]
    fn bytes_are_read_and_written_whatever_their_number() {
        for len in 1..=16 {
            let bytes: alloc::vec::Vec<u8> = (1..=len).collect();
            let number: U128 = from_be_bytes(&bytes);
            assert_eq!(number, bytes.iter().fold(U128::ZERO, |n, b| (n << 8) | U128::from(*b)));
            let mut out = alloc::vec![0xff; bytes.len()];
            to_be_bytes(&number, &mut out);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn a_number_is_reduced_by_its_halves() {
        let prime = FixedMontyParams::new(Odd::new(crypto_bigint::U64::from(0xffff_ffff_ffff_ffc5_u64)).unwrap());
        for number in [U128::ZERO, U128::ONE, U128::MAX, U128::from(0xfedc_ba98_7654_3210_0123_4567_89ab_cdef_u128)] {
            let halves = split::<{ crypto_bigint::U64::LIMBS }, { U128::LIMBS }>(&number);
            assert_eq!(join::<{ crypto_bigint::U64::LIMBS }, { U128::LIMBS }>(&halves[0], &halves[1]), number);
            let expected = u128::from(number) % 0xffff_ffff_ffff_ffc5;
            assert_eq!(u128::from(u64::from(reduce(&halves, &prime).retrieve())), expected);
        }
    }

    #[test]
    fn powers_are_those_of_arithmetic() {
        let prime = FixedMontyParams::new(Odd::new(crypto_bigint::U64::from(1_000_003_u64)).unwrap());
        for e in [1, 2, 3, 6, 11, 17, 65537] {
            let power = power_vartime(&FixedMontyForm::new(&crypto_bigint::U64::from(7_u64), &prime), e);
            let expected = (0..e).fold(1, |power, _| power * 7 % 1_000_003);
            assert_eq!(u64::from(power.retrieve()), expected);
        }
    }

    #[test]
    fn numbers_that_do_not_fit_are_refused() {
        let long = [0xff; 20 * LIMB];
        assert!(fixed::<19>(&long).is_none() && fixed::<20>(&long).is_some() && fixed::<21>(&long).is_some());
        assert_eq!((exponent(&long), exponent(&[])), (None, None));
        assert_eq!(exponent(&[1, 0, 1]), Some(65537));
    }

    type Crt1024 = Crt<{ U512::LIMBS }, { U1024::LIMBS }>;

    fn rng() -> impl CryptoRng {
        getrandom::rand_core::UnwrapErr(getrandom::SysRng)
    }

    fn der() -> SecretDocument {
        PrivateKey::new(&mut rng(), 1024).unwrap().to_pkcs1_der().unwrap()
    }

    fn operation() -> Crt1024 {
        Crt::new(&RsaPrivateKeyRef::from_der(der().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn numbers_that_do_not_belong_together_are_no_key() {
        let (key, other) = (der(), der());
        let read = || RsaPrivateKeyRef::from_der(key.as_bytes()).unwrap();
        assert!(Crt1024::new(&read()).is_some());
        let exchanges: [for<'a> fn(&mut RsaPrivateKeyRef<'a>, RsaPrivateKeyRef<'a>); 8] = [
            |key, other| key.modulus = other.modulus,
            |key, other| key.public_exponent = other.prime1,
            |key, other| key.private_exponent = other.private_exponent,
            |key, other| key.prime1 = other.prime1,
            |key, other| key.prime2 = other.prime2,
            |key, other| key.exponent1 = other.exponent1,
            |key, other| key.exponent2 = other.exponent2,
            |key, other| key.coefficient = other.coefficient,
        ];
        for (at, exchange) in exchanges.into_iter().enumerate() {
            let mut changed = read();
            exchange(&mut changed, RsaPrivateKeyRef::from_der(other.as_bytes()).unwrap());
            assert!(Crt1024::new(&changed).is_none(), "field {at}");
        }
    }

    #[test]
    fn a_number_that_is_not_below_the_modulus_is_refused() {
        let operation = operation();
        let mut modulus = [0; 128];
        to_be_bytes(operation.n.modulus().as_ref(), &mut modulus);
        assert_eq!(operation.apply(&modulus, &mut rng(), &mut [0; 128]), Err(Error::Signer));
        modulus[127] -= 1; // It is odd.
        operation.apply(&modulus, &mut rng(), &mut [0; 128]).unwrap();
    }

    #[test]
    fn a_fault_in_one_half_gives_nothing_out() {
        let mut operation = operation();
        let (message, mut out) = ([1; 128], [0; 128]);
        operation.apply(&message, &mut rng(), &mut out).unwrap();
        operation.dq = operation.dq.wrapping_add(&Uint::ONE);
        let mut out = [0; 128];
        assert_eq!(operation.apply(&message, &mut rng(), &mut out), Err(Error::Signer));
        assert_eq!(out, [0; 128]);
    }

    #[cfg(feature = "std")]
    #[test]
    fn no_two_signatures_share_a_blinding_pair() {
        let operation = operation();
        let mut factors = alloc::vec::Vec::new();
        for at in 0..=u16::from(MAX_BLINDING_USES) * 2 {
            let pair = operation.blinding(&mut rng());
            let product = pair.factor * power_vartime(&pair.inverse, operation.e);
            assert_eq!(product.retrieve(), Uint::ONE, "one takes the other off again");
            let follows = factors.last().is_some_and(|last: &FixedMontyForm<_>| last.square() == pair.factor);
            assert_eq!(follows, at % u16::from(MAX_BLINDING_USES) != 0, "the line begins anew after 32, here {at}");
            assert!(!factors.contains(&pair.factor));
            factors.push(pair.factor);
        }
        // Whoever finds the pair in use draws one of their own.
        let held = operation.blinding.lock().unwrap();
        let own = operation.blinding(&mut rng());
        assert!(!factors.contains(&own.factor) && held.as_ref().unwrap().0.factor != own.factor);
    }
}
