//! Runs an independent Python program.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A Python that can import `module`, or None and a message on standard error: the test named `test` is then skipped.
#[expect(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
pub(crate) fn find(module: &str, test: &str) -> Option<&'static str> {
    let works = |python: &&str| {
        let probe = Command::new(python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(works);
    if found.is_none() {
        let needs = format!("{test} needs python3 with the package {module}");
        assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "{needs}");
        writeln!(std::io::stderr(), "SKIPPED: {needs}").unwrap();
    }
    found
}

/// Gives the program `tests/independent/NAME` a line of JSON for each case, and compares its answers with what is expected.
pub(crate) fn compare<C: std::fmt::Debug>(python: &str, name: &str, cases: &[(C, Value, Value)]) {
    let input: String = cases.iter().flat_map(|(_, line, _)| [line.to_string(), "\n".to_owned()]).collect();
    let script = format!("{}/tests/independent/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    for (answer, (case, _, expected)) in answers.lines().zip(cases) {
        assert_eq!(&serde_json::from_str::<Value>(answer).unwrap(), expected, "{case:?}");
    }
    let next = cases.get(answers.lines().count());
    assert!(output.status.success() && next.is_none(), "the program stopped at {next:?}");
    writer.join().unwrap().unwrap();
}
