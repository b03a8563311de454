//! S10, S44 and S47: canaries go through every operation of both documents, at providers that succeed, that fail in every
//! way, and that repeat what they were sent. Neither the log, the store, the metrics nor the answers to others show one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    bed::{Answer, Bed, JsonText, Listener, merchant_of, merchant_of_twin},
    canary,
    matrix::{Route, filled, routes},
    stand_in::{Act, StandIn, json as json_answer, response},
};

const PROVIDERS: [&str; 5] = ["modempay", "lomi", "paymentkit", "bitnob", "notchpay"];

/// The path of every dialect, and how its clients send their key.
const DIALECTS: [(&str, &str, &str); 5] = [
    ("/as/modempay/v1/customers", "authorization", "Bearer "),
    ("/as/lomi/v1/customers", "x-api-key", ""),
    ("/as/paymentkit/api/customers", "authorization", "Bearer "),
    ("/as/bitnob/api/v1/customers", "authorization", "Bearer "),
    ("/as/notchpay/customers", "authorization", ""),
];

/// No pause after failures, so that every request reaches the provider.
const NO_BREAKER: &str = "[outbound.breaker]\nfailures = 0\nmin_success = 0\nmax_retry_after = \"1s\"\n";

/// What a provider answers, with everything that it was sent in it.
fn acts(received: &str) -> [Act; 8] {
    let echo = format!("Invalid API Key: {}; you sent {received}", canary::VENDOR_SECRET);
    let errors = json!({ "error": { "message": echo, "code": echo }, "message": echo, "statusCode": 422, "errors": { "email": [echo] } });
    [
        json_answer("500 Internal Server Error", &errors.to_string()),
        json_answer("401 Unauthorized", &errors.to_string()),
        json_answer("422 Unprocessable Entity", &errors.to_string()),
        json_answer("404 Not Found", &errors.to_string()),
        response("200 OK", &[("content-type", "text/html")], format!("<html>{echo}</html>")),
        json_answer("200 OK", &json!({ "data": { "id": echo, "customer_id": echo, "name": echo } }).to_string()),
        response("302 Found", &[("location", &format!("http://127.0.0.1:1/{}", canary::VENDOR_SECRET))], ""),
        Act::Reset,
    ]
}

/// A request of an operation, with canaries wherever it takes text.
async fn call(bed: &Bed, listener: Listener, key: &str, route: &Route, id: &str, body: &Value) -> Answer {
    let mut path = filled(&route.path, id);
    match route.operation.as_str() {
        "lookup_customer" => path += "?email=c4n4ry.awa%40example.com",
        "list_customers" => path += "?search=c4n4ry&include=raw",
        "plan_switch" | "create_customer" => path += "?",
        _ => {}
    }
    let request = bed.request(listener, route.method.clone(), &path).bearer_auth(key);
    let is_read = route.method == Method::GET;
    bed.send(if is_read { request } else { request.json_text(body) }).await
}

/// Every operation of the API and of every dialect, for a merchant of this provider.
async fn every_operation(bed: &Bed, routes: &[Route], provider: &str) {
    const ID: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
    let key = &canary::key_of(provider);
    let bodies = [canary::customer(), canary::whole_customer()];
    let calls = routes.iter().flat_map(|route| bodies.iter().map(move |body| (route, body)));
    join_all(calls.map(|(route, body)| call(bed, Listener::Merchants, key, route, ID, body))).await;
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    for (path, header, prefix) in DIALECTS {
        let paths = [path.to_owned(), format!("{path}/{ID}")];
        let requests = methods.iter().flat_map(|method| paths.iter().map(move |path| (method, path)));
        join_all(requests.map(|(method, path)| {
            let request = bed.request(Listener::Merchants, method.clone(), path);
            bed.send(request.header(header, format!("{prefix}{key}")).json_text(&canary::whole_customer()))
        }))
        .await;
    }
}

#[tokio::test]
async fn s10_s44_s47_providers_that_repeat_what_they_were_sent_leak_nothing() {
    let turn = Arc::new(AtomicUsize::new(0));
    let at = Arc::clone(&turn);
    let vendor = StandIn::answering(move |requests| {
        let received = requests.last()?.replace(['\r', '\n'], " ");
        acts(&received).get(at.load(Ordering::Relaxed)).cloned()
    })
    .await;
    let merchants =
        PROVIDERS.map(|provider| merchant_of(provider, provider, &vendor.url(), "visibility_lag = \"10ms\""));
    let bed = Bed::start(&(NO_BREAKER.to_owned() + &merchants.concat() + &merchant_of_twin("umbrella", "lomi")));
    let routes: Vec<Route> = routes(Listener::Merchants);
    for act in 0..acts("").len() {
        turn.store(act, Ordering::Relaxed);
        join_all(PROVIDERS.map(|provider| every_operation(&bed, &routes, provider))).await;
    }
    for route in &routes {
        let answer = call(&bed, Listener::Merchants, &canary::key_of("umbrella"), route, "cus_1", &json!({})).await;
        assert_eq!(canary::found_in(&answer.text), None, "{} {}", route.method, route.path);
    }
    assert!(vendor.requests().len() > 300, "only {} requests reached the provider", vendor.requests().len());
    assert!(vendor.requests().iter().any(|request| request.contains(canary::VENDOR_SECRET)), "with the credential");
    let metrics = bed.metrics().await;
    assert!(metrics.contains("passerelle_"), "{metrics}");
    assert_eq!(canary::found_in(&metrics), None);
}

#[tokio::test]
async fn s47_every_operation_of_both_listeners_leaks_nothing_where_it_succeeds() {
    let shop = format!(
        "[merchants.acme]\napi_keys = [\"{}\"]\nactive = \"main\"\nregion = \"SN\"\non_loss = \"drop\"\n\
         connections.main = {{ provider = \"notchpay\", sandbox = true, visibility_lag = \"10ms\" }}\n\
         connections.new = {{ provider = \"bitnob\", sandbox = true, visibility_lag = \"10ms\" }}\n",
        canary::key_of("acme")
    );
    let bed = Bed::start(&shop);
    let created = bed.post("acme", "/v1/customers", &canary::whole_customer()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let id = created.id().to_owned();
    for route in routes(Listener::Merchants).iter().filter(|route| route.method != Method::DELETE) {
        let of = if route.operation == "retrieve_operation" { created.header("x-operation-id") } else { &id };
        call(&bed, Listener::Merchants, &canary::key_of("acme"), route, of, &canary::whole_customer()).await;
    }
    let plan = bed.request(Listener::Operator, Method::POST, "/v1/switches").bearer_auth(canary::OPERATOR_KEY);
    let plan = bed.send(plan.json_text(&json!({ "merchant": "acme", "to": "new", "sample": 5 }))).await;
    assert_eq!(plan.status, 201, "{}", plan.text);
    let switch = plan.id().to_owned();
    let command = json!({ "decided": { "state": "planned", "epoch": 0 } });
    let mut served = 0;
    for route in routes(Listener::Operator).iter().filter(|route| route.operation != "abandon_switch") {
        let answer = call(&bed, Listener::Operator, canary::OPERATOR_KEY, route, &switch, &command).await;
        served += usize::from(answer.status.is_success());
        assert_eq!(canary::found_in(&answer.text), None, "{} {}", route.method, route.path);
    }
    assert!(served > 10, "only {served} operations of the operator were executed");
    assert_eq!(canary::found_in(&bed.metrics().await), None);
    let path = format!("/v1/customers/{id}");
    assert_eq!(bed.send(bed.of("acme", Method::DELETE, &path)).await.status, 200);
}
