//! Lists and look-ups that tell the truth: a filter that the provider lacks, or answers loosely, is applied again,
//! exactly, over a bounded number of the provider's pages.

use std::sync::Arc;

use crate::{
    kit::{CustomerPage, CustomerProvider, Plan, Transport, run},
    model::{
        BorrowedCustomer, CreateCustomer, Created, Customer, CustomerFilter, Error, Field, FieldError, Kind,
        ListCustomers, Lookup, Operation, Page, Position, Request,
        manifest::{FilterSupport, Manifest, Support},
    },
};

/// How many of the provider's pages one call reads at the most while it filters.
pub const SCAN_PAGES: usize = 20;

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

    /// Who applies a filter at a provider. A filter that the provider cannot have is refused before.
    pub fn of(filter: &CustomerFilter, manifest: &Manifest) -> Self {
        if filter.is_empty() {
            return Self::NoFilter;
        }
        match divide(filter, manifest) {
            Ok(Division { again, .. }) if again.is_empty() => Self::Provider,
            _ => Self::Gateway,
        }
    }
}

/// A filter divided between the provider and the gateway.
pub(super) struct Division {
    /// What the provider is sent.
    pub(super) sent: CustomerFilter,
    /// What the gateway compares again.
    pub(super) again: CustomerFilter,
}

/// Divides a filter. One by a field that the provider does not hold is refused.
pub(super) fn divide(filter: &CustomerFilter, manifest: &Manifest) -> Result<Division, Error> {
    let (mut sent, mut again) = (filter.clone(), filter.clone());
    let filters = &manifest.filters;
    let is_alone = filter.len() == 1;
    let mut missing = Vec::new();
    macro_rules! divide {
        ($($field:ident),*) => {$(
            if filter.$field.is_some() {
                match filters.$field {
                    FilterSupport::Exact => again.$field = None,
                    FilterSupport::Alone if is_alone => again.$field = None,
                    FilterSupport::Alone => sent.$field = None,
                    FilterSupport::Loose(_) => {}
                    FilterSupport::Scan => sent.$field = None,
                    FilterSupport::No(why) => missing.push(FieldError::new(stringify!($field), why)),
                }
            }
        )*};
    }
    divide!(email, phone, did, blocked, search);
    if missing.is_empty() { Ok(Division { sent, again }) } else { Err(Error::invalid(missing)) }
}

/// One page of a walk through a list, planned.
pub(super) struct PlannedList {
    provider: Arc<dyn CustomerProvider>,
    /// How many customers the caller wants.
    wanted: usize,
    /// How many of the first page's entries were already shown, or passed over.
    skip: u16,
    /// What the gateway compares again.
    again: CustomerFilter,
    /// What the provider is asked first.
    asked: ListCustomers,
    first: Plan<CustomerPage>,
}

impl PlannedList {
    pub(super) fn new(provider: &Arc<dyn CustomerProvider>, command: &ListCustomers) -> Result<Self, Error> {
        let manifest = provider.manifest();
        let Division { sent, again } = divide(&command.filter, manifest)?;
        manifest.require(Operation::List)?;
        let most = manifest.paging.max_limit;
        let limit = if again.is_empty() { command.limit.min(most) } else { most };
        let (position, skip) = command.position.in_page();
        let asked = ListCustomers { limit, position: position.clone(), filter: sent };
        let first = provider.plan_list(&asked)?;
        Ok(Self { provider: Arc::clone(provider), wanted: command.limit.into(), skip, again, asked, first })
    }

    /// The plan of the first request.
    pub(super) const fn first(&self) -> &Plan<CustomerPage> {
        &self.first
    }

    /// Reads the page, or as many of the provider's pages as filtering needs, up to a bound.
    pub(super) async fn read(self, transport: &dyn Transport) -> Result<Page<Customer>, Error> {
        let Self { provider, wanted, skip, again, mut asked, first } = self;
        let scans = !again.is_empty();
        let mut pages_left = if scans { SCAN_PAGES } else { wanted.div_ceil(usize::from(asked.limit.max(1))) };
        let mut plan = first;
        let mut skip = usize::from(skip);
        let mut items: Vec<Customer> = Vec::new();
        loop {
            pages_left = pages_left.saturating_sub(1);
            let page = run(transport, plan.into_owned()).await?;
            let total = page.total.filter(|_| !scans);
            let mut next = page.next;
            for (place, customer) in page.items.into_iter().enumerate().skip(std::mem::take(&mut skip)) {
                if items.len() == wanted {
                    next = Some(asked.position.clone().within(u16::try_from(place).unwrap_or(u16::MAX)));
                    break;
                }
                if again.matches(&customer) {
                    items.push(customer);
                }
            }
            match &next {
                Some(position @ (Position::Offset(_) | Position::Token(_)))
                    if items.len() < wanted && *position != asked.position && pages_left > 0 =>
                {
                    asked.position = position.clone();
                    plan = provider.plan_list(&asked)?;
                }
                _ => return Ok(Page { items, next, total }),
            }
        }
    }

