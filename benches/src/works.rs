//! The works that the report tells of: where each is measured, the floor under it, and how fast it is meant to be.

use crate::figures::Figures;

/// One work.
#[derive(Debug)]
pub struct Work {
    /// Its name in `performance.json`.
    pub name: &'static str,
    /// What is done, for a reader.
    pub what: &'static str,
    ours: &'static str,
    floor: &'static [&'static str],
    /// What the floor is.
    pub floor_of: &'static str,
    peers: &'static [(&'static str, &'static str)],
    goals: &'static [Goal],
    /// Why a goal is missed, where one is; found by a profiler.
    pub reason: &'static str,
}

/// How fast a work is meant to be.
#[derive(Debug, Clone, Copy)]
enum Goal {
    /// At most so many times the floor.
    Floor(f64),
    /// At most this part of a peer's time: one of so many.
    Peer(&'static str, f64),
}

/// A work with its figures, in nanoseconds.
#[derive(Debug)]
pub struct Row<'f> {
    /// The work.
    pub work: &'static Work,
    /// What it takes here.
    pub ours: Option<f64>,
    /// What its floor takes.
    pub floor: Option<f64>,
    /// What others take.
    pub peers: Vec<(&'f str, f64)>,
}

/// Which of a work's goals are met, as far as the figures are there that they are about.
#[derive(Debug, Default, PartialEq)]
pub struct Verdict {
    /// The goals that are met, each as text.
    pub met: Vec<String>,
    /// The others.
    pub missed: Vec<String>,
}

const RSA_REASON: &str = "nearly all of the time is `crypto-bigint`'s two exponentiations, which is portable Rust where Go \
                          has assembly";

/// Every work, in the order of the report.
pub const WORKS: [Work; 13] = [
    Work {
        name: "encrypt-digits",
        what: "encrypt six digits into base64, random IV included",
        ours: "encrypt/six-digit",
        floor: &["encrypt/six-digit, floor"],
        floor_of: "16 bytes of ChaCha12, two AES-256-CBC blocks, base64 of 48 bytes",
        peers: &[("mixin-sdk-rs", "peers/encrypt-digits, mixin-sdk-rs")],
        goals: &[Goal::Peer("go", 6.0), Goal::Floor(1.5)],
        reason: "the rest is the atomic counter of the iterator and what waits for bytes just written",
    },
    Work {
        name: "encrypt-tip",
        what: "encrypt a TIP signature into base64",
        ours: "encrypt/tip-signature",
        floor: &["encrypt/tip-signature, floor"],
        floor_of: "16 bytes of ChaCha12, six AES-256-CBC blocks, base64 of 112 bytes",
        peers: &[("mixin-sdk-rs", "peers/encrypt-tip, mixin-sdk-rs")],
        goals: &[Goal::Peer("go", 6.0), Goal::Peer("mixin-sdk-rs", 300.0)],
        reason: "the floor, most of it base64, leaves a twentieth for all the rest",
    },
    Work {
        name: "token-eddsa",
        what: "EdDSA token",
        ours: "token/EdDSA, fast",
        floor: &["token/EdDSA, fast, floor"],
        floor_of: "a bare signature by aws-lc-rs",
        peers: &[
            ("aws-lc-rs", "peers/token-eddsa, aws-lc-rs"),
            ("ring", "peers/token-eddsa, ring"),
            ("openssl", "peers/token-eddsa, OpenSSL"),
            ("mixin-sdk-rs", "peers/token-eddsa, mixin-sdk-rs"),
        ],
        goals: &[Goal::Floor(1.15)],
        reason: "",
    },
    Work {
        name: "token-eddsa-pure",
        what: "EdDSA token, pure Rust",
        ours: "token/EdDSA, pure",
        floor: &["token/EdDSA, pure, floor"],
        floor_of: "a bare signature by ed25519-dalek",
        peers: &[],
        goals: &[Goal::Floor(1.1)],
        reason: "",
    },
    Work {
        name: "token-rs512-1024",
        what: "RS512 token of 1024 bits, pure Rust",
        ours: "token/RS512 1024, pure",
        floor: &["token/RS512 1024, pure, floor"],
        floor_of: "two exponentiations at half the size by crypto-bigint",
        peers: &[("rsa", "peers/token-rs512-1024, rsa"), ("openssl", "peers/token-rs512-1024, OpenSSL")],
        goals: &[Goal::Peer("rsa", 1.0), Goal::Peer("go", 1.0)],
        reason: RSA_REASON,
    },
    Work {
        name: "token-rs512-1024-openssl",
        what: "RS512 token of 1024 bits by the feature `openssl`",
        ours: "token/RS512 1024, OpenSSL",
        floor: &["token/RS512 1024, OpenSSL, floor"],
        floor_of: "a bare signature by OpenSSL",
        peers: &[],
        goals: &[Goal::Floor(1.1)],
        reason: "",
    },
    Work {
        name: "token-rs512-2048",
        what: "RS512 token of 2048 bits",
        ours: "token/RS512 2048, fast",
        floor: &["token/RS512 2048, fast, floor"],
        floor_of: "a bare signature by aws-lc-rs",
        peers: &[
            ("aws-lc-rs", "peers/token-rs512-2048, aws-lc-rs"),
            ("ring", "peers/token-rs512-2048, ring"),
            ("openssl", "peers/token-rs512-2048, OpenSSL"),
        ],
        goals: &[Goal::Floor(1.05)],
        reason: "",
    },
    Work {
        name: "token-rs512-2048-pure",
        what: "RS512 token of 2048 bits, pure Rust",
        ours: "token/RS512 2048, pure",
        floor: &["token/RS512 2048, pure, floor"],
        floor_of: "two exponentiations at half the size by crypto-bigint",
        peers: &[("rsa", "peers/token-rs512-2048, rsa")],
        goals: &[Goal::Peer("rsa", 1.0), Goal::Peer("go", 1.0)],
        reason: RSA_REASON,
    },
    Work {
        name: "call-ed25519-tip",
        what: "encrypt a given TIP signature, JSON body, EdDSA token: from the secret to bytes to send",
        ours: "call/Ed25519, fast, a given TIP signature",
        floor: &["token/EdDSA, fast, floor", "encrypt/tip-signature, floor"],
        floor_of: "a bare signature by aws-lc-rs, and the parts of encrypting",
        peers: &[("mixin-sdk-rs", "peers/call-ed25519-tip, mixin-sdk-rs")],
        goals: &[Goal::Peer("go", 3.0)],
        reason: "a bare signature by aws-lc-rs is nine tenths of the time, and by itself nearly as long",
    },
    Work {
        name: "load-ed25519",
        what: "load an Ed25519 session from a dashboard's keystore, JSON included",
        ours: "session/dashboard",
        floor: &["session/Ed25519, floor"],
        floor_of: "one X25519 and one Ed25519 key expansion by dalek",
        peers: &[],
        goals: &[Goal::Floor(1.2)],
        reason: "",
    },
    Work {
        name: "load-rsa-2048",
        what: "load a session of 2048 bits from a bot's keystore, JSON and PEM included",
        ours: "session/RSA bot 2048",
        floor: &["token/RS512 2048, pure, floor"],
        floor_of: "two exponentiations at half the size by crypto-bigint",
        peers: &[],
        goals: &[],
        reason: "",
    },
    Work {
        name: "hash-1mib",
        what: "hash a request with a body of 1 MiB",
        ours: "claims/hash 1 MiB",
        floor: &["claims/hash 1 MiB, floor"],
        floor_of: "bare SHA-256",
        peers: &[],
        goals: &[],
        reason: "",
    },
    Work {
        name: "http-verify",
        what: "`verify_pin` over loopback, against the sandbox",
        ours: "http/verify_pin",
        floor: &["http/bare ureq", "token/EdDSA, fast, floor"],
        floor_of: "a bare `ureq` call with the same bytes to the same server, and the signature",
        peers: &[],
        goals: &[Goal::Floor(1.1)],
        reason: "three system calls more, for the socket's time limits; the rest is the waking of threads, which varies",
    },
];

impl Work {
    /// The work with its figures.
    pub fn row<'f>(&'static self, figures: &'f Figures) -> Row<'f> {
        // The others do a work in one way, whichever of ours it is beside.
        let theirs = self.name.trim_end_matches("-pure").trim_end_matches("-openssl");
        let clients = figures.clients.iter().filter_map(|(who, times)| Some((who.as_str(), *times.get(theirs)?)));
        let libraries = self.peers.iter().filter_map(|(who, bench)| Some((*who, *figures.benches.get(*bench)?)));
        Row {
            work: self,
            ours: figures.benches.get(self.ours).copied(),
            floor: figures.sum(self.floor),
            peers: clients.chain(libraries).collect(),
        }
    }
}

impl Row<'_> {
    /// What a peer takes.
    pub fn peer(&self, who: &str) -> Option<f64> {
        self.peers.iter().find(|(name, _)| *name == who).map(|(_, took)| *took)
    }

