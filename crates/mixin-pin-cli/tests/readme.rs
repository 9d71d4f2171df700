//! The README matches the code: its recording is the demo's output, and its examples are lines of compiled examples.

mod common;

use std::fs;
use std::path::Path;

use common::run;

fn project(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The port differs from run to run.
fn without_port(text: &str) -> String {
    let Some((before, after)) = text.split_once("127.0.0.1:") else { return text.to_owned() };
    format!("{before}127.0.0.1:{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let readme = project("README.md");
    let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let printed = run(&["demo", "--session", "ed25519"], b"").done().stdout;
    assert_eq!(without_port(&printed), without_port(shown));
}

#[test]
fn every_line_of_the_readmes_examples_is_compiled() {
    let readme = project("README.md");
    let blocks: Vec<&str> = readme.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let sources = ["crates/mixin-pin-core/examples/embed.rs", "crates/mixin-pin-http/src/lib.rs"];
    assert_eq!(blocks.len(), sources.len());
    for (block, source) in blocks.iter().zip(sources) {
        let compiled = project(source);
        for line in block.lines() {
            assert!(compiled.contains(line.trim()), "not in {source}: {line}");
        }
    }
}
