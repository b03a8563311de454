//! Any part of a list, over whatever a provider counts in: a client that skips entries, or asks for a page of
//! its own size, is answered exactly those entries, once each.

use std::sync::Arc;

use crate::{
    engine::{
        after_customer,
        lists::{Division, PlannedList, SCAN_PAGES, divide},
    },
    kit::{CustomerPage, CustomerProvider, Plan, Transport, run},
    model::{
        Customer, Error, Kind, ListCustomers, ListOfCustomer, Page, Payment, PaymentMethod, Position,
        manifest::{Paging, PagingStyle},
    },
};

/// How one page of a provider's list is planned.
type PlanPage<'p, T> = dyn Fn(u16, Position) -> Result<Plan<Page<T>>, Error> + Sync + 'p;

/// A list to be cut.
struct OffsetList<'p, T> {
    /// How the provider cuts it into pages.
    paging: Paging,
    /// Plans one of these.
    plan: &'p PlanPage<'p, T>,
    /// Which entries count, where the provider tells others as well.
    keep: Option<&'p (dyn Fn(&T) -> bool + Sync)>,
}

/// Customers from a position on, filtered exactly.
pub(super) async fn customers(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    asked: &ListCustomers,
) -> Result<Page<Customer>, Error> {
    let manifest = provider.manifest();
    let offset = match &asked.position {
        Position::AfterCustomer(last) => return after_customer::customers(provider, transport, asked, last).await,
        Position::Token(_) if manifest.paging.style.has_tokens() => {
            return PlannedList::new(provider, asked)?.read(transport).await;
        }
        position => counted(position)?,
    };
    let Division { sent, again } = divide(&asked.filter, manifest)?;
    let plan = |limit, position| {
        provider
            .plan_list(&ListCustomers { limit, position, filter: sent.clone() })
            .map(Plan::<CustomerPage>::into_owned)
    };
    let keep = |customer: &Customer| again.matches(customer);
    let keep = (!again.is_empty()).then_some(&keep as _);
    OffsetList { paging: manifest.paging, plan: &plan, keep }.part(transport, offset, asked.limit).await
}

/// How many entries come before a position. A position that does not count is never taken for the beginning.
fn counted(position: &Position) -> Result<u64, Error> {
    match position {
        Position::Offset(offset) => Ok(*offset),
        Position::Token(_) | Position::AfterCustomer(_) | Position::Within { .. } => {
            Err(Error::new(Kind::Malformed, "the provider's list cannot go on from this position"))
        }
    }
}

/// A customer's payment methods from an offset on.
pub(super) async fn payment_methods(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    asked: &ListOfCustomer,
) -> Result<Page<PaymentMethod>, Error> {
    let plan = |limit, position| provider.plan_payment_methods(&ListOfCustomer { limit, position, ..asked.clone() });
    let paging = provider.manifest().paging;
    OffsetList { paging, plan: &plan, keep: None }.part(transport, counted(&asked.position)?, asked.limit).await
}

/// A customer's payments from an offset on.
pub(super) async fn payments(
    provider: &dyn CustomerProvider,
    transport: &dyn Transport,
    asked: &ListOfCustomer,
) -> Result<Page<Payment>, Error> {
    let plan = |limit, position| provider.plan_payments(&ListOfCustomer { limit, position, ..asked.clone() });
    let paging = provider.manifest().paging;
    OffsetList { paging, plan: &plan, keep: None }.part(transport, counted(&asked.position)?, asked.limit).await
}

impl<T> std::fmt::Debug for OffsetList<'_, T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OffsetList").field("paging", &self.paging).finish_non_exhaustive()
    }
}

