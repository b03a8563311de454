//! The pages of customers, of their writes and of switches: what they mask, what they find, and what their forms do.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bed, KEY, Shown};

impl Bed {
    /// Creates a customer as the merchant's client does. Returns its id.
    async fn customer(&self, name: &str, number: u32) -> String {
        let body = json!({ "name": name, "email": format!("awa.{number}@example.com"), "phone": format!("+22177123456{number}") });
        let created = self.gateway.post("/v1/customers", body).await;
        assert_eq!(created.status, 201, "{}", created.body);
        created.body["id"].as_str().expect("an id").to_owned()
    }

    /// Sends a form of the console as a browser does.
    async fn form(&self, path: &str, cookie: &str, form: &str) -> Shown {
        let request = self.request(Method::POST, path).header("cookie", cookie).body(form.to_owned());
        self.send(request.header("content-type", "application/x-www-form-urlencoded")).await
    }

    /// The records of the audit as the operator's API has them.
    async fn audit(&self) -> Vec<Value> {
        let request = self.request(Method::GET, "/v1/audit?limit=100").bearer_auth(KEY);
        let mut page = self.send(request).await.json();
        page["data"].as_array_mut().map(std::mem::take).expect("records")
    }
}

#[tokio::test]
async fn personal_data_is_masked_until_a_form_asks_for_it_and_the_audit_has_who_asked() {
    let bed = Bed::start().await;
    let (cookie, id) = (bed.session().await, bed.customer("<b>Awa</b> Diop", 1).await);
    let path = format!("/console/customers/acme/{id}");
    let personal = ["Diop", "awa.1@example.com", "771234561"];
    for path in [path.as_str(), "/console/customers?merchant=acme"] {
        let (page, json) = (bed.page(path, &cookie).await, bed.json(path).await);
        assert_eq!((page.status.as_u16(), json.status.as_u16()), (200, 200), "{}", page.text);
        for value in personal {
            assert!(!page.text.contains(value) && !json.text.contains(value), "{path} shows {value}");
        }
        assert_eq!(json.json()["personal_data"], "masked");
        assert!(page.text.contains(&id), "ids are shown");
    }
    let asked = |records: Vec<Value>| {
        let by_form = |record: &Value| record.to_string().contains("console.show_personal_data");
        records.into_iter().filter(by_form).collect::<Vec<_>>()
    };
    assert_eq!(asked(bed.audit().await), Vec::<Value>::new());
    let shown = bed.form(&path, &cookie, "").await;
    for value in personal {
        assert!(shown.text.contains(value), "{value} is shown: {}", shown.text);
    }
    assert!(!shown.text.contains("<b>Awa"), "a name is text");
    let asked = asked(bed.audit().await);
    assert_eq!(asked.len(), 1);
    assert!(asked[0].to_string().contains(&id) && asked[0]["merchant"] == "acme", "{asked:?}");
    assert!(!bed.page(&path, &cookie).await.text.contains("Diop"), "it was shown in one answer");
}

