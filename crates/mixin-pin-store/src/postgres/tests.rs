//! Tests of parts that need the inside of the store.
