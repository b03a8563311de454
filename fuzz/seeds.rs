//! The inputs to begin with: made from the recorded answers, commands and requests of `fixtures`, and from the
//! configuration files of the project. Nothing of it is stored.

use std::{
    fs,
    path::{Path, PathBuf},
};

use passerelle_providers::model::manifest::Manifest;

use crate::{CANARY, SEPARATOR, subject::Subject};

/// The folder of the project.
fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The entries of a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Whether a folder of fixtures is about this generation.
fn is_about(folder: &Path, manifest: &Manifest, default: &Manifest) -> bool {
    let settings = fs::read(folder.join("settings.json")).unwrap_or_default();
    let settings: serde_json::Value = serde_json::from_slice(&settings).unwrap_or_default();
    settings["generation"].as_str().unwrap_or(default.generation) == manifest.generation
}

/// The inputs that past failures left in `fuzz/crashes/<target>`.
pub fn crashes(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("crashes").join(target));
    files.iter().map(|file| (name(file).to_owned(), fs::read(file).expect("an input that once failed"))).collect()
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(&SEPARATOR)
}

/// The folders `fixtures/<provider>/<operation>/<case>` of a provider, each with its operation.
fn cases(subject: &Subject) -> Vec<(String, PathBuf)> {
    let default = passerelle_providers::vendor(subject.manifest.name).expect("a provider").manifests[0];
    let mut cases = Vec::new();
    for operation in entries(&project().join("fixtures").join(subject.manifest.name)) {
        for case in entries(&operation) {
            if case.join("command.json").is_file() && is_about(&case, subject.manifest, default) {
                cases.push((name(&operation).to_owned(), case));
            }
        }
    }
    assert!(!cases.is_empty(), "{} has no fixtures", subject.name);
    cases
}

/// A recorded answer as a part of an input.
fn answer(recorded: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(recorded);
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).unwrap_or("200");
    let is_retry_after = |line: &&str| line.to_ascii_lowercase().starts_with("retry-after:");
    let retry_after = head.lines().find(is_retry_after).and_then(|line| line.split_once(": "));
    let retry_after = retry_after.map(|(_, value)| format!(" {value}")).unwrap_or_default();
    format!("{status}{retry_after}\n{body}").into_bytes()
}

/// The commands and recorded answers of a provider. Each is there a second time with a value that no error may show.
pub(crate) fn answers(subject: &Subject) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (operation, case) in cases(subject) {
        let command = fs::read(case.join("command.json")).expect("a command");
        let command = [operation.as_bytes(), b"\n", &command].concat();
        let mut parts = Vec::new();
        for number in 1.. {
            let file = if number == 1 { "response.http".to_owned() } else { format!("response-{number}.http") };
            let Ok(recorded) = fs::read(case.join(file)) else { break };
            parts.push(answer(&recorded));
        }
        let answers = parts.join(&SEPARATOR);
        let hidden = String::from_utf8_lossy(&answers).replace("amadou.ba@example.com", CANARY).into_bytes();
        if hidden != answers {
            seeds.push(joined(&[&command, &hidden]));
        }
        seeds.push(joined(&[&command, &answers]));
    }
    seeds
}

/// The captured requests of a provider's clients, and the requests of the fixtures.
pub(crate) fn requests(subject: &Subject) -> Vec<Vec<u8>> {
    let vendor = passerelle_providers::vendor(subject.manifest.name).expect("a provider");
    let captured = project().join("fixtures").join(subject.manifest.name).join("captured");
    let folders = entries(&captured).into_iter().filter(|path| path.is_dir()).chain([captured.clone()]);
    let mut seeds = Vec::new();
    for folder in folders.filter(|folder| is_about(folder, subject.manifest, vendor.manifests[0])) {
        let files = entries(&folder).into_iter().filter(|file| file.extension().is_some_and(|of| of == "http"));
        seeds.extend(files.map(|file| fs::read(file).expect("a captured request")));
    }
    for (_, case) in cases(subject) {
        let sent = fs::read_to_string(case.join("request.snap")).unwrap_or_default();
        let requests = sent.splitn(3, "---\n").nth(2).unwrap_or_default();
        for request in requests.split("\n--- then ---\n\n") {
            if let Some((method, rest)) = request.split_once(' ') {
                let base = subject.endpoint();
                let path = rest.strip_prefix(base.base_url()).unwrap_or(rest);
                seeds.push(format!("{method} {}", path.trim_end_matches('\n')).into_bytes());
            }
        }
    }
    seeds
}

