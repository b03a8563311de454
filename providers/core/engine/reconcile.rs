//! Finds out whether a write with an unknown outcome happened: compares the provider's customers with the command.
//! `src/writes/recovery.rs` calls [`find_outcome`]. All requests here only read, so they are safe to repeat.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    engine::{
        CLOCK_SKEW, distinct,
        execute::retrieve,
        in_full::in_full,
        known::{contact_lookups, known_candidates},
        lists::{self, PlannedList},
        matching::matches_fields,
        prepare::{kept_name, removes_name_part},
    },
    kit::{CustomerProvider, Transport},
    model::{
        Command, CreateCustomer, Created, Customer, CustomerFields, CustomerFilter, CustomerId, Error, Kind,
        ListCustomers, Operation, Patch, Position, Written,
        manifest::{FilterSupport, Manifest},
    },
    text::Text,
};

/// What the provider's records show about a write.
#[derive(Debug)]
pub enum Found {
    /// The write happened, with this result.
    Happened(Box<Written>),
    /// The provider shows no effect of the write at this time.
    NotHappened,
    /// The record does not show whether the update happened, and a second update could change it once more.
    Unclear,
    /// Several customers match the write, so an operator has to decide.
    Several,
}

impl Found {
    fn happened(written: Written) -> Self {
        Self::Happened(Box::new(written))
    }
}

/// Finds out whether a write happened. The gateway sent it for the first time at `first_sent_at`. `marker` is the
/// idempotency marker of a create, if it has one. After an error the outcome stays unknown.
pub async fn find_outcome(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    command: &Command,
    first_sent_at: Timestamp,
    marker: Option<&str>,
) -> Result<Found, Error> {
    match command {
        Command::Create(create) => match find_created(provider, transport, create, first_sent_at, marker).await? {
            Found::NotHappened => find_match(provider, transport, create).await,
            found => Ok(found),
        },
        Command::Update(update) => {
            let customer = retrieve(provider, transport, &update.id).await?;
            let manifest = provider.manifest();
            let mut stored = without_losses(&update.fields, Operation::Update, manifest);
            stored.phone = stored.phone_beside(customer.phone.as_ref(), provider.region());
            let has_happened = matches_fields(&customer, &completed(&stored, &customer, manifest), manifest);
            let not_shown = if removes_name_part(&stored, manifest) { Found::Unclear } else { Found::NotHappened };
            Ok(if has_happened { Found::happened(Written::Changed(customer)) } else { not_shown })
        }
        // Only the gateway keeps this. The provider shows nothing of it.
        Command::Block(_) | Command::Unblock(_)
            if !provider.manifest().operation(command.operation()).is_supported() =>
        {
            Ok(Found::NotHappened)
        }
        Command::Block(id) => check_blocked(provider, transport, id, true).await,
        Command::Unblock(id) => check_blocked(provider, transport, id, false).await,
        Command::Delete(id) => match retrieve(provider, transport, id).await {
            Err(error) if error.kind == Kind::NotFound => Ok(Found::happened(Written::Deleted)),
            Err(error) => Err(error),
            Ok(_) => Ok(Found::NotHappened),
        },
        // These commands change nothing. `RetrieveOrCreate` can create a customer, but is never recorded as a write.
        Command::Retrieve(_)
        | Command::RetrieveOrCreate(_)
        | Command::Find(_)
        | Command::List(_)
        | Command::PaymentMethods(_)
        | Command::Payments(_)
        | Command::OverdueInvoices(_) => Ok(Found::NotHappened),
    }
}

async fn check_blocked(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    id: &CustomerId,
    wanted: bool,
) -> Result<Found, Error> {
    let customer = retrieve(provider, transport, id).await?;
    let is_wanted = customer.blocked == Some(wanted);
    Ok(if is_wanted { Found::happened(Written::Changed(customer)) } else { Found::NotHappened })
}

/// Finds the customer that a distinct create matches; any other create matches none. The caller has found no customer that the
/// create made. A match is a valid result also if that customer is newer than the create: the client asked for no second
/// customer.
pub async fn find_match(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    create: &CreateCustomer,
) -> Result<Found, Error> {
    match distinct::existing_match(provider, transport, create).await {
        Err(error) if error.kind == Kind::Ambiguous => Ok(Found::Several),
        existing => Ok(existing?.map_or(Found::NotHappened, |one| Found::happened(Written::Created(one)))),
    }
}

