//! What keeps each write from being done twice. Every write that a vendor supports is sent to its twin, and then the
//! same again; what is seen of it, in the twin's log and in its records, makes its class, and that must be the one that
//! the manifest declares. The twin is told nothing of the manifest's classes: its vendor's server side decides.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use libtest_mimic::{Failed, Trial};
use passerelle::twin::{
    Twin,
    log::{self, Log},
};
use passerelle_providers::{
    CustomerProvider,
    engine::{
        self, Conditions, Language,
        reconcile::{self, Found},
    },
    json::JsonObject,
    kit::{Endpoint, Transport, VendorRequest, marker},
    model::{
        Command, CreateCustomer, Customer, CustomerFields, CustomerFilter, CustomerId, Error, Field, Kind,
        ListCustomers, LossPolicy, Operation, Patch, Position, Request, Response, UpdateCustomer, Written,
        auth::{Credentials, Stamp},
        manifest::{Clears, Dedupe},
    },
    text::Text,
};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::{
    case::block_on,
    laws::{SECRET, Subject, subjects},
    sample, show,
};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![Trial::test("dedupe::every_class_is_told_from_the_others", || {
        every_class_is_told_from_the_others();
        Ok(())
    })];
    for subject in subjects() {
        for operation in Operation::ALL {
            let Some(declared) = subject.manifest.dedupe(operation) else { continue };
            let name = format!("{}::dedupe::{}_is_{}", subject.name(), operation.name(), declared.as_str());
            trials.push(Trial::test(name, move || block_on(is_as_declared(subject, operation, declared))));
        }
    }
    trials
}

async fn is_as_declared(subject: Subject, operation: Operation, declared: Dedupe) -> Result<(), Failed> {
    let writes = match operation {
        Operation::Create => creates(subject).await?,
        Operation::Update => updates(subject).await?,
        _ => vec![("the change", change(subject, operation).await?)],
    };
    for (what, seen) in writes {
        let class = seen.class();
        if class != declared {
            return Err(format!("{what} is declared {declared:?}, but looks like {class:?}: {seen:?}").into());
        }
    }
    Ok(())
}

/// What is seen of a write that is sent, and then the same again.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// Both carry the same idempotency key.
    has_key: bool,
    /// Both name the record that they are about.
    names_record: bool,
    /// The second one leaves everything as the first one left it.
    changes_nothing: bool,
    /// Both are answered with the same record.
    is_answered_alike: bool,
    /// Who asks the vendor is told whether it happened: not before, then that it did, and never of somebody else.
    is_found: bool,
}

impl Seen {
    const fn class(self) -> Dedupe {
        match self {
            Self { changes_nothing: true, is_answered_alike: true, has_key: true, .. } => Dedupe::Key,
            Self { changes_nothing: true, names_record: true, is_found: true, .. } => Dedupe::Id,
            Self { changes_nothing: true, is_answered_alike: true, .. } => Dedupe::Unique,
            Self { is_found: true, .. } => Dedupe::Search,
            _ => Dedupe::Nothing,
        }
    }
}

/// No vendor honours keys or takes ids, and of none there is no way to know: so that these classes can be declared
/// once there is one.
fn every_class_is_told_from_the_others() {
    let once = Seen { changes_nothing: true, ..Seen::default() };
    let (once_alike, once_named) = (Seen { is_answered_alike: true, ..once }, Seen { names_record: true, ..once });
    let found = |seen| Seen { is_found: true, ..seen };
    for (seen, class) in [
        (Seen { has_key: true, ..once_alike }, Dedupe::Key),
        (found(Seen { has_key: true, ..once_alike }), Dedupe::Key),
        (found(once_named), Dedupe::Id),
        (found(Seen { names_record: true, ..once_alike }), Dedupe::Id),
        (once_alike, Dedupe::Unique),
        (found(once_alike), Dedupe::Unique),
        (found(once), Dedupe::Search),
        (found(Seen { has_key: true, names_record: true, is_answered_alike: true, ..Seen::default() }), Dedupe::Search),
        (once_named, Dedupe::Nothing),
        (Seen { has_key: true, names_record: true, is_answered_alike: true, ..Seen::default() }, Dedupe::Nothing),
        (Seen::default(), Dedupe::Nothing),
    ] {
        assert_eq!(seen.class(), class, "{seen:?}");
    }
}

