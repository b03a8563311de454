//! Writes of an imitated provider's clients, told in that provider's words.

use std::{fmt, sync::Arc};

use http::{Method, Uri};
use jiff::Timestamp;
use passerelle_providers::{
    VendorServer,
    engine::{Conditions, Language, drop_in},
    model::{LossPolicy, Reply, Request, Written},
};

use super::{
    answer::{self, Refusal},
    dialect::{self, Dialect},
};
use crate::{
    merchant::{Connection, Merchant},
    problem::Problem,
    store::KeptAnswer,
    writes::{EndedWrite, KeptSurface, Surface, over_http},
};

/// An imitated provider, as it answers one request.
pub(super) struct DropInSurface {
    dialect: Dialect,
    server: Arc<dyn VendorServer>,
    /// The method and the whole path, which its refusals may repeat.
    asked: Request,
    path: Uri,
    on_loss: LossPolicy,
    /// What the client wrote that no command can hold.
    lost: Vec<String>,
}

impl fmt::Debug for DropInSurface {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DropInSurface({})", self.dialect.manifest.name)
    }
}

impl DropInSurface {
    /// How a merchant's request is answered.
    pub(super) fn of(
        method: &Method,
        path: &Uri,
        merchant: &Merchant,
        on_loss: LossPolicy,
        lost: Vec<String>,
    ) -> Option<Self> {
        let (dialect, below) = Dialect::of(path)?;
        let mut asked = Request::default();
        (*asked.method_mut(), *asked.uri_mut()) = (method.clone(), below);
        let server = dialect.server(Some(merchant));
        Some(Self { dialect, server, asked, path: path.clone(), on_loss, lost })
    }
}

/// A drop-in surface, from what was kept of it.
pub fn surface(kept: &KeptSurface, merchant: &Merchant) -> Option<Arc<dyn Surface>> {
    let (method, path) = kept.name.split_once(' ')?;
    let (method, path) = (Method::try_from(method).ok()?, Uri::try_from(path).ok()?);
    Some(Arc::new(DropInSurface::of(&method, &path, merchant, kept.on_loss, kept.lost.clone())?))
}

impl Surface for DropInSurface {
    fn name(&self) -> String {
        format!("{} {}", self.asked.method(), self.path)
    }

    fn conditions(&self, connection: &Connection) -> Conditions {
        Conditions {
            on_loss: self.on_loss,
            language: Language::Imitated,
            // Some providers answer success to the deletion of any id; the imitated provider's clients expect an error
            // where there is no such customer.
            reads_before_delete: !self.dialect.is_spoken_by(connection) && dialect::deletes_unknown(connection),
        }
    }

    fn lost(&self) -> &[String] {
        &self.lost
    }

    fn write_answer(&self, ended: &EndedWrite<'_>) -> (KeptAnswer, Option<Problem>) {
        let operation = ended.command.operation();
        let told = match ended.result {
            Ok(done) => {
                let reply = self.dialect.own_or_common(done, ended);
                let answered = self.server.answer(ended.command, &reply);
                answered
                    .map(|answer| answer::told(answer, &reply, &self.lost))
                    .map_err(|error| Refusal::of(error, operation))
            }
            Err(error) => Err(Refusal::of(error.clone(), operation)),
        };
        match told {
            Ok(response) => (over_http::answer(response), None),
            Err(refusal) => {
                let refusal = refusal.of_write(ended.id);
                let merchant = Some(ended.merchant);
                let (response, failure) =
                    answer::refuse(&*self.server, &self.asked, merchant, &refusal, Timestamp::now());
                (over_http::answer(response), Some(failure))
            }
        }
    }
}

impl Dialect {
    /// What a client of this provider may be shown of another's reply.
    fn own_or_common(&self, done: &Written, ended: &EndedWrite<'_>) -> Reply {
        let reply = Reply::Written(done.clone());
        if self.is_spoken_by(ended.connection) { reply } else { drop_in::without_extra(reply) }
    }
}
