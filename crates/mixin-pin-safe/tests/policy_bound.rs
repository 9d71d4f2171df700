//! Whatever bytes and evidence are handed in: if a policy accepts them, then the independent model in `model` counts that no
//! more leaves than the policy's bound, and that everyone who is paid may be paid.

mod model;

use std::sync::LazyLock;

use curve25519_dalek::{EdwardsPoint, Scalar};
use mixin_pin_safe::mixin_pin_core::UnixTime;
use mixin_pin_safe::{
    Amount, AssetId, Claim, Evidence, ExtraRule, MaskSecret, MixAddress, Policy, Receiver, SpentOutput, Transaction,
    Unproven, Withdrawal,
};
use model::{Moves, Out, Owners, at_most, number, sum};
use proptest::prelude::*;
use proptest::sample::Index;
use sha3::{Digest, Sha3_256};

const ASSET: [u8; 32] = AssetId::XIN.0;
const EXCHANGE: (&[u8], &[u8]) = (b"73yoz7kK3zgh2ScD9aTJpXCrKHETi1xyEKfMTH95ugff", b"7");

/// A number that is as good as random.
fn scalar(name: &str, number: usize) -> Scalar {
    let bytes = blake3::hash(format!("{name} {number}").as_bytes());
    Scalar::from_bytes_mod_order(*bytes.as_bytes())
}

fn account(number: usize) -> ([u8; 32], [u8; 32]) {
    let public = |name| EdwardsPoint::mul_base(&scalar(name, number)).compress().0;
    (public("spend"), public("view"))
}

/// The text of an address.
fn text(threshold: u8, members: &[&[u8]]) -> String {
    let mut payload = vec![2, threshold, u8::try_from(members.len()).unwrap()];
    payload.extend(members.concat());
    let check = Sha3_256::digest([b"MIX", payload.as_slice()].concat());
    payload.extend(&check[..4]);
    let mut buffer = [0; 512];
    let length = bs58::encode(payload).onto(buffer.as_mut_slice()).unwrap();
    format!("MIX{}", str::from_utf8(&buffer[..length]).unwrap())
}

/// Someone who may be paid.
#[derive(Debug)]
struct Party {
    address: MixAddress,
    /// The keys, unless they are users.
    owners: Option<Owners>,
}

impl Party {
    fn keys(threshold: u8, accounts: &[usize]) -> Self {
        let members: Vec<_> = accounts.iter().map(|number| account(*number)).collect();
        let flat: Vec<_> = members.iter().map(|(spend, view)| [*spend, *view].concat()).collect();
        let flat: Vec<_> = flat.iter().map(Vec::as_slice).collect();
        Self { address: text(threshold, &flat).parse().unwrap(), owners: Some(Owners { threshold, members }) }
    }

    fn users(threshold: u8, users: &[u8]) -> Self {
        let users: Vec<_> = users.iter().map(|user| [*user; 16]).collect();
        let users: Vec<_> = users.iter().map(<[u8; 16]>::as_slice).collect();
        Self { address: text(threshold, &users).parse().unwrap(), owners: None }
    }

    fn storage() -> Self {
        let text = MixAddress::storage().to_string();
        let mut payload = [0; 71];
        assert_eq!(bs58::decode(&text[3..]).onto(payload.as_mut_slice()), Ok(71));
        assert_eq!(payload[..3], [2, 64, 1]);
        let members = vec![(payload[3..35].try_into().unwrap(), payload[35..67].try_into().unwrap())];
        Self { address: text.parse().unwrap(), owners: Some(Owners { threshold: 64, members }) }
    }

    /// An output to the party. Users have keys that only the server knows.
    fn paid(&self, secret: &Scalar, index: usize, amount: u64) -> Out {
        let hidden;
        let owners = if let Some(owners) = &self.owners {
            owners
        } else {
            let members = (0..self.address.members().len()).map(|member| account(100 + 10 * index + member)).collect();
            hidden = Owners { threshold: self.address.threshold(), members };
            &hidden
        };
        Out::to(owners, secret, index, number(amount))
    }
}

