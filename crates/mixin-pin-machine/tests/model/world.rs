//! The world around the clients: clocks, a store with a journal, a network and a server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mixin_pin_machine::core::uuid::Uuid;
use stateright::{Model, Property};

use crate::client::{
    Answer, Ask, Event, Found, Granted, Kind, Listed, Me, PinName, Program, Report, Request, Setting, View, What,
    is_key, replay, seconds, server_time,
};
use crate::properties;
use crate::server::Server;

/// A fault that is planted around the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The store ends leases after a quarter of their time.
    ShortLease,
    /// The store grants leases that others still hold.
    SharedLease,
    /// A resolver judges the expiry of tokens by its own clock.
    WrongClock,
    /// The transport reports a broken connection as one that was never made.
    RetriedAfterSend,
    /// The transport sends a request again if the connection breaks.
    Resent,
    /// The store learns too late that an entry is to be kept.
    KeptTooLate,
    /// A resolver does not show the journal to the machine, and settles all of it.
    LaterSettled,
    /// A resolver settles all changes of the journal if reading the user shows that one was applied.
    SettledByReading,
    /// A driver that stalls before the first byte does not ask how much time is left.
    StallIgnored,
    /// The store writes the entry of a call when its outcome is unknown, not together with the lease.
    EntryAfterSend,
}

/// Whose clock a store reads.
#[derive(Debug, Clone, Copy)]
pub enum StoreClock {
    /// Its own, this many seconds ahead of the server's.
    Own(i64),
    /// Its caller's.
    Callers,
}

/// What is explored.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Clone)]
pub struct Scenario {
    pub name: &'static str,
    pub clients: Vec<(Program, i64)>,
    /// The changes that are settled when all is calm, one after another.
    pub changes: Vec<(Option<PinName>, PinName)>,
    /// The server's PIN at first.
    pub pin: Option<PinName>,
    /// How many wrong PINs the server has counted today.
    pub tries: u8,
    pub clock: StoreClock,
    pub token: Duration,
    /// The last tick.
    pub end: u8,
    /// The server gives reasons for its refusals.
    pub gives_reasons: bool,
    /// The server refuses a request id that it knows. Otherwise only iterators tell a copy.
    pub knows_ids: bool,
    /// The store asks for a confirmation of the clock at first.
    pub is_new: bool,
    /// The server spends iterators also if it refuses a PIN, as the sandbox does. What Mixin does is not documented.
    pub spends_refused: bool,
    /// Time may pass between the point of no return and the first byte.
    pub stalls: bool,
    pub crashes: u8,
    pub copies: u8,
    pub refusals: u8,
    /// How many releases of a lease may fail.
    pub failures: u8,
    pub fault: Option<Fault>,
    /// What must be found, besides the invariants.
    pub reaches: Vec<Property<World>>,
}

pub struct World {
    pub scenario: Scenario,
    settings: Vec<Setting>,
    histories: Mutex<Histories>,
    /// What is found if all is calm from then on. It depends on nothing but this of the state.
    found: Mutex<HashMap<Ground, Calm>>,
}

/// The server's PIN and last iterator, and the pending calls.
type Ground = (Option<PinName>, u64, Vec<Listed>);

/// What a resolver finds for each change, and whether the journal then has no change, but all other calls.
pub type Calm = (Vec<Report>, bool);

/// All histories of clients that were met. A history is a node; its parent lacks the last event.
///
/// Each is replayed on a new machine once. This is sound: what a machine does depends on its settings, the generator's seed,
/// and what its script tells it. All three are fixed by the history, and no client shares anything else with another.
#[derive(Default)]
struct Histories {
    nodes: Vec<Node>,
    known: HashMap<(u32, Event), u32>,
}

