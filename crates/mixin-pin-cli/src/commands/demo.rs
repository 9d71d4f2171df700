//! `demo`: the whole life of a PIN against a sandbox, request by request.
//!
//! Every line is a real request over HTTP, answered by the sandbox.

use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{MonotonicNonces, Pin, Session, SystemRng};
use mixin_pin_http::Client;
use mixin_pin_http::hazmat::{self, RawAnswer};
use mixin_pin_protocol::answer::{ErrorCode, User};
use mixin_pin_protocol::call::{Calls, LogQuery, PreparedRequest};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_sandbox::{Config, Sandbox};
use serde_json::{Value, json};

use crate::args::{DemoArgs, DemoSession, SessionKind};
use crate::error::Error;
use crate::output::{BAD, DIM, GOOD, Output};
use crate::registration::NewKey;
use crate::time::now;

pub(crate) fn run(args: &DemoArgs, output: &Output) -> Result<(), Error> {
    let sandbox = Sandbox::start(&Config::default())?;
    let kinds = match args.session {
        DemoSession::Rsa1024 => vec![SessionKind::Rsa1024],
        DemoSession::Rsa2048 => vec![SessionKind::Rsa2048],
        DemoSession::Ed25519 => vec![SessionKind::Ed25519],
        DemoSession::All => SessionKind::ALL.to_vec(),
    };
    output.progress(|| format!("sandbox on {}\n", sandbox.url()))?;
    let mut steps = Vec::new();
    for kind in kinds {
        Demo { sandbox: &sandbox, kind, output, steps: &mut steps }.run()?;
    }
    sandbox.stop()?;

    let ok = steps.iter().all(|step: &Value| step["ok"] == true);
    output.result(&json!({ "steps": steps, "ok": ok }), || {
        if ok {
            format!("{GOOD}{} requests, each answered as it should be{GOOD:#}", steps.len())
        } else {
            format!("{BAD}some requests were not answered as they should be{BAD:#}")
        }
    })?;
    if ok { Ok(()) } else { Err(Error::DoesNotHold) }
}

/// The expected answer.
#[derive(Clone, Copy)]
enum Expected {
    Data(fn(&Value) -> bool),
    WrongPin { tries_left: u64 },
    Refused(ErrorCode),
}

impl Expected {
    fn is_met_by(self, answer: &RawAnswer) -> bool {
        match (self, &answer.data) {
            (Self::Data(holds), Ok(data)) => holds(data),
            (Self::WrongPin { tries_left }, Err(error)) => {
                error.code == ErrorCode::PinIncorrect
                    && error.extra.as_ref().is_some_and(|extra| extra["tries_left"] == tries_left)
            }
            (Self::Refused(code), Err(error)) => error.code == code,
            _ => false,
        }
    }
}

struct Demo<'d> {
    sandbox: &'d Sandbox,
    kind: SessionKind,
    output: &'d Output,
    steps: &'d mut Vec<Value>,
}

