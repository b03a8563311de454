//! Measures the cost of the model's text type: decodes a page of 100 customers with each candidate type. The figures
//! are in `docs/architecture.md`. `tests/allocations.rs` counts the allocations of each.

#![expect(clippy::expect_used, reason = "a benchmark fails by panicking")]

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use passerelle_providers::text::Source;

#[path = "answers/page.rs"]
mod page;
mod shapes;

/// The allocator of the gateway. With a slower one, copies would cost more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn text(criterion: &mut Criterion) {
    let body = page::of(100);
    let source = Source::new(&body).expect("it is text");
    let mut group = criterion.benchmark_group("text");
    group.bench_function("borrowed Cow", |bencher| bencher.iter(|| shapes::decode(source.as_str(), |text| text)));
    group.bench_function("ByteString slices", |bencher| {
        bencher.iter(|| shapes::decode(source.as_str(), |text| source.text(&text)));
    });
    group.bench_function("owned String", |bencher| {
        bencher.iter(|| shapes::decode(source.as_str(), std::borrow::Cow::into_owned));
    });
    group.bench_function("Arc<str>", |bencher| {
        bencher.iter(|| shapes::decode(source.as_str(), |text| Arc::<str>::from(&*text)));
    });
    group.finish();
    criterion.bench_function("unknown members/serde flatten", |bencher| {
        bencher.iter(|| shapes::decode_flattened(source.as_str()));
    });
}

criterion_group!(benches, text);
criterion_main!(benches);
