//! Drop-in: the gateway serves code that was written for one provider's client with another provider. Below
//! `/as/<provider>` it speaks that provider's dialect: the imitated provider's server side decodes the request into a
//! command, the merchant's active connection executes it, and the server side encodes the answer or the error.

mod answer;
mod caller;
mod dialect;
mod homes;
mod surface;

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{Method, Uri};
use jiff::Timestamp;
use passerelle_providers::{
    VendorServer,
    api::input,
    engine::{Conditions, Language, drop_in},
    kit::server::{no_route, not_found, outside_base},
    model::{Command, Error, FieldError, IdPattern, Kind, LossPolicy, Reply, Request},
    text::Source,
};
use tokio::time::Instant;

pub use surface::surface;

use crate::{
    admission,
    body::{BodyLimits, read_body},
    execution::{self, ProviderTransport, Reader},
    merchant::{Action, Client, Connection, Gateway, Key, Merchant},
    metrics::{number, request::is_for},
    problem::{AlreadyWritten, Code, Problem},
    state::{Admitted, App, BodyOwner, NotAdmitted, Seen},
    writes::{MOST_PLANS, NewWrite, Refused, SentRequest, over_http},
};
use answer::Refusal;
use caller::Authentication;
use dialect::Dialect;
use surface::DropInSurface;

