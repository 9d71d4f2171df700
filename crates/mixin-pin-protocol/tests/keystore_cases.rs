//! Keystores as people have them: the files in `testdata/keystores`, whose index says what becomes of each, and variants of
//! them.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use mixin_pin_protocol::KeystoreError;
use mixin_pin_protocol::core::rand_core::CryptoRng;
use mixin_pin_protocol::core::{Ed25519Key, RsaKey};
use mixin_pin_protocol::keystore::{FileFormat, Holding, Keystore, KeystoreNote, KeystoreShape, Name, ServerKeyKind};
use serde::Deserialize;
use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata");

#[derive(Deserialize)]
struct Case {
    file: String,
    reads: bool,
    user_id: Option<String>,
    session_id: Option<String>,
    pin_key_hex: Option<String>,
    error_names: Vec<String>,
}

fn rng() -> impl CryptoRng {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn read(file: &str) -> Vec<u8> {
    fs::read(Path::new(FOLDER).join(file)).unwrap()
}

fn text(file: &str) -> String {
    String::from_utf8(read(file)).unwrap()
}

fn pin_key(keystore: Keystore) -> String {
    base16ct::lower::encode_string(keystore.into_session(&mut rng()).unwrap().pin_key().expose())
}

fn parse(text: &str) -> Result<Keystore, KeystoreError> {
    Keystore::parse(text.as_bytes())
}

/// A keystore of the cases, and the PIN key that it must give.
struct Sample {
    fields: Value,
    pin_key: String,
}

impl Sample {
    fn new(file: &str) -> Self {
        let cases: Vec<Case> = serde_json::from_str(&text("keystores/index.json")).unwrap();
        let case = cases.into_iter().find(|case| case.file == file).unwrap();
        let bytes = read(&format!("keystores/{file}"));
        let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        Self { fields: serde_json::from_slice(json).unwrap(), pin_key: case.pin_key_hex.unwrap() }
    }

    /// A dashboard's keystore with hex.
    fn dashboard() -> Self {
        Self::new("bom.json")
    }

    fn rsa() -> Self {
        Self::new("pem-text-before.json")
    }

    fn get(&self, field: &str) -> &str {
        self.fields[field].as_str().unwrap()
    }

    /// The keystore with some fields changed, or removed where the value is null.
    fn with(&self, changes: &[(&str, Value)]) -> String {
        let mut fields = self.fields.clone();
        for (field, value) in changes {
            if value.is_null() {
                fields.as_object_mut().unwrap().remove(*field).unwrap();
            } else {
                fields[field] = value.clone();
            }
        }
        fields.to_string()
    }

    #[track_caller]
    fn check(&self, text: &str, notes: &[KeystoreNote]) {
        let keystore = parse(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(keystore.notes(), notes, "{text}");
        assert_eq!(pin_key(keystore), self.pin_key, "{text}");
    }

    fn seed(&self) -> Vec<u8> {
        base16ct::lower::decode_vec(self.get("session_private_key")).unwrap()
    }

    fn server(&self) -> Vec<u8> {
        base16ct::lower::decode_vec(self.get("server_public_key")).unwrap()
    }
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap().to_be_bytes();
    let header = match len {
        [0, len @ ..=0x7f] => vec![tag, len],
        [0, len] => vec![tag, 0x81, len],
        [high, low] => vec![tag, 0x82, high, low],
    };
    [header, content.to_vec()].concat()
}

/// PKCS#8 of an RSA key (RFC 5208, section 5).
fn pkcs8_of_rsa(pkcs1: &[u8]) -> Vec<u8> {
    let algorithm = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
    der(0x30, &[vec![2, 1, 0], der(0x30, &algorithm), der(4, pkcs1)].concat())
}

/// PKCS#8 of an Ed25519 key (RFC 8410, section 7), with these bytes for the version and after the seed.
fn pkcs8_of_ed25519(seed: &[u8], version: u8, public: &[u8]) -> Vec<u8> {
    let algorithm = [0x06, 0x03, 0x2b, 0x65, 0x70];
    der(0x30, &[vec![2, 1, version], der(0x30, &algorithm), der(4, &der(4, seed)), public.to_vec()].concat())
}

fn wrapped(base64: &str, columns: usize, end: &str) -> String {
    base64.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap().to_owned() + end).collect()
}

fn pem(label: &str, der: &[u8], columns: usize, end: &str) -> String {
    let body = wrapped(&STANDARD.encode(der), columns, end);
    format!("-----BEGIN {label}-----{end}{body}-----END {label}-----{end}")
}

#[test]
fn every_file_comes_out_as_its_index_says() {
    let cases: Vec<Case> = serde_json::from_str(&text("keystores/index.json")).unwrap();
    assert_eq!(cases.len(), 27);
    for Case { file, reads, user_id, session_id, pin_key_hex, error_names } in cases {
        match Keystore::parse(&read(&format!("keystores/{file}"))) {
            Ok(keystore) => {
                assert!(reads, "{file} reads");
                let Some(expected) = pin_key_hex else {
                    assert_eq!(keystore.shape(), KeystoreShape::OAuth, "{file}");
                    continue;
                };
                assert_eq!(Some(keystore.user_id().to_string()), user_id, "{file}");
                assert_eq!(Some(keystore.session_id().to_string()), session_id, "{file}");
                assert_eq!(pin_key(keystore), expected, "{file}");
            }
            Err(error) => {
                assert!(!reads, "{file}: {error}");
                let said = error.to_string();
                assert!(
                    !error_names.is_empty() && error_names.iter().all(|name| said.contains(name)),
                    "{file}: {said}"
                );
            }
        }
    }
}

#[test]
fn the_usual_keystores_have_no_notes() {
    for file in ["rsa-bot", "ed25519-bot", "dashboard", "bare-user", "oauth", "remote-signer"] {
        assert_eq!(parse(&text(&format!("keystore-{file}.json"))).unwrap().notes(), [], "{file}");
    }
}

#[test]
fn pem_that_openssl_reads_is_read_without_a_note() {
    let sample = Sample::rsa();
    let pkcs1 = RsaKey::from_pem(sample.get("private_key")).unwrap().to_pkcs1_der();
    let plain = pem("RSA PRIVATE KEY", &pkcs1, 64, "\n");
    let public = text("pem/public.pem");
    for pem in [
        plain.clone(),
        plain.trim_end().to_owned(),
        pem("PRIVATE KEY", &pkcs8_of_rsa(&pkcs1), 64, "\n"),
        pem("RSA PRIVATE KEY", &pkcs1, 64, "\r\n"),
        pem("RSA PRIVATE KEY", &pkcs1, 64, " \t\r\n"),
        pem("RSA PRIVATE KEY", &pkcs1, 1, "\n"),
        pem("RSA PRIVATE KEY", &pkcs1, 76, "\n"),
        pem("RSA PRIVATE KEY", &pkcs1, 99_999, "\n"),
        plain.replacen('\n', "\n\n", 1),
        format!("Key of my bot\n{plain}and nothing more\n"),
        format!("{public}{plain}"),
        format!("{}{plain}{public}", text("pem/certificate.pem")),
        format!("{}{plain}", text("pem/ec-sec1.pem")),
    ] {
        sample.check(&sample.with(&[("private_key", json!(pem))]), &[]);
    }
}

#[test]
fn damaged_pem_is_read_with_a_note() {
    let sample = Sample::rsa();
    let pkcs1 = RsaKey::from_pem(sample.get("private_key")).unwrap().to_pkcs1_der();
    let plain = pem("RSA PRIVATE KEY", &pkcs1, 64, "\n");
    let pkcs8 = pem("PRIVATE KEY", &pkcs8_of_rsa(&pkcs1), 64, "\n");
    let body = STANDARD.encode(&*pkcs1);
    for pem in [
        pem("RSA PRIVATE KEY", &pkcs1, 64, "\r"),
        plain.replace('\n', "\n\n"),
        plain.replace("-----END", "\n-----END"),
        plain.replace('=', ""),
        plain.replace('\n', " "),
        plain.replace('\n', ""),
        plain.replace(['\n', ' '], ""),
        plain.replace('\n', "\\n"),
        plain.replace('\n', "\\r\\n"),
        plain.replace('\n', "\\\\n"),
        plain.replace('\n', "\\n\n"),
        plain.replace('\n', "\n    "),
        format!("  {}", plain.replace('\n', "\n  ")),
        plain.replace('\n', "\n\t"),
        plain.replace("-----BEGIN RSA PRIVATE KEY-----\n", ""),
        plain.replace("-----END RSA PRIVATE KEY-----\n", ""),
        plain.replace("-----", "----"),
        plain.replace("-----", ""),
        plain.replace("-----", "------"),
        plain.replace("-----", "\u{2014}\u{2014}-"),
        plain.replace('\n', "\n\u{a0}"),
        format!("\u{feff}{plain}"),
        format!("\"{plain}\""),
        plain.replace("END RSA PRIVATE", "END PRIVATE"),
        plain.replace("KEY-----\n", "KEY-----"),
        pkcs8.replace('\n', " "),
        pkcs8.replace("-----BEGIN PRIVATE KEY-----\n", ""),
        body.clone(),
        wrapped(&body, 64, "\n"),
        wrapped(&body, 64, "\\n"),
        body.trim_end_matches('=').to_owned(),
        STANDARD.encode(pkcs8_of_rsa(&pkcs1)),
        URL_SAFE_NO_PAD.encode(&*pkcs1),
        base16ct::lower::encode_string(&pkcs1),
    ] {
        let note = KeystoreNote::PemRepaired { field: "private_key" };
        assert!(!note.is_doubtful());
        sample.check(&sample.with(&[("private_key", json!(pem))]), &[note]);
    }
}

#[test]
fn keys_of_either_kind_are_read_under_every_name() {
    let rsa = Sample::rsa();
    for name in ["session_private_key", "session_key"] {
        let text = rsa.with(&[("private_key", Value::Null), (name, json!(rsa.get("private_key")))]);
        assert_eq!(parse(&text).unwrap().shape(), KeystoreShape::RsaBot);
        rsa.check(&text, &[]);
    }
    let dashboard = Sample::dashboard();
    let seed = dashboard.seed();
    let key = Ed25519Key::from_bytes(&seed).unwrap();
    let public = *key.public_key().as_bytes();
    let tagged = [&[0x81, 0x21, 0x00], &public[..]].concat();
    let explicit = [&[0xa1, 0x23, 0x03, 0x21, 0x00], &public[..]].concat();
    let pair = [&seed[..], &public].concat();
    for (text, notes) in [
        (base16ct::upper::encode_string(&seed), 0),
        (base16ct::lower::encode_string(&pair), 0),
        (STANDARD.encode(&pair), 0),
        (URL_SAFE_NO_PAD.encode(&pair), 0),
        (URL_SAFE.encode(&seed), 0),
        (wrapped(&STANDARD.encode(&pair), 64, "\n"), 0),
        (pem("PRIVATE KEY", &pkcs8_of_ed25519(&seed, 0, &[]), 64, "\n"), 0),
        (pem("PRIVATE KEY", &pkcs8_of_ed25519(&seed, 1, &tagged), 64, "\r\n"), 0),
        (pem("PRIVATE KEY", &pkcs8_of_ed25519(&seed, 1, &explicit), 64, "\n"), 0),
        (pem("PRIVATE KEY", &pkcs8_of_ed25519(&seed, 0, &[]), 64, " "), 1),
        (pem("PRIVATE KEY", &pkcs8_of_ed25519(&seed, 0, &[]), 64, "\\n"), 1),
        (STANDARD.encode(pkcs8_of_ed25519(&seed, 0, &[])), 1),
        (base16ct::lower::encode_string(&pkcs8_of_ed25519(&seed, 0, &[])), 1),
    ] {
        for field in ["session_private_key", "private_key", "session_key"] {
            let notes = &[KeystoreNote::PemRepaired { field }][..notes];
            let changes = [("session_private_key", Value::Null), (field, json!(text))];
            dashboard.check(&dashboard.with(&changes), notes);
        }
    }
}

#[test]
fn what_is_no_private_key_is_named() {
    let sample = Sample::rsa();
    let field = "private_key";
    let named = |text: &str| parse(&sample.with(&[(field, json!(text))])).unwrap_err();
    for (file, holding) in [
        ("encrypted-pkcs1", Holding::EncryptedKey),
        ("encrypted-pkcs8", Holding::EncryptedKey),
        ("public", Holding::PublicKey),
        ("rsa-public", Holding::PublicKey),
        ("rsa-public-pkcs1", Holding::PublicKey),
        ("certificate", Holding::Certificate),
        ("request", Holding::Certificate),
        ("ec-sec1", Holding::OtherKey),
        ("ec-pkcs8", Holding::OtherKey),
        ("x25519-pkcs8", Holding::OtherKey),
        ("openssh", Holding::OpenSshKey),
    ] {
        let pem = text(&format!("pem/{file}.pem"));
        assert_eq!(named(&pem), KeystoreError::Holds { field, holding }, "{file}");
        assert_eq!(named(&pem.replace('\n', " ")), KeystoreError::Holds { field, holding }, "{file} in one line");
        // Without the labels, DER tells the kind. What is encrypted by headers, or by OpenSSH, has no DER.
        if !["encrypted-pkcs1", "openssh"].contains(&file) {
            let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            assert_eq!(named(&body), KeystoreError::Holds { field, holding }, "{file} without labels");
        }
    }

    let dashboard = Sample::dashboard();
    let of = |text: &str| parse(&dashboard.with(&[("session_private_key", json!(text))])).unwrap_err();
    let field = "session_private_key";
    assert_eq!(of(dashboard.get("server_public_key")), KeystoreError::Holds { field, holding: Holding::ServerKey });
    // In hex or base64 once more, as the fields of a Kubernetes secret are.
    let key = dashboard.get("session_private_key");
    let twice = Holding::EncodedTwice;
    for text in
        [STANDARD.encode(key), base16ct::lower::encode_string(key.as_bytes()), STANDARD.encode(STANDARD.encode(key))]
    {
        assert_eq!(of(&text), KeystoreError::Holds { field, holding: twice }, "{text}");
    }
    let pem = STANDARD.encode(sample.get("private_key"));
    assert_eq!(named(&pem), KeystoreError::Holds { field: "private_key", holding: twice });
    let token = STANDARD.encode(sample.get("pin_token"));
    let expected = KeystoreError::Holds { field: "pin_token", holding: twice };
    assert_eq!(parse(&sample.with(&[("pin_token", json!(token))])).unwrap_err(), expected);
    let own = Ed25519Key::from_bytes(&dashboard.seed()).unwrap().public_key();
    let server_field = "server_public_key";
    let server = dashboard.get(server_field);
    for (text, holding) in [
        (STANDARD.encode(server), twice),
        (base16ct::lower::encode_string(own.as_bytes()), Holding::OwnPublicKey),
        (own.to_base64_url(), Holding::OwnPublicKey),
        (own.to_x25519().unwrap().to_base64_url(), Holding::OwnPublicKey),
    ] {
        let error = parse(&dashboard.with(&[(server_field, json!(text))])).unwrap_err();
        assert_eq!(error, KeystoreError::Holds { field: server_field, holding }, "{text}");
    }
    for name in ["mixin_dev.key", "./session.pem"] {
        assert_eq!(of(name), KeystoreError::Holds { field, holding: Holding::FileName }, "{name}");
    }
    for reference in
        ["${MIXIN_KEY}", "{{ .Values.key }}", "<private key>", "op://bots/mixin/key", "ENC[AES256_GCM,data:a]", "****"]
    {
        for field in ["session_private_key", "server_public_key"] {
            let error = parse(&dashboard.with(&[(field, json!(reference))])).unwrap_err();
            assert_eq!(error, KeystoreError::Holds { field, holding: Holding::Placeholder }, "{reference}");
        }
    }
    for digits in [63, 65, 127] {
        let hex = &"5a".repeat(64)[..digits];
        assert_eq!(of(hex), KeystoreError::OddHex { field, digits });
        let server = parse(&dashboard.with(&[("server_public_key", json!(hex))])).unwrap_err();
        assert_eq!(server, KeystoreError::OddHex { field: "server_public_key", digits });
    }
    for len in [1, 16, 31, 33, 63, 65] {
        let bytes = vec![0x55; len];
        for text in [base16ct::lower::encode_string(&bytes), STANDARD.encode(&bytes) + " "] {
            assert_eq!(of(&text), KeystoreError::KeyLength { field, len }, "{text}");
        }
    }
}

#[test]
fn keys_that_are_cut_short_are_named_with_their_length() {
    let sample = Sample::rsa();
    let pkcs1 = RsaKey::from_pem(sample.get("private_key")).unwrap().to_pkcs1_der();
    let expected = KeystoreError::CutShort { field: "private_key", len: 600, needed: pkcs1.len() };
    for text in [pem("RSA PRIVATE KEY", &pkcs1[..600], 64, "\n"), STANDARD.encode(&pkcs1[..600])] {
        assert_eq!(parse(&sample.with(&[("private_key", json!(text))])).unwrap_err(), expected);
    }
}

#[test]
fn utf_16_and_byte_order_marks_are_read() {
    let sample = Sample::dashboard();
    let text = sample.with(&[]);
    let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [
        [b"\xff\xfe", &le[..]].concat(),
        [b"\xfe\xff", &be[..]].concat(),
        [b"\xef\xbb\xbf", text.as_bytes()].concat(),
        le,
        be,
    ] {
        assert_eq!(pin_key(Keystore::parse(&bytes).unwrap()), sample.pin_key);
    }
}

#[test]
fn names_are_read_in_every_spelling() {
    let (dashboard, rsa) = (Sample::dashboard(), Sample::rsa());
    let renamed = |sample: &Sample, rename: &dyn Fn(&str) -> String| {
        let fields = sample.fields.as_object().unwrap();
        Value::Object(fields.iter().map(|(name, value)| (rename(name), value.clone())).collect()).to_string()
    };
    let camel = |name: &str| {
        let mut words = name.split('_');
        let first = words.next().unwrap().to_owned();
        words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
    };
    let pascal = |name: &str| name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect::<String>();
    for sample in [&dashboard, &rsa] {
        for rename in [&camel as &dyn Fn(&str) -> String, &pascal, &str::to_uppercase, &|name| name.replace('_', "-")] {
            sample.check(&renamed(sample, rename), &[]);
        }
    }
    let twice = dashboard.with(&[("sessionId", json!(dashboard.get("session_id").to_uppercase()))]);
    assert_eq!(parse(&twice).unwrap_err(), KeystoreError::Spellings { field: "session_id" });
    dashboard.check(&dashboard.with(&[("sessionId", json!(dashboard.get("session_id")))]), &[]);
}

#[test]
fn values_are_read_as_copying_leaves_them() {
    let sample = Sample::dashboard();
    let (user, session) = (sample.get("app_id"), sample.get("session_id"));
    for (field, text) in [("app_id", user), ("session_id", session)] {
        let bare = text.replace('-', "");
        for text in [
            text.to_uppercase(),
            bare.clone(),
            format!("0x{bare}"),
            format!("{{{text}}}"),
            format!(" {text}\n"),
            format!("urn:uuid:{text}"),
            format!("\"{text}\""),
            format!("{}\n{}", &text[..20], &text[20..]),
        ] {
            sample.check(&sample.with(&[(field, json!(text))]), &[]);
        }
    }
    for field in ["session_private_key", "server_public_key"] {
        let hex = sample.get(field);
        for text in [
            format!("0X{}", hex.to_uppercase()),
            wrapped(hex, 32, "\r\n"),
            wrapped(hex, 2, " "),
            format!("\u{200b}{hex}\u{feff}"),
            format!("'{hex}'"),
        ] {
            sample.check(&sample.with(&[(field, json!(text))]), &[]);
        }
    }
    let rsa = Sample::rsa();
    let token = STANDARD.decode(rsa.get("pin_token")).unwrap();
    for text in [
        URL_SAFE_NO_PAD.encode(&token),
        wrapped(&STANDARD.encode(&token), 76, "\\n"),
        base16ct::lower::encode_string(&token),
    ] {
        for name in ["pin_token", "pin_token_base64", "server_public_key"] {
            rsa.check(&rsa.with(&[("pin_token", Value::Null), (name, json!(text))]), &[]);
        }
    }
}

#[test]
fn a_servers_key_is_read_by_its_form() {
    let sample = Sample::dashboard();
    let ed25519 = sample.server();
    let x25519 = {
        let key = mixin_pin_protocol::core::Ed25519PublicKey::from_bytes(&ed25519).unwrap().to_x25519().unwrap();
        *key.as_bytes()
    };
    let spki =
        |kind: u8, key: &[u8]| [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, kind, 0x03, 0x21, 0], key].concat();
    let hex = base16ct::lower::encode_string;
    let (ed_spki, x_spki) = (spki(0x70, &ed25519), spki(0x6e, &x25519));
    let fields = ["server_public_key", "pin_token_base64", "pin_token"];
    let (as_ed25519, as_x25519) = (Some(ServerKeyKind::Ed25519), Some(ServerKeyKind::X25519));
    // A field, and how its value is read if that deserves a note.
    for (text, notes) in [
        (hex(&ed25519), [None, as_ed25519, as_ed25519]),
        (STANDARD.encode(x25519), [as_x25519, None, None]),
        (URL_SAFE_NO_PAD.encode(x25519), [as_x25519, None, None]),
        // These cannot be what the form says, because they have not the prime order.
        (STANDARD.encode(&ed25519), [as_ed25519, None, None]),
        (STANDARD.encode(&ed_spki), [None; 3]),
        (hex(&ed_spki), [None; 3]),
        (STANDARD.encode(&x_spki), [None; 3]),
        (pem("PUBLIC KEY", &ed_spki, 64, "\n"), [None; 3]),
        (pem("PUBLIC KEY", &x_spki, 64, "\n"), [None; 3]),
    ] {
        for (field, note) in fields.into_iter().zip(notes) {
            // In a field that is X25519's, base64 is X25519 without a look.
            if text == STANDARD.encode(&ed25519) && field != "server_public_key" {
                continue;
            }
            let notes: Vec<_> = note.map(|read_as| KeystoreNote::ServerKey { field, read_as }).into_iter().collect();
            assert!(notes.iter().all(|note| note.is_doubtful()));
            sample.check(&sample.with(&[("server_public_key", Value::Null), (field, json!(text))]), &notes);
        }
    }
    // A hex value that is no point of the Edwards curve can only be an X25519 key.
    let other = (0..=255).map(|at| Ed25519Key::from_bytes(&[at; 32]).unwrap().public_key());
    let (peer, twisted) = other
        .map(|key| (key.clone(), *key.to_x25519().unwrap().as_bytes()))
        .find(|(_, bytes)| mixin_pin_protocol::core::Ed25519PublicKey::from_bytes(bytes).is_err())
        .unwrap();
    let keystore = parse(&sample.with(&[("server_public_key", json!(hex(&twisted)))])).unwrap();
    let read_as = ServerKeyKind::X25519;
    assert_eq!(keystore.notes(), [KeystoreNote::ServerKey { field: "server_public_key", read_as }]);
    assert_eq!(keystore.pin_token().unwrap(), peer.to_x25519().unwrap().to_base64_url());
}

