//! A reload says what it changed, and what needs a restart.

use super::process::{ACME, Gateway, SERVER};

fn configuration() -> String {
    format!("{SERVER}{ACME}")
}

#[test]
fn a_reload_logs_what_was_changed_and_serves_it() {
    let gateway = Gateway::start(&configuration());
    assert!(gateway.merchant("sk_acme_0123456789abcdef").contains("\"connection\":\"main\""));
    assert_eq!(gateway.reload(), ["INFO the configuration was reloaded; nothing was changed"]);

    gateway.write("key", "sk_rotated_0123456789abc");
    let beta = "[merchants.beta]\napi_keys = [\"sk_beta\"]\nactive = \"m\"\n\
                connections.m = { provider = \"lomi\", credentials = { api_key = \"beta_secret\" } }\n";
    gateway.write("passerelle.toml", &(configuration().replace("\"main\"", "\"new\"") + beta));
    let lines = gateway.reload();
    let changes: Vec<&String> = lines.iter().filter(|line| line.starts_with("INFO")).collect();
    assert_eq!(
        changes,
        [
            "INFO merchants.acme.active: main → new",
            "INFO merchants.acme.api_keys: changed",
            "INFO merchants.beta: added",
            "INFO the configuration was reloaded; changes: 3",
        ]
    );
    for secret in ["sk_rotated_0123456789abc", "sk_beta", "beta_secret"] {
        assert!(!lines.join("\n").contains(secret), "{lines:?}");
    }
    assert!(gateway.merchant("sk_rotated_0123456789abc").contains("\"connection\":\"new\""));
    assert!(gateway.merchant("sk_acme_0123456789abcdef").starts_with("HTTP/1.1 401"));
}

#[test]
fn what_needs_a_restart_is_a_warning_at_each_reload_and_not_applied() {
    let gateway = Gateway::start(&configuration());
    let changed = configuration()
        .replace("127.0.0.1:0\"", "127.0.0.1:1\"\nmax_connections = 9\nmax_body = 1000")
        .replace("[merchants.acme]", "keep_answers = \"1h\"\n[operator]\nlisten = \"127.0.0.1:2\"\n[merchants.acme]");
    gateway.write("passerelle.toml", &changed);
    let not_applied =
        |change: &str| format!("WARN {change}; this needs a restart, and the gateway keeps what it was started with");
    let pending = [
        not_applied("operator: added"),
        not_applied("server.listen: 127.0.0.1:0 → 127.0.0.1:1"),
        not_applied("server.max_connections: 4096 → 9"),
        not_applied("store.keep_answers: unset → 1h"),
    ];
    let mut first = pending.to_vec();
    first.insert(2, "INFO server.max_body: 1048576 → 1000".to_owned());
    first.push("INFO the configuration was reloaded; changes: 1; changes that need a restart: 4".to_owned());
    assert_eq!(gateway.reload(), first);
    let mut second = pending.to_vec();
    second.push("INFO the configuration was reloaded; changes: 0; changes that need a restart: 4".to_owned());
    assert_eq!(gateway.reload(), second);

    gateway.write("passerelle.toml", "[server]\nlisten = 7\n");
    let refused = gateway.reload();
    assert!(refused[0].starts_with("ERROR the configuration has a mistake and was not reloaded"), "{refused:?}");
    gateway.write("passerelle.toml", &configuration());
    assert_eq!(
        gateway.reload(),
        ["INFO server.max_body: 1000 → 1048576", "INFO the configuration was reloaded; changes: 1"]
    );
    assert!(gateway.merchant("sk_acme_0123456789abcdef").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_key_is_rotated_without_a_restart() {
    let digest = |key: &str| data_encoding::HEXLOWER.encode(&passerelle::merchant::digest_of(key));
    let entry = |name: &str, more: &str| {
        format!("{{ name = \"{name}\", sha256 = \"{}\"{more} }}", digest(&format!("sk_{name}")))
    };
    let with = |keys: &[String]| configuration().replace("{ file = \"key\" }", &keys.join(", "));
    let is_accepted =
        |gateway: &Gateway| ["sk_old", "sk_new"].map(|key| gateway.merchant(key).starts_with("HTTP/1.1 200"));
    let changed = ["INFO merchants.acme.api_keys: changed", "INFO the configuration was reloaded; changes: 1"];

    let gateway = Gateway::start(&with(&[entry("old", "")]));
    assert_eq!(is_accepted(&gateway), [true, false]);
    gateway.write("passerelle.toml", &with(&[entry("old", ""), entry("new", "")]));
    assert_eq!(gateway.reload(), changed);
    assert_eq!(is_accepted(&gateway), [true, true]);

    // A life and scopes are changes as well.
    let ended = entry("old", ", expires = \"2020-01-01T00:00:00Z\"");
    gateway.write("passerelle.toml", &with(&[ended.clone(), entry("new", "")]));
    let lines = gateway.reload();
    assert!(lines[0].starts_with("WARN ") && lines[0].contains("the key has expired"), "{lines:?}");
    assert_eq!(lines[1..], changed);
    assert_eq!(is_accepted(&gateway), [false, true]);
    gateway.write("passerelle.toml", &with(&[ended, entry("new", ", scopes = [\"write\"]")]));
    let lines = gateway.reload();
    assert!(lines[0].starts_with("WARN a client used a key that has expired, and got 401; "), "{lines:?}");
    assert_eq!(lines[2..], changed);
    assert!(gateway.merchant("sk_new").starts_with("HTTP/1.1 403"));

    gateway.write("passerelle.toml", &with(&[entry("new", "")]));
    assert_eq!(gateway.reload(), changed);
    assert_eq!(is_accepted(&gateway), [false, true]);
}
