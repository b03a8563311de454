//! The problems of clients that send too many requests. A gateway under overload writes one of them for most requests, so its
//! document is made once.

use std::sync::LazyLock;

use passerelle_providers::model::Effect;

use super::{Code, Problem};
use crate::admission::TooMany;

const IN_FLIGHT: &str = "the gateway answers as many requests as it can at once; nothing was sent to the provider";

/// The document of [`TooMany::InFlight`], before and after the id of the request.
static IN_FLIGHT_PARTS: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    const ID: &[u8] = br#""request_id":"#;
    let document = Problem::from(TooMany::InFlight).body("");
    let before = document.windows(ID.len()).position(|name| name == ID).map_or(0, |begin| begin + ID.len());
    // The empty id is two quotation marks.
    (document[..before].to_vec(), document[before..].get(2..).unwrap_or_default().to_vec())
});

/// The document of the problem, if it is the one that is made once.
pub(super) fn written(problem: &Problem, request_id: &str) -> Option<Vec<u8>> {
    let parts = &*problem.0;
    let is_the_one = parts.code == Code::Overloaded
        && parts.detail == IN_FLIGHT
        && parts.effect == Effect::None
        && parts.failed_connection.is_none()
        && parts.raw.is_none()
        && parts.errors.is_empty()
        && parts.reasons.is_empty()
        && parts.operation_id.is_none();
    if !is_the_one {
        return None;
    }
    let (before, after) = &*IN_FLIGHT_PARTS;
    let mut document = Vec::with_capacity(before.len() + request_id.len() + after.len() + 16);
    document.extend_from_slice(before);
    serde_json::to_writer(&mut document, request_id).ok()?;
    document.extend_from_slice(after);
    Some(document)
}

impl From<TooMany> for Problem {
    fn from(refused: TooMany) -> Self {
        let (code, detail, seconds) = match refused {
            TooMany::InFlight => (Code::Overloaded, IN_FLIGHT, 1),
            TooMany::Requests(seconds) => {
                let detail = "the `rate_limit` of this merchant is reached; nothing was sent to the provider";
                (Code::RateLimited, detail, seconds)
            }
            TooMany::WrongKeys(seconds) => {
                let detail = "too many wrong keys came from the address of the client \
                              (`server.wrong_keys_per_address`); a valid key works all the same";
                (Code::TooManyWrongKeys, detail, seconds)
            }
        };
        Self::new(code, detail).with_retry_after(seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::FailedConnection;

    #[test]
    fn a_document_that_is_made_once_is_the_same_as_any_other() {
        for id in ["0199f0f2-0000-7000-8000-000000000000", r#"a"\b"#, ""] {
            let problem = Problem::from(TooMany::InFlight);
            let document = written(&problem, id).expect("a document");
            assert_eq!(document, problem.body(id), "{id}");
        }
    }

    #[test]
    fn a_problem_that_says_more_has_a_document_of_its_own() {
        let connection = FailedConnection { provider: "lomi", connection: "main".to_owned() };
        for problem in [
            Problem::from(TooMany::InFlight).with_connection(connection),
            Problem::from(TooMany::InFlight).with_operation_id("op".to_owned()),
            Problem::from(TooMany::InFlight).with_unknown_outcome(),
            Problem::from(TooMany::Requests(3)),
        ] {
            assert!(written(&problem, "id").is_none());
        }
    }
}
