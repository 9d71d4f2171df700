//! Changes of keys that are killed at random instants, and whose answers are lost in turn. Each time one of the two keys works,
//! `resolve` says which, the same command goes on, and nothing is applied or sent twice.
//!
//! `MIXIN_PIN_KILLS` sets the number of kills of each change, and `MIXIN_PIN_SEED` their instants.

mod common;
#[path = "common/world.rs"]
mod world;

use std::cell::Cell;
use std::fs;
use std::time::{Duration, Instant, SystemTime};

use base16ct::lower::encode_string;
use common::{Run, private};
use mixin_pin_core::SystemRng;
use mixin_pin_core::tip::TipKey;
use mixin_pin_sandbox::Config;
use mixin_pin_sandbox::faults::Fault;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use world::{Credential, Kind, Member, PIN, World, is_there};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |number| number.parse().unwrap())
}

/// Random numbers that a seed repeats (splitmix64).
struct Dice(Cell<u64>);

impl Dice {
    fn new() -> Self {
        let seed = number("MIXIN_PIN_SEED", SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs());
        println!("MIXIN_PIN_SEED={seed}");
        Self(Cell::new(seed))
    }

    fn below(&self, limit: Duration) -> Duration {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let nanos = u64::try_from(limit.as_nanos()).unwrap().max(1);
        Duration::from_nanos((mixed ^ (mixed >> 31)) % nanos)
    }
}

/// A change of a key.
trait Change {
    /// The command and its standard input.
    fn command(&self) -> (Vec<String>, String);
    /// After an interruption: what `resolve` says is true.
    fn resolve(&self, world: &World);
    /// After the change is complete.
    fn check(&self, world: &World);
}

fn run(world: &World, api: &str, change: &dyn Change) -> Run {
    let (args, stdin) = change.command();
    world.run_at(api, &args.iter().map(String::as_str).collect::<Vec<_>>(), &stdin)
}

/// Runs a command. While an app's owner may not send, or a killed process's lease lasts, it says how long to wait.
fn after_the_wait(run: impl Fn() -> Run) -> Run {
    let first = run();
    let (3 | 4, Some(wait)) = (first.code, first.json()["error"]["retry_after"].as_u64()) else { return first };
    std::thread::sleep(Duration::from_secs(wait));
    run()
}

/// Runs the command again after an interruption.
fn complete(world: &World, change: &dyn Change) {
    let again = after_the_wait(|| run(world, &world.sandbox.url(), change));
    assert_eq!(again.code, 0, "{again:?}");
    change.check(world);
}

/// The change of a session's key.
struct OfSession {
    old: Member,
    new: String,
    command: Vec<String>,
    stdin: String,
    /// Whose journal has it: the owner of an app.
    owner: Option<String>,
    /// The call that makes it, and the session that makes the call.
    call: (mixin_pin_core::uuid::Uuid, String),
}

impl OfSession {
    fn unfinished(&self) -> String {
        format!("{}.unfinished", self.new)
    }
}

impl Change for OfSession {
    fn command(&self) -> (Vec<String>, String) {
        (self.command.clone(), self.stdin.clone())
    }

    fn resolve(&self, world: &World) {
        let old = self.old.path();
        if !is_there(&self.new) && !is_there(&self.unfinished()) {
            assert!(world.works(old));
            return;
        }
        let keystore = self.owner.as_deref().unwrap_or(old);
        let args = ["resolve", "--keystore", keystore, "--new-keystore", &self.new];
        let resolved = after_the_wait(|| world.run(&args, ""));
        let session = &resolved.json()["session"];
        let (verdict, works) = (session["verdict"].as_str().unwrap(), session["works"].as_str());
        match (verdict, works) {
            ("old" | "old-so-far", Some(works)) => assert!(works == old && world.works(old), "{resolved:?}"),
            // The owner's command does not have the app's old keystore.
            ("old-so-far", None) => assert!(self.owner.is_some() && world.works(old), "{resolved:?}"),
            ("new", Some(works)) if works == self.new => assert!(world.works(&self.new), "{resolved:?}"),
            ("new", Some(works)) => {
                assert!(works == self.unfinished() && !is_there(&self.new) && !world.works(old), "{resolved:?}");
            }
            _ => panic!("{resolved:?}"),
        }
    }

