//! The series of one connection. They live in the loaded configuration, so that recording needs no look-up.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use passerelle_providers::model::{Error, Kind, Operation, Response};

use super::{Counter, Histogram, Metrics};
use crate::traces::Connection;

macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$meaning])* $variant,)* }

        impl $name {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$variant),*];
            /// How many there are.
            const COUNT: usize = Self::ALL.len();

            /// The value of the label.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// How a client's request ended.
    Outcome {
        /// It was answered with a success.
        Ok = "ok",
        /// It was answered with a status of 4xx.
        Refused = "refused",
        /// It was answered with a status of 5xx.
        Failed = "failed",
        /// It was a write, and its outcome is not known.
        Unknown = "unknown",
        /// The client has disconnected.
        Abandoned = "abandoned",
    }
}

words! {
    /// How an attempt to send a request to a provider ended.
    CallOutcome {
        /// A success.
        Success = "2xx",
        /// A redirect, which is not followed.
        Redirect = "3xx",
        /// A refusal.
        Refusal = "4xx",
        /// Too many requests.
        TooMany = "429",
        /// A failure of the provider.
        Failure = "5xx",
        /// Nothing was sent.
        Unreachable = "unreachable",
        /// The connection broke.
        Interrupted = "interrupted",
        /// The provider did not answer in time.
        TimedOut = "timed_out",
        /// The reply cannot be read.
        Unusable = "unusable",
        /// The gateway did not wait for the end.
        Abandoned = "abandoned",
    }
}

words! {
    /// How an attempt at a write ended.
    WriteEnd {
        /// The provider executed it.
        Done = "done",
        /// The provider refused it.
        Failed = "failed",
        /// It was not sent.
        NotSent = "not_sent",
        /// It is not known whether the provider executed it.
        Unknown = "unknown",
    }
}

impl CallOutcome {
    /// The outcome of an attempt.
    pub fn of(result: &Result<Response, Error>) -> Self {
        match result {
            Ok(response) => match response.status().as_u16() {
                200..300 => Self::Success,
                300..400 => Self::Redirect,
                429 => Self::TooMany,
                400..500 => Self::Refusal,
                _ => Self::Failure,
            },
            Err(error) => match error.kind {
                Kind::Unreachable => Self::Unreachable,
                Kind::Interrupted => Self::Interrupted,
                Kind::TimedOut => Self::TimedOut,
                _ => Self::Unusable,
            },
        }
    }
}

/// The series of one connection. Each is found when it is recorded first, so that no series shows what never happened.
pub struct ConnectionSeries {
    pub(super) metrics: Metrics,
    /// The name of the merchant.
    pub merchant: String,
    /// The name of the connection.
    pub connection: String,
    /// The name of its provider.
    pub provider: &'static str,
    /// The host and the port of the provider.
    pub(super) server: (String, u16),
    operations: [OfOperation; Operation::ALL.len()],
    calls: [OnceLock<Histogram>; CallOutcome::COUNT],
    replies_refused: OnceLock<Counter>,
    retries: OnceLock<Counter>,
    writes: [OnceLock<Counter>; WriteEnd::COUNT],
}

#[derive(Default)]
struct OfOperation {
    requests: [OnceLock<Histogram>; Outcome::COUNT],
    overhead: OnceLock<Histogram>,
}

impl fmt::Debug for ConnectionSeries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ConnectionSeries({}/{})", self.merchant, self.connection)
    }
}

impl ConnectionSeries {
    /// The series of a connection whose provider has this host and port.
    pub fn new(
        metrics: &Metrics,
        merchant: &str,
        connection: &str,
        provider: &'static str,
        (host, port): (&str, u16),
    ) -> Arc<Self> {
        Arc::new(Self {
            metrics: metrics.clone(),
            merchant: merchant.to_owned(),
            connection: connection.to_owned(),
            provider,
            server: (host.to_owned(), port),
            operations: Default::default(),
            calls: Default::default(),
            replies_refused: OnceLock::new(),
            retries: OnceLock::new(),
            writes: Default::default(),
        })
    }

    /// The connection, as spans name it.
    pub(super) fn in_spans(&self) -> Connection<'_> {
        let Self { merchant, connection, provider, server: (host, port), .. } = self;
        Connection { merchant, connection, provider, server: (host, *port) }
    }

    /// Records a client's request, and the part of its time in which no request to a provider was open.
    pub fn record_request(&self, operation: Operation, outcome: Outcome, total: Duration, overhead: Duration) {
        let Self { metrics, merchant, connection, provider, .. } = self;
        let Some(series) = self.operations.get(operation as usize) else { return };
        if let Some(requests) = series.requests.get(outcome as usize) {
            let find = || metrics.request_seconds(merchant, connection, provider, operation.name(), outcome.word());
            requests.get_or_init(find).observe(total.as_secs_f64());
        }
        let find = || metrics.overhead_seconds(merchant, connection, provider, operation.name());
        series.overhead.get_or_init(find).observe(overhead.as_secs_f64());
    }

    /// Records an attempt to send a request to the provider.
    pub fn record_call(&self, outcome: CallOutcome, time: Duration) {
        let Self { metrics, merchant, connection, provider, server: (server, _), .. } = self;
        if let Some(calls) = self.calls.get(outcome as usize) {
            let find = || metrics.call_seconds(merchant, connection, provider, server, outcome.word());
            calls.get_or_init(find).observe(time.as_secs_f64());
        }
    }

    /// Counts an attempt at a write. With `is_reconciled`, its outcome was not known before.
    pub fn count_write(&self, end: WriteEnd, is_reconciled: bool) {
        let Self { metrics, merchant, connection, provider, .. } = self;
        if let Some(writes) = self.writes.get(end as usize) {
            writes.get_or_init(|| metrics.writes(merchant, connection, provider, end.word())).inc();
        }
        if is_reconciled && end != WriteEnd::Unknown {
            metrics.writes_reconciled(merchant, connection, provider, end.word()).inc();
        }
    }

    /// Counts a request that is sent again.
    pub fn count_retry(&self) {
        let find = || self.metrics.provider_retries(&self.merchant, &self.connection);
        self.retries.get_or_init(find).inc();
    }

    /// Counts a reply that was not read to its end.
    pub fn count_refused_reply(&self) {
        let find = || self.metrics.replies_refused(&self.merchant, &self.connection);
        self.replies_refused.get_or_init(find).inc();
    }
}

/// The series of requests without an operation.
#[derive(Debug)]
pub(super) struct OtherSeries {
    metrics: Metrics,
    requests: [OnceLock<Histogram>; Outcome::COUNT],
}

impl OtherSeries {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self { metrics: metrics.clone(), requests: Default::default() }
    }

    pub(super) fn record(&self, outcome: Outcome, total: Duration) {
        if let Some(requests) = self.requests.get(outcome as usize) {
            let find = || self.metrics.request_seconds("", "", "", "", outcome.word());
            requests.get_or_init(find).observe(total.as_secs_f64());
        }
    }
}
