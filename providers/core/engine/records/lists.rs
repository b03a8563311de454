//! Lists and searches: which customers they show, and in which state. Where the index names the customers, they do not read
//! the others.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::{
    Records,
    shelf::{Key, Number},
    stored::Stored,
};
use crate::{
    engine::offset_pages::offset_of,
    kit::server::not_found,
    model::{Customer, CustomerFilter, Error, Field, ListCustomers, Lookup, Page, Position},
};

/// The customers that changed recently, each in its state before its oldest hidden change; `None` if it was created.
type Before<'r> = HashMap<Number, Option<&'r Stored>>;

impl Records {
    fn before(&self, now: Timestamp) -> Before<'_> {
        let mut before = Before::new();
        for change in self.hidden.iter().filter(|change| now.duration_since(change.at) < self.search_lag) {
            before.entry(change.number).or_insert(change.before.as_deref());
        }
        before
    }

    /// A customer as lists and searches show it. `None`: they do not show it.
    fn shown<'r>(&self, number: Number, stored: &'r Stored, before: &Before<'r>) -> Option<&'r Stored> {
        let is_listed = (!self.lists_only_with_transactions || self.with_transactions.contains(&number))
            && !self.others.contains(&number);
        before.get(&number).copied().unwrap_or(Some(stored)).filter(|_| is_listed)
    }

    /// The customers that may have a key in the state that lists and searches show, the oldest first.
    fn shown_candidates<'r>(&'r self, key: Key<'_>, before: &Before<'r>) -> Vec<(Number, &'r Stored)> {
        let changed = before.keys().copied();
        let numbers: BTreeSet<Number> = self.customers.candidates(key).chain(changed).collect();
        self.shown_of(numbers, before)
    }

    fn shown_of<'r>(
        &'r self,
        numbers: impl IntoIterator<Item = Number>,
        before: &Before<'r>,
    ) -> Vec<(Number, &'r Stored)> {
        let stored = numbers.into_iter().filter_map(|number| Some((number, self.customers.get(number)?)));
        stored.filter_map(|(number, stored)| Some((number, self.shown(number, stored, before)?))).collect()
    }

    pub(super) fn find(&self, lookup: &Lookup, now: Timestamp) -> Result<Customer, Error> {
        let key = match lookup {
            Lookup::Email(address) => Key::Email(address),
            Lookup::Phone(number) => Key::Phone(number),
            Lookup::Did(did) => Key::Did(did),
            // At no vendor can a client write a reference, so a reference matches only an id.
            Lookup::Reference(reference) => {
                let found = self.oldest(Key::Id(reference), |customer| customer.id == *reference);
                return found.map(|(_, customer)| customer).ok_or_else(not_found);
            }
        };
        let wanted = CustomerFilter::from(lookup);
        let shown = self.shown_candidates(key, &self.before(now)).into_iter();
        shown.map(|(_, stored)| stored.customer()).find(|customer| wanted.matches(customer)).ok_or_else(not_found)
    }

    /// A page. The whole list is not read where lists show every customer as it is: then it is one slice of them.
    pub(super) fn list(
        &self,
        searched: &[Field],
        list: &ListCustomers,
        now: Timestamp,
    ) -> Result<Page<Customer>, Error> {
        let (filter, before) = (&list.filter, self.before(now));
        if filter.is_empty() && before.is_empty() && !self.lists_only_with_transactions && self.others.is_empty() {
            let all = self.customers.entries();
            let place = |last| self.customers.place(last).map(|place| all.len() - place - 1);
            let newest = all.iter().rev().map(|(_, stored)| &**stored);
            return self.page_of(list, newest, all.len(), place);
        }
        let key = match filter {
            CustomerFilter { email: Some(email), .. } => Some(Key::Email(email)),
            CustomerFilter { phone: Some(phone), .. } => Some(Key::Phone(phone)),
            CustomerFilter { did: Some(did), .. } => Some(Key::Did(did)),
            CustomerFilter { email: None, phone: None, did: None, .. } => None,
        };
        let shown = match key {
            Some(key) => self.shown_candidates(key, &before),
            None if self.lists_only_with_transactions => self.shown_of(self.with_transactions.iter().copied(), &before),
            None => {
                let all = self.customers.entries().iter();
                all.filter_map(|(number, stored)| Some((*number, self.shown(*number, stored, &before)?))).collect()
            }
        };
        let has_texts = filter.len() > usize::from(filter.blocked.is_some());
        let part = filter.search.as_ref().map(|part| part.to_lowercase());
        let matches = |stored: &Stored| {
            filter.blocked.is_none_or(|blocked| stored.blocked() == Some(blocked))
                && part.as_deref().is_none_or(|part| stored.may_contain(part))
                && (!has_texts || filter.matches_searching(&stored.customer(), searched))
        };
        let matching: Vec<_> = shown.into_iter().rev().filter(|(_, stored)| matches(stored)).collect();
        let place = |last| matching.iter().position(|(number, _)| *number == last);
        self.page_of(list, matching.iter().map(|(_, stored)| *stored), matching.len(), place)
    }

    /// The page of a list of `total` customers. `place` is the place of a customer in it.
    fn page_of<'r>(
        &self,
        list: &ListCustomers,
        customers: impl Iterator<Item = &'r Stored>,
        total: usize,
        place: impl FnOnce(Number) -> Option<usize>,
    ) -> Result<Page<Customer>, Error> {
        let position = match &list.position {
            Position::AfterCustomer(last) => {
                let place = self.number_of_id(last.public()).and_then(place).ok_or_else(not_found)?;
                &Position::Offset(place as u64 + 1)
            }
            position => position,
        };
        let start = usize::try_from(offset_of(position)?).unwrap_or(usize::MAX);
        let items = customers.skip(start).take(list.limit.into()).map(Stored::customer).collect();
        Ok(Page::of_total(items, position, total as u64))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use jiff::SignedDuration;

    use super::*;
    use crate::{
        Settings,
        kit::VendorServer,
        model::{Command, CreateCustomer, CustomerFields, CustomerId, Patch, Reply, UpdateCustomer, Written},
        text::Text,
        vendor,
    };

    pub(in super::super) fn server() -> Arc<dyn VendorServer> {
        let vendor = vendor("lomi").expect("a provider");
        (vendor.server)(Settings { generation: vendor.manifests[0].generation, region: None, livemode: true })
    }

    fn with_email(email: &'static str) -> CustomerFields {
        CustomerFields { email: Patch::Set(Text::from_static(email)), ..CustomerFields::default() }
    }

    pub(in super::super) fn create(email: &'static str) -> Command {
        Command::Create(CreateCustomer { fields: with_email(email), distinct: false, existing: None })
    }

    /// Lists and searches show a new customer after the lag, and a changed one in its previous state until then.
    #[test]
    fn lists_and_searches_lag_but_retrieval_by_id_does_not() {
        let (server, mut records) = (server(), Records::default());
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
        let id = CustomerId::parse(created.customer.id.clone(), &server.manifest().id).expect("an id");
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

    /// The index follows every change.
    #[test]
    fn a_customer_is_found_by_its_present_values_only() {
        let (server, mut records) = (server(), Records::default());
        let mut execute = |command: &Command| records.execute(&*server, command, Timestamp::UNIX_EPOCH, [9; 16]);
        let Ok(Reply::Written(Written::Created(created))) = execute(&create("awa@example.com")) else {
            panic!("it is created")
        };
        let id = CustomerId::parse(created.customer.id, &server.manifest().id).expect("an id");
        let find = |email: &'static str| Command::Find(Lookup::Email(email.into()));
        assert!(execute(&find("AWA@example.com")).is_ok());
        execute(&Command::Update(UpdateCustomer { id: id.clone(), fields: with_email("fatou@example.com") }))
            .expect("it is changed");
        assert!(execute(&find("awa@example.com")).is_err());
        assert!(execute(&find("fatou@example.com")).is_ok());
        execute(&Command::Delete(id)).expect("it is deleted");
        assert!(execute(&find("fatou@example.com")).is_err());
    }

    #[test]
    fn a_list_shows_only_customers_to_whom_every_filter_applies() {
        let (server, mut records) = (server(), Records::default());
        let mut execute = |command: &Command| records.execute(&*server, command, Timestamp::UNIX_EPOCH, [9; 16]);
        let fields =
            CustomerFields { phone: Patch::Set(Text::from_static("+221771234567")), ..with_email("awa@example.com") };
        execute(&Command::Create(CreateCustomer { fields, distinct: false, existing: None })).expect("it is created");
        let mut count = |email: &'static str, phone: &'static str| {
            let filter =
                CustomerFilter { email: Some(email.into()), phone: Some(phone.into()), ..CustomerFilter::default() };
            match execute(&Command::List(ListCustomers { limit: 10, position: Position::START, filter })) {
                Ok(Reply::Customers(page)) => page.items.len(),
                other => panic!("not a list: {other:?}"),
            }
        };
        assert_eq!(count("awa@example.com", "+221771234567"), 1);
        assert_eq!(count("awa@example.com", "+221779999999"), 0);
        assert_eq!(count("fatou@example.com", "+221771234567"), 0);
    }
}
