//! Lists and look-ups with exact filters. If the provider lacks a filter, or applies it only loosely, the gateway reads
//! a bounded number of the provider's pages and applies the filter itself.
//!
//! A look-up answers "no customer" only after the gateway has read the whole list; at the bound it fails with
//! [`Kind::ScanBound`]. Where several customers match, it fails with [`Kind::Ambiguous`].

use std::sync::Arc;

use super::{in_full::in_full, known::PartialLookup};
use crate::{
    engine::identity::{self, Asked},
    kit::{CustomerPage, CustomerProvider, Plan, Transport, read_large, run},
    model::{
        BorrowedCustomer, Customer, CustomerFilter, CustomerId, Error, Field, FieldError, Kind, ListCustomers, Lookup,
        Operation, Page, Position, Request,
        manifest::{FilterSupport, Manifest, PagingStyle},
    },
};

/// The most provider pages that one call reads while the gateway filters.
pub const SCAN_PAGES: usize = 20;

/// The most customers that a look-up reports as matching. One more would not help the client to choose.
const MOST_MATCHES: u16 = 100;

/// The detail of a look-up that fails because the provider does not have its route.
const LACKS_LOOKUP: &str =
    "the provider's API lacks the look-up of customers for this account; is `base_url` right, and `generation`?";

/// The rule in the report of a look-up that found one customer, and did not reach the end of the list.
const ONLY_MATCH_READ: &str =
    "the only match in the first pages of the provider's list, which is longer than the gateway reads";

/// Who applied the filter of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilteredBy {
    /// There was no filter.
    NoFilter,
    /// The provider.
    Provider,
    /// The gateway, after the provider or alone.
    Gateway,
}

impl FilteredBy {
    /// The word of the API; `None` without a filter.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::NoFilter => None,
            Self::Provider => Some("provider"),
            Self::Gateway => Some("gateway"),
        }
    }

    /// Who applies this filter for this provider. The plan of a list refuses a filter on a field that the provider
    /// lacks.
    pub fn of(filter: &CustomerFilter, manifest: &Manifest) -> Self {
        if filter.is_empty() {
            return Self::NoFilter;
        }
        match split_filter(filter, manifest) {
            Ok(SplitFilter { gateway, .. }) if gateway.is_empty() => Self::Provider,
            _ => Self::Gateway,
        }
    }
}

/// A filter split between the provider and the gateway.
pub(super) struct SplitFilter {
    /// The conditions that the gateway sends to the provider.
    pub(super) provider: CustomerFilter,
    /// The conditions that the gateway checks itself on every customer of the answer.
    pub(super) gateway: CustomerFilter,
}

/// Splits a filter. Refuses a filter on a field that the provider does not store.
pub(super) fn split_filter(filter: &CustomerFilter, manifest: &Manifest) -> Result<SplitFilter, Error> {
    let (mut provider, mut gateway) = (filter.clone(), filter.clone());
    let filters = &manifest.filters;
    let is_only_condition = filter.len() == 1;
    let mut missing = Vec::new();
    macro_rules! split {
        ($($field:ident),*) => {$(
            if filter.$field.is_some() {
                match filters.$field {
                    FilterSupport::Exact => gateway.$field = None,
                    FilterSupport::Alone if is_only_condition => gateway.$field = None,
                    FilterSupport::Alone => provider.$field = None,
                    FilterSupport::Loose(_) => {}
                    FilterSupport::Scan => provider.$field = None,
                    FilterSupport::No(why) => missing.push(FieldError::new(stringify!($field), why)),
                }
            }
        )*};
    }
    split!(email, phone, did, blocked, search);
    if missing.is_empty() { Ok(SplitFilter { provider, gateway }) } else { Err(Error::invalid(missing)) }
}

/// The plan of one page for the client, which may need several pages of the provider.
pub(super) struct PlannedList {
    provider: Arc<dyn CustomerProvider>,
    /// How many customers the client asked for.
    wanted: usize,
    /// How many entries at the start of the first provider page belong to earlier pages of the client.
    skip: u16,
    /// The conditions that the gateway checks itself.
    gateway_filter: CustomerFilter,
    /// The first list command for the provider.
    request: ListCustomers,
    /// The plan of that command.
    first: Plan<CustomerPage>,
}

