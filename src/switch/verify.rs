//! Compares the customers of a page at both sides of a switch (R29). It writes nothing at a provider.
//!
//! A difference is read again after the visibility lag before it is believed. A customer who was written in between, or who
//! waits for its copy, is `busy`: its other side may be older without a mistake. The caller copies again what differs, and
//! stores the results together with the position, so that a process that dies verifies the page again and counts each
//! record once. What the operator has decided is no difference: a customer who is left is not compared, and a field that a
//! decision leaves as it stands counts as equal after a rule.

use std::{sync::Arc, time::Duration};

use data_encoding::HEXLOWER;
use futures_util::{StreamExt, stream};
use passerelle_providers::{
    model::{Customer, Field},
    switch::{
        Base, Comparison, Decision, Equality, Finding, Seen, Sides, block_command, compare, update_command, value_hash,
    },
};

use super::{
    context::{Context, Pair, Stalled},
    control::Control,
    progress::Chosen,
    side::{Read, Reader, side},
    view::{Difference, Outcome},
};
use crate::{
    merchant::{Connection, Gateway, Merchant},
    store::KnownCustomer,
};

/// How many customers of a page are read at the same time.
const CONCURRENT: usize = 8;

/// How a page is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageOptions {
    /// Only whether each record exists.
    pub ids_only: bool,
}

/// The result for one customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Both sides have the same values.
    Equal,
    /// Both sides have the same values by rules.
    EqualAfterRule,
    /// A field differs.
    Differs,
    /// The other side does not find the record.
    Missing,
    /// The customer changed while it was compared, or waits for its copy.
    Busy,
    /// A side did not give a record that can be compared.
    Unreadable,
}

impl Verification {
    /// Whether it counts as a difference, so that the customer is copied again.
    pub const fn is_difference(self) -> bool {
        matches!(self, Self::Differs | Self::Missing | Self::Unreadable)
    }
}

/// A customer that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The id at the connection that the switch leads away from.
    pub source_id: String,
    /// The id at the connection that the switch leads to.
    pub target_id: String,
    /// The version that was compared.
    pub version: u64,
    /// The result.
    pub result: Verification,
    /// The fields that differ, with keyed hashes of the values.
    pub differences: Vec<Difference>,
    /// Why a record was not read.
    pub finding: Option<Finding>,
}

/// A page that was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifiedPage {
    /// The customers of the page who have a record at both sides, by their public ids.
    pub checked: Vec<Verified>,
    /// Where the next page begins. `None`: this was the last one.
    pub next: Option<String>,
}

/// What a worker keeps to while it verifies a page.
#[derive(Clone, Copy)]
pub(super) struct Work<'w> {
    pub(super) control: &'w Control,
    /// The time between two customers.
    pub(super) interval: Option<Duration>,
    /// Only these customers.
    pub(super) chosen: Option<&'w Chosen>,
}

impl Chosen {
    /// The place of a customer in an order that only the seed decides.
    pub(super) fn rank(context: &Context, pair: &Pair, seed: &str, public_id: &str) -> u64 {
        let text = format!("{seed} {public_id}");
        u64::from_be_bytes(context.store.operations().copied_value_hash(&pair.merchant, text.as_bytes()))
    }
}

/// Verifies the customers after a public id.
pub async fn verify_page(
    context: &Context,
    pair: &Pair,
    after: Option<&str>,
    limit: usize,
    options: PageOptions,
) -> Result<VerifiedPage, Stalled> {
    let control = Control::new();
    page(context, pair, after, limit, options, Work { control: &control, interval: None, chosen: None }).await
}

/// The same by a worker. The page is incomplete where nothing may be sent any more.
pub(super) async fn page(
    context: &Context,
    pair: &Pair,
    after: Option<&str>,
    limit: usize,
    options: PageOptions,
    work: Work<'_>,
) -> Result<VerifiedPage, Stalled> {
    let customers = context.store.ids().all(&pair.merchant, after, limit).await?;
    let next = customers.last().filter(|_| customers.len() >= limit).map(|last| last.public_id.clone());
    let mut page = VerifiedPage { next, ..VerifiedPage::default() };
    let gateway = context.gateway.load_full();
    let is_chosen = |customer: &KnownCustomer| {
        let rank = |chosen: &Chosen| Chosen::rank(context, pair, &chosen.seed, &customer.public_id) <= chosen.most;
        customer.deletion.is_none() && work.chosen.is_none_or(rank)
    };
    let customers = customers.into_iter().filter(is_chosen);
    // Collected, so that no function is held while this waits: the future could not move between threads.
    let verifying: Vec<_> =
        customers.map(|customer| verify_one(context, pair, &gateway, customer, options, work)).collect();
    let at_once = context.limited(CONCURRENT, &pair.merchant, [&pair.from, &pair.to]);
    let mut compared = stream::iter(verifying).buffered(at_once);
    while let Some(verified) = compared.next().await {
        page.checked.extend(verified?);
    }
    Ok(page)
}

