//! A gateway as a process with the log at its most detailed level, and a client for both of its listeners. Every answer
//! is checked for what no answer may show. At the end, the log and the files of the store are searched for canaries.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::{NamedTempFile, TempDir};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::canary;

/// The limit for all waiting in tests.
const PATIENCE: Duration = Duration::from_mins(1);

/// A gateway that is served.
pub(crate) struct Bed {
    child: Child,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
    client: reqwest::Client,
    /// `host:port` of the merchants' listener, and of the operator's.
    addresses: [String; 2],
    configuration: NamedTempFile,
    store: TempDir,
}

/// What the process has logged so far.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

/// The two listeners of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    Merchants,
    Operator,
}

/// One merchant whose provider is a twin in the process of the gateway.
pub(crate) fn merchant_of_twin(name: &str, provider: &str) -> String {
    format!(
        "[merchants.{name}]\napi_keys = [\"{}\"]\nactive = \"main\"\nregion = \"SN\"\n\
         connections.main = {{ provider = \"{provider}\", sandbox = true }}\n",
        canary::key_of(name)
    )
}

/// One merchant whose provider is at a URL. `more` has more keys of the connection.
pub(crate) fn merchant_of(name: &str, provider: &str, base_url: &str, more: &str) -> String {
    let credential = match provider {
        "lomi" => "api_key",
        "paymentkit" => "access_key",
        "modempay" | "bitnob" => "secret_key",
        _ => "public_key",
    };
    format!(
        "[merchants.{name}]\napi_keys = [\"{}\"]\nactive = \"main\"\nregion = \"SN\"\n[merchants.{name}.connections.main]\n\
         provider = \"{provider}\"\nbase_url = \"{base_url}\"\ncredentials = {{ {credential} = \"{}\" }}\n{more}\n",
        canary::key_of(name),
        canary::VENDOR_SECRET
    )
}

impl Bed {
    /// Serves these merchants.
    pub(crate) fn start(merchants: &str) -> Self {
        Self::with("wrong_keys_per_address = \"1000000/s\"", merchants)
    }

    /// Serves these merchants, with more keys of `[server]`.
    pub(crate) fn with(server: &str, merchants: &str) -> Self {
        let store = tempfile::tempdir().expect("a folder");
        let mut configuration = NamedTempFile::new().expect("a file");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\noverload_wait = \"5m\"\n{server}\n[operator]\nlisten = \"127.0.0.1:0\"\n\
             keys = [\"{}\"]\n[store]\nurl = \"sqlite:{}/passerelle.db\"\n[outbound]\nallow_insecure = true\n{merchants}",
            canary::OPERATOR_KEY,
            store.path().display(),
        );
        configuration.write_all(text.as_bytes()).expect("it is written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_passerelle"));
        command.args(["serve", "--config"]).arg(configuration.path()).env("PASSERELLE_LOG", "trace");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = Arc::new(Log::default());
        let (stderr, kept) = (child.stderr.take().expect("a log"), Arc::clone(&log));
        let reader = Some(std::thread::spawn(move || kept.read(stderr)));
        let addresses = ["serving on http://", "serving the operator on http://"].map(|words| {
            let line = log.wait_for(words);
            let (_, address) = line.rsplit_once(words).expect("an address");
            address.split('"').next().unwrap_or_default().to_owned()
        });
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, log, reader, client, addresses, configuration, store }
    }

    /// Replaces a text in the configuration, and reloads it.
    pub(crate) fn reload(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.configuration.path()).expect("the configuration");
        assert!(text.contains(from), "the configuration has {from}");
        fs::write(self.configuration.path(), text.replace(from, to)).expect("it is written");
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("a signal");
        self.log.wait_for("the configuration was reloaded");
    }

    /// A request without a key.
    pub(crate) fn request(&self, listener: Listener, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.addresses[listener as usize]))
    }

    /// A request of a merchant's client.
    pub(crate) fn of(&self, merchant: &str, method: Method, path: &str) -> RequestBuilder {
        self.request(Listener::Merchants, method, path).bearer_auth(canary::key_of(merchant))
    }

    /// A `GET` of a merchant's client.
    pub(crate) async fn get(&self, merchant: &str, path: &str) -> Answer {
        self.send(self.of(merchant, Method::GET, path)).await
    }

    /// A `POST` of a merchant's client.
    pub(crate) async fn post(&self, merchant: &str, path: &str, body: &Value) -> Answer {
        self.send(self.of(merchant, Method::POST, path).json_text(body)).await
    }

    /// Sends a request, and checks what holds of every answer.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let called = format!("{} {}", request.method(), request.url().path());
        let response = self.client.execute(request).await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        let answer = Answer { status, headers, text, body };
        answer.check(&called);
        answer
    }

    /// The metrics, as the operator's listener shows them without a key.
    pub(crate) async fn metrics(&self) -> String {
        self.send(self.request(Listener::Operator, Method::GET, "/metrics")).await.text
    }

    /// Sends bytes as they are to the merchants' listener, and reads until the gateway closes the connection.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let address = &self.addresses[Listener::Merchants as usize];
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        // The gateway may refuse the request before it has read all of it.
        let _ = stream.write_all(bytes.as_ref()).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection stays open after {}", String::from_utf8_lossy(&answer));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What was logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.text.lock().expect("no panic while it was locked").clone()
    }
}

