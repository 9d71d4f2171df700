//! Random transactions, the same in every run.

use curve25519_dalek::{EdwardsPoint, Scalar, edwards::CompressedEdwardsY};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::uuid::{Builder, Uuid};
use mixin_pin_core::{Ed25519PublicKey, UnixTime};
use mixin_pin_safe::{
    Amount, AssetId, Claim, Evidence, ExtraRule, Input, MaskSecret, MixAddress, Output, OutputKind, Policy, Receiver,
    SpendKey, SpentOutput, Transaction, Unproven, Unsigned, View, Withdrawal, XinAddress, merge,
};
use serde_json::{Value, json};

use crate::peer::{Check, Client, Expected};
use crate::{Result, hex, show};

/// A stream of numbers from a seed.
pub struct Random(blake3::OutputReader);

impl Random {
    pub fn new(seed: &str) -> Self {
        Self(blake3::Hasher::new().update(seed.as_bytes()).finalize_xof())
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    /// A number from 0 to `limit` - 1.
    fn below(&mut self, limit: u8) -> u8 {
        self.bytes::<1>()[0] % limit
    }

    fn list<T>(&mut self, most: u8, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..=self.below(most)).map(|_| item(self)).collect()
    }

    fn text(&mut self, alphabet: &[u8], most: u8) -> String {
        self.list(most, |random| char::from(alphabet[usize::from(random.bytes::<1>()[0]) % alphabet.len()]))
            .into_iter()
            .collect()
    }

    fn scalar(&mut self) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&self.bytes())
    }

    fn point(&mut self) -> [u8; 32] {
        EdwardsPoint::mul_base(&self.scalar()).compress().to_bytes()
    }

    fn user(&mut self) -> Uuid {
        Builder::from_random_bytes(self.bytes()).into_uuid()
    }

    /// More than 0. Not more than the other client can count.
    fn amount(&mut self, client: Client) -> Amount {
        // Between 2^53 and 2^80 units the Node SDK reads only some amounts as they are.
        let (least, most) = match (client, self.below(4)) {
            (Client::Node, 0) => (10, 28),
            (Client::Node, _) => (1, 6),
            (Client::Rust, _) => (1, 15),
        };
        let bytes: Vec<u8> = (0..least + self.below(1 + most - least)).map(|_| self.below(u8::MAX)).collect();
        match Amount::from_be_bytes(&bytes) {
            Some(amount) if !amount.is_zero() => amount,
            _ => Amount::from_units(1),
        }
    }
}

/// What an output pays.
enum To {
    Withdrawal { address: String, tag: String },
    Receivers { address: Box<MixAddress>, secret: Option<MaskSecret>, mask: [u8; 32], keys: Vec<[u8; 32]> },
}

struct Planned {
    amount: Amount,
    to: To,
    /// `ff fe` and the threshold.
    script: Vec<u8>,
}

impl Planned {
    fn withdrawal(random: &mut Random, client: Client) -> Self {
        let address = random.text(b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 60);
        let tag = if random.below(2) == 0 { String::new() } else { random.text(b"0123456789", 10) };
        Self { amount: random.amount(client), to: To::Withdrawal { address, tag }, script: Vec::new() }
    }

    /// Receivers with keys in their addresses, whose ghost keys this crate makes.
    fn keys(random: &mut Random, client: Client, secret: MaskSecret, index: u16) -> Result<Self> {
        let members = random
            .list(4, |random| XinAddress::new(&random.point(), &random.point()))
            .into_iter()
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let threshold = 1 + random.below(u8::try_from(members.len())?);
        let keys = members.iter().map(|member| secret.ghost_key(member, index)).collect();
        let address = Box::new(MixAddress::new_keys(threshold, &members)?);
        let to = To::Receivers { address, mask: secret.mask(), keys, secret: Some(secret) };
        Ok(Self { amount: random.amount(client), to, script: vec![0xff, 0xfe, threshold] })
    }

    /// Users, whose ghost keys the server would make.
    fn users(random: &mut Random, client: Client) -> Result<Self> {
        let members = random.list(4, Random::user);
        let threshold = 1 + random.below(u8::try_from(members.len())?);
        let keys = members.iter().map(|_| random.point()).collect();
        let address = Box::new(MixAddress::new_users(threshold, &members)?);
        let to = To::Receivers { address, secret: None, mask: random.point(), keys };
        Ok(Self { amount: random.amount(client), to, script: vec![0xff, 0xfe, threshold] })
    }

