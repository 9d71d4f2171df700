//! Sessions get new keys, and a lost answer is settled by asking with either key.

mod common;

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use common::{Server, builder, pin, respond};
use mixin_pin_async::store::{CallKind, MemoryStore};
use mixin_pin_async::{Client, Credential, Error, KeyState, KeyVerdict, NextStep, OAuthClient, Outcome, SessionChange};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, OAuthSession, PinKey, RsaKey, Session, SessionKey, SystemRng, UnixTime};
use mixin_pin_protocol::action::Action;
use mixin_pin_protocol::answer::NewSession;
use mixin_pin_protocol::check::ReceivedToken;
use mixin_pin_protocol::keystore::ServerKey;
use serde_json::{Value, json};

/// The public key of `server_key`.
const SERVER_KEY: &str = "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394";
const USER: Uuid = Uuid::from_u128(1);
const APP: Uuid = Uuid::from_u128(9);

fn new_key() -> Ed25519Key {
    Ed25519Key::from_bytes(&[7; 32]).unwrap()
}

fn server_key() -> Ed25519Key {
    Ed25519Key::from_bytes(&[2; 32]).unwrap()
}

/// What the server knows and has heard.
struct Mixin {
    session_id: Uuid,
    key: VerifyingKey,
    /// How far its clock is ahead, in seconds.
    ahead: u64,
    loses_answers: bool,
    loses_requests: bool,
    requests: Vec<(String, Value)>,
}

impl Mixin {
    /// Whether the session's key signed this request.
    fn knows(&self, request: &str) -> bool {
        let Some((_, rest)) = request.split_once("Bearer ") else { return false };
        let Ok(token) = ReceivedToken::parse(rest.lines().next().unwrap_or_default()) else { return false };
        token.verify(&self.key).is_ok() && token.raw_claims()["sid"] == json!(self.session_id)
    }

    fn answer(&mut self, line: &str, request: &str, body: &Value) -> Value {
        let refused = json!({ "error": { "status": 202, "code": 401 } });
        match line {
            "POST /legacy/users" => {
                self.key = VerifyingKey::from_text(body["session_secret"].as_str().unwrap()).unwrap();
                self.session_id = Uuid::from_u128(5);
                json!({ "data": { "user_id": USER, "session_id": self.session_id, "server_public_key": SERVER_KEY } })
            }
            _ if !self.knows(request) => refused,
            "POST /session/secret" => {
                self.key = VerifyingKey::from_text(body["session_secret"].as_str().unwrap()).unwrap();
                json!({ "data": { "pin_token": server_key().public_key().to_x25519().unwrap().to_base64_url() } })
            }
            "GET /me" => {
                let token = server_key().public_key().to_x25519().unwrap().to_base64_url();
                json!({ "data": { "user_id": USER, "session_id": self.session_id, "pin_token": token } })
            }
            "POST /sessions/fetch" => {
                let key = match &self.key {
                    VerifyingKey::Ed25519(key) => key.to_x25519().unwrap().to_base64_url(),
                    _ => String::new(),
                };
                json!({ "data": [{ "user_id": USER, "session_id": self.session_id, "public_key": key }] })
            }
            "GET /apps/00000000-0000-0000-0000-000000000009" => {
                json!({ "data": { "app_id": APP, "name": "Bot", "has_safe": true } })
            }
            _ => {
                json!({ "data": { "session_id": APP, "server_public_key": SERVER_KEY, "spend_public_key": "x" } })
            }
        }
    }
}

struct Stage {
    server: Server,
    mixin: Arc<Mutex<Mixin>>,
}

