//! What each piece of work costs SQLite, in steps of its machine: no more the more is kept. A statement that walks
//! through a table where it should have used an index is as quick as any in a small database, and shows only here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{
    Connection,
    hooks::{AuthContext, Authorization},
};

use super::{SqliteSession, keep_plans, migrate, ready};
use crate::store::{
    OperationId, Reaped, Resend, State,
    audit::{Event, Head},
    database::{Group, Work},
    ledger::{Adopt, Finish, MakeClaim, ReadOperations, Reap, Renew, SendAgain, TakeOver, Terms},
};

/// A database, and the steps that it has taken.
struct Bench {
    session: SqliteSession,
    group: Group,
    steps: Arc<AtomicU64>,
    terms: Arc<Terms>,
    made: u32,
}

const MERCHANT: &str = "acme";
const NOW: i64 = 1_800_000_000_000;

impl Bench {
    /// Holds so many writes that are done.
    fn of(count: u32) -> Self {
        let mut connection = Connection::open_in_memory().expect("a database");
        keep_plans(&connection).expect("settings");
        migrate(&mut connection).expect("its form");
        let steps = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&steps);
        let step = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        connection.progress_handler(1, Some(step)).expect("a count");
        let session = SqliteSession(connection);
        let terms = Terms {
            worker: "this".to_owned(),
            alone: true,
            lease: Duration::from_secs(30),
            joining: Duration::from_mins(2),
            answers: Duration::from_hours(72),
            tombstones: Duration::from_hours(720),
        };
        let group = Group { now: NOW, head: Head::BEGINNING };
        let mut bench = Self { session, group, steps, terms: Arc::new(terms), made: 0 };
        for number in 0..count {
            let id = bench.claim(number % 2 == 0);
            bench.end(id, Event::Done);
        }
        bench
    }

    fn run<W: Work>(&mut self, work: &W) -> W::Done {
        ready(work.perform(&mut self.session, &mut self.group)).expect("it is done")
    }

    /// A new write; every one is another request.
    fn claim(&mut self, keyed: bool) -> OperationId {
        self.made += 1;
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&self.made.to_be_bytes());
        let id = OperationId::now();
        let claim = MakeClaim {
            terms: Arc::clone(&self.terms),
            id,
            merchant: MERCHANT.to_owned(),
            connection: "main".to_owned(),
            operation: "update".to_owned(),
            customer: Some(format!("customer-{}", self.made)),
            key_hash: keyed.then_some(hash),
            joins: true,
            fingerprint: hash,
            command: vec![0; 300],
        };
        self.run(&claim);
        id
    }

    fn end(&mut self, id: OperationId, event: Event) {
        let end = Finish {
            id,
            attempt: 1,
            event,
            customer: None,
            reconcile_after: (event == Event::Unknown).then_some(NOW),
            status: Some(200),
            answer: Some(vec![0; 700]),
            unheard: false,
        };
        assert!(self.run(&end));
    }

    fn read(&mut self, state: Option<State>, id: Option<OperationId>) {
        let merchant = Some(MERCHANT.to_owned());
        self.run(&ReadOperations { merchant, id, state, limit: 10, ..ReadOperations::default() });
    }

    /// The steps of everything that happens while the gateway serves.
    fn costs(&mut self) -> Vec<(&'static str, u64)> {
        let mut costs = Vec::new();
        let mut of = |name: &'static str, bench: &mut Self, work: &mut dyn FnMut(&mut Self)| {
            let before = bench.steps.load(Ordering::Relaxed);
            work(bench);
            costs.push((name, bench.steps.load(Ordering::Relaxed) - before));
        };
        let (terms, only) = (Arc::clone(&self.terms), self.claim(false));
        of("a claim with a key", self, &mut |bench| {
            bench.claim(true);
        });
        of("a claim without a key", self, &mut |bench| {
            bench.claim(false);
        });
        of("an end", self, &mut |bench| bench.end(only, Event::Unknown));
        of("a sign of life", self, &mut |bench| bench.run(&Renew { terms: Arc::clone(&terms) }));
        of("taking over", self, &mut |bench| {
            let taken = bench.run(&TakeOver { terms: Arc::clone(&terms), only: Some(only), limit: 1 });
            assert_eq!(taken.len(), 1);
        });
        of("sending again", self, &mut |bench| {
            let noted = bench.run(&SendAgain { terms: Arc::clone(&terms), id: only, attempt: 2 });
            assert_eq!(noted, Resend::Noted);
        });
        of("adopting", self, &mut |bench| {
            assert!(bench.run(&Adopt { id: only, attempt: 2, customer: "new".to_owned() }));
        });
        of("reading one", self, &mut |bench| bench.read(None, Some(only)));
        of("a list", self, &mut |bench| bench.read(None, None));
        of("a list of what is unknown", self, &mut |bench| bench.read(Some(State::Unknown), None));
        of("a list of what is being sent", self, &mut |bench| bench.read(Some(State::Sending), None));
        of("reaping", self, &mut |bench| {
            assert_eq!(bench.run(&Reap { terms: Arc::clone(&terms) }), Reaped::default());
        });
        costs
    }
}

#[test]
fn nothing_is_dearer_the_more_is_kept() {
    let (few, many) = (Bench::of(40).costs(), Bench::of(2_000).costs());
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        assert!(few > 0 && many < few + 100, "{name}: {few} steps among 40 writes, {many} among 2,000");
    }
}

#[test]
fn statements_are_planned_once() {
    let mut bench = Bench::of(0);
    // Whatever a statement does is authorized when it is planned.
    let plans = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&plans);
    let plan = move |_: AuthContext<'_>| {
        counted.fetch_add(1, Ordering::Relaxed);
        Authorization::Allow
    };
    bench.session.0.authorizer(Some(plan)).expect("a count");
    let mut planned = || {
        for keyed in [true, false] {
            let id = bench.claim(keyed);
            bench.end(id, Event::Done);
        }
        plans.swap(0, Ordering::Relaxed)
    };
    assert!(planned() > 0, "the first time");
    assert_eq!(planned(), 0, "and not again");
}