impl<T: 'static> OffsetList<'_, T> {
    /// The entries from an offset on, at most as many as the limit. Where nothing but a walk from the beginning
    /// finds the place, the walk is bounded, and a place beyond the bound is an error, never a wrong page.
    async fn part(&self, transport: &dyn Transport, offset: u64, limit: u16) -> Result<Page<T>, Error> {
        let most = self.paging.max_limit.max(1);
        let end = offset.saturating_add(limit.into());
        let walks = self.keep.is_some() || self.paging.style.has_tokens();
        let (size, mut place) = match self.paging.style {
            _ if walks => (most, 0),
            PagingStyle::Pages => {
                let size = page_size(offset, limit, most);
                (size, offset - offset % u64::from(size))
            }
            PagingStyle::Offset | PagingStyle::Token | PagingStyle::AfterCustomer => (limit.clamp(1, most), offset),
        };
        let bound = if walks { SCAN_PAGES } else { usize::from(limit.div_ceil(size)) + 1 };
        let mut position = Position::Offset(place);
        let mut part = Page { items: Vec::new(), next: None, total: None };
        for _ in 0..bound {
            let page = run(transport, (self.plan)(size, position.clone())?).await?;
            for entry in page.items {
                if self.keep.is_none_or(|keep| keep(&entry)) {
                    if (offset..end).contains(&place) {
                        part.items.push(entry);
                    }
                    place += 1;
                }
            }
            part.total = page.total.filter(|_| self.keep.is_none());
            let Some(next) = page.next.filter(|next| *next != position) else {
                if walks {
                    part.total = Some(place);
                } else if part.items.is_empty() && part.total.is_none() {
                    part.total = self.count(transport, offset).await?;
                }
                part.next = (place > end).then_some(Position::Offset(end));
                return Ok(part);
            };
            // Whether another entry follows is known once one was seen, or is told by who does not filter.
            part.next = Some(Position::Offset(end));
            if place > end || (place == end && self.keep.is_none()) {
                return Ok(part);
            }
            // A numbered page begins where it is counted to begin, even if the one before it fell short.
            if let (false, Position::Offset(begins)) = (walks, &next) {
                place = *begins;
                if place >= end {
                    return Ok(part);
                }
            }
            position = next;
        }
        if walks && place < end {
            let told = format!("the place is beyond the first {SCAN_PAGES} pages of the provider's list");
            return Err(Error::new(Kind::ScanBound, told));
        }
        Ok(part)
    }

    /// How many entries there are before a place that is beyond the end: pages twice as far each time, then half
    /// of what is left. `None` where that takes more pages than the bound.
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
            let page = run(transport, (self.plan)(size, Position::Offset(begin))?).await?;
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

/// The smallest size of numbered pages of which one holds the whole part; where there is none, the largest.
fn page_size(offset: u64, limit: u16, most: u16) -> u16 {
    let last = offset.saturating_add(u64::from(limit.max(1))) - 1;
    let holds = |size: &u16| offset / u64::from(*size) == last / u64::from(*size);
    (limit.clamp(1, most)..=most).find(holds).unwrap_or(most)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use async_trait::async_trait;
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        kit::Draft,
        model::{Request, Response},
    };

    /// A provider whose list is the numbers from zero on; a request tells the size and the position.
    struct Numbers {
        length: u64,
        style: PagingStyle,
        tells_total: bool,
    }

    #[async_trait]
    impl Transport for Numbers {
        async fn send(&self, _: Request, _: bool) -> Result<Response, Error> {
            Ok(Response::new(Bytes::new()))
        }
    }

    impl Numbers {
        fn plan(&self, size: u16, position: Position) -> Result<Plan<Page<u64>>, Error> {
            let begin = match (&position, self.style) {
                (Position::Offset(offset), PagingStyle::Offset) => *offset,
                (Position::Offset(_), PagingStyle::Pages) => (position.page(size) - 1) * u64::from(size),
                (Position::Offset(offset), PagingStyle::Token | PagingStyle::AfterCustomer) => {
                    assert_eq!(*offset, 0, "a token cannot be guessed");
                    0
                }
                (Position::Token(token), _) => token.parse().expect("a token of ours"),
                (Position::AfterCustomer(_), _) => panic!("numbers are not customers"),
                (Position::Within { .. }, _) => panic!("a provider is asked for whole pages"),
            };
            let end = begin.saturating_add(size.into()).min(self.length);
            let items: Vec<u64> = (begin..end).collect();
            let full = items.len() == usize::from(size);
            let more = if self.tells_total { end < self.length && !items.is_empty() } else { full };
            let next = match self.style {
                PagingStyle::Token => Position::Token(end.to_string().into()),
                _ => Position::Offset(begin + u64::from(size)),
            };
            let page = Page { items, next: more.then_some(next), total: self.tells_total.then_some(self.length) };
            Draft::get("/numbers").plan(|answer| answer.refusal(None, None), move |_| Ok(page))
        }

