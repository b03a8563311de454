//! What ids cost SQLite, in steps of its virtual machine: the cost must not grow with the number of customers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    Added, NewId,
    rows::{Add, ReadPublic, ReadRouted, Resolve, Route},
};
use crate::store::database::{
    Group, Work,
    head::Head,
    sqlite::{SqliteSession, counted, ready},
};

struct Bench {
    session: SqliteSession,
    steps: Arc<AtomicU64>,
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
        for number in 0..customers {
            assert_eq!(bench.add(id(number)), Added::Stored);
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
        let taken = NewId { public_id: "other".to_owned(), ..id(1) };
        of("an id that is taken", self, &mut |bench| assert_eq!(bench.add(taken.clone()), Added::Taken));
        for (name, id, customers) in [
            ("resolving a public id", Some("public-1"), 1),
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
    let (few, many) = (Bench::of(40).costs(), Bench::of(2_000).costs());
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        assert!(few > 0 && many < few + 100, "{name}: {few} steps among 40 customers, {many} among 2,000");
    }
}
