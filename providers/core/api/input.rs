//! Commands read from JSON, strictly: every key is known, every value has its form, and every mistake is
//! told with a pointer. What is read is canonical from here on: phones are E.164 where they can be,
//! countries are codes.

use crate::{
    api::validate,
    json::{self, JsonObject, Members, Raw},
    model::{
        Command, CreateCustomer, CustomerFields, CustomerFilter, CustomerId, CustomerType, Error, FieldError,
        IdPattern, Kind, ListCustomers, ListOfCustomer, Lookup, Operation, Patch, Position, UpdateCustomer,
        manifest::Manifest,
    },
    text::{
        Source, Str, Text,
        country::{self, Region},
        decimal, email, phone,
    },
};

/// The longest string that any field takes, in bytes.
const MOST_BYTES: usize = 4096;

/// The fields of a create or an update, from its JSON body.
pub fn fields(body: &Source, region: Option<Region>) -> Result<CustomerFields, Error> {
    Reader::open(body, region)?.finish()
}

/// Any command from one JSON object: the fields of the body beside the parameters of path and query.
/// The command line and the fixtures speak this way.
pub fn command(
    operation: Operation,
    json: &Source,
    manifest: &Manifest,
    region: Option<Region>,
) -> Result<Command, Error> {
    Reader::open(json, region)?.command(operation, manifest)
}

/// A command out of what [`Command::to_canonical_json`] wrote. It was taken in before, by our own rules or by those of
/// an imitated provider, and is read as it stands. The customer's id at the provider is given where the merchant knows the
/// customer by another one.
pub fn remembered(
    operation: Operation,
    json: &Source,
    provider_id: Option<Text>,
    manifest: &Manifest,
) -> Result<Command, Error> {
    Reader { provider_id, ..Reader::of(json, None, true)? }.command(operation, manifest)
}

/// A phone number of a query, in the form in which customers have theirs.
pub fn phone_query(text: &Text, region: Option<Region>) -> Text {
    phone::canonical_text(text, region)
}

/// Refuses a document that two programs would read differently, or that holds a card number.
pub fn check(body: &Source) -> Result<(), Error> {
    let cards = validate::check(body.as_str())?;
    if cards.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::CardData, "card numbers are not taken: remove them and send again").with_fields(cards))
}

struct Reader<'s> {
    source: &'s Source,
    region: Option<Region>,
    /// Whether values were taken in before, and are neither judged nor spelled anew.
    is_remembered: bool,
    /// The customer's id at the provider, where it is not the one that the command names.
    provider_id: Option<Text>,
    members: Vec<(Str<'s>, Raw<'s>)>,
    mistakes: Vec<FieldError>,
}

impl<'s> Reader<'s> {
    fn open(source: &'s Source, region: Option<Region>) -> Result<Self, Error> {
        check(source)?;
        Self::of(source, region, false)
    }

    fn of(source: &'s Source, region: Option<Region>, is_remembered: bool) -> Result<Self, Error> {
        let Ok(Members(members)) = json::from_str(source.as_str()) else {
            return Err(Error::invalid(vec![FieldError::new("", "must be a JSON object")]));
        };
        Ok(Self { source, region, is_remembered, provider_id: None, members, mistakes: Vec::new() })
    }

