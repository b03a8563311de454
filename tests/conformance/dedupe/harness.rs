//! A vendor's twin with its log, and the client side that speaks to it, in one process without a network.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::Method;
use jiff::Timestamp;
use libtest_mimic::Failed;
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
    kit::{Endpoint, Transport, VendorRequest, run},
    model::{
        Command, Customer, CustomerFields, CustomerFilter, CustomerId, Error, Field, Kind, ListCustomers, LossPolicy,
        Position, Request, Response, UpdateCustomer, Written,
        auth::{Credentials, Stamp},
    },
    text::Text,
};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::Observed;
use crate::{
    laws::{SECRET, Subject},
    show,
};

/// Whether reconciliation found that the write happened to this record.
pub(super) fn is_reconciled_to(found: &Found, record: &str) -> bool {
    let Found::Happened(reply) = found else { return false };
    match &**reply {
        Written::Created(created) => *created.customer.id == *record,
        Written::Changed(customer) => *customer.id == *record,
        Written::Deleted => true,
    }
}

/// The harness has a clock of its own, so that a run never depends on the time.
pub(crate) struct Harness {
    subject: Subject,
    provider: Arc<dyn CustomerProvider>,
    twin: Twin,
    log: NamedTempFile,
    /// The requests that the client side has sent.
    sent: Mutex<Vec<Request>>,
}

/// A write that was sent, and its effect.
pub(super) struct Attempt {
    requests: Vec<Request>,
    keys: Vec<Option<String>>,
    answer: Result<Written, Error>,
    /// The record that the write changed, from the twin's log.
    pub(super) record: Option<String>,
    /// Every record of the twin after the write.
    records: BTreeMap<String, Value>,
}

impl Attempt {
    /// What sending the same write a second time shows.
    pub(super) fn compared_with(&self, second: &Self, record: &str) -> Observed {
        let names_record = |attempt: &Self| attempt.requests.iter().any(|request| is_named(request, record));
        let answered_id = |attempt: &Self| match &attempt.answer {
            Ok(Written::Created(created)) => Some(created.customer.id.clone()),
            Ok(Written::Changed(customer)) => Some(customer.id.clone()),
            Ok(_) | Err(_) => None,
        };
        Observed {
            has_key: self.keys == second.keys && self.keys.iter().any(Option::is_some),
            names_record: names_record(self) && names_record(second),
            changes_nothing: self.records == second.records,
            has_same_answer: answered_id(self).is_some() && answered_id(self) == answered_id(second),
            is_reconciled: false,
        }
    }
}

/// Whether a request names the record in its path or in its body.
fn is_named(request: &Request, record: &str) -> bool {
    let is_in_path = VendorRequest::of(request).segments.iter().any(|segment| segment == record);
    is_in_path || String::from_utf8_lossy(request.body()).contains(&format!("\"{record}\""))
}

impl Harness {
    pub(crate) fn of(subject: Subject) -> Result<Self, Failed> {
        let log = NamedTempFile::new()?;
        let twin = Twin::new(subject.vendor, subject.settings(), Credentials::default());
        let twin = twin.with_log(Log::open(log.path())?);
        Ok(Self { subject, provider: subject.provider(), twin, log, sent: Mutex::default() })
    }

