//! The CSV files: what they hold, and that reading gives back what was written.

use passerelle::switch::{
    files::{self, MapFormat, Rows},
    service::Decision,
    view::{DecisionKind, MapEntry, Outcome},
};
use proptest::prelude::*;

use super::{Bed, memory::record};

/// The rows of a file, with the apostrophes taken off.
fn rows(file: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(file);
    let read =
        reader.records().map(|record| record.expect("CSV").iter().map(|cell| files::text(cell).to_owned()).collect());
    read.collect()
}

proptest! {
    /// R32: cells are quoted reversibly, and no cell is one that a spreadsheet executes or changes.
    #[test]
    fn every_text_is_read_back_as_it_was_written(text in "\\PC*|[=+@'\\-\t\r\n0-9.e,;\" ]*") {
        let cell = files::cell(&text);
        prop_assert_eq!(files::text(&cell), text.as_str());
        prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
        prop_assert!(cell.starts_with('\'') || text.is_empty() || cell.parse::<u64>().is_err());
    }

    #[test]
    fn a_map_is_read_back_as_it_was_written(ids in prop::collection::vec(("[!-~]{1,40}", prop::option::of("[!-~]{1,40}")), 1..20)) {
        let mut file = Rows::default().map_header(MapFormat::Passerelle);
        for (public_id, target_id) in &ids {
            let entry = MapEntry { public_id: public_id.clone(), source_id: None, target_id: target_id.clone(), home: "main".to_owned() };
            file.map(&entry, MapFormat::Passerelle);
        }
        let read = rows(&file.into_bytes());
        let expected = ids.iter().map(|(public, target)| {
            vec![public.clone(), String::new(), target.clone().unwrap_or_default(), "main".to_owned()]
        });
        prop_assert_eq!(&read[1..], expected.collect::<Vec<_>>());
    }

    #[test]
    fn decisions_written_into_the_file_are_read_back(ids in prop::collection::vec("[!-~]{1,40}", 1..20), link in "[!-~]{1,40}") {
        let mut file = Rows::default().decisions_header();
        for id in &ids {
            let mut undecided = record(0, Outcome::NeedsDecision);
            undecided.public_id = Some(id.clone());
            undecided.detail = Some("a \"quoted\" reason,\nof two lines".to_owned());
            file.undecided(&undecided);
        }
        // An operator writes the decisions with a spreadsheet, which keeps the apostrophes.
        let mut edited = csv::WriterBuilder::new().from_writer(Vec::new());
        let bytes = file.into_bytes();
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&*bytes);
        for (place, row) in reader.records().enumerate() {
            let mut cells: Vec<String> = row.expect("CSV").iter().map(str::to_owned).collect();
            if place > 0 {
                cells[7] = "link".to_owned();
                cells[8] = files::cell(&link).into_owned();
            }
            edited.write_record(cells).expect("written");
        }
        let read = files::decisions(&*edited.into_inner().expect("bytes")).expect("decisions");
        let expected = ids.iter().map(|id| Decision { public_id: id.clone(), decision: DecisionKind::Link, link_id: Some(link.clone()) });
        prop_assert_eq!(read, expected.collect::<Vec<_>>());
    }
}

#[test]
fn every_mistake_in_a_file_of_decisions_is_found_with_its_line() {
    let file = "\u{feff}public_id,decision,link_id,name\na,create,,Awa\nb,,,\nc,remove,,\nd,link,,\n,leave,,\ne,link new_1,,\nf,LEAVE,x,\n";
    let wrong: Vec<String> =
        files::decisions(file.as_bytes()).expect_err("mistakes").into_iter().map(|wrong| wrong.0).collect();
    assert_eq!(
        wrong,
        [
            "line 4: `remove` is not a decision; write create, link or leave",
            "line 5: `link` needs the id at the other side in `link_id`",
            "line 6: there is a decision and no `public_id`",
        ]
    );
    let right = file.replace("remove", "create").replace("d,link,,", "d,link,x,").replace("\n,leave", "\ng,leave");
    let decisions = files::decisions(right.as_bytes()).expect("decisions");
    let shown: Vec<(&str, Option<&str>)> =
        decisions.iter().map(|decision| (decision.decision.as_str(), decision.link_id.as_deref())).collect();
    assert_eq!(
        shown,
        [
            ("create", None),
            ("create", None),
            ("link", Some("x")),
            ("leave", None),
            ("link", Some("new_1")),
            ("leave", None)
        ]
    );
    let other = files::decisions("id,name\n1,Awa\n".as_bytes()).expect_err("a mistake");
    assert_eq!(other[0].0, "the first line has no column `public_id`; it has id, name");
}

