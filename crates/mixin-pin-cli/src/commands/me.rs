//! `me`: shows the user.

use mixin_pin_protocol::Shown;
use serde_json::json;

use crate::args::ClientArgs;
use crate::client::{self, AnyClient};
use crate::error::Error;
use crate::outcome::send;
use crate::output::Output;

pub(crate) fn run(args: &ClientArgs, output: &Output) -> Result<(), Error> {
    let user = match client::open_any(args)? {
        AnyClient::User(client, _) => send(|| client.me())?,
        AnyClient::OAuth(client) => send(|| client.me())?,
    };
    output.result(&json!({ "user": user }), || {
        let pin = match (user.has_pin, user.tip_key_base64.is_empty()) {
            (_, false) => format!("TIP key {} (counter {})", Shown(&user.tip_key_base64), user.tip_counter),
            (true, true) => "set".to_owned(),
            (false, true) => "not set".to_owned(),
        };
        format!("user     {}\nname     {}\nPIN      {pin}", user.user_id, Shown(&user.full_name))
    })
}
