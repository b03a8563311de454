//! Customers of a merchant who switches providers, with rows that are made by hand: each is served by its home under the
//! id that the merchant was given first. The file says `old`, the routing row says `new`.

use passerelle::store::{Added, NewId};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    partial_lists::open,
    support::{Answer, Gateway, JsonText},
};

/// The public id of a customer that is pinned to `old`.
const MOVED_LATER: &str = "cus_first.1";
/// The public id of a customer that lives at `new`, the active connection.
const MOVED: &str = "cus_first.2";

struct Bed {
    gateway: Gateway,
    /// The ids of both at their homes.
    at_old: String,
    at_new: String,
    folder: TempDir,
}

impl Bed {
    /// Two twins and a store. One customer lives at each connection.
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let gateway = Gateway::start(&configuration(&folder, "old")).await.with_key("sk_acme");
        let at_old = create(&gateway, "Awa Ndiaye", "awa@example.com").await;
        gateway.reload(&configuration(&folder, "new"));
        let at_new = create(&gateway, "Amadou Ba", "amadou@example.com").await;
        gateway.reload(&configuration(&folder, "old"));
        gateway.ids().route("acme", "new").await.expect("stored");
        let bed = Self { gateway, at_old, at_new, folder };
        bed.add(MOVED_LATER, "old", &bed.at_old, Some("old")).await;
        bed.add(MOVED, "new", &bed.at_new, None).await;
        bed.gateway.learn_routing().await;
        bed
    }

    async fn add(&self, public_id: &str, connection: &str, provider_id: &str, pinned: Option<&str>) {
        let [public_id, connection, provider_id] = [public_id, connection, provider_id].map(str::to_owned);
        let new = NewId { public_id, connection, provider_id, pinned: pinned.map(str::to_owned) };
        assert_eq!(self.gateway.ids().add("acme", &new).await, Ok(Added::Stored), "{new:?}");
    }

    /// Both customers: the public id, the connection, and the id there.
    fn customers(&self) -> [(&'static str, &'static str, &str); 2] {
        [(MOVED_LATER, "old", &self.at_old), (MOVED, "new", &self.at_new)]
    }

    /// Executes a statement in the file of the store.
    fn sql(&self, statement: &str) {
        let file = rusqlite::Connection::open(self.folder.path().join("store.db")).expect("the file");
        file.execute_batch(statement).expect("executed");
    }
}

fn configuration(folder: &TempDir, active: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite:{}\"\n[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"{active}\"\nregion = \"CM\"\n\
         connections.old = {{ provider = \"notchpay\", sandbox = true }}\n\
         connections.new = {{ provider = \"modempay\", sandbox = true }}\n\
         [merchants.other]\napi_keys = [\"sk_other\"]\nactive = \"main\"\n\
         connections.main = {{ provider = \"modempay\", sandbox = true }}\n",
        folder.path().join("store.db").display()
    )
}

async fn create(gateway: &Gateway, name: &str, email: &str) -> String {
    let created = gateway.post("/v1/customers", json!({ "name": name, "email": email })).await;
    assert_eq!(created.status, 201, "{}", created.text);
    text(&created.body, "id").to_owned()
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn check(answer: &Answer, (public, connection, own): (&str, &str, &str)) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let provider = &answer.body["provider"];
    let shown = (text(&answer.body, "id"), text(provider, "connection"), text(provider, "id"));
    assert_eq!(shown, (public, connection, own), "{}", answer.text);
}

#[tokio::test]
async fn a_customer_is_read_and_updated_at_its_home_by_every_id_it_ever_had() {
    let bed = Bed::start().await;
    let gateway = &bed.gateway;
    for customer in bed.customers() {
        let (public, _, own) = customer;
        for id in [public, own] {
            let path = format!("/v1/customers/{id}");
            check(&gateway.get(&path).await, customer);
            let updated = gateway.patch(&path, json!({ "email": format!("{id}@example.com") })).await;
            check(&updated, customer);
            assert_eq!(text(&gateway.get(&path).await.body, "email"), format!("{id}@example.com"));
        }
    }
    let unknown = gateway.get("/v1/customers/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985").await;
    assert_eq!(unknown.status_and_code(), (404, "customer_not_found"), "{}", unknown.text);
    assert_eq!(text(&unknown.body["provider"], "connection"), "new", "the active connection was asked");
}

