//! The operator's API: its routes, its keys, its hosts, and its refusals.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bed, KEY};
use crate::{contract::Contract, support::JsonText};

fn decided(state: &str, epoch: u64) -> Value {
    json!({ "state": state, "epoch": epoch })
}

#[tokio::test]
async fn every_documented_route_exists_and_needs_a_key_of_the_operator() {
    let bed = Bed::start().await;
    let routes = Contract::operator().routes();
    assert!(routes.len() > 20, "{routes:?}");
    for (method, path) in routes.into_iter().filter(|(_, path)| path.starts_with("/v1/")) {
        let url = format!(
            "{}{}",
            bed.url(),
            path.replace("{id}", "sw_00000000000000000000000000000001").replace("{merchant}", "acme")
        );
        for (key, detail) in [
            (None, "send the operator's key"),
            (Some("op_sandbox_x"), "not one of `operator.keys`"),
            (Some("sk_acme"), "this is the key of a merchant's client"),
        ] {
            let mut request = bed.client.request(method.clone(), &url).json_text(&json!({}));
            request = if let Some(key) = key { request.bearer_auth(key) } else { request };
            let answer = bed.send(request).await;
            assert_eq!(answer.status_and_code(), (401, "unauthorized"), "{method} {path}");
            assert!(answer.text.contains(detail), "{}", answer.text);
        }
    }
    let unknown = bed.get("/v1/customers").await;
    assert_eq!(unknown.status_and_code(), (404, "not_found"));
    assert!(unknown.text.contains("GET /openapi.json"), "{}", unknown.text);
}

#[tokio::test]
async fn a_merchants_listener_has_no_switches() {
    let bed = Bed::start().await;
    let url = format!("http://{}/v1/switches", bed.running.address);
    for key in ["sk_acme", KEY] {
        let answer = bed.client.get(&url).bearer_auth(key).send().await.expect("an answer");
        assert_eq!(answer.status(), 404);
    }
}

#[tokio::test]
async fn without_a_key_only_health_and_metrics_are_served_and_the_answer_says_how_to_make_one() {
    let bed = Bed::with("", "sqlite::memory:").await;
    for path in ["/livez", "/readyz", "/metrics"] {
        let answer = bed.client.get(format!("{}{path}", bed.url())).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    }
    // Every connection is a sandbox, so the public key is one.
    let sandbox = bed.client.get(format!("{}/v1/switches", bed.url())).bearer_auth("op_sandbox");
    assert_eq!(bed.send(sandbox).await.status, 200);
    let configuration = "[operator]\nlisten = \"127.0.0.1:0\"\n[merchants.acme]\napi_keys = [{ sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\" }]\n\
                         active = \"main\"\nconnections.main = { provider = \"lomi\", credentials.api_key = \"x\" }\n";
    let gateway = crate::support::Gateway::start(&format!("[store]\nurl = \"sqlite::memory:\"\n{configuration}")).await;
    for path in ["/v1/operations", "/openapi.json"] {
        let answer = gateway.send(gateway.at_operator(path).bearer_auth("op_sandbox")).await;
        assert_eq!(answer.status_and_code(), (404, "not_found"), "{path}");
        assert!(answer.text.contains("passerelle keys new") && answer.text.contains("[operator]"), "{}", answer.text);
    }
}

#[test]
fn the_public_key_and_a_merchants_key_are_refused_as_keys_of_the_operator() {
    let check = |keys: &str| {
        let text = format!(
            "[operator]\nlisten = \"127.0.0.1:0\"\nkeys = [{keys}]\n[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n\
             connections.main = {{ provider = \"lomi\", credentials.api_key = \"x\" }}\n"
        );
        let loaded = passerelle::config::load_text(&text, "test.toml").expect("a configuration");
        passerelle::merchant::Gateway::resolve(&loaded, None, &passerelle::upstream::Shared::default())
    };
    let public = check("\"op_sandbox\"").expect_err("a mistake").to_string();
    assert!(public.contains("test.toml:3: `operator.keys` has `op_sandbox`, which is public"), "{public}");
    let shared = check("\"sk_acme\"").expect_err("a mistake").to_string();
    assert!(shared.contains("`operator.keys` has a key of a merchant's client"), "{shared}");
    let missing = check("{ env = \"NO_SUCH_VARIABLE\" }").expect_err("a mistake").to_string();
    assert!(missing.contains("NO_SUCH_VARIABLE, which is not set"), "{missing}");
    let literal = check("\"op_literal\"").expect("valid").warnings.join("\n");
    assert!(literal.contains("`operator.keys` holds a key itself") && !literal.contains("op_literal"), "{literal}");
}

