//! Bodies, queries and ids that were written to do harm.

use reqwest::Method;
use serde_json::json;

use crate::{
    bed::{Bed, JsonText, merchant_of, merchant_of_twin},
    canary,
    stand_in::{StandIn, json as json_answer},
};

const CUSTOMERS: &str = "/v1/customers";

#[tokio::test]
async fn s06_members_that_only_the_gateway_sets_are_refused() {
    let vendor = StandIn::always(json_answer("200 OK", "{}")).await;
    let bed = Bed::start(&merchant_of("acme", "notchpay", &vendor.url(), ""));
    for member in
        ["tenant_id", "merchant", "id", "mode", "livemode", "created_at", "credentials", "provider", "fidelity"]
    {
        let body = json!({ "email": canary::EMAIL, member: "x" });
        for (method, path) in [(Method::POST, CUSTOMERS), (Method::PATCH, "/v1/customers/cus_c4n4ry")] {
            let answer = bed.send(bed.of("acme", method.clone(), path).json_text(&body)).await;
            assert_eq!(answer.status_and_code(), (422, "invalid_request"), "{method} {member}: {}", answer.text);
            assert_eq!(answer.body["errors"][0]["pointer"], format!("/{member}"), "{method}: {}", answer.text);
        }
    }
    assert_eq!(vendor.requests(), Vec::<String>::new());
}

/// The provider receives the whole text as one value.
#[tokio::test]
async fn s13_a_search_term_never_becomes_another_parameter() {
    let vendor = StandIn::always(json_answer("200 OK", r#"{"customers":[],"totals":{},"items":[],"data":[]}"#)).await;
    let bed = Bed::start(&merchant_of("acme", "modempay", &vendor.url(), ""));
    for term in ["a%26limit%3D9999", "a%23b", "a%0d%0aX-Injected:%201", "a%3Flimit%3D9999", "a%2526limit%253D9999"] {
        bed.get("acme", &format!("/v1/customers?search={term}")).await;
        for request in vendor.requests() {
            let (head, _) = request.split_once("\r\n\r\n").expect("a head");
            let (line, headers) = head.split_once("\r\n").expect("a request line");
            assert!(line.matches("limit=").count() <= 1 && !line.contains("limit=9999"), "{term}: {line}");
            assert!(!headers.to_lowercase().contains("x-injected"), "{term}: {head}");
        }
    }
    assert!(!vendor.requests().is_empty(), "the provider was asked");
}

#[tokio::test]
async fn s14_sql_in_a_value_is_an_ordinary_value() {
    let bed = Bed::start(&merchant_of_twin("acme", "notchpay"));
    let sql = "x'; DROP TABLE operations; --";
    let encoded = "x%27%3B%20DROP%20TABLE%20operations%3B%20--";
    let harmless = bed.get("acme", "/v1/operations/x").await;
    let hostile = bed.get("acme", &format!("/v1/operations/{encoded}")).await;
    assert_eq!((hostile.status, hostile.code()), (harmless.status, harmless.code()), "{}", hostile.text);
    for query in [format!("search={encoded}"), format!("email={encoded}"), format!("cursor={encoded}")] {
        let answer = bed.get("acme", &format!("{CUSTOMERS}?{query}")).await;
        assert!([200, 400, 422].contains(&answer.status.as_u16()), "{query}: {}", answer.text);
    }
    let body = json!({ "name": sql, "email": canary::EMAIL, "metadata": { sql: sql } });
    let created = bed.of("acme", Method::POST, CUSTOMERS).header("idempotency-key", "x');DROP--").json_text(&body);
    let created = bed.send(created).await;
    assert_eq!((created.status.as_u16(), &created.body["metadata"][sql]), (201, &json!(sql)), "{}", created.text);
    let written = bed.get("acme", "/v1/operations").await;
    assert!(written.text.contains(created.header("x-operation-id")), "the table is still there: {}", written.text);
}

#[tokio::test]
async fn s18_a_body_with_far_too_many_values_is_refused() {
    let vendor = StandIn::always(json_answer("200 OK", "{}")).await;
    let bed = Bed::start(&merchant_of("acme", "notchpay", &vendor.url(), ""));
    let items = vec!["0"; 100_000].join(",");
    let keys = (0..90_000).map(|key| format!("\"{key:05}\":0")).collect::<Vec<_>>().join(",");
    for (what, value) in [("items", format!("[{items}]")), ("keys", format!("{{{keys}}}"))] {
        let body = format!(r#"{{"email":"a@example.com","metadata":{{"value":{value}}}}}"#);
        let request = bed.of("acme", Method::POST, CUSTOMERS).header("content-type", "application/json");
        let answer = bed.send(request.body(body)).await;
        assert_eq!(answer.status_and_code(), (400, "malformed_request"), "{what}: {}", answer.text);
    }
    assert_eq!(vendor.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn s16_json_that_parsers_read_differently_is_refused() {
    let vendor = StandIn::always(json_answer("200 OK", "{}")).await;
    let bed = Bed::start(&merchant_of("acme", "notchpay", &vendor.url(), ""));
    let deep = format!(r#"{{"metadata":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let bodies: [&[u8]; 9] = [
        deep.as_bytes(),
        br#"{"email":"a@example.com","email":"b@example.com"}"#,
        br#"{"metadata":{"n":1e400}}"#,
        br#"{"metadata":{"n":12345678901234567890123}}"#,
        br#"{"name":"\ud800"}"#,
        b"{\"name\":\"\xff\xfe\"}",
        b"\xef\xbb\xbf{\"name\":\"Awa\"}",
        br#"{"name":"Awa"} {}"#,
        br#"{"name":"a\u0000b"}"#,
    ];
    for body in bodies {
        let request = bed.of("acme", Method::POST, CUSTOMERS).header("content-type", "application/json");
        let answer = bed.send(request.body(body.to_vec())).await;
        let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        assert_eq!(answer.status_and_code(), (400, "malformed_request"), "{start}: {}", answer.text);
    }
    assert_eq!(vendor.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn s17_a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let bed = Bed::start(&merchant_of_twin("acme", "lomi"));
    let head = |more: &str| {
        format!(
            "POST {CUSTOMERS} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\n{more}\r\n",
            canary::key_of("acme")
        )
    };
    for more in ["content-length: 3000000\r\n", "content-length: 3000000\r\nexpect: 100-continue\r\n"] {
        let answer = bed.raw(head(more)).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{more}: {answer}");
    }
    // A body without a length is refused as soon as it is too large, and not at its end, which never comes.
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    let answer = bed.raw(head("transfer-encoding: chunked\r\n") + &chunk.repeat(40)).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn s22_no_text_of_a_client_forges_a_line_of_the_log() {
    let bed = Bed::start(&merchant_of_twin("acme", "notchpay"));
    let forged = "Awa\r\n{\"level\":\"ERROR\",\"message\":\"forged\"}\u{1b}[31m";
    let body = json!({ "name": forged, "email": canary::EMAIL, "metadata": { "forged": forged } });
    bed.post("acme", CUSTOMERS, &body).await;
    bed.get("acme", "/v1/customers/x%0d%0aforged").await;
    bed.get("acme", "/v1/forged%0d%0aforged?forged=%0aforged").await;
    let request =
        bed.of("acme", Method::GET, CUSTOMERS).header("user-agent", "forged").header("traceparent", "00-forged");
    assert_eq!(bed.send(request).await.status, 200);
    let log = bed.log();
    assert!(!log.contains("forged") && !log.contains('\u{1b}'), "{log}");
}