impl PlannedList {
    pub(super) fn new(provider: &Arc<dyn CustomerProvider>, command: &ListCustomers) -> Result<Self, Error> {
        let manifest = provider.manifest();
        let SplitFilter { provider: filter, gateway: gateway_filter } = split_filter(&command.filter, manifest)?;
        manifest.require(Operation::List)?;
        let max_limit = manifest.paging.max_limit;
        let limit = if gateway_filter.is_empty() { command.limit.min(max_limit) } else { max_limit };
        let (position, skip) = command.position.in_page();
        let request = ListCustomers { limit, position: position.clone(), filter };
        let first = provider.plan_list(&request)?;
        Ok(Self { provider: Arc::clone(provider), wanted: command.limit.into(), skip, gateway_filter, request, first })
    }

    /// The plan of the first request.
    pub(super) const fn first(&self) -> &Plan<CustomerPage> {
        &self.first
    }

    /// Sends the list and reads the page. While the gateway filters, this reads at most [`SCAN_PAGES`] provider pages.
    pub(super) async fn read(self, transport: &dyn Transport) -> Result<Page<Customer>, Error> {
        let Self { provider, wanted, skip, gateway_filter, mut request, first } = self;
        let scans = !gateway_filter.is_empty();
        let style = provider.manifest().paging.style;
        let mut pages_left = if scans { SCAN_PAGES } else { wanted.div_ceil(usize::from(request.limit.max(1))) };
        let mut plan = first;
        let mut skip = usize::from(skip);
        let mut items: Vec<Customer> = Vec::new();
        loop {
            pages_left = pages_left.saturating_sub(1);
            let page = run(transport, identity::owned_page(plan, provider.manifest())).await?;
            let page = page.that_continues(request.limit, style)?;
            let total = page.total.filter(|_| !scans);
            let mut next = page.next;
            for (index, customer) in page.items.into_iter().enumerate().skip(std::mem::take(&mut skip)) {
                if items.len() == wanted {
                    next = Some(request.position.clone().within(u16::try_from(index).unwrap_or(u16::MAX)));
                    break;
                }
                if gateway_filter.matches(&customer) {
                    items.push(customer);
                }
            }
            match &next {
                Some(position @ (Position::Offset(_) | Position::Token(_)))
                    if items.len() < wanted && *position != request.position && pages_left > 0 =>
                {
                    request.position = position.clone();
                    plan = provider.plan_list(&request)?;
                }
                _ => return Ok(Page { items, next, total }),
            }
        }
    }

