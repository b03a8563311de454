//! The files of a switch: what the gateway writes is read back, and no cell is one that a spreadsheet executes; files that
//! people edited, and lists of customers, are read or refused with a line.
//!
//! The whole input is read as a file. Its parts are also the texts of a record that is written.

use passerelle::switch::{
    files::{self, FileMistake, MapFormat, Rows},
    view::{Level, MapEntry, Outcome, SwitchRecord, SwitchRecordObject},
};

use crate::{
    bound::{assert_in_proportion, bounded},
    parts,
};

/// Runs one input.
pub(crate) fn run(input: &[u8]) {
    read(input);
    let mut texts = parts(input).map(|part| String::from_utf8_lossy(part).into_owned());
    let mut next = || texts.next().unwrap_or_default();
    written([next(), next(), next(), next(), next()], input.len());
}

fn read(file: &[u8]) {
    match bounded(file.len(), || files::decisions(file)) {
        Ok(decisions) => {
            for decision in decisions {
                assert!(!decision.public_id.is_empty() && decision.link_id.as_deref() != Some(""));
            }
        }
        Err(mistakes) => {
            for mistake in &mistakes {
                check(mistake, file.len());
            }
        }
    }
    match bounded(file.len(), || files::ids(file)) {
        Ok(ids) => assert!(ids.iter().all(|id| !id.is_empty())),
        Err(mistake) => check(&mistake, file.len()),
    }
    for is_csv in [true, false] {
        let listed = bounded(file.len(), || {
            files::listed(file, is_csv, |id| {
                assert!(!id.is_empty());
                true
            })
        });
        if let Err(mistakes) = listed {
            for mistake in &mistakes {
                check(mistake, file.len());
            }
        }
    }
    for line in file.split(|byte| *byte == b'\n') {
        if let Some(Ok(id)) = files::listed_in(line) {
            let again = serde_json::json!({ "id": id }).to_string();
            assert_eq!(
                files::listed_in(again.as_bytes()),
                Some(Ok(id)),
                "an id is another one when it is written again"
            );
        }
    }
}

fn check(mistake: &FileMistake, input: usize) {
    assert_in_proportion("a mistake", mistake.0.len(), input);
}

fn written(texts: [String; 5], input: usize) {
    let [public, source, target, home, detail] = texts;
    let entry = MapEntry {
        public_id: public.clone(),
        source_id: Some(source.clone()),
        target_id: Some(target.clone()),
        home: home.clone(),
    };
    let mut rows = Rows::default().map_header(MapFormat::Passerelle);
    rows.map(&entry, MapFormat::Passerelle);
    check_file(rows, &[vec![&public, &source, &target, &home]], input);
    let mut rows = Rows::default().map_header(MapFormat::Stripe);
    rows.map(&entry, MapFormat::Stripe);
    check_file(rows, &[vec![&source, &target]], input);

    let record = SwitchRecord {
        object: SwitchRecordObject::SwitchRecord,
        public_id: Some(public.clone()),
        source_id: Some(source.clone()),
        target_id: None,
        home: Some(home.clone()),
        outcome: Outcome::NeedsDecision,
        code: Some(target.clone()),
        level: Some(Level::Action),
        field: Some(home.clone()),
        detail: Some(detail.clone()),
        differences: Vec::new(),
        attempts: 3,
        updated_at: "2025-04-04T14:21:49.955Z".to_owned(),
    };
    let mut rows = Rows::default().decisions_header();
    rows.undecided(&record);
    let expected = vec![&*public, &source, "", "needs_decision", &target, &home, &detail, "", ""];
    check_file(rows, &[expected], input);
    let mut rows = Rows::default().results_header();
    rows.result(&record);
    let cells = read_cells(&rows.into_bytes());
    assert_eq!(cells[1].iter().map(|cell| files::text(cell)).nth(8), Some(&*detail));
    for cell in cells.iter().flatten() {
        check_cell(cell);
    }

    // What was written is read back by the commands.
    let mut rows = Rows::default().map_header(MapFormat::Passerelle);
    rows.map(&entry, MapFormat::Passerelle);
    let ids = files::ids(&*rows.into_bytes()).expect("a file that the gateway wrote");
    // Readers take white space around a cell away, as an editor may have added it.
    let is_plain = public == public.trim() && !public.is_empty();
    if is_plain {
        assert_eq!(ids, [public]);
    }
}

fn read_cells(file: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(file);
    let rows = reader.records().map(|row| row.expect("a row that the gateway wrote"));
    rows.map(|row| row.iter().map(str::to_owned).collect()).collect()
}

/// The file has its header and these rows, and no cell that a spreadsheet executes or changes.
fn check_file(rows: Rows, expected: &[Vec<&str>], input: usize) {
    let file = rows.into_bytes();
    assert_in_proportion("a file", file.len(), input);
    let cells = read_cells(&file);
    assert_eq!(cells.len(), 1 + expected.len(), "a row became another number of rows");
    for (row, expected) in cells[1..].iter().zip(expected) {
        let texts: Vec<&str> = row.iter().map(|cell| files::text(cell)).collect();
        assert_eq!(&texts, expected, "a text is another one after it was written and read");
        for cell in row {
            check_cell(cell);
        }
    }
}

fn check_cell(cell: &str) {
    let executes = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    assert!(!executes, "a spreadsheet executes {cell:?}");
}
