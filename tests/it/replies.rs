//! Replies of providers that are too long, too large or never end, and requests to a provider that hangs.

use serde_json::{Value, json};

use crate::{
    stand_in::{Act, StandIn, json as json_answer},
    support::{Gateway, PROVIDERS},
};

/// A record of a provider.
pub(crate) fn record(provider: &str, number: usize) -> String {
    match provider {
        "lomi" => format!(r#"{{"customer_id":"b78de3c9-7f76-4f43-9c5d-{number:012}","name":"N"}}"#),
        "bitnob" => format!(r#"{{"id":"b78de3c9-7f76-4f43-9c5d-{number:012}","email":"a@example.com"}}"#),
        "notchpay" => format!(r#"{{"id":"cus.{number:024}","name":"N"}}"#),
        "paymentkit" => format!(r#"{{"id":"cus_{number:014}","name":"N"}}"#),
        _ => format!(r#"{{"id":"b78de3c9-7f76-4f43-9c5d-{number:012}","name":"N"}}"#),
    }
}

/// A provider's page of records, with the number of all records where the provider answers it.
pub(crate) fn page(provider: &str, records: &[String], total: usize) -> String {
    let records = records.join(",");
    match provider {
        "lomi" => format!(r#"{{"data":[{records}]}}"#),
        "paymentkit" => format!(r#"{{"count":{total},"list":[{records}]}}"#),
        "bitnob" => format!(
            r#"{{"success":true,"data":{{"customers":[{records}],"meta":{{"page":1,"itemCount":{total},"hasNextPage":false}}}}}}"#
        ),
        "notchpay" => {
            format!(r#"{{"totals":{total},"last_page":{},"current_page":1,"items":[{records}]}}"#, total.div_ceil(20))
        }
        _ => format!(r#"{{"data":[{records}],"meta":{{"total":{total}}}}}"#),
    }
}

#[tokio::test]
async fn a_page_with_an_entry_that_is_no_record_is_a_bad_response() {
    for provider in PROVIDERS {
        let records = vec!["{}".to_owned(); 1000];
        let vendor = StandIn::always(json_answer("200 OK", &page(provider, &records, 1000))).await;
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let answer = gateway.get("/v1/customers").await;
        assert_eq!(answer.status_and_code(), (502, "provider_bad_response"), "{provider}: {}", answer.text);
        assert!(answer.text.contains("a record without `"), "{provider}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_page_of_more_entries_than_any_list_has_is_a_bad_response() {
    let records: Vec<String> = (0..10_001).map(|number| record("modempay", number)).collect();
    let vendor = StandIn::always(json_answer("200 OK", &page("modempay", &records, 10_001))).await;
    let gateway = Gateway::in_front_of("modempay", &vendor.url(), "").await;
    let answer = gateway.get("/v1/customers").await;
    assert_eq!(answer.status_and_code(), (502, "provider_bad_response"), "{}", answer.text);
}

/// A provider that ignores the limit answers its whole list. lomi's lists have no total, so the gateway cannot know
/// where the next page begins.
#[tokio::test]
async fn a_page_with_more_entries_than_were_asked_for_is_served_whole_or_refused() {
    for provider in PROVIDERS {
        let records: Vec<String> = (0..50).map(|number| record(provider, number)).collect();
        let vendor = StandIn::always(json_answer("200 OK", &page(provider, &records, 50))).await;
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let mut path = "/v1/customers?limit=20".to_owned();
        let mut ids: Vec<Value> = Vec::new();
        loop {
            let answer = gateway.get(&path).await;
            if provider == "lomi" {
                assert_eq!(answer.status_and_code(), (502, "provider_bad_response"), "{}", answer.text);
                break;
            }
            assert_eq!(answer.status, 200, "{provider}: {}", answer.text);
            let data = answer.body["data"].as_array().expect("a list");
            assert!(data.len() <= 20, "{provider}");
            ids.extend(data.iter().map(|customer| customer["id"].clone()));
            assert!(ids.len() <= 50, "{provider}: the list does not end");
            let Some(cursor) = answer.body["next_cursor"].as_str() else { break };
            path = format!("/v1/customers?limit=20&cursor={cursor}");
        }
        if provider != "lomi" {
            let mut unique = ids.clone();
            unique.dedup();
            assert_eq!((ids.len(), unique.len()), (50, 50), "{provider}");
        }
    }
}

/// A longer last page is served over several pages. Behind another longer page, the next number may skip entries.
#[tokio::test]
async fn a_longer_page_of_a_customers_payments_is_a_bad_response_unless_it_is_the_last() {
    let payments: Vec<String> = (0..30).map(|number| format!(r#"{{"id":"trx.{number}"}}"#)).collect();
    let path = "/v1/customers/cus.abcdefghijkl/payments?limit=20";
    let vendor = StandIn::always(json_answer("200 OK", &page("notchpay", &payments, 30))).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "").await;
    let first = gateway.get(path).await;
    assert_eq!((first.status.as_u16(), &first.body["data"][19]["id"]), (200, &json!("trx.19")), "{}", first.text);
    let cursor = first.body["next_cursor"].as_str().expect("another page");
    let last = gateway.get(&format!("{path}&cursor={cursor}")).await;
    let ids = [&last.body["data"][0]["id"], &last.body["data"][9]["id"], &last.body["has_more"]];
    assert_eq!(ids, [&json!("trx.20"), &json!("trx.29"), &json!(false)], "{}", last.text);

    let vendor = StandIn::always(json_answer("200 OK", &page("notchpay", &payments, 90))).await;
    let gateway = Gateway::in_front_of("notchpay", &vendor.url(), "").await;
    let answer = gateway.get(path).await;
    assert_eq!(answer.status_and_code(), (502, "provider_bad_response"), "{}", answer.text);
}

/// A list with more bytes than are read on a thread that serves requests.
#[tokio::test]
async fn a_large_page_is_served_like_a_small_one() {
    for provider in PROVIDERS {
        let name = "N".repeat(40_000);
        let records: Vec<String> = (0..10)
            .map(|number| record(provider, number).replacen('}', &format!(r#","note":"{name}"}}"#), 1))
            .collect();
        let vendor = StandIn::always(json_answer("200 OK", &page(provider, &records, 10))).await;
        let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
        let answer = gateway.get("/v1/customers").await;
        assert_eq!(answer.status, 200, "{provider}: {}", answer.text);
        assert_eq!(answer.body["data"].as_array().map(Vec::len), Some(10), "{provider}");
        assert_eq!(answer.body["data"][9]["provider"]["extra"]["note"], json!(name), "{provider}");
    }
}

/// Merchants whose provider hangs, and one at another host.
pub(crate) fn merchants(hanging: &str, other: &str) -> String {
    let merchant = |name: &str, url: &str| {
        format!(
            "[merchants.{name}]\napi_keys = [\"sk_{name}\"]\nactive = \"main\"\n[merchants.{name}.connections.main]\n\
             provider = \"lomi\"\nbase_url = \"{url}\"\ncredentials = {{ api_key = \"any\" }}\n"
        )
    };
    format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\nmax_in_flight = 3\n\
         max_in_flight_per_host = 4\nmax_in_flight_total = 6\n{}{}{}",
        merchant("one", hanging),
        merchant("two", hanging),
        merchant("three", other),
    )
}

#[tokio::test]
async fn a_provider_that_hangs_uses_up_the_places_of_its_host_only_and_a_reload_renews_none() {
    let hanging = StandIn::always(Act::Hang).await;
    let other = StandIn::always(json_answer("200 OK", &page("lomi", &[record("lomi", 1)], 1))).await;
    let configuration = merchants(&hanging.url(), &other.url());
    let mut gateway = Gateway::start(&configuration).await;
    let mut waiting = Vec::new();
    for (sent, key) in [(1, "sk_one"), (2, "sk_one"), (3, "sk_one"), (4, "sk_two")] {
        gateway = gateway.with_key(key);
        waiting.push(tokio::spawn(gateway.request(reqwest::Method::GET, "/v1/customers").send()));
        hanging.received(sent).await;
    }
    for round in 0..2 {
        gateway = gateway.with_key("sk_one");
        let answer = gateway.get("/v1/customers").await;
        assert_eq!(answer.status_and_code(), (503, "overloaded"), "{round}: {}", answer.text);
        assert!(answer.text.contains("this connection"), "{round}: {}", answer.text);
        gateway = gateway.with_key("sk_two");
        let answer = gateway.get("/v1/customers").await;
        assert_eq!(answer.status_and_code(), (503, "overloaded"), "{round}: {}", answer.text);
        assert!(answer.text.contains("this provider's host"), "{round}: {}", answer.text);
        gateway = gateway.with_key("sk_three");
        assert_eq!(gateway.get("/v1/customers").await.status, 200, "{round}");
        gateway.reload(&configuration);
    }
    assert_eq!(hanging.requests().len(), 4);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[test]
fn limits_that_leave_nothing_for_others_are_mistakes() {
    for (wrong, key) in [
        ("max_in_flight_per_host = 2048", "outbound.max_in_flight_per_host"),
        ("max_reply = 8388609", "outbound.max_reply"),
    ] {
        let configuration = merchants("http://127.0.0.1:9", "http://127.0.0.1:9");
        let configuration = configuration.replace("max_in_flight_per_host = 4\nmax_in_flight_total = 6", wrong);
        let loaded = passerelle::config::load_text(&configuration, "test.toml").expect("it can be read");
        let resolved = passerelle::merchant::Gateway::resolve(&loaded, None, &passerelle::upstream::Shared::default());
        let mistakes = resolved.expect_err("a mistake").mistakes;
        assert!(mistakes.iter().any(|mistake| mistake.contains(key)), "{wrong}: {mistakes:?}");
    }
}
