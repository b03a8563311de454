//! Providers with signed requests: twins verify every signature, and the gateway signs every request anew.

use passerelle::twin::Twin;
use passerelle_providers::{Settings, model::auth::Credentials, vendor};
use serde_json::json;

use crate::support::Gateway;

/// Starts a twin that accepts only requests signed with these credentials. Returns its URL.
fn start_twin(provider: &str, generation: &'static str, named: &[(&str, &str)]) -> String {
    let vendor = vendor(provider).expect("a provider");
    let settings = Settings { generation, region: None, livemode: true };
    let named = named.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let twin = Twin::new(vendor, settings, Credentials::new(named));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(twin.serve(listener, axum_server::Handle::new()));
    format!("http://{address}")
}

async fn gateway(provider: &str, generation: &str, base_url: &str, named: &[(&str, &str)]) -> Gateway {
    let credentials: Vec<String> = named.iter().map(|(name, value)| format!("{name} = \"{value}\"")).collect();
    let configuration = format!(
        "[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n\
         [merchants.acme.connections.main]\nprovider = \"{provider}\"\ngeneration = \"{generation}\"\n\
         base_url = \"{base_url}\"\ncredentials = {{ {} }}\n",
        credentials.join(", ")
    );
    Gateway::start(&configuration).await.with_key("sk_acme")
}

#[tokio::test]
async fn bitnob_v2_accepts_the_signatures_of_the_gateway() {
    let good = [("client_id", "client_test"), ("client_secret", "secret_test")];
    let twin = start_twin("bitnob", "v2", &good);
    let signed = gateway("bitnob", "v2", &twin, &good).await;
    let body = json!({ "name": "Bob Wonder", "email": "bob@bitnob.com", "phone": "+2349012345678" });
    let created = signed.post("/v1/customers", body).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let path = format!("/v1/customers/{}", created.body["id"].as_str().expect("an id"));
    let updated = signed.patch(&path, json!({ "last_name": "Builder" })).await;
    assert_eq!(updated.body["name"], "Bob Builder", "{}", updated.text);
    assert_eq!(updated.body["phone"], "+2349012345678", "a field that the update does not name is kept");
    let blocked = signed.send(signed.request(reqwest::Method::POST, &format!("{path}/block"))).await;
    assert_eq!(blocked.body["blocked"], true, "{}", blocked.text);
    assert_eq!(signed.get("/v1/customers?blocked=true").await.body["data"][0]["email"], "bob@bitnob.com");
    assert_eq!(signed.get("/v1/customers/lookup?email=bob@bitnob.com").await.status, 200);
    assert_eq!(signed.delete(&path).await.body["deleted"], true);
    assert_eq!(signed.get(&path).await.status_and_code(), (404, "customer_not_found"));

    let wrong = [("client_id", "client_test"), ("client_secret", "another")];
    let refused = gateway("bitnob", "v2", &twin, &wrong).await.get("/v1/customers").await;
    assert_eq!(refused.status_and_code(), (502, "provider_unauthorized"));
}

#[tokio::test]
async fn paymentkit_accepts_the_signatures_of_the_gateway() {
    const KEY: &str = "0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const OTHER: &str = "0x1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";
    let good = [("app_secret_key", KEY), ("component_did", "z8iaTestComponent")];
    let twin = start_twin("paymentkit", "v1", &good);
    let signed = gateway("paymentkit", "v1", &twin, &good).await;
    let listed = signed.get("/v1/customers?search=john").await;
    assert_eq!(listed.body["data"][0]["name"], "John Doe", "{}", listed.text);
    let path = format!("/v1/customers/{}", listed.body["data"][0]["id"].as_str().expect("an id"));
    let updated = signed.patch(&path, json!({ "metadata": { "n": 1.5, "a": "é\"" } })).await;
    assert_eq!(updated.body["metadata"], json!({ "n": 1.5, "a": "é\"" }), "{}", updated.text);

    let wrong = [("app_secret_key", OTHER), ("component_did", "z8iaTestComponent")];
    let refused = gateway("paymentkit", "v1", &twin, &wrong).await.get("/v1/customers").await;
    assert_eq!(refused.status_and_code(), (502, "provider_unauthorized"));
}
