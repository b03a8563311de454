//! The laws of forecasts.

use libtest_mimic::Failed;
use passerelle_providers::{
    model::{Customer, Field, LossPolicy},
    switch::{self, FieldForecast, RecordForecast},
};

use super::{
    HASH, Pair,
    laws::{CASES, failed},
};
use crate::{
    laws::{Subject, fail, run_some_cases},
    sample,
};

/// R27: what the forecast calls kept, transformed or derived is at the other side after the copy, and what it calls lost is
/// not.
pub(super) fn a_forecast_is_what_the_copy_shows(from: Subject, to: Subject) -> Result<(), Failed> {
    run_some_cases(CASES, &sample::fields(from.written_and_shown()), |fields| {
        let pair = Pair::new(from, to);
        let source = pair.from.add(&fields).map_err(failed)?;
        let target = pair.create(&source).map_err(failed)?.map_err(|finding| fail(format!("{finding:?}")))?;
        let sides = pair.sides();
        let forecast = switch::forecast(&source, &sides, LossPolicy::Drop);
        for (field, counts) in forecast.there.fields() {
            let wanted = switch::value_hash(&source, field, &sides.from, HASH);
            let is_there = wanted == switch::value_hash(&target, field, &sides.to, HASH);
            // An individual is also what a provider without a type shows.
            if wanted.is_some() && is_there == (counts.lost == 1) {
                return Err(fail(format!("{}: {counts:?}, and it is there: {is_there}", field.name())));
            }
        }
        let is_counted = |field: Field| forecast.there.field(field).held == 1;
        let is_value = |field: &Field| from.written_and_shown().contains(field) && has_value(&source, *field);
        match from.written_and_shown().into_iter().filter(is_value).find(|field| !is_counted(*field)) {
            // The parts of a name that is stored whole are derived, and the other way round.
            Some(Field::Name | Field::FirstName | Field::LastName) | None => Ok(()),
            Some(field) => Err(fail(format!("{} is not counted", field.name()))),
        }
    })
}

fn has_value(customer: &Customer, field: Field) -> bool {
    customer.held(field).has_value()
}

/// R27: the counts of a field sum to the records that hold it; under `carry` nothing is lost, in neither direction.
pub(super) fn the_counts_of_a_forecast_sum(from: Subject, to: Subject) -> Result<(), Failed> {
    let (pair, mut sum, mut records) = (Pair::new(from, to), RecordForecast::default(), 0);
    run_some_cases(CASES, &sample::fields(from.written_and_shown()), |fields| {
        let source = Pair::new(from, to).from.add(&fields).map_err(failed)?;
        for policy in LossPolicy::ALL {
            let forecast = switch::forecast(&source, &pair.sides(), policy);
            for (field, counts) in forecast.there.fields().chain(forecast.back.fields()) {
                if kept(counts) != counts.held || counts.held != 1 {
                    return Err(fail(format!("{}: {counts:?}", field.name())));
                }
                if policy == LossPolicy::Carry && counts.lost > 0 {
                    return Err(fail(format!("{} is lost under carry: {counts:?}", field.name())));
                }
            }
        }
        Ok(())
    })?;
    for name in ["Amadou Ba", "Awa Ndiaye Fall", "Fatou"] {
        let text = format!(r#"{{"name":"{name}","email":"amadou.ba@example.com"}}"#);
        let source = pair.from.add(&crate::laws::truth::fields(&text)?)?;
        sum.add(&switch::forecast(&source, &pair.sides(), LossPolicy::Carry));
        records += 1;
    }
    let email = sum.there.field(Field::Email);
    if email.held != records || email.kept != records {
        return Err(format!("the sum of {records} records: {email:?}").into());
    }
    Ok(())
}

fn kept(counts: &FieldForecast) -> u64 {
    counts.kept + counts.transformed + counts.derived + counts.carried + counts.lost
}
