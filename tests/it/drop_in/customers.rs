//! What a dialect can do with one customer beyond create, retrieve and update.

use serde_json::json;

use super::dialects::{dialect, for_every_pair, key_of, sample_customer};
use crate::support::{Gateway, PROVIDERS};

/// Bitnob answers a second create of the same e-mail address with the first customer. The other vendors create another
/// one.
#[tokio::test]
async fn a_second_create_with_the_same_email_does_what_it_does_at_the_imitated_vendor() {
    for_every_pair(async |gateway, dialect, provider, key| {
        // PaymentKit has no create. Bitnob refuses a second customer to the clients of other vendors.
        let refuses_second = provider == "bitnob" && dialect.name != "bitnob";
        if refuses_second || [provider, dialect.name].contains(&"paymentkit") {
            return;
        }
        let mut ids = Vec::new();
        for other in [false, true] {
            let mut new = (dialect.new)(&format!("twice@{}.example.com", dialect.name));
            if other && dialect.name == "bitnob" {
                new["firstName"] = json!("Another");
            }
            let created = dialect.send(gateway, key, "POST", "", Some(&new)).await;
            assert!(created.status.is_success(), "{} by {provider}: {}", dialect.name, created.text);
            ids.push(created.at(dialect.one)[dialect.id_member].clone());
        }
        assert_eq!(ids[0] == ids[1], dialect.name == "bitnob", "{} by {provider}", dialect.name);
    })
    .await;
}

/// lomi, the provider here, answers 200 to every deletion.
#[tokio::test]
async fn a_second_deletion_is_not_found_in_every_dialect() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    for dialect in ["modempay", "lomi", "notchpay"].map(dialect) {
        let created =
            dialect.send(&gateway, &key_of("lomi"), "POST", "", Some(&(dialect.new)("gone@example.com"))).await;
        let id = created.at(dialect.one)[dialect.id_member].as_str().expect("an id").to_owned();
        for expected in [200, 404] {
            let deleted = dialect.send(&gateway, &key_of("lomi"), "DELETE", &format!("/{id}"), None).await;
            assert_eq!(deleted.status, expected, "{}: {}", dialect.name, deleted.text);
        }
    }
}

#[tokio::test]
async fn customers_are_blocked_where_dialect_and_provider_can_block() {
    for_every_pair(async |gateway, dialect, provider, key| {
        let case = format!("{} by {provider}", dialect.name);
        let sample = sample_customer(gateway, dialect, key).await;
        let id = sample[dialect.id_member].as_str().expect("an id");
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
                assert!(answer.status.is_success(), "{case}: {}", answer.text);
                assert_eq!(answer.at(dialect.one)[member], expected, "{case}: {}", answer.text);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn records_of_a_customer_are_listed_where_dialect_and_provider_have_them() {
    for_every_pair(async |gateway, dialect, provider, key| {
        let case = format!("{} by {provider}", dialect.name);
        let sample = sample_customer(gateway, dialect, key).await;
        let id = sample[dialect.id_member].as_str().expect("an id");
        let lists: &[(&str, &str, usize, &[&str])] = match dialect.name {
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
        for (below, list, length, providers) in lists {
            let answer = dialect.send(gateway, key, "GET", &format!("/{id}{below}"), None).await;
            if providers.contains(&provider) {
                assert_eq!(answer.at(list).as_array().map(Vec::len), Some(*length), "{case} {below}: {}", answer.text);
            } else {
                dialect.assert_refusal(&answer);
            }
        }
    })
    .await;
}

/// PaymentKit creates the customer of an app's user at the first read. No other provider can do this.
#[tokio::test]
async fn paymentkit_creates_the_customer_of_a_user_once() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let paymentkit = dialect("paymentkit");
    let below = "/z1abcDIDabcDIDabcDIDabcDIDabcDIDabc?livemode=false";
    let create = json!({ "create": true });
    for provider in PROVIDERS {
        let answer = paymentkit.send(&gateway, &key_of(provider), "GET", below, Some(&create)).await;
        if provider == "paymentkit" {
            assert_eq!(
                (answer.status.as_u16(), &answer.body["did"]),
                (200, &json!("z1abcDIDabcDIDabcDIDabcDIDabcDIDabc"))
            );
            let again = paymentkit.send(&gateway, &key_of(provider), "GET", below, Some(&create)).await;
            assert_eq!(again.body["id"], answer.body["id"], "once");
        } else {
            paymentkit.assert_refusal(&answer);
        }
    }
}
