//! The examples of the OpenAPI documents are recorded from the sandbox, and stay true: each answer is compared with its
//! example, except for what differs in each run. To record them: `UPDATE_DOCUMENTS=1 cargo test --test it contract_examples`.

use std::{collections::BTreeMap, fs};

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::{
    contract::Contract,
    support::{Answer, Gateway, JsonText},
};

const FILE: &str = "src/http/openapi.examples.json";

/// The examples as the document reads them.
#[derive(Default)]
pub(crate) struct Examples {
    operations: BTreeMap<String, Value>,
    problems: BTreeMap<String, Value>,
}

impl Examples {
    pub(crate) fn add(&mut self, operation: &str, name: &str, request: Option<&Value>, answer: &Answer) {
        let entry = self.operations.entry(operation.to_owned()).or_insert_with(|| json!({ "answers": {} }));
        if let Some(request) = request {
            entry["request"] = request.clone();
        }
        entry["answers"][answer.status.as_str()][name] = answer.body.clone();
    }

    /// Keeps a problem as the example of its status.
    pub(crate) fn problem(&mut self, answer: Answer) {
        self.problems.insert(answer.status.as_str().to_owned(), answer.body);
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "operations": self.operations, "problems": self.problems })
    }
}

/// What a run of the examples needs.
struct Story {
    gateway: Gateway,
    examples: Examples,
}

impl Story {
    /// Sends a request, and again with `explain=true` where the operation can be explained.
    async fn play(&mut self, operation: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = |path: &str| {
            let request = self.gateway.request(method.clone(), path);
            if let Some(body) = &body { request.json_text(body) } else { request }
        };
        if path.starts_with("/v1/customers") {
            let sign = if path.contains('?') { '&' } else { '?' };
            let explained = self.gateway.send(request(&format!("{path}{sign}explain=true"))).await;
            assert_eq!(explained.body["object"], "explanation", "{operation}: {}", explained.text);
            self.examples.add(operation, "explanation", None, &explained);
        }
        let answer = self.gateway.send(request(path)).await;
        assert!(answer.status.is_success(), "{operation}: {}", answer.text);
        self.examples.add(operation, "result", body.as_ref(), &answer);
        answer
    }

    async fn fails(&mut self, request: reqwest::RequestBuilder) {
        let answer = self.gateway.send(request).await;
        assert!(answer.status.as_u16() >= 400, "{}", answer.text);
        self.examples.problem(answer);
    }
}

