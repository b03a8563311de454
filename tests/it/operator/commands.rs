//! The commands as processes, against a gateway on loopback: what they print, and their exit codes.

use std::{path::Path, process::Output};

use assert_cmd::Command;
use passerelle::switch::view::{BlockedBy, BlockedCode, Outcome};

use super::{Bed, KEY, memory::record};
use crate::terminal::{err, file, out};

/// Runs `passerelle` with the address and the key of the operator's listener. It must not block the gateway of this
/// process.
pub(super) async fn run(bed: &Bed, arguments: &[&str]) -> Output {
    let (url, arguments): (String, Vec<String>) =
        (bed.url(), arguments.iter().map(|text| (*text).to_owned()).collect());
    let run = move || {
        let mut command = Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().env("PASSERELLE_OPERATOR", url).env("PASSERELLE_OPERATOR_KEY", KEY).args(arguments);
        command.output().expect("it runs")
    };
    tokio::task::spawn_blocking(run).await.expect("it ends")
}

pub(super) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// What a command printed, as a snapshot: its exit code, its result and its notices.
fn shown(name: &str, output: &Output) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path("../snapshots/switch");
    let text = format!("exit code {}\n--- stdout\n{}--- stderr\n{}", code(output), out(output), err(output));
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_goes_from_the_first_thought_to_its_end_by_commands_alone() {
    let bed = Bed::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("plan");
    let plan_text = plan.to_str().expect("a path");
    shown("list-of-nothing", &run(&bed, &["switch", "list"]).await);
    shown("status-without-a-switch", &run(&bed, &["switch", "status", "acme"]).await);
    let planned = run(&bed, &["switch", "plan", "acme", "--to", "new", "--out", plan_text]).await;
    assert_eq!(code(&planned), 1, "records need a decision: {}", err(&planned));
    assert!(out(&planned).contains("next: passerelle switch run acme"), "{}", out(&planned));
    for name in ["decisions.csv", "results.csv", "report.html"] {
        assert_eq!(mode(&plan.join(name)), 0o600, "{name}");
    }
    shown("run-dry", &run(&bed, &["switch", "run", "acme", "--dry-run"]).await);
    let copied = run(&bed, &["switch", "run", "acme"]).await;
    assert_eq!(code(&copied), 1, "two need a decision, one is refused");
    let decisions = plan.join("decisions.csv");
    let text = std::fs::read_to_string(&decisions).expect("a file");
    let decided = text.replacen(",,\n", ",link,new-7\n", 1).replacen(",,\n", ",leave,\n", 1);
    std::fs::write(&decisions, decided).expect("written");
    let taken = run(&bed, &["switch", "decide", "acme", decisions.to_str().expect("a path")]).await;
    assert_eq!(code(&taken), 0, "{}", err(&taken));
    assert!(out(&taken).contains("1 linked, 1 refused, 1 left where they are"), "{}", out(&taken));
    let unverified = run(&bed, &["switch", "cutover", "acme", "--yes", "--accept", "refused"]).await;
    shown("cutover-refused", &unverified);
    assert_eq!(code(&run(&bed, &["switch", "verify", "acme"]).await), 0);
    shown("cutover-dry", &run(&bed, &["switch", "cutover", "acme", "--dry-run"]).await);
    shown("cutover-without-a-terminal", &run(&bed, &["switch", "cutover", "acme"]).await);
    shown("cutover", &run(&bed, &["switch", "cutover", "acme", "--yes", "--accept", "refused"]).await);
    assert_eq!(code(&run(&bed, &["switch", "rollback", "acme", "--yes"]).await), 0);
    let again = run(&bed, &["switch", "cutover", "acme", "--yes", "--accept", "refused", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&out(&again)).expect("the object alone");
    assert_eq!((&json["object"], &json["state"], &json["epoch"]), (&"switch".into(), &"switched".into(), &3.into()));
    shown("complete", &run(&bed, &["switch", "complete", "acme", "--yes"]).await);
    shown("list", &run(&bed, &["switch", "list"]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_says_what_it_waits_for_and_what_comes_next() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    shown("status-planned", &run(&bed, &["switch", "status", "acme"]).await);
    bed.memory.change(&id, |view| {
        view.state = passerelle::switch::view::SwitchState::Copying;
        view.eta_seconds = Some(140);
        (view.rate.limit, view.rate.per_second) = (Some("60/min".to_owned()), 0.97);
        (view.marks.pending, view.marks.oldest_at) = (12, Some("2026-01-02T03:00:00Z".to_owned()));
        let detail = "bitnob answers 429; it goes on by itself".to_owned();
        view.blocked_by = Some(BlockedBy {
            code: BlockedCode::ProviderRateLimited,
            detail,
            since: "2026-01-02T03:04:00Z".to_owned(),
        });
    });
    shown("status-copying", &run(&bed, &["switch", "status", "acme"]).await);
    let steered = run(&bed, &["switch", "set", "acme", "rate=30/min"]).await;
    assert!(out(&steered).contains("at most 30/min"), "{}", out(&steered));
    assert_eq!(code(&run(&bed, &["switch", "set", "acme", "rate=fast"]).await), 1);
    assert_eq!(code(&run(&bed, &["switch", "set", "acme", "speed=1"]).await), 2);
    shown("set-active", &run(&bed, &["switch", "set", "acme", "active=new"]).await);
    let stopped = run(&bed, &["switch", "stop", "acme"]).await;
    assert!(out(&stopped).contains("stopped since"), "{}", out(&stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_whole_private_and_never_overwritten() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["map", "results", "errors", "report"] {
        let path = folder.path().join(name);
        let written = run(&bed, &["switch", name, "acme", "--out", path.to_str().expect("a path")]).await;
        assert_eq!(code(&written), 0, "{}", err(&written));
        assert_eq!(mode(&path), 0o600);
    }
    let map = folder.path().join("map");
    let before = std::fs::read(&map).expect("a file");
    let again =
        run(&bed, &["switch", "map", "acme", "--format", "stripe", "--out", map.to_str().expect("a path")]).await;
    assert_eq!(code(&again), 1);
    assert!(err(&again).contains("exists already"), "{}", err(&again));
    assert_eq!(std::fs::read(&map).expect("a file"), before);
    for place in 100..1100 {
        bed.memory.add(&id, record(place, Outcome::Pending));
    }
    bed.memory.fail();
    let half = folder.path().join("half.csv");
    let broken = run(&bed, &["switch", "results", "acme", "--out", half.to_str().expect("a path")]).await;
    assert_eq!(code(&broken), 1);
    assert!(err(&broken).contains("nothing was written"), "{}", err(&broken));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 4, "no half of a file stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_takes_its_customers_from_a_file() {
    let bed = Bed::start().await;
    let csv = tempfile::Builder::new().suffix(".csv").tempfile().expect("a file");
    let rows: String =
        (0..3000).map(|place| format!("cus_{place},Awa Diop,'+221771234567\n")).collect::<Vec<_>>().concat();
    std::fs::write(csv.path(), format!("id,name,phone\n{rows}")).expect("written");
    let path = csv.path().to_str().expect("a path");
    let planned =
        run(&bed, &["switch", "plan", "acme", "--to", "new", "--from-file", path, "--sample", "3", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&out(&planned)).expect("the object alone");
    assert_eq!(json["records"]["total"], 3000);
    assert_eq!(bed.memory.log(), ["plan acme to new sample 3 customers 3000 wrong []"]);
    let ids = file("public_id\ncus_1\ncus_2\n");
    let only = ids.path().to_str().expect("a path");
    run(&bed, &["switch", "run", "acme", "--only", only, "--detach"]).await;
    assert_eq!(bed.memory.log()[1], "run RunOptions { first: None, only: Some([\"cus_1\", \"cus_2\"]), except: None }");
    std::fs::write(csv.path(), "name\nAwa\n").expect("written");
    let wrong = run(&bed, &["switch", "plan", "acme", "--to", "new", "--from-file", path]).await;
    assert!(err(&wrong).contains("no column `id`"), "{}", err(&wrong));
    assert_eq!(bed.memory.log().len(), 2, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_says_how_to_reach_a_gateway() {
    let bed = Bed::start().await;
    let alone = |environment: Vec<(&'static str, String)>, arguments: Vec<String>| {
        let mut command = Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().envs(environment).args(arguments).output().expect("it runs")
    };
    let status = || ["switch", "status", "acme"].map(str::to_owned).to_vec();
    let file_without = file(
        "[merchants.acme]\napi_keys = [\"sk\"]\nactive = \"main\"\nconnections.main = { provider = \"lomi\", sandbox = true }\n",
    );
    let without = vec![("PASSERELLE_CONFIG", file_without.path().display().to_string())];
    let without = alone(without, status());
    assert!(err(&without).contains("[operator]") && err(&without).contains("keys = "), "{}", err(&without));
    let keyless = alone(vec![("PASSERELLE_OPERATOR", bed.url())], status());
    assert_eq!((code(&keyless), err(&keyless).contains("PASSERELLE_OPERATOR_KEY")), (2, true), "{}", err(&keyless));
    let nowhere =
        |url: &str| vec![("PASSERELLE_OPERATOR", url.to_owned()), ("PASSERELLE_OPERATOR_KEY", KEY.to_owned())];
    let refused = alone(nowhere("http://127.0.0.1:9"), status());
    assert_eq!(code(&refused), 1);
    assert!(err(&refused).contains("nothing answers at http://127.0.0.1:9; start the gateway"), "{}", err(&refused));
    assert_eq!(code(&alone(nowhere("ftp://x"), status())), 2);
    let address = bed.url().replace("http://", "");
    let configuration = |keys: &str| {
        file(&format!(
            "[operator]\nlisten = \"{address}\"\nkeys = [{keys}]\n[merchants.acme]\napi_keys = [\"sk\"]\nactive = \"main\"\n\
             connections.main = {{ provider = \"lomi\", credentials.api_key = \"x\" }}\n"
        ))
    };
    let with = |file: &tempfile::NamedTempFile| {
        [status(), vec!["--config".to_owned(), file.path().display().to_string()]].concat()
    };
    let run_blocking = move |arguments: Vec<String>| async move {
        tokio::task::spawn_blocking(move || alone(vec![], arguments)).await.expect("it ends")
    };
    let found = run_blocking(with(&configuration(&format!("\"{KEY}\"")))).await;
    assert!(err(&found).contains("merchant `acme` has no switch"), "{}", err(&found));
    let digest = run_blocking(with(&configuration(&format!("{{ sha256 = \"{}\" }}", "0".repeat(64))))).await;
    assert!(err(&digest).contains("only its digest; set the variable PASSERELLE_OPERATOR_KEY"), "{}", err(&digest));
    let other = run_blocking(with(&configuration("\"op_other\""))).await;
    assert!(err(&other).contains("not one of `operator.keys`"), "{}", err(&other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_and_audit_ask_the_gateway_that_holds_the_store() {
    let bed = Bed::start().await;
    for _ in 0..3 {
        let request = bed.client.post(format!("http://{}/v1/customers", bed.running.address)).bearer_auth("sk_acme");
        let request = request.header("content-type", "application/json").header("idempotency-coalesce", "off");
        assert_eq!(request.body("{\"name\":\"Awa Diop\"}").send().await.expect("an answer").status(), 201);
    }
    let listed = run(&bed, &["operations", "--limit", "2", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&out(&listed)).expect("JSON");
    assert_eq!((json["data"].as_array().map(Vec::len), &json["has_more"]), (Some(2), &true.into()), "{}", err(&listed));
    let after = json["next_cursor"].as_str().expect("a cursor");
    let rest = run(&bed, &["operations", "--merchant", "acme", "--outcome", "done", "--after", after]).await;
    assert_eq!(out(&rest).matches("op_").count(), 1, "{}", out(&rest));
    assert!(out(&run(&bed, &["operations", "--outcome", "unknown"]).await).contains("no such writes"));
    assert_eq!(out(&run(&bed, &["audit", "--after", "2", "--limit", "3"]).await).lines().count(), 3);
    assert_eq!(out(&run(&bed, &["audit", "verify"]).await), "6 records, none missing, none changed\n");
}
