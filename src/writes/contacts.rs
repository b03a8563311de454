//! The customer of a finished write: its id for the store, and what the write changes about its contacts. Contacts are
//! the keyed hashes by which a look-up finds a customer that the lists of its provider do not show. Where the lists show
//! every customer, none are recorded. And what the home shows after the write, for the copies of a switch.

use passerelle_providers::{
    model::{Command, Created, Customer, CustomerFields, Error, Lookup, Patch, Written},
    switch::{Seen, Side},
    text::Text,
};

use super::{Attempt, NewWrite};
use crate::{
    execution,
    store::{
        Carried, CarriedChanges, ContactChanges, ContactKind, Contacts, ContactsOf, CreatedContacts, OperationLog,
    },
};

impl Attempt<'_> {
    /// Completes the result with what the gateway keeps of the customer, and returns what the write changes about that.
    pub(super) async fn complete(&self, store: &Carried, result: &mut Result<Written, Error>) -> CarriedChanges {
        let Some(carried) = self.carried(store) else { return CarriedChanges::default() };
        let write = (self.command, self.conditions.on_loss);
        Box::pin(execution::complete_write(carried, self.merchant, self.connection, write, result)).await
    }

    /// The changes, as hashes. A merchant with a routing row keeps them in the row of the customer, too.
    pub(super) fn contact_changes(&self, contacts: &Contacts, result: &Result<Written, Error>) -> ContactChanges {
        let Ok(written) = result else { return ContactChanges::default() };
        let is_complete = self.connection.manifest.lists.is_complete();
        let is_routed = self.merchant.middleware.is_some() && !self.is_copy;
        if is_complete && !is_routed {
            return ContactChanges::default();
        }
        let (sent, customer) = match (self.command, written) {
            (Command::Create(create), Written::Created(Created { customer, existing: false })) => {
                (&create.fields, customer)
            }
            (Command::Update(update), Written::Changed(customer)) => (&update.fields, customer),
            (_, Written::Deleted) => return ContactChanges::forget(),
            // The lists showed a customer that a create matched, or the store knows it already. Other writes change no
            // e-mail address and no phone number.
            (_, Written::Created(_) | Written::Changed(_)) => return ContactChanges::default(),
        };
        let comparable = comparable(sent, customer);
        let values = || comparable.iter().map(|(kind, value)| (*kind, value.as_deref()));
        let of = ContactsOf { merchant: &self.merchant.name, connection: &self.connection.name };
        let changes = if is_complete { ContactChanges::default() } else { contacts.changes(of, values()) };
        if is_routed { contacts.with_row(of.merchant, changes, values()) } else { changes }
    }
}

/// What the home showed in the answer to a write, as keyed hashes. A copy that reads the same has read the state after the
/// write. Only a merchant with a routing row needs it.
pub(super) fn shown(attempt: &Attempt<'_>, store: &OperationLog, result: &Result<Written, Error>) -> Option<Vec<u8>> {
    let Ok(Written::Changed(customer) | Written::Created(Created { customer, existing: false })) = result else {
        return None;
    };
    if attempt.is_copy || attempt.merchant.middleware.is_none() {
        return None;
    }
    let side = Side { connection: &attempt.connection.name, provider: &attempt.connection.provider };
    let hash = |bytes: &[u8]| store.copied_value_hash(&attempt.merchant.name, bytes);
    Some(Seen::common((customer, &side), (customer, &side), &hash).to_bytes())
}

/// The contacts of the customer that a create is to make, for a merchant with a routing row.
pub(super) fn of_create(write: &NewWrite) -> CreatedContacts {
    let (Some(_), Command::Create(create)) = (&write.home, &write.command) else { return CreatedContacts::default() };
    let comparable = |value: &Patch<Text>, kind: fn(Text) -> Lookup| {
        value.set().map(|value| kind(value.clone()).comparable().into_owned())
    };
    CreatedContacts {
        email: comparable(&create.fields.email, Lookup::Email),
        phone: comparable(&create.fields.phone, Lookup::Phone),
    }
}

/// The contacts of the customer in the answer. Where the answer lacks a value, the command decides.
fn comparable(sent: &CustomerFields, customer: &Customer) -> Vec<(ContactKind, Option<String>)> {
    let email = value(customer.email.as_ref(), &sent.email).map(|email| Lookup::Email(email.clone()));
    let phone = value(customer.phone.as_ref(), &sent.phone).map(|phone| Lookup::Phone(phone.clone()));
    let changed = [(ContactKind::Email, email), (ContactKind::Phone, phone)];
    changed
        .into_iter()
        .filter_map(|(kind, change)| match change {
            Patch::Absent => None,
            Patch::Clear => Some((kind, None)),
            Patch::Set(lookup) => Some((kind, Some(lookup.comparable().into_owned()))),
        })
        .collect()
}

/// The value of a field after the write: absent if it is not known, cleared if the customer has none any more.
fn value(answered: Option<&Text>, sent: &Patch<Text>) -> Patch<Text> {
    answered.map_or_else(|| sent.clone(), |answered| Patch::Set(answered.clone()))
}

/// The provider's id of the customer that a create made or matched. For every other write it is `None`, and the store
/// keeps the id that the command names. A customer can have several ids: the store recognizes two writes to the same
/// customer only if their commands name the same id.
pub(super) fn created_customer(written: &Written) -> Option<String> {
    match written {
        Written::Created(created) => Some(created.customer.id_at_provider().to_string()),
        Written::Changed(_) | Written::Deleted => None,
    }
}
