//! Reads PINs, spend keys and passphrases: at a prompt without echo, or from standard input, one a line. Never from the
//! command line.

use std::cell::OnceCell;
use std::io::{self, IsTerminal as _, Read};

use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, Pin};
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::keystore::SpendKey;
use zeroize::Zeroizing;

use crate::args::PinSource;
use crate::error::{Error, FileProblem};
use crate::system::{self, SilentTerminal};
use crate::{files, output};

/// The longest line of standard input. 64 bytes of key are 128 hex digits.
const MAX_LINE: usize = 160;
/// The longest answer at a prompt.
const MAX_ANSWER: usize = 1024;

/// Reads one PIN.
pub(crate) fn read(source: &PinSource, which: &'static str) -> Result<Pin, Error> {
    if source.pin_stdin {
        Pin::new(&stdin_line(which)?).map_err(|cause| Error::Pin { which, cause })
    } else {
        prompt(which, |answer| pin(&answer, which))
    }
}

/// Reads a new PIN. A prompt asks twice, because it does not show the PIN. Warns if the PIN is weak.
pub(crate) fn read_new(source: &PinSource, which: &'static str) -> Result<Pin, Error> {
    let pin = read(source, which)?;
    if is_weak(&pin) {
        // Naming the kind would tell an onlooker something about the PIN.
        output::warn(&format!("the {which} is a sequence, a repeat or a date, which are tried first; choose another"));
    }
    if source.pin_stdin {
        return Ok(pin);
    }
    let which = "new PIN again";
    prompt(which, |again| if self::pin(&again, which)? == pin { Ok(pin) } else { Err(Error::PinsDiffer) })
}

/// The PIN of a run of several steps: it is read when the first step needs it, and once.
pub(crate) struct Digits<'s> {
    source: &'s PinSource,
    pin: OnceCell<Pin>,
}

impl<'s> Digits<'s> {
    pub(crate) const fn new(source: &'s PinSource) -> Self {
        Self { source, pin: OnceCell::new() }
    }

    /// Reads the PIN.
    pub(crate) fn get(&self) -> Result<&Pin, Error> {
        if let Some(pin) = self.known() {
            return Ok(pin);
        }
        let pin = read(self.source, "PIN")?;
        Ok(self.pin.get_or_init(|| pin))
    }

    /// The PIN, if it has been read.
    pub(crate) fn known(&self) -> Option<&Pin> {
        self.pin.get()
    }
}

fn pin(answer: &str, which: &'static str) -> Result<Pin, Error> {
    Pin::new(answer).map_err(|cause| Error::Pin { which, cause })
}

/// Asks on the terminal without echo. If `read` rejects the answer, the rest of a paste is dropped: the shell would take it
/// for commands.
pub(crate) fn prompt<T>(
    which: &'static str,
    read: impl FnOnce(Zeroizing<String>) -> Result<T, Error>,
) -> Result<T, Error> {
    let no_terminal = |cause| no_terminal(which, cause);
    system::listen_for_signals().map_err(Error::Signals)?;
    let mut terminal = SilentTerminal::ask(&format!("{which}: ")).map_err(no_terminal)?;
    let answer = answer(&mut terminal, which).and_then(read);
    if answer.is_err() {
        terminal.forget_typed();
    }
    answer
}

/// Shows a text on the terminal, and returns whether the answer is yes.
pub(crate) fn confirm(text: &str) -> Result<bool, Error> {
    const WHICH: &str = "confirmation";
    system::listen_for_signals().map_err(Error::Signals)?;
    let mut terminal = SilentTerminal::ask(&output::harmless(text)).map_err(|cause| no_terminal(WHICH, cause))?;
    let is_yes = answer(&mut terminal, WHICH)?.trim() == "yes";
    if !is_yes {
        terminal.forget_typed();
    }
    Ok(is_yes)
}

