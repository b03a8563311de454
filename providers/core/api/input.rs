//! Reads commands from JSON, strictly: it refuses unknown keys and values of a wrong form, and names each one with a
//! pointer.
//!
//! The merchants' API, the command line, the fixtures and the store read commands here. The result is canonical: phone
//! numbers are E.164 if they can be converted, and countries are codes.

use crate::{
    api::validate::{self, JsonLimits},
    json::{self, JsonObject, Members, Raw},
    model::{
        Command, CreateCustomer, CustomerFields, CustomerFilter, CustomerId, CustomerType, Error, Field, FieldError,
        IdPattern, Kind, ListCustomers, ListOfCustomer, Lookup, Operation, Patch, Position, Rewritten, UpdateCustomer,
        manifest::Manifest,
    },
    text::{
        Source, Str, Text,
        country::{self, Region},
        decimal, email, phone,
    },
};

/// The longest string that a field accepts, in bytes.
const MAX_BYTES: usize = 4096;

/// The longest balance.
const MAX_BALANCE: usize = 40;

/// Reads the fields of a create or an update from its JSON body.
pub fn fields(body: &Source, limits: JsonLimits, region: Option<Region>) -> Result<CustomerFields, Error> {
    BodyReader::open(body, limits, region)?.finish()
}

/// Reads any command from one JSON object, which contains the fields of the body and the parameters of path and query.
/// The command line and the fixtures use this form.
pub fn command(
    operation: Operation,
    json: &Source,
    manifest: &Manifest,
    region: Option<Region>,
) -> Result<Command, Error> {
    BodyReader::open(json, JsonLimits::DEFAULT, region)?.command(operation, manifest)
}

/// Reads a command that [`Command::to_canonical_json`] wrote. The gateway validated its values before it stored them,
/// by its own rules or by those of an imitated provider, so they are neither validated nor converted again.
/// `provider_id` is the customer's id at the provider, if it differs from the public id in the command.
pub fn stored(
    operation: Operation,
    json: &Source,
    provider_id: Option<Text>,
    manifest: &Manifest,
) -> Result<Command, Error> {
    BodyReader { provider_id, ..BodyReader::of(json, None, true)? }.command(operation, manifest)
}

/// Converts a phone number of a query to the canonical form, in which customers have theirs.
pub fn phone_query(text: &Text, region: Option<Region>) -> Text {
    phone::canonical_text(text, region)
}

/// Refuses a document that different JSON parsers would read differently, and one that contains a card number.
pub fn check(body: &Source, limits: JsonLimits) -> Result<(), Error> {
    let cards = validate::check(body.as_str(), limits)?;
    if cards.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::CardData, "card numbers are not accepted: remove them and send the request again")
        .with_fields(cards))
}

/// Reads one JSON object, and collects every field error in it.
struct BodyReader<'s> {
    source: &'s Source,
    region: Option<Region>,
    /// Whether the object comes from the store, so that its values are neither validated nor converted.
    is_stored: bool,
    /// The customer's id at the provider, if it differs from the id in the command.
    provider_id: Option<Text>,
    /// The members that were not read yet.
    members: Vec<(Str<'s>, Raw<'s>)>,
    errors: Vec<FieldError>,
}

impl<'s> BodyReader<'s> {
    fn open(source: &'s Source, limits: JsonLimits, region: Option<Region>) -> Result<Self, Error> {
        check(source, limits)?;
        Self::of(source, region, false)
    }

    fn of(source: &'s Source, region: Option<Region>, is_stored: bool) -> Result<Self, Error> {
        let Ok(Members(members)) = json::from_str(source.as_str()) else {
            return Err(Error::invalid(vec![FieldError::new(
                "",
                "the body must be a JSON object, such as {\"name\":\"Awa Diop\"}",
            )]));
        };
        Ok(Self { source, region, is_stored, provider_id: None, members, errors: Vec::new() })
    }

