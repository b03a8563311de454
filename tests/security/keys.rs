//! Keys: which ones are accepted, how a wrong one is refused, and that a client gains nothing from the headers or the
//! idempotency keys of another client.

use data_encoding::HEXLOWER;
use passerelle::merchant::digest_of;
use reqwest::Method;
use serde_json::json;

use crate::{
    bed::{Bed, JsonText, Listener, merchant_of_twin},
    canary,
};

const MERCHANT: &str = "/v1/merchant";

#[tokio::test]
async fn s01_a_revoked_key_is_answered_like_one_that_never_was() {
    let bed = Bed::start(&(merchant_of_twin("acme", "lomi") + &merchant_of_twin("umbrella", "lomi")));
    let key = canary::key_of("acme");
    assert_eq!(bed.get("acme", MERCHANT).await.status, 200);
    bed.reload(&key, "sk_c4n4ry_next_key");
    let revoked = bed.get("acme", MERCHANT).await;
    let unknown = bed.request(Listener::Merchants, Method::GET, MERCHANT).bearer_auth(canary::WRONG_KEY);
    let unknown = bed.send(unknown).await;
    assert_eq!(revoked.status_and_code(), (401, "unauthorized"));
    assert_eq!(revoked.comparable(&key), unknown.comparable(canary::WRONG_KEY));
    let next = bed.request(Listener::Merchants, Method::GET, MERCHANT).bearer_auth("sk_c4n4ry_next_key");
    assert_eq!(bed.send(next).await.status, 200);
}

/// The search of the log for canaries at the end of the test is a part of it.
#[tokio::test]
async fn s02_a_key_in_the_query_is_refused_and_not_logged() {
    let bed = Bed::start(&merchant_of_twin("acme", "lomi"));
    for name in ["api_key", "key", "access_token", "authorization"] {
        let path = format!("/v1/customers?{name}={}", canary::key_of("acme"));
        for listener in [Listener::Merchants, Listener::Operator] {
            let answer = bed.send(bed.request(listener, Method::GET, &path)).await;
            assert!([401, 404].contains(&answer.status.as_u16()), "{listener:?} {name}: {}", answer.text);
        }
        let answer = bed.get("acme", &path).await;
        assert_eq!(answer.status_and_code(), (422, "invalid_request"), "{name}: {}", answer.text);
    }
}

/// A key is looked up by its digest, so the time of the look-up says nothing about the key itself.
#[tokio::test]
async fn s03_a_key_that_is_configured_by_its_digest_is_accepted() {
    let key = canary::key_of("acme");
    let digest = HEXLOWER.encode(&digest_of(&key));
    let by_digest =
        merchant_of_twin("acme", "lomi").replace(&format!("\"{key}\""), &format!("{{ sha256 = \"{digest}\" }}"));
    assert!(!by_digest.contains(&key), "the gateway never has the key: {by_digest}");
    let bed = Bed::start(&by_digest);
    assert_eq!(bed.get("acme", MERCHANT).await.status, 200);
    let request = bed.request(Listener::Merchants, Method::GET, MERCHANT).bearer_auth(&digest);
    assert_eq!(bed.send(request).await.status_and_code(), (401, "unauthorized"), "the digest is no key");
}

#[tokio::test]
async fn s07_an_idempotency_key_of_another_merchant_is_a_key_of_its_own() {
    let bed = Bed::start(&(merchant_of_twin("acme", "notchpay") + &merchant_of_twin("umbrella", "notchpay")));
    let create = async |merchant: &str, email: &str| {
        let request = bed.of(merchant, Method::POST, "/v1/customers").header("idempotency-key", "order-c4n4ry-1");
        bed.send(request.json_text(&json!({ "email": email }))).await
    };
    let first = create("acme", canary::EMAIL).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let same = create("umbrella", canary::EMAIL).await;
    assert_eq!((same.status.as_u16(), same.header("idempotency-status")), (201, "created"), "{}", same.text);
    assert_ne!(same.id(), first.id(), "another customer, at the account of the second merchant");
    let other = create("acme", "other.c4n4ry@example.com").await;
    assert_eq!(other.status_and_code(), (422, "idempotency_key_reused"), "for its own merchant the key is taken");
    let replayed = create("umbrella", canary::EMAIL).await;
    assert_eq!((replayed.header("idempotency-status"), replayed.id()), ("replayed", same.id()));
}

#[tokio::test]
async fn s08_headers_that_a_client_invents_change_neither_its_address_nor_its_merchant() {
    let merchants = merchant_of_twin("acme", "lomi") + &merchant_of_twin("umbrella", "notchpay");
    let bed = Bed::with("wrong_keys_per_address = \"2/h\"", &merchants);
    let mut statuses = Vec::new();
    for place in 1..=3 {
        let request = bed.request(Listener::Merchants, Method::GET, MERCHANT).bearer_auth(canary::WRONG_KEY);
        let request = request.header("x-forwarded-for", format!("192.0.2.{place}"));
        let request = request.header("x-real-ip", format!("192.0.2.{place}"));
        let request = request.header("forwarded", format!("for=192.0.2.{place}"));
        statuses.push(bed.send(request).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 429], "the wrong keys are those of one address");
    for name in ["x-tenant-id", "x-merchant", "x-merchant-id", "x-original-url", "x-http-method-override"] {
        let answer = bed.send(bed.of("acme", Method::GET, MERCHANT).header(name, "umbrella")).await;
        assert!(answer.status == 200 && answer.text.contains("\"lomi\""), "{name}: {}", answer.text);
    }
}
