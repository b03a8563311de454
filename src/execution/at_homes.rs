//! Reads of a merchant who switches providers: each command goes to the homes of the customers that it shows.

use std::sync::Arc;

use passerelle_providers::{
    model::{Command, CustomerId, Error, IdPattern, Reply},
    text::Text,
};

use super::{
    Reader, carrying, finding,
    walk::{self, Place, Walk},
};
use crate::merchant::{Connection, Home, Homes, Middleware, connection};

/// The reply to a command, with the ids that the merchant knows.
#[derive(Debug)]
pub struct Answered {
    /// The reply.
    pub reply: Reply,
    /// The connection that it comes from.
    pub connection: Arc<Connection>,
    /// For a list of customers: where they live, and where it goes on.
    pub walk: Option<Walk>,
}

/// Where a command begins.
#[derive(Debug)]
pub struct Start {
    /// The connection to which it is sent first.
    pub connection: Arc<Connection>,
    place: Place,
}

/// Where a command begins. A cursor goes on at the connection where its list began, as long as a switch of the merchant is
/// open (R8). The error says why the cursor is not accepted any more.
pub fn at_start(
    reader: &Reader<'_>,
    home: &Home,
    command: &mut Command,
    cursor: Option<&Place>,
) -> Result<Result<Start, String>, Error> {
    let place = match walk::place(reader.merchant, home, cursor) {
        Ok(place) => place,
        Err(reason) => return Ok(Err(reason)),
    };
    let (Some(id), Some(customer), Some(_)) = (command.customer_mut(), &home.customer, cursor) else {
        let is_list = matches!(command, Command::List(_));
        let first = if is_list { connection(reader.merchant, &place.at)? } else { Arc::clone(&home.connection) };
        return Ok(Ok(Start { connection: first, place }));
    };
    // A list of what belongs to a customer, such as payments: the position is one in the list of that connection.
    let at = connection(reader.merchant, &place.at)?;
    let Some(own) = customer.id_at(&at.name) else {
        return Ok(Err(format!("the customer is not at the connection `{}` any more, where the list began", at.name)));
    };
    *id = CustomerId::parse(id.public().clone(), &IdPattern::PUBLIC)?.at(Text::from(own), &at.manifest.id)?;
    Ok(Ok(Start { connection: at, place }))
}

/// Executes a command that only reads.
pub async fn read_at_homes(
    reader: &Reader<'_>,
    homes: &Homes,
    home: &Home,
    start: Start,
    command: &Command,
) -> Result<Answered, Error> {
    let mut answered = read(reader, homes, home, start, command).await?;
    if let Some(carried) = &reader.merchant.carried {
        let Answered { reply, connection, walk } = &mut answered;
        let home = |index: usize| &**walk.as_ref().and_then(|walk| walk.homes.get(index)).unwrap_or(connection);
        carrying::show(carried, reader.merchant, home, reply).await?;
    }
    Ok(answered)
}

async fn read(
    reader: &Reader<'_>,
    homes: &Homes,
    home: &Home,
    start: Start,
    command: &Command,
) -> Result<Answered, Error> {
    let Start { connection, place } = start;
    match command {
        Command::List(list) => {
            let walked = Box::pin(walk::walk(reader, homes, home, &place, list.clone())).await?;
            Ok(Answered { reply: Reply::Customers(walked.page), connection, walk: Some(walked.walk) })
        }
        Command::Find(lookup) => Ok(match Box::pin(finding::find(reader, homes, home, lookup)).await? {
            Some((customer, at)) => Answered { reply: Reply::Found(Some(customer.into())), connection: at, walk: None },
            None => Answered { reply: Reply::Found(None), connection, walk: None },
        }),
        command => {
            let mut reply = reader.run(&connection, command).await?;
            if !is_named(&mut reply, command, home) {
                homes.present(reader.merchant, &connection, &mut reply).await?;
            }
            Ok(Answered { reply, connection, walk: None })
        }
    }
}

/// Gives the customer of a reply its public id, if it is the customer that the command was resolved to. Then the store need
/// not be asked again.
fn is_named(reply: &mut Reply, command: &Command, home: &Home) -> bool {
    let (Some(customer), Some(id)) = (&home.customer, command.customer()) else { return false };
    if !reply.customers().all(|shown| id.is_at_provider(shown.id_at_provider())) {
        return false;
    }
    for shown in reply.customers_mut() {
        shown.set_public_id(Text::from(customer.public_id.as_str()));
    }
    true
}
