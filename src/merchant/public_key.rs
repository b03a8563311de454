//! The key that the API reference fills in for its readers: one of a gateway that has nothing but sandboxes, which is public. No
//! other key is ever shown.

use secrecy::ExposeSecret;

use crate::config::{ApiKey, ClientKey, Config, Secret};

/// What the public keys of a sandbox begin with.
const PREFIX: &str = "sk_sandbox_";

/// The first public key of a gateway whose every connection is a sandbox, so that the key opens nothing but twins: the
/// configuration file has the key itself, and the key says that it is one of a sandbox. A key in the file has all scopes and no
/// end, so every operation can be tried with it.
pub(super) fn of(config: &Config) -> Option<String> {
    let mut keys = config.merchants.values().flat_map(|merchant| &merchant.api_keys);
    config.is_sandbox().then(|| keys.find_map(public))?
}

fn public(typed: &ClientKey) -> Option<String> {
    let ApiKey::Key(Secret::Literal(key)) = &typed.key else { return None };
    let key = key.expose_secret();
    // It becomes a part of a page, so it has no sign that a page must escape.
    let is_plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    (key.starts_with(PREFIX) && is_plain).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::{config::load_text, merchant::Gateway, upstream::Shared};

    /// The key that is shown for a merchant with these keys and connections.
    fn shown(keys: &str, connections: &str) -> Option<String> {
        let text = format!("[merchants.acme]\napi_keys = [{keys}]\nactive = \"main\"\n{connections}\n");
        let loaded = load_text(&text, "p.toml").expect("a configuration");
        let resolved = Gateway::resolve(&loaded, None, &Shared::default()).expect("no mistakes");
        resolved.gateway.public_key
    }

    const SANDBOX: &str = "connections.main = { provider = \"lomi\", sandbox = true }";
    const REAL: &str = "connections.new = { provider = \"lomi\", credentials.api_key = \"x\" }";

    #[test]
    fn the_key_of_a_sandbox_is_shown() {
        assert_eq!(shown("\"sk_sandbox_try\"", SANDBOX).as_deref(), Some("sk_sandbox_try"));
        assert_eq!(shown("\"sk_secret\", \"sk_sandbox_try\"", SANDBOX).as_deref(), Some("sk_sandbox_try"));
    }

    #[test]
    fn no_other_key_is_shown() {
        assert_eq!(shown("\"sk_sandbox_try\"", &format!("{SANDBOX}\n{REAL}")), None, "one connection is real");
        let another = "[merchants.shop]\napi_keys = [\"sk_shop\"]\nactive = \"new\"\n";
        assert_eq!(
            shown("\"sk_sandbox_try\"", &format!("{SANDBOX}\n{another}{REAL}")),
            None,
            "another merchant has a real one"
        );
        assert_eq!(shown("\"sk_secret\"", SANDBOX), None, "the key does not say that it is public");
        assert_eq!(shown("\"sk_sandbox\\\"><script>\"", SANDBOX), None, "the page would have to escape it");
        let digest = format!("{{ sha256 = \"{}\" }}", "a".repeat(64));
        assert_eq!(shown(&digest, SANDBOX), None, "the gateway does not know the key");
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "sk_sandbox_try").expect("a key");
        let elsewhere = format!("{{ file = \"{}\" }}", file.path().display());
        assert_eq!(shown(&elsewhere, SANDBOX), None, "the key is not in the configuration");
    }
}
