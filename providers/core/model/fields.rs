//! What a create or an update says of each field.

use std::fmt;

use crate::{
    json::JsonObject,
    model::{Address, Customer, CustomerType, Field, Patch, str_patch},
    text::{Str, Text, name, phone},
};

/// The fields of a create or an update. A create never clears.
#[derive(Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are the fields of the API, described in its contract")]
pub struct CustomerFields {
    /// Excludes the parts, unless they join to it.
    pub name: Patch<Text>,
    pub first_name: Patch<Text>,
    pub last_name: Patch<Text>,
    pub email: Patch<Text>,
    pub phone: Patch<Text>,
    pub whatsapp: Patch<Text>,
    pub address: Address<Patch<Text>>,
    pub kind: Patch<CustomerType>,
    pub did: Patch<Text>,
    pub balance: Patch<Text>,
    pub metadata: Patch<JsonObject>,
}

impl CustomerFields {
    /// Whether no field is mentioned.
    pub fn is_empty(&self) -> bool {
        Field::WRITABLE.iter().all(|field| self.state(*field).is_absent())
    }

    /// What is asked of one field, without its value.
    pub fn state(&self, field: Field) -> Patch<()> {
        let of = |text: &Patch<Text>| text.map(|_| ());
        match field {
            Field::Name => of(&self.name),
            Field::FirstName => of(&self.first_name),
            Field::LastName => of(&self.last_name),
            Field::Email => of(&self.email),
            Field::Phone => of(&self.phone),
            Field::Whatsapp => of(&self.whatsapp),
            Field::Line1 => of(&self.address.line1),
            Field::Line2 => of(&self.address.line2),
            Field::City => of(&self.address.city),
            Field::State => of(&self.address.state),
            Field::PostalCode => of(&self.address.postal_code),
            Field::Country => of(&self.address.country),
            Field::Type => self.kind.map(|_| ()),
            Field::Did => of(&self.did),
            Field::Balance => of(&self.balance),
            Field::Metadata => self.metadata.map(|_| ()),
            Field::Id | Field::Delinquent | Field::Blocked | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => {
                Patch::Absent
            }
        }
    }

    /// Leaves a field alone, whatever was asked of it.
    pub fn forget(&mut self, field: Field) {
        let text = match field {
            Field::Name => &mut self.name,
            Field::FirstName => &mut self.first_name,
            Field::LastName => &mut self.last_name,
            Field::Email => &mut self.email,
            Field::Phone => &mut self.phone,
            Field::Whatsapp => &mut self.whatsapp,
            Field::Line1 => &mut self.address.line1,
            Field::Line2 => &mut self.address.line2,
            Field::City => &mut self.address.city,
            Field::State => &mut self.address.state,
            Field::PostalCode => &mut self.address.postal_code,
            Field::Country => &mut self.address.country,
            Field::Did => &mut self.did,
            Field::Balance => &mut self.balance,
            Field::Type => return self.kind = Patch::Absent,
            Field::Metadata => return self.metadata = Patch::Absent,
            Field::Id | Field::Delinquent | Field::Blocked | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => {
                return;
            }
        };
        *text = Patch::Absent;
    }

    /// What is asked of the full name, joined from its parts where those were given.
    pub fn full_name(&self) -> Patch<Str<'_>> {
        match (&self.name, &self.first_name, &self.last_name) {
            (Patch::Absent, Patch::Absent, Patch::Absent) => Patch::Absent,
            (Patch::Absent, first, last) => {
                let joined = name::join(first.set().map(|part| &**part), last.set().map(|part| &**part));
                joined.map_or(Patch::Clear, |joined| Patch::Set(joined.into()))
            }
            (name, ..) => str_patch(name),
        }
    }

    /// What is asked of the first and the last name, split from the full name where that was given.
    /// A part that a full name does not have is cleared.
    pub fn split_name(&self) -> (Patch<Str<'_>>, Patch<Str<'_>>) {
        match (&self.name, &self.first_name, &self.last_name) {
            (Patch::Set(full), Patch::Absent, Patch::Absent) => {
                let part = |part: Option<_>| part.map_or(Patch::Clear, |part| Patch::Set(Str::new(part)));
                let (first, last) = name::split(full);
                (part(first), part(last))
            }
            (Patch::Clear, Patch::Absent, Patch::Absent) => (Patch::Clear, Patch::Clear),
            (_, first, last) => (str_patch(first), str_patch(last)),
        }
    }

    /// What is asked of the dial code of the phone number, and of its national digits. A number that has no dial
    /// code must not keep the one of another.
    pub fn split_phone(&self) -> (Patch<Str<'_>>, Patch<Str<'_>>) {
        match self.phone.map(|number| phone::split(number)) {
            Patch::Set(Some((code, national))) => (Patch::Set(Str::new(code)), Patch::Set(Str::new(national))),
            Patch::Absent => (Patch::Absent, Patch::Absent),
            Patch::Clear | Patch::Set(None) => (Patch::Clear, str_patch(&self.phone)),
        }
    }

    /// Drops every clearing, for a create, where there is nothing to clear.
    #[must_use]
    pub fn without_clears(mut self) -> Self {
        for field in Field::WRITABLE {
            if self.state(field) == Patch::Clear {
                self.forget(field);
            }
        }
        self
    }

    /// Whether any part of the address is mentioned.
    pub fn mentions_address(&self) -> bool {
        self.address.parts().into_iter().any(|(_, part)| !part.is_absent())
    }

    /// The customer as these fields change it.
    pub fn apply_to(&self, customer: &mut Customer) {
        let Self { name, first_name, last_name, email, phone, whatsapp, address, kind, did, balance, metadata } = self;
        let texts = [
            (name, &mut customer.name),
            (first_name, &mut customer.first_name),
            (last_name, &mut customer.last_name),
            (email, &mut customer.email),
            (phone, &mut customer.phone),
            (whatsapp, &mut customer.whatsapp),
            (did, &mut customer.did),
            (balance, &mut customer.balance),
        ];
        let parts = address.parts().into_iter().zip(customer.address.parts_mut());
        for (patch, held) in texts.into_iter().chain(parts.map(|((_, patch), (_, held))| (patch, held))) {
            *held = patch.apply(held.take());
        }
        customer.kind = kind.apply(customer.kind);
        match metadata {
            Patch::Absent => {}
            Patch::Clear => customer.metadata = JsonObject::default(),
            Patch::Set(object) => customer.metadata = object.clone(),
        }
    }
}

impl fmt::Debug for CustomerFields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = formatter.debug_map();
        for field in Field::WRITABLE {
            let state = self.state(field);
            if !state.is_absent() {
                map.entry(&field.name(), &state);
            }
        }
        map.finish()
    }
}
