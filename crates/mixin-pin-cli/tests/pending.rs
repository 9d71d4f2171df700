//! Calls without an answer: `pending` lists them, `resolve` settles a change, `--settled` removes what the owner has checked.

mod common;

use std::fs;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{Run, SandboxProcess, command, keystore, run, text};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use serde_json::{Value, json};
use tempfile::TempDir;

const OLD: &str = "739146";
const NEW: &str = "408231";
const NOTHING: &str = "{\"pending\":[]}\n";
const SETTLED_BY: &str = "a tip change or session upgrade settles it if you run the same command again; after an update, \
                          with its --new-user, --tip or --old-tip, run: ";
/// No pending call has this id.
const OTHER_ID: &str = "6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e";
const DELETE: &str = "/addresses/6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e/delete";

/// A sandbox behind a proxy, a user, and a store.
struct Stage {
    sandbox: SandboxProcess,
    proxy: FaultProxy,
    fault: Arc<Mutex<Fault>>,
    /// How many requests were delayed.
    delayed: Arc<AtomicUsize>,
    keystore: String,
    store: String,
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = SandboxProcess::start(&["--record", text(&folder.path().join("record"))]);
        let fault = Arc::new(Mutex::new(Fault::None));
        let address = sandbox.url.strip_prefix("http://").unwrap().parse().unwrap();
        let (chosen, delayed) = (fault.clone(), Arc::new(AtomicUsize::new(0)));
        let counted = delayed.clone();
        let choose = move |head: &str| {
            // Only calls that change something are broken.
            let fault = if head.starts_with("POST ") { *chosen.lock().unwrap() } else { Fault::None };
            counted.fetch_add(usize::from(matches!(fault, Fault::DelayRequest(_))), Ordering::SeqCst);
            fault
        };
        let proxy = FaultProxy::start(address, choose).unwrap();
        let (keystore, store) = (sandbox.register("ed25519"), format!("sqlite:{}", sandbox.path("iterators.db")));
        Self { sandbox, proxy, fault, delayed, keystore, store, folder }
    }

    /// A stage whose user has a PIN.
    fn with_pin() -> Self {
        let stage = Self::new();
        stage.run(&["update", "--new-user", "--pin-stdin"], OLD).done();
        assert_eq!(stage.pending(), NOTHING);
        stage
    }

    fn breaks(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// The options that name the session, the API and the store.
    fn scene(&self) -> [String; 6] {
        let words = ["--keystore", &self.keystore, "--api", &self.proxy.url(), "--store", &self.store];
        words.map(str::to_owned)
    }

    /// Runs a command, with JSON output.
    fn run(&self, args: &[&str], stdin: &str) -> Run {
        self.run_as_text(&[args, &["--json"]].concat(), stdin)
    }

    fn run_as_text(&self, args: &[&str], stdin: &str) -> Run {
        let scene = self.scene();
        let scene: Vec<_> = scene.iter().map(String::as_str).collect();
        let run = run(&[args, &scene].concat(), stdin.as_bytes());
        for secret in [OLD, NEW] {
            assert!(!format!("{run:?}").contains(secret), "{args:?} shows a PIN: {run:?}");
        }
        run
    }

    /// The JSON of `pending`, as it is printed.
    fn pending(&self) -> String {
        let run = self.run(&["pending"], "").done();
        assert_eq!(run.stderr, "");
        run.stdout
    }

    fn only_entry(&self) -> Value {
        let listed: Value = serde_json::from_str(&self.pending()).unwrap();
        let entries = listed["pending"].as_array().unwrap();
        assert_eq!(entries.len(), 1, "{listed}");
        entries[0].clone()
    }

    /// The command line of `next` for the same session, API and store.
    fn next(&self, command: &str) -> String {
        format!("mixin-pin {command} {}", self.scene().join(" "))
    }

    /// Starts a change of the PIN whose answer is late, and waits until the sandbox has carried it out.
    fn start_change(&self) -> Child {
        let changes = self.changes();
        let child = self.spawn_change(Fault::DelayAnswer(Duration::from_secs(60)));
        wait_until(|| self.changes() > changes);
        child
    }

    fn spawn_change(&self, fault: Fault) -> Child {
        self.breaks(fault);
        let pins = self.sandbox.path("pins.txt");
        fs::write(&pins, format!("{OLD}\n{NEW}\n")).unwrap();
        let mut update = command();
        update.args(["update", "--json", "--pin-stdin"]).args(self.scene()).stdin(fs::File::open(&pins).unwrap());
        update.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// How many changes of a PIN the sandbox has carried out.
    fn changes(&self) -> usize {
        self.record().iter().filter(|seen| seen["path"] == "/pin/update" && seen["done"] == true).count()
    }

    fn record(&self) -> Vec<Value> {
        let record = fs::read_to_string(self.folder.path().join("record")).unwrap();
        record.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn wait_until(is_done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_done() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        thread::sleep(Duration::from_millis(20));
    }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

fn date(at: &Value) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at.as_i64().unwrap()).unwrap()
}

fn id_of(entry: &Value) -> &str {
    let id = entry["request_id"].as_str().unwrap();
    assert!(id.parse::<Uuid>().is_ok());
    id
}

/// The verdict of one check of `doctor`.
fn check(report: &Run, name: &str) -> Value {
    report.json()["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).unwrap().clone()
}

#[test]
fn a_change_whose_process_is_killed_is_listed_and_settled() {
    let stage = Stage::with_pin();
    let mut child = stage.start_change();

    // Under way.
    let entry = stage.only_entry();
    let id = id_of(&entry);
    assert_eq!(entry["next"], Value::Null);
    let people = stage.run_as_text(&["pending"], "").done().stdout;
    assert!(people.contains("under way: its caller may wait for the answer for at most "), "{people}");
    for args in [&["pending", "--settled", id][..], &["resolve"]] {
        let refused = stage.run(args, "");
        assert_eq!((refused.code, refused.kind().as_str()), (4, "busy"), "{refused:?}");
        assert!(refused.stdout.contains(id) && refused.stdout.contains("is under way, for at most "), "{refused:?}");
    }
    assert_eq!(check(&stage.run(&["doctor"], "").done(), "pending")["verdict"], "warn");

    child.kill().unwrap();
    child.wait().unwrap();
    let (sent_at, expires_at) = (entry["sent_at"].as_u64().unwrap(), entry["expires_at"].as_u64().unwrap());
    assert!(now() - sent_at < 60 && expires_at > sent_at && expires_at < sent_at + 600, "{entry}");
    let next = stage.next("resolve");
    let expected = json!({ "pending": [{
        "request_id": id, "method": "POST", "path": "/pin/update", "sent_at": sent_at, "expires_at": expires_at, "next": next
    }] });
    assert_eq!(stage.pending(), format!("{expected}\n"));
    let seen: Vec<_> = stage.record().into_iter().filter(|seen| seen["request_id"] == id).collect();
    assert_eq!(seen.len(), 1, "the request was sent once");

    // In words, and without a keystore.
    let people = stage.run_as_text(&["pending"], "").done().stdout;
    let lines: Vec<_> = people.lines().collect();
    assert_eq!(lines[0], "1 pending call");
    assert!(lines[2].starts_with(&format!("  {id}  POST /pin/update  sent 20")), "{people}");
    assert_eq!(lines[3], format!("    find out which PIN is set before you use or change it; {SETTLED_BY}{next}"));
    let all = run(&["pending", "--json", "--store", &stage.store], b"").done().json();
    assert_eq!((&all["pending"][0]["request_id"], &all["pending"][0]["next"]), (&json!(id), &Value::Null));
    assert_eq!(run(&["pending", "--store", &stage.store], b"").done().stdout.lines().nth(1), Some(lines[1]));

    // Other commands point to it.
    let doctor = stage.run(&["doctor"], "");
    let found = check(&doctor, "pending");
    assert_eq!((doctor.code, &found["verdict"]), (1, &json!("bad")));
    assert_eq!(found["text"], format!("1 pending call, with a change of the PIN; {SETTLED_BY}{next}"));
    let shown = run(&["store", "show", "--json", "--store", &stage.store], b"").done().json();
    assert_eq!(shown["sessions"][0]["pending"], 1);
    let shown_to_people = run(&["store", "show", "--store", &stage.store], b"").done().stdout;
    assert!(shown_to_people.ends_with("  1 pending call (mixin-pin pending)\n"), "{shown_to_people}");
    let session = shown["sessions"][0]["session_id"].as_str().unwrap();
    let reset = run(&["store", "reset", "--json", "--store", &stage.store, session], b"");
    assert_eq!((reset.code, reset.kind().as_str()), (2, "store"));
    assert!(reset.stdout.contains("settle it, then forget the session; mixin-pin pending lists them"), "{reset:?}");

    stage.breaks(Fault::None);
    let resolved = stage.run(&["resolve", "--pin-stdin"], &format!("{OLD}\n{NEW}\n")).done().json();
    assert_eq!((&resolved["verdict"], &resolved["tries_spent"]), (&json!("applied"), &json!(0)));
    assert_eq!(resolved["changes"][0]["request_id"], id);
    assert_eq!(stage.pending(), NOTHING);
    assert_eq!(stage.run_as_text(&["pending"], "").done().stdout, "0 pending calls\n");
    stage.run(&["verify", "--pin-stdin"], NEW).done();
    assert_eq!(check(&stage.run(&["doctor"], "").done(), "pending")["verdict"], "ok");
    run(&["store", "reset", "--store", &stage.store, session], b"").done();
}

#[test]
fn a_request_that_arrives_after_its_change_was_settled_changes_nothing() {
    let stage = Stage::with_pin();
    let before = stage.changes();
    let mut child = stage.spawn_change(Fault::DelayRequest(Duration::from_secs(3)));
    // The proxy has the whole request.
    wait_until(|| stage.delayed.load(Ordering::SeqCst) > 0);
    child.kill().unwrap();
    child.wait().unwrap();
    let id = id_of(&stage.only_entry()).to_owned();
    stage.breaks(Fault::None);
    let arrived = || stage.record().into_iter().find(|seen| seen["request_id"] == id);
    assert_eq!(arrived(), None);
    let resolved = stage.run(&["resolve", "--pin-stdin"], &format!("{OLD}\n{NEW}\n")).done().json();
    assert_eq!((&resolved["verdict"], &resolved["tries_spent"]), (&json!("not-applied"), &json!(1)));
    assert_eq!(arrived(), None, "it is still on its way");
    assert_eq!(stage.pending(), NOTHING);
    wait_until(|| arrived().is_some());
    assert_eq!((&arrived().unwrap()["done"], stage.changes()), (&json!(false), before));
    stage.run(&["verify", "--pin-stdin"], OLD).done();
}

#[cfg(target_os = "linux")]
#[test]
fn resolve_without_options_tells_what_was_under_way_and_asks_for_the_pins() {
    let stage = Stage::with_pin();
    let mut child = stage.start_change();
    child.kill().unwrap();
    child.wait().unwrap();
    stage.breaks(Fault::None);
    let (test, scene) = ("resolve_without_options_tells_what_was_under_way_and_asks_for_the_pins", stage.scene());
    let args = [&["resolve"][..], &scene.each_ref().map(String::as_str)].concat();
    let Some(mut terminal) = common::terminal::Terminal::run(test, &args) else { return };
    terminal.wait_for("pending change:");
    let told = terminal.wait_for("old PIN: ");
    assert!(told.contains(id_of(&stage.only_entry())) && told.contains("POST /pin/update  sent 20"), "{told}");
    terminal.types(&format!("{OLD}\n"));
    terminal.answer("new PIN: ", NEW);
    let (shown, code) = terminal.finish();
    assert!(code == 0 && shown.contains("the new PIN is set (tries spent: 0 at most)"), "{shown}");
    assert_eq!(stage.pending(), NOTHING);
}

#[test]
fn without_a_pending_change_resolve_asks_for_nothing() {
    let stage = Stage::with_pin();
    let nothing = stage.run(&["resolve"], "").done();
    let expected = json!({
        "verdict": "nothing-pending", "may_cost": 0, "tries_spent": 0, "user": null,
        "changes": [], "still_pending": [], "verifications": [], "to_check": [], "journal_error": null
    });
    assert_eq!((nothing.json(), nothing.stderr.as_str()), (expected.clone(), ""));
    // These bring the PINs, and do not describe a change.
    for more in ["--pin-stdin", "--spend-key-stdin"] {
        let sent = stage.record().len();
        let nothing = stage.run(&["resolve", more], &format!("{OLD}\n{NEW}\n")).done();
        assert_eq!((nothing.json(), stage.record().len()), (expected.clone(), sent), "{more}");
    }
    let people = stage.run_as_text(&["resolve"], "").done().stdout;
    assert!(people.starts_with("nothing to settle: the store lists no change of this session"), "{people}");
    // A store in memory lists nothing of other processes, so there the PINs are needed.
    let args = ["resolve", "--json", "--pin-stdin", "--keystore", &stage.keystore, "--store", "memory:"];
    assert_eq!(run(&args, b"").kind(), "input");
}

#[test]
fn an_installed_tip_key_is_verified_so_that_a_copy_of_the_change_comes_too_late() {
    let stage = Stage::new();
    stage.breaks(Fault::CloseAfter);
    let key = stage.sandbox.path("key");
    run(&["tip", "new-key", "--out", &key], b"").done();
    let key = fs::read_to_string(&key).unwrap();
    assert_eq!(stage.run(&["update", "--new-user", "--spend-key-stdin"], &key).code, 3);
    stage.only_entry();
    stage.breaks(Fault::None);
    let resolved = stage.run(&["resolve", "--new-user", "--spend-key-stdin"], &key).done();
    assert_eq!((&resolved.json()["verdict"], resolved.stderr.as_str()), (&json!("applied"), ""));
    assert_eq!((&resolved.json()["still_pending"], &resolved.json()["journal_error"]), (&json!([]), &Value::Null));
    assert_eq!(stage.record().last().unwrap()["path"], "/pin/verify");
    assert_eq!(stage.run(&["pending"], "").done().json()["pending"], json!([]));
}

#[test]
fn without_a_pin_neither_says_so_and_settles_nothing() {
    let stage = Stage::new();
    stage.breaks(Fault::ResetBefore);
    assert_eq!(stage.run(&["update", "--new-user", "--pin-stdin"], NEW).code, 3);
    let entry = stage.only_entry();
    stage.breaks(Fault::None);
    let neither = stage.run_as_text(&["resolve", "--pin-stdin"], &format!("{OLD}\n{NEW}\n"));
    let said = "\nneither: no PIN is set, neither the old one nor the new one; if the update was to create it, add \
                --new-user (tries spent: 0 at most)\nstill pending: a change\n  ";
    assert!(neither.code == 1 && neither.stdout.contains(said), "{neither:?}");
    assert!(neither.stdout.contains(&format!("until some seconds after {}; then, ", date(&entry["expires_at"]))));
    assert_eq!(stage.only_entry(), entry);
}

#[test]
fn if_neither_pin_is_set_the_change_stays_pending() {
    let stage = Stage::with_pin();
    stage.breaks(Fault::ResetBefore);
    assert_eq!(stage.run(&["update", "--pin-stdin"], &format!("{OLD}\n{NEW}\n")).code, 3);
    let entry = stage.only_entry();
    stage.breaks(Fault::None);
    let neither = stage.run(&["resolve", "--pin-stdin"], "271828\n161803\n");
    assert_eq!((neither.code, &neither.json()["verdict"]), (1, &json!("neither")), "{neither:?}");
    assert_eq!(neither.json()["still_pending"][0]["request_id"], entry["request_id"]);
    let neither = stage.run_as_text(&["resolve", "--pin-stdin"], "271828\n161803\n");
    let said =
        "\nneither: neither the old PIN nor the new one is set (tries spent: 2 at most)\nstill pending: a change\n  ";
    assert!(neither.stdout.contains(said), "{neither:?}");
    assert_eq!(stage.only_entry(), entry);
}

#[test]
fn an_unknown_outcome_names_its_request_and_where_it_is_listed() {
    let stage = Stage::with_pin();
    stage.breaks(Fault::CloseAfter);
    let lost = stage.run(&["update", "--pin-stdin"], &format!("{OLD}\n{NEW}\n"));
    let error = &lost.json()["error"];
    assert_eq!((lost.code, &error["kind"]), (3, &json!("unknown")));
    let entry = stage.only_entry();
    assert_eq!((&error["request_id"], &error["expires_at"]), (&entry["request_id"], &entry["expires_at"]));
    assert_eq!((&error["next_command"], &error["listed_by"]), (&entry["next"], &json!(stage.next("pending"))));
    assert_eq!(entry["next"], stage.next("resolve"));
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("request {} may have been carried out: ", id_of(&entry))), "{message}");
    assert!(message.ends_with(&format!("; mixin-pin pending lists it. Run: {}", stage.next("resolve"))), "{message}");

    // A store in memory lists nothing afterwards.
    let (store, api) = (["--store", "memory:", "--keystore"], stage.proxy.url());
    let update = ["update", "--json", "--pin-stdin", "--api", &api];
    let lost = run(&[&update[..], &store, &[&stage.keystore]].concat(), format!("{NEW}\n{OLD}\n").as_bytes());
    assert_eq!((lost.code, &lost.json()["error"]["listed_by"]), (3, &Value::Null), "{lost:?}");
    assert!(!lost.stdout.contains("mixin-pin pending"), "{lost:?}");
    let refused = run(&[&["pending", "--json"][..], &store, &[&stage.keystore]].concat(), b"");
    assert_eq!((refused.code, refused.kind().as_str()), (2, "store"));
}

