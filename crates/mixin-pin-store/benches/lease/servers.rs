//! Stores on servers of this machine, each beside a bare round trip to its server.

#[cfg(feature = "redis-ha")]
use std::io::BufRead as _;
#[cfg(all(feature = "postgres", unix))]
use std::io::Read as _;
use std::io::{BufReader, Write as _};
use std::net::TcpStream;

use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;

use crate::compare;

/// What the servers are called in a warning that they are not installed.
const BENCH: &str = "the bench `lease`";

#[cfg(feature = "redis-ha")]
pub fn redis(group: &mut BenchmarkGroup<'_, WallTime>) {
    use mixin_pin_test_servers::cluster::ClusterServers;
    use mixin_pin_test_servers::redis::RedisServer;
    use mixin_pin_test_servers::sentinel::SentinelServers;

    let open = |url: &str| mixin_pin_store::open(url).unwrap();
    if let Some(server) = RedisServer::start(BENCH, &[]) {
        ping(group, "floor: PING to redis", server.port());
        compare(group, "redis", &open(&server.url()));
    }
    if let Some(server) = RedisServer::start(BENCH, &["--appendonly", "yes", "--appendfsync", "always"]) {
        compare(group, "redis, appendfsync always", &open(&server.url()));
    }
    if let Some(servers) = SentinelServers::start(BENCH) {
        ping(group, "floor: PING to a primary with a replica", servers.primary_server().port());
        compare(group, "redis by Sentinel, replicas=0", &open(&format!("{}&replicas=0", servers.url())));
        compare(group, "redis by Sentinel, replicas=1", &open(&format!("{}&replicas=1", servers.url())));
    }
    if let Some(servers) = ClusterServers::start(BENCH) {
        compare(group, "redis cluster, replicas=0", &open(&format!("{}&replicas=0", servers.url())));
        compare(group, "redis cluster, replicas=1", &open(&format!("{}&replicas=1", servers.url())));
    }
}

#[cfg(feature = "redis-ha")]
fn ping(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, port: u16) {
    let mut server = connect(port);
    group.bench_function(name, |b| {
        b.iter(|| {
            server.get_mut().write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
            let mut answer = String::new();
            server.read_line(&mut answer).unwrap();
            assert_eq!(answer, "+PONG\r\n");
        });
    });
}

#[cfg(all(feature = "postgres", unix))]
pub fn postgres(group: &mut BenchmarkGroup<'_, WallTime>) {
    use mixin_pin_test_servers::postgres::{Pooler, PostgresServer};

    // As most servers are: each commit waits for the disk.
    let Some(server) = PostgresServer::start(BENCH, &["fsync=on"]) else { return };
    mixin_pin_store::create(&server.url()).unwrap();
    select_1(group, "floor: SELECT 1 to postgres", &server.url());
    compare(group, "postgres", &mixin_pin_store::open(&server.url()).unwrap());
    if let Some(pooler) = Pooler::start(BENCH, &server) {
        select_1(group, "floor: SELECT 1 through pgbouncer", &pooler.url());
        compare(group, "postgres behind pgbouncer", &mixin_pin_store::open(&pooler.url()).unwrap());
    }
}

/// PostgreSQL's protocol without a client library: a length counts itself and the bytes after it.
#[cfg(all(feature = "postgres", unix))]
fn select_1(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, url: &str) {
    const STARTUP: &[u8] = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    const QUERY: &[u8] = b"Q\0\0\0\x0dSELECT 1\0";

    let address = url.rsplit_once('@').and_then(|(_, rest)| rest.split_once('/')).unwrap().0;
    let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut server = connect(port);
    let length = u32::try_from(4 + STARTUP.len()).unwrap().to_be_bytes();
    server.get_mut().write_all(&[&length, STARTUP].concat()).unwrap();
    assert!(!read_until_ready(&mut server).contains(&b'E'), "refused");
    group.bench_function(name, |b| {
        b.iter(|| {
            server.get_mut().write_all(QUERY).unwrap();
            // A description, a row, its completion, and readiness.
            assert_eq!(read_until_ready(&mut server), b"TDCZ");
        });
    });
}

/// The kinds of the messages up to the one that says that the server is ready.
#[cfg(all(feature = "postgres", unix))]
fn read_until_ready(server: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut kinds = Vec::new();
    while kinds.last() != Some(&b'Z') {
        let mut head = [0; 5];
        server.read_exact(&mut head).unwrap();
        let [kind, length @ ..] = head;
        let mut body = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap() - 4];
        server.read_exact(&mut body).unwrap();
        kinds.push(kind);
    }
    kinds
}

fn connect(port: u16) -> BufReader<TcpStream> {
    let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
    server.set_nodelay(true).unwrap();
    BufReader::new(server)
}
