//! The limits of an HTTP/2 connection: what its client may have open, reset and leave lying, and how the gateway leaves.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get as route};
use passerelle::listener::{Handle, PING_INTERVAL, PING_TIMEOUT};
use tokio::{net::TcpStream, sync::Notify, time::timeout};

use super::{
    PATIENCE,
    frames::{
        CANCEL, CONTINUATION, DATA, END_HEADERS, ENHANCE_YOUR_CALM, Frames, GOAWAY, HEADERS, NO_ERROR, PING,
        REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, head, setting,
    },
    sandbox,
    timing::{HEAD_TIMEOUT, limits, serve},
};
use crate::support::Gateway;

const LONG: Duration = Duration::from_mins(1);

/// Answers `/livez` at once, `/page` with a page of data, and `/wait` never.
fn router() -> Router {
    Router::new()
        .route("/livez", route(|| async { "ok" }))
        .route("/page", route(|| async { vec![b'1'; 200_000] }))
        .route("/wait", route(std::future::pending::<()>))
}

/// A connection to a listener with short times for requests.
async fn connected(settings: &[u8]) -> Frames {
    Frames::connect(serve(router(), Handle::new(), limits(LONG)), settings).await
}

/// A connection to a gateway that serves HTTP/2 without TLS.
async fn to_gateway(gateway: &Gateway) -> Frames {
    Frames::connect(gateway.address(), &[]).await
}

async fn gateway() -> Gateway {
    Gateway::start(&sandbox("http2 = \"prior_knowledge\"")).await
}

#[tokio::test]
async fn the_settings_are_those_that_the_document_names() {
    let mut client = to_gateway(&gateway().await).await;
    let settings = client.next_of(SETTINGS).await.expect("settings");
    let mut settings: Vec<_> = settings.payload.chunks(6).map(<[u8]>::to_vec).collect();
    settings.sort_unstable();
    // Streams at once, the window of a stream, the largest frame, the largest head.
    let expected = [setting(3, 100), setting(4, 64 << 10), setting(5, 16 << 10), setting(6, 28 << 10)];
    assert_eq!(settings, expected);
    let window = client.next_of(WINDOW_UPDATE).await.expect("the window of the connection");
    assert_eq!((window.stream, window.number(0)), (0, (1 << 20) - 65_535));
    assert_eq!((PING_INTERVAL.as_secs(), PING_TIMEOUT.as_secs()), (20, 10));
}

#[tokio::test]
async fn the_streams_of_a_connection_are_those_of_the_configuration() {
    let gateway = Gateway::start(&sandbox("http2 = \"prior_knowledge\"\nmax_streams = 7")).await;
    let settings = to_gateway(&gateway).await.next_of(SETTINGS).await.expect("settings");
    assert!(settings.payload.chunks(6).any(|one| one == setting(3, 7)), "{:?}", settings.payload);
}

#[tokio::test]
async fn the_windows_and_the_largest_head_are_those_of_the_configuration() {
    let keys =
        "stream_window = 4096\nconnection_window = 200000\nmax_uri = 1000\nmax_headers = 40\nmax_headers_size = 5000";
    let gateway = Gateway::start(&sandbox(&format!("http2 = \"prior_knowledge\"\n{keys}"))).await;
    let mut client = to_gateway(&gateway).await;
    let settings = client.next_of(SETTINGS).await.expect("settings");
    // Each header counts 32 bytes more, and 2 KiB are for what is no header.
    for expected in [setting(4, 4096), setting(6, 1000 + 5000 + 40 * 32 + 2048)] {
        assert!(settings.payload.chunks(6).any(|one| one == expected), "{:?}", settings.payload);
    }
    let window = client.next_of(WINDOW_UPDATE).await.expect("the window of the connection");
    assert_eq!((window.stream, window.number(0)), (0, 200_000 - 65_535));
}

