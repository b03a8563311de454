//! The laws of carried fields: with `on_loss = "carry"`, what is written reads back equal at every vendor.

use std::{
    cell::RefCell,
    hash::{DefaultHasher, Hash, Hasher},
};

use libtest_mimic::Failed;
use passerelle_providers::{
    engine::carry::{self, Change, Part},
    model::{
        Command, CreateCustomer, Created, Customer, CustomerFields, CustomerId, Entry, Error, Field, LossPolicy,
        Operation, Outcome, Patch, Reply, UpdateCustomer, Written,
    },
    text::Text,
};
use proptest::{prelude::*, test_runner::TestCaseError};

use super::{Subject, fail, kept::Played, run_cases};
use crate::{compare, sample};

const CONNECTION: &str = "main";

/// A provider that is played, and what the gateway keeps for it.
struct Bed {
    subject: Subject,
    vendor: Played,
    parts: RefCell<Vec<Part>>,
}

fn hash(field: Field, value: &str) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    (field, value).hash(&mut hasher);
    hasher.finish().to_be_bytes()
}

impl Bed {
    fn new(subject: Subject) -> Result<Self, Failed> {
        let vendor = Played::new(subject, [(Field::Name, "Fatou Sow"), (Field::Email, "fatou@example.com")], |_| {})?;
        Ok(Self { subject, vendor, parts: RefCell::default() })
    }

    fn at(&self) -> carry::At<'static> {
        carry::At { connection: CONNECTION, manifest: self.subject.manifest, hash: &hash }
    }

    /// Executes a write as the gateway does, and keeps what the provider cannot hold.
    fn write(&self, command: &Command) -> Result<Customer, Error> {
        let (mut customer, is_match) = match self.vendor.execute_carrying(command)? {
            Reply::Written(Written::Created(Created { customer, existing })) => (*customer, existing),
            Reply::Written(Written::Changed(customer)) => (*customer, false),
            _ => (Customer::default(), false),
        };
        let parts = self.parts.take();
        let kept = parts.clone();
        let changes = carry::complete_write(command, LossPolicy::Carry, &mut customer, is_match, parts, &self.at());
        *self.parts.borrow_mut() = stored(kept, &changes);
        Ok(customer)
    }

    fn read(&self, id: &CustomerId) -> Result<Customer, Error> {
        let Reply::Customer(mut customer) = self.vendor.execute(&Command::Retrieve(id.clone()))? else {
            return Ok(Customer::default());
        };
        carry::show(&mut customer, &self.parts.borrow(), &self.at());
        Ok(*customer)
    }
}

/// The parts after a write, as the store keeps them.
fn stored(mut parts: Vec<Part>, changes: &[Change]) -> Vec<Part> {
    for change in changes {
        let current = parts.iter().find(|part| part.field == change.field()).and_then(|part| part.value.clone());
        parts.retain(|part| part.field != change.field());
        if let Change::Put { native, .. } | Change::Merge { native, .. } = change {
            let value = change.value(current.as_deref());
            parts.push(Part { field: change.field(), value, connection: CONNECTION.to_owned(), native: *native });
        }
    }
    parts
}

/// Every field, with a name in one member or in two that do not split at the last space.
fn fields() -> impl Strategy<Value = CustomerFields> {
    let parts = (any::<bool>(), "[A-Z][a-z]{1,8}( [A-Z][a-z]{1,8})?", "[A-Z][a-z]{1,8}( [A-Z][a-z]{1,8})?");
    (sample::fields(Field::WRITABLE.to_vec()), parts).prop_map(|(mut fields, (has_parts, first, last))| {
        if has_parts {
            fields.name = Patch::Absent;
            (fields.first_name, fields.last_name) = (Patch::Set(Text::from(first)), Patch::Set(Text::from(last)));
        }
        fields
    })
}

/// Compares what was asked for with the customer in an answer.
fn compare_with(subject: Subject, asked: &CustomerFields, shown: &Customer) -> Result<(), TestCaseError> {
    let is_asked = |field: &Field| !asked.state(*field).is_absent();
    let asked_fields: Vec<Field> = Field::WRITABLE.into_iter().filter(is_asked).collect();
    let region = subject.settings().region;
    compare::same(&asked_fields, &compare::requested(asked), &compare::stored(shown), region)?;
    match shown.fidelity.entries().iter().find(|entry| entry.outcome == Outcome::Lost) {
        Some(entry) => Err(fail(format!("{} is reported as lost: {}", entry.field.name(), entry.rule))),
        None => Ok(()),
    }
}

