//! The operator's API, on a listener of its own: health and metrics for everybody who reaches it, and for the operator's
//! keys the switches, the writes and the audit. It has the manner of the merchants' API: problems, request ids, pages.

mod access;
pub(crate) mod answer;
mod files;
mod kept;
mod listed;
pub mod openapi;
pub mod requests;
mod schema;
mod scrape;
mod switches;

use std::sync::Arc;

use axum::{
    extract::FromRef,
    routing::{MethodRouter, get, post, put},
};

pub(crate) use access::Addressed;
pub use kept::{AuditView, OperationOfMerchantList};

use crate::{http as api, state::App, switch::service::SwitchService};

/// The state of the operator's handlers.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The state of the gateway.
    pub app: Arc<App>,
    /// The switches.
    pub switches: Arc<dyn SwitchService>,
}

impl FromRef<Operator> for Arc<App> {
    fn from_ref(operator: &Operator) -> Self {
        Self::clone(&operator.app)
    }
}

/// What the listener says about a path that it does not have.
pub const UNKNOWN_PATH: &str = "the operator's API does not have this path; GET /openapi.json lists the paths";

/// The routes of the operator's listener.
pub fn routes(app: &Arc<App>, switches: Arc<dyn SwitchService>) -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    let mut routes: Vec<(&'static str, MethodRouter<Arc<App>>)> = vec![
        ("/metrics", get(scrape::metrics)),
        ("/openapi.json", get(openapi::document)),
        ("/docs/problems", get(api::docs::problems)),
        ("/v1/operations", get(kept::operations)),
        ("/v1/audit", get(kept::audit)),
        ("/v1/audit/verification", get(kept::verify_audit)),
    ];
    routes.extend(api::health_routes());
    let operator = Operator { app: Arc::clone(app), switches };
    let of_switches: [(&'static str, MethodRouter<Operator>); 19] = [
        ("/v1/switches", get(switches::all).post(switches::plan)),
        ("/v1/switches/{id}", get(switches::one)),
        ("/v1/switches/{id}/run", post(switches::run)),
        ("/v1/switches/{id}/stop", post(switches::stop)),
        ("/v1/switches/{id}/rate", post(switches::rate)),
        ("/v1/switches/{id}/decisions", post(switches::decisions)),
        ("/v1/switches/{id}/verify", post(switches::verify)),
        ("/v1/switches/{id}/cutover", post(switches::cutover)),
        ("/v1/switches/{id}/rollback", post(switches::rollback)),
        ("/v1/switches/{id}/complete", post(switches::complete)),
        ("/v1/switches/{id}/abandon", post(switches::abandon)),
        ("/v1/switches/{id}/records", get(files::records)),
        ("/v1/switches/{id}/map.csv", get(files::map)),
        ("/v1/switches/{id}/results.csv", get(files::results)),
        ("/v1/switches/{id}/errors.csv", get(files::errors)),
        ("/v1/switches/{id}/decisions.csv", get(files::undecided)),
        ("/v1/switches/{id}/report.html", get(files::report)),
        ("/v1/merchants/{merchant}/active", put(switches::active)),
        ("/v1/merchants/{merchant}/switch", get(switches::of_merchant)),
    ];
    routes.extend(of_switches.map(|(path, methods)| (path, methods.with_state(operator.clone()))));
    routes
}
