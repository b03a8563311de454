//! Reads any slice of a list (an offset and a limit) from a provider, whatever its own paging is.
//!
//! `execute` calls it for clients of imitated providers, which choose their own offsets and page sizes. The answer has
//! exactly the requested entries, each once; a slice that cannot be reached within the bound is an error.

use std::sync::Arc;

use crate::{
    engine::{
        after_customer, identity,
        lists::{SCAN_PAGES, SplitFilter, split_filter},
    },
    kit::{CustomerProvider, Plan, Transport, run},
    model::{
        Customer, Error, Kind, ListCustomers, ListOfCustomer, Page, Position,
        manifest::{Manifest, Paging, PagingStyle},
    },
};

/// Plans one page of a provider's list, from a limit and a page position.
type PlanPage<'p, T> = dyn Fn(u16, Position) -> Result<Plan<Page<T>>, Error> + Sync + 'p;

/// A provider's list, of which a slice is read.
struct OffsetList<'p, T> {
    /// How the provider divides the list into pages.
    paging: Paging,
    /// Plans one provider page.
    plan: &'p PlanPage<'p, T>,
    /// The condition that the gateway checks on every entry, if the provider does not filter exactly.
    matches: Option<&'p (dyn Fn(&T) -> bool + Sync)>,
}

/// Reads the customers from a position, filtered exactly.
pub(super) async fn customers(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    list: &ListCustomers,
) -> Result<Page<Customer>, Error> {
    let manifest = provider.manifest();
    let offset = match &list.position {
        Position::AfterCustomer(last) => return after_customer::customers(provider, transport, list, last).await,
        position => offset_of(position)?,
    };
    let SplitFilter { provider: provider_filter, gateway: gateway_filter } = split_filter(&list.filter, manifest)?;
    let plan = |limit, position| {
        provider
            .plan_list(&ListCustomers { limit, position, filter: provider_filter.clone() })
            .map(|plan| identity::owned_page(plan, manifest))
    };
    let matches = |customer: &Customer| gateway_filter.matches(customer);
    let matches = (!gateway_filter.is_empty()).then_some(&matches as _);
    OffsetList { paging: manifest.paging, plan: &plan, matches }.slice(transport, offset, list.limit).await
}

/// How many entries come before a position. A position that is not an offset is refused; it is never read as the
/// beginning of the list. A token comes from a client only by mistake: a server side decodes its own tokens into offsets.
pub(super) fn offset_of(position: &Position) -> Result<u64, Error> {
    match position {
        Position::Offset(offset) => Ok(*offset),
        Position::Token(_) | Position::AfterCustomer(_) | Position::Within { .. } => {
            Err(Error::new(Kind::Malformed, "the provider's list cannot be continued from this position"))
        }
    }
}

/// Reads the entries that belong to a customer from an offset. `plan` plans one page of them.
pub(super) async fn entries<T: identity::Entry + Send>(
    manifest: &'static Manifest,
    transport: &dyn Transport,
    list: &ListOfCustomer,
    plan: impl Fn(&ListOfCustomer) -> Result<Plan<Page<T>>, Error> + Sync,
) -> Result<Page<T>, Error> {
    let plan = |limit, position| {
        plan(&ListOfCustomer { limit, position, ..list.clone() })
            .map(|plan| identity::checked_entries(plan, &list.id, manifest))
    };
    let paging = manifest.paging;
    OffsetList { paging, plan: &plan, matches: None }.slice(transport, offset_of(&list.position)?, list.limit).await
}

impl<T> std::fmt::Debug for OffsetList<'_, T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OffsetList").field("paging", &self.paging).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> OffsetList<'_, T> {
    /// Reads the entries from an offset, at most `limit` of them. If the provider has only tokens, or the gateway
    /// filters, the offset is found by a scan from the beginning. The scan is bounded: an offset beyond the bound is an
    /// error, never a wrong page.
    async fn slice(&self, transport: &dyn Transport, offset: u64, limit: u16) -> Result<Page<T>, Error> {
        let scans = self.matches.is_some() || self.paging.style.has_tokens();
        self.read(transport, offset, limit, scans).await
    }

