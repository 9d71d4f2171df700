//! A client: a sequential driver of the real machine, which reads the outside world from a script.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use mixin_pin_machine::core::tip::{TipAction, TipKey, TipSigner};
use mixin_pin_machine::core::token::Algorithm;
use mixin_pin_machine::core::uuid::Uuid;
use mixin_pin_machine::core::{EncryptedPin, NonceSource, Pin, PinKey, Secret, Session, UnixTime};
use mixin_pin_machine::protocol::answer::User;
use mixin_pin_machine::protocol::call::PreparedRequest;
use mixin_pin_machine::store::{CallIntent, CallKind, Error as StoreError, Lease, LeaseReply, PendingCall};
use mixin_pin_machine::{
    Call, Ended, Error, Limits, LostChange, Moment, Outcome, PublicCredential, Received, Reply, ResolveStep, Rules,
    Step, TransportError, Verdict, Which,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::rng::Fixed;
use crate::world::Fault;

/// The length of a tick in seconds.
pub const TICK: u64 = 4;
/// The time of the first tick by the server's clock.
const BEGIN: u64 = 1_700_000_000;
/// A call takes two ticks. So its lease takes two ticks and a half.
const CALL: Duration = Duration::from_secs(2 * TICK);
const DIGITS: [&str; 3] = ["314159", "271828", "161803"];
/// The names of two TIP keys. The first is installed with the counter 1, the second with 2.
pub const KEYS: [PinName; 2] = [3, 4];

/// The number of one of the PINs in [`DIGITS`], or one of [`KEYS`].
pub type PinName = u8;

/// Whether this is a TIP key.
pub const fn is_key(name: PinName) -> bool {
    name >= KEYS[0]
}

fn counter(key: PinName) -> u64 {
    u64::from(key - KEYS[0]) + 1
}

fn key(name: PinName) -> &'static TipKey {
    static MADE: LazyLock<[TipKey; 2]> = LazyLock::new(|| KEYS.map(|name| TipKey::from_seed(&[name; 32])));
    &MADE[usize::from(name - KEYS[0])]
}

/// What a client does.
#[derive(Debug, Clone, Copy)]
pub enum Program {
    /// Sets the first PIN.
    Create(PinName),
    /// Changes the PIN.
    Change(PinName, PinName),
    /// Verifies the PIN.
    Verify(PinName),
    /// Moves money with the PIN.
    Pay(PinName),
    /// Settles what the journal lists, as a change between these PINs.
    Resolve(Option<PinName>, PinName),
    /// The same, but its owner names the first of these changes, as its lost call did.
    ResolveFirst(Option<PinName>, PinName),
}

impl Program {
    pub const fn resolves(self) -> bool {
        matches!(self, Self::Resolve(..) | Self::ResolveFirst(..))
    }
}

/// What happens to a client, and at which tick.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Event {
    pub at: u8,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum What {
    /// It begins. A resolver reads these calls from the journal.
    Begins(Vec<Listed>),
    /// A resolver reads the journal again.
    Journal(Vec<Listed>),
    Granted(Granted),
    Busy,
    Unconfirmed,
    Signed,
    NotSent,
    Lost,
    TimedOut,
    Answer(Answer),
    User(Me),
    /// The next step is made.
    GoesOn,
}

/// The user, read by the server at this tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Me {
    pub has_pin: bool,
    /// The installed TIP key.
    pub key: Option<PinName>,
    pub at: u8,
}

/// A [`CallKind`] that has a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Change,
    Verification,
    Other,
}

impl From<CallKind> for Kind {
    fn from(kind: CallKind) -> Self {
        match kind {
            CallKind::UpdatePin => Self::Change,
            CallKind::VerifyPin => Self::Verification,
            _ => Self::Other,
        }
    }
}

impl From<Kind> for CallKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Change => Self::UpdatePin,
            Kind::Verification => Self::VerifyPin,
            Kind::Other => Self::Other,
        }
    }
}

/// A call as the journal lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listed {
    pub id: Uuid,
    pub kind: Kind,
    pub sent_at: UnixTimeSecs,
    pub lifetime: Duration,
    pub is_under_way: bool,
}

/// What a store grants. Times in seconds of the server's clock, except for `granted_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Granted {
    pub fence: u8,
    pub granted_at: UnixTimeSecs,
    pub first: u64,
    pub until: u64,
}

pub type UnixTimeSecs = u64;

/// The server's answer to a call with a PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    Done,
    Refused(u32, Option<&'static str>),
}

