//! OAuth: authorizations asked for, approved and exchanged, and the calls that an app makes under them.
//!
//! The real service hands an authorization to the app over a web socket. Here `POST /sandbox/authorizations` does it.

use std::time::Duration;

use mixin_pin_core::token::{Claims, RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{CodeVerifier, Ed25519Key, Ed25519PublicKey, SystemRng, UnixTime};
use mixin_pin_protocol::answer::ErrorCode;
use mixin_pin_protocol::call::random_uuid;
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_oauth_token};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::users::user_json;
use super::{Answer, Asker, Service, json_body, unauthorized};
use crate::Error;
use crate::reply::{Refusal, Reply};
use crate::store::{AuthorizationRow, Db};

/// How long an answer's signature says that it is good.
const INTEGRITY_LIFETIME: Duration = Duration::from_secs(60);
/// The longest list of scopes, in bytes; all that Mixin has take less.
const MAX_SCOPE_LEN: usize = 1024;
/// The longest challenge, as RFC 7636 has it, section 4.2 and 4.1.
const MAX_CHALLENGE_LEN: usize = 128;
/// What `GET /me` needs.
const READ_PROFILE: &str = "PROFILE:READ";

/// An app that asks under an authorization.
pub(super) struct OAuthAsker {
    user_id: Uuid,
    scope: String,
    server_key: Ed25519Key,
}

impl OAuthAsker {
    pub(super) fn answer(&self, db: &Db<'_>, method: &str, path: &str) -> Answer {
        if !matches!((method, path), ("GET", "/me" | "/safe/me")) {
            return Ok(Err(Refusal::new(ErrorCode::Forbidden, "oauth")));
        }
        if !self.scope.split(' ').any(|scope| scope == READ_PROFILE) {
            return Ok(Err(Refusal::new(ErrorCode::Forbidden, "scope").with("needs", READ_PROFILE)));
        }
        let user = db.user(self.user_id)?.ok_or(Error::DatabaseContent)?;
        Ok(Ok(user_json(&user).into()))
    }

    /// Vouches for an answer.
    pub(super) fn sign(
        &self,
        request: &ReceivedRequest<'_>,
        request_id: Uuid,
        now: UnixTime,
        mut reply: Reply,
    ) -> Result<Reply, Error> {
        let hash = RequestHash::of(request.method, request.path, reply.body.as_bytes());
        let claims = Claims::answer(request_id, hash, now, INTEGRITY_LIFETIME)?;
        reply.integrity_token = Some(claims.sign(&self.server_key, &mut SystemRng::new()?)?.as_str().to_owned());
        Ok(reply)
    }
}

/// A user's approval of an authorization, about to be noted.
pub(super) struct Approval {
    authorization_id: Uuid,
    app_id: Uuid,
    scopes: Vec<String>,
}

impl Approval {
    pub(super) fn read(db: &Db<'_>, body: &Map<String, Value>) -> Result<Result<Self, Refusal>, Error> {
        #[derive(Deserialize)]
        struct Body {
            authorization_id: Uuid,
            scopes: Vec<String>,
        }
        let Ok(Body { authorization_id, scopes }) = Body::deserialize(body) else {
            return Ok(Err(Refusal::field("authorization_id or scopes", "absent, or of another form")));
        };
        let waiting = db.authorization(authorization_id)?.filter(|row| row.user_id.is_none());
        let Some(AuthorizationRow { app_id, scope, .. }) = waiting else {
            return Ok(Err(Refusal::field("authorization_id", "none that waits")));
        };
        let asked: Vec<&str> = scope.split(' ').collect();
        // No more than were asked for, so that none can be there often enough to fill the memory.
        let all_asked = scopes.len() <= asked.len() && scopes.iter().all(|scope| asked.contains(&scope.as_str()));
        if scopes.is_empty() || !all_asked {
            return Ok(Err(Refusal::field("scopes", "none, or not asked for")));
        }
        if !db.has_room_to_approve()? {
            return Ok(Err(Refusal::new(ErrorCode::Forbidden, "authorizations_full")));
        }
        Ok(Ok(Self { authorization_id, app_id, scopes }))
    }

    pub(super) fn approve(self, db: &Db<'_>, user_id: Uuid) -> Result<Value, Error> {
        let Self { authorization_id, app_id, scopes } = self;
        let code = random_uuid(&mut SystemRng::new()?).simple().to_string();
        db.approve(authorization_id, user_id, &scopes.join(" "), &code)?;
        Ok(authorization_json(authorization_id, app_id, &scopes, &code))
    }
}

