//! An attempt to lease a session: one try, or two if the first had no answer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mixin_pin_core::{Error as CoreError, UnixTime, uuid::Uuid};
use redis::{Cmd, Connection, RedisResult, ScriptInvocation};

use super::connections::{Patience, Silent, connect, is_broken};
use super::lease::Grant;
#[cfg(feature = "redis-ha")]
use super::servers::{Inquiry, Server};
use super::{Inner, calls, invocation, keys, mark_key, number};
use crate::engine::{Expiry, LeaseState, random};
use crate::iterators::{PER_LEASE, TOO_FAR};
use crate::journal::{OwnEntry, oldest_verification};
use crate::{Error, LeaseTerms, MAX_LEAP, PendingCall, RedisError};

/// The result of an attempt to lease a session.
pub(super) enum Attempt {
    Granted(Grant),
    Busy,
    ClockUnconfirmed { ahead: Option<Duration> },
}

/// The arguments of the script `LEASE`, and how its answer is read.
pub(super) struct LeaseRequest {
    begun: Instant,
    now: UnixTime,
    duration: Duration,
    session_id: Uuid,
    /// No other attempt has it.
    fence: String,
    request_id: Option<Uuid>,
    /// The arguments between the fence and the number of the try.
    terms: Vec<String>,
    /// What the script records of the call.
    call: Vec<String>,
}

/// How often a session is leased in an attempt: another node may have it.
pub(super) const ATTEMPTS: u32 = 2;

/// Stands for the answer of a node that does not have the session any more.
#[cfg(feature = "redis-ha")]
pub(super) const ELSEWHERE: &str = "elsewhere";

/// A century. Redis refuses an expiry that does not fit into its clock.
const LONGEST_LEASE: Duration = Duration::from_secs(100 * 365 * 86_400);

impl LeaseRequest {
    pub(super) fn new(session_id: Uuid, now: UnixTime, terms: &LeaseTerms<'_>) -> Result<Self, Error> {
        let max_leap = if terms.clock_is_confirmed() { String::new() } else { MAX_LEAP.as_nanos().to_string() };
        let call = terms.call().map(|call| {
            // The script adds the iterators.
            let call = PendingCall::new(Uuid::nil(), call, 0..=0, now);
            vec![call.kind.name().to_owned(), call.expires_at.secs().to_string(), calls::rest(&call)]
        });
        Ok(Self {
            begun: Instant::now(),
            now,
            duration: terms.duration(),
            session_id,
            fence: format!("{:032x}", u128::from_ne_bytes(random()?)),
            request_id: terms.call().map(|call| call.request_id),
            terms: vec![
                now.as_nanos()?.to_string(),
                terms.duration().min(LONGEST_LEASE).as_millis().max(1).to_string(),
                max_leap,
                (PER_LEASE - 1).to_string(),
                TOO_FAR.as_nanos().to_string(),
                oldest_verification(now).to_string(),
            ],
            call: call.unwrap_or_default(),
        })
    }

