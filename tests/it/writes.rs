//! Writes: one key, one effect, one answer; what was begun goes on; what is not known is looked for and told.

use std::sync::Arc;

use http::Method;
use jiff::Timestamp;
use passerelle::twin::{
    Twin,
    faults::{FaultPlan, Named},
    log::{self, Log},
};
use passerelle_providers::{
    Settings,
    model::{Operation, auth::Credentials},
    vendor,
};
use serde_json::{Value, json};

use crate::{
    stand_in::{Act, StandIn},
    support::{Answer, Gateway, JsonText},
};

const CUSTOMERS: &str = "/v1/customers";

async fn create(gateway: &Gateway, key: Option<&str>, body: &Value) -> Answer {
    let request = gateway.request(Method::POST, CUSTOMERS).json_text(body);
    gateway.send(key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))).await
}

async fn count(gateway: &Gateway, email: &str) -> usize {
    let found = gateway.get(&format!("{CUSTOMERS}?email={email}&limit=100")).await;
    found.body["data"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn one_key_has_one_effect_and_one_answer() {
    let gateway = Gateway::sandbox("lomi").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "metadata": { "n": 1.0, "a": "é" } });
    let first = create(&gateway, Some("order-1"), &awa).await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(first.header("idempotency-status"), "created");
    assert!(first.header("idempotent-replayed").is_empty());
    let spelled_otherwise = r#" {"metadata": {"a":"\u00e9","n":1}, "email":"awa@example.com", "name":"Awa Diop"}"#;
    let request = gateway.request(Method::POST, CUSTOMERS).header("content-type", "application/json");
    let again = request.header("idempotency-key", "order-1").body(spelled_otherwise);
    let again = gateway.send(again).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text), "byte for byte");
    for header in ["location", "content-type", "x-operation-id"] {
        assert_eq!(again.header(header), first.header(header), "{header}");
    }
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("idempotency-status"), "replayed");
    let other = create(&gateway, Some("order-1"), &json!({ "name": "Awa Ba", "email": "awa@example.com" })).await;
    assert_eq!(other.told(), (422, "idempotency_key_reused"));
    assert_eq!(count(&gateway, "awa@example.com").await, 1);
    let twin = create(&gateway, Some("order-2"), &awa).await;
    assert_eq!(twin.status, 201, "another key is another customer");
    assert_eq!(count(&gateway, "awa@example.com").await, 2);
    let told = gateway.get(&format!("/v1/operations/{}", first.header("x-operation-id"))).await;
    assert_eq!((&told.body["outcome"], &told.body["customer"]), (&json!("done"), &first.body["id"]));
}

#[tokio::test]
async fn what_was_answered_goes_with_its_customer() {
    let gateway = Gateway::sandbox("lomi").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let created = create(&gateway, Some("order-1"), &awa).await;
    let id = created.body["id"].as_str().expect("an id").to_owned();
    let delete = || gateway.request(Method::DELETE, &format!("{CUSTOMERS}/{id}")).header("idempotency-key", "gone");
    let deleted = gateway.send(delete()).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    let again = create(&gateway, Some("order-1"), &awa).await;
    assert_eq!(again.told(), (410, "replay_erased"));
    assert_eq!(again.body["provider"]["id"], json!(id));
    assert!(!again.text.contains("Awa"), "nothing of the customer");
    assert_eq!(gateway.send(delete()).await.text, deleted.text, "the deletion itself is answered again");
    let told = gateway.get(&format!("/v1/operations/{}", created.header("x-operation-id"))).await;
    assert_eq!((&told.body["outcome"], &told.body["customer"]), (&json!("done"), &json!(id)));
    assert_eq!(count(&gateway, "awa@example.com").await, 0, "and nobody was made anew");
}

#[tokio::test]
async fn a_key_is_the_merchants_own() {
    let lomi = Gateway::sandbox("lomi").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&lomi, Some("same"), &awa).await;
    let modempay = lomi.with_key("sk_sandbox_modempay");
    let second = create(&modempay, Some("same"), &awa).await;
    assert_eq!(second.header("idempotency-status"), "created");
    assert_ne!(first.body["id"], second.body["id"]);
    let strange = modempay.get(&format!("/v1/operations/{}", first.header("x-operation-id"))).await;
    assert_eq!(strange.told(), (404, "not_found"));
}

