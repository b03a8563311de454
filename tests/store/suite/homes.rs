//! Claims and ends of writes of a merchant who switches: against the epoch and the customer's home.

use std::time::Duration;

use passerelle::store::{
    CarriedChanges, Claim, ContactChanges, ContactKind, CopyComplete, CopyState, CreatedContacts, Deletion, End,
    HomeOfWrite, KnownCustomer, NewOperation, OperationId, Resend, ShownRecord, Store,
};

use super::SECOND;
use crate::bed::{Bed, answer, claim, done, keyed, take_over_one};

/// A merchant whose switch from `main` to `new` is open.
pub(super) async fn begun(bed: &Bed) -> Store {
    let store = bed.open().await;
    store.ids().begin("acme", "main", "sw_1", "new").await.expect("begun");
    store
}

pub(super) async fn customer(store: &Store, id: &str) -> KnownCustomer {
    let resolved = store.ids().resolve("acme", Some(id)).await.expect("read").expect("a routing row");
    resolved.customers.into_iter().next().expect("a customer")
}

async fn known(store: &Store, id: &str) -> usize {
    store.ids().resolve("acme", Some(id)).await.expect("read").expect("a routing row").customers.len()
}

pub(super) fn home_of(epoch: u64, public_id: &str) -> Option<HomeOfWrite> {
    let public_id = (!public_id.is_empty()).then(|| public_id.to_owned());
    Some(HomeOfWrite { epoch, public_id, is_copy: false })
}

/// A write to a customer whose public id is its id at `main`.
pub(super) fn write_to(customer: &str, operation: &str, key: &str) -> NewOperation {
    let (operation, home) = (operation.to_owned(), home_of(0, customer));
    NewOperation { operation, customer: Some(customer.to_owned()), home, ..keyed("acme", key, key) }
}

/// The same where the store did not know the customer when it was planned.
fn unknown(customer: &str, operation: &str, key: &str) -> NewOperation {
    NewOperation { home: home_of(0, ""), ..write_to(customer, operation, key) }
}

pub(super) async fn finish(store: &Store, id: OperationId, end: End) {
    let end = match end {
        End::Done { contacts, answer, .. } => {
            End::Done { customer: None, contacts, carried: CarriedChanges::default(), answer }
        }
        other => other,
    };
    assert_eq!(store.operations().finish(id, 1, end).await, Ok(true));
}

fn failed() -> End {
    End::Failed { answer: answer(422) }
}

async fn adopt(store: &Store, connection: &str, id: &str) {
    let record = ShownRecord { provider_id: id, email: Some("awa@example.com"), phone: None };
    store.ids().adopt("acme", connection, &[record]).await.expect("adopted");
}

/// R2, R21
pub(crate) async fn a_claim_raises_the_version_and_pins_while_a_switch_is_open(bed: &Bed) {
    let store = bed.open().await;
    store.ids().route("acme", "main").await.expect("stored");
    adopt(&store, "main", "c1").await;
    claim(&store, write_to("c1", "update", "1")).await;
    let found = customer(&store, "c1").await;
    assert_eq!((found.version, found.pinned), (1, None), "no switch is open");
    claim(&store, unknown("c2", "update", "2")).await;
    assert_eq!(known(&store, "c2").await, 0, "and no row is written");
    store.ids().begin("acme", "main", "sw_1", "new").await.expect("begun");
    claim(&store, write_to("c1", "update", "3")).await;
    let found = customer(&store, "c1").await;
    assert_eq!((found.version, found.pinned.as_deref()), (2, Some("main")));
    claim(&store, unknown("c3", "block", "4")).await;
    let found = customer(&store, "c3").await;
    assert_eq!((found.version, found.pinned.as_deref(), found.id_at("main")), (1, Some("main"), Some("c3")));
    claim(&store, NewOperation { home: home_of(0, ""), ..keyed("acme", "5", "5") }).await;
    assert_eq!(
        store.ids().all("acme", None, 10).await.expect("read").len(),
        2,
        "a create writes no row with its claim"
    );
}

/// R22
pub(crate) async fn no_write_is_claimed_for_a_customer_whose_record_was_merged(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", "c1").await;
    store.ids().note_merged("acme", "c1", true).await.expect("noted");
    let found = customer(&store, "c1").await;
    assert!(found.merged_at.is_some() && found.pinned.as_deref() == Some("main"), "{found:?}");
    for operation in ["update", "delete"] {
        assert_eq!(store.operations().claim(write_to("c1", operation, "k")).await, Ok(Claim::Moved), "{operation}");
    }
    assert_eq!(
        store.ids().unpin("acme", "c1", Duration::ZERO, found.version, CopyComplete::ByCaller).await,
        Ok(false),
        "it does not move"
    );
    store.ids().note_merged("acme", "c1", false).await.expect("noted");
    claim(&store, write_to("c1", "update", "k")).await;
}

