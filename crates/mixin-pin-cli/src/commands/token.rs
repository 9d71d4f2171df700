//! `token`: signs a token for a request that another program sends.

use std::time::Duration;

use mixin_pin_core::SystemRng;
use mixin_pin_core::token::RequestHash;
use mixin_pin_protocol::call::{check_request, random_uuid};
use mixin_pin_protocol::check::ReceivedToken;
use mixin_pin_protocol::keystore::KeystoreShape;
use serde_json::json;

use crate::args::TokenArgs;
use crate::error::{Error, KeystoreProblem};
use crate::output::Output;
use crate::time::now;
use crate::{files, keystore};

pub(crate) fn run(args: &TokenArgs, output: &Output) -> Result<(), Error> {
    let path = &args.session.keystore;
    let keystore = keystore::read(path)?;
    let body = args.body.as_deref().map(files::read).transpose()?;
    // An empty body that was given is checked too: it is not JSON.
    check_request(&args.method, &args.path, body.as_deref())?;
    let body = body.unwrap_or_default();
    let mut rng = SystemRng::new()?;
    let request_id = args.request_id.unwrap_or_else(|| random_uuid(&mut rng));
    let hash = RequestHash::of(&args.method, &args.path, &body);
    let (now, ttl) = (now()?, Duration::from_secs(args.ttl));
    let token = if keystore.shape() == KeystoreShape::OAuth {
        // Only the verification of answers needs the server's key.
        let session = keystore.into_oauth_signer().map_err(|cause| KeystoreProblem::Content(cause).at(path))?;
        session.sign(&session.claims(hash, request_id, now, ttl)?, &mut rng)?
    } else {
        let session = keystore::into_session(path, keystore)?;
        session.sign(&session.claims(hash, request_id, now, ttl)?, &mut rng)?
    };
    let parsed = ReceivedToken::parse(token.as_str())?;
    output.result(&json!({ "token": token.as_str(), "claims": parsed.raw_claims() }), || token.as_str().to_owned())
}
