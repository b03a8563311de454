//! The listeners of a gateway: one for clients, and one for the operator if `[operator]` is configured.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use socket2::SockRef;
use tokio::task::JoinHandle;

use super::inherited::Inherited;
use crate::{
    app,
    config::{Config, Http2},
    listener::{
        self, CurrentTransport, Handle, Limits, ListenerSeries, MOST_WAITING, PING_INTERVAL, PING_TIMEOUT, REST_AFTER,
        Transport, connections_within_file_limit,
    },
    merchant::Gateway,
    state::App,
    switch::service::SwitchService,
};

/// How many connections the operator's listener accepts. Probes and people are few, and a port that is open to more than
/// them must not take files from the clients.
const OPERATOR_CONNECTIONS: usize = 64;

/// The bound sockets of the listeners. They are bound before anything is served, so that a mistake stops the start.
pub(super) struct Bound {
    pub(super) clients: TcpListener,
    operator: Option<TcpListener>,
    limits: Limits,
}

impl Bound {
    /// Binds the addresses of a configuration for which the service manager has no socket. Adds a warning if the system
    /// allows too few open files.
    pub(super) fn new(config: &Config, inherited: Inherited, warnings: &mut Vec<String>) -> Result<Self, String> {
        let server = &config.server;
        let clients = match inherited.api {
            Some(socket) => socket,
            None => bind(&server.listen, "--listen or PASSERELLE_SERVER__LISTEN")?,
        };
        let operator = match (&config.operator, inherited.operator) {
            (Some(_), Some(socket)) => Some(socket),
            (Some(operator), None) => Some(bind(&operator.listen, "operator.listen or PASSERELLE_OPERATOR__LISTEN")?),
            (None, None) => None,
            (None, Some(_)) => {
                return Err(
                    "the service manager passes the socket `operator`, and the configuration has no `[operator]`; add \
                            it, or remove the socket unit"
                        .to_owned(),
                );
            }
        };
        let max_connections = connections_within_file_limit(server.max_connections);
        if max_connections < server.max_connections {
            warnings.push(format!(
                "the system's limit of open files allows only {max_connections} client connections, not \
                 `server.max_connections` = {}; raise the limit (LimitNOFILE, `ulimit -n`)",
                server.max_connections
            ));
        }
        if let (Some(config), Some(socket)) = (&config.operator, &operator)
            && !config.keys.is_empty()
            && socket.local_addr().is_ok_and(|address| !address.ip().is_loopback())
        {
            let listen = socket.local_addr().map_or_else(|_| config.listen.clone(), |address| address.to_string());
            warnings.push(format!(
                "the operator's listener on {listen} is reached from other machines, and the operator's key crosses the \
                 network without encryption; listen on 127.0.0.1, or put a proxy that terminates TLS in front of it"
            ));
        }
        let limits = Limits {
            max_connections,
            max_connections_per_address: server.max_connections_per_address,
            trusted_proxies: server.trusted_proxies.clone(),
            max_streams: server.max_streams.get(),
            stream_window: server.stream_window,
            connection_window: server.connection_window,
            head: server.head(),
            head_timeout: server.head_timeout,
            idle_timeout: server.idle_timeout,
            rest_after: REST_AFTER,
            write_timeout: server.write_timeout,
            ping_interval: PING_INTERVAL,
            ping_timeout: PING_TIMEOUT,
            series: ListenerSeries::default(),
        };
        Ok(Self { clients, operator, limits })
    }

    /// Serves the API, and the operator's API.
    pub(super) fn serve(
        self,
        app: &Arc<App>,
        switches: Arc<dyn SwitchService>,
    ) -> Result<(Listener, Option<Listener>), String> {
        let series = ListenerSeries::new(app.metrics(), "api");
        let limits = Limits { series, ..self.limits.clone() };
        let gateway = Arc::clone(&app.gateway);
        let transport: CurrentTransport = Arc::new(move || of_clients(&gateway.load()));
        let clients = Listener::start(self.clients, app::router(Arc::clone(app)), limits, transport)?;
        let operator = self.operator.map(|socket| {
            let limits = Limits {
                max_connections: OPERATOR_CONNECTIONS,
                max_connections_per_address: OPERATOR_CONNECTIONS,
                trusted_proxies: Vec::new(),
                series: ListenerSeries::new(app.metrics(), "operator"),
                ..self.limits
            };
            let gateway = Arc::clone(&app.gateway);
            let transport: CurrentTransport = Arc::new(move || of_operator(&gateway.load()));
            Listener::start(socket, app::operator_router(Arc::clone(app), switches), limits, transport)
        });
        Ok((clients, operator.transpose()?))
    }
}

/// How clients' new connections are read. A reload changes it.
fn of_clients(gateway: &Gateway) -> Transport {
    Transport {
        tls: gateway.tls.as_ref().map(|served| Arc::clone(&served.config)),
        prior_knowledge: gateway.http2 == Http2::PriorKnowledge,
        request_timeout: gateway.body_timeout + gateway.deadline,
    }
}

/// The operator's listener speaks HTTP/1.1 without TLS: the commands of `passerelle` call it on this machine.
fn of_operator(gateway: &Gateway) -> Transport {
    Transport { tls: None, prior_knowledge: false, ..of_clients(gateway) }
}

/// A listener that is being served.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    pub(super) handle: Handle,
    pub(super) task: JoinHandle<std::io::Result<()>>,
}

impl Listener {
    fn start(
        socket: TcpListener,
        edge: app::Edge,
        limits: Limits,
        transport: CurrentTransport,
    ) -> Result<Self, String> {
        let address = socket.local_addr().map_err(|error| error.to_string())?;
        let handle = Handle::new();
        let served = listener::serve(socket, edge.clone(), handle.clone(), limits, Arc::new(edge), transport)
            .map_err(|error| format!("cannot serve {address}: {error}"))?;
        let task = tokio::spawn(served);
        Ok(Self { address, handle, task })
    }
}

/// Binds an address. The error says what to do when another process uses it.
pub(super) fn bind(address: &str, setting: &str) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        // The standard library asks for a queue of 128. Where more clients connect at once, the system drops their first
        // packet, and they try again only after a second.
        SockRef::from(&listener).listen(MOST_WAITING)?;
        Ok(listener)
    });
    bound.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "another process listens on {address}; choose another address with {setting}, such as 127.0.0.1:8081"
        ),
        _ => format!("cannot listen on {address}: {error}"),
    })
}
