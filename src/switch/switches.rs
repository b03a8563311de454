//! The switches of a gateway.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::StreamExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    audited,
    context::Context,
    erasing,
    gates::{self, Evidence},
    progress::Loaded,
    sampling::LastCounts,
    service::{
        Accepted, Decided, Decision, Listed, ListedCustomer, Page, PlanOptions, Refused, RefusedKind, RunOptions,
        Sample, SwitchService, Tried, VerifyOptions,
    },
    show, steps,
    view::{BlockedBy, BlockedCode, MapEntry, Outcome, Steps, SwitchRecord, SwitchView},
};
use crate::merchant::Gateway;
use crate::store::{IdCounts, KnownCustomer, RecordChange, Step, StoreError, SwitchChange, SwitchState};

/// The customers of a file that are stored at once.
const LISTED: usize = 500;
/// The most entries of a page.
const PAGE: usize = 500;

/// Plans, runs, verifies, cuts over and ends switches. Clones share one.
#[derive(Debug, Clone)]
pub struct Switches {
    pub(super) context: Context,
    /// Wakes the worker of this process.
    pub(super) has_work: Arc<Notify>,
    /// Since when the store cannot record writes. It is kept here, because the store cannot keep it.
    unready_since: Arc<Mutex<Option<Timestamp>>>,
    /// What the metrics have shown.
    pub(super) last_counts: LastCounts,
}

impl Switches {
    /// The switches of a store.
    pub fn new(context: Context) -> Self {
        Self { context, has_work: Arc::new(Notify::new()), unready_since: Arc::default(), last_counts: Arc::default() }
    }

    /// Learns from the store which merchants have begun to switch providers. Their ids go through the store from then on.
    pub async fn learn_routing(&self) -> Result<(), StoreError> {
        let (store, gateway) = (&self.context.store, &self.context.gateway);
        let (ids, carried) = (store.ids(), store.carried());
        ids.learn().await?;
        carried.learn().await?;
        // The snapshot is compared each time: a reload may have replaced it while the store answered.
        let now = gateway.load();
        if now.lacks_ids(ids) || now.lacks_carried(carried) {
            gateway.rcu(|gateway| Gateway::clone(gateway).with_ids(store).with_carried(carried));
        }
        Ok(())
    }

    /// Erases deleted customers at every connection that holds them. It never ends.
    pub async fn erase(&self) {
        erasing::erase(&self.context).await;
    }

    pub(super) async fn load(&self, id: &str) -> Result<Option<Loaded>, StoreError> {
        self.context.store.switches().get(id).await?.map(Loaded::try_from).transpose()
    }

    /// The switch, after what the routing row says: a process may have ended between the flip and the new state.
    pub(super) async fn settled(&self, id: &str) -> Result<Loaded, Refused> {
        let not_found = || Refused::new(RefusedKind::NotFound, format!("there is no switch `{id}`"));
        let loaded = self.load(id).await?.ok_or_else(not_found)?;
        let switch = &loaded.switch;
        if !matches!(switch.state, SwitchState::Copying | SwitchState::Copied | SwitchState::Switched) {
            return Ok(loaded);
        }
        let resolved = self.context.store.ids().resolve(&switch.merchant, None).await?;
        let Some(routing) = resolved.map(|resolved| resolved.routing) else { return Ok(loaded) };
        let is_open = routing.open.as_ref().is_some_and(|open| open.id == switch.id);
        if !is_open || routing.epoch <= switch.epoch {
            return Ok(loaded);
        }
        let state = match (switch.state, routing.connection == switch.to) {
            (_, true) => SwitchState::Switched,
            (SwitchState::Switched, false) => SwitchState::Copied,
            (state, false) => state,
        };
        let change = SwitchChange { state: Some(state), epoch: Some(routing.epoch), ..SwitchChange::default() };
        self.context.store.switches().change(switch, false, change).await?;
        self.load(id).await?.ok_or_else(not_found)
    }

    pub(super) async fn view(&self, id: &str) -> Result<SwitchView, Refused> {
        let loaded = self.settled(id).await?;
        self.shown(&loaded).await
    }

    async fn shown(&self, loaded: &Loaded) -> Result<SwitchView, Refused> {
        let (switch, store) = (&loaded.switch, &self.context.store);
        let is_running = switch.state.is_open() && switch.state != SwitchState::Planning;
        if is_running {
            let Evidence { counts, ids, way_back, .. } = Evidence::of(&self.context, loaded).await?;
            let view = show::view(loaded, &counts, &ids, Some(way_back));
            return Ok(self.with_store(loaded, view).await);
        }
        let counts = store.switches().counts(&switch.id).await?;
        Ok(self.with_store(loaded, show::view(loaded, &counts, &IdCounts::default(), None)).await)
    }

