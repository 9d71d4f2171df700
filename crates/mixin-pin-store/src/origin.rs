//! Tells a process from one that was forked from it, which has its memory and none of its locks.

use forkguard::Guard;

/// The process that made this.
#[derive(Debug, Clone)]
pub(crate) struct Origin(Option<Guard>);

impl Origin {
    pub(crate) fn here() -> Self {
        // Where the system has no memory left to note forks with, none is noticed.
        Self(Guard::try_new().ok())
    }

    /// Whether it is still the one that runs, and no child of it.
    pub(crate) fn is_here(&self) -> bool {
        self.0.clone().is_none_or(|mut guard| !guard.detected_fork())
    }
}
