//! A list that is paged by the id of the last customer that the client has seen (`starting_after`). No vendor in the
//! registry pages so, so the vendor here is made up. Its adapter walks its own twin; its clients walk every other vendor
//! through drop-in, and the clients of every other vendor walk it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use libtest_mimic::{Failed, Trial};
use passerelle::twin::Twin;
use passerelle_providers::{
    CustomerProvider, Settings, Vendor, VendorServer,
    engine::{self, Conditions, Language, drop_in},
    kit::{
        CustomerPage, Draft, Endpoint, Plan, Transport, VendorRequest, paging,
        server::{json_response, mismatched_reply, no_route, usual_status, uuid},
    },
    model::{
        BorrowedCustomer, Command, CreateCustomer, Created, Customer, CustomerFields, CustomerFilter, CustomerId,
        Error, Field, IdPattern, Kind, ListCustomers, LossPolicy, Operation, Patch, Position, Reply, Request, Response,
        Written,
        auth::{AuthScheme, Credentials, Stamp},
        manifest::{
            Clears, Dedupe, Dedupes, FieldSupport, FilterSupport, Filters, ListCoverage, Lookups, Manifest, NameStyle,
            Paging, PagingStyle, Support, UpdateStyle,
        },
    },
    text::{Str, Text, country::Region},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    case::block_on,
    laws::{SECRET, Subject, requests::the_server_side_decodes_pages_as_planned, subjects},
    sample,
};

/// More than the largest page of every vendor in the registry, so that a client reads beyond it. Fewer, with those of a
/// twin's own, than the made-up vendor shows in one scan (`SCAN_PAGES` of its largest pages).
const CUSTOMERS: usize = 120;
/// More than one page of the made-up vendor.
const LIMIT: u16 = 13;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        trial("its_adapter_walks_its_twin", || block_on(its_adapter_walks_its_twin())),
        trial("its_server_side_decodes_pages_as_planned", || {
            the_server_side_decodes_pages_as_planned(Subject { vendor: &EXAMPLE, manifest: &MANIFEST })
        }),
        trial("an_unknown_last_customer_is_not_taken_for_the_beginning", || {
            block_on(an_unknown_last_customer_is_not_taken_for_the_beginning())
        }),
        trial("a_token_of_another_vendor_is_refused", || block_on(a_token_of_another_vendor_is_refused())),
    ];
    for subject in subjects() {
        let (vendor, settings) = (subject.vendor, subject.settings());
        trials.push(trial(&format!("its_client_walks_{}", subject.name()), move || {
            block_on(a_client_of_one_walks_another((&EXAMPLE, example_settings()), (vendor, settings)))
        }));
        trials.push(trial(&format!("a_client_of_{}_walks_it", subject.name()), move || {
            block_on(a_client_of_one_walks_another((vendor, settings), (&EXAMPLE, example_settings())))
        }));
    }
    trials
}

fn trial(name: &str, check: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(format!("paging_by_last_customer::{name}"), check)
}

async fn its_adapter_walks_its_twin() -> Result<(), Failed> {
    let sandbox = Sandbox::with_customers(&EXAMPLE, example_settings()).await?;
    let seen = walk(&sandbox.provider, &sandbox).await?;
    assert_eq!(seen, sandbox.newest_first);
    let requests = sandbox.requests.lock().expect("no other test panicked").clone();
    let last = format!("/customers?limit=10&starting_after={}", sandbox.newest_first[9]);
    assert!(requests.contains(&last), "the id of the tenth customer is sent: {requests:?}");
    Ok(())
}

async fn a_client_of_one_walks_another(client: (&Vendor, Settings), served: (&Vendor, Settings)) -> Result<(), Failed> {
    let drop_in =
        DropIn { server: (client.0.server)(client.1), sandbox: Sandbox::with_customers(served.0, served.1).await? };
    let seen = walk(&(client.0.connect)(client.1), &drop_in).await?;
    assert_eq!(seen, drop_in.sandbox.newest_first);
    Ok(())
}

