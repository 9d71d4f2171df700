//! Makes a change of a key that cannot be taken back, and finds out which key counts if the answer is lost.
//!
//! The caller has written the new key to disk and read it back before. An interrupted change is asked for, and made again
//! with the same key, so no run leaves a key behind that nobody has.

mod key_file;
mod unfinished;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use mixin_pin_http::{Error as HttpError, Outcome, Unknown};

use crate::error::{Error, KeyProblem, Stop};
use crate::redact::ShownInput;

pub(crate) use key_file::{KeyFile, REPLACED};
pub(crate) use unfinished::{Kind, Unfinished};

/// Which key the server accepts.
#[derive(Debug)]
pub(crate) enum Standing<N> {
    New(N),
    Old,
    Neither,
}

/// A change of a key.
pub(crate) trait Change {
    /// What the server says of the new key.
    type New;

    /// Whether a repeated question can get another answer while a lost request may still arrive. If not, asking costs a try.
    const IS_ASKED_AGAIN: bool;

    /// Asks which key counts.
    fn ask(&mut self) -> Result<Standing<Self::New>, Error>;

    /// Makes the change. An error means that nothing changed.
    fn send(&mut self) -> Result<Outcome<Self::New>, Error>;

    /// Whether the change may be made again while neither key is accepted.
    fn may_repeat(&self) -> bool {
        false
    }
}

/// What is known of the two keys when a run stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Works {
    Old,
    /// The old key, and the lost request may still arrive.
    OldSoFar,
    New,
    Neither,
    /// Nothing was sent in this run, or what was sent changed nothing.
    Unchanged,
    Unknown,
}

impl Works {
    /// A word for scripts.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::OldSoFar => "old-so-far",
            Self::New => "new",
            Self::Neither => "neither",
            Self::Unchanged => "unchanged",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a change is not complete.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Error,
    pub(crate) works: Works,
}

/// Pauses between the questions after a lost answer.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const QUESTIONS: u32 = 4;

/// Makes a change, or finds out that an earlier run has made it.
///
/// `may_be_made` says that an earlier run may have sent it. `patience` limits the time for questions after a lost answer.
pub(crate) fn carry_out<C: Change>(change: &mut C, may_be_made: bool, patience: Duration) -> Result<C::New, Failure> {
    let failed = |works| move |cause| Failure { cause, works };
    let mut before = Works::Unchanged;
    if may_be_made {
        before = match change.ask().map_err(failed(Works::Unknown))? {
            Standing::New(new) => return Ok(new),
            Standing::Old => Works::Old,
            Standing::Neither if change.may_repeat() => Works::Neither,
            Standing::Neither => return Err(failed(Works::Neither)(Error::Key(KeyProblem::Neither))),
        };
    }
    let mut is_repeat = false;
    loop {
        let lost = match change.send() {
            Ok(Outcome::Done(new)) => return Ok(new),
            Ok(Outcome::Unknown(lost)) => lost,
            Err(cause) => return Err(failed(before)(cause)),
        };
        let standing = settle(change, patience, &lost);
        let works = match standing {
            Ok(Standing::New(new)) => return Ok(new),
            Ok(Standing::Neither) if change.may_repeat() && !is_repeat => {
                (is_repeat, before) = (true, Works::Neither);
                continue;
            }
            Ok(Standing::Neither) => Works::Neither,
            Ok(Standing::Old) if C::IS_ASKED_AGAIN && !is_refusal(&lost.cause) => Works::OldSoFar,
            Ok(Standing::Old) => Works::Old,
            Err(_) => Works::Unknown,
        };
        return Err(failed(works)(cause_of(lost, works)));
    }
}

/// If the old key counts for certain, the change was not carried out. That also holds for a refusal that was in doubt: a copy
/// that arrived first would have replaced the key.
fn cause_of(lost: Unknown, works: Works) -> Error {
    match works {
        Works::Old if is_refusal(&lost.cause) => Error::Http(*lost.cause),
        Works::Old => Error::NotCarriedOut(lost.cause),
        _ => Error::Unknown { lost, run: None, listed_by: None },
    }
}

/// Whether the server refused a request, this one or a copy.
pub(crate) fn is_refusal(error: &HttpError) -> bool {
    use mixin_pin_protocol::Error as ProtocolError;

    matches!(error, HttpError::Protocol(ProtocolError::Answer(error)) if error.is_refusal())
}

/// Asks after a lost answer, with growing pauses: the request may still be on its way, and the network may come back.
fn settle<C: Change>(change: &mut C, patience: Duration, lost: &Unknown) -> Result<Standing<C::New>, Error> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut left = QUESTIONS;
    loop {
        left -= 1;
        let standing = change.ask();
        let is_final = match &standing {
            Ok(Standing::New(_)) => true,
            Ok(Standing::Old | Standing::Neither) => !C::IS_ASKED_AGAIN || is_refusal(&lost.cause),
            // Other failures are not of the network.
            Err(error) => error.exit_code() != 4,
        };
        if is_final || left == 0 || begun.elapsed() + pause > patience {
            return standing;
        }
        thread::sleep(pause);
        pause *= 2;
    }
}

/// The words for the two keys in messages.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) old: String,
    pub(crate) new: String,
}

impl Names {
    /// Two keystores, or a keystore and the file with the new key.
    pub(crate) fn of_files(old: &Path, new: &Path) -> Self {
        Self { old: ShownInput(old).to_string(), new: ShownInput(new).to_string() }
    }

