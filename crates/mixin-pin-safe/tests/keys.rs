//! Addresses and ghost keys, by the public vectors.

mod common;

use common::{decode_hex, hex, text, vectors};
use curve25519_dalek::{EdwardsPoint, Scalar};
use mixin_pin_safe::mixin_pin_core::uuid::Uuid;
use mixin_pin_safe::{AddressError, MaskSecret, Members, MixAddress, ScalarError, View, XinAddress};
use proptest::prelude::*;
use serde_json::Value;

/// The kernel's private key from a seed of 64 bytes.
fn scalar_of_seed(seed: &Value) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&decode_hex(seed).try_into().unwrap())
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn receivers(value: &Value) -> Vec<XinAddress> {
    array(value).iter().map(|receiver| text(receiver).parse().unwrap()).collect()
}

fn ghost_keys(secret: &MaskSecret, receivers: &[XinAddress], output: u16) -> Vec<String> {
    receivers.iter().map(|receiver| hex(&secret.ghost_key(receiver, output))).collect()
}

fn index(value: &Value) -> u16 {
    value.as_u64().unwrap().try_into().unwrap()
}

#[test]
fn xin_addresses_come_out() {
    let mut refused = 0;
    for vector in array(&vectors()["xin_addresses"]) {
        let address = text(&vector["address"]);
        let parsed = address.parse::<XinAddress>();
        if vector["must_refuse"] == true {
            assert_eq!(parsed, Err(AddressError::Checksum));
            refused += 1;
            continue;
        }
        let parsed = parsed.unwrap();
        assert_eq!(parsed.to_string(), address);
        if let Some(spend) = vector["public_spend"].as_str() {
            assert_eq!(hex(parsed.spend()), spend);
        }
        if let Some(view) = vector["public_view"].as_str() {
            assert_eq!(hex(parsed.view()), view);
        }
        assert_eq!(XinAddress::new(parsed.spend(), parsed.view()), Ok(parsed));
    }
    assert_eq!(refused, 1);
}

#[test]
fn mix_addresses_come_out() {
    let mut refused = 0;
    for vector in array(&vectors()["mix_addresses"]) {
        let address = text(&vector["mix"]);
        let parsed = address.parse::<MixAddress>();
        if text(&vector["members_in_order"][0])
            == "XIN8b7CsqwqaBP7576hvWzo7uDgbU9TB5KGU4jdgYpQTi2qrQGpBtrW49ENQiLGNrYU45e2wwKRD7dEUPtuaJYps2jbR4dH"
        {
            assert_eq!(parsed, Err(AddressError::Key { member: 0 }), "the identity point");
            refused += 1;
            continue;
        }
        let parsed = parsed.unwrap();
        assert_eq!(parsed.to_string(), address);
        assert_eq!(u64::from(parsed.threshold()), vector["threshold"].as_u64().unwrap());
        let threshold = parsed.threshold();
        let members = parsed.members();
        let expected = array(&vector["members_in_order"]).iter().map(text);
        assert_eq!(members.len(), expected.len());
        if vector["kind"] == "uuid" {
            assert!(members.users().map(|user| user.to_string()).eq(expected));
            assert_eq!(MixAddress::new_users(threshold, &members.users().collect::<Vec<_>>()), Ok(parsed.clone()));
        } else {
            assert!(members.addresses().map(|member| member.to_string()).eq(expected));
            assert_eq!(MixAddress::new_keys(threshold, &members.addresses().collect::<Vec<_>>()), Ok(parsed.clone()));
        }
    }
    assert_eq!(refused, 1);
}

#[test]
fn storage_is_sixty_four_signatures_of_one_key() {
    let storage = MixAddress::storage();
    let member: XinAddress =
        "XINSwYaJPnKiwBWqXm4i3e3My9GKguReMRyB1sRSexeHcQ7V66RWsicAiR2dokcQ5kiJsfY5QbEjTcqRQRCxkEyENBaz4AeB"
            .parse()
            .unwrap();
    assert_eq!(MixAddress::new_keys(64, &[member]), Ok(storage.clone()));
    assert_eq!(storage.to_string().parse(), Ok(storage.clone()));
    assert!(storage.is_storage());
    assert!(!MixAddress::new_keys(63, &[member]).unwrap().is_storage());
}

#[test]
fn ghost_keys_come_out_from_the_secret_of_the_mask() {
    let vectors = vectors();
    let mut checked = 0;
    for vector in array(&vectors["ghost_keys"]) {
        // Without the seed it shows the receiver's side.
        if vector["mask_seed_64"].is_null() {
            continue;
        }
        let scalar = scalar_of_seed(&vector["mask_seed_64"]);
        let secret = MaskSecret::from_bytes(scalar.as_bytes()).unwrap();
        assert_eq!(secret.as_bytes(), scalar.as_bytes());
        assert_eq!(hex(&secret.mask()), text(&vector["mask"]));
        let receivers = match vector.get("receivers") {
            Some(list) => receivers(list),
            None => receivers(&vector["derived"]["receivers"]),
        };
        let expected: Vec<_> = array(&vector["keys"]).iter().map(text).collect();
        assert_eq!(ghost_keys(&secret, &receivers, index(&vector["output_index"])), expected);
        checked += expected.len();
    }
    assert_eq!(checked, 17);
}

