//! A sandbox in this process with users of every kind, and the command that is run against it.
#![allow(dead_code, reason = "each test file uses a part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use mixin_pin_core::tip::TipKey;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{CodeVerifier, Ed25519Key, Pin, PinKey, RsaKey, SystemRng};
use mixin_pin_http::{Client, OAuthClient};
use mixin_pin_protocol::keystore::{Keystore, ServerKey, write_app, write_ed25519, write_rsa};
use mixin_pin_protocol::oauth::CodeExchange;
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use mixin_pin_sandbox::{Account, Config, Observation, Sandbox};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Run, command, finished, private, text};

/// The PIN of every user.
pub const PIN: &str = "739146";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Rsa1024,
    Rsa2048,
    Ed25519,
}

/// A keystore's file and its user.
pub struct Member {
    pub keystore: PathBuf,
    pub user_id: Uuid,
    pub session_id: Uuid,
}

impl Member {
    pub fn path(&self) -> &str {
        text(&self.keystore)
    }
}

pub struct World {
    pub sandbox: Sandbox,
    pub seen: Arc<Mutex<Vec<Observation>>>,
    pub folder: TempDir,
    /// The URL of the store.
    pub store: String,
    /// The options of every command that does not have its own.
    timeout: &'static [&'static str],
    count: AtomicU32,
}

fn rng() -> SystemRng {
    SystemRng::new().unwrap()
}

/// The private key of the RSA users of a length. Making one takes long.
fn rsa(bits: usize) -> RsaKey {
    static PEMS: [OnceLock<String>; 2] = [OnceLock::new(), OnceLock::new()];
    let pem = PEMS[usize::from(bits == 2048)]
        .get_or_init(|| RsaKey::generate(&mut rng(), bits).unwrap().to_pkcs1_pem().unwrap().to_string());
    RsaKey::from_pem(pem).unwrap()
}

impl World {
    pub fn start(config: Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", text(&folder.path().join("store.db")));
        Self::start_in(folder, store, &[], config)
    }

