//! The planner: reads the target, then the source page by page, and keeps for each customer what would become of it. It
//! writes to no provider. The copier asks the same rules, so that a plan and its run agree.
//!
//! Nothing of the target stays in memory: keyed hashes of contacts are in the store, and the few records that match are
//! read again by their ids.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use passerelle_providers::{
    model::{Customer, Field, LossPolicy},
    switch::{Candidate, Decision, Finding, FindingCode, Forecast, Side, Sides, Source, Verdict, forecast, judge},
};

use super::{
    context::{Context, Stalled},
    control::Control,
    driver::Done,
    matching::{PLANNED, index, is_unique_at, keys},
    progress::{KeptForecast, Loaded, Phase, Place, Progress, encoded},
    provider::{Configured, configured, customer, page},
    view::{ForecastEntry, Outcome},
};
use crate::{
    merchant::{Connection, Merchant},
    store::{RecordChange, RecordRow, StoreError, SwitchChange, SwitchState, Target, TargetKeys},
};

/// The version of the rules. A plan of another version is not run.
const RULES: u32 = 1;
/// The customers of a file that are read at a time.
const CHUNK: usize = 100;

/// Does one step of a plan.
pub(super) async fn step(context: &Context, control: &Control, loaded: &Loaded) -> Result<Done, Stalled> {
    let merchant = &loaded.switch.merchant;
    let from = configured(context, merchant, &loaded.switch.from)?;
    let to = configured(context, merchant, &loaded.switch.to)?;
    let planner = Planner { context, control, loaded, from, to };
    match loaded.progress.phase {
        Phase::Targets => planner.read_targets().await,
        _ if loaded.settings.has_file => planner.judge_listed().await,
        _ => planner.judge_page().await,
    }
}

/// The hash of what a plan depends on: both connections, the settings, and the version of the rules. It covers no counts.
pub(super) fn hash(from: &Configured, to: &Configured) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut add = |text: &str| {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    };
    add(&RULES.to_string());
    for (merchant, connection) in [from, to] {
        add(&merchant.name);
        add(&connection.name);
        add(connection.manifest.name);
        add(connection.upstream.endpoint().base_url());
        add(if connection.livemode { "live" } else { "test" });
        add(&format!("{:?}", merchant.region));
        add(merchant.reference.as_deref().unwrap_or_default());
    }
    HEXLOWER.encode(context.finish().as_ref())
}

fn side(connection: &Connection) -> Side<'_> {
    Side { connection: &connection.name, provider: &connection.provider }
}

/// What a copy does with a value that the target cannot hold.
pub(super) fn policy(merchant: &Merchant) -> LossPolicy {
    match merchant.on_loss {
        LossPolicy::Carry => LossPolicy::Carry,
        LossPolicy::Reject | LossPolicy::Drop => LossPolicy::Drop,
    }
}

pub(super) struct Planner<'p> {
    pub(super) context: &'p Context,
    control: &'p Control,
    pub(super) loaded: &'p Loaded,
    pub(super) from: Configured,
    pub(super) to: Configured,
}

