//! R28: what was written through the gateway survives every switch, with `on_loss = "carry"`.

use http::StatusCode;
use passerelle_providers::{
    engine::carry::{self, Part},
    model::Field,
    vendor,
};
use serde_json::json;

use super::{
    bed::{CREATING, Vendor},
    chain::{Chain, differing, whole},
};

async fn there_and_back(from: &'static str, to: &'static str) {
    let chain = Chain::of(vec![Vendor::start(from, ""), Vendor::start(to, "")]).await;
    let id = chain.create(whole(0)).await;
    let blocked = chain.gateway.post(&format!("/v1/customers/{id}/block"), json!({})).await;
    assert_eq!(blocked.status, StatusCode::OK, "{}", blocked.text);
    let written = chain.retrieve(&id).await;
    for (name, value) in whole(0).as_object().expect("members") {
        assert_eq!(&written[name], value, "{from}: {name}");
    }
    let (there, back) = (Chain::pair(0, 1), Chain::pair(1, 0));
    chain.begin(&there).await;
    chain.copy(&there, &id).await;
    let before = chain.retrieve(&id).await;
    assert_eq!(differing(&written, &before), [""; 0], "{from} to {to}: a copy changes nothing at the home");
    chain.flip(&there).await;
    let moved = chain.retrieve(&id).await;
    assert_eq!(moved["provider"]["connection"], "c1");
    assert_eq!(differing(&written, &moved), [""; 0], "{from} to {to}");
    chain.end(&there).await;
    let patch = json!({ "first_name": "Aïssatou Awa", "address": { "city": "Thiès", "line2": null },
                        "metadata": { "plan": null, "note": "new" }, "whatsapp": "+221781239999" });
    let patched = chain.patch(&id, patch).await;
    assert_eq!(patched["address"]["city"], "Thiès", "{from} to {to}");
    assert_eq!(patched["metadata"], json!({ "crm": "0", "note": "new" }), "{from} to {to}");
    let unblocked = chain.gateway.post(&format!("/v1/customers/{id}/unblock"), json!({})).await;
    assert_eq!(unblocked.status, StatusCode::OK, "{}", unblocked.text);
    let patched = chain.retrieve(&id).await;
    chain.begin(&back).await;
    chain.copy(&back, &id).await;
    assert_eq!(differing(&patched, &chain.retrieve(&id).await), [""; 0], "{to} to {from}: nothing changes at the home");
    chain.flip(&back).await;
    let returned = chain.retrieve(&id).await;
    assert_eq!(returned["provider"]["connection"], "c0");
    assert_eq!(differing(&patched, &returned), [""; 0], "{from} to {to} and back");
    // What the home holds itself goes when the switch is completed, and nothing is missing then.
    let manifest = vendor(from).expect("a vendor").manifests[0];
    let held: Vec<Field> = Field::ALL.into_iter().filter(|field| carry::is_held(*field, true, manifest)).collect();
    chain.gateway.carried().forget_held("acme", "c0", &held).await.expect("forgotten");
    let parts = chain.gateway.carried().parts("acme", &[&id]).await.expect("read").pop().unwrap_or_default();
    let is_left = |part: &Part| part.connection != "c0" && part.value.is_some() && held.contains(&part.field);
    assert!(!parts.iter().any(is_left), "{parts:?}");
    assert_eq!(differing(&patched, &chain.retrieve(&id).await), [""; 0], "{from} to {to} and back, completed");
}

#[tokio::test]
async fn every_field_survives_the_way_there_and_back_for_every_pair_of_providers() {
    let pairs = CREATING.into_iter().flat_map(|from| CREATING.map(|to| (from, to)));
    let pairs: Vec<_> =
        pairs.filter(|(from, to)| from != to).map(|(from, to)| tokio::spawn(there_and_back(from, to))).collect();
    let mut failed = 0;
    for pair in pairs {
        failed += usize::from(pair.await.is_err());
    }
    assert_eq!(failed, 0, "of the ordered pairs");
}
