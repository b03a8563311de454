//! Providers: their addresses must be public, and what they repeat of a credential is masked in the output of commands.

use std::{io::Write, process::Command};

use passerelle::{config::load_text, merchant::Gateway, upstream::Shared};

use crate::{
    bed::merchant_of,
    canary,
    stand_in::{StandIn, json as json_answer},
};

/// The output of a check is often kept by the machine that runs it.
#[tokio::test]
async fn s44_a_check_masks_the_credential_that_a_provider_repeats() {
    let body = format!(r#"{{"error":{{"message":"Invalid API key: {}"}}}}"#, canary::VENDOR_SECRET);
    let vendor = StandIn::always(json_answer("401 Unauthorized", &body)).await;
    let mut configuration = tempfile::NamedTempFile::new().expect("a file");
    let text = "[outbound]\nallow_insecure = true\n".to_owned() + &merchant_of("acme", "lomi", &vendor.url(), "");
    configuration.write_all(text.as_bytes()).expect("it is written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_passerelle"));
    command.args(["check", "--probe", "--config"]).arg(configuration.path());
    let checked = tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it runs");
    let shown = [checked.stdout, checked.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(shown.contains("Invalid API key: ***"), "{shown}");
    assert!(!canary::shows_a_secret(&shown), "{shown}");
}

#[test]
fn s37_a_base_url_that_is_no_public_https_address_is_a_mistake_in_its_line() {
    for base_url in [
        "http://api.example.com",
        "file:///etc/passwd",
        "gopher://api.example.com",
        "https://api.example.com@evil.example",
        "https://user:password@api.example.com",
        "https://api.example.com/?to=evil",
        "https://127.0.0.1",
        "https://127.1",
        "https://0x7f.1",
        "https://2852039166",
        "https://[::1]",
        "https://[::ffff:169.254.169.254]",
        "https://0.0.0.0",
        "https://10.0.0.1",
        "https://172.16.0.1",
        "https://192.168.0.1",
        "https://100.64.0.1",
        "https://[fe80::1]",
        "https://[fc00::1]",
        "https://localhost.",
        "https://metadata.google.internal",
    ] {
        let text = merchant_of("acme", "lomi", base_url, "");
        let loaded = load_text(&text, "test.toml").expect("the form is right");
        let error = Gateway::resolve(&loaded, None, &Shared::default()).expect_err(base_url).to_string();
        assert!(error.contains("test.toml:7: `merchants.acme.connections.main.base_url`"), "{base_url}: {error}");
    }
}
