//! The threads of a server, which may start and stop inside another runtime.

use std::io;

use tokio::runtime::{Builder, EnterGuard, Runtime};

/// A runtime with two threads. Dropping it never waits, because tokio panics where that would block async code.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_multi_thread().worker_threads(2).enable_all().build()?)))
    }

    /// What is created meanwhile belongs to these threads. `None` after [`into_inner`](Self::into_inner).
    pub(crate) fn enter(&self) -> Option<EnterGuard<'_>> {
        self.0.as_ref().map(Runtime::enter)
    }

    /// For a thread of its own, which may wait.
    pub(crate) fn into_inner(mut self) -> Option<Runtime> {
        self.0.take()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
