//! The status page at `/`: accounts and recent calls. Plain HTML without scripts.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use maud::{DOCTYPE, Markup, html};

use crate::Observation;
use crate::database::UserRow;
use crate::observe::truncated;
use crate::time::{nanos, rfc3339};

/// How many accounts are shown.
pub(crate) const MAX_USERS: u32 = 100;
/// How many bytes of a name or a path are shown.
const MAX_TEXT_LEN: usize = 100;
/// How many calls are remembered.
const MAX_CALLS: usize = 100;

const STYLE: &str = "body { font: 14px/1.5 sans-serif; margin: 2em; color: #222 } h1 { font-size: 1.4em } \
    h2 { font-size: 1.1em; margin-top: 2em } table { border-collapse: collapse } \
    th, td { text-align: left; padding: .2em 1.2em .2em 0; border-bottom: 1px solid #ddd; vertical-align: top } \
    td, th { font-variant-numeric: tabular-nums } code { font-size: 12px } .ok { color: #070 } .no { color: #a00 }";

/// The most recent calls.
#[derive(Default)]
pub(crate) struct RecentCalls(Mutex<VecDeque<Observation>>);

impl RecentCalls {
    pub(crate) fn add(&self, call: Observation) {
        // If a thread panicked with the lock, at most one call is missing.
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.truncate(MAX_CALLS - 1);
        calls.push_front(summary(call));
    }

    pub(crate) fn newest_first(&self) -> Vec<Observation> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Drops what the page does not show.
fn summary(mut call: Observation) -> Observation {
    call.body = String::new();
    call.user_agent = None;
    call.path = truncated(&call.path, MAX_TEXT_LEN);
    for pin in &mut call.pins {
        pin.ciphertext = String::new();
    }
    call
}

/// Renders the page. Each user has the number of tries that are used.
pub(crate) fn page(users: &[(UserRow, u32)], calls: &[Observation]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content="2";
                title { "mixin-pin sandbox" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "mixin-pin sandbox" }
                p { "A local stand-in for Mixin's PIN API. This page reloads every two seconds." }
                h2 { "Accounts" }
                table id="accounts" {
                    tr { th { "name" } th { "user" } th { "session" } th { "PIN" } th { "tries used" } }
                    @for (user, tries) in users { (account(user, *tries)) }
                }
                h2 { "Calls" }
                @if calls.is_empty() { p { "None yet." } }
                table id="calls" {
                    @if !calls.is_empty() {
                        tr { th { "time" } th { "call" } th { "session" } th { "iterators" } th { "status" } th { "result" } }
                    }
                    @for call in calls { (row(call)) }
                }
            }
        }
    };
    page.into_string()
}

fn account(user: &UserRow, tries: u32) -> Markup {
    let pin = match (&user.tip_key, &user.pin_hash) {
        (Some(_), _) => "TIP key",
        (None, Some(_)) => "six digits",
        (None, None) => "not set",
    };
    html! {
        tr {
            td { (truncated(&user.full_name, MAX_TEXT_LEN)) @if user.is_app { " (app)" } }
            td { code { (user.user_id) } }
            td { code { (user.session_id) } }
            td { (pin) }
            td { (tries) }
        }
    }
}

fn row(call: &Observation) -> Markup {
    let iterators: Vec<_> =
        call.pins.iter().filter_map(|pin| pin.iterator).map(|iterator| iterator.to_string()).collect();
    html! {
        tr {
            td { (rfc3339(nanos(call.at))) }
            td { (call.method) " " (call.path) }
            td { @if let Some(id) = call.session_id { code { (id) } } }
            td { (iterators.join(", ")) }
            td { (call.status) }
            @match call.code {
                None => td.ok { "done" },
                Some(code) => td.no { (code) @if let Some(reason) = &call.reason { " " (reason) } },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mixin_pin_core::UnixTime;

    use super::*;
    use crate::ObservedPin;

    fn call(path: &str, code: Option<u32>) -> Observation {
        Observation {
            at: UnixTime::from_secs(1_700_000_000),
            method: "GET".to_owned(),
            path: path.to_owned(),
            request_id: None,
            user_agent: None,
            session_id: None,
            body: "a body".to_owned(),
            pins: Vec::new(),
            status: 200,
            code,
            reason: code.map(|_| "<i>why</i>".to_owned()),
        }
    }

    #[test]
    fn text_from_clients_is_escaped() {
        let page = page(&[], &[call("/<script>alert(1)</script>", Some(401))]);
        assert!(page.contains("/&lt;script&gt;") && page.contains("401 &lt;i&gt;"), "{page}");
        assert!(!page.contains("<script") && !page.contains("<i>"), "{page}");
    }

    #[test]
    fn the_last_hundred_calls_are_kept_newest_first() {
        let recent = RecentCalls::default();
        (0..250).for_each(|number| recent.add(call(&format!("/{number}"), None)));
        let calls = recent.newest_first();
        assert_eq!((calls.len(), calls[0].path.as_str(), calls[99].path.as_str()), (100, "/249", "/150"));
        assert!(calls.iter().all(|call| call.body.is_empty()));
    }

    #[test]
    fn long_text_is_truncated() {
        let recent = RecentCalls::default();
        let mut long = call(&format!("/{}", "ä".repeat(1 << 20)), None);
        long.pins = vec![ObservedPin { ciphertext: "A".repeat(1 << 20), iterator: Some(7) }];
        long.user_agent = Some("A".repeat(1 << 20));
        recent.add(long);
        let page = page(&[], &recent.newest_first());
        assert!(page.len() < 10_000 && page.contains("ä…") && page.contains("<td>7</td>"), "{}", page.len());
        let kept = &recent.newest_first()[0];
        assert!(kept.user_agent.is_none() && kept.pins[0].ciphertext.is_empty());
    }
}
