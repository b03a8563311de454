//! Every answer of the sandbox is checked against the OpenAPI document: its status, its media type, its body.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use passerelle_providers::model::Operation;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Gateway};

static SHARED: LazyLock<Arc<Contract>> = LazyLock::new(|| {
    let document = serde_json::from_str(&passerelle::http::openapi::json()).expect("the document is JSON");
    Arc::new(Contract { document, validators: Mutex::default() })
});

static OPERATOR: LazyLock<Arc<Contract>> = LazyLock::new(|| {
    let document = serde_json::from_str(&passerelle::operator::openapi::json()).expect("the document is JSON");
    Arc::new(Contract { document, validators: Mutex::default() })
});

/// The OpenAPI document, and validators for the schemas that were used.
pub(crate) struct Contract {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Contract {
    pub(crate) fn shared() -> Arc<Self> {
        Arc::clone(&SHARED)
    }

    /// The contract of the operator's API.
    pub(crate) fn operator() -> Arc<Self> {
        Arc::clone(&OPERATOR)
    }

    /// Every method and path of the document.
    pub(crate) fn routes(&self) -> Vec<(Method, String)> {
        let paths = self.document["paths"].as_object().expect("paths");
        let routes = paths.iter().flat_map(|(path, operations)| {
            let methods = operations.as_object().expect("operations").keys();
            methods.map(move |method| (method.to_uppercase().parse().expect("a method"), path.clone()))
        });
        routes.collect()
    }

    /// Fails the test when the document does not allow the answer.
    pub(crate) fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let Some((template, operations)) = self.operations(path) else {
            assert_eq!(answer.code(), "not_found", "{path} is not documented");
            return;
        };
        let Some(operation) = operations.get(method.as_str().to_lowercase()) else {
            assert_eq!(answer.code(), "method_not_allowed", "{method} {template} is not documented");
            return;
        };
        let status = answer.status.as_u16().to_string();
        let response = self.resolved(&operation["responses"][&status]);
        assert!(response.is_object(), "{method} {template} answered {status}, which is not documented");
        let media_type = answer.header("content-type").split(';').next().unwrap_or_default();
        let schema = &response["content"][media_type]["schema"];
        assert!(schema.is_object(), "{method} {template} answered {status} as {media_type}, which is not documented");
        let validator = self.validator(&format!("{method} {template} {status}"), schema);
        let text = Value::from(answer.text.as_str());
        let body = if media_type.ends_with("json") { &answer.body } else { &text };
        let wrong: Vec<String> =
            validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{method} {template} {status}: {wrong:#?}\n{}", answer.text);
    }

    /// What a reference points at, or the value itself.
    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target = value["$ref"].as_str().and_then(|reference| self.document.pointer(reference.strip_prefix('#')?));
        target.unwrap_or(value)
    }

    /// Fails the test when an operation lacks words or examples, or an example is not what its schema allows.
    pub(crate) fn check_examples(&self) {
        let paths = self.document["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, item)| {
            item.as_object()
                .expect("operations")
                .iter()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        });
        for (name, operation) in operations {
            for words in ["summary", "description", "operationId"] {
                assert!(operation[words].as_str().is_some_and(|text| text.len() > 3), "{name} has no {words}");
            }
            assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name} has one tag");
            if operation["requestBody"].is_object() {
                let content = &operation["requestBody"]["content"]["application/json"];
                assert!(!content["example"].is_null(), "{name} has no example of its request");
                self.check_example(&format!("{name} request"), &content["schema"], &content["example"]);
            }
            for (status, response) in operation["responses"].as_object().expect("responses") {
                let contents = self.resolved(response)["content"].as_object().expect("a content");
                for (media_type, content) in contents {
                    let examples = content["examples"].as_object().into_iter().flat_map(|examples| examples.values());
                    let examples: Vec<&Value> =
                        examples.map(|example| &example["value"]).chain(content.get("example")).collect();
                    let is_shown = status.starts_with('2') && media_type == "application/json";
                    assert!(!is_shown || !examples.is_empty(), "{name} {status} has no example");
                    for example in examples {
                        self.check_example(
                            &format!("{name} {status} {media_type} example"),
                            &content["schema"],
                            example,
                        );
                    }
                }
            }
        }
    }

    fn check_example(&self, name: &str, schema: &Value, example: &Value) {
        let validator = self.validator(name, schema);
        let wrong: Vec<String> =
            validator.iter_errors(example).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }

    fn operations(&self, path: &str) -> Option<(&str, &Value)> {
        let segments: Vec<&str> = path.split('/').collect();
        let matches = |template: &str| {
            let parts: Vec<&str> = template.split('/').collect();
            parts.len() == segments.len()
                && parts.iter().zip(&segments).all(|(part, segment)| part == segment || part.starts_with('{'))
        };
        let paths = self.document["paths"].as_object()?;
        // A path without parameters takes precedence.
        let exact = paths.get_key_value(path);
        let found = exact.or_else(|| paths.iter().find(|(template, _)| matches(template)))?;
        Some((found.0, found.1))
    }

    fn validator(&self, name: &str, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().expect("no panic while it was locked");
        let compile = || {
            let whole = json!({ "allOf": [schema], "components": self.document["components"] });
            Arc::new(jsonschema::draft202012::new(&whole).expect("a schema"))
        };
        Arc::clone(validators.entry(name.to_owned()).or_insert_with(compile))
    }
}

