//! The commands of `docs/switching.md`, executed one after another against the sandbox: the document has what they print.
//! `UPDATE_DOCUMENTS=1 cargo test --test it runbook` writes it.

use std::{fmt::Write, fs, path::Path, sync::LazyLock};

use passerelle::{
    command::{Running, start},
    config::{SANDBOX, load_text},
};
use regex::Regex;
use serde_json::Value;

use crate::{documents::assert_up_to_date, terminal};

const DOCUMENT: &str = "docs/switching.md";
const BEGIN: &str = "<!-- runbook: its outputs are made by a test -->\n";
const END: &str = "<!-- end of the runbook -->\n";

/// The sandbox on free ports.
pub(crate) async fn sandbox() -> Running {
    let mut loaded = load_text(SANDBOX, "the sandbox").expect("a configuration");
    loaded.config.server.listen = "127.0.0.1:0".to_owned();
    loaded.config.operator.as_mut().expect("the operator's listener").listen = "127.0.0.1:0".to_owned();
    start(&loaded).await.expect("a gateway")
}

/// The words of a command line. Single quotes keep spaces.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let mut all = vec![String::new()];
    for (place, part) in parts {
        for (begin, word) in part.split(if place % 2 == 0 { ' ' } else { '\0' }).enumerate() {
            if begin > 0 {
                all.push(String::new());
            }
            all.last_mut().expect("a word").push_str(word);
        }
    }
    all.retain(|word| !word.is_empty());
    all
}

/// The answer to `curl` as the documents write it: `-X`, `-H`, `-d` and a URL.
pub(crate) async fn answer(running: &Running, line: &str) -> Value {
    let words = words(line);
    let after = |option: &str| {
        let places = words.iter().enumerate().filter(move |(_, word)| *word == option);
        places.filter_map(|(place, _)| words.get(place + 1)).cloned().collect::<Vec<_>>()
    };
    let url = words.iter().find(|word| word.starts_with("http://127.0.0.1:8080")).expect("a URL of the gateway");
    let url = url.replace("127.0.0.1:8080", &running.address.to_string());
    let usual = if after("-d").is_empty() { reqwest::Method::GET } else { reqwest::Method::POST };
    let method = after("-X").first().map_or(usual, |name| name.parse().expect("a method"));
    #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = client.request(method, url);
    for header in after("-H") {
        let (name, value) = header.split_once(": ").expect("a header");
        request = request.header(name, value);
    }
    for body in after("-d") {
        request = request.body(body);
    }
    let text = request.send().await.expect("an answer").text().await.expect("a body");
    serde_json::from_str(&text).expect("JSON")
}

/// The members of an answer that the document shows.
async fn curl(running: &Running, line: &str) -> String {
    let mut body = answer(running, line).await;
    let known = ["object", "id", "name", "email", "phone", "provider", "code", "detail"];
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| known.contains(&name.as_str()));
    }
    format!("{body}\n")
}

/// Executes a command of the document in a folder.
async fn execute(running: &Running, folder: &Path, line: &str) -> String {
    if line.starts_with("curl ") {
        return curl(running, line).await;
    }
    let operator = format!("http://{}", running.operator_address.expect("the operator's listener"));
    let (folder, mut words) = (folder.to_owned(), words(line).into_iter());
    assert_eq!(words.next().as_deref(), Some("passerelle"), "a command of the document: {line}");
    let arguments: Vec<String> = words.collect();
    let run = move || {
        let mut command = assert_cmd::Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().env("PASSERELLE_OPERATOR", operator).env("PASSERELLE_OPERATOR_KEY", "op_sandbox");
        command.current_dir(folder).args(arguments).output().expect("it runs")
    };
    let output = tokio::task::spawn_blocking(run).await.expect("it ends");
    let mut text = terminal::out(&output);
    // A line of progress is there only if the job takes a moment.
    for notice in terminal::err(&output).lines().filter(|line| !PROGRESS.is_match(line)) {
        let _ = writeln!(text, "{notice}");
    }
    if let Some(code) = output.status.code().filter(|code| *code != 0) {
        let _ = writeln!(text, "(exit code {code})");
    }
    text
}

static PROGRESS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("^(planning|copying|verifying|moving|waiting): [0-9]+").expect("a pattern"));

