//! The signature, compared with the one that ArcBlock's own SDK computes (sdk).

use bytes::Bytes;
use data_encoding::HEXLOWER;

use super::sign::{HEADERS, digest_of, sign, verify};
use crate::model::{
    Kind, Request,
    auth::{Credentials, Stamp},
};

const SEED: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const PUBLIC: &str = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
const NOW: i64 = 1_700_000_000;
const STAMP: Stamp = Stamp { now: NOW, nonce: [0; 16] };
const DID: &str = "zNKa5mpgjBK9h5KQ5BxCSSPmy8F5NJwuSmxQ";

fn credentials(named: &[(&str, &str)]) -> Credentials {
    Credentials::new(named.iter().map(|(name, secret)| ((*name).to_owned(), (*secret).to_owned())))
}

fn keys() -> Credentials {
    credentials(&[("app_secret_key", &format!("0x{SEED}{PUBLIC}")), ("component_did", DID)])
}

fn request(method: &str, path: &str, body: &'static str) -> Request {
    let url = format!("https://app.example.com{path}");
    http::Request::builder().method(method).uri(url).body(Bytes::from(body)).expect("a request")
}

fn list() -> Request {
    request("GET", "/payment/api/customers?page=1&pageSize=5&livemode=false", "")
}

fn update() -> Request {
    request(
        "PUT",
        "/payment/api/customers/cus_Mxxxxxxxxxxxxxxx?livemode=true",
        r#"{"metadata":{"internal_id":"user-456"},"email":"john.new.doe@example.com"}"#,
    )
}

fn signed(mut request: Request) -> Request {
    sign(&mut request, &keys(), &STAMP).expect("a signature");
    request
}

fn digest(request: &Request) -> String {
    HEXLOWER.encode(digest_of(request, request.uri().path(), NOW, NOW + 300).expect("a digest").as_ref())
}

#[test]
fn requests_are_signed_as_the_sdk_signs_them() {
    let vectors = [
        (
            list(),
            "860e9a6a08981996c90347f97e5399c529fa02a3381283696aa07b619c628748",
            "0xcdc82b5a337c30c22ce596c8804c91bfa539dccdfb6672874fb835037cc454d39e0d264f1e8fb625cd9a60561d5e0e0bdad053791955c78d5d4ae8dc4a82550d",
        ),
        (
            update(),
            "2342f7bad131a7ad7431abd042bf370f4491c6b9a60b90487a69207471b630b5",
            "0x6f9aceffa8bb1425bceb5fb0a5395e6fe72aded529aa59562bce14540cc8ae00d37273a344811a55e87d299ddfba60f572a722cb589c5bfd379f0a0f23b46406",
        ),
    ];
    for (request, hash, signature) in vectors {
        assert_eq!(digest(&request), hash);
        let request = signed(request);
        let values: Vec<_> = HEADERS.iter().map(|name| request.headers()[*name].to_str().expect("text")).collect();
        assert_eq!(values, [DID, signature, "1700000000", "1700000300", "1"]);
    }
}

#[test]
fn a_seed_alone_signs_and_a_public_key_alone_verifies() {
    let seed = credentials(&[("app_secret_key", SEED), ("component_did", DID)]);
    let mut request = update();
    sign(&mut request, &seed, &STAMP).expect("a signature");
    for known in [keys(), seed, credentials(&[("public_key", &format!("0x{PUBLIC}"))])] {
        verify(&request, &known, NOW + 300).expect("the signature holds");
    }
}

