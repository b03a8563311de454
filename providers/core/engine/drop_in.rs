//! What drop-in adds to a command and to its reply, where a client of one provider (the imitated one) is answered by
//! another provider (the executing one).
//!
//! `src/drop_in` calls these functions before and after [`super::execute()`].

use crate::{
    json::Extra,
    model::{Command, CustomerFields, Error, Field, Kind, Lookup, Operation, OverdueInvoices, Patch, Reply, Written},
    text::{Text, card, country::Region, phone},
};

/// Converts the values of a client's command to the form that the other providers expect: phone numbers become E.164
/// where the merchant's region allows it. Countries stay as the client wrote them.
#[must_use]
pub fn canonical(mut command: Command, region: Option<Region>) -> Command {
    let to_e164 = |text: &Text| phone::canonical_text(text, region);
    let convert_phones = |fields: &mut CustomerFields| {
        let CustomerFields { phone, whatsapp, rewritten, .. } = fields;
        for (field, number) in [(Field::Phone, phone), (Field::Whatsapp, whatsapp)] {
            if let Patch::Set(text) = number {
                *text = rewritten.phone(field, text.clone(), region);
            }
        }
    };
    match &mut command {
        Command::Create(create) => convert_phones(&mut create.fields),
        Command::Update(update) => convert_phones(&mut update.fields),
        Command::List(list) => list.filter.phone = list.filter.phone.as_ref().map(to_e164),
        Command::Find(Lookup::Phone(number)) => *number = to_e164(number),
        _ => {}
    }
    command
}

/// Refuses a list or a look-up by a phone number that is a card number. Bodies are searched as a whole.
pub fn check_phones(command: &Command) -> Result<(), Error> {
    let number = match command {
        Command::List(list) => list.filter.phone.as_ref(),
        Command::Find(Lookup::Phone(number)) => Some(number),
        _ => None,
    };
    match number.is_some_and(|number| phone::has_too_many_digits(number) && card::holds_card_number(number)) {
        true => Err(Error::new(Kind::CardData, "card numbers are not accepted: remove it and send the request again")),
        false => Ok(()),
    }
}

/// Refuses a command whose metadata has keys that the gateway reserves for itself.
pub fn check_metadata(command: &Command) -> Result<(), Error> {
    let reserved = match command {
        Command::Create(create) => create.fields.reserved_metadata(),
        Command::Update(update) => update.fields.reserved_metadata(),
        _ => Vec::new(),
    };
    if reserved.is_empty() { Ok(()) } else { Err(Error::invalid(reserved)) }
}

/// Removes the members without a canonical field from a reply. Only clients of the executing provider know them.
#[must_use]
pub fn without_extra(mut reply: Reply) -> Reply {
    for customer in reply.customers_mut() {
        customer.extra = Extra::default();
    }
    match &mut reply {
        Reply::PaymentMethods(page) => page.items.iter_mut().for_each(|method| method.extra = Extra::default()),
        Reply::Payments(page) => page.items.iter_mut().for_each(|payment| payment.extra = Extra::default()),
        Reply::OverdueInvoices(OverdueInvoices { invoices, .. }) => {
            for invoice in invoices {
                invoice.extra = Extra::default();
            }
        }
        Reply::Written(_) | Reply::Customer(_) | Reply::Found(_) | Reply::Customers(_) => {}
    }
    reply
}

/// The names of the fields of the reply's customer that the provider did not store as they were asked for: the lost and
/// the altered ones, each once.
pub fn losses(reply: &Reply) -> Vec<&'static str> {
    let Reply::Written(Written::Created(_) | Written::Changed(_)) = reply else { return Vec::new() };
    let mut names = Vec::new();
    for entry in reply.customers().flat_map(|customer| customer.fidelity.changed()) {
        if !names.contains(&entry.field.name()) {
            names.push(entry.field.name());
        }
    }
    names
}

/// Converts a failure for a client of the imitated provider. The client does not know the executing provider, so an id
/// with the wrong form is an unknown customer, and refused credentials of the gateway are a failure of the provider.
#[must_use]
pub fn for_client(error: Error, operation: Option<Operation>) -> Error {
    let is_collection = matches!(operation, Some(Operation::Create | Operation::List));
    let kind = match error.kind {
        Kind::InvalidId => Kind::NotFound,
        // A missing collection means that the operator configured a wrong address. The client cannot correct it.
        Kind::NotFound if is_collection => Kind::BadResponse,
        Kind::Unauthorized => Kind::ProviderFailed,
        Kind::Throttled => Kind::RateLimited,
        // No provider has such an error.
        Kind::AmbiguousId | Kind::InProgress => Kind::Refused(409),
        kind => kind,
    };
    match error.kind {
        Kind::FieldsNotSupported => {
            let fields = error.fields.clone();
            Error::new(Kind::Rejected, "the gateway cannot hold every field").with_fields(fields)
        }
        _ => error.with_kind(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_collection_is_a_failure_of_the_provider_and_a_missing_customer_is_not() {
        let shown = |operation| for_client(Error::new(Kind::NotFound, "404"), operation).kind;
        for operation in [Operation::Create, Operation::List] {
            assert_eq!(shown(Some(operation)), Kind::BadResponse, "{operation:?}");
        }
        for operation in [Some(Operation::Retrieve), Some(Operation::Delete), None] {
            assert_eq!(shown(operation), Kind::NotFound, "{operation:?}");
        }
    }
}
