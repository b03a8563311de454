//! `passerelle check` reports all mistakes of a configuration at once, and finds the usual file.

use assert_cmd::Command;
use tempfile::TempDir;

use crate::terminal::{err, out};

/// A folder with a `passerelle.toml` of this text.
fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("passerelle.toml"), text).expect("a file");
    folder
}

/// `passerelle check` in a folder.
fn check(folder: &TempDir) -> Command {
    let mut command = Command::cargo_bin("passerelle").expect("the binary");
    command.env_clear().current_dir(folder.path()).arg("check");
    command
}

fn mistakes(folder: &TempDir, variables: &[(&str, &str)]) -> Vec<String> {
    let checked = check(folder).envs(variables.iter().copied()).output().expect("it runs");
    assert_eq!(checked.status.code(), Some(1), "{}", out(&checked));
    let text = err(&checked);
    text.lines().map(|line| line.strip_prefix("error: ").expect("each line is a mistake").to_owned()).collect()
}

/// Each line that was reported begins with the text that was expected.
fn assert_begin(reported: &[String], expected: &[&str]) {
    assert_eq!(reported.len(), expected.len(), "{reported:#?}");
    for (reported, expected) in reported.iter().zip(expected) {
        assert!(reported.starts_with(expected), "{expected}\n{reported}");
    }
}

#[test]
fn values_that_cannot_be_read_do_not_hide_other_mistakes() {
    let folder = folder(
        "[server]\nlisten = 8080\nmax_body = -1\n\n[merchants.acme]\napi_keys = [\"sk_0123456789abcdef01234567\"]\n\
         active = \"mian\"\non_loss = \"rejct\"\nswich = {}\n[merchants.acme.connections.main]\nprovider = \"lomii\"\n\
         timeout = \"10 parsecs\"\ncredentials = { api_key = \"x\" }\n",
    );
    let reported = mistakes(&folder, &[("PASSERELLE_SERVER__DEADLINE", "soon")]);
    let expected = [
        "passerelle.toml:2: `server.listen` must be a string, not a number",
        "passerelle.toml:3: `server.max_body` must be a whole number that is not negative",
        "passerelle.toml:7: `merchants.acme.active` names no connection; did you mean `main`?",
        "passerelle.toml:8: `merchants.acme.on_loss` cannot be `rejct`; did you mean `reject`?",
        "passerelle.toml:9: `merchants.acme.swich` is not a key; did you mean `switch`?",
        "passerelle.toml:11: `merchants.acme.connections.main.provider` is not a provider; did you mean `lomi`?",
        "passerelle.toml:12: `merchants.acme.connections.main.timeout` must be a duration above zero",
        "environment variable PASSERELLE_SERVER__DEADLINE: `server.deadline` must be a duration above zero",
    ];
    assert_begin(&reported, &expected);
}

#[test]
fn a_mistyped_key_that_is_needed_does_not_hide_other_mistakes_of_its_table() {
    let folder = folder(
        "[merchants.acme]\napi_keys = [\"sk_0123456789abcdef01234567\"]\nactiv = \"main\"\n\
         [merchants.acme.connections.main]\nprovidr = \"lomi\"\ntimeout = \"10 parsecs\"\n\
         credentials = { api_kee = \"x\" }\n",
    );
    let reported = mistakes(&folder, &[]);
    let expected = [
        "passerelle.toml:3: `merchants.acme.activ` is not a key; did you mean `active`?",
        "passerelle.toml:5: `merchants.acme.connections.main.providr` is not a key; did you mean `provider`?",
        "passerelle.toml:6: `merchants.acme.connections.main.timeout` must be a duration above zero",
        "passerelle.toml:7: `merchants.acme.connections.main.credentials",
    ];
    assert_begin(&reported, &expected);
}

#[test]
fn a_wrong_element_of_a_list_does_not_hide_other_mistakes() {
    let folder = folder(
        "[server]\ndead_line = \"30s\"\ndeadline = \"30\"\n\
         [merchants.acme]\napi_keys = [{ sha256 = \"abc\" }, { name = \"old\", sha256 = \"def\" }, { env = \"NO_SUCH_KEY\" }]\n\
         active = \"mian\"\nregion = \"SENEGAL\"\n\
         [merchants.acme.connections.main]\nprovider = \"lomii\"\ncredentials = { api_key = \"x\" }\n",
    );
    let reported = mistakes(&folder, &[]);
    let expected = [
        "passerelle.toml:2: `server.dead_line` is not a key",
        "passerelle.toml:3: `server.deadline` must be a duration above zero",
        "passerelle.toml:5: `merchants.acme.api_keys.0`",
        "passerelle.toml:5: `merchants.acme.api_keys.1`",
        "passerelle.toml:5: `merchants.acme.api_keys` names the environment variable NO_SUCH_KEY",
        "passerelle.toml:6: `merchants.acme.active` names no connection",
        "passerelle.toml:7: `merchants.acme.region`",
        "passerelle.toml:9: `merchants.acme.connections.main.provider`",
    ];
    assert_begin(&reported, &expected);
}

