//! No output contains a secret: runs every command with a known PIN and known keys, and searches what it prints.

mod common;

use std::fmt::Write as _;
use std::fs;

use common::{Run, SandboxProcess, private, run, text};
use mixin_pin_core::SystemRng;
use mixin_pin_protocol::keystore::Keystore;
use serde_json::Value;

const ID: &str = "6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e";
const PIN: &str = "271828";
const NEW_PIN: &str = "314159";
const PIN_IN_FILE: &str = "161803";

/// The secrets: PINs, the PIN key, and private keys in every written form.
struct Marks(Vec<String>);

impl Marks {
    fn of(path: &str) -> Self {
        let bytes = fs::read(path).unwrap();
        let fields: Value = serde_json::from_slice(&bytes).unwrap();
        let mut marks = vec![PIN.to_owned(), NEW_PIN.to_owned(), PIN_IN_FILE.to_owned()];
        for name in ["private_key", "session_private_key", "spend_private_key", "client_secret"] {
            let Some(text) = fields[name].as_str() else { continue };
            // Each line of PEM on its own, because the text may be broken anywhere.
            marks.extend(text.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned));
            if let Ok(seed) = mixin_pin_core::Ed25519Key::from_text(text) {
                marks.extend(forms(seed.expose_seed()));
            }
        }
        let session = Keystore::parse(&bytes).unwrap().into_session(&mut SystemRng::new().unwrap());
        if let Ok(session) = session {
            marks.extend(forms(session.pin_key().expose()));
        }
        assert!(marks.len() >= 8 && marks.iter().all(|mark| mark.len() >= 6), "{}", marks.len());
        Self(marks)
    }

    fn assert_absent(&self, run: &Run, what: &str) {
        for mark in &self.0 {
            for output in [&run.stdout, &run.stderr] {
                assert!(!output.contains(mark.as_str()), "{what} shows {mark}:\n{output}");
            }
        }
    }
}

/// Bytes as hex of both cases, as base64 of both alphabets, and as Rust prints a list.
fn forms(bytes: &[u8]) -> [String; 5] {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    let mut hex = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").expect("a String takes it");
    }
    let list = format!("{bytes:?}");
    [hex.to_uppercase(), hex, STANDARD_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes), list]
}

#[test]
fn the_search_finds_a_shown_pin() {
    let folder = tempfile::tempdir().unwrap();
    let path = common::keystore(folder.path(), "keystore-dashboard.json");
    let marks = Marks::of(text(&path));
    let encrypted = run(&["encrypt", "--keystore", text(&path), "--pin-stdin"], PIN.as_bytes()).done().stdout;
    let revealed = run(&["decrypt", "--keystore", text(&path), "--reveal", "--", encrypted.trim()], b"").done();
    let found = std::panic::catch_unwind(|| marks.assert_absent(&revealed, "--reveal"));
    assert!(found.is_err(), "--reveal shows the PIN, and the search must see it");
}

