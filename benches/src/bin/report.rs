//! Reads what `cargo bench` and `benches/peers/run` left in the build folder. Writes `target/performance.json`, and the
//! tables and charts of `docs/performance.md`.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use mixin_pin_benches::chart::{bars, duration};
use mixin_pin_benches::figures::{Figures, Fleet};
use mixin_pin_benches::works::{Row, WORKS};
use serde_json::{Map, Value, json};

/// The works that have a chart, and its title.
const CHARTS: [(&str, &str); 5] = [
    ("encrypt-digits", "Encrypting six digits"),
    ("encrypt-tip", "Encrypting a TIP signature"),
    ("token-eddsa", "EdDSA token"),
    ("token-rs512-2048", "RS512 token of 2048 bits"),
    ("call-ed25519-tip", "Preparing a call with a TIP signature"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no workspace above benches")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let figures = Figures::read(&target)?;
    let rows: Vec<Row<'_>> = WORKS.iter().map(|work| work.row(&figures)).collect();
    for row in rows.iter().filter(|row| row.ours.is_none() || row.floor.is_none()) {
        eprintln!("report: {} WAS NOT MEASURED", row.work.name);
    }

    let json = json!({ "rows": rows.iter().map(row_json).collect::<Vec<_>>() });
    fs::write(target.join("performance.json"), serde_json::to_string_pretty(&json)? + "\n")?;

    let docs = root.join("docs");
    let mut charts = String::new();
    for (name, title) in CHARTS {
        let Some(row) = rows.iter().find(|row| row.work.name == name) else { continue };
        let Some(ours) = row.ours else { continue };
        let file = format!("performance/{name}.svg");
        fs::write(docs.join(&file), bars(title, &chart_rows(row, ours)))?;
        writeln!(charts, "![{title}]({file})\n")?;
    }

    let page = docs.join("performance.md");
    let mut text = fs::read_to_string(&page)?;
    let blocks = [
        ("machine", machine()),
        ("table", table(&rows)?),
        ("signers", signers(&figures)?),
        ("charts", charts),
        ("fleet", figures.fleet.as_ref().map_or_else(|| Ok(String::new()), |fleet| fleet_text(fleet, &figures))?),
    ];
    for (name, block) in blocks {
        match replace(&text, name, block.trim_end()) {
            Some(written) => text = written,
            None => eprintln!("report: docs/performance.md has no place for {name}"),
        }
    }
    fs::write(&page, text)?;
    println!("{} works, target/performance.json and docs/performance.md written", rows.len());
    Ok(())
}

fn row_json(row: &Row<'_>) -> Value {
    let rounded = |ns: f64| (ns * 10.0).round() / 10.0;
    let peers: Map<String, Value> =
        row.peers.iter().map(|(who, took)| ((*who).to_owned(), rounded(*took).into())).collect();
    json!({
        "work": row.work.name,
        "ours_ns": row.ours.map(rounded),
        "floor_ns": row.floor.map(rounded),
        "floor_of": row.work.floor_of,
        "peers": peers,
    })
}

fn chart_rows(row: &Row<'_>, ours: f64) -> Vec<(String, f64, bool)> {
    let mut rows = vec![("mixin-pin".to_owned(), ours, true)];
    rows.extend(row.floor.map(|floor| ("floor".to_owned(), floor, false)));
    let mut peers: Vec<(String, f64, bool)> =
        row.peers.iter().map(|(who, took)| ((*who).to_owned(), *took, false)).collect();
    peers.sort_by(|one, other| one.1.total_cmp(&other.1));
    rows.extend(peers);
    rows
}

/// The machine, in one sentence.
fn machine() -> String {
    let line = |text: &str, name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let flags = line(&cpu, "flags").unwrap_or_default();
    let has: Vec<&str> = ["aes", "vaes", "sha_ni", "avx2", "avx512f", "adx"]
        .into_iter()
        .filter(|flag| flags.split(' ').any(|f| f == *flag))
        .collect();
    let rustc = Command::new("rustc").arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&rustc).split(" (").next().unwrap_or_default().trim().to_owned();
    format!(
        "Measured on {} ({}), {} cores, {version}, one bench at a time.\n",
        line(&cpu, "model name").unwrap_or_else(|| env::consts::ARCH.to_owned()),
        has.join(", "),
        std::thread::available_parallelism().map_or(0, usize::from),
    )
}

fn table(rows: &[Row<'_>]) -> Result<String, Box<dyn Error>> {
    let mut text = "| work | takes | floor | of the floor | goal | Node | Python | mixin-sdk-rs |\n\
                    |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for row in rows {
        let times = row.times_floor();
        let goal = row.work.goal.map_or_else(unmeasured, |goal| match times {
            Some(times) if times > goal => format!("≤ {goal} ×, missed"),
            _ => format!("≤ {goal} ×"),
        });
        writeln!(
            text,
            "| {} (`{}`) | {} | {} | {} | {goal} | {} | {} | {} |",
            row.work.what,
            row.work.name,
            cell(row.ours),
            cell(row.floor),
            times.map_or_else(unmeasured, |times| format!("{times:.2} ×")),
            cell(row.peer("node")),
            cell(row.peer("python")),
            cell(row.peer("mixin-sdk-rs")),
        )?;
    }
    text.push_str("\nThe floors:\n\n");
    for row in rows {
        writeln!(text, "- `{}`: {}", row.work.name, row.work.floor_of)?;
    }
    Ok(text)
}

