//! The merchants: which connection serves each of them, whether its breakers are open, and what the merchant would lose at
//! another provider.

use askama::Template;
use axum::{extract::Path, response::Response};
use passerelle_providers::text::country::Region;
use serde::Serialize;

use super::{
    comparison::Comparison,
    layout::Section,
    viewer::{Page, Viewer},
};
use crate::{
    capabilities::{ProviderView, manifests, manifests_of},
    execution,
    merchant::{Connection, Merchant},
    problem::{Code, Problem},
};

/// The page of all merchants.
#[derive(Debug, Template, Serialize)]
#[template(path = "merchants.html")]
struct Merchants {
    /// The provider that they are compared with.
    against: Option<String>,
    /// The providers to choose from.
    providers: Vec<&'static str>,
    merchants: Vec<MerchantRow>,
}

/// A merchant.
#[derive(Debug, Serialize)]
struct MerchantRow {
    name: String,
    region: Option<&'static str>,
    /// What happens to fields that the provider has no place for, unless the request says otherwise.
    on_loss: &'static str,
    /// Whether the gateway may keep such fields.
    allows_carry: bool,
    /// The active connection. `null` if the store does not say it now.
    active: Option<String>,
    /// Why the active connection is not known.
    unknown_because: Option<String>,
    connections: Vec<ConnectionRow>,
    comparison: Option<Comparison>,
}

/// A connection of a merchant.
#[derive(Debug, Serialize)]
struct ConnectionRow {
    name: String,
    provider: &'static str,
    generation: &'static str,
    livemode: bool,
    is_active: bool,
    /// How many breakers stop its requests: its own, those of single operations, and that of its provider's host.
    open_breakers: usize,
}

/// The page of one merchant.
#[derive(Debug, Template, Serialize)]
#[template(path = "merchant.html")]
struct OneMerchant {
    #[serde(flatten)]
    merchant: MerchantRow,
    against: Option<String>,
    providers: Vec<&'static str>,
}

impl MerchantRow {
    fn serving(&self) -> Option<&ConnectionRow> {
        self.connections.iter().find(|connection| connection.is_active)
    }
}

impl Page for Merchants {
    const SECTION: Option<Section> = Some(Section::Merchants);

    fn title(&self) -> String {
        "Merchants".to_owned()
    }
}

impl Page for OneMerchant {
    const SECTION: Option<Section> = Some(Section::Merchants);

    fn title(&self) -> String {
        format!("Merchant {}", self.merchant.name)
    }
}

/// `GET /console/merchants`
pub(super) async fn page(viewer: Viewer) -> Result<Response, Problem> {
    let (against, other) = against(&viewer)?;
    let mut merchants = Vec::new();
    for merchant in viewer.gateway.merchants() {
        merchants.push(row(merchant, other.as_ref()).await);
    }
    viewer.show(&Merchants { against, providers: providers(), merchants })
}

/// `GET /console/merchants/{name}`
pub(super) async fn one(
    viewer: Viewer,
    name: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Response, Problem> {
    let (against, other) = against(&viewer)?;
    let merchant = name.ok().and_then(|Path(name)| viewer.gateway.merchant_named(&name));
    let merchant = merchant.ok_or_else(|| {
        Problem::new(Code::NotFound, "the configuration has no such merchant; see /console/merchants")
    })?;
    let merchant = row(merchant, other.as_ref()).await;
    viewer.show(&OneMerchant { merchant, against, providers: providers() })
}

fn providers() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = manifests().map(|manifest| manifest.name).collect();
    names.dedup();
    names
}

/// The provider that the merchants are compared with, if the page is asked for one.
fn against(viewer: &Viewer) -> Result<(Option<String>, Option<ProviderView>), Problem> {
    let query = viewer.query(&["against"])?;
    let Some(name) = query.get("against").filter(|name| !name.is_empty()) else { return Ok((None, None)) };
    let Some(manifest) = manifests_of(name).first().copied() else {
        let detail = format!("there is no provider `{name}`; the providers are {}", providers().join(", "));
        return Err(Problem::new(Code::InvalidRequest, detail));
    };
    Ok((Some(name.to_owned()), Some(manifest.into())))
}

async fn row(merchant: &Merchant, other: Option<&ProviderView>) -> MerchantRow {
    let (active, unknown_because) = match execution::active(merchant).await {
        Ok(connection) => (Some(connection), None),
        Err(error) => (None, Some(error.detail.to_string())),
    };
    let comparison =
        active.as_ref().zip(other).map(|(active, other)| Comparison::of(&ProviderView::from(active.manifest), other));
    let connection = |connection: &Connection| ConnectionRow {
        name: connection.name.clone(),
        provider: connection.manifest.name,
        generation: connection.manifest.generation,
        livemode: connection.livemode,
        is_active: active.as_ref().is_some_and(|active| active.name == connection.name),
        open_breakers: connection.upstream.open_breakers(),
    };
    MerchantRow {
        name: merchant.name.clone(),
        region: merchant.region.map(Region::alpha2),
        on_loss: merchant.on_loss.as_str(),
        allows_carry: merchant.allows_carry,
        connections: merchant.connections.values().map(|one| connection(one)).collect(),
        active: active.map(|active| active.name.clone()),
        unknown_because,
        comparison,
    }
}
