//! Entries of lists that lack fields which a retrieval of the customer shows.

use std::sync::Arc;

use super::execute::retrieve;
use crate::{
    kit::{CustomerProvider, Transport},
    model::{Customer, CustomerId, Error, Kind},
};

/// The customer of an entry, retrieved if the entry lacks fields. `None`: it does not exist any more.
pub(super) async fn in_full(
    provider: &Arc<dyn CustomerProvider>,
    transport: &dyn Transport,
    entry: Customer,
) -> Result<Option<Customer>, Error> {
    if provider.lists_in_full(&entry) {
        return Ok(Some(entry));
    }
    let id = CustomerId::parse(entry.id, &provider.manifest().id)?;
    match retrieve(provider, transport, &id).await {
        Ok(customer) => Ok(Some(*customer)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task};

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::{
        api::{JsonLimits, input},
        engine::{
            lists::PlannedLookup,
            reconcile::{Found, find_outcome},
        },
        json::JsonObject,
        kit::{Settings, VendorServer},
        model::{Command, CreateCustomer, CustomerFields, Lookup, Page, Reply, Request, Response},
        text::{Source, Text},
        vendor,
    };

    /// A vendor with one customer, whose lists show little of it.
    struct ShortLists {
        vendor: Arc<dyn VendorServer>,
        customer: Customer,
    }

    #[async_trait]
    impl Transport for ShortLists {
        async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
            let command = self.vendor.accept(&request)?;
            let reply = match &command {
                Command::List(list) => {
                    let entry = Customer { metadata: JsonObject::default(), updated_at: None, ..self.customer.clone() };
                    Reply::Customers(Page::of_all(vec![entry], &list.position, list.limit))
                }
                _ => Reply::Customer(self.customer.clone().into()),
            };
            self.vendor.answer(&command, &reply)
        }
    }

    fn fields() -> CustomerFields {
        let json = r#"{"name":"John Doe","email":"john@example.com"}"#;
        input::fields(&Source::new(&Bytes::from_static(json.as_bytes())).expect("text"), JsonLimits::DEFAULT, None)
            .expect("fields")
    }

    /// A customer of Notch Pay with metadata, and a provider that lists it without them.
    fn listed_without_metadata(created_at: &'static str) -> (Arc<dyn CustomerProvider>, ShortLists) {
        let vendor = vendor("notchpay").expect("a vendor");
        let settings = Settings { generation: vendor.manifests[0].generation, region: None, livemode: true };
        let mut customer = Customer {
            id: Text::from_static("cus_123456789"),
            metadata: JsonObject::in_string(r#"{"passerelle_op":"op_1","user_id":"12345"}"#).expect("an object"),
            created_at: Some(Text::from_static(created_at)),
            updated_at: Some(Text::from_static(created_at)),
            ..Customer::default()
        };
        fields().apply_to(&mut customer);
        ((vendor.connect)(settings), ShortLists { vendor: (vendor.server)(settings), customer })
    }

    /// The transport never waits.
    fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut context = task::Context::from_waker(task::Waker::noop());
        let task::Poll::Ready(done) = pin!(future).poll(&mut context) else { panic!("the transport never waits") };
        done
    }

    #[test]
    fn a_create_is_found_by_its_marker_where_the_list_does_not_show_it() {
        for (created_at, is_found) in [("2026-11-20T12:00:01Z", true), ("2025-04-04T14:21:49Z", false)] {
            let (provider, transport) = listed_without_metadata(created_at);
            let command = Command::Create(CreateCustomer { fields: fields(), distinct: false, existing: None });
            let sent_at = "2026-11-20T12:00:00Z".parse().expect("a time");
            let found = ready(find_outcome(&provider, &transport, &command, sent_at, Some("op_1")));
            assert_eq!(matches!(found.expect("an outcome"), Found::Happened(_)), is_found, "{created_at}");
        }
    }

    #[test]
    fn a_look_up_answers_what_the_list_does_not_show() {
        let (provider, transport) = listed_without_metadata("2026-11-20T12:00:01Z");
        let lookup = Lookup::Email(Text::from_static("john@example.com"));
        let found = ready(PlannedLookup::new(&provider, &lookup).expect("a look-up").run(&transport));
        let found = found.expect("an answer").expect("a customer");
        assert!(found.metadata.get("user_id").is_some() && found.updated_at.is_some(), "{found:?}");
    }
}
