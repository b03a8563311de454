//! What the pages say, and what every answer carries.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bed, KEY, Shown};

/// Every page.
const PAGES: [&str; 12] = [
    "/console",
    "/console?refresh=off",
    "/console/merchants",
    "/console/merchants?against=notchpay",
    "/console/merchants/acme",
    "/console/merchants/acme?against=bitnob",
    "/console/customers?merchant=acme",
    "/console/explain?merchant=acme",
    "/console/operations",
    "/console/switches",
    "/console/providers",
    "/console/problems",
];

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

fn assert_protected(page: &Shown, path: &str) {
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), value, "{path}");
    }
}

#[tokio::test]
async fn every_page_is_whole_private_and_without_anything_inline() {
    let bed = Bed::start().await;
    let cookie = bed.session().await;
    for path in PAGES {
        let page = bed.page(path, &cookie).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        assert_protected(&page, path);
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        for whole in ["<!doctype html>", "<html lang=\"en\">", "class=\"skip\"", "<main id=\"main\"", "<h1>", "</html>"]
        {
            assert!(page.text.contains(whole), "{path} has no {whole}");
        }
        assert_eq!(page.text.matches("aria-current=\"page\"").count(), 1, "{path} is in the navigation");
        for inline in [" style=", "<style", "<script>", " onclick", "javascript:", "hx-on"] {
            assert!(!page.text.contains(inline), "{path} has {inline}");
        }
        assert_eq!(page.text.matches("<script").count(), 1, "{path}");
        assert_eq!(page.text.matches("<table").count(), page.text.matches("<caption").count(), "{path}");
    }
    for path in ["/console/unknown", "/console/merchants/unknown", "/console/merchants?sort=x", "/console?refresh=x"] {
        let page = bed.page(path, &cookie).await;
        assert!(page.status.is_client_error() && page.header("content-type").starts_with("text/html"), "{path}");
        assert_protected(&page, path);
    }
    assert_protected(&bed.page("/console", "").await, "without login");
}

#[tokio::test]
async fn the_files_of_a_page_are_what_it_says_and_stay_the_same() {
    let bed = Bed::start().await;
    let page = bed.page("/console", &bed.session().await).await.text;
    let tags: Vec<&str> = page.split('<').filter(|tag| tag.contains("integrity=")).collect();
    assert_eq!(tags.len(), 2, "{tags:?}");
    for tag in tags {
        let attribute = |name: &str| {
            tag.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('"')).map(|(value, _)| value)
        };
        let path = attribute("href").or_else(|| attribute("src")).expect("a URL");
        let address = bed.gateway.operator_address().expect("the operator's listener");
        let answer = bed.client.get(format!("http://{address}{path}")).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
        let content = answer.bytes().await.expect("a file");
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, &content);
        let expected = format!("sha384-{}", data_encoding::BASE64.encode(hash.as_ref()));
        assert_eq!(attribute("integrity"), Some(expected.as_str()), "{path}");
    }
    assert_eq!(bed.page("/console/assets/other.js", "").await.status, 404);
}

#[tokio::test]
async fn a_refresh_gets_the_page_without_its_frame() {
    let bed = Bed::start().await;
    let cookie = bed.session().await;
    let request = bed.request(Method::GET, "/console").header("cookie", cookie).header("hx-request", "true");
    let part = bed.send(request).await;
    assert_eq!(part.status, 200);
    assert!(
        part.text.starts_with("<div id=\"live\" hx-get=\"/console\"") && !part.text.contains("<html"),
        "{}",
        part.text
    );
    assert_protected(&part, "a refresh");
}