#[test]
fn a_verification_is_listed_until_resolve_removes_it() {
    let stage = Stage::with_pin();
    stage.breaks(Fault::CloseAfter);
    let lost = stage.run(&["verify", "--pin-stdin"], OLD);
    assert_eq!(lost.code, 3, "{lost:?}");
    let entry = stage.only_entry();
    assert_eq!((&entry["path"], &entry["next"]), (&json!("/pin/verify"), &json!(stage.next("resolve"))));
    assert_eq!(lost.json()["error"]["next_command"], entry["next"]);
    let nothing_changed = "it changed nothing, but a wrong PIN may have cost a try";
    let message = lost.json()["error"]["message"].as_str().unwrap().to_owned();
    let step = format!("{nothing_changed}; mixin-pin pending lists it. To remove it, run: {}", stage.next("resolve"));
    assert!(message.ends_with(&step), "{message}");
    let people = stage.run_as_text(&["pending"], "").done().stdout;
    let advice = format!("    {nothing_changed}; to remove it, run: {}\n", stage.next("resolve"));
    assert!(people.ends_with(&advice), "{people}");
    let doctor = check(&stage.run(&["doctor"], "").done(), "pending");
    assert_eq!(doctor["text"], format!("1 pending call; run: {}", stage.next("pending")));

    let people = stage.run_as_text(&["resolve"], "").done().stdout;
    let removed = "removed from the journal: a verification, which changed nothing\n  ";
    assert!(people.contains(&format!("{removed}{}  POST /pin/verify  ", id_of(&entry))), "{people}");
    assert_eq!(stage.pending(), NOTHING);
}

