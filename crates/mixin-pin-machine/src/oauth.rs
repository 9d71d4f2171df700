//! The calls of an OAuth session, which carry no PIN, need no lease and are not in the journal.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use mixin_pin_core::token::Algorithm;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, OAuthSession};
use mixin_pin_protocol::CallError;
use mixin_pin_protocol::answer::{App, AppRegistration, NewSession, User, UserSession};
use mixin_pin_protocol::call::UnsignedRequest;
use mixin_pin_protocol::oauth::{CodeExchange, Grant, OAuthCalls};

use crate::plan::{Context, Draft, Ingredients, Plan, Rule};
use crate::rules::{app_path, is_read};
use crate::tips::Tips;
use crate::{Call, Limits, NextStep, Observer, TipRole};

const READ: Rule = Rule::Read { retries: 0 };

/// The calls of one OAuth session, for a driver to make. Answers that the server did not sign are refused.
pub struct OAuthRules {
    session: OAuthSession<Algorithm>,
    context: Arc<Context>,
}

type PreparedBy<'p> = (OAuthCalls<'p, Algorithm>, &'p Tips);

impl OAuthRules {
    /// The calls of this session.
    pub fn new(session: OAuthSession<Algorithm>, limits: Limits, observer: Option<Arc<dyn Observer>>) -> Self {
        Self { session, context: Arc::new(Context { limits, observer }) }
    }

    /// The session, without its key.
    pub const fn session(&self) -> &OAuthSession<Algorithm> {
        &self.session
    }

    /// `GET /me`.
    pub fn me<L>(&self) -> Call<'_, User, L> {
        self.call("GET", "/me", NextStep::CheckFirst, |(mut calls, _)| calls.me())
    }

    /// Any other call within the scope.
    pub fn other<'c, T, L>(&'c self, method: &'c str, path: &'c str, body: Option<Vec<u8>>) -> Call<'c, T, L> {
        self.call(method, path, NextStep::CheckFirst, move |(mut calls, _)| calls.other(method, path, body.as_deref()))
    }

    /// `POST /safe/apps/:id/session`: gives an app of the user a new session. It is not in a journal.
    pub fn replace_app_session<'c, L>(
        &'c self,
        app_id: Uuid,
        new_key: &'c Ed25519PublicKey,
    ) -> Call<'c, NewSession, L> {
        self.call("POST", app_path(app_id, "session"), NextStep::AskBothKeys, move |(mut calls, _)| {
            calls.replace_app_session(app_id, new_key)
        })
    }

    /// `POST /safe/apps/:id/register`: registers an app of the user with the safe. It is not in a journal.
    pub fn register_app<'c, L>(
        &'c self,
        app_id: Uuid,
        spend_key: &'c Ed25519PublicKey,
    ) -> Call<'c, AppRegistration, L> {
        self.call("POST", app_path(app_id, "register"), NextStep::CheckFirst, move |(mut calls, tips)| {
            calls.register_app(app_id, &tips.signer(TipRole::Safe, spend_key))
        })
    }

    /// `GET /apps/:id`.
    pub fn app<L>(&self, app_id: Uuid) -> Call<'_, App, L> {
        self.call("GET", format!("/apps/{app_id}"), NextStep::CheckFirst, move |(mut calls, _)| calls.app(app_id))
    }

    /// `POST /sessions/fetch`, which only reads.
    pub fn sessions<'c, L>(&'c self, user_ids: &'c [Uuid]) -> Call<'c, Vec<UserSession>, L> {
        self.make("POST", "/sessions/fetch", READ, move |(mut calls, _)| calls.sessions(user_ids))
    }

    fn call<'c, T, L>(
        &'c self,
        method: &'c str,
        path: impl Into<Cow<'c, str>>,
        next: NextStep,
        prepare: impl Fn(PreparedBy<'_>) -> Result<UnsignedRequest, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        self.make(method, path, if is_read(method) { READ } else { Rule::Unleased(next) }, prepare)
    }

    fn make<'c, T, L>(
        &'c self,
        method: &'c str,
        path: impl Into<Cow<'c, str>>,
        rule: Rule,
        prepare: impl Fn(PreparedBy<'_>) -> Result<UnsignedRequest, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        let prepare = Box::new(move |with: Ingredients<'_>| {
            let tips = with.tips;
            let calls = OAuthCalls::for_algorithm(&self.session, *self.session.signer(), with.now, with.rng);
            prepare((calls.lifetime(with.lifetime), tips)).map(Into::into)
        });
        let (method, path, server_key) = (Cow::Borrowed(method), path.into(), Some(self.session.server_key()));
        Call::new(&self.context, Plan { method, path, rule, prepare, session: None, server_key, window: None })
    }
}

/// The exchange of a code for a grant: `POST /oauth/token`. A code can be exchanged once.
pub fn exchange_code<'c, L>(exchange: &'c CodeExchange<'c>, limits: Limits) -> Call<'c, Grant, L> {
    let context = Arc::new(Context { limits, observer: None });
    Call::new(
        &context,
        Plan {
            method: "POST".into(),
            path: "/oauth/token".into(),
            rule: Rule::Unleased(NextStep::CheckFirst),
            prepare: Box::new(|with| Ok(Draft::Ready(exchange.prepare(with.rng)))),
            session: None,
            server_key: None,
            window: None,
        },
    )
}

impl fmt::Debug for OAuthRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthRules").field("session", &self.session).finish_non_exhaustive()
    }
}
