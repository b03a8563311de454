//! An id without a row, of a merchant who switches providers (R4). While a switch is open, both connections are asked for it.
//! If one of them has the customer, the customer gets a row and is pinned there. If both have one, the id is ambiguous. A
//! connection that cannot be asked is never taken for one that does not have the customer.
//!
//! A DID is an alias of a customer, so it has no row either (R3). It is asked for at every connection whose provider has DIDs,
//! also without an open switch. The claim of a write finds the row of its customer by the provider's id, and not by an alias.

use std::sync::Arc;

use futures_util::future::join_all;
use passerelle_providers::{
    model::{Command, Customer, CustomerId, Error, IdPattern, Kind, manifest::FilterSupport},
    text::Text,
};

use super::Reader;
use crate::merchant::{Connection, Home, Homes, Middleware, connection, held};

/// Finds where the customer of a command lives, whose id has no row. `home` is the active connection.
pub(super) async fn ask(reader: &Reader<'_>, homes: &Homes, command: &mut Command, home: Home) -> Result<Home, Error> {
    let Some(asked) = command.customer().map(|id| id.public().clone()) else { return Ok(home) };
    let candidates = candidates(reader, &home, &asked)?;
    if let [only] = &candidates[..]
        && Arc::ptr_eq(only, &home.connection)
        && !(command.is_write() && is_did(&asked))
    {
        return at_active(command, home);
    }
    let retrievals = candidates.iter().filter_map(|candidate| {
        let id = CustomerId::parse(asked.clone(), &candidate.manifest.id).ok()?;
        Some(async move { Ok::<_, Error>((candidate, reader.retrieve(candidate, &id).await?)) })
    });
    let mut found = Vec::new();
    for answer in join_all(retrievals).await {
        let (connection, customer) = answer?;
        found.extend(customer.map(|customer| (connection, customer)));
    }
    let public = match &found[..] {
        [] => {
            return at_active(command, home).map_err(|_| Error::new(Kind::NotFound, "no connection has this customer"));
        }
        [(connection, customer)] => adopted(reader, homes, connection, customer).await?,
        several => the_same(reader, homes, several).await?,
    };
    let id = command.customer_mut().ok_or_else(|| Error::new(Kind::Invalid, "the command names no customer"))?;
    *id = CustomerId::parse(Text::from(public), &IdPattern::PUBLIC)?;
    let home = homes.resolve(reader.merchant, command).await?;
    match &home.customer {
        Some(_) => Ok(home),
        None => Err(Error::new(Kind::NotFound, "the customer was deleted")),
    }
}

/// The command for the active connection, whose customer has the same id there.
pub(super) fn at_active(command: &mut Command, home: Home) -> Result<Home, Error> {
    // The DID of a user who has no customer yet. The provider makes the customer, or refuses to: none is missing.
    if matches!(command, Command::RetrieveOrCreate(_)) {
        return Ok(home);
    }
    if let (Some(id), None) = (command.customer_mut(), &home.customer) {
        *id = CustomerId::parse(id.public().clone(), &home.connection.manifest.id)?;
    }
    Ok(home)
}

/// The connections that can have a customer without a row: the active one first.
fn candidates(reader: &Reader<'_>, home: &Home, asked: &str) -> Result<Vec<Arc<Connection>>, Error> {
    let mut candidates = vec![Arc::clone(&home.connection)];
    if let Some(open) = home.routing.as_ref().and_then(|routing| routing.open.as_ref()) {
        candidates.push(connection(reader.merchant, &open.other)?);
    }
    if is_did(asked) {
        for other in reader.merchant.connections.values() {
            let has_dids = !matches!(other.manifest.lookups.did, FilterSupport::No(_));
            if has_dids && candidates.iter().all(|known| known.name != other.name) {
                candidates.push(Arc::clone(other));
            }
        }
    }
    Ok(candidates)
}

/// Whether an id has the form of a DID: multibase text, with or without its method.
fn is_did(id: &str) -> bool {
    id.starts_with('z') || id.starts_with("did:")
}

/// Gives the only customer its row, and returns its public id.
async fn adopted(
    reader: &Reader<'_>,
    homes: &Homes,
    connection: &Connection,
    customer: &Customer,
) -> Result<String, Error> {
    let adopted = homes.adopt(reader.merchant, connection, &[customer]).await?;
    match adopted.into_iter().next() {
        Some(adopted) if adopted.is_shown() => Ok(adopted.public_id),
        Some(adopted) if adopted.is_held => Err(held()),
        _ => Err(Error::new(Kind::NotFound, "the customer was deleted")),
    }
}

/// The public id of the customer that several connections have, if their records have rows of one customer. Otherwise the id
/// is ambiguous, and none of the records gets a row.
async fn the_same(reader: &Reader<'_>, homes: &Homes, found: &[(&Arc<Connection>, Customer)]) -> Result<String, Error> {
    let ids =
        found.iter().map(|(connection, customer)| (connection.name.clone(), customer.id_at_provider().to_string()));
    let rows = homes.given_ids(reader.merchant, &ids.clone().collect::<Vec<_>>()).await?;
    let has_rows = rows.iter().all(Option::is_some);
    let mut public: Vec<String> = rows.into_iter().zip(ids).map(|(public, (_, own))| public.unwrap_or(own)).collect();
    public.sort();
    public.dedup();
    match &public[..] {
        [one] if has_rows => Ok(one.clone()),
        _ => {
            let detail = "both connections of the open switch have a customer with this id; nothing was sent; use the id \
                          that a list shows for the customer";
            Err(Error::new(Kind::AmbiguousId, detail).with_matching(public))
        }
    }
}
