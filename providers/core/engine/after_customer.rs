//! Continues a list after a customer. Clients of vendors that page by the id of the last entry ask for this
//! (`starting_after`).
//!
//! `offset_pages` calls it. A provider that pages in the same way receives the id. At any other provider, the list is read
//! from its beginning until it shows that customer; the number of pages is bounded.

use std::sync::Arc;

use crate::{
    engine::{
        identity,
        lists::{PlannedList, SCAN_PAGES, SplitFilter, split_filter},
    },
    kit::{CustomerProvider, Transport, run},
    model::{Customer, CustomerId, Error, Kind, ListCustomers, Page, Position, manifest::PagingStyle},
};

/// The list has no such customer. The client named that customer, so the client gets a 404. `Kind::NotFound` of a list
/// would say that the operator configured a wrong address.
const UNKNOWN: Kind = Kind::InvalidId;

/// Reads the customers that follow `last` in the provider's list, at most `limit` of them.
pub(super) async fn customers(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    list: &ListCustomers,
    last: &CustomerId,
) -> Result<Page<Customer>, Error> {
    let manifest = provider.manifest();
    if manifest.paging.style == PagingStyle::AfterCustomer {
        let page = PlannedList::new(provider, list)?.read(transport).await;
        return page.map_err(|error| if error.kind == Kind::NotFound { error.with_kind(UNKNOWN) } else { error });
    }
    let SplitFilter { provider: provider_filter, gateway: gateway_filter } = split_filter(&list.filter, manifest)?;
    let mut page =
        ListCustomers { limit: manifest.paging.max_limit, position: Position::START, filter: provider_filter };
    let mut items: Vec<Customer> = Vec::new();
    let mut is_after = false;
    for _ in 0..SCAN_PAGES {
        let plan = provider.plan_list(&page)?;
        let read = run(transport, identity::owned_page(plan, manifest)).await?;
        let read = read.that_continues(page.limit, manifest.paging.style)?;
        for (place, customer) in read.items.into_iter().enumerate() {
            if !is_after {
                is_after = customer.id_at_provider() == last.at_provider();
            } else if items.len() == usize::from(list.limit) {
                let next = page.position.within(u16::try_from(place).unwrap_or(u16::MAX));
                return Ok(Page { items, next: Some(next), total: None });
            } else if gateway_filter.matches(&customer) {
                items.push(customer);
            }
        }
        match read.next.filter(|next| *next != page.position) {
            Some(next) => page.position = next,
            None if is_after => return Ok(Page { items, next: None, total: None }),
            None => {
                return Err(Error::new(UNKNOWN, "the list has no customer with the id after which the page begins"));
            }
        }
    }
    if items.is_empty() {
        let detail = format!("the page begins beyond the first {SCAN_PAGES} pages of the provider's list");
        return Err(Error::new(Kind::ScanBound, detail));
    }
    Ok(Page { items, next: Some(page.position), total: None })
}
