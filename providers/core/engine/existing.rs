//! Creates that a provider answers with a record that existed before. Providers where an e-mail address is unique do this.
//!
//! `src/writes` calls [`judge`] with what the store knows: whether the record is already the outcome of another create, and
//! how that create was answered.

use std::{borrow::Cow, ops::Deref};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    engine::CLOCK_SKEW,
    model::{
        CreateCustomer, Created, Error, Field, Kind, Operation,
        manifest::{Dedupe, Manifest},
    },
    text::{Str, email, name, time},
};

/// The rule in the report of a create that made no customer.
const ALREADY_HAD: &str = "the provider answered the customer it already had";

/// Whether the record in the answer to a create is the outcome of another create of this gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnsweredBefore {
    /// It is not.
    No,
    /// It is, and the answer to the other create is not known any more.
    Unknown,
    /// It is, and the other create was answered with this person.
    As(Person),
}

/// The e-mail address and the name of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person<T = String> {
    email: Option<T>,
    name: Option<T>,
}

impl Person {
    /// Reads the person from the body of an answer: that of the API, or that of any provider's imitation. `None` if the
    /// body has neither an e-mail address nor a name.
    pub fn in_answer(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        [&body["customer"], &body["data"], &body].into_iter().find_map(Self::in_record)
    }

    fn in_record(record: &Value) -> Option<Self> {
        let text = |member: &str| record[member].as_str().filter(|text| !text.is_empty());
        let joined = |first: &str, last: &str| name::join(text(first), text(last)).map(Cow::into_owned);
        let name = text("name").map(str::to_owned).or_else(|| joined("first_name", "last_name"));
        let (email, name) = (text("email").map(str::to_owned), name.or_else(|| joined("firstName", "lastName")));
        (email.is_some() || name.is_some()).then_some(Self { email, name })
    }
}

impl<T: Deref<Target = str>> Person<T> {
    /// Whether this is not the person of a create. A value that the create does not send does not differ. Neither does one
    /// that this person lacks, where the answer to the create lacks it too.
    fn differs<A>(&self, create: &CreateCustomer, answered: &Person<A>) -> bool {
        let words = |name: &str| name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
        let has_email = create.fields.email.set().is_none_or(|sent| match &self.email {
            Some(email) => email::same(email, sent),
            None => answered.email.is_none(),
        });
        // A distinct create asks for the customer with its e-mail address, whatever the customer's name is.
        let has_name = create.distinct
            || create.fields.full_name().set().is_none_or(|sent| match &self.name {
                Some(name) => words(name) == words(sent),
                None => answered.name.is_none(),
            });
        !(has_email && has_name)
    }
}

