//! The handlers for capabilities: what every provider supports, and what the caller's own provider supports.

use axum::{extract::Path, response::Response};
use http::StatusCode;
use passerelle_providers::model::Operation;
use serde::Serialize;
use utoipa::ToSchema;

use super::{answer::json, request::Caller, schema};
use crate::{
    capabilities::{ProviderView, manifests, manifests_of},
    execution,
    merchant::Action,
    openapi::{ListObject, LossPolicy, MerchantObject, ProviderObject, VersionObject},
    problem::{Code, Problem},
};

/// Every provider.
#[derive(Serialize, ToSchema)]
struct AllProviders {
    /// Always `list`.
    #[schema(value_type = ListObject, inline)]
    object: &'static str,
    /// The providers, one entry per generation of their APIs.
    data: Vec<ProviderView>,
}

/// One provider with the generations of its API.
#[derive(Serialize, ToSchema)]
struct OneProvider {
    /// Always `provider`.
    #[schema(value_type = ProviderObject, inline)]
    object: &'static str,
    /// The name.
    name: String,
    /// Its generations, the default one first.
    generations: Vec<ProviderView>,
}

/// A merchant and its active connection.
#[derive(Serialize, ToSchema)]
struct MerchantView {
    /// Always `merchant`.
    #[schema(value_type = MerchantObject, inline)]
    object: &'static str,
    /// The name in the gateway's configuration.
    name: String,
    /// The home region.
    #[schema(required, pattern = "^[A-Z]{2}$")]
    region: Option<&'static str>,
    /// The loss policy: `reject`, `carry` or `drop`.
    #[schema(value_type = LossPolicy)]
    on_loss: &'static str,
    /// The active connection.
    connection: String,
    /// What its provider supports.
    provider: ProviderView,
}

/// `GET /v1/providers`
#[utoipa::path(
    get, path = "/v1/providers", operation_id = "list_providers", tag = "capabilities", summary = "What every provider supports",
    description = "What every provider supports: operations, fields, filters, look-ups and paging. It is the same for all merchants.",
    responses((status = 200, description = "Every provider, one entry per generation of its API.", body = AllProviders), schema::Problems),
)]
pub async fn all(caller: Caller) -> Result<Response, Problem> {
    caller.merchant(Action::Capabilities)?;
    let providers = AllProviders { object: "list", data: manifests().map(ProviderView::from).collect() };
    Ok(json(StatusCode::OK, &providers, 16_384))
}

/// `GET /v1/providers/{name}`
#[utoipa::path(
    get, path = "/v1/providers/{name}", operation_id = "retrieve_provider", tag = "capabilities", summary = "What one provider supports",
    description = "What one provider supports, one entry for each generation of its API.",
    params(("name" = String, Path, pattern = "^[a-z0-9_]{1,64}$", example = "lomi", description = "The provider's name.")),
    responses((status = 200, description = "The provider with the generations of its API.", body = OneProvider), schema::Problems),
)]
pub async fn one(
    caller: Caller,
    name: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Response, Problem> {
    caller.merchant(Action::Capabilities)?;
    let Ok(Path(name)) = name else {
        return Err(Problem::new(Code::NotFound, "there is no such provider; GET /v1/providers lists them"));
    };
    let generations: Vec<ProviderView> = manifests_of(&name).into_iter().map(ProviderView::from).collect();
    match generations.is_empty() {
        true => Err(Problem::new(Code::NotFound, "there is no such provider; GET /v1/providers lists them")),
        false => Ok(json(StatusCode::OK, &OneProvider { object: "provider", name, generations }, 8192)),
    }
}

/// The version of the gateway.
#[derive(Serialize, ToSchema)]
struct VersionView {
    /// Always `version`.
    #[schema(value_type = VersionObject, inline)]
    object: &'static str,
    /// The version, as Semantic Versioning writes it.
    #[schema(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+", example = "0.1.0")]
    version: &'static str,
}

/// `GET /v1/version`
#[utoipa::path(
    get, path = "/v1/version", operation_id = "retrieve_version", tag = "capabilities", summary = "The version of the gateway",
    description = "The version of the gateway that answers. While it is upgraded, replicas can have different ones.",
    responses((status = 200, description = "The version.", body = VersionView), schema::Problems),
)]
pub async fn version(caller: Caller) -> Result<Response, Problem> {
    caller.merchant(Action::Capabilities)?;
    Ok(json(StatusCode::OK, &VersionView { object: "version", version: env!("CARGO_PKG_VERSION") }, 64))
}

/// `GET /v1/merchant`
#[utoipa::path(
    get, path = "/v1/merchant", operation_id = "retrieve_merchant", tag = "capabilities", summary = "What the caller's provider supports",
    description = "The merchant that the key belongs to, its active connection, and what that connection's provider supports.",
    responses((status = 200, description = "The merchant and its active connection.", body = MerchantView), schema::Problems),
)]
pub async fn merchant(caller: Caller) -> Result<Response, Problem> {
    let merchant = caller.merchant(Action::Capabilities)?;
    let active = execution::active(merchant)
        .await
        .map_err(|error| Problem::from_error(&error, Operation::List, &merchant.active))?;
    let body = MerchantView {
        object: "merchant",
        name: merchant.name.clone(),
        region: merchant.region.map(passerelle_providers::text::country::Region::alpha2),
        on_loss: merchant.on_loss.as_str(),
        connection: active.name.clone(),
        provider: active.manifest.into(),
    };
    Ok(json(StatusCode::OK, &body, 8192))
}
