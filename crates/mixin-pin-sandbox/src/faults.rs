//! A proxy that breaks connections and answers, as networks and gateways do.
//!
//! It reads each request whole and then chooses a fault for it. Requests and answers must have a `Content-Length` if they
//! have a body: other HTTP/1.1 is not supported.
//!
//! ```
//! use mixin_pin_sandbox::faults::{Fault, FaultProxy};
//! use mixin_pin_sandbox::{Config, Sandbox};
//!
//! # fn main() -> Result<(), mixin_pin_sandbox::Error> {
//! let sandbox = Sandbox::start(&Config::default())?;
//! // Loses every answer to a PIN update.
//! let proxy = FaultProxy::start(sandbox.address(), |head| {
//!     if head.starts_with("POST /pin/update") { Fault::CloseAfter } else { Fault::None }
//! })?;
//! println!("point your client at {}", proxy.url());
//! # Ok(()) }
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_protocol::answer::MAX_BODY_LEN;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Error;
use crate::threads::Threads;

/// What happens to a request.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None: request and answer pass.
    None,
    /// The request arrives late.
    DelayRequest(Duration),
    /// The connection is closed, and the request arrives later.
    Late(Duration),
    /// The request arrives, and its answer comes back late.
    DelayAnswer(Duration),
    /// The connection is reset, and the request does not arrive.
    ResetBefore,
    /// The request arrives, then the connection is reset.
    ResetAfter,
    /// The request arrives, then the connection is closed without an answer.
    CloseAfter,
    /// The request arrives, and no answer comes until the client gives up.
    DropAnswer,
    /// The request arrives, and half of its answer comes back.
    TruncateAnswer,
    /// The request arrives twice, as when a gateway retries it. The second answer comes back.
    Duplicate,
    /// The request does not arrive: a gateway answers with a web page.
    Page {
        /// The HTTP status.
        status: u16,
        /// The header `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// The request arrives, and a gateway answers with a web page.
    PageAfter {
        /// The HTTP status.
        status: u16,
    },
}

/// A running proxy. It stops when dropped.
pub struct FaultProxy {
    address: SocketAddr,
    /// Dropped without waiting for connections.
    _threads: Threads,
}

impl std::fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The longest request or answer, in bytes. Bodies that the sandbox refuses as too long still pass.
const MAX_MESSAGE_LEN: usize = 2 * MAX_BODY_LEN;

type Choose = dyn Fn(&str) -> Fault + Send + Sync;

impl FaultProxy {
    /// Listens on a free port of this machine and forwards requests to `target`. `choose` gets the head of each request:
    /// its first line and its headers.
    ///
    /// # Errors
    /// [`Error::Listen`] if no port is free, [`Error::Runtime`] if the threads cannot be started.
    pub fn start(target: SocketAddr, choose: impl Fn(&str) -> Fault + Send + Sync + 'static) -> Result<Self, Error> {
        let threads = Threads::start().map_err(Error::Runtime)?;
        let entered = threads.enter();
        let listener = listen().map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let choose: Arc<Choose> = Arc::new(choose);
        tokio::spawn(async move {
            // The proxy ends if its listener fails. Its clients notice.
            while let Ok((client, _)) = listener.accept().await {
                let choose = choose.clone();
                // Connections are expected to fail.
                tokio::spawn(async move { serve(client, target, &*choose).await.unwrap_or_default() });
            }
        });
        drop(entered);
        Ok(Self { address, _threads: threads })
    }

    /// The API address for a client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Binds without blocking, because the caller may be async.
fn listen() -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

async fn serve(mut client: TcpStream, target: SocketAddr, choose: &Choose) -> io::Result<()> {
    client.set_nodelay(true)?;
    while let Some(request) = read_message(&mut client).await? {
        let fault = choose(&request.head);
        match fault {
            Fault::ResetBefore => return reset(&client),
            Fault::Page { status, retry_after } => {
                client.write_all(page(status, retry_after).as_bytes()).await?;
                continue;
            }
            // The request arrives even if the client gives up meanwhile.
            Fault::DelayRequest(delay) => tokio::time::sleep(delay).await,
            Fault::Late(delay) => {
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    // Nobody waits for the answer.
                    drop(forward(target, &request).await);
                });
                return Ok(());
            }
            Fault::Duplicate => drop(forward(target, &request).await?),
            _ => {}
        }
        let answer = forward(target, &request).await?;
        match fault {
            Fault::ResetAfter => return reset(&client),
            Fault::CloseAfter => return Ok(()),
            Fault::DropAnswer => {
                // Waits until the client gives up.
                while client.read(&mut [0; 64]).await? > 0 {}
                return Ok(());
            }
            Fault::TruncateAnswer => return client.write_all(&answer[..answer.len() / 2]).await,
            Fault::PageAfter { status } => client.write_all(page(status, None).as_bytes()).await?,
            Fault::DelayAnswer(delay) => {
                tokio::time::sleep(delay).await;
                client.write_all(&answer).await?;
            }
            _ => client.write_all(&answer).await?,
        }
    }
    Ok(())
}

fn page(status: u16, retry_after: Option<u32>) -> String {
    let body = format!("<html><body><h1>{status}</h1></body></html>");
    let retry_after = retry_after.map_or_else(String::new, |seconds| format!("Retry-After: {seconds}\r\n"));
    format!(
        "HTTP/1.1 {status} Fault\r\nContent-Type: text/html\r\n{retry_after}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Makes the connection reset when it is closed.
fn reset(client: &TcpStream) -> io::Result<()> {
    client.set_zero_linger()
}

async fn forward(target: SocketAddr, request: &Message) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(target).await?;
    server.set_nodelay(true)?;
    server.write_all(&request.bytes).await?;
    let answer = read_message(&mut server).await?;
    answer.map(|answer| answer.bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

struct Message {
    head: String,
    bytes: Vec<u8>,
}

/// Reads a whole request or answer. `None` if the other side has closed the connection.
async fn read_message(stream: &mut TcpStream) -> io::Result<Option<Message>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    while bytes.len() <= MAX_MESSAGE_LEN {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let len = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if bytes.len() - end - 4 >= len.unwrap_or(0) {
                return Ok(Some(Message { head, bytes }));
            }
        }
        match stream.read(&mut buffer).await? {
            0 if bytes.is_empty() => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    Err(io::ErrorKind::FileTooLarge.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Reads what a client sends.
    fn read(sent: &[u8]) -> io::Result<Option<Message>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let sent = sent.to_owned();
            let client = std::thread::spawn(move || {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                // The proxy may stop reading before all is written.
                let _ = client.write_all(&sent);
            });
            let (mut stream, _) = listener.accept().await.unwrap();
            let message = read_message(&mut stream).await;
            drop(stream);
            client.join().unwrap();
            message
        })
    }

    #[test]
    fn messages_of_any_stated_length_are_read_or_refused() {
        let whole = read(b"POST / HTTP/1.1\r\ncontent-LENGTH: 2\r\n\r\nab").unwrap().unwrap();
        assert!(whole.bytes.ends_with(b"ab"));
        assert!(read(b"").unwrap().is_none());
        for len in ["3", "18446744073709551615"] {
            let cut = read(format!("POST / HTTP/1.1\r\nContent-Length: {len}\r\n\r\nab").as_bytes());
            assert_eq!(cut.err().unwrap().kind(), io::ErrorKind::UnexpectedEof, "{len}");
        }
        let endless =
            [b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n".as_slice(), &vec![b'x'; 4 << 20]].concat();
        assert_eq!(read(&endless).err().unwrap().kind(), io::ErrorKind::FileTooLarge);
    }
}