async fn an_unknown_last_customer_is_not_taken_for_the_beginning() -> Result<(), Failed> {
    for (vendor, settings) in
        subjects().map(|subject| (subject.vendor, subject.settings())).chain([(&EXAMPLE, example_settings())])
    {
        let server = (EXAMPLE.server)(example_settings());
        let drop_in = DropIn { server, sandbox: Sandbox::with_customers(vendor, settings).await? };
        let unknown = "/customers?starting_after=b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
        let mut request = Request::default();
        *request.uri_mut() = http::Uri::from_static(unknown);
        let answer = drop_in.send(Arc::new(request), false).await?;
        assert_eq!(answer.status(), 404, "{}", vendor.name());
    }
    Ok(())
}

async fn a_token_of_another_vendor_is_refused() -> Result<(), Failed> {
    for subject in subjects() {
        let sandbox = Sandbox::with_customers(subject.vendor, subject.settings()).await?;
        let list = list_at(Position::Token("eyJwYWdlIjoyfQ".into()));
        let conditions = Conditions { language: Language::Imitated, ..Conditions::canonical(LossPolicy::Drop) };
        let refused = engine::execute(&sandbox.provider, &sandbox, &list, conditions).await;
        assert_eq!(refused.err().map(|error| error.kind), Some(Kind::Malformed), "{}", subject.name());
    }
    Ok(())
}

/// The ids of every customer, as the API's cursors lead to them.
async fn walk(provider: &Arc<dyn CustomerProvider>, transport: &dyn Transport) -> Result<Vec<Text>, Failed> {
    let (mut ids, mut position) = (Vec::new(), Position::START);
    loop {
        let conditions = Conditions::canonical(LossPolicy::Reject);
        let reply = engine::execute(provider, transport, &list_at(position), conditions).await?;
        let Reply::Customers(page) = reply else { return Err("a list is answered with a page".into()) };
        ids.extend(page.items.into_iter().map(|customer| customer.id));
        match page.next {
            Some(next) if ids.len() <= CUSTOMERS * 2 => position = next,
            Some(_) => return Err("the walk does not end".into()),
            None => return Ok(ids),
        }
    }
}

fn list_at(position: Position) -> Command {
    Command::List(ListCustomers { limit: LIMIT, position, filter: CustomerFilter::default() })
}

/// A vendor's twin, and the adapter that speaks to it without a network.
struct Sandbox {
    manifest: &'static Manifest,
    provider: Arc<dyn CustomerProvider>,
    twin: Twin,
    newest_first: Vec<Text>,
    /// The path and query of every request.
    requests: Mutex<Vec<String>>,
}

impl Sandbox {
    async fn with_customers(vendor: &Vendor, settings: Settings) -> Result<Self, Failed> {
        let manifest = vendor.manifest(Some(settings.generation)).ok_or("the vendor has this generation")?;
        let provider = (vendor.connect)(settings);
        let twin = Twin::new(vendor, settings, Credentials::default());
        let mut sandbox = Self { manifest, provider, twin, newest_first: Vec::new(), requests: Mutex::default() };
        // A twin begins with a few customers of its own, which fit in one page.
        let conditions = Conditions::canonical(LossPolicy::Drop);
        let own = engine::execute(&sandbox.provider, &sandbox, &list_at(Position::START), conditions).await?;
        let mut oldest_first: Vec<Text> = own.customers().map(|customer| customer.id.clone()).collect();
        oldest_first.reverse();
        for number in 0..CUSTOMERS {
            let creates = match manifest.operation(Operation::Create).is_supported() {
                true => {
                    let mut create = sample::usual_create(manifest);
                    create.fields.email = Patch::Set(format!("customer{number}@example.com").into());
                    Command::Create(create)
                }
                // Where the vendor's application makes the customers, it makes one for a DID on demand.
                false => {
                    Command::RetrieveOrCreate(CustomerId::parse(format!("z1customer{number}").into(), &manifest.id)?)
                }
            };
            let reply = engine::execute(&sandbox.provider, &sandbox, &creates, conditions).await?;
            oldest_first.extend(reply.customers().map(|customer| customer.id.clone()));
        }
        sandbox.newest_first = oldest_first.into_iter().rev().collect();
        Ok(sandbox)
    }
}

