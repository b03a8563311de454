//! Sockets that the service manager (systemd) has bound and passes to the gateway: socket activation. They stay open while
//! the gateway restarts, so no connection is refused. systemd names them in `LISTEN_FDNAMES`.

use std::net::TcpListener;

/// The name of the socket of the API.
const API: &str = "api";
/// The name of the operator's socket.
const OPERATOR: &str = "operator";
/// What systemd names a socket whose unit gives it no name.
const UNIT: &str = ".socket";

/// The sockets that the process was started with.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    pub(super) api: Option<TcpListener>,
    pub(super) operator: Option<TcpListener>,
}

impl Inherited {
    /// Takes the sockets of the environment. It changes the environment, so it is called before the process has threads.
    /// The error says which socket cannot be used.
    #[cfg(unix)]
    pub(super) fn take() -> Result<Self, String> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = listenfd::ListenFd::from_env();
        let mut inherited = Self::default();
        for (index, name) in names_of(&names, sockets.len()).into_iter().enumerate() {
            let place = match (name, sockets.len()) {
                (API, _) => &mut inherited.api,
                (OPERATOR, _) => &mut inherited.operator,
                (name, 1) if name.is_empty() || name.ends_with(UNIT) => &mut inherited.api,
                (name, _) => return Err(unknown(name)),
            };
            let socket = sockets.take_tcp_listener(index).map_err(|error| {
                format!(
                    "the socket `{name}` of the service manager cannot be used: {error}; write `ListenStream=ADDRESS:PORT` \
                     in its unit"
                )
            })?;
            if place.is_some() {
                return Err(format!(
                    "the service manager passes two sockets with the name `{name}`; the gateway has one listener of that \
                     name, so leave only one `ListenStream=` in its unit"
                ));
            }
            *place = socket;
        }
        Ok(inherited)
    }

    /// Other systems have no such sockets.
    #[cfg(not(unix))]
    pub(super) fn take() -> Result<Self, String> {
        Ok(Self::default())
    }
}

/// The name of each socket. It is empty where there is none.
fn names_of(names: &str, count: usize) -> Vec<&str> {
    names.split(':').chain(std::iter::repeat("")).take(count).collect()
}

fn unknown(name: &str) -> String {
    format!(
        "the service manager passes a socket with the name `{name}`, which is not known; write `FileDescriptorName={API}` \
         in the socket unit of the API, and `FileDescriptorName={OPERATOR}` in that of the operator's listener"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_without_a_name_has_an_empty_one() {
        assert_eq!(names_of("operator:api", 2), ["operator", "api"]);
        assert_eq!(names_of("", 2), ["", ""]);
        assert_eq!(names_of("passerelle.socket", 1), ["passerelle.socket"]);
        assert_eq!(names_of("api:operator", 0), Vec::<&str>::new());
    }
}
