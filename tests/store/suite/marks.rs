//! What a switch keeps: the routing row, the rows of records, pins, versions.

use std::time::Duration;

use passerelle::store::{
    Added, AdoptedId, ContactKind, CopyComplete, CopyState, IdOrigin, KnownCustomer, NewId, NewOperation, NewSwitch,
    OpenSwitch, RecordChange, Routing, ShownRecord, Store, Switch,
};

use super::{
    SECOND,
    homes::{begun, customer, finish, home_of, write_to},
};
use crate::bed::{Bed, claim, done};

const LAG: Duration = Duration::from_secs(30);

fn record(provider_id: &str) -> ShownRecord<'_> {
    ShownRecord { provider_id, email: None, phone: None }
}

pub(super) async fn adopt(store: &Store, connection: &str, ids: &[&str]) -> Vec<String> {
    let records: Vec<_> = ids.iter().map(|id| record(id)).collect();
    let adopted = store.ids().adopt("acme", connection, &records).await.expect("adopted");
    adopted.into_iter().map(|one| one.public_id).collect()
}

pub(super) async fn copied(store: &Store, public_id: &str, version: u64, provider_id: &str) -> bool {
    let copy = CopyState { version, seen: vec![1; 8], ..CopyState::created(public_id, "new", provider_id) };
    store.ids().keep_copy("acme", copy).await.expect("written")
}

async fn marked(store: &Store) -> Vec<String> {
    ids(store.ids().marked("acme", None, 10).await.expect("read"))
}

fn ids(customers: Vec<KnownCustomer>) -> Vec<String> {
    customers.into_iter().map(|one| one.public_id).collect()
}

/// R14, and the routing row of 5.3.
pub(crate) async fn a_switch_is_begun_flipped_and_ended_under_its_epoch(bed: &Bed) {
    let store = bed.open().await;
    let ids = store.ids();
    let open = |id: &str, other: &str| Some(OpenSwitch { id: id.to_owned(), other: other.to_owned() });
    let first = ids.begin("acme", "main", "sw_1", "new").await.expect("begun");
    assert_eq!(first, Routing { connection: "main".to_owned(), epoch: 0, open: open("sw_1", "new") });
    assert_eq!(ids.begin("acme", "main", "sw_1", "new").await.as_ref(), Ok(&first), "again");
    assert_eq!(ids.begin("acme", "main", "sw_2", "third").await.as_ref(), Ok(&first), "one at a time");
    let wrong = Routing { epoch: 1, ..first.clone() };
    for (switch, from, to) in [("sw_2", &first, "new"), ("sw_1", &wrong, "new"), ("sw_1", &first, "third")] {
        assert_eq!(ids.flip("acme", switch, from, to).await, Ok(false), "{switch} {from:?} {to}");
    }
    assert_eq!(ids.flip("acme", "sw_1", &first, "new").await, Ok(true));
    assert_eq!(ids.flip("acme", "sw_1", &first, "new").await, Ok(false), "not twice");
    let flipped = Routing { connection: "new".to_owned(), epoch: 1, open: open("sw_1", "main") };
    assert_eq!(ids.resolve("acme", None).await.expect("read").expect("a row").routing, flipped);
    assert_eq!(ids.end_switch("acme", "sw_1", 0).await, Ok(false), "another epoch");
    assert_eq!(ids.end_switch("acme", "sw_1", 1).await, Ok(true));
    assert_eq!(ids.begin("acme", "main", "sw_2", "third").await, Ok(Routing { open: None, ..flipped }), "not active");
    let second = ids.begin("acme", "new", "sw_2", "third").await.expect("begun");
    assert_eq!((second.epoch, second.open), (1, open("sw_2", "third")));
}

/// R13
pub(crate) async fn a_connection_is_activated_above_every_epoch_that_was_seen(bed: &Bed) {
    let store = begun(bed).await;
    let routing = store.ids().activate("acme", "new", 7).await.expect("written").expect("a routing row");
    assert_eq!((routing.connection.as_str(), routing.epoch), ("new", 8));
    assert_eq!(routing.open.expect("open").other, "main");
    let again = store.ids().activate("acme", "new", 0).await.expect("written").expect("a routing row");
    assert_eq!((again.epoch, again.open.expect("open").other.as_str()), (9, "main"));
    assert_eq!(store.ids().activate("other", "new", 0).await, Ok(None));
}