#[tokio::test]
async fn what_is_no_key_is_refused_before_anything_else() {
    let gateway = Gateway::sandbox("lomi").await;
    for key in ["", "two words", &"k".repeat(256)] {
        let answer = create(&gateway, Some(key), &json!({ "name": "Awa" })).await;
        assert_eq!(answer.told(), (400, "malformed_request"), "{key}");
    }
}

#[tokio::test]
async fn a_refusal_of_ours_leaves_the_key_free() {
    let gateway = Gateway::sandbox("lomi").await;
    let wrong = create(&gateway, Some("k"), &json!({ "name": "Awa", "email": "nobody" })).await;
    assert_eq!(wrong.told(), (422, "invalid_request"));
    let right = create(&gateway, Some("k"), &json!({ "name": "Awa", "email": "awa@example.com" })).await;
    assert_eq!(right.status, 201);
}

#[tokio::test]
async fn concurrent_duplicates_have_one_effect() {
    let gateway = Arc::new(Gateway::sandbox("notchpay").await);
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let asked = (0..60).map(|_| {
        let (gateway, body) = (Arc::clone(&gateway), body.clone());
        tokio::spawn(async move { create(&gateway, Some("one"), &body).await })
    });
    let mut texts = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        let answer = asked.await.expect("no panic");
        if answer.status == 201 {
            texts.push(answer.text);
            continue;
        }
        assert_eq!(answer.told(), (409, "idempotency_in_progress"));
        assert_eq!(answer.header("idempotency-status"), "in_progress");
        assert!(answer.header("x-operation-id").starts_with("op_"));
    }
    assert!(!texts.is_empty());
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(count(&gateway, "awa@example.com").await, 1);
}

/// A twin with a plan of faults, and the gateway before it.
async fn before_a_twin(provider: &str, faults: &str, more: &str) -> (Gateway, tempfile::TempDir) {
    let (base, folder) = twin(provider, faults);
    (Gateway::before(provider, &base, more).await, folder)
}

/// A twin with a plan of faults: where it is, and the folder of its log.
fn twin(provider: &str, faults: &str) -> (String, tempfile::TempDir) {
    let vendor = vendor(provider).expect("a vendor");
    let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
    let folder = tempfile::tempdir().expect("a folder");
    let plan = FaultPlan::read(faults, "faults.toml").expect("a plan");
    let log = Log::open(&folder.path().join("log")).expect("a log");
    let twin = Twin::new(vendor, settings, Credentials::default()).with_faults(plan).with_log(log);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!(
        "http://{}{}",
        listener.local_addr().expect("an address"),
        passerelle_providers::kit::server::base_path(vendor.manifests[0])
    );
    tokio::spawn(twin.serve(listener, axum_server::Handle::new()));
    (base, folder)
}

fn effects(folder: &tempfile::TempDir) -> usize {
    log::effects(&log::read(&folder.path().join("log")).expect("a log")).count()
}

/// These faults, with a seed that makes a plan of them that fits.
fn planned(faults: &str, fits: impl Fn(&FaultPlan) -> bool) -> String {
    let text = |seed: u64| format!("seed = {seed}\n{faults}");
    let fitting = |seed: &u64| fits(&FaultPlan::read(&text(*seed), "faults.toml").expect("a plan"));
    text((0..100_000).find(fitting).expect("a seed"))
}

fn fails(plan: &FaultPlan, create: u64) -> bool {
    plan.fault(create, Some(Operation::Create)).is_some()
}

