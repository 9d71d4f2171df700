//! Processes with leases that die, stop or fork: the leases of dead processes end at once, all others stay.
//!
//! The tests need Unix: its signals, its permissions and `fork`.

#[cfg(unix)]
#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
mod unix;

fn main() {
    #[cfg(unix)]
    unix::main();
}
