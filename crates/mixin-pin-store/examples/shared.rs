//! Two callers share a session, as two processes would: they wait for each other, and iterators rise.
//!
//! ```sh
//! cargo run -p mixin-pin-store --example shared
//! ```

use std::error::Error;
use std::thread;
use std::time::{Duration, SystemTime};

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore as _, SqliteStore};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("iterators.db");
    let callers: Vec<_> = ["one", "two"]
        .map(|name| {
            let path = path.clone();
            thread::spawn(move || call(name, &path).map_err(|error| error.to_string()))
        })
        .into_iter()
        .collect();
    for caller in callers {
        caller.join().map_err(|_| "a caller panicked")??;
    }
    Ok(())
}

fn call(name: &str, path: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let store = SqliteStore::open(path)?;
    // The lease lasts as long as the call may take. The clock counts as confirmed.
    let terms = LeaseTerms::new(Duration::from_secs(5)).wait(Duration::from_secs(10)).with_confirmed_clock();
    for _ in 0..3 {
        match store.lease(Uuid::from_u128(1), &terms)? {
            LeaseReply::Granted(lease) => {
                let nonce = lease.next(UnixTime::try_from(SystemTime::now())?)?;
                println!("{name} sends {}", nonce.iterator());
                // The call goes here. Dropping the lease after its answer releases the session.
                thread::sleep(Duration::from_millis(20));
            }
            LeaseReply::Busy => return Err("the other caller took too long".into()),
            LeaseReply::ClockUnconfirmed { .. } => return Err("the clock is already confirmed".into()),
        }
    }
    Ok(())
}
