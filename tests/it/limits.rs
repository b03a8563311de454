//! The table of limits in `docs/operating.md` is complete: each key that can refuse a request is in it with its default, and
//! so is each code of a problem that means that a limit is reached. The limits of JSON are tested here as well.

use std::{collections::BTreeSet, fs};

use passerelle::{config, problem::Code};
use reqwest::Method;
use serde_json::Value;

use crate::support::{Answer, Gateway};

/// Keys that refuse no request, each below its section of the schema. A new key is either here or in the table.
const NO_LIMITS: &[(&str, &[&str])] = &[
    ("Server", &["listen", "tls", "http2", "metrics_listen", "reload_on_change", "trusted_proxies", "server_timing"]),
    ("Operator", &["listen", "keys", "hosts"]),
    ("Store", &["url", "key", "previous_keys"]),
    ("Outbound", &["allow_insecure", "breaker", "proxy", "no_proxy"]),
    ("Breaker", &[]),
    ("Switch", &[]),
    ("Merchant", &["api_keys", "active", "region", "on_loss", "allow_carry", "ingress", "switch", "connections"]),
    (
        "Connection",
        &[
            "provider",
            "generation",
            "credentials",
            "base_url",
            "on_ambiguous",
            "visibility_lag",
            "livemode",
            "sandbox",
            "send_traceparent",
        ],
    ),
];

/// How the table names the keys of a section.
fn named(section: &str, key: &str) -> String {
    match section {
        "Merchant" => format!("`{key}` of the merchant"),
        "Connection" => format!("`{key}` of the connection"),
        "Breaker" => format!("`outbound.breaker.{key}`"),
        _ => format!("`{}.{key}`", section.to_lowercase()),
    }
}

/// The cells of each row of the table.
fn rows() -> Vec<Vec<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md");
    let text = fs::read_to_string(path).expect("the document");
    let (_, rest) =
        text.split_once("\n| limit | key | default | when it is reached | the operator sees |\n").expect("the table");
    let rows = rest.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

