//! `safe`: real runs over the vectors.

mod common;

use std::fs;
use std::path::Path;

use common::{Run, keystore, private, run, testdata, text};
use mixin_pin_safe::{AssetId, Input, MaskSecret, Output, OutputKind, Transaction, Unsigned, Withdrawal};
use serde_json::{Value, json};

fn data(name: &str) -> String {
    text(&testdata("safe").join(name)).to_owned()
}

fn file(name: &str) -> String {
    fs::read_to_string(data(name)).unwrap().trim().to_owned()
}

/// The arguments of `safe sign` for the vector.
fn sign_args(folder: &Path) -> Vec<String> {
    let views = folder.join("views.json");
    private(&views, &file("views.json"));
    let (policy, inputs, receivers) = (data("policy.json"), data("inputs.json"), data("receivers.json"));
    let args =
        ["safe", "sign", &file("unsigned.txt"), "--policy", &policy, "--inputs", &inputs, "--receivers", &receivers];
    args.iter().map(ToString::to_string).chain(["--views".to_owned(), text(&views).to_owned()]).collect()
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn explain_prints_exactly_these_fields() {
    let json = run(&["safe", "explain", &file("signed.txt"), "--json"], b"").done().json();
    assert_eq!(
        json,
        json!({
            "hash": "efef5e4ffda5246694696956685ec62e2b3e81ac4c37f1957c99327fedffa213",
            "asset": "b9f49cf777dc4d03bc54cd1367eebca319f8603ea1ce18910d09e2c540c630d8",
            "inputs": [
                { "hash": "c513ffcc684e9585c76bd76245aa7d2def3b9f147422b59ab91db7852c9d97dd", "index": 0 },
            ],
            "outputs": [{
                "type": "00",
                "amount": "1",
                "threshold": 1,
                "keys": ["a6c306c3137c2bf4a8bfc95ea5165f7777020916aa36ee6ec394beb9a1e6a164"],
                "mask": "286d4f092015ea327ba12145edd40ddede1bdd80f777c249128d38176e352a13",
                "withdrawal": null,
                "class": "unknown",
                "to": null,
            }],
            "references": [],
            "extra": "746573742d6d656d6f",
            "signatures": [{ "input": 0, "signer": 0 }],
            "total_in": null,
            "total_out": "1",
            "inputs_known": false,
            "inputs_proven": false,
            "findings": [],
        })
    );
    // Standard input gives the same.
    let stdin = run(&["safe", "explain", "-", "--json"], format!("{}\n", file("signed.txt")).as_bytes()).done().json();
    assert_eq!(stdin, json);
}

#[test]
fn claims_that_are_false_are_findings() {
    let args =
        ["safe", "explain", &file("signed-other-receiver.txt"), "--receivers", &data("receivers.json"), "--json"];
    let json = run(&args, b"").done().json();
    assert_eq!(json["findings"][0]["kind"], "claim_key", "{json}");
    assert_eq!(json["findings"][0]["field"], "key 0 of output 0", "{json}");
    assert_eq!(json["outputs"][0]["class"], "unknown", "{json}");
}

/// The sums are checked all the same.
#[test]
fn a_false_claim_does_not_hide_other_findings() {
    let files = ["--receivers", &data("receivers.json"), "--inputs", &data("inputs.json"), "--json"];
    let other = file("signed-other-receiver.txt").replace("000405f5e100", "00040bebc200");
    let json = run(&[&["safe", "explain", &other], &files[..]].concat(), b"").done().json();
    let kinds: Vec<_> = json["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]).collect();
    assert_eq!(kinds, ["claim_key", "sums", "signature"], "{json}");
}

#[test]
fn explain_and_check_say_whom_an_output_pays() {
    let files = ["--inputs", &data("inputs.json"), "--receivers", &data("receivers.json"), "--json"];
    let raw = file("unsigned.txt");
    let explained = run(&[&["safe", "explain", &raw], &files[..]].concat(), b"").done().json();
    let checked = run(&[&["safe", "check", &raw, "--policy", &data("policy.json")], &files[..]].concat(), b"").done();
    for json in [explained, checked.json()] {
        assert_eq!(json["outputs"][0]["to"], json!({ "address": "MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc" }), "{json}");
        assert_eq!((&json["total_in"], &json["total_out"]), (&json!("1"), &json!("1")), "{json}");
        assert_eq!((&json["inputs_known"], &json["inputs_proven"]), (&json!(true), &json!(false)), "{json}");
    }
}

/// A script must not send what others have to sign.
#[test]
fn verify_fails_while_signatures_are_missing() {
    let verify = |raw: &str| {
        let run = run(&["safe", "verify", &file(raw), "--inputs", &data("inputs.json"), "--json"], b"");
        (run.code, run.json()["missing"].clone(), run.json()["complete"].clone())
    };
    assert_eq!(verify("unsigned.txt"), (1, json!([1]), json!(false)));
    assert_eq!(verify("signed.txt"), (0, json!([0]), json!(true)));
}

#[test]
fn a_key_is_not_read_for_what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = value("policy.json");
    policy["most"] = "0.5".into();
    let path = folder.path().join("policy.json");
    private(&path, &policy.to_string());
    let mut args = sign_args(folder.path());
    let at = args.iter().position(|arg| arg == "--policy").unwrap();
    text(&path).clone_into(&mut args[at + 1]);
    args.extend(["--spend-key-stdin".into(), "--json".into()]);
    // Standard input has no key.
    let refused = run(&strs(&args), b"");
    assert!(refused.code == 1 && refused.stdout.contains("more would leave than the policy allows"), "{refused:?}");
}

#[test]
fn without_a_terminal_or_proof_nothing_is_signed() {
    let folder = tempfile::tempdir().unwrap();
    let args = [sign_args(folder.path()), vec!["--spend-key-stdin".into(), "--yes".into(), "--json".into()]].concat();
    let refused = run(&strs(&args), file("spend.key").as_bytes());
    assert_eq!((refused.code, refused.kind().as_str()), (2, "input"), "{refused:?}");
    assert!(refused.stdout.contains("--yes signs only if all inputs and receivers are proven"), "{refused:?}");
}

#[cfg(target_os = "linux")]
mod at_a_terminal {
    use super::*;
    use common::terminal::Terminal;

    fn script(folder: &Path) -> String {
        let line = common::terminal::line(&strs(&sign_args(folder)));
        format!("{line} --spend-key-stdin --out {}/signed.txt < {}", text(folder), data("spend.key"))
    }

    #[test]
    fn signing_the_vector_gives_it_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let test = "signing_the_vector_gives_it_byte_for_byte";
        let Some(mut terminal) = Terminal::start(test, &script(folder.path())) else { return };
        let shown = terminal.wait_for("type yes to sign: ");
        let end = "not proven  1 of 1 inputs, 1 of 1 outputs\r\nleaves      1 of at most 1\r\ntype yes to sign: ";
        assert!(shown.ends_with(end), "{shown}");
        for part in ["MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc", "a server's answer says so"] {
            assert!(shown.contains(part), "{shown}");
        }
        terminal.types("yes\n");
        let (shown, code) = terminal.finish();
        assert_eq!(code, 0, "{shown}");
        let signed = fs::read_to_string(folder.path().join("signed.txt")).unwrap();
        assert_eq!(signed.trim(), file("signed.txt"));
        for secret in [file("spend.key"), file("views.json")[2..66].to_owned()] {
            assert!(!shown.contains(&secret), "{shown}");
        }
    }

    #[test]
    fn any_other_answer_signs_nothing() {
        // The last one is the end of the file.
        for answer in ["y", "no", "", "\u{4}"] {
            let folder = tempfile::tempdir().unwrap();
            let test = "any_other_answer_signs_nothing";
            let Some(mut terminal) = Terminal::start(test, &script(folder.path())) else { return };
            terminal.answer("type yes to sign: ", answer);
            let (shown, code) = terminal.finish();
            assert_eq!(code, 1, "{shown}");
            assert!(
                shown.contains("because the answer was not yes") && !folder.path().join("signed.txt").exists(),
                "{shown}"
            );
        }
    }
}

