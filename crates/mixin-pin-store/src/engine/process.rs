//! Distinguishes a process from a child that was forked from it. The child has the memory of its parent, but none of its locks.

use forkguard::Guard;

/// The process that created this value.
#[derive(Debug, Clone)]
pub(crate) struct Process(Option<Guard>);

impl Process {
    pub(crate) fn current() -> Self {
        // If there is no memory for the guard, forks are not detected.
        Self(Guard::try_new().ok())
    }

    /// Whether this still runs in the process that created it.
    pub(crate) fn is_current(&self) -> bool {
        self.0.clone().is_none_or(|mut guard| !guard.detected_fork())
    }
}