/// The routes of all dialects.
pub fn routes() -> [(&'static str, MethodRouter<Arc<App>>); 3] {
    ["/as/{provider}", "/as/{provider}/", "/as/{provider}/{*path}"].map(|path| (path, any(serve)))
}

/// Whether a path is one of drop-in.
pub fn is_below(uri: &Uri) -> bool {
    uri.path().starts_with(dialect::ROOT)
}

/// Writes a refusal that the gateway makes before a route is called, in the form of the provider that the path names.
/// `None` if it names no provider.
pub fn refuse(method: &Method, uri: &Uri, problem: &Problem) -> Option<http::Response<Bytes>> {
    let (dialect, below) = Dialect::of(uri)?;
    let mut vendor_request = Request::default();
    (*vendor_request.method_mut(), *vendor_request.uri_mut()) = (method.clone(), below);
    let refusal = Refusal::from(problem.clone());
    Some(answer::refuse(&*dialect.server(None), &vendor_request, None, &refusal, crate::clock::now()).0)
}

/// Serves every request below `/as`.
async fn serve(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    let Some((dialect, below)) = Dialect::of(request.uri()) else {
        let message = "the path after /as/ names no provider; GET /v1/providers lists them";
        return Problem::new(Code::NotFound, message).into_response();
    };
    let (parts, body) = request.into_parts();
    let mut vendor_request = Request::new(Bytes::new());
    (*vendor_request.method_mut(), *vendor_request.uri_mut(), *vendor_request.headers_mut()) =
        (parts.method, below, parts.headers);
    let gateway = app.gateway.load_full();
    let mut call = DropInCall {
        gateway,
        dialect,
        uri: parts.uri,
        vendor_request,
        now: crate::clock::now(),
        merchant: None,
        key: None,
        seen: None,
        lost: Vec::new(),
        elsewhere: None,
        refusal: None,
    };
    let result = AssertUnwindSafe(call.answer(body, &app)).catch_unwind().await;
    let response = match result.unwrap_or_else(|_| Err(Problem::fault(call.vendor_request.method()).into())) {
        Ok(response) => response,
        Err(refusal) => {
            let merchant = call.merchant.as_deref();
            let server = call.dialect.server(merchant);
            let (mut response, failure) = answer::refuse(&*server, &call.vendor_request, merchant, &refusal, call.now);
            response.extensions_mut().insert(AlreadyWritten(failure));
            response
        }
    };
    if let Some(seen) = call.seen {
        app.replays.settle(seen, &response).await;
    }
    response.map(Body::from)
}

/// One request of a drop-in client.
struct DropInCall {
    gateway: Arc<Gateway>,
    dialect: Dialect,
    /// The URI that the client sent the request to. Signatures cover it.
    uri: Uri,
    /// The request. Its path is relative to the imitated provider's base.
    vendor_request: Request,
    now: Timestamp,
    merchant: Option<Arc<Merchant>>,
    key: Option<Arc<Key>>,
    seen: Option<Seen>,
    /// The members of the body that no command has a place for.
    lost: Vec<String>,
    /// How many customers live elsewhere than at the active connection, for a page of its list.
    elsewhere: Option<u64>,
    /// Why the command cannot be executed now. The write may still be one that was executed earlier, by another connection
    /// or under another `on_loss`.
    refusal: Option<Error>,
}

impl DropInCall {
    /// Authenticates the caller, decodes the request, executes the command, and encodes the answer.
    async fn answer(&mut self, body: Body, app: &App) -> Result<http::Response<Bytes>, Refusal> {
        let authentication = caller::authentication(&self.gateway, self.dialect.manifest, &self.vendor_request)?;
        if let Authentication::Key(Client { merchant, .. }) = &authentication {
            admission::admit(&app.places, &merchant.places, merchant.request_rate.as_deref())?;
        }
        let limits = BodyLimits::of(&self.gateway);
        let owner = match &authentication {
            Authentication::Key(client) => BodyOwner::Merchant(client.merchant.name.clone()),
            Authentication::Signature(_, signer) => BodyOwner::Signer(*signer),
        };
        let reservation = app.bodies.reservation(owner);
        *self.vendor_request.body_mut() = read_body(self.vendor_request.headers(), body, limits, reservation).await?;
        let merchant = match authentication {
            Authentication::Key(client) => {
                self.key = Some(client.key);
                client.merchant
            }
            Authentication::Signature(scheme, _) => {
                let mut signed = self.vendor_request.clone();
                *signed.uri_mut() = self.uri.clone();
                let (merchant, once) = caller::signed(&self.gateway, self.dialect.manifest, scheme, &signed, self.now)?;
                admission::admit(&app.places, &merchant.places, merchant.request_rate.as_deref())?;
                match app.replays.admit(once, self.now.as_second(), self.gateway.deadline).await {
                    Ok(Admitted::First(seen)) => self.seen = seen,
                    Ok(Admitted::Again(repeated)) => return Ok(repeated.answer().await?),
                    Err(NotAdmitted::Refused(error)) => return Err(error.into()),
                    Err(NotAdmitted::Store(error, seen)) => {
                        self.seen = seen;
                        return Err(over_http::refusal(Refused::Store(error)).into());
                    }
                }
                merchant
            }
        };
        let merchant = &Arc::clone(self.merchant.insert(merchant));
        let body = self.vendor_request.body();
        if !body.is_empty() {
            merchant.body_bytes.observe(number(body.len()));
        }
        if !self.dialect.is_served {
            return Err(outside_base().into());
        }
        let server = self.dialect.server(Some(merchant));
        let command = self.decode(&*server, merchant)?;
        let operation = command.operation();
        is_for(operation, merchant.active.upstream.series());
        // A client that signs its requests has no key, and every scope.
        if let Some(key) = &self.key {
            key.require(Action::Customers(operation)).map_err(Problem::from)?;
        }
        let of_command = |error| Refusal::of(error, operation);
        if command.is_write() {
            return self.write(app, merchant, command).await;
        }
        let (reply, connection) = self.read_from(app, merchant, command.clone()).await.map_err(of_command)?;
        let answer = server.answer(&command, &reply).map_err(of_command)?;
        let answer = answer::with_losses(answer, &reply, &self.lost);
        let (head, body) = answer::with_elsewhere(answer, self.elsewhere).into_parts();
        // The answer takes the place that the reply had.
        drop(reply);
        Ok(http::Response::from_parts(head, connection.upstream.answer(body).map_err(of_command)?))
    }

    /// Executes a write.
    async fn write(
        &self,
        app: &App,
        merchant: &Arc<Merchant>,
        mut command: Command,
    ) -> Result<http::Response<Bytes>, Refusal> {
        let mut merchant = Arc::clone(merchant);
        for _ in 0..MOST_PLANS {
            match self.write_at_home(app, &merchant, command).await? {
                Ok(response) => return Ok(response),
                Err(moved) => command = moved.command,
            }
            merchant = app.merchant_of_moved(merchant).await;
        }
        Err(Refusal::from(over_http::moved_too_often()))
    }

    /// Executes a write at the home of its customer. An inner error: the customer was moved between the plan and the claim.
    async fn write_at_home(
        &self,
        app: &App,
        merchant: &Arc<Merchant>,
        mut command: Command,
    ) -> Result<Result<http::Response<Bytes>, Box<NewWrite>>, Refusal> {
        let operation = command.operation();
        let of_command = |error| Refusal::of(error, operation);
        let ends = Instant::now() + self.gateway.deadline;
        let reader = Reader::new(merchant, app.store.contacts(), conditions(merchant), ends);
        let (home, refusal) = execution::resolve_write(merchant, &mut command, Some(&reader), merchant.on_loss).await;
        if merchant.carried.is_some() && refusal.is_none() {
            let completed = execution::complete_name(merchant, &home.connection, &mut command, self.gateway.deadline);
            Box::pin(completed).await.map_err(of_command)?;
        }
        let refusal = self.refusal.clone().or(refusal);
        let surface =
            DropInSurface::of(self.vendor_request.method(), &self.uri, merchant, merchant.on_loss, self.lost.clone());
        let surface = surface.ok_or_else(no_route)?;
        let idempotency = over_http::idempotency(self.vendor_request.headers())?;
        let body = Some(self.vendor_request.body()).filter(|body| !body.is_empty()).and_then(Source::new);
        let new = NewWrite {
            merchant: Arc::clone(merchant),
            key_name: self.key.as_ref().and_then(|key| key.name().cloned()),
            home: home.of_write(),
            connection: home.connection,
            command,
            sent: SentRequest { body, ..SentRequest::default() },
            is_keyed: idempotency.key.is_some(),
            surface: Arc::new(surface),
            deadline: self.gateway.deadline,
            refusal,
            copy: None,
        };
        match app.writes.execute(new, idempotency).await.map_err(of_command)? {
            Ok(answer) => Ok(Ok(over_http::response(answer))),
            Err(Refused::Moved(moved)) => Ok(Err(moved)),
            Err(refused) => Err(Refusal::from(over_http::refusal(refused))),
        }
    }

    /// Decodes the request into a command. If the merchant does not accept losses, a body with members that no command has
    /// a place for is refused, at once or, with a key, after the search for an earlier write.
    fn decode(&mut self, server: &dyn VendorServer, merchant: &Merchant) -> Result<Command, Refusal> {
        let command = self.accept(server, merchant)?;
        drop_in::check_phones(&command)?;
        if !self.vendor_request.body().is_empty() {
            let source = Source::new(self.vendor_request.body());
            let source = source.ok_or_else(|| Error::new(Kind::Malformed, "the body is not UTF-8 text"))?;
            input::check(&source, self.gateway.json)?;
            drop_in::check_metadata(&command)?;
            if matches!(command, Command::Create(_) | Command::Update(_)) {
                let lost = server.members_without_place(&source);
                self.lost = lost.into_iter().map(str::to_owned).collect();
            }
            if merchant.on_loss != LossPolicy::Drop && !self.lost.is_empty() {
                let lost =
                    self.lost.iter().map(|member| FieldError::new(member.clone(), "the gateway has no field for it"));
                let error = Error::new(Kind::Rejected, "the gateway does not have a field for every member");
                let error = error.with_fields(lost.collect());
                if !self.is_keyed() {
                    return Err(Refusal::of(error, command.operation()));
                }
                // It may have been executed while the merchant accepted losses.
                self.refusal.get_or_insert(error);
            }
        }
        let mut command = drop_in::canonical(command, merchant.region);
        // At a provider where an e-mail address is unique, a second create is answered with the first customer, whatever
        // else it contains. Clients of that provider rely on it.
        if let Command::Create(create) = &mut command {
            create.distinct |= server.is_email_unique();
        }
        Ok(command)
    }

    /// Whether the client sent an idempotency key, so that the request can repeat an earlier write.
    fn is_keyed(&self) -> bool {
        over_http::idempotency(self.vendor_request.headers()).is_ok_and(|given| given.key.is_some())
    }

    /// Reads the command. A write with a key can have an id of another provider, whose connection is not active any more;
    /// it is refused after the search for an earlier write.
    fn accept(&mut self, server: &dyn VendorServer, merchant: &Merchant) -> Result<Command, Refusal> {
        let error = match server.accept_for(&self.vendor_request, merchant.id_pattern()) {
            Ok(command) => return Ok(command),
            Err(error) => error,
        };
        match server.accept_for(&self.vendor_request, &IdPattern::PUBLIC) {
            Ok(command) if command.is_write() && self.is_keyed() => {
                self.refusal = Some(error);
                Ok(command)
            }
            _ => Err(error.into()),
        }
    }

    /// Executes a command that only reads, and returns the connection that answered.
    async fn read_from(
        &mut self,
        app: &App,
        merchant: &Merchant,
        mut command: Command,
    ) -> Result<(Reply, Arc<Connection>), Error> {
        if let Some(homes) = merchant.homes() {
            return Box::pin(self.read_at_homes(app, merchant, homes, command)).await;
        }
        let connection = execution::resolve(merchant, &mut command, None).await?.connection;
        let planned = execution::plan(&connection, &command, conditions(merchant))?;
        let ends = Instant::now() + self.gateway.deadline;
        let transport =
            ProviderTransport::new(&connection, command.operation(), ends).knowing(app.store.contacts(), merchant);
        let reply = match execution::read(merchant, &transport, planned).await? {
            Reply::Found(None) => return Err(not_found()),
            reply if self.dialect.is_spoken_by(&connection) => reply,
            reply => drop_in::without_extra(reply),
        };
        drop(transport);
        Ok((reply, connection))
    }
}

fn conditions(merchant: &Merchant) -> Conditions {
    Conditions { on_loss: merchant.on_loss, language: Language::Imitated }
}
