//! The `mixin-pin` command: create, change, verify and inspect Mixin PINs.
#![forbid(unsafe_code)]

mod args;
mod client;
mod commands;
mod error;
mod files;
mod guided;
mod journal;
mod keystore;
mod outcome;
mod output;
mod pins;
mod redact;
mod registration;
mod safe;
mod system;
mod time;
mod usage;

use std::process::ExitCode;

use clap::Parser as _;

use args::Cli;
use output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(error),
    };
    let output = Output::new(cli.json);
    match cli.command.check_stdin().and_then(|()| commands::run(&cli.command, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.failure(&error, &commands::explain::topic_of(&error));
            ExitCode::from(error.exit_code())
        }
    }
}
