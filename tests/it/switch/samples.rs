//! The samples of a plan: customers before and after.

use passerelle::switch::{
    service::{PlanOptions, SwitchService},
    view::SwitchState,
};

use super::{
    bed::{Bed, person},
    merchant::{is_copied, to_new},
};

/// What a sample foretells is what the run makes.
#[tokio::test]
async fn the_samples_of_a_plan_are_the_customers_as_the_run_makes_them() {
    for (from, to) in [("notchpay", "bitnob"), ("bitnob", "lomi"), ("lomi", "notchpay")] {
        let bed = Bed::start(from, to, "").await;
        let mut ids = Vec::new();
        for number in 0..2 {
            ids.push(bed.create(&person(number)).await);
        }
        // The second one stands at the target already, without a phone number.
        let mut there = person(1);
        there.as_object_mut().expect("an object").remove("phone");
        let made = bed.new.looked_at().await.post("/v1/customers", there).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let options = PlanOptions { sample: 20, ..to_new() };
        let planned = bed.gateway.switches().plan("acme", options, None).await.expect("a plan begins");
        bed.wait(&planned.id, "the plan", |view| view.state == SwitchState::Planned).await;
        let mut samples = bed.gateway.switches().samples(&planned.id).await.expect("samples");
        assert!(samples.len() >= 2, "{from} to {to}: {samples:?}");
        samples.retain(|sample| ids.contains(&sample.public_id));
        let planned = bed.gateway.switches().get(&planned.id).await.expect("a switch");
        bed.run(&planned).await;
        bed.wait(&planned.id, "the copies", is_copied).await;
        for sample in &samples {
            let record = bed.record(&planned.id, &sample.public_id).await;
            assert_eq!(record.outcome, sample.outcome, "{from} to {to}");
            let id = record.target_id.expect("a record");
            let shown = bed.new.looked_at().await.get(&format!("/v1/customers/{id}")).await;
            for previewed in &sample.fields {
                let name = previewed.field.name();
                // What the gateway derives on the way back is not at the provider.
                let is_shown = ["name", "email", "phone"].contains(&name) && previewed.outcome != Some("derived");
                if is_shown {
                    assert_eq!(shown.body[name].as_str(), previewed.target.as_deref(), "{from} to {to}: {name}");
                }
            }
            assert!(sample.fields.len() >= 3, "{from} to {to}: {sample:?}");
        }
        let none = bed.gateway.switches().samples(&planned.id).await.expect("none");
        assert!(none.is_empty(), "they are of the plan alone");
    }
}
