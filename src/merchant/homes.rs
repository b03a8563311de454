//! The middleware of merchants who have a routing row: ids that were handed out once go on to work. A command goes to the
//! home of its customer, with the customer's id there. The home is where the customer is pinned, otherwise the active
//! connection of the routing row. Replies get the ids that the merchant knows.
//!
//! `execution` decides where an id without a row is asked for. Where the store cannot be asked, every command is
//! refused, and none is answered with 404: the customer may exist.

use std::{iter, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use passerelle_providers::{
    model::{Command, Customer, CustomerId, Error, IdPattern, Kind, Lookup, Reply},
    switch::FindingCode,
    text::{Text, email, packed},
};
use tokio::time::{Instant, sleep};

use super::{Connection, Gateway, Home, Merchant, Middleware};
use crate::store::{
    AdoptedId, ContactKind, Ids, KnownCustomer, OperationLog, Resolved, Routing, Seen, ShownRecord, Store, StoreError,
};

/// How often a write looks whether its customer has moved.
const LOOK: Duration = Duration::from_millis(20);
/// After this time beyond its end, a hold is that of a process that has died. The clocks of processes differ by less.
const FORGOTTEN: i64 = 5000;

/// The ids and homes of customers, from the store. Every customer has a home of its own: the connection to which it is pinned,
/// otherwise the active one.
#[derive(Debug)]
pub struct Homes {
    ids: Ids,
    operations: OperationLog,
    /// How long a write waits for the move of its customer.
    hold: Duration,
}

impl Gateway {
    /// The same snapshot with the ids of the store between the merchants who have a routing row and their connections.
    /// A merchant who has a middleware keeps it.
    #[must_use]
    pub fn with_ids(self, store: &Store) -> Self {
        let (ids, hold) = (store.ids(), self.hold);
        self.with_middleware(|merchant| match &merchant.middleware {
            None if ids.is_routed(&merchant.name) => {
                Some(Arc::new(Homes { ids: ids.clone(), operations: store.operations().clone(), hold }))
            }
            middleware => middleware.clone(),
        })
    }

    /// Whether a merchant has a routing row and no middleware yet.
    pub fn lacks_ids(&self, ids: &Ids) -> bool {
        self.by_name.values().any(|merchant| merchant.middleware.is_none() && ids.is_routed(&merchant.name))
    }
}

impl Homes {
    /// The ids that the merchant was given for customers at connections. `None` where there is no row.
    pub async fn given_ids(&self, merchant: &Merchant, ids: &[(String, String)]) -> Result<Vec<Option<String>>, Error> {
        self.ids.public_ids(&merchant.name, ids).await.map_err(|error| unavailable(merchant, &error))
    }

    /// Gives records of a connection their rows, before an answer shows them.
    pub async fn adopt(
        &self,
        merchant: &Merchant,
        connection: &Connection,
        customers: &[&Customer],
    ) -> Result<Vec<AdoptedId>, Error> {
        if customers.is_empty() {
            return Ok(Vec::new());
        }
        let emails: Vec<_> =
            customers.iter().map(|customer| customer.email.as_deref().map(email::comparable)).collect();
        let records: Vec<ShownRecord<'_>> = customers
            .iter()
            .zip(&emails)
            .map(|(customer, email)| ShownRecord {
                provider_id: customer.id_at_provider(),
                email: email.as_deref(),
                phone: customer.phone.as_deref(),
            })
            .collect();
        let adopted = self.ids.adopt(&merchant.name, &connection.name, &records).await;
        adopted.map_err(|error| unavailable(merchant, &error))
    }

    /// The customers that have these ids at a connection. `None` where there is no row.
    pub async fn known(
        &self,
        merchant: &Merchant,
        connection: &Connection,
        ids: &[Text],
    ) -> Result<Vec<Option<KnownCustomer>>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
        let known = self.ids.known(&merchant.name, &connection.name, &ids).await;
        known.map_err(|error| unavailable(merchant, &error))
    }

    /// The customers whose row has a contact. What a row says can be out of date.
    pub async fn by_contact(&self, merchant: &Merchant, lookup: &Lookup) -> Result<Vec<KnownCustomer>, Error> {
        let Some(kind) = contact_kind(lookup) else { return Ok(Vec::new()) };
        let known = self.ids.by_contact(&merchant.name, kind, &lookup.comparable()).await;
        known.map_err(|error| unavailable(merchant, &error))
    }

    /// Whether a create that has not ended may make a customer with this contact, at another connection than `active`. It is
    /// not known yet where that customer lives, or whether there will be one.
    pub async fn has_unfinished_create(
        &self,
        merchant: &Merchant,
        active: &Connection,
        lookup: &Lookup,
    ) -> Result<bool, Error> {
        let Some(kind) = contact_kind(lookup) else { return Ok(false) };
        let creates = self.operations.unfinished_creates(&merchant.name, kind, &lookup.comparable()).await;
        let creates = creates.map_err(|error| unavailable(merchant, &error))?;
        Ok(creates.iter().any(|create| create.connection != active.name))
    }

    /// How many customers are pinned to a connection. It counts no more than `most`.
    pub async fn pinned_to(&self, merchant: &Merchant, connection: &str, most: usize) -> Result<u64, Error> {
        let counted = self.ids.count_pinned_to(&merchant.name, connection, most).await;
        counted.map_err(|error| unavailable(merchant, &error))
    }

    /// Whether a walk that began in the list of `first` has to go on in that of `other`. Rows that a copy made after `since` do
    /// not count.
    pub async fn has_tail(&self, merchant: &Merchant, first: &str, other: &str, since: i64) -> Result<bool, Error> {
        let has_tail = self.ids.has_tail(&merchant.name, first, other, since).await;
        has_tail.map_err(|error| unavailable(merchant, &error))
    }

    /// What an id means. An id without a row can be an alias: the UUID into which drop-in packs an id for clients that accept
    /// only UUIDs (R3).
    async fn resolved(&self, merchant: &Merchant, command: &mut Command) -> Result<Resolved, Error> {
        let asked = command.customer().map(|id| id.public().clone());
        let resolved = self.read(merchant, asked.as_deref()).await?;
        let alias = asked.filter(|_| resolved.customers.is_empty()).and_then(|asked| packed::from_uuid(&asked));
        let (Some(alias), Some(id)) = (alias, command.customer_mut()) else { return Ok(resolved) };
        *id = CustomerId::parse(alias.clone(), &IdPattern::PUBLIC)?;
        self.read(merchant, Some(&alias)).await
    }

    async fn read(&self, merchant: &Merchant, id: Option<&str>) -> Result<Resolved, Error> {
        let resolved = self.ids.resolve(&merchant.name, id).await.map_err(|error| unavailable(merchant, &error))?;
        let Some(resolved) = resolved else {
            let detail = "the gateway's store does not say any more which connection serves the merchant; nothing was \
                          sent; ask the operator";
            return Err(refused(merchant, detail.to_owned()));
        };
        match self.ids.epochs().check(&merchant.name, resolved.routing.epoch) {
            Seen::Current => Ok(resolved),
            Seen::Lower { highest, is_first } => Err(restored(merchant, &resolved.routing, highest, is_first)),
        }
    }
}

