//! Creates that a provider answers with a record that existed, at every provider that has creates.

use passerelle_providers::{
    model::{Command, Created, Customer, Error, Kind, Reply, Written},
    text::Text,
};
use reqwest::Method;
use serde_json::json;

use crate::{
    played::{LONG_AGO, echoing, ids_of, playing, reply_with},
    stand_in::StandIn,
    support::{Answer, Gateway, JsonText},
};

/// The providers that have creates. Bitnob alone declares that an e-mail address is unique.
pub(crate) const CREATING: [&str; 4] = ["modempay", "lomi", "bitnob", "notchpay"];

const ALREADY_HAD: &str = "the provider answered the customer it already had";

async fn create(gateway: &Gateway, key: Option<&str>, name: &str, email: &str) -> Answer {
    let body = json!({ "name": name, "email": email, "phone": "+221771234567" });
    let request = gateway.request(Method::POST, "/v1/customers").json_text(&body);
    gateway.send(key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))).await
}

async fn front(provider: &str, vendor: &StandIn) -> Gateway {
    Gateway::in_front_of(provider, &vendor.url(), "").await
}

fn is_reported(answer: &Answer) -> bool {
    let entry = json!({ "field": "id", "outcome": "derived", "rule": ALREADY_HAD });
    answer.body["fidelity"].as_array().is_some_and(|report| report.contains(&entry))
}

/// Test systems answer creates with the times of their documents.
#[tokio::test]
async fn an_old_record_with_the_sent_values_is_made_where_nothing_is_unique() {
    for provider in CREATING {
        let vendor = echoing(provider, Some(LONG_AGO)).await;
        let created = create(&front(provider, &vendor).await, None, "Awa Diop", "awa@example.com").await;
        let is_unique = provider == "bitnob";
        assert_eq!(created.status, if is_unique { 200 } else { 201 }, "{provider}: {}", created.text);
        assert_eq!(is_reported(&created), is_unique, "{provider}: {}", created.text);
    }
}

/// Bitnob may write the time of a record in other forms, and only in the answers to reads.
#[tokio::test]
async fn an_old_record_is_known_however_its_time_is_shown() {
    const PROVIDER: &str = "bitnob";
    for (in_create, in_read) in [
        (Some("2020-01-01"), None),
        (Some("2020-01-01 00:00:00"), None),
        (None, Some("2020-01-01 00:00:00")),
        (None, Some(LONG_AGO)),
    ] {
        let record = |time: Option<&'static str>| Customer {
            phone: Some(Text::from_static("+221771234567")),
            created_at: time.map(Text::from_static),
            ..match_of(ids_of(PROVIDER)[0])
        };
        let vendor = playing(PROVIDER, move |command| match command {
            Command::Create(_) => Ok(Reply::created(record(in_create))),
            command => reply_with(&[record(in_read)], command),
        })
        .await;
        let gateway = front(PROVIDER, &vendor).await;
        let created = create(&gateway, None, "Awa Diop", "awa@example.com").await;
        let case = format!("{in_create:?}, {in_read:?}: {}", created.text);
        assert_eq!(created.status, 200, "{case}");
        assert!(is_reported(&created), "{case}");
        assert_eq!(vendor.requests().len(), 1 + usize::from(in_read.is_some()), "{case}");
    }
}

#[tokio::test]
async fn an_old_record_with_another_email_or_name_belongs_to_another_customer() {
    for provider in CREATING {
        for (name, email, expected) in [
            ("Awa Diop", "fatou@example.com", 409),
            ("Fatou Sow", "awa@example.com", 409),
            ("awa  DIOP", "AWA@example.com", if provider == "bitnob" { 200 } else { 201 }),
        ] {
            let record = Customer {
                id: Text::from(ids_of(provider)[0]),
                name: Some(Text::from_static(name)),
                email: Some(Text::from_static(email)),
                phone: Some(Text::from_static("+221771234567")),
                created_at: Some(Text::from_static(LONG_AGO)),
                ..Customer::default()
            };
            let answer = Reply::Written(Written::Created(Created::new(record.clone())));
            let vendor = playing(provider, move |command| {
                Ok(if matches!(command, Command::Create(_)) {
                    answer.clone()
                } else {
                    Reply::Customer(record.clone().into())
                })
            })
            .await;
            let created = create(&front(provider, &vendor).await, None, "Awa Diop", "awa@example.com").await;
            assert_eq!(created.status, expected, "{provider}: {name}, {email}: {}", created.text);
            if expected == 409 {
                assert_eq!(created.body["code"], "vendor_record_shared");
                assert_eq!(created.body["provider"]["id"], ids_of(provider)[0]);
            }
        }
    }
}

