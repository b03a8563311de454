//! Commands and outcomes as JSON, for snapshots and messages.

use passerelle_providers::{
    api::view::{
        CustomerView, FidelityView, FieldErrorView, InvoiceView, Origin, PaymentMethodView, PaymentView, summary,
    },
    engine::lists::FilteredBy,
    json::to_raw,
    model::{
        Address, Command, Created, Customer, CustomerFields, CustomerFilter, Error, Fidelity, ListOfCustomer,
        OverdueInvoices, Page, Patch, Payment, PaymentMethod, Reply, Written, manifest::Manifest,
    },
    text::Text,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).expect("views are JSON")
}

pub(crate) fn customer(customer: &Customer) -> Value {
    let mut shown = value(to_raw(&CustomerView { customer, origin: Origin { provider: "-", connection: "-" } }));
    let provider = shown["provider"].take();
    shown["provider"] = json!({ "extra": provider["extra"] });
    shown
}

fn created(created: &Created) -> Value {
    json!({ "existing": created.existing, "customer": customer(&created.customer) })
}

fn listing(mut page: Page<Customer>, filter: &CustomerFilter, manifest: &Manifest) -> Value {
    let fidelity = Fidelity::hoist(page.items.iter_mut().map(|customer| &mut customer.fidelity));
    let next = page.next.map(|position| {
        let (page, skip) = position.in_page();
        format!("{page:?}, skip {skip}")
    });
    json!({
        "data": page.items.iter().map(customer).collect::<Vec<_>>(),
        "next": next,
        "total": page.total,
        "filtered_by": FilteredBy::of(filter, manifest).as_str(),
        "fidelity": value(FidelityView(&fidelity)),
    })
}

/// A reply to a command.
pub(crate) fn reply(command: &Command, reply: Reply, manifest: &Manifest) -> Value {
    match (command, reply) {
        (_, Reply::Written(Written::Created(new))) => created(&new),
        (_, Reply::Written(Written::Changed(one)) | Reply::Customer(one) | Reply::Found(Some(one))) => customer(&one),
        (_, Reply::Written(Written::Deleted)) => json!({ "deleted": true }),
        (_, Reply::Found(None)) => Value::Null,
        (Command::List(list), Reply::Customers(page)) => listing(page, &list.filter, manifest),
        (_, Reply::Customers(page)) => listing(page, &CustomerFilter::default(), manifest),
        (_, Reply::PaymentMethods(page)) => payment_methods(&page),
        (_, Reply::Payments(page)) => payments(&page),
        (_, Reply::OverdueInvoices(overdue)) => overdue_invoices(&overdue),
    }
}

fn page<'p, T, V: Serialize>(page: &'p Page<T>, view: impl Fn(&'p T) -> V) -> Value {
    json!({
        "data": page.items.iter().map(|item| value(view(item))).collect::<Vec<_>>(),
        "next": page.next.as_ref().map(|position| format!("{position:?}")),
        "total": page.total,
    })
}

fn payment_methods(methods: &Page<PaymentMethod>) -> Value {
    page(methods, PaymentMethodView::from)
}

fn payments(payments: &Page<Payment>) -> Value {
    page(payments, PaymentView::from)
}

pub(crate) fn overdue_invoices(overdue: &OverdueInvoices) -> Value {
    json!({
        "customer": overdue.customer.as_deref().map(customer),
        "data": overdue.invoices.iter().map(|invoice| value(InvoiceView::from(invoice))).collect::<Vec<_>>(),
        "summary": value(summary(overdue)),
    })
}

pub(crate) fn error(error: &Error) -> Value {
    let vendor = error.vendor.as_ref();
    json!({
        "error": format!("{:?}", error.kind),
        "detail": error.detail,
        "fields": error.fields.iter().map(|field| value(FieldErrorView::from(field))).collect::<Vec<_>>(),
        "vendor": {
            "status": vendor.and_then(|vendor| vendor.status),
            "code": vendor.and_then(|vendor| vendor.code.as_deref()),
            "message": vendor.and_then(|vendor| vendor.message.as_deref()),
        },
        "retry_after": error.retry_after,
        "outcome": error.effect.as_str(),
        "existing": error.existing,
    })
}

fn patch(patch: &Patch<Text>) -> Option<Value> {
    match patch {
        Patch::Absent => None,
        Patch::Clear => Some(Value::Null),
        Patch::Set(text) => Some(json!(&**text)),
    }
}

pub(crate) fn fields(fields: &CustomerFields) -> Value {
    let CustomerFields {
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
    } = fields;
    let Address { line1, line2, city, state, postal_code, country } = address;
    let texts = [
        ("name", name),
        ("first_name", first_name),
        ("last_name", last_name),
        ("email", email),
        ("phone", phone),
        ("whatsapp", whatsapp),
        ("address.line1", line1),
        ("address.line2", line2),
        ("address.city", city),
        ("address.state", state),
        ("address.postal_code", postal_code),
        ("address.country", country),
        ("did", did),
        ("balance", balance),
    ];
    let mut shown: Map<String, Value> =
        texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), patch(text)?))).collect();
    match kind {
        Patch::Absent => {}
        Patch::Clear => drop(shown.insert("type".to_owned(), Value::Null)),
        Patch::Set(kind) => drop(shown.insert("type".to_owned(), json!(kind.as_str()))),
    }
    match metadata {
        Patch::Absent => {}
        Patch::Clear => drop(shown.insert("metadata".to_owned(), Value::Null)),
        Patch::Set(object) => drop(shown.insert("metadata".to_owned(), value(object))),
    }
    Value::Object(shown)
}

pub(crate) fn command(command: &Command) -> Value {
    let list_of_customer = |list: &ListOfCustomer| {
        json!({
            "id": &**list.id.public(), "limit": list.limit, "position": format!("{:?}", list.position),
            "status": list.status.as_deref(),
        })
    };
    let arguments = match command {
        Command::Create(create) => json!({ "fields": fields(&create.fields), "distinct": create.distinct }),
        Command::Update(update) => json!({ "id": &**update.id.public(), "fields": fields(&update.fields) }),
        Command::Find(lookup) => json!({ lookup.key(): &**lookup.value() }),
        Command::List(list) => {
            let filter = &list.filter;
            json!({
                "limit": list.limit,
                "position": format!("{:?}", list.position),
                "filter": {
                    "email": filter.email.as_deref(), "phone": filter.phone.as_deref(), "did": filter.did.as_deref(),
                    "blocked": filter.blocked, "search": filter.search.as_deref(),
                },
            })
        }
        Command::RetrieveOrCreate(id) => return json!({ "retrieve_or_create": { "id": &**id.public() } }),
        Command::PaymentMethods(list) | Command::Payments(list) => list_of_customer(list),
        Command::Retrieve(id)
        | Command::Delete(id)
        | Command::Block(id)
        | Command::Unblock(id)
        | Command::OverdueInvoices(id) => json!({ "id": &**id.public() }),
    };
    json!({ command.operation().name(): arguments })
}
