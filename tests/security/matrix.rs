//! S04 and S05: every operation of both OpenAPI documents, with every kind of key that is not its own, and with what
//! belongs to another merchant. The operations come from the documents, so a new operation is in the first table by
//! itself, and fails the second one until it is said what of another merchant it could show.

use std::{collections::BTreeSet, process::Command};

use data_encoding::HEXLOWER;
use passerelle::merchant::digest_of;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    bed::{Answer, Bed, JsonText, Listener, merchant_of, merchant_of_twin},
    canary,
    stand_in::{StandIn, json as json_answer},
};

const PROVIDERS: [&str; 5] = ["modempay", "lomi", "paymentkit", "bitnob", "notchpay"];

/// An operation of a document.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) operation: String,
    pub(crate) needs_key: bool,
}

/// Every operation of the document of a listener, as the command prints it.
pub(crate) fn routes(listener: Listener) -> Vec<Route> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_passerelle"));
    command.arg("openapi");
    if listener == Listener::Operator {
        command.arg("--operator");
    }
    let document: Value = serde_json::from_slice(&command.output().expect("it runs").stdout).expect("JSON");
    let methods = ["get", "post", "put", "patch", "delete", "head", "options", "trace"];
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            assert!(methods.contains(&method.as_str()), "{path} has {method}");
            routes.push(Route {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.clone(),
                operation: operation["operationId"].as_str().expect("an operation id").to_owned(),
                needs_key: operation.get("security") != Some(&json!([{}])),
            });
        }
    }
    assert!(routes.iter().filter(|route| route.needs_key).count() > 10, "{routes:?}");
    routes
}

/// The path with something in every parameter.
pub(crate) fn filled(path: &str, id: &str) -> String {
    path.replace("{id}", id).replace("{name}", "lomi").replace("{merchant}", "acme")
}

#[tokio::test]
async fn s04_every_operation_needs_a_key_of_its_own_listener() {
    let bed = Bed::start(&merchant_of_twin("acme", "lomi"));
    let merchants_key = canary::key_of("acme");
    for (listener, key_of_the_other) in
        [(Listener::Merchants, canary::OPERATOR_KEY), (Listener::Operator, merchants_key.as_str())]
    {
        for Route { method, path, needs_key, .. } in routes(listener) {
            let called = format!("{method} {path} at {listener:?}");
            let request = || bed.request(listener, method.clone(), &filled(&path, "cus_1")).json_text(&json!({}));
            let without = bed.send(request()).await;
            if !needs_key {
                assert_eq!(without.status, 200, "{called}");
                assert!(["/livez", "/readyz"].contains(&path.as_str()), "{called} needs no key");
                continue;
            }
            let wrong = bed.send(request().bearer_auth(canary::WRONG_KEY)).await;
            let other = bed.send(request().bearer_auth(key_of_the_other)).await;
            for answer in [&without, &wrong, &other] {
                assert_eq!(answer.status_and_code(), (401, "unauthorized"), "{called}: {}", answer.text);
                assert!(answer.header("www-authenticate").starts_with("Bearer"), "{called}: {answer:?}");
                assert_eq!(answer.body["outcome"], "none", "{called}");
            }
        }
    }
}

/// What of another merchant an operation could show.
enum Crossing {
    /// A customer, whose id is in the path.
    Customer,
    /// A write, whose id is in the path.
    Write,
    /// Customers in a list: its own, and those behind a cursor.
    Customers,
    /// A customer, by an address.
    Contact,
    /// Writes in a list.
    Writes,
    /// The answer to another merchant's write with the same key.
    Key,
    /// What the merchant itself is.
    Merchant,
    /// Nothing: the answer is the same for all merchants.
    Nothing,
}

