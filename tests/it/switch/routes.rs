//! Every route of the API, with every id that a merchant was ever given (R3).

use std::collections::BTreeMap;

use passerelle_providers::{
    engine::carry::{self, Part},
    vendor,
};
use serde_json::{Value, json};

use super::{
    journey::{Journey, name},
    merchant::text,
};
use crate::support::Answer;

/// The lists of what belongs to a customer.
const LISTS: [&str; 3] = ["payment_methods", "payments", "overdue_invoices"];

impl Journey {
    /// Uses one customer by every id on every route. The writes write what the customer has already.
    pub(super) async fn check_routes(&self, number: usize, when: &str) {
        let person = &self.people[number];
        let known = self.known(number).await;
        let home = name(known.map_or(self.active, |known| self.home_of(&known)));
        for id in &person.ids {
            let (path, which) = (format!("/v1/customers/{id}"), format!("{}, {when}: {id}", self.way()));
            let is_shown = |answer: &Answer| {
                assert_eq!(answer.status, 200, "{which}: {}", answer.text);
                assert_eq!(answer.body["id"], *person.public_id, "{which}: {}", answer.text);
                assert_eq!(answer.body["provider"]["connection"], *home, "{which}: {}", answer.text);
                assert_eq!(person.differing(&answer.body), [""; 0], "{which}");
            };
            is_shown(&self.gateway.get(&path).await);
            let change = if person.values["blocked"] == true { "block" } else { "unblock" };
            let same = json!({ "email": person.values["email"], "whatsapp": person.values["whatsapp"] });
            let updated = self.gateway.patch(&path, same).await;
            is_shown(&updated);
            let operation = self.gateway.get(&format!("/v1/operations/{}", updated.header("x-operation-id"))).await;
            assert_eq!(operation.body["customer"], *person.public_id, "{which}: {}", operation.text);
            is_shown(&self.gateway.post(&format!("{path}/{change}"), json!({})).await);
            for list in LISTS {
                let answer = self.gateway.get(&format!("{path}/{list}")).await;
                assert!([200, 405].contains(&answer.status.as_u16()), "{which}/{list}: {}", answer.text);
                let by_public_id = self.gateway.get(&format!("/v1/customers/{}/{list}", person.public_id)).await;
                assert_eq!(answer.status, by_public_id.status, "{which}/{list}: {}", answer.text);
                assert_eq!(answer.body["data"], by_public_id.body["data"], "{which}/{list}");
            }
            // An explanation sends nothing, so it cannot ask whose DID it is.
            if id.starts_with('z') {
                continue;
            }
            let explained = self.gateway.get(&format!("{path}?explain=true")).await;
            assert_eq!(explained.status, 200, "{which}: {}", explained.text);
        }
        let which = format!("{}, {when}: {}", self.way(), person.public_id);
        for member in ["email", "phone"] {
            let value = text(&person.values, member).replace('+', "%2B");
            let found = self.gateway.get(&format!("/v1/customers/lookup?{member}={value}")).await;
            assert_eq!(found.status, 200, "{which}, {member}: {}", found.text);
            assert_eq!(found.body["id"], *person.public_id, "{which}, {member}: {}", found.text);
            assert_eq!(person.differing(&found.body), [""; 0], "{which}, {member}");
            let listed = self.gateway.get(&format!("/v1/customers?{member}={value}")).await;
            let ids: Vec<&str> =
                listed.body["data"].as_array().into_iter().flatten().map(|one| text(one, "id")).collect();
            assert_eq!(ids, [&*person.public_id], "{which}, {member}: {}", listed.text);
        }
        let home: usize = home.trim_start_matches('c').parse().expect("a number");
        if self.vendors[home].provider == "paymentkit" {
            // It cannot create, so it answers no create either.
            return;
        }
        let body = json!({ "name": "Another Name", "email": person.values["email"] });
        let again = self.gateway.post("/v1/customers?distinct=true", body).await;
        assert_eq!(
            (again.status.as_u16(), &again.body["id"]),
            (200, &json!(person.public_id)),
            "{which}: {}",
            again.text
        );
        assert_eq!(person.differing(&again.body), [""; 0], "{which}");
        if person.created.0.is_null() {
            return;
        }
        // R9: the key means the same write wherever the customer lives by now.
        let replayed = self.send_create(number, &person.created.0).await;
        assert_eq!(replayed.header("idempotency-status"), "replayed", "{which}: {}", replayed.text);
        assert_eq!(replayed.text, person.created.1, "{which}");
    }