struct Node {
    setting: usize,
    parent: Option<(u32, Event)>,
    view: Arc<View>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub time: u8,
    pub clients: Vec<Client>,
    pub store: Store,
    pub sent: Vec<Sent>,
    pub server: Server,
    pub settled: Vec<Settled>,
    /// Left for the adversary.
    pub crashes: u8,
    pub copies: u8,
    pub refusals: u8,
    pub failures: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Client {
    /// Its history.
    pub node: u32,
    pub is_gone: bool,
    /// The user as the server has read it, on the way.
    read: Option<Me>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Store {
    last: u64,
    fence: u8,
    lease: Option<Taken>,
    pub journal: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Taken {
    fence: u8,
    client: u8,
    until: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    pub id: Uuid,
    pub kind: Kind,
    sent_at: u64,
    fence: u8,
    /// False for an entry that [`Fault::EntryAfterSend`] has not written yet.
    pub is_written: bool,
}

/// A request on the network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sent {
    /// The client's history when it sent it.
    pub node: u32,
    pub client: u8,
    at: u8,
    /// How many copies may still arrive. One that never does is lost.
    copies: u8,
    has_arrived: bool,
    /// Answers on the way. One that never arrives is lost.
    answers: Vec<Answer>,
    /// The server refused the first copy for its iterator although its sender still waited.
    pub was_overtaken: bool,
}

/// A change that a resolver settled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settled {
    pub id: Uuid,
    pub was_applied: bool,
    /// The PIN that was found was valid after all changes that were settled with this one.
    pub is_true: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Tick,
    Begin(u8),
    Grant(u8),
    Busy(u8),
    Unconfirmed(u8),
    Sign(u8),
    /// No connection is made.
    Refuse(u8),
    /// The connection breaks.
    Break(u8),
    TimeOut(u8),
    /// A request arrives, and perhaps a copy of it will.
    Arrive(u8, bool),
    /// The answer with this number arrives.
    Answer(u8, u8),
    ServerReads(u8),
    Read(u8),
    GoOn(u8),
    /// The store fails at the release of a lease.
    FailRelease(u8),
    /// The process dies.
    Crash(u8),
    /// The caller gives the call up: all of it is dropped.
    Drop(u8),
}

impl World {
    pub fn new(scenario: Scenario) -> Self {
        let setting = |(number, (program, ahead)): (usize, (Program, i64))| Setting {
            program,
            seed: number as u64,
            ahead,
            token: scenario.token,
            stalls: scenario.stalls,
            fault: scenario.fault,
        };
        let calm = scenario.changes.iter().map(|(old, new)| (Program::Resolve(*old, *new), 0));
        let all = scenario.clients.iter().copied().chain(calm);
        let mut settings: Vec<Setting> = all.enumerate().map(setting).collect();
        // The clients that settle in the end have no fault and do not stall.
        settings[scenario.clients.len()..]
            .iter_mut()
            .for_each(|setting| (setting.fault, setting.stalls) = (None, false));
        let nodes = settings.iter().enumerate();
        let node =
            |(setting, what): (usize, &Setting)| Node { setting, parent: None, view: Arc::new(replay(what, &[])) };
        let nodes = nodes.map(node).collect();
        Self {
            scenario,
            settings,
            histories: Mutex::new(Histories { nodes, known: HashMap::new() }),
            found: Mutex::default(),
        }
    }

    pub fn view(&self, node: u32) -> Arc<View> {
        self.histories().nodes[node as usize].view.clone()
    }

    fn histories(&self) -> std::sync::MutexGuard<'_, Histories> {
        self.histories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The history after one more event.
    fn after(&self, node: u32, event: Event) -> u32 {
        let mut histories = self.histories();
        if let Some(known) = histories.known.get(&(node, event.clone())) {
            return *known;
        }
        let mut events = vec![event.clone()];
        let mut at = node;
        while let Some((parent, event)) = &histories.nodes[at as usize].parent {
            events.push(event.clone());
            at = *parent;
        }
        events.reverse();
        let setting = histories.nodes[node as usize].setting;
        let view = Arc::new(replay(&self.settings[setting], &events));
        let next = u32::try_from(histories.nodes.len()).expect("the nodes fit");
        histories.nodes.push(Node { setting, parent: Some((node, event.clone())), view });
        histories.known.insert((node, event), next);
        next
    }

