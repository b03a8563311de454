//! How a process reaches the store and the provider. Both ways have faults, and a process can die at each point of them.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use passerelle::{
    clock,
    store::{Fate, StoreFaults},
    upstream::Network,
};
use passerelle_providers::model::{Error, Kind};
use tokio::{
    sync::{Notify, oneshot},
    time::sleep,
};

use crate::{
    mistakes::{self, Mistake},
    world::{Shared, World},
};

/// The links of a process. Clones are of the same process.
#[derive(Clone)]
pub(crate) struct Links {
    pub(crate) process: usize,
    pub(crate) world: Shared,
    /// Tells the simulation that the process dies now.
    pub(crate) death: Arc<Notify>,
    /// Whether the transaction of now claims a write.
    claims: Arc<AtomicBool>,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Links({})", self.process)
    }
}

impl Links {
    pub(crate) fn new(process: usize, world: Shared) -> Self {
        Self { process, world, death: Arc::default(), claims: Arc::default() }
    }

    /// The clock of the process, in milliseconds since the beginning.
    fn now() -> u64 {
        let passed = clock::now().as_millisecond() - World::time(0).as_millisecond();
        u64::try_from(passed).expect("a time after the beginning")
    }

    /// May end the process here: then this never returns.
    async fn may_die(&self, place: &str) {
        let dies = {
            let mut world = self.world.lock();
            let often = world.faults.crash;
            let dies = world.fails(often);
            if dies {
                world.note(format!("gateway {} dies {place}", self.process));
            }
            dies
        };
        if dies {
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
    }

    async fn wait(&self, from: u64, to: u64) {
        let milliseconds = self.world.lock().random.between(from, to);
        sleep(Duration::from_millis(milliseconds)).await;
    }
}

#[async_trait]
impl StoreFaults for Links {
    async fn before(&self, writes: bool) -> Fate {
        self.wait(0, 3).await;
        if !writes {
            return Fate::Committed;
        }
        self.may_die("before a transaction").await;
        self.claims.store(false, Ordering::Relaxed);
        let mut world = self.world.lock();
        let often = world.faults.store;
        if !world.fails(often) {
            return Fate::Committed;
        }
        let fate = world.random.one_of(&[Fate::Refused, Fate::AnswerLost]);
        world.note(format!("a transaction of gateway {} is {fate:?}", self.process));
        fate
    }

    async fn after(&self, writes: bool) {
        if writes {
            self.may_die("after a transaction").await;
            self.wait(0, 3).await;
        }
    }

    fn statement<'s>(&self, statement: &'s str) -> Cow<'s, str> {
        if mistakes::claims(statement) {
            self.claims.store(true, Ordering::Relaxed);
        }
        match self.world.lock().mistake {
            Some(Mistake::StaleAttempt) => mistakes::without_fence(statement),
            Some(Mistake::StaleVersion) => mistakes::without_version(statement),
            _ => statement.into(),
        }
    }

    fn keeps(&self) -> bool {
        let mut world = self.world.lock();
        let is_lost = self.claims.swap(false, Ordering::Relaxed) && world.errs(Mistake::LostClaim);
        if is_lost {
            world.note(format!("a claim of gateway {} is lost", self.process));
        }
        !is_lost
    }
}

impl Network for Links {
    fn send(&self, request: http::Request<Bytes>) -> BoxFuture<'static, Result<http::Response<Bytes>, Error>> {
        let links = self.clone();
        async move {
            links.may_die("before it sends").await;
            let (reply, answer) = oneshot::channel();
            links.world.lock().send(links.process, Self::now(), request, reply);
            links.may_die("after it has sent").await;
            let answer = answer.await.ok().flatten();
            links.may_die("with an answer").await;
            let kind = match links.world.lock().mistake {
                Some(Mistake::WrongCause) => Kind::Unreachable,
                _ => Kind::Interrupted,
            };
            answer.ok_or_else(|| Error::new(kind, "the connection of the simulation broke"))
        }
        .boxed()
    }
}

/// The store without faults.
#[derive(Debug)]
pub(crate) struct Calm;

#[async_trait]
impl StoreFaults for Calm {
    async fn before(&self, _: bool) -> Fate {
        Fate::Committed
    }

    async fn after(&self, _: bool) {}
}
