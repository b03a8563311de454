//! Whose record an answer is, for the clients of every vendor.

use super::dialects::DIALECTS;
use crate::{played::echoing, shared_records::CREATING, support::Gateway};

#[tokio::test]
async fn one_id_that_is_answered_to_two_creates_belongs_to_the_first_one() {
    for provider in CREATING {
        for dialect in DIALECTS.iter().filter(|dialect| dialect.name != "paymentkit") {
            let case = format!("{} by {provider}", dialect.name);
            let vendor = echoing(provider, None).await;
            let gateway = Gateway::in_front_of(provider, &vendor.url(), "").await;
            let send = async |email: &str| {
                let body = (dialect.new)(email);
                dialect.send(&gateway, "sk_acme", "POST", "", Some(&body)).await
            };
            let first = send("awa@example.com").await;
            assert!(first.status.is_success(), "{case}: {}", first.text);
            let other = send("fatou@example.com").await;
            dialect.assert_refusal(&other);
            let same = send("awa@example.com").await;
            assert!(same.status.is_success(), "{case}: {}", same.text);
            assert_eq!(same.at(dialect.one)[dialect.id_member], first.at(dialect.one)[dialect.id_member], "{case}");
        }
    }
}