#[tokio::test]
async fn what_the_home_supports_decides_and_not_the_active_connection() {
    let bed = Bed::start().await;
    let gateway = &bed.gateway;
    let [at_old, at_new] = bed.customers();
    let blocked = gateway.post(&format!("/v1/customers/{MOVED_LATER}/block"), json!({})).await;
    check(&blocked, at_old);
    assert_eq!(blocked.body["blocked"], true);
    check(&gateway.post(&format!("/v1/customers/{MOVED_LATER}/unblock"), json!({})).await, at_old);
    let refused = gateway.post(&format!("/v1/customers/{MOVED}/block"), json!({})).await;
    assert_eq!(refused.status_and_code(), (405, "operation_not_supported"), "{}", refused.text);
    assert_eq!(text(&refused.body["provider"], "connection"), at_new.1);
    for (id, expected) in [(MOVED_LATER, 200), (MOVED, 405)] {
        let payments = gateway.get(&format!("/v1/customers/{id}/payments")).await;
        assert_eq!(payments.status.as_u16(), expected, "{id}: {}", payments.text);
    }
}

#[tokio::test]
async fn a_list_and_a_look_up_show_public_ids_and_other_customers_keep_their_own() {
    let bed = Bed::start().await;
    let gateway = &bed.gateway;
    let fresh = create(gateway, "Fatou Diop", "fatou@example.com").await;
    let (mut path, mut shown) = ("/v1/customers?limit=2".to_owned(), Vec::new());
    loop {
        let page = gateway.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        for customer in page.body["data"].as_array().expect("a page") {
            assert_eq!(text(&customer["provider"], "connection"), "new");
            shown.push((text(customer, "id").to_owned(), text(&customer["provider"], "id").to_owned()));
        }
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/v1/customers?limit=2&cursor={cursor}");
    }
    assert!(shown.contains(&(MOVED.to_owned(), bed.at_new.clone())), "{shown:?}");
    assert!(shown.contains(&(fresh.clone(), fresh)), "it has no row: {shown:?}");
    assert!(shown.len() > 2, "several pages");
    let found = gateway.get("/v1/customers/lookup?email=amadou@example.com").await;
    check(&found, (MOVED, "new", &bed.at_new));
}

#[tokio::test]
async fn a_cursor_of_another_connection_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = Gateway::start(&configuration(&folder, "old")).await.with_key("sk_acme");
    let page = gateway.get("/v1/customers?limit=1").await;
    let path = format!("/v1/customers?limit=1&cursor={}", text(&page.body, "next_cursor"));
    gateway.ids().route("acme", "new").await.expect("stored");
    gateway.learn_routing().await;
    let refused = gateway.get(&path).await;
    assert_eq!(refused.status_and_code(), (400, "invalid_cursor"), "{}", refused.text);
    assert!(text(&refused.body, "detail").contains("`old`"), "{}", refused.text);
}