/// What the two reads of a customer show.
struct Comparing {
    result: Verification,
    differences: Vec<Difference>,
    finding: Option<Finding>,
}

impl Comparing {
    const fn of(result: Verification) -> Self {
        Self { result, differences: Vec::new(), finding: None }
    }
}

/// Verifies a customer. `None`: it has no record at the other side.
async fn verify_one(
    context: &Context,
    pair: &Pair,
    gateway: &Gateway,
    customer: KnownCustomer,
    options: PageOptions,
    work: Work<'_>,
) -> Result<Option<Verified>, Stalled> {
    let (Some(source_id), Some(target_id)) = (customer.id_at(&pair.from), customer.id_at(&pair.to)) else {
        return Ok(None);
    };
    let (source_id, target_id) = (source_id.to_owned(), target_id.to_owned());
    let connection = |name| gateway.connection(&pair.merchant, name).ok_or_else(|| Stalled::not_configured(name));
    let ((merchant, from), (_, to)) = (connection(&*pair.from)?, connection(&*pair.to)?);
    if !work.control.turn(work.interval).await {
        return Ok(None);
    }
    let compared = Verifying { context, pair, merchant, from, to, options };
    let mut version = customer.version;
    let mut comparing = compared.once(&customer).await?;
    work.control.progressed();
    if comparing.result.is_difference() {
        if compared.is_left(&customer.public_id).await? {
            return Ok(None);
        }
        work.control.expects(compared.lag());
        tokio::time::sleep(compared.lag()).await;
        if work.control.must_end() {
            return Ok(None);
        }
        let before = compared.current(&customer.public_id).await?;
        comparing = match &before {
            Some(now) if now.version == customer.version && !now.is_marked() => compared.once(now).await?,
            _ => Comparing::of(Verification::Busy),
        };
        // A write may have come between the two reads.
        let after = compared.current(&customer.public_id).await?;
        let is_same = |now: &KnownCustomer| (now.version, &now.pinned) == (version, &customer.pinned);
        if comparing.result.is_difference() && !after.as_ref().is_some_and(is_same) {
            comparing = Comparing::of(Verification::Busy);
        }
        version = after.map_or(version, |now| now.version);
    }
    let Comparing { result, differences, finding } = comparing;
    let KnownCustomer { public_id, .. } = customer;
    Ok(Some(Verified { public_id, source_id, target_id, version, result, differences, finding }))
}

#[derive(Clone, Copy)]
struct Verifying<'v> {
    context: &'v Context,
    pair: &'v Pair,
    merchant: &'v Arc<Merchant>,
    from: &'v Arc<Connection>,
    to: &'v Arc<Connection>,
    options: PageOptions,
}

