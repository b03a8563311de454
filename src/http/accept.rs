//! What a request's `Accept` says about the two forms that the gateway has of a page: HTML and JSON.

use http::{HeaderMap, header};

/// How much a request prefers HTML and JSON, from 0 to 1. A range with a wildcard, such as `*/*`, names neither.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preference {
    /// `text/html`.
    pub html: f32,
    /// `application/json` or `application/problem+json`.
    pub json: f32,
}

impl Preference {
    /// Reads the headers of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut preference = Self { html: 0.0, json: 0.0 };
        for range in accepted.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let media_type = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            match media_type.to_ascii_lowercase().as_str() {
                "text/html" => preference.html = preference.html.max(weight),
                "application/json" | "application/problem+json" => preference.json = preference.json.max(weight),
                _ => {}
            }
        }
        preference
    }

    /// Whether a request asks for HTML by name, as browsers do.
    pub fn is_of_browser(self) -> bool {
        self.html > 0.0 && self.html >= self.json
    }
}
