//! Counts the allocations of a translation. The limits are part of the design: see "Decisions" in docs/architecture.md.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{borrow::Cow, sync::Arc, time::Instant};

use allocation_counter::measure;
use futures_util::FutureExt;
use http::HeaderMap;
use passerelle::{
    metrics::{
        CallOutcome, ConnectionSeries, Metrics, Outcome,
        request::{self, RequestSeries},
    },
    traces::{Head, SampleRatio, Sampled, SpanContext, SpanQueue, TRACEPARENT, TraceId},
};
use passerelle_providers::{
    CustomerProvider, Settings,
    api::input,
    engine::{self, Conditions},
    kit::Step,
    model::{Command, CreateCustomer, CustomerFilter, ListCustomers, LossPolicy, Operation, Position, Response},
    text::{Source, country::Region},
    vendor,
};

#[path = "../benches/answers/mod.rs"]
mod answers;
#[path = "../benches/shapes/mod.rs"]
mod shapes;

fn lomi() -> Arc<dyn CustomerProvider> {
    let vendor = vendor("lomi").expect("lomi is in the registry");
    (vendor.connect)(Settings { generation: "v1", region: Region::parse("SN"), livemode: true })
}

#[test]
fn a_create_allocates_at_most_six_times() {
    let provider = lomi();
    let create = command();
    let command = Command::Create(create.clone());
    let answer = answers::created();
    let conditions = Conditions::canonical(LossPolicy::Reject);
    let checked = measure(|| assert!(engine::plan(&provider, &command, conditions).is_ok(), "it can be planned"));
    let mut plan = None;
    let planning = measure(|| plan = provider.plan_create(&create).ok());
    let plan = plan.expect("it can be planned");
    let mut read = None;
    let reading = measure(|| read = Some(plan.read(answer)));
    assert!(matches!(read, Some(Ok(Step::Done(_)))), "{read:?}");
    let [checked, planning, reading] = [checked, planning, reading].map(|measured| measured.count_total);
    assert!(planning + reading <= 6, "{planning} to plan it, {reading} to read the answer");
    assert!(checked <= planning + 1, "{checked} with the checks of the engine, {planning} without them");
}

#[test]
fn a_listed_customer_allocates_nothing() {
    let provider = lomi();
    let (fifty, hundred) = (read_page(&*provider, 50), read_page(&*provider, 100));
    assert!(hundred <= fifty, "{fifty} for 50 customers, {hundred} for 100");
}

/// The text type of the canonical model allocates no more than borrowed text, and can outlive the answer.
#[test]
fn a_slice_allocates_nothing() {
    let body = answers::page::of(100);
    let source = Source::new(&body).expect("it is text");
    let page = source.as_str();
    let borrowed = measure(|| drop(shapes::decode(page, |text| text))).count_total;
    let sliced = measure(|| drop(shapes::decode(page, |text| source.text(&text)))).count_total;
    let owned = measure(|| drop(shapes::decode(page, Cow::into_owned))).count_total;
    let shared = measure(|| drop(shapes::decode(page, |text| Arc::<str>::from(&*text)))).count_total;
    let flattened = measure(|| assert_eq!(shapes::decode_flattened(page), 100)).count_total;
    assert!(sliced <= borrowed + 1, "{sliced} where borrowing takes {borrowed}");
    assert!(owned > 800 && shared > 800 && flattened > 1500, "owned {owned}, shared {shared}, flattened {flattened}");
}

/// The number of allocations for reading a page of this many customers.
fn read_page(provider: &dyn CustomerProvider, customers: u16) -> u64 {
    let command = ListCustomers { limit: customers, position: Position::START, filter: CustomerFilter::default() };
    let answer = Response::new(answers::page::of(customers.into()));
    let mut read = None;
    let counted = measure(|| {
        let answered = provider.plan_list(&command).and_then(|plan| plan.read(answer)).expect("it is a page");
        let Step::Done(page) = answered else { panic!("one request is enough") };
        read = page.borrowed().ok().map(|page| page.items.len());
    });
    assert_eq!(read, Some(customers.into()));
    counted.count_total
}

/// The series of a request are found when the first one is recorded. After that, recording needs no memory, also where
/// other requests are sampled for traces.
#[test]
fn recording_a_request_that_is_not_sampled_allocates_nothing() {
    let metrics = Metrics::default();
    let series = RequestSeries::new(&metrics);
    let connection = ConnectionSeries::new(&metrics, "acme", "main", "lomi", ("api.example", 443));
    let (queue, mut spans) = SpanQueue::new(metrics.spans("dropped"));
    let head = || Head { method: "GET", route: "/v1/customers/{id}", scheme: "http", version: "1.1" };
    let record = |ratio: f64, headers: &HeaderMap| {
        let (began, parent) = (Instant::now(), SpanContext::of(headers));
        let sampled = Sampled::request(&queue, SampleRatio(ratio), parent, began, head);
        let trace: Option<TraceId> = sampled.as_ref().map(|sampled| sampled.trace());
        let request = request::Request::new(began, &series).sampled(sampled);
        assert_eq!(request.trace(), trace);
        let work = async {
            request::is_for(Operation::Retrieve, &connection);
            request::Attempt::new(&connection, "GET").finish(CallOutcome::Success, Some(200));
            assert_eq!(request::calls_context().is_some(), trace.is_some());
        };
        let ((), request) = request.during(work).now_or_never().expect("it waits for nothing");
        request.answered(200, None);
        request.finish(Outcome::Ok);
    };
    let not_sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let of_client = HeaderMap::from_iter([(TRACEPARENT, not_sampled.parse().expect("a value"))]);
    let no_headers = HeaderMap::new();
    record(0.0, &no_headers);
    assert_eq!(measure(|| record(0.0, &no_headers)).count_total, 0);
    assert_eq!(measure(|| record(1.0, &of_client)).count_total, 0);
    assert!(spans.try_recv().is_err());
    assert!(
        measure(|| record(1.0, &no_headers)).count_total > 0 && spans.try_recv().is_ok(),
        "a sampled one has spans"
    );
}

fn command() -> CreateCustomer {
    let source = Source::new(&answers::CREATE.into()).expect("it is text");
    let manifest = vendor("lomi").and_then(|vendor| vendor.manifest(None)).expect("lomi is in the registry");
    match input::command(Operation::Create, &source, manifest, Region::parse("SN")) {
        Ok(Command::Create(create)) => create,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_page_of_entries_that_are_no_records_needs_no_memory() {
    for (name, begin, end) in [
        ("lomi", r#"{"data":["#, "]}"),
        ("modempay", r#"{"data":["#, "]}"),
        ("notchpay", r#"{"items":["#, "]}"),
        ("paymentkit", r#"{"list":["#, "]}"),
        ("bitnob", r#"{"data":{"customers":["#, "]}}"),
    ] {
        let vendor = vendor(name).expect("a vendor");
        let generation = vendor.manifest(None).expect("a generation").generation;
        let provider = (vendor.connect)(Settings { generation, region: None, livemode: true });
        let list = ListCustomers { limit: 20, position: Position::START, filter: CustomerFilter::default() };
        let answer = Response::new(format!("{begin}{}{{}}{end}", "{},".repeat(100_000)).into());
        let Ok(Step::Done(page)) = provider.plan_list(&list).expect("a plan").read(answer) else {
            panic!("{name}: the page is read later");
        };
        let reading = measure(|| assert!(page.borrowed().is_err(), "{name}"));
        assert!(reading.bytes_max < 32 * 1024, "{name}: {} bytes", reading.bytes_max);
    }
}
