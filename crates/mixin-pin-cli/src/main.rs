//! The `mixin-pin` command: create, change, prove and inspect Mixin PINs.
#![forbid(unsafe_code)]

mod action;
mod args;
mod commands;
mod environment;
mod error;
mod explained;
mod files;
mod help;
mod interrupt;
mod keystores;
mod lock;
mod output;
mod pins;
mod quoted;
mod store;
mod time;
mod usage;
mod weak;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command, KeystoreCommand, StoreCommand, TipCommand};
use error::Error;
use output::Output;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::report(error),
    };
    let output = Output::new(cli.json);
    let result = run(&cli.command, &output);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.failure(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: &Command, output: &Output) -> Result<(), Error> {
    match command {
        Command::Demo(args) => commands::demo::run(args, output),
        Command::Inspect(args) => commands::inspect::run(args, output),
        Command::Encrypt(args) => commands::encrypt::encrypt(args, output),
        Command::Decrypt(args) => commands::encrypt::decrypt(args, output),
        Command::Token(args) => commands::token::run(args, output),
        Command::Update(args) => commands::calls::update(args, output),
        Command::Verify(args) => commands::calls::verify(args, output),
        Command::Me(args) => commands::calls::me(args, output),
        Command::Logs(args) => commands::calls::logs(args, output),
        Command::Call(args) => commands::call::run(args, output),
        Command::Resolve(args) => commands::resolve::run(args, output),
        Command::Store(StoreCommand::Show(args)) => commands::store::show(args, output),
        Command::Store(StoreCommand::Reset(args)) => commands::store::reset(args, output),
        Command::Store(StoreCommand::Raise(args)) => commands::store::raise(args, output),
        Command::Tip(TipCommand::Sign(args)) => commands::tip::sign(args, output),
        Command::Tip(TipCommand::NewKey(args)) => commands::tip::new_key(args, output),
        Command::Keystore(KeystoreCommand::New(args)) => commands::keystore::new(args, output),
        Command::Keystore(KeystoreCommand::Check(args)) => commands::keystore::check(args, output),
        Command::Keystore(KeystoreCommand::Lock(args)) => commands::keystore::lock(args, output),
        Command::Keystore(KeystoreCommand::Unlock(args)) => commands::keystore::unlock(args, output),
        Command::Doctor(args) => commands::doctor::run(args, output),
        Command::Explain(args) => commands::explain::run(args, output),
        Command::Sandbox(args) => {
            // It stops in an order of its own.
            interrupt::leave_to_command();
            commands::sandbox::run(args, output)
        }
        Command::Completions(args) => commands::generate::completions(args, output),
        Command::Man(args) => commands::generate::man(args, output),
    }
}