    pub fn request_of(&self, sent: &Sent) -> Arc<Request> {
        match &self.view(sent.node).ask {
            Ask::Flight { request, .. } => request.clone(),
            other => unreachable!("a request is sent by a flight: {other:?}"),
        }
    }

    /// Whether the client may still send the bytes of this request.
    pub fn may_send(&self, state: &State, sent: &Sent) -> bool {
        let client = &state.clients[usize::from(sent.client)];
        let Ask::Flight { limit, .. } = &self.view(sent.node).ask else { return false };
        !client.is_gone && client.node == sent.node && seconds(state.time) < seconds(sent.at) + limit.as_secs()
    }

    pub fn report(&self, client: &Client) -> Option<Report> {
        match &self.view(client.node).ask {
            Ask::Done(report) => Some(report.clone()),
            _ => None,
        }
    }

    fn pending(&self, state: &State) -> Vec<Listed> {
        let entries = state.store.journal.iter().filter(|entry| entry.is_written);
        let is_held = |entry: &Entry| {
            let lease = state.store.lease.as_ref().filter(|lease| lease.fence == entry.fence);
            lease.is_some_and(|lease| !state.clients[usize::from(lease.client)].is_gone)
        };
        let listed = |entry: &Entry| Listed {
            id: entry.id,
            kind: entry.kind,
            sent_at: entry.sent_at,
            lifetime: self.scenario.token,
            is_under_way: is_held(entry),
        };
        entries.map(listed).collect()
    }

    fn has_change(&self, state: &State) -> bool {
        self.pending(state).iter().any(|listed| listed.kind == Kind::Change)
    }

    /// Tells a client what happened, and does what it did then.
    fn tell(&self, state: &mut State, number: u8, what: What) {
        let view = self.step(state, number, what);
        for (fence, keep) in &view.released {
            Self::release(state, *fence, *keep);
        }
    }

    /// The same, but its releases fail.
    fn step(&self, state: &mut State, number: u8, what: What) -> Arc<View> {
        let client = &mut state.clients[usize::from(number)];
        client.node = self.after(client.node, Event { at: state.time, what });
        let node = client.node;
        let view = self.view(node);
        if let Ask::Flight { .. } = view.ask {
            let at = state.time;
            let (copies, answers) = (1, Vec::new());
            let (has_arrived, was_overtaken) = (false, false);
            state.sent.push(Sent { node, client: number, at, copies, has_arrived, answers, was_overtaken });
        }
        view
    }

    fn release(state: &mut State, fence: u8, keep: bool) {
        let store = &mut state.store;
        if keep {
            store.journal.iter_mut().filter(|entry| entry.fence == fence).for_each(|entry| entry.is_written = true);
        } else {
            store.journal.retain(|entry| entry.fence != fence);
        }
        store.lease.take_if(|lease| lease.fence == fence);
    }

    fn is_free(&self, state: &State) -> bool {
        let is_gone = |client: u8| state.clients.get(usize::from(client)).is_none_or(|client| client.is_gone);
        self.scenario.fault == Some(Fault::SharedLease)
            || state
                .store
                .lease
                .as_ref()
                .is_none_or(|lease| seconds(state.time) >= lease.until || is_gone(lease.client))
    }

    /// Leases the session, which is free, and writes the call's entry.
    fn grant(&self, state: &mut State, number: u8, ahead: i64, ask: &Ask) -> Granted {
        let Ask::Lease { intent, duration, .. } = ask else { unreachable!("it asks for a lease") };
        let ahead = match self.scenario.clock {
            StoreClock::Own(ahead) => ahead,
            StoreClock::Callers => ahead,
        };
        let now = seconds(state.time);
        let granted_at = server_time(state.time).saturating_add_signed(ahead);
        let store = &mut state.store;
        let first = (store.last + 1).max(granted_at * 1_000_000_000);
        store.last = first + 1;
        store.fence += 1;
        let fence = store.fence;
        let until = now + duration.as_secs();
        let ends = if self.scenario.fault == Some(Fault::ShortLease) { now + duration.as_secs() / 4 } else { until };
        store.lease = Some(Taken { fence, client: number, until: ends });
        store.journal.push(Entry {
            id: intent.request_id,
            kind: intent.kind,
            sent_at: granted_at,
            fence,
            is_written: self.scenario.fault != Some(Fault::EntryAfterSend),
        });
        Granted { fence, granted_at, first, until }
    }

