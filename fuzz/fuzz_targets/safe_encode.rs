//! Encodes any parts. They come back from the bytes, or they are refused because they are beyond a limit.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mixin_pin_fuzz::planted;
use mixin_pin_safe::{
    Amount, AssetId, Deposit, EncodeProblem, Input, Mint, Output, OutputKind, Transaction, Unsigned, Withdrawal,
};

#[derive(Arbitrary, Debug)]
struct Parts {
    asset: [u8; 32],
    inputs: Vec<AnyInput>,
    outputs: Vec<AnyOutput>,
    references: Vec<[u8; 32]>,
    extra: Vec<u8>,
    /// How often the parts are repeated: so counts reach their limits.
    times: [u8; 4],
}

#[derive(Arbitrary, Debug)]
struct AnyInput {
    hash: [u8; 32],
    index: u16,
    genesis: Vec<u8>,
    deposit: Option<([u8; 32], Vec<u8>, Vec<u8>, u64, [u8; 32])>,
    mint: Option<(Vec<u8>, u64, [u8; 32])>,
}

#[derive(Arbitrary, Debug)]
struct AnyOutput {
    kind: (u8, u8),
    amount: [u8; 32],
    keys: Vec<[u8; 32]>,
    mask: [u8; 32],
    script: Vec<u8>,
    withdrawal: Option<(Vec<u8>, Vec<u8>)>,
}

fn amount(bytes: &[u8; 32]) -> Amount {
    Amount::from_be_bytes(bytes).expect("256 bits")
}

impl AnyInput {
    fn borrow(&self) -> Input<'_> {
        Input {
            hash: &self.hash,
            index: self.index,
            genesis: &self.genesis,
            deposit: self.deposit.as_ref().map(|(chain, asset_key, transaction, index, units)| Deposit {
                chain,
                asset_key,
                transaction,
                index: *index,
                amount: amount(units),
            }),
            mint: self.mint.as_ref().map(|(group, batch, units)| Mint { group, batch: *batch, amount: amount(units) }),
        }
    }
}

impl AnyOutput {
    fn borrow(&self) -> Output<'_> {
        Output {
            kind: match self.kind {
                (0, _) => OutputKind::Script,
                (1, _) => OutputKind::Withdrawal,
                (_, byte) => OutputKind::Other(byte),
            },
            amount: amount(&self.amount),
            keys: &self.keys,
            mask: &self.mask,
            script: &self.script,
            withdrawal: self.withdrawal.as_ref().map(|(address, tag)| Withdrawal { address, tag }),
        }
    }
}

fuzz_target!(|parts: Parts| {
    let times = parts.times.map(|times| usize::from(times) + 1);
    let inputs = parts.inputs.iter().map(AnyInput::borrow).collect::<Vec<_>>().repeat(times[0]);
    let outputs = parts.outputs.iter().map(AnyOutput::borrow).collect::<Vec<_>>().repeat(times[1]);
    let references = parts.references.repeat(times[2]);
    let extra = parts.extra.repeat(times[3]);
    let unsigned = Unsigned {
        asset: AssetId(parts.asset),
        inputs: &inputs,
        outputs: &outputs,
        references: &references,
        extra: &extra,
    };
    match unsigned.encode() {
        Ok(raw) => {
            let transaction = Transaction::decode(&raw).expect("what is encoded decodes");
            assert_eq!(transaction.asset(), unsigned.asset);
            assert!(transaction.inputs().eq(inputs.iter().copied()));
            assert!(transaction.outputs().eq(outputs.iter().copied()));
            assert_eq!(transaction.references(), references);
            assert_eq!(transaction.extra(), extra);
            assert_eq!(unsigned.hash(), Ok(transaction.hash()));
            assert_eq!(unsigned.encode_into(&mut vec![0; raw.len()]), Ok(&raw[..]));
            let short = unsigned.encode_into(&mut vec![0; raw.len() - 1]).expect_err("one byte is missing");
            assert_eq!(short.problem(), EncodeProblem::Buffer { needed: raw.len() });
            planted(outputs.len() > 1 && transaction.outputs().all(|output| output.keys.len() == 1));
        }
        Err(error) => {
            let counts = [inputs.len(), outputs.len(), references.len()];
            let beyond = counts.iter().any(|count| *count > 256)
                || inputs.iter().any(|input| input.index > 1024)
                || outputs.iter().any(|output| matches!(output.kind, OutputKind::Other(0 | 0xa1)));
            assert!(beyond, "{error}");
            assert_eq!(unsigned.hash(), Err(error));
        }
    }
});
