//! Describes an encrypted block that decrypts to something other than a PIN.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mixin_pin_core::PinKey;
use mixin_pin_core::hazmat::{BlockForm, block_form};

/// The years 2000 to 2099, in Unix seconds.
pub(crate) const THIS_CENTURY: std::ops::Range<u64> = 946_684_800..4_102_444_800;
/// The longest text that is read, in bytes.
const MAX_LEN: usize = 4096;
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// An encrypted block that decrypts under the session's PIN key, but not to a PIN, a TIP key or a TIP signature.
///
/// ```
/// use mixin_pin_protocol::check::OpenedPin;
/// use mixin_pin_protocol::core::PinKey;
///
/// // The digits 123456 were decoded as hex before they were encrypted.
/// let encrypted = "AAAAAAAAAAAAAAAAAAAAAJJIr7zq8NR2NC6mz1VUQj9grlwM3p0YAQJBfjMDsf7E";
/// let opened = OpenedPin::read(&PinKey::from_bytes(&[7; 32])?, encrypted).expect("it opens");
/// assert_eq!(opened.secret_len(), 3);
/// # Ok::<(), mixin_pin_protocol::core::Error>(())
/// ```
///
/// # Security
/// It reveals whether a ciphertext has valid padding: see [`block_form`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenedPin {
    form: BlockForm,
}

impl OpenedPin {
    /// Reads a text that [`PinKey::decrypt`] refuses, in either base64 alphabet, padded or not. None if it does not open.
    ///
    /// It counts as opened if the padding is valid and the timestamp lies in this century. Valid padding alone occurs in one
    /// of 256 blocks that were made under another key, and both together in one of 10¹².
    pub fn read(key: &PinKey, text: &str) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        let is_url_safe = text.contains(['-', '_']);
        let alphabet = if is_url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
        let form = block_form(key, &GeneralPurpose::new(alphabet, CONFIG).decode(text).ok()?).ok()?;
        THIS_CENTURY.contains(&form.timestamp).then_some(Self { form })
    }

    /// The length of the secret, in bytes.
    pub const fn secret_len(&self) -> usize {
        self.form.secret_len
    }
}

impl fmt::Display for OpenedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BlockForm { secret_len, is_hex_of_digits, .. } = self.form;
        let s = if secret_len == 1 { "" } else { "s" };
        write!(f, "opens, and holds {secret_len} byte{s}")?;
        f.write_str(if is_hex_of_digits {
            // bot-api-nodejs-client: `src/client/utils/pin.ts`; bot-api-go-client: `pin.go`.
            ": the digits were decoded as hex, as the official Node and Go clients do; give such a client each digit as its \
             ASCII code in hex (313233343536 for 123456)"
        } else if secret_len == 6 {
            " that are not all digits; a PIN is six ASCII digits"
        } else {
            "; a PIN has 6 (ASCII digits), a TIP key with its counter 40, a TIP signature 64"
        })
    }
}

#[cfg(test)]
mod tests {
    use mixin_pin_core::{Pin, hazmat};

    use super::*;

    fn key() -> PinKey {
        PinKey::from_bytes(&[7; 32]).unwrap()
    }

    #[test]
    fn blocks_of_other_keys_do_not_open() {
        let other = PinKey::from_bytes(&[8; 32]).unwrap();
        let mut padded = 0;
        for number in 0..5_000_u64 {
            let mut iv = [0; 16];
            iv[..8].copy_from_slice(&number.to_le_bytes());
            let block = hazmat::block(Pin::new("123456").unwrap(), 1_700_000_000, number);
            let encrypted = hazmat::encrypt_with_iv(&other, &block, &iv);
            padded += u32::from(block_form(&key(), encrypted.as_bytes()).is_ok());
            assert_eq!(OpenedPin::read(&key(), encrypted.to_standard().as_str()), None);
        }
        assert!(padded > 0, "the padding alone is valid at times");
    }

    #[test]
    fn a_block_opens_whose_time_is_of_this_century() {
        let read = |timestamp| {
            let block = hazmat::block(Pin::new("123456").unwrap(), timestamp, 1);
            OpenedPin::read(&key(), hazmat::encrypt_with_iv(&key(), &block, &[0xfb; 16]).to_url_safe().as_str())
        };
        for timestamp in [946_684_800, 1_525_333_400, 4_102_444_799] {
            assert_eq!(read(timestamp).unwrap().secret_len(), 6);
        }
        for timestamp in [0, 946_684_799, 4_102_444_800, 1_700_000_000_000, u64::MAX] {
            assert_eq!(read(timestamp), None);
        }
        for text in ["", "AAAA", "!", &"A".repeat(4097)] {
            assert_eq!(OpenedPin::read(&key(), text), None);
        }
    }
}
