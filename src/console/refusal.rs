//! Why a page does not show what it was asked for. The rest of the page is shown all the same, with the status of the problem.

use http::StatusCode;
use serde::Serialize;

use crate::{operator::answer, problem::Problem, switch::service::Refused};

/// Why something is not shown, or a command was not executed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) detail: String,
    /// The status of the page.
    #[serde(skip)]
    pub(super) status: StatusCode,
}

impl From<&Problem> for Refusal {
    fn from(problem: &Problem) -> Self {
        Self { code: problem.code().name(), detail: problem.detail().to_owned(), status: problem.status_code() }
    }
}

/// `detail` has the single reasons, too.
impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        Self { detail, ..Self::from(&answer::problem(refused)) }
    }
}