/// Asks until a write's outcome is another than this one, or it is left to a person.
async fn settled(gateway: &Gateway, id: &str, from: &str) -> Value {
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let told = gateway.get(&format!("/v1/operations/{id}")).await.body;
        if told["outcome"] != from || told["held"] == true || Timestamp::now() > ends {
            return told;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_unknown_create_is_found_and_the_key_gets_its_answer() {
    for provider in ["lomi", "modempay", "notchpay", "bitnob"] {
        let faults = "error_after = 1.0\nonly = [\"create\"]";
        let (gateway, folder) = before_a_twin(provider, faults, "visibility_lag = \"10ms\"").await;
        let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
        let first = create(&gateway, Some("k"), &awa).await;
        assert_eq!(first.told(), (502, "outcome_unknown"), "{provider}");
        let id = first.body["operation_id"].as_str().expect("an id").to_owned();
        let told = settled(&gateway, &id, "unknown").await;
        assert_eq!(told["outcome"], "done", "{provider}: {told}");
        let again = create(&gateway, Some("k"), &awa).await;
        assert_eq!((again.status.as_u16(), &again.body["id"]), (201, &told["customer"]), "{provider}");
        assert_eq!(effects(&folder), 1, "{provider}");
    }
}

/// What an imitated provider takes need not be what the gateway's own API does.
#[tokio::test]
async fn an_unknown_create_in_a_dialect_is_found_whatever_it_says() {
    let awa = [("name", "Awa Diop"), ("email", "awa@example.com")];
    for (provider, more) in [("modempay", ("phone", "ask her brother")), ("lomi", ("country", "Senegal"))] {
        let faults = "error_after = 1.0\nonly = [\"create\"]";
        let (gateway, _folder) = before_a_twin(provider, faults, "visibility_lag = \"10ms\"").await;
        let asked =
            gateway.request(Method::POST, &format!("/as/{provider}/v1/customers")).header("x-api-key", "sk_acme");
        let body: Value = awa.into_iter().chain([more]).collect();
        let answer = asked.json_text(&body).send().await.expect("an answer");
        let id = answer.headers()["x-operation-id"].to_str().expect("an id");
        assert_eq!(settled(&gateway, id, "unknown").await["outcome"], "done", "{provider}");
    }
}

/// The provider has matched somebody who was there, and its answer was lost: nobody was made who could be found.
#[tokio::test]
async fn an_unknown_distinct_create_is_whom_it_matches() {
    let faults = "error_after = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = before_a_twin("modempay", faults, "visibility_lag = \"10ms\"").await;
    let ask = async || {
        let body = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
        let request = gateway.request(Method::POST, "/v1/customers?distinct=true").json_text(&body);
        gateway.send(request.header("idempotency-key", "k")).await
    };
    let first = ask().await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let told = settled(&gateway, first.header("x-operation-id"), "unknown").await;
    assert_eq!(told["outcome"], "done", "{told}");
    let known = gateway.get(&format!("{CUSTOMERS}?email=amadou.ba@example.com")).await;
    let again = ask().await;
    assert_eq!((again.status.as_u16(), &again.body["id"]), (200, &known.body["data"][0]["id"]), "{}", again.text);
    assert_eq!(effects(&folder), 0);
}

/// Who was made a moment ago by another create is not what came of this one, but whom it matches.
#[tokio::test]
async fn an_unknown_distinct_create_may_match_whom_another_create_made() {
    let faults = "error_after = 0.5\nonly = [\"create\"]";
    let faults = planned(faults, |plan| !fails(plan, 1) && fails(plan, 2));
    let (gateway, folder) = before_a_twin("modempay", &faults, "visibility_lag = \"10ms\"").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let made = create(&gateway, None, &awa).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let unknown = gateway.post("/v1/customers?distinct=true", awa).await;
    assert_eq!(unknown.told(), (502, "outcome_unknown"));
    let told = settled(&gateway, unknown.header("x-operation-id"), "unknown").await;
    assert_eq!((&told["outcome"], &told["customer"]), (&json!("done"), &made.body["id"]), "{told}");
    assert_eq!(effects(&folder), 1);
}

/// The provider has made a customer, and its answer is on its way, while it is looked for what came of another create
/// with the same content, of which nothing came.
#[tokio::test]
async fn who_comes_of_a_create_that_is_under_way_is_not_anothers() {
    let faults = "error_before = 0.3\ndelay = \"1ms..2s\"\nonly = [\"create\"]";
    let faults = planned(faults, |plan| {
        let delay = |create| plan.delay(create, Some(Operation::Create)).as_millis();
        !fails(plan, 1) && fails(plan, 2) && delay(1) > 1_500 && delay(2) < 100
    });
    let (gateway, folder) = before_a_twin("modempay", &faults, "visibility_lag = \"10ms\"").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let second = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        create(&gateway, Some("second"), &awa).await
    };
    let (first, second) = tokio::join!(create(&gateway, Some("first"), &awa), second);
    assert_eq!((first.status.as_u16(), second.told()), (201, (502, "outcome_unknown")));
    let told = settled(&gateway, second.header("x-operation-id"), "unknown").await;
    assert_eq!(effects(&folder), 1);
    assert_ne!(told["customer"], first.body["id"], "{told}");
}

