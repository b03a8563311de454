//! The in-memory records of a sandbox vendor (a twin), and the execution of commands on them. Lists show the newest
//! customers first, as the vendors do.
//!
//! `src/twin` owns the records. The code here is the same for every vendor; differences come from the vendor's manifest
//! and server side. The caller passes in the time and the random bytes.

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::{
    engine::offset_pages::offset_of,
    kit::{VendorServer, server::not_found},
    model::{
        Command, Created, Customer, CustomerFields, Error, Field, ListCustomers, ListOfCustomer, Lookup,
        OverdueInvoices, Page, Patch, Payment, PaymentMethod, Position, Reply, Written, manifest::Manifest,
    },
    text::{Text, email, time},
};

/// The records of a sandbox vendor.
#[derive(Debug, Default)]
pub struct Records {
    customers: Vec<Customer>,
    payment_methods: HashMap<Text, Vec<PaymentMethod>>,
    payments: HashMap<Text, Vec<Payment>>,
    invoices: HashMap<Text, OverdueInvoices>,
    /// The customers with completed or refunded transactions.
    with_transactions: HashSet<Text>,
    /// Whether lists and searches show only these.
    lists_only_with_transactions: bool,
    search_lag: SignedDuration,
    /// Recent changes, the oldest first. Lists and searches do not show them until `search_lag` has passed.
    hidden: VecDeque<Change>,
}

/// A change that lists and searches do not show yet.
#[derive(Debug)]
struct Change {
    at: Timestamp,
    id: Text,
    /// The customer before the change; `None` if the change created it.
    before: Option<Customer>,
}

impl Records {
    /// Adds a customer with a time of creation. Returns its id.
    pub fn add(
        &mut self,
        vendor: &dyn VendorServer,
        fields: &CustomerFields,
        created: Timestamp,
        random: [u8; 16],
    ) -> Text {
        let customer = new_customer(vendor, fields, created, random);
        let id = customer.id.clone();
        self.customers.push(customer);
        id
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
        self.with_transactions.insert(id);
    }

    /// From now on, lists and searches show only customers with completed or refunded transactions. A retrieval by id
    /// shows every customer.
    pub fn list_only_with_transactions(&mut self) {
        self.lists_only_with_transactions = true;
    }

