//! The commands of the state machine.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::StreamExt;
use passerelle::switch::{
    service::{
        Accepted, Decided, Decision, Listed, Page, PlanOptions, Refused, RefusedKind, RunOptions, Sample,
        SwitchService, Tried, VerifyOptions,
    },
    view::{
        BlockedBy, BlockedCode, DecisionKind, MapEntry, Outcome, Reason, Steps, StepsObject, SwitchRecord, SwitchState,
        SwitchView, Verified,
    },
};

use super::{AT, CUSTOMERS, Memory, OneSwitch, steps_of};

type Changed = Result<SwitchView, Refused>;

#[async_trait]
impl SwitchService for Memory {
    async fn samples(&self, _: &str) -> Result<Vec<Sample>, Refused> {
        Ok(self.lock().samples.clone())
    }

    async fn plan(&self, merchant: &str, options: PlanOptions, listed: Option<Listed>) -> Changed {
        let (mut customers, mut wrong) = (CUSTOMERS, Vec::new());
        if let Some(mut listed) = listed {
            customers = 0;
            while let Some(item) = listed.next().await {
                match item {
                    Ok(_) => customers += 1,
                    Err(refused) => wrong.push(refused.detail),
                }
            }
        }
        let mut kept = self.lock();
        kept.log.push(format!(
            "plan {merchant} to {} sample {} customers {customers} wrong {wrong:?}",
            options.to, options.sample
        ));
        if merchant != "acme" || options.to != "new" {
            let detail = format!("merchant `{merchant}` has no connection `{}`", options.to);
            return Err(Refused::new(RefusedKind::NotFound, detail));
        }
        if let Some(open) = kept.switches.iter().find(|kept| kept.view.state.is_open()) {
            if options.idempotency_key.is_some() && open.key == options.idempotency_key {
                return Ok(open.view.clone());
            }
            let detail = "acme has an open switch; end it with `passerelle switch abandon acme`".to_owned();
            let reason = Reason { code: "switch_open".to_owned(), detail: detail.clone() };
            return Err(Refused::new(RefusedKind::NotAllowed, detail).because(vec![reason]));
        }
        let id = format!("sw_{:032x}", kept.switches.len() + 1);
        let made = OneSwitch::new(id, merchant, &options.to, options.idempotency_key, customers);
        let view = made.view.clone();
        kept.switches.push(made);
        Ok(view)
    }

    async fn run(&self, id: &str, options: RunOptions, decided: Decided) -> Changed {
        let mut kept = self.lock();
        kept.log.push(format!("run {options:?}"));
        let found = kept.decided(
            id,
            decided,
            &[SwitchState::Planned, SwitchState::Copying, SwitchState::Copied, SwitchState::Switched],
        )?;
        found.view.blocked_by = None;
        if found.view.state == SwitchState::Planned {
            found.view.state = SwitchState::Copying;
            found.view.pinned = BTreeMap::from([("main".to_owned(), found.view.records.total), ("new".to_owned(), 0)]);
        }
        found.view.next = Some("passerelle switch status acme".to_owned());
        Ok(found.view.clone())
    }

    async fn stop(&self, id: &str) -> Changed {
        let mut kept = self.lock();
        let found = kept.find(id)?;
        let detail = "the operator stopped it; go on with `passerelle switch run acme`".to_owned();
        found.view.blocked_by = Some(BlockedBy { code: BlockedCode::Stopped, detail, since: AT.to_owned() });
        Ok(found.view.clone())
    }

    async fn set_rate(&self, id: &str, limit: Option<String>) -> Changed {
        let mut kept = self.lock();
        let found = kept.find(id)?;
        if limit.as_deref().is_some_and(|limit| !limit.contains('/')) {
            return Err(Refused::new(RefusedKind::Invalid, "`limit` must be a rate, such as 60/min"));
        }
        found.view.rate.limit = limit;
        Ok(found.view.clone())
    }

    async fn set_active(&self, merchant: &str, connection: &str) -> Result<u64, Refused> {
        match (merchant, connection) {
            ("acme", "main" | "new") => Ok(8),
            _ => Err(Refused::new(
                RefusedKind::NotFound,
                format!("merchant `{merchant}` has no connection `{connection}`"),
            )),
        }
    }

    async fn decide(&self, id: &str, decisions: Vec<Decision>, decided: Decided) -> Changed {
        let mut kept = self.lock();
        kept.log.push(format!("decide {}", decisions.len()));
        let found = kept.decided(id, decided, &[SwitchState::Planned, SwitchState::Copying, SwitchState::Copied])?;
        let known = |decision: &Decision| {
            found.records.iter().any(|record| record.public_id.as_ref() == Some(&decision.public_id))
        };
        if let Some(unknown) = decisions.iter().find(|decision| !known(decision)) {
            return Err(Refused::new(
                RefusedKind::Invalid,
                format!("`{}` is not a record of this switch", unknown.public_id),
            ));
        }
        for decision in decisions {
            let record = found.records.iter_mut().find(|record| record.public_id.as_ref() == Some(&decision.public_id));
            let Some(record) = record else { continue };
            record.outcome = match decision.decision {
                DecisionKind::Create => Outcome::Pending,
                DecisionKind::Link => Outcome::Linked,
                DecisionKind::Leave => Outcome::Left,
            };
            record.target_id = decision.link_id;
            (record.code, record.level, record.field, record.detail) = (None, None, None, None);
        }
        found.count();
        Ok(found.view.clone())
    }

