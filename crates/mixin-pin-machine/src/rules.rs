//! The calls of one session.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use mixin_pin_core::tip::TipAction;
use mixin_pin_core::token::Algorithm;
use mixin_pin_core::{Ed25519PublicKey, Pin, Secret, Session};
use mixin_pin_protocol::CallError;
use mixin_pin_protocol::answer::{LogEntry, User};
use mixin_pin_protocol::call::{Calls, LogQuery, UnsignedRequest};
use serde_json::{Map, Value};

use crate::plan::{Context, Ingredients, Nonces, Plan, Prepare, Rule};
use crate::tips::Tips;
use crate::{Call, Limits, NextStep, Observer, TipRole};

/// Further attempts for a call that only reads.
const READ_RETRIES: u32 = 3;

/// The calls of one session, for a driver to make. The driver keeps the signers: the session has only the algorithm of
/// its key.
///
/// Each method returns a [`Call`] that has not begun.
pub struct Rules {
    session: Session<Algorithm>,
    context: Arc<Context>,
}

type PreparedBy<'p> = (Calls<'p, Nonces<'p>>, &'p Tips);

impl Rules {
    /// The calls of this session.
    pub fn new(session: Session<Algorithm>, limits: Limits, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { session, context: Arc::new(Context { limits, observer }) }
    }

    /// The session, without its key.
    pub const fn session(&self) -> &Session<Algorithm> {
        &self.session
    }

    /// The time limits.
    pub fn limits(&self) -> &Limits {
        &self.context.limits
    }

    /// `POST /pin/update`: sets the PIN of a user that has none.
    pub fn create_pin<'c, L>(&'c self, pin: &'c Pin) -> Call<'c, User, L> {
        self.update(move |(mut calls, _)| calls.create_pin(pin))
    }