#[tokio::test]
async fn a_request_for_another_host_is_refused_whatever_its_key() {
    let bed = Bed::with(&format!("keys = [\"{KEY}\"]\nhosts = [\"ops.internal\"]"), "sqlite::memory:").await;
    for (host, status) in
        [("evil.example", 421), ("evil.example:9464", 421), ("ops.internal", 200), ("localhost:1", 200)]
    {
        let answer = bed.send(bed.request(Method::GET, "/v1/switches").header("host", host)).await;
        assert_eq!(answer.status.as_u16(), status, "{host}");
        if status == 421 {
            assert_eq!(answer.code(), "wrong_host");
        }
    }
    let health = bed.client.get(format!("{}/livez", bed.url())).header("host", "probe.example").send().await;
    assert_eq!(health.expect("an answer").status(), 200, "probes use any name");
}

#[tokio::test]
async fn off_loopback_the_gateway_warns_that_the_key_is_not_encrypted() {
    let text = passerelle::config::SANDBOX.replacen(
        "listen = \"127.0.0.1:9464\"",
        "listen = \"0.0.0.0:0\"\nkeys = [\"op_test\"]",
        1,
    );
    let mut loaded = passerelle::config::load_text(&text, "test.toml").expect("a configuration");
    loaded.config.server.listen = "127.0.0.1:0".to_owned();
    let running = passerelle::command::start(&loaded).await.expect("a gateway");
    assert!(running.warnings.iter().any(|warning| warning.contains("TLS")), "{:?}", running.warnings);
}

#[tokio::test]
async fn a_switch_is_planned_run_verified_cut_over_rolled_back_and_completed() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    let at = |command: &str| format!("/v1/switches/{id}/{command}");
    let running = bed.post(&at("run"), json!({ "decided": decided("planned", 0), "first": 10 })).await;
    assert_eq!((running.status.as_u16(), &running.body["state"]), (200, &"copying".into()), "{}", running.text);
    let copied = bed.until(&id, "copied").await;
    assert_eq!((&copied.body["records"]["created"], &copied.body["records"]["pending"]), (&37.into(), &0.into()));
    let rate = bed.post(&at("rate"), json!({ "limit": "60/min" })).await;
    assert_eq!(rate.body["rate"]["limit"], "60/min");
    assert_eq!(bed.post(&at("rate"), json!({ "limit": null })).await.body["rate"]["limit"], Value::Null);
    let verifying = bed.post(&at("verify"), json!({ "decided": decided("copied", 0), "ids_only": true })).await;
    assert_eq!(verifying.body["verified"]["complete"], false);
    while bed.get(at("").trim_end_matches('/')).await.body["verified"]["complete"] == false {}
    let closed = bed.post(&at("cutover"), json!({ "decided": decided("copied", 0) })).await;
    assert_eq!(closed.status_and_code(), (409, "switch_refused"));
    let codes: Vec<&Value> =
        closed.body["reasons"].as_array().expect("reasons").iter().map(|reason| &reason["code"]).collect();
    assert_eq!(codes, ["needs_decision", "refused"]);
    let accept = json!({ "decided": decided("copied", 0), "accept": ["needs_decision", "refused"] });
    let switched = bed.post(&at("cutover"), accept.clone()).await;
    assert_eq!(
        (&switched.body["state"], &switched.body["epoch"]),
        (&"switched".into(), &1.into()),
        "{}",
        switched.text
    );
    let back = bed.post(&at("rollback"), json!({ "decided": decided("switched", 1) })).await;
    assert_eq!((&back.body["state"], &back.body["epoch"]), (&"copied".into(), &2.into()));
    let late = bed.post(&at("cutover"), accept).await;
    assert_eq!(
        late.status_and_code(),
        (409, "switch_changed"),
        "a command that another operator's rollback has overtaken"
    );
    let again = json!({ "decided": decided("copied", 2), "accept": ["needs_decision", "refused"] });
    assert_eq!(bed.post(&at("cutover"), again).await.status, 200);
    let completed = bed.post(&at("complete"), json!({ "decided": decided("switched", 3) })).await;
    assert_eq!((&completed.body["state"], &completed.body["next"]), (&"completed".into(), &Value::Null));
    assert_eq!(bed.get("/v1/merchants/acme/switch").await.body["id"], id.as_str());
}