    /// Which of the work's goals are met.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::default();
        for goal in self.work.goals {
            if let Some((is_met, text)) = self.judge(goal) {
                let goals = if is_met { &mut verdict.met } else { &mut verdict.missed };
                goals.push(text);
            }
        }
        verdict
    }

    fn judge(&self, goal: &Goal) -> Option<(bool, String)> {
        let ours = self.ours?;
        Some(match *goal {
            Goal::Floor(times) => (ours <= self.floor? * times, format!("{times} × floor")),
            Goal::Peer(who, 1.0) => (ours <= self.peer(who)?, who.to_owned()),
            Goal::Peer(who, part) => (ours * part <= self.peer(who)?, format!("1/{part} of {who}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_judged_by_the_figures_that_there_are() {
        let mut figures = Figures::default();
        let encrypt = &WORKS[0];
        assert_eq!(encrypt.row(&figures).verdict(), Verdict::default());
        figures.benches.insert("encrypt/six-digit".to_owned(), 100.0);
        assert_eq!(encrypt.row(&figures).verdict(), Verdict::default());
        figures.benches.insert("encrypt/six-digit, floor".to_owned(), 67.0);
        let met = vec!["1.5 × floor".to_owned()];
        assert_eq!(encrypt.row(&figures).verdict(), Verdict { met: met.clone(), missed: vec![] });
        figures.clients.entry("go".to_owned()).or_default().insert("encrypt-digits".to_owned(), 599.0);
        assert_eq!(encrypt.row(&figures).verdict(), Verdict { met, missed: vec!["1/6 of go".to_owned()] });
    }
}
