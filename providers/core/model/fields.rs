//! The fields of a create or an update, each one a patch.

use std::fmt;

use crate::{
    json::JsonObject,
    model::{Address, Customer, CustomerType, Field, FieldError, Patch, Rewritten, str_patch},
    text::{Str, Text, country::Region, name, phone},
};

/// The beginning of the metadata keys that the gateway reserves for itself, such as its idempotency marker.
pub(crate) const RESERVED_METADATA: &str = "passerelle_";

/// The fields of a create or an update. A create never clears.
#[derive(Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are the fields of the API, described in its contract")]
pub struct CustomerFields {
    /// Excludes the parts, unless the parts joined are equal to it.
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
    /// How the gateway rewrote these values when it read them. It is no part of the request.
    pub rewritten: Rewritten,
}

impl CustomerFields {
    /// Whether the command mentions no field.
    pub fn is_empty(&self) -> bool {
        Field::WRITABLE.iter().all(|field| self.state(*field).is_absent())
    }

    /// The patch of one field, without its value.
    pub fn state(&self, field: Field) -> Patch<()> {
        let without_value = |text: &Patch<Text>| text.map(|_| ());
        match field {
            Field::Name => without_value(&self.name),
            Field::FirstName => without_value(&self.first_name),
            Field::LastName => without_value(&self.last_name),
            Field::Email => without_value(&self.email),
            Field::Phone => without_value(&self.phone),
            Field::Whatsapp => without_value(&self.whatsapp),
            Field::Line1 => without_value(&self.address.line1),
            Field::Line2 => without_value(&self.address.line2),
            Field::City => without_value(&self.address.city),
            Field::State => without_value(&self.address.state),
            Field::PostalCode => without_value(&self.address.postal_code),
            Field::Country => without_value(&self.address.country),
            Field::Type => self.kind.map(|_| ()),
            Field::Did => without_value(&self.did),
            Field::Balance => without_value(&self.balance),
            Field::Metadata => self.metadata.map(|_| ()),
            Field::Id | Field::Delinquent | Field::Blocked | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => {
                Patch::Absent
            }
        }
    }

    /// Removes a field from the command.
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

    /// The patch of the full name, joined from its parts if the command has only parts.
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

    /// The patches of the first and the last name, split from the full name if the command has only a full name. A full
    /// name of one word clears the last name.
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

    /// The patches of the dial code and the national digits of the phone number. A number without a dial code clears
    /// the dial code, so that the old code does not stay with the new number.
    pub fn split_phone(&self) -> (Patch<Str<'_>>, Patch<Str<'_>>) {
        match self.phone.map(|number| phone::split(number)) {
            Patch::Set(Some((code, national))) => (Patch::Set(Str::new(code)), Patch::Set(Str::new(national))),
            Patch::Absent => (Patch::Absent, Patch::Absent),
            Patch::Clear | Patch::Set(None) => (Patch::Clear, str_patch(&self.phone)),
        }
    }

    /// The patch of the phone number, with the dial code of the number that it replaces where the client sent none.
    pub fn phone_beside(&self, replaced: Option<&Text>, region: Option<Region>) -> Patch<Text> {
        match &self.phone {
            Patch::Set(number) if self.rewritten.has_dial_code_in_record() => {
                Patch::Set(phone::beside(number, replaced, region))
            }
            phone => phone.clone(),
        }
    }

    /// Removes every clear, for a create: a new record has nothing to clear.
    #[must_use]
    pub fn without_clears(mut self) -> Self {
        for field in Field::WRITABLE {
            if self.state(field) == Patch::Clear {
                self.forget(field);
            }
        }
        self
    }

    /// The keys of the client's metadata that begin with `passerelle_`, as field errors. The gateway removes its
    /// own keys from what it reads, so a client would not get such a key back.
    pub fn reserved_metadata(&self) -> Vec<FieldError> {
        let Some(metadata) = self.metadata.set().filter(|metadata| metadata.as_str().contains('_')) else {
            return Vec::new();
        };
        let keys = metadata.members().into_iter().map(|(key, _)| key);
        let reserved = keys.filter(|key| key.starts_with(RESERVED_METADATA));
        let pointer = |key: &str| format!("/metadata/{}", key.replace('~', "~0").replace('/', "~1"));
        reserved
            .map(|key| {
                FieldError::new(
                    pointer(&key),
                    "keys that begin with `passerelle_` are reserved for the gateway; use another key",
                )
            })
            .collect()
    }

    /// Whether the command mentions any part of the address.
    pub fn mentions_address(&self) -> bool {
        self.address.parts().into_iter().any(|(_, part)| !part.is_absent())
    }

    /// Applies these fields to a customer.
    pub fn apply_to(&self, customer: &mut Customer) {
        let Self {
            name,
            first_name,
            last_name,
            email,
            phone,
            whatsapp,
            address,
            kind,
            did,
            balance,
            metadata,
            rewritten: _,
        } = self;
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
        for (patch, current) in texts.into_iter().chain(parts.map(|((_, patch), (_, current))| (patch, current))) {
            *current = patch.apply(current.take());
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
