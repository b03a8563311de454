//! The answers in the README are those of the sandbox. They are shown formatted and shortened, and compared as JSON: what is
//! shown must be equal, and what is left out must be marked with `…`, as the key of a member or as the last entry of a list.

use serde_json::{Map, Value, json};

use crate::operator::runbook::{answer, sandbox};

const README: &str = include_str!("../../README.md");

/// What marks members and entries that are left out.
const LEFT_OUT: &str = "…";

/// Where an answer differs from what is shown of it.
fn differences(shown: &Value, answer: &Value, at: &str) -> Vec<String> {
    match (shown, answer) {
        (Value::Object(shown), Value::Object(answer)) => of_objects(shown, answer, at),
        (Value::Array(shown), Value::Array(answer)) => of_lists(shown, answer, at),
        _ if shown == answer => Vec::new(),
        _ => vec![format!("{at}: {shown} is shown, and the answer has {answer}")],
    }
}

fn of_objects(shown: &Map<String, Value>, answer: &Map<String, Value>, at: &str) -> Vec<String> {
    let named: Vec<_> = shown.iter().filter(|(name, _)| *name != LEFT_OUT).collect();
    let mut all = Vec::new();
    for (name, value) in &named {
        match answer.get(*name) {
            Some(found) => all.extend(differences(value, found, &format!("{at}/{name}"))),
            None => all.push(format!("{at}/{name} is shown, and the answer does not have it")),
        }
    }
    all.extend(of_length(shown.contains_key(LEFT_OUT), named.len(), answer.len(), at));
    all
}

fn of_lists(shown: &[Value], answer: &[Value], at: &str) -> Vec<String> {
    let (is_shortened, named) = match shown.split_last() {
        Some((Value::String(last), named)) if last == LEFT_OUT => (true, named),
        _ => (false, shown),
    };
    let pairs = named.iter().zip(answer).enumerate();
    let mut all: Vec<_> = pairs.flat_map(|(place, (a, b))| differences(a, b, &format!("{at}/{place}"))).collect();
    all.extend(of_length(is_shortened, named.len(), answer.len(), at));
    all
}

/// Whether the mark is there exactly where something is left out.
fn of_length(is_shortened: bool, shown: usize, answer: usize, at: &str) -> Option<String> {
    (is_shortened != (shown < answer) || shown > answer)
        .then(|| format!("{at}: {shown} of {answer} are shown, and `…` is there: {is_shortened}"))
}

/// The commands of the README that call the sandbox, each with the answer that is shown below it.
fn examples() -> Vec<(&'static str, Value)> {
    let blocks = README.split("```sh\n").skip(1);
    let of_sandbox = blocks.filter_map(|block| {
        let (command, rest) = block.split_once("\n```\n")?;
        let shown = rest.strip_prefix("```json\n")?.split_once("\n```")?.0;
        Some((command, serde_json::from_str(shown).expect(shown)))
    });
    of_sandbox.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_in_the_readme_is_that_of_the_sandbox() {
    let running = sandbox().await;
    let examples = examples();
    assert_eq!(examples.len(), README.matches("```json\n").count(), "each answer has its command above it");
    assert!(examples.len() >= 5, "the README was read");
    for (command, shown) in examples {
        let answer = answer(&running, command).await;
        let wrong = differences(&shown, &answer, "");
        assert!(wrong.is_empty(), "{command}\n{}\nthe whole answer: {answer:#}", wrong.join("\n"));
    }
}

#[test]
fn what_is_shown_must_be_equal_and_what_is_left_out_must_be_marked() {
    let answer = json!({ "id": "1", "address": { "city": "Dakar", "country": "SN" }, "fidelity": [1, 2] });
    let wrong = |shown: Value| differences(&shown, &answer, "");
    assert_eq!(wrong(answer.clone()), Vec::<String>::new());
    assert_eq!(wrong(json!({ "address": { "city": "Dakar", "…": "…" }, "fidelity": [1, "…"], "…": "…" })), [""; 0]);
    for shown in [
        json!({ "id": "2", "…": "…" }),
        json!({ "id": "1" }),
        json!({ "name": "Awa Diop", "…": "…" }),
        json!({ "id": "1", "address": { "city": "Dakar" }, "…": "…" }),
        json!({ "fidelity": [1], "…": "…" }),
        json!({ "fidelity": [2, "…"], "…": "…" }),
        json!({ "fidelity": [1, 2, "…"], "…": "…" }),
        json!({ "fidelity": [1, 2, 3], "…": "…" }),
        json!({ "id": "1", "address": { "city": "Dakar", "country": "SN" }, "fidelity": [1, 2], "…": "…" }),
    ] {
        assert_ne!(wrong(shown.clone()), Vec::<String>::new(), "{shown}");
    }
}
