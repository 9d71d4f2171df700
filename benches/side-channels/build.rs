//! Compiles the requests to Valgrind, which its headers give as macros of C only.

fn main() {
    #[cfg(feature = "paths")]
    cc::Build::new().file("src/memcheck.c").compile("memcheck");
    println!("cargo::rerun-if-changed=src/memcheck.c");
}
