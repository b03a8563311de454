//! Whether a write happened whose answer never came: the provider is asked, and what it tells is compared with
//! what was wanted. Nothing here changes anything.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::{
    engine::{
        execute::retrieve,
        lists::{self, PlannedList},
    },
    json::canonical::spelled,
    kit::{CustomerProvider, Transport},
    model::{
        Command, CreateCustomer, Created, Customer, CustomerFields, CustomerFilter, CustomerId, Error, Field,
        FieldValue, Kind, ListCustomers, Lookup, Operation, Patch, Position, Written,
        manifest::{FilterSupport, Manifest},
    },
    text::{Text, country, email},
};

/// How far a provider's clock may be behind ours.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(2);

/// What the provider tells of a write.
#[derive(Debug)]
pub enum Found {
    /// It happened, and this came of it.
    Happened(Box<Written>),
    /// It has not happened, as far as the provider shows now.
    DidNot,
    /// Several records could be what came of it.
    Several,
}

impl Found {
    fn happened(written: Written) -> Self {
        Self::Happened(Box::new(written))
    }
}

/// Looks whether a write happened that was first sent at a time, a create with a marker or without. An error means that
/// it could not be looked.
pub async fn find_outcome(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    command: &Command,
    sent_at: Timestamp,
    marker: Option<&str>,
) -> Result<Found, Error> {
    match command {
        Command::Create(create) => match created(provider, transport, create, sent_at, marker).await? {
            Found::DidNot if create.distinct => matched(provider, transport, create).await,
            found => Ok(found),
        },
        Command::Update(update) => {
            let customer = retrieve(provider, transport, &update.id).await?;
            let manifest = provider.manifest();
            let kept = without_losses(&update.fields, Operation::Update, manifest);
            Ok(match holds(&customer, &whole(&kept, &customer), manifest) {
                true => Found::happened(Written::Changed(customer)),
                false => Found::DidNot,
            })
        }
        Command::Block(id) => blocked(provider, transport, id, true).await,
        Command::Unblock(id) => blocked(provider, transport, id, false).await,
        Command::Delete(id) => match retrieve(provider, transport, id).await {
            Err(error) if error.kind == Kind::NotFound => Ok(Found::happened(Written::Deleted)),
            Err(error) => Err(error),
            Ok(_) => Ok(Found::DidNot),
        },
        // These change nothing, or (the second) are never recorded as a write.
        Command::Retrieve(_)
        | Command::RetrieveOrCreate(_)
        | Command::Find(_)
        | Command::List(_)
        | Command::PaymentMethods(_)
        | Command::Payments(_)
        | Command::OverdueInvoices(_) => Ok(Found::DidNot),
    }
}

async fn blocked(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    id: &CustomerId,
    wanted: bool,
) -> Result<Found, Error> {
    let customer = retrieve(provider, transport, id).await?;
    Ok(match customer.blocked == Some(wanted) {
        true => Found::happened(Written::Changed(customer)),
        false => Found::DidNot,
    })
}

/// Looks whom a distinct create matches, of which nobody came: if it has matched somebody, there was nothing to make.
/// Somebody who came only since is as good for whoever asked not to have a second one.
pub async fn matched(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    create: &CreateCustomer,
) -> Result<Found, Error> {
    let existing = lists::existing_by_now(provider, transport, create).await?;
    Ok(existing.map_or(Found::DidNot, |existing| Found::happened(Written::Created(existing))))
}

