//! What a dialect can do with one customer beyond create, retrieve and update.

use serde_json::json;

use super::dialects::{DIALECTS, for_every_pair, key, sample_customer};
use crate::support::{Gateway, PROVIDERS};

/// Bitnob answers a second create of the same e-mail with the first customer; the other vendors make another.
#[tokio::test]
async fn whoever_is_created_twice_is_there_as_often_as_at_the_vendor() {
    for_every_pair(async |gateway, dialect, provider, key| {
        // PaymentKit creates nobody, and Bitnob answers others' clients with a refusal.
        let is_strange = provider == "bitnob" && dialect.name != "bitnob";
        if is_strange || [provider, dialect.name].contains(&"paymentkit") {
            return;
        }
        let mut ids = Vec::new();
        for other in [false, true] {
            let mut new = (dialect.new)("twice@example.com");
            if other && dialect.name == "bitnob" {
                new["firstName"] = json!("Another");
            }
            let created = dialect.send(gateway, key, "POST", "", Some(&new)).await;
            assert!(created.status.is_success(), "{} by {provider}: {}", dialect.name, created.text);
            ids.push(created.at(dialect.one)[dialect.id].clone());
        }
        assert_eq!(ids[0] == ids[1], dialect.name == "bitnob", "{} by {provider}", dialect.name);
    })
    .await;
}

/// Deleting twice is answered as the imitated vendor answers it, where the provider deletes whatever it is asked to.
#[tokio::test]
async fn who_is_not_there_is_not_deleted() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    for (dialect, expected) in [(&DIALECTS[0], 404), (&DIALECTS[1], 200), (&DIALECTS[4], 404)] {
        let created = dialect.send(&gateway, &key("lomi"), "POST", "", Some(&(dialect.new)("gone@example.com"))).await;
        let id = created.at(dialect.one)[dialect.id].as_str().expect("an id").to_owned();
        for expected in [200, expected] {
            let deleted = dialect.send(&gateway, &key("lomi"), "DELETE", &format!("/{id}"), None).await;
            assert_eq!(deleted.status, expected, "{}: {}", dialect.name, deleted.text);
        }
    }
}

#[tokio::test]
async fn customers_are_blocked_where_both_know_how() {
    for_every_pair(async |gateway, dialect, provider, key| {
        let cell = format!("{} by {provider}", dialect.name);
        let sample = sample_customer(gateway, dialect, key).await;
        let id = sample[dialect.id].as_str().expect("an id");
        let (block, unblock, member) = match dialect.name {
            "bitnob" => {
                let blacklist =
                    |verdict: bool| ("POST", format!("/blacklist/{id}"), Some(json!({ "blacklist": verdict })));
                (vec![blacklist(true)], vec![blacklist(false)], "blacklist")
            }
            "notchpay" => {
                let verbs =
                    |word: &str| ["POST", "PUT", "PATCH"].map(|verb| (verb, format!("/{id}/{word}"), None)).to_vec();
                (verbs("block"), verbs("unblock"), "blocked")
            }
            _ => return,
        };
        for (spellings, expected) in [(block, true), (unblock, false)] {
            for (method, below, body) in spellings {
                let answer = dialect.send(gateway, key, method, &below, body.as_ref()).await;
                if !["bitnob", "notchpay"].contains(&provider) {
                    dialect.assert_refusal(&answer);
                    continue;
                }
                assert!(answer.status.is_success(), "{cell}: {}", answer.text);
                assert_eq!(answer.at(dialect.one)[member], expected, "{cell}: {}", answer.text);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_a_customer_is_told_where_both_have_it() {
    for_every_pair(async |gateway, dialect, provider, key| {
        let cell = format!("{} by {provider}", dialect.name);
        let sample = sample_customer(gateway, dialect, key).await;
        let id = sample[dialect.id].as_str().expect("an id");
        let having: &[(&str, &str, usize, &[&str])] = match dialect.name {
            "modempay" => &[
                ("/payment-methods?offset=0&limit=10", "/data", 1, &["modempay", "notchpay"]),
                ("/payment-methods?offset=10&limit=10", "/data", 0, &["modempay", "notchpay"]),
            ],
            "notchpay" => &[
                ("/payment_methods", "/items", 1, &["modempay", "notchpay"]),
                ("/payments?limit=2&page=1", "/payments", 2, &["notchpay"]),
                ("/payments?limit=2&page=2", "/items", 1, &["notchpay"]),
                ("/payments?status=complete", "/items", 2, &["notchpay"]),
            ],
            "paymentkit" => &[("/overdue/invoices?livemode=true", "/invoices", 1, &["paymentkit"])],
            _ => return,
        };
        for (below, list, length, providers) in having {
            let answer = dialect.send(gateway, key, "GET", &format!("/{id}{below}"), None).await;
            if providers.contains(&provider) {
                assert_eq!(answer.at(list).as_array().map(Vec::len), Some(*length), "{cell} {below}: {}", answer.text);
            } else {
                dialect.assert_refusal(&answer);
            }
        }
    })
    .await;
}

/// An app's user becomes a customer when it is first asked for, where the provider makes customers so.
#[tokio::test]
async fn paymentkit_makes_a_customer_of_a_user() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let paymentkit = &DIALECTS[2];
    let below = "/z1abcDIDabcDIDabcDIDabcDIDabcDIDabc?livemode=false";
    let create = json!({ "create": true });
    for provider in PROVIDERS {
        let answer = paymentkit.send(&gateway, &key(provider), "GET", below, Some(&create)).await;
        if provider == "paymentkit" {
            assert_eq!(
                (answer.status.as_u16(), &answer.body["did"]),
                (200, &json!("z1abcDIDabcDIDabcDIDabcDIDabcDIDabc"))
            );
            let again = paymentkit.send(&gateway, &key(provider), "GET", below, Some(&create)).await;
            assert_eq!(again.body["id"], answer.body["id"], "once");
        } else {
            paymentkit.assert_refusal(&answer);
        }
    }
}
