//! Any text: what is read as an address is written as the same text, and its members make the same address. Any members: the
//! address that they make is written and read again, or they are too few or too many.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_fuzz::planted;
use mixin_pin_safe::{MaskSecret, Members, MixAddress, XinAddress};

/// An owner for each number. The public keys are the masks of two secrets.
fn owner(number: u8) -> XinAddress {
    let [spend, view] = [0, 1].map(|high| {
        let mut secret = [0; 32];
        (secret[0], secret[1], secret[2]) = (number, high, 1);
        MaskSecret::from_bytes(&secret).expect("a scalar").mask()
    });
    XinAddress::new(&spend, &view).expect("points of prime order")
}

/// Reads what is written.
fn again(address: &MixAddress) {
    assert_eq!(address.to_string().parse().as_ref(), Ok(address));
    assert!(address.pays_same(address));
}

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<XinAddress>() {
        assert_eq!(address.to_string(), text);
        assert_eq!(XinAddress::new(address.spend(), address.view()), Ok(address));
    }
    if let Ok(address) = text.parse::<MixAddress>() {
        assert_eq!(address.to_string(), text);
        assert!((1..=64).contains(&address.threshold()) && (1..=64).contains(&address.members().len()));
        let built = match address.members() {
            Members::Users(users) => {
                assert!(usize::from(address.threshold()) <= users.len());
                MixAddress::new_users(address.threshold(), &address.members().users().collect::<Vec<_>>())
            }
            _ => MixAddress::new_keys(address.threshold(), &address.members().addresses().collect::<Vec<_>>()),
        };
        assert_eq!(built.as_ref(), Ok(&address));
        assert!(address.pays_same(&address));
        planted(address.members().len() > 1);
    }

    // The bytes of the text as a threshold and members.
    let Some((&threshold, rest)) = text.as_bytes().split_first() else { return };
    let users: Vec<_> = rest.as_chunks().0.iter().map(|bytes| Uuid::from_bytes(*bytes)).collect();
    let built = MixAddress::new_users(threshold, &users);
    assert_eq!(built.is_ok(), users.len() <= 64 && (1..=users.len()).contains(&usize::from(threshold)));
    if let Ok(address) = built {
        assert!(address.threshold() == threshold && address.members().users().eq(users));
        again(&address);
    }
    // Making owners is slow, so they are few.
    let owners: Vec<_> = rest.iter().take(4).map(|number| owner(*number)).collect();
    let built = MixAddress::new_keys(threshold, &owners);
    assert_eq!(built.is_ok(), !owners.is_empty() && (1..=64).contains(&threshold));
    if let Ok(address) = built {
        assert!(address.threshold() == threshold && address.members().addresses().eq(owners));
        again(&address);
    }
    if let (Some(spend), Some(view)) = (rest.first_chunk(), rest.last_chunk())
        && let Ok(address) = XinAddress::new(spend, view)
    {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
});
