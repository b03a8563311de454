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

async fn run(running: &Running, arguments: &'static [&'static str]) -> Output {
    let url = format!("http://{}", running.operator_address.expect("the operator's listener"));
    let run = move || {
        let mut command = Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().env("PASSERELLE_OPERATOR", url).env("PASSERELLE_OPERATOR_KEY", KEY);
        command.arg("switch").args(arguments).output().expect("it runs")
    };
    tokio::task::spawn_blocking(run).await.expect("it ends")
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
}
