//! `act`: makes and sends the request of an action.

use serde_json::Value;

use crate::args::ActArgs;
use crate::error::Error;
use crate::outcome::{send, send_listed};
use crate::output::{Output, json_text};
use crate::{client, pins};

pub(crate) fn run(args: &ActArgs, output: &Output) -> Result<(), Error> {
    // Checked before any prompt or request.
    let plain = args.action.plain()?;
    let permit = &args.permit;
    let (client, spend_key) = client::open(&permit.client)?;
    let data: Value = if permit.tip.is_wanted() {
        let user = send(|| client.me())?;
        let installed = pins::installed_key(&user);
        let key = pins::tip_key_or(spend_key, permit.tip.spend_key_stdin, installed.as_ref(), "spend key")?;
        let action = plain.map_or_else(|| args.action.action(user.user_id, Some(&key)), Ok)?;
        send_listed(|| client.act(&key, &action), &permit.client)?
    } else {
        let action = match plain {
            Some(action) => action,
            None => args.action.action(send(|| client.me())?.user_id, None)?,
        };
        let pin = pins::read(&permit.source, "PIN")?;
        send_listed(|| client.act(&pin, &action), &permit.client)?
    };
    output.result(&data, || json_text(format!("{data:#}")))
}
