//! The places of requests that are answered at once.

use std::sync::Arc;

use reqwest::{Method, StatusCode};

use super::{Client, head};
use crate::{
    stand_in::{Act, StandIn},
    support::Gateway,
};

/// What a merchant beside another one has of twice the places of the start.
const MOST: usize = 2 * 128 / 3;

const PATH: &str = "/v1/customers/b78de3c9-7f76-4f43-9c5d-7a84a7c5b2f1";

fn merchant(name: &str, vendor: &StandIn) -> String {
    format!(
        "[merchants.{name}]\napi_keys = [\"sk_{name}\"]\nactive = \"main\"\n\
         connections.main = {{ provider = \"lomi\", base_url = \"{}\", credentials = {{ api_key = \"any\" }}, \
         timeout = \"1m\" }}\n",
        vendor.url()
    )
}

#[tokio::test]
async fn a_quiet_merchant_is_served_beside_one_whose_requests_are_refused_before_their_bodies() {
    let (hanging, other) = (StandIn::always(Act::Hang).await, StandIn::always(Act::Hang).await);
    let merchants = format!(
        "[outbound]\nallow_insecure = true\nmax_in_flight_per_host = 127\nmax_in_flight_total = 128\n{}{}[merchants.lomi]\n",
        merchant("noisy", &hanging),
        merchant("other", &other)
    );
    let configuration = passerelle::config::SANDBOX.replacen("[merchants.lomi]\n", &merchants, 1);
    let gateway = Arc::new(Gateway::start(&configuration).await);
    let (refuse, mut refusals) = tokio::sync::mpsc::unbounded_channel();
    let send = |key: &'static str| {
        let (gateway, refuse) = (Arc::clone(&gateway), refuse.clone());
        tokio::spawn(async move {
            let answer = gateway.send(gateway.anonymous(PATH).bearer_auth(key)).await;
            let _ = refuse.send((answer.status, answer.code().to_owned(), answer.header("retry-after").to_owned()));
        })
    };
    let mut requests = vec![send("sk_other")];
    other.received(1).await;
    // Each one hangs at the provider or is refused, until the places are as many as they can be.
    let mut held = 0;
    while held < MOST {
        requests.push(send("sk_noisy"));
        loop {
            if let Ok(refusal) = refusals.try_recv() {
                assert_eq!(refusal, (StatusCode::SERVICE_UNAVAILABLE, "overloaded".to_owned(), "1".to_owned()));
                break;
            }
            if hanging.requests().len() > held {
                held += 1;
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert!(gateway.metric("passerelle_requests_refused_total{code=\"overloaded\"}") > 0.5);
    assert!(gateway.metric("passerelle_merchant_requests_refused_total{merchant=\"noisy\"}") > 0.5);
    let mut writer = Client::connect(gateway.address()).await;
    writer.send(head("/v1/customers", 100).replace("sk_sandbox_lomi", "sk_noisy")).await;
    let answer = writer.answer().await.expect("an answer without the body");
    assert_eq!(answer.status_and_code(), (503, "overloaded"));
    assert_refused_before_the_routes(&gateway).await;
    assert_refused_in_the_same_way_without_hyper(&gateway).await;
    for _ in 0..20 {
        let request = gateway.anonymous("/v1/customers?limit=1").bearer_auth("sk_sandbox_notchpay");
        assert_eq!(gateway.send(request).await.status, StatusCode::OK, "a quiet merchant is served");
    }
    requests.iter().for_each(tokio::task::JoinHandle::abort);
}

/// A simple request is refused by its connection. hyper passes on a request that has a `traceparent`. Both are answered and
/// counted in the same way.
async fn assert_refused_in_the_same_way_without_hyper(gateway: &Gateway) {
    let ask = async |client: &mut Client, more: &str| {
        let head = format!("GET {PATH} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer sk_noisy\r\n{more}\r\n");
        client.send(head).await;
        client.answer().await.expect("an answer")
    };
    let counted = || {
        ["passerelle_requests_refused_total{code=\"overloaded\"}", "passerelle_problems_total{code=\"overloaded\"}"]
            .map(|series| gateway.metric(series))
    };
    for (id, word) in [("", "\r\nx-request-id: "), ("x-request-id: order-7\r\n", "\r\nx-request-id: order-7\r\n")] {
        let mut client = Client::connect(gateway.address()).await;
        let before = counted();
        let by_hyper = ask(&mut client, &format!("{id}traceparent: 00\r\n")).await;
        let mut asked = 2.0;
        let refused_early = loop {
            let answer = ask(&mut client, id).await;
            // hyper writes the length behind the other headers. The first refusal of a period is hyper's.
            if answer.head.lines().nth(1).is_some_and(|line| line.starts_with("content-length: ")) {
                break answer;
            }
            asked += 1.0;
            assert!(asked < 1000.0, "no refusal comes without hyper");
        };
        for (after, before) in counted().into_iter().zip(before) {
            assert!((after - before - asked).abs() < 0.5, "{asked} were refused: {before}, {after}");
        }
        let [by_hyper, refused_early] = [by_hyper, refused_early].map(|answer| {
            assert!(answer.head.contains(word), "{}", answer.head);
            let names_and_values = answer.head.lines().map(|line| match line.split_once(": ") {
                Some((name @ ("date" | "x-request-id"), value)) => format!("{name}: {}", value.len()),
                _ => line.to_owned(),
            });
            let mut head: Vec<_> = names_and_values.collect();
            head.sort_unstable();
            let mut body = answer.body;
            assert!(answer.head.contains(body["request_id"].as_str().expect("an id")));
            body["request_id"] = "".into();
            (head, body)
        });
        assert_eq!(by_hyper, refused_early);
    }
}

/// While there are too many requests, the gateway refuses further ones before their routes look at them, so it does not even
/// say that a path has no such method. A client gets the same answer as from a route, which makes the first refusal of a
/// period. A path that does not exist is a 404 all the time.
async fn assert_refused_before_the_routes(gateway: &Gateway) {
    let answered =
        async |method: Method, path: &str, key: &str| gateway.send(gateway.plain(method, path).bearer_auth(key)).await;
    let [by_route, before] = loop {
        let by_route = answered(Method::GET, PATH, "sk_noisy").await;
        for key in ["sk_noisy", "sk_sandbox_notchpay", "sk_wrong"] {
            let unknown = answered(Method::GET, "/v1/unknown", key).await;
            assert_eq!(unknown.status_and_code(), (404, "not_found"), "{key}");
        }
        let before = answered(Method::PUT, PATH, "sk_noisy").await;
        // A period may have ended between the first and the last.
        if before.status != StatusCode::METHOD_NOT_ALLOWED {
            break [by_route, before];
        }
    };
    let problems = [by_route, before].map(|answer| {
        assert_eq!((answer.status_and_code(), answer.header("retry-after")), ((503, "overloaded"), "1"));
        let mut problem = answer.body;
        problem["request_id"] = "".into();
        problem
    });
    assert_eq!(problems[0], problems[1]);
    let of_another = answered(Method::PUT, PATH, "sk_sandbox_notchpay").await;
    assert_eq!(of_another.status_and_code(), (405, "method_not_allowed"));
    assert_eq!(answered(Method::GET, "/livez", "sk_noisy").await.status, StatusCode::OK, "health needs no place");
}