    /// `POST /pin/update`: changes the PIN.
    pub fn change_pin<'c, L>(&'c self, old: &'c Pin, new: &'c Pin) -> Call<'c, User, L> {
        self.update(move |(mut calls, _)| calls.change_pin(old, new))
    }

    /// `POST /pin/update`: installs a user's first TIP key.
    pub fn install_tip<'c, L>(&'c self, old: Option<&'c Pin>, key: &'c Ed25519PublicKey) -> Call<'c, User, L> {
        self.update(move |(mut calls, tips)| {
            let key = tips.signer(TipRole::Pin, key);
            match old {
                None => calls.create_tip(&key),
                Some(old) => calls.change_to_tip(old, &key),
            }
        })
    }

    /// `POST /pin/update`: replaces the TIP key. The old key signs its counter.
    pub fn change_tip<'c, L>(
        &'c self,
        old: &'c Ed25519PublicKey,
        old_counter: u64,
        new: &'c Ed25519PublicKey,
    ) -> Call<'c, User, L> {
        self.update(move |(mut calls, tips)| {
            calls.change_tip(&tips.signer(TipRole::Pin, old), old_counter, &tips.signer(TipRole::Pin, new))
        })
    }

    /// `POST /pin/verify` with digits.
    pub fn verify_pin<'c, L>(&'c self, pin: &'c Pin) -> Call<'c, User, L> {
        self.leased("POST", "/pin/verify", NextStep::VerifyAgain, move |(mut calls, _)| calls.verify_pin(pin))
    }

    /// `POST /pin/verify` with a TIP key.
    pub fn verify_tip<'c, L>(&'c self, key: &'c Ed25519PublicKey) -> Call<'c, User, L> {
        self.leased("POST", "/pin/verify", NextStep::VerifyAgain, move |(mut calls, tips)| {
            calls.verify_tip(&tips.signer(TipRole::Pin, key))
        })
    }

    /// Any other call with an encrypted PIN.
    pub fn with_pin<'c, T, L>(
        &'c self,
        method: &'c str,
        path: &'c str,
        body: &'c Map<String, Value>,
        pin: Secret,
    ) -> Call<'c, T, L> {
        self.leased(method, path, NextStep::CheckFirst, move |(mut calls, _)| calls.with_pin(method, path, body, &pin))
    }

    /// Any other call with a TIP signature of its action.
    pub fn with_tip<'c, T, L>(
        &'c self,
        method: &'c str,
        path: &'c str,
        body: &'c Map<String, Value>,
        key: &'c Ed25519PublicKey,
        action: &'c TipAction<'c>,
    ) -> Call<'c, T, L> {
        self.leased(method, path, NextStep::CheckFirst, move |(mut calls, tips)| {
            calls.with_tip(method, path, body, &tips.signer(TipRole::Pin, key), action)
        })
    }

    /// `POST /safe/users`: registers the user with the safe under `safe_key`.
    pub fn register_safe<'c, L>(
        &'c self,
        tip_key: &'c Ed25519PublicKey,
        safe_key: &'c Ed25519PublicKey,
    ) -> Call<'c, User, L> {
        self.leased("POST", "/safe/users", NextStep::CheckFirst, move |(mut calls, tips)| {
            calls.register_safe(&tips.signer(TipRole::Pin, tip_key), &tips.signer(TipRole::Safe, safe_key))
        })
    }

    /// `POST /users`: registers a user with the public key of its new session.
    pub fn register<'c, L>(&'c self, session_secret: String, full_name: &'c str) -> Call<'c, User, L> {
        self.leased("POST", "/users", NextStep::CheckFirst, move |(mut calls, _)| {
            calls.register(&session_secret, full_name)
        })
    }

    /// Any other call. All but `GET` and `HEAD` take turns with the session's PIN calls, because a body may contain a
    /// PIN.
    pub fn other<'c, T, L>(&'c self, method: &'c str, path: &'c str, body: Option<Vec<u8>>) -> Call<'c, T, L> {
        let prepare = move |(mut calls, _): PreparedBy<'_>| calls.other(method, path, body.as_deref());
        if is_read(method) {
            self.read(method, path, READ_RETRIES, prepare)
        } else {
            self.leased(method, path, NextStep::CheckFirst, prepare)
        }
    }

    /// `GET /me`.
    pub fn me<L>(&self) -> Call<'_, User, L> {
        self.read("GET", "/me", READ_RETRIES, |(mut calls, _)| calls.me())
    }

    /// `GET /me` in one attempt, for [`Probe`](crate::Probe).
    pub fn probe<L>(&self) -> Call<'_, User, L> {
        self.read("GET", "/me", 0, |(mut calls, _)| calls.me())
    }

    /// `GET /logs`.
    pub fn logs<'c, L>(&'c self, query: &'c LogQuery) -> Call<'c, Vec<LogEntry>, L> {
        self.read("GET", "/logs", READ_RETRIES, move |(mut calls, _)| calls.logs(query))
    }

    fn update<'c, T, L>(
        &'c self,
        prepare: impl Fn(PreparedBy<'_>) -> Result<UnsignedRequest, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        self.leased("POST", "/pin/update", NextStep::ResolveUpdate, prepare)
    }

    fn leased<'c, T, L>(
        &'c self,
        method: &'c str,
        path: &'c str,
        next: NextStep,
        prepare: impl Fn(PreparedBy<'_>) -> Result<UnsignedRequest, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        self.call(method, path, Rule::Leased(next), prepare)
    }

    fn read<'c, T, L>(
        &'c self,
        method: &'c str,
        path: &'c str,
        retries: u32,
        prepare: impl Fn(PreparedBy<'_>) -> Result<UnsignedRequest, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        self.call(method, path, Rule::Read { retries }, prepare)
    }

    fn call<'c, T, L>(
        &'c self,
        method: &'c str,
        path: &'c str,
        rule: Rule,
        prepare: impl Fn(PreparedBy<'_>) -> Result<UnsignedRequest, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        let prepare: Prepare<'c> = Box::new(move |with: Ingredients<'_>| {
            let tips = with.tips;
            prepare((with.calls(&self.session), tips)).map(Into::into)
        });
        let (method, path) = (Cow::Borrowed(method), Cow::Borrowed(path));
        Call::new(&self.context, Plan { method, path, rule, prepare, session: Some(&self.session), server_key: None })
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("user_id", &self.session.user_id())
            .field("session_id", &self.session.session_id())
            .finish_non_exhaustive()
    }
}

pub(crate) fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}