#[test]
fn most_wrong_characters_of_a_servers_key_are_noted() {
    let sample = Sample::dashboard();
    let bot = text("keystore-ed25519-bot.json");
    let token = serde_json::from_str::<Value>(&bot).unwrap()["pin_token"].as_str().unwrap().to_owned();
    let hex = sample.get("server_public_key").to_owned();
    let changed = |text: &str, at: usize, c: &str| text[..at].to_owned() + c + &text[at + 1..];
    let mut unnoted = 0;
    for at in 0..40 {
        let wrong = changed(&hex, at, if hex[at..].starts_with('7') { "8" } else { "7" });
        let dashboard = sample.with(&[("server_public_key", json!(wrong))]);
        let wrong = changed(&token, at, if token[at..].starts_with('x') { "y" } else { "x" });
        for text in [dashboard, bot.replace(&token, &wrong)] {
            unnoted += usize::from(parse(&text).is_ok_and(|keystore| keystore.notes().is_empty()));
        }
    }
    // An expectation of 80 / 16.
    assert!(unnoted <= 20, "{unnoted} of 80");
}

#[test]
fn fields_that_disagree_are_noted() {
    let sample = Sample::dashboard();
    let other = Ed25519Key::from_bytes(&[9; 32]).unwrap();
    let token = other.public_key().to_x25519().unwrap().to_base64_url();
    let note = KeystoreNote::Differ { used: "server_public_key", other: "pin_token" };
    assert!(note.is_doubtful());
    sample.check(&sample.with(&[("pin_token", json!(token))]), &[note]);
    let key = other.to_base64_url().to_string();
    let note = KeystoreNote::Differ { used: "session_private_key", other: "private_key" };
    sample.check(&sample.with(&[("private_key", json!(key))]), &[note]);
    let seed = sample.seed();
    sample.check(&sample.with(&[("private_key", json!(STANDARD.encode(seed)))]), &[]);

    // JSON allows a name twice. A merge by hand leaves both.
    let key = base16ct::lower::encode_string(&[9; 32]);
    let text = sample.with(&[]);
    let twice = |field: &str, value: &str| text.replacen('{', &format!("{{\"{field}\": \"{value}\","), 1);
    let note = KeystoreNote::Repeated { field: "session_private_key" };
    assert!(note.is_doubtful());
    sample.check(&twice("session_private_key", &key), &[note]);
    sample.check(&twice("session_private_key", sample.get("session_private_key")), &[]);
    sample.check(&twice("name", &key), &[]);

    let same = sample.with(&[("session_id", json!(sample.get("app_id")))]);
    assert_eq!(parse(&same).unwrap().notes(), [KeystoreNote::SameIds]);

    // A token that does not fit the key is not taken if another field's does.
    let rsa = Sample::rsa();
    let note = KeystoreNote::Differ { used: "pin_token_base64", other: "pin_token" };
    rsa.check(&rsa.with(&[("pin_token_base64", json!(rsa.get("pin_token"))), ("pin_token", json!(token))]), &[note]);
}

