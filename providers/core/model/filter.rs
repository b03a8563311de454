//! Selections of customers: look-ups of one customer, and filters of lists.

use std::{borrow::Cow, fmt};

use crate::{
    model::{Customer, Field},
    text::{Text, email},
};

/// Find one customer by something other than its id.
#[derive(Clone, PartialEq, Eq)]
pub enum Lookup {
    /// By e-mail address.
    Email(Text),
    /// By phone number.
    Phone(Text),
    /// By decentralised identifier.
    Did(Text),
    /// By the merchant's own reference.
    Reference(Text),
}

impl Lookup {
    /// The name of the query parameter.
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Phone(_) => "phone",
            Self::Did(_) => "did",
            Self::Reference(_) => "reference",
        }
    }

    /// The value to find.
    pub const fn value(&self) -> &Text {
        match self {
            Self::Email(value) | Self::Phone(value) | Self::Did(value) | Self::Reference(value) => value,
        }
    }

    /// The value in the form in which equal values are equal texts, for hashes.
    pub fn comparable(&self) -> Cow<'_, str> {
        match self {
            Self::Email(address) => Cow::Owned(email::comparable(address)),
            Self::Phone(value) | Self::Did(value) | Self::Reference(value) => Cow::Borrowed(value),
        }
    }
}

impl From<&Lookup> for CustomerFilter {
    /// The filter that a found customer must match. A reference is not part of a customer, so it gives an empty filter.
    fn from(lookup: &Lookup) -> Self {
        let mut filter = Self::default();
        match lookup {
            Lookup::Email(email) => filter.email = Some(email.clone()),
            Lookup::Phone(phone) => filter.phone = Some(phone.clone()),
            Lookup::Did(did) => filter.did = Some(did.clone()),
            Lookup::Reference(_) => {}
        }
        filter
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Lookup({})", self.key())
    }
}

/// The conditions on the customers of a list.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CustomerFilter {
    /// Exactly this e-mail address.
    pub email: Option<Text>,
    /// Exactly this phone number.
    pub phone: Option<Text>,
    /// Exactly this decentralised identifier.
    pub did: Option<Text>,
    /// Only blocked customers, or only customers that are not blocked.
    pub blocked: Option<bool>,
    /// The name, e-mail or phone number contains this text.
    pub search: Option<Text>,
}

impl CustomerFilter {
    /// Whether there are no conditions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of conditions.
    pub fn len(&self) -> usize {
        let Self { email, phone, did, blocked, search } = self;
        let texts = [email, phone, did, search];
        texts.into_iter().flatten().count() + usize::from(blocked.is_some())
    }

    /// Whether a customer meets every condition. Exact values are compared whole, a search as a part of a value. The
    /// e-mail address and the search ignore case.
    pub fn matches(&self, customer: &Customer) -> bool {
        self.matches_searching(customer, &Self::SEARCHED)
    }

    /// The fields that a search looks at.
    pub const SEARCHED: [Field; 3] = [Field::Name, Field::Email, Field::Phone];

    /// The same, for a search that looks at these fields.
    pub fn matches_searching(&self, customer: &Customer, searched: &[Field]) -> bool {
        let equals = |value: &Option<Text>, wanted: &Option<Text>, same: fn(&str, &str) -> bool| match (value, wanted) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(value), Some(wanted)) => same(value, wanted),
        };
        equals(&customer.email, &self.email, email::same)
            && equals(&customer.phone, &self.phone, str::eq)
            && equals(&customer.did, &self.did, str::eq)
            && self.blocked.is_none_or(|blocked| customer.blocked == Some(blocked))
            && self.search.as_ref().is_none_or(|part| {
                let part = part.to_lowercase();
                let mut values = searched.iter().filter_map(|field| customer.text(*field));
                values.any(|value| value.to_lowercase().contains(&part))
            })
    }
}

impl fmt::Debug for CustomerFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = [
            ("email", self.email.is_some()),
            ("phone", self.phone.is_some()),
            ("did", self.did.is_some()),
            ("blocked", self.blocked.is_some()),
            ("search", self.search.is_some()),
        ];
        formatter.debug_set().entries(set.iter().filter(|(_, set)| *set).map(|(key, _)| key)).finish()
    }
}