#[tokio::test]
async fn a_customer_is_found_by_id_email_or_phone_and_no_url_has_what_was_typed() {
    let bed = Bed::start().await;
    let (cookie, id) = (bed.session().await, bed.customer("Awa Diop", 1).await);
    bed.customer("Amadou Ba", 2).await;
    for typed in [id.as_str(), "AWA.1%40example.com", "%2B221771234561", "%2B221%2077%20123%2045%2061"] {
        let found = bed.form("/console/customers", &cookie, &format!("merchant=acme&find={typed}")).await;
        assert_eq!(
            (found.status.as_u16(), found.header("location")),
            (303, &*format!("/console/customers/acme/{id}")),
            "{typed}"
        );
    }
    let unknown = bed.form("/console/customers", &cookie, "merchant=acme&find=unknown%40example.com").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text.contains("customer_not_found"), "{}", unknown.text);
    let unknown = bed.form("/console/customers", &cookie, "merchant=unknown&find=a%40example.com").await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn the_page_of_a_write_has_its_own_records_of_the_audit_alone() {
    let bed = Bed::start().await;
    for number in 1..=3 {
        bed.customer("Awa Diop", number).await;
    }
    let list = bed.json("/console/operations").await.json();
    let writes = list["operations"].as_array().expect("writes");
    assert_eq!((writes.len(), list["waiting"].as_array().map(Vec::len)), (3, Some(0)));
    let audit = bed.audit().await;
    for write in writes {
        let id = write["id"].as_str().expect("an id");
        let own: Vec<&Value> =
            audit.iter().filter(|record| record["operation_id"] == id).map(|record| &record["sequence"]).collect();
        let path = format!("/console/operations/acme/{id}");
        let json = bed.json(&path).await.json();
        let shown: Vec<&Value> =
            json["audit"].as_array().expect("records").iter().map(|record| &record["sequence"]).collect();
        assert_eq!(shown, own, "{json}");
        assert_eq!(
            (own.len(), &json["audit"][0]["event"], &json["audit"][1]["event"]),
            (2, &json!("intent"), &json!("done"))
        );
        assert!(bed.page(&path, &bed.session().await).await.text.contains("It was recorded before it was sent."));
    }
}

#[tokio::test]
async fn an_explanation_sends_nothing_and_names_what_is_lost() {
    let bed = Bed::start().await;
    let cookie = bed.session().await;
    let fields = "%7B%22name%22%3A%22Awa%20Diop%22%2C%22did%22%3A%22did%3Aabt%3Az1%22%7D";
    let refused = bed.form("/console/explain", &cookie, &format!("merchant=acme&fields={fields}")).await;
    assert_eq!(refused.status, 422);
    assert!(refused.text.contains("fields_not_supported") && refused.text.contains("did"), "{}", refused.text);
    let dropped = bed.form("/console/explain", &cookie, &format!("merchant=acme&on_loss=drop&fields={fields}")).await;
    assert_eq!(dropped.status, 200, "{}", dropped.text);
    assert!(dropped.text.contains("POST http") && dropped.text.contains("lost"), "{}", dropped.text);
    assert_eq!(bed.json("/console/operations").await.json()["operations"], json!([]), "no write was recorded");
}

#[tokio::test]
async fn a_command_of_a_switch_is_refused_if_it_was_decided_on_another_state() {
    let bed = Bed::start().await;
    let cookie = bed.session().await;
    let planned = bed.form("/console/switches", &cookie, "merchant=acme&to=new").await;
    assert_eq!(planned.status, 303, "{}", planned.text);
    let path = planned.header("location").to_owned();
    let shown = bed.json(&path).await.json();
    let commands = shown["commands"].as_array().expect("commands");
    let cutover = commands.iter().find(|command| command["action"] == "cutover").expect("a cutover");
    assert_eq!(cutover["is_possible"], false);
    let page = bed.page(&path, &cookie).await.text;
    for reason in cutover["refused"].as_array().expect("reasons") {
        assert!(page.contains(reason["code"].as_str().expect("a code")), "{reason}");
    }
    let late = bed.form(&format!("{path}/cutover"), &cookie, "state=copied&epoch=7").await;
    assert_eq!(late.status, 409);
    assert!(late.text.contains("switch_changed") && late.text.contains("id=\"confirm\""), "{}", late.text);
    assert_eq!(bed.json(&path).await.json()["switch"]["from"], "main");
    for (path, form, status) in [
        (format!("{path}/cutover"), "epoch=0", 422),
        (format!("{path}/explode"), "state=planned&epoch=0", 404),
        ("/console/switches".to_owned(), "merchant=acme&to=nowhere", 404),
    ] {
        assert_eq!(bed.form(&path, &cookie, form).await.status, status, "{path} {form}");
    }
}
