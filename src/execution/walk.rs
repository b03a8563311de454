//! Lists of customers, of a merchant who switches providers (R5, R7, R8).
//!
//! A walk reads the list of the connection that was active when it began. Each record is shown as its customer's home has it,
//! so a record whose customer lives elsewhere is read there. While a switch is open, the walk then reads the list of the
//! other side, and shows the customers that the first list does not have: those without a row at the first connection.
//!
//! Which list shows a customer depends on its rows alone, and not on where it lives: the home of a customer can change
//! while a client walks, and then a rule about homes would show a customer twice or not at all. After a flip, the walk goes
//! on in the list in which it began.

use std::{collections::HashSet, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use passerelle_providers::{
    engine::lists::SCAN_PAGES,
    model::{Command, Customer, CustomerFilter, Error, Kind, ListCustomers, Lookup, Page, Position, Reply},
    text::Text,
};

use super::{Reader, finding};
use crate::{
    merchant::{Connection, Home, Homes, connection},
    store::{KnownCustomer, Routing},
};

/// How many customers of a page are read at their homes at the same time.
const AT_ONCE: usize = 8;

/// A page of a walk.
#[derive(Debug)]
pub(super) struct Walked {
    /// The customers, with their public ids.
    pub(super) page: Page<Customer>,
    pub(super) walk: Walk,
}

/// Where the customers of a page live, and where the walk goes on.
#[derive(Debug)]
pub struct Walk {
    /// The home of each customer of the page.
    pub homes: Vec<Arc<Connection>>,
    /// The connection whose list has the next page.
    pub next_at: Arc<Connection>,
    /// The connection where the walk began.
    pub began_at: Arc<Connection>,
}

/// Where a walk is: the connection where it began, and the one whose list is read.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it began.
    pub began_at: String,
    /// Whose list is read.
    pub at: String,
}

/// The place of a walk, or why a cursor of it is not accepted any more.
pub(super) fn place(home: &Home, cursor: Option<&Place>) -> Result<Place, String> {
    let active = home.routing.as_ref().map_or(&home.connection.name, |routing| &routing.connection);
    let open = home.routing.as_ref().and_then(|routing| routing.open.as_ref());
    let Some(place) = cursor else { return Ok(Place { began_at: active.clone(), at: active.clone() }) };
    let is_side = |name: &String| name == active || open.is_some_and(|open| open.other == *name);
    match is_side(&place.began_at) && is_side(&place.at) {
        true => Ok(place.clone()),
        false => Err(format!(
            "the list began at the connection `{}`, and the merchant's customers are read from `{active}` now; a cursor \
             goes on over a switch of providers until that switch is completed; request the first page again, without a \
             cursor",
            place.began_at
        )),
    }
}

/// Reads a page of a walk.
pub(super) async fn walk(
    reader: &Reader<'_>,
    homes: &Homes,
    home: &Home,
    place: &Place,
    mut list: ListCustomers,
) -> Result<Walked, Error> {
    let merchant = reader.merchant;
    let is_numbered = reader.is_numbered();
    let routing = home.routing.as_ref().ok_or_else(|| Error::new(Kind::StoreUnavailable, "no routing is known"))?;
    let began_at = connection(merchant, &place.began_at)?;
    let at = connection(merchant, &place.at)?;
    let is_tail = began_at.name != at.name;
    let by_row = ByRow::of(reader, homes, routing, &list).await?;
    let mut shown = Vec::new();
    if let (Position::Offset(0), false) = (&list.position, is_tail) {
        shown.extend(by_row.matching);
    }
    let mut total = None;
    for _ in 0..SCAN_PAGES {
        let Reply::Customers(page) = reader.run(&at, &Command::List(list.clone())).await? else {
            return Err(Error::bad_response("the reply of another command"));
        };
        let elsewhere_than = is_tail.then_some(&*began_at);
        let read = Listed { at: &at, elsewhere_than, routing, filter: &list.filter };
        let listed = read.customers(reader, homes, page.items).await?;
        shown.extend(listed.into_iter().filter(|(customer, _)| !by_row.ids.contains(&*customer.id)));
        total = page.total.filter(|_| routing.open.is_none());
        let next = page.next.filter(|next| *next != list.position);
        // Few records of the other side are shown. A page without any would only make the client ask again.
        match next {
            Some(next) if is_tail && shown.is_empty() => list.position = next,
            next => {
                if let (Some(lookup), None, true) = (&by_row.lookup, &next, shown.is_empty()) {
                    finding::refuse_unfinished(reader, homes, &at, lookup).await?;
                }
                let (customers, homes_of) = shown.into_iter().unzip();
                let page = Page { items: customers, next, total };
                let mut walked = Walked { page, walk: Walk { homes: homes_of, next_at: at, began_at } };
                if walked.page.next.is_none() && !is_tail && by_row.lookup.is_none() && !is_numbered {
                    begin_tail(reader, homes, routing, &mut walked).await?;
                }
                return Ok(walked);
            }
        }
    }
    let page = Page { items: Vec::new(), next: Some(list.position), total };
    Ok(Walked { page, walk: Walk { homes: Vec::new(), next_at: at, began_at } })
}