#[test]
fn a_list_of_ids_is_a_column_or_a_file_of_lines() {
    for (file, expected) in [
        ("public_id,code\n'123,x\ncus_2,y\n", vec!["123", "cus_2"]),
        ("name,id\nAwa,cus_1\n", vec!["cus_1"]),
        ("cus_1\ncus_2\n\n", vec!["cus_1", "cus_2"]),
    ] {
        assert_eq!(files::ids(file.as_bytes()).expect("ids"), expected);
    }
    assert!(files::ids("name,phone\nAwa,+221\n".as_bytes()).is_err());
}

/// R24: a file says who there is. Every mistake is named with its line, also after cells of several lines.
#[test]
fn a_list_of_customers_is_read_for_its_ids_and_mistakes_are_named_with_their_lines() {
    let csv = "name,id,phone\n\"Awa\nDiop\",cus_1,'+221771234567\n\"Ba, Amadou\",'0042,\n";
    let json = "{\"id\":\"cus_1\",\"name\":\"Awa\"}\n\n{\"id\":\"0042\"}\n";
    for (file, is_csv) in [(csv, true), (json, false)] {
        let mut ids = Vec::new();
        let read = files::listed(file.as_bytes(), is_csv, |id| {
            ids.push(id.to_owned());
            true
        });
        read.expect("customers");
        assert_eq!(ids, ["cus_1", "0042"]);
    }
    let mistakes = |file: &str, is_csv| -> Vec<String> {
        let read = files::listed(file.as_bytes(), is_csv, |_| true);
        read.expect_err("mistakes").into_iter().map(|mistake| mistake.0).collect()
    };
    let csv = "id,name\n\"cus\n_1\",Awa\n,Fatou\ncus_2,Awa\n,Aminata\n";
    assert_eq!(mistakes(csv, true), ["line 4: it has no `id`", "line 6: it has no `id`"]);
    assert_eq!(mistakes("name\nAwa\n", true), ["the first line has no column `id`; it has name"]);
    let json = "{\"id\":\"cus_1\"}\n{\"name\":\"Awa\"}\n[]\nAwa\n";
    let expected =
        ["line 2: it has no `id` that is a text", "line 3: it is not a JSON object", "line 4: it is not JSON"];
    assert_eq!(mistakes(json, false), expected);
}

#[tokio::test]
async fn the_files_of_a_switch_have_every_record() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    let file = async |name: &str| {
        let answer = bed.get(&format!("/v1/switches/{id}/{name}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer
    };
    let mut formula = record(41, Outcome::Refused);
    formula.public_id = Some("=cmd|' /C calc'!A0".to_owned());
    formula.code = Some("last_name_required".to_owned());
    bed.memory.add(&id, formula);
    let results = file("results.csv").await;
    assert_eq!(results.header("content-disposition"), "attachment; filename=\"acme-main-to-new-results.csv\"");
    assert_eq!(rows(results.text.as_bytes()).len(), 42);
    assert!(results.text.contains("'=cmd|' /C calc'!A0"), "{}", results.text);
    let errors = rows(file("errors.csv").await.text.as_bytes());
    let outcomes: Vec<&str> = errors[1..].iter().map(|row| row[3].as_str()).collect();
    assert_eq!(outcomes, ["needs_decision", "needs_decision", "refused", "refused"]);
    assert_eq!(rows(file("decisions.csv").await.text.as_bytes()).len(), 3);
    assert_eq!(rows(file("map.csv").await.text.as_bytes()).len(), 42);
    bed.post(&format!("/v1/switches/{id}/run"), serde_json::json!({ "decided": { "state": "planned", "epoch": 0 } }))
        .await;
    bed.until(&id, "copied").await;
    let stripe = rows(file("map.csv?format=stripe").await.text.as_bytes());
    assert_eq!(stripe[0], ["old_customer_id", "stripe_customer_id"]);
    assert_eq!(stripe[1], ["cus_0000", "new-cus_0000"]);
    assert_eq!(stripe.len(), 38, "only customers who are at both sides");
}

#[tokio::test]
async fn a_file_that_the_store_cannot_finish_is_broken_off_and_never_looks_complete() {
    let bed = Bed::start().await;
    let id = bed.planned().await;
    for place in 100..1100 {
        bed.memory.add(&id, record(place, Outcome::Pending));
    }
    bed.memory.fail();
    let response = bed.request(reqwest::Method::GET, &format!("/v1/switches/{id}/results.csv")).send().await;
    assert!(response.expect("a head").text().await.is_err(), "the body is broken off");
}
