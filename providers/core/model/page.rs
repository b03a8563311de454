//! Pages of lists, and the positions at which they begin.

use crate::{
    model::{CustomerId, Error, manifest::PagingStyle},
    text::Text,
};

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries, in the provider's order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Position>,
    /// The number of entries in all pages, if the provider returns it.
    pub total: Option<u64>,
}

impl<T> Page<T> {
    /// A page of a list whose total the provider returns.
    pub fn of_total(items: Vec<T>, position: &Position, total: u64) -> Self {
        let end = position.offset().saturating_add(items.len() as u64);
        let next = (!items.is_empty() && end < total).then_some(Position::Offset(end));
        Self { items, next, total: Some(total) }
    }

    /// A page of a list that the provider returns as a whole.
    pub fn of_all(all: Vec<T>, position: &Position, limit: u16) -> Self {
        let (total, begin) = (all.len() as u64, usize::try_from(position.offset()).unwrap_or(usize::MAX));
        Self::of_total(all.into_iter().skip(begin).take(limit.into()).collect(), position, total)
    }

    /// A numbered page of a list whose total the provider may return. The next page begins where a full page would end,
    /// because page numbers count full pages even if this page has fewer entries.
    pub fn of_numbered(items: Vec<T>, position: &Position, limit: u16, total: Option<u64>) -> Self {
        let Some(total) = total else { return Self::of_unknown_length(items, position, limit) };
        let end = position.offset().saturating_add(items.len().max(limit.into()) as u64);
        let next = (!items.is_empty() && end < total).then_some(Position::Offset(end));
        Self { items, next, total: Some(total) }
    }

    /// A numbered page. The provider may say whether another page follows (`more`) and the total (`count`). `more`
    /// decides whether there is a next page; without it `count` decides; without both a full page has a next page. A
    /// `count` that contradicts this is ignored as a total.
    pub fn of_reported(items: Vec<T>, position: &Position, limit: u16, more: Option<bool>, count: Option<u64>) -> Self {
        let end = position.offset().saturating_add(items.len() as u64);
        let more = more.or(count.map(|count| end < count)).unwrap_or(items.len() >= usize::from(limit.max(1)));
        let total = count.filter(|count| if more { *count > end } else { *count == end });
        let next =
            (more && !items.is_empty()).then(|| Position::of_page(position.page(limit).saturating_add(1), limit));
        Self { items, next, total }
    }

    /// This page, if it has at most `limit` entries. The error for a page with more of them, where the surplus could not
    /// be shown later.
    pub fn of_at_most(self, limit: u16) -> Result<Self, Error> {
        if self.items.len() > usize::from(limit.max(1)) { Err(Self::too_long(limit)) } else { Ok(self) }
    }

    /// This page, if it shows where its list continues. Numbered pages are counted in pages of the size that was asked
    /// for. So after a longer page, the next number may skip entries or show entries again; only a last page may be
    /// longer.
    pub fn that_continues(self, limit: u16, style: PagingStyle) -> Result<Self, Error> {
        match style {
            PagingStyle::Pages if self.next.is_some() => self.of_at_most(limit),
            _ => Ok(self),
        }
    }

    /// At most `limit` entries of this provider's page, behind the first `skip` ones. The page begins at `begin`. If more
    /// entries follow, the next page is another part of it.
    pub fn part(mut self, begin: Position, skip: u16, limit: u16) -> Result<Self, Error> {
        self.items.drain(..self.items.len().min(skip.into()));
        if self.items.len() > usize::from(limit) {
            let end = skip.checked_add(limit).ok_or_else(|| Self::too_long(limit))?;
            self.items.truncate(limit.into());
            self.next = Some(begin.within(end));
        }
        Ok(self)
    }

    fn too_long(limit: u16) -> Error {
        Error::bad_response(format_args!("more than the {limit} entries of a page that were asked for"))
    }

    /// A page of a list with an unknown total: after a full page there may be another one.
    pub fn of_unknown_length(items: Vec<T>, position: &Position, limit: u16) -> Self {
        let end = position.offset().saturating_add(items.len() as u64);
        let next = (items.len() >= usize::from(limit.max(1))).then_some(Position::Offset(end));
        Self { items, next, total: None }
    }
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// After this many entries. For a provider with page numbers, it is a multiple of the page size.
    Offset(u64),
    /// At the provider's own token.
    Token(Text),
    /// After this customer of a list of customers. Clients of vendors that page by the id of the last entry send it. The
    /// API's own cursors never contain it.
    AfterCustomer(CustomerId),
    /// Inside a provider's page, after some of its entries. Only the engine uses it; it always asks a provider for the
    /// whole page.
    Within {
        /// Where the provider's page begins.
        page: Box<Self>,
        /// How many of its entries belong to earlier pages of the client.
        skip: u16,
    },
}

impl Position {
    /// The beginning of a list.
    pub const START: Self = Self::Offset(0);

    /// The number of entries before the provider's page of this position; zero for a token and after a
    /// customer.
    pub const fn offset(&self) -> u64 {
        match self {
            Self::Offset(offset) => *offset,
            Self::Token(_) | Self::AfterCustomer(_) => 0,
            Self::Within { page, .. } => page.offset(),
        }
    }

    /// The beginning of the provider's page, and the number of its entries before this position.
    pub fn in_page(&self) -> (&Self, u16) {
        match self {
            Self::Within { page, skip } => (page, *skip),
            page => (page, 0),
        }
    }

    /// The position after some entries of the page that begins here.
    #[must_use]
    pub fn within(self, skip: u16) -> Self {
        if skip == 0 { self } else { Self::Within { page: Box::new(self), skip } }
    }

    /// The number of the page that begins here, counted from one.
    pub const fn page(&self, limit: u16) -> u64 {
        (self.offset() / if limit == 0 { 1 } else { limit as u64 }).saturating_add(1)
    }

    /// The position at which a numbered page begins.
    pub const fn of_page(page: u64, limit: u16) -> Self {
        Self::Offset(page.saturating_sub(1).saturating_mul(limit as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A provider that says only the total: another page follows where entries are left.
    #[test]
    fn a_reported_total_decides_whether_a_page_follows() {
        let next = |count| Page::of_reported(vec!["a", "b"], &Position::START, 2, None, count).next;
        assert_eq!([Some(3), Some(2), None].map(next), [Some(Position::Offset(2)), None, Some(Position::Offset(2))]);
    }
}
