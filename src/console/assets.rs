//! The files of the console: its style sheet, and htmx, which asks for the live part of a page again. They are in the
//! program. Their URLs have a hash of their content, so a browser keeps them for ever and still gets a new version at once.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA384, digest};
use axum::{extract::Path, response::Response};
use data_encoding::{BASE64, HEXLOWER};
use http::{HeaderValue, header};

use crate::problem::{Code, Problem};

/// A file with its URL and its hash.
#[derive(Debug)]
pub(super) struct Asset {
    /// The last part of its URL.
    name: String,
    /// What the browser compares the file with.
    pub(super) integrity: String,
    media_type: &'static str,
    content: &'static [u8],
}

/// The style sheet.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", "text/css; charset=utf-8", include_bytes!("assets/console.css")));

/// htmx 2.0.11 as it is published, under the licence beside it (`htmx.LICENSE`, 0BSD).
pub(super) static HTMX: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("htmx", "js", "text/javascript; charset=utf-8", include_bytes!("assets/htmx.min.js")));

/// The icon of the console.
pub(super) static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_bytes!("assets/icon.svg")));

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, content: &'static [u8]) -> Self {
        let hash = digest(&SHA384, content);
        let short = HEXLOWER.encode(hash.as_ref().get(..8).unwrap_or_default());
        Self {
            name: format!("{stem}.{short}.{extension}"),
            integrity: format!("sha384-{}", BASE64.encode(hash.as_ref())),
            media_type,
            content,
        }
    }

    /// The path of its URL.
    pub(super) fn url(&self) -> String {
        format!("/console/assets/{}", self.name)
    }
}

/// `GET /console/assets/{file}`
pub(super) async fn file(Path(name): Path<String>) -> Result<Response, Problem> {
    let known = [&*STYLE, &*HTMX, &*ICON].into_iter().find(|asset| asset.name == name);
    let asset = known.ok_or_else(|| Problem::new(Code::NotFound, "the console has no such file; reload the page"))?;
    let mut response = Response::new(asset.content.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Ok(response)
}