#[async_trait]
impl Transport for Sandbox {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let number = {
            let mut requests = self.requests.lock().expect("no other test panicked");
            requests.push(request.uri().to_string());
            u16::try_from(requests.len()).expect("few requests")
        };
        let mut request = Endpoint::new(self.manifest.base_url.unwrap_or("https://app.example.com"))
            .finish(Arc::unwrap_or_clone(request))?;
        let scheme = &self.manifest.auth[0];
        let credentials = scheme.credentials().iter().map(|name| ((*name).to_owned(), SECRET.to_owned()));
        // Different in its first two bytes, of which some vendors make their ids with 62 letters.
        let [high, low] = [number / 62, number % 62].map(|digit| u8::try_from(digit).unwrap_or_default());
        let random = [high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let now = Timestamp::from_second(1_795_000_000 + i64::from(number)).unwrap_or_default();
        scheme.authorize(
            &mut request,
            &Credentials::new(credentials),
            &Stamp { now: now.as_second(), nonce: random },
        )?;
        Ok(self.twin.answer(request, now, random))
    }
}

/// One vendor's side in front of another vendor, as drop-in serves it.
struct DropIn {
    server: Arc<dyn VendorServer>,
    sandbox: Sandbox,
}

#[async_trait]
impl Transport for DropIn {
    async fn send(&self, request: Arc<Request>, _: bool) -> Result<Response, Error> {
        let answered = self.answer(&request).await;
        Ok(answered.unwrap_or_else(|error| {
            let error = drop_in::for_client(error, Some(Operation::List));
            self.server.refuse(&request, &error, Timestamp::UNIX_EPOCH)
        }))
    }
}

impl DropIn {
    async fn answer(&self, request: &Request) -> Result<Response, Error> {
        let command = self.server.accept_for(request, &self.sandbox.manifest.id)?;
        let command = drop_in::canonical(command, sample::region());
        let conditions = Conditions { language: Language::Imitated, ..Conditions::canonical(LossPolicy::Drop) };
        let reply = engine::execute(&self.sandbox.provider, &self.sandbox, &command, conditions).await?;
        self.server.answer(&command, &drop_in::without_extra(reply))
    }
}

static EXAMPLE: Vendor =
    Vendor { manifests: &[&MANIFEST], connect: |_| Arc::new(Example), server: |_| Arc::new(Example) };

fn example_settings() -> Settings {
    Settings { generation: MANIFEST.generation, region: sample::region(), livemode: true }
}

static MANIFEST: Manifest = Manifest {
    name: "example",
    title: "Example Pay",
    generation: "v1",
    documentation: "https://docs.example.com",
    base_url: Some("https://api.example.com"),
    auth: &[AuthScheme::Header { credential: "secret_key", name: "authorization", prefix: "Bearer " }],
    operations: &[
        (Operation::Find, Support::Emulated("the list is compared exactly")),
        (Operation::Update, Support::No("a customer stays as it was created")),
        (Operation::Delete, Support::No("a customer cannot be deleted")),
        (Operation::Block, Support::No("a customer cannot be blocked")),
        (Operation::Unblock, Support::No("a customer cannot be blocked")),
        (Operation::PaymentMethods, Support::No("it has no payment methods")),
        (Operation::Payments, Support::No("it has no payments")),
        (Operation::OverdueInvoices, Support::No("it has no invoices")),
    ],
    fields: &[FieldSupport::native(Field::Name, "name"), FieldSupport::native(Field::Email, "email")],
    echoes: &[],
    requires: &[],
    lists: ListCoverage::All,
    filters: Filters::scanned("it has no did"),
    lookups: Lookups {
        email: FilterSupport::Scan,
        phone: FilterSupport::No("it has no phone"),
        did: FilterSupport::No("it has no did"),
        reference: FilterSupport::No("it has no reference"),
    },
    paging: Paging {
        style: PagingStyle::AfterCustomer,
        parameters: "starting_after, limit",
        max_limit: 10,
        tells_total: false,
    },
    // Its client also walks the lists of other vendors, whose ids may have dots.
    id: IdPattern::DOTTED,
    dedupe: Dedupes::of_creates(Dedupe::Search),
    deletes_unknown: false,
    distinct: Support::Emulated("the list is searched"),
    update: UpdateStyle { names: NameStyle::Full, replaces_record: false, whole_address: false, clears: Clears::Sent },
};

