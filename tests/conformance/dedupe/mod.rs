//! The dedupe classes: what prevents a provider from executing a write twice. The suite sends every supported write to
//! the vendor's twin twice. What it observes in the twin's log and records decides the class, and the manifest must
//! declare that class. The twin does not read the declared classes: the vendor's server side decides how it behaves.

mod changes;
mod creates;
mod harness;

use libtest_mimic::{Failed, Trial};
use passerelle_providers::model::{Field, Operation, manifest::Dedupe};

pub(crate) use self::harness::Harness;
use crate::{
    case::block_on,
    laws::{Subject, subjects},
    sample,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![Trial::test("dedupe::each_combination_of_observations_has_its_class", || {
        each_combination_of_observations_has_its_class();
        Ok(())
    })];
    for subject in subjects() {
        for operation in Operation::ALL {
            let Some(declared) = subject.manifest.dedupe(operation) else { continue };
            let name = format!("{}::dedupe::{}_is_{}", subject.name(), operation.name(), declared.as_str());
            trials.push(Trial::test(name, move || block_on(is_as_declared(subject, operation, declared))));
        }
    }
    trials
}

async fn is_as_declared(subject: Subject, operation: Operation, declared: Dedupe) -> Result<(), Failed> {
    let writes = match operation {
        Operation::Create => creates::observe(subject).await?,
        Operation::Update => changes::observe_updates(subject).await?,
        _ => vec![("the change", changes::observe(subject, operation).await?)],
    };
    for (what, observed) in writes {
        let class = observed.class();
        if class != declared {
            return Err(format!("{what} is declared as {declared:?}, but observed as {class:?}: {observed:?}").into());
        }
    }
    Ok(())
}

/// What the suite observes of a write that it sends twice.
#[derive(Debug, Clone, Copy, Default)]
struct Observed {
    /// Both requests have the same idempotency key.
    has_key: bool,
    /// Both requests name the record that they change.
    names_record: bool,
    /// The second write leaves all records unchanged.
    changes_nothing: bool,
    /// Both answers hold the same record.
    has_same_answer: bool,
    /// Reconciliation knows whether the write happened: no before it, yes after it. It never matches another customer.
    is_reconciled: bool,
}

impl Observed {
    const fn class(self) -> Dedupe {
        match self {
            Self { changes_nothing: true, has_same_answer: true, has_key: true, .. } => Dedupe::Key,
            Self { changes_nothing: true, names_record: true, is_reconciled: true, .. } => Dedupe::Id,
            Self { changes_nothing: true, has_same_answer: true, .. } => Dedupe::Unique,
            Self { is_reconciled: true, .. } => Dedupe::Search,
            _ => Dedupe::Nothing,
        }
    }
}

/// No vendor shows the classes `Key` and `Nothing` today, and no create has the class `Id`. Only this test covers them.
fn each_combination_of_observations_has_its_class() {
    let once = Observed { changes_nothing: true, ..Observed::default() };
    let (once_alike, once_named) =
        (Observed { has_same_answer: true, ..once }, Observed { names_record: true, ..once });
    let reconciled = |observed| Observed { is_reconciled: true, ..observed };
    for (observed, class) in [
        (Observed { has_key: true, ..once_alike }, Dedupe::Key),
        (reconciled(Observed { has_key: true, ..once_alike }), Dedupe::Key),
        (reconciled(once_named), Dedupe::Id),
        (reconciled(Observed { names_record: true, ..once_alike }), Dedupe::Id),
        (once_alike, Dedupe::Unique),
        (reconciled(once_alike), Dedupe::Unique),
        (reconciled(once), Dedupe::Search),
        (
            reconciled(Observed { has_key: true, names_record: true, has_same_answer: true, ..Observed::default() }),
            Dedupe::Search,
        ),
        (once_named, Dedupe::Nothing),
        (Observed { has_key: true, names_record: true, has_same_answer: true, ..Observed::default() }, Dedupe::Nothing),
        (Observed::default(), Dedupe::Nothing),
    ] {
        assert_eq!(observed.class(), class, "{observed:?}");
    }
}

/// The fields with a unique value each.
fn with_canaries(fields: Vec<Field>) -> Vec<(Field, &'static str)> {
    fields.into_iter().map(|field| (field, sample::canary(field))).collect()
}
