//! The page of problems: every code of the API, what it means, and what the client can do.

use askama::Template;
use axum::response::Response;
use serde::Serialize;

use super::{
    layout::Section,
    viewer::{Page, Viewer},
};
use crate::problem::{Code, Problem};

/// The page.
#[derive(Debug, Template, Serialize)]
#[template(path = "problems.html")]
struct Problems {
    /// Every code, in the order of their statuses.
    problems: Vec<ProblemRow>,
}

/// A code.
#[derive(Debug, Serialize)]
struct ProblemRow {
    code: &'static str,
    status: u16,
    title: &'static str,
    meaning: Vec<Piece>,
}

/// A piece of a meaning: text, or the name of something in the API.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Piece {
    Text(String),
    Code { code: String },
}

impl Page for Problems {
    const SECTION: Option<Section> = Some(Section::Problems);

    fn title(&self) -> String {
        "Problems".to_owned()
    }
}

/// `GET /console/problems`
pub(super) async fn page(viewer: Viewer) -> Result<Response, Problem> {
    viewer.query(&[])?;
    let row = |code: &Code| ProblemRow {
        code: code.name(),
        status: code.status(),
        title: code.title(),
        meaning: pieces(code.meaning()),
    };
    viewer.show(&Problems { problems: Code::ALL.iter().map(row).collect() })
}

/// Takes the names between backticks out of a meaning.
fn pieces(meaning: &str) -> Vec<Piece> {
    let text = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
    let piece = |(place, piece): (usize, &str)| match place % 2 {
        0 => Piece::Text(piece.to_owned()),
        _ => Piece::Code { code: piece.to_owned() },
    };
    text.split('`').enumerate().filter(|(_, piece)| !piece.is_empty()).map(piece).collect()
}