fn crossing(operation: &str) -> Crossing {
    match operation {
        "retrieve_customer"
        | "update_customer"
        | "delete_customer"
        | "block_customer"
        | "unblock_customer"
        | "list_overdue_invoices"
        | "list_payment_methods"
        | "list_payments" => Crossing::Customer,
        "retrieve_operation" => Crossing::Write,
        "list_customers" => Crossing::Customers,
        "lookup_customer" => Crossing::Contact,
        "list_operations" => Crossing::Writes,
        "create_customer" => Crossing::Key,
        "retrieve_merchant" => Crossing::Merchant,
        "list_providers" | "retrieve_provider" | "retrieve_version" => Crossing::Nothing,
        other => panic!("{other} is a new operation: say here what of another merchant it could show"),
    }
}

/// What belongs to the first merchant.
struct Owned {
    customer: String,
    write: Option<String>,
    cursor: String,
}

/// An id of the same form that does not exist.
fn unused(id: &str) -> String {
    let (start, last) = id.split_at(id.len() - 1);
    format!("{start}{}", if last == "0" { "1" } else { "0" })
}

#[tokio::test]
async fn s04_what_belongs_to_another_merchant_is_answered_like_what_does_not_exist() {
    let merchants = PROVIDERS.map(|provider| {
        merchant_of_twin(&format!("{provider}_a"), provider) + &merchant_of_twin(&format!("{provider}_b"), provider)
    });
    let bed = Bed::start(&merchants.concat());
    let mut reached = BTreeSet::new();
    for provider in PROVIDERS {
        let (first, second) = (format!("{provider}_a"), format!("{provider}_b"));
        let owned = owned_by(&bed, provider, &first).await;
        let before = bed.get(&first, &format!("/v1/customers/{}", owned.customer)).await;
        for route in routes(Listener::Merchants).into_iter().filter(|route| route.needs_key) {
            if cross(&bed, &route, &second, &owned).await {
                reached.insert(route.operation);
            }
        }
        let after = bed.get(&first, &format!("/v1/customers/{}", owned.customer)).await;
        assert_eq!(before.body, after.body, "{provider}: the customer of the first merchant has not changed");
    }
    let documented: BTreeSet<String> =
        routes(Listener::Merchants).into_iter().filter(|route| route.needs_key).map(|route| route.operation).collect();
    assert_eq!(reached, documented, "every operation was executed by a provider that supports it");
}

/// Makes a customer, as the provider's merchants can.
async fn owned_by(bed: &Bed, provider: &str, merchant: &str) -> Owned {
    let (customer, write) = if provider == "paymentkit" {
        let path = "/as/paymentkit/api/customers/z1abcDIDabcDIDabcDIDabcDIDabcDIDabc";
        let request = bed.of(merchant, Method::GET, path).json_text(&json!({ "create": true }));
        (bed.send(request).await.id().to_owned(), None)
    } else {
        let created = bed.post(merchant, "/v1/customers", &canary::customer()).await;
        assert_eq!(created.status, 201, "{provider}: {}", created.text);
        (created.id().to_owned(), Some(created.header("x-operation-id").to_owned()))
    };
    let page = bed.get(merchant, "/v1/customers?limit=1").await;
    let cursor = page.body["next_cursor"].as_str().unwrap_or_else(|| panic!("{provider}: {}", page.text));
    Owned { customer, write, cursor: cursor.to_owned() }
}