    /// Which of the two works, as a part of a sentence.
    pub(crate) fn works(&self, works: Works) -> String {
        let Self { old, new } = self;
        match works {
            Works::Old => format!("{old} works, and {new} does not"),
            Works::OldSoFar => format!("so far {old} works; the lost request may still arrive"),
            Works::New => format!("{new} works"),
            Works::Neither => format!("the server accepts neither {old} nor {new}"),
            Works::Unchanged => format!("nothing changed, so {old} is as it was"),
            Works::Unknown => format!("whether {old} or {new} works is not known"),
        }
    }
}

impl Failure {
    /// The error for the user. `said` tells what works, `kept` is the file that the next run needs, `run` the command that
    /// goes on.
    pub(crate) fn into_error(self, said: String, kept: Option<&Path>, run: Option<String>) -> Error {
        let Self { cause, works } = self;
        let kept = kept.map(|path| ShownInput(path).to_string());
        Error::Stopped(Box::new(Stop { cause, works, said, kept, run }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use mixin_pin_core::uuid::Uuid;
    use mixin_pin_http::NextStep;
    use mixin_pin_protocol::AnswerError;

    use super::*;

    /// A change with prepared answers. It records what was done.
    struct Scripted {
        asked: VecDeque<Result<Standing<u8>, Error>>,
        sent: VecDeque<Result<Outcome<u8>, Error>>,
        may_repeat: bool,
        done: String,
    }

    impl Change for Scripted {
        type New = u8;

        const IS_ASKED_AGAIN: bool = true;

        fn ask(&mut self) -> Result<Standing<u8>, Error> {
            self.done.push('a');
            self.asked.pop_front().unwrap_or(Ok(Standing::Old))
        }

        fn send(&mut self) -> Result<Outcome<u8>, Error> {
            self.done.push('s');
            self.sent.pop_front().unwrap()
        }

        fn may_repeat(&self) -> bool {
            self.may_repeat
        }
    }

    fn lost() -> Outcome<u8> {
        let cause = Box::new(AnswerError::Server { status: 502 }.into());
        Outcome::Unknown(Unknown { request_id: Uuid::nil(), cause, expires_at: None, next: NextStep::CheckFirst })
    }

    fn network() -> Result<Standing<u8>, Error> {
        Err(Error::Http(AnswerError::Server { status: 502 }.into()))
    }

    fn run(
        may_be_made: bool,
        may_repeat: bool,
        asked: Vec<Result<Standing<u8>, Error>>,
        sent: Vec<Result<Outcome<u8>, Error>>,
    ) -> (Result<u8, Works>, String) {
        let mut change = Scripted { asked: asked.into(), sent: sent.into(), may_repeat, done: String::new() };
        let result = carry_out(&mut change, may_be_made, Duration::from_secs(9)).map_err(|failure| failure.works);
        (result, change.done)
    }

    #[test]
    fn a_change_is_sent_once_unless_it_is_known_that_neither_key_counts() {
        use Standing::{Neither, New, Old};

        let done = || Ok(Outcome::Done(7));
        let refused = || Err(Error::Key(KeyProblem::Neither));
        let said = |done: &str| done.to_owned();
        assert_eq!(run(false, false, vec![], vec![done()]), (Ok(7), said("s")));
        assert_eq!(run(false, false, vec![], vec![refused()]), (Err(Works::Unchanged), said("s")));
        // An earlier run may have made it: ask first.
        assert_eq!(run(true, false, vec![Ok(New(7))], vec![]), (Ok(7), said("a")));
        assert_eq!(run(true, false, vec![Ok(Old)], vec![done()]), (Ok(7), said("as")));
        assert_eq!(run(true, false, vec![Ok(Old)], vec![refused()]), (Err(Works::Old), said("as")));
        assert_eq!(run(true, false, vec![Ok(Neither)], vec![]), (Err(Works::Neither), said("a")));
        assert_eq!(run(true, false, vec![network()], vec![]), (Err(Works::Unknown), said("a")));
        assert_eq!(run(true, true, vec![Ok(Neither)], vec![done()]), (Ok(7), said("as")));
        // The answer is lost: ask, and never send again while the old key counts.
        assert_eq!(run(false, true, vec![Ok(New(7))], vec![Ok(lost())]), (Ok(7), said("sa")));
        assert_eq!(run(false, true, vec![network(), Ok(Old), Ok(New(7))], vec![Ok(lost())]), (Ok(7), said("saaa")));
        assert_eq!(run(false, true, vec![], vec![Ok(lost())]), (Err(Works::OldSoFar), said("saaaa")));
        let none = || vec![network(), network(), network(), network()];
        assert_eq!(run(false, true, none(), vec![Ok(lost())]), (Err(Works::Unknown), said("saaaa")));
        let neither = || (0..4).map(|_| Ok(Neither)).collect::<Vec<_>>();
        assert_eq!(run(false, false, neither(), vec![Ok(lost())]), (Err(Works::Neither), said("saaaa")));
        assert_eq!(run(false, true, neither(), vec![Ok(lost()), done()]), (Ok(7), said("saaaas")));
        let twice = neither().into_iter().chain(neither()).collect();
        assert_eq!(run(false, true, twice, vec![Ok(lost()), Ok(lost())]), (Err(Works::Neither), said("saaaasaaaa")));
    }
}
