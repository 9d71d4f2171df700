//! Signals that end or stop the command: first the terminal shows again what is typed, and what must not be left half done
//! is done.
//!
//! Handlers are there from the first prompt or file on. A command that waits for SIGINT and SIGTERM itself says so by
//! [`leave_to_command`].

#[cfg(unix)]
pub(crate) use unix::{SilentTerminal, leave_to_command, uninterrupted};

#[cfg(not(unix))]
pub(crate) use elsewhere::{leave_to_command, uninterrupted};

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, Write as _};
    use std::sync::{Mutex, MutexGuard, Once, PoisonError};
    use std::thread;

    use rustix::process::{getpgrp, getsid};
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use crate::error::Error;

    /// What a signal finds.
    struct State {
        /// The terminal, while it asks.
        asks: Option<Asked>,
        /// Whether the command waits for SIGINT and SIGTERM.
        is_left_to_command: bool,
    }

    static STATE: Mutex<State> = Mutex::new(State { asks: None, is_left_to_command: false });

    /// What a panic elsewhere left is as good as it was.
    fn state() -> MutexGuard<'static, State> {
        STATE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves SIGINT and SIGTERM to the command, but while somebody is asked something.
    pub(crate) fn leave_to_command() {
        state().is_left_to_command = true;
    }

    /// Does what must not be left half done: a signal takes effect afterwards.
    pub(crate) fn uninterrupted<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        if state().is_left_to_command {
            return work();
        }
        listen()?;
        let _state = state();
        work()
    }

    /// Sees to it that signals come here.
    fn listen() -> io::Result<()> {
        static BEGUN: Once = Once::new();
        let mut failed = None;
        BEGUN.call_once(|| match Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT]) {
            Ok(mut signals) => drop(thread::spawn(move || signals.forever().for_each(take))),
            Err(error) => failed = Some(error),
        });
        failed.map_or(Ok(()), Err)
    }

    fn take(signal: i32) {
        let state = state();
        if signal == SIGCONT {
            if let Some(asked) = state.asks.as_ref().filter(|asked| asked.is_in_front()) {
                // A terminal that is gone asks nothing, and reading from it will tell.
                let _ = asked.ask();
            }
            return;
        }
        if state.is_left_to_command && state.asks.is_none() && matches!(signal, SIGINT | SIGTERM) {
            return;
        }
        if signal == SIGTSTP && !can_be_woken() {
            return;
        }
        if let Some(asked) = &state.asks {
            asked.show_typing();
        }
        if signal == SIGTSTP {
            // Who goes on before it is stopped must not wait for a process that is.
            drop(state);
        }
        // It fails for signals that it does not know.
        let _ = emulate_default_handler(signal);
    }

    /// Whether a shell is there that lets a stopped process go on: none controls the group of the session's leader.
    fn can_be_woken() -> bool {
        getsid(None).is_ok_and(|session| session != getpgrp())
    }

    /// A terminal that shows nothing of what is typed.
    struct Asked {
        terminal: File,
        prompt: String,
        before: Termios,
        silent: Termios,
    }

    impl Asked {
        /// In the background the terminal is another's, who has set it to their own liking.
        fn is_in_front(&self) -> bool {
            tcgetpgrp(&self.terminal).is_ok_and(|group| group == getpgrp())
        }

        fn show_typing(&self) {
            if self.is_in_front() {
                // A terminal that is gone needs no echo.
                let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
            }
        }

        /// The echo goes first: who types at once would be seen.
        fn ask(&self) -> io::Result<()> {
            tcsetattr(&self.terminal, OptionalActions::Now, &self.silent)?;
            (&self.terminal).write_all(self.prompt.as_bytes())
        }
    }

    /// The terminal with a prompt and without echo, until dropped.
    pub(crate) struct SilentTerminal(File);

    impl SilentTerminal {
        pub(crate) fn ask(prompt: &str) -> Result<Self, Error> {
            listen().map_err(Error::Signals)?;
            Self::begin(prompt).map_err(Error::NoTerminal)
        }

        fn begin(prompt: &str) -> io::Result<Self> {
            let terminal = File::options().read(true).write(true).open("/dev/tty")?;
            let before = tcgetattr(&terminal)?;
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
            let asked = Asked { terminal: terminal.try_clone()?, prompt: prompt.to_owned(), before, silent };
            let begun = Self(terminal);
            // From here on signals know of it.
            state().asks.insert(asked).ask()?;
            Ok(begun)
        }

        pub(crate) const fn as_file(&mut self) -> &mut File {
            &mut self.0
        }
    }

    impl Drop for SilentTerminal {
        fn drop(&mut self) {
            if let Some(asked) = state().asks.take() {
                asked.show_typing();
                // The line's end was not shown, either. A terminal that is gone needs none.
                let _ = (&asked.terminal).write_all(b"\n");
            }
        }
    }
}

/// Elsewhere the system ends the process as it likes.
#[cfg(not(unix))]
mod elsewhere {
    use std::io;

    pub(crate) const fn leave_to_command() {}

    pub(crate) fn uninterrupted<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        work()
    }
}
