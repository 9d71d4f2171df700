//! Arguments of the changes of a key that can be resumed: of a session, of an app and of a TIP PIN.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use mixin_pin_core::uuid::Uuid;

use super::shared::id;
use super::{ApiArgs, ClientArgs, PinSource, StoreArgs};

#[derive(Subcommand)]
pub(crate) enum SessionCommand {
    /// Give an RSA session an Ed25519 key, and write its keystore.
    ///
    /// Mixin documents no way back to RSA. The new key is written to FILE.unfinished, with the FILE of --out, before anything is
    /// sent. FILE itself is written when it is complete. The old keystore is never changed; the command says whether it still
    /// works. If the command is interrupted, the same command goes on.
    Upgrade(SessionUpgradeArgs),
    /// Give a session another key, and write its keystore.
    ///
    /// As for `session upgrade`, the same command goes on after an interruption. No client shows that POST /session/secret
    /// replaces an Ed25519 key; Mixin may refuse that.
    Rotate(SessionRotateArgs),
}

/// The call that upgrades a session.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum UpgradeBy {
    /// POST /legacy/users, as the official Go client makes it: the PIN of six digits permits it.
    LegacyUsers,
    /// POST /session/secret, as the apps make it: the old key signs, without a PIN.
    SessionSecret,
}

#[derive(Args)]
pub(crate) struct SessionUpgradeArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// Where to write the new keystore. A file that exists is not replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The call to make.
    #[arg(long, value_enum, default_value = "legacy-users")]
    pub(crate) by: UpgradeBy,
    /// Then replace the PIN of six digits by the TIP key in this file, as `tip change` does. The file is made if there is
    /// none.
    #[arg(long, value_name = "FILE")]
    pub(crate) tip_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: PinSource,
}

#[derive(Args)]
pub(crate) struct SessionRotateArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// Where to write the new keystore. A file that exists is not replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// For an app: the keystore of its owner, a user's session or an OAuth authorization with APPS:READ and APPS:WRITE. The
    /// app, whose keystore is --keystore, gets a new session: POST /safe/apps/:id/session. Without --owner the session
    /// replaces its own key: POST /session/secret.
    #[arg(long, value_name = "FILE")]
    pub(crate) owner: Option<PathBuf>,
    /// Give the app a new session even if the server refuses --keystore, because its key is lost or was replaced. This ends
    /// the session that the app has now.
    #[arg(long, requires = "owner")]
    pub(crate) old_refused: bool,
}

#[derive(Subcommand)]
pub(crate) enum AppCommand {
    /// Register an app with the safe. That can be done once.
    ///
    /// The spend key is in its file before anything is sent. If the command is interrupted, the same command goes on.
    Register(AppRegisterArgs),
}

#[derive(Args)]
pub(crate) struct AppRegisterArgs {
    /// The keystore of the app's owner: a user's session or an OAuth authorization with APPS:READ and APPS:WRITE; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) owner: PathBuf,
    /// The app.
    #[arg(long, value_name = "UUID", value_parser = id)]
    pub(crate) app_id: Uuid,
    /// The file with the app's spend key, in hex. If it is missing, a key is made and written there.
    #[arg(long, value_name = "FILE")]
    pub(crate) spend_key: PathBuf,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args)]
pub(crate) struct TipChangeArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// The file with the new key, in hex. If it is missing, a key is made and written there.
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key: PathBuf,
    /// The file with the old key, if the PIN is a TIP key already. By default it is the keystore's spend key. Afterwards the
    /// file is named FILE.replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) old_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: PinSource,
}
