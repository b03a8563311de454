//! How the gateway rewrote the values of a request when it read them, for the fidelity report of the write.

use std::fmt;

use crate::{
    model::{Entry, Fidelity, Field, Outcome},
    text::{
        Text,
        country::{self, Region},
        phone::{self, Respelled},
    },
};

/// The rules by which values of a request were rewritten, and the values as the client wrote them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Rewritten([Option<Rewriting>; Self::FIELDS.len()]);

#[derive(Clone, PartialEq, Eq)]
struct Rewriting {
    rule: &'static str,
    /// The client's text. Not known of a command that was read from the store.
    original: Option<Text>,
}

impl fmt::Debug for Rewritten {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.entries().map(|(field, rule)| (field.name(), rule))).finish()
    }
}

impl Rewritten {
    /// The fields that the gateway rewrites.
    const FIELDS: [Field; 3] = [Field::Phone, Field::Whatsapp, Field::Country];

    /// The rules that rewrite them.
    const RULES: [&'static str; 4] = [phone::FROM_REGION, phone::REWRITTEN, phone::BESIDE_RECORD, country::TO_ALPHA2];

    /// Adds the rule by which a field was rewritten, and the text as the client wrote it, where it is known.
    pub fn add(&mut self, field: Field, rule: &'static str, original: Option<Text>) {
        if let Some(index) = Self::FIELDS.iter().position(|known| *known == field) {
            self.0[index] = Some(Rewriting { rule, original });
        }
    }

    /// The text of a rewritten field as the client wrote it.
    pub fn original(&self, field: Field) -> Option<&Text> {
        let index = Self::FIELDS.iter().position(|known| *known == field)?;
        self.0[index].as_ref()?.original.as_ref()
    }

    /// Whether the phone number is national digits, and their dial code is the one of the customer's record.
    pub fn has_dial_code_in_record(&self) -> bool {
        self.entries().any(|(field, rule)| field == Field::Phone && rule == phone::BESIDE_RECORD)
    }

    /// The canonical form of a phone number. Adds the rule if the number was rewritten. A number whose dial code is in
    /// the customer's record stays as it is until the record is read.
    pub fn phone(&mut self, field: Field, text: Text, region: Option<Region>) -> Text {
        if field == Field::Phone && self.has_dial_code_in_record() {
            return text;
        }
        match phone::canonical(&text, region) {
            Some(Respelled { number, rule }) => {
                self.add(field, rule, Some(text));
                Text::from(number)
            }
            None => text,
        }
    }

    /// The same for the names of a field and a rule that the store has kept. This ignores names that this version does
    /// not know.
    pub fn add_stored(&mut self, field: &str, rule: &str) {
        let field = Self::FIELDS.into_iter().find(|known| known.name() == field);
        let rule = Self::RULES.into_iter().find(|known| *known == rule);
        if let (Some(field), Some(rule)) = (field, rule) {
            self.add(field, rule, None);
        }
    }

    /// The fields that were rewritten, with the rules.
    pub fn entries(&self) -> impl Iterator<Item = (Field, &'static str)> {
        Self::FIELDS.into_iter().zip(&self.0).filter_map(|(field, rewriting)| Some((field, rewriting.as_ref()?.rule)))
    }

    /// Adds these fields before the entries of a report. A lost field is not reported as rewritten as well.
    pub fn report(&self, report: &mut Fidelity) {
        let mut whole = Fidelity::default();
        for (field, rule) in self.entries() {
            let outcome = match rule {
                phone::FROM_REGION | phone::BESIDE_RECORD => Outcome::Derived,
                _ => Outcome::Transformed,
            };
            if report.losses().all(|lost| lost.field != field) {
                whole.push(Entry { field, outcome, rule, from: None });
            }
        }
        whole.append(std::mem::take(report));
        *report = whole;
    }
}
