//! Compiles Valgrind's client requests, which are C macros.

fn main() {
    #[cfg(feature = "paths")]
    cc::Build::new().file("src/memcheck.c").compile("memcheck");
    println!("cargo::rerun-if-changed=src/memcheck.c");
}
