//! Sessions at several gateways of one store: a logout ends a session at all of them, and so does a time without use.

use std::{fs, sync::Arc};

use axum::body::Body;
use http::{Request, header};
use jiff::{SignedDuration, Timestamp};
use passerelle::{
    app::{self, Edge},
    clock::simulated,
    merchant::Gateway,
    upstream,
};
use reqwest::Method;
use tokio::time::Instant;
use tower::ServiceExt;

use super::{BROWSER, Bed, KEY, Shown, configuration};

/// The operator's listener of another gateway, with the configuration of this one and on its store.
fn replica(bed: &Bed) -> Edge {
    let store = bed.gateway.app().store.clone();
    let app = app::new(Gateway::clone(&bed.gateway.snapshot()), store, upstream::Shared::default());
    let switches = Arc::new(app.switches.clone());
    app::operator_router(app, switches)
}

/// What a replica answers to a browser with this cookie. `more` is another header.
async fn answer(replica: &Edge, method: Method, path: &str, cookie: &str, more: &'static str) -> Shown {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let mut request = request.header("accept", BROWSER).header("cookie", cookie);
    if !more.is_empty() {
        request = request.header(more, "true");
    }
    let response = replica.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    Shown { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

async fn page(replica: &Edge, cookie: &str) -> Shown {
    answer(replica, Method::GET, "/console", cookie, "").await
}

/// The cookie that an answer sets, and for how many seconds. Empty: it sets none.
fn set_cookie(shown: &Shown) -> (String, i64) {
    let text = shown.header(header::SET_COOKIE.as_str());
    let seconds = text.split("Max-Age=").nth(1).and_then(|rest| rest.split(';').next()?.parse().ok());
    (text.split(';').next().unwrap_or_default().to_owned(), seconds.unwrap_or_default())
}

/// From now on, it is so many minutes later for the gateways of this test.
fn pass(minutes: i64) {
    simulated::follow(Some((Timestamp::now() + SignedDuration::from_mins(minutes), Instant::now())));
}

#[tokio::test]
async fn a_logout_ends_the_session_at_every_gateway_of_the_store() {
    let bed = Bed::start().await;
    let other = replica(&bed);
    let cookie = bed.session().await;
    assert_eq!(page(&other, &cookie).await.status, 200);
    pass(5);
    let (copy, _) = set_cookie(&page(&other, &cookie).await);
    assert!(!copy.is_empty() && copy != cookie, "the session in use has a new cookie");
    let stranger = bed.session().await;

    let left = answer(&other, Method::POST, "/console/logout", &cookie, "").await;
    assert_eq!((left.status.as_u16(), left.header("location")), (303, "/console/login"));
    assert_eq!(set_cookie(&left), ("passerelle-console=".to_owned(), 0));
    for ended in [&cookie, &copy] {
        assert_eq!(bed.page("/console", ended).await.status, 401, "the gateway that did not receive the logout");
        assert_eq!(page(&other, ended).await.status, 401);
        assert_eq!(page(&replica(&bed), ended).await.status, 401, "a gateway that was started later");
    }
    assert_eq!(bed.page("/console", &stranger).await.status, 200, "another session of the same key goes on");
    simulated::follow(None);
}

#[tokio::test]
async fn a_session_without_use_for_half_an_hour_ends_at_every_gateway() {
    let bed = Bed::start().await;
    let other = replica(&bed);
    let cookie = bed.session().await;
    assert_eq!(set_cookie(&bed.page("/console", &cookie).await).0, "", "the cookie is new enough");
    pass(20);
    let refresh = answer(&other, Method::GET, "/console", &cookie, "hx-request").await;
    assert_eq!((refresh.status.as_u16(), set_cookie(&refresh).0.as_str()), (200, ""), "an open page is no use");
    let (renewed, seconds) = set_cookie(&page(&other, &cookie).await);
    assert!((7 * 3600 + 39 * 60..=7 * 3600 + 40 * 60).contains(&seconds), "eight hours after the login: {seconds}");

    pass(31);
    assert_eq!(bed.page("/console", &cookie).await.status, 401);
    assert_eq!(page(&other, &cookie).await.status, 401);
    let refresh = answer(&other, Method::GET, "/console", &cookie, "hx-request").await;
    assert_eq!((refresh.status.as_u16(), refresh.header("hx-refresh")), (401, "true"), "an open page shows the login");
    assert_eq!(bed.page("/console", &renewed).await.status, 200, "it was used at the other gateway");
    let left = answer(&other, Method::POST, "/console/logout", &cookie, "").await;
    assert_eq!(left.status, 303);
    assert_eq!(bed.page("/console", &renewed).await.status, 401, "the old cookie still ends its session");
    simulated::follow(None);
}

#[tokio::test]
async fn a_logout_that_the_store_cannot_record_says_so_and_ends_the_session_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, away) = (folder.path().join("store.db"), folder.path().join("away.db"));
    let text = configuration(&format!("\"{KEY}\""));
    let bed = Bed::of(&text.replace("sqlite::memory:", &format!("sqlite:{}", file.display()))).await;
    let cookie = bed.session().await;
    fs::rename(&file, &away).expect("moved");
    let left = bed.send(bed.request(Method::POST, "/console/logout").header("cookie", &cookie)).await;
    assert_eq!(left.status, 503);
    assert!(left.text.contains("another replica accepts a copy of the cookie"), "{}", left.text);
    assert_eq!(set_cookie(&left), ("passerelle-console=".to_owned(), 0));
    fs::rename(&away, &file).expect("moved back");
    assert_eq!(bed.page("/console", &cookie).await.status, 401);
}
