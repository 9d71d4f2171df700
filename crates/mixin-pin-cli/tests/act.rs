//! `act`, against `mixin-pin sandbox`, which rebuilds the action from the request.

mod common;

use std::fs;

use common::{Run, SandboxProcess, private, run};
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use serde_json::{Value, json};

const ID: &str = "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09";
const OTHER: &str = "0e7b0f86-9c53-4f0c-8a4d-6a3a3b1c9a52";
const KEY: &str = "5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed5eed";

/// A sandbox with a user.
struct User {
    sandbox: SandboxProcess,
    keystore: String,
    record: String,
}

impl User {
    /// A user whose PIN is 123456, or the TIP key.
    fn new(with_tip: bool) -> Self {
        let record = tempfile::NamedTempFile::new().unwrap().into_temp_path().to_str().unwrap().to_owned();
        let sandbox = SandboxProcess::start(&["--record", &record]);
        let keystore = sandbox.register("ed25519");
        let user = Self { sandbox, keystore, record };
        let (option, pin) = if with_tip { ("--spend-key-stdin", KEY) } else { ("--pin-stdin", "123456") };
        user.run(&["update", "--new-user", option], pin).done();
        user
    }

    fn run(&self, args: &[&str], stdin: &str) -> Run {
        self.sandbox.run(&[args, &["--keystore", &self.keystore]].concat(), &format!("{stdin}\n"))
    }

    fn act(&self, action: &[&str]) -> Run {
        self.run(&[&["act"], action, &["--spend-key-stdin"]].concat(), KEY)
    }

    fn act_by_digits(&self, action: &[&str]) -> Run {
        self.run(&[&["act"], action, &["--pin-stdin"]].concat(), "123456")
    }

    /// The path of the last request.
    fn last_path(&self) -> String {
        let record = fs::read_to_string(&self.record).unwrap();
        let last: Value = serde_json::from_str(record.lines().last().unwrap()).unwrap();
        last["path"].as_str().unwrap().to_owned()
    }
}

/// Every action that a receipt answers, with its path and the prefix that is signed. `ID` is the id in the path.
const RECEIPTS: &[(&[&str], &str, &str)] = &[
    (&["add-address", "--asset-id", ID, "--destination", "bc1q", "--label", "home"], "/addresses", "TIP:ADDRESS:ADD:"),
    (
        &["add-address", "--asset-id", ID, "--chain-id", OTHER, "--destination", "b", "--tag", "7", "--label", "l"],
        "/addresses",
        "TIP:ADDRESS:ADD:",
    ),
    (&["remove-address", "--address-id", ID], "/addresses/ID/delete", "TIP:ADDRESS:REMOVE:"),
    (&["sign-multisig", "--request-id", ID], "/multisigs/ID/sign", "TIP:MULTISIG:REQUEST:SIGN:"),
    (&["unlock-multisig", "--request-id", ID], "/multisigs/ID/unlock", "TIP:MULTISIG:REQUEST:UNLOCK:"),
    (&["sign-collectible", "--request-id", ID], "/collectibles/requests/ID/sign", "TIP:COLLECTIBLE:REQUEST:SIGN:"),
    (
        &["unlock-collectible", "--request-id", ID],
        "/collectibles/requests/ID/unlock",
        "TIP:COLLECTIBLE:REQUEST:UNLOCK:",
    ),
    (
        &[
            "transfer",
            "--asset-id",
            ID,
            "--opponent-id",
            OTHER,
            "--amount",
            "1.50",
            "--trace-id",
            "00000000-0000-4000-8000-000000000001",
            "--memo",
            "m",
        ],
        "/transfers",
        "TIP:TRANSFER:CREATE:",
    ),
    (
        &["withdraw", "--address-id", ID, "--amount", "2", "--trace-id", "00000000-0000-4000-8000-000000000002"],
        "/withdrawals",
        "TIP:WITHDRAWAL:CREATE:",
    ),
    (
        &[
            "withdraw",
            "--address-id",
            ID,
            "--amount",
            "2",
            "--fee",
            "0.10",
            "--trace-id",
            "00000000-0000-4000-8000-000000000003",
        ],
        "/withdrawals",
        "TIP:WITHDRAWAL:CREATE:",
    ),
    (
        &[
            "transaction",
            "--asset-id",
            ID,
            "--opponent-key",
            "XINkey",
            "--amount",
            "3",
            "--trace-id",
            "00000000-0000-4000-8000-000000000004",
        ],
        "/transactions",
        "TIP:TRANSACTION:CREATE:",
    ),
    (
        &[
            "transaction",
            "--asset-id",
            ID,
            "--receiver",
            OTHER,
            "--receiver",
            ID,
            "--threshold",
            "2",
            "--amount",
            "3",
            "--trace-id",
            "00000000-0000-4000-8000-000000000005",
        ],
        "/transactions",
        "TIP:TRANSACTION:CREATE:",
    ),
    (
        &["update-phone-number", "--verification-id", ID, "--code", "1234"],
        "/verifications/ID",
        "TIP:PHONE:NUMBER:UPDATE:",
    ),
    (
        &["update-provisioning", "--device-id", ID, "--secret", "c2VjcmV0"],
        "/provisionings/ID",
        "TIP:PROVISIONING:UPDATE:",
    ),
];

