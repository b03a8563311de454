//! The overview: what this process has served in the last hour, how long it and the providers took, what failed, which
//! breakers are open, and which writes have no known outcome.

use std::collections::BTreeMap;

use askama::Template;
use axum::{extract::State, response::Response};
use serde::Serialize;

use super::{
    Console,
    layout::Section,
    viewer::{Page, Viewer},
};
use crate::{
    clock,
    metrics::{MINUTES, Traffic},
    problem::{Code, Problem},
    report::{
        chart::{self, Column, Part, Tone},
        grouped,
    },
    store::OpenCount,
};

/// The page.
#[derive(Debug, Template, Serialize)]
#[template(path = "overview.html")]
struct Overview {
    /// When the page was made.
    as_of: String,
    /// How many minutes of traffic it has: at most 60, and fewer soon after the start of the process.
    minutes: usize,
    /// All connections together.
    total: TrafficView,
    /// Circuit breakers that are open.
    open_breakers: Vec<OpenBreakers>,
    /// Writes that have not ended, of all replicas.
    open_writes: Vec<OpenWrites>,
    /// Whether the store cannot record writes now.
    store_fails: bool,
    /// By merchant.
    merchants: Vec<Named>,
    /// By provider.
    providers: Vec<Named>,
    /// Minute by minute, the oldest first. The last one has not ended.
    by_minute: Vec<TrafficView>,
    /// The page itself, if it asks for its live part again.
    #[serde(skip)]
    refreshes: Option<String>,
    #[serde(skip)]
    requests_chart: String,
    #[serde(skip)]
    time_chart: String,
}

/// Traffic of a merchant or a provider.
#[derive(Debug, Serialize)]
struct Named {
    name: String,
    #[serde(flatten)]
    traffic: TrafficView,
}

/// Requests, and how they ended.
#[derive(Debug, Default, Serialize)]
struct TrafficView {
    requests: u64,
    ok: u64,
    refused: u64,
    failed: u64,
    unknown: u64,
    abandoned: u64,
    /// The mean time of a request, in milliseconds. `null` without requests.
    mean_ms: Option<f64>,
    /// The part of it in which a request to the provider was open.
    provider_ms: Option<f64>,
    /// The same in percent.
    provider_share: Option<f64>,
    calls: u64,
    failed_calls: u64,
}

impl From<Traffic> for TrafficView {
    fn from(traffic: Traffic) -> Self {
        let requests = traffic.requests();
        let provider = (traffic.seconds - traffic.own_seconds).max(0.0);
        #[expect(clippy::cast_precision_loss, reason = "a mean of so many requests needs no more digits")]
        let each = |seconds: f64| (requests > 0).then(|| tenths(seconds * 1000.0 / requests as f64));
        Self {
            requests,
            ok: traffic.ok,
            refused: traffic.refused,
            failed: traffic.failed,
            unknown: traffic.unknown,
            abandoned: traffic.abandoned,
            mean_ms: each(traffic.seconds),
            provider_ms: each(provider),
            provider_share: (traffic.seconds > 0.0).then(|| tenths(provider * 100.0 / traffic.seconds)),
            calls: traffic.calls,
            failed_calls: traffic.failed_calls,
        }
    }
}

/// Rounds to one digit after the point.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

impl TrafficView {
    fn milliseconds(number: Option<f64>) -> String {
        number.map_or_else(|| "–".to_owned(), |number| format!("{number:.1} ms"))
    }

    fn mean(&self) -> String {
        Self::milliseconds(self.mean_ms)
    }

    fn provider(&self) -> String {
        match self.provider_share {
            Some(share) => format!("{} ({share:.1} %)", Self::milliseconds(self.provider_ms)),
            None => "–".to_owned(),
        }
    }
}

/// The open breakers of a connection.
#[derive(Debug, Serialize)]
struct OpenBreakers {
    merchant: String,
    connection: String,
    provider: &'static str,
    open: usize,
}

/// Writes of a connection that have not ended.
#[derive(Debug, Serialize)]
struct OpenWrites {
    merchant: String,
    connection: String,
    /// `sending`, `unknown` or `held`.
    state: String,
    count: usize,
    /// When the oldest was claimed.
    oldest: String,
}

impl OpenWrites {
    /// What the state means for the operator.
    fn meaning(&self) -> &'static str {
        match self.state.as_str() {
            "held" => "an operator decides",
            "unknown" => "the gateway finds out what happened",
            _ => "in flight",
        }
    }

    fn tone(&self) -> &'static str {
        match self.state.as_str() {
            "held" => "bad",
            "unknown" => "warn",
            _ => "good",
        }
    }
}

impl From<OpenCount> for OpenWrites {
    fn from(open: OpenCount) -> Self {
        let OpenCount { merchant, connection, state, count, oldest } = open;
        Self { merchant, connection, state, count, oldest: super::time(oldest) }
    }
}

impl Overview {
    fn tables(&self) -> [(&'static str, &'static str, &[Named]); 2] {
        [("By merchant", "by-merchant", &self.merchants), ("By provider", "by-provider", &self.providers)]
    }
}

impl Page for Overview {
    const SECTION: Option<Section> = Some(Section::Overview);