impl Planner<'_> {
    fn sides(&self) -> Sides<'_> {
        let reference = self.from.0.reference.as_deref();
        Sides { reference, ..Sides::new(side(&self.from.1), side(&self.to.1)) }
    }

    /// Keeps a page of the target.
    async fn read_targets(&self) -> Result<Done, Stalled> {
        let (switch, progress) = (&self.loaded.switch, &self.loaded.progress);
        let read = page(self.context, &self.to.1, progress.place.as_ref()).await?;
        self.control.progressed();
        let place = read.next.as_ref().map(Place::of);
        let phase = if place.is_some() { Phase::Targets } else { Phase::Sources };
        let next = Progress { phase, place, ..progress.clone() };
        self.control.turn(self.loaded.settings.interval()).await;
        let is_held = index(self.context, &self.to.0, switch, &next, &read.items).await?;
        Ok(if is_held { Done::More } else { Done::LeaseLost })
    }

    /// Judges a page of the source.
    async fn judge_page(&self) -> Result<Done, Stalled> {
        let (switch, progress) = (&self.loaded.switch, &self.loaded.progress);
        let read = page(self.context, &self.from.1, progress.place.as_ref()).await?;
        self.control.progressed();
        let at_source: Vec<_> =
            read.items.iter().map(|customer| (switch.from.clone(), customer.id_at_provider().to_string())).collect();
        let known = self.context.store.ids().public_ids(&switch.merchant, &at_source).await?;
        let mut judged = Judged::new(progress);
        for (customer, known) in read.items.iter().zip(known) {
            if !self.control.turn(self.loaded.settings.interval()).await {
                return Ok(Done::More);
            }
            let public_id = known.unwrap_or_else(|| customer.id_at_provider().to_string());
            let in_full = match self.from.1.provider.lists_in_full(customer) {
                true => None,
                false => self::customer(self.context, &self.from.1, customer.id_at_provider()).await?,
            };
            self.judge(&public_id, in_full.as_ref().unwrap_or(customer), None, &mut judged).await?;
            self.control.progressed();
        }
        let place = read.next.as_ref().map(Place::of);
        let is_last = place.is_none();
        let next = Progress { place, forecast: judged.there(), back: judged.back(), ..progress.clone() };
        self.store(judged.records, next, is_last).await
    }

    /// Judges some of the customers that a file names. Their values are read from the source.
    async fn judge_listed(&self) -> Result<Done, Stalled> {
        let (switch, progress) = (&self.loaded.switch, &self.loaded.progress);
        let log = self.context.store.switches();
        let listed = log.records(&switch.id, None, progress.after.as_deref(), CHUNK).await?;
        let mut judged = Judged::new(progress);
        for RecordRow { public_id, source_id, .. } in &listed {
            if !self.control.turn(self.loaded.settings.interval()).await {
                return Ok(Done::More);
            }
            let source_id = source_id.as_deref().unwrap_or(public_id);
            match customer(self.context, &self.from.1, source_id).await? {
                Some(customer) => self.judge(public_id, &customer, None, &mut judged).await?,
                None => judged.records.push(RecordChange {
                    public_id: public_id.clone(),
                    planned: Some(Outcome::Gone.as_str().to_owned()),
                    detail: Some("the source does not know the id that the file has".to_owned()),
                    ..RecordChange::default()
                }),
            }
            self.control.progressed();
        }
        let after = listed.last().map(|last| last.public_id.clone());
        let is_last = listed.len() < CHUNK;
        let next = Progress { after, forecast: judged.there(), back: judged.back(), ..progress.clone() };
        self.store(judged.records, next, is_last).await
    }

    async fn judge(
        &self,
        public_id: &str,
        source: &Customer,
        decision: Option<&Decision>,
        judged: &mut Judged,
    ) -> Result<(), Stalled> {
        let (switch, log) = (&self.loaded.switch, self.context.store.switches());
        let marker = self.context.store.operations().copy_marker(&switch.merchant, public_id);
        let keys = TargetKeys { marker: Some(marker.clone()), ..keys(&self.context.store, &self.from.0, source) };
        let targets = log.candidates(&switch.id, public_id, keys.clone()).await?;
        let email_hash = keys.email_hash.clone();
        let (mut records, mut rivals, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let (planned, targets): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|target| target.provider_id.starts_with(PLANNED));
        let rival =
            planned.into_iter().filter_map(|target| target.linked.filter(|_| target.keys.email_hash == email_hash));
        let rival = rival.into_iter().find(|rival| rival != public_id && email_hash.is_some());
        if rival.is_some() {
            rivals.push(Field::Email);
        }
        for target in &targets {
            let is_others = target.linked.as_deref().is_some_and(|linked| linked != public_id);
            // The plan itself has linked the record with another customer. Then it matches both.
            if is_others && !self.has_row(&target.provider_id).await? {
                let hashes =
                    |keys: &TargetKeys| [&keys.email_hash, &keys.phone_hash, &keys.reference_hash].map(Clone::clone);
                let fields = [Field::Email, Field::Phone, Field::Metadata];
                for ((field, own), theirs) in fields.into_iter().zip(hashes(&keys)).zip(hashes(&target.keys)) {
                    if own.is_some() && own == theirs {
                        rivals.push(field);
                    }
                }
                others.extend(target.linked.clone());
            }
            if let Some(found) = customer(self.context, &self.to.1, &target.provider_id).await? {
                records.push((found, target));
            }
        }
        let candidates: Vec<_> = records
            .iter()
            .map(|(found, target)| Candidate {
                has_marker: found.marker.as_deref() == Some(marker.as_str()),
                linked_to: target.linked.as_deref().filter(|linked| !others.iter().any(|other| other == linked)),
                ..Candidate::new(found)
            })
            .collect();
        let linked = candidates.iter().find(|candidate| candidate.linked_to == Some(public_id));
        let linked_id = linked.map(|linked| linked.customer.id_at_provider().to_string());
        let source_of = Source { rivals: &rivals, ..Source::new(public_id, source) };
        let mut verdict = judge(&source_of, &candidates, &self.sides(), decision);
        if matches!(verdict, Verdict::AlreadyLinked { .. })
            && let Some(circle) = self.circle(public_id, email_hash.clone()).await?
        {
            verdict = Verdict::NeedsDecision(circle);
        }
        if let (Some(rival), Verdict::NeedsDecision(finding)) = (&rival, &verdict)
            && finding.code == FindingCode::UniqueValueTaken
        {
            let (from, to) = (&switch.from, &switch.to);
            let detail = format!("another customer of `{from}` has this value, and `{to}` keeps it unique");
            judged.shares(rival, FindingCode::UniqueValueTaken, detail);
        }
        if verdict == Verdict::Create && email_hash.is_some() && is_unique_at(&self.to.1) {
            // A later customer with the same address needs the record that this one will have.
            let (linked, provider_id) = (Some(public_id.to_owned()), format!("{PLANNED}{public_id}"));
            let keys = TargetKeys { email_hash: email_hash.clone(), ..TargetKeys::default() };
            let target = Target { provider_id, keys, linked };
            log.store_targets(&switch.id, encoded(&self.loaded.progress)?, vec![target]).await?;
        }
        if let Verdict::Link { id, .. } = &verdict
            && !log.link(&switch.id, id, public_id).await?
        {
            let detail = "another customer of the source matches the same record";
            let finding = Finding::new(FindingCode::SharedMatch, None, detail);
            judged.add(public_id, source, &targets, Verdict::NeedsDecision(finding));
        } else {
            if matches!(&verdict, Verdict::NeedsDecision(finding) if finding.code == FindingCode::SharedMatch) {
                for other in &others {
                    let detail = "another customer of the source matches the same record".to_owned();
                    judged.shares(other, FindingCode::SharedMatch, detail);
                }
            }
            judged.add(public_id, source, &targets, verdict);
            if let Some(id) = linked_id {
                judged.is_linked(id);
            }
        }
        // A copy loses what the plan accepts, whatever the merchant's policy.
        let one = forecast(source, &self.sides(), policy(&self.from.0));
        judged.count(&one.there, &one.back);
        Ok(())
    }

    /// Whether a record of the target belongs to a customer whose ids the merchant knows.
    async fn has_row(&self, provider_id: &str) -> Result<bool, StoreError> {
        let at = [(self.loaded.switch.to.clone(), provider_id.to_owned())];
        let known = self.context.store.ids().public_ids(&self.loaded.switch.merchant, &at).await?;
        Ok(known.iter().any(Option::is_some))
    }

    async fn store(&self, records: Vec<RecordChange>, next: Progress, is_last: bool) -> Result<Done, Stalled> {
        let (switch, log) = (&self.loaded.switch, self.context.store.switches());
        if !log.store_page(&switch.id, Some(encoded(&next)?), records).await? {
            return Ok(Done::LeaseLost);
        }
        if !is_last {
            return Ok(Done::More);
        }
        let change = SwitchChange {
            state: Some(SwitchState::Planned),
            plan_hash: Some(hash(&self.from, &self.to)),
            forecast: Some(encoded(&KeptForecast { there: next.forecast, back: next.back })?),
            ..SwitchChange::default()
        };
        log.change(switch, true, change).await?;
        Ok(Done::Ended)
    }
}

