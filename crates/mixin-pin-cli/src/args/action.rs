//! Actions on the command line.

use std::path::{Path, PathBuf};

use clap::builder::{NonEmptyStringValueParser, Resettable};
use clap::{ArgGroup, ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use mixin_pin_core::Ed25519PublicKey;
use mixin_pin_core::tip::{AmountBuf, TipAction, TipKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::CallError;
use mixin_pin_protocol::action::{Action, EncryptedSalt, MasterProof, Opponent};

use super::shared::{ClientArgs, PinSource, TipSource, id};
use crate::error::{Error, FileProblem};
use crate::files;
use crate::guided::KeyFile;

/// An action alone, as `call --tip` takes it.
#[derive(Parser)]
#[command(name = "--tip", no_binary_name = true, disable_help_subcommand = true)]
pub(crate) struct ActionLine {
    #[command(subcommand)]
    pub(crate) action: SignedAction,
}

/// What a TIP key may sign.
#[derive(Subcommand)]
pub(crate) enum SignedAction {
    /// Verify the key.
    Verify {
        /// Nanoseconds since 1970; to change a key, the old key's counter.
        #[arg(long, value_name = "NANOSECONDS")]
        timestamp: u64,
    },
    #[command(flatten)]
    Plain(PlainAction),
    /// Register with the safe.
    RegisterSafe {
        /// The user's key for the safe, in hex or base64.
        #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
        public_key: String,
    },
    /// Export the salt of the user's key for the safe.
    ExportSalt,
}

/// What `act` can carry out.
#[derive(Subcommand)]
pub(crate) enum ActAction {
    #[command(flatten)]
    Plain(PlainAction),
    /// Register with the safe.
    RegisterSafe {
        /// A file with the user's key for the safe, in hex or base64. Without it the TIP key is that key, as for bots.
        #[arg(long, value_name = "FILE", required_unless_present_any = ["tip", "spend_key_stdin"])]
        safe_key: Option<PathBuf>,
        /// A file with the encrypted salt of that key (`salt_base64`), as a wallet made it.
        #[arg(long, value_name = "FILE")]
        salt: Option<PathBuf>,
        /// A file with the Ed25519 key of the user's mnemonic, in hex or base64. It signs the user's id.
        #[arg(long, value_name = "FILE")]
        master_key: Option<PathBuf>,
    },
    /// Export the salt of the user's key for the safe.
    ExportSalt {
        /// A file with the Ed25519 key of the user's mnemonic, in hex or base64. It signs the user's id.
        #[arg(long, value_name = "FILE")]
        master_key: PathBuf,
    },
}

/// An action that needs no further key.
#[derive(Subcommand)]
pub(crate) enum PlainAction {
    /// Add a withdrawal address.
    AddAddress {
        #[arg(long, value_parser = id)]
        asset_id: Uuid,
        /// The asset's chain, if the request is to name it. It is not signed.
        #[arg(long, value_parser = id)]
        chain_id: Option<Uuid>,
        #[arg(long)]
        destination: String,
        #[arg(long, default_value = "")]
        tag: String,
        #[arg(long)]
        label: String,
    },
    /// Remove a withdrawal address.
    RemoveAddress {
        #[arg(long, value_parser = id)]
        address_id: Uuid,
    },
    /// Deactivate the user.
    DeactivateUser {
        /// The verification of the user's phone. A user without a phone number has none.
        #[arg(long, value_parser = id)]
        phone_verification_id: Option<Uuid>,
    },
    /// Set an emergency contact.
    CreateEmergencyContact {
        #[arg(long, value_parser = id)]
        verification_id: Uuid,
        /// The code that the contact received. It is used up by the call; until then other users of the machine can see it.
        #[arg(long)]
        code: String,
    },
    /// Read the emergency contact.
    ReadEmergencyContact,
    /// Remove the emergency contact.
    RemoveEmergencyContact,
    /// Change the phone number.
    UpdatePhoneNumber {
        #[arg(long, value_parser = id)]
        verification_id: Uuid,
        /// The code that the new number received. It is used up by the call; until then other users of the machine can see it.
        #[arg(long)]
        code: String,
        /// A file with the encrypted salt of the user's key for the safe (`salt_base64`), as a wallet made it. It is not
        /// signed.
        #[arg(long, value_name = "FILE")]
        salt: Option<PathBuf>,
    },
    /// Sign a multisig request.
    SignMultisig {
        #[arg(long, value_parser = id)]
        request_id: Uuid,
    },
    /// Unlock a multisig request.
    UnlockMultisig {
        #[arg(long, value_parser = id)]
        request_id: Uuid,
    },
    /// Sign a collectible request.
    SignCollectible {
        #[arg(long, value_parser = id)]
        request_id: Uuid,
    },
    /// Unlock a collectible request.
    UnlockCollectible {
        #[arg(long, value_parser = id)]
        request_id: Uuid,
    },
    /// Pay another user.
    Transfer {
        #[arg(long, value_parser = id)]
        asset_id: Uuid,
        #[arg(long, value_parser = id)]
        opponent_id: Uuid,
        #[arg(long)]
        amount: String,
        /// A new id. With the same one the same payment is not made twice.
        #[arg(long, value_parser = id)]
        trace_id: Uuid,
        #[arg(long, default_value = "")]
        memo: String,
    },
    /// Withdraw to an address.
    Withdraw {
        #[arg(long, value_parser = id)]
        address_id: Uuid,
        #[arg(long)]
        amount: String,
        /// The fee of the request, if it has one.
        #[arg(long)]
        fee: Option<String>,
        /// A new id. With the same one the same payment is not made twice.
        #[arg(long, value_parser = id)]
        trace_id: Uuid,
        #[arg(long, default_value = "")]
        memo: String,
    },
    /// Pay a mainnet key or several users.
    #[command(group(ArgGroup::new("opponent").args(["opponent_key", "receivers"]).required(true)))]
    Transaction {
        #[arg(long, value_parser = id)]
        asset_id: Uuid,
        /// The mainnet key that is paid.
        #[arg(long, value_name = "KEY", value_parser = NonEmptyStringValueParser::new())]
        opponent_key: Option<String>,
        /// A user who is paid. Repeat it for each one, in the request's order.
        #[arg(long = "receiver", value_name = "UUID", value_parser = id, requires = "threshold")]
        receivers: Vec<Uuid>,
        /// How many of the receivers must sign to spend the payment.
        #[arg(long, value_name = "COUNT", requires = "receivers")]
        threshold: Option<u32>,
        #[arg(long)]
        amount: String,
        /// A new id. With the same one the same payment is not made twice.
        #[arg(long, value_parser = id)]
        trace_id: Uuid,
        #[arg(long, default_value = "")]
        memo: String,
    },
    /// Let an app act for the user.
    ApproveOauth {
        #[arg(long, value_parser = id)]
        authorization_id: Uuid,
        /// A scope that the app gets, such as PROFILE:READ. Repeat it for each one. Scopes are not signed.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Provision another device.
    UpdateProvisioning {
        #[arg(long, value_parser = id)]
        device_id: Uuid,
        /// The message for the device, encrypted with its public key, in base64.
        #[arg(long)]
        secret: String,
    },
    /// Give this app to another user.
    TransferAppOwnership {
        /// The new owner.
        #[arg(long, value_parser = id)]
        user_id: Uuid,
    },
    /// End a session of the user. If it is the keystore's own session, the keystore does not work afterwards.
    LogOut {
        #[arg(long, value_parser = id)]
        session_id: Uuid,
    },
}

impl PlainAction {
    fn action(&self) -> Result<Action, Error> {
        let amount = |text: &str| AmountBuf::new(text).map_err(Error::from);
        Ok(match self {
            Self::AddAddress { asset_id, chain_id, destination, tag, label } => Action::AddAddress {
                asset_id: *asset_id,
                chain_id: *chain_id,
                destination: destination.clone(),
                tag: tag.clone(),
                label: label.clone(),
            },
            Self::RemoveAddress { address_id } => Action::RemoveAddress { address_id: *address_id },
            Self::DeactivateUser { phone_verification_id } => {
                Action::DeactivateUser { verification_id: *phone_verification_id }
            }
            Self::CreateEmergencyContact { verification_id, code } => {
                Action::CreateEmergencyContact { verification_id: *verification_id, code: code.clone() }
            }
            Self::ReadEmergencyContact => Action::ReadEmergencyContact,
            Self::RemoveEmergencyContact => Action::RemoveEmergencyContact,
            Self::UpdatePhoneNumber { verification_id, code, salt: file } => Action::UpdatePhoneNumber {
                verification_id: *verification_id,
                code: code.clone(),
                salt: file.as_deref().map(salt).transpose()?,
            },
            Self::SignMultisig { request_id } => Action::SignMultisig { request_id: *request_id },
            Self::UnlockMultisig { request_id } => Action::UnlockMultisig { request_id: *request_id },
            Self::SignCollectible { request_id } => Action::SignCollectible { request_id: *request_id },
            Self::UnlockCollectible { request_id } => Action::UnlockCollectible { request_id: *request_id },
            Self::Transfer { asset_id, opponent_id, amount: text, trace_id, memo } => Action::Transfer {
                asset_id: *asset_id,
                opponent_id: *opponent_id,
                amount: amount(text)?,
                trace_id: *trace_id,
                memo: memo.clone(),
            },
            Self::Withdraw { address_id, amount: text, fee, trace_id, memo } => Action::Withdraw {
                address_id: *address_id,
                amount: amount(text)?,
                fee: fee.as_deref().map(amount).transpose()?,
                trace_id: *trace_id,
                memo: memo.clone(),
            },
            Self::Transaction { asset_id, opponent_key, receivers, threshold, amount: text, trace_id, memo } => {
                Action::Transaction {
                    asset_id: *asset_id,
                    opponent: match opponent_key {
                        Some(key) => Opponent::Key(key.clone()),
                        // The command line has both or neither.
                        None => {
                            Opponent::Users { receivers: receivers.clone(), threshold: threshold.unwrap_or_default() }
                        }
                    },
                    amount: amount(text)?,
                    trace_id: *trace_id,
                    memo: memo.clone(),
                }
            }
            Self::ApproveOauth { authorization_id, scopes } => {
                Action::ApproveOAuth { authorization_id: *authorization_id, scopes: scopes.clone() }
            }
            Self::UpdateProvisioning { device_id, secret } => {
                Action::UpdateProvisioning { device_id: *device_id, secret: secret.clone() }
            }
            Self::TransferAppOwnership { user_id } => Action::TransferAppOwnership { user_id: *user_id },
            Self::LogOut { session_id } => Action::LogOutSession { session_id: *session_id },
        })
    }
}

impl SignedAction {
    /// Whether the user's own id is signed.
    pub(crate) const fn needs_user_id(&self) -> bool {
        matches!(
            self,
            Self::Plain(PlainAction::DeactivateUser { phone_verification_id: None })
                | Self::RegisterSafe { .. }
                | Self::ExportSalt
        )
    }

    /// Calls `use_it` with the action, which borrows from `self`. `user_id` is the user's own id.
    pub(crate) fn with<T>(&self, user_id: Uuid, use_it: impl FnOnce(&TipAction<'_>) -> T) -> Result<T, Error> {
        Ok(match self {
            Self::Verify { timestamp } => use_it(&TipAction::Verify { timestamp: *timestamp }),
            Self::Plain(action) => use_it(&action.action()?.tip(user_id)),
            Self::RegisterSafe { public_key } => {
                let public_key = Ed25519PublicKey::from_text(public_key).map_err(Error::PublicKey)?;
                use_it(&TipAction::RegisterSafe { user_id, public_key: &public_key })
            }
            Self::ExportSalt => use_it(&TipAction::ExportSalt { user_id }),
        })
    }
}

impl ActAction {
    /// The action, if neither the user's id nor a key is needed to make it.
    pub(crate) fn plain(&self) -> Result<Option<Action>, Error> {
        match self {
            Self::Plain(action) => action.action().map(Some),
            Self::RegisterSafe { .. } | Self::ExportSalt { .. } => Ok(None),
        }
    }

    /// The action of the user with this id and TIP key.
    pub(crate) fn action(&self, user_id: Uuid, tip_key: Option<&TipKey>) -> Result<Action, Error> {
        match self {
            Self::Plain(action) => action.action(),
            Self::RegisterSafe { safe_key, salt: salt_file, master_key } => {
                let of_file =
                    safe_key.as_deref().map(|path| KeyFile { path, option: "--safe-key" }.read(None)).transpose()?;
                let key = of_file.as_ref().or(tip_key).ok_or(Error::SpendKeyMissing { which: "safe key" })?;
                let mut action = Action::register_safe(user_id, key).map_err(CallError::Signer)?;
                if let Action::RegisterSafe { salt, master, .. } = &mut action {
                    *salt = salt_file.as_deref().map(self::salt).transpose()?;
                    *master = master_key.as_deref().map(|path| proof(user_id, path).map(Box::new)).transpose()?;
                }
                Ok(action)
            }
            Self::ExportSalt { master_key } => Ok(Action::ExportSalt { master: proof(user_id, master_key)? }),
        }
    }
}

/// Signs the user's id with the mnemonic's key.
fn proof(user_id: Uuid, path: &Path) -> Result<MasterProof, Error> {
    Ok(MasterProof::sign(user_id, &KeyFile { path, option: "--master-key" }.read(None)?).map_err(CallError::Signer)?)
}

/// Reads a file with an encrypted salt.
fn salt(path: &Path) -> Result<EncryptedSalt, Error> {
    let bytes = files::read_secret(path, path, files::MAX_KEYSTORE)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| FileProblem::NotText.at(path))?;
    Ok(EncryptedSalt::new(text.trim()).map_err(CallError::Action)?)
}

/// `act`: an action, and the session and PIN that permit it. Every action has the options of the session, so that they can
/// follow it.
pub(crate) struct ActArgs {
    pub(crate) action: ActAction,
    pub(crate) permit: Permit,
}

/// The session and the PIN that permit an action.
#[derive(Args)]
pub(crate) struct Permit {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) source: PinSource,
    #[command(flatten)]
    pub(crate) tip: TipSource,
}

impl Args for ActArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        let command = ActAction::augment_subcommands(command).subcommand_required(true).arg_required_else_help(true);
        command.mut_subcommands(|action| {
            // The doc comment of a group of options would become the description of every action.
            let (about, long_about) = (action.get_about().cloned(), action.get_long_about().cloned());
            Permit::augment_args(action)
                .about(Resettable::from(about))
                .long_about(Resettable::from(long_about))
                .mut_arg("pin_stdin", |option| option.conflicts_with_all(["tip", "spend_key_stdin"]))
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ActArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let action = ActAction::from_arg_matches(matches)?;
        let of_action = matches.subcommand().map_or(matches, |(_, of_action)| of_action);
        Ok(Self { action, permit: Permit::from_arg_matches(of_action)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