impl Demo<'_> {
    fn run(mut self) -> Result<(), Error> {
        self.output.progress(|| format!("{} session", self.kind.as_str()))?;
        let (client, session) = self.register()?;
        let (nonces, mut rng) = (MonotonicNonces::new(), SystemRng::new()?);
        let ((key, _), (other, _)) = (TipKey::generate(&mut rng), TipKey::generate(&mut rng));
        // Each call at its own time, as a client would make it.
        macro_rules! calls {
            () => {
                Calls::new(&session, now()?, &mut rng).nonces(&nonces)
            };
        }
        let (first, second, wrong) = (Pin::new("142857")?, Pin::new("271828")?, Pin::new("000000")?);
        let with_pin = Expected::Data(|user| user["has_pin"] == true);

        let request = calls!().me()?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "a new user has no PIN", Expected::Data(|user| user["has_pin"] == false))?;
        let request = calls!().create_pin(&first)?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "create the PIN", with_pin)?;
        let request = calls!().verify_pin(&first)?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "verify it", with_pin)?;
        let request = calls!().verify_pin(&wrong)?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "a wrong PIN costs a try", Expected::WrongPin { tries_left: 4 })?;
        let request = calls!().change_pin(&first, &second)?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "change it", with_pin)?;
        let request = calls!().verify_pin(&first)?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "the old PIN is refused", Expected::WrongPin { tries_left: 3 })?;
        let request = calls!().verify_pin(&second)?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "the new PIN is right", with_pin)?;
        let replayed = Expected::Refused(ErrorCode::Unauthorized);
        self.step(&client, &request, "the same request again is refused", replayed)?;
        let both = Expected::Data(|logs| logs.as_array().is_some_and(|entries| entries.len() == 2));
        let request = calls!().logs(&LogQuery::wrong_pins())?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "both failed attempts are in the log", both)?;

        let with_tip = Expected::Data(|user| user["tip_counter"] == 1);
        let request = calls!().change_to_tip(&second, &key)?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "a TIP key takes the digits' place", with_tip)?;
        let request = calls!().verify_tip(&key)?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "its signature is right", with_tip)?;
        let request = calls!().verify_tip(&other)?.sign(session.signer(), &mut rng)?;
        self.step(&client, &request, "another key's costs a try", Expected::WrongPin { tries_left: 2 })?;
        self.output.progress(String::new)
    }

    /// Registers a user under the sandbox's app, with a new key.
    fn register(&mut self) -> Result<(Client, Session), Error> {
        let mut rng = SystemRng::new()?;
        let app = Keystore::parse(self.sandbox.app_keystore().as_bytes())?.into_session(&mut rng)?;
        let key = NewKey::generate(self.kind)?;
        let secret = key.public_key().to_session_secret()?;
        let request = Calls::new(&app, now()?, &mut rng).register(&secret, "Demo User")?;
        let request = request.sign(app.signer(), &mut rng)?;
        let app = self.client(app)?;
        let registered = Expected::Data(|user| user["session_id"].is_string());
        let data = self.step(&app, &request, "register a user under the app's session", registered)?;
        let user: User = serde_json::from_value(data).map_err(|_| Error::Registration)?;
        // Reads the keystore's text twice, as an operator would: one session for the calls, one for the client.
        let text = key.keystore(&user)?;
        let mut session = || Keystore::parse(text.as_bytes())?.into_session(&mut rng);
        let client = self.client(session()?)?;
        Ok((client, session()?))
    }

    fn client(&self, session: Session) -> Result<Client, Error> {
        Ok(Client::builder(session).base_url(self.sandbox.url()).build()?)
    }

    /// Sends a request, shows and records the answer, and returns its data.
    fn step(
        &mut self,
        client: &Client,
        request: &PreparedRequest,
        what: &str,
        expected: Expected,
    ) -> Result<Value, Error> {
        let answer = hazmat::send(client, request)?;
        let ok = expected.is_met_by(&answer);
        let path = request.path().split_once('?').map_or(request.path(), |(path, _)| path);
        let call = format!("{} {path}", request.method());
        let (code, extra) = match &answer.data {
            Ok(_) => (None, None),
            Err(error) => (Some(error.code.as_u32()), error.extra.as_ref()),
        };
        let status = answer.status;
        self.output.progress(|| {
            let (style, mark) = if ok { (GOOD, "ok  ") } else { (BAD, "FAIL") };
            let code = code.map_or_else(String::new, |code| code.to_string());
            let extra = extra.map_or_else(String::new, |extra| format!(" {DIM}{extra}{DIM:#}"));
            format!("  {style}{mark}{style:#} {call:<17} {status}  {code:<5}  {what}{extra}")
        })?;
        self.steps.push(json!({
            "session": self.kind.as_str(),
            "call": call,
            "what": what,
            "status": status,
            "code": code,
            "ok": ok,
        }));
        Ok(answer.data.unwrap_or_default())
    }
}