/// The owner's addresses, then the receivers that a policy names, then strangers.
static PARTIES: LazyLock<[Party; 9]> = LazyLock::new(|| {
    [
        Party::keys(1, &[0]),
        Party::keys(2, &[0, 1, 2]),
        Party::users(1, &[1]),
        Party::keys(1, &[3]),
        Party::keys(1, &[4, 5]),
        Party::users(2, &[2, 3]),
        Party::storage(),
        Party::keys(1, &[6]),
        Party::users(1, &[4]),
    ]
});
const OWN: std::ops::Range<usize> = 0..3;
const NAMED: std::ops::Range<usize> = 3..7;
const STORAGE: usize = 6;

/// What the owner is told that a transaction does.
#[derive(Debug, Clone)]
struct Intent {
    /// The amount and address that leave to another chain.
    withdrawal: Option<(u64, bool)>,
    /// Party, amount, and whether there is a claim on it.
    outputs: Vec<(usize, u64, bool)>,
    unproven: Unproven,
    /// The policy's bound, above or below what the outputs without proven change are.
    most: i64,
    spent: bool,
}

fn intents() -> impl Strategy<Value = Intent> {
    (
        proptest::option::weighted(0.3, (1..1000_u64, any::<bool>())),
        proptest::collection::vec((0..9_usize, 1..1_000_000_u64, proptest::bool::weighted(0.9)), 1..5),
        prop_oneof![Just(Unproven::Refuse), Just(Unproven::Attested), Just(Unproven::Any)],
        prop_oneof![4 => Just(0), 1 => Just(-1), 1 => 0..1000_i64, 4 => Just(1 << 40)],
        any::<bool>(),
    )
        .prop_map(|(withdrawal, outputs, unproven, most, spent)| Intent {
            withdrawal,
            outputs,
            unproven,
            most,
            spent,
        })
}

/// What an attacker changes. Which one is chosen by the index.
#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    Amount(Index, u64),
    MoveAmount(Index, Index),
    SwapOutputs(Index, Index),
    RepeatOutput(Index),
    RepeatKey(Index),
    DropOutput(Index),
    PayAnother(Index, usize),
    Threshold(Index, u8),
    Mask(Index, Index),
    TurnKeys(Index),
    AddKey(Index, usize),
    Withdrawal(Vec<u8>),
    Kind(Index, u8),
    Reference,
    Extra,
    ClaimAnother(Index, usize),
    ClaimOutput(Index, u16),
    ClaimSecret(Index, usize),
    DropClaim(Index),
    AnswerFromOutput(Index, usize),
}

fn changes() -> impl Strategy<Value = Change> {
    use Change::*;
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, byte)| Byte(at, byte)),
        1 => (index(), prop_oneof![Just(0), any::<u64>(), 0..2_000_000_u64]).prop_map(|(at, amount)| Amount(at, amount)),
        1 => (index(), index()).prop_map(|(from, to)| MoveAmount(from, to)),
        2 => (index(), index()).prop_map(|(one, other)| SwapOutputs(one, other)),
        2 => index().prop_map(RepeatOutput),
        2 => index().prop_map(RepeatKey),
        1 => index().prop_map(DropOutput),
        1 => (index(), 0..9_usize).prop_map(|(at, party)| PayAnother(at, party)),
        1 => (index(), prop_oneof![0..4_u8, any::<u8>()]).prop_map(|(at, threshold)| Threshold(at, threshold)),
        1 => (index(), index()).prop_map(|(at, from)| Mask(at, from)),
        1 => index().prop_map(TurnKeys),
        1 => (index(), 0..9_usize).prop_map(|(at, number)| AddKey(at, number)),
        1 => proptest::collection::vec(any::<u8>(), 0..50).prop_map(Withdrawal),
        1 => (index(), any::<u8>()).prop_map(|(at, kind)| Kind(at, kind)),
        1 => Just(Reference),
        1 => Just(Extra),
        2 => (index(), 0..9_usize).prop_map(|(at, party)| ClaimAnother(at, party)),
        1 => (index(), 0..6_u16).prop_map(|(at, output)| ClaimOutput(at, output)),
        1 => (index(), 0..6_usize).prop_map(|(at, secret)| ClaimSecret(at, secret)),
        1 => index().prop_map(DropClaim),
        2 => (index(), 0..9_usize).prop_map(|(at, party)| AnswerFromOutput(at, party)),
    ]
}

