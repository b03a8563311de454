//! What reads of a merchant who switches ask.

use passerelle::store::{Added, CreatedContacts, End, NewId, NewOperation, ShownRecord, Store};

use super::homes::{begun, finish, home_of};
use crate::bed::{Bed, answer, claim, keyed};

async fn add(store: &Store, public_id: &str, connection: &str, provider_id: &str, pinned: Option<&str>) {
    let [public_id, connection, provider_id] = [public_id, connection, provider_id].map(str::to_owned);
    let new = NewId { public_id, connection, provider_id, pinned: pinned.map(str::to_owned) };
    assert_eq!(store.ids().add("acme", &new).await, Ok(Added::Stored), "{new:?}");
}

/// R7
pub(crate) async fn a_page_is_mapped_with_every_id_of_its_customers(bed: &Bed) {
    const UUID: &str = "B78DE3C9-7F76-4F43-9C5D-19D9F5C7C985";
    let store = begun(bed).await;
    add(&store, "first", "main", "c1", Some("main")).await;
    add(&store, "first", "new", "n1", None).await;
    add(&store, "second", "new", "c1", Some("new")).await;
    add(&store, "third", "main", UUID, None).await;
    let known = store.ids().known("acme", "main", &["unknown", "c1", UUID, "c1"]).await.expect("read");
    let shown: Vec<_> = known
        .iter()
        .map(|known| {
            let known = known.as_ref()?;
            Some((known.public_id.as_str(), known.pinned.as_deref(), known.id_at("new")))
        })
        .collect();
    let first = Some(("first", Some("main"), Some("n1")));
    assert_eq!(shown, [None, first, Some(("third", None, None)), first]);
    let known = store.ids().known("other", "main", &["c1"]).await.expect("read");
    assert_eq!(known, [None]);
    // More than one statement has places for.
    let many: Vec<String> = (0..600).map(|number| format!("m{number}")).collect();
    add(&store, "last", "main", "m599", None).await;
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let known = store.ids().known("acme", "main", &many).await.expect("read");
    assert_eq!((known.len(), known.iter().flatten().count()), (600, 1));
    assert_eq!(known[599].as_ref().map(|known| known.public_id.as_str()), Some("last"));
}

/// R7
pub(crate) async fn pinned_customers_are_counted_up_to_a_number(bed: &Bed) {
    let store = begun(bed).await;
    for number in 0..5 {
        let pinned = if number < 3 { "new" } else { "main" };
        add(&store, &format!("c{number}"), pinned, &format!("p{number}"), Some(pinned)).await;
    }
    add(&store, "free", "main", "free", None).await;
    let count = async |merchant: &str, connection: &str, most| {
        store.ids().count_pinned_to(merchant, connection, most).await.expect("read")
    };
    assert_eq!((count("acme", "new", 10).await, count("acme", "main", 10).await), (3, 2));
    assert_eq!((count("acme", "new", 2).await, count("other", "new", 10).await), (2, 0));
}

/// R22
pub(crate) async fn a_record_that_an_unfinished_create_may_have_made_gets_no_row(bed: &Bed) {
    let store = begun(bed).await;
    let contacts =
        CreatedContacts { email: Some("awa@example.com".to_owned()), phone: Some("+221771234567".to_owned()) };
    let create = NewOperation { home: home_of(0, ""), contacts, ..keyed("acme", "k", "r") };
    let id = claim(&store, create).await;
    finish(&store, id, End::Unknown { reconcile_after: None, answer: answer(504) }).await;
    let held = async |connection: &str, provider_id: &str, email: Option<&str>, phone: Option<&str>| {
        let record = ShownRecord { provider_id, email, phone };
        let adopted = store.ids().adopt("acme", connection, &[record]).await.expect("adopted");
        let resolved = store.ids().resolve("acme", Some(provider_id)).await.expect("read").expect("a routing row");
        assert_eq!(resolved.customers.is_empty(), adopted[0].is_held, "{provider_id}");
        adopted[0].is_held
    };
    assert!(held("main", "c1", Some("awa@example.com"), None).await);
    assert!(held("main", "c1", None, Some("+221771234567")).await);
    assert!(!held("main", "c2", Some("other@example.com"), None).await);
    assert!(!held("new", "c3", Some("awa@example.com"), None).await, "it was sent to another connection");
    finish(&store, id, End::Failed { answer: answer(422) }).await;
    assert!(!held("main", "c1", Some("awa@example.com"), None).await, "it is known by now");
}
