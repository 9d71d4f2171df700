//! No message quotes a value that may be a secret, such as a key, a keystore or a PIN in place of a file name.

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::{Run, command, finished, keystore, private, server_that_goes_away, testdata, text};

/// Values that may be given in a wrong place, each with a part that must not be shown.
fn secrets() -> Vec<(String, &'static str)> {
    let json = fs::read_to_string(testdata("keystore-dashboard.json")).unwrap();
    let flat = json.lines().map(str::trim).collect::<String>();
    let seed: &str = json.split('"').find(|part| part.len() == 64 || part.len() == 43 || part.len() == 86).unwrap();
    let part: &'static str = seed[8..24].to_owned().leak();
    let key = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
    vec![
        (json, part),
        (flat, part),
        (format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n"), "guoRK9JLsLMRESc"),
        (key.to_owned(), "guoRK9JLsLMRESc"),
        ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60".to_owned(), "44af492ec2cc444"),
        ("9D61B19DEFFD5A60BA844AF492EC2CC44449C5697B326919703BAC031CAE7F60".to_owned(), "44AF492EC2CC444"),
        ("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".to_owned(), "C6hEr0kuwsxERJ"),
        ("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=".to_owned(), "C6hEr0kuwsxERJ"),
        ("keys/9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60".to_owned(), "44af492ec2cc444"),
        ("739146".to_owned(), "739146"),
        (" 739146\n".to_owned(), "739146"),
        ("739146 852963".to_owned(), "739146"),
    ]
}

fn assert_unseen(run: &Run, mark: &str, what: &str) {
    for output in [&run.stdout, &run.stderr] {
        assert!(!output.contains(mark), "{what} shows {mark}:\n{output}");
    }
}

/// Runs the command in this folder.
fn run_in(folder: &Path, env: &[(&str, &str)], args: &[&str]) -> Run {
    let mut command = command();
    command.current_dir(folder).env("XDG_DATA_HOME", folder).env("HOME", folder).env("MIXIN_API", "http://127.0.0.1:9");
    finished(command.envs(env.iter().copied()).args(args).stdin(Stdio::null()).output().unwrap())
}

/// Every place on the command line that takes a value: `@` stands for the secret, `K` for a keystore.
const PLACES: &[&str] = &[
    "@",
    "verify @",
    "verify --keystore K @",
    "verify --keystore K --pin=@",
    "verify --keystore K --@",
    "me --keystore @",
    "doctor --keystore @",
    "doctor --keystore K --store sqlite:missing/@",
    "store show --store sqlite:missing/@",
    "me --keystore=@",
    "me --keystore K --api @",
    "me --keystore K --timeout @x",
    "me --keystore K --wait @x",
    "me --keystore K --store sqlite:/dev/null/@",
    "update --keystore @",
    "encrypt --pin-stdin --keystore K --store sqlite:/dev/null/@",
    "decrypt --keystore K -- @",
    "logs --keystore K --limit @",
    "act @",
    "act remove-address --address-id @ --keystore K",
    "act read-emergency-contact @ --keystore K",
    "act read-emergency-contact --keystore @",
    "act read-emergency-contact --keystore K --store sqlite:missing/@",
    "act withdraw --address-id 6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e --trace-id 6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e --amount @ --keystore K",
    "act transaction --asset-id 6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e --trace-id 6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e --amount 1 --receiver @ --keystore K",
    "act update-phone-number --verification-id 6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e --code 1 --salt @ --keystore K",
    "act export-salt --master-key @ --keystore K --tip",
    "call @ /me --keystore K",
    "call GET @ --keystore K",
    "call POST /x --keystore K --body @",
    "call POST /x --keystore K --tip @",
    "call POST /x --keystore K --tip verify --timestamp @",
    "call POST /x --keystore K --tip remove-address --address-id @",
    "call POST /x --keystore K --tip verify @",
    "resolve --keystore @",
    "pending --keystore @",
    "pending --store sqlite:missing/@",
    "pending --keystore K --settled @",
    "pending --keystore K --api @",
    "token --keystore K --method @ --path /me",
    "token --keystore K --method GET --path @",
    "token --keystore K --method POST --path /me --body @",
    "token --keystore K --method GET --path /me --request-id @",
    "token --keystore K --method GET --path /me --ttl @x",
    "inspect --curl @",
    "inspect --token @ --method GET --path /me",
    "inspect --token x --method GET --path /me --body @",
    "inspect --curl C --at @x",
    "inspect --curl C --public-key @",
    "inspect --curl C --keystore @",
    "inspect --curl C --keystore K --tip-key @",
    "tip new-key --out @",
    "tip new-key --out missing/@",
    "tip sign --public-key @ read-emergency-contact",
    "tip sign --keystore @ read-emergency-contact",
    "tip sign transfer --amount @",
    "tip sign --user-id @ export-salt",
    "tip sign register-safe --public-key @",
    "tip @",
    "keystore @",
    "keystore check @",
    "keystore lock @",
    "keystore lock K --out @",
    "keystore lock K --out missing/@",
    "keystore unlock @",
    "keystore convert @ --shape bot",
    "keystore convert K --shape @",
    "keystore convert K --shape bot --out @",
    "keystore convert K --shape bot --out missing/@",
    "keystore new --kind @",
    "keystore new --kind ed25519 --app-keystore @ --name x --out new.json",
    "keystore new --kind ed25519 --app-keystore K --name x --out @",
    "store show --store @",
    "store show --store sqlite:/dev/null/@",
    "store reset @",
    "sandbox --listen @",
    "sandbox --accounts @",
    "sandbox --tries @x",
    "completions @",
    "explain @",
    "demo --session @",
];

#[test]
fn no_value_that_may_be_a_secret_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let good = keystore(folder.path(), "keystore-dashboard.json");
    let curl = testdata("create-pin.curl");
    for (at, (secret, mark)) in secrets().iter().enumerate() {
        for (place_at, place) in PLACES.iter().enumerate() {
            let words = place.split(' ').map(|word| match word {
                "K" => text(&good).to_owned(),
                "C" => text(&curl).to_owned(),
                word => word.replace('@', secret),
            });
            // Text and JSON alternate. Another secret of the same kind gets the other form.
            let json = if (at + place_at).is_multiple_of(2) { Some("--json".to_owned()) } else { None };
            let words: Vec<String> = json.into_iter().chain(words).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            assert_unseen(&run_in(folder.path(), &[], &words), mark, place);
        }
    }
}

