//! Unix: file modes, terminals and signals.
//!
//! A signal that ends or stops the command first restores the terminal's echo, and lets work finish that must not be left
//! half done. Handlers exist from the first prompt or file on. A command that waits for SIGINT and SIGTERM itself calls
//! [`leave_signals_to_command`].

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{geteuid, getpgrp, getsid};
use rustix::termios::{
    Action, LocalModes, OptionalActions, QueueSelector, Termios, tcflow, tcflush, tcgetattr, tcgetpgrp, tcsetattr,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// What the signal handler needs to know.
struct State {
    /// The prompt that is open.
    prompt: Option<Arc<Prompt>>,
    /// Whether the command handles SIGINT and SIGTERM itself.
    is_left_to_command: bool,
}

static STATE: Mutex<State> = Mutex::new(State { prompt: None, is_left_to_command: false });

/// The state stays valid if a thread panics while it has the lock.
fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves SIGINT and SIGTERM to the command, except while a prompt is open.
pub(crate) fn leave_signals_to_command() {
    state().is_left_to_command = true;
}

/// Does work that must not be left half done. A signal takes effect afterwards.
pub(crate) fn uninterrupted<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    if state().is_left_to_command {
        return work();
    }
    listen_for_signals()?;
    let _state = state();
    work()
}

/// Starts the signal handler. Signals that were ignored at the start stay ignored: under `nohup` the command goes on.
pub(crate) fn listen_for_signals() -> io::Result<()> {
    static BEGUN: Once = Once::new();
    let mut failed = None;
    BEGUN.call_once(|| {
        let ignored = ignored();
        let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT];
        match Signals::new(signals.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0)) {
            Ok(mut signals) => drop(thread::spawn(move || signals.forever().for_each(handle))),
            Err(error) => failed = Some(error),
        }
    });
    failed.map_or(Ok(()), Err)
}

/// The ignored signals, one bit each. Only Linux tells.
fn ignored() -> u64 {
    let status = if cfg!(target_os = "linux") { fs::read_to_string("/proc/self/status").ok() } else { None };
    let mask = status.as_deref().and_then(|status| status.lines().find_map(|line| line.strip_prefix("SigIgn:")));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn handle(signal: i32) {
    let state = state();
    if signal == SIGCONT {
        // If the echo is still off, the prompt is still shown, or is about to be.
        let again = state.prompt.clone().filter(|prompt| prompt.is_in_foreground() && !prompt.is_silent());
        // If the terminal is gone, reading from it reports that.
        if let Some(prompt) = again.filter(|prompt| prompt.echo_off().is_ok()) {
            // Writing waits while output is stopped. Another signal may come before it ends.
            drop(thread::spawn(move || prompt.show()));
        }
        return;
    }
    if state.is_left_to_command && state.prompt.is_none() && matches!(signal, SIGINT | SIGTERM) {
        return;
    }
    if signal == SIGTSTP && !can_be_resumed() {
        return;
    }
    if let Some(prompt) = &state.prompt {
        // The next reader must not get a part of a secret.
        prompt.forget_typed();
        prompt.echo_on();
    }
    if signal == SIGTSTP {
        // A thread that runs on after SIGCONT must not wait for this lock.
        drop(state);
    }
    // It fails only for signals that it does not know.
    let _ = emulate_default_handler(signal);
}

/// Whether a shell could resume a stopped process. No shell controls the process group of the session's leader.
fn can_be_resumed() -> bool {
    getsid(None).is_ok_and(|session| session != getpgrp())
}

/// A prompt on the terminal, and the terminal's modes.
struct Prompt {
    terminal: File,
    text: String,
    before: Termios,
    silent: Termios,
}

impl Prompt {
    /// In the background another process owns the terminal and its modes.
    fn is_in_foreground(&self) -> bool {
        tcgetpgrp(&self.terminal).is_ok_and(|group| group == getpgrp())
    }

    fn echo_on(&self) {
        if self.is_in_foreground() {
            // A terminal that is gone needs no echo.
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
        }
    }

    /// Drops input that was typed and not read. Setting modes could drop it too, but would wait for stopped output.
    fn forget_typed(&self) {
        if self.is_in_foreground() {
            // A terminal that is gone has no input.
            let _ = tcflush(&self.terminal, QueueSelector::IFlush);
        }
    }

    fn is_silent(&self) -> bool {
        tcgetattr(&self.terminal).is_ok_and(|now| !now.local_modes.contains(LocalModes::ECHO))
    }

    /// Called before the prompt is shown, so that an answer typed at once is not shown.
    fn echo_off(&self) -> io::Result<()> {
        Ok(tcsetattr(&self.terminal, OptionalActions::Now, &self.silent)?)
    }

    /// Waits while output is stopped. Do not call it with the state locked: the signal handler needs the state.
    fn show(&self) -> io::Result<()> {
        (&self.terminal).write_all(self.text.as_bytes())
    }
}

/// The terminal with a prompt and without echo, until it is dropped. Reading gives the answer.
pub(crate) struct SilentTerminal {
    terminal: File,
    prompt: Arc<Prompt>,
}

impl SilentTerminal {
    /// Turns the echo off and shows the prompt. Call [`listen_for_signals`] first.
    pub(crate) fn ask(text: &str) -> io::Result<Self> {
        let terminal = File::options().read(true).write(true).open("/dev/tty")?;
        // This changes nothing, but stops a background process until it is in the foreground. Before that, the terminal
        // and its modes belong to another process.
        tcflow(&terminal, Action::OOn)?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        let prompt = Arc::new(Prompt { terminal: terminal.try_clone()?, text: text.to_owned(), before, silent });
        let asked = Self { terminal, prompt: Arc::clone(&prompt) };
        {
            let mut state = state();
            // From here on the signal handler restores the echo.
            state.prompt = Some(Arc::clone(&prompt));
            prompt.echo_off()?;
        }
        prompt.show()?;
        Ok(asked)
    }

    /// Drops input that was typed or pasted after a rejected answer. It would go to the shell.
    pub(crate) fn forget_typed(&self) {
        /// The rest of a paste may still be on its way.
        const PASTE: Duration = Duration::from_millis(50);
        self.prompt.forget_typed();
        thread::sleep(PASTE);
        self.prompt.forget_typed();
    }
}

impl Read for SilentTerminal {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.terminal.read(buffer)
    }
}

