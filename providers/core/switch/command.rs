//! What a copy sends. Every command is planned by the engine first, so that the plan of a switch and the copy agree on what
//! a provider accepts.

use std::fmt;

use super::{
    Decision, Finding, FindingCode, Hash, Seen, Sides,
    compare::{Compared, compare_field, compares_parts},
    finding::field_at,
    metadata,
    value::{comparable, copied_fields, full_name, has_one_name, holds, is_known, is_name, knows_name_parts},
};
use crate::{
    engine::{self, Conditions},
    model::{
        Command, CreateCustomer, Customer, CustomerFields, CustomerId, CustomerType, Error, Fidelity, Field,
        LossPolicy, Operation, Patch, UpdateCustomer,
        manifest::{Clears, Manifest},
    },
    text::Text,
};

/// A copy loses what the plan of the switch accepted, whatever the merchant's policy (R25).
const CONDITIONS: Conditions = Conditions::canonical(LossPolicy::Drop);

/// The create that makes this customer's record at the other side, and how its fields change on the way. A lost block needs
/// a decision.
pub fn create_command(
    source: &Customer,
    sides: &Sides<'_>,
    decision: Option<&Decision>,
) -> Result<(Command, Fidelity), Finding> {
    let to = &sides.to;
    if let Some(reason) = to.manifest().operation(Operation::Create).reason()
        && !to.manifest().operation(Operation::Create).is_supported()
    {
        let detail = format!("{} cannot create a customer: {reason}", to.manifest().name);
        return Err(Finding::new(FindingCode::TargetCannotCreate, None, detail));
    }
    check_block(source, sides, decision)?;
    let mut fields = CustomerFields::default();
    set_name(&mut fields, source, sides);
    for field in copied_fields().filter(|field| !is_name(*field)) {
        if is_known(source, field, &sides.from) && !is_default(source, field, sides) {
            set(&mut fields, field, source);
        }
    }
    planned(Command::Create(CreateCustomer { fields: fields.without_clears(), distinct: false, existing: None }), sides)
}

/// Whether a record without the field means the same, and the other side cannot hold it. Then nothing is lost.
fn is_default(source: &Customer, field: Field, sides: &Sides<'_>) -> bool {
    comparable(source, field, &sides.from).is_none() && !holds(field, &sides.to)
}

/// What both sides last had in common, with the function that makes its hashes.
#[derive(Clone, Copy)]
pub struct Base<'b> {
    /// The hashes of the fields.
    pub seen: &'b Seen,
    /// Makes the keyed hash of a value.
    pub hash: Hash<'b>,
}

impl fmt::Debug for Base<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seen.fmt(formatter)
    }
}

/// The update that brings the other side to the state of the home, and how its fields change on the way. `None`: there is
/// nothing to write. [`block_command`] is asked apart.
///
/// A field is overwritten only where the other side still has what both sides last had in common (R18); a field about which
/// nothing is known there is only filled. A field that the home cannot hold, or that is only derived there, is left alone
/// (R25). With a decision, the fields that need one stay as they are.
pub fn update_command(
    source: &Customer,
    target: &Customer,
    base: Base<'_>,
    sides: &Sides<'_>,
    decision: Option<&Decision>,
) -> Result<Option<(Command, Fidelity)>, Finding> {
    check_block(source, sides, decision)?;
    let merge = Merge { source, target, base, sides, is_decided: decision.is_some() };
    let mut fields = CustomerFields::default();
    merge.names(&mut fields)?;
    for field in Field::WRITABLE.into_iter().filter(|field| !is_name(*field)) {
        match field {
            Field::Metadata => merge.metadata(&mut fields)?,
            _ if !merge.writes(field, compare_field(field, source, target, sides))? => {}
            // A business that is no business any more: a customer without a type is an individual.
            Field::Type => fields.kind = Patch::Set(source.kind.unwrap_or(CustomerType::Individual)),
            _ => set(&mut fields, field, source),
        }
    }
    if fields.is_empty() {
        return Ok(None);
    }
    let id = target_id(target, sides)?;
    planned(Command::Update(UpdateCustomer { id, fields }), sides).map(Some)
}

