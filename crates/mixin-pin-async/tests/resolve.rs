//! A lost change is settled by the server's clock. A refusal without a reason does not settle it.

mod common;

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use common::{Server, USER, builder, pin, respond};
use mixin_pin_async::store::MemoryStore;
use mixin_pin_async::{Client, Error, Resolution, Verdict};
use mixin_pin_core::{Pin, UnixTime};
use mixin_pin_protocol::answer::Reason;

const NO_PIN: &str = r#"{"data":{"user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09","has_pin":false}}"#;

fn now() -> u64 {
    UnixTime::try_from(SystemTime::now()).unwrap().secs()
}

/// A server whose user has no PIN, and whose clock is this many seconds behind. With None it does not tell the time.
fn server_without_pin(behind: Option<u64>) -> Server {
    Server::start(move |stream, id| {
        let time = behind.map_or_else(String::new, |behind| {
            format!("\r\nX-Server-Time: {}", u128::from(now() - behind) * 1_000_000_000)
        });
        respond(stream, &format!("200 OK\r\nX-Request-Id: {id}{time}"), NO_PIN);
    })
}

async fn verdict(server: &Server, expires_at: Option<u64>) -> Result<Verdict, Error> {
    let (client, pin) = (server.client(), pin());
    let plan = client.resolve_update(None, (&pin).into(), expires_at.map(UnixTime::from_secs)).await?;
    assert_eq!(plan.may_cost(), 0);
    Ok(plan.settle().await?.verdict)
}

#[tokio::test]
async fn the_servers_clock_decides_when_a_token_has_expired() {
    // Expired a minute ago by this machine's clock. The server's clock is two minutes behind.
    let server = server_without_pin(Some(120));
    match verdict(&server, Some(now() - 60)).await.unwrap() {
        Verdict::NotYet { remaining, .. } => assert!((60..=70).contains(&remaining.as_secs()), "{remaining:?}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(verdict(&server, Some(now() - 180)).await.unwrap(), Verdict::NotApplied(_)));
    assert!(matches!(verdict(&server_without_pin(Some(0)), Some(now() - 60)).await.unwrap(), Verdict::NotApplied(_)));
    // It has just expired: the server may still be carrying out a request that it accepted before.
    assert!(matches!(verdict(&server_without_pin(Some(0)), Some(now())).await.unwrap(), Verdict::NotYet { .. }));
}

#[tokio::test]
async fn the_expiry_stays_the_same_from_run_to_run() {
    let server = server_without_pin(Some(0));
    let Verdict::NotYet { expires_at, .. } = verdict(&server, None).await.unwrap() else {
        panic!("the call was just made")
    };
    for _ in 0..3 {
        match verdict(&server, Some(expires_at.secs())).await.unwrap() {
            Verdict::NotYet { expires_at: again, .. } => assert_eq!(again, expires_at),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(verdict(&server, Some(u64::MAX)).await.unwrap(), Verdict::NotYet { .. }));
}

#[tokio::test]
async fn without_the_servers_time_a_first_pin_is_not_settled() {
    let error = verdict(&server_without_pin(None), Some(now() - 3_600)).await.unwrap_err();
    assert!(matches!(error, Error::NoServerTime), "{error:?}");
}

/// Settles a change of digits against a server that answers `GET /me`, and then gives these answers.
async fn settle(answers: &[String]) -> (Result<Resolution, Error>, usize) {
    let mut rest: Vec<String> = answers.to_vec();
    rest.insert(0, USER.to_owned());
    rest.reverse();
    let rest = Mutex::new(rest);
    let server = Server::start(move |stream, id| {
        let body = rest.lock().unwrap().pop().expect("no further request");
        respond(stream, &format!("202 Accepted\r\nX-Request-Id: {id}"), &body);
    });
    let client: Client = builder().base_url(&server.url).store(MemoryStore::new()).build().unwrap();
    let (old, new) = (Pin::new("111111").unwrap(), Pin::new("222222").unwrap());
    let plan = client.resolve_update(Some((&old).into()), (&new).into(), None).await.unwrap();
    let settled = plan.settle().await;
    (settled, server.requests.load(Ordering::SeqCst) - 1)
}

fn refused(reason: Option<Reason>) -> String {
    let extra = reason.map_or_else(String::new, |reason| format!(r#","extra":{{"reason":"{}"}}"#, reason.as_str()));
    format!(r#"{{"error":{{"status":202,"code":20119,"description":"d"{extra}}}}}"#)
}

#[tokio::test]
async fn tries_that_may_have_been_spent_are_counted() {
    let done = || USER.to_owned();
    let cases = [
        (vec![refused(Some(Reason::Pin)), done()], "not applied", 1),
        (vec![refused(None), done()], "not applied", 1),
        (vec![refused(Some(Reason::NoPinSet)), refused(Some(Reason::NoPinSet))], "neither", 0),
        (vec![refused(Some(Reason::Pin)), refused(Some(Reason::Pin))], "neither", 2),
        // The same happens if a proxy sends each verification twice.
        (vec![refused(None), refused(None)], "undetermined", 2),
        (vec![refused(None), refused(Some(Reason::Pin))], "undetermined", 2),
        (vec![done()], "applied", 0),
    ];
    for (answers, expected, spent) in cases {
        let resolution = settle(&answers).await.0.unwrap();
        let name = match resolution.verdict {
            Verdict::Applied(_) => "applied",
            Verdict::NotApplied(_) => "not applied",
            Verdict::Neither => "neither",
            Verdict::Undetermined => "undetermined",
            other => panic!("{other:?}"),
        };
        assert_eq!((name, resolution.tries_spent), (expected, spent), "{answers:?}");
    }
}

#[tokio::test]
async fn a_refusal_for_another_reason_than_the_pin_settles_nothing() {
    for reason in [Reason::Iterator, Reason::Ciphertext, Reason::Timestamp] {
        let (settled, sent) = settle(&[refused(Some(reason))]).await;
        let error = settled.unwrap_err();
        assert!(matches!(&error, Error::Protocol(_)) && error.to_string().contains(reason.as_str()), "{error:?}");
        assert_eq!(sent, 1, "the old PIN is not verified after it");
    }
    // After the refusal of a copy, the result of the verification is unknown.
    let repeated = r#"{"error":{"status":202,"code":401,"extra":{"reason":"request_repeated"}}}"#.to_owned();
    let (settled, sent) = settle(&[repeated]).await;
    assert!(matches!(settled.unwrap(), Resolution { verdict: Verdict::Lost(_), tries_spent: 0, .. }));
    assert_eq!(sent, 1);
}
