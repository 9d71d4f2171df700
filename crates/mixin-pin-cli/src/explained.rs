//! The book's page on errors, taken apart: a part for each code and each word.

/// The page, with a heading for each.
const PAGE: &str = include_str!("../errors.md");

/// The codes and words that have a part.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PAGE.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'))
}

/// From the heading to the next one.
pub(crate) fn section(name: &str) -> Option<&'static str> {
    let start = PAGE.match_indices("\n### `").map(|(at, _)| at + 1).find(|at| {
        let heading = PAGE[*at..].lines().next().unwrap_or_default();
        heading.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')) == Some(name)
    })?;
    let rest = &PAGE[start..];
    let end = ["\n### ", "\n## "].iter().filter_map(|next| rest.find(next)).min().unwrap_or(rest.len());
    Some(rest[..end].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_ends_where_the_next_begins() {
        let names: Vec<_> = names().collect();
        assert!(names.len() > 20 && names.contains(&"20119") && names.contains(&"sandbox"), "{names:?}");
        for name in names {
            let text = section(name).unwrap();
            assert!(text.starts_with(&format!("### `{name}`")) && text.matches("## ").count() == 1, "{text}");
            assert!(text.len() > 40, "{text}");
        }
        assert!(section("2011").is_none() && section("").is_none() && section("`").is_none());
    }
}