    /// Sets the time after which lists and searches show a new or changed customer. A retrieval by id shows it at once.
    /// A deleted customer disappears at once everywhere.
    pub fn lag_searches(&mut self, lag: SignedDuration) {
        self.search_lag = lag;
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
                    return Ok(Reply::Written(Written::Created(Created {
                        customer: customer.clone(),
                        existing: true,
                    })));
                }
                let customer = new_customer(vendor, &create.fields, now, random);
                self.hide(&customer.id, None, now);
                self.customers.push(customer.clone());
                Reply::created(customer)
            }
            Command::Retrieve(id) => Reply::Customer(self.by_id(id.public())?.clone()),
            Command::RetrieveOrCreate(id) => {
                let existing = self.by_id(id.public()).ok().cloned();
                Reply::Customer(existing.unwrap_or_else(|| {
                    let fields = CustomerFields { did: Patch::Set(id.public().clone()), ..CustomerFields::default() };
                    let customer = new_customer(vendor, &fields, now, random);
                    self.hide(&customer.id, None, now);
                    self.customers.push(customer.clone());
                    customer
                }))
            }
            Command::Find(lookup) => Reply::Found(Some(self.find(lookup, now)?.clone())),
            Command::Update(update) => self.change(update.id.public(), now, |customer| {
                clear_replaced_names(&update.fields, customer);
                let phone = update.fields.phone_beside(customer.phone.as_ref(), None);
                CustomerFields { phone, ..update.fields.clone() }.apply_to(customer);
            })?,
            Command::Delete(id) => {
                let index = self.customers.iter().position(|customer| customer.id == *id.public());
                self.customers.remove(index.ok_or_else(not_found)?);
                Reply::DELETED
            }
            Command::List(list) => Reply::Customers(self.list(vendor.searched_fields(), list, now)?),
            Command::Block(id) => self.change(id.public(), now, |customer| customer.blocked = Some(true))?,
            Command::Unblock(id) => self.change(id.public(), now, |customer| customer.blocked = Some(false))?,
            Command::PaymentMethods(list) => {
                let id = self.by_id(list.id.public())?.id.clone();
                Reply::PaymentMethods(page(self.payment_methods.get(&id), list, |_| true)?)
            }
            Command::Payments(list) => {
                let id = self.by_id(list.id.public())?.id.clone();
                let matches = |payment: &Payment| list.status.is_none() || payment.status == list.status;
                Reply::Payments(page(self.payments.get(&id), list, matches)?)
            }
            Command::OverdueInvoices(id) => {
                let customer = self.by_id(id.public())?.clone();
                let invoices = self.invoices.get(&customer.id).cloned().unwrap_or_default();
                Reply::OverdueInvoices(OverdueInvoices { customer: Some(customer), ..invoices })
            }
        })
    }

    /// A customer by its id, or by its decentralised identifier where it has one.
    fn by_id(&self, id: &Text) -> Result<&Customer, Error> {
        self.customers
            .iter()
            .find(|customer| customer.id == *id || customer.did.as_ref() == Some(id))
            .ok_or_else(not_found)
    }

    fn by_email(&self, address: &str) -> Option<&Customer> {
        self.customers.iter().find(|customer| has_email(customer, address))
    }

    /// The customers that lists and searches show, each in its state before its oldest hidden change.
    fn visible(&self, now: Timestamp) -> impl DoubleEndedIterator<Item = &Customer> {
        let mut before: HashMap<&Text, Option<&Customer>> = HashMap::new();
        for change in self.hidden.iter().filter(|change| now.duration_since(change.at) < self.search_lag) {
            before.entry(&change.id).or_insert(change.before.as_ref());
        }
        let shown = self
            .customers
            .iter()
            .filter_map(move |customer| before.get(&customer.id).copied().unwrap_or(Some(customer)));
        shown.filter(|customer| !self.lists_only_with_transactions || self.with_transactions.contains(&customer.id))
    }

    /// Records that lists and searches show a customer's previous state until the lag has passed.
    fn hide(&mut self, id: &Text, before: Option<Customer>, now: Timestamp) {
        let lag = self.search_lag;
        if lag.is_zero() {
            return;
        }
        while self.hidden.pop_front_if(|change| now.duration_since(change.at) >= lag).is_some() {}
        self.hidden.push_back(Change { at: now, id: id.clone(), before });
    }

    fn find(&self, lookup: &Lookup, now: Timestamp) -> Result<&Customer, Error> {
        let mut visible = self.visible(now);
        let found = match lookup {
            Lookup::Email(address) => visible.find(|customer| has_email(customer, address)),
            Lookup::Phone(number) => visible.find(|customer| customer.phone.as_ref() == Some(number)),
            Lookup::Did(did) => visible.find(|customer| customer.did.as_ref() == Some(did)),
            // At no vendor can a client write a reference, so a reference matches only an id.
            Lookup::Reference(reference) => self.customers.iter().find(|customer| customer.id == *reference),
        };
        found.ok_or_else(not_found)
    }

    fn change(&mut self, id: &Text, now: Timestamp, change: impl FnOnce(&mut Customer)) -> Result<Reply, Error> {
        let before = self.by_id(id)?.clone();
        let id = before.id.clone();
        self.hide(&id, Some(before), now);
        let customer = self.customers.iter_mut().find(|customer| customer.id == id).ok_or_else(not_found)?;
        change(customer);
        customer.updated_at = Some(Text::from(time::write(to_milliseconds(now))));
        Ok(Reply::changed(customer.clone()))
    }

    fn list(&self, searched: &[Field], list: &ListCustomers, now: Timestamp) -> Result<Page<Customer>, Error> {
        let matches = |customer: &&Customer| list.filter.matches_searching(customer, searched);
        let matching: Vec<&Customer> = self.visible(now).rev().filter(matches).collect();
        let Position::AfterCustomer(last) = &list.position else {
            return slice(&matching, &list.position, list.limit);
        };
        let index = matching.iter().position(|customer| customer.id == *last.public()).ok_or_else(not_found)?;
        slice(&matching, &Position::Offset(index as u64 + 1), list.limit)
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
    use super::*;
    use crate::{
        Settings,
        model::{CreateCustomer, CustomerFilter, CustomerId, UpdateCustomer},
        vendor,
    };

    fn with_email(email: &'static str) -> CustomerFields {
        CustomerFields { email: Patch::Set(Text::from_static(email)), ..CustomerFields::default() }
    }

    fn create(email: &'static str) -> Command {
        Command::Create(CreateCustomer { fields: with_email(email), ..CreateCustomer::default() })
    }

    /// Lists and searches show a new customer after the lag, and a changed one in its previous state until then.
    #[test]
    fn lists_and_searches_lag_but_retrieval_by_id_does_not() {
        let vendor = vendor("lomi").expect("a provider");
        let generation = vendor.manifests[0].generation;
        let server = (vendor.server)(Settings { generation, region: None, livemode: true });
        let mut records = Records::default();
        records.lag_searches(SignedDuration::from_secs(2));
        let at = |milliseconds: i64| Timestamp::from_millisecond(1_000_000 + milliseconds).expect("a time");
        let mut execute_at = |milliseconds, command: &Command| {
            records.execute(&*server, command, at(milliseconds), [9; 16]).map_err(|error| error.kind)
        };
        let first_email = |reply: &Reply| match reply {
            Reply::Customers(page) => page.items[0].email.as_ref().map(ToString::to_string).unwrap_or_default(),
            _ => String::new(),
        };
        let list = Command::List(ListCustomers {
            limit: 10,
            position: Position::START,
            filter: CustomerFilter { search: Some("awa".into()), ..CustomerFilter::default() },
        });
        let count = |reply: &Reply| if let Reply::Customers(page) = reply { page.items.len() } else { 99 };
        let Ok(Reply::Written(Written::Created(created))) = execute_at(0, &create("awa@example.com")) else {
            panic!("it is created")
        };
        let id = CustomerId::parse(created.customer.id.clone(), &vendor.manifests[0].id).expect("an id");
        let find = Command::Find(Lookup::Email("awa@example.com".into()));

        assert!(execute_at(1, &Command::Retrieve(id.clone())).is_ok(), "a retrieval by id finds it at once");
        assert_eq!(count(&execute_at(1_999, &list).expect("a page")), 0);
        assert!(execute_at(1_999, &find).is_err());

        let fields = with_email("awa@example.org");
        execute_at(1_000, &Command::Update(UpdateCustomer { id: id.clone(), fields })).expect("it is changed");
        assert_eq!(first_email(&execute_at(2_000, &list).expect("a page")), "awa@example.com", "as it was created");
        assert!(execute_at(2_000, &find).is_ok());
        assert_eq!(first_email(&execute_at(3_000, &list).expect("a page")), "awa@example.org", "as it was changed");
        execute_at(3_001, &Command::Delete(id)).expect("it is deleted");
        assert_eq!(count(&execute_at(3_001, &list).expect("a page")), 0, "a deleted customer disappears at once");
    }
}