#[test]
fn a_call_that_only_its_owner_can_check_is_removed_by_its_id() {
    let stage = Stage::with_pin();
    stage.breaks(Fault::CloseAfter);
    // The query has a word that must not get into the journal.
    let path = format!("{DELETE}?note=hunter2");
    let lost = stage.run(&["call", "POST", &path, "--with-pin", "--pin-stdin"], OLD);
    let error = &lost.json()["error"];
    assert_eq!((lost.code, &error["next_command"]), (3, &Value::Null), "{lost:?}");
    assert_eq!(error["listed_by"], stage.next("pending"));
    let entry = stage.only_entry();
    let id = id_of(&entry);
    assert_eq!((&entry["method"], &entry["path"], &entry["next"]), (&json!("POST"), &json!(DELETE), &Value::Null));
    assert_eq!(error["request_id"], id);
    let people = stage.run_as_text(&["pending"], "").done().stdout;
    let remove = format!("{} --settled {id}", stage.next("pending"));
    let expires = date(&entry["expires_at"]);
    let check =
        format!("after {expires}, when its token has expired, check whether it was carried out before you repeat it");
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with(&format!("; {check}; mixin-pin pending lists it")), "{message}");
    let advice = format!("    {check}; then run: {remove}\n");
    assert!(people.ends_with(&advice) && !people.contains("hunter2"), "{people}");

    // `resolve` names it and leaves it.
    let resolved = stage.run(&["resolve"], "").done().json();
    assert_eq!((&resolved["verdict"], &resolved["to_check"][0]["request_id"]), (&json!("nothing-pending"), &json!(id)));
    let people = stage.run_as_text(&["resolve"], "").done().stdout;
    assert!(people.contains("also pending: a call that this command cannot settle") && people.ends_with(&advice));

    let refused = stage.run(&["pending", "--settled", OTHER_ID], "");
    assert_eq!((refused.code, refused.kind().as_str()), (2, "input"), "{refused:?}");
    assert!(refused.stdout.contains(&format!("no call {OTHER_ID} of this session is pending")), "{refused:?}");
    assert_eq!(id_of(&stage.only_entry()), id);
    let nobody = run(&["pending", "--json", "--settled", id, "--store", &stage.store], b"");
    assert_eq!((nobody.code, nobody.kind().as_str()), (2, "usage"), "{nobody:?}");

    let settled = stage.run(&["pending", "--settled", id], "").done();
    assert_eq!(settled.json(), json!({ "settled": id }));
    assert!(settled.stderr.contains("the call's token is valid for "), "{settled:?}");
    assert_eq!(stage.pending(), NOTHING);
    let again = stage.run(&["pending", "--settled", id], "");
    assert_eq!((again.code, again.kind().as_str()), (2, "input"));
}

