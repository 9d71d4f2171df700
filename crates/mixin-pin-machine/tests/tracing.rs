//! The observer that reports to `tracing`, with a subscriber that collects.
#![cfg(feature = "tracing")]

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mixin_pin_machine::core::uuid::Uuid;
use mixin_pin_machine::{ClockOffset, Event, Observer as _, OutcomeClass, TracingObserver};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        let mut line = Line(format!("{} {}", metadata.level(), metadata.target()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn events_are_reported_with_their_fields_and_only_unknown_outcomes_as_warnings() {
    let (request_id, method, path) = (Uuid::from_u128(7), "POST", "/pin/verify");
    let took = Duration::from_millis(1_500);
    let ended = |class| Event::Ended { request_id, method, path, took, class };
    let events = [
        Event::Leased { request_id, waited: Duration::from_millis(40) },
        Event::ClockConfirmed { offset: ClockOffset::Behind(Duration::from_secs(2)) },
        Event::Sent { request_id, method, path, iterator: Some(9), attempt: 1 },
        Event::Sent { request_id, method: "GET", path: "/me", iterator: None, attempt: 2 },
        ended(OutcomeClass::Done),
        ended(OutcomeClass::Refused),
        ended(OutcomeClass::NotSent),
        ended(OutcomeClass::Failed),
        ended(OutcomeClass::Unknown),
    ];
    let collector = Collector::default();
    tracing::subscriber::with_default(collector.clone(), || {
        for event in &events {
            TracingObserver.observe(event);
        }
    });
    let id = "request_id=00000000-0000-0000-0000-000000000007";
    let call = format!("{id} method=\"POST\" path=\"/pin/verify\"");
    let ended = |class: &str| format!("DEBUG mixin_pin message=ended {call} took_ms=1500 class=\"{class}\"");
    let expected = [
        format!("DEBUG mixin_pin message=leased {id} waited_ms=40"),
        "DEBUG mixin_pin message=clock confirmed offset=2 seconds behind the server's".to_owned(),
        format!("DEBUG mixin_pin message=sent {call} iterator=9 attempt=1"),
        format!("DEBUG mixin_pin message=sent {id} method=\"GET\" path=\"/me\" attempt=2"),
        ended("done"),
        ended("refused"),
        ended("not-sent"),
        ended("failed"),
        format!("WARN mixin_pin message=outcome unknown {call} took_ms=1500"),
    ];
    assert_eq!(*collector.0.lock().unwrap(), expected);
}
