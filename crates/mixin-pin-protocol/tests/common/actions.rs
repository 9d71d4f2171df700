//! Random actions.

use mixin_pin_protocol::action::{Action, EncryptedSalt, MasterProof, Opponent};
use mixin_pin_protocol::core::tip::{AmountBuf, TipKey};
use mixin_pin_protocol::core::uuid::Uuid;
use proptest::prelude::*;

/// How many kinds of actions there are.
pub(crate) const KINDS: usize = 22;

fn id() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,24}", "\\PC{0,12}", Just(String::new())]
}

fn amount() -> impl Strategy<Value = AmountBuf> {
    "(0|[1-9][0-9]{0,12})(\\.[0-9]{1,8})?".prop_map(|text| text.parse().unwrap())
}

fn key() -> impl Strategy<Value = TipKey> {
    any::<[u8; 32]>().prop_map(|seed| TipKey::from_seed(&seed))
}

fn salt() -> impl Strategy<Value = Option<EncryptedSalt>> {
    prop::option::of("([A-Za-z0-9_-]{4}){1,20}".prop_map(|text| EncryptedSalt::new(text).unwrap()))
}

fn master() -> impl Strategy<Value = MasterProof> {
    (id(), key()).prop_map(|(user_id, key)| MasterProof::sign(user_id, &key).unwrap())
}

/// A strategy for each kind of action.
pub(crate) fn kinds() -> [BoxedStrategy<Action>; KINDS] {
    let payment = || (id(), amount(), id(), text());
    let transaction = |opponent: BoxedStrategy<Opponent>| {
        (payment(), opponent).prop_map(|((asset_id, amount, trace_id, memo), opponent)| Action::Transaction {
            asset_id,
            opponent,
            amount,
            trace_id,
            memo,
        })
    };
    let users = (prop::collection::vec(id(), 0..4), any::<u32>());
    let users = users.prop_map(|(receivers, threshold)| Opponent::Users { receivers, threshold });
    [
        any::<u64>().prop_map(|timestamp| Action::Verify { timestamp }).boxed(),
        (id(), prop::option::of(id()), text(), text(), text())
            .prop_map(|(asset_id, chain_id, destination, tag, label)| Action::AddAddress {
                asset_id,
                chain_id,
                destination,
                tag,
                label,
            })
            .boxed(),
        id().prop_map(|address_id| Action::RemoveAddress { address_id }).boxed(),
        prop::option::of(id()).prop_map(|verification_id| Action::DeactivateUser { verification_id }).boxed(),
        (id(), text())
            .prop_map(|(verification_id, code)| Action::CreateEmergencyContact { verification_id, code })
            .boxed(),
        Just(Action::ReadEmergencyContact).boxed(),
        Just(Action::RemoveEmergencyContact).boxed(),
        (id(), text(), salt())
            .prop_map(|(verification_id, code, salt)| Action::UpdatePhoneNumber { verification_id, code, salt })
            .boxed(),
        id().prop_map(|request_id| Action::SignMultisig { request_id }).boxed(),
        id().prop_map(|request_id| Action::UnlockMultisig { request_id }).boxed(),
        id().prop_map(|request_id| Action::SignCollectible { request_id }).boxed(),
        id().prop_map(|request_id| Action::UnlockCollectible { request_id }).boxed(),
        (payment(), id())
            .prop_map(|((asset_id, amount, trace_id, memo), opponent_id)| Action::Transfer {
                asset_id,
                opponent_id,
                amount,
                trace_id,
                memo,
            })
            .boxed(),
        (payment(), prop::option::of(amount()))
            .prop_map(|((address_id, amount, trace_id, memo), fee)| Action::Withdraw {
                address_id,
                amount,
                fee,
                trace_id,
                memo,
            })
            .boxed(),
        transaction("[A-Za-z0-9]{1,40}".prop_map(Opponent::Key).boxed()).boxed(),
        transaction(users.boxed()).boxed(),
        (id(), prop::collection::vec(text(), 0..4))
            .prop_map(|(authorization_id, scopes)| Action::ApproveOAuth { authorization_id, scopes })
            .boxed(),
        (id(), text()).prop_map(|(device_id, secret)| Action::UpdateProvisioning { device_id, secret }).boxed(),
        id().prop_map(|user_id| Action::TransferAppOwnership { user_id }).boxed(),
        (id(), key(), salt(), prop::option::of(master()))
            .prop_map(|(user_id, key, salt, master)| {
                let (signature, master) = (key.sign_for_safe(user_id), master.map(Box::new));
                Action::RegisterSafe { public_key: key.public_key().clone(), signature, salt, master }
            })
            .boxed(),
        id().prop_map(|session_id| Action::LogOutSession { session_id }).boxed(),
        master().prop_map(|master| Action::ExportSalt { master }).boxed(),
    ]
}
