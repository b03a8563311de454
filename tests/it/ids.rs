//! The id that the merchant knows and the id at the provider are two values. Here a middleware makes them different, and
//! every way in and out is walked: paths, bodies, `Location`, links and cursors, failures, operations, and drop-in for the
//! clients of every vendor. No answer may show a provider's id, but where it is asked for by name.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use jiff::Timestamp;
use passerelle::merchant::{Connection, Home, Merchant, Middleware};
use passerelle_providers::{
    CustomerProvider, Settings, VENDORS, Vendor,
    kit::{Endpoint, Transport, run, server::base_path},
    model::{
        Command, Customer, CustomerFields, CustomerFilter, CustomerId, Error, IdPattern, Kind, ListCustomers,
        ListOfCustomer, Operation, Patch, Position, Reply, Request, Response,
        auth::{Credentials, Stamp},
        manifest::Manifest,
    },
    text::Text,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Gateway, JsonText, PROVIDERS};

const PREFIX: &str = "pub_";

/// Gives every customer a public id that is the provider's, backwards and after a prefix.
#[derive(Debug, Default)]
struct Renaming {
    /// Every id of a provider that was made public.
    at_provider: Mutex<BTreeSet<String>>,
}

fn public(id: &str) -> String {
    id.chars().rev().fold(PREFIX.to_owned(), |mut public, letter| {
        public.push(letter);
        public
    })
}

impl Renaming {
    fn rename(&self, id: &str) -> Text {
        self.at_provider.lock().expect("no other test panicked").insert(id.to_owned());
        Text::from(public(id))
    }

    /// Whether a text holds an id of a provider.
    fn is_in(&self, text: &str) -> bool {
        self.at_provider.lock().expect("no other test panicked").iter().any(|id| text.contains(id.as_str()))
    }
}

#[async_trait]
impl Middleware for Renaming {
    async fn resolve(&self, merchant: &Merchant, command: &mut Command) -> Result<Home, Error> {
        let connection = Arc::clone(&merchant.active);
        if let Some(id) = command.customer_mut() {
            let unknown = || Error::new(Kind::NotFound, "no such customer");
            let reversed = id.public().strip_prefix(PREFIX).ok_or_else(unknown)?;
            let at_provider = Text::from(reversed.chars().rev().collect::<String>());
            *id = id.clone().at(at_provider, &connection.manifest.id)?;
        }
        Ok(Home::at(connection))
    }

    async fn present(&self, _: &Merchant, _: &Connection, reply: &mut Reply) -> Result<(), Error> {
        for customer in reply.customers_mut() {
            let public = self.rename(customer.id_at_provider());
            customer.set_public_id(public);
        }
        Ok(())
    }

    async fn present_created(
        &self,
        _: &Merchant,
        _: &Connection,
        customer: &mut Customer,
        _: Option<Timestamp>,
    ) -> Result<(), Error> {
        let public = self.rename(customer.id_at_provider());
        customer.set_public_id(public);
        Ok(())
    }

    async fn public_ids(&self, _: &Merchant, customers: Vec<(String, String)>) -> Result<Vec<String>, Error> {
        Ok(customers.iter().map(|(_, id)| self.rename(id).to_string()).collect())
    }
}

/// A sandbox in which every merchant's ids are renamed.
async fn renaming(provider: &str) -> (Gateway, Arc<Renaming>) {
    let (gateway, renaming) = (Gateway::sandbox(provider).await, Arc::new(Renaming::default()));
    gateway.install(&(Arc::clone(&renaming) as Arc<dyn Middleware>));
    (gateway, renaming)
}

impl Renaming {
    /// Fails where an answer shows an id of a provider outside `provider`, which names it on purpose.
    fn check(&self, cell: &str, answer: &Answer) {
        let mut body = answer.body.clone();
        forget_provider(&mut body);
        assert!(!self.is_in(&body.to_string()), "{cell}: {}", answer.text);
        let headers = format!("{:?}", answer.headers);
        assert!(!self.is_in(&headers), "{cell}: {headers}");
    }
}

fn forget_provider(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("provider");
            members.values_mut().for_each(forget_provider);
        }
        Value::Array(values) => values.iter_mut().for_each(forget_provider),
        _ => {}
    }
}

