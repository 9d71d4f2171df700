//! A proxy between the workers and the sandbox that sees calls which overlap, and loses some answers.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How long a call takes at least, so that calls of two holders of one lease overlap.
const DELAY: Duration = Duration::from_millis(3);
/// One answer in so many is lost.
const LOST: usize = 200;

/// The proxy. It ends with the test program.
pub struct Line {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    under_way: AtomicUsize,
    overlapping: AtomicUsize,
}

impl Line {
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::<Seen>::default());
        let shared = seen.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, seen) = (client.unwrap(), shared.clone());
                // Connections of a worker end with it.
                thread::spawn(move || serve(client, target, &seen).unwrap_or_default());
            }
        });
        Self { address, seen }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many calls began while another was under way.
    pub fn overlapping(&self) -> usize {
        self.seen.overlapping.load(Ordering::SeqCst)
    }
}

/// A call from the first line of its request until its answer is here. Its caller has the lease during all this time.
struct UnderWay<'s>(&'s Seen);

impl<'s> UnderWay<'s> {
    fn begin(seen: &'s Seen) -> Self {
        if seen.under_way.fetch_add(1, Ordering::SeqCst) > 0 {
            seen.overlapping.fetch_add(1, Ordering::SeqCst);
        }
        Self(seen)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

fn serve(client: TcpStream, target: SocketAddr, seen: &Seen) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    loop {
        let mut call = None;
        let request = read_message(&mut client, |line| {
            call = line.starts_with("POST ").then(|| UnderWay::begin(seen));
        })?;
        let Some(request) = request else { return Ok(()) };
        let is_call = call.is_some();
        if is_call {
            thread::sleep(DELAY);
        }
        let mut server = TcpStream::connect(target)?;
        server.set_nodelay(true)?;
        server.write_all(&request)?;
        let answer = read_message(&mut BufReader::new(server), |_| ())?.ok_or(io::ErrorKind::UnexpectedEof)?;
        drop(call);
        if is_call && fastrand::usize(0..LOST) == 0 {
            return Ok(());
        }
        client.get_mut().write_all(&answer)?;
    }
}

/// Reads a request or an answer. None at the end of the connection.
fn read_message(from: &mut BufReader<TcpStream>, first_line: impl FnOnce(&str)) -> io::Result<Option<Vec<u8>>> {
    let mut head = String::new();
    if from.read_line(&mut head)? == 0 {
        return Ok(None);
    }
    first_line(&head);
    let mut length = 0;
    loop {
        let begin = head.len();
        if from.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = head[begin..].trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(|_| io::ErrorKind::InvalidData)?;
        }
    }
    let mut message = head.into_bytes();
    let begin = message.len();
    message.resize(begin + length, 0);
    from.read_exact(&mut message[begin..])?;
    Ok(Some(message))
}
