//! `update`: creates or changes the PIN, digits or a TIP key.

use mixin_pin_http::Client;
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::keystore::SpendKey;
use serde_json::json;

use crate::args::UpdateArgs;
use crate::error::Error;
use crate::outcome::{send, send_or_next};
use crate::output::{GOOD, Output, user_name};
use crate::{client, pins};

pub(crate) fn run(args: &UpdateArgs, output: &Output) -> Result<(), Error> {
    let (client, spend_key) = client::open(&args.client)?;
    let user = if args.tip.is_wanted() { with_tip(&client, args, spend_key)? } else { with_digits(&client, args)? };
    let done = if args.new_user { "created" } else { "changed" };
    output
        .result(&json!({ "pin": done, "user": user }), || format!("{GOOD}PIN {done}{GOOD:#} for {}", user_name(&user)))
}

fn with_digits(client: &Client, args: &UpdateArgs) -> Result<User, Error> {
    let old = if args.new_user { None } else { Some(pins::read(&args.source, "old PIN")?) };
    let new = pins::read_new(&args.source, "new PIN")?;
    send_or_next(|| client.update_pin(old.as_ref(), &new), "resolve", &args.client, args.new_user_flag())
}

/// Installs a TIP key: as the first PIN, or in place of digits or of another key.
fn with_tip(client: &Client, args: &UpdateArgs, of_keystore: Option<SpendKey>) -> Result<User, Error> {
    let (from_stdin, which) = (args.tip.spend_key_stdin, "new spend key");
    // With --new-user nothing is asked. The server refuses the update if there is a PIN.
    let me = if args.new_user { None } else { Some(send(|| client.me())?) };
    if let Some(me) = &me
        && let Some(installed) = pins::installed_key(me)
    {
        // The keystore may have the old key. The new one is always given.
        let old = if let Some(Ok(old)) = of_keystore.map(|key| key.to_tip_key(Some(&installed))) {
            old
        } else {
            let which = "old spend key";
            pins::tip_key(&pins::spend_key(from_stdin, which)?, Some(&installed), which)?
        };
        let new = pins::tip_key(&pins::spend_key(from_stdin, which)?, None, which)?;
        if new.public_key() == old.public_key() {
            return Err(Error::SameSpendKey);
        }
        let flags = [&["--old-tip"], args.tip.flag()].concat();
        return send_or_next(|| client.change_tip(&old, me.tip_counter, &new), "resolve", &args.client, &flags);
    }
    let old = if args.new_user { None } else { Some(pins::read(&args.source, "old PIN")?) };
    let new = pins::tip_key_or(of_keystore, from_stdin, None, which)?;
    let flags = [args.new_user_flag(), args.tip.flag()].concat();
    send_or_next(|| client.install_tip(old.as_ref(), &new), "resolve", &args.client, &flags)
}
