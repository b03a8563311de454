//! The command `passerelle twin`, its help, and the documents that name the faults.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use passerelle::twin::{
    faults::{Fault, FaultPlan},
    log,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::served::{create_body, request, until};
use crate::support::JsonText;

fn passerelle(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("passerelle"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path")
}

/// A process that is killed when it is dropped, as with `kill -9`.
struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// The log has every effect when the twin is killed, so it has every effect when another process is killed.
#[tokio::test]
async fn the_log_survives_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plan, log_file) = (folder.path().join("faults.toml"), folder.path().join("twin.jsonl"));
    std::fs::write(&plan, "hang_after = 1\n").expect("a plan");
    let arguments = [
        "twin",
        "--provider",
        "lomi",
        "--listen",
        "127.0.0.1:0",
        "--faults",
        text_of(&plan),
        "--log",
        text_of(&log_file),
    ];
    let mut twin = KilledOnDrop(passerelle(&arguments).stderr(Stdio::piped()).spawn().expect("it starts"));
    let line =
        BufReader::new(twin.0.stderr.take().expect("standard error")).lines().next().expect("a line").expect("text");
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request("POST", "/v1/customers", &create_body()).as_bytes()).await.expect("it is sent");
    until(|| log::read(&log_file).is_ok_and(|entries| entries.len() == 2)).await;
    drop(twin);
    let entries = log::read(&log_file).expect("a log");
    assert_eq!(log::requests(&entries).next().and_then(|request| request.fault), Some(Fault::HangAfter));
    assert_eq!(log::effects(&entries).next().and_then(|effect| effect.marker.as_deref()), Some("op_1"));
}

/// A customer that a client creates has no transactions.
#[tokio::test]
async fn lists_show_only_customers_with_transactions_on_request() {
    for (lists, shown) in [("all", 4), ("with-transactions", 3)] {
        let arguments = ["twin", "--provider", "lomi", "--listen", "127.0.0.1:0", "--lists", lists];
        let mut twin = KilledOnDrop(passerelle(&arguments).stderr(Stdio::piped()).spawn().expect("it starts"));
        let output = BufReader::new(twin.0.stderr.take().expect("standard error"));
        let line = output.lines().next().expect("a line").expect("text");
        let base = line.split("http://").nth(1).expect("an address");
        #[expect(clippy::disallowed_methods, reason = "a client of the twin")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("http://{base}/customers");
        let create = client.post(&url).header("x-api-key", "any").json_text(&json!({ "name": "Awa Diop" }));
        assert_eq!(create.send().await.expect("an answer").status(), 201);
        let list = client.get(&url).header("x-api-key", "any").send().await.expect("an answer");
        let list: Value = serde_json::from_str(&list.text().await.expect("a body")).expect("JSON");
        assert_eq!(list["data"].as_array().map(Vec::len), Some(shown), "{lists}");
    }
}

#[test]
fn mistakes_in_a_plan_are_reported_with_their_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("faults.toml");
    std::fs::write(&plan, "seed = 1\nhang_aftr = 1\n").expect("a plan");
    let output = passerelle(&["twin", "--provider", "lomi", "--faults", text_of(&plan)]).output().expect("it runs");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(message.contains("faults.toml:2: `hang_aftr` is not a key; did you mean `hang_after`?"), "{message}");
    let missing = passerelle(&["twin", "--provider", "lomi", "--faults", "/no/such.toml"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("/no/such.toml cannot be read"));
    let unwritable = passerelle(&["twin", "--provider", "lomi", "--log", "/no/such/log"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&unwritable.stderr).contains("/no/such/log cannot be written"));
}

#[test]
fn help_and_documents_name_every_fault() {
    let output = passerelle(&["twin", "--help"]).output().expect("it runs");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for word in [
        "--faults",
        "--log",
        "--lists",
        "with-transactions",
        "error_after",
        "search_lag",
        "Examples",
        "loses all records when it stops",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(root.join("config/faults.toml")).expect("the example");
    FaultPlan::read(&example, "config/faults.toml").expect("no mistakes");
    let document = std::fs::read_to_string(root.join("docs/twins.md")).expect("the document");
    for fault in Fault::ALL {
        assert!(example.contains(&format!("\n{fault} = ")), "{fault}");
        assert!(document.contains(&format!("`{fault}`")), "{fault}");
    }
}
