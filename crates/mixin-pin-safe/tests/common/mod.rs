//! Reads test data.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod encode;

use serde_json::Value;

/// The public vectors.
pub fn vectors() -> Value {
    testdata("safe-v5.json")
}

pub fn testdata(name: &str) -> Value {
    let path = format!("{}/testdata/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub fn decode_hex(value: &Value) -> Vec<u8> {
    base16ct::lower::decode_vec(text(value)).unwrap()
}

pub fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// Applies a patch: a list of offset, number of bytes to remove, and pieces to insert.
pub fn patch(base: &[u8], patches: &Value) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for patch in patches.as_array().unwrap() {
        let (offset, removed) = (number(&patch[0]), number(&patch[1]));
        let mut inserted = Vec::new();
        for piece in patch[2].as_array().unwrap() {
            match piece.as_array() {
                Some(repeated) => inserted.extend(decode_hex(&repeated[0]).repeat(number(&repeated[1]))),
                None => inserted.extend(decode_hex(piece)),
            }
        }
        bytes.splice(offset..offset + removed, inserted);
    }
    bytes
}

pub fn number(value: &Value) -> usize {
    value.as_u64().unwrap().try_into().unwrap()
}
