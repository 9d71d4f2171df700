//! `call`: makes any other call, with or without a PIN.

use clap::{CommandFactory as _, Parser as _};
use mixin_pin_http::Client;
use mixin_pin_protocol::CallError;
use mixin_pin_protocol::call::check_request;
use mixin_pin_protocol::keystore::SpendKey;
use serde_json::{Map, Value};

use crate::args::{ActionLine, CallArgs, SignedAction};
use crate::client::{self, AnyClient};
use crate::error::Error;
use crate::outcome::{send, send_known, send_listed};
use crate::output::{Output, json_text};
use crate::usage::without_values;
use crate::{files, pins};

pub(crate) fn run(args: &CallArgs, output: &Output) -> Result<(), Error> {
    let action = args.tip.as_ref().map(ActionLine::try_parse_from).transpose();
    let action = action.map_err(|error| Error::Usage(without_values(error, &ActionLine::command())))?;
    // Checked before any prompt or request.
    check_request(&args.method, &args.path, None)?;
    let client = client::open_any(&args.client)?;
    let body: Option<Value> = match args.body.as_deref() {
        None => None,
        Some(path) => Some(serde_json::from_slice(&files::read(path)?).map_err(|_| CallError::BodyNotJson)?),
    };
    let (method, path) = (args.method.as_str(), args.path.as_str());
    let data: Value = match (client, action) {
        (AnyClient::OAuth(_), _) if args.with_pin || args.tip.is_some() => return Err(CallError::OAuthPin.into()),
        (AnyClient::OAuth(client), _) => send_known(|| client.call(method, path, body.as_ref()))?,
        (AnyClient::User(client, _), _) if args.with_pin => {
            let body = object(body)?;
            let pin = pins::read(&args.source, "PIN")?;
            send_listed(|| client.call_with_pin(method, path, &body, pin), &args.client)?
        }
        (AnyClient::User(client, spend_key), Some(ActionLine { action })) => {
            with_tip(&client, args, &object(body)?, spend_key, &action)?
        }
        (AnyClient::User(client, _), None) => send_listed(|| client.call(method, path, body.as_ref()), &args.client)?,
    };
    output.result(&data, || json_text(format!("{data:#}")))
}

/// Puts the action's signature into the body, by the TIP key that is installed at the server.
fn with_tip(
    client: &Client,
    args: &CallArgs,
    body: &Map<String, Value>,
    of_keystore: Option<SpendKey>,
    action: &SignedAction,
) -> Result<Value, Error> {
    let user = send(|| client.me())?;
    let installed = pins::installed_key(&user);
    let key = pins::tip_key_or(of_keystore, args.spend_key_stdin, installed.as_ref(), "spend key")?;
    action.with(user.user_id, |action| {
        send_listed(|| client.call_with_tip(&args.method, &args.path, body, &key, action), &args.client)
    })?
}

/// The fields of a body that gets a PIN.
fn object(body: Option<Value>) -> Result<Map<String, Value>, Error> {
    match body {
        None => Ok(Map::new()),
        Some(Value::Object(fields)) => Ok(fields),
        Some(_) => Err(Error::BodyNoObject),
    }
}