#[async_trait]
impl Middleware for Homes {
    async fn resolve(&self, merchant: &Merchant, command: &mut Command) -> Result<Home, Error> {
        let mut resolved = self.resolved(merchant, command).await?;
        // A customer who is being moved is written at its new home (R15). The wait holds nothing in the database.
        if command.is_write() && is_held(&resolved) {
            let begun = Instant::now();
            while is_held(&resolved) && begun.elapsed() < self.hold {
                sleep(LOOK).await;
                resolved = self.resolved(merchant, command).await?;
            }
        }
        let Resolved { routing, customers } = resolved;
        // A list begins after one of its own customers, wherever that customer lives.
        let is_list = matches!(command, Command::List(_));
        let active = connection(merchant, &routing.connection)?;
        let at = |connection, routing, customer| Ok(Home { connection, routing: Some(routing), customer });
        let is_write = command.is_write();
        let Some(id) = command.customer_mut() else { return at(active, routing, None) };
        let mut customers = customers.into_iter();
        let customer = match (customers.next(), customers.as_slice()) {
            (None, _) => return at(active, routing, None),
            (Some(customer), []) => customer,
            (Some(first), others) => return Err(ambiguous(iter::once(&first).chain(others))),
        };
        if customer.is_tombstoned() {
            return Err(Error::new(Kind::NotFound, "the customer was deleted"));
        }
        if customer.merged_at.is_some() && is_write {
            return Err(merged(&customer));
        }
        let home = if is_list { active } else { connection(merchant, customer.home(&routing))? };
        let Some(provider_id) = customer.id_at(&home.name) else {
            if is_list {
                return Err(Error::new(Kind::NotFound, "no such customer in this list"));
            }
            let detail = format!(
                "the customer belongs to the connection `{}`, and the gateway does not know its id there; nothing was \
                 sent; ask the operator",
                home.name
            );
            return Err(refused(merchant, detail));
        };
        let public = CustomerId::parse(Text::from(customer.public_id.as_str()), &IdPattern::PUBLIC)?;
        *id = public.at(Text::from(provider_id), &home.manifest.id)?;
        at(home, routing, Some(customer))
    }

