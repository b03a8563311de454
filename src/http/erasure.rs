//! `DELETE /v1/customers/{id}?elsewhere=true`: erases a customer whose home cannot delete at every other connection.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use passerelle_providers::{
    api::view::DeletedView,
    model::{Command, CustomerId, Operation},
};

use super::{
    answer::{json_response, written},
    request::Call,
};
use crate::{
    execution,
    problem::Problem,
    state::App,
    store::StoreError,
    writes::{self, Refused, over_http},
};

/// The initial buffer size for the answer, in bytes.
const USUAL_SIZE: usize = 512;

/// Begins the erasures, and answers with the receipts. The request can be repeated to see how far they are.
pub(super) async fn erase_elsewhere(app: &Arc<App>, call: &Call, id: CustomerId) -> Result<Response, Problem> {
    if call.explain {
        return Err(Problem::invalid_one("explain", "cannot be combined with `elsewhere`"));
    }
    let mut command = Command::Delete(id);
    let home = execution::resolve(&call.merchant, &mut command, None).await.map_err(|error| call.failure(&error))?;
    let Err(cannot) = home.connection.manifest.require(Operation::Delete) else {
        let detail = "is for a customer whose provider cannot delete; delete this customer without it";
        return Err(Problem::invalid_one("elsewhere", detail));
    };
    let Some(public_id) = home.customer.map(|customer| customer.public_id) else {
        // No other connection holds it.
        return Err(call.failure(&cannot));
    };
    let (merchant, connection) = (&call.merchant, &home.connection);
    let unavailable = |error: StoreError| over_http::refusal(Refused::Store(error));
    if !app.store.ids().erase_elsewhere(&merchant.name, &public_id, &connection.name).await.map_err(unavailable)? {
        return Err(over_http::moved_too_often());
    }
    let others = app.writes.receipts_elsewhere(merchant, connection, &public_id).await.map_err(unavailable)?;
    let receipts: Vec<_> = [writes::receipt(merchant, &connection.name)].into_iter().chain(others).collect();
    let view = DeletedView { id: &public_id, deleted: false, receipts: &receipts };
    Ok(json_response(StatusCode::OK, written(&view, None, USUAL_SIZE)))
}
