//! Who a customer may be at the other side (R18): the index of the target, and the look-ups of the provider.
//!
//! The index is what the list of the target has shown: ids, keyed hashes of contacts, markers. The plan writes it, and each
//! pass writes it again. It answers first. A look-up by value is sent only where the provider itself searches: to read its
//! list for each customer would take as many requests as the list has pages, and would end at a bound.

use passerelle_providers::{
    engine::{Conditions, lists::lookup_support},
    model::{
        Command, Customer, Kind, Lookup, LossPolicy, Operation, Reply,
        manifest::{Dedupe, FilterSupport},
    },
    switch::{Candidate, Decision, Finding, FindingCode, reference_of},
};

use super::{
    context::{Context, Stalled},
    copy::{One, Stop},
    progress::{Progress, encoded},
    provider::Contacts,
    side::{Read, Reader},
};
use crate::{
    execution,
    merchant::{Connection, Merchant},
    store::{ContactKind, Store, StoreError, Switch, Target, TargetKeys},
};

/// The id of a record that the plan will make at a target that keeps e-mail addresses unique.
pub(super) const PLANNED: &str = "planned/";

/// Whether a connection keeps e-mail addresses unique, also beyond the merchant's account.
pub(super) fn is_unique_at(connection: &Connection) -> bool {
    connection.manifest.dedupe(Operation::Create) == Some(Dedupe::Unique)
}

/// By what a customer is found in the index, without a marker.
pub(super) fn keys(store: &Store, merchant: &Merchant, customer: &Customer) -> TargetKeys {
    let (log, contacts) = (store.switches(), Contacts::of(customer));
    let hash = |kind, value: &Option<String>| value.as_ref().map(|value| log.contact_hash(&merchant.name, kind, value));
    let reference = merchant.reference.as_ref().and_then(|reference| reference_of(customer, reference));
    TargetKeys {
        email_hash: hash(ContactKind::Email, &contacts.email),
        phone_hash: hash(ContactKind::Phone, &contacts.phone),
        reference_hash: reference.map(|value| log.reference_hash(&merchant.name, &value)),
        marker: None,
    }
}

/// Writes a page of the target's list into the index. `false`: the lease is another's.
pub(super) async fn index(
    context: &Context,
    merchant: &Merchant,
    switch: &Switch,
    progress: &Progress,
    page: &[Customer],
) -> Result<bool, StoreError> {
    let ids = context.store.ids();
    let at: Vec<_> = page.iter().map(|customer| (switch.to.clone(), customer.id_at_provider().to_string())).collect();
    let linked = ids.public_ids(&switch.merchant, &at).await?;
    let targets = page.iter().zip(linked).map(|(customer, linked)| {
        let marker = customer.marker.as_ref().map(ToString::to_string);
        let keys = TargetKeys { marker, ..keys(&context.store, merchant, customer) };
        Target { provider_id: customer.id_at_provider().to_string(), keys, linked }
    });
    context.store.switches().store_targets(&switch.id, encoded(progress)?, targets.collect()).await
}

/// A record at the other side that may be a customer.
pub(super) struct Found {
    pub(super) record: Customer,
    /// The customer that it belongs to.
    linked_to: Option<String>,
    is_listed: bool,
}

impl Found {
    pub(super) fn candidate(&self, marker: &str) -> Candidate<'_> {
        Candidate {
            has_marker: self.record.marker.as_deref() == Some(marker),
            linked_to: self.linked_to.as_deref(),
            is_listed: self.is_listed,
            ..Candidate::new(&self.record)
        }
    }
}

