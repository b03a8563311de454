//! Drop-in: what each provider's clients send, answered in that provider's words by every provider.

use std::{fs, path::Path};

use passerelle_providers::{
    model::auth::{AuthScheme, Credentials, Stamp},
    vendor,
};
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::{
    stand_in::{Act, StandIn, json as json_answer},
    support::{Gateway, PROVIDERS, SECRET, raw},
};

/// A dialect as its clients see it: where it is, how a key is sent, where things are in an answer.
struct Dialect {
    name: &'static str,
    base: &'static str,
    key_header: &'static str,
    key_prefix: &'static str,
    /// Where an answer holds one customer, the customers of a page, and the text of an error.
    one: &'static str,
    many: &'static str,
    error: &'static str,
    id: &'static str,
    /// The query of a page, counted from zero, of a size.
    page: fn(u64, u64) -> String,
    update: &'static str,
    /// A customer with an e-mail, and the same in an update.
    new: fn(&str) -> Value,
    change: fn(&str) -> Value,
}

const DIALECTS: [Dialect; 5] = [
    Dialect {
        name: "modempay",
        base: "/as/modempay/v1/customers",
        key_header: "authorization",
        key_prefix: "Bearer ",
        one: "",
        many: "/data",
        error: "/message",
        id: "id",
        page: |page, size| format!("?term=&offset={}&limit={size}", page.saturating_mul(size)),
        update: "PUT",
        new: |email| json!({ "name": "Awa Ndiaye", "email": email, "config": { "distinct": false } }),
        change: |email| json!({ "data": { "email": email } }),
    },
    Dialect {
        name: "lomi",
        base: "/as/lomi/v1/customers",
        key_header: "x-api-key",
        key_prefix: "",
        one: "/data",
        many: "/data",
        error: "/error/message",
        id: "customer_id",
        page: |page, size| format!("?page={}&limit={size}", page + 1),
        update: "PATCH",
        new: |email| json!({ "name": "Awa Ndiaye", "email": email }),
        change: |email| json!({ "email": email }),
    },
    Dialect {
        name: "paymentkit",
        base: "/as/paymentkit/api/customers",
        key_header: "authorization",
        key_prefix: "Bearer ",
        one: "",
        many: "/list",
        error: "/error",
        id: "id",
        page: |page, size| format!("?page={}&pageSize={size}&livemode=true", page + 1),
        update: "PUT",
        new: |email| json!({ "name": "Awa Ndiaye", "email": email }),
        change: |email| json!({ "email": email }),
    },
    Dialect {
        name: "bitnob",
        base: "/as/bitnob/api/v1/customers",
        key_header: "authorization",
        key_prefix: "Bearer ",
        one: "/data",
        many: "/data/customers",
        error: "/message",
        id: "id",
        page: |page, size| format!("/?order=DESC&page={}&take={size}", page + 1),
        update: "PUT",
        new: |email| json!({ "firstName": "Awa", "lastName": "Ndiaye", "email": email }),
        change: |email| json!({ "email": email }),
    },
    Dialect {
        name: "notchpay",
        base: "/as/notchpay/customers",
        key_header: "authorization",
        key_prefix: "",
        one: "/customer",
        many: "/items",
        error: "/message",
        id: "id",
        page: |page, size| format!("?page={}&limit={size}", page + 1),
        update: "POST",
        new: |email| json!({ "name": "Awa Ndiaye", "email": email }),
        change: |email| json!({ "email": email }),
    },
];

/// An answer, whatever its shape.
#[derive(Debug)]
struct Told {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
    body: Value,
}

impl Told {
    fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

async fn tell(request: RequestBuilder) -> Told {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    let told = Told { status, headers, text, body };
    assert!(!told.header("x-request-id").is_empty(), "every answer names its request");
    assert_ne!(told.header("content-type"), "application/problem+json", "{}", told.text);
    told
}

impl Dialect {
    /// A request as this dialect's client sends it, with a key of the gateway.
    fn ask(&self, gateway: &Gateway, key: &str, method: &str, below: &str, body: Option<&Value>) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = gateway
            .plain(method, &format!("{}{below}", self.base))
            .header(self.key_header, format!("{}{key}", self.key_prefix));
        match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    }

    async fn told(&self, gateway: &Gateway, key: &str, method: &str, below: &str, body: Option<&Value>) -> Told {
        tell(self.ask(gateway, key, method, below, body)).await
    }

    /// An ordinary error of this dialect: its shape, and none of the statuses that mean something else.
    fn is_refusal(&self, told: &Told) {
        assert!(told.status.is_client_error(), "{}: {}", told.status, told.text);
        assert!(![401, 403, 429].contains(&told.status.as_u16()), "{}", told.text);
        assert!(!told.at(self.error).is_null(), "{}: {}", self.name, told.text);
        if self.name == "bitnob" {
            assert!([400, 404].contains(&told.body["statusCode"].as_u64().unwrap_or_default()), "{}", told.text);
        }
    }
}

fn key(provider: &str) -> String {
    format!("sk_sandbox_{provider}")
}

/// One sandbox gateway, and every dialect before every provider.
async fn everywhere(each: impl AsyncFn(&Gateway, &Dialect, &str, &str)) {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    for dialect in &DIALECTS {
        for provider in PROVIDERS {
            each(&gateway, dialect, provider, &key(provider)).await;
        }
    }
}

