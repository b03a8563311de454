//! What drop-in adds to a command and to its reply, where one provider's client is answered by another provider.

use crate::{
    json::Extra,
    model::{Command, CustomerFields, Error, Kind, Lookup, Operation, OverdueInvoices, Reply, Written},
    text::{Text, country::Region, phone},
};

/// Spells what a client wrote as the other providers expect it: phone numbers in international form, where the
/// merchant's region explains them. Countries stay as they were written.
#[must_use]
pub fn canonical(mut command: Command, region: Option<Region>) -> Command {
    let number = |text: &Text| phone::canonical_text(text, region);
    let spelled = |fields: &mut CustomerFields| {
        for field in [&mut fields.phone, &mut fields.whatsapp] {
            *field = field.map(number);
        }
    };
    match &mut command {
        Command::Create(create) => spelled(&mut create.fields),
        Command::Update(update) => spelled(&mut update.fields),
        Command::List(list) => list.filter.phone = list.filter.phone.as_ref().map(number),
        Command::Find(Lookup::Phone(sought)) => *sought = number(sought),
        _ => {}
    }
    command
}

/// Takes out of a reply what only its own provider's clients know: the members that have no canonical place.
#[must_use]
pub fn without_extra(mut reply: Reply) -> Reply {
    for customer in reply.customers_mut() {
        customer.extra = Extra::default();
    }
    match &mut reply {
        Reply::PaymentMethods(page) => page.items.iter_mut().for_each(|method| method.extra = Extra::default()),
        Reply::Payments(page) => page.items.iter_mut().for_each(|payment| payment.extra = Extra::default()),
        Reply::OverdueInvoices(_, OverdueInvoices { invoices, .. }) => {
            for invoice in invoices {
                invoice.extra = Extra::default();
            }
        }
        Reply::Written(_) | Reply::Customer(_) | Reply::Found(_) | Reply::Customers(_) => {}
    }
    reply
}

/// The names of the fields that a reply's customer lost, each once.
pub fn losses(reply: &Reply) -> Vec<&'static str> {
    let Reply::Written(Written::Created(_) | Written::Changed(_)) = reply else { return Vec::new() };
    let lost = reply.customers().flat_map(|customer| customer.fidelity.losses());
    let mut names: Vec<&'static str> = lost.map(|entry| entry.field.name()).collect();
    names.dedup();
    names
}

/// A failure as the client of another provider may be told it: its own id was wrong where ours was, and our
/// credentials are none of its business.
#[must_use]
pub fn for_client(error: Error, operation: Option<Operation>) -> Error {
    let is_collection = matches!(operation, Some(Operation::Create | Operation::List));
    let kind = match error.kind {
        Kind::InvalidId => Kind::NotFound,
        // A collection that is not there is a wrong address of ours, and so are credentials.
        Kind::NotFound if is_collection => Kind::BadResponse,
        Kind::Unauthorized => Kind::ProviderFailed,
        Kind::Throttled => Kind::RateLimited,
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
