//! When a write with an unknown outcome is reconciled, and when the gateway gives up.

use std::time::Duration;

use jiff::Timestamp;

use super::Record;
use crate::{merchant::Connection, store::State};

/// How many times the gateway reconciles a create without a trace before it gives up. This many times the connection's
/// `visibility_lag` must also have passed since the create was last sent.
pub(super) const RECONCILES_BEFORE_GIVING_UP: u32 = 3;

/// Whether the provider has had enough time to show a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReconcilePhase {
    /// A client repeated its request before the time to reconcile. This attempt may find the write, or send it again
    /// where that does no harm. Otherwise the attempt changes nothing: it does not give up, and it keeps the time to
    /// reconcile. So clients may repeat their requests as often as they like.
    Early,
    /// The time to reconcile has come, or the process that sent the write has lost its lease, or a client repeated the
    /// request of a write that is held.
    Due,
    /// [`RECONCILES_BEFORE_GIVING_UP`] times the `visibility_lag` has passed since the write was last sent. If the
    /// provider does not show the write now, the gateway counts it as not executed.
    Exhausted,
}

impl ReconcilePhase {
    pub(super) fn of(record: &Record, connection: &Connection) -> Self {
        let now = crate::clock::now();
        let visible_by =
            record.sent_at.checked_add(connection.visibility_lag.saturating_mul(RECONCILES_BEFORE_GIVING_UP));
        let is_exhausted = visible_by.is_ok_and(|time| time <= now);
        match (record.state, record.reconcile_after) {
            (State::Unknown, Some(after)) if after > now => Self::Early,
            (State::Unknown, _) if is_exhausted => Self::Exhausted,
            _ => Self::Due,
        }
    }

    /// When to reconcile next, if this attempt finds nothing. The pause depends only on the time since the write was
    /// last sent: the longer that time, the longer the pause. It does not depend on how often clients repeat requests.
    pub(super) fn next_reconcile_at(self, record: &Record, connection: &Connection) -> Option<Timestamp> {
        const LONGEST_PAUSE: Duration = Duration::from_mins(5);
        if self == Self::Early {
            return record.reconcile_after;
        }
        let (now, lag) = (crate::clock::now(), connection.visibility_lag);
        let passed = Duration::try_from(now.duration_since(record.sent_at)).unwrap_or_default();
        now.checked_add((passed / 2).clamp(lag, LONGEST_PAUSE.max(lag))).ok()
    }
}
