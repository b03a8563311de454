//! Which customers are meant: look-ups and filters.

use std::fmt;

use crate::{
    model::Customer,
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

    /// What is looked for.
    pub const fn value(&self) -> &Text {
        match self {
            Self::Email(value) | Self::Phone(value) | Self::Did(value) | Self::Reference(value) => value,
        }
    }
}

impl From<&Lookup> for CustomerFilter {
    /// What the customer that is found must match; a reference is only known to the provider.
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

/// Which customers a list shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CustomerFilter {
    /// Exactly this e-mail address.
    pub email: Option<Text>,
    /// Exactly this phone number.
    pub phone: Option<Text>,
    /// Exactly this decentralised identifier.
    pub did: Option<Text>,
    /// Only blocked ones, or only ones that are not.
    pub blocked: Option<bool>,
    /// Name, e-mail or phone contains this text.
    pub search: Option<Text>,
}

impl CustomerFilter {
    /// Whether every customer is shown.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many conditions there are.
    pub fn len(&self) -> usize {
        let Self { email, phone, did, blocked, search } = self;
        let texts = [email, phone, did, search];
        texts.into_iter().flatten().count() + usize::from(blocked.is_some())
    }

    /// Whether a customer is shown: e-mail and phone exactly, search as a part, both without regard to case.
    pub fn matches(&self, customer: &Customer) -> bool {
        let is = |held: &Option<Text>, asked: &Option<Text>, same: fn(&str, &str) -> bool| match (held, asked) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(held), Some(asked)) => same(held, asked),
        };
        is(&customer.email, &self.email, email::same)
            && is(&customer.phone, &self.phone, str::eq)
            && is(&customer.did, &self.did, str::eq)
            && self.blocked.is_none_or(|blocked| customer.blocked == Some(blocked))
            && self.search.as_ref().is_none_or(|part| {
                let part = part.to_lowercase();
                [&customer.name, &customer.email, &customer.phone]
                    .into_iter()
                    .flatten()
                    .any(|held| held.to_lowercase().contains(&part))
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