    fn command(mut self, operation: Operation, manifest: &Manifest) -> Result<Command, Error> {
        let id = match self.parameter("id")? {
            Some(id) => match self.provider_id.take() {
                None => CustomerId::parse(id, &manifest.id),
                Some(provider_id) => {
                    CustomerId::parse(id, &IdPattern::PUBLIC).and_then(|public| public.at(provider_id, &manifest.id))
                }
            },
            None => Err(Error::invalid(vec![FieldError::new("/id", "is required")])),
        };
        let limit = self.number("limit")?.map_or(20, |limit| u16::try_from(limit).unwrap_or(u16::MAX));
        let position = Position::Offset(self.number("offset")?.unwrap_or_default());
        let command = match operation {
            Operation::Create => {
                let distinct = self.flag("distinct")?.unwrap_or_default();
                // Only the gateway itself says who exists.
                let existing = if self.is_stored { self.parameter("existing")? } else { None };
                let existing = existing.map(|id| CustomerId::parse(id, &manifest.id)).transpose()?;
                let fields = self.finish()?.without_clears();
                return Ok(Command::Create(CreateCustomer { fields, distinct, existing }));
            }
            Operation::Update => return Ok(Command::Update(UpdateCustomer { id: id?, fields: self.finish()? })),
            Operation::Retrieve => Command::Retrieve(id?),
            Operation::Delete => Command::Delete(id?),
            Operation::Block => Command::Block(id?),
            Operation::Unblock => Command::Unblock(id?),
            Operation::OverdueInvoices => Command::OverdueInvoices(id?),
            Operation::PaymentMethods => {
                Command::PaymentMethods(ListOfCustomer { id: id?, limit, position, status: None })
            }
            Operation::Payments => {
                let status = self.parameter("status")?;
                Command::Payments(ListOfCustomer { id: id?, limit, position, status })
            }
            Operation::List => Command::List(ListCustomers { limit, position, filter: self.filter()? }),
            Operation::Find => Command::Find(self.lookup()?),
        };
        self.finish()?;
        Ok(command)
    }