#[test]
fn keystores_without_a_spend_key_do_not_sign() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str| {
        let keystore = keystore(folder.path(), name);
        let args =
            [sign_args(folder.path()), vec!["--keystore".into(), text(&keystore).into(), "--json".into()]].concat();
        run(&strs(&args), b"")
    };
    let (bare, remote) = (with("keystore-dashboard.json"), with("keystore-remote-signer.json"));
    assert_eq!((bare.code, remote.code), (2, 2), "{bare:?} {remote:?}");
    assert!(bare.stdout.contains("there is no spend key"), "{bare:?}");
    assert!(remote.stdout.contains("the command needs the spend key itself, to add the view to it"), "{remote:?}");
}

#[test]
fn the_views_of_an_answer_are_of_this_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let views = folder.path().join("answer.json");
    let sign = |answer: &Value| {
        private(&views, &answer.to_string());
        let mut args = sign_args(folder.path());
        *args.last_mut().unwrap() = text(&views).to_owned();
        let args = [args, vec!["--spend-key-stdin".into(), "--yes".into(), "--json".into()]].concat();
        run(&strs(&args), file("spend.key").as_bytes())
    };
    let view: Value = serde_json::from_str(&file("views.json")).unwrap();
    let answer = |raw: &str, views: &Value| json!({ "data": [{ "request_id": "x", "raw_transaction": file(raw), "receivers": [{ "members": [] }], "views": views }] });
    // This far the views are accepted.
    for raw in ["unsigned.txt", "signed.txt"] {
        assert!(sign(&answer(raw, &view)).stdout.contains("--yes signs only if all inputs and receivers are proven"));
    }
    let request = answer("unsigned.txt", &view)["data"][0].clone();
    for whole in [json!({ "data": request }), json!([request]), request.clone(), view.clone(), view[0].clone()] {
        assert!(sign(&whole).stdout.contains("--yes signs only if all inputs and receivers are proven"), "{whole}");
    }
    for (whole, part) in [
        (json!({ "error": { "code": 401 } }), "it is an error answer of the server; ask again"),
        (json!({ "data": [] }), "has no views of this transaction"),
        (json!([{ "views": view }]), "item 0, raw_transaction: it is missing"),
        (json!([{ "raw_transaction": file("unsigned.txt") }]), "item 0, views: it is missing; it must be a list"),
        (json!([format!("0x{}", view[0].as_str().unwrap())]), "item 0: it must be 64 hexadecimal digits, without 0x"),
    ] {
        let refused = sign(&whole);
        assert!(refused.code == 2 && refused.stdout.contains(part), "{refused:?}");
    }
    for (state, is_unspent) in [
        (json!("unspent"), true),
        (Value::Null, true),
        (json!("signed"), false),
        (json!("spent"), false),
        (json!(""), false),
    ] {
        let mut answer = answer("unsigned.txt", &view);
        answer["data"][0]["state"] = state;
        let part = if is_unspent {
            "--yes signs only if all inputs and receivers are proven"
        } else {
            "item 0, state: it is not unspent"
        };
        assert!(sign(&answer).stdout.contains(part), "{answer}");
    }
    let other = sign(&answer("signed-other-amount.txt", &view));
    assert!(other.code == 2 && other.stdout.contains("has no views of this transaction"), "{other:?}");
    for (views, part) in [
        (json!([]), "the number of views is 0, and the number of inputs 1"),
        (json!([view[0], view[0]]), "the number of views is 2, and the number of inputs 1"),
        (json!(["00".repeat(32)]), "item 0, views[0]: "),
        (json!(["ff".repeat(32)]), "item 0, views[0]: "),
        (json!(["abc"]), "item 0, views[0]: "),
        (json!([{}]), "item 0, views[0]: it must be 64 hexadecimal digits in quotes, without 0x"),
    ] {
        let refused = sign(&answer("unsigned.txt", &views));
        assert!(refused.code == 2 && refused.stdout.contains(part), "{refused:?}");
    }
}

