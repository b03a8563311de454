//! What each piece of work costs SQLite, in steps of its virtual machine: the cost must not grow with the number of
//! rows. A statement that walks through a table where it should have used an index is fast in a small database, and
//! shows only here.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use passerelle_providers::model::Patch;
use rusqlite::hooks::{AuthContext, Authorization};

use super::{
    claims::MakeClaim,
    duplicates::{FindDuplicate, Found, Identity},
    ends::{Finish, MarkDelivered},
    reading::ReadOperations,
    reaping::Reap,
    record::{Adopted, EarlierContents, Finished, Reaped, Resend, State},
    takeovers::{Adopt, Renew, SendAgain, TakeOver},
    unanswered::Begun,
};
use crate::store::{
    audit::Event,
    contacts::{ContactChanges, ContactKind, Correct, Find, Owner},
    database::{
        Group, Work,
        head::Head,
        sqlite::{SqliteSession, counted, ready},
    },
    hashes::Hashes,
    operation_id::OperationId,
    terms::Terms,
};

/// A database, and the steps that it has taken.
struct Bench {
    session: SqliteSession,
    group: Group,
    steps: Arc<AtomicU64>,
    terms: Arc<Terms>,
    hashes: Arc<Hashes>,
    made: u32,
    /// The oldest write, still open.
    oldest: Option<OperationId>,
}

/// The numbers of the hashes of phone numbers begin here.
const PHONES: u32 = 1 << 20;

fn hash(number: u32) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..4].copy_from_slice(&number.to_be_bytes());
    hash
}

/// The changes of a write that sets both contacts.
fn contacts(email: [u8; 32], phone: [u8; 32]) -> ContactChanges {
    ContactChanges { email: Patch::Set(email), phone: Patch::Set(phone), ..ContactChanges::default() }
}

const MERCHANT: &str = "acme";
const NOW: i64 = 1_800_000_000_000;
const DAY: i64 = 24 * 3_600_000;

impl Bench {
    /// A database with `count` finished writes, and an older one that is open.
    fn of(count: u32) -> Self {
        let (session, steps) = counted();
        let group = Group { now: NOW, head: Some(Head::BEGINNING) };
        let hashes = Arc::new(Hashes::derive(&[1; 32]));
        let mut bench = Self { session, group, steps, terms: Arc::new(Terms::tested()), hashes, made: 0, oldest: None };
        bench.oldest = Some(bench.claim(false));
        for number in 0..count {
            // Half of them are tombstones by now.
            bench.group.now = NOW - if number < count / 2 { 5 * DAY } else { 0 };
            let id = bench.claim(number % 2 == 0);
            let customer = format!("known-{number}");
            bench.end_with_contacts(id, customer, contacts(hash(number), hash(number + PHONES)));
        }
        while bench.run(&Reap { terms: Arc::clone(&bench.terms) }) != Reaped::default() {}
        bench
    }

    fn run<W: Work>(&mut self, work: &W) -> W::Done {
        ready(work.perform(&mut self.session, &mut self.group)).expect("it is done")
    }