#[tokio::test]
async fn every_answer_of_the_api_shows_public_ids_alone() {
    for provider in PROVIDERS {
        let (gateway, renaming) = renaming(provider).await;
        let id = a_customer(&gateway, &renaming, provider).await;
        let at_provider: String = id.chars().skip(PREFIX.len()).collect::<Vec<_>>().into_iter().rev().collect();

        let retrieved = gateway.get(&format!("/v1/customers/{id}")).await;
        assert_eq!((retrieved.status.as_u16(), &retrieved.body["id"]), (200, &json!(id)), "{provider}");
        assert_eq!(retrieved.body["provider"]["id"], json!(at_provider), "{provider}: {}", retrieved.text);
        renaming.check(provider, &retrieved);
        let unknown = gateway.get(&format!("/v1/customers/{at_provider}")).await;
        assert_eq!(
            unknown.status_and_code(),
            (404, "customer_not_found"),
            "{provider}: the provider's id is none of the merchant's"
        );

        let found = gateway.get(&format!("/v1/customers/lookup?email={}", text(&retrieved, "email"))).await;
        if found.status == 200 {
            assert_eq!(found.body["id"], json!(id), "{provider}");
        }
        renaming.check(provider, &found);

        let updated = gateway.patch(&format!("/v1/customers/{id}"), json!({ "email": "new@example.com" })).await;
        assert_eq!((updated.status.as_u16(), &updated.body["id"]), (200, &json!(id)), "{provider}: {}", updated.text);
        renaming.check(provider, &updated);

        for below in ["/payment_methods", "/payments", "/overdue_invoices"] {
            let listed = gateway.get(&format!("/v1/customers/{id}{below}")).await;
            assert!([200, 405].contains(&listed.status.as_u16()), "{provider} {below}: {}", listed.text);
            renaming.check(provider, &listed);
        }
        for change in ["/block", "/unblock"] {
            let changed = gateway.post(&format!("/v1/customers/{id}{change}"), json!({})).await;
            assert!([200, 405].contains(&changed.status.as_u16()), "{provider} {change}: {}", changed.text);
            renaming.check(provider, &changed);
        }
        walk_the_list(&gateway, &renaming, provider).await;

        let deleted = gateway.delete(&format!("/v1/customers/{id}")).await;
        if deleted.status == 200 {
            assert_eq!(deleted.body["id"], json!(id), "{provider}");
        } else {
            assert_eq!(deleted.status, 405, "{provider}: {}", deleted.text);
        }
        renaming.check(provider, &deleted);
        operations_name_public_ids(&gateway, &renaming, provider, &id).await;
    }
}

/// Creates a customer, or takes the first one where the provider creates none.
async fn a_customer(gateway: &Gateway, renaming: &Renaming, provider: &str) -> String {
    let body = json!({ "name": "Awa Ndiaye", "email": "awa.ndiaye@example.com" });
    let created = gateway.send(gateway.request(Method::POST, "/v1/customers").json_text(&body)).await;
    renaming.check(provider, &created);
    if created.status == 405 {
        let list = gateway.get("/v1/customers?limit=1").await;
        return list.body["data"][0]["id"].as_str().expect("a customer").to_owned();
    }
    assert_eq!(created.status, 201, "{provider}: {}", created.text);
    let id = text(&created, "id").to_owned();
    assert!(id.starts_with(PREFIX), "{provider}: {id}");
    assert_eq!(created.header("location"), format!("/v1/customers/{id}"), "{provider}");
    id
}

/// Lists wait for the middleware, so that they are not written as they lie in the provider's answer.
async fn walk_the_list(gateway: &Gateway, renaming: &Renaming, provider: &str) {
    let (mut path, mut ids) = ("/v1/customers?limit=2".to_owned(), BTreeSet::new());
    loop {
        let page = gateway.get(&path).await;
        assert_eq!(page.status, 200, "{provider}: {}", page.text);
        renaming.check(provider, &page);
        for customer in page.body["data"].as_array().expect("a page") {
            let id = customer["id"].as_str().expect("an id");
            assert!(id.starts_with(PREFIX), "{provider}: {id}");
            assert!(ids.insert(id.to_owned()), "{provider}: {id} is listed twice");
        }
        let Some(cursor) = page.body["next_cursor"].as_str() else { break };
        assert!(page.header("link").contains(cursor), "{provider}: {}", page.header("link"));
        path = format!("/v1/customers?limit=2&cursor={cursor}");
    }
    assert!(ids.len() > 2, "{provider}: several pages were read");
}