#[test]
fn an_earlier_expiry_than_the_journals_does_not_count() {
    let stage = Stage::new();
    stage.breaks(Fault::ResetBefore);
    assert_eq!(stage.run(&["update", "--new-user", "--pin-stdin"], NEW).code, 3);
    let expires_at = stage.only_entry()["expires_at"].clone();
    stage.breaks(Fault::None);
    let past = (now() - 3_600).to_string();
    for more in [&[][..], &["--expires-at", &past]] {
        let early = stage.run(&[&["resolve", "--new-user", "--pin-stdin"], more].concat(), NEW);
        assert_eq!((early.code, &early.json()["verdict"]), (3, &json!("not-yet")), "{early:?}");
        assert_eq!(early.json()["expires_at"], expires_at);
    }
    assert_eq!(stage.only_entry()["expires_at"], expires_at);
    assert_eq!(stage.changes(), 0);
}

#[test]
fn a_refusal_names_its_request() {
    let stage = Stage::with_pin();
    let refused = stage.run(&["verify", "--pin-stdin"], "271828");
    assert_eq!((refused.code, refused.kind().as_str()), (1, "refused"));
    let seen = stage.record();
    let seen = seen.iter().find(|seen| seen["path"] == "/pin/verify").unwrap();
    assert_eq!((&seen["code"], &refused.json()["error"]["request_id"]), (&json!(20_119), &seen["request_id"]));
    assert_eq!(stage.pending(), NOTHING, "the outcome is known");
}

