//! Claims on a customer who is written too often wait while the customer moves, and the last written state is known.

use passerelle::store::{CarriedChanges, Claim, ContactChanges, CopyComplete, End};

use super::{
    SECOND,
    homes::{begun, customer, finish, write_to},
    marks::{adopt, copied},
};
use crate::bed::{Bed, answer, claim};

/// R15: what a write was answered with is known at rest only where no other write overlapped it.
pub(crate) async fn the_state_after_the_last_write_is_known_unless_writes_overlapped(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", &["c1"]).await;
    let end = |shown: &[u8]| {
        let mut contacts = ContactChanges::default();
        contacts.shown = Some(shown.to_vec());
        End::Done { customer: None, contacts, carried: CarriedChanges::default(), answer: answer(200) }
    };
    let shown = async || customer(&store, "c1").await.shown;
    assert_eq!(shown().await, b"");
    let first = claim(&store, write_to("c1", "update", "1")).await;
    assert!(shown().await.len() < 2, "a write is open");
    finish(&store, first, end(b"first")).await;
    assert_eq!(shown().await, b"first");
    let second = claim(&store, write_to("c1", "update", "2")).await;
    let third = claim(&store, write_to("c1", "update", "3")).await;
    finish(&store, third, end(b"third")).await;
    let fourth = claim(&store, write_to("c1", "update", "4")).await;
    finish(&store, fourth, end(b"fourth")).await;
    finish(&store, second, end(b"second")).await;
    assert_eq!(shown().await, b"", "they overlapped");
    let fifth = claim(&store, write_to("c1", "update", "5")).await;
    finish(&store, fifth, end(b"fifth")).await;
    assert_eq!(shown().await, b"fifth");
    let sixth = claim(&store, write_to("c1", "update", "6")).await;
    finish(&store, sixth, End::NotSent).await;
    assert_eq!(shown().await, b"");
    let seventh = claim(&store, write_to("c1", "delete", "7")).await;
    finish(&store, seventh, end(b"seventh")).await;
    assert_eq!(shown().await, b"", "nothing is kept of a deleted customer");
}

/// R15: a hold ends by itself, and with the move.
pub(crate) async fn a_hold_ends_with_its_time_or_with_the_move(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", &["c1"]).await;
    let held = async || customer(&store, "c1").await.held_until;
    let now = bed.clock.now().as_millisecond();
    store.ids().hold("acme", "c1", Some(SECOND * 2)).await.expect("written");
    assert_eq!(held().await, now + 2000);
    store.ids().hold("acme", "c1", None).await.expect("written");
    assert_eq!(held().await, 0);
    store.ids().hold("acme", "c1", Some(SECOND * 2)).await.expect("written");
    assert!(copied(&store, "c1", 0, "n1").await);
    assert_eq!(
        store.ids().unpin("acme", "c1", SECOND, 0, CopyComplete::ByCaller).await,
        Ok(false),
        "it was just copied"
    );
    bed.clock.move_by(SECOND);
    assert_eq!(store.ids().unpin("acme", "c1", SECOND, 0, CopyComplete::ByCaller).await, Ok(true));
    assert_eq!(held().await, 0);
}

/// R15: the claims of every process wait. Where the state after the last write is not known, one write passes alone.
pub(crate) async fn a_claim_of_any_process_waits_for_a_hold(bed: &Bed) {
    let store = begun(bed).await;
    adopt(&store, "main", &["c1"]).await;
    let other = if bed.shared { bed.open().await } else { store.clone() };
    let shown = |text: &[u8]| {
        let mut contacts = ContactChanges::default();
        contacts.shown = Some(text.to_vec());
        End::Done { customer: None, contacts, carried: CarriedChanges::default(), answer: answer(200) }
    };
    let hold = async || store.ids().hold("acme", "c1", Some(SECOND * 2)).await.expect("written");
    hold().await;
    let alone = claim(&other, write_to("c1", "update", "1")).await;
    let beside = other.operations().claim(write_to("c1", "update", "2")).await;
    assert_eq!(beside, Ok(Claim::Moved), "another one is open");
    finish(&other, alone, shown(b"one")).await;
    for waiting in [&store, &other] {
        assert_eq!(waiting.operations().claim(write_to("c1", "update", "3")).await, Ok(Claim::Moved), "it is known");
    }
    bed.clock.move_by(SECOND * 2);
    let after = claim(&other, write_to("c1", "update", "4")).await;
    finish(&other, after, shown(b"four")).await;
    hold().await;
    assert_eq!(other.operations().claim(write_to("c1", "update", "5")).await, Ok(Claim::Moved));
    store.ids().hold("acme", "c1", None).await.expect("written");
    claim(&other, write_to("c1", "update", "5")).await;
}
