//! The calls that change a session's key, made by either client. A change whose answer is lost is settled by asking with
//! either key.

#[path = "clients/mod.rs"]
mod clients;
mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use clients::{Async, Blocking, Bot, Key, Settings};
use common::{Kind, pem, reason, register};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Pin, PinKey, RsaKey, Session, SessionKey};
use mixin_pin_http::store::MemoryStore;
use mixin_pin_http::{KeyState, KeyVerdict, NextStep, Outcome, SessionChange};
use mixin_pin_protocol::answer::NewSession;
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use mixin_pin_sandbox::{Account, Config, Sandbox};

const PIN: &str = "123456";

fn pin() -> Pin {
    Pin::new(PIN).unwrap()
}

fn new_key() -> Ed25519Key {
    Ed25519Key::from_bytes(&[1; 32]).unwrap()
}

/// A sandbox behind a proxy that breaks the next request to a path.
struct Stage {
    sandbox: Sandbox,
    next: Arc<Mutex<Fault>>,
    proxy: FaultProxy,
}

impl Stage {
    fn new(config: &Config, path: &'static str) -> Self {
        let sandbox = Sandbox::start(config).unwrap();
        let next = Arc::new(Mutex::new(Fault::None));
        let fault = next.clone();
        let proxy = FaultProxy::start(sandbox.address(), move |head| {
            let is_change = head.lines().next().is_some_and(|line| line.contains(path));
            if is_change { std::mem::replace(&mut *fault.lock().unwrap(), Fault::None) } else { Fault::None }
        });
        Self { sandbox, next, proxy: proxy.unwrap() }
    }

    fn bot<B: Bot>(&self, session: Session) -> B {
        let settings = Settings {
            timeout: Some(Duration::from_millis(500)),
            token_lifetime: Some(Duration::from_secs(3)),
            ..Settings::new(self.proxy.url())
        };
        B::new(session, MemoryStore::new(), &settings)
    }

    fn break_next(&self, fault: Fault) {
        *self.next.lock().unwrap() = fault;
    }

    /// An app with a PIN and its owner.
    fn owned_app(&self) -> (Session, Session) {
        let owner = register(&self.sandbox, Kind::Ed25519);
        let [app_key, server] = [20, 21].map(|seed| Ed25519Key::from_bytes(&[seed; 32]).unwrap());
        let (app_id, session_id) = (Uuid::from_u128(0xa), Uuid::from_u128(0xb));
        let public_key = VerifyingKey::Ed25519(app_key.public_key());
        let app = Session::ed25519(app_id, session_id, app_key, &server.public_key().to_x25519().unwrap()).unwrap();
        let pin_key = PinKey::from_bytes(app.pin_key().expose()).unwrap();
        let account = Account::new(app_id, session_id, "Bot", public_key, pin_key);
        self.sandbox.add_account(&Account { owner: Some(owner.user_id()), pin: Some(pin()), ..account }).unwrap();
        (owner, app)
    }
}

/// The new session, from an answer.
fn session_of(old: (Uuid, Uuid), new: &NewSession) -> Session {
    let (user_id, session_id) = (new.user_id.unwrap_or(old.0), new.session_id.unwrap_or(old.1));
    Session::ed25519(user_id, session_id, new_key(), &new.server_key.to_x25519().unwrap()).unwrap()
}

fn ids(session: &Session) -> (Uuid, Uuid) {
    (session.user_id(), session.session_id())
}

fn assert_works<B: Bot>(stage: &Stage, session: Session) {
    let bot: B = stage.bot(session);
    bot.verify_pin(&pin()).unwrap().done().unwrap();
}

fn done<T: std::fmt::Debug>(outcome: Outcome<T>) -> T {
    match outcome {
        Outcome::Done(value) => value,
        other @ Outcome::Unknown(_) => panic!("{other:?}"),
    }
}