/// A claim, owned.
#[derive(Debug, Clone)]
struct Claimed {
    output: u16,
    party: usize,
    /// The number of the mask secret, or an answer.
    basis: Result<usize, ([u8; 32], Vec<[u8; 32]>)>,
}

/// What is handed in.
#[derive(Debug, Clone)]
struct Handed {
    moves: Moves,
    claims: Vec<Claimed>,
    /// Bytes to change at the end.
    bytes: Vec<(Index, u8)>,
}

fn secret(number: usize) -> Scalar {
    scalar("mask", number)
}

fn honest(intent: &Intent) -> Handed {
    let mut outputs = vec![];
    let mut claims = vec![];
    if let Some((amount, named)) = intent.withdrawal {
        let address = if named { EXCHANGE.0 } else { b"another" };
        outputs.push(Out::withdrawal(address, EXCHANGE.1, number(amount)));
    }
    for (party, amount, claimed) in &intent.outputs {
        let index = outputs.len();
        let output = PARTIES[*party].paid(&secret(index), index, *amount);
        if *claimed {
            let basis = match PARTIES[*party].owners {
                Some(_) => Ok(index),
                None => Err((output.mask, output.keys.clone())),
            };
            claims.push(Claimed { output: u16::try_from(index).unwrap(), party: *party, basis });
        }
        outputs.push(output);
    }
    let inputs = vec![([9; 32], 1)];
    Handed { moves: Moves { asset: ASSET, inputs, outputs, references: vec![], extra: vec![] }, claims, bytes: vec![] }
}

fn change(handed: &mut Handed, change: &Change) {
    let Handed { moves, claims, bytes } = handed;
    let outputs = &mut moves.outputs;
    let some_claim = |at: &Index, claims: &[Claimed]| (!claims.is_empty()).then(|| at.index(claims.len()));
    if outputs.is_empty() {
        return;
    }
    let count = outputs.len();
    match change {
        Change::Byte(at, byte) => bytes.push((*at, *byte)),
        Change::Amount(at, amount) => outputs[at.index(count)].amount = number(*amount),
        Change::MoveAmount(from, to) => {
            let (from, to) = (from.index(count), to.index(count));
            let amount = sum([&outputs[from].amount, &outputs[to].amount]);
            outputs[to].amount = amount;
            outputs[from].amount = number(1);
        }
        Change::SwapOutputs(one, other) => outputs.swap(one.index(count), other.index(count)),
        Change::RepeatOutput(at) => outputs.push(outputs[at.index(count)].clone()),
        Change::RepeatKey(at) => {
            let keys = &mut outputs[at.index(count)].keys;
            keys.extend(keys.first().copied());
        }
        Change::DropOutput(at) => {
            outputs.remove(at.index(count));
        }
        Change::PayAnother(at, party) => {
            let index = at.index(count);
            let amount = outputs[index].amount.clone();
            outputs[index] = PARTIES[*party].paid(&secret(index), index, 1);
            outputs[index].amount = amount;
        }
        Change::Threshold(at, threshold) => outputs[at.index(count)].script = vec![0xff, 0xfe, *threshold],
        Change::Mask(at, from) => outputs[at.index(count)].mask = outputs[from.index(count)].mask,
        Change::TurnKeys(at) => outputs[at.index(count)].keys.reverse(),
        Change::AddKey(at, number) => outputs[at.index(count)].keys.push(account(*number).0),
        Change::Withdrawal(address) => outputs[0].withdrawal = Some((address.clone(), vec![])),
        Change::Kind(at, kind) => outputs[at.index(count)].kind = *kind,
        Change::Reference => moves.references.push([8; 32]),
        Change::Extra => moves.extra.push(8),
        Change::ClaimAnother(at, party) => {
            if let Some(at) = some_claim(at, claims) {
                claims[at].party = *party;
            }
        }
        Change::ClaimOutput(at, output) => {
            if let Some(at) = some_claim(at, claims) {
                claims[at].output = *output;
            }
        }
        Change::ClaimSecret(at, secret) => {
            if let Some(at) = some_claim(at, claims) {
                claims[at].basis = Ok(*secret);
            }
        }
        Change::DropClaim(at) => {
            if let Some(at) = some_claim(at, claims) {
                claims.remove(at);
            }
        }
        // A server that lies: it says of any output that it pays this party.
        Change::AnswerFromOutput(at, party) => {
            let at = at.index(count);
            let (mask, keys, output) = (outputs[at].mask, outputs[at].keys.clone(), u16::try_from(at).unwrap());
            claims.retain(|claim| claim.output != output);
            claims.push(Claimed { output, party: *party, basis: Err((mask, keys)) });
        }
    }
}