/// The provider's answer repeats what each create sent, so only the first create shows whose record it is.
#[tokio::test]
async fn one_id_that_is_answered_to_two_creates_belongs_to_the_first_one() {
    for provider in CREATING {
        for created_at in [None, Some(LONG_AGO)] {
            let vendor = echoing(provider, created_at).await;
            let gateway = front(provider, &vendor).await;
            let first = create(&gateway, Some("first"), "Awa Diop", "awa@example.com").await;
            assert!(first.status.is_success(), "{provider}: {}", first.text);
            for (key, name, email) in [
                (Some("other"), "Fatou Sow", "fatou@example.com"),
                (Some("other-name"), "Fatou Sow", "awa@example.com"),
                (Some("other-email"), "Awa Diop", "fatou@example.com"),
                (None, "Fatou Sow", "fatou@example.com"),
            ] {
                let other = create(&gateway, key, name, email).await;
                let case = format!("{provider}, {created_at:?}, {key:?}: {}", other.text);
                assert_eq!(other.status_and_code(), (409, "vendor_record_shared"), "{case}");
                assert_eq!(other.body["provider"]["id"], ids_of(provider)[0], "{case}");
            }
            for key in [Some("same"), None] {
                let same = create(&gateway, key, "awa DIOP", "Awa@example.com").await;
                assert_eq!((same.status.as_u16(), is_reported(&same)), (200, true), "{provider}: {}", same.text);
            }
        }
    }
}

#[tokio::test]
async fn a_create_without_a_key_is_the_first_one_too() {
    for provider in CREATING {
        let vendor = echoing(provider, None).await;
        let gateway = front(provider, &vendor).await;
        assert_eq!(create(&gateway, None, "Awa Diop", "awa@example.com").await.status, 201, "{provider}");
        let other = create(&gateway, None, "Fatou Sow", "fatou@example.com").await;
        assert_eq!(other.status_and_code(), (409, "vendor_record_shared"), "{provider}: {}", other.text);
    }
}

/// The customer has another name since, so the answer to its create does not show whose record it is.
#[tokio::test]
async fn a_record_that_was_updated_since_is_compared_as_the_provider_answers_it() {
    for provider in CREATING {
        let vendor = playing(provider, move |command| {
            let mut customer = Customer { id: Text::from(ids_of(provider)[0]), ..Customer::default() };
            customer.email = Some(Text::from_static("awa@example.com"));
            match command {
                Command::Create(create) => create.fields.apply_to(&mut customer),
                Command::Update(update) => update.fields.apply_to(&mut customer),
                _ => {}
            }
            Ok(match command {
                Command::Create(_) => Reply::Written(Written::Created(Created::new(customer))),
                Command::Retrieve(_) => Reply::Customer(customer.into()),
                _ => Reply::changed(customer),
            })
        })
        .await;
        let gateway = front(provider, &vendor).await;
        assert_eq!(create(&gateway, None, "Awa Diop", "awa@example.com").await.status, 201, "{provider}");
        let path = format!("/v1/customers/{}", ids_of(provider)[0]);
        let updated = gateway.patch(&path, json!({ "name": "Awa Sow" })).await;
        assert_eq!(updated.status, 200, "{provider}: {}", updated.text);
        let again = create(&gateway, None, "Awa Sow", "awa@example.com").await;
        assert_eq!((again.status.as_u16(), is_reported(&again)), (200, true), "{provider}: {}", again.text);
    }
}

#[tokio::test]
async fn of_two_creates_at_once_one_has_made_the_record() {
    for provider in CREATING {
        let vendor = echoing(provider, None).await;
        let gateway = front(provider, &vendor).await;
        let answers = tokio::join!(
            create(&gateway, Some("one"), "Awa Diop", "awa@example.com"),
            create(&gateway, Some("two"), "Fatou Sow", "fatou@example.com"),
            create(&gateway, None, "Aïcha Ba", "aicha@example.com"),
        );
        let mut statuses = [answers.0, answers.1, answers.2].map(|answer| answer.status.as_u16());
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409], "{provider}");
    }
}

fn match_of(id: &str) -> Customer {
    let mut customer = Customer { id: Text::from(id), ..Customer::default() };
    customer.name = Some(Text::from_static("Awa Diop"));
    customer.email = Some(Text::from_static("awa@example.com"));
    customer
}

fn distinct() -> serde_json::Value {
    json!({ "name": "Awa Diop", "email": "awa@example.com" })
}

