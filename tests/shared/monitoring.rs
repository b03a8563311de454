//! The dashboard and the alerts of `config/`, and what their queries name: series, labels and the words of labels.

use std::{fs, path::Path, sync::LazyLock};

use regex::Regex;
use serde_json::Value;

/// The file of the alerts, from the root of the project.
pub(crate) const ALERTS: &str = "config/prometheus-alerts.yml";

/// A text file of the project.
pub(crate) fn project_text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a file of the project")
}

/// The dashboard.
pub(crate) fn dashboard() -> Value {
    serde_json::from_str(&project_text("config/grafana-dashboard.json")).expect("JSON")
}

/// The queries of the dashboard's panels by the title of their panel. Every variable has all values.
pub(crate) fn panel_queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().expect("a title");
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((title.to_owned(), with_variables(target["expr"].as_str().expect("a query"))));
        }
    }
    assert!(found.len() > 30, "the panels were read");
    found
}

/// The query of a dashboard with all values for its variables.
pub(crate) fn with_variables(query: &str) -> String {
    let mut query = query.replace("$__rate_interval", "1m").replace("$job", "passerelle");
    for variable in ["$merchant", "$provider", "$connection"] {
        query = query.replace(variable, ".*");
    }
    assert!(!query.contains('$'), "a variable that the dashboard does not have: {query}");
    query
}

/// Series that a query selects.
#[derive(Debug)]
pub(crate) struct Selector {
    /// As the query has it, without a range and an offset.
    pub(crate) text: String,
    /// The name of the metric.
    pub(crate) metric: String,
    /// The names and the values of its matchers.
    pub(crate) matchers: Vec<(String, String)>,
}

/// What a query names.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// The series.
    pub(crate) selectors: Vec<Selector>,
    /// The labels by which it groups and joins.
    pub(crate) grouped: Vec<String>,
}

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"\b(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)";
    let next = r"(?:(?P<matchers>\{[^}]*\})|\s*(?P<open>\()|(?P<grouping>\s+(?:by|without)\b))?";
    Regex::new(&format!("{name}{next}")).expect("a pattern")
});
static MATCHER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"([a-zA-Z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)""#).expect("a pattern"));
/// What stands before the labels of a group or a join.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 6] = ["and", "or", "unless", "offset", "bool", "atan2"];

/// What a query names.
pub(crate) fn named(query: &str) -> Named {
    let (mut found, mut rest) = (Named::default(), query);
    while let Some(captures) = NAME.captures(rest) {
        let whole = captures.get(0).expect("a match");
        let name = &captures["name"];
        let mut after = whole.end();
        if let Some(grouping) = captures.name("grouping") {
            // The name is an aggregation.
            after = grouping.start();
        } else if captures.name("open").is_some() {
            if GROUPING.contains(&name) {
                let labels = rest[after..].split(')').next().unwrap_or_default();
                found.grouped.extend(labels.split(',').map(|label| label.trim().to_owned()));
                after += labels.len();
            }
        } else if !OPERATORS.contains(&name) {
            let matchers = captures.name("matchers").map_or("", |matchers| matchers.as_str());
            let matchers = MATCHER.captures_iter(matchers).map(|one| (one[1].to_owned(), one[2].to_owned())).collect();
            found.selectors.push(Selector { text: whole.as_str().to_owned(), metric: name.to_owned(), matchers });
        }
        rest = &rest[after..];
    }
    found
}
