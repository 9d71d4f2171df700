//! Sandbox and proxy start, serve, stop and fail inside of async tests.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Kind, register, sandbox};
use mixin_pin_core::{Pin, Session};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use mixin_pin_sandbox::{Config, Error, Sandbox};

async fn everything() {
    // A blocking client, on a thread where it may block.
    let (sandbox, session): (Sandbox, Session) = tokio::task::spawn_blocking(|| {
        let sandbox = sandbox();
        let session = register(&sandbox, Kind::Ed25519);
        (sandbox, session)
    })
    .await
    .unwrap();
    let proxy = FaultProxy::start(sandbox.address(), |_| Fault::None).unwrap();
    let client = mixin_pin_async::Client::builder(session).base_url(proxy.url()).build().unwrap();
    let pin = Pin::new("314159").unwrap();
    client.create_pin(&pin).await.unwrap().done().unwrap();
    client.verify_pin(&pin).await.unwrap().done().unwrap();

    // A read whose answer is lost is made again, with another token: the sandbox takes each once.
    let was_lost = Arc::new(AtomicBool::new(false));
    let lost = was_lost.clone();
    let lossy = FaultProxy::start(sandbox.address(), move |_| {
        if lost.swap(true, Ordering::SeqCst) { Fault::None } else { Fault::CloseAfter }
    });
    let lossy = lossy.unwrap();
    let app = Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap().into_session(&mut common::rng()).unwrap();
    let app = mixin_pin_async::Client::builder(app).base_url(lossy.url()).build().unwrap();
    assert_eq!(app.me().await.unwrap().full_name, "Sandbox App");
    assert!(was_lost.load(Ordering::SeqCst), "the first answer was lost");

    // Errors at the start.
    let taken = Config { listen: sandbox.address(), ..Config::default() };
    assert!(matches!(Sandbox::start(&taken), Err(Error::Listen(_))));
    let absent = Config { database: Some("/no/such/folder/sandbox.db".into()), ..Config::default() };
    assert!(matches!(Sandbox::start(&absent), Err(Error::DatabaseFile(_))));

    let address: SocketAddr = proxy.url().strip_prefix("http://").unwrap().parse().unwrap();
    drop(proxy);
    for _ in 0..100 {
        if tokio::net::TcpStream::connect(address).await.is_err() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the proxy has stopped");
    sandbox.stop().unwrap();
    // Dropped.
    let sandbox = Sandbox::start(&Config::default()).unwrap();
    let _proxy = FaultProxy::start(sandbox.address(), |_| Fault::CloseAfter).unwrap();
}

#[tokio::test]
async fn in_a_test_with_one_thread() {
    everything().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_test_with_several_threads() {
    everything().await;
    tokio::spawn(everything()).await.unwrap();
}