    /// Another request than every one before.
    fn request(&mut self, keyed: bool) -> MakeClaim {
        self.made += 1;
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&self.made.to_be_bytes());
        let identity = Identity {
            terms: Arc::clone(&self.terms),
            hashes: Arc::clone(&self.hashes),
            merchant: MERCHANT.to_owned(),
            key_hash: keyed.then_some(hash),
            joins: true,
            fingerprint: hash,
            copy: None,
            earlier: EarlierContents::default(),
            joined_earlier: if keyed { Vec::new() } else { vec![[1; 32], [2; 32]] },
        };
        MakeClaim {
            identity,
            id: OperationId::now(),
            connection: "main".to_owned(),
            operation: "update".to_owned(),
            customer: Some(format!("customer-{}", self.made)),
            key_name: None,
            command: vec![0; 300],
            home: None,
            contacts: [None, None],
            inserted: Arc::default(),
        }
    }

    /// A new write.
    fn claim(&mut self, keyed: bool) -> OperationId {
        let claim = self.request(keyed);
        self.run(&claim);
        claim.id
    }

    fn claim_of(&mut self, operation: &str) -> OperationId {
        let claim = MakeClaim { operation: operation.to_owned(), ..self.request(true) };
        self.run(&claim);
        claim.id
    }

    /// The same request as one that was claimed.
    fn again(&mut self, first: &MakeClaim) -> Found {
        let again = MakeClaim { identity: first.identity.clone(), ..self.request(false) };
        self.run(&again)
    }

    fn end(&mut self, id: OperationId, event: Event) {
        self.end_of(id, event, false, None);
    }

    /// The end of a create that leaves its customer with contacts.
    fn end_with_contacts(&mut self, id: OperationId, customer: String, contacts: ContactChanges) {
        let end = Finish {
            makes_record: false,
            id,
            attempt: 1,
            event: Event::Done,
            customer: Some(customer),
            contacts,
            carried: None,
            reconcile_after: None,
            status: Some(201),
            answer: Some(vec![0; 700]),
            is_undelivered: false,
            refuses_shared: true,
        };
        assert_eq!(self.run(&end), Finished::Stored);
    }

    fn end_of(&mut self, id: OperationId, event: Event, is_undelivered: bool, customer: Option<&str>) {
        let end = Finish {
            makes_record: false,
            id,
            attempt: 1,
            event,
            contacts: ContactChanges::default(),
            carried: None,
            reconcile_after: (event == Event::Unknown).then_some(NOW),
            status: Some(200),
            answer: Some(vec![0; 700]),
            is_undelivered,
            refuses_shared: customer.is_some(),
            customer: customer.map(str::to_owned),
        };
        assert_eq!(self.run(&end), Finished::Stored);
    }

    fn take_over(&mut self, only: Option<OperationId>, expected: usize) {
        let terms = Arc::clone(&self.terms);
        assert_eq!(self.run(&TakeOver { terms, only, limit: 16, begun: Begun::default() }).len(), expected);
    }

    fn read(&mut self, state: Option<State>, id: Option<OperationId>, after: Option<OperationId>) {
        let merchant = Some(MERCHANT.to_owned());
        self.run(&ReadOperations { merchant, id, state, after, limit: 10 });
    }

    fn reap(&mut self, expected: Reaped) {
        let terms = Arc::clone(&self.terms);
        assert_eq!(self.run(&Reap { terms }), expected);
    }

    /// The steps of everything that concerns contacts.
    fn costs_of_contacts(&mut self) -> Vec<(&'static str, u64)> {
        let mut costs = Vec::new();
        let mut of = |name: &'static str, bench: &mut Self, work: &mut dyn FnMut(&mut Self)| {
            let before = bench.steps.load(Ordering::Relaxed);
            work(bench);
            costs.push((name, bench.steps.load(Ordering::Relaxed) - before));
        };
        let (email, phone) = (hash(2 * PHONES), hash(3 * PHONES));
        for (operation, name) in [("create", "a create's end with contacts"), ("update", "the same contacts again")] {
            let id = self.claim_of(operation);
            let contacts = contacts(email, phone);
            of(name, self, &mut |bench| bench.end_with_contacts(id, "new".to_owned(), contacts.clone()));
        }
        of("finding a customer", self, &mut |bench| {
            assert_eq!(bench.run(&Find { kind: ContactKind::Email, hash: email, limit: 10 }), ["new"]);
        });
        of("finding no customer", self, &mut |bench| {
            assert!(bench.run(&Find { kind: ContactKind::Email, hash: hash(4 * PHONES), limit: 10 }).is_empty());
        });
        self.group.now += DAY;
        for (name, to) in [("correcting a contact", Some(email)), ("deleting a contact", None)] {
            let [merchant, connection, customer] = [MERCHANT, "main", "new"].map(str::to_owned);
            let owner = Owner { merchant, connection, customer };
            let correct = Correct { owner, kind: ContactKind::Email, from: email, to };
            of(name, self, &mut |bench| bench.run(&correct));
        }
        assert!(self.run(&Find { kind: ContactKind::Email, hash: email, limit: 10 }).is_empty());
        let id = self.claim_of("delete");
        let forget = ContactChanges::forget();
        of("forgetting all contacts", self, &mut |bench| bench.end_with_contacts(id, "new".to_owned(), forget.clone()));
        costs
    }

    /// The steps of everything that happens while the gateway serves.
    fn costs(&mut self) -> Vec<(&'static str, u64)> {
        let mut costs = Vec::new();
        let mut of = |name: &'static str, bench: &mut Self, work: &mut dyn FnMut(&mut Self)| {
            let before = bench.steps.load(Ordering::Relaxed);
            work(bench);
            costs.push((name, bench.steps.load(Ordering::Relaxed) - before));
        };
        let (terms, only) = (Arc::clone(&self.terms), self.oldest.expect("the oldest"));
        let (keyed, keyless) = (self.request(true), self.request(false));
        of("a claim with a key", self, &mut |bench| assert!(matches!(bench.run(&keyed), Found::Nothing)));
        of("a claim without a key", self, &mut |bench| assert!(matches!(bench.run(&keyless), Found::Nothing)));
        of("a key that is taken", self, &mut |bench| assert!(matches!(bench.again(&keyed), Found::InFlight(_))));
        of("joining", self, &mut |bench| assert!(matches!(bench.again(&keyless), Found::InFlight(_))));
        of("finding a key", self, &mut |bench| {
            assert!(matches!(bench.run(&FindDuplicate(keyed.identity.clone())), Found::InFlight(_)));
        });
        let mut alone = self.request(false);
        alone.identity.joins = false;
        of("a claim that joins no other", self, &mut |bench| assert!(matches!(bench.run(&alone), Found::Nothing)));
        of("an undelivered end", self, &mut |bench| bench.end_of(keyless.id, Event::Done, true, None));
        of("delivering it", self, &mut |bench| assert!(matches!(bench.again(&keyless), Found::Finished(_))));
        of("marking another as delivered", self, &mut |bench| {
            bench.run(&MarkDelivered { id: alone.id, is_delivered: true });
        });
        of("a failure", self, &mut |bench| bench.end(keyed.id, Event::Failed));
        of("what was not sent", self, &mut |bench| bench.end(alone.id, Event::NotSent));
        of("the same end twice", self, &mut |bench| bench.end(alone.id, Event::NotSent));
        let deletion = MakeClaim { operation: "delete".to_owned(), ..self.request(true) };
        let about_it = MakeClaim { customer: deletion.customer.clone(), ..self.request(true) };
        self.run(&about_it);
        self.run(&deletion);
        let create = MakeClaim { operation: "create".to_owned(), ..self.request(true) };
        self.run(&create);
        of("a create's end", self, &mut |bench| bench.end_of(create.id, Event::Done, false, Some("made")));
        of("a deletion", self, &mut |bench| bench.end(deletion.id, Event::Done));
        self.end(about_it.id, Event::Done);
        of("a key that was erased", self, &mut |bench| assert!(matches!(bench.again(&about_it), Found::Erased(_))));
        of("an end", self, &mut |bench| bench.end(only, Event::Unknown));
        of("a renewal", self, &mut |bench| bench.run(&Renew { terms: Arc::clone(&terms) }));
        of("taking over", self, &mut |bench| bench.take_over(Some(only), 1));
        of("looking for what is due", self, &mut |bench| bench.take_over(None, 0));
        of("sending again", self, &mut |bench| {
            let noted = bench.run(&SendAgain { terms: Arc::clone(&terms), id: only, attempt: 2 });
            assert_eq!(noted, Resend::Noted);
        });
        of("adopting", self, &mut |bench| {
            let adopt = Adopt { id: only, attempt: 2, customer: "new".to_owned(), has_marker: false };
            assert_eq!(bench.run(&adopt), Adopted::Own);
        });
        of("reading one", self, &mut |bench| bench.read(None, Some(only), None));
        of("a list", self, &mut |bench| bench.read(None, None, None));
        of("the rest of a list", self, &mut |bench| bench.read(None, None, Some(keyless.id)));
        of("a list of what is unknown", self, &mut |bench| bench.read(Some(State::Unknown), None, None));
        of("a list of what is in flight", self, &mut |bench| bench.read(Some(State::Sending), None, None));
        of("a list of what failed", self, &mut |bench| bench.read(Some(State::Failed), None, None));
        of("a list of what is done", self, &mut |bench| bench.read(Some(State::Done), None, None));
        of("reaping nothing", self, &mut |bench| bench.reap(Reaped::default()));
        for (name, days, reaped) in [
            ("reaping an answer", 4, Reaped { answers: 1, tombstones: 0 }),
            ("reaping a tombstone", 31, Reaped { answers: 0, tombstones: 1 }),
        ] {
            self.group.now = NOW - days * DAY;
            let old = self.claim(true);
            self.end(old, Event::Done);
            self.group.now = NOW;
            of(name, self, &mut |bench| bench.reap(reaped));
        }
        costs
    }
}

#[test]
fn no_work_costs_more_where_more_rows_are_kept() {
    let costs = |count| {
        let mut bench = Bench::of(count);
        [bench.costs(), bench.costs_of_contacts()].concat()
    };
    let (few, many) = (costs(40), costs(2_000));
    for ((name, few), (_, many)) in few.into_iter().zip(many) {
        assert!(few > 0 && many < few + 100, "{name}: {few} steps among 40 writes, {many} among 2,000");
    }
}

#[test]
fn contacts_add_no_statement_to_the_end_of_a_create() {
    let steps = |contacts: ContactChanges| {
        let mut bench = Bench::of(40);
        let create = bench.claim_of("create");
        let before = bench.steps.load(Ordering::Relaxed);
        bench.end_with_contacts(create, "made".to_owned(), contacts);
        bench.steps.load(Ordering::Relaxed) - before
    };
    let without = steps(ContactChanges::default());
    let with = steps(contacts(hash(2 * PHONES), hash(3 * PHONES)));
    assert!(with < without + 20, "{with} steps with contacts, {without} without");
}

#[test]
fn statements_are_planned_once() {
    let mut bench = Bench::of(0);
    // SQLite authorizes what a statement does when it plans the statement.
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
