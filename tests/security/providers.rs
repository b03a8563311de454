//! Where the gateway sends requests: only to the address of the configuration, and only to one that is public.

use passerelle::{config::load_text, merchant::Gateway, upstream::Shared};

use crate::bed::merchant_of;

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
