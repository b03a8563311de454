//! Writes of an imitated provider's clients: their answers have the form of that provider's own. The store has the
//! surface's name, so that another process can write the same answer later.

use std::{fmt, sync::Arc};

use http::{Method, Uri};
use passerelle_providers::{
    VendorServer,
    engine::{Conditions, Language, drop_in},
    model::{LossPolicy, Reply, Request, Written},
};

use super::{
    answer::{self, Refusal},
    dialect::Dialect,
};
use crate::{
    merchant::{Connection, Merchant},
    problem::Problem,
    store::StoredAnswer,
    writes::{EndedWrite, StoredSurface, Surface, over_http},
};

/// The surface of one write: the dialect, and what its answers need of the request.
pub(super) struct DropInSurface {
    dialect: Dialect,
    server: Arc<dyn VendorServer>,
    /// The request's method and its path below the provider's base. Refusals of some providers contain them.
    vendor_request: Request,
    path: Uri,
    on_loss: LossPolicy,
    /// The members of the body that no command has a place for.
    lost: Vec<String>,
}

impl fmt::Debug for DropInSurface {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "DropInSurface({})", self.dialect.manifest.name)
    }
}

impl DropInSurface {
    /// The surface of a merchant's request; `None` if the path names no provider.
    pub(super) fn of(
        method: &Method,
        path: &Uri,
        merchant: &Merchant,
        on_loss: LossPolicy,
        lost: Vec<String>,
    ) -> Option<Self> {
        let (dialect, below) = Dialect::of(path)?;
        let mut vendor_request = Request::default();
        (*vendor_request.method_mut(), *vendor_request.uri_mut()) = (method.clone(), below);
        let server = dialect.server(Some(merchant));
        Some(Self { dialect, server, vendor_request, path: path.clone(), on_loss, lost })
    }
}

/// Restores a drop-in surface from the store.
pub fn surface(kept: &StoredSurface, merchant: &Merchant) -> Option<Arc<dyn Surface>> {
    let (method, path) = kept.name.split_once(' ')?;
    let (method, path) = (Method::try_from(method).ok()?, Uri::try_from(path).ok()?);
    Some(Arc::new(DropInSurface::of(&method, &path, merchant, kept.on_loss, kept.lost.clone())?))
}

impl Surface for DropInSurface {
    fn name(&self) -> String {
        format!("{} {}", self.vendor_request.method(), self.path)
    }

    fn conditions(&self, _: &Connection) -> Conditions {
        Conditions { on_loss: self.on_loss, language: Language::Imitated }
    }

    fn lost(&self) -> &[String] {
        &self.lost
    }

    fn write_answer(&self, ended: &EndedWrite<'_>) -> (StoredAnswer, Option<Problem>) {
        let operation = ended.command.operation();
        let answer = match ended.result {
            Ok(done) => {
                let reply = self.dialect.own_or_common(done, ended);
                let answered = self.server.answer(ended.command, &reply);
                answered
                    .map(|answer| answer::with_losses(answer, &reply, &self.lost))
                    .map_err(|error| Refusal::of(error, operation))
            }
            Err(error) => Err(Refusal::of(error.clone(), operation)),
        };
        match answer {
            Ok(response) => (over_http::answer(response), None),
            Err(refusal) => {
                let refusal = refusal.of_write(ended.id);
                let merchant = Some(ended.merchant);
                let (response, failure) =
                    answer::refuse(&*self.server, &self.vendor_request, merchant, &refusal, crate::clock::now());
                (over_http::answer(response), Some(failure))
            }
        }
    }
}

impl Dialect {
    /// A reply as clients of this provider may see it: without the fields that only another provider has.
    fn own_or_common(&self, done: &Written, ended: &EndedWrite<'_>) -> Reply {
        let reply = Reply::Written(done.clone());
        if self.is_spoken_by(ended.connection) { reply } else { drop_in::without_extra(reply) }
    }
}
