//! `logs`: shows the failed attempts at the PIN.

use std::fmt::Write as _;

use mixin_pin_protocol::Shown;
use mixin_pin_protocol::answer::LogEntry;
use mixin_pin_protocol::call::LogQuery;
use serde_json::json;

use crate::args::LogsArgs;
use crate::client;
use crate::error::Error;
use crate::outcome::send;
use crate::output::Output;

pub(crate) fn run(args: &LogsArgs, output: &Output) -> Result<(), Error> {
    let (client, _) = client::open(&args.client)?;
    let query = LogQuery { limit: Some(args.limit), offset: args.offset.clone(), ..LogQuery::wrong_pins() };
    let entries = send(|| client.pin_logs(&query))?;
    output.result(&json!({ "logs": entries }), || table(&entries))
}

fn table(entries: &[LogEntry]) -> String {
    if entries.is_empty() {
        return "no failed attempt".to_owned();
    }
    let width = entries.iter().map(|entry| Shown(&entry.created_at).to_string().chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for entry in entries {
        if !text.is_empty() {
            text.push('\n');
        }
        let LogEntry { created_at, ip_address, code, .. } = entry;
        // Writing to a String does not fail.
        let _ = write!(text, "{:width$}  {:15}  {}", Shown(created_at), Shown(ip_address), Shown(code));
    }
    text
}
