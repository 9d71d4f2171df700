//! A request that is sent by a task of its own, so that its caller's future can be dropped.

use std::panic;
use std::thread;
use std::time::Instant;

use mixin_pin_machine::{Flight, Landed, Reply, TransportError};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinError;

use crate::driver::Lease;
use crate::lane::Turn;
use crate::transport::Transport;

type Told<T> = (Landed<T>, Option<Turn>);

/// Sends a request in a task of its own. The task ends the flight and releases the lease, and only then gives the turn
/// back, or drops it if the caller has gone. `since` is when the step was made.
pub(crate) async fn fly<T: DeserializeOwned + Send + 'static>(
    runtime: &Handle,
    transport: &Transport,
    flight: Flight<T, Lease>,
    since: Instant,
    turn: Option<Turn>,
) -> Told<T> {
    let (tell, told) = oneshot::channel();
    let mut under_way = UnderWay { flight: Some(flight), since, landed: None, turn, tell: Some(tell) };
    let transport = transport.clone();
    let task = runtime.spawn(async move {
        if let Some(flight) = &under_way.flight {
            let reply = match flight.limit(under_way.since.elapsed()) {
                Ok(limit) => transport.exchange(flight.request(), limit).await,
                Err(over) => over,
            };
            if let Some(lease) = under_way.land(reply) {
                lease.release().await;
            }
        }
    });
    match told.await {
        Ok(told) => told,
        // The task panicked before it could tell. The entry is kept.
        Err(_) => match task.await.map_err(JoinError::try_into_panic) {
            // An observer panicked, or the answer's `Deserialize`.
            Err(Ok(panic)) => panic::resume_unwind(panic),
            // The runtime was dropped by a thread that panics.
            _ => panic!("the runtime stopped during a call"),
        },
    }
}

/// What the task owns. Dropping it tells the caller, so the caller also hears of a task that the runtime ends early.
struct UnderWay<T: DeserializeOwned> {
    flight: Option<Flight<T, Lease>>,
    since: Instant,
    landed: Option<Landed<T>>,
    turn: Option<Turn>,
    tell: Option<oneshot::Sender<Told<T>>>,
}

impl<T: DeserializeOwned> UnderWay<T> {
    /// Lands the flight. Returns its lease, to be released.
    fn land(&mut self, reply: Reply) -> Option<Lease> {
        let (landed, lease) = self.flight.take()?.land(reply, self.since.elapsed());
        self.landed = Some(landed);
        lease
    }
}

impl<T: DeserializeOwned> Drop for UnderWay<T> {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        drop(self.land(Reply::Lost(TransportError::new("the runtime stopped during the call", false))));
        if let (Some(landed), Some(tell)) = (self.landed.take(), self.tell.take()) {
            // If the caller has gone, the turn ends here.
            let _ = tell.send((landed, self.turn.take()));
        }
    }
}
