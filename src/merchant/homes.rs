//! The middleware of merchants who have a routing row: ids that were handed out once go on to work. A command goes to the
//! home of its customer, with the customer's id there. The home is where the customer is pinned, otherwise the active
//! connection of the routing row. Replies get the ids that the merchant knows.
//!
//! An id without a row is that of a customer at the active connection. Where the store cannot be asked, every command is
//! refused, and none is answered with 404: the customer may exist.

use std::{iter, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;
use passerelle_providers::{
    model::{Command, Customer, CustomerId, Error, IdPattern, Kind, Lookup, Reply},
    text::Text,
};

use super::{Connection, Gateway, Home, Merchant, Middleware};
use crate::store::{Ids, KnownCustomer, Resolved, ShownRecord, StoreError};

/// The ids and homes of customers, from the store.
#[derive(Debug)]
pub struct Homes(Ids);

impl Gateway {
    /// The same snapshot with the ids of the store between the merchants who have a routing row and their connections.
    /// A merchant who has a middleware keeps it.
    #[must_use]
    pub fn with_ids(self, ids: &Ids) -> Self {
        self.with_middleware(|merchant| match &merchant.middleware {
            None if ids.is_routed(&merchant.name) => Some(Arc::new(Homes(ids.clone()))),
            middleware => middleware.clone(),
        })
    }

    /// Whether a merchant has a routing row and no middleware yet.
    pub fn lacks_ids(&self, ids: &Ids) -> bool {
        self.by_name.values().any(|merchant| merchant.middleware.is_none() && ids.is_routed(&merchant.name))
    }
}

#[async_trait]
impl Middleware for Homes {
    async fn resolve(&self, merchant: &Merchant, command: &mut Command) -> Result<Home, Error> {
        let asked = command.customer().map(|id| id.public().clone());
        let resolved = self.0.resolve(&merchant.name, asked.as_deref()).await;
        let Some(Resolved { routing, customers }) = resolved.map_err(|error| unavailable(merchant, &error))? else {
            let detail = "the gateway's store does not say any more which connection serves the merchant; nothing was \
                          sent; ask the operator";
            return Err(refused(merchant, detail.to_owned()));
        };
        // A list begins after one of its own customers, wherever that customer lives.
        let is_list = matches!(command, Command::List(_));
        let active = connection(merchant, &routing.connection)?;
        let at = |connection, routing, customer| Ok(Home { connection, routing: Some(routing), customer });
        let Some(id) = command.customer_mut() else { return at(active, routing, None) };
        let mut customers = customers.into_iter();
        let customer = match (customers.next(), customers.as_slice()) {
            (None, _) => {
                *id = CustomerId::parse(id.public().clone(), &active.manifest.id)?;
                return at(active, routing, None);
            }
            (Some(customer), []) => customer,
            (Some(first), others) => return Err(ambiguous(iter::once(&first).chain(others))),
        };
        if customer.is_tombstoned() {
            return Err(Error::new(Kind::NotFound, "the customer was deleted"));
        }
        let home = match &customer.pinned {
            Some(pinned) if !is_list => connection(merchant, pinned)?,
            _ => active,
        };
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
        let shown = |id: &Text| (connection.name.clone(), id.to_string());
        let customers: Vec<_> = reply.customers().map(|customer| shown(customer.id_at_provider())).collect();
        if customers.is_empty() {
            return Ok(());
        }
        let known =
            self.0.public_ids(&merchant.name, &customers).await.map_err(|error| unavailable(merchant, &error))?;
        for (customer, public) in reply.customers_mut().zip(known) {
            if let Some(public) = public {
                customer.set_public_id(Text::from(public));
            }
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
                self.0.adopt_created(&merchant.name, &connection.name, record, sent_at).await
            }
            None => self.0.adopt(&merchant.name, &connection.name, &[record]).await.map(|mut adopted| adopted.pop()),
        };
        let Some(adopted) = adopted.map_err(|error| unavailable(merchant, &error))? else { return Ok(()) };
        if adopted.is_tombstoned && sent_at.is_none() {
            let detail = "the customer whom the provider shows was deleted a short time ago; try again";
            return Err(Error::new(Kind::Overloaded, detail));
        }
        customer.set_public_id(Text::from(adopted.public_id));
        Ok(())
    }

    async fn public_ids(&self, merchant: &Merchant, ids: Vec<(String, String)>) -> Result<Vec<String>, Error> {
        let known = self.0.public_ids(&merchant.name, &ids).await.map_err(|error| unavailable(merchant, &error))?;
        Ok(known.into_iter().zip(ids).map(|(public, (_, own))| public.unwrap_or(own)).collect())
    }

    fn homes(&self) -> Option<&Homes> {
        Some(self)
    }
}

/// A connection that the store names.
fn connection(merchant: &Merchant, name: &str) -> Result<Arc<Connection>, Error> {
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
