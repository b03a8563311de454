//! What is done with records that a copy made, beyond copying: `abandon --undo` deletes them (R20), and `verify --repair`
//! overwrites in them what was changed outside the gateway (R29). A record that stood there before is never touched.

use passerelle_providers::{
    model::{Command, Customer, CustomerId, Operation},
    switch::{Finding, FindingCode, Seen},
    text::Text,
};

use super::{
    context::{Copied, Task},
    copy::{Linked, One, Stop},
    side::{Read, side},
    view::Outcome,
};
use crate::store::IdOrigin;

impl One<'_> {
    /// Deletes the record that a copy made at the target. It reads first, and deletes only what stands as the last copy left
    /// it. The home must show the customer, because the record may be the only one otherwise.
    pub(super) async fn undo(&self) -> Result<Copied, Stop> {
        if self.other.name != self.pair.to {
            return Ok(self.stays(None, "the customer lives at the target"));
        }
        let Some(linked) = self.linked().await? else { return Ok(self.ended(Outcome::Left)) };
        if linked.origin != IdOrigin::Created {
            return Ok(self.ended(Outcome::Linked));
        }
        if !self.is_own(&linked.id).await? {
            // Where addresses are unique beyond the account, a create can be answered with another business's record.
            return Ok(self.stays(Some(&linked), "the account's own list does not show the record"));
        }
        let target = match self.reader(self.other).record(&linked.id).await? {
            Read::Found(target) => target,
            Read::Missing => return self.undone(&linked).await,
            Read::Merged | Read::Unreadable(_) => {
                return Ok(self.stays(Some(&linked), "the target does not answer this record"));
            }
        };
        if !self.other.manifest.operation(Operation::Delete).is_supported() {
            return Ok(self.stays(Some(&linked), "the target cannot delete customers"));
        }
        if !linked.seen.iter().any(|seen| self.stands(seen, &target)) {
            return Ok(self.stays(Some(&linked), "the record was changed outside the gateway since the last copy"));
        }
        let own = self.customer.id_at(&self.home.name).unwrap_or_default();
        if !matches!(self.reader(self.home).record(own).await?, Read::Found(_)) {
            return Ok(self.stays(Some(&linked), "the home does not show the customer, so this may be the only record"));
        }
        self.delete_record(&linked).await?;
        self.undone(&linked).await
    }

    fn stands(&self, seen: &Seen, target: &Customer) -> bool {
        !seen.differs(target, &side(self.other), &|bytes| self.hash(bytes))
    }

    async fn delete_record(&self, linked: &Linked) -> Result<(), Stop> {
        let id = CustomerId::parse(Text::from(&*linked.id), &self.other.manifest.id).map_err(|_| Stop::Moved)?;
        self.send(Command::Delete(id), &Customer::default()).await.map(|_| ())
    }

    async fn undone(&self, linked: &Linked) -> Result<Copied, Stop> {
        let (merchant, public_id) = (&self.pair.merchant, &self.customer.public_id);
        self.context.store.ids().forget(merchant, public_id, &self.other.name, &linked.id).await?;
        let mut ended = self.ended(Outcome::Deleted);
        ended.set_other_id(self, &linked.id);
        Ok(ended)
    }

    fn stays(&self, linked: Option<&Linked>, why: &'static str) -> Copied {
        let finding = Some(Finding::new(FindingCode::RecordStays, None, why));
        let mut ended = Copied { finding, ..self.ended(Outcome::Created) };
        if let Some(linked) = linked {
            ended.set_other_id(self, &linked.id);
        }
        ended
    }

    /// Whether what was changed in a record outside the gateway is overwritten.
    pub(super) fn repairs(&self, linked: &Linked) -> bool {
        self.order.task == Task::Repair && linked.origin == IdOrigin::Created
    }

    /// For a repair, the other side counts as having what the gateway last wrote there.
    pub(super) fn repairing(&self, linked: Linked, target: &Customer) -> Linked {
        if !self.repairs(&linked) {
            return linked;
        }
        let to = side(self.other);
        let seen = Seen::common((target, &to), (target, &to), &|bytes| self.hash(bytes));
        Linked { seen: vec![seen], ..linked }
    }

    /// Makes a record again that a copy made and that does not exist any more. The deletion ends the memory of the first
    /// create, so that the next one is not answered by it.
    pub(super) async fn make_again(&self, linked: &Linked) -> Result<Copied, Stop> {
        match self.delete_record(linked).await {
            // The provider does not know the record: that is what was to be shown.
            Ok(()) | Err(Stop::End(_)) => {}
            Err(stop) => return Err(stop),
        }
        let (merchant, public_id) = (&self.pair.merchant, &self.customer.public_id);
        self.context.store.ids().forget(merchant, public_id, &self.other.name, &linked.id).await?;
        Err(Stop::Moved)
    }
}