#[tokio::test]
async fn a_stream_beyond_a_hundred_is_refused_and_may_be_sent_again() {
    let handle = Handle::new();
    let mut times = limits(LONG);
    times.write_timeout = LONG;
    let mut client = Frames::connect(serve(router(), handle, times), &[]).await;
    let requests: Vec<_> = (0..101).flat_map(|number| get(2 * number + 1, "/wait")).collect();
    client.send(requests).await;
    let refused = client.next_of(RST_STREAM).await.expect("a reset");
    assert_eq!((refused.stream, refused.reason()), (201, REFUSED_STREAM));
    client.send([frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()), get(203, "/livez")].concat()).await;
    let answer = client.next_of(HEADERS).await.expect("an answer");
    assert_eq!(answer.stream, 203, "one has ended, so there is room for another");
}

#[tokio::test]
async fn a_client_that_resets_its_requests_at_once_is_disconnected() {
    let mut client = to_gateway(&gateway().await).await;
    let resets: Vec<_> = (0..2000)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            [get(stream, "/livez"), frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat()
        })
        .collect();
    client.flood(resets).await;
    client.assert_leaves(ENHANCE_YOUR_CALM).await;
}

#[tokio::test]
async fn a_client_whose_requests_break_the_rules_is_disconnected() {
    let mut client = to_gateway(&gateway().await).await;
    let block = head("/livez", &[("connection", "close")]);
    let malformed: Vec<_> = (0..200).flat_map(|number| frame(HEADERS, END_HEADERS, 2 * number + 1, &block)).collect();
    client.flood(malformed).await;
    client.assert_leaves(ENHANCE_YOUR_CALM).await;
}

