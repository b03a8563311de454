//! Measures how many writes per second the store can claim and finish on a real disk, with `synchronous=FULL`:
//! `cargo bench --bench store -- [TASKS] [SECONDS]`. The database file is created in `BENCH_FOLDER`,
//! or else in the working directory, because `/tmp` may be in memory.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a measurement prints, and fails by panicking")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, header};
use passerelle::{
    config,
    store::{
        CarriedChanges, Claim, ContactChanges, CreatedContacts, EarlierContents, End, NewOperation, OperationId,
        Settings, Store, StoredAnswer,
    },
};

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let (tasks, seconds) = (numbers.next().unwrap_or(32), numbers.next().unwrap_or(5));
    let folder = std::env::var_os("BENCH_FOLDER").unwrap_or_else(|| ".".into());
    let folder = tempfile::tempdir_in(folder).expect("a folder");
    let url =
        std::env::var("BENCH_URL").unwrap_or_else(|_| format!("sqlite:{}", folder.path().join("bench.db").display()));
    let text = format!("[store]\nurl = \"{url}\"\nkey = \"{}\"\n", "0a".repeat(32));
    let loaded = config::load_text(&text, "bench").expect("a configuration");
    let settings = Settings::of(&loaded).expect("settings");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run(settings, tasks, Duration::from_secs(seconds)));
}

async fn run(settings: Settings, tasks: u64, time: Duration) {
    let store = Store::open(&settings).await.expect("a store");
    let pairs = Arc::new(AtomicU64::new(0));
    let begin = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let (store, pairs) = (store.clone(), Arc::clone(&pairs));
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                while begin.elapsed() < time {
                    let start = Instant::now();
                    claim_and_finish(&store).await;
                    slowest = slowest.max(start.elapsed());
                    pairs.fetch_add(1, Ordering::Relaxed);
                }
                slowest
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for task in running {
        slowest = slowest.max(task.await.expect("a task"));
    }
    let pairs = pairs.load(Ordering::Relaxed);
    let rate = pairs * 1000 / u64::try_from(begin.elapsed().as_millis()).unwrap_or(1).max(1);
    println!("{tasks} tasks: {rate} pairs of claim and finish a second ({pairs} pairs, slowest pair {slowest:?})");
}

async fn claim_and_finish(store: &Store) {
    let id = OperationId::now();
    let body =
        Bytes::from(format!("{{\"name\":\"Amadou Ba\",\"email\":\"{id}@example.com\",\"phone\":\"+221771234567\"}}"));
    let new = NewOperation {
        copy: None,
        id,
        merchant: "acme".to_owned(),
        connection: "main".to_owned(),
        operation: "create".to_owned(),
        customer: None,
        key: Some(id.to_string()),
        key_name: None,
        joins: true,
        request: body.clone(),
        earlier: EarlierContents::default(),
        command: body.clone(),
        home: None,
        contacts: CreatedContacts::default(),
    };
    let Ok(Claim::New { attempt }) = store.operations().claim(new).await else { return };
    let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let answer = StoredAnswer { status: 201, headers, body: Bytes::from(vec![b'x'; 900]) };
    let end = End::Done {
        customer: Some(id.to_string()),
        contacts: ContactChanges::default(),
        carried: CarriedChanges::default(),
        answer,
    };
    assert_eq!(store.operations().finish(id, attempt, end).await, Ok(true));
}
