//! A merchant with two connections, each to a twin in a process of its own.

use std::sync::Arc;

use passerelle::store::{Routing, Store};
use serde_json::{Value, json};

use super::operator::{KEY, Operator};
use crate::{
    bed::{Fleet, Gateway, Setup, Twin},
    client::{Client, Outcome},
};

/// Two twins, and the gateways of a merchant that switches from `main` to `new`.
pub(crate) struct Bed {
    pub(crate) main: Twin,
    pub(crate) new: Twin,
    pub(crate) gateways: Vec<Arc<Gateway>>,
    pub(crate) client: Client,
    pub(crate) operator: Operator,
}

/// How a bed is started.
pub(crate) struct Sides<'s> {
    pub(crate) providers: [&'static str; 2],
    /// The plans of faults of both twins.
    pub(crate) faults: [&'s str; 2],
    /// More keys of each connection.
    pub(crate) connection: &'s str,
    /// More keys of `[store]`.
    pub(crate) store: &'s str,
}

impl Sides<'_> {
    /// The settings of a gateway between the twins.
    fn setup(&self, new: &Twin) -> Setup {
        let mut setup = Setup::of(self.connection);
        self.store.clone_into(&mut setup.store);
        setup.tables = format!(
            "{}[operator]\nlisten = \"127.0.0.1:0\"\nkeys = [\"{KEY}\"]\n",
            new.connection("new", None, self.connection)
        );
        setup
    }

    pub(crate) fn start(&self, fleet: Fleet) -> Bed {
        self.start_gateways(|main, setup| fleet.start_for(main, setup))
    }

    /// Starts the twins, and with `start` the gateways between them.
    pub(crate) fn start_gateways(&self, start: impl FnOnce(&Twin, &Setup) -> Vec<Arc<Gateway>>) -> Bed {
        let [main, new] = [0, 1].map(|side| Twin::start(self.providers[side], self.faults[side]));
        let setup = self.setup(&new);
        let gateways = start(&main, &setup);
        let (client, operator) = (Client::between(&gateways), Operator::of(&gateways));
        Bed { main, new, gateways, client, operator }
    }
}

impl Bed {
    /// Creates a customer through the gateway. Returns its id.
    pub(crate) async fn create(&self, key: &str, body: &Value) -> String {
        match self.client.create_until_known(key, body).await {
            Outcome::Done(answer) => answer.json()["id"].as_str().expect("an id").to_owned(),
            outcome => panic!("{key}: {outcome:?}"),
        }
    }

    /// Kills the gateways, and opens their store.
    pub(crate) async fn store(&self) -> Store {
        for gateway in &self.gateways {
            gateway.kill();
        }
        self.gateways[0].store().await
    }
}

/// The routing row of the merchant.
pub(crate) async fn routing(store: &Store) -> Routing {
    store.ids().resolve("acme", None).await.expect("read").expect("a routing row").routing
}

/// All records of a twin, read by a gateway of its own with an empty store.
pub(crate) async fn records_at(twin: &Twin) -> Vec<Value> {
    let client = Client::of(&Gateway::start_for(twin, &Setup::of("")));
    let (mut records, mut path) = (Vec::new(), "/v1/customers?limit=100".to_owned());
    loop {
        let page = client.get(&path).await.expect("an answer");
        assert_eq!(page.status, 200, "{}", page.body);
        let page = page.json();
        records.extend(page["data"].as_array().expect("a list").iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { return records };
        path = format!("/v1/customers?limit=100&cursor={cursor}");
    }
}

/// With the fields that every provider requires. Names, addresses and numbers differ between customers.
pub(crate) fn person(number: usize) -> Value {
    json!({ "name": format!("Awa Diop {number}"), "email": crate::client::email(number), "phone": phone(number) })
}

pub(crate) fn phone(number: usize) -> String {
    format!("+22177{number:07}")
}
