//! A transaction in words and in JSON.

use std::fmt::Write as _;

use base16ct::lower::encode_string;
use mixin_pin_safe::{
    AssetId, Authorization, Class, DetachedSignature, Effects, Merged, OutputKind, Payee, Refusal, SpentOutput,
    Transaction, Withdrawal,
};
use serde_json::{Value, json};

use crate::safe::address_text;

/// What a transaction does.
pub(super) struct Report<'a, 't, 'e> {
    effects: &'a Effects<'t, 'e>,
}

impl<'a, 't, 'e> Report<'a, 't, 'e> {
    pub(super) const fn new(effects: &'a Effects<'t, 'e>) -> Self {
        Self { effects }
    }

    pub(super) fn in_json(&self) -> Value {
        let transaction = self.effects.transaction();
        let inputs: Vec<_> = transaction
            .inputs()
            .map(|input| json!({ "hash": encode_string(input.hash), "index": input.index }))
            .collect();
        let outputs = transaction.outputs().zip(self.effects.outputs()).map(|(output, effect)| {
            json!({
                "type": kind(output.kind),
                "amount": output.amount.to_string(),
                "threshold": output.threshold(),
                "keys": output.keys.iter().map(|key| encode_string(key)).collect::<Vec<_>>(),
                "mask": encode_string(output.mask),
                "withdrawal": output.withdrawal.as_ref().map(withdrawal),
                "class": class_word(effect.class),
                "to": to(&effect.to),
            })
        });
        json!({
            "hash": self.effects.hash().to_string(),
            "asset": transaction.asset().to_string(),
            "inputs": inputs,
            "outputs": outputs.collect::<Vec<_>>(),
            "references": transaction.references().iter().map(|hash| encode_string(hash)).collect::<Vec<_>>(),
            "extra": encode_string(transaction.extra()),
            "signatures": signatures(transaction),
            "total_in": self.effects.total_in().map(|total| total.to_string()),
            "total_out": self.effects.total_out().to_string(),
            "inputs_known": !self.effects.spent().is_empty(),
            "inputs_proven": self.effects.inputs_proven(),
        })
    }

    /// A short table.
    pub(super) fn in_text(&self) -> String {
        let (effects, transaction) = (self.effects, self.effects.transaction());
        let asset = transaction.asset();
        let name = if asset == AssetId::XIN { "XIN, " } else { "" };
        let mut text = format!("transaction {}\nasset       {name}{asset}\n", effects.hash());
        let inputs = transaction.inputs().len();
        // Writing to a String does not fail.
        let _ = match effects.total_in() {
            Some(total) => writeln!(text, "inputs      {inputs}, together {total}; {}", self.inputs_in_words()),
            None => writeln!(text, "inputs      {inputs}, of unknown amounts"),
        };
        for (effect, output) in effects.outputs().zip(transaction.outputs()) {
            let _ = writeln!(text, "output {:<4} {} to {}", effect.index, effect.amount, payee(&effect.to));
            let class = match (effect.class, effect.to) {
                (Class::Proven, Payee::Withdrawal(_)) => "proven: the bytes say so",
                (Class::Proven, _) => "proven: mask and keys were computed again",
                (Class::Attested, _) => "attested, not proven: a server's answer says so",
                _ => "unknown: nothing says whom it pays",
            };
            let keys = output.keys.len();
            let _ = match effect.threshold {
                Some(threshold) => writeln!(text, "            {class}; threshold {threshold} of {keys} keys"),
                None => writeln!(text, "            {class}"),
            };
        }
        if !transaction.extra().is_empty() {
            let extra = transaction.extra();
            let _ = writeln!(text, "extra       {} bytes: {}", extra.len(), shortened(extra));
        }
        for reference in transaction.references() {
            let _ = writeln!(text, "reference   {}", encode_string(reference));
        }
        if let Authorization::Signatures(signatures) = transaction.authorization()
            && !signatures.is_empty()
        {
            let mut inputs: Vec<_> = signatures.iter().map(|signature| signature.input).collect();
            let count = inputs.len();
            inputs.dedup();
            let note = if effects.spent().is_empty() { ", not verified" } else { "" };
            let _ = writeln!(
                text,
                "signatures  {count}, for {} of {} inputs{note}",
                inputs.len(),
                transaction.inputs().len()
            );
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// What was not checked, if anything.
    pub(super) fn unchecked(&self) -> &'static str {
        if self.effects.spent().is_empty() {
            "\nneither sums nor signatures were checked, because the spent outputs are not known; give --inputs"
        } else {
            ""
        }
    }

    /// How much is not proven, in a line.
    pub(super) fn not_proven(&self) -> String {
        let (inputs, outputs) = (self.effects.spent(), self.effects.outputs());
        let stated = inputs.iter().filter(|spent| !spent.is_proven()).count();
        let unproven = outputs.clone().filter(|effect| effect.class != Class::Proven).count();
        format!("not proven  {stated} of {} inputs, {unproven} of {} outputs", inputs.len(), outputs.len())
    }

    fn inputs_in_words(&self) -> &'static str {
        if self.effects.inputs_proven() {
            "proven, but not that they are final and unspent"
        } else if self.effects.spent().iter().any(SpentOutput::is_proven) {
            "partly proven; a server says the rest"
        } else {
            "not proven: a server says so"
        }
    }
}