/// R28: a create and an update with any fields read back equal, in the answer and later.
pub(super) fn what_is_written_with_carry_reads_back_equal(subject: Subject) -> Result<(), Failed> {
    run_cases(&(fields(), fields()), |(first, second)| {
        let failed = |error: Error| fail(format!("{error:?}"));
        let bed = Bed::new(subject).map_err(|failed| fail(failed.message().unwrap_or_default()))?;
        let mut id = bed.vendor.id.clone();
        if subject.supports(Operation::Create) {
            let create = Command::Create(CreateCustomer { fields: first.clone(), distinct: false, existing: None });
            let created = bed.write(&create).map_err(failed)?;
            compare_with(subject, &first, &created)?;
            id = CustomerId::parse(created.id, &subject.manifest.id).map_err(failed)?;
            compare_with(subject, &first, &bed.read(&id).map_err(failed)?)?;
        }
        if subject.supports(Operation::Update) {
            let metadata = (&first.metadata, &second.metadata);
            let mut expected = second.clone();
            if let (true, Patch::Set(before), Patch::Set(patch)) =
                (subject.supports(Operation::Create), metadata.0, metadata.1)
            {
                expected.metadata = Patch::Set(before.merged(patch));
            }
            let update = Command::Update(UpdateCustomer { id: id.clone(), fields: second });
            compare_with(subject, &expected, &bed.write(&update).map_err(failed)?)?;
            compare_with(subject, &expected, &bed.read(&id).map_err(failed)?)?;
        }
        Ok(())
    })
}

/// R28: a field that is cleared is empty in the answer and later, whether the provider held it or not.
pub(super) fn what_is_cleared_with_carry_reads_back_empty(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Update) {
        return Ok(());
    }
    // Providers require some of these.
    let is_free = |field: &Field| !matches!(field, Field::Name | Field::FirstName | Field::LastName | Field::Email);
    for field in Field::WRITABLE.into_iter().filter(is_free) {
        let bed = Bed::new(subject)?;
        let failed = |error: Error| Failed::from(format!("{}: {error:?}", field.name()));
        let set = sample::command(Operation::Update, subject.manifest, &[(field, sample::canary(field))]);
        let Command::Update(mut update) = set.clone() else { return Err("not an update".into()) };
        update.id = bed.vendor.id.clone();
        let shown = bed.write(&Command::Update(update.clone())).map_err(failed)?;
        if !shown.held(field).has_value() {
            return Err(format!("{} was not kept", field.name()).into());
        }
        let clear = cleared(&update, field);
        for shown in [bed.write(&clear).map_err(failed)?, bed.read(&bed.vendor.id).map_err(failed)?] {
            if shown.held(field).has_value() {
                return Err(format!("{} was not cleared: {:?}", field.name(), shown.fidelity.entries()).into());
            }
        }
    }
    Ok(())
}

/// R28: what a copy cannot give to the provider reads back equal there.
pub(super) fn what_a_copy_cannot_hold_reads_back_equal(subject: Subject) -> Result<(), Failed> {
    if !subject.supports(Operation::Create) {
        return Ok(());
    }
    run_cases(&(fields(), any::<bool>()), |(fields, is_blocked)| {
        let failed = |error: Error| fail(format!("{error:?}"));
        let bed = Bed::new(subject).map_err(|failed| fail(failed.message().unwrap_or_default()))?;
        let mut source = Customer { blocked: Some(is_blocked), ..Customer::default() };
        fields.apply_to(&mut source);
        let (first, last) = source.split_name();
        let (first, last) = (first.map(Text::from), last.map(Text::from));
        source.name = source.full_name().map(|name| Text::from(&*name));
        (source.first_name, source.last_name) = (first, last);
        // The values were written at the home, and are not derived there.
        for field in Field::WRITABLE {
            source.fidelity.push(Entry { field, outcome: Outcome::Carried, rule: "kept by the gateway", from: None });
        }
        let create = Command::Create(CreateCustomer { fields: fields.clone(), distinct: false, existing: None });
        let Reply::Written(Written::Created(mut copy)) = bed.vendor.execute(&create).map_err(failed)? else {
            return Err(fail("not created"));
        };
        let changes = carry::complete_copy(&source, subject.manifest, &mut copy.customer, Vec::new(), &bed.at());
        *bed.parts.borrow_mut() = stored(Vec::new(), &changes);
        let id = CustomerId::parse(copy.customer.id, &subject.manifest.id).map_err(failed)?;
        let shown = bed.read(&id).map_err(failed)?;
        if is_blocked && !subject.supports(Operation::Block) && shown.blocked != Some(true) {
            return Err(fail("the block is not kept"));
        }
        compare_with(subject, &fields, &shown)
    })
}

/// An update that clears a field.
fn cleared(update: &UpdateCustomer, field: Field) -> Command {
    let mut fields = CustomerFields::default();
    let text = match field {
        Field::Phone => &mut fields.phone,
        Field::Whatsapp => &mut fields.whatsapp,
        Field::Line1 => &mut fields.address.line1,
        Field::Line2 => &mut fields.address.line2,
        Field::City => &mut fields.address.city,
        Field::State => &mut fields.address.state,
        Field::PostalCode => &mut fields.address.postal_code,
        Field::Country => &mut fields.address.country,
        Field::Did => &mut fields.did,
        Field::Balance => &mut fields.balance,
        Field::Type => {
            fields.kind = Patch::Clear;
            return Command::Update(UpdateCustomer { id: update.id.clone(), fields });
        }
        _ => {
            fields.metadata = Patch::Clear;
            return Command::Update(UpdateCustomer { id: update.id.clone(), fields });
        }
    };
    *text = Patch::Clear;
    Command::Update(UpdateCustomer { id: update.id.clone(), fields })
}
