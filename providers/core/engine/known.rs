//! Look-ups at a provider whose lists do not show every customer. The gateway searches the list as at other providers.
//! If the list does not show the customer, the gateway asks for the customers that it created or changed itself
//! ([`KnownCustomers`](crate::kit::KnownCustomers)), retrieves each by id, and compares.

use std::sync::Arc;

use super::{
    execute::retrieve,
    lists::{PlannedLookup, ambiguous},
};
use crate::{
    kit::{CustomerProvider, Transport},
    model::{Customer, CustomerFields, CustomerFilter, CustomerId, Error, Kind, Lookup, Request},
};

/// The plan of a look-up at such a provider.
pub(super) struct PartialLookup {
    /// The search in the list.
    search: PlannedLookup,
    provider: Arc<dyn CustomerProvider>,
    lookup: Lookup,
}

impl PartialLookup {
    /// Adds the customers that the gateway knows to a search, if the provider's lists do not show every customer.
    pub(super) fn around(
        search: PlannedLookup,
        provider: &Arc<dyn CustomerProvider>,
        lookup: &Lookup,
    ) -> PlannedLookup {
        if provider.manifest().lists.is_complete() {
            return search;
        }
        let partial = Self { search, provider: Arc::clone(provider), lookup: lookup.clone() };
        PlannedLookup::Partial(Box::new(partial))
    }

    /// The requests of the search. Which customers are retrieved after it is not known yet.
    pub(super) fn requests(&self) -> Vec<&Request> {
        self.search.requests()
    }

    /// Sends the look-up. `None` means that neither the list nor the gateway knows a customer that matches.
    pub(super) async fn run(self, transport: &dyn Transport) -> Result<Option<Customer>, Error> {
        let Self { search, provider, lookup } = self;
        let listed = match Box::pin(search.run(transport)).await {
            Ok(Some(customer)) => return Ok(Some(customer)),
            Err(error) if error.kind != Kind::ScanBound => return Err(error),
            nothing => nothing,
        };
        let mut known = known_matches(&provider, transport, &lookup).await?;
        match known.len() {
            0 => listed,
            1 => Ok(known.pop()),
            _ => Err(ambiguous(known)),
        }
    }
}

/// The customers that the gateway knows by this e-mail address or phone number, as the provider shows them now, the
/// newest first. What the gateway knew wrongly is corrected.
pub(super) async fn known_matches(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    lookup: &Lookup,
) -> Result<Vec<Customer>, Error> {
    let Some(known) = transport.known_customers() else { return Ok(Vec::new()) };
    let filter = CustomerFilter::from(lookup);
    if filter.is_empty() {
        return Ok(Vec::new());
    }
    let mut matching = Vec::new();
    for id in known.find(lookup).await? {
        // The pattern of ids may have changed since the id was stored.
        let Ok(parsed) = CustomerId::parse(id.clone(), &provider.manifest().id) else { continue };
        match retrieve(provider, transport, &parsed).await {
            Ok(customer) if filter.matches(&customer) => matching.push(customer),
            Ok(customer) => known.correct(lookup, &id, Some(&customer)).await,
            Err(error) if error.kind == Kind::NotFound => known.correct(lookup, &id, None).await,
            Err(error) => return Err(error),
        }
    }
    Ok(matching)
}

/// Adds the customers that could be the one that a create made, and that the gateway knows, if the provider's list does
/// not show every customer and has shown no candidate.
pub(super) async fn known_candidates(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    sent: &CustomerFields,
    is_candidate: impl Fn(&Customer) -> bool,
    candidates: &mut Vec<Customer>,
) -> Result<(), Error> {
    if provider.manifest().lists.is_complete() || !candidates.is_empty() {
        return Ok(());
    }
    for lookup in contact_lookups(sent).into_iter().flatten() {
        for customer in known_matches(provider, transport, &lookup).await?.into_iter().filter(&is_candidate) {
            if candidates.iter().all(|found| found.id != customer.id) {
                candidates.push(customer);
            }
        }
    }
    Ok(())
}

/// The look-ups by the e-mail address and by the phone number that a command sets.
pub(super) fn contact_lookups(fields: &CustomerFields) -> [Option<Lookup>; 2] {
    [
        fields.email.set().map(|email| Lookup::Email(email.clone())),
        fields.phone.set().map(|phone| Lookup::Phone(phone.clone())),
    ]
}
