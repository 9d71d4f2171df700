//! The README shows what is: its demo is the demo's output, its example the example's code.

mod common;

use std::fs;
use std::path::Path;

use common::run;

fn project(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The port is another each time.
fn without_port(text: &str) -> String {
    let Some((before, after)) = text.split_once("127.0.0.1:") else { return text.to_owned() };
    format!("{before}127.0.0.1:{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let readme = project("README.md");
    let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let printed = run(&["demo"], b"").done().stdout;
    assert_eq!(without_port(&printed), without_port(shown));
}

#[test]
fn the_example_in_the_readme_is_the_one_that_is_compiled() {
    let readme = project("README.md");
    let example = project("crates/mixin-pin-core/examples/embed.rs");
    let shown = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    for line in shown.lines() {
        assert!(example.contains(line.trim()), "not in the example: {line}");
    }
}
