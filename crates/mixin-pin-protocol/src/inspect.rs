//! Reports on captured requests: their claims, what is valid, and what is weak.
//!
//! Reads a `curl` command, or the parts of a request. The caller gives the time, and the session's keys if it has them.

mod block;
mod curl;

use mixin_pin_core::token::{RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, EncryptedPin, PinKey, SecretKind, UnixTime};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::check::{OpenedPin, ReceivedToken};
use crate::{CurlError, TokenFault};

/// The longest token lifetime without a warning, in seconds.
const LONG_LIFETIME: u64 = 3600;
const SMALL_RSA_KEY: usize = 2048;

/// A request as it was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedRequest {
    /// `GET`, `POST`, ….
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The body's bytes; empty if there was none.
    pub body: Vec<u8>,
    /// The token, without `Bearer`.
    pub token: String,
    /// The header `X-Request-Id`, if it was captured.
    pub request_id: Option<String>,
    /// Whether the URL is plain HTTP.
    pub plain_http: bool,
}

impl CapturedRequest {
    /// Reads the first `curl` command in a text.
    ///
    /// # Errors
    /// [`CurlError`], which says what is missing or not understood.
    pub fn from_curl(text: &str) -> Result<Self, CurlError> {
        curl::parse(text)
    }
}

/// The report of [`inspect`]. Its JSON form is stable: fields may be added, but none changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The header's `alg`.
    pub alg: String,
    /// The claims, unverified.
    pub claims: Map<String, Value>,
    /// The `sig` claim against the request.
    pub request_hash: HashReport,
    /// The token's signature.
    pub signature: SignatureReport,
    /// Whether `exp` has passed.
    pub expired: bool,
    /// `exp` minus `iat`; null if that is not positive.
    pub lifetime_seconds: Option<u64>,
    /// The encrypted PINs in the body.
    pub pins: Vec<PinReport>,
    /// The findings, worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing that was checked fails.
    pub fn is_valid(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Fail)
    }
}

/// The `sig` claim against the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HashReport {
    /// The token's claim.
    pub claimed: Option<String>,
    /// The request's hash.
    pub computed: String,
    /// Whether they are equal.
    pub matches: bool,
}

/// The token's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignatureReport {
    /// Whether there was a key to check it with.
    pub checked: bool,
    /// Whether it is valid; None if it was not checked.
    pub valid: Option<bool>,
}

/// An encrypted PIN in the body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PinReport {
    /// `pin`, `old_pin`, `pin_base64` or `old_pin_base64`.
    pub field: String,
    /// Its length, decoded.
    pub bytes: Option<usize>,
    /// `six-digit`, `tip-key`, `tip-signature` or `unknown`.
    pub kind: &'static str,
    /// The length of a secret that is no PIN, TIP key or TIP signature, if the session's PIN key was given and opens it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_bytes: Option<usize>,
    /// The content, if the session's PIN key was given and decrypts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decrypted: Option<DecryptedPin>,
}

/// The content of an encrypted PIN without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecryptedPin {
    /// When it was encrypted, in Unix seconds.
    pub timestamp: u64,
    /// Its iterator.
    pub iterator: u64,
    /// For a TIP signature: whether it is valid for the action that the request asks for. None if it was not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature_holds: Option<bool>,
    /// For a TIP key to be installed: its counter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counter: Option<u64>,
}

/// The keys of the session, as far as the inspector has them. Without a key, less is checked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'k> {
    /// The session's public key, which verifies the token's signature.
    pub public_key: Option<&'k VerifyingKey>,
    /// The key that the session shares with the server, which decrypts the PINs.
    pub pin_key: Option<&'k PinKey>,
    /// The user's TIP key, which verifies TIP signatures.
    pub tip_key: Option<&'k Ed25519PublicKey>,
}

/// The severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The request is invalid.
    Fail,
    /// The request is valid, but weak.
    Warn,
    /// Worth knowing.
    Info,
}

/// One sentence about the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The severity.
    pub level: Level,
    /// The sentence.
    pub text: String,
}