    fn arrive(&self, state: &mut State, number: usize, again: bool) {
        let sent = &state.sent[number];
        let (request, is_timely) = (self.request_of(sent), !sent.has_arrived && self.may_send(state, sent));
        let (answer, is_for_iterator) = state.server.receive(&request, server_time(state.time), &self.scenario);
        let sent = &mut state.sent[number];
        sent.was_overtaken |= is_timely && is_for_iterator;
        sent.has_arrived = true;
        if again {
            state.copies -= 1;
        } else {
            sent.copies -= 1;
        }
        if !sent.answers.contains(&answer) {
            sent.answers.push(answer);
        }
    }

    /// Forgets what cannot matter any more, so that equal states are equal: answers for which nobody waits, late copies of
    /// expired requests, and leases that are over.
    fn forget(&self, state: &mut State) {
        let now = server_time(state.time);
        for number in 0..state.sent.len() {
            let sent = &state.sent[number];
            let sender = &state.clients[usize::from(sent.client)];
            if sender.is_gone || sender.node != sent.node {
                let is_over = self.request_of(sent).expires_at <= now;
                let sent = &mut state.sent[number];
                sent.answers.clear();
                if is_over {
                    sent.copies = 0;
                }
            }
        }
        state.store.lease.take_if(|lease| seconds(state.time) >= lease.until);
    }

    /// What a resolver finds if all clients die now, and the network is calm from long after all tokens have expired.
    /// None if the journal has no change.
    pub fn settle_when_calm(&self, state: &State) -> Option<Calm> {
        let mut calm = state.clone();
        calm.store.lease = None;
        let pending = self.pending(&calm);
        if !self.has_change(&calm) {
            return None;
        }
        let ground = (state.server.pin, state.server.last, pending);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        Some(found.entry(ground).or_insert_with(|| self.settle(calm)).clone())
    }

    fn settle(&self, mut state: State) -> Calm {
        const CALM: u8 = 200;
        state.time = CALM;
        state.server.tries = 0; // another day
        let clients = self.scenario.clients.len();
        let resolvers =
            (clients..clients + self.scenario.changes.len()).map(|number| u32::try_from(number).expect("few"));
        let others = |state: &State| state.store.journal.iter().filter(|entry| entry.kind == Kind::Other).count();
        let (mut reports, before) = (Vec::new(), others(&state));
        for resolver in resolvers {
            if !self.has_change(&state) {
                break;
            }
            let mut node = resolver;
            let report = loop {
                let view = self.view(node);
                let what = match &view.ask {
                    Ask::Begin => What::Begins(self.pending(&state)),
                    Ask::Lease { .. } => {
                        let granted = What::Granted(self.grant(&mut state, u8::MAX, 0, &view.ask));
                        state.store.lease = None;
                        granted
                    }
                    Ask::Sign => What::Signed,
                    Ask::Flight { request, .. } => {
                        What::Answer(state.server.receive(request, server_time(CALM), &self.scenario).0)
                    }
                    Ask::Read => What::User(me(&state.server, CALM)),
                    Ask::FirstByte | Ask::Release | Ask::Wait => What::GoesOn,
                    Ask::Journal => What::Journal(self.pending(&state)),
                    Ask::Settle(ids) => {
                        state.store.journal.retain(|entry| !ids.contains(&entry.id));
                        What::GoesOn
                    }
                    Ask::Done(report) => break report.clone(),
                };
                node = self.after(node, Event { at: CALM, what });
                for (fence, keep) in &self.view(node).released {
                    Self::release(&mut state, *fence, *keep);
                }
            };
            reports.push(report);
        }
        let is_right = !self.has_change(&state) && others(&state) == before;
        (reports, is_right)
    }

