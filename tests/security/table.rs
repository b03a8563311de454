//! The table of `docs/security.md` and the tests agree: every number is in it, every test that it names exists, and every
//! test of this folder stands at its numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The numbers that the table has.
fn numbers() -> Vec<String> {
    (1..=48).chain([55, 57, 58, 59, 65, 66]).map(|number| format!("S{number:02}")).collect()
}

fn project_file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_else(|_| panic!("no file {path}"))
}

/// The rows of the table: the number, and the cell of the tests.
fn rows() -> Vec<(String, String)> {
    let document = project_file("docs/security.md");
    let rows = document.lines().filter(|line| line.starts_with("| S")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [number, requirement, tests] = cells[..] else { panic!("a row has three cells: {line}") };
        assert!(requirement.ends_with('.'), "the requirement is a sentence: {line}");
        (number.to_owned(), tests.to_owned())
    });
    rows.collect()
}

/// The tests of a cell: each function with the file before it.
fn tests_of(cell: &str) -> Vec<(String, String)> {
    let mut tests = Vec::new();
    let mut file = String::new();
    for quoted in cell.split('`').skip(1).step_by(2) {
        if Path::new(quoted).extension().is_some_and(|extension| extension == "rs") {
            quoted.clone_into(&mut file);
        } else {
            tests.push((file.clone(), quoted.to_owned()));
        }
    }
    tests
}

/// The numbers with which the name of a test begins: `s10_s44_…` has two.
fn numbers_of(test: &str) -> BTreeSet<String> {
    let is_number = |word: &str| word.len() == 3 && word.starts_with('s') && word[1..].parse::<u8>().is_ok();
    test.split('_').take_while(|word| is_number(word)).map(str::to_uppercase).collect()
}

#[test]
fn every_number_is_in_the_table_with_tests_that_exist() {
    let rows = rows();
    assert_eq!(rows.iter().map(|(number, _)| number.clone()).collect::<Vec<_>>(), numbers());
    for (number, cell) in &rows {
        let tests = tests_of(cell);
        assert!(!tests.is_empty() || cell.starts_with("Does not apply: "), "{number} has no test and no reason");
        for (file, function) in tests {
            assert!(project_file(&file).contains(&format!("fn {function}(")), "{number}: {file} has no {function}");
        }
    }
}

#[test]
fn every_test_of_this_folder_is_in_the_table_at_its_numbers() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (number, cell) in rows() {
        for (_, test) in tests_of(&cell).into_iter().filter(|(_, test)| !numbers_of(test).is_empty()) {
            named.entry(test).or_default().insert(number.clone());
        }
    }
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/security")).expect("a folder") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a file");
        let functions = text.lines().filter_map(|line| line.split_once("fn ")?.1.split_once('('));
        for (test, _) in functions.filter(|(test, _)| !numbers_of(test).is_empty()) {
            found.insert(test.to_owned(), numbers_of(test));
        }
    }
    assert!(found.len() > 15, "the tests were read");
    assert_eq!(found, named, "docs/security.md names other tests than this folder has");
}
