//! A server that sends generated answers, valid or not: the client ends every call, accepts only valid answers, sends no
//! encrypted PIN twice, and limits its memory.

mod common;
#[path = "common/hostile.rs"]
mod hostile;

use common::{builder, pin};
use hostile::{Answers, TIMEOUT, setting};
use mixin_pin_test_memory::Memory;

#[global_allocator]
static MEMORY: Memory = Memory;

#[test]
fn the_client_survives_any_answer() {
    let (cases, mut answers) = (setting("MIXIN_PIN_CASES", 5_000), Answers::start());
    let client = builder().base_url(&answers.url).timeout(TIMEOUT).build().unwrap();
    for case in 0..cases {
        let result = client.verify_pin(&pin());
        answers.check(case, result);
    }
    answers.finish(cases);
}
