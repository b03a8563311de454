//! A provider that is played by its own server side: a test decides on the reply to each command, and the server side
//! reads the requests and writes the answers.

use passerelle_providers::{
    Settings,
    model::{Command, Created, Customer, CustomerFilter, Error, Kind, Page, Reply, Request, Written},
    text::Text,
    vendor,
};

use crate::stand_in::{Act, StandIn, bytes_of};

/// The time of a record that existed long before any test.
pub(crate) const LONG_AGO: &str = "2024-11-11T13:54:10Z";

/// Ids such that each provider can have one of them.
const IDS: [[&str; 2]; 2] = [
    ["0c1f5e0a-2f4e-4d6a-9a55-3f0f6f0b2a11", "1d2f5e0a-2f4e-4d6a-9a55-3f0f6f0b2a12"],
    ["cus_Nyyyyyyyyyyyyyyy", "cus_Nzzzzzzzzzzzzzzz"],
];

/// Two ids that this provider can have.
pub(crate) fn ids_of(provider: &str) -> [&'static str; 2] {
    let pattern = vendor(provider).expect("a vendor").manifests[0].id;
    IDS.into_iter().find(|[first, _]| pattern.matches(first)).expect("an id")
}

/// A provider that replies like this.
pub(crate) async fn playing(
    provider: &str,
    reply: impl Fn(&Command) -> Result<Reply, Error> + Send + Sync + 'static,
) -> StandIn {
    playing_bodies(provider, move |command| reply(command).map(|reply| Played::Reply(Box::new(reply)))).await
}

/// What a played provider does with a command.
pub(crate) enum Played {
    /// It answers this reply.
    Reply(Box<Reply>),
    /// It answers success with this body.
    Body(&'static str),
}

/// The same for answers of any form.
pub(crate) async fn playing_bodies(
    provider: &str,
    play: impl Fn(&Command) -> Result<Played, Error> + Send + Sync + 'static,
) -> StandIn {
    let vendor = vendor(provider).expect("a vendor");
    let generation = vendor.manifests[0].generation;
    let server = (vendor.server)(Settings { generation, region: None, livemode: true });
    StandIn::answering(move |requests| {
        let request = read(requests.last()?)?;
        let answered = server.accept(&request).and_then(|command| match play(&command)? {
            Played::Reply(reply) => server.answer(&command, &reply),
            Played::Body(body) => Ok(http::Response::new(body.into())),
        });
        let response = answered.unwrap_or_else(|error| server.refuse(&request, &error, jiff::Timestamp::UNIX_EPOCH));
        let (status, body) = (response.status().to_string(), response.into_body());
        let headers = [("connection", "close"), ("content-type", "application/json")];
        Some(Act::Send(bytes_of(&status, &headers, &body)))
    })
    .await
}

/// A provider whose creates are all answered with the values that were sent, as one record.
pub(crate) async fn echoing(provider: &'static str, created_at: Option<&'static str>) -> StandIn {
    playing(provider, move |command| match command {
        Command::Create(create) => {
            let mut customer = Customer { id: Text::from(ids_of(provider)[0]), ..Customer::default() };
            customer.created_at = created_at.map(Text::from_static);
            create.fields.apply_to(&mut customer);
            Ok(Reply::Written(Written::Created(Created::new(customer))))
        }
        command => reply_with(&[], command),
    })
    .await
}

/// A provider with these customers. It does what the command says, but keeps nothing.
pub(crate) fn reply_with(customers: &[Customer], command: &Command) -> Result<Reply, Error> {
    let matching = |filter: &CustomerFilter| customers.iter().filter(|one| filter.matches(one)).cloned().collect();
    match command {
        Command::List(list) => Ok(Reply::Customers(Page::of_all(matching(&list.filter), &list.position, list.limit))),
        Command::Find(lookup) => {
            let found: Vec<Customer> = matching(&CustomerFilter::from(lookup));
            let not_found = || Error::new(Kind::NotFound, "no such customer");
            found.into_iter().next().map(|one| Reply::Found(Some(one.into()))).ok_or_else(not_found)
        }
        Command::Retrieve(id) => {
            let found = customers.iter().find(|one| id.is_at_provider(&one.id));
            found
                .cloned()
                .map(|one| Reply::Customer(one.into()))
                .ok_or_else(|| Error::new(Kind::NotFound, "no such customer"))
        }
        command => Err(not_played(command)),
    }
}

fn not_played(command: &Command) -> Error {
    Error::new(Kind::ProviderFailed, format!("the test plays no {}", command.operation().name()))
}

/// Reads a request from its text.
fn read(text: &str) -> Option<Request> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let mut request = http::Request::builder().method(first.next()?).uri(first.next()?);
    for line in lines {
        let (name, value) = line.split_once(": ")?;
        request = request.header(name, value);
    }
    request.body(body.to_owned().into()).ok()
}
