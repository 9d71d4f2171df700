//! A second implementation of what a transaction moves, written from the description of the format. It shares no code and no
//! type with the crate.

use blake3::Hasher;
use curve25519_dalek::{EdwardsPoint, Scalar, edwards::CompressedEdwardsY};

/// A transaction without its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moves {
    pub asset: [u8; 32],
    pub inputs: Vec<([u8; 32], u16)>,
    pub outputs: Vec<Out>,
    pub references: Vec<[u8; 32]>,
    pub extra: Vec<u8>,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Out {
    pub kind: u8,
    /// Big-endian, without zeros in front.
    pub amount: Vec<u8>,
    pub keys: Vec<[u8; 32]>,
    pub mask: [u8; 32],
    pub script: Vec<u8>,
    pub withdrawal: Option<(Vec<u8>, Vec<u8>)>,
}

/// Owners of keys: spend key and view key of each, and the threshold.
#[derive(Debug, Clone)]
pub struct Owners {
    pub threshold: u8,
    pub members: Vec<([u8; 32], [u8; 32])>,
}

impl Out {
    /// Whether the output pays these owners, with this mask secret and at this index.
    pub fn pays(&self, owners: &Owners, secret: &Scalar, index: usize) -> bool {
        let mut expected: Vec<_> = owners.members.iter().map(|member| ghost_key(secret, member, index)).collect();
        let mut keys = self.keys.clone();
        expected.sort_unstable();
        keys.sort_unstable();
        self.kind == 0
            && self.withdrawal.is_none()
            && self.script == [0xff, 0xfe, owners.threshold]
            && self.mask == mask(secret)
            && keys == expected
    }

    /// An output to these owners.
    pub fn to(owners: &Owners, secret: &Scalar, index: usize, amount: Vec<u8>) -> Self {
        Self {
            kind: 0,
            amount,
            keys: owners.members.iter().map(|member| ghost_key(secret, member, index)).collect(),
            mask: mask(secret),
            script: vec![0xff, 0xfe, owners.threshold],
            withdrawal: None,
        }
    }

    /// A withdrawal.
    pub fn withdrawal(address: &[u8], tag: &[u8], amount: Vec<u8>) -> Self {
        let withdrawal = Some((address.to_vec(), tag.to_vec()));
        Self { kind: 0xa1, amount, keys: vec![], mask: [0; 32], script: vec![], withdrawal }
    }
}

pub fn mask(secret: &Scalar) -> [u8; 32] {
    EdwardsPoint::mul_base(secret).compress().0
}

/// The ghost key of a receiver.
pub fn ghost_key(secret: &Scalar, (spend, view): &([u8; 32], [u8; 32]), index: usize) -> [u8; 32] {
    let point = |bytes: &[u8; 32]| CompressedEdwardsY(*bytes).decompress().expect("a point");
    let twice = |bytes: &[u8]| {
        let first = blake3::hash(bytes);
        let second = blake3::hash(first.as_bytes());
        let mut wide = [0; 64];
        wide[..32].copy_from_slice(first.as_bytes());
        wide[32..].copy_from_slice(second.as_bytes());
        Scalar::from_bytes_mod_order_wide(&wide)
    };
    let mut bytes = (point(view) * secret).compress().0.to_vec();
    let mut rest = index;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    let scalar = twice(twice(&bytes).as_bytes());
    (point(spend) + EdwardsPoint::mul_base(&scalar)).compress().0
}

/// Reads big-endian bytes.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, size: usize) -> Option<usize> {
        Some(self.take(size)?.iter().fold(0, |number, byte| number * 256 + usize::from(*byte)))
    }

    fn word(&mut self) -> Option<[u8; 32]> {
        self.take(32)?.try_into().ok()
    }

    fn words(&mut self) -> Option<Vec<[u8; 32]>> {
        (0..self.number(2)?).map(|_| self.word()).collect()
    }

    fn counted(&mut self) -> Option<Vec<u8>> {
        let count = self.number(2)?;
        Some(self.take(count)?.to_vec())
    }
}

