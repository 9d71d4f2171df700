//! A sandbox as a test fixture: an observer records every request.
//!
//! ```sh
//! cargo run -p mixin-pin-sandbox --example fixture
//! ```

use std::error::Error;
use std::sync::{Arc, Mutex};

use mixin_pin_core::SystemRng;
use mixin_pin_http::Client;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_sandbox::{Config, Sandbox};

fn main() -> Result<(), Box<dyn Error>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let list = seen.clone();
    let sandbox = Sandbox::start(&Config {
        observer: Some(Arc::new(move |call| {
            if let Ok(mut list) = list.lock() {
                list.push(format!("{} {}: {}", call.method, call.path, call.status));
            }
        })),
        ..Config::default()
    })?;
    let app = Keystore::parse(sandbox.app_keystore().as_bytes())?.into_session(&mut SystemRng::new()?)?;
    let client = Client::builder(app).base_url(sandbox.url()).build()?;
    println!("the client read: {}", client.me()?.full_name);
    sandbox.stop()?;
    for call in seen.lock().map_err(|_| "the observer panicked")?.iter() {
        println!("the sandbox saw: {call}");
    }
    Ok(())
}
