//! `verify_pin` of both clients against the sandbox on loopback, compared with a bare call of the same bytes by `ureq` and by
//! `reqwest`; and calls per second with one thread per session.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mixin_pin_core::X25519PublicKey;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, MonotonicNonces, Pin, Session, SystemRng, UnixTime};
use mixin_pin_http::Client;
use mixin_pin_protocol::call::{Calls, PreparedRequest};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_sandbox::{Config, Sandbox};

fn pin() -> Pin {
    Pin::new("314159").unwrap()
}

fn client(sandbox: &Sandbox, session: Session) -> Client {
    Client::builder(session).base_url(sandbox.url()).build().unwrap()
}

/// Registers a user and sets a PIN.
fn user(sandbox: &Sandbox) -> Session {
    let rng = &mut SystemRng::new().unwrap();
    let app = Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap().into_session(rng).unwrap();
    let seed = mixin_pin_core::PinKey::generate(rng);
    let key = || Ed25519Key::from_bytes(seed.expose()).unwrap();
    let public_key = VerifyingKey::Ed25519(key().public_key());
    let user = client(sandbox, app).register(&public_key, "A User").unwrap().done().unwrap();
    let session = || {
        let server = X25519PublicKey::from_base64(&user.pin_token_base64).unwrap();
        Session::ed25519(user.user_id, user.session_id.unwrap(), key(), &server).unwrap()
    };
    client(sandbox, session()).create_pin(&pin()).unwrap().done().unwrap();
    session()
}

fn now() -> UnixTime {
    SystemTime::now().try_into().unwrap()
}

/// Sends a request with `ureq` alone, and reads the answer.
fn send(agent: &ureq::Agent, url: &str, request: &PreparedRequest) -> String {
    let mut call = agent.post(url);
    for (name, value) in request.headers() {
        call = call.header(name, value);
    }
    call.send(request.body()).unwrap().body_mut().read_to_string().unwrap()
}

/// Alternates the two kinds of call and times each separately, so both run under the same conditions. The wake-up time of a
/// thread varies by more than the difference that is measured.
fn one_session(c: &mut Criterion) {
    let sandbox = Sandbox::start(&Config::default()).unwrap();
    let session = user(&sandbox);
    let (nonces, mut rng) = (MonotonicNonces::new(), SystemRng::new().unwrap());
    let (agent, url) = (ureq::Agent::new_with_defaults(), format!("{}/pin/verify", sandbox.url()));
    let client = client(&sandbox, user(&sandbox));
    let mut bare = Vec::new();
    let mut group = c.benchmark_group("http");
    group.bench_function("verify_pin", |b| {
        b.iter_custom(|rounds| {
            let mut ours = Duration::ZERO;
            for _ in 0..rounds {
                let begun = Instant::now();
                client.verify_pin(black_box(&pin())).unwrap().done().unwrap();
                ours += begun.elapsed();
                let request = Calls::new(&session, now(), &mut rng).nonces(&nonces).verify_pin(&pin()).unwrap();
                let request = request.sign(session.signer(), &mut rng).unwrap();
                let begun = Instant::now();
                black_box(send(&agent, &url, &request));
                bare.push(begun.elapsed());
            }
            ours
        });
    });
    // These were measured above.
    let mut measured = bare.iter().cycle();
    group.bench_function("bare ureq", |b| {
        b.iter_custom(|rounds| measured.by_ref().take(usize::try_from(rounds).unwrap()).sum());
    });
    group.finish();
}

/// Like `one_session`, for the async client and `reqwest`.
fn one_session_async(c: &mut Criterion) {
    let sandbox = Sandbox::start(&Config::default()).unwrap();
    let session = user(&sandbox);
    let (nonces, mut rng) = (MonotonicNonces::new(), SystemRng::new().unwrap());
    // `reqwest` needs one even for plain HTTP. It fails if there is one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (http, url) = (reqwest::Client::builder().no_proxy().build().unwrap(), format!("{}/pin/verify", sandbox.url()));
    let client = mixin_pin_async::Client::builder(user(&sandbox)).base_url(sandbox.url()).build().unwrap();
    let mut bare = Vec::new();
    let mut group = c.benchmark_group("http");
    group.bench_function("verify_pin, async", |b| {
        b.iter_custom(|rounds| {
            let mut ours = Duration::ZERO;
            for _ in 0..rounds {
                let begun = Instant::now();
                runtime.block_on(client.verify_pin(black_box(&pin()))).unwrap().done().unwrap();
                ours += begun.elapsed();
                let request = Calls::new(&session, now(), &mut rng).nonces(&nonces).verify_pin(&pin()).unwrap();
                let request = request.sign(session.signer(), &mut rng).unwrap();
                let begun = Instant::now();
                black_box(runtime.block_on(send_async(&http, &url, &request)));
                bare.push(begun.elapsed());
            }
            ours
        });
    });
    let mut measured = bare.iter().cycle();
    group.bench_function("bare reqwest", |b| {
        b.iter_custom(|rounds| measured.by_ref().take(usize::try_from(rounds).unwrap()).sum());
    });
    group.finish();
}

/// Sends a request with `reqwest` alone, and reads the answer.
async fn send_async(http: &reqwest::Client, url: &str, request: &PreparedRequest) -> String {
    let mut call = http.post(url);
    for (name, value) in request.headers() {
        call = call.header(name, value);
    }
    call.body(request.body().to_vec()).send().await.unwrap().text().await.unwrap()
}

fn many_sessions(c: &mut Criterion) {
    let sandbox = Sandbox::start(&Config::default()).unwrap();
    let mut group = c.benchmark_group("http sessions");
    for count in [1_u32, 2, 8] {
        let clients: Vec<Client> = (0..count).map(|_| client(&sandbox, user(&sandbox))).collect();
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_function(count.to_string(), |b| {
            b.iter_custom(|rounds| {
                let begun = Instant::now();
                thread::scope(|scope| {
                    for client in &clients {
                        scope.spawn(move || {
                            for _ in 0..rounds {
                                client.verify_pin(&pin()).unwrap().done().unwrap();
                            }
                        });
                    }
                });
                begun.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = one_session, one_session_async, many_sessions
);
criterion_main!(benches);
