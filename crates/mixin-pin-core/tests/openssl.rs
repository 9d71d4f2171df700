//! Both directions against an independent implementation: the `openssl` command.
#![cfg(all(feature = "rsa", feature = "ed25519"))]

mod common;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::{hex, rng};
use mixin_pin_core::token::{Jws, RequestHash, Signer, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    Ed25519Key, EncryptedPin, Error, MonotonicNonces, NonceSource, Pin, PinKey, PinToken, RsaKey, Session, SessionKey,
};
use tempfile::TempDir;

/// DER of everything before a seed in PKCS#8, and before an X25519 public key in SPKI (RFC 8410).
const ED25519_PKCS8: &str = "302e020100300506032b657004220420";
const X25519_PKCS8: &str = "302e020100300506032b656e04220420";
const X25519_SPKI: &str = "302a300506032b656e032100";

/// A folder for keys and messages. Without `openssl`, None and a message on standard error.
#[expect(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
fn workshop(test: &str) -> Option<TempDir> {
    let version = Command::new("openssl").arg("version").output();
    match version {
        Ok(output) if output.stdout.starts_with(b"OpenSSL 3") => Some(tempfile::tempdir().unwrap()),
        found => {
            assert!(
                std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(),
                "{test} needs the openssl command, version 3; found {found:?}"
            );
            writeln!(std::io::stderr(), "SKIPPED: {test} needs the openssl command, version 3").unwrap();
            None
        }
    }
}

/// Runs `openssl` in the folder and returns its standard output.
fn openssl(folder: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    fs::write(folder.join(name), bytes).unwrap();
}

fn rsa_session(folder: &Path, bits: &str) -> (Session, VerifyingKey) {
    // Traditional PEM is PKCS#1. OpenSSL makes the key and the PIN token, the rest is ours.
    openssl(folder, &["genrsa", "-traditional", "-out", "key.pem", bits]);
    let spki = openssl(folder, &["pkey", "-in", "key.pem", "-pubout", "-outform", "DER"]);
    let session_id = Uuid::from_u128(0xa34c_07a9_755d_4b54_94c5_e45e_9a2d_d43e);
    write(folder, "pin-key", &[0x42; 32]);
    let label = format!("rsa_oaep_label:{}", hex(session_id.to_string().as_bytes()));
    let oaep = |operation: &str, input: &str| {
        let options = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256", &label];
        let mut args = vec!["pkeyutl", operation, "-inkey", "key.pem", "-in", input];
        args.extend(options.iter().flat_map(|option| ["-pkeyopt", option]));
        openssl(folder, &args)
    };
    let pin_token = oaep("-encrypt", "pin-key");
    let key = RsaKey::from_pem(&fs::read_to_string(folder.join("key.pem")).unwrap()).unwrap();
    let verifying = VerifyingKey::from_text(&STANDARD.encode(spki)).unwrap();
    let session = Session::rsa(
        Uuid::nil(),
        session_id,
        key,
        &PinToken::from_base64(&STANDARD.encode(pin_token)).unwrap(),
        &mut rng(),
    )
    .unwrap();
    assert_eq!(session.pin_key().expose(), &[0x42; 32], "unwraps what OpenSSL wrapped");

    // OpenSSL unwraps a PIN token that is wrapped here.
    let SessionKey::Rsa(key) = session.signer() else { unreachable!() };
    let wrapped = key.public_key().wrap_pin_key(session.pin_key(), session_id, &mut rng()).unwrap();
    write(folder, "wrapped", &STANDARD.decode(wrapped.to_base64()).unwrap());
    let unwrapped = oaep("-decrypt", "wrapped");
    assert_eq!(unwrapped, [0x42; 32]);
    (session, verifying)
}

