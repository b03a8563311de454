//! Writes of a merchant who switches providers: each is claimed against the epoch and the home of its customer. A middleware
//! around that of the gateway changes the routing row between the plan of a write and its claim.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use passerelle::{
    merchant::{Connection, Home, Homes, Merchant, Middleware},
    store::{ContactKind, CopyComplete, CopyState, Deletion, Ids, KnownCustomer, Routing, ShownRecord},
    writes::MOST_PLANS,
};
use passerelle_providers::model::{Command, Customer, Error, Kind, Reply};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    support::{Answer, Gateway, JsonText},
    writes::helpers::{count_effects, start_twin},
};

pub(crate) const CUSTOMERS: &str = "/v1/customers";

/// A merchant whose configuration names `old`. Its customers are at two twins.
pub(crate) struct Bed {
    pub(crate) gateway: Gateway,
    pub(crate) old: (String, TempDir),
    pub(crate) new: (String, TempDir),
}

impl Bed {
    /// `faults` are those of the twin of `old`.
    async fn start(faults: &str) -> Self {
        let (old, new) = (start_twin("notchpay", faults), start_twin("modempay", ""));
        let gateway = Gateway::start(&configuration(&old.0, &new.0, "old")).await.with_key("sk_acme");
        Self { gateway, old, new }
    }

    /// The same with a switch that is open.
    pub(crate) async fn switching(faults: &str) -> Self {
        let bed = Self::start(faults).await;
        bed.begin().await;
        bed
    }

    async fn begin(&self) {
        self.ids().begin("acme", "old", "sw_1", "new").await.expect("begun");
        self.gateway.learn_routing().await;
    }

    pub(crate) fn ids(&self) -> &Ids {
        self.gateway.ids()
    }

    async fn routing(&self) -> Routing {
        self.ids().resolve("acme", None).await.expect("read").expect("a routing row").routing
    }

    pub(crate) async fn flip(&self) {
        assert!(flip(self.ids()).await, "no other flip happens");
    }

    async fn known(&self, id: &str) -> Option<KnownCustomer> {
        self.ids().resolve("acme", Some(id)).await.expect("read").expect("a routing row").customers.pop()
    }

    pub(crate) async fn customer(&self, id: &str) -> KnownCustomer {
        self.known(id).await.expect("a customer")
    }

    /// The next plans are each followed by a flip before the claim.
    fn flip_after_plans(&self, plans: usize) {
        self.disturb(plans, 0);
    }

    /// The next plans are each followed by a flip, and the rows of the next created customers cannot be written.
    pub(crate) fn disturb(&self, plans: usize, lost_rows: usize) {
        let plans = Arc::new(AtomicUsize::new(plans));
        self.gateway.wrap_middleware(|merchant| {
            let inner = Arc::clone(merchant.middleware.as_ref()?);
            let (ids, plans, lost_rows) = (self.ids().clone(), Arc::clone(&plans), AtomicUsize::new(lost_rows));
            Some(Arc::new(Disturbed { inner, ids, plans, lost_rows }))
        });
    }

    /// A customer who is at both sides and pinned nowhere. Returns the public id.
    async fn at_both(&self) -> String {
        self.gateway.reload(&configuration(&self.old.0, &self.new.0, "new"));
        let created = create(&self.gateway, None, "Awa Ndiaye", "awa@example.com").await;
        let at_new = text(&created.body, "id").to_owned();
        self.gateway.reload(&configuration(&self.old.0, &self.new.0, "old"));
        let created = create(&self.gateway, None, "Awa Ndiaye", "awa@example.com").await;
        let public = text(&created.body, "id").to_owned();
        self.begin().await;
        let record = ShownRecord { provider_id: &public, email: None, phone: None };
        self.ids().adopt("acme", "old", &[record]).await.expect("adopted");
        let copied = self.ids().keep_copy("acme", CopyState::created(&public, "new", &at_new)).await;
        assert_eq!(copied, Ok(true));
        assert_eq!(self.ids().unpin("acme", &public, Duration::ZERO, 0, CopyComplete::ByCaller).await, Ok(true));
        public
    }
}

fn configuration(old: &str, new: &str, active: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n\
         [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"{active}\"\nregion = \"CM\"\n\
         [merchants.acme.connections.old]\nprovider = \"notchpay\"\nbase_url = \"{old}\"\nvisibility_lag = \"300ms\"\n\
         credentials = {{ public_key = \"pk_test_1\" }}\n\
         [merchants.acme.connections.new]\nprovider = \"modempay\"\nbase_url = \"{new}\"\n\
         credentials = {{ secret_key = \"sk_test_2\" }}\n"
    )
}

async fn flip(ids: &Ids) -> bool {
    let routing = ids.resolve("acme", None).await.expect("read").expect("a routing row").routing;
    let open = routing.open.clone().expect("a switch is open");
    ids.flip("acme", &open.id, &routing, &open.other).await.expect("written")
}

