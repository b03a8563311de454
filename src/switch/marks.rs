//! Copies marks: customers who were written since they were copied.

use passerelle_providers::switch::FindingCode;

use super::{
    context::Stalled,
    passes::{CHUNK, Work, is_copied_again, is_open},
    view::Outcome,
};
use crate::store::{KnownCustomer, RecordRow};

impl Work<'_> {
    /// Copies what was written since it was copied. Those who wait for a person are tried again when they were written since
    /// the last try, because the reason may be gone; all of them if `tries_open` is set.
    pub(super) async fn copy_marks(&self, tries_open: bool) -> Result<(), Stalled> {
        let (switch, store) = (&self.loaded.switch, &self.context.store);
        let is_wanted = |record: &RecordRow, customer: &KnownCustomer| {
            is_copied_again(record) || (is_open(record) && (tries_open || customer.written_at > record.updated_at))
        };
        if self.copy_marked(is_wanted).await? > 0 {
            // One of these copies may have given up the value that another customer needs.
            self.copy_marked(|record, _| waits_for_value(record)).await?;
        }
        let doubtful = store.switches().records(&switch.id, Some(Outcome::InDoubt.as_str()), None, CHUNK).await?;
        self.copy_all(doubtful).await.map(|_| ())
    }

    async fn copy_marked(&self, is_wanted: impl Fn(&RecordRow, &KnownCustomer) -> bool) -> Result<u64, Stalled> {
        let (switch, store) = (&self.loaded.switch, &self.context.store);
        let (mut after, mut has_more, mut copied) = (None, true, 0);
        while has_more && !self.control.must_end() {
            let marked = store.ids().marked(&switch.merchant, after.as_deref(), CHUNK).await?;
            has_more = marked.len() == CHUNK;
            after = marked.last().map(|last| last.public_id.clone());
            let work = self.known(marked, &is_wanted).await?;
            copied += self.copy_all(work).await?;
        }
        Ok(copied)
    }
}

/// Whether a customer waits for a value that another one has.
fn waits_for_value(record: &RecordRow) -> bool {
    let codes = [FindingCode::UniqueValueTaken, FindingCode::UniqueCycle].map(FindingCode::as_str);
    is_open(record) && record.code.as_deref().is_some_and(|code| codes.contains(&code))
}
