//! The in-memory records of a sandbox vendor (a twin), and the execution of commands on them. Lists show the newest
//! customers first, as the vendors do.
//!
//! `src/twin` owns the records. The code here is the same for every vendor; differences come from the vendor's manifest
//! and server side. The caller passes in the time and the random bytes.

mod lists;
mod shelf;
mod stored;

use std::collections::{BTreeSet, HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use self::{
    shelf::{Key, Number, Shelf},
    stored::Stored,
};
use crate::{
    engine::offset_pages::offset_of,
    kit::{VendorServer, server::not_found},
    model::{
        Command, Created, Customer, CustomerFields, Error, Field, Kind, ListOfCustomer, OverdueInvoices, Page, Patch,
        Payment, PaymentMethod, Position, Reply, Written, manifest::Manifest,
    },
    text::{Text, email, time},
};

/// The records of a sandbox vendor.
#[derive(Debug)]
pub struct Records {
    customers: Shelf,
    most: usize,
    payment_methods: HashMap<Text, Vec<PaymentMethod>>,
    payments: HashMap<Text, Vec<Payment>>,
    invoices: HashMap<Text, OverdueInvoices>,
    /// The customers with completed or refunded transactions.
    with_transactions: BTreeSet<Number>,
    /// Whether lists and searches show only these.
    lists_only_with_transactions: bool,
    /// The records of other accounts. No list and no search shows them, but their e-mail addresses count where these are
    /// unique.
    others: BTreeSet<Number>,
    search_lag: SignedDuration,
    /// Ids of records that were merged with another one, which answers for them.
    merged: HashMap<Text, Text>,
    /// Recent changes, the oldest first. Lists and searches do not show them until `search_lag` has passed.
    hidden: VecDeque<Change>,
}

/// A change that lists and searches do not show yet.
#[derive(Debug)]
struct Change {
    at: Timestamp,
    number: Number,
    /// The customer before the change; `None` if the change created it.
    before: Option<Box<Stored>>,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            customers: Shelf::default(),
            most: Self::MOST,
            payment_methods: HashMap::new(),
            payments: HashMap::new(),
            invoices: HashMap::new(),
            with_transactions: BTreeSet::new(),
            lists_only_with_transactions: false,
            others: BTreeSet::new(),
            search_lag: SignedDuration::ZERO,
            merged: HashMap::new(),
            hidden: VecDeque::new(),
        }
    }
}

impl Records {
    /// The most customers. A create above it is refused, and no customer leaves: a client that still has its id would take
    /// it for lost.
    pub const MOST: usize = 2_000_000;

    /// The same records with another bound.
    #[must_use]
    pub fn with_most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Adds a customer with a time of creation. Returns its id.
    pub fn add(
        &mut self,
        vendor: &dyn VendorServer,
        fields: &CustomerFields,
        created: Timestamp,
        random: [u8; 16],
    ) -> Text {
        let customer = new_customer(vendor, fields, created, random);
        self.customers.add(&customer);
        customer.id
    }

    /// Sets a customer's payment methods.
    pub fn set_payment_methods(&mut self, id: Text, methods: Vec<PaymentMethod>) {
        self.payment_methods.insert(id, methods);
    }

    /// Sets a customer's payments.
    pub fn set_payments(&mut self, id: Text, payments: Vec<Payment>) {
        self.payments.insert(id, payments);
    }

    /// Sets a customer's overdue invoices.
    pub fn set_overdue_invoices(&mut self, id: Text, invoices: OverdueInvoices) {
        self.invoices.insert(id, invoices);
    }

    /// Notes that a customer has completed or refunded transactions.
    pub fn set_with_transactions(&mut self, id: Text) {
        self.with_transactions.extend(self.number_of_id(&id));
    }

    /// From now on, lists and searches show only customers with completed or refunded transactions. A retrieval by id
    /// shows every customer.
    pub fn list_only_with_transactions(&mut self) {
        self.lists_only_with_transactions = true;
    }

    /// Notes that a record belongs to another account of the vendor: lists and searches do not show it.
    pub fn set_of_another_account(&mut self, id: &Text) {
        self.others.extend(self.number_of_id(id));
    }

    /// Sets the time after which lists and searches show a new or changed customer. A retrieval by id shows it at once.
    /// A deleted customer disappears at once everywhere.
    pub fn lag_searches(&mut self, lag: SignedDuration) {
        self.search_lag = lag;
    }

    /// Merges a record with another one, as some vendors do: from now on its id means the other record.
    pub fn merge(&mut self, id: &Text, into: &Text) {
        if let Some(number) = self.number_of_id(id) {
            self.customers.remove(number);
            self.merged.insert(id.clone(), into.clone());
        }
    }

