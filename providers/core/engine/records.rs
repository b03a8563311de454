//! The records of a sandbox vendor, and how commands are executed on them: newest customers first, as the vendors list
//! them. Nothing here knows one vendor from another; what they do differently is in their manifests and server sides.
//! The time and the randomness come in as arguments.

use std::collections::{HashMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::{
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
    search_lag: SignedDuration,
    unseen: VecDeque<Change>,
}

/// A change that lists and searches do not see at once.
#[derive(Debug)]
struct Change {
    at: Timestamp,
    id: Text,
    before: Option<Customer>,
}

impl Records {
    /// Adds a customer who was created at a time. Answers its id.
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

    /// Gives a customer payment methods.
    pub fn set_payment_methods(&mut self, id: Text, methods: Vec<PaymentMethod>) {
        self.payment_methods.insert(id, methods);
    }

    /// Gives a customer payments.
    pub fn set_payments(&mut self, id: Text, payments: Vec<Payment>) {
        self.payments.insert(id, payments);
    }

    /// Gives a customer overdue invoices.
    pub fn set_overdue_invoices(&mut self, id: Text, invoices: OverdueInvoices) {
        self.invoices.insert(id, invoices);
    }

    /// Lets lists and searches see what is new or changed only after this long. Ids find it at once, and what
    /// is deleted is gone at once.
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
                self.remember(&customer.id, None, now);
                self.customers.push(customer.clone());
                Reply::created(customer)
            }
            Command::Retrieve(id) => Reply::Customer(self.known(id.public())?.clone()),
            Command::RetrieveOrCreate(id) => {
                let known = self.known(id.public()).ok().cloned();
                Reply::Customer(known.unwrap_or_else(|| {
                    let fields = CustomerFields { did: Patch::Set(id.public().clone()), ..CustomerFields::default() };
                    let customer = new_customer(vendor, &fields, now, random);
                    self.remember(&customer.id, None, now);
                    self.customers.push(customer.clone());
                    customer
                }))
            }
            Command::Find(lookup) => Reply::Found(Some(self.find(lookup, now)?.clone())),
            Command::Update(update) => self.change(update.id.public(), now, |customer| {
                forget_other_names(&update.fields, customer);
                update.fields.apply_to(customer);
            })?,
            Command::Delete(id) => {
                let place = self.customers.iter().position(|customer| customer.id == *id.public());
                self.customers.remove(place.ok_or_else(not_found)?);
                Reply::DELETED
            }
            Command::List(list) => Reply::Customers(self.list(list, now)?),
            Command::Block(id) => self.change(id.public(), now, |customer| customer.blocked = Some(true))?,
            Command::Unblock(id) => self.change(id.public(), now, |customer| customer.blocked = Some(false))?,
            Command::PaymentMethods(asked) => {
                let id = self.known(asked.id.public())?.id.clone();
                Reply::PaymentMethods(page(self.payment_methods.get(&id), asked, |_| true))
            }
            Command::Payments(asked) => {
                let id = self.known(asked.id.public())?.id.clone();
                let wanted = |payment: &Payment| asked.status.is_none() || payment.status == asked.status;
                Reply::Payments(page(self.payments.get(&id), asked, wanted))
            }
            Command::OverdueInvoices(id) => {
                let customer = self.known(id.public())?.clone();
                let invoices = self.invoices.get(&customer.id).cloned().unwrap_or_default();
                Reply::OverdueInvoices(Some(customer), invoices)
            }
        })
    }

    /// A customer by its id, or by its decentralised identifier where it has one.
    fn known(&self, id: &Text) -> Result<&Customer, Error> {
        self.customers
            .iter()
            .find(|customer| customer.id == *id || customer.did.as_ref() == Some(id))
            .ok_or_else(not_found)
    }

    fn by_email(&self, address: &str) -> Option<&Customer> {
        self.customers.iter().find(|customer| has_email(customer, address))
    }

    /// The customers as lists and searches see them: as they were before the oldest change that is not seen yet.
    fn shown(&self, now: Timestamp) -> impl DoubleEndedIterator<Item = &Customer> {
        let mut before: HashMap<&Text, Option<&Customer>> = HashMap::new();
        for change in self.unseen.iter().filter(|change| now.duration_since(change.at) < self.search_lag) {
            before.entry(&change.id).or_insert(change.before.as_ref());
        }
        self.customers.iter().filter_map(move |customer| before.get(&customer.id).copied().unwrap_or(Some(customer)))
    }

    /// Keeps what lists and searches go on seeing for a while.
    fn remember(&mut self, id: &Text, before: Option<Customer>, now: Timestamp) {
        let lag = self.search_lag;
        if lag.is_zero() {
            return;
        }
        while self.unseen.pop_front_if(|change| now.duration_since(change.at) >= lag).is_some() {}
        self.unseen.push_back(Change { at: now, id: id.clone(), before });
    }

    fn find(&self, lookup: &Lookup, now: Timestamp) -> Result<&Customer, Error> {
        let mut shown = self.shown(now);
        let found = match lookup {
            Lookup::Email(address) => shown.find(|customer| has_email(customer, address)),
            Lookup::Phone(number) => shown.find(|customer| customer.phone.as_ref() == Some(number)),
            Lookup::Did(did) => shown.find(|customer| customer.did.as_ref() == Some(did)),
            // No vendor's customers hold a reference that a client can write, so only ids match.
            Lookup::Reference(reference) => self.customers.iter().find(|customer| customer.id == *reference),
        };
        found.ok_or_else(not_found)
    }

    fn change(&mut self, id: &Text, now: Timestamp, change: impl FnOnce(&mut Customer)) -> Result<Reply, Error> {
        let before = self.known(id)?.clone();
        let known = before.id.clone();
        self.remember(&known, Some(before), now);
        let customer = self.customers.iter_mut().find(|customer| customer.id == known).ok_or_else(not_found)?;
        change(customer);
        customer.updated_at = Some(Text::from(time::write(to_milliseconds(now))));
        Ok(Reply::changed(customer.clone()))
    }

    fn list(&self, list: &ListCustomers, now: Timestamp) -> Result<Page<Customer>, Error> {
        let matching: Vec<&Customer> = self.shown(now).rev().filter(|customer| list.filter.matches(customer)).collect();
        let Position::AfterCustomer(last) = &list.position else {
            return Ok(cut(&matching, &list.position, list.limit));
        };
        let place = matching.iter().position(|customer| customer.id == *last.public()).ok_or_else(not_found)?;
        Ok(cut(&matching, &Position::Offset(place as u64 + 1), list.limit))
    }
}

