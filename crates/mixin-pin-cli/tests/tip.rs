//! TIP keys, against `mixin-pin sandbox`.

mod common;

use std::fs;

use common::{SandboxProcess, private, run};
use mixin_pin_core::tip::{Amount, TipAction};
use mixin_pin_core::uuid::Uuid;
use serde_json::{Value, json};

fn new_key(sandbox: &SandboxProcess, name: &str) -> (String, Value) {
    let out = sandbox.path(name);
    let made = run(&["tip", "new-key", "--json", "--out", &out], b"").done().json();
    (fs::read_to_string(&out).unwrap(), made)
}

#[test]
fn a_tip_key_is_installed_verified_changed_and_refused() {
    let sandbox = SandboxProcess::start(&[]);
    for kind in ["rsa1024", "ed25519"] {
        let keystore = sandbox.register(kind);
        let with = |args: &[&str], stdin: &str| sandbox.run(&[args, &["--keystore", &keystore]].concat(), stdin);
        let (first, made) = new_key(&sandbox, &format!("{kind}-first"));
        let (second, _) = new_key(&sandbox, &format!("{kind}-second"));

        // From digits to TIP: the old PIN, then the new key, from one standard input.
        with(&["update", "--new-user", "--pin-stdin"], "123456\n").done();
        let install = ["update", "--pin-stdin", "--spend-key-stdin"];
        assert_eq!(with(&install, &format!("999999\n{first}")).kind(), "refused");
        let user = with(&install, &format!("123456\n{first}")).done().json();
        assert_eq!(user["user"]["tip_key_base64"], made["tip_key_base64"]);
        assert_eq!(user["user"]["tip_counter"], 1);

        with(&["verify", "--spend-key-stdin"], &first).done();
        let wrong = with(&["verify", "--spend-key-stdin"], &second);
        assert_eq!(
            (wrong.code, wrong.kind().as_str()),
            (2, "input"),
            "the public key shows it before anything is sent"
        );
        assert_eq!(with(&["verify", "--pin-stdin"], "123456\n").json()["error"]["code"], 20_118);

        let changed = with(&["update", "--spend-key-stdin"], &format!("{first}{second}")).done().json();
        assert_eq!(changed["user"]["tip_counter"], 2);
        with(&["verify", "--spend-key-stdin"], &second).done();
        let text = run(&["me", "--keystore", &keystore, "--api", &sandbox.url], b"").done().stdout;
        assert!(text.contains("(counter 2)"), "{text}");
    }
}

#[test]
fn the_keystores_spend_key_is_used_with_tip() {
    let sandbox = SandboxProcess::start(&[]);
    let registered = sandbox.register("ed25519");
    let mut fields: Value = serde_json::from_slice(&fs::read(&registered).unwrap()).unwrap();
    fields["spend_private_key"] = "5eed".repeat(16).into();
    let keystore = sandbox.path("with-key.json");
    private(keystore.as_ref(), &fields.to_string());
    let with = |args: &[&str], stdin: &str| sandbox.run(&[args, &["--keystore", &keystore]].concat(), stdin);
    with(&["update", "--tip", "--new-user"], "").done();
    with(&["verify", "--tip"], "").done();

    assert_eq!(with(&["update", "--tip", "--new-user"], "").json()["error"]["extra"]["reason"], "old_pin_needed");

    // The keystore has the old key. Only the new one is given.
    let same = with(&["update", "--tip", "--spend-key-stdin"], &format!("{}\n", "5eed".repeat(16)));
    assert!(same.code == 2 && same.stdout.contains("only the new one"), "{same:?}");
    let (second, made) = new_key(&sandbox, "second");
    let changed = with(&["update", "--tip", "--spend-key-stdin"], &second).done().json();
    assert_eq!(changed["user"]["tip_key_base64"], made["tip_key_base64"]);
    assert_eq!(with(&["verify", "--tip"], "").code, 2, "the keystore's key is the old one");
    with(&["verify", "--spend-key-stdin"], &second).done();
}