    /// Executes a command.
    pub fn execute(
        &mut self,
        vendor: &dyn VendorServer,
        command: &Command,
        now: Timestamp,
        random: [u8; 16],
    ) -> Result<Reply, Error> {
        Ok(match command {
            Command::Create(create) => {
                let returns_existing = create.distinct || vendor.is_email_unique();
                let existing = create.fields.email.set().filter(|_| returns_existing);
                if let Some(customer) = existing.and_then(|address| self.by_email(address)) {
                    return Ok(Reply::Written(Written::Created(Created { customer: customer.into(), existing: true })));
                }
                Reply::created(self.create(vendor, &create.fields, now, random)?)
            }
            Command::Retrieve(id) => Reply::Customer(self.by_id(id.public())?.1.into()),
            Command::RetrieveOrCreate(id) => {
                if let Ok((_, customer)) = self.by_id(id.public()) {
                    return Ok(Reply::Customer(customer.into()));
                }
                let fields = CustomerFields { did: Patch::Set(id.public().clone()), ..CustomerFields::default() };
                Reply::Customer(self.create(vendor, &fields, now, random)?.into())
            }
            Command::Find(lookup) => Reply::Found(Some(self.find(lookup, now)?.into())),
            Command::Update(update) => self.change(update.id.public(), now, |customer| {
                clear_replaced_names(&update.fields, customer);
                let phone = update.fields.phone_beside(customer.phone.as_ref(), None);
                CustomerFields { phone, ..update.fields.clone() }.apply_to(customer);
            })?,
            Command::Delete(id) => {
                self.customers.remove(self.number_of_id(id.public()).ok_or_else(not_found)?);
                Reply::DELETED
            }
            Command::List(list) => Reply::Customers(self.list(vendor.searched_fields(), list, now)?),
            Command::Block(id) => self.change(id.public(), now, |customer| customer.blocked = Some(true))?,
            Command::Unblock(id) => self.change(id.public(), now, |customer| customer.blocked = Some(false))?,
            Command::PaymentMethods(list) => {
                let id = self.by_id(list.id.public())?.1.id;
                Reply::PaymentMethods(page(self.payment_methods.get(&id), list, |_| true)?)
            }
            Command::Payments(list) => {
                let id = self.by_id(list.id.public())?.1.id;
                let matches = |payment: &Payment| list.status.is_none() || payment.status == list.status;
                Reply::Payments(page(self.payments.get(&id), list, matches)?)
            }
            Command::OverdueInvoices(id) => {
                let (_, customer) = self.by_id(id.public())?;
                let invoices = self.invoices.get(&customer.id).cloned().unwrap_or_default();
                Reply::OverdueInvoices(OverdueInvoices { customer: Some(customer.into()), ..invoices })
            }
        })
    }

    fn create(
        &mut self,
        vendor: &dyn VendorServer,
        fields: &CustomerFields,
        now: Timestamp,
        random: [u8; 16],
    ) -> Result<Customer, Error> {
        if self.customers.len() >= self.most {
            let detail = format!("the twin keeps at most {} customers; delete some, or start it again", self.most);
            return Err(Error::new(Kind::Rejected, detail));
        }
        let customer = new_customer(vendor, fields, now, random);
        let number = self.customers.add(&customer);
        self.hide(number, None, now);
        Ok(customer)
    }

    /// The oldest customer that a key may find and that fits.
    fn oldest(&self, key: Key<'_>, fits: impl Fn(&Customer) -> bool) -> Option<(Number, Customer)> {
        let candidates = self.customers.candidates(key);
        let customers = candidates.filter_map(|number| Some((number, self.customers.get(number)?.customer())));
        customers.into_iter().find(|(_, customer)| fits(customer))
    }

    fn number_of_id(&self, id: &Text) -> Option<Number> {
        let id = self.merged.get(id).unwrap_or(id);
        self.oldest(Key::Id(id), |customer| customer.id == *id).map(|(number, _)| number)
    }

    /// A customer by its id, or by its decentralised identifier where it has one.
    fn by_id(&self, id: &Text) -> Result<(Number, Customer), Error> {
        let id = self.merged.get(id).unwrap_or(id);
        let by_id = self.oldest(Key::Id(id), |customer| customer.id == *id);
        let by_did = self.oldest(Key::Did(id), |customer| customer.did.as_ref() == Some(id));
        by_id.into_iter().chain(by_did).min_by_key(|(number, _)| *number).ok_or_else(not_found)
    }

    fn by_email(&self, address: &str) -> Option<Customer> {
        self.oldest(Key::Email(address), |customer| has_email(customer, address)).map(|(_, customer)| customer)
    }

