//! Erasures: what the deletion of a customer has to reach elsewhere (R31). And what copies keep of carried fields (R28).

use std::time::Duration;

use passerelle::store::{
    CarriedChanges, ContactChanges, CopyState, End, Erased, Erasure, KeptErasure, NewOperation, ShownRecord, Store,
};
use passerelle_providers::{engine::carry::Change, model::Field};

use super::homes::{begun, customer, finish, home_of, write_to};
use crate::bed::{Bed, answer, claim, done};

/// A switch from `main` to `new`, with `c1` at both sides as `c1` and `n1`, and `c2` at `main` alone.
async fn copied(bed: &Bed) -> Store {
    let store = begun(bed).await;
    for id in ["c1", "c2"] {
        let record = ShownRecord { provider_id: id, email: Some("awa@example.com"), phone: None };
        store.ids().adopt("acme", "main", &[record]).await.expect("adopted");
    }
    let copy = CopyState { seen: vec![1, 2, 3], ..CopyState::created("c1", "new", "n1") };
    assert_eq!(store.ids().keep_copy("acme", copy).await, Ok(true));
    store
}

fn city(value: &str) -> CarriedChanges {
    let put = Change::Put { field: Field::City, value: Some(value.to_owned()), native: None };
    let (public_id, connection) = ("c1".to_owned(), "new".to_owned());
    CarriedChanges { public_id, connection, changes: vec![put], forgets: false }
}

async fn kept_city(store: &Store) -> Option<String> {
    let parts = store.carried().parts("acme", &["c1"]).await.expect("read").remove(0);
    parts.into_iter().find(|part| part.field == Field::City).and_then(|part| part.value)
}

async fn due(store: &Store) -> Vec<Erasure> {
    let mut due = store.ids().due_erasures(10).await.expect("read");
    due.sort_by(|one, other| one.public_id.cmp(&other.public_id));
    due
}

async fn kept(store: &Store, id: &str) -> Vec<KeptErasure> {
    store.ids().erasures("acme", id).await.expect("read")
}

pub(crate) async fn the_end_of_a_deletion_begins_the_erasures_elsewhere(bed: &Bed) {
    let store = copied(bed).await;
    assert_eq!(store.carried().apply_copy("acme", 0, city("Dakar")).await, Ok(true));
    for id in ["c1", "c2"] {
        let deletion = claim(&store, write_to(id, "delete", id)).await;
        assert_eq!(due(&store).await, [], "nothing happened yet");
        finish(&store, deletion, done()).await;
        let taken = due(&store).await;
        assert_eq!(taken.len(), 1);
        let Erasure { public_id, connection, provider_id, tries, .. } = &taken[0];
        assert_eq!((&**public_id, &**connection, *tries), (id, "new", 0));
        // The copy of `c2` may be in doubt: the other side of the open switch is asked in any case.
        assert_eq!(provider_id.as_deref(), (id == "c1").then_some("n1"));
    }
    assert_eq!(kept_city(&store).await, None);
    assert!(store.ids().seen("acme", "c1", "new").await.expect("read").unwrap_or_default().is_empty());
    assert_eq!(customer(&store, "c1").await.id_at("new"), Some("n1"), "the ids stay");
}

pub(crate) async fn an_erasure_is_tried_until_it_has_its_outcome(bed: &Bed) {
    let store = copied(bed).await;
    let deletion = claim(&store, write_to("c1", "delete", "k")).await;
    finish(&store, deletion, done()).await;
    let first = due(&store).await.remove(0);
    assert_eq!(due(&store).await, [], "another process tries it");
    store.ids().end_erasure(first, Erased::Pending).await.expect("stored");
    assert_eq!(due(&store).await, [], "it pauses");
    bed.clock.move_by(Duration::from_secs(2));
    let second = due(&store).await.remove(0);
    assert_eq!(second.tries, 1);
    // Its process dies.
    bed.clock.move_by(Duration::from_mins(3));
    let third = due(&store).await.remove(0);
    store.ids().end_erasure(third.clone(), Erased::Deleted).await.expect("stored");
    store.ids().end_erasure(third, Erased::Pending).await.expect("stored");
    bed.clock.move_by(Duration::from_hours(2));
    assert_eq!(due(&store).await, []);
    let (connection, has_record, erased) = ("new".to_owned(), true, Erased::Deleted);
    assert_eq!(kept(&store, "c1").await, [KeptErasure { connection, has_record, erased }], "the outcome stays");
}

pub(crate) async fn a_customer_is_erased_elsewhere_and_lives_on_at_its_home(bed: &Bed) {
    let store = copied(bed).await;
    assert_eq!(store.ids().erase_elsewhere("acme", "c1", "new").await, Ok(false), "its home is another one");
    assert_eq!(store.ids().erase_elsewhere("acme", "c1", "main").await, Ok(true));
    let erasure = due(&store).await.remove(0);
    assert_eq!(erasure.provider_id.as_deref(), Some("n1"));
    store.ids().end_erasure(erasure, Erased::Deleted).await.expect("stored");
    assert_eq!(store.ids().erase_elsewhere("acme", "c1", "main").await, Ok(true));
    assert_eq!(kept(&store, "c1").await[0].erased, Erased::Deleted, "a repeated request begins nothing anew");
    assert_eq!(customer(&store, "c1").await.deletion, None);
    assert_eq!(store.ids().forget_copy("acme", "c1", "main", "c1").await, Ok(false), "never the row of a home");
    assert_eq!(store.ids().forget_copy("acme", "c1", "new", "n1").await, Ok(true));
    assert_eq!((customer(&store, "c1").await.id_at("new"), kept(&store, "c1").await.len()), (None, 0));
}

pub(crate) async fn what_a_copy_carries_gives_way_to_the_write_of_a_client(bed: &Bed) {
    let store = copied(bed).await;
    assert_eq!(store.carried().apply_copy("acme", 7, city("Dakar")).await, Ok(false), "another version");
    // It is claimed after the copy has read the customer, with an id that was made before.
    let update = NewOperation { home: home_of(0, "c1"), ..write_to("c1", "update", "k") };
    assert_eq!(store.carried().apply_copy("acme", 0, city("Dakar")).await, Ok(true));
    let id = claim(&store, update).await;
    assert_eq!(store.carried().apply_copy("acme", 0, city("Saly")).await, Ok(false), "the claim raises the version");
    assert_eq!(kept_city(&store).await.as_deref(), Some("Dakar"));
    let end =
        End::Done { customer: None, contacts: ContactChanges::default(), carried: city("Thiès"), answer: answer(200) };
    assert_eq!(store.operations().finish(id, 1, end).await, Ok(true));
    assert_eq!(kept_city(&store).await.as_deref(), Some("Thiès"));
    assert_eq!(store.carried().apply_copy("acme", 2, city("Saly")).await, Ok(true));
    // What the home holds itself is forgotten; what was kept for the home stays.
    store.carried().forget_held("acme", "new", &[Field::City]).await.expect("forgotten");
    assert_eq!(kept_city(&store).await.as_deref(), Some("Saly"));
    store.carried().forget_held("acme", "main", &[Field::City]).await.expect("forgotten");
    assert_eq!(kept_city(&store).await, None);
    let deletion = claim(&store, write_to("c1", "delete", "d")).await;
    let version = customer(&store, "c1").await.version;
    assert_eq!(store.carried().apply_copy("acme", version, city("Saly")).await, Ok(false), "it is being deleted");
    finish(&store, deletion, done()).await;
}
