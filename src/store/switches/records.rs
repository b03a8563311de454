//! The statements over the customers of a switch, the same for both databases.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;

use crate::store::{
    database::{
        Group, Session, Work,
        lists::{list, pieces},
        values::{Row, Value, limited, unsigned},
    },
    error::StoreError,
};

/// The columns of a [`RecordRow`].
const COLUMNS: &str = "public_id, source_id, target_id, planned, outcome, code, level, field, detail, differences, \
                       candidates, decision, attempts, updated_at";

/// What a switch knows of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The id at the source.
    pub source_id: Option<String>,
    /// The id at the target.
    pub target_id: Option<String>,
    /// What the plan foresees.
    pub planned: Option<String>,
    /// What has become of the customer.
    pub outcome: String,
    /// Why, as a code.
    pub code: Option<String>,
    /// How grave it is.
    pub level: Option<String>,
    /// Because of which field.
    pub field: Option<String>,
    /// Why, in words.
    pub detail: Option<String>,
    /// The differences that a verification found, as JSON with keyed hashes.
    pub differences: Option<String>,
    /// The ids at the target that the planner compared, as JSON.
    pub candidates: Option<String>,
    /// What the operator decided.
    pub decision: Option<String>,
    /// How often the customer was copied, or tried to be.
    pub attempts: u64,
    /// When this last changed, in milliseconds since 1970.
    pub updated_at: i64,
}

/// What is new about a customer. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordChange {
    /// The id that the merchant knows.
    pub public_id: String,
    /// The id at the source.
    pub source_id: Option<String>,
    /// The id at the target.
    pub target_id: Option<String>,
    /// What the plan foresees.
    pub planned: Option<String>,
    /// What has become of the customer. A new record without it is `pending`.
    pub outcome: Option<String>,
    /// Why, as a code. It is replaced, like the next three, where `planned` or `outcome` is given.
    pub code: Option<String>,
    /// How grave it is.
    pub level: Option<String>,
    /// Because of which field.
    pub field: Option<String>,
    /// Why, in words. It contains no value of a customer.
    pub detail: Option<String>,
    /// The differences, as JSON. An empty text clears them.
    pub differences: Option<String>,
    /// The ids at the target that the planner compared, as JSON.
    pub candidates: Option<String>,
    /// The pass in which the source showed the customer.
    pub seen_in: Option<u64>,
    /// The decision under which a copy had this outcome; empty: there was none. If another one was taken since, the outcome
    /// and its reason stay as they are. `None`: they are replaced whatever was decided.
    pub decided: Option<String>,
}

/// How many customers have an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordCount {
    /// What has become of them.
    pub outcome: String,
    /// What the plan foresees for them.
    pub planned: Option<String>,
    /// The code of the reason.
    pub code: Option<String>,
    /// How many.
    pub count: u64,
}

fn record(mut row: Row) -> Result<RecordRow, StoreError> {
    Ok(RecordRow {
        public_id: row.text()?,
        source_id: row.maybe_text()?,
        target_id: row.maybe_text()?,
        planned: row.maybe_text()?,
        outcome: row.text()?,
        code: row.maybe_text()?,
        level: row.maybe_text()?,
        field: row.maybe_text()?,
        detail: row.maybe_text()?,
        differences: row.maybe_text()?,
        candidates: row.maybe_text()?,
        decision: row.maybe_text()?,
        attempts: unsigned(row.integer()?),
        updated_at: row.integer()?,
    })
}

/// Stores what is new about customers.
pub(in crate::store) struct KeepRecords {
    pub(in crate::store) switch_id: String,
    pub(in crate::store) records: Vec<RecordChange>,
}

/// What all changes of one statement have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Common<'c> {
    decided: Option<&'c str>,
    seen_in: Option<u64>,
    has_differences: bool,
}

/// Changes by what they have in common. No statement names a customer twice: a second change of a customer is in a later map.
fn grouped(records: &[RecordChange]) -> Vec<BTreeMap<Common<'_>, Vec<&RecordChange>>> {
    let (mut groups, mut named) = (vec![BTreeMap::<_, Vec<_>>::new()], HashSet::new());
    for change in records {
        if !named.insert(&change.public_id) {
            named = HashSet::from([&change.public_id]);
            groups.push(BTreeMap::new());
        }
        let decided = change.decided.as_deref();
        let common = Common { decided, seen_in: change.seen_in, has_differences: change.differences.is_some() };
        if let Some(last) = groups.last_mut() {
            last.entry(common).or_default().push(change);
        }
    }
    groups
}

/// A row of the statement. `attempts` is 1 exactly where there is an outcome.
fn row(change: &RecordChange) -> [Value<'_>; 12] {
    [
        Value::Text(&change.public_id),
        Value::text(change.source_id.as_deref()),
        Value::text(change.target_id.as_deref()),
        Value::text(change.planned.as_deref()),
        Value::Text(change.outcome.as_deref().unwrap_or("pending")),
        Value::text(change.code.as_deref()),
        Value::text(change.level.as_deref()),
        Value::text(change.field.as_deref()),
        Value::text(change.detail.as_deref()),
        Value::text(change.differences.as_deref().filter(|differences| !differences.is_empty())),
        Value::Integer(i64::from(change.outcome.is_some())),
        Value::text(change.candidates.as_deref()),
    ]
}

