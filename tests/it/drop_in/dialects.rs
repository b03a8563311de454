//! The dialects as their clients see them, and the requests that these clients send.

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

use crate::support::{Gateway, PROVIDERS};

/// A dialect as its clients see it: its path, how a client sends its key, and where an answer holds each value.
pub(crate) struct Dialect {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    pub(crate) key_header: &'static str,
    pub(crate) key_prefix: &'static str,
    /// Where an answer holds one customer, the customers of a page, and the text of an error: JSON pointers.
    pub(crate) one: &'static str,
    pub(crate) many: &'static str,
    pub(crate) error: &'static str,
    pub(crate) id_member: &'static str,
    /// The query for a page, from its number (the first is 0) and its size.
    pub(crate) page: fn(u64, u64) -> String,
    pub(crate) update: &'static str,
    /// The body of a create with this e-mail address, and of an update to it.
    pub(crate) new: fn(&str) -> Value,
    pub(crate) change: fn(&str) -> Value,
}

pub(crate) const DIALECTS: &[Dialect] = &[
    Dialect {
        name: "modempay",
        path: "/as/modempay/v1/customers",
        key_header: "authorization",
        key_prefix: "Bearer ",
        one: "",
        many: "/data",
        error: "/message",
        id_member: "id",
        page: |page, size| format!("?term=&offset={}&limit={size}", page.saturating_mul(size)),
        update: "PUT",
        new: |email| json!({ "name": "Awa Ndiaye", "email": email, "config": { "distinct": false } }),
        change: |email| json!({ "data": { "email": email } }),
    },
    Dialect {
        name: "lomi",
        path: "/as/lomi/v1/customers",
        key_header: "x-api-key",
        key_prefix: "",
        one: "/data",
        many: "/data",
        error: "/error/message",
        id_member: "customer_id",
        page: |page, size| format!("?page={}&limit={size}", page + 1),
        update: "PATCH",
        new: |email| json!({ "name": "Awa Ndiaye", "email": email }),
        change: |email| json!({ "email": email }),
    },
    Dialect {
        name: "paymentkit",
        path: "/as/paymentkit/api/customers",
        key_header: "authorization",
        key_prefix: "Bearer ",
        one: "",
        many: "/list",
        error: "/error",
        id_member: "id",
        page: |page, size| format!("?page={}&pageSize={size}&livemode=true", page + 1),
        update: "PUT",
        new: |email| json!({ "name": "Awa Ndiaye", "email": email }),
        change: |email| json!({ "email": email }),
    },
    Dialect {
        name: "bitnob",
        path: "/as/bitnob/api/v1/customers",
        key_header: "authorization",
        key_prefix: "Bearer ",
        one: "/data",
        many: "/data/customers",
        error: "/message",
        id_member: "id",
        page: |page, size| format!("/?order=DESC&page={}&take={size}", page + 1),
        update: "PUT",
        new: |email| json!({ "firstName": "Awa", "lastName": "Ndiaye", "email": email }),
        change: |email| json!({ "email": email }),
    },
    Dialect {
        name: "notchpay",
        path: "/as/notchpay/customers",
        key_header: "authorization",
        key_prefix: "",
        one: "/customer",
        many: "/items",
        error: "/message",
        id_member: "id",
        page: |page, size| format!("?page={}&limit={size}", page + 1),
        update: "POST",
        new: |email| json!({ "name": "Awa Ndiaye", "email": email }),
        change: |email| json!({ "email": email }),
    },
];

/// The dialect of a vendor.
pub(crate) fn dialect(name: &str) -> &'static Dialect {
    DIALECTS.iter().find(|dialect| dialect.name == name).expect("a dialect")
}

/// An answer in any shape.
#[derive(Debug)]
pub(crate) struct DialectAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl DialectAnswer {
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub(crate) async fn send(request: RequestBuilder) -> DialectAnswer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.expect("a body");
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    let answer = DialectAnswer { status, headers, text, body };
    assert!(!answer.header("x-request-id").is_empty(), "every answer has a request id");
    assert_ne!(answer.header("content-type"), "application/problem+json", "{}", answer.text);
    answer
}

impl Dialect {
    /// A request as this dialect's client sends it, with a merchant's API key.
    pub(crate) fn request(
        &self,
        gateway: &Gateway,
        key: &str,
        method: &str,
        below: &str,
        body: Option<&Value>,
    ) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = gateway
            .plain(method, &format!("{}{below}", self.path))
            .header(self.key_header, format!("{}{key}", self.key_prefix));
        match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        }
    }

    pub(crate) async fn send(
        &self,
        gateway: &Gateway,
        key: &str,
        method: &str,
        below: &str,
        body: Option<&Value>,
    ) -> DialectAnswer {
        send(self.request(gateway, key, method, below, body)).await
    }

    /// The status of a 4xx with which the gateway refuses a request itself. A client of Bitnob v1 has no class for most of
    /// them, and crashes on these.
    pub(crate) fn refusal(&self, status: u16) -> u16 {
        if self.name == "bitnob" { 400 } else { status }
    }

    /// Asserts that the answer is an ordinary error in the shape of this dialect, with no status that has another
    /// meaning.
    pub(crate) fn assert_refusal(&self, answer: &DialectAnswer) {
        assert!(answer.status.is_client_error(), "{}: {}", answer.status, answer.text);
        assert!(![401, 403, 429].contains(&answer.status.as_u16()), "{}", answer.text);
        assert!(!answer.at(self.error).is_null(), "{}: {}", self.name, answer.text);
        if self.name == "bitnob" {
            assert!([400, 404].contains(&answer.body["statusCode"].as_u64().unwrap_or_default()), "{}", answer.text);
        }
    }
}

pub(crate) fn key_of(provider: &str) -> String {
    format!("sk_sandbox_{provider}")
}

/// Runs the test for every pair of dialect and provider, on one sandbox gateway.
pub(crate) async fn for_every_pair(test: impl AsyncFn(&Gateway, &Dialect, &str, &str)) {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    for dialect in DIALECTS {
        for provider in PROVIDERS {
            test(&gateway, dialect, provider, &key_of(provider)).await;
        }
    }
}

/// A sample customer of the merchant, as the dialect shows it.
pub(crate) async fn sample_customer(gateway: &Gateway, dialect: &Dialect, key: &str) -> Value {
    let listed = dialect.send(gateway, key, "GET", &(dialect.page)(0, 100), None).await;
    let items = listed.at(dialect.many).as_array().expect("a list");
    items.iter().find(|one| one["email"] == "amadou.ba@example.com").expect("a sample").clone()
}