#[tokio::test]
async fn a_plan_with_the_same_key_is_the_same_switch_and_another_plan_is_refused() {
    let bed = Bed::start().await;
    let plan = || bed.request(Method::POST, "/v1/switches").json_text(&json!({ "merchant": "acme", "to": "new" }));
    let first = bed.send(plan().header("idempotency-key", "k1")).await;
    let second = bed.send(plan().header("idempotency-key", "k1")).await;
    assert_eq!((second.status.as_u16(), &second.body["id"]), (201, &first.body["id"]));
    let other = bed.send(plan().header("idempotency-key", "k2")).await;
    assert_eq!(other.status_and_code(), (409, "switch_refused"));
    assert_eq!(other.body["reasons"][0]["code"], "switch_open");
    let twice = bed.send(plan().header("idempotency-key", "a").header("idempotency-key", "b")).await;
    assert_eq!(twice.status_and_code(), (400, "malformed_request"));
}

/// R24: a file says who there is.
#[tokio::test]
async fn a_list_of_customers_is_read_line_by_line_beyond_the_limit_of_bodies() {
    let bed = Bed::start().await;
    let mut lines: String = (0..40_000)
        .map(|place| format!("{{\"id\":\"cus_{place}\",\"name\":\"Awa Diop\"}}\n"))
        .collect::<Vec<_>>()
        .concat();
    lines.push_str("not JSON\n");
    assert!(lines.len() > 1 << 20, "longer than a body may be");
    let request = bed.request(Method::POST, "/v1/switches?merchant=acme&to=new&sample=5");
    let planned = bed.send(request.header("content-type", "application/x-ndjson").body(lines)).await;
    assert_eq!(planned.status, 201, "{}", planned.text);
    assert_eq!(planned.body["records"]["total"], 40_000);
    assert_eq!(bed.memory.log(), ["plan acme to new sample 5 customers 40000 wrong [\"line 40001: it is not JSON\"]"]);
    let request = bed.request(Method::POST, "/v1/switches?to=new");
    let incomplete = bed.send(request.header("content-type", "application/x-ndjson").body("{}\n")).await;
    assert_eq!(incomplete.status_and_code(), (422, "invalid_request"), "{}", incomplete.text);
}

#[tokio::test]
async fn a_dry_run_shows_the_steps_and_changes_nothing() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    for (command, state) in [
        ("run", "planned"),
        ("cutover", "planned"),
        ("rollback", "planned"),
        ("complete", "planned"),
        ("abandon", "planned"),
    ] {
        let path = format!("/v1/switches/{id}/{command}");
        let answer = bed.post(&path, json!({ "decided": decided(state, 0), "dry_run": true })).await;
        assert_eq!(
            (&answer.body["object"], &answer.body["command"]),
            (&"switch_steps".into(), &command.into()),
            "{}",
            answer.text
        );
        assert!(answer.body["steps"].as_array().is_some_and(|steps| !steps.is_empty()));
        assert_eq!(
            answer.body["refused"].as_array().is_some_and(Vec::is_empty),
            command != "cutover",
            "{}",
            answer.text
        );
    }
    assert_eq!(bed.get(&format!("/v1/switches/{id}")).await.body["state"], "planned");
    assert_eq!(bed.memory.log().len(), 1, "only the plan was executed");
}

