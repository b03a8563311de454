//! Which state a side shows. A provider may show an older state for a visibility lag after a write. Time is waited for only where
//! nothing shows that the lag is over (R2).

use std::sync::atomic::Ordering;

use passerelle_providers::{model::Customer, switch::Seen};

use super::{copy::One, side::side};

impl One<'_> {
    /// Whether the state that was read at the home is the one after the last write. It is where it shows what that write was
    /// answered with. Otherwise it may be older until the visibility lag is over.
    pub(super) fn shows_last_write(&self, source: &Customer) -> bool {
        let lag = i64::try_from(self.home.visibility_lag.as_millis()).unwrap_or(i64::MAX);
        if crate::clock::now().as_millisecond().saturating_sub(self.customer.written_at) >= lag {
            return true;
        }
        let shown = Seen::from_bytes(&self.customer.shown);
        shown != Seen::default() && !shown.differs(source, &side(self.home), &|bytes| self.hash(bytes))
    }

    /// Whether the other side certainly shows the state of the copy. It does where this copy only read. A copy that has
    /// written reads again where the customer moves at once; otherwise the visibility lag decides.
    pub(super) async fn shows_copy(&self, target: &Customer, id: &str) -> bool {
        if !self.has_sent.load(Ordering::Relaxed) {
            return true;
        }
        if self.routing.connection != self.other.name {
            return false;
        }
        let (to, hash) = (side(self.other), |bytes: &[u8]| self.hash(bytes));
        let written = Seen::common((target, &to), (target, &to), &hash);
        self.reader(self.other).once(id).await.is_ok_and(|shown| !written.differs(&shown, &to, &hash))
    }
}