    /// Reads the page as [`Self::read`] does and passes it to `show`. If one provider page is enough, its customers
    /// borrow their text from the answer, and nothing is copied.
    pub(super) async fn show<R>(
        self: Box<Self>,
        transport: &dyn Transport,
        show: impl FnOnce(Page<BorrowedCustomer<'_>>) -> R,
    ) -> Result<R, Error> {
        if !self.gateway_filter.is_empty() || self.skip > 0 || usize::from(self.request.limit) < self.wanted {
            let Page { items, next, total } = Box::pin(self.read(transport)).await?;
            return Ok(show(Page { items: items.iter().map(Customer::borrowed).collect(), next, total }));
        }
        let Self { provider, wanted, request, first, .. } = *self;
        let style = provider.manifest().paging.style;
        let answer = run(transport, first).await?;
        if answer.is_large() {
            let page = Box::pin(read_large(transport, move || answer.into_owned())).await?;
            identity::check_page(&page, provider.manifest())?;
            let Page { items, next, total } = shown(page, &request, style, wanted)?;
            return Ok(show(Page { items: items.iter().map(Customer::borrowed).collect(), next, total }));
        }
        let page = answer.borrowed()?;
        identity::check_page(&page, provider.manifest())?;
        Ok(show(shown(page, &request, style, wanted)?))
    }
}

/// The first entries of a provider's page, as many as the client wants. The next page of the client begins behind them.
fn shown<T>(page: Page<T>, request: &ListCustomers, style: PagingStyle, wanted: usize) -> Result<Page<T>, Error> {
    let mut page = page.that_continues(request.limit, style)?;
    if page.items.len() > wanted {
        page.items.truncate(wanted);
        page.next = Some(request.position.clone().within(request.limit));
    }
    Ok(page)
}

/// Who answers a look-up for this provider, and how exactly.
pub fn lookup_support(manifest: &Manifest, lookup: &Lookup) -> FilterSupport {
    match lookup {
        Lookup::Email(_) => manifest.lookups.email,
        Lookup::Phone(_) => manifest.lookups.phone,
        Lookup::Did(_) => manifest.lookups.did,
        Lookup::Reference(_) => manifest.lookups.reference,
    }
}

/// The error for a look-up that several customers match.
pub(super) fn ambiguous(matching: Vec<Customer>) -> Error {
    let ids = matching.into_iter().map(|customer| customer.id.to_string()).collect();
    Error::new(Kind::Ambiguous, "several customers match").with_matching(ids)
}

/// The plan of a look-up.
pub(super) enum PlannedLookup {
    /// The provider finds the customer.
    Native(Box<Plan<Option<Box<Customer>>>>, &'static Manifest),
    /// The gateway searches a bounded number of list pages.
    Scan(Box<PlannedList>),
    /// The same, at a provider whose lists do not show every customer.
    Partial(Box<PartialLookup>),
    /// The gateway knows the customer, and only compares it.
    Known(Box<KnownMatch>),
}

/// A customer that the gateway knows, with what it has to match.
pub(super) struct KnownMatch {
    plan: Plan<Box<Customer>>,
    asked: Asked,
    filter: CustomerFilter,
}

impl KnownMatch {
    async fn run(self, transport: &dyn Transport) -> Result<Box<Customer>, Error> {
        let Self { plan, asked, filter } = self;
        let changed = || {
            let detail = "the existing customer was changed or deleted after it had been found; nothing was created; try \
                          again";
            Error::new(Kind::StoreUnavailable, detail)
        };
        let customer = run(transport, plan).await.map_err(|error| match error.kind {
            Kind::NotFound => changed(),
            _ => error,
        })?;
        let customer = asked.checked(customer)?;
        if filter.matches(&customer) { Ok(customer) } else { Err(changed()) }
    }
}

impl PlannedLookup {
    pub(super) fn new(provider: &Arc<dyn CustomerProvider>, lookup: &Lookup) -> Result<Self, Error> {
        let search = match lookup_support(provider.manifest(), lookup) {
            FilterSupport::No(why) => return Err(Error::invalid(vec![FieldError::new(lookup.key(), why)])),
            FilterSupport::Exact | FilterSupport::Alone => {
                Self::Native(Box::new(provider.plan_find(lookup)?), provider.manifest())
            }
            FilterSupport::Loose(_) | FilterSupport::Scan => {
                let list = ListCustomers { limit: MOST_MATCHES, position: Position::START, filter: lookup.into() };
                Self::Scan(Box::new(PlannedList::new(provider, &list)?))
            }
        };
        Ok(PartialLookup::around(search, provider, lookup))
    }

    /// A look-up of which the gateway knows the result.
    pub(super) fn of_known(
        provider: &Arc<dyn CustomerProvider>,
        id: &CustomerId,
        lookup: &Lookup,
    ) -> Result<Self, Error> {
        let asked = Asked::new(id, provider.manifest());
        let known = KnownMatch { plan: provider.plan_retrieve(id)?, asked, filter: lookup.into() };
        Ok(Self::Known(Box::new(known)))
    }

    /// The first request, and the later ones that are already known.
    pub(super) fn requests(&self) -> Vec<&Request> {
        match self {
            Self::Native(plan, _) => plan.requests(),
            Self::Scan(list) => list.first().requests(),
            Self::Partial(lookup) => lookup.requests(),
            Self::Known(known) => known.plan.requests(),
        }
    }