fn path(with_id: &str) -> String {
    with_id.split('/').map(|segment| if segment == "ID" { ID } else { segment }).collect::<Vec<_>>().join("/")
}

#[test]
fn each_action_has_its_own_description() {
    let all = run(&["act", "--help"], b"").done().stdout;
    for (action, about) in [("log-out", "End a session of the user"), ("transfer", "Pay another user")] {
        let own = run(&["act", action, "--help"], b"").done().stdout;
        assert!(own.starts_with(about), "{own}");
        assert!(all.lines().any(|line| line.trim_start().starts_with(action) && line.contains(about)), "{all}");
    }
}

#[test]
fn an_action_is_carried_out_by_its_options_alone() {
    let (tip, digits) = (User::new(true), User::new(false));
    for (action, with_id, prefix) in RECEIPTS {
        let receipt = tip.act(action).done().json();
        assert_eq!((&receipt["holds"], &receipt["action"]["name"]), (&json!(true), &json!(prefix)), "{action:?}");
        assert_eq!(tip.last_path(), path(with_id), "{action:?}");
        let receipt = digits.act_by_digits(action).done().json();
        assert_eq!((&receipt["holds"], &receipt["pin"]["kind"]), (&json!(true), &json!("six-digit")), "{action:?}");
        assert_eq!(digits.last_path(), path(with_id), "{action:?}");
    }
    // A payment is made once. Its amount is sent as it is signed.
    let transfer = RECEIPTS.iter().find(|(action, ..)| action[0] == "transfer").unwrap().0;
    assert_eq!(tip.act(transfer).done().json()["received"]["amount"], "1.5");
    // Nothing is pending afterwards.
    assert_eq!(tip.run(&["pending"], "").done().json(), json!({ "pending": [] }));
}

#[test]
fn an_emergency_contact_is_set_read_and_removed() {
    for with_tip in [true, false] {
        let user = User::new(with_tip);
        let act = |action: &[&str]| if with_tip { user.act(action) } else { user.act_by_digits(action) };
        let missing = act(&["read-emergency-contact"]);
        assert_eq!((missing.code, &missing.json()["error"]["code"]), (1, &json!(404)));
        act(&["create-emergency-contact", "--verification-id", ID, "--code", "1234"]).done();
        assert_eq!(user.last_path(), format!("/emergency_verifications/{ID}"));
        assert_eq!(act(&["read-emergency-contact"]).done().json()["verification_id"], ID);
        act(&["remove-emergency-contact"]).done();
        assert_eq!(act(&["read-emergency-contact"]).json()["error"]["code"], 404);
    }
}

#[test]
fn a_user_registers_with_the_safe_and_exports_the_salt() {
    let user = User::new(true);
    let (master, salt) = (user.sandbox.path("master.key"), user.sandbox.path("salt"));
    private(master.as_ref(), &format!("{}\n", "7".repeat(64)));
    private(salt.as_ref(), &format!("{}\n", "A".repeat(64)));
    let registered = user.act(&["register-safe", "--salt", &salt, "--master-key", &master]).done().json();
    assert_eq!((&registered["has_safe"], user.last_path()), (&json!(true), "/safe/users".to_owned()));
    let exported = user.act(&["export-salt", "--master-key", &master]).done().json();
    assert_eq!((&exported["salt_base64"], user.last_path()), (&json!("A".repeat(64)), "/me/salt_export".to_owned()));

    // A wallet's safe key is not its TIP key.
    let user = User::new(true);
    private(master.as_ref(), &"8".repeat(64));
    let registered = user.act(&["register-safe", "--safe-key", &master]).done().json();
    assert_eq!(registered["has_safe"], true);

    private(salt.as_ref(), "no salt!");
    let refused = user.act(&["register-safe", "--salt", &salt]);
    assert!(refused.code == 2 && refused.stdout.contains("must be base64"), "{refused:?}");
    private(master.as_ref(), "no key");
    let refused = user.act(&["export-salt", "--master-key", &master]);
    assert!(refused.code == 2 && refused.stdout.contains("cannot be used as --master-key"), "{refused:?}");
}

