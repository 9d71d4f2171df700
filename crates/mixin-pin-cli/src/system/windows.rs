//! Windows, and every other system that is not Unix. Files get the access rights of their folder, and signals are not
//! handled.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Cursor, Read};
use std::path::Path;

use zeroize::Zeroizing;

/// Does nothing: there are no signals to leave.
pub(crate) const fn leave_signals_to_command() {}

/// Does nothing: there are no signals to listen for.
#[allow(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
pub(crate) const fn listen_for_signals() -> io::Result<()> {
    Ok(())
}

/// Does the work.
pub(crate) fn uninterrupted<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    work()
}

/// Does nothing: here a lock would keep this process from reading the file by its name.
#[allow(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
pub(crate) const fn try_lock(_: &File) -> io::Result<()> {
    Ok(())
}

/// No: this system does not tell.
pub(crate) const fn is_same_file(_: &Path, _: &Path) -> bool {
    false
}

/// Waits for ever; the system ends the process.
pub(crate) struct StopSignal;

impl StopSignal {
    #[allow(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
    pub(crate) const fn register() -> io::Result<Self> {
        Ok(Self)
    }

    #[allow(clippy::unused_self, reason = "the same signature as on Unix")]
    pub(crate) fn wait(self) {
        loop {
            std::thread::park();
        }
    }
}

/// An answer typed at a prompt without echo.
pub(crate) struct SilentTerminal(io::Chain<Cursor<Zeroizing<Vec<u8>>>, &'static [u8]>);

impl SilentTerminal {
    /// Shows the prompt and waits for the answer.
    pub(crate) fn ask(prompt: &str) -> io::Result<Self> {
        let mut answer = Zeroizing::new(rpassword::prompt_password(prompt)?);
        let answer = Zeroizing::new(std::mem::take(&mut *answer).into_bytes());
        Ok(Self(Cursor::new(answer).chain(b"\n")))
    }

    /// Does nothing: the console keeps input that was typed ahead.
    #[allow(clippy::unused_self, reason = "the same signature as on Unix")]
    pub(crate) const fn forget_typed(&self) {}
}

impl Read for SilentTerminal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// Standard input.
#[allow(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
pub(crate) fn stdin() -> io::Result<impl Read> {
    Ok(io::stdin().lock())
}

/// Standard output.
#[allow(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
pub(crate) fn stdout() -> io::Result<impl io::Write> {
    Ok(io::stdout().lock())
}

/// Does nothing: a new file has its folder's access rights.
pub(crate) const fn owner_only(_: &mut OpenOptions) {}

/// Returns None: modes do not exist here.
pub(crate) const fn exposed_mode(_: &Path) -> Option<u32> {
    None
}

/// No: owners are not looked for here.
pub(crate) const fn is_of_others(_: &Path) -> bool {
    false
}

/// Returns None: hard links are not looked for here.
pub(crate) const fn hard_linked(_: &Path) -> Option<u64> {
    None
}

/// Does nothing: the owner stays the process's user.
pub(crate) const fn copy_owner(_: &File, _: &Metadata) {}

/// Does nothing: folders cannot be synced here.
#[allow(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
pub(crate) const fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns None: files without a name do not exist here.
#[allow(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
pub(crate) const fn create_unnamed(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// An error: files without a name do not exist here.
pub(crate) fn name_file(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
