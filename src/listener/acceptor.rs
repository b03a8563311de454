//! The thread of a listener. It accepts connections, and keeps each until its client has sent the head of a request, or has begun a TLS
//! handshake. Then it passes the connection on to the runtime of the gateway. So the threads of that runtime, which answer requests, spend no
//! time on clients that connect and are refused, or send nothing.

use std::{
    convert::Infallible,
    io,
    net::{self, SocketAddr},
    sync::Arc,
    thread,
    time::Duration,
};

use axum::{extract::Request, response::Response};
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{self, Builder},
    sync::oneshot,
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tower::Service;

use super::{
    Limits, Refuse,
    admission::{Admission, Admitted},
    arrival::{head_arrives, loses_place},
    handle::{Handle, OfConnection},
    server::Server,
    socket::{limit_unacknowledged, limit_unsent},
    transport::{CurrentTransport, Transport},
};
use crate::admission::OfClient;

/// How many connections may wait until the gateway accepts them. Linux limits them to `net.core.somaxconn`, which is 4096 by default.
pub const MOST_WAITING: i32 = 4096;
/// How long the listener waits after it could not accept a connection, for example because too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How many connections are accepted before the first bytes of those that were accepted earlier are looked at.
const ACCEPTED_AT_ONCE: usize = 2;

/// Starts the thread that accepts connections. The future serves them until the handle stops the listener.
pub fn serve<S>(
    listener: net::TcpListener,
    service: S,
    handle: Handle,
    limits: Limits,
    refuse: Arc<dyn Refuse>,
    transport: CurrentTransport,
) -> io::Result<impl Future<Output = io::Result<()>> + Send>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + OfClient + Clone + Send + Sync + 'static,
    S::Future: Send + Unpin,
{
    listener.set_nonblocking(true)?;
    limit_unsent(&listener);
    let server = Arc::new(Server::new(limits.head, refuse, Arc::clone(&transport)));
    let runtime = runtime::Handle::current();
    let acceptor =
        Arc::new(Acceptor { admission: Admission::new(limits), server, service, transport, handle, runtime });
    let (mut ended, has_ended) = oneshot::channel();
    thread::Builder::new().name("accept".to_owned()).spawn(move || {
        // A runtime must not be dropped by a thread of another one, as it would be if no thread could be started.
        let own = match Builder::new_current_thread().enable_all().build() {
            Ok(own) => own,
            Err(error) => return drop(ended.send(Err(error))),
        };
        own.block_on(async {
            tokio::select! {
                result = acceptor.run(listener) => drop(ended.send(result)),
                // The gateway ends without having stopped the listener.
                () = ended.closed() => {}
            }
        });
    })?;
    Ok(async { has_ended.await.map_err(io::Error::other)? })
}

/// A connection whose client has sent the head of a request, or has begun a TLS handshake.
pub(super) struct Arrived {
    pub(super) stream: net::TcpStream,
    pub(super) transport: Transport,
    /// When the client connected.
    pub(super) connected: Instant,
    pub(super) admitted: Admitted,
}

struct Acceptor<S> {
    admission: Arc<Admission>,
    server: Arc<Server>,
    service: S,
    transport: CurrentTransport,
    handle: Handle,
    /// The runtime of the gateway.
    runtime: runtime::Handle,
}

impl<S> Acceptor<S>
where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible> + OfClient + Clone + Send + Sync + 'static,
    S::Future: Send + Unpin,
{
    /// Accepts connections until the handle stops the listener, and waits for their end.
    async fn run(self: Arc<Self>, listener: net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        let mut stages = self.handle.stages();
        for accepted_count in 1_usize.. {
            let accepted = tokio::select! {
                biased;
                () = stages.draining() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(accepted) => self.begin(accepted).await,
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
            if accepted_count % ACCEPTED_AT_ONCE == 0 {
                yield_now().await;
            }
        }
        for accepted in waiting(listener)? {
            self.begin(accepted).await;
        }
        self.handle.ended().await;
        Ok(())
    }

    async fn begin(self: &Arc<Self>, (stream, peer): (TcpStream, SocketAddr)) {
        let Some(admitted) = self.admission.admit(peer.ip()).await else { return };
        let (acceptor, mut service, of_connection) =
            (Arc::clone(self), self.service.clone(), self.handle.of_connection());
        service.set_client(peer.ip());
        tokio::spawn(acceptor.keep(stream, admitted, service, of_connection));
    }

    /// Keeps a connection until its first bytes have arrived. It ends if they take too long, and if it loses its place.
    async fn keep(self: Arc<Self>, stream: TcpStream, admitted: Admitted, service: S, mut of_connection: OfConnection) {
        let (connected, transport, limits) = (Instant::now(), (self.transport)(), admitted.limits());
        let _ = stream.set_nodelay(true);
        limit_unacknowledged(&stream, limits.write_timeout);
        let arrived = tokio::select! {
            biased;
            arrived = timeout(limits.head_timeout, head_arrives(&stream)) => {
                arrived.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
            () = loses_place(&stream, &admitted) => return,
            () = of_connection.stages.stopped() => return,
        };
        match arrived.and_then(|()| stream.into_std()) {
            Ok(stream) => {
                let arrived = Arrived { stream, transport, connected, admitted };
                self.runtime.spawn(Arc::clone(&self.server).connection(arrived, service, of_connection));
            }
            Err(error) => transport.failed(&limits.series, &error),
        }
    }
}

/// The connections that the system has accepted when the listener drains. They are served, because it would reset them. Those
/// that clients go on to open are not: the drain would not end.
fn waiting(listener: TcpListener) -> io::Result<impl Iterator<Item = (TcpStream, SocketAddr)>> {
    let listener = listener.into_std()?;
    let accepted = (0..MOST_WAITING).map_while(move |_| listener.accept().ok());
    Ok(accepted.filter_map(|(stream, peer)| {
        stream.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(stream).ok()?, peer))
    }))
}
