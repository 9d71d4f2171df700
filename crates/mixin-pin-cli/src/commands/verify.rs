//! `verify`: checks the PIN with the server.

use mixin_pin_http::Client;
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::keystore::SpendKey;
use serde_json::json;

use crate::args::VerifyArgs;
use crate::error::Error;
use crate::outcome::{MEMORY, send, send_or_next};
use crate::output::{GOOD, Output, user_name};
use crate::{client, pins};

pub(crate) fn run(args: &VerifyArgs, output: &Output) -> Result<(), Error> {
    let (client, spend_key) = client::open(&args.client)?;
    let user = if args.tip.is_wanted() {
        with_tip(&client, args, spend_key)?
    } else {
        let pin = pins::read(&args.source, "PIN")?;
        send_or_next(|| client.verify_pin(&pin), next(args), &args.client, &[])?
    };
    output.result(&json!({ "pin": "right", "user": user }), || {
        format!("{GOOD}PIN right{GOOD:#} for {}", user_name(&user))
    })
}

fn with_tip(client: &Client, args: &VerifyArgs, of_keystore: Option<SpendKey>) -> Result<User, Error> {
    let installed = pins::installed_key(&send(|| client.me())?);
    let key = pins::tip_key_or(of_keystore, args.tip.spend_key_stdin, installed.as_ref(), "spend key")?;
    let next = next(args);
    let flags = if next == "verify" { args.tip.flag() } else { &[] };
    send_or_next(|| client.verify_tip(&key), next, &args.client, flags)
}

/// The command after a lost answer: `resolve` removes the verification from the journal. A store in memory has none then.
fn next(args: &VerifyArgs) -> &'static str {
    if args.client.store.store.as_deref() == Some(MEMORY) { "verify" } else { "resolve" }
}
