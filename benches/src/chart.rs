//! Bar charts as SVG, on a logarithmic scale: the time that each client takes for one work.

use std::fmt::Write as _;

const ROW: f64 = 26.0;
const LABEL: f64 = 190.0;
const WIDTH: f64 = 760.0;

/// Draws a title and a bar for each row: label, nanoseconds, whether it is ours. Needs at least one row, all times above
/// zero.
pub fn bars(title: &str, rows: &[(String, f64, bool)]) -> String {
    let times = || rows.iter().map(|(_, took, _)| *took);
    let least = times().fold(f64::INFINITY, f64::min).log10().floor();
    let most = times().fold(0.0, f64::max).log10().ceil().max(least + 1.0);
    let scale = |took: f64| (took.log10() - least) / (most - least) * (WIDTH - LABEL - 110.0);
    let mut y = 34.0;
    let mut body = String::new();
    for (label, took, is_ours) in rows {
        let class = if *is_ours { "ours" } else { "theirs" };
        let (bar, middle) = (scale(*took).max(2.0), y + ROW / 2.0 + 1.0);
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            body,
            "  <text x=\"{}\" y=\"{middle}\" class=\"label\">{}</text>\n  \
             <rect x=\"{LABEL}\" y=\"{}\" width=\"{bar:.1}\" height=\"{}\" class=\"{class}\"/>\n  \
             <text x=\"{:.1}\" y=\"{middle}\">{}</text>",
            LABEL - 8.0,
            escape(label),
            y + 3.0,
            ROW - 8.0,
            LABEL + bar + 6.0,
            duration(*took),
        );
        y += ROW;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"{title}\">\n  \
         <style>text {{ font: 13px sans-serif; dominant-baseline: middle; fill: #555 }} .label {{ text-anchor: end }} \
         .title {{ font-weight: bold }} .ours {{ fill: #2a7de1 }} .theirs {{ fill: #b8bec6 }}</style>\n  \
         <text x=\"8\" y=\"16\" class=\"title\">{} (logarithmic; shorter is faster)</text>\n{body}</svg>\n",
        y + 8.0,
        escape(title),
        title = escape(title),
    )
}

/// Formats nanoseconds with three significant digits.
pub fn duration(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let digits = match value {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {unit}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (ns, text) in
            [(7.0, "7.00 ns"), (87.2, "87.2 ns"), (9_870.0, "9.87 µs"), (311_400.0, "311 µs"), (2.5e9, "2.50 s")]
        {
            assert_eq!(duration(ns), text);
        }
    }

    #[test]
    fn bars_grow_with_the_logarithm_of_their_time() {
        let svg = bars("a < b", &[("one".to_owned(), 10.0, true), ("two".to_owned(), 1_000.0, false)]);
        assert!(svg.contains("a &lt; b") && svg.contains("width=\"2.0\"") && svg.contains("width=\"460.0\""), "{svg}");
    }
}
