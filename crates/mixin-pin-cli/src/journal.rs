//! Entries of the store's journal, in words and in JSON.

use mixin_pin_core::UnixTime;
use mixin_pin_http::NextStep;
use mixin_pin_protocol::Shown;
use mixin_pin_store::{CallKind, PendingCall};
use serde_json::{Value, json};

use crate::outcome::{Scene, next_command};
use crate::redact::secret_kind;
use crate::time::{date, seconds};

/// The number of pending calls, in words.
pub(crate) fn count(pending: usize) -> String {
    format!("{pending} pending call{}", if pending == 1 { "" } else { "s" })
}

/// The entry in JSON, with times in Unix seconds.
pub(crate) fn to_json(call: &PendingCall) -> Value {
    json!({
        "request_id": call.request_id.to_string(),
        "method": call.method,
        "path": path(call),
        "sent_at": call.sent_at.secs(),
        "expires_at": call.expires_at.secs(),
    })
}

/// The entry in a line.
pub(crate) fn line(call: &PendingCall) -> String {
    let PendingCall { request_id, method, sent_at, expires_at, .. } = call;
    let (sent, expires) = (date(*sent_at), date(*expires_at));
    format!("{request_id}  {} {}  sent {sent}  expires {expires}", Shown(method), Shown(&path(call)))
}

/// What settles a change of the PIN. The journal tells neither the command that made it nor its options.
pub(crate) const SETTLED_BY: &str = "a tip change or session upgrade settles it if you run the same command again; after an update, \
                                     with its --new-user, --tip or --old-tip, run: ";

/// What to do about a call whose token expires at this time.
pub(crate) fn step(step: NextStep, expires_at: Option<UnixTime>) -> String {
    match (step, expires_at) {
        // Verifying again would leave it in the list.
        (NextStep::VerifyAgain, _) => "it changed nothing, but a wrong PIN may have cost a try".to_owned(),
        // Before that it may still arrive, so a check proves nothing.
        (NextStep::CheckFirst, Some(at)) => {
            format!("after {}, when its token has expired, {step}", date(at))
        }
        _ => step.to_string(),
    }
}

/// What to do about the call, as a sentence.
pub(crate) fn advice(call: &PendingCall, scene: Option<&Scene<'_>>) -> String {
    if let Some(left) = call.under_way_for {
        return format!("under way: its caller may wait for the answer for at most {} more", seconds(left));
    }
    let step = step(NextStep::after(call.kind), Some(call.expires_at));
    match (call.kind, next(call, scene)) {
        (CallKind::UpdatePin, Some(command)) => format!("{step}; {SETTLED_BY}{command}"),
        (CallKind::ChangeSession, Some(command)) => {
            format!(
                "{step}; the same session command settles it if you run it again; or, with --new-keystore and the new \
                 keystore's file, run: {command}"
            )
        }
        (CallKind::VerifyPin, Some(command)) => format!("{step}; to remove it, run: {command}"),
        (CallKind::UpdatePin | CallKind::VerifyPin | CallKind::ChangeSession, None) => step,
        _ if is_registration(call) => format!("{step}; the same app register settles it if you run it again"),
        _ => format!("{step}; then {}", removal(call, scene)),
    }
}

/// Whether it registers an app with the safe.
fn is_registration(call: &PendingCall) -> bool {
    call.path.starts_with("/safe/apps/") && call.path.ends_with("/register")
}

/// How to remove the call, as the end of a sentence.
pub(crate) fn removal(call: &PendingCall, scene: Option<&Scene<'_>>) -> String {
    let request_id = call.request_id.to_string();
    let command = || next_command("pending", scene?, &["--settled", &request_id]);
    command().map_or_else(|| "remove it with --settled".to_owned(), |command| format!("run: {command}"))
}

/// The command to run next. None while the call is under way, if only its owner can check it, or if the command cannot be
/// shown.
pub(crate) fn next(call: &PendingCall, scene: Option<&Scene<'_>>) -> Option<String> {
    let command = match call.kind {
        _ if call.under_way_for.is_some() => return None,
        // It removes a verification.
        CallKind::UpdatePin | CallKind::VerifyPin | CallKind::ChangeSession => "resolve",
        _ => return None,
    };
    next_command(command, scene?, &[])
}

