//! `session upgrade`, `session rotate`, `app register` and `tip change`: their results, their refusals, and runs that go on
//! where an earlier one stopped.

mod common;
#[path = "common/world.rs"]
mod world;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use base16ct::lower::encode_string;
use common::{Run, command, finished, private, text};
use mixin_pin_core::SystemRng;
use mixin_pin_core::tip::TipKey;
use mixin_pin_sandbox::Config;
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use serde_json::{Value, json};
use world::{Credential, Kind, Member, PIN, World, is_there};

const WRONG: &str = "739147";

fn world() -> World {
    World::start(Config::default())
}

fn file(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn message(run: &Run) -> String {
    run.json()["error"]["message"].as_str().unwrap_or_else(|| panic!("{run:?}")).to_owned()
}

/// A proxy that carries out the first request of this kind, loses its answer, and lets nothing through from then on.
fn cut_at(world: &World, head: &'static str) -> FaultProxy {
    let is_cut = AtomicBool::new(false);
    world.proxy(move |seen| match is_cut.load(Ordering::SeqCst) {
        true => Fault::ResetBefore,
        false if seen.starts_with(head) => {
            is_cut.store(true, Ordering::SeqCst);
            Fault::CloseAfter
        }
        false => Fault::None,
    })
}

fn upgrade<'a>(old: &'a Member, new: &'a str) -> Vec<&'a str> {
    vec!["session", "upgrade", "--pin-stdin", "--keystore", old.path(), "--out", new]
}

fn rotate<'a>(old: &'a Member, new: &'a str) -> Vec<&'a str> {
    vec!["session", "rotate", "--keystore", old.path(), "--out", new]
}

fn rotate_app<'a>(old: &'a Member, new: &'a str, owner: &'a str) -> Vec<&'a str> {
    vec!["session", "rotate", "--keystore", old.path(), "--out", new, "--owner", owner]
}

#[cfg(unix)]
fn assert_private(path: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
}

#[cfg(not(unix))]
fn assert_private(_: &str) {}

/// The result of a complete change, whose keystores must be as they should.
fn complete(world: &World, old: &Member, new: &str, done: Run) -> Value {
    let text = fs::read_to_string(old.path()).unwrap();
    let result = done.done().json();
    assert_eq!((&result["keystore"], &result["old_works"]), (&json!(new), &json!(false)), "{result}");
    assert_eq!(result["user_id"], old.user_id.to_string());
    assert!(world.works(new) && !world.works(old.path()));
    assert!(!is_there(&format!("{new}.unfinished")));
    assert_eq!(fs::read_to_string(old.path()).unwrap(), text, "the old keystore is unchanged");
    assert_private(new);
    assert_eq!(world.pending(), [""; 0]);
    assert_eq!(world.run(&["verify", "--pin-stdin", "--keystore", new], PIN).code, 0);
    world.assert_no_pin_twice();
    result
}

#[test]
fn a_session_of_each_kind_gets_another_key() {
    let world = world();
    for (number, kind) in [Kind::Rsa1024, Kind::Rsa2048].into_iter().enumerate() {
        let (old, new) = (world.user(kind), world.path(&format!("upgraded-{number}.json")));
        let result = complete(&world, &old, &new, world.run(&upgrade(&old, &new), PIN));
        let (session, ids) = (&result["session"], (&result["session_id"], &result["old_session_id"]));
        assert_eq!((session, ids.0), (&json!("upgraded"), ids.1));
        assert_eq!((&result["already"], &result["pin_verified"]), (&json!(false), &json!(true)));
        assert!(file(&new)["user_id"].is_string());
        // It is an Ed25519 session now, and gets another key by `rotate` only.
        let again = world.run(&["session", "upgrade", "--keystore", &new, "--out", &world.path("x.json")], "");
        assert_eq!((again.code, again.kind().as_str()), (2, "keystore"), "{again:?}");

        let (old, new) = (world.user(kind), world.path(&format!("by-secret-{number}.json")));
        let by = [&upgrade(&old, &new)[..], &["--by", "session-secret"]].concat();
        let result = complete(&world, &old, &new, world.run(&by, ""));
        // No PIN was at hand.
        assert_eq!(result["pin_verified"], Value::Null);
    }
    let (old, new) = (world.user(Kind::Ed25519), world.path("rotated.json"));
    assert_eq!(complete(&world, &old, &new, world.run(&rotate(&old, &new), ""))["session"], "rotated");
}

#[test]
fn an_app_gets_another_session_and_its_old_iterators_are_retired() {
    let world = world();
    let owner = world.user(Kind::Ed25519);
    let (app, new) = (world.app_of(&owner), world.path("app.json"));
    assert_eq!(world.run(&["verify", "--pin-stdin", "--keystore", app.path()], PIN).code, 0);
    let sessions = || {
        let shown = finished(
            command()
                .args(["--json", "store", "show", "--store"])
                .arg(format!("sqlite:{}", world.path("store.db")))
                .output()
                .unwrap(),
        );
        shown.done().stdout
    };
    assert!(sessions().contains(&app.session_id.to_string()));
    let args = [&rotate(&app, &new)[..], &["--owner", owner.path()]].concat();
    // Only the owner can do it.
    let other = world.user(Kind::Ed25519);
    let refused = world.run(&[&rotate(&app, &new)[..], &["--owner", other.path()]].concat(), "");
    assert_eq!(refused.code, 1, "{refused:?}");
    let error = &refused.json()["error"];
    assert_eq!((&error["works"], &error["kept"]), (&json!("unchanged"), &Value::Null), "{refused:?}");
    // The same command is refused again, so it is not proposed.
    assert!(!message(&refused).contains("To go on"), "{refused:?}");
    assert!(world.works(app.path()) && !is_there(&format!("{new}.unfinished")));
    let result = complete(&world, &app, &new, world.run(&args, ""));
    assert_ne!(result["session_id"], result["old_session_id"]);
    assert_eq!(file(&new)["app_id"], app.user_id.to_string());
    assert!(!sessions().contains(&app.session_id.to_string()));
    // The owner's own session is unchanged.
    assert!(world.works(owner.path()));
}

