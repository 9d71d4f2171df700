//! Notes and examples at the end of each subcommand's help. A test parses every example.

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or a check failed
  2  wrong usage or input
  3  outcome unknown: the answer was lost, and the call may have been carried out
  4  no connection, no readable answer, or the session or store is not available

Start with:
  mixin-pin demo
  mixin-pin doctor --keystore keystore.json";

pub(crate) const DEMO: &str = "\
Examples:
  mixin-pin demo
  mixin-pin demo --session ed25519 --json";

pub(crate) const INSPECT: &str = "\
Examples:
  mixin-pin inspect --curl request.txt --public-key key.pem
  mixin-pin inspect --curl - --keystore keystore.json < request.txt
  mixin-pin inspect --token \"$TOKEN\" --method GET --path /me --at 1700000000";

pub(crate) const ENCRYPT: &str = "\
Examples:
  mixin-pin encrypt --keystore keystore.json
  mixin-pin encrypt --keystore keystore.json --pin-stdin < pin.txt";

pub(crate) const DECRYPT: &str = "\
Examples:
  mixin-pin decrypt --keystore keystore.json -- \"$PIN_BASE64\"
  mixin-pin decrypt --keystore keystore.json --reveal -- \"$PIN_BASE64\"";

pub(crate) const TOKEN: &str = "\
Examples:
  mixin-pin token --keystore keystore.json --method GET --path /me
  mixin-pin token --keystore keystore.json --method POST --path /pin/verify --body body.json --ttl 30";

pub(crate) const UPDATE: &str = "\
Examples:
  mixin-pin update --keystore keystore.json --new-user
  mixin-pin update --keystore keystore.json
  mixin-pin update --keystore keystore.json --pin-stdin < old-and-new.txt
  mixin-pin update --keystore keystore.json --spend-key-stdin < spend.key";

pub(crate) const VERIFY: &str = "\
Examples:
  mixin-pin verify --keystore keystore.json
  mixin-pin verify --keystore keystore.json --pin-stdin --json < pin.txt
  mixin-pin verify --keystore keystore.json --tip";

pub(crate) const ME: &str = "\
Examples:
  mixin-pin me --keystore keystore.json
  mixin-pin me --keystore keystore.json --api http://127.0.0.1:8080 --json";

pub(crate) const LOGS: &str = "\
Examples:
  mixin-pin logs --keystore keystore.json --limit 5
  mixin-pin logs --keystore keystore.json --offset 2026-01-31T00:00:00Z";

pub(crate) const ACT: &str = "\
Path, body and signature are made from the action. Without --tip or --spend-key-stdin the PIN has six digits.

Examples:
  mixin-pin act remove-address --address-id \"$ID\" --keystore keystore.json
  mixin-pin act read-emergency-contact --keystore keystore.json --tip
  mixin-pin act log-out --session-id \"$ID\" --keystore keystore.json --spend-key-stdin < spend.key";

pub(crate) const CALL: &str = "\
Examples:
  mixin-pin call GET /safe/me --keystore keystore.json
  mixin-pin call POST /addresses/$ID/delete --keystore keystore.json --with-pin
  mixin-pin call POST /addresses/$ID/delete --keystore keystore.json --tip remove-address --address-id \"$ID\"";

pub(crate) const RESOLVE: &str = "\
The journal does not tell whether there was a PIN before, nor its kind: give --new-user, --tip or --old-tip as for the
update. A change that may still be carried out stays pending until its token has expired. Pending verifications are
removed, because they changed nothing. Other pending calls are named.

Examples:
  mixin-pin resolve --keystore keystore.json
  mixin-pin resolve --keystore keystore.json --new-user --pin-stdin < pin.txt
  mixin-pin resolve --keystore old.json --new-keystore new.json";

pub(crate) const PENDING: &str = "\
After a lost answer, a kill or a power cut, `resolve` settles a change of the PIN or of a session's key. The commands `session`,
`tip change` and `app register` settle their own changes if you run them again. For any other call, such as a transfer, find out
yourself, after its token has expired, whether it was carried out, then remove it with --settled. A call is listed even if it
was never sent.