fn has_email(customer: &Customer, address: &str) -> bool {
    customer.email.as_ref().is_some_and(|held| email::same(held, address))
}

/// A new name in one form replaces the old one in the other.
fn forget_other_names(fields: &CustomerFields, customer: &mut Customer) {
    if !fields.name.is_absent() {
        customer.first_name = None;
        customer.last_name = None;
    } else if !fields.first_name.is_absent() || !fields.last_name.is_absent() {
        let (first, last) = customer.split_name();
        (customer.first_name, customer.last_name) = (first.map(Text::from), last.map(Text::from));
        customer.name = None;
    }
}

fn page<T: Clone>(held: Option<&Vec<T>>, asked: &ListOfCustomer, wanted: impl Fn(&T) -> bool) -> Page<T> {
    let matching: Vec<&T> = held.into_iter().flatten().filter(|entry| wanted(entry)).collect();
    cut(&matching, &asked.position, asked.limit)
}

fn cut<T: Clone>(matching: &[&T], position: &Position, limit: u16) -> Page<T> {
    let start = usize::try_from(position.offset()).unwrap_or(usize::MAX);
    let items = matching.iter().skip(start).take(limit.into()).map(|entry| (*entry).clone()).collect();
    Page::of_total(items, position, matching.len() as u64)
}

fn new_customer(vendor: &dyn VendorServer, fields: &CustomerFields, now: Timestamp, random: [u8; 16]) -> Customer {
    let manifest = vendor.manifest();
    let created = Text::from(time::write(to_milliseconds(now)));
    let mut customer = Customer { created_at: Some(created.clone()), updated_at: Some(created), ..Customer::default() };
    let told = |field| manifest.field(field).read.is_supported();
    customer.blocked = told(Field::Blocked).then_some(false);
    customer.delinquent = told(Field::Delinquent).then_some(false);
    vendor.fill_new_record(&mut customer, random);
    only_what_is_held(fields.clone(), manifest).apply_to(&mut customer);
    customer
}

fn only_what_is_held(mut fields: CustomerFields, manifest: &Manifest) -> CustomerFields {
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
        Command::Create(CreateCustomer { fields: with_email(email), distinct: false })
    }

    /// New records show in lists and searches after the lag, and changed ones show as they were until then.
    #[test]
    fn searches_lag_and_ids_do_not() {
        let vendor = vendor("lomi").expect("a provider");
        let generation = vendor.manifests[0].generation;
        let imitated = (vendor.server)(Settings { generation, region: None, livemode: true });
        let mut records = Records::default();
        records.lag_searches(SignedDuration::from_secs(2));
        let at = |milliseconds: i64| Timestamp::from_millisecond(1_000_000 + milliseconds).expect("a time");
        let mut do_at = |milliseconds, command: &Command| {
            records.execute(&*imitated, command, at(milliseconds), [9; 16]).map_err(|error| error.kind)
        };
        let found = |reply: &Reply| match reply {
            Reply::Customers(page) => page.items[0].email.as_ref().map(ToString::to_string).unwrap_or_default(),
            _ => String::new(),
        };
        let list = Command::List(ListCustomers {
            limit: 10,
            position: Position::START,
            filter: CustomerFilter { search: Some("awa".into()), ..CustomerFilter::default() },
        });
        let counted = |reply: &Reply| if let Reply::Customers(page) = reply { page.items.len() } else { 99 };
        let Ok(Reply::Written(Written::Created(created))) = do_at(0, &create("awa@example.com")) else {
            panic!("it is created")
        };
        let id = CustomerId::parse(created.customer.id.clone(), &vendor.manifests[0].id).expect("an id");
        let find = Command::Find(Lookup::Email("awa@example.com".into()));

        assert!(do_at(1, &Command::Retrieve(id.clone())).is_ok(), "an id finds it at once");
        assert_eq!(counted(&do_at(1_999, &list).expect("a page")), 0);
        assert!(do_at(1_999, &find).is_err());

        let fields = with_email("awa@example.org");
        do_at(1_000, &Command::Update(UpdateCustomer { id: id.clone(), fields })).expect("it is changed");
        assert_eq!(found(&do_at(2_000, &list).expect("a page")), "awa@example.com", "as it was created");
        assert!(do_at(2_000, &find).is_ok());
        assert_eq!(found(&do_at(3_000, &list).expect("a page")), "awa@example.org", "as it was changed");
        do_at(3_001, &Command::Delete(id)).expect("it is deleted");
        assert_eq!(counted(&do_at(3_001, &list).expect("a page")), 0, "what is deleted is gone at once");
    }
}
