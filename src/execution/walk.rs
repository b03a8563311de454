//! Lists of customers, of a merchant who switches providers (R5, R7, R8).
//!
//! A walk reads the list of the connection that was active when it began. Each record is shown as its customer's home has it,
//! so a record whose customer lives elsewhere is read there. While a switch is open, the walk then reads the list of the
//! other side, and shows the customers that the first list does not have: those without a row at the first connection.
//!
//! Which list shows a customer depends on its rows alone, and not on where it lives: the home of a customer can change
//! while a client walks, and then a rule about homes would show a customer twice or not at all. After a flip, the walk goes
//! on in the list in which it began.
//!
//! A customer moves by its copy, and the list of its new home can have been read before that, or show changes late. So a
//! customer who was copied lately is read by its id.
//!
//! A copy can make a record at the first connection while a client walks, behind the pages that were read. So a row that a
//! copy made does not count if it is newer than the walk: the other list, where the copy comes from, shows that customer.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use passerelle_providers::{
    engine::lists::SCAN_PAGES,
    model::{Command, Customer, CustomerFilter, Error, Kind, ListCustomers, Lookup, Page, Position, Reply},
    text::Text,
};

use super::{Reader, finding};
use crate::{
    merchant::{Connection, Home, Homes, Merchant, connection},
    store::{AdoptedId, KnownCustomer, Routing},
};

/// How many customers of a page are read at their homes at the same time.
const AT_ONCE: usize = 8;
/// How far the clock of a gateway can be from the one of the database.
const CLOCKS: Duration = Duration::from_secs(1);

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
    /// Rows that a copy made at that connection after this time do not count, in milliseconds since 1970. `None`: all count.
    pub since: Option<i64>,
}

/// Where a walk is: the connection where it began, and the one whose list is read.
#[derive(Debug, Clone)]
pub struct Place {
    /// Where it began.
    pub began_at: String,
    /// Whose list is read.
    pub at: String,
    /// The rows that count, as in [`Walk::since`].
    pub since: Option<i64>,
}

/// The place of a walk, or why a cursor of it is not accepted any more.
pub(super) fn place(merchant: &Merchant, home: &Home, cursor: Option<&Place>) -> Result<Place, String> {
    let active = home.routing.as_ref().map_or(&home.connection.name, |routing| &routing.connection);
    let open = home.routing.as_ref().and_then(|routing| routing.open.as_ref());
    let Some(place) = cursor else {
        let since = open.and_then(|open| since(merchant, active, &open.other));
        return Ok(Place { began_at: active.clone(), at: active.clone(), since });
    };
    let is_side = |name: &String| name == active || open.is_some_and(|open| open.other == *name);
    match is_side(&place.began_at) && is_side(&place.at) && (place.since.is_none() || open.is_some()) {
        true => Ok(place.clone()),
        false => Err(format!(
            "the list began at the connection `{}`, and the merchant's customers are read from `{active}` now; a cursor \
             goes on over a switch of providers until that switch is completed; request the first page again, without a \
             cursor",
            place.began_at
        )),
    }
}

/// Which rows count in a walk that begins now. A record that a copy made is in the list of its connection when the visibility lag
/// is over. `None`: all rows count, because the list of the other side does not show every customer.
fn since(merchant: &Merchant, first: &str, other: &str) -> Option<i64> {
    let (first, other) = (merchant.connections.get(first)?, merchant.connections.get(other)?);
    other.manifest.lists.is_complete().then_some(settled(crate::clock::now(), first))
}

/// The list of a connection, asked for at a time, shows what copies wrote until then. In milliseconds since 1970.
fn settled(asked_at: Timestamp, at: &Connection) -> i64 {
    let before = at.visibility_lag.saturating_add(CLOCKS);
    asked_at.as_millisecond().saturating_sub(i64::try_from(before.as_millis()).unwrap_or(i64::MAX))
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
    let routing = home.routing.as_ref().ok_or_else(|| Error::new(Kind::StoreUnavailable, "no routing is known"))?;
    let began_at = connection(merchant, &place.began_at)?;
    let mut at = connection(merchant, &place.at)?;
    let by_row = ByRow::of(reader, homes, routing, &list).await?;
    // The rows know who matches a contact, and a numbered page is one of a single list.
    let has_one_list = by_row.lookup.is_some() || reader.is_numbered();
    let since = place.since.filter(|_| !has_one_list);
    let mut shown = Vec::new();
    if list.position == Position::START && at.name == began_at.name {
        shown.extend(by_row.matching);
    }
    let mut total = None;
    for pages in 1..=SCAN_PAGES {
        let settled = settled(crate::clock::now(), &at);
        let Reply::Customers(page) = reader.run(&at, &Command::List(list.clone())).await? else {
            return Err(Error::bad_response("the reply of another command"));
        };
        let (is_first, has_records) = (at.name == began_at.name, !page.items.is_empty());
        let read = Listed { at: &at, settled, began_at: &began_at, since, routing, filter: &list.filter };
        let listed = read.customers(reader, homes, page.items).await?;
        shown.extend(listed.into_iter().filter(|(customer, _)| !by_row.ids.contains(&*customer.id)));
        total = page.total.filter(|_| routing.open.is_none());
        let next = page.next.filter(|next| *next != list.position);
        if let (Some(lookup), None, true) = (&by_row.lookup, &next, shown.is_empty()) {
            finding::refuse_unfinished(reader, homes, &at, lookup).await?;
        }
        let next = match next {
            Some(next) => Some((Arc::clone(&at), next)),
            None if is_first && !has_one_list => tail(reader, homes, routing, &began_at, since).await?,
            None => None,
        };
        match next {
            // No record of the page is shown. A page without any would only make the client ask again.
            Some((connection, position)) if shown.is_empty() && (has_records || !is_first) && pages < SCAN_PAGES => {
                (at, list.position) = (connection, position);
            }
            next => {
                let (items, homes) = shown.into_iter().unzip();
                let (next_at, next) = next.map_or((at, None), |(connection, position)| (connection, Some(position)));
                let page = Page { items, next, total };
                return Ok(Walked { page, walk: Walk { homes, next_at, began_at, since } });
            }
        }
    }
    let page = Page { items: Vec::new(), next: Some(list.position), total };
    Ok(Walked { page, walk: Walk { homes: Vec::new(), next_at: at, began_at, since } })
}

