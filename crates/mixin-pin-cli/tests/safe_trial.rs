//! An outsider's trial: of the signed vector one thing is changed, and the command refuses with the right reason.

mod common;

use std::fs;
use std::path::Path;

use common::{Run, run, testdata, text};

/// Runs `safe COMMAND - …` in JSON. The names that end in json or key are files of the test data.
fn safe(command: &str, raw: &str, args: &[&str]) -> Run {
    let is_file = |arg: &&&str| Path::new(**arg).extension().is_some_and(|end| end == "json" || end == "key");
    let file = |arg: &&str| text(&testdata("safe").join(arg)).to_owned();
    let args: Vec<_> =
        args.iter().map(|arg| Some(arg).filter(is_file).map_or_else(|| (*arg).to_owned(), file)).collect();
    let args: Vec<_> = ["safe", command, raw, "--json"].into_iter().chain(args.iter().map(String::as_str)).collect();
    run(&args, b"")
}

fn file(name: &str) -> String {
    fs::read_to_string(testdata("safe").join(name)).unwrap().trim().to_owned()
}

const POLICY: [&str; 2] = ["--policy", "policy.json"];
const INPUTS: [&str; 2] = ["--inputs", "inputs.json"];
const RECEIVERS: [&str; 2] = ["--receivers", "receivers.json"];

/// The kind and the field of the refusal.
fn refusal(run: &Run) -> (String, String) {
    assert_eq!((run.code, run.kind().as_str()), (1, "does-not-hold"), "{run:?}");
    let refusal = &run.json()["error"]["refusal"];
    let text = |name: &str| refusal[name].as_str().unwrap_or_else(|| panic!("{run:?}")).to_owned();
    (text("kind"), text("field"))
}

#[test]
fn the_vector_is_allowed() {
    for raw in ["unsigned.txt", "signed.txt"] {
        let run = safe("check", &file(raw), &[POLICY, INPUTS, RECEIVERS].concat()).done();
        let json = run.json();
        assert_eq!(json["hash"], "efef5e4ffda5246694696956685ec62e2b3e81ac4c37f1957c99327fedffa213");
        assert_eq!((&json["leaves"], &json["outputs"][0]["class"]), (&"1".into(), &"attested".into()), "{json}");
    }
}

#[test]
fn a_change_of_anything_that_matters_is_refused_with_its_reason() {
    for (changed, kind, field) in [
        ("amount", "sums", "outputs"),
        ("receiver", "claim_key", "key 0 of output 0"),
        ("mask", "claim_mask", "mask of output 0"),
        ("threshold", "claim_threshold", "script of output 0"),
        ("extra", "signature", "signatures of input 0"),
        ("asset", "asset_not_allowed", "asset"),
        ("reference", "signature", "signatures of input 0"),
        ("signature", "signature", "signatures of input 0"),
    ] {
        let raw = file(&format!("signed-other-{changed}.txt"));
        let run = safe("check", &raw, &[POLICY, INPUTS, RECEIVERS].concat());
        assert_eq!(refusal(&run), (kind.to_owned(), field.to_owned()), "{changed}");
    }
    // Another input is not in the file of spent outputs.
    let run = safe("check", &file("signed-other-input.txt"), &[POLICY, INPUTS, RECEIVERS].concat());
    assert_eq!((run.code, run.kind().as_str()), (2, "input"), "{run:?}");
    assert!(run.stdout.contains("has no item with the hash and index of input 0"), "{run:?}");
}

/// The same changes before the first signature.
#[test]
fn a_change_before_the_first_signature_is_refused_with_its_reason() {
    for (changed, kind, field) in [
        ("amount", "sums", "outputs"),
        ("receiver", "claim_key", "key 0 of output 0"),
        ("mask", "claim_mask", "mask of output 0"),
        ("threshold", "claim_threshold", "script of output 0"),
        ("extra", "extra_not_allowed", "extra"),
        ("asset", "asset_not_allowed", "asset"),
        ("reference", "reference_not_allowed", "reference 0"),
    ] {
        let signed = file(&format!("signed-other-{changed}.txt"));
        // A signature has 70 bytes behind the payload: two counts, a position and the 64 bytes.
        let raw = format!("{}0000", &signed[..signed.len() - 140]);
        let run = safe("check", &raw, &[POLICY, INPUTS, RECEIVERS].concat());
        assert_eq!(refusal(&run), (kind.to_owned(), field.to_owned()), "{changed}");
    }
}

#[test]
fn keys_of_the_spent_output_in_another_order_do_not_fit_the_signature() {
    let run = safe("check", &file("signed.txt"), &[POLICY, ["--inputs", "inputs-swapped.json"], RECEIVERS].concat());
    assert_eq!(refusal(&run), ("signature".to_owned(), "signatures of input 0".to_owned()));
    let run = safe("verify", &file("signed.txt"), &["--inputs", "inputs-swapped.json"]);
    assert_eq!((run.code, run.kind().as_str()), (1, "does-not-hold"), "{run:?}");
}

#[test]
fn another_view_does_not_sign() {
    let key = fs::read(testdata("safe").join("spend.key")).unwrap();
    let paths =
        ["policy.json", "inputs.json", "receivers.json", "views-other.json"].map(|name| testdata("safe").join(name));
    let [policy, inputs, receivers, views] = paths.each_ref().map(|path| text(path));
    let raw = file("unsigned.txt");
    let args =
        ["safe", "sign", &raw, "--policy", policy, "--inputs", inputs, "--receivers", receivers, "--views", views];
    let run = run(&[&args[..], &["--spend-key-stdin", "--json"]].concat(), &key);
    assert_eq!((run.code, run.kind().as_str()), (1, "does-not-hold"), "{run:?}");
    assert!(run.stdout.contains("input 0 cannot be signed"), "{run:?}");
}
