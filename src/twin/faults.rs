//! Faults on demand: which fault answers which request. Pure: the choice depends on the plan's seed and on the
//! request's number alone, so that a run can be played again.

use std::{fmt, path::Path, sync::LazyLock, time::Duration};

use passerelle_providers::model::Operation;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::config::{self, ConfigError};

/// What a twin does instead of answering properly. *Before* and *after* are seen from the effect: the change
/// that the request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The vendor's own 500; nothing was done.
    ErrorBefore,
    /// The vendor's own 500, although it was done.
    ErrorAfter,
    /// Never answers, and holds the connection; nothing was done.
    HangBefore,
    /// Never answers, and holds the connection, although it was done.
    HangAfter,
    /// Resets the connection (TCP RST); nothing was done.
    ResetBefore,
    /// Resets the connection (TCP RST), although it was done.
    ResetAfter,
    /// Does it, announces the whole answer, sends half of it and closes.
    Truncated,
    /// Does it, and sends the answer a byte at a time.
    Drip,
    /// The vendor's own refusal of too many requests, with `Retry-After`; nothing was done.
    RateLimited,
    /// Sends the client to another address; nothing was done.
    Redirect,
    /// Does it, and answers 200 with a page that is not JSON.
    Garbage,
    /// Does it, and answers 200 with a little gzip that unpacks to a lot.
    GzipBomb,
}

impl Fault {
    /// Every fault, in the order in which a number is looked up.
    pub const ALL: [Self; 12] = [
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::HangBefore,
        Self::HangAfter,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Truncated,
        Self::Drip,
        Self::RateLimited,
        Self::Redirect,
        Self::Garbage,
        Self::GzipBomb,
    ];