fn ed25519_session(folder: &Path) -> (Session, VerifyingKey) {
    openssl(folder, &["genpkey", "-algorithm", "ED25519", "-out", "key.pem"]);
    let der = openssl(folder, &["pkey", "-in", "key.pem", "-outform", "DER"]);
    assert!(hex(&der).starts_with(ED25519_PKCS8));
    let seed = &der[16..];
    let public_pem = openssl(folder, &["pkey", "-in", "key.pem", "-pubout"]);
    let verifying = VerifyingKey::from_text(core::str::from_utf8(&public_pem).unwrap()).unwrap();

    // OpenSSL makes the server's X25519 key and the agreement that ours is compared with.
    openssl(folder, &["genpkey", "-algorithm", "X25519", "-out", "server.pem"]);
    let server = openssl(folder, &["pkey", "-in", "server.pem", "-pubout", "-outform", "DER"]);
    assert!(hex(&server).starts_with(X25519_SPKI));
    let key = Ed25519Key::from_bytes(seed).unwrap();
    let server = mixin_pin_core::X25519PublicKey::from_bytes(&server[12..]).unwrap();
    let session = Session::ed25519(Uuid::nil(), Uuid::nil(), key, &server).unwrap();

    write(folder, "seed", seed);
    let scalar = &openssl(folder, &["dgst", "-sha512", "-binary", "seed"])[..32];
    let x25519 = [&common::unhex(X25519_PKCS8), scalar].concat();
    write(folder, "x25519.der", &x25519);
    openssl(folder, &["pkey", "-in", "server.pem", "-pubout", "-out", "server-public.pem"]);
    let shared = openssl(
        folder,
        &["pkeyutl", "-derive", "-keyform", "DER", "-inkey", "x25519.der", "-peerkey", "server-public.pem"],
    );
    assert_eq!(session.pin_key().expose().as_slice(), shared, "X25519 as OpenSSL does it");
    (session, verifying)
}

/// OpenSSL decrypts a PIN that is encrypted here, and the other way round.
fn check_pins(folder: &Path, session: &Session) {
    let key = hex(session.pin_key().expose());
    let nonce = MonotonicNonces::new().next(common::NOW).unwrap();
    let iterator = nonce.iterator();
    let encrypted = session.pin_key().encrypt(Pin::new("271828").unwrap(), nonce, &mut rng());
    let (iv, ciphertext) = encrypted.as_bytes().split_at(16);
    write(folder, "ciphertext", ciphertext);
    let decrypted = openssl(folder, &["enc", "-d", "-aes-256-cbc", "-K", &key, "-iv", &hex(iv), "-in", "ciphertext"]);
    let secs = common::NOW.secs();
    assert_eq!(decrypted, [b"271828".as_slice(), &secs.to_le_bytes(), &iterator.to_le_bytes()].concat());

    let plain = [b"141421".as_slice(), &77_u64.to_le_bytes(), &88_u64.to_le_bytes()].concat();
    write(folder, "plain", &plain);
    let iv = [0xc3; 16];
    let theirs = openssl(folder, &["enc", "-aes-256-cbc", "-K", &key, "-iv", &hex(&iv), "-in", "plain"]);
    let block = decrypt(session.pin_key(), &[&iv, theirs.as_slice()].concat());
    assert_eq!((block.timestamp(), block.iterator()), (77, 88));
    assert_eq!(block.secret().expose(), b"141421");
}

fn decrypt(key: &PinKey, bytes: &[u8]) -> mixin_pin_core::PinBlock {
    let text = URL_SAFE_NO_PAD.encode(bytes);
    key.decrypt(&EncryptedPin::from_base64(&text).unwrap()).unwrap()
}

/// OpenSSL verifies a token that is signed here, and the other way round.
fn check_tokens(folder: &Path, session: &Session, verifying: &VerifyingKey, sign: &[&str], verify: &[&str]) {
    openssl(folder, &["pkey", "-in", "key.pem", "-pubout", "-out", "public.pem"]);
    let hash = RequestHash::of("GET", "/me", b"");
    let claims = session.claims(hash, Uuid::nil(), common::NOW, Duration::from_secs(60)).unwrap();
    let token = session.sign(&claims, &mut rng()).unwrap();
    let (input, signature) = token.as_str().rsplit_once('.').unwrap();
    write(folder, "input", input.as_bytes());
    write(folder, "signature", &URL_SAFE_NO_PAD.decode(signature).unwrap());
    openssl(folder, verify);

    let theirs = URL_SAFE_NO_PAD.encode(openssl(folder, sign));
    Jws::parse(&format!("{input}.{theirs}")).unwrap().verify(verifying).unwrap();
    assert_eq!(theirs, signature, "both schemes are deterministic");
    assert_eq!(session.signer().algorithm(), verifying.algorithm());
}

