//! Judges requests: who asks, whether the token holds, and what becomes of the PINs inside.
//!
//! HTTP is the business of `server`, remembering that of `store`.

mod action;
mod oauth;
mod pin;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::Query;
use axum::http::Uri;
use base16ct::lower::encode_string;
use jiff::Timestamp;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, PinKey, SystemRng, UnixTime};
use mixin_pin_protocol::answer::ErrorCode;
use mixin_pin_protocol::call::random_uuid;
use mixin_pin_protocol::check::{ReceivedClaims, ReceivedRequest, ReceivedToken, check_token};
use mixin_pin_protocol::keystore::{ServerKey, write_app};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::pin_hash::PinHash;
use crate::reply::{Refusal, Reply};
use crate::status::{self, RecentCalls};
use crate::store::{Db, NewUser, Store, UserRow};
use crate::{Account, Clock, Config, Error, Observation, Observer};
use oauth::OAuthAsker;

/// The first registered user gets the number after this one; the documentation's own is 7000.
const NUMBERS_BEGIN_AFTER: i64 = 7000;

pub(crate) struct Service {
    store: Store,
    /// Whose session it is and the key that it signs with, neither of which ever changes, as far as they were asked for.
    sessions: RwLock<HashMap<Uuid, Arc<KnownSession>>>,
    clock: Clock,
    clock_tolerance: Duration,
    tries_a_day: u32,
    refuse_repeated_requests: bool,
    observer: Option<Observer>,
    /// The calls that the page shows, where there is a page.
    recent: Option<RecentCalls>,
}

/// A request whose token holds.
struct Authenticated<'r> {
    method: &'r str,
    path: &'r str,
    body: &'r [u8],
    user: UserRow,
    now: UnixTime,
    ip: IpAddr,
}

impl Authenticated<'_> {
    fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        json_body(self.body)
    }
}

fn json_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // An object first: of an array, serde would take the elements for the fields.
    let object = serde_json::from_slice::<Map<String, Value>>(body);
    object.and_then(T::deserialize).map_err(|_| Refusal::new(ErrorCode::BadRequest, "body"))
}

struct KnownSession {
    user_id: Uuid,
    key: VerifyingKey,
}

/// A token as far as it can be judged without what a transaction may change.
enum Presented<'t> {
    /// It holds.
    Session(ReceivedClaims),
    /// Its key is the authorization's, which may have been exchanged just now.
    OAuth(ReceivedToken<'t>),
}

/// Who a token speaks for, once it holds.
enum Asker {
    User(Box<UserRow>),
    App(Box<OAuthAsker>),
}

/// A refusal is an answer, an error is not: both end a call early, one with the transaction kept.
type Answer = Result<Result<Value, Refusal>, Error>;

impl Service {
    pub(crate) fn new(store: Store, config: &Config) -> Result<Self, Error> {
        let service = Self {
            store,
            sessions: RwLock::default(),
            clock: config.clock.clone(),
            clock_tolerance: config.clock_tolerance,
            tries_a_day: config.tries_a_day,
            refuse_repeated_requests: config.refuse_repeated_requests,
            observer: config.observer.clone(),
            recent: config.status_page.then(RecentCalls::default),
        };
        service.store.write(|db| match db.app_keystore()? {
            Some(_) => Ok(()),
            None => service.make_app(db),
        })?;
        Ok(service)
    }

    pub(crate) fn now(&self) -> UnixTime {
        (self.clock)()
    }

    pub(crate) fn app_keystore(&self) -> Result<Zeroizing<String>, Error> {
        self.store.write(|db| db.app_keystore()?.map(Zeroizing::new).ok_or(Error::DatabaseContent))
    }

    fn make_app(&self, db: &Db<'_>) -> Result<(), Error> {
        let mut rng = SystemRng::new()?;
        let key = Ed25519Key::generate(&mut rng);
        let server = Ed25519Key::generate(&mut rng);
        let public_key = VerifyingKey::Ed25519(key.public_key());
        let (user_id, session_id) = (random_uuid(&mut rng), random_uuid(&mut rng));
        db.add_user(&NewUser {
            user_id,
            session_id,
            is_app: true,
            full_name: "Sandbox App",
            session_secret: &public_key.to_session_secret()?,
            pin_key: &server.agree(&key.public_key().to_x25519()?)?,
            created_at: nanos(self.now()),
        })?;
        db.set_app_keystore(&write_app(user_id, session_id, &key, &ServerKey::Ed25519(server.public_key())))
    }