async fn recorded() -> Value {
    let gateway = Gateway::sandbox("notchpay").await;
    let mut story = Story { gateway, examples: Examples::default() };
    let awa = json!({ "name": "Awa Diop", "email": "awa.diop@example.com", "phone": "+237670000001" });
    let created = story.play("create_customer", Method::POST, "/v1/customers", Some(awa)).await;
    let again = json!({ "name": "Awa Diop", "email": "awa.diop@example.com" });
    let found = story.gateway.post("/v1/customers?distinct=true", again).await;
    assert_eq!(found.status, 200, "{}", found.text);
    story.examples.add("create_customer", "found", None, &found);
    let id = created.body["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/customers/{id}");
    story.play("retrieve_customer", Method::GET, &path, None).await;
    let by_address = "/v1/customers/lookup?email=awa.diop@example.com";
    story.play("lookup_customer", Method::GET, by_address, None).await;
    let moved = json!({ "phone": "+237670000002" });
    story.play("update_customer", Method::PATCH, &path, Some(moved)).await;
    story.play("block_customer", Method::POST, &format!("{path}/block"), None).await;
    story.play("unblock_customer", Method::POST, &format!("{path}/unblock"), None).await;
    story.play("list_customers", Method::GET, "/v1/customers?limit=1", None).await;
    let with_history = story.gateway.get("/v1/customers?limit=1").await.body["data"][0]["id"].clone();
    let history = format!("/v1/customers/{}", with_history.as_str().expect("an id"));
    story.play("list_payment_methods", Method::GET, &format!("{history}/payment_methods?limit=1"), None).await;
    story.play("list_payments", Method::GET, &format!("{history}/payments?limit=1"), None).await;
    story.play("list_operations", Method::GET, "/v1/operations?limit=1", None).await;
    let write = story.gateway.get("/v1/operations?limit=1").await.body["data"][0]["id"].clone();
    let write = format!("/v1/operations/{}", write.as_str().expect("an id"));
    story.play("retrieve_operation", Method::GET, &write, None).await;
    story.play("retrieve_merchant", Method::GET, "/v1/merchant", None).await;
    story.play("retrieve_version", Method::GET, "/v1/version", None).await;
    story.play("retrieve_provider", Method::GET, "/v1/providers/notchpay", None).await;
    let mut all = story.gateway.get("/v1/providers").await;
    // One entry shows the form of all.
    all.body["data"].as_array_mut().expect("providers").truncate(1);
    story.examples.add("list_providers", "shortened", None, &all);
    let one_more = json!({ "name": "Ousmane Sow", "email": "ousmane.sow@example.com" });
    let ousmane = story.gateway.post("/v1/customers", one_more).await.body["id"].clone();
    let last = format!("/v1/customers/{}", ousmane.as_str().expect("an id"));
    story.play("delete_customer", Method::DELETE, &last, None).await;
    for (operation, path) in [("live", "/livez"), ("ready", "/readyz")] {
        story.play(operation, Method::GET, path, None).await;
    }

    story.fails(story.gateway.request(Method::GET, "/v1/customers/not an id")).await;
    story.fails(story.gateway.anonymous("/v1/customers")).await;
    story.fails(story.gateway.request(Method::GET, "/v1/customers/cus.unknown")).await;
    story.fails(story.gateway.request(Method::GET, &format!("{history}/overdue_invoices"))).await;
    story.fails(story.gateway.request(Method::POST, "/v1/customers").body("name=Awa")).await;
    let wrong = json!({ "name": "Awa Diop", "email": "awa" });
    story.fails(story.gateway.request(Method::POST, "/v1/customers").json_text(&wrong)).await;
    story.fails(story.gateway.request(Method::GET, &format!("/v1/customers?search={}", "a".repeat(9000)))).await;
    story.fails(story.gateway.request(Method::GET, "/v1/customers").header("expect", "a-cake")).await;

    // Only one provider has overdue invoices.
    story.gateway = story.gateway.with_key("sk_sandbox_paymentkit");
    let debtors = story.gateway.get("/v1/customers").await.body["data"].clone();
    let mut owing = None;
    for debtor in debtors.as_array().expect("customers") {
        let id = debtor["id"].as_str().expect("an id");
        let path = format!("/v1/customers/{id}/overdue_invoices");
        if story.gateway.get(&path).await.body["data"].as_array().is_some_and(|invoices| !invoices.is_empty()) {
            owing = Some(path);
        }
    }
    story.play("list_overdue_invoices", Method::GET, &owing.expect("somebody owes"), None).await;
    story.examples.json()
}

/// The value without what differs in each run: ids, times, cursors, and the address of the twin.
fn stable(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members.iter().map(|(name, member)| (name.clone(), stable_member(name, member))).collect::<Map<_, _>>(),
        ),
        Value::Array(items) => items.iter().map(stable).collect(),
        Value::String(text) if text.contains("cus") || text.starts_with("http://127") => json!("…"),
        other => other.clone(),
    }
}

fn stable_member(name: &str, member: &Value) -> Value {
    let differs =
        ["id", "customer", "request_id", "next_cursor", "reference", "url", "created_at", "updated_at", "finished_at"];
    if differs.contains(&name) && member.is_string() { json!("…") } else { stable(member) }
}

#[tokio::test]
async fn every_example_is_what_the_sandbox_answers() {
    let found = recorded().await;
    let kept = || -> Value { serde_json::from_str(&fs::read_to_string(FILE).unwrap_or_default()).unwrap_or_default() };
    // What differs in each run is not recorded again.
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() && stable(&kept()) != stable(&found) {
        let text = serde_json::to_string_pretty(&found).expect("JSON");
        let mut parts = text.split("http://127.0.0.1:");
        let first = parts.next().unwrap_or_default().to_owned();
        // The twin's port differs in each run.
        let text = parts.fold(first, |text, part| {
            text + "https://sandbox.invalid" + part.trim_start_matches(|sign: char| sign.is_ascii_digit())
        });
        fs::write(FILE, text + "\n").expect("the examples are written");
    }
    let (kept, found) = (stable(&kept()), stable(&found));
    for part in ["operations", "problems"] {
        let names = |value: &Value| value[part].as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&kept), names(&found));
        for name in names(&found) {
            assert_eq!(kept[part][&name], found[part][&name], "the example of {name} is not what the gateway answers");
        }
    }
}

#[test]
fn every_operation_of_a_merchant_has_words_and_examples_that_the_document_allows() {
    Contract::shared().check_examples();
}