#[test]
fn each_key_that_can_refuse_a_request_is_in_the_table() {
    let schema: Value = serde_json::from_str(&config::json_schema()).expect("JSON");
    let rows = rows();
    let keys: String = rows.iter().map(|row| row[1].as_str()).collect::<Vec<_>>().join("\n");
    for (section, others) in NO_LIMITS {
        let properties = schema["$defs"][section]["properties"].as_object().expect("a section");
        for key in properties.keys() {
            let is_limit = !others.contains(&key.as_str());
            assert_eq!(keys.contains(&named(section, key)), is_limit, "{section}.{key}: is it a limit?");
        }
        for other in *others {
            assert!(properties.contains_key(*other), "{section} has no key {other}");
        }
    }
    assert!(rows.len() > 40, "the table was read");
    for row in &rows {
        assert!(row.len() == 5 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
}

/// A key is not enough: the value of the document must be the one of the defaults.
#[test]
fn the_defaults_in_the_table_are_those_of_the_configuration() {
    let expected = [
        ("`server.deadline`", "deadline = \"30s\"", "30 s"),
        ("`server.head_timeout`", "head_timeout = \"10s\"", "10 s"),
        ("`server.idle_timeout`", "idle_timeout = \"60s\"", "60 s"),
        ("`server.write_timeout`", "write_timeout = \"30s\"", "30 s"),
        ("`server.max_streams`", "max_streams = 100", "100"),
        ("`server.body_timeout`", "body_timeout = \"15s\"", "15 s"),
        ("`server.wrong_keys_per_address`", "wrong_keys_per_address = \"60/min\"", "60/min"),
        ("`server.max_body`", "max_body = 1048576", "1 MiB"),
        ("`server.max_bodies`", "max_bodies = 67108864", "64 MiB"),
        ("`server.max_json_depth`", "max_json_depth = 64", "64 levels, 1,000 keys, 1,000 items"),
        ("`server.max_json_keys`", "max_json_keys = 1000", "64 levels, 1,000 keys, 1,000 items"),
        ("`server.max_json_items`", "max_json_items = 1000", "64 levels, 1,000 keys, 1,000 items"),
        ("`server.max_connections`", "max_connections = 4096", "4096"),
        ("`server.max_connections_per_address`", "max_connections_per_address = 2048", "2048"),
        ("`server.min_body_rate`", "min_body_rate = 1024", "1 KiB/s"),
        ("`server.stream_window`", "stream_window = 65536", "64 KiB, 1 MiB"),
        ("`server.connection_window`", "connection_window = 1048576", "64 KiB, 1 MiB"),
        ("`server.max_uri`", "max_uri = 8192", "8 KiB"),
        ("`server.max_headers`", "max_headers = 64", "16 KiB, 64 headers"),
        ("`server.max_headers_size`", "max_headers_size = 16384", "16 KiB, 64 headers"),
        ("`server.stop_notice`", "stop_notice = \"3s\"", "3 s, 20 s"),
        ("`server.stop_timeout`", "stop_timeout = \"20s\"", "3 s, 20 s"),
        ("`outbound.max_idle_per_host`", "max_idle_per_host = 64", "64, 20 s"),
        ("`outbound.idle_timeout`", "idle_timeout = \"20s\"", "64, 20 s"),
        ("`outbound.max_retries`", "max_retries = 2", "2, 0.2"),
        ("`outbound.max_retry_share`", "max_retry_share = 0.2", "2, 0.2"),
        ("`outbound.breaker.jitter`", "jitter = 0.5", "1 s, 60 s, 0.5"),
        ("`store.lease`", "# lease = \"30s\"", "30 s"),
        ("`store.keep_answers`", "# keep_answers = \"72h\"", "72 h"),
        ("`store.keep_tombstones`", "# keep_tombstones = \"720h\"", "30 days"),
        ("`outbound.connect_timeout`", "connect_timeout = \"3s\"", "3 s"),
        ("`outbound.max_reply`", "max_reply = 8388608", "8 MiB"),
        ("`outbound.max_in_flight`", "max_in_flight = 256", "256"),
        ("`outbound.max_in_flight_per_host`", "max_in_flight_per_host = 512", "512"),
        ("`outbound.max_in_flight_total`", "max_in_flight_total = 2048", "2048"),
        ("`outbound.breaker.failures`", "failures = 7", "7"),
        ("`outbound.breaker.min_success`", "min_success = 0.5", "0.5"),
        ("`outbound.breaker.min_requests`", "min_requests = 20", "0.5, 20 in 10 s"),
        ("`outbound.breaker.window`", "window = \"10s\"", "0.5, 20 in 10 s"),
        ("`outbound.breaker.pause`", "pause = \"1s\"", "1 s, 60 s, 0.5"),
        ("`outbound.breaker.max_pause`", "max_pause = \"60s\"", "1 s, 60 s, 0.5"),
        ("`outbound.breaker.unauthorized_pause`", "unauthorized_pause = \"1m\"", "1 min"),
        ("`outbound.breaker.max_retry_after`", "max_retry_after = \"5m\"", "5 min"),
        ("`switch.hold`", "hold = \"2s\"", "2 s"),
        ("`timeout` of the connection", "# timeout = \"10s\"", "10 s"),
    ];
    let rows = rows();
    // Every key that the table names is in the list. The first has no default, the second stands beside another key.
    let others = ["`rate_limit` of the merchant", "`rate_limit` of the connection", "`server.overload_wait`"];
    let named =
        rows.iter().flat_map(|row| row[1].split(['`'])).filter(|part| part.contains('.') && !part.contains(' '));
    for key in named.map(|key| format!("`{key}`")).filter(|key| !others.contains(&key.as_str())) {
        assert!(expected.iter().any(|(expected, ..)| *expected == key), "the default of {key} is not compared");
    }
    for (key, default, shown) in expected {
        assert!(config::DEFAULTS.lines().any(|line| line.starts_with(default)), "{default}");
        let row = rows.iter().find(|row| row[1].contains(key)).expect("a row");
        assert!(row[2].starts_with(shown), "{key} is {default}, not {}", row[2]);
    }
}

#[test]
fn each_code_that_means_a_limit_is_in_the_table() {
    let rows = rows();
    let effects: String = rows.iter().map(|row| row[3].as_str()).collect::<Vec<_>>().join("\n");
    // A slow, large or frequent request, and what is not available: all statuses that a limit is answered with.
    let of_limits = BTreeSet::from([408, 413, 414, 429, 431, 503, 504]);
    for code in Code::ALL.iter().filter(|code| of_limits.contains(&code.status())) {
        assert!(effects.contains(&format!("`{}`", code.name())), "{} ({})", code.name(), code.status());
    }
}

/// The sandbox with these keys of `[server]`.
fn sandbox(server: &str) -> String {
    config::SANDBOX.replacen("[server]\n", &format!("[server]\n{server}"), 1)
}

/// Metadata that the smallest limits of these tests take, and metadata that exceeds one of them, with the refusal.
const TAKEN: &str = r#"{"a":[1,[2,3]],"b":{"c":1},"d":null}"#;
const EXCEEDING: [(&str, &str); 3] = [
    (r#"{"a":[1,[2,[]]]}"#, "the body has more than 4 levels of objects and arrays, at /metadata/a/1/1"),
    (r#"{"a":1,"b":2,"c":3,"d":4}"#, "the body has an object with more than 3 keys, at /metadata"),
    (r#"{"a":[1,2,3]}"#, "the body has an array with more than 2 items, at /metadata/a"),
];
const SMALL: &str = "max_json_depth = 4\nmax_json_keys = 3\nmax_json_items = 2\n";

async fn create(gateway: &Gateway, path: &str, metadata: &str) -> Answer {
    let request = gateway.plain(Method::POST, path).header("content-type", "application/json");
    let request = request.header("authorization", "Bearer sk_sandbox_lomi").header("x-api-key", "sk_sandbox_lomi");
    let body = format!(r#"{{"name":"Awa Diop","email":"awa@example.com","metadata":{metadata}}}"#);
    gateway.send_to_dialect(request.body(body)).await
}

#[tokio::test]
async fn the_structure_of_json_is_limited_as_it_is_configured_also_after_a_reload() {
    let gateway = Gateway::start(&sandbox(SMALL)).await;
    let dialect = "/as/lomi/v1/customers";
    assert_eq!(create(&gateway, "/v1/customers", TAKEN).await.status, 201);
    let taken = create(&gateway, dialect, TAKEN).await;
    assert!(taken.status.is_success(), "{taken:?}");
    for (metadata, expected) in EXCEEDING {
        let refused = create(&gateway, "/v1/customers", metadata).await;
        assert_eq!(
            (refused.status_and_code(), &refused.body["detail"]),
            ((400, "malformed_request"), &expected.into())
        );
        let refused = create(&gateway, dialect, metadata).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.body["error"]["message"]),
            (400, &expected.into()),
            "{refused:?}"
        );
    }

    gateway.reload(&sandbox("max_json_depth = 5\nmax_json_keys = 4\nmax_json_items = 3\n"));
    for path in ["/v1/customers", dialect] {
        for (metadata, _) in EXCEEDING {
            let taken = create(&gateway, path, metadata).await;
            assert!(taken.status.is_success(), "{metadata}: {taken:?}");
        }
    }
}

#[tokio::test]
async fn the_default_structure_of_json_is_taken_and_one_more_is_refused() {
    let gateway = Gateway::start(config::SANDBOX).await;
    let nested = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|key| format!("\"k{key}\":1")).collect();
        format!("{{{}}}", keys.join(","))
    };
    let items = |count: usize| format!(r#"{{"a":[{}]}}"#, vec!["1"; count].join(","));
    for (taken, refused, expected) in [
        (nested(62), nested(63), "more than 64 levels of objects and arrays, at /metadata/a/0/"),
        (keys(1000), keys(1001), "an object with more than 1000 keys, at /metadata"),
        (items(1000), items(1001), "an array with more than 1000 items, at /metadata/a"),
    ] {
        let answer = create(&gateway, "/v1/customers", &taken).await;
        assert_eq!(answer.status, 201, "{expected}: {}", answer.text);
        let answer = create(&gateway, "/v1/customers", &refused).await;
        let detail = answer.body["detail"].as_str().unwrap_or_default();
        assert!(answer.status == 400 && detail.starts_with(&format!("the body has {expected}")), "{detail}");
    }
}