#[test]
fn no_command_shows_a_secret() {
    let sandbox = SandboxProcess::start(&["--tries", "100"]);
    for kind in ["rsa1024", "rsa2048", "ed25519"] {
        let registered = sandbox.path(&format!("{kind}.json"));
        let new = ["keystore", "new", "--kind", kind, "--name", "x", "--app-keystore", &sandbox.app_keystore];
        let new = sandbox.run(&[&new[..], &["--out", &registered]].concat(), "").done();
        // A keystore with every secret that a careless owner may keep in it.
        let mut fields: Value = serde_json::from_slice(&fs::read(&registered).unwrap()).unwrap();
        fields["pin"] = PIN_IN_FILE.into();
        fields["spend_private_key"] = "5eed".repeat(16).into();
        fields["client_secret"] = "c0ffee".repeat(8).into();
        let path = sandbox.path(&format!("{kind}-full.json"));
        private(path.as_ref(), &fields.to_string());
        let marks = Marks::of(&path);
        marks.assert_absent(&new, "keystore new");
        Marks::of(&sandbox.app_keystore).assert_absent(&new, "keystore new");

        let encrypted = run(&["encrypt", "--keystore", &path, "--pin-stdin"], PIN.as_bytes()).done().stdout;
        let encrypted = encrypted.trim();
        let api = ["--keystore", &path, "--api", &sandbox.url];
        let with = |args: &[&'static str]| [args, &api].concat();
        let both = format!("{PIN}\n{NEW_PIN}\n");
        let one = format!("{PIN}\n");
        let new = format!("{NEW_PIN}\n");
        let key_file = sandbox.path("master.key");
        private(key_file.as_ref(), &"5eed".repeat(16));
        let tip_call = |path| [&["call"][..], &api, &["POST", path, "--tip", "read-emergency-contact"]].concat();
        let commands: Vec<(Vec<&str>, &str, i32)> = vec![
            (with(&["update", "--new-user", "--pin-stdin"]), &one, 0),
            (with(&["verify", "--pin-stdin"]), &one, 0),
            (with(&["update", "--pin-stdin"]), &both, 0),
            (with(&["verify", "--pin-stdin"]), &one, 1),
            (with(&["update", "--pin-stdin"]), &both, 1),
            (with(&["update", "--new-user", "--pin-stdin"]), &one, 1),
            (with(&["verify", "--tip"]), "", 1),
            (with(&["verify", "--spend-key-stdin"]), "no key\n", 2),
            (with(&["update", "--tip", "--pin-stdin"]), &one, 1),
            (with(&["update", "--tip", "--pin-stdin"]), &new, 0),
            (with(&["verify", "--tip"]), "", 0),
            (with(&["call", "POST", "/pin/verify", "--with-pin", "--pin-stdin"]), &one, 1),
            (with(&["act", "create-emergency-contact", "--verification-id", ID, "--code", "1", "--tip"]), "", 0),
            (tip_call("/emergency_contact"), "", 0),
            (tip_call("/emergency_contact/delete"), "", 2),
            (vec!["tip", "sign", "--keystore", &path, "read-emergency-contact"], "", 0),
            (with(&["act", "sign-multisig", "--request-id", ID, "--tip"]), "", 0),
            (with(&["act", "sign-multisig", "--request-id", ID, "--pin-stdin"]), &new, 1),
            ([&["act", "export-salt", "--master-key", &key_file, "--tip"], &api[..]].concat(), "", 0),
            (with(&["me"]), "", 0),
            (with(&["logs"]), "", 0),
            (with(&["pending"]), "", 0),
            (vec!["verify", "--keystore", &path, "--api", "http://127.0.0.1:9", "--pin-stdin"], &one, 4),
            (vec!["encrypt", "--keystore", &path, "--pin-stdin"], &one, 0),
            (vec!["encrypt", "--keystore", &path, "--pin-stdin"], "2718281\n", 2),
            (vec!["decrypt", "--keystore", &path, "--", encrypted], "", 0),
            (vec!["decrypt", "--keystore", &path, PIN], "", 2),
            (vec!["token", "--keystore", &path, "--method", "GET", "--path", "/me"], "", 0),
            (vec!["keystore", "check", &path], "", 0),
            (vec!["verify", "--keystore", &path, PIN], "", 2),
        ];
        for (args, stdin, code) in commands {
            // A wrong PIN costs a try, as text and as JSON.
            for json in [&[][..], &["--json"]] {
                let args = [json, &args].concat();
                let run = run(&args, stdin.as_bytes());
                let repeated = json.len() == 1 && args.contains(&"update");
                assert!(run.code == code || repeated, "{args:?}: {run:?}");
                marks.assert_absent(&run, &format!("{args:?}"));
            }
        }
        // A captured request: everything is shown except the encrypted content.
        let token = run(&["token", "--keystore", &path, "--method", "POST", "--path", "/pin/verify"], b"").done();
        let curl = format!(
            "curl -H 'Authorization: Bearer {}' {}/pin/verify -d '{{\"pin\":\"{encrypted}\"}}'",
            token.stdout.trim(),
            sandbox.url
        );
        for json in [&[][..], &["--json"]] {
            for keys in [&[][..], &["--keystore", &path]] {
                let run = run(&[json, &["inspect", "--curl", "-"], keys].concat(), curl.as_bytes());
                assert_eq!(run.code, 1, "the token is for a request without a body: {run:?}");
                marks.assert_absent(&run, "inspect");
            }
        }
        // Damaged keystores: no message shows a value.
        for field in ["private_key", "session_private_key", "pin_token", "server_public_key", "session_id"] {
            if fields[field].is_null() {
                continue;
            }
            let mut damaged = fields.clone();
            let text = damaged[field].as_str().unwrap().to_owned();
            damaged[field] = format!("{}?{}", &text[..text.len() / 2], &text[text.len() / 2..]).into();
            let damaged_path = sandbox.path("damaged.json");
            private(damaged_path.as_ref(), &damaged.to_string());
            let run = run(&["keystore", "check", &damaged_path], b"");
            assert_eq!(run.code, 1, "{field}: {run:?}");
            marks.assert_absent(&run, field);
        }
    }
    let app = Marks::of(&sandbox.app_keystore);
    app.assert_absent(&run(&["demo", "--json"], b"").done(), "demo");
    app.assert_absent(&sandbox.printed(), "sandbox");
    for kind in ["rsa1024", "rsa2048", "ed25519"] {
        Marks::of(&sandbox.path(&format!("{kind}-full.json"))).assert_absent(&sandbox.printed(), "sandbox");
    }
}

/// The end of every password in a store's URL here.
const MARK: &str = "ter2!x";

/// URLs of stores that cannot be used, each with a password.
fn hostile_urls() -> Vec<String> {
    let passwords =
        ["hunter2!x", "hun/ter2!x", "hun?ter2!x", "hun#ter2!x", "hun@ter2!x", "hun%40ter2!x", "%68un:ter2!x"];
    let in_front = [
        "redis://bot:{}@127.0.0.1:9/",
        "sqlite://bot:{}@127.0.0.1/d",
        "sqlite://{}@127.0.0.1",
        "redis://:{}@127.0.0.1:9/0",
        "rediss://bot:{}@127.0.0.1:9/",
        "redis://bot:{}@127.0.0.1:no/",
        "redis://bot:{}@127.0.0.1:9/no",
        "redis://bot:{}@[::1/",
        "redis://bot:{}@",
        "redis+sentinel://bot:{}@127.0.0.1:9,127.0.0.1:9/name",
        "redis+sentinel://bot:{}@127.0.0.1:9/name/no",
        "rediss+sentinel://bot:{}@127.0.0.1:9",
        "redis-cluster://bot:{}@127.0.0.1:9,127.0.0.1:9",
        "redis-cluster://bot:{}@127.0.0.1:9?replicas=no",
        "rediss-cluster://bot:{}@127.0.0.1:9",
        "postgres://bot:{}@127.0.0.1:9/db",
        "postgresql://bot:{}@127.0.0.1:no/db",
        "postgres://bot:{}@127.0.0.1:9/db?sslmode=no",
        "nonsense://bot:{}@127.0.0.1:9/",
    ];
    let in_query = [
        "redis+sentinel://127.0.0.1:9/name?sentinel_user=u&sentinel_password={}",
        "redis://127.0.0.1:9/?password={}",
        "postgres://bot@127.0.0.1:9/db?password={}",
        "postgres://bot@127.0.0.1:9/db?connect_timeout=no&password={}",
        "postgres:///db?host=127.0.0.1&port=9&sslpassword={}&user=bot",
    ];
    let in_front = in_front.iter().flat_map(|url| passwords.iter().map(|password| url.replace("{}", password)));
    in_front.chain(in_query.iter().map(|url| url.replace("{}", passwords[0]))).collect()
}

#[test]
fn no_error_shows_the_password_of_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let me = common::keystore(folder.path(), "keystore-dashboard.json");
    let database = format!("sqlite:{}", text(&folder.path().join("x.db")));
    let mut urls = hostile_urls();
    for answer in [
        "-ERR unknown command 'EVALSHA', with args beginning with: 'bot' 'hunter2!x'",
        "-ERR cannot use redis://bot:hunter2!x@127.0.0.1/",
        "-NOPERM hunter2!x",
        "-MOVED 1 hunter2!x:1",
    ] {
        let url = mixin_pin_test_servers::redis::server_that_answers(answer);
        urls.push(url.replace("redis://", "redis://bot:hunter2!x@"));
    }
    for (number, url) in urls.iter().enumerate() {
        let commands: [&[&str]; 5] = [
            &["store", "show", "--wait", "0", "--store", url],
            &["store", "create", "--wait", "0", "--store", url],
            &["store", "move", "--wait", "0", url, &database],
            &["store", "move", "--wait", "0", "env:URL", &database],
            &["doctor", "--keystore", text(&me), "--api", "http://127.0.0.1:9", "--wait", "0", "--store", url],
        ];
        for (args, variable) in [(commands[number % 5], "URL"), (&commands[0][..4], "MIXIN_STORE")] {
            let json: &[&str] = if number % 2 == 0 { &["--json"] } else { &[] };
            let run = common::finished(
                common::command().args(json).args(args).env("URL", url).env(variable, url).output().unwrap(),
            );
            // `create` opens no store that needs nothing.
            assert!(run.code != 0 || args[1] == "create", "{args:?}: {run:?}");
            for output in [&run.stdout, &run.stderr] {
                assert!(!output.contains(MARK), "{url}, {args:?}: {run:?}");
            }
        }
    }
}

