//! What a switch needs of the configuration (R10), and of the source before it is left (R14).

use passerelle_providers::model::Operation;

use passerelle::store::Event;

use super::bed::{Bed, Vendor, configuration, person};

/// R14: without a recent write, the cutover writes one record's own values back to the source.
#[tokio::test]
async fn a_cutover_proves_the_way_back_with_a_records_own_values() {
    for (from, to) in [("modempay", "notchpay"), ("notchpay", "modempay"), ("bitnob", "modempay")] {
        let bed = Bed::start(from, to, "").await;
        // Their creates are not recent writes of the merchant: another gateway made them.
        let elsewhere = bed.old.looked_at().await;
        for number in 0..3 {
            let created = elsewhere.post("/v1/customers", person(number)).await;
            assert_eq!(created.status, 201, "{}", created.text);
        }
        let copied = bed.driven().await;
        assert!(!copied.way_back.open, "{copied:#?}");
        let updates = bed.old.effects(Operation::Update);
        let switched = bed.cut_over(&copied).await;
        assert!(switched.way_back.open, "{from}: {switched:#?}");
        assert_eq!(bed.old.effects(Operation::Update), updates + 1, "{from}");
    }
}

/// R10: ids are those of one provider, generation, address and mode. A reload or a start that changes them is refused.
#[tokio::test]
async fn a_connection_that_customers_live_at_keeps_its_address_and_provider() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    bed.create(&person(0)).await;
    bed.driven().await;
    let text = configuration(&bed.folder, &bed.old, &bed.new);
    bed.gateway.try_reload(&text).await.expect("the same");
    for (what, base, key) in [
        ("address", format!("base_url = \"{}\"", bed.old.base), "old.base_url"),
        ("provider", "provider = \"notchpay\"".to_owned(), "new.provider"),
    ] {
        let other = match what {
            "address" => text.replace(&base, "base_url = \"https://api.example.org\""),
            _ => text.replace(&base, "provider = \"modempay\"").replace("public_key", "secret_key"),
        };
        assert_ne!(other, text, "{what}");
        let refused = bed.gateway.try_reload(&other).await.expect_err("it is another one");
        assert_eq!(refused.reasons.first().map(|reason| &*reason.code), Some("connection_changed"), "{refused:?}");
        assert!(refused.detail.contains(key), "{refused:?}");
        bed.gateway.reload(&other);
        let now = bed.gateway.app().gateway.load_full();
        let refused = bed.gateway.switches().check(&now).await.expect_err("a start is refused, too");
        assert!(refused.detail.contains(key), "{refused:?}");
        bed.gateway.reload(&text);
    }
}

/// R10: new credentials may be those of another account, where the ids in the store name no customer or another one.
#[tokio::test]
async fn new_credentials_are_accepted_only_if_they_show_a_known_customer() {
    let bed = Bed::start("notchpay", "modempay", "").await;
    bed.create(&person(0)).await;
    bed.driven().await;
    let text = configuration(&bed.folder, &bed.old, &bed.new).replace("secret_7411", "secret_9032");
    let reads = bed.old.requests(Operation::Retrieve);
    bed.gateway.try_reload(&text).await.expect("the same accounts");
    assert_eq!(bed.old.requests(Operation::Retrieve), reads + 1);
    bed.gateway.try_reload(&text).await.expect("no other credentials");
    assert_eq!(bed.old.requests(Operation::Retrieve), reads + 1, "nothing is read without new credentials");
    let other = Vendor::start("notchpay", "");
    let emptied = other.looked_at().await;
    for sample in emptied.get("/v1/customers?limit=100").await.body["data"].as_array().expect("a list") {
        let id = sample["id"].as_str().expect("an id");
        let deleted = emptied.delete(&format!("/v1/customers/{id}")).await;
        assert!(deleted.status.is_success(), "{}", deleted.text);
    }
    let at_other = text.replace(&bed.old.base, &other.base).replace("secret_9032", "secret_1188");
    let refused = bed.gateway.try_reload(&at_other).await.expect_err("another account");
    assert_eq!(refused.reasons.first().map(|reason| &*reason.code), Some("account_changed"), "{refused:?}");
    assert!(refused.detail.contains("connections.old.credentials"), "{refused:?}");
    assert!(!refused.detail.contains("secret_"), "{refused:?}");
    let unreachable = text.replace(&bed.old.base, "http://127.0.0.1:1").replace("secret_9032", "secret_1188");
    bed.gateway.try_reload(&unreachable).await.expect("a provider that is down says nothing");
}

/// A cutover or rollback by the configuration file is in the audit as such.
#[tokio::test]
async fn a_rollback_by_a_reload_is_in_the_audit() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    bed.create(&person(0)).await;
    let switched = bed.cut_over(&bed.driven().await).await;
    let text = configuration(&bed.folder, &bed.old, &bed.new);
    let to_new = text.replace("active = \"old\"", "active = \"new\"");
    assert_ne!(to_new, text);
    bed.gateway.try_reload(&to_new).await.expect("the file follows");
    bed.gateway.try_reload(&text).await.expect("a rollback");
    let audit = bed.gateway.app().store.audit();
    let records = audit.records(0, 1000).await.expect("read");
    let rollback = records.iter().rfind(|record| record.operation == "switch.rollback").expect("a rollback");
    let detail: serde_json::Value = serde_json::from_str(rollback.detail.as_deref().expect("a detail")).expect("JSON");
    assert_eq!(rollback.event, Event::Done);
    assert_eq!(detail["by"], "configuration file");
    assert_eq!(detail["from"], serde_json::json!({ "state": "switched", "epoch": switched.epoch }));
    assert_eq!(detail["to"], serde_json::json!({ "state": "copied", "epoch": switched.epoch + 1 }));
    audit.verify().await.expect("read").expect("an unbroken chain");
}