Examples:
  mixin-pin pending
  mixin-pin pending --keystore keystore.json --json
  mixin-pin pending --settled 6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e --keystore keystore.json";

pub(crate) const STORE: &str = "\
A last iterator more than a day ahead of the clock is refused: either the clock or the iterator is wrong. If the clock
is right, `reset` makes it lead again. If the server has seen such iterators from another client, it refuses calls with 20119,
and only `raise` helps. Every client of the session must then stay above that iterator for ever.

Before `move`, stop every program that uses FROM, or switch it to TO. Give a URL with a password as env:NAME.

Examples:
  mixin-pin store show
  mixin-pin store show --store rediss://cache.example/
  mixin-pin store reset 0b1f7f6e-5d0e-4f6e-9b0e-2f9b9e0f3c11
  mixin-pin store raise 0b1f7f6e-5d0e-4f6e-9b0e-2f9b9e0f3c11 --to-server-time --keystore keystore.json
  mixin-pin store raise 0b1f7f6e-5d0e-4f6e-9b0e-2f9b9e0f3c11 --to 1900000000000000000 --far-ahead
  mixin-pin store create --store postgres://bot@db.example/bot
  mixin-pin store move default rediss://cache.example/
  mixin-pin store move sqlite:old.db sqlite:new.db 0b1f7f6e-5d0e-4f6e-9b0e-2f9b9e0f3c11
  OLD=rediss://:PASSWORD@cache.example/ mixin-pin store move env:OLD postgres://bot@db.example/bot";

pub(crate) const SESSION: &str = "\
Both keys are on disk before anything is sent. The command says which one works, or that this is not known. After an
interruption, run the same command again, or ask without changing anything: mixin-pin resolve --keystore OLD --new-keystore NEW

Examples:
  mixin-pin session upgrade --keystore rsa.json --out ed25519.json
  mixin-pin session upgrade --keystore rsa.json --out ed25519.json --tip-key spend.key
  mixin-pin session upgrade --keystore rsa.json --out ed25519.json --by session-secret
  mixin-pin session rotate --keystore app.json --out new-app.json --owner me.json";

pub(crate) const APP: &str = "\
Examples:
  mixin-pin app register --owner me.json --app-id \"$ID\" --spend-key spend.key";

pub(crate) const TIP: &str = "\
Examples:
  mixin-pin tip new-key --out spend.key
  mixin-pin tip change --keystore keystore.json --new-key spend.key
  mixin-pin tip change --keystore keystore.json --old-key spend.key --new-key new-spend.key
  mixin-pin tip sign --spend-key-stdin read-emergency-contact < spend.key";

pub(crate) const SAFE: &str = "\
These commands ask no server and send nothing. They read files in JSON.

