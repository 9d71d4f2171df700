//! Servers of databases for tests: real ones, on free ports, that stop with their test.
//!
//! A test that needs a server which is not installed prints `SKIPPED`. With `MIXIN_PIN_REQUIRE_ALL` it fails instead.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "a test fails by a panic")]

pub mod cluster;
#[cfg(unix)]
pub mod postgres;
pub mod redis;
pub mod sentinel;