#[test]
fn missing_and_malformed_keys_are_reported() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = sandbox.register("ed25519");
    let with = |args: &[&str], stdin: &str| sandbox.run(&[args, &["--keystore", &keystore]].concat(), stdin);
    let message = |run: common::Run| {
        assert_eq!((run.code, run.kind().as_str()), (2, "input"), "{run:?}");
        run.json()["error"]["message"].as_str().unwrap().to_owned()
    };
    assert!(message(with(&["verify", "--tip"], "")).contains("--spend-key-stdin"));
    assert!(message(with(&["verify", "--spend-key-stdin"], "")).contains("ended before the spend key"));
    assert!(message(with(&["update", "--new-user", "--spend-key-stdin"], "5eed\n")).contains("32 or 64 bytes"));
}

#[cfg(unix)]
#[test]
fn a_new_key_is_readable_by_its_owner_only_and_never_shown() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("key");
    for json in [&["--json"][..], &[]] {
        let made = run(&[&["tip", "new-key", "--out", common::text(&out)], json].concat(), b"").done();
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
        let seed = fs::read_to_string(&out).unwrap();
        assert_eq!(seed.len(), 65);
        assert!(!made.stdout.contains(seed.trim()) && made.stderr.is_empty(), "{made:?}");
        let again = run(&["tip", "new-key", "--json", "--out", common::text(&out)], b"");
        assert_eq!((again.code, again.json()["error"]["kind"].clone()), (2, json!("input")));
        assert_eq!(fs::read_to_string(&out).unwrap(), seed);
        fs::remove_file(&out).unwrap();
    }
}

/// A user with a PIN of digits.
fn with_digits(sandbox: &SandboxProcess, kind: &str) -> String {
    let keystore = sandbox.register(kind);
    sandbox.run(&["update", "--new-user", "--pin-stdin", "--keystore", &keystore], "123456\n").done();
    keystore
}

fn change(sandbox: &SandboxProcess, keystore: &str, more: &[&str], stdin: &str) -> common::Run {
    sandbox.run(&[&["tip", "change", "--keystore", keystore][..], more].concat(), stdin)
}

#[test]
fn a_key_file_is_no_other_file_of_the_run() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = with_digits(&sandbox, "rsa1024");
    let refused = |run: common::Run, other: &str| {
        let said = run.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(run.code == 2 && said.ends_with(&format!("{other}, too; name another file")), "{run:?}");
    };
    let folder = sandbox.path("");
    let folder = folder.trim_end_matches('/');
    let out = sandbox.path("u.json");
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder, sandbox.path("link")).unwrap();
    let link = cfg!(unix).then(|| sandbox.path("link"));
    for folder in [folder.to_owned(), format!("{folder}/./")].into_iter().chain(link) {
        let names = [("u.json.unfinished", "the unfinished change"), ("u.json", "--out"), ("OLD", "--keystore")];
        for (name, other) in names {
            let key = if name == "OLD" { keystore.clone() } else { format!("{folder}/{name}") };
            let upgrade =
                ["session", "upgrade", "--out", &out, "--tip-key", &key, "--pin-stdin", "--keystore", &keystore];
            refused(sandbox.run(&upgrade, "123456\n"), other);
        }
    }
    refused(change(&sandbox, &keystore, &["--new-key", &keystore, "--pin-stdin"], "123456\n"), "--keystore");
    let (old, other) = (sandbox.path("old.key"), sandbox.path("other.key"));
    new_key(&sandbox, "old.key");
    fs::hard_link(&old, &other).unwrap();
    for (new, name) in [(old.clone(), "--old-key"), (format!("{old}.replaced"), "the replaced --old-key")] {
        refused(change(&sandbox, &keystore, &["--new-key", &new, "--old-key", &old], ""), name);
    }
    if cfg!(unix) {
        refused(change(&sandbox, &keystore, &["--new-key", &other, "--old-key", &old], ""), "--old-key");
    }
    fs::remove_file(&other).unwrap();
    fs::copy(&old, &other).unwrap();
    let same = change(&sandbox, &keystore, &["--new-key", &other, "--old-key", &old], "");
    assert!(same.code == 2 && same.stdout.contains("has the same key as"), "{same:?}");
    assert!(!fs::exists(&out).unwrap());
    sandbox.run(&["verify", "--pin-stdin", "--keystore", &keystore], "123456\n").done();
}

