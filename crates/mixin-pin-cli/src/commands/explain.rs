//! `explain`: prints the section of the error reference about one code or word, or what is known of another code.

use mixin_pin_protocol::answer::{ApiError, ErrorCode, Reason};
use serde_json::json;

use crate::args::ExplainArgs;
use crate::error::Error;
use crate::output::Output;

/// The error reference. Each section has a heading like "### `20119`".
const PAGE: &str = include_str!("../../errors.md");

/// The commands for an unknown outcome. They have no section of their own.
const TOOLS_FOR_UNKNOWN: [&str; 2] = ["pending", "resolve"];

pub(crate) fn run(args: &ExplainArgs, output: &Output) -> Result<(), Error> {
    let wanted = args.what.trim();
    let topic = if TOOLS_FOR_UNKNOWN.contains(&wanted) { "unknown" } else { wanted };
    let text = section(topic).ok_or_else(|| Error::NotExplained { topics: words().collect::<Vec<_>>().join(", ") })?;
    output.result(&json!({ "what": wanted, "text": text }), || text.replace("**", "").replace("### ", ""))
}

/// What explains an error: the API's code if it is known, otherwise the error's kind.
pub(crate) fn topic_of(error: &Error) -> String {
    let code = error.api().map(|api| api.code.as_u32().to_string());
    code.filter(|code| section(code).is_some()).unwrap_or_else(|| error.kind().to_owned())
}

/// The headings of the page.
fn headings() -> impl Iterator<Item = &'static str> {
    PAGE.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
}

/// The words that have a section.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    headings().filter(|heading| heading.parse::<u32>().is_err())
}

/// The section about a code or word, with its heading.
pub(crate) fn section(topic: &str) -> Option<String> {
    if !headings().any(|heading| heading == topic) {
        let Ok(code) = topic.parse::<u32>() else { return of_reason(topic) };
        return Some(format!("### `{topic}`\n\n{}", about(ErrorCode::from(code))?));
    }
    let rest = &PAGE[PAGE.find(&format!("\n### `{topic}`\n"))? + 1..];
    let end = ["\n### ", "\n## "].iter().filter_map(|next| rest.find(next)).min().unwrap_or(rest.len());
    Some(rest[..end].trim_end().to_owned())
}

/// The section that names a reason of the sandbox: the one of tokens, or that of a code.
fn of_reason(word: &str) -> Option<String> {
    let (reason, name) = (Reason::from_word(word)?, format!("`{word}`"));
    if matches!(reason, Reason::Token(_)) {
        let section = PAGE.split("\n## ").find(|section| section.starts_with("Faults of tokens"))?;
        return section.contains(&name).then(|| section.trim_end().to_owned());
    }
    headings().filter(|heading| heading.parse::<u32>().is_ok()).filter_map(section).find(|text| text.contains(&name))
}

/// What is known of a code without a section.
fn about(code: ErrorCode) -> Option<String> {
    let error = ApiError { code, ..serde_json::from_value(json!({ "code": 0 })).ok()? };
    let cost = match (code.is_refusal(), error.may_answer_a_copy()) {
        (true, false) => "nothing: Mixin refused the call, and nothing changed",
        (true, true) => "nothing. A change is unknown, because the refusal may be about a copy of the request",
        (false, _) => "unknown, unless the call only reads: it may have been carried out",
    };
    let (cause, advice) = (sentence(code.cause()?), sentence(code.advice()));
    Some(format!("{cause} **Cost:** {cost}. **To do:** {}", lower(&advice)))
}

/// With a capital letter and a full stop.
fn sentence(part: &str) -> String {
    let mut letters = part.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).chain(['.']).collect()).unwrap_or_default()
}

fn lower(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let topics: Vec<_> = headings().collect();
        assert!(topics.len() > 15 && topics.contains(&"20119") && topics.contains(&"sandbox"), "{topics:?}");
        for topic in topics {
            let text = section(topic).unwrap();
            assert!(text.starts_with(&format!("### `{topic}`")) && text.matches("## ").count() == 1, "{text}");
            assert!(text.len() > 40, "{text}");
        }
        for (word, heading) in [
            ("pin", "### `20119`"),
            ("timestamp", "### `20119`"),
            ("iterator", "### `20119`"),
            ("ciphertext", "### `20119`"),
            ("secret_length", "### `20119`"),
            ("tries_spent", "### `429`"),
            ("session", "### `401`"),
            ("token_signature", "Faults of tokens"),
            ("token_request_id", "Faults of tokens"),
        ] {
            assert!(section(word).is_some_and(|text| text.starts_with(heading)), "{word}");
        }
        assert!(section("verify").is_none());
        assert!(section("2011").is_none() && section("").is_none() && section("`").is_none());
    }

    #[test]
    fn every_known_code_is_explained_and_no_other() {
        for code in ErrorCode::all_known() {
            let text = section(&code.as_u32().to_string()).unwrap();
            assert!(text.contains("**Cost:**") && text.contains("**To do:**"), "{text}");
            // A refusal does not claim that something happened, and the others do not claim the contrary.
            assert_eq!(!code.is_refusal(), text.contains("may have been carried out"), "{text}");
        }
        for heading in headings().filter_map(|heading| heading.parse::<u32>().ok()) {
            assert!(ErrorCode::from(heading).cause().is_some(), "{heading}");
        }
        assert_eq!(section("504"), None);
        assert_eq!(
            section("10104").unwrap(),
            "### `10104`\n\nThe address is still being generated. **Cost:** nothing: Mixin refused the call, and nothing \
             changed. **To do:** wait, then make the call again."
        );
    }

    /// Codes of features that a PIN client does not meet. The page names their ranges only.
    fn is_far(code: ErrorCode) -> bool {
        let code = code.as_u32();
        (10_600..10_800).contains(&code) || code > 1_000_000
    }

    #[test]
    fn the_page_lists_the_codes_as_the_table_of_the_library_has_them() {
        let rows = |are_refusals: bool| {
            let codes = ErrorCode::all_known().filter(|code| {
                let has_section = headings().any(|heading| heading == code.as_u32().to_string());
                code.is_refusal() == are_refusals && !has_section && !is_far(*code)
            });
            let row =
                |code: ErrorCode| format!("| {} | {} | {} |\n", code.as_u32(), code.cause().unwrap(), code.advice());
            format!("| code | cause | to do |\n|---|---|---|\n{}\n", codes.map(row).collect::<String>())
        };
        for expected in [rows(true), rows(false)] {
            assert!(PAGE.contains(&expected), "docs/errors.md lacks this table:\n{expected}");
        }
        let listed = PAGE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| code")).count();
        assert_eq!(listed, (rows(true) + &rows(false)).lines().filter(|line| line.starts_with("| ")).count() - 2);
    }
}
