//! Resolves the keys of a merchant's clients: their digests, names, scopes and times. `resolve` calls it. No message
//! contains a key.

use std::{collections::BTreeSet, time::Duration};

use data_encoding::HEXLOWER_PERMISSIVE;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;

use super::{
    client::{Key, Terms},
    digest_of,
    resolve::Resolver,
    scope::{Scope, Scopes},
};
use crate::{
    clock,
    config::{self, ApiKey, ClientKey, Typed, nearest},
};

/// How long before its end a key is reported.
const NOTICE: Duration = Duration::from_hours(14 * 24);

/// A key with fewer characters can be guessed. Those of `passerelle keys new` have more.
const SHORTEST_SAFE_KEY: usize = 24;

/// How long the name of a key may be.
const LONGEST_NAME: usize = 64;

impl Resolver<'_> {
    /// The keys of a merchant's clients by their digests.
    pub(super) fn keys(&mut self, merchant: &str, typed: &config::MerchantConfig) -> Vec<([u8; 32], Key)> {
        let at = format!("merchants.{merchant}.api_keys");
        if typed.api_keys.is_empty() {
            self.mistake(&at, "is empty, so that no client could call; make a key with `passerelle keys new`");
        }
        let is_sandbox = typed.connections.values().all(|connection| connection.sandbox);
        let mut names = BTreeSet::new();
        let mut keys = Vec::new();
        for (index, typed) in typed.api_keys.iter().enumerate() {
            let of_key = format!("{at}.{index}");
            if let Some(name) = &typed.name
                && !names.insert(name.as_str())
            {
                let what = format!("is `{name}`, which another key of this merchant has; choose another name");
                self.mistake(&format!("{of_key}.name"), what);
            }
            let terms = self.terms(&of_key, merchant, typed);
            let digest = self.key(&at, index, &typed.key, is_sandbox);
            keys.extend(digest.map(|digest| (digest, Key::new(&terms, self.shared.metrics()))));
        }
        keys
    }

    /// What a key is called, what it allows, and from when to when.
    fn terms<'t>(&mut self, at: &str, merchant: &'t str, typed: &'t ClientKey) -> Terms<'t> {
        let name = typed.name.as_deref();
        let is_limited = typed.scopes.is_some() || typed.not_before.is_some() || typed.expires.is_some();
        match name {
            Some(name) if !is_name(name) => {
                let what = format!("must have 1 to {LONGEST_NAME} of the characters A-Z, a-z, 0-9, `.`, `_` and `-`");
                self.mistake(&format!("{at}.name"), what);
            }
            None if is_limited => {
                self.mistake(at, "needs a `name`: answers, metrics and the audit say which key it is");
            }
            _ => {}
        }
        let scopes = typed.scopes.as_ref().map_or(Scopes::ALL, |words| self.scopes(&format!("{at}.scopes"), words));
        let not_before = self.time(&format!("{at}.not_before"), typed.not_before.as_deref());
        let expires = self.time(&format!("{at}.expires"), typed.expires.as_deref());
        self.life(&format!("{at}.expires"), not_before, expires);
        Terms { merchant, name, scopes, not_before, expires }
    }

    fn scopes(&mut self, at: &str, words: &[String]) -> Scopes {
        if words.is_empty() {
            self.mistake(at, "is empty, so that the key would allow nothing; without `scopes`, it allows everything");
        }
        let known = Scope::ALL.map(Scope::as_str);
        for word in words.iter().filter(|word| Scope::parse(word).is_none()) {
            let hint = match nearest(word, &known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("the scopes are {}", known.join(", ")),
            };
            self.mistake(at, format!("has {}, which is not a scope; {hint}", Typed(word)));
        }
        words.iter().filter_map(|word| Scope::parse(word)).collect()
    }

    fn time(&mut self, at: &str, text: Option<&str>) -> Option<Timestamp> {
        let text = text?;
        let time = text.parse();
        if time.is_err() {
            let what = format!("must be a time of RFC 3339, such as \"2026-12-31T00:00:00Z\", not {}", Typed(text));
            self.mistake(at, what);
        }
        time.ok()
    }

    /// Reports a key that can never be used, that has expired, or that expires soon.
    fn life(&mut self, at: &str, not_before: Option<Timestamp>, expires: Option<Timestamp>) {
        let Some(expires) = expires else { return };
        if not_before.is_some_and(|not_before| expires <= not_before) {
            self.mistake(at, "must be later than `not_before`");
            return;
        }
        let now = clock::now();
        let soon = now.checked_add(SignedDuration::try_from(NOTICE).unwrap_or_default()).unwrap_or(now);
        if expires <= now {
            self.warn(at, format!("was {expires}: the key has expired, and its clients get 401; remove it"));
        } else if expires <= soon {
            self.warn(at, format!("is {expires}; add the key that follows it, and reload"));
        }
    }

    /// The digest of a key: of a merchant's client or of the operator. A literal key is only usual in a sandbox. `index` is the
    /// place of the key in the list `at`.
    pub(super) fn key(&mut self, at: &str, index: usize, key: &ApiKey, is_sandbox: bool) -> Option<[u8; 32]> {
        match key {
            ApiKey::Sha256(digest) => {
                let bytes = HEXLOWER_PERMISSIVE.decode(digest.as_bytes()).ok();
                let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
                if bytes.is_none() {
                    self.mistake(at, "has a digest that is not 64 hexadecimal digits");
                }
                bytes
            }
            ApiKey::Key(secret) => {
                if secret.is_literal() && !is_sandbox {
                    self.warn(at, "holds a key itself; use { sha256 = \"…\" } or { env = \"NAME\" }");
                }
                match secret.resolve(self.loaded.folder()) {
                    Ok(key) => {
                        let key = key.expose_secret();
                        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                            let what = "has a space, a line break or another sign that no client can send in a key; \
                                        `passerelle keys new | head -n 1` prints a key alone";
                            self.mistake(at, what);
                            return None;
                        }
                        if key.chars().count() < SHORTEST_SAFE_KEY && !self.loaded.is_built_in() {
                            let what = format!(
                                "has fewer than {SHORTEST_SAFE_KEY} characters, so it can be guessed; make a new one with \
                                 `passerelle keys new`"
                            );
                            self.warn(&format!("{at}.{index}"), what);
                        }
                        Some(digest_of(key))
                    }
                    Err(error) => {
                        self.mistake(at, error);
                        None
                    }
                }
            }
        }
    }
}

