//! The report: what it shows, and what it never does.

use passerelle::switch::{
    service::Sample,
    view::{BlockedBy, BlockedCode, Outcome, Verified},
};
use passerelle_providers::{model::Field, switch::Previewed};

use super::{Bed, memory::record};

const HOSTILE: &str = "<script>alert(1)</script>\"'&\u{202e}";

fn sample(text: &str) -> Sample {
    let value = || Some(text.to_owned());
    let field =
        |field| Previewed { field, source: value(), target: value(), outcome: Some("kept"), rule: Some("a rule") };
    Sample {
        public_id: text.to_owned(),
        target_id: value(),
        outcome: Outcome::Linked,
        fields: vec![field(Field::Name)],
    }
}

/// R32: values are masked unless the operator asks for them.
#[tokio::test]
async fn the_samples_of_a_plan_are_masked_unless_the_operator_asks_for_their_values() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    bed.memory.show(vec![sample("Awa Diop")]);
    let masked = report(&bed, &format!("{id}/report.html")).await;
    assert!(masked.contains("A•••") && !masked.contains("<td data-label=\"At the source\">Awa Diop"), "{masked}");
    let shown = report(&bed, &format!("{id}/report.html?show_values=true")).await;
    assert!(shown.contains("<td data-label=\"At the target\">Awa Diop</td>"), "{shown}");
    assert_eq!(bed.get(&format!("/v1/switches/{id}/report.html?show_values=all")).await.status, 422);
}

async fn report(bed: &Bed, path: &str) -> String {
    let answer = bed.get(&format!("/v1/switches/{path}")).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(answer.header("content-security-policy").starts_with("default-src 'none';"));
    answer.text
}

/// R32: the report escapes everything.
#[tokio::test]
async fn every_text_in_the_report_is_escaped_and_the_page_requests_nothing() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    bed.memory.change(&id, |view| {
        for text in [&mut view.merchant, &mut view.from, &mut view.to] {
            HOSTILE.clone_into(text);
        }
        let hostile = || Some(HOSTILE.to_owned());
        (view.next, view.progress_at) = (hostile(), hostile());
        view.blocked_by = Some(BlockedBy {
            code: BlockedCode::DecisionNeeded,
            detail: HOSTILE.to_owned(),
            since: HOSTILE.to_owned(),
        });
        view.pinned.insert(HOSTILE.to_owned(), 3);
        for entry in view.forecast.iter_mut().chain(&mut view.way_back.forecast) {
            entry.field = HOSTILE.to_owned();
            entry.rule = hostile();
        }
        view.way_back.open = false;
        view.way_back.reason = hostile();
        view.verified = Some(Verified { at: hostile(), checked: 1, missing: 1, ..Verified::default() });
    });
    let mut wrong = record(99, Outcome::Refused);
    (wrong.public_id, wrong.code, wrong.detail, wrong.field) =
        (Some(HOSTILE.to_owned()), Some(HOSTILE.to_owned()), Some(HOSTILE.to_owned()), Some(HOSTILE.to_owned()));
    bed.memory.add(&id, wrong);
    bed.memory.show(vec![sample(HOSTILE)]);
    let page = report(&bed, &format!("{id}/report.html?show_values=true")).await;
    assert!(page.matches("&lt;script&gt;").count() > 10, "the texts are shown: {page}");
    for never in ["<script", "\u{202e}", "src=", "href=", "url(", "@import", "http://", "https://", "onload"] {
        assert!(!page.contains(never), "{never} in {page}");
    }
}

#[tokio::test]
async fn the_report_of_a_verified_switch_is_readable_without_colours_scripts_or_a_network() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    bed.memory.change(&id, |view| {
        view.records.total = 1_234_567;
        view.verified = Some(Verified {
            at: Some("2026-01-02T03:04:05Z".to_owned()),
            complete: true,
            checked: 1_234_000,
            equal: 1_200_000,
            equal_after_rule: 33_999,
            differs: 1,
            ..Verified::default()
        });
        view.marks.pending = 12;
        view.pinned.insert("main".to_owned(), 40);
    });
    let page = report(&bed, &format!("{id}/report.html")).await;
    for (element, count) in [
        ("<html", 1),
        ("</html>", 1),
        ("<h1>", 1),
        ("<svg class=\"bar\"", 6),
        ("@media print", 1),
        ("name=\"viewport\"", 1),
    ] {
        assert_eq!(page.matches(element).count(), count, "{element} in {page}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    let time = page.split("as of ").nth(1).and_then(|rest| rest.split('<').next()).expect("a time").to_owned();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_path("../snapshots");
    let lines = page.replace(&time, "NOW").replace("><", ">\n<");
    settings.bind(|| insta::assert_snapshot!("switch-report", lines));
}
