//! Carried fields: what a provider cannot hold, and the gateway keeps for it (`on_loss = "carry"`).
//!
//! Two questions are answered here, both without I/O. What does a write change about the parts that the gateway keeps
//! ([`complete_write`])? And which of these parts does an answer show ([`show`])?
//!
//! A part can belong to a *native* value, one that the provider holds: the parts of a name to the full name, a removed
//! value to the value that the provider could not remove. The part names that value by a keyed hash. When the provider
//! shows another value, someone else changed it, and the part is not shown any more. A field without a native value
//! belongs to nothing.

mod copies;
mod names;
mod parts;

use std::fmt;

pub use copies::{complete_copy, report_removed};
pub use names::{complete_name, has_name_parts, needs_name_parts};
pub use parts::{Change, NativeHash, Part};

use self::names::{NAMES, name_changes};
use super::differences::asked_text;
use crate::{
    json::{JsonObject, canonical::canonicalized},
    model::{
        Command, Customer, CustomerFields, CustomerType, Entry, Error, Fidelity, Field, FieldValue, LossPolicy,
        Operation, Outcome, Patch,
        manifest::{Clears, Manifest, NameStyle, Support},
    },
    text::{Text, name},
};

const NAME_PART: &str = "the provider keeps one name, and the gateway keeps its parts";
const BLOCKED: &str =
    "the provider cannot block a customer: the gateway keeps this, and payments there are not stopped";
const NO_COUNTERPART: &str = "the provider has no counterpart";
const GONE: &str = "the gateway kept it for a value that was changed at the provider since";
const NOT_CHANGED: &str = "the customer existed before, and the gateway keeps another value";

/// Where the parts of a customer are kept for.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The connection that holds the customer.
    pub connection: &'a str,
    /// What its provider can do.
    pub manifest: &'static Manifest,
    /// Hashes a native value, with the merchant's key.
    pub hash: &'a (dyn Fn(Field, &str) -> NativeHash + Send + Sync),
}

impl fmt::Debug for At<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("At").field("connection", &self.connection).finish_non_exhaustive()
    }
}

impl At<'_> {
    /// The hash of the native value that a part of this field belongs to.
    pub(super) fn native(&self, customer: &Customer, field: Field) -> Option<NativeHash> {
        let (field, value) = native_value(customer, field)?;
        Some((self.hash)(field, &value))
    }
}

/// What the provider shows in the place of a field: for a part of a name the full name.
fn native_value(customer: &Customer, field: Field) -> Option<(Field, String)> {
    if NAMES.contains(&field) {
        return Some((Field::Name, customer.full_name()?.to_string()));
    }
    let value = match customer.held(field) {
        FieldValue::Text(text) => text?.to_string(),
        FieldValue::Type(kind) => kind?.as_str().to_owned(),
        FieldValue::Flag(flag) => flag?.to_string(),
        FieldValue::Object(object) if object.is_empty() => return None,
        FieldValue::Object(object) => canonicalized(object.as_str()).into_owned(),
    };
    Some((field, value))
}

/// Whether the gateway keeps that a customer is blocked, because the provider cannot block.
pub fn keeps_block(manifest: &Manifest, operation: Operation, on_loss: LossPolicy) -> bool {
    on_loss == LossPolicy::Carry
        && matches!(operation, Operation::Block | Operation::Unblock)
        && !manifest.operation(operation).is_supported()
}

/// Refuses an operation that neither the provider has nor the gateway does for it.
pub fn require(manifest: &Manifest, operation: Operation, on_loss: LossPolicy) -> Result<(), Error> {
    if keeps_block(manifest, operation, on_loss) { Ok(()) } else { manifest.require(operation) }
}

/// Why a field is carried.
fn rule(field: Field, is_removed: bool, manifest: &Manifest) -> &'static str {
    if NAMES.contains(&field) {
        return NAME_PART;
    }
    if field == Field::Blocked {
        return BLOCKED;
    }
    let support = manifest.field(field);
    match (support.update, support.create, manifest.update.clears) {
        (Support::No(why), ..) | (_, Support::No(why), _) => why,
        (_, _, Clears::No(why)) if is_removed => why,
        _ => NO_COUNTERPART,
    }
}

