//! The address of a group.

use core::fmt;
use core::str::FromStr;

use mixin_pin_core::uuid::{self, Uuid};

use super::{AddressError, XinAddress, text};

const PREFIX: &str = "MIX";
const VERSION: u8 = 2;
/// Version, threshold and number of members.
const HEAD: usize = 3;
const MOST_MEMBERS: usize = 64;
const MOST_LEN: usize = HEAD + MOST_MEMBERS * XinAddress::LEN;
/// The member of the storage address.
const STORAGE: [u8; XinAddress::LEN] = [
    0xc6, 0x47, 0x31, 0x59, 0xe1, 0x9e, 0xd1, 0x85, 0xb3, 0x73, 0xe9, 0x35, 0x08, 0x17, 0x74, 0xe0, 0xc1, 0x33, 0xb9,
    0x41, 0x6a, 0xbd, 0xff, 0x31, 0x96, 0x67, 0x18, 0x7a, 0x71, 0xdf, 0xf5, 0x3e, 0x47, 0x89, 0x86, 0xc1, 0x6a, 0xc9,
    0x3d, 0x93, 0x7c, 0xb2, 0xbe, 0xc2, 0x26, 0x9b, 0x73, 0x90, 0x1a, 0x28, 0x82, 0xcb, 0x3f, 0x42, 0xaa, 0xa9, 0x2c,
    0xc5, 0x8b, 0x1a, 0x91, 0x2f, 0x24, 0xe4,
];

/// The address of a group of users, or of owners of keys. Its threshold says how many of them must sign.
///
/// The order of the members is part of the address. It needs about 4 KiB, and no heap.
///
/// Reading is stricter than in other clients: users are at least as many as the threshold, and keys are points of prime
/// order. Money paid to another address could be lost. Members may repeat, but the kernel refuses outputs whose keys
/// repeat.
///
/// ```
/// use mixin_pin_safe::{AddressError, Members, MixAddress, mixin_pin_core::uuid::uuid};
///
/// let address: MixAddress = "MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc".parse()?;
/// assert_eq!(address.threshold(), 1);
/// let Members::Users(users) = address.members() else { panic!("keys") };
/// assert_eq!(users, [*uuid!("67a87828-18f5-46a1-b6cc-c72a97a77c43").as_bytes()]);
/// # Ok::<(), AddressError>(())
/// ```
#[derive(Clone)]
pub struct MixAddress {
    content: [u8; MOST_LEN],
    len: usize,
}

/// The members of a group.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members<'a> {
    /// Users, by the bytes of their UUIDs. Only Mixin's server can make ghost keys for them.
    Users(&'a [uuid::Bytes]),
    /// Owners of keys: the public spend key and the public view key of each. Only a [`MixAddress`] makes this variant,
    /// because it checks the keys.
    #[non_exhaustive]
    Keys(&'a [[u8; 64]]),
}

impl<'a> Members<'a> {
    /// The number of members.
    pub const fn len(&self) -> usize {
        match self {
            Self::Users(users) => users.len(),
            Self::Keys(keys) => keys.len(),
        }
    }

    /// Whether there are none, which no address has.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The users. None if the members are owners of keys.
    pub fn users(&self) -> impl ExactSizeIterator<Item = Uuid> + Clone + use<'a> {
        let users = match *self {
            Self::Users(users) => users,
            Self::Keys(_) => &[],
        };
        users.iter().map(|bytes| Uuid::from_bytes(*bytes))
    }

    /// The addresses of the owners of keys. None if the members are users.
    pub fn addresses(&self) -> impl ExactSizeIterator<Item = XinAddress> + Clone + use<'a> {
        let keys = match *self {
            Self::Keys(keys) => keys,
            Self::Users(_) => &[],
        };
        keys.iter().map(|keys| XinAddress::from_checked(*keys))
    }
}

impl MixAddress {
    /// A group of users.
    ///
    /// # Errors
    /// [`AddressError`] for a threshold of 0 or above the number of users, no users, or more than 64.
    pub fn new_users(threshold: u8, users: &[Uuid]) -> Result<Self, AddressError> {
        Self::build(threshold, users.iter().map(Uuid::as_bytes))
    }

    /// A group of owners of keys. If the threshold is greater than their number, nobody can spend what is paid to them.
    ///
    /// # Errors
    /// [`AddressError`] for a threshold of 0 or above 64, no members, or more than 64.
    pub fn new_keys(threshold: u8, members: &[XinAddress]) -> Result<Self, AddressError> {
        Self::build(threshold, members.iter().map(XinAddress::as_bytes))
    }

