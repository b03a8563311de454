//! Decides which requests of clients are served: [`Places`] limits how many are answered at once, [`RequestRate`] the rate
//! of a merchant, and [`WrongKeys`] the wrong keys of an address. `http`, `drop_in` and `operator` ask before they read a body. [`Refusals`] counts what was refused.
//!
//! `app` answers every request in a [`scope`], which knows the client's address and what the answer says about rates. So
//! the code that authenticates a client needs no parameters for both.

mod controller;
mod places;
mod rate;
mod refusals;
mod wrong_keys;

use std::{
    cell::RefCell,
    future::Future,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, HeaderValue};

use places::Place;
pub use places::{OfMerchant, Places};
pub use rate::RequestRate;
pub use refusals::Refusals;
pub use wrong_keys::WrongKeys;

/// `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers, from version 8 on.
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Why a request is not served. A number is after how many seconds the client may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// The gateway answers as many requests as it can, or the merchant has its part of them.
    InFlight,
    /// The merchant's clients have sent too many requests.
    Requests(u64),
    /// The address of the client has sent too many wrong keys.
    WrongKeys(u64),
}

tokio::task_local! {
    static REQUEST: Received;
}

/// A request that is being answered.
struct Received {
    /// The address at the other end of its connection.
    peer: Option<IpAddr>,
    /// The values of `RateLimit-Policy` and `RateLimit` for the answer.
    rate: RefCell<Option<[HeaderValue; 2]>>,
    /// Its place among the requests that are being answered.
    place: RefCell<Option<Place>>,
}

/// Answers a request that came over a connection of this address. It is no `async fn`, whose future would have room for the answer
/// twice.
pub fn scope<F: Future>(peer: Option<IpAddr>, answer: F) -> impl Future<Output = F::Output> {
    REQUEST.scope(Received { peer, rate: RefCell::default(), place: RefCell::default() }, answer)
}

/// Admits a request of a client that has proved whose it is. It has one of the places of its merchant until it is answered,
/// and counts for the rate of the merchant.
pub fn admit(places: &Arc<Places>, of_merchant: &OfMerchant, rate: Option<&RequestRate>) -> Result<(), TooMany> {
    let place = places.take(of_merchant)?;
    let _ = REQUEST.try_with(|request| request.place.replace(Some(place)));
    let Some(limit) = rate else { return Ok(()) };
    let (taken, headers) = limit.take();
    if taken.is_err() {
        of_merchant.refuse();
    }
    // Outside of a scope, nothing adds headers to the answer.
    let _ = REQUEST.try_with(|request| request.rate.replace(Some(headers)));
    taken
}

/// Adds what the answer says about the rate of its merchant. Only an answer within its [`scope`] has it.
pub fn add_headers(headers: &mut HeaderMap) {
    if let Ok(Some([policy, rate])) = REQUEST.try_with(|request| request.rate.take()) {
        headers.insert(RATE_LIMIT_POLICY, policy);
        headers.insert(RATE_LIMIT, rate);
    }
}

/// The address at the other end of the connection of the request.
fn peer() -> Option<IpAddr> {
    REQUEST.try_with(|request| request.peer).ok().flatten()
}

/// The address by which a client is counted. An IPv6 client has a whole /64 network.
pub fn client_of(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

/// A service that can know the client whose requests it answers.
pub trait OfClient {
    /// From now on, all requests come over one connection, which was made from this address.
    fn set_client(&mut self, _address: IpAddr) {}
}

impl OfClient for axum::Router {}