    /// With another store. Calls have little time, because only the end of a lease on a server tells that its holder is dead.
    pub fn start_with(store: String, config: Config) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), store, &["--timeout", "3"], config)
    }

    fn start_in(folder: TempDir, store: String, timeout: &'static [&'static str], config: Config) -> Self {
        let seen: Arc<Mutex<Vec<Observation>>> = Arc::default();
        let list = seen.clone();
        let observer = Arc::new(move |seen: &Observation| list.lock().unwrap().push(seen.clone()));
        let sandbox = Sandbox::start(&Config { observer: Some(observer), ..config }).unwrap();
        Self { sandbox, seen, folder, store, timeout, count: AtomicU32::new(0) }
    }

    pub fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }

    /// A user with the PIN.
    pub fn user(&self, kind: Kind) -> Member {
        self.member(kind, None, Credential::Pin, "")
    }

    /// An app of a user, with the PIN.
    pub fn app_of(&self, owner: &Member) -> Member {
        self.member(Kind::Ed25519, Some(owner.user_id), Credential::Pin, "")
    }

    /// A user or an app. `more` are further fields of the keystore.
    pub fn member(&self, kind: Kind, owner: Option<Uuid>, credential: Credential<'_>, more: &str) -> Member {
        let number = u128::from(self.count.fetch_add(1, Ordering::SeqCst));
        let user_id = Uuid::from_u128((0x6d0e_4f6e_9b0e_4f9b << 64) | number);
        let session_id = Uuid::from_u128((0x0b1f_7f6e_5d0e_4f6e << 64) | number);
        let (written, public_key) = match kind {
            Kind::Rsa1024 | Kind::Rsa2048 => {
                let key = rsa(if kind == Kind::Rsa1024 { 1024 } else { 2048 });
                let pin_key = PinKey::generate(&mut rng());
                let token = key.public_key().wrap_pin_key(&pin_key, session_id, &mut rng()).unwrap();
                (write_rsa(user_id, session_id, &key, &token).unwrap(), VerifyingKey::Rsa(key.public_key()))
            }
            Kind::Ed25519 => {
                let (key, server) = (Ed25519Key::generate(&mut rng()), Ed25519Key::generate(&mut rng()));
                let server = ServerKey::Ed25519(server.public_key());
                let write = if owner.is_some() { write_app } else { write_ed25519 };
                (write(user_id, session_id, &key, &server), VerifyingKey::Ed25519(key.public_key()))
            }
        };
        let parsed = Keystore::parse(written.as_bytes()).unwrap();
        let mut account = Account { owner, ..Account::from_keystore(parsed, "Member", &mut rng()).unwrap() };
        assert!(account.public_key == public_key);
        match credential {
            Credential::Pin => account.pin = Some(Pin::new(PIN).unwrap()),
            Credential::None => {}
            Credential::Tip(key) => account.tip_key = Some(key.public_key().clone()),
        }
        self.sandbox.add_account(&account).unwrap();
        let keystore = self.folder.path().join(format!("member-{number}.json"));
        private(&keystore, &written.replacen('{', &format!("{{{more}"), 1));
        Member { keystore, user_id, session_id }
    }

    /// The keystore of an authorization that lets the sandbox's app act for a user, within these scopes.
    pub fn authorization(&self, user: &Member, scopes: &[&str]) -> String {
        let client = |text: &str| {
            let session = Keystore::parse(text.as_bytes()).unwrap().into_session(&mut rng()).unwrap();
            Client::builder(session).base_url(self.sandbox.url()).build().unwrap()
        };
        let (app, user) = (client(self.sandbox.app_keystore()), client(&fs::read_to_string(&user.keystore).unwrap()));
        let (app_id, verifier) = (app.session().user_id(), CodeVerifier::generate(&mut rng()));
        let ask = json!({"client_id": app_id, "scope": scopes.join(" "), "code_challenge": verifier.challenge()});
        let waiting: Value = app.call("POST", "/sandbox/authorizations", Some(&ask)).unwrap().done().unwrap();
        let body = json!({"authorization_id": waiting["authorization_id"], "scopes": scopes});
        let (body, pin) = (body.as_object().unwrap().clone(), Pin::new(PIN).unwrap());
        let approved: Value = user.call_with_pin("POST", "/oauth/authorize", &body, &pin).unwrap().done().unwrap();
        let (code, key) = (approved["authorization_code"].as_str().unwrap(), Ed25519Key::generate(&mut rng()));
        let exchange =
            CodeExchange { app_id, code, verifier: &verifier, client_secret: None, public_key: &key.public_key() };
        let grant = OAuthClient::exchange().base_url(self.sandbox.url()).send(&exchange).unwrap().done().unwrap();
        let path = self.path("oauth.json");
        private(Path::new(&path), &grant.to_keystore(app_id, &key).unwrap());
        path
    }

    /// Starts the command against this API, with this text on its standard input.
    pub fn spawn(&self, api: &str, args: &[&str], stdin: &str) -> Child {
        let input = self.folder.path().join(format!("stdin-{}", self.count.fetch_add(1, Ordering::SeqCst)));
        private(&input, stdin);
        let child = command()
            .args(args)
            .args(["--json", "--api", api, "--store", &self.store])
            .args(self.timeout.iter().filter(|_| !args.contains(&"--timeout")))
            .stdin(std::fs::File::open(&input).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::fs::remove_file(input).unwrap();
        child
    }

    pub fn run_at(&self, api: &str, args: &[&str], stdin: &str) -> Run {
        finished(self.spawn(api, args, stdin).wait_with_output().unwrap())
    }

    pub fn run(&self, args: &[&str], stdin: &str) -> Run {
        self.run_at(&self.sandbox.url(), args, stdin)
    }

    /// A proxy before the sandbox.
    pub fn proxy(&self, choose: impl Fn(&str) -> Fault + Send + Sync + 'static) -> FaultProxy {
        FaultProxy::start(self.sandbox.address(), choose).unwrap()
    }

    /// Whether the server accepts the session of a keystore.
    pub fn works(&self, keystore: &str) -> bool {
        let me = self.run(&["me", "--keystore", keystore], "");
        assert!(me.code <= 1, "{me:?}");
        me.code == 0
    }

    /// The paths of the changes that the store still lists.
    pub fn pending(&self) -> Vec<String> {
        let listed = finished(command().args(["pending", "--json", "--store", &self.store]).output().unwrap());
        let listed = listed.done().json();
        let paths = listed["pending"].as_array().unwrap().iter().map(|call| call["path"].as_str().unwrap().to_owned());
        paths.filter(|path| path != "/pin/verify").collect()
    }

    /// Whether no encrypted PIN was received twice.
    pub fn assert_no_pin_twice(&self) {
        let seen = self.seen.lock().unwrap();
        let mut pins: Vec<_> = seen.iter().flat_map(|call| &call.pins).map(|pin| &pin.ciphertext).collect();
        let count = pins.len();
        pins.sort();
        pins.dedup();
        assert_eq!(pins.len(), count);
    }

    /// The changes of this path that the sandbox has carried out for a session.
    pub fn done(&self, session_id: Uuid, path: &str) -> usize {
        let id = session_id.to_string();
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|call| call.path == path && call.is_done())
            // An upgrade has no token. Its body names the session.
            .filter(|call| call.session_id == Some(session_id) || call.session_id.is_none() && call.body.contains(&id))
            .count()
    }
}

/// What approves the calls of a user.
#[derive(Clone, Copy)]
pub enum Credential<'k> {
    None,
    Pin,
    Tip(&'k TipKey),
}

/// Whether a file is there.
pub fn is_there(path: &str) -> bool {
    Path::new(path).exists()
}
