//! The worker process: tasks that make calls of one session, and drop half of their futures at random moments. It prints what
//! its observer hears.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use mixin_pin_async::{Client, Error, Event, Observer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Pin, Session, SystemRng};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_store::{Durability, SqliteStore};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

pub const PIN: &str = "271828";
const WORKERS: usize = 16;
const ORDERS: &str = "MIXIN_PIN_DROPPING_WORKER";

pub struct Orders {
    pub url: String,
    pub keystore: PathBuf,
    pub store: PathBuf,
    pub stop: PathBuf,
}

/// This program as a worker.
pub fn command(orders: &Orders) -> Command {
    let Orders { url, keystore, store, stop } = orders;
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(ORDERS, json!({"url": url, "keystore": keystore, "store": store, "stop": stop}).to_string());
    command
}

/// The orders if this process is a worker.
pub fn orders() -> Option<Orders> {
    let orders: Value = serde_json::from_str(&env::var(ORDERS).ok()?).unwrap();
    let text = |name: &str| orders[name].as_str().unwrap().to_owned();
    Some(Orders {
        url: text("url"),
        keystore: text("keystore").into(),
        store: text("store").into(),
        stop: text("stop").into(),
    })
}

pub fn session(keystore: &Path) -> Session {
    let keystore = Keystore::parse(&fs::read(keystore).unwrap()).unwrap();
    keystore.into_session(&mut SystemRng::new().unwrap()).unwrap()
}

/// Prints how each request ended. Standard output is line-buffered: the parent gets a line before the journal forgets the
/// call.
struct Lines;

impl Observer for Lines {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Ended { request_id, method: "POST", class, .. } = event {
            println!("ended {request_id} {}", class.as_str());
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn run(orders: &Orders) {
    let store = SqliteStore::open(&orders.store).unwrap().durability(Durability::Crash);
    let builder =
        Client::builder(session(&orders.keystore)).base_url(&orders.url).store(store).observer(Arc::new(Lines));
    let builder = builder.timeout(Duration::from_millis(400)).wait(Duration::from_secs(60));
    let client = Arc::new(builder.build().unwrap());
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (client, stop) = (client.clone(), orders.stop.clone());
            tokio::spawn(async move {
                while !stop.exists() {
                    work(&client).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

async fn work(client: &Client) {
    let (pin, nothing) = (Pin::new(PIN).unwrap(), Map::new());
    let path = format!("/addresses/{}/delete", Uuid::nil());
    let call = async {
        if fastrand::bool() {
            client.verify_pin(&pin).await.map(drop)
        } else {
            client.call_with_pin::<Value>("POST", &path, &nothing, &pin).await.map(drop)
        }
    };
    let result = if fastrand::bool() {
        timeout(Duration::from_micros(fastrand::u64(0..60_000)), call).await.unwrap_or_else(|_| {
            println!("dropped");
            Ok(())
        })
    } else {
        call.await
    };
    match result {
        // On a busy machine the lease can end before the call is sent.
        Ok(()) | Err(Error::LeaseLost | Error::TimeOver { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
}
