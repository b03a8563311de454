//! Requests that real clients sent. They were captured, and stand in `fixtures`.

use std::{fs, path::Path};

use super::dialects::{DIALECTS, key_of};
use crate::support::{Gateway, PROVIDERS, raw};

/// Reads a captured request. Returns the request line without the version, the headers, and the body.
pub(super) fn captured(path: &Path) -> (String, Vec<String>, String) {
    let text = fs::read_to_string(path).expect("a request").replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines().map(str::to_owned);
    let first = lines.next().expect("a request line");
    let (method_and_target, _) = first.rsplit_once(' ').expect("a version");
    (method_and_target.to_owned(), lines.collect(), body.to_owned())
}

/// Every provider answers every captured request with a success, or with an error in the shape of the dialect.
#[tokio::test]
async fn captured_requests_are_answered() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for dialect in DIALECTS {
        let recorded = fixtures.join(dialect.name).join("captured");
        // `signed.rs` sends the signed requests of generation v2.
        let folder = if dialect.name == "bitnob" { recorded.join("pypi_v1") } else { recorded };
        for entry in fs::read_dir(folder).expect("captured requests") {
            let path = entry.expect("a file").path();
            if path.extension().is_none_or(|extension| extension != "http") {
                continue;
            }
            for provider in PROVIDERS {
                let (first, lines, body) = captured(&path);
                let (method, target) = first.split_once(' ').expect("a method and a target");
                let target = target.strip_prefix("/payment/").map_or(target, |_| &target["/payment".len()..]);
                let is_replaced = |name: &str| {
                    ["authorization", "x-api-key", "host", "content-length", "connection"].contains(&name)
                        || name.starts_with("x-component")
                        || name == "accept-encoding"
                };
                let mut headers: Vec<&str> = lines
                    .iter()
                    .map(String::as_str)
                    .filter(|line| !line.split(':').next().is_some_and(|name| is_replaced(&name.to_lowercase())))
                    .collect();
                headers.push("connection: close");
                let headers = headers.join("\r\n");
                let request = format!(
                    "{method} /as/{}{target} HTTP/1.1\r\nhost: gateway\r\n{}: {}{}\r\n{headers}\r\ncontent-length: {}\r\n\r\n{body}",
                    dialect.name,
                    dialect.key_header,
                    dialect.key_prefix,
                    key_of(provider),
                    body.len(),
                );
                let answer = raw(&gateway, &request).await;
                let status: u16 = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                let is_expected = (200..300).contains(&status) || [400, 404, 422].contains(&status);
                assert!(is_expected, "{} by {provider}, {name}: {answer}", dialect.name);
                assert!(!answer.contains("problem+json"), "{} by {provider}, {name}: {answer}", dialect.name);
            }
        }
    }
}
