//! The calls of an OAuth session, which carry no PIN, need no lease and are not in the journal.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use mixin_pin_core::OAuthSession;
use mixin_pin_core::token::Algorithm;
use mixin_pin_protocol::CallError;
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::call::UnsignedRequest;
use mixin_pin_protocol::oauth::{CodeExchange, Grant, OAuthCalls};

use crate::plan::{Context, Draft, Ingredients, Plan, Rule};
use crate::rules::is_read;
use crate::{Call, Limits, NextStep, Observer};

/// The calls of one OAuth session, for a driver to make. Answers that the server did not sign are refused.
pub struct OAuthRules {
    session: OAuthSession<Algorithm>,
    context: Arc<Context>,
}

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
        self.call("GET", "/me", |mut calls| calls.me())
    }

    /// Any other call within the scope.
    pub fn other<'c, T, L>(&'c self, method: &'c str, path: &'c str, body: Option<Vec<u8>>) -> Call<'c, T, L> {
        self.call(method, path, move |mut calls| calls.other(method, path, body.as_deref()))
    }

    fn call<'c, T, L>(
        &'c self,
        method: &'c str,
        path: &'c str,
        prepare: impl Fn(OAuthCalls<'_, Algorithm>) -> Result<UnsignedRequest, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        let rule = if is_read(method) { Rule::Read { retries: 0 } } else { Rule::Unleased(NextStep::CheckFirst) };
        let prepare = Box::new(move |with: Ingredients<'_>| {
            let calls = OAuthCalls::for_algorithm(&self.session, *self.session.signer(), with.now, with.rng);
            prepare(calls.lifetime(with.lifetime)).map(Into::into)
        });
        let (method, path, server_key) = (Cow::Borrowed(method), Cow::Borrowed(path), Some(self.session.server_key()));
        Call::new(&self.context, Plan { method, path, rule, prepare, session: None, server_key })
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
        },
    )
}

impl fmt::Debug for OAuthRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthRules").field("session", &self.session).finish_non_exhaustive()
    }
}