#[test]
fn addresses_are_shown() {
    let vectors: Value = serde_json::from_str(include_str!("../../mixin-pin-safe/testdata/safe-v5.json")).unwrap();
    for vector in vectors["mix_addresses"].as_array().unwrap() {
        let text = vector["mix"].as_str().unwrap();
        let shown = run(&["safe", "address", text, "--json"], b"");
        let members = vector["members_in_order"].as_array().unwrap();
        if text.starts_with("MIXSK624") {
            // The old address for storage holds no point.
            assert!(shown.code == 2 && shown.stdout.contains("is not a point"), "{shown:?}");
            continue;
        }
        let shown = shown.done().json();
        assert_eq!(
            (&shown["kind"], &shown["threshold"], shown["members"].as_array().unwrap()),
            (&vector["kind"], &vector["threshold"], members)
        );
    }
    let mut text = vectors["mix_addresses"][0]["mix"].as_str().unwrap().to_owned();
    text.replace_range(5..6, "2");
    assert_eq!(run(&["safe", "address", &text, "--json"], b"").code, 2);
}

fn check(files: &[(&str, &Value)]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let mut args = vec!["safe".to_owned(), "check".to_owned(), file("unsigned.txt"), "--json".to_owned()];
    for (name, value) in files {
        let path = folder.path().join(name);
        private(&path, &value.to_string());
        args.extend([format!("--{name}"), text(&path).to_owned()]);
    }
    run(&strs(&args), b"")
}

