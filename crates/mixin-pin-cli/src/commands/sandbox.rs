//! `sandbox`: runs a local server that checks everything, until SIGINT or SIGTERM.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Pin, SystemRng};
use mixin_pin_http::Client;
use mixin_pin_protocol::answer::MAX_BODY_LEN;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_sandbox::{Account, Config, Observation, Observer, Sandbox};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::args::{SandboxArgs, SessionKind, TryWindow};
use crate::error::{Error, FileProblem, KeystoreProblem};
use crate::files::{self, SecretFile};
use crate::keystore;
use crate::output::{self, GOOD, Output};
use crate::redact::ShownPath;
use crate::registration::register;
use crate::system::{self, StopSignal};
use crate::time::calendar;

/// The longest list of accounts: ten thousand with their names.
const MAX_ACCOUNTS: usize = 4 * MAX_BODY_LEN;
const KEYSTORE_NAME: &str = "app-keystore.json";

pub(crate) fn run(args: &SandboxArgs, output: &Output) -> Result<(), Error> {
    // Signals are handled before the sandbox is announced: its starter may stop it at once.
    system::leave_signals_to_command();
    let stop = StopSignal::register().map_err(Error::Signals)?;
    // The file comes first: if the key cannot be written, the user must not be registered.
    let user_file = args.user_keystore_out.as_deref().map(SecretFile::create).transpose()?;
    let accounts = args.accounts.as_deref().map(read_accounts).transpose()?.unwrap_or_default();
    let sandbox = Sandbox::start(&Config {
        listen: args.listen,
        database: args.db.clone(),
        clock_tolerance: Duration::from_secs(args.clock_tolerance),
        tries_a_day: args.tries,
        try_window: match args.try_window {
            TryWindow::Growing => mixin_pin_sandbox::TryWindow::Growing,
            TryWindow::Rolling => mixin_pin_sandbox::TryWindow::Rolling,
            TryWindow::UtcDay => mixin_pin_sandbox::TryWindow::UtcDay,
        },
        wrong_pin_spends_iterator: !args.keep_iterators,
        old_pin_first: args.old_pin_first,
        refuse_repeated_requests: !args.allow_repeats,
        require_request_id: args.require_request_id,
        upgrade_changes_session: args.upgrade_changes_session,
        answer_repeated_upgrades: !args.refuse_repeated_upgrades,
        observer: args.record.as_deref().map(recorder).transpose()?,
        status_page: true,
        ..Config::default()
    })?;
    sandbox.add_accounts(&accounts)?;
    let app_keystore = AppKeystore::write(args.app_keystore_out.as_deref(), sandbox.app_keystore())?;
    let url = sandbox.url();
    if let Some(file) = user_file {
        let session = Keystore::parse(sandbox.app_keystore().as_bytes())?.into_session(&mut SystemRng::new()?)?;
        let app = Client::builder(session).base_url(&url).build()?;
        let (_, text) = register(&app, SessionKind::Ed25519, "Me")?;
        file.finish(text.as_bytes())?;
    }
    let value = json!({
        "url": url,
        // Files that exist now, so their names are no secrets.
        "app_keystore": app_keystore.path,
        "user_keystore": args.user_keystore_out,
        "accounts": accounts.len(),
    });
    output.result(&value, || {
        let next = next_steps(&url, &app_keystore.path, args.user_keystore_out.as_deref());
        let path = ShownPath(&app_keystore.path);
        format!("{GOOD}listening{GOOD:#} on {url} (open it in a browser)\napp keystore: {path}\n{next}")
    })?;
    stop.wait();
    sandbox.stop()?;
    Ok(())
}