/// What a page of the source has shown.
struct Judged {
    records: Vec<RecordChange>,
    there: BTreeMap<String, ForecastEntry>,
    back: BTreeMap<String, ForecastEntry>,
}

impl Judged {
    fn new(progress: &Progress) -> Self {
        let named = |entries: &[ForecastEntry]| {
            entries.iter().map(|entry| (entry.field.clone(), entry.clone())).collect::<BTreeMap<_, _>>()
        };
        Self { records: Vec::new(), there: named(&progress.forecast), back: named(&progress.back) }
    }

    fn there(&self) -> Vec<ForecastEntry> {
        self.there.values().cloned().collect()
    }

    fn back(&self) -> Vec<ForecastEntry> {
        self.back.values().cloned().collect()
    }

    fn count(&mut self, there: &Forecast, back: &Forecast) {
        for (forecast, sums) in [(there, &mut self.there), (back, &mut self.back)] {
            for (field, counts) in forecast.fields() {
                let name = field.name().to_owned();
                let sum =
                    sums.entry(name.clone()).or_insert_with(|| ForecastEntry { field: name, ..Default::default() });
                sum.held += counts.held;
                sum.kept += counts.kept;
                sum.transformed += counts.transformed;
                sum.derived += counts.derived;
                sum.carried += counts.carried;
                sum.lost += counts.lost;
                for rule in counts.rules.keys() {
                    match &mut sum.rule {
                        Some(rules) if rules.split("; ").any(|known| known == *rule) => {}
                        Some(rules) => rules.extend(["; ", rule]),
                        none => *none = Some((*rule).to_owned()),
                    }
                }
            }
        }
    }

