//! Writes transactions, into a buffer, a hash or a counter.

#[cfg(feature = "alloc")]
use alloc::{vec, vec::Vec};

use crate::error::{EncodeError, EncodeProblem};
use crate::transaction::{Deposit, DetachedSignature, Input, Mint, Output, OutputKind, Withdrawal};
use crate::wire::{MAGIC, NULL, VERSION, limit};
use crate::{Amount, AssetId, Field, Hash};

/// The parts of a transaction that nobody has signed yet.
///
/// What it writes decodes to the same parts, or it is refused: its limits are the decoder's.
///
/// ```
/// use mixin_pin_safe::{Amount, AssetId, Input, Output, OutputKind, Transaction, Unsigned};
///
/// let input = Input { hash: &[7; 32], index: 1, genesis: &[], deposit: None, mint: None };
/// let output = Output {
///     kind: OutputKind::Script,
///     amount: Amount::from_units(150_000_000),
///     keys: &[[8; 32]],
///     mask: &[9; 32],
///     script: &[0xff, 0xfe, 1],
///     withdrawal: None,
/// };
/// let unsigned = Unsigned { asset: AssetId::XIN, inputs: &[input], outputs: &[output], references: &[], extra: b"memo" };
/// let mut buffer = [0; 256];
/// let transaction = Transaction::decode(unsigned.encode_into(&mut buffer)?)?;
/// assert_eq!(transaction.output(0), Some(output));
/// assert_eq!(transaction.hash(), unsigned.hash()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsigned<'a> {
    /// The asset that inputs and outputs have.
    pub asset: AssetId,
    /// The inputs.
    pub inputs: &'a [Input<'a>],
    /// The outputs.
    pub outputs: &'a [Output<'a>],
    /// The hashes of transactions that it refers to.
    pub references: &'a [[u8; 32]],
    /// The extra bytes.
    pub extra: &'a [u8],
}

impl Unsigned<'_> {
    /// The number of bytes that encoding writes.
    ///
    /// # Errors
    /// A part that is beyond a limit, or all together: see [`EncodeProblem`].
    pub fn encoded_len(&self) -> Result<usize, EncodeError> {
        let mut counter = Counter(0);
        self.write(&mut counter)?;
        within_length(counter.0)
    }

    /// Writes the transaction to the start of the buffer, and returns what it wrote.
    ///
    /// # Errors
    /// As [`encoded_len`](Self::encoded_len), and [`EncodeProblem::Buffer`]. The buffer may be partly written.
    pub fn encode_into<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        self.encoded_len()?;
        let mut sink = Buffer::new(buffer);
        self.write(&mut sink)?;
        sink.finish()
    }

    /// The transaction's bytes.
    ///
    /// # Errors
    /// As [`encoded_len`](Self::encoded_len).
    #[cfg(feature = "alloc")]
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = vec![0; self.encoded_len()?];
        self.encode_into(&mut bytes)?;
        Ok(bytes)
    }

    /// The transaction's hash. The bytes go to the hash function directly.
    ///
    /// # Errors
    /// As [`encoded_len`](Self::encoded_len).
    pub fn hash(&self) -> Result<Hash, EncodeError> {
        self.encoded_len()?;
        let mut hasher = blake3::Hasher::new();
        self.write(&mut hasher)?;
        Ok(Hash(hasher.finalize().into()))
    }

    fn write(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.write(&MAGIC);
        sink.write(&VERSION);
        sink.write(&self.asset.0);
        let count = write_count(sink, self.inputs.len(), Field::Inputs)?;
        for (i, input) in (0..count).zip(self.inputs) {
            write_input(sink, i, input)?;
        }
        let count = write_count(sink, self.outputs.len(), Field::Outputs)?;
        for (i, output) in (0..count).zip(self.outputs) {
            write_output(sink, i, output)?;
        }
        write_blocks(sink, self.references, Field::References)?;
        let len = match u32::try_from(self.extra.len()) {
            Ok(len) if len <= limit::BYTES => len,
            _ => return Err(beyond(Field::Extra, limit::BYTES)),
        };
        sink.write(&len.to_be_bytes());
        sink.write(self.extra);
        write_signatures(sink, 0, core::iter::empty())
    }
}

/// Where encoded bytes go.
pub(crate) trait Sink {
    fn write(&mut self, bytes: &[u8]);
}

