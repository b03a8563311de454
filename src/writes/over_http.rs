//! Writes over HTTP, for the API and for drop-in alike: reads the idempotency headers of a request, and makes a
//! response from an answer or a problem from a refusal. `http` and `drop_in` call it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Formerly, Idempotency, Refused, WriteAnswer};
use crate::{
    problem::{AlreadyWritten, Code, IDEMPOTENCY_STATUS, OPERATION_ID, Problem},
    store::StoredAnswer,
};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 255;

/// Reads the idempotency headers of a request. The headers are validated here, before the store is asked.
pub fn idempotency(headers: &HeaderMap) -> Result<Idempotency, Problem> {
    Ok(Idempotency { key: idempotency_key(headers)?, joins: joins(headers)? })
}

/// Whether a write without a key may join another one. It may, unless the client sends `Idempotency-Coalesce: off`.
fn joins(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut values = headers.get_all("idempotency-coalesce").iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(true),
        (Some(only), None) if only == "off" => Ok(false),
        _ => Err(Problem::new(
            Code::MalformedRequest,
            "`Idempotency-Coalesce` can only be `off`; leave it out otherwise",
        )),
    }
}

/// The idempotency key of a write. The gateway does not interpret it.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(header) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Problem::new(
            Code::MalformedRequest,
            "the request has more than one `Idempotency-Key`; send only one",
        ));
    }
    let is_valid = (1..=LONGEST_KEY).contains(&header.len()) && header.as_bytes().iter().all(u8::is_ascii_graphic);
    match header.to_str() {
        Ok(key) if is_valid => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(
            Code::MalformedRequest,
            format!("an `Idempotency-Key` must be 1 to {LONGEST_KEY} visible ASCII characters, such as a UUID"),
        )),
    }
}

/// The response for an answer, with the headers that describe it.
pub fn response(answer: WriteAnswer) -> http::Response<Bytes> {
    let WriteAnswer { id, answer, failure, is_replay } = answer;
    let mut response = http::Response::new(answer.body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.extend(answer.headers);
    headers.insert(IDEMPOTENCY_STATUS, HeaderValue::from_static(if is_replay { "replayed" } else { "created" }));
    if is_replay {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(OPERATION_ID, id);
    }
    if let Some(failure) = failure {
        response.extensions_mut().insert(AlreadyWritten(failure));
    }
    response
}

/// The problem for a write that was refused.
pub fn refusal(refused: Refused) -> Problem {
    match refused {
        Refused::Store(error) => {
            tracing::error!("a write was refused, because the store could not record it: {error}");
            let detail = "the store cannot record writes now, so nothing was sent; try again later; reads still work";
            Problem::new(Code::StoreUnavailable, detail)
        }
        Refused::InProgress(id) => {
            let detail = "the same write is still in flight; send the request again to get its answer";
            Problem::new(Code::IdempotencyInProgress, detail).with_operation_id(id.to_string())
        }
        Refused::Reused(id) => {
            let detail = format!(
                "this `Idempotency-Key` was used for another request before, and nothing was sent now; read `GET \
                 /v1/operations/{id}` first: if that write is the one you mean, do not send it again; a new key is for \
                 another write"
            );
            Problem::new(Code::IdempotencyKeyReused, detail).with_operation_id(id.to_string())
        }
        Refused::Expired(Formerly { customer, .. }) => {
            let detail = "the write with this `Idempotency-Key` is finished, and its answer is no longer stored; \
                          nothing was sent again";
            Problem::new(Code::IdempotencyKeyExpired, detail).with_existing(customer)
        }
        Refused::Erased(Formerly { customer, .. }) => {
            let detail = "the customer was deleted since, and the answer to this `Idempotency-Key` was erased with it";
            Problem::new(Code::ReplayErased, detail).with_existing(customer)
        }
        Refused::Moved(_) => moved_too_often(),
        Refused::Fault => {
            let detail = "an unexpected fault, which is in the gateway's log; if the write was sent, the gateway \
                          reconciles it";
            Problem::new(Code::Internal, detail).with_unknown_outcome()
        }
    }
}

/// The problem of a write whose customer was moved as often as it was planned.
pub fn moved_too_often() -> Problem {
    let detail = "the customers of the merchant are being moved to another connection, and nothing was sent; try again";
    Problem::new(Code::StoreUnavailable, detail)
}

/// The answer that the store keeps, from a response.
pub fn answer(response: http::Response<Bytes>) -> StoredAnswer {
    let headers = response.headers().iter().map(|(name, value)| (name.clone(), value.clone()));
    StoredAnswer { status: response.status().as_u16(), headers: headers.collect(), body: response.into_body() }
}
