//! Judges requests: who asks, whether the token holds, and what becomes of the PINs inside.
//!
//! HTTP is the business of `server`, remembering that of `store`.

mod action;
mod oauth;
mod pin;
mod users;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::answer::{ErrorCode, Reason};
use mixin_pin_protocol::check::{ReceivedClaims, ReceivedRequest, ReceivedToken, check_token};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::reply::{Done, Refusal, Reply};
use crate::status::{self, RecentCalls};
use crate::store::{Db, Noted, Store, UserRow};
use crate::{Clock, Config, Error, Observation, Observer};
use oauth::OAuthAsker;
use users::user_json;

/// How many sessions' keys are kept at hand; the others are read anew.
const MAX_SESSIONS: usize = 4096;

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
    object.and_then(T::deserialize).map_err(|_| bad_body())
}

/// The body is no JSON object, or a field of it is of the wrong kind.
fn bad_body() -> Refusal {
    Refusal::new(ErrorCode::BadRequest, "body")
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
type Answer = Result<Result<Done, Refusal>, Error>;

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

    /// Answers a request, whatever it is. `refusal` is what stands against it before it is judged.
    pub(crate) fn answer(
        &self,
        request: &ReceivedRequest<'_>,
        refusal: Option<Refusal>,
        user_agent: Option<&str>,
        ip: IpAddr,
    ) -> Reply {
        let now = self.now();
        let refusal =
            refusal.or_else(|| has_brace_in_path(request).then(|| Refusal::new(ErrorCode::BadRequest, "path")));
        match refusal {
            Some(refusal) => self.tell(request, user_agent, now, |_| Ok(refusal.into())),
            // Signatures take the longest, and so are checked before the others are made to wait.
            None => match self.presented(request, now) {
                Ok(token) => self.tell(request, user_agent, now, |db| self.judge(db, request, token, now, ip)),
                Err(error) => self.tell(request, user_agent, now, |_| Err(error)),
            },
        }
    }

    /// Judges in a transaction, and tells of it before the next begins: what could not be committed is told as a failure.
    fn tell(
        &self,
        request: &ReceivedRequest<'_>,
        user_agent: Option<&str>,
        now: UnixTime,
        judge: impl FnOnce(&Db<'_>) -> Result<Reply, Error>,
    ) -> Reply {
        self.store.write_then(judge, |judged| {
            let reply = judged.unwrap_or_else(|error| {
                eprintln!("mixin-pin-sandbox: {error}");
                Reply::server_trouble()
            });
            if self.observer.is_some() || self.recent.is_some() {
                let seen = Observation::of(request, user_agent, &reply, now);
                if let Some(observer) = &self.observer {
                    observer(&seen);
                }
                if let Some(recent) = &self.recent {
                    recent.add(seen);
                }
            }
            reply
        })
    }

    /// Whether there is a page for who looks on.
    pub(crate) const fn has_status_page(&self) -> bool {
        self.recent.is_some()
    }

    /// The page for who looks on.
    pub(crate) fn status_page(&self) -> Result<String, Error> {
        let (users, today) = (self.store.write(|db| db.newest_users(status::USERS))?, pin::day(self.now()));
        let calls = self.recent.as_ref().map(RecentCalls::newest_first).unwrap_or_default();
        Ok(status::page(&users, today, &calls))
    }

    fn judge(
        &self,
        db: &Db<'_>,
        request: &ReceivedRequest<'_>,
        token: Result<Presented<'_>, Refusal>,
        now: UnixTime,
        ip: IpAddr,
    ) -> Result<Reply, Error> {
        let path = without_query(request.path);
        if let Some(handler) = unsigned(request.method, path) {
            return Ok(handler(db, request.body)?.into());
        }
        let handler: Option<fn(&Self, &Db<'_>, &Authenticated<'_>) -> Answer> = match (request.method, path) {
            ("POST", "/users") => Some(Self::register),
            ("POST", "/pin/update") => Some(Self::update_pin),
            ("POST", "/pin/verify") => Some(Self::verify_pin),
            ("GET", "/me" | "/safe/me") => Some(|_, _, call| Ok(Ok(user_json(&call.user).into()))),
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
                if self.refuse_repeated_requests && request.method != "GET" {
                    match db.note_request(user.session_id, request_id, expires_at, now.secs())? {
                        Noted::New => {}
                        Noted::Repeated => return Ok(unauthorized(Reason::RequestRepeated.as_str()).into()),
                        // What cannot be remembered could come again.
                        Noted::Full => return Ok(Refusal::new(ErrorCode::TooManyRequests, "request_ids_full").into()),
                    }
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
            Err(fault) => return Ok(Err(unauthorized(fault.as_str()))),
        };
        if token.is_oauth() {
            return Ok(Ok(Presented::OAuth(token)));
        }
        let claims = match token.claims() {
            Ok(claims) => claims,
            Err(fault) => return Ok(Err(unauthorized(fault.as_str()))),
        };
        let Some(session) = self.session(claims.sid)?.filter(|session| session.user_id == claims.uid) else {
            return Ok(Err(unauthorized(Reason::Session.as_str())));
        };
        let claims = check_token(request, &token, &session.key, now, self.clock_tolerance);
        Ok(claims.map(Presented::Session).map_err(|fault| unauthorized(fault.as_str())))
    }

    fn session(&self, session_id: Uuid) -> Result<Option<Arc<KnownSession>>, Error> {
        let known = self.sessions.read().unwrap_or_else(PoisonError::into_inner).get(&session_id).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let Some(user) = self.store.write(|db| db.user_of_session(session_id))? else { return Ok(None) };
        let key = VerifyingKey::from_text(&user.session_secret)?;
        let session = Arc::new(KnownSession { user_id: user.user_id, key });
        let mut sessions = self.sessions.write().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= MAX_SESSIONS
            && let Some(any) = sessions.keys().next().copied()
        {
            sessions.remove(&any);
        }
        sessions.insert(session_id, session.clone());
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
}

/// Whether a call is one of those that nobody signs.
pub(crate) fn is_unsigned(method: &str, path: &str) -> bool {
    unsigned(method, without_query(path)).is_some()
}

fn unsigned(method: &str, path: &str) -> Option<fn(&Db<'_>, &[u8]) -> Answer> {
    match (method, path) {
        ("POST", "/oauth/token") => Some(Service::exchange_code),
        ("POST", "/sandbox/authorizations") => Some(Service::ask_authorization),
        _ => None,
    }
}

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// Whether a path holds the `{` that a body begins with.
///
/// A token hashes method, path and body without anything between them, so that the end of a path may be sent as a body, and
/// the beginning of a body at the end of a path. Every body that is read here is a JSON object: with its `{` in no path,
/// which has no place for the white space before it either, and no body beside GET and HEAD, each hash has one reading.
fn has_brace_in_path(request: &ReceivedRequest<'_>) -> bool {
    !matches!(request.method, "GET" | "HEAD") && request.path.contains('{')
}

fn unauthorized(reason: &str) -> Refusal {
    Refusal::new(ErrorCode::Unauthorized, reason)
}