/// Tokens by each signer, side by side. OpenSSL's bare signature stands in where `FastKey` prefers aws-lc-rs.
fn signers(figures: &Figures) -> Result<String, Box<dyn Error>> {
    let mut text = "| token | pure Rust | aws-lc-rs | OpenSSL |\n|---|---|---|---|\n".to_owned();
    for (token, theirs) in [
        ("EdDSA", "token-eddsa"),
        ("RS512 1024", "token-rs512-1024"),
        ("RS512 2048", "token-rs512-2048"),
        ("RS512 4096", "token-rs512-4096"),
    ] {
        let figure = |name: &str| figures.benches.get(name).copied();
        let openssl = figure(&format!("token/{token}, OpenSSL")).or(figure(&format!("peers/{theirs}, OpenSSL")));
        let (pure, fast) = (figure(&format!("token/{token}, pure")), figure(&format!("token/{token}, fast")));
        writeln!(text, "| {token} | {} | {} | {} |", cell(pure), cell(fast), cell(openssl))?;
    }
    Ok(text)
}

fn cell(ns: Option<f64>) -> String {
    ns.map_or_else(unmeasured, duration)
}

fn unmeasured() -> String {
    "–".to_owned()
}

fn fleet_text(fleet: &Fleet, figures: &Figures) -> Result<String, Box<dyn Error>> {
    let mut text = format!("| calls over {} sessions | each takes |\n|---|---|\n", fleet.sessions);
    for (calls, took) in &fleet.ns_by_calls {
        writeln!(text, "| {calls} | {} |", duration(*took))?;
    }
    let times = || fleet.ns_by_calls.iter().map(|(_, took)| *took);
    let spread = times().fold(0.0, f64::max) / times().fold(f64::INFINITY, f64::min) - 1.0;
    writeln!(
        text,
        "\nThe slowest of these calls takes {:.0} % longer than the fastest. Two threads prepare {:.2} times as many as one.",
        spread * 100.0,
        fleet.ns_one_thread / fleet.ns_two_threads,
    )?;
    writeln!(text, "\nOne core prepares {:.0} calls a second.", 1e9 / fleet.ns_one_thread)?;
    if let Some(bytes) = fleet.bytes_a_session {
        writeln!(
            text,
            "A session takes {:.1} KiB of memory; a million sessions take {:.1} GiB.",
            bytes / 1024.0,
            bytes * 1e6 / f64::from(1 << 30),
        )?;
    }
    if let Some(sessions) = figures.benches.get("http sessions/8") {
        writeln!(
            text,
            "With client and sandbox on one machine, eight sessions make {:.0} calls a second over HTTP.",
            8e9 / sessions,
        )?;
    }
    if let Some(idle) = &figures.idle {
        let clients = idle.clients;
        writeln!(text, "\n| {clients} clients, one transport | memory each | descriptors of all | first call |")?;
        writeln!(text, "|---|---|---|---|")?;
        for (kind, costs) in [("blocking", &idle.blocking), ("async", &idle.asynchronous)] {
            let (kib, call) = (costs.bytes_a_client / 1024.0, duration(costs.ns_first_call));
            writeln!(text, "| {kind} | {kib:.1} KiB | {} | {call} |", costs.files)?;
        }
        writeln!(text, "\nWithout a shared transport each took 354 KiB and a descriptor.\n")?;
    }
    if let (Some(disk), Some(crash)) = (
        figures.benches.get("lease/sqlite, power cut, with an entry"),
        figures.benches.get("lease/sqlite, crash, with an entry"),
    ) {
        writeln!(
            text,
            "A lease in SQLite with its entry in the journal adds {} to a call if it must survive a power cut, {} if only a \
             crash. All sessions of a file share it: one file takes {:.0} calls a second.",
            duration(*disk),
            duration(*crash),
            1e9 / disk,
        )?;
    }
    if let (Some(with), Some(without)) =
        (figures.benches.get("lease/sqlite, crash, with an entry"), figures.benches.get("lease/sqlite, crash"))
    {
        writeln!(
            text,
            "With `Durability::Crash` the entry adds {} to a lease of {}.",
            duration((with - without).max(0.0)),
            duration(*without),
        )?;
    }
    Ok(text)
}

/// Puts a block between its marks in the page. Returns None if the page lacks them.
fn replace(text: &str, name: &str, block: &str) -> Option<String> {
    let (begin, end) = (format!("<!-- {name}: written by report -->"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    Some(format!("{before}{begin}\n\n{block}\n\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_replaces_the_text_between_its_marks() {
        let page = "a\n<!-- t: written by report -->old<!-- /t -->\nz";
        let once = replace(page, "t", "new").unwrap();
        assert_eq!(once, "a\n<!-- t: written by report -->\n\nnew\n\n<!-- /t -->\nz");
        assert_eq!(replace(&once, "t", "new").unwrap(), once);
        assert!(replace("", "t", "new").is_none());
    }

    #[test]
    fn a_missing_figure_is_null() {
        let row = row_json(&WORKS[0].row(&Figures::default())).to_string();
        assert!(row.contains(r#""ours_ns":null"#) && row.contains(r#""peers":{}"#), "{row}");
    }
}