#[tokio::test]
async fn a_create_that_did_not_happen_is_held_and_not_sent_again() {
    let faults = "error_before = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = before_a_twin("lomi", faults, "visibility_lag = \"1ms\"").await;
    let first = create(&gateway, Some("k"), &json!({ "name": "Awa Diop", "email": "awa@example.com" })).await;
    let id = first.body["operation_id"].as_str().expect("an id").to_owned();
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let unknown = gateway.get("/v1/operations?outcome=unknown").await;
        assert_eq!(unknown.body["data"][0]["id"], id.as_str(), "an unknown outcome is listed until it is known");
        if unknown.body["data"][0]["held"] == true {
            break;
        }
        assert!(Timestamp::now() < ends, "{}", unknown.text);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(effects(&folder), 0);
    let requests = log::read(&folder.path().join("log")).expect("a log");
    let creates =
        log::requests(&requests).filter(|request| request.operation == Some(Named(Operation::Create))).count();
    assert_eq!(creates, 1, "never sent again blindly");
}

#[tokio::test]
async fn an_operator_may_choose_to_send_again() {
    let faults = "seed = 3\nerror_before = 0.5\nonly = [\"create\"]";
    let more = "visibility_lag = \"1ms\"\non_ambiguous = \"resend_after_lag\"";
    let (gateway, folder) = before_a_twin("lomi", faults, more).await;
    for number in 0..4 {
        let body = json!({ "name": "Awa Diop", "email": format!("awa{number}@example.com") });
        let first = create(&gateway, Some(&format!("k{number}")), &body).await;
        let id = first.header("x-operation-id").to_owned();
        assert_eq!(settled(&gateway, &id, "unknown").await["outcome"], "done", "{number}");
    }
    assert_eq!(effects(&folder), 4);
}

#[tokio::test]
async fn a_client_without_keys_that_tries_again_makes_nobody_twice() {
    let faults = "error_after = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = before_a_twin("modempay", faults, "visibility_lag = \"1ms\"").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&gateway, None, &body).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let again = create(&gateway, None, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(again.header("x-operation-id"), first.header("x-operation-id"));
    assert_eq!(effects(&folder), 1);
    let honest_twin = create(&gateway, None, &body).await;
    assert_ne!(honest_twin.header("x-operation-id"), first.header("x-operation-id"), "what is known is not joined");
}

/// One of them looks for what is unknown, and the others are no less repetitions for that.
#[tokio::test]
async fn repetitions_of_one_moment_are_one_write() {
    let faults = "error_after = 0.3\ndelay = \"300ms\"\nonly = [\"create\", \"list\"]";
    let faults = planned(faults, |plan| fails(plan, 1) && (2..20).all(|later| !fails(plan, later)));
    let (gateway, folder) = before_a_twin("modempay", &faults, "visibility_lag = \"1h\"").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let first = create(&gateway, None, &body).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let ask = || create(&gateway, None, &body);
    for answer in <[Answer; 4]>::from(tokio::join!(ask(), ask(), ask(), ask())) {
        assert_eq!(answer.header("x-operation-id"), first.header("x-operation-id"), "{}", answer.text);
    }
    assert_eq!(effects(&folder), 1);
}