/// How to use the sandbox.
fn next_steps(url: &str, app_keystore: &Path, user_keystore: Option<&Path>) -> String {
    let word = |path| ShownPath(path).as_word().unwrap_or_else(|| "FILE".to_owned());
    let app_keystore = word(app_keystore);
    let user = match user_keystore {
        Some(path) => {
            format!("Give the user a PIN:\n  mixin-pin update --new-user --keystore {} --api {url}", word(path))
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

/// A user in the file for `--accounts`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    keystore: PathBuf,
    full_name: String,
    pin: Option<String>,
    /// The user's TIP public key.
    tip_key: Option<String>,
    /// Whether the keystore's spend key is the user's TIP key.
    #[serde(default)]
    tip: bool,
    /// The user id of the owner, of an app.
    owner: Option<Uuid>,
}

fn read_accounts(path: &Path) -> Result<Vec<Account>, Error> {
    let bytes = files::read_secret_quietly(path, path, MAX_ACCOUNTS)?;
    let entries: Vec<Entry> = serde_json::from_slice(&bytes).map_err(|cause| FileProblem::Accounts(cause).at(path))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut accounts = Vec::with_capacity(entries.len());
    let mut sessions = HashSet::with_capacity(entries.len());
    let (mut warning, mut exposed) = (None, 0);
    for entry in entries {
        let keystore = folder.join(&entry.keystore);
        if let Some(text) = files::exposure(&keystore) {
            exposed += 1;
            warning.get_or_insert(text);
        }
        let account = account(&keystore, entry)?;
        // The sandbox would take the second for the first one after a restart.
        if !sessions.insert(account.session_id) {
            return Err(FileProblem::AccountTwice.at(&keystore));
        }
        accounts.push(account);
    }
    // One warning for all of them.
    if let Some(mut text) = warning {
        if exposed > 1 {
            let _ = write!(text, "; so can {} more of the keystores in {}", exposed - 1, ShownPath(path));
        }
        output::warn(&text);
    }
    Ok(accounts)
}

fn account(path: &Path, entry: Entry) -> Result<Account, Error> {
    let pin = entry.pin.map(Zeroizing::new);
    let pin =
        pin.map(|pin| Pin::new(&pin).map_err(|cause| Error::Pin { which: "account's PIN", cause })).transpose()?;
    let mut keystore = keystore::read_quietly(path)?;
    if usize::from(pin.is_some()) + usize::from(entry.tip_key.is_some()) + usize::from(entry.tip) > 1 {
        return Err(FileProblem::AccountPins.at(path));
    }
    let tip_key = match (entry.tip_key, entry.tip) {
        (Some(text), _) => Some(Ed25519PublicKey::from_text(&text).map_err(|_| FileProblem::AccountTipKey.at(path))?),
        (None, true) => {
            let key = keystore.take_spend_key().ok_or_else(|| FileProblem::AccountSpendKey.at(path))?;
            Some(key.to_tip_key(None)?.public_key().clone())
        }
        (None, false) => None,
    };
    let account = Account::from_keystore(keystore, entry.full_name, &mut SystemRng::new()?)
        .map_err(|cause| KeystoreProblem::Content(cause).at(path))?;
    Ok(Account { pin, tip_key, owner: entry.owner, ..account })
}

/// Appends each request and its verdict to a file.
fn recorder(path: &Path) -> Result<Observer, Error> {
    let file = files::append(path)?;
    let path = path.to_owned();
    Ok(Arc::new(move |seen| {
        // Requests come one after the other. Each is one write.
        if let Err(cause) = (&file).write_all(format!("{}\n", line(seen)).as_bytes()) {
            output::warn(&FileProblem::Write(cause).at(&path).to_string());
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

/// The app's keystore: in the file that was given, or in a folder that is removed when the sandbox stops.
struct AppKeystore {
    path: PathBuf,
    _folder: Option<TempDir>,
}

impl AppKeystore {
    fn write(wanted: Option<&Path>, text: &str) -> Result<Self, Error> {
        let Some(path) = wanted else {
            let write = |cause| FileProblem::Write(cause).at(KEYSTORE_NAME.as_ref());
            let folder = tempfile::Builder::new().prefix("mixin-pin-sandbox-").tempdir().map_err(write)?;
            let path = folder.path().join(KEYSTORE_NAME);
            SecretFile::create(&path)?.finish(text.as_bytes())?;
            return Ok(Self { path, _folder: Some(folder) });
        };
        match SecretFile::create(path) {
            Ok(file) => file.finish(text.as_bytes())?,
            // After a restart on the same database the file exists and is right.
            Err(Error::File { problem: FileProblem::Exists, .. }) if files::read(path)? == text.as_bytes() => {}
            Err(error) => return Err(error),
        }
        Ok(Self { path: path.to_owned(), _folder: None })
    }
}
