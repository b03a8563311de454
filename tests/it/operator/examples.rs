//! The examples of the operator's document are recorded from a gateway with the sandbox, whose merchant `shop` switches from
//! one provider to another. To record them: `UPDATE_DOCUMENTS=1 cargo test --test it operator::examples`.

use std::{collections::BTreeSet, fs, time::Duration};

use passerelle::{
    command::{Running, start},
    config::{SANDBOX, load_text},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::KEY;
use crate::{
    contract::Contract,
    contract_examples::Examples,
    support::{Answer, JsonText},
};

const FILE: &str = "src/operator/openapi.examples.json";

/// How long the story waits for a state.
const PATIENCE: Duration = Duration::from_mins(2);

/// How many lines of a file, and how many items of a list, an example has.
const SHORT: usize = 3;

/// A merchant whose switch is abandoned.
const SECOND: &str = "\n[merchants.acme]\napi_keys = [\"sk_sandbox_acme\"]\nactive = \"main\"\nregion = \"GM\"\n\
                      connections.main = { provider = \"modempay\", sandbox = true }\n\
                      connections.new = { provider = \"notchpay\", sandbox = true }\n";

struct Story {
    running: Running,
    client: reqwest::Client,
    examples: Examples,
}

impl Story {
    async fn begin() -> Self {
        let text =
            format!("{SANDBOX}{SECOND}").replace("\"127.0.0.1:9464\"", &format!("\"127.0.0.1:0\"\nkeys = [\"{KEY}\"]"));
        let mut loaded = load_text(&text, "test.toml").expect("a configuration");
        loaded.config.server.listen = "127.0.0.1:0".to_owned();
        let running = start(&loaded).await.expect("a gateway");
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { running, client, examples: Examples::default() }
    }

    fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        let address = self.running.operator_address.expect("the operator's listener");
        self.client.request(method, format!("http://{address}{path}"))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(KEY)
    }

    /// Sends a request, and checks its answer against the document.
    async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = Answer::of(self.client.execute(request).await.expect("an answer")).await;
        Contract::operator().check(&method, &path, &answer);
        answer
    }

    /// Sends a request whose answer becomes an example.
    async fn play(&mut self, operation: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
        let request = self.request(method, path);
        let request = if let Some(body) = &body { request.json_text(body) } else { request };
        let answer = self.send(request).await;
        assert!(answer.status.is_success(), "{operation}: {}", answer.text);
        let dry_run = body.as_ref().is_some_and(|body| body["dry_run"] == true);
        let (name, request) = if dry_run { ("steps", None) } else { ("result", body.as_ref()) };
        self.examples.add(operation, name, request, &short(&answer));
        answer
    }

    async fn fails(&mut self, request: RequestBuilder) {
        let answer = self.send(request).await;
        assert!(answer.status.as_u16() >= 400, "{}", answer.text);
        self.examples.problem(answer);
    }

    async fn until(&self, id: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let switch = self.send(self.request(Method::GET, &format!("/v1/switches/{id}"))).await.body;
            if holds(&switch) {
                return switch;
            }
            assert!(began.elapsed() < PATIENCE, "the switch never was {what}: {switch}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Plans a switch, and waits until it is planned.
    async fn planned(&mut self, merchant: &str) -> String {
        let plan = json!({ "merchant": merchant, "to": "new" });
        let planned = self.play("plan_switch", Method::POST, "/v1/switches", Some(plan)).await;
        let id = planned.body["id"].as_str().expect("an id").to_owned();
        self.until(&id, "planned", |switch| switch["state"] == "planned").await;
        id
    }

    /// Gives a command on the present state and epoch, and accepts every condition that is in its way.
    async fn command(&mut self, operation: &str, id: &str, command: &str) {
        let path = format!("/v1/switches/{id}/{command}");
        let now = self.send(self.request(Method::GET, &format!("/v1/switches/{id}"))).await.body;
        let mut body = json!({ "decided": decided(&now), "dry_run": true });
        let steps = self.play(operation, Method::POST, &path, Some(body.clone())).await;
        let refused = steps.body["refused"].as_array().expect("reasons");
        let accept: BTreeSet<&str> = refused.iter().filter_map(|reason| reason["code"].as_str()).collect();
        body["accept"] = json!(accept);
        body["dry_run"] = false.into();
        self.play(operation, Method::POST, &path, Some(body)).await;
    }

    /// Copies some customers slowly, stops, and copies the rest.
    async fn copied(&mut self, id: &str) {
        let at = |command: &str| format!("/v1/switches/{id}/{command}");
        let now = self.send(self.request(Method::GET, &format!("/v1/switches/{id}"))).await.body;
        self.play("set_rate_of_switch", Method::POST, &at("rate"), Some(json!({ "limit": "60/min" }))).await;
        self.play("run_switch", Method::POST, &at("run"), Some(json!({ "decided": decided(&now), "first": 10 }))).await;
        self.play("stop_switch", Method::POST, &at("stop"), None).await;
        let unlimited = self.request(Method::POST, &at("rate")).json_text(&json!({ "limit": null }));
        assert!(self.send(unlimited).await.status.is_success());
        let now = self.send(self.request(Method::GET, &format!("/v1/switches/{id}"))).await.body;
        let rest = self.request(Method::POST, &at("run")).json_text(&json!({ "decided": decided(&now) }));
        let rest = self.send(rest).await;
        assert!(rest.status.is_success(), "{}", rest.text);
        self.until(id, "copied", |switch| switch["state"] == "copied" && switch["records"]["pending"] == 0).await;
    }
}

fn decided(switch: &Value) -> Value {
    json!({ "state": switch["state"], "epoch": switch["epoch"] })
}

/// The answer without most of its lines, or most items of its lists.
fn short(answer: &Answer) -> Answer {
    let mut body = answer.body.clone();
    for member in body.as_object_mut().into_iter().flat_map(|members| members.values_mut()) {
        if let Some(items) = member.as_array_mut() {
            items.truncate(SHORT);
        }
    }
    if body.is_null() {
        let end = answer.text.find("<style>").unwrap_or(answer.text.len());
        body = answer.text[..end].lines().take(SHORT).collect::<Vec<_>>().join("\n").into();
    }
    Answer { status: answer.status, headers: answer.headers.clone(), text: String::new(), body }
}

async fn recorded() -> Value {
    let mut story = Story::begin().await;
    let customers = format!("http://{}/v1/customers", story.running.address);
    let awa = json!({ "name": "Awa Diop", "email": "awa.diop@example.com" });
    let created = story.client.post(customers).bearer_auth("sk_sandbox_acme").json_text(&awa).send().await;
    assert_eq!(created.expect("an answer").status(), 201);

    let other = story.planned("acme").await;
    story.command("abandon_switch", &other, "abandon").await;
    let id = story.planned("shop").await;
    let at = |rest: &str| format!("/v1/switches/{id}{rest}");
    story.play("retrieve_switch", Method::GET, &at(""), None).await;
    story.play("list_switches", Method::GET, "/v1/switches?limit=1", None).await;
    story.play("retrieve_switch_of_merchant", Method::GET, "/v1/merchants/shop/switch", None).await;
    story.play("download_decisions", Method::GET, &at("/decisions.csv"), None).await;
    story.copied(&id).await;
    story.play("list_records", Method::GET, &at("/records?limit=1"), None).await;
    let open = story.send(story.request(Method::GET, &at("/records?outcome=needs_decision&limit=1"))).await.body;
    let decision = json!({ "public_id": open["data"][0]["public_id"], "decision": "leave" });
    let now = story.send(story.request(Method::GET, &at(""))).await.body;
    let decisions = json!({ "decided": decided(&now), "decisions": [decision] });
    story.play("decide_records", Method::POST, &at("/decisions"), Some(decisions)).await;
    for (operation, file) in [
        ("download_map", "/map.csv"),
        ("download_results", "/results.csv"),
        ("download_errors", "/errors.csv"),
        ("download_report", "/report.html"),
    ] {
        story.play(operation, Method::GET, &at(file), None).await;
    }
    let now = story.send(story.request(Method::GET, &at(""))).await.body;
    let verify = json!({ "decided": decided(&now) });
    story.play("verify_switch", Method::POST, &at("/verify"), Some(verify)).await;
    story.until(&id, "verified", |switch| switch["verified"]["complete"] == true).await;
    story.command("cut_over", &id, "cutover").await;
    story.command("roll_back", &id, "rollback").await;
    story.command("cut_over", &id, "cutover").await;
    story.command("complete_switch", &id, "complete").await;
    let active = json!({ "connection": "new" });
    story.play("set_active", Method::PUT, "/v1/merchants/shop/active", Some(active)).await;
    story.play("list_operations", Method::GET, "/v1/operations?limit=1&merchant=acme", None).await;
    story.play("list_audit", Method::GET, "/v1/audit?limit=3", None).await;
    story.play("verify_audit", Method::GET, "/v1/audit/verification", None).await;
    story.play("live", Method::GET, "/livez", None).await;
    story.play("ready", Method::GET, "/readyz", None).await;

    let early = json!({ "decided": { "state": "planned", "epoch": 0 } });
    let post = |path: &str| story.request(Method::POST, path);
    let failing = [
        story.request(Method::GET, "/v1/audit?cursor=x"),
        story.anonymous(Method::GET, "/v1/switches"),
        story.request(Method::GET, "/v1/switches/sw_unknown"),
        post(&at("/run")).json_text(&early),
        post(&at("/run")).body("run"),
        story.request(Method::GET, "/v1/switches").header("host", "other.example"),
        post("/v1/switches").json_text(&json!({ "merchant": "shop" })),
    ];
    for request in failing {
        story.fails(request).await;
    }
    story.examples.json()
}

/// The names of the members of every example. A switch goes on while it is read, so its values differ in each run; the
/// contract says which values are possible.
fn names(examples: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let members =
        |value: &Value| value.as_object().map(|members| members.keys().cloned().collect::<Vec<_>>().join(" "));
    for (operation, example) in examples["operations"].as_object().into_iter().flatten() {
        names.push(format!("{operation} request {:?}", members(&example["request"])));
        for (status, named) in example["answers"].as_object().into_iter().flatten() {
            for (name, answer) in named.as_object().into_iter().flatten() {
                names.push(format!("{operation} {status} {name} {:?}", members(answer)));
            }
        }
    }
    for (status, problem) in examples["problems"].as_object().into_iter().flatten() {
        names.push(format!("{status} {}: {:?}", problem["code"], members(problem)));
    }
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_has_what_the_gateway_answers() {
    let found = recorded().await;
    let kept = || -> Value { serde_json::from_str(&fs::read_to_string(FILE).unwrap_or_default()).unwrap_or_default() };
    // What differs in each run is not recorded again.
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() && names(&kept()) != names(&found) {
        let text = serde_json::to_string_pretty(&found).expect("JSON");
        fs::write(FILE, text + "\n").expect("the examples are written");
    }
    assert_eq!(names(&kept()), names(&found));
    assert!(!found.to_string().contains(KEY), "no example has a key");
}

#[test]
fn every_operation_of_an_operator_has_words_and_examples_that_the_document_allows() {
    Contract::operator().check_examples();
}
