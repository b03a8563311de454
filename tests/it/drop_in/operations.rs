//! Create, retrieve, update, list and delete, in every dialect before every provider.

use serde_json::json;

use super::dialects::{Dialect, dialect, for_every_pair};
use crate::{
    stand_in::{StandIn, json as json_answer},
    support::Gateway,
};

#[tokio::test]
async fn every_dialect_is_served_by_every_provider() {
    for_every_pair(async |gateway, dialect, provider, key| {
        let case = format!("{} by {provider}", dialect.name);
        let email = format!("awa@{}.example", dialect.name);
        let mut created = dialect.send(gateway, key, "POST", "", Some(&(dialect.new)(&email))).await;
        if dialect.name == "paymentkit" || provider == "paymentkit" {
            dialect.assert_refusal(&created);
            let listed = dialect.send(gateway, key, "GET", &(dialect.page)(0, 1), None).await;
            assert_eq!(listed.status, 200, "{case}: {}", listed.text);
            created.body = json!({ "found": listed.at(&format!("{}/0", dialect.many)) });
        } else {
            assert!([200, 201].contains(&created.status.as_u16()), "{case}: {}", created.text);
            created.body = json!({ "found": created.at(dialect.one) });
        }
        let id = created.body["found"][dialect.id_member].as_str().expect(&case).to_owned();
        let below = format!("/{id}");

        let retrieved = dialect.send(gateway, key, "GET", &below, None).await;
        assert_eq!(retrieved.status, 200, "{case}: {}", retrieved.text);
        assert_eq!(retrieved.at(dialect.one)["email"], created.body["found"]["email"], "{case}");

        let changed = format!("awa.{provider}@{}.example", dialect.name);
        let updated = dialect.send(gateway, key, dialect.update, &below, Some(&(dialect.change)(&changed))).await;
        assert_eq!(updated.status, 200, "{case}: {}", updated.text);
        assert_eq!(updated.at(dialect.one)["email"], changed, "{case}: {}", updated.text);
        assert_eq!(updated.at(dialect.one)[dialect.id_member], id, "{case}");

        read_all_pages(gateway, dialect, key, &id).await;

        let deleted = dialect.send(gateway, key, "DELETE", &below, None).await;
        let after_delete = dialect.send(gateway, key, "GET", &below, None).await;
        if ["paymentkit", "bitnob"].contains(&dialect.name) || ["paymentkit", "bitnob"].contains(&provider) {
            dialect.assert_refusal(&deleted);
            assert_eq!(after_delete.status, 200, "{case}");
        } else {
            assert_eq!(deleted.status, 200, "{case}: {}", deleted.text);
            assert_eq!(after_delete.status, 404, "{case}: {}", after_delete.text);
        }
    })
    .await;
}

/// Reads all pages. Every customer must be on exactly one of them.
async fn read_all_pages(gateway: &Gateway, dialect: &Dialect, key: &str, id: &str) {
    for size in [1, 2, 100] {
        let mut seen = Vec::new();
        for page in 0..50 {
            let answer = dialect.send(gateway, key, "GET", &(dialect.page)(page, size), None).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let items = answer.at(dialect.many).as_array().expect("a list");
            let total = ["/count", "/data/meta/itemCount", "/totals"].map(|total| answer.at(total).as_u64());
            seen.extend(items.iter().map(|item| item[dialect.id_member].as_str().expect("an id").to_owned()));
            if let Some(total) = total.into_iter().flatten().next() {
                assert!(total >= seen.len() as u64, "{}", answer.text);
            }
            if items.is_empty() {
                if let Some(total) = total.into_iter().flatten().next() {
                    assert_eq!(total, seen.len() as u64, "the total is exact on the last page: {}", answer.text);
                }
                break;
            }
        }
        let mut distinct = seen.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), seen.len(), "no customer is listed twice");
        assert!(seen.len() >= 3 && seen.iter().any(|seen| seen == id), "{}: {seen:?}", dialect.name);
    }
}

/// The client reads the customer beside the invoices, so the gateway retrieves a customer that the answer lacks.
#[tokio::test]
async fn overdue_invoices_have_their_customer_also_if_the_provider_leaves_it_out() {
    let customer = r#"{"id":"cus_1","did":"z1Awa","name":"Awa Diop","email":"awa@example.com"}"#;
    let with_customer = format!(r#"{{"customer":{customer},"invoices":[]}}"#);
    for (answers, requests) in [(vec![with_customer], 1), (vec![r#"{"invoices":[]}"#.into(), customer.to_owned()], 2)] {
        let vendor = StandIn::start(answers.iter().map(|body| json_answer("200 OK", body)).collect()).await;
        let gateway = Gateway::in_front_of("paymentkit", &vendor.url(), "").await;
        let paymentkit = dialect("paymentkit");
        let answer = paymentkit.send(&gateway, "sk_acme", "GET", "/cus_1/overdue/invoices", None).await;
        assert_eq!((answer.status.as_u16(), &answer.body["customer"]["email"]), (200, &json!("awa@example.com")));
        assert_eq!(vendor.requests().len(), requests, "{}", answer.text);
    }
}