    fn output(&self) -> Output<'_> {
        let (kind, keys, mask, withdrawal) = match &self.to {
            To::Withdrawal { address, tag } => {
                let to = Withdrawal { address: address.as_bytes(), tag: tag.as_bytes() };
                (OutputKind::Withdrawal, &[][..], &[0; 32], Some(to))
            }
            To::Receivers { mask, keys, .. } => (OutputKind::Script, &keys[..], mask, None),
        };
        Output { kind, amount: self.amount, keys, mask, script: &self.script, withdrawal }
    }

    /// The recipient, as a job names it.
    fn recipient(&self) -> Value {
        let amount = self.amount.to_string();
        match &self.to {
            To::Withdrawal { address, tag } => json!({ "destination": address, "tag": tag, "amount": amount }),
            To::Receivers { address, .. } => json!({ "mix": address.to_string(), "amount": amount }),
        }
    }

    fn ghost(&self) -> Value {
        match &self.to {
            To::Withdrawal { .. } => Value::Null,
            To::Receivers { mask, keys, .. } => json!({ "mask": hex(mask), "keys": keys.map_hex() }),
        }
    }
}

/// A spent output whose key at `position` is the signer's.
struct Spent {
    view: Scalar,
    amount: Amount,
    keys: Vec<[u8; 32]>,
    mask: [u8; 32],
}

impl Spent {
    fn new(random: &mut Random, amount: Amount, position: u16, owner: &Ed25519PublicKey) -> Result<Self> {
        let view = random.scalar();
        let owner = CompressedEdwardsY(*owner.as_bytes()).decompress().ok_or("no point")?;
        let mut keys = [random.point(), random.point(), random.point()];
        keys[usize::from(position)] = (EdwardsPoint::mul_base(&view) + owner).compress().to_bytes();
        Ok(Self { view, amount, keys: keys.to_vec(), mask: random.point() })
    }
}

trait MapHex {
    fn map_hex(&self) -> Vec<String>;
}

impl MapHex for [[u8; 32]] {
    fn map_hex(&self) -> Vec<String> {
        self.iter().map(hex).collect()
    }
}

/// The comparisons for one random transaction: addresses, ghost keys, bytes, hash, decoded parts, signed bytes.
pub fn transaction(random: &mut Random, client: Client) -> Result<Vec<Check>> {
    let (seed, trace, asset) = (random.bytes::<32>(), random.user(), AssetId(random.bytes()));
    let key = TipKey::from_seed(&seed);

    let mut outputs = Vec::new();
    if random.below(4) == 0 {
        outputs.push(Planned::withdrawal(random, client));
    }
    for _ in 0..=random.below(4) {
        let index = u16::try_from(outputs.len())?;
        let secret = MaskSecret::from_trace(trace, index, &seed);
        outputs.push(match random.below(2) {
            0 => Planned::keys(random, client, secret, index)?,
            _ => Planned::users(random, client)?,
        });
    }
    let total = outputs.iter().try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.amount)).ok_or("sum")?;

    // All inputs but the first are one unit.
    let position = u16::from(random.below(3));
    let small = random.below(4);
    let first = total.checked_sub(Amount::from_units(small.into())).filter(|rest| !rest.is_zero());
    let mut amounts = vec![first.unwrap_or(total)];
    amounts.extend((0..small).filter(|_| first.is_some()).map(|_| Amount::from_units(1)));
    let spent = amounts
        .into_iter()
        .map(|amount| Spent::new(random, amount, position, key.public_key()))
        .collect::<Result<Vec<_>>>()?;
    let hashes: Vec<[u8; 32]> = spent.iter().map(|_| random.bytes()).collect();
    let inputs: Vec<_> = hashes
        .iter()
        .map(|hash| Input {
            hash,
            index: u16::from_be_bytes(random.bytes()) % 1025,
            genesis: &[],
            deposit: None,
            mint: None,
        })
        .collect();
    let references = if random.below(3) == 0 { random.list(16, Random::bytes) } else { Vec::new() };
    let extra = if random.below(2) == 0 { random.list(255, Random::bytes::<1>).concat() } else { Vec::new() };

    let shown: Vec<_> = outputs.iter().map(Planned::output).collect();
    let raw = Unsigned { asset, inputs: &inputs, outputs: &shown, references: &references, extra: &extra }.encode()?;
    let unsigned = Transaction::decode(&raw)?;
    let hash = unsigned.hash().to_string();
    let signed = sign(&unsigned, &key, &spent, &outputs, position, total)?;

    let job = |operation: &str, more: Value| {
        let mut job = json!({
            "op": operation,
            "inputs": inputs.iter().map(|input| json!({
                "hash": hex(input.hash), "index": input.index, "asset": asset.to_string(),
            })).collect::<Vec<_>>(),
            "outputs": outputs.iter().map(Planned::recipient).collect::<Vec<_>>(),
            "ghosts": outputs.iter().map(Planned::ghost).collect::<Vec<_>>(),
            "extra": hex(&extra),
            "references": references.map_hex(),
        });
        if let (Some(job), Value::Object(more)) = (job.as_object_mut(), more) {
            job.extend(more);
        }
        job
    };
    let views: Vec<_> = spent.iter().map(|spent| hex(spent.view.as_bytes())).collect();
    let more = json!({ "views": views, "spend": hex(seed), "position": position });

    let mut checks = vec![
        Check::same("build", job("build", json!({})), json!({ "raw": hex(&raw), "hash": hash })),
        Check::same("sign", job("sign", more), json!({ "raw": hex(&signed) })),
        ghosts(&outputs, trace, &seed),
        decode("decode unsigned", client, &raw)?,
        decode("decode signed", client, &signed)?,
    ];
    for output in &outputs {
        if let To::Receivers { address, .. } = &output.to {
            checks.push(crate::known::address(address));
        }
    }
    Ok(checks)
}