impl Stage {
    fn new(key: VerifyingKey) -> Self {
        let mixin = Arc::new(Mutex::new(Mixin {
            session_id: Uuid::from_u128(2),
            key,
            ahead: 0,
            loses_answers: false,
            loses_requests: false,
            requests: Vec::new(),
        }));
        let shared = mixin.clone();
        let server = Server::seeing(move |stream: &mut TcpStream, id, request| {
            let mut mixin = shared.lock().unwrap();
            let line = request.split(" HTTP").next().unwrap().to_owned();
            let body = request.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
            let body = body.unwrap_or_default();
            let is_change = line.starts_with("POST") && line != "POST /sessions/fetch";
            if is_change && mixin.loses_requests {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            let answer = mixin.answer(&line, request, &body);
            mixin.requests.push((line, body));
            if is_change && mixin.loses_answers {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            let time = u128::from(now() + mixin.ahead) * 1_000_000_000;
            respond(stream, &format!("200 OK\r\nX-Request-Id: {id}\r\nX-Server-Time: {time}"), &answer.to_string());
        });
        Self { server, mixin }
    }

    fn mixin(&self) -> MutexGuard<'_, Mixin> {
        self.mixin.lock().unwrap()
    }

    fn client(&self, session: Session) -> Client {
        Client::builder(session).base_url(&self.server.url).store(MemoryStore::new()).build().unwrap()
    }
}

fn now() -> u64 {
    UnixTime::try_from(SystemTime::now()).unwrap().secs()
}

fn rsa_key() -> RsaKey {
    RsaKey::generate(&mut SystemRng::new().unwrap(), 1024).unwrap()
}

fn session(key: SessionKey) -> Session {
    Session::from_parts(USER, Uuid::from_u128(2), key, PinKey::from_bytes(&[7; 32]).unwrap())
}

/// A copy of the key, to ask with it.
fn copy(key: &RsaKey) -> RsaKey {
    RsaKey::from_der(&key.to_pkcs1_der()).unwrap()
}

fn change(client: &Client) -> SessionChange {
    SessionChange::new(client.session().user_id(), client.session().session_id(), new_key().public_key())
}

#[tokio::test]
async fn an_upgrade_names_the_new_session() {
    let old = rsa_key();
    let stage = Stage::new(VerifyingKey::Rsa(old.public_key()));
    let client = stage.client(session(SessionKey::Rsa(copy(&old))));
    let outcome = client.upgrade_session(&old.public_key(), &pin(), &new_key().public_key()).await.unwrap();
    let expected = NewSession {
        user_id: Some(USER),
        session_id: Some(Uuid::from_u128(5)),
        server_key: ServerKey::Ed25519(server_key().public_key()),
    };
    assert_eq!(outcome.done(), Some(expected));
    assert_eq!(client.pending().await.unwrap(), []);
    let sent = &stage.mixin().requests;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1["session_id"], json!(Uuid::from_u128(2)));
}

#[tokio::test]
async fn a_lost_upgrade_is_settled_by_the_new_key_under_its_new_session_id() {
    let old = rsa_key();
    let stage = Stage::new(VerifyingKey::Rsa(old.public_key()));
    let client = stage.client(session(SessionKey::Rsa(copy(&old))));
    stage.mixin().loses_answers = true;
    let outcome = client.upgrade_session(&old.public_key(), &pin(), &new_key().public_key()).await.unwrap();
    let Outcome::Unknown(lost) = outcome else { panic!("{outcome:?}") };
    assert_eq!((lost.next, lost.expires_at), (NextStep::AskBothKeys, None));
    let pending = client.pending().await.unwrap();
    assert_eq!((pending[0].request_id, pending[0].kind), (lost.request_id, CallKind::ChangeSession));

    // Without the new id, both keys are refused: the old session is over, so it cannot list the sessions.
    let resolution = client.resolve_session(change(&client), &old, &new_key()).await.unwrap();
    assert!(matches!(resolution.verdict, KeyVerdict::Neither), "{resolution:?}");
    assert_eq!(client.pending().await.unwrap().len(), 1);

    let with_id = change(&client).or_session_ids([Uuid::from_u128(5)]);
    let resolution = client.resolve_session(with_id, &old, &new_key()).await.unwrap();
    assert!(resolution.journal_error.is_none());
    let KeyVerdict::New(user) = resolution.verdict else { panic!("{resolution:?}") };
    let session = NewSession::of_user(&user).unwrap();
    assert_eq!(session.session_id, Some(Uuid::from_u128(5)));
    assert_eq!(session.server_key, ServerKey::X25519(server_key().public_key().to_x25519().unwrap()));
    assert_eq!(client.pending().await.unwrap(), []);
    let changes = stage.mixin().requests.iter().filter(|(line, _)| line == "POST /legacy/users").count();
    assert_eq!(changes, 1, "a change is sent once");
}

#[tokio::test]
async fn a_change_that_never_arrived_is_settled_when_it_has_expired() {
    let old = Ed25519Key::from_bytes(&[1; 32]).unwrap();
    let stage = Stage::new(VerifyingKey::Ed25519(old.public_key()));
    let client = stage.client(session(SessionKey::Ed25519(Ed25519Key::from_bytes(&[1; 32]).unwrap())));
    stage.mixin().loses_requests = true;
    let outcome = client.replace_session_key(&new_key().public_key()).await.unwrap();
    let Outcome::Unknown(lost) = outcome else { panic!("{outcome:?}") };
    assert!(lost.expires_at.is_some());
    let resolution = client.resolve_session(change(&client), &old, &new_key()).await.unwrap();
    let KeyVerdict::NotYet { remaining, .. } = resolution.verdict else { panic!("{resolution:?}") };
    assert!((50..=66).contains(&remaining.as_secs()), "{remaining:?}");
    assert_eq!(client.pending().await.unwrap().len(), 1);
    stage.mixin().ahead = 90;
    let resolution = client.resolve_session(change(&client), &old, &new_key()).await.unwrap();
    assert!(matches!(resolution.verdict, KeyVerdict::Old(_)), "{resolution:?}");
    assert_eq!(client.pending().await.unwrap(), []);
}

