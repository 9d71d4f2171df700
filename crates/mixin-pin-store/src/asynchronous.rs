//! Nonce stores for callers that await: the same leases and the same journal as [`NonceStore`](crate::NonceStore).

use std::pin::Pin;
use std::sync::Arc;

use mixin_pin_core::uuid::Uuid;

use crate::{Error, Lease, LeaseReply, LeaseTerms, PendingCall};

/// A future of a store. It can be sent to another thread.
pub type BoxFuture<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

/// [`NonceStore`](crate::NonceStore) for async callers, with the same contract and the same journal. A waiting caller
/// holds no thread.
///
/// The futures need a running tokio runtime with its timer ([`Error::NoRuntime`]). If a future of `lease` is dropped, a
/// lease that it would have returned is released in the background. If a future of `settle` is dropped, the entry may
/// or may not be removed.
///
/// The crate's stores implement both traits. Where both are in scope, name the one that you call:
/// `AsyncNonceStore::lease(&store, …)`.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_core::{NonceSource as _, UnixTime, uuid::Uuid};
/// use mixin_pin_store::{AsyncLease as _, AsyncNonceStore as _, LeaseReply, LeaseTerms};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = mixin_pin_store::open_async("memory:").await?;
/// let terms = LeaseTerms::new(Duration::from_secs(35)).wait(Duration::from_secs(10)).with_confirmed_clock();
/// if let LeaseReply::Granted(lease) = store.lease(Uuid::from_u128(1), terms).await? {
///     let nonce = lease.next(UnixTime::try_from(std::time::SystemTime::now())?)?;
///     // Encrypt a PIN with the nonce, send it, and wait for the answer.
/// #   assert!(nonce.iterator() > 0);
///     lease.release().await;
/// }
/// # Ok::<(), mixin_pin_store::Error>(()) }).unwrap();
/// ```
///
/// # Panics
/// A caller that waits panics if the runtime has no timer: build it with `enable_time` or `enable_all`.
pub trait AsyncNonceStore: Send + Sync {
    /// Leases a session, as [`NonceStore::lease`](crate::NonceStore::lease) does.
    fn lease<'s>(
        &'s self,
        session_id: Uuid,
        terms: LeaseTerms<'s>,
    ) -> BoxFuture<'s, Result<LeaseReply<Box<dyn AsyncLease>>, Error>>;

    /// The calls of a session, as [`NonceStore::pending`](crate::NonceStore::pending) lists them.
    fn pending(&self, session_id: Uuid) -> BoxFuture<'_, Result<Vec<PendingCall>, Error>>;

    /// Removes the entry of a call, as [`NonceStore::settle`](crate::NonceStore::settle) does.
    fn settle(&self, session_id: Uuid, request_id: Uuid) -> BoxFuture<'_, Result<bool, Error>>;
}

/// A lease of an async store.
///
/// Its iterators are those reserved with it: two, or fewer at the end of the numbers. It gives them out without asking
/// the store again, until the lease ends by this process's clocks. Afterwards there is [`Error::NoIteratorLeft`].
///
/// Dropping it releases the session in the background. If the process or the runtime ends before that, the lease ends
/// by itself, and the entry of its call stays.
pub trait AsyncLease: Lease {
    /// Releases the session. The future ends when that is done or has failed; the release goes on if it is dropped.
    fn release(self: Box<Self>) -> BoxFuture<'static, ()>;
}

macro_rules! by_pointer {
    ($($pointer:ty),*) => {$(
        impl<S: AsyncNonceStore + ?Sized> AsyncNonceStore for $pointer {
            fn lease<'s>(
                &'s self,
                session_id: Uuid,
                terms: LeaseTerms<'s>,
            ) -> BoxFuture<'s, Result<LeaseReply<Box<dyn AsyncLease>>, Error>> {
                (**self).lease(session_id, terms)
            }

            fn pending(&self, session_id: Uuid) -> BoxFuture<'_, Result<Vec<PendingCall>, Error>> {
                (**self).pending(session_id)
            }

            fn settle(&self, session_id: Uuid, request_id: Uuid) -> BoxFuture<'_, Result<bool, Error>> {
                (**self).settle(session_id, request_id)
            }
        }
    )*};
}
by_pointer!(&S, Box<S>, Arc<S>);
