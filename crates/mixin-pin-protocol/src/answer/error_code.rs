//! Mixin's error codes: what each means, and what to do.
//!
//! One table has all that is known. `docs/errors.md` shows it, and a test of the command compares the two.

use serde::Deserialize;

use crate::Remedy;

/// The codes of Mixin's lists. Those that a PIN client acts on have a name. `docs/errors.md` in the repository explains
/// them, and so does the command `mixin-pin explain 20119`.
///
/// ```
/// use mixin_pin_protocol::Remedy;
/// use mixin_pin_protocol::answer::ErrorCode;
///
/// let code = ErrorCode::from(10_104);
/// assert_eq!(code.cause(), Some("the address is still being generated"));
/// assert!(code.is_refusal() && code.remedy() == Remedy::WaitUntil);
/// assert_eq!(ErrorCode::from(99_999).cause(), None);
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 400: the body is not valid data.
    BadRequest,
    /// 401: the token is invalid, expired, of another session, or for another request.
    Unauthorized,
    /// 403: this session may not do that.
    Forbidden,
    /// 404: no such endpoint or object.
    NotFound,
    /// 429: too many requests; for a PIN call, the tries may be spent.
    TooManyRequests,
    /// 10002: a field is invalid, see `extra`.
    InvalidField,
    /// 10006: the client is too old.
    ClientTooOld,
    /// 10404: the other user is not registered with the safe.
    NotInSafe,
    /// 20113: the phone code is wrong.
    PhoneCodeInvalid,
    /// 20114: the phone code has expired.
    PhoneCodeExpired,
    /// 20117: the balance is too small.
    InsufficientBalance,
    /// 20118: the PIN has the wrong format.
    PinFormat,
    /// 20119: the PIN, its encryption or its iterator is wrong.
    PinIncorrect,
    /// 20124: the balance is too small for the fee.
    InsufficientFee,
    /// 20125: the transfer is paid already. Look it up by its trace id.
    AlreadyPaid,
    /// 500, 7000, 7001 or 10001: the server failed. A call that changes something may have been carried out.
    Server(u32),
    /// Any other code.
    Other(u32),
}

/// What a code says about the call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Refused: nothing changed, and the same call fails again.
    Refusal,
    /// Refused, but the same call may succeed later.
    Later,
    /// Refused: the owner has to supply something.
    Owner,
    /// It may have been carried out.
    Open,
    /// It may have been carried out. A later call may succeed.
    OpenLater,
}

/// What is known of a code.
struct Known {
    code: u32,
    class: Class,
    /// Part of a sentence.
    cause: &'static str,
    /// Part of a sentence: what to do.
    advice: &'static str,
}

const fn known(code: u32, class: Class, cause: &'static str, advice: &'static str) -> Known {
    Known { code, class, cause, advice }
}

use Class::{Later, Open, OpenLater, Owner, Refusal};

