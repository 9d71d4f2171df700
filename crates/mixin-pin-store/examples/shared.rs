//! Two callers of one session, as two processes would be: they wait for each other, and iterators rise.
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
    // A lease as long as the call may take; the clock of a session that is new here is vouched for.
    let terms = LeaseTerms::new(Duration::from_secs(5)).wait(Duration::from_secs(10)).with_confirmed_clock();
    for _ in 0..3 {
        match store.lease(Uuid::from_u128(1), &terms)? {
            LeaseReply::Granted(session) => {
                let nonce = session.next(UnixTime::try_from(SystemTime::now())?)?;
                println!("{name} sends {}", nonce.iterator());
                // The call is made here. The session is let go when its answer is there.
                thread::sleep(Duration::from_millis(20));
            }
            LeaseReply::Busy => return Err("the other took too long".into()),
            LeaseReply::ClockUnconfirmed { .. } => return Err("the clock leapt".into()),
        }
    }
    Ok(())
}
