//! Decisions about copies in doubt: the provider may have made a record, its answer was lost, and its lists show no trace. When
//! the gateway has given up the search, the operator's decision ends the doubt. The memory of the copy goes, and the customer is
//! copied as if it had not been sent: linked with the record that the decision names, created again, or left. If the customer
//! was deleted meanwhile, nothing is copied, and the decision ends the erasure at that side.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use passerelle_providers::switch::{Decision, FindingCode};

use super::{
    Switches,
    commands::refused,
    context::{Context, Stalled},
    service::{Refused, RefusedKind},
    view::{BlockedCode, Outcome, Reason},
};
use crate::store::{
    CopyState, Deletion, Erased, Erasure, IdOrigin, KnownCustomer, OperationId, RecordRow, StoreError, Switch,
};

/// How long a decision waits for a copy that the gateway still reconciles.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const AGAIN: Duration = Duration::from_millis(50);
/// The reason in the receipt of a deletion.
const LEFT: &str = "it is not known whether a copy made a record, and the operator has decided to leave that";

/// A copy whose outcome only the operator can decide.
#[derive(Debug)]
pub(super) struct Doubt {
    public_id: String,
    connection: String,
    id: OperationId,
    /// Where the customer was deleted: what the operator decided.
    of_deleted: Option<Decision>,
}

impl Switches {
    /// The copies in doubt that these decisions are about. As long as the gateway reconciles such a copy itself, only `leave`
    /// can be decided: the record may be found in the next moment, and another one would double the customer.
    pub(super) async fn doubts(&self, switch: &Switch, decisions: &[(String, String)]) -> Result<Vec<Doubt>, Refused> {
        let (store, writes) = (&self.context.store, &self.context.writes);
        let (ends, mut doubts) = (Instant::now() + PATIENCE, Vec::new());
        for (public_id, decision) in decisions {
            let record = store.switches().record(&switch.id, public_id).await?;
            // A process that dies between a copy and its outcome leaves a deleted customer as `deleted`.
            let may_doubt = [Outcome::InDoubt, Outcome::Deleted].map(Outcome::as_str);
            if record.is_none_or(|record| !may_doubt.contains(&&*record.outcome)) {
                continue;
            }
            let Some((customer, connection)) = self.other_side(switch, public_id).await? else { continue };
            let of_deleted = Decision::parse(decision).filter(|_| customer.is_tombstoned());
            if let Some(Decision::Link(id)) = &of_deleted {
                self.check_is_free(switch, &connection, id, public_id).await?;
            }
            loop {
                match writes.copy_in_doubt(&switch.merchant, &connection, public_id).await? {
                    Some((id, true)) => doubts.push(Doubt { public_id: public_id.clone(), connection, id, of_deleted }),
                    Some(_) if decision == "leave" => {}
                    Some(_) if Instant::now() < ends => {
                        sleep(AGAIN).await;
                        continue;
                    }
                    Some(_) => return Err(too_early(public_id, &connection)),
                    None => {}
                }
                break;
            }
        }
        Ok(doubts)
    }

    /// Ends the doubt about these copies. The decisions are stored before: a process that dies in between leaves the doubt.
    pub(super) async fn end_doubts(&self, switch: &Switch, doubts: Vec<Doubt>) -> Result<(), Refused> {
        let ends = Instant::now() + PATIENCE;
        for Doubt { public_id, connection, id, of_deleted } in doubts {
            let writes = &self.context.writes;
            if let Some(decision) = of_deleted {
                self.end_erasure(switch, &public_id, &connection, decision).await?;
            }
            while !writes.release_copy(&switch.merchant, &connection, &public_id, id).await? {
                if Instant::now() >= ends {
                    return Err(too_early(&public_id, &connection));
                }
                sleep(AGAIN).await;
            }
            tracing::warn!(switch = switch.id, operation.id = %id, "the operator has ended the doubt about a copy");
        }
        Ok(())
    }