impl Log {
    /// Keeps what the process logs, until it ends.
    fn read(&self, stderr: ChildStderr) {
        let mut stderr = BufReader::new(stderr);
        let mut line = Vec::new();
        while stderr.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            self.text.lock().expect("no panic while it was locked").push_str(&String::from_utf8_lossy(&line));
            self.grown.notify_all();
            line.clear();
        }
    }

    /// The line with these words, as soon as it is logged.
    fn wait_for(&self, words: &str) -> String {
        let text = self.text.lock().expect("no panic while it was locked");
        let is_missing = |text: &mut String| !text.contains(words) || !text.ends_with('\n');
        let (text, _) = self.grown.wait_timeout_while(text, PATIENCE, is_missing).expect("no panic while it waited");
        let line = text.lines().find(|line| line.contains(words));
        line.unwrap_or_else(|| panic!("it never logged {words}:\n{text}")).to_owned()
    }
}

/// Ends the process. A test that has not failed fails here if its traffic left a canary in the log or in the store.
impl Drop for Bed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.reader.take().map(JoinHandle::join);
        if std::thread::panicking() {
            return;
        }
        let log = self.log();
        assert!(log.contains("\"level\":\"DEBUG\""), "the log has more than an operator sees by default");
        if let Some(line) = log.lines().find(|line| canary::found_in(line).is_some()) {
            panic!("the log shows a secret or personal data:\n{line}");
        }
        for entry in fs::read_dir(self.store.path()).expect("a folder").filter_map(Result::ok) {
            let bytes = fs::read(entry.path()).unwrap_or_default();
            let found = canary::found_in(&String::from_utf8_lossy(&bytes));
            assert_eq!(found, None, "{} has a secret or personal data", entry.path().display());
        }
    }
}

impl Answer {
    /// The code of a problem; empty where the answer is none.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// The status and the code, as tests compare them.
    pub(crate) fn status_and_code(&self) -> (u16, &str) {
        (self.status.as_u16(), self.code())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_else(|| panic!("no id: {}", self.text))
    }

    /// The answer without what differs in every request, and with these ids replaced. Two answers that a client cannot
    /// tell apart are equal texts.
    pub(crate) fn comparable(&self, id: &str) -> String {
        let mut text = format!("{}\n", self.status);
        let of_the_request = ["x-request-id", "x-operation-id", "date"];
        for (name, value) in self.headers.iter().filter(|(name, _)| !of_the_request.contains(&name.as_str())) {
            let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        let request_id = self.header("x-request-id");
        text + &self.text.replace(request_id, "REQUEST").replace(id, "ID")
    }

    /// S10, S33 and S34: what holds of every answer.
    fn check(&self, called: &str) {
        let mut headers = String::new();
        for (name, value) in &self.headers {
            let _ = writeln!(headers, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        let whole = format!("{headers}\n{}", self.text);
        assert!(!canary::shows_a_secret(&whole), "{called} shows a key or a credential:\n{whole}");
        assert!(!self.headers.contains_key("server"), "{called} names the server:\n{whole}");
        assert!(!self.header("x-request-id").is_empty(), "{called} has no request id:\n{whole}");
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{called}:\n{whole}");
        assert!(self.headers.contains_key("content-type"), "{called}:\n{whole}");
        if self.headers["content-type"] != "text/html; charset=utf-8" {
            assert_eq!(self.header("cache-control"), "no-store", "{called}:\n{whole}");
        }
        if !self.status.is_success() {
            let inside = ["panicked", ".rs:", "SELECT ", "INSERT ", "/root/", "/tmp/", "backtrace"];
            assert!(!inside.iter().any(|word| whole.contains(word)), "{called} shows the inside:\n{whole}");
        }
    }
}

/// A JSON body, without the `json` feature of reqwest.
pub(crate) trait JsonText {
    fn json_text(self, body: &Value) -> Self;
}

impl JsonText for RequestBuilder {
    fn json_text(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }
}
