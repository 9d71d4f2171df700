//! A proxy in front of a sandbox that breaks connections and answers as networks and the servers on the way do.
//!
//! Each request is read whole, then a fault is chosen for it. It speaks as much HTTP/1.1 as the clients in use and the
//! sandbox: requests and answers with a `Content-Length`.
//!
//! ```
//! use mixin_pin_sandbox::faults::{Fault, FaultProxy};
//! use mixin_pin_sandbox::{Config, Sandbox};
//!
//! # fn main() -> Result<(), mixin_pin_sandbox::Error> {
//! let sandbox = Sandbox::start(&Config::default())?;
//! // Every answer to a change of the PIN is lost.
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
use tokio::runtime::Runtime;

use crate::Error;

/// What happens to a request.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it is carried there and its answer back.
    None,
    /// It arrives this much later.
    DelayRequest(Duration),
    /// It arrives, and its answer comes back this much later.
    DelayAnswer(Duration),
    /// The connection is reset before the request arrives.
    ResetBefore,
    /// The request arrives, then the connection is reset.
    ResetAfter,
    /// The request arrives, then the connection is closed without an answer.
    CloseAfter,
    /// The request arrives, and no answer comes while the client waits.
    DropAnswer,
    /// The request arrives, and half of its answer comes back.
    TruncateAnswer,
    /// The request arrives twice, one after the other, as when a server on the way tries again; the second answer comes
    /// back.
    Duplicate,
    /// The request does not arrive: a server on the way answers with this status and a web page.
    Page {
        /// The HTTP status.
        status: u16,
        /// The header `Retry-After`, in seconds.
        retry_after: Option<u32>,
    },
    /// The request arrives, and a server on the way answers with this status and a web page all the same.
    PageAfter {
        /// The HTTP status.
        status: u16,
    },
}

/// A running proxy. It stops when dropped.
pub struct FaultProxy {
    address: SocketAddr,
    /// Taken when dropped: what hangs is not waited for.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The longest request or answer that is carried: twice the longest body, so that the sandbox may refuse it.
const MAX_MESSAGE_LEN: usize = 2 * MAX_BODY_LEN;

type Choose = dyn Fn(&str) -> Fault + Send + Sync;

impl FaultProxy {
    /// Listens on a free port of this machine and carries requests to `target`. `choose` is given each request's head:
    /// its first line and headers.
    ///
    /// # Errors
    /// [`Error::Listen`] when no port can be had, [`Error::Runtime`] when no threads can.
    pub fn start(target: SocketAddr, choose: impl Fn(&str) -> Fault + Send + Sync + 'static) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(Error::Runtime)?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map_err(Error::Listen)?;
        let address = listener.local_addr().map_err(Error::Listen)?;
        let choose: Arc<Choose> = Arc::new(choose);
        runtime.spawn(async move {
            // A listener that fails ends the proxy, which its clients notice.
            while let Ok((client, _)) = listener.accept().await {
                let choose = choose.clone();
                // A connection that fails is what this is for.
                tokio::spawn(async move { serve(client, target, &*choose).await.unwrap_or_default() });
            }
        });
        Ok(Self { address, runtime: Some(runtime) })
    }

    /// The API address for a client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
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
            Fault::DelayRequest(delay) => {
                // Who gives up meanwhile does not call it back.
                tokio::time::sleep(delay).await;
            }
            Fault::Duplicate => {
                forward(target, &request).await?;
            }
            _ => {}
        }
        let answer = forward(target, &request).await?;
        match fault {
            Fault::ResetAfter => return reset(&client),
            Fault::CloseAfter => return Ok(()),
            Fault::DropAnswer => {
                // Until the client gives up.
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

/// Closed without a word, the connection is reset.
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

/// Reads a request or an answer whole; None where the other side is done.
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

    /// Reads what a client sends before it closes.
    fn read(sent: &[u8]) -> io::Result<Option<Message>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let sent = sent.to_owned();
            let client = std::thread::spawn(move || {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                // The proxy may have seen enough before all is written.
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
    fn messages_of_any_stated_length_are_read_or_given_up() {
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
