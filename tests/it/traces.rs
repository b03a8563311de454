//! Traces: which requests have spans, what those say, and that a collector costs no request anything.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::any};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use reqwest::Method;
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    collector::{Collector, Span, configuration},
    partial_lists::open,
    stand_in::{Act, PATIENCE, StandIn, json as json_answer, refusing_address},
    support::{Gateway, JsonText, SECRET},
    terminal::{err, file, out},
    tls::check_in,
    tls_front::Authority,
    writes::helpers::{start_twin, wait_for_outcome},
};

const CUSTOMERS: &str = "/v1/customers";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// All spans, once those of the requests so far have arrived.
async fn spans(gateway: &Gateway, collector: &Collector) -> Vec<Span> {
    gateway.app().spans_sent(PATIENCE).await;
    collector.spans()
}

/// Waits until there are so many spans.
async fn wait_for_spans(gateway: &Gateway, collector: &Collector, count: usize) -> Vec<Span> {
    let waiting = async {
        loop {
            let spans = spans(gateway, collector).await;
            if spans.len() >= count {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the spans arrive in time")
}

const NAMES: [&str; 4] =
    ["passerelle.merchant", "passerelle.connection", "passerelle.provider", "passerelle.operation"];

#[tokio::test]
async fn a_sampled_request_has_a_server_span_and_one_client_span_for_all_requests_to_the_provider() {
    let collector = Collector::start().await;
    // The first attempt fails, and the read is sent again.
    let page = json_answer("200 OK", r#"{"data":[]}"#);
    let provider = StandIn::start(vec![json_answer("503 Service Unavailable", "{}"), page]).await;
    let settings = format!("send_traceparent = true\n{}", collector.configuration(1.0));
    let gateway = Gateway::in_front_of("lomi", &provider.url(), &settings).await;
    assert_eq!(gateway.get(&format!("{CUSTOMERS}?limit=5")).await.status, 200);

    let spans = spans(&gateway, &collector).await;
    let [server, client] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((server.kind, &*server.name, &*server.parent), (SpanKind::Server, "GET /v1/customers", ""));
    assert_eq!((client.kind, &*client.name, &client.parent), (SpanKind::Client, "GET", &server.id));
    assert_eq!((&client.trace, client.trace.len(), client.id.len()), (&server.trace, 32, 16));
    for span in [server, client] {
        assert_eq!(span.attributes(NAMES), ["acme", "main", "lomi", "list"]);
        let of_process = span.attributes(["service.name", "service.version"]);
        assert_eq!(of_process, ["passerelle", env!("CARGO_PKG_VERSION")]);
        assert!(!span.is_error && span.links.is_empty(), "{span:?}");
    }
    assert_eq!(
        server.attributes(["http.request.method", "http.route", "http.response.status_code", "url.scheme"]),
        ["GET", CUSTOMERS, "200", "http"]
    );
    assert_eq!(server.attributes(["passerelle.outcome", "network.protocol.version"]), ["ok", "1.1"]);
    let port = provider.address().port().to_string();
    assert_eq!(
        client.attributes([
            "server.address",
            "server.port",
            "http.response.status_code",
            "passerelle.provider_requests"
        ]),
        ["127.0.0.1", &*port, "200", "2"]
    );
    let [[began, ended], [first, last]] = [server.nanoseconds, client.nanoseconds];
    assert!(began <= first && first < last && last <= ended, "{spans:?}");

    // Each request to the provider names the client span.
    let sent = format!("traceparent: 00-{}-{}-01\r\n", client.trace, client.id);
    let requests = provider.requests();
    assert!(requests.len() == 2 && requests.iter().all(|request| request.contains(&sent)), "{requests:?}");
}

#[tokio::test]
async fn failures_are_errors_of_their_spans() {
    let collector = Collector::start().await;
    let provider = StandIn::always(json_answer("404 Not Found", "{}")).await;
    let gateway = Gateway::in_front_of("lomi", &provider.url(), &collector.configuration(1.0)).await;
    assert_eq!(gateway.get(&format!("{CUSTOMERS}/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985")).await.status, 404);
    let refused =
        Gateway::in_front_of("lomi", &format!("http://{}", refusing_address()), &collector.configuration(1.0)).await;
    assert_eq!(refused.get(CUSTOMERS).await.status, 503);
    let unknown = gateway.get("/v1/nothing").await;
    assert_eq!(unknown.status, 404);
    let (_, spans) = (spans(&refused, &collector).await, spans(&gateway, &collector).await);

    let error = |span: &Span| (span.is_error, span.attribute("error.type").to_owned());
    let found = |name: &str, code: &str| {
        let fits = |span: &&Span| span.name == name && span.attribute("passerelle.problem") == code;
        spans.iter().find(fits).unwrap_or_else(|| panic!("{name} {code}: {spans:?}"))
    };
    let calls_of = |server: &Span| spans.iter().find(|span| span.parent == server.id).cloned().expect("a client span");
    // What the client did wrong is no error of the gateway.
    let not_found = found("GET /v1/customers/{id}", "customer_not_found");
    assert_eq!((error(not_found), error(&calls_of(not_found))), ((false, String::new()), (true, "404".to_owned())));
    let unavailable = found("GET /v1/customers", "provider_unavailable");
    assert_eq!(error(unavailable), (true, "provider_unavailable".to_owned()));
    assert_eq!(error(&calls_of(unavailable)), (true, "unreachable".to_owned()));
    assert_eq!(found("GET", "not_found").attributes(["http.route", "passerelle.merchant"]), ["", ""]);
}

#[tokio::test]
async fn the_flag_of_the_client_decides_and_otherwise_the_ratio() {
    let collector = Collector::start().await;
    let provider = StandIn::always(json_answer("200 OK", r#"{"data":[]}"#)).await;
    let settings = |ratio: f64| format!("send_traceparent = true\n{}", collector.configuration(ratio));
    let none = Gateway::in_front_of("lomi", &provider.url(), &settings(0.0)).await;
    let all = Gateway::in_front_of("lomi", &provider.url(), &settings(1.0)).await;
    let list = async |gateway: &Gateway, parent: &str| {
        let request = gateway.request(Method::GET, CUSTOMERS).header("traceparent", parent);
        assert_eq!(gateway.send(request).await.status, 200);
    };
    assert_eq!(none.get(CUSTOMERS).await.status, 200);
    list(&none, &traceparent("00")).await;
    list(&all, &traceparent("00")).await;
    // A client must first prove whose it is.
    let stranger = none.plain(Method::GET, CUSTOMERS).bearer_auth("sk_wrong").header("traceparent", traceparent("01"));
    assert_eq!(stranger.send().await.expect("an answer").status(), 401);
    let (_, nothing) = (spans(&all, &collector).await, spans(&none, &collector).await);
    assert!(nothing.is_empty() && collector.requests().is_empty(), "{nothing:?}");
    assert!(provider.requests().iter().all(|request| !request.contains("traceparent")), "{:?}", provider.requests());

    list(&none, &traceparent("01")).await;
    // Another form is no parent.
    list(&all, "00-forged-01").await;
    let _ = spans(&none, &collector).await;
    let spans = spans(&all, &collector).await;
    let [server, client, own, _] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&*server.trace, &*server.parent), (TRACE, PARENT));
    assert_eq!((&*client.trace, &client.parent), (TRACE, &server.id));
    assert!(own.trace != TRACE && own.parent.is_empty(), "{own:?}");
}

#[tokio::test]
async fn no_provider_gets_a_traceparent_unless_its_connection_says_so() {
    let collector = Collector::start().await;
    let provider = StandIn::always(json_answer("200 OK", r#"{"data":[]}"#)).await;
    let gateway = Gateway::in_front_of("lomi", &provider.url(), &collector.configuration(1.0)).await;
    let request = gateway.request(Method::GET, CUSTOMERS).header("traceparent", traceparent("01"));
    assert_eq!(gateway.send(request).await.status, 200);
    assert_eq!(spans(&gateway, &collector).await.len(), 2);
    assert!(!provider.requests()[0].contains("traceparent"), "{:?}", provider.requests());
}

/// What clients and customers chose is not in spans, and no secret is.
#[tokio::test]
async fn spans_have_no_value_of_a_customer_and_no_secret() {
    let (collector, (base, _folder)) = (Collector::start().await, start_twin("lomi", ""));
    let headers = "headers = { authorization = \"Bearer hush\" }\nservice_name = \"gate\"\n";
    let settings = format!("{}{headers}", collector.configuration(1.0));
    let gateway = Gateway::in_front_of("lomi", &base, &settings).await;
    let awa = json!({ "name": "Awa Diop", "email": "awa@example.com", "phone": "+221771234567" });
    let keyed = gateway.request(Method::POST, CUSTOMERS).header("idempotency-key", "key-7411");
    let request = keyed.header("x-request-id", "request-7411").json_text(&awa);
    let made = gateway.send(request).await;
    let id = made.body["id"].as_str().expect("an id").to_owned();
    assert_eq!(gateway.get(&format!("{CUSTOMERS}/{id}")).await.status, 200);
    assert_eq!(gateway.get(&format!("{CUSTOMERS}?email=awa@example.com")).await.status, 200);

    let spans = spans(&gateway, &collector).await;
    assert_eq!(spans.len(), 6, "two for each request: {spans:?}");
    // The client waited for the task that executes its write.
    assert!(spans.iter().all(|span| span.links.is_empty()), "{spans:?}");
    assert_eq!(spans[0].attributes(["service.name", "passerelle.operation"]), ["gate", "create"]);
    for (headers, body) in collector.requests() {
        assert_eq!(headers["authorization"], "Bearer hush");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        let text = String::from_utf8_lossy(&body);
        for secret in [&*id, "hush", "Awa", "awa@", "771234567", "7411", "sk_acme", SECRET] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    let shown = format!("{:?}{:?}", gateway.snapshot().traces, gateway.app());
    assert!(shown.contains("Collector(") && !shown.contains("hush"), "{shown}");
}

/// A provider that answers only when it is released.
async fn start_waiting_provider(released: &Arc<Notify>, called: &Arc<Notify>) -> String {
    let (released, called) = (Arc::clone(released), Arc::clone(called));
    let wait = async move || {
        called.notify_one();
        released.notified().await;
        "not what a customer looks like"
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(wait))).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_write_that_outlives_its_request_is_linked_to_it() {
    let collector = Collector::start().await;
    let (released, called) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let provider = start_waiting_provider(&released, &called).await;
    // Nothing is reconciled as long as this test runs.
    let settings = format!("visibility_lag = \"1h\"\n{}", collector.configuration(1.0));
    let gateway = Gateway::in_front_of("lomi", &provider, &settings).await;
    let request = gateway.request(Method::POST, CUSTOMERS).json_text(&json!({ "name": "Awa Diop" }));
    let client = tokio::spawn(request.send());
    called.notified().await;
    client.abort();
    let spans = wait_for_spans(&gateway, &collector, 1).await;
    let [server] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&*server.name, server.kind, server.is_error), ("POST /v1/customers", SpanKind::Server, true));
    assert_eq!(
        server.attributes(["error.type", "passerelle.outcome", "http.response.status_code"]),
        ["abandoned", "abandoned", ""]
    );

    released.notify_one();
    let spans = wait_for_spans(&gateway, &collector, 2).await;
    let [server, call] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((call.kind, &call.trace, &call.parent), (SpanKind::Client, &server.trace, &server.id));
    assert_eq!(call.links, [(server.trace.clone(), server.id.clone())]);
    assert_eq!(call.attributes(NAMES), ["acme", "main", "lomi", "create"]);
    assert!(call.nanoseconds[1] >= server.nanoseconds[1], "{spans:?}");
}

/// The link is in the store, so it survives a restart.
#[tokio::test]
async fn a_reconciliation_is_linked_to_the_request_also_by_another_process() {
    let (collector, (base, folder)) =
        (Collector::start().await, start_twin("lomi", "error_after = 1.0\nonly = [\"create\"]"));
    let store = format!("sqlite:{}", folder.path().join("store.db").display());
    let settings = |lag: &str| format!("visibility_lag = \"{lag}\"\n{}", collector.configuration(1.0));
    // The first gateway would reconcile it in an hour.
    let first = Gateway::with_store(&store, "lomi", &base, &settings("1h")).await;
    let failed = first.post(CUSTOMERS, json!({ "name": "Awa Diop", "email": "awa@example.com" })).await;
    assert_eq!(failed.status_and_code(), (502, "outcome_unknown"));
    let id = failed.body["operation_id"].as_str().expect("an id").to_owned();
    // The end of the process flushes the spans.
    first.stop().await;
    drop(open(&folder.path().join("store.db")).await);
    let request = collector.spans();
    let [server, call] = &request[..] else { panic!("{request:?}") };
    assert_eq!(server.attributes(["passerelle.outcome", "error.type"]), ["unknown", "outcome_unknown"]);
    assert_eq!((&call.parent, call.attribute("error.type")), (&server.id, "500"));

    make_due(&folder.path().join("store.db"));
    let second = Gateway::with_store(&store, "lomi", &base, &settings("10ms")).await;
    assert_eq!(wait_for_outcome(&second, &id, "unknown").await["outcome"], "done");
    let is_linked = |span: &Span| span.links == [(server.trace.clone(), server.id.clone())];
    let ends = tokio::time::Instant::now() + PATIENCE;
    let reconciled = loop {
        let spans = spans(&second, &collector).await;
        if let Some(span) = spans.into_iter().find(is_linked) {
            break span;
        }
        assert!(tokio::time::Instant::now() < ends, "{:?}", collector.spans());
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((&*reconciled.name, reconciled.kind), ("reconcile create", SpanKind::Client));
    assert!(reconciled.trace != server.trace && reconciled.parent.is_empty(), "{reconciled:?}");
    assert_eq!(reconciled.attributes(NAMES), ["acme", "main", "lomi", "create"]);
    let instance = |span: &Span| span.attribute("service.instance.id").to_owned();
    assert_ne!(instance(&reconciled), instance(server), "another process");
}

/// Makes every write due to be reconciled.
fn make_due(file: &std::path::Path) {
    let store = rusqlite::Connection::open(file).expect("the store");
    let changed = store.execute("UPDATE operations SET reconcile_after = 0 WHERE reconcile_after IS NOT NULL", []);
    assert_eq!(changed.expect("it is written"), 1);
}

#[tokio::test]
async fn a_collector_that_is_down_or_hangs_costs_no_request_anything() {
    let provider = StandIn::always(json_answer("200 OK", r#"{"data":[]}"#)).await;
    let down = format!("http://{}/v1/traces", refusing_address());
    let gateway = Gateway::in_front_of("lomi", &provider.url(), &configuration(&down, 1.0)).await;
    assert_eq!(gateway.get(CUSTOMERS).await.status, 200);
    gateway.app().spans_sent(PATIENCE).await;
    let counted =
        |gateway: &Gateway, outcome: &str| gateway.metric(&format!("passerelle_spans_total{{outcome=\"{outcome}\"}}"));
    assert_eq!((counted(&gateway, "failed"), counted(&gateway, "sent")), (2.0, 0.0));

    let hanging = StandIn::always(Act::Hang).await;
    gateway.reload(&reloaded(&provider.url(), &configuration(&format!("{}/v1/traces", hanging.url()), 1.0)));
    assert_eq!(gateway.get(CUSTOMERS).await.status, 200);
    hanging.received(1).await;
    let began = tokio::time::Instant::now();
    assert_eq!(gateway.get(CUSTOMERS).await.status, 200);
    gateway.stop().await;
    // The collector has ten seconds to answer. The gateway does not wait for that.
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_reload_changes_the_collector_and_a_removed_one_gets_nothing() {
    let (before, after) = (Collector::start().await, Collector::start().await);
    let provider = StandIn::always(json_answer("200 OK", r#"{"data":[]}"#)).await;
    let gateway = Gateway::in_front_of("lomi", &provider.url(), &before.configuration(1.0)).await;
    gateway.get(CUSTOMERS).await;
    assert_eq!(spans(&gateway, &before).await.len(), 2);
    gateway.reload(&reloaded(&provider.url(), &after.configuration(1.0)));
    gateway.get(CUSTOMERS).await;
    assert_eq!(spans(&gateway, &after).await.len(), 2);
    gateway.reload(&reloaded(&provider.url(), ""));
    gateway.get(CUSTOMERS).await;
    gateway.stop().await;
    assert_eq!((before.spans().len(), after.spans().len()), (2, 2));
}

fn reloaded(base_url: &str, traces: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\napi_keys = [\"sk_acme\"]\n\
         active = \"main\"\nregion = \"SN\"\n[merchants.acme.connections.main]\nprovider = \"lomi\"\n\
         base_url = \"{base_url}\"\ncredentials = {{ api_key = \"{SECRET}\" }}\n{traces}"
    )
}

#[tokio::test]
async fn the_collector_is_reached_through_the_proxy() {
    let proxy = StandIn::always(json_answer("200 OK", "")).await;
    let provider = StandIn::always(json_answer("200 OK", r#"{"data":[]}"#)).await;
    let outbound = format!("allow_insecure = true\nproxy = \"{}\"\nno_proxy = [\"127.0.0.1\"]", proxy.url());
    let traces = configuration("http://collector.test/v1/traces", 1.0);
    let configured = reloaded(&provider.url(), &traces).replace("allow_insecure = true", &outbound);
    let gateway = Gateway::start(&configured).await.with_key("sk_acme");
    assert_eq!(gateway.get(CUSTOMERS).await.status, 200);
    gateway.app().spans_sent(PATIENCE).await;
    assert!(proxy.requests()[0].starts_with("POST http://collector.test/v1/traces HTTP/1.1\r\n"));
}

#[tokio::test]
async fn mistakes_name_their_key_and_no_secret() {
    let trusted = Authority::new().file();
    let check = async |traces: &str| {
        let written = reloaded("https://provider.test", &format!("[telemetry.traces]\n{traces}"));
        let checked = check_in(&[], &[], file(&written), trusted.path()).await;
        let text = format!("{}{}", out(&checked), err(&checked));
        assert!(!text.contains("hush"), "{text}");
        (checked.status.success(), text)
    };
    let endpoint = "endpoint = \"https://collector.example/v1/traces\"\n";
    for (traces, mistake) in [
        ("sample_ratio = 1".to_owned(), ":13: `telemetry.traces.endpoint` is missing"),
        (
            "endpoint = \"collector.example:4318\"".to_owned(),
            ":14: `telemetry.traces.endpoint` must begin with http://",
        ),
        (
            "endpoint = \"https://collector.example\"".to_owned(),
            "has no path; most collectors take traces at /v1/traces",
        ),
        (format!("{endpoint}sample_ratio = 2"), "`telemetry.traces.sample_ratio` must be a number from 0 to 1"),
        (format!("{endpoint}service_name = \"\""), "`telemetry.traces.service_name` is empty"),
        (format!("{endpoint}headers = {{ \"a b\" = \"hush\" }}"), "is not the name of a header"),
        (format!("{endpoint}headers = {{ Host = \"hush\" }}"), "is set by the gateway itself"),
        (format!("{endpoint}headers = {{ key = \"hush\\nhush\" }}"), "has characters that a header cannot have"),
        (format!("{endpoint}headers = {{ key = {{ env = \"NOT_SET\" }} }}"), "NOT_SET, which is not set"),
        (format!("{endpoint}protocol = \"grpc\""), "protocol"),
    ] {
        let (is_valid, text) = check(&traces).await;
        assert!(!is_valid && text.contains(mistake), "{traces}: {text}");
    }
    let (is_valid, text) =
        check("endpoint = \"http://collector.example/v1/traces\"\nheaders = { key = \"hush\" }").await;
    assert!(is_valid && text.contains("headers are sent without encryption"), "{text}");
    assert!(text.contains("`telemetry.traces.headers.key` is a literal; use { env"), "{text}");
    let unused = reloaded("https://provider.test", "send_traceparent = true");
    let text = err(&check_in(&[], &[], file(&unused), trusted.path()).await);
    assert!(text.contains("`merchants.acme.connections.main.send_traceparent` is not used"), "{text}");
}
