//! Every route of drop-in, in every dialect, with every id that a merchant was ever given (R3).

use passerelle_providers::text::packed;
use serde_json::{Value, json};

use super::{
    journey::{Journey, Person},
    merchant::text,
};
use crate::drop_in::dialects::{DIALECTS, Dialect, DialectAnswer, dialect};

const KEY: &str = "sk_acme";

/// The id as a client of the dialect is shown it.
fn shown(dialect: &Dialect, id: &str) -> String {
    match dialect.name {
        "lomi" => packed::to_uuid(id).map_or(id.to_owned(), |packed| packed.to_string()),
        _ => id.to_owned(),
    }
}

/// What belongs to a customer, and how it is blocked and unblocked: a method, a path, and a body.
fn more_routes(dialect: &Dialect, id: &str, is_blocked: bool) -> Vec<(&'static str, String, Option<Value>)> {
    match dialect.name {
        "modempay" => vec![("GET", format!("/{id}/payment-methods"), None)],
        "paymentkit" => vec![("GET", format!("/{id}/overdue/invoices"), None)],
        "bitnob" => vec![("POST", format!("/blacklist/{id}"), Some(json!({ "blacklist": is_blocked })))],
        "notchpay" => vec![
            ("GET", format!("/{id}/payment_methods"), None),
            ("GET", format!("/{id}/payments"), None),
            ("POST", format!("/{id}/{}", if is_blocked { "block" } else { "unblock" }), None),
        ],
        _ => Vec::new(),
    }
}

impl Journey {
    async fn ask(&self, dialect: &Dialect, method: &str, below: &str, body: Option<&Value>) -> DialectAnswer {
        dialect.send(&self.gateway, KEY, method, below, body).await
    }

    /// Uses one customer by every id on every route of every dialect. The writes write what the customer has already.
    pub(super) async fn check_dialects(&self, number: usize, when: &str) {
        let person = &self.people[number];
        for dialect in DIALECTS {
            let public = shown(dialect, &person.public_id);
            let is_shown = |answer: &DialectAnswer, which: &str| {
                let which = format!("{}, {when}, /as/{}: {which}", self.way(), dialect.name);
                assert!(answer.status.is_success(), "{which}: {} {}", answer.status, answer.text);
                let customer = answer.at(dialect.one);
                assert_eq!(text(customer, dialect.id_member), public, "{which}: {}", answer.text);
                assert_eq!(customer["email"], person.values["email"], "{which}: {}", answer.text);
                for id in person.ids.iter().filter(|id| **id != public && **id != person.public_id) {
                    let is_told = answer.text.contains(&format!("\"{id}\"")) && !id.starts_with('z');
                    assert!(!is_told, "{which} shows {id}: {}", answer.text);
                }
            };
            for id in &person.ids {
                is_shown(&self.ask(dialect, "GET", &format!("/{id}"), None).await, id);
                let same = (dialect.change)(text(&person.values, "email"));
                is_shown(&self.ask(dialect, dialect.update, &format!("/{id}"), Some(&same)).await, id);
                for (method, below, body) in more_routes(dialect, id, person.values["blocked"] == true) {
                    let answer = self.ask(dialect, method, &below, body.as_ref()).await;
                    // The home may lack the operation; it never lacks the customer.
                    assert_ne!(answer.status, 404, "{}, {when}, {below}: {}", self.way(), answer.text);
                    if !answer.status.is_success() {
                        dialect.assert_refusal(&answer);
                        assert!(!answer.text.to_lowercase().contains("not found"), "{below}: {}", answer.text);
                    }
                }
            }
            let home = self.known(number).await.map_or(self.active, |known| self.home_of(&known));
            let can_create = self.vendors[home].provider != "paymentkit";
            self.check_look_ups(dialect, person, can_create, &is_shown).await;
        }
    }

