//! Documents that are made from the code, and must not drift from it. To write them anew:
//! `UPDATE_DOCUMENTS=1 cargo test --test it documents`.

use std::{fs, path::PathBuf};

fn in_the_project(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn hold(path: &str, expected: &str) {
    let file = in_the_project(path);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&file, expected).expect("the document is written");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, expected, "{path} is out of date: UPDATE_DOCUMENTS=1 cargo test --test it documents");
}

#[test]
fn the_schema_of_the_configuration_is_up_to_date() {
    hold("config/passerelle.schema.json", &passerelle::config::json_schema());
}

#[test]
fn the_problems_are_all_told() {
    hold("docs/problems.md", &passerelle::http::docs::problems_markdown());
}

/// The part of a document that is made from the manifests.
fn hold_table(path: &str, table: &str) {
    const BEGIN: &str = "<!-- providers: made from the manifests -->\n";
    const END: &str = "<!-- end -->";
    let document = fs::read_to_string(in_the_project(path)).expect("a document");
    let (head, rest) = document.split_once(BEGIN).expect("the table's beginning");
    let (_, tail) = rest.split_once(END).expect("the table's end");
    hold(path, &format!("{head}{BEGIN}{table}{END}{tail}"));
}

#[test]
fn the_readme_tells_what_providers_can_do() {
    hold_table("README.md", &passerelle::capabilities::markdown_table());
}

#[test]
fn the_classes_of_writes_are_told() {
    hold_table("docs/reliability.md", &passerelle::capabilities::dedupe_table());
}

/// Every key that the types know is in the commented defaults.
#[test]
fn the_defaults_name_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&passerelle::config::json_schema()).expect("JSON");
    for section in ["Server", "Store", "Outbound", "Merchant", "Connection"] {
        let keys = schema["$defs"][section]["properties"].as_object().expect("a section").keys();
        for key in keys.filter(|key| *key != "metrics_listen") {
            assert!(
                passerelle::config::DEFAULTS.contains(&format!("{key} ="))
                    || passerelle::config::DEFAULTS.contains(&format!(".{key}.")),
                "{section}.{key}"
            );
        }
    }
}

#[test]
fn the_example_is_a_configuration() {
    let text = fs::read_to_string(in_the_project("config/example.toml")).expect("the example");
    let loaded = passerelle::config::load_text(&text, "config/example.toml").expect("no mistakes");
    assert_eq!(loaded.config.merchants["acme"].active, "main");
}