impl Moves {
    /// Reads a transaction that no deposit, mint or genesis pays for. Ends before the signatures.
    pub fn read(raw: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(raw);
        (bytes.take(4)? == [0x77, 0x77, 0, 5]).then_some(())?;
        let asset = bytes.word()?;
        let inputs = (0..bytes.number(2)?)
            .map(|_| {
                let (hash, index) = (bytes.word()?, bytes.number(2)?);
                (bytes.take(6)? == [0; 6]).then_some((hash, u16::try_from(index).ok()?))
            })
            .collect::<Option<_>>()?;
        let outputs = (0..bytes.number(2)?)
            .map(|_| {
                let kind = bytes.number(2)?;
                let (amount, keys, mask, script) = (bytes.counted()?, bytes.words()?, bytes.word()?, bytes.counted()?);
                let withdrawal = match bytes.number(2)? {
                    0 => None,
                    0x7777 => Some((bytes.counted()?, bytes.counted()?)),
                    _ => return None,
                };
                Some(Out { kind: u8::try_from(kind).ok()?, amount, keys, mask, script, withdrawal })
            })
            .collect::<Option<_>>()?;
        let references = bytes.words()?;
        let extra = bytes.number(4)?;
        Some(Self { asset, inputs, outputs, references, extra: bytes.take(extra)?.to_vec() })
    }

    /// The bytes, without signatures.
    pub fn write(&self) -> Vec<u8> {
        fn counted(raw: &mut Vec<u8>, bytes: &[u8]) {
            raw.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
            raw.extend(bytes);
        }
        fn words(raw: &mut Vec<u8>, words: &[[u8; 32]]) {
            raw.extend(u16::try_from(words.len()).unwrap().to_be_bytes());
            raw.extend(words.as_flattened());
        }
        let mut raw = vec![0x77, 0x77, 0, 5];
        raw.extend(self.asset);
        raw.extend(u16::try_from(self.inputs.len()).unwrap().to_be_bytes());
        for (hash, index) in &self.inputs {
            raw.extend(hash);
            raw.extend(index.to_be_bytes());
            raw.extend([0; 6]);
        }
        raw.extend(u16::try_from(self.outputs.len()).unwrap().to_be_bytes());
        for output in &self.outputs {
            raw.extend([0, output.kind]);
            counted(&mut raw, &output.amount);
            words(&mut raw, &output.keys);
            raw.extend(output.mask);
            counted(&mut raw, &output.script);
            match &output.withdrawal {
                None => raw.extend([0, 0]),
                Some((address, tag)) => {
                    raw.extend([0x77, 0x77]);
                    counted(&mut raw, address);
                    counted(&mut raw, tag);
                }
            }
        }
        words(&mut raw, &self.references);
        raw.extend(u32::try_from(self.extra.len()).unwrap().to_be_bytes());
        raw.extend(&self.extra);
        raw.extend([0, 0]);
        raw
    }

    /// The hash of a transaction without signatures.
    pub fn hash(&self) -> [u8; 32] {
        *Hasher::new().update(&self.write()).finalize().as_bytes()
    }
}

/// The sum of big-endian numbers, without zeros in front.
pub fn sum<'a>(numbers: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut total: Vec<u8> = vec![];
    for number in numbers {
        let mut carry = 0;
        let mut digits = vec![];
        for place in 0..total.len().max(number.len()) {
            let digit = |bytes: &[u8]| bytes.iter().rev().nth(place).copied().map_or(0, u16::from);
            let [high, low] = (digit(&total) + digit(number) + carry).to_be_bytes();
            digits.push(low);
            carry = high.into();
        }
        if carry > 0 {
            digits.push(1);
        }
        total = digits.into_iter().rev().skip_while(|digit| *digit == 0).collect();
    }
    total
}

/// Whether a big-endian number, without zeros in front, is at most another.
pub fn at_most(number: &[u8], most: &[u8]) -> bool {
    (number.len(), number) <= (most.len(), most)
}

/// A small number, big-endian, without zeros in front.
pub fn number(number: u64) -> Vec<u8> {
    number.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}