    /// Look-ups, and creates that find the customer.
    async fn check_look_ups(
        &self,
        dialect: &Dialect,
        person: &Person,
        can_create: bool,
        is_shown: &impl Fn(&DialectAnswer, &str),
    ) {
        let email = text(&person.values, "email");
        match dialect.name {
            "bitnob" => {
                is_shown(&self.ask(dialect, "GET", &format!("/{email}"), None).await, "by e-mail");
                let body = json!({ "email": email });
                is_shown(&self.ask(dialect, "POST", "/fetch_customer", Some(&body)).await, "fetch_customer");
                if !can_create {
                    return;
                }
                // An e-mail address is unique there, so a second create is answered with the customer.
                is_shown(&self.ask(dialect, "POST", "", Some(&(dialect.new)(email))).await, "create");
            }
            "modempay" if can_create => {
                let body = json!({ "name": "Another Name", "email": email, "config": { "distinct": true } });
                is_shown(&self.ask(dialect, "POST", "", Some(&body)).await, "distinct");
            }
            "paymentkit" => {
                // The SDK signs a user in with the user's DID. Who is known is read at its home, whichever provider that is.
                let sign_in = json!({ "create": true });
                for did in person.ids.iter().filter(|id| id.starts_with('z')) {
                    let answer = self.ask(dialect, "GET", &format!("/{did}"), Some(&sign_in)).await;
                    is_shown(&answer, "create on retrieve");
                }
                // Only PaymentKit makes a customer of a DID. A refusal is no 404: the SDK does not expect one.
                if self.vendors[self.active].provider != "paymentkit" {
                    let answer = self.ask(dialect, "GET", "/zNobodyKnowsThisUser", Some(&sign_in)).await;
                    dialect.assert_refusal(&answer);
                    assert_ne!(answer.status, 404, "{}: {}", self.way(), answer.text);
                    assert!(answer.text.contains("makes no customer of an id"), "{}: {}", self.way(), answer.text);
                }
            }
            _ => {}
        }
    }

    /// Every dialect shows public ids alone in its pages.
    pub(super) async fn check_pages(&self, when: &str) {
        for dialect in DIALECTS {
            let mut ids = Vec::new();
            for page in 0..4 {
                let page = self.ask(dialect, "GET", &(dialect.page)(page, 20), None).await;
                assert_eq!(page.status, 200, "{}, {when}, {}: {}", self.way(), dialect.name, page.text);
                let customers = page.at(dialect.many).as_array().cloned().unwrap_or_default();
                ids.extend(customers.iter().map(|one| text(one, dialect.id_member).to_owned()));
            }
            for (number, person) in self.people.iter().enumerate() {
                let public = shown(dialect, &person.public_id);
                let times = ids.iter().filter(|id| **id == public).count();
                let is_at = match self.known(number).await {
                    Some(known) => known.id_at(&super::journey::name(self.active)).is_some(),
                    None => true,
                };
                let which = format!("{}, {when}, {}: {public}", self.way(), dialect.name);
                assert_eq!(times, usize::from(is_at && !person.is_deleted), "{which} {ids:?}");
                let other =
                    ids.iter().find(|id| **id != public && **id != person.public_id && person.ids.contains(*id));
                assert_eq!(other, None, "{which} is shown under another id");
            }
        }
    }

    /// Deletes a customer in a dialect, by an id that it ever had, and asks for it afterwards.
    pub(super) async fn delete_as(&mut self, vendor: &str, number: usize, id: &str) {
        let dialect = dialect(vendor);
        let answer = self.ask(dialect, "DELETE", &format!("/{id}"), None).await;
        assert_eq!(answer.status, 200, "{}, /as/{vendor}: {}", self.way(), answer.text);
        self.people[number].is_deleted = true;
        for dialect in DIALECTS {
            for id in &self.people[number].ids {
                for method in ["GET", dialect.update] {
                    let body = (method != "GET").then(|| (dialect.change)("other@example.com"));
                    let gone = self.ask(dialect, method, &format!("/{id}"), body.as_ref()).await;
                    assert_eq!(gone.status, 404, "{}, {method} /as/{}/{id}: {}", self.way(), dialect.name, gone.text);
                }
            }
        }
    }
}
