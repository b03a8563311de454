//! Carried fields: what is kept of customers because their provider cannot hold it.

use passerelle::store::{CarriedChanges, ContactChanges, End, NewOperation, OperationId, Store};
use passerelle_providers::{
    engine::carry::{Change, Part},
    model::Field,
};

use crate::bed::{Bed, answer, claim, keyed};

fn put(field: Field, value: &str) -> Change {
    Change::Put { field, value: Some(value.to_owned()), native: None }
}

fn merge(patch: &str) -> Change {
    Change::Merge { patch: patch.to_owned(), base: "{}".to_owned(), native: Some([7; 8]) }
}

fn changes(customer: &str, changes: Vec<Change>) -> CarriedChanges {
    let [public_id, connection] = [customer, "main"].map(str::to_owned);
    CarriedChanges { public_id, connection, changes, forgets: false }
}

async fn update(store: &Store, key: &str) -> OperationId {
    let new = keyed("acme", key, key);
    claim(store, NewOperation { operation: "update".to_owned(), customer: Some("c1".to_owned()), ..new }).await
}

async fn end(store: &Store, id: OperationId, carried: CarriedChanges) {
    let end = End::Done { customer: None, contacts: ContactChanges::default(), carried, answer: answer(200) };
    assert_eq!(store.operations().finish(id, 1, end).await, Ok(true));
}

async fn write(store: &Store, key: &str, carried: CarriedChanges) {
    let id = update(store, key).await;
    end(store, id, carried).await;
}

/// The fields that are kept of `c1`, with their values.
async fn kept(store: &Store) -> Vec<(Field, Option<String>)> {
    let mut parts = store.carried().parts("acme", &["c1"]).await.expect("read").remove(0);
    parts.sort_by_key(|part| part.field);
    parts.into_iter().map(|part| (part.field, part.value)).collect()
}

fn some(field: Field, value: &str) -> (Field, Option<String>) {
    (field, Some(value.to_owned()))
}

pub(crate) async fn carried_fields_are_written_with_the_end_of_their_write(bed: &Bed) {
    let store = bed.open().await;
    let id = update(&store, "k").await;
    assert!(kept(&store).await.is_empty(), "the write has not ended");
    end(&store, id, changes("c1", vec![put(Field::City, "Dakar"), merge(r#"{"crm":"1"}"#)])).await;
    assert_eq!(kept(&store).await, [some(Field::City, "Dakar"), some(Field::Metadata, r#"{"crm":"1"}"#)]);
    let parts = store.carried().parts("acme", &["c2", "c1", "c1"]).await.expect("read");
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [0, 2, 2], "in the order of the ids");
    let metadata = parts[1].iter().find(|part| part.field == Field::Metadata).expect("metadata");
    let (connection, value) = ("main".to_owned(), Some(r#"{"crm":"1"}"#.to_owned()));
    assert_eq!(*metadata, Part { field: Field::Metadata, value, connection, native: Some([7; 8]) });
    assert!(store.carried().parts("other", &["c1"]).await.expect("read")[0].is_empty());
    assert!(store.carried().parts("acme", &[]).await.expect("read").is_empty());
}

pub(crate) async fn carried_fields_are_merged_replaced_and_removed(bed: &Bed) {
    let store = bed.open().await;
    write(&store, "1", changes("c1", vec![put(Field::City, "Dakar"), merge(r#"{"a":1,"b":{"c":2,"d":3}}"#)])).await;
    write(&store, "2", changes("c1", vec![put(Field::City, "Thi\u{e8}s"), merge(r#"{"a":null,"b":{"c":4}}"#)])).await;
    assert_eq!(kept(&store).await, [some(Field::City, "Thi\u{e8}s"), some(Field::Metadata, r#"{"b":{"c":4,"d":3}}"#)]);
    let removed = Change::Put { field: Field::Email, value: None, native: Some([1; 8]) };
    write(&store, "3", changes("c1", vec![Change::Remove(Field::Metadata), removed])).await;
    assert_eq!(kept(&store).await, [(Field::Email, None), some(Field::City, "Thi\u{e8}s")]);
    store.carried().forget("acme", "c1", Some(&[Field::Email])).await.expect("forgotten");
    assert_eq!(kept(&store).await, [some(Field::City, "Thi\u{e8}s")]);
}

/// The outcome of an older write can become known after a newer write has ended.
pub(crate) async fn an_older_write_does_not_change_what_a_newer_one_carries(bed: &Bed) {
    let store = bed.open().await;
    let older = update(&store, "older").await;
    write(&store, "newer", changes("c1", vec![put(Field::City, "Dakar"), merge(r#"{"a":2}"#)])).await;
    end(&store, older, changes("c1", vec![put(Field::City, "Saly"), merge(r#"{"a":1,"b":1}"#)])).await;
    let newest = kept(&store).await;
    assert_eq!(newest, [some(Field::City, "Dakar"), some(Field::Metadata, r#"{"a":2,"b":1}"#)]);
    // A row of the older write itself goes with the next change.
    write(&store, "newest", changes("c1", vec![put(Field::City, "Saly")])).await;
    assert_eq!(kept(&store).await[0], some(Field::City, "Saly"));
}

pub(crate) async fn a_deletion_forgets_the_carried_fields_of_its_customer(bed: &Bed) {
    let store = bed.open().await;
    for customer in ["c1", "c2"] {
        write(&store, customer, changes(customer, vec![put(Field::City, "Dakar")])).await;
    }
    let new =
        NewOperation { operation: "delete".to_owned(), customer: Some("c1".to_owned()), ..keyed("acme", "d", "d") };
    let id = claim(&store, new).await;
    end(&store, id, CarriedChanges::forget("c1".to_owned())).await;
    let parts = store.carried().parts("acme", &["c1", "c2"]).await.expect("read");
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
    store.carried().forget("acme", "c2", None).await.expect("forgotten");
    assert!(store.carried().parts("acme", &["c2"]).await.expect("read")[0].is_empty());
}

pub(crate) async fn the_store_knows_which_merchants_have_carried_fields(bed: &Bed) {
    let store = bed.open().await;
    assert!(!store.carried().is_known("acme"));
    let uuid = "B78DE3C9-7F76-4F43-9C5D-19D9F5C7C985";
    for merchant in ["acme", "baobab"] {
        let carried = changes(uuid, vec![put(Field::City, "Dakar")]);
        store.carried().apply(merchant, carried).await.expect("applied");
    }
    store.carried().learn().await.expect("read");
    assert!(["acme", "baobab"].iter().all(|merchant| store.carried().is_known(merchant)));
    assert!(!store.carried().is_known("other"));
    let lower = uuid.to_ascii_lowercase();
    assert_eq!(store.carried().parts("acme", &[&lower]).await.expect("read")[0].len(), 1, "UUIDs in any case");
    if bed.url.ends_with(":memory:") {
        return;
    }
    drop(store);
    assert!(bed.open().await.carried().is_known("baobab"), "after a restart");
}

/// A provider's value is compared by a hash that differs by merchant and field.
pub(crate) async fn native_values_are_hashed_by_merchant_and_field(bed: &Bed) {
    let store = bed.open().await;
    let hash = |merchant, field, value| store.carried().hash(merchant, field, value);
    let first = hash("acme", Field::Name, "Awa");
    assert_eq!(first, hash("acme", Field::Name, "Awa"));
    for other in [hash("other", Field::Name, "Awa"), hash("acme", Field::City, "Awa"), hash("acme", Field::Name, "Ba")]
    {
        assert_ne!(first, other);
    }
}
