//! Look-ups, of a merchant who switches providers (R7). The rows know customers by their e-mail address and phone number,
//! also those that do not live at the active connection. What a row says is never believed: the customer is read at its home
//! and compared. A customer with a row is more certain than a record without one, which can be a copy that has no row yet.

use std::{collections::HashSet, sync::Arc};

use futures_util::{StreamExt, TryStreamExt, stream};
use passerelle_providers::{
    engine::lists::lookup_support,
    model::{
        Command, CreateCustomer, Customer, CustomerFilter, CustomerId, Error, IdPattern, Kind, Lookup, Reply,
        manifest::FilterSupport,
    },
    text::Text,
};

use super::Reader;
use crate::{
    merchant::{Connection, Home, Homes, Middleware, connection, held},
    store::{AdoptedId, KnownCustomer, Routing},
};

/// How many customers are read at their homes at the same time.
const AT_ONCE: usize = 8;

/// A customer as its home has it, with its public id.
pub(super) type AtHome = (Customer, Arc<Connection>);

/// Reads a customer at its home. `None`: it is gone.
pub(super) async fn at_home(
    reader: &Reader<'_>,
    routing: &Routing,
    known: &KnownCustomer,
) -> Result<Option<AtHome>, Error> {
    let home = connection(reader.merchant, known.home(routing))?;
    let (Some(own), false) = (known.id_at(&home.name), known.is_tombstoned()) else { return Ok(None) };
    read(reader, &home, known.public_id.as_str(), Text::from(own)).await
}

/// Reads a customer at a connection. `None`: it is gone.
pub(super) async fn read(
    reader: &Reader<'_>,
    home: &Arc<Connection>,
    public_id: &str,
    own: Text,
) -> Result<Option<AtHome>, Error> {
    let public = CustomerId::parse(Text::from(public_id), &IdPattern::PUBLIC)?;
    let id = public.at(own, &home.manifest.id)?;
    let customer = reader.retrieve(home, &id).await?;
    Ok(customer.map(|mut customer| {
        customer.set_public_id(id.public().clone());
        (customer, Arc::clone(home))
    }))
}

/// Reads customers at their homes, and keeps those who match there.
pub(super) async fn at_homes(
    reader: &Reader<'_>,
    routing: &Routing,
    known: Vec<KnownCustomer>,
    filter: &CustomerFilter,
) -> Result<Vec<AtHome>, Error> {
    let reads = known.into_iter().map(async |known| at_home(reader, routing, &known).await);
    let read: Vec<Option<AtHome>> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    Ok(read.into_iter().flatten().filter(|(customer, _)| filter.matches(customer)).collect())
}

/// Finds one customer, at the active connection and by the rows.
pub(super) async fn find(
    reader: &Reader<'_>,
    homes: &Homes,
    home: &Home,
    lookup: &Lookup,
) -> Result<Option<AtHome>, Error> {
    let merchant = reader.merchant;
    let (active, Some(routing)) = (&home.connection, &home.routing) else { return Ok(None) };
    let listed = reader.run(active, &Command::Find(lookup.clone())).await;
    let known = homes.by_contact(merchant, lookup).await?;
    let judged: HashSet<String> = known.iter().map(|customer| customer.public_id.clone()).collect();
    let filter = CustomerFilter::from(lookup);
    let mut matching = at_homes(reader, routing, known, &filter).await?;
    let (found, ids) = match listed {
        Ok(Reply::Found(found)) => {
            let ids: Vec<Text> = found.iter().map(|customer| customer.id_at_provider().clone()).collect();
            (found.map(|found| *found), ids)
        }
        Ok(_) => return Err(Error::bad_response("the reply of another command")),
        Err(error) if error.kind == Kind::Ambiguous => {
            (None, error.matching.iter().map(|id| Text::from(id.as_str())).collect())
        }
        // The search reached its bound without a match; the rows have one.
        Err(error) if error.kind == Kind::ScanBound && !matching.is_empty() => (None, Vec::new()),
        Err(error) => return Err(error),
    };
    let mut strangers = Vec::new();
    let mut others = Vec::new();
    for (id, known) in ids.iter().zip(homes.known(merchant, active, &ids).await?) {
        match known {
            None => strangers.push(id.clone()),
            Some(known) if !judged.contains(&known.public_id) => others.push(known),
            Some(_) => {}
        }
    }
    // The row has another contact, or the record is the copy of a customer who has another contact by now.
    matching.extend(at_homes(reader, routing, others, &filter).await?);
    match (matching.len(), &strangers[..]) {
        (0, []) => {
            refuse_unfinished(reader, homes, active, lookup).await?;
            Ok(None)
        }
        (0, [only]) => adopt(reader, homes, active, only, found).await,
        (0, several) => {
            let ids = several.iter().map(|id| (active.name.clone(), id.to_string())).collect();
            Err(ambiguous(homes.public_ids(merchant, ids).await?))
        }
        (1, _) => Ok(matching.pop()),
        _ => Err(ambiguous(matching.iter().map(|(customer, _)| customer.id.to_string()).collect())),
    }
}

