//! Writes of an imitated provider's clients, told in that provider's words.

use std::{fmt, sync::Arc};

use http::{Method, Uri};
use jiff::Timestamp;
use passerelle_providers::{
    ImitatesVendor,
    engine::{Conditions, Language, drop_in},
    model::{LossPolicy, Reply, Request, Written},
};

use super::{
    answer::{self, Refusal},
    dialect::{self, Dialect},
};
use crate::{
    merchant::{Connection, Merchant},
    problem::Failure,
    store::Answer,
    writes::{Ended, KeptSurface, Surface, over_http},
};

/// An imitated provider, as it answers one request.
pub(super) struct Imitation {
    dialect: Dialect,
    server: Arc<dyn ImitatesVendor>,
    /// The method and the whole path, which its refusals may repeat.
    asked: Request,
    path: Uri,
    on_loss: LossPolicy,
    /// What the client wrote that no command can hold.
    lost: Vec<String>,
}

impl fmt::Debug for Imitation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Imitation({})", self.dialect.manifest.name)
    }
}

impl Imitation {
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

/// An imitation, from what was kept of it.
pub fn surface(kept: &KeptSurface, merchant: &Merchant) -> Option<Arc<dyn Surface>> {
    let (method, path) = kept.name.split_once(' ')?;
    let (method, path) = (Method::try_from(method).ok()?, Uri::try_from(path).ok()?);
    Some(Arc::new(Imitation::of(&method, &path, merchant, kept.on_loss, kept.lost.clone())?))
}

impl Surface for Imitation {
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

    fn tell(&self, ended: &Ended<'_>) -> (Answer, Option<Failure>) {
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
    fn own_or_common(&self, done: &Written, ended: &Ended<'_>) -> Reply {
        let reply = Reply::Written(done.clone());
        if self.is_spoken_by(ended.connection) { reply } else { drop_in::without_extra(reply) }
    }
}
