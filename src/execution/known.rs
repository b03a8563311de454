//! The customers that the gateway knows at a connection whose provider's lists do not show all of them: the engine asks
//! here, and the store has them.

use async_trait::async_trait;
use passerelle_providers::{
    kit::KnownCustomers,
    model::{Customer, Error, Kind, Lookup},
    text::Text,
};

use crate::{
    merchant::{Connection, Merchant},
    store::{ContactKind, Contacts, ContactsOf},
};

/// The most customers that a look-up retrieves one after the other.
const MAX_CANDIDATES: usize = 10;

/// The known customers of one connection.
#[derive(Debug)]
pub(super) struct KnownAtConnection<'c> {
    contacts: &'c Contacts,
    of: ContactsOf<'c>,
}

impl<'c> KnownAtConnection<'c> {
    /// The known customers of a connection. `None` where the provider's lists show every customer: then the store is
    /// never asked.
    pub(super) fn of(contacts: &'c Contacts, merchant: &'c Merchant, connection: &'c Connection) -> Option<Self> {
        let of = ContactsOf { merchant: &merchant.name, connection: &connection.name };
        (!connection.manifest.lists.is_complete()).then_some(Self { contacts, of })
    }
}

#[async_trait]
impl KnownCustomers for KnownAtConnection<'_> {
    async fn find(&self, lookup: &Lookup) -> Result<Vec<Text>, Error> {
        let Some(kind) = kind_of(lookup) else { return Ok(Vec::new()) };
        let found = self.contacts.find(self.of, kind, &lookup.comparable(), MAX_CANDIDATES).await;
        found.map(|ids| ids.into_iter().map(Text::from).collect()).map_err(|error| {
            let ContactsOf { merchant, connection } = self.of;
            tracing::error!(merchant, connection, "a look-up failed, because the store cannot be read: {error}");
            let detail = "the provider's list does not show every customer, and the gateway's store, which knows more \
                          of them, cannot be read now; nothing was changed; try again";
            Error::new(Kind::StoreUnavailable, detail)
        })
    }

    async fn correct(&self, lookup: &Lookup, id: &Text, customer: Option<&Customer>) {
        let Some(kind) = kind_of(lookup) else { return };
        let now = customer.and_then(|customer| match kind {
            ContactKind::Email => customer.email.clone().map(Lookup::Email),
            ContactKind::Phone => customer.phone.clone().map(Lookup::Phone),
        });
        let now = now.as_ref().map(Lookup::comparable);
        let corrected = self.contacts.correct(self.of, id, kind, &lookup.comparable(), now.as_deref()).await;
        // The answer to the look-up is right all the same. The next look-up corrects it.
        if let Err(error) = corrected {
            let ContactsOf { merchant, connection } = self.of;
            tracing::warn!(merchant, connection, "a contact cannot be corrected: {error}");
        }
    }
}

/// The kind of contact that a look-up compares. The store has no others.
const fn kind_of(lookup: &Lookup) -> Option<ContactKind> {
    match lookup {
        Lookup::Email(_) => Some(ContactKind::Email),
        Lookup::Phone(_) => Some(ContactKind::Phone),
        Lookup::Did(_) | Lookup::Reference(_) => None,
    }
}