/// Finds the customer that a create made: the one with the create's idempotency marker. If neither the create nor the
/// customer has a marker, the customer must have all the sent values. Its `created_at`, if the provider shows one, must
/// not be earlier than the create.
async fn find_created(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    create: &CreateCustomer,
    first_sent_at: Timestamp,
    marker: Option<&str>,
) -> Result<Found, Error> {
    let manifest = provider.manifest();
    let stored = without_losses(&create.fields, Operation::Create, manifest);
    let earliest = first_sent_at.checked_sub(CLOCK_SKEW).unwrap_or(first_sent_at);
    let is_new = |customer: &Customer| {
        let created = customer.created_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
        created.is_none_or(|created| created >= earliest)
    };
    // If there is a marker, only the marker decides. Equal values then prove nothing.
    let is_candidate = |customer: &Customer| {
        if marker.is_some() || customer.marker.is_some() {
            return customer.marker.as_deref() == marker;
        }
        is_new(customer) && matches_fields(customer, &stored, manifest)
    };
    let filter = narrowest_filter(manifest, &stored);
    let limit = manifest.paging.max_limit.clamp(1, 100);
    let mut list = ListCustomers { limit, position: Position::START, filter };
    let mut candidates: Vec<Customer> = Vec::new();
    for _ in 0..lists::SCAN_PAGES {
        let page = PlannedList::new(provider, &list)?.read(transport).await?;
        for entry in page.items {
            // What an entry lacks, such as the metadata with the marker, says nothing about the customer.
            let customer = match is_new(&entry) || provider.lists_in_full(&entry) {
                true => in_full(provider, transport, entry).await?,
                false => None,
            };
            let Some(customer) = customer.filter(is_candidate) else { continue };
            // If new customers arrive at the beginning of the list during the scan, the next page repeats entries.
            if candidates.iter().all(|known| known.id != customer.id) {
                candidates.push(customer);
            }
        }
        match page.next {
            Some(position) if candidates.len() < 2 => list.position = position,
            Some(_) | None => {
                known_candidates(provider, transport, &stored, is_candidate, &mut candidates).await?;
                return Ok(outcome_of(candidates));
            }
        }
    }
    known_candidates(provider, transport, &stored, is_candidate, &mut candidates).await?;
    match candidates.is_empty() {
        // The customer may be on a page that the gateway has not read, so the outcome stays unknown.
        true => Err(Error::new(Kind::ScanBound, "the provider's list is too long to search for the customer")),
        false => Ok(outcome_of(candidates)),
    }
}

fn outcome_of(mut candidates: Vec<Customer>) -> Found {
    match (candidates.pop(), candidates.is_empty()) {
        (None, _) => Found::NotHappened,
        (Some(customer), true) => Found::happened(Written::Created(Created::new(customer))),
        (Some(_), false) => Found::Several,
    }
}

/// The filter for the search. The provider's list must support it, and it should leave few customers to compare.
fn narrowest_filter(manifest: &Manifest, fields: &CustomerFields) -> CustomerFilter {
    let supports = [manifest.filters.email, manifest.filters.phone];
    let usable = contact_lookups(fields).into_iter().zip(supports).find_map(|(lookup, support)| {
        lookup.filter(|_| matches!(support, FilterSupport::Exact | FilterSupport::Alone | FilterSupport::Loose(_)))
    });
    usable.as_ref().map(CustomerFilter::from).unwrap_or_default()
}

/// The fields of a write without those that the provider does not store.
fn without_losses(fields: &CustomerFields, operation: Operation, manifest: &Manifest) -> CustomerFields {
    let mut stored = fields.clone();
    for (field, _) in manifest.losses(fields, operation) {
        stored.forget(field);
    }
    stored
}

/// The fields of an update, completed from the customer: the name part and the metadata keys that the update does not
/// name. If the customer has all of these values, the update happened.
fn completed(fields: &CustomerFields, customer: &Customer, manifest: &Manifest) -> CustomerFields {
    let mut completed = fields.clone();
    if fields.name.is_absent() && !(fields.first_name.is_absent() && fields.last_name.is_absent()) {
        let (first, last) = kept_name(fields, customer, manifest);
        completed.first_name = fields.first_name.or_keep(first.map(Text::from).as_ref());
        completed.last_name = fields.last_name.or_keep(last.map(Text::from).as_ref());
    }
    if let Patch::Set(patch) = &fields.metadata {
        completed.metadata = Patch::Set(customer.metadata.merged(patch));
    }
    completed
}

