//! A table of irregular records: what becomes of each between pairs of providers, as a snapshot for a person to read.

use std::fmt::Write as _;

use libtest_mimic::{Failed, Trial};
use passerelle_providers::{
    model::{Command, Customer, CustomerId, Field, LossPolicy, Operation},
    switch::{self, Candidate, Decision, RecordForecast, Source, Verdict},
};

use super::{Pair, Played, laws::base};
use crate::{
    case,
    laws::{Subject, subjects, truth::fields},
    show,
};

/// The pairs of the table: each provider that can create is a target once.
const PAIRS: [(&str, &str); 6] = [
    ("lomi", "bitnob_v1"),
    ("bitnob_v1", "lomi"),
    ("lomi", "modempay"),
    ("modempay", "notchpay"),
    ("notchpay", "bitnob_v2"),
    ("bitnob_v1", "modempay"),
];

/// Irregular customers of the source. A provider keeps what it can of them.
const RECORDS: [(&str, &str); 11] = [
    ("a single name", r#"{"name":"Fatou","email":"fatou@example.com"}"#),
    (
        "a compound surname",
        r#"{"first_name":"Awa","last_name":"Ndiaye Fall","email":"awa@example.com","phone":"+221771234567"}"#,
    ),
    ("no e-mail address", r#"{"name":"Caleb Okpara","phone":"+2207000001"}"#),
    ("a national phone number", r#"{"name":"Caleb Okpara","email":"caleb@example.com","phone":"7000001"}"#),
    ("one of two with one e-mail address", r#"{"name":"John Doe","email":"john.doe@example.com"}"#),
    (
        "one of a family with one phone number",
        r#"{"name":"Bob Wonder","email":"bob@example.com","phone":"+15551234567"}"#,
    ),
    ("a blocked customer", r#"{"name":"John Smith","email":"john.smith@example.com"}"#),
    ("metadata", r#"{"name":"Chibuike Okpara","email":"chibuike@example.com","metadata":{"order":1.50,"vip":true}}"#),
    (
        "an address",
        r#"{"name":"Amadou Ba","email":"amadou.ba@example.com","address":{"line1":"12 Rue Carnot","city":"Dakar","country":"Senegal"}}"#,
    ),
    (
        "a record that stands at the target",
        r#"{"name":"Amadou Diop","email":"diop@example.com","phone":"+221771234568"}"#,
    ),
    ("another name at the target", r#"{"name":"Awa Ndiaye Sow","email":"sow@example.com"}"#),
];

/// Records that stand at the target before the switch.
const STANDING: [&str; 4] = [
    r#"{"name":"Amadou Diop","email":"Diop@example.com"}"#,
    r#"{"name":"Bobby Wonder","email":"bobby@example.com","phone":"+15551234567"}"#,
    r#"{"name":"John Doe","email":"john.doe@example.com"}"#,
    r#"{"name":"John Smith","email":"sow@example.com"}"#,
];

pub(super) fn trials() -> Vec<Trial> {
    let trial = |(from, to): (&'static str, &'static str)| {
        Trial::test(format!("switch::table::{from}_to_{to}"), move || check(from, to))
    };
    PAIRS.into_iter().map(trial).collect()
}

fn subject(name: &str) -> Result<Subject, Failed> {
    subjects().find(|subject| subject.name() == name).ok_or_else(|| format!("no provider {name}").into())
}

fn check(from: &str, to: &str) -> Result<(), Failed> {
    let pair = Pair::new(subject(from)?, subject(to)?);
    let mut text = String::new();
    let standing: Vec<Customer> = STANDING.iter().map(|json| add(&pair.to, json)).collect::<Result<_, _>>()?;
    let mut sum = RecordForecast::default();
    let mut counts = std::collections::BTreeMap::new();
    for (title, json) in RECORDS {
        let mut source = add(&pair.from, json)?;
        if title == "a blocked customer" && pair.from.subject.supports(Operation::Block) {
            source = pair.from.write(&Command::Block(CustomerId::parse(source.id, &pair.from.subject.manifest.id)?))?;
        }
        let is_shared = title == "one of two with one e-mail address";
        let rivals: &[_] = if is_shared { &[Field::Email] } else { &[] };
        let candidates: Vec<_> = standing.iter().map(Candidate::new).collect();
        let judged = Source { rivals, ..Source::new("public", &source) };
        let verdict = switch::judge(&judged, &candidates, &pair.sides(), None);
        *counts.entry(verdict.as_str()).or_insert(0) += 1;
        writeln!(text, "## {title}: {}", verdict.as_str())?;
        if let Some(finding) = verdict.finding() {
            let field = finding.field.map_or("-", Field::name);
            let (code, level) = (finding.code.as_str(), finding.level().as_str());
            writeln!(text, "{code} ({level}), field {field}: {}", finding.detail)?;
        }
        if verdict == Verdict::Create {
            write_create(&mut text, &pair, &source)?;
        }
        if let Verdict::Link { id, .. } = &verdict {
            let target = standing.iter().find(|standing| standing.id == *id).ok_or("a linked record")?;
            write_link(&mut text, &pair, &source, target.clone())?;
        }
        sum.add(&switch::forecast(&source, &pair.sides(), LossPolicy::Drop));
        text.push('\n');
    }
    writeln!(text, "## verdicts\n{counts:?}\n\n## forecast")?;
    for (way, forecast) in [("there", &sum.there), ("back", &sum.back)] {
        for row in serde_json::to_value(forecast)?.as_array().into_iter().flatten() {
            writeln!(text, "{way} {row}")?;
        }
    }
    case::snapshot(
        &case::fixtures().join("../tests/conformance/switch/snapshots"),
        &[(&format!("{from}_to_{to}"), &text)],
    );
    Ok(())
}

fn add(played: &Played, json: &str) -> Result<Customer, Failed> {
    played.add(&fields(json)?)
}

fn write_create(text: &mut String, pair: &Pair, source: &Customer) -> Result<(), Failed> {
    let command = switch::create_command(source, &pair.sides(), None);
    let (command, fidelity) = command.map_err(|finding| format!("{finding:?}"))?;
    write_command(text, &command)?;
    for entry in fidelity.entries() {
        writeln!(text, "  {entry:?}")?;
    }
    let target = pair.create(source)?.map_err(|finding| format!("{finding:?}"))?;
    writeln!(text, "compared: {:?}", switch::compare(source, &target, &pair.sides()))?;
    Ok(())
}

fn write_link(text: &mut String, pair: &Pair, source: &Customer, target: Customer) -> Result<(), Failed> {
    let seen = switch::Seen::default();
    for decision in [None, Some(Decision::Link(target.id.clone()))] {
        match switch::update_command(source, &target, base(&seen), &pair.sides(), decision.as_ref()) {
            Ok(Some((command, _))) => write_command(text, &command)?,
            Ok(None) => writeln!(text, "nothing to write")?,
            Err(finding) => writeln!(text, "{finding:?}")?,
        }
    }
    let compared = match pair.update(source, target, &seen)? {
        Ok(target) => format!("{:?}", switch::compare(source, &target, &pair.sides())),
        Err(finding) => format!("{finding:?}"),
    };
    writeln!(text, "compared: {compared}")?;
    Ok(())
}

fn write_command(text: &mut String, command: &Command) -> Result<(), Failed> {
    let mut shown = show::command(command);
    // The ids of records are random.
    if let Some(update) = shown.get_mut("update").and_then(serde_json::Value::as_object_mut) {
        update.remove("id");
    }
    writeln!(text, "sends {shown}")?;
    Ok(())
}
