//! All steps of `verify_pin` without I/O, from the first to the outcome, compared with what every client must do: prepare and
//! sign the request, and read the answer.

use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use mixin_pin_core::token::{Algorithm, Signer as _};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, MonotonicNonces, Pin, Session, SessionKey, SystemRng, UnixTime};
use mixin_pin_machine::{Limits, Moment, Outcome, Received, Reply, Rules, Step};
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::call::{Calls, PreparedRequest};
use mixin_pin_store::{Lease, MemoryStore, NonceStore as _};

const BODY: &[u8] =
    br#"{"data":{"type":"user","user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09","full_name":"Alice","has_pin":true}}"#;

fn session(rng: &mut SystemRng) -> Session {
    let server = Ed25519Key::generate(rng).public_key().to_x25519().unwrap();
    Session::ed25519(Uuid::from_u128(1), Uuid::from_u128(2), Ed25519Key::generate(rng), &server).unwrap()
}

fn now() -> UnixTime {
    UnixTime::try_from(SystemTime::now()).unwrap()
}

fn answer(request: &PreparedRequest) -> Received {
    let id = request.request_id().to_string();
    Received::new(200, |name| (name == "X-Request-Id").then(|| id.clone()), BODY.to_vec())
}

/// Makes the steps as a driver would, with this answer to every request.
fn make(rules: &Rules, key: &SessionKey, store: &MemoryStore, rng: &mut SystemRng, pin: &Pin) -> User {
    let mut call = rules.verify_pin::<Box<dyn Lease>>(pin);
    loop {
        let moment = Moment { wall: now(), elapsed: Duration::ZERO };
        call = match call.step(moment, rng) {
            Step::Turn(ask) => ask.taken(true),
            Step::Lease(ask) => {
                let reply = store.lease(ask.session_id(), &ask.terms());
                ask.replied(reply)
            }
            Step::Sign(ask) => {
                let mut signature = [0; 64];
                let signed = key.sign(ask.message(), rng, &mut signature).map(|()| signature);
                ask.signed(signed)
            }
            Step::Send(waiting, flight) => {
                let reply = Reply::Answer(answer(flight.request()));
                waiting.landed(flight.land(reply, Duration::ZERO).0)
            }
            Step::Done(ended) => match ended.result.unwrap() {
                Outcome::Done(user) => return user,
                Outcome::Unknown(unknown) => panic!("{unknown:?}"),
            },
            Step::SignTip(_) | Step::Ask(_) | Step::Wait(_) => panic!("not in this call"),
        };
    }
}

fn machine(c: &mut Criterion) {
    let (mut rng, pin) = (SystemRng::new().unwrap(), Pin::new("314159").unwrap());
    let mut group = c.benchmark_group("machine");
    let (session_without_key, key) = session(&mut rng).replace_signer(Algorithm::EdDsa);
    let rules = Rules::new(session_without_key, Limits::default(), None);
    let store = MemoryStore::new();
    group.bench_function("verify_pin", |b| b.iter(|| black_box(make(&rules, &key, &store, &mut rng, &pin))));
    let (session, nonces) = (session(&mut rng), MonotonicNonces::new());
    group.bench_function("floor: prepare, sign and read", |b| {
        b.iter(|| {
            let request = Calls::new(&session, now(), &mut rng).nonces(&nonces).verify_pin(&pin).unwrap();
            let request = request.sign(session.signer(), &mut rng).unwrap();
            black_box(answer(&request).answer().read::<User>(request.request_id()).unwrap())
        });
    });
    group.finish();
}

criterion_group!(benches, machine);
criterion_main!(benches);