/// Also where the provider itself decides on distinct creates. At Bitnob at most one customer has an address.
#[tokio::test]
async fn a_distinct_create_that_several_customers_match_is_not_sent() {
    for provider in ["modempay", "lomi", "notchpay"] {
        let ids = ids_of(provider);
        let customers = ids.map(match_of);
        let vendor = playing(provider, move |command| match command {
            Command::Create(_) => Ok(Reply::created(customers[0].clone())),
            command => reply_with(&customers, command),
        })
        .await;
        let gateway = front(provider, &vendor).await;
        let refused = gateway.post("/v1/customers?distinct=true", distinct()).await;
        assert_eq!(refused.status_and_code(), (409, "lookup_ambiguous"), "{provider}: {}", refused.text);
        assert_eq!((&refused.body["ids"], &refused.body["outcome"]), (&json!(ids), &json!("none")), "{provider}");
        let mut body = distinct();
        body["config"] = json!({ "distinct": true });
        let request = gateway.plain(Method::POST, "/as/modempay/v1/customers").bearer_auth("sk_acme");
        let refused = gateway.send_to_dialect(request.json_text(&body)).await;
        assert_eq!(refused.body["message"], "several customers match", "{provider}: {}", refused.text);
        assert!(vendor.requests().iter().all(|request| request.starts_with("GET ")), "{provider}");
    }
}

/// The provider that decides itself may compare addresses in another way than the gateway.
#[tokio::test]
async fn a_distinct_create_that_one_customer_matches_is_not_sent() {
    for provider in CREATING {
        let existing =
            || Customer { email: Some(Text::from_static("Awa@Example.com")), ..match_of(ids_of(provider)[0]) };
        let vendor = playing(provider, move |command| match command {
            Command::Create(_) => Ok(Reply::created(match_of(ids_of(provider)[1]))),
            command => reply_with(&[existing()], command),
        })
        .await;
        let gateway = front(provider, &vendor).await;
        let answer = gateway.post("/v1/customers?distinct=true", distinct()).await;
        assert_eq!(answer.status, 200, "{provider}: {}", answer.text);
        assert!(
            answer.text.contains("existing customer matched by email, by the gateway"),
            "{provider}: {}",
            answer.text
        );
        let mut body = distinct();
        body["config"] = json!({ "distinct": true });
        let request = gateway.plain(Method::POST, "/as/modempay/v1/customers").bearer_auth("sk_acme");
        let imitated = gateway.send_to_dialect(request.json_text(&body)).await;
        assert_eq!(imitated.status, 200, "{provider}: {}", imitated.text);
        for answer in [answer, imitated] {
            assert_eq!(answer.body["email"], "Awa@Example.com", "{provider}: {}", answer.text);
        }
        assert!(vendor.requests().iter().all(|request| request.starts_with("GET ")), "{provider}");
    }
}

/// Also where the provider searches: its search compares the texts that it stores.
#[tokio::test]
async fn a_phone_number_finds_the_customer_in_each_spelling_that_reads_show_as_this_number() {
    const PHONE: &str = "+221771234567";
    for (provider, stored) in [
        ("notchpay", "771234567"),
        ("notchpay", "221771234567"),
        ("notchpay", PHONE),
        ("modempay", "771234567"),
        ("lomi", "771234567"),
    ] {
        let stored = Customer { phone: Some(Text::from_static(stored)), ..match_of(ids_of(provider)[0]) };
        let vendor = playing(provider, move |command| reply_with(std::slice::from_ref(&stored), command)).await;
        let gateway = front(provider, &vendor).await;
        let found = gateway.get("/v1/customers/lookup?phone=%2B221771234567").await;
        let listed = gateway.get("/v1/customers?phone=%2B221771234567").await;
        let body = json!({ "name": "Awa Diop", "phone": PHONE });
        let matched = gateway.post("/v1/customers?distinct=true", body).await;
        for (answer, shown) in [(&found, &found.body), (&listed, &listed.body["data"][0]), (&matched, &matched.body)] {
            assert_eq!(answer.status, 200, "{provider}: {}", answer.text);
            assert_eq!(shown["phone"], PHONE, "{provider}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn a_distinct_create_whose_look_up_fails_is_decided_by_the_provider() {
    const PROVIDER: &str = "modempay";
    let vendor = playing(PROVIDER, move |command| match command {
        Command::Create(_) => {
            let customer = match_of(ids_of(PROVIDER)[0]).into();
            Ok(Reply::Written(Written::Created(Created { customer, existing: true })))
        }
        _ => Err(Error::new(Kind::ProviderFailed, "the list fails")),
    })
    .await;
    let answer = front(PROVIDER, &vendor).await.post("/v1/customers?distinct=true", distinct()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.text.contains("existing customer matched by email, by the provider"), "{}", answer.text);
}