#[tokio::test]
async fn the_document_is_served_without_a_key() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let answer = gateway.send(gateway.anonymous("/openapi.json")).await;
    assert_eq!(answer.text, passerelle::http::openapi::json());
    for page in ["/docs", "/docs/problems", "/docs/assets/scalar.js", "/docs/assets/start.js", "/livez", "/readyz"] {
        let answer = gateway.send(gateway.anonymous(page)).await;
        assert_eq!(answer.status, 200, "{page}");
        assert!(!answer.text.contains("cdn."), "{page} loads nothing from another server");
    }
}

#[tokio::test]
async fn a_browser_is_led_to_the_reference_and_a_program_is_told_where_the_paths_are() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let browser =
        gateway.send(gateway.anonymous("/").header("accept", "text/html,application/xml;q=0.9,*/*;q=0.8")).await;
    assert!(browser.text.contains("/docs/assets/scalar.js"), "{}", browser.text);
    let program = gateway.send(gateway.anonymous("/").header("accept", "application/json")).await;
    assert_eq!((program.status.as_u16(), &program.body["code"]), (404, &json!("not_found")));
    let version = gateway.with_key("sk_sandbox_lomi").get("/v1/version").await;
    assert_eq!(version.body, json!({ "object": "version", "version": env!("CARGO_PKG_VERSION") }));
}

/// The method and path of an operation in the API. The compiler asks for every new operation here.
const fn route_of(operation: Operation) -> (Method, &'static str) {
    match operation {
        Operation::Create => (Method::POST, "/v1/customers"),
        Operation::Retrieve => (Method::GET, "/v1/customers/{id}"),
        Operation::Find => (Method::GET, "/v1/customers/lookup"),
        Operation::Update => (Method::PATCH, "/v1/customers/{id}"),
        Operation::Delete => (Method::DELETE, "/v1/customers/{id}"),
        Operation::List => (Method::GET, "/v1/customers"),
        Operation::Block => (Method::POST, "/v1/customers/{id}/block"),
        Operation::Unblock => (Method::POST, "/v1/customers/{id}/unblock"),
        Operation::PaymentMethods => (Method::GET, "/v1/customers/{id}/payment_methods"),
        Operation::Payments => (Method::GET, "/v1/customers/{id}/payments"),
        Operation::OverdueInvoices => (Method::GET, "/v1/customers/{id}/overdue_invoices"),
    }
}

#[tokio::test]
async fn every_operation_has_a_route_and_is_documented() {
    let gateway = Gateway::start(passerelle::config::SANDBOX).await;
    let document: Value = serde_json::from_str(&passerelle::http::openapi::json()).expect("the document is JSON");
    for operation in Operation::ALL {
        let (method, path) = route_of(operation);
        let documented = &document["paths"][path][method.as_str().to_lowercase()];
        assert!(documented.is_object(), "{} is not documented at {method} {path}", operation.name());
        // Without a key, a route answers 401, and an unknown path answers 404.
        let answer = gateway.send(gateway.plain(method, &path.replace("{id}", "cus_1"))).await;
        assert_eq!(answer.status, 401, "{} has no route at {path}", operation.name());
        let takes_no_key = documented["parameters"]
            .as_array()
            .is_some_and(|parameters| parameters.iter().all(|parameter| parameter["name"] != "Idempotency-Key"));
        assert_eq!(takes_no_key, !operation.is_write(), "whether {} takes an idempotency key", operation.name());
    }
}

/// The document is a snapshot, so that a reviewer sees every change of the contract.
#[test]
fn the_document_changes_only_on_purpose() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path("snapshots");
    settings.bind(|| insta::assert_snapshot!("openapi", passerelle::http::openapi::json()));
}