#[test]
fn no_variable_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let good = keystore(folder.path(), "keystore-dashboard.json");
    let locked = folder.path().join("locked.json");
    let passphrase = folder.path().join("passphrase");
    private(&passphrase, "pebbles");
    let env = [("MIXIN_PASSPHRASE_FILE", text(&passphrase))];
    let run = run_in(folder.path(), &env, &["keystore", "lock", text(&good), "--out", text(&locked)]);
    assert_eq!(run.code, 0, "{run:?}");
    for (secret, mark) in secrets() {
        for json in [&[][..], &["--json"]] {
            for args in [&["me"][..], &["verify", "--tip"], &["tip", "sign", "read-emergency-contact"]] {
                let run = run_in(folder.path(), &[("MIXIN_KEYSTORE", &secret)], &[json, args].concat());
                assert!(run.code != 0, "{run:?}");
                assert_unseen(&run, mark, "MIXIN_KEYSTORE");
            }
            for name in ["MIXIN_API", "MIXIN_STORE"] {
                let run =
                    run_in(folder.path(), &[(name, &secret)], &[json, &["me", "--keystore", text(&good)]].concat());
                assert_unseen(&run, mark, name);
            }
            let store = format!("sqlite:/dev/null/{secret}");
            let run = run_in(folder.path(), &[("MIXIN_STORE", &store)], &[json, &["store", "show"]].concat());
            assert_unseen(&run, mark, "MIXIN_STORE");
        }
    }
    // A passphrase cannot be recognized, so the variable's value is never shown.
    for passphrase in secrets().iter().map(|(secret, _)| secret.as_str()).chain(["seven small stones", "hunter2", ""]) {
        for json in [&[][..], &["--json"]] {
            for args in [&["me", "--keystore", text(&locked)][..], &["keystore", "check", text(&locked)]] {
                let run = run_in(folder.path(), &[("MIXIN_PASSPHRASE_FILE", passphrase)], &[json, args].concat());
                assert_eq!(run.code, 2, "{run:?}");
                let said = format!("{}{}", run.stdout, run.stderr);
                assert!(passphrase.is_empty() || !said.contains(passphrase.trim()), "{said}");
                assert!(said.contains("MIXIN_PASSPHRASE_FILE"), "{said}");
            }
        }
    }
}

