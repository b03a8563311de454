//! The statements over switches, the same for both databases.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    Held, NewSwitch, Switch, SwitchChange, SwitchState,
    records::{ForgetDetails, KeepRecords},
};
use crate::store::{
    database::{
        Group, Session, Work,
        values::{Row, Value, limited, unsigned},
    },
    error::StoreError,
};

/// The columns of a [`Switch`].
const COLUMNS: &str = "id, merchant, source, target, state, epoch, plan_hash, settings, progress, forecast, verified, \
                       blocked_by, is_stopped, created_at, progress_at";

/// The states in which a merchant has no second switch: the condition of the index, word by word.
const IS_OPEN: &str = "state IN ('planning', 'planned', 'copying', 'copied', 'switched')";

fn switch(mut row: Row) -> Result<Switch, StoreError> {
    Ok(Switch {
        id: row.text()?,
        merchant: row.text()?,
        from: row.text()?,
        to: row.text()?,
        state: row.parsed(SwitchState::parse)?,
        epoch: unsigned(row.integer()?),
        plan_hash: row.maybe_text()?,
        settings: row.text()?,
        progress: row.text()?,
        forecast: row.maybe_text()?,
        verified: row.maybe_text()?,
        blocked_by: row.maybe_text()?,
        is_stopped: row.integer()? != 0,
        created_at: row.integer()?,
        progress_at: row.integer()?,
    })
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Begins a switch.
pub(in crate::store) struct Open {
    pub(in crate::store) id: String,
    pub(in crate::store) new: NewSwitch,
}

#[async_trait]
impl Work for Open {
    type Done = Result<Switch, Switch>;

    /// It reads the open switch of the merchant, and abandons that one or refuses the new one.
    const RUNS_ALONE: bool = true;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Self::Done, StoreError> {
        let NewSwitch { merchant, from, to, epoch, settings, progress, is_stopped } = &self.new;
        let select = format!("SELECT {COLUMNS} FROM switches WHERE merchant = ?1 AND {IS_OPEN}");
        if let Some(row) = session.rows(&select, &[Value::Text(merchant)]).await?.pop() {
            let open = switch(row)?;
            if open.state != SwitchState::Planned {
                return Ok(Err(open));
            }
            let update = "UPDATE switches SET state = 'abandoned' WHERE id = ?1";
            session.execute(update, &[Value::Text(&open.id)]).await?;
            ForgetDetails { switch_id: open.id }.perform(session, group).await?;
        }
        let insert = "INSERT INTO switches (id, merchant, source, target, state, epoch, settings, progress, is_stopped, \
                      leased_until, created_at, progress_at) \
                      VALUES (?1, ?2, ?3, ?4, 'planning', ?5, ?6, ?7, ?9, 0, ?8, ?8)";
        let values = [
            Value::Text(&self.id),
            Value::Text(merchant),
            Value::Text(from),
            Value::Text(to),
            Value::Integer(signed(*epoch)),
            Value::Text(settings),
            Value::Text(progress),
            Value::Integer(group.now),
            Value::Integer(i64::from(*is_stopped)),
        ];
        session.execute(insert, &values).await?;
        let select = format!("SELECT {COLUMNS} FROM switches WHERE id = ?1");
        let mut rows = session.rows(&select, &[Value::Text(&self.id)]).await?;
        let damaged = || StoreError::Damaged("a switch that was just stored is not there".to_owned());
        Ok(Ok(switch(rows.pop().ok_or_else(damaged)?)?))
    }
}

/// Which switches are read.
pub(in crate::store) enum Selected {
    Id(String),
    Merchant(String),
    /// Open ones.
    Open,
    /// Open ones with work.
    Working,
    /// Those of one merchant or of all, with ids below this one.
    List {
        merchant: Option<String>,
        before: Option<String>,
    },
}

/// Switches, the newest first.
pub(in crate::store) struct Read {
    pub(in crate::store) selected: Selected,
    pub(in crate::store) limit: usize,
}

#[async_trait]
impl Work for Read {
    type Done = Vec<Switch>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<Switch>, StoreError> {
        let limit = Value::Integer(limited(self.limit));
        let rows = match &self.selected {
            Selected::Id(id) => {
                let select = format!("SELECT {COLUMNS} FROM switches WHERE id = ?1 LIMIT ?2");
                session.rows(&select, &[Value::Text(id), limit]).await?
            }
            Selected::Merchant(merchant) => {
                let select = format!(
                    "SELECT {COLUMNS} FROM switches WHERE merchant = ?1 ORDER BY created_at DESC, id DESC LIMIT ?2"
                );
                session.rows(&select, &[Value::Text(merchant), limit]).await?
            }
            Selected::Open => {
                let select = format!("SELECT {COLUMNS} FROM switches WHERE {IS_OPEN} LIMIT ?1");
                session.rows(&select, &[limit]).await?
            }
            Selected::Working => {
                let select = format!("SELECT {COLUMNS} FROM switches WHERE {IS_OPEN} AND state <> 'planned' LIMIT ?1");
                session.rows(&select, &[limit]).await?
            }
            Selected::List { merchant, before } => {
                // Ids begin with the time.
                let before = before.as_deref().unwrap_or("sw_~");
                let mut values = vec![limit, Value::Text(before)];
                values.extend(merchant.as_deref().map(Value::Text));
                let and = if merchant.is_some() { "AND merchant = ?3" } else { "" };
                let select = format!("SELECT {COLUMNS} FROM switches WHERE id < ?2 {and} ORDER BY id DESC LIMIT ?1");
                session.rows(&select, &values).await?
            }
        };
        rows.into_iter().map(switch).collect()
    }
}

/// Changes a switch that is as it was seen.
pub(in crate::store) struct Settle {
    pub(in crate::store) id: String,
    pub(in crate::store) state: SwitchState,
    pub(in crate::store) epoch: u64,
    pub(in crate::store) worker: Option<String>,
    pub(in crate::store) change: SwitchChange,
}

#[async_trait]
impl Work for Settle {
    type Done = bool;

    /// One `UPDATE` decides.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let change = &self.change;
        let update = "UPDATE switches SET state = COALESCE(CAST(?4 AS TEXT), state), epoch = COALESCE(?5, epoch), \
                      plan_hash = COALESCE(?6, plan_hash), progress = COALESCE(?7, progress), \
                      settings = COALESCE(?8, settings), is_stopped = COALESCE(?9, is_stopped), \
                      forecast = COALESCE(?10, forecast), verified = COALESCE(?11, verified), \
                      blocked_by = CASE WHEN CAST(?12 AS BIGINT) = 0 THEN blocked_by ELSE ?13 END, \
                      progress_at = CASE WHEN CAST(?4 AS TEXT) IS NULL THEN progress_at ELSE ?14 END \
                      WHERE id = ?1 AND state = ?2 AND epoch = ?3 AND (CAST(?15 AS TEXT) IS NULL OR worker = ?15)";
        let values = [
            Value::Text(&self.id),
            Value::Text(self.state.as_str()),
            Value::Integer(signed(self.epoch)),
            Value::text(change.state.map(SwitchState::as_str)),
            Value::integer(change.epoch.map(signed)),
            Value::text(change.plan_hash.as_deref()),
            Value::text(change.progress.as_deref()),
            Value::text(change.settings.as_deref()),
            Value::integer(change.is_stopped.map(i64::from)),
            Value::text(change.forecast.as_deref()),
            Value::text(change.verified.as_deref()),
            Value::Integer(i64::from(change.blocked_by.is_some())),
            Value::text(change.blocked_by.as_ref().and_then(|blocked_by| blocked_by.as_deref())),
            Value::Integer(group.now),
            Value::text(self.worker.as_deref()),
        ];
        Ok(session.execute(update, &values).await? == 1)
    }
}

