//! Whose record an answer is. An id that a provider answers must match the provider's own pattern, because the gateway
//! hands it out and later puts it into URLs. An answer about one customer must be about the customer that was asked for.
//!
//! `execute`, `prepare`, `lists`, `offset_pages` and `after_customer` call this for every customer that they read. A page
//! with one unusable id is refused as a whole: leaving the entry out would lose a customer without a word. The same is true
//! of the payment methods, payments and invoices of a customer, which may name no other customer.

use serde_json::Value;

use crate::{
    json::Extra,
    kit::{CustomerPage, Plan},
    model::{Customer, CustomerId, Error, IdPattern, Invoice, Page, Payment, PaymentMethod, manifest::Manifest},
};

/// Refuses an id that does not match the provider's pattern. The error does not repeat the id.
fn check_id(id: &str, manifest: &Manifest) -> Result<(), Error> {
    match manifest.id.matches(id) {
        true => Ok(()),
        false => Err(Error::bad_response(format_args!("a customer whose id does not match {}", manifest.id.described))),
    }
}

/// Checks a customer of an answer that names no customer, such as the answer to a create.
pub(super) fn check(customer: &Customer, manifest: &Manifest) -> Result<(), Error> {
    check_id(&customer.id, manifest)
}

/// Checks the ids of a page.
pub(super) fn check_page<T: std::ops::Deref<Target = str>>(
    page: &Page<Customer<T>>,
    manifest: &Manifest,
) -> Result<(), Error> {
    page.items.iter().try_for_each(|customer| check_id(&customer.id, manifest))
}

/// The plan of a page with owned customers, whose ids are checked.
pub(super) fn owned_page(plan: Plan<CustomerPage>, manifest: &'static Manifest) -> Plan<Page<Customer>> {
    plan.map(move |page| {
        let page = page.into_owned()?;
        check_page(&page, manifest)?;
        Ok(page)
    })
}

/// A record that belongs to a customer.
pub(super) trait Entry: 'static {
    fn id(&self) -> &str;
    fn extra(&self) -> &Extra;
}

macro_rules! entries {
    ($($name:ident),*) => {$(
        impl Entry for $name {
            fn id(&self) -> &str {
                &self.id
            }

            fn extra(&self) -> &Extra {
                &self.extra
            }
        }
    )*};
}

entries!(PaymentMethod, Payment, Invoice);

/// The ids of customers in an entry. A provider writes such an id alone, or in an object with the customer.
fn named_customers(entry: &impl Entry) -> Vec<String> {
    let mut named = Vec::new();
    for (name, value) in entry.extra().members() {
        if matches!(&*name, "customer" | "customer_id" | "customerId") {
            match serde_json::from_str(value.get()).unwrap_or_default() {
                Value::String(id) => named.push(id),
                Value::Object(customer) => named.extend(customer.get("id").and_then(Value::as_str).map(str::to_owned)),
                _ => {}
            }
        }
    }
    named
}

/// The plan of a page of entries, which are checked.
pub(super) fn checked_entries<T: Entry>(
    plan: Plan<Page<T>>,
    id: &CustomerId,
    manifest: &'static Manifest,
) -> Plan<Page<T>> {
    let asked = Asked::new(id, manifest);
    plan.map(move |page| {
        asked.check_entries(&page.items, None)?;
        Ok(page)
    })
}

/// The customer that a command asks for.
pub(super) struct Asked {
    id: CustomerId,
    manifest: &'static Manifest,
}

impl Asked {
    pub(super) fn new(id: &CustomerId, manifest: &'static Manifest) -> Self {
        Self { id: id.clone(), manifest }
    }

    /// The customer of an answer, if it is the one that was asked for.
    pub(super) fn checked(&self, customer: Box<Customer>) -> Result<Box<Customer>, Error> {
        self.check(&customer)?;
        Ok(customer)
    }

    /// Checks that the customer of an answer is the one that was asked for. A provider with DIDs accepts a DID in place
    /// of an id, and answers with the id.
    pub(super) fn check(&self, customer: &Customer) -> Result<(), Error> {
        check(customer, self.manifest)?;
        let has_the_did = customer.did.as_deref().is_some_and(|did| is_did(did, self.id.at_provider()));
        match has_the_did || self.id.is_at_provider(&customer.id) {
            true => Ok(()),
            false => Err(Error::bad_response("another customer than the one that was asked for")),
        }
    }

    /// Checks that entries have usable ids, and that each belongs to the customer, if it names one. `customer` is the
    /// record of the customer, where it is known: an entry may name the customer by its other id.
    pub(super) fn check_entries(&self, entries: &[impl Entry], customer: Option<&Customer>) -> Result<(), Error> {
        let is_own = |named: &str| {
            self.id.is_at_provider(named)
                || customer.is_some_and(|own| {
                    *own.id == *named || own.did.as_deref().is_some_and(|did| is_did(named, did) || is_did(did, named))
                })
        };
        for entry in entries {
            if !IdPattern::PUBLIC.matches(entry.id()) {
                return Err(Error::bad_response("a record of a customer with an unusable id"));
            }
            if !named_customers(entry).iter().all(|named| is_own(named)) {
                return Err(Error::bad_response("a record of another customer than the one that was asked for"));
            }
        }
        Ok(())
    }
}

/// Whether an answered DID is the one that was asked for. It may be written as a URI, such as `did:abt:z1…`.
fn is_did(answered: &str, asked: &str) -> bool {
    let in_uri = || answered.strip_prefix("did:")?.split_once(':').map(|(_, id)| id == asked);
    answered == asked || in_uri() == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{text::Text, vendor};

    fn checked_kind(vendor_name: &str, asked: &'static str, id: &'static str, did: Option<&'static str>) -> bool {
        let manifest = vendor(vendor_name).expect("a vendor").manifests[0];
        let asked = CustomerId::parse(Text::from_static(asked), &manifest.id).expect("an id");
        let customer = Customer { id: Text::from_static(id), did: did.map(Text::from_static), ..Customer::default() };
        Asked::new(&asked, manifest).check(&customer).is_ok()
    }

    #[test]
    fn an_answer_is_about_the_customer_that_was_asked_for() {
        const UPPER: &str = "B78DE3C9-7F76-4F43-9C5D-19D9F5C7C985";
        const LOWER: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
        for (vendor_name, asked, id, did, expected) in [
            ("lomi", UPPER, LOWER, None, true),
            ("lomi", LOWER, "b78de3c9-7f76-4f43-9c5d-19d9f5c7c986", None, false),
            ("lomi", LOWER, "../x", None, false),
            ("notchpay", "cus.aB", "cus.aB", None, true),
            ("notchpay", "cus.aB", "cus.Ab", None, false),
            ("paymentkit", "z1Awa", "cus_1", Some("z1Awa"), true),
            ("paymentkit", "z1Awa", "cus_1", Some("did:abt:z1Awa"), true),
            ("paymentkit", "cus_1", "cus_1", Some("z1Awa"), true),
            ("paymentkit", "z1Awa", "cus_1", Some("z1Other"), false),
            ("paymentkit", "cus_2", "cus_1", Some("z1Awa"), false),
        ] {
            assert_eq!(checked_kind(vendor_name, asked, id, did), expected, "{vendor_name}: {asked}, {id}, {did:?}");
        }
    }
}