/// The report of a blocked customer that the gateway keeps.
pub(super) fn report_block(report: &mut Fidelity) {
    report.push(Entry { field: Field::Blocked, outcome: Outcome::Carried, rule: BLOCKED, from: None });
}

/// Reports as carried what the report of a plan has as lost, and the parts of a name that the provider would split
/// elsewhere.
pub(super) fn report_plan(report: &mut Fidelity, fields: &CustomerFields, manifest: &Manifest) {
    let lost: Vec<Field> = report.losses().map(|entry| entry.field).collect();
    report.retain(|entry| entry.outcome != Outcome::Lost);
    let mut carried = |field: Field, rule| report.push(Entry { field, outcome: Outcome::Carried, rule, from: None });
    for field in lost {
        let is_removed = fields.state(field) == Patch::Clear;
        let is_empty = field == Field::Metadata && fields.metadata.set().is_some_and(JsonObject::is_empty);
        // Nothing has to be kept of a value that is removed and that the provider cannot have.
        if !is_empty && (!is_removed || manifest.field(field).read.is_supported()) {
            carried(field, rule(field, is_removed, manifest));
        }
    }
    if let (NameStyle::Full, Some(first), Some(last)) =
        (manifest.update.names, fields.first_name.set(), fields.last_name.set())
        && let Some(full) = name::join(Some(first), Some(last))
    {
        let (split_first, split_last) = name::split(&full);
        for (field, wanted, split) in [(Field::FirstName, first, split_first), (Field::LastName, last, split_last)] {
            if split != Some(&**wanted) {
                carried(field, NAME_PART);
            }
        }
    }
}

/// Completes the customer that a provider answered to a write with the parts that the gateway keeps of it, and returns
/// what the write changes about them. `parts` is what was kept before the write. `is_match` is the result of a create
/// that found its customer: such a create changes nothing.
pub fn complete_write(
    command: &Command,
    on_loss: LossPolicy,
    customer: &mut Customer,
    is_match: bool,
    parts: Vec<Part>,
    at: &At<'_>,
) -> Vec<Change> {
    let changes = if is_match { Vec::new() } else { changes(command, on_loss, customer, &parts, at) };
    let parts = after(parts, &changes, at);
    let is_shown =
        |field: Field| parts.iter().any(|part| part.field == field && judge(part, customer, at) == Verdict::Shown);
    let hidden: Vec<Field> = Field::ALL.into_iter().filter(|field| !is_shown(*field)).collect();
    customer.fidelity.retain(|entry| entry.outcome != Outcome::Carried || !hidden.contains(&entry.field));
    show(customer, &parts, at);
    if let (true, Command::Create(create), LossPolicy::Carry) = (is_match, command, on_loss) {
        report_unchanged(customer, &create.fields, at.manifest);
    }
    changes
}

/// Reports the fields of a create that the gateway would have kept, and that the customer who was found does not have.
fn report_unchanged(customer: &mut Customer, asked: &CustomerFields, manifest: &Manifest) {
    let mut wanted = customer.clone();
    asked.apply_to(&mut wanted);
    for (field, _) in manifest.losses(asked, Operation::Create) {
        if wanted.held(field) != customer.held(field) {
            customer.fidelity.push(Entry { field, outcome: Outcome::Lost, rule: NOT_CHANGED, from: None });
        }
    }
}

fn changes(command: &Command, on_loss: LossPolicy, customer: &Customer, parts: &[Part], at: &At<'_>) -> Vec<Change> {
    let mut changes = match command {
        Command::Create(create) => field_changes(&create.fields, Operation::Create, on_loss, customer, at),
        Command::Update(update) => field_changes(&update.fields, Operation::Update, on_loss, customer, at),
        Command::Block(_) | Command::Unblock(_) => {
            let is_blocked = matches!(command, Command::Block(_));
            vec![match keeps_block(at.manifest, command.operation(), on_loss) {
                true => Change::Put { field: Field::Blocked, value: Some(is_blocked.to_string()), native: None },
                false => Change::Remove(Field::Blocked),
            }]
        }
        _ => Vec::new(),
    };
    let is_gone = |part: &&Part| judge(part, customer, at) == Verdict::Gone;
    for part in parts.iter().filter(is_gone) {
        if changes.iter().all(|change| change.field() != part.field) {
            changes.push(Change::Remove(part.field));
        }
    }
    let is_kept = |field: &Field| parts.iter().any(|part| part.field == *field);
    changes.retain(|change| match change {
        Change::Remove(field) => is_kept(field),
        // Without a part there is nothing to remove.
        Change::Merge { patch, base, .. } if *patch == "{}" => *base != "{}" || is_kept(&Field::Metadata),
        Change::Put { .. } | Change::Merge { .. } => true,
    });
    changes
}

