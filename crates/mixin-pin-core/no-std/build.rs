//! Links the C library, whose start-up code calls `main` and whose functions `getrandom` calls.

fn main() {
    println!("cargo:rustc-link-lib=c");
}