    async fn read(&self, transport: &dyn Transport, offset: u64, limit: u16, scans: bool) -> Result<Page<T>, Error> {
        let max_size = self.paging.max_limit.max(1);
        let end = offset.saturating_add(limit.into());
        let (size, mut index) = match self.paging.style {
            _ if scans => (max_size, 0),
            PagingStyle::Pages => {
                let size = page_size(offset, limit, max_size);
                (size, offset - offset % u64::from(size))
            }
            PagingStyle::Offset | PagingStyle::Token | PagingStyle::AfterCustomer => (limit.clamp(1, max_size), offset),
        };
        let bound = if scans { SCAN_PAGES } else { usize::from(limit.div_ceil(size)) + 1 };
        let mut position = Position::Offset(index);
        let mut slice = Page { items: Vec::new(), next: None, total: None };
        for _ in 0..bound {
            let mut page = run(transport, (self.plan)(size, position.clone())?).await?;
            if page.items.len() > size.into() {
                // A provider that ignores the size may ignore the offset too. The entries from the beginning are certain.
                if !scans && position != Position::START {
                    return Box::pin(self.read(transport, offset, limit, true)).await;
                }
                page = page.that_continues(size, self.paging.style)?;
            }
            for entry in page.items {
                if self.matches.is_none_or(|matches| matches(&entry)) {
                    if (offset..end).contains(&index) {
                        slice.items.push(entry);
                    }
                    index += 1;
                }
            }
            slice.total = page.total.filter(|_| self.matches.is_none());
            let Some(next) = page.next.filter(|next| *next != position) else {
                if scans {
                    slice.total = Some(index);
                } else if slice.items.is_empty() && slice.total.is_none() {
                    slice.total = self.count(transport, offset).await?;
                }
                slice.next = (index > end).then_some(Position::Offset(end));
                return Ok(slice);
            };
            // The slice is complete when an entry behind it was seen. Without a filter, the provider's next page is
            // enough to know that such an entry exists.
            slice.next = Some(Position::Offset(end));
            if index > end || (index == end && self.matches.is_none()) {
                return Ok(slice);
            }
            // The position of a numbered page follows from its number, even if the page before it had too few entries.
            if let (false, Position::Offset(begin)) = (scans, &next) {
                index = *begin;
                if index >= end {
                    return Ok(slice);
                }
            }
            position = next;
        }
        if scans && index < end {
            let detail = format!("the offset is beyond the first {SCAN_PAGES} pages of the provider's list");
            return Err(Error::new(Kind::ScanBound, detail));
        }
        Ok(slice)
    }

    /// Counts the entries of a list that ends before an offset. An exponential search finds a page beyond the end, then
    /// a binary search finds the last page. `None` if the search needs more pages than the bound.
    async fn count(&self, transport: &dyn Transport, beyond: u64) -> Result<Option<u64>, Error> {
        let size = self.paging.max_limit.max(1);
        let (mut low, mut high) = (0, beyond.div_ceil(size.into()));
        let mut reach = Some(1_u64);
        let mut count = 0;
        for _ in 0..SCAN_PAGES {
            if low == high {
                break;
            }
            let number = reach.map_or(low + (high - low) / 2, |reach| (reach - 1).min(high - 1));
            let begin = number.saturating_mul(size.into());
            let page = run(transport, (self.plan)(size, Position::Offset(begin))?).await?.of_at_most(size)?;
            if page.items.is_empty() {
                (high, reach) = (number, None);
                continue;
            }
            count = begin.saturating_add(page.items.len() as u64);
            if page.next.is_none() {
                return Ok(Some(count));
            }
            (low, reach) = (number + 1, reach.map(|reach| reach.saturating_mul(2)));
        }
        Ok((low == high).then_some(count))
    }
}

