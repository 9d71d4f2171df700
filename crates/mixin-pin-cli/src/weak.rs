//! Tells a PIN that anybody would try first: a sequence, a repeat, or a date.

use mixin_pin_core::Pin;

/// Whether a PIN is among those that are tried first. It may be used all the same.
pub(crate) fn is_weak(pin: &Pin) -> bool {
    let digits = pin.expose().map(|digit| digit - b'0');
    goes_in_steps(digits) || repeats(digits) || is_date(digits)
}

/// Always the same step from digit to digit, beyond 9 and 0 too: 123456, 975319, 000000.
fn goes_in_steps(digits: [u8; Pin::LEN]) -> bool {
    let step = |pair: &[u8]| (10 + pair[1] - pair[0]) % 10;
    digits.windows(2).all(|pair| step(pair) == step(&digits[..2]))
}

/// Two digits or three again and again, there and back, or two of each: 121212, 123123, 123321, 112233.
fn repeats(digits: [u8; Pin::LEN]) -> bool {
    let (first, last) = digits.split_at(Pin::LEN / 2);
    let pairs = digits.chunks(2).all(|pair| pair == &digits[..2]);
    let halves = first == last || first.iter().eq(last.iter().rev());
    let twins = digits.chunks(2).all(|pair| pair[0] == pair[1]);
    pairs || halves || twins
}

/// A day with its year's last two digits, in the order of any country, or a month with its year.
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
    fn what_is_tried_first_is_told_from_the_rest() {
        let is_weak = |text: &str| is_weak(&Pin::new(text).unwrap());
        for text in [
            "123456", "654321", "000000", "777777", "246802", "890123", // in steps
            "121212", "123123", "123321", "112233", "787878", // again
            "311299", "123199", "991231", "197403", "031974", "010100", // dates
        ] {
            assert!(is_weak(text), "{text}");
        }
        for text in ["314159", "271828", "739146", "728419", "123457", "401399", "189013", "490099"] {
            assert!(!is_weak(text), "{text}");
        }
    }

    #[test]
    fn few_are_weak() {
        let weak = (0..1_000_000).filter(|number| is_weak(&Pin::new(&format!("{number:06}")).unwrap())).count();
        assert!((50_000..150_000).contains(&weak), "{weak}");
    }
}
