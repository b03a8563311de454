//! Answers of lomi for measurements: the create of a fixture, and pages of any length.

pub(crate) mod page;

use bytes::Bytes;
use passerelle_providers::model::Response;

/// The command of the fixture that sets every field of lomi.
pub(crate) const CREATE: &str = include_str!("../../fixtures/lomi/create/every_field/command.json");

/// The answer of lomi to it.
pub(crate) fn created() -> Response {
    let recorded = include_str!("../../fixtures/lomi/create/every_field/response.http");
    let (_, body) = recorded.split_once("\n\n").unwrap_or_default();
    let mut response = Response::new(Bytes::from_static(body.as_bytes()));
    *response.status_mut() = http::StatusCode::CREATED;
    response
}