fn every_call<B: Bot>() {
    let new = new_key().public_key();
    for kind in [Kind::Rsa1024, Kind::Rsa2048] {
        for changes in [false, true] {
            let stage = Stage::new(&Config { upgrade_changes_session: changes, ..Config::default() }, "/legacy/users");
            let old = register(&stage.sandbox, kind);
            let (old_ids, old_key) = (ids(&old), RsaKey::from_pem(pem(kind)).unwrap());
            let bot: B = stage.bot(old);
            bot.create_pin(&pin()).unwrap().done().unwrap();
            let wrong = bot.upgrade_session(&old_key.public_key(), &Pin::new("654321").unwrap(), &new);
            // The request has no token, so a refusal may be about a copy of it.
            let Outcome::Unknown(refused) = wrong.unwrap() else { panic!("done by a wrong PIN") };
            assert_eq!(reason::<()>(Err(*refused.cause)), (20_119, "pin".to_owned()));
            let answer = done(bot.upgrade_session(&old_key.public_key(), &pin(), &new).unwrap());
            assert_eq!((answer.user_id, answer.session_id == Some(old_ids.1)), (Some(old_ids.0), !changes));
            // Again: the same answer.
            assert_eq!(done(bot.upgrade_session(&old_key.public_key(), &pin(), &new).unwrap()), answer);
            let (user_id, session_id) = (old_ids.0, answer.session_id.unwrap());
            let asked = bot.ask_with(user_id, session_id, &SessionKey::Ed25519(new_key())).unwrap();
            let KeyState::Accepted(user) = asked else { panic!("refused") };
            let shown = NewSession::of_user(&user).unwrap();
            assert_eq!(shown.server_key.to_x25519().unwrap(), answer.server_key.to_x25519().unwrap());
            let asked = bot.ask_with(user_id, old_ids.1, &SessionKey::Rsa(old_key)).unwrap();
            assert_eq!(asked, KeyState::Refused);
            assert_works::<B>(&stage, session_of(old_ids, &answer));
        }
    }
    for kind in Kind::ALL {
        let stage = Stage::new(&Config::default(), "/session/secret");
        let old = register(&stage.sandbox, kind);
        let old_ids = ids(&old);
        let bot: B = stage.bot(old);
        bot.create_pin(&pin()).unwrap().done().unwrap();
        let answer = done(bot.replace_session_key(&new).unwrap());
        assert_eq!((answer.user_id, answer.session_id), (None, None));
        assert_works::<B>(&stage, session_of(old_ids, &answer));
    }
    let stage = Stage::new(&Config::default(), "/safe/apps/");
    let (owner, app) = stage.owned_app();
    let (owner_id, app_ids) = (owner.user_id(), ids(&app));
    let owner: B = stage.bot(owner);
    assert!(reason(stage.bot::<B>(app).replace_app_session(app_ids.0, &new)).0 == 403);
    let shown = owner.app(app_ids.0).unwrap();
    assert_eq!((shown.name.as_str(), shown.creator_id, shown.has_safe), ("Bot", Some(owner_id), false));
    let answer = done(owner.replace_app_session(app_ids.0, &new).unwrap());
    let session = session_of(app_ids, &answer);
    let listed = owner.sessions(&[app_ids.0]).unwrap();
    assert_eq!((listed.len(), listed[0].session_id), (1, session.session_id()));
    assert!(listed[0].has_key(&new));
    assert_works::<B>(&stage, session);
    let spend = TipKey::from_seed(&[9; 32]);
    let registered = done(owner.register_app(app_ids.0, &spend).unwrap());
    assert_eq!(owner.app(app_ids.0).unwrap().spend_public_key, registered.spend_public_key);
    assert!(owner.app(app_ids.0).unwrap().has_safe);
    let bot: B = stage.bot(session_of(app_ids, &answer));
    assert!(bot.verify_pin(&pin()).is_err(), "the spend key replaces the digits");
    bot.verify_tip(&spend).unwrap().done().unwrap();
    let action = mixin_pin_protocol::action::Action::RemoveAddress { address_id: Uuid::nil() };
    bot.act(Key::Tip(&spend), &action).unwrap().done().unwrap();
}