#[test]
fn only_a_key_that_was_installed_is_marked_and_only_with_a_warning() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = with_digits(&sandbox, "ed25519");
    let [first, second, third, fourth] = ["first", "second", "third", "fourth"].map(|name| sandbox.path(name));
    change(&sandbox, &keystore, &["--new-key", &first, "--pin-stdin"], "123456\n").done();
    let to = |new: &str, old: &str| change(&sandbox, &keystore, &["--new-key", new, "--old-key", old], "");
    // Nothing shows that this was the old key.
    new_key(&sandbox, "unrelated");
    let unrelated = sandbox.path("unrelated");
    let kept = to(&first, &unrelated);
    assert_eq!((&kept.json()["pin"], &kept.json()["replaced"]), (&json!("unchanged"), &Value::Null), "{kept:?}");
    assert!(kept.code == 0 && kept.stderr.contains("not known whether this was the old key"), "{kept:?}");
    assert!(fs::exists(&unrelated).unwrap());

    // With its suffix, the new name is too long.
    let long = sandbox.path(&"k".repeat(250));
    fs::rename(&first, &long).unwrap();
    let kept = to(&second, &long);
    assert!(kept.code == 0 && kept.stderr.contains("does not work any more"), "{kept:?}");
    assert_eq!((&kept.json()["pin"], &kept.json()["verified"]), (&json!("changed"), &json!(true)), "{kept:?}");

    assert!(to(&third, &second).done().json()["replaced"].is_string());
    if cfg!(target_os = "linux") {
        // It can be read once.
        let text = fs::read_to_string(&third).unwrap();
        let kept = change(&sandbox, &keystore, &["--new-key", &fourth, "--old-key", "/dev/stdin"], &text);
        assert!(kept.code == 0 && kept.stderr.contains("not a regular file"), "{kept:?}");
        assert_eq!((&kept.json()["pin"], &kept.json()["replaced"]), (&json!("changed"), &Value::Null), "{kept:?}");
        assert!(fs::symlink_metadata("/dev/stdin").is_ok());
    }
}