/// What a client waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Begin,
    Lease {
        intent: Intent,
        duration: Duration,
        wait: Duration,
        is_confirmed: bool,
    },
    Sign,
    /// The point of no return is behind it. Time may pass before the first byte.
    FirstByte,
    Flight {
        request: Arc<Request>,
        limit: Duration,
    },
    Read,
    /// The outcome is known here. The release is next.
    Release,
    Wait,
    /// The verdict is known.
    Journal,
    /// These changes leave the journal next.
    Settle(Vec<Uuid>),
    Done(Report),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    pub request_id: Uuid,
    pub kind: Kind,
    pub lifetime: Duration,
}

/// A request, as the server reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub id: Uuid,
    pub expires_at: UnixTimeSecs,
    pub kind: Kind,
    /// PINs and iterators.
    pub old: Option<(PinName, u64)>,
    pub pin: (PinName, u64),
    pub ciphertexts: Vec<Vec<u8>>,
}

/// What a client tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    Done,
    Unknown(Uuid),
    /// An error: nothing changed.
    Failed(String),
    Resolved(Found, Vec<Uuid>),
}

/// A verdict without its details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Found {
    Applied,
    NotApplied,
    NotYet,
    Neither,
    Other,
}

/// What a client has done since its last event, and what it waits for.
#[derive(Debug, Clone)]
pub struct View {
    /// The leases that it released, and whether it kept their entries.
    pub released: Vec<(u8, bool)>,
    /// The lease that it holds, and whether dropping it keeps the entry.
    pub held: Option<(u8, bool)>,
    pub ask: Ask,
    /// The tick of its last event.
    pub at: u8,
}

/// The settings of one client.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub program: Program,
    pub seed: u64,
    /// How many seconds its clock is ahead of the server's.
    pub ahead: i64,
    pub token: Duration,
    /// Time may pass between the point of no return and the first byte.
    pub stalls: bool,
    pub fault: Option<Fault>,
}

/// Runs a client from its beginning through these events, and tells what it waits for then.
pub fn replay(setting: &Setting, events: &[Event]) -> View {
    let mut script =
        Script { events: events.iter(), setting, begun: 0, now: 0, rng: Fixed(setting.seed), leases: Arc::default() };
    let ask = match run(&mut script) {
        Ok(report) => Ask::Done(report),
        Err(ask) => ask,
    };
    assert!(script.events.next().is_none(), "{:?} ended before its script: {ask:?}", setting.program);
    let leases = script.leases.lock().unwrap_or_else(PoisonError::into_inner);
    View { released: leases.released.clone(), held: leases.held, ask, at: script.now }
}

struct Script<'s> {
    events: std::slice::Iter<'s, Event>,
    setting: &'s Setting,
    begun: u8,
    now: u8,
    rng: Fixed,
    leases: Arc<Mutex<Leases>>,
}

#[derive(Default)]
struct Leases {
    now: u64,
    held: Option<(u8, bool)>,
    released: Vec<(u8, bool)>,
    /// The script has ended, so what is dropped now says nothing.
    is_over: bool,
}

impl Script<'_> {
    /// The next event, or what the client waits for.
    fn next(&mut self, ask: Ask) -> Result<What, Ask> {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(event) = self.events.next() else {
            leases.is_over = true;
            return Err(ask);
        };
        self.now = event.at;
        leases.now = seconds(event.at);
        leases.released.clear();
        Ok(event.what.clone())
    }

    fn wall(&self) -> UnixTime {
        UnixTime::from_secs(server_time(self.now).saturating_add_signed(self.setting.ahead))
    }

    fn moment(&self) -> Moment {
        Moment { wall: self.wall(), elapsed: Duration::from_secs(seconds(self.now - self.begun)) }
    }

    fn lease(&self, granted: Granted) -> Held {
        let leases = self.leases.clone();
        leases.lock().unwrap_or_else(PoisonError::into_inner).held = Some((granted.fence, false));
        Held { granted, drawn: Mutex::new(0), leases }
    }
}

pub fn seconds(tick: u8) -> u64 {
    u64::from(tick) * TICK
}

pub fn server_time(tick: u8) -> u64 {
    BEGIN + seconds(tick)
}

/// A lease in the hands of the machine.
struct Held {
    granted: Granted,
    drawn: Mutex<u64>,
    leases: Arc<Mutex<Leases>>,
}

impl Held {
    fn leases(&self) -> std::sync::MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NonceSource for Held {
    type Error = StoreError;

    fn reserve(&self, _: UnixTime) -> Result<u64, StoreError> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.remaining().is_zero() || *drawn == 2 {
            return Err(StoreError::LeaseLost);
        }
        *drawn += 1;
        Ok(self.granted.first + *drawn - 1)
    }
}

