//! How a write is asked for and answered over HTTP, in whichever language: idempotency headers, kept answers, refusals.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Idempotency, Refused, WriteAnswer};
use crate::{
    problem::{AlreadyWritten, Code, IDEMPOTENCY_STATUS, OPERATION_ID, Problem},
    store::KeptAnswer,
};

const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The longest idempotency key, in bytes.
const LONGEST_KEY: usize = 255;

/// What a request says of being sent again.
pub fn idempotency(headers: &HeaderMap) -> Result<Idempotency, Problem> {
    Ok(Idempotency { key: idempotency_key(headers)?, joins: joins(headers)? })
}

/// Whether a write without a key may be a repetition of another one, which it is not if its caller says so.
fn joins(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut told = headers.get_all("idempotency-coalesce").iter();
    match (told.next(), told.next()) {
        (None, _) => Ok(true),
        (Some(only), None) if only == "off" => Ok(false),
        _ => Err(Problem::new(Code::MalformedRequest, "an `Idempotency-Coalesce` can only be `off`")),
    }
}

/// The key of a write. It is opaque to us, and never looked up before it is known to be one.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(header) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Problem::new(Code::MalformedRequest, "send one `Idempotency-Key`"));
    }
    let is_key = (1..=LONGEST_KEY).contains(&header.len()) && header.as_bytes().iter().all(u8::is_ascii_graphic);
    match header.to_str() {
        Ok(key) if is_key => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(
            Code::MalformedRequest,
            format!("an `Idempotency-Key` is 1 to {LONGEST_KEY} visible ASCII characters, such as a UUID"),
        )),
    }
}

/// An answer, with what the gateway knows of it beside.
pub fn response(told: WriteAnswer) -> http::Response<Bytes> {
    let WriteAnswer { id, answer, failure, is_replay } = told;
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

/// Why a write was not carried out.
pub fn refusal(refused: Refused) -> Problem {
    match refused {
        Refused::Store(error) => {
            tracing::error!("a write was refused, because it could not be recorded: {error}");
            Problem::new(Code::StoreUnavailable, "writes cannot be recorded now, so none is sent; reads go on")
        }
        Refused::InProgress(id) => {
            Problem::new(Code::IdempotencyInProgress, "the same request is under way; ask again for its answer")
                .with_operation_id(id.to_string())
        }
        Refused::Reused => {
            Problem::new(Code::IdempotencyKeyReused, "this `Idempotency-Key` came with another request before")
        }
        Refused::Expired(customer) => {
            let told = "the answer to this `Idempotency-Key` is not kept any more; it was carried out";
            Problem::new(Code::IdempotencyKeyExpired, told).with_existing(customer)
        }
        Refused::Erased(customer) => {
            let told = "the customer was deleted since, and what was answered to this `Idempotency-Key` went with it";
            Problem::new(Code::ReplayErased, told).with_existing(customer)
        }
        Refused::Fault => {
            let told = "an unexpected fault; it is in the gateway's log, and what was in_flight_write is outcome for";
            Problem::new(Code::Internal, told).leaving_doubt()
        }
    }
}

/// A response as the store keeps it.
pub fn answer(response: http::Response<Bytes>) -> KeptAnswer {
    let headers = response.headers().iter().map(|(name, value)| (name.clone(), value.clone()));
    KeptAnswer { status: response.status().as_u16(), headers: headers.collect(), body: response.into_body() }
}
