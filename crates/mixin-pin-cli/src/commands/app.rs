//! `app register`: registers an app with the safe.

use std::time::Duration;

use base16ct::lower::encode_string;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_http::Outcome;
use serde_json::json;

use crate::args::AppRegisterArgs;
use crate::client::{self, AnyClient};
use crate::error::{Error, KeyProblem};
use crate::guided::{self, Change, KeyFile, Standing, Works};
use crate::outcome::{next_of, send};
use crate::output::{GOOD, Output};
use crate::redact::ShownPath;

pub(crate) fn register(args: &AppRegisterArgs, output: &Output) -> Result<(), Error> {
    let owner = client::open_owner(&args.owner, &args.api, &args.store)?;
    let file = KeyFile { path: &args.spend_key, option: "--spend-key" };
    let (key, is_made) = file.read_or_make(output)?;
    let public_key = encode_string(key.public_key().as_bytes());
    let mut registration = Registration {
        owner: &owner,
        app_id: args.app_id,
        key: &key,
        public_key: &public_key,
        is_sent: false,
        has_other_key: false,
    };
    // It can be done once, so the app is read first in any case.
    let done = guided::carry_out(&mut registration, true, Duration::from_secs(args.api.timeout));
    let Registration { is_sent, has_other_key, .. } = registration;
    if has_other_key {
        settle(&owner, args.app_id)?;
    }
    done.map_err(|failure| match &failure.cause {
        _ if has_other_key => Error::Key(KeyProblem::OtherSpendKey),
        // The same command would get the same answer.
        Error::Key(_) => failure.cause,
        Error::Http(error) if guided::is_refusal(error) => failure.cause,
        _ => {
            let said = said(failure.works, is_sent);
            failure.into_error(said, Some(file.path), again(args))
        }
    })?;
    settle(&owner, args.app_id)?;
    let path = ShownPath(file.path);
    let value = json!({
        "app_id": args.app_id.to_string(),
        "registered": true,
        "already": !is_sent,
        "spend_key": path.in_json(),
        "made_spend_key": is_made,
        "public_key": public_key,
    });
    let word = if is_sent { "registered" } else { "registered already" };
    output.result(&value, || {
        format!("{GOOD}{word}{GOOD:#}: app {}, with the spend key in {path}\n  public key  {public_key}", args.app_id)
    })
}

/// What is known when a run stops.
fn said(works: Works, is_sent: bool) -> String {
    match works {
        Works::Unknown if !is_sent => "nothing was sent",
        Works::Old => "the app is not registered",
        Works::OldSoFar => "so far the app is not registered; the lost request may still arrive",
        Works::New => "the app is registered with this key",
        Works::Unchanged => "nothing changed",
        Works::Neither | Works::Unknown => "whether the app is registered is not known",
    }
    .to_owned()
}

fn again(args: &AppRegisterArgs) -> Option<String> {
    let app_id = args.app_id.to_string();
    let flags = ["--owner", args.owner.to_str()?, "--app-id", &app_id, "--spend-key", args.spend_key.to_str()?];
    next_of("app register", &flags, &args.api.url, args.store.store.as_deref())
}

/// Removes registrations of this app from the owner's journal: it is known now what became of them.
fn settle(owner: &AnyClient, app_id: Uuid) -> Result<(), Error> {
    let AnyClient::User(client, _) = owner else { return Ok(()) };
    let path = format!("/safe/apps/{app_id}/register");
    for call in client.pending()?.iter().filter(|call| call.path == path && call.under_way_for.is_none()) {
        client.settle(call.request_id)?;
    }
    Ok(())
}

/// The registration, as a guided change.
struct Registration<'a> {
    owner: &'a AnyClient,
    app_id: Uuid,
    key: &'a TipKey,
    /// In hex.
    public_key: &'a str,
    is_sent: bool,
    /// Whether the app has another key, which cannot be replaced.
    has_other_key: bool,
}

impl Registration<'_> {
    fn is_own(&self, registered: &str) -> bool {
        registered.eq_ignore_ascii_case(self.public_key)
    }
}

impl Change for Registration<'_> {
    type New = ();

    const IS_ASKED_AGAIN: bool = true;

    fn ask(&mut self) -> Result<Standing<()>, Error> {
        let app = send(|| match self.owner {
            AnyClient::User(client, _) => client.app(self.app_id),
            AnyClient::OAuth(client) => client.app(self.app_id),
        })?;
        match &*app.spend_public_key {
            registered if self.is_own(registered) => Ok(Standing::New(())),
            "" if app.has_safe => Err(Error::Key(KeyProblem::SpendKeyNotShown)),
            "" => Ok(Standing::Old),
            _ => {
                self.has_other_key = true;
                Ok(Standing::Neither)
            }
        }
    }

    fn send(&mut self) -> Result<Outcome<()>, Error> {
        self.is_sent = true;
        let outcome = send(|| match self.owner {
            AnyClient::User(client, _) => client.register_app(self.app_id, self.key),
            AnyClient::OAuth(client) => client.register_app(self.app_id, self.key),
        })?;
        match outcome {
            Outcome::Done(answer) if answer.spend_public_key.is_empty() || self.is_own(&answer.spend_public_key) => {
                Ok(Outcome::Done(()))
            }
            Outcome::Done(_) => Err(Error::Key(KeyProblem::OtherSpendKey)),
            Outcome::Unknown(lost) => Ok(Outcome::Unknown(lost)),
        }
    }
}