impl Lease for Held {
    fn remaining(&self) -> Duration {
        Duration::from_secs(self.granted.until.saturating_sub(self.leases().now))
    }

    fn granted_at(&self) -> UnixTime {
        UnixTime::from_secs(self.granted.granted_at)
    }

    fn keep_entry(&self, keep: bool) {
        self.leases().held = Some((self.granted.fence, keep));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let fence = self.granted.fence;
        let mut leases = self.leases();
        if !leases.is_over
            && let Some((_, keep)) = leases.held.take_if(|(held, _)| *held == fence)
        {
            leases.released.push((fence, keep));
        }
    }
}

pub fn pin_key() -> PinKey {
    PinKey::from_bytes(&[7; 32]).unwrap()
}

fn pin(name: PinName) -> Pin {
    Pin::new(DIGITS[usize::from(name)]).unwrap()
}

fn run(script: &mut Script<'_>) -> Result<Report, Ask> {
    let What::Begins(pending) = script.next(Ask::Begin)? else { unreachable!("it begins") };
    script.begun = script.now;
    let session = Session::from_parts(Uuid::from_u128(1), Uuid::from_u128(2), Algorithm::EdDsa, pin_key());
    let rules = Rules::new(session, Limits::default().call(CALL).token(script.setting.token), None);
    let ended = match script.setting.program {
        Program::Create(new) => change(&rules, None, new, script)?,
        Program::Change(old, new) => change(&rules, Some(old), new, script)?,
        Program::Verify(name) => verify(&rules, name, script)?,
        Program::Pay(name) => {
            drive(rules.with_pin("POST", "/transfers", &Map::new(), Secret::Digits(pin(name))), None, script)?
        }
        Program::Resolve(old, new) => return resolve(&rules, (old, new), None, &pending, script),
        Program::ResolveFirst(old, new) => {
            let first = pending
                .iter()
                .find(|listed| listed.kind == Kind::Change)
                .map(|first| calls(std::slice::from_ref(first))[0].expires_at);
            return resolve(&rules, (old, new), first, &pending, script);
        }
    };
    Ok(match ended.result {
        Ok(Outcome::Done(_)) => Report::Done,
        Ok(Outcome::Unknown(unknown)) => Report::Unknown(unknown.request_id),
        Err(error) => Report::Failed(error.to_string()),
    })
}

type Called = Result<Ended<User, Box<Held>>, Ask>;

fn change(rules: &Rules, old: Option<PinName>, new: PinName, script: &mut Script<'_>) -> Called {
    let digits = old.filter(|old| !is_key(*old)).map(pin);
    match old {
        Some(old) if is_key(old) => {
            let call = rules.change_tip(key(old).public_key(), counter(old), key(new).public_key());
            drive(call, Some(old), script)
        }
        _ if is_key(new) => drive(rules.install_tip(digits.as_ref(), key(new).public_key()), None, script),
        None => drive(rules.create_pin(&pin(new)), None, script),
        Some(old) => drive(rules.change_pin(&pin(old), &pin(new)), None, script),
    }
}

fn verify(rules: &Rules, name: PinName, script: &mut Script<'_>) -> Called {
    if is_key(name) {
        drive(rules.verify_tip(key(name).public_key()), Some(name), script)
    } else {
        drive(rules.verify_pin(&pin(name)), None, script)
    }
}

/// The entries as a store gives them.
fn calls(listed: &[Listed]) -> Vec<PendingCall> {
    let call = |listed: &Listed| {
        let intent = CallIntent {
            request_id: listed.id,
            method: "POST".into(),
            path: "/pin/update".into(),
            kind: listed.kind.into(),
            token_lifetime: listed.lifetime,
        };
        let sent_at = UnixTime::from_secs(listed.sent_at);
        let mut call = PendingCall::new(Uuid::from_u128(2), &intent, 1..=2, sent_at);
        call.under_way_for = listed.is_under_way.then_some(CALL);
        call
    };
    listed.iter().map(call).collect()
}