#[test]
fn an_authorization_of_the_owner_rotates_and_registers_an_app() {
    let world = world();
    let owner = world.user(Kind::Ed25519);
    let oauth = world.authorization(&owner, &["PROFILE:READ", "APPS:READ", "APPS:WRITE"]);
    for (is_lost, name) in [(false, "kept.json"), (true, "lost.json")] {
        let (app, new) = (world.app_of(&owner), world.path(name));
        let args = [&rotate(&app, &new)[..], &["--owner", &oauth]].concat();
        if is_lost {
            let path: &'static str = format!("POST /safe/apps/{}/session", app.user_id).leak();
            let stopped = world.run_at(&cut_at(&world, path).url(), &args, "");
            assert_eq!((stopped.code, &stopped.json()["error"]["works"]), (3, &json!("unknown")), "{stopped:?}");
            assert!(!world.works(app.path()));
            age(&format!("{new}.unfinished"));
        }
        let result = complete(&world, &app, &new, world.run(&args, ""));
        assert_ne!(result["session_id"], result["old_session_id"]);
    }
    let (app, key) = (world.app_of(&owner), world.path("spend.key"));
    let id = app.user_id.to_string();
    let register = ["app", "register", "--owner", &oauth, "--app-id", &id, "--spend-key", &key];
    assert_eq!(world.run(&register, "").done().json()["already"], false);
    assert_eq!(world.run(&register, "").done().json()["already"], true);
}

#[test]
fn secrets_of_the_old_keystore_go_along_or_are_named() {
    let world = world();
    let (key, seed) = TipKey::generate(&mut SystemRng::new().unwrap());
    let seed = encode_string(seed.as_ref());
    let more = format!(r#" "spend_private_key": "{seed}", "client_secret": "c0ffee","#);
    let old = world.member(Kind::Rsa2048, None, Credential::Tip(&key), &more);
    let new = world.path("new.json");
    let done = world.run(&[&upgrade(&old, &new)[..], &["--by", "session-secret"]].concat(), "").done();
    let result = done.json();
    assert_eq!((&result["left_out"], &result["pin_verified"]), (&json!(["client_secret"]), &json!(true)), "{result}");
    assert_eq!(file(&new)["spend_private_key"], json!(seed));
    assert_eq!(world.run(&["verify", "--tip", "--keystore", &new], "").code, 0);
    let secret = file(&new)["session_private_key"].as_str().unwrap().to_owned();
    for secret in [&seed, &secret, "c0ffee"] {
        assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret));
    }
}

#[test]
fn a_wrong_pin_changes_nothing_and_the_next_run_has_the_same_key() {
    let world = world();
    let (old, new) = (world.user(Kind::Rsa1024), world.path("new.json"));
    let unfinished = format!("{new}.unfinished");
    let refused = world.run(&upgrade(&old, &new), WRONG);
    assert_eq!((refused.code, refused.kind().as_str()), (1, "refused"), "{refused:?}");
    let error = &refused.json()["error"];
    assert_eq!((&error["works"], &error["kept"]), (&json!("old"), &json!(unfinished)), "{error}");
    assert!(message(&refused).contains(&format!("{} works, and {unfinished} does not", old.path())), "{refused:?}");
    assert!(world.works(old.path()) && !is_there(&new));
    assert_private(&unfinished);
    let key = file(&unfinished)["session_private_key"].clone();
    complete(&world, &old, &new, world.run(&upgrade(&old, &new), PIN));
    assert_eq!(file(&new)["session_private_key"], key);
}

#[test]
fn nothing_is_left_if_nothing_was_sent() {
    let world = world();
    let (old, new) = (world.user(Kind::Rsa1024), world.path("new.json"));
    // No server listens there.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failed = world.run_at(&format!("http://{closed}"), &upgrade(&old, &new), PIN);
    assert_eq!((failed.code, failed.kind().as_str()), (4, "network"), "{failed:?}");
    let error = &failed.json()["error"];
    assert_eq!((&error["works"], &error["kept"]), (&json!("unchanged"), &Value::Null), "{error}");
    // Without a PIN no key is made.
    assert_eq!(world.run(&upgrade(&old, &new), "").code, 2);
    assert!(!is_there(&new) && !is_there(&format!("{new}.unfinished")));
}

#[test]
fn other_files_are_not_touched() {
    let world = world();
    let (old, other) = (world.user(Kind::Rsa1024), world.user(Kind::Ed25519));
    let new = world.path("new.json");
    let unfinished = format!("{new}.unfinished");
    // No file name, a name that may be a key, and a folder that is not there.
    for out in ["-", &encode_string(&[0x9d; 32]), &world.path("gone/new.json")] {
        assert_eq!(world.run(&upgrade(&old, out), PIN).code, 2, "{out}");
        assert_eq!(world.run(&rotate(&other, out), "").code, 2, "{out}");
    }
    assert!(world.works(other.path()));
    // The keystore of another user, the old keystore itself, and no keystore.
    let text_file = world.path("text.json");
    private(Path::new(&text_file), "text");
    for out in [other.path(), old.path(), &text_file] {
        let before = fs::read(out).unwrap();
        let refused = world.run(&upgrade(&old, out), PIN);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert_eq!(fs::read(out).unwrap(), before);
    }
    // The unfinished file of another user, and of another change.
    let proxy = cut_at(&world, "POST /session/secret");
    assert_eq!(world.run_at(&proxy.url(), &rotate(&other, &new), "").code, 3);
    let before = fs::read(&unfinished).unwrap();
    let refused = world.run(&upgrade(&old, &new), PIN);
    assert!(
        message(&refused).contains(&format!("an unfinished session rotate of user {}", other.user_id)),
        "{refused:?}"
    );
    let by_owner = world.run(&[&rotate(&other, &new)[..], &["--owner", old.path()]].concat(), "");
    assert_eq!((refused.code, by_owner.code, fs::read(&unfinished).unwrap()), (2, 2, before));
    // Only --owner differs.
    assert!(message(&by_owner).contains(&format!("of user {}, without --owner", other.user_id)), "{by_owner:?}");
    // It is no keystore.
    let used = world.run(&["me", "--keystore", &unfinished], "");
    assert!(used.code == 2 && message(&used).contains("the file is not a keystore yet"), "{used:?}");
    private(Path::new(&unfinished), "{}");
    assert_eq!(world.run(&upgrade(&old, &new), PIN).code, 2);
    assert!(world.works(old.path()));
    for oauth in ["keystore-oauth.json", "keystore-remote-signer.json"] {
        let path = common::keystore(world.folder.path(), oauth);
        let refused = world.run(&["session", "rotate", "--keystore", text(&path), "--out", &world.path("y.json")], "");
        assert_eq!((refused.code, refused.kind().as_str()), (2, "keystore"), "{refused:?}");
    }
}