/// Whoever joins a write and goes away before its end has heard as little of it as whoever began it.
#[tokio::test]
async fn who_has_joined_and_gone_has_heard_nothing() {
    let (gateway, folder) = before_a_twin("modempay", "delay = \"500ms\"\nonly = [\"create\"]", "").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let patience = std::time::Duration::from_millis(100);
    for _ in 0..2 {
        assert!(tokio::time::timeout(patience, create(&gateway, None, &body)).await.is_err(), "it does not wait");
    }
    let known = gateway.get("/v1/operations").await;
    let id = known.body["data"][0]["id"].as_str().expect("an id");
    assert_eq!(settled(&gateway, id, "sending").await["outcome"], "done");
    let again = create(&gateway, None, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(effects(&folder), 1);
}

/// Nor has who came back for it, and was gone again before the store could tell it.
#[tokio::test]
async fn who_was_gone_when_the_store_told_has_heard_nothing() {
    let (base, folder) = twin("modempay", "delay = \"300ms\"\nonly = [\"create\"]");
    let file = folder.path().join("store.db");
    let gateway = Gateway::keeping(&format!("sqlite:{}", file.display()), "modempay", &base, "").await;
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let patience = std::time::Duration::from_millis(100);
    let ask = || tokio::time::timeout(patience, create(&gateway, None, &body));
    assert!(ask().await.is_err(), "it does not wait");
    let known = gateway.get("/v1/operations").await;
    let id = known.body["data"][0]["id"].as_str().expect("an id");
    assert_eq!(settled(&gateway, id, "sending").await["outcome"], "done");
    let other = rusqlite::Connection::open(&file).expect("the file");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    assert!(ask().await.is_err(), "it does not wait");
    // By the time of another answer, the gateway knows that whoever asked is gone.
    assert_eq!(gateway.get("/v1/operations").await.status, 200);
    other.execute_batch("ROLLBACK").expect("no lock");
    let again = create(&gateway, None, &body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"), "{}", again.text);
    assert_eq!(again.header("x-operation-id"), id);
    let honest_twin = create(&gateway, None, &body).await;
    assert_ne!(honest_twin.header("x-operation-id"), id, "what was heard stands for nobody else");
    assert_eq!(effects(&folder), 2);
}

#[tokio::test]
async fn whoever_means_two_can_say_so_without_keys() {
    let (gateway, folder) = before_a_twin("modempay", "delay = \"300ms\"\nonly = [\"create\"]", "").await;
    let ask = async |path: &str, number: usize, coalesce: Option<&str>| {
        let body = json!({ "name": "Awa Diop", "email": format!("awa{number}@example.com") });
        let request = gateway.request(Method::POST, path).json_text(&body);
        gateway
            .send(coalesce.into_iter().fold(request, |request, told| request.header("idempotency-coalesce", told)))
            .await
    };
    // In an imitated provider's dialect as well.
    for (number, path) in [CUSTOMERS, "/as/modempay/v1/customers"].into_iter().enumerate() {
        for (coalesce, count) in [(None, 1), (Some("off"), 2)] {
            let before = effects(&folder);
            let (one, other) = tokio::join!(ask(path, number, coalesce), ask(path, number, coalesce));
            assert_eq!((one.status.as_u16(), other.status.as_u16()), (201, 201), "{} {}", one.text, other.text);
            assert_eq!(effects(&folder) - before, count, "{path}, {coalesce:?}");
            assert_eq!(one.text == other.text, count == 1, "{path}, {coalesce:?}");
        }
    }
    let before = effects(&folder);
    for coalesce in ["on", "", "OFF, off"] {
        let refused = ask(CUSTOMERS, 1, Some(coalesce)).await;
        assert_eq!(refused.told(), (400, "malformed_request"), "{coalesce}");
    }
    assert_eq!(effects(&folder), before);
}

#[tokio::test]
async fn a_client_that_goes_away_stops_nothing() {
    let (gateway, folder) = before_a_twin("lomi", "delay = \"30ms\"", "").await;
    for number in 0..10 {
        let body = json!({ "name": "Awa Diop", "email": format!("awa{number}@example.com") }).to_string();
        let head = format!(
            "POST {CUSTOMERS} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_acme\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(gateway.address()).await.expect("a connection");
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.expect("sent");
        tokio::time::sleep(std::time::Duration::from_millis(number)).await;
        drop(stream);
    }
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let told = gateway.get("/v1/operations?limit=100").await;
        let known = told.body["data"].as_array().expect("a list");
        if !known.is_empty() && known.iter().all(|operation| operation["outcome"] == "done") {
            assert_eq!(known.len(), effects(&folder), "no effect without its record");
            break;
        }
        assert!(Timestamp::now() < ends, "{}", told.text);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_can_be_repeated_is_repeated_until_it_is_known() {
    let faults = "seed = 1\nerror_before = 0.4\nerror_after = 0.3\nonly = [\"update\"]";
    let (gateway, folder) = before_a_twin("lomi", faults, "visibility_lag = \"1ms\"").await;
    let awa = create(&gateway, None, &json!({ "name": "Awa Diop" })).await;
    let path = format!("{CUSTOMERS}/{}", awa.body["id"].as_str().expect("an id"));
    for name in ["Awa Ba", "Awa Sow", "Awa Fall", "Awa Ndiaye"] {
        let request = gateway.request(Method::PATCH, &path).json_text(&json!({ "name": name }));
        let answer = gateway.send(request).await;
        assert_eq!(settled(&gateway, answer.header("x-operation-id"), "unknown").await["outcome"], "done", "{name}");
        assert_eq!(gateway.get(&path).await.body["name"], name);
    }
    assert!(effects(&folder) >= 5);
}

/// The provider carries out the first deletion only after it was asked what came of it.
#[tokio::test]
async fn a_deletion_that_finds_nobody_any_more_has_happened() {
    let answer = |status: &str, body: &str| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n");
        Act::Send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into())
    };
    let acts = vec![
        answer("500 Internal Server Error", "{}"),
        answer("200 OK", r#"{"code":200,"status":"OK","customer":{"id":"cus.abc","name":"Awa"}}"#),
        answer("404 Not Found", r#"{"code":404,"status":"Not Found","message":"Customer not found"}"#),
    ];
    let vendor = StandIn::start(acts).await;
    let gateway = Gateway::before("notchpay", &vendor.url(), "visibility_lag = \"10ms\"").await;
    let delete = || gateway.request(Method::DELETE, &format!("{CUSTOMERS}/cus.abc")).header("idempotency-key", "k");
    let first = gateway.send(delete()).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let told = settled(&gateway, first.header("x-operation-id"), "unknown").await;
    assert_eq!(told["outcome"], "done", "{told}");
    let again = gateway.send(delete()).await;
    assert_eq!((again.status.as_u16(), &again.body["deleted"]), (200, &json!(true)), "{}", again.text);
    assert_eq!(vendor.asked().len(), 3);
}

/// Whether there is anybody to be deleted is asked once a deletion: the same one is answered the same.
#[tokio::test]
async fn a_deletion_in_another_dialect_is_answered_again() {
    let (gateway, folder) = before_a_twin("lomi", "delay = \"200ms\"\nonly = [\"delete\"]", "").await;
    let awa = create(&gateway, None, &json!({ "name": "Awa Diop" })).await;
    let path = format!("/as/modempay/v1/customers/{}", awa.body["id"].as_str().expect("an id"));
    let delete = async |key: Option<&str>| {
        let request = gateway.request(Method::DELETE, &path);
        let request = key.into_iter().fold(request, |request, key| request.header("idempotency-key", key));
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    };
    let first = delete(Some("k")).await;
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(delete(Some("k")).await, first);
    assert_eq!(delete(None).await.0, 404, "another deletion");
    assert_eq!(effects(&folder), 2);
}

/// PaymentKit's customers are known by their DIDs, which are not the ids that its answers tell.
#[tokio::test]
async fn an_older_update_by_another_name_does_not_undo_a_newer_one() {
    let only_the_second_update_fails = |plan: &FaultPlan| {
        let fails = |number| plan.fault(number, Some(Operation::Update)).is_some();
        fails(2) && (3..22).all(|later| !fails(later))
    };
    let faults = planned("error_before = 0.3\nonly = [\"update\"]", only_the_second_update_fails);
    let (gateway, _folder) = before_a_twin("paymentkit", &faults, "visibility_lag = \"500ms\"").await;
    let someone = gateway.get(&format!("{CUSTOMERS}?limit=1")).await;
    let path = format!("{CUSTOMERS}/{}", someone.body["data"][0]["did"].as_str().expect("a DID"));
    let first = gateway.patch(&path, json!({ "name": "Old Name" })).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    assert_eq!(gateway.patch(&path, json!({ "name": "New Name" })).await.status, 200);
    let operation = format!("/v1/operations/{}", first.header("x-operation-id"));
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let told = gateway.get(&operation).await.body;
        if told["held"] == true || told["outcome"] != "unknown" {
            break;
        }
        assert!(Timestamp::now() < ends, "{told}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(gateway.get(&path).await.body["name"], "New Name", "the newer name stays");
}

#[tokio::test]
async fn what_was_not_sent_may_be_sent_with_the_same_key() {
    let limited =
        "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\nretry-after: 1\r\nconnection: close\r\n\r\n{}";
    let created = "{\"data\":{\"customer_id\":\"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985\",\"name\":\"Awa\"}}";
    let created = format!(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{created}",
        created.len()
    );
    let vendor = StandIn::start(vec![Act::Send(limited.into()), Act::Send(created.into_bytes())]).await;
    let gateway = Gateway::before("lomi", &vendor.url(), "").await;
    let first = create(&gateway, Some("k"), &json!({ "name": "Awa" })).await;
    assert_eq!(first.told(), (429, "provider_rate_limited"));
    let again = create(&gateway, Some("k"), &json!({ "name": "Awa" })).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-status")), (201, "created"), "{}", again.text);
}

#[tokio::test]
async fn a_stranger_who_is_alike_is_never_taken_for_the_one() {
    let faults = "error_before = 1.0\nonly = [\"create\"]";
    let (gateway, folder) = before_a_twin("lomi", faults, "visibility_lag = \"1ms\"").await;
    // Amadou has been there from the beginning, and looks as if he had just been made.
    let found = gateway.get(&format!("{CUSTOMERS}?email=amadou.ba@example.com")).await;
    let path = format!("{CUSTOMERS}/{}", found.body["data"][0]["id"].as_str().expect("an id"));
    assert_eq!(gateway.patch(&path, json!({ "metadata": { "segment": "retail" } })).await.status, 200);
    let alike = json!({ "name": "Amadou Ba", "email": "amadou.ba@example.com" });
    let first = create(&gateway, Some("k"), &alike).await;
    assert_eq!(first.told(), (502, "outcome_unknown"));
    let again = create(&gateway, Some("k"), &alike).await;
    assert_eq!(again.code(), "outcome_unknown", "nobody has the mark: {}", again.text);
    assert_eq!(effects(&folder), 1, "the update");
}

#[tokio::test]
async fn a_mark_is_written_with_a_key_and_never_shown() {
    let (gateway, folder) = before_a_twin("notchpay", "", "").await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "metadata": { "order": 7 } });
    let keyed = create(&gateway, Some("k"), &awa).await;
    let path = format!("{CUSTOMERS}/{}", keyed.body["id"].as_str().expect("an id"));
    for answer in [&keyed, &gateway.get(&path).await, &gateway.get(CUSTOMERS).await] {
        assert!(answer.text.contains(r#""metadata":{"order":7}"#), "{}", answer.text);
        assert!(!answer.text.contains("passerelle_op"), "{}", answer.text);
    }
    create(&gateway, None, &json!({ "name": "Awa Ba", "email": "awa.ba@example.com" })).await;
    let log = log::read(&folder.path().join("log")).expect("a log");
    let marks: Vec<_> = log::effects(&log).map(|effect| effect.marker.as_deref()).collect();
    assert_eq!(marks, [Some(keyed.header("x-operation-id")), None]);
}
