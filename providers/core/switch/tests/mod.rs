//! What the rules say, one behaviour after the other. `tests/conformance/switch` checks the laws between all providers.

mod commands;

use std::sync::Arc;

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;
use crate::{
    Settings,
    engine::is_same,
    json::JsonObject,
    model::{Command, Customer, CustomerType, Entry, Field, LossPolicy, Outcome},
    text::Text,
};

const HASH: Hash<'static> = &|bytes| {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash.to_be_bytes()
};

// The registry is above this folder, and only tests may ask it.
#[cfg(test)]
fn provider(name: &str) -> Arc<dyn CustomerProvider> {
    let vendor = crate::vendor(name).expect("a provider");
    let generation = vendor.manifests[0].generation;
    (vendor.connect)(Settings { generation, region: Region::parse("SN"), livemode: false })
}

fn check(from: &str, to: &str, check: impl FnOnce(&Sides<'_>)) {
    let (from, to) = (provider(from), provider(to));
    let side = |connection, provider| Side { connection, provider };
    check(&Sides::new(side("main", &from), side("new", &to)));
}

fn text(value: &'static str) -> Option<Text> {
    Some(Text::from_static(value))
}

fn amadou() -> Customer {
    Customer {
        id: Text::from_static("b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"),
        name: text("Amadou Ba"),
        email: text("amadou.ba@example.com"),
        phone: text("+221771234567"),
        ..Customer::default()
    }
}

fn object(json: &str) -> JsonObject {
    JsonObject::in_string(json).expect("an object")
}

fn base(seen: &Seen) -> Base<'_> {
    Base { seen, hash: HASH }
}

fn update(
    source: &Customer,
    target: &Customer,
    seen: &Seen,
    sides: &Sides<'_>,
) -> Option<crate::model::CustomerFields> {
    match update_command(source, target, base(seen), sides, None).expect("no finding") {
        Some((Command::Update(update), _)) => Some(update.fields),
        Some(_) => panic!("the command is not an update"),
        None => None,
    }
}

