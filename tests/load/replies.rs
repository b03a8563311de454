//! Large replies of one provider, and what the merchants at another one still get.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::{
    bed::{Client, Endpoint, Gateway, ID, answer, flooding_provider, healthy_provider, is_full, provider},
    compared::{Compared, rounds},
    priority,
};

/// The largest reply that is accepted by default.
const MAX_REPLY: usize = 8 << 20;
/// The largest reply with one record.
const MAX_RECORD: usize = 512 << 10;
/// The most memory of the process, in MiB.
const MAX_PEAK: u64 = 160;

/// The clients that ask at once.
const CLIENTS: usize = 32;

/// A text that repeats a part up to about `size` bytes.
fn repeated(begin: &str, part: &str, end: &str, size: usize) -> String {
    format!("{begin}{}{end}", part.repeat((size - begin.len() - end.len()) / part.len()))
}

/// What the clients of the provider with large replies do.
#[derive(Clone, Copy)]
enum Clients {
    /// List customers.
    List,
    /// List customers, and read nothing of the answer after its head before the next round.
    ListWithoutReading,
    /// Retrieve a customer.
    Retrieve,
    /// Create a customer.
    Create,
    /// Update a customer.
    Update,
}

/// The id of a customer of which only this request knows.
fn new_id() -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let number = format!("{:012x}", MADE.fetch_add(1, Ordering::Relaxed));
    format!("{}{number}", &ID[..ID.len() - number.len()])
}