    async fn present(&self, merchant: &Merchant, connection: &Connection, reply: &mut Reply) -> Result<(), Error> {
        let customers: Vec<&Customer> = reply.customers().collect();
        let adopted = self.adopt(merchant, connection, &customers).await?;
        if !reply.is_written() && adopted.iter().any(|adopted| adopted.is_held) {
            return Err(held());
        }
        if !reply.is_written() && adopted.iter().any(|adopted| adopted.is_tombstoned) {
            return Err(Error::new(Kind::NotFound, "the customer was deleted"));
        }
        for (customer, adopted) in reply.customers_mut().zip(adopted) {
            customer.set_public_id(Text::from(adopted.public_id));
        }
        Ok(())
    }

    async fn present_created(
        &self,
        merchant: &Merchant,
        connection: &Connection,
        customer: &mut Customer,
        sent_at: Option<Timestamp>,
    ) -> Result<(), Error> {
        let comparable = |value: &Option<Text>, kind: fn(Text) -> Lookup| {
            value.as_ref().map(|value| kind(value.clone()).comparable().into_owned())
        };
        let (email, phone) = (comparable(&customer.email, Lookup::Email), comparable(&customer.phone, Lookup::Phone));
        let record =
            ShownRecord { provider_id: customer.id_at_provider(), email: email.as_deref(), phone: phone.as_deref() };
        let adopted = match sent_at {
            Some(sent_at) => {
                let sent_at = sent_at.as_millisecond();
                self.ids.adopt_created(&merchant.name, &connection.name, record, sent_at).await
            }
            None => self.ids.adopt(&merchant.name, &connection.name, &[record]).await.map(|mut adopted| adopted.pop()),
        };
        let Some(adopted) = adopted.map_err(|error| unavailable(merchant, &error))? else { return Ok(()) };
        if adopted.is_tombstoned && sent_at.is_none() {
            let detail = "the customer that the provider shows was deleted a short time ago; try again";
            return Err(Error::new(Kind::Overloaded, detail));
        }
        customer.set_public_id(Text::from(adopted.public_id));
        Ok(())
    }

    async fn public_ids(&self, merchant: &Merchant, ids: Vec<(String, String)>) -> Result<Vec<String>, Error> {
        let known = self.given_ids(merchant, &ids).await?;
        Ok(known.into_iter().zip(ids).map(|(public, (_, own))| public.unwrap_or(own)).collect())
    }

    fn homes(&self) -> Option<&Homes> {
        Some(self)
    }
}

