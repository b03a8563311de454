//! Contacts: the keyed hashes by which a look-up finds customers that their provider does not list.

use passerelle::store::{
    CarriedChanges, ContactChanges, ContactKind, ContactsOf, End, NewOperation, OperationId, Store,
};

use super::HOUR;
use crate::bed::{Bed, answer, claim, done, keyed, take_over_one};

const MAIN: ContactsOf<'_> = ContactsOf { merchant: "acme", connection: "main" };
const SPARE: ContactsOf<'_> = ContactsOf { merchant: "acme", connection: "spare" };
const OTHER: ContactsOf<'_> = ContactsOf { merchant: "other", connection: "main" };

const AWA: &str = "awa@example.com";
const PHONE: &str = "+221771234567";

/// The end of a write that leaves its customer with these contacts.
fn end(store: &Store, customer: Option<&str>, email: Option<&str>, phone: Option<&str>) -> End {
    let values = [(ContactKind::Email, email), (ContactKind::Phone, phone)];
    End::Done {
        customer: customer.map(str::to_owned),
        contacts: store.contacts().changes(MAIN, values),
        carried: CarriedChanges::default(),
        answer: answer(201),
    }
}

fn about(key: &str, operation: &str, customer: &str) -> NewOperation {
    NewOperation { operation: operation.to_owned(), customer: Some(customer.to_owned()), ..keyed("acme", key, key) }
}

async fn finish(store: &Store, id: OperationId, end: End) {
    assert_eq!(store.operations().finish(id, 1, end).await, Ok(true));
}

/// Stores a create that made this customer.
async fn created(store: &Store, customer: &str, email: &str, phone: Option<&str>) {
    let id = claim(store, keyed("acme", &format!("create {customer}"), customer)).await;
    finish(store, id, end(store, Some(customer), Some(email), phone)).await;
}

async fn deleted(store: &Store, customer: &str) {
    let id = claim(store, about(&format!("delete {customer}"), "delete", customer)).await;
    let end = End::Done {
        customer: None,
        contacts: ContactChanges::forget(),
        carried: CarriedChanges::default(),
        answer: answer(200),
    };
    finish(store, id, end).await;
}

async fn by_email(store: &Store, email: &str) -> Vec<String> {
    store.contacts().find(MAIN, ContactKind::Email, email, 10).await.expect("read")
}

async fn by_phone(store: &Store, phone: &str) -> Vec<String> {
    store.contacts().find(MAIN, ContactKind::Phone, phone, 10).await.expect("read")
}

pub(crate) async fn a_customer_is_found_by_its_contacts_once_its_create_is_stored(bed: &Bed) {
    let store = bed.open().await;
    created(&store, "c1", AWA, Some(PHONE)).await;
    assert_eq!(by_email(&store, AWA).await, ["c1"]);
    assert_eq!(by_phone(&store, PHONE).await, ["c1"]);
    assert!(by_email(&store, "other@example.com").await.is_empty());
    assert!(by_phone(&store, AWA).await.is_empty(), "an e-mail address is not a phone number");
    for elsewhere in [SPARE, OTHER] {
        let found = store.contacts().find(elsewhere, ContactKind::Email, AWA, 10).await;
        assert_eq!(found, Ok(Vec::new()), "{elsewhere:?}");
    }
    bed.clock.move_by(HOUR);
    created(&store, "c2", AWA, None).await;
    assert_eq!(by_email(&store, AWA).await, ["c2", "c1"], "the newest first");
    assert_eq!(store.contacts().find(MAIN, ContactKind::Email, AWA, 1).await, Ok(vec!["c2".to_owned()]));
    let id = claim(&store, keyed("acme", "k", "without contacts")).await;
    finish(&store, id, done()).await;
    assert_eq!(by_email(&store, AWA).await, ["c2", "c1"], "a write without contacts changes none");
    if bed.url.ends_with(":memory:") {
        return;
    }
    drop(store);
    let store = bed.open().await;
    assert_eq!(by_email(&store, AWA).await, ["c2", "c1"], "after a restart");
}

pub(crate) async fn an_update_replaces_the_contacts_that_it_names(bed: &Bed) {
    let store = bed.open().await;
    created(&store, "c1", AWA, Some(PHONE)).await;
    let id = claim(&store, about("e-mail", "update", "c1")).await;
    let email = store.contacts().changes(MAIN, [(ContactKind::Email, Some("new@example.com"))]);
    finish(
        &store,
        id,
        End::Done { customer: None, contacts: email, carried: CarriedChanges::default(), answer: answer(200) },
    )
    .await;
    assert!(by_email(&store, AWA).await.is_empty());
    assert_eq!(by_email(&store, "new@example.com").await, ["c1"]);
    assert_eq!(by_phone(&store, PHONE).await, ["c1"], "a contact that the update does not name stays");
    let id = claim(&store, about("phone", "update", "c1")).await;
    let phone = store.contacts().changes(MAIN, [(ContactKind::Phone, None)]);
    finish(
        &store,
        id,
        End::Done { customer: None, contacts: phone, carried: CarriedChanges::default(), answer: answer(200) },
    )
    .await;
    assert!(by_phone(&store, PHONE).await.is_empty());
    assert_eq!(by_email(&store, "new@example.com").await, ["c1"]);
}

