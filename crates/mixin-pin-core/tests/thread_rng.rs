//! A forked process draws other bytes than its parent does, at once.
#![cfg(unix)]
#![allow(unsafe_code)] // `fork` is.

use std::io::{Read as _, Write as _};

use mixin_pin_core::ThreadRng;
use rand_core::Rng;

const DRAW: usize = 32;

/// What the parent draws next, and what a child forked at that moment draws instead.
fn next_of_parent_and_child(rng: &mut dyn Rng) -> [[u8; DRAW]; 2] {
    let [mut parent, mut child] = [[0; DRAW]; 2];
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    // SAFETY: the child draws, writes and exits, without a lock that another thread may have held.
    match unsafe { libc::fork() } {
        -1 => panic!("{}", std::io::Error::last_os_error()),
        0 => {
            rng.fill_bytes(&mut child);
            let written = writer.write_all(&child);
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(i32::from(written.is_err())) }
        }
        pid => {
            drop(writer);
            rng.fill_bytes(&mut parent);
            reader.read_exact(&mut child).unwrap();
            let mut status = 0;
            // SAFETY: `status` is where the child's status goes.
            assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
            assert_eq!(status, 0);
            [parent, child]
        }
    }
}

#[test]
fn a_forked_process_draws_bytes_of_its_own() {
    let mut rng = ThreadRng::new().unwrap();
    rng.fill_bytes(&mut [0; DRAW]); // Part of a block is kept, which must not be shared either.
    for _ in 0..10 {
        let [parent, child] = next_of_parent_and_child(&mut rng);
        assert_ne!(parent, child);
    }
}

#[test]
fn without_a_guard_it_would_not() {
    let [parent, child] = next_of_parent_and_child(&mut rand::rng());
    assert_eq!(parent, child, "the test above can fail");
}
