//! Drop-in: what each provider's clients send, answered in that provider's words by every provider.

use std::{fs, path::Path};

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::{Gateway, PROVIDERS, raw};

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
        page: |page, size| format!("?term=&offset={}&limit={size}", page * size),
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
            let total =
                ["/meta/total", "/count", "/data/meta/itemCount", "/totals"].map(|total| told.at(total).as_u64());
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

/// Every request that was captured from a client is answered in the dialect, by every provider: with a success,
/// or with a refusal that the client can read.
#[tokio::test]
async fn captured_requests_are_answered() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    for dialect in &DIALECTS {
        let captured = fixtures.join(dialect.name).join("captured");
        // The signed ones of the other generation are asked for below.
        let folder = if dialect.name == "bitnob" { captured.join("pypi_v1") } else { captured };
        for entry in fs::read_dir(folder).expect("captured requests") {
            let path = entry.expect("a file").path();
            if path.extension().is_none_or(|extension| extension != "http") {
                continue;
            }
            for provider in PROVIDERS {
                let text = fs::read_to_string(&path).expect("a request");
                let text = text.replace("\r\n", "\n");
                let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
                let mut lines = head.lines();
                let mut first = lines.next().expect("a request line").split(' ');
                let (method, target) = (first.next().expect("a method"), first.next().expect("a target"));
                let target = target.strip_prefix("/payment/").map_or(target, |_| &target["/payment".len()..]);
                let is_replaced = |name: &str| {
                    ["authorization", "x-api-key", "host", "content-length", "connection"].contains(&name)
                        || name.starts_with("x-component")
                        || name == "accept-encoding"
                };
                let headers: String = lines
                    .filter(|line| !line.split(':').next().is_some_and(|name| is_replaced(&name.to_lowercase())))
                    .map(|line| format!("{line}\r\n"))
                    .collect();
                let request = format!(
                    "{method} /as/{}{target} HTTP/1.1\r\nhost: gateway\r\n{}: {}{}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
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
