//! The environment variables that are read, each by its one name.

/// The keystore's file.
pub(crate) const KEYSTORE: &str = "MIXIN_KEYSTORE";
/// The API's URL.
pub(crate) const API: &str = "MIXIN_API";
/// The URL of the store of iterators.
pub(crate) const STORE: &str = "MIXIN_STORE";
/// A file whose first line is the passphrase of a locked keystore, for when nobody is there to ask: a cron job, a service.
pub(crate) const PASSPHRASE_FILE: &str = "MIXIN_PASSPHRASE_FILE";
