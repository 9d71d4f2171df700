//! A decoded transaction as the other clients answer it.

use mixin_pin_safe::{Amount, Authorization, Output, Transaction};
use serde_json::{Map, Value, json};

use crate::hex;
use crate::peer::Client;

/// The Node SDK writes amounts below 10⁻⁶ with an exponent.
fn amount(amount: Amount, client: Client) -> String {
    let bytes = amount.to_be_bytes();
    let (high, [units]) = bytes.split_at(31) else { return amount.to_string() };
    match client {
        Client::Node if high.iter().all(|byte| *byte == 0) && (1..100).contains(units) => {
            format!("{:e}", f64::from(*units) / 1e8)
        }
        _ => amount.to_string(),
    }
}

fn output(output: &Output<'_>, client: Client) -> Value {
    let text = |bytes| String::from_utf8_lossy(bytes);
    json!({
        "type": output.kind.byte(),
        "amount": amount(output.amount, client),
        "keys": output.keys.iter().map(hex).collect::<Vec<_>>(),
        "mask": hex(output.mask),
        "script": hex(output.script),
        "withdrawal": output.withdrawal.map(|to| json!([text(to.address), text(to.tag)])),
    })
}

/// The answer to the job `decode`.
pub fn transaction(transaction: &Transaction<'_>, client: Client) -> Value {
    let mut signatures = Vec::new();
    if let Authorization::Signatures(maps) = transaction.authorization() {
        signatures.resize_with(maps.maps().into(), Map::new);
        for signed in &maps {
            signatures[usize::from(signed.input)].insert(signed.signer.to_string(), hex(signed.signature).into());
        }
    }
    let unsigned = [transaction.payload(), &[0, 0]].concat();
    json!({
        "asset": transaction.asset().to_string(),
        "inputs": transaction.inputs().map(|input| json!([hex(input.hash), input.index])).collect::<Vec<_>>(),
        "outputs": transaction.outputs().map(|one| output(&one, client)).collect::<Vec<_>>(),
        "references": transaction.references().iter().map(hex).collect::<Vec<_>>(),
        "extra": hex(transaction.extra()),
        "signatures": signatures,
        "unsigned": hex(unsigned),
        "hash": transaction.hash().to_string(),
    })
}