/// As the drivers resolve.
fn resolve(
    rules: &Rules,
    (old, new): (Option<PinName>, PinName),
    expires_at: Option<UnixTime>,
    pending: &[Listed],
    script: &mut Script<'_>,
) -> Result<Report, Ask> {
    let failed = |error: Error| Ok(Report::Failed(error.to_string()));
    let hides_journal = script.setting.fault == Some(Fault::LaterSettled);
    let known = if hides_journal { Vec::new() } else { calls(pending) };
    let credential = |name| {
        if is_key(name) { PublicCredential::Tip(key(name).public_key().clone()) } else { PublicCredential::Digits }
    };
    let latest = rules.limits().expiry(script.wall());
    let change = LostChange::new(old.map(credential), credential(new), expires_at, &known, latest);
    let me = drive(rules.me(), None, script)?;
    let (user, mut server_time) = match me.result {
        Ok(Outcome::Done(user)) => (user, me.server_time),
        Ok(Outcome::Unknown(unknown)) => return failed(*unknown.cause),
        Err(error) => return failed(error),
    };
    if script.setting.fault == Some(Fault::WrongClock) {
        server_time = Some(script.wall());
    }
    let plan = change.plan(user, server_time);
    let mut plan = match plan {
        Ok(plan) => plan,
        Err(error) => return failed(error),
    };
    let mut is_read_only = true;
    let resolution = loop {
        plan = match plan.next() {
            ResolveStep::Verify(which, asked) => {
                let name = match which {
                    Which::New => new,
                    Which::Old => old.expect("the plan names an old PIN only if there is one"),
                };
                is_read_only = false;
                let verified = verify(rules, name, script)?;
                match asked.verified(verified.result) {
                    Ok(plan) => plan,
                    Err(error) => return failed(error),
                }
            }
            ResolveStep::ReadUser(asked) => match drive(rules.me(), None, script)?.result {
                Ok(Outcome::Done(user)) => asked.read(user),
                Ok(Outcome::Unknown(unknown)) => return failed(*unknown.cause),
                Err(error) => return failed(error),
            },
            ResolveStep::Done(resolution) => break resolution,
        };
    };
    let found = match resolution.verdict {
        Verdict::Applied(_) => Found::Applied,
        Verdict::NotApplied(_) => Found::NotApplied,
        Verdict::NotYet { .. } => Found::NotYet,
        Verdict::Neither => Found::Neither,
        _ => Found::Other,
    };
    let What::Journal(listed) = script.next(Ask::Journal)? else { unreachable!("it reads the journal") };
    let listed = calls(&listed);
    let mut ids: Vec<Uuid> = resolution.settled(&listed).map(|call| call.request_id).collect();
    let settles_by_reading = script.setting.fault == Some(Fault::SettledByReading) && is_read_only;
    if (hides_journal && found == Found::NotApplied) || (settles_by_reading && found == Found::Applied) {
        ids = pending.iter().filter(|listed| listed.kind == Kind::Change).map(|listed| listed.id).collect();
    }
    if !ids.is_empty() {
        script.next(Ask::Settle(ids.clone()))?;
    }
    Ok(Report::Resolved(found, ids))
}

fn drive<T: DeserializeOwned>(
    mut call: Call<'_, T, Box<Held>>,
    signer: Option<PinName>,
    script: &mut Script<'_>,
) -> Result<Ended<T, Box<Held>>, Ask> {
    loop {
        call = match call.step(script.moment(), &mut script.rng) {
            // Each client is a process of its own.
            Step::Turn(ask) => ask.taken(true),
            Step::Lease(mut ask) => {
                drop(ask.take_former());
                let terms = ask.terms();
                let call = terms.call().expect("every lease here is for a call");
                let (request_id, kind, lifetime) = (call.request_id, call.kind.into(), call.token_lifetime);
                let wanted = Ask::Lease {
                    intent: Intent { request_id, kind, lifetime },
                    duration: terms.duration(),
                    wait: terms.max_wait(),
                    is_confirmed: terms.clock_is_confirmed(),
                };
                let reply = match script.next(wanted)? {
                    What::Granted(granted) => LeaseReply::Granted(Box::new(script.lease(granted))),
                    What::Unconfirmed => LeaseReply::ClockUnconfirmed { ahead: None },
                    _ => LeaseReply::Busy,
                };
                ask.replied(Ok(reply))
            }
            Step::SignTip(ask) => {
                let signature = TipSigner::sign(key(signer.expect("only calls with a TIP key ask")), ask.message());
                ask.signed(signature)
            }
            Step::Sign(ask) => {
                script.next(Ask::Sign)?;
                ask.signed(Ok([0; 64]))
            }
            Step::Ask(ask) => {
                let What::User(me) = script.next(Ask::Read)? else { unreachable!("it reads") };
                let time = Some(UnixTime::from_secs(server_time(me.at)));
                let reply = Received { server_time: time, ..received(ask.request().request_id(), &user(me)) };
                ask.answered(Reply::Answer(reply))
            }
            Step::Send(waiting, flight) => {
                let step = script.now;
                if script.setting.stalls {
                    script.next(Ask::FirstByte)?;
                }
                let took = Duration::from_secs(seconds(script.now - step));
                let ignores = script.setting.fault == Some(Fault::StallIgnored);
                let reply = match flight.limit(if ignores { Duration::ZERO } else { took }) {
                    Ok(limit) => exchange(flight.request(), limit, script)?,
                    Err(over) => over,
                };
                let (landed, lease) = flight.land(reply, took);
                script.next(Ask::Release)?;
                drop(lease);
                waiting.landed(landed)
            }
            Step::Wait(pause) => {
                script.next(Ask::Wait)?;
                pause.over()
            }
            Step::Done(mut ended) => {
                ended.lease = None;
                return Ok(ended);
            }
        };
    }
}

