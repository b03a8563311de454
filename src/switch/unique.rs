//! E-mail addresses that a provider keeps unique (R18): customers who exchange theirs, so that none can be copied first.

use std::collections::HashMap;

use passerelle_providers::{
    model::{Command, Customer, Field},
    switch::{Finding, FindingCode, unique_conflict},
};

use super::{
    context::{Copied, Stalled},
    copy::{Linked, One, Stop},
    matching::{is_unique_at, keys},
    passes::is_copied_again,
    planner::Planner,
    provider::{Contacts, customer},
    side::Read,
    view::Outcome,
};
use crate::store::{Target, TargetKeys};

/// The most customers of a circle that are followed.
const HOPS: usize = 8;

/// Who has the value that a customer needs, one after the other.
#[derive(Debug, Default)]
struct Chain(HashMap<String, String>);

impl Chain {
    /// `holder` has what `needs` needs. `false`: the way has come back to a customer who was there before.
    fn add(&mut self, needs: &str, holder: &str) -> bool {
        self.0.insert(needs.to_owned(), holder.to_owned());
        !self.0.contains_key(holder)
    }

    /// The finding about the first customer, at the connection where the values are. `None`: no customer has its value.
    fn finding(&self, first: &str, at: &str) -> Option<Finding> {
        let holder = |needs: &str| self.0.get(needs).map(String::as_str);
        holder(first)?;
        Some(unique_conflict(Field::Email, first, at, holder))
    }
}

impl One<'_> {
    /// Why an update cannot give a record this e-mail address: the provider keeps it unique, and another customer has it.
    pub(super) async fn taken(
        &self,
        command: &Command,
        source: &Customer,
        linked: &Linked,
    ) -> Result<Option<Copied>, Stop> {
        let sets_email = matches!(command, Command::Update(update) if update.fields.email.set().is_some());
        if !sets_email || !is_unique_at(self.other) {
            return Ok(None);
        }
        let (mut chain, mut will_be_free) = (Chain::default(), false);
        let mut current = (self.customer.public_id.clone(), linked.id.clone(), source.email.clone());
        for _ in 0..HOPS {
            let (public_id, own, email) = current;
            let wanted = Customer { email, ..Customer::default() };
            let Ok(found) = self.reader(self.other).matching(&wanted).await? else { break };
            let Some(holder) = found.into_iter().find(|record| **record.id_at_provider() != *own) else { break };
            let at = (self.other.name.clone(), holder.id_at_provider().to_string());
            let ids = self.context.store.ids();
            let known = ids.known(&self.pair.merchant, &at.0, &[&at.1]).await?.pop().flatten();
            let Some(known) = known else {
                if public_id == self.customer.public_id {
                    return self.taken_by_stranger(linked, &at.1).await.map(Some);
                }
                break;
            };
            if !chain.add(&public_id, &known.public_id) {
                break;
            }
            let Some(at_home) = known.id_at(&self.home.name) else { break };
            let Read::Found(record) = self.reader(self.home).record(at_home).await? else { break };
            if public_id == self.customer.public_id {
                will_be_free = self.is_copied(&known.public_id).await?
                    && Contacts::of(&wanted).email != Contacts::of(&record).email;
            }
            current = (known.public_id, at.1, record.email);
        }
        Ok(chain.finding(&self.customer.public_id, &self.other.name).map(|finding| {
            // The holder has another address at its home. Its copy comes first, and then this one.
            let waits = will_be_free && finding.code == FindingCode::UniqueValueTaken;
            let mut ended = if waits { self.ended(Outcome::Pending) } else { self.found(finding) };
            ended.set_other_id(self, &linked.id);
            ended
        }))
    }

    /// A record that belongs to no customer of the merchant has the address.
    async fn taken_by_stranger(&self, linked: &Linked, holder: &str) -> Result<Copied, Stop> {
        let at = &self.other.name;
        let (code, detail) = match self.is_own(holder).await? {
            true => (FindingCode::UniqueValueTaken, format!("a record of `{at}` that is no customer's has this value")),
            false => (
                FindingCode::VendorRecordShared,
                format!("a record of `{at}` that the account's own list does not show has this value"),
            ),
        };
        let mut ended = self.found(Finding::new(code, Some(Field::Email), detail));
        ended.set_other_id(self, &linked.id);
        Ok(ended)
    }

    /// Whether a customer is copied, and does not wait for a person.
    async fn is_copied(&self, public_id: &str) -> Result<bool, Stop> {
        let record = self.context.store.switches().record(&self.pair.switch_id, public_id).await?;
        Ok(record.is_none_or(|record| is_copied_again(&record)))
    }
}

impl Planner<'_> {
    /// Whether a customer who has a record at the target needs an address that goes round in a circle.
    pub(super) async fn circle(&self, public_id: &str, email_hash: Option<String>) -> Result<Option<Finding>, Stalled> {
        if !is_unique_at(&self.to.1) {
            return Ok(None);
        }
        let (switch, ids) = (&self.loaded.switch, self.context.store.ids());
        let (mut chain, mut current) = (Chain::default(), (public_id.to_owned(), email_hash));
        for _ in 0..HOPS {
            let (needs, wanted) = current;
            let Some(wanted) = wanted else { break };
            let log = self.context.store.switches();
            let by_email = TargetKeys { email_hash: Some(wanted.clone()), ..TargetKeys::default() };
            let found = log.candidates(&switch.id, &needs, by_email).await?;
            let has_it = |target: &Target| {
                target.keys.email_hash.as_ref() == Some(&wanted) && target.linked.as_ref() != Some(&needs)
            };
            let Some(holder) = found.into_iter().find(has_it).and_then(|target| target.linked) else { break };
            if !chain.add(&needs, &holder) {
                break;
            }
            let resolved = ids.resolve(&switch.merchant, Some(&holder)).await?;
            let known = resolved.and_then(|resolved| {
                resolved.customers.into_iter().find_map(|known| known.id_at(&switch.from).map(str::to_owned))
            });
            let Some(holder_there) = customer(self.context, &self.from.1, known.as_deref().unwrap_or(&holder)).await?
            else {
                break;
            };
            current = (holder, keys(&self.context.store, &self.from.0, &holder_there).email_hash);
        }
        Ok(chain.finding(public_id, &switch.to).filter(|finding| finding.code == FindingCode::UniqueCycle))
    }
}
