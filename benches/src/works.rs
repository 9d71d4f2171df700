//! The work that the report compares, the benches that time it, and the floors that no implementation can beat.

use crate::figures::Figures;

/// One kind of work.
#[derive(Debug)]
pub struct Work {
    /// Name in `performance.json`.
    pub name: &'static str,
    /// Description for a reader.
    pub what: &'static str,
    ours: &'static str,
    floor: &'static [&'static str],
    /// Description of the floor.
    pub floor_of: &'static str,
    peers: &'static [(&'static str, &'static str)],
    /// The most that the work should take, as a multiple of its floor.
    pub goal: Option<f64>,
}

/// A work with its figures, in nanoseconds.
#[derive(Debug)]
pub struct Row<'f> {
    /// The work.
    pub work: &'static Work,
    /// Our time.
    pub ours: Option<f64>,
    /// The floor's time.
    pub floor: Option<f64>,
    /// Times of other clients and libraries, by name.
    pub peers: Vec<(&'f str, f64)>,
}

const ENCRYPT: &str = "encrypt/tip-signature, floor";
const ED25519: &str = "token/EdDSA, fast, floor";

/// All works, in the order of the report.
pub const WORKS: [Work; 19] = [
    Work {
        name: "encrypt-digits",
        what: "encrypt six digits into base64, random IV included",
        ours: "encrypt/six-digit",
        floor: &["encrypt/six-digit, floor"],
        floor_of: "16 bytes of ChaCha12, two AES-256-CBC blocks, base64 of 48 bytes",
        peers: &[("mixin-sdk-rs", "peers/encrypt-digits, mixin-sdk-rs")],
        goal: Some(1.5),
    },
    Work {
        name: "encrypt-tip",
        what: "encrypt a TIP signature into base64",
        ours: "encrypt/tip-signature",
        floor: &[ENCRYPT],
        floor_of: "16 bytes of ChaCha12, six AES-256-CBC blocks, base64 of 112 bytes",
        peers: &[("mixin-sdk-rs", "peers/encrypt-tip, mixin-sdk-rs")],
        goal: Some(1.5),
    },
    Work {
        name: "token-eddsa",
        what: "EdDSA token",
        ours: "token/EdDSA, fast",
        floor: &[ED25519],
        floor_of: "a bare signature by aws-lc-rs",
        peers: &[
            ("ring", "peers/token-eddsa, ring"),
            ("openssl", "peers/token-eddsa, OpenSSL"),
            ("mixin-sdk-rs", "peers/token-eddsa, mixin-sdk-rs"),
        ],
        goal: Some(1.15),
    },
    Work {
        name: "token-eddsa-pure",
        what: "EdDSA token, pure Rust",
        ours: "token/EdDSA, pure",
        floor: &["token/EdDSA, pure, floor"],
        floor_of: "a bare signature by ed25519-dalek",
        peers: &[],
        goal: Some(1.1),
    },
    Work {
        name: "token-rs512-1024-pure",
        what: "RS512 token of 1024 bits, pure Rust",
        ours: "token/RS512 1024, pure",
        floor: &["token/RS512 1024, pure, floor"],
        floor_of: "a bare, blinded signature by rsa",
        peers: &[("openssl", "peers/token-rs512-1024, OpenSSL")],
        goal: Some(1.1),
    },
    Work {
        name: "token-rs512-1024-openssl",
        what: "RS512 token of 1024 bits by the feature `openssl`",
        ours: "token/RS512 1024, OpenSSL",
        floor: &["peers/token-rs512-1024, OpenSSL"],
        floor_of: "a bare signature by OpenSSL",
        peers: &[],
        goal: Some(1.1),
    },
    Work {
        name: "token-rs512-2048",
        what: "RS512 token of 2048 bits",
        ours: "token/RS512 2048, fast",
        floor: &["token/RS512 2048, fast, floor"],
        floor_of: "a bare signature by aws-lc-rs",
        peers: &[("ring", "peers/token-rs512-2048, ring"), ("openssl", "peers/token-rs512-2048, OpenSSL")],
        goal: Some(1.05),
    },
    Work {
        name: "token-rs512-2048-pure",
        what: "RS512 token of 2048 bits, pure Rust",
        ours: "token/RS512 2048, pure",
        floor: &["token/RS512 2048, pure, floor"],
        floor_of: "a bare, blinded signature by rsa",
        peers: &[],
        goal: Some(1.1),
    },
    Work {
        name: "call-ed25519-tip",
        what: "prepare a call: encrypt a given TIP signature, write the JSON body, sign the token",
        ours: "call/Ed25519, fast, a given TIP signature",
        floor: &[ED25519, ENCRYPT],
        floor_of: "a bare signature by aws-lc-rs, and the floor of `encrypt-tip`",
        peers: &[("mixin-sdk-rs", "peers/call-ed25519-tip, mixin-sdk-rs")],
        goal: Some(1.3),
    },
    Work {
        name: "load-ed25519",
        what: "load an Ed25519 session from a dashboard's keystore, JSON included",
        ours: "session/dashboard",
        floor: &["session/Ed25519, floor"],
        floor_of: "one X25519 agreement and one Ed25519 key expansion by dalek",
        peers: &[],
        goal: Some(1.2),
    },
    Work {
        name: "load-rsa-2048",
        what: "load a session of 2048 bits from a bot's keystore, JSON and PEM included",
        ours: "session/RSA bot 2048",
        floor: &["session/RSA 2048, floor"],
        floor_of: "one blinded RSA-OAEP decryption by rsa",
        peers: &[],
        goal: None,
    },
    Work {
        name: "http-verify",
        what: "`verify_pin` over loopback, against the sandbox",
        ours: "http/verify_pin",
        floor: &["http/bare ureq", ED25519],
        floor_of: "a bare `ureq` call with the same bytes to the same server, and the signature",
        peers: &[],
        goal: Some(1.1),
    },
    Work {
        name: "http-verify-async",
        what: "the same by the async client",
        ours: "http/verify_pin, async",
        floor: &["http/bare reqwest", ED25519],
        floor_of: "the same with `reqwest`",
        peers: &[],
        goal: Some(1.1),
    },
    Work {
        name: "machine-verify",
        what: "`verify_pin` in the call machine, without I/O, pure Rust",
        ours: "machine/verify_pin",
        floor: &["machine/floor: prepare, sign and read"],
        floor_of: "preparing, signing and reading alone",
        peers: &[],
        goal: None,
    },
    Work {
        name: "safe-sign",
        what: "sign one input of a Safe transaction that was made ready, and hash the payload",
        ours: "safe/sign one input",
        floor: &["safe/sign one input, floor"],
        floor_of: "a bare signature by ed25519-dalek, and BLAKE3 of the payload",
        peers: &[],
        goal: Some(1.2),
    },
    Work {
        name: "safe-ready",
        what: "the same, but make it ready first: find the key among those of the spent output",
        ours: "safe/make one input ready and sign it",
        floor: &["safe/sign one input, floor"],
        floor_of: "the floor of `safe-sign`",
        peers: &[],
        goal: None,
    },
    Work {
        name: "safe-merge",
        what: "verify and merge 11 signatures",
        ours: "safe/merge 11 signatures",
        floor: &["safe/merge 11 signatures, floor"],
        floor_of: "11 bare verifications by ed25519-dalek",
        peers: &[],
        goal: None,
    },
    Work {
        name: "safe-explain",
        what: "explain a transaction of 256 inputs and 256 outputs",
        ours: "safe/explain 256 inputs and outputs",
        floor: &["safe/explain 256 inputs and outputs, floor"],
        floor_of: "decoding, the hash, and reading 512 points by curve25519-dalek",
        peers: &[],
        goal: None,
    },
    Work {
        name: "safe-check",
        what: "check the same transaction by a policy",
        ours: "safe/check 256 inputs and outputs",
        floor: &["safe/check 256 inputs and outputs, floor"],
        floor_of: "the floor of `safe-explain`, and the order of 512 points",
        peers: &[],
        goal: None,
    },
];

impl Work {
    /// Finds the work's figures.
    pub fn row<'f>(&'static self, figures: &'f Figures) -> Row<'f> {
        // Other clients have one way to do each work; it is compared with each of ours.
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
    /// A peer's time.
    pub fn peer(&self, who: &str) -> Option<f64> {
        self.peers.iter().find(|(name, _)| *name == who).map(|(_, took)| *took)
    }

    /// Our time as a multiple of the floor.
    pub fn times_floor(&self) -> Option<f64> {
        Some(self.ours? / self.floor?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_figures_that_were_measured() {
        let mut figures = Figures::default();
        let encrypt = &WORKS[0];
        figures.benches.insert("encrypt/six-digit".to_owned(), 100.0);
        assert_eq!(encrypt.row(&figures).times_floor(), None);
        figures.benches.insert("encrypt/six-digit, floor".to_owned(), 80.0);
        figures.clients.entry("node".to_owned()).or_default().insert("encrypt-digits".to_owned(), 599.0);
        let row = encrypt.row(&figures);
        assert_eq!((row.times_floor(), row.peer("node"), row.peer("python")), (Some(1.25), Some(599.0), None));
    }
}