    /// The view, which says where the store cannot record writes: nothing is copied then, and the worker cannot store why.
    async fn with_store(&self, loaded: &Loaded, view: SwitchView) -> SwitchView {
        if !loaded.switch.state.has_work() || loaded.switch.is_stopped {
            return view;
        }
        let ready = self.context.store.ready().await;
        let mut since = self.unready_since.lock().unwrap_or_else(PoisonError::into_inner);
        match ready {
            Ok(()) => {
                *since = None;
                view
            }
            Err(error) => {
                let since = since.get_or_insert_with(crate::clock::now).to_string();
                let blocked_by = BlockedBy { code: BlockedCode::StoreUnavailable, detail: error.to_string(), since };
                SwitchView { blocked_by: Some(blocked_by), ..view }
            }
        }
    }

    /// Keeps who is in the file. A plan with a file is stopped until the whole file is read.
    async fn keep_listed(&self, id: &str, listed: Listed) -> Result<(), Refused> {
        let log = self.context.store.switches();
        let mut chunks = listed.chunks(LISTED);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.into_iter().collect::<Result<Vec<ListedCustomer>, Refused>>()?;
            let switch = self.settled(id).await?.switch;
            let at_source: Vec<_> = chunk.iter().map(|one| (switch.from.clone(), one.id.clone())).collect();
            let known = self.context.store.ids().public_ids(&switch.merchant, &at_source).await?;
            let mut records = Vec::new();
            for (ListedCustomer { id }, known) in chunk.into_iter().zip(known) {
                // The merchant knows customers of an earlier switch by ids that the source may not know.
                let of_merchant = if known.is_none() { self.customer(&switch.merchant, &id).await? } else { None };
                let source_id = of_merchant.and_then(|customer| customer.id_at(&switch.from).map(str::to_owned));
                records.push(RecordChange {
                    public_id: known.unwrap_or_else(|| id.clone()),
                    source_id: Some(source_id.unwrap_or(id)),
                    ..RecordChange::default()
                });
            }
            log.add_records(id, records).await?;
        }
        Ok(())
    }

    async fn planned(
        &self,
        merchant: &str,
        options: PlanOptions,
        listed: Option<Listed>,
    ) -> Result<SwitchView, Refused> {
        let Some(listed) = listed else { return self.make_plan(merchant, options, false).await };
        let planned = self.make_plan(merchant, options, true).await?;
        if let Err(refused) = self.keep_listed(&planned.id, listed).await {
            let switch = self.settled(&planned.id).await?.switch;
            let failed = SwitchChange { state: Some(SwitchState::Failed), ..SwitchChange::default() };
            self.context.store.switches().forget_details(&switch.id).await?;
            self.context.store.switches().change(&switch, false, failed).await?;
            return Err(refused);
        }
        self.go_on(&planned.id).await
    }

    async fn customer(&self, merchant: &str, public_id: &str) -> Result<Option<KnownCustomer>, StoreError> {
        let resolved = self.context.store.ids().resolve(merchant, Some(public_id)).await?;
        let customers = resolved.into_iter().flat_map(|resolved| resolved.customers);
        Ok(customers.into_iter().find(|customer| customer.public_id == public_id))
    }
}

#[async_trait]
impl SwitchService for Switches {
    async fn plan(&self, merchant: &str, options: PlanOptions, listed: Option<Listed>) -> Result<SwitchView, Refused> {
        let to = options.to.clone();
        let planned = Box::pin(self.planned(merchant, options, listed));
        let shown = |view: &SwitchView| json!({ "switch": view.id, "state": view.state, "epoch": view.epoch });
        self.audited_of_merchant(merchant, &to, "plan", planned, shown).await
    }

    async fn run(&self, id: &str, options: RunOptions, decided: Decided) -> Result<SwitchView, Refused> {
        let shown = json!({ "first": options.first });
        self.audited(id, "run", shown, self.begin(id, options, decided)).await
    }

    async fn stop(&self, id: &str) -> Result<SwitchView, Refused> {
        self.audited(id, "stop", Value::Null, self.end_sending(id)).await
    }

    async fn set_rate(&self, id: &str, limit: Option<String>) -> Result<SwitchView, Refused> {
        self.audited(id, "set_rate", audited::rate(limit.as_deref()), self.limit(id, limit.clone())).await
    }

    async fn set_active(&self, merchant: &str, connection: &str) -> Result<u64, Refused> {
        let activated = self.activate(merchant, connection);
        self.audited_of_merchant(merchant, connection, "set_active", activated, |epoch| json!({ "epoch": epoch })).await
    }

    async fn decide(&self, id: &str, decisions: Vec<Decision>, decided: Decided) -> Result<SwitchView, Refused> {
        let shown = audited::decisions(&decisions);
        self.audited(id, "decide", shown, self.take_decisions(id, decisions, decided)).await
    }

