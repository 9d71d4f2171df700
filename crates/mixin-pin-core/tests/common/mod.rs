//! Shared by several test files: vectors, randomness and text conversions.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use mixin_pin_core::UnixTime;
use mixin_pin_core::rand_core::UnwrapErr;
use serde_json::Value;

pub const NOW: UnixTime = UnixTime::from_secs(1_795_517_646);

/// The operating system's randomness.
pub fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

pub fn testdata(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The vectors of a file in `testkit`.
pub fn vectors(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testkit").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file: Value = serde_json::from_str(&text).expect("vectors are JSON");
    list(&file, "vectors").to_vec()
}

/// The vector with an id in a file in `testkit`.
pub fn vector(name: &str, id: &str) -> Value {
    vectors(name).into_iter().find(|vector| vector["id"] == id).unwrap_or_else(|| panic!("{id} in {name}"))
}

pub fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

pub fn list<'v>(value: &'v Value, field: &str) -> &'v [Value] {
    value[field].as_array().unwrap_or_else(|| panic!("{field} in {value}"))
}

pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a String takes it");
    }
    text
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}
