//! Measures a translation without I/O: a create, and a page of 100 customers, for lomi.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use passerelle_providers::{
    CustomerProvider, Settings,
    api::{
        JsonLimits, input,
        view::{CustomersView, Origin},
    },
    json::Json,
    kit::Step,
    model::{CreateCustomer, CustomerFilter, ListCustomers, Position, Response},
    text::{Source, country::Region},
    vendor,
};

mod answers;

/// The allocator of the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn lomi() -> Arc<dyn CustomerProvider> {
    let vendor = vendor("lomi").expect("lomi is in the registry");
    (vendor.connect)(Settings { generation: "v1", region: Region::parse("SN"), livemode: true })
}

fn create(criterion: &mut Criterion) {
    let provider = lomi();
    let body = Bytes::from_static(answers::CREATE.as_bytes());
    let read_body = || {
        let source = Source::new(&body).expect("it is text");
        input::fields(&source, JsonLimits::DEFAULT, Region::parse("SN")).expect("it is a customer")
    };
    let command = CreateCustomer { fields: read_body(), ..CreateCustomer::default() };
    let mut group = criterion.benchmark_group("create");
    group.bench_function("read the merchant's body", |bencher| bencher.iter(read_body));
    group.bench_function("plan", |bencher| bencher.iter(|| provider.plan_create(&command)));
    group.bench_function("plan and read the answer", |bencher| {
        bencher.iter(|| provider.plan_create(&command).and_then(|plan| plan.read(answers::created())));
    });
    group.finish();
}

fn list(criterion: &mut Criterion) {
    let provider = lomi();
    let command = ListCustomers { limit: 100, position: Position::START, filter: CustomerFilter::default() };
    let body = answers::page::of(100);
    let page = || match provider.plan_list(&command).and_then(|plan| plan.read(Response::new(body.clone()))) {
        Ok(Step::Done(page)) => page,
        other => panic!("{other:?}"),
    };
    let mut group = criterion.benchmark_group("page of 100");
    group.throughput(Throughput::Elements(100));
    group.bench_function("plan and read the answer", |bencher| bencher.iter(|| page().borrowed().map(drop)));
    group.bench_function("plan, read and keep the answer", |bencher| bencher.iter(|| page().into_owned().map(drop)));
    let page = page();
    let borrowed = page.borrowed().expect("it is a page");
    group.bench_function("write ours", |bencher| {
        let origin = Origin { provider: "lomi", connection: "main" };
        let write = |mut buffer: Vec<u8>| {
            CustomersView { customers: &borrowed.items, origin, origins: &[] }.write(&mut buffer);
            buffer
        };
        bencher.iter_batched(|| Vec::with_capacity(128 * 1024), write, BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, create, list);
criterion_main!(benches);
