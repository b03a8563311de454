//! Lists: searches, pages and parameters in each dialect.

use reqwest::Method;
use serde_json::Value;

use super::dialects::{dialect, for_every_pair, key_of, send};
use crate::support::{Gateway, PROVIDERS};

/// Searches for a sample customer: the name of the dialect, the method, the path and query, and the body.
const SEARCHES: [(&str, &str, &str, Option<&str>); 12] = [
    ("modempay", "GET", "?term=amadou&offset=0&limit=10&search=amadou", None),
    ("modempay", "GET", "?term=amadou", None),
    // The SDKs send a plus sign and an ampersand without an escape.
    ("modempay", "GET", "?term=+221771234567&offset=0&limit=10&search=%2B221771234567", None),
    ("modempay", "GET", "?term=&x&offset=0&limit=10&search=771234567", None),
    ("lomi", "GET", "?limit=20&email=amadou.ba%40example.com", None),
    ("lomi", "GET", "?phone_number=%2B221771234567", None),
    ("paymentkit", "GET", "/search?query=amadou&page=1&pageSize=10", None),
    ("bitnob", "GET", "/amadou.ba@example.com", None),
    ("bitnob", "POST", "/fetch_customer", Some(r#"{"email":"amadou.ba@example.com"}"#)),
    ("notchpay", "GET", "?search=amadou", None),
    ("notchpay", "GET", "?search=221771234567", Some("[]")),
    ("notchpay", "GET", "?search=AMADOU.BA%40example.com", None),
];

#[tokio::test]
async fn every_dialect_finds_a_customer_by_its_searches() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    for (name, method, below, body) in SEARCHES {
        let dialect = dialect(name);
        for provider in PROVIDERS {
            let body: Option<Value> = body.map(|body| serde_json::from_str(body).expect("JSON"));
            let answer = dialect.send(&gateway, &key_of(provider), method, below, body.as_ref()).await;
            let case = format!("{} by {provider}, {method} {below}: {}", dialect.name, answer.text);
            assert_eq!(answer.status, 200, "{case}");
            let found = answer.at(dialect.many).as_array().map(|many| many.iter().collect());
            let found: Vec<&Value> = found.unwrap_or_else(|| vec![answer.at(dialect.one)]);
            let emails: Vec<_> = found.iter().map(|one| one["email"].as_str()).collect();
            assert_eq!(emails, [Some("amadou.ba@example.com")], "{case}");
        }
    }
}

/// Parameters of lists, as the imitated vendor answers them. The provider behind the gateway makes no difference.
#[tokio::test]
async fn list_parameters_are_answered_as_the_imitated_vendor_answers_them() {
    for_every_pair(async |gateway, dialect, provider, key| {
        let cases: &[(&str, u16, &str)] = match dialect.name {
            "lomi" => &[
                ("?page=first", 500, "Failed to retrieve customer"),
                ("?page=0", 500, "Failed to retrieve customer"),
                ("?limit=-1", 500, "Failed to retrieve customer"),
                ("?sort=created_at%3Adesc", 200, ""),
                ("?sort=name%3Aasc", 400, "Invalid request body"),
            ],
            "paymentkit" => &[
                ("?page=-1&pageSize=0", 200, ""),
                ("?page=x", 400, "page invalid: must be a number"),
                ("?order=created_at%3ADESC", 200, ""),
                ("?order%5B0%5D%5B0%5D=created_at&order%5B0%5D%5B1%5D=DESC", 200, ""),
                ("?order=created_at%3AASC", 400, "order invalid: must be created_at:DESC"),
                ("?starting_after=cus_1", 400, "starting_after invalid: is not supported"),
            ],
            "bitnob" => &[("/?order=desc", 200, ""), ("/?order=ASC", 400, "order must be DESC")],
            "notchpay" => &[("?date_start=2025-01-01", 422, "Validation failed")],
            "modempay" => &[("?offset=7&limit=0", 200, "")],
            other => panic!("{other} has no list parameters here: add those that its clients send"),
        };
        for (query, status, answer) in cases {
            let listed = dialect.send(gateway, key, "GET", query, None).await;
            let case = format!("{} by {provider}, {query}: {}", dialect.name, listed.text);
            assert_eq!(listed.status, *status, "{case}");
            assert!(listed.text.contains(answer), "{case}");
            if *status == 500 {
                assert_eq!(listed.body["error"]["code"], "DATABASE_ERROR", "{case}");
            }
        }
        if dialect.name == "lomi" {
            let large = dialect.send(gateway, key, "GET", "?limit=500", None).await;
            assert_eq!(
                large.body["meta"]["per_page"], 500,
                "a smaller page would look like the last one: {}",
                large.text
            );
            let elsewhere = dialect.send(gateway, key, "PUT", "/x", None).await;
            assert!(elsewhere.text.contains("Cannot PUT /v1/customers/x"), "{}", elsewhere.text);
            let outside = send(gateway.plain(Method::GET, "/as/lomi/customers").header("x-api-key", key)).await;
            assert!(outside.text.contains("Cannot GET /customers<"), "{}", outside.text);
        }
    })
    .await;
}
