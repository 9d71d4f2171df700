//! Payments: a trace id is paid once, and can be looked up. What may be signed, and the codes of refusals.

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{Kind, now, register, rng, sandbox, send, signed, verdict};
use mixin_pin_core::tip::{Amount, TipAction, TipKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{MonotonicNonces, Pin, Secret, Session};
use mixin_pin_protocol::call::Calls;
use mixin_pin_sandbox::{Config, Sandbox};
use serde_json::{Map, Value, json};

const ASSET: Uuid = Uuid::from_u128(0xa);
const OPPONENT: Uuid = Uuid::from_u128(0xb);
const TRACE: Uuid = Uuid::from_u128(0xc);
const ADDRESS: Uuid = Uuid::from_u128(0xd);

/// A user with the PIN 123456. Requests are made by hand.
struct User<'s> {
    sandbox: &'s Sandbox,
    session: Session,
    nonces: MonotonicNonces,
}

fn pin() -> Secret {
    Pin::new("123456").unwrap().into()
}

fn tip_key() -> TipKey {
    TipKey::from_seed(&[1; 32])
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("{value}") };
    map
}

fn transfer(amount: &str) -> Value {
    json!({"asset_id": ASSET, "opponent_id": OPPONENT, "amount": amount, "trace_id": TRACE, "memo": "thanks"})
}

impl<'s> User<'s> {
    fn new(sandbox: &'s Sandbox, kind: Kind) -> Self {
        let user = Self { sandbox, session: register(sandbox, kind), nonces: MonotonicNonces::new() };
        let pin = Pin::new("123456").unwrap();
        let create = Calls::new(&user.session, now(), &mut rng()).nonces(&user.nonces).create_pin(&pin);
        assert_eq!(verdict(&send(sandbox, &signed(&user.session, create))), (0, ""));
        user
    }

    fn with_tip(sandbox: &'s Sandbox) -> Self {
        let user = Self { sandbox, session: register(sandbox, Kind::Ed25519), nonces: MonotonicNonces::new() };
        let create = Calls::new(&user.session, now(), &mut rng()).nonces(&user.nonces).create_tip(&tip_key());
        assert_eq!(verdict(&send(sandbox, &signed(&user.session, create))), (0, ""));
        user
    }

    fn post(&self, path: &str, body: Value, credential: Secret) -> Value {
        let body = object(body);
        let call =
            Calls::new(&self.session, now(), &mut rng()).nonces(&self.nonces).with_pin("POST", path, &body, credential);
        send(self.sandbox, &signed(&self.session, call))
    }

    fn get(&self, path: &str) -> Value {
        send(
            self.sandbox,
            &signed(&self.session, Calls::new(&self.session, now(), &mut rng()).other("GET", path, None)),
        )
    }
}

#[test]
fn a_trace_id_is_paid_once_and_can_be_looked_up() {
    for kind in [Kind::Rsa1024, Kind::Ed25519] {
        let sandbox = sandbox();
        let user = User::new(&sandbox, kind);
        for path in [format!("/transfers/trace/{TRACE}"), "/transfers/trace/x".to_owned()] {
            assert_eq!(verdict(&user.get(&path)), (404, "trace_id"), "nothing is paid yet");
        }
        let receipt = user.post("/transfers", transfer("1.50"), pin())["data"].clone();
        assert_eq!((&receipt["type"], &receipt["amount"]), (&json!("transfer"), &json!("-1.5")));
        assert_eq!((&receipt["trace_id"], &receipt["memo"]), (&json!(TRACE), &json!("thanks")));
        assert_eq!(receipt["opponent_id"], json!(OPPONENT));
        assert!(receipt["snapshot_id"].as_str().unwrap().parse::<Uuid>().is_ok());

        // The same payment, in other words.
        let mut same = transfer("1.5");
        same["asset_id"] = ASSET.to_string().to_uppercase().into();
        same["trace_id"] = TRACE.simple().to_string().into();
        same["not_paid"] = json!(1);
        for body in [transfer("1.50"), same] {
            assert_eq!(user.post("/transfers", body, pin())["data"], receipt);
        }
        for path in ["/transfers/trace", "/snapshots/trace"] {
            assert_eq!(user.get(&format!("{path}/{TRACE}"))["data"], receipt);
        }

        // Another payment under the same id.
        let mut other_memo = transfer("1.5");
        other_memo["memo"] = Value::Null;
        for body in [transfer("1.51"), other_memo] {
            assert_eq!(verdict(&user.post("/transfers", body, pin())), (20_125, "trace_id"));
        }
        let withdrawal = json!({"address_id": ADDRESS, "amount": "1.5", "trace_id": TRACE});
        assert_eq!(verdict(&user.post("/withdrawals", withdrawal, pin())), (20_125, "trace_id"));
        // A wrong PIN is refused first.
        let wrong = Pin::new("999999").unwrap();
        assert_eq!(verdict(&user.post("/transfers", transfer("1.5"), wrong.into())), (20_119, "pin"));

        let other = User::new(&sandbox, kind);
        assert_eq!(verdict(&other.post("/transfers", transfer("1.5"), pin())), (20_125, "trace_id"));
        assert_eq!(verdict(&other.get(&format!("/transfers/trace/{TRACE}"))), (404, "trace_id"));
    }
}

