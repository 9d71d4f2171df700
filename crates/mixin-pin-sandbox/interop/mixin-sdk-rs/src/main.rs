//! The crate `mixin-sdk-rs` against a sandbox: digits, a TIP key, transfers. Started by `run`.
//!
//! It is unmodified. Its users, too, must do three things:
//! - Give digits as their text's hex, since it decodes every PIN as hex.
//! - Verify a TIP key with calls of their own: `verify_tip` signs the hash of `TIP:VERIFY:…`, where Mixin wants the text
//!   (MixinNetwork/bot-api-go-client: `pin.go`).
//! - Register with the safe in another way: `register_safe_user` signs SHA-256 of the user's id, where Mixin wants
//!   SHA3-256 (MixinNetwork/bot-api-go-client: `safe_user.go`; MixinNetwork/mixin: `crypto/hash.go`, whose `Sha256Hash` is
//!   SHA3-256).
#![forbid(unsafe_code)]

use std::error::Error;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs};

use mixin_sdk_rs::legacy_transfer::LegacyTransferRequest;
use mixin_sdk_rs::safe::SafeUser;
use mixin_sdk_rs::user::LogQuery;
use mixin_sdk_rs::{Client, auth, error, pin, request, tip};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const KEYSTORE: &str = "rust.json";
const ASSET: &str = "965e5c6e-434c-3fa9-b780-c50f43cd955c";

/// Runs our command and reads its answer.
fn mixin_pin(args: &[&str], input: &str) -> Result<Value> {
    let mut command = Command::new(env::var("MIXIN_PIN")?);
    let mut child = command.arg("--json").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no standard input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stdout).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

static PASSED: AtomicU32 = AtomicU32::new(0);

fn ok(name: &str) {
    PASSED.fetch_add(1, Ordering::Relaxed);
    println!("ok {name}");
}

fn refused<T>(result: std::result::Result<T, error::Error>, code: i32) -> Result<()> {
    match result {
        Err(error::Error::Api(error)) if error.code == code => Ok(()),
        Err(error) => Err(format!("refused otherwise than with {code}: {error}").into()),
        Ok(_) => Err("the call was not refused".into()),
    }
}

fn nanos() -> Result<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?)
}

