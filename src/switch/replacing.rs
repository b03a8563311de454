//! Another record in the place of one that the other side does not show any more, or has merged, as the operator decided.

use passerelle_providers::{
    model::Customer,
    switch::{Decision, Finding, FindingCode},
};

use super::{
    context::Copied,
    copy::{Linked, One, Stop},
    side::Read,
};

impl One<'_> {
    /// Whether the operator decided on another record in the place of one that the other side does not show any more, or has
    /// merged: a new one, or one that stands there.
    pub(super) async fn replaces(&self, linked: &Linked) -> Result<bool, Stop> {
        Ok(match &self.order.decision {
            Some(Decision::Create) => true,
            Some(Decision::Link(id)) if **id != *linked.id => {
                if !matches!(self.reader(self.other).record(id).await?, Read::Found(_)) {
                    let detail = format!("`{}` does not show the record that the decision names", self.other.name);
                    return Err(self.stop_with(Finding::new(FindingCode::RecordUnknown, None, detail)));
                }
                true
            }
            _ => false,
        })
    }

    /// Makes or links another record, as the operator decided. The row of the former record goes first, with the memory of the
    /// copy that made it. If the process ends after that, the next call goes on here.
    pub(super) async fn replace(&self, source: &Customer, linked: &Linked) -> Result<Copied, Stop> {
        let (ids, public_id) = (self.context.store.ids(), &self.customer.public_id);
        if !ids.forget_copy(&self.pair.merchant, public_id, &self.other.name, &linked.id).await? {
            return Err(Stop::Moved);
        }
        self.find_or_create(source).await
    }
}
