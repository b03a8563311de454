//! What a gateway logs, as a process.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::Stdio,
};

use serde_json::{Value, json};

use crate::{stand_in::refusing_address, support::JsonText, writes::helpers::start_twin};

/// A gateway as a process, in front of a twin.
struct Process {
    child: std::process::Child,
    log: BufReader<std::process::ChildStderr>,
    url: String,
    _configuration: tempfile::NamedTempFile,
}

impl Process {
    /// Serves the merchant `acme` with a provider at this URL.
    fn start(base: &str, filter: &str) -> Self {
        let mut configuration = tempfile::NamedTempFile::new().expect("a file");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n[outbound]\nallow_insecure = true\n\
             [merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\nregion = \"SN\"\n\
             [merchants.acme.connections.main]\nprovider = \"lomi\"\ncredentials = {{ api_key = \"k\" }}\n\
             base_url = \"{base}\"\nvisibility_lag = \"10ms\"\n"
        );
        configuration.write_all(text.as_bytes()).expect("it is written");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_passerelle"));
        command.args(["serve", "--config"]).arg(configuration.path()).env("PASSERELLE_LOG", filter);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut log = BufReader::new(child.stderr.take().expect("a log"));
        let mut line = String::new();
        while !line.contains("serving on http") {
            line.clear();
            assert!(log.read_line(&mut line).expect("a line") > 0, "it ended");
        }
        let served: Value = serde_json::from_str(&line).expect("JSON");
        let url = format!("http://{}", served["server.address"].as_str().expect("an address"));
        Self { child, log, url, _configuration: configuration }
    }

    async fn create(&self, body: &Value) -> (u16, Value) {
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("{}/v1/customers", self.url)).bearer_auth("sk_acme").json_text(body);
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON"))
    }

    /// Ends the process, and returns the rest of its log.
    fn end(mut self) -> String {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).expect("sent");
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("a log");
        self.child.wait().expect("it ends");
        rest
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_filter_shows_the_phone_numbers_that_a_library_logs() {
    let (base, _folder) = start_twin("lomi", "");
    let process =
        Process::start(&base, "passerelle=debug,rlibphonenumber=trace,rlibphonenumber::phonenumberutil=trace");
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com", "phone": "77 123 45 67" });
    assert_eq!(process.create(&body).await.0, 201);
    let log = process.end();
    assert!(log.contains("\"route\":\"/v1/customers\""), "{log}");
    for number in ["rlibphonenumber", "771234567", "77 123 45 67"] {
        assert!(!log.contains(number), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_and_the_end_of_an_unknown_write_are_one_line_each_with_their_merchant() {
    let (base, _folder) = start_twin("lomi", "error_after = 1.0\nonly = [\"create\"]");
    let mut process = Process::start(&base, "info");
    let (status, failed) = process.create(&json!({ "name": "Awa Diop", "email": "awa@example.com" })).await;
    assert_eq!((status, &failed["code"]), (502, &"outcome_unknown".into()));
    let mut lines = Vec::new();
    while !lines.iter().any(|line: &String| line.contains("is known now")) {
        let mut line = String::new();
        assert!(process.log.read_line(&mut line).expect("a line") > 0, "{lines:?}");
        lines.push(line);
    }
    lines.extend(process.end().lines().map(str::to_owned));
    let id = failed["operation_id"].as_str().expect("an id");
    let about: Vec<Value> =
        lines.iter().filter(|line| line.contains(id)).map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [failure, end] = &about[..] else { panic!("{lines:#?}") };
    for line in [failure, end] {
        let names = ["merchant", "connection", "provider"].map(|name| line[name].as_str().unwrap_or_default());
        assert_eq!(names, ["acme", "main", "lomi"], "{line}");
    }
    assert_eq!((&failure["level"], &failure["outcome"]), (&"WARN".into(), &"unknown".into()));
    assert_eq!((&end["level"], &end["outcome"]), (&"INFO".into(), &"done".into()));
}

/// A client that waits for the outcome sends its request again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_is_held_is_one_line_however_often_its_request_is_repeated() {
    let (base, _folder) = start_twin("lomi", "error_before = 1.0\nonly = [\"create\"]");
    let mut process = Process::start(&base, "passerelle=info");
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let (_, first) = process.create(&body).await;
    let mut line = String::new();
    while !line.contains("is held for an operator") {
        line.clear();
        assert!(process.log.read_line(&mut line).expect("a line") > 0, "it is held");
    }
    for _ in 0..5 {
        let (_, again) = process.create(&body).await;
        assert_eq!(again["operation_id"], first["operation_id"], "{again}");
    }
    let rest = process.end();
    assert!(!rest.contains("is held for an operator"), "{rest}");
}

/// So the lines of a request are found by the trace of its client, also where no traces are configured.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_of_a_request_has_the_trace_of_its_client() {
    let process = Process::start(&format!("http://{}", refusing_address()), "passerelle=debug");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for parent in [format!("00-{trace}-00f067aa0ba902b7-00"), "00-forged".to_owned()] {
        #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.get(format!("{}/livez", process.url)).header("traceparent", parent);
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
    let log = process.end();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let traces: Vec<Value> =
        lines.filter(|line| line["route"] == "/livez").map(|line| line["trace.id"].clone()).collect();
    assert_eq!(traces, [json!(trace), Value::Null], "{log}");
}

/// A provider that is down for a minute must not fill the disk of the gateway.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_a_breaker_refuses_have_no_lines_of_their_own() {
    let process = Process::start(&format!("http://{}", refusing_address()), "info");
    let body = json!({ "name": "Awa Diop", "email": "awa@example.com" });
    let mut turned_away = 0;
    for _ in 0..40 {
        let (status, problem) = process.create(&body).await;
        assert_eq!(status, 503, "{problem}");
        turned_away += usize::from(
            problem["detail"].as_str().is_some_and(|why| why.contains("could not reach the provider's host")),
        );
    }
    let log = process.end();
    assert!(turned_away > 20, "{log}");
    assert_eq!(log.matches("failed: ").count(), 40 - turned_away, "{log}");
    assert_eq!(log.matches("no connection sends anything to it for a while").count(), 1, "{log}");
}
