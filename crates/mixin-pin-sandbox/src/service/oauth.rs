//! OAuth: authorizations requested, approved and exchanged, and an app's calls under them.
//!
//! The real service gives an app its authorization over a web socket. Here `POST /sandbox/authorizations` does.

use std::time::Duration;

use mixin_pin_core::token::{Claims, RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{CodeVerifier, Ed25519Key, Ed25519PublicKey, SystemRng, UnixTime};
use mixin_pin_protocol::answer::ErrorCode;
use mixin_pin_protocol::call::random_uuid;
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_oauth_token};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::app::AppCall;
use super::users::profile_json;
use super::{Issuer, Service, Token, json_body, unauthorized, without_query};
use crate::Error;
use crate::database::{AuthorizationRow, Transaction};
use crate::reply::{Answer, HandlerError, Refusal, Reply};

/// How long the signature of an answer is valid.
const INTEGRITY_LIFETIME: Duration = Duration::from_secs(60);
/// The longest list of scopes, in bytes. All of Mixin's scopes together are shorter.
const MAX_SCOPE_LEN: usize = 1024;
/// The longest code challenge, in bytes: RFC 7636, sections 4.1 and 4.2.
const MAX_CHALLENGE_LEN: usize = 128;
/// The scope that `GET /me` needs.
const READ_PROFILE: &str = "PROFILE:READ";

/// An app that calls under an authorization.
pub(super) struct OAuthApp {
    authorization_id: Uuid,
    user_id: Uuid,
    scope: String,
    server_key: Ed25519Key,
}

impl OAuthApp {
    pub(super) fn answer(&self, tx: &Transaction<'_>, request: &ReceivedRequest<'_>) -> Answer {
        let (method, path) = (request.method, without_query(request.path));
        let app_call = AppCall::of(method, path);
        let needs = match (method, path, &app_call) {
            (.., Some(call)) => call.scope(),
            ("GET", "/me" | "/safe/me", None) => READ_PROFILE,
            _ => return Err(Refusal::new(ErrorCode::Forbidden, "oauth").into()),
        };
        if !self.scope.split(' ').any(|scope| scope == needs) {
            return Err(Refusal::new(ErrorCode::Forbidden, "scope").with("needs", needs).into());
        }
        let user = tx.user(self.user_id)?.ok_or(Error::DatabaseContent)?;
        if user.is_deactivated() {
            return Err(unauthorized("authorization").into());
        }
        match app_call {
            Some(call) => call.answer(tx, self.user_id, request.body),
            None => Ok(profile_json(&user).into()),
        }
    }

    pub(super) const fn authorization_id(&self) -> Uuid {
        self.authorization_id
    }

    /// Signs an answer with the server's key, for the request's id. A request without one has its token's id.
    pub(super) fn sign(
        &self,
        request: &ReceivedRequest<'_>,
        token_id: Uuid,
        now: UnixTime,
        mut reply: Reply,
    ) -> Result<Reply, Error> {
        let hash = RequestHash::of(request.method, request.path, reply.body.as_bytes());
        let request_id = request.request_id.and_then(|id| id.parse().ok()).unwrap_or(token_id);
        let claims = Claims::answer(request_id, hash, now, INTEGRITY_LIFETIME)?;
        reply.integrity_token = Some(claims.sign(&self.server_key, &mut SystemRng::new()?)?.as_str().to_owned());
        Ok(reply)
    }
}

/// A user's approval of an authorization that waits for it.
pub(super) struct Approval {
    authorization_id: Uuid,
    app_id: Uuid,
    scopes: Vec<String>,
}

impl Approval {
    pub(super) fn read(tx: &Transaction<'_>, body: &Map<String, Value>) -> Result<Self, HandlerError> {
        #[derive(Deserialize)]
        struct Body {
            authorization_id: Uuid,
            scopes: Vec<String>,
        }
        let Body { authorization_id, scopes } =
            Body::deserialize(body).map_err(|_| Refusal::field("authorization_id or scopes", "missing or invalid"))?;
        let AuthorizationRow { app_id, scope, .. } = tx
            .authorization(authorization_id)?
            .filter(|row| row.user_id.is_none())
            .ok_or_else(|| Refusal::field("authorization_id", "not waiting for approval"))?;
        let requested: Vec<&str> = scope.split(' ').collect();
        // The number is limited because a scope may repeat.
        let is_subset =
            scopes.len() <= requested.len() && scopes.iter().all(|scope| requested.contains(&scope.as_str()));
        if scopes.is_empty() || !is_subset {
            return Err(Refusal::field("scopes", "empty, or not requested").into());
        }
        if !tx.can_approve()? {
            return Err(Refusal::new(ErrorCode::Forbidden, "authorizations_full").into());
        }
        Ok(Self { authorization_id, app_id, scopes })
    }