#[tokio::test]
async fn wrong_requests_are_problems_that_say_what_is_wrong() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    let at = |command: &str| format!("/v1/switches/{id}/{command}");
    for (path, body, expected, detail) in [
        ("/v1/switches".to_owned(), json!({ "merchant": "acme" }), (422, "invalid_request"), "missing field `to`"),
        (
            "/v1/switches".to_owned(),
            json!({ "merchant": "acme", "to": "new", "x": 1 }),
            (422, "invalid_request"),
            "unknown field `x`",
        ),
        (
            "/v1/switches".to_owned(),
            json!({ "merchant": "acme", "to": "new", "sample": 1001 }),
            (422, "invalid_request"),
            "0 to 1000",
        ),
        ("/v1/switches".to_owned(), json!({ "merchant": "umbrella", "to": "new" }), (404, "not_found"), "umbrella"),
        (at("run"), json!({ "decided": { "state": "flying", "epoch": 0 } }), (422, "invalid_request"), "flying"),
        (at("run"), json!({}), (422, "invalid_request"), "decided"),
        (at("run"), json!({ "decided": decided("planned", 0), "first": 0 }), (422, "invalid_request"), "at least 1"),
        (at("run"), json!({ "decided": decided("planned", 7) }), (409, "switch_changed"), "epoch 0 now"),
        (
            at("verify"),
            json!({ "decided": decided("planned", 0) }),
            (409, "switch_refused"),
            "does not take this command",
        ),
        (
            at("decisions"),
            json!({ "decided": decided("planned", 0), "decisions": [] }),
            (422, "invalid_request"),
            "1 to 5000",
        ),
        (at("rate"), json!({ "limit": "fast" }), (422, "invalid_request"), "60/min"),
        (at("rate"), json!({}), (422, "invalid_request"), "limit"),
        // No array is taken for an object with its values.
        (at("rate"), json!([null]), (422, "invalid_request"), "object"),
        (at("run"), json!({ "decided": ["planned", 0] }), (422, "invalid_request"), "object"),
        (
            at("decisions"),
            json!({ "decided": decided("planned", 0), "decisions": [["cus_1", "skip", null]] }),
            (422, "invalid_request"),
            "object",
        ),
        (
            at("abandon"),
            json!({ "decided": { "state": "planned", "epoch": 1_u64 << 63 }, "dry_run": true }),
            (422, "invalid_request"),
            "an epoch is at most",
        ),
        ("/v1/switches/sw_9/stop".to_owned(), json!({}), (404, "not_found"), "sw_9"),
    ] {
        let answer = bed.post(&path, body.clone()).await;
        assert_eq!(answer.status_and_code(), expected, "{path} {body}: {}", answer.text);
        assert!(
            answer.body["detail"].as_str().is_some_and(|text| text.contains(detail)),
            "{path} {body}: {}",
            answer.text
        );
    }
    for (path, expected) in [
        ("/v1/switches?limit=0", 422),
        ("/v1/switches?limt=1", 422),
        ("/v1/switches?cursor=sw_NULL", 400),
        ("/v1/switches/sw_9", 404),
        ("/v1/switches/sw_%00", 400),
        ("/v1/merchants/acme%00/switch", 400),
        (&at("records?outcome=lost"), 422),
        (&at("records?cursor=x"), 422),
        (&at("map.csv?format=excel"), 422),
        ("/v1/operations?outcome=lost", 422),
        ("/v1/operations?cursor=x", 400),
        ("/v1/audit?cursor=x", 400),
        ("/v1/merchants/umbrella/switch", 404),
    ] {
        assert_eq!(bed.get(path).await.status.as_u16(), expected, "{path}");
    }
    let text = bed.request(Method::POST, &at("run")).body("run");
    assert_eq!(bed.send(text).await.status_and_code(), (415, "unsupported_media_type"));
    // PostgreSQL cannot store U+0000. A backslash that is escaped begins no escape.
    let only = |id: &str| json!({ "decided": decided("planned", 0), "only": [id], "dry_run": true });
    assert_eq!(bed.post(&at("run"), only("cus_\0")).await.status_and_code(), (400, "malformed_request"));
    let other = bed.post(&at("run"), only("cus_\\u0000")).await;
    assert_ne!(other.status.as_u16(), 400, "{}", other.text);
    let cut = bed.request(Method::POST, &at("run")).header("content-type", "application/json").body("{");
    assert_eq!(bed.send(cut).await.status_and_code(), (400, "malformed_request"));
}

