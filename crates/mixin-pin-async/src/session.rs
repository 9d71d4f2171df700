//! Replaces the key of a session, and settles such a change if its answer was lost.

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Pin, RsaPublicKey, UnixTime};
use mixin_pin_machine::{Error, KeyResolution, KeyState, KeyStep, Outcome, SessionChange, Which};
use mixin_pin_protocol::answer::{App, AppRegistration, NewSession, UserSession};
use mixin_pin_store::PendingCall;

use crate::driver::{Outside, Tips, drive, now};
use crate::{AsyncSigner, AsyncTipSigner, Client};

impl Client {
    /// Replaces the RSA key of this session by an Ed25519 key: `POST /legacy/users`. The PIN in digits permits it.
    ///
    /// Save the new private key before. The request has no token, so a refusal is [`Outcome::Unknown`], too: it may be about
    /// a copy that was made on the network.
    ///
    /// ```no_run
    /// use mixin_pin_async::core::{Ed25519Key, Pin, RsaPublicKey};
    /// use mixin_pin_async::protocol::keystore::write_ed25519;
    /// use mixin_pin_async::{Client, Error, Outcome, SessionChange};
    ///
    /// # async fn upgrade(client: &Client, old: &RsaPublicKey, pin: &Pin, new: &Ed25519Key) -> Result<(), Error> {
    /// match client.upgrade_session(old, pin, &new.public_key()).await? {
    ///     Outcome::Done(answer) => {
    ///         let session = client.session();
    ///         let user_id = answer.user_id.unwrap_or(session.user_id());
    ///         let session_id = answer.session_id.unwrap_or(session.session_id());
    ///         let keystore = write_ed25519(user_id, session_id, new, &answer.server_key); // save it
    ///     }
    ///     Outcome::Unknown(lost) => println!("keep both keys: {}", lost.next), // see `resolve_session`
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If the request was not sent.
    pub async fn upgrade_session(
        &self,
        old_key: &RsaPublicKey,
        pin: &Pin,
        new_key: &Ed25519PublicKey,
    ) -> Result<Outcome<NewSession>, Error> {
        self.change(self.rules.upgrade_session(old_key, pin, new_key), Tips::default()).await
    }

    /// Replaces the key of this session: `POST /session/secret`. The apps replaced RSA keys so. Save the new private key
    /// before.
    ///
    /// # Errors
    /// As [`Client::create_pin`]. A refusal with 401 is [`Outcome::Unknown`], because it may be about a copy of the request.
    pub async fn replace_session_key(&self, new_key: &Ed25519PublicKey) -> Result<Outcome<NewSession>, Error> {
        self.change(self.rules.replace_session_key(new_key), Tips::default()).await
    }

    /// Gives an app of this user a new session: `POST /safe/apps/:id/session`. Save the new private key before.
    ///
    /// The journal's entry is under this session, that of the app's owner.
    ///
    /// # Errors
    /// As [`Client::replace_session_key`].
    pub async fn replace_app_session(
        &self,
        app_id: Uuid,
        new_key: &Ed25519PublicKey,
    ) -> Result<Outcome<NewSession>, Error> {
        self.change(self.rules.replace_app_session(app_id, new_key), Tips::default()).await
    }