    async fn verify(&self, id: &str, options: VerifyOptions, decided: Decided) -> Changed {
        let mut kept = self.lock();
        kept.log.push(format!("verify {options:?}"));
        let found = kept.decided(id, decided, &[SwitchState::Copied, SwitchState::Switched])?;
        found.view.verified = Some(Verified { at: Some(AT.to_owned()), extra: Some(0), ..Verified::default() });
        Ok(found.view.clone())
    }

    async fn cutover(&self, id: &str, accepted: Accepted, decided: Decided) -> Changed {
        let mut kept = self.lock();
        kept.log.push(format!("cutover {accepted:?}"));
        let found = kept.decided(id, decided, &[SwitchState::Copied])?;
        let reasons = closed(&found.view, &accepted);
        if !reasons.is_empty() {
            return Err(Refused::new(RefusedKind::NotAllowed, "the gate of the cutover is closed").because(reasons));
        }
        (found.view.state, found.view.epoch) = (SwitchState::Switched, found.view.epoch + 1);
        found.view.next = Some("passerelle switch complete acme".to_owned());
        Ok(found.view.clone())
    }

    async fn rollback(&self, id: &str, _: Accepted, decided: Decided) -> Changed {
        let mut kept = self.lock();
        let found = kept.decided(id, decided, &[SwitchState::Switched])?;
        (found.view.state, found.view.epoch) = (SwitchState::Copied, found.view.epoch + 1);
        found.view.pinned = BTreeMap::from([("main".to_owned(), 0), ("new".to_owned(), 20)]);
        Ok(found.view.clone())
    }

    async fn complete(&self, id: &str, _: Accepted, decided: Decided) -> Changed {
        let mut kept = self.lock();
        let found = kept.decided(id, decided, &[SwitchState::Switched])?;
        (found.view.state, found.view.next) = (SwitchState::Completed, None);
        Ok(found.view.clone())
    }

    async fn abandon(&self, id: &str, _: Accepted, _: bool, decided: Decided) -> Changed {
        let mut kept = self.lock();
        let found = kept.decided(id, decided, &[SwitchState::Planned, SwitchState::Copying, SwitchState::Copied])?;
        (found.view.state, found.view.next) = (SwitchState::Abandoned, None);
        Ok(found.view.clone())
    }

    async fn steps(&self, id: &str, command: Tried, decided: Decided) -> Result<Steps, Refused> {
        let mut kept = self.lock();
        let found = kept.find(id)?;
        let view = &found.view;
        if decided.epoch != view.epoch {
            return Err(Refused::new(RefusedKind::Changed, "the switch has changed"));
        }
        let refused = match &command {
            Tried::Cutover(accepted) => closed(view, accepted),
            _ => Vec::new(),
        };
        Ok(Steps { object: StepsObject::SwitchSteps, command: command.name(), steps: steps_of(&command), refused })
    }

    async fn get(&self, id: &str) -> Changed {
        let mut kept = self.lock();
        let found = kept.find(id)?;
        found.step();
        Ok(found.view.clone())
    }

    async fn list(
        &self,
        merchant: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SwitchView>, Refused> {
        let kept = self.lock();
        let of_merchant = kept.switches.iter().rev().map(|kept| &kept.view);
        let mut found = of_merchant.filter(|view| merchant.is_none_or(|name| view.merchant == name)).cloned();
        if let Some(after) = after {
            found.by_ref().find(|view| view.id == after);
        }
        Ok(found.take(limit).collect())
    }

    async fn records(
        &self,
        id: &str,
        outcome: Option<Outcome>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<SwitchRecord>, Refused> {
        let mut kept = self.lock();
        let is_failing = kept.is_failing;
        let found = kept.find(id)?;
        let begin: usize =
            after.map_or(Ok(0), str::parse).map_err(|_| Refused::new(RefusedKind::Invalid, "the cursor is wrong"))?;
        if is_failing && begin > 0 {
            return Err(Refused::new(RefusedKind::StoreUnavailable, "the store does not answer"));
        }
        let matching = found.records.iter().filter(|record| outcome.is_none_or(|outcome| record.outcome == outcome));
        let matching: Vec<SwitchRecord> = matching.skip(begin).take(limit + 1).cloned().collect();
        let next = (matching.len() > limit).then(|| (begin + limit).to_string());
        Ok(Page { entries: matching.into_iter().take(limit).collect(), next })
    }

    async fn map(&self, id: &str, after: Option<&str>, limit: usize) -> Result<Page<MapEntry>, Refused> {
        let Page { entries, next } = self.records(id, None, after, limit).await?;
        let entry = |record: SwitchRecord| MapEntry {
            public_id: record.public_id.unwrap_or_default(),
            source_id: record.source_id,
            target_id: record.target_id,
            home: record.home.unwrap_or_default(),
        };
        Ok(Page { entries: entries.into_iter().map(entry).collect(), next })
    }
}

/// The conditions of a cutover that are not met and not accepted.
fn closed(view: &SwitchView, accepted: &[String]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if view.verified.as_ref().is_none_or(|verified| !verified.complete) {
        reasons.push(Reason {
            code: "not_verified".to_owned(),
            detail: "verify first: passerelle switch verify acme".to_owned(),
        });
    }
    for (count, code) in [(view.records.needs_decision, "needs_decision"), (view.records.refused, "refused")] {
        if count > 0 && !accepted.iter().any(|accepted| accepted == code) {
            reasons.push(Reason {
                code: code.to_owned(),
                detail: format!("{count} records; accept them with --accept {code}"),
            });
        }
    }
    reasons
}