#[test]
fn tokens_of_another_kind_are_named_with_their_length() {
    let (dashboard, rsa) = (Sample::dashboard(), Sample::rsa());
    let field = "pin_token";
    let token = rsa.get(field);
    let text = dashboard.with(&[("server_public_key", Value::Null), (field, json!(token))]);
    assert_eq!(parse(&text).unwrap_err(), KeystoreError::ServerKeyLength { field, len: 256 });
    let text = rsa.with(&[(field, json!(STANDARD.encode([7; 32])))]);
    assert_eq!(parse(&text).unwrap_err(), KeystoreError::PinTokenLength { field, len: 32, needed: 256 });
}

#[test]
fn exchanged_ids_of_an_rsa_session_are_proven() {
    let sample = Sample::rsa();
    let (user, session) = (sample.get("client_id"), sample.get("session_id"));
    let text = sample.with(&[("client_id", json!(session)), ("session_id", json!(user))]);
    let keystore = parse(&text).unwrap();
    assert_eq!(keystore.notes(), []);
    assert_eq!(keystore.into_session(&mut rng()).unwrap_err(), KeystoreError::IdsExchanged);
}

#[test]
fn a_spend_key_is_read_under_every_name() {
    let sample = Sample::dashboard();
    let seed = "42".repeat(32);
    let expected = mixin_pin_protocol::core::tip::TipKey::from_text(&seed).unwrap();
    let pair = {
        let key = Ed25519Key::from_bytes(&[0x42; 32]).unwrap();
        [&key.expose_seed()[..], key.public_key().as_bytes()].concat()
    };
    let names = ["spend_private_key", "spend_key", "safe_key", "pin", "spendPrivateKey", "safeKey", "SPEND_KEY"];
    for name in names {
        for text in [seed.clone(), format!("0x{seed}\n"), STANDARD.encode([0x42; 32]), STANDARD.encode(&pair)] {
            let mut keystore = parse(&sample.with(&[(name, json!(text))])).unwrap();
            assert!(!keystore.holds_pin() && keystore.notes().is_empty(), "{name}: {text}");
            assert_eq!(keystore.further_secrets().len(), 1);
            let key = keystore.take_spend_key().unwrap().to_tip_key(None).unwrap();
            assert_eq!(key.public_key(), expected.public_key(), "{name}: {text}");
        }
        let mut keystore = parse(&sample.with(&[(name, json!("271828"))])).unwrap();
        assert!(keystore.holds_pin() && keystore.take_spend_key().is_none(), "{name}");
    }
    for pin in [json!(271_828), json!("31415"), json!(["271828"])] {
        let mut keystore = parse(&sample.with(&[("pin", pin)])).unwrap();
        assert!(keystore.holds_pin() && keystore.take_spend_key().is_none());
    }
    let same = [("spend_key", json!(seed)), ("pin", json!(STANDARD.encode(&pair)))];
    assert_eq!(parse(&sample.with(&same)).unwrap().notes(), []);
    let other = [("spend_key", json!(seed)), ("pin", json!("43".repeat(32)))];
    let note = KeystoreNote::Differ { used: "spend_key", other: "pin" };
    assert_eq!(parse(&sample.with(&other)).unwrap().notes(), [note]);
    let both = [("spend_key", json!(seed)), ("pin", json!("271828"))];
    let mut keystore = parse(&sample.with(&both)).unwrap();
    assert!(keystore.holds_pin() && keystore.notes().is_empty() && keystore.take_spend_key().is_some());
}