/// In the order of the codes. A code is a refusal if Mixin lists it with the status 202 and its text excludes that anything
/// changed. Sources, by letter (repository: path):
///
/// - D: MixinNetwork/developers.mixin.one: `developers-docs/docs/api/error-codes.md`, today's list.
/// - O: the same repository, commit a1638475^: `api/_docs/a-beginning/errors.md`, the list of 2018 to 2021.
/// - W: the same, 1670ccc4^: `developers/src/i18n/en/document/wallet/api/error-codes.md`. It has 30100 to 30102 with 500.
/// - B: the same: `developers/src/i18n/en/index.js`, the dashboard's texts.
/// - S: the same: `developers-docs/docs/api/sequencer/client-integration.md`.
/// - I: MixinNetwork/ios-app: `MixinServices/MixinServices/Services/API/MixinAPIResponseError.swift`, with statuses.
/// - A: MixinNetwork/android-app: `util/ErrorHandler.kt` and `res/values/strings.xml`, without statuses.
/// - F: fox-one/mixin-sdk-go: `mixinnet/error.go`.
///
/// Codes without a letter are in D or O.
#[rustfmt::skip]
const KNOWN: &[Known] = &[
    known(400, Refusal, "the body is not valid data", "correct the call"),
    known(401, Refusal, "the token is bad, expired, of another session, or for another request", "check keystore and clock; the same call will fail again"),
    known(403, Refusal, "this session may not do that", "use another session, or ask for the scope"),
    known(404, Refusal, "there is no such endpoint or object", "check method, path, the ids in the request, and the API address"),
    known(429, Later, "there were too many requests, or too many wrong PINs", "wait; after wrong PINs wait 24 hours, because another try can lengthen the lock"),
    known(500, Open, "the server failed", "read again later, or find out what became of the change"),
    // A. No source shows when the server sends it.
    known(911, Open, "the apps' name for it says that the clock is wrong", "set the clock"),
    known(7000, Open, "the server of the message stream failed", "read again later, or find out what became of the change"),
    known(7001, Open, "the message stream's server took too long", "read again later, or find out what became of the change"),
    // A calls it TRANSACTION, B an internal error of the server. Another server of Mixin's has it for a failed transaction, with
    // the status 500: MixinNetwork/supergroup.mixin.one: `session/error.go`.
    known(10_001, Open, "a transaction within the server failed", "read again later, or find out what became of the change"),
    known(10_002, Refusal, "a field is invalid", "correct the field that extra names"),
    // The rest of the call may have been carried out.
    known(10_003, Open, "an SMS was not delivered", "check the phone number, then ask for a new code"),
    known(10_004, Refusal, "the captcha is invalid", "solve another one"),
    known(10_005, Refusal, "a captcha is needed", "use Mixin's own app for this call"),
    known(10_006, Refusal, "Mixin considers the client too old", "update this software"),
    known(10_104, Later, "the address is still being generated", "wait, then make the call again"),
    known(10_105, Later, "another transaction locks what the call needs", "wait until that transaction has ended, and look whether it was yours"),
    // A: the name says that an input is invalid, the text that transactions are unconfirmed. A tries again after a pause.
    known(10_106, OpenLater, "an input is invalid, or earlier transactions are not confirmed yet", "wait until they are confirmed"),
    // S, I, A.
    known(10_404, Refusal, "the other user is not registered with the safe", "ask that user to upgrade"),
    // A, and 10611 to 10737 also I: cards, trades, wallets and referrals.
    known(10_601, Open, "the card has expired", "use another card"),
    known(10_602, Open, "the price has expired", "ask for a new price"),
    known(10_603, Open, "the card payment was not captured", "look whether it was paid"),
    known(10_604, Open, "the card is not supported", "use another card"),
    known(10_605, Open, "the card is in use", "try again later"),
    known(10_606, Open, "the card was declined too often", "use another card"),
    known(10_607, Open, "there are too many cards", "remove a card"),
    known(10_608, Open, "the card holder's name is another", "correct the name"),
    known(10_609, Open, "the payment's session has expired", "begin again"),
    known(10_610, Open, "the card is of another country", "use another card"),
    // I: no quote is available; A: the swap is invalid.
    known(10_611, Refusal, "there is no quote for this trade, or the pair is not supported", "try another amount or pair"),
    known(10_614, Refusal, "the amount is too small or too large for a quote", "change the amount"),
    known(10_615, Refusal, "the pair is not supported, or there is no quote", "try another pair"),
    known(10_621, Refusal, "there are too many price alerts", "remove one"),
    known(10_622, Refusal, "there are too many price alerts for this asset", "remove one"),
    known(10_631, Refusal, "the transaction's simulation failed", "check the transaction"),
    known(10_632, Refusal, "there are too many wallets", "remove one"),
    known(10_633, Refusal, "this address cannot be watched", "use another address"),
    known(10_650, Open, "the position is too small", "enlarge it"),
    known(10_651, Refusal, "the market has a position already", "close it first"),
    known(10_652, Open, "the market is processing other orders", "read again later, or find out what became of the change"),
    known(10_655, Refusal, "the margin is too large", "lower it"),
    known(10_730, Refusal, "the referral code is invalid", "correct it"),
    known(10_731, Refusal, "the account has a referral code already", "keep it"),
    known(10_732, Refusal, "the referral code is your own", "use another's"),
    known(10_737, Refusal, "the inviter has no valid plan", "use another's code"),
    known(20_110, Refusal, "the phone number is invalid", "correct it"),
    known(20_111, Refusal, "there are too few identity numbers", "report it to Mixin"),
    known(20_112, Refusal, "the invitation code is invalid", "correct it"),
    known(20_113, Owner, "the phone code is wrong", "ask for a new code"),
    known(20_114, Owner, "the phone code has expired", "ask for a new code"),
    known(20_115, Refusal, "the QR code is invalid", "make a new one"),
    known(20_116, Refusal, "the group chat is full", "remove a member, or use another group"),
    known(20_117, Refusal, "the balance is too small", "top it up, or send less"),
    known(20_118, Refusal, "the PIN does not have the form of one", "send six digits or a TIP signature, whichever the user has"),
    known(20_119, Owner, "the PIN, its iterator or its encryption was refused", "do not try again blindly: a wrong PIN costs one of the day's tries"),
    known(20_120, Refusal, "the amount is too small", "send more"),
    known(20_121, Owner, "the authorization code has expired", "ask for a new code"),
    known(20_122, Refusal, "another account uses the phone number", "use another number"),
    // O names the greatest number, ten; B asks to buy more or to pay the bill.
    known(20_123, Refusal, "there are too many apps", "buy more in the developers' dashboard, or pay its bill"),
    known(20_124, Refusal, "the balance is too small for the fee", "top up the asset that pays the fee"),
    // D, O: paid by someone else; A, I: paid already; F: an invalid trace id.
    known(20_125, Open, "a transfer with this trace id is paid already, perhaps by you", "look it up by its trace id before you pay again"),
    known(20_126, Refusal, "there are too many stickers", "remove one"),
    known(20_127, Refusal, "the withdrawal is too small", "withdraw more"),
    known(20_128, Refusal, "there are too many friends", "remove one"),
    known(20_129, Later, "codes are asked for too often", "wait, then ask again"),
    known(20_130, Refusal, "the recovery contact is invalid", "choose another"),
    known(20_131, Refusal, "the withdrawal's memo has a wrong form", "correct the memo"),
    // I: an app that is shared; A: a favourite.
    known(20_132, Refusal, "a limit is reached, for favourite or shared apps", "remove one"),
    known(20_133, Refusal, "the conversation is in too many circles", "take it out of one"),
    known(20_134, Refusal, "the withdrawal is too large", "withdraw less"),
    known(20_135, Refusal, "the withdrawal's fee is too small", "offer a larger fee"),
    // I, A.
    known(20_137, Later, "withdrawals are suspended", "wait until they are possible again"),
    // I, A.
    known(20_140, Refusal, "the conversation's checksum is wrong", "read the conversation again first"),
    // D.
    known(20_150, Refusal, "the receivers are invalid or named twice", "correct them"),
    // I, A.
    known(20_160, Refusal, "the receiver's account was deleted", "send to another user"),
    // W with 500.
    known(30_100, Later, "the chain is not in sync", "wait until it is"),
    // O: it is missing; W, with 500: it is wrong.
    known(30_101, Refusal, "a private key on Mixin's side is missing or wrong", "report it to Mixin"),
    // W with 500.
    known(30_102, Refusal, "the address has a wrong form", "correct the address"),
    // The apps call it an error of the server.
    known(30_103, Later, "the asset's pool is too small", "wait, or send less"),
    // F makes these itself from the text of a Mixin node.
    known(2_000_001, Open, "an output's key is invalid, by a name that fox-one's client gives it", "look whether the transaction was made"),
    known(2_000_002, Open, "an input is locked, by a name that fox-one's client gives it", "look whether the transaction was made"),
    known(2_000_003, Open, "a signature is invalid, by a name that fox-one's client gives it", "look whether the transaction was made"),
    // I: group calls.
    known(5_002_000, Refusal, "the call's room is full", "wait until someone leaves"),
    known(5_002_001, Refusal, "the peer is not in the call", "join again"),
    known(5_002_002, Refusal, "the peer has left the call", "join again"),
    known(5_002_003, Refusal, "the call has no such track", "join again"),
    // I with 500.
    known(5_003_002, Open, "the call's state does not allow it", "join again"),
];

