//! Reports on the documentation's own requests of 2018.

use mixin_pin_protocol::core::UnixTime;
use mixin_pin_protocol::core::token::VerifyingKey;
use mixin_pin_protocol::inspect::{CapturedRequest, Known, Level, Report, inspect};
use serde_json::Value;

const TOKENS: &str = include_str!("../testdata/testkit/tokens.json");
const IN_2018: UnixTime = UnixTime::from_secs(1_525_333_400);

fn docs() -> (Vec<Value>, VerifyingKey) {
    let file: Value = serde_json::from_str(TOKENS).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    let docs: Vec<Value> = vectors.iter().filter(|vector| vector["source"] == "docs").cloned().collect();
    assert_eq!(docs.len(), 6);
    let key = VerifyingKey::from_text(docs[0]["public_key"].as_str().unwrap()).unwrap();
    (docs, key)
}

fn request(path: &str) -> CapturedRequest {
    let (tokens, _) = docs();
    let found = tokens.iter().find(|token| token["path"] == path).unwrap();
    CapturedRequest::from_curl(found["curl"].as_str().unwrap()).unwrap()
}

const fn knowing(key: &VerifyingKey) -> Known<'_> {
    Known { public_key: Some(key), pin_key: None, tip_key: None }
}

fn texts(report: &Report, level: Level) -> Vec<&str> {
    report.findings.iter().filter(|f| f.level == level).map(|f| f.text.as_str()).collect()
}

#[test]
fn every_curl_line_parses_to_its_request() {
    for token in docs().0 {
        let request = CapturedRequest::from_curl(token["curl"].as_str().unwrap()).unwrap();
        assert_eq!(request.method, token["method"]);
        assert_eq!(request.path, token["path"]);
        assert_eq!(request.body, token["body"].as_str().unwrap().as_bytes());
        assert_eq!(request.token, token["token"]);
    }
}

#[test]
fn every_report_matches_its_vector() {
    let (tokens, key) = docs();
    for token in tokens {
        let request = CapturedRequest::from_curl(token["curl"].as_str().unwrap()).unwrap();
        let report = inspect(&request, &knowing(&key), IN_2018).unwrap();
        assert_eq!(report.request_hash.matches, token["hash_matches"], "{}", request.path);
        assert_eq!(report.signature.valid, token["signature_verifies"].as_bool(), "{}", request.path);
        assert_eq!(report.is_valid(), token["hash_matches"] == true && token["signature_verifies"] == true);
    }
}

#[test]
fn the_request_that_creates_a_pin_was_valid_in_2018() {
    let report = inspect(&request("/pin/update"), &knowing(&docs().1), IN_2018).unwrap();
    assert_eq!(report.alg, "RS512");
    assert_eq!(texts(&report, Level::Fail), <[&str; 0]>::default());
    assert_eq!((report.expired, report.lifetime_seconds), (false, Some(90 * 86_400)));
    assert_eq!(report.pins.len(), 1);
    let pin = &report.pins[0];
    assert_eq!((pin.field.as_str(), pin.bytes, pin.kind), ("pin", Some(48), "six-digit"));
    let warnings = texts(&report, Level::Warn);
    assert!(warnings.iter().any(|text| text.contains("1024 bits")), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("lives for 90 days")), "{warnings:?}");
}

#[test]
fn the_documented_request_has_expired_by_now() {
    let today = UnixTime::from_secs(1_795_517_646);
    let report = inspect(&request("/pin/update"), &knowing(&docs().1), today).unwrap();
    assert!(report.expired && !report.is_valid());
    assert_eq!(texts(&report, Level::Fail).len(), 1);
}

#[test]
fn without_a_key_the_signature_is_not_checked() {
    let report = inspect(&request("/pin/update"), &Known::default(), IN_2018).unwrap();
    assert!(report.is_valid() && !report.signature.checked);
    assert_eq!(report.signature.valid, None);
}

#[test]
fn a_changed_request_is_not_valid() {
    let (_, key) = docs();
    let inspected = |change: &dyn Fn(&mut CapturedRequest)| {
        let mut request = request("/pin/update");
        change(&mut request);
        inspect(&request, &knowing(&key), IN_2018).unwrap()
    };
    for change in [
        (|r| r.method = "PUT".to_owned()) as fn(&mut CapturedRequest),
        |r| r.path.push('?'),
        |r| r.body.push(b' '),
        |r| r.body = br#"{"pin":"AAAA"}"#.to_vec(),
    ] {
        assert!(!inspected(&change).is_valid());
    }
    let noted = |report: &Report| {
        report.findings.iter().any(|finding| finding.level == Level::Info && finding.text.contains("X-Request-Id"))
    };
    let jti = inspected(&|_: &mut CapturedRequest| ()).claims["jti"].as_str().unwrap().to_owned();
    for same in [jti.clone(), jti.to_uppercase(), jti.replace('-', "")] {
        assert!(!noted(&inspected(&|r: &mut CapturedRequest| r.request_id = Some(same.clone()))), "{same}");
    }
    for id in [Some("06aed1e3-bd77-4a59-991a-5bb5ae6fbb09"), Some("x"), Some(""), None] {
        let report = inspected(&|r: &mut CapturedRequest| r.request_id = id.map(str::to_owned));
        assert!(report.is_valid() && noted(&report), "{id:?}: {:?}", report.findings);
    }
    let report = inspected(&|r: &mut CapturedRequest| r.body = br#"{"pin":"AAAA"}"#.to_vec());
    assert_eq!((report.pins[0].bytes, report.pins[0].kind), (None, "unknown"));
    let same = r#"{"old_pin":"+mRm5rm9bkQztvpsaTyz1Rib0BEM0S1FKl/oYaMfbUJM3ZmrxJhafj/tjHi+3kwQ","pin":"+mRm5rm9bkQztvpsaTyz1Rib0BEM0S1FKl/oYaMfbUJM3ZmrxJhafj/tjHi+3kwQ"}"#;
    let mut twice = request("/pin/update");
    twice.body = same.into();
    let report = inspect(&twice, &knowing(&key), IN_2018).unwrap();
    assert!(texts(&report, Level::Fail).iter().any(|text| text.contains("repeats")));
}

#[test]
fn the_json_form_is_the_documented_one() {
    let report = inspect(&request("/pin/update"), &knowing(&docs().1), IN_2018).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["alg"], "RS512");
    assert_eq!(json["claims"]["uid"], "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09");
    assert_eq!(json["request_hash"]["matches"], true);
    assert_eq!(json["request_hash"]["claimed"], json["request_hash"]["computed"]);
    assert_eq!(json["signature"], serde_json::json!({"checked": true, "valid": true}));
    assert_eq!(json["expired"], false);
    assert_eq!(json["lifetime_seconds"], 7_776_000);
    assert_eq!(json["pins"], serde_json::json!([{"field": "pin", "bytes": 48, "kind": "six-digit"}]));
    assert_eq!(json["findings"][0]["level"], "warn");
}