/// The smallest page size with which one numbered page contains the whole slice; the largest allowed size if there is
/// none.
fn page_size(offset: u64, limit: u16, max_size: u16) -> u16 {
    let last = offset.saturating_add(u64::from(limit.max(1))) - 1;
    let contains_slice = |size: &u16| offset / u64::from(*size) == last / u64::from(*size);
    (limit.clamp(1, max_size)..=max_size).find(contains_slice).unwrap_or(max_size)
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use async_trait::async_trait;
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        kit::Draft,
        model::{Request, Response},
    };

    /// A provider whose list is the numbers from zero to `length`.
    struct Numbers {
        length: u64,
        style: PagingStyle,
        reports_total: bool,
    }

    #[async_trait]
    impl Transport for Numbers {
        async fn send(&self, _: Arc<Request>, _: bool) -> Result<Response, Error> {
            Ok(Response::new(Bytes::new()))
        }
    }

    impl Numbers {
        fn plan(&self, size: u16, position: Position) -> Result<Plan<Page<u64>>, Error> {
            let begin = match (&position, self.style) {
                (Position::Offset(offset), PagingStyle::Offset) => *offset,
                (Position::Offset(_), PagingStyle::Pages) => (position.page(size) - 1) * u64::from(size),
                (Position::Offset(offset), PagingStyle::Token | PagingStyle::AfterCustomer) => {
                    assert_eq!(*offset, 0, "only the provider makes tokens");
                    0
                }
                (Position::Token(token), _) => token.parse().expect("a token of this provider"),
                (Position::AfterCustomer(_), _) => panic!("numbers are not customers"),
                (Position::Within { .. }, _) => panic!("the engine asks a provider for whole pages"),
            };
            let end = begin.saturating_add(size.into()).min(self.length);
            let items: Vec<u64> = (begin..end).collect();
            let full = items.len() == usize::from(size);
            let more = if self.reports_total { end < self.length && !items.is_empty() } else { full };
            let next = match self.style {
                PagingStyle::Token => Position::Token(end.to_string().into()),
                _ => Position::Offset(begin + u64::from(size)),
            };
            let page = Page { items, next: more.then_some(next), total: self.reports_total.then_some(self.length) };
            Draft::get("/numbers").plan(|answer| answer.refusal(None, None), move |_| Ok(page))
        }

        fn slice(
            &self,
            offset: u64,
            limit: u16,
            max_limit: u16,
            multiples_of: Option<u64>,
        ) -> Result<Page<u64>, Error> {
            let paging = Paging { style: self.style, parameters: "", max_limit, tells_total: self.reports_total };
            let matches = |number: &u64| multiples_of.is_none_or(|factor| number.is_multiple_of(factor));
            let plan = |size, position| self.plan(size, position);
            let list = OffsetList { paging, plan: &plan, matches: multiples_of.map(|_| &matches as _) };
            let mut work = pin!(list.slice(self, offset, limit));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match work.as_mut().poll(&mut context) {
                std::task::Poll::Ready(slice) => slice,
                std::task::Poll::Pending => panic!("the transport never waits"),
            }
        }
    }

    fn style() -> impl Strategy<Value = PagingStyle> {
        prop_oneof![Just(PagingStyle::Pages), Just(PagingStyle::Offset), Just(PagingStyle::Token)]
    }

    proptest! {
        #[test]
        fn a_slice_has_exactly_the_requested_entries(
            style in style(), reports_total: bool, length in 0_u64..300,
            offset in 0_u64..320, limit in 1_u16..60, max_limit in 1_u16..70, multiples_of in prop_oneof![Just(None), (1_u64..5).prop_map(Some)],
        ) {
            let numbers = Numbers { length, style, reports_total };
            let whole: Vec<u64> = (0..length).filter(|number| multiples_of.is_none_or(|factor| number.is_multiple_of(factor))).collect();
            let expected: Vec<u64> = (offset..offset + u64::from(limit)).filter_map(|index| whole.get(usize::try_from(index).ok()?).copied()).collect();
            match numbers.slice(offset, limit, max_limit, multiples_of) {
                Ok(slice) => {
                    prop_assert_eq!(&slice.items, &expected);
                    let more = offset + u64::from(limit) < whole.len() as u64;
                    prop_assert!(slice.next.is_some() >= more, "the list has more entries");
                    if reports_total && (multiples_of.is_none() || length <= u64::from(max_limit)) {
                        prop_assert_eq!(slice.next.is_some(), more);
                    }
                    if let Some(total) = slice.total {
                        prop_assert_eq!(total, whole.len() as u64);
                    }
                    prop_assert!(slice.total.is_some() || !slice.items.is_empty(), "an empty slice needs a total");
                }
                Err(error) => {
                    prop_assert_eq!(error.kind, Kind::ScanBound);
                    prop_assert!(u64::from(max_limit) * SCAN_PAGES as u64 <= length, "the scan could have reached the end");
                }
            }
        }

        #[test]
        fn consecutive_slices_contain_every_entry_once(
            style in style(), reports_total: bool, length in 0_u64..200,
            limit in 1_u16..60, max_limit in 10_u16..70, multiples_of in prop_oneof![Just(None), (1_u64..5).prop_map(Some)],
        ) {
            let numbers = Numbers { length, style, reports_total };
            let mut seen = Vec::new();
            let mut offset = 0;
            loop {
                let slice = numbers.slice(offset, limit, max_limit, multiples_of).expect("within the bound");
                seen.extend(slice.items);
                if slice.next.is_none() {
                    break;
                }
                offset += u64::from(limit);
            }
            let whole: Vec<u64> = (0..length).filter(|number| multiples_of.is_none_or(|factor| number.is_multiple_of(factor))).collect();
            prop_assert_eq!(seen, whole);
        }
    }

    /// The provider tells no total, and its last page is full, so only the empty page behind it shows the end.
    #[test]
    fn an_empty_slice_has_the_total_also_if_the_last_page_is_full() {
        for style in [PagingStyle::Offset, PagingStyle::Pages] {
            let slice = Numbers { length: 20, style, reports_total: false }.slice(40, 10, 10, None).expect("a slice");
            assert_eq!((slice.items, slice.total), (vec![], Some(20)), "{style:?}");
        }
    }

    #[test]
    fn a_filtered_list_is_read_only_to_the_first_entry_behind_the_slice() {
        let numbers = Numbers { length: 1_000_000, style: PagingStyle::Offset, reports_total: false };
        let paging = Paging { style: PagingStyle::Offset, parameters: "", max_limit: 10, tells_total: false };
        let pages = AtomicUsize::new(0);
        let plan = |size, position| {
            pages.fetch_add(1, Ordering::Relaxed);
            numbers.plan(size, position)
        };
        let is_even = |number: &u64| number.is_multiple_of(2);
        let list = OffsetList { paging, plan: &plan, matches: Some(&is_even) };
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut work = pin!(list.slice(&numbers, 0, 10));
        let std::task::Poll::Ready(Ok(slice)) = work.as_mut().poll(&mut context) else { panic!("a slice") };
        assert_eq!(slice.items, (0..10).map(|number| number * 2).collect::<Vec<u64>>());
        assert_eq!(slice.next, Some(Position::Offset(10)));
        // Two pages have the ten entries, and the third has the one behind them.
        assert_eq!(pages.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_page_with_too_few_entries_does_not_shift_the_entries_behind_it() {
        let paging = Paging { style: PagingStyle::Pages, parameters: "", max_limit: 10, tells_total: true };
        let plan = |size: u16, position: Position| {
            let begin = position.offset();
            let items: Vec<u64> = (begin..begin + u64::from(size)).filter(|number| *number != 3).collect();
            let page =
                Page { items, next: (begin < 20).then(|| Position::Offset(begin + u64::from(size))), total: None };
            Draft::get("/numbers").plan(|answer| answer.refusal(None, None), move |_| Ok(page))
        };
        let numbers = Numbers { length: 0, style: PagingStyle::Pages, reports_total: true };
        let list = OffsetList { paging, plan: &plan, matches: None };
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut seen = Vec::new();
        for offset in [0, 5, 10] {
            let mut work = pin!(list.slice(&numbers, offset, 5));
            let std::task::Poll::Ready(Ok(slice)) = work.as_mut().poll(&mut context) else { panic!("a slice") };
            seen.extend(slice.items);
        }
        assert_eq!(seen, (0..15).filter(|number| *number != 3).collect::<Vec<_>>());
    }
}