#[tokio::test]
async fn deletions_replays_and_operations_name_the_public_id() {
    let bed = Bed::start().await;
    let gateway = &bed.gateway;
    for (public, _, own) in bed.customers() {
        let delete = || {
            let path = format!("/v1/customers/{public}");
            gateway.request(Method::DELETE, &path).header("idempotency-key", format!("delete-{public}"))
        };
        let deleted = gateway.send(delete()).await;
        assert_eq!((deleted.status.as_u16(), text(&deleted.body, "id")), (200, public), "{}", deleted.text);
        let again = gateway.send(delete()).await;
        assert_eq!((again.header("idempotency-status"), &again.text), ("replayed", &deleted.text));
        let path = format!("/v1/operations/{}", deleted.header("x-operation-id"));
        assert_eq!(text(&gateway.get(&path).await.body, "customer"), public);
        let operations = gateway.get("/v1/operations").await;
        assert!(operations.text.contains(public) && !operations.text.contains(own), "{}", operations.text);
        let gone = gateway.get(&format!("/v1/customers/{public}")).await;
        assert_eq!(gone.status_and_code(), (404, "customer_not_found"), "{}", gone.text);
    }
}

#[tokio::test]
async fn a_create_joins_no_other_and_is_made_at_the_active_connection() {
    let bed = Bed::start().await;
    let body = json!({ "name": "Moussa Sow", "email": "moussa@example.com" });
    let created = bed.gateway.post("/v1/customers", body).await;
    assert_eq!((created.status.as_u16(), text(&created.body["provider"], "connection")), (201, "new"));
    let id = text(&created.body, "id");
    assert_eq!(created.header("location"), format!("/v1/customers/{id}"));
    check(&bed.gateway.get(&format!("/v1/customers/{id}")).await, (id, "new", id));
    let merchant = bed.gateway.get("/v1/merchant").await;
    assert_eq!((text(&merchant.body, "connection"), text(&merchant.body["provider"], "name")), ("new", "modempay"));
}

/// The client was written for the old provider.
#[tokio::test]
async fn drop_in_clients_use_the_ids_that_they_know() {
    let bed = Bed::start().await;
    let gateway = &bed.gateway;
    let send = async |method: Method, below: &str, body: Option<Value>| {
        let request =
            gateway.plain(method, &format!("/as/notchpay/customers{below}")).header("authorization", "sk_acme");
        gateway.send_to_dialect(body.iter().fold(request, JsonText::json_text)).await
    };
    for (public, _, own) in bed.customers() {
        for id in [public, own] {
            let retrieved = send(Method::GET, &format!("/{id}"), None).await;
            let shown = &retrieved.body["customer"];
            assert_eq!((retrieved.status.as_u16(), text(shown, "id")), (200, public), "{}", retrieved.text);
            let change = json!({ "email": "changed@example.com" });
            let updated = send(Method::POST, &format!("/{id}"), Some(change)).await;
            assert_eq!(text(&updated.body["customer"], "id"), public, "{}", updated.text);
            assert_eq!(text(&updated.body["customer"], "email"), "changed@example.com");
        }
    }
    let listed = send(Method::GET, "?limit=50", None).await;
    assert!(listed.text.contains(MOVED) && !listed.text.contains(&bed.at_new), "{}", listed.text);
    let deleted = send(Method::DELETE, &format!("/{MOVED_LATER}"), None).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    assert_eq!(send(Method::GET, &format!("/{MOVED_LATER}"), None).await.status, 404);
    add_ambiguous(&bed).await;
    assert_eq!(send(Method::GET, "/same", None).await.status, 409);
}

async fn add_ambiguous(bed: &Bed) {
    bed.add("one", "old", "same", Some("old")).await;
    bed.add("two", "new", "same", None).await;
}

#[tokio::test]
async fn an_id_of_two_customers_is_refused_and_nothing_is_sent() {
    let bed = Bed::start().await;
    let gateway = &bed.gateway;
    add_ambiguous(&bed).await;
    let operations = gateway.get("/v1/operations").await.text;
    let refused = gateway.get("/v1/customers/same").await;
    assert_eq!(refused.status_and_code(), (409, "id_ambiguous"), "{}", refused.text);
    assert_eq!(refused.body["ids"], json!(["one", "two"]));
    for (method, below) in [(Method::PATCH, ""), (Method::DELETE, ""), (Method::POST, "/block")] {
        let body = json!({ "email": "new@example.com" });
        let request = gateway.request(method.clone(), &format!("/v1/customers/same{below}"));
        let refused = gateway.send(request.json_text(&body)).await;
        assert_eq!(refused.status_and_code(), (409, "id_ambiguous"), "{method}: {}", refused.text);
    }
    assert_eq!(gateway.get("/v1/operations").await.text, operations, "nothing was claimed");
    let public = gateway.get("/v1/customers/one").await;
    assert_eq!(public.status_and_code(), (404, "customer_not_found"), "it is asked for: {}", public.text);
}

