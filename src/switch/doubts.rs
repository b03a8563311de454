//! Decisions about copies in doubt: the provider may have made a record, its answer was lost, and its lists show no trace. When
//! the gateway has given up the search, the operator's decision ends the doubt. The memory of the copy goes, and the customer is
//! copied as if it had not been sent: linked with the record that the decision names, created again, or left.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    Switches,
    commands::refused,
    context::{Context, Stalled},
    service::{Refused, RefusedKind},
    view::{BlockedCode, Outcome, Reason},
};
use crate::store::{KnownCustomer, OperationId, RecordRow, StoreError, Switch};

/// How long a decision waits for a copy that the gateway still reconciles.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks.
const AGAIN: Duration = Duration::from_millis(50);

/// A copy whose outcome only the operator can decide.
#[derive(Debug)]
pub(super) struct Doubt {
    public_id: String,
    connection: String,
    id: OperationId,
}

impl Switches {
    /// The copies in doubt that these decisions are about. As long as the gateway reconciles such a copy itself, only `leave`
    /// can be decided: the record may be found in the next moment, and another one would double the customer.
    pub(super) async fn doubts(&self, switch: &Switch, decisions: &[(String, String)]) -> Result<Vec<Doubt>, Refused> {
        let (store, writes) = (&self.context.store, &self.context.writes);
        let (ends, mut doubts) = (Instant::now() + PATIENCE, Vec::new());
        for (public_id, decision) in decisions {
            let record = store.switches().record(&switch.id, public_id).await?;
            if record.is_none_or(|record| record.outcome != Outcome::InDoubt.as_str()) {
                continue;
            }
            let Some(connection) = self.other_side(switch, public_id).await? else { continue };
            loop {
                match writes.copy_in_doubt(&switch.merchant, &connection, public_id).await? {
                    Some((id, true)) => doubts.push(Doubt { public_id: public_id.clone(), connection, id }),
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
        for Doubt { public_id, connection, id } in doubts {
            let writes = &self.context.writes;
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

    /// The side of the switch that is not the customer's home.
    async fn other_side(&self, switch: &Switch, public_id: &str) -> Result<Option<String>, StoreError> {
        let resolved = self.context.store.ids().resolve(&switch.merchant, Some(public_id)).await?;
        let Some(resolved) = resolved else { return Ok(None) };
        // A copy of a deleted customer stays held: its record is deleted when it is found.
        let is_theirs = |customer: &&KnownCustomer| customer.public_id == *public_id && customer.deletion.is_none();
        let customer = resolved.customers.iter().find(is_theirs);
        let other = |home: &str| if home == switch.to { switch.from.clone() } else { switch.to.clone() };
        Ok(customer.map(|customer| other(customer.home(&resolved.routing))))
    }
}

fn too_early(public_id: &str, connection: &str) -> Refused {
    let detail = format!(
        "the gateway still looks for the record of {public_id} at `{connection}`: take the decision again in a moment"
    );
    let reason = Reason { code: Outcome::InDoubt.as_str().to_owned(), detail };
    refused(RefusedKind::NotAllowed, "a copy is in doubt, and the gateway reconciles it").because(vec![reason])
}

/// What an undo waits for, if each of these customers waits for a decision about its copy.
pub(super) async fn undecided(
    context: &Context,
    switch: &Switch,
    doubtful: &[RecordRow],
) -> Result<Option<Stalled>, StoreError> {
    for record in doubtful {
        let copy = context.writes.copy_in_doubt(&switch.merchant, &switch.to, &record.public_id).await?;
        if !matches!(copy, Some((_, true))) {
            return Ok(None);
        }
    }
    let (merchant, first) = (&switch.merchant, doubtful.first().map_or("", |record| &record.public_id));
    let detail = format!(
        "it is not known whether copies have made a record at `{}`, such as that of {first}; `passerelle switch errors \
         {merchant} --out errors.csv` lists them, then decide about each",
        switch.to
    );
    Ok(Some(Stalled { code: BlockedCode::DecisionNeeded, detail, retry_after: None }))
}