fn value(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap()
}

#[test]
fn a_policy_forbids_what_it_does_not_say() {
    let policy = value("policy.json");
    let with = |field: &str, new: Value| {
        let mut policy = policy.clone();
        policy[field] = new;
        policy
    };
    let without = |field: &str| {
        let mut policy = policy.clone();
        policy.as_object_mut().unwrap().remove(field);
        policy
    };
    for (policy, code, part) in [
        (without("asset"), 2, "asset: it is missing; it must be a UUID, or 64 hexadecimal digits"),
        (without("most"), 2, "most: it is missing; it must be an amount in quotes"),
        (without("most_outputs"), 2, "most_outputs: it is missing; it must be a number from 0 to 65535"),
        (without("until"), 2, "until: it is missing; it must be a time in quotes"),
        (without("extra"), 1, "the policy does not allow these bytes"),
        (without("receivers"), 1, "the policy does not name the receiver"),
        (without("unproven"), 1, "only a server's answer says"),
        (
            with("hidden", 1.into()),
            2,
            "policy: unknown field; the known ones are asset, most, most_outputs, until, own",
        ),
        (with("most", 1.into()), 2, "most: it must be an amount in quotes, such as \\\"1.5\\\""),
        (with("most", json!(1.5)), 2, "most: it must be an amount in quotes"),
        (with("most_outputs", "1".into()), 2, "most_outputs: it must be a number from 0 to 65535, without quotes"),
        (with("most_outputs", json!(-1)), 2, "most_outputs: it must be a number from 0"),
        (with("most_outputs", 70_000.into()), 2, "most_outputs: it must be a number from 0"),
        (with("receivers", "MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc".into()), 2, "receivers: it must be a list"),
        (with("receivers", json!([" MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc\n"])), 0, ""),
        (with("receivers", json!([OTHER_ASSET])), 2, "receivers[0]: it is an id, not an address"),
        (with("receivers", json!([7])), 2, "receivers[0]: it must be an address in quotes"),
        (with("withdrawals", json!(["0x00"])), 2, "withdrawals[0]: it must be an object"),
        (with("withdrawals", json!([{}])), 2, "withdrawals[0].address: it is missing"),
        (with("withdrawals", json!([{ "address": "0x00", "tag": 1 }])), 2, "withdrawals[0].tag: it must be a text"),
        (with("withdrawals", json!([{ "address": "0x00", "memo": "" }])), 2, "withdrawals[0]: unknown field"),
        (with("unproven", "Any".into()), 2, "unproven: it must be \\\"refuse\\\", \\\"attested\\\" or \\\"any\\\""),
        (with("unproven", true.into()), 2, "unproven: it must be"),
        (with("until", json!(4_102_444_800_u64)), 2, "until: it must be a time in quotes"),
        (with("extra", "any".into()), 2, "extra: it must be \\\"none\\\", or an object with either exactly or at_most"),
        (with("extra", json!({ "at_most": 9, "exactly": "74" })), 2, "extra: it must be"),
        (with("extra", json!({})), 2, "extra: it must be"),
        (with("extra", json!({ "at_most": 9, "hidden": 1 })), 2, "extra: unknown field"),
        (with("extra", json!({ "at_most": "9" })), 2, "extra.at_most: it must be a number of bytes"),
        (with("extra", json!({ "exactly": "" })), 2, "extra.exactly: it is empty; to forbid extra bytes"),
        (
            with("extra", json!({ "exactly": "0x74" })),
            2,
            "extra.exactly: it must be hexadecimal, in quotes and without 0x",
        ),
        (with("most", "1,5".into()), 2, "most: "),
        (with("most", "0.99999999".into()), 1, "more would leave than the policy allows"),
        (with("most_outputs", 0.into()), 1, "there are more than the policy allows"),
        (with("until", "2026-01-01T00:00:00Z".into()), 1, "the policy has expired"),
        (with("until", "tomorrow".into()), 2, "until: it must be a time"),
        (with("asset", "XIN".into()), 2, "asset: it must be a UUID"),
        (with("own", json!(["MIX"])), 2, "own[0]: "),
        (with("references", json!(["00"])), 2, "references[0]: it must be 64 hexadecimal digits in quotes, without 0x"),
        (with("extra", json!({ "exactly": "x" })), 2, "extra.exactly: it must be hexadecimal"),
    ] {
        let run =
            check(&[("policy", &policy), ("inputs", &value("inputs.json")), ("receivers", &value("receivers.json"))]);
        assert!(run.code == code && run.stdout.contains(part), "{policy} {run:?}");
        assert!(!run.stdout.contains("hidden"), "{run:?}");
    }
}

