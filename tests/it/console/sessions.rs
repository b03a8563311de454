//! Login, sessions, and forms of other sites.

use reqwest::Method;

use super::{Bed, KEY, configuration};

#[tokio::test]
async fn without_login_a_browser_gets_the_form_and_a_program_the_problem() {
    let bed = Bed::start().await;
    let asked = bed.page("/console/merchants?against=notchpay", "").await;
    assert_eq!(asked.status, 401);
    assert!(asked.header("content-type").starts_with("text/html") && asked.text.contains("type=\"password\""));
    assert!(asked.text.contains("value=\"/console/merchants?against=notchpay\""), "the login returns to it");
    assert!(!asked.text.contains("acme"), "nothing of the configuration is shown");
    let address = bed.gateway.operator_address().expect("the operator's listener");
    let program = bed.client.get(format!("http://{address}/console/merchants")).header("accept", "application/json");
    let refused = bed.send(program).await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (401, Some("unauthorized")));
    assert_eq!(refused.header("content-type"), "application/problem+json");
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
}

#[tokio::test]
async fn a_login_begins_a_session_and_leads_to_the_page_that_was_asked_for() {
    let bed = Bed::start().await;
    let answer = bed.log_in(KEY, "%2Fconsole%2Fmerchants%3Fagainst%3Dnotchpay").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/console/merchants?against=notchpay"));
    let cookie = answer.header("set-cookie");
    for part in ["passerelle-console=", "; Path=/;", "; Max-Age=28800;", "; HttpOnly", "; SameSite=Strict"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(KEY), "the listener has no TLS: {cookie}");
    let cookie = cookie.split(';').next().unwrap_or_default();
    let page = bed.page("/console/merchants", cookie).await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("acme") && !page.text.contains(KEY));
    for elsewhere in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2Fconsole%2F..%5C"] {
        assert_eq!(bed.log_in(KEY, elsewhere).await.header("location"), "/console", "{elsewhere}");
    }
}

#[tokio::test]
async fn a_wrong_key_begins_no_session_and_counts_like_one_of_the_api() {
    let bed = Bed::start().await;
    for (key, detail) in [("op_wrong", "not one of"), ("sk_acme", "key of a merchant"), ("", "not one of")] {
        let refused = bed.log_in(key, "/console").await;
        assert_eq!(refused.status, 401);
        assert!(refused.text.contains(detail) && refused.text.contains("role=\"alert\""), "{}", refused.text);
        assert!(refused.header("set-cookie").is_empty());
    }
    let mut status = 401;
    for _ in 0..200 {
        status = bed.log_in("op_wrong", "/console").await.status.as_u16();
        if status != 401 {
            break;
        }
    }
    assert_eq!(status, 429, "an address may try few wrong keys");
    assert_eq!(bed.log_in(KEY, "/console").await.status, 303, "a valid key still works");
}

#[tokio::test]
async fn a_forged_or_ended_cookie_is_no_session() {
    let bed = Bed::start().await;
    let cookie = bed.session().await;
    assert_eq!(bed.page("/console", &cookie).await.status, 200);
    let last = if cookie.ends_with('A') { "B" } else { "A" };
    let changed = format!("{}{last}", &cookie[..cookie.len() - 2]);
    for forged in [changed.as_str(), "passerelle-console=", "passerelle-console=AAAA", "other=x"] {
        assert_eq!(bed.page("/console", forged).await.status, 401, "{forged}");
    }
    let other = Bed::start().await;
    assert_eq!(other.page("/console", &cookie).await.status, 401, "another store");
    let left = bed.send(bed.request(Method::POST, "/console/logout").header("cookie", &cookie)).await;
    assert_eq!((left.status.as_u16(), left.header("location")), (303, "/console/login"));
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(bed.page("/console", &cookie).await.status, 401, "also a browser that keeps it is logged out");
}

#[tokio::test]
async fn a_session_ends_when_its_key_leaves_the_configuration() {
    let bed = Bed::start().await;
    let cookie = bed.session().await;
    bed.gateway.reload(&configuration(&format!("\"op_another_key_of_the_operator\", \"{KEY}\"")));
    assert_eq!(bed.page("/console", &cookie).await.status, 200);
    bed.gateway.reload(&configuration("\"op_another_key_of_the_operator\""));
    let ended = bed.page("/console", &cookie).await;
    assert_eq!((ended.status.as_u16(), ended.header("hx-refresh")), (401, ""));
    let refresh = bed.request(Method::GET, "/console").header("cookie", &cookie).header("hx-request", "true");
    assert_eq!(bed.send(refresh).await.header("hx-refresh"), "true", "an open page shows the login");
}

#[tokio::test]
async fn a_form_of_another_site_is_refused_whatever_its_cookie() {
    let bed = Bed::start().await;
    let cookie = bed.session().await;
    let address = bed.gateway.operator_address().expect("the operator's listener");
    let own = format!("http://{address}");
    for (header, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "same-origin", 303),
        ("origin", own.as_str(), 303),
    ] {
        for path in ["/console/login", "/console/logout"] {
            let request = bed.request(Method::POST, path).header("cookie", &cookie).header(header, value);
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            let answer = bed.send(request.body(format!("key={KEY}"))).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {header}: {value}");
            if status == 403 {
                assert!(answer.header("set-cookie").is_empty());
                assert!(answer.text.contains("a page of another site"), "{}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn a_link_of_another_site_loads_its_page_again_before_it_asks_for_a_key() {
    let bed = Bed::start().await;
    let link = bed.request(Method::GET, "/console/merchants").header("sec-fetch-site", "cross-site");
    let answer = bed.send(link).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("http-equiv=\"refresh\"") && !answer.text.contains("password"), "{}", answer.text);
    let again = bed.request(Method::GET, "/console/merchants").header("sec-fetch-site", "same-origin");
    assert!(bed.send(again).await.text.contains("password"));
}

#[tokio::test]
async fn the_console_is_called_by_the_names_of_the_listener_and_needs_a_key_in_the_configuration() {
    let bed = Bed::start().await;
    let other = bed.send(bed.request(Method::GET, "/console/login").header("host", "evil.example")).await;
    assert_eq!(other.status, 421);
    assert!(other.header("content-type").starts_with("text/html") && other.text.contains("wrong_host"));
    let lead = bed.send(bed.request(Method::GET, "/")).await;
    assert_eq!((lead.status.as_u16(), lead.header("location")), (303, "/console"));
    let address = bed.gateway.operator_address().expect("the operator's listener");
    let program = bed.send(bed.client.get(format!("http://{address}/"))).await;
    assert_eq!((program.status.as_u16(), program.json()["code"].as_str()), (404, Some("not_found")));
    let configuration = "[store]\nurl = \"sqlite::memory:\"\n[operator]\nlisten = \"127.0.0.1:0\"\n[merchants.acme]\n\
                         api_keys = [{ sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\" }]\n\
                         active = \"main\"\nconnections.main = { provider = \"lomi\", credentials.api_key = \"x\" }\n";
    let without = crate::support::Gateway::start(configuration).await;
    for path in ["/console", "/console/login"] {
        let answer = without.at_operator(path).header("accept", "application/json").send().await.expect("an answer");
        assert_eq!(answer.status(), 404, "{path}");
        assert!(answer.text().await.expect("a body").contains("passerelle keys new"));
    }
    let clients = bed.client.get(bed.gateway.url("/console")).send().await.expect("an answer");
    assert_eq!(clients.status(), 404, "clients do not reach it");
}
