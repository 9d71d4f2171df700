//! The messages of decoding and encoding, compared with `testdata/errors-decode.txt`.

mod common;

use std::fmt::Write as _;

use common::{decode_hex, patch, testdata, vectors};
use mixin_pin_safe::{Amount, AssetId, Deposit, Input, Output, OutputKind, Transaction, Unsigned, Withdrawal};

const INPUT: Input<'_> = Input { hash: &[7; 32], index: 0, genesis: &[], deposit: None, mint: None };
const OUTPUT: Output<'_> =
    Output { kind: OutputKind::Script, amount: Amount::ZERO, keys: &[], mask: &[0; 32], script: &[], withdrawal: None };

/// What encoding says of parts that are beyond a limit, each with all its neighbours.
fn encode_errors() -> Vec<String> {
    let (long, blocks) = (vec![0; 65_536], vec![[0; 32]; 257]);
    let extra = vec![0; 4 << 20];
    let deposit = Deposit { chain: &[0; 32], asset_key: &[], transaction: &[], index: 0, amount: Amount::ZERO };
    let withdrawal = Withdrawal { address: b"", tag: b"" };
    let unsigned = Unsigned { asset: AssetId::XIN, inputs: &[], outputs: &[], references: &[], extra: &[] };
    let mint = mixin_pin_safe::Mint { group: &long, batch: 0, amount: Amount::ZERO };
    let inputs = [
        Input { index: 1025, ..INPUT },
        Input { genesis: &long, ..INPUT },
        Input { deposit: Some(Deposit { asset_key: &long, ..deposit }), ..INPUT },
        Input { deposit: Some(Deposit { transaction: &long, ..deposit }), ..INPUT },
        Input { mint: Some(mint), ..INPUT },
    ];
    let outputs = [
        Output { kind: OutputKind::Other(0), ..OUTPUT },
        Output { kind: OutputKind::Other(0xa1), ..OUTPUT },
        Output { keys: &blocks, ..OUTPUT },
        Output { script: &long, ..OUTPUT },
        Output { withdrawal: Some(Withdrawal { address: &long, ..withdrawal }), ..OUTPUT },
        Output { withdrawal: Some(Withdrawal { tag: &long, ..withdrawal }), ..OUTPUT },
    ];
    let (many_inputs, many_outputs) = (vec![INPUT; 257], vec![OUTPUT; 257]);
    let mut wrong = vec![
        Unsigned { inputs: &many_inputs, ..unsigned },
        Unsigned { outputs: &many_outputs, ..unsigned },
        Unsigned { references: &blocks, ..unsigned },
        Unsigned { extra: &extra, ..unsigned },
    ];
    let too_long = [extra.as_slice(), &[0]].concat();
    wrong.push(Unsigned { extra: &too_long, ..unsigned });
    wrong.extend(inputs.chunks(1).map(|inputs| Unsigned { inputs, ..unsigned }));
    wrong.extend(outputs.chunks(1).map(|outputs| Unsigned { outputs, ..unsigned }));
    let mut errors = Vec::new();
    for unsigned in wrong {
        let error = unsigned.encode_into(&mut []).unwrap_err();
        assert_eq!(unsigned.encoded_len(), Err(error));
        assert_eq!(unsigned.hash(), Err(error));
        errors.push(error.to_string());
    }
    errors.push(unsigned.encode_into(&mut [0; 9]).unwrap_err().to_string());
    errors
}

#[test]
fn messages_are_unchanged() {
    let base = decode_hex(&vectors()["spend_with_view"][0]["signed_raw"]);
    let mut said = String::new();
    for case in testdata("refusals-decode.json")["cases"].as_array().unwrap() {
        let line = Transaction::decode(&patch(&base, &case["patch"])).unwrap_err().to_string() + "\n";
        if !said.contains(&line) {
            said += &line;
        }
    }
    for error in encode_errors() {
        writeln!(said, "{error}").unwrap();
    }
    assert!(said == include_str!("../testdata/errors-decode.txt"), "{said}");
}
