//! Sends a request's headers and body in one write, and so in one TLS record and one packet where they fit, instead of one
//! for each: the server wakes once.

use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport as Connection};

/// Room for an answer's headers, which must fit, and for a request with its body, which need not.
const INPUT: usize = 64 * 1024;
const OUTPUT: usize = 32 * 1024;
/// How much room whoever writes headers and body is always left.
const ROOM: usize = 16 * 1024;

/// A connection whose output waits until the answer is asked for, or until there is little room left for more.
#[derive(Debug)]
pub(crate) struct OneWrite<C> {
    connection: C,
    buffers: WaitingBuffers,
}

impl<C: Connection> OneWrite<C> {
    pub(crate) fn new(connection: C) -> Self {
        Self { connection, buffers: WaitingBuffers { buffers: LazyBuffers::new(INPUT, OUTPUT), waiting: 0 } }
    }

    fn flush(&mut self, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let waiting = std::mem::take(&mut self.buffers.waiting);
        let mut rest = &self.buffers.output()[..waiting];
        while !rest.is_empty() {
            let output = self.connection.buffers().output();
            let (now, later) = rest.split_at(rest.len().min(output.len()));
            output[..now.len()].copy_from_slice(now);
            self.connection.transmit_output(now.len(), timeout)?;
            rest = later;
        }
        Ok(())
    }
}

impl<C: Connection> Connection for OneWrite<C> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.buffers.waiting += amount;
        if self.buffers.output().len() < ROOM { self.flush(timeout) } else { Ok(()) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.flush(timeout)?;
        if self.connection.buffers().input().is_empty() {
            self.connection.await_input(timeout)?;
        }
        let received = self.connection.buffers().input();
        let room = self.buffers.input_append_buf();
        let amount = received.len().min(room.len());
        room[..amount].copy_from_slice(&received[..amount]);
        self.buffers.input_appended(amount);
        self.connection.buffers().input_consume(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.connection.is_open()
    }

    fn is_tls(&self) -> bool {
        self.connection.is_tls()
    }
}

/// Buffers whose output begins where the waiting part of it ends.
#[derive(Debug)]
struct WaitingBuffers {
    buffers: LazyBuffers,
    waiting: usize,
}

impl Buffers for WaitingBuffers {
    fn output(&mut self) -> &mut [u8] {
        &mut self.buffers.output()[self.waiting..]
    }

    fn input(&self) -> &[u8] {
        self.buffers.input()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.buffers.input_append_buf()
    }

    fn input_appended(&mut self, amount: usize) {
        self.buffers.input_appended(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        self.buffers.input_consume(amount);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let (tmp, output) = self.buffers.tmp_and_output();
        (tmp, &mut output[self.waiting..])
    }

    fn can_use_input(&self) -> bool {
        self.buffers.can_use_input()
    }
}