    fn build<'m, const N: usize>(
        threshold: u8,
        members: impl ExactSizeIterator<Item = &'m [u8; N]>,
    ) -> Result<Self, AddressError> {
        let count = u8::try_from(members.len()).map_err(|_| AddressError::Members)?;
        if usize::from(count) > MOST_MEMBERS {
            return Err(AddressError::Members);
        }
        let mut address = Self { content: [0; MOST_LEN], len: HEAD + N * members.len() };
        address.content[..HEAD].copy_from_slice(&[VERSION, threshold, count]);
        for (place, member) in address.content[HEAD..].chunks_exact_mut(N).zip(members) {
            place.copy_from_slice(member);
        }
        address.checked()
    }

    /// The address to which storage is paid: 64 signatures of one key, so that nobody can spend it.
    ///
    /// A transaction that pays it 0.0001 XIN may have 1,024 extra bytes, and so on up to 4 MiB.
    pub fn storage() -> Self {
        let mut address = Self { content: [0; MOST_LEN], len: HEAD + XinAddress::LEN };
        address.content[..HEAD].copy_from_slice(&[VERSION, 64, 1]);
        address.content[HEAD..address.len].copy_from_slice(&STORAGE);
        address
    }

    /// Whether it is [`MixAddress::storage`].
    pub fn is_storage(&self) -> bool {
        *self == Self::storage()
    }

    /// How many members must sign to spend what is paid to the group.
    pub const fn threshold(&self) -> u8 {
        self.content[1]
    }

    /// The members, in their order.
    pub fn members(&self) -> Members<'_> {
        let members = &self.content[HEAD..self.len];
        if members.len() == usize::from(self.content[2]) * XinAddress::LEN {
            Members::Keys(members.as_chunks().0)
        } else {
            Members::Users(members.as_chunks().0)
        }
    }

    /// Whether it pays the same members with the same threshold, in any order.
    pub fn pays_same(&self, other: &Self) -> bool {
        fn same<T: PartialEq>(ours: &[T], others: &[T]) -> bool {
            let count = |members: &[T], member| members.iter().filter(|other| *other == member).count();
            ours.len() == others.len() && ours.iter().all(|member| count(ours, member) == count(others, member))
        }
        self.threshold() == other.threshold()
            && match (self.members(), other.members()) {
                (Members::Users(ours), Members::Users(others)) => same(ours, others),
                (Members::Keys(ours), Members::Keys(others)) => same(ours, others),
                _ => false,
            }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.content[..self.len]
    }

    /// Reads the content.
    fn from_bytes(bytes: &[u8]) -> Result<Self, AddressError> {
        let mut address = Self { content: [0; MOST_LEN], len: bytes.len() };
        address.content.get_mut(..bytes.len()).ok_or(AddressError::Length)?.copy_from_slice(bytes);
        let &[version, _, count, ..] = bytes else { return Err(AddressError::Length) };
        if version != VERSION {
            return Err(AddressError::Version);
        }
        if !(1..=MOST_MEMBERS).contains(&usize::from(count)) {
            return Err(AddressError::Members);
        }
        let members = bytes.len() - HEAD;
        if ![size_of::<uuid::Bytes>(), XinAddress::LEN].iter().any(|len| members == usize::from(count) * len) {
            return Err(AddressError::Members);
        }
        address.checked()
    }

    /// Checks threshold and members of content whose lengths fit.
    fn checked(self) -> Result<Self, AddressError> {
        if self.members().is_empty() {
            return Err(AddressError::Members);
        }
        if self.threshold() == 0 {
            return Err(AddressError::Threshold);
        }
        match self.members() {
            Members::Users(users) => {
                if usize::from(self.threshold()) > users.len() {
                    return Err(AddressError::Threshold);
                }
            }
            Members::Keys(keys) => {
                if usize::from(self.threshold()) > MOST_MEMBERS {
                    return Err(AddressError::Threshold);
                }
                (0..).zip(keys).try_for_each(|(member, keys)| XinAddress::from_keys(keys, member).map(drop))?;
            }
        }
        Ok(self)
    }
}

impl PartialEq for MixAddress {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for MixAddress {}

impl FromStr for MixAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut buffer = [0; text::with_checksum(MOST_LEN)];
        Self::from_bytes(text::read(text, PREFIX, &mut buffer)?)
    }
}

impl fmt::Display for MixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; text::with_checksum(MOST_LEN)];
        buffer[..self.len].copy_from_slice(self.as_bytes());
        text::write(f, PREFIX, &mut buffer, self.len, &mut [0; text::text_len(MOST_LEN)])
    }
}

impl fmt::Debug for MixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MixAddress({self})")
    }
}
