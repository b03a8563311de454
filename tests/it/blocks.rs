//! Blocks that a provider ignores, and those that it makes or ends unasked.

use http::Method;
use serde_json::{Value, json};

use crate::{
    stand_in::{Act, StandIn, json as json_answer},
    support::Gateway,
};

/// The customer as Bitnob or Notch Pay answers it, with these members of a block.
fn customer(provider: &str, members: Value) -> Act {
    let mut customer = json!({ "id": "c1", "email": "john@example.com" });
    for (key, value) in members.as_object().into_iter().flatten() {
        customer[key] = value.clone();
    }
    let body = match provider {
        "bitnob" => json!({ "status": true, "data": customer }),
        _ => json!({ "customer": customer }),
    };
    json_answer("200 OK", &body.to_string())
}

#[tokio::test]
async fn a_block_that_the_provider_ignores_is_reported() {
    let entry = |outcome: &str, rule: &str| json!({ "field": "blocked", "outcome": outcome, "rule": rule });
    for (provider, member) in [("bitnob", "blacklist"), ("notchpay", "blocked")] {
        let shown = |blocked: bool| customer(provider, json!({ member: blocked }));
        let failed = || json_answer("422 Unprocessable Entity", "{}");
        for (change, asked) in [("block", true), ("unblock", false)] {
            let mut altered = entry("altered", "the provider keeps another value");
            altered["from"] = json!((!asked).to_string());
            let unread = entry("unverified", "the answer does not show it, and the read that compares it failed");
            let unshown = entry("unverified", "neither the answer nor a read shows it");
            for (answers, blocked, expected) in [
                (vec![shown(asked)], Some(asked), json!([])),
                (vec![shown(!asked)], Some(!asked), json!([altered])),
                (vec![customer(provider, json!({})), shown(asked)], Some(asked), json!([])),
                (vec![customer(provider, json!({})), shown(!asked)], Some(!asked), json!([altered])),
                (vec![customer(provider, json!({})), failed()], None, json!([unread])),
                (vec![customer(provider, json!({})), customer(provider, json!({}))], None, json!([unshown])),
            ] {
                let count = answers.len();
                let vendor = StandIn::start(answers).await;
                let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
                let request = gateway.request(Method::POST, &format!("/v1/customers/c1/{change}"));
                let answer = gateway.send(request).await;
                assert_eq!(
                    (answer.status.as_u16(), &answer.body["blocked"]),
                    (200, &json!(blocked)),
                    "{}",
                    answer.text
                );
                assert_eq!(answer.body["fidelity"], expected, "{provider}, {change}: {}", answer.text);
                assert_eq!(vendor.requests().len(), count, "{provider}, {change}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn drop_in_names_an_ignored_block_in_a_header() {
    let vendor = StandIn::always(customer("notchpay", json!({ "blocked": false }))).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "").await;
    let request = gateway.plain(Method::POST, "/as/notchpay/customers/c1/block").header("authorization", "sk_acme");
    let answer = request.send().await.expect("an answer");
    let header = answer.headers().get("passerelle-loss").and_then(|value| value.to_str().ok()).map(str::to_owned);
    assert_eq!((answer.status().as_u16(), header.as_deref()), (202, Some("blocked")));
}

/// Known where the record was read before the update.
#[tokio::test]
async fn a_block_that_an_update_changed_unasked_is_reported() {
    for (before, after) in [(Some(false), true), (Some(true), false), (Some(true), true), (None, true)] {
        let record =
            |name: &str, blocked: Option<bool>| customer("notchpay", json!({ "name": name, "blocked": blocked }));
        let vendor = StandIn::start(vec![record("John Doe", before), record("John Smith", Some(after))]).await;
        let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "").await;
        let answer = gateway.patch("/v1/customers/c1", json!({ "last_name": "Smith" })).await;
        let case = format!("{before:?}, {after}: {}", answer.text);
        assert_eq!((answer.status.as_u16(), &answer.body["blocked"]), (200, &json!(after)), "{case}");
        let report = answer.body["fidelity"].as_array().into_iter().flatten();
        let entries: Vec<_> = report.filter(|entry| entry["field"] == "blocked").collect();
        let rule = "not asked for: the provider changed it with the update";
        let altered = json!({ "field": "blocked", "outcome": "altered", "rule": rule, "from": after.to_string() });
        assert_eq!(entries, if before == Some(!after) { vec![&altered] } else { Vec::new() }, "{case}");
        assert_eq!(vendor.requests().len(), 2, "{case}");
    }
}
