//! Replays of signed requests: a signature is accepted once by all gateways on one store, also after a restart.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt;
use passerelle::{app, merchant, upstream::Shared};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{
    dialects::send,
    signed::{SIGNED, Signature},
};
use crate::{partial_lists::open, support::Gateway};

const ACME: [(&str, &str); 2] = [("client_id", "client_acme"), ("client_secret", "secret_acme")];
const COMPONENT: [(&str, &str); 2] = [
    ("app_secret_key", "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"),
    ("component_did", "z8iaShared"),
];
const CUSTOMERS: &str = "/as/bitnob/api/customers";

/// A signature of Bitnob's client, whose nonce is one byte repeated.
fn bitnob(nonce: u8) -> Signature<'static> {
    Signature { provider: "bitnob", credentials: &ACME, late: 0, nonce }
}

fn awa() -> String {
    json!({ "customer_type": "individual", "first_name": "Awa", "last_name": "Ba", "email": "awa@x.example", "phone": "8123456789", "country_code": "+234" }).to_string()
}

/// Serves the signed clients with a store in a file.
async fn on_file(folder: &tempfile::TempDir) -> Gateway {
    let url = format!("sqlite:{}", folder.path().join("store.db").display());
    Gateway::start(&SIGNED.replace("sqlite::memory:", &url)).await
}

/// Sends a request to a second gateway, which has the store of the first one and nothing else of it.
async fn send_to_second(gateway: &Gateway, request: reqwest::RequestBuilder) -> (u16, Value) {
    let configuration = merchant::Gateway::clone(&gateway.snapshot());
    let second = app::new(configuration, gateway.app().store.clone(), Shared::default());
    let request = request.build().expect("a request");
    let target = request.url()[url::Position::BeforePath..].to_owned();
    let mut sent = http::Request::builder().method(request.method()).uri(target).header("host", "gateway");
    sent.headers_mut().expect("headers").extend(request.headers().clone());
    let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec();
    let answer =
        app::router(Arc::clone(&second)).oneshot(sent.body(axum::body::Body::from(body)).expect("a request")).await;
    let answer = answer.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).expect("JSON"))
}

#[tokio::test]
async fn a_signature_is_used_once_over_gateways_and_restarts() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = on_file(&folder).await;
    let create = bitnob(1).request(&gateway, "POST", CUSTOMERS, &awa());
    let replay = create.try_clone().expect("a request");
    assert_eq!(send(create).await.status, 200);
    let headers = replay.build().expect("a request").headers().clone();
    gateway.stop().await;
    drop(open(&folder.path().join("store.db")).await);
    let restarted = on_file(&folder).await;
    let replay = restarted.plain(reqwest::Method::POST, CUSTOMERS).headers(headers).body(awa());
    let again = replay.try_clone().expect("a request");
    assert_eq!(send(replay).await.status, 401, "the gateway refuses it after a restart");
    let (status, body) = send_to_second(&restarted, again).await;
    assert_eq!((status, &body["title"]), (401, &json!("Unauthorized")), "so does another gateway");
    let (status, body) = send_to_second(&restarted, bitnob(2).request(&restarted, "GET", CUSTOMERS, "")).await;
    assert_eq!((status, &body["status"]), (200, &json!(true)), "a new one is served: {body}");
    assert_eq!(send(bitnob(2).request(&restarted, "GET", CUSTOMERS, "")).await.status, 401);
    assert_eq!(send(bitnob(3).request(&restarted, "GET", CUSTOMERS, "")).await.status, 200);
}

/// PaymentKit's client sends the same bytes twice where it repeats a request within a second.
#[tokio::test]
async fn an_update_that_another_gateway_repeats_has_the_same_answer() {
    let gateway = Gateway::start(SIGNED).await;
    let signed = || Signature { provider: "paymentkit", credentials: &COMPONENT, late: 0, nonce: 0 };
    let path = "/as/paymentkit/api/customers";
    let list = format!("{path}?page=1&pageSize=5&livemode=false");
    let listed = send(signed().request(&gateway, "GET", &list, "")).await;
    let one = format!("{path}/{}?livemode=false", listed.body["list"][0]["id"].as_str().expect("an id"));
    let update = signed().request(&gateway, "PUT", &one, &json!({ "email": "new@example.com" }).to_string());
    let repeated = update.try_clone().expect("a request");
    let updated = send(update).await;
    assert_eq!(updated.body["email"], "new@example.com", "{}", updated.text);
    let audited = gateway.audited().await;
    assert_eq!(send_to_second(&gateway, repeated).await, (200, updated.body));
    assert_eq!(gateway.audited().await, audited, "nothing is sent again");
}

#[tokio::test]
async fn only_a_signature_that_is_new_to_the_process_costs_a_statement() {
    let gateway = Gateway::start(SIGNED).await;
    // The gateway asks its store now and then, so of several requests the one counts during which it did not.
    let cost = async |request: &dyn Fn(u8) -> reqwest::RequestBuilder, status: u16| {
        let mut least = u64::MAX;
        for nonce in 0..5 {
            let before = gateway.statements();
            assert_eq!(send(request(nonce)).await.status, status);
            least = least.min(gateway.statements() - before);
        }
        least
    };
    let keyed = |_: u8| gateway.plain(reqwest::Method::GET, "/as/lomi/v1/customers").header("x-api-key", "sk_acme");
    assert_eq!(cost(&keyed, 200).await, 0, "a request with a key");
    let signed = |nonce: u8| bitnob(nonce).request(&gateway, "GET", CUSTOMERS, "");
    assert_eq!(cost(&signed, 200).await, 1);
    assert_eq!(cost(&signed, 401).await, 0, "a replay to the same process");
}

#[tokio::test]
async fn a_signed_write_needs_the_store_and_a_read_does_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = on_file(&folder).await;
    let [file, elsewhere] = ["store.db", "elsewhere.db"].map(|name| folder.path().join(name));
    std::fs::rename(&file, &elsewhere).expect("the file is moved away");
    let refused = send(bitnob(1).request(&gateway, "POST", CUSTOMERS, &awa())).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(send(bitnob(2).request(&gateway, "GET", CUSTOMERS, "")).await.status, 200);
    assert_eq!(
        send(bitnob(2).request(&gateway, "GET", CUSTOMERS, "")).await.status,
        401,
        "the memory of the process still knows it"
    );
    std::fs::rename(&elsewhere, &file).expect("the file is put back");
    // The store is asked again after a moment. A refused request does not use up its nonce.
    let accepted = async {
        loop {
            let answer = send(bitnob(1).request(&gateway, "POST", CUSTOMERS, &awa())).await;
            if answer.status != 503 {
                break answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let created = tokio::time::timeout(Duration::from_secs(20), accepted).await.expect("the store is used again");
    assert_eq!(created.status, 200, "{}", created.text);
}