#[cfg(test)]
pub(super) mod tests {
    use std::{pin::pin, task};

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::{
        api::{JsonLimits, input},
        json::JsonObject,
        kit::{Settings, VendorServer},
        model::{Page, Reply, Request, Response},
        text::Source,
        vendor,
    };

    fn fields(json: &str) -> CustomerFields {
        let source = Source::new(&Bytes::from(json.to_owned())).expect("text");
        input::fields(&source, JsonLimits::DEFAULT, None).expect("fields")
    }

    fn customer(json: &str) -> Customer {
        let mut customer = Customer { id: Text::from_static("c1"), ..Customer::default() };
        fields(json).apply_to(&mut customer);
        customer
    }

    #[test]
    fn a_customer_matches_only_if_it_has_every_sent_value() {
        let manifest = vendor("lomi").expect("a vendor").manifests[0];
        let current = customer(
            r#"{"name":"Awa Diop","email":"Awa@example.com","phone":"+221771234567","metadata":{"b":1.0,"a":2},"address":{"city":"Dakar"}}"#,
        );
        for (requested, expected) in [
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
            assert_eq!(matches_fields(&current, &fields(requested), manifest), expected, "{requested}");
        }
    }

    /// An update may send a part of a name or of the metadata; the customer keeps the other part.
    #[test]
    fn an_update_happened_if_the_customer_has_every_sent_part() {
        let manifest = vendor("lomi").expect("a vendor").manifests[0];
        let full = customer(r#"{"name":"Awa Diop","metadata":{"a":2,"b":1}}"#);
        let nameless = customer(r#"{"email":"awa@example.com"}"#);
        for (customer, requested, expected) in [
            (&full, r#"{"first_name":"Awa"}"#, true),
            (&full, r#"{"last_name":"Diop"}"#, true),
            (&full, r#"{"metadata":{"a":2}}"#, true),
            (&full, r#"{"metadata":{"c":null}}"#, true),
            (&nameless, r#"{"name":null}"#, true),
            (&nameless, r#"{"last_name":null}"#, true),
            (&full, r#"{"first_name":"Aïcha"}"#, false),
            (&full, r#"{"last_name":null}"#, false),
            (&full, r#"{"name":null}"#, false),
            (&full, r#"{"metadata":{"b":null}}"#, false),
            (&full, r#"{"metadata":{"a":1}}"#, false),
            (&full, r#"{"metadata":null}"#, false),
        ] {
            let completed = completed(&fields(requested), customer, manifest);
            assert_eq!(matches_fields(customer, &completed, manifest), expected, "{requested}");
        }
    }

    /// The provider returns the DID, but cannot update it. A different DID is no proof that the update failed.
    #[test]
    fn a_field_that_the_provider_cannot_store_is_not_compared() {
        let manifest = vendor("paymentkit").expect("a vendor").manifests[0];
        let current = customer(r#"{"name":"Awa Diop","did":"z1Awa"}"#);
        let requested = fields(r#"{"name":"Awa Diop","did":"z1Other"}"#);
        assert!(matches_fields(&current, &without_losses(&requested, Operation::Update, manifest), manifest));
        assert!(!matches_fields(&current, &requested, manifest));
    }

    /// A vendor that only lists these customers, the newest first.
    pub(in super::super) struct ListOnly {
        pub(in super::super) vendor: Arc<dyn VendorServer>,
        pub(in super::super) customers: Vec<Customer>,
    }

    #[async_trait]
    impl Transport for ListOnly {
        async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
            let command = self.vendor.accept(&request)?;
            let Command::List(list) = &command else { panic!("only lists are sent") };
            let matching = self.customers.iter().filter(|customer| list.filter.matches(customer));
            let page = Page::of_all(matching.cloned().collect(), &list.position, list.limit);
            self.vendor.answer(&command, &Reply::Customers(page))
        }
    }

    /// The outcome that is found for a create of Awa Diop: the customer's id, and whether it existed before the create.
    fn found(
        vendor_name: &str,
        distinct: bool,
        marker: Option<&str>,
        customers: &[Customer],
    ) -> Option<(String, bool)> {
        let vendor = vendor(vendor_name).expect("a vendor");
        let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
        let list_only = ListOnly { vendor: (vendor.server)(settings), customers: customers.to_vec() };
        let fields = fields(r#"{"name":"Awa Diop","email":"awa@example.com"}"#);
        let command = Command::Create(CreateCustomer { fields, distinct, existing: None });
        let provider = (vendor.connect)(settings);
        let finding =
            find_outcome(&provider, &list_only, &command, "2026-11-20T12:00:00Z".parse().expect("a time"), marker);
        let mut context = task::Context::from_waker(task::Waker::noop());
        let task::Poll::Ready(found) = pin!(finding).poll(&mut context) else { panic!("the transport never waits") };
        match found.expect("an outcome") {
            Found::Happened(written) => match *written {
                Written::Created(Created { customer, existing }) => Some((customer.id.to_string(), existing)),
                other => panic!("not a create: {other:?}"),
            },
            Found::NotHappened => None,
            Found::Unclear | Found::Several => panic!("no two customers match"),
        }
    }

    fn listed(id: &str, created_at: &'static str, json: &str) -> Customer {
        Customer { id: Text::from(id), created_at: Some(Text::from_static(created_at)), ..customer(json) }
    }

    /// A distinct create that found an existing customer made none that could be found, so the match is repeated.
    #[test]
    fn a_distinct_create_that_made_no_customer_answers_the_customer_it_matches() {
        const LONG_AGO: &str = "2025-04-04T14:21:49.955Z";
        let (old, new) = ("b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "0979ec77-7f76-4f43-9c5d-19d9f5c7c985");
        let known = listed(old, LONG_AGO, r#"{"name":"A. Diop","email":"Awa@example.com"}"#);
        let namesake = listed(old, LONG_AGO, r#"{"name":"Awa Diop","email":"not.awa@example.com"}"#);
        let with_marker = |marker: &str| {
            let metadata = JsonObject::in_string(&format!(r#"{{"passerelle_op":"{marker}"}}"#)).expect("an object");
            let customer = listed(new, "2026-11-20T12:00:01Z", r#"{"name":"Awa Diop","email":"awa@example.com"}"#);
            Customer { metadata, ..customer }
        };
        let (matched, made) = (Some((old.to_owned(), true)), Some((new.to_owned(), false)));
        for (what, marker, customers, expected) in [
            ("a match, if no customer has the marker", Some("op_1"), vec![known.clone()], matched.clone()),
            ("the marker, before a match", Some("op_1"), vec![with_marker("op_1"), known.clone()], made),
            ("a match that another create made", Some("op_1"), vec![with_marker("op_2")], Some((new.to_owned(), true))),
            ("a match, if the create has no marker", None, vec![known.clone()], matched.clone()),
            ("no match by name alone", Some("op_1"), vec![namesake], None),
            ("no match in an empty list", Some("op_1"), vec![], None),
        ] {
            assert_eq!(found("lomi", true, marker, &customers), expected, "{what}");
        }
        assert_eq!(found("modempay", true, None, std::slice::from_ref(&known)), matched, "matched by the provider");
        assert_eq!(found("lomi", false, Some("op_1"), &[known]), None, "a plain create matches no customer");
    }

    /// A search that ends too early would answer that the create did not happen, and a repetition would make a second customer.
    #[test]
    fn a_created_customer_is_found_behind_the_first_page_of_the_list() {
        let new = "0979ec77-7f76-4f43-9c5d-19d9f5c7c985";
        let older = |number: u32| {
            let id = format!("b78de3c9-7f76-4f43-9c5d-19d9f5c7{number:04}");
            listed(&id, "2025-04-04T14:21:49.955Z", r#"{"name":"Moussa Fall","email":"awa@example.com"}"#)
        };
        let mut customers: Vec<Customer> = (0..150).map(older).collect();
        customers.push(listed(new, "2026-11-20T12:00:01Z", r#"{"name":"Awa Diop","email":"awa@example.com"}"#));
        assert_eq!(found("lomi", false, None, &customers), Some((new.to_owned(), false)));
    }

    #[test]
    fn two_candidates_are_left_for_the_operator_to_decide() {
        let one = || customer(r#"{"name":"Awa Diop"}"#);
        assert!(matches!(outcome_of(Vec::new()), Found::NotHappened));
        assert!(matches!(outcome_of(vec![one()]), Found::Happened(written) if matches!(*written, Written::Created(_))));
        assert!(matches!(outcome_of(vec![one(), one()]), Found::Several));
    }
}
