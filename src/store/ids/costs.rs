//! What ids cost SQLite, in steps of its virtual machine: the cost must not grow with the number of customers.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use passerelle_providers::model::Patch;

use super::{
    Added, HomeOfWrite, IdOrigin, NewId, OpenSwitch, Routing,
    adopting::{Adopt, NewRow, Page, ReadAdopted},
    homes::{Planned, confirm, lift},
    marks::{Copied, Lost, NoteLost, Pin, ReadCustomers, Unpin, Which},
    pages::{CountPinned, HasTail, ReadPage},
    routes::{Activate, Begin, EndSwitch, Flip},
    rows::{Add, ReadPublic, ReadRouted, Resolve, Route},
};
use crate::store::{
    contacts::{ContactKind, RowContacts},
    database::{
        Group, Session as _, Work,
        head::Head,
        sqlite::{SqliteSession, counted, ready},
    },
    hashes::Hashes,
};

struct Bench {
    session: SqliteSession,
    steps: Arc<AtomicU64>,
}

/// The hash of a contact that one customer has.
fn hash(number: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], &[0; 4]].concat()
}

fn id(number: u32) -> NewId {
    NewId {
        public_id: format!("public-{number}"),
        connection: "main".to_owned(),
        provider_id: format!("provider-{number}"),
        pinned: None,
    }
}

impl Bench {
    fn of(customers: u32) -> Self {
        let (session, steps) = counted();
        let mut bench = Self { session, steps };
        bench.run(&Route { merchant: "acme".to_owned(), connection: "main".to_owned() });
        bench.begin();
        bench.adopt(0..customers);
        for number in 0..customers {
            let insert = format!(
                "INSERT INTO operations (id, merchant, connection, operation, customer, fingerprint, state, attempt, created_at, \
                 sent_at, finished_at) VALUES ('{number}', 'acme', 'main', 'update', 'provider-{number}', x'00', 'done', 1, 0, 0, 0)"
            );
            ready(bench.session.execute(&insert, &[])).expect("stored");
        }
        bench
    }

    fn run<W: Work>(&mut self, work: &W) -> W::Done {
        let mut group = Group { now: 0, head: Some(Head::BEGINNING) };
        ready(work.perform(&mut self.session, &mut group)).expect("it is done")
    }

    fn add(&mut self, new: NewId) -> Added {
        self.run(&Add { merchant: "acme".to_owned(), new })
    }

    fn resolve(&mut self, id: Option<&str>) -> usize {
        let resolved = self.run(&Resolve { merchant: "acme".to_owned(), id: id.map(str::to_owned) });
        resolved.expect("a routing row").customers.len()
    }

    fn begin(&mut self) -> Routing {
        let [merchant, connection, switch_id, other] = ["acme", "main", "sw_1", "new"].map(str::to_owned);
        self.run(&Begin { merchant, connection, switch_id, other })
    }

    fn page(numbers: Range<u32>, sent_at: Option<i64>) -> Arc<Page> {
        let records = numbers.map(|number| NewRow {
            provider_id: format!("provider-{number}"),
            email: Some(hash(number)),
            phone: None,
        });
        let (merchant, connection) = ("acme".to_owned(), "main".to_owned());
        Arc::new(Page { merchant, connection, records: records.collect(), sent_at })
    }

    fn adopt(&mut self, numbers: Range<u32>) {
        let hashes = Arc::new(Hashes::derive(&[1; 32]));
        self.run(&Adopt { page: Self::page(numbers, None), hashes });
    }

    fn read(&mut self, which: Which, limit: usize) -> usize {
        self.run(&ReadCustomers { merchant: "acme".to_owned(), which, limit }).len()
    }