/// Inspects a captured request at the time `at`, with the known keys of its session.
///
/// ```
/// use mixin_pin_protocol::core::UnixTime;
/// use mixin_pin_protocol::inspect::{CapturedRequest, Known, inspect};
///
/// # const DOCS: &str = include_str!("../testdata/testkit/tokens.json");
/// # let docs: serde_json::Value = serde_json::from_str(DOCS).unwrap();
/// # let text = docs["vectors"][2]["curl"].as_str().unwrap();
/// let request = CapturedRequest::from_curl(text)?; // curl … "https://api.mixin.one/pin/update" …
/// let report = inspect(&request, &Known::default(), UnixTime::from_secs(1_525_333_400))?;
/// assert!(report.is_valid());
/// assert_eq!(report.pins[0].kind, "six-digit");
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
///
/// # Errors
/// [`TokenFault`] when the token cannot be read at all. Everything else is a finding.
pub fn inspect(request: &CapturedRequest, known: &Known<'_>, at: UnixTime) -> Result<Report, TokenFault> {
    let token = ReceivedToken::parse(&request.token)?;
    let mut findings = Findings::default();
    let request_hash = check_hash(request, &token, &mut findings);
    let signature = check_signature(&token, known.public_key, &mut findings);
    let (expired, lifetime_seconds) = check_times(&token, at, &mut findings);
    check_identity(request, &token, &mut findings);
    let pins = check_pins(request, &token, known, at, &mut findings);
    if request.plain_http {
        findings.warn("the request goes over plain HTTP: anyone on the network path can read and use the token");
    }
    Ok(Report {
        alg: token.algorithm().to_owned(),
        claims: token.raw_claims().clone(),
        request_hash,
        signature,
        expired,
        lifetime_seconds,
        pins,
        findings: findings.sorted(),
    })
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, level: Level, text: impl Into<String>) {
        self.0.push(Finding { level, text: text.into() });
    }

    fn fail(&mut self, text: impl Into<String>) {
        self.add(Level::Fail, text);
    }

    fn warn(&mut self, text: impl Into<String>) {
        self.add(Level::Warn, text);
    }

    fn info(&mut self, text: impl Into<String>) {
        self.add(Level::Info, text);
    }

    fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.level);
        self.0
    }
}

fn check_hash(request: &CapturedRequest, token: &ReceivedToken<'_>, findings: &mut Findings) -> HashReport {
    let computed = RequestHash::of(&request.method, &request.path, &request.body);
    let claimed = token.raw_claims().get("sig").and_then(Value::as_str);
    let matches = claimed.and_then(RequestHash::from_hex) == Some(computed);
    if !matches {
        findings.fail("the sig claim is not the hash of this method, path and body: the request was changed, or the token belongs to another request");
    }
    HashReport { claimed: claimed.map(str::to_owned), computed: computed.to_string(), matches }
}

fn check_signature(token: &ReceivedToken<'_>, key: Option<&VerifyingKey>, findings: &mut Findings) -> SignatureReport {
    if !matches!(token.algorithm(), "RS512" | "EdDSA") {
        findings.fail(format!("alg is {}: Mixin uses RS512 and EdDSA only", token.algorithm()));
    }
    let Some(key) = key else {
        findings.info("the signature was not checked: no public key was given");
        return SignatureReport { checked: false, valid: None };
    };
    if let VerifyingKey::Rsa(rsa) = key
        && rsa.bits() < SMALL_RSA_KEY
    {
        findings.warn(format!("the RSA key has {} bits; at least {SMALL_RSA_KEY} are considered safe", rsa.bits()));
    }
    let verified = token.verify(key);
    if let Err(error) = &verified {
        findings.fail(error.to_string());
    }
    SignatureReport { checked: true, valid: Some(verified.is_ok()) }
}

fn check_times(token: &ReceivedToken<'_>, at: UnixTime, findings: &mut Findings) -> (bool, Option<u64>) {
    let claim = |name| token.raw_claims().get(name).and_then(Value::as_u64);
    let (Some(issued), Some(expires)) = (claim("iat"), claim("exp")) else {
        findings.fail("iat or exp is missing, or not a number of seconds");
        return (false, None);
    };
    let has_expired = expires <= at.secs();
    if has_expired {
        findings.fail(format!("the token expired at {expires}, {} before", duration(at.secs() - expires)));
    }
    if issued > at.secs() {
        findings.warn(format!("the token was issued at {issued}, {} in the future", duration(issued - at.secs())));
    }
    let lifetime = expires.checked_sub(issued).filter(|seconds| *seconds > 0);
    match lifetime {
        None => findings.fail("the token expires before it was issued"),
        Some(seconds) if seconds > LONG_LIFETIME => findings.warn(format!(
            "the token lives for {}; an hour is enough, because anyone who finds it can use it that long",
            duration(seconds)
        )),
        Some(_) => {}
    }
    (has_expired, lifetime)
}

fn check_identity(request: &CapturedRequest, token: &ReceivedToken<'_>, findings: &mut Findings) {
    let claims = token.raw_claims();
    let needed: &[&str] = if token.is_oauth() { &["iss", "aid", "jti"] } else { &["uid", "sid", "jti"] };
    for name in needed {
        if !claims.get(*name).is_some_and(Value::is_string) {
            findings.fail(format!("the claim {name} is missing"));
        }
    }
    match (&request.request_id, claims.get("jti").and_then(Value::as_str)) {
        // The official Go client sends two ids, and the API guide's own request none: see `ReceivedRequest::check_request_id`.
        (Some(header), Some(jti)) if !is_same_id(header, jti) => {
            findings.info("X-Request-Id is not the token's jti; the official Go client does the same");
        }
        (None, _) => {
            findings.info("there is no X-Request-Id, or it was not captured; Mixin's API guide sends none either");
        }
        _ => {}
    }
    if !claims.contains_key("scp") {
        findings.info("there is no scp claim, as in tokens of 2018; later ones say FULL");
    }
}

