//! Erases deleted customers at the connections that are not their home (R31). Any process that shares the store tries what is
//! due, also after the switch has ended, until each erasure has its outcome.
//!
//! A try is a copy that deletes: it is claimed, sent once, and reconciled. So two processes that try at the same time send one
//! deletion.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use passerelle_providers::{
    model::{Command, CustomerId, Kind, Operation},
    text::Text,
};

use super::{
    context::{Context, Stalled},
    side::{Read, Reader},
};
use crate::{
    store::{CopyOf, Deletion, Erased, Erasure},
    writes::{CONNECTION_REMOVED, CopyEnd, NewCopy},
};

/// How often the store is asked for what is due.
const LOOK: Duration = Duration::from_millis(500);
/// How many erasures a process takes at once.
const AT_ONCE: usize = 8;
const MERGED: &str = "the provider has merged the record with that of another customer";
const LIVES_THERE: &str = "the customer lives at this connection by now";

/// Tries erasures. It never ends.
pub async fn erase(context: &Context) {
    let mut has_failed = false;
    loop {
        tokio::time::sleep(LOOK).await;
        match context.store.ids().due_erasures(AT_ONCE).await {
            Ok(due) => {
                has_failed = false;
                stream::iter(due).for_each_concurrent(AT_ONCE, |erasure| one(context, erasure)).await;
            }
            Err(error) if !has_failed => {
                tracing::warn!("the store does not say which customers are to be erased: {error}");
                has_failed = true;
            }
            Err(_) => {}
        }
    }
}

async fn one(context: &Context, erasure: Erasure) {
    let (merchant, connection) = (&erasure.merchant, &erasure.connection);
    let erased = match erased(context, &erasure).await {
        Ok(erased) => erased,
        Err(stalled) => {
            tracing::warn!(
                merchant,
                connection,
                tries = erasure.tries,
                "a customer is not erased yet: {}",
                stalled.detail
            );
            Erased::Pending
        }
    };
    // If the store keeps no end, the erasure is due again when the time of this try has passed.
    if let Err(error) = context.store.ids().end_erasure(erasure, erased).await {
        tracing::warn!("the end of an erasure cannot be stored: {error}");
    }
}

async fn erased(context: &Context, erasure: &Erasure) -> Result<Erased, Stalled> {
    let Erasure { merchant, public_id, connection, .. } = erasure;
    let gateway = context.gateway.load_full();
    let Some((merchant, connection)) = gateway.connection(merchant, connection) else {
        return Ok(Erased::Cannot(CONNECTION_REMOVED.to_owned()));
    };
    // What the copier has written at this connection. A create in doubt may still make a record. It is read before the
    // customer: a decision of the operator keeps the id of a record before the memory of the copy goes.
    let earlier = context.writes.earlier_copy(merchant, connection, public_id).await?;
    let resolved = context.store.ids().resolve(&merchant.name, Some(public_id)).await?;
    let Some(resolved) = resolved else { return Ok(Erased::Pending) };
    let customer = resolved.customers.iter().find(|customer| customer.public_id == *public_id);
    match customer.map(|customer| (customer.deletion, customer.home(&resolved.routing))) {
        Some((None, home)) if home == connection.name => return Ok(Erased::Cannot(LIVES_THERE.to_owned())),
        Some((Some(Deletion::Claimed), _)) => return Ok(Erased::Pending),
        _ => {}
    }
    let known = erasure.provider_id.clone().or_else(|| Some(customer?.id_at(&connection.name)?.to_owned()));
    let id = match (earlier, known) {
        (Some(CopyEnd::InDoubt | CopyEnd::Moved), _) => return Ok(Erased::Pending),
        (_, Some(known)) => known,
        (Some(CopyEnd::Done { provider_id: Some(id), .. }), None) => id,
        // There was no copy, or it certainly did not happen.
        (_, None) => return Ok(Erased::Deleted),
    };
    if let Err(error) = connection.manifest.require(Operation::Delete) {
        return Ok(Erased::Cannot(error.to_string()));
    }
    match (Reader { context, merchant, connection }).record(&id).await? {
        Read::Missing => return Ok(Erased::Deleted),
        // A deletion would reach the other customer.
        Read::Merged => return Ok(Erased::Cannot(MERGED.to_owned())),
        Read::Found(_) | Read::Unreadable(_) => {}
    }
    let Ok(id) = CustomerId::parse(Text::from(&*id), &connection.manifest.id) else { return Ok(Erased::Pending) };
    let copy = NewCopy {
        merchant: Arc::clone(merchant),
        connection: Arc::clone(connection),
        of: CopyOf { public_id: public_id.clone(), version: None },
        epoch: resolved.routing.epoch,
        command: Command::Delete(id),
        seen: Vec::new(),
    };
    match context.writes.copy(copy).await? {
        CopyEnd::Done { .. } => Ok(Erased::Deleted),
        CopyEnd::Refused(error) if error.kind == Kind::NotFound => Ok(Erased::Deleted),
        CopyEnd::Refused(error) => {
            if let Some(stalled) = Stalled::of(&error, connection) {
                return Err(stalled);
            }
            tracing::warn!(merchant = merchant.name, connection = connection.name, "a deletion is refused: {error}");
            Ok(Erased::Pending)
        }
        CopyEnd::InDoubt | CopyEnd::Moved => Ok(Erased::Pending),
    }
}
