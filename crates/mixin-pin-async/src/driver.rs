//! Makes the steps of a call: waits, leases, signs and sends as the machine says.

use std::hint;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use mixin_pin_core::{SignerError, SystemRng, UnixTime};
use mixin_pin_machine::{Call, Ended, Error, Moment, Step, TipRole};
use mixin_pin_store::{AsyncLease, AsyncNonceStore, Error as StoreError};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::flight;
use crate::lane::Lane;
use crate::transport::Transport;
use crate::{AsyncSigner, AsyncTipSigner};

pub(crate) type Lease = Box<dyn AsyncLease>;

/// The signers of TIP keys that a call needs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tips<'k> {
    pub(crate) pin: Option<&'k dyn AsyncTipSigner>,
    pub(crate) safe: Option<&'k dyn AsyncTipSigner>,
}

impl<'k> Tips<'k> {
    pub(crate) fn of(key: &'k dyn AsyncTipSigner) -> Self {
        Self { pin: Some(key), safe: None }
    }
}

/// What a call needs besides the transport. An OAuth session has neither store nor lane.
pub(crate) struct Outside<'o> {
    pub(crate) signer: Option<&'o dyn AsyncSigner>,
    pub(crate) tips: Tips<'o>,
    pub(crate) store: Option<&'o dyn AsyncNonceStore>,
    pub(crate) lane: Option<&'o Arc<Lane>>,
}

impl<'o> Outside<'o> {
    /// For calls without a lease.
    pub(crate) fn unleased(signer: Option<&'o dyn AsyncSigner>) -> Self {
        Self { signer, tips: Tips::default(), store: None, lane: None }
    }
}

/// The current time.
pub(crate) fn now() -> Result<UnixTime, Error> {
    Ok(UnixTime::try_from(SystemTime::now())?)
}

/// Overwrites the stack below the caller. Encryption may leave parts of the PIN key there, and the memory
/// of a new task is copied from the stack, unused parts included.
#[inline(never)]
fn clean_stack() {
    hint::black_box([0_u8; 16 << 10]);
}

/// Makes a call. An error means that the clock, the generator or the runtime failed before anything was sent.
pub(crate) async fn drive<T: DeserializeOwned + Send + Sync + 'static>(
    mut call: Call<'_, T, Lease>,
    transport: &Transport,
    outside: Outside<'_>,
) -> Result<Ended<T, Lease>, Error> {
    let runtime = Handle::try_current().map_err(|_| Error::Store(StoreError::NoRuntime))?;
    let (begun, mut rng) = (Instant::now(), SystemRng::new()?);
    let (mut wall, mut turn) = (now()?, None);
    loop {
        // If the clock fails later, the outcome of a request that was sent must not be lost.
        wall = now().unwrap_or(wall);
        let since = Instant::now();
        let step = call.step(Moment { wall, elapsed: begun.elapsed() }, &mut rng);
        clean_stack();
        call = match step {
            Step::Turn(ask) => {
                if let Some(lane) = outside.lane {
                    turn = lane.turn(ask.limit()).await;
                }
                ask.taken(turn.is_some())
            }
            Step::Lease(mut ask) => {
                if let Some(lease) = ask.take_former() {
                    lease.release().await;
                }
                let reply = match outside.store {
                    Some(store) => store.lease(ask.session_id(), ask.terms()).await,
                    None => Err(StoreError::LeaseLost),
                };
                ask.replied(reply)
            }
            Step::SignTip(ask) => {
                let signer = match ask.role() {
                    TipRole::Pin => outside.tips.pin,
                    TipRole::Safe => outside.tips.safe,
                };
                let signature = match signer {
                    Some(signer) => signer.sign(ask.message()).await,
                    None => Err(SignerError::new()),
                };
                ask.signed(signature)
            }
            Step::Sign(ask) => {
                let signature = match outside.signer {
                    Some(signer) => signer.sign(ask.message()).await,
                    None => Err(SignerError::new()),
                };
                ask.signed(signature)
            }
            Step::Ask(ask) => {
                let reply = match ask.limit(since.elapsed()) {
                    Ok(limit) => transport.exchange(ask.request(), limit).await,
                    Err(over) => over,
                };
                ask.answered(reply)
            }
            Step::Send(waiting, request) => {
                let landed;
                (landed, turn) = flight::fly(&runtime, transport, request, since, turn).await;
                waiting.landed(landed)
            }
            Step::Wait(pause) => {
                tokio::time::sleep(pause.pause()).await;
                pause.over()
            }
            Step::Done(mut ended) => {
                if let Some(lease) = ended.lease.take() {
                    lease.release().await;
                }
                return Ok(ended);
            }
        };
    }
}
