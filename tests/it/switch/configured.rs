//! What a switch needs of the configuration (R10), and of the source before it is left (R14).

use passerelle_providers::model::Operation;

use super::bed::{Bed, configuration, person};

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
