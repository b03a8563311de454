//! The spans of reconciliations. The record of a write has the span of the request that began it, if that is sampled. So
//! each reconciliation by a worker, also in another process or after a restart, is linked to that request.

use std::sync::{Arc, Weak};

use passerelle_providers::model::Operation;

use super::{AttemptTime, LeaseGuard, Record, StoredWrite, Writes};
use crate::{metrics::request::after_request, traces::Sampled};

impl Writes {
    /// Reconciles a write for which no client waits.
    pub(super) async fn reconcile_alone(self: Arc<Self>, record: Record, lease: LeaseGuard, time: &AttemptTime) {
        let sampled = self.gateway.load().traces.as_ref().and_then(|traces| {
            let request = record.command.as_deref().and_then(StoredWrite::trace)?;
            Some(Sampled::later(&traces.queue, request))
        });
        let operation = Operation::parse(&record.operation);
        let no_client = Weak::new();
        let reconciling = self.reconcile(record, lease, time, &no_client);
        match sampled {
            Some(sampled) => Box::pin(after_request(sampled, operation, reconciling)).await,
            None => reconciling.await,
        };
    }
}