#[test]
fn spent_outputs_are_read_as_the_server_gives_them() {
    let item = value("inputs.json")[0].clone();
    let with = |field: &str, new: Value| {
        let mut item = item.clone();
        item[field] = new;
        json!([item])
    };
    let mut renamed = item.clone();
    let fields = renamed.as_object_mut().unwrap();
    let (asset, threshold) = (fields.remove("kernel_asset_id").unwrap(), fields.remove("receivers_threshold").unwrap());
    fields.insert("asset".to_owned(), asset);
    fields.insert("threshold".to_owned(), threshold);
    for (inputs, code, part) in [
        (json!({ "data": [item] }), 0, ""),
        (json!({ "data": item }), 0, ""),
        (json!([renamed]), 0, ""),
        (with("state", "unspent".into()), 0, ""),
        (with("state", Value::Null), 0, ""),
        (with("state", "signed".into()), 0, ""),
        (with("state", "spent".into()), 2, "the output that input 0 spends: its state is spent"),
        (
            json!([item, { "transaction_hash": "00".repeat(32), "output_index": 0, "asset": item["kernel_asset_id"],
            "amount": "1", "keys": [], "threshold": 1, "state": "spent" }]),
            0,
            "",
        ),
        (with("mask", "".into()), 0, ""),
        (with("mask", "00".into()), 2, "item 0, mask: "),
        (with("amount", "1.000000001".into()), 2, "item 0, amount: "),
        (with("amount", "2".into()), 1, "the sums of the spent outputs and of the outputs differ"),
        (with("asset_id", OTHER_ASSET.into()), 2, "item 0, asset_id: it differs from kernel_asset_id"),
        (with("output_index", 65536.into()), 2, "item 0, output_index: "),
        (with("receivers_threshold", 300.into()), 2, "item 0, receivers_threshold: "),
        (with("keys", json!(["00"])), 2, "item 0, keys[0]: "),
        (json!([item, item]), 2, "item 1: an item before it"),
        (json!([file("signed.txt")]), 2, "has no item with the hash and index of input 0"),
        (json!(["77"]), 2, "item 0: "),
        (json!([7]), 2, "item 0: it must be a raw transaction in hex"),
        (json!(7), 2, "inputs: it must be a list"),
        (with("amount", json!(1)), 2, "item 0, amount: it must be an amount in quotes"),
        (with("threshold", 2.into()), 2, "item 0, threshold: it differs from receivers_threshold"),
        (with("threshold", 1.into()), 0, ""),
        (with("keys", Value::Null), 2, "item 0, keys: it is missing; it must be a list"),
        (json!(["0x77"]), 2, "item 0: it must be a raw transaction in hex, in quotes and without 0x"),
        (json!({ "data": { "raw_transaction": file("signed.txt") } }), 2, "has no item with the hash"),
        (json!({ "raw_transaction": file("signed.txt") }), 2, "has no item with the hash"),
        (json!(file("signed.txt")), 2, "has no item with the hash"),
        (json!({ "data": { "raw_transaction": 7 } }), 2, "item 0, raw_transaction: it must be a raw transaction"),
        (json!({ "error": { "code": 401 } }), 2, "inputs: it is an error answer of the server; ask again"),
    ] {
        let run =
            check(&[("policy", &value("policy.json")), ("inputs", &inputs), ("receivers", &value("receivers.json"))]);
        assert!(run.code == code && run.stdout.contains(part), "{inputs} {run:?}");
        let is_signed = inputs[0]["state"] == "signed";
        assert_eq!(run.stderr.contains("its state is not unspent"), is_signed, "{inputs} {run:?}");
    }
}