#[test]
fn an_oauth_keystore_without_the_servers_key_signs() {
    let keystore = || Keystore::parse(&read("keystores/node-oauth.json")).unwrap();
    assert_eq!(keystore().notes(), [KeystoreNote::NoServerKey]);
    assert!(keystore().lacks_server_key());
    assert_eq!(keystore().into_oauth_session().unwrap_err(), KeystoreError::NoServerKey);
    assert_eq!(keystore().into_session(&mut rng()).unwrap_err(), KeystoreError::OAuth);
    let signer = keystore().into_oauth_signer().unwrap();
    assert_eq!(signer.scope(), "PROFILE:READ");
    assert_eq!(signer.authorization_id().to_string(), "671de99f-b82a-4ae2-a61c-7e1254997e2e");
    let go = parse(&text("keystore-oauth.json")).unwrap();
    assert!(!go.lacks_server_key());
    assert_eq!(go.into_oauth_session().unwrap().scope(), "PROFILE:READ");
}

#[test]
fn every_other_format_is_named() {
    let inside = r#"{"app_id": "a", "session_private_key": "b"}"#;
    let string = Value::from(inside).to_string();
    let base64 = STANDARD.encode(inside);
    let pem = text("pem/ec-sec1.pem");
    for (text, format) in [
        ("", FileFormat::Empty),
        (" \n\t", FileFormat::Empty),
        ("{\"app_id\": \"a\", \"session", FileFormat::CutOff),
        ("{\"app_id\": \"a\",", FileFormat::CutOff),
        ("{\"app_id\": \"a\"}\n{\"app_id\": \"b\"}", FileFormat::MoreAfterEnd),
        ("{\"app_id\": \"a\"},", FileFormat::MoreAfterEnd),
        ("{\"app_id\": \"a\" /* mine */}", FileFormat::Comments),
        ("{\"app_id\": \"a\" // mine\n}", FileFormat::Comments),
        ("# mine\n{\"app_id\": \"a\"}", FileFormat::Comments),
        ("{\n  # mine\n  \"app_id\": \"a\"}", FileFormat::Comments),
        ("{\"app_id\": \"a\",\n}", FileFormat::TrailingComma),
        ("{'app_id': 'a'}", FileFormat::SingleQuotes),
        ("{\u{201c}app_id\u{201d}: \u{201c}a\u{201d}}", FileFormat::CurlyQuotes),
        ("{app_id: \"a\"}", FileFormat::UnquotedNames),
        ("{\"x\": \"a\", session_id: \"a\"}", FileFormat::UnquotedNames),
        ("[{\"app_id\": \"a\"}]", FileFormat::List),
        (&string, FileFormat::JsonString),
        (&base64, FileFormat::Base64),
        ("app_id = \"a\"\nsession_id = \"b\"", FileFormat::Toml),
        ("# mine\n\n[bot.mixin]\napp_id=\"a\"", FileFormat::Toml),
        ("---\napp_id: a", FileFormat::Yaml),
        ("mixin:\n  app_id: a", FileFormat::Yaml),
        ("- app_id: a", FileFormat::Yaml),
        ("\"app_id\": \"a\"", FileFormat::Yaml),
        ("APP_ID=a\nSESSION_ID=b", FileFormat::Environment),
        ("export APP_ID=\"a\"", FileFormat::Environment),
        ("# mine\nAPP_ID='a'", FileFormat::Environment),
        ("[mixin]\napp_id = a", FileFormat::Ini),
        ("; mine\n[mixin]\napp_id=a", FileFormat::Ini),
        ("app_id = a", FileFormat::Ini),
        ("export default { app_id: 'a' }", FileFormat::Code),
        ("module.exports = { app_id: 'a' };", FileFormat::Code),
        ("const keystore = {};", FileFormat::Code),
        ("MIXIN = {\"app_id\": \"a\"}", FileFormat::Code),
        ("<?php return ['app_id' => 'a'];", FileFormat::Code),
        ("<!DOCTYPE html><title>Log in</title>", FileFormat::Html),
        ("<!-- 1 -->\n<HTML></HTML>", FileFormat::Html),
        ("<?xml version=\"1.0\"?><keystore/>", FileFormat::Xml),
        (&pem, FileFormat::Pem),
        ("age-encryption.org/v1\n-> scrypt", FileFormat::Age),
        ("-----BEGIN AGE ENCRYPTED FILE-----\nYQ==", FileFormat::Age),
        ("-----BEGIN PGP MESSAGE-----\n\nYQ==", FileFormat::Pgp),
    ] {
        assert_eq!(parse(text).unwrap_err(), KeystoreError::Format(format), "{text}");
    }
    for text in ["hello", "7", "null", "true", "\"text\"", "{\"a\": \"a\" \"b\"}", "{\"a\" \"b\"}", "\u{0}", "{\"a\"}"]
    {
        assert!(matches!(parse(text), Err(KeystoreError::NotJson { .. })), "{text}");
    }
}