/// Where a walk goes on after its first list: in the list of the other side, if that can have customers that the first list does
/// not have.
async fn tail(
    reader: &Reader<'_>,
    homes: &Homes,
    routing: &Routing,
    first: &Connection,
    since: Option<i64>,
) -> Result<Option<(Arc<Connection>, Position)>, Error> {
    let Some(open) = &routing.open else { return Ok(None) };
    let other = if first.name == routing.connection { &open.other } else { &routing.connection };
    // A customer without a row at the active connection is pinned to the other side.
    let has_tail = *other == routing.connection
        || homes.has_tail(reader.merchant, &first.name, other, since.unwrap_or(i64::MAX)).await?;
    Ok(if has_tail { Some((connection(reader.merchant, other)?, Position::START)) } else { None })
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
    /// The connection whose list it is.
    at: &'l Arc<Connection>,
    /// Until when copies are shown there, as in [`settled`].
    settled: i64,
    /// The connection where the walk began.
    began_at: &'l Connection,
    /// The rows that count there, as in [`Walk::since`].
    since: Option<i64>,
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
        // Asked after every record has its row.
        let hidden = self.hidden(reader, homes, &records, &adopted).await?;
        let mut shown: Vec<(Customer, Arc<Connection>)> = Vec::new();
        let (mut away, mut older) = (Vec::new(), Vec::new());
        for ((mut record, adopted), is_hidden) in records.into_iter().zip(adopted).zip(hidden) {
            if !adopted.is_shown() || is_hidden {
                continue;
            }
            record.set_public_id(Text::from(adopted.public_id));
            if adopted.home != self.at.name {
                away.push((shown.len(), record.id_at_provider().clone()));
            } else if self.may_be_older(adopted.noted_at) {
                older.push((shown.len(), record.id.clone(), record.id_at_provider().clone()));
            }
            shown.push((record, Arc::clone(self.at)));
        }
        if away.is_empty() && older.is_empty() {
            return Ok(shown);
        }
        let ids: Vec<Text> = away.iter().map(|(_, id)| id.clone()).collect();
        let known = homes.known(reader.merchant, self.at, &ids).await?;
        let away = away.into_iter().zip(known).map(async |((place, _), known)| match known {
            Some(known) => Ok((place, finding::at_home(reader, self.routing, &known).await?)),
            None => Ok((place, None)),
        });
        let older = older
            .into_iter()
            .map(async |(place, public_id, own)| Ok((place, finding::read(reader, self.at, &public_id, own).await?)));
        let mut read: Vec<_> = stream::iter(away).buffered(AT_ONCE).try_collect().await?;
        read.extend(stream::iter(older).buffered(AT_ONCE).try_collect::<Vec<_>>().await?);
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

    /// Whether a record can be older than the copy with which its customer moved here. Before the first flip, no customer has
    /// moved.
    fn may_be_older(&self, noted_at: i64) -> bool {
        self.routing.epoch > 0 && noted_at > self.settled
    }

    /// For each record, whether the other list of the walk shows its customer. In the first list, the rows are read once more only
    /// where a copy made one after the walk began.
    async fn hidden(
        &self,
        reader: &Reader<'_>,
        homes: &Homes,
        records: &[Customer],
        adopted: &[AdoptedId],
    ) -> Result<Vec<bool>, Error> {
        let is_first = self.at.name == self.began_at.name;
        let counts = |copied_at: Option<i64>| copied_at.is_none_or(|at| self.since.is_none_or(|since| at <= since));
        if is_first && adopted.iter().all(|adopted| counts(adopted.copied_at)) {
            return Ok(vec![false; records.len()]);
        }
        let ids: Vec<Text> = records.iter().map(|record| record.id_at_provider().clone()).collect();
        let known = homes.known(reader.merchant, self.at, &ids).await?;
        let side =
            |name: &str| name == self.routing.connection || self.routing.open.iter().any(|open| open.other == name);
        let is_shown_by_other = |known: KnownCustomer| {
            let belongs_to_first = known.at.get(&self.began_at.name).is_some_and(|row| counts(row.copied_at));
            match is_first {
                false => belongs_to_first,
                true => !belongs_to_first && known.at.keys().any(|name| *name != self.began_at.name && side(name)),
            }
        };
        Ok(known.into_iter().map(|known| known.is_some_and(is_shown_by_other)).collect())
    }
}
