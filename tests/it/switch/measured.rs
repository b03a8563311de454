//! What the metrics show of a switch.

use passerelle::switch::service::SwitchService;

use super::{
    bed::{Bed, person},
    merchant::{decided, is_copied},
};

#[tokio::test]
async fn an_open_switch_is_shown_with_its_state_and_its_customers() {
    let bed = Bed::start("notchpay", "bitnob", "").await;
    for number in 0..2 {
        bed.create(&person(number)).await;
    }
    let has = async |line: &str| {
        let text = bed.gateway.app().metrics_text().await;
        text.lines().any(|shown| shown == line)
    };
    assert!(!has("passerelle_switches{merchant=\"acme\",state=\"copied\",blocked_by=\"\"} 1.0").await);
    let switch = bed.driven().await;
    bed.wait(&switch.id, "the copies", is_copied).await;
    assert!(has("passerelle_switches{merchant=\"acme\",state=\"copied\",blocked_by=\"\"} 1.0").await);
    assert!(has("passerelle_switch_customers{merchant=\"acme\",outcome=\"created\"} 2.0").await);
    bed.gateway.switches().abandon(&switch.id, Vec::new(), false, decided(&switch)).await.expect("it ends");
    let text = bed.gateway.app().metrics_text().await;
    assert!(!text.contains("passerelle_switches{"), "{text}");
}