#[test]
fn claims_on_receivers_have_one_basis() {
    let item = value("receivers.json")[0].clone();
    let with = |field: &str, new: Value| {
        let mut item = item.clone();
        item[field] = new;
        json!([item])
    };
    let trace = json!([{ "output": 0, "address": item["address"], "trace": "9dc60d4c-f301-48ef-97f2-32e9195648cb" }]);
    for (receivers, code, part) in [
        (with("mask_secret", "00".into()), 2, "item 0: give one of trace, mask_secret, or mask and keys together"),
        (with("keys", Value::Null), 2, "item 0: give one of trace, mask_secret, or mask and keys together"),
        (with("keys", json!(["00"])), 2, "item 0, keys[0]: it must be 64 hexadecimal digits in quotes, without 0x"),
        (with("address", "MIX".into()), 2, "item 0, address: "),
        (with("output", 1.into()), 1, "output 1 does not exist, but a claim says whom it pays"),
        (with("hidden", 1.into()), 2, "item 0: unknown field; the known ones are output, address"),
        (with("type", "ghost_key".into()), 0, ""),
        (with("output", "0".into()), 2, "item 0, output: it must be the index of the output, without quotes"),
        (with("keys", "00".into()), 2, "item 0, keys: it must be a list"),
        (
            json!({ "data": [{ "type": "ghost_key", "mask": item["mask"], "keys": item["keys"] }] }),
            2,
            "item 0, output: ",
        ),
        (json!({ "data": [item] }), 0, ""),
        (json!({ "error": { "code": 401 } }), 2, "receivers: it is an error answer of the server; ask again"),
        (json!([item, item]), 1, "there are two claims"),
        (trace, 2, "needs the spend key of the sender"),
    ] {
        let run =
            check(&[("policy", &value("policy.json")), ("inputs", &value("inputs.json")), ("receivers", &receivers)]);
        assert!(run.code == code && run.stdout.contains(part), "{receivers} {run:?}");
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    base16ct::lower::decode_vec(hex).unwrap()
}

fn block(hex: &str) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

const OTHER_ASSET: &str = "c94ac88f-4671-3976-b60a-09064f1811e8";
const OWN: &str = "XIN8AJMgQUD11jZYN9ggbQDqkmozrha3zPEZxEkKxVFBufZpEVMtrR6PjtmgtNAH6jrg8dTUQFb9waqqw9euU7Ea8AC6DEu8";
const TRACE: &str = "9dc60d4c-f301-48ef-97f2-32e9195648cb";

/// A transaction that withdraws 0.5 XIN and returns 1.5 to an address with keys, and the one whose output it spends.
fn provable() -> (String, String) {
    let keys: Vec<_> =
        value("inputs.json")[0]["keys"].as_array().unwrap().iter().map(|key| block(key.as_str().unwrap())).collect();
    let secret = MaskSecret::from_trace(TRACE.parse().unwrap(), 1, &bytes(&file("spend.key")));
    let (mask, key) = (secret.mask(), [secret.ghost_key(&OWN.parse().unwrap(), 1)]);
    let input = |hash, index| Input { hash, index, genesis: &[], deposit: None, mint: None };
    let paid = |amount: &str, keys, mask| Output {
        kind: OutputKind::Script,
        amount: amount.parse().unwrap(),
        keys,
        mask,
        script: &[0xff, 0xfe, 1],
        withdrawal: None,
    };
    let unsigned = |inputs: &[Input<'_>], outputs: &[Output<'_>]| {
        Unsigned { asset: AssetId::XIN, inputs, outputs, references: &[], extra: &[] }.encode().unwrap()
    };
    let source = unsigned(&[input(&[7; 32], 0)], &[paid("2", &keys, &mask)]);
    let hash = Transaction::decode(&source).unwrap().hash().0;
    let to = Withdrawal { address: b"0x1616b057F8a89955d4A4f9fd9Eb10289ac0e44A1", tag: b"" };
    let withdrawal = Output {
        kind: OutputKind::Withdrawal,
        keys: &[],
        mask: &[0; 32],
        script: &[],
        withdrawal: Some(to),
        ..paid("0.5", &[], &[0; 32])
    };
    let spending = unsigned(&[input(&hash, 0)], &[withdrawal, paid("1.5", &key, &mask)]);
    (base16ct::lower::encode_string(&source), base16ct::lower::encode_string(&spending))
}

#[test]
fn what_is_proven_is_signed_without_a_question() {
    let folder = tempfile::tempdir().unwrap();
    let (source, spending) = provable();
    assert_eq!((value("proven-inputs.json"), file("proven.txt")), (json!([source]), spending.clone()));
    let write = |name: &str, value: Value| {
        let path = folder.path().join(name);
        private(&path, &value.to_string());
        text(&path).to_owned()
    };
    let policy = data("proven-policy.json");
    let (inputs, views) = (write("inputs.json", json!([source])), write("views.json", value("views.json")));
    let receivers = write("receivers.json", value("proven-receivers.json"));
    let evidence = ["--policy", &policy, "--inputs", &inputs, "--receivers", &receivers, "--spend-key-stdin", "--json"];
    let key = file("spend.key");
    let checked = run(&[&["safe", "check", &spending], &evidence[..]].concat(), key.as_bytes()).done().json();
    assert_eq!(checked["leaves"], "0.5", "{checked}");
    let to = [&checked["outputs"][0]["to"], &checked["outputs"][1]["to"]];
    let address = "0x1616b057F8a89955d4A4f9fd9Eb10289ac0e44A1";
    assert_eq!(to, [&json!({ "withdrawal": { "address": address, "tag": "" } }), &json!({ "address": OWN })]);
    assert_eq!((&checked["total_in"], &checked["inputs_proven"]), (&json!("2"), &json!(true)), "{checked}");
    let sign = |views: &str| {
        run(&[&["safe", "sign", &spending, "--yes", "--views", views], &evidence[..]].concat(), key.as_bytes())
    };
    let signed = sign(&views).done().json();
    assert_eq!((&signed["missing"], &signed["hash"]), (&json!([0]), &checked["hash"]), "{signed}");
    assert_eq!(signed["complete"], true, "{signed}");
    assert_eq!(signed["signatures"], json!([{ "input": 0, "signer": 0 }]));
    let raw = signed["raw"].as_str().unwrap();
    let again =
        run(&[&["safe", "sign", raw, "--yes", "--views", &views], &evidence[..]].concat(), key.as_bytes()).done();
    assert!(again.stderr.contains("this key has signed 1 of 1 inputs already"), "{again:?}");
    assert_eq!(again.json()["raw"], raw);
    let verified = run(&["safe", "verify", raw, "--inputs", &inputs, "--json"], b"").done().json();
    assert_eq!(verified["missing"], json!([0]));
    // Without the proof of the input the command would have to ask.
    let transaction = bytes(&source);
    let stated = Transaction::decode(&transaction).unwrap();
    let keys: Vec<_> = stated.output(0).unwrap().keys.iter().map(|key| base16ct::lower::encode_string(key)).collect();
    let item = json!({
        "transaction_hash": stated.hash().to_string(), "output_index": 0, "kernel_asset_id": AssetId::XIN.to_string(),
        "amount": "2", "keys": keys, "receivers_threshold": 1,
    });
    write("inputs.json", json!([item]));
    let refused = sign(&views);
    assert!(refused.code == 2 && refused.stdout.contains("and an input is not"), "{refused:?}");
    write("inputs.json", json!([source]));
    private(&folder.path().join("receivers.json"), "[]");
    let refused = sign(&views);
    assert!(refused.code == 1 && refused.stdout.contains("nothing says who the receiver is"), "{refused:?}");
}

/// Text files that JSON allows, and those that only look like it.
#[test]
fn json_that_is_legal_is_not_called_something_else() {
    let policy = file("policy.json");
    let nested = format!("{{\"most\": {}", "[".repeat(200));
    for (text, part) in [
        (format!("\u{feff}{policy}"), None),
        (policy.replace("MIX3", "\\u004dIX3"), None),
        (policy.replace("\"most\"", "\"m\\u006fst\""), None),
        (policy.replace("\"1\"", "\"1\", \"most\": \"2\""), Some("an object has a field twice; keep one of them")),
        (policy.replace("\"1\"", "1e999"), Some("a number is too large")),
        (policy.replace("\"1\"", "\"\\ud800\""), Some("a text is not Unicode")),
        (nested, Some("values are nested too deeply")),
        (policy.replace('}', ""), Some("the text ends too early")),
        (policy.replace("\"1\"", "one"), Some("line 3, column 11: not JSON")),
    ] {
        let args =
            ["safe", "check", &file("unsigned.txt"), "--json", "--policy", "-", "--inputs", &data("inputs.json")];
        let run = run(&[&args[..], &["--receivers", &data("receivers.json")]].concat(), text.as_bytes());
        let is_right = part.map_or(run.code == 0, |part| run.code == 2 && run.stdout.contains(part));
        assert!(is_right, "{text} {run:?}");
    }
}

#[test]
fn raw_transactions_are_wrapped_empty_or_elsewhere() {
    let raw = file("unsigned.txt");
    let (first, second) = raw.split_at(76);
    let explained =
        run(&["safe", "explain", "-", "--json"], format!("\u{feff}{first}\r\n{second}\n").as_bytes()).done();
    assert_eq!(explained.json(), run(&["safe", "explain", &raw, "--json"], b"").done().json());
    for (raw, part) in [
        (data("unsigned.txt"), "is the name of a file; give - and put the file on standard input: - < FILE"),
        ("-".to_owned(), "there is no raw transaction: the argument or standard input is empty"),
        (String::new(), "there is no raw transaction: the argument or standard input is empty"),
        (format!("0x{raw}"), "is not hexadecimal; copy it whole, without 0x and quotes"),
    ] {
        let refused = run(&["safe", "explain", &raw, "--json"], b"");
        assert!(refused.code == 2 && refused.stdout.contains(part), "{refused:?}");
    }
}

#[test]
fn the_id_of_a_user_gives_an_address() {
    let of = |text: &str| run(&["safe", "address", text, "--json"], b"").done().json();
    let shown = of("67a87828-18f5-46a1-b6cc-c72a97a77c43");
    assert_eq!(shown["address"], "MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc", "{shown}");
    assert_eq!(shown, of("MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc"));
    assert_eq!(of(OWN)["address"], OWN);
}

/// The sender's key is not needed by those who sign after.
#[test]
fn co_signers_prove_receivers_with_what_check_writes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("for-others.json");
    let receivers = folder.path().join("receivers.json");
    private(&receivers, &file("proven-receivers.json"));
    let (policy, inputs) = (data("proven-policy.json"), data("proven-inputs.json"));
    let check = |receivers: &Path, out: Option<&Path>, key: &str| {
        let (raw, receivers) = (file("proven.txt"), text(receivers));
        let mut args = vec!["safe", "check", &raw, "--policy", &policy, "--inputs", &inputs, "--receivers", receivers];
        args.extend(["--json", "--spend-key-stdin"]);
        args.extend(out.into_iter().flat_map(|out| ["--receivers-out", text(out)]));
        run(&args, key.as_bytes())
    };
    // The key of another sender proves nothing, and nothing is written.
    let other = check(&receivers, Some(&out), &"07".repeat(32));
    assert!(other.code == 1 && !out.exists(), "{other:?}");
    assert!(other.stderr.contains("another payment, or the spend key of another sender"), "{other:?}");
    // A trace says nothing of what users receive.
    let claim = json!([{ "output": 0, "address": value("receivers.json")[0]["address"], "trace": TRACE }]);
    private(&folder.path().join("users.json"), &claim.to_string());
    let of_users = run(
        &[
            &[
                "safe",
                "check",
                &file("unsigned.txt"),
                "--spend-key-stdin",
                "--policy",
                &data("policy.json"),
                "--receivers",
            ],
            &[text(&folder.path().join("users.json"))][..],
        ]
        .concat(),
        file("spend.key").as_bytes(),
    );
    assert!(of_users.code == 1 && !of_users.stderr.contains("warning"), "{of_users:?}");
    let own = check(&receivers, Some(&out), &file("spend.key")).done().json();
    let written: Value = serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    let secret = MaskSecret::from_trace(TRACE.parse().unwrap(), 1, &bytes(&file("spend.key")));
    let secret = base16ct::lower::encode_string(secret.as_bytes());
    assert_eq!(written, json!([{ "output": 1, "address": OWN, "mask_secret": secret }]));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(check(&out, None, "").done().json(), own);
    // A file is never replaced, and answers of a server stay as they are.
    assert!(check(&receivers, Some(&out), &file("spend.key")).stdout.contains("exists"));
    let answered = folder.path().join("answered.json");
    let (policy, inputs, receivers) = (data("policy.json"), data("inputs.json"), data("receivers.json"));
    let files = ["--policy", &policy, "--inputs", &inputs, "--receivers", &receivers];
    run(&[&["safe", "check", &file("unsigned.txt"), "--receivers-out", text(&answered)], &files[..]].concat(), b"")
        .done();
    let written: Value = serde_json::from_str(&fs::read_to_string(&answered).unwrap()).unwrap();
    assert_eq!(written, value("receivers.json"));
}