    /// The key of its probability.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ErrorBefore => "error_before",
            Self::ErrorAfter => "error_after",
            Self::HangBefore => "hang_before",
            Self::HangAfter => "hang_after",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::Truncated => "truncated",
            Self::Drip => "drip",
            Self::RateLimited => "rate_limited",
            Self::Redirect => "redirect",
            Self::Garbage => "garbage",
            Self::GzipBomb => "gzip_bomb",
        }
    }

    /// Whether the request is carried out all the same.
    pub const fn has_effect(self) -> bool {
        match self {
            Self::ErrorBefore | Self::HangBefore | Self::ResetBefore | Self::RateLimited | Self::Redirect => false,
            Self::ErrorAfter
            | Self::HangAfter
            | Self::ResetAfter
            | Self::Truncated
            | Self::Drip
            | Self::Garbage
            | Self::GzipBomb => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Which faults a twin plays, and how often. Without any, it behaves.
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
    only: Option<Vec<Named>>,
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

    /// Reads the text of a file. `name` is what mistakes call it.
    pub fn read(text: &str, name: &str) -> Result<Self, ConfigError> {
        let plan: Self = config::read_text(text, name)?;
        let sum: f64 = Fault::ALL.into_iter().map(|fault| plan.probability(fault)).sum();
        // A little more than 1 is what adding tenths gives.
        if sum > 1.0 + 1e-9 {
            let told = "and a request plays one fault at most: make them 1 or less in all";
            return Err(ConfigError::one(format!("{name}: the probabilities add up to {sum:.3}, {told}")));
        }
        if http::HeaderValue::from_str(&plan.redirect_to).is_err() {
            return Err(ConfigError::one(format!("{name}: `redirect_to` cannot stand in a header")));
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

    /// The fault of the n-th request, counted from one. The draw depends on the seed and the number alone;
    /// `only` decides whether what was drawn is played.
    pub fn fault(&self, number: u64, operation: Option<Operation>) -> Option<Fault> {
        let mut rest = fraction(draw(self.seed, number));
        let drawn = Fault::ALL.into_iter().find(|fault| {
            let probability = self.probability(*fault);
            rest -= probability;
            rest < 0.0
        });
        drawn.filter(|_| self.concerns(operation))
    }

    /// How long the answer to the n-th request is held back.
    pub fn delay(&self, number: u64, operation: Option<Operation>) -> Duration {
        match self.delay {
            // Another sequence than that of the faults, so that neither tells anything about the other.
            Some(Delay { least, more }) if self.concerns(operation) => {
                least + more.mul_f64(fraction(draw(!self.seed, number)))
            }
            _ => Duration::ZERO,
        }
    }

    /// The time between two bytes of a dripping answer.
    pub const fn pace(&self) -> Duration {
        self.pace
    }

    /// When to come back, in whole seconds.
    pub const fn retry_after(&self) -> u64 {
        self.retry_after.as_secs().saturating_add((self.retry_after.subsec_nanos() > 0) as u64)
    }

    /// Where a redirect leads.
    pub fn redirect_to(&self) -> &str {
        &self.redirect_to
    }

    /// How long lists and searches do not see what is new or changed.
    pub const fn search_lag(&self) -> Duration {
        self.search_lag
    }

    fn concerns(&self, operation: Option<Operation>) -> bool {
        self.only.as_ref().is_none_or(|only| operation.is_some_and(|asked| only.contains(&Named(asked))))
    }
}

/// The n-th number of SplitMix64 (Steele, Lea and Flood, 2014) from a seed. Its state is a plain sum, so that
/// any of its numbers can be computed without those before it.
const fn draw(seed: u64, number: u64) -> u64 {
    let mut mixed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number's upper half as a fraction, from 0 to just below 1.
fn fraction(drawn: u64) -> f64 {
    let upper = u32::try_from(drawn >> 32).unwrap_or(u32::MAX);
    f64::from(upper) / (f64::from(u32::MAX) + 1.0)
}

/// From 0, never, to 1, always.
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

/// How long answers are held back: always as long, or as long as is drawn.
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
        let wrong = || D::Error::custom(format!("`{text}` is no delay, such as \"50ms\" or \"10ms..2s\""));
        Self::parse(&text).ok_or_else(wrong)
    }
}

/// An operation by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named(pub Operation);

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        static NAMES: LazyLock<[&str; Operation::ALL.len()]> = LazyLock::new(|| Operation::ALL.map(Operation::name));
        let name = String::deserialize(deserializer)?;
        Operation::parse(&name).map(Self).ok_or_else(|| D::Error::unknown_variant(&name, &*NAMES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> FaultPlan {
        FaultPlan::read(text, "faults.toml").expect("a plan")
    }

    fn mistakes(text: &str) -> Vec<String> {
        FaultPlan::read(text, "faults.toml").expect_err("a mistake").mistakes
    }

    #[test]
    fn the_generator_is_split_mix_64() {
        // The reference implementation's numbers for this seed.
        let known = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([1, 2, 3].map(|number| draw(1_234_567, number)), known);
        assert!(fraction(0).abs() < f64::EPSILON);
        assert!(fraction(u64::MAX) < 1.0);
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let text = "seed = 7\nerror_before = 0.1\nhang_after = 0.2\nreset_after = 0.3\ndelay = \"1ms..9ms\"";
        let sequence = |plan: &FaultPlan| (1..=200).map(|number| plan.fault(number, None)).collect::<Vec<_>>();
        let (one, other) = (plan(text), plan(text));
        assert_eq!(sequence(&one), sequence(&other));
        assert_eq!(one.delay(5, None), other.delay(5, None));
        assert_ne!(sequence(&one), sequence(&plan(&text.replace('7', "8"))));
    }

    #[test]
    fn faults_are_as_frequent_as_they_should_be() {
        let plan = plan("seed = 3\nerror_before = 0.1\nhang_after = 0.25\ngzip_bomb = 0.15");
        let count = |wanted: Option<Fault>| (1..=10_000).filter(|number| plan.fault(*number, None) == wanted).count();
        for (fault, expected) in [
            (Some(Fault::ErrorBefore), 1_000),
            (Some(Fault::HangAfter), 2_500),
            (Some(Fault::GzipBomb), 1_500),
            (None, 5_000),
        ] {
            assert!(count(fault).abs_diff(expected) < 200, "{fault:?}: {}", count(fault));
        }
        assert_eq!(count(Some(Fault::Drip)), 0);
    }

    #[test]
    fn certain_and_impossible_are_exact() {
        for fault in Fault::ALL {
            let plan = plan(&format!("{fault} = 1"));
            assert!((1..=1_000).all(|number| plan.fault(number, None) == Some(fault)), "{fault}");
        }
        assert!((1..=1_000).all(|number| FaultPlan::default().fault(number, None).is_none()));
    }

    #[test]
    fn names_are_keys() {
        for fault in Fault::ALL {
            assert_eq!(serde_json::to_value(fault).expect("JSON"), fault.name());
        }
    }

    #[test]
    fn only_some_operations_are_concerned() {
        let plan = plan("garbage = 1\nonly = [\"create\", \"update\"]\ndelay = \"5ms\"");
        assert_eq!(plan.fault(1, Some(Operation::Create)), Some(Fault::Garbage));
        for other in [Some(Operation::List), None] {
            assert_eq!((plan.fault(1, other), plan.delay(1, other)), (None, Duration::ZERO));
        }
        assert_eq!(plan.delay(1, Some(Operation::Update)), Duration::from_millis(5));
    }

    #[test]
    fn delays_stay_in_their_range() {
        let plan = plan("delay = \"10ms .. 20ms\"");
        let delays: Vec<Duration> = (1..=100).map(|number| plan.delay(number, None)).collect();
        assert!(delays.iter().all(|delay| (10..20).contains(&delay.as_millis())));
        assert!(delays.iter().any(|delay| delay.as_millis() < 13) && delays.iter().any(|delay| delay.as_millis() > 17));
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_a_hint() {
        for (text, told) in [
            ("eror_before = 0.1", "faults.toml:1: `eror_before` is not a key; did you mean `error_before`?"),
            (
                "seed = 1\nhang_after = 1.5",
                "faults.toml:2: `hang_after` cannot be 1.5: a probability is from 0 to 1, such as 0.05",
            ),
            ("drip = -0.1", "faults.toml:1: `drip` cannot be -0.1: a probability is from 0 to 1, such as 0.05"),
            ("drip = nan", "faults.toml:1: `drip` cannot be NaN: a probability is from 0 to 1, such as 0.05"),
            ("only = [\"list\", \"crate\"]", "faults.toml:1: `only.1` cannot be `crate`; did you mean `create`?"),
            ("delay = \"2s..1s\"", "faults.toml:1: `delay` `2s..1s` is no delay, such as \"50ms\" or \"10ms..2s\""),
            (
                "search_lag = \"soon\"",
                "faults.toml:1: `search_lag` `soon` is no duration, such as \"10s\" or \"500ms\"",
            ),
            (
                "drip = 0.6\ngarbage = 0.5",
                "faults.toml: the probabilities add up to 1.100, and a request plays one fault at most: make them 1 or less in all",
            ),
        ] {
            assert_eq!(mistakes(text), [told]);
        }
        assert!(mistakes("drip = \"often\"")[0].starts_with("faults.toml:1: `drip` must be"));
        assert!(mistakes("seed = ")[0].starts_with("faults.toml:1: "));
        assert!(mistakes("seed = -1")[0].starts_with("faults.toml:1: `seed`"));
    }

    #[test]
    fn tenths_add_up_to_one() {
        let tenths: Vec<String> = Fault::ALL.iter().take(10).map(|fault| format!("{fault} = 0.1")).collect();
        plan(&tenths.join("\n"));
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds() {
        for (text, seconds) in [("1s", 1), ("1500ms", 2), ("10ms", 1), ("2min", 120)] {
            assert_eq!(plan(&format!("retry_after = \"{text}\"")).retry_after(), seconds);
        }
    }
}
