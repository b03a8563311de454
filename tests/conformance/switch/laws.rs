//! The laws of copies and comparisons.

use libtest_mimic::Failed;
use passerelle_providers::{
    model::{Command, Customer, CustomerFields, Field, manifest::Clears},
    switch::{self, Base, Decision, Equality, Finding, FindingCode, Seen},
    text::Text,
};
use proptest::test_runner::TestCaseError;

use super::{HASH, Pair, common_fields};
use crate::{
    laws::{Subject, fail, run_some_cases, truth::set_value},
    sample,
};

/// The generated records of a law, for each of the many pairs.
pub(super) const CASES: u32 = 24;

const NAMES: [Field; 3] = [Field::Name, Field::FirstName, Field::LastName];

/// R17, R29: what a copy creates compares as equal, or as equal after rules that are named.
pub(super) fn a_copy_is_equal_or_equal_after_rule(from: Subject, to: Subject) -> Result<(), Failed> {
    run_some_cases(CASES, &sample::fields(from.written_and_shown()), |fields| {
        let pair = Pair::new(from, to);
        let source = pair.from.add(&fields).map_err(failed)?;
        copied(&pair, &source).and_then(|target| check_equal(&pair, &source, &target))
    })
}

/// R18, R29: so does what a copy updates, except for fields that the target cannot change, which it names.
pub(super) fn a_copied_update_is_equal_or_equal_after_rule(from: Subject, to: Subject) -> Result<(), Failed> {
    let generated = sample::fields(from.written_and_shown());
    run_some_cases(CASES, &(generated, sample::fields(from.written_and_shown())), |(before, after)| {
        let pair = Pair::new(from, to);
        let source = pair.from.add(&before).map_err(failed)?;
        let target = copied(&pair, &source)?;
        let seen = pair.seen(&source, &target);
        let changed = pair.from.add(&after).map_err(failed)?;
        match pair.update(&changed, target, &seen).map_err(failed)? {
            Ok(target) => check_equal(&pair, &changed, &target),
            Err(Finding { code: FindingCode::FieldNotUpdatable, field: Some(field), .. })
                if !to.manifest.field(field).update.is_supported()
                    || (matches!(to.manifest.update.clears, Clears::No(_)) && !changed.held(field).has_value()) =>
            {
                Ok(())
            }
            Err(finding) => Err(fail(format!("{finding:?}"))),
        }
    })
}

/// R19: a record that is a copy already gets no write, so copying ends.
pub(super) fn a_copy_that_is_equal_writes_nothing(from: Subject, to: Subject) -> Result<(), Failed> {
    run_some_cases(CASES, &sample::fields(from.written_and_shown()), |fields| {
        let pair = Pair::new(from, to);
        let source = pair.from.add(&fields).map_err(failed)?;
        let target = copied(&pair, &source)?;
        for seen in [Seen::default(), pair.seen(&source, &target)] {
            match switch::update_command(&source, &target, base(&seen), &pair.sides(), None) {
                Ok(None) => {}
                other => return Err(fail(format!("{other:?}"))),
            }
        }
        Ok(())
    })
}

/// R29: every single field that differs is found, whichever side has changed it.
pub(super) fn compare_notices_every_changed_field(from: Subject, to: Subject) -> Result<(), Failed> {
    let pair = Pair::new(from, to);
    let (source, target) = whole(&pair)?;
    for field in common_fields(from, to).into_iter().chain([Field::Metadata]) {
        if field == Field::Metadata && !common_fields(from, to).contains(&field) {
            continue;
        }
        for has_value in [true, false] {
            let (mut changed_source, mut changed_target) = (source.clone(), target.clone());
            set_value(&mut changed_source, field, has_value);
            set_value(&mut changed_target, field, has_value);
            for (source, target) in [(&source, &changed_target), (&changed_source, &target)] {
                let compared = switch::compare(source, target, &pair.sides());
                let is_it = |found: Field| found == field || (NAMES.contains(&found) && NAMES.contains(&field));
                if !compared.differences.iter().any(|difference| is_it(difference.field)) {
                    return Err(format!("{} has a value: {has_value}; {compared:?}", field.name()).into());
                }
                if compared.differences.iter().any(|difference| !is_it(difference.field)) {
                    return Err(format!("more than {} differs: {compared:?}", field.name()).into());
                }
            }
        }
    }
    if [from, to].iter().all(|side| side.supports(passerelle_providers::model::Operation::Block)) {
        let blocked = Customer { blocked: Some(true), ..source };
        let compared = switch::compare(&blocked, &target, &pair.sides());
        if compared.differences.iter().all(|difference| difference.field != Field::Blocked) {
            return Err(format!("blocked: {compared:?}").into());
        }
    }
    Ok(())
}