/// Looks for the one customer that has the marker, or without marks the one that has everything that was sent and was
/// not there before.
async fn created(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    create: &CreateCustomer,
    sent_at: Timestamp,
    marker: Option<&str>,
) -> Result<Found, Error> {
    let manifest = provider.manifest();
    let kept = without_losses(&create.fields, Operation::Create, manifest);
    let earliest = sent_at.checked_sub(CLOCK_SKEW).unwrap_or(sent_at);
    // A marker decides alone: somebody who has another or none is a stranger, however alike.
    let is_it = |customer: &Customer| {
        if marker.is_some() || customer.marker.is_some() {
            return customer.marker.as_deref() == marker;
        }
        let created = customer.created_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        created.is_none_or(|created| created >= earliest) && holds(customer, &kept, manifest)
    };
    let filter = narrowest(manifest, &kept);
    let limit = manifest.paging.max_limit.clamp(1, 100);
    let mut list = ListCustomers { limit, position: Position::START, filter };
    let mut candidates: Vec<Customer> = Vec::new();
    for _ in 0..lists::SCAN_PAGES {
        let page = PlannedList::new(provider, &list)?.read(transport).await?;
        for customer in page.items.into_iter().filter(is_it) {
            // A list that grows at its beginning while it is read shows somebody twice.
            if candidates.iter().all(|known| known.id != customer.id) {
                candidates.push(customer);
            }
        }
        match page.next {
            Some(position) if candidates.len() < 2 => list.position = position,
            Some(_) | None => return Ok(decided(candidates)),
        }
    }
    match candidates.is_empty() {
        // Somebody behind the bound is somebody who was not looked at.
        true => Err(Error::new(Kind::ScanBound, "the provider's list is too long to be looked through")),
        false => Ok(decided(candidates)),
    }
}

fn decided(mut candidates: Vec<Customer>) -> Found {
    match (candidates.pop(), candidates.is_empty()) {
        (None, _) => Found::DidNot,
        (Some(customer), true) => Found::happened(Written::Created(Created { customer, existing: false })),
        (Some(_), false) => Found::Several,
    }
}

/// The filter that leaves the fewest customers to look at, of those that the provider's lists take.
fn narrowest(manifest: &Manifest, fields: &CustomerFields) -> CustomerFilter {
    let lookups = [
        fields.email.set().map(|email| Lookup::Email(email.clone())),
        fields.phone.set().map(|phone| Lookup::Phone(phone.clone())),
    ];
    let supports = [manifest.filters.email, manifest.filters.phone];
    let usable = lookups.into_iter().zip(supports).find_map(|(lookup, support)| {
        lookup.filter(|_| matches!(support, FilterSupport::Exact | FilterSupport::Alone | FilterSupport::Loose(_)))
    });
    usable.as_ref().map(CustomerFilter::from).unwrap_or_default()
}

/// The fields of a write without those that were lost on the way.
fn without_losses(fields: &CustomerFields, operation: Operation, manifest: &Manifest) -> CustomerFields {
    let mut kept = fields.clone();
    for (field, _) in manifest.losses(fields, operation) {
        kept.forget(field);
    }
    kept
}

/// The fields of an update, completed from a customer where they are a part of something: of a name, or of the
/// metadata. It happened if the customer holds them all.
fn whole(fields: &CustomerFields, customer: &Customer) -> CustomerFields {
    let mut whole = fields.clone();
    if fields.name.is_absent() && !(fields.first_name.is_absent() && fields.last_name.is_absent()) {
        let (first, last) = customer.split_name();
        whole.first_name = fields.first_name.or_keep(first.map(Text::from).as_ref());
        whole.last_name = fields.last_name.or_keep(last.map(Text::from).as_ref());
    }
    if let Patch::Set(patch) = &fields.metadata {
        whole.metadata = Patch::Set(customer.metadata.merged(patch));
    }
    whole
}