#[test]
fn withdrawals_and_transactions_are_paid_once_too_and_without_a_trace_id_each_call_pays() {
    let sandbox = sandbox();
    let user = User::new(&sandbox, Kind::Ed25519);
    let receivers = json!({"receivers": [ASSET, OPPONENT], "threshold": 2});
    for (path, kind, body) in [
        ("/withdrawals", "withdrawal", json!({"address_id": ADDRESS, "amount": "1.5", "trace_id": TRACE})),
        (
            "/transactions",
            "raw",
            json!({"asset_id": ASSET, "amount": "1.5", "trace_id": ADDRESS, "opponent_multisig": receivers}),
        ),
    ] {
        let receipt = user.post(path, body.clone(), pin())["data"].clone();
        assert_eq!(receipt["type"], kind);
        assert_eq!(user.post(path, body.clone(), pin())["data"], receipt);
        let id = body["trace_id"].as_str().unwrap();
        assert_eq!(user.get(&format!("/snapshots/trace/{id}"))["data"], receipt);

        let mut untraced = object(body);
        untraced.remove("trace_id");
        let ids = [(); 2].map(|()| user.post(path, untraced.clone().into(), pin())["data"]["snapshot_id"].clone());
        assert!(ids[0].is_string() && ids[0] != ids[1], "{ids:?}");
    }
}

#[test]
fn a_payment_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let start = |path: &Path| Sandbox::start(&Config { database: Some(path.to_owned()), ..Config::default() }).unwrap();
    let sandbox = start(&path);
    let user = User::new(&sandbox, Kind::Ed25519);
    let receipt = user.post("/transfers", transfer("1"), pin());
    let User { session, nonces, .. } = user;
    sandbox.stop().unwrap();
    let sandbox = start(&path);
    let user = User { sandbox: &sandbox, session, nonces };
    assert_eq!(user.post("/transfers", transfer("1"), pin()), receipt);
    assert_eq!(user.get(&format!("/transfers/trace/{TRACE}")), receipt);
}

#[test]
fn amounts_and_receivers_are_refused_with_the_codes_of_mixins_list() {
    let sandbox = sandbox();
    let user = User::new(&sandbox, Kind::Ed25519);
    let twice = json!({"receivers": [ASSET, ASSET], "threshold": 1});
    for (path, body, code, field) in [
        ("/transfers", transfer("0.00"), 20_120, "amount"),
        ("/withdrawals", json!({"address_id": ADDRESS, "amount": "0", "trace_id": TRACE}), 20_127, "amount"),
        ("/transactions", json!({"amount": "1", "opponent_multisig": twice}), 20_150, "opponent_multisig"),
        ("/transfers", transfer("0.123456789"), 10_002, "amount"),
        ("/transfers", transfer("1e3"), 10_002, "amount"),
        ("/transfers", transfer("-1"), 10_002, "amount"),
        ("/withdrawals", json!({"amount": "1", "fee": "x"}), 10_002, "fee"),
        ("/transfers", json!({"amount": "1", "memo": "ä".repeat(201)}), 10_002, "memo"),
        ("/transfers", json!({"amount": "1", "trace_id": "7"}), 10_002, "trace_id"),
        ("/transfers", json!({"amount": "1", "trace_id": 7}), 10_002, "trace_id"),
    ] {
        let answer = user.post(path, body, pin());
        assert_eq!((verdict(&answer).0, &answer["error"]["extra"]["field"]), (code, &json!(field)), "{answer}");
    }
    let mut long = transfer("1");
    long["more"] = "x".repeat(16 << 10).into();
    assert_eq!(verdict(&user.post("/transfers", long, pin())), (400, "body_too_long"));
    let mut most = transfer("0.12345678000");
    most["memo"] = "ä".repeat(200).into();
    assert_eq!(user.post("/transfers", most, pin())["data"]["amount"], "-0.12345678");
}

