//! `update`, `verify`, `me` and `logs`: calls to the API.

use std::fmt::Write as _;

use mixin_pin_protocol::Shown;
use mixin_pin_protocol::answer::{LogEntry, User};
use mixin_pin_protocol::call::LogQuery;
use serde_json::json;

use super::{Opened, calling, known_or_run, new_user, open, open_any, tip};
use crate::args::{ClientArgs, LogsArgs, UpdateArgs, VerifyArgs};
use crate::error::Error;
use crate::output::{GOOD, Output};
use crate::pins;

pub(crate) fn update(args: &UpdateArgs, output: &Output) -> Result<(), Error> {
    let (client, spend_key) = open(&args.client)?;
    let user = if args.tip.is_wanted() {
        tip::update(&client, args, spend_key)?
    } else {
        let old = if args.new_user { None } else { Some(pins::read(&args.source, "old PIN")?) };
        let new = pins::read_new(&args.source, "new PIN")?;
        known_or_run(calling(|| client.update_pin(old.as_ref(), &new))?, "resolve", &args.client, new_user(args))?
    };
    let done = if args.new_user { "created" } else { "changed" };
    output.result(&json!({ "pin": done, "user": user }), || format!("{GOOD}PIN {done}{GOOD:#} for {}", name(&user)))
}

pub(crate) fn verify(args: &VerifyArgs, output: &Output) -> Result<(), Error> {
    let (client, spend_key) = open(&args.client)?;
    let user = if args.tip.is_wanted() {
        tip::verify(&client, args, spend_key)?
    } else {
        let pin = pins::read(&args.source, "PIN")?;
        known_or_run(calling(|| client.verify_pin(&pin))?, "verify", &args.client, &[])?
    };
    output.result(&json!({ "pin": "right", "user": user }), || format!("{GOOD}PIN right{GOOD:#} for {}", name(&user)))
}

pub(crate) fn me(args: &ClientArgs, output: &Output) -> Result<(), Error> {
    let user = match open_any(args)? {
        Opened::User(client, _) => calling(|| client.me())?,
        Opened::OAuth(client) => calling(|| client.me())?,
    };
    output.result(&json!({ "user": user }), || {
        let has_pin = match (user.has_pin, user.tip_key_base64.is_empty()) {
            (_, false) => format!("TIP key {} (counter {})", Shown(&user.tip_key_base64), user.tip_counter),
            (true, true) => "set".to_owned(),
            (false, true) => "not set".to_owned(),
        };
        format!("user     {}\nname     {}\nPIN      {has_pin}", user.user_id, Shown(&user.full_name))
    })
}

pub(crate) fn logs(args: &LogsArgs, output: &Output) -> Result<(), Error> {
    let (client, _) = open(&args.client)?;
    let query = LogQuery { limit: Some(args.limit), offset: args.offset.clone(), ..LogQuery::wrong_pins() };
    let entries = calling(|| client.pin_logs(&query))?;
    output.result(&json!({ "logs": entries }), || table(&entries))
}

fn name(user: &User) -> String {
    if user.full_name.is_empty() {
        user.user_id.to_string()
    } else {
        format!("{} ({})", Shown(&user.full_name), user.user_id)
    }
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