/// Goes on with the list of the other side, if it can have customers that the first list does not have.
async fn begin_tail(reader: &Reader<'_>, homes: &Homes, routing: &Routing, walked: &mut Walked) -> Result<(), Error> {
    let Some(open) = &routing.open else { return Ok(()) };
    let other = if walked.walk.began_at.name == routing.connection { &open.other } else { &routing.connection };
    // A customer without a row at the active connection is pinned to the other side.
    let has_tail = *other == routing.connection || homes.pinned_to(reader.merchant, other, 1).await? > 0;
    if has_tail {
        walked.walk.next_at = connection(reader.merchant, other)?;
        walked.page.next = Some(Position::START);
    }
    Ok(())
}

/// The customers that match an exact filter by their rows (R7). Their records in the list can be older than they are.
struct ByRow {
    /// The contact that the filter compares, if it compares one.
    lookup: Option<Lookup>,
    /// The public ids of all customers whose row has the contact.
    ids: HashSet<String>,
    /// Those of them who match at their homes.
    matching: Vec<(Customer, Arc<Connection>)>,
}

impl ByRow {
    async fn of(reader: &Reader<'_>, homes: &Homes, routing: &Routing, list: &ListCustomers) -> Result<Self, Error> {
        let CustomerFilter { email, phone, .. } = &list.filter;
        let lookups = [email.clone().map(Lookup::Email), phone.clone().map(Lookup::Phone)];
        let mut by_row = Self { lookup: None, ids: HashSet::new(), matching: Vec::new() };
        // Every condition has to hold, so the customers of one are enough.
        let Some(lookup) = lookups.into_iter().flatten().next() else { return Ok(by_row) };
        let known = homes.by_contact(reader.merchant, &lookup).await?;
        by_row.ids = known.iter().map(|customer| customer.public_id.clone()).collect();
        if list.position == Position::START {
            by_row.matching = finding::at_homes(reader, routing, known, &list.filter).await?;
        }
        by_row.lookup = Some(lookup);
        Ok(by_row)
    }
}

/// How the records of a list become customers.
struct Listed<'l> {
    at: &'l Arc<Connection>,
    /// Only customers without a row at this connection are shown.
    elsewhere_than: Option<&'l Connection>,
    routing: &'l Routing,
    filter: &'l CustomerFilter,
}

impl Listed<'_> {
    /// The customers of the records, each as its home has it, with the home.
    async fn customers(
        self,
        reader: &Reader<'_>,
        homes: &Homes,
        records: Vec<Customer>,
    ) -> Result<Vec<(Customer, Arc<Connection>)>, Error> {
        let adopted = homes.adopt(reader.merchant, self.at, &records.iter().collect::<Vec<_>>()).await?;
        // Asked after every record has its row: a copy that ends in between gives its record the row of a customer whom the
        // first list has shown.
        let belongs_here = match self.elsewhere_than {
            None => vec![true; records.len()],
            Some(first) => self.have_no_row_at(first, reader, homes, &records).await?,
        };
        let mut shown: Vec<(Customer, Arc<Connection>)> = Vec::new();
        let mut away = Vec::new();
        for ((mut record, adopted), belongs_here) in records.into_iter().zip(adopted).zip(belongs_here) {
            if !adopted.is_shown() || !belongs_here {
                continue;
            }
            record.set_public_id(Text::from(adopted.public_id));
            if adopted.home != self.at.name {
                away.push((shown.len(), record.id_at_provider().clone()));
            }
            shown.push((record, Arc::clone(self.at)));
        }
        if away.is_empty() {
            return Ok(shown);
        }
        let ids: Vec<Text> = away.iter().map(|(_, id)| id.clone()).collect();
        let known = homes.known(reader.merchant, self.at, &ids).await?;
        let reads = away.into_iter().zip(known).map(async |((place, _), known)| match known {
            Some(known) => Ok((place, finding::at_home(reader, self.routing, &known).await?)),
            None => Ok((place, None)),
        });
        let read: Vec<_> = stream::iter(reads).buffered(AT_ONCE).try_collect::<Vec<_>>().await?;
        let mut gone = HashSet::new();
        for (place, customer) in read {
            // A customer who is gone at its home is gone. One that has other values there may not match any more.
            match customer.filter(|(customer, _)| self.filter.is_empty() || self.filter.matches(customer)) {
                Some(at_home) => shown[place] = at_home,
                None => drop(gone.insert(place)),
            }
        }
        let mut place = 0..;
        shown.retain(|_| place.next().is_some_and(|place| !gone.contains(&place)));
        Ok(shown)
    }

    /// For each record, whether its customer has no row at a connection.
    async fn have_no_row_at(
        &self,
        first: &Connection,
        reader: &Reader<'_>,
        homes: &Homes,
        records: &[Customer],
    ) -> Result<Vec<bool>, Error> {
        let ids: Vec<Text> = records.iter().map(|record| record.id_at_provider().clone()).collect();
        let known: Vec<Option<KnownCustomer>> = homes.known(reader.merchant, self.at, &ids).await?;
        let has_no_row = |known: Option<KnownCustomer>| known.is_none_or(|known| known.id_at(&first.name).is_none());
        Ok(known.into_iter().map(has_no_row).collect())
    }
}
