//! The documents that the gateway serves: the API reference, which the browser renders without any request to another
//! host, and the page of problems.

use std::{
    fmt::Write,
    sync::{Arc, OnceLock},
};

use axum::{
    extract::{Path, State},
    response::{Redirect, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::accept::Preference;
use crate::{
    problem::{Code, Problem},
    state::App,
};

/// The name of the reference's script in its crate. A new version of the crate may change it.
const SCRIPT: &str = "scalar.js";

/// `GET /`: leads a browser to the reference. For programs, the API does not have this path.
pub async fn root(headers: HeaderMap) -> Result<Redirect, Problem> {
    match Preference::of(&headers).is_of_browser() {
        true => Ok(Redirect::temporary("/docs")),
        false => Err(Problem::new(Code::NotFound, super::UNKNOWN_PATH)),
    }
}

/// `GET /docs`
pub async fn reference(State(app): State<Arc<App>>) -> Response {
    // The key has no sign that a page must escape.
    let key = app.gateway.load().public_key.as_ref().map(|key| format!(" data-key=\"{key}\"")).unwrap_or_default();
    page(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"data:,\">\
         <title>Passerelle API</title></head>\
         <body><div id=\"app\"{key}></div><script src=\"/docs/assets/scalar.js\"></script>\
         <script src=\"/docs/assets/start.js\"></script></body></html>"
    ))
}

/// `GET /docs/assets/{file}`
pub async fn asset(headers: HeaderMap, Path(file): Path<String>) -> Result<Response, Problem> {
    const START: &str = include_str!("docs.start.js");
    static COMPRESSED: OnceLock<Option<Bytes>> = OnceLock::new();
    let takes_gzip = headers
        .get(header::ACCEPT_ENCODING)
        .is_some_and(|value| value.to_str().is_ok_and(|value| value.contains("gzip")));
    let (body, compressed) = match file.as_str() {
        "start.js" => (Bytes::from_static(START.as_bytes()), false),
        SCRIPT if takes_gzip => (COMPRESSED.get_or_init(compress).clone().unwrap_or_default(), true),
        SCRIPT => (script().unwrap_or_default(), false),
        _ => return Err(Problem::new(Code::NotFound, "the documentation has no such file")),
    };
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    if compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

fn script() -> Option<Bytes> {
    scalar_api_reference::get_asset(SCRIPT).map(Bytes::from)
}

fn compress() -> Option<Bytes> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&script()?).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// `GET /docs/problems`
pub async fn problems() -> Response {
    let mut page_text = String::from(concat!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">",
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><link rel=\"icon\" href=\"data:,\">",
        "<title>Problems</title><style>",
        "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}",
        "h2{font-size:1.1rem;margin:2rem 0 .2rem}code{background:#f2f2f2;padding:.1rem .3rem}",
        "@media(prefers-color-scheme:dark){body{background:#161616;color:#ddd}code{background:#2a2a2a}}</style></head><body><main>",
        "<h1>Problems</h1><p>Every error of the API is an <code>application/problem+json</code> document (RFC 9457). ",
        "<code>outcome</code> says whether the provider executed the request: <code>none</code>, <code>done</code> or ",
        "<code>unknown</code>. <code>safe_to_retry</code> is true when the client can send the same request again.</p>",
    ));
    for code in Code::ALL {
        let _ = write!(
            page_text,
            "<h2 id=\"{0}\"><code>{0}</code> · {1}</h2><p><strong>{2}.</strong> {3}</p>",
            code.name(),
            code.status(),
            code.title(),
            code.meaning().trim().replace('&', "&amp;").replace('<', "&lt;"),
        );
    }
    page_text.push_str("</main></body></html>");
    page(page_text)
}

/// The page of problems as Markdown, for `docs/problems.md`.
pub fn problems_markdown() -> String {
    let mut text = String::from(concat!(
        "# Problems\n\nEvery error of the API is an `application/problem+json` document (RFC 9457). `outcome` says whether\n",
        "the provider executed the request: `none`, `done` or `unknown`. `safe_to_retry` is true when the client can send\n",
        "the same request again. This page is generated from the code; the gateway serves it at `/docs/problems`.\n",
    ));
    for code in Code::ALL {
        let meaning: Vec<&str> = code.meaning().lines().map(str::trim).collect();
        let _ = write!(
            text,
            "\n## {}\n\n{}, **{}.**\n{}\n",
            code.name(),
            code.status(),
            code.title(),
            meaning.join("\n").trim()
        );
    }
    text
}

// The reference's script adds inline styles. Everything else must come from the gateway itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

fn page(text: String) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