    fn check(&self, world: &World) {
        assert!(!is_there(&self.unfinished()));
        assert!(!world.works(self.old.path()));
        let verified = world.run(&["verify", "--pin-stdin", "--keystore", &self.new], PIN);
        assert_eq!(verified.code, 0, "{verified:?}");
        let (session_id, path) = &self.call;
        assert_eq!(world.done(*session_id, path), 1);
    }
}

fn upgrade(world: &World, kind: Kind, by: &str, number: usize) -> OfSession {
    let old = world.user(kind);
    let new = world.path(&format!("new-{number}.json"));
    let command = ["session", "upgrade", "--keystore", old.path(), "--out", &new, "--by", by, "--pin-stdin"];
    let path = if by == "legacy-users" { "/legacy/users" } else { "/session/secret" };
    let (command, call) = (command.map(str::to_owned).to_vec(), (old.session_id, path.to_owned()));
    OfSession { old, new, command, stdin: PIN.to_owned(), owner: None, call }
}

fn rotate(world: &World, number: usize) -> OfSession {
    let old = world.user(Kind::Ed25519);
    let new = world.path(&format!("new-{number}.json"));
    let command = ["session", "rotate", "--keystore", old.path(), "--out", &new].map(str::to_owned).to_vec();
    let call = (old.session_id, "/session/secret".to_owned());
    OfSession { old, new, command, stdin: String::new(), owner: None, call }
}

fn rotate_app(world: &World, owner: &Member, number: usize) -> OfSession {
    let old = world.app_of(owner);
    let new = world.path(&format!("new-{number}.json"));
    // A lost call may arrive for twice its time limit.
    let options = ["--out", &new, "--owner", owner.path(), "--timeout", "2"];
    let words = [&["session", "rotate", "--keystore", old.path()][..], &options].concat();
    let command = words.into_iter().map(str::to_owned).collect();
    let call = (owner.session_id, format!("/safe/apps/{}/session", old.user_id));
    OfSession { old, new, command, stdin: String::new(), owner: Some(owner.path().to_owned()), call }
}

/// The change of a PIN to a TIP key.
struct OfPin {
    user: Member,
    old_key: Option<String>,
    new_key: String,
}

impl OfPin {
    fn new(world: &World, kind: Kind, from_tip: bool, number: usize) -> Self {
        let (key, seed) = TipKey::generate(&mut SystemRng::new().unwrap());
        let credential = if from_tip { Credential::Tip(&key) } else { Credential::Pin };
        let user = world.member(kind, None, credential, "");
        let old_key = from_tip.then(|| {
            let path = world.path(&format!("old-{number}.key"));
            private(Path::new(&path), &encode_string(seed.as_ref()));
            path
        });
        Self { user, old_key, new_key: world.path(&format!("new-{number}.key")) }
    }

    /// The file with the old key, under either name.
    fn old_text(&self) -> Option<String> {
        let path = self.old_key.as_ref()?;
        let text = fs::read_to_string(path).or_else(|_| fs::read_to_string(format!("{path}.replaced")));
        Some(text.unwrap().trim().to_owned())
    }
}

impl Change for OfPin {
    fn command(&self) -> (Vec<String>, String) {
        let mut words = vec!["tip", "change", "--keystore", self.user.path(), "--new-key", &self.new_key];
        let stdin = if let Some(path) = &self.old_key {
            words.extend(["--old-key", path]);
            String::new()
        } else {
            words.push("--pin-stdin");
            PIN.to_owned()
        };
        (words.into_iter().map(str::to_owned).collect(), stdin)
    }