impl KeepRecords {
    pub(in crate::store) async fn perform(&self, session: &mut dyn Session, group: &Group) -> Result<(), StoreError> {
        let stays = "COALESCE(switch_records.decision, '') <> COALESCE(CAST(?3 AS TEXT), switch_records.decision, '')";
        let no_reason = "excluded.planned IS NULL AND excluded.attempts = 0";
        for (common, changes) in grouped(&self.records).into_iter().flatten() {
            for piece in pieces(&changes) {
                let mut values = vec![
                    Value::Text(&self.switch_id),
                    Value::Integer(group.now),
                    Value::text(common.decided),
                    Value::integer(common.seen_in.map(|pass| i64::try_from(pass).unwrap_or(i64::MAX))),
                    Value::Integer(i64::from(common.has_differences)),
                ];
                let rows = list(
                    &mut values,
                    piece.iter().map(|change| row(change)),
                    "?1, ?2, COALESCE(CAST(?4 AS BIGINT), 0)",
                );
                let upsert = format!(
                    "INSERT INTO switch_records (public_id, source_id, target_id, planned, outcome, code, level, field, \
                     detail, differences, attempts, candidates, switch_id, updated_at, seen_in) VALUES {rows} \
                     ON CONFLICT (switch_id, public_id) DO UPDATE SET \
                     source_id = COALESCE(excluded.source_id, switch_records.source_id), \
                     target_id = COALESCE(excluded.target_id, switch_records.target_id), \
                     planned = COALESCE(excluded.planned, switch_records.planned), \
                     outcome = CASE WHEN excluded.attempts = 0 OR {stays} THEN switch_records.outcome ELSE excluded.outcome END, \
                     code = CASE WHEN {no_reason} OR {stays} THEN switch_records.code ELSE excluded.code END, \
                     level = CASE WHEN {no_reason} OR {stays} THEN switch_records.level ELSE excluded.level END, \
                     field = CASE WHEN {no_reason} OR {stays} THEN switch_records.field ELSE excluded.field END, \
                     detail = CASE WHEN {no_reason} OR {stays} THEN switch_records.detail ELSE excluded.detail END, \
                     differences = CASE WHEN CAST(?5 AS BIGINT) = 0 THEN switch_records.differences ELSE excluded.differences END, \
                     candidates = COALESCE(excluded.candidates, switch_records.candidates), \
                     attempts = switch_records.attempts + excluded.attempts, \
                     seen_in = CASE WHEN CAST(?4 AS BIGINT) IS NULL THEN switch_records.seen_in ELSE excluded.seen_in END, \
                     updated_at = excluded.updated_at"
                );
                session.execute(&upsert, &values).await?;
            }
        }
        Ok(())
    }
}

/// Adds customers without a lease.
pub(in crate::store) struct AddRecords(pub(in crate::store) KeepRecords);

#[async_trait]
impl Work for AddRecords {
    type Done = ();

    /// Each statement decides about its rows one by one.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<(), StoreError> {
        self.0.perform(session, group).await
    }
}

/// How many customers have each outcome.
pub(in crate::store) struct Count {
    pub(in crate::store) switch_id: String,
}

#[async_trait]
impl Work for Count {
    type Done = Vec<RecordCount>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<RecordCount>, StoreError> {
        let select = "SELECT outcome, planned, code, COUNT(*) FROM switch_records WHERE switch_id = ?1 \
                      GROUP BY outcome, planned, code";
        let rows = session.rows(select, &[Value::Text(&self.switch_id)]).await?;
        let count = |mut row: Row| {
            Ok(RecordCount {
                outcome: row.text()?,
                planned: row.maybe_text()?,
                code: row.maybe_text()?,
                count: unsigned(row.integer()?),
            })
        };
        rows.into_iter().map(count).collect()
    }
}

/// The record of a customer.
pub(in crate::store) struct ReadRecord {
    pub(in crate::store) switch_id: String,
    pub(in crate::store) public_id: String,
}

#[async_trait]
impl Work for ReadRecord {
    type Done = Option<RecordRow>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Option<RecordRow>, StoreError> {
        let select = format!("SELECT {COLUMNS} FROM switch_records WHERE switch_id = ?1 AND public_id = ?2");
        let values = [Value::Text(&self.switch_id), Value::Text(&self.public_id)];
        session.rows(&select, &values).await?.pop().map(record).transpose()
    }
}

/// The records of a switch, or those with an outcome.
pub(in crate::store) struct ReadRecords {
    pub(in crate::store) switch_id: String,
    /// Whether `outcome` is what the plan foresees.
    pub(in crate::store) of_plan: bool,
    pub(in crate::store) outcome: Option<String>,
    pub(in crate::store) after: String,
    pub(in crate::store) limit: usize,
}

