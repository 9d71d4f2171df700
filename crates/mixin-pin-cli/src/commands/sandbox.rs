//! `sandbox`: a local server that checks everything, until it is told to stop.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mixin_pin_sandbox::{Config, Sandbox};
use serde_json::json;
use tempfile::TempDir;

use crate::args::SandboxArgs;
use crate::error::Error;
use crate::files::{self, SecretFile};
use crate::output::{GOOD, Output};

const KEYSTORE_NAME: &str = "app-keystore.json";

pub(crate) fn run(args: &SandboxArgs, output: &Output) -> Result<(), Error> {
    // Before anything is announced: who starts us may stop us at once.
    let stop = StopSignal::register()?;
    let sandbox = Sandbox::start(&Config {
        listen: args.listen,
        database: args.db.clone(),
        clock_tolerance: Duration::from_secs(args.clock_tolerance),
        tries_a_day: args.tries,
        refuse_repeated_requests: !args.allow_repeats,
        ..Config::default()
    })?;
    let keystore = AppKeystore::write(args.app_keystore_out.as_deref(), sandbox.app_keystore())?;
    let url = sandbox.url();
    output.result(&json!({ "url": url, "app_keystore": keystore.path }), || {
        format!(
            "{GOOD}listening{GOOD:#} on {url}\napp keystore: {path}\n\nRegister a user and use it:\n  export \
             MIXIN_API={url}\n  mixin-pin keystore new --kind ed25519 --app-keystore {path} --name Me --out \
             me.json\n  mixin-pin update --keystore me.json --new-user\n\nStop with Ctrl-C.",
            path = keystore.path.display()
        )
    })?;
    stop.wait();
    sandbox.stop()?;
    Ok(())
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