/// Documents of every kind, and some that parsers differ about.
pub(crate) fn documents() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = [
        r#"{"a":[1.0,1e2,-0,true,null,"\u00e9\ud83d\ude00"],"b":{"":{}}}"#,
        r#"{"metadata":{"a":1,"kept":null},"name":"Awa Diop","email":null}"#,
        r#"{"a":1,"a":2}"#,
        r#"["\ud800",12345678901234567890123,1e400]"#,
        r#"{"id":"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985","limit":20,"offset":0,"distinct":true}"#,
        "[null,\"x\"]",
        "\u{feff}{}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    for subject in crate::subject::all() {
        for (_, case) in cases(&subject) {
            seeds.push(fs::read(case.join("command.json")).expect("a command"));
            let recorded = fs::read(case.join("response.http")).unwrap_or_default();
            let answer = answer(&recorded);
            seeds.push(crate::first_line(&answer).1.to_vec());
        }
    }
    seeds
}

#[cfg(feature = "gateway")]
pub(crate) fn cursors() -> Vec<Vec<u8>> {
    let texts = ["", "eyJvIjo0MCwicyI6MCwibCI6MjB9", "cus_abc", "2025-04-04T14:21:49.955Z", "page=2&x=\u{e9}"];
    texts.iter().zip([0_u8, 1, 2, 6, 15]).map(|(text, choice)| [&[choice], text.as_bytes()].concat()).collect()
}

#[cfg(feature = "gateway")]
pub(crate) fn ids() -> Vec<Vec<u8>> {
    let texts = [
        "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985",
        "cus_Mxxxxxxxxxxxxxxx",
        "cus.abc",
        "z1hQkXWUpUK8jpGSmEJq2bMDxKMCc8tFZ9Q",
        "op_0198f2a4c0de7abc8def0123456789ab",
        "1a550000-0000-8000-8000-000000000001",
        "amadou.ba@example.com",
        "..%2f..",
        "+221771234567",
        "77 123 45 67",
        "00221 77 123 45 67 ext. 5",
        "(0033) 6-12-34-56-78",
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

#[cfg(feature = "gateway")]
pub(crate) fn urls() -> Vec<Vec<u8>> {
    let parts = [
        ["https://api.lomi.africa/v1", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "amadou.ba@example.com"],
        ["http://[::1]:80/x", "cus_abc", "a&limit=9999"],
        ["https://b\u{fc}cher.example/\u{e9}/", "../admin", "\u{202e}O'Brien {x}"],
        ["https://a.b:443//", "/customers/%2e%2e/x?y=/../z", "%00\r\nX: 1"],
        ["https://a.b/c/../d", "/a@b.c:d;e,f?g=/h?i", "+221771234567"],
        ["https://a.b", "z1hQkXWUpUK8jpGSmEJq2bMDxKMCc8tFZ9Q", ""],
    ];
    parts.map(|parts| joined(&parts.map(str::as_bytes))).into()
}

#[cfg(feature = "gateway")]
pub(crate) fn exports() -> Vec<Vec<u8>> {
    let files = [
        "public_id,decision,link_id\ncus_1,create,\ncus_2,link,abc\n'+cus,link abc,\n\"a\"\"b\",leave,\n",
        "\u{feff}id;name\n1;2\n",
        "id\ncus_1\n\n'=1+1\n",
        "{\"id\":\"cus_1\",\"name\":\"Awa\"}\n\n[1]\n{\"id\":\"\\u00e9\"}\nnot JSON\n",
        "=cmd()|x!A0\u{1e}+221771234567\u{1e}@x\u{1e}-1\u{1e}\"a,b\"\r\n'c",
        "0012345\u{1e}2025-04-04\u{1e}1e5\u{1e}\tx\u{1e}'x",
    ];
    files.map(|file| file.as_bytes().to_vec()).into()
}

/// The configuration files of the project, and what the built-in defaults have as comments.
#[cfg(feature = "gateway")]
pub(crate) fn configurations() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = ["example.toml", "sandbox.toml", "default.toml"]
        .map(|file| fs::read(project().join("config").join(file)).expect("a configuration"))
        .into();
    let example = "[merchants.acme]\napi_keys = [\"literal\", { sha256 = \"00\" }, { env = \"X\" }]\nactive = \"main\"\n\
                   [merchants.acme.ingress.bitnob]\nclient_id = \"c\"\nclient_secret = \"s\"\n\
                   [merchants.acme.connections.main]\nprovider = \"lomi\"\ncredentials = { api_key = \"literal\" }\n\
                   timeout = \"10s\"\nrate_limit = \"60/min\"\nsandbox = true\n[operator]\nlisten = \"[::1]:1\"\nkeys = [\"k\"]\n\
                   [store]\nurl = \"postgres://u:p@h/d\"\nkey = \"00\"\n[outbound]\nproxy = \"http://u:p@h:1\"\n";
    seeds.push(example.as_bytes().to_vec());
    seeds.push(b"[server]\nlisten = 127.0.0.1\n".to_vec());
    seeds
}