#[test]
fn an_app_is_transferred_by_itself() {
    let user = User::new(false);
    let me = user.run(&["me"], "").done().json();
    let app = ["--keystore", &user.sandbox.app_keystore];
    user.sandbox.run(&[&["update", "--new-user", "--spend-key-stdin"], &app[..]].concat(), KEY).done();
    let owner = me["user"]["user_id"].as_str().unwrap();
    let transfer = ["act", "transfer-app-ownership", "--user-id", owner, "--spend-key-stdin"];
    let given = user.sandbox.run(&[&transfer[..], &app].concat(), KEY).done().json();
    assert_eq!(given["creator_id"], owner);
}

#[test]
fn a_session_or_an_account_ends() {
    for with_tip in [true, false] {
        for (action, path) in [
            (&["log-out", "--session-id", "own"][..], "/logout"),
            (&["deactivate-user"], "/me/deactivate"),
            (&["deactivate-user", "--phone-verification-id", ID], "/me/deactivate"),
        ] {
            let user = User::new(with_tip);
            let keystore: Value = serde_json::from_slice(&fs::read(&user.keystore).unwrap()).unwrap();
            let session = keystore["session_id"].as_str().unwrap();
            let action: Vec<&str> = action.iter().map(|word| if *word == "own" { session } else { word }).collect();
            if with_tip { user.act(&action) } else { user.act_by_digits(&action) }.done();
            assert_eq!(user.last_path(), path);
            assert_eq!(user.run(&["me"], "").json()["error"]["code"], 401, "{action:?}");
        }
    }
}

#[test]
fn an_authorization_is_approved_with_its_scopes() {
    let user = User::new(true);
    let refused = user.act(&["approve-oauth", "--authorization-id", ID, "--scope", "PROFILE:READ"]);
    // The sandbox knows no such authorization. It has read the action, because the signature was accepted.
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (1, &json!(10002)), "{refused:?}");
    assert_eq!(user.last_path(), "/oauth/authorize");
}

#[test]
fn wrong_input_is_refused_before_anything_is_sent() {
    let user = User::new(true);
    let before = fs::read_to_string(&user.record).unwrap();
    let amount = |amount: &str| {
        user.act(&["transfer", "--asset-id", ID, "--opponent-id", ID, "--trace-id", ID, "--amount", amount])
    };
    for text in ["1e3", "01", "1,5", ""] {
        let refused = amount(text);
        assert!(refused.code == 2 && refused.stdout.contains("plain decimal"), "{refused:?}");
    }
    // Digits and a key at once, a key for digits, and options of another action.
    let both = ["act", "read-emergency-contact", "--pin-stdin", "--spend-key-stdin"];
    assert_eq!(user.run(&both, KEY).kind(), "usage");
    assert_eq!(user.run(&["act", "register-safe", "--pin-stdin"], "123456").kind(), "usage");
    assert_eq!(user.act(&["remove-address", "--address-id", ID, "--amount", "1"]).kind(), "usage");
    assert_eq!(user.act(&["remove-address", "--address-id", "7"]).kind(), "usage");
    assert_eq!(user.run(&["act"], "").code, 2);
    assert_eq!(fs::read_to_string(&user.record).unwrap(), before);
    // The public key shows that it is not the installed one.
    let other = user.run(&["act", "read-emergency-contact", "--spend-key-stdin"], &"6".repeat(64));
    assert_eq!((other.code, other.kind().as_str()), (2, "input"), "{other:?}");
}

#[test]
fn a_lost_answer_is_listed_with_its_path() {
    let user = User::new(false);
    let address = user.sandbox.url.strip_prefix("http://").unwrap().parse().unwrap();
    let lose = |head: &str| if head.starts_with("POST ") { Fault::CloseAfter } else { Fault::None };
    let proxy = FaultProxy::start(address, lose).unwrap();
    let (url, store) = (proxy.url(), format!("sqlite:{}", user.sandbox.path("own.db")));
    let scene = ["--json", "--keystore", &user.keystore, "--store", &store, "--api", &url];
    let remove = ["act", "remove-address", "--address-id", ID, "--pin-stdin"];
    let unknown = run(&[&remove[..], &scene].concat(), b"123456\n");
    assert_eq!((unknown.code, unknown.kind().as_str()), (3, "unknown"), "{unknown:?}");
    let pending = run(&[&["pending"], &scene[..]].concat(), b"").done().json();
    assert_eq!(pending["pending"][0]["path"], format!("/addresses/{ID}/delete"));
    assert_eq!(pending["pending"][0]["request_id"], unknown.json()["error"]["request_id"]);
}
