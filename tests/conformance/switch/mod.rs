//! The rules of a switch, checked between every two providers. A provider is played by its server side over records in
//! memory, and read and written by its client side, so a law sees what the gateway would see.

mod forecasts;
mod laws;
mod table;
mod verdicts;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use libtest_mimic::{Failed, Trial};
use passerelle_providers::{
    CustomerProvider, VendorServer,
    engine::{self, Conditions, records::Records},
    kit::Transport,
    model::{
        Command, Created, Customer, CustomerFields, CustomerId, Error, Field, LossPolicy, Operation, Reply, Request,
        Response, Written,
    },
    switch::{self, Base, Decision, Finding, Hash, Seen, Side, Sides},
    text::Text,
};

use crate::{
    case::block_on,
    laws::{Subject, subjects},
};

type PairLaw = fn(Subject, Subject) -> Result<(), Failed>;

/// The law that also holds for a target that cannot create.
const VERDICTS: &str = "every_record_has_one_verdict";

const PAIR_LAWS: &[(&str, PairLaw)] = &[
    ("a_copy_is_equal_or_equal_after_rule", laws::a_copy_is_equal_or_equal_after_rule),
    ("a_copied_update_is_equal_or_equal_after_rule", laws::a_copied_update_is_equal_or_equal_after_rule),
    ("a_copy_that_is_equal_writes_nothing", laws::a_copy_that_is_equal_writes_nothing),
    ("compare_notices_every_changed_field", laws::compare_notices_every_changed_field),
    (
        "a_field_changed_at_the_other_side_is_not_overwritten",
        laws::a_field_changed_at_the_other_side_is_not_overwritten,
    ),
    ("a_field_that_the_home_cannot_hold_is_left_alone", laws::a_field_that_the_home_cannot_hold_is_left_alone),
    ("a_link_fills_only_what_is_empty", laws::a_link_fills_only_what_is_empty),
    ("a_forecast_is_what_the_copy_shows", forecasts::a_forecast_is_what_the_copy_shows),
    ("the_counts_of_a_forecast_sum", forecasts::the_counts_of_a_forecast_sum),
    (VERDICTS, verdicts::every_record_has_one_verdict),
];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for from in subjects() {
        for to in subjects() {
            for (law, check) in PAIR_LAWS.iter().filter(|(law, _)| to.supports(Operation::Create) || *law == VERDICTS) {
                let name = format!("switch::{}_to_{}::{law}", from.name(), to.name());
                trials.push(Trial::test(name, move || check(from, to)));
            }
        }
    }
    trials.extend(table::trials());
    trials
}

/// A hash for tests.
pub(super) const HASH: Hash<'static> = &|bytes| {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash.to_be_bytes()
};

/// A provider that is played by its server side.
pub(super) struct Played {
    pub(super) subject: Subject,
    pub(super) provider: Arc<dyn CustomerProvider>,
    server: Arc<dyn VendorServer>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: Records,
    /// Makes ids differ.
    made: u8,
}

impl Played {
    pub(super) fn new(subject: Subject) -> Self {
        let (provider, server) = (subject.provider(), subject.server());
        Self { subject, provider, server, state: Mutex::default() }
    }

    /// Adds a record as its owner made it, and returns what the gateway reads of it.
    pub(super) fn add(&self, fields: &CustomerFields) -> Result<Customer, Failed> {
        let id = {
            let mut state = self.state.lock().expect("no panic while the lock was held");
            state.made += 1;
            let random = [state.made; 16];
            state.records.add(&*self.server, fields, Timestamp::UNIX_EPOCH, random)
        };
        self.read(&id)
    }

    pub(super) fn read(&self, id: &Text) -> Result<Customer, Failed> {
        let id = CustomerId::parse(id.clone(), &self.subject.manifest.id)?;
        match self.execute(&Command::Retrieve(id))? {
            Reply::Customer(customer) => Ok(*customer),
            _ => Err("the reply has no customer".into()),
        }
    }

