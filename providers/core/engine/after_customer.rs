//! A list that goes on after a customer: clients of vendors that page by the id of the last entry ask so. A provider that
//! pages in the same way is asked directly. At any other provider the list is walked from its beginning until it shows
//! that customer, over a bounded number of pages.

use std::sync::Arc;

use crate::{
    engine::lists::{Division, PlannedList, SCAN_PAGES, divide},
    kit::{CustomerPage, CustomerProvider, Plan, Transport, run},
    model::{Customer, CustomerId, Error, Kind, ListCustomers, Page, Position, manifest::PagingStyle},
};

/// The customers that follow `last` in the provider's list, at most as many as the limit.
pub(super) async fn customers(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    asked: &ListCustomers,
    last: &CustomerId,
) -> Result<Page<Customer>, Error> {
    let manifest = provider.manifest();
    if manifest.paging.style == PagingStyle::AfterCustomer {
        return PlannedList::new(provider, asked)?.read(transport).await;
    }
    let Division { sent, again } = divide(&asked.filter, manifest)?;
    let mut page = ListCustomers { limit: manifest.paging.max_limit, position: Position::START, filter: sent };
    let mut items: Vec<Customer> = Vec::new();
    let mut is_after = false;
    for _ in 0..SCAN_PAGES {
        let plan = provider.plan_list(&page).map(Plan::<CustomerPage>::into_owned)?;
        let read = run(transport, plan).await?;
        for (place, customer) in read.items.into_iter().enumerate() {
            if !is_after {
                is_after = customer.id_at_provider() == last.at_provider();
            } else if items.len() == usize::from(asked.limit) {
                let next = page.position.within(u16::try_from(place).unwrap_or(u16::MAX));
                return Ok(Page { items, next: Some(next), total: None });
            } else if again.matches(&customer) {
                items.push(customer);
            }
        }
        match read.next.filter(|next| *next != page.position) {
            Some(next) => page.position = next,
            None if is_after => return Ok(Page { items, next: None, total: None }),
            None => {
                return Err(Error::new(Kind::NotFound, "the list has no customer with the id that it was to follow"));
            }
        }
    }
    if items.is_empty() {
        let detail = format!("the page begins beyond the first {SCAN_PAGES} pages of the provider's list");
        return Err(Error::new(Kind::ScanBound, detail));
    }
    Ok(Page { items, next: Some(page.position), total: None })
}