impl Drop for SilentTerminal {
    fn drop(&mut self) {
        let prompt = {
            let mut state = state();
            let prompt = state.prompt.take();
            prompt.inspect(|prompt| prompt.echo_on())
        };
        if let Some(prompt) = prompt {
            // The answer's line end was not shown either. If the terminal is gone, this fails, which does no harm.
            let _ = (&prompt.terminal).write_all(b"\n");
        }
    }
}

/// Makes a new file readable by its owner only (mode 600).
pub(crate) fn owner_only(options: &mut OpenOptions) {
    options.mode(0o600);
}

/// The file's mode if others can read or change it.
pub(crate) fn exposed_mode(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then_some(mode & 0o777)
}

/// Whether a file belongs to another user, or others can change it. The system's administrator counts as this user.
pub(crate) fn is_of_others(path: &Path) -> bool {
    let is_foreign = |file: Metadata| ![0, geteuid().as_raw()].contains(&file.uid()) || file.mode() & 0o022 != 0;
    fs::metadata(path).is_ok_and(is_foreign)
}

/// The file's inode number if the file has more than one name.
pub(crate) fn hard_linked(path: &Path) -> Option<u64> {
    let file = fs::metadata(path).ok()?;
    (file.nlink() > 1).then(|| file.ino())
}

/// Locks a file until it is closed. Fails with `WouldBlock` while another process has locked it.
pub(crate) fn try_lock(file: &File) -> io::Result<()> {
    Ok(file.try_lock()?)
}

/// Whether two names are of one file.
pub(crate) fn is_same_file(one: &Path, two: &Path) -> bool {
    let file = |path| fs::symlink_metadata(path).map(|file| (file.dev(), file.ino())).ok();
    file(one).is_some_and(|one| file(two) == Some(one))
}

/// Gives a file to the owner of another.
pub(crate) fn copy_owner(file: &File, of: &Metadata) {
    // Only root can give files away. For other users the owner is already the same, or stays the process's user.
    let _ = fchown(file, Some(of.uid()), Some(of.gid()));
}

/// Writes a folder's entries to the disk, so that a new name survives a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A file without a name, which disappears with its process. None if the system or the folder's file system has no such
/// files.
#[cfg(target_os = "linux")]
pub(crate) fn create_unnamed(folder: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::io::Errno;

    // `name_file` needs this folder.
    if !Path::new("/proc/self/fd").is_dir() {
        return Ok(None);
    }
    match open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(Some(file.into())),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives a name to a file without one. An existing file is not replaced.
#[cfg(target_os = "linux")]
pub(crate) fn name_file(file: &File, path: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{AtFlags, CWD, linkat};

    let file = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, file, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

/// None: only Linux has files without a name.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "it can fail on Linux")]
pub(crate) const fn create_unnamed(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

/// An error: only Linux has files without a name.
#[cfg(not(target_os = "linux"))]
pub(crate) fn name_file(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Standard input without a buffer, which would keep a copy of what was read.
pub(crate) fn stdin() -> io::Result<impl Read> {
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Standard output without a buffer.
pub(crate) fn stdout() -> io::Result<impl Write> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// SIGINT or SIGTERM, for a command that stops on its own.
pub(crate) struct StopSignal(Signals);

impl StopSignal {
    pub(crate) fn register() -> io::Result<Self> {
        Signals::new([SIGINT, SIGTERM]).map(Self)
    }

    pub(crate) fn wait(mut self) {
        self.0.forever().next();
    }
}