    /// Sends the look-up. `None` means that no customer matches; a search that reached its bound is an error.
    pub(super) async fn run(self, transport: &dyn Transport) -> Result<Option<Box<Customer>>, Error> {
        self.search(transport).await.map_err(|error| match error.kind {
            Kind::NotSupported => error.with_detail(LACKS_LOOKUP),
            _ => error,
        })
    }

    async fn search(self, transport: &dyn Transport) -> Result<Option<Box<Customer>>, Error> {
        let list = match self {
            Self::Native(plan, manifest) => {
                let found = run(transport, *plan).await?;
                if let Some(customer) = &found {
                    identity::check(customer, manifest)?;
                }
                return Ok(found);
            }
            Self::Partial(lookup) => return lookup.run(transport).await,
            Self::Known(known) => return known.run(transport).await.map(Some),
            Self::Scan(list) => list,
        };
        let (provider, filter) = (Arc::clone(&list.provider), list.gateway_filter.clone());
        let Page { items, next, .. } = list.read(transport).await?;
        let mut matching: Vec<Customer> = Vec::new();
        for customer in items {
            // If new customers arrive at the beginning of the list during the scan, the next page repeats entries.
            if matching.iter().all(|known| known.id != customer.id) {
                matching.push(customer);
            }
        }
        if matching.len() > 1 {
            return Err(ambiguous(matching));
        }
        let found = match matching.pop() {
            Some(entry) => in_full(&provider, transport, entry).await?.filter(|customer| filter.matches(customer)),
            None => None,
        };
        match (found, next) {
            (Some(customer), None) => Ok(Some(customer.into())),
            (Some(mut customer), Some(_)) => {
                customer.fidelity.derived(Field::Id, ONLY_MATCH_READ);
                Ok(Some(customer.into()))
            }
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Error::new(
                Kind::ScanBound,
                format!(
                    "no customer matches in the first {SCAN_PAGES} pages of the provider's list, which has more pages"
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task};

    use async_trait::async_trait;
    use http::StatusCode;

    use super::*;
    use crate::{kit::Settings, model::Response, text::Text, vendor};

    const ID: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";

    /// A provider that answers every request with this status and document.
    struct Answering(StatusCode, String);

    #[async_trait]
    impl Transport for Answering {
        async fn send(&self, _: Arc<Request>, _: bool) -> Result<Response, Error> {
            let mut response = Response::new(self.1.clone().into());
            *response.status_mut() = self.0;
            Ok(response)
        }
    }

    /// The gateway has found the customer of a distinct create, and the create finds it gone or with another e-mail address.
    /// To answer "no such customer" would be wrong: the client asks for one to be made, and a repetition makes it.
    #[test]
    fn a_known_customer_who_was_changed_or_deleted_since_is_an_error_that_asks_for_a_repetition() {
        let vendor = vendor("modempay").expect("a vendor");
        let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
        let provider = (vendor.connect)(settings);
        let id = CustomerId::parse(Text::from_static(ID), &provider.manifest().id).expect("an id");
        let lookup = Lookup::Email(Text::from_static("awa@example.com"));
        let record = |email: &str| format!(r#"{{"id":"{ID}","name":"Awa Diop","email":"{email}"}}"#);
        let refusal = |message: &str| format!(r#"{{"message":"{message}"}}"#);
        for (status, document, expected) in [
            (StatusCode::OK, record("awa@example.com"), Ok(ID)),
            (StatusCode::OK, record("moved@example.com"), Err(Kind::StoreUnavailable)),
            (StatusCode::NOT_FOUND, refusal("Customer not found"), Err(Kind::StoreUnavailable)),
            (StatusCode::UNAUTHORIZED, refusal("Invalid key"), Err(Kind::Unauthorized)),
        ] {
            let planned = PlannedLookup::of_known(&provider, &id, &lookup).expect("a look-up");
            let transport = Answering(status, document);
            let mut context = task::Context::from_waker(task::Waker::noop());
            let task::Poll::Ready(found) = pin!(planned.run(&transport)).poll(&mut context) else {
                panic!("the transport never waits")
            };
            let found = found.map(|customer| customer.expect("the known customer").id.to_string());
            assert_eq!(found.as_deref().map_err(|error| error.kind), expected, "{}", transport.1);
        }
    }
}