/// What a write of these fields changes about the parts. A field that the provider holds itself has no part any more.
pub fn field_changes(
    fields: &CustomerFields,
    operation: Operation,
    on_loss: LossPolicy,
    customer: &Customer,
    at: &At<'_>,
) -> Vec<Change> {
    let lost: Vec<Field> = at.manifest.losses(fields, operation).map(|(field, _)| field).collect();
    let mut changes = Vec::new();
    for field in Field::WRITABLE.into_iter().filter(|field| !NAMES.contains(field)) {
        let native = || at.native(customer, field);
        match (lost.contains(&field), fields.state(field)) {
            (_, Patch::Absent) => {}
            (false, _) => changes.push(Change::Remove(field)),
            (true, _) if on_loss != LossPolicy::Carry => {}
            (true, Patch::Set(())) if field == Field::Metadata => changes.push(Change::Merge {
                patch: fields.metadata.set().map(|patch| patch.as_str().to_owned()).unwrap_or_default(),
                base: customer.metadata.as_str().to_owned(),
                native: native(),
            }),
            (true, _) => {
                let value = asked_text(fields, field).set().map(ToString::to_string);
                changes.push(Change::Put { field, value, native: native() });
            }
        }
    }
    changes.extend(name_changes(fields, &lost, on_loss, customer, at));
    changes
}

/// The parts after a write, as the answer to it shows them.
fn after(parts: Vec<Part>, changes: &[Change], at: &At<'_>) -> Vec<Part> {
    let mut parts = parts;
    for change in changes {
        let current = parts.iter().position(|part| part.field == change.field()).map(|place| parts.swap_remove(place));
        let value = change.value(current.as_ref().and_then(|part| part.value.as_deref()));
        if let Change::Put { native, .. } | Change::Merge { native, .. } = change {
            parts.push(Part { field: change.field(), value, connection: at.connection.to_owned(), native: *native });
        }
    }
    parts.sort_by_key(|part| part.field);
    parts
}

/// What an answer shows of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The part, in place of the native value.
    Shown,
    /// The native value: the provider holds the field, or the part was written for another connection.
    Hidden,
    /// The native value, which was changed outside the gateway since the part was written.
    Gone,
}

/// Whether a provider holds a field itself, so that a part of it is hidden. `has_value`: the part is not a removed value.
pub fn is_held(field: Field, has_value: bool, manifest: &Manifest) -> bool {
    match field {
        Field::Blocked => manifest.operation(Operation::Block).is_supported(),
        field if NAMES.contains(&field) => manifest.update.names == NameStyle::Split,
        field => {
            let support = manifest.field(field);
            has_value && [support.create, support.update, support.read].into_iter().all(Support::is_supported)
        }
    }
}

fn judge(part: &Part, customer: &Customer, at: &At<'_>) -> Verdict {
    let Part { field, value, connection, native } = part;
    if is_held(*field, value.is_some(), at.manifest) {
        return Verdict::Hidden;
    }
    match (native, at.native(customer, *field)) {
        (Some(_), None) if value.is_none() || NAMES.contains(field) => Verdict::Hidden,
        (Some(kept), Some(now)) if *kept != now && connection == at.connection => Verdict::Gone,
        (Some(kept), Some(now)) if *kept != now => Verdict::Hidden,
        (None, _) if value.is_none() => Verdict::Hidden,
        _ => Verdict::Shown,
    }
}