    /// Answers a request, whatever it is.
    pub(crate) fn answer(&self, request: &ReceivedRequest<'_>, user_agent: Option<&str>, ip: IpAddr) -> Reply {
        let now = self.now();
        // Signatures take the longest, and so are checked before the others are made to wait.
        let judged = self.presented(request, now).and_then(|token| {
            self.store.write(|db| {
                let reply = self.judge(db, request, token, now, ip)?;
                if self.observer.is_some() || self.recent.is_some() {
                    self.tell(Observation::of(db, request, user_agent, &reply, now)?);
                }
                Ok(reply)
            })
        });
        match judged {
            Ok(reply) => reply,
            Err(error) => {
                eprintln!("mixin-pin-sandbox: {error}");
                Reply::server_trouble()
            }
        }
    }

    fn tell(&self, seen: Observation) {
        if let Some(observer) = &self.observer {
            observer(&seen);
        }
        if let Some(recent) = &self.recent {
            recent.add(seen);
        }
    }

    /// The page for who looks on, where there is one.
    pub(crate) fn status_page(&self) -> Result<Option<String>, Error> {
        let Some(recent) = &self.recent else { return Ok(None) };
        let (users, today) = (self.store.write(|db| db.newest_users(status::USERS))?, pin::day(self.now()));
        Ok(Some(status::page(&users, today, &recent.newest_first())))
    }

    /// Takes in a user who was registered elsewhere.
    pub(crate) fn add_account(&self, account: &Account) -> Result<(), Error> {
        let session_secret = account.public_key.to_session_secret()?;
        self.store.write(|db| {
            let known = db.user_of_session(account.session_id)?;
            if known.is_some() || db.user(account.user_id)?.is_some() {
                // After a restart on the same database.
                let is_same = known.is_some_and(|user| {
                    user.user_id == account.user_id
                        && user.session_secret == session_secret
                        && bool::from(user.pin_key.expose().ct_eq(account.pin_key.expose()))
                });
                return if is_same { Ok(()) } else { Err(Error::AccountExists { user_id: account.user_id }) };
            }
            db.add_user(&NewUser {
                user_id: account.user_id,
                session_id: account.session_id,
                is_app: false,
                full_name: &account.full_name,
                session_secret: &session_secret,
                pin_key: &account.pin_key,
                created_at: nanos(self.now()),
            })?;
            match &account.pin {
                Some(pin) => db.set_pin(account.session_id, &PinHash::of(pin, &account.pin_key)?),
                None => Ok(()),
            }
        })
    }

    fn judge(
        &self,
        db: &Db<'_>,
        request: &ReceivedRequest<'_>,
        token: Result<Presented<'_>, Refusal>,
        now: UnixTime,
        ip: IpAddr,
    ) -> Result<Reply, Error> {
        let path = request.path.split_once('?').map_or(request.path, |(path, _)| path);
        // The two that nobody signs.
        match (request.method, path) {
            ("POST", "/oauth/token") => return Ok(Self::exchange_code(db, request.body)?.into()),
            ("POST", "/sandbox/authorizations") => return Ok(Self::ask_authorization(db, request.body)?.into()),
            _ => {}
        }
        let handler: Option<fn(&Self, &Db<'_>, &Authenticated<'_>) -> Answer> = match (request.method, path) {
            ("POST", "/users") => Some(Self::register),
            ("POST", "/pin/update") => Some(Self::update_pin),
            ("POST", "/pin/verify") => Some(Self::verify_pin),
            ("GET", "/me" | "/safe/me") => Some(|_, _, call| Ok(Ok(user_json(&call.user)))),
            ("GET", "/logs") => Some(Self::logs),
            ("POST", path) if Self::takes_an_action(path) => Some(Self::carry_out),
            _ => None,
        };
        let not_found = || Refusal::new(ErrorCode::NotFound, "endpoint");
        let authenticated = match token {
            Ok(token) => self.authenticate(db, request, token, now)?,
            Err(refusal) => Err(refusal),
        };
        let (asker, request_id, expires_at) = match authenticated {
            Ok(authenticated) => authenticated,
            // Who asks for what is not there need not say who they are.
            Err(refusal) => return Ok(handler.map_or_else(not_found, |_| refusal).into()),
        };
        match asker {
            Asker::App(app) => {
                let answer = if handler.is_some() { app.answer(db, request.method, path)? } else { Err(not_found()) };
                app.sign(request, request_id, now, answer.into())
            }
            Asker::User(user) => {
                let Some(handler) = handler else { return Ok(not_found().into()) };
                if request.method != "GET"
                    && !db.note_request(user.session_id, request_id, expires_at, now.secs())?
                    && self.refuse_repeated_requests
                {
                    return Ok(unauthorized("request_repeated").into());
                }
                let ReceivedRequest { method, path, body, .. } = *request;
                Ok(handler(self, db, &Authenticated { method, path, body, user: *user, now, ip })?.into())
            }
        }
    }