/// Asks an operation for what belongs to another merchant. Returns whether the provider supports the operation.
async fn cross(bed: &Bed, route: &Route, merchant: &str, owned: &Owned) -> bool {
    let called = format!("{} {} of {merchant}", route.method, route.path);
    let ask = async |path: &str| {
        let request = bed.of(merchant, route.method.clone(), path);
        let request = match route.operation.as_str() {
            "create_customer" => request.json_text(&json!({ "name": "Amadou Ba", "email": "amadou@example.com" })),
            "update_customer" => request.json_text(&json!({ "email": "amadou.ba@example.com" })),
            _ => request,
        };
        bed.send(request).await
    };
    let same = |theirs: &Answer, unused: &Answer, ids: [&str; 2]| {
        assert_eq!(theirs.comparable(ids[0]), unused.comparable(ids[1]), "{called}");
    };
    match crossing(&route.operation) {
        Crossing::Customer => {
            let unused = unused(&owned.customer);
            let [theirs, none] =
                [ask(&filled(&route.path, &owned.customer)).await, ask(&filled(&route.path, &unused)).await];
            same(&theirs, &none, [&owned.customer, &unused]);
            let is_supported = theirs.code() != "operation_not_supported";
            assert!(!is_supported || theirs.status_and_code() == (404, "customer_not_found"), "{called}: {theirs:?}");
            is_supported
        }
        Crossing::Write => {
            let Some(write) = &owned.write else { return false };
            let unused = unused(write);
            let [theirs, none] = [ask(&filled(&route.path, write)).await, ask(&filled(&route.path, &unused)).await];
            assert_eq!(theirs.status, 404, "{called}: {theirs:?}");
            same(&theirs, &none, [write, &unused]);
            true
        }
        Crossing::Customers => {
            let changed = unused(&owned.cursor);
            let at = |cursor: &str| format!("{}?limit=1&cursor={cursor}", route.path);
            let [theirs, none] = [ask(&at(&owned.cursor)).await, ask(&at(&changed)).await];
            assert_eq!(theirs.status_and_code(), (400, "invalid_cursor"), "{called}: {theirs:?}");
            same(&theirs, &none, [&owned.cursor, &changed]);
            let list = ask(&format!("{}?limit=100", route.path)).await;
            assert!(list.status == 200 && canary::found_in(&list.text).is_none(), "{called}: {}", list.text);
            true
        }
        Crossing::Contact => {
            let at = |email: &str| format!("{}?email={}", route.path, email.replace('@', "%40"));
            let [theirs, none] = [ask(&at(canary::EMAIL)).await, ask(&at("c4n4ry.nobody@example.com")).await];
            assert_eq!(theirs.status_and_code(), (404, "customer_not_found"), "{called}: {theirs:?}");
            same(&theirs, &none, [canary::EMAIL, "c4n4ry.nobody@example.com"]);
            true
        }
        Crossing::Writes => {
            let list = ask(&route.path).await;
            assert!(owned.write.as_ref().is_none_or(|write| !list.text.contains(write)), "{called}: {}", list.text);
            list.status == 200
        }
        // `s07_…` has the keys of two merchants. Here the same create makes a customer of the second one.
        Crossing::Key => ask(&route.path).await.status == 201,
        Crossing::Merchant => {
            let answer = ask(&route.path).await;
            assert!(!answer.text.contains("_a\""), "{called}: {}", answer.text);
            answer.status == 200
        }
        Crossing::Nothing => ask(&filled(&route.path, "")).await.status == 200,
    }
}

/// The scope that an operation needs.
fn scope(operation: &str) -> &'static str {
    match operation {
        "retrieve_customer"
        | "lookup_customer"
        | "list_customers"
        | "list_overdue_invoices"
        | "list_payment_methods"
        | "list_payments"
        | "retrieve_merchant"
        | "list_providers"
        | "retrieve_provider"
        | "retrieve_version" => "read",
        "create_customer" | "update_customer" | "delete_customer" | "block_customer" | "unblock_customer" => "write",
        "retrieve_operation" | "list_operations" => "admin",
        other => panic!("{other} is a new operation: say here which scope it needs"),
    }
}

/// The key of `acme` that has these scopes.
fn key_with(scopes: &[&str]) -> String {
    canary::key_of(&format!("acme_{}", scopes.join("_")))
}

/// The merchant `acme` with a key for each of these groups of scopes.
fn with_scoped_keys(merchant: &str, groups: &[&[&str]]) -> String {
    let entry = |scopes: &&[&str]| {
        let digest = HEXLOWER.encode(&digest_of(&key_with(scopes)));
        format!("{{ name = \"{}\", sha256 = \"{digest}\", scopes = {scopes:?} }}", scopes.join("_"))
    };
    let entries: Vec<String> = groups.iter().map(entry).collect();
    merchant.replace("api_keys = [", &format!("api_keys = [{}, ", entries.join(", ")))
}