    /// R28: what the active connection holds itself is not kept by the gateway any more.
    pub(super) async fn check_parts(&self, number: usize, when: &str) {
        let manifest = vendor(self.vendors[self.active].provider).expect("a vendor").manifests[0];
        let public_id = &*self.people[number].public_id;
        let parts = self.gateway.carried().parts("acme", &[public_id]).await.expect("read").pop().unwrap_or_default();
        let active = name(self.active);
        let is_left = |part: &&Part| {
            part.connection != active && part.value.is_some() && carry::is_held(part.field, true, manifest)
        };
        let left: Vec<&Part> = parts.iter().filter(is_left).collect();
        assert!(left.is_empty(), "{}, {when}: {left:?}", self.way());
    }

    /// Nothing answers for a deleted customer.
    pub(super) async fn check_deleted(&self, number: usize, when: &str) {
        let person = &self.people[number];
        for id in &person.ids {
            let (path, which) = (format!("/v1/customers/{id}"), format!("{}, {when}: {id}", self.way()));
            let mut answers = vec![
                self.gateway.get(&path).await,
                self.gateway.patch(&path, json!({ "email": "other@example.com" })).await,
                self.gateway.post(&format!("{path}/block"), json!({})).await,
                self.gateway.post(&format!("{path}/unblock"), json!({})).await,
                self.gateway.delete(&path).await,
            ];
            for list in LISTS {
                answers.push(self.gateway.get(&format!("{path}/{list}")).await);
            }
            for answer in answers {
                assert_eq!(answer.status_and_code(), (404, "customer_not_found"), "{which}: {}", answer.text);
            }
        }
        let value = text(&person.values, "email");
        let found = self.gateway.get(&format!("/v1/customers/lookup?email={value}")).await;
        assert_eq!(found.status, 404, "{}, {when}: {}", self.way(), found.text);
    }

    /// Everybody who is to be listed is in one walk, once, with the values that were written.
    pub(super) async fn check_list(&self, when: &str) {
        let (mut cursor, mut shown): (String, BTreeMap<String, Vec<Value>>) = (String::new(), BTreeMap::new());
        loop {
            let page = self.gateway.get(&format!("/v1/customers?limit=3{cursor}")).await;
            assert_eq!(page.status, 200, "{}, {when}: {}", self.way(), page.text);
            for customer in page.body["data"].as_array().expect("a page") {
                shown.entry(text(customer, "id").to_owned()).or_default().push(customer.clone());
            }
            let Some(next) = page.body["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let open =
            self.gateway.ids().resolve("acme", None).await.expect("read").and_then(|resolved| resolved.routing.open);
        for (number, person) in self.people.iter().enumerate() {
            let which = format!("{}, {when}: {}", self.way(), person.public_id);
            let shown = shown.get(&person.public_id).map_or(&[][..], Vec::as_slice);
            if person.is_deleted {
                assert!(shown.is_empty(), "{which} is deleted");
                continue;
            }
            // A customer who never was at a side of the switch, or at the active connection without one, is not in its list.
            let sides = [Some(name(self.active)), open.as_ref().map(|open| open.other.clone())];
            let known = self.known(number).await;
            let is_listed = sides.iter().flatten().any(|side| match &known {
                Some(known) => known.id_at(side).is_some(),
                None => *side == name(self.active),
            });
            assert_eq!(shown.len(), usize::from(is_listed), "{which}: {shown:?}");
            for customer in shown {
                assert_eq!(person.differing(customer), [""; 0], "{which}");
            }
        }
        let names = |person: &&super::journey::Person| {
            shown.keys().any(|id| *id != person.public_id && person.ids.contains(id))
        };
        let twice: Vec<&str> = self.people.iter().filter(names).map(|person| &*person.public_id).collect();
        assert!(twice.is_empty(), "{}, {when}: shown under another id: {twice:?}", self.way());
    }
}
