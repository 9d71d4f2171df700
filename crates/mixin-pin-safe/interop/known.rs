//! The vectors, and the differences that are known.

use mixin_pin_core::tip::TipKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_safe::{Amount, Authorization, MaskSecret, Members, MixAddress, Transaction, View, XinAddress};
use serde_json::{Value, json};

use crate::peer::{Check, Client, Expected};
use crate::{Result, hex, random, unhex};

fn data() -> Result<Value> {
    Ok(serde_json::from_str(include_str!("../testdata/safe-v5.json"))?)
}

fn list<'v>(data: &'v Value, name: &str) -> Result<&'v [Value]> {
    Ok(data[name].as_array().ok_or_else(|| format!("no vectors: {name}"))?)
}

fn text(value: &Value) -> Result<&str> {
    Ok(value.as_str().ok_or_else(|| format!("not a text: {value}"))?)
}

fn addresses(value: &Value) -> Result<Vec<XinAddress>> {
    value.as_array().ok_or("no list")?.iter().map(|address| Ok(text(address)?.parse()?)).collect()
}

/// Whether the client reads a transaction as we do. If not, says why.
pub fn reads(client: Client, transaction: &Transaction<'_>) -> std::result::Result<(), &'static str> {
    let Authorization::Signatures(signatures) = transaction.authorization() else {
        return Err("it knows no aggregated signatures");
    };
    if transaction.inputs().any(|input| input.mint.is_some() || input.deposit.is_some()) {
        return Err("it does not read mints");
    }
    if client == Client::Rust {
        return Ok(());
    }
    if transaction.outputs().any(|output| output.withdrawal.is_some()) {
        return Err("it reads lengths of one byte in withdrawals, and writes lengths of two");
    }
    if transaction.outputs().any(|output| output.amount >= Amount::from_units(1 << 53)) {
        return Err("it reads amounts as floating-point numbers");
    }
    match (signatures.maps(), signatures.iter().count()) {
        (0, _) | (1, 1) => Ok(()),
        _ => Err("it does not skip a signature that it has read"),
    }
}

/// The other client reads an address and writes the same text.
pub fn address(address: &MixAddress) -> Check {
    let members: Vec<_> = match address.members() {
        Members::Users(users) => users.iter().map(|user| Uuid::from_bytes(*user).to_string()).collect(),
        members => members.addresses().map(|member| member.to_string()).collect(),
    };
    let text = address.to_string();
    let answer = json!({ "threshold": address.threshold(), "members": members, "text": text });
    Check::same("address", json!({ "op": "address", "mix": text }), answer)
}

/// What the data file says, compared with the other client.
pub fn vectors(client: Client) -> Result<Vec<Check>> {
    let data = data()?;
    let mut checks = Vec::new();
    for vector in list(&data, "transactions")? {
        checks.push(random::decode(text(&vector["what"])?, client, &unhex(&vector["raw"])?)?);
    }
    for vector in list(&data, "spend_with_view")? {
        checks.push(random::decode("the signed vector", client, &unhex(&vector["signed_raw"])?)?);
        checks.push(Check::same(
            "signing the vector",
            json!({
                "op": "sign", "raw": vector["unsigned_raw"], "views": [vector["view"]], "spend": vector["seed_32"],
                "position": vector["signature_index"],
            }),
            json!({ "raw": vector["signed_raw"] }),
        ));
    }
    for vector in list(&data, "ghost_keys_from_trace_id")? {
        let outputs = vector["outputs"].as_array().ok_or("no outputs")?;
        let recipients = outputs
            .iter()
            .map(|output| {
                let address = MixAddress::new_keys(1, &addresses(&output["receivers"])?)?;
                Ok(json!({ "mix": address.to_string(), "amount": "1" }))
            })
            .collect::<Result<Vec<_>>>()?;
        let ghosts: Vec<_> =
            outputs.iter().map(|output| json!({ "mask": output["mask"], "keys": output["keys"] })).collect();
        checks.push(Check::same(
            "ghost keys of the vector",
            json!({
                "op": "ghosts", "outputs": recipients, "trace": vector["trace_id"], "spend": vector["spend_key_bytes"],
            }),
            json!({ "ghosts": ghosts }),
        ));
    }
    for vector in list(&data, "mix_addresses")? {
        let answer =
            json!({ "threshold": vector["threshold"], "members": vector["members_in_order"], "text": vector["mix"] });
        let mut check =
            Check::same("an address of the vectors", json!({ "op": "address", "mix": vector["mix"] }), answer);
        if client == Client::Node && vector["threshold"] == 64 {
            check.expected = Expected::Refused("it wants a threshold of at most the number of members");
        }
        checks.push(check);
    }
    Ok(checks)
}

/// Jobs that this crate refuses or carries out otherwise.
pub fn differences(client: Client) -> Result<Vec<Check>> {
    let data = data()?;
    let vector = &data["spend_with_view"][0];
    let (signed, unsigned) = (text(&vector["signed_raw"])?, text(&vector["unsigned_raw"])?);
    let mut checks = Vec::new();
    let mut add = |name: &str, job: Value, expected: Expected| {
        checks.push(Check { name: name.into(), job, expected });
    };
    let sign = |raw: &str, view: &str, seed: &str, position: u16| json!({ "op": "sign", "raw": raw, "views": [view], "spend": seed, "position": position });
    let (view, seed) = (text(&vector["view"])?, text(&vector["seed_32"])?);

    // A zero view makes a signature of the TIP key itself.
    let hazard = &data["must_refuse"][0];
    assert!(View::from_bytes(&[0; 32]).is_err());
    let signature = text(&hazard["signature_a_blind_signer_makes"])?;
    let raw = text(&hazard["unsigned_raw"])?;
    let blind = format!("{}000100010000{signature}", raw.strip_suffix("0000").ok_or("no authorization")?);
    add(
        "a zero view is signed",
        sign(raw, text(&hazard["view"])?, text(&hazard["seed_32"])?, 0),
        Expected::Answer(json!({ "raw": blind })),
    );

    // Neither looks whether the key is among those of the spent output.
    add("a stranger signs", sign(unsigned, view, &"42".repeat(32), 0), Expected::Accepted);
    add("a position that does not exist is signed", sign(unsigned, view, seed, 65535), Expected::Accepted);

    // Signing again loses the first signature.
    let payload = unsigned.strip_suffix("0000").ok_or("no authorization")?;
    let signature = text(&vector["signature"])?;
    let second = format!("{payload}000100010001{signature}");
    add("the first signature is lost", sign(signed, view, seed, 1), Expected::Answer(json!({ "raw": second })));

    // Bytes that are not canonical.
    let refused = |raw: &str| Ok::<_, Box<dyn std::error::Error>>(Transaction::decode(&unhex(&raw.into())?).is_err());
    let unsorted = format!("{payload}000100020001{signature}0000{signature}");
    let longer = format!("{unsigned}00");
    assert!(refused(&unsorted)? && refused(&longer)?);
    let decode = |raw: &str| json!({ "op": "decode", "raw": raw });
    match client {
        Client::Node => add("a trailing byte is read", decode(&longer), Expected::Accepted),
        Client::Rust => {
            add("a trailing byte", decode(&longer), Expected::Refused("it reads to the end"));
            add("signatures out of order are read", decode(&unsorted), Expected::Accepted);
        }
    }

    // Amounts that are no amounts.
    let build = |amount: &str| {
        json!({
            "op": "build",
            "inputs": [{ "hash": "11".repeat(32), "index": 0, "asset": "22".repeat(32) }],
            "outputs": [{ "destination": "a", "tag": "", "amount": amount }],
            "ghosts": [null],
            "extra": "",
            "references": [],
        })
    };
    for amount in ["0.000000001", "-1", "1e3", ""] {
        assert!(amount.parse::<Amount>().is_err(), "{amount}");
    }
    add("a ninth decimal is cut off", build("1.000000009"), Expected::Accepted);
    let capacity = build("115792089237316195423570985008687907853269984665640564039457.58400791");
    match client {
        Client::Node => {
            add("a negative amount becomes another", build("-1"), Expected::Accepted);
            add("an exponent is read", build("1e3"), Expected::Accepted);
            add("the largest amount is written", capacity, Expected::Accepted);
        }
        Client::Rust => {
            add("a negative amount", build("-1"), Expected::Refused("it reads digits"));
            add("an exponent", build("1e3"), Expected::Refused("it reads digits"));
            add("the largest amount", capacity, Expected::Refused("it counts in 128 bits"));
        }
    }

    // The Node SDK hashes the spend key in the length that it gets.
    if client == Client::Node {
        let own = TipKey::from_seed(&[7; 32]);
        let key: XinAddress = text(&data["xin_addresses"][0]["address"])?.parse()?;
        let seed = [[7; 32], *own.public_key().as_bytes()].concat();
        let secret = MaskSecret::from_trace(Uuid::from_u128(1), 0, &seed[..32]);
        let recipient = MixAddress::new_keys(1, &[key])?;
        let job = json!({
            "op": "ghosts", "outputs": [{ "mix": recipient.to_string(), "amount": "1" }],
            "trace": Uuid::from_u128(1).to_string(), "spend": hex(seed),
        });
        let ours = json!({ "ghosts": [{ "mask": hex(secret.mask()), "keys": [hex(secret.ghost_key(&key, 0))] }] });
        add("a spend key of 64 bytes", job, Expected::Differs(ours, "it hashes all of them"));
    }
    Ok(checks)
}
