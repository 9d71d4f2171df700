//! The pages of the book in `docs/`. `cargo test` compiles and runs their Rust blocks.
#![forbid(unsafe_code)]

macro_rules! pages {
    ($($name:ident $file:literal)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../../docs/", $file))]
            struct $name;
        )*

        /// The pages whose Rust blocks are tested.
        pub const PAGES: &[&str] = &[$($file),*];
    };
}

pages! {
    Start "start.md"
    Glossary "glossary.md"
    Production "production.md"
    Tip "tip.md"
    Money "money.md"
    Sessions "sessions.md"
    Embedding "embedding.md"
    Nonces "nonces.md"
    Stores "stores.md"
    Crashes "crashes.md"
    Errors "errors.md"
    Sandbox "sandbox.md"
    Command "command.md"
    ComingFrom "coming-from.md"
    Protocol "protocol.md"
    Architecture "architecture.md"
    Security "security.md"
    Dependencies "dependencies.md"
    Audit "audit.md"
    Performance "performance.md"
}
