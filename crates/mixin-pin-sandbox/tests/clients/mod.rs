//! The blocking and the async client behind one trait, so that one test runs for both.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::token::{Signer, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, OAuthSession, Pin, RsaPublicKey, Secret, Session, SessionKey, UnixTime};
use mixin_pin_http::{Error, KeyResolution, KeyState, Observer, Outcome, Probe, Resolution, SessionChange};
use mixin_pin_protocol::action::Action;
use mixin_pin_protocol::answer::{App, AppRegistration, LogEntry, NewSession, User, UserSession};
use mixin_pin_protocol::call::{LogQuery, Salts};
use mixin_pin_protocol::oauth::{CodeExchange, Grant};
use mixin_pin_store::{AsyncNonceStore, NonceStore, PendingCall};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

pub type Change = Result<Outcome<User>, Error>;
pub type SessionChanged = Result<Outcome<NewSession>, Error>;

/// A six-digit PIN or a TIP key.
#[derive(Clone, Copy)]
pub enum Key<'k> {
    Digits(&'k Pin),
    Tip(&'k TipKey),
}

impl<'k> From<Key<'k>> for mixin_pin_http::Credential<'k> {
    fn from(key: Key<'k>) -> Self {
        match key {
            Key::Digits(pin) => Self::Digits(pin),
            Key::Tip(key) => Self::Tip(key),
        }
    }
}

impl<'k> From<Key<'k>> for mixin_pin_async::Credential<'k> {
    fn from(key: Key<'k>) -> Self {
        match key {
            Key::Digits(pin) => Self::Digits(pin),
            Key::Tip(key) => Self::Tip(key),
        }
    }
}

/// How a client is made.
#[derive(Clone, Default)]
pub struct Settings {
    pub url: String,
    pub timeout: Option<Duration>,
    pub wait: Option<Duration>,
    pub token_lifetime: Option<Duration>,
    pub observer: Option<Arc<dyn Observer>>,
}

impl Settings {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }
}

