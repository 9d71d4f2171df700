//! What a call asks for, and how its requests are prepared.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::{Algorithm, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{NonceSource, Session, UnixTime};
use mixin_pin_protocol::CallError;
use mixin_pin_protocol::call::{Calls, PreparedRequest, UnsignedRequest};
use mixin_pin_store::{CallKind, Error as StoreError};

use crate::tips::Tips;
use crate::{Limits, NextStep, Observer};

/// What all calls of a client share.
pub(crate) struct Context {
    pub(crate) limits: Limits,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

pub(crate) type Nonces<'n> = dyn NonceSource<Error = StoreError> + 'n;

/// What preparing one request needs.
pub(crate) struct Ingredients<'i> {
    pub(crate) now: UnixTime,
    pub(crate) rng: &'i mut dyn CryptoRng,
    pub(crate) lifetime: Duration,
    /// The request id in the journal. None for a request that is not in the journal.
    pub(crate) request_id: Option<Uuid>,
    pub(crate) nonces: &'i Nonces<'i>,
    pub(crate) tips: &'i Tips,
}

impl<'i> Ingredients<'i> {
    /// Calls of this session with these ingredients.
    pub(crate) fn calls<'x>(self, session: &'x Session<Algorithm>) -> Calls<'x, Nonces<'x>>
    where
        'i: 'x,
    {
        let nonces: &'x Nonces<'x> = self.nonces;
        let calls = Calls::for_algorithm(session, *session.signer(), self.now, self.rng);
        let calls = calls.lifetime(self.lifetime).nonces(nonces);
        match self.request_id {
            Some(id) => calls.request_id(id),
            None => calls,
        }
    }
}

/// A request before or after it is signed. An OAuth exchange and the upgrade of a session have no token.
pub(crate) enum Draft {
    ToSign(UnsignedRequest),
    Ready(PreparedRequest),
}

impl From<PreparedRequest> for Draft {
    fn from(request: PreparedRequest) -> Self {
        Self::Ready(request)
    }
}

impl From<UnsignedRequest> for Draft {
    fn from(request: UnsignedRequest) -> Self {
        Self::ToSign(request)
    }
}

pub(crate) type Prepare<'c> = Box<dyn Fn(Ingredients<'_>) -> Result<Draft, CallError> + Send + Sync + 'c>;

/// What a call asks for.
pub(crate) struct Plan<'c> {
    pub(crate) method: Cow<'c, str>,
    pub(crate) path: Cow<'c, str>,
    pub(crate) rule: Rule,
    pub(crate) prepare: Prepare<'c>,
    /// The session that a call leases, and that asks for the server's time.
    pub(crate) session: Option<&'c Session<Algorithm>>,
    /// The key that signs the answers, for an OAuth session.
    pub(crate) server_key: Option<&'c VerifyingKey>,
    /// How long a request without a token may be carried out. None for one with a token.
    pub(crate) window: Option<Duration>,
}

impl Plan<'_> {
    /// The path without its query, which may contain what a journal or a log must not.
    pub(crate) fn bare_path(&self) -> &str {
        bare(&self.path)
    }

    /// The user that a success without data stands for. A verification is answered by the user or, as Mixin's page of 2021 to 2025
    /// has it, by an empty object (MixinNetwork/developers.mixin.one, commit eb7ac87b^:
    /// `developers-docs/docs/api/pin/pin-verify.md`). Then only this is known of the user.
    pub(crate) fn blank_answer(&self) -> Option<Uuid> {
        let session = self.session.filter(|_| self.rule == Rule::Leased(NextStep::VerifyAgain))?;
        Some(session.user_id())
    }
}

pub(crate) fn bare(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

/// How a call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// It changes nothing, and is repeated if the server or the connection fails.
    Read { retries: u32 },
    /// It may change something, and is sent once. It leases the session, and is in the journal.
    Leased(NextStep),
    /// It may change something, and is sent once, without a lease: it carries no PIN.
    Unleased(NextStep),
}

impl NextStep {
    /// The kind of a call for the journal.
    pub(crate) const fn kind(self) -> CallKind {
        match self {
            Self::ResolveUpdate => CallKind::UpdatePin,
            Self::VerifyAgain => CallKind::VerifyPin,
            Self::AskBothKeys => CallKind::ChangeSession,
            Self::CheckFirst => CallKind::Other,
        }
    }

    /// What to do after a call of this kind whose outcome is unknown.
    pub const fn after(kind: CallKind) -> Self {
        match kind {
            CallKind::UpdatePin => Self::ResolveUpdate,
            CallKind::VerifyPin => Self::VerifyAgain,
            CallKind::ChangeSession => Self::AskBothKeys,
            _ => Self::CheckFirst,
        }
    }
}