/// What a fault did to a change, as far as the client knows before it asks.
fn lost_answers<B: Bot>() {
    let new = new_key().public_key();
    for fault in [Fault::ResetBefore, Fault::ResetAfter, Fault::CloseAfter, Fault::DropAnswer, Fault::TruncateAnswer] {
        let arrives = fault != Fault::ResetBefore;
        let upgrades = Config { upgrade_changes_session: true, ..Config::default() };
        for (config, path) in
            [(&Config::default(), "/legacy/users"), (&upgrades, "/legacy/users"), (&upgrades, "/session/secret")]
        {
            let stage = Stage::new(config, path);
            let old = register(&stage.sandbox, Kind::Rsa1024);
            let (old_ids, old_key) = (ids(&old), RsaKey::from_pem(pem(Kind::Rsa1024)).unwrap());
            let bot: B = stage.bot(old);
            bot.create_pin(&pin()).unwrap().done().unwrap();
            stage.break_next(fault);
            let changed = if path == "/session/secret" {
                bot.replace_session_key(&new)
            } else {
                bot.upgrade_session(&old_key.public_key(), &pin(), &new)
            };
            let Outcome::Unknown(lost) = changed.unwrap() else { panic!("{fault:?}: not lost") };
            assert_eq!(lost.next, NextStep::AskBothKeys, "{fault:?}");
            let change = SessionChange::new(old_ids.0, old_ids.1, new.clone()).expires_at(lost.expires_at);
            let settled = bot.resolve_session(change, &SessionKey::Rsa(old_key), &SessionKey::Ed25519(new_key()));
            let verdict = settled.unwrap().verdict;
            let moved = path == "/legacy/users" && config.upgrade_changes_session;
            match verdict {
                // The old session is over, and its id with it. Nothing asks for the sessions of a user whose only session
                // is not known. The same upgrade again has the same answer.
                KeyVerdict::Neither if arrives && moved => {
                    let old_key = RsaKey::from_pem(pem(Kind::Rsa1024)).unwrap();
                    let again = done(bot.upgrade_session(&old_key.public_key(), &pin(), &new).unwrap());
                    assert_works::<B>(&stage, session_of(old_ids, &again));
                }
                KeyVerdict::New(user) if arrives && !moved => {
                    assert_works::<B>(&stage, session_of(old_ids, &NewSession::of_user(&user).unwrap()));
                    assert!(bot.pending().unwrap().is_empty());
                }
                KeyVerdict::NotYet { .. } if !arrives => bot.verify_pin(&pin()).map(drop).unwrap(),
                other => panic!("{} {fault:?} {path}: {other:?}", B::NAME),
            }
        }
        let stage = Stage::new(&Config::default(), "/safe/apps/");
        let (owner, app) = stage.owned_app();
        let app_ids = ids(&app);
        let owner: B = stage.bot(owner);
        stage.break_next(fault);
        let changed = owner.replace_app_session(app_ids.0, &new);
        let Outcome::Unknown(lost) = changed.unwrap() else { panic!("{fault:?}: not lost") };
        let change = SessionChange::new(app_ids.0, app_ids.1, new.clone()).expires_at(lost.expires_at);
        let old_key = SessionKey::Ed25519(Ed25519Key::from_bytes(&[20; 32]).unwrap());
        let settled = owner.resolve_session(change, &old_key, &SessionKey::Ed25519(new_key())).unwrap();
        match settled.verdict {
            KeyVerdict::New(user) if arrives => {
                let session = NewSession::of_user(&user).unwrap();
                assert_works::<B>(&stage, session_of(app_ids, &session));
            }
            KeyVerdict::NotYet { .. } if !arrives => assert_works::<B>(&stage, app),
            other => panic!("{} {fault:?}: {other:?}", B::NAME),
        }
    }
}

#[test]
fn the_blocking_client_makes_every_call() {
    every_call::<Blocking>();
}

#[test]
fn the_async_client_makes_every_call() {
    every_call::<Async>();
}

#[test]
fn the_blocking_client_settles_lost_answers() {
    lost_answers::<Blocking>();
}

#[test]
fn the_async_client_settles_lost_answers() {
    lost_answers::<Async>();
}
