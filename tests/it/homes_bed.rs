//! Two connections of one merchant, and rows that are made by hand. The tests of `homes_…` share it.

use std::fmt::Write;

use passerelle::store::{Added, NewId, Routing};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Answer, Gateway};

/// A customer of a list.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) home: String,
    pub(crate) email: String,
    /// The number of the page.
    pub(crate) page: usize,
}

/// A gateway whose merchant `acme` has the connections `old` and `new`. `new` is active by the routing row.
pub(crate) struct Two {
    pub(crate) gateway: Gateway,
    folder: TempDir,
    /// The providers of `old` and of `new`.
    providers: [&'static str; 2],
    more: String,
}

impl Two {
    /// Starts the gateway. There is no routing row yet: [`Self::create`] chooses the connection.
    pub(crate) async fn start(old: &'static str, new: &'static str) -> Self {
        Self::with(old, new, "").await
    }

    /// The same, with more configuration of the merchant.
    pub(crate) async fn with(old: &'static str, new: &'static str, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let providers = [old, new];
        let gateway = Gateway::start(&configuration(&folder, providers, "old", more)).await.with_key("sk_acme");
        Self { gateway, folder, providers, more: more.to_owned() }
    }

    /// Creates a customer at a connection, and returns its id there.
    pub(crate) async fn create(&self, connection: &str, name: &str, email: &str) -> String {
        self.gateway.reload(&configuration(&self.folder, self.providers, connection, &self.more));
        let created = self.gateway.post("/v1/customers", json!({ "name": name, "email": email })).await;
        assert_eq!(created.status, 201, "{}", created.text);
        assert_eq!(created.body["provider"]["connection"], connection);
        created.body["id"].as_str().expect("an id").to_owned()
    }

    /// Makes a connection active, and opens a switch to the other one.
    pub(crate) async fn open(&self, active: &str) -> Routing {
        let other = if active == "old" { "new" } else { "old" };
        let routing = self.gateway.ids().begin("acme", active, "sw_1", other).await.expect("stored");
        self.gateway.learn_routing().await;
        routing
    }

    /// Makes a connection active, without a switch.
    pub(crate) async fn route(&self, active: &str) {
        self.gateway.ids().route("acme", active).await.expect("stored");
        self.gateway.learn_routing().await;
    }

    /// Makes the other side of the open switch active.
    pub(crate) async fn flip(&self) {
        let from = self.routing().await;
        let to = from.open.clone().expect("an open switch").other;
        assert!(self.gateway.ids().flip("acme", "sw_1", &from, &to).await.expect("stored"));
    }

    /// Completes the open switch.
    pub(crate) async fn complete(&self) {
        let epoch = self.routing().await.epoch;
        assert!(self.gateway.ids().end_switch("acme", "sw_1", epoch).await.expect("stored"));
    }

    pub(crate) async fn routing(&self) -> Routing {
        self.gateway.ids().resolve("acme", None).await.expect("read").expect("a routing row").routing
    }

    /// Adds the row of a customer at a connection.
    pub(crate) async fn add(&self, public_id: &str, connection: &str, provider_id: &str, pinned: Option<&str>) {
        let [public_id, connection, provider_id] = [public_id, connection, provider_id].map(str::to_owned);
        let new = NewId { public_id, connection, provider_id, pinned: pinned.map(str::to_owned) };
        assert_eq!(self.gateway.ids().add("acme", &new).await, Ok(Added::Stored), "{new:?}");
    }

    /// Pins a customer, or lets it follow the active connection.
    pub(crate) fn pin(&self, public_id: &str, connection: Option<&str>) {
        let pinned = connection.map_or("NULL".to_owned(), |connection| format!("'{connection}'"));
        self.sql(&format!("UPDATE customers SET pinned = {pinned} WHERE public_id = '{public_id}'"));
    }

    /// Gives a record at `new` to a customer, as a copy does.
    pub(crate) fn copied(&self, public_id: &str, provider_id: &str, at: Option<i64>) {
        let at = at.map_or("NULL".to_owned(), |at| at.to_string());
        self.sql(&format!(
            "UPDATE customer_ids SET public_id = '{public_id}', copied_at = {at} \
             WHERE connection = 'new' AND provider_id = '{provider_id}'"
        ));
    }

    /// Keeps that a customer was deleted.
    pub(crate) fn bury(&self, public_id: &str) {
        self.sql(&format!("UPDATE customers SET deletion = 'confirmed' WHERE public_id = '{public_id}'"));
    }

    /// Executes a statement in the file of the store.
    pub(crate) fn sql(&self, statement: &str) {
        let file = rusqlite::Connection::open(self.folder.path().join("store.db")).expect("the file");
        file.busy_timeout(std::time::Duration::from_secs(10)).expect("set");
        file.execute_batch(statement).expect("executed");
    }

    /// Every customer of a walk. `between` is called after each page with its number.
    pub(crate) async fn walk(&self, parameters: &str, mut between: impl AsyncFnMut(usize)) -> Vec<Shown> {
        let (mut shown, mut cursor) = (Vec::new(), String::new());
        for number in 0..1000 {
            let page = self.gateway.get(&format!("/v1/customers?{parameters}{cursor}")).await;
            assert_eq!(page.status, 200, "{}", page.text);
            for customer in page.body["data"].as_array().expect("a page") {
                let [id, email] = ["id", "email"].map(|member| text(customer, member).to_owned());
                let home = text(&customer["provider"], "connection").to_owned();
                shown.push(Shown { id, home, email, page: number });
            }
            let Some(next) = page.body["next_cursor"].as_str() else { return shown };
            cursor.clear();
            write!(cursor, "&cursor={next}").expect("written");
            between(number).await;
        }
        unreachable!("the walk does not end: {shown:?}")
    }
}

fn configuration(folder: &TempDir, [old, new]: [&str; 2], active: &str, more: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite:{}\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\napi_keys = [\"sk_acme\"]\n\
         active = \"{active}\"\nregion = \"SN\"\n\
         connections.old = {{ provider = \"{old}\", sandbox = true }}\n\
         connections.new = {{ provider = \"{new}\", sandbox = true }}\n{more}\n",
        folder.path().join("store.db").display()
    )
}

/// A text member of a document; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// Checks that a customer is shown with its public id, at a connection, with its id there.
pub(crate) fn check(answer: &Answer, (public, connection, own): (&str, &str, &str)) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    let provider = &answer.body["provider"];
    let shown = (text(&answer.body, "id"), text(provider, "connection"), text(provider, "id"));
    assert_eq!(shown, (public, connection, own), "{}", answer.text);
}
