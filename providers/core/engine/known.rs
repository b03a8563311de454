//! Look-ups at a provider whose lists do not show every customer. The gateway searches the list as at other providers.
//! It also asks for the customers that it created or changed itself ([`KnownCustomers`](crate::kit::KnownCustomers)),
//! retrieves each that the list did not show by id, and compares. So a listed match never hides another one.

use std::sync::Arc;

use super::{
    execute::retrieve,
    lists::{PlannedLookup, ambiguous},
};
use crate::{
    kit::{CustomerProvider, Transport},
    model::{Customer, CustomerFields, CustomerFilter, CustomerId, Error, Field, Kind, Lookup, Request},
};

/// The rule in the report of a look-up that could not ask for the customers that the gateway knows.
const ONLY_MATCH_LISTED: &str =
    "the only match in the provider's list, which is partial; the gateway's store could not be read for more";

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
    pub(super) async fn run(self, transport: &dyn Transport) -> Result<Option<Box<Customer>>, Error> {
        let Self { search, provider, lookup } = self;
        let (mut matching, nothing) = match Box::pin(search.run(transport)).await {
            Ok(Some(customer)) => (vec![*customer], Ok(None)),
            Err(error) if error.kind != Kind::ScanBound => return Err(error),
            nothing => (Vec::new(), nothing),
        };
        match (add_known_matches(&provider, transport, &lookup, &mut matching).await, &mut matching[..]) {
            (Ok(()), _) => {}
            (Err(error), [listed]) if error.kind == Kind::StoreUnavailable => {
                listed.fidelity.derived(Field::Id, ONLY_MATCH_LISTED);
            }
            (Err(error), _) => return Err(error),
        }
        match matching.len() {
            0 => nothing,
            1 => Ok(matching.pop().map(Box::new)),
            _ => Err(ambiguous(matching)),
        }
    }
}

/// Adds the customers that the gateway knows by this e-mail address or phone number, as the provider shows them now, the
/// newest first. What the gateway knew wrongly is corrected.
async fn add_known_matches(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    lookup: &Lookup,
    matching: &mut Vec<Customer>,
) -> Result<(), Error> {
    let Some(known) = transport.known_customers() else { return Ok(()) };
    let filter = CustomerFilter::from(lookup);
    if filter.is_empty() {
        return Ok(());
    }
    for id in known.find(lookup).await? {
        // The pattern of ids may have changed since the id was stored.
        let Ok(parsed) = CustomerId::parse(id.clone(), &provider.manifest().id) else { continue };
        if matching.iter().any(|customer| parsed.is_at_provider(&customer.id)) {
            continue;
        }
        match retrieve(provider, transport, &parsed).await {
            Ok(customer) if filter.matches(&customer) => matching.push(*customer),
            Ok(customer) => known.correct(lookup, &id, Some(&customer)).await,
            Err(error) if error.kind == Kind::NotFound => known.correct(lookup, &id, None).await,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Adds the customers that could be the one that a create made, and that the gateway knows, if the provider's list does
/// not show every customer.
pub(super) async fn known_candidates(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    sent: &CustomerFields,
    is_candidate: impl Fn(&Customer) -> bool,
    candidates: &mut Vec<Customer>,
) -> Result<(), Error> {
    if provider.manifest().lists.is_complete() {
        return Ok(());
    }
    for lookup in contact_lookups(sent).into_iter().flatten() {
        add_known_matches(provider, transport, &lookup, candidates).await?;
    }
    candidates.retain(is_candidate);
    Ok(())
}

/// The look-ups by the e-mail address and by the phone number that a command sets.
pub(super) fn contact_lookups(fields: &CustomerFields) -> [Option<Lookup>; 2] {
    [
        fields.email.set().map(|email| Lookup::Email(email.clone())),
        fields.phone.set().map(|phone| Lookup::Phone(phone.clone())),
    ]
}
