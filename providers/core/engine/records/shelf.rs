//! The customers of a twin in the order of their creation, and an index of what clients look them up by.

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::stored::Stored;
use crate::{model::Customer, text::email};

/// The number of a customer: the later it was created, the greater.
pub(super) type Number = u64;

/// A customer with its number.
pub(super) type Entry = (Number, Box<Stored>);

/// What a customer is looked up by.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) enum Key<'k> {
    Id(&'k str),
    Did(&'k str),
    Email(&'k str),
    Phone(&'k str),
}

impl Key<'_> {
    fn hashed(self) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Email(address) => Key::Email(&email::comparable(address)).hash(&mut hasher),
            other => other.hash(&mut hasher),
        }
        hasher.finish()
    }
}

#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// By their numbers.
    entries: Vec<Entry>,
    /// The hash of a key, with the number of a customer that has it.
    index: BTreeSet<(u64, Number)>,
    next: Number,
}

impl Shelf {
    /// All customers, the oldest first.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn place(&self, number: Number) -> Option<usize> {
        self.entries.binary_search_by_key(&number, |(number, _)| *number).ok()
    }

    pub(super) fn get(&self, number: Number) -> Option<&Stored> {
        self.place(number).map(|place| &*self.entries[place].1)
    }

    /// The numbers of the customers that may have a key, the oldest first. Two keys can have the same hash.
    pub(super) fn candidates(&self, key: Key<'_>) -> impl Iterator<Item = Number> {
        let hash = key.hashed();
        self.index.range((hash, 0)..=(hash, Number::MAX)).map(|(_, number)| *number)
    }

    pub(super) fn add(&mut self, customer: &Customer) -> Number {
        let number = self.next;
        self.next += 1;
        self.index.extend(keys(customer).map(|key| (key.hashed(), number)));
        self.entries.push((number, Box::new(Stored::new(customer))));
        number
    }

    /// Replaces a customer, and returns its state before.
    pub(super) fn replace(&mut self, number: Number, customer: &Customer) -> Option<Box<Stored>> {
        let place = self.place(number)?;
        let before = std::mem::replace(&mut self.entries[place].1, Box::new(Stored::new(customer)));
        self.forget(number, &before);
        self.index.extend(keys(customer).map(|key| (key.hashed(), number)));
        Some(before)
    }

    pub(super) fn remove(&mut self, number: Number) {
        if let Some(place) = self.place(number) {
            let (_, before) = self.entries.remove(place);
            self.forget(number, &before);
        }
    }

    fn forget(&mut self, number: Number, before: &Stored) {
        for key in keys(&before.customer()) {
            self.index.remove(&(key.hashed(), number));
        }
    }
}

fn keys(customer: &Customer) -> impl Iterator<Item = Key<'_>> {
    let others = [
        customer.did.as_deref().map(Key::Did),
        customer.email.as_deref().map(Key::Email),
        customer.phone.as_deref().map(Key::Phone),
    ];
    [Key::Id(&customer.id)].into_iter().chain(others.into_iter().flatten())
}