/// Each operation with a key that has every scope but its own, and then with one that has only its own.
#[tokio::test]
async fn s04_every_operation_needs_its_scope_and_has_no_effect_without_it() {
    const GROUPS: [&[&str]; 6] =
        [&["read"], &["write"], &["admin"], &["write", "admin"], &["read", "admin"], &["read", "write"]];
    let vendor = StandIn::always(json_answer("200 OK", "{}")).await;
    let bed = Bed::start(&with_scoped_keys(&merchant_of("acme", "notchpay", &vendor.url(), ""), &GROUPS));
    let routes: Vec<Route> = routes(Listener::Merchants).into_iter().filter(|route| route.needs_key).collect();
    let ask = async |route: &Route, scopes: &[&str]| {
        let path = match route.operation.as_str() {
            "lookup_customer" => format!("{}?email=awa%40example.com", route.path),
            _ => filled(&route.path, "cus_1234567"),
        };
        let request = bed.request(Listener::Merchants, route.method.clone(), &path).bearer_auth(key_with(scopes));
        let request = match route.operation.as_str() {
            "create_customer" | "update_customer" => request.json_text(&json!({ "email": canary::EMAIL })),
            _ => request,
        };
        bed.send(request).await
    };
    for route in &routes {
        let needed = scope(&route.operation);
        for scopes in GROUPS.into_iter().filter(|scopes| !scopes.contains(&needed)) {
            let answer = ask(route, scopes).await;
            let called = format!("{} {} with {scopes:?}", route.method, route.path);
            assert_eq!(answer.status_and_code(), (403, "forbidden"), "{called}: {}", answer.text);
            assert_eq!((&answer.body["outcome"], &answer.body["provider"]), (&json!("none"), &Value::Null), "{called}");
            let detail = answer.body["detail"].as_str().unwrap_or_default();
            let named = format!("the key `{}` lacks the scope `{needed}`", scopes.join("_"));
            assert!(detail.starts_with(&named), "{called}: {detail}");
        }
    }
    assert_eq!(vendor.requests(), Vec::<String>::new(), "the provider was never asked");
    let written = bed.get("acme", "/v1/operations").await;
    assert_eq!(written.body["data"], json!([]), "no write was begun: {}", written.text);
    for route in &routes {
        let answer = ask(route, &[scope(&route.operation)]).await;
        assert_ne!(answer.status, 403, "{} {}: {}", route.method, route.path, answer.text);
    }
    assert!(!vendor.requests().is_empty(), "with its scope, an operation reaches the provider");
}

/// A scope of a merchant's key, whichever it is, is none of the operator's API.
#[tokio::test]
async fn s05_no_scope_of_a_merchants_key_opens_the_operators_api() {
    const EVERY: &[&str] = &["read", "write", "admin"];
    let bed = Bed::start(&with_scoped_keys(&merchant_of_twin("acme", "lomi"), &[EVERY, &["admin"]]));
    for scopes in [EVERY, &["admin"]] {
        for Route { method, path, .. } in routes(Listener::Operator).into_iter().filter(|route| route.needs_key) {
            let request = bed.request(Listener::Operator, method.clone(), &filled(&path, "sw_1"));
            let answer = bed.send(request.bearer_auth(key_with(scopes)).json_text(&json!({}))).await;
            assert_eq!(answer.status_and_code(), (401, "unauthorized"), "{method} {path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn s05_the_merchants_listener_has_no_route_of_the_operator() {
    let bed = Bed::start(&merchant_of_twin("acme", "lomi"));
    let of_merchants: BTreeSet<String> = routes(Listener::Merchants).into_iter().map(|route| route.path).collect();
    let of_operator = routes(Listener::Operator).into_iter().filter(|route| !of_merchants.contains(&route.path));
    let mut asked = 0;
    for Route { method, path, .. } in of_operator {
        for key in [canary::OPERATOR_KEY, &canary::key_of("acme")] {
            let request = bed.request(Listener::Merchants, method.clone(), &filled(&path, "sw_1"));
            let answer = bed.send(request.bearer_auth(key).json_text(&json!({}))).await;
            assert_eq!(answer.status_and_code(), (404, "not_found"), "{method} {path}: {}", answer.text);
            asked += 1;
        }
    }
    assert!(asked > 30, "{asked}");
}