/// The block or the unblock that brings the other side to the state of the home. `target` is the record after the create or
/// the update. `None`: there is nothing to write. A customer who is blocked at the home is blocked at the other side in any
/// case; an unblock is copied only where both sides had the block in common.
pub fn block_command(
    source: &Customer,
    target: &Customer,
    base: Base<'_>,
    sides: &Sides<'_>,
    decision: Option<&Decision>,
) -> Result<Option<Command>, Finding> {
    let compared = compare_field(Field::Blocked, source, target, sides);
    let is_blocked = source.blocked == Some(true);
    if is_blocked && matches!(compared, Compared::Other(_)) {
        // No create can block, and a block that is missing lets payments through. So it needs no base.
        return Ok(Some(Command::Block(target_id(target, sides)?)));
    }
    let merge = Merge { source, target, base, sides, is_decided: decision.is_some() };
    match merge.writes(Field::Blocked, compared)? {
        true => Ok(Some(Command::Unblock(target_id(target, sides)?))),
        false => Ok(None),
    }
}

fn target_id(target: &Customer, sides: &Sides<'_>) -> Result<CustomerId, Finding> {
    let id = CustomerId::parse(target.id_at_provider().clone(), &sides.to.manifest().id);
    id.map_err(|error| Finding::new(FindingCode::RecordUnknown, Some(Field::Id), error.detail.clone()))
}

/// Refuses to lose a block without a decision.
pub(super) fn check_block(source: &Customer, sides: &Sides<'_>, decision: Option<&Decision>) -> Result<(), Finding> {
    let is_blocked = source.blocked == Some(true) && is_known(source, Field::Blocked, &sides.from);
    if decision.is_some() || !is_blocked || holds(Field::Blocked, &sides.to) {
        return Ok(());
    }
    let detail = format!("{} cannot block this customer, so payments there are not stopped", sides.to.manifest().name);
    Err(Finding::new(FindingCode::BlockedLost, Some(Field::Blocked), detail))
}

/// The merge of a customer's home into the other side, from what both last had in common.
struct Merge<'m> {
    source: &'m Customer,
    target: &'m Customer,
    base: Base<'m>,
    sides: &'m Sides<'m>,
    is_decided: bool,
}

impl Merge<'_> {
    /// Whether a field is written. Fails if that needs a decision.
    fn writes(&self, field: Field, compared: Compared) -> Result<bool, Finding> {
        if !matches!(compared, Compared::Other(_)) {
            return Ok(false);
        }
        let (wanted, current) = (self.value(field, self.source, true), self.value(field, self.target, false));
        let is_unchanged = self.base.seen.matches(self.target, field, &self.sides.to, self.base.hash);
        if !is_unchanged && self.base.seen.knows(field) {
            return self.undecided(FindingCode::FieldConflict, field, "was changed at the other side as well");
        }
        match (wanted, current) {
            _ if is_unchanged => {}
            (Some(_), None) => {}
            // The record had this value before it was linked.
            (None, _) => return Ok(false),
            (Some(_), Some(_)) => {
                return self.undecided(FindingCode::FieldConflict, field, "has another value at the other side");
            }
        }
        let is_clear = field != Field::Type && self.value(field, self.source, true).is_none();
        match self.why_not_updated(field, is_clear) {
            Some(why) => self.undecided(FindingCode::FieldNotUpdatable, field, why),
            None => Ok(true),
        }
    }

    fn value(&self, field: Field, customer: &Customer, is_source: bool) -> Option<String> {
        let side = if is_source { &self.sides.from } else { &self.sides.to };
        if field == Field::Name { full_name(customer) } else { comparable(customer, field, side) }
    }

    fn why_not_updated(&self, field: Field, is_clear: bool) -> Option<&'static str> {
        let manifest = self.sides.to.manifest();
        let update = manifest.field(field).update;
        match manifest.update.clears {
            _ if field == Field::Blocked => None,
            _ if !update.is_supported() => Some(update.reason().unwrap_or("the provider does not accept it")),
            Clears::No(why) if is_clear => Some(why),
            _ => None,
        }
    }

    /// A field that needs a decision. With one, it stays as it is.
    fn undecided(&self, code: FindingCode, field: Field, what: &str) -> Result<bool, Finding> {
        if self.is_decided {
            return Ok(false);
        }
        Err(Finding::new(code, Some(field), format!("{}: {what}", field.name())))
    }

    fn names(&self, fields: &mut CustomerFields) -> Result<(), Finding> {
        let Self { source, target, sides, .. } = self;
        let differs = |one: &Option<String>, other: &Option<String>| match one == other {
            true => Compared::Same,
            false => Compared::Other(""),
        };
        if !compares_parts(source, target, sides) {
            if self.writes(Field::Name, differs(&full_name(source), &full_name(target)))? {
                set_name(fields, source, sides);
            }
            return Ok(());
        }
        for field in [Field::FirstName, Field::LastName] {
            let (one, other) = (self.value(field, source, true), self.value(field, target, false));
            if self.writes(field, differs(&one, &other))? {
                set(fields, field, source);
            }
        }
        Ok(())
    }

    fn metadata(&self, fields: &mut CustomerFields) -> Result<(), Finding> {
        const FIELD: Field = Field::Metadata;
        let compared = compare_field(FIELD, self.source, self.target, self.sides);
        if !matches!(compared, Compared::Other(_)) {
            return Ok(());
        }
        let (wanted, current) = (&self.source.metadata, &self.target.metadata);
        if self.base.seen.matches(self.target, FIELD, &self.sides.to, self.base.hash) {
            // A provider that cannot clear a field can lose single keys, but not the last one.
            let is_clear = metadata::comparable(wanted).is_none();
            match self.why_not_updated(FIELD, is_clear) {
                Some(why) => drop(self.undecided(FindingCode::FieldNotUpdatable, FIELD, why)?),
                None => fields.metadata = Patch::Set(metadata::patch_to(wanted, current)),
            }
            return Ok(());
        }
        let (missing, is_conflict) = metadata::missing_keys(wanted, current);
        if is_conflict || self.base.seen.knows(FIELD) {
            self.undecided(FindingCode::FieldConflict, FIELD, "has other values at the other side")?;
        }
        if missing.is_empty() || (self.is_decided && self.base.seen.knows(FIELD)) {
            return Ok(());
        }
        match self.why_not_updated(FIELD, false) {
            Some(why) => drop(self.undecided(FindingCode::FieldNotUpdatable, FIELD, why)?),
            None => fields.metadata = Patch::Set(missing),
        }
        Ok(())
    }
}