/// The signed bytes, by a policy that allows exactly these outputs.
fn sign(
    transaction: &Transaction<'_>,
    key: &TipKey,
    spent: &[Spent],
    outputs: &[Planned],
    position: u16,
    total: Amount,
) -> Result<Vec<u8>> {
    let spent_outputs: Vec<_> = spent
        .iter()
        .map(|spent| SpentOutput::stated(transaction.asset(), spent.amount, &spent.keys, &spent.mask, 1))
        .collect();
    let (mut receivers, mut allowed, mut withdrawals) = (Vec::new(), Vec::new(), Vec::new());
    for (index, output) in (0..).zip(outputs) {
        match &output.to {
            To::Withdrawal { address, tag } => {
                withdrawals.push(Withdrawal { address: address.as_bytes(), tag: tag.as_bytes() });
            }
            To::Receivers { address, secret, mask, keys } => {
                allowed.push(address.as_ref().clone());
                let claim = secret.as_ref().map_or(Claim::Answered { mask, keys }, Claim::Recomputed);
                receivers.push(Receiver { output: index, address, claim });
            }
        }
    }
    let policy = Policy {
        asset: transaction.asset(),
        most: total,
        own: &[],
        receivers: &allowed,
        withdrawals: &withdrawals,
        most_outputs: u16::try_from(outputs.len())?,
        extra: ExtraRule::Exactly(transaction.extra()),
        references: transaction.references(),
        unproven: Unproven::Attested,
        until: UnixTime::from_secs(2),
    };
    let evidence = Evidence { spent: &spent_outputs, receivers: &receivers };
    let approved = policy.check(transaction, &evidence, UnixTime::from_secs(1))?;
    let own_key = SpendKey::new(key);
    let mut signatures = Vec::new();
    for (index, spent) in (0..).zip(spent) {
        let view = View::from_bytes(spent.view.as_bytes())?;
        let ready = approved.input(index, &view, key.public_key())?;
        assert_eq!(ready.signer(), position);
        signatures.push(ready.sign(&own_key)?);
    }
    Ok(merge(transaction, &spent_outputs, &signatures)?.encode()?)
}

/// Ghost keys by trace id, of receivers with keys in their addresses. A withdrawal stands for the others: they need the
/// server.
fn ghosts(outputs: &[Planned], trace: Uuid, seed: &[u8]) -> Check {
    let known = |output: &&Planned| matches!(&output.to, To::Receivers { secret: Some(_), .. });
    let recipient = |output: &Planned| {
        if known(&output) { output.recipient() } else { json!({ "destination": "", "tag": "", "amount": "1" }) }
    };
    let ghost = |output: &Planned| if known(&output) { output.ghost() } else { Value::Null };
    Check::same(
        "ghost keys",
        json!({
            "op": "ghosts",
            "outputs": outputs.iter().map(recipient).collect::<Vec<_>>(),
            "trace": trace.to_string(),
            "spend": hex(seed),
        }),
        json!({ "ghosts": outputs.iter().map(ghost).collect::<Vec<_>>() }),
    )
}

/// The other client reads the same parts.
pub fn decode(name: &str, client: Client, raw: &[u8]) -> Result<Check> {
    let transaction = Transaction::decode(raw)?;
    let job = json!({ "op": "decode", "raw": hex(raw) });
    let expected = show::transaction(&transaction, client);
    let expected = match crate::known::reads(client, &transaction) {
        Ok(()) => Expected::Answer(expected),
        Err(reason) => Expected::Differs(expected, reason),
    };
    Ok(Check { name: name.into(), job, expected })
}