/// The path, without parts that may be secrets: a PIN or a key may have been given in place of an id.
fn path(call: &PendingCall) -> String {
    let parts = call.path.split('/').map(|part| if secret_kind(part).is_some() { "******" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mixin_pin_core::UnixTime;
    use mixin_pin_core::uuid::Uuid;
    use mixin_pin_store::CallIntent;

    use super::*;

    fn call(kind: CallKind, path: &str) -> PendingCall {
        let (id, token_lifetime) = (Uuid::from_u128(7), Duration::from_secs(60));
        let intent = CallIntent { request_id: id, method: "POST".into(), path: path.into(), kind, token_lifetime };
        PendingCall::new(id, &intent, 1..=2, UnixTime::from_nanos(1_700_000_000_900_000_000))
    }

    #[test]
    fn each_kind_of_call_has_its_own_advice() {
        let scene = Scene { keystore: "me.json".as_ref(), api: mixin_pin_http::DEFAULT_API, store: None };
        let id = "00000000-0000-0000-0000-000000000007";
        for (kind, advice, alone) in [
            (
                CallKind::UpdatePin,
                "find out which PIN is set before you use or change it; a tip change or session upgrade settles it if you run the \
                 same command again; after an update, with its --new-user, --tip or --old-tip, run: mixin-pin resolve --keystore \
                 me.json"
                    .to_owned(),
                "find out which PIN is set before you use or change it",
            ),
            (
                CallKind::VerifyPin,
                "it changed nothing, but a wrong PIN may have cost a try; to remove it, run: mixin-pin resolve --keystore \
                 me.json"
                    .to_owned(),
                "it changed nothing, but a wrong PIN may have cost a try",
            ),
            (
                CallKind::ChangeSession,
                "find out which key is the session's, and keep both until you know; the same session command settles it if you run \
                 it again; or, with --new-keystore and the new keystore's file, run: mixin-pin resolve --keystore me.json"
                    .to_owned(),
                "find out which key is the session's, and keep both until you know",
            ),
            (
                CallKind::Other,
                format!(
                    "after 2023-11-14T22:14:20Z, when its token has expired, check whether it was carried out before you \
                     repeat it; then run: mixin-pin pending --keystore me.json --settled {id}"
                ),
                "after 2023-11-14T22:14:20Z, when its token has expired, check whether it was carried out before you repeat \
                 it; then remove it with --settled",
            ),
        ] {
            let mut call = call(kind, "/x");
            assert_eq!(super::advice(&call, Some(&scene)), advice);
            assert_eq!((super::advice(&call, None).as_str(), next(&call, None)), (alone, None));
            call.under_way_for = Some(Duration::from_millis(2_001));
            let under_way = "under way: its caller may wait for the answer for at most 3 seconds more";
            assert_eq!((super::advice(&call, Some(&scene)).as_str(), next(&call, Some(&scene))), (under_way, None));
        }
    }

    #[test]
    fn a_lost_registration_is_settled_by_the_same_command() {
        let call = call(CallKind::Other, "/safe/apps/00000000-0000-0000-0000-000000000007/register");
        let advice = advice(&call, None);
        assert!(advice.ends_with("; the same app register settles it if you run it again"), "{advice}");
    }

    #[test]
    fn a_path_shows_no_secret_and_nothing_that_a_terminal_acts_on() {
        let hex = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        for (path, shown) in [
            (
                "/addresses/6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e/delete",
                "/addresses/6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e/delete",
            ),
            ("/x/739146", "/x/******"),
            (&format!("/x/{hex}/y"), "/x/******/y"),
            ("/a\u{1b}[2Jb", r"/a\u{1b}[2Jb"),
        ] {
            let line = line(&call(CallKind::Other, path));
            let expected = format!(
                "00000000-0000-0000-0000-000000000007  POST {shown}  sent 2023-11-14T22:13:20Z  expires 2023-11-14T22:14:20Z"
            );
            assert_eq!(line, expected);
        }
        assert_eq!(to_json(&call(CallKind::Other, "/x/739146"))["path"], "/x/******");
    }
}
