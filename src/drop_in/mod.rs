//! Drop-in: code written for one provider's client is served by another. Below `/as/<provider>` the gateway
//! speaks that provider's dialect: its server side reads the request, whichever connection is active carries it
//! out, and the dialect writes the answer, failures included.

mod answer;
mod caller;
mod dialect;
mod replay;

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::Uri;
use jiff::Timestamp;
use passerelle_providers::{
    ImitatesVendor,
    error::{Error, Kind},
    imitate::no_route,
    input,
    model::{Command, Reply},
    plan::Request,
    relay,
    text::Source,
};
use tokio::time::Instant;

pub use answer::Imitated;
pub use replay::Replays;

use crate::{
    app::App,
    config::OnLoss,
    http::{
        problem::{Code, Failure},
        request::read_body,
    },
    merchant::{Gateway, Merchant},
};
use answer::Refusal;
use caller::Presented;
use dialect::Dialect;
use replay::Seen;

/// Everything below `/as`.
pub async fn serve(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    let Some((dialect, below)) = Dialect::of(request.uri()) else {
        let told = "no provider of this name is imitated; GET /v1/providers shows those there are";
        return Failure::new(Code::NotFound, told).into_response();
    };
    let (head, body) = request.into_parts();
    let mut asked = Request::new(Bytes::new());
    (*asked.method_mut(), *asked.uri_mut(), *asked.headers_mut()) = (head.method, below, head.headers);
    let gateway = app.gateway.load_full();
    let mut call = Call { gateway, dialect, uri: head.uri, asked, now: Timestamp::now(), merchant: None, seen: None };
    let worked = AssertUnwindSafe(call.work(body, &app.replays)).catch_unwind().await;
    let unexpected = |_| Err(Failure::new(Code::Internal, "an unexpected fault; it is in the gateway's log").into());
    let response = match worked.unwrap_or_else(unexpected) {
        Ok(response) => response,
        Err(refusal) => {
            let server = call.dialect.server(call.merchant.as_deref());
            answer::refuse(&*server, &call.asked, call.merchant.as_deref(), &refusal, call.now)
        }
    };
    if let Some(seen) = call.seen.filter(|_| response.status().is_server_error()) {
        app.replays.forget(&seen);
    }
    response
}

/// One request on its way.
struct Call {
    gateway: Arc<Gateway>,
    dialect: Dialect,
    /// Where it was sent, which signatures cover.
    uri: Uri,
    /// What was sent, its path below the imitated provider's base.
    asked: Request,
    now: Timestamp,
    merchant: Option<Arc<Merchant>>,
    seen: Option<Seen>,
}

impl Call {
    async fn work(&mut self, body: Body, replays: &Replays) -> Result<Response, Refusal> {
        let presented = caller::presented(&self.gateway, self.dialect.manifest, &self.asked)?;
        *self.asked.body_mut() = read_body(self.asked.headers(), body, self.gateway.max_body).await?;
        let merchant = match presented {
            Presented::Key(merchant) => merchant,
            Presented::Signature(scheme) => {
                let mut signed = self.asked.clone();
                *signed.uri_mut() = self.uri.clone();
                let (merchant, once) = caller::signed(&self.gateway, self.dialect.manifest, scheme, &signed, self.now)?;
                self.seen = replays.admit(once, self.now.as_second())?;
                merchant
            }
        };
        let merchant = &*Arc::clone(self.merchant.insert(merchant));
        if !self.dialect.is_served {
            return Err(no_route().into());
        }
        let server = self.dialect.server(Some(merchant));
        let command = self.read(&*server, merchant)?;
        let reply =
            self.carry_out(merchant, &command).await.map_err(|error| Refusal::of(error, command.operation()))?;
        let answer = server.answer(&command, &reply).map_err(|error| Refusal::of(error, command.operation()))?;
        Ok(answer::told(answer, &reply))
    }

    fn read(&self, server: &dyn ImitatesVendor, merchant: &Merchant) -> Result<Command, Refusal> {
        let command = server.accept_for(&self.asked, &merchant.active.manifest.id)?;
        if !self.asked.body().is_empty() {
            let source = Source::new(self.asked.body());
            input::check(&source.ok_or_else(|| Error::new(Kind::Malformed, "the body is not UTF-8 text"))?)?;
        }
        Ok(relay::canonical(command, merchant.region))
    }

    async fn carry_out(&self, merchant: &Merchant, command: &Command) -> Result<Reply, Error> {
        let connection = &merchant.active;
        let tolerates_losses = merchant.on_loss == OnLoss::Drop;
        let line = connection.upstream.until(Instant::now() + self.gateway.deadline);
        let reply = relay::carry_out(&*connection.provider, &line, command, tolerates_losses).await?;
        let is_own = connection.manifest.name == self.dialect.manifest.name
            && connection.manifest.generation == self.dialect.manifest.generation;
        Ok(if is_own { reply } else { relay::without_extra(reply) })
    }
}
