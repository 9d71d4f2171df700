//! Makes a change of a key, and finds out which key works if the answer is lost.
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
use crate::files;
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

    /// Asks which key works.
    fn ask(&mut self) -> Result<Standing<Self::New>, Error>;

    /// Makes the change. An error means that nothing changed.
    fn send(&mut self) -> Result<Outcome<Self::New>, Error>;

    /// Whether the change may be made again while neither key is accepted.
    fn may_repeat(&self) -> bool {
        false
    }

    /// Waits until no request of an earlier run can arrive any more, if nothing but the time tells that. Whether it waited.
    fn outwait(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    /// How long an earlier request may still arrive and undo the next one. None if no such request is known.
    fn may_arrive(&mut self) -> Result<Option<Duration>, Error> {
        Ok(None)
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
    /// How long to wait before the next run.
    pub(crate) wait: Option<Duration>,
    /// Whether the same command cannot succeed.
    pub(crate) is_final: bool,
}

impl Failure {
    pub(crate) const fn new(cause: Error, works: Works) -> Self {
        Self { cause, works, wait: None, is_final: false }
    }
}

/// Pauses between the questions after a lost answer.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const QUESTIONS: u32 = 4;

/// Makes a change, or finds out that an earlier run has made it.
///
/// `may_be_made` says that an earlier run may have sent it. `patience` limits the time for questions after a lost answer.
#[allow(clippy::result_large_err, reason = "a run fails once")]
pub(crate) fn carry_out<C: Change>(change: &mut C, may_be_made: bool, patience: Duration) -> Result<C::New, Failure> {
    let failed = |works| move |cause| Failure::new(cause, works);
    let mut before = Works::Unchanged;
    if may_be_made {
        let mut standing = change.ask().map_err(failed(Works::Unknown))?;
        if !matches!(standing, Standing::New(_)) && change.outwait().map_err(failed(Works::Unknown))? {
            standing = change.ask().map_err(failed(Works::Unknown))?;
        }
        before = match standing {
            Standing::New(new) => return Ok(new),
            Standing::Old => Works::Old,
            Standing::Neither => Works::Neither,
        };
    }
    if let Some(left) = change.may_arrive().map_err(failed(before))? {
        let works = if before == Works::Old { Works::OldSoFar } else { before };
        return Err(Failure { wait: Some(left), ..Failure::new(Error::Key(KeyProblem::MayArrive), works) });
    }
    if before == Works::Neither && !change.may_repeat() {
        return Err(failed(Works::Neither)(Error::Key(KeyProblem::Neither)));
    }
    let mut is_repeat = false;
    loop {
        let lost = match change.send() {
            Ok(Outcome::Done(new)) => return Ok(new),
            Ok(Outcome::Unknown(lost)) => lost,
            Err(cause) => return Err(failed(before)(cause)),
        };
        let standing = settle(change, patience, &lost);
        // If that fails too, the lost answer is the error to tell of, and the next run asks again.
        let may_arrive = change.may_arrive();
        let works = match standing {
            Ok(Standing::New(new)) => return Ok(new),
            // The server would refuse the same request again.
            Ok(Standing::Neither)
                if change.may_repeat() && !is_repeat && !is_refusal(&lost.cause) && matches!(may_arrive, Ok(None)) =>
            {
                (is_repeat, before) = (true, Works::Neither);
                continue;
            }
            Ok(Standing::Neither) => Works::Neither,
            Ok(Standing::Old) if C::IS_ASKED_AGAIN && !is_refusal(&lost.cause) => Works::OldSoFar,
            Ok(Standing::Old) => Works::Old,
            Err(_) => Works::Unknown,
        };
        return Err(Failure { wait: may_arrive.ok().flatten(), ..failed(works)(cause_of(lost, works)) });
    }
}

/// If the old key works for certain, the change was not carried out. That also holds for a refusal that was in doubt: a copy
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

/// The name of a keystore in messages.
pub(crate) fn shown(keystore: &Path) -> String {
    if files::is_stdin(keystore) {
        "the keystore from standard input".to_owned()
    } else {
        ShownInput(keystore).to_string()
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
        Self { old: shown(old), new: shown(new) }
    }

    /// Which of the two works, as a part of a sentence.
    pub(crate) fn works(&self, works: Works) -> String {
        let Self { old, new } = self;
        match works {
            Works::Old => format!("{old} works, and {new} does not"),
            Works::OldSoFar => format!("so far {old} works; the lost request may still arrive"),
            Works::New => format!("{new} works"),
            Works::Neither => format!("the server accepts neither {old} nor {new}"),
            // Another client may have changed it meanwhile.
            Works::Unchanged => "this run changed nothing".to_owned(),
            Works::Unknown => format!("whether {old} or {new} works is not known"),
        }
    }
}

impl Failure {
    /// The error for the user. `said` tells what works, `kept` is the file that the next run needs, `run` the command that
    /// goes on.
    pub(crate) fn into_error(self, said: String, kept: Option<&Path>, run: Option<String>) -> Error {
        let Self { cause, works, wait, is_final } = self;
        let kept = kept.map(|path| ShownInput(path).to_string());
        // The command that asked for the PIN at a terminal has to get it in another way.
        let lacks_pin = matches!(&cause, Error::NoTerminal { which, .. } if which.contains("PIN"));
        let run = run.map(|run| if lacks_pin { run + " --pin-stdin" } else { run });
        Error::Stopped(Box::new(Stop { cause, works, said, kept, run, wait, is_final }))
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
        /// For each question.
        may_arrive: VecDeque<Option<Duration>>,
        outwaits: bool,
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

        fn may_arrive(&mut self) -> Result<Option<Duration>, Error> {
            Ok(self.may_arrive.pop_front().flatten())
        }

        fn outwait(&mut self) -> Result<bool, Error> {
            if self.outwaits {
                self.done.push('w');
            }
            Ok(self.outwaits)
        }
    }

    fn unknown(cause: AnswerError) -> Outcome<u8> {
        let cause = Box::new(cause.into());
        Outcome::Unknown(Unknown { request_id: Uuid::nil(), cause, expires_at: None, next: NextStep::CheckFirst })
    }

    fn lost() -> Outcome<u8> {
        unknown(AnswerError::Server { status: 502 })
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
        let (may_arrive, outwaits, done) = (VecDeque::new(), false, String::new());
        let mut change = Scripted { asked: asked.into(), sent: sent.into(), may_repeat, may_arrive, outwaits, done };
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
        // After a refusal the change is not made again; after a lost answer it is.
        let refused = serde_json::from_value(serde_json::json!({ "code": 401 })).unwrap();
        let refused = Ok(unknown(AnswerError::Refusal(Box::new(refused))));
        assert_eq!(run(false, true, vec![Ok(Neither)], vec![refused]), (Err(Works::Neither), said("sa")));
        let twice = neither().into_iter().chain(neither()).collect();
        assert_eq!(run(false, true, twice, vec![Ok(lost()), Ok(lost())]), (Err(Works::Neither), said("saaaasaaaa")));
    }

    #[test]
    fn nothing_is_sent_while_an_earlier_request_may_arrive() {
        use Standing::{Neither, New, Old};

        let left = Some(Duration::from_secs(7));
        let run = |asked: Vec<Standing<u8>>, may_arrive: &[Option<Duration>], outwaits, sent: Vec<Outcome<u8>>| {
            let mut change = Scripted {
                asked: asked.into_iter().map(Ok).collect(),
                sent: sent.into_iter().map(Ok).collect(),
                may_repeat: true,
                may_arrive: may_arrive.to_vec().into(),
                outwaits,
                done: String::new(),
            };
            let result = carry_out(&mut change, true, Duration::from_secs(9));
            let result = result.map_err(|failure| (failure.works, failure.wait, failure.cause.exit_code()));
            (result, change.done)
        };
        let done = || vec![Outcome::Done(7)];
        assert_eq!(run(vec![Old], &[left], false, vec![]), (Err((Works::OldSoFar, left, 3)), "a".to_owned()));
        assert_eq!(run(vec![Neither], &[left], false, vec![]), (Err((Works::Neither, left, 3)), "a".to_owned()));
        assert_eq!(run(vec![Neither], &[None], false, done()), (Ok(7), "as".to_owned()));
        // The lost request itself may arrive.
        let neither = || (0..5).map(|_| Neither).collect();
        let stopped = run(neither(), &[None, left], false, vec![lost()]);
        assert_eq!(stopped, (Err((Works::Neither, left, 3)), "asaaaa".to_owned()));
        // Without a journal only the time tells.
        assert_eq!(run(vec![New(7)], &[], true, vec![]), (Ok(7), "a".to_owned()));
        assert_eq!(run(vec![Neither, New(7)], &[], true, vec![]), (Ok(7), "awa".to_owned()));
        assert_eq!(run(vec![Old, Old], &[], true, done()), (Ok(7), "awas".to_owned()));
    }
}