/// Whether a text can be the name of a key. It is a label of metrics and a part of answers.
pub fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LONGEST_NAME).contains(&text.len()) && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::load_text, merchant::Gateway, upstream::Shared};

    /// What `check` says about a merchant with these keys: the mistakes, or the warnings.
    fn checked(keys: &str) -> Result<Vec<String>, Vec<String>> {
        let text = format!(
            "[merchants.acme]\nactive = \"main\"\nconnections.main = {{ provider = \"lomi\", sandbox = true }}\n{keys}\n"
        );
        let loaded = load_text(&text, "p.toml").map_err(|error| error.mistakes)?;
        let resolved = Gateway::resolve(&loaded, None, &Shared::default()).map_err(|error| error.mistakes)?;
        Ok(resolved.warnings)
    }

    fn digest(letter: &str) -> String {
        letter.repeat(64)
    }

    /// The whole output of `keys new` in a file would be a key that no client can send.
    #[test]
    fn a_key_that_no_client_can_send_is_a_mistake() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "sk_0123456789abcdef01234\n\nThe key is shown only this once\n").expect("a key");
        let mistakes = checked(&format!("api_keys = [{{ file = \"{}\" }}]", file.path().display()));
        let mistakes = mistakes.expect_err("a key with line breaks");
        assert!(mistakes.iter().any(|mistake| mistake.contains("line break")), "{mistakes:?}");
    }

    #[test]
    fn every_form_of_a_key_is_read() {
        let keys = format!(
            "api_keys = [\"sk_0123456789abcdef01234\", {{ sha256 = \"{}\" }}, {{ name = \"shop\", sha256 = \"{}\" }},\n\
             {{ name = \"checkout\", sha256 = \"{}\", scopes = [\"read\", \"write\", \"admin\"], \
             not_before = \"2026-01-01T00:00:00Z\", expires = \"2999-12-31T00:00:00+01:00\" }}]",
            digest("a"),
            digest("b"),
            digest("c")
        );
        assert_eq!(checked(&keys), Ok(Vec::new()));
    }

    #[test]
    fn all_mistakes_are_reported_at_once_with_their_lines() {
        let keys = format!(
            "api_keys = [\n  {{ name = \"shop\", sha256 = \"{}\", scopes = [\"reed\"] }},\n  {{ name = \"shop\", sha256 = \"{}\", \
             not_before = \"2026-02-01T00:00:00Z\", expires = \"2026-01-01T00:00:00Z\" }},\n  \
             {{ name = \"a b\", sha256 = \"{}\", expires = \"tomorrow\", scopes = [] }},\n  \
             {{ sha256 = \"{}\", scopes = [\"read\"] }},\n  {{ name = \"twice\", sha256 = \"{}\" }},\n]",
            digest("a"),
            digest("b"),
            digest("c"),
            digest("d"),
            digest("d")
        );
        let reported = checked(&keys).expect_err("mistakes");
        assert_eq!(
            reported,
            [
                "p.toml:5: `merchants.acme.api_keys.0.scopes` has `reed`, which is not a scope; did you mean `read`?",
                "p.toml:6: `merchants.acme.api_keys.1.name` is `shop`, which another key of this merchant has; choose another name",
                "p.toml:6: `merchants.acme.api_keys.1.expires` must be later than `not_before`",
                "p.toml:7: `merchants.acme.api_keys.2.name` must have 1 to 64 of the characters A-Z, a-z, 0-9, `.`, `_` and `-`",
                "p.toml:7: `merchants.acme.api_keys.2.scopes` is empty, so that the key would allow nothing; without `scopes`, it allows everything",
                "p.toml:7: `merchants.acme.api_keys.2.expires` must be a time of RFC 3339, such as \"2026-12-31T00:00:00Z\", not `tomorrow`",
                "p.toml:8: `merchants.acme.api_keys.3` needs a `name`: answers, metrics and the audit say which key it is",
                "p.toml:4: `merchants.acme.api_keys` has a key twice; remove one of them",
            ]
        );
    }

    #[test]
    fn a_key_that_can_be_guessed_is_a_warning() {
        let short = checked("api_keys = [\n\"sk_0123456789abcdef01234\",\n\"sk_0123456789abcdef0123\",\n]");
        assert_eq!(
            short,
            Ok(vec![
                "p.toml:6: `merchants.acme.api_keys.1` has fewer than 24 characters, so it can be guessed; make a new one \
                 with `passerelle keys new`"
                    .to_owned()
            ])
        );
        let all = checked(
            "api_keys = [\"sk_0123456789abcdef01234\"]\n[operator]\nlisten = \"127.0.0.1:0\"\n\
             keys = [\n\"op_0123456789abcdef01234\",\n\"op_0123456789abcdef0123\",\n]",
        );
        assert_eq!(
            all,
            Ok(vec![
                "p.toml:9: `operator.keys.1` has fewer than 24 characters, so it can be guessed; make a new one with \
                 `passerelle keys new`"
                    .to_owned()
            ])
        );
        let sandbox = config::load(None).expect("a configuration");
        let resolved = Gateway::resolve(&sandbox, None, &Shared::default()).expect("no mistakes");
        assert_eq!(resolved.warnings, Vec::<String>::new(), "the keys of the built-in sandbox are public");
    }

    #[test]
    fn a_table_that_is_no_key_is_a_mistake() {
        for (key, expected) in [
            ("{}", "has no key; write { env = \"NAME\" } or { file = \"PATH\" }"),
            ("{ name = \"shop\" }", "has no key; write { env = \"NAME\" } or { file = \"PATH\" }"),
            ("{ env = \"A\", file = \"b\" }", "can have only one of `env`, `file` and `sha256`"),
            ("{ sha256 = \"00\" }", "has a `sha256` that is not 64 hexadecimal digits"),
            ("{ env = \"A\", scope = [\"read\"] }", "is not a key; did you mean `scopes`?"),
            ("{ env = \"A\", scopes = \"read\" }", "must be a sequence, not a string"),
            ("17", "must be { env = \"NAME\" }, { file = \"PATH\" }, { sha256 = \"…\" } or a string, not a number"),
        ] {
            let reported = checked(&format!("api_keys = [\n\"sk_literal\",\n{key},\n]")).expect_err(key);
            assert!(reported.len() == 1 && reported[0].ends_with(expected), "{key}: {reported:?}");
            assert!(reported[0].starts_with("p.toml:6: `merchants.acme.api_keys.1"), "{key}: {reported:?}");
        }
    }

    #[test]
    fn a_list_of_tables_has_lines_as_well() {
        let keys =
            format!("[[merchants.acme.api_keys]]\nname = \"shop\"\nsha256 = \"{}\"\nscopes = [\"x\"]", digest("a"));
        let reported = checked(&keys).expect_err("a mistake");
        assert_eq!(
            reported,
            [
                "p.toml:7: `merchants.acme.api_keys.0.scopes` has `x`, which is not a scope; the scopes are read, write, admin"
            ]
        );
    }

    #[test]
    fn a_key_that_has_expired_or_will_soon_is_a_warning() {
        let of = |expires: &str| {
            checked(&format!(
                "api_keys = [{{ name = \"old\", sha256 = \"{}\", expires = \"{expires}\" }}]",
                digest("a")
            ))
        };
        let expired = of("2020-01-01T00:00:00Z").expect("no mistake");
        assert_eq!(
            expired,
            [
                "p.toml:4: `merchants.acme.api_keys.0.expires` was 2020-01-01T00:00:00Z: the key has expired, and its clients get 401; remove it"
            ]
        );
        let in_a_week = clock::now() + SignedDuration::from_hours(7 * 24);
        let soon = of(&in_a_week.to_string()).expect("no mistake");
        assert!(soon.len() == 1 && soon[0].ends_with("; add the key that follows it, and reload"), "{soon:?}");
        assert_eq!(of("2999-01-01T00:00:00Z"), Ok(Vec::new()));
    }
}