fn check_pins(
    request: &CapturedRequest,
    token: &ReceivedToken<'_>,
    known: &Known<'_>,
    at: UnixTime,
    findings: &mut Findings,
) -> Vec<PinReport> {
    if request.body.is_empty() {
        return Vec::new();
    }
    let Ok(Value::Object(fields)) = serde_json::from_slice(&request.body) else {
        findings.info("the body is not a JSON object: no PIN was looked for");
        return Vec::new();
    };
    let blocks = block::BlockChecker::new(request, token, &fields, known, at);
    let mut seen: Vec<&str> = Vec::new();
    let mut pins: Vec<PinReport> = Vec::new();
    for name in ["old_pin", "pin", "old_pin_base64", "pin_base64"] {
        // fox-one's client sends `Pin` with transfers (mixin-sdk-go: `legacy_transfer.go`).
        let found = fields.iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
        let Some((field, text)) = found.and_then(|(field, value)| Some((field.as_str(), value.as_str()?))) else {
            continue;
        };
        if text.is_empty() {
            continue;
        }
        if field != name {
            findings.info(format!("{field} was read as {name}; fox-one's client writes it so"));
        }
        if seen.contains(&text) {
            findings.fail(format!("{field} repeats another encrypted PIN: each may be sent once"));
        }
        seen.push(text);
        if token.is_oauth() {
            findings.fail(format!("{field} is in an OAuth session's request, which has no PIN"));
        }
        let encrypted = EncryptedPin::from_base64(text);
        if encrypted.is_ok() && name.ends_with("base64") != is_url_safe(text) {
            findings.info(format!("{field} is in the other field's base64 alphabet; Mixin reads both"));
        }
        let block = known.pin_key.zip(encrypted.as_ref().ok()).and_then(|(key, pin)| key.decrypt(pin).ok());
        let opened = known.pin_key.filter(|_| block.is_none()).and_then(|key| OpenedPin::read(key, text));
        match (&encrypted, &opened) {
            (_, Some(opened)) => findings.fail(format!("{field} {opened}")),
            (Err(error), None) => findings.fail(format!("{field}: {error}")),
            (Ok(_), None) if block.is_none() && known.pin_key.is_some() => findings.fail(format!(
                "{field} does not decrypt: it was made with another session's key or in another form, or changed since"
            )),
            (Ok(_), None) => {}
        }
        let decrypted = block.map(|block| blocks.check(field, &block, findings));
        if let (Some(decrypted), Some(earlier)) = (&decrypted, pins.last().and_then(|pin| pin.decrypted.as_ref()))
            && decrypted.iterator <= earlier.iterator
        {
            findings.warn(format!(
                "{field} has no greater iterator than the PIN before it: a server that checks them in this order refuses it"
            ));
        }
        pins.push(PinReport {
            field: field.to_owned(),
            bytes: encrypted.as_ref().ok().map(|pin| pin.as_bytes().len()),
            kind: match &encrypted {
                Ok(pin) if opened.is_none() => SecretKind::as_str(pin.kind()),
                _ => "unknown",
            },
            secret_bytes: opened.map(|opened| opened.secret_len()),
            decrypted,
        });
    }
    pins
}

/// Whether two texts are the same UUID, or else the same text.
fn is_same_id(one: &str, other: &str) -> bool {
    match (one.parse::<Uuid>(), other.parse::<Uuid>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Whether text may be unpadded base64url.
fn is_url_safe(text: &str) -> bool {
    !text.contains(['+', '/', '='])
}

/// Seconds in words, in the two largest units: `2 years 31 days`.
fn duration(seconds: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(31_536_000, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let mut rest = seconds;
    let mut words = Vec::new();
    for (size, name) in UNITS {
        let count = rest / size;
        rest %= size;
        if count > 0 {
            words.push(format!("{count} {name}{}", if count == 1 { "" } else { "s" }));
        }
    }
    words.truncate(2);
    if words.is_empty() { "no time".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_words() {
        assert_eq!(duration(0), "no time");
        assert_eq!(duration(61), "1 minute 1 second");
        assert_eq!(duration(7_776_000), "90 days");
        assert_eq!(duration(31_536_000 * 8 + 86_400 + 5), "8 years 1 day");
    }
}
