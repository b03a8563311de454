//! Sessions of the console at two gateways with one PostgreSQL: a logout at one of them ends the session at both.

use libtest_mimic::Trial;
use reqwest::{Method, Response, header, redirect::Policy};

use crate::{
    bed::{Fleet, Gateway, PATIENCE, Setup, Twin},
    switch::operator::KEY,
    trial::trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    let name = "a_logout_at_one_replica_ends_the_session_at_the_other";
    vec![Fleet::Replicas.or_ignored(trial(name, a_logout_at_one_replica_ends_the_session_at_the_other))]
}

/// What a gateway answers to a browser with this cookie.
async fn answer(gateway: &Gateway, method: Method, path: &str, cookie: &str, form: String) -> Response {
    #[expect(clippy::disallowed_methods, reason = "a client of the gateway, not of a provider")]
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE).build();
    let request = client.expect("a client").request(method, format!("http://{}{path}", gateway.operator_address()));
    let request = request.header(header::ACCEPT, "text/html").header(header::COOKIE, cookie);
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(form).send().await.expect("an answer")
}

async fn page(gateway: &Gateway, cookie: &str) -> u16 {
    answer(gateway, Method::GET, "/console", cookie, String::new()).await.status().as_u16()
}

async fn a_logout_at_one_replica_ends_the_session_at_the_other() {
    let twin = Twin::start("lomi", "");
    let tables = format!("[operator]\nlisten = \"127.0.0.1:0\"\nkeys = [\"{KEY}\"]\n");
    let gateways = Fleet::Replicas.start_for(&twin, &Setup { tables, ..Setup::of("") });
    let [one, other] = &gateways[..] else { panic!("two gateways") };
    let begun = answer(one, Method::POST, "/console/login", "", format!("key={KEY}")).await;
    let cookie = begun.headers()[header::SET_COOKIE].to_str().expect("a text");
    let cookie = cookie.split(';').next().expect("a value").to_owned();
    assert_eq!((page(one, &cookie).await, page(other, &cookie).await), (200, 200));
    answer(other, Method::POST, "/console/logout", &cookie, String::new()).await;
    assert_eq!((page(one, &cookie).await, page(other, &cookie).await), (401, 401));
    // What is remembered in memory alone would be forgotten now.
    other.kill();
    other.start();
    assert_eq!(page(other, &cookie).await, 401);
}
