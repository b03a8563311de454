//! Drop-in for a merchant who switches providers: clients of every vendor use the ids that they know (R3, R4, R5, R7).

use passerelle_providers::text::packed;
use serde_json::{Value, json};

use super::dialects::{DIALECTS, Dialect, DialectAnswer, dialect};
use crate::homes_bed::{Two, check, text};

const KEY: &str = "sk_acme";

/// The id as a client of the dialect gets it.
fn shown(dialect: &Dialect, id: &str) -> String {
    match dialect.name {
        "lomi" => packed::to_uuid(id).map_or(id.to_owned(), |packed| packed.to_string()),
        _ => id.to_owned(),
    }
}

fn ids(dialect: &Dialect, page: &DialectAnswer) -> Vec<String> {
    let customers = page.at(dialect.many).as_array().cloned().unwrap_or_default();
    customers.iter().map(|customer| text(customer, dialect.id_member).to_owned()).collect()
}

struct Bed {
    two: Two,
    tail: String,
    moved: String,
    stray: String,
}

/// Customers at both sides: one that is pinned to `old`, one at `new`, and one at `old` without a row.
async fn bed() -> Bed {
    let two = Two::start("notchpay", "modempay").await;
    let tail = two.create("old", "Fatou Diop", "fatou@example.com").await;
    let stray = two.create("old", "Moussa Sow", "moussa@example.com").await;
    let moved = two.create("new", "Awa Ndiaye", "awa@example.com").await;
    two.open("new").await;
    two.add("cus_Tail", "old", &tail, Some("old")).await;
    two.add("cus_Moved", "new", &moved, None).await;
    Bed { two, tail, moved, stray }
}

#[tokio::test]
async fn a_client_of_every_vendor_reaches_each_customer_at_its_home_by_every_id() {
    let Bed { two, tail, moved, .. } = bed().await;
    for dialect in DIALECTS {
        for (public, own) in [("cus_Tail", &tail), ("cus_Moved", &moved)] {
            for id in [shown(dialect, public), public.to_owned(), own.clone(), shown(dialect, own)] {
                let answer = dialect.send(&two.gateway, KEY, "GET", &format!("/{id}"), None).await;
                assert_eq!(answer.status, 200, "{} {id}: {}", dialect.name, answer.text);
                let customer = answer.at(dialect.one);
                assert_eq!(text(customer, dialect.id_member), shown(dialect, public), "{}", dialect.name);
                assert!(!answer.text.contains(own.as_str()), "{}: {}", dialect.name, answer.text);
            }
            let email = format!("{}@{public}.example.com", dialect.name).to_lowercase();
            let below = format!("/{}", shown(dialect, public));
            let body = (dialect.change)(&email);
            let updated = dialect.send(&two.gateway, KEY, dialect.update, &below, Some(&body)).await;
            assert!(updated.status.is_success(), "{}: {}", dialect.name, updated.text);
            let read = two.gateway.get(&format!("/v1/customers/{public}")).await;
            assert_eq!(text(&read.body, "email"), email, "{}: {}", dialect.name, read.text);
        }
        let unknown = dialect.send(&two.gateway, KEY, "GET", "/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", None).await;
        assert_eq!(unknown.status, 404, "{}: {}", dialect.name, unknown.text);
    }
}

/// R7: numbered pages are those of the active connection.
#[tokio::test]
async fn a_numbered_page_has_public_ids_and_says_how_many_customers_live_elsewhere() {
    let Bed { two, moved, tail, .. } = bed().await;
    for dialect in DIALECTS {
        let page = dialect.send(&two.gateway, KEY, "GET", &(dialect.page)(0, 50), None).await;
        assert_eq!(page.status, 200, "{}: {}", dialect.name, page.text);
        let ids = ids(dialect, &page);
        assert!(ids.contains(&shown(dialect, "cus_Moved")), "{}: {}", dialect.name, page.text);
        assert!(!ids.contains(&shown(dialect, "cus_Tail")), "{}: {}", dialect.name, page.text);
        assert!(!page.text.contains(&moved) && !page.text.contains(&tail), "{}: {}", dialect.name, page.text);
        assert_eq!(page.header("passerelle-elsewhere"), "1", "{}", dialect.name);
        let one = dialect.send(&two.gateway, KEY, "GET", &format!("/{}", shown(dialect, "cus_Moved")), None).await;
        assert_eq!(one.header("passerelle-elsewhere"), "", "{}", dialect.name);
    }
}

/// R4 and R5
#[tokio::test]
async fn a_customer_without_a_row_gets_one_before_a_client_of_any_vendor_sees_it() {
    for dialect in DIALECTS {
        let Bed { two, stray, .. } = bed().await;
        let answer = dialect.send(&two.gateway, KEY, "GET", &format!("/{}", shown(dialect, &stray)), None).await;
        assert_eq!(answer.status, 200, "{}: {}", dialect.name, answer.text);
        let resolved = two.gateway.ids().resolve("acme", Some(&stray)).await.expect("read").expect("a routing row");
        assert_eq!(resolved.customers[0].pinned.as_deref(), Some("old"), "{}", dialect.name);
        two.bury(&stray);
        let gone = dialect.send(&two.gateway, KEY, "GET", &format!("/{}", shown(dialect, &stray)), None).await;
        assert_eq!(gone.status, 404, "{}: {}", dialect.name, gone.text);
    }
}

/// R7
#[tokio::test]
async fn a_look_up_by_email_of_a_drop_in_client_finds_the_tail() {
    let Bed { two, stray, .. } = bed().await;
    check(&two.gateway.get(&format!("/v1/customers/{stray}")).await, (&stray, "old", &stray));
    let bitnob = dialect("bitnob");
    let by_path = bitnob.send(&two.gateway, KEY, "GET", "/moussa@example.com", None).await;
    let body: Value = json!({ "email": "moussa@example.com" });
    let by_body = bitnob.send(&two.gateway, KEY, "POST", "/fetch_customer", Some(&body)).await;
    for answer in [by_path, by_body] {
        assert!(answer.status.is_success(), "{}", answer.text);
        assert_eq!(text(answer.at(bitnob.one), "id"), stray, "{}", answer.text);
    }
    let none = bitnob.send(&two.gateway, KEY, "GET", "/unknown@example.com", None).await;
    bitnob.assert_refusal(&none);
}