impl ErrorCode {
    /// The number.
    pub const fn as_u32(self) -> u32 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TooManyRequests => 429,
            Self::InvalidField => 10_002,
            Self::ClientTooOld => 10_006,
            Self::NotInSafe => 10_404,
            Self::PhoneCodeInvalid => 20_113,
            Self::PhoneCodeExpired => 20_114,
            Self::InsufficientBalance => 20_117,
            Self::PinFormat => 20_118,
            Self::PinIncorrect => 20_119,
            Self::InsufficientFee => 20_124,
            Self::AlreadyPaid => 20_125,
            Self::Server(code) | Self::Other(code) => code,
        }
    }

    /// All codes that Mixin's lists explain, in ascending order.
    pub fn all_known() -> impl Iterator<Item = Self> {
        KNOWN.iter().map(|known| Self::from(known.code))
    }

    fn known(self) -> Option<&'static Known> {
        let found = KNOWN.binary_search_by_key(&self.as_u32(), |known| known.code).ok()?;
        KNOWN.get(found)
    }

    fn class(self) -> Option<Class> {
        self.known().map(|known| known.class)
    }

    /// Whether Mixin documents this code as a refusal: the request changed nothing. With any other code, such as a gateway's
    /// 504 in Mixin's envelope, the outcome of a call that changes something is unknown.
    pub fn is_refusal(self) -> bool {
        matches!(self.class(), Some(Refusal | Later | Owner))
    }

    /// Whether the same call may succeed after a while.
    pub fn may_pass(self) -> bool {
        matches!(self, Self::Server(_)) || matches!(self.class(), Some(Later | OpenLater))
    }

    /// What to do about it.
    pub fn remedy(self) -> Remedy {
        match self.class() {
            Some(Refusal) => Remedy::Mend,
            Some(Later) => Remedy::WaitUntil,
            // Most often the PIN is wrong. Only the owner may spend another try.
            Some(Owner) => Remedy::AskOwner,
            Some(Open | OpenLater) | None => Remedy::Alert,
        }
    }

    /// What the code means, as part of a sentence. None for a code that no list of Mixin's explains.
    pub fn cause(self) -> Option<&'static str> {
        self.known().map(|known| known.cause)
    }

    /// What to do about it, as part of a sentence.
    pub fn advice(self) -> &'static str {
        self.known().map_or("look for this code in Mixin's documentation", |known| known.advice)
    }
}

