//! A database for one test, with a clock that only the test moves.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, header};
use jiff::Timestamp;
use passerelle::{
    config,
    store::{
        CarriedChanges, Claim, ContactChanges, CreatedContacts, EarlierContents, End, NewOperation, OperationId,
        Record, Settings, Store, StoreError, StoredAnswer,
    },
};
use tempfile::TempDir;

/// The longest that a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A key for tests.
pub(crate) fn key(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// A clock that does not move until a test moves it.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_800_000_000_000)))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).expect("a time")
    }

    pub(crate) fn move_by(&self, duration: Duration) {
        self.0.fetch_add(milliseconds(duration), Ordering::SeqCst);
    }

    pub(crate) fn move_back(&self, duration: Duration) {
        self.0.fetch_sub(milliseconds(duration), Ordering::SeqCst);
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("a short time")
}

/// A database of one test.
pub(crate) struct Bed {
    pub(crate) url: String,
    pub(crate) clock: TestClock,
    /// Whether several processes may share it.
    pub(crate) shared: bool,
    /// Removed with the test.
    _folder: Option<TempDir>,
}

impl Bed {
    pub(crate) fn file() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("store.db").display());
        Self { url, clock: TestClock::new(), shared: false, _folder: Some(folder) }
    }

    pub(crate) fn memory() -> Self {
        Self { url: "sqlite::memory:".to_owned(), clock: TestClock::new(), shared: false, _folder: None }
    }

    pub(crate) fn server(url: String) -> Self {
        Self { url, clock: TestClock::new(), shared: true, _folder: None }
    }

    /// The SQLite file.
    pub(crate) fn path(&self) -> PathBuf {
        self.url.trim_start_matches("sqlite:").into()
    }

    pub(crate) fn settings(&self, more: &str) -> Result<Settings, StoreError> {
        let text = format!("[store]\nurl = \"{}\"\n{more}", self.url);
        let loaded = config::load_text(&text, "test").expect("a configuration");
        let mut settings = Settings::of(&loaded)?;
        let clock = self.clock.clone();
        settings.clock = Some(Arc::new(move || clock.now()));
        Ok(settings)
    }

    pub(crate) async fn try_open(&self, more: &str) -> Result<Store, StoreError> {
        Store::open(&self.settings(more)?).await
    }

    /// Opens the store, with a key for tests.
    pub(crate) async fn open(&self) -> Store {
        self.open_with(&format!("key = \"{}\"", key('1'))).await
    }

    /// Opens the store. It may have been closed a moment ago. If another test starts a program at this moment, the new process still
    /// has the files of this one, and with them the lock of the store.
    pub(crate) async fn open_with(&self, more: &str) -> Store {
        let began = Instant::now();
        loop {
            match self.try_open(more).await {
                Err(StoreError::Locked(_)) if began.elapsed() < PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                opened => return opened.expect("a store"),
            }
        }
    }
}

/// A write with an idempotency key.
pub(crate) fn keyed(merchant: &str, key: &str, request: &str) -> NewOperation {
    NewOperation { key: Some(key.to_owned()), ..keyless(merchant, request) }
}

/// A write without one.
pub(crate) fn keyless(merchant: &str, request: &str) -> NewOperation {
    NewOperation {
        id: OperationId::now(),
        merchant: merchant.to_owned(),
        connection: "main".to_owned(),
        operation: "create".to_owned(),
        customer: None,
        key: None,
        key_name: None,
        joins: true,
        request: Bytes::from(request.to_owned()),
        earlier: EarlierContents::default(),
        copy: None,
        command: Bytes::from(format!("{{\"command\":\"{request}\"}}")),
        home: None,
        contacts: CreatedContacts::default(),
    }
}

pub(crate) fn answer(status: u16) -> StoredAnswer {
    let headers = vec![(header::LOCATION, HeaderValue::from_static("/v1/customers/c1"))];
    StoredAnswer { status, headers, body: Bytes::from_static(b"{\"name\":\"Amadou\xc3\xa9\"}\n") }
}

pub(crate) fn done() -> End {
    End::Done {
        customer: Some("c1".to_owned()),
        contacts: ContactChanges::default(),
        carried: CarriedChanges::default(),
        answer: answer(201),
    }
}

/// The end of a write that was answered with so many bytes.
pub(crate) fn done_with(bytes: usize) -> End {
    let answer = StoredAnswer { status: 201, headers: Vec::new(), body: Bytes::from(vec![b'x'; bytes]) };
    End::Done { customer: None, contacts: ContactChanges::default(), carried: CarriedChanges::default(), answer }
}

/// Claims a write that must be new.
pub(crate) async fn claim(store: &Store, new: NewOperation) -> OperationId {
    let id = new.id;
    assert_eq!(store.operations().claim(new).await, Ok(Claim::New { attempt: 1 }));
    id
}

/// Takes over the operations that are due. There must be exactly one.
pub(crate) async fn take_over_one(store: &Store) -> Record {
    let mut taken = store.operations().take_over(10).await.expect("taken over");
    assert_eq!(taken.len(), 1, "{taken:?}");
    taken.remove(0)
}

/// Waits until the condition holds.
pub(crate) async fn soon(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !is_so().await {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