/// Sets the name of a customer, in the form in which it is known at the home.
fn set_name(fields: &mut CustomerFields, source: &Customer, sides: &Sides<'_>) {
    let (first, last) = (&source.first_name, &source.last_name);
    let has_both = first.is_some() && last.is_some();
    if knows_name_parts(source, &sides.from) && (has_both || !has_one_name(&sides.to)) {
        (fields.first_name, fields.last_name) = (patch(first.clone()), patch(last.clone()));
    } else {
        fields.name = patch(source.full_name().map(|name| Text::from(&*name)));
    }
}

/// Sets a field to the value of a customer, or clears it.
fn set(fields: &mut CustomerFields, field: Field, source: &Customer) {
    let text = || patch(source.text(field).filter(|text| !text.is_empty()).cloned());
    match field {
        Field::Name => fields.name = text(),
        Field::FirstName => fields.first_name = text(),
        Field::LastName => fields.last_name = text(),
        Field::Email => fields.email = text(),
        Field::Phone => fields.phone = text(),
        Field::Whatsapp => fields.whatsapp = text(),
        Field::Line1 | Field::Line2 | Field::City | Field::State | Field::PostalCode | Field::Country => {
            if let Some(part) = fields.address.part_mut(field) {
                *part = text();
            }
        }
        Field::Type => fields.kind = patch(source.kind),
        Field::Did => fields.did = text(),
        Field::Balance => fields.balance = text(),
        Field::Metadata => {
            let own = metadata::without_reserved(&source.metadata);
            fields.metadata = patch((!own.is_empty()).then_some(own));
        }
        Field::Id | Field::Delinquent | Field::Blocked | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => {}
    }
}

fn patch<T>(value: Option<T>) -> Patch<T> {
    value.map_or(Patch::Clear, Patch::Set)
}

/// The command with what the engine reports about it, or what the engine refuses.
fn planned(command: Command, sides: &Sides<'_>) -> Result<(Command, Fidelity), Finding> {
    match engine::plan(sides.to.provider, &command, CONDITIONS) {
        Ok(planned) => Ok((command, planned.fidelity())),
        Err(error) => Err(refusal(&error, sides.to.manifest())),
    }
}

fn refusal(error: &Error, manifest: &Manifest) -> Finding {
    let Some(first) = error.fields.first() else {
        return Finding::new(FindingCode::ValueRefused, None, error.detail.clone());
    };
    let is_required = manifest.requires.iter().any(|required| required.message == first.detail);
    let code = if is_required { FindingCode::RequiredFieldMissing } else { FindingCode::ValueRefused };
    Finding::new(code, field_at(&first.pointer), first.detail.clone()).with_limit(first.detail.clone())
}

/// How the fields of a customer change on the way to the other side, as far as the engine plans it. Empty where the other
/// side cannot create, or refuses this customer.
pub(super) fn report(source: &Customer, sides: &Sides<'_>) -> Fidelity {
    create_command(source, sides, Some(&Decision::Create)).map(|(_, report)| report).unwrap_or_default()
}