    fn command(mut self, operation: Operation, manifest: &Manifest) -> Result<Command, Error> {
        let id = match self.parameter("id")? {
            Some(id) => match self.provider_id.take() {
                None => CustomerId::parse(id, &manifest.id),
                Some(at_provider) => {
                    CustomerId::parse(id, &IdPattern::PUBLIC).and_then(|public| public.at(at_provider, &manifest.id))
                }
            },
            None => Err(Error::invalid(vec![FieldError::new("/id", "is required")])),
        };
        let limit = self.number("limit")?.map_or(20, |limit| u16::try_from(limit).unwrap_or(u16::MAX));
        let position = Position::Offset(self.number("offset")?.unwrap_or_default());
        let command = match operation {
            Operation::Create => {
                let distinct = self.flag("distinct")?.unwrap_or_default();
                let fields = self.finish()?.without_clears();
                return Ok(Command::Create(CreateCustomer { fields, distinct }));
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
        let place = self.members.iter().position(|(name, _)| name == key)?;
        Some(self.members.swap_remove(place).1)
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
        let wrong = |_| Error::invalid(vec![FieldError::new(format!("/{key}"), "must be a number")]);
        serde_json::from_str(raw.get()).map(Some).map_err(wrong)
    }

    fn flag(&mut self, key: &'static str) -> Result<Option<bool>, Error> {
        let Some(raw) = self.take(key) else { return Ok(None) };
        let wrong = |_| Error::invalid(vec![FieldError::new(format!("/{key}"), "must be true or false")]);
        serde_json::from_str(raw.get()).map(Some).map_err(wrong)
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

    /// Reads the writable fields out of what is left, and refuses everything else.
    fn finish(mut self) -> Result<CustomerFields, Error> {
        let mut read = CustomerFields::default();
        for (key, raw) in std::mem::take(&mut self.members) {
            match &*key {
                "name" => read.name = self.text("/name", raw, any_text),
                "first_name" => read.first_name = self.text("/first_name", raw, any_text),
                "last_name" => read.last_name = self.text("/last_name", raw, any_text),
                "email" => read.email = self.text("/email", raw, email_text),
                "phone" => read.phone = self.phone("/phone", raw),
                "whatsapp" => read.whatsapp = self.phone("/whatsapp", raw),
                "address" => self.address(&mut read, raw),
                "type" => {
                    read.kind = match self.text("/type", raw, any_text) {
                        Patch::Set(word) => match CustomerType::parse(&word) {
                            Some(kind) => Patch::Set(kind),
                            None => self.mistake("/type", "must be `individual` or `business`"),
                        },
                        Patch::Clear => Patch::Clear,
                        Patch::Absent => Patch::Absent,
                    };
                }
                "did" => read.did = self.text("/did", raw, any_text),
                "balance" => read.balance = self.text("/balance", raw, balance_text),
                "metadata" => {
                    read.metadata = match raw.get() {
                        "null" => Patch::Clear,
                        _ => match JsonObject::kept(raw, self.source) {
                            Some(object) => Patch::Set(object),
                            None => self.mistake("/metadata", "must be an object"),
                        },
                    };
                }
                _ => {
                    let pointer = format!("/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.mistakes.push(FieldError::new(pointer, "is not a field that can be written"));
                }
            }
        }
        if let (Patch::Set(full), Patch::Set(joined)) = (&read.name, parts_only(&read).full_name())
            && **full != *joined
            && !self.is_remembered
        {
            self.mistakes
                .push(FieldError::new("/name", "contradicts `first_name` and `last_name`; give the one or the others"));
        }
        if self.mistakes.is_empty() { Ok(read) } else { Err(Error::invalid(self.mistakes)) }
    }

    fn mistake<T>(&mut self, pointer: &'static str, detail: &'static str) -> Patch<T> {
        self.mistakes.push(FieldError::new(pointer, detail));
        Patch::Absent
    }

    fn text(&mut self, pointer: &'static str, raw: Raw<'_>, check: fn(&str) -> Option<&'static str>) -> Patch<Text> {
        if raw.get() == "null" {
            return Patch::Clear;
        }
        let Some(text) = string(self.source, raw) else { return self.mistake(pointer, "must be a string") };
        if self.is_remembered {
            return Patch::Set(text);
        }
        if text.len() > MOST_BYTES {
            return self.mistake(pointer, "is longer than 4,096 bytes");
        }
        match check(&text) {
            Some(detail) => self.mistake(pointer, detail),
            None => Patch::Set(text),
        }
    }

    fn phone(&mut self, pointer: &'static str, raw: Raw<'_>) -> Patch<Text> {
        let (region, is_remembered) = (self.region, self.is_remembered);
        let text = self.text(pointer, raw, phone_text);
        if is_remembered { text } else { text.map(|text| phone_query(text, region)) }
    }

    fn address(&mut self, read: &mut CustomerFields, raw: Raw<'_>) {
        let parts = &mut read.address;
        if raw.get() == "null" {
            for part in [
                &mut parts.line1,
                &mut parts.line2,
                &mut parts.city,
                &mut parts.state,
                &mut parts.postal_code,
                &mut parts.country,
            ] {
                *part = Patch::Clear;
            }
            return;
        }
        let Ok(Members(members)) = json::from_str(raw.get()) else {
            let _: Patch<()> = self.mistake("/address", "must be an object or null");
            return;
        };
        for (key, raw) in members {
            match &*key {
                "line1" => parts.line1 = self.text("/address/line1", raw, any_text),
                "line2" => parts.line2 = self.text("/address/line2", raw, any_text),
                "city" => parts.city = self.text("/address/city", raw, any_text),
                "state" => parts.state = self.text("/address/state", raw, any_text),
                "postal_code" => parts.postal_code = self.text("/address/postal_code", raw, any_text),
                "country" => {
                    let country = self.text("/address/country", raw, any_text);
                    parts.country = if self.is_remembered { country } else { country.map(country::canonical) };
                }
                _ => {
                    let pointer = format!("/address/{}", key.replace('~', "~0").replace('/', "~1"));
                    self.mistakes.push(FieldError::new(pointer, "is not a field of an address"));
                }
            }
        }
    }
}

fn parts_only(read: &CustomerFields) -> CustomerFields {
    CustomerFields {
        first_name: read.first_name.clone(),
        last_name: read.last_name.clone(),
        ..CustomerFields::default()
    }
}

fn string(source: &Source, raw: Raw<'_>) -> Option<Text> {
    // What is spelled as it is meant needs no reader.
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
    (!phone::looks_like_phone(text)).then_some("is not a phone number; use E.164, such as +221771234567")
}

fn balance_text(text: &str) -> Option<&'static str> {
    (!decimal::is_plain(text)).then_some("must be a decimal number in a string, such as \"12.50\"")
}