    fn resolve(&self, world: &World) {
        if !is_there(&self.new_key) {
            return;
        }
        let new = fs::read_to_string(&self.new_key).unwrap();
        let mut words = vec!["resolve", "--spend-key-stdin", "--keystore", self.user.path()];
        let verify = |flag: &str, text: &str| {
            let verified = world.run(&["verify", flag, "--keystore", self.user.path()], text);
            assert_eq!(verified.code, 0, "{verified:?}");
        };
        let old = self.old_text();
        let stdin = if let Some(old) = &old {
            words.push("--old-tip");
            format!("{old}\n{new}")
        } else {
            words.push("--pin-stdin");
            format!("{PIN}\n{new}")
        };
        let resolved = after_the_wait(|| world.run(&words, &stdin));
        match (resolved.json()["verdict"].as_str().unwrap(), &old) {
            ("applied", _) => verify("--spend-key-stdin", &new),
            ("not-applied", Some(old)) => verify("--spend-key-stdin", old),
            ("not-applied", None) => verify("--pin-stdin", PIN),
            ("nothing-pending", _) => {}
            _ => panic!("{resolved:?}"),
        }
    }

    fn check(&self, world: &World) {
        let new = fs::read_to_string(&self.new_key).unwrap();
        let verified = world.run(&["verify", "--spend-key-stdin", "--keystore", self.user.path()], &new);
        assert_eq!(verified.code, 0, "{verified:?}");
        if let Some(path) = &self.old_key {
            // A run that finds the new key installed does not know that this was the old one.
            assert_ne!(is_there(path), is_there(&format!("{path}.replaced")));
        }
        assert_eq!(world.done(self.user.session_id, "/pin/update"), 1);
    }
}

/// Kills each change once, at a random instant of its run.
fn kill(world: &World, make: impl Fn(usize) -> Box<dyn Change>) {
    kill_times(usize::try_from(number("MIXIN_PIN_KILLS", 12)).unwrap(), world, make);
}

fn kill_times(count: usize, world: &World, make: impl Fn(usize) -> Box<dyn Change>) {
    let dice = Dice::new();
    let url = world.sandbox.url();
    let first = make(0);
    let begun = Instant::now();
    assert_eq!(run(world, &url, &*first).code, 0);
    let whole = begun.elapsed();
    first.check(world);
    let mut interrupted = 0;
    for number in 1..=count {
        let change = make(number);
        let (args, stdin) = change.command();
        let mut child = world.spawn(&url, &args.iter().map(String::as_str).collect::<Vec<_>>(), &stdin);
        std::thread::sleep(dice.below(whole));
        child.kill().unwrap();
        interrupted += usize::from(!child.wait().unwrap().success());
        // Either `resolve` says what became of it, or the same command finds out itself.
        if number % 2 == 0 {
            change.resolve(world);
        }
        complete(world, &*change);
    }
    println!("{interrupted} of {count} were interrupted");
    assert!(count < 8 || interrupted > 0);
    assert_eq!(world.pending(), [""; 0]);
    world.assert_no_pin_twice();
}

/// Loses each answer in turn: that one alone, or with everything after it, as when the network is cut.
fn lose(world: &World, make: impl Fn(usize) -> Box<dyn Change>) {
    let (mut number, mut stopped) = (0, 0);
    for (fault, is_cut) in [(Fault::CloseAfter, false), (Fault::CloseAfter, true), (Fault::ResetBefore, true)] {
        for at in 0.. {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = asked.clone();
            let proxy = world.proxy(move |_| {
                let now = count.fetch_add(1, Ordering::SeqCst);
                if now == at || is_cut && now > at { fault } else { Fault::None }
            });
            let change = make(number);
            number += 1;
            let first = run(world, &proxy.url(), &*change);
            let is_over = asked.load(Ordering::SeqCst) <= at;
            if first.code != 0 {
                assert!(matches!(first.code, 1 | 3 | 4), "{first:?}");
                stopped += 1;
                change.resolve(world);
                complete(world, &*change);
            } else {
                change.check(world);
            }
            if is_over {
                break;
            }
        }
    }
    println!("{stopped} of {number} were stopped");
    assert!(stopped > 5);
    assert_eq!(world.pending(), [""; 0]);
    world.assert_no_pin_twice();
}