/// The middleware of the gateway, with a flip after some of its plans.
#[derive(Debug)]
struct Disturbed {
    inner: Arc<dyn Middleware>,
    ids: Ids,
    plans: Arc<AtomicUsize>,
    /// How many rows of created customers cannot be written.
    lost_rows: AtomicUsize,
}

fn takes_one(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok()
}

#[async_trait]
impl Middleware for Disturbed {
    async fn resolve(&self, merchant: &Merchant, command: &mut Command) -> Result<Home, Error> {
        let home = self.inner.resolve(merchant, command).await;
        if takes_one(&self.plans) {
            assert!(flip(&self.ids).await, "no other flip happens");
        }
        home
    }

    async fn present(&self, merchant: &Merchant, connection: &Connection, reply: &mut Reply) -> Result<(), Error> {
        self.inner.present(merchant, connection, reply).await
    }

    async fn present_created(
        &self,
        merchant: &Merchant,
        connection: &Connection,
        customer: &mut Customer,
        sent_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        if takes_one(&self.lost_rows) {
            return Err(Error::new(Kind::StoreUnavailable, "the test has no store"));
        }
        self.inner.present_created(merchant, connection, customer, sent_at).await
    }

    async fn public_ids(&self, merchant: &Merchant, ids: Vec<(String, String)>) -> Result<Vec<String>, Error> {
        self.inner.public_ids(merchant, ids).await
    }

    fn homes(&self) -> Option<&Homes> {
        self.inner.homes()
    }
}

pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

pub(crate) fn connection(answer: &Answer) -> &str {
    text(&answer.body["provider"], "connection")
}

pub(crate) async fn create(gateway: &Gateway, key: Option<&str>, name: &str, email: &str) -> Answer {
    let request = gateway.request(Method::POST, CUSTOMERS).json_text(&json!({ "name": name, "email": email }));
    gateway.send(key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))).await
}

async fn operations(gateway: &Gateway) -> usize {
    gateway.get("/v1/operations").await.body["data"].as_array().expect("a list").len()
}

/// R11
#[tokio::test]
async fn a_write_whose_merchant_is_flipped_after_its_plan_is_planned_anew_and_sent_once() {
    let bed = Bed::start("").await;
    let moving = bed.at_both().await;
    let gateway = &bed.gateway;
    let effects = (count_effects(&bed.old.1), count_effects(&bed.new.1));
    bed.flip_after_plans(1);
    let created = create(gateway, None, "Fatou Diop", "fatou@example.com").await;
    assert_eq!((created.status.as_u16(), connection(&created)), (201, "new"), "{}", created.text);
    bed.flip_after_plans(1);
    let path = format!("{CUSTOMERS}/{moving}");
    let updated = gateway.patch(&path, json!({ "email": "new@example.com" })).await;
    assert_eq!((updated.status.as_u16(), connection(&updated)), (200, "old"), "{}", updated.text);
    assert_eq!(bed.customer(&moving).await.pinned.as_deref(), Some("old"), "the claim has pinned it");
    bed.flip_after_plans(1);
    let updated = gateway.patch(&path, json!({ "email": "newer@example.com" })).await;
    assert_eq!((updated.status.as_u16(), connection(&updated)), (200, "old"), "it is pinned: {}", updated.text);
    let now = (count_effects(&bed.old.1), count_effects(&bed.new.1));
    assert_eq!(now, (effects.0 + 2, effects.1 + 1), "each was sent once, to its home");
    assert_eq!(bed.routing().await.epoch, 3);
    let before = operations(gateway).await;
    bed.flip_after_plans(MOST_PLANS);
    let refused = gateway.patch(&path, json!({ "email": "late@example.com" })).await;
    assert_eq!(refused.status_and_code(), (503, "store_unavailable"), "{}", refused.text);
    assert_eq!(operations(gateway).await, before, "nothing is claimed");
    assert_eq!((count_effects(&bed.old.1), count_effects(&bed.new.1)), now, "and nothing is sent");
}

/// R11, in drop-in.
#[tokio::test]
async fn a_write_of_a_drop_in_client_is_planned_anew_as_well() {
    let bed = Bed::switching("").await;
    bed.flip_after_plans(2);
    let send = async |path: &str, body: Value| {
        let request = bed.gateway.plain(Method::POST, path).header("authorization", "sk_acme").json_text(&body);
        bed.gateway.send_to_dialect(request).await
    };
    let body = json!({ "name": "Fatou Diop", "email": "fatou@example.com" });
    let created = send("/as/notchpay/customers", body.clone()).await;
    assert!(created.status.is_success(), "{}", created.text);
    let found = bed.ids().by_contact("acme", ContactKind::Email, "fatou@example.com").await.expect("read");
    assert_eq!(found[0].pinned.as_deref(), Some("old"), "two flips lead back to it");
    bed.flip_after_plans(MOST_PLANS);
    let refused = send("/as/notchpay/customers", body).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!((count_effects(&bed.old.1), count_effects(&bed.new.1)), (1, 0));
}