/// What leaves by the model: all outputs that do not pay the owner with one of the mask secrets.
fn leaves(moves: &Moves) -> Vec<u8> {
    let leaving = moves.outputs.iter().enumerate().filter(|(index, output)| !pays_one_of(output, *index, OWN));
    sum(leaving.map(|(_, output)| &output.amount))
}

/// Whether an output pays one of the parties that have keys.
fn pays_one_of(output: &Out, index: usize, parties: std::ops::Range<usize>) -> bool {
    PARTIES[parties].iter().filter_map(|party| party.owners.as_ref()).any(|owners| {
        output.keys.len() == owners.members.len() && (0..6).any(|number| output.pays(owners, &secret(number), index))
    })
}

fn amount(bytes: &[u8]) -> Amount {
    Amount::from_be_bytes(bytes).expect("a sum of a few small amounts")
}

/// What the library counts as leaving, if it accepts.
fn library(intent: &Intent, handed: &Handed, raw: &[u8], most: Amount) -> Option<Amount> {
    let transaction = Transaction::decode(raw).ok()?;
    let secrets: Vec<_> = (0..6).map(|number| MaskSecret::from_bytes(&secret(number).to_bytes()).unwrap()).collect();
    let receivers: Vec<_> = handed
        .claims
        .iter()
        .map(|claimed| Receiver {
            output: claimed.output,
            address: &PARTIES[claimed.party].address,
            claim: match &claimed.basis {
                Ok(secret) => Claim::Recomputed(&secrets[*secret]),
                Err((mask, keys)) => Claim::Answered { mask, keys },
            },
        })
        .collect();
    let parse = |parties| -> Vec<MixAddress> {
        let parties: &[Party] = &PARTIES[parties];
        parties.iter().map(|party| party.address.to_string().parse().unwrap()).collect()
    };
    let key = [account(99).0];
    let total = honest(intent).moves;
    let total = amount(&sum(total.outputs.iter().map(|output| &output.amount)));
    let spent = [SpentOutput::stated(AssetId(ASSET), total, &key, &[1; 32], 1)];
    let policy = Policy {
        asset: AssetId(ASSET),
        most,
        own: &parse(OWN),
        receivers: &parse(NAMED),
        withdrawals: &[Withdrawal { address: EXCHANGE.0, tag: EXCHANGE.1 }],
        most_outputs: 6,
        extra: ExtraRule::Forbidden,
        references: &[],
        unproven: intent.unproven,
        until: UnixTime::from_secs(0),
    };
    let evidence = Evidence { spent: if intent.spent { &spent } else { &[] }, receivers: &receivers };
    let approved = policy.check(&transaction, &evidence, UnixTime::from_secs(0)).ok()?;
    assert_eq!(approved.hash().0, Moves::read(raw).unwrap().hash(), "the hash that is signed");
    Some(approved.leaves())
}