    fn take(&mut self, key: &str) -> Option<Raw<'s>> {
        let index = self.members.iter().position(|(name, _)| name == key)?;
        Some(self.members.swap_remove(index).1)
    }

    fn parameter(&mut self, key: &'static str) -> Result<Option<Text>, Error> {
        let Some(raw) = self.take(key) else { return Ok(None) };
        match string(self.source, raw) {
            Some(text) => Ok(Some(text)),
            None => Err(Error::invalid(vec![FieldError::new(format!("/{key}"), "must be a string")])),
        }
    }

    fn number(&mut self, key: &'static str) -> Result<Option<u64>, Error> {
        let Some(raw) = self.take(key) else { return Ok(None) };
        let error = |_| Error::invalid(vec![FieldError::new(format!("/{key}"), "must be a number")]);
        serde_json::from_str(raw.get()).map(Some).map_err(error)
    }

    fn flag(&mut self, key: &'static str) -> Result<Option<bool>, Error> {
        let Some(raw) = self.take(key) else { return Ok(None) };
        let error = |_| Error::invalid(vec![FieldError::new(format!("/{key}"), "must be true or false")]);
        serde_json::from_str(raw.get()).map(Some).map_err(error)
    }

    fn filter(&mut self) -> Result<CustomerFilter, Error> {
        let region = self.region;
        Ok(CustomerFilter {
            email: self.parameter("email")?,
            phone: self.parameter("phone")?.map(|text| phone_query(&text, region)),
            did: self.parameter("did")?,
            blocked: self.flag("blocked")?,
            search: self.parameter("search")?,
        })
    }

    fn lookup(&mut self) -> Result<Lookup, Error> {
        let region = self.region;
        let lookups = [
            self.parameter("email")?.map(Lookup::Email),
            self.parameter("phone")?.map(|text| Lookup::Phone(phone_query(&text, region))),
            self.parameter("did")?.map(Lookup::Did),
            self.parameter("reference")?.map(Lookup::Reference),
        ];
        let mut given = lookups.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(lookup), None) => Ok(lookup),
            _ => Err(Error::invalid(vec![FieldError::new(
                "",
                "exactly one of `email`, `phone`, `did` and `reference` is needed",
            )])),
        }
    }

    /// Reads the remaining members as fields, and refuses all that are not writable fields.
    fn finish(mut self) -> Result<CustomerFields, Error> {
        let mut fields = CustomerFields::default();
        for (key, raw) in std::mem::take(&mut self.members) {
            match &*key {
                "address" => self.address(&mut fields, raw),
                key => self.member(&mut fields, "", key, raw),
            }
        }
        if let (Patch::Set(full), Patch::Set(joined)) = (&fields.name, name_parts(&fields).full_name())
            && **full != *joined
            && !self.is_stored
        {
            self.errors.push(FieldError::new(
                "/name",
                "contradicts `first_name` and `last_name`; send only the full name or only its parts",
            ));
        }
        if !self.is_stored {
            self.errors.extend(fields.reserved_metadata());
        }
        if self.errors.is_empty() { Ok(fields) } else { Err(Error::invalid(self.errors)) }
    }

    fn address(&mut self, fields: &mut CustomerFields, raw: Raw<'_>) {
        if raw.get() == "null" {
            for (_, part) in fields.address.parts_mut() {
                *part = Patch::Clear;
            }
            return;
        }
        let Ok(Members(members)) = json::from_str(raw.get()) else {
            let _: Patch<()> = self.refuse("/address", "must be an object or null");
            return;
        };
        for (key, raw) in members {
            self.member(fields, "/address", &key, raw);
        }
    }

    /// Reads one field, which is a member of the body or of the address.
    fn member(&mut self, fields: &mut CustomerFields, object: &str, key: &str, raw: Raw<'_>) {
        let Some(field) = Field::member(object, key) else { return self.unknown(object, key) };
        let address = &mut fields.address;
        match field {
            Field::Name => fields.name = self.text(field, raw, any_text),
            Field::FirstName => fields.first_name = self.text(field, raw, any_text),
            Field::LastName => fields.last_name = self.text(field, raw, any_text),
            Field::Email => fields.email = self.text(field, raw, email_text),
            Field::Phone => fields.phone = self.phone(field, raw, &mut fields.rewritten),
            Field::Whatsapp => fields.whatsapp = self.phone(field, raw, &mut fields.rewritten),
            Field::Line1 => address.line1 = self.text(field, raw, any_text),
            Field::Line2 => address.line2 = self.text(field, raw, any_text),
            Field::City => address.city = self.text(field, raw, any_text),
            Field::State => address.state = self.text(field, raw, any_text),
            Field::PostalCode => address.postal_code = self.text(field, raw, any_text),
            Field::Country => address.country = self.country(field, raw, &mut fields.rewritten),
            Field::Type => fields.kind = self.kind(field, raw),
            Field::Did => fields.did = self.text(field, raw, any_text),
            Field::Balance => fields.balance = self.text(field, raw, balance_text),
            Field::Metadata => fields.metadata = self.object(field, raw),
            Field::Id | Field::Delinquent | Field::Blocked | Field::Livemode | Field::CreatedAt | Field::UpdatedAt => {
                self.unknown(object, key);
            }
        }
    }

    fn unknown(&mut self, object: &str, key: &str) {
        let pointer = format!("{object}/{}", key.replace('~', "~0").replace('/', "~1"));
        let detail = match object {
            "" => "is not a field that can be written",
            _ => "is not a field of an address",
        };
        self.errors.push(FieldError::new(pointer, detail));
    }

    /// Records a field error. The result is a placeholder: [`Self::finish`] fails after any error.
    fn refuse<T>(&mut self, pointer: &'static str, detail: &'static str) -> Patch<T> {
        self.errors.push(FieldError::new(pointer, detail));
        Patch::Absent
    }

    fn text(&mut self, field: Field, raw: Raw<'_>, check: fn(&str) -> Option<&'static str>) -> Patch<Text> {
        if raw.get() == "null" {
            return Patch::Clear;
        }
        let Some(text) = string(self.source, raw) else { return self.refuse(field.pointer(), "must be a string") };
        if self.is_stored {
            return Patch::Set(text);
        }
        if text.len() > MAX_BYTES {
            return self.refuse(field.pointer(), "is longer than 4,096 bytes");
        }
        match check(&text) {
            Some(detail) => self.refuse(field.pointer(), detail),
            None => Patch::Set(text),
        }
    }

    fn phone(&mut self, field: Field, raw: Raw<'_>, rewritten: &mut Rewritten) -> Patch<Text> {
        match self.text(field, raw, phone_text) {
            Patch::Set(text) if !self.is_stored => {
                let number = rewritten.phone(field, text, self.region);
                match phone::has_too_many_digits(&number) {
                    true => self.refuse(field.pointer(), "has more than 15 digits, so it is not a phone number"),
                    false => Patch::Set(number),
                }
            }
            patch => patch,
        }
    }

    fn country(&mut self, field: Field, raw: Raw<'_>, rewritten: &mut Rewritten) -> Patch<Text> {
        match self.text(field, raw, any_text) {
            Patch::Set(text) if !self.is_stored => {
                let code = country::canonical(&text);
                if code != text {
                    rewritten.add(field, country::TO_ALPHA2, Some(text));
                }
                Patch::Set(code)
            }
            patch => patch,
        }
    }

    fn kind(&mut self, field: Field, raw: Raw<'_>) -> Patch<CustomerType> {
        match self.text(field, raw, any_text) {
            Patch::Set(word) => match CustomerType::parse(&word) {
                Some(kind) => Patch::Set(kind),
                None => self.refuse(field.pointer(), "must be `individual` or `business`"),
            },
            Patch::Clear => Patch::Clear,
            Patch::Absent => Patch::Absent,
        }
    }

    fn object(&mut self, field: Field, raw: Raw<'_>) -> Patch<JsonObject> {
        if raw.get() == "null" {
            return Patch::Clear;
        }
        match JsonObject::owned(raw, self.source) {
            Some(object) => Patch::Set(object),
            None => self.refuse(field.pointer(), "must be an object"),
        }
    }
}