    /// Judges a request's token.
    fn presented<'r>(
        &self,
        request: &ReceivedRequest<'r>,
        now: UnixTime,
    ) -> Result<Result<Presented<'r>, Refusal>, Error> {
        let token = match request.token().and_then(ReceivedToken::parse) {
            Ok(token) => token,
            Err(error) => return Ok(Err(unauthorized(token_reason(&error)))),
        };
        if token.is_oauth() {
            return Ok(Ok(Presented::OAuth(token)));
        }
        let claims = match token.claims() {
            Ok(claims) => claims,
            Err(error) => return Ok(Err(unauthorized(token_reason(&error)))),
        };
        let Some(session) = self.session(claims.sid)?.filter(|session| session.user_id == claims.uid) else {
            return Ok(Err(unauthorized("session")));
        };
        let claims = check_token(request, &token, &session.key, now, self.clock_tolerance);
        Ok(claims.map(Presented::Session).map_err(|error| unauthorized(token_reason(&error))))
    }

    fn session(&self, session_id: Uuid) -> Result<Option<Arc<KnownSession>>, Error> {
        let known = self.sessions.read().unwrap_or_else(PoisonError::into_inner).get(&session_id).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(user) = self.store.write(|db| db.user_of_session(session_id))? else { return Ok(None) };
        let key = VerifyingKey::from_text(&user.session_secret)?;
        let session = Arc::new(KnownSession { user_id: user.user_id, key });
        self.sessions.write().unwrap_or_else(PoisonError::into_inner).insert(session_id, session.clone());
        Ok(Some(session))
    }

    /// Who asks, the request's id, and when its token expires.
    fn authenticate(
        &self,
        db: &Db<'_>,
        request: &ReceivedRequest<'_>,
        token: Presented<'_>,
        now: UnixTime,
    ) -> Result<Result<(Asker, Uuid, u64), Refusal>, Error> {
        match token {
            Presented::OAuth(token) => self.authenticate_app(db, request, &token, now),
            Presented::Session(claims) => {
                let user = db.user_of_session(claims.sid)?.ok_or(Error::DatabaseContent)?;
                Ok(Ok((Asker::User(Box::new(user)), claims.jti, claims.exp)))
            }
        }
    }

    fn register(&self, db: &Db<'_>, call: &Authenticated<'_>) -> Answer {
        #[derive(Deserialize)]
        struct Registration {
            session_secret: Option<String>,
            full_name: Option<String>,
        }
        if !call.user.is_app {
            return Ok(Err(Refusal::new(ErrorCode::Forbidden, "only an app registers users")));
        }
        let registration: Registration = match call.json() {
            Ok(registration) => registration,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(full_name) = registration.full_name.filter(|name| !name.trim().is_empty()) else {
            return Ok(Err(Refusal::field("full_name", "absent")));
        };
        let Some(session_secret) = registration.session_secret else {
            return Ok(Err(Refusal::field("session_secret", "absent")));
        };
        let Ok(key) = VerifyingKey::from_text(&session_secret) else {
            return Ok(Err(Refusal::field("session_secret", "not a public key of RSA or Ed25519")));
        };

        let mut rng = SystemRng::new()?;
        let (user_id, session_id) = (random_uuid(&mut rng), random_uuid(&mut rng));
        let (pin_key, tokens) = match &key {
            VerifyingKey::Rsa(key) => {
                let pin_key = PinKey::generate(&mut rng);
                let pin_token = key.wrap_pin_key(&pin_key, session_id, &mut rng)?.to_base64();
                (pin_key, json!({ "pin_token": pin_token }))
            }
            VerifyingKey::Ed25519(key) => {
                let server = Ed25519Key::generate(&mut rng);
                let tokens = json!({
                    "pin_token_base64": server.public_key().to_x25519()?.to_base64_url(),
                    "server_public_key": encode_string(server.public_key().as_bytes()),
                });
                (server.agree(&key.to_x25519()?)?, tokens)
            }
            _ => {
                return Ok(Err(Refusal::field("session_secret", "not a public key of RSA or Ed25519")));
            }
        };
        let user = db.add_user(&NewUser {
            user_id,
            session_id,
            is_app: false,
            full_name: &full_name,
            session_secret: &key.to_session_secret()?,
            pin_key: &pin_key,
            created_at: nanos(self.now()),
        })?;
        let mut data = user_json(&user);
        if let (Some(data), Value::Object(tokens)) = (data.as_object_mut(), tokens) {
            data.extend(tokens);
        }
        Ok(Ok(data))
    }

    // Every handler has one shape.
    #[allow(clippy::unused_self)]
    fn logs(&self, db: &Db<'_>, call: &Authenticated<'_>) -> Answer {
        #[derive(Deserialize)]
        struct Page {
            category: Option<String>,
            limit: Option<u8>,
            offset: Option<Timestamp>,
        }
        let page = call.path.parse::<Uri>().ok().and_then(|uri| Query::<Page>::try_from_uri(&uri).ok());
        let Some(Query(page)) = page else {
            return Ok(Err(Refusal::field("limit or offset", "not to be read")));
        };
        let limit = page.limit.unwrap_or(100);
        if !(1..=100).contains(&limit) {
            return Ok(Err(Refusal::field("limit", "not 1 to 100")));
        }
        let before = page.offset.map_or(i64::MAX, |time| i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX));
        let rows = db.logs(call.user.user_id, page.category.as_deref(), before, limit)?;
        Ok(Ok(rows
            .into_iter()
            .map(|row| {
                json!({
                    "type": "log",
                    "log_id": row.log_id.to_string(),
                    "code": row.code,
                    "ip_address": row.ip_address,
                    "created_at": rfc3339(row.created_at),
                })
            })
            .collect()))
    }
}

