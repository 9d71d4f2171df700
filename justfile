# Shortcuts for the scripts that check this project. Each recipe is one command that works without `just`.

[private]
default:
    @just --list

# Format, lints and unit tests: before each commit.
check:
    .ci/check

# All tests.
test:
    cargo test --workspace

# Everything that must pass before a change lands.
ci:
    .ci/run

# The claims of docs/audit.md: all, or those named.
audit *claims:
    .ci/audit {{ claims }}

# Each fuzz target from its seeds.
fuzz seconds="20":
    fuzz/run --seconds {{ seconds }}

# All benches, other clients too, then the report.
bench:
    cargo bench --locked --workspace --features mixin-pin-benches/peers
    benches/peers/run
    cargo run --locked --release -p mixin-pin-benches --bin report

# WebAssembly, a microcontroller, Windows and macOS.
targets:
    .ci/targets

# Record the output in docs/command.md again.
record:
    cargo build --locked --bin mixin-pin
    .ci/record

# The book, into target/book.
book:
    mdbook build docs