/// A client, blocking or async. Its methods are those of `mixin_pin_http::Client`.
pub trait Bot: Send + Sync + Sized + 'static {
    const NAME: &'static str;

    fn new<S: Signer + Send + Sync + 'static>(
        session: Session<S>,
        store: impl NonceStore + AsyncNonceStore + 'static,
        settings: &Settings,
    ) -> Self;
    fn session_id(&self) -> Uuid;
    fn create_pin(&self, pin: &Pin) -> Change;
    fn change_pin(&self, old: &Pin, new: &Pin) -> Change;
    fn update_pin(&self, old: Option<&Pin>, new: &Pin) -> Change;
    fn verify_pin(&self, pin: &Pin) -> Change;
    fn install_tip(&self, old: Option<&Pin>, key: &TipKey) -> Change;
    fn change_tip(&self, old: &TipKey, old_counter: u64, new: &TipKey) -> Change;
    fn change_tip_with_salts(&self, old: &TipKey, old_counter: u64, new: &TipKey, salts: &Salts) -> Change;
    fn verify_tip(&self, key: &TipKey) -> Change;
    fn register_safe(&self, key: &TipKey, safe: &TipKey) -> Change;
    fn register(&self, key: &VerifyingKey, full_name: &str) -> Change;
    fn call_with_pin(
        &self,
        method: &str,
        path: &str,
        body: &Map<String, Value>,
        pin: Secret,
    ) -> Result<Outcome<Value>, Error>;
    fn call_with_tip(
        &self,
        method: &str,
        path: &str,
        body: &Map<String, Value>,
        key: &TipKey,
        action: &TipAction<'_>,
    ) -> Result<Outcome<Value>, Error>;
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Outcome<Value>, Error>;
    fn me(&self) -> Result<User, Error>;
    fn probe(&self) -> Result<Probe, Error>;
    fn pin_logs(&self, query: &LogQuery) -> Result<Vec<LogEntry>, Error>;
    fn pending(&self) -> Result<Vec<PendingCall>, Error>;
    fn settle(&self, request_id: Uuid) -> Result<bool, Error>;
    /// Plans a resolution and settles it. Returns what it might have cost, and the result.
    fn resolve(
        &self,
        old: Option<Key<'_>>,
        new: Key<'_>,
        expires_at: Option<UnixTime>,
    ) -> Result<(u32, Result<Resolution, Error>), Error>;
    fn exchange(url: &str, exchange: &CodeExchange<'_>) -> Result<Outcome<Grant>, Error>;
    fn oauth_me(url: &str, session: OAuthSession) -> Result<User, Error>;
    fn act(&self, key: Key<'_>, action: &Action) -> Result<Outcome<Value>, Error>;
    fn upgrade_session(&self, old: &RsaPublicKey, pin: &Pin, new: &Ed25519PublicKey) -> SessionChanged;
    fn replace_session_key(&self, new: &Ed25519PublicKey) -> SessionChanged;
    fn replace_app_session(&self, app_id: Uuid, new: &Ed25519PublicKey) -> SessionChanged;
    fn register_app(&self, app_id: Uuid, spend_key: &TipKey) -> Result<Outcome<AppRegistration>, Error>;
    fn app(&self, app_id: Uuid) -> Result<App, Error>;
    fn sessions(&self, user_ids: &[Uuid]) -> Result<Vec<UserSession>, Error>;
    fn ask_with(&self, user_id: Uuid, session_id: Uuid, key: &SessionKey) -> Result<KeyState, Error>;
    fn resolve_session(
        &self,
        change: SessionChange,
        old: &SessionKey,
        new: &SessionKey,
    ) -> Result<KeyResolution, Error>;
    fn oauth_replace_app_session(
        url: &str,
        session: OAuthSession,
        app_id: Uuid,
        new: &Ed25519PublicKey,
    ) -> SessionChanged;
    fn oauth_register_app(
        url: &str,
        session: OAuthSession,
        app_id: Uuid,
        spend_key: &TipKey,
    ) -> Result<Outcome<AppRegistration>, Error>;
    fn oauth_app(url: &str, session: OAuthSession, app_id: Uuid) -> Result<App, Error>;
    fn oauth_sessions(url: &str, session: OAuthSession, user_ids: &[Uuid]) -> Result<Vec<UserSession>, Error>;
}

/// The blocking client.
pub struct Blocking(mixin_pin_http::Client);

/// The async client, on a runtime of its own.
pub struct Async {
    client: mixin_pin_async::Client,
    runtime: Runtime,
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

impl From<mixin_pin_http::Client> for Blocking {
    fn from(client: mixin_pin_http::Client) -> Self {
        Self(client)
    }
}

impl From<mixin_pin_async::Client> for Async {
    fn from(client: mixin_pin_async::Client) -> Self {
        Self { client, runtime: runtime() }
    }
}

impl Blocking {
    const fn client(&self) -> &mixin_pin_http::Client {
        &self.0
    }

    #[allow(clippy::unused_self, reason = "the async client waits on its runtime")]
    fn wait<T>(&self, result: T) -> T {
        result
    }

    fn wait_once<T>(result: T) -> T {
        result
    }
}

impl Async {
    const fn client(&self) -> &mixin_pin_async::Client {
        &self.client
    }

    fn wait<F: Future>(&self, call: F) -> F::Output {
        self.runtime.block_on(call)
    }

    fn wait_once<F: Future>(call: F) -> F::Output {
        runtime().block_on(call)
    }
}

macro_rules! bot {
    ($bot:ident, $name:literal, $library:ident) => {
        impl $bot {
            fn oauth(url: &str, session: OAuthSession) -> $library::OAuthClient {
                $library::OAuthClient::builder(session).base_url(url).build().unwrap()
            }
        }

        impl Bot for $bot {
            const NAME: &'static str = $name;

            fn new<S: Signer + Send + Sync + 'static>(
                session: Session<S>,
                store: impl NonceStore + AsyncNonceStore + 'static,
                settings: &Settings,
            ) -> Self {
                let mut builder = $library::Client::builder_with_signer(session).base_url(&settings.url).store(store);
                if let Some(limit) = settings.timeout {
                    builder = builder.timeout(limit);
                }
                if let Some(limit) = settings.wait {
                    builder = builder.wait(limit);
                }
                if let Some(lifetime) = settings.token_lifetime {
                    builder = builder.token_lifetime(lifetime);
                }
                if let Some(observer) = &settings.observer {
                    builder = builder.observer(observer.clone());
                }
                builder.build().unwrap().into()
            }

            fn session_id(&self) -> Uuid {
                self.client().session().session_id()
            }

            fn create_pin(&self, pin: &Pin) -> Change {
                self.wait(self.client().create_pin(pin))
            }

            fn change_pin(&self, old: &Pin, new: &Pin) -> Change {
                self.wait(self.client().change_pin(old, new))
            }

            fn update_pin(&self, old: Option<&Pin>, new: &Pin) -> Change {
                self.wait(self.client().update_pin(old, new))
            }

            fn verify_pin(&self, pin: &Pin) -> Change {
                self.wait(self.client().verify_pin(pin))
            }

            fn install_tip(&self, old: Option<&Pin>, key: &TipKey) -> Change {
                self.wait(self.client().install_tip(old, key))
            }

            fn change_tip(&self, old: &TipKey, old_counter: u64, new: &TipKey) -> Change {
                self.wait(self.client().change_tip(old, old_counter, new))
            }

            fn change_tip_with_salts(&self, old: &TipKey, old_counter: u64, new: &TipKey, salts: &Salts) -> Change {
                self.wait(self.client().change_tip_with_salts(old, old_counter, new, salts))
            }

            fn verify_tip(&self, key: &TipKey) -> Change {
                self.wait(self.client().verify_tip(key))
            }

            fn register_safe(&self, key: &TipKey, safe: &TipKey) -> Change {
                self.wait(self.client().register_safe(key, safe))
            }

            fn register(&self, key: &VerifyingKey, full_name: &str) -> Change {
                self.wait(self.client().register(key, full_name))
            }

            fn call_with_pin(
                &self,
                method: &str,
                path: &str,
                body: &Map<String, Value>,
                pin: Secret,
            ) -> Result<Outcome<Value>, Error> {
                self.wait(self.client().call_with_pin(method, path, body, pin))
            }

            fn call_with_tip(
                &self,
                method: &str,
                path: &str,
                body: &Map<String, Value>,
                key: &TipKey,
                action: &TipAction<'_>,
            ) -> Result<Outcome<Value>, Error> {
                self.wait(self.client().call_with_tip(method, path, body, key, action))
            }

            fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Outcome<Value>, Error> {
                self.wait(self.client().call(method, path, body))
            }

            fn me(&self) -> Result<User, Error> {
                self.wait(self.client().me())
            }

            fn probe(&self) -> Result<Probe, Error> {
                self.wait(self.client().probe())
            }

            fn pin_logs(&self, query: &LogQuery) -> Result<Vec<LogEntry>, Error> {
                self.wait(self.client().pin_logs(query))
            }

            fn pending(&self) -> Result<Vec<PendingCall>, Error> {
                self.wait(self.client().pending())
            }

            fn settle(&self, request_id: Uuid) -> Result<bool, Error> {
                self.wait(self.client().settle(request_id))
            }

            fn resolve(
                &self,
                old: Option<Key<'_>>,
                new: Key<'_>,
                expires_at: Option<UnixTime>,
            ) -> Result<(u32, Result<Resolution, Error>), Error> {
                let plan = self.client().resolve_update(old.map(Into::into), new.into(), expires_at);
                let plan = self.wait(plan)?;
                Ok((plan.may_cost(), self.wait(plan.settle())))
            }

            fn exchange(url: &str, exchange: &CodeExchange<'_>) -> Result<Outcome<Grant>, Error> {
                Self::wait_once($library::OAuthClient::exchange().base_url(url).send(exchange))
            }

            fn oauth_me(url: &str, session: OAuthSession) -> Result<User, Error> {
                Self::wait_once(Self::oauth(url, session).me())
            }

            fn act(&self, key: Key<'_>, action: &Action) -> Result<Outcome<Value>, Error> {
                self.wait(self.client().act($library::Credential::from(key), action))
            }

            fn upgrade_session(&self, old: &RsaPublicKey, pin: &Pin, new: &Ed25519PublicKey) -> SessionChanged {
                self.wait(self.client().upgrade_session(old, pin, new))
            }

            fn replace_session_key(&self, new: &Ed25519PublicKey) -> SessionChanged {
                self.wait(self.client().replace_session_key(new))
            }

            fn replace_app_session(&self, app_id: Uuid, new: &Ed25519PublicKey) -> SessionChanged {
                self.wait(self.client().replace_app_session(app_id, new))
            }

            fn register_app(&self, app_id: Uuid, spend_key: &TipKey) -> Result<Outcome<AppRegistration>, Error> {
                self.wait(self.client().register_app(app_id, spend_key))
            }

            fn app(&self, app_id: Uuid) -> Result<App, Error> {
                self.wait(self.client().app(app_id))
            }

            fn sessions(&self, user_ids: &[Uuid]) -> Result<Vec<UserSession>, Error> {
                self.wait(self.client().sessions(user_ids))
            }

            fn ask_with(&self, user_id: Uuid, session_id: Uuid, key: &SessionKey) -> Result<KeyState, Error> {
                self.wait(self.client().ask_with(user_id, session_id, key))
            }

            fn resolve_session(
                &self,
                change: SessionChange,
                old: &SessionKey,
                new: &SessionKey,
            ) -> Result<KeyResolution, Error> {
                self.wait(self.client().resolve_session(change, old, new))
            }

            fn oauth_replace_app_session(
                url: &str,
                session: OAuthSession,
                app_id: Uuid,
                new: &Ed25519PublicKey,
            ) -> SessionChanged {
                Self::wait_once(Self::oauth(url, session).replace_app_session(app_id, new))
            }

            fn oauth_register_app(
                url: &str,
                session: OAuthSession,
                app_id: Uuid,
                spend_key: &TipKey,
            ) -> Result<Outcome<AppRegistration>, Error> {
                Self::wait_once(Self::oauth(url, session).register_app(app_id, spend_key))
            }

            fn oauth_app(url: &str, session: OAuthSession, app_id: Uuid) -> Result<App, Error> {
                Self::wait_once(Self::oauth(url, session).app(app_id))
            }

            fn oauth_sessions(url: &str, session: OAuthSession, ids: &[Uuid]) -> Result<Vec<UserSession>, Error> {
                Self::wait_once(Self::oauth(url, session).sessions(ids))
            }
        }
    };
}

bot!(Blocking, "blocking", mixin_pin_http);
bot!(Async, "async", mixin_pin_async);