/// Takes the switches that have work and no living worker.
pub(in crate::store) struct Lease {
    pub(in crate::store) worker: String,
    pub(in crate::store) lease: Duration,
    /// Whether every other worker is dead.
    pub(in crate::store) is_exclusive: bool,
}

#[async_trait]
impl Work for Lease {
    type Done = Vec<Switch>;

    /// One `UPDATE` decides.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Vec<Switch>, StoreError> {
        let update = format!(
            "UPDATE switches SET worker = ?1, leased_until = ?2 \
             WHERE {IS_OPEN} AND state <> 'planned' AND is_stopped = 0 \
             AND (worker IS NULL OR leased_until <= ?3 OR (CAST(?4 AS BIGINT) = 1 AND worker <> ?1)) RETURNING {COLUMNS}"
        );
        let values = [
            Value::Text(&self.worker),
            Value::Integer(group.now.saturating_add(millis(self.lease))),
            Value::Integer(group.now),
            Value::Integer(i64::from(self.is_exclusive)),
        ];
        session.rows(&update, &values).await?.into_iter().map(switch).collect()
    }
}

/// Renews a lease, and reads what its holder must know.
pub(in crate::store) struct Control {
    pub(in crate::store) id: String,
    pub(in crate::store) worker: String,
    pub(in crate::store) lease: Duration,
}

