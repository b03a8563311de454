//! R28: what was written through the gateway survives every switch, with `on_loss = "carry"`; with `allow_carry`, so does what
//! a client asked to carry.

use http::StatusCode;
use passerelle_providers::{
    engine::carry::{self, Part},
    model::Field,
    vendor,
};
use serde_json::{Value, json};

use super::{
    bed::{CREATING, Vendor},
    chain::{Carrying, Chain, differing, whole},
};

async fn there_and_back(from: &'static str, to: &'static str) {
    let chain = Chain::of(vec![Vendor::start(from, ""), Vendor::start(to, "")], Carrying::Configured).await;
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

/// Where only the requests of a client ask for carried fields, a copy loses what the other side cannot hold, as its plan said.
/// What the client asked to carry goes along, and the way back gives everything back.
async fn asked_for(from: &'static str, to: &'static str) {
    let chain = Chain::of(vec![Vendor::start(from, ""), Vendor::start(to, "")], Carrying::Asked).await;
    let refused = chain.gateway.post("/v1/customers", whole(0)).await;
    assert_eq!(refused.status_and_code(), (422, "fields_not_supported"), "{from} cannot hold everything");
    let id = chain.create(whole(0)).await;
    let written = chain.retrieve(&id).await;
    for (name, value) in whole(0).as_object().expect("members") {
        assert_eq!(&written[name], value, "{from}: {name}");
    }
    let (there, back) = (Chain::pair(0, 1), Chain::pair(1, 0));
    chain.begin(&there).await;
    chain.copy(&there, &id).await;
    chain.flip(&there).await;
    let moved = chain.retrieve(&id).await;
    assert_eq!(moved["provider"]["connection"], "c1");
    let value = |customer: &Value, field: Field| customer.pointer(field.pointer()).cloned().unwrap_or_default();
    let manifests = [from, to].map(|name| vendor(name).expect("a vendor").manifests[0]);
    let [at_source, at_target] = manifests.map(|manifest| move |field| carry::is_held(field, true, manifest));
    let (mut carried, mut lost) = (0, 0);
    for field in Field::WRITABLE.into_iter().filter(|field| whole(0).pointer(field.pointer()).is_some()) {
        let is_lost = value(&moved, field) != value(&written, field);
        assert!(!is_lost || (at_source(field) && !at_target(field)), "{from} to {to}: {field:?} {moved}");
        carried += usize::from(!at_source(field));
        lost += usize::from(is_lost);
    }
    assert!(carried > 0, "{from} to {to}: {lost} lost");
    chain.end(&there).await;
    chain.begin(&back).await;
    chain.copy(&back, &id).await;
    chain.flip(&back).await;
    let returned = chain.retrieve(&id).await;
    assert_eq!(returned["provider"]["connection"], "c0");
    assert_eq!(differing(&written, &returned), [""; 0], "{from} to {to} and back");
}

#[tokio::test]
async fn every_field_survives_the_way_there_and_back_for_every_pair_of_providers() {
    of_every_pair(there_and_back).await;
}

#[tokio::test]
async fn what_a_client_asked_to_carry_survives_the_way_there_and_back_for_every_pair_of_providers() {
    of_every_pair(asked_for).await;
}

async fn of_every_pair<F: Future<Output = ()> + Send + 'static>(story: fn(&'static str, &'static str) -> F) {
    let pairs = CREATING.into_iter().flat_map(|from| CREATING.map(|to| (from, to)));
    let pairs: Vec<_> = pairs.filter(|(from, to)| from != to).map(|(from, to)| tokio::spawn(story(from, to))).collect();
    let mut failed = 0;
    for pair in pairs {
        failed += usize::from(pair.await.is_err());
    }
    assert_eq!(failed, 0, "of the ordered pairs");
}
