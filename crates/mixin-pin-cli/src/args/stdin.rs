//! Which options of a command read standard input. There is one, so two of them are a mistake.

use std::path::Path;

use super::{
    ActArgs, Command, EvidenceArgs, ResolveArgs, SafeCommand, SessionCommand, SpendKeyArgs, TipCommand, UpdateArgs,
    VerifyArgs,
};
use crate::error::Error;
use crate::files::is_stdin;

const KEYSTORE: &str = "--keystore -";
const BODY: &str = "--body -";
const RAW: &str = "RAW -";
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
            Self::Safe(command) => safe_readers(command),
            // The others read one keystore, or nothing.
            _ => Vec::new(),
        }
    }
}

fn safe_readers(command: &SafeCommand) -> Vec<(&'static str, bool)> {
    let dash = |path: Option<&Path>| path.is_some_and(is_stdin);
    let evidence = |evidence: &EvidenceArgs| {
        [("--inputs -", dash(evidence.inputs.as_deref())), ("--receivers -", dash(evidence.receivers.as_deref()))]
    };
    let key = |key: &SpendKeyArgs| [(KEYSTORE, dash(key.keystore_to_read())), (SPEND_KEY, key.spend_key_stdin)];
    match command {
        SafeCommand::Explain(args) => {
            let mut readers = vec![(RAW, args.raw == "-")];
            readers.extend(evidence(&args.evidence));
            readers.extend(args.evidence.receivers.is_some().then(|| key(&args.evidence.key)).into_iter().flatten());
            readers
        }
        SafeCommand::Check(args) => {
            let mut readers = vec![(RAW, args.raw == "-"), ("--policy -", is_stdin(&args.policy))];
            readers.extend(evidence(&args.evidence));
            readers.extend(args.evidence.receivers.is_some().then(|| key(&args.evidence.key)).into_iter().flatten());
            readers
        }
        SafeCommand::Sign(args) => {
            let mut readers = vec![
                (RAW, args.raw == "-"),
                ("--policy -", is_stdin(&args.policy)),
                ("--views -", is_stdin(&args.views)),
            ];
            readers.extend(evidence(&args.evidence));
            readers.extend(key(&args.evidence.key));
            readers
        }
        SafeCommand::Verify(args) => vec![(RAW, args.raw == "-"), ("--inputs -", is_stdin(&args.inputs))],
        SafeCommand::Address(_) => Vec::new(),
    }
}
