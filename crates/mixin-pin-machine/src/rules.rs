//! The calls of one session.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::tip::TipAction;
use mixin_pin_core::token::Algorithm;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Pin, RsaPublicKey, Secret, Session, UnixTime};
use mixin_pin_protocol::CallError;
use mixin_pin_protocol::action::Action;
use mixin_pin_protocol::answer::{App, AppRegistration, LogEntry, NewSession, User, UserSession};
use mixin_pin_protocol::call::{Calls, LogQuery, MeRequest, Salts};
use serde_json::{Map, Value};

use crate::plan::{Context, Draft, Ingredients, Nonces, Plan, Prepare, Rule};
use crate::tips::Tips;
use crate::{Call, Limits, NextStep, Observer, TipRole};

/// Further attempts for a call that only reads.
const READ_RETRIES: u32 = 3;

/// The path of the upgrade of an RSA session, whose request has no token.
const UPGRADE: &str = "/legacy/users";

/// How long the server may carry out an upgrade, from the time in its encrypted PIN on. No source names the window. The apps
/// take a clock that is further than this from the server's to be wrong (ios-app: `MixinAPI.swift`).
const UPGRADE_WINDOW: Duration = Duration::from_secs(300);

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

    /// Until when a change of a session's key that is made now may be carried out, for [`SessionChange::plan`].
    ///
    /// [`SessionChange::plan`]: crate::SessionChange::plan
    pub fn latest_change(&self, now: UnixTime) -> UnixTime {
        let upgrade = UnixTime::from_secs(now.secs().saturating_add(UPGRADE_WINDOW.as_secs()));
        self.limits().expiry(now).max(upgrade)
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

    /// Like [`Rules::change_tip`], for a user of the safe whose wallet has salts.
    pub fn change_tip_with_salts<'c, L>(
        &'c self,
        old: &'c Ed25519PublicKey,
        old_counter: u64,
        new: &'c Ed25519PublicKey,
        salts: &'c Salts,
    ) -> Call<'c, User, L> {
        self.update(move |(calls, tips)| {
            let (old, new) = (tips.signer(TipRole::Pin, old), tips.signer(TipRole::Pin, new));
            calls.salts(salts.clone()).change_tip(&old, old_counter, &new)
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

    /// The request of an action, which a TIP key permits.
    pub fn act<'c, T, L>(&'c self, key: &'c Ed25519PublicKey, action: &'c Action) -> Call<'c, T, L> {
        self.action(action, move |(mut calls, tips)| calls.act(&tips.signer(TipRole::Pin, key), action))
    }

    /// The request of an action, which a PIN of digits permits.
    pub fn act_with_pin<'c, T, L>(&'c self, pin: &'c Pin, action: &'c Action) -> Call<'c, T, L> {
        self.action(action, move |(mut calls, _)| calls.act_with_pin(pin, action))
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

    /// `POST /legacy/users`: replaces the RSA key of this session by an Ed25519 key. Without a token, so every refusal may be
    /// about a copy: only an answer with the new session is certain.
    pub fn upgrade_session<'c, L>(
        &'c self,
        old_key: &'c RsaPublicKey,
        pin: &'c Pin,
        new_key: &'c Ed25519PublicKey,
    ) -> Call<'c, NewSession, L> {
        self.leased("POST", UPGRADE, NextStep::AskBothKeys, move |(mut calls, _)| {
            calls.upgrade_session(old_key, pin, new_key)
        })
    }

    /// `POST /session/secret`: replaces the key of this session.
    pub fn replace_session_key<'c, L>(&'c self, new_key: &'c Ed25519PublicKey) -> Call<'c, NewSession, L> {
        self.leased("POST", "/session/secret", NextStep::AskBothKeys, move |(mut calls, _)| {
            calls.replace_session_key(new_key)
        })
    }

    /// `POST /safe/apps/:id/session`: gives an app of this user a new session. The journal's entry is under this session.
    pub fn replace_app_session<'c, L>(
        &'c self,
        app_id: Uuid,
        new_key: &'c Ed25519PublicKey,
    ) -> Call<'c, NewSession, L> {
        self.leased("POST", app_path(app_id, "session"), NextStep::AskBothKeys, move |(mut calls, _)| {
            calls.replace_app_session(app_id, new_key)
        })
    }

    /// `POST /safe/apps/:id/register`: registers an app of this user with the safe. [`App::has_safe`] tells what became of a
    /// lost call.
    pub fn register_app<'c, L>(
        &'c self,
        app_id: Uuid,
        spend_key: &'c Ed25519PublicKey,
    ) -> Call<'c, AppRegistration, L> {
        self.leased("POST", app_path(app_id, "register"), NextStep::CheckFirst, move |(mut calls, tips)| {
            calls.register_app(app_id, &tips.signer(TipRole::Safe, spend_key))
        })
    }

    /// `GET /apps/:id`.
    pub fn app<L>(&self, app_id: Uuid) -> Call<'_, App, L> {
        self.read("GET", format!("/apps/{app_id}"), READ_RETRIES, move |(mut calls, _)| calls.app(app_id))
    }

    /// `POST /sessions/fetch`, which only reads.
    pub fn sessions<'c, L>(&'c self, user_ids: &'c [Uuid]) -> Call<'c, Vec<UserSession>, L> {
        self.read("POST", "/sessions/fetch", READ_RETRIES, move |(mut calls, _)| calls.sessions(user_ids))
    }

    /// `GET /me` in the name of any session, for a key that signs elsewhere: see [`KeyState`](crate::KeyState).
    pub fn ask_with<L>(&self, user_id: Uuid, session_id: Uuid, algorithm: Algorithm) -> Call<'_, User, L> {
        let me = MeRequest { user_id, session_id, algorithm };
        let prepare: Prepare<'_> =
            Box::new(move |with: Ingredients<'_>| me.prepare(with.now, with.lifetime, with.rng).map(Into::into));
        let rule = Rule::Read { retries: READ_RETRIES };
        let (method, path) = ("GET".into(), "/me".into());
        Call::new(&self.context, Plan { method, path, rule, prepare, session: None, server_key: None, window: None })
    }

    fn action<'c, T, L, D: Into<Draft>>(
        &'c self,
        action: &Action,
        prepare: impl Fn(PreparedBy<'_>) -> Result<D, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        let next = if matches!(action, Action::Verify { .. }) { NextStep::VerifyAgain } else { NextStep::CheckFirst };
        self.leased(Action::METHOD, action.path(self.session.user_id()), next, prepare)
    }

    fn update<'c, T, L, D: Into<Draft>>(
        &'c self,
        prepare: impl Fn(PreparedBy<'_>) -> Result<D, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        self.leased("POST", "/pin/update", NextStep::ResolveUpdate, prepare)
    }

    fn leased<'c, T, L, D: Into<Draft>>(
        &'c self,
        method: &'c str,
        path: impl Into<Cow<'c, str>>,
        next: NextStep,
        prepare: impl Fn(PreparedBy<'_>) -> Result<D, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        self.call(method, path, Rule::Leased(next), prepare)
    }

    fn read<'c, T, L, D: Into<Draft>>(
        &'c self,
        method: &'c str,
        path: impl Into<Cow<'c, str>>,
        retries: u32,
        prepare: impl Fn(PreparedBy<'_>) -> Result<D, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        self.call(method, path, Rule::Read { retries }, prepare)
    }

    fn call<'c, T, L, D: Into<Draft>>(
        &'c self,
        method: &'c str,
        path: impl Into<Cow<'c, str>>,
        rule: Rule,
        prepare: impl Fn(PreparedBy<'_>) -> Result<D, CallError> + Send + Sync + 'c,
    ) -> Call<'c, T, L> {
        let path = path.into();
        let window = (path == UPGRADE).then_some(UPGRADE_WINDOW);
        let prepare: Prepare<'c> = Box::new(move |with: Ingredients<'_>| {
            let tips = with.tips;
            prepare((with.calls(&self.session), tips)).map(Into::into)
        });
        let method = Cow::Borrowed(method);
        Call::new(
            &self.context,
            Plan { method, path, rule, prepare, session: Some(&self.session), server_key: None, window },
        )
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

/// A path of an app in the safe.
pub(crate) fn app_path(app_id: Uuid, what: &str) -> String {
    format!("/safe/apps/{app_id}/{what}")
}

pub(crate) fn is_read(method: &str) -> bool {
    matches!(method, "GET" | "HEAD")
}
