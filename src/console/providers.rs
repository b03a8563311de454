//! The providers: what each of them supports, as a matrix with the reasons.

use askama::Template;
use axum::response::Response;
use serde::Serialize;

use super::{
    layout::Section,
    viewer::{Page, Viewer},
};
use crate::{
    capabilities::{FieldView, FilterView, OperationSupport, ProviderView, manifests},
    problem::Problem,
};

/// The page.
#[derive(Debug, Template, Serialize)]
#[template(path = "providers.html")]
struct Providers {
    /// The providers, one entry per generation of their APIs.
    providers: Vec<ProviderView>,
}

/// A table of the page: a row for each capability, a cell for each provider.
struct Matrix {
    title: &'static str,
    id: &'static str,
    rows: Vec<(&'static str, Vec<Cell>)>,
}

/// How one provider supports one capability.
struct Cell {
    supports: Vec<(&'static str, &'static str)>,
    reason: Option<&'static str>,
}

impl Cell {
    /// The class of the tag of a support.
    fn tone(support: &str) -> &'static str {
        match support {
            "native" | "provider" => "good",
            "emulated" | "gateway" => "warn",
            _ => "",
        }
    }
}

impl Providers {
    fn matrices(&self) -> [Matrix; 4] {
        let of = |title, id, cells: fn(&ProviderView) -> Vec<(&'static str, Cell)>| {
            let mut rows: Vec<(&'static str, Vec<Cell>)> = Vec::new();
            for provider in &self.providers {
                for (place, (name, cell)) in cells(provider).into_iter().enumerate() {
                    match rows.get_mut(place) {
                        Some((_, row)) => row.push(cell),
                        None => rows.push((name, vec![cell])),
                    }
                }
            }
            Matrix { title, id, rows }
        };
        [
            of("Operations", "operations", |provider| {
                let cell = |one: &OperationSupport| {
                    (one.operation, Cell { supports: vec![("", one.support)], reason: one.reason })
                };
                provider.operations.iter().map(cell).collect()
            }),
            of("Fields", "fields", |provider| {
                let cell = |one: &FieldView| {
                    let supports = vec![("create", one.create), ("update", one.update), ("read", one.read)];
                    (one.field, Cell { supports, reason: one.reason })
                };
                provider.fields.iter().map(cell).collect()
            }),
            of("Filters of lists", "filters", |provider| provider.filters.iter().map(by).collect()),
            of("Look-ups", "lookups", |provider| provider.lookups.iter().map(by).collect()),
        ]
    }
}

fn by(filter: &FilterView) -> (&'static str, Cell) {
    (filter.parameter, Cell { supports: vec![("", filter.answered_by)], reason: filter.reason })
}

impl Page for Providers {
    const SECTION: Option<Section> = Some(Section::Providers);

    fn title(&self) -> String {
        "Providers".to_owned()
    }
}

/// `GET /console/providers`
pub(super) async fn page(viewer: Viewer) -> Result<Response, Problem> {
    viewer.query(&[])?;
    viewer.show(&Providers { providers: manifests().map(ProviderView::from).collect() })
}