/// Sends a request that may change something.
fn exchange(request: &PreparedRequest, limit: Duration, script: &mut Script<'_>) -> Result<Reply, Ask> {
    let request = Arc::new(Request::of(request));
    let id = request.id;
    Ok(match script.next(Ask::Flight { request, limit })? {
        What::NotSent => Reply::NotSent(TransportError::new("refused", false)),
        What::Lost if script.setting.fault == Some(Fault::RetriedAfterSend) => {
            Reply::NotSent(TransportError::new("broken", false))
        }
        What::Lost => Reply::Lost(TransportError::new("broken", false)),
        // What it says of the user is not looked at.
        What::Answer(Answer::Done) => Reply::Answer(received(id, &user(Me { has_pin: true, key: None, at: 0 }))),
        What::Answer(Answer::Refused(code, reason)) => {
            let extra = reason.map(|reason| json!({ "reason": reason }));
            let error = json!({ "error": { "status": 202, "code": code, "extra": extra } });
            Reply::Answer(received(id, &error))
        }
        _ => Reply::TimedOut,
    })
}

fn user(me: Me) -> Value {
    let installed = me.key.map(|name| key(name).public_key().to_base64_url()).unwrap_or_default();
    let counter = me.key.map_or(0, counter);
    let user_id = Uuid::from_u128(1);
    json!({ "data": {
        "user_id": user_id, "has_pin": me.has_pin, "tip_key_base64": installed, "tip_counter": counter,
    } })
}

fn received(id: Uuid, body: &Value) -> Received {
    let body = body.to_string().into_bytes();
    Received { status: 200, request_id: Some(id.to_string()), body, ..Received::default() }
}

impl Request {
    fn of(request: &PreparedRequest) -> Self {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let mut ciphertexts = Vec::new();
        let mut decrypt = |names: [&str; 2]| {
            let text = names.iter().find_map(|name| body[*name].as_str()).unwrap_or_default();
            if text.is_empty() {
                return None;
            }
            let encrypted = EncryptedPin::from_base64(text).unwrap();
            ciphertexts.push(encrypted.as_bytes().to_vec());
            let block = pin_key().decrypt(&encrypted).unwrap();
            Some((name(block.secret(), &body), block.iterator()))
        };
        let old = decrypt(["old_pin", "old_pin_base64"]);
        let pin = decrypt(["pin", "pin_base64"]).unwrap();
        Self {
            id: request.request_id(),
            expires_at: request.expires_at().unwrap().secs(),
            kind: match request.path() {
                "/pin/update" => Kind::Change,
                "/pin/verify" => Kind::Verification,
                _ => Kind::Other,
            },
            old,
            pin,
            ciphertexts,
        }
    }
}

/// Which PIN this secret shows or installs.
fn name(secret: &Secret, body: &Value) -> PinName {
    let found = match secret {
        Secret::Digits(digits) => (0..).zip(DIGITS).find(|(_, name)| name.as_bytes() == digits.expose()),
        _ => None,
    };
    let is_shown = |name: &PinName| match secret {
        Secret::TipKey(bytes) => {
            bytes[..32] == key(*name).public_key().as_bytes()[..] && bytes[39] == *name - KEYS[0] + 1
        }
        Secret::TipSignature(signature) => {
            // A change shows the old key's counter.
            let timestamp = body["timestamp"].as_u64().unwrap_or_else(|| counter(*name));
            TipAction::Verify { timestamp }.verify(signature, key(*name).public_key()).is_ok()
        }
        _ => false,
    };
    found.map(|(name, _)| name).or_else(|| KEYS.into_iter().find(is_shown)).expect("all PINs have names")
}