/// R11
pub(crate) async fn a_claim_for_another_epoch_or_home_claims_nothing(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", "c1").await;
    adopt(&store, "new", "n1").await;
    let create = |epoch, connection: &str| NewOperation {
        home: home_of(epoch, ""),
        connection: connection.to_owned(),
        ..keyed("acme", "create", "create")
    };
    let at_new = |new: NewOperation| NewOperation { connection: "new".to_owned(), ..new };
    for moved in [
        create(1, "main"),
        create(0, "new"),
        NewOperation { home: home_of(1, "c1"), ..write_to("c1", "update", "u") },
        at_new(write_to("c1", "update", "u")),
        at_new(NewOperation { home: home_of(0, "c1"), ..write_to("n1", "update", "u") }),
        write_to("c9", "update", "u"),
        unknown("n1", "update", "u"),
        at_new(unknown("x", "update", "u")),
    ] {
        assert_eq!(store.operations().claim(moved.clone()).await, Ok(Claim::Moved), "{moved:?} {:?}", moved.home);
    }
    assert!(store.operations().list(None, None, None, 10).await.expect("read").is_empty(), "nothing is claimed");
    let audit = store.audit().verify().await.expect("read").expect("an unbroken chain");
    assert_eq!(audit.sequence, 0, "and nothing is in the audit");
    assert_eq!(customer(&store, "c1").await.version, 0);
    claim(&store, at_new(write_to("n1", "update", "u"))).await;
    claim(&store, create(0, "main")).await;
    let routing = store.ids().resolve("acme", None).await.expect("read").expect("a row").routing;
    assert_eq!(store.ids().flip("acme", "sw_1", &routing, "new").await, Ok(true));
    let update = || write_to("c1", "update", "after");
    assert_eq!(store.operations().claim(update()).await, Ok(Claim::Moved));
    claim(&store, NewOperation { home: home_of(1, "c1"), ..update() }).await;
}

/// R9
pub(crate) async fn a_replay_is_found_whatever_the_epoch(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", "c1").await;
    let keyless = || NewOperation { key: None, ..write_to("c1", "update", "r") };
    let open = claim(&store, keyless()).await;
    let first = claim(&store, write_to("c1", "update", "u")).await;
    finish(&store, first, done()).await;
    let routing = store.ids().resolve("acme", None).await.expect("read").expect("a row").routing;
    assert_eq!(store.ids().flip("acme", "sw_1", &routing, "new").await, Ok(true));
    for again in [
        write_to("c1", "update", "u"),
        NewOperation { connection: "new".to_owned(), home: home_of(1, ""), ..write_to("n7", "update", "u") },
    ] {
        let found = store.operations().claim(again).await;
        assert!(matches!(&found, Ok(Claim::Finished(record)) if record.id == first), "{found:?}");
    }
    let found = store.operations().claim(keyless()).await;
    assert!(matches!(&found, Ok(Claim::InFlight(record)) if record.id == open), "{found:?}");
}

/// R11: a process that has not learned of the routing row yet.
pub(crate) async fn a_claim_without_a_home_is_refused_once_there_is_a_routing_row(bed: &Bed) {
    let store = bed.open().await;
    let write = |key: Option<&str>| NewOperation { key: key.map(str::to_owned), ..keyed("acme", "k", "r") };
    let earlier = claim(&store, write(Some("earlier"))).await;
    store.ids().begin("acme", "main", "sw_1", "new").await.expect("begun");
    for key in [Some("later"), None] {
        let found = store.operations().claim(NewOperation { joins: false, ..write(key) }).await;
        assert_eq!(found, Ok(Claim::Moved), "{key:?}");
    }
    let again = store.operations().claim(write(Some("earlier"))).await;
    assert!(matches!(&again, Ok(Claim::InFlight(record)) if record.id == earlier), "{again:?}");
    claim(&store, keyed("other", "k", "r")).await;
}

