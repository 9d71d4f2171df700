//! The primary that the Sentinels name.
//!
//! A primary counts if more than half of the URL's Sentinels name it. Their answer counts for a second. A primary that was
//! replaced may not know that. It gets no request that begins more than a second after most Sentinels know.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Server;
use crate::{Error, RedisError};

/// The Sentinels, and the primary that they named last.
pub(in crate::redis) struct Sentinels {
    name: String,
    known: Mutex<Known>,
}

struct Known {
    /// Those that answer come first.
    sentinels: Vec<Server>,
    primary: Option<(Server, Instant)>,
}

/// A round of questions to the Sentinels.
pub(in crate::redis) struct Poll {
    name: String,
    begun: Instant,
    /// Those not yet asked, the next one last.
    left: Vec<Server>,
    needed: usize,
    named: Vec<(String, u16)>,
    /// Sentinels that know no primary of this name.
    strangers: usize,
    failed: Vec<Server>,
    is_refused: bool,
}

impl Sentinels {
    /// How long an answer counts.
    const FRESH: Duration = Duration::from_secs(1);

    pub(super) fn new(sentinels: Vec<Server>, name: &str) -> Self {
        Self { name: name.to_owned(), known: Mutex::new(Known { sentinels, primary: None }) }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn primary(&self) -> Option<Server> {
        self.lock().primary.as_ref().map(|(server, _)| server.clone())
    }

    pub(super) fn forget(&self, server: &Server) {
        let mut known = self.lock();
        known.primary.take_if(|(primary, _)| super::address(primary) == super::address(server));
    }

    /// None if the last answer still counts.
    pub(super) fn poll(&self) -> Option<Poll> {
        let known = self.lock();
        if known.primary.as_ref().is_some_and(|(_, at)| at.elapsed() < Self::FRESH) {
            return None;
        }
        let left: Vec<Server> = known.sentinels.iter().rev().cloned().collect();
        let needed = left.len() / 2 + 1;
        Some(Poll {
            name: self.name.clone(),
            begun: Instant::now(),
            left,
            needed,
            named: Vec::new(),
            strangers: 0,
            failed: Vec::new(),
            is_refused: false,
        })
    }

    /// The primary that the answers name.
    pub(super) fn decide(&self, poll: &Poll) -> Result<(String, u16), Error> {
        let mut known = self.lock();
        let is_failed = |sentinel: &Server| poll.failed.iter().any(|failed| std::sync::Arc::ptr_eq(failed, sentinel));
        known.sentinels.sort_by_key(is_failed);
        if let Some(address) = poll.decided() {
            return Ok(address.clone());
        }
        known.primary = None;
        Err(Error::Redis(if poll.is_refused {
            RedisError::SentinelRefused
        } else if poll.strangers >= poll.needed {
            RedisError::UnknownPrimary
        } else {
            RedisError::NoPrimary
        }))
    }

    pub(super) fn learn(&self, primary: Server, at: Instant) {
        self.lock().primary = Some((primary, at));
    }
}

impl Poll {
    /// How long one Sentinel may take.
    pub(in crate::redis) const LIMIT: Duration = Duration::from_secs(1);

    /// The next Sentinel to ask. None if enough have answered.
    pub(in crate::redis) fn next(&mut self) -> Option<Server> {
        if self.decided().is_some() { None } else { self.left.pop() }
    }

    /// What to ask.
    pub(in crate::redis) fn question(&self) -> redis::Cmd {
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        command
    }

    pub(in crate::redis) fn answered(&mut self, sentinel: Server, answer: Result<Option<(String, u16)>, RedisError>) {
        match answer {
            Ok(Some(address)) => self.named.push(address),
            Ok(None) => self.strangers += 1,
            Err(error) => {
                self.failed.push(sentinel);
                self.is_refused |=
                    matches!(error, RedisError::PasswordMissing | RedisError::PasswordWrong | RedisError::Forbidden);
            }
        }
    }

    pub(super) const fn begun(&self) -> Instant {
        self.begun
    }

    fn decided(&self) -> Option<&(String, u16)> {
        let count = |address: &&(String, u16)| self.named.iter().filter(|named| named == address).count();
        self.named.iter().find(|address| count(address) >= self.needed)
    }
}