/// R18: a field is overwritten only where the other side still has what the gateway last wrote or read there.
pub(super) fn a_field_changed_at_the_other_side_is_not_overwritten(from: Subject, to: Subject) -> Result<(), Failed> {
    let pair = Pair::new(from, to);
    let (source, target) = whole(&pair)?;
    let seen = pair.seen(&source, &target);
    for field in common_fields(from, to) {
        let mut foreign = target.clone();
        set_value(&mut foreign, field, true);
        let found = switch::update_command(&source, &foreign, base(&seen), &pair.sides(), None);
        match &found {
            Err(finding) if finding.code == FindingCode::FieldConflict => {}
            _ => return Err(format!("{}: {found:?}", field.name()).into()),
        }
        let decided = Decision::Link(target.id.clone());
        match switch::update_command(&source, &foreign, base(&seen), &pair.sides(), Some(&decided)) {
            Ok(None) => {}
            other => return Err(format!("{}, decided: {other:?}", field.name()).into()),
        }
    }
    Ok(())
}

/// R25: a field that the home cannot hold, or that is only derived there, is neither written nor cleared.
pub(super) fn a_field_that_the_home_cannot_hold_is_left_alone(from: Subject, to: Subject) -> Result<(), Failed> {
    let pair = Pair::new(from, to);
    let target = pair.to.add(&fields_of(to.written_and_shown()))?;
    // At a provider with one name, the parts of a name are derived.
    let source = pair.from.add(&fields_of(vec![Field::Name, Field::Email]))?;
    let mut changed = source.clone();
    changed.email = Some(Text::from_static("else@example.net"));
    let seen = pair.seen(&source, &target);
    let command = switch::update_command(&changed, &target, base(&seen), &pair.sides(), None);
    let update = match command {
        Ok(Some((Command::Update(update), _))) => update,
        other => return Err(format!("{other:?}").into()),
    };
    for field in Field::WRITABLE {
        let is_held = from.written_and_shown().contains(&field);
        if !is_held && !update.fields.state(field).is_absent() {
            return Err(format!("{} is written, which {} cannot hold", field.name(), from.name()).into());
        }
        if NAMES.contains(&field) && !update.fields.state(field).is_absent() {
            return Err(format!("{} is written, although the name did not change", field.name()).into());
        }
    }
    Ok(())
}

/// R18: the first link of two records fills what is empty. What both have stays; the rest needs a decision.
pub(super) fn a_link_fills_only_what_is_empty(from: Subject, to: Subject) -> Result<(), Failed> {
    let pair = Pair::new(from, to);
    let source = pair.from.add(&fields_of(from.written_and_shown()))?;
    let mut other = source.clone();
    let bare = pair.to.add(&fields_of(vec![Field::Name, Field::Email]))?;
    for field in common_fields(from, to).into_iter().filter(|field| *field != Field::Email) {
        set_value(&mut other, field, true);
    }
    let full = pair.to.add(&fields_of(to.written_and_shown()))?;
    let found = switch::update_command(&other, &full, base(&Seen::default()), &pair.sides(), None);
    if !matches!(&found, Err(finding) if finding.code == FindingCode::FieldConflict) {
        return Err(format!("two different records: {found:?}").into());
    }
    let decided = Decision::Link(full.id.clone());
    match switch::update_command(&other, &full, base(&Seen::default()), &pair.sides(), Some(&decided)) {
        Ok(None) => {}
        // A provider may lack a field of the home, but what it has is not overwritten.
        other => return Err(format!("after a decision: {other:?}").into()),
    }
    match pair.update(&source, bare, &Seen::default())? {
        Ok(target) => Ok(check_equal(&pair, &source, &target)?),
        Err(Finding { code: FindingCode::FieldNotUpdatable, field: Some(field), .. })
            if !to.manifest.field(field).update.is_supported() =>
        {
            Ok(())
        }
        Err(finding) => Err(format!("{finding:?}").into()),
    }
}

/// A customer with a value in every field of the home, and its copy.
fn whole(pair: &Pair) -> Result<(Customer, Customer), Failed> {
    let source = pair.from.add(&fields_of(pair.from.subject.written_and_shown()))?;
    let target = pair.create(&source)?.map_err(|finding| format!("{finding:?}"))?;
    Ok((source, target))
}

/// A sample value for each of these fields. The name is set whole, so its parts are not.
pub(super) fn fields_of(fields: Vec<Field>) -> CustomerFields {
    let members: Vec<(Field, &str)> = fields
        .into_iter()
        .filter(|field| !matches!(field, Field::FirstName | Field::LastName))
        .map(|field| (field, sample::canary(field)))
        .collect();
    let text = serde_json::Value::Object(sample::body(&members)).to_string();
    crate::laws::truth::fields(&text).expect("the gateway accepts the sample")
}

fn copied(pair: &Pair, source: &Customer) -> Result<Customer, TestCaseError> {
    pair.create(source).map_err(failed)?.map_err(|finding| fail(format!("{finding:?}")))
}

fn check_equal(pair: &Pair, source: &Customer, target: &Customer) -> Result<(), TestCaseError> {
    let compared = switch::compare(source, target, &pair.sides());
    match compared.equality() {
        Equality::Differs => Err(fail(format!("{compared:?}"))),
        Equality::Equal | Equality::EqualAfterRule => Ok(()),
    }
}

pub(super) fn base(seen: &Seen) -> Base<'_> {
    Base { seen, hash: HASH }
}

pub(super) fn failed(error: Failed) -> TestCaseError {
    fail(error.message().unwrap_or("failed").to_owned())
}
