//! Sessions of the console that were ended: every process knows them until they would have ended by themselves.

use uuid::Uuid;

use super::SECOND;
use crate::bed::Bed;

pub(crate) async fn an_ended_session_is_known_to_every_process_until_its_time_is_over(bed: &Bed) {
    let store = bed.open().await;
    let other = if bed.shared { bed.open().await } else { store.clone() };
    let [ended, lasting, later] = [1, 2, 3].map(Uuid::from_u128);
    let ends_at = bed.clock.now() + jiff::SignedDuration::from_hours(8);
    for _ in 0..2 {
        assert_eq!(store.ended_sessions().add(ended, ends_at).await, Ok(0), "it can be ended twice");
    }
    for store in [&store, &other] {
        assert_eq!(store.ended_sessions().contain(ended).await, Ok(true));
        assert_eq!(store.ended_sessions().contain(lasting).await, Ok(false));
    }
    bed.clock.move_by(9 * 3600 * SECOND);
    assert_eq!(other.ended_sessions().add(later, ends_at).await, Ok(0), "a gateway whose clock is late may accept it");
    bed.clock.move_by(SECOND);
    assert_eq!(other.ended_sessions().add(later, ends_at).await, Ok(2));
    assert_eq!(store.ended_sessions().contain(ended).await, Ok(false));
}
