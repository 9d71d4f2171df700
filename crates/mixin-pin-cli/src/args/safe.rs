//! `safe`: transactions that move money.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::redact::KEYSTORE_VARIABLE;

#[derive(Subcommand)]
pub(crate) enum SafeCommand {
    /// Show what a transaction does, and what is refused under every policy.
    Explain(SafeExplainArgs),
    /// Check a transaction against a policy, and show what would leave.
    Check(SafeCheckArgs),
    /// Sign a transaction that the policy allows, and print it with the signatures.
    ///
    /// Shows on the terminal what leaves, whom it pays, and what is not proven. Then asks once.
    Sign(SafeSignArgs),
    /// Verify the signatures of a transaction, and show how many are missing for each input.
    Verify(SafeVerifyArgs),
    /// Show the members and the threshold of an address.
    Address(SafeAddressArgs),
}

/// What is known besides the bytes of a transaction.
#[derive(Args)]
pub(crate) struct EvidenceArgs {
    /// A file with the outputs that are spent; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) inputs: Option<PathBuf>,
    /// A file with claims on the receivers; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) receivers: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) key: SpendKeyArgs,
}

/// Where the spend key comes from.
#[derive(Args)]
pub(crate) struct SpendKeyArgs {
    /// The keystore with the spend key; - for standard input.
    #[arg(long, value_name = "FILE", env = KEYSTORE_VARIABLE, hide_env_values = true)]
    pub(crate) keystore: Option<PathBuf>,
    /// Read the spend key from standard input, in hex or base64.
    #[arg(long)]
    pub(crate) spend_key_stdin: bool,
    /// The public key of the spend key. It shows whether the spend key is a seed or a scalar.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) public_key: Option<String>,
}

impl SpendKeyArgs {
    /// The keystore, if its spend key is used.
    pub(crate) fn keystore_to_read(&self) -> Option<&Path> {
        self.keystore.as_deref().filter(|_| !self.spend_key_stdin)
    }
}

#[derive(Args)]
pub(crate) struct SafeExplainArgs {
    /// The raw transaction in hex, signed or not; - for standard input.
    pub(crate) raw: String,
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
}

#[derive(Args)]
pub(crate) struct SafeCheckArgs {
    /// The raw transaction in hex, signed or not; - for standard input.
    pub(crate) raw: String,
    /// A file with the policy; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Write the claims on the receivers to this new file, with mask secrets in place of traces. Co-signers prove the receivers
    /// with it, without the sender's key.
    #[arg(long, value_name = "FILE", requires = "receivers")]
    pub(crate) receivers_out: Option<PathBuf>,
}

#[derive(Args)]
// Without the keys of the spent outputs nothing can be signed.
#[command(mut_arg("inputs", |inputs| inputs.required(true)))]
pub(crate) struct SafeSignArgs {
    /// The raw transaction in hex, with or without signatures of others; - for standard input.
    pub(crate) raw: String,
    /// A file with the policy; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// A file with the views; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) views: PathBuf,
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Do not ask. Allowed only if all inputs and receivers are proven.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Write the signed transaction to this file instead of standard output. An existing file is never replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct SafeVerifyArgs {
    /// The raw transaction in hex; - for standard input.
    pub(crate) raw: String,
    /// A file with the outputs that are spent; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) inputs: PathBuf,
}

#[derive(Args)]
pub(crate) struct SafeAddressArgs {
    /// The address, which begins with MIX or XIN, or the id of a user.
    pub(crate) address: String,
}