fn digits(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn transfer(user_id: &str, trace_id: &str) -> LegacyTransferRequest {
    LegacyTransferRequest {
        asset_id: ASSET.to_owned(),
        opponent_id: user_id.to_owned(),
        amount: Some("1.5".to_owned()),
        trace_id: Some(trace_id.to_owned()),
        memo: Some("memo".to_owned()),
        pin: None,
    }
}

/// Signs the text of `TIP:VERIFY:…` without hashing it.
async fn verify_tip(user: &SafeUser) -> Result<()> {
    let timestamp = nanos()?;
    let text = format!("{}{timestamp:032}", tip::TIP_VERIFY);
    let signature = tip::sign_tip_body(text.as_bytes(), &user.spend_private_key, false)?;
    let encrypted = pin::encrypt_ed25519_pin(&signature, timestamp, user)?;
    let body = json!({ "pin_base64": encrypted, "timestamp": timestamp }).to_string();
    let token = auth::sign_authentication_token("POST", "/pin/verify", &body, user)?;
    let answer: Value =
        serde_json::from_slice(&request::request("POST", "/pin/verify", body.as_bytes(), &token).await?)?;
    if answer["data"]["user_id"] == json!(user.user_id) { Ok(()) } else { Err(answer.to_string().into()) }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let url = env::var("MIXIN_API")?;
    request::set_base_uri(url.clone());
    let new =
        ["keystore", "new", "--kind", "ed25519", "--app-keystore", "app.json", "--name", "Rust", "--out", KEYSTORE];
    mixin_pin(&[&new[..], &["--api", &url]].concat(), "")?;
    let keystore: Value = serde_json::from_slice(&fs::read(KEYSTORE)?)?;
    let field = |name: &str| keystore[name].as_str().unwrap_or_default().to_owned();
    let key = mixin_pin(&["tip", "new-key", "--out", "rust.key"], "")?;
    let user = SafeUser::new(
        field("user_id"),
        field("session_id"),
        field("session_private_key"),
        field("server_public_key"),
        fs::read_to_string("rust.key")?.trim().to_owned(),
    );
    let public_key = key["public_key"].as_str().ok_or("no public key")?;
    let client = Client::new(user.clone());
    let (first, second) = (digits("123456"), digits("654321"));

    assert_eq!(client.me().await?.user_id, user.user_id);
    ok("reads the profile");
    refused(client.verify_pin(&first).await, 20119)?;
    ok("is refused while there is no PIN");
    client.update_pin("", &first).await?;
    ok("creates the PIN");
    client.verify_pin(&first).await?;
    ok("verifies it");
    client.update_pin(&first, &second).await?;
    ok("changes it");
    refused(client.verify_pin(&first).await, 20119)?;
    let query = LogQuery { category: Some("PIN_INCORRECT".to_owned()), ..LogQuery::default() };
    assert_eq!(client.list_logs(&query).await?.len(), 1);
    ok("the old one is refused, and logged");
    // It encrypts "123456" as three bytes, a length that no PIN has.
    refused(client.verify_pin("123456").await, 20119)?;
    ok("six digits, which it decodes as hex, are refused");
    let trace_id = "0e9ab8c5-5a5d-4c4e-8a0f-6d3ac1f3a001";
    let paid = client.create_legacy_transfer_with_pin(&second, &transfer(&user.user_id, trace_id)).await?;
    assert_eq!(paid.trace_id.as_deref(), Some(trace_id));
    ok("transfers with digits");
    assert_eq!(client.fetch_transfer_by_trace(trace_id).await?.snapshot_id, paid.snapshot_id);
    ok("finds the transfer by its trace id");
    client.update_tip_pin(&second, public_key, 1).await?;
    ok("replaces the digits by a TIP key");
    verify_tip(&user).await?;
    ok("verifies the TIP key");
    assert!(client.verify_tip().await.is_err());
    ok("its own call for that, which signs a hash, is refused");
    assert!(client.register_safe_user().await.is_err());
    ok("its registration with the safe, which signs SHA-256, is refused");
    let trace_id = "0e9ab8c5-5a5d-4c4e-8a0f-6d3ac1f3a002";
    let action = tip::tip_body_for_transfer(ASSET, &user.user_id, "1.5", trace_id, "memo");
    let signature = tip::sign_tip_body(&action, &user.spend_private_key, false)?;
    let paid = client.create_legacy_transfer_with_pin(&signature, &transfer(&user.user_id, trace_id)).await?;
    assert_eq!(paid.trace_id.as_deref(), Some(trace_id));
    ok("transfers with a TIP signature");
    client.delete_address(&user.user_id).await?;
    ok("removes an address");
    client
        .unlock_multisig_with_pin(trace_id, &tip_signature(tip::TIP_MULTISIG_REQUEST_UNLOCK, trace_id, &user)?)
        .await?;
    ok("unlocks a multisig request");

    let encrypted = pin::encrypt_ed25519_pin(&digits("271828"), nanos()?, &user)?;
    let opened = mixin_pin(&["decrypt", "--keystore", KEYSTORE, "--reveal", "--", &encrypted], "")?;
    assert_eq!(opened["secret"], "271828");
    ok("our command decrypts its encrypted PIN");
    let verify = ["verify", "--api", &url, "--keystore", KEYSTORE, "--spend-key-stdin"];
    mixin_pin(&verify, &user.spend_private_key)?;
    verify_tip(&user).await?;
    ok("our command verifies the TIP key, and the crate again");
    let token = auth::sign_authentication_token("GET", "/me", "", &user)?;
    let report =
        mixin_pin(&["inspect", "--keystore", KEYSTORE, "--token", &token, "--method", "GET", "--path", "/me"], "")?;
    assert!(report["request_hash"]["matches"] == true && report["signature"]["valid"] == true);
    ok("our command verifies its token");
    println!("{} passed, 0 failed", PASSED.load(Ordering::Relaxed));
    Ok(())
}

fn tip_signature(prefix: &str, id: &str, user: &SafeUser) -> Result<String> {
    Ok(tip::sign_tip_body(&tip::tip_body(&format!("{prefix}{id}")), &user.spend_private_key, false)?)
}