pub(crate) struct Counter(pub(crate) usize);

impl Sink for Counter {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

impl Sink for blake3::Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// Writes as far as there is room, and counts further.
pub(crate) struct Buffer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> Buffer<'b> {
    pub(crate) const fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    pub(crate) fn finish(self) -> Result<&'b [u8], EncodeError> {
        let Self { buffer, len } = self;
        buffer.get(..len).ok_or(EncodeError::new(Field::Length, EncodeProblem::Buffer { needed: len }))
    }
}

impl Sink for Buffer<'_> {
    fn write(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(room) = self.buffer.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
        }
        self.len = end;
    }
}

const fn beyond(field: Field, most: u32) -> EncodeError {
    EncodeError::new(field, EncodeProblem::Limit { most })
}

/// A transaction's length, unless it is too long.
pub(crate) fn within_length(len: usize) -> Result<usize, EncodeError> {
    if len > limit::BYTES as usize { Err(beyond(Field::Length, limit::BYTES)) } else { Ok(len) }
}

/// Writes and returns the number of parts.
fn write_count(sink: &mut impl Sink, count: usize, field: Field) -> Result<u16, EncodeError> {
    match u16::try_from(count) {
        Ok(count) if count <= limit::COUNT => {
            sink.write(&count.to_be_bytes());
            Ok(count)
        }
        _ => Err(beyond(field, limit::COUNT.into())),
    }
}

fn write_blocks(sink: &mut impl Sink, blocks: &[[u8; 32]], field: Field) -> Result<(), EncodeError> {
    write_count(sink, blocks.len(), field)?;
    sink.write(blocks.as_flattened());
    Ok(())
}

fn write_bytes(sink: &mut impl Sink, bytes: &[u8], field: Field) -> Result<(), EncodeError> {
    let len = u16::try_from(bytes.len()).map_err(|_| beyond(field, u16::MAX.into()))?;
    sink.write(&len.to_be_bytes());
    sink.write(bytes);
    Ok(())
}

fn write_amount(sink: &mut impl Sink, amount: Amount, field: Field) -> Result<(), EncodeError> {
    let bytes = amount.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    write_bytes(sink, &bytes[zeros..], field)
}

fn write_input(sink: &mut impl Sink, i: u16, input: &Input<'_>) -> Result<(), EncodeError> {
    if input.index > limit::INDEX {
        return Err(beyond(Field::Input(i), limit::INDEX.into()));
    }
    sink.write(input.hash);
    sink.write(&input.index.to_be_bytes());
    write_bytes(sink, input.genesis, Field::Genesis(i))?;
    if let Some(Deposit { chain, asset_key, transaction, index, amount }) = input.deposit {
        sink.write(&MAGIC);
        sink.write(chain);
        write_bytes(sink, asset_key, Field::Deposit(i))?;
        write_bytes(sink, transaction, Field::Deposit(i))?;
        sink.write(&index.to_be_bytes());
        write_amount(sink, amount, Field::Deposit(i))?;
    } else {
        sink.write(&NULL);
    }
    if let Some(Mint { group, batch, amount }) = input.mint {
        sink.write(&MAGIC);
        write_bytes(sink, group, Field::Mint(i))?;
        sink.write(&batch.to_be_bytes());
        write_amount(sink, amount, Field::Mint(i))
    } else {
        sink.write(&NULL);
        Ok(())
    }
}

fn write_output(sink: &mut impl Sink, i: u16, output: &Output<'_>) -> Result<(), EncodeError> {
    if OutputKind::from_byte(output.kind.byte()) != output.kind {
        return Err(EncodeError::new(Field::Kind(i), EncodeProblem::Kind));
    }
    sink.write(&[0, output.kind.byte()]);
    write_amount(sink, output.amount, Field::Amount(i))?;
    write_blocks(sink, output.keys, Field::Keys(i))?;
    sink.write(output.mask);
    write_bytes(sink, output.script, Field::Script(i))?;
    if let Some(Withdrawal { address, tag }) = output.withdrawal {
        sink.write(&MAGIC);
        write_bytes(sink, address, Field::Withdrawal(i))?;
        write_bytes(sink, tag, Field::Withdrawal(i))
    } else {
        sink.write(&NULL);
        Ok(())
    }
}