    /// The script for one of the two tries.
    pub(super) fn invocation<'s>(&self, store: &'s Inner, is_second: bool) -> ScriptInvocation<'s> {
        let (request_id, try_number) = (text(self.request_id), if is_second { "2" } else { "1" });
        let mut invocation = invocation(&store.scripts.lease, self.session_id, &[&self.fence]);
        invocation.key(mark_key(self.session_id, &self.fence));
        let options = &store.servers.settings().options;
        invocation.arg(&self.terms).arg(try_number).arg(request_id).arg(&options.new).arg(options.replicas);
        invocation.arg(&self.call);
        invocation
    }

    /// Reads the answer. `is_late` says whether the first try may still arrive. None if another node has the session.
    pub(super) fn read(
        &self,
        store: &Arc<Inner>,
        answer: &[String],
        entry: OwnEntry,
        is_late: bool,
    ) -> Result<Option<Attempt>, Error> {
        let text = |place| answer.get(place).map(String::as_str).ok_or(Error::Redis(RedisError::Content));
        match text(0)? {
            "leased" => {
                let reserved = number(text(1)?)?..=number(text(2)?)?;
                let last = Mutex::new(*reserved.end());
                let state = LeaseState::new(Expiry::new(self.begun, self.now, self.duration), reserved);
                let (store, session_id, fence) = (store.clone(), self.session_id, self.fence.clone());
                Ok(Some(Attempt::Granted(Grant { store, session_id, fence, state, last, entry, is_late })))
            }
            "leap" => {
                let ahead = text(1)?;
                let ahead = if ahead.is_empty() { None } else { Some(Duration::from_nanos(number(ahead)?)) };
                Ok(Some(Attempt::ClockUnconfirmed { ahead }))
            }
            "ahead" => Err(Error::IteratorAhead { ahead: Duration::from_nanos(number(text(1)?)?) }),
            "exhausted" => Err(CoreError::IteratorExhausted.into()),
            "busy" => Ok(Some(Attempt::Busy)),
            "few" => Err(Error::Redis(RedisError::FewReplicas)),
            #[cfg(feature = "redis-ha")]
            ELSEWHERE => Ok(None),
            _ => Err(Error::Redis(RedisError::Content)),
        }
    }

    /// How to find out whether this server has the session. None if there is no lease, or nobody else knows.
    #[cfg(feature = "redis-ha")]
    pub(super) fn inquiry(&self, store: &Inner, answer: &[String], server: &Server) -> Option<Inquiry> {
        let is_leased = answer.first().is_some_and(|word| word == "leased");
        if is_leased { store.servers.inquiry(server, self.session_id, &self.fence) } else { None }
    }

    /// Takes both tries back.
    pub(super) fn release(&self) -> Release {
        Release { session_id: self.session_id, fence: self.fence.clone(), request_id: self.request_id, is_late: true }
    }
}

/// The arguments of the script `RELEASE`.
pub(super) struct Release {
    pub(super) session_id: Uuid,
    pub(super) fence: String,
    /// The entry to remove.
    pub(super) request_id: Option<Uuid>,
    /// Whether a try with this fence may still arrive.
    pub(super) is_late: bool,
}

impl Release {
    pub(super) fn invocation<'s>(&self, store: &'s Inner) -> ScriptInvocation<'s> {
        let mut invocation = invocation(&store.scripts.release, self.session_id, &self.arguments());
        invocation.key(mark_key(self.session_id, &self.fence));
        invocation
    }

    /// The same as one command, which does not need the script on the server.
    pub(super) fn command(&self, store: &Inner) -> Cmd {
        let (keys, mark) = (keys(self.session_id), mark_key(self.session_id, &self.fence));
        let mut command = redis::cmd("EVAL");
        command.arg(&*store.scripts.release_text).arg(keys.len() + 1).arg(&keys).arg(mark).arg(&self.arguments());
        command
    }

    fn arguments(&self) -> [String; 3] {
        [self.fence.clone(), text(self.request_id), if self.is_late { "2" } else { "" }.to_owned()]
    }
}

fn text(request_id: Option<Uuid>) -> String {
    request_id.map(|id| id.to_string()).unwrap_or_default()
}

impl Inner {
    /// Time limit for connecting once more to take a request back, and for the answer. The caller waits for it.
    const TAKE_BACK: Duration = Duration::from_secs(1);
    /// Time limit for the replicas to have a lease.
    const REPLICAS: Duration = Duration::from_secs(1);

    /// Tries to lease the session, and waits for the server no longer than `limit`.
    pub(super) fn try_lease(
        self: &Arc<Self>,
        session_id: Uuid,
        terms: &LeaseTerms<'_>,
        limit: Duration,
    ) -> Result<Attempt, Error> {
        let patience = self.patience(limit.min(self.limit));
        for _ in 0..ATTEMPTS {
            let request = LeaseRequest::new(session_id, (self.clock)()?, terms)?;
            let mut silent = Vec::new();
            let answer = self.on_connections(Some(session_id), &mut silent, patience, |connection, is_second| {
                self.lease_on(connection, &request, is_second, patience)
            });
            #[cfg(feature = "redis-ha")]
            let answer =
                answer.and_then(|(answer, server)| Ok((self.confirm(&request, answer, &server, patience)?, server)));
            let is_late = !silent.is_empty();
            let result = answer.and_then(|(answer, _)| request.read(self, &answer, OwnEntry::new(terms), is_late));
            if is_late && !matches!(result, Ok(Some(_))) {
                self.take_back(&request.release(), silent);
            }
            if let Some(attempt) = result? {
                return Ok(attempt);
            }
        }
        Err(Error::Redis(RedisError::ClusterDown))
    }