#[tokio::test]
async fn lists_are_walked_by_cursors() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    let (mut path, mut seen) = (format!("/v1/switches/{id}/records?limit=15"), Vec::new());
    loop {
        let page = bed.get(&path).await;
        let records = page.body["data"].as_array().expect("records");
        seen.extend(records.iter().filter_map(|record| Some(record["public_id"].as_str()?.to_owned())));
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        path = format!("/v1/switches/{id}/records?limit=15&cursor={cursor}");
    }
    seen.dedup();
    assert_eq!(seen.len(), 40);
    let refused = bed.get(&format!("/v1/switches/{id}/records?outcome=refused")).await;
    assert_eq!(
        (refused.body["data"].as_array().map(Vec::len), &refused.body["data"][0]["code"]),
        (Some(1), &"last_name_required".into())
    );
    assert_eq!(
        bed.post(&format!("/v1/switches/{id}/abandon"), json!({ "decided": decided("planned", 0) })).await.status,
        200
    );
    let second = bed.planned().await;
    let first_page = bed.get("/v1/switches?limit=1&merchant=acme").await;
    assert_eq!(
        (&first_page.body["data"][0]["id"], &first_page.body["has_more"]),
        (&second.as_str().into(), &true.into())
    );
    let cursor = first_page.body["next_cursor"].as_str().expect("a cursor");
    assert_eq!(bed.get(&format!("/v1/switches?limit=1&cursor={cursor}")).await.body["data"][0]["id"], id.as_str());
}

/// R13: the way out of a restored backup.
#[tokio::test]
async fn the_active_connection_can_be_set_after_a_restored_backup() {
    let bed = Bed::start().await;
    let put = |merchant: &str, connection: &str| {
        let request = bed.request(Method::PUT, &format!("/v1/merchants/{merchant}/active"));
        request.json_text(&json!({ "connection": connection }))
    };
    assert_eq!(bed.send(put("acme", "new")).await.body["epoch"], 8);
    assert_eq!(bed.send(put("acme", "old")).await.status, 404);
}

#[tokio::test]
async fn the_writes_and_the_audit_of_all_merchants_can_be_read() {
    let bed = Bed::start().await;
    let customers = format!("http://{}/v1/customers", bed.running.address);
    for name in ["Awa Diop", "Amadou Ba"] {
        let request = bed.client.post(&customers).bearer_auth("sk_acme").json_text(&json!({ "name": name }));
        assert_eq!(request.send().await.expect("an answer").status(), 201);
    }
    let page = bed.get("/v1/operations?limit=1&merchant=acme&outcome=done").await;
    assert_eq!((&page.body["data"][0]["merchant"], &page.body["data"][0]["outcome"]), (&"acme".into(), &"done".into()));
    let cursor = page.body["next_cursor"].as_str().expect("a cursor");
    let rest = bed.get(&format!("/v1/operations?limit=1&cursor={cursor}")).await;
    assert_eq!((rest.body["data"].as_array().map(Vec::len), &rest.body["has_more"]), (Some(1), &false.into()));
    assert_eq!(bed.get("/v1/operations?merchant=umbrella").await.body["data"], json!([]));
    let audit = bed.get("/v1/audit?limit=3").await;
    assert_eq!((&audit.body["data"][0]["event"], &audit.body["next_cursor"]), (&"intent".into(), &"3".into()));
    assert_eq!(bed.get("/v1/audit?cursor=3").await.body["data"].as_array().map(Vec::len), Some(1));
    let verified = bed.get("/v1/audit/verification").await;
    assert_eq!((&verified.body["records"], &verified.body["broken"]), (&4.into(), &Value::Null));
    assert!(!audit.text.contains("Awa"));
}

/// The document is a snapshot, so that a reviewer sees every change of the contract.
#[tokio::test]
async fn the_operators_document_changes_only_on_purpose() {
    let bed = Bed::start().await;
    let served = bed.client.get(format!("{}/openapi.json", bed.url())).send().await.expect("an answer");
    assert_eq!(served.text().await.expect("a body"), passerelle::operator::openapi::json());
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path("../snapshots");
    settings.bind(|| insta::assert_snapshot!("operator-openapi", passerelle::operator::openapi::json()));
}