/// R7, R21
pub(crate) async fn an_end_raises_the_version_and_changes_the_contacts(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", "c1").await;
    let update = claim(&store, write_to("c1", "update", "u")).await;
    bed.clock.move_by(SECOND);
    let values = [(ContactKind::Email, Some("new@example.com")), (ContactKind::Phone, None)];
    let contacts = store.contacts().with_row("acme", ContactChanges::default(), values);
    finish(
        &store,
        update,
        End::Done { customer: None, contacts, carried: CarriedChanges::default(), answer: answer(200) },
    )
    .await;
    let found = customer(&store, "c1").await;
    assert_eq!((found.version, found.written_at), (2, bed.clock.now().as_millisecond()));
    let by = async |value| store.ids().by_contact("acme", ContactKind::Email, value).await.expect("read").len();
    assert_eq!((by("awa@example.com").await, by("new@example.com").await), (0, 1));
    let open = claim(&store, write_to("c1", "update", "v")).await;
    finish(&store, open, End::Unknown { reconcile_after: None, answer: answer(504) }).await;
    assert_eq!(customer(&store, "c1").await.version, 3, "an unknown outcome is no end");
    let create = claim(&store, NewOperation { home: home_of(0, ""), ..keyed("acme", "c", "c") }).await;
    adopt(&store, "main", "made").await;
    let end = End::Done {
        customer: Some("made".to_owned()),
        contacts: ContactChanges::default(),
        carried: CarriedChanges::default(),
        answer: answer(201),
    };
    assert_eq!(store.operations().finish(create, 1, end).await, Ok(true));
    assert_eq!(customer(&store, "made").await.version, 1, "so that the copier finds it");
}

/// R2: a client may ask for a customer that does not exist.
pub(crate) async fn a_row_that_only_a_claim_made_goes_with_a_definite_failure(bed: &Bed) {
    let store = begun(bed).await;
    for end in [failed(), End::NotSent] {
        let first = claim(&store, unknown("c1", "update", "1")).await;
        let second = claim(&store, write_to("c1", "delete", "2")).await;
        finish(&store, first, end.clone()).await;
        assert_eq!(known(&store, "c1").await, 1, "another write is open");
        finish(&store, second, end).await;
        assert_eq!(known(&store, "c1").await, 0);
        bed.clock.move_by(SECOND * 3600 * 24 * 100);
    }
    let done_once = claim(&store, unknown("c2", "update", "3")).await;
    finish(&store, done_once, done()).await;
    let shown = claim(&store, unknown("c3", "update", "4")).await;
    adopt(&store, "main", "c3").await;
    finish(&store, shown, failed()).await;
    let later = claim(&store, write_to("c2", "update", "5")).await;
    finish(&store, later, failed()).await;
    assert_eq!((known(&store, "c2").await, known(&store, "c3").await), (1, 1), "these exist");
}

/// R23
pub(crate) async fn a_deletion_is_claimed_lifted_and_confirmed(bed: &Bed) {
    let store = bed.open().await;
    store.ids().route("acme", "main").await.expect("stored");
    adopt(&store, "main", "c1").await;
    let (first, second) =
        (claim(&store, write_to("c1", "delete", "1")).await, claim(&store, write_to("c1", "delete", "2")).await);
    let deletion = async || customer(&store, "c1").await.deletion;
    assert_eq!(deletion().await, Some(Deletion::Claimed));
    finish(&store, first, failed()).await;
    assert_eq!(deletion().await, Some(Deletion::Claimed), "another deletion is open");
    finish(&store, second, End::NotSent).await;
    assert_eq!(deletion().await, None);
    let third = claim(&store, write_to("c1", "delete", "3")).await;
    let open = claim(&store, write_to("c1", "update", "4")).await;
    finish(
        &store,
        third,
        End::Done {
            contacts: ContactChanges::forget(),
            customer: None,
            carried: CarriedChanges::default(),
            answer: answer(200),
        },
    )
    .await;
    assert_eq!(deletion().await, Some(Deletion::Confirmed));
    let by = store.ids().by_contact("acme", ContactKind::Email, "awa@example.com").await.expect("read");
    assert!(by.is_empty(), "no contact is kept");
    finish(&store, open, failed()).await;
    assert_eq!(deletion().await, Some(Deletion::Confirmed), "for ever");
    let moved = store.operations().claim(write_to("c1", "update", "5")).await;
    assert_eq!(moved, Ok(Claim::Moved), "nothing is sent any more");
    let without_row = claim(&store, unknown("c2", "delete", "6")).await;
    finish(&store, without_row, done()).await;
    assert!(customer(&store, "c2").await.is_tombstoned(), "also without a switch that is open");
}

