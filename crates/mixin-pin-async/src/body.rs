//! The body of a request, which is sent once or not at all.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// A body that a connection takes at most once. Until then it can be revoked.
///
/// `hyper` takes the body before it writes the first byte of the request: it buffers the head, then polls the body,
/// then writes. So if the body could be revoked, nothing was sent, and nothing will be.
#[derive(Clone)]
pub(crate) struct Parcel(Arc<Mutex<State>>);

enum State {
    Here(Bytes),
    Taken,
    Revoked,
}

impl Parcel {
    /// A body that is not empty: an empty one is never asked for.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State::Here(bytes.into()))))
    }

    /// Keeps the body from being taken. Returns false if it was taken already.
    pub(crate) fn revoke(&self) -> bool {
        let mut state = self.state();
        if let State::Taken = *state {
            return false;
        }
        *state = State::Revoked;
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for Parcel {
    type Data = Bytes;
    type Error = Revoked;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Revoked>>> {
        let mut state = self.state();
        Poll::Ready(match mem::replace(&mut *state, State::Taken) {
            State::Here(bytes) => Some(Ok(Frame::data(bytes))),
            State::Taken => None,
            State::Revoked => {
                *state = State::Revoked;
                Some(Err(Revoked))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(*self.state(), State::Taken)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &*self.state() {
            State::Here(bytes) => bytes.len() as u64,
            State::Taken | State::Revoked => 0,
        })
    }
}

/// The body was revoked.
#[derive(Debug)]
pub(crate) struct Revoked;

impl fmt::Display for Revoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was given up before it was sent")
    }
}

impl std::error::Error for Revoked {}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn poll(parcel: &Parcel) -> Option<Result<Bytes, Revoked>> {
        let mut parcel = parcel.clone();
        match Pin::new(&mut parcel).poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => frame.map(|frame| frame.map(|frame| frame.into_data().unwrap())),
            Poll::Pending => panic!("a body never waits"),
        }
    }

    #[test]
    fn a_body_is_taken_once_and_then_cannot_be_revoked() {
        let parcel = Parcel::new(b"body".to_vec());
        assert_eq!((parcel.size_hint().exact(), parcel.is_end_stream()), (Some(4), false));
        assert_eq!(poll(&parcel).unwrap().unwrap(), "body");
        assert!(poll(&parcel).is_none() && parcel.is_end_stream());
        assert!(!parcel.revoke() && poll(&parcel).is_none());
    }

    #[test]
    fn a_revoked_body_is_never_taken() {
        let parcel = Parcel::new(b"body".to_vec());
        assert!(parcel.revoke() && parcel.revoke());
        assert!(poll(&parcel).unwrap().is_err() && poll(&parcel).unwrap().is_err());
        assert!(!parcel.is_end_stream());
    }
}