#[test]
fn a_value_in_place_of_a_file_name_is_shown_by_length_and_kind() {
    let folder = tempfile::tempdir().unwrap();
    let json = fs::read_to_string(testdata("keystore-dashboard.json")).unwrap();
    let length = json.chars().count();
    let hex = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    for (given, said) in [
        (json.as_str(), format!("a text of {length} characters that looks like JSON: give the name of a file")),
        (hex, "a text of 64 characters that looks like a key: give the name of a file".to_owned()),
        ("739146", "a text of 6 characters that looks like a PIN: give the name of a file".to_owned()),
        ("me.json", "me.json cannot be read".to_owned()),
        ("my keys/me.json", "my keys/me.json cannot be read".to_owned()),
        (
            "../Keystore-7b1f7f6e-5d0e-4f6e-9b0e-2f9b9e0f3c11",
            "../Keystore-7b1f7f6e-5d0e-4f6e-9b0e-2f9b9e0f3c11".to_owned(),
        ),
    ] {
        let run = run_in(folder.path(), &[], &["me", "--keystore", given]);
        assert!(run.code == 2 && run.stderr.contains(&said), "{run:?}");
    }
    // An argument may be a passphrase.
    let run = run_in(folder.path(), &[], &["keystore", "unlock", "me.json", "hunter2"]);
    assert!(run.code == 2 && !run.stderr.contains("hunter2"), "{run:?}");
    assert!(run.stderr.contains("a text of 7 characters"), "{run:?}");
    // A typing error in the command's own words is shown.
    let run = run_in(folder.path(), &[], &["verfy"]);
    assert!(run.stderr.contains("'verfy'") && run.stderr.contains("'verify'"), "{run:?}");
    let run = run_in(folder.path(), &[], &["me", "--keystor", "x"]);
    assert!(run.stderr.contains("'--keystor'") && run.stderr.contains("'--keystore'"), "{run:?}");
}