/// Whether the claims on the customer wait for its move. The claim itself asks again, by the clock of the database.
fn is_held(resolved: &Resolved) -> bool {
    let now = crate::clock::now().as_millisecond();
    let is_held = |customer: &KnownCustomer| customer.held_until > 0 && !customer.shown.is_empty();
    resolved.customers.iter().any(|one| is_held(one) && now < one.held_until.saturating_add(FORGOTTEN))
}

/// The kind of contact that a look-up compares. Rows have no others.
const fn contact_kind(lookup: &Lookup) -> Option<ContactKind> {
    match lookup {
        Lookup::Email(_) => Some(ContactKind::Email),
        Lookup::Phone(_) => Some(ContactKind::Phone),
        Lookup::Did(_) | Lookup::Reference(_) => None,
    }
}

/// A connection that the store names.
pub fn connection(merchant: &Merchant, name: &str) -> Result<Arc<Connection>, Error> {
    merchant.connections.get(name).cloned().ok_or_else(|| {
        let detail = format!(
            "the gateway's store names the connection `{name}` for this, which is not in the configuration; nothing was \
             sent; ask the operator"
        );
        refused(merchant, detail)
    })
}

/// The store and the configuration do not fit together. It is no 404: the customer may well exist.
fn refused(merchant: &Merchant, detail: String) -> Error {
    tracing::error!(merchant = merchant.name, "a command was refused: {detail}");
    Error::new(Kind::StoreUnavailable, detail)
}

/// The store is older than one that this process has read: a restored backup, or a standby that lacks the last flip (R13).
/// Its rows may name homes that are not the homes any more, so nothing is read or written.
fn restored(merchant: &Merchant, routing: &Routing, highest: u64, is_first: bool) -> Error {
    let Routing { connection, epoch, .. } = routing;
    if is_first {
        tracing::error!(
            merchant = merchant.name,
            epoch,
            highest,
            "the store is older than it was: its routing row has a lower epoch than this process has read; requests of the \
             merchant are refused until an operator has chosen the active connection: `passerelle switch set {} \
             active=CONNECTION`; the row names `{connection}`",
            merchant.name
        );
    }
    let detail = "the gateway's store is older than it was, so it does not say for certain where the merchant's customers \
                  are; nothing was sent; ask the operator, whose log says what to do (`passerelle switch set`)";
    Error::new(Kind::StoreUnavailable, detail)
}

/// A create that has not ended may have made the customer, so it is not known yet under which id it is shown.
pub fn held() -> Error {
    let detail = "a create that has not ended may have made this customer, so the gateway does not know yet which customer it \
                  is; send the request again later";
    Error::new(Kind::InProgress, detail)
}

/// The provider has merged the customer's record with another one (R22).
fn merged(customer: &KnownCustomer) -> Error {
    let detail = format!(
        "the provider answers the id of this customer with another customer's record: it has merged the two. Nothing was sent, \
         because it would reach the other customer. Use the id of that customer, or ask the operator (`{}`)",
        FindingCode::RecordMerged.as_str()
    );
    tracing::warn!(customer = customer.public_id, "a write was refused: the provider has merged the record");
    Error::new(Kind::SharedRecord, detail)
}

fn unavailable(merchant: &Merchant, error: &StoreError) -> Error {
    tracing::error!(merchant = merchant.name, "the ids of customers cannot be read: {error}");
    let detail = "the gateway's store, which knows the ids of the merchant's customers, cannot be read now; try again";
    Error::new(Kind::StoreUnavailable, detail)
}

fn ambiguous<'c>(customers: impl Iterator<Item = &'c KnownCustomer>) -> Error {
    let detail = "several customers have this id, each at another connection; `ids` has the ids that the merchant was \
                  given";
    let mut ids: Vec<String> = customers.map(|customer| customer.public_id.clone()).collect();
    ids.sort();
    Error::new(Kind::AmbiguousId, detail).with_matching(ids)
}