#[test]
fn a_lost_answer_is_settled_and_the_same_command_goes_on() {
    let world = world();
    let (old, new) = (world.user(Kind::Rsa2048), world.path("new.json"));
    let unfinished = format!("{new}.unfinished");
    let resolve = |more: &[&str]| world.run(&[&["resolve", "--keystore", old.path()], more].concat(), "");
    let stopped = world.run_at(&cut_at(&world, "POST /legacy/users").url(), &upgrade(&old, &new), PIN);
    assert_eq!((stopped.code, stopped.kind().as_str()), (3, "unknown"), "{stopped:?}");
    let error = &stopped.json()["error"];
    assert_eq!((&error["works"], &error["kept"]), (&json!("unknown"), &json!(unfinished)), "{error}");
    assert!(error["next_command"].as_str().unwrap().starts_with("mixin-pin session upgrade --keystore "), "{error}");
    let kept = fs::read_to_string(&unfinished).unwrap();

    // Without the new key, only the old one can be asked for.
    let alone = resolve(&[]);
    let session = &alone.json()["session"];
    assert_eq!((alone.code, &session["verdict"]), (3, &json!("old-refused")), "{alone:?}");
    assert!(session["next_command"].as_str().unwrap().ends_with(" --new-keystore NEW"), "{session}");
    // Either name will do. It changes nothing but the journal.
    for name in [&new, &unfinished] {
        let settled = resolve(&["--new-keystore", name]).done().json();
        let session = &settled["session"];
        assert_eq!((&session["verdict"], &session["works"]), (&json!("new"), &json!(unfinished)), "{settled}");
        assert_eq!((&session["is_unfinished"], &session["still_pending"]), (&json!(true), &json!([])), "{settled}");
    }
    complete(&world, &old, &new, world.run(&upgrade(&old, &new), PIN));
    assert_eq!(world.done(old.session_id, "/legacy/users"), 1);
    let settled = resolve(&["--new-keystore", &new]).done().json();
    assert_eq!(settled["session"]["works"], json!(new), "{settled}");

    // Killed before the file was removed.
    private(Path::new(&unfinished), &kept);
    let result = complete(&world, &old, &new, world.run(&upgrade(&old, &new), PIN));
    assert_eq!((&result["already"], &result["session"]), (&json!(true), &json!("upgraded")));
}

#[test]
fn a_lost_answer_with_another_session_id_is_asked_for_again() {
    let world = World::start(Config { upgrade_changes_session: true, ..Config::default() });
    let (old, new) = (world.user(Kind::Rsa1024), world.path("new.json"));
    let stopped = world.run_at(&cut_at(&world, "POST /legacy/users").url(), &upgrade(&old, &new), PIN);
    assert_eq!(stopped.code, 3, "{stopped:?}");
    let neither = world.run(&["resolve", "--keystore", old.path(), "--new-keystore", &new], "");
    let session = &neither.json()["session"];
    assert_eq!((neither.code, &session["verdict"], &session["works"]), (3, &json!("neither"), &Value::Null));
    let result = complete(&world, &old, &new, world.run(&upgrade(&old, &new), PIN));
    assert_ne!(result["session_id"], result["old_session_id"]);
}

/// A proxy that closes the connection of the first request of this kind, and delivers it later.
fn late(world: &World, head: &'static str, delay: Duration) -> FaultProxy {
    let is_held = AtomicBool::new(false);
    world.proxy(move |seen| {
        let is_first = seen.starts_with(head) && !is_held.swap(true, Ordering::SeqCst);
        if is_first { Fault::Late(delay) } else { Fault::None }
    })
}

/// Makes a file as old as a token that has expired.
fn age(path: &str) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(70)).unwrap();
}

fn path_of(app: &Member) -> (String, &'static str) {
    let path = format!("/safe/apps/{}/session", app.user_id);
    let head = format!("POST {path}").leak();
    (path, head)
}