#[test]
fn a_run_that_another_one_overtakes_says_what_it_knows_only() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = with_digits(&sandbox, "ed25519");
    let stopped = change(&sandbox, &keystore, &["--new-key", &sandbox.path("key"), "--pin-stdin"], "999999\n");
    let said = stopped.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(said.contains("this run changed nothing") && !said.contains("as it was"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_key_that_another_user_may_know_is_not_installed() {
    use std::os::unix::fs::{PermissionsExt as _, chown};

    let sandbox = SandboxProcess::start(&[]);
    let (keystore, rsa) = (with_digits(&sandbox, "ed25519"), with_digits(&sandbox, "rsa1024"));
    let (text, _) = new_key(&sandbox, "key");
    let (key, out) = (sandbox.path("key"), sandbox.path("new.json"));
    let app = "6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e";
    let refuse = || {
        for args in [
            &["tip", "change", "--keystore", &keystore, "--new-key", &key, "--pin-stdin"][..],
            &["session", "upgrade", "--keystore", &rsa, "--out", &out, "--tip-key", &key, "--pin-stdin"],
            &["app", "register", "--owner", &keystore, "--app-id", app, "--spend-key", &key],
        ] {
            let refused = sandbox.run(args, "123456\n");
            assert!(refused.code == 2 && refused.stdout.contains("another user may know its key"), "{refused:?}");
        }
    };
    for mode in [0o620, 0o602] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        refuse();
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    // Only root can give a file away, and read it then.
    if chown(&key, Some(12_345), None).is_ok() {
        refuse();
        chown(&key, Some(0), None).unwrap();
    }
    change(&sandbox, &keystore, &["--new-key", &key, "--pin-stdin"], "123456\n").done();
    sandbox.run(&["verify", "--spend-key-stdin", "--keystore", &keystore], &text).done();
    assert!(!fs::exists(&out).unwrap());
}

/// The command line that signs the action of a vector: the options of `tip sign`, then the action's.
fn options(vector: &Value) -> Vec<String> {
    let action = vector["action"].as_str().unwrap();
    let name = match action {
        "ApproveOAuth" => "approve-oauth".to_owned(),
        "DeactivateWithoutPhone" => "deactivate-user".to_owned(),
        "LogOutSession" => "log-out".to_owned(),
        name => name.chars().fold(String::new(), |mut name, c| {
            if c.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(c.to_lowercase());
            name
        }),
    };
    let (mut before, mut options) = (Vec::new(), vec![name]);
    for (field, value) in vector["fields"].as_object().unwrap() {
        let name = format!("--{}", field.replace('_', "-"));
        match value {
            // The user's own id.
            Value::String(id) if field == "user_id" && action != "TransferAppOwnership" => {
                before.extend([name, id.clone()]);
            }
            // `--receiver` for each receiver.
            Value::Array(values) => options
                .extend(values.iter().flat_map(|value| ["--receiver".to_owned(), value.as_str().unwrap().to_owned()])),
            Value::String(text) => options.extend([name, text.clone()]),
            other => options.extend([name, other.to_string()]),
        }
    }
    before.extend(options);
    before
}

fn vectors(name: &str) -> Vec<Value> {
    let file = fs::read(common::testdata(&format!("testkit/{name}.json"))).unwrap();
    serde_json::from_slice::<Value>(&file).unwrap()["vectors"].as_array().unwrap().clone()
}

#[test]
fn every_action_is_signed_as_the_vectors_say() {
    let actions = vectors("tip-actions");
    assert_eq!(actions.len(), 22);
    let key = format!("{}\n", actions[0]["seed"].as_str().unwrap());
    for vector in &actions {
        let options = options(vector);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let signed = run(&[&["tip", "sign", "--json", "--spend-key-stdin"][..], &options].concat(), key.as_bytes());
        if options.contains(&"--opponent-key") && options.contains(&"--receiver") {
            // No request has both.
            assert_eq!((signed.code, signed.kind().as_str()), (2, "usage"), "{options:?}");
            continue;
        }
        let signed = signed.done().json();
        assert_eq!(signed["body"], vector["body"], "{options:?}");
        assert_eq!(signed["signature"], vector["signature"], "{options:?}");
        assert_eq!(signed["public_key"], vector["public_key"]);
    }
    let scalar = vectors("tip-keys").into_iter().find(|vector| vector["type"] == "tip-scalar").unwrap();
    let sign = ["tip", "sign", "--json", "--spend-key-stdin", "--public-key", scalar["public_key"].as_str().unwrap()];
    let signed = run(&[&sign[..], &["read-emergency-contact"]].concat(), scalar["scalar"].as_str().unwrap().as_bytes());
    assert_eq!(signed.done().json()["public_key"], scalar["public_key"]);
    let other = run(&[&sign[..], &["read-emergency-contact"]].concat(), key.as_bytes());
    assert_eq!((other.code, other.kind().as_str()), (2, "input"));
}

#[test]
fn a_transaction_pays_a_key_or_users() {
    let (asset_id, receiver) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let of_key = TipAction::Transaction {
        asset_id,
        opponent_key: "XINkey",
        receivers: &[],
        threshold: Some(0),
        amount: Amount::new("1").unwrap(),
        trace_id: asset_id,
        memo: "",
    };
    let of_users = TipAction::Transaction {
        asset_id,
        opponent_key: "",
        receivers: &[receiver, asset_id],
        threshold: Some(2),
        amount: Amount::new("1").unwrap(),
        trace_id: asset_id,
        memo: "",
    };
    let (asset, receiver) = (asset_id.to_string(), receiver.to_string());
    let sign = |opponent: &[&str]| {
        let sign = ["tip", "sign", "--json", "--spend-key-stdin", "transaction", "--amount", "1.0"];
        let ids = ["--asset-id", &asset, "--trace-id", &asset];
        run(&[&sign[..], &ids, opponent].concat(), "5eed".repeat(16).as_bytes())
    };
    let body = |action: &TipAction<'_>| -> String {
        action.body().as_bytes().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    };
    assert_eq!(sign(&["--opponent-key", "XINkey"]).done().json()["body"], body(&of_key));
    let users = ["--receiver", &receiver, "--receiver", &asset, "--threshold", "2"];
    assert_eq!(sign(&users).done().json()["body"], body(&of_users));
    for opponent in [&[][..], &["--opponent-key", ""], &["--receiver", &receiver], &["--threshold", "1"]] {
        assert_eq!(sign(opponent).kind(), "usage", "{opponent:?}");
    }
}

#[test]
fn the_users_id_comes_from_the_option_or_the_keystore() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = common::keystore(folder.path(), "keystore-dashboard.json");
    let fields: Value = serde_json::from_slice(&fs::read(&keystore).unwrap()).unwrap();
    let own = fields["app_id"].as_str().unwrap();
    let key = "5eed".repeat(16);
    let sign = |session: &[&str], action: &[&str]| {
        run(&[&["tip", "sign", "--json", "--spend-key-stdin"], session, action].concat(), key.as_bytes())
    };
    let public_key = sign(&[], &["read-emergency-contact"]).done().json()["public_key"].clone();
    for action in
        [&["deactivate-user"][..], &["export-salt"], &["register-safe", "--public-key", public_key.as_str().unwrap()]]
    {
        let by_option = sign(&["--user-id", own], action).done().json();
        let by_keystore = sign(&["--keystore", common::text(&keystore)], action).done().json();
        assert_eq!(by_option, by_keystore, "{action:?}");
        let other = sign(&["--user-id", "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09"], action).done().json();
        assert_ne!(other["body"], by_option["body"], "{action:?}");
        let missing = sign(&[], action);
        assert!(missing.code == 2 && missing.stdout.contains("--user-id"), "{missing:?}");
    }
    // Another action does not even open the keystore.
    sign(&["--keystore", "missing.json"], &["read-emergency-contact"]).done();
    let both = sign(&["--keystore", "-"], &["export-salt"]);
    assert_eq!(both.kind(), "usage", "{both:?}");
}

