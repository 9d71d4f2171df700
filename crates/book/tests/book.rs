//! Every page of the book is in its contents and is tested, and every link has a target.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The targets of a page's links outside code blocks.
fn links(page: &str) -> Vec<String> {
    let mut fenced = false;
    let mut links = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            links.extend(
                line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link.to_owned()),
            );
        }
    }
    links
}

/// The anchors of a page's headings, as mdBook and GitHub form them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_page_is_in_the_contents_and_is_tested() {
    let contents: BTreeSet<_> = links(&fs::read_to_string(docs().join("SUMMARY.md")).unwrap()).into_iter().collect();
    let pages: BTreeSet<_> = fs::read_dir(docs())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "SUMMARY.md")
        .collect();
    let tested: BTreeSet<_> = mixin_pin_book::PAGES.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(contents, pages);
    assert_eq!(tested, pages);
}

#[test]
fn every_link_has_a_target() {
    let mut checked = 0;
    let pages = mixin_pin_book::PAGES.iter().map(|page| (docs(), *page));
    let others = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(|page| (docs().join(".."), page));
    for (folder, page) in pages.chain(others) {
        let text = fs::read_to_string(folder.join(page)).unwrap();
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            assert!(!link.starts_with("../") || folder != docs(), "{page}: {link} leaves the book");
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let path = folder.join(if file.is_empty() { page } else { file });
            assert!(path.exists(), "{page}: {link}");
            if !anchor.is_empty() {
                assert!(anchors(&fs::read_to_string(path).unwrap()).contains(anchor), "{page}: {link}");
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}