#[tokio::test]
async fn every_dialect_is_served_by_every_provider() {
    everywhere(async |gateway, dialect, provider, key| {
        let cell = format!("{} by {provider}", dialect.name);
        let email = format!("awa@{}.example", dialect.name);
        let mut created = dialect.told(gateway, key, "POST", "", Some(&(dialect.new)(&email))).await;
        if dialect.name == "paymentkit" || provider == "paymentkit" {
            dialect.is_refusal(&created);
            let listed = dialect.told(gateway, key, "GET", &(dialect.page)(0, 1), None).await;
            assert_eq!(listed.status, 200, "{cell}: {}", listed.text);
            created.body = json!({ "found": listed.at(&format!("{}/0", dialect.many)) });
        } else {
            assert!([200, 201].contains(&created.status.as_u16()), "{cell}: {}", created.text);
            created.body = json!({ "found": created.at(dialect.one) });
        }
        let id = created.body["found"][dialect.id].as_str().expect(&cell).to_owned();
        let below = format!("/{id}");

        let retrieved = dialect.told(gateway, key, "GET", &below, None).await;
        assert_eq!(retrieved.status, 200, "{cell}: {}", retrieved.text);
        assert_eq!(retrieved.at(dialect.one)["email"], created.body["found"]["email"], "{cell}");

        let changed = format!("awa.{provider}@{}.example", dialect.name);
        let updated = dialect.told(gateway, key, dialect.update, &below, Some(&(dialect.change)(&changed))).await;
        assert_eq!(updated.status, 200, "{cell}: {}", updated.text);
        assert_eq!(updated.at(dialect.one)["email"], changed, "{cell}: {}", updated.text);
        assert_eq!(updated.at(dialect.one)[dialect.id], id, "{cell}");

        walk(gateway, dialect, key, &id).await;

        let deleted = dialect.told(gateway, key, "DELETE", &below, None).await;
        let nobody = dialect.told(gateway, key, "GET", &below, None).await;
        if ["paymentkit", "bitnob"].contains(&dialect.name) || ["paymentkit", "bitnob"].contains(&provider) {
            dialect.is_refusal(&deleted);
            assert_eq!(nobody.status, 200, "{cell}");
        } else {
            assert_eq!(deleted.status, 200, "{cell}: {}", deleted.text);
            assert_eq!(nobody.status, 404, "{cell}: {}", nobody.text);
        }
    })
    .await;
}

/// The client walks to the end, and sees everybody once.
async fn walk(gateway: &Gateway, dialect: &Dialect, key: &str, id: &str) {
    for size in [1, 2, 100] {
        let mut seen = Vec::new();
        for page in 0..50 {
            let told = dialect.told(gateway, key, "GET", &(dialect.page)(page, size), None).await;
            assert_eq!(told.status, 200, "{}", told.text);
            let items = told.at(dialect.many).as_array().expect("a list");
            let total = ["/count", "/data/meta/itemCount", "/totals"].map(|total| told.at(total).as_u64());
            seen.extend(items.iter().map(|item| item[dialect.id].as_str().expect("an id").to_owned()));
            if let Some(total) = total.into_iter().flatten().next() {
                assert!(total >= seen.len() as u64, "{}", told.text);
            }
            if items.is_empty() {
                if let Some(total) = total.into_iter().flatten().next() {
                    assert_eq!(total, seen.len() as u64, "exact at the end: {}", told.text);
                }
                break;
            }
        }
        let mut distinct = seen.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), seen.len(), "nobody is shown twice");
        assert!(seen.len() >= 3 && seen.iter().any(|seen| seen == id), "{}: {seen:?}", dialect.name);
    }
}

#[tokio::test]
async fn errors_are_the_imitated_providers() {
    everywhere(async |gateway, dialect, provider, key| {
        let cell = format!("{} by {provider}", dialect.name);
        for id in ["b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "cus_none", "z1nobody", "..%2F..%2Fetc", "%00", "a%20b"] {
            let unknown = dialect.told(gateway, key, "GET", &format!("/{id}"), None).await;
            assert_eq!(unknown.status, 404, "{cell} {id}: {}", unknown.text);
            let change = (dialect.change)("a@b.example");
            let unknown = dialect.told(gateway, key, dialect.update, &format!("/{id}"), Some(&change)).await;
            assert_eq!(unknown.status, 404, "{cell} {id}: {}", unknown.text);
            dialect.is_refusal(&unknown);
        }
        let beyond = dialect.told(gateway, key, "GET", &(dialect.page)(u64::MAX - 1, 100), None).await;
        assert_eq!(beyond.status, 200, "{cell}: {}", beyond.text);
        assert_eq!(beyond.at(dialect.many).as_array().map(Vec::len), Some(0), "{cell}: {}", beyond.text);
        assert!(beyond.at("/count").as_u64().is_none_or(|count| count < 100), "{cell}: {}", beyond.text);
        let wrong = dialect.told(gateway, "sk_nobody", "GET", "", None).await;
        assert_eq!(wrong.status, 401, "{cell}: {}", wrong.text);
        assert!(!wrong.at(dialect.error).is_null(), "{cell}: {}", wrong.text);
        let none = tell(gateway.plain(Method::GET, dialect.base)).await;
        assert_eq!(none.status, 401, "{cell}: {}", none.text);
        let elsewhere = dialect.told(gateway, key, "GET", "/x/y/z", None).await;
        assert_eq!(elsewhere.status, 404, "{cell}: {}", elsewhere.text);
        if dialect.name != "paymentkit" {
            let invalid = dialect.told(gateway, key, "POST", "", Some(&(dialect.new)("no address"))).await;
            dialect.is_refusal(&invalid);
            let mut card = (dialect.new)("card@example.com");
            card["address"] = json!("4242 4242 4242 4242");
            let refused = dialect.told(gateway, key, "POST", "", Some(&card)).await;
            dialect.is_refusal(&refused);
        }
        let broken = dialect
            .ask(gateway, key, dialect.update, "/b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", None)
            .body("{\"email\":");
        let broken = tell(broken).await;
        assert!([400, 404].contains(&broken.status.as_u16()), "{cell}: {}", broken.text);
        let large = dialect.ask(gateway, key, dialect.update, "/x", None).body(vec![b' '; (1 << 20) + 1]);
        let large = tell(large).await;
        assert_eq!(large.status, 413, "{cell}: {}", large.text);
        assert!(!large.at(dialect.error).is_null(), "{cell}: {}", large.text);
    })
    .await;
}