async fn operations_name_public_ids(gateway: &Gateway, renaming: &Renaming, provider: &str, id: &str) {
    let operations = gateway.get("/v1/operations").await;
    renaming.check(provider, &operations);
    let data = operations.body["data"].as_array().expect("a list");
    assert!(!data.is_empty() && data.iter().all(|one| one["customer"] == json!(id)), "{provider}: {}", operations.text);
    let one = gateway.get(&format!("/v1/operations/{}", data[0]["id"].as_str().expect("an id"))).await;
    assert_eq!(one.body["customer"], json!(id), "{provider}");
    renaming.check(provider, &one);
}

/// An answer that went with its customer names the customer as the merchant knows it.
#[tokio::test]
async fn an_erased_answer_names_the_public_id() {
    let (gateway, renaming) = renaming("modempay").await;
    let body = json!({ "name": "Awa Ndiaye", "email": "awa.ndiaye@example.com" });
    let create =
        || gateway.request(Method::POST, "/v1/customers").header("idempotency-key", "order-7").json_text(&body);
    let created = gateway.send(create()).await;
    let id = text(&created, "id").to_owned();
    assert_eq!(gateway.delete(&format!("/v1/customers/{id}")).await.status, 200);
    let replayed = gateway.send(create()).await;
    assert_eq!(replayed.status_and_code(), (410, "replay_erased"), "{}", replayed.text);
    assert!(replayed.text.contains(&id), "{}", replayed.text);
    assert!(!renaming.is_in(&replayed.text), "{}", replayed.text);
}

fn text<'a>(answer: &'a Answer, member: &str) -> &'a str {
    answer.body[member].as_str().unwrap_or_default()
}

/// A vendor's client that speaks to the gateway as to its vendor. It keeps every answer.
struct DropInClient<'g> {
    gateway: &'g Gateway,
    manifest: &'static Manifest,
    key: String,
    answers: Mutex<Vec<String>>,
}

#[async_trait]
impl Transport for DropInClient<'_> {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let base = format!("{}{}", self.gateway.url(&format!("/as/{}", self.manifest.name)), base_path(self.manifest));
        let mut request = Endpoint::new(&base).finish(Arc::unwrap_or_clone(request))?;
        let scheme = &self.manifest.auth[0];
        let credentials = scheme.credentials().iter().map(|name| ((*name).to_owned(), self.key.clone()));
        scheme.authorize(&mut request, &Credentials::new(credentials), &Stamp { now: 0, nonce: [7; 16] })?;
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().expect("a path").as_str();
        let sent = self.gateway.plain(parts.method, path).headers(parts.headers).body(body);
        let response = sent.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("a body");
        self.answers
            .lock()
            .expect("no other test panicked")
            .push(format!("{headers:?} {}", String::from_utf8_lossy(&body)));
        let mut response = Response::new(body);
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

#[tokio::test]
async fn clients_of_every_vendor_see_public_ids_alone() {
    for vendor in VENDORS {
        for provider in PROVIDERS {
            let (gateway, renaming) = renaming(provider).await;
            let cell = format!("a client of {} before {provider}", vendor.name());
            let seen = use_as_a_client(vendor, &gateway, provider, &cell).await;
            for answer in &seen {
                assert!(!renaming.is_in(answer), "{cell}: {answer}");
            }
            assert!(seen.iter().any(|answer| answer.contains(PREFIX)), "{cell}");
        }
    }
}