/// R1, R2, R5
pub(crate) async fn records_get_rows_before_they_are_shown(bed: &Bed) {
    let store = bed.open().await;
    assert_eq!(adopt(&store, "main", &["c1"]).await, ["c1"], "without a routing row nothing is written");
    store.ids().route("acme", "main").await.expect("stored");
    assert_eq!(adopt(&store, "main", &["c1", "c2", "c1"]).await, ["c1", "c2", "c1"]);
    assert_eq!(customer(&store, "c1").await.pinned, None, "no switch is open");
    assert_eq!(adopt(&store, "new", &["n1"]).await, ["n1"]);
    assert_eq!(customer(&store, "n1").await.pinned.as_deref(), Some("new"), "it lives there");
    store.ids().begin("acme", "main", "sw_1", "new").await.expect("begun");
    assert_eq!(adopt(&store, "main", &["c1", "c3"]).await, ["c1", "c3"]);
    assert_eq!(customer(&store, "c1").await.pinned, None, "a row that is there stays");
    assert_eq!(customer(&store, "c3").await.pinned.as_deref(), Some("main"));
    assert_eq!(adopt(&store, "main", &[]).await, Vec::<String>::new());
    let many: Vec<String> = (0..1200).map(|number| format!("m{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(adopt(&store, "main", &many).await, many);
    assert_eq!(adopt(&store, "main", &many).await, many);
}

/// R5
pub(crate) async fn an_id_that_is_taken_is_derived_and_stays_the_same(bed: &Bed) {
    let store = begun(bed).await;
    assert_eq!(adopt(&store, "main", &["7"]).await, ["7"]);
    let derived = adopt(&store, "new", &["7"]).await.remove(0);
    let uuid: uuid::Uuid = derived.parse().expect("a UUID");
    assert_eq!((uuid.get_version_num(), uuid.to_string() == derived), (8, true), "{derived}");
    assert_eq!(adopt(&store, "new", &["7"]).await.remove(0), derived, "again");
    let found = customer(&store, &derived).await;
    assert_eq!((found.id_at("new"), found.pinned.as_deref()), (Some("7"), Some("new")));
    assert_eq!(customer(&store, "7").await.id_at("new"), None);
}

/// R3, R5: the id was shown as that of the customer who has it at the other connection. It names both now, and never the
/// stranger alone.
pub(crate) async fn an_id_that_another_customer_has_elsewhere_is_derived(bed: &Bed) {
    let store = begun(bed).await;
    let [public_id, connection, provider_id] = ["c1", "main", "7"].map(str::to_owned);
    let id = NewId { public_id, connection, provider_id, pinned: None };
    assert_eq!(store.ids().add("acme", &id).await, Ok(Added::Stored));
    let derived = adopt(&store, "new", &["7"]).await.remove(0);
    assert_ne!(derived, "7");
    assert_eq!(customer(&store, &derived).await.id_at("new"), Some("7"));
    let named = store.ids().resolve("acme", Some("7")).await.expect("read").expect("a routing row").customers;
    let mut named: Vec<&str> = named.iter().map(|customer| &*customer.public_id).collect();
    named.sort_unstable();
    let mut expected = ["c1", &*derived];
    expected.sort_unstable();
    assert_eq!(named, expected, "so a request with it is refused");
}

/// R23
pub(crate) async fn the_id_of_a_deleted_customer_is_a_new_customer_only_for_a_later_create(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", &["c1"]).await;
    let before = bed.clock.now().as_millisecond();
    bed.clock.move_by(SECOND);
    let deletion = claim(&store, write_to("c1", "delete", "d")).await;
    finish(&store, deletion, done()).await;
    let shown = store.ids().adopt("acme", "main", &[record("c1")]).await.expect("read");
    assert_eq!(
        shown,
        [AdoptedId {
            public_id: "c1".to_owned(),
            home: "main".to_owned(),
            is_tombstoned: true,
            is_held: false,
            copied_at: None,
            noted_at: 0,
        }],
        "a list that lags behind"
    );
    let created = async |sent_at| store.ids().adopt_created("acme", "main", record("c1"), sent_at).await;
    let earlier = created(before).await.expect("read").expect("one");
    assert!(earlier.is_tombstoned, "the create made the customer who was deleted since");
    bed.clock.move_by(SECOND);
    let new = created(bed.clock.now().as_millisecond()).await.expect("written").expect("one");
    assert!(!new.is_tombstoned && new.public_id != "c1", "{new:?}");
    assert_eq!(adopt(&store, "main", &["c1"]).await.remove(0), new.public_id);
    assert!(customer(&store, "c1").await.is_tombstoned(), "the id that was handed out first stays deleted");
    assert_eq!(customer(&store, &new.public_id).await.id_at("main"), Some("c1"));
    let deletion = NewOperation { home: home_of(0, &new.public_id), ..write_to("c1", "delete", "e") };
    let deletion = claim(&store, deletion).await;
    finish(&store, deletion, done()).await;
    bed.clock.move_by(SECOND);
    let third = created(bed.clock.now().as_millisecond()).await.expect("written").expect("one");
    assert!(!third.is_tombstoned && third.public_id != new.public_id, "{third:?}");
}

/// R7
pub(crate) async fn a_row_has_the_contacts_of_its_home(bed: &Bed) {
    let store = begun(bed).await;
    let shown = async |connection: &str, id: &str, email: Option<&str>| {
        let record = ShownRecord { provider_id: id, email, phone: Some("+221700000000") };
        store.ids().adopt("acme", connection, &[record]).await.expect("adopted");
    };
    let by = async |kind, value: &str| ids(store.ids().by_contact("acme", kind, value).await.expect("read"));
    shown("main", "c1", Some("awa@example.com")).await;
    shown("main", "c2", Some("awa@example.com")).await;
    assert_eq!(by(ContactKind::Email, "awa@example.com").await, ["c1", "c2"]);
    assert_eq!(by(ContactKind::Phone, "+221700000000").await, ["c1", "c2"]);
    assert!(by(ContactKind::Email, "+221700000000").await.is_empty());
    assert!(store.ids().by_contact("other", ContactKind::Email, "awa@example.com").await.expect("read").is_empty());
    shown("main", "c2", Some("new@example.com")).await;
    assert_eq!(by(ContactKind::Email, "new@example.com").await, ["c2"], "no write is near");
    assert!(copied(&store, "c2", 0, "n2").await);
    shown("new", "n2", Some("other@example.com")).await;
    assert_eq!(by(ContactKind::Email, "new@example.com").await, ["c2"], "the home has the contacts");
    let update = claim(&store, write_to("c2", "update", "u")).await;
    finish(&store, update, done()).await;
    shown("main", "c2", Some("late@example.com")).await;
    assert_eq!(by(ContactKind::Email, "new@example.com").await, ["c2"], "a list that lags behind a write");
    bed.clock.move_by(SECOND * 900);
    shown("main", "c2", None).await;
    assert!(by(ContactKind::Email, "new@example.com").await.is_empty());
}

/// R21
pub(crate) async fn a_copy_is_believed_only_up_to_its_version(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", &["c1", "c2"]).await;
    assert!(marked(&store).await.is_empty());
    let update = claim(&store, write_to("c1", "update", "u")).await;
    assert_eq!(marked(&store).await, ["c1"], "by the claim");
    assert!(copied(&store, "c1", 1, "n1").await);
    assert!(marked(&store).await.is_empty());
    finish(&store, update, done()).await;
    assert_eq!(marked(&store).await, ["c1"], "by the end");
    assert!(!copied(&store, "c1", 0, "n1").await, "an older state");
    assert!(!copied(&store, "c1", 3, "n1").await, "a version that is not there");
    assert!(copied(&store, "c1", 2, "n1").await);
    let found = customer(&store, "c1").await;
    assert_eq!((found.at["new"].origin, found.at["main"].origin), (IdOrigin::Created, IdOrigin::First));
    assert!(!copied(&store, "c1", 2, "n9").await, "another id there");
    assert!(!copied(&store, "c2", 0, "n1").await, "the id of another customer");
    let counts = store.ids().counts("acme").await.expect("read");
    assert_eq!((counts.pinned["main"], counts.marked, counts.oldest_mark), (2, 0, None));
    let deletion = claim(&store, write_to("c2", "delete", "d")).await;
    assert!(!copied(&store, "c2", 1, "n2").await, "a claimed deletion stops copies");
    assert_eq!(customer(&store, "c2").await.id_at("new"), Some("n2"), "but the id is kept, so that it can be deleted");
    assert_eq!(marked(&store).await, ["c2"]);
    assert_eq!(store.ids().counts("acme").await.expect("read").pinned["main"], 2, "a claimed deletion may not happen");
    finish(&store, deletion, done()).await;
    assert_eq!(store.ids().counts("acme").await.expect("read").pinned["main"], 1, "who was deleted lives nowhere");
    assert!(marked(&store).await.is_empty(), "a tombstone is no mark");
    let counts = store.ids().counts("acme").await.expect("read");
    assert_eq!(counts.pinned["main"], 1, "a deleted customer lives nowhere, and holds up no end of a switch");
}

/// R2: the one conditional statement of the copier.
pub(crate) async fn a_customer_is_unpinned_only_when_its_copy_is_complete(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", &["c1"]).await;
    let unpin =
        async |version| store.ids().unpin("acme", "c1", LAG, version, CopyComplete::ByCaller).await.expect("written");
    assert!(!unpin(0).await, "the other side does not have it");
    assert!(copied(&store, "c1", 0, "n1").await);
    let update = claim(&store, write_to("c1", "update", "u")).await;
    assert!(!unpin(0).await, "an older version");
    assert!(!unpin(1).await, "not copied");
    assert!(copied(&store, "c1", 1, "n1").await);
    assert!(!unpin(1).await, "the write is open");
    finish(&store, update, done()).await;
    assert!(copied(&store, "c1", 2, "n1").await);
    assert!(!unpin(2).await, "the lag is not over");
    bed.clock.move_by(LAG);
    store.ids().note_gone("acme", "c1", true).await.expect("noted");
    assert!(!unpin(2).await, "it is gone");
    assert!(customer(&store, "c1").await.gone_at.is_some());
    store.ids().note_gone("acme", "c1", false).await.expect("noted");
    let page = store.ids().pinned_to("acme", "main", None, 10).await.expect("read");
    assert_eq!(ids(page), ["c1"]);
    assert!(unpin(2).await);
    assert_eq!(customer(&store, "c1").await.pinned, None);
    assert!(store.ids().pinned_to("acme", "main", None, 10).await.expect("read").is_empty());
    claim(&store, write_to("c1", "delete", "d")).await;
    assert_eq!(customer(&store, "c1").await.pinned.as_deref(), Some("main"), "a claim pins again");
    assert!(!unpin(3).await);
}

async fn opened_switch(store: &Store) -> Switch {
    let [merchant, from, to, text] = ["acme", "main", "new", "{}"].map(str::to_owned);
    let (settings, progress) = (text.clone(), text);
    let new = NewSwitch { merchant, from, to, epoch: 0, settings, progress, is_stopped: false };
    store.switches().open(new).await.expect("stored").expect("none is open")
}

/// R2: between the end of a first copy and its note, the customer has its ids at both sides, and its version is the copied one.
/// Only its record says that it has to be copied again.
pub(crate) async fn a_customer_does_not_follow_before_its_record_says_that_it_was_copied(bed: &Bed) {
    let store = bed.open().await;
    let switch = opened_switch(&store).await;
    store.ids().begin("acme", "main", &switch.id, "new").await.expect("begun");
    adopt(&store, "main", &["c1", "c2"]).await;
    let follows =
        async || store.ids().unpin("acme", "c1", Duration::ZERO, 0, CopyComplete::ByRecord).await.expect("written");
    assert!(copied(&store, "c1", 0, "n1").await);
    assert!(!follows().await, "the switch has no record of it");
    let change = |outcome: Option<&str>| RecordChange {
        public_id: "c1".to_owned(),
        outcome: outcome.map(str::to_owned),
        ..RecordChange::default()
    };
    let other = RecordChange { public_id: "c2".to_owned(), ..change(Some("created")) };
    store.switches().add_records(&switch.id, vec![change(None), other]).await.expect("stored");
    for outcome in [None, Some("in_doubt"), Some("needs_decision"), Some("refused"), Some("left")] {
        store.switches().add_records(&switch.id, vec![change(outcome)]).await.expect("stored");
        assert!(!follows().await, "{outcome:?}");
    }
    for outcome in ["created", "linked", "already_linked"] {
        store.switches().add_records(&switch.id, vec![change(Some(outcome))]).await.expect("stored");
        assert!(follows().await, "{outcome}");
        store.ids().pin("acme", None, 10).await.expect("pinned");
    }
}

/// R20: so that an erasure still reaches the other side.
pub(crate) async fn an_end_of_a_switch_keeps_ids_pins_and_tombstones(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", &["c1", "c2"]).await;
    assert!(copied(&store, "c1", 0, "n1").await);
    let deletion = claim(&store, write_to("c2", "delete", "d")).await;
    finish(&store, deletion, done()).await;
    let before = store.ids().all("acme", None, 10).await.expect("read");
    assert_eq!(store.ids().end_switch("acme", "sw_1", 0).await, Ok(true));
    assert_eq!(store.ids().all("acme", None, 10).await.as_ref(), Ok(&before));
    assert_eq!(customer(&store, "n1").await.public_id, "c1");
    assert!(customer(&store, "c2").await.is_tombstoned());
}

/// R2: a second switch.
pub(crate) async fn customers_of_an_earlier_switch_are_pinned_in_chunks(bed: &Bed) {
    let store = bed.open().await;
    store.ids().route("acme", "main").await.expect("stored");
    adopt(&store, "main", &["a", "b", "c", "d", "e"]).await;
    let new = NewId {
        public_id: "c2".to_owned(),
        connection: "old".to_owned(),
        provider_id: "o".to_owned(),
        pinned: Some("old".to_owned()),
    };
    assert_eq!(store.ids().add("acme", &new).await, Ok(Added::Stored));
    store.ids().begin("acme", "main", "sw_1", "new").await.expect("begun");
    let (mut after, mut calls) = (None, 0);
    while let Some(last) = store.ids().pin("acme", after.as_deref(), 2).await.expect("pinned") {
        (after, calls) = (Some(last), calls + 1);
    }
    assert_eq!(calls, 3);
    let counts = store.ids().counts("acme").await.expect("read");
    assert_eq!((counts.pinned["main"], counts.pinned["old"]), (5, 1));
    assert_eq!(ids(store.ids().all("acme", Some("b"), 2).await.expect("read")), ["c", "c2"]);
}

/// The marks of customers who wait for a person, or who were left, do not hold up the end of a switch.
pub(crate) async fn customers_who_are_not_copied_do_not_count_as_marked(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", &["c1", "c2"]).await;
    for id in ["c1", "c2"] {
        let update = claim(&store, write_to(id, "update", id)).await;
        finish(&store, update, done()).await;
    }
    let switch = opened_switch(&store).await;
    let record = |id: &str| RecordChange { public_id: id.to_owned(), ..RecordChange::default() };
    store.switches().add_records(&switch.id, vec![record("c1"), record("c2")]).await.expect("stored");
    let marked = async || store.ids().counts_in("acme", &switch.id).await.expect("read").marked;
    assert_eq!(marked().await, 2);
    let leave = vec![("c1".to_owned(), "leave".to_owned())];
    store.switches().decide(&switch.id, leave).await.expect("stored");
    assert_eq!((marked().await, store.ids().counts("acme").await.expect("read").marked), (1, 2));
}