/// The made-up vendor: its adapter and its own side.
#[derive(Debug)]
struct Example;

#[derive(Deserialize)]
struct WireCustomer<'a> {
    id: &'a str,
    name: Option<&'a str>,
    email: Option<&'a str>,
}

#[derive(Deserialize)]
struct WirePage<'a> {
    #[serde(borrow)]
    data: Vec<WireCustomer<'a>>,
    has_more: bool,
}

impl<'a> WireCustomer<'a> {
    fn decode(self) -> BorrowedCustomer<'a> {
        BorrowedCustomer {
            id: Str::new(self.id),
            name: self.name.map(Str::new),
            email: self.email.map(Str::new),
            ..BorrowedCustomer::default()
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::new(Kind::BadResponse, error.to_string()))
}

fn encode(customer: &Customer) -> Value {
    json!({ "id": &*customer.id, "name": customer.full_name().as_deref(), "email": customer.email.as_deref() })
}

impl CustomerProvider for Example {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn region(&self) -> Option<Region> {
        None
    }

    fn plan_create(&self, command: &CreateCustomer) -> Result<Plan<Created>, Error> {
        let name = command.fields.full_name().set().map(|name| name.to_string());
        let body = json!({ "name": name, "email": command.fields.email.set().map(|email| &**email) });
        Draft::post("/customers").json(&body)?.plan(
            |answer| answer.refusal(None, None),
            |answer| {
                let customer = parse::<WireCustomer<'_>>(answer.text()?)?.decode().into_owned(&answer.source()?);
                Ok(Created::new(customer))
            },
        )
    }

    fn plan_list(&self, command: &ListCustomers) -> Result<Plan<CustomerPage>, Error> {
        let last = paging::last_customer(&command.position)?;
        Draft::get("/customers").number("limit", command.limit.into()).maybe("starting_after", last).plan_page(
            |answer| answer.refusal(None, None),
            |answer| {
                let WirePage { data, has_more } = parse(answer.text()?)?;
                Ok(paging::page_of_more(data.into_iter().map(WireCustomer::decode).collect(), has_more))
            },
        )
    }
}

impl VendorServer for Example {
    fn manifest(&self) -> &'static Manifest {
        &MANIFEST
    }

    fn accept_for(&self, request: &Request, ids: &IdPattern) -> Result<Command, Error> {
        let asked = VendorRequest::of(request);
        match asked.route_below("/customers")? {
            ("POST", below) if below.is_empty() => {
                let source = asked.source()?;
                let given: Value = parse(source.as_str())?;
                let text = |member: &str| given[member].as_str().map_or(Patch::Absent, |text| Patch::Set(text.into()));
                let fields = CustomerFields { name: text("name"), email: text("email"), ..CustomerFields::default() };
                Ok(Command::create(fields))
            }
            ("GET", below) if below.is_empty() => Ok(Command::List(ListCustomers {
                limit: asked.limit("limit", 10, MANIFEST.paging.max_limit)?,
                position: paging::accept_last_customer(&asked, "starting_after", ids)?,
                filter: CustomerFilter::default(),
            })),
            _ => Err(no_route()),
        }
    }

    fn answer(&self, _: &Command, reply: &Reply) -> Result<Response, Error> {
        match reply {
            Reply::Written(Written::Created(created)) => Ok(json_response(201, &encode(&created.customer))),
            Reply::Customers(page) => {
                let data: Vec<Value> = page.items.iter().map(encode).collect();
                Ok(json_response(200, &json!({ "data": data, "has_more": page.next.is_some() })))
            }
            _ => Err(mismatched_reply()),
        }
    }

    fn refuse(&self, _: &Request, error: &Error, _: Timestamp) -> Response {
        json_response(usual_status(error.kind), &json!({ "message": error.detail }))
    }

    fn fill_new_record(&self, customer: &mut Customer, random: [u8; 16]) {
        customer.id = uuid(random);
    }
}