/// R11, R12: sending again is a claim like any other.
pub(crate) async fn a_write_is_not_sent_again_where_its_customer_does_not_live(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", "c1").await;
    let create = NewOperation { home: home_of(2, ""), ..keyed("acme", "create", "create") };
    for (new, expected) in [(write_to("c1", "delete", "d"), Resend::Noted), (create, Resend::Moved)] {
        let id = claim(&store, new).await;
        bed.clock.move_by(SECOND * 3600);
        let taken = take_over_one(&store).await;
        assert_eq!(taken.id, id);
        assert_eq!(store.operations().send_again(id, 2).await, Ok(Resend::Noted), "before the flip");
        let routing = store.ids().resolve("acme", None).await.expect("read").expect("a row").routing;
        let to = routing.open.clone().expect("open").other;
        assert_eq!(store.ids().flip("acme", "sw_1", &routing, &to).await, Ok(true));
        assert_eq!(store.operations().send_again(id, 2).await, Ok(expected));
        let back = store.ids().resolve("acme", None).await.expect("read").expect("a row").routing;
        assert_eq!(store.ids().flip("acme", "sw_1", &back, &routing.connection).await, Ok(true));
        let record = store.operations().get("acme", id).await.expect("read").expect("a record");
        let customer = record.customer.clone();
        let end = End::Done {
            customer,
            contacts: ContactChanges::default(),
            carried: CarriedChanges::default(),
            answer: answer(200),
        };
        assert_eq!(store.operations().finish(id, 2, end).await, Ok(true));
    }
    let versions = customer(&store, "c1").await.version;
    assert_eq!(versions, 4, "one claim, two resends, one end");
}

/// R19, R21
pub(crate) async fn a_copy_goes_to_the_other_side_and_raises_no_version(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", "c1").await;
    let copy = |operation: &str, customer: Option<&str>, connection: &str, key: &str| NewOperation {
        operation: operation.to_owned(),
        customer: customer.map(str::to_owned),
        connection: connection.to_owned(),
        home: Some(HomeOfWrite { epoch: 0, public_id: Some("c1".to_owned()), is_copy: true }),
        ..keyed("acme", key, key)
    };
    let moved = store.operations().claim(copy("create", None, "main", "0")).await;
    assert_eq!(moved, Ok(Claim::Moved), "the home is no other side");
    let made = claim(&store, copy("create", None, "new", "1")).await;
    let end = End::Done {
        customer: Some("n1".to_owned()),
        contacts: ContactChanges::default(),
        carried: CarriedChanges::default(),
        answer: answer(201),
    };
    assert_eq!(store.operations().finish(made, 1, end).await, Ok(true));
    assert_eq!(store.ids().keep_copy("acme", CopyState::created("c1", "new", "n1")).await, Ok(true));
    let update = claim(&store, copy("update", Some("n1"), "new", "2")).await;
    assert!(store.operations().get("acme", update).await.expect("read").expect("a record").is_copy);
    finish(&store, update, done()).await;
    let found = customer(&store, "c1").await;
    assert_eq!((found.version, found.pinned.as_deref()), (0, Some("main")));
    let deletion = claim(&store, write_to("c1", "delete", "3")).await;
    let stopped = store.operations().claim(copy("update", Some("n1"), "new", "4")).await;
    assert_eq!(stopped, Ok(Claim::Moved), "a claimed deletion stops copies");
    finish(&store, deletion, done()).await;
    let erased = claim(&store, copy("delete", Some("n1"), "new", "5")).await;
    finish(&store, erased, done()).await;
    assert!(customer(&store, "c1").await.is_tombstoned());
}

/// R7: so that a `distinct` create elsewhere can be refused.
pub(crate) async fn an_unfinished_create_is_found_by_its_contacts(bed: &Bed) {
    let store = begun(bed).await;
    let contacts = CreatedContacts { email: Some("awa@example.com".to_owned()), phone: None };
    let create = NewOperation { home: home_of(0, ""), contacts, ..keyed("acme", "k", "r") };
    let id = claim(&store, create).await;
    let unfinished = async |kind, value| {
        let found = store.operations().unfinished_creates("acme", kind, value).await.expect("read");
        found.into_iter().map(|record| (record.id, record.connection)).collect::<Vec<_>>()
    };
    let expected = vec![(id, "main".to_owned())];
    assert_eq!(unfinished(ContactKind::Email, "awa@example.com").await, expected);
    assert!(unfinished(ContactKind::Email, "other@example.com").await.is_empty());
    assert!(unfinished(ContactKind::Phone, "awa@example.com").await.is_empty());
    finish(&store, id, End::Unknown { reconcile_after: None, answer: answer(504) }).await;
    assert_eq!(unfinished(ContactKind::Email, "awa@example.com").await, expected, "also in doubt");
    assert_eq!(store.operations().finish(id, 1, done()).await, Ok(true));
    assert!(unfinished(ContactKind::Email, "awa@example.com").await.is_empty());
}