#[test]
fn no_file_is_created_under_a_secret_name() {
    let folder = tempfile::tempdir().unwrap();
    for (secret, _) in secrets() {
        let store = format!("sqlite:{secret}");
        for args in [
            &["tip", "new-key", "--out", &secret][..],
            &["man", "--out", &secret],
            &["store", "show", "--store", &store],
            &["sandbox", "--db", &secret],
        ] {
            let run = run_in(folder.path(), &[], args);
            assert_eq!(run.code, 2, "{run:?}");
        }
        let run = run_in(folder.path(), &[("MIXIN_STORE", &store)], &["store", "show"]);
        assert_eq!(run.code, 2, "{run:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn date(at: u64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at.try_into().unwrap()).unwrap()
}

/// A file with a PIN, for standard input.
fn pin(folder: &Path) -> fs::File {
    let path = folder.join("pin");
    private(&path, "314159\n");
    fs::File::open(&path).unwrap()
}

/// Verifies a PIN, in this folder.
fn verify(folder: &Path, env: &[(&str, &str)], args: &[&str]) -> Run {
    let mut command = command();
    command.current_dir(folder).envs(env.iter().copied()).args(["verify", "--pin-stdin"]).args(args);
    finished(command.stdin(pin(folder)).output().unwrap())
}

#[test]
fn no_next_command_is_given_if_it_would_quote_a_secret() {
    let api = server_that_goes_away();
    let folder = tempfile::tempdir().unwrap();
    let good = keystore(folder.path(), "keystore-dashboard.json");
    let hidden = "me\u{202e}.json";
    fs::copy(&good, folder.path().join(hidden)).unwrap();
    for (name, is_given) in [(text(&good), true), (hidden, false)] {
        let args = ["--keystore", name, "--api", &api, "--store", "memory:"];
        let run = verify(folder.path(), &[], &[&["--json"], &args[..]].concat());
        assert_eq!(run.code, 3, "{run:?}");
        let error = &run.json()["error"];
        assert_eq!(error["next_command"].is_string(), is_given, "{run:?}");
        assert_unseen(&run, hidden, "the next command");
        // The expiry of the request is always given.
        let expires_at = error["expires_at"].as_u64().unwrap_or_else(|| panic!("{run:?}"));
        assert!(expires_at > 1_700_000_000, "{run:?}");
        let told = error["message"].as_str().unwrap().contains(&format!("expires at {}", date(expires_at)));
        assert_eq!(told, !is_given, "{run:?}");
        let plain = verify(folder.path(), &[], &args);
        assert_eq!(plain.stderr.contains("expires at "), !is_given, "{plain:?}");
    }
}

#[test]
fn the_next_command_has_the_same_keystore_and_store() {
    let api = server_that_goes_away();
    let folder = tempfile::tempdir().unwrap();
    let good = keystore(folder.path(), "keystore-dashboard.json");
    // The name of an existing file is no secret, whatever it looks like.
    let commit = "3f786850e387550fdab836ed7e6dc881de23001b";
    fs::create_dir(folder.path().join(commit)).unwrap();
    let of_release = format!("{commit}/me.json");
    fs::copy(&good, folder.path().join(&of_release)).unwrap();
    for (name, store, env) in [
        ("keystore-dashboard.json", "sqlite:a@b.db", None),
        ("keystore-dashboard.json", "sqlite:a@b.db", Some("sqlite:other.db")),
        ("keystore-dashboard.json", "memory:", Some("redis://:hunter2@127.0.0.1:9/")),
        (&of_release, "memory:", None),
    ] {
        let env: Vec<_> = env.map(|env| ("MIXIN_STORE", env)).into_iter().collect();
        if store != "memory:" {
            // For a new session the client would ask for the server's time first.
            let mut encrypt = command();
            encrypt.current_dir(folder.path()).args(["encrypt", "--pin-stdin", "--keystore", name, "--store", store]);
            let encrypt = encrypt.stdin(pin(folder.path())).output().unwrap();
            assert_eq!(finished(encrypt).code, 0);
        }
        let run = verify(folder.path(), &env, &["--json", "--keystore", name, "--api", &api, "--store", store]);
        assert_eq!(run.code, 3, "{run:?}");
        // A store in memory lists nothing afterwards, so there is nothing to remove.
        let command = if store == "memory:" { "verify" } else { "resolve" };
        let next = format!("mixin-pin {command} --keystore {name} --api {api} --store {store}");
        assert_eq!(run.json()["error"]["next_command"], next, "{env:?}");
    }
}

#[cfg(unix)]
#[test]
fn the_chmod_command_in_a_warning_can_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let odd = folder.path().join("my keys;x");
    fs::create_dir(&odd).unwrap();
    let good = keystore(&odd, "keystore-dashboard.json");
    fs::set_permissions(&good, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let run = run_in(folder.path(), &[], &["keystore", "check", "my keys;x/keystore-dashboard.json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let (_, step) = run.stderr.trim_end().rsplit_once("run: ").unwrap();
    let step = std::process::Command::new("sh").current_dir(folder.path()).args(["-c", step]).status().unwrap();
    assert!(step.success(), "{run:?}");
    let run = run_in(folder.path(), &[], &["keystore", "check", "my keys;x/keystore-dashboard.json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
}

#[cfg(unix)]
#[test]
fn a_missing_file_among_odd_names_is_named_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let commit = "3f786850e387550fdab836ed7e6dc881de23001b";
    fs::create_dir_all(folder.path().join("rel").join(commit)).unwrap();
    for name in [&format!("rel/{commit}/nope.json"), "2024-01-31", "backups/20240131"] {
        let run = run_in(folder.path(), &[], &["me", "--keystore", name]);
        let said = format!("{name} cannot be read: No such file or directory");
        assert!(run.code == 2 && run.stderr.contains(&said), "{run:?}");
    }
    let run = run_in(folder.path(), &[], &["me", "--keystore", &"9d61b19deffd5a60".repeat(20)]);
    assert!(run.stderr.contains("looks like a key: give the name of a file (File name too long"), "{run:?}");
    #[cfg(feature = "redis")]
    {
        let run = run_in(folder.path(), &[], &["store", "show", "--store", "redis://a@127.0.0.1:1/"]);
        assert!(run.code == 4 && run.stderr.contains("connection refused"), "{run:?}");
    }
}
