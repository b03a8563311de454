//! The dashboard and the alerts of `config/` name only metrics, labels and words that exist, and each alert has its entry in
//! the runbook of `docs/operating.md`. `tests/reliability/prometheus` runs both in a real Prometheus.

use std::collections::BTreeSet;

use passerelle::metrics::{Declared, Metrics};
use serde_json::Value;

use crate::shared_monitoring::{ALERTS, dashboard, named, panel_queries, project_text, with_variables};

/// An alert, as its file has it.
struct Alert {
    name: String,
    text: String,
}

impl Alert {
    /// The text after a key, up to the next key.
    fn value(&self, key: &str) -> Option<String> {
        let key = format!("{key}:");
        let mut lines = self.text.lines().skip_while(|line| !line.trim_start().starts_with(&key));
        let first = lines.next()?;
        let depth = indent(first);
        let more = lines.take_while(|line| indent(line) > depth).map(str::trim);
        let first = first.trim().trim_start_matches(&key).trim().trim_start_matches(['|', '>', '-']);
        Some([first].into_iter().chain(more).collect::<Vec<_>>().join(" ").trim().to_owned())
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn alerts() -> Vec<Alert> {
    let text = project_text(ALERTS);
    let parts = text.split("- alert: ").skip(1);
    let found: Vec<Alert> = parts
        .map(|part| {
            let (name, text) = part.split_once('\n').expect("the alert's keys");
            Alert { name: name.to_owned(), text: text.to_owned() }
        })
        .collect();
    assert!(found.len() > 10, "the alerts were read");
    found
}

/// The queries of panels, of the variables of the dashboard, and of alerts, each with the place where it is.
fn queries() -> Vec<(String, String)> {
    let mut all: Vec<_> = panel_queries().into_iter().map(|(title, query)| (format!("panel {title}"), query)).collect();
    for variable in dashboard()["templating"]["list"].as_array().expect("variables") {
        if let Some(query) = variable["query"]["query"].as_str() {
            let (series, label) = query
                .strip_prefix("label_values(")
                .and_then(|query| query.strip_suffix(')')?.rsplit_once(", "))
                .expect("the values of a label");
            all.push((
                format!("variable {}", variable["name"]),
                format!("sum by ({label}) ({})", with_variables(series)),
            ));
        }
    }
    all.extend(alerts().into_iter().map(|alert| {
        let query = alert.value("expr").expect("an expression");
        (format!("alert {}", alert.name), query)
    }));
    all
}

/// The labels of a series, or why there is no such series.
fn labels_of(series: &str) -> Result<(Option<&'static Declared>, BTreeSet<&'static str>), String> {
    // Prometheus adds these to every series. It makes `up` itself.
    let mut labels = BTreeSet::from(["job", "instance"]);
    if series == "up" {
        return Ok((None, labels));
    }
    let is_shown = |metric: &&Declared| match metric.kind {
        "histogram" => ["_bucket", "_count", "_sum"].iter().any(|end| series == format!("{}{end}", metric.name)),
        _ => series == metric.shown_name(),
    };
    let metric = Metrics::DECLARED.iter().find(is_shown).ok_or_else(|| format!("no metric shows `{series}`"))?;
    labels.extend(metric.labels);
    if series.ends_with("_bucket") {
        labels.insert("le");
    }
    Ok((Some(metric), labels))
}

/// Whether a label can have this word. The help of the metric has its words in backticks, or that of another metric
/// with the label.
fn is_word_of(metric: &Declared, label: &str, word: &str) -> bool {
    let quoted = format!("`{word}`");
    match label {
        "code" => project_text("docs/problems.md").lines().any(|line| line == format!("## {word}")),
        "blocked_by" => word.is_empty() || project_text("docs/switching.md").contains(&format!("| {quoted} |")),
        _ if metric.help.contains('`') => metric.help.contains(&quoted),
        _ => {
            let others = Metrics::DECLARED.iter().filter(|other| other.labels.contains(&label));
            word.is_empty() || others.into_iter().any(|other| other.help.contains(&quoted))
        }
    }
}

/// What is wrong with a query. Empty: nothing.
fn mistakes(query: &str) -> Vec<String> {
    let (mut wrong, named) = (Vec::new(), named(query));
    if named.selectors.is_empty() {
        wrong.push("it names no metric".to_owned());
    }
    for selector in &named.selectors {
        let (metric, labels) = match labels_of(&selector.metric) {
            Ok(found) => found,
            Err(mistake) => {
                wrong.push(mistake);
                continue;
            }
        };
        let matched = selector.matchers.iter().map(|(label, _)| label);
        for label in matched.chain(&named.grouped).filter(|label| !labels.contains(label.as_str())) {
            wrong.push(format!("`{}` has no label `{label}`", selector.metric));
        }
        let is_free = |label: &str| ["job", "merchant", "connection", "provider", "operation"].contains(&label);
        for (label, value) in selector.matchers.iter().filter(|(label, _)| !is_free(label)) {
            for word in value.split('|').filter(|word| !metric.is_some_and(|metric| is_word_of(metric, label, word))) {
                wrong.push(format!("`{label}` of `{}` is never `{word}`", selector.metric));
            }
        }
        let is_general = !selector.metric.starts_with("passerelle_");
        if is_general && !selector.text.contains("job=\"passerelle\"") {
            wrong.push(format!("other programs have `{}` as well, so it needs the job", selector.metric));
        }
    }
    wrong
}

#[test]
fn every_query_names_metrics_labels_and_words_that_exist() {
    for (place, query) in queries() {
        assert_eq!(mistakes(&query), Vec::<String>::new(), "{place}: {query}");
    }
}

/// The labels that a text shows between these words, such as `{{merchant}}`.
fn shown_labels<'t>(text: &'t str, begin: &str) -> Vec<&'t str> {
    let is_end = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_';
    text.split(begin).skip(1).map(|rest| rest.split(is_end).next().unwrap_or_default()).collect()
}