/// Writes signatures in `maps` maps. They must ascend by input and signer.
pub(crate) fn write_signatures(
    sink: &mut impl Sink,
    maps: u16,
    signatures: impl Iterator<Item = DetachedSignature> + Clone,
) -> Result<(), EncodeError> {
    write_count(sink, maps.into(), Field::Authorization)?;
    let mut signatures = signatures.peekable();
    for map in 0..maps {
        let of_map = signatures.clone().take_while(|signature| signature.input == map).count();
        let count = u16::try_from(of_map).map_err(|_| beyond(Field::Signatures(map), u16::MAX.into()))?;
        sink.write(&count.to_be_bytes());
        let mut last = None;
        while let Some(DetachedSignature { signer, signature, .. }) = signatures.next_if(|next| next.input == map) {
            if last.is_some_and(|last| last >= signer) {
                return Err(EncodeError::new(Field::Signatures(map), EncodeProblem::Order));
            }
            last = Some(signer);
            sink.write(&signer.to_be_bytes());
            sink.write(&signature);
        }
    }
    match signatures.peek() {
        None => Ok(()),
        Some(left) => {
            let problem = if left.input < maps { EncodeProblem::Order } else { EncodeProblem::Input };
            Err(EncodeError::new(Field::Signatures(left.input), problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{Authorization, Transaction};

    const NOTHING: Unsigned<'_> =
        Unsigned { asset: AssetId::XIN, inputs: &[], outputs: &[], references: &[], extra: &[] };

    const fn signature(input: u16, signer: u16) -> DetachedSignature {
        DetachedSignature { input, signer, signature: [7; 64] }
    }

    /// Writes the signatures to `buffer`, after the payload of a transaction without parts.
    fn write<'b>(
        maps: u16,
        signatures: &[DetachedSignature],
        buffer: &'b mut [u8; 999],
    ) -> Result<&'b [u8], EncodeError> {
        let mut sink = Buffer::new(buffer);
        let mut payload = [0; 48];
        sink.write(NOTHING.encode_into(&mut payload)?.strip_suffix(&NULL).unwrap());
        write_signatures(&mut sink, maps, signatures.iter().copied())?;
        sink.finish()
    }

    #[test]
    fn signatures_come_back() {
        let signatures = [signature(0, 1), signature(0, 65_535), signature(2, 0)];
        let mut buffer = [0; 999];
        let raw = write(4, &signatures, &mut buffer).unwrap();
        let Authorization::Signatures(read) = Transaction::decode(raw).unwrap().authorization() else {
            panic!("an aggregate");
        };
        assert_eq!(read.maps(), 4);
        assert_eq!(read.iter().collect::<Vec<_>>(), signatures);
    }

    #[test]
    fn signatures_that_do_not_ascend_are_refused() {
        let mut buffer = [0; 999];
        for (input, signatures) in [
            (0, [signature(0, 1), signature(0, 0)]),
            (0, [signature(0, 1), signature(0, 1)]),
            (0, [signature(1, 0), signature(0, 0)]),
            (1, [signature(1, 7), signature(1, 7)]),
        ] {
            let error = write(2, &signatures, &mut buffer).unwrap_err();
            assert_eq!(error, EncodeError::new(Field::Signatures(input), EncodeProblem::Order), "{signatures:?}");
        }
        let error = write(2, &[signature(1, 0), signature(2, 0)], &mut buffer).unwrap_err();
        assert_eq!(error, EncodeError::new(Field::Signatures(2), EncodeProblem::Input));
        let error = write(257, &[], &mut buffer).unwrap_err();
        assert_eq!(error, EncodeError::new(Field::Authorization, EncodeProblem::Limit { most: 256 }));
    }

    #[test]
    fn a_buffer_that_is_too_small_is_not_passed() {
        let needed = NOTHING.encoded_len().unwrap();
        for len in 0..needed {
            let mut buffer = [0xee; 48];
            let error = NOTHING.encode_into(&mut buffer[..len]).unwrap_err();
            assert_eq!(error, EncodeError::new(Field::Length, EncodeProblem::Buffer { needed }));
            assert!(buffer[len..].iter().all(|byte| *byte == 0xee));
        }
        assert_eq!(NOTHING.encode_into(&mut [0; 99]).unwrap().len(), needed);
    }
}