    async fn verify(&self, id: &str, options: VerifyOptions, decided: Decided) -> Result<SwitchView, Refused> {
        let shown = json!({ "sample": options.sample, "ids_only": options.ids_only, "repair": options.repair });
        self.audited(id, "verify", shown, self.begin_verify(id, options, decided)).await
    }

    async fn cutover(&self, id: &str, accepted: Accepted, decided: Decided) -> Result<SwitchView, Refused> {
        let flip = Box::pin(self.flip(id, Step::Cutover, &accepted, decided));
        self.audited(id, "cutover", audited::accepted(&accepted), flip).await
    }

    async fn rollback(&self, id: &str, accepted: Accepted, decided: Decided) -> Result<SwitchView, Refused> {
        let flip = Box::pin(self.flip(id, Step::Rollback, &accepted, decided));
        self.audited(id, "rollback", audited::accepted(&accepted), flip).await
    }

    async fn complete(&self, id: &str, accepted: Accepted, decided: Decided) -> Result<SwitchView, Refused> {
        let end = self.end(id, Step::Complete, &accepted, decided);
        self.audited(id, "complete", audited::accepted(&accepted), end).await
    }

    async fn abandon(&self, id: &str, accepted: Accepted, undo: bool, decided: Decided) -> Result<SwitchView, Refused> {
        let mut options = audited::accepted(&accepted);
        options["undo"] = json!(undo);
        if undo {
            return self.audited(id, "abandon", options, Box::pin(self.begin_undo(id, &accepted, decided))).await;
        }
        self.audited(id, "abandon", options, self.end(id, Step::Abandon, &accepted, decided)).await
    }

    async fn steps(&self, id: &str, command: Tried, decided: Decided) -> Result<Steps, Refused> {
        let loaded = self.settled(id).await?;
        let evidence = Evidence::of(&self.context, &loaded).await?;
        let refused = match &command {
            Tried::Run(_) | Tried::Rollback(_) => Vec::new(),
            Tried::Cutover(accepted) => gates::cutover(&loaded, &evidence, accepted),
            Tried::Complete(accepted) => gates::complete(&loaded, &evidence, accepted),
            Tried::Abandon { accepted, .. } => gates::abandon(&loaded, &evidence, accepted),
        };
        Ok(steps::of(&loaded, &command, decided, refused))
    }

    async fn get(&self, id: &str) -> Result<SwitchView, Refused> {
        self.view(id).await
    }

    async fn list(
        &self,
        merchant: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SwitchView>, Refused> {
        let mut views = Vec::new();
        for switch in self.context.store.switches().list(merchant, after, limit.min(PAGE)).await? {
            views.push(self.view(&switch.id).await?);
        }
        Ok(views)
    }

    async fn records(
        &self,
        id: &str,
        outcome: Option<Outcome>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<SwitchRecord>, Refused> {
        let switch = self.settled(id).await?.switch;
        let (log, limit) = (self.context.store.switches(), limit.clamp(1, PAGE));
        let is_plan = show::shows_plan(switch.state);
        let rows = log.shown_records(id, is_plan, outcome.map(Outcome::as_str), after, limit).await?;
        let next = (rows.len() == limit).then(|| rows.last().map(|last| last.public_id.clone())).flatten();
        let routing = self.context.store.ids().resolve(&switch.merchant, None).await?.map(|resolved| resolved.routing);
        let mut entries = Vec::new();
        for row in rows {
            let customer = match &routing {
                Some(_) => self.customer(&switch.merchant, &row.public_id).await?,
                None => None,
            };
            entries.push(show::record(switch.state, row, customer.as_ref(), routing.as_ref()));
        }
        Ok(Page { entries, next })
    }

    async fn samples(&self, id: &str) -> Result<Vec<Sample>, Refused> {
        self.read_samples(id).await
    }

    async fn map(&self, id: &str, after: Option<&str>, limit: usize) -> Result<Page<MapEntry>, Refused> {
        let switch = self.settled(id).await?.switch;
        let (ids, limit) = (self.context.store.ids(), limit.clamp(1, PAGE));
        let routing = ids.resolve(&switch.merchant, None).await?.map(|resolved| resolved.routing);
        let Some(routing) = routing else { return Ok(Page { entries: Vec::new(), next: None }) };
        let customers = ids.all(&switch.merchant, after, limit).await?;
        let next = (customers.len() == limit).then(|| customers.last().map(|last| last.public_id.clone())).flatten();
        let entry = |customer: KnownCustomer| MapEntry {
            source_id: customer.id_at(&switch.from).map(str::to_owned),
            target_id: customer.id_at(&switch.to).map(str::to_owned),
            home: customer.home(&routing).to_owned(),
            public_id: customer.public_id,
        };
        let shown = customers.into_iter().filter(|customer| !customer.is_tombstoned());
        Ok(Page { entries: shown.map(entry).collect(), next })
    }
}