/// Whether the series of a query's result have this label: one by which it groups, or without groups any of the metric.
fn has_in_result(query: &str, label: &str) -> bool {
    let named = named(query);
    if !named.grouped.is_empty() {
        return named.grouped.iter().any(|grouped| grouped == label);
    }
    named.selectors.iter().all(|selector| labels_of(&selector.metric).is_ok_and(|(_, labels)| labels.contains(label)))
}

#[test]
fn legends_and_alerts_show_only_labels_that_the_result_has() {
    let mut checked = 0;
    let dashboard = dashboard();
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let (query, legend) = (target["expr"].as_str().expect("a query"), target["legendFormat"].as_str());
            for label in shown_labels(legend.expect("a legend"), "{{") {
                assert!(has_in_result(&with_variables(query), label), "{}: no `{label}` in {query}", panel["title"]);
                checked += 1;
            }
        }
    }
    for alert in alerts() {
        let query = alert.value("expr").expect("an expression");
        for label in shown_labels(&alert.text, "$labels.") {
            assert!(has_in_result(&query, label), "{}: no `{label}` in {query}", alert.name);
            checked += 1;
        }
    }
    assert!(checked > 50, "the labels were found");
}

#[test]
fn a_query_that_names_what_does_not_exist_is_noticed() {
    for (query, expected) in [
        ("sum(rate(passerelle_write_total[5m]))", "no metric shows `passerelle_write_total`"),
        ("passerelle_store_jobs_failed", "no metric shows `passerelle_store_jobs_failed`"),
        ("rate(paserelle_writes_total[5m]) > 0", "no metric shows `paserelle_writes_total`"),
        ("passerelle_writes_total{outcome=\"done\"}", "`passerelle_writes_total` has no label `outcome`"),
        ("passerelle_writes_total{end=~\"done|lost\"}", "`end` of `passerelle_writes_total` is never `lost`"),
        ("sum by (merchnt) (passerelle_writes_total)", "`passerelle_writes_total` has no label `merchnt`"),
        ("passerelle_problems_total{code=\"wrong\"}", "`code` of `passerelle_problems_total` is never `wrong`"),
        ("passerelle_switches{blocked_by=\"mood\"}", "`blocked_by` of `passerelle_switches` is never `mood`"),
        (
            "http_server_active_requests",
            "other programs have `http_server_active_requests` as well, so it needs the job",
        ),
        ("sum by (le) (passerelle_overhead_seconds_sum)", "`passerelle_overhead_seconds_sum` has no label `le`"),
        ("vector(1)", "it names no metric"),
    ] {
        assert_eq!(mistakes(query), [expected], "{query}");
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let queries = panel_queries();
    let shown: BTreeSet<&str> = queries
        .iter()
        .flat_map(|(_, query)| named(query).selectors)
        .filter_map(|selector| labels_of(&selector.metric).ok()?.0)
        .map(|metric| metric.name)
        .collect();
    let missing: Vec<_> =
        Metrics::DECLARED.iter().map(|metric| metric.name).filter(|name| !shown.contains(name)).collect();
    assert_eq!(missing, Vec::<&str>::new());
}

/// Whether a text is one sentence.
fn is_sentence(text: &str) -> bool {
    text.ends_with('.') && !text.contains(". ") && text.starts_with(char::is_uppercase)
}

#[test]
fn every_panel_has_a_title_a_unit_and_a_description_and_no_two_overlap() {
    let dashboard = dashboard();
    let (mut ids, mut taken, mut titles) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().unwrap_or_default();
        assert!(ids.insert(panel["id"].as_u64()), "{title}: the id of another panel");
        let [height, width, left, top] =
            ["h", "w", "x", "y"].map(|side| panel["gridPos"][side].as_u64().expect("a place"));
        assert!(left + width <= 24 && width > 0, "{title}: Grafana has 24 columns");
        for cell in (top..top + height).flat_map(|line| (left..left + width).map(move |column| (line, column))) {
            assert!(taken.insert(cell), "{title}: it overlaps another panel");
        }
        if panel["type"] == "row" {
            assert!(!title.is_empty());
            continue;
        }
        assert!(titles.insert(title) && !title.is_empty(), "{title}: the title of another panel");
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|unit| !unit.is_empty()),
            "{title}: a unit"
        );
        assert!(panel["description"].as_str().is_some_and(is_sentence), "{title}: its description is one sentence");
        assert!(!panel["targets"].as_array().expect("queries").is_empty(), "{title}: no query");
        for source in panel["targets"].as_array().into_iter().flatten().chain([panel]) {
            assert_eq!(source["datasource"]["uid"], "${datasource}", "{title}: the operator chooses the Prometheus");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, ["datasource", "job", "merchant", "provider", "connection"]);
    assert_eq!(variables[0]["type"], "datasource");
    assert_eq!(dashboard.get("id"), None::<&Value>, "an id is that of one Grafana");
}

