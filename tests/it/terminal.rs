//! The command line: its output, its messages and its exit codes.

use std::process::Output;

use assert_cmd::Command;

use crate::support::Gateway;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("passerelle").expect("the binary");
    command.env_clear().args(arguments).output().expect("it runs")
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn file(text: &str) -> tempfile::NamedTempFile {
    use std::io::Write;
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("the file is written");
    file
}

#[test]
fn help_names_every_command_with_examples_and_exit_codes() {
    let help = run(&["--help"]);
    assert!(help.status.success());
    for word in [
        "serve",
        "check",
        "providers",
        "explain",
        "operations",
        "audit",
        "store",
        "keys",
        "openapi",
        "twin",
        "Exit codes",
        "Examples",
    ] {
        assert!(out(&help).contains(word), "{word}");
    }
}

#[test]
fn providers_are_listed_as_a_table_and_as_json() {
    let table = out(&run(&["providers"]));
    for word in ["bitnob v2", "lomi", "overdue invoices", "emulated"] {
        assert!(table.contains(word), "{table}");
    }
    assert!(!table.contains('\u{1b}') && !table.contains('─'), "plain columns in a pipe: {table}");
    let columns = |line: &str| line.split("  ").map(str::trim).filter(|column| !column.is_empty()).count();
    let rows: Vec<usize> = table.lines().take_while(|line| !line.is_empty()).map(columns).collect();
    assert!(rows.len() > 10 && rows.iter().all(|row| *row == rows[0]), "each row has every column: {table}");
    let one = out(&run(&["providers", "lomi"]));
    assert!(one.contains("address.country") && one.contains("generation v1 cannot block a customer"), "{one}");
    let create = one.lines().find(|line| line.trim_start().starts_with("create")).unwrap_or_default();
    assert!(create.contains("search"), "the dedupe class of the create: {one}");
    let json: serde_json::Value = serde_json::from_str(&out(&run(&["providers", "--json"]))).expect("JSON");
    let generations = passerelle_providers::VENDORS.iter().map(|vendor| vendor.manifests.len()).sum::<usize>();
    assert!(json.as_array().is_some_and(|all| all.len() == generations));
    let unknown = run(&["providers", "lomy"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(err(&unknown).contains("did you mean `lomi`?"), "{}", err(&unknown));
}

#[test]
fn explain_prints_the_request_that_would_be_sent() {
    let body = r#"{"name":"Awa Diop","email":"awa@example.com","phone":"+2348012345678"}"#;
    let explained = out(&run(&["explain", "--provider", "bitnob", "create", body]));
    assert!(explained.starts_with("POST https://api.bitnob.co/api/v1/customers\n"), "{explained}");
    assert!(
        explained.contains("authorization: Bearer ***") && explained.contains(r#""countryCode":"+234""#),
        "{explained}"
    );
    let json = out(&run(&["explain", "--json", "--provider", "lomi", "list", r#"{"limit":5}"#]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["requests"][0]["url"], "https://api.lomi.africa/v1/customers?limit=5&page=1");
    let wrong = run(&["explain", "--provider", "lomi", "create", r#"{"nmae":"Awa"}"#]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(err(&wrong).contains("/nmae: is not a field that can be written"), "{}", err(&wrong));
    let missing = run(&["explain", "--provider", "lomi", "block", r#"{"id":"b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"}"#]);
    assert!(err(&missing).contains("generation v1 cannot block a customer"), "{}", err(&missing));
}

/// What a gateway refuses is refused, unless the policy says otherwise.
#[test]
fn explain_follows_the_loss_policy() {
    let arguments =
        ["explain", "--provider", "modempay", "create", r#"{"name":"Awa Diop","address":{"city":"Banjul"}}"#];
    let refused = run(&arguments);
    assert_eq!((refused.status.code(), out(&refused)), (Some(1), String::new()));
    assert!(err(&refused).contains("address.city") && err(&refused).contains("--loss drop"), "{}", err(&refused));
    let shown = out(&run(&[&arguments[..], &["--loss", "drop"]].concat()));
    assert!(shown.contains("address.city lost") && shown.contains(r#""name":"Awa Diop""#), "{shown}");
    assert_eq!(run(&[&arguments[..], &["--loss", "some"]].concat()).status.code(), Some(2));
    let unknown = err(&run(&["explain", "--provider", "lomi", "create", r#"{"x":1,"y":2}"#]));
    let each =
        ["2 fields are wrong", "/x: is not a field that can be written", "/y: is not a field that can be written"];
    assert_eq!(
        unknown.lines().collect::<Vec<_>>(),
        each.map(|line| format!("error: {line}")),
        "each line has the prefix"
    );
}

#[test]
fn explain_reads_a_command_from_stdin_and_from_a_file() {
    let command = r#"{"name":"Awa Diop"}"#;
    let expected = out(&run(&["explain", "--provider", "lomi", "create", command]));
    assert!(expected.contains("Awa Diop"), "{expected}");
    let mut explain = Command::cargo_bin("passerelle").expect("the binary");
    let of_stdin = explain.env_clear().args(["explain", "--provider", "lomi", "create", "-"]).write_stdin(command);
    assert_eq!(out(&of_stdin.output().expect("it runs")), expected);
    let file = file(command);
    let named = format!("@{}", file.path().display());
    assert_eq!(out(&run(&["explain", "--provider", "lomi", "create", &named])), expected);
    let missing = run(&["explain", "--provider", "lomi", "create", "@no-such-file"]);
    assert!(err(&missing).contains("no-such-file cannot be read: "), "{}", err(&missing));
}

#[test]
fn check_reports_every_mistake_with_its_line() {
    let file = file(
        "[merchants.acme]\napi_keys = [{ env = \"NO_SUCH_VARIABLE\" }]\nactive = \"mian\"\nregion = \"Senegal\"\nswitch.reference = \"user_id\"\n\
         [merchants.acme.connections.main]\nprovider = \"lomy\"\n\n[merchants.acme.connections.old]\nprovider = \"modempay\"\n\
         credentials = { secret = \"x\" }\nbase_url = \"http://127.0.0.1\"\n",
    );
    let path = file.path().to_str().expect("a path");
    let checked = run(&["check", "--config", path]);
    assert_eq!(checked.status.code(), Some(1));
    let messages = err(&checked);
    for mistake in [
        ":2: `merchants.acme.api_keys` names the environment variable NO_SUCH_VARIABLE, which is not set",
        ":3: `merchants.acme.active` names no connection; did you mean `main`?",
        ":4: `merchants.acme.region` is not an ISO 3166-1 alpha-2 code",
        ":5: `merchants.acme.switch.reference` must name a metadata key, such as \"metadata.user_id\"",
        ":7: `merchants.acme.connections.main.provider` is not a provider; did you mean `lomi`?",
        ":11: `merchants.acme.connections.old.credentials.secret` is not a credential of modempay; did you mean `secret_key`?",
    ] {
        assert!(messages.contains(mistake), "{mistake}\n{messages}");
    }
}

/// A create that a partial list does not show may have been executed.
#[test]
fn check_refuses_to_send_creates_again_where_the_providers_list_is_partial() {
    let file = file(
        "[merchants.acme]\napi_keys = [\"sk_literal\"]\nactive = \"main\"\n[merchants.acme.connections.main]\nprovider = \"lomi\"\n\
         credentials = { api_key = \"x\" }\non_ambiguous = \"resend_after_lag\"\n\
         [merchants.acme.connections.other]\nprovider = \"modempay\"\ncredentials = { secret_key = \"x\" }\n\
         on_ambiguous = \"resend_after_lag\"\n",
    );
    let checked = run(&["check", "--config", file.path().to_str().expect("a path")]);
    assert_eq!(checked.status.code(), Some(1));
    let mistake = ":7: `merchants.acme.connections.main.on_ambiguous` cannot be \"resend_after_lag\" at lomi: its list \
                   shows only customers with completed or refunded transactions";
    assert!(err(&checked).contains(mistake), "{}", err(&checked));
    assert!(!err(&checked).contains("connections.other.on_ambiguous"), "{}", err(&checked));
}

#[test]
fn check_accepts_a_valid_configuration_and_warns_of_literal_secrets() {
    let file = file(
        "[merchants.acme]\napi_keys = [\"sk_literal_0123456789abcdef\"]\nactive = \"main\"\n[merchants.acme.connections.main]\nprovider = \"lomi\"\n\
         credentials = { api_key = \"lomi_sk_test_x\" }\n",
    );
    let checked = run(&["check", "--config", file.path().to_str().expect("a path")]);
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    assert!(out(&checked).contains("1 merchant, 1 connection, no mistakes"));
    assert_eq!(err(&checked).matches("warning").count(), 2, "{}", err(&checked));
    assert!(!err(&checked).contains("sk_literal_0123456789abcdef") && !err(&checked).contains("lomi_sk_test_x"));
}

#[test]
fn a_new_key_is_shown_with_its_digest() {
    let made: serde_json::Value = serde_json::from_str(&out(&run(&["keys", "new", "--json"]))).expect("JSON");
    let key = made["key"].as_str().expect("a key");
    let digest = data_encoding::HEXLOWER.encode(&passerelle::merchant::digest_of(key));
    assert_eq!(made["sha256"], digest);
    assert_ne!(out(&run(&["keys", "new"])), out(&run(&["keys", "new"])));
    assert!(key.starts_with("sk_"), "{key}");
}

#[test]
fn a_new_key_has_the_prefix_and_the_terms_that_were_asked_for() {
    let asked = ["keys", "new", "--prefix", "pk.", "--name", "checkout", "--scopes", "read,write"];
    let asked = [&asked[..], &["--expires", "2999-01-01T01:00:00+01:00"]].concat();
    let shown = out(&run(&asked));
    let entry = shown.lines().last().expect("a line").trim().to_owned();
    assert!(shown.starts_with("pk."), "{shown}");
    let file = file(&format!(
        "[merchants.acme]\n{entry}\nactive = \"main\"\nconnections.main = {{ provider = \"lomi\", sandbox = true }}\n"
    ));
    let checked = run(&["check", "--config", file.path().to_str().expect("a path")]);
    assert_eq!((checked.status.code(), err(&checked)), (Some(0), String::new()), "what is printed can be pasted");

    let made: serde_json::Value = serde_json::from_str(&out(&run(&[&asked[..], &["--json"]].concat()))).expect("JSON");
    let digest = data_encoding::HEXLOWER.encode(&passerelle::merchant::digest_of(made["key"].as_str().expect("a key")));
    let toml = format!(
        "{{ name = \"checkout\", sha256 = \"{digest}\", scopes = [\"read\", \"write\"], expires = \"2999-01-01T00:00:00Z\" }}"
    );
    assert_eq!(made["toml"], toml);
    assert_eq!((&made["name"], &made["expires"]), (&"checkout".into(), &"2999-01-01T00:00:00Z".into()));
    assert_eq!(made["scopes"], serde_json::json!(["read", "write"]));

    for (wrong, hint) in [
        (["--prefix", "a b"], "A-Z, a-z, 0-9"),
        (["--name", "a/b"], "A-Z, a-z, 0-9"),
        (["--scopes", "reed"], "read, write, admin"),
        (["--scopes", "read"], "--name"),
        (["--expires", "tomorrow"], "RFC 3339"),
        (["--expires", "2020-01-01T00:00:00Z"], "is in the past"),
    ] {
        let refused = run(&[&["keys", "new"][..], &wrong].concat());
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}");
        assert!(err(&refused).contains(hint), "{wrong:?}: {}", err(&refused));
    }
}

#[test]
fn shells_and_manuals_know_every_command() {
    for (shell, begins) in [("bash", "_passerelle()"), ("zsh", "#compdef passerelle"), ("fish", "# Print an optspec")] {
        let script = run(&["completions", shell]);
        assert!(script.status.success() && out(&script).starts_with(begins), "{shell}: {}", out(&script));
        for word in ["operations", "rehearse", "accept-restore", "probe"] {
            assert!(out(&script).contains(word), "{shell}: {word}");
        }
    }
    let unknown = run(&["completions", "tcsh"]);
    assert_eq!(unknown.status.code(), Some(2));
    let page = out(&run(&["man"]));
    assert!(page.contains(".TH passerelle 1") && page.contains("PASSERELLE_CONFIG"), "{page}");
    let folder = tempfile::tempdir().expect("a folder");
    assert!(run(&["man", "--out", folder.path().to_str().expect("a path")]).status.success());
    for name in ["passerelle.1", "passerelle-check.1", "passerelle-switch-plan.1", "passerelle-store-backup.1"] {
        let page = std::fs::read_to_string(folder.path().join(name)).expect(name);
        assert!(page.contains(&format!(".TH {} 1", name.trim_end_matches(".1"))), "{page}");
    }
    assert!(!folder.path().join("passerelle-man.1").exists(), "hidden commands have no page");
    let nowhere = run(&["man", "--out", "/no/such/folder"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(err(&nowhere).starts_with("error: /no/such/folder cannot be written: "), "{}", err(&nowhere));
}

#[test]
fn openapi_prints_the_contract() {
    assert_eq!(out(&run(&["openapi"])), passerelle::http::openapi::json());
}

#[test]
fn the_sandbox_is_only_served_on_loopback() {
    let refused = run(&["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(err(&refused).contains("only served on loopback"), "{}", err(&refused));
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    assert_eq!(run(&["explain", "create"]).status.code(), Some(2));
    let region = run(&["twin", "--provider", "lomi", "--region", "Senegal"]);
    assert_eq!((region.status.code(), err(&region).contains("`Senegal` is not an ISO 3166-1")), (Some(2), true));
    let missing = run(&["serve", "--config", "/no/such/file.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(err(&missing).contains("/no/such/file.toml cannot be read"), "{}", err(&missing));
}

/// Whatever finds the mistake: the parser of the arguments, or the command.
#[test]
fn every_error_begins_alike_and_wrong_usage_says_where_help_is() {
    for (arguments, first, is_usage) in [
        (&["serve", "--colour"][..], "error: unexpected argument '--colour' found", true),
        (&["fly"], "error: unrecognized subcommand 'fly'", true),
        (&["operations", "--outcome", "lost"], "error: invalid value 'lost' for '--outcome <OUTCOME>'", true),
        (&["providers", "lomo"], "error: `lomo` is not a provider; did you mean `lomi`?", true),
        (&["serve", "--listen", "0.0.0.0:0"], "error: ", true),
        (&["serve", "--config", "/no/such/file.toml"], "error: /no/such/file.toml cannot be read", false),
    ] {
        let failed = run(arguments);
        let text = err(&failed);
        assert!(text.starts_with(first) && text.matches("error:").count() == 1, "{arguments:?}: {text}");
        assert_eq!(failed.status.code(), Some(if is_usage { 2 } else { 1 }), "{arguments:?}");
        assert_eq!(text.ends_with("\n\nFor more information, try '--help'.\n"), is_usage, "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn operations_and_audit_can_be_read_while_a_gateway_serves() {
    let folder = tempfile::tempdir().expect("a folder");
    let configuration = format!(
        "[store]\nurl = \"sqlite:{}\"\n[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n\
         connections.main = {{ provider = \"lomi\", sandbox = true }}\n",
        folder.path().join("store.db").display()
    );
    let file = file(&configuration);
    let run_with_config = |arguments: &[&str]| {
        let path = file.path().to_str().expect("a path");
        run(&[&["--config", path], arguments].concat())
    };
    let missing = run_with_config(&["operations"]);
    assert!(!missing.status.success() && err(&missing).contains("there is no store at"), "{}", err(&missing));
    let gateway = Gateway::start(&configuration).await.with_key("sk_acme");
    let awa = gateway.post("/v1/customers", serde_json::json!({ "name": "Awa Diop" })).await;
    let id = awa.header("x-operation-id");
    assert!(out(&run_with_config(&["operations"])).contains(id));
    let json: serde_json::Value =
        serde_json::from_str(&out(&run_with_config(&["operations", "--json"]))).expect("JSON");
    assert_eq!((&json["data"][0]["id"], &json["data"][0]["outcome"]), (&id.into(), &"done".into()));
    assert!(out(&run_with_config(&["operations", "--outcome", "unknown"])).contains("no such writes"));
    let mistyped = run_with_config(&["operations", "--merchant", "acne"]);
    assert_eq!(mistyped.status.code(), Some(1));
    assert!(
        err(&mistyped).contains("has no merchant `acne`, and no write is of one; did you mean `acme`?"),
        "{}",
        err(&mistyped)
    );
    let audit = out(&run_with_config(&["audit"]));
    let events: Vec<serde_json::Value> = audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&events[0]["event"], &events[1]["event"]), (&"intent".into(), &"done".into()), "{audit}");
    assert!(!audit.contains("Awa"), "the audit has no data of a customer: {audit}");
    assert_eq!(out(&run_with_config(&["audit", "verify"])), "2 records, none missing, none changed\n");
    let mut command = Command::cargo_bin("passerelle").expect("the binary");
    // A sandbox that runs on this machine would answer.
    command.env_clear().env("PASSERELLE_OPERATOR__LISTEN", "127.0.0.1:9").arg("operations");
    let sandbox = command.output().expect("it runs");
    assert!(err(&sandbox).contains("GET /v1/operations"), "{}", err(&sandbox));
}

#[test]
fn an_invalid_store_is_reported_with_its_line() {
    let merchant = "[merchants.acme]\napi_keys = [\"sk_acme\"]\nactive = \"main\"\n\
                    connections.main = { provider = \"lomi\", sandbox = true }\n";
    let wrong = file(&format!("{merchant}[store]\nurl = \"mysql://me:secret@db/x\"\n"));
    let messages = err(&run(&["check", "--config", wrong.path().to_str().expect("a path")]));
    assert!(messages.contains(":6: `store.url` must be `sqlite:FILE`") && !messages.contains("secret"), "{messages}");
    let key = "0".repeat(64);
    let open = file(&format!("{merchant}[store]\nurl = \"postgres://me:secret@db/x\"\nkey = \"{key}\"\n"));
    let messages = err(&run(&["check", "--config", open.path().to_str().expect("a path")]));
    assert!(messages.contains(":6: `store.url` holds a password") && !messages.contains("secret"), "{messages}");
    let hasty = file(&format!("{merchant}[store]\nurl = \"sqlite:a\"\nlease = \"1s\"\n[server]\ndeadline = \"6m\"\n"));
    let messages = err(&run(&["check", "--config", hasty.path().to_str().expect("a path")]));
    assert!(messages.contains("`store.lease` must be from \"2s\" to \"10m\""), "{messages}");
    assert!(messages.contains(":9: `server.deadline` must not be longer than \"5m\""), "{messages}");
}

/// Kubernetes sets such variables for a service that is named `passerelle`.
#[test]
fn variables_of_kubernetes_do_not_keep_the_gateway_from_starting() {
    let check = |variables: &[(&str, &str)]| {
        let mut command = Command::cargo_bin("passerelle").expect("the binary");
        command.env_clear().envs(variables.iter().copied()).arg("check").output().expect("it runs")
    };
    let others = [("PASSERELLE_PORT", "tcp://10.0.0.7:8080"), ("PASSERELLE_SERVICE_HOST", "10.0.0.7")];
    let checked = check(&others);
    assert!(checked.status.success(), "{}", err(&checked));
    let warning = "warning: these environment variables set nothing: PASSERELLE_PORT, PASSERELLE_SERVICE_HOST;";
    assert!(err(&checked).contains(warning), "{}", err(&checked));
    let wrong = check(&[("PASSERELLE_SERVER__DEADLINE", "5")]);
    assert_eq!(wrong.status.code(), Some(1));
    let expected = "PASSERELLE_SERVER__DEADLINE: `server.deadline` must be a duration above zero, such as \"10s\"";
    assert!(err(&wrong).contains(expected), "{}", err(&wrong));
    assert_eq!(err(&check(&[("PASSERELLE_LOG", "warn")])), "");
}

/// The reader of the log can end before the gateway.
#[cfg(unix)]
#[test]
fn a_gateway_whose_log_has_no_reader_any_more_still_stops() {
    use std::{
        io::{BufRead as _, BufReader},
        process::Stdio,
        time::Duration,
    };

    let configuration = file(
        "[server]\nlisten = \"127.0.0.1:0\"\n[store]\nurl = \"sqlite::memory:\"\n[merchants.acme]\napi_keys = [\"sk_acme\"]\n\
         active = \"main\"\nregion = \"SN\"\nconnections.main = { provider = \"lomi\", sandbox = true }\n",
    );
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_passerelle"));
    command.args(["serve", "--config"]).arg(configuration.path()).env_remove("PASSERELLE_LOG");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("a log")).lines();
    assert!(log.by_ref().map_while(Result::ok).any(|line| line.contains("serving on http://")));
    drop(log);
    let id = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("the signal is sent");
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait()));
    let Ok(status) = ended.recv_timeout(Duration::from_mins(1)) else {
        rustix::process::kill_process(id, rustix::process::Signal::KILL).expect("the signal is sent");
        unreachable!("the gateway does not end");
    };
    assert!(status.expect("a status").success());
}
