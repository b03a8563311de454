//! A customer in few bytes.

use std::cell::{Cell, RefCell};

use crate::{model::Customer, text::Text};

/// A customer as a twin keeps it: which values there are, and the text of all of them in one piece.
///
/// The texts of a [`Customer`] are slices of the request that they were read from, and one of them would keep the whole
/// request in memory.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    shape: Customer<()>,
    /// Each text after its length: `3:Awa`.
    texts: Box<str>,
}

impl Stored {
    pub(super) fn new(customer: &Customer) -> Self {
        let texts = RefCell::new(String::new());
        let shape = customer.convert_texts(|text| {
            let mut texts = texts.borrow_mut();
            texts.push_str(&text.len().to_string());
            texts.push(':');
            texts.push_str(text);
        });
        Self { shape, texts: texts.into_inner().into() }
    }

    /// The customer, with one allocation for all texts.
    pub(super) fn customer(&self) -> Customer {
        let texts = Text::from(&*self.texts);
        let rest = Cell::new(&*texts);
        self.shape.convert_texts(|()| {
            let (text, after) = first(rest.get()).unwrap_or_default();
            rest.set(after);
            texts.slice_ref(text)
        })
    }

    /// Whether one of its texts may contain a part that is in lower case. Without this, every search would build every
    /// customer. Texts that are not ASCII are not looked at, because their lower case can be ASCII.
    pub(super) fn may_contain(&self, part: &str) -> bool {
        let (texts, part) = (self.texts.as_bytes(), part.as_bytes());
        !texts.is_ascii() || part.is_empty() || texts.windows(part.len()).any(|here| here.eq_ignore_ascii_case(part))
    }

    pub(super) const fn blocked(&self) -> Option<bool> {
        self.shape.blocked
    }
}

/// The first text, and what follows it.
fn first(texts: &str) -> Option<(&str, &str)> {
    let (length, rest) = texts.split_once(':')?;
    rest.split_at_checked(length.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        json::{Extra, JsonObject, Raw},
        model::Field,
    };

    /// Every value comes back, and a record keeps nothing of the request that its texts were read from.
    #[test]
    fn a_stored_customer_is_the_same_customer() {
        let mut customer = Customer {
            id: "cus_1".into(),
            name: Some("Awa: 12:Ndiayé".into()),
            email: Some(Text::new()),
            metadata: JsonObject::in_string(r#"{"tier":"gold"}"#).expect("an object"),
            blocked: Some(true),
            updated_at: Some("2025-04-04T14:21:49.955Z".into()),
            ..Customer::default()
        };
        customer.address.country = Some("SN".into());
        let mut extra = Extra::default();
        extra.add("sandbox", Raw::TRUE);
        customer.extra = extra;
        customer.fidelity.derived(Field::Name, "a rule");
        let stored = Stored::new(&customer);
        assert!(stored.customer() == customer, "{stored:?}");
        assert_eq!(stored.blocked(), Some(true));
    }
    #[test]
    fn a_search_skips_only_customers_without_the_part() {
        let named =
            |name: &str| Stored::new(&Customer { id: "cus_1".into(), name: Some(name.into()), ..Customer::default() });
        for (name, part, may) in [
            ("Awa Diop", "awa d", true),
            ("AWA DIOP", "a diop", true),
            ("Awa Diop", "", true),
            ("Awa Diop", "fall", false),
            ("Awa Diop", "awa diop of a very long name that no text has", false),
            // The sign of the unit kelvin, whose lower case is the letter k.
            ("Awa \u{212a}ane", "kane", true),
        ] {
            assert_eq!(named(name).may_contain(part), may, "{name} {part}");
        }
    }
}
