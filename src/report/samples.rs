//! The samples of a plan in its report. Values of customers are masked, unless the operator asks for them.

use std::{borrow::Cow, fmt::Write};

use super::html::Escaped;
use crate::switch::service::Sample;

/// The samples, and whether their values are shown.
#[derive(Debug, Default)]
pub struct Samples {
    /// The customers.
    pub list: Vec<Sample>,
    /// Whether values are shown as they are.
    pub shows_values: bool,
}

/// The first character of a value, which tells values apart and no person.
pub fn masked(value: &str) -> Cow<'_, str> {
    let first = value.chars().next().filter(|_| value.chars().nth(1).is_some());
    first.map_or(Cow::Borrowed("•••"), |first| Cow::Owned(format!("{first}•••")))
}

/// Writes one table for each customer.
pub(super) fn write(html: &mut String, samples: &Samples) {
    if samples.list.is_empty() {
        return;
    }
    let values = match samples.shows_values {
        true => "The values are those of real customers: give this page to no one else.",
        false => "The values are masked: the same report with <code>--show-values</code> has them.",
    };
    let _ = write!(html, "<h2>{} customers before and after</h2><p class=\"quiet\">{values}</p>", samples.list.len());
    for sample in &samples.list {
        let with =
            sample.target_id.as_ref().map(|id| format!(" with <code>{}</code>", Escaped(id))).unwrap_or_default();
        let _ = write!(
            html,
            "<h3><code>{}</code> <span class=\"quiet\">will be {}{with}</span></h3><table><thead><tr><th>Field</th>\
             <th>At the source</th><th>At the target</th><th>Outcome</th></tr></thead><tbody>",
            Escaped(&sample.public_id),
            sample.outcome.as_str().replace('_', " "),
        );
        for field in &sample.fields {
            let shown = |value: &Option<String>| match value.as_deref() {
                None => "–".to_owned(),
                Some(value) if samples.shows_values => Escaped(value).to_string(),
                Some(value) => Escaped(&masked(value)).to_string(),
            };
            let rule = field.rule.map(|rule| format!(": {}", Escaped(rule))).unwrap_or_default();
            let _ = write!(
                html,
                "<tr><td data-label=\"Field\"><code>{}</code></td><td data-label=\"At the source\">{}</td>\
                 <td data-label=\"At the target\">{}</td><td data-label=\"Outcome\">{}{rule}</td></tr>",
                Escaped(field.field.name()),
                shown(&field.source),
                shown(&field.target),
                field.outcome.unwrap_or("stays"),
            );
        }
        html.push_str("</tbody></table>");
    }
}
