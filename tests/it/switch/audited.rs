//! Each command of an operator that the other stories do not give is in the audit, with its options and without values of
//! customers.

use passerelle::{
    store::{AuditRecord, Event},
    switch::{
        acting_as,
        service::{Decision, SwitchService},
    },
};
use serde_json::{Value, json};

use super::{
    bed::{Bed, person},
    merchant::decided,
};

/// The operation, the event and the detail of each command.
fn commands(records: &[AuditRecord]) -> Vec<(String, Event, Value)> {
    let shown = records.iter().filter_map(|record| {
        let detail = serde_json::from_str(record.detail.as_deref()?).expect("JSON");
        Some((record.operation.clone(), record.event, detail))
    });
    shown.collect()
}

#[tokio::test]
async fn limits_decisions_stops_and_changes_of_the_active_connection_are_in_the_audit() {
    let bed = Bed::start("modempay", "notchpay", "").await;
    let public_id = bed.create(&person(0)).await;
    let copied = bed.driven().await;
    let audit = bed.gateway.app().store.audit();
    let before = audit.records(0, 1000).await.expect("read").len();
    let switches = bed.gateway.switches();
    let given = async {
        switches.set_rate(&copied.id, Some("20/s".to_owned())).await.expect("set");
        let decision: Decision =
            serde_json::from_value(json!({ "public_id": public_id, "decision": "leave" })).expect("a decision");
        let decided = decided(&switches.get(&copied.id).await.expect("a switch"));
        switches.decide(&copied.id, vec![decision], decided).await.expect("decided");
        switches.stop(&copied.id).await.expect("stopped");
        switches.set_active("acme", "new").await.expect("set");
        switches.set_active("acme", "made-up").await.expect_err("no such connection");
    };
    acting_as("ops".to_owned(), given).await;
    let records = audit.records(0, 1000).await.expect("read");
    let new = commands(&records[before..]);
    let names: Vec<(&str, Event)> = new.iter().map(|(operation, event, _)| (&**operation, *event)).collect();
    let given = ["switch.set_rate", "switch.decide", "switch.stop", "switch.set_active"];
    assert_eq!(names, given.map(|name| [(name, Event::Intent), (name, Event::Done)]).concat());
    assert!(
        new.iter().all(|(_, _, detail)| detail["by"] == "ops" && detail["switch"] == copied.id.as_str()),
        "{new:?}"
    );
    assert_eq!(new[0].2["options"], json!({ "rate": "20/s" }));
    assert_eq!(new[2].2["options"], json!({ "decisions": { "leave": 1 } }));
    assert_eq!(new[7].2["to"], json!({ "epoch": copied.epoch + 1 }));
    let text = format!("{new:?}");
    let person = person(0);
    for value in ["name", "email", "phone"].map(|field| person[field].as_str().unwrap_or("no such value")) {
        assert!(!text.contains(value), "{text}");
    }
    audit.verify().await.expect("read").expect("an unbroken chain");
}