impl Verifying<'_> {
    fn lag(&self) -> Duration {
        self.from.visibility_lag.max(self.to.visibility_lag)
    }

    async fn current(&self, public_id: &str) -> Result<Option<KnownCustomer>, Stalled> {
        let resolved = self.context.store.ids().resolve(&self.pair.merchant, Some(public_id)).await?;
        let customers = resolved.into_iter().flat_map(|resolved| resolved.customers);
        Ok(customers.into_iter().find(|customer| customer.public_id == public_id && customer.deletion.is_none()))
    }

    /// Reads both sides and compares: the home as a client sees it, the other side as it is.
    async fn once(&self, customer: &KnownCustomer) -> Result<Comparing, Stalled> {
        let resolved = self.context.store.ids().resolve(&self.pair.merchant, None).await?;
        let Some(routing) = resolved.map(|resolved| resolved.routing) else {
            return Ok(Comparing::of(Verification::Busy));
        };
        let is_at_to = customer.home(&routing) == self.pair.to;
        let (home, other) = if is_at_to { (self.to, self.from) } else { (self.from, self.to) };
        let ids = (customer.id_at(&home.name), customer.id_at(&other.name));
        let (Some(at_home), Some(at_other)) = ids else { return Ok(Comparing::of(Verification::Busy)) };
        let reader = |connection| Reader { context: self.context, merchant: self.merchant, connection };
        let target = match reader(other).record(at_other).await? {
            Read::Found(target) => target,
            Read::Missing => return Ok(Comparing::of(Verification::Missing)),
            read => return Ok(unreadable(&read, other)),
        };
        if self.options.ids_only {
            return Ok(Comparing::of(Verification::Equal));
        }
        let source = match reader(home).as_client(&customer.public_id, at_home).await? {
            Read::Found(source) => source,
            read => return Ok(unreadable(&read, home)),
        };
        let sides = Sides { reference: self.pair.reference.as_deref(), ..Sides::new(side(home), side(other)) };
        let mut comparing = self.judged(&source, &target, &sides, is_at_to);
        if comparing.result == Verification::Differs
            && self.is_decided(customer, (&source, &target), &sides, [other, home]).await?
        {
            comparing.result = Verification::EqualAfterRule;
        }
        Ok(comparing)
    }

    /// Whether the operator has decided to leave the customer where it is.
    async fn is_left(&self, public_id: &str) -> Result<bool, Stalled> {
        let record = self.context.store.switches().record(&self.pair.switch_id, public_id).await?;
        Ok(record.is_some_and(|record| record.outcome == Outcome::Left.as_str()))
    }

    /// Whether what differs is what a decision of the operator leaves as it stands: a copy would write nothing.
    async fn is_decided(
        &self,
        customer: &KnownCustomer,
        (source, target): (&Customer, &Customer),
        sides: &Sides<'_>,
        connections: [&Connection; 2],
    ) -> Result<bool, Stalled> {
        let (merchant, public_id) = (&self.pair.merchant, &customer.public_id);
        let record = self.context.store.switches().record(&self.pair.switch_id, public_id).await?;
        let decision = record.and_then(|record| Decision::parse(record.decision.as_deref()?));
        let Some(decision @ (Decision::Create | Decision::Link(_))) = decision else { return Ok(false) };
        let mut seen = Seen::default();
        for connection in connections {
            let kept = self.context.store.ids().seen(merchant, public_id, &connection.name).await?;
            if let Some(kept) = kept.filter(|kept| !kept.is_empty()) {
                seen = Seen::from_bytes(&kept);
                break;
            }
        }
        let hash = |bytes: &[u8]| self.context.store.operations().copied_value_hash(merchant, bytes);
        let base = || Base { seen: &seen, hash: &hash };
        let update = update_command(source, target, base(), sides, Some(&decision));
        let block = block_command(source, target, base(), sides, Some(&decision));
        Ok(matches!((update, block), (Ok(None), Ok(None))))
    }

    fn judged(&self, source: &Customer, target: &Customer, sides: &Sides<'_>, is_at_to: bool) -> Comparing {
        let comparison: Comparison = compare(source, target, sides);
        let result = match comparison.equality() {
            Equality::Equal => Verification::Equal,
            Equality::EqualAfterRule => Verification::EqualAfterRule,
            Equality::Differs => Verification::Differs,
        };
        let hash = |bytes: &[u8]| self.context.store.operations().copied_value_hash(&self.pair.merchant, bytes);
        let hashed = |customer, field: Field, side| {
            let hash = value_hash(customer, field, side, &hash)?;
            Some(HEXLOWER.encode(&hash))
        };
        let differences = comparison.differences.iter().map(|difference| {
            let home = hashed(source, difference.field, &sides.from);
            let other = hashed(target, difference.field, &sides.to);
            let (source_hash, target_hash) = if is_at_to { (other, home) } else { (home, other) };
            let (field, rule) = (difference.field.name().to_owned(), Some(difference.rule.to_owned()));
            Difference { field, rule, source_hash, target_hash }
        });
        Comparing { result, differences: differences.collect(), finding: None }
    }
}

fn unreadable(read: &Read, connection: &Connection) -> Comparing {
    Comparing { finding: Some(read.finding(connection)), ..Comparing::of(Verification::Unreadable) }
}
