//! The memory of a twin with many customers, and the work for one page of them.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking, and prints its figure")]

use allocation_counter::measure;
use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use passerelle::twin::Twin;
use passerelle_providers::{
    Settings,
    model::{Request, auth::Credentials},
    vendor,
};

const MOST_BYTES: u64 = 1000;

struct Lomi(Twin);

impl Lomi {
    fn new() -> Self {
        let lomi = vendor("lomi").expect("lomi is in the registry");
        Self(Twin::new(lomi, Settings { generation: "v1", region: None, livemode: true }, Credentials::default()))
    }

    fn send(&self, method: Method, path: &str, body: &str, number: u128) -> StatusCode {
        // A server reads a request into a buffer that is larger than its body.
        let mut buffer = Vec::with_capacity(8 << 10);
        buffer.extend_from_slice(body.as_bytes());
        buffer.resize(8 << 10, b' ');
        let mut request = Request::new(Bytes::from(buffer).slice(..body.len()));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("a path");
        let headers = [("x-api-key", "any"), ("content-type", "application/json")];
        for (name, value) in headers {
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        self.0.answer(request, Timestamp::UNIX_EPOCH, number.to_be_bytes()).status()
    }

    fn create(&self, customers: u128) {
        for number in 1..=customers {
            let body = format!(
                r#"{{"name":"Amadou Ba","email":"amadou.ba{number}@example.com","phone_number":"+22177{:07}","city":"Dakar","country":"SN","address":"12 Avenue Cheikh Anta Diop","metadata":{{"tier":"gold","ref":"order-{number}"}}}}"#,
                number % 10_000_000
            );
            let status = self.send(Method::POST, "/customers", &body, number);
            assert_eq!(status, StatusCode::CREATED, "customer {number}");
        }
    }

    /// How many allocations a request takes, and of how many bytes. To compare a customer, a twin allocates its texts; a list
    /// of customers takes eight bytes for each.
    fn allocations(&self, path: &str) -> [u64; 2] {
        let mut status = None;
        let counted = measure(|| status = Some(self.send(Method::GET, path, "", 0)));
        assert_eq!(status, Some(StatusCode::OK), "{path}");
        [counted.count_total, counted.bytes_total]
    }
}

#[track_caller]
fn check_memory(customers: u128) {
    let lomi = Lomi::new();
    let counted = measure(|| lomi.create(customers));
    let bytes =
        u64::try_from(counted.bytes_current).expect("it keeps something") / u64::try_from(customers).expect("few");
    assert!(bytes <= MOST_BYTES, "{bytes} bytes a customer");
    println!("{bytes} bytes a customer");
}

#[test]
fn a_twin_keeps_at_most_1_kb_a_customer() {
    check_memory(5000);
}

#[test]
#[ignore = "it takes a minute: cargo test --test twin_memory -- --ignored --nocapture"]
fn a_twin_keeps_at_most_1_kb_of_each_of_100_000_customers() {
    check_memory(100_000);
}

/// A list of all customers that is read to the end would otherwise take a time that grows with the square of their number.
#[test]
fn a_page_and_a_look_up_cost_the_same_with_ten_times_as_many_customers() {
    let (few, many) = (Lomi::new(), Lomi::new());
    few.create(300);
    many.create(3000);
    let id = "/customers/00000000-0000-4000-8000-000000000005";
    for path in ["/customers?page=2&limit=20", "/customers?email=amadou.ba5%40example.com", id] {
        let ([few, few_bytes], [many, many_bytes]) = (few.allocations(path), many.allocations(path));
        assert!(many <= few + 5, "{path}: {few} allocations, {many} with ten times as many customers");
        assert!(
            many_bytes <= few_bytes + 1000,
            "{path}: {few_bytes} bytes, {many_bytes} with ten times as many customers"
        );
    }
}
