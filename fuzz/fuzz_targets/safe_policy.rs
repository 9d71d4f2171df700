//! Changes an accepted transaction and its evidence in any way: either it is refused, or what leaves
//! is within the policy by the count of the library's test model.
#![no_main]

#[path = "../../crates/mixin-pin-safe/tests/model/mod.rs"]
#[allow(dead_code)]
mod model;

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use curve25519_dalek::{EdwardsPoint, Scalar};
use libfuzzer_sys::fuzz_target;
use mixin_pin_core::UnixTime;
use mixin_pin_fuzz::planted;
use mixin_pin_safe::{
    Amount, AssetId, Claim, Effects, Evidence, ExtraRule, MaskSecret, MixAddress, PointCheck, Policy, Receiver,
    SpentOutput, Transaction, Unproven, Withdrawal, XinAddress,
};
use model::{Moves, Out, Owners, at_most, mask, number, sum};

/// Bytes to replace.
#[derive(Debug, Arbitrary)]
struct Patch<'a> {
    at: u8,
    high: bool,
    remove: u8,
    insert: &'a [u8],
}

#[derive(Debug, Arbitrary)]
struct Handed<'a> {
    patches: Vec<Patch<'a>>,
    /// Whose address is claimed for outputs 1 and 2: 0 is the owner.
    claims: [u8; 2],
    outputs: [u8; 2],
    spent: bool,
}

const TARGET: (&[u8], &[u8]) = (b"73yoz7kK3zgh2ScD9aTJpXCrKHETi1xyEKfMTH95ugff", b"7");
/// What leaves the base: the withdrawal and the receiver.
const MOST: u64 = 3;
const TOTAL: u64 = 7;
/// The mask secrets of the outputs.
const SECRETS: [u64; 2] = [0x5a11, 0x5a12];

struct Base {
    raw: Vec<u8>,
    /// The owner, then the receiver.
    owners: [Owners; 2],
    addresses: [MixAddress; 2],
    secrets: [MaskSecret; 2],
}

static BASE: LazyLock<Base> = LazyLock::new(|| {
    let public = |number: u64| EdwardsPoint::mul_base(&Scalar::from(number)).compress().0;
    let owners = [(1, vec![(public(11), public(12))]), (2, vec![(public(21), public(22)), (public(31), public(32))])];
    let owners = owners.map(|(threshold, members)| Owners { threshold, members });
    let addresses = [0, 1].map(|who: usize| {
        let members: Vec<_> = owners[who].members.iter().map(|(spend, view)| xin(spend, view)).collect();
        MixAddress::new_keys(owners[who].threshold, &members).expect("an address")
    });
    let [own, other] = SECRETS.map(Scalar::from);
    let outputs = vec![
        Out::withdrawal(TARGET.0, TARGET.1, number(1)),
        Out::to(&owners[0], &own, 1, number(4)),
        Out::to(&owners[1], &other, 2, number(2)),
    ];
    let moves = Moves { asset: [5; 32], inputs: vec![([9; 32], 1)], outputs, references: vec![], extra: vec![7] };
    let secrets = [own, other].map(|secret| MaskSecret::from_bytes(&secret.to_bytes()).expect("a scalar"));
    Base { raw: moves.write(), owners, addresses, secrets }
});

/// An address, from its keys.
fn xin(spend: &[u8; 32], view: &[u8; 32]) -> XinAddress {
    XinAddress::new(spend, view).expect("points")
}

/// What leaves by the model.
fn leaves(moves: &Moves) -> Vec<u8> {
    let leaving = moves.outputs.iter().enumerate().filter(|(index, output)| {
        let own = &BASE.owners[0];
        !(output.keys.len() == 1
            && SECRETS
                .iter()
                .map(|secret| Scalar::from(*secret))
                .any(|secret| output.mask == mask(&secret) && output.pays(own, &secret, *index)))
    });
    sum(leaving.map(|(_, output)| &output.amount))
}

fuzz_target!(|handed: Handed<'_>| {
    let base = &*BASE;
    let mut raw = base.raw.clone();
    for patch in &handed.patches {
        let start = (usize::from(patch.at) + 256 * usize::from(patch.high)).min(raw.len());
        let end = (start + usize::from(patch.remove)).min(raw.len());
        raw.splice(start..end, patch.insert.iter().copied());
    }
    let Ok(transaction) = Transaction::decode(&raw) else { return };
    let keys = [base.owners[0].members[0].0];
    let spent = [SpentOutput::stated(AssetId([5; 32]), Amount::from_units(TOTAL.into()), &keys, &[1; 32], 1)];
    let receivers = [0, 1].map(|at: usize| Receiver {
        output: (at as u16 + 1).wrapping_add(handed.outputs[at].into()),
        address: &base.addresses[(at + usize::from(handed.claims[at])) % 2],
        claim: Claim::Recomputed(&base.secrets[at]),
    });
    let evidence = Evidence { spent: if handed.spent { &spent } else { &[] }, receivers: &receivers };
    if let Ok(effects) = Effects::of(&transaction, &evidence) {
        effects.for_each_refusal(PointCheck::Whole, &mut |refusal: mixin_pin_safe::Refusal| {
            assert!(!refusal.to_string().is_empty());
        });
    }
    let [own, other] = &base.addresses;
    let policy = Policy {
        asset: AssetId([5; 32]),
        most: Amount::from_units(MOST.into()),
        own: std::slice::from_ref(own),
        receivers: std::slice::from_ref(other),
        withdrawals: &[Withdrawal { address: TARGET.0, tag: TARGET.1 }],
        most_outputs: 3,
        extra: ExtraRule::AtMost(4),
        references: &[],
        unproven: Unproven::Refuse,
        until: UnixTime::from_secs(0),
    };
    let verdict = policy.check(&transaction, &evidence, UnixTime::from_secs(0));
    let unchanged = raw == base.raw && handed.claims == [0, 0] && handed.outputs == [0, 0];
    assert!(!unchanged || verdict.is_ok(), "the base is accepted: {verdict:?}");
    let Ok(approved) = verdict else { return };
    let moves = Moves::read(&raw).expect("the model reads what is accepted");
    assert!(at_most(&leaves(&moves), &number(MOST)), "more leaves than the bound");
    assert_eq!(approved.hash().0, moves.hash(), "the hash that is signed");
    assert!(moves.extra.len() <= 4 && moves.references.is_empty());
    for (index, output) in moves.outputs.iter().enumerate() {
        let target = output.withdrawal.as_ref().map(|(address, tag)| (address.as_slice(), tag.as_slice()));
        let withdrawal = output.kind == 0xa1 && target == Some(TARGET) && index == 0;
        let paid = || {
            let pays = |owners, secret: &u64| output.pays(owners, &Scalar::from(*secret), index);
            base.owners.iter().any(|owners| {
                owners.members.len() == output.keys.len() && SECRETS.iter().any(|secret| pays(owners, secret))
            })
        };
        assert!(withdrawal || paid(), "output {index} pays somebody else");
    }
    planted(raw != base.raw);
});