fn name_parts(fields: &CustomerFields) -> CustomerFields {
    CustomerFields {
        first_name: fields.first_name.clone(),
        last_name: fields.last_name.clone(),
        ..CustomerFields::default()
    }
}

fn string(source: &Source, raw: Raw<'_>) -> Option<Text> {
    // A string without escapes is a slice of the message.
    let inner = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))?;
    if !inner.contains('\\') {
        return Some(source.text(inner));
    }
    json::from_str(raw.get()).ok().map(|text: Str<'_>| source.text(&text))
}

fn any_text(text: &str) -> Option<&'static str> {
    text.trim().is_empty().then_some("must not be empty; use null to clear it")
}

fn email_text(text: &str) -> Option<&'static str> {
    (!email::is_address(text)).then_some("is not an e-mail address")
}

fn phone_text(text: &str) -> Option<&'static str> {
    (!phone::is_written_like_phone(text)).then_some("is not a phone number; use E.164, such as +221771234567")
}

fn balance_text(text: &str) -> Option<&'static str> {
    let is_balance = text.len() <= MAX_BALANCE && decimal::is_plain(text);
    (!is_balance).then_some("must be a decimal number in a string of at most 40 characters, such as \"12.50\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_has_at_most_40_characters() {
        let is_read = |places: usize| {
            let body = format!(r#"{{"balance":"0.{}"}}"#, "0".repeat(places));
            fields(&Source::new(&body.into()).expect("a text"), JsonLimits::DEFAULT, None).is_ok()
        };
        assert!(is_read(38));
        assert!(!is_read(39), "the document of the API allows 40 characters");
    }
}