/// A refusal in JSON.
pub(super) fn finding(refusal: &Refusal) -> Value {
    let field = refusal.field().map(|field| field.to_string());
    json!({ "kind": refusal.kind(), "field": field, "message": refusal.to_string() })
}

/// The positions of a transaction's signatures. An aggregate signature has none.
pub(super) fn signatures(transaction: &Transaction<'_>) -> Vec<Value> {
    match transaction.authorization() {
        Authorization::Signatures(signatures) => positions(signatures.iter()),
        _ => Vec::new(),
    }
}

/// The positions of signatures.
pub(super) fn positions(signatures: impl Iterator<Item = DetachedSignature>) -> Vec<Value> {
    signatures.map(|signature| json!({ "input": signature.input, "signer": signature.signer })).collect()
}

/// How many signatures each input still needs.
pub(super) fn missing(transaction: &Transaction<'_>, merged: &Merged<'_>) -> Vec<u8> {
    (0..).zip(transaction.inputs()).map(|(input, _)| merged.missing(input)).collect()
}

/// The type in hex, as in the bytes.
fn kind(kind: OutputKind) -> Option<String> {
    match kind {
        OutputKind::Script => Some("00".to_owned()),
        OutputKind::Withdrawal => Some("a1".to_owned()),
        OutputKind::Other(kind) => Some(format!("{kind:02x}")),
        _ => None,
    }
}

const fn class_word(class: Class) -> &'static str {
    match class {
        Class::Proven => "proven",
        Class::Attested => "attested",
        _ => "unknown",
    }
}

fn payee(to: &Payee<'_>) -> String {
    match to {
        Payee::Withdrawal(Withdrawal { address, tag: [] }) => {
            format!("the address {} on another chain", quoted(address))
        }
        Payee::Withdrawal(Withdrawal { address, tag }) => {
            format!("the address {} on another chain, tag {}", quoted(address), quoted(tag))
        }
        Payee::Address(address) => address_text(address),
        Payee::Storage => "nobody: it pays for storage".to_owned(),
        _ => "an unknown receiver".to_owned(),
    }
}

/// Whom an output pays. Null if nothing says it.
fn to(to: &Payee<'_>) -> Value {
    match to {
        Payee::Withdrawal(to) => json!({ "withdrawal": withdrawal(to) }),
        Payee::Address(address) => json!({ "address": address_text(address) }),
        Payee::Storage => json!({ "storage": true }),
        _ => Value::Null,
    }
}

fn withdrawal(to: &Withdrawal<'_>) -> Value {
    json!({ "address": ascii(to.address), "tag": ascii(to.tag) })
}

/// Bytes as text. Those that are not printable ASCII are escaped.
fn ascii(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// Foreign text in quotes, so that it cannot be taken for the command's own. Several blanks could push it to a new line, so
/// they are escaped. The rest of a text is left out that no policy allows.
fn quoted(bytes: &[u8]) -> String {
    const SHOWN: usize = 256;
    let text = ascii(&bytes[..bytes.len().min(SHOWN)]);
    let text = if text.contains("  ") { text.replace(' ', r"\x20") } else { text };
    let rest = if bytes.len() > SHOWN { format!(" … ({} bytes)", bytes.len()) } else { String::new() };
    format!("\"{text}\"{rest}")
}

/// The start of extra bytes, so short that it stays in its line: text if it is printable ASCII, otherwise hex.
fn shortened(extra: &[u8]) -> String {
    const SHOWN: usize = 40;
    let is_text = extra.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let (text, shown) = if is_text {
        let shown = extra.len().min(SHOWN);
        (format!("\"{}\"", extra[..shown].escape_ascii()), shown)
    } else {
        let shown = extra.len().min(SHOWN / 2);
        (encode_string(&extra[..shown]), shown)
    };
    format!("{text}{}", if shown < extra.len() { " …" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::{quoted, shortened};

    #[test]
    fn foreign_texts_cannot_look_like_lines_of_the_report() {
        assert_eq!(shortened(b"memo \"1\""), r#""memo \"1\"""#);
        let spoof = format!("{}leaves      0.01", "\u{3000}".repeat(28));
        assert!(shortened(spoof.as_bytes()).starts_with("e38080e38080"));
        assert!(shortened(&[b' '; 200]).len() < 50);
        assert_eq!(quoted(b"tag 1"), r#""tag 1""#);
        assert_eq!(quoted(b"a  b"), r#""a\x20\x20b""#);
        assert_eq!(quoted(b"a\nleaves 1"), r#""a\nleaves 1""#);
        assert!(quoted(&vec![b'x'; 65_535]).ends_with("x\" … (65535 bytes)"));
    }
}
