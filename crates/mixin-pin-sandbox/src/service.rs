//! Handles requests: checks the token, finds the handler and runs it in a transaction.
//!
//! `server` does the HTTP, `database` stores the data.

mod action;
mod app;
mod oauth;
mod payment;
mod pin;
mod session;
mod users;

use std::net::IpAddr;

use mixin_pin_core::UnixTime;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::answer::{ErrorCode, Reason};
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_token};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::database::{Database, RequestId, Transaction, UserRow};
use crate::reply::{Answer, HandlerError, Refusal, Reply};
use crate::status::{self, RecentCalls};
use crate::{Config, Error, Observation};
use app::AppCall;
use oauth::OAuthApp;
use users::user_json;

/// The only path whose body is an array.
const FETCH_PATH: &str = "/sessions/fetch";

pub(crate) struct Service {
    database: Database,
    config: Config,
    /// The calls for the status page, if there is one.
    recent: Option<RecentCalls>,
}

/// A token that was checked.
struct Token {
    issuer: Issuer,
    id: Uuid,
    expires_at: u64,
}

/// Who issued a token.
enum Issuer {
    /// A session, and its key's text when the token was checked.
    Session {
        session_id: Uuid,
        session_secret: String,
    },
    App(Box<OAuthApp>),
}

/// A request of a user with a valid token.
struct Call<'r> {
    method: &'r str,
    path: &'r str,
    body: &'r [u8],
    user: UserRow,
    now: UnixTime,
    ip: IpAddr,
}

impl Call<'_> {
    fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        json_body(self.body)
    }
}

/// A request that needs no token.
struct UnsignedCall<'r> {
    method: &'r str,
    path: &'r str,
    body: &'r [u8],
    now: UnixTime,
    ip: IpAddr,
}

type Handler = fn(&Service, &Transaction<'_>, &Call<'_>) -> Answer;
type UnsignedHandler = fn(&Service, &Transaction<'_>, &UnsignedCall<'_>) -> Answer;

impl Service {
    pub(crate) fn new(database: Database, config: &Config) -> Result<Self, Error> {
        let recent = config.status_page.then(RecentCalls::default);
        let service = Self { database, config: config.clone(), recent };
        service.database.write(|tx| match tx.app_keystore()? {
            Some(keystore) if session::is_live(tx, &keystore)? => Ok(()),
            Some(_) => {
                eprintln!("mixin-pin-sandbox: the keystore of the app is no longer valid; this run has a new app");
                service.create_app(tx)
            }
            None => service.create_app(tx),
        })?;
        Ok(service)
    }

    pub(crate) fn now(&self) -> UnixTime {
        (self.config.clock)()
    }

    pub(crate) fn app_keystore(&self) -> Result<Zeroizing<String>, Error> {
        self.database.read(|tx| tx.app_keystore()?.map(Zeroizing::new).ok_or(Error::DatabaseContent))
    }

    /// Answers any request. With a `refusal`, that is the answer.
    pub(crate) fn answer(
        &self,
        request: &ReceivedRequest<'_>,
        refusal: Option<Refusal>,
        user_agent: Option<&str>,
        ip: IpAddr,
    ) -> Reply {
        let now = self.now();
        let refusal =
            refusal.or_else(|| has_body_in_path(request).then(|| Refusal::new(ErrorCode::BadRequest, "path")));
        if let Some(refusal) = refusal {
            return self.respond(request, user_agent, now, |_| Ok(refusal.into()));
        }
        // Outside the transaction: signatures take long, and other requests would wait.
        let token = self.check_token(request, now);
        self.respond(request, user_agent, now, |tx| self.dispatch(tx, request, token, now, ip))
    }