/// Shows the parts that the gateway keeps in a customer that a provider answered, and reports them.
pub fn show(customer: &mut Customer, parts: &[Part], at: &At<'_>) {
    let judged: Vec<(&Part, Verdict)> = parts.iter().map(|part| (part, judge(part, customer, at))).collect();
    for (part, verdict) in judged {
        let Part { field, value, .. } = part;
        let (outcome, rule) = match verdict {
            Verdict::Hidden => continue,
            Verdict::Gone => (Outcome::Lost, GONE),
            Verdict::Shown => {
                set(customer, *field, value.as_deref());
                customer.fidelity.retain(|entry| entry.field != *field);
                (Outcome::Carried, rule(*field, value.is_none(), at.manifest))
            }
        };
        customer.fidelity.push(Entry { field: *field, outcome, rule, from: None });
    }
}

/// Sets the value of a field that can be carried.
fn set(customer: &mut Customer, field: Field, value: Option<&str>) {
    let text = match field {
        Field::Name => &mut customer.name,
        Field::FirstName => &mut customer.first_name,
        Field::LastName => &mut customer.last_name,
        Field::Email => &mut customer.email,
        Field::Phone => &mut customer.phone,
        Field::Whatsapp => &mut customer.whatsapp,
        Field::Line1 => &mut customer.address.line1,
        Field::Line2 => &mut customer.address.line2,
        Field::City => &mut customer.address.city,
        Field::State => &mut customer.address.state,
        Field::PostalCode => &mut customer.address.postal_code,
        Field::Country => &mut customer.address.country,
        Field::Did => &mut customer.did,
        Field::Balance => &mut customer.balance,
        Field::Type => return customer.kind = value.and_then(CustomerType::parse),
        Field::Blocked => return customer.blocked = value.map(|value| value == "true"),
        Field::Metadata => return customer.metadata = value.and_then(JsonObject::in_string).unwrap_or_default(),
        Field::Id | Field::Delinquent | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => return,
    };
    *text = value.map(Text::from);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{CustomerId, UpdateCustomer},
        vendor,
    };

    /// What an update of this customer at lomi, which removes no value, is answered with: its names and its e-mail address,
    /// and the fields that the report has as carried.
    fn updated(fields: CustomerFields, mut customer: Customer) -> ([Option<Text>; 4], Vec<Field>) {
        let manifest = vendor("lomi").expect("a vendor").manifests[0];
        let id = Text::from_static("b78de3c9-7f76-4f43-9c5d-19d9f5c7c985");
        let id = CustomerId::parse(id, &manifest.id).expect("an id");
        customer.fidelity.lose(manifest.losses(&fields, Operation::Update));
        report_plan(&mut customer.fidelity, &fields, manifest);
        let command = Command::Update(UpdateCustomer { id, fields });
        let at = At { connection: "main", manifest, hash: &|_, _| [0; 8] };
        complete_write(&command, LossPolicy::Carry, &mut customer, false, Vec::new(), &at);
        let carried = customer.fidelity.entries().iter().filter(|entry| entry.outcome == Outcome::Carried);
        let carried = carried.map(|entry| entry.field).collect();
        ([customer.name, customer.first_name, customer.last_name, customer.email], carried)
    }

    fn awa() -> Customer {
        let [name, first_name, last_name, email] = shown();
        Customer { name, first_name, last_name, email, ..Customer::default() }
    }

    fn shown() -> [Option<Text>; 4] {
        ["Awa Diop", "Awa", "Diop", "awa@example.com"].map(|text| Some(Text::from_static(text)))
    }

    #[test]
    fn a_removal_is_reported_as_carried_only_if_there_was_a_value() {
        let removal = || CustomerFields { email: Patch::Clear, ..CustomerFields::default() };
        let [name, first, last, _] = shown();
        let without_email = [name, first, last, None];
        assert_eq!(updated(removal(), awa()), (without_email.clone(), vec![Field::Email]));
        assert_eq!(updated(removal(), Customer { email: None, ..awa() }), (without_email, Vec::new()));
    }

    #[test]
    fn a_name_that_the_provider_cannot_remove_is_answered_as_removed_with_its_parts() {
        let fields = |name| CustomerFields { name, ..CustomerFields::default() };
        let [.., email] = shown();
        assert_eq!(updated(fields(Patch::Clear), awa()), ([None, None, None, email], NAMES.to_vec()));
        let name = Patch::Set(Text::from_static("Awa Diop"));
        assert_eq!(updated(fields(name), awa()), (shown(), Vec::new()), "the provider stores a full name");
    }
}
