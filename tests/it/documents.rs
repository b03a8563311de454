//! Documents and parts of documents that are generated from the code. A test fails where one is out of date. To update
//! them: `UPDATE_DOCUMENTS=1 cargo test --test it documents`.

use std::{fs, path::PathBuf};

fn project_file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(crate) fn assert_up_to_date(path: &str, expected: &str) {
    let file = project_file(path);
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&file, expected).expect("the document is written");
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, expected, "{path} is out of date: UPDATE_DOCUMENTS=1 cargo test --test it documents");
}

#[test]
fn the_schema_of_the_configuration_is_up_to_date() {
    assert_up_to_date("config/passerelle.schema.json", &passerelle::config::json_schema());
}

#[test]
fn the_document_of_the_problems_is_up_to_date() {
    assert_up_to_date("docs/problems.md", &passerelle::http::docs::problems_markdown());
}

#[test]
fn the_document_of_the_metrics_is_up_to_date() {
    assert_up_to_date("docs/metrics.md", &passerelle::metrics::markdown());
}

/// Checks the part of a document that is generated from the manifests.
fn assert_table_up_to_date(path: &str, table: &str) {
    assert_part_up_to_date(path, "<!-- providers: made from the manifests -->\n", table);
}

/// Checks the part of a document between a line that begins it and `<!-- end -->`.
pub(crate) fn assert_part_up_to_date(path: &str, begin: &str, part: &str) {
    const END: &str = "<!-- end -->";
    let document = fs::read_to_string(project_file(path)).expect("a document");
    let (head, rest) = document.split_once(begin).expect("the part's beginning");
    let (_, tail) = rest.split_once(END).expect("the part's end");
    assert_up_to_date(path, &format!("{head}{begin}{part}{END}{tail}"));
}

/// R17: every code of a finding is documented.
#[test]
fn the_table_of_the_codes_of_a_switch_is_up_to_date() {
    let table = passerelle_providers::switch::codes_markdown();
    assert_part_up_to_date("docs/switching.md", "<!-- codes: made from the code -->\n", &table);
}

#[test]
fn the_table_of_capabilities_in_the_readme_is_up_to_date() {
    assert_table_up_to_date("README.md", &passerelle::capabilities::markdown_table());
}

#[test]
fn the_table_of_dedupe_classes_is_up_to_date() {
    assert_table_up_to_date("docs/reliability.md", &passerelle::capabilities::dedupe_table());
}

/// The commented defaults have every key of the configuration types.
#[test]
fn the_defaults_name_every_key() {
    let schema: serde_json::Value = serde_json::from_str(&passerelle::config::json_schema()).expect("JSON");
    for section in ["Server", "Operator", "Store", "Outbound", "Merchant", "MerchantSwitch", "Connection", "Traces"] {
        let keys = schema["$defs"][section]["properties"].as_object().expect("a section").keys();
        for key in keys.filter(|key| *key != "metrics_listen") {
            assert!(
                passerelle::config::DEFAULTS.contains(&format!("{key} ="))
                    || passerelle::config::DEFAULTS.contains(&format!(".{key}."))
                    || passerelle::config::DEFAULTS.contains(&format!(".{key}]")),
                "{section}.{key}"
            );
        }
    }
}

#[test]
fn the_example_is_a_configuration() {
    let text = fs::read_to_string(project_file("config/example.toml")).expect("the example");
    let loaded = passerelle::config::load_text(&text, "config/example.toml").expect("no mistakes");
    assert_eq!(loaded.config.merchants["acme"].active, "main");
}