    /// Reads the page as [`Self::read`] does, and shows it. Where one page of the provider is enough, its customers are
    /// shown as they lie in the answer, and nothing is kept.
    pub(super) async fn show<R>(
        self,
        transport: &dyn Transport,
        show: impl FnOnce(Page<BorrowedCustomer<'_>>) -> R,
    ) -> Result<R, Error> {
        if !self.again.is_empty() || self.skip > 0 || usize::from(self.asked.limit) < self.wanted {
            let Page { items, next, total } = self.read(transport).await?;
            return Ok(show(Page { items: items.iter().map(Customer::borrowed).collect(), next, total }));
        }
        let Self { wanted, asked, first, .. } = self;
        let answer = run(transport, first).await?;
        let mut page = answer.borrowed()?;
        if page.items.len() > wanted {
            page.items.truncate(wanted);
            page.next = Some(asked.position.within(asked.limit));
        }
        Ok(show(page))
    }
}

/// How a provider answers a look-up.
pub fn lookup_support(manifest: &Manifest, lookup: &Lookup) -> FilterSupport {
    match lookup {
        Lookup::Email(_) => manifest.lookups.email,
        Lookup::Phone(_) => manifest.lookups.phone,
        Lookup::Did(_) => manifest.lookups.did,
        Lookup::Reference(_) => manifest.lookups.reference,
    }
}

/// A look-up, planned: native, or as a filtered list that is read to a bound.
pub(super) enum PlannedLookup {
    Native(Box<Plan<Option<Customer>>>),
    Scan(Box<PlannedList>),
}

impl PlannedLookup {
    pub(super) fn new(provider: &Arc<dyn CustomerProvider>, lookup: &Lookup) -> Result<Self, Error> {
        match lookup_support(provider.manifest(), lookup) {
            FilterSupport::No(why) => Err(Error::invalid(vec![FieldError::new(lookup.key(), why)])),
            FilterSupport::Exact | FilterSupport::Alone => Ok(Self::Native(Box::new(provider.plan_find(lookup)?))),
            FilterSupport::Loose(_) | FilterSupport::Scan => {
                let list = ListCustomers { limit: 1, position: Position::START, filter: lookup.into() };
                PlannedList::new(provider, &list).map(|list| Self::Scan(Box::new(list)))
            }
        }
    }

    /// The first request, and what is known to follow.
    pub(super) fn requests(&self) -> Vec<&Request> {
        match self {
            Self::Native(plan) => plan.requests(),
            Self::Scan(list) => list.first().requests(),
        }
    }

    /// Finds the customer. `None` only where there is none.
    pub(super) async fn run(self, transport: &dyn Transport) -> Result<Option<Customer>, Error> {
        let list = match self {
            Self::Native(plan) => return run(transport, *plan).await,
            Self::Scan(list) => list,
        };
        let found = list.read(transport).await?;
        match (found.items.into_iter().next(), found.next) {
            (Some(customer), _) => Ok(Some(customer)),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Error::new(
                Kind::ScanBound,
                format!("no match in the first {SCAN_PAGES} pages of the provider's list; there are more"),
            )),
        }
    }
}

/// The rule that a report gives where a distinct create matched.
const fn matched_by(lookup: &Lookup) -> &'static str {
    match lookup {
        Lookup::Phone(_) => "existing customer matched by phone, by the gateway",
        Lookup::Email(_) | Lookup::Did(_) | Lookup::Reference(_) => {
            "existing customer matched by email, by the gateway"
        }
    }
}

/// The look-up that decides whether a distinct create finds a customer; `None` where the provider decides itself, or
/// the create is a plain one.
pub(super) fn distinct_lookup(manifest: &Manifest, command: &CreateCustomer) -> Result<Option<Lookup>, Error> {
    if !command.distinct || manifest.distinct == Support::Native {
        return Ok(None);
    }
    match matching_lookup(manifest, command) {
        Some(lookup) => Ok(Some(lookup)),
        None => Err(Error::invalid(vec![FieldError::new(
            "distinct",
            "needs an `email` or a `phone` to find an existing customer by",
        )])),
    }
}

/// The look-up of a customer who matches what a create sends.
fn matching_lookup(manifest: &Manifest, command: &CreateCustomer) -> Option<Lookup> {
    let lookups = [
        command.fields.email.set().map(|email| Lookup::Email(email.clone())),
        command.fields.phone.set().map(|phone| Lookup::Phone(phone.clone())),
    ];
    let usable = |lookup: &Lookup| !matches!(lookup_support(manifest, lookup), FilterSupport::No(_));
    lookups.into_iter().flatten().find(usable)
}

/// The customer that a distinct create has found, if it did not make one: the one that matches now. Also where the
/// provider has decided, which cannot be asked again without a create.
pub(super) async fn existing_by_now(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    command: &CreateCustomer,
) -> Result<Option<Created>, Error> {
    match matching_lookup(provider.manifest(), command) {
        Some(lookup) => matched(PlannedLookup::new(provider, &lookup)?, &lookup, transport).await,
        None => Ok(None),
    }
}

/// The customer that a look-up finds for a distinct create.
pub(super) async fn matched(
    planned: PlannedLookup,
    lookup: &Lookup,
    transport: &dyn Transport,
) -> Result<Option<Created>, Error> {
    Ok(planned.run(transport).await?.map(|mut customer| {
        customer.fidelity.derived(Field::Id, matched_by(lookup));
        Created { customer, existing: true }
    }))
}