    /// Asks other nodes of a cluster whether a node that grants a lease has the session. Otherwise the lease is taken back.
    #[cfg(feature = "redis-ha")]
    fn confirm(
        &self,
        request: &LeaseRequest,
        answer: Vec<String>,
        server: &Server,
        patience: Patience,
    ) -> Result<Vec<String>, Error> {
        let Some(mut inquiry) = request.inquiry(self, &answer, server) else { return Ok(answer) };
        while let Some((node, question)) = inquiry.next().filter(|_| !patience.is_over()) {
            let limit = Patience::new(Inquiry::LIMIT, Inquiry::LIMIT);
            let found = self.on_server(&node, &mut Vec::new(), limit, |connection, _| question.query(connection));
            inquiry.answered(&self.servers, limit, &node, found);
        }
        let result = inquiry.result();
        if matches!(result, Ok(true)) {
            return Ok(answer);
        }
        // If this fails, the lease ends by itself, and the entry stays.
        let _ = self.on_server(
            server,
            &mut Vec::new(),
            Patience::new(Self::TAKE_BACK, Self::TAKE_BACK),
            |connection, _| request.release().invocation(self).invoke::<Vec<String>>(connection),
        );
        result.map(|_| vec![ELSEWHERE.to_owned()])
    }

    /// Runs the script, and waits until the replicas have the lease.
    fn lease_on(
        &self,
        connection: &mut Connection,
        request: &LeaseRequest,
        is_second: bool,
        patience: Patience,
    ) -> RedisResult<Vec<String>> {
        let answer: Vec<String> = request.invocation(self, is_second).invoke(connection)?;
        match self.replicas_have(connection, &answer, patience) {
            Ok(true) => Ok(answer),
            Err(error) if is_broken(&error) => Err(error),
            result => {
                // If this fails, the lease ends by itself, and the entry stays.
                let _ = request.release().invocation(self).invoke::<Vec<String>>(connection);
                result.map(|_| vec!["few".to_owned()])
            }
        }
    }

    /// Waits until the replicas have what a script wrote. True if it needs no replicas.
    pub(super) fn replicas_have(
        &self,
        connection: &mut Connection,
        answer: &[String],
        patience: Patience,
    ) -> RedisResult<bool> {
        let Some(wait) = self.wait_for_replicas(answer, patience) else { return Ok(true) };
        wait.query(connection).map(|count: u32| count >= self.servers.settings().options.replicas)
    }

    /// The command that waits until the replicas have what a script wrote. None if it gave no iterator, or needs no replicas.
    pub(super) fn wait_for_replicas(&self, answer: &[String], patience: Patience) -> Option<Cmd> {
        let replicas = self.servers.settings().options.replicas;
        let is_written = answer.first().is_some_and(|word| word == "leased" || word == "reserved");
        let limit = (patience.of_step() / 2).clamp(Duration::from_millis(1), Self::REPLICAS);
        let mut command = redis::cmd("WAIT");
        command.arg(replicas).arg(u64::try_from(limit.as_millis()).unwrap_or(1));
        (is_written && replicas > 0).then_some(command)
    }

    /// Takes back the requests that had no answer.
    fn take_back(&self, release: &Release, silent: Silent<Connection>) {
        let mut last = None;
        for (server, mut connection) in silent {
            // The server runs it after the request that had no answer, however late that is. So this does not wait for an
            // answer either. It fails if the server has closed the connection.
            let _ = release.command(self).set_no_response(true).exec(&mut connection);
            last = Some(server);
        }
        // The request may have reached the server before its connection broke. If this fails, too, the lease ends by itself,
        // and the entry stays.
        let _ = last.map(|server| {
            connect(&server, Patience::new(Self::TAKE_BACK, Self::TAKE_BACK))
                .and_then(|mut connection| release.invocation(self).invoke::<Vec<String>>(&mut connection))
        });
    }
}