/// The owner signs, so another session would not stop the first request.
#[test]
fn nothing_is_sent_while_an_owners_request_may_arrive() {
    const LATE: Duration = Duration::from_secs(5);
    let world = world();
    let owner = world.user(Kind::Ed25519);
    for is_old_refused in [false, true] {
        let (app, new) = (world.app_of(&owner), world.path(&format!("late-{is_old_refused}.json")));
        let (path, head) = path_of(&app);
        let (other, running) = (world.path("other.json"), world.path("running.json"));
        let mut args = [&rotate_app(&app, &new, owner.path())[..], &["--timeout", "5"]].concat();
        if is_old_refused {
            world.run(&rotate_app(&app, &running, owner.path()), "").done();
            args.push("--old-refused");
        }
        let before = world.done(owner.session_id, &path);
        let begun = Instant::now();
        let proxy = late(&world, head, LATE);
        let first = world.run_at(&proxy.url(), &args, "");
        let works = if is_old_refused { "neither" } else { "old-so-far" };
        let mut runs = vec![first, world.run(&args, "")];
        if !is_old_refused {
            runs.push(world.run(&rotate_app(&app, &other, owner.path()), ""));
        }
        assert!(begun.elapsed() < LATE, "this machine is too slow for the test");
        for (place, run) in runs.iter().enumerate() {
            let error = &run.json()["error"];
            assert_eq!((run.code, run.kind().as_str()), (3, "unknown"), "{run:?}");
            assert!((1..=15).contains(&error["retry_after"].as_u64().unwrap()), "{run:?}");
            assert_eq!(error["works"], if place == 2 { "unchanged" } else { works }, "{run:?}");
        }
        assert!(!is_there(&format!("{other}.unfinished")));
        assert_eq!(world.done(owner.session_id, &path), before);
        assert_eq!(world.pending(), [&*path]);
        thread::sleep(LATE.saturating_sub(begun.elapsed()) + Duration::from_millis(500));
        complete(&world, &app, &new, world.run(&args, ""));
        assert_eq!(world.done(owner.session_id, &path), before + 1);
        if is_old_refused {
            assert!(!world.works(&running));
        }
    }
}

#[test]
fn a_request_that_never_arrived_is_made_again_after_its_time() {
    let world = world();
    let owner = world.user(Kind::Ed25519);
    let (app, new) = (world.app_of(&owner), world.path("new.json"));
    let (path, head) = path_of(&app);
    let args = [&rotate(&app, &new)[..], &["--owner", owner.path(), "--timeout", "1"]].concat();
    let proxy = world.proxy(move |seen| if seen.starts_with(head) { Fault::ResetBefore } else { Fault::None });
    let lost = world.run_at(&proxy.url(), &args, "");
    let wait = lost.json()["error"]["retry_after"].as_u64().unwrap();
    assert!(lost.code == 3 && wait <= 7, "{lost:?}");
    thread::sleep(Duration::from_secs(wait));
    complete(&world, &app, &new, world.run(&args, ""));
    assert_eq!(world.done(owner.session_id, &path), 1);
}

/// No journal lists what an authorization sent.
#[test]
fn without_a_journal_the_next_run_waits() {
    let world = world();
    let owner = world.user(Kind::Ed25519);
    let oauth = world.authorization(&owner, &["PROFILE:READ", "APPS:READ", "APPS:WRITE"]);
    let (app, new) = (world.app_of(&owner), world.path("new.json"));
    let (path, head) = path_of(&app);
    let args = [&rotate(&app, &new)[..], &["--owner", &oauth, "--timeout", "1"]].concat();
    let lost = world.run_at(&late(&world, head, Duration::from_secs(8)).url(), &args, "");
    assert!(lost.code == 3 && lost.json()["error"]["retry_after"].as_u64().unwrap() > 50, "{lost:?}");
    let mut child = world.spawn(&world.sandbox.url(), &args, "");
    thread::sleep(Duration::from_secs(2));
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
    let sent = || world.seen.lock().unwrap().iter().filter(|call| call.path == path && call.is_done()).count();
    assert_eq!(sent(), 0);
    assert!(world.works(app.path()));
    // The first request has expired.
    age(&format!("{new}.unfinished"));
    complete(&world, &app, &new, world.run(&args, ""));
    assert_eq!(sent(), 1);
}

#[test]
fn nothing_is_sent_with_an_old_keystore_that_is_refused() {
    let world = world();
    let owner = world.user(Kind::Ed25519);
    let (user, app, rsa) = (world.user(Kind::Ed25519), world.app_of(&owner), world.user(Kind::Rsa1024));
    let (first, second) = (|name| world.path(&format!("{name}-1.json")), |name| world.path(&format!("{name}-2.json")));
    let words = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    for name in ["user", "app", "rsa"] {
        let command = |out: &str| match name {
            "user" => words(rotate(&user, out)),
            "app" => words(rotate_app(&app, out, owner.path())),
            _ => words(upgrade(&rsa, out)),
        };
        let run = |out: &str| world.run(&command(out).iter().map(String::as_str).collect::<Vec<_>>(), PIN);
        run(&first(name)).done();
        let seen = || world.seen.lock().unwrap().iter().filter(|call| call.method == "POST").count();
        let before = seen();
        let refused = run(&second(name));
        assert_eq!((refused.code, refused.kind().as_str()), (1, "keystore"), "{refused:?}");
        assert!(message(&refused).contains("look for the keystore of that change"), "{refused:?}");
        assert_eq!(message(&refused).contains("--old-refused"), name == "app", "{refused:?}");
        assert_eq!(seen(), before);
        assert!(!is_there(&format!("{}.unfinished", second(name))) && world.works(&first(name)));
    }
    // The owner decides.
    let (first, second) = (first("app"), second("app"));
    let args = [&rotate_app(&app, &second, owner.path())[..], &["--old-refused"]].concat();
    world.run(&args, "").done();
    assert!(world.works(&second) && !world.works(&first));
    // The first keystore is refused, too, and is in nobody's way.
    let refused = world.run(&rotate_app(&app, &first, owner.path()), "");
    assert_eq!((refused.code, &refused.json()["error"]["works"]), (1, &json!("neither")), "{refused:?}");
    let said = message(&refused);
    assert!(said.contains("look for the keystore of that change") && !said.contains("To go on"), "{refused:?}");
    // Without an owner there is nothing to decide.
    let refused = world.run(&[&rotate(&user, &world.path("x.json"))[..], &["--old-refused"]].concat(), "");
    assert_eq!((refused.code, refused.kind().as_str()), (2, "usage"), "{refused:?}");
}

