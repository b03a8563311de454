//! A provider whose lists show only customers with transactions: what was created or changed through the gateway is found
//! all the same.

use std::path::Path;

use http::Method;
use jiff::Timestamp;
use passerelle::{
    config::load_text,
    store::{ContactKind, ContactsOf, Settings as StoreSettings, Store},
    twin::{
        Twin,
        faults::{FaultPlan, OperationName},
        log::{self, Log},
    },
};
use passerelle_providers::{
    Settings,
    kit::server::base_path,
    model::{Operation, auth::Credentials},
    vendor,
};
use serde_json::{Value, json};

use crate::support::{Answer, Gateway, JsonText};

const CUSTOMERS: &str = "/v1/customers";
const AWA: &str = "awa@example.com";
const PHONE: &str = "%2B221771234500";

/// A twin of lomi, and the folder of its log.
struct Vendor {
    base: String,
    folder: tempfile::TempDir,
}

impl Vendor {
    /// A twin whose lists show only customers with transactions, unless `lists_all` is set.
    fn start(faults: &str, lists_all: bool) -> Self {
        let vendor = vendor("lomi").expect("a vendor");
        let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
        let folder = tempfile::tempdir().expect("a folder");
        let log = Log::open(&folder.path().join("log")).expect("a log");
        let plan = FaultPlan::read(faults, "faults.toml").expect("a plan");
        let mut twin = Twin::new(vendor, settings, Credentials::default()).with_log(log).with_faults(plan);
        if !lists_all {
            twin = twin.listing_only_with_transactions();
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(twin.serve(listener, axum_server::Handle::new()));
        Self { base: format!("http://{address}{}", base_path(vendor.manifests[0])), folder }
    }

    async fn gateway(&self) -> Gateway {
        Gateway::in_front_of("lomi", &self.base, "visibility_lag = \"1ms\"").await
    }

    /// A request that does not pass through the gateway.
    async fn send(&self, method: Method, id: &str, body: &Value) -> Value {
        #[expect(clippy::disallowed_methods, reason = "a client of the twin")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.request(method, format!("{}/customers{id}", self.base)).header("x-api-key", "any");
        let response = request.json_text(body).send().await.expect("an answer");
        assert!(response.status().is_success());
        serde_json::from_str(&response.text().await.expect("a body")).expect("JSON")
    }

    /// How many requests of this operation the twin has received.
    fn received(&self, operation: Operation) -> usize {
        let entries = log::read(&self.folder.path().join("log")).expect("a log");
        log::requests(&entries).filter(|request| request.operation == Some(OperationName(operation))).count()
    }

    fn store(&self) -> std::path::PathBuf {
        self.folder.path().join("store.db")
    }
}

fn awa() -> Value {
    json!({ "name": "Awa Diop", "email": "Awa@Example.com", "phone": "+221771234500" })
}

async fn create(gateway: &Gateway, body: Value) -> String {
    let created = gateway.post(CUSTOMERS, body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    created.body["id"].as_str().expect("an id").to_owned()
}

async fn look_up(gateway: &Gateway, query: &str) -> Answer {
    gateway.get(&format!("{CUSTOMERS}/lookup?{query}")).await
}

async fn assert_found(gateway: &Gateway, query: &str, id: &str) {
    let found = look_up(gateway, query).await;
    assert_eq!((found.status.as_u16(), found.body["id"].as_str()), (200, Some(id)), "{query}: {}", found.text);
}

async fn assert_not_found(gateway: &Gateway, query: &str) {
    let found = look_up(gateway, query).await;
    assert_eq!(found.status_and_code(), (404, "customer_not_found"), "{query}: {}", found.text);
}

#[tokio::test]
async fn a_look_up_finds_what_was_created_through_the_gateway() {
    let vendor = Vendor::start("", false);
    let gateway = vendor.gateway().await;
    let id = create(&gateway, awa()).await;
    let listed = gateway.get(&format!("{CUSTOMERS}?email={AWA}")).await;
    assert_eq!(listed.body["data"], json!([]), "a list shows what the provider lists");
    assert_found(&gateway, &format!("email={AWA}"), &id).await;
    assert_found(&gateway, &format!("phone={PHONE}"), &id).await;
    assert_found(&gateway, "phone=77%20123%2045%2000", &id).await;
    let listed = look_up(&gateway, "email=amadou.ba@example.com").await;
    assert_eq!(listed.status, 200, "a customer with transactions is found in the list: {}", listed.text);
}

#[tokio::test]
async fn a_404_of_a_look_up_says_who_can_be_found() {
    let vendor = Vendor::start("", false);
    let gateway = vendor.gateway().await;
    vendor.send(Method::POST, "", &json!({ "name": "Awa Diop", "email": AWA })).await;
    let missing = look_up(&gateway, &format!("email={AWA}")).await;
    assert_eq!(missing.status_and_code(), (404, "customer_not_found"), "{}", missing.text);
    let detail = missing.body["detail"].as_str().expect("a detail");
    assert!(detail.contains("only customers with completed or refunded transactions"), "{detail}");
    assert!(detail.contains("created or changed through this gateway"), "{detail}");
    let complete = Gateway::sandbox("modempay").await;
    let missing = look_up(&complete, &format!("email={AWA}")).await;
    assert_eq!(missing.body["detail"], "the provider has no customer with this email");
}

#[tokio::test]
async fn a_distinct_create_answers_the_customer_that_the_list_does_not_show() {
    let vendor = Vendor::start("", false);
    let gateway = vendor.gateway().await;
    let id = create(&gateway, awa()).await;
    for body in [awa(), json!({ "name": "A. Diop", "phone": "+221771234500" })] {
        let again = gateway.post(&format!("{CUSTOMERS}?distinct=true"), body).await;
        assert_eq!((again.status.as_u16(), again.body["id"].as_str()), (200, Some(id.as_str())), "{}", again.text);
    }
    assert_eq!(vendor.received(Operation::Create), 1);
}

#[tokio::test]
async fn contacts_follow_updates_and_go_with_the_deletion() {
    let vendor = Vendor::start("", false);
    let gateway = vendor.gateway().await;
    let id = create(&gateway, awa()).await;
    let path = format!("{CUSTOMERS}/{id}");
    assert_eq!(gateway.patch(&path, json!({ "email": "awa@example.org" })).await.status, 200);
    assert_not_found(&gateway, &format!("email={AWA}")).await;
    assert_found(&gateway, "email=awa@example.org", &id).await;
    assert_found(&gateway, &format!("phone={PHONE}"), &id).await;
    assert_eq!(gateway.patch(&path, json!({ "phone": "+221770000001" })).await.status, 200);
    assert_not_found(&gateway, &format!("phone={PHONE}")).await;
    assert_found(&gateway, "phone=%2B221770000001", &id).await;
    assert_eq!(gateway.delete(&path).await.status, 200);
    let retrieved = vendor.received(Operation::Retrieve);
    assert_not_found(&gateway, "email=awa@example.org").await;
    assert_not_found(&gateway, "phone=%2B221770000001").await;
    assert_eq!(vendor.received(Operation::Retrieve), retrieved, "the store does not know the customer any more");
}

/// The list shows one of the two, and only the store knows the other one.
#[tokio::test]
async fn a_listed_match_does_not_hide_one_that_only_the_store_knows() {
    const LISTED: &str = "amadou.ba@example.com";
    let vendor = Vendor::start("", false);
    let gateway = vendor.gateway().await;
    let listed = look_up(&gateway, &format!("email={LISTED}")).await.body["id"].clone();
    let same = || json!({ "name": "A. Ba", "email": "Amadou.Ba@example.com" });
    let known = create(&gateway, same()).await;
    let looked_up = look_up(&gateway, &format!("email={LISTED}")).await;
    let distinct = gateway.post(&format!("{CUSTOMERS}?distinct=true"), same()).await;
    for answer in [looked_up, distinct] {
        assert_eq!(answer.status_and_code(), (409, "lookup_ambiguous"), "{}", answer.text);
        assert_eq!(answer.body["ids"], json!([listed, known]));
    }
    let bitnob = |method, path| gateway.plain(method, path).bearer_auth("sk_acme");
    let found = gateway.send_to_dialect(bitnob(Method::GET, "/as/bitnob/api/v1/customers/amadou.ba@example.com")).await;
    let body = json!({ "firstName": "A.", "lastName": "Ba", "email": LISTED });
    let posted = bitnob(Method::POST, "/as/bitnob/api/v1/customers").json_text(&body);
    for refused in [found, gateway.send_to_dialect(posted).await] {
        assert_eq!((refused.status.as_u16(), &refused.body["message"]), (400, &json!("several customers match")));
    }
    assert_eq!(vendor.received(Operation::Create), 1);
    let deletion =
        gateway.plain(Method::DELETE, &format!("/as/lomi/v1/customers/{known}")).header("x-api-key", "sk_acme");
    assert_eq!(gateway.send_to_dialect(deletion).await.status, 200);
    assert_found(&gateway, &format!("email={LISTED}"), listed.as_str().expect("an id")).await;
}

/// A customer that was created elsewhere is found from its first change through the gateway on.
#[tokio::test]
async fn a_look_up_finds_what_was_changed_through_the_gateway() {
    let vendor = Vendor::start("", false);
    let gateway = vendor.gateway().await;
    let made = vendor.send(Method::POST, "", &json!({ "name": "Awa Diop", "email": AWA })).await;
    let id = made["data"]["customer_id"].as_str().expect("an id");
    assert_not_found(&gateway, &format!("email={AWA}")).await;
    assert_eq!(gateway.patch(&format!("{CUSTOMERS}/{id}"), json!({ "name": "Awa Ba" })).await.status, 200);
    assert_found(&gateway, &format!("email={AWA}"), id).await;
}

/// What the store knows is only a hint: the provider decides.
#[tokio::test]
async fn a_customer_that_was_changed_or_deleted_elsewhere_is_no_match() {
    let vendor = Vendor::start("", false);
    let gateway = vendor.gateway().await;
    let changed = create(&gateway, awa()).await;
    vendor.send(Method::PATCH, &format!("/{changed}"), &json!({ "email": "else@example.com" })).await;
    assert_not_found(&gateway, &format!("email={AWA}")).await;
    let anew = gateway.post(&format!("{CUSTOMERS}?distinct=true"), awa()).await;
    assert_eq!(anew.status, 201, "{}", anew.text);
    let anew = anew.body["id"].as_str().expect("an id").to_owned();
    assert_found(&gateway, &format!("email={AWA}"), &anew).await;
    vendor.send(Method::DELETE, &format!("/{anew}"), &Value::Null).await;
    assert_not_found(&gateway, &format!("email={AWA}")).await;
}

#[tokio::test]
async fn drop_in_finds_and_records_the_same_customers() {
    let vendor = Vendor::start("", false);
    let gateway = vendor.gateway().await;
    // At Bitnob an address is unique, so its clients expect the first customer again.
    let bitnob = |method: Method, path: &str| {
        gateway.plain(method, &format!("/as/bitnob/api/v1/customers{path}")).bearer_auth("sk_acme")
    };
    let post = async || {
        let body = json!({ "firstName": "Awa", "lastName": "Diop", "email": AWA });
        let response = bitnob(Method::POST, "").json_text(&body).send().await.expect("an answer");
        let body: Value = serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
        body["data"]["id"].as_str().expect("an id").to_owned()
    };
    let id = post().await;
    assert_found(&gateway, &format!("email={AWA}"), &id).await;
    assert_eq!(post().await, id);
    assert_eq!(vendor.received(Operation::Create), 1);
    let found = bitnob(Method::GET, &format!("/{AWA}")).send().await.expect("an answer");
    assert_eq!(found.status(), 200);
    let change = bitnob(Method::PUT, &format!("/{id}")).json_text(&json!({ "email": "awa@example.org" }));
    assert_eq!(change.send().await.expect("an answer").status(), 200);
    assert_not_found(&gateway, &format!("email={AWA}")).await;
    assert_found(&gateway, "email=awa@example.org", &id).await;
}

#[tokio::test]
async fn contacts_are_kept_over_restarts() {
    let vendor = Vendor::start("", false);
    let url = format!("sqlite:{}", vendor.store().display());
    let gateway = Gateway::with_store(&url, "lomi", &vendor.base, "").await;
    let id = create(&gateway, awa()).await;
    gateway.stop().await;
    drop(open(&vendor.store()).await);
    let gateway = Gateway::with_store(&url, "lomi", &vendor.base, "").await;
    assert_found(&gateway, &format!("email={AWA}"), &id).await;
    assert_found(&gateway, &format!("phone={PHONE}"), &id).await;
}

/// Opens the store of a gateway that has stopped.
pub(crate) async fn open(file: &Path) -> Store {
    let text = format!("[store]\nurl = \"sqlite:{}\"\n", file.display());
    let loaded = load_text(&text, "test").expect("a configuration");
    let settings = StoreSettings::of(&loaded).expect("settings");
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        // The last tasks of the gateway may still hold the store for a moment.
        match Store::open(&settings).await {
            Ok(store) => return store,
            Err(error) => assert!(Timestamp::now() < ends, "{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Waits until an unknown write has its outcome, or is held.
async fn outcome(gateway: &Gateway, id: &str) -> Value {
    let ends = Timestamp::now() + jiff::SignedDuration::from_secs(20);
    loop {
        let operation = gateway.get(&format!("/v1/operations/{id}")).await.body;
        if operation["outcome"] != "unknown" || operation["held"] == true {
            return operation;
        }
        assert!(Timestamp::now() < ends, "{operation}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The contacts of a create are recorded by the worker that reconciles it. Here the list shows the customer.
#[tokio::test]
async fn a_reconciled_create_records_its_contacts() {
    let vendor = Vendor::start("error_after = 1.0\nonly = [\"create\"]", true);
    let url = format!("sqlite:{}", vendor.store().display());
    let gateway = Gateway::with_store(&url, "lomi", &vendor.base, "visibility_lag = \"1ms\"").await;
    let unknown = gateway.post(CUSTOMERS, awa()).await;
    assert_eq!(unknown.status_and_code(), (502, "outcome_unknown"), "{}", unknown.text);
    let operation = outcome(&gateway, unknown.header("x-operation-id")).await;
    assert_eq!(operation["outcome"], "done", "{operation}");
    gateway.stop().await;
    let of = ContactsOf { merchant: "acme", connection: "main" };
    let found = open(&vendor.store()).await.contacts().find(of, ContactKind::Email, AWA, 10).await;
    assert_eq!(found.expect("read"), [operation["customer"].as_str().expect("an id")]);
}

/// The create was executed, but the list does not show its customer: the gateway must not send it again.
#[tokio::test]
async fn an_unknown_create_is_held_and_sent_once() {
    let vendor = Vendor::start("error_after = 1.0\nonly = [\"create\"]", false);
    let gateway = vendor.gateway().await;
    for distinct in ["", "?distinct=true"] {
        let sent = vendor.received(Operation::Create);
        let unknown = gateway.post(&format!("{CUSTOMERS}{distinct}"), awa()).await;
        assert_eq!(unknown.status_and_code(), (502, "outcome_unknown"), "{}", unknown.text);
        let operation = outcome(&gateway, unknown.header("x-operation-id")).await;
        assert_eq!((&operation["outcome"], &operation["held"]), (&json!("unknown"), &json!(true)), "{operation}");
        assert_eq!(vendor.received(Operation::Create), sent + 1);
        let again = gateway.get(&format!("/v1/operations/{}", unknown.header("x-operation-id"))).await;
        assert_eq!(again.body["held"], true);
    }
    // Through drop-in, for lomi's own clients and for those of another provider.
    for (path, key, body) in [
        ("/as/lomi/v1/customers", "x-api-key", json!({ "name": "Awa Diop", "email": "awa@example.org" })),
        ("/as/notchpay/customers", "authorization", json!({ "name": "Awa Diop", "email": "awa@example.net" })),
    ] {
        let sent = vendor.received(Operation::Create);
        let send = async || {
            let request = gateway.plain(Method::POST, path).header(key, "sk_acme").header("idempotency-key", path);
            gateway.send_to_dialect(request.json_text(&body)).await
        };
        let unknown = send().await;
        assert_eq!((unknown.status.is_success(), unknown.header("passerelle-outcome")), (false, "unknown"));
        let operation = outcome(&gateway, unknown.header("x-operation-id")).await;
        assert_eq!((&operation["outcome"], &operation["held"]), (&json!("unknown"), &json!(true)), "{operation}");
        assert_eq!(send().await.header("passerelle-outcome"), "unknown");
        assert_eq!(vendor.received(Operation::Create), sent + 1);
    }
}

/// The first create had no effect, and a later create of another client made the customer. A distinct create asks for no
/// second customer, so the customer of the later create is its outcome.
#[tokio::test]
async fn an_unknown_distinct_create_is_reconciled_with_a_customer_that_the_list_does_not_show() {
    let text = |seed: u64| format!("seed = {seed}\nerror_before = 0.5\nonly = [\"create\"]");
    // Requests: the list of the distinct create, the create, which fails, and the second create. The worker may send
    // lists between them, and they get no faults.
    let fits = |seed: &u64| {
        let plan = FaultPlan::read(&text(*seed), "faults.toml").expect("a plan");
        let fails = |number| plan.fault(number, Some(Operation::Create)).is_some();
        fails(2) && !fails(3)
    };
    let vendor = Vendor::start(&text((0..1000).find(fits).expect("a seed")), false);
    let gateway = Gateway::in_front_of("lomi", &vendor.base, "visibility_lag = \"1s\"").await;
    let unknown = gateway.post(&format!("{CUSTOMERS}?distinct=true"), awa()).await;
    assert_eq!(unknown.status_and_code(), (502, "outcome_unknown"), "{}", unknown.text);
    let id = create(&gateway, awa()).await;
    let operation = outcome(&gateway, unknown.header("x-operation-id")).await;
    assert_eq!((&operation["outcome"], &operation["customer"]), (&json!("done"), &json!(id)), "{operation}");
    assert_eq!(vendor.received(Operation::Create), 2);
}

/// Without the store, the gateway cannot say that there is no such customer.
#[tokio::test]
async fn a_look_up_is_refused_while_the_store_cannot_be_read() {
    let vendor = Vendor::start("", false);
    let url = format!("sqlite:{}", vendor.store().display());
    let gateway = Gateway::with_store(&url, "lomi", &vendor.base, "").await;
    let file = rusqlite::Connection::open(vendor.store()).expect("the file");
    file.execute_batch("ALTER TABLE contacts RENAME TO lost").expect("renamed");
    let refused = look_up(&gateway, &format!("email={AWA}")).await;
    assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{}", refused.text);
    assert_eq!(refused.body["safe_to_retry"], true);
    let refused = gateway.post(&format!("{CUSTOMERS}?distinct=true"), awa()).await;
    assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{}", refused.text);
    assert_eq!(vendor.received(Operation::Create), 0, "nothing was sent");
    let listed = look_up(&gateway, "email=amadou.ba@example.com").await;
    assert_eq!(listed.status, 200, "the list shows this customer: {}", listed.text);
    let report = listed.body["fidelity"].to_string();
    assert!(report.contains("the gateway's store could not be read"), "another one may match: {report}");
    file.execute_batch("ALTER TABLE lost RENAME TO contacts").expect("renamed");
    assert_not_found(&gateway, &format!("email={AWA}")).await;
}

#[tokio::test]
async fn the_capabilities_say_which_customers_the_lists_show() {
    let gateway = Gateway::sandbox("lomi").await;
    let partial = json!({ "coverage": "partial", "shown": "customers with completed or refunded transactions" });
    assert_eq!(gateway.get("/v1/merchant").await.body["provider"]["lists"], partial);
    let all = gateway.get("/v1/providers").await;
    for provider in all.body["data"].as_array().expect("providers") {
        let expected = if provider["name"] == "lomi" { &partial } else { &json!({ "coverage": "all", "shown": null }) };
        assert_eq!(&provider["lists"], expected, "{}", provider["name"]);
    }
}
