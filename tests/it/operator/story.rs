//! The commands against the real switches: from one twin to another, without a switch in memory.

use std::process::Output;

use assert_cmd::Command;
use passerelle::{
    command::{Running, start},
    config::load_text,
};
use serde_json::Value;

use super::{KEY, commands::code};
use crate::terminal::{err, out};

async fn run(running: &Running, arguments: &[&'static str]) -> Output {
    run_any(running, &[&["switch"], arguments].concat()).await
}

async fn run_any(running: &Running, arguments: &[&'static str]) -> Output {
    let arguments = arguments.to_vec();
    let url = format!("http://{}", running.operator_address.expect("the operator's listener"));
    let run = move || {
        let mut command = Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().env("PASSERELLE_OPERATOR", url).env("PASSERELLE_OPERATOR_KEY", KEY);
        command.args(arguments).output().expect("it runs")
    };
    tokio::task::spawn_blocking(run).await.expect("it ends")
}

/// Each command is in the audit once before it begins and once after it, with the operator's key by its name.
async fn audit_has_the_commands(running: &Running, switch: &str) {
    let verified = run_any(running, &["audit", "verify"]).await;
    assert_eq!(code(&verified), 0, "{}", err(&verified));
    let audit = out(&run_any(running, &["audit", "--limit", "1000"]).await);
    let records = audit.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let commands: Vec<Value> = records.filter(|record| record["detail"].is_object()).collect();
    let shown = |record: &Value| {
        let detail = &record["detail"];
        assert!(detail["by"].as_str().is_some_and(|by| by.starts_with("sha256:")), "{record}");
        let place = |place: &Value| match place["state"].as_str() {
            Some(state) => format!("{state} {}", place["epoch"]),
            None => "-".to_owned(),
        };
        let (operation, event) = (record["operation"].as_str(), record["event"].as_str());
        let [operation, event] = [operation, event].map(|word| word.unwrap_or_default().to_owned());
        format!("{operation} {event}: {} > {}", place(&detail["from"]), place(&detail["to"]))
    };
    assert_eq!(
        commands.iter().map(shown).collect::<Vec<_>>(),
        [
            "switch.plan intent: - > -",
            "switch.plan done: - > planning 0",
            "switch.run intent: planned 0 > -",
            "switch.run done: planned 0 > copying 0",
            "switch.verify intent: copied 0 > -",
            "switch.verify done: copied 0 > copied 0",
            "switch.rollback intent: copied 0 > -",
            "switch.rollback failed: copied 0 > -",
        ]
    );
    for command in &commands[2..] {
        assert_eq!(command["detail"]["switch"], switch, "{command}");
    }
    assert_eq!(commands[7]["detail"]["refused"], serde_json::json!(["not_allowed"]));
    assert!(!audit.contains(KEY));
}

async fn state(running: &Running) -> Value {
    let status = run(running, &["status", "acme", "--json"]).await;
    serde_json::from_str(&out(&status)).expect("the object alone")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_switch_a_merchant_between_two_providers() {
    let configuration = format!(
        "[store]\nurl = \"sqlite::memory:\"\n[operator]\nlisten = \"127.0.0.1:0\"\nkeys = [\"{KEY}\"]\n[merchants.acme]\n\
         api_keys = [\"sk_acme\"]\nactive = \"main\"\nregion = \"GM\"\nconnections.main = {{ provider = \"modempay\", sandbox = true }}\n\
         connections.new = {{ provider = \"notchpay\", sandbox = true }}\n"
    );
    let mut loaded = load_text(&configuration, "test.toml").expect("a configuration");
    loaded.config.server.listen = "127.0.0.1:0".to_owned();
    let running = start(&loaded).await.expect("a gateway");
    let planned = run(&running, &["plan", "acme", "--to", "new"]).await;
    assert!(out(&planned).contains("acme: main -> new, planned"), "{}{}", out(&planned), err(&planned));
    let copied = run(&running, &["run", "acme"]).await;
    assert!(out(&copied).contains(", copied ("), "{}{}", out(&copied), err(&copied));
    run(&running, &["verify", "acme"]).await;
    let switch = state(&running).await;
    assert_eq!(switch["verified"]["complete"], true, "{switch}");
    let dry = run(&running, &["cutover", "acme", "--dry-run"]).await;
    assert!(out(&dry).contains("nothing was changed"), "{}{}", out(&dry), err(&dry));
    let refused = run(&running, &["rollback", "acme", "--yes"]).await;
    assert_eq!(code(&refused), 1, "nothing was cut over yet");
    audit_has_the_commands(&running, switch["id"].as_str().expect("an id")).await;
}
