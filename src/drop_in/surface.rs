//! Writes of an imitated provider's clients, told in that provider's words.

use std::{fmt, sync::Arc};

use http::{Method, Uri};
use jiff::Timestamp;
use passerelle_providers::{
    ImitatesVendor,
    engine::drop_in,
    model::{Reply, Request},
};

use super::{
    answer::{self, Refusal},
    dialect::{self, Dialect},
};
use crate::{
    http::{problem::Failure, writes},
    merchant::{Connection, Merchant},
    store::Answer,
    writes::{Ended, Surface},
};

/// An imitated provider, as it answers one request.
pub(super) struct Imitation {
    dialect: Dialect,
    server: Arc<dyn ImitatesVendor>,
    /// The method and the whole path, which its refusals may repeat.
    asked: Request,
    path: Uri,
    /// What the client wrote that no command can hold.
    lost: Vec<&'static str>,
}

impl fmt::Debug for Imitation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Imitation({})", self.dialect.manifest.name)
    }
}

impl Imitation {
    /// How a merchant's request is answered.
    pub(super) fn of(method: &Method, path: &Uri, merchant: &Merchant, lost: Vec<&'static str>) -> Option<Self> {
        let (dialect, below) = Dialect::of(path)?;
        let mut asked = Request::default();
        (*asked.method_mut(), *asked.uri_mut()) = (method.clone(), below);
        let server = dialect.server(Some(merchant));
        Some(Self { dialect, server, asked, path: path.clone(), lost })
    }
}

/// An imitation from its name.
pub fn surface(name: &str, merchant: &Merchant) -> Option<Arc<dyn Surface>> {
    let (method, path) = name.split_once(' ')?;
    let (method, path) = (Method::try_from(method).ok()?, Uri::try_from(path).ok()?);
    Some(Arc::new(Imitation::of(&method, &path, merchant, Vec::new())?))
}

impl Surface for Imitation {
    fn name(&self) -> String {
        format!("{} {}", self.asked.method(), self.path)
    }

    fn misses_who_is_not_there(&self, connection: &Connection) -> bool {
        // Some providers delete whatever they are asked to; others' clients are told that there was nobody.
        !self.dialect.is_spoken_by(connection) && dialect::deletes_unknown(connection)
    }

    fn tell(&self, ended: &Ended<'_>) -> (Answer, Option<Failure>) {
        let operation = ended.command.operation();
        let told = match ended.result {
            Ok(reply) => {
                let reply = self.dialect.own_or_common(reply, ended);
                let answered = self.server.answer(ended.command, &reply);
                answered
                    .map(|answer| answer::told(answer, &reply, &self.lost))
                    .map_err(|error| Refusal::of(error, operation))
            }
            Err(error) => Err(Refusal::of(error.clone(), operation)),
        };
        match told {
            Ok(response) => (writes::answer(response), None),
            Err(refusal) => {
                let refusal = refusal.of_write(ended.id);
                let merchant = Some(ended.merchant);
                let (response, failure) =
                    answer::refuse(&*self.server, &self.asked, merchant, &refusal, Timestamp::now());
                (writes::answer(response), Some(failure))
            }
        }
    }
}

impl Dialect {
    /// What a client of this provider may be shown of another's reply.
    fn own_or_common(&self, reply: &Reply, ended: &Ended<'_>) -> Reply {
        match self.is_spoken_by(ended.connection) {
            true => reply.clone(),
            false => drop_in::without_extra(reply.clone()),
        }
    }
}
