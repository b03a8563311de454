//! Both sides of the two paging styles in which the page before says where a page begins: tokens, and the id of the last
//! customer. A vendor calls the first two functions of its style in `plan_list`, the others in its server side.
//!
//! | style | sent for a position | reply to a page | accepted from a client | answered to a client |
//! |---|---|---|---|---|
//! | [`PagingStyle::Token`] | [`token`] | [`page_before_token`] | [`accept_token`] | [`next_token`] |
//! | [`PagingStyle::AfterCustomer`] | [`last_customer`] | [`page_of_more`] | [`accept_last_customer`] | `page.next.is_some()` |
//!
//! Numbered pages and offsets need none of this: see [`Position::page`], [`Position::offset`], the constructors of
//! [`Page`], and [`VendorRequest::page`].
//!
//! [`PagingStyle::Token`]: crate::model::manifest::PagingStyle::Token
//! [`PagingStyle::AfterCustomer`]: crate::model::manifest::PagingStyle::AfterCustomer

use crate::{
    kit::VendorRequest,
    model::{BorrowedCustomer, CustomerId, Error, FieldError, IdPattern, Kind, Page, Position},
    text::Text,
};

/// Client side, tokens: what is sent for a position. `None` for the first page. A position of another style, such as one
/// from a cursor that is older than the vendor's style, is refused: it must never be answered with the first page.
pub fn token(position: &Position) -> Result<Option<&str>, Error> {
    match position {
        Position::Offset(0) => Ok(None),
        Position::Token(token) => Ok(Some(token)),
        Position::Offset(_) | Position::AfterCustomer(_) | Position::Within { .. } => Err(not_of_this_style()),
    }
}

/// Client side, last customer: the id that is sent for a position. `None` for the first page. See [`token`].
pub fn last_customer(position: &Position) -> Result<Option<&str>, Error> {
    match position {
        Position::Offset(0) => Ok(None),
        Position::Token(last) => Ok(Some(last)),
        Position::AfterCustomer(last) => Ok(Some(last.at_provider())),
        Position::Offset(_) | Position::Within { .. } => Err(not_of_this_style()),
    }
}

fn not_of_this_style() -> Error {
    Error::new(Kind::Malformed, "the provider's list cannot be continued from this position")
}

/// Client side, tokens: the page of a reply with the token of the next page, wherever the reply has it.
pub fn page_before_token<T>(items: Vec<T>, next: Option<&str>) -> Page<T> {
    Page { items, next: next.map(|token| Position::Token(Text::from(token))), total: None }
}

/// Client side, last customer: the page of a reply that says whether more customers follow.
pub fn page_of_more(items: Vec<BorrowedCustomer<'_>>, has_more: bool) -> Page<BorrowedCustomer<'_>> {
    let last = items.last().filter(|_| has_more).map(|last| Position::Token(Text::from(&*last.id)));
    Page { items, next: last, total: None }
}

/// Server side, tokens: the position of a token that [`next_token`] made with the same prefix. Behind drop-in stands
/// another provider, which does not know the vendor's tokens, so they are offsets.
pub fn accept_token(request: &VendorRequest<'_>, key: &'static str, prefix: &str) -> Result<Position, Error> {
    let Some(token) = request.query(key) else { return Ok(Position::START) };
    let offset = token.strip_prefix(prefix).and_then(|offset| offset.parse().ok());
    offset
        .map(Position::Offset)
        .ok_or_else(|| Error::invalid(vec![FieldError::new(key, "is not a token of this list")]))
}

/// Server side, tokens: the token of the page that follows, such as `cur_20` with the prefix `cur_`.
pub fn next_token<T>(page: &Page<T>, prefix: &str) -> Option<String> {
    page.next.as_ref().map(|next| format!("{prefix}{}", next.offset()))
}

/// Server side, last customer: the position after the customer that the client names. `ids` is the pattern of
/// `accept_for`.
pub fn accept_last_customer(request: &VendorRequest<'_>, key: &str, ids: &IdPattern) -> Result<Position, Error> {
    let last = request.query_text(key).map(|last| CustomerId::parse(last, ids)).transpose()?;
    Ok(last.map_or(Position::START, Position::AfterCustomer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Request;

    fn accepted(query: &str) -> Result<Position, Error> {
        let mut request = Request::default();
        *request.uri_mut() = http::Uri::try_from(format!("/customers?{query}")).expect("a URI");
        accept_token(&VendorRequest::of(&request), "cursor", "cur_")
    }

    #[test]
    fn a_token_of_the_server_side_names_the_position_that_it_was_made_for() {
        let page = |next| Page { items: vec![1, 2], next, total: None };
        let token = next_token(&page(Some(Position::Offset(20))), "cur_").expect("a token");
        assert_eq!(accepted(&format!("cursor={token}")).ok(), Some(Position::Offset(20)));
        assert_eq!(next_token(&page(None), "cur_"), None);
        assert_eq!(accepted("limit=2").ok(), Some(Position::START));
        for forged in ["cursor=20", "cursor=cur_", "cursor=cur_-1"] {
            assert_eq!(accepted(forged).map_err(|error| error.kind), Err(Kind::Invalid), "{forged}");
        }
    }

    #[test]
    fn the_client_side_refuses_a_position_of_another_style() {
        assert_eq!(token(&Position::START).ok(), Some(None));
        assert_eq!(token(&Position::Token("t".into())).ok(), Some(Some("t")));
        for position in [Position::Offset(20), Position::START.within(1)] {
            assert_eq!(token(&position).map_err(|error| error.kind), Err(Kind::Malformed));
            assert_eq!(last_customer(&position).map_err(|error| error.kind), Err(Kind::Malformed));
        }
    }
}