pub(crate) async fn a_deletion_deletes_the_contacts_of_its_customer(bed: &Bed) {
    let store = bed.open().await;
    created(&store, "c1", AWA, Some(PHONE)).await;
    created(&store, "c2", AWA, None).await;
    // These writes end after the deletion, so nothing is recorded about their customer.
    let late_create = claim(&store, keyed("acme", "late create", "r")).await;
    let late_update = claim(&store, about("late update", "update", "c1")).await;
    deleted(&store, "c1").await;
    assert_eq!(by_email(&store, AWA).await, ["c2"]);
    assert!(by_phone(&store, PHONE).await.is_empty());
    finish(&store, late_create, end(&store, Some("c1"), Some(AWA), Some(PHONE))).await;
    finish(&store, late_update, end(&store, None, Some(AWA), Some(PHONE))).await;
    assert_eq!(by_email(&store, AWA).await, ["c2"]);
    assert!(by_phone(&store, PHONE).await.is_empty());
}

pub(crate) async fn contacts_outlive_the_row_of_their_write(bed: &Bed) {
    let store = bed.open().await;
    let reaped = async || store.operations().reap().await.expect("reaped").tombstones;
    created(&store, "c1", AWA, Some(PHONE)).await;
    created(&store, "c2", AWA, None).await;
    bed.clock.move_by(31 * 24 * HOUR);
    assert_eq!(reaped().await, 2);
    created(&store, "c3", AWA, None).await;
    let first = by_email(&store, AWA).await;
    assert_eq!((first.len(), first[0].as_str()), (3, "c3"), "the newest first, wherever it is");
    assert_eq!(by_phone(&store, PHONE).await, ["c1"]);
    let id = claim(&store, about("update", "update", "c1")).await;
    finish(&store, id, end(&store, None, Some("new@example.com"), Some(PHONE))).await;
    assert_eq!(by_email(&store, "new@example.com").await, ["c1"]);
    assert_eq!(by_phone(&store, PHONE).await, ["c1"], "one place has it");
    deleted(&store, "c2").await;
    assert_eq!(by_email(&store, AWA).await, ["c3"]);
    store.contacts().correct(MAIN, "c3", ContactKind::Email, AWA, None).await.expect("corrected");
    bed.clock.move_by(31 * 24 * HOUR);
    assert_eq!(reaped().await, 3);
    assert_eq!(by_email(&store, AWA).await, ["c3"], "the write that set it was new");
    store.contacts().correct(MAIN, "c3", ContactKind::Email, AWA, Some("c3@example.com")).await.expect("corrected");
    assert!(by_email(&store, AWA).await.is_empty());
    assert_eq!(by_email(&store, "c3@example.com").await, ["c3"]);
    assert_eq!(by_email(&store, "new@example.com").await, ["c1"]);
}

pub(crate) async fn contacts_outlive_a_row_whose_key_is_claimed_again(bed: &Bed) {
    let store = bed.open().await;
    created(&store, "c1", AWA, Some(PHONE)).await;
    bed.clock.move_by(31 * 24 * HOUR);
    claim(&store, keyed("acme", "create c1", "another")).await;
    assert_eq!(by_email(&store, AWA).await, ["c1"]);
    assert_eq!(by_phone(&store, PHONE).await, ["c1"]);
}

/// The store accepts nothing from an attempt that another attempt has taken over, so no contacts either.
pub(crate) async fn an_older_attempt_records_no_contacts(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, keyed("acme", "k", "r")).await;
    let unknown = End::Unknown { reconcile_after: Some(bed.clock.now()), answer: answer(504) };
    assert_eq!(store.operations().finish(id, 1, unknown).await, Ok(true));
    assert_eq!(take_over_one(&store).await.attempt, 2);
    let late = end(&store, Some("c1"), Some(AWA), None);
    assert_eq!(store.operations().finish(id, 1, late.clone()).await, Ok(false));
    assert!(by_email(&store, AWA).await.is_empty());
    assert_eq!(store.operations().finish(id, 2, late).await, Ok(true));
    assert_eq!(by_email(&store, AWA).await, ["c1"]);
}

pub(crate) async fn a_correction_changes_only_what_no_write_has_changed_since(bed: &Bed) {
    let store = bed.open().await;
    let correct = async |customer: &str, from: &str, to: Option<&str>| {
        store.contacts().correct(MAIN, customer, ContactKind::Email, from, to).await.expect("corrected");
    };
    created(&store, "c1", AWA, Some(PHONE)).await;
    correct("c1", AWA, Some("old@example.com")).await;
    assert_eq!(by_email(&store, AWA).await, ["c1"], "the write that set it is new");
    bed.clock.move_by(HOUR);
    correct("c1", "other@example.com", Some("wrong@example.com")).await;
    correct("c2", AWA, None).await;
    assert_eq!(by_email(&store, AWA).await, ["c1"], "neither another value nor another customer is corrected");
    correct("c1", AWA, Some("new@example.com")).await;
    assert!(by_email(&store, AWA).await.is_empty());
    assert_eq!(by_email(&store, "new@example.com").await, ["c1"]);
    correct("c1", "new@example.com", None).await;
    assert!(by_email(&store, "new@example.com").await.is_empty());
    assert_eq!(by_phone(&store, PHONE).await, ["c1"], "the other contact stays");
}
