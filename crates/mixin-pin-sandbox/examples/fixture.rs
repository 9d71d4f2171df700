//! A sandbox as the fixture of a test: it is told of every request, and its clock is the test's.
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
    let told = seen.clone();
    let sandbox = Sandbox::start(&Config {
        observer: Some(Arc::new(move |call| {
            if let Ok(mut told) = told.lock() {
                told.push(format!("{} {}: {}", call.method, call.path, call.status));
            }
        })),
        ..Config::default()
    })?;
    let app = Keystore::parse(sandbox.app_keystore().as_bytes())?.into_session(&mut SystemRng::new()?)?;
    let client = Client::builder(app).base_url(sandbox.url()).build()?;
    println!("the client believes: {}", client.me()?.full_name);
    sandbox.stop()?;
    for call in seen.lock().map_err(|_| "the observer panicked")?.iter() {
        println!("the sandbox saw: {call}");
    }
    Ok(())
}
