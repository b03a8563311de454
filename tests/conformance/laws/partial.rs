//! The law about lists that do not show every customer.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use libtest_mimic::Failed;
use passerelle_providers::{
    VendorServer,
    engine::{self, Conditions, records::Records},
    kit::{KnownCustomers, Transport},
    model::{
        Command, Customer, CustomerFields, CustomerId, Error, Kind, Lookup, LossPolicy, Operation, Patch, Reply,
        Request, Response, UpdateCustomer, Written,
    },
    text::Text,
};

use super::Subject;
use crate::{case::block_on, sample};

/// A vendor whose lists show only customers with transactions, and what the gateway knows of its customers.
struct PartialVendor {
    server: Arc<dyn VendorServer>,
    records: Mutex<Records>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    customer: Option<Text>,
    asked: usize,
    /// Whether the customer existed, for each correction.
    corrections: Vec<bool>,
}

#[async_trait]
impl Transport for PartialVendor {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let mut records = self.records.lock().expect("no panic");
        let answered = self.server.accept(&request).and_then(|command| {
            let reply = records.execute(&*self.server, &command, Timestamp::UNIX_EPOCH, [7; 16])?;
            self.server.answer(&command, &reply)
        });
        Ok(answered.unwrap_or_else(|error| self.server.refuse(&request, &error, Timestamp::UNIX_EPOCH)))
    }

    fn known_customers(&self) -> Option<&dyn KnownCustomers> {
        Some(self)
    }
}

#[async_trait]
impl KnownCustomers for PartialVendor {
    async fn find(&self, _: &Lookup) -> Result<Vec<Text>, Error> {
        let mut known = self.known.lock().expect("no panic");
        known.asked += 1;
        Ok(known.customer.clone().into_iter().collect())
    }

    async fn correct(&self, _: &Lookup, _: &Text, customer: Option<&Customer>) {
        self.known.lock().expect("no panic").corrections.push(customer.is_some());
    }
}

/// Where the lists show every customer, the gateway's own knowledge is never asked. Elsewhere it completes a look-up, but
/// the provider decides whether the customer matches.
pub(super) fn look_ups_ask_the_gateway_only_where_lists_are_partial(subject: Subject) -> Result<(), Failed> {
    if ![Operation::Create, Operation::Find, Operation::Delete].into_iter().all(|needed| subject.supports(needed)) {
        return Ok(());
    }
    let provider = subject.provider();
    let mut records = Records::default();
    records.list_only_with_transactions();
    let vendor = PartialVendor { server: subject.server(), records: Mutex::new(records), known: Mutex::default() };
    let execute = |command: Command| {
        block_on(engine::execute(&provider, &vendor, &command, Conditions::canonical(LossPolicy::Drop)))
    };
    let create = sample::usual_create(subject.manifest);
    let email = create.fields.email.set().cloned().ok_or("the sample has an e-mail address")?;
    let find = || match execute(Command::Find(Lookup::Email(email.clone()))) {
        Ok(Reply::Found(found)) => Ok(found.map(|customer| customer.id)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        other => Err(Failed::from(format!("not a look-up: {other:?}"))),
    };
    let Reply::Written(Written::Created(created)) =
        execute(Command::Create(create)).map_err(|error| error.to_string())?
    else {
        return Err("not a create".into());
    };
    let id = created.customer.id;
    vendor.known.lock().expect("no panic").customer = Some(id.clone());
    let found = find()?;
    let asked = vendor.known.lock().expect("no panic").asked;
    if subject.manifest.lists.is_complete() {
        return match (found, asked) {
            (None, 0) => Ok(()),
            other => Err(format!("lists show every customer, so a look-up asks nothing else: {other:?}").into()),
        };
    }
    assert_eq!((found.as_ref(), asked), (Some(&id), 1), "the customer that the gateway knows");
    let customer = CustomerId::parse(id, &subject.manifest.id).map_err(|error| error.to_string())?;
    let fields =
        CustomerFields { email: Patch::Set(Text::from_static("else@example.com")), ..CustomerFields::default() };
    execute(Command::Update(UpdateCustomer { id: customer.clone(), fields })).map_err(|error| error.to_string())?;
    assert_eq!(find()?, None, "the customer has another address now");
    execute(Command::Delete(customer)).map_err(|error| error.to_string())?;
    assert_eq!(find()?, None, "the customer does not exist any more");
    assert_eq!(vendor.known.lock().expect("no panic").corrections, [true, false]);
    Ok(())
}
