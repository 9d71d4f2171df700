//! What to do about an error.

/// What to do about an error.
///
/// The remedy follows from the error alone. It does not say what became of a call: a call that changes something must be
/// looked up first when its outcome is unknown.
///
/// ```
/// use mixin_pin_protocol::Remedy;
/// use mixin_pin_protocol::answer::ApiError;
///
/// let error: ApiError =
///     serde_json::from_str(r#"{"code":429,"extra":{"reason":"tries_spent","retry_at":1700006400}}"#).unwrap();
/// match error.remedy() {
///     Remedy::TryAgain => println!("prepare the call again, with a new nonce"),
///     Remedy::AskOwner => println!("ask for the PIN; {:?} tries are left", error.tries_left()),
///     Remedy::WaitUntil => println!("wait until {:?}", error.retry_at()),
///     Remedy::Mend => println!("correct the program or its settings"),
///     _ => println!("stop and call a person"),
/// }
/// # assert_eq!(error.remedy(), Remedy::WaitUntil);
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Prepare the call again and send it: the failure may pass by itself. Never send the same bytes twice.
    TryAgain,
    /// Ask the owner of the PIN: the PIN is wrong or not set, or the owner must grant or supply something.
    AskOwner,
    /// Wait until `retry_at`, or for a while if that is unknown. After too many wrong PINs, wait for the next day.
    WaitUntil,
    /// Correct something on this side: the call, the keystore, the clock, the settings or the software. The same call
    /// fails again.
    Mend,
    /// Stop and let a person look. The outcome of the call is unknown, or the answer cannot be trusted.
    Alert,
}