fn unauthorized(reason: &str) -> Refusal {
    Refusal::new(ErrorCode::Unauthorized, reason)
}

fn token_reason(error: &mixin_pin_protocol::Error) -> &'static str {
    match error {
        mixin_pin_protocol::Error::Token(fault) => fault.as_str(),
        _ => "token",
    }
}

fn user_json(user: &UserRow) -> Value {
    json!({
        "type": "user",
        "user_id": user.user_id.to_string(),
        "identity_number": (NUMBERS_BEGIN_AFTER + user.number).to_string(),
        "full_name": user.full_name,
        "avatar_url": "",
        "session_id": user.session_id.to_string(),
        "created_at": rfc3339(user.created_at),
        "has_pin": user.pin_hash.is_some() || user.tip_key.is_some(),
        "tip_key_base64": user.tip_key.as_ref().map_or_else(String::new, Ed25519PublicKey::to_base64_url),
        "tip_counter": user.tip_counter,
        "has_safe": user.safe_key.is_some(),
    })
}

/// Nanoseconds since 1970, as SQLite holds them.
pub(crate) fn nanos(time: UnixTime) -> i64 {
    time.as_nanos().ok().and_then(|nanos| i64::try_from(nanos).ok()).unwrap_or(i64::MAX)
}

pub(crate) fn rfc3339(nanos: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos)).map_or_else(|_| String::new(), |time| time.to_string())
}

/// A fresh id for a log entry.
fn log_id() -> Result<Uuid, Error> {
    Ok(random_uuid(&mut SystemRng::new()?))
}