#[test]
fn a_user_without_six_digits_is_told_before_anything_is_sent() {
    let world = world();
    let (key, _) = TipKey::generate(&mut SystemRng::new().unwrap());
    let new = world.path("new.json");
    for (credential, text) in
        [(Credential::Tip(&key), "the PIN is a TIP key"), (Credential::None, "the user has no PIN")]
    {
        let old = world.member(Kind::Rsa2048, None, credential, "");
        // It is not even asked for.
        let refused = world.run(&["session", "upgrade", "--keystore", old.path(), "--out", &new], "");
        assert_eq!((refused.code, refused.kind().as_str()), (2, "input"), "{refused:?}");
        let said = message(&refused);
        assert!(said.contains(text) && said.contains("--by session-secret"), "{refused:?}");
        assert!(!is_there(&format!("{new}.unfinished")) && world.works(old.path()));
    }
}

#[test]
fn resolve_takes_no_keystore_of_another_user_or_session() {
    let world = world();
    let (old, other, owner) = (world.user(Kind::Ed25519), world.user(Kind::Ed25519), world.user(Kind::Ed25519));
    let stranger = world.app_of(&owner);
    let resolve =
        |old: &Member, new: &str| world.run(&["resolve", "--keystore", old.path(), "--new-keystore", new], "");
    for new in [other.path(), stranger.path()] {
        let refused = resolve(&old, new);
        assert!(refused.code == 2 && message(&refused).contains("is of another user"), "{refused:?}");
    }
    // A run that was killed before it sent anything.
    let unfinished = |name: &str, id: &str, user: &Member, session: &str| {
        let path = world.path(name);
        let text = json!({
            "unfinished": "session rotate",
            id: user.user_id.to_string(),
            "session_id": session,
            "session_private_key": encode_string(&[7; 32]),
        });
        private(Path::new(&path), &text.to_string());
        path
    };
    let of_other = unfinished("of-other.json", "user_id", &other, &other.session_id.to_string());
    let of_session = unfinished("of-session.json", "user_id", &old, &other.session_id.to_string());
    let of_app = unfinished("of-app.json", "app_id", &stranger, &stranger.session_id.to_string());
    let own = unfinished("own.json", "user_id", &old, &old.session_id.to_string());
    for (new, text) in [
        (&of_other, "is of another user"),
        (&of_app, "is of another user"),
        (&of_session, "a change of another session of the user"),
    ] {
        let refused = resolve(&old, new);
        assert!(refused.code == 2 && message(&refused).contains(text), "{refused:?}");
    }
    // The journal lists nothing, so nothing may arrive.
    let settled = resolve(&old, &own).done();
    assert_eq!(settled.json()["session"]["verdict"], "old");
    // The app's keystore in place of the owner's.
    let by_app = resolve(&stranger, &of_app);
    assert_eq!((by_app.code, &by_app.json()["session"]["verdict"]), (3, &json!("old-so-far")), "{by_app:?}");
    assert_eq!(resolve(&owner, &of_app).code, 3);
}