    /// Records that lists and searches show a customer's previous state until the lag has passed.
    fn hide(&mut self, number: Number, before: Option<Box<Stored>>, now: Timestamp) {
        let lag = self.search_lag;
        if lag.is_zero() {
            return;
        }
        while self.hidden.pop_front_if(|change| now.duration_since(change.at) >= lag).is_some() {}
        self.hidden.push_back(Change { at: now, number, before });
    }

    fn change(&mut self, id: &Text, now: Timestamp, change: impl FnOnce(&mut Customer)) -> Result<Reply, Error> {
        let (number, mut customer) = self.by_id(id)?;
        change(&mut customer);
        customer.updated_at = Some(Text::from(time::write(to_milliseconds(now))));
        let before = self.customers.replace(number, &customer);
        self.hide(number, before, now);
        Ok(Reply::changed(customer))
    }
}

fn has_email(customer: &Customer, address: &str) -> bool {
    customer.email.as_ref().is_some_and(|email| email::same(email, address))
}

/// Clears the stored name in the form that an update does not write: a new full name replaces the parts, and new parts
/// replace the full name.
fn clear_replaced_names(fields: &CustomerFields, customer: &mut Customer) {
    if !fields.name.is_absent() {
        customer.first_name = None;
        customer.last_name = None;
    } else if !fields.first_name.is_absent() || !fields.last_name.is_absent() {
        let (first, last) = customer.split_name();
        (customer.first_name, customer.last_name) = (first.map(Text::from), last.map(Text::from));
        customer.name = None;
    }
}

fn page<T: Clone>(
    entries: Option<&Vec<T>>,
    list: &ListOfCustomer,
    matches: impl Fn(&T) -> bool,
) -> Result<Page<T>, Error> {
    let matching: Vec<&T> = entries.into_iter().flatten().filter(|entry| matches(entry)).collect();
    slice(&matching, &list.position, list.limit)
}

fn slice<T: Clone>(matching: &[&T], position: &Position, limit: u16) -> Result<Page<T>, Error> {
    let start = usize::try_from(offset_of(position)?).unwrap_or(usize::MAX);
    let items = matching.iter().skip(start).take(limit.into()).map(|entry| (*entry).clone()).collect();
    Ok(Page::of_total(items, position, matching.len() as u64))
}

fn new_customer(vendor: &dyn VendorServer, fields: &CustomerFields, now: Timestamp, random: [u8; 16]) -> Customer {
    let manifest = vendor.manifest();
    let created = Text::from(time::write(to_milliseconds(now)));
    let mut customer = Customer { created_at: Some(created.clone()), updated_at: Some(created), ..Customer::default() };
    let is_returned = |field| manifest.field(field).read.is_supported();
    customer.blocked = is_returned(Field::Blocked).then_some(false);
    customer.delinquent = is_returned(Field::Delinquent).then_some(false);
    vendor.fill_new_record(&mut customer, random);
    readable_fields(fields.clone(), manifest).apply_to(&mut customer);
    customer
}

/// The fields of a create that the vendor stores, which are those that it returns.
fn readable_fields(mut fields: CustomerFields, manifest: &Manifest) -> CustomerFields {
    for field in Field::WRITABLE {
        if !manifest.field(field).read.is_supported() {
            fields.forget(field);
        }
    }
    fields
}

fn to_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::{
        lists::tests::{create, server},
        *,
    };
    use crate::{
        Settings, VENDORS,
        model::{CustomerId, Effect, Request},
    };

    /// No customer leaves for another one. A deletion makes room.
    #[test]
    fn a_create_above_the_bound_is_refused() {
        let (server, mut records) = (server(), Records::default().with_most(2));
        let mut number = 0;
        let mut execute = |command: &Command| {
            number += 1;
            records.execute(&*server, command, Timestamp::UNIX_EPOCH, [number; 16])
        };
        let Ok(Reply::Written(Written::Created(first))) = execute(&create("1@example.com")) else {
            panic!("it is created")
        };
        execute(&create("2@example.com")).expect("it is created");
        let refused = execute(&create("3@example.com")).expect_err("it is one too many");
        assert_eq!((refused.kind, refused.effect), (Kind::Rejected, Effect::None));
        for vendor in VENDORS {
            let generation = vendor.manifests[0].generation;
            let server = (vendor.server)(Settings { generation, region: None, livemode: true });
            let answer = server.refuse(&Request::default(), &refused, Timestamp::UNIX_EPOCH);
            assert!([400, 422].contains(&answer.status().as_u16()), "{}: {}", vendor.name(), answer.status());
        }
        let id = CustomerId::parse(first.customer.id, &server.manifest().id).expect("an id");
        execute(&Command::Delete(id)).expect("it is deleted");
        execute(&create("3@example.com")).expect("there is room");
    }
}
