//! The C library's start-up code calls `main`, and `getrandom` asks the C library; nothing else is linked.

fn main() {
    println!("cargo:rustc-link-lib=c");
}
