//! Database files that earlier versions wrote: they open, every operation has the state that it had then, and customers
//! are found by their contacts.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, path::Path};

use libtest_mimic::Trial;
use passerelle::store::{
    CarriedChanges, ContactChanges, ContactKind, ContactsOf, End, NewOperation, OperationId, State,
};
use serde_json::Value;

use crate::{
    bed::{Bed, answer, claim, keyless},
    trial::trial,
};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store/previous");

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("previous::a_file_of_an_earlier_version_opens", a_file_of_an_earlier_version_opens),
        trial("previous::contacts_of_an_earlier_version_are_found_and_changed", contacts_are_found_and_changed),
    ]
}

/// A bed with a copy of a database and of its key.
fn copy_of(name: &str) -> Bed {
    let bed = Bed::file();
    for (name, copy) in [(name.to_owned(), bed.path()), (format!("{name}.key"), bed.path().with_extension("db.key"))] {
        fs::copy(Path::new(FILES).join(name), &copy).expect("a copy");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).expect("a mode");
    }
    bed
}

async fn contacts_are_found_and_changed() {
    const OF: ContactsOf<'_> = ContactsOf { merchant: "acme", connection: "main" };
    let bed = copy_of("contacts.db");
    let store = bed.try_open("").await.expect("a store");
    let contacts = store.contacts();
    let find = async |kind, value| contacts.find(OF, kind, value, 10).await.expect("read");
    let by_email = async |value| find(ContactKind::Email, value).await;
    let (awa, moussa) = ("681adfe7-5208-42c1-9911-a552b7b13041", "3c97dcc8-9f2a-4910-a0f4-1d92c920e404");
    assert_eq!(by_email("awa@example.com").await, [awa]);
    assert_eq!(find(ContactKind::Phone, "+221771234567").await, [awa]);
    assert_eq!(by_email("new@example.com").await, [moussa]);
    assert!(by_email("moussa@example.com").await.is_empty(), "it was changed");
    assert!(by_email("fatou@example.com").await.is_empty(), "she was deleted");
    let ended = async |operation: &str, customer: &str, contacts| {
        let about = NewOperation {
            operation: operation.to_owned(),
            customer: Some(customer.to_owned()),
            ..keyless("acme", operation)
        };
        let id = claim(&store, about).await;
        let end = End::Done { customer: None, contacts, carried: CarriedChanges::default(), answer: answer(200) };
        assert_eq!(store.operations().finish(id, 1, end).await, Ok(true));
    };
    ended("update", awa, contacts.changes(OF, [(ContactKind::Email, Some("awa@example.org"))])).await;
    assert!(by_email("awa@example.com").await.is_empty());
    assert_eq!(by_email("awa@example.org").await, [awa]);
    assert_eq!(find(ContactKind::Phone, "+221771234567").await, [awa]);
    ended("delete", moussa, ContactChanges::forget()).await;
    assert!(by_email("new@example.com").await.is_empty());
    assert!(find(ContactKind::Phone, "+221771234568").await.is_empty());
}

async fn a_file_of_an_earlier_version_opens() {
    let bed = copy_of("store.db");
    let text = fs::read_to_string(Path::new(FILES).join("requests.json")).expect("the requests");
    let sent: Vec<Value> = serde_json::from_str(&text).expect("requests");
    let store = bed.try_open("").await.expect("a store");
    let records = store.operations().list(None, None, None, 100).await.expect("the writes");
    let records: BTreeMap<OperationId, _> = records.into_iter().map(|record| (record.id, record)).collect();
    assert_eq!(records.len(), sent.len());
    // The state, and whether the key, the command, the answer, and a time to reconcile are kept.
    let expected = |name: &str| match name {
        "failed update" => (State::Failed, [true, false, true, false]),
        "keyless create" => (State::Done, [false, false, true, false]),
        "erased create" => (State::Done, [true, false, false, false]),
        "held create" => (State::Unknown, [true, true, true, false]),
        "unknown create" => (State::Unknown, [true, true, true, true]),
        "sending create" => (State::Sending, [true, true, false, false]),
        _ => (State::Done, [true, false, true, false]),
    };
    for sent in &sent {
        let text = |member: &str| sent[member].as_str().unwrap_or_default();
        let record = &records[&text("operation").parse().expect("an id")];
        let kept = [record.keyed, record.command.is_some(), record.answer.is_some(), record.reconcile_after.is_some()];
        assert_eq!((record.state, kept), expected(text("name")), "{}", text("name"));
        if let (State::Done | State::Failed, Some(answer)) = (record.state, &record.answer) {
            assert_eq!(answer.body, text("answer"), "{}", text("name"));
        }
    }
    let head = store.audit().verify().await.expect("read").expect("an unbroken chain");
    assert!(head.sequence > 20, "{} records", head.sequence);
}
