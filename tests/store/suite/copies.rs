//! Copies of customers to another connection: their keys are in a space of their own (R19).

use passerelle::store::{Claim, CopyOf, End, HomeOfWrite, NewOperation, OperationId, ShownRecord, State, Store};

use super::homes::{self, begun, write_to};
use crate::bed::{Bed, answer, claim, done, keyed, keyless};

const CUSTOMER: &str = "cus_first.1";

fn copy(operation: &str, content: &str) -> NewOperation {
    let of = CopyOf { public_id: CUSTOMER.to_owned(), version: None };
    NewOperation {
        operation: operation.to_owned(),
        copy: Some(of),
        joins: false,
        id: OperationId::now(),
        ..keyless("acme", content)
    }
}

async fn again(store: &Store, new: NewOperation) -> Claim {
    store.operations().claim(new).await.expect("a claim")
}

async fn finish(store: &Store, id: OperationId, end: End) {
    assert_eq!(store.operations().finish(id, 1, end).await, Ok(true));
}

/// R19: it joins no write, and no write joins it, with a key or with the same content.
pub(crate) async fn no_key_of_a_client_names_a_copy_and_no_write_joins_one(bed: &Bed) {
    let store = bed.open().await;
    claim(&store, copy("create", "r")).await;
    for key in [CUSTOMER, "cus_first.1main", "key"] {
        let spelled = format!("{}{CUSTOMER}", "\0".repeat(7));
        claim(&store, keyed("acme", key, "r")).await;
        claim(&store, keyed("acme", &format!("{spelled}{key}"), "r")).await;
    }
    let elsewhere = NewOperation { connection: "spare".to_owned(), ..copy("create", "r") };
    claim(&store, elsewhere).await;
    let of_another = NewOperation { merchant: "other".to_owned(), ..copy("create", "r") };
    claim(&store, of_another).await;
}

/// R19: the content may have changed since, and the next copy may do something else.
pub(crate) async fn one_copy_of_a_customer_at_a_connection_is_open_whatever_it_does(bed: &Bed) {
    let store = bed.open().await;
    let id = claim(&store, copy("create", "r")).await;
    for next in [copy("create", "other"), copy("update", "r"), copy("delete", "r")] {
        let found = again(&store, next).await;
        assert!(matches!(&found, Claim::InFlight(record) if record.id == id), "{found:?}");
    }
    finish(&store, id, End::Unknown { reconcile_after: None, answer: answer(504) }).await;
    for next in [copy("create", "other"), copy("update", "r"), copy("delete", "r")] {
        let found = again(&store, next).await;
        assert!(matches!(&found, Claim::Unknown(record) if record.id == id), "{found:?}");
    }
}

/// R19, R20: its row is the memory of the create.
pub(crate) async fn a_create_that_happened_is_found_by_the_next_create_and_gives_way_to_other_copies(bed: &Bed) {
    let store = bed.open().await;
    let first = claim(&store, copy("create", "r")).await;
    finish(&store, first, done()).await;
    let found = again(&store, copy("create", "other")).await;
    assert!(matches!(&found, Claim::Finished(record) if record.customer.as_deref() == Some("c1")), "{found:?}");
    let update = claim(&store, copy("update", "r")).await;
    finish(&store, update, done()).await;
    claim(&store, copy("update", "r")).await;
}

pub(crate) async fn the_key_of_a_copy_that_failed_is_free(bed: &Bed) {
    let store = bed.open().await;
    for operation in ["create", "update", "delete"] {
        for end in [End::Failed { answer: answer(422) }, End::NotSent] {
            let id = claim(&store, copy(operation, "r")).await;
            finish(&store, id, end).await;
        }
    }
    let kept = store.operations().list(Some("acme"), None, None, 10).await.expect("a list");
    assert!(kept.iter().all(|record| record.state == State::Failed) && kept.len() <= 1, "{kept:?}");
}

/// R21: so that no copy of an older state follows one of a newer state.
pub(crate) async fn a_copy_of_an_older_state_claims_nothing(bed: &Bed) {
    let store = begun(bed).await;
    let record = ShownRecord { provider_id: "c1", email: None, phone: None };
    store.ids().adopt("acme", "main", &[record]).await.expect("adopted");
    let of_version = |version: u64, operation: &str| NewOperation {
        connection: "new".to_owned(),
        home: Some(HomeOfWrite { epoch: 0, public_id: Some("c1".to_owned()), is_copy: true }),
        copy: Some(CopyOf { public_id: "c1".to_owned(), version: Some(version) }),
        ..copy(operation, "r")
    };
    let update = claim(&store, write_to("c1", "update", "k")).await;
    assert_eq!(again(&store, of_version(0, "create")).await, Claim::Moved);
    homes::finish(&store, update, done()).await;
    assert_eq!(again(&store, of_version(1, "create")).await, Claim::Moved);
    let id = claim(&store, of_version(2, "create")).await;
    let found = again(&store, of_version(2, "create")).await;
    assert!(matches!(&found, Claim::InFlight(record) if record.id == id), "{found:?}");
}

/// A marker of another store, of another merchant or of another customer is never taken for one's own.
pub(crate) async fn markers_differ_by_merchant_customer_and_store(bed: &Bed) {
    let store = bed.open().await;
    let of = |store: &Store, merchant: &str, customer: &str| store.operations().copy_marker(merchant, customer);
    let own = of(&store, "acme", CUSTOMER);
    assert_eq!(own, of(&store, "acme", CUSTOMER));
    let other = Bed::memory().open().await;
    for foreign in [of(&store, "acme", "c2"), of(&store, "other", CUSTOMER), of(&other, "acme", CUSTOMER)] {
        assert_ne!(own, foreign);
    }
}