/// Every such frame has an answer. The gateway does not keep answers that the client does not take: it reads no further.
#[tokio::test]
async fn a_client_that_sends_pings_or_settings_without_end_and_takes_no_answer_is_disconnected() {
    for one in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &setting(4, 1))] {
        let address = serve(router(), Handle::new(), limits(LONG));
        let mut client = Frames::connect(address, &[]).await;
        // More than the buffers of the system hold.
        assert!(!client.flood(one.repeat((64 << 20) / one.len())).await, "the gateway has read no further");
        let mut other = super::Client::connect(address).await;
        assert_eq!(other.live().await, Some(200));
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_refused() {
    let mut client = to_gateway(&gateway().await).await;
    client.send(frame(HEADERS, 0, 1, &head("/livez", &[]))).await;
    // A literal header with a value of 100 bytes.
    let header = [&[0, 1, b'x', 100][..], &[b'1'; 100]].concat();
    let endless: Vec<_> = (0..1000).flat_map(|_| frame(CONTINUATION, 0, 1, &header)).collect();
    client.flood(endless).await;
    let goaway = client.next_of(GOAWAY).await;
    assert_ne!(goaway.expect("a GOAWAY").reason(), NO_ERROR);
    while client.next().await.is_some() {}
}

#[tokio::test]
async fn a_stream_whose_client_takes_no_answer_is_reset_and_others_go_on() {
    // The client has no room for a body.
    let mut client = connected(&setting(4, 0)).await;
    client.send([get(1, "/page"), get(3, "/wait")].concat()).await;
    let mut reset = vec![client.next_of(RST_STREAM).await, client.next_of(RST_STREAM).await];
    reset.sort_by_key(|frame| frame.as_ref().map(|frame| frame.stream));
    let reset = reset.into_iter().map(|frame| frame.map(|frame| (frame.stream, frame.reason()))).collect::<Vec<_>>();
    assert_eq!(reset, [Some((1, CANCEL)), Some((3, CANCEL))]);
    client.send(get(5, "/livez")).await;
    assert_eq!(client.next_of(HEADERS).await.expect("an answer").stream, 5);
}

#[tokio::test]
async fn a_stream_whose_client_takes_only_the_beginning_is_reset() {
    let mut client = connected(&setting(4, 1)).await;
    client.send(get(1, "/page")).await;
    let begun = client.next_of(DATA).await.expect("the beginning");
    assert_eq!(begun.payload, b"1");
    let reset = client.next_of(RST_STREAM).await.expect("a reset");
    assert_eq!((reset.stream, reset.reason()), (1, CANCEL));
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_disconnected() {
    let mut times = limits(LONG);
    (times.write_timeout, times.ping_interval) = (LONG, HEAD_TIMEOUT);
    let mut client = Frames::connect(serve(router(), Handle::new(), times), &[]).await;
    client.send(get(1, "/wait")).await;
    assert!(client.next_of(PING).await.is_some());
    while client.next().await.is_some() {}
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_with_a_goaway() {
    let mut silent = connected(&[]).await;
    silent.assert_leaves(NO_ERROR).await;
    let mut idle = Frames::connect(serve(router(), Handle::new(), limits(HEAD_TIMEOUT)), &[]).await;
    idle.send(get(1, "/livez")).await;
    assert!(idle.next_of(HEADERS).await.is_some());
    // It does not answer the ping that asks whether it has seen the GOAWAY, and is disconnected all the same.
    idle.assert_leaves(NO_ERROR).await;
}

#[tokio::test]
async fn an_idle_connection_stays_open_for_its_time() {
    let mut client = connected(&[]).await;
    client.send(get(1, "/livez")).await;
    assert!(client.next_of(HEADERS).await.is_some());
    assert!(timeout(3 * HEAD_TIMEOUT, client.next_of(GOAWAY)).await.is_err(), "60 s, not the time of a head");
    client.send(get(3, "/livez")).await;
    assert!(client.next_of(HEADERS).await.is_some());
}

#[tokio::test]
async fn a_preface_that_does_not_end_is_closed() {
    let address = serve(router(), Handle::new(), limits(LONG));
    let mut client = super::Client::connect(address).await;
    client.send("PRI * HTTP/2.0\r\n").await;
    client.assert_closed().await;
}

#[tokio::test]
async fn requests_in_flight_are_answered_when_the_gateway_stops_and_new_ones_are_not_begun() {
    let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = router().route("/slow", {
        let (begun, finish) = (Arc::clone(&begun), Arc::clone(&finish));
        route(async move || {
            begun.notify_one();
            finish.notified().await;
            "done"
        })
    });
    let handle = Handle::new();
    let mut times = limits(LONG);
    times.write_timeout = LONG;
    let address = serve(router, handle.clone(), times);
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    let request = |path: &str| http::Request::get(format!("http://gateway{path}")).body(()).expect("a request");
    let (slow, _) = client.send_request(request("/slow"), true).expect("it is sent");
    begun.notified().await;

    handle.graceful_shutdown(Some(PATIENCE));
    let left = async {
        // The client learns it with the GOAWAY.
        while let Ok((answer, _)) = client.send_request(request("/livez"), true) {
            if let Err(error) = answer.await {
                assert!(error.is_go_away(), "{error}");
                break;
            }
            client = client.clone().ready().await?;
        }
        Ok::<_, h2::Error>(())
    };
    let _ = timeout(PATIENCE, left).await.expect("the client learns that the gateway leaves");
    assert_eq!(handle.connection_count(), 1, "the request is still in flight");
    finish.notify_one();
    let mut body = timeout(PATIENCE, slow).await.expect("in time").expect("an answer").into_body();
    assert_eq!(body.data().await.expect("a body").expect("a body"), "done");
    drop(client);
    timeout(PATIENCE, connection)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("the connection ends without an error");
}

#[tokio::test]
async fn a_client_that_has_just_connected_is_answered_when_the_gateway_stops() {
    let handle = Handle::new();
    let mut times = limits(LONG);
    times.head_timeout = LONG;
    let address = serve(router(), handle.clone(), times);
    let mut http1 = super::Client::connect(address).await;
    let mut http2 = TcpStream::connect(address).await.map(Frames::of).expect("a connection");
    let accepted = async {
        while handle.connection_count() < 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, accepted).await.expect("both are accepted");
    handle.graceful_shutdown(Some(PATIENCE));
    assert_eq!(http1.live().await, Some(200));
    http1.assert_closed().await;
    http2.begin(&[]).await;
    http2.send(get(1, "/livez")).await;
    assert_eq!(http2.next_of(HEADERS).await.expect("an answer").stream, 1);
}