#[test]
fn a_nested_keystore_is_named_with_its_place() {
    let inside: Value = serde_json::from_str(&Sample::dashboard().with(&[])).unwrap();
    let name = Name::new;
    for (outer, name, format) in [
        (json!({ "mixin": inside }), name("mixin"), None),
        (json!({ "port": 80, "bots": { "mixin-1": inside } }), name("bots.mixin-1"), None),
        (json!({ "data": [inside] }), name("data"), Some(FileFormat::List)),
        (json!({ "data": [7, inside] }), name("data"), Some(FileFormat::List)),
        (json!({ "keystore": inside.to_string() }), name("keystore"), Some(FileFormat::JsonString)),
        (json!({ "271828": inside }), name("271828"), None),
    ] {
        assert_eq!(
            parse(&outer.to_string()).unwrap_err(),
            KeystoreError::Nested { name, format, has_others: false },
            "{outer}"
        );
    }
    // Which of several is meant is not known.
    for outer in
        [json!({ "bots": { "main": inside, "test": inside } }), json!({ "bots.main": inside, "old": [inside] })]
    {
        let expected = KeystoreError::Nested { name: name("bots.main"), format: None, has_others: true };
        assert_eq!(parse(&outer.to_string()).unwrap_err(), expected, "{outer}");
    }
    for none in [json!({ "a": { "b": { "c": { "d": { "e": inside } } } } }), json!({ "mixin": { "app_id": "a" } })] {
        assert_eq!(parse(&none.to_string()).unwrap_err(), KeystoreError::NoKey, "{none}");
    }
}