/// Creates without the gateway's mark, and with it where the vendor has a place for it.
async fn creates(subject: Subject) -> Result<Vec<(&'static str, Seen)>, Failed> {
    let mut seen = vec![("a create", create(subject, None).await?)];
    if marker::is_held_by(subject.manifest) {
        seen.push(("a create with a mark", create(subject, Some("op_1")).await?));
    }
    Ok(seen)
}

async fn create(subject: Subject, mark: Option<&str>) -> Result<Seen, Failed> {
    let bench = Bench::of(subject)?;
    let plain = somebody_new(subject)?;
    let command = Command::Create(marked(&plain, mark));
    let mut alike = plain.clone();
    alike.fields.email = alike.fields.email.map(|email| Text::from(format!("a.{email}")));
    // Somebody whom a careless search takes for the one.
    bench.write(&Command::Create(alike)).await?;
    let sent_at = bench.now();
    let is_unknown_before = matches!(bench.look(&command, sent_at, mark).await?, Found::DidNot);
    let first = bench.write(&command).await?;
    let record = first.record.clone().ok_or("a create that has no effect")?;
    let is_found_once = is_found(&bench.look(&command, sent_at, mark).await?, &record);
    let second = bench.write(&command).await?;
    let is_found_twice = match (&second.record, bench.look(&command, sent_at, mark).await?) {
        // Nobody can tell which of the two it is, and nobody is told.
        (Some(_), found) => matches!(found, Found::Several),
        (None, found) => is_found(&found, &record),
    };
    let is_found_by_mark = match mark {
        // The same once more, for somebody else: each is found by its own mark.
        Some(_) => {
            let other = Command::Create(marked(&plain, Some("op_2")));
            let made = bench.write(&other).await?.record.unwrap_or_default();
            is_found(&bench.look(&other, sent_at, Some("op_2")).await?, &made)
        }
        None => true,
    };
    let is_found_apart = is_unknown_before && !takes_a_stranger(subject, mark).await?;
    Ok(Seen {
        is_found: is_found_apart && is_found_once && is_found_twice && is_found_by_mark,
        ..first.and_again(&second, &record)
    })
}

