//! A merchant who carries fields, and who switches from one provider to the next. Copies are made by hand: no planner and no
//! driver runs.

use std::sync::Arc;

use passerelle::{
    store::ShownRecord,
    switch::{
        context::{Context, Copied, Order, Pair},
        copy::copy_one,
        view::Outcome,
    },
};
use passerelle_providers::switch::Decision;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bed::Vendor;
use crate::support::{Answer, Gateway, JsonText as _};

/// Who decides that fields are carried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrying {
    /// The configuration, for every request.
    Configured,
    /// The client, in each request. Without that, a request that would lose fields is refused.
    Asked,
}

/// The merchant `acme` with a connection for each vendor: `c0`, `c1`, …
pub(super) struct Chain {
    pub(super) gateway: Gateway,
    carrying: Carrying,
    _vendors: Vec<Vendor>,
    _folder: TempDir,
}

/// The values of a customer that a client can write.
pub(super) fn values(body: &Value) -> Value {
    let names = ["name", "first_name", "last_name", "email", "phone", "whatsapp", "address", "type", "metadata"];
    names.into_iter().chain(["blocked"]).map(|name| (name.to_owned(), body[name].clone())).collect()
}

/// The fields in which two customers differ.
pub(super) fn differing(one: &Value, other: &Value) -> Vec<String> {
    let (one, other) = (values(one), values(other));
    let members = one.as_object().into_iter().flatten();
    let differing = members.filter(|(name, value)| match name.as_str() {
        // A customer who is not blocked and one whose provider says nothing about it are the same.
        "blocked" => (**value == Value::Bool(true)) != (other["blocked"] == Value::Bool(true)),
        name => **value != other[name],
    });
    differing.map(|(name, value)| format!("{name}: {value} and {}", other[name])).collect()
}

impl Chain {
    pub(super) async fn of(vendors: Vec<Vendor>, carrying: Carrying) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let line = |(number, vendor): (usize, &Vendor)| format!("connections.c{number} = {}\n", vendor.connection());
        let connections = vendors.iter().enumerate().map(line).collect::<Vec<_>>().concat();
        let policy = match carrying {
            Carrying::Configured => "on_loss = \"carry\"",
            Carrying::Asked => "on_loss = \"reject\"\nallow_carry = true",
        };
        let text = format!(
            "[store]\nurl = \"sqlite:{}\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\n\
             api_keys = [\"sk_acme\"]\nactive = \"c0\"\nregion = \"SN\"\n{policy}\n{connections}",
            folder.path().join("store.db").display()
        );
        let gateway = Gateway::start(&text).await.with_key("sk_acme");
        Self { gateway, carrying, _vendors: vendors, _folder: folder }
    }

    /// Sends a write, which asks for carried fields where the configuration leaves that to the client.
    pub(super) async fn write(&self, method: Method, path: &str, body: &Value) -> Answer {
        let mut request = self.gateway.request(method, path).json_text(body);
        if self.carrying == Carrying::Asked {
            request = request.header("prefer", "loss=carry");
        }
        self.gateway.send(request).await
    }

    pub(super) async fn create(&self, body: Value) -> String {
        let created = self.write(Method::POST, "/v1/customers", &body).await;
        assert_eq!(created.status, 201, "{}", created.text);
        created.body["id"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) async fn retrieve(&self, id: &str) -> Value {
        let answer = self.gateway.get(&format!("/v1/customers/{id}")).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text);
        assert_eq!(answer.body["id"], id, "the id stays");
        answer.body
    }

    pub(super) async fn patch(&self, id: &str, patch: Value) -> Value {
        let answer = self.write(Method::PATCH, &format!("/v1/customers/{id}"), &patch).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body
    }

    pub(super) fn pair(from: usize, to: usize) -> Pair {
        let (from, to) = (format!("c{from}"), format!("c{to}"));
        Pair { switch_id: format!("sw_{from}_{to}"), merchant: "acme".to_owned(), from, to, reference: None }
    }

    /// Opens a switch, and gives the customers at the active connection their rows.
    pub(super) async fn begin(&self, pair: &Pair) {
        let ids = self.gateway.ids();
        ids.begin("acme", &pair.from, &pair.switch_id, &pair.to).await.expect("begun");
        self.gateway.learn_routing().await;
        let listed = self.gateway.get("/v1/customers?limit=100").await;
        assert_eq!(listed.status, 200, "{}", listed.text);
        for customer in listed.body["data"].as_array().into_iter().flatten() {
            if customer["provider"]["connection"] != *pair.from {
                continue;
            }
            let record = ShownRecord {
                provider_id: customer["provider"]["id"].as_str().unwrap_or_default(),
                email: customer["email"].as_str(),
                phone: customer["phone"].as_str(),
            };
            ids.adopt("acme", &pair.from, &[record]).await.expect("adopted");
        }
        ids.pin("acme", None, 512).await.expect("pinned");
    }

    pub(super) fn context(&self) -> Context {
        let app = self.gateway.app();
        Context { store: app.store.clone(), gateway: Arc::clone(&app.gateway), writes: Arc::clone(&app.writes) }
    }

    /// Copies a customer until its other side is current. The operator accepts that a block does not stop payments there.
    pub(super) async fn copy(&self, pair: &Pair, public_id: &str) -> Copied {
        let order = Order { decision: Some(Decision::Create), ..Order::default() };
        for _ in 0..2000 {
            let copied = copy_one(&self.context(), pair, public_id, &order).await.expect("no stall");
            if copied.is_current && self.follows(public_id).await {
                return copied;
            }
            let is_waiting = copied.is_current || matches!(copied.outcome, Outcome::InDoubt | Outcome::Pending);
            assert!(is_waiting, "{pair:?}, {public_id}: {copied:?}");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        unreachable!("{public_id} is not copied")
    }

    /// Whether the customer is pinned nowhere, so that it moves with the flip. A machine that is slow may need another look.
    async fn follows(&self, public_id: &str) -> bool {
        let resolved = self.gateway.ids().resolve("acme", Some(public_id)).await.expect("read").expect("a routing row");
        resolved.customers.iter().all(|customer| customer.pinned.is_none())
    }

    /// Makes the target active.
    pub(super) async fn flip(&self, pair: &Pair) {
        let ids = self.gateway.ids();
        let routing = ids.resolve("acme", None).await.expect("read").expect("a routing row").routing;
        assert!(ids.flip("acme", &pair.switch_id, &routing, &pair.to).await.expect("flipped"));
    }

    /// Ends a switch whose target is active.
    pub(super) async fn end(&self, pair: &Pair) {
        let ids = self.gateway.ids();
        let routing = ids.resolve("acme", None).await.expect("read").expect("a routing row").routing;
        assert!(ids.end_switch("acme", &pair.switch_id, routing.epoch).await.expect("ended"));
    }
}

/// A customer with a value in every field. The last name has two words, and no provider splits it there.
pub(super) fn whole(number: usize) -> Value {
    json!({
        "first_name": "Awa", "last_name": format!("Ndiaye Fall{}", "a".repeat(number + 1)),
        "email": format!("awa{number}@example.com"), "phone": format!("+22177123{number:04}"),
        "whatsapp": format!("+22178123{number:04}"), "type": "business",
        "address": { "line1": "12 rue Blanchot", "line2": "Étage 2", "city": "Dakar", "state": "Dakar",
                     "postal_code": "12500", "country": "SN" },
        "metadata": { "crm": format!("{number}"), "plan": "gold" },
    })
}