/// Where the store cannot be asked, a customer may exist. A merchant without a routing row does not need the store.
#[tokio::test]
async fn without_the_store_a_merchant_with_rows_is_refused_and_one_without_makes_no_query() {
    let bed = Bed::start().await;
    for table in ["routing", "customers", "customer_ids"] {
        bed.sql(&format!("ALTER TABLE {table} RENAME TO lost_{table}"));
    }
    let gateway = &bed.gateway;
    for path in ["/v1/customers", "/v1/customers/unknown", "/v1/customers/cus_first.1", "/v1/merchant"] {
        let refused = gateway.get(path).await;
        assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{path}: {}", refused.text);
    }
    let refused = gateway.post("/v1/customers", json!({ "name": "Awa", "email": "awa@example.com" })).await;
    assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{}", refused.text);
    // The statement that claims a write looks whether there is a routing row, so that a process that has not learned of it
    // does not miss it.
    bed.sql("ALTER TABLE lost_routing RENAME TO routing");
    let bed = Bed { gateway: bed.gateway.with_key("sk_other"), ..bed };
    let id = create(&bed.gateway, "Awa Ndiaye", "awa@example.com").await;
    check(&bed.gateway.get(&format!("/v1/customers/{id}")).await, (&id, "main", &id));
    assert_eq!(bed.gateway.get("/v1/customers").await.status, 200);
}

/// A deletion that was executed is refused when its key is sent again, because its customer is deleted now. Only the store knows
/// that this key deleted it.
#[tokio::test]
async fn without_the_store_a_repeated_deletion_is_answered_503_and_not_404() {
    let bed = Bed::start().await;
    let gateway = &bed.gateway;
    let path = format!("/v1/customers/{MOVED}");
    let delete = async || gateway.send(gateway.request(Method::DELETE, &path).header("idempotency-key", "d")).await;
    let deleted = delete().await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    bed.sql("ALTER TABLE operations RENAME TO lost_operations");
    let refused = delete().await;
    assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{}", refused.text);
    bed.sql("ALTER TABLE lost_operations RENAME TO operations");
    let again = delete().await;
    assert_eq!((again.status, &again.text), (deleted.status, &deleted.text));
}

/// A restored backup can lack the rows.
#[tokio::test]
async fn a_lost_routing_row_stops_the_merchant_instead_of_losing_its_customers() {
    let bed = Bed::start().await;
    bed.sql("DELETE FROM routing");
    let refused = bed.gateway.get(&format!("/v1/customers/{MOVED_LATER}")).await;
    assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{}", refused.text);
}

#[tokio::test]
async fn a_running_gateway_learns_of_the_first_routing_row_and_a_reload_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = Gateway::start(&configuration(&folder, "old")).await.with_key("sk_acme");
    gateway.ids().route("acme", "new").await.expect("stored");
    while text(&gateway.get("/v1/merchant").await.body, "connection") != "new" {
        tokio::task::yield_now().await;
    }
    gateway.reload(&configuration(&folder, "old"));
    assert_eq!(text(&gateway.get("/v1/merchant").await.body, "connection"), "new");
    gateway.stop().await;
    drop(open(&folder.path().join("store.db")).await);
    let again = Gateway::start(&configuration(&folder, "old")).await.with_key("sk_acme");
    assert_eq!(text(&again.get("/v1/merchant").await.body, "connection"), "new", "after a restart");
}