        fn part(&self, offset: u64, limit: u16, most: u16, keep: Option<u64>) -> Result<Page<u64>, Error> {
            let paging = Paging { style: self.style, parameters: "", max_limit: most, tells_total: self.tells_total };
            let every = |number: &u64| keep.is_none_or(|every| number.is_multiple_of(every));
            let plan = |size, position| self.plan(size, position);
            let list = OffsetList { paging, plan: &plan, keep: keep.map(|_| &every as _) };
            let mut work = pin!(list.part(self, offset, limit));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match work.as_mut().poll(&mut context) {
                std::task::Poll::Ready(part) => part,
                std::task::Poll::Pending => panic!("nothing here waits"),
            }
        }
    }

    fn style() -> impl Strategy<Value = PagingStyle> {
        prop_oneof![Just(PagingStyle::Pages), Just(PagingStyle::Offset), Just(PagingStyle::Token)]
    }

    proptest! {
        #[test]
        fn a_part_is_exact(
            style in style(), tells_total: bool, length in 0_u64..300,
            offset in 0_u64..320, limit in 1_u16..60, most in 1_u16..70, keep in prop_oneof![Just(None), (1_u64..5).prop_map(Some)],
        ) {
            let numbers = Numbers { length, style, tells_total };
            let whole: Vec<u64> = (0..length).filter(|number| keep.is_none_or(|every| number.is_multiple_of(every))).collect();
            let expected: Vec<u64> = (offset..offset + u64::from(limit)).filter_map(|place| whole.get(usize::try_from(place).ok()?).copied()).collect();
            match numbers.part(offset, limit, most, keep) {
                Ok(part) => {
                    prop_assert_eq!(&part.items, &expected);
                    let more = offset + u64::from(limit) < whole.len() as u64;
                    prop_assert!(part.next.is_some() >= more, "an end that is none");
                    if tells_total && (keep.is_none() || length <= u64::from(most)) {
                        prop_assert_eq!(part.next.is_some(), more);
                    }
                    if let Some(total) = part.total {
                        prop_assert_eq!(total, whole.len() as u64);
                    }
                    prop_assert!(part.total.is_some() || !part.items.is_empty(), "nobody knows where the end is");
                }
                Err(error) => {
                    prop_assert_eq!(error.kind, Kind::ScanBound);
                    prop_assert!(u64::from(most) * SCAN_PAGES as u64 <= length, "a walk that could have ended");
                }
            }
        }

        #[test]
        fn a_walk_sees_everybody_once(
            style in style(), tells_total: bool, length in 0_u64..200,
            limit in 1_u16..60, most in 10_u16..70, keep in prop_oneof![Just(None), (1_u64..5).prop_map(Some)],
        ) {
            let numbers = Numbers { length, style, tells_total };
            let mut seen = Vec::new();
            let mut offset = 0;
            loop {
                let part = numbers.part(offset, limit, most, keep).expect("within the bound");
                seen.extend(part.items);
                if part.next.is_none() {
                    break;
                }
                offset += u64::from(limit);
            }
            let whole: Vec<u64> = (0..length).filter(|number| keep.is_none_or(|every| number.is_multiple_of(every))).collect();
            prop_assert_eq!(seen, whole);
        }
    }

    #[test]
    fn a_page_that_fell_short_moves_nobody() {
        let paging = Paging { style: PagingStyle::Pages, parameters: "", max_limit: 10, tells_total: true };
        let plan = |size: u16, position: Position| {
            let begin = position.offset();
            let items: Vec<u64> = (begin..begin + u64::from(size)).filter(|number| *number != 3).collect();
            let page =
                Page { items, next: (begin < 20).then(|| Position::Offset(begin + u64::from(size))), total: None };
            Draft::get("/numbers").plan(|answer| answer.refusal(None, None), move |_| Ok(page))
        };
        let numbers = Numbers { length: 0, style: PagingStyle::Pages, tells_total: true };
        let list = OffsetList { paging, plan: &plan, keep: None };
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut seen = Vec::new();
        for offset in [0, 5, 10] {
            let mut work = pin!(list.part(&numbers, offset, 5));
            let std::task::Poll::Ready(Ok(part)) = work.as_mut().poll(&mut context) else { panic!("a part") };
            seen.extend(part.items);
        }
        assert_eq!(seen, (0..15).filter(|number| *number != 3).collect::<Vec<_>>());
    }
}
