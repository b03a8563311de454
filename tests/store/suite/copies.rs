//! Copies of customers to another connection: their keys are in a space of their own (R19).

use std::time::Duration;

use passerelle::store::{
    Claim, CopyComplete, CopyOf, CopyState, End, HomeOfWrite, IdOrigin, KnownCustomer, NewOperation, OperationId,
    Routing, ShownRecord, State, Store,
};

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

/// R2, R19: a copy that is open when the sides are exchanged could undo what a client writes afterwards. So its claim pins the
/// customer to its home, and only the copier removes the pin.
pub(crate) async fn a_copy_pins_its_customer_until_it_has_ended(bed: &Bed) {
    let store = begun(bed).await;
    let ids = store.ids();
    let record = ShownRecord { provider_id: "c1", email: None, phone: None };
    ids.adopt("acme", "main", &[record]).await.expect("adopted");
    assert_eq!(ids.keep_copy("acme", CopyState::created("c1", "new", "n1")).await, Ok(true));
    assert_eq!(ids.unpin("acme", "c1", Duration::ZERO, 0, CopyComplete::ByCaller).await, Ok(true));
    let of_customer = |operation: &str| NewOperation {
        connection: "new".to_owned(),
        customer: Some("n1".to_owned()),
        home: Some(HomeOfWrite { epoch: 0, public_id: Some("c1".to_owned()), is_copy: true }),
        copy: Some(CopyOf { public_id: "c1".to_owned(), version: Some(0) }),
        ..copy(operation, "r")
    };
    let id = claim(&store, of_customer("update")).await;
    assert_eq!(ids.unpin("acme", "c1", Duration::ZERO, 0, CopyComplete::ByCaller).await, Ok(false), "the copy is open");
    let routing = resolved(&store, "c1").await.0;
    assert_eq!(ids.flip("acme", "sw_1", &routing, "new").await, Ok(true));
    assert_eq!(resolved(&store, "c1").await.1.pinned.as_deref(), Some("main"));
    finish(&store, id, done()).await;
    assert_eq!(ids.unpin("acme", "c1", Duration::ZERO, 0, CopyComplete::ByCaller).await, Ok(true));
    assert_eq!(resolved(&store, "c1").await.1.pinned, None);
}

/// R19, R22: between the end of a copy and its note, a list or a pass may show the record.
pub(crate) async fn the_record_of_a_copy_has_its_row_with_the_end_of_the_copy(bed: &Bed) {
    let store = begun(bed).await;
    let ids = store.ids();
    let record = ShownRecord { provider_id: "c1", email: None, phone: None };
    ids.adopt("acme", "main", &[record]).await.expect("adopted");
    let create = NewOperation {
        connection: "new".to_owned(),
        home: Some(HomeOfWrite { epoch: 0, public_id: Some("c1".to_owned()), is_copy: true }),
        copy: Some(CopyOf { public_id: "c1".to_owned(), version: Some(0) }),
        ..copy("create", "r")
    };
    let id = claim(&store, create).await;
    finish(&store, id, End::Copied { provider_id: "n1".to_owned(), answer: answer(200) }).await;
    let shown = ShownRecord { provider_id: "n1", email: None, phone: None };
    let adopted = ids.adopt("acme", "new", &[shown]).await.expect("adopted");
    assert_eq!(adopted[0].public_id, "c1");
    let known = resolved(&store, "c1").await.1;
    assert_eq!(known.at["new"].origin, IdOrigin::Created);
    let copy = CopyState { seen: b"seen".to_vec(), ..CopyState::created("c1", "new", "n1") };
    assert_eq!(ids.keep_copy("acme", copy).await, Ok(true));
}

async fn resolved(store: &Store, id: &str) -> (Routing, KnownCustomer) {
    let found = store.ids().resolve("acme", Some(id)).await.expect("resolved").expect("a routing row");
    let [customer] = &found.customers[..] else { unreachable!("{found:?}") };
    (found.routing, customer.clone())
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
