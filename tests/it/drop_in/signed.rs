//! Clients that sign their requests, and the configuration that lets the gateway verify the signatures.

use std::{fs, path::Path};

use passerelle_providers::{
    model::auth::{AuthScheme, Credentials, Stamp},
    vendor,
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{captured::captured, dialects::send};
use crate::support::Gateway;

pub(super) const SIGNED: &str = r#"
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

/// How a client signs a request: with these credentials, and with a time that lies `late` seconds in the past.
pub(super) struct Signature<'a> {
    pub(super) provider: &'a str,
    pub(super) credentials: &'a [(&'a str, &'a str)],
    pub(super) late: i64,
    pub(super) nonce: u8,
}

impl Signature<'_> {
    pub(super) fn request(&self, gateway: &Gateway, method: &str, path: &str, body: &str) -> RequestBuilder {
        let manifests = vendor(self.provider).expect("a provider").manifests;
        let signs = |scheme: &&AuthScheme| matches!(scheme, AuthScheme::Signed { .. });
        let scheme = manifests.iter().flat_map(|manifest| manifest.auth).find(signs).expect("a signature");
        let credentials = self.credentials.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let body = body.to_owned();
        let mut signed =
            http::Request::builder().method(method).uri(path).body(body.clone().into()).expect("a request");
        let now = jiff::Timestamp::now().as_second() - self.late;
        let stamp = Stamp { now, nonce: [self.nonce; 16] };
        scheme.authorize(&mut signed, &Credentials::new(credentials), &stamp).expect("a signature");
        let headers = signed.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let request = gateway.plain(Method::from_bytes(method.as_bytes()).expect("a method"), path).body(body);
        headers.fold(request, |request, (name, value)| request.header(name, value))
    }
}

#[tokio::test]
async fn bitnobs_clients_are_authenticated_by_their_secret() {
    let gateway = Gateway::start(SIGNED).await;
    let path = "/as/bitnob/api/customers";
    let acme = [("client_id", "client_acme"), ("client_secret", "secret_acme")];
    let signed = |credentials, late, nonce| Signature { provider: "bitnob", credentials, late, nonce };
    let body = json!({ "customer_type": "individual", "first_name": "John", "last_name": "Doe", "email": "j@x.example", "phone": "8123456789", "country_code": "+234" });
    let created = send(signed(&acme, 0, 1).request(&gateway, "POST", path, &body.to_string())).await;
    assert_eq!((created.status.as_u16(), &created.body["success"]), (200, &json!(true)), "{}", created.text);
    let customer = &created.body["data"];
    for member in ["customer_type", "first_name", "last_name", "email", "phone", "country_code"] {
        assert_eq!(customer[member], body[member], "{member}: {}", created.text);
    }
    let listed = send(signed(&acme, 0, 2).request(&gateway, "GET", &format!("{path}?limit=1&page=1"), "")).await;
    assert_eq!(listed.body["data"]["customers"][0]["email"], "j@x.example", "{}", listed.text);
    let blocked = send(signed(&acme, 0, 8).request(&gateway, "GET", &format!("{path}?blacklist=true"), "")).await;
    let detail = blocked.body["detail"].as_str().unwrap_or_default();
    assert!(blocked.status == 400 && detail.starts_with("blacklist "), "{}", blocked.text);
    let wrong = [("client_id", "client_acme"), ("client_secret", "secret_other")];
    let unknown_client = [("client_id", "client_none"), ("client_secret", "secret_acme")];
    let other = [("client_id", "client_other"), ("client_secret", "secret_other")];
    let foreign = format!("{path}/{}", customer["id"].as_str().expect("an id"));
    assert_eq!(
        send(signed(&other, 0, 3).request(&gateway, "GET", &foreign, "")).await.status,
        404,
        "the customer belongs to another merchant"
    );
    for (credentials, late, nonce) in
        [(&acme, 0, 2), (&acme, 301, 4), (&acme, -310, 5), (&wrong, 0, 6), (&unknown_client, 0, 7)]
    {
        let refused = send(signed(credentials, late, nonce).request(&gateway, "GET", path, "")).await;
        assert_eq!((refused.status.as_u16(), &refused.body["title"]), (401, &json!("Unauthorized")), "{late} {nonce}");
    }
}

