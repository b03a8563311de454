//! The console over loopback HTTP: who may see it, what every answer of it carries, and that its pages say what their JSON
//! says. `tests/console` looks at the same pages with a browser.

mod pages;
mod people;
mod replicas;
mod sessions;

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;

use crate::support::Gateway;

/// The operator's key in these tests.
const KEY: &str = "op_test_console_key_of_awa";
/// What a browser sends.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// A configuration whose operator has these keys.
fn configuration(keys: &str) -> String {
    format!(
        "[store]\nurl = \"sqlite::memory:\"\n[operator]\nlisten = \"127.0.0.1:0\"\nkeys = [{keys}]\n[merchants.acme]\n\
         api_keys = [\"sk_acme\"]\nactive = \"main\"\nregion = \"SN\"\nconnections.main = {{ provider = \"lomi\", sandbox = true }}\n\
         connections.new = {{ provider = \"bitnob\", sandbox = true }}\n"
    )
}

/// A gateway, and a client of its console.
struct Bed {
    gateway: Gateway,
    client: reqwest::Client,
}

/// An answer of the console.
#[derive(Debug)]
struct Shown {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Shown {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }
}

impl Bed {
    async fn start() -> Self {
        Self::of(&configuration(&format!("\"{KEY}\""))).await
    }

    async fn of(configuration: &str) -> Self {
        let gateway = Gateway::start(configuration).await.with_key("sk_acme");
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Self { gateway, client: client.expect("a client") }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let address = self.gateway.operator_address().expect("the operator's listener");
        self.client.request(method, format!("http://{address}{path}")).header("accept", BROWSER)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Shown {
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        Shown { status, headers, text: response.text().await.expect("a body") }
    }

    /// Sends the form of the login.
    async fn log_in(&self, key: &str, next: &str) -> Shown {
        let form = format!("key={key}&next={next}");
        let request = self.request(Method::POST, "/console/login").body(form);
        self.send(request.header("content-type", "application/x-www-form-urlencoded")).await
    }

    /// Logs in, and returns the cookie.
    async fn session(&self) -> String {
        let answer = self.log_in(KEY, "/console").await;
        assert_eq!(answer.status, 303, "{}", answer.text);
        answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
    }

    /// A page as a browser with this cookie asks for it.
    async fn page(&self, path: &str, cookie: &str) -> Shown {
        self.send(self.request(Method::GET, path).header("cookie", cookie)).await
    }

    /// The JSON of a page.
    async fn json(&self, path: &str) -> Shown {
        let address = self.gateway.operator_address().expect("the operator's listener");
        let request = self.client.get(format!("http://{address}{path}")).header("accept", "application/json");
        self.send(request.bearer_auth(KEY)).await
    }
}