impl Clients {
    async fn send(self, client: &mut Client) {
        static CREATED: AtomicUsize = AtomicUsize::new(0);
        let status = match self {
            Self::List => client.get("/v1/customers?limit=100").await,
            Self::Retrieve => client.get(&format!("/v1/customers/{ID}")).await,
            Self::Create => {
                // Equal creates would be one.
                let number = CREATED.fetch_add(1, Ordering::Relaxed);
                client.send("POST", "/v1/customers", &format!(r#"{{"name":"Amadou Ba {number}"}}"#)).await
            }
            Self::Update => {
                client.send("PATCH", &format!("/v1/customers/{}", new_id()), r#"{"name":"Amadou Ba"}"#).await
            }
            Self::ListWithoutReading => {
                client.get_head("/v1/customers?limit=100").await.expect("every request is answered");
                return;
            }
        };
        assert_ne!(status, 0, "every request is answered");
    }
}

/// Clients use a provider whose replies are large, while others retrieve a customer at another one.
async fn others_are_served_during(name: &str, clients: Clients, status: &'static str, body: String) {
    let large = answer(status, &body);
    drop(body);
    let answers = provider(Arc::new(move |head| Some(with_its_id(&large, head))));
    let large = priority::low(answers).await.expect("a provider");
    beside(name, clients, large).await.judge(name);
}

/// All clients ask at once, and each again when it is answered. One that is refused first waits as long as the answer
/// says. So the gateway always handles as many large replies as it accepts, and refuses the others once a second.
fn ask_again_and_again(gateway: &Gateway, clients: Clients) -> JoinHandle<()> {
    let all: Vec<_> = (0..CLIENTS).map(|_| Client::new(gateway, "large")).collect();
    priority::low(async move {
        join_all(all.into_iter().map(|mut client| async move {
            loop {
                clients.send(&mut client).await;
                client.wait().await;
            }
        }))
        .await;
    })
}

/// Clients use a provider, while others retrieve a customer at another one. Compares how long the others wait.
async fn beside(name: &str, clients: Clients, large: Endpoint) -> Compared {
    let merchants = [("large".to_owned(), large), ("other".to_owned(), healthy_provider().await)];
    let gateway = Gateway::start(&merchants);
    let mut compared = Compared::default();
    for _ in 0..rounds() {
        compared.quiet(&gateway, "other").await;
        let load = ask_again_and_again(&gateway, clients);
        compared.loaded(&gateway, "other").await;
        assert!(!load.is_finished(), "{name}: a request was not answered");
        load.abort();
        let _ = load.await;
    }
    let peak = gateway.peak();
    eprintln!("{name}: {CLIENTS} at once, peak {peak} MiB, {compared}");
    assert!(peak <= MAX_PEAK, "{name}: {peak} MiB");
    compared
}

/// The HTTP client cannot count interim responses, so only the time-out of the attempt ends a flood of them. Until then it
/// uses the processors, and the requests of others wait: their times are shown and not judged.
#[tokio::test(flavor = "multi_thread")]
async fn floods_of_interim_responses_need_no_memory() {
    let heads = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n".repeat(100);
    let flooding = priority::low(flooding_provider(heads)).await.expect("a provider");
    beside("interim responses", Clients::Retrieve, flooding).await;
}

/// The answer to a request, with the id that its path has. Each create makes a customer with an id of its own.
fn with_its_id(answer: &Arc<Vec<u8>>, head: &str) -> Arc<Vec<u8>> {
    let prefix = &ID[..ID.len() - 12];
    let id = match head.starts_with("POST") {
        true => new_id(),
        false => head.find(prefix).and_then(|begin| head.get(begin..begin + ID.len())).unwrap_or(ID).to_owned(),
    };
    let shown = answer.windows(ID.len()).take(1024).position(|window| window == ID.as_bytes());
    let (true, Some(begin)) = (id != ID, shown) else { return Arc::clone(answer) };
    Arc::new([&answer[..begin], id.as_bytes(), &answer[begin + ID.len()..]].concat())
}

fn size() -> usize {
    if is_full() { MAX_REPLY } else { MAX_REPLY / 4 }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_entries_that_are_no_records() {
    others_are_served_during("no records", Clients::List, "200 OK", repeated(r#"{"data":["#, "{},", "{}]}", size()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_many_small_records() {
    let part = format!(r#"{{"customer_id":"{ID}"}},"#);
    let body = repeated(r#"{"data":["#, &part, part.trim_end_matches(','), size() - 10);
    others_are_served_during("small records", Clients::List, "200 OK", body + "]}").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_large_records() {
    let part = format!(r#"{{"customer_id":"{ID}","note":"{}"}},"#, "N".repeat(size() / 100));
    let body = format!(r#"{{"data":[{}{}]}}"#, part.repeat(98), part.trim_end_matches(','));
    others_are_served_during("large records", Clients::List, "200 OK", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_with_much_metadata() {
    let begin = format!(r#"{{"data":[{{"customer_id":"{ID}","metadata":{{"#);
    others_are_served_during(
        "metadata",
        Clients::List,
        "200 OK",
        repeated(&begin, r#""a":1,"#, r#""a":1}}]}"#, size()),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_refusals() {
    let body = repeated(r#"{"error":{"message":"no","details":["#, "{},", "{}]}}", size());
    others_are_served_during("refusals", Clients::List, "400 Bad Request", body).await;
}

/// A page with one record, whose members are these.
fn page_of_one(members: &str) -> String {
    format!(r#"{{"data":[{{"customer_id":"{ID}",{members}}}]}}"#)
}

/// A page whose records are nearly as large as they may be.
fn page_of_notes() -> String {
    let record = format!(r#"{{"customer_id":"{ID}","note":"{}"}}"#, "N".repeat(MAX_RECORD - 200));
    format!(r#"{{"data":[{}]}}"#, vec![record; size() / MAX_RECORD - 1].join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn records_with_one_large_field() {
    let body = page_of_one(&format!(r#""name":"{}""#, "N".repeat(size() - 100)));
    others_are_served_during("one large field", Clients::List, "200 OK", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_with_one_large_unknown_member() {
    let body = page_of_one(&format!(r#""note":"{}""#, "N".repeat(size() - 100)));
    others_are_served_during("one large unknown member", Clients::List, "200 OK", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_with_one_large_metadata_value() {
    let body = page_of_one(&format!(r#""metadata":{{"note":"{}"}}"#, "N".repeat(size() - 120)));
    others_are_served_during("one large metadata value", Clients::List, "200 OK", body).await;
}

/// Text with escapes is copied when it is read, and a name is answered twice. Each record has nearly the largest size.
#[tokio::test(flavor = "multi_thread")]
async fn records_with_large_escaped_texts() {
    let record = format!(r#"{{"customer_id":"{ID}","name":"{}"}}"#, r"\n".repeat(MAX_RECORD / 2 - 100));
    let records = vec![record; size() / MAX_RECORD - 1].join(",");
    let body = format!(r#"{{"data":[{records}]}}"#);
    others_are_served_during("large escaped texts", Clients::List, "200 OK", body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_answers_that_clients_do_not_read() {
    let body = page_of_notes();
    others_are_served_during("unread answers", Clients::ListWithoutReading, "200 OK", body).await;
}

/// Rounds that follow each other at once: memory that is free goes back to the system, or is used again.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_rounds_need_no_more_memory_than_one() {
    let rounds = if is_full() { 50 } else { 3 };
    let large = answer("200 OK", &page_of_notes());
    let large = priority::low(provider(Arc::new(move |_| Some(Arc::clone(&large))))).await.expect("a provider");
    let merchants = [("large".to_owned(), large)];
    let gateway = Gateway::start(&merchants);
    let mut served = 0;
    for _ in 0..rounds {
        let clients = (0..CLIENTS).map(|_| {
            let mut client = Client::new(&gateway, "large");
            priority::low(async move { client.get("/v1/customers?limit=100").await })
        });
        for status in clients.collect::<Vec<_>>() {
            served += usize::from(status.await.expect("a client") == 200);
        }
    }
    let peak = gateway.peak();
    eprintln!("repeated rounds: {CLIENTS} at once, {rounds} rounds, {served} served, peak {peak} MiB");
    assert!(served >= rounds, "each round serves some");
    assert!(peak <= MAX_PEAK, "{peak} MiB");
}

/// A record that a provider answers, of the size at which a record is still accepted, or larger.
fn record_of(size: usize) -> String {
    format!(r#"{{"data":{{"customer_id":"{ID}","name":"Amadou Ba","note":"{}"}}}}"#, "N".repeat(size - 120))
}

#[tokio::test(flavor = "multi_thread")]
async fn retrieves_that_are_answered_with_a_large_record() {
    others_are_served_during("retrieves, 8 MB", Clients::Retrieve, "200 OK", record_of(size())).await;
    others_are_served_during("retrieves, 512 KiB", Clients::Retrieve, "200 OK", record_of(MAX_RECORD)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creates_that_are_answered_with_a_large_record() {
    others_are_served_during("creates, 8 MB", Clients::Create, "201 Created", record_of(size())).await;
    others_are_served_during("creates, 512 KiB", Clients::Create, "201 Created", record_of(MAX_RECORD)).await;
}

/// Records below the largest size that is accepted.
#[tokio::test(flavor = "multi_thread")]
async fn updates_that_are_answered_with_a_large_record() {
    others_are_served_during("updates, 0.4 MB", Clients::Update, "200 OK", record_of(400_000)).await;
}
