//! Limits that the system applies to the connections of a listener: how long a client may leave an answer unacknowledged, and how many
//! bytes of answers wait unsent.

use std::{net::TcpListener, time::Duration};

use tokio::net::TcpStream;

/// Lets the system end the connection, as if its client had, where the client acknowledges nothing of what it was sent for this
/// time, or has no room for it. `Connection` cannot see that once the system has taken the whole answer.
#[cfg(target_os = "linux")]
pub(super) fn limit_unacknowledged(stream: &TcpStream, limit: Duration) {
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(limit));
}

/// Elsewhere, the system has limits of its own.
#[cfg(not(target_os = "linux"))]
pub(super) fn limit_unacknowledged(_: &TcpStream, _: Duration) {}

/// How much of what the gateway has written to a connection the system takes before it sends it. Most answers are shorter.
#[cfg(target_os = "linux")]
const MOST_UNSENT: u32 = 128 << 10;

/// Limits what the system takes and has not sent yet, for every connection that is made after this call: it inherits the limit from
/// the listener. Otherwise the system takes up to some megabytes for each client that sends requests and does not read. This costs
/// memory, and the gateway produces answers that no client reads.
#[cfg(target_os = "linux")]
pub(super) fn limit_unsent(listener: &TcpListener) {
    let _ = socket2::SockRef::from(listener).set_tcp_notsent_lowat(MOST_UNSENT);
}

/// Elsewhere, the system has limits of its own.
#[cfg(not(target_os = "linux"))]
pub(super) fn limit_unsent(_: &TcpListener) {}