#[test]
fn what_follows_from_a_mistake_is_not_reported_as_another_one() {
    let without_provider = folder(
        "[merchants.acme]\napi_keys = [\"sk_0123456789abcdef01234567\"]\nactive = \"main\"\n\
         [merchants.acme.connections.main]\ncredentials = { api_key = \"x\" }\n",
    );
    assert_eq!(
        mistakes(&without_provider, &[]),
        ["passerelle.toml:4: `merchants.acme.connections.main.provider` is missing"]
    );
    let wrong_active = folder("[merchants.acme]\napi_keys = []\nactive = 1\nconnections = {}\n");
    let reported = mistakes(&wrong_active, &[]);
    assert_eq!(reported.len(), 1, "{reported:#?}");
    assert!(reported[0].starts_with("passerelle.toml:3: `merchants.acme.active` must be a string"), "{reported:#?}");
}

#[test]
fn the_usual_file_is_found_in_the_working_directory() {
    let folder = folder(
        "[merchants.acme]\napi_keys = [\"sk_0123456789abcdef01234567\"]\nactive = \"main\"\n\
         [merchants.acme.connections.main]\nprovider = \"lomi\"\ncredentials = { api_key = \"x\" }\n",
    );
    let found = check(&folder).output().expect("it runs");
    assert!(out(&found).starts_with("passerelle.toml: 1 merchant, 1 connection, no mistakes"), "{}", out(&found));
    std::fs::write(folder.path().join("other.toml"), "[server]\nlisten = 1\n").expect("a file");
    let named = check(&folder).args(["--config", "other.toml"]).output().expect("it runs");
    assert!(err(&named).contains("other.toml:2: `server.listen`"), "the named file wins: {}", err(&named));
    let elsewhere = check(&tempfile::tempdir().expect("a folder")).output().expect("it runs");
    assert!(out(&elsewhere).starts_with("the built-in sandbox:"), "{}", out(&elsewhere));
}

#[test]
fn a_program_gets_mistakes_and_warnings_with_their_lines() {
    let wrong = folder("[server]\nlisten = 1\n");
    let checked = check(&wrong).arg("--json").output().expect("it runs");
    assert_eq!((checked.status.code(), err(&checked)), (Some(1), String::new()));
    let report: serde_json::Value = serde_json::from_str(&out(&checked)).expect("JSON");
    assert_eq!(report["file"], "passerelle.toml");
    let mistakes = report["mistakes"].as_array().expect("mistakes");
    assert_eq!(mistakes.len(), 2, "{report}");
    assert_eq!(mistakes[0]["line"], 2);
    assert_eq!(mistakes[0]["message"], "`server.listen` must be a string, not a number");
    assert_eq!(mistakes[1]["line"], serde_json::Value::Null, "no merchant is configured: {report}");

    let valid = folder(
        "[merchants.acme]\napi_keys = [\"sk_0123456789abcdef01234567\"]\nactive = \"main\"\n\
         [merchants.acme.connections.main]\nprovider = \"lomi\"\nsandbox = true\n\
         [merchants.acme.connections.next]\nprovider = \"lomi\"\ncredentials = { api_key = \"x\" }\n",
    );
    let checked = check(&valid).arg("--json").output().expect("it runs");
    let report: serde_json::Value = serde_json::from_str(&out(&checked)).expect("JSON");
    assert_eq!((&report["connections"], &report["mistakes"]), (&2.into(), &serde_json::json!([])), "{report}");
    let lines: Vec<_> =
        report["warnings"].as_array().expect("warnings").iter().map(|one| one["line"].clone()).collect();
    assert_eq!(lines, [2, 9], "a key and a credential are written in the file: {report}");
    assert!(!out(&checked).contains("sk_0123456789"), "{}", out(&checked));

    let of_twin = folder(
        "[merchants.acme]\napi_keys = [\"sk_0123456789abcdef01234567\"]\nactive = \"main\"\n\
         [merchants.acme.connections.main]\nprovider = \"lomi\"\nsandbox = true\n",
    );
    let checked = check(&of_twin).args(["--json", "--probe"]).output().expect("it runs");
    let report: serde_json::Value = serde_json::from_str(&out(&checked)).expect("JSON");
    assert_eq!(report["probes"][0]["ok"], serde_json::Value::Null, "a twin is not called: {report}");
}

/// A port without a listener, a host name without an address, and a provider that never answers.
#[test]
fn a_probe_says_why_a_provider_cannot_be_reached_and_where() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let (gone, silent_at) = (format!("http://{gone}"), format!("http://{}", silent.local_addr().expect("its address")));
    let mut text =
        "[outbound]\nallow_insecure = true\n[merchants.acme]\napi_keys = [\"sk_0123456789abcdef01234567\"]\n\
                    active = \"gone\"\n"
            .to_owned();
    for (name, url) in [("gone", &*gone), ("unknown", "https://unknown.invalid"), ("silent", &*silent_at)] {
        text.push_str(&format!(
            "[merchants.acme.connections.{name}]\nprovider = \"lomi\"\nbase_url = \"{url}\"\ntimeout = \"200ms\"\n\
             credentials = {{ api_key = \"x\" }}\n"
        ));
    }
    let probed = check(&folder(&text)).arg("--probe").output().expect("it runs");
    for expected in [
        format!("acme.gone (lomi, {gone}): the provider could not be reached: it refused the connection; check the port"),
        "acme.unknown (lomi, https://unknown.invalid): the provider could not be reached: the name cannot be resolved (".to_owned(),
        format!("acme.silent (lomi, {silent_at}): the provider did not answer in time"),
    ] {
        assert!(out(&probed).contains(&expected), "{expected}\n{}", out(&probed));
    }
    assert!(err(&probed).contains("3 of 3 connections failed"), "{}", err(&probed));
}
