//! Clients of merchants as requests know them: a key, what it allows, and from when to when. A key that is not accepted
//! yet, or not any more, is answered like an unknown one; its uses are counted, and the log names the key once.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;

use super::{
    Merchant,
    scope::{Action, Scope, Scopes},
};
use crate::{
    clock,
    metrics::{Counter, Metrics},
};

/// A client of a merchant. It authenticates with this key.
#[derive(Debug, Clone)]
pub struct Client {
    /// The merchant.
    pub merchant: Arc<Merchant>,
    /// The key.
    pub key: Arc<Key>,
}

/// A key of a merchant's clients. It has the key's name and never the key.
#[derive(Debug)]
pub struct Key {
    named: Option<Named>,
    scopes: Scopes,
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
}

/// What the operator is shown of a key with a name.
#[derive(Debug)]
struct Named {
    merchant: String,
    name: Arc<str>,
    expired: Counter,
    early: Counter,
    lacking: Counter,
    /// Whether the log has said that the key was used outside of its time.
    is_logged: AtomicBool,
}

/// Why a key is not accepted at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutOfTime {
    Early,
    Expired,
}

/// A key lacks the scope of what its client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LacksScope {
    scope: Scope,
    key: Option<Arc<str>>,
}

impl fmt::Display for LacksScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, key } = self;
        match key {
            Some(key) => write!(formatter, "the key `{key}` lacks the scope `{scope}`")?,
            None => write!(formatter, "the key lacks the scope `{scope}`")?,
        }
        formatter.write_str("; use a key that has it, or ask the operator of the gateway for it")
    }
}

impl std::error::Error for LacksScope {}

/// What a key with a name is like, as the configuration says it.
pub(super) struct Terms<'t> {
    pub(super) merchant: &'t str,
    pub(super) name: Option<&'t str>,
    pub(super) scopes: Scopes,
    pub(super) not_before: Option<Timestamp>,
    pub(super) expires: Option<Timestamp>,
}

impl Key {
    pub(super) fn new(terms: &Terms<'_>, metrics: &Metrics) -> Self {
        let Terms { merchant, name, scopes, not_before, expires } = *terms;
        let named = name.map(|name| Named {
            merchant: merchant.to_owned(),
            name: name.into(),
            expired: metrics.keys_refused(merchant, name, "expired"),
            early: metrics.keys_refused(merchant, name, "not_yet_valid"),
            lacking: metrics.keys_refused(merchant, name, "lacks_scope"),
            is_logged: AtomicBool::new(false),
        });
        Self { named, scopes, not_before, expires }
    }

    /// Its name, if it has one.
    pub fn name(&self) -> Option<&Arc<str>> {
        self.named.as_ref().map(|named| &named.name)
    }

    /// The error says that the key lacks the scope of an action.
    pub fn require(&self, action: Action) -> Result<(), LacksScope> {
        let scope = Scope::of(action);
        if self.scopes.has(scope) {
            return Ok(());
        }
        if let Some(named) = &self.named {
            named.lacking.inc();
        }
        Err(LacksScope { scope, key: self.name().cloned() })
    }

    /// Whether the key is accepted now. Only a key with a time asks for the time of day.
    pub(super) fn is_accepted(&self) -> bool {
        self.out_of_time(clock::now).is_none()
    }

    /// Like [`Self::is_accepted`], for a client who has used the key: a refusal is counted, and the first one is logged.
    pub(super) fn is_accepted_for_use(&self) -> bool {
        let Some(why) = self.out_of_time(clock::now) else { return true };
        if let Some(named) = &self.named {
            named.count(why);
        }
        false
    }

    fn out_of_time(&self, now: impl FnOnce() -> Timestamp) -> Option<OutOfTime> {
        if self.not_before.is_none() && self.expires.is_none() {
            return None;
        }
        let now = now();
        if self.not_before.is_some_and(|from| now < from) {
            return Some(OutOfTime::Early);
        }
        self.expires.is_some_and(|end| now >= end).then_some(OutOfTime::Expired)
    }
}

impl Named {
    fn count(&self, why: OutOfTime) {
        let (counter, words) = match why {
            OutOfTime::Early => (&self.early, "is not valid yet"),
            OutOfTime::Expired => (&self.expired, "has expired"),
        };
        counter.inc();
        if !self.is_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                merchant = self.merchant,
                key = &*self.name,
                "a client used a key that {words}, and got 401; the metric passerelle_keys_refused counts further uses"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn key(not_before: Option<&str>, expires: Option<&str>) -> Key {
        let [not_before, expires] = [not_before, expires].map(|text| text.map(time));
        let terms = Terms { merchant: "acme", name: Some("checkout"), scopes: Scopes::ALL, not_before, expires };
        Key::new(&terms, &Metrics::default())
    }

    #[test]
    fn a_key_is_accepted_from_its_beginning_until_its_end() {
        let limited = key(Some("2026-01-01T00:00:00Z"), Some("2026-12-31T00:00:00Z"));
        for (now, expected) in [
            ("2025-12-31T23:59:59.999Z", Some(OutOfTime::Early)),
            ("2026-01-01T00:00:00Z", None),
            ("2026-12-30T23:59:59.999Z", None),
            ("2026-12-31T00:00:00Z", Some(OutOfTime::Expired)),
        ] {
            assert_eq!(limited.out_of_time(|| time(now)), expected, "{now}");
        }
    }

    #[test]
    fn a_key_without_times_never_asks_for_the_time() {
        let never = || -> Timestamp { panic!("the time was asked for") };
        assert_eq!(key(None, None).out_of_time(never), None);
    }

    #[test]
    fn a_key_lacks_the_scopes_that_it_was_not_given() {
        let terms = Terms {
            merchant: "acme",
            name: Some("reports"),
            scopes: [Scope::Read].into_iter().collect(),
            not_before: None,
            expires: None,
        };
        let metrics = Metrics::default();
        let key = Key::new(&terms, &metrics);
        assert_eq!(key.require(Action::Capabilities), Ok(()));
        let lacking = key.require(Action::OwnWrites).expect_err("a refusal").to_string();
        assert!(lacking.starts_with("the key `reports` lacks the scope `admin`; "), "{lacking}");
        assert_eq!(metrics.keys_refused("acme", "reports", "lacks_scope").get(), 1);
    }
}
