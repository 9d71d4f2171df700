//! The signer of a client: any signer, or the fastest one for a session's key.

use mixin_pin_core::SessionKey;
use mixin_pin_core::token::Signer;

pub(crate) type BoxSigner = Box<dyn Signer + Send + Sync>;

/// With the feature `accel`, a faster library signs with the key.
#[cfg(feature = "accel")]
pub(crate) fn fastest(key: SessionKey) -> mixin_pin_accel::FastKey {
    key.into()
}

/// Without the feature `accel`, the core signs with the key.
#[cfg(not(feature = "accel"))]
pub(crate) const fn fastest(key: SessionKey) -> SessionKey {
    key
}
