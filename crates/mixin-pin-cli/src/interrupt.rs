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
    use std::fs::{self, File};
    use std::io::{self, Write as _};
    use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
    use std::thread;
    use std::time::Duration;

    use rustix::process::{getpgrp, getsid};
    use rustix::termios::{
        Action, LocalModes, OptionalActions, QueueSelector, Termios, tcflow, tcflush, tcgetattr, tcgetpgrp, tcsetattr,
    };
    use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    use crate::error::Error;

    /// What a signal finds.
    struct State {
        /// The terminal, while it asks.
        asks: Option<Arc<Asked>>,
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

    /// Sees to it that signals come here, but those that are ignored from the start: under `nohup` the command goes on.
    fn listen() -> io::Result<()> {
        static BEGUN: Once = Once::new();
        let mut failed = None;
        BEGUN.call_once(|| {
            let ignored = ignored();
            let signals = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT];
            match Signals::new(signals.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0)) {
                Ok(mut signals) => drop(thread::spawn(move || signals.forever().for_each(take))),
                Err(error) => failed = Some(error),
            }
        });
        failed.map_or(Ok(()), Err)
    }

    /// The signals that are ignored, one a bit; none where the system does not tell.
    fn ignored() -> u64 {
        let status = if cfg!(target_os = "linux") { fs::read_to_string("/proc/self/status").ok() } else { None };
        let mask = status.as_deref().and_then(|status| status.lines().find_map(|line| line.strip_prefix("SigIgn:")));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }

    fn take(signal: i32) {
        let state = state();
        if signal == SIGCONT {
            // Where the terminal is silent still, the prompt is there still, or about to be.
            let again = state.asks.clone().filter(|asked| asked.is_in_front() && !asked.is_silent());
            // A terminal that is gone asks nothing, and reading from it will tell.
            if let Some(asked) = again.filter(|asked| asked.silence().is_ok()) {
                // It may take until output goes on, and another signal may come before.
                drop(thread::spawn(move || asked.show_prompt()));
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
            // What was typed so far is a part of a secret, and not for who reads next.
            asked.forget_typed();
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

        /// Drops what was typed and is not read. Not as the terminal is set, which would wait for output that may be stopped.
        fn forget_typed(&self) {
            if self.is_in_front() {
                // A terminal that is gone has nothing left.
                let _ = tcflush(&self.terminal, QueueSelector::IFlush);
            }
        }

        fn is_silent(&self) -> bool {
            tcgetattr(&self.terminal).is_ok_and(|now| !now.local_modes.contains(LocalModes::ECHO))
        }

        /// Comes before the prompt: who types at once would be seen.
        fn silence(&self) -> io::Result<()> {
            Ok(tcsetattr(&self.terminal, OptionalActions::Now, &self.silent)?)
        }

        /// Waits while output is stopped: not to be called while the state is held, for which signals wait.
        fn show_prompt(&self) -> io::Result<()> {
            (&self.terminal).write_all(self.prompt.as_bytes())
        }
    }

    /// The terminal with a prompt and without echo, until dropped.
    pub(crate) struct SilentTerminal {
        terminal: File,
        asked: Arc<Asked>,
    }

    impl SilentTerminal {
        pub(crate) fn ask(prompt: &str) -> Result<Self, Error> {
            listen().map_err(Error::Signals)?;
            Self::begin(prompt).map_err(Error::NoTerminal)
        }

        fn begin(prompt: &str) -> io::Result<Self> {
            let terminal = File::options().read(true).write(true).open("/dev/tty")?;
            // Changes nothing, and stops a process in the background until it is in front: before that, the terminal is
            // another's, and so is what it is set to.
            tcflow(&terminal, Action::OOn)?;
            let before = tcgetattr(&terminal)?;
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
            let asked = Asked { terminal: terminal.try_clone()?, prompt: prompt.to_owned(), before, silent };
            let asked = Arc::new(asked);
            let begun = Self { terminal, asked: Arc::clone(&asked) };
            {
                let mut state = state();
                // From here on signals know of it.
                state.asks = Some(Arc::clone(&asked));
                asked.silence()?;
            }
            asked.show_prompt()?;
            Ok(begun)
        }

        pub(crate) const fn as_file(&mut self) -> &mut File {
            &mut self.terminal
        }

        /// Drops what was typed or pasted behind a rejected answer: it would go to the shell.
        pub(crate) fn forget_typed(&self) {
            // A paste may be on its way still.
            const ON_ITS_WAY: Duration = Duration::from_millis(50);
            self.asked.forget_typed();
            thread::sleep(ON_ITS_WAY);
            self.asked.forget_typed();
        }
    }

    impl Drop for SilentTerminal {
        fn drop(&mut self) {
            let asked = {
                let mut state = state();
                let asked = state.asks.take();
                asked.inspect(|asked| asked.show_typing())
            };
            if let Some(asked) = asked {
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