    pub(super) fn approve(self, tx: &Transaction<'_>, user_id: Uuid) -> Result<Value, Error> {
        let Self { authorization_id, app_id, scopes } = self;
        let code = random_uuid(&mut SystemRng::new()?).simple().to_string();
        tx.approve(authorization_id, user_id, &scopes.join(" "), &code)?;
        Ok(authorization_json(authorization_id, app_id, &scopes, &code))
    }
}

impl Service {
    /// `POST /sandbox/authorizations`
    pub(super) fn request_authorization(tx: &Transaction<'_>, body: &[u8]) -> Answer {
        #[derive(Deserialize)]
        struct Body {
            client_id: Uuid,
            scope: String,
            code_challenge: String,
        }
        let Body { client_id, scope, code_challenge } = json_body(body)?;
        if scope.len() > MAX_SCOPE_LEN {
            return Err(Refusal::field("scope", "too_long").into());
        }
        if code_challenge.len() > MAX_CHALLENGE_LEN {
            return Err(Refusal::field("code_challenge", "too_long").into());
        }
        if !tx.user(client_id)?.is_some_and(|user| user.is_app) {
            return Err(Refusal::field("client_id", "not an app").into());
        }
        let scopes: Vec<String> = scope.split_whitespace().map(str::to_owned).collect();
        if scopes.is_empty() || !scopes.iter().all(|scope| scope.bytes().all(is_scope_byte)) {
            return Err(Refusal::field("scope", "empty or invalid").into());
        }
        if code_challenge.is_empty() {
            return Err(Refusal::field("code_challenge", "absent").into());
        }
        let authorization_id = random_uuid(&mut SystemRng::new()?);
        tx.add_authorization(authorization_id, client_id, &scopes.join(" "), &code_challenge)?;
        Ok(authorization_json(authorization_id, client_id, &scopes, "").into())
    }

    /// `POST /oauth/token`
    pub(super) fn exchange_code(tx: &Transaction<'_>, body: &[u8]) -> Answer {
        #[derive(Deserialize)]
        struct Body {
            client_id: Uuid,
            code: String,
            #[serde(default)]
            code_verifier: String,
            #[serde(default)]
            ed25519: String,
        }
        let body: Body = json_body(body)?;
        let app_key = Ed25519PublicKey::from_text(&body.ed25519)
            .map_err(|_| Refusal::field("ed25519", "not a public key; the sandbox issues no access tokens"))?;
        let authorization = tx
            .authorization_of_code(&body.code)?
            .filter(|found| found.app_id == body.client_id)
            .ok_or_else(|| unauthorized("code"))?;
        let verifier = CodeVerifier::from_text(&body.code_verifier);
        if !verifier.is_ok_and(|verifier| verifier.challenge() == authorization.code_challenge) {
            return Err(unauthorized("code_verifier").into());
        }
        let server_key = Ed25519Key::generate(&mut SystemRng::new()?);
        tx.exchange(authorization.authorization_id, &app_key, &server_key)?;
        Ok(json!({
            "scope": authorization.scope,
            "authorization_id": authorization.authorization_id.to_string(),
            "ed25519": server_key.public_key().to_base64_url(),
        })
        .into())
    }

    pub(super) fn check_app_token(
        &self,
        request: &ReceivedRequest<'_>,
        token: &ReceivedToken<'_>,
        now: UnixTime,
    ) -> Result<Token, HandlerError> {
        let claims = token.oauth_claims().map_err(|fault| unauthorized(fault.as_str()))?;
        let found = self.database.read(|tx| tx.authorization(claims.aid))?;
        let Some(AuthorizationRow {
            user_id: Some(user_id),
            app_key: Some(key),
            server_key: Some(server_key),
            scope,
            ..
        }) = found.filter(|found| found.app_id == claims.iss)
        else {
            return Err(unauthorized("authorization").into());
        };
        let key = VerifyingKey::Ed25519(key);
        let claims = check_oauth_token(request, token, &key, now, self.config.clock_tolerance)
            .map_err(|fault| unauthorized(fault.as_str()))?;
        if claims.scp != scope {
            return Err(unauthorized("scope").into());
        }
        let issuer = Issuer::App(Box::new(OAuthApp { authorization_id: claims.aid, user_id, scope, server_key }));
        Ok(Token { issuer, id: claims.jti, expires_at: claims.exp })
    }
}

fn authorization_json(authorization_id: Uuid, app_id: Uuid, scopes: &[String], code: &str) -> Value {
    json!({
        "type": "authorization",
        "authorization_id": authorization_id.to_string(),
        "authorization_code": code,
        "scopes": scopes,
        "app": { "app_id": app_id.to_string() },
    })
}

/// RFC 6749, section 3.3.
const fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~')
}