/// The old keystore is an unlocked copy of the one with which the change began.
#[test]
fn a_key_that_was_locked_stays_locked() {
    let world = world();
    let (old, new) = (world.user(Kind::Ed25519), world.path("new.json"));
    let passphrase = world.path("passphrase");
    private(Path::new(&passphrase), "a passphrase\n");
    let run = |args: &[&str]| {
        finished(command().env("MIXIN_PASSPHRASE_FILE", &passphrase).args(args).arg("--json").output().unwrap())
    };
    let store = format!("sqlite:{}", world.path("store.db"));
    let run_at = |api: &str, args: &[&str]| run(&[args, &["--api", api, "--store", &store]].concat());
    let (proxy, url) = (cut_at(&world, "POST /session/secret"), world.sandbox.url());
    run(&["keystore", "lock", old.path()]).done();
    assert_eq!(run_at(&proxy.url(), &rotate(&old, &new)).code, 3);
    run(&["keystore", "unlock", old.path()]).done();
    run_at(&url, &rotate(&old, &new)).done();
    assert!(fs::read_to_string(&new).unwrap().starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
    run_at(&url, &["me", "--keystore", &new]).done();
}

#[test]
fn runs_at_the_same_time_do_not_harm_each_other() {
    let world = world();
    let owner = world.user(Kind::Ed25519);
    for number in 0..4 {
        let members = [world.user(Kind::Rsa1024), world.user(Kind::Ed25519), world.app_of(&owner)];
        for (place, old) in members.iter().enumerate() {
            let new = world.path(&format!("new-{number}-{place}.json"));
            let args = match place {
                0 => upgrade(old, &new),
                1 => rotate(old, &new),
                _ => [&rotate(old, &new)[..], &["--owner", owner.path()]].concat(),
            };
            let children: Vec<_> = (0..3).map(|_| world.spawn(&world.sandbox.url(), &args, PIN)).collect();
            for child in children {
                let run = finished(child.wait_with_output().unwrap());
                assert!(run.code == 0 || run.kind() == "busy", "{run:?}");
            }
            complete(&world, old, &new, world.run(&args, PIN));
        }
    }
}

#[test]
fn a_locked_keystore_leads_to_locked_files_only() {
    let world = world();
    let (old, new) = (world.user(Kind::Ed25519), world.path("new.json"));
    let passphrase = world.path("passphrase");
    private(Path::new(&passphrase), "seven small stones\n");
    let with = |api: &str, args: &[&str]| {
        let store = format!("sqlite:{}", world.path("store.db"));
        let mut command = command();
        command.args(args).args(["--json", "--api", api, "--store", &store]).env("MIXIN_PASSPHRASE_FILE", &passphrase);
        finished(command.output().unwrap())
    };
    let lock = command().args(["keystore", "lock", old.path()]).env("MIXIN_PASSPHRASE_FILE", &passphrase).output();
    finished(lock.unwrap()).done();
    let is_locked = |path: &str| fs::read_to_string(path).unwrap().starts_with("-----BEGIN AGE ENCRYPTED FILE-----");
    let stopped = with(&cut_at(&world, "POST /session/secret").url(), &rotate(&old, &new));
    assert_eq!(stopped.code, 3, "{stopped:?}");
    assert!(is_locked(&format!("{new}.unfinished")));
    with(&world.sandbox.url(), &rotate(&old, &new)).done();
    assert!(is_locked(&new));
    with(&world.sandbox.url(), &["me", "--keystore", &new]).done();
    let resolved = with(&world.sandbox.url(), &["resolve", "--keystore", old.path(), "--new-keystore", &new]);
    assert_eq!(resolved.done().json()["session"]["works"], json!(new));
}

#[test]
fn an_upgrade_goes_on_to_a_tip_key_with_the_network_cut_twice() {
    let world = world();
    let (old, new, key) = (world.user(Kind::Rsa1024), world.path("new.json"), world.path("spend.key"));
    let args = [&upgrade(&old, &new)[..], &["--tip-key", &key]].concat();
    let stopped = world.run_at(&cut_at(&world, "POST /legacy/users").url(), &args, PIN);
    assert_eq!(stopped.code, 3, "{stopped:?}");
    assert!(!is_there(&key));
    let stopped = world.run_at(&cut_at(&world, "POST /pin/update").url(), &args, PIN);
    assert_eq!(stopped.code, 3, "{stopped:?}");
    assert!(world.works(&new) && is_there(&key));
    let result = world.run(&args, PIN).done().json();
    assert_eq!((&result["already"], &result["tip"]["verified"]), (&json!(true), &json!(true)), "{result}");
    let text = fs::read_to_string(&key).unwrap();
    assert_eq!(world.run(&["verify", "--spend-key-stdin", "--keystore", &new], &text).code, 0);
    for path in ["/legacy/users", "/pin/update"] {
        assert_eq!(world.done(old.session_id, path), 1, "{path}");
    }
    assert_eq!(world.pending(), [""; 0]);
    world.assert_no_pin_twice();
}

#[test]
fn an_app_is_registered_once_and_with_one_key() {
    let world = world();
    let owner = world.user(Kind::Rsa2048);
    for is_lost in [false, true] {
        let app = world.app_of(&owner);
        let (id, key, other) =
            (app.user_id.to_string(), world.path(&format!("{is_lost}.key")), world.path("other.key"));
        let register = |key| ["app", "register", "--owner", owner.path(), "--app-id", &*id, "--spend-key", key];
        if is_lost {
            let path: &'static str = format!("POST /safe/apps/{id}/register").leak();
            let stopped = world.run_at(&cut_at(&world, path).url(), &register(&key), "");
            assert_eq!((stopped.code, stopped.kind().as_str()), (3, "unknown"), "{stopped:?}");
            assert!(message(&stopped).contains("whether the app is registered is not known"), "{stopped:?}");
        }
        let done = world.run(&register(&key), "").done().json();
        assert_eq!((&done["registered"], &done["already"]), (&json!(true), &json!(is_lost)), "{done}");
        let again = world.run(&register(&key), "").done().json();
        assert_eq!((&again["already"], &again["public_key"]), (&json!(true), &done["public_key"]));
        let refused = world.run(&register(&other), "");
        assert_eq!(refused.code, 1, "{refused:?}");
        assert_eq!(world.done(owner.session_id, &format!("/safe/apps/{id}/register")), 1);
        assert_private(&key);
        // The spend key is the app's TIP key, too.
        let text = fs::read_to_string(&key).unwrap();
        assert_eq!(world.run(&["verify", "--spend-key-stdin", "--keystore", app.path()], &text).code, 0);
    }
    assert_eq!(world.pending(), [""; 0]);
}

#[test]
fn a_tip_key_is_replaced_and_its_file_marked() {
    let world = world();
    let (old, seed) = TipKey::generate(&mut SystemRng::new().unwrap());
    let seed = encode_string(seed.as_ref());
    let more = format!(r#" "spend_private_key": "{seed}","#);
    let user = world.member(Kind::Ed25519, None, Credential::Tip(&old), &more);
    let [first, second, third] = ["first", "second", "third"].map(|name| world.path(&format!("{name}.key")));
    let change = |more: &[&str]| world.run(&[&["tip", "change", "--keystore", user.path()], more].concat(), "");
    // The keystore's spend key is the old one, and stays there.
    let done = change(&["--new-key", &first]);
    assert_eq!(done.json()["keystore_holds_old_key"], true, "{done:?}");
    assert!(done.code == 0 && done.stderr.contains("still has another spend key, which --tip uses"), "{done:?}");
    // Now it fits no more.
    let refused = change(&["--new-key", &second]);
    assert!(refused.code == 2 && message(&refused).contains("give the old key with --old-key"), "{refused:?}");
    let wrong = world.path("wrong.key");
    private(Path::new(&wrong), &seed);
    assert_eq!(change(&["--new-key", &second, "--old-key", &wrong]).code, 2);
    assert_eq!(change(&["--new-key", &first, "--old-key", &first]).code, 2);
    assert!(!is_there(&second) && is_there(&wrong) && is_there(&first));

    let done = change(&["--new-key", &second, "--old-key", &first]).done().json();
    assert_eq!(done["replaced"], json!(format!("{first}.replaced")), "{done}");
    assert!(!is_there(&first));
    // Again: nothing is left to do.
    let again = change(&["--new-key", &second, "--old-key", &first]).done().json();
    assert_eq!((&again["pin"], &again["replaced"]), (&json!("unchanged"), &done["replaced"]));
    // Another file has the name: both stay.
    private(Path::new(&format!("{second}.replaced")), "mine");
    let kept = change(&["--new-key", &third, "--old-key", &second]);
    assert!(kept.code == 0 && kept.stderr.contains("keeps its name"), "{kept:?}");
    assert!(is_there(&second) && fs::read_to_string(format!("{second}.replaced")).unwrap() == "mine");

    let digits = world.user(Kind::Rsa1024);
    let refused =
        world.run(&["tip", "change", "--keystore", digits.path(), "--new-key", &wrong, "--old-key", &third], "");
    assert!(refused.code == 2 && message(&refused).contains("leave out --old-key"), "{refused:?}");
    let refused = world.run(&["tip", "change", "--keystore", digits.path(), "--new-key", &wrong, "--pin-stdin"], WRONG);
    assert_eq!((refused.code, &refused.json()["error"]["works"]), (1, &json!("unchanged")), "{refused:?}");
    world.assert_no_pin_twice();
}

/// A server before the sandbox that changes what the answers to this kind of request say, or answers them itself.
fn edited(world: &World, head: &'static str, is_forwarded: bool, edit: impl Fn(&mut Value) + Send + 'static) -> String {
    let (listener, sandbox) = (TcpListener::bind("127.0.0.1:0").unwrap(), world.sandbox.address());
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let (request, first) = read_message(&mut client, "");
            if first.starts_with(head) && !is_forwarded {
                let mut data = json!({});
                edit(&mut data);
                client.write_all(answer_to(request, &data).as_bytes()).unwrap();
                continue;
            }
            let mut server = TcpStream::connect(sandbox).unwrap();
            server.write_all(&request).unwrap();
            let (answer, status) = read_message(&mut server, "\r\nConnection: close");
            let mut answer = String::from_utf8(answer).unwrap();
            if first.starts_with(head) && status.contains(" 200 ") {
                let (before, body) = answer.split_once("\r\n\r\n").unwrap();
                let mut said: Value = serde_json::from_str(body).unwrap();
                edit(&mut said["data"]);
                let (before, body) = (before.to_owned(), said.to_string());
                let lines = before.split("\r\n").filter(|line| !line.to_lowercase().starts_with("content-length"));
                let before = lines.collect::<Vec<_>>().join("\r\n");
                answer = format!("{before}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            }
            // The command may have given up.
            let _ = client.write_all(answer.as_bytes());
        }
    });
    url
}

/// A request or an answer, with a further header, and its first line.
fn read_message(stream: &mut TcpStream, header: &str) -> (Vec<u8>, String) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let first = head.lines().next().unwrap_or_default().to_owned();
    ([format!("{}{header}\r\n\r\n", head.trim_end()).as_bytes(), &body].concat(), first)
}