#[test]
fn a_password_from_the_environment_is_not_shown() {
    let shown = common::finished(
        common::command()
            .args(["store", "show", "--store", "sqlite:/dev/null/hunter2!x.db"])
            .env("PGPASSWORD", "hunter2!x")
            .output()
            .unwrap(),
    );
    assert!(shown.code != 0 && !shown.stderr.contains(MARK), "{shown:?}");
}

#[cfg(all(unix, feature = "postgres"))]
#[test]
fn a_password_of_postgres_comes_from_the_environment_or_the_pass_file() {
    use std::os::unix::fs::PermissionsExt as _;

    use mixin_pin_test_servers::postgres::PostgresServer;

    let test = "a_password_of_postgres_comes_from_the_environment_or_the_pass_file";
    let Some(server) = PostgresServer::start(test, &[]) else { return };
    run(&["store", "create", "--store", &server.url()], b"").done();
    server.psql("CREATE ROLE bot LOGIN SUPERUSER PASSWORD 'hunter2!x'");
    let lines = "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all bot 127.0.0.1/32 scram-sha-256\n";
    fs::write(server.folder().join("data/pg_hba.conf"), lines).unwrap();
    server.psql("SELECT pg_reload_conf()");
    let folder = tempfile::tempdir().unwrap();
    let show = |variable: &str, value: &str| {
        let mut command = common::command();
        // `common::command` sets a home without a pass file.
        command.env_remove("PGPASSWORD").env_remove("PGPASSFILE").env(variable, value);
        let shown = common::finished(
            command.args(["--json", "store", "show", "--store", &server.url_of("bot")]).output().unwrap(),
        );
        assert!(!shown.stdout.contains(MARK) && !shown.stderr.contains(MARK), "{shown:?}");
        shown
    };
    // Until the server has read its settings again.
    while show("X", "").code == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(show("X", "").stdout.contains("wants a password"));
    show("PGPASSWORD", "hunter2!x").done();
    let wrong = show("PGPASSWORD", "wrong hunter2!x");
    assert_eq!((wrong.code, wrong.kind().as_str()), (2, "store"), "{wrong:?}");
    let file = folder.path().join("pass");
    private(&file, "127.0.0.1:*:*:bot:hunter2!x\n");
    show("PGPASSFILE", text(&file)).done();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(show("PGPASSFILE", text(&file)).stdout.contains("others can read"));
}