#[tokio::test]
async fn a_replaced_key_is_asked_for() {
    let old = Ed25519Key::from_bytes(&[1; 32]).unwrap();
    let stage = Stage::new(VerifyingKey::Ed25519(old.public_key()));
    let client = stage.client(session(SessionKey::Ed25519(Ed25519Key::from_bytes(&[1; 32]).unwrap())));
    let id = client.session().session_id();
    assert!(matches!(client.ask_with(USER, id, &old).await, Ok(KeyState::Accepted(_))));
    assert!(matches!(client.ask_with(USER, id, &new_key()).await, Ok(KeyState::Refused)));
    let session = client.replace_session_key(&new_key().public_key()).await.unwrap().done().unwrap();
    assert_eq!((session.user_id, session.session_id), (None, None));
    assert!(matches!(client.ask_with(USER, id, &old).await, Ok(KeyState::Refused)));
    assert!(matches!(client.ask_with(USER, id, &new_key()).await, Ok(KeyState::Accepted(_))));
    assert!(matches!(client.ask_with(USER, APP, &new_key()).await, Ok(KeyState::Refused)));
    // A call with the old key is refused, which may be about a copy.
    let outcome = client.replace_session_key(&new_key().public_key()).await.unwrap();
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
}

#[tokio::test]
async fn without_a_server_nothing_is_known_of_a_key() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let client = builder().base_url(format!("http://{closed}")).build().unwrap();
    let failed = client.ask_with(USER, APP, &new_key()).await;
    assert!(matches!(failed, Err(Error::Connect(_))), "{failed:?}");
}

#[tokio::test]
async fn an_owner_rotates_registers_and_reads_an_app() {
    let own = Ed25519Key::from_bytes(&[1; 32]).unwrap();
    let stage = Stage::new(VerifyingKey::Ed25519(own.public_key()));
    let client = stage.client(session(SessionKey::Ed25519(own)));
    let session = client.replace_app_session(APP, &new_key().public_key()).await.unwrap().done().unwrap();
    assert_eq!(session.session_id, Some(APP));
    let spend = TipKey::from_seed(&[5; 32]);
    assert_eq!(client.register_app(APP, &spend).await.unwrap().done().unwrap().spend_public_key, "x");
    assert!(client.app(APP).await.unwrap().has_safe);
    assert_eq!(client.sessions(&[USER]).await.unwrap()[0].session_id, Uuid::from_u128(2));
    assert_eq!(client.pending().await.unwrap(), []);
    let lines: Vec<String> = stage.mixin().requests.iter().map(|(line, _)| line.clone()).collect();
    assert_eq!(
        lines,
        [
            "POST /safe/apps/00000000-0000-0000-0000-000000000009/session",
            "POST /safe/apps/00000000-0000-0000-0000-000000000009/register",
            "GET /apps/00000000-0000-0000-0000-000000000009",
            "POST /sessions/fetch",
        ]
    );
}

#[tokio::test]
async fn an_oauth_owner_does_not_trust_an_unsigned_answer() {
    let key = Ed25519Key::from_bytes(&[4; 32]).unwrap();
    let session = OAuthSession::without_server_key(APP, USER, "APPS:READ APPS:WRITE", key).unwrap();
    let session = session.with_server_key(server_key().public_key());
    let stage = Stage::new(VerifyingKey::Ed25519(new_key().public_key()));
    let client = OAuthClient::builder(session).base_url(&stage.server.url).build().unwrap();
    let outcome = client.replace_app_session(APP, &new_key().public_key()).await.unwrap();
    let Outcome::Unknown(lost) = outcome else { panic!("{outcome:?}") };
    assert_eq!(lost.next, NextStep::AskBothKeys);
    let spend = TipKey::from_seed(&[5; 32]);
    assert!(matches!(client.register_app(APP, &spend).await, Ok(Outcome::Unknown(_))));
    assert!(client.app(APP).await.is_err());
    assert!(client.sessions(&[APP]).await.is_err());
}

#[tokio::test]
async fn an_action_is_permitted_by_digits_or_by_a_tip_key() {
    let own = Ed25519Key::from_bytes(&[1; 32]).unwrap();
    let stage = Stage::new(VerifyingKey::Ed25519(own.public_key()));
    let client = stage.client(session(SessionKey::Ed25519(own)));
    let action = Action::RemoveAddress { address_id: APP };
    let (digits, key) = (pin(), TipKey::from_seed(&[5; 32]));
    for credential in [Credential::Digits(&digits), Credential::Tip(&key)] {
        assert!(client.act::<Value>(credential, &action).await.unwrap().done().is_some());
    }
    assert!(client.act::<Value>(&digits, &action).await.unwrap().done().is_some());
    assert!(client.act::<Value>(&key, &action).await.unwrap().done().is_some());
    let mixin = stage.mixin();
    let lens: Vec<usize> = mixin
        .requests
        .iter()
        .map(|(line, body)| {
            assert_eq!(line, "POST /addresses/00000000-0000-0000-0000-000000000009/delete");
            body["pin_base64"].as_str().unwrap().len()
        })
        .collect();
    // 48 bytes for digits and 112 for a signature, in base64.
    assert_eq!(lens, [64, 150, 64, 150]);
}