#[async_trait]
impl Work for Control {
    type Done = Option<Held>;

    /// One `UPDATE` decides.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<Option<Held>, StoreError> {
        let update = format!(
            "UPDATE switches SET leased_until = ?3 WHERE id = ?1 AND worker = ?2 AND {IS_OPEN} \
             RETURNING state, is_stopped"
        );
        let until = Value::Integer(group.now.saturating_add(millis(self.lease)));
        let rows = session.rows(&update, &[Value::Text(&self.id), Value::Text(&self.worker), until]).await?;
        let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
        let state = row.parsed(SwitchState::parse)?;
        Ok(Some(Held { state, is_stopped: row.integer()? != 0, lease: self.lease }))
    }
}

/// Gives a lease back.
pub(in crate::store) struct Release {
    pub(in crate::store) id: String,
    pub(in crate::store) worker: String,
}

#[async_trait]
impl Work for Release {
    type Done = ();

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<(), StoreError> {
        let update = "UPDATE switches SET worker = NULL, leased_until = 0 WHERE id = ?1 AND worker = ?2";
        session.execute(update, &[Value::Text(&self.id), Value::Text(&self.worker)]).await.map(|_| ())
    }
}

/// Stores a page of a walk.
pub(in crate::store) struct Store {
    pub(in crate::store) id: String,
    pub(in crate::store) worker: String,
    pub(in crate::store) progress: Option<String>,
    pub(in crate::store) keep: KeepRecords,
}

#[async_trait]
impl Work for Store {
    type Done = bool;

    /// The first `UPDATE` decides, and locks the row of the switch until the commit, so that the lease stays.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        let is_held = progressed(session, group, &self.id, &self.worker, self.progress.as_deref()).await?;
        if is_held {
            self.keep.perform(session, group).await?;
        }
        Ok(is_held)
    }
}

/// Moves the walk of a switch on. `false`: the lease is another's.
pub(super) async fn progressed(
    session: &mut dyn Session,
    group: &Group,
    id: &str,
    worker: &str,
    progress: Option<&str>,
) -> Result<bool, StoreError> {
    let update = "UPDATE switches SET progress = COALESCE(?3, progress), progress_at = ?4, blocked_by = NULL \
                  WHERE id = ?1 AND worker = ?2";
    let values = [Value::Text(id), Value::Text(worker), Value::text(progress), Value::Integer(group.now)];
    Ok(session.execute(update, &values).await? == 1)
}