#[test]
fn names_that_may_be_secrets_are_not_shown() {
    for shown in ["mixin", "my-bot", "bots.main_bot", "mixin2", "bot-100"] {
        assert_eq!(Name::new(shown).to_string(), shown);
    }
    let long = "a".repeat(41);
    for hidden in ["", "271828", "S3CR3T", "mixin1234", "b3e307e8", "a b", "x\u{202e}y", "caf\u{e9}", &long, "a\nb"] {
        assert_eq!(Name::new(hidden).to_string(), "another name", "{hidden}");
    }
}

#[test]
fn notes_say_what_was_read_and_what_may_follow() {
    let texts = [
        KeystoreNote::ServerKey { field: "server_public_key", read_as: ServerKeyKind::X25519 },
        KeystoreNote::ServerKeyOrder { field: "pin_token" },
        KeystoreNote::Differ { used: "spend_key", other: "pin" },
        KeystoreNote::Repeated { field: "session_private_key" },
        KeystoreNote::SameIds,
        KeystoreNote::PemRepaired { field: "private_key" },
        KeystoreNote::NoServerKey,
    ]
    .map(|note| note.to_string());
    let expected = [
        "server_public_key is in an unusual form and was read as an X25519 key; if that is wrong, the server cannot read the \
         PINs",
        "pin_token is no key that was made from a private key; compare it with its source: a character may be wrong",
        "spend_key and pin differ; spend_key was used",
        "session_private_key is there twice with two values, and the last was used; remove the wrong one",
        "the user and the session have the same id; compare both with their source",
        "the PEM in private_key is damaged; it was read all the same, but other programs may refuse it",
        "the keystore lacks ed25519, the server's key; it signs requests, but the answers cannot be verified",
    ];
    assert_eq!(texts, expected);
}
