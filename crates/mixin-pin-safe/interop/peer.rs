//! Runs the other client and compares its answers.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::Result;

/// The other client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The official Node SDK.
    Node,
    /// The crate `mixin-sdk-rs`.
    Rust,
}

/// What the other client must answer.
pub enum Expected {
    /// Exactly this.
    Answer(Value),
    /// Anything but an error. What this crate does instead is asserted where the check is made.
    Accepted,
    /// An error, for this reason.
    Refused(&'static str),
    /// An error, or anything else than this, for this reason.
    Differs(Value, &'static str),
}

/// A job for the other client.
pub struct Check {
    pub name: String,
    pub job: Value,
    pub expected: Expected,
}

impl Check {
    pub fn same(name: impl Into<String>, job: Value, answer: Value) -> Self {
        Self { name: name.into(), job, expected: Expected::Answer(answer) }
    }

    /// Says what is wrong with the answer.
    fn compare(&self, answer: &Value) -> Option<String> {
        let (done, error) = (answer.get("ok"), answer.get("error"));
        match &self.expected {
            Expected::Answer(expected) if done == Some(expected) => None,
            Expected::Answer(expected) => Some(format!("expected {expected}, but it answers {answer}")),
            Expected::Accepted if done.is_some() => None,
            Expected::Accepted => Some(format!("it should accept this, but it answers {answer}")),
            Expected::Refused(_) if error.is_some() => None,
            Expected::Refused(reason) => Some(format!("it should refuse ({reason}), but it answers {answer}")),
            Expected::Differs(ours, _) if done != Some(ours) => None,
            Expected::Differs(_, reason) => Some(format!("it should differ ({reason}), but it answers the same")),
        }
    }
}

/// Gives all jobs to the program. Prints what differs, and returns how many do.
pub fn run(checks: &[Check], mut arguments: impl Iterator<Item = String>) -> Result<usize> {
    let program = arguments.next().ok_or("which program?")?;
    let mut child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    let jobs = checks.iter().fold(String::new(), |jobs, check| jobs + &check.job.to_string() + "\n");
    // In a thread of its own, because the program may answer before it has read everything.
    let writer = thread::spawn(move || input.write_all(jobs.as_bytes()));
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer panicked")??;
    if !output.status.success() {
        return Err(format!("the program ended with {}", output.status).into());
    }
    let answers: Vec<Value> =
        str::from_utf8(&output.stdout)?.lines().map(serde_json::from_str).collect::<std::result::Result<_, _>>()?;
    if answers.len() != checks.len() {
        return Err(format!("{} jobs, but {} answers", checks.len(), answers.len()).into());
    }
    let mut failed = 0;
    for (check, answer) in checks.iter().zip(&answers) {
        if let Some(problem) = check.compare(answer) {
            failed += 1;
            println!("{}: {problem}\n  job: {}", check.name, check.job);
        }
    }
    Ok(failed)
}
