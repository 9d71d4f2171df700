//! The crate `mixin-sdk-rs` as peer of the Safe's differential test: reads a JSON job a line, writes a JSON answer a line,
//! and needs no network. Started by `run`; `crates/mixin-pin-safe/interop/differential.rs` gives the jobs.
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::{self, BufRead as _, Write as _};

use mixin_sdk_rs::mix_address::MixAddress;
use mixin_sdk_rs::models::Output;
use mixin_sdk_rs::safe::{GhostKeys, SafeUser};
use mixin_sdk_rs::safe_transaction::{
    SafeTransaction, SafeTransactionRecipient, build_safe_transaction, decode_safe_transaction,
    encode_unsigned_safe_transaction, request_ghost_recipients_with_trace_id, sign_safe_transaction_with_index,
};
use serde::Deserialize;
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
struct Input {
    hash: String,
    index: u32,
    asset: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Receiver {
    Withdrawal { destination: String, tag: String, amount: String },
    Address { mix: String, amount: String },
}

impl Receiver {
    fn recipient(&self) -> Result<SafeTransactionRecipient> {
        Ok(match self {
            Self::Withdrawal { destination, tag, amount } => {
                SafeTransactionRecipient::withdrawal(destination, tag, amount)
            }
            Self::Address { mix, amount } => SafeTransactionRecipient::mix_address(MixAddress::parse(mix)?, amount),
        })
    }
}

#[derive(Deserialize)]
struct Ghost {
    mask: String,
    keys: Vec<String>,
}

#[derive(Deserialize)]
struct Build {
    inputs: Vec<Input>,
    outputs: Vec<Receiver>,
    ghosts: Vec<Option<Ghost>>,
    extra: String,
    references: Vec<String>,
}

impl Build {
    fn transaction(self) -> Result<SafeTransaction> {
        let spent: Vec<_> = self
            .inputs
            .into_iter()
            .map(|input| Output {
                transaction_hash: Some(input.hash),
                output_index: Some(input.index),
                kernel_asset_id: Some(input.asset),
                ..Output::default()
            })
            .collect();
        let ghosts: Vec<_> = self
            .ghosts
            .into_iter()
            .map(|ghost| ghost.map(|Ghost { mask, keys }| GhostKeys { key_type: "ghost_key".into(), mask, keys }))
            .collect();
        let extra = hex::decode(self.extra)?;
        Ok(build_safe_transaction(&spent, &recipients(&self.outputs)?, &ghosts, extra, self.references)?)
    }
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Job {
    Build(Build),
    Decode {
        raw: String,
    },
    /// Signs what it builds, or the bytes `raw`.
    Sign {
        raw: Option<String>,
        #[serde(flatten)]
        build: Option<Build>,
        views: Vec<String>,
        spend: String,
        #[serde(default)]
        sum: bool,
        position: u16,
    },
    Ghosts {
        outputs: Vec<Receiver>,
        trace: String,
        spend: String,
    },
    Address {
        mix: String,
    },
}

/// The crate exports no hash of a transaction.
fn hash(unsigned: &str) -> Result<String> {
    Ok(blake3::hash(&hex::decode(unsigned)?).to_hex().to_string())
}

fn recipients(outputs: &[Receiver]) -> Result<Vec<SafeTransactionRecipient>> {
    outputs.iter().map(Receiver::recipient).collect()
}

fn decode(raw: &str) -> Result<Value> {
    let transaction = decode_safe_transaction(raw)?;
    let unsigned = encode_unsigned_safe_transaction(&transaction)?;
    let outputs: Vec<_> = transaction
        .outputs
        .iter()
        .map(|output| {
            json!({
                "type": output.output_type,
                "amount": output.amount,
                "keys": output.keys,
                "mask": output.mask,
                "script": output.script,
                "withdrawal": output.withdrawal.as_ref().map(|to| json!([to.address, to.tag])),
            })
        })
        .collect();
    Ok(json!({
        "asset": transaction.asset,
        "inputs": transaction.inputs.iter().map(|input| json!([input.hash, input.index])).collect::<Vec<_>>(),
        "outputs": outputs,
        "references": transaction.references,
        "extra": hex::encode(&transaction.extra),
        "signatures": transaction.signature_map,
        "hash": hash(&unsigned)?,
        "unsigned": unsigned,
    }))
}

async fn answer(job: Job) -> Result<Value> {
    match job {
        Job::Build(build) => {
            let raw = encode_unsigned_safe_transaction(&build.transaction()?)?;
            Ok(json!({ "hash": hash(&raw)?, "raw": raw }))
        }
        Job::Decode { raw } => decode(&raw),
        Job::Sign { raw, build, views, spend, sum, position } => {
            let transaction = match (raw, build) {
                (Some(raw), _) => decode_safe_transaction(&raw)?,
                (None, Some(build)) => build.transaction()?,
                (None, None) => return Err("nothing to sign".into()),
            };
            let raw = sign_safe_transaction_with_index(&transaction, &views, &spend, sum, position)?;
            Ok(json!({ "raw": raw }))
        }
        // Only receivers with keys in their addresses: others would need the server.
        Job::Ghosts { outputs, trace, spend } => {
            let user = SafeUser {
                user_id: String::new(),
                session_id: String::new(),
                session_private_key: String::new(),
                server_public_key: String::new(),
                spend_private_key: spend,
                is_spend_private_sum: false,
            };
            let ghosts = request_ghost_recipients_with_trace_id(&recipients(&outputs)?, &trace, &user).await?;
            let shown: Vec<_> = ghosts
                .iter()
                .map(|ghost| ghost.as_ref().map(|ghost| json!({ "mask": ghost.mask, "keys": ghost.keys })))
                .collect();
            Ok(json!({ "ghosts": shown }))
        }
        Job::Address { mix } => {
            let address = MixAddress::parse(&mix)?;
            let members = if address.uuid_members.is_empty() { &address.xin_members } else { &address.uuid_members };
            Ok(json!({ "threshold": address.threshold, "members": members, "text": address.encode()? }))
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let shown = match answer(serde_json::from_str(&line?)?).await {
            Ok(answer) => json!({ "ok": answer }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        writeln!(output, "{shown}")?;
    }
    Ok(())
}