impl One<'_> {
    /// The records at the other side that may be this customer.
    pub(super) async fn candidates(&self, source: &Customer) -> Result<Vec<Found>, Stop> {
        let reader = self.reader(self.other);
        let mut ids = self.indexed(source).await?;
        ids.extend(self.order.candidates.iter().flatten().cloned());
        if let Some(Decision::Link(id)) = &self.order.decision {
            ids.push(id.to_string());
        }
        // The plan has read the whole list of the target, and the passes have, since.
        let mut found = match self.order.candidates {
            None => reader.matching(source).await?.map_err(|finding| self.stop_with(finding))?,
            Some(_) => Vec::new(),
        };
        for id in ids {
            let is_new = found.iter().all(|candidate| **candidate.id_at_provider() != *id);
            if is_new && let Read::Found(candidate) = reader.record(&id).await? {
                found.push(*candidate);
            }
        }
        let at: Vec<String> = found.iter().map(|record| record.id_at_provider().to_string()).collect();
        let rows: Vec<_> = at.iter().map(|id| (self.other.name.clone(), id.clone())).collect();
        let linked = self.context.store.ids().public_ids(&self.pair.merchant, &rows).await?;
        let listed = self.are_listed(at).await?;
        let found = found.into_iter().zip(linked).zip(listed).map(|((record, linked_to), is_listed)| {
            let is_listed = is_listed || linked_to.is_some();
            Found { record, linked_to, is_listed }
        });
        Ok(found.collect())
    }

    /// The records that the index has for this customer. After a cutover the other side is the source: each of its records has
    /// a row there, and belongs to another customer.
    async fn indexed(&self, source: &Customer) -> Result<Vec<String>, Stop> {
        if self.other.name != self.pair.to {
            return Ok(Vec::new());
        }
        let (log, public_id) = (self.context.store.switches(), &self.customer.public_id);
        let keys = keys(&self.context.store, self.merchant, source);
        let keys = TargetKeys { marker: Some(self.marker()), ..keys };
        let found = log.candidates(&self.pair.switch_id, public_id, keys).await?;
        Ok(found.into_iter().map(|target| target.provider_id).filter(|id| !id.starts_with(PLANNED)).collect())
    }

    /// Whether the account's own list has shown these records. That matters only where a value is unique beyond the account:
    /// there, a record that the list does not show may be another business's.
    async fn are_listed(&self, provider_ids: Vec<String>) -> Result<Vec<bool>, Stop> {
        if !is_unique_at(self.other) {
            return Ok(vec![true; provider_ids.len()]);
        }
        if self.other.name != self.pair.to {
            return Ok(vec![false; provider_ids.len()]);
        }
        Ok(self.context.store.switches().are_listed(&self.pair.switch_id, provider_ids).await?)
    }

    /// Whether the account's own list has shown a record, or it need not.
    pub(super) async fn is_own(&self, provider_id: &str) -> Result<bool, Stop> {
        Ok(self.are_listed(vec![provider_id.to_owned()]).await?.contains(&true))
    }

    /// The provider has answered a copy with a record that is not known to be the account's: nothing of it is kept.
    pub(super) async fn shared(&self, provider_id: &str) -> Stop {
        let (ids, public_id) = (self.context.store.ids(), &self.customer.public_id);
        match ids.forget_copy(&self.pair.merchant, public_id, &self.other.name, provider_id).await {
            Ok(true) => {
                let detail = "the provider answered a record that the account's own list does not show";
                self.stop_with(Finding::new(FindingCode::VendorRecordShared, None, detail))
            }
            Ok(false) => Stop::Moved,
            Err(error) => error.into(),
        }
    }
}

impl Reader<'_> {
    /// The records that the provider's own look-ups by the e-mail address and the phone number of a customer find.
    pub(super) async fn matching(&self, customer: &Customer) -> Result<Result<Vec<Customer>, Finding>, Stalled> {
        let lookups = [
            customer.email.clone().filter(|text| !text.is_empty()).map(Lookup::Email),
            customer.phone.clone().filter(|text| !text.is_empty()).map(Lookup::Phone),
        ];
        let is_sent = |lookup: &Lookup| {
            !matches!(lookup_support(self.connection.manifest, lookup), FilterSupport::Scan | FilterSupport::No(_))
        };
        let mut found: Vec<Customer> = Vec::new();
        for lookup in lookups.into_iter().flatten().filter(is_sent) {
            let command = Command::Find(lookup);
            let Ok(planned) = execution::plan(self.connection, &command, Conditions::canonical(LossPolicy::Drop))
            else {
                continue;
            };
            match planned.execute(&self.transport(Operation::Find)).await {
                Ok(Reply::Found(Some(customer))) => add(&mut found, *customer),
                Ok(_) => {}
                // A search that has more results than the gateway reads proves nothing. The index has read the whole list.
                Err(error) if matches!(error.kind, Kind::NotFound | Kind::ScanBound) => {}
                Err(error) if error.kind == Kind::Ambiguous => {
                    for id in &error.matching {
                        if let Read::Found(customer) = self.record(id).await? {
                            add(&mut found, *customer);
                        }
                    }
                }
                Err(error) => match Stalled::of(&error, self.connection) {
                    Some(stalled) => return Err(stalled),
                    None => return Ok(Err(Finding::refused_by_provider(&error))),
                },
            }
        }
        Ok(Ok(found))
    }
}

fn add(found: &mut Vec<Customer>, customer: Customer) {
    if found.iter().all(|known| known.id_at_provider() != customer.id_at_provider()) {
        found.push(customer);
    }
}
