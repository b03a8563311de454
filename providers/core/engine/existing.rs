//! Creates that a provider answers with a record that existed before. Providers where an e-mail address is unique do this.
//!
//! `src/writes` calls [`judge`] with what the store knows: whether the record is already the outcome of another create.

use jiff::Timestamp;

use crate::{
    engine::CLOCK_SKEW,
    model::{
        CreateCustomer, Created, Customer, CustomerFields, Error, Field, Kind, Operation,
        manifest::{Dedupe, Manifest},
    },
    text::{Text, email},
};

/// The rule in the report of a create that made no customer.
const ALREADY_HAD: &str = "the provider answered the customer it already had";

/// Decides whether the answer to a create is a record that existed. `began` is when the create was first sent.
/// `answered_before`: the record is the outcome of another create of this gateway.
///
/// Where a second create answers the first record (`Dedupe::Unique`), the record's time of creation decides as well: a
/// record is old if it was made more than two minutes (`CLOCK_SKEW`) before `began`. Younger records that existed are known
/// by having been answered before, except those that another system made within that time.
///
/// An old record that has the e-mail address and the name that were sent is the answer. One that differs belongs to another
/// customer, and is an error with its id.
pub fn judge(
    created: Created,
    create: &CreateCustomer,
    manifest: &Manifest,
    began: Timestamp,
    answered_before: bool,
) -> Result<Created, Error> {
    let Created { mut customer, existing } = created;
    if existing {
        return Ok(Created { customer, existing });
    }
    let is_unique = manifest.dedupe(Operation::Create) == Some(Dedupe::Unique);
    let made = customer.created_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok()).filter(|_| is_unique);
    let is_old = made.is_some_and(|made| began.checked_sub(CLOCK_SKEW).is_ok_and(|earliest| made < earliest));
    // Times of records may lack fractions of a second.
    let is_certainly_new = made.is_some_and(|made| made.as_second() >= began.as_second());
    let differs = !has_email(&customer, &create.fields) || !(create.distinct || has_name(&customer, &create.fields));
    if differs && (answered_before || (is_unique && !is_certainly_new)) {
        let detail = "the provider answered an existing customer whose e-mail or name differs from the request";
        return Err(Error::new(Kind::SharedRecord, detail).with_existing(&*customer.id));
    }
    let existing = is_old || answered_before;
    if existing {
        customer.fidelity.derived(Field::Id, ALREADY_HAD);
    }
    Ok(Created { customer, existing })
}

/// Whether the customer has the sent e-mail address. An answer that does not show one says nothing about it.
fn has_email(customer: &Customer, sent: &CustomerFields) -> bool {
    let is_same = |sent: &Text| customer.email.as_deref().is_none_or(|current| email::same(current, sent));
    sent.email.set().is_none_or(is_same)
}

/// Whether the customer has the sent name, whatever its case and its spaces are.
fn has_name(customer: &Customer, sent: &CustomerFields) -> bool {
    let words = |name: &str| name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    let current = customer.full_name();
    sent.full_name().set().is_none_or(|sent| current.as_deref().is_none_or(|current| words(current) == words(sent)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Patch, text::Text, vendor};

    const BEGAN: &str = "2026-11-20T12:00:00.500Z";

    /// What a create of Awa Diop becomes when the provider answers this record: `new`, `existing` or `shared`.
    fn judged(
        vendor_name: &str,
        name: &'static str,
        made: Option<&'static str>,
        answered_before: bool,
    ) -> &'static str {
        let manifest = vendor(vendor_name).expect("a vendor").manifests[0];
        let fields = CustomerFields {
            name: Patch::Set(Text::from_static("Awa Diop")),
            email: Patch::Set(Text::from_static("awa@example.com")),
            ..CustomerFields::default()
        };
        let customer = Customer {
            id: Text::from_static("c1"),
            name: Some(Text::from_static(name)),
            email: Some(Text::from_static("Awa@example.com")),
            created_at: made.map(Text::from_static),
            ..Customer::default()
        };
        let create = CreateCustomer { fields, distinct: false };
        let began = BEGAN.parse().expect("a time");
        match judge(Created::new(customer), &create, manifest, began, answered_before) {
            Ok(Created { existing: false, customer }) => {
                assert!(customer.fidelity.entries().is_empty());
                "new"
            }
            Ok(Created { existing: true, customer }) => {
                assert_eq!(customer.fidelity.entries()[0].rule, ALREADY_HAD);
                "existing"
            }
            Err(error) => {
                assert_eq!((error.kind, error.existing.as_deref()), (Kind::SharedRecord, Some("c1")));
                "shared"
            }
        }
    }

    #[test]
    fn a_record_that_existed_is_known_by_its_time_or_by_having_been_answered_before() {
        const OLD: Option<&str> = Some("2026-11-20T11:57:00Z");
        const WITHIN_SKEW: Option<&str> = Some("2026-11-20T11:59:00Z");
        const NEW: Option<&str> = Some("2026-11-20T12:00:00Z");
        for (vendor_name, name, made, answered_before, expected) in [
            ("bitnob", "awa  diop", OLD, false, "existing"),
            ("bitnob", "Awa Diop", WITHIN_SKEW, false, "new"),
            ("bitnob", "Awa Diop", NEW, false, "new"),
            ("bitnob", "Awa Diop", None, false, "new"),
            ("bitnob", "Awa Diop", NEW, true, "existing"),
            ("bitnob", "Awa Ba", OLD, false, "shared"),
            ("bitnob", "Awa Ba", WITHIN_SKEW, false, "shared"),
            ("bitnob", "Awa Ba", None, false, "shared"),
            ("bitnob", "Awa Ba", NEW, false, "new"),
            ("bitnob", "Awa Ba", NEW, true, "shared"),
            // At the others every create makes a record, so its time proves nothing.
            ("lomi", "Awa Diop", OLD, false, "new"),
            ("lomi", "Awa Ba", OLD, false, "new"),
            ("lomi", "Awa Diop", OLD, true, "existing"),
            ("lomi", "Awa Ba", NEW, true, "shared"),
        ] {
            let found = judged(vendor_name, name, made, answered_before);
            assert_eq!(found, expected, "{vendor_name}: {name}, {made:?}, answered before: {answered_before}");
        }
    }
}