impl From<u32> for ErrorCode {
    fn from(code: u32) -> Self {
        match code {
            400 => Self::BadRequest,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            429 => Self::TooManyRequests,
            10_002 => Self::InvalidField,
            10_006 => Self::ClientTooOld,
            10_404 => Self::NotInSafe,
            20_113 => Self::PhoneCodeInvalid,
            20_114 => Self::PhoneCodeExpired,
            20_117 => Self::InsufficientBalance,
            20_118 => Self::PinFormat,
            20_119 => Self::PinIncorrect,
            20_124 => Self::InsufficientFee,
            20_125 => Self::AlreadyPaid,
            500 | 7000 | 7001 | 10_001 => Self::Server(code),
            _ => Self::Other(code),
        }
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of other software or of HTTP, which no list of Mixin's explains.
    const UNKNOWN: [u32; 10] = [0, 200, 202, 408, 409, 502, 503, 504, 7002, u32::MAX];

    #[test]
    fn the_codes_ascend_and_each_is_explained_once() {
        assert!(KNOWN.is_sorted_by(|one, next| one.code < next.code));
        for Known { code, cause, advice, .. } in KNOWN {
            let texts = [cause, advice];
            assert!(texts.iter().all(|text| !text.is_empty() && !text.ends_with('.')), "{code}");
            let named = ErrorCode::from(*code);
            assert_eq!((named.as_u32(), named.cause(), named.advice()), (*code, Some(*cause), *advice));
        }
        assert!(ErrorCode::all_known().map(ErrorCode::as_u32).eq(KNOWN.iter().map(|known| known.code)));
    }

    #[test]
    fn a_refusal_never_claims_that_it_may_have_been_carried_out() {
        for code in ErrorCode::all_known().filter(|code| code.is_refusal()) {
            let text = format!("{} {}", code.cause().unwrap(), code.advice());
            assert!(!text.contains("carried out") && code.remedy() != Remedy::Alert, "{text}");
        }
    }

    #[test]
    fn only_documented_refusals_are_refusals() {
        // In the lists of 2018 and of today, without 10003 (an SMS was not delivered) and 20125 (the transfer is paid).
        let listed = [
            400, 401, 403, 404, 429, 10_002, 10_004, 10_005, 10_006, 10_104, 10_105, 10_404, 20_116, 20_117, 20_118,
            20_119, 20_120, 20_121, 20_122, 20_123, 20_124, 20_126, 20_127, 20_128, 20_129, 20_130, 20_131, 20_133,
            20_134, 20_135, 20_150, 30_100, 30_101, 30_102, 30_103,
        ];
        assert!(listed.into_iter().all(|code| ErrorCode::from(code).is_refusal()));
        for code in [500, 911, 7000, 7001, 10_001, 10_003, 10_106, 20_125, 10_603, 2_000_002, 5_003_002] {
            assert!(!ErrorCode::from(code).is_refusal(), "{code}");
            assert_eq!(ErrorCode::from(code).remedy(), Remedy::Alert, "{code}");
        }
        for code in UNKNOWN {
            let code = ErrorCode::from(code);
            assert!(!code.is_refusal() && code.cause().is_none() && code.remedy() == Remedy::Alert, "{code:?}");
        }
    }

    #[test]
    fn what_may_pass_is_told_from_what_stays() {
        for code in [429, 500, 7000, 7001, 10_001, 10_104, 10_105, 10_106, 20_129, 20_137, 30_100, 30_103] {
            assert!(ErrorCode::from(code).may_pass(), "{code}");
        }
        for code in [400, 401, 911, 10_003, 20_117, 20_119, 20_125, 30_101, 504, 99_999] {
            assert!(!ErrorCode::from(code).may_pass(), "{code}");
        }
    }
}