/// Gives a record of the active connection its row.
async fn adopt(
    reader: &Reader<'_>,
    homes: &Homes,
    active: &Arc<Connection>,
    id: &Text,
    found: Option<Customer>,
) -> Result<Option<AtHome>, Error> {
    let found = match found {
        Some(found) => Some(found),
        None => reader.retrieve(active, &CustomerId::parse(id.clone(), &active.manifest.id)?).await?,
    };
    let Some(mut customer) = found else { return Ok(None) };
    let adopted = homes.adopt(reader.merchant, active, &[&customer]).await?.pop();
    if adopted.as_ref().is_some_and(|adopted| adopted.is_held) {
        return Err(held());
    }
    Ok(adopted.filter(AdoptedId::is_shown).map(|adopted| {
        customer.set_public_id(Text::from(adopted.public_id));
        (customer, Arc::clone(active))
    }))
}

/// Refuses to say that there is no customer, while a create at another connection may make one.
pub(super) async fn refuse_unfinished(
    reader: &Reader<'_>,
    homes: &Homes,
    active: &Connection,
    lookup: &Lookup,
) -> Result<(), Error> {
    if !homes.has_unfinished_create(reader.merchant, active, lookup).await? {
        return Ok(());
    }
    let detail = format!(
        "a create with this {} was sent to another connection of the merchant, and it is not known yet whether it made the \
         customer; send the request again later",
        lookup.key()
    );
    Err(Error::new(Kind::InProgress, detail))
}

fn ambiguous(ids: Vec<String>) -> Error {
    Error::new(Kind::Ambiguous, "several customers match").with_matching(ids)
}

/// Finds by the rows the customer that a distinct create asks for, and sends the create to its home: the customer is the
/// answer there. A create that matches no row stays with the active connection, which is searched as usual.
pub(super) async fn match_distinct(
    reader: &Reader<'_>,
    homes: &Homes,
    create: &mut CreateCustomer,
    home: Home,
) -> Result<Home, Error> {
    // The create may have been resolved before, when the customer lived elsewhere.
    create.existing = None;
    let Some(routing) = &home.routing else { return Ok(home) };
    let usable = |lookup: &Lookup| !matches!(lookup_support(home.connection.manifest, lookup), FilterSupport::No(_));
    let lookups = [
        create.fields.email.set().map(|email| Lookup::Email(email.clone())),
        create.fields.phone.set().map(|phone| Lookup::Phone(phone.clone())),
    ];
    let Some(lookup) = lookups.into_iter().flatten().find(usable) else { return Ok(home) };
    let known = homes.by_contact(reader.merchant, &lookup).await?;
    let matching = at_homes(reader, routing, known.clone(), &CustomerFilter::from(&lookup)).await?;
    let [(customer, at)] = &matching[..] else {
        return match matching.is_empty() {
            true => {
                refuse_unfinished(reader, homes, &home.connection, &lookup).await?;
                Ok(home)
            }
            false => Err(ambiguous(matching.iter().map(|(customer, _)| customer.id.to_string()).collect())),
        };
    };
    let id = CustomerId::parse(customer.id.clone(), &IdPattern::PUBLIC)?;
    create.existing = Some(id.at(customer.id_at_provider().clone(), &at.manifest.id)?);
    let customer = known.into_iter().find(|known| known.public_id == *customer.id);
    Ok(Home { connection: Arc::clone(at), customer, ..home })
}