/// R11: another replica began the switch and flipped.
#[tokio::test]
async fn a_process_that_does_not_know_of_the_routing_row_learns_of_it_by_a_claim() {
    let bed = Bed::start("").await;
    bed.ids().begin("acme", "old", "sw_1", "new").await.expect("begun");
    bed.flip().await;
    let created = create(&bed.gateway, Some("k"), "Fatou Diop", "fatou@example.com").await;
    assert_eq!((created.status.as_u16(), connection(&created)), (201, "new"), "{}", created.text);
    assert_eq!((count_effects(&bed.old.1), count_effects(&bed.new.1)), (0, 1));
}

/// R2, R6, R7, R21
#[tokio::test]
async fn a_create_has_its_row_when_it_is_answered_and_a_write_pins_its_customer() {
    let bed = Bed::start("").await;
    let gateway = &bed.gateway;
    let earlier = create(gateway, None, "Awa Ndiaye", "awa@example.com").await;
    let earlier = text(&earlier.body, "id");
    bed.begin().await;
    let created = create(gateway, None, "Fatou Diop", "Fatou@Example.com").await;
    let id = text(&created.body, "id");
    let row = bed.customer(id).await;
    assert_eq!((row.pinned.as_deref(), row.id_at("old"), row.version), (Some("old"), Some(id), 1));
    let by = async |email: &str| bed.ids().by_contact("acme", ContactKind::Email, email).await.expect("read");
    assert_eq!(by("fatou@example.com").await, [row]);
    assert_eq!(bed.known(earlier).await, None, "an older customer has no row yet");
    let updated = gateway.patch(&format!("{CUSTOMERS}/{earlier}"), json!({ "email": "new@example.com" })).await;
    assert_eq!(updated.status, 200, "{}", updated.text);
    let row = bed.customer(earlier).await;
    assert_eq!((row.pinned.as_deref(), row.version), (Some("old"), 2), "a claim and an end");
    assert_eq!(by("new@example.com").await, [row]);
    let absent = gateway.patch(&format!("{CUSTOMERS}/cus_absent"), json!({ "email": "no@example.com" })).await;
    assert_eq!(absent.status, 404, "{}", absent.text);
    assert_eq!(bed.known("cus_absent").await, None, "nothing shows that it exists");
}

/// R23
#[tokio::test]
async fn a_deleted_customer_is_never_found_again_and_nothing_is_sent_for_it() {
    let bed = Bed::switching("").await;
    let gateway = &bed.gateway;
    let created = create(gateway, None, "Fatou Diop", "fatou@example.com").await;
    let path = format!("{CUSTOMERS}/{}", text(&created.body, "id"));
    let delete = || gateway.request(Method::DELETE, &path).header("idempotency-key", "delete");
    let deleted = gateway.send(delete()).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    let row = bed.customer(text(&created.body, "id")).await;
    assert_eq!((row.deletion, row.version), (Some(Deletion::Confirmed), 3));
    let by = bed.ids().by_contact("acme", ContactKind::Email, "fatou@example.com").await.expect("read");
    assert!(by.is_empty(), "{by:?}");
    let before = (operations(gateway).await, count_effects(&bed.old.1));
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let request = gateway.request(method.clone(), &path).json_text(&json!({ "email": "back@example.com" }));
        let gone = gateway.send(request).await;
        assert_eq!(gone.status_and_code(), (404, "customer_not_found"), "{method}: {}", gone.text);
    }
    assert_eq!((operations(gateway).await, count_effects(&bed.old.1)), before);
    let again = gateway.send(delete()).await;
    assert_eq!((again.header("idempotency-status"), &again.text), ("replayed", &deleted.text));
}

/// R9
#[tokio::test]
async fn a_key_is_answered_alike_after_a_cutover() {
    let bed = Bed::start("").await;
    let moving = bed.at_both().await;
    let gateway = &bed.gateway;
    let send = async |method: &Method, path: &str, key: &str, body: &Value| {
        let request = gateway.request(method.clone(), path).header("idempotency-key", key);
        gateway.send(request.json_text(body)).await
    };
    let own = bed.customer(&moving).await.id_at("new").expect("an id").to_owned();
    let writes = [
        (Method::POST, CUSTOMERS.to_owned(), json!({ "name": "Fatou Diop", "email": "fatou@example.com" })),
        (Method::PATCH, format!("{CUSTOMERS}/{moving}"), json!({ "email": "new@example.com" })),
        (Method::PATCH, format!("{CUSTOMERS}/{own}"), json!({ "email": "newer@example.com" })),
    ];
    let mut answers = Vec::new();
    for (number, (method, path, body)) in writes.iter().enumerate() {
        let answer = send(method, path, &format!("key-{number}"), body).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        answers.push(answer);
    }
    bed.flip().await;
    let sent = (count_effects(&bed.old.1), count_effects(&bed.new.1));
    for (number, (method, path, body)) in writes.iter().enumerate() {
        let again = send(method, path, &format!("key-{number}"), body).await;
        assert_eq!((again.header("idempotency-status"), &again.text), ("replayed", &answers[number].text));
    }
    assert_eq!((count_effects(&bed.old.1), count_effects(&bed.new.1)), sent);
}
