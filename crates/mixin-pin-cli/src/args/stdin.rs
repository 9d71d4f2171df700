//! Which options of a command read standard input. There is one, so two of them are a mistake.

use std::path::Path;

use super::{ActArgs, Command, ResolveArgs, SessionCommand, TipCommand, UpdateArgs, VerifyArgs};
use crate::error::Error;
use crate::files::is_stdin;

const KEYSTORE: &str = "--keystore -";
const BODY: &str = "--body -";
const PIN: &str = "--pin-stdin";
const SPEND_KEY: &str = "--spend-key-stdin";

impl Command {
    /// # Errors
    /// [`Error::StdinTwice`] if two options read standard input to its end.
    pub(crate) fn check_stdin(&self) -> Result<(), Error> {
        let readers = self.stdin_readers().into_iter().filter_map(|(option, reads)| reads.then_some(option));
        let readers: Vec<_> = readers.collect();
        match readers[..] {
            // Both read one line each.
            [PIN, SPEND_KEY] => Ok(()),
            [first, second, ..] => Err(Error::StdinTwice { first, second }),
            _ => Ok(()),
        }
    }

    fn stdin_readers(&self) -> Vec<(&'static str, bool)> {
        let dash = |path: Option<&Path>| path.is_some_and(is_stdin);
        match self {
            Self::Inspect(args) => vec![
                (KEYSTORE, dash(args.keystore.as_deref())),
                ("--curl -", dash(args.curl.as_deref())),
                (BODY, dash(args.body.as_deref())),
            ],
            Self::Encrypt(args) => vec![(KEYSTORE, is_stdin(&args.session.keystore)), (PIN, args.source.pin_stdin)],
            Self::Token(args) => vec![(KEYSTORE, is_stdin(&args.session.keystore)), (BODY, dash(args.body.as_deref()))],
            Self::Update(UpdateArgs { client, source, tip, .. }) | Self::Verify(VerifyArgs { client, source, tip }) => {
                vec![
                    (KEYSTORE, is_stdin(&client.session.keystore)),
                    (PIN, source.pin_stdin),
                    (SPEND_KEY, tip.spend_key_stdin),
                ]
            }
            Self::Resolve(ResolveArgs { client, source, tip, new_keystore, .. }) => vec![
                (KEYSTORE, is_stdin(&client.session.keystore)),
                ("--new-keystore -", dash(new_keystore.as_deref())),
                (PIN, source.pin_stdin),
                (SPEND_KEY, tip.spend_key_stdin),
            ],
            Self::Act(ActArgs { permit, .. }) => vec![
                (KEYSTORE, is_stdin(&permit.client.session.keystore)),
                (PIN, permit.source.pin_stdin),
                (SPEND_KEY, permit.tip.spend_key_stdin),
            ],
            Self::Call(args) => vec![
                (KEYSTORE, is_stdin(&args.client.session.keystore)),
                (BODY, dash(args.body.as_deref())),
                (PIN, args.source.pin_stdin),
                (SPEND_KEY, args.spend_key_stdin),
            ],
            Self::Session(SessionCommand::Upgrade(args)) => {
                vec![(KEYSTORE, is_stdin(&args.client.session.keystore)), (PIN, args.source.pin_stdin)]
            }
            Self::Session(SessionCommand::Rotate(args)) => {
                vec![(KEYSTORE, is_stdin(&args.client.session.keystore)), ("--owner -", dash(args.owner.as_deref()))]
            }
            Self::Tip(TipCommand::Change(args)) => {
                vec![(KEYSTORE, is_stdin(&args.client.session.keystore)), (PIN, args.source.pin_stdin)]
            }
            Self::Tip(TipCommand::Sign(args)) => {
                vec![(KEYSTORE, dash(args.keystore_to_read())), (SPEND_KEY, args.spend_key_stdin)]
            }
            // The others read one keystore, or nothing.
            _ => Vec::new(),
        }
    }
}
