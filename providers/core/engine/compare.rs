//! Compares what a create or an update asked for with the customer that the provider answered.
//!
//! `execute` calls it after the provider has executed the write. The loss policy applies before a write is sent, so a
//! difference refuses nothing: the fidelity report of the customer names it.

use std::sync::Arc;

use super::{
    block,
    differences::{self, FieldList, is_name},
    prepare::Completed,
};
use crate::{
    kit::{CustomerProvider, Transport, run},
    model::{
        Created, Customer, CustomerFields, CustomerId, Entry, Fidelity, Field, Operation, Outcome, Patch,
        manifest::{Dedupe, Manifest},
    },
};

const ECHOED: &str = "the provider repeats it in its answer, also where it does not store it";

/// Where a customer comes from that is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// From the answer to the write.
    ByWrite,
    /// From a list or a search, which may show fewer fields than a retrieval.
    InList,
    /// From a retrieval.
    ByRead,
}

impl Answered {
    /// The source of the result of a plan that writes.
    pub(super) const fn of(was_read: bool) -> Self {
        if was_read { Self::ByRead } else { Self::ByWrite }
    }
}

/// The fields that a write asked for, to compare them with its result.
pub(super) struct AskedFields {
    provider: Arc<dyn CustomerProvider>,
    /// The customer of an update. The customer of a create gets its id from the answer.
    id: Option<CustomerId>,
    /// The fields without those that the plan reports as lost or carried.
    fields: CustomerFields,
}

impl AskedFields {
    /// The fields of a write. `report` is the report of its plan.
    pub(super) fn new(
        provider: &Arc<dyn CustomerProvider>,
        id: Option<&CustomerId>,
        fields: &CustomerFields,
        report: &Fidelity,
    ) -> Box<Self> {
        let mut fields = fields.clone();
        for entry in report.unsent() {
            fields.forget(entry.field);
        }
        Box::new(Self { provider: Arc::clone(provider), id: id.cloned(), fields })
    }

    pub(super) fn manifest(&self) -> &'static Manifest {
        self.provider.manifest()
    }

    /// Completes the fidelity report of the customer that the provider answered: what happened on the way out
    /// (`sent`), on the way back, and every field that is not as it was asked for. If the answer does not show a field
    /// that was sent or that the record had, this reads the customer once, and takes the field from there. The same holds
    /// for a field that the answer to an update only repeats. After a create this would double the requests, so such a
    /// field is reported as not verified. The same read shows when a customer was made, where that decides whether it is
    /// new. `before` is the record from which an update was completed.
    pub(super) async fn check(
        &self,
        transport: &dyn Transport,
        customer: &mut Customer,
        mut sent: Fidelity,
        answered: Answered,
        before: Option<&Customer>,
    ) {
        let manifest = self.provider.manifest();
        let completed = before.map(|before| Completed::of(&self.fields, before, &*self.provider));
        if let Some(completed) = &completed {
            completed.correct(&mut sent);
        }
        let asked = completed.as_ref().map_or(&self.fields, |completed| &completed.patch);
        let is_echoed = |field: &Field| asked.state(*field) == Patch::Set(()) && customer.held(*field).has_value();
        let mut echoed = FieldList::new();
        if answered == Answered::ByWrite {
            echoed.extend(manifest.echoes.iter().copied().filter(is_echoed));
        }
        let whole = completed.as_ref().map_or(asked, |completed| &completed.whole);
        let mut missing = differences::not_shown(whole, customer, manifest);
        if self.id.is_some() {
            missing.extend(echoed.iter().copied());
        }
        if let Some(completed) = &completed {
            missing.extend(differences::unsent_not_shown(completed, customer));
        }
        let needs_time = answered == Answered::ByWrite && self.needs_time(customer);
        let mut unverified = FieldList::new();
        if (!missing.is_empty() && answered != Answered::ByRead) || needs_time {
            // Boxed: most answers need no read, and the future of every write would be larger.
            match Box::pin(self.read(transport, customer)).await {
                Some(mut read) => {
                    if needs_time {
                        add_time(customer, &mut read);
                    }
                    for field in echoed.iter().copied().filter(|field| missing.contains(field)) {
                        customer.take_value(&mut Customer::default(), field);
                        customer.fidelity.retain(|entry| entry.field != field);
                    }
                    echoed.retain(|field| !missing.contains(field));
                    add_missing(customer, *read, &missing);
                }
                None => unverified = missing,
            }
        }
        differences::report(asked, completed.as_ref(), customer, sent, manifest, &unverified);
        if let Some(before) = before {
            block::report_unasked(before, customer);
        }
        report_echoed(&echoed, customer);
    }

    /// The same for the result of a create. Where the create matched a customer that existed before, nothing of it was
    /// stored, so of the way out only the losses are reported.
    pub(super) async fn check_created(
        &self,
        transport: &dyn Transport,
        created: &mut Created,
        mut sent: Fidelity,
        answered: Answered,
    ) {
        if created.existing {
            sent.retain(|entry| entry.outcome == Outcome::Lost);
        }
        self.check(transport, &mut created.customer, sent, answered, None).await;
    }

    /// Whether only a read can show when the customer of a create was made. Where a second create answers the first record,
    /// `existing` judges by that time.
    fn needs_time(&self, customer: &Customer) -> bool {
        let manifest = self.provider.manifest();
        self.id.is_none()
            && customer.created_at.is_none()
            && manifest.dedupe(Operation::Create) == Some(Dedupe::Unique)
            && manifest.field(Field::CreatedAt).read.is_supported()
    }

    /// Reads the customer. `None` if the read fails or answers another customer: the write stays done.
    async fn read(&self, transport: &dyn Transport, answered: &Customer) -> Option<Box<Customer>> {
        let id = match &self.id {
            Some(id) => id.clone(),
            None => CustomerId::parse(answered.id.clone(), &self.provider.manifest().id).ok()?,
        };
        let read = run(transport, self.provider.plan_retrieve(&id).ok()?).await.ok()?;
        (read.id == answered.id).then_some(read)
    }
}

