//! TIP keys and actions against the test kit's vectors, and the actions that
//! share a body.
#![cfg(feature = "ed25519")]

mod common;

use common::{hex, text, unhex, vector, vectors};
use mixin_pin_core::tip::{Amount, TipAction, TipInstallation, TipKey, TipSigner, safe_message, verify_safe_signature};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Error, Secret};
use proptest::prelude::*;
use serde_json::Value;

/// Passes an action of the vectors to `use_it`, because the action borrows its parts.
fn with_action<T>(vector: &Value, use_it: impl FnOnce(&TipAction<'_>) -> T) -> T {
    let fields = &vector["fields"];
    let id = |name: &str| -> Uuid { text(fields, name).parse().unwrap() };
    let str = |name: &str| text(fields, name);
    let amount = |name: &str| Amount::new(text(fields, name)).unwrap();
    let receivers: Vec<Uuid> = fields["receivers"]
        .as_array()
        .map(|ids| ids.iter().map(|id| id.as_str().unwrap().parse().unwrap()).collect())
        .unwrap_or_default();
    let public_key = fields["public_key"].as_str().map(|hex| Ed25519PublicKey::from_text(hex).unwrap());
    let action = match text(vector, "action") {
        "Verify" => TipAction::Verify { timestamp: str("timestamp").parse().unwrap() },
        "AddAddress" => TipAction::AddAddress {
            asset_id: id("asset_id"),
            destination: str("destination"),
            tag: str("tag"),
            label: str("label"),
        },
        "RemoveAddress" => TipAction::RemoveAddress { address_id: id("address_id") },
        "DeactivateUser" => TipAction::DeactivateUser { phone_verification_id: id("phone_verification_id") },
        "CreateEmergencyContact" => {
            TipAction::CreateEmergencyContact { verification_id: id("verification_id"), code: str("code") }
        }
        "ReadEmergencyContact" => TipAction::ReadEmergencyContact,
        "RemoveEmergencyContact" => TipAction::RemoveEmergencyContact,
        "UpdatePhoneNumber" => {
            TipAction::UpdatePhoneNumber { verification_id: id("verification_id"), code: str("code") }
        }
        "SignMultisig" => TipAction::SignMultisig { request_id: id("request_id") },
        "UnlockMultisig" => TipAction::UnlockMultisig { request_id: id("request_id") },
        "SignCollectible" => TipAction::SignCollectible { request_id: id("request_id") },
        "UnlockCollectible" => TipAction::UnlockCollectible { request_id: id("request_id") },
        "Transfer" => TipAction::Transfer {
            asset_id: id("asset_id"),
            opponent_id: id("opponent_id"),
            amount: amount("amount"),
            trace_id: id("trace_id"),
            memo: str("memo"),
        },
        "Withdraw" => TipAction::Withdraw {
            address_id: id("address_id"),
            amount: amount("amount"),
            fee: Some(amount("fee")),
            trace_id: id("trace_id"),
            memo: str("memo"),
        },
        "Transaction" => TipAction::Transaction {
            asset_id: id("asset_id"),
            opponent_key: str("opponent_key"),
            receivers: &receivers,
            threshold: fields["threshold"].as_u64().map(|threshold| threshold.try_into().unwrap()),
            amount: amount("amount"),
            trace_id: id("trace_id"),
            memo: str("memo"),
        },
        "ApproveOAuth" => TipAction::ApproveOAuth { authorization_id: id("authorization_id") },
        "UpdateProvisioning" => TipAction::UpdateProvisioning { device_id: id("device_id"), secret: str("secret") },
        "TransferAppOwnership" => TipAction::TransferAppOwnership { user_id: id("user_id") },
        "RegisterSafe" => TipAction::RegisterSafe { user_id: id("user_id"), public_key: public_key.as_ref().unwrap() },
        "DeactivateWithoutPhone" => TipAction::DeactivateWithoutPhone { user_id: id("user_id") },
        "LogOutSession" => TipAction::LogOutSession { session_id: id("session_id") },
        "ExportSalt" => TipAction::ExportSalt { user_id: id("user_id") },
        other => panic!("no such action: {other}"),
    };
    use_it(&action)
}

#[test]
fn bodies_and_signatures_of_all_actions_match_the_vectors() {
    let actions = vectors("tip-actions.json");
    assert_eq!(actions.len(), 22);
    for vector in &actions {
        let name = text(vector, "action");
        let key = TipKey::from_text(text(vector, "seed")).unwrap();
        assert_eq!(hex(key.public_key().as_bytes()), text(vector, "public_key"));
        let signature = with_action(vector, |action| {
            assert_eq!(action.prefix(), text(vector, "prefix"), "prefix of {name}");
            assert_eq!(hex(action.body().as_bytes()), text(vector, "body"), "body of {name}");
            let names: Vec<_> = action.parameters().map(|(name, _)| name).collect();
            let order: Vec<_> = vector["order"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            assert_eq!(names, order, "parameters of {name}");
            key.sign(action)
        });
        assert_eq!(hex(&signature), text(vector, "signature"), "signature of {name}");
        for other in &actions {
            let is_valid = with_action(other, |action| action.verify(&signature, key.public_key()).is_ok());
            assert_eq!(is_valid, other == vector, "{name} signed, {} checked", text(other, "action"));
        }
    }
}

#[test]
fn installations_and_raw_scalars_match_the_vectors() {
    let key = TipKey::from_text(text(&vector("tip-keys.json", "made-safe"), "seed")).unwrap();
    let installation = vector("tip-keys.json", "made-installation");
    assert_eq!(hex(key.public_key().as_bytes()), text(&installation, "public_key"));
    let expected = text(&installation, "secret");
    let secret = key.installation(installation["counter"].as_u64().unwrap());
    assert_eq!(hex(secret.expose()), expected);
    let read = TipInstallation::from_bytes(&unhex(expected).try_into().unwrap()).unwrap();
    assert_eq!((&read.public_key, read.counter), (key.public_key(), 258));

    let vector = vector("tip-keys.json", "made-scalar");
    let scalar: [u8; 32] = unhex(text(&vector, "scalar")).try_into().unwrap();
    let expected = Ed25519PublicKey::from_text(text(&vector, "public_key")).unwrap();
    assert_eq!(TipKey::from_scalar(&scalar).unwrap().public_key(), &expected);
    let key = TipKey::matching(text(&vector, "scalar"), &expected).unwrap();
    assert_eq!(key.public_key(), &expected);
}

#[test]
fn malformed_keys_are_refused() {
    for text in ["", "00", "no key"].map(str::to_owned).into_iter().chain([31, 33, 65].map(|len| "00".repeat(len))) {
        assert_eq!(TipKey::from_text(&text).unwrap_err(), Error::Ed25519Key, "{text:?}");
    }
    // 64 bytes whose halves are not a pair of keys.
    assert_eq!(TipKey::from_text(&"01".repeat(64)).unwrap_err(), Error::Ed25519KeyMismatch);
}

#[test]
fn debug_shows_no_seed() {
    let vector = vector("tip-keys.json", "made-safe");
    let key = TipKey::from_text(text(&vector, "seed")).unwrap();
    let seed = unhex(text(&vector, "seed"));
    let debug = format!("{key:?} {:?}", key.secret(&TipAction::ReadEmergencyContact));
    assert!(!debug.contains(text(&vector, "seed")) && !debug.contains(&format!("{seed:?}")), "{debug}");
}

#[test]
fn the_documented_collisions_exist() {
    let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let amount = |text| Amount::new(text).unwrap();
    let address = |destination, tag, label| TipAction::AddAddress { asset_id: id, destination, tag, label }.body();
    assert_eq!(address("ab", "c", ""), address("a", "b", "c"));
    let withdraw = |a, fee| {
        TipAction::Withdraw { address_id: id, amount: amount(a), fee: Some(amount(fee)), trace_id: id, memo: "" }.body()
    };
    assert_eq!(withdraw("1", "23"), withdraw("12", "3"));
    let free = |a| TipAction::Withdraw { address_id: id, amount: amount(a), fee: None, trace_id: id, memo: "" }.body();
    assert_eq!(free("10"), withdraw("1", "0"));
    let pay = |opponent_key: &str, receivers: &[Uuid], threshold: Option<u32>, a| {
        let (amount, memo) = (amount(a), "");
        TipAction::Transaction { asset_id: id, opponent_key, receivers, threshold, amount, trace_id: id, memo }.body()
    };
    assert_eq!(pay("", &[id], Some(1), "23"), pay("", &[id], Some(12), "3"));
    let both = [id, other];
    assert_eq!(pay(&id.to_string(), &both[1..], Some(1), "5"), pay("", &both, Some(1), "5"));
    assert_eq!(pay("XIN", &[], None, "12"), pay("XIN1", &[], None, "2"));
}

/// The parameters of actions whose texts stand between ids. Characters cannot shift from one text to the next.
#[derive(Debug, Clone, PartialEq)]
enum Fixed {
    Transfer(u128, u128, String, u128, String),
    Emergency(u128, String),
    Phone(u128, String),
    Provisioning(u128, String),
    Remove(u128),
    Approve(u128),
}

impl Fixed {
    fn body(&self) -> mixin_pin_core::tip::TipBody {
        let id = Uuid::from_u128;
        match self {
            Self::Transfer(asset, opponent, amount, trace, memo) => TipAction::Transfer {
                asset_id: id(*asset),
                opponent_id: id(*opponent),
                amount: Amount::new(amount).unwrap(),
                trace_id: id(*trace),
                memo,
            }
            .body(),
            Self::Emergency(a, code) => TipAction::CreateEmergencyContact { verification_id: id(*a), code }.body(),
            Self::Phone(a, code) => TipAction::UpdatePhoneNumber { verification_id: id(*a), code }.body(),
            Self::Provisioning(a, secret) => TipAction::UpdateProvisioning { device_id: id(*a), secret }.body(),
            Self::Remove(a) => TipAction::RemoveAddress { address_id: id(*a) }.body(),
            Self::Approve(a) => TipAction::ApproveOAuth { authorization_id: id(*a) }.body(),
        }
    }
}

fn fixed() -> impl Strategy<Value = Fixed> {
    // Few values, so pairs often differ only by such a shift.
    let id = || prop_oneof![Just(0), Just(0x1111_1111_1111_1111_1111_1111_1111_1111_u128), 0..4_u128];
    let code = || "[0-1-]{0,3}";
    prop_oneof![
        (id(), id(), "[1-2]{1,3}", id(), code()).prop_map(|(a, b, c, d, e)| Fixed::Transfer(a, b, c, d, e)),
        (id(), code()).prop_map(|(a, b)| Fixed::Emergency(a, b)),
        (id(), code()).prop_map(|(a, b)| Fixed::Phone(a, b)),
        (id(), code()).prop_map(|(a, b)| Fixed::Provisioning(a, b)),
        id().prop_map(Fixed::Remove),
        id().prop_map(Fixed::Approve),
    ]
}

#[test]
fn the_signature_for_the_safe_matches_the_vector() {
    let vector = vector("tip-keys.json", "made-safe");
    let key = TipKey::from_text(text(&vector, "seed")).unwrap();
    let user_id: Uuid = text(&vector, "user_id").parse().unwrap();
    let signature = key.sign_for_safe(user_id);
    assert_eq!(hex(&signature), text(&vector, "signature"));
    assert_eq!(verify_safe_signature(user_id, &signature, key.public_key()), Ok(()));
    assert_eq!(verify_safe_signature(Uuid::nil(), &signature, key.public_key()), Err(Error::Signature));
    assert_eq!(TipSigner::sign(&key, &safe_message(user_id)).unwrap(), signature);
}

proptest! {
    #[test]
    fn different_actions_have_different_bodies(one in fixed(), two in fixed()) {
        prop_assert_eq!(one.body() == two.body(), one == two);
    }

    #[test]
    fn a_signature_is_valid_for_its_action_only(seed: [u8; 32], one: u64, two: u64, flip in 0..512_usize) {
        let key = TipKey::from_seed(&seed);
        let action = TipAction::Verify { timestamp: one };
        let mut signature = key.sign(&action);
        prop_assert!(action.verify(&signature, key.public_key()).is_ok());
        let other = TipAction::Verify { timestamp: two };
        prop_assert_eq!(other.verify(&signature, key.public_key()).is_ok(), one == two);
        signature[flip / 8] ^= 1 << (flip % 8);
        prop_assert!(action.verify(&signature, key.public_key()).is_err());
    }

    #[test]
    fn a_tip_key_signs_the_same_through_the_trait(seed: [u8; 32], timestamp: u64) {
        fn by_value(signer: impl TipSigner, message: &[u8]) -> [u8; 64] {
            signer.sign(message).unwrap()
        }

        let key = TipKey::from_seed(&seed);
        let action = TipAction::Verify { timestamp };
        let signer: &dyn TipSigner = &key;
        prop_assert_eq!(signer.public_key(), key.public_key());
        prop_assert_eq!((&signer).public_key(), key.public_key());
        prop_assert_eq!(by_value(signer, action.body().as_bytes()), key.sign(&action));
    }

    #[test]
    fn an_amount_is_canonical_or_refused(text in "[0-9.]{0,8}") {
        if let Ok(amount) = Amount::new(&text) {
            let canonical = amount.to_string();
            prop_assert_eq!(Amount::new(&canonical), Ok(amount));
            prop_assert_eq!(canonical.parse::<f64>().unwrap().to_bits(), text.parse::<f64>().unwrap().to_bits());
        }
    }

    #[test]
    fn a_scalar_is_read_back(scalar: [u8; 32]) {
        let Ok(key) = TipKey::from_scalar(&scalar) else { return Ok(()) };
        let action = TipAction::ReadEmergencyContact;
        prop_assert!(action.verify(&key.sign(&action), key.public_key()).is_ok());
        let same = TipKey::matching(&common::hex(&scalar), key.public_key()).unwrap();
        prop_assert_eq!(same.sign(&action), key.sign(&action));
        let secret = key.secret(&action);
        prop_assert!(matches!(secret, Secret::TipSignature(_)));
    }
}
