//! `pending`: lists the calls whose outcome is unknown, or removes one.

use std::fmt::Write as _;
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::keystore::KeystoreShape;
use mixin_pin_store::{ManagedStore, PendingCall};
use serde_json::{Value, json};

use crate::args::PendingArgs;
use crate::client;
use crate::error::Error;
use crate::outcome::Scene;
use crate::output::{GOOD, Output, warn};
use crate::time::{now, seconds};
use crate::{journal, keystore};

pub(crate) fn run(args: &PendingArgs, output: &Output) -> Result<(), Error> {
    let keystore = args.keystore.as_deref().map(keystore::read).transpose()?;
    let store = client::open_lasting_store(&args.store)?;
    let Some(keystore) = keystore else { return list(&store.all_pending()?, None, output) };
    let session_id = keystore.session_id();
    if let Some(request_id) = args.settled {
        return settle(&*store, session_id, request_id, output);
    }
    // Another program makes the calls of a remote signer.
    let scene = args.keystore.as_deref().filter(|_| keystore.shape() != KeystoreShape::RemoteSigner);
    let scene = scene.map(|keystore| Scene { keystore, api: &args.api, store: args.store.store.as_deref() });
    list(&store.pending(session_id)?, scene.as_ref(), output)
}

fn list(calls: &[PendingCall], scene: Option<&Scene<'_>>, output: &Output) -> Result<(), Error> {
    let entry = |call: &PendingCall| {
        let mut entry = journal::to_json(call);
        entry["next"] = journal::next(call, scene).into();
        entry
    };
    let entries: Vec<Value> = calls.iter().map(entry).collect();
    output.result(&json!({ "pending": entries }), || table(calls, scene))
}

fn table(calls: &[PendingCall], scene: Option<&Scene<'_>>) -> String {
    let mut text = journal::count(calls.len());
    let mut session = None;
    for call in calls {
        // Writing to a String does not fail.
        if session.replace(call.session_id) != Some(call.session_id) {
            let _ = write!(text, "\nsession {}", call.session_id);
        }
        let _ = write!(text, "\n  {}\n    {}", journal::line(call), journal::advice(call, scene));
    }
    text
}

fn settle(store: &dyn ManagedStore, session_id: Uuid, request_id: Uuid, output: &Output) -> Result<(), Error> {
    let unknown = Error::NotPending { request_id };
    let Some(call) = store.pending(session_id)?.into_iter().find(|call| call.request_id == request_id) else {
        return Err(unknown);
    };
    if let Some(left) = call.under_way_for {
        return Err(Error::UnderWay { request_id, left });
    }
    let left = Duration::from_secs(call.expires_at.secs().saturating_sub(now()?.secs()));
    if !left.is_zero() {
        warn(&format!("the call's token is valid for {} more; until then it may still be carried out", seconds(left)));
    }
    if !store.settle(session_id, request_id)? {
        return Err(unknown);
    }
    output.result(&json!({ "settled": request_id.to_string() }), || {
        format!("{GOOD}settled{GOOD:#}: {request_id} is not pending any more")
    })
}