/// Takes the time of creation from the customer that was read, with its entries in the report.
fn add_time(customer: &mut Customer, read: &mut Customer) {
    customer.created_at = read.created_at.take();
    for entry in read.fidelity.entries().iter().filter(|entry| entry.field == Field::CreatedAt) {
        customer.fidelity.push(entry.clone());
    }
}

/// Reports the fields of which an answer is no evidence, unless they differ even there.
fn report_echoed(echoed: &[Field], customer: &mut Customer) {
    for field in echoed {
        let differs = |entry: &Entry| entry.field == *field && entry.outcome != Outcome::Transformed;
        if !customer.fidelity.entries().iter().any(differs) {
            customer.fidelity.push(Entry { field: *field, outcome: Outcome::Unverified, rule: ECHOED, from: None });
        }
    }
}

/// Takes the fields that an answer did not show from the customer that was read, with their entries in its report.
fn add_missing(customer: &mut Customer, mut read: Customer, missing: &[Field]) {
    let is_name_missing = missing.iter().copied().any(is_name);
    let is_taken = |field: Field| missing.contains(&field) || (is_name_missing && is_name(field));
    let report = std::mem::take(&mut read.fidelity);
    customer.fidelity.retain(|entry| !is_taken(entry.field) || !read.held(entry.field).has_value());
    for entry in report.entries().iter().filter(|entry| is_taken(entry.field)) {
        customer.fidelity.push(entry.clone());
    }
    for field in Field::WRITABLE.into_iter().filter(|field| is_taken(*field)) {
        if read.held(field).has_value() {
            customer.take_value(&mut read, field);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        differences::{is_same, not_shown},
        *,
    };
    use crate::{text::Text, vendor};

    fn text(text: &'static str) -> Text {
        Text::from_static(text)
    }

    /// The names that an answer does not show, of an update of both parts.
    fn names_not_shown(provider: &str, customer: &Customer) -> FieldList {
        let [first_name, last_name] = ["Awa", "Fall"].map(|part| Patch::Set(text(part)));
        let fields = CustomerFields { first_name, last_name, ..CustomerFields::default() };
        not_shown(&fields, customer, vendor(provider).expect("a provider").manifests[0])
    }

    #[test]
    fn a_full_name_shows_both_parts_and_a_part_only_itself() {
        let one_word = Customer { name: Some(text("Awa")), first_name: Some(text("Awa")), ..Customer::default() };
        assert!(names_not_shown("modempay", &one_word).is_empty(), "it has one name, and shows it");
        assert_eq!(names_not_shown("modempay", &Customer::default())[..], [Field::FirstName, Field::LastName]);
        let one_part = Customer { first_name: Some(text("Awa")), ..Customer::default() };
        assert_eq!(names_not_shown("bitnob", &one_part)[..], [Field::LastName]);
    }

    #[test]
    fn texts_of_every_field_are_the_same_as_themselves() {
        for field in Field::WRITABLE {
            assert!(is_same(field, "did:abt:z1mR", "did:abt:z1mR"), "{field:?}");
        }
        assert!(!is_same(Field::Did, "did:abt:z1mR", "did:abt:z1mr"));
        assert!(is_same(Field::Email, "Awa@example.com", "awa@EXAMPLE.com"));
    }
}
