//! Distinct creates: an existing customer that matches is the answer, instead of a second one. It means the same at every
//! provider: the e-mail address decides if there is one, otherwise the phone number.
//!
//! Where the provider can decide by the e-mail address itself, it does; the gateway then checks its answer. Elsewhere, and
//! for phone numbers, the gateway looks the customer up before it sends the create.

use std::sync::Arc;

use crate::{
    engine::lists::{PlannedLookup, lookup_support},
    kit::{CustomerProvider, Transport},
    model::{
        CreateCustomer, Created, Customer, CustomerFilter, Error, Field, FieldError, Kind, Lookup, Request,
        manifest::{FilterSupport, Manifest, Support},
    },
};

/// How a distinct create finds an existing customer.
pub(super) struct Match {
    lookup: Lookup,
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
        let Self { lookup, planned, .. } = self;
        Ok(planned.run(transport).await?.map(|customer| matched(customer, &lookup, false)))
    }

    /// Checks an existing customer that the provider answered: it must match, and no other one may. If the look-up
    /// itself fails, the provider's word stands.
    pub(super) async fn confirm(self, created: Created, transport: &dyn Transport) -> Result<Created, Error> {
        let Self { lookup, planned, .. } = self;
        let Created { customer, .. } = created;
        if !CustomerFilter::from(&lookup).matches(&customer) {
            let detail = "the provider answered an existing customer that does not match the request";
            return Err(Error::new(Kind::SharedRecord, detail).with_existing(&*customer.id));
        }
        match planned.run(transport).await {
            Err(error) if error.kind == Kind::Ambiguous => Err(error),
            _ => Ok(matched(customer, &lookup, true)),
        }
    }
}

/// The existing customer as the answer to a create, with the rule in its report.
fn matched(mut customer: Customer, lookup: &Lookup, by_provider: bool) -> Created {
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
    let lookups = [
        command.fields.email.set().map(|email| Lookup::Email(email.clone())),
        command.fields.phone.set().map(|phone| Lookup::Phone(phone.clone())),
    ];
    let usable = |lookup: &Lookup| !matches!(lookup_support(manifest, lookup), FilterSupport::No(_));
    lookups.into_iter().flatten().find(usable)
}

/// The existing customer that a distinct create matches now. The gateway searches even if the provider usually decides,
/// because the provider can only decide during another create.
pub(super) async fn existing_match(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    command: &CreateCustomer,
) -> Result<Option<Created>, Error> {
    match Match::of(provider, command)? {
        Some(matching) => matching.find(transport).await,
        None => Ok(None),
    }
}