/// Whether somebody else is taken for what came of a create: who has everything, but since an hour, or who is new and
/// has the address, but another phone.
async fn takes_a_stranger(subject: Subject, mark: Option<&str>) -> Result<bool, Failed> {
    let command = somebody_new(subject)?;
    let mut other = command.clone();
    other.fields.phone = Patch::Set(Text::from_static("+221770007419"));
    for (stranger, age) in [(&command, SignedDuration::from_hours(1)), (&other, SignedDuration::ZERO)] {
        let bench = Bench::of(subject)?;
        let sent_at = bench.now() + age;
        bench.write(&Command::Create(stranger.clone())).await?;
        let found = bench.look(&Command::Create(marked(&command, mark)), sent_at, mark).await?;
        if !matches!(found, Found::DidNot) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn marked(create: &CreateCustomer, mark: Option<&str>) -> CreateCustomer {
    mark.map_or_else(|| create.clone(), |mark| marker::marked(create.clone(), mark))
}

/// Every field, also those that the vendor loses; of the name the whole.
fn every_field() -> Vec<Field> {
    let is_whole = |field: &Field| !matches!(field, Field::FirstName | Field::LastName);
    Field::WRITABLE.into_iter().filter(is_whole).collect()
}

fn with_canaries(fields: Vec<Field>) -> Vec<(Field, &'static str)> {
    fields.into_iter().map(|field| (field, sample::canary(field))).collect()
}

fn somebody_new(subject: Subject) -> Result<CreateCustomer, Failed> {
    match sample::command(Operation::Create, subject.manifest, &with_canaries(every_field())) {
        Command::Create(create) => Ok(create),
        _ => Err("a create was asked for".into()),
    }
}

/// Updates of every field, of one that is a part of another, and of one that is cleared.
async fn updates(subject: Subject) -> Result<Vec<(&'static str, Seen)>, Failed> {
    let manifest = subject.manifest;
    let mut sorts =
        vec![("an update of every field", every_field()), ("an update of a first name", vec![Field::FirstName])];
    // Each alone, so that one that is not compared is named.
    let is_seen = |field: &Field| {
        let support = manifest.field(*field);
        support.update.is_supported() && support.read.is_supported()
    };
    sorts.extend(Field::WRITABLE.into_iter().filter(is_seen).map(|field| (field.name(), vec![field])));
    if manifest.update.clears == Clears::Sent {
        sorts.push(("an update that clears", Vec::new()));
    }
    let mut seen = Vec::new();
    for (what, fields) in sorts {
        let bench = Bench::of(subject)?;
        let id = bench.somebody().await?;
        let is_empty = fields.is_empty();
        let Command::Update(mut update) = sample::command(Operation::Update, manifest, &with_canaries(fields)) else {
            return Err("an update was asked for".into());
        };
        if is_empty {
            update.fields.phone = Patch::Clear;
        }
        let command = Command::Update(UpdateCustomer { id: id.clone(), fields: update.fields });
        seen.push((what, bench.changed(&command, &id).await?));
    }
    Ok(seen)
}

async fn change(subject: Subject, operation: Operation) -> Result<Seen, Failed> {
    let bench = Bench::of(subject)?;
    let id = bench.somebody().await?;
    let command = match operation {
        Operation::Delete => Command::Delete(id.clone()),
        Operation::Block => Command::Block(id.clone()),
        Operation::Unblock => {
            bench.write(&Command::Block(id.clone())).await?;
            Command::Unblock(id.clone())
        }
        _ => return Err(format!("{} changes nobody", operation.name()).into()),
    };
    bench.changed(&command, &id).await
}

fn is_found(found: &Found, record: &str) -> bool {
    let Found::Happened(reply) = found else { return false };
    match &**reply {
        Written::Created(created) => *created.customer.id == *record,
        Written::Changed(customer) => *customer.id == *record,
        Written::Deleted => true,
    }
}

/// A vendor's twin, its log, and the adapter that speaks to it, without a network and with a clock of their own.
pub(crate) struct Bench {
    subject: Subject,
    provider: Arc<dyn CustomerProvider>,
    twin: Twin,
    log: NamedTempFile,
    asked: Mutex<Vec<Request>>,
}

/// What came of a write.
struct Attempt {
    requests: Vec<Request>,
    keys: Vec<Option<String>>,
    answer: Result<Written, Error>,
    /// The record that it changed, as the twin's log tells.
    record: Option<String>,
    /// Every record as it is then.
    left: BTreeMap<String, Value>,
}

impl Attempt {
    fn and_again(&self, again: &Self, record: &str) -> Seen {
        let names_record = |written: &Self| written.requests.iter().any(|request| is_named(request, record));
        let about = |written: &Self| match &written.answer {
            Ok(Written::Created(created)) => Some(created.customer.id.clone()),
            Ok(Written::Changed(customer)) => Some(customer.id.clone()),
            Ok(_) | Err(_) => None,
        };
        Seen {
            has_key: self.keys == again.keys && self.keys.iter().any(Option::is_some),
            names_record: names_record(self) && names_record(again),
            changes_nothing: self.left == again.left,
            is_answered_alike: about(self).is_some() && about(self) == about(again),
            is_found: false,
        }
    }
}

/// Whether a request says which record it is about, in its path or in its body.
fn is_named(request: &Request, record: &str) -> bool {
    let in_the_path = VendorRequest::of(request).segments.iter().any(|segment| segment == record);
    in_the_path || String::from_utf8_lossy(request.body()).contains(&format!("\"{record}\""))
}

impl Bench {
    pub(crate) fn of(subject: Subject) -> Result<Self, Failed> {
        let log = NamedTempFile::new()?;
        let twin = Twin::new(subject.vendor, subject.settings(), Credentials::default());
        let twin = twin.with_log(Log::open(log.path())?);
        Ok(Self { subject, provider: subject.provider(), twin, log, asked: Mutex::default() })
    }

    /// A second later with every request.
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.asked().len()).unwrap_or(i64::MAX);
        Timestamp::from_second(1_795_000_000 + passed).unwrap_or_default()
    }

    fn asked(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.asked.lock().expect("no panic while it was held")
    }

    /// Sends a write.
    async fn write(&self, command: &Command) -> Result<Attempt, Failed> {
        let (asked, logged) = (self.asked().len(), log::read(self.log.path())?.len());
        let conditions = Conditions { language: Language::Imitated, ..Conditions::canonical(LossPolicy::Drop) };
        let answer = match engine::plan(&self.provider, command, conditions) {
            Ok(planned) => planned.write(self).await,
            Err(error) => Err(error),
        };
        match (&answer, command) {
            // Of what is not there any more, a refusal says that it happened.
            (Err(error), Command::Delete(_)) if error.kind == Kind::NotFound => {}
            (Err(error), Command::Create(_)) if error.kind == Kind::Rejected => {}
            (Err(error), _) => return Err(format!("{} is refused: {error}", command.operation().name()).into()),
            (Ok(_), _) => {}
        }
        let is_write = |request: &&Request| request.method() != Method::GET;
        let requests = self.asked()[asked..].iter().filter(is_write).cloned().collect();
        let entries = &log::read(self.log.path())?[logged..];
        let written = log::requests(entries).filter(|request| request.method != "GET");
        let keys = written.map(|request| request.idempotency_key.clone()).collect();
        let record = log::effects(entries).last().map(|effect| effect.customer.clone());
        Ok(Attempt { requests, keys, answer, record, left: self.records().await? })
    }

    async fn look(&self, command: &Command, sent_at: Timestamp, mark: Option<&str>) -> Result<Found, Error> {
        reconcile::find_outcome(&self.provider, self, command, sent_at, mark).await
    }

    /// Sends a change of somebody who is there, and then the same again.
    async fn changed(&self, command: &Command, id: &CustomerId) -> Result<Seen, Failed> {
        let sent_at = self.now();
        let is_unknown_before = matches!(self.look(command, sent_at, None).await?, Found::DidNot);
        let before = self.records().await?;
        let first = self.write(command).await?;
        if first.left == before || first.record.as_deref() != Some(&**id.public()) {
            return Err("the change has no effect, so that nothing can be told of it".into());
        }
        let is_found_once = is_found(&self.look(command, sent_at, None).await?, id.public());
        let second = self.write(command).await?;
        let is_found_twice = is_found(&self.look(command, sent_at, None).await?, id.public());
        Ok(Seen {
            is_found: is_unknown_before && is_found_once && is_found_twice,
            ..first.and_again(&second, id.public())
        })
    }

    /// Somebody who is there, with metadata where the vendor has them.
    async fn somebody(&self) -> Result<CustomerId, Failed> {
        let known = self.records().await?.into_keys().next().ok_or("the twin knows nobody")?;
        let id = CustomerId::parse(Text::from(known), &self.subject.manifest.id)?;
        if self.subject.manifest.field(Field::Metadata).update.is_supported() {
            let metadata = JsonObject::in_string(r#"{"before":1}"#).into();
            let fields = CustomerFields { metadata, ..CustomerFields::default() };
            self.write(&Command::Update(UpdateCustomer { id: id.clone(), fields })).await?;
        }
        Ok(id)
    }

    /// Every record, as one asks for it by its id; when it was changed the last time is not what anybody said of it.
    async fn records(&self) -> Result<BTreeMap<String, Value>, Failed> {
        let mut records = BTreeMap::new();
        for customer in self.customers().await? {
            let mut shown = show::customer(&customer);
            shown["updated_at"].take();
            records.insert(customer.id.to_string(), shown);
        }
        Ok(records)
    }

    /// Every customer that the twin has.
    pub(crate) async fn customers(&self) -> Result<Vec<Customer>, Failed> {
        let list = ListCustomers { limit: 100, position: Position::START, filter: CustomerFilter::default() };
        let conditions = Conditions::canonical(LossPolicy::Reject);
        let reply = engine::execute(&self.provider, self, &Command::List(list), conditions).await?;
        let mut customers = Vec::new();
        for listed in reply.customers() {
            let id = CustomerId::parse(listed.id.clone(), &self.subject.manifest.id)?;
            customers.push(engine::retrieve(&self.provider, self, &id).await?);
        }
        Ok(customers)
    }
}

#[async_trait]
impl Transport for Bench {
    async fn send(&self, request: Request, _: bool) -> Result<Response, Error> {
        let now = self.now();
        let count = self.asked().len();
        self.asked().push(request.clone());
        let endpoint = Endpoint::new(self.subject.manifest.base_url.unwrap_or("https://app.example.com"));
        let scheme = &self.subject.manifest.auth[0];
        let credentials = scheme.credentials().iter().map(|name| ((*name).to_owned(), SECRET.to_owned()));
        let mut request = endpoint.finish(request)?;
        let random = u128::try_from(count).unwrap_or_default().to_be_bytes();
        let stamp = Stamp { now: now.as_second(), nonce: random };
        scheme.authorize(&mut request, &Credentials::new(credentials), &stamp)?;
        Ok(self.twin.answer(request, now, random))
    }
}
