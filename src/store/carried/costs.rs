//! What carried fields cost SQLite, in steps of its virtual machine: the cost must not grow with the number of customers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use passerelle_providers::{engine::carry::Change, model::Field};

use super::{
    CarriedChanges,
    rows::{Apply, Forget, ReadMerchants, ReadParts},
};
use crate::{
    config::load_text,
    store::{
        Settings, Store,
        database::{
            Group, Work,
            head::Head,
            sqlite::{SqliteSession, counted, ready},
        },
    },
};

struct Bench {
    session: SqliteSession,
    steps: Arc<AtomicU64>,
    /// Any store: only its keys are used.
    store: Store,
}

fn city(customer: u32, value: &str) -> CarriedChanges {
    let put = Change::Put { field: Field::City, value: Some(value.to_owned()), native: None };
    let (public_id, connection) = (format!("c{customer}"), "main".to_owned());
    CarriedChanges { public_id, connection, changes: vec![put], forgets: false }
}

impl Bench {
    fn of(store: &Store, customers: u32) -> Self {
        let (session, steps) = counted();
        let mut bench = Self { session, steps, store: store.clone() };
        for number in 0..customers {
            bench.apply(city(number, "Dakar"));
        }
        bench
    }

    fn run<W: Work>(&mut self, work: &W) -> W::Done {
        let mut group = Group { now: 0, head: Some(Head::BEGINNING) };
        ready(work.perform(&mut self.session, &mut group)).expect("it is done")
    }

    fn apply(&mut self, changes: CarriedChanges) {
        let keyring = Arc::clone(&self.store.opened.keyring);
        self.run(&Apply { keyring, merchant: "acme".to_owned(), changes });
    }

    fn costs(&mut self) -> Vec<(&'static str, u64)> {
        let mut costs = Vec::new();
        let mut of = |name: &'static str, bench: &mut Self, work: &mut dyn FnMut(&mut Self)| {
            let before = bench.steps.load(Ordering::Relaxed);
            work(bench);
            costs.push((name, bench.steps.load(Ordering::Relaxed) - before));
        };
        of("learning", self, &mut |bench| assert_eq!(bench.run(&ReadMerchants).len(), 1));
        of("a new row", self, &mut |bench| bench.apply(city(1 << 20, "Dakar")));
        of("changing it", self, &mut |bench| bench.apply(city(1 << 20, "Thiès")));
        let public_ids = (0..20).map(|number| format!("c{number}")).collect();
        let page = ReadParts { merchant: "acme".to_owned(), public_ids };
        of("reading a page", self, &mut |bench| assert_eq!(bench.run(&page).len(), 20));
        let forget = Forget { merchant: "acme".to_owned(), public_id: "c1".to_owned(), fields: None };
        of("forgetting", self, &mut |bench| bench.run(&forget));
        costs
    }
}

#[tokio::test]
async fn no_work_on_carried_fields_costs_more_where_more_customers_are_kept() {
    let loaded = load_text("[store]\nurl = \"sqlite::memory:\"", "passerelle.toml").expect("a configuration");
    let settings = Settings::of(&loaded).expect("settings");
    let store = Store::open(&settings).await.expect("a store");
    let (few, many) = (Bench::of(&store, 40).costs(), Bench::of(&store, 2_000).costs());
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        assert!(few > 0 && many < few + 100, "{name}: {few} steps among 40 customers, {many} among 2,000");
    }
}
