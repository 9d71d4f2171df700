//! What differs between operating systems: permissions of files, and reuse of addresses.

#[cfg(not(unix))]
pub(crate) use other::{mode_for_others, private, reuse_address};
#[cfg(unix)]
pub(crate) use unix::{mode_for_others, private, reuse_address};

#[cfg(unix)]
mod unix {
    use std::fs::{Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    use tokio::net::TcpSocket;

    const OTHERS_READ_OR_WRITE: u32 = 0o066;

    /// Makes `options` create files that only their owner can read and write.
    pub(crate) fn private(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    /// The file's permissions, if other users can read or write it.
    pub(crate) fn mode_for_others(file: &Metadata) -> Option<u32> {
        let mode = file.mode() & 0o777;
        (mode & OTHERS_READ_OR_WRITE != 0).then_some(mode)
    }

    /// Lets a restarted sandbox listen while the system still remembers the connections of the previous one.
    pub(crate) fn reuse_address(socket: &TcpSocket) -> io::Result<()> {
        socket.set_reuseaddr(true)
    }
}

#[cfg(not(unix))]
mod other {
    use std::fs::{Metadata, OpenOptions};
    use std::io;

    use tokio::net::TcpSocket;

    /// Files inherit the permissions of their folder.
    pub(crate) const fn private(_: &mut OpenOptions) {}

    /// Files have no mode.
    pub(crate) const fn mode_for_others(_: &Metadata) -> Option<u32> {
        None
    }

    /// On Windows, reuse would let another program take the address.
    #[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
    pub(crate) const fn reuse_address(_: &TcpSocket) -> io::Result<()> {
        Ok(())
    }
}
