//! What reads of a merchant who switches ask.

use passerelle::store::{
    Added, ContactKind, CopyState, CreatedContacts, End, NewId, NewOperation, ShownRecord, Store, Target, TargetKeys,
};

use super::{
    homes::{begun, finish, home_of},
    switches::{open, seen},
};
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

/// R1, R7: the number of statements does not depend on the number of customers.
pub(crate) async fn what_a_read_asks_is_one_statement(bed: &Bed) {
    let store = begun(bed).await;
    let ids: Vec<String> = (0..100).map(|number| format!("c{number}")).collect();
    for id in &ids {
        add(&store, id, "main", id, Some("main")).await;
    }
    let shown = |id| ShownRecord { provider_id: id, email: Some("awa@example.com"), phone: None };
    let records: Vec<_> = ids.iter().map(|id| shown(id)).collect();
    let names: Vec<&str> = ids.iter().map(String::as_str).collect();
    store.ids().adopt("acme", "main", &records).await.expect("adopted");
    let mut before = store.statements();
    let mut cost = || {
        let cost = store.statements() - before;
        before += cost;
        cost
    };
    store.ids().resolve("acme", Some("c7")).await.expect("read").expect("a routing row");
    assert_eq!(cost(), 1, "a customer");
    store.ids().adopt("acme", "main", &records).await.expect("read");
    assert_eq!(cost(), 1, "a page whose records have rows");
    store.ids().known("acme", "main", &names).await.expect("read");
    assert_eq!(cost(), 1, "the customers of a page");
    store.ids().by_contact("acme", ContactKind::Email, "awa@example.com").await.expect("read");
    assert_eq!(cost(), 1, "a contact");
    store.ids().has_tail("acme", "main", "new", 0).await.expect("read");
    assert_eq!(cost(), 1, "the tail of a walk");
}

/// R8
pub(crate) async fn rows_that_a_copy_made_later_lead_to_the_other_list(bed: &Bed) {
    let store = begun(bed).await;
    let ids = store.ids();
    let has_tail = async |merchant: &str, first: &str, other: &str, since: i64| {
        ids.has_tail(merchant, first, other, since).await.expect("read")
    };
    let now = bed.clock.now().as_millisecond();
    add(&store, "c1", "main", "c1", None).await;
    assert!(!has_tail("acme", "new", "main", now - 1).await);
    let copy = |seen: &[u8]| CopyState { seen: seen.to_vec(), ..CopyState::created("c1", "new", "n1") };
    assert!(ids.keep_copy("acme", copy(b"seen")).await.expect("stored"));
    assert!(has_tail("acme", "new", "main", now - 1).await, "the copy is newer than the walk");
    assert!(!has_tail("acme", "new", "main", now).await, "the copy is older than the walk");
    assert!(!has_tail("acme", "main", "new", now - 1).await, "no copy made a row there");
    assert!(!has_tail("other", "new", "main", now - 1).await);
    let at = ids.known("acme", "new", &["n1"]).await.expect("read").pop().flatten().expect("a customer").at;
    assert_eq!((at["main"].copied_at, at["new"].copied_at), (None, Some(now)));
    bed.clock.move_by(std::time::Duration::from_secs(1));
    assert!(ids.keep_copy("acme", copy(b"other")).await.expect("stored"));
    assert!(!has_tail("acme", "new", "main", now).await, "a later copy of the record makes no row");
    add(&store, "c2", "main", "c2", Some("main")).await;
    assert!(has_tail("acme", "new", "main", now).await, "a customer is pinned there");
}

/// On a remote database each statement is a journey, and a transaction has to end within 0.9 s.
pub(crate) async fn what_a_page_writes_is_a_few_statements(bed: &Bed) {
    let store = begun(bed).await;
    let (ids, log) = (store.ids(), store.switches());
    let switch = open(&store).await;
    assert_eq!(log.lease_free().await.expect("leased").len(), 1);
    // Workers of the store may ask meanwhile, as the least of three pages does not show.
    let mut least = [u64::MAX; 7];
    for turn in 0..3 {
        let names: Vec<String> = (0..100).map(|number| format!("c{turn}-{number}")).collect();
        let shown = |email: &'static str| {
            let record = move |id| ShownRecord { provider_id: id, email: Some(email), phone: Some("+221771234567") };
            names.iter().map(move |id| record(id.as_str())).collect::<Vec<_>>()
        };
        let (first, changed) = (shown("awa@example.com"), shown("other@example.com"));
        let target = |id: &String| Target { provider_id: id.clone(), keys: TargetKeys::default(), linked: None };
        let decisions = names.iter().map(|id| (id.clone(), format!("link {id}"))).collect();
        let mut before = store.statements();
        let mut costs = Vec::new();
        let mut done = || {
            costs.push(store.statements() - before);
            before = store.statements();
        };
        assert_eq!(ids.adopt("acme", "main", &first).await.expect("adopted").len(), 100);
        done();
        ids.adopt("acme", "main", &changed).await.expect("adopted");
        done();
        assert_eq!(log.store_page(&switch.id, None, names.iter().map(|id| seen(id, 1)).collect()).await, Ok(true));
        done();
        assert_eq!(log.store_targets(&switch.id, "p".to_owned(), names.iter().map(target).collect()).await, Ok(true));
        done();
        assert_eq!(log.are_listed(&switch.id, names.clone()).await, Ok(vec![true; 100]));
        done();
        assert_eq!(log.decide(&switch.id, decisions).await, Ok(Vec::new()));
        done();
        ids.pin("acme", None, 100).await.expect("pinned");
        done();
        for (least, cost) in least.iter_mut().zip(costs) {
            *least = cost.min(*least);
        }
    }
    assert!(least.iter().all(|cost| (1..=20).contains(cost)), "{least:?}");
}

/// R1
pub(crate) async fn records_that_are_shown_twice_get_one_row(bed: &Bed) {
    let store = begun(bed).await;
    let shown = |id| ShownRecord { provider_id: id, email: Some("awa@example.com"), phone: None };
    let adopted = store.ids().adopt("acme", "main", &[shown("c1"), shown("c2"), shown("c1")]).await.expect("adopted");
    let names: Vec<_> = adopted.iter().map(|one| (one.public_id.as_str(), one.is_held)).collect();
    assert_eq!(names, [("c1", false), ("c2", false), ("c1", false)]);
    // Their ids name those customers already, and so each of a page derives one of its own.
    let elsewhere = store.ids().adopt("acme", "new", &[shown("c1"), shown("c2"), shown("c3")]).await.expect("adopted");
    let [first, second, third] = [0, 1, 2].map(|at: usize| elsewhere[at].public_id.clone());
    assert!(first != second && first.len() == 36 && second.len() == 36, "{first}, {second}");
    assert_eq!(third, "c3");
    let again = store.ids().adopt("acme", "new", &[shown("c2"), shown("c1")]).await.expect("adopted");
    assert_eq!([&again[0].public_id, &again[1].public_id], [&second, &first]);
}
