//! Lists that tell the truth: a filter that the provider lacks, or answers loosely, is applied again,
//! exactly, over a bounded number of the provider's pages.

use crate::{
    engine::prepare,
    kit::{CustomerPage, CustomerProvider, Plan, Transport, run},
    model::{
        CreateCustomer, Created, Customer, CustomerFilter, Error, Fidelity, Field, FieldError, Kind, ListCustomers,
        Lookup, Operation, Page, Position,
        manifest::{FilterSupport, Manifest, Support},
    },
    text::{Str, Text},
};

/// How many of the provider's pages one call reads at the most while it filters.
pub const SCAN_PAGES: usize = 20;

/// A place within a provider's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Where the provider's page begins.
    pub position: Position,
    /// How many of its entries were already shown or passed over.
    pub skip: u16,
}

impl Mark {
    /// The beginning of a list.
    pub const START: Self = Self { position: Position::START, skip: 0 };
}

/// What a merchant asks of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// At most this many customers.
    pub limit: u16,
    /// Where to go on.
    pub mark: Mark,
    /// Which customers.
    pub filter: CustomerFilter,
}

/// Who applied the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilteredBy {
    /// Nobody: there was none.
    Nobody,
    /// The provider.
    Provider,
    /// The gateway, after the provider or alone.
    Gateway,
}

impl FilteredBy {
    /// The word of the API; `None` without a filter.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Nobody => None,
            Self::Provider => Some("provider"),
            Self::Gateway => Some("gateway"),
        }
    }
}

/// What a list call found. `T` is how the customers' text is held.
#[derive(Debug)]
pub struct Listing<T = Text> {
    /// The customers, in the provider's order.
    pub items: Vec<Customer<T>>,
    /// Where to go on; `None` at the end.
    pub next: Option<Mark>,
    /// How many there are in all, where the provider tells and nobody filtered after it.
    pub total: Option<u64>,
    /// Who filtered.
    pub filtered_by: FilteredBy,
    /// What holds for every customer of the page.
    pub fidelity: Fidelity<T>,
}

impl<T: Clone + PartialEq> Listing<T> {
    fn new(mut page: Page<Customer<T>>, next: Option<Mark>, filtered_by: FilteredBy) -> Self {
        let fidelity = Fidelity::hoist(page.items.iter_mut().map(|customer| &mut customer.fidelity));
        Self { items: page.items, next, total: page.total, filtered_by, fidelity }
    }
}

/// A filter divided between the provider and the gateway.
pub(crate) struct Division {
    /// What the provider is sent.
    pub(crate) sent: CustomerFilter,
    /// What is compared again.
    pub(crate) again: CustomerFilter,
}