#[test]
fn a_withdrawal_without_a_fee_is_signed_with_nothing_or_with_0() {
    let sandbox = sandbox();
    let user = User::with_tip(&sandbox);
    let amount = Amount::new("1.5").unwrap();
    let signed_with = |fee: Option<&str>, trace_id| {
        let fee = fee.map(|fee| Amount::new(fee).unwrap());
        tip_key().secret(&TipAction::Withdraw { address_id: ADDRESS, amount, fee, trace_id, memo: "" })
    };
    for (number, (sent, fee, verdict_of)) in [
        (None, None, (0, "")),
        (None, Some("0"), (0, "")),
        (None, Some("1"), (20_119, "signature")),
        (Some("0"), Some("0"), (0, "")),
        (Some("0"), None, (20_119, "signature")),
        (Some("0.1"), Some("0.1"), (0, "")),
        (Some("0.1"), None, (20_119, "signature")),
    ]
    .into_iter()
    .enumerate()
    {
        let trace_id = Uuid::from_u128(number as u128);
        let mut body = json!({"address_id": ADDRESS, "amount": "1.5", "trace_id": trace_id});
        if let Some(fee) = sent {
            body["fee"] = fee.into();
        }
        let answer = user.post("/withdrawals", body, signed_with(fee, trace_id));
        assert_eq!(verdict(&answer), verdict_of, "{sent:?} {fee:?}");
        if verdict_of.0 == 0 {
            let fee = fee.map(|fee| Amount::new(fee).unwrap());
            let action = TipAction::Withdraw { address_id: ADDRESS, amount, fee, trace_id, memo: "" };
            let body = base16ct::lower::encode_string(action.body().as_bytes());
            assert_eq!(answer["data"]["action"]["body"], body, "the receipt shows what was signed");
        }
    }
}

#[test]
fn both_paths_of_multisigs_and_both_names_of_the_pin_are_served() {
    let sandbox = sandbox();
    let user = User::with_tip(&sandbox);
    let id = Uuid::from_u128(9);
    for between in ["", "/requests"] {
        for field in ["pin", "pin_base64"] {
            for (word, action) in [
                ("sign", TipAction::SignMultisig { request_id: id }),
                ("unlock", TipAction::UnlockMultisig { request_id: id }),
            ] {
                let nonce = mixin_pin_core::NonceSource::next(&user.nonces, now()).unwrap();
                let pin = user.session.pin_key().encrypt(tip_key().secret(&action), nonce, &mut rng());
                let body = json!({ (field): pin.to_standard().as_str() }).to_string();
                let path = format!("/multisigs{between}/{id}/{word}");
                let call = Calls::new(&user.session, now(), &mut rng()).other("POST", &path, Some(body.as_bytes()));
                let answer = send(&sandbox, &signed(&user.session, call));
                assert_eq!(verdict(&answer), (0, ""), "{path} {field}");
                assert_eq!(answer["data"]["pin"]["field"], field);
            }
        }
    }
}

#[test]
fn many_receivers_do_not_hold_up_the_sandbox() {
    let sandbox = sandbox();
    let user = User::new(&sandbox, Kind::Ed25519);
    let receivers: Vec<u32> = (0..100_000).collect();
    let body = json!({"asset_id": ASSET, "amount": "1", "opponent_multisig": {"receivers": receivers}});
    let began = Instant::now();
    assert_eq!(verdict(&user.post("/transactions", body, pin())), (0, ""));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