#[test]
fn the_keystore_of_a_remote_signer_shows_its_calls_and_decrypts() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, remote) =
        (keystore(folder.path(), "keystore-dashboard.json"), keystore(folder.path(), "keystore-remote-signer.json"));
    let store = format!("sqlite:{}", text(&folder.path().join("iterators.db")));
    let pending = run(&["pending", "--json", "--keystore", text(&remote), "--store", &store], b"").done();
    assert_eq!(pending.stdout, NOTHING);
    let encrypted = run(&["encrypt", "--pin-stdin", "--keystore", text(&whole), "--store", &store], b"271828\n").done();
    let decrypt = ["decrypt", "--reveal", "--json", "--keystore", text(&remote), "--", encrypted.stdout.trim()];
    assert_eq!(run(&decrypt, b"").done().json()["secret"], "271828");

    let doctor = run(&["doctor", "--json", "--keystore", text(&remote), "--store", &store], b"").done();
    let found = check(&doctor, "keystore");
    assert_eq!(found["verdict"], "warn");
    assert!(
        found["text"].as_str().unwrap().starts_with("complete: one for a remote signer, session b7bce11c-"),
        "{found}"
    );
    assert_eq!(check(&doctor, "server")["verdict"], "skip");
    assert_eq!(check(&doctor, "pending")["verdict"], "ok");
    for command in ["update", "verify", "resolve", "me", "logs"] {
        let refused = run(&[command, "--json", "--keystore", text(&remote), "--store", &store], b"");
        assert_eq!((refused.code, refused.kind().as_str()), (2, "keystore"), "{command}");
        assert!(refused.stdout.contains("use a program that calls this signer"), "{refused:?}");
    }
}