#[test]
fn a_changed_expired_or_foreign_signature_is_refused() {
    let refused = |request: &Request, known: &Credentials, now| match verify(request, known, now) {
        Ok(()) => panic!("{request:?} was accepted"),
        Err(error) => assert_eq!(error.kind, Kind::Unauthorized),
    };
    refused(&signed(update()), &keys(), NOW + 301);
    refused(&signed(update()), &credentials(&[("public_key", &"00".repeat(32))]), NOW);
    refused(&signed(update()), &credentials(&[("access_key", "blocklet-key")]), NOW);
    for change in [
        |request: &mut Request| *request.method_mut() = http::Method::POST,
        |request: &mut Request| {
            *request.uri_mut() = "/payment/api/customers/cus_M?livemode=true".parse().expect("a URL");
        },
        |request: &mut Request| *request.uri_mut() = request.uri().path().parse().expect("a URL"),
        |request: &mut Request| *request.body_mut() = Bytes::from_static(b"{}"),
        |request: &mut Request| *request.body_mut() = Bytes::from_static(b"{"),
        |request: &mut Request| drop(request.headers_mut().insert(HEADERS[3], "1700000301".parse().expect("text"))),
        |request: &mut Request| drop(request.headers_mut().insert(HEADERS[3], "soon".parse().expect("text"))),
        |request: &mut Request| drop(request.headers_mut().insert(HEADERS[1], "0xff".parse().expect("text"))),
    ] {
        let mut request = signed(update());
        change(&mut request);
        refused(&request, &keys(), NOW);
    }
}

#[test]
fn a_mount_point_that_a_proxy_cut_off_is_restored_from_its_header() {
    let mut request = signed(list());
    *request.uri_mut() = "/api/customers?page=1&pageSize=5&livemode=false".parse().expect("a URL");
    assert!(verify(&request, &keys(), NOW).is_err());
    request.headers_mut().insert("x-path-prefix", "/payment/".parse().expect("text"));
    verify(&request, &keys(), NOW).expect("the signature holds");
}

#[test]
fn a_malformed_secret_key_is_refused() {
    for secret in ["", "0x00", "no key", &format!("{SEED}{SEED}"), &"00".repeat(33)] {
        let known = credentials(&[("app_secret_key", secret), ("component_did", DID)]);
        assert!(sign(&mut list(), &known, &STAMP).is_err(), "{secret}");
    }
}

/// Computed with the SDK's own parts: `JSON.parse` and `json-stable-stringify`.
#[test]
fn keys_and_numbers_are_written_as_javascript_writes_them() {
    let body = r#"{"metadata":{"\uE000":1,"\uD83D\uDE00":2,"big":12345678901234567890,"tiny":1.5e-7,"huge":1e21,"h2":-2.5e300,"one":1.0,"zero":-0.0,"s":"\u2028\u007f\u0001\"\\/é","a":[null,true,{"b":1,"a":[]}]}}"#;
    let hash = "a1246778c309aba0e2a8228f346db0b990ca067ffbb755e52260929caab0d2a1";
    assert_eq!(digest(&request("PUT", "/api/customers/cus_M?livemode=true", body)), hash);
}

/// The SDK's `qs.parse`, `JSON.parse` and `json-stable-stringify` give the same text for both of each pair.
#[test]
fn equivalent_spellings_have_the_same_digest() {
    let of_query = |query: &str| digest(&request("GET", &format!("/api/customers?{query}"), ""));
    assert_eq!(of_query("a=1&b=x%20y"), of_query("b=x+y&a=%31"));
    assert_eq!(of_query("order=created_at%3AASC&nul="), of_query("nul&order=created_at:ASC"));
    assert_ne!(of_query("a=1&b=2"), of_query("a=2&b=1"));
    let of_body = |body| digest(&request("PUT", "/api/customers/cus_M", body));
    for (one, other) in [
        (r#"{"n":1.0,"m":-0}"#, r#"{"m":0,"n":1}"#),
        (r#"{"n":1.50,"m":100e-2}"#, r#"{"m":1,"n":1.5}"#),
        (r#"{"n":9007199254740993}"#, r#"{"n":9007199254740992}"#),
        (r#"{"n":12345678901234567890}"#, r#"{"n":12345678901234567000}"#),
        (r#"{"a":[{"z":1,"b":"\u00e9"}]}"#, r#"{ "a" : [ { "b" : "é", "z" : 1 } ] }"#),
        ("", "{}"),
    ] {
        assert_eq!(of_body(one), of_body(other), "{one}");
    }
}
