//! Creates of a merchant who switches providers: creates whose outcome is unknown at a connection that is not active any
//! more, and creates that the provider answers with the id of a deleted customer.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use passerelle_providers::{
    model::{Command, Created, Customer, Reply, Written},
    text::Text,
};

use crate::{
    homes_of_writes::{Bed, CUSTOMERS, connection, create, text},
    played::{ids_of, playing, reply_with},
    support::Gateway,
    writes::helpers::{count_effects, wait_for_outcome},
};

/// R23: the provider gives a new customer the id of one that was deleted.
#[tokio::test]
async fn a_create_that_is_answered_with_the_id_of_a_deleted_customer_has_a_derived_id() {
    let exists = AtomicBool::new(false);
    let provider = playing("notchpay", move |command| {
        let mut customer = Customer { id: Text::from(ids_of("notchpay")[0]), ..Customer::default() };
        match command {
            Command::Create(create) => {
                exists.store(true, Ordering::SeqCst);
                create.fields.apply_to(&mut customer);
                Ok(Reply::Written(Written::Created(Created::new(customer))))
            }
            Command::Delete(_) => {
                exists.store(false, Ordering::SeqCst);
                Ok(Reply::Written(Written::Deleted))
            }
            command if exists.load(Ordering::SeqCst) => reply_with(&[customer], command),
            command => reply_with(&[], command),
        }
    })
    .await;
    let gateway = Gateway::in_front_of("notchpay", &provider.url(), "").await;
    gateway.ids().begin("acme", "main", "sw_1", "other").await.expect("begun");
    gateway.learn_routing().await;
    let own = ids_of("notchpay")[0];
    let first = create(&gateway, None, "Awa Ndiaye", "awa@example.com").await;
    assert_eq!((first.status.as_u16(), text(&first.body, "id")), (201, own), "{}", first.text);
    let deleted = gateway.delete(&format!("{CUSTOMERS}/{own}")).await;
    assert_eq!(deleted.status, 200, "{}", deleted.text);
    let second = create(&gateway, None, "Fatou Diop", "fatou@example.com").await;
    let derived = text(&second.body, "id");
    assert_eq!((second.status.as_u16(), text(&second.body["provider"], "id")), (201, own), "{}", second.text);
    assert!(derived != own && derived.len() == 36, "{derived}");
    assert_eq!(second.header("location"), format!("{CUSTOMERS}/{derived}"));
    let gone = gateway.get(&format!("{CUSTOMERS}/{own}")).await;
    assert_eq!(gone.status, 404, "the deleted customer stays deleted: {}", gone.text);
    let deleted = gateway.delete(&format!("{CUSTOMERS}/{derived}")).await;
    assert_eq!((deleted.status.as_u16(), text(&deleted.body, "id")), (200, derived), "{}", deleted.text);
}

/// R12: shown absent, its key is free. The provider answered the create with an error, and did not execute it.
#[tokio::test]
async fn a_create_in_doubt_is_not_sent_again_to_a_connection_that_is_not_active_any_more() {
    let bed = Bed::switching("error_before = 1.0\nonly = [\"create\"]").await;
    let gateway = &bed.gateway;
    let first = create(gateway, Some("k"), "Fatou Diop", "fatou@example.com").await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"), "{}", first.text);
    bed.flip().await;
    let path = format!("/v1/operations/{}", text(&first.body, "operation_id"));
    while gateway.get(&path).await.status == 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let again = create(gateway, Some("k"), "Fatou Diop", "fatou@example.com").await;
    assert_eq!((again.status.as_u16(), connection(&again)), (201, "new"), "{}", again.text);
    assert_eq!((count_effects(&bed.old.1), count_effects(&bed.new.1)), (0, 1));
}

/// R12: found, it lives there, pinned.
#[tokio::test]
async fn a_create_that_is_found_after_the_flip_lives_where_it_was_made() {
    let bed = Bed::switching("error_after = 1.0\nonly = [\"create\"]").await;
    let gateway = &bed.gateway;
    let first = create(gateway, Some("k"), "Fatou Diop", "fatou@example.com").await;
    assert_eq!(first.status_and_code(), (502, "outcome_unknown"), "{}", first.text);
    bed.flip().await;
    let operation = wait_for_outcome(gateway, text(&first.body, "operation_id"), "unknown").await;
    assert_eq!(operation["outcome"], "done", "{operation}");
    let id = text(&operation, "customer");
    let row = bed.customer(id).await;
    assert_eq!((row.pinned.as_deref(), row.version), (Some("old"), 1));
    let found = gateway.get(&format!("{CUSTOMERS}/{id}")).await;
    assert_eq!((found.status.as_u16(), connection(&found)), (200, "old"), "{}", found.text);
    let again = create(gateway, Some("k"), "Fatou Diop", "fatou@example.com").await;
    assert_eq!((again.status.as_u16(), text(&again.body, "id")), (201, id), "{}", again.text);
    assert_eq!((count_effects(&bed.old.1), count_effects(&bed.new.1)), (1, 0));
}

/// R6: the provider has made the customer, and its row cannot be written.
#[tokio::test]
async fn a_create_whose_row_cannot_be_written_is_in_doubt_and_never_made_twice() {
    let bed = Bed::switching("").await;
    bed.disturb(0, 1);
    let first = create(&bed.gateway, Some("k"), "Fatou Diop", "fatou@example.com").await;
    assert_eq!(first.status_and_code(), (504, "outcome_unknown"), "{}", first.text);
    let operation = wait_for_outcome(&bed.gateway, text(&first.body, "operation_id"), "unknown").await;
    assert_eq!(operation["outcome"], "done", "{operation}");
    assert_eq!(bed.customer(text(&operation, "customer")).await.pinned.as_deref(), Some("old"));
    assert_eq!(count_effects(&bed.old.1), 1);
}