/// The texts of the cells of the row that begins with a name.
fn row(page: &str, name: &str) -> Vec<String> {
    let rows = page.split("<tr>").filter(|row| row.contains("scope=\"row\""));
    let text = |cell: &str| {
        let mut text = String::new();
        let mut is_tag = false;
        for character in cell.chars() {
            match character {
                '<' => is_tag = true,
                '>' => is_tag = false,
                other if !is_tag => text.push(other),
                _ => {}
            }
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let cells = |row: &str| {
        let row = row.split("</tr>").next().unwrap_or_default().replace("</th>", "</td>");
        row.split("</td>").map(text).collect::<Vec<_>>()
    };
    rows.map(cells).find(|cells| cells[0] == name).expect("a row with this name")
}

#[tokio::test]
async fn the_overview_counts_what_was_served_and_its_json_says_the_same() {
    let bed = Bed::start().await;
    for name in ["Amadou Ba", "Awa Diop"] {
        let email = format!("{}@example.com", name.replace(' ', "."));
        let body = json!({ "name": name, "email": email, "phone": "+221771234567" });
        assert_eq!(bed.gateway.post("/v1/customers", body).await.status, 201);
    }
    assert_eq!(bed.gateway.get("/v1/customers?limit=0").await.status, 422);
    let json = bed.json("/console").await.json();
    assert_eq!(
        (&json["total"]["requests"], &json["total"]["ok"], &json["total"]["refused"]),
        (&3.into(), &2.into(), &1.into())
    );
    assert_eq!((&json["merchants"][0]["name"], &json["merchants"][0]["requests"]), (&"acme".into(), &3.into()));
    assert!(json["total"]["provider_ms"].as_f64() <= json["total"]["mean_ms"].as_f64(), "{json}");
    assert_eq!((&json["open_breakers"], &json["open_writes"]), (&json!([]), &json!([])));
    assert_eq!(json["by_minute"].as_array().map(Vec::len), Some(1));
    let page = bed.page("/console", &bed.session().await).await.text;
    let of = |value: &Value| value["requests"].as_u64().map(|number| number.to_string());
    for (list, place, name) in [("merchants", 0, "acme"), ("providers", 1, "lomi")] {
        let shown = row(&page, name);
        assert_eq!(Some(&shown[1]), of(&json[list][place]).as_ref(), "{shown:?}");
        assert_eq!((shown[2].as_str(), shown[3].as_str()), ("2", "1"));
    }
    assert!(page.contains("3 in all, at most 3 in one minute"), "the chart says it in words");
    assert!(!page.contains("Amadou") && !page.contains("example.com"), "it has no personal data");
}

#[tokio::test]
async fn a_merchant_is_compared_with_another_provider_and_the_json_has_the_same_losses() {
    let bed = Bed::start().await;
    let json = bed.json("/console/merchants/acme?against=bitnob").await.json();
    assert_eq!((&json["name"], &json["active"], &json["region"]), (&"acme".into(), &"main".into(), &"SN".into()));
    let comparison = &json["comparison"];
    let all = ["operations", "fields", "finding"].map(|list| comparison[list].as_array().expect("a list").clone());
    let lost: Vec<Value> = all.concat().into_iter().filter(|one| one["change"] == "lost").collect();
    assert!(!lost.is_empty());
    assert_eq!(comparison["lost"], lost.len());
    let page = bed.page("/console/merchants/acme?against=bitnob", &bed.session().await).await.text;
    assert!(page.contains(&format!("{} capabilities would be lost", lost.len())), "{page}");
    for one in &lost {
        let shown = row(&page, one["what"].as_str().expect("a name"));
        assert_eq!((shown[2].as_str(), shown[3].as_str()), ("none", "lost"), "{shown:?}");
    }
    let of_all = bed.json("/console/merchants?against=bitnob").await.json();
    assert_eq!(of_all["merchants"][0]["comparison"]["lost"], comparison["lost"]);
    assert_eq!(of_all["merchants"][0]["connections"][0]["is_active"], true);
}

#[tokio::test]
async fn the_matrix_of_providers_is_that_of_the_api() {
    let bed = Bed::start().await;
    let json = bed.json("/console/providers").await.json();
    assert_eq!(json["providers"], bed.gateway.get("/v1/providers").await.body["data"]);
    let page = bed.page("/console/providers", &bed.session().await).await.text;
    for operation in json["providers"][0]["operations"].as_array().expect("operations") {
        let shown = row(&page, operation["operation"].as_str().expect("a name"));
        assert!(shown[1].starts_with(operation["support"].as_str().expect("a word")), "{shown:?}");
    }
}

#[tokio::test]
async fn the_page_of_problems_has_every_code() {
    let bed = Bed::start().await;
    let json = bed.json("/console/problems").await.json();
    let page = bed.page("/console/problems", &bed.session().await).await.text;
    let problems = json["problems"].as_array().expect("problems").clone();
    assert!(problems.len() > 20);
    for problem in problems {
        let code = problem["code"].as_str().expect("a code");
        assert!(page.contains(&format!("id=\"{code}\"")), "{code}");
    }
}

/// What a person types into a URL is text on the page that refuses it.
#[tokio::test]
async fn hostile_text_never_becomes_markup() {
    let bed = Bed::start().await;
    let cookie = bed.session().await;
    let hostile = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%E2%80%AE";
    let page = bed.page(&format!("/console/merchants?against={hostile}"), &cookie).await;
    assert_eq!(page.status, 422);
    assert!(page.text.contains("&lt;script&gt;alert(1)") && !page.text.contains("<script>alert"), "{}", page.text);
    assert!(page.text.contains("U+202E"), "a text that reverses a line is shown");
    let next = bed.log_in("op_wrong", "%2Fconsole%2F%22%3E%3Cscript%3E").await;
    assert!(!next.text.contains("<script>"), "{}", next.text);
}

#[tokio::test]
async fn a_program_needs_no_session_and_its_key_is_checked() {
    let bed = Bed::start().await;
    assert_eq!(bed.json("/console/merchants").await.header("content-type"), "application/json");
    let address = bed.gateway.operator_address().expect("the operator's listener");
    let wrong = bed.client.get(format!("http://{address}/console/merchants")).bearer_auth("op_wrong");
    assert_eq!(bed.send(wrong.header("accept", "application/json")).await.status, 401);
    let missing = bed.json("/console/merchants/unknown").await;
    assert_eq!((missing.status.as_u16(), missing.json()["code"].as_str()), (404, Some("not_found")));
    assert!(!missing.text.contains(KEY));
}

/// PostgreSQL cannot store U+0000. Such a path is a mistake of the request, and no failure of the store.
#[tokio::test]
async fn a_path_with_u0000_is_refused() {
    let bed = Bed::start().await;
    for path in ["/console/switches/%00", "/console/customers/acme/a%00b", "/console/operations/%00"] {
        let refused = bed.json(path).await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["code"].as_str()),
            (400, Some("malformed_request")),
            "{path}"
        );
        let cookie = bed.session().await;
        assert_eq!(bed.page(path, &cookie).await.status, 400, "{path}");
    }
}