/// What the model demands of an accepted transaction.
fn bounded(intent: &Intent, handed: &Handed, raw: &[u8], most: Amount) -> Result<(), TestCaseError> {
    let moves = Moves::read(raw).expect("the model reads what is accepted");
    prop_assert_eq!(moves.asset, ASSET);
    prop_assert!(moves.extra.is_empty() && moves.references.is_empty());
    let most = most.to_be_bytes();
    let most: Vec<u8> = most.into_iter().skip_while(|byte| *byte == 0).collect();
    prop_assert!(at_most(&leaves(&moves), &most), "more leaves than the bound");
    prop_assert!(!moves.outputs.is_empty() && !moves.inputs.is_empty());
    if intent.spent {
        let [before, after] =
            [&honest(intent).moves, &moves].map(|moves| sum(moves.outputs.iter().map(|output| &output.amount)));
        prop_assert_eq!(before, after, "less or more than is spent");
    }
    let mut keys: Vec<_> = moves.outputs.iter().flat_map(|output| &output.keys).collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    prop_assert_eq!(keys.len(), count, "a key twice");
    for (index, output) in moves.outputs.iter().enumerate() {
        prop_assert!(!output.amount.is_empty(), "an amount of 0");
        if output.kind == 0xa1 {
            let (address, tag) = output.withdrawal.as_ref().expect("a target");
            prop_assert_eq!((address.as_slice(), tag.as_slice()), EXCHANGE);
            prop_assert_eq!(index, 0);
            continue;
        }
        prop_assert_eq!(output.kind, 0);
        prop_assert_eq!(&output.withdrawal, &None);
        prop_assert_eq!(output.script.len(), 3);
        let threshold = usize::from(output.script[2]);
        let storage = pays_one_of(output, index, STORAGE..STORAGE + 1);
        prop_assert!(storage || (1..=output.keys.len()).contains(&threshold), "anyone or nobody could spend it");
        let proven = pays_one_of(output, index, OWN) || pays_one_of(output, index, NAMED);
        let answered = handed.claims.iter().any(|claimed| {
            let party = &PARTIES[claimed.party];
            usize::from(claimed.output) == index
                && (OWN.contains(&claimed.party) || NAMED.contains(&claimed.party))
                && party.owners.is_none()
                && claimed.basis == Err((output.mask, output.keys.clone()))
        });
        prop_assert!(
            match intent.unproven {
                Unproven::Refuse => proven,
                Unproven::Attested => proven || answered,
                _ => true,
            },
            "output {} pays somebody else",
            index
        );
    }
    Ok(())
}

/// Whether the model accepts a transaction that nobody changed.
fn acceptable(intent: &Intent) -> bool {
    intent.withdrawal.is_none_or(|(_, named)| named)
        && intent.most >= 0
        && intent.outputs.iter().all(|(party, _, claimed)| {
            let named = OWN.contains(party) || NAMED.contains(party);
            match (claimed, PARTIES[*party].owners.is_some(), intent.unproven) {
                // Storage burns money: without proof nobody could spend it.
                (false, _, Unproven::Any) => *party != STORAGE,
                (false, ..) | (true, false, Unproven::Refuse) => false,
                (true, ..) => named,
            }
        })
}

/// Judges a transaction by the library and by the model.
fn judge(intent: &Intent, changed: &[Change]) -> Result<(), TestCaseError> {
    let mut handed = honest(intent);
    let claimed = |index: usize| handed.claims.iter().any(|claim| usize::from(claim.output) == index);
    let leaving = handed
        .moves
        .outputs
        .iter()
        .enumerate()
        .filter(|(index, output)| !(claimed(*index) && pays_one_of(output, *index, OWN)));
    let leaving = amount(&sum(leaving.map(|(_, output)| &output.amount)));
    let difference = Amount::from_units(intent.most.unsigned_abs().into());
    let most = if intent.most < 0 { leaving.checked_sub(difference) } else { leaving.checked_add(difference) };
    let most = most.unwrap_or(Amount::ZERO);

    for what in changed {
        change(&mut handed, what);
    }
    let mut raw = handed.moves.write();
    for (at, byte) in &handed.bytes {
        let at = at.index(raw.len());
        raw[at] = *byte;
    }
    let accepted = library(intent, &handed, &raw, most);
    if accepted.is_some() {
        bounded(intent, &handed, &raw, most)?;
    }
    if changed.is_empty() {
        // With nothing leaving there is nothing below the bound.
        let acceptable = acceptable(intent) || (leaving.is_zero() && acceptable(&Intent { most: 0, ..intent.clone() }));
        prop_assert_eq!(accepted, acceptable.then_some(leaving), "nobody changed it");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_leaves_is_within_the_bound(intent in intents(), changed in proptest::collection::vec(changes(), 0..3)) {
        judge(&intent, &changed)?;
    }

    /// Even a policy that allows any receiver and any amount.
    #[test]
    fn nothing_is_accepted_that_anyone_or_nobody_could_spend(intent in intents(), changed in changes()) {
        let outputs = intent.outputs.into_iter().map(|(party, amount, _)| (party, amount, false)).collect();
        let withdrawal = intent.withdrawal.map(|(amount, _)| (amount, true));
        let intent = Intent { withdrawal, outputs, unproven: Unproven::Any, most: i64::MAX, spent: false };
        judge(&intent, &[changed])?;
    }
}