#[test]
fn rsa_sessions_of_every_size_agree_with_openssl() {
    for bits in ["1024", "2048", "4096"] {
        let Some(folder) = workshop("rsa_sessions_of_every_size_agree_with_openssl") else {
            return;
        };
        let (session, verifying) = rsa_session(folder.path(), bits);
        check_pins(folder.path(), &session);
        check_tokens(
            folder.path(),
            &session,
            &verifying,
            &["dgst", "-sha512", "-sign", "key.pem", "input"],
            &["dgst", "-sha512", "-verify", "public.pem", "-signature", "signature", "input"],
        );
    }
}

#[test]
fn a_key_with_three_primes_is_refused() {
    let Some(folder) = workshop("a_key_with_three_primes_is_refused") else {
        return;
    };
    openssl(folder.path(), &["genrsa", "-traditional", "-primes", "3", "-out", "key.pem", "2048"]);
    let pem = fs::read_to_string(folder.path().join("key.pem")).unwrap();
    assert_eq!(RsaKey::from_pem(&pem).unwrap_err(), Error::RsaKey);
}

#[test]
fn ed25519_sessions_agree_with_openssl() {
    let Some(folder) = workshop("ed25519_sessions_agree_with_openssl") else {
        return;
    };
    let (session, verifying) = ed25519_session(folder.path());
    check_pins(folder.path(), &session);
    check_tokens(
        folder.path(),
        &session,
        &verifying,
        &["pkeyutl", "-sign", "-rawin", "-inkey", "key.pem", "-in", "input"],
        &["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", "input", "-sigfile", "signature"],
    );
}

#[test]
fn pem_is_read_if_openssl_reads_it() {
    let Some(folder) = workshop("pem_is_read_if_openssl_reads_it") else { return };
    let folder = folder.path();
    openssl(folder, &["genrsa", "-traditional", "-out", "key.pem", "1024"]);
    let plain = fs::read_to_string(folder.join("key.pem")).unwrap();
    let public = String::from_utf8(openssl(folder, &["pkey", "-in", "key.pem", "-pubout"])).unwrap();
    let pkcs8 = String::from_utf8(openssl(folder, &["pkcs8", "-topk8", "-nocrypt", "-in", "key.pem"])).unwrap();
    let expected = RsaKey::from_pem(&plain).unwrap().to_pkcs1_der();
    let body: String = plain.lines().filter(|line| !line.starts_with('-')).collect();
    let in_lines = |columns: usize, end: &str| {
        let lines = body.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap().to_owned() + end);
        format!("-----BEGIN RSA PRIVATE KEY-----{end}{}-----END RSA PRIVATE KEY-----{end}", lines.collect::<String>())
    };
    let (mut read, mut refused) = (0, 0);
    for pem in [
        plain.clone(),
        pkcs8,
        plain.trim_end().to_owned(),
        in_lines(1, "\n"),
        in_lines(76, "\n"),
        in_lines(100_000, "\n"),
        in_lines(64, "\r\n"),
        in_lines(64, "\r"),
        in_lines(64, " "),
        in_lines(64, ""),
        in_lines(64, " \t\r\n"),
        in_lines(64, "\n "),
        in_lines(64, "\n\n"),
        in_lines(64, "\\n"),
        plain.replacen('\n', "\n\n", 1),
        plain.replacen('\n', "\n\n\n", 1),
        plain.replacen('\n', " \n\t\n", 1),
        plain.replace("-----END", "\n-----END"),
        plain.replace('a', " a\t"),
        plain.replace("END RSA", "END"),
        plain.replace("RSA PRIVATE", "PRIVATE"),
        plain.replace("-----", "----"),
        plain.replace("-----BEGIN", " -----BEGIN"),
        format!("Key of a bot:\n{plain}and more\n"),
        format!("{public}{plain}"),
        format!("{plain}{public}"),
        public,
    ] {
        fs::write(folder.join("variant.pem"), &pem).unwrap();
        let args = ["pkey", "-in", "variant.pem", "-traditional", "-outform", "DER"];
        let output = Command::new("openssl").args(args).current_dir(folder).output().unwrap();
        match RsaKey::from_pem(&pem) {
            Ok(key) => {
                assert!(output.status.success(), "only OpenSSL refuses {pem}");
                assert!(output.stdout == *expected && key.to_pkcs1_der() == expected, "{pem}");
                read += 1;
            }
            Err(error) => {
                assert!(!output.status.success(), "only OpenSSL reads {pem}");
                assert_eq!(error, Error::RsaPem);
                refused += 1;
            }
        }
    }
    assert_eq!((read, refused), (15, 12));
}
