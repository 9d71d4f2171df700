//! `call`: any other call, with a PIN in it or without.

use clap::Parser as _;
use mixin_pin_protocol::CallError;
use mixin_pin_protocol::call::check_request;
use serde_json::{Map, Value};

use super::{Opened, calling, known, open_any, tip};
use crate::action::ActionLine;
use crate::args::CallArgs;
use crate::error::Error;
use crate::output::{Output, json_text};
use crate::usage::without_values;
use crate::{files, pins};

pub(crate) fn run(args: &CallArgs, output: &Output) -> Result<(), Error> {
    let action = args.tip.as_ref().map(ActionLine::try_parse_from).transpose();
    let action = action.map_err(|error| Error::Usage(without_values(error)))?;
    // Before anything is asked for, or anybody.
    check_request(&args.method, &args.path, None)?;
    let opened = open_any(&args.client)?;
    let body: Option<Value> = match args.body.as_deref() {
        None => None,
        Some(path) => Some(serde_json::from_slice(&files::read(path)?).map_err(|_| CallError::BodyNotJson)?),
    };
    let (method, path) = (args.method.as_str(), args.path.as_str());
    let data: Value = match (opened, action) {
        (Opened::OAuth(_), _) if args.with_pin || args.tip.is_some() => return Err(CallError::OAuthPin.into()),
        (Opened::OAuth(client), _) => known(calling(|| client.call(method, path, body.as_ref()))?)?,
        (Opened::User(client, _), _) if args.with_pin => {
            let body = object(body)?;
            let pin = pins::read(&args.source, "PIN")?;
            known(calling(|| client.call_with_pin(method, path, &body, pin))?)?
        }
        (Opened::User(client, spend_key), Some(ActionLine { action })) => {
            tip::call(&client, args, &object(body)?, spend_key, &action)?
        }
        (Opened::User(client, _), None) => known(calling(|| client.call(method, path, body.as_ref()))?)?,
    };
    output.result(&data, || json_text(format!("{data:#}")))
}

/// A PIN needs an object to stand in.
fn object(body: Option<Value>) -> Result<Map<String, Value>, Error> {
    match body {
        None => Ok(Map::new()),
        Some(Value::Object(fields)) => Ok(fields),
        Some(_) => Err(Error::BodyNoObject),
    }
}