    fn client_actions(&self, state: &State, number: u8, actions: &mut Vec<Action>) {
        let client = &state.clients[usize::from(number)];
        if client.is_gone {
            return;
        }
        let view = self.view(client.node);
        match &view.ask {
            Ask::Begin => {
                let program = self.scenario.clients[usize::from(number)].0;
                if !program.resolves() || self.has_change(state) {
                    actions.push(Action::Begin(number));
                }
                return;
            }
            Ask::Done(_) => return,
            Ask::Lease { wait, is_confirmed, .. } => {
                if self.scenario.is_new && state.store.last == 0 && !is_confirmed {
                    actions.push(Action::Unconfirmed(number));
                } else if self.is_free(state) {
                    actions.push(Action::Grant(number));
                } else if seconds(state.time) >= seconds(view.at) + wait.as_secs() {
                    actions.push(Action::Busy(number));
                }
            }
            Ask::Sign => actions.push(Action::Sign(number)),
            Ask::Flight { limit, .. } => {
                let sent = state.sent.iter().rposition(|sent| sent.node == client.node);
                let sent = &state.sent[sent.expect("a flight was sent")];
                if !sent.has_arrived && state.refusals > 0 {
                    actions.push(Action::Refuse(number));
                }
                if seconds(state.time) >= seconds(view.at) + limit.as_secs() {
                    actions.push(Action::TimeOut(number));
                } else {
                    actions.push(Action::Break(number));
                }
                let answers = u8::try_from(sent.answers.len()).expect("there are few answers");
                actions.extend((0..answers).map(|answer| Action::Answer(number, answer)));
            }
            Ask::Read if client.read.is_some() => actions.push(Action::Read(number)),
            Ask::Read => actions.push(Action::ServerReads(number)),
            // Pauses are shorter than a tick.
            Ask::Wait if state.time == view.at => (),
            Ask::Release if state.failures > 0 => {
                actions.extend([Action::GoOn(number), Action::FailRelease(number)]);
            }
            Ask::FirstByte | Ask::Release | Ask::Wait | Ask::Journal | Ask::Settle(_) => {
                actions.push(Action::GoOn(number));
            }
        }
        if state.crashes > 0 {
            actions.push(Action::Crash(number));
            // After the landing nothing can drop the call before its lease: a driver releases at once.
            if view.held.is_some() && view.ask != Ask::Release {
                actions.push(Action::Drop(number));
            }
        }
    }
}

/// The user, as the server reads it.
fn me(server: &Server, at: u8) -> Me {
    Me { has_pin: server.pin.is_some(), key: server.pin.filter(|pin| is_key(*pin)), at }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let client = |node| Client { node, is_gone: false, read: None };
        let clients = u32::try_from(self.scenario.clients.len()).expect("there are few clients");
        vec![State {
            time: 0,
            clients: (0..clients).map(client).collect(),
            store: Store { last: 0, fence: 0, lease: None, journal: Vec::new() },
            sent: Vec::new(),
            server: Server::new(self.scenario.pin, self.scenario.tries),
            settled: Vec::new(),
            crashes: self.scenario.crashes,
            copies: self.scenario.copies,
            refusals: self.scenario.refusals,
            failures: self.scenario.failures,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.time < self.scenario.end {
            actions.push(Action::Tick);
        }
        for number in 0..state.clients.len() {
            self.client_actions(state, u8::try_from(number).expect("there are few clients"), actions);
        }
        for (number, sent) in (0..).zip(&state.sent) {
            if sent.copies > 0 {
                actions.push(Action::Arrive(number, false));
                if state.copies > 0 {
                    actions.push(Action::Arrive(number, true));
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.time += 1,
            Action::Begin(number) => {
                let resolves = self.scenario.clients[usize::from(number)].0.resolves();
                let pending = if resolves { self.pending(&state) } else { Vec::new() };
                self.tell(&mut state, number, What::Begins(pending));
            }
            Action::Grant(number) => {
                let ask = self.view(state.clients[usize::from(number)].node).ask.clone();
                let granted = self.grant(&mut state, number, self.scenario.clients[usize::from(number)].1, &ask);
                self.tell(&mut state, number, What::Granted(granted));
            }
            Action::Busy(number) => self.tell(&mut state, number, What::Busy),
            Action::Unconfirmed(number) => self.tell(&mut state, number, What::Unconfirmed),
            Action::Sign(number) => self.tell(&mut state, number, What::Signed),
            Action::Refuse(number) => {
                state.refusals -= 1;
                let node = state.clients[usize::from(number)].node;
                state.sent.iter_mut().filter(|sent| sent.node == node).for_each(|sent| sent.copies = 0);
                self.tell(&mut state, number, What::NotSent);
            }
            Action::Break(number) if self.scenario.fault == Some(Fault::Resent) => {
                let node = state.clients[usize::from(number)].node;
                let sent = state.sent.iter().find(|sent| sent.node == node).cloned()?;
                let again = Sent { copies: 1, has_arrived: false, answers: Vec::new(), at: state.time, ..sent };
                state.sent.push(again);
            }
            Action::Break(number) => self.tell(&mut state, number, What::Lost),
            Action::TimeOut(number) => self.tell(&mut state, number, What::TimedOut),
            Action::Arrive(number, again) => self.arrive(&mut state, usize::from(number), again),
            Action::Answer(number, answer) => {
                let node = state.clients[usize::from(number)].node;
                let sent = state.sent.iter().rfind(|sent| sent.node == node)?;
                let answer = sent.answers[usize::from(answer)];
                self.tell(&mut state, number, What::Answer(answer));
            }
            Action::ServerReads(number) => {
                state.clients[usize::from(number)].read = Some(me(&state.server, state.time));
            }
            Action::Read(number) => {
                let me = state.clients[usize::from(number)].read.take()?;
                self.tell(&mut state, number, What::User(me));
            }
            Action::GoOn(number) => {
                let what = match &self.view(state.clients[usize::from(number)].node).ask {
                    Ask::Settle(ids) => {
                        state.store.journal.retain(|entry| !ids.contains(&entry.id));
                        What::GoesOn
                    }
                    Ask::Journal => What::Journal(self.pending(&state)),
                    _ => What::GoesOn,
                };
                self.tell(&mut state, number, what);
                if let Some(Report::Resolved(found, ids)) = self.report(&state.clients[usize::from(number)]) {
                    let (Program::Resolve(old, new) | Program::ResolveFirst(old, new)) =
                        self.scenario.clients[usize::from(number)].0
                    else {
                        unreachable!("only resolvers settle")
                    };
                    let is_true = match found {
                        Found::Applied => state.server.was_valid_after(Some(new), &ids),
                        Found::NotApplied => state.server.was_valid_after(old, &ids),
                        // Then it is not known which PIN is valid, so nothing is settled.
                        _ => false,
                    };
                    for id in ids {
                        let was_applied = state.server.has_carried_out(&id);
                        state.settled.push(Settled { id, was_applied, is_true });
                    }
                }
            }
            Action::FailRelease(number) => {
                state.failures -= 1;
                self.step(&mut state, number, What::GoesOn);
            }
            Action::Crash(number) => {
                state.crashes -= 1;
                state.clients[usize::from(number)].is_gone = true;
            }
            Action::Drop(number) => {
                state.crashes -= 1;
                let client = &mut state.clients[usize::from(number)];
                client.is_gone = true;
                let view = self.view(client.node);
                let (fence, keep) = view.held?;
                let is_late = self.scenario.fault == Some(Fault::KeptTooLate);
                Self::release(&mut state, fence, keep && !(is_late && matches!(view.ask, Ask::Flight { .. })));
            }
        }
        self.forget(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = properties::invariants();
        all.extend(self.scenario.reaches.iter().cloned());
        all
    }
}