/// A captured request: its method and target, its headers, its body.
fn captured(path: &Path) -> (String, Vec<String>, String) {
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

/// The ways in which each dialect finds a sample customer by something other than its id.
const SEARCHES: [(usize, &str, &str, Option<&str>); 12] = [
    (0, "GET", "?term=amadou&offset=0&limit=10&search=amadou", None),
    (0, "GET", "?term=amadou", None),
    // What the SDKs make of a plus sign, and of an ampersand.
    (0, "GET", "?term=+221771234567&offset=0&limit=10&search=%2B221771234567", None),
    (0, "GET", "?term=&x&offset=0&limit=10&search=771234567", None),
    (1, "GET", "?limit=20&email=amadou.ba%40example.com", None),
    (1, "GET", "?phone_number=%2B221771234567", None),
    (2, "GET", "/search?query=amadou&page=1&pageSize=10", None),
    (3, "GET", "/amadou.ba@example.com", None),
    (3, "POST", "/fetch_customer", Some(r#"{"email":"amadou.ba@example.com"}"#)),
    (4, "GET", "?search=amadou", None),
    (4, "GET", "?search=221771234567", Some("[]")),
    (4, "GET", "?search=AMADOU.BA%40example.com", None),
];

#[tokio::test]
async fn every_dialect_finds_who_it_looks_for() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    for (dialect, method, below, body) in SEARCHES {
        let dialect = &DIALECTS[dialect];
        for provider in PROVIDERS {
            let body: Option<Value> = body.map(|body| serde_json::from_str(body).expect("JSON"));
            let told = dialect.told(&gateway, &key(provider), method, below, body.as_ref()).await;
            let cell = format!("{} by {provider}, {method} {below}: {}", dialect.name, told.text);
            assert_eq!(told.status, 200, "{cell}");
            let found = told.at(dialect.many).as_array().map(|many| many.iter().collect());
            let found: Vec<&Value> = found.unwrap_or_else(|| vec![told.at(dialect.one)]);
            let emails: Vec<_> = found.iter().map(|one| one["email"].as_str()).collect();
            assert_eq!(emails, [Some("amadou.ba@example.com")], "{cell}");
        }
    }
}

/// What a list is asked for in a vendor's own way, and how it is answered by every provider.
#[tokio::test]
async fn lists_are_paged_as_the_vendor_pages_them() {
    everywhere(async |gateway, dialect, provider, key| {
        let cases: &[(&str, u16, &str)] = match dialect.name {
            "lomi" => &[
                ("?page=first", 500, "Failed to retrieve customer"),
                ("?page=0", 500, "Failed to retrieve customer"),
                ("?limit=-1", 500, "Failed to retrieve customer"),
                ("?sort=created_at%3Adesc", 200, ""),
                ("?sort=name%3Aasc", 400, "Invalid request body"),
            ],
            "paymentkit" => &[
                ("?page=-1&pageSize=0", 200, ""),
                ("?page=x", 400, "page invalid: must be a number"),
                ("?order=created_at%3ADESC", 200, ""),
                ("?order%5B0%5D%5B0%5D=created_at&order%5B0%5D%5B1%5D=DESC", 200, ""),
                ("?order=created_at%3AASC", 400, "order invalid: must be created_at:DESC"),
                ("?starting_after=cus_1", 400, "starting_after invalid: is not supported"),
            ],
            "bitnob" => &[("/?order=desc", 200, ""), ("/?order=ASC", 400, "order must be DESC")],
            "notchpay" => &[("?date_start=2025-01-01", 422, "Validation failed")],
            _ => &[("?offset=7&limit=0", 200, "")],
        };
        for (query, status, told) in cases {
            let listed = dialect.told(gateway, key, "GET", query, None).await;
            let cell = format!("{} by {provider}, {query}: {}", dialect.name, listed.text);
            assert_eq!(listed.status, *status, "{cell}");
            assert!(listed.text.contains(told), "{cell}");
            if *status == 500 {
                assert_eq!(listed.body["error"]["code"], "DATABASE_ERROR", "{cell}");
            }
        }
        if dialect.name == "lomi" {
            let large = dialect.told(gateway, key, "GET", "?limit=500", None).await;
            assert_eq!(large.body["meta"]["per_page"], 500, "a page cut short would be the last: {}", large.text);
            let elsewhere = dialect.told(gateway, key, "PUT", "/x", None).await;
            assert!(elsewhere.text.contains("Cannot PUT /v1/customers/x"), "{}", elsewhere.text);
            let outside = tell(gateway.plain(Method::GET, "/as/lomi/customers").header("x-api-key", key)).await;
            assert!(outside.text.contains("Cannot GET /customers<"), "{}", outside.text);
        }
    })
    .await;
}

/// Bitnob answers a second create of the same e-mail with the first customer; the other vendors make another.
#[tokio::test]
async fn whoever_is_created_twice_is_there_as_often_as_at_the_vendor() {
    everywhere(async |gateway, dialect, provider, key| {
        // PaymentKit creates nobody, and Bitnob answers others' clients with a refusal.
        let is_strange = provider == "bitnob" && dialect.name != "bitnob";
        if is_strange || [provider, dialect.name].contains(&"paymentkit") {
            return;
        }
        let mut ids = Vec::new();
        for other in [false, true] {
            let mut new = (dialect.new)("twice@example.com");
            if other && dialect.name == "bitnob" {
                new["firstName"] = json!("Another");
            }
            let created = dialect.told(gateway, key, "POST", "", Some(&new)).await;
            assert!(created.status.is_success(), "{} by {provider}: {}", dialect.name, created.text);
            ids.push(created.at(dialect.one)[dialect.id].clone());
        }
        assert_eq!(ids[0] == ids[1], dialect.name == "bitnob", "{} by {provider}", dialect.name);
    })
    .await;
}

/// Deleting twice is answered as the imitated vendor answers it, where the provider deletes whatever it is asked to.
#[tokio::test]
async fn who_is_not_there_is_not_deleted() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    for (dialect, expected) in [(&DIALECTS[0], 404), (&DIALECTS[1], 200), (&DIALECTS[4], 404)] {
        let created = dialect.told(&gateway, &key("lomi"), "POST", "", Some(&(dialect.new)("gone@example.com"))).await;
        let id = created.at(dialect.one)[dialect.id].as_str().expect("an id").to_owned();
        for expected in [200, expected] {
            let deleted = dialect.told(&gateway, &key("lomi"), "DELETE", &format!("/{id}"), None).await;
            assert_eq!(deleted.status, expected, "{}: {}", dialect.name, deleted.text);
        }
    }
}

/// The first sample customer in a dialect, of a merchant.
async fn a_sample(gateway: &Gateway, dialect: &Dialect, key: &str) -> Value {
    let listed = dialect.told(gateway, key, "GET", &(dialect.page)(0, 100), None).await;
    let items = listed.at(dialect.many).as_array().expect("a list");
    items.iter().find(|one| one["email"] == "amadou.ba@example.com").expect("a sample").clone()
}

#[tokio::test]
async fn customers_are_blocked_where_both_know_how() {
    everywhere(async |gateway, dialect, provider, key| {
        let cell = format!("{} by {provider}", dialect.name);
        let sample = a_sample(gateway, dialect, key).await;
        let id = sample[dialect.id].as_str().expect("an id");
        let (block, unblock, member) = match dialect.name {
            "bitnob" => {
                let blacklist =
                    |verdict: bool| ("POST", format!("/blacklist/{id}"), Some(json!({ "blacklist": verdict })));
                (vec![blacklist(true)], vec![blacklist(false)], "blacklist")
            }
            "notchpay" => {
                let verbs =
                    |word: &str| ["POST", "PUT", "PATCH"].map(|verb| (verb, format!("/{id}/{word}"), None)).to_vec();
                (verbs("block"), verbs("unblock"), "blocked")
            }
            _ => return,
        };
        for (spellings, expected) in [(block, true), (unblock, false)] {
            for (method, below, body) in spellings {
                let told = dialect.told(gateway, key, method, &below, body.as_ref()).await;
                if !["bitnob", "notchpay"].contains(&provider) {
                    dialect.is_refusal(&told);
                    continue;
                }
                assert!(told.status.is_success(), "{cell}: {}", told.text);
                assert_eq!(told.at(dialect.one)[member], expected, "{cell}: {}", told.text);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_a_customer_is_told_where_both_have_it() {
    everywhere(async |gateway, dialect, provider, key| {
        let cell = format!("{} by {provider}", dialect.name);
        let sample = a_sample(gateway, dialect, key).await;
        let id = sample[dialect.id].as_str().expect("an id");
        let having: &[(&str, &str, usize, &[&str])] = match dialect.name {
            "modempay" => &[
                ("/payment-methods?offset=0&limit=10", "/data", 1, &["modempay", "notchpay"]),
                ("/payment-methods?offset=10&limit=10", "/data", 0, &["modempay", "notchpay"]),
            ],
            "notchpay" => &[
                ("/payment_methods", "/items", 1, &["modempay", "notchpay"]),
                ("/payments?limit=2&page=1", "/payments", 2, &["notchpay"]),
                ("/payments?limit=2&page=2", "/items", 1, &["notchpay"]),
                ("/payments?status=complete", "/items", 2, &["notchpay"]),
            ],
            "paymentkit" => &[("/overdue/invoices?livemode=true", "/invoices", 1, &["paymentkit"])],
            _ => return,
        };
        for (below, list, length, providers) in having {
            let told = dialect.told(gateway, key, "GET", &format!("/{id}{below}"), None).await;
            if providers.contains(&provider) {
                assert_eq!(told.at(list).as_array().map(Vec::len), Some(*length), "{cell} {below}: {}", told.text);
            } else {
                dialect.is_refusal(&told);
            }
        }
    })
    .await;
}

const LOSSY: &str = r#"
[store]
url = "sqlite::memory:"
[merchants.strict]
api_keys = ["sk_strict"]
active = "main"
region = "GM"
connections.main = { provider = "modempay", sandbox = true }
[merchants.lenient]
api_keys = ["sk_lenient"]
active = "main"
region = "GM"
on_loss = "drop"
connections.main = { provider = "modempay", sandbox = true }
"#;

#[tokio::test]
async fn losses_follow_the_merchants_policy() {
    let gateway = Gateway::start(LOSSY).await;
    let lomi = &DIALECTS[1];
    let body = json!({ "name": "Awa", "email": "awa@example.com", "city": "Banjul", "metadata": { "crm": "1" } });
    let refused = lomi.told(&gateway, "sk_strict", "POST", "", Some(&body)).await;
    assert_eq!((refused.status.as_u16(), &refused.body["error"]["code"]), (400, &json!("INVALID_REQUEST")));
    for field in ["city", "metadata"] {
        assert!(refused.body["error"]["details"][field]["_errors"][0].is_string(), "{}", refused.text);
    }
    let dropped = lomi.told(&gateway, "sk_lenient", "POST", "", Some(&body)).await;
    assert_eq!((dropped.status.as_u16(), dropped.header("passerelle-loss")), (201, "address.city, metadata"));
    assert_eq!((&dropped.body["data"]["city"], &dropped.body["data"]["is_business"]), (&Value::Null, &Value::Null));
    // What a vendor takes and the gateway does not know is lost as loudly.
    let (body, notchpay) =
        (json!({ "name": "Awa", "phone": "+2207000009", "company_name": "ACME", "billing": {} }), &DIALECTS[4]);
    let refused = notchpay.told(&gateway, "sk_strict", "POST", "", Some(&body)).await;
    assert!(refused.status == 422 && refused.body["errors"]["company_name"].is_array(), "{}", refused.text);
    assert!(refused.body["errors"].get("billing").is_none(), "it says nothing: {}", refused.text);
    let told = notchpay.told(&gateway, "sk_lenient", "POST", "", Some(&body)).await;
    assert_eq!((told.status.as_u16(), told.header("passerelle-loss")), (201, "company_name"), "{}", told.text);
    assert_eq!(dropped.body["data"].get("business_id"), None, "what only Modem Pay's clients know");
}

/// What clients send without meaning anything by it is not refused by a provider that has nothing of the kind.
#[tokio::test]
async fn what_says_nothing_is_no_loss() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let [_, lomi, paymentkit, _, notchpay] = &DIALECTS;
    let empty = json!({ "name": "Awa Ba", "email": "awa@example.com", "metadata": {} });
    let cleared = json!({ "address": null, "metadata": null });
    for provider in ["modempay", "bitnob"] {
        let key = key(provider);
        let person = json!({ "name": "Awa", "email": "person@example.com", "is_business": false });
        let created = lomi.told(&gateway, &key, "POST", "", Some(&person)).await;
        assert_eq!((created.status.as_u16(), created.header("passerelle-loss")), (201, "type"), "{}", created.text);
        let business = json!({ "name": "Awa", "email": "business@example.com", "is_business": true });
        assert_eq!(lomi.told(&gateway, &key, "POST", "", Some(&business)).await.status, 400);
        let created = notchpay.told(&gateway, &key, "POST", "", Some(&empty)).await;
        assert_eq!((created.status.as_u16(), created.header("passerelle-loss")), (201, ""), "{}", created.text);
        let id = created.body["customer"]["id"].as_str().expect("an id").to_owned();
        let updated = paymentkit.told(&gateway, &key, "PUT", &format!("/{id}"), Some(&cleared)).await;
        assert_eq!((updated.status.as_u16(), &updated.body["address"]), (200, &Value::Null), "{}", updated.text);
        let held = json!({ "metadata": { "crm": "1" } });
        let refused = paymentkit.told(&gateway, &key, "PUT", &format!("/{id}"), Some(&held)).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
    }
}

/// What a client wrote is read back in its own spelling.
#[tokio::test]
async fn what_was_written_is_read_back() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let [modempay, lomi, _, bitnob, _] = &DIALECTS;
    let body = json!({ "name": "Awa", "email": "awa@gm.example", "phone": "771234599" });
    let national = modempay.told(&gateway, &key("lomi"), "POST", "", Some(&body)).await;
    assert_eq!(national.body["phone"], "771234599", "{}", national.text);
    let body = json!({ "firstName": "Awa", "lastName": "Ba", "email": "awa@ng.example", "phone": "8123456789", "countryCode": "+234" });
    for provider in ["lomi", "notchpay", "modempay"] {
        let parts = bitnob.told(&gateway, &key(provider), "POST", "", Some(&body)).await;
        let held = parts.at("/data");
        assert_eq!((&held["phone"], &held["countryCode"]), (&json!("8123456789"), &json!("+234")), "{}", parts.text);
        assert_eq!((&held["firstName"], &held["lastName"]), (&json!("Awa"), &json!("Ba")));
    }
    for provider in ["lomi", "notchpay"] {
        let email = format!("awa@{provider}.example");
        let body = json!({ "name": "Awa", "email": email, "country": "Sénégal" });
        let created = lomi.told(&gateway, &key(provider), "POST", "", Some(&body)).await;
        assert_eq!(created.body["data"]["country"], "Sénégal", "{}", created.text);
        let listed = lomi.told(&gateway, &key(provider), "GET", &format!("?email={email}"), None).await;
        assert_eq!(listed.body["data"][0]["country"], "Sénégal", "{}", listed.text);
    }
    // A client that takes UUIDs only.
    let id = lomi.told(&gateway, &key("notchpay"), "GET", "", None).await;
    let id = id.body["data"][0]["customer_id"].as_str().expect("an id").to_owned();
    assert_eq!(uuid::Uuid::parse_str(&id).expect("a UUID").get_version_num(), 8);
    assert_eq!(lomi.told(&gateway, &key("notchpay"), "GET", &format!("/{id}"), None).await.status, 200);
}

/// An app's user becomes a customer when it is first asked for, where the provider makes customers so.
#[tokio::test]
async fn paymentkit_makes_a_customer_of_a_user() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let paymentkit = &DIALECTS[2];
    let below = "/z1abcDIDabcDIDabcDIDabcDIDabcDIDabc?livemode=false";
    let create = json!({ "create": true });
    for provider in PROVIDERS {
        let told = paymentkit.told(&gateway, &key(provider), "GET", below, Some(&create)).await;
        if provider == "paymentkit" {
            assert_eq!((told.status.as_u16(), &told.body["did"]), (200, &json!("z1abcDIDabcDIDabcDIDabcDIDabcDIDabc")));
            let again = paymentkit.told(&gateway, &key(provider), "GET", below, Some(&create)).await;
            assert_eq!(again.body["id"], told.body["id"], "once");
        } else {
            paymentkit.is_refusal(&told);
        }
    }
}

const SIGNED: &str = r#"
[store]
url = "sqlite::memory:"
[merchants.acme]
api_keys = ["sk_acme"]
active = "main"
region = "NG"
connections.main = { provider = "lomi", sandbox = true }
ingress.bitnob = { client_id = "client_acme", client_secret = "secret_acme" }
ingress.paymentkit = { public_key = "0x03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8", component_did = "z8iaShared" }
[merchants.other]
api_keys = ["sk_other"]
active = "main"
on_loss = "drop"
connections.main = { provider = "notchpay", sandbox = true }
ingress.bitnob = { client_id = "client_other", client_secret = "secret_other" }
ingress.paymentkit = { public_key = "0x3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", component_did = "z8iaShared" }
"#;

/// A request signed as the client does, so many seconds from now.
struct Signed<'a> {
    provider: &'a str,
    named: &'a [(&'a str, &'a str)],
    late: i64,
    nonce: u8,
}

impl Signed<'_> {
    fn request(&self, gateway: &Gateway, method: &str, path: &str, body: &str) -> RequestBuilder {
        let manifests = vendor(self.provider).expect("a provider").manifests;
        let signs = |scheme: &&AuthScheme| matches!(scheme, AuthScheme::Signed { .. });
        let scheme = manifests.iter().flat_map(|manifest| manifest.auth).find(signs).expect("a signature");
        let named = self.named.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let body = body.to_owned();
        let mut signed =
            http::Request::builder().method(method).uri(path).body(body.clone().into()).expect("a request");
        let now = jiff::Timestamp::now().as_second() - self.late;
        let stamp = Stamp { now, nonce: [self.nonce; 16] };
        scheme.authorize(&mut signed, &Credentials::new(named), &stamp).expect("a signature");
        let headers = signed.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let request = gateway.plain(Method::from_bytes(method.as_bytes()).expect("a method"), path).body(body);
        headers.fold(request, |request, (name, value)| request.header(name, value))
    }
}

#[tokio::test]
async fn bitnobs_signed_clients_are_known_by_their_secret() {
    let gateway = Gateway::start(SIGNED).await;
    let path = "/as/bitnob/api/customers";
    let acme = [("client_id", "client_acme"), ("client_secret", "secret_acme")];
    let signed = |named, late, nonce| Signed { provider: "bitnob", named, late, nonce };
    let body = json!({ "customer_type": "individual", "first_name": "John", "last_name": "Doe", "email": "j@x.example", "phone": "8123456789", "country_code": "+234" });
    let created = tell(signed(&acme, 0, 1).request(&gateway, "POST", path, &body.to_string())).await;
    assert_eq!((created.status.as_u16(), &created.body["success"]), (200, &json!(true)), "{}", created.text);
    let held = &created.body["data"];
    for member in ["customer_type", "first_name", "last_name", "email", "phone", "country_code"] {
        assert_eq!(held[member], body[member], "{member}: {}", created.text);
    }
    let listed = tell(signed(&acme, 0, 2).request(&gateway, "GET", &format!("{path}?limit=1&page=1"), "")).await;
    assert_eq!(listed.body["data"]["customers"][0]["email"], "j@x.example", "{}", listed.text);
    let blocked = tell(signed(&acme, 0, 8).request(&gateway, "GET", &format!("{path}?blacklist=true"), "")).await;
    let detail = blocked.body["detail"].as_str().unwrap_or_default();
    assert!(blocked.status == 400 && detail.starts_with("blacklist "), "{}", blocked.text);
    let wrong = [("client_id", "client_acme"), ("client_secret", "secret_other")];
    let nobody = [("client_id", "client_none"), ("client_secret", "secret_acme")];
    let other = [("client_id", "client_other"), ("client_secret", "secret_other")];
    let unknown = format!("{path}/{}", held["id"].as_str().expect("an id"));
    assert_eq!(tell(signed(&other, 0, 3).request(&gateway, "GET", &unknown, "")).await.status, 404, "another merchant");
    for (named, late, nonce) in [(&acme, 0, 2), (&acme, 301, 4), (&acme, -310, 5), (&wrong, 0, 6), (&nobody, 0, 7)] {
        let refused = tell(signed(named, late, nonce).request(&gateway, "GET", path, "")).await;
        assert_eq!((refused.status.as_u16(), &refused.body["title"]), (401, &json!("Unauthorized")), "{late} {nonce}");
    }
}

/// What the signing generation's client sends, signed anew: answered in its words by a provider that lacks some
/// of it, and tells so.
#[tokio::test]
async fn bitnobs_captured_signed_requests_are_answered() {
    let gateway = Gateway::start(SIGNED).await;
    let other = [("client_id", "client_other"), ("client_secret", "secret_other")];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bitnob/captured/cli_v2");
    let files = fs::read_dir(folder).expect("captured requests").map(|entry| entry.expect("a file").path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "http"));
    let mut nonces = 0..;
    let mut ask = async |method: &str, target: &str, body: &str| {
        let signed = Signed { provider: "bitnob", named: &other, late: 0, nonce: nonces.next().expect("a nonce") };
        tell(signed.request(&gateway, method, &format!("/as/bitnob{target}"), body)).await
    };
    for path in files {
        let (first, _, body) = captured(&path);
        let (method, target) = first.split_once(' ').expect("a method and a target");
        let told = ask(method, target, body.trim_end()).await;
        assert!([200, 400, 404].contains(&told.status.as_u16()), "{}: {}", path.display(), told.text);
        assert!(told.status == 200 || told.body["title"].is_string(), "{}: {}", path.display(), told.text);
    }
    let body = r#"{"customer_type":"individual","first_name":"Awa","last_name":"Ba","email":"awa@v2.example","phone":"","country_code":""}"#;
    let created = ask("POST", "/api/customers", body).await;
    assert_eq!((created.status.as_u16(), created.header("passerelle-loss")), (200, "type"), "{}", created.text);
    assert_eq!((&created.body["data"]["customer_type"], &created.body["data"]["phone"]), (&Value::Null, &json!("")));
    let one = format!("/api/customers/{}", created.body["data"]["id"].as_str().expect("an id"));
    let updated = ask("PUT", &one, r#"{"first_name":"Awa","last_name":"Diop","phone":"","email":""}"#).await;
    assert_eq!(updated.body["data"]["last_name"], "Diop", "{}", updated.text);
    assert_eq!(ask("GET", "/api/customers/awa@v2.example", "").await.body["data"]["last_name"], "Diop");
    let block = one.replace("customers/", "customers/blacklist/");
    assert_eq!(ask("POST", &block, r#"{"blacklist":true}"#).await.body["data"]["blacklist"], true);
    let blocked = ask("GET", "/api/customers?blacklist=true&limit=20&page=1", "").await;
    assert_eq!(blocked.body["data"]["customers"].as_array().map(Vec::len), Some(1), "{}", blocked.text);
    assert_eq!(ask("DELETE", &one, "").await.status, 200);
    assert_eq!(ask("GET", &one, "").await.body["detail"], "customer not found");
}

#[tokio::test]
async fn paymentkits_signed_clients_are_known_by_their_public_keys() {
    const ACME: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const STRANGER: &str = "0x1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";
    let gateway = Gateway::start(SIGNED).await;
    let path = "/as/paymentkit/api/customers";
    let acme = [("app_secret_key", ACME), ("component_did", "z8iaShared")];
    let signed = |named, late| Signed { provider: "paymentkit", named, late, nonce: 0 };
    let list = format!("{path}?page=1&pageSize=5&livemode=false");
    for again in 0..2 {
        let listed = tell(signed(&acme, 0).request(&gateway, "GET", &list, "")).await;
        assert_eq!(
            listed.status, 200,
            "a client that asks twice within a second signs alike ({again}): {}",
            listed.text
        );
        assert_eq!(listed.body["list"].as_array().map(Vec::len), Some(3));
    }
    for again in 0..2 {
        let (user, create) = (format!("{path}/zUser?livemode=false"), json!({ "create": true }));
        let told = tell(signed(&acme, 0).request(&gateway, "GET", &user, &create.to_string())).await;
        let is_told = told.body["error"].as_str().is_some_and(|error| error.contains("makes no customer of an id"));
        assert!(told.status == 400 && is_told, "so does one that signs a user in twice ({again}): {}", told.text);
    }
    let listed = tell(signed(&acme, 0).request(&gateway, "GET", &list, "")).await;
    let one = format!("{path}/{}?livemode=false", listed.body["list"][0]["id"].as_str().expect("an id"));
    let change = json!({ "email": "new@example.com", "metadata": { "n": 1.5 } });
    let first = signed(&acme, 0).request(&gateway, "PUT", &one, &change.to_string());
    let [again, late] = [(); 2].map(|()| first.try_clone().expect("a request"));
    let (told, again) = tokio::join!(tell(first), tell(again));
    assert_eq!(told.body["email"], "new@example.com", "{}", told.text);
    assert_eq!((again.status, &again.body), (told.status, &told.body), "so does one that updates twice");
    let other = json!({ "email": "newer@example.com" });
    let other = signed(&acme, 0).request(&gateway, "PUT", &one, &other.to_string());
    assert_eq!(tell(other).await.body["email"], "newer@example.com");
    assert_eq!(tell(late).await.body, told.body, "what is told again");
    let held = tell(signed(&acme, 1).request(&gateway, "GET", &one, "")).await;
    assert_eq!(held.body["email"], "newer@example.com", "is not done again");
    let stranger = [("app_secret_key", STRANGER), ("component_did", "z8iaShared")];
    let elsewhere = [("app_secret_key", ACME), ("component_did", "z8iaElse")];
    let mut refused = Vec::new();
    for (named, late) in [(&acme, 301), (&acme, -310), (&stranger, 0), (&elsewhere, 0)] {
        refused.push(tell(signed(named, late).request(&gateway, "GET", &list, "")).await);
    }
    for refused in refused {
        assert_eq!((refused.status.as_u16(), &refused.body["error"]), (401, &json!("verify sig failed")));
    }
}

#[test]
fn mistakes_in_ingress_are_told() {
    let merchant = "[merchants.acme]\napi_keys = [\"k\"]\nactive = \"main\"\nconnections.main = { provider = \"lomi\", sandbox = true }\n";
    for (typed, expected) in [
        ("ingress.bitnop = {}", "did you mean `bitnob`?"),
        ("ingress.lomi = {}", "is no provider whose clients sign their requests; those that do are bitnob, paymentkit"),
        ("ingress.bitnob = { client_id = \"c\" }", "is incomplete: it needs `client_secret`"),
        ("ingress.bitnob = { client_secret = \"c\" }", "is incomplete: it needs `client_id`"),
        ("ingress.bitnob = { client_ide = \"c\" }", "did you mean `client_id`?"),
        ("ingress.paymentkit = { public_key = \"0x12\" }", "is not an Ed25519 public key"),
    ] {
        let loaded = passerelle::config::load_text(&format!("{merchant}{typed}\n"), "t.toml").expect("it can be read");
        let told = passerelle::merchant::Gateway::resolve(&loaded, None).expect_err("a mistake").mistakes;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("t.toml:5: `merchants.acme.ingress.") && told[0].contains(expected), "{told:?}");
    }
}

/// A gateway whose merchant is answered by a stand-in.
async fn before(provider: &str, act: Act) -> Gateway {
    let vendor = StandIn::always(act).await;
    Gateway::before(provider, &vendor.url(), "timeout = \"300ms\"").await
}

/// What goes wrong behind the gateway is told in the dialect, and honestly.
#[tokio::test]
async fn failures_are_told_in_the_dialect() {
    let [modempay, lomi, paymentkit, bitnob, notchpay] = &DIALECTS;
    for dialect in [modempay, lomi, bitnob, notchpay] {
        let body = (dialect.new)("awa@example.com");
        let gateway = before("notchpay", Act::Hang).await;
        let hanging = dialect.told(&gateway, "sk_acme", "POST", "", Some(&body)).await;
        assert!(hanging.status.is_server_error(), "{}: {}", dialect.name, hanging.text);
        assert!(!hanging.at(dialect.error).is_null(), "{}: {}", dialect.name, hanging.text);
        // Bitnob knows nobody twice: whoever has the e-mail is asked for first, and nothing was sent yet.
        let outcome = if dialect.name == "bitnob" { "" } else { "unknown" };
        assert_eq!(hanging.header("passerelle-outcome"), outcome, "{}", dialect.name);

        let gateway =
            before("notchpay", json_answer("401 Unauthorized", r#"{"code":401,"message":"Invalid API key"}"#)).await;
        let ours = dialect.told(&gateway, "sk_acme", "POST", "", Some(&body)).await;
        assert_eq!(ours.status, 500, "our credentials are none of the client's business: {}", ours.text);
        assert_eq!(ours.header("passerelle-outcome"), "");

        let told = format!(r#"{{"code":409,"message":"Already known, {SECRET}"}}"#);
        let gateway = before("notchpay", json_answer("409 Conflict", &told)).await;
        let rejected = dialect.told(&gateway, "sk_acme", "POST", "", Some(&body)).await;
        dialect.is_refusal(&rejected);
        assert!(!rejected.text.contains(SECRET), "{}", rejected.text);
        if dialect.name != "lomi" {
            assert!(rejected.text.contains("Already known, ***"), "{}: {}", dialect.name, rejected.text);
        }
    }
    let limited = json_answer("429 Too Many Requests\r\nretry-after: 7", r#"{"code":429,"message":"slowly"}"#);
    let gateway = before("notchpay", limited).await;
    for (dialect, status) in [(modempay, 427), (lomi, 429), (paymentkit, 429), (bitnob, 429), (notchpay, 429)] {
        let told = dialect.told(&gateway, "sk_acme", "DELETE", "/cus.abc", None).await;
        if !["paymentkit", "bitnob"].contains(&dialect.name) {
            assert_eq!((told.status.as_u16(), told.header("retry-after")), (status, "7"), "{}", told.text);
        }
    }
}