/// Requests captured from the client of generation v2, signed with credentials of this test. The provider lacks some of
/// the fields, and the answers report it.
#[tokio::test]
async fn bitnobs_captured_signed_requests_are_answered() {
    let gateway = Gateway::start(SIGNED).await;
    let other = [("client_id", "client_other"), ("client_secret", "secret_other")];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bitnob/captured/cli_v2");
    let files = fs::read_dir(folder).expect("captured requests").map(|entry| entry.expect("a file").path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "http"));
    let mut nonces = 0..;
    let mut send_signed = async |method: &str, target: &str, body: &str| {
        let signed =
            Signature { provider: "bitnob", credentials: &other, late: 0, nonce: nonces.next().expect("a nonce") };
        send(signed.request(&gateway, method, &format!("/as/bitnob{target}"), body)).await
    };
    for path in files {
        let (first, _, body) = captured(&path);
        let (method, target) = first.split_once(' ').expect("a method and a target");
        let answer = send_signed(method, target, body.trim_end()).await;
        assert!([200, 400, 404].contains(&answer.status.as_u16()), "{}: {}", path.display(), answer.text);
        assert!(answer.status == 200 || answer.body["title"].is_string(), "{}: {}", path.display(), answer.text);
    }
    let body = r#"{"customer_type":"individual","first_name":"Awa","last_name":"Ba","email":"awa@v2.example","phone":"","country_code":""}"#;
    let created = send_signed("POST", "/api/customers", body).await;
    assert_eq!((created.status.as_u16(), created.header("passerelle-loss")), (200, "type"), "{}", created.text);
    assert_eq!((&created.body["data"]["customer_type"], &created.body["data"]["phone"]), (&Value::Null, &json!("")));
    let one = format!("/api/customers/{}", created.body["data"]["id"].as_str().expect("an id"));
    let updated = send_signed("PUT", &one, r#"{"first_name":"Awa","last_name":"Diop","phone":"","email":""}"#).await;
    assert_eq!(updated.body["data"]["last_name"], "Diop", "{}", updated.text);
    assert_eq!(send_signed("GET", "/api/customers/awa@v2.example", "").await.body["data"]["last_name"], "Diop");
    let block = one.replace("customers/", "customers/blacklist/");
    assert_eq!(send_signed("POST", &block, r#"{"blacklist":true}"#).await.body["data"]["blacklist"], true);
    let blocked = send_signed("GET", "/api/customers?blacklist=true&limit=20&page=1", "").await;
    assert_eq!(blocked.body["data"]["customers"].as_array().map(Vec::len), Some(1), "{}", blocked.text);
    assert_eq!(send_signed("DELETE", &one, "").await.status, 200);
    assert_eq!(send_signed("GET", &one, "").await.body["detail"], "customer not found");
}

#[tokio::test]
async fn paymentkits_clients_are_authenticated_by_their_public_key() {
    const ACME: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const UNREGISTERED: &str = "0x1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";
    let gateway = Gateway::start(SIGNED).await;
    let path = "/as/paymentkit/api/customers";
    let acme = [("app_secret_key", ACME), ("component_did", "z8iaShared")];
    let signed = |credentials, late| Signature { provider: "paymentkit", credentials, late, nonce: 0 };
    let list = format!("{path}?page=1&pageSize=5&livemode=false");
    for again in 0..2 {
        let listed = send(signed(&acme, 0).request(&gateway, "GET", &list, "")).await;
        assert_eq!(
            listed.status, 200,
            "two equal reads in one second have the same signature, and both are answered ({again}): {}",
            listed.text
        );
        assert_eq!(listed.body["list"].as_array().map(Vec::len), Some(3));
    }
    for again in 0..2 {
        let (user, create) = (format!("{path}/zUser?livemode=false"), json!({ "create": true }));
        let answer = send(signed(&acme, 0).request(&gateway, "GET", &user, &create.to_string())).await;
        let has_reason =
            answer.body["error"].as_str().is_some_and(|error| error.contains("makes no customer of an id"));
        assert!(
            answer.status == 400 && has_reason,
            "two equal sign-ins of a user are both answered ({again}): {}",
            answer.text
        );
    }
    let listed = send(signed(&acme, 0).request(&gateway, "GET", &list, "")).await;
    let one = format!("{path}/{}?livemode=false", listed.body["list"][0]["id"].as_str().expect("an id"));
    let change = json!({ "email": "new@example.com", "metadata": { "n": 1.5 } });
    let first = signed(&acme, 0).request(&gateway, "PUT", &one, &change.to_string());
    let [again, late] = [(); 2].map(|()| first.try_clone().expect("a request"));
    let (answer, again) = tokio::join!(send(first), send(again));
    assert_eq!(answer.body["email"], "new@example.com", "{}", answer.text);
    assert_eq!((again.status, &again.body), (answer.status, &answer.body), "two equal updates get the same answer");
    let other = json!({ "email": "newer@example.com" });
    let other = signed(&acme, 0).request(&gateway, "PUT", &one, &other.to_string());
    assert_eq!(send(other).await.body["email"], "newer@example.com");
    assert_eq!(send(late).await.body, answer.body, "the same signature gets the recorded answer");
    let customer = send(signed(&acme, 1).request(&gateway, "GET", &one, "")).await;
    assert_eq!(customer.body["email"], "newer@example.com", "the update is not executed again");
    let unregistered = [("app_secret_key", UNREGISTERED), ("component_did", "z8iaShared")];
    let other_component = [("app_secret_key", ACME), ("component_did", "z8iaElse")];
    let mut refused = Vec::new();
    for (credentials, late) in [(&acme, 301), (&acme, -310), (&unregistered, 0), (&other_component, 0)] {
        refused.push(send(signed(credentials, late).request(&gateway, "GET", &list, "")).await);
    }
    for refused in refused {
        assert_eq!((refused.status.as_u16(), &refused.body["error"]), (401, &json!("verify sig failed")));
    }
}

#[test]
fn mistakes_in_ingress_are_reported_with_their_line() {
    let merchant = "[merchants.acme]\napi_keys = [\"k\"]\nactive = \"main\"\nconnections.main = { provider = \"lomi\", sandbox = true }\n";
    for (typed, expected) in [
        ("ingress.bitnop = {}", "did you mean `bitnob`?"),
        (
            "ingress.lomi = {}",
            "is not a provider whose clients sign their requests; those providers are bitnob, paymentkit",
        ),
        ("ingress.bitnob = { client_id = \"c\" }", "is incomplete: it needs `client_secret`"),
        ("ingress.bitnob = { client_secret = \"c\" }", "is incomplete: it needs `client_id`"),
        ("ingress.bitnob = { client_ide = \"c\" }", "did you mean `client_id`?"),
        ("ingress.paymentkit = { public_key = \"0x12\" }", "is not an Ed25519 public key"),
    ] {
        let loaded = passerelle::config::load_text(&format!("{merchant}{typed}\n"), "t.toml").expect("it can be read");
        let mistakes = passerelle::merchant::Gateway::resolve(&loaded, None, &passerelle::upstream::Shared::default())
            .expect_err("a mistake")
            .mistakes;
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(
            mistakes[0].starts_with("t.toml:5: `merchants.acme.ingress.") && mistakes[0].contains(expected),
            "{mistakes:?}"
        );
    }
}
