//! The customer of a finished write: its id for the store, and what the write changes about its contacts. Contacts are
//! the keyed hashes by which a look-up finds a customer that the lists of its provider do not show. Where the lists show
//! every customer, none are recorded.

use passerelle_providers::{
    model::{Command, Created, Customer, CustomerFields, Error, Lookup, Patch, Written},
    text::Text,
};

use super::Attempt;
use crate::store::{ContactChanges, ContactKind, Contacts, ContactsOf};

impl Attempt<'_> {
    /// The changes, as hashes.
    pub(super) fn contact_changes(&self, contacts: &Contacts, result: &Result<Written, Error>) -> ContactChanges {
        let Ok(written) = result else { return ContactChanges::default() };
        if self.connection.manifest.lists.is_complete() {
            return ContactChanges::default();
        }
        let of = ContactsOf { merchant: &self.merchant.name, connection: &self.connection.name };
        match (self.command, written) {
            (Command::Create(create), Written::Created(Created { customer, existing: false })) => {
                changes(contacts, of, &create.fields, customer)
            }
            (Command::Update(update), Written::Changed(customer)) => changes(contacts, of, &update.fields, customer),
            (_, Written::Deleted) => ContactChanges::forget(),
            // The lists showed a customer that a create matched, or the store knows it already. Other writes change no
            // e-mail address and no phone number.
            (_, Written::Created(_) | Written::Changed(_)) => ContactChanges::default(),
        }
    }
}

/// The contacts of the customer in the answer. Where the answer lacks a value, the command decides.
fn changes(contacts: &Contacts, of: ContactsOf<'_>, sent: &CustomerFields, customer: &Customer) -> ContactChanges {
    let email = value(customer.email.as_ref(), &sent.email).map(|email| Lookup::Email(email.clone()));
    let phone = value(customer.phone.as_ref(), &sent.phone).map(|phone| Lookup::Phone(phone.clone()));
    let changed = [(ContactKind::Email, email), (ContactKind::Phone, phone)];
    let comparable: Vec<(ContactKind, Option<String>)> = changed
        .into_iter()
        .filter_map(|(kind, change)| match change {
            Patch::Absent => None,
            Patch::Clear => Some((kind, None)),
            Patch::Set(lookup) => Some((kind, Some(lookup.comparable().into_owned()))),
        })
        .collect();
    contacts.changes(of, comparable.iter().map(|(kind, value)| (*kind, value.as_deref())))
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
