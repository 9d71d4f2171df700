//! `sandbox`: a local server that checks everything, until it is told to stop.

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::{Pin, PinKey, SystemRng};
use mixin_pin_http::Client;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_sandbox::{Account, Config, Observation, Observer, Sandbox};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::keystore;
use crate::args::{SandboxArgs, SessionKind};
use crate::error::Error;
use crate::files::{self, SecretFile};
use crate::keystores;
use crate::output::{self, GOOD, Output};
use crate::quoted::ShownPath;
use crate::time::calendar;

const KEYSTORE_NAME: &str = "app-keystore.json";

pub(crate) fn run(args: &SandboxArgs, output: &Output) -> Result<(), Error> {
    // Before anything is announced: who starts us may stop us at once.
    let stop = StopSignal::register()?;
    // Begun first: a user whose key could not be written is lost.
    let user_file = args.user_keystore_out.as_deref().map(SecretFile::create).transpose()?;
    let accounts = args.accounts.as_deref().map(read_accounts).transpose()?.unwrap_or_default();
    let sandbox = Sandbox::start(&Config {
        listen: args.listen,
        database: args.db.clone(),
        clock_tolerance: Duration::from_secs(args.clock_tolerance),
        tries_a_day: args.tries,
        refuse_repeated_requests: !args.allow_repeats,
        observer: args.record.as_deref().map(recorder).transpose()?,
        status_page: true,
        ..Config::default()
    })?;
    accounts.iter().try_for_each(|account| sandbox.add_account(account))?;
    let keystore = AppKeystore::write(args.app_keystore_out.as_deref(), sandbox.app_keystore())?;
    let url = sandbox.url();
    if let Some(file) = user_file {
        let session = Keystore::parse(sandbox.app_keystore().as_bytes())?.into_session(&mut SystemRng::new()?)?;
        let app = Client::builder(session).base_url(&url).build()?;
        let (_, text) = keystore::register(&app, SessionKind::Ed25519, "Me")?;
        file.finish(text.as_bytes())?;
    }
    let value = json!({
        "url": url,
        // Files that were made: no name of theirs is a secret.
        "app_keystore": keystore.path,
        "user_keystore": args.user_keystore_out,
        "accounts": accounts.len(),
    });
    output.result(&value, || {
        let path = ShownPath(&keystore.path);
        let next = how_to(&url, &path, args.user_keystore_out.as_deref());
        format!("{GOOD}listening{GOOD:#} on {url}, which a browser can look at\napp keystore: {path}\n{next}")
    })?;
    stop.wait();
    sandbox.stop()?;
    Ok(())
}

