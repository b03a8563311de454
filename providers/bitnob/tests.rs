//! The signature, checked against the test vectors of the official client: `internal/api/client_test.go` (cli).

use bytes::Bytes;

use super::sign::HMAC;
use crate::{
    kit::sign::unhex,
    model::{
        Request,
        auth::{Credentials, Stamp},
    },
};

const NOW: i64 = 1_711_020_000;

fn credentials(id: &str, secret: &str) -> Credentials {
    Credentials::new([("client_id", id), ("client_secret", secret)].map(|(name, text)| (name.into(), text.into())))
}

fn signed(credentials: &Credentials, nonce: &str, body: &'static str) -> Request {
    let nonce = unhex(nonce).expect("hexadecimal").try_into().expect("sixteen bytes");
    let mut request = Request::new(Bytes::from_static(body.as_bytes()));
    HMAC.authorize(&mut request, credentials, &Stamp { now: NOW, nonce }).expect("signed");
    request
}

fn signed_with_a_body() -> (Credentials, Request) {
    let credentials = credentials("client_test", "secret_test");
    let body = r#"{"email":"john.doe@example.com","first_name":"John"}"#;
    let request = signed(&credentials, "abcdef0123456789abcdef0123456789", body);
    (credentials, request)
}

#[test]
fn a_body_is_signed_as_the_official_client_signs_it() {
    let (_, request) = signed_with_a_body();
    assert_eq!(request.headers()["x-auth-client"], "client_test");
    assert_eq!(request.headers()["x-auth-timestamp"], "1711020000");
    assert_eq!(request.headers()["x-auth-nonce"], "abcdef0123456789abcdef0123456789");
    let expected = "46ec3f628da36f918b9c73eb4b0039190e5f636873ceab75ff0a342df715b37d";
    assert_eq!(request.headers()["x-auth-signature"], expected);
}

#[test]
fn a_request_without_a_body_is_signed_with_an_empty_one() {
    let secret = "secret_de5b82d253d4ddfbcb34ced93e6d17c7288c598cda0a3696514f73f168110cef";
    let credentials = credentials("2b9e8b4b-d8dc-42e1-82c7-3afe8a9ecd1c", secret);
    let request = signed(&credentials, "00112233445566778899aabbccddeeff", "");
    let expected = "0be2223c6785af8b608fffe8de180d07c299b1f8862fd541abc790d90c89eb90";
    assert_eq!(request.headers()["x-auth-signature"], expected);
}

#[test]
fn a_captured_request_of_the_official_client_is_verified() {
    // Captured from bitnob-cli, which puts a customer on the blacklist.
    let mut request = Request::new(Bytes::from_static(br#"{"blacklist":true}"#));
    for (name, value) in [
        ("x-auth-client", "client_demo"),
        ("x-auth-nonce", "c0dbbed1064607d3a658579c3972c287"),
        ("x-auth-signature", "954bfc6b21b2d0f7bda89431b7a2261dda4e1ce9808e64e263420d09c110dc28"),
        ("x-auth-timestamp", "1795189094"),
    ] {
        request.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    let known = credentials("client_demo", "secret_demo");
    assert!(HMAC.verify(&request, &known, 1_795_189_100).is_ok());
    assert!(HMAC.verify(&request, &credentials("client_demo", "another"), 1_795_189_100).is_err());
    assert!(HMAC.verify(&request, &credentials("another", "secret_demo"), 1_795_189_100).is_err());
}

#[test]
fn a_changed_or_old_request_is_refused() {
    let (credentials, request) = signed_with_a_body();
    assert!(HMAC.verify(&request, &credentials, NOW + 300).is_ok());
    assert!(HMAC.verify(&request, &credentials, NOW - 300).is_ok());
    assert!(HMAC.verify(&request, &credentials, NOW + 301).is_err());
    assert!(HMAC.verify(&request, &credentials, NOW - 301).is_err());
    for (name, value) in
        [("x-auth-timestamp", "1711020001"), ("x-auth-timestamp", "soon"), ("x-auth-nonce", "00"), ("x-auth-nonce", "")]
    {
        let mut changed = request.clone();
        changed.headers_mut().insert(name, http::HeaderValue::from_static(value));
        assert!(HMAC.verify(&changed, &credentials, NOW).is_err(), "{name}");
    }
    let mut changed = request.clone();
    *changed.body_mut() = Bytes::from_static(b"{}");
    assert!(HMAC.verify(&changed, &credentials, NOW).is_err());
}