    /// Runs `work` in a transaction and tells the observer before the next one begins. If the transaction cannot be
    /// committed, the answer is a failure.
    fn respond(
        &self,
        request: &ReceivedRequest<'_>,
        user_agent: Option<&str>,
        now: UnixTime,
        work: impl FnOnce(&Transaction<'_>) -> Result<Reply, Error>,
    ) -> Reply {
        self.database.write_then(work, |result| {
            let reply = result.unwrap_or_else(|error| {
                eprintln!("mixin-pin-sandbox: {error}");
                Reply::internal_error()
            });
            if self.config.observer.is_some() || self.recent.is_some() {
                let observation = Observation::of(request, user_agent, &reply, now);
                if let Some(observer) = &self.config.observer {
                    observer(&observation);
                }
                if let Some(recent) = &self.recent {
                    recent.add(observation);
                }
            }
            reply
        })
    }

    pub(crate) const fn has_status_page(&self) -> bool {
        self.recent.is_some()
    }

    pub(crate) fn status_page(&self) -> Result<String, Error> {
        let begin = self.tries_begin(self.now());
        let users: Vec<(UserRow, u32)> = self.database.read(|tx| {
            let users = tx.newest_users(status::MAX_USERS)?.into_iter();
            users.map(|user| tx.tries(user.session_id, begin).map(|tries| (user, tries))).collect()
        })?;
        let calls = self.recent.as_ref().map(RecentCalls::newest_first).unwrap_or_default();
        Ok(status::page(&users, &calls))
    }

    fn dispatch(
        &self,
        tx: &Transaction<'_>,
        request: &ReceivedRequest<'_>,
        token: Result<Token, HandlerError>,
        now: UnixTime,
        ip: IpAddr,
    ) -> Result<Reply, Error> {
        let path = without_query(request.path);
        if let Some(handler) = unsigned_handler(request.method, path) {
            let ReceivedRequest { method, path, body, .. } = *request;
            return Reply::of(handler(self, tx, &UnsignedCall { method, path, body, now, ip }));
        }
        let handler = handler(request.method, path);
        let not_found = || Refusal::new(ErrorCode::NotFound, "endpoint");
        let token = match token {
            Ok(token) => token,
            // An unknown endpoint needs no valid token.
            Err(HandlerError::Refused(_)) if handler.is_none() => return Ok(not_found().into()),
            Err(error) => return Reply::of(Err(error)),
        };
        let handler = match handler {
            Some(handler) => self.use_up(tx, request, &token, now)?.map_or(Ok(handler), Err),
            None => Err(not_found()),
        };
        match token.issuer {
            Issuer::App(app) => {
                let answer = handler.map_err(HandlerError::from).and_then(|_| app.answer(tx, request));
                app.sign(request, token.id, now, Reply::of(answer)?)
            }
            Issuer::Session { session_id, session_secret } => {
                let handler = match handler {
                    Ok(handler) => handler,
                    Err(refusal) => return Ok(refusal.into()),
                };
                let ReceivedRequest { method, path, body, .. } = *request;
                // Between the check of the token and this transaction, the session may have got another key.
                let user = tx.user_of_session(session_id)?;
                let Some(user) = user.filter(|user| user.is_active() && user.session_secret == session_secret) else {
                    return Ok(unauthorized(Reason::Session.as_str()).into());
                };
                Reply::of(handler(self, tx, &Call { method, path, body, user, now, ip }))
            }
        }
    }

    /// Records that a token was used, or returns why it cannot be used.
    fn use_up(
        &self,
        tx: &Transaction<'_>,
        request: &ReceivedRequest<'_>,
        token: &Token,
        now: UnixTime,
    ) -> Result<Option<Refusal>, Error> {
        if !self.config.refuse_repeated_requests {
            return Ok(None);
        }
        let issuer = match &token.issuer {
            Issuer::Session { session_id, .. } => *session_id,
            Issuer::App(app) => app.authorization_id(),
        };
        let is_read = request.method == "GET";
        Ok(match tx.record_request(issuer, token.id, token.expires_at, now.secs(), is_read)? {
            RequestId::New => None,
            RequestId::Repeated => Some(unauthorized(Reason::RequestRepeated.as_str())),
            // A read changes nothing, so it may be repeated.
            RequestId::Full if is_read => None,
            // A token that is not recorded could be used again.
            RequestId::Full => Some(Refusal::new(ErrorCode::TooManyRequests, "request_ids_full")),
        })
    }

    fn check_token(&self, request: &ReceivedRequest<'_>, now: UnixTime) -> Result<Token, HandlerError> {
        let token = request.token().and_then(ReceivedToken::parse).map_err(|fault| unauthorized(fault.as_str()))?;
        let token = if token.is_oauth() {
            self.check_app_token(request, &token, now)?
        } else {
            self.check_session_token(request, &token, now)?
        };
        if self.config.require_request_id {
            request.check_request_id(token.id).map_err(|fault| unauthorized(fault.as_str()))?;
        }
        Ok(token)
    }

    fn check_session_token(
        &self,
        request: &ReceivedRequest<'_>,
        token: &ReceivedToken<'_>,
        now: UnixTime,
    ) -> Result<Token, HandlerError> {
        let claims = token.claims().map_err(|fault| unauthorized(fault.as_str()))?;
        let user = self.database.read(|tx| tx.user_of_session(claims.sid))?;
        let user = user
            .filter(|user| user.user_id == claims.uid && user.is_active())
            .ok_or_else(|| unauthorized(Reason::Session.as_str()))?;
        let key = VerifyingKey::from_text(&user.session_secret)?;
        let claims = check_token(request, token, &key, now, self.config.clock_tolerance)
            .map_err(|fault| unauthorized(fault.as_str()))?;
        let issuer = Issuer::Session { session_id: claims.sid, session_secret: user.session_secret };
        Ok(Token { issuer, id: claims.jti, expires_at: claims.exp })
    }
}

fn handler(method: &str, path: &str) -> Option<Handler> {
    match (method, path) {
        ("POST", "/users") => Some(|_, tx, call| Service::register(tx, call)),
        ("POST", "/pin/update") => Some(Service::update_pin),
        ("POST", "/pin/verify") => Some(Service::verify_pin),
        ("GET", "/me" | "/safe/me") => Some(|_, _, call| Ok(user_json(&call.user).into())),
        ("POST", "/session/secret") => Some(|_, tx, call| Service::replace_session_key(tx, call)),
        ("POST", FETCH_PATH) => Some(|_, tx, call| Service::fetch_sessions(tx, call)),
        ("GET", "/logs") => Some(|_, tx, call| Service::logs(tx, call)),
        ("GET", path) if Service::is_trace(path) => Some(|_, tx, call| Service::read_payment(tx, call)),
        _ if AppCall::of(method, path).is_some() => Some(|_, tx, call| {
            let app_call = AppCall::of(call.method, without_query(call.path));
            app_call.ok_or_else(invalid_body)?.answer(tx, call.user.user_id, call.body)
        }),
        ("POST", path) if Service::has_action(path) => Some(Service::call_with_action),
        _ => None,
    }
}

fn unsigned_handler(method: &str, path: &str) -> Option<UnsignedHandler> {
    match (method, path) {
        ("POST", "/legacy/users") => Some(Service::upgrade_session),
        ("POST", "/oauth/token") => Some(|_, tx, call| Service::exchange_code(tx, call.body)),
        ("POST", "/sandbox/authorizations") => Some(|_, tx, call| Service::request_authorization(tx, call.body)),
        _ => None,
    }
}

/// Whether a call needs no token.
pub(crate) fn is_unsigned(method: &str, path: &str) -> bool {
    unsigned_handler(method, without_query(path)).is_some()
}

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// Whether a path holds the first byte of its body: `{`, or `[` where the body is an array.
///
/// A token hashes method, path and body without separators. An attacker could move the end of the path into the body, or
/// the beginning of the body into the path, and keep the hash. Every body that the sandbox reads is a JSON object, or an
/// array for one path. With neither beginning in a path, and no body beside GET and HEAD, each hash has one meaning.
fn has_body_in_path(request: &ReceivedRequest<'_>) -> bool {
    let has_array = request.path.starts_with(FETCH_PATH) && request.path.contains('[');
    !matches!(request.method, "GET" | "HEAD") && (has_array || request.path.contains('{'))
}

fn json_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // As an object first: serde would also read the fields from an array.
    let object = serde_json::from_slice::<Map<String, Value>>(body);
    object.and_then(T::deserialize).map_err(|_| invalid_body())
}

/// The body is not a JSON object, or a field has the wrong type.
fn invalid_body() -> Refusal {
    Refusal::new(ErrorCode::BadRequest, "body")
}

fn unauthorized(reason: &str) -> Refusal {
    Refusal::new(ErrorCode::Unauthorized, reason)
}
