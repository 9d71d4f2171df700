//! What a TIP key signs for a request is what an independent program makes of its path and body.

#[path = "common/actions.rs"]
mod actions;
#[path = "common/python.rs"]
mod python;

use std::collections::BTreeSet;

use mixin_pin_protocol::action::Action;
use mixin_pin_protocol::core::uuid::Uuid;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

const OF_EACH_KIND: usize = 40;

#[test]
fn the_signed_bytes_are_those_of_an_independent_program() {
    let Some(python) = python::find("hashlib", "the_signed_bytes_are_those_of_an_independent_program") else { return };
    let (mut runner, kinds) = (TestRunner::default(), actions::kinds());
    let mut prefixes = BTreeSet::new();
    let mut cases = Vec::new();
    for kind in kinds {
        for _ in 0..OF_EACH_KIND {
            let strategy = (&kind, any::<u128>().prop_map(Uuid::from_u128));
            let (action, user_id) = strategy.new_tree(&mut runner).unwrap().current();
            let (path, body) = (action.path(user_id), action.body());
            let line = json!({ "method": Action::METHOD, "path": path, "body": body, "user_id": user_id.to_string() });
            let signed: Vec<String> =
                action.signed(user_id).map(|action| base16ct::lower::encode_string(action.body().as_bytes())).collect();
            let prefix = action.tip(user_id).prefix();
            prefixes.insert(prefix);
            cases.push((action, line, json!({ "prefix": prefix, "signed": signed })));
        }
    }
    // Both kinds of transactions have the same prefix.
    assert_eq!(prefixes.len(), actions::KINDS - 1);
    python::compare(python, "actions.py", &cases);
}
