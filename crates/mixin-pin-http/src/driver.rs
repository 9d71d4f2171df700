//! Makes the steps of a call: waits, leases, signs and sends as the machine says.

use std::thread;
use std::time::{Instant, SystemTime};

use mixin_pin_core::tip::TipSigner;
use mixin_pin_core::token::{MAX_SIGNATURE_LEN, Signer};
use mixin_pin_core::{SignerError, SystemRng, UnixTime};
use mixin_pin_machine::{Call, Ended, Error, Moment, Step, TipRole};
use mixin_pin_store::{Error as StoreError, Lease, NonceStore};
use serde::de::DeserializeOwned;

use crate::lane::Lane;
use crate::transport::Transport;

/// The signers of TIP keys that a call needs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tips<'k> {
    pub(crate) pin: Option<&'k dyn TipSigner>,
    pub(crate) safe: Option<&'k dyn TipSigner>,
}

impl<'k> Tips<'k> {
    pub(crate) fn of(key: &'k dyn TipSigner) -> Self {
        Self { pin: Some(key), safe: None }
    }
}

/// What a call needs besides the transport. An OAuth session has neither store nor lane.
pub(crate) struct Outside<'o> {
    pub(crate) signer: Option<&'o dyn Signer>,
    pub(crate) tips: Tips<'o>,
    pub(crate) store: Option<&'o dyn NonceStore>,
    pub(crate) lane: Option<&'o Lane>,
}

impl<'o> Outside<'o> {
    /// For calls without a lease.
    pub(crate) fn unleased(signer: Option<&'o dyn Signer>) -> Self {
        Self { signer, tips: Tips::default(), store: None, lane: None }
    }
}

/// The current time.
pub(crate) fn now() -> Result<UnixTime, Error> {
    Ok(UnixTime::try_from(SystemTime::now())?)
}

/// Makes a call. An error means that the clock or the generator of this machine failed before anything was sent.
pub(crate) fn drive<T: DeserializeOwned>(
    mut call: Call<'_, T, Box<dyn Lease>>,
    transport: &Transport,
    outside: &Outside<'_>,
) -> Result<Ended<T, Box<dyn Lease>>, Error> {
    let (begun, mut rng) = (Instant::now(), SystemRng::new()?);
    let (mut wall, mut turn) = (now()?, None);
    loop {
        // If the clock fails later, the outcome of a request that was sent must not be lost.
        wall = now().unwrap_or(wall);
        let step = Instant::now();
        call = match call.step(Moment { wall, elapsed: begun.elapsed() }, &mut rng) {
            Step::Turn(ask) => {
                turn = outside.lane.and_then(|lane| lane.turn(ask.limit()));
                ask.taken(turn.is_some())
            }
            Step::Lease(mut ask) => {
                drop(ask.take_former());
                let lease = |store: &dyn NonceStore| store.lease(ask.session_id(), &ask.terms());
                let reply = outside.store.map_or(Err(StoreError::LeaseLost), lease);
                ask.replied(reply)
            }
            Step::SignTip(ask) => {
                let signer = match ask.role() {
                    TipRole::Pin => outside.tips.pin,
                    TipRole::Safe => outside.tips.safe,
                };
                let signature = signer.map_or(Err(SignerError::new()), |signer| signer.sign(ask.message()));
                ask.signed(signature)
            }
            Step::Sign(ask) => {
                let mut signature = [0; MAX_SIGNATURE_LEN];
                let signed = sign(outside.signer, ask.message(), &mut rng, &mut signature);
                ask.signed(signed)
            }
            Step::Ask(ask) => {
                let limit = ask.limit(step.elapsed());
                let reply = limit.map_or_else(|over| over, |limit| transport.exchange(ask.request(), limit));
                ask.answered(reply)
            }
            Step::Send(waiting, flight) => {
                let limit = flight.limit(step.elapsed());
                let reply = limit.map_or_else(|over| over, |limit| transport.exchange(flight.request(), limit));
                let (landed, lease) = flight.land(reply, step.elapsed());
                drop(lease);
                waiting.landed(landed)
            }
            Step::Wait(pause) => {
                thread::sleep(pause.pause());
                pause.over()
            }
            Step::Done(mut ended) => {
                // Before the turn, so that the next caller finds the session free.
                drop(ended.lease.take());
                drop(turn);
                return Ok(ended);
            }
        };
    }
}

fn sign<'s>(
    signer: Option<&dyn Signer>,
    message: &[u8],
    rng: &mut SystemRng,
    signature: &'s mut [u8; MAX_SIGNATURE_LEN],
) -> Result<&'s [u8], SignerError> {
    let signer = signer.ok_or_else(SignerError::new)?;
    let signature = signature.get_mut(..signer.signature_len()).ok_or_else(SignerError::new)?;
    signer.sign(message, rng, signature)?;
    Ok(signature)
}