fn world() -> World {
    World::start(Config::default())
}

macro_rules! tests {
    ($($name:ident: |$world:ident, $number:ident| $change:expr;)+) => {
        mod killed {
            use super::*;
            $(#[test]
            fn $name() {
                let $world = &world();
                kill($world, |$number| Box::new($change));
            })+
        }
        mod lost {
            use super::*;
            $(#[test]
            fn $name() {
                let $world = &world();
                lose($world, |$number| Box::new($change));
            })+
        }
    };
}

tests! {
    upgrade_of_rsa_1024: |world, number| upgrade(world, Kind::Rsa1024, "legacy-users", number);
    upgrade_of_rsa_2048: |world, number| upgrade(world, Kind::Rsa2048, "legacy-users", number);
    upgrade_by_session_secret: |world, number| upgrade(world, Kind::Rsa2048, "session-secret", number);
    rotation_of_a_user: |world, number| rotate(world, number);
    rotation_of_an_app: |world, number| rotate_app(world, &world.user(Kind::Rsa2048), number);
    digits_to_tip_of_rsa_1024: |world, number| OfPin::new(world, Kind::Rsa1024, false, number);
    digits_to_tip_of_rsa_2048: |world, number| OfPin::new(world, Kind::Rsa2048, false, number);
    digits_to_tip_of_ed25519: |world, number| OfPin::new(world, Kind::Ed25519, false, number);
    tip_to_tip_of_rsa_1024: |world, number| OfPin::new(world, Kind::Rsa1024, true, number);
    tip_to_tip_of_rsa_2048: |world, number| OfPin::new(world, Kind::Rsa2048, true, number);
    tip_to_tip_of_ed25519: |world, number| OfPin::new(world, Kind::Ed25519, true, number);
}

/// The store on a server has the same rules.
#[cfg(feature = "redis")]
mod redis {
    use mixin_pin_test_servers::redis::RedisServer;

    use super::*;

    fn on_redis(test: &str, run: impl Fn(&World)) {
        let Some(redis) = RedisServer::start(test, &[]) else { return };
        run(&World::start_with(redis.url(), Config::default()));
    }

    #[test]
    fn rotation_of_a_user() {
        on_redis("rotation_of_a_user", |world| lose(world, |number| Box::new(rotate(world, number))));
        on_redis("rotation_of_a_user", |world| kill_times(2, world, |number| Box::new(rotate(world, number))));
    }

    #[test]
    fn digits_to_tip_of_ed25519() {
        let change =
            |world: &World, number| -> Box<dyn Change> { Box::new(OfPin::new(world, Kind::Ed25519, false, number)) };
        on_redis("digits_to_tip_of_ed25519", |world| lose(world, |number| change(world, number)));
        on_redis("digits_to_tip_of_ed25519", |world| kill_times(4, world, |number| change(world, number)));
    }
}

/// The key is the session's, but the file does not work: its id is another's.
#[test]
fn a_new_keystore_with_another_session_id_is_not_said_to_work() {
    let world = &world();
    let change = rotate(world, 1);
    assert_eq!(run(world, &world.sandbox.url(), &change).code, 0);
    let text = fs::read_to_string(&change.new).unwrap();
    let (id, other) = (change.old.session_id.to_string(), "00000000-0000-4000-8000-00000000000a");
    assert_eq!(text.matches(&id).count(), 1);
    private(Path::new(&change.new), &text.replace(&id, other));
    assert!(!world.works(&change.new));
    let resolved = world.run(&["resolve", "--keystore", change.old.path(), "--new-keystore", &change.new], "");
    let session = &resolved.json()["session"];
    assert_eq!(
        (resolved.code, session["verdict"].as_str(), session["works"].as_str()),
        (3, Some("other-session"), None)
    );
}