/// How to point a client at it.
fn how_to(url: &str, app_keystore: &impl fmt::Display, user_keystore: Option<&Path>) -> String {
    let user = match user_keystore {
        Some(path) => {
            format!("Give the user a PIN:\n  mixin-pin update --new-user --keystore {} --api {url}", ShownPath(path))
        }
        None => format!(
            "Register a user and use it:
  export MIXIN_API={url}
  mixin-pin keystore new --kind ed25519 --app-keystore {app_keystore} --name Me --out me.json
  mixin-pin update --keystore me.json --new-user"
        ),
    };
    format!(
        "
{user}

Point a client at it:
  Rust    Client::builder(session).base_url(\"{url}\").build()?
  Go      mixin.UseApiHost(\"{url}\")    // fox-one/mixin-sdk-go
  Node    MixinApi({{ keystore, requestConfig: {{ baseURL: '{url}' }} }})
  Python  HttpClient_WithAppConfig(AppConfig.from_payload(keystore), api_base=\"{url}\")    # mixinsdk

Stop with Ctrl-C."
    )
}

/// A user in a file for `--accounts`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    keystore: PathBuf,
    full_name: String,
    pin: Option<String>,
}

fn read_accounts(path: &Path) -> Result<Vec<Account>, Error> {
    let bytes = files::read_secret(path)?;
    let entries: Vec<Entry> =
        serde_json::from_slice(&bytes).map_err(|cause| Error::Accounts { path: path.to_owned(), cause })?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut accounts: Vec<Account> = Vec::new();
    for entry in entries {
        let keystore = folder.join(&entry.keystore);
        let account = account(&keystore, entry)?;
        // The sandbox would take the second for the first, come back after a restart.
        if accounts.iter().any(|other| other.session_id == account.session_id) {
            return Err(Error::AccountTwice { path: keystore });
        }
        accounts.push(account);
    }
    Ok(accounts)
}

fn account(path: &Path, entry: Entry) -> Result<Account, Error> {
    let pin = entry.pin.map(Zeroizing::new);
    let pin =
        pin.map(|pin| Pin::new(&pin).map_err(|cause| Error::Pin { which: "account's PIN", cause })).transpose()?;
    let keystore = keystores::read(path)?;
    let public_key = keystore.public_key();
    let session = keystores::open(path, keystore)?;
    Ok(Account {
        user_id: session.user_id(),
        session_id: session.session_id(),
        full_name: entry.full_name,
        public_key,
        pin_key: PinKey::from_bytes(session.pin_key().expose())?,
        pin,
    })
}

/// Writes every request and its verdict to a file.
fn recorder(path: &Path) -> Result<Observer, Error> {
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(|cause| Error::Write { path: path.to_owned(), cause })?;
    let path = path.to_owned();
    Ok(Arc::new(move |seen| {
        // Requests are told one after the other, each by one write.
        if let Err(cause) = (&file).write_all(format!("{}\n", line(seen)).as_bytes()) {
            output::warn(&Error::Write { path: path.clone(), cause }.to_string());
        }
    }))
}

fn line(seen: &Observation) -> Value {
    let pins: Vec<_> = seen
        .pins
        .iter()
        .map(|pin| json!({ "ciphertext": pin.ciphertext, "iterator": pin.iterator.map(|iterator| iterator.to_string()) }))
        .collect();
    json!({
        "at": calendar(seen.at).map(|time| time.to_string()),
        "method": seen.method,
        "path": seen.path,
        "request_id": seen.request_id.map(|id| id.to_string()),
        "user_agent": seen.user_agent,
        "session_id": seen.session_id.map(|id| id.to_string()),
        "body": seen.body,
        "pins": pins,
        "status": seen.status,
        "code": seen.code,
        "reason": seen.reason,
        "done": seen.is_done(),
    })
}

/// The app's keystore, in a file of the user's choice or in a folder that goes when the sandbox stops.
struct AppKeystore {
    path: PathBuf,
    _folder: Option<TempDir>,
}

impl AppKeystore {
    fn write(wanted: Option<&Path>, text: &str) -> Result<Self, Error> {
        let Some(path) = wanted else {
            let write = |cause| Error::Write { path: KEYSTORE_NAME.into(), cause };
            let folder = tempfile::Builder::new().prefix("mixin-pin-sandbox-").tempdir().map_err(write)?;
            let path = folder.path().join(KEYSTORE_NAME);
            SecretFile::create(&path)?.finish(text.as_bytes())?;
            return Ok(Self { path, _folder: Some(folder) });
        };
        match SecretFile::create(path) {
            Ok(file) => file.finish(text.as_bytes())?,
            // After a restart on the same database the file is there, and right.
            Err(Error::Exists { .. }) if files::read(path)? == text.as_bytes() => {}
            Err(error) => return Err(error),
        }
        Ok(Self { path: path.to_owned(), _folder: None })
    }
}

/// SIGTERM or SIGINT.
#[cfg(unix)]
struct StopSignal(signal_hook::iterator::Signals);

#[cfg(unix)]
impl StopSignal {
    fn register() -> Result<Self, Error> {
        use signal_hook::consts::{SIGINT, SIGTERM};

        signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map(Self).map_err(Error::Signals)
    }

    fn wait(mut self) {
        self.0.forever().next();
    }
}

/// Elsewhere the system ends the process.
#[cfg(not(unix))]
struct StopSignal;

#[cfg(not(unix))]
impl StopSignal {
    fn register() -> Result<Self, Error> {
        Ok(Self)
    }

    fn wait(self) {
        loop {
            std::thread::park();
        }
    }
}