/// R18: values that the engine compares as equal have the same comparable form, and so the same hash.
#[test]
fn values_that_the_engine_calls_equal_have_equal_hashes() {
    check("lomi", "lomi", |sides| {
        for (field, one, other) in [
            (Field::Email, "Amadou.Ba@example.com", "amadou.ba@EXAMPLE.com"),
            (Field::Phone, "+221771234567", "+221 77 123 45 67"),
            (Field::Phone, "77 123 45 67", "+221771234567"),
            (Field::Phone, "7000001", "700-00-01"),
            (Field::Country, "SN", "Senegal"),
            (Field::City, "Dakar", " dakar "),
            (Field::Name, "Amadou  Ba", "amadou ba"),
            (Field::LastName, "N\u{27}Diaye", "n\u{27}diaye"),
            (Field::Name, "A\u{ef}ssatou", "Ai\u{308}ssatou"),
            (Field::Balance, "1.50", "1.5"),
            (Field::Balance, "1e3", "1000"),
        ] {
            let hash = |value: &'static str| {
                let mut customer = Customer::default();
                set_text(&mut customer, field, value);
                value_hash(&customer, field, &sides.from, HASH)
            };
            assert!(hash(one).is_some(), "{}", field.name());
            assert_eq!(hash(one), hash(other), "{}", field.name());
            assert_ne!(hash(one), hash("something else"), "{}", field.name());
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1024,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]
    /// R18, R29: the engine and a switch agree. What the engine calls the same value of a field is the same here.
    #[test]
    fn the_engine_and_a_switch_call_the_same_values_equal(
        one in "[aAbB +0-9.@\u{ef}i\u{308}-]{1,6}",
        other in "[aAbB +0-9.@\u{ef}i\u{308}-]{1,6}",
        change in 0..4_u8,
    ) {
        let other = match change {
            0 => other,
            1 => one.to_uppercase(),
            2 => format!("{one} "),
            _ => one.replace(['-', ' '], "."),
        };
        check("lomi", "lomi", |sides| {
            for field in [Field::Email, Field::Phone, Field::Country, Field::City, Field::Balance] {
                let hash = |value: &str| {
                    let mut customer = Customer::default();
                    set_text(&mut customer, field, value);
                    value_hash(&customer, field, &sides.from, HASH)
                };
                assert!(!is_same(field, &one, &other) || hash(&one) == hash(&other), "{}: {one} {other}", field.name());
            }
        });
    }
}

fn set_text(customer: &mut Customer, field: Field, value: &str) {
    let text = |value: &str| Some(Text::from(value));
    match field {
        Field::Email => customer.email = text(value),
        Field::Phone => customer.phone = text(value),
        Field::Country => customer.address.country = text(value),
        Field::City => customer.address.city = text(value),
        Field::LastName => customer.last_name = text(value),
        Field::Balance => customer.balance = text(value),
        _ => customer.name = text(value),
    }
}

/// R18: what was seen is kept as bytes. Bytes of an unknown form know nothing, so that nothing is overwritten.
#[test]
fn what_was_seen_is_read_back_from_its_bytes() {
    check("lomi", "lomi", |sides| {
        let seen = Seen::common((&amadou(), &sides.from), (&amadou(), &sides.to), HASH);
        assert!(!seen.to_bytes().is_empty());
        assert_eq!(Seen::from_bytes(&seen.to_bytes()), seen);
        for bytes in [&[] as &[u8], &[0], &[9, 1, 2, 3], &[1, 255, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Seen::from_bytes(bytes), Seen::default());
        }
    });
}

/// R18: the reference of the settings matches, after e-mail and phone.
#[test]
fn a_reference_in_the_metadata_matches() {
    check("lomi", "notchpay", |sides| {
        let sides = Sides { reference: Some("metadata.order"), ..*sides };
        let source = Customer {
            phone: None,
            email: text("amadou.ba@example.com"),
            metadata: object(r#"{"order":7}"#),
            ..amadou()
        };
        let target = Customer { phone: None, email: None, metadata: object(r#"{"order":"7"}"#), ..amadou() };
        let found = judge(&Source::new("public", &source), &[Candidate::new(&target)], &sides, None);
        assert_eq!(found.finding().map(|finding| finding.code), Some(FindingCode::MatchedByReference));
        let without = Sides { reference: None, ..sides };
        assert_eq!(judge(&Source::new("public", &source), &[Candidate::new(&target)], &without, None), Verdict::Create);
    });
}

/// R18: a record with another name is another customer, also where one side keeps a full name and the other side its parts.
#[test]
fn a_full_name_is_compared_with_the_parts_of_a_name() {
    check("bitnob", "lomi", |sides| {
        let source = Customer { name: None, first_name: text("Amadou"), last_name: text("Ba"), ..amadou() };
        for (name, expected) in
            [("amadou  ba", FindingCode::MatchedByEmail), ("Fatou Ba", FindingCode::ContradictingMatch)]
        {
            let target = Customer { name: text(name), ..amadou() };
            let found = judge(&Source::new("public", &source), &[Candidate::new(&target)], sides, None);
            assert_eq!(found.finding().map(|finding| finding.code), Some(expected), "{name}");
        }
    });
}

/// Records without a name are equal without a rule, also where one side stores the parts of a name.
#[test]
fn a_name_that_both_sides_lack_is_equal() {
    let nameless = || Customer { name: None, ..amadou() };
    for (from, to) in [("bitnob", "modempay"), ("modempay", "bitnob")] {
        check(from, to, |sides| {
            let source = Customer { first_name: text(""), ..nameless() };
            let comparison = compare(&source, &nameless(), sides);
            assert_eq!((comparison.rules.len(), comparison.differences.len()), (0, 0), "{from} {to}: {comparison:?}");
        });
    }
}

/// R18: a decision names a record; one that is linked or unknown is refused, and what is shared is never linked.
#[test]
fn a_decision_is_checked() {
    check("lomi", "bitnob", |sides| {
        let (source, target) = (amadou(), amadou());
        let candidate = Candidate::new(&target);
        let code = |candidates: &[Candidate<'_>], id: &'static str| {
            let decision = Decision::Link(Text::from_static(id));
            judge(&Source::new("public", &source), candidates, sides, Some(&decision)).finding().map(|found| found.code)
        };
        let id = "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985";
        assert_eq!(code(&[candidate], id), Some(FindingCode::MatchedByDecision));
        assert_eq!(code(&[candidate], "cus_other"), Some(FindingCode::RecordUnknown));
        let linked = Candidate { linked_to: Some("another"), ..candidate };
        assert_eq!(code(&[linked], id), Some(FindingCode::RecordAlreadyLinked));
        let shared = Candidate { is_listed: false, ..candidate };
        assert_eq!(code(&[shared], id), Some(FindingCode::VendorRecordShared));
    });
    assert_eq!(Decision::parse(" link  cus_1 "), Some(Decision::Link(Text::from_static("cus_1"))));
    assert_eq!(Decision::parse("create"), Some(Decision::Create));
    assert_eq!(Decision::parse("leave"), Some(Decision::Leave));
    for wrong in ["", "link", "link ", "delete", "Create it"] {
        assert_eq!(Decision::parse(wrong), None, "{wrong}");
    }
}

/// R17: where the target creates no customers, nothing about the customer is to blame.
#[test]
fn a_target_that_cannot_create_is_named_as_the_reason() {
    check("modempay", "paymentkit", |sides| {
        let verdict = judge(&Source::new("public", &amadou()), &[], sides, None);
        assert_eq!(verdict.finding().map(|finding| finding.code), Some(FindingCode::TargetCannotCreate), "{verdict:?}");
    });
}

/// R17: a record without a field that the target requires is refused, with the field and the limit.
#[test]
fn a_missing_required_field_is_refused_with_its_limit() {
    check("notchpay", "bitnob", |sides| {
        let source = Customer { email: None, ..amadou() };
        let Verdict::Refused(finding) = judge(&Source::new("public", &source), &[], sides, None) else {
            panic!("it is not refused");
        };
        assert_eq!((finding.code, finding.field), (FindingCode::RequiredFieldMissing, Some(Field::Email)));
        assert_eq!(finding.limit.as_deref(), Some("Bitnob requires an e-mail address"));
    });
    check("notchpay", "paymentkit", |sides| {
        let verdict = judge(&Source::new("public", &amadou()), &[], sides, None);
        assert_eq!(verdict.finding().map(|finding| finding.code), Some(FindingCode::TargetCannotCreate));
    });
}

/// R18: customers who exchange a unique value are a cycle, however long; others wait for the copy that frees the value.
#[test]
fn customers_who_exchange_unique_values_are_a_cycle() {
    let conflict = |holders: &[(&'static str, &'static str)]| {
        let next = |id| holders.iter().find(|(customer, _)| *customer == id).map(|(_, holder)| *holder);
        unique_conflict(Field::Email, "a", "main", next).code
    };
    assert_eq!(conflict(&[("a", "b"), ("b", "a")]), FindingCode::UniqueCycle);
    assert_eq!(conflict(&[("a", "b"), ("b", "c"), ("c", "b")]), FindingCode::UniqueCycle);
    assert_eq!(conflict(&[("a", "b"), ("b", "c")]), FindingCode::UniqueValueTaken);
}

/// On the way back the source is the side that keeps a value unique, so a finding has the name of its connection.
#[test]
fn a_value_that_is_taken_is_taken_at_the_connection_that_the_finding_names() {
    check("modempay", "bitnob", |sides| {
        let (from, to) = (Side { connection: "new", ..sides.from }, Side { connection: "main", ..sides.to });
        let (back, source, target) = (Sides::new(from, to), amadou(), amadou());
        let taken = [Candidate { linked_to: Some("another"), ..Candidate::new(&target) }];
        let with_rival = Source { rivals: &[Field::Email], ..Source::new("public", &source) };
        let mut findings = vec![unique_conflict(Field::Email, "a", "main", |_| None)];
        findings.push(unique_conflict(Field::Email, "a", "main", |id| Some(if id == "a" { "b" } else { "a" })));
        for verdict in
            [judge(&Source::new("public", &source), &taken, &back, None), judge(&with_rival, &[], &back, None)]
        {
            let finding = verdict.finding().expect("a finding");
            assert_eq!(finding.code, FindingCode::UniqueValueTaken);
            findings.push(finding.clone());
        }
        for Finding { detail, .. } in findings {
            assert!(detail.contains("`main`") && !detail.contains("target"), "{detail}");
        }
    });
}

/// No `Debug` of the rules shows a value of a customer, and no result of a comparison has one.
#[test]
fn no_debug_shows_a_value() {
    check("notchpay", "lomi", |sides| {
        let source = Customer { blocked: Some(true), metadata: object(r#"{"secret":"canary"}"#), ..amadou() };
        let target = Customer { name: text("Fatou"), email: text("fatou@example.com"), ..amadou() };
        let seen = Seen::common((&source, &sides.from), (&target, &sides.to), HASH);
        let candidates = [Candidate::new(&target)];
        let shown = format!(
            "{:?} {:?} {:?} {:?} {:?} {:?}",
            compare(&source, &target, sides),
            judge(&Source::new("public", &source), &candidates, sides, None),
            update_command(&source, &target, base(&seen), sides, Some(&Decision::Create)),
            create_command(&source, sides, Some(&Decision::Create)),
            (candidates, preview(&source, Some(&target), sides, LossPolicy::Drop)),
            (&seen, base(&seen), forecast(&source, sides, LossPolicy::Drop)),
        );
        for value in ["Amadou", "Fatou", "example.com", "77123", "canary"] {
            assert!(!shown.contains(value), "{value} in {shown}");
        }
    });
}

/// The codes are stable: none is there twice, and every code says what to do.
#[test]
fn every_code_is_unique_and_documented() {
    let mut names: Vec<&str> = FindingCode::ALL.iter().map(|code| code.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), FindingCode::ALL.len());
    let table = codes_markdown();
    for code in FindingCode::ALL {
        assert!(table.contains(&format!("| `{}` | {} |", code.as_str(), code.level().as_str())), "{code:?}");
        assert!(code.level() == Level::Info || code.meaning().len() > 60, "{code:?} does not say what to do");
    }
}

/// R17: a record that is created has what the forecast says, and one that is linked keeps what it has.
#[test]
fn a_preview_shows_a_record_before_and_after() {
    let source = Customer { metadata: object(r#"{"plan":"gold"}"#), ..amadou() };
    let of = |fields: &[Previewed], field: Field| {
        let found = fields.iter().find(|one| one.field == field).expect("a field").clone();
        (found.source, found.target, found.outcome)
    };
    let some = |text: &str| Some(text.to_owned());
    check("notchpay", "bitnob", |sides| {
        let created = preview(&source, None, sides, LossPolicy::Drop);
        let email = some("amadou.ba@example.com");
        assert_eq!(of(&created, Field::Email), (email.clone(), email.clone(), Some("kept")));
        assert_eq!(of(&created, Field::FirstName), (None, some("Amadou"), None));
        assert_eq!(of(&created, Field::Metadata), (some(r#"{"plan":"gold"}"#), None, Some("lost")));
        let carried = preview(&source, None, sides, LossPolicy::Carry);
        assert_eq!(of(&carried, Field::Metadata).2, Some("carried"));
    });
    check("notchpay", "lomi", |sides| {
        let target = Customer { phone: None, name: text("Amadou  BA"), metadata: JsonObject::default(), ..amadou() };
        let linked = preview(&source, Some(&target), sides, LossPolicy::Drop);
        assert_eq!(of(&linked, Field::Name), (some("Amadou Ba"), some("Amadou  BA"), None), "it keeps its own");
        assert_eq!(of(&linked, Field::Phone).1, some("+221771234567"), "what is empty is filled");
    });
}