#[test]
fn a_receiver_finds_the_key_of_a_mask() {
    let vectors = vectors();
    let vector = array(&vectors["ghost_keys"]).iter().find(|vector| vector["mask_seed_64"].is_null()).unwrap();
    // The shared point is a·R here and r·A there, so the roles are swapped: the view key makes the mask.
    let view = MaskSecret::from_bytes(&decode_hex(&vector["derived"]["private_view_a"]).try_into().unwrap()).unwrap();
    let (spend, mask) = (decode_hex(&vector["public_spend_B"]), decode_hex(&vector["mask"]));
    let receiver = XinAddress::new(&spend.try_into().unwrap(), &mask.try_into().unwrap()).unwrap();
    let expected: Vec<_> = array(&vector["keys"]).iter().map(text).collect();
    assert_eq!(ghost_keys(&view, &[receiver], index(&vector["output_index"])), expected);
}

#[test]
fn the_trace_id_and_the_spend_key_give_the_secret_of_the_mask() {
    let vectors = vectors();
    let mut outputs = 0;
    for vector in array(&vectors["ghost_keys_from_trace_id"]) {
        let trace: Uuid = text(&vector["trace_id"]).parse().unwrap();
        let spend_key = decode_hex(&vector["spend_key_bytes"]);
        for output in array(&vector["outputs"]) {
            let index = index(&output["index"]);
            let secret = MaskSecret::from_trace(trace, index, &spend_key);
            assert_eq!(hex(&secret.mask()), text(&output["mask"]));
            let expected: Vec<_> = array(&output["keys"]).iter().map(text).collect();
            assert_eq!(ghost_keys(&secret, &receivers(&output["receivers"]), index), expected);
            outputs += 1;
        }
    }
    assert_eq!(outputs, 2);
}

#[test]
fn the_index_in_a_trace_has_no_leading_zeros() {
    let trace = Uuid::from_u128(7);
    let masks = [0, 1, 255, 256].map(|index| MaskSecret::from_trace(trace, index, &[1; 32]).mask());
    for (at, mask) in masks.iter().enumerate() {
        assert!(!masks[..at].contains(mask));
    }
    // 256 is the bytes 01 00, by the definition.
    let th = blake3::hash(trace.to_string().as_bytes());
    let sh = blake3::hash(&[th.as_bytes(), &[1, 0][..]].concat());
    let key = blake3::hash(&[sh.as_bytes(), &[1; 32][..]].concat());
    let wide = [*th.as_bytes(), *key.as_bytes()].concat().try_into().unwrap();
    assert_eq!(masks[3], EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order_wide(&wide)).compress().0);
}

#[test]
fn numbers_that_are_no_secrets_are_refused() {
    let order = (-Scalar::ONE).to_bytes();
    let mut not_reduced = order;
    not_reduced[0] += 1;
    for (bytes, expected) in
        [([0; 32], ScalarError::Zero), (not_reduced, ScalarError::Range), ([0xff; 32], ScalarError::Range)]
    {
        assert_eq!(View::from_bytes(&bytes).unwrap_err(), expected);
        assert_eq!(MaskSecret::from_bytes(&bytes).unwrap_err(), expected);
        assert_eq!(View::from_hex(&hex(&bytes)).unwrap_err(), expected);
    }
    assert!(View::from_bytes(&order).is_ok());
    assert!(View::from_hex(&hex(&order).to_uppercase()).is_ok());
    for other in
        ["", "00", &"0".repeat(62), &"0".repeat(66), &"g".repeat(64), &format!("0x{}", "1".repeat(62)), &" ".repeat(64)]
    {
        assert_eq!(View::from_hex(other).unwrap_err(), ScalarError::Hex, "{other}");
        assert_eq!(MaskSecret::from_hex(other).unwrap_err(), ScalarError::Hex, "{other}");
    }
}

fn xin(seed: u8) -> XinAddress {
    let [spend, view] =
        [seed, 255 - seed].map(|number| EdwardsPoint::mul_base(&Scalar::from(u16::from(number) + 1)).compress().0);
    XinAddress::new(&spend, &view).unwrap()
}

