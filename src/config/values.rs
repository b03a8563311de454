//! The forms of values: durations, rates and networks are written as strings.

use std::{fmt, net::IpAddr, num::NonZeroU32, time::Duration};

use ipnet::IpNet;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};

/// The most requests in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The number of requests.
    pub requests: NonZeroU32,
    /// The length of the period.
    pub per: Duration,
}

impl Rate {
    /// Reads a rate such as `60/min`.
    pub fn parse(text: &str) -> Option<Self> {
        let (requests, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" | "sec" | "second" => 1,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 3600,
            _ => return None,
        };
        Some(Self { requests: requests.trim().parse().ok()?, per: Duration::from_secs(seconds) })
    }
}

pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    parse_duration_or_zero(text).filter(|duration| !duration.is_zero())
}

/// A longer duration could not be added to every time.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);

fn parse_duration_or_zero(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.parse().ok()?;
    Duration::try_from(duration).ok().filter(|duration| *duration <= LONGEST)
}

/// A value as it was typed, in a message. A long one may be a secret in the wrong place, so it is not repeated.
pub(crate) struct Typed<'a>(pub(crate) &'a str);

/// Keys and passwords are longer, and words that are mistyped are not.
const MOST_SHOWN: usize = 16;

impl fmt::Display for Typed<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.chars().count() <= MOST_SHOWN {
            true => write!(formatter, "`{}`", self.0),
            false => formatter.write_str("what is there"),
        }
    }
}

/// A value that is written as a string of a certain form. The error of a value of another form or type says the form.
struct InString<T> {
    form: &'static str,
    parse: fn(&str) -> Option<T>,
}

impl<T> Visitor<'_> for InString<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.form)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).ok_or_else(|| E::custom(format!("must be {}, not {}", self.form, Typed(text))))
    }
}

pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    const FORM: &str = "a duration above zero, such as \"10s\" or \"500ms\"";
    deserializer.deserialize_str(InString { form: FORM, parse: parse_duration })
}

pub(super) fn duration_or_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    const FORM: &str = "a duration, such as \"3s\", or \"0s\" for none";
    deserializer.deserialize_str(InString { form: FORM, parse: parse_duration_or_zero })
}

/// A whole number within bounds.
pub(super) fn within<'de, D: Deserializer<'de>, const LEAST: u32, const MOST: u32>(
    deserializer: D,
) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    match (LEAST..=MOST).contains(&number) {
        true => Ok(number),
        false => Err(D::Error::custom(format!("must be a number from {LEAST} to {MOST}, not `{number}`"))),
    }
}

/// A part of all, from 0 to 1.
pub(super) fn part<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let part = f64::deserialize(deserializer)?;
    match (0.0..=1.0).contains(&part) {
        true => Ok(part),
        false => Err(D::Error::custom(format!("must be a number from 0 to 1, such as 0.5, not `{part}`"))),
    }
}

pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let network = |text: &String| text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let parsed = texts.iter().map(|text| {
        network(text).map_err(|_| {
            D::Error::custom(format!("must have addresses and networks, such as \"10.0.0.0/8\", not {}", Typed(text)))
        })
    });
    parsed.collect()
}

pub(super) fn maybe_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration(deserializer).map(Some)
}

pub(super) fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
    const FORM: &str = "a rate, such as \"60/min\", \"5/s\" or \"1000/h\"";
    deserializer.deserialize_str(InString { form: FORM, parse: Rate::parse })
}

pub(super) fn maybe_rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Rate>, D::Error> {
    rate(deserializer).map(Some)
}