#[test]
fn every_alert_says_how_bad_it_is_what_happened_and_where_its_runbook_is() {
    for alert in alerts() {
        let name = &alert.name;
        let value = |key: &str| alert.value(key).unwrap_or_default();
        assert!(name.starts_with("Passerelle"), "{name}: a name that no other program has");
        assert!(["critical", "warning"].contains(&value("severity").as_str()), "{name}: its severity");
        assert!(value("for").ends_with('m'), "{name}: it must last for minutes");
        assert!(!value("summary").trim_matches('"').is_empty(), "{name}: its summary");
        let description = value("description");
        assert!(description.ends_with('.') && description.contains(". "), "{name}: what happened, and what to do");
        assert_eq!(value("runbook"), format!("docs/operating.md#{}", name.to_lowercase()), "{name}");
    }
}

/// The part of `docs/operating.md` about alerts: its entries with their texts.
fn entries() -> Vec<(String, String)> {
    let document = project_text("docs/operating.md");
    let (_, part) = document.split_once("\n## Alerts\n").expect("the part about alerts");
    let part = part.split("\n## ").next().unwrap_or_default();
    let entries = part.split("\n### ").skip(1);
    entries
        .map(|entry| entry.split_once('\n').expect("a text"))
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .collect()
}

#[test]
fn every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert() {
    let names: Vec<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let entries = entries();
    assert_eq!(entries.iter().map(|(name, _)| name).collect::<Vec<_>>(), names.iter().collect::<Vec<_>>());
    for (name, text) in entries {
        let parts = ["**Meaning:**", "**Clients see:**", "**Look at:**", "**Do:**"];
        let places: Vec<_> = parts.iter().map(|part| text.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}: the four parts, in their order");
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_metric = quoted.starts_with("passerelle_") || quoted.starts_with("http_");
            assert!(!is_metric || is_known(quoted), "{name}: there is no {quoted}");
        }
    }
}

/// Whether a document can name a metric like this: a series, or the name of a histogram.
fn is_known(quoted: &str) -> bool {
    let is_histogram = Metrics::DECLARED.iter().any(|metric| metric.name == quoted && metric.kind == "histogram");
    let wrong = named(quoted).selectors.into_iter().find(|selector| {
        let Ok((_, labels)) = labels_of(&selector.metric) else { return true };
        selector.matchers.iter().any(|(label, _)| !labels.contains(label.as_str()))
    });
    is_histogram || wrong.is_none()
}

/// The anchor of a heading, as on GitHub.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn every_link_of_the_runbook_leads_to_a_heading() {
    let document = project_text("docs/operating.md");
    let (_, part) = document.split_once("\n## Dashboard\n").expect("the part about the dashboard");
    let part = part.split("\n## Logs\n").next().unwrap_or_default();
    let links = part.split("](").skip(1).filter_map(|rest| rest.split(')').next()?.split_once('#'));
    let mut checked = 0;
    for (file, place) in links {
        let file = if file.is_empty() { "operating.md" } else { file };
        let text = project_text(&format!("docs/{file}"));
        let headings = text.lines().filter(|line| line.starts_with('#'));
        let mut anchors = headings.map(|line| anchor(line.trim_start_matches('#')));
        assert!(anchors.any(|anchor| anchor == place), "docs/{file} has no heading #{place}");
        checked += 1;
    }
    assert!(checked > 15, "the links were found");
}