    /// Another customer matches the record that the plan has linked this one with, or needs the value of the record that the
    /// plan makes for this one.
    fn shares(&mut self, public_id: &str, code: FindingCode, detail: String) {
        self.records.push(RecordChange {
            public_id: public_id.to_owned(),
            planned: Some(Outcome::NeedsDecision.as_str().to_owned()),
            code: Some(code.as_str().to_owned()),
            level: Some(code.level().as_str().to_owned()),
            detail: Some(detail),
            ..RecordChange::default()
        });
    }

    /// The last customer has a record at the target, also where a decision is needed: what an earlier switch created is not
    /// this switch's.
    fn is_linked(&mut self, id: String) {
        let Some(last) = self.records.last_mut() else { return };
        let is_open = last.planned.as_deref() == Some(Outcome::NeedsDecision.as_str());
        (last.target_id, last.outcome) = (Some(id), last.planned.clone().filter(|_| is_open));
        last.planned = Some(Outcome::AlreadyLinked.as_str().to_owned());
    }

    fn add(&mut self, public_id: &str, source: &Customer, compared: &[Target], verdict: Verdict) {
        let compared: Vec<&str> = compared.iter().map(|target| target.provider_id.as_str()).collect();
        let (outcome, target_id, finding) = match verdict {
            Verdict::Create => (Outcome::Created, None, None),
            Verdict::Link { id, finding } => (Outcome::Linked, Some(id), Some(finding)),
            Verdict::AlreadyLinked { id } => (Outcome::AlreadyLinked, Some(id), None),
            Verdict::Refused(finding) => (Outcome::Refused, None, Some(finding)),
            Verdict::NeedsDecision(finding) => (Outcome::NeedsDecision, None, Some(finding)),
            Verdict::Left => (Outcome::Left, None, None),
        };
        let reason = RecordChange {
            public_id: public_id.to_owned(),
            source_id: Some(source.id_at_provider().to_string()),
            target_id: target_id.map(|id| id.to_string()),
            planned: Some(outcome.as_str().to_owned()),
            candidates: serde_json::to_string(&compared).ok(),
            ..RecordChange::default()
        };
        self.records.push(with_finding(reason, finding.as_ref()));
    }
}

/// Adds the reason to what is new about a customer.
pub(super) fn with_finding(change: RecordChange, finding: Option<&Finding>) -> RecordChange {
    let Some(finding) = finding else { return change };
    // A provider may repeat values of the customer in its own words.
    if finding.code == FindingCode::ProviderRefused {
        let meaning = finding.code.meaning().split_whitespace().collect::<Vec<_>>().join(" ");
        let field = finding.field.map(|field| field.name().to_owned());
        let (code, level) = (finding.code.as_str().to_owned(), finding.level().as_str().to_owned());
        return RecordChange { code: Some(code), level: Some(level), field, detail: Some(meaning), ..change };
    }
    let limit = finding.limit.as_deref().filter(|limit| *limit != finding.detail);
    let limit = limit.map(|limit| format!(": {limit}")).unwrap_or_default();
    RecordChange {
        code: Some(finding.code.as_str().to_owned()),
        level: Some(finding.level().as_str().to_owned()),
        field: finding.field.map(|field| field.name().to_owned()),
        detail: Some(format!("{}{limit}", finding.detail.trim())),
        ..change
    }
}
