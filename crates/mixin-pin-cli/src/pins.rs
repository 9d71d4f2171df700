//! Where PINs and spend keys come from: a prompt without echo, or standard input, one a line. Never the command line.

use std::io::{self, IsTerminal as _, Read};

use mixin_pin_core::Pin;
use mixin_pin_protocol::keystore::SpendKey;
use zeroize::Zeroizing;

use crate::args::PinSource;
use crate::error::Error;
#[cfg(unix)]
use crate::interrupt::SilentTerminal;
use crate::{output, weak};

/// No PIN or key needs a longer line: 64 bytes of key are 128 digits of hex.
const MAX_LINE: usize = 160;
/// No passphrase that is typed is longer.
#[cfg(unix)]
const MAX_ANSWER: usize = 1024;

/// Asks for one PIN.
pub(crate) fn read(source: &PinSource, which: &'static str) -> Result<Pin, Error> {
    if source.pin_stdin { from_stdin(which) } else { from_prompt(which) }
}

/// Asks for a PIN that is to be set: at a prompt twice, because nobody sees what is typed.
pub(crate) fn read_new(source: &PinSource, which: &'static str) -> Result<Pin, Error> {
    let pin = read(source, which)?;
    if weak::is_weak(&pin) {
        // Which of them it is would tell something of the PIN to who looks on.
        output::warn(&format!("the {which} is a sequence, a repeat or a date, as are tried first; think of another"));
    }
    if source.pin_stdin {
        return Ok(pin);
    }
    let which = "new PIN again";
    prompt(which, |again| if self::pin(&again, which)? == pin { Ok(pin) } else { Err(Error::PinsDiffer) })
}

fn from_prompt(which: &'static str) -> Result<Pin, Error> {
    prompt(which, |answer| pin(&answer, which))
}

fn pin(answer: &str, which: &'static str) -> Result<Pin, Error> {
    Pin::new(answer).map_err(|cause| Error::Pin { which, cause })
}

/// Asks on the terminal, and shows nothing of the answer. Where `read` takes it for none, what was pasted behind it is dropped:
/// the shell would take it for commands.
#[cfg(unix)]
pub(crate) fn prompt<T>(
    which: &'static str,
    read: impl FnOnce(Zeroizing<String>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut terminal = SilentTerminal::ask(&format!("{which}: "))?;
    let answer = answer(&mut terminal, which).and_then(read);
    if answer.is_err() {
        terminal.forget_typed();
    }
    answer
}

#[cfg(unix)]
fn answer(terminal: &mut SilentTerminal, which: &'static str) -> Result<Zeroizing<String>, Error> {
    // As many characters as a terminal takes in a line.
    let line = match read_line(terminal.as_file(), MAX_ANSWER).map_err(Error::NoTerminal)? {
        Line::Whole(line) => line,
        Line::TooLong => return Err(Error::LineTooLong { which, limit: MAX_ANSWER }),
        Line::End => return Err(Error::NoTerminal(io::ErrorKind::UnexpectedEof.into())),
    };
    let text = std::str::from_utf8(&line).map_err(|_| Error::NotText { path: which.into() })?;
    Ok(Zeroizing::new(text.to_owned()))
}

#[cfg(not(unix))]
pub(crate) fn prompt<T>(
    which: &'static str,
    read: impl FnOnce(Zeroizing<String>) -> Result<T, Error>,
) -> Result<T, Error> {
    rpassword::prompt_password(format!("{which}: ")).map(Zeroizing::new).map_err(Error::NoTerminal).and_then(read)
}

fn from_stdin(which: &'static str) -> Result<Pin, Error> {
    Pin::new(&line_of_stdin(which)?).map_err(|cause| Error::Pin { which, cause })
}

/// Reads one spend key: from standard input, or at a prompt where somebody sits at a terminal.
pub(crate) fn spend_key(from_stdin: bool, which: &'static str) -> Result<SpendKey, Error> {
    if !from_stdin {
        return if io::stdin().is_terminal() {
            prompt(which, |answer| {
                let key = SpendKey::new(answer);
                // Whichever reading fits is seen later; that there is one, now.
                key.to_tip_key(None)?;
                Ok(key)
            })
        } else {
            Err(Error::SpendKeyMissing { which })
        };
    }
    let line = line_of_stdin(which)?;
    let text =
        std::str::from_utf8(&line).map_err(|_| Error::Pin { which, cause: mixin_pin_core::Error::Ed25519Key })?;
    Ok(SpendKey::new(Zeroizing::new(text.to_owned())))
}

fn line_of_stdin(which: &'static str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let line = read_line(&mut stdin()?, MAX_LINE);
    match line.map_err(|cause| Error::Read { path: "standard input".into(), cause })? {
        Line::Whole(line) => Ok(line),
        Line::TooLong => Err(Error::LineTooLong { which, limit: MAX_LINE }),
        Line::End => Err(Error::PinMissing { which }),
    }
}

/// Standard input without a buffer, which would keep what it read.
#[cfg(unix)]
fn stdin() -> Result<impl Read, Error> {
    use std::os::fd::AsFd as _;

    let fd = io::stdin().as_fd().try_clone_to_owned();
    fd.map(std::fs::File::from).map_err(|cause| Error::Read { path: "standard input".into(), cause })
}

#[cfg(not(unix))]
fn stdin() -> Result<impl Read, Error> {
    Ok(io::stdin().lock())
}

/// What was read for a line.
#[derive(Debug, PartialEq)]
enum Line {
    /// All of it but its end.
    Whole(Zeroizing<Vec<u8>>),
    /// More than a line may have; the rest is left.
    TooLong,
    /// Nothing is left.
    End,
}

/// Reads a line of at most this length.
fn read_line(input: &mut impl Read, limit: usize) -> io::Result<Line> {
    // Room for the character that may stand before the line's end, so that it never grows.
    let mut line = Zeroizing::new(Vec::with_capacity(limit + 1));
    let mut byte = Zeroizing::new([0; 1]);
    let mut found = false;
    loop {
        match input.read(byte.as_mut()) {
            Ok(0) if !found => return Ok(Line::End),
            Ok(0) => break,
            Ok(_) if byte[0] == b'\n' => break,
            Ok(_) if line.len() > limit => return Ok(Line::TooLong),
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        found = true;
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(if line.len() > limit { Line::TooLong } else { Line::Whole(line) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_any_line_end_and_at_the_end() {
        let mut input = &b"123456\r\n\n654321"[..];
        let mut next = || read_line(&mut input, MAX_LINE).unwrap();
        let whole = |text: &[u8]| Line::Whole(Zeroizing::new(text.to_vec()));
        assert_eq!(next(), whole(b"123456"));
        assert_eq!(next(), whole(b""));
        assert_eq!(next(), whole(b"654321"));
        assert_eq!(next(), Line::End);
    }

    #[test]
    fn a_long_line_is_no_pin_and_takes_no_room() {
        for (length, end, is_whole) in
            [(MAX_LINE, "", true), (MAX_LINE, "\r\n", true), (MAX_LINE + 1, "\n", false), (MAX_LINE + 1, "", false)]
        {
            let long = "1".repeat(length) + end;
            let line = read_line(&mut long.as_bytes(), MAX_LINE).unwrap();
            assert_eq!(matches!(line, Line::Whole(line) if line.len() == length), is_whole, "{length}");
        }
        // It is not waited for the end of what has none.
        assert_eq!(read_line(&mut io::repeat(b'1'), MAX_LINE).unwrap(), Line::TooLong);
    }
}