#[test]
fn any_call_can_carry_a_pin_or_an_action() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = sandbox.register("ed25519");
    // Everything after --tip belongs to the action, so the session comes first.
    let session = ["--json", "call", "--api", &sandbox.url, "--keystore", &keystore];
    let call = |args: &[&str], stdin: &str| run(&[&session[..], args].concat(), stdin.as_bytes());
    assert_eq!(call(&["GET", "/me"], "").done().json()["has_pin"], false);
    assert_eq!(call(&["GET", "/nowhere"], "").json()["error"]["code"], 404);

    // The verify call, made with `call`.
    sandbox.run(&["update", "--keystore", &keystore, "--new-user", "--pin-stdin"], "123456\n").done();
    assert_eq!(call(&["POST", "/pin/verify", "--with-pin", "--pin-stdin"], "123456\n").done().json()["has_pin"], true);
    assert_eq!(call(&["POST", "/pin/verify", "--with-pin", "--pin-stdin"], "999999\n").json()["error"]["code"], 20_119);

    let (key, _) = new_key(&sandbox, "key");
    let install = ["update", "--keystore", &keystore, "--pin-stdin", "--spend-key-stdin"];
    sandbox.run(&install, &format!("123456\n{key}")).done();
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos().to_string();
    let body = sandbox.path("body.json");
    fs::write(&body, format!("{{\"timestamp\": {nanos}}}")).unwrap();
    let verify = ["POST", "/pin/verify", "--body", &body, "--spend-key-stdin", "--tip", "verify", "--timestamp"];
    assert_eq!(call(&[&verify[..], &[&nanos]].concat(), &key).done().json()["has_pin"], true);
    let refused = call(&[&verify[..], &["7"]].concat(), &key);
    assert!(refused.code == 2 && refused.stdout.contains("make them agree"), "signed for another moment: {refused:?}");

    let id = "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09";
    fs::write(&body, format!(r#"{{"asset_id":"{id}","opponent_id":"{id}","amount":"1.50","trace_id":"{id}"}}"#))
        .unwrap();
    let transfer = ["POST", "/transfers", "--body", &body, "--spend-key-stdin", "--tip", "transfer", "--asset-id", id];
    let more = ["--opponent-id", id, "--trace-id", id, "--amount", "1.5"];
    let other = call(&[&transfer[..], &more].concat(), &key);
    assert!(other.code == 2 && other.stdout.contains("without needless zeros"), "1.5 is signed: {other:?}");
    fs::write(&body, format!(r#"{{"asset_id":"{id}","opponent_id":"{id}","amount":"1.5","trace_id":"{id}"}}"#))
        .unwrap();
    let receipt = call(&[&transfer[..], &more].concat(), &key).done().json();
    assert_eq!((&receipt["holds"], &receipt["action"]["name"]), (&json!(true), &json!("TIP:TRANSFER:CREATE:")));

    let usage = call(&["POST", "/transfers", "--spend-key-stdin", "--tip", "transfer", "--amount", "1"], &key);
    assert_eq!((usage.code, usage.kind().as_str()), (2, "usage"));
    let amount = ["tip", "sign", "--json", "--spend-key-stdin", "transfer", "--amount", "1e3"];
    let ids = ["--asset-id", id, "--opponent-id", id, "--trace-id", id];
    let refused = run(&[&amount[..], &ids].concat(), key.as_bytes());
    assert!(refused.code == 2 && refused.stdout.contains("plain decimal"), "{refused:?}");
    fs::write(&body, "[]").unwrap();
    let array = call(&["POST", "/transfers", "--body", &body, "--with-pin", "--pin-stdin"], "123456\n");
    assert!(array.code == 2 && array.stdout.contains("JSON object"), "{array:?}");
}

#[test]
fn the_spend_key_is_found_under_any_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(common::testdata("keystore-dashboard.json")).unwrap();
    let mut signatures = Vec::new();
    for name in ["pin", "safe_key", "safeKey", "spend_key", "spendKey", "spend_private_key", "spendPrivateKey"] {
        let mut keystore: serde_json::Value = serde_json::from_str(&text).unwrap();
        keystore[name] = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60".into();
        let path = folder.path().join("me.json");
        private(&path, &keystore.to_string());
        let path = common::text(&path);
        let signed = run(&["tip", "sign", "--keystore", path, "read-emergency-contact"], b"").done();
        signatures.push(signed.stdout);
        // The other commands find it too, and fail only where nothing listens.
        let api = ["--keystore", path, "--api", "http://127.0.0.1:9", "--store", "memory:"];
        for args in [&["verify", "--tip"][..], &["update", "--new-user", "--tip"]] {
            let run = run(&[args, &api].concat(), b"");
            assert!(run.code == 4 && run.stderr.contains("no connection"), "{name}: {run:?}");
        }
    }
    assert!(signatures.iter().all(|signature| *signature == signatures[0] && signature.len() == 129), "{signatures:?}");
}
