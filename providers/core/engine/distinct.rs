//! Distinct creates: an existing customer that matches is the answer, instead of a second one. It means the same at every
//! provider: the e-mail address decides if there is one, otherwise the phone number.
//!
//! The gateway looks the customer up before it sends the create, at every provider: one match is the answer, and several
//! are an error. Where no customer matches and the provider can decide by the e-mail address itself, the provider does:
//! another system may have created the customer in between.

use std::sync::Arc;

use crate::{
    engine::{
        known::contact_lookups,
        lists::{PlannedLookup, lookup_support},
    },
    kit::{CustomerProvider, Transport},
    model::{
        CreateCustomer, Created, Customer, CustomerFilter, Error, Field, FieldError, Kind, Lookup, Request,
        manifest::{FilterSupport, Manifest, Support},
    },
};

/// How a distinct create finds an existing customer.
pub(super) struct Match {
    pub(super) lookup: Lookup,
    planned: PlannedLookup,
    /// Whether the provider decides during the create.
    pub(super) by_provider: bool,
}

impl Match {
    /// `None` if the create is not distinct.
    pub(super) fn of(provider: &Arc<dyn CustomerProvider>, command: &CreateCustomer) -> Result<Option<Self>, Error> {
        if !command.distinct {
            return Ok(None);
        }
        let manifest = provider.manifest();
        if let Some(existing) = &command.existing
            && let Some(lookup) = contact_lookups(&command.fields).into_iter().flatten().next()
        {
            let planned = PlannedLookup::of_known(provider, existing, &lookup)?;
            return Ok(Some(Self { lookup, planned, by_provider: false }));
        }
        let Some(lookup) = matching_lookup(manifest, command) else {
            return Err(Error::invalid(vec![FieldError::new(
                "distinct",
                "needs an `email` or a `phone` by which an existing customer can be found",
            )]));
        };
        let by_provider = manifest.distinct == Support::Native && matches!(lookup, Lookup::Email(_));
        let planned = PlannedLookup::new(provider, &lookup)?;
        Ok(Some(Self { lookup, planned, by_provider }))
    }

    /// The requests of the look-up, as far as they are known.
    pub(super) fn requests(&self) -> Vec<&Request> {
        self.planned.requests()
    }

    /// The existing customer that matches. Fails if several match.
    pub(super) async fn find(self, transport: &dyn Transport) -> Result<Option<Created>, Error> {
        let Self { lookup, planned, by_provider } = self;
        match planned.run(transport).await {
            Ok(found) => Ok(found.map(|customer| matched(customer, &lookup, false))),
            // The provider decides without the look-up.
            Err(error) if by_provider && error.kind != Kind::Ambiguous => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The answer of a provider that decides itself. An existing customer that it answers must match.
    pub(super) fn confirm(lookup: &Lookup, created: Created) -> Result<Created, Error> {
        if !created.existing {
            return Ok(created);
        }
        if !CustomerFilter::from(lookup).matches(&created.customer) {
            let detail = "the provider answered an existing customer that does not match the request";
            return Err(Error::new(Kind::SharedRecord, detail).with_existing(&*created.customer.id));
        }
        Ok(matched(created.customer, lookup, true))
    }
}

/// The existing customer as the answer to a create, with the rule in its report.
fn matched(mut customer: Box<Customer>, lookup: &Lookup, by_provider: bool) -> Created {
    let rule = match (lookup, by_provider) {
        (Lookup::Phone(_), false) => "existing customer matched by phone, by the gateway",
        (Lookup::Phone(_), true) => "existing customer matched by phone, by the provider",
        (_, false) => "existing customer matched by email, by the gateway",
        (_, true) => "existing customer matched by email, by the provider",
    };
    customer.fidelity.derived(Field::Id, rule);
    Created { customer, existing: true }
}

/// The look-up by the e-mail address, else by the phone number, of those that this provider can look up.
fn matching_lookup(manifest: &Manifest, command: &CreateCustomer) -> Option<Lookup> {
    let usable = |lookup: &Lookup| !matches!(lookup_support(manifest, lookup), FilterSupport::No(_));
    contact_lookups(&command.fields).into_iter().flatten().find(usable)
}

/// The existing customer that a distinct create matches now. The gateway searches even if the provider usually decides,
/// because the provider can only decide during another create.
pub(super) async fn existing_match(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    command: &CreateCustomer,
) -> Result<Option<Created>, Error> {
    match Match::of(provider, command)? {
        Some(matching) => Match { by_provider: false, ..matching }.find(transport).await,
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task};

    use async_trait::async_trait;

    use super::*;
    use crate::{
        Settings,
        engine::reconcile::tests::ListOnly,
        kit::VendorServer,
        model::{CustomerFields, Patch, Response},
        text::Text,
        vendor,
    };

    struct Silent;

    #[async_trait]
    impl Transport for Silent {
        async fn send(&self, _: Arc<Request>, _: bool) -> Result<Response, Error> {
            Err(Error::new(Kind::TimedOut, "no answer"))
        }
    }

    /// What `existing_match` finds for a customer with the address `awa@example.com`.
    fn matching(
        vendor_name: &str,
        transport: impl FnOnce(Arc<dyn VendorServer>) -> Box<dyn Transport>,
    ) -> Result<Option<Created>, Error> {
        let vendor = vendor(vendor_name).expect("a vendor");
        let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
        let email = Patch::Set(Text::from_static("awa@example.com"));
        let fields = CustomerFields { email, ..CustomerFields::default() };
        let create = CreateCustomer { fields, distinct: true, existing: None };
        let (provider, transport) = ((vendor.connect)(settings), transport((vendor.server)(settings)));
        let finding = existing_match(&provider, &*transport, &create);
        let mut context = task::Context::from_waker(task::Waker::noop());
        match pin!(finding).poll(&mut context) {
            task::Poll::Ready(found) => found,
            task::Poll::Pending => panic!("the transport never waits"),
        }
    }

    /// A list that grows while it is read shows a customer twice. Two customers are no match.
    #[test]
    fn a_customer_who_is_listed_twice_is_one_match_and_two_customers_are_none() {
        let customer = |number: u8| Customer {
            id: Text::from(format!("b78de3c9-7f76-4f43-9c5d-19d9f5c7c98{number}").as_str()),
            email: Some(Text::from_static("awa@example.com")),
            ..Customer::default()
        };
        let found = |numbers: &[u8]| {
            let customers = numbers.iter().copied().map(customer).collect();
            let found = matching("lomi", |vendor| Box::new(ListOnly { vendor, customers }));
            found.map(|found| found.map(|created| created.customer.id.to_string())).map_err(|error| error.kind)
        };
        let one = Ok(Some(customer(1).id.to_string()));
        assert_eq!((found(&[1]), found(&[1, 1])), (one.clone(), one));
        assert_eq!((found(&[1, 2]), found(&[])), (Err(Kind::Ambiguous), Ok(None)));
    }

    /// At a provider that decides itself, the gateway searches all the same. Without an answer it knows nothing.
    #[test]
    fn a_match_that_cannot_be_looked_up_is_not_known_to_be_missing() {
        let found = matching("modempay", |_| Box::new(Silent));
        assert_eq!(found.expect_err("nothing was found").kind, Kind::TimedOut);
    }
}
