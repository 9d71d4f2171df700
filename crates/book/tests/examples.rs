//! Whatever a library offers is shown in use: each public type, and each function by its name, in an example.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const LIBRARIES: [&str; 6] = ["core", "protocol", "http", "store", "sandbox", "accel"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A public item as its source declares it.
struct Item {
    kind: String,
    name: String,
    /// Whether its own documentation has an example.
    has_example: bool,
}

/// The public items of a source file, and the text of all its examples.
fn read(source: &str) -> (Vec<Item>, String) {
    let (mut items, mut examples) = (Vec::new(), String::new());
    let (mut is_fenced, mut has_example) = (false, false);
    for line in source.lines().map(str::trim_start) {
        let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let is_fence = doc.is_some_and(|doc| doc.trim_start().starts_with("```"))
            || (line.starts_with("#![cfg_attr") || line.starts_with("#[cfg_attr")) && line.contains("doc = \"```\"");
        if is_fence {
            has_example |= !is_fenced;
            is_fenced = !is_fenced;
        } else if let Some(doc) = doc {
            if is_fenced {
                examples.push_str(doc);
                examples.push('\n');
            }
        } else if let Some(declared) = line.strip_prefix("pub ") {
            let mut words = words(declared).filter(|word| *word != "const");
            if let (Some(kind @ ("fn" | "struct" | "enum" | "trait")), Some(name)) = (words.next(), words.next()) {
                items.push(Item { kind: kind.to_owned(), name: name.to_owned(), has_example });
            }
            has_example = false;
        } else if !line.starts_with('#') && !line.starts_with("//") {
            has_example = false;
        }
    }
    assert!(!is_fenced, "an example does not end");
    (items, examples)
}

/// The identifiers in a piece of code, and its other words.
fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[test]
fn every_public_item_is_shown_in_an_example() {
    let (mut count, mut missing) = (0, Vec::new());
    for library in LIBRARIES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(format!("mixin-pin-{library}"));
        let mut files = Vec::new();
        sources(&folder.join("src"), &mut files);
        let read: Vec<_> = files.iter().map(|file| read(&fs::read_to_string(file).unwrap())).collect();
        let examples: String = read.iter().map(|(_, examples)| examples.as_str()).collect();
        let shown: BTreeSet<_> = words(&examples).collect();
        for item in read.iter().flat_map(|(items, _)| items) {
            count += 1;
            if !(item.has_example || shown.contains(item.name.as_str())) {
                missing.push(format!("{library}: {} {}", item.kind, item.name));
            }
        }
    }
    assert!(count > 300, "only {count} items were found");
    assert!(missing.is_empty(), "not shown in any example: {missing:#?}");
}

#[test]
fn items_and_examples_are_told_apart() {
    let (items, examples) = read(
        "/// One.\n///\n/// ```\n/// use a::Two;\n/// ```\n#[derive(Debug)]\npub struct One(u8);\n\n/// ```\n/// three();\n/// ```\npub const fn \
         three() {}\n/// Four.\npub enum Four {}\npub(crate) fn five() {}\n",
    );
    let items: Vec<_> = items.iter().map(|item| (item.kind.as_str(), item.name.as_str(), item.has_example)).collect();
    assert_eq!(items, [("struct", "One", true), ("fn", "three", true), ("enum", "Four", false)]);
    let shown: BTreeSet<_> = words(&examples).collect();
    assert!(shown.contains("Two") && shown.contains("three") && !shown.contains("Four"));
}