    fn title(&self) -> String {
        "Overview".to_owned()
    }
}

/// `GET /console`
pub(super) async fn page(viewer: Viewer, State(console): State<Console>) -> Result<Response, Problem> {
    let query = viewer.query(&["refresh"])?;
    let refreshes = match query.get("refresh") {
        None => Some(viewer.url().to_owned()),
        Some("off") => None,
        Some(_) => return Err(Problem::invalid_one("refresh", "must be `off`")),
    };
    let app = &console.app;
    let (mut merchants, mut providers) = (BTreeMap::<&str, Traffic>::new(), BTreeMap::<&str, Traffic>::new());
    let (mut total, mut by_minute) = (Traffic::default(), vec![Traffic::default(); MINUTES]);
    let (mut minutes, mut open_breakers) = (1, Vec::new());
    for (merchant, connection) in viewer.gateway.connections() {
        let own = app.last_hour.of(connection.upstream.series());
        minutes = minutes.max(own.len());
        for (minute, sum) in own.iter().rev().zip(by_minute.iter_mut().rev()) {
            *sum += *minute;
            total += *minute;
            *merchants.entry(&merchant.name).or_default() += *minute;
            *providers.entry(connection.manifest.name).or_default() += *minute;
        }
        let open = connection.upstream.open_breakers();
        if open > 0 {
            let (merchant, connection, provider) =
                (merchant.name.clone(), connection.name.clone(), connection.manifest.name);
            open_breakers.push(OpenBreakers { merchant, connection, provider, open });
        }
    }
    by_minute.drain(..MINUTES - minutes.min(MINUTES));
    let open_writes = app.store.operations().open_counts().await.map_err(|error| {
        tracing::error!("the store cannot be read for the console: {error}");
        Problem::new(Code::StoreUnavailable, "the store cannot be read now")
    })?;
    let named = |map: BTreeMap<&str, Traffic>| {
        map.into_iter().map(|(name, traffic)| Named { name: name.to_owned(), traffic: traffic.into() }).collect()
    };
    viewer.show(&Overview {
        as_of: super::time(clock::now()),
        minutes,
        total: total.into(),
        open_breakers,
        open_writes: open_writes.into_iter().map(OpenWrites::from).collect(),
        store_fails: app.store.is_failing(),
        merchants: named(merchants),
        providers: named(providers),
        requests_chart: requests_chart(&by_minute, total),
        time_chart: time_chart(&by_minute, total),
        by_minute: by_minute.into_iter().map(TrafficView::from).collect(),
        refreshes,
    })
}

fn parts(traffic: &Traffic) -> [(&'static str, u64, Tone); 5] {
    [
        ("answered", traffic.ok, Tone::Good),
        ("refused (4xx)", traffic.refused, Tone::Changed),
        ("abandoned by their client", traffic.abandoned, Tone::Quiet),
        ("failed (5xx)", traffic.failed, Tone::Bad),
        ("with an unknown outcome", traffic.unknown, Tone::Bad),
    ]
}

fn requests_chart(minutes: &[Traffic], total: Traffic) -> String {
    let column =
        |minute: &Traffic| Column { parts: parts(minute).into_iter().map(|(_, size, tone)| (size, tone)).collect() };
    let busiest = minutes.iter().map(Traffic::requests).max().unwrap_or_default();
    let legend = parts(&total).map(|(label, value, tone)| Part { label, value, tone });
    let description = format!(
        "Requests in each of the last {} minutes: {} in all, at most {} in one minute",
        minutes.len(),
        grouped(total.requests()),
        grouped(busiest)
    );
    let columns: Vec<Column> = minutes.iter().map(column).collect();
    chart::columns(&of_an_hour(columns), &description) + &chart::key(&legend)
}

fn time_chart(minutes: &[Traffic], total: Traffic) -> String {
    let times = |traffic: &Traffic| {
        let of_each = TrafficView::from(*traffic);
        let (mean, provider) = (of_each.mean_ms.unwrap_or_default(), of_each.provider_ms.unwrap_or_default());
        [whole(provider * 1000.0), whole((mean - provider) * 1000.0)]
    };
    let tones = [Tone::Carried, Tone::Changed];
    let columns: Vec<Column> =
        minutes.iter().map(|minute| Column { parts: times(minute).into_iter().zip(tones).collect() }).collect();
    let of_all = TrafficView::from(total);
    let slowest = minutes.iter().filter_map(|minute| TrafficView::from(*minute).mean_ms).fold(0.0, f64::max);
    let description = format!(
        "Mean time of a request in each of the last {} minutes: {} over all, of it {} with the provider, at most {slowest:.1} ms in one minute",
        minutes.len(),
        of_all.mean(),
        of_all.provider()
    );
    chart::columns(&of_an_hour(columns), &description)
}

/// The columns with empty ones before them, so that the newest minute is always at the same place.
fn of_an_hour(columns: Vec<Column>) -> Vec<Column> {
    let missing = MINUTES.saturating_sub(columns.len());
    std::iter::repeat_with(|| Column { parts: Vec::new() }).take(missing).chain(columns).collect()
}

/// A time in microseconds as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates, and is not negative")]
fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}
