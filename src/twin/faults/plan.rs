//! The plan of faults, read from a TOML file.

use std::{path::Path, time::Duration};

use passerelle_providers::model::Operation;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Fault, OperationName};
use crate::config::{self, ConfigError};

/// Which faults a twin plays, and how often. The default plan plays none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultPlan {
    seed: u64,
    error_before: Probability,
    error_after: Probability,
    hang_before: Probability,
    hang_after: Probability,
    reset_before: Probability,
    reset_after: Probability,
    truncated: Probability,
    drip: Probability,
    rate_limited: Probability,
    redirect: Probability,
    garbage: Probability,
    gzip_bomb: Probability,
    only: Option<Vec<OperationName>>,
    delay: Option<Delay>,
    #[serde(deserialize_with = "config::duration")]
    pace: Duration,
    #[serde(deserialize_with = "config::duration")]
    retry_after: Duration,
    redirect_to: String,
    #[serde(deserialize_with = "config::duration")]
    search_lag: Duration,
}

impl Default for FaultPlan {
    fn default() -> Self {
        let never = Probability(0.0);
        Self {
            seed: 0,
            error_before: never,
            error_after: never,
            hang_before: never,
            hang_after: never,
            reset_before: never,
            reset_after: never,
            truncated: never,
            drip: never,
            rate_limited: never,
            redirect: never,
            garbage: never,
            gzip_bomb: never,
            only: None,
            delay: None,
            pace: Duration::from_millis(20),
            retry_after: Duration::from_secs(1),
            redirect_to: "https://elsewhere.invalid/".to_owned(),
            search_lag: Duration::ZERO,
        }
    }
}

impl FaultPlan {
    /// Reads a file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::one(format!("{name} cannot be read: {error}")))?;
        Self::read(&text, &name)
    }

    /// Reads the text of a file. `name` is the name of the file in messages.
    pub fn read(text: &str, name: &str) -> Result<Self, ConfigError> {
        let plan: Self = config::read_text(text, name)?;
        let sum: f64 = Fault::ALL.into_iter().map(|fault| plan.probability(fault)).sum();
        // The sum of ten tenths is slightly more than 1.
        if sum > 1.0 + 1e-9 {
            let hint = "but a request gets at most one fault; lower them to 1 or less in total";
            return Err(ConfigError::one(format!("{name}: the probabilities add up to {sum:.3}, {hint}")));
        }
        if http::HeaderValue::from_str(&plan.redirect_to).is_err() {
            return Err(ConfigError::one(format!("{name}: `redirect_to` cannot be the value of a `Location` header")));
        }
        Ok(plan)
    }

    /// How often a fault is played, from 0 to 1.
    pub const fn probability(&self, fault: Fault) -> f64 {
        let Probability(probability) = match fault {
            Fault::ErrorBefore => self.error_before,
            Fault::ErrorAfter => self.error_after,
            Fault::HangBefore => self.hang_before,
            Fault::HangAfter => self.hang_after,
            Fault::ResetBefore => self.reset_before,
            Fault::ResetAfter => self.reset_after,
            Fault::Truncated => self.truncated,
            Fault::Drip => self.drip,
            Fault::RateLimited => self.rate_limited,
            Fault::Redirect => self.redirect,
            Fault::Garbage => self.garbage,
            Fault::GzipBomb => self.gzip_bomb,
        };
        probability
    }

    /// The fault of the n-th request, counted from one. The draw depends only on the seed and the number; `only` then
    /// decides whether the drawn fault is played.
    pub fn fault(&self, number: u64, operation: Option<Operation>) -> Option<Fault> {
        let mut rest = fraction(draw(self.seed, number));
        let drawn = Fault::ALL.into_iter().find(|fault| {
            let probability = self.probability(*fault);
            rest -= probability;
            rest < 0.0
        });
        drawn.filter(|_| self.applies_to(operation))
    }

    /// How long the answer to the n-th request is delayed.
    pub fn delay(&self, number: u64, operation: Option<Operation>) -> Duration {
        match self.delay {
            // A different sequence than that of the faults, so that the two are independent.
            Some(Delay { least, more }) if self.applies_to(operation) => {
                least + more.mul_f64(fraction(draw(!self.seed, number)))
            }
            _ => Duration::ZERO,
        }
    }

    /// The time between two bytes of an answer that is sent byte by byte.
    pub const fn pace(&self) -> Duration {
        self.pace
    }

    /// The value of `Retry-After`: the configured time, rounded up to whole seconds.
    pub const fn retry_after(&self) -> u64 {
        self.retry_after.as_secs().saturating_add((self.retry_after.subsec_nanos() > 0) as u64)
    }

    /// The target of a redirect.
    pub fn redirect_to(&self) -> &str {
        &self.redirect_to
    }

    /// How long lists and searches do not show new or changed records.
    pub const fn search_lag(&self) -> Duration {
        self.search_lag
    }

    fn applies_to(&self, operation: Option<Operation>) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| operation.is_some_and(|operation| only.contains(&OperationName(operation))))
    }
}

/// The n-th number of SplitMix64 (Steele, Lea and Flood, 2014) from a seed. Its state is a sum, so
/// any number can be computed without the numbers before it.
pub(super) const fn draw(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number's upper half as a fraction, from 0 to just below 1.
pub(super) fn fraction(drawn: u64) -> f64 {
    let upper = u32::try_from(drawn >> 32).unwrap_or(u32::MAX);
    f64::from(upper) / (f64::from(u32::MAX) + 1.0)
}

/// From 0 (never) to 1 (always).
#[derive(Debug, Clone, Copy)]
struct Probability(f64);

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        match (0.0..=1.0).contains(&number) {
            true => Ok(Self(number)),
            false => Err(D::Error::custom(format!("cannot be {number}: a probability is from 0 to 1, such as 0.05"))),
        }
    }
}

/// How long answers are delayed: a fixed time, or a time drawn from a range.
#[derive(Debug, Clone, Copy)]
struct Delay {
    least: Duration,
    more: Duration,
}

impl Delay {
    fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let (least, most) = (config::parse_duration(from.trim())?, config::parse_duration(to.trim())?);
        Some(Self { least, more: most.checked_sub(least)? })
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let invalid = || D::Error::custom(format!("must be a delay, such as \"50ms\" or \"10ms..2s\", not `{text}`"));
        Self::parse(&text).ok_or_else(invalid)
    }
}