    pub(super) fn execute(&self, command: &Command) -> Result<Reply, Error> {
        block_on(engine::execute(&self.provider, self, command, Conditions::canonical(LossPolicy::Drop)))
    }

    /// Executes a write, and returns what a later read shows.
    pub(super) fn write(&self, command: &Command) -> Result<Customer, Failed> {
        match self.execute(command).map_err(|error| format!("{error} {:?}", error.fields))? {
            Reply::Written(Written::Created(Created { customer, .. }) | Written::Changed(customer)) => {
                self.read(customer.id_at_provider())
            }
            _ => Err("the reply has no customer".into()),
        }
    }

    pub(super) fn side<'s>(&'s self, connection: &'s str) -> Side<'s> {
        Side { connection, provider: &self.provider }
    }
}

#[async_trait]
impl Transport for Played {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let command = match self.server.accept(&request) {
            Ok(command) => command,
            Err(error) => return Ok(self.server.refuse(&request, &error, Timestamp::UNIX_EPOCH)),
        };
        let mut state = self.state.lock().expect("no panic while the lock was held");
        state.made += 1;
        let random = [state.made; 16];
        match state.records.execute(&*self.server, &command, Timestamp::UNIX_EPOCH, random) {
            Ok(reply) => self.server.answer(&command, &reply),
            Err(error) => Ok(self.server.refuse(&request, &error, Timestamp::UNIX_EPOCH)),
        }
    }
}

/// Both sides of a switch.
pub(super) struct Pair {
    pub(super) from: Played,
    pub(super) to: Played,
}

impl Pair {
    pub(super) fn new(from: Subject, to: Subject) -> Self {
        Self { from: Played::new(from), to: Played::new(to) }
    }

    pub(super) fn sides(&self) -> Sides<'_> {
        Sides::new(self.from.side("main"), self.to.side("new"))
    }

    /// Creates the copy of a customer, blocks it where the customer is blocked, and returns what a later read shows.
    pub(super) fn create(&self, source: &Customer) -> Result<Result<Customer, Finding>, Failed> {
        let sides = self.sides();
        let command = match switch::create_command(source, &sides, Some(&Decision::Create)) {
            Ok((command, _)) => command,
            Err(finding) => return Ok(Err(finding)),
        };
        let target = self.to.write(&command)?;
        self.block(source, target, &Seen::default()).map(Ok)
    }

    /// Brings the other side to the state of the customer, and returns what a later read shows.
    pub(super) fn update(
        &self,
        source: &Customer,
        target: Customer,
        seen: &Seen,
    ) -> Result<Result<Customer, Finding>, Failed> {
        let base = Base { seen, hash: HASH };
        let target = match switch::update_command(source, &target, base, &self.sides(), None) {
            Ok(None) => target,
            Ok(Some((command, _))) => self.to.write(&command)?,
            Err(finding) => return Ok(Err(finding)),
        };
        self.block(source, target, seen).map(Ok)
    }

    fn block(&self, source: &Customer, target: Customer, seen: &Seen) -> Result<Customer, Failed> {
        let base = Base { seen, hash: HASH };
        match switch::block_command(source, &target, base, &self.sides(), None) {
            Ok(None) => Ok(target),
            Ok(Some(command)) => self.to.write(&command),
            Err(finding) => Err(format!("{finding:?}").into()),
        }
    }

    /// What both sides have in common after a copy.
    pub(super) fn seen(&self, source: &Customer, target: &Customer) -> Seen {
        let Sides { from, to, .. } = self.sides();
        Seen::common((source, &from), (target, &to), HASH)
    }
}

/// The fields that both sides store, apart from those of which a copy promises nothing.
pub(super) fn common_fields(from: Subject, to: Subject) -> Vec<Field> {
    let of_source = from.written_and_shown();
    let is_promised = |field: &Field| *field != Field::Balance && of_source.contains(field);
    to.written_and_shown().into_iter().filter(is_promised).collect()
}
