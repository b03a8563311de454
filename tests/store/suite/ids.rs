//! Ids: the public id of a customer, and its id at each connection.

use passerelle::store::{Added, NewId, Resolved, Routing, Store};

use crate::bed::Bed;

fn id(public_id: &str, connection: &str, provider_id: &str) -> NewId {
    let [public_id, connection, provider_id] = [public_id, connection, provider_id].map(str::to_owned);
    NewId { public_id, connection, provider_id, pinned: None }
}

fn pinned(new: NewId, to: &str) -> NewId {
    NewId { pinned: Some(to.to_owned()), ..new }
}

async fn routed(bed: &Bed) -> Store {
    let store = bed.open().await;
    store.ids().route("acme", "main").await.expect("stored");
    store
}

async fn add(store: &Store, new: NewId) {
    assert_eq!(store.ids().add("acme", &new).await, Ok(Added::Stored), "{new:?}");
}

async fn resolve(store: &Store, id: &str) -> Resolved {
    store.ids().resolve("acme", Some(id)).await.expect("read").expect("a routing row")
}

/// The public ids of the customers that an id names, in their order.
async fn named(store: &Store, id: &str) -> Vec<String> {
    let mut named: Vec<String> = resolve(store, id).await.customers.into_iter().map(|one| one.public_id).collect();
    named.sort();
    named
}

pub(crate) async fn a_merchant_without_a_routing_row_has_no_ids(bed: &Bed) {
    let store = bed.open().await;
    assert!(!store.ids().is_routed("acme"));
    assert_eq!(store.ids().add("acme", &id("c1", "main", "c1")).await, Ok(Added::NotRouted));
    store.ids().route("acme", "main").await.expect("stored");
    assert_eq!(store.ids().learn().await, Ok(true), "it has changed");
    assert_eq!(store.ids().learn().await, Ok(false), "and not again");
    assert!(store.ids().is_routed("acme") && !store.ids().is_routed("other"));
    assert!(resolve(&store, "c1").await.customers.is_empty(), "what was refused is not stored");
    assert_eq!(store.ids().resolve("other", Some("c1")).await, Ok(None));
    assert_eq!(store.ids().resolve("other", None).await, Ok(None));
    if bed.url.ends_with(":memory:") {
        return;
    }
    drop(store);
    assert!(bed.open().await.ids().is_routed("acme"), "after a restart");
}

pub(crate) async fn an_id_is_resolved_by_public_id_first_and_then_by_any_connection(bed: &Bed) {
    let store = routed(bed).await;
    add(&store, pinned(id("c1", "main", "c1"), "main")).await;
    add(&store, id("c1", "spare", "s1")).await;
    add(&store, id("c2", "spare", "c1")).await;
    let found = resolve(&store, "c1").await;
    assert_eq!(found.routing, Routing { connection: "main".to_owned(), epoch: 0, open: None });
    assert_eq!(found.customers.len(), 1, "{found:?}");
    let customer = &found.customers[0];
    assert_eq!((customer.public_id.as_str(), customer.pinned.as_deref()), ("c1", Some("main")));
    assert_eq!((customer.id_at("main"), customer.id_at("spare")), (Some("c1"), Some("s1")));
    assert_eq!(named(&store, "s1").await, ["c1"], "by its id at the other connection");
    assert_eq!(named(&store, "c2").await, ["c2"]);
    assert!(named(&store, "unknown").await.is_empty());
    assert!(named(&store, "S1").await.is_empty(), "only UUIDs may have another case");
    let routing = store.ids().resolve("acme", None).await.expect("read").expect("a routing row");
    assert_eq!((routing.routing, routing.customers.len()), (found.routing, 0));
}

pub(crate) async fn an_id_of_two_customers_names_both(bed: &Bed) {
    let store = routed(bed).await;
    add(&store, id("c1", "main", "x")).await;
    add(&store, id("c2", "spare", "x")).await;
    assert_eq!(named(&store, "x").await, ["c1", "c2"]);
    add(&store, id("c3", "main", "y")).await;
    add(&store, id("c3", "spare", "y")).await;
    assert_eq!(named(&store, "y").await, ["c3"], "both are the same customer's");
    let pairs = [("main", "x"), ("spare", "x"), ("main", "unknown")].map(|(at, id)| (at.to_owned(), id.to_owned()));
    let public = store.ids().public_ids("acme", &pairs).await.expect("read");
    assert_eq!(public, [Some("c1".to_owned()), Some("c2".to_owned()), None]);
}

pub(crate) async fn ids_are_unique_both_ways_at_each_connection(bed: &Bed) {
    let store = routed(bed).await;
    add(&store, id("c1", "main", "c1")).await;
    add(&store, id("c1", "main", "c1")).await;
    for taken in [id("c1", "main", "other"), id("other", "main", "c1")] {
        assert_eq!(store.ids().add("acme", &taken).await, Ok(Added::Taken), "{taken:?}");
    }
    assert!(named(&store, "other").await.is_empty(), "nothing of what was refused is stored");
    store.ids().route("other", "main").await.expect("stored");
    assert_eq!(store.ids().add("other", &id("else", "main", "c1")).await, Ok(Added::Stored), "of another merchant");
    assert_eq!(named(&store, "c1").await, ["c1"]);
}

pub(crate) async fn uuids_are_compared_in_lower_case(bed: &Bed) {
    const UPPER: &str = "B78DE3C9-7F76-4F43-9C5D-19D9F5C7C985";
    const LOWER: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
    let store = routed(bed).await;
    add(&store, id(UPPER, "main", UPPER)).await;
    add(&store, id(LOWER, "main", LOWER)).await;
    for asked in [UPPER, LOWER] {
        assert_eq!(named(&store, asked).await, [LOWER]);
        let public = store.ids().public_ids("acme", &[("main".to_owned(), asked.to_owned())]).await;
        assert_eq!(public, Ok(vec![Some(LOWER.to_owned())]));
    }
}

pub(crate) async fn a_page_of_any_length_is_mapped_in_its_order(bed: &Bed) {
    let store = routed(bed).await;
    for number in 0..40 {
        add(&store, id(&format!("public-{number}"), "main", &format!("p{number}"))).await;
    }
    for length in [0, 1, 2, 3, 21, 40, 600] {
        let page: Vec<_> = (0..length).rev().map(|number| ("main".to_owned(), format!("p{number}"))).collect();
        let public = store.ids().public_ids("acme", &page).await.expect("read");
        let expected: Vec<_> =
            (0..length).rev().map(|number| (number < 40).then(|| format!("public-{number}"))).collect();
        assert_eq!(public, expected);
    }
}

pub(crate) async fn the_first_routing_row_stays(bed: &Bed) {
    let store = routed(bed).await;
    store.ids().route("acme", "spare").await.expect("stored");
    assert_eq!(resolve(&store, "any").await.routing.connection, "main");
}