#[async_trait]
impl Work for ReadRecords {
    type Done = Vec<RecordRow>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<RecordRow>, StoreError> {
        let (limit, outcome) = (Value::Integer(limited(self.limit)), self.outcome.as_deref());
        let mut values = vec![Value::Text(&self.switch_id), Value::Text(&self.after), limit];
        values.extend(outcome.map(Value::Text));
        let and = match (outcome, self.of_plan) {
            (None, _) => "",
            (Some(_), false) => "AND outcome = ?4",
            // A decision to leave a customer counts before the run, too, and so does a decision that is needed about a customer
            // of an earlier switch.
            (Some(_), true) => {
                "AND CASE WHEN outcome <> 'pending' THEN outcome ELSE COALESCE(planned, outcome) END = ?4"
            }
        };
        let select = format!(
            "SELECT {COLUMNS} FROM switch_records WHERE switch_id = ?1 AND public_id > ?2 {and} \
             ORDER BY public_id LIMIT ?3"
        );
        session.rows(&select, &values).await?.into_iter().map(record).collect()
    }
}

/// The customers that no list has shown in a pass, and who are not known to be elsewhere.
pub(in crate::store) struct ReadUnseen {
    pub(in crate::store) switch_id: String,
    pub(in crate::store) pass: u64,
    pub(in crate::store) after: String,
    pub(in crate::store) limit: usize,
}

#[async_trait]
impl Work for ReadUnseen {
    type Done = Vec<RecordRow>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<RecordRow>, StoreError> {
        let select = format!(
            "SELECT {COLUMNS} FROM switch_records WHERE switch_id = ?1 AND public_id > ?2 AND seen_in < ?3 \
             AND outcome NOT IN ('pending', 'left', 'deleted', 'gone') ORDER BY public_id LIMIT ?4"
        );
        let pass = Value::Integer(i64::try_from(self.pass).unwrap_or(i64::MAX));
        let limit = Value::Integer(limited(self.limit));
        let values = [Value::Text(&self.switch_id), Value::Text(&self.after), pass, limit];
        session.rows(&select, &values).await?.into_iter().map(record).collect()
    }
}

/// Stores decisions.
pub(in crate::store) struct Decide {
    pub(in crate::store) switch_id: String,
    /// Public ids, each with its decision.
    pub(in crate::store) decisions: Vec<(String, String)>,
}

#[async_trait]
impl Work for Decide {
    type Done = Vec<String>;

    /// Each `UPDATE` decides about its rows one by one.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Vec<String>, StoreError> {
        // A statement must not name a customer twice. The last decision counts.
        let decisions: BTreeMap<&String, &String> =
            self.decisions.iter().map(|(id, decision)| (id, decision)).collect();
        let decisions: Vec<_> = decisions.into_iter().collect();
        let mut known = HashSet::new();
        for piece in pieces(&decisions) {
            let mut values = vec![Value::Text(&self.switch_id), Value::Integer(group.now)];
            let rows = piece.iter().map(|(public_id, decision)| [Value::Text(public_id), Value::Text(decision)]);
            // What was decided is copied anew, or not at all any more.
            let update = format!(
                "WITH new (public_id, decision, at) AS (VALUES {}) \
                 UPDATE switch_records SET decision = new.decision, updated_at = new.at, \
                 outcome = CASE WHEN new.decision = 'leave' THEN 'left' ELSE 'pending' END FROM new \
                 WHERE switch_records.switch_id = ?1 AND switch_records.public_id = new.public_id \
                 RETURNING switch_records.public_id",
                list(&mut values, rows, "CAST(?2 AS BIGINT)")
            );
            for mut row in session.rows(&update, &values).await? {
                known.insert(row.text()?);
            }
        }
        let unknown = self.decisions.iter().map(|(public_id, _)| public_id).filter(|id| !known.contains(*id));
        Ok(unknown.cloned().collect())
    }
}

/// Forgets what a switch that has ended does not need any more: differences, and what the planner compared.
pub(in crate::store) struct ForgetDetails {
    pub(in crate::store) switch_id: String,
}

#[async_trait]
impl Work for ForgetDetails {
    type Done = ();

    /// Each statement sets the same values whatever they were.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let id = [Value::Text(&self.switch_id)];
        let update = "UPDATE switch_records SET differences = NULL, candidates = NULL WHERE switch_id = ?1 \
                      AND (differences IS NOT NULL OR candidates IS NOT NULL)";
        session.execute(update, &id).await?;
        // Customers that only an imported file names: no plan has judged them, and no pass has seen them.
        let imported = "DELETE FROM switch_records WHERE switch_id = ?1 AND outcome = 'pending' AND planned IS NULL \
                        AND seen_in = 0 AND attempts = 0";
        session.execute(imported, &id).await?;
        session.execute("DELETE FROM switch_targets WHERE switch_id = ?1", &id).await.map(|_| ())
    }
}
