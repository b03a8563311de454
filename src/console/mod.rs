//! The console: pages for the people who operate the gateway, on the operator's listener. A page is a struct with a
//! template (`templates/`): rendered it is HTML, and with `Accept: application/json` the same struct is written as JSON, so
//! neither can say what the other does not. It reads what the operator's API reads, through the same functions.
//!
//! Begin with [`routes`]. `viewer.rs` says who looks, by a session (`session.rs`) or a key, and shows pages; `layout.rs` has
//! the frame and the headers of every answer; `assets.rs` has the style sheet and htmx. Then there is one file for each
//! page. All work without JavaScript; htmx only asks for the live part of a page again.

mod assets;
mod comparison;
mod customer;
mod customers;
mod explain;
mod layout;
mod login;
mod masking;
mod merchants;
mod operation;
mod operations;
mod overview;
mod problems;
mod providers;
mod refusal;
mod session;
mod switch_actions;
mod switches;
mod viewer;

use std::{borrow::Borrow, sync::Arc};

use axum::{
    extract::FromRef,
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use http::HeaderMap;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::{
    http::accept::Preference,
    operator::UNKNOWN_PATH,
    problem::{Code, Problem},
    report::grouped,
    state::App,
    switch::service::SwitchService,
};
use session::Sessions;

/// What is encoded in a part of a path or of a query. Ids keep their dashes.
const SPECIAL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// The state of the console's handlers.
#[derive(Debug, Clone)]
struct Console {
    app: Arc<App>,
    switches: Arc<dyn SwitchService>,
    sessions: Arc<Sessions>,
}

impl FromRef<Console> for Arc<App> {
    fn from_ref(console: &Console) -> Self {
        Self::clone(&console.app)
    }
}

/// The routes of the console.
pub fn routes(app: &Arc<App>, switches: Arc<dyn SwitchService>) -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    let sessions = Arc::new(Sessions::new(&app.store));
    let console = Console { app: Arc::clone(app), switches, sessions };
    let pages: Vec<(&'static str, MethodRouter<Console>)> = vec![
        ("/", get(root)),
        ("/console", get(overview::page)),
        ("/console/merchants", get(merchants::page)),
        ("/console/merchants/{name}", get(merchants::one)),
        ("/console/customers", get(customers::page).post(customers::find)),
        ("/console/customers/{merchant}/{id}", get(customer::page).post(customer::show)),
        ("/console/explain", get(explain::form).post(explain::explain)),
        ("/console/operations", get(operations::page)),
        ("/console/operations/{merchant}/{id}", get(operation::page)),
        ("/console/switches", get(switches::page).post(switch_actions::plan)),
        ("/console/switches/{id}", get(switches::one)),
        ("/console/switches/{id}/decisions", post(switch_actions::decide)),
        ("/console/switches/{id}/{action}", get(switch_actions::confirm).post(switch_actions::act)),
        ("/console/providers", get(providers::page)),
        ("/console/problems", get(problems::page)),
        ("/console/login", get(login::form).post(login::log_in)),
        ("/console/logout", post(login::log_out)),
        ("/console/assets/{file}", get(assets::file)),
        ("/console/{*rest}", get(unknown)),
    ];
    // A browser says where a form was sent from. A form of another site is refused, whatever cookie came with it.
    let same_site_only = CsrfLayer::new().with_rejection_response(refuse_cross_site as fn(ProtectionError) -> Response);
    let route = |(path, methods): (&'static str, MethodRouter<Console>)| {
        (path, methods.layer(same_site_only.clone()).layer(from_fn(layout::finish)).with_state(console.clone()))
    };
    pages.into_iter().map(route).collect()
}

/// `GET /`: leads a browser to the console.
async fn root(headers: HeaderMap) -> Result<Response, Problem> {
    match Preference::of(&headers).is_of_browser() {
        true => Ok(login::redirect("/console", None)),
        false => Err(Problem::new(Code::NotFound, UNKNOWN_PATH)),
    }
}

/// A part of a path or of a query.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, SPECIAL).to_string()
}

/// A number, as pages show it.
fn count(number: impl Borrow<u64>) -> String {
    grouped(*number.borrow())
}

/// A time, as pages show it.
fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// A path that the console does not have.
async fn unknown(_: viewer::Viewer) -> Problem {
    Problem::new(Code::NotFound, "the console does not have this page")
}

fn refuse_cross_site(_: ProtectionError) -> Response {
    let detail = "a page of another site sent this request, so the console refuses it; open the console itself, and try \
                  again there";
    Problem::new(Code::Forbidden, detail).into_response()
}