/// Whether a customer is as fields want it, as far as the provider tells them.
fn holds(customer: &Customer, fields: &CustomerFields, manifest: &Manifest) -> bool {
    let told = |field: Field| manifest.field(field).read.is_supported();
    let mut wanted = fields.clone();
    // An imitated provider's client may have written it out.
    wanted.address.country = wanted.address.country.map(country::canonical);
    let is_called_so = match wanted.full_name() {
        Patch::Absent => true,
        Patch::Clear => customer.full_name().is_none(),
        Patch::Set(name) => customer.full_name().is_some_and(|held| *held == *name),
    };
    if !is_called_so {
        return false;
    }
    for field in Field::WRITABLE {
        let is_name = matches!(field, Field::Name | Field::FirstName | Field::LastName);
        if is_name || !told(field) {
            wanted.forget(field);
        }
    }
    let mut after = customer.clone();
    wanted.apply_to(&mut after);
    let is_as_wanted = |field: &Field| match (customer.held(*field), after.held(*field)) {
        (FieldValue::Text(Some(held)), FieldValue::Text(Some(wanted))) if *field == Field::Email => {
            email::same(held, wanted)
        }
        (FieldValue::Object(held), FieldValue::Object(wanted)) => {
            held == wanted || spelled(held.as_str()) == spelled(wanted.as_str())
        }
        (held, wanted) => held == wanted,
    };
    Field::WRITABLE.iter().all(is_as_wanted)
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task};

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::{
        api::input,
        kit::{Settings, VendorServer},
        model::{Page, Reply, Request, Response},
        text::Source,
        vendor,
    };

    fn fields(json: &str) -> CustomerFields {
        let source = Source::new(&Bytes::from(json.to_owned())).expect("text");
        input::fields(&source, None).expect("fields")
    }

    fn customer(json: &str) -> Customer {
        let mut customer = Customer { id: Text::from_static("c1"), ..Customer::default() };
        fields(json).apply_to(&mut customer);
        customer
    }

    #[test]
    fn a_customer_that_has_everything_is_the_one() {
        let manifest = vendor("lomi").expect("a vendor").manifests[0];
        let held = customer(
            r#"{"name":"Awa Diop","email":"Awa@example.com","phone":"+221771234567","metadata":{"b":1.0,"a":2},"address":{"city":"Dakar"}}"#,
        );
        for (asked, expected) in [
            (r#"{"name":"Awa Diop","email":"awa@example.com"}"#, true),
            (r#"{"first_name":"Awa","last_name":"Diop"}"#, true),
            (r#"{"metadata":{"a":2,"b":1}}"#, true),
            (r#"{"whatsapp":null}"#, true),
            (r#"{"name":"Awa Ba","email":"awa@example.com"}"#, false),
            (r#"{"phone":"+221770000000"}"#, false),
            (r#"{"metadata":{"a":2}}"#, false),
            (r#"{"phone":null}"#, false),
            (r#"{"address":{"city":"Thiès"}}"#, false),
        ] {
            assert_eq!(holds(&held, &fields(asked), manifest), expected, "{asked}");
        }
    }

    /// An update tells a part, and the rest of what it is a part of stays.
    #[test]
    fn an_update_has_happened_where_its_parts_stand() {
        let manifest = vendor("lomi").expect("a vendor").manifests[0];
        let held = customer(r#"{"name":"Awa Diop","metadata":{"a":2,"b":1}}"#);
        let nobody = customer(r#"{"email":"awa@example.com"}"#);
        for (customer, asked, expected) in [
            (&held, r#"{"first_name":"Awa"}"#, true),
            (&held, r#"{"last_name":"Diop"}"#, true),
            (&held, r#"{"metadata":{"a":2}}"#, true),
            (&held, r#"{"metadata":{"c":null}}"#, true),
            (&nobody, r#"{"name":null}"#, true),
            (&nobody, r#"{"last_name":null}"#, true),
            (&held, r#"{"first_name":"Aïcha"}"#, false),
            (&held, r#"{"last_name":null}"#, false),
            (&held, r#"{"name":null}"#, false),
            (&held, r#"{"metadata":{"b":null}}"#, false),
            (&held, r#"{"metadata":{"a":1}}"#, false),
            (&held, r#"{"metadata":null}"#, false),
        ] {
            assert_eq!(holds(customer, &whole(&fields(asked), customer), manifest), expected, "{asked}");
        }
    }

    /// What the provider tells and does not take cannot be missing.
    #[test]
    fn what_was_lost_is_not_looked_for() {
        let manifest = vendor("paymentkit").expect("a vendor").manifests[0];
        let held = customer(r#"{"name":"Awa Diop","did":"z1Awa"}"#);
        let asked = fields(r#"{"name":"Awa Diop","did":"z1Other"}"#);
        assert!(holds(&held, &without_losses(&asked, Operation::Update, manifest), manifest));
        assert!(!holds(&held, &asked, manifest));
    }

    /// A vendor that lists these customers, the newest first, and does nothing else.
    struct Listed {
        vendor: Arc<dyn VendorServer>,
        customers: Vec<Customer>,
    }

    #[async_trait]
    impl Transport for Listed {
        async fn send(&self, request: Request, _: bool) -> Result<Response, Error> {
            let command = self.vendor.accept(&request)?;
            let Command::List(asked) = &command else { panic!("only lists are asked for") };
            let matching = self.customers.iter().filter(|customer| asked.filter.matches(customer));
            let page = Page::of_all(matching.cloned().collect(), &asked.position, asked.limit);
            self.vendor.answer(&command, &Reply::Customers(page))
        }
    }

    const SENT: &str = "2026-11-20T12:00:00Z";

    /// What is found of a create of Awa Diop; whom it made or matched, and which of the two.
    fn found(
        vendor_name: &str,
        distinct: bool,
        marker: Option<&str>,
        customers: &[Customer],
    ) -> Option<(String, bool)> {
        let vendor = vendor(vendor_name).expect("a vendor");
        let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
        let listed = Listed { vendor: (vendor.server)(settings), customers: customers.to_vec() };
        let fields = fields(r#"{"name":"Awa Diop","email":"awa@example.com"}"#);
        let command = Command::Create(CreateCustomer { fields, distinct });
        let provider = (vendor.connect)(settings);
        let looking = find_outcome(&provider, &listed, &command, SENT.parse().expect("a time"), marker);
        let mut context = task::Context::from_waker(task::Waker::noop());
        let task::Poll::Ready(found) = pin!(looking).poll(&mut context) else { panic!("nothing here waits") };
        match found.expect("it can be looked") {
            Found::Happened(written) => match *written {
                Written::Created(Created { customer, existing }) => Some((customer.id.to_string(), existing)),
                other => panic!("no create: {other:?}"),
            },
            Found::DidNot => None,
            Found::Several => panic!("nobody is there twice"),
        }
    }

    fn listed(id: &str, created_at: &'static str, json: &str) -> Customer {
        Customer { id: Text::from(id), created_at: Some(Text::from_static(created_at)), ..customer(json) }
    }

    /// A distinct create that matched somebody sent nothing that could be found, so it is matched again.
    #[test]
    fn a_distinct_create_that_made_nobody_is_whom_it_matches() {
        const LONG_AGO: &str = "2025-04-04T14:21:49.955Z";
        let (old, new) = ("b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "0979ec77-7f76-4f43-9c5d-19d9f5c7c985");
        let known = listed(old, LONG_AGO, r#"{"name":"A. Diop","email":"Awa@example.com"}"#);
        let alike = listed(old, LONG_AGO, r#"{"name":"Awa Diop","email":"not.awa@example.com"}"#);
        let marked = |marker: &str| {
            let json =
                format!(r#"{{"name":"Awa Diop","email":"awa@example.com","metadata":{{"passerelle_op":"{marker}"}}}}"#);
            listed(new, "2026-11-20T12:00:01Z", &json)
        };
        let (matched, made) = (Some((old.to_owned(), true)), Some((new.to_owned(), false)));
        for (what, marker, customers, expected) in [
            ("who matches, where nobody has the marker", Some("op_1"), vec![known.clone()], matched.clone()),
            ("who has the marker, whoever matches", Some("op_1"), vec![marked("op_1"), known.clone()], made),
            ("who matches by now, whoever made it", Some("op_1"), vec![marked("op_2")], Some((new.to_owned(), true))),
            ("who matches, without marks", None, vec![known.clone()], matched.clone()),
            ("nobody who only looks alike", Some("op_1"), vec![alike], None),
            ("nobody, where nobody is", Some("op_1"), vec![], None),
        ] {
            assert_eq!(found("lomi", true, marker, &customers), expected, "{what}");
        }
        assert_eq!(found("modempay", true, None, std::slice::from_ref(&known)), matched, "the provider had matched");
        assert_eq!(found("lomi", false, Some("op_1"), &[known]), None, "a plain create matches nobody");
    }

    #[test]
    fn two_who_could_be_the_one_are_for_a_person() {
        let one = || customer(r#"{"name":"Awa Diop"}"#);
        assert!(matches!(decided(Vec::new()), Found::DidNot));
        assert!(matches!(decided(vec![one()]), Found::Happened(written) if matches!(*written, Written::Created(_))));
        assert!(matches!(decided(vec![one(), one()]), Found::Several));
    }
}
