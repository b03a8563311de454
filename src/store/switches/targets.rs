//! The statements over what the planner saw at the target, the same for both databases.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;

use super::rows::progressed;
use crate::store::{
    database::{
        Group, Session, Work,
        lists::{list, pieces, places},
        values::{Value, limited},
    },
    error::StoreError,
};

/// By what a record at the target is found. The hashes are keyed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetKeys {
    /// The hash of its e-mail address.
    pub email_hash: Option<String>,
    /// The hash of its phone number.
    pub phone_hash: Option<String>,
    /// The hash of its reference, where `switch.reference` names one.
    pub reference_hash: Option<String>,
    /// The gateway's marker in its metadata.
    pub marker: Option<String>,
}

/// A record that the list of the target has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its id there.
    pub provider_id: String,
    /// By what it is found.
    pub keys: TargetKeys,
    /// The customer that it belongs to.
    pub linked: Option<String>,
}

/// Stores what the planner saw at the target, and where its walk goes on.
pub(in crate::store) struct KeepTargets {
    pub(in crate::store) switch_id: String,
    pub(in crate::store) worker: String,
    pub(in crate::store) progress: String,
    pub(in crate::store) targets: Vec<Target>,
}

#[async_trait]
impl Work for KeepTargets {
    type Done = bool;

    /// The `UPDATE` of the switch decides, and locks its row.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, group: &mut Group) -> Result<bool, StoreError> {
        if !progressed(session, group, &self.switch_id, &self.worker, Some(&self.progress)).await? {
            return Ok(false);
        }
        // A statement must not name a record twice. The last one counts that is linked, or the last one.
        let mut targets = BTreeMap::<&str, &Target>::new();
        for target in &self.targets {
            let place = targets.entry(&target.provider_id).or_insert(target);
            if target.linked.is_some() || place.linked.is_none() {
                *place = target;
            }
        }
        let targets: Vec<&Target> = targets.into_values().collect();
        for piece in pieces(&targets) {
            let mut values = vec![Value::Text(&self.switch_id)];
            let rows = piece.iter().map(|Target { provider_id, keys, linked }| {
                [
                    Value::Text(provider_id),
                    Value::text(keys.email_hash.as_deref()),
                    Value::text(keys.phone_hash.as_deref()),
                    Value::text(keys.marker.as_deref()),
                    Value::text(linked.as_deref()),
                    Value::text(keys.reference_hash.as_deref()),
                ]
            });
            let upsert = format!(
                "INSERT INTO switch_targets \
                 (provider_id, email_hash, phone_hash, marker, linked, reference_hash, switch_id) \
                 VALUES {} ON CONFLICT (switch_id, provider_id) DO UPDATE SET \
                 email_hash = excluded.email_hash, phone_hash = excluded.phone_hash, marker = excluded.marker, \
                 reference_hash = excluded.reference_hash, linked = COALESCE(excluded.linked, switch_targets.linked)",
                list(&mut values, rows, "?1")
            );
            session.execute(&upsert, &values).await?;
        }
        Ok(true)
    }
}

/// The targets that a customer may be. Each place has an index of its own.
pub(in crate::store) struct Candidates {
    pub(in crate::store) switch_id: String,
    pub(in crate::store) public_id: String,
    pub(in crate::store) keys: TargetKeys,
}

/// The most candidates that are compared. More are ambiguous in any case.
const CANDIDATES: usize = 8;

/// The most ids of one statement.
const CHUNK: usize = 512;

#[async_trait]
impl Work for Candidates {
    type Done = Vec<Target>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<Target>, StoreError> {
        let places = [
            ("linked", Some(&self.public_id)),
            ("marker", self.keys.marker.as_ref()),
            ("email_hash", self.keys.email_hash.as_ref()),
            ("phone_hash", self.keys.phone_hash.as_ref()),
            ("reference_hash", self.keys.reference_hash.as_ref()),
        ];
        let mut found: Vec<Target> = Vec::new();
        for (column, value) in places {
            let Some(value) = value else { continue };
            let select = format!(
                "SELECT provider_id, email_hash, phone_hash, reference_hash, marker, linked FROM switch_targets \
                 WHERE switch_id = ?1 AND {column} = ?2 ORDER BY provider_id LIMIT ?3"
            );
            let limit = Value::Integer(limited(CANDIDATES));
            for mut row in session.rows(&select, &[Value::Text(&self.switch_id), Value::Text(value), limit]).await? {
                let target = Target {
                    provider_id: row.text()?,
                    keys: TargetKeys {
                        email_hash: row.maybe_text()?,
                        phone_hash: row.maybe_text()?,
                        reference_hash: row.maybe_text()?,
                        marker: row.maybe_text()?,
                    },
                    linked: row.maybe_text()?,
                };
                if !found.iter().any(|known| known.provider_id == target.provider_id) {
                    found.push(target);
                }
            }
        }
        Ok(found)
    }
}

/// Binds a target to a customer.
pub(in crate::store) struct Link {
    pub(in crate::store) switch_id: String,
    pub(in crate::store) provider_id: String,
    pub(in crate::store) public_id: String,
}

#[async_trait]
impl Work for Link {
    type Done = bool;

    /// One `UPDATE` decides.
    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<bool, StoreError> {
        let update = "UPDATE switch_targets SET linked = ?3 \
                      WHERE switch_id = ?1 AND provider_id = ?2 AND (linked IS NULL OR linked = ?3)";
        let values = [&self.switch_id, &self.provider_id, &self.public_id].map(|text| Value::Text(text));
        Ok(session.execute(update, &values).await? == 1)
    }
}

/// Which of these records the target's list has shown.
pub(in crate::store) struct ReadListed {
    pub(in crate::store) switch_id: String,
    pub(in crate::store) provider_ids: Vec<String>,
}

#[async_trait]
impl Work for ReadListed {
    type Done = Vec<bool>;

    const RUNS_ALONE: bool = false;

    async fn perform(&self, session: &mut dyn Session, _: &mut Group) -> Result<Vec<bool>, StoreError> {
        let mut listed = HashSet::new();
        for ids in self.provider_ids.chunks(CHUNK) {
            let mut values = vec![Value::Text(&self.switch_id)];
            let places = places(&mut values, ids.iter().map(|id| Value::Text(id)));
            let select =
                format!("SELECT provider_id FROM switch_targets WHERE switch_id = ?1 AND provider_id IN ({places})");
            for mut row in session.rows(&select, &values).await? {
                listed.insert(row.text()?);
            }
        }
        Ok(self.provider_ids.iter().map(|id| listed.contains(id)).collect())
    }
}