    /// Registers an app of this user with the safe: `POST /safe/apps/:id/register`. No source shows how to replace the
    /// key afterwards. [`App::has_safe`] tells what became of a lost call.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub async fn register_app(
        &self,
        app_id: Uuid,
        spend_key: &dyn AsyncTipSigner,
    ) -> Result<Outcome<AppRegistration>, Error> {
        let tips = Tips { pin: None, safe: Some(spend_key) };
        self.change(self.rules.register_app(app_id, spend_key.public_key()), tips).await
    }

    /// Reads an app: `GET /apps/:id`.
    ///
    /// # Errors
    /// As [`Client::me`].
    pub async fn app(&self, app_id: Uuid) -> Result<App, Error> {
        self.read(self.rules.app(app_id)).await
    }

    /// Lists the sessions of these users: `POST /sessions/fetch`.
    ///
    /// # Errors
    /// As [`Client::me`].
    pub async fn sessions(&self, user_ids: &[Uuid]) -> Result<Vec<UserSession>, Error> {
        self.read(self.rules.sessions(user_ids)).await
    }

    /// Asks whether a key is that of a session: `GET /me`, signed by it. This changes nothing.
    ///
    /// ```no_run
    /// use mixin_pin_async::core::{Ed25519Key, uuid::Uuid};
    /// use mixin_pin_async::{Client, Error, KeyState};
    ///
    /// # async fn works(client: &Client, session_id: Uuid, key: &Ed25519Key) -> Result<bool, Error> {
    /// let state = client.ask_with(client.session().user_id(), session_id, key).await?;
    /// Ok(matches!(state, KeyState::Accepted(_)))
    /// # }
    /// ```
    ///
    /// # Errors
    /// Any failure but a 401 that may be about the key. A 401 for another reason, such as the clock, is an error.
    pub async fn ask_with(&self, user_id: Uuid, session_id: Uuid, key: &dyn AsyncSigner) -> Result<KeyState, Error> {
        self.ask(user_id, session_id, key).await.map(|(state, _)| state)
    }

    /// Like `ask_with`. Also returns the server's time if the answer names it.
    async fn ask(
        &self,
        user_id: Uuid,
        session_id: Uuid,
        key: &dyn AsyncSigner,
    ) -> Result<(KeyState, Option<UnixTime>), Error> {
        let call = self.rules.ask_with(user_id, session_id, key.algorithm());
        let ended = drive(call, &self.transport, Outside::unleased(Some(key))).await?;
        Ok((KeyState::of(ended.result.and_then(Outcome::read))?, ended.server_time))
    }

    /// Finds out which key is a session's after a change of the key whose answer was lost. It only reads. A settled change
    /// leaves the journal of this client's session: the session that was changed, or that of the app's owner.
    ///
    /// ```no_run
    /// use mixin_pin_async::core::{Ed25519Key, RsaKey};
    /// use mixin_pin_async::protocol::answer::NewSession;
    /// use mixin_pin_async::{Client, Error, KeyVerdict, SessionChange};
    ///
    /// # async fn settle(client: &Client, old: &RsaKey, new: &Ed25519Key) -> Result<(), Error> {
    /// let session = client.session();
    /// let change = SessionChange::new(session.user_id(), session.session_id(), new.public_key());
    /// match client.resolve_session(change, old, new).await?.verdict {
    ///     KeyVerdict::New(user) => match NewSession::of_user(&user) {
    ///         Some(session) => println!("make the keystore of {session:?}"),
    ///         None => println!("the new key works, but the answer has no server's key"),
    ///     },
    ///     KeyVerdict::Old(_) => println!("nothing changed"),
    ///     other => println!("keep both keys: {other:?}"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::ask_with`], and a failure of the store before the server is asked. A later one is in
    /// [`KeyResolution::journal_error`].
    pub async fn resolve_session(
        &self,
        change: SessionChange,
        old_key: &dyn AsyncSigner,
        new_key: &dyn AsyncSigner,
    ) -> Result<KeyResolution, Error> {
        let latest = self.rules.latest_change(now()?);
        let mut plan = change.plan(&self.pending().await?, latest);
        let mut resolution = loop {
            plan = match plan.next() {
                KeyStep::Ask(asked) => {
                    let key = match asked.key() {
                        Which::Old => old_key,
                        Which::New => new_key,
                    };
                    let (state, server_time) = self.ask(asked.user_id(), asked.session_id(), key).await?;
                    asked.answered(state, server_time)?
                }
                KeyStep::List(asked) => {
                    let sessions = self.sessions(&[asked.user_id()]).await;
                    asked.listed(sessions)?
                }
                KeyStep::Done(resolution) => break resolution,
            };
        };
        let settled = |pending: &[PendingCall]| resolution.settled(pending).map(|call| call.request_id).collect();
        resolution.journal_error = self.settle_all(settled).await.err();
        Ok(resolution)
    }
}