#[test]
fn groups_without_owners_are_refused() {
    let users: Vec<_> = (0..65).map(Uuid::from_u128).collect();
    assert_eq!(MixAddress::new_users(1, &[]).unwrap_err(), AddressError::Members);
    assert_eq!(MixAddress::new_users(1, &users).unwrap_err(), AddressError::Members);
    assert_eq!(MixAddress::new_users(0, &users[..2]).unwrap_err(), AddressError::Threshold);
    assert_eq!(MixAddress::new_users(3, &users[..2]).unwrap_err(), AddressError::Threshold);
    assert_eq!(MixAddress::new_keys(1, &[]).unwrap_err(), AddressError::Members);
    assert_eq!(MixAddress::new_keys(65, &[xin(1)]).unwrap_err(), AddressError::Threshold);
    assert!(MixAddress::new_users(64, &users[..64]).is_ok());
}

#[test]
fn the_same_group_in_another_order_pays_the_same() {
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let group = |threshold, users: &[Uuid]| MixAddress::new_users(threshold, users).unwrap();
    let (first, second) = (group(1, &[one, two]), group(1, &[two, one]));
    assert!(!group(1, &[one, two, one]).pays_same(&group(1, &[one, two, two])));
    assert_ne!(first, second);
    assert!(first.pays_same(&second));
    for other in [group(2, &[one, two]), group(1, &[one]), group(1, &[one, Uuid::from_u128(3)])] {
        assert!(!first.pays_same(&other) && !other.pays_same(&first));
    }
    assert!(!first.pays_same(&MixAddress::new_keys(1, &[xin(1), xin(2)]).unwrap()));
}

#[derive(serde::Deserialize)]
struct RefusedAddress {
    name: String,
    address: String,
    error: String,
    why: String,
}

#[test]
fn what_is_no_address_is_refused_by_name() {
    let cases: Vec<RefusedAddress> = serde_json::from_str(include_str!("../testdata/refusals-address.json")).unwrap();
    assert!(cases.len() >= 20);
    for error in ["Prefix", "Base58", "Length", "Checksum", "Version", "Threshold", "Members", "Key { member: 63 }"] {
        assert!(cases.iter().any(|case| case.error == error), "{error} has no case");
    }
    for RefusedAddress { name, address, error, why } in cases {
        let refused = if address.starts_with("XIN") {
            address.parse::<XinAddress>().map(drop)
        } else {
            address.parse::<MixAddress>().map(drop)
        };
        assert_eq!(format!("{:?}", refused.unwrap_err()), error, "{name}: {why}");
    }
}

#[test]
fn a_text_of_another_kind_is_refused() {
    let group = "MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc";
    assert_eq!(group.parse::<XinAddress>().unwrap_err(), AddressError::Prefix);
    assert_eq!(xin(1).to_string().parse::<MixAddress>().unwrap_err(), AddressError::Prefix);
}

#[test]
fn an_address_with_another_letter_or_cut_is_refused() {
    let is_read = |text: &str| text.parse::<XinAddress>().is_ok() || text.parse::<MixAddress>().is_ok();
    for address in ["MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc", &xin(1).to_string()] {
        assert!(is_read(address));
        for (at, here) in address.char_indices() {
            assert!(!is_read(&address[..at]));
            for other in ('\0'..='\x7f').filter(|other| *other != here) {
                let changed = format!("{}{other}{}", &address[..at], &address[at + 1..]);
                assert!(!is_read(&changed), "{changed:?}");
            }
        }
    }
}

#[test]
fn the_longest_address_comes_back() {
    let members: Vec<_> = (0..64).map(xin).collect();
    let address = MixAddress::new_keys(64, &members).unwrap();
    let read: MixAddress = address.to_string().parse().unwrap();
    assert!(read.members().addresses().eq(members.iter().copied()));
    assert_eq!(read, address);
    assert_eq!(MixAddress::new_keys(64, &[&members[..], &members[..1]].concat()).unwrap_err(), AddressError::Members);
}

proptest! {
    #[test]
    fn addresses_that_are_built_come_back(
        users in proptest::collection::hash_set(any::<u128>(), 1..=64),
        keys in proptest::collection::hash_set(any::<u8>(), 1..=4),
        threshold in any::<proptest::sample::Index>(),
    ) {
        let users: Vec<_> = users.into_iter().map(Uuid::from_u128).collect();
        let threshold = u8::try_from(1 + threshold.index(users.len())).unwrap();
        let address = MixAddress::new_users(threshold, &users).unwrap();
        prop_assert_eq!(address.to_string().parse(), Ok(address.clone()));
        prop_assert!(matches!(address.members(), Members::Users(_)));
        let keys: Vec<_> = keys.into_iter().map(xin).collect();
        let address = MixAddress::new_keys(threshold, &keys).unwrap();
        prop_assert!(address.members().addresses().eq(keys));
        prop_assert_eq!(address.to_string().parse(), Ok(address));
    }

    #[test]
    fn a_text_has_one_address_at_most(text in "(MIX|XIN)[1-9A-HJ-NP-Za-km-z]{0,120}") {
        if let Ok(address) = text.parse::<MixAddress>() {
            prop_assert_eq!(address.to_string(), text);
        } else if let Ok(address) = text.parse::<XinAddress>() {
            prop_assert_eq!(address.to_string(), text);
        }
    }
}