/// Decides whether the answer to a create is a record that existed. `began` is when the create was first sent.
///
/// An old record is one that was made more than two minutes (`CLOCK_SKEW`) before `began`. What its age proves depends on
/// the provider:
///
/// - Where a second create answers the first record (`Dedupe::Unique`), an old record existed. Younger records that
///   existed are known by having been answered before, except those that another system made within that time.
/// - Elsewhere every create makes a record. Test systems answer creates with the times of their documents and the values
///   that were sent, so an old record with the sent values counts as made. An old record with another e-mail address or
///   name belongs to another customer.
///
/// A record that existed is the answer if it has the e-mail address and the name that were sent, now and when it was
/// answered before. One that differs belongs to another customer, and is an error with its id.
pub fn judge(
    created: Created,
    create: &CreateCustomer,
    manifest: &Manifest,
    began: Timestamp,
    answered_before: &AnsweredBefore,
) -> Result<Created, Error> {
    let Created { mut customer, existing } = created;
    let is_answered_before = *answered_before != AnsweredBefore::No;
    // The match that a distinct create asked for.
    if existing && !is_answered_before {
        return Ok(Created { customer, existing });
    }
    let is_unique = manifest.dedupe(Operation::Create) == Some(Dedupe::Unique);
    let made = customer.created_at.as_deref().and_then(time::moments);
    let is_old = made.is_some_and(|(_, last)| began.checked_sub(CLOCK_SKEW).is_ok_and(|earliest| last < earliest));
    // Times of records may lack fractions of a second.
    let is_certainly_new = made.is_some_and(|(first, _)| first.as_second() >= began.as_second());
    let answered = Person { email: customer.email.as_deref().map(Str::new), name: customer.full_name() };
    let differed = matches!(answered_before, AnsweredBefore::As(person) if person.differs(create, &answered));
    let may_be_old = if is_unique { !is_certainly_new } else { is_old };
    if differed || ((is_answered_before || may_be_old) && answered.differs(create, &answered)) {
        let detail = "the provider answered an existing customer whose e-mail or name differs from the request";
        return Err(Error::new(Kind::SharedRecord, detail).with_existing(&*customer.id));
    }
    let existed = is_answered_before || (is_unique && is_old);
    if existed && !existing {
        customer.fidelity.derived(Field::Id, ALREADY_HAD);
    }
    Ok(Created { existing: existing || existed, customer })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Customer, CustomerFields, Patch},
        text::Text,
        vendor,
    };

    const BEGAN: &str = "2026-11-20T12:00:00.500Z";

    /// What a create of Awa Diop becomes when the provider answers this record: `new`, `existing` or `shared`.
    fn judged(
        vendor_name: &str,
        name: &'static str,
        made: Option<&'static str>,
        answered_before: &AnsweredBefore,
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
        let create = CreateCustomer { fields, ..CreateCustomer::default() };
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
        const NO: AnsweredBefore = AnsweredBefore::No;
        const BEFORE: AnsweredBefore = AnsweredBefore::Unknown;
        let answered = |json: &str| AnsweredBefore::As(Person::in_answer(json.as_bytes()).expect("a person"));
        let as_sent = answered(r#"{"customer":{"email":"AWA@example.com","name":"awa Diop"}}"#);
        let nameless = answered(r#"{"data":{"email":"awa@example.com"}}"#);
        let other_name = answered(r#"{"email":"awa@example.com","first_name":"Awa","last_name":"Ba"}"#);
        let other_email = answered(r#"{"data":{"email":"fatou@example.com","firstName":"Awa","lastName":"Diop"}}"#);
        for (vendor_name, name, made, answered_before, expected) in [
            ("bitnob", "awa  diop", OLD, &NO, "existing"),
            ("bitnob", "Awa Diop", WITHIN_SKEW, &NO, "new"),
            ("bitnob", "Awa Diop", NEW, &NO, "new"),
            ("bitnob", "Awa Diop", None, &NO, "new"),
            ("bitnob", "Awa Diop", Some("2020-01-01"), &NO, "existing"),
            ("bitnob", "Awa Diop", Some("2020-01-01 00:00:00"), &NO, "existing"),
            ("bitnob", "Awa Diop", Some("2026-11-20"), &NO, "new"),
            ("bitnob", "Awa Diop", Some("2026-11-20 12:00:00"), &NO, "new"),
            ("bitnob", "Awa Diop", NEW, &BEFORE, "existing"),
            ("bitnob", "Awa Ba", OLD, &NO, "shared"),
            ("bitnob", "Awa Ba", WITHIN_SKEW, &NO, "shared"),
            ("bitnob", "Awa Ba", None, &NO, "shared"),
            ("bitnob", "Awa Ba", Some("2026-11-20"), &NO, "shared"),
            ("bitnob", "Awa Ba", NEW, &NO, "new"),
            ("bitnob", "Awa Ba", NEW, &BEFORE, "shared"),
            // At the others every create makes a record, so its time alone proves nothing.
            ("lomi", "Awa Diop", OLD, &NO, "new"),
            ("lomi", "Awa Ba", OLD, &NO, "shared"),
            ("lomi", "Awa Ba", WITHIN_SKEW, &NO, "new"),
            ("lomi", "Awa Ba", None, &NO, "new"),
            ("lomi", "Awa Diop", OLD, &BEFORE, "existing"),
            ("lomi", "Awa Ba", NEW, &BEFORE, "shared"),
            // The answer shows what was sent, whichever record it is.
            ("lomi", "Awa Diop", NEW, &as_sent, "existing"),
            ("lomi", "Awa Ba", NEW, &as_sent, "shared"),
            ("lomi", "Awa Diop", NEW, &nameless, "shared"),
            ("lomi", "Awa Diop", NEW, &other_name, "shared"),
            ("lomi", "Awa Diop", NEW, &other_email, "shared"),
            ("bitnob", "Awa Diop", OLD, &other_name, "shared"),
        ] {
            let found = judged(vendor_name, name, made, answered_before);
            assert_eq!(found, expected, "{vendor_name}: {name}, {made:?}, answered before: {answered_before:?}");
        }
    }
}
