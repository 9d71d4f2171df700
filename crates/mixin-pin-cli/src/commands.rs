//! The subcommands, one module each, and the dispatch to them.

mod act;
mod app;
mod call;
mod demo;
mod doctor;
mod encrypt;
pub(crate) mod explain;
mod generate;
mod inspect;
mod keystore;
mod logs;
mod me;
mod pending;
mod resolve;
mod safe;
mod sandbox;
mod session;
mod store;
mod store_move;
mod tip;
mod token;
mod update;
mod verify;

use crate::args::{AppCommand, Command, KeystoreCommand, SafeCommand, SessionCommand, StoreCommand, TipCommand};
use crate::error::Error;
use crate::output::Output;

/// Runs one subcommand.
pub(crate) fn run(command: &Command, output: &Output) -> Result<(), Error> {
    match command {
        Command::Demo(args) => demo::run(args, output),
        Command::Inspect(args) => inspect::run(args, output),
        Command::Encrypt(args) => encrypt::encrypt(args, output),
        Command::Decrypt(args) => encrypt::decrypt(args, output),
        Command::Token(args) => token::run(args, output),
        Command::Update(args) => update::run(args, output),
        Command::Verify(args) => verify::run(args, output),
        Command::Me(args) => me::run(args, output),
        Command::Logs(args) => logs::run(args, output),
        Command::Act(args) => act::run(args, output),
        Command::Call(args) => call::run(args, output),
        Command::Resolve(args) => resolve::run(args, output),
        Command::Pending(args) => pending::run(args, output),
        Command::Store(StoreCommand::Show(args)) => store::show(args, output),
        Command::Store(StoreCommand::Reset(args)) => store::reset(args, output),
        Command::Store(StoreCommand::Raise(args)) => store::raise(args, output),
        Command::Store(StoreCommand::Create(args)) => store::create(args, output),
        Command::Store(StoreCommand::Move(args)) => store_move::run(args, output),
        Command::Session(SessionCommand::Upgrade(args)) => session::upgrade(args, output),
        Command::Session(SessionCommand::Rotate(args)) => session::rotate(args, output),
        Command::App(AppCommand::Register(args)) => app::register(args, output),
        Command::Tip(TipCommand::Change(args)) => tip::change(args, output),
        Command::Tip(TipCommand::Sign(args)) => tip::sign(args, output),
        Command::Tip(TipCommand::NewKey(args)) => tip::new_key(args, output),
        Command::Keystore(KeystoreCommand::New(args)) => keystore::new(args, output),
        Command::Keystore(KeystoreCommand::Check(args)) => keystore::check(args, output),
        Command::Keystore(KeystoreCommand::Convert(args)) => keystore::convert(args, output),
        Command::Keystore(KeystoreCommand::Lock(args)) => keystore::lock(args, output),
        Command::Keystore(KeystoreCommand::Unlock(args)) => keystore::unlock(args, output),
        Command::Safe(SafeCommand::Explain(args)) => safe::explain(args, output),
        Command::Safe(SafeCommand::Check(args)) => safe::check(args, output),
        Command::Safe(SafeCommand::Sign(args)) => safe::sign(args, output),
        Command::Safe(SafeCommand::Verify(args)) => safe::verify(args, output),
        Command::Safe(SafeCommand::Address(args)) => safe::address(args, output),
        Command::Doctor(args) => doctor::run(args, output),
        Command::Explain(args) => explain::run(args, output),
        Command::Sandbox(args) => sandbox::run(args, output),
        Command::Completions(args) => generate::completions(args, output),
        Command::Man(args) => generate::man(args, output),
    }
}
