//! Requests that were captured from real clients.

use std::{fs, path::Path};

use super::dialects::{DIALECTS, key};
use crate::support::{Gateway, PROVIDERS, raw};

/// A captured request: its method and target, its headers, its body.
pub(super) fn captured(path: &Path) -> (String, Vec<String>, String) {
    let text = fs::read_to_string(path).expect("a request").replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines().map(str::to_owned);
    let first = lines.next().expect("a request line");
    let (asked, _) = first.rsplit_once(' ').expect("a version");
    (asked.to_owned(), lines.collect(), body.to_owned())
}

/// Every request that was captured from a client is answered in the dialect, by every provider: with a success,
/// or with a refusal that the client can read.
#[tokio::test]
async fn captured_requests_are_answered() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for dialect in &DIALECTS {
        let recorded = fixtures.join(dialect.name).join("captured");
        // The signed ones of the other generation are asked for below.
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
                    key(provider),
                    body.len(),
                );
                let answer = raw(&gateway, &request).await;
                let status: u16 = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                // Numbers that are none reach lomi's database, and fail there.
                let is_known = (200..300).contains(&status) || [400, 404, 422].contains(&status);
                assert!(is_known, "{} by {provider}, {name}: {answer}", dialect.name);
                assert!(!answer.contains("problem+json"), "{} by {provider}, {name}: {answer}", dialect.name);
            }
        }
    }
}