fn answer(terminal: &mut SilentTerminal, which: &'static str) -> Result<Zeroizing<String>, Error> {
    let no_terminal = |cause| no_terminal(which, cause);
    let line = match read_line(terminal, MAX_ANSWER).map_err(no_terminal)? {
        Line::Whole(line) => line,
        Line::TooLong => return Err(Error::LineTooLong { which, limit: MAX_ANSWER }),
        // There is a terminal, and it gave nothing.
        Line::End => Zeroizing::default(),
    };
    let text = std::str::from_utf8(&line).map_err(|_| FileProblem::NotText.at(which.as_ref()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn no_terminal(which: &'static str, cause: io::Error) -> Error {
    Error::NoTerminal { which, cause, stdin_is_keystore: files::stdin_is_keystore() }
}

/// The TIP key of the keystore's spend key, unless another is to come from standard input. Without either, reads one like
/// [`spend_key`].
pub(crate) fn tip_key_or(
    of_keystore: Option<SpendKey>,
    from_stdin: bool,
    expected: Option<&Ed25519PublicKey>,
    which: &'static str,
) -> Result<TipKey, Error> {
    match of_keystore {
        Some(key) if !from_stdin => tip_key(&key, expected, "keystore's spend key"),
        _ => tip_key(&spend_key(from_stdin, which)?, expected, which),
    }
}

/// Reads the TIP key of a spend key. Errors call it `which`.
pub(crate) fn tip_key(
    key: &SpendKey,
    expected: Option<&Ed25519PublicKey>,
    which: &'static str,
) -> Result<TipKey, Error> {
    key.to_tip_key(expected).map_err(|cause| Error::Pin { which, cause })
}

/// The TIP key that the server has for a user.
pub(crate) fn installed_key(user: &User) -> Option<Ed25519PublicKey> {
    Ed25519PublicKey::from_text(&user.tip_key_base64).ok()
}

/// Reads a spend key: from standard input, or at a prompt if standard input is a terminal or was the keystore.
pub(crate) fn spend_key(from_stdin: bool, which: &'static str) -> Result<SpendKey, Error> {
    if from_stdin {
        let line = stdin_line(which)?;
        let text =
            std::str::from_utf8(&line).map_err(|_| Error::Pin { which, cause: mixin_pin_core::Error::Ed25519Key })?;
        return Ok(SpendKey::new(Zeroizing::new(text.to_owned())));
    }
    if !io::stdin().is_terminal() && !files::stdin_is_keystore() {
        return Err(Error::SpendKeyMissing { which });
    }
    prompt(which, |answer| {
        let key = SpendKey::new(answer);
        // Only checks that it is a key. Which kind it is depends on the public key, which is seen later.
        tip_key(&key, None, which)?;
        Ok(key)
    })
}

fn stdin_line(which: &'static str) -> Result<Zeroizing<Vec<u8>>, Error> {
    let line = system::stdin().and_then(|mut stdin| read_line(&mut stdin, MAX_LINE));
    match line.map_err(|cause| FileProblem::Read(cause).at("standard input".as_ref()))? {
        Line::Whole(line) => Ok(line),
        Line::TooLong => Err(Error::LineTooLong { which, limit: MAX_LINE }),
        Line::End => Err(Error::PinMissing { which }),
    }
}

#[derive(Debug, PartialEq)]
enum Line {
    /// The line without its end.
    Whole(Zeroizing<Vec<u8>>),
    /// The line is over the limit; its rest is not read.
    TooLong,
    /// The input has ended.
    End,
}

/// Reads a line of at most `limit` bytes.
fn read_line(input: &mut impl Read, limit: usize) -> io::Result<Line> {
    // One byte more for a carriage return: a growing buffer would leave copies in freed memory.
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

/// Whether attackers try the PIN first: a sequence, a repeat or a date. It can be used all the same.
fn is_weak(pin: &Pin) -> bool {
    let digits = pin.expose().map(|digit| digit - b'0');
    is_sequence(digits) || is_repeat(digits) || is_date(digits)
}

/// The same step from each digit to the next, also across 9 and 0: 123456, 975319, 000000.
fn is_sequence(digits: [u8; Pin::LEN]) -> bool {
    let step = |pair: &[u8]| (10 + pair[1] - pair[0]) % 10;
    digits.windows(2).all(|pair| step(pair) == step(&digits[..2]))
}

/// Two or three digits repeated or mirrored, or pairs of digits: 121212, 123123, 123321, 112233.
fn is_repeat(digits: [u8; Pin::LEN]) -> bool {
    let (first, last) = digits.split_at(Pin::LEN / 2);
    let pairs = digits.chunks(2).all(|pair| pair == &digits[..2]);
    let halves = first == last || first.iter().eq(last.iter().rev());
    let twins = digits.chunks(2).all(|pair| pair[0] == pair[1]);
    pairs || halves || twins
}

/// Day, month and two-digit year in any country's order, or month and year.
fn is_date(digits: [u8; Pin::LEN]) -> bool {
    let two = |at: usize| digits[at] * 10 + digits[at + 1];
    let (first, middle, last) = (two(0), two(2), two(4));
    let is_day = |day: u8, month: u8| (1..=31).contains(&day) && (1..=12).contains(&month);
    let is_year = |century: u8| matches!(century, 19 | 20);
    is_day(first, middle)
        || is_day(middle, first)
        || is_day(last, middle)
        || is_year(first) && is_day(1, last)
        || is_year(middle) && is_day(1, first)
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
    fn a_long_line_is_refused_and_not_read_to_its_end() {
        for (length, end, is_whole) in
            [(MAX_LINE, "", true), (MAX_LINE, "\r\n", true), (MAX_LINE + 1, "\n", false), (MAX_LINE + 1, "", false)]
        {
            let long = "1".repeat(length) + end;
            let line = read_line(&mut long.as_bytes(), MAX_LINE).unwrap();
            assert_eq!(matches!(line, Line::Whole(line) if line.len() == length), is_whole, "{length}");
        }
        // Endless input does not block it.
        assert_eq!(read_line(&mut io::repeat(b'1'), MAX_LINE).unwrap(), Line::TooLong);
    }

    #[test]
    fn weak_pins_are_recognized() {
        let is_weak = |text: &str| is_weak(&Pin::new(text).unwrap());
        for text in [
            "123456", "654321", "000000", "777777", "246802", "890123", // sequences
            "121212", "123123", "123321", "112233", "787878", // repeats
            "311299", "123199", "991231", "197403", "031974", "010100", // dates
        ] {
            assert!(is_weak(text), "{text}");
        }
        for text in ["314159", "271828", "739146", "728419", "123457", "401399", "189013", "490099"] {
            assert!(!is_weak(text), "{text}");
        }
    }

    #[test]
    fn few_pins_are_weak() {
        let weak = (0..1_000_000).filter(|number| is_weak(&Pin::new(format!("{number:06}")).unwrap())).count();
        assert!((50_000..150_000).contains(&weak), "{weak}");
    }
}
