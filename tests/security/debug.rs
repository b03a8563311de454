//! S48: what the `Debug` output of the configuration shows, and that no secret can be serialized.

use passerelle::{
    config::{ApiKey, ClientKey, Secret, load_text},
    merchant::Gateway,
    upstream::Shared,
};
use passerelle_providers::model::auth::Credentials;
use secrecy::SecretString;
use serde::Serialize;

use crate::{bed::merchant_of, canary};

#[test]
fn s48_no_debug_output_of_the_configuration_shows_a_secret() {
    let text = format!(
        "[operator]\nlisten = \"127.0.0.1:0\"\nkeys = [\"{}\"]\n[store]\nurl = \"postgres://user:vendor_c4n4ry_password@db.example/x\"\n\
         key = \"{}\"\n[outbound]\nproxy = \"http://user:vendor_c4n4ry_proxy@proxy.example:3128\"\n{}\
         [merchants.acme.ingress.bitnob]\nclient_id = \"c1\"\nclient_secret = \"vendor_c4n4ry_ingress\"\n",
        canary::OPERATOR_KEY,
        "c4".repeat(32),
        merchant_of("acme", "lomi", "https://api.example.com", "")
    );
    let loaded = load_text(&text, "test.toml").expect("a configuration");
    let shared = Shared::default();
    let resolved = Gateway::resolve(&loaded, None, &shared).expect("a gateway");
    let shown = format!(
        "{:?} {:#?} {:?} {:#?} {:?} {:?}",
        loaded.config, loaded.config, resolved.gateway, resolved.gateway, loaded, resolved.warnings
    );
    assert_eq!(canary::found_in(&shown), None);
    assert!(!shown.contains(&"c4".repeat(32)), "the key of the store");
    assert!(shown.contains("acme") && shown.contains("lomi"), "the rest is shown: {shown}");
    let short = merchant_of("acme", "lomi", "https://api.example.com", "timeout = \"vendor_c4n4ry_typo\"");
    let mistake =
        load_text(&short.replace("credentials = {", "credentials = 7 # {"), "test.toml").expect_err("a mistake");
    assert_eq!(canary::found_in(&format!("{mistake} {mistake:?}")), None);
}

/// Does not compile for a type that implements `Serialize`, because the compiler then finds two implementations.
trait IsNotSerialize<Hint> {
    const CHECKED: () = ();
}
struct Other;
impl<T: ?Sized> IsNotSerialize<()> for T {}
impl<T: ?Sized + Serialize> IsNotSerialize<Other> for T {}

#[test]
fn s48_no_secret_can_be_serialized() {
    let () = <Secret as IsNotSerialize<_>>::CHECKED;
    let () = <ApiKey as IsNotSerialize<_>>::CHECKED;
    let () = <ClientKey as IsNotSerialize<_>>::CHECKED;
    let () = <SecretString as IsNotSerialize<_>>::CHECKED;
    let () = <Credentials as IsNotSerialize<_>>::CHECKED;
    let () = <Gateway as IsNotSerialize<_>>::CHECKED;
}