/// Sends a command as the vendor's client does. Unlike the gateway, it accepts ids of any form in answers.
async fn send_as_a_client(
    adapter: &dyn CustomerProvider,
    client: &DropInClient<'_>,
    command: &Command,
) -> Result<Reply, Error> {
    Ok(match command {
        Command::Create(create) => Reply::created(run(client, adapter.plan_create(create)?).await?.customer),
        Command::List(list) => Reply::Customers(run(client, adapter.plan_list(list)?.into_owned()).await?),
        Command::Retrieve(id) => Reply::Customer(run(client, adapter.plan_retrieve(id)?).await?),
        Command::Update(update) => Reply::changed(run(client, adapter.plan_update(update)?).await?),
        Command::Block(id) => Reply::changed(run(client, adapter.plan_block(id)?).await?),
        Command::Unblock(id) => Reply::changed(run(client, adapter.plan_unblock(id)?).await?),
        Command::PaymentMethods(list) => Reply::PaymentMethods(run(client, adapter.plan_payment_methods(list)?).await?),
        Command::Payments(list) => Reply::Payments(run(client, adapter.plan_payments(list)?).await?),
        Command::OverdueInvoices(id) => Reply::OverdueInvoices(run(client, adapter.plan_overdue_invoices(id)?).await?),
        Command::Delete(id) => run(client, adapter.plan_delete(id)?).await.map(|()| Reply::DELETED)?,
        Command::RetrieveOrCreate(_) | Command::Find(_) => unreachable!("this client does not send it"),
    })
}

/// Executes every operation that the vendor's clients have, and gives back every answer.
async fn use_as_a_client(vendor: &'static Vendor, gateway: &Gateway, provider: &str, cell: &str) -> Vec<String> {
    let manifest = vendor.manifests[0];
    let adapter: Arc<dyn CustomerProvider> =
        (vendor.connect)(Settings { generation: manifest.generation, region: None, livemode: true });
    let key = format!("sk_sandbox_{provider}");
    let client = DropInClient { gateway, manifest, key, answers: Mutex::default() };
    let execute = async |command: Command| {
        let supported = manifest.operation(command.operation()).is_supported();
        match send_as_a_client(&*adapter, &client, &command).await {
            Ok(reply) => Some(reply),
            Err(error) => {
                assert!(!supported || error.kind != Kind::NotFound, "{cell}: {command:?}: {error}");
                None
            }
        }
    };
    let fields = CustomerFields {
        name: Patch::Set("Awa Ndiaye".into()),
        email: Patch::Set("awa.ndiaye@example.com".into()),
        ..CustomerFields::default()
    };
    execute(Command::create(fields)).await;
    let list = Command::List(ListCustomers { limit: 2, position: Position::START, filter: CustomerFilter::default() });
    let listed = execute(list).await.expect(cell);
    let first = listed.customers().next().expect(cell).id.clone();
    assert!(first.starts_with(PREFIX), "{cell}: {first}");
    let id = CustomerId::parse(first.clone(), &IdPattern::PUBLIC).expect(cell);

    let retrieved = execute(Command::Retrieve(id.clone())).await.expect(cell);
    assert!(retrieved.customers().all(|customer| customer.id == first), "{cell}");
    let fields = CustomerFields { email: Patch::Set("new@example.com".into()), ..CustomerFields::default() };
    let updated = execute(Command::update(fields, id.clone())).await.expect(cell);
    assert!(updated.customers().all(|customer| customer.id == first), "{cell}");
    let of_customer = ListOfCustomer { id: id.clone(), limit: 5, position: Position::START, status: None };
    for command in [
        Command::Block(id.clone()),
        Command::Unblock(id.clone()),
        Command::PaymentMethods(of_customer.clone()),
        Command::Payments(of_customer),
        Command::OverdueInvoices(id.clone()),
    ] {
        execute(command).await;
    }
    if manifest.operation(Operation::Delete).is_supported() {
        execute(Command::Delete(id)).await;
    }
    client.answers.into_inner().expect("no other test panicked")
}

#[tokio::test]
async fn a_key_is_answered_although_the_middleware_does_not_know_the_id() {
    let gateway = Gateway::sandbox("notchpay").await;
    let created = gateway.post("/v1/customers", json!({ "name": "Awa Diop", "email": "awa@example.com" })).await;
    let path = format!("/v1/customers/{}", text(&created, "id"));
    let block = async |key: &str| {
        gateway.send(gateway.request(Method::POST, &format!("{path}/block")).header("idempotency-key", key)).await
    };
    let first = block("blocked").await;
    assert_eq!(first.status, 200, "{}", first.text);
    gateway.install(&(Arc::new(Renaming::default()) as Arc<dyn Middleware>));
    let again = block("blocked").await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("idempotency-status"), "replayed");
    let another = block("another").await;
    assert_eq!(another.status_and_code(), (404, "customer_not_found"), "{}", another.text);
}
