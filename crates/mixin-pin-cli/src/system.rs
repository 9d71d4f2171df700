//! What differs between operating systems: file modes, terminals and signals.
//!
//! Each system has one module with the same functions and types. No other file of the command depends on the system.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(not(unix))]
mod windows;
#[cfg(not(unix))]
pub(crate) use windows::*;
