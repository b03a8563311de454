//! What the packages have in common with the gateway: the configuration that they install, and how long they let it stop. The
//! packages themselves are checked by `packaging/check`.

use std::{fs, path::PathBuf, process::Command};

use passerelle::config::load_text;
use serde_json::Value;

/// What the gateway needs at most to stop, in seconds, by the defaults: as `docs/operating.md` says in its table of signals.
fn drain() -> u64 {
    let server = load_text("", "test.toml").expect("the defaults").config.server;
    (server.stop_notice + server.stop_timeout).as_secs() + 5 + 1
}

/// What the service manager or the orchestrator needs besides.
const MARGIN: u64 = 5;

fn packaging(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(packaging(path)).expect("a file of the packages")
}

/// The number after a key at the beginning of a line.
fn number(path: &str, key: &str) -> u64 {
    let text = text(path);
    let value = text.lines().find_map(|line| line.strip_prefix(key)).expect("the key");
    value.trim().parse().expect("a number")
}

#[test]
fn the_configuration_that_the_packages_install_has_no_mistakes() {
    let mut check = Command::new(env!("CARGO_BIN_EXE_passerelle"));
    let checked = check.args(["check", "--config"]).arg(packaging("passerelle.toml")).output().expect("it runs");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(checked.stderr.is_empty(), "without a warning: {}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn no_package_ends_a_gateway_that_still_drains() {
    let chart = "helm/passerelle/values.yaml";
    assert!(number("passerelle.service", "TimeoutStopSec=") >= drain() + MARGIN);
    assert!(number(chart, "terminationGracePeriodSeconds:") >= drain() + MARGIN);
    let schema: Value = serde_json::from_str(&text("helm/passerelle/values.schema.json")).expect("JSON");
    let least = &schema["properties"]["terminationGracePeriodSeconds"]["minimum"];
    assert!(least.as_u64().is_some_and(|least| least >= drain() + MARGIN), "the chart accepts {least}");
}

/// With socket activation, the gateway is found where it was without.
#[test]
fn the_sockets_of_the_units_have_the_addresses_of_the_configuration() {
    let configuration: toml_edit::DocumentMut = text("passerelle.toml").parse().expect("TOML");
    for (unit, section) in [("passerelle.socket", "server"), ("passerelle-operator.socket", "operator")] {
        let address = configuration[section]["listen"].as_str().expect("an address");
        assert!(
            text(unit).lines().any(|line| line == format!("ListenStream={address}")),
            "{unit} and {section}.listen"
        );
    }
}
