//! Compares this crate with another client: bytes, hashes, ghost keys, signatures and addresses of random transactions and
//! of every vector. Where the other client differs on purpose or by mistake, the difference is expected, so that a change
//! shows.
//!
//!     differential node|rust PROGRAM [ARGUMENT]…
//!
//! The program reads a JSON job a line and writes a JSON answer a line; `mixin-pin-sandbox/interop` has them.

mod known;
mod peer;
mod random;
mod show;

use std::error::Error;
use std::process::ExitCode;

use peer::Client;
use random::Random;
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Random transactions in a run.
const TRANSACTIONS: usize = 300;

fn hex(bytes: impl AsRef<[u8]>) -> String {
    base16ct::lower::encode_string(bytes.as_ref())
}

fn unhex(text: &Value) -> Result<Vec<u8>> {
    Ok(base16ct::lower::decode_vec(text.as_str().ok_or("not a text")?)?)
}

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let client = match arguments.next().as_deref() {
        Some("node") => Client::Node,
        Some("rust") => Client::Rust,
        _ => return Err("usage: differential node|rust PROGRAM [ARGUMENT]…".into()),
    };
    let mut checks = known::vectors(client)?;
    checks.extend(known::differences(client)?);
    let mut random = Random::new("mixin-pin-safe");
    for _ in 0..TRANSACTIONS {
        checks.extend(random::transaction(&mut random, client)?);
    }
    let failed = peer::run(&checks, arguments)?;
    println!("{} comparisons, {failed} failed", checks.len());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