/// An answer of a server.
fn answer_to(request: Vec<u8>, data: &Value) -> String {
    let (request, body) = (String::from_utf8(request).unwrap(), json!({"data": data}).to_string());
    let id = request.lines().find(|line| line.to_lowercase().starts_with("x-request-id")).unwrap();
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{id}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

/// The file of an unfinished rotation of a user with this key.
fn write_unfinished(path: &str, old: &Member, key: &str) {
    let text = json!({
        "unfinished": "session rotate",
        "user_id": old.user_id.to_string(),
        "session_id": old.session_id.to_string(),
        "session_private_key": key,
    });
    private(Path::new(path), &text.to_string());
}

#[test]
fn a_file_with_another_key_is_never_removed() {
    let world = world();
    let (old, new) = (world.user(Kind::Ed25519), world.path("new.json"));
    let unfinished = format!("{new}.unfinished");
    world.run(&rotate(&old, &new), "").done();
    write_unfinished(&unfinished, &old, &encode_string(&[7; 32]));
    let before = fs::read(&unfinished).unwrap();
    let stopped = world.run(&rotate(&old, &new), "");
    assert!(stopped.code == 2 && message(&stopped).contains("may be the only copy"), "{stopped:?}");
    assert_eq!(fs::read(&unfinished).unwrap(), before);
    // It is not known whose the file is.
    for text in [r#"{"session_private_key": "07"}"#.to_owned(), {
        let other = world.user(Kind::Ed25519);
        write_unfinished(&unfinished, &other, file(&new)["session_private_key"].as_str().unwrap());
        fs::read_to_string(&unfinished).unwrap()
    }] {
        private(Path::new(&unfinished), &text);
        let done = world.run(&rotate(&old, &new), "").done();
        assert!(done.stderr.contains(&format!("{unfinished} stays")), "{done:?}");
        assert_eq!(fs::read_to_string(&unfinished).unwrap(), text);
    }
}

#[test]
fn a_keystore_of_another_session_is_not_taken_for_the_new_one() {
    let world = world();
    let old = world.user(Kind::Ed25519);
    let (other, new) = (world.user(Kind::Ed25519), world.path("new.json"));
    let text = fs::read_to_string(other.path()).unwrap();
    let id = old.user_id.to_string();
    private(Path::new(&new), &text.replace(&other.user_id.to_string(), &id));
    // To this server both are sessions of the user, which the sandbox does not have.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (api, data) = (format!("http://{}", listener.local_addr().unwrap()), json!({"user_id": id}));
    let server = thread::spawn(move || {
        for client in listener.incoming().take(2) {
            let mut client = client.unwrap();
            let (request, first) = read_message(&mut client, "");
            assert!(first.starts_with("GET /me "));
            client.write_all(answer_to(request, &data).as_bytes()).unwrap();
        }
    });
    let refused = world.run_at(&api, &rotate(&old, &new), "");
    assert!(refused.code == 2 && message(&refused).contains("exists and is not replaced"), "{refused:?}");
    server.join().unwrap();
}

