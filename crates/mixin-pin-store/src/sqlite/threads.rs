//! Threads that run transactions for async callers.
//!
//! A transaction may wait for a disk or for another process, so it must not run on a thread of the caller's runtime. The
//! runtime's own threads for blocking work may all be in use by other software, so the store has its own.

use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, thread};

type Job = Box<dyn FnOnce() + Send>;

/// The threads. They start with the first job, and end when this is dropped and all jobs are done.
#[derive(Default)]
pub(super) struct Threads(Mutex<Option<Sender<Job>>>);

impl Threads {
    /// Each job is one transaction. SQLite runs one writer at a time, and readers beside it.
    const COUNT: usize = 4;

    /// Gives a job to the threads. Returns it if they cannot be started. Not for a forked child, which has no threads.
    pub(super) fn submit(&self, job: Job) -> Result<(), (Job, io::Error)> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = match &mut *jobs {
            Some(jobs) => jobs,
            none => match start() {
                Ok(jobs) => none.insert(jobs),
                Err(error) => return Err((job, error)),
            },
        };
        jobs.send(job).map_err(|unsent| (unsent.0, io::Error::other("the store's threads have ended")))
    }
}

/// Starts the threads. Fewer are enough.
fn start() -> io::Result<Sender<Job>> {
    let (jobs, received) = mpsc::channel();
    let received = Arc::new(Mutex::new(received));
    for number in 0..Threads::COUNT {
        let received = received.clone();
        let started = thread::Builder::new().name("mixin-pin-store".into()).spawn(move || work(&received));
        if let Err(error) = started
            && number == 0
        {
            return Err(error);
        }
    }
    Ok(jobs)
}

fn work(received: &Mutex<Receiver<Job>>) {
    loop {
        let job = received.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A panic, for example in a test's clock, must not end the thread. The caller finds that there is no result.
        let _ = panic::catch_unwind(AssertUnwindSafe(job));
    }
}