/// What differs between two executions.
fn steady(text: &str) -> String {
    let changes = [
        ("sw_[0-9a-z]+", "sw_01ks"),
        (r"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z", "2026-11-26T09:00:00Z"),
        (r"[0-9]+\.[0-9]+ a second", "40.00 a second"),
        (r"[0-9]+\.[0-9] s  ", "0.1 s  "),
        (r": [0-9]+ bytes", ": 4096 bytes"),
        (r"(?m) +$", ""),
    ];
    let mut text = text.to_owned();
    for (pattern, value) in changes {
        text = Regex::new(pattern).expect("a pattern").replace_all(&text, value).into_owned();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runbook_has_what_its_commands_print() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
    let document = fs::read_to_string(file).expect("the document");
    let (head, rest) = document.split_once(BEGIN).expect("the runbook's beginning");
    let (runbook, tail) = rest.split_once(END).expect("the runbook's end");
    let (running, folder) = (sandbox().await, tempfile::tempdir().expect("a folder"));
    let mut made = String::new();
    let mut lines = runbook.lines().peekable();
    let mut commands = 0;
    while let Some(line) = lines.next() {
        let _ = writeln!(made, "{line}");
        if line != "```sh" && line != "```csv" {
            continue;
        }
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let _ = writeln!(made, "{}\n```", block.join("\n"));
        if line == "```csv" {
            fs::write(folder.path().join("decisions.csv"), block.join("\n")).expect("written");
            continue;
        }
        let mut output = String::new();
        for command in &block {
            commands += 1;
            output.push_str(&execute(&running, folder.path(), command).await);
        }
        let _ = writeln!(made, "```text\n{}\n```", steady(&output).trim_end());
        // The output that the document had.
        if lines.peek() == Some(&"```text") {
            lines.by_ref().skip(1).take_while(|line| *line != "```").for_each(drop);
        }
    }
    assert!(commands >= 12, "the whole story is there");
    assert!(made.contains(", completed ("), "it ends with `complete`:\n{made}");
    assert_up_to_date(DOCUMENT, &format!("{head}{BEGIN}{made}{END}{tail}"));
}

/// The README's rehearsal, and one with faults.
#[test]
fn a_rehearsal_plays_a_whole_switch_and_counts_what_is_there_afterwards() {
    const BEGIN: &str = "<!-- rehearsal: its output is made by a test -->\n```sh\ncargo run -q -- ";
    let run = |arguments: &[&str]| {
        let mut command = assert_cmd::Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().args(arguments).output().expect("it runs")
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(file).expect("the README");
    let (head, rest) = readme.split_once(BEGIN).expect("the rehearsal's beginning");
    let (line, rest) = rest.split_once("\n```\n```text\n").expect("its command");
    let (found, tail) = rest.split_once("```\n").expect("its output");
    let shown = run(&line.split(' ').collect::<Vec<_>>());
    let text = terminal::out(&shown);
    assert_eq!(shown.status.code(), Some(0), "{text}{}", terminal::err(&shown));
    assert!(text.contains("Nothing was lost") && text.contains("0 lost, 0 doubled, 0 not copied"), "{text}");
    assert!(text.lines().count() < 20 && text.lines().all(|line| line.len() < 120), "short enough to read: {text}");
    // Counts and times differ from one rehearsal to the next.
    let without_numbers = |text: &str| Regex::new("[ 0-9.]+").expect("a pattern").replace_all(text, " ").into_owned();
    if without_numbers(found) != without_numbers(&text) {
        assert_up_to_date("README.md", &format!("{head}{BEGIN}{line}\n```\n```text\n{text}```\n{tail}"));
    }
    let faults = terminal::file("seed = 7\nerror_after = 0.05\nreset_after = 0.05\nrate_limited = 0.005\n");
    let faulty = faults.path().to_str().expect("a path");
    let rehearse = |from, to| ["switch", "rehearse", "--from", from, "--to", to];
    let with_faults = ["--customers", "20", "--faults", faulty, "--json"];
    let played = run(&[&rehearse("notchpay", "modempay")[..], &with_faults].concat());
    let report: Value = serde_json::from_str(&terminal::out(&played)).expect("the report alone");
    assert_eq!((played.status.code(), &report["nothing_lost"]), (Some(0), &true.into()), "{report:#}");
    assert_eq!((&report["counted"]["lost"], &report["counted"]["doubled"]), (&0.into(), &0.into()), "{report:#}");
    let unknown = run(&rehearse("lomy", "bitnob"));
    assert_eq!(unknown.status.code(), Some(2));
    assert!(terminal::err(&unknown).contains("did you mean `lomi`?"), "{}", terminal::err(&unknown));
}