impl Service {
    /// `POST /sandbox/authorizations`: begins what a user then approves.
    pub(super) fn ask_authorization(db: &Db<'_>, body: &[u8]) -> Answer {
        #[derive(Deserialize)]
        struct Body {
            client_id: Uuid,
            scope: String,
            code_challenge: String,
        }
        let Body { client_id, scope, code_challenge } = match json_body(body) {
            Ok(body) => body,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for (field, text, max) in
            [("scope", &scope, MAX_SCOPE_LEN), ("code_challenge", &code_challenge, MAX_CHALLENGE_LEN)]
        {
            if text.len() > max {
                return Ok(Err(Refusal::field(field, "too_long")));
            }
        }
        if !db.user(client_id)?.is_some_and(|user| user.is_app) {
            return Ok(Err(Refusal::field("client_id", "no app")));
        }
        let scopes: Vec<String> = scope.split_whitespace().map(str::to_owned).collect();
        if scopes.is_empty() || !scopes.iter().all(|scope| scope.bytes().all(is_scope_byte)) {
            return Ok(Err(Refusal::field("scope", "none")));
        }
        if code_challenge.is_empty() {
            return Ok(Err(Refusal::field("code_challenge", "absent")));
        }
        let authorization_id = random_uuid(&mut SystemRng::new()?);
        db.add_authorization(authorization_id, client_id, &scopes.join(" "), &code_challenge)?;
        Ok(Ok(authorization_json(authorization_id, client_id, &scopes, "").into()))
    }

    /// `POST /oauth/token`.
    pub(super) fn exchange_code(db: &Db<'_>, body: &[u8]) -> Answer {
        #[derive(Deserialize)]
        struct Body {
            client_id: Uuid,
            code: String,
            #[serde(default)]
            code_verifier: String,
            #[serde(default)]
            ed25519: String,
        }
        let body: Body = match json_body(body) {
            Ok(body) => body,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Ok(app_key) = Ed25519PublicKey::from_text(&body.ed25519) else {
            return Ok(Err(Refusal::field("ed25519", "no public key; the sandbox makes no access tokens of its own")));
        };
        let unauthorized = |reason| Ok(Err(unauthorized(reason)));
        let found = db.authorization_of_code(&body.code)?.filter(|found| found.app_id == body.client_id);
        let Some(authorization) = found else { return unauthorized("code") };
        let verifier = CodeVerifier::from_text(&body.code_verifier);
        if !verifier.is_ok_and(|verifier| verifier.challenge() == authorization.code_challenge) {
            return unauthorized("code_verifier");
        }
        let server_key = Ed25519Key::generate(&mut SystemRng::new()?);
        db.open_authorization(authorization.authorization_id, &app_key, &server_key)?;
        Ok(Ok(json!({
            "scope": authorization.scope,
            "authorization_id": authorization.authorization_id.to_string(),
            "ed25519": server_key.public_key().to_base64_url(),
        })
        .into()))
    }

    pub(super) fn authenticate_app(
        &self,
        db: &Db<'_>,
        request: &ReceivedRequest<'_>,
        token: &ReceivedToken<'_>,
        now: UnixTime,
    ) -> Result<Result<(Asker, Uuid, u64), Refusal>, Error> {
        let unauthorized = |reason| Ok(Err(unauthorized(reason)));
        let claims = match token.oauth_claims() {
            Ok(claims) => claims,
            Err(error) => return unauthorized(error.as_str()),
        };
        let found = db.authorization(claims.aid)?.filter(|found| found.app_id == claims.iss);
        let Some(AuthorizationRow {
            user_id: Some(user_id),
            app_key: Some(key),
            server_key: Some(server_key),
            scope,
            ..
        }) = found
        else {
            return unauthorized("authorization");
        };
        let key = VerifyingKey::Ed25519(key);
        let claims = match check_oauth_token(request, token, &key, now, self.clock_tolerance) {
            Ok(claims) => claims,
            Err(error) => return unauthorized(error.as_str()),
        };
        if claims.scp != scope {
            return unauthorized("scope");
        }
        let asker = Box::new(OAuthAsker { user_id, scope, server_key });
        Ok(Ok((Asker::App(asker), claims.jti, claims.exp)))
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

/// As RFC 6749, section 3.3, has it.
const fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~')
}