    /// The steps of what a switch does.
    fn costs_of_switches(&mut self) -> Vec<(&'static str, u64)> {
        let mut costs = Vec::new();
        let mut of = |name: &'static str, bench: &mut Self, work: &mut dyn FnMut(&mut Self)| {
            let before = bench.steps.load(Ordering::Relaxed);
            work(bench);
            costs.push((name, bench.steps.load(Ordering::Relaxed) - before));
        };
        let (merchant, public_id) = ("acme".to_owned(), "provider-7".to_owned());
        let planned = Planned {
            merchant: "acme",
            connection: "main",
            operation: "update",
            customer: Some("provider-7"),
            is_copy: false,
        };
        let home = HomeOfWrite { epoch: 0, public_id: Some(public_id.clone()), is_copy: false };
        of("a page whose rows are there", self, &mut |bench| {
            assert!(bench.run(&ReadAdopted(Self::page(0..20, None))).is_some());
        });
        of("adopting one", self, &mut |bench| bench.adopt(1 << 21..(1 << 21) + 1));
        of("a claim of a home", self, &mut |bench| {
            let allowed = ready(planned.allowed(&mut bench.session, Some(&home))).expect("read").expect("allowed");
            ready(planned.claim(&mut bench.session, &allowed)).expect("claimed");
        });
        of("a claim that writes a row", self, &mut |bench| {
            let planned = Planned { customer: Some("unknown"), ..planned };
            let allowed = ready(planned.allowed(&mut bench.session, None)).expect("read").expect("allowed");
            ready(planned.claim(&mut bench.session, &allowed)).expect("claimed");
        });
        of("its failure", self, &mut |bench| {
            let planned = Planned { customer: Some("unknown"), ..planned };
            ready(lift(&mut bench.session, planned)).expect("ended");
        });
        of("a failure", self, &mut |bench| ready(lift(&mut bench.session, planned)).expect("ended"));
        of("an end", self, &mut |bench| {
            let email = hash(1 << 22);
            let contacts = RowContacts { email: Patch::Set(&email), phone: Patch::Clear, shown: Some(&[1; 100]) };
            ready(confirm(&mut bench.session, planned, contacts, 0)).expect("ended");
        });
        of("the marks", self, &mut |bench| {
            assert_eq!(bench.read(Which::Marked { after: String::new() }, 10), 1);
        });
        of("a copy", self, &mut |bench| {
            let copied = Copied {
                merchant: merchant.clone(),
                public_id: public_id.clone(),
                version: 3,
                connection: "new".to_owned(),
                provider_id: "new-7".to_owned(),
                origin: IdOrigin::Created,
                seen: vec![0; 64],
                home: None,
            };
            assert!(bench.run(&copied));
        });
        of("unpinning", self, &mut |bench| {
            let (merchant, public_id) = (merchant.clone(), public_id.clone());
            let unpin = Unpin { merchant, public_id, lag: 0, version: 3, needs_outcome: false };
            assert!(bench.run(&unpin));
        });
        of("noting who is gone", self, &mut |bench| {
            bench.run(&NoteLost {
                lost: Lost::Gone,
                merchant: merchant.clone(),
                public_id: public_id.clone(),
                is_so: true,
            });
        });
        of("pinning a chunk", self, &mut |bench| {
            bench.run(&Pin { merchant: merchant.clone(), after: String::new(), limit: 10 });
        });
        let pinned = || Which::Pinned { connection: "main".to_owned(), after: "provider-1".to_owned() };
        of("the tail", self, &mut |bench| assert_eq!(bench.read(pinned(), 10), 10));
        of("counting the tail", self, &mut |bench| {
            let (merchant, connection) = (merchant.clone(), "main".to_owned());
            assert_eq!(bench.run(&CountPinned { merchant, connection, most: 10 }), 10);
        });
        of("asking for the tail of a walk", self, &mut |bench| {
            let (merchant, first, other) = (merchant.clone(), "new".to_owned(), "main".to_owned());
            assert!(bench.run(&HasTail { merchant, first, other, since: -1 }));
        });
        of("the homes of a page", self, &mut |bench| {
            let provider_ids = (0..20).map(|number| format!("provider-{number}")).collect();
            let (merchant, connection) = (merchant.clone(), "main".to_owned());
            assert_eq!(bench.run(&ReadPage { merchant, connection, provider_ids }).len(), 20);
        });
        of("all", self, &mut |bench| assert_eq!(bench.read(Which::All { after: "provider-1".to_owned() }, 10), 10));
        of("by a contact", self, &mut |bench| {
            assert_eq!(bench.read(Which::HasContact { kind: ContactKind::Email, hash: hash(3) }, 10), 1);
        });
        of("beginning", self, &mut |bench| assert!(bench.begin().open.is_some()));
        let other = "new".to_owned();
        let from = Routing {
            connection: "main".to_owned(),
            epoch: 0,
            open: Some(OpenSwitch { id: "sw_1".to_owned(), other: other.clone() }),
        };
        of("a flip", self, &mut |bench| {
            let (switch_id, from) = ("sw_1".to_owned(), from.clone());
            assert!(bench.run(&Flip { merchant: merchant.clone(), switch_id, from, to: other.clone() }));
        });
        of("activating", self, &mut |bench| {
            bench.run(&Activate { merchant: merchant.clone(), connection: "main".to_owned(), above: 6 });
        });
        of("ending", self, &mut |bench| {
            assert!(bench.run(&EndSwitch { merchant: merchant.clone(), switch_id: "sw_1".to_owned(), epoch: 7 }));
        });
        costs
    }

    fn costs(&mut self) -> Vec<(&'static str, u64)> {
        let mut costs = Vec::new();
        let mut of = |name: &'static str, bench: &mut Self, work: &mut dyn FnMut(&mut Self)| {
            let before = bench.steps.load(Ordering::Relaxed);
            work(bench);
            costs.push((name, bench.steps.load(Ordering::Relaxed) - before));
        };
        of("learning", self, &mut |bench| assert_eq!(bench.run(&ReadRouted).len(), 1));
        of("adding an id", self, &mut |bench| assert_eq!(bench.add(id(1 << 20)), Added::Stored));
        of("adding it again", self, &mut |bench| assert_eq!(bench.add(id(1 << 20)), Added::Stored));
        let taken = NewId { public_id: "other".to_owned(), ..id(1 << 20) };
        of("an id that is taken", self, &mut |bench| assert_eq!(bench.add(taken.clone()), Added::Taken));
        for (name, id, customers) in [
            ("resolving a public id", Some("public-1048576"), 1),
            ("resolving an id of a provider", Some("provider-1"), 1),
            ("resolving an unknown id", Some("unknown"), 0),
            ("reading the routing", None, 0),
        ] {
            of(name, self, &mut |bench| assert_eq!(bench.resolve(id), customers));
        }
        let provider_ids = (0..20).map(|number| format!("provider-{number}")).collect();
        let page = ReadPublic { merchant: "acme".to_owned(), provider_ids };
        of("mapping a page", self, &mut |bench| assert_eq!(bench.run(&page).len(), 20));
        costs
    }
}

#[test]
fn no_work_on_ids_costs_more_where_more_customers_are_kept() {
    let costs = |customers| {
        let mut bench = Bench::of(customers);
        [bench.costs(), bench.costs_of_switches()].concat()
    };
    let (few, many) = (costs(40), costs(2_000));
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        assert!(few > 0 && many < few + 100, "{name}: {few} steps among 40 customers, {many} among 2,000");
    }
}