    /// Ends an erasure that waits for the outcome of a copy, before the memory of the copy goes: the record that the operator
    /// names is deleted like each other one.
    async fn end_erasure(
        &self,
        switch: &Switch,
        public_id: &str,
        connection: &str,
        decision: Decision,
    ) -> Result<(), StoreError> {
        let (ids, merchant) = (self.context.store.ids(), &switch.merchant);
        let erased = match decision {
            Decision::Leave => Erased::Cannot(LEFT.to_owned()),
            // It is due now.
            Decision::Create | Decision::Link(_) => Erased::Pending,
        };
        if let Decision::Link(id) = &decision {
            let copy = CopyState { origin: IdOrigin::Linked, ..CopyState::created(public_id, connection, id) };
            // A deleted customer has no copied version, so the answer is `false`.
            ids.keep_copy(merchant, copy).await?;
        }
        let [merchant, public_id, connection] = [merchant, public_id, connection].map(str::to_owned);
        ids.end_erasure(Erasure { merchant, public_id, connection, provider_id: None, tries: 0 }, erased).await
    }

    /// A deletion must not reach another customer's record.
    async fn check_is_free(&self, switch: &Switch, connection: &str, id: &str, public_id: &str) -> Result<(), Refused> {
        let at = [(connection.to_owned(), id.to_owned())];
        match self.context.store.ids().public_ids(&switch.merchant, &at).await?.pop().flatten() {
            Some(owner) if owner != *public_id => {
                let code = FindingCode::RecordAlreadyLinked.as_str().to_owned();
                let detail = format!("the record `{id}` of `{connection}` is linked with another customer");
                let refused = refused(RefusedKind::NotAllowed, "a decision names a record of another customer");
                Err(refused.because(vec![Reason { code, detail }]))
            }
            _ => Ok(()),
        }
    }

    /// The customer, and the side of the switch that is not its home.
    async fn other_side(
        &self,
        switch: &Switch,
        public_id: &str,
    ) -> Result<Option<(KnownCustomer, String)>, StoreError> {
        let resolved = self.context.store.ids().resolve(&switch.merchant, Some(public_id)).await?;
        let Some(resolved) = resolved else { return Ok(None) };
        // Until it is known whether a deletion happens, nothing is decided.
        let is_theirs =
            |customer: &KnownCustomer| customer.public_id == *public_id && customer.deletion != Some(Deletion::Claimed);
        let other = |home: &str| if home == switch.to { switch.from.clone() } else { switch.to.clone() };
        let customer = resolved.customers.into_iter().find(is_theirs);
        Ok(customer.map(|customer| {
            let other = other(customer.home(&resolved.routing));
            (customer, other)
        }))
    }
}

fn too_early(public_id: &str, connection: &str) -> Refused {
    let detail = format!(
        "the gateway still looks for the record of {public_id} at `{connection}`: take the decision again in a moment"
    );
    let reason = Reason { code: Outcome::InDoubt.as_str().to_owned(), detail };
    refused(RefusedKind::NotAllowed, "a copy is in doubt, and the gateway reconciles it").because(vec![reason])
}

/// What a switch with nothing else to do waits for, if each of these customers waits for a decision about its copy.
pub(super) async fn undecided(
    context: &Context,
    switch: &Switch,
    doubtful: &[RecordRow],
) -> Result<Option<Stalled>, StoreError> {
    let (merchant, mut first) = (&switch.merchant, None);
    for record in doubtful {
        let mut held = None;
        // After the cutover, customers are copied back to the source.
        for side in [&switch.to, &switch.from] {
            let copy = context.writes.copy_in_doubt(merchant, side, &record.public_id).await?;
            if matches!(copy, Some((_, true))) {
                held = Some(side);
                break;
            }
        }
        let Some(side) = held else { return Ok(None) };
        first.get_or_insert((side, &record.public_id));
    }
    let Some((side, first)) = first else { return Ok(None) };
    let detail = format!(
        "it is not known whether copies have made a record at `{side}`, such as that of {first}; `passerelle switch errors \
         {merchant} --out errors.csv` lists them, then decide about each"
    );
    Ok(Some(Stalled { code: BlockedCode::DecisionNeeded, detail, retry_after: None }))
}