/// Divides a filter. One by a field that the provider does not hold is refused.
pub(crate) fn divide(filter: &CustomerFilter, manifest: &Manifest) -> Result<Division, Error> {
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

fn page_plan<P: CustomerProvider + ?Sized>(
    provider: &P,
    query: &ListQuery,
    division: &Division,
) -> Result<(ListCustomers, bool), Error> {
    let manifest = provider.manifest();
    prepare::supports(manifest, Operation::List)?;
    let scanning = !division.again.is_empty();
    let limit = if scanning { manifest.paging.max_limit } else { query.limit.min(manifest.paging.max_limit) };
    Ok((ListCustomers { limit, position: query.mark.position.clone(), filter: division.sent.clone() }, scanning))
}

/// The plan of the first request that a list sends, for explaining it.
pub fn first_plan<P: CustomerProvider + ?Sized>(provider: &P, query: &ListQuery) -> Result<Plan<CustomerPage>, Error> {
    let division = divide(&query.filter, provider.manifest())?;
    provider.plan_list(&page_plan(provider, query, &division)?.0)
}

/// Reads a list as [`list`] does and shows what was found, without keeping it where that needs one page of the
/// provider only: its customers are shown as they lie in the answer.
pub async fn show<R>(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    query: &ListQuery,
    show: impl FnOnce(Listing<Str<'_>>) -> R,
) -> Result<R, Error> {
    let division = divide(&query.filter, provider.manifest())?;
    let (command, scanning) = page_plan(provider, query, &division)?;
    if scanning || query.mark.skip > 0 || command.limit < query.limit {
        let found = list(provider, transport, query).await?;
        return Ok(show(Listing {
            items: found.items.iter().map(Customer::told).collect(),
            next: found.next,
            total: found.total,
            filtered_by: found.filtered_by,
            fidelity: found.fidelity.map(|text| Str::new(text)),
        }));
    }
    let page = run(transport, provider.plan_list(&command)?).await?;
    let mut told = page.told()?;
    let wanted = usize::from(query.limit);
    let next = match told.items.len() > wanted {
        true => Some(Mark { position: command.position, skip: query.limit }),
        false => told.next.take().map(|position| Mark { position, skip: 0 }),
    };
    told.items.truncate(wanted);
    Ok(show(Listing::new(told, next, filtered_by(query, scanning))))
}

fn filtered_by(query: &ListQuery, scanning: bool) -> FilteredBy {
    match (query.filter.is_empty(), scanning) {
        (true, _) => FilteredBy::Nobody,
        (false, true) => FilteredBy::Gateway,
        (false, false) => FilteredBy::Provider,
    }
}

/// Reads one page of a list, or as many of the provider's pages as filtering needs, up to a bound.
pub async fn list(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    query: &ListQuery,
) -> Result<Listing, Error> {
    let division = divide(&query.filter, provider.manifest())?;
    let (mut command, scanning) = page_plan(provider, query, &division)?;
    let wanted = usize::from(query.limit);
    let bound = if scanning { SCAN_PAGES } else { wanted.div_ceil(usize::from(command.limit.max(1))) };
    let mut skip = usize::from(query.mark.skip);
    let mut items: Vec<Customer> = Vec::new();
    let mut total = None;
    let mut next = None;
    for _ in 0..bound {
        let page = run(transport, provider.plan_list(&command)?.kept()).await?;
        total = page.total;
        next = page.next.map(|position| Mark { position, skip: 0 });
        for (place, customer) in page.items.into_iter().enumerate().skip(std::mem::take(&mut skip)) {
            if items.len() == wanted {
                let skip = u16::try_from(place).unwrap_or(u16::MAX);
                next = Some(Mark { position: command.position.clone(), skip });
                break;
            }
            if division.again.matches(&customer) {
                items.push(customer);
            }
        }
        match &next {
            Some(mark) if items.len() < wanted && mark.position != command.position => {
                command.position = mark.position.clone();
            }
            _ => break,
        }
    }
    let page = Page { items, next: None, total: total.filter(|_| !scanning) };
    Ok(Listing::new(page, next, filtered_by(query, scanning)))
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

fn scan_for(lookup: &Lookup) -> ListQuery {
    ListQuery { limit: 1, mark: Mark::START, filter: lookup.into() }
}

/// The first request that a look-up sends, for explaining it.
pub fn first_lookup<P: CustomerProvider + ?Sized>(provider: &P, lookup: &Lookup) -> Result<Plan<()>, Error> {
    match lookup_support(provider.manifest(), lookup) {
        FilterSupport::No(why) => Err(Error::invalid(vec![FieldError::new(lookup.key(), why)])),
        FilterSupport::Exact | FilterSupport::Alone => Ok(provider.plan_find(lookup)?.map(|_| Ok(()))),
        FilterSupport::Loose(_) | FilterSupport::Scan => Ok(first_plan(provider, &scan_for(lookup))?.map(|_| Ok(()))),
    }
}

/// Finds one customer: natively, or by a filtered list read to a bound. `None` only when there is none.
pub async fn find(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    lookup: &Lookup,
) -> Result<Option<Customer>, Error> {
    match lookup_support(provider.manifest(), lookup) {
        FilterSupport::No(why) => Err(Error::invalid(vec![FieldError::new(lookup.key(), why)])),
        FilterSupport::Exact | FilterSupport::Alone => run(transport, provider.plan_find(lookup)?).await,
        FilterSupport::Loose(_) | FilterSupport::Scan => {
            let found = list(provider, transport, &scan_for(lookup)).await?;
            match (found.items.into_iter().next(), found.next) {
                (Some(mut customer), _) => {
                    customer.fidelity.extend(&found.fidelity);
                    Ok(Some(customer))
                }
                (None, None) => Ok(None),
                (None, Some(_)) => Err(Error::new(
                    Kind::ScanBound,
                    format!("no match in the first {SCAN_PAGES} pages of the provider's list; there are more"),
                )),
            }
        }
    }
}

/// The rule told when a distinct create matched.
const fn matched_by(lookup: &Lookup) -> &'static str {
    match lookup {
        Lookup::Phone(_) => "existing customer matched by phone, by the gateway",
        _ => "existing customer matched by email, by the gateway",
    }
}

/// The look-up that decides whether a distinct create finds somebody; `None` where the provider decides
/// itself, or nothing was asked.
pub fn distinct_lookup(manifest: &Manifest, command: &CreateCustomer) -> Result<Option<Lookup>, Error> {
    prepare::supports(manifest, Operation::Create)?;
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

/// The look-up of whoever is as good as the customer that a create would make.
fn matching_lookup(manifest: &Manifest, command: &CreateCustomer) -> Option<Lookup> {
    let lookups = [
        command.fields.email.set().map(|email| Lookup::Email(email.clone())),
        command.fields.phone.set().map(|phone| Lookup::Phone(phone.clone())),
    ];
    let usable = |lookup: &Lookup| !matches!(lookup_support(manifest, lookup), FilterSupport::No(_));
    lookups.into_iter().flatten().find(usable)
}

/// The customer that a distinct create finds instead of creating one.
pub async fn existing(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    command: &CreateCustomer,
) -> Result<Option<Created>, Error> {
    match distinct_lookup(provider.manifest(), command)? {
        Some(lookup) => matched(provider, transport, &lookup).await,
        None => Ok(None),
    }
}

/// The customer that a distinct create has found, if it was not the one that it made: whoever matches now. Also where
/// the provider has decided, which cannot be asked again without a create.
pub(crate) async fn existing_by_now(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    command: &CreateCustomer,
) -> Result<Option<Created>, Error> {
    match matching_lookup(provider.manifest(), command) {
        Some(lookup) => matched(provider, transport, &lookup).await,
        None => Ok(None),
    }
}

async fn matched(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    lookup: &Lookup,
) -> Result<Option<Created>, Error> {
    Ok(find(provider, transport, lookup).await?.map(|mut customer| {
        customer.fidelity.derived(Field::Id, matched_by(lookup));
        Created { customer, existing: true }
    }))
}
