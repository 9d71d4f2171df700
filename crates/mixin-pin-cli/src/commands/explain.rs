//! `explain`: prints the section of the error reference about one code or word.

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
    let text = section(topic).ok_or_else(|| Error::NotExplained { topics: topics().collect::<Vec<_>>().join(", ") })?;
    output.result(&json!({ "what": wanted, "text": text }), || text.replace("**", "").replace("### ", ""))
}

/// The section that explains an error: that of the API's code if it has one, otherwise that of the error's kind.
pub(crate) fn topic_of(error: &Error) -> String {
    let code = error.api().map(|api| api.code.as_u32().to_string());
    code.filter(|code| section(code).is_some()).unwrap_or_else(|| error.kind().to_owned())
}

/// The codes and words that have a section.
pub(crate) fn topics() -> impl Iterator<Item = &'static str> {
    PAGE.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
}

/// The section about a code or word, with its heading.
pub(crate) fn section(topic: &str) -> Option<&'static str> {
    let start = PAGE.match_indices("\n### `").map(|(at, _)| at + 1).find(|at| {
        let heading = PAGE[*at..].lines().next().unwrap_or_default();
        heading.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')) == Some(topic)
    })?;
    let rest = &PAGE[start..];
    let end = ["\n### ", "\n## "].iter().filter_map(|next| rest.find(next)).min().unwrap_or(rest.len());
    Some(rest[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let topics: Vec<_> = topics().collect();
        assert!(topics.len() > 20 && topics.contains(&"20119") && topics.contains(&"sandbox"), "{topics:?}");
        for topic in topics {
            let text = section(topic).unwrap();
            assert!(text.starts_with(&format!("### `{topic}`")) && text.matches("## ").count() == 1, "{text}");
            assert!(text.len() > 40, "{text}");
        }
        assert!(section("2011").is_none() && section("").is_none() && section("`").is_none());
    }
}
