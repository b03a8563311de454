//! The law of verdicts: every record has exactly one, and it is the one that R18 says.

use libtest_mimic::Failed;
use passerelle_providers::{
    model::{Customer, Field, Operation, manifest::Dedupe},
    switch::{self, Candidate, Decision, FindingCode, Source, Verdict},
    text::Text,
};

use super::Pair;
use crate::laws::Subject;

const PUBLIC: &str = "cus_public";
const ONE: &str = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
const TWO: &str = "0979ec77-7f76-4f43-9c5d-19d9f5c7c985";

/// How a value of a candidate compares with the customer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Like {
    Same,
    Other,
    Absent,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    name: Like,
    email: Like,
    phone: Like,
    has_marker: bool,
    linked_to: Option<&'static str>,
    is_listed: bool,
    has_rivals: bool,
}

const LIKE: [Like; 3] = [Like::Same, Like::Other, Like::Absent];

fn shapes() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for number in 0..27 {
        let [name, email, phone] = [1, 3, 9].map(|place| LIKE[number / place % 3]);
        for linked_to in [None, Some("another"), Some(PUBLIC)] {
            for flags in 0..8_u8 {
                let [has_marker, is_listed, has_rivals] = [1, 2, 4].map(|bit| flags & bit != 0);
                shapes.push(Shape { name, email, phone, has_marker, linked_to, is_listed, has_rivals });
            }
        }
    }
    shapes
}

fn record(shape: Shape, id: &'static str) -> Customer {
    let text = |like, same, other| match like {
        Like::Same => Some(Text::from_static(same)),
        Like::Other => Some(Text::from_static(other)),
        Like::Absent => None,
    };
    let name = text(shape.name, "Amadou Ba", "Fatou");
    let (first_name, last_name) = name.as_deref().map(passerelle_providers::text::name::split).unwrap_or_default();
    Customer {
        id: Text::from_static(id),
        email: text(shape.email, "Amadou.Ba@example.com", "john@example.com"),
        phone: text(shape.phone, "+221 77 123 45 67", "+237600000000"),
        first_name: first_name.map(Text::from),
        last_name: last_name.map(Text::from),
        name,
        ..Customer::default()
    }
}

fn source() -> Customer {
    Customer {
        id: Text::from_static(PUBLIC),
        name: Some(Text::from_static("Amadou Ba")),
        first_name: Some(Text::from_static("Amadou")),
        last_name: Some(Text::from_static("Ba")),
        email: Some(Text::from_static("amadou.ba@example.com")),
        phone: Some(Text::from_static("+221771234567")),
        ..Customer::default()
    }
}

/// What R18 says of one candidate, written apart from the code.
fn expected(shape: Shape, to: Subject) -> Result<&'static str, FindingCode> {
    let is_unique = to.manifest.dedupe(Operation::Create) == Some(Dedupe::Unique);
    let is_taken = is_unique && shape.email == Like::Same;
    let created = match shape {
        Shape { is_listed: false, .. } if is_taken => Err(FindingCode::VendorRecordShared),
        _ if !to.supports(Operation::Create) => Err(FindingCode::TargetCannotCreate),
        _ if is_taken || (is_unique && shape.has_rivals) => Err(FindingCode::UniqueValueTaken),
        _ => Ok("create"),
    };
    let differs = |like| like == Like::Other;
    match shape {
        Shape { linked_to: Some(PUBLIC), .. } => Ok("already_linked"),
        Shape { linked_to: Some(_), .. } => created,
        // Without what both sides had in common, it is not known which of two values is the newer one.
        Shape { has_marker: true, name, email, phone, .. } if differs(name) || differs(email) || differs(phone) => {
            Err(FindingCode::FieldConflict)
        }
        Shape { has_marker: true, .. } => Ok("link"),
        Shape { email, phone, .. } if email != Like::Same && phone != Like::Same => created,
        Shape { is_listed: false, .. } if is_unique => Err(FindingCode::VendorRecordShared),
        Shape { has_rivals: true, .. } => Err(FindingCode::SharedMatch),
        Shape { name, email, phone, .. } if differs(name) || differs(email) || differs(phone) => {
            Err(FindingCode::ContradictingMatch)
        }
        Shape { email: Like::Same, .. } => Ok("link"),
        _ => Err(FindingCode::PhoneOnlyMatch),
    }
}

fn check(verdict: &Verdict, expected: Result<&str, FindingCode>) -> bool {
    match (verdict, expected) {
        (Verdict::Refused(finding) | Verdict::NeedsDecision(finding), Err(code)) => finding.code == code,
        (verdict, Ok(word)) => verdict.as_str() == word,
        _ => false,
    }
}

/// R17, R18: every customer has exactly one verdict, whatever stands at the other side and in whatever order it is read. It
/// never links a record that belongs to another customer, and never one of several that match.
pub(super) fn every_record_has_one_verdict(from: Subject, to: Subject) -> Result<(), Failed> {
    let (pair, customer, shapes) = (Pair::new(from, to), source(), shapes());
    let rivals = [Field::Email, Field::Phone];
    let of = |has_rivals| Source { rivals: if has_rivals { &rivals } else { &[] }, ..Source::new(PUBLIC, &customer) };
    for shape in &shapes {
        let target = record(*shape, ONE);
        let verdict = switch::judge(&of(shape.has_rivals), &[candidate(&target, *shape)], &pair.sides(), None);
        if !check(&verdict, expected(*shape, to)) {
            return Err(format!("{shape:?}: {verdict:?} instead of {:?}", expected(*shape, to)).into());
        }
    }
    // Some of the pairs of two candidates. 23 and 29 are prime to the numbers of values of each part.
    for one in shapes.iter().step_by(29) {
        for other in shapes.iter().step_by(23) {
            check_two(&pair, &of(one.has_rivals), *one, *other)?;
        }
    }
    let left = switch::judge(&of(false), &[], &pair.sides(), Some(&Decision::Leave));
    if left != Verdict::Left {
        return Err(format!("{left:?}").into());
    }
    Ok(())
}

fn candidate(customer: &Customer, shape: Shape) -> Candidate<'_> {
    let Shape { has_marker, linked_to, is_listed, .. } = shape;
    Candidate { has_marker, linked_to, is_listed, ..Candidate::new(customer) }
}

fn check_two(pair: &Pair, source: &Source<'_>, one: Shape, other: Shape) -> Result<(), Failed> {
    let (first, second) = (record(one, ONE), record(other, TWO));
    let (a, b) = (candidate(&first, one), candidate(&second, other));
    let verdict = switch::judge(source, &[a, b], &pair.sides(), None);
    let reversed = switch::judge(source, &[b, a], &pair.sides(), None);
    let are_both_linked = [one, other].iter().all(|shape| shape.linked_to == Some(PUBLIC));
    if verdict.as_str() != reversed.as_str() || (!are_both_linked && verdict != reversed) {
        return Err(format!("{one:?}, {other:?}: {verdict:?}, and in the other order {reversed:?}").into());
    }
    if let Verdict::Link { id, .. } = &verdict {
        let (linked, rest) = if **id == *ONE { (one, other) } else { (other, one) };
        let is_rest_as_good = rest.linked_to.is_none()
            && (rest.has_marker >= linked.has_marker && (rest.has_marker || rest.email == linked.email))
            && (rest.has_marker || rest.email == Like::Same);
        if linked.linked_to.is_some() || is_rest_as_good {
            return Err(format!("{one:?}, {other:?}: {verdict:?}").into());
        }
    }
    Ok(())
}