A policy, for --policy. asset, most, most_outputs and until are required. The other values shown are the defaults:
  { \"asset\": \"c94ac88f-4671-3976-b60a-09064f1811e8\", \"most\": \"1.5\", \"most_outputs\": 2,
    \"until\": \"2027-01-31T00:00:00Z\", \"own\": [], \"receivers\": [], \"withdrawals\": [],
    \"extra\": \"none\", \"references\": [], \"unproven\": \"refuse\" }
most limits the sum of all outputs that are not proven to come back to an address of own. A withdrawal is
{ \"address\": \"…\", \"tag\": \"…\" }. extra may be { \"exactly\": \"hex\" } or { \"at_most\": 64 }. unproven says which outputs are
allowed whose receiver is not proven: none (refuse), those that a server's answer names (attested), or all (any).

The outputs that are spent, for --inputs: a list. An item is the raw transaction that has the output, in hex, which proves it,
or an item of the answer to GET /safe/outputs. Whole answers will do, too, also those to GET /safe/transactions/HASH.

Claims on receivers, for --receivers: a list of { \"output\": 0, \"address\": \"MIX…\" } with one of these. A receiver with keys
is proven by \"trace\", from which the sender's spend key derives the mask secret, or by \"mask_secret\". Co-signers have no
such key: the sender gives them what safe check writes to --receivers-out. For users there is only the server's answer to
POST /safe/keys, as \"mask\" and \"keys\". Add the output and the address to its item.

Views, for --views: a list of one for each input, in hex, or the answer to POST /safe/transaction/requests.

Examples:
  mixin-pin safe explain - < raw.txt
  mixin-pin safe check \"$RAW\" --policy policy.json --inputs inputs.json
  mixin-pin safe sign \"$RAW\" --policy policy.json --inputs inputs.json --views views.json --keystore keystore.json
  mixin-pin safe verify - --inputs inputs.json < signed.txt
  mixin-pin safe address MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc";

pub(crate) const KEYSTORE: &str = "\
Examples:
  mixin-pin keystore check keystore.json
  mixin-pin keystore convert keystore.json --shape node --out for-node.json
  mixin-pin keystore lock keystore.json
  mixin-pin keystore new --kind ed25519 --app-keystore app.json --name Me --out me.json";

pub(crate) const CONVERT: &str = "\
Examples:
  mixin-pin keystore convert keystore.json --shape node --out for-node.json
  mixin-pin keystore convert keystore.json --shape dashboard --with-spend-key --out dashboard.json
  mixin-pin keystore convert - --shape ruby --out for-ruby.json < keystore.json";

pub(crate) const LOCK: &str = "\
A locked keystore is an age file. Every command asks for its passphrase; age and rage can decrypt it too.
For scripts, MIXIN_PASSPHRASE_FILE names a file whose first line is the passphrase.
The old content stays on the disk until other data overwrites it.

Examples:
  mixin-pin keystore lock keystore.json
  mixin-pin keystore lock keystore.json --out locked.json";

pub(crate) const UNLOCK: &str = "\
Examples:
  mixin-pin keystore unlock keystore.json
  mixin-pin keystore unlock locked.json --out keystore.json";

pub(crate) const DOCTOR: &str = "\
It sends one GET /me, which changes nothing and costs no try. It sends no PIN.

Examples:
  mixin-pin doctor --keystore keystore.json
  mixin-pin doctor --keystore keystore.json --store rediss://cache.example/ --json";

pub(crate) const EXPLAIN: &str = "\
Examples:
  mixin-pin explain 20119
  mixin-pin explain unknown";

pub(crate) const SANDBOX: &str = "\
Examples:
  mixin-pin sandbox --user-keystore-out me.json
  mixin-pin sandbox --listen 127.0.0.1:8080 --db sandbox.db --app-keystore-out app.json
  mixin-pin sandbox --accounts users.json --record calls.jsonl

A file for --accounts:
  [{ \"keystore\": \"alice.json\", \"full_name\": \"Alice\", \"pin\": \"314159\" },
   { \"keystore\": \"bob.json\", \"full_name\": \"Bob\", \"tip\": true },
   { \"keystore\": \"carol.json\", \"full_name\": \"Carol\", \"tip_key\": \"TIP public key in hex or base64\" },
   { \"keystore\": \"bot.json\", \"full_name\": \"Bot\", \"owner\": \"user id of the app's owner\" }]";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  mixin-pin completions bash > ~/.local/share/bash-completion/completions/mixin-pin
  mixin-pin completions zsh > ~/.zfunc/_mixin-pin
  mixin-pin completions fish > ~/.config/fish/completions/mixin-pin.fish";

pub(crate) const MAN: &str = "\
Examples:
  mixin-pin man --out ~/.local/share/man/man1";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use crate::args::Cli;

    fn examples(command: &clap::Command, found: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        found.extend(help.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned));
        command.get_subcommands().for_each(|command| examples(command, found));
    }

    #[test]
    fn every_example_is_a_command_line() {
        let mut found = Vec::new();
        examples(&Cli::command(), &mut found);
        let mut count = 0;
        for line in found.iter().filter(|line| line.starts_with("mixin-pin ")) {
            // Without what a shell would remove or expand.
            let line = line.split(['<', '>']).next().unwrap().replace("$ID", "6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e");
            let words = shlex::split(&line).unwrap();
            assert!(Cli::try_parse_from(&words).is_ok(), "{line}");
            count += 1;
        }
        assert!(count > 40, "{count}");
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Examples:"), "{}", command.get_name());
        }
    }
}