#[test]
fn a_keystore_that_would_not_work_is_not_written() {
    let world = world();
    let (old, new) = (world.user(Kind::Ed25519), world.path("new.json"));
    let unfinished = format!("{new}.unfinished");
    // The answer names another session than the server has: the command asks once more.
    let api = edited(&world, "POST /session/secret", true, |new| {
        new["session_id"] = json!("00000000-0000-4000-8000-000000000009");
    });
    complete(&world, &old, &new, world.run_at(&api, &rotate(&old, &new), ""));
    assert_eq!(file(&new)["session_id"], json!(old.session_id.to_string()));

    let (old, new) = (Member { keystore: new.into(), ..old }, world.path("weak.json"));
    let weak = format!("{new}.unfinished");
    assert!(!is_there(&unfinished));
    // A point of order 8 in Montgomery form.
    let point = "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc";
    let api = edited(&world, "POST /session/secret", true, move |new| {
        for name in ["server_public_key", "pin_token_base64", "pin_token"] {
            new.as_object_mut().unwrap().remove(name);
        }
        new["pin_token"] = json!(point);
    });
    let stopped = world.run_at(&api, &rotate(&old, &new), "");
    let error = &stopped.json()["error"];
    assert_eq!((stopped.code, &error["works"], &error["kept"]), (1, &json!("new"), &json!(weak)), "{stopped:?}");
    assert!(!is_there(&new) && is_there(&weak));
    complete(&world, &old, &new, world.run(&rotate(&old, &new), ""));

    // The answer is wrong: the server still accepts the old key alone.
    let (old, new) = (Member { keystore: new.into(), ..old }, world.path("refused.json"));
    let key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let api = edited(&world, "POST /session/secret", false, move |new| new["server_public_key"] = json!(key));
    let stopped = world.run_at(&api, &rotate(&old, &new), "");
    let error = &stopped.json()["error"];
    assert_eq!((stopped.code, &error["works"]), (3, &json!("old")), "{stopped:?}");
    assert!(!is_there(&new) && is_there(&format!("{new}.unfinished")) && world.works(old.path()));
    complete(&world, &old, &new, world.run(&rotate(&old, &new), ""));
}

#[test]
fn an_owner_does_not_end_a_session_of_another_change_unasked() {
    let world = world();
    let owner = world.user(Kind::Ed25519);
    let (app, new, other) = (world.app_of(&owner), world.path("new.json"), world.path("other.json"));
    // Another change comes just before the request.
    let quicker = {
        let words: Vec<_> = rotate_app(&app, &other, owner.path()).into_iter().map(str::to_owned).collect();
        let (api, store) = (world.sandbox.url(), format!("sqlite:{}", world.path("other.db")));
        move || finished(command().args(&words).args(["--api", &api, "--store", &store]).output().unwrap()).done()
    };
    let proxy = world.proxy(move |seen| {
        if seen.starts_with("GET /apps/") {
            quicker();
        }
        Fault::None
    });
    let (args, path) = (rotate_app(&app, &new, owner.path()), path_of(&app).0);
    let stopped = world.run_at(&proxy.url(), &args, "");
    let error = &stopped.json()["error"];
    assert_eq!((stopped.code, &error["works"], &error["kept"]), (1, &json!("unchanged"), &Value::Null), "{stopped:?}");
    assert!(message(&stopped).contains("the app has another session key"), "{stopped:?}");
    assert!(world.works(&other) && !is_there(&format!("{new}.unfinished")));
    assert_eq!(world.done(owner.session_id, &path), 1);
    // The owner decides.
    complete(&world, &app, &new, world.run(&[&args[..], &["--old-refused"]].concat(), ""));
    assert!(!world.works(&other));
}

#[test]
fn a_refused_upgrade_is_not_made_again() {
    let world = world();
    let (old, new) = (world.user(Kind::Rsa2048), world.path("new.json"));
    // The session gets another key just before.
    let other = world.path("other.json");
    let words: Vec<_> = [&upgrade(&old, &other)[..], &["--by", "session-secret"]].concat();
    let words: Vec<_> = words.into_iter().filter(|word| *word != "--pin-stdin").map(str::to_owned).collect();
    let (api, store) = (world.sandbox.url(), format!("sqlite:{}", world.path("other.db")));
    let proxy = world.proxy(move |seen| {
        if seen.starts_with("POST /legacy/users") && !is_there(&other) {
            finished(command().args(&words).args(["--api", &api, "--store", &store]).output().unwrap()).done();
        }
        Fault::None
    });
    let stopped = world.run_at(&proxy.url(), &upgrade(&old, &new), PIN);
    assert_eq!((stopped.code, &stopped.json()["error"]["works"]), (3, &json!("neither")), "{stopped:?}");
    let seen = world.seen.lock().unwrap();
    assert_eq!(seen.iter().filter(|call| call.path == "/legacy/users").count(), 1);
}

#[test]
fn an_unfinished_file_with_the_old_key_is_refused() {
    let world = world();
    let (old, new) = (world.user(Kind::Ed25519), world.path("new.json"));
    let key = file(old.path())["session_private_key"].as_str().unwrap().to_owned();
    write_unfinished(&format!("{new}.unfinished"), &old, &key);
    let refused = world.run(&rotate(&old, &new), "");
    assert!(refused.code == 2 && message(&refused).contains("is not the file of an unfinished change"), "{refused:?}");
    assert!(!is_there(&new));
}

#[cfg(unix)]
#[test]
fn an_unfinished_file_that_others_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let world = world();
    let (old, new) = (world.user(Kind::Ed25519), world.path("new.json"));
    let unfinished = format!("{new}.unfinished");
    write_unfinished(&unfinished, &old, &"07".repeat(32));
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o622)).unwrap();
    let refused = world.run(&rotate(&old, &new), "");
    assert!(refused.code == 2 && message(&refused).contains("another user may know its key"), "{refused:?}");
    assert!(world.works(old.path()) && world.done(old.session_id, "/session/secret") == 0);
    // The same file is used if it is this user's alone.
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(world.run(&rotate(&old, &new), "").code, 0);
}
