//! An async bot: a webhook whose handlers make PIN calls of one session. When it starts, it first settles the calls that an
//! earlier run left in the journal.
//!
//! ```sh
//! cargo run -p mixin-pin-book --example async_bot
//! ```

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path as Parameter, State};
use axum::http::StatusCode;
use axum::routing::post;
use mixin_pin_async::{Client, Outcome, Verdict};
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Pin, PinKey, Session};
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use mixin_pin_sandbox::{Account, Config, Sandbox};
use mixin_pin_store::{CallKind, SqliteStore};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const OLD: &str = "314159";
const NEW: &str = "271828";

struct Bot {
    client: Client,
    pin: Pin,
}

/// Makes the client, and settles what an earlier run left. Returns the PIN that is valid.
async fn start(session: Session, url: &str, store: &Path) -> Result<Bot> {
    let client = Client::builder(session).base_url(url).store(SqliteStore::open(store)?).build()?;
    // A real bot saves the new PIN before it changes it, as the example `bot` does.
    let (old, new) = (Pin::new(OLD)?, Pin::new(NEW)?);
    let mut pin = Pin::new(OLD)?;
    let pending = client.pending().await?;
    if pending.iter().any(|call| call.kind == CallKind::UpdatePin) {
        println!("a change of the PIN is pending");
        // Once, for all changes in the journal.
        let plan = client.resolve_update(Some((&old).into()), (&new).into(), None).await?;
        match plan.settle().await?.verdict {
            Verdict::Applied(_) => pin = Pin::new(NEW)?,
            Verdict::NotApplied(_) => {}
            other => return Err(format!("the PIN is not known: {other:?}").into()),
        }
    }
    // Another process may be making some of them.
    let others = pending.iter().filter(|call| call.kind != CallKind::UpdatePin && call.under_way_for.is_none());
    for call in others {
        match call.kind {
            // It changed nothing.
            CallKind::VerifyPin => _ = client.settle(call.request_id).await?,
            _ => println!("look for {} {}, then settle {}", call.method, call.path, call.request_id),
        }
    }
    Ok(Bot { client, pin })
}

/// Removes an address. If the caller hangs up, this future is dropped. A call that was sent goes on to its end then.
async fn remove(State(bot): State<Arc<Bot>>, Parameter(id): Parameter<Uuid>) -> (StatusCode, String) {
    let path = format!("/addresses/{id}/delete");
    match bot.client.call_with_pin::<Value>("POST", &path, &Map::new(), &bot.pin).await {
        Ok(Outcome::Done(_)) => (StatusCode::OK, "removed".to_owned()),
        Ok(Outcome::Unknown(lost)) => (StatusCode::ACCEPTED, format!("{} is pending: {}", lost.request_id, lost.next)),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("nothing changed: {error}")),
    }
}

fn main() -> Result<()> {
    let sandbox = Sandbox::start(&Config::default())?;
    // The answers to changes of the PIN are lost.
    let losing = FaultProxy::start(sandbox.address(), |head| {
        if head.starts_with("POST /pin/update") { Fault::CloseAfter } else { Fault::None }
    })?;
    Runtime::new()?.block_on(run(&sandbox, &losing.url()))
}

async fn run(sandbox: &Sandbox, losing_url: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("iterators.db");

    // The first run changes the PIN. The answer is lost, and the bot stops.
    let bot = start(alice(Some(sandbox))?, losing_url, &store).await?;
    if let Outcome::Unknown(lost) = bot.client.change_pin(&bot.pin, &Pin::new(NEW)?).await? {
        println!("no answer: {}", lost.next);
    }
    drop(bot);

    // The second run settles it, and serves its webhook.
    let bot = Arc::new(start(alice(None)?, &sandbox.url(), &store).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/remove/{}", listener.local_addr()?, Uuid::from_u128(7));
    let router = Router::new().route("/remove/{id}", post(remove)).with_state(bot.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });

    // Calls that come at once take turns. One caller does not wait for its answer.
    let mut calls = JoinSet::new();
    for patience in
        [Duration::from_millis(1), Duration::from_secs(60), Duration::from_secs(60), Duration::from_secs(60)]
    {
        let call = reqwest::Client::new().post(&url).timeout(patience);
        calls.spawn(async move { call.send().await?.text().await });
    }
    while let Some(answer) = calls.join_next().await {
        println!("{}", answer?.unwrap_or_else(|_| "a caller hung up".to_owned()));
    }
    println!("{} calls are pending", bot.client.pending().await?.len());
    Ok(())
}

/// A session whose user the sandbox knows. A real program reads its session from a keystore.
fn alice(sandbox: Option<&Sandbox>) -> Result<Session> {
    let key = Ed25519Key::from_bytes(&[1; 32])?;
    let server = Ed25519Key::from_bytes(&[2; 32])?.public_key().to_x25519()?;
    let public_key = VerifyingKey::Ed25519(key.public_key());
    let (user_id, session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let session = Session::ed25519(user_id, session_id, key, &server)?;
    if let Some(sandbox) = sandbox {
        let pin_key = PinKey::from_bytes(session.pin_key().expose())?;
        let pin = Some(Pin::new(OLD)?);
        let account = Account { pin, ..Account::new(user_id, session_id, "Alice", public_key, pin_key) };
        sandbox.add_account(&account)?;
    }
    Ok(session)
}