    /// The clock: it moves by a second with every request.
    pub(super) fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.sent().len()).unwrap_or(i64::MAX);
        Timestamp::from_second(1_795_000_000 + passed).unwrap_or_default()
    }

    fn sent(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.sent.lock().expect("no panic while the lock was held")
    }

    /// Plans and sends a write whose effect is not compared.
    pub(super) async fn send_only(&self, command: &Command) -> Result<(), Failed> {
        let conditions = Conditions { language: Language::Imitated, ..Conditions::canonical(LossPolicy::Drop) };
        engine::plan(&self.provider, command, conditions)?.write(self).await?;
        Ok(())
    }

    /// Plans and sends a write.
    pub(super) async fn write(&self, command: &Command) -> Result<Attempt, Failed> {
        let (sent_before, logged_before) = (self.sent().len(), log::read(self.log.path())?.len());
        let conditions = Conditions { language: Language::Imitated, ..Conditions::canonical(LossPolicy::Drop) };
        let answer = match command {
            // The class is about the request itself. The gateway may read before it.
            Command::Delete(id) => run(self, self.provider.plan_delete(id)?).await.map(|()| Written::Deleted),
            _ => match engine::plan(&self.provider, command, conditions) {
                Ok(planned) => planned.write(self).await,
                Err(error) => Err(error),
            },
        };
        match (&answer, command) {
            // The twin may refuse the second delete, or the second create. The first one is done then. Its answer to a
            // delete may not acknowledge it.
            (Err(error), Command::Delete(_)) if matches!(error.kind, Kind::NotFound | Kind::BadResponse) => {}
            (Err(error), Command::Create(_)) if error.kind == Kind::Rejected => {}
            (Err(error), _) => {
                return Err(format!("the twin refused a valid {}: {error}", command.operation().name()).into());
            }
            (Ok(_), _) => {}
        }
        let is_write = |request: &&Request| request.method() != Method::GET;
        let requests = self.sent()[sent_before..].iter().filter(is_write).cloned().collect();
        let entries = &log::read(self.log.path())?[logged_before..];
        let writes = log::requests(entries).filter(|request| request.method != "GET");
        let keys = writes.map(|request| request.idempotency_key.clone()).collect();
        let record = log::effects(entries).last().map(|effect| effect.customer.clone());
        Ok(Attempt { requests, keys, answer, record, records: self.records().await? })
    }

    /// Asks the twin whether a write happened, as the gateway does after an unknown outcome.
    pub(super) async fn reconcile(
        &self,
        command: &Command,
        sent_at: Timestamp,
        marker: Option<&str>,
    ) -> Result<Found, Error> {
        reconcile::find_outcome(&self.provider, self, command, sent_at, marker).await
    }

    /// Sends a change of an existing customer twice.
    pub(super) async fn observe_change(&self, command: &Command, id: &CustomerId) -> Result<Observed, Failed> {
        let sent_at = self.now();
        let is_unknown_before = matches!(self.reconcile(command, sent_at, None).await?, Found::NotHappened);
        let before = self.records().await?;
        let first = self.write(command).await?;
        if first.records == before || first.record.as_deref() != Some(&**id.public()) {
            return Err("the change has no effect at the twin, so its class cannot be observed".into());
        }
        let is_reconciled_once = is_reconciled_to(&self.reconcile(command, sent_at, None).await?, id.public());
        let second = self.write(command).await?;
        let is_reconciled_twice = is_reconciled_to(&self.reconcile(command, sent_at, None).await?, id.public());
        Ok(Observed {
            is_reconciled: is_unknown_before && is_reconciled_once && is_reconciled_twice,
            ..first.compared_with(&second, id.public())
        })
    }

    /// A customer of the twin, with metadata where the vendor stores it.
    pub(super) async fn existing_customer(&self) -> Result<CustomerId, Failed> {
        let id = self.records().await?.into_keys().next().ok_or("the twin has no customers")?;
        let id = CustomerId::parse(Text::from(id), &self.subject.manifest.id)?;
        if self.subject.manifest.field(Field::Metadata).update.is_supported() {
            let metadata = JsonObject::in_string(r#"{"before":1}"#).into();
            let fields = CustomerFields { metadata, ..CustomerFields::default() };
            self.write(&Command::Update(UpdateCustomer { id: id.clone(), fields })).await?;
        }
        Ok(id)
    }

    /// Every record as a retrieve shows it, without `updated_at`, which no write sets.
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
            customers.push(*engine::retrieve(&self.provider, self, &id).await?);
        }
        Ok(customers)
    }
}

#[async_trait]
impl Transport for Harness {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let now = self.now();
        let count = self.sent().len();
        self.sent().push(Request::clone(&request));
        let endpoint = Endpoint::new(self.subject.manifest.base_url.unwrap_or("https://app.example.com"));
        let scheme = &self.subject.manifest.auth[0];
        let credentials = scheme.credentials().iter().map(|name| ((*name).to_owned(), SECRET.to_owned()));
        let mut request = endpoint.finish(Arc::unwrap_or_clone(request))?;
        let random = u128::try_from(count).unwrap_or_default().to_be_bytes();
        let stamp = Stamp { now: now.as_second(), nonce: random };
        scheme.authorize(&mut request, &Credentials::new(credentials), &stamp)?;
        Ok(self.twin.answer(request, now, random))
    }
}
