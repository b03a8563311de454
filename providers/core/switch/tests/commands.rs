//! What a copy writes, and what it leaves alone.

use super::*;

/// R18: what both sides had in common also serves the way back, where the other side is the home.
#[test]
fn a_change_after_the_cutover_is_copied_back_with_the_same_base() {
    check("lomi", "bitnob", |sides| {
        let (old, mut new) = (amadou(), Customer { first_name: text("Amadou"), last_name: text("Ba"), ..amadou() });
        let seen = Seen::common((&old, &sides.from), (&new, &sides.to), HASH);
        new.email = text("new@example.com");
        let fields = update(&new, &old, &seen, &sides.reversed()).expect("an update");
        assert_eq!(fields.email.set().map(|email| &**email), Some("new@example.com"));
        assert!(fields.name.is_absent() && fields.first_name.is_absent() && fields.phone.is_absent());
    });
}

/// R18: the other side has split a name that the home knows as one. The split is the gateway's own, so a later home may change it.
#[test]
fn the_split_that_the_other_side_made_of_a_common_name_is_known() {
    check("notchpay", "bitnob", |sides| {
        let split = |first, last| Customer { first_name: text(first), last_name: text(last), ..amadou() };
        let (source, target) = (amadou(), split("Amadou", "Ba"));
        let seen = Seen::common((&source, &sides.from), (&target, &sides.to), HASH);
        assert!(seen.matches(&target, Field::FirstName, &sides.to, HASH));
        assert!(!seen.matches(&split("Others", "Ba"), Field::FirstName, &sides.to, HASH));
    });
}

/// R18: a value that a linked record had before the link is not cleared by later copies, since both sides never had it in
/// common.
#[test]
fn what_only_a_linked_record_has_is_never_cleared() {
    check("lomi", "notchpay", |sides| {
        let source = Customer { phone: None, ..amadou() };
        let target = amadou();
        assert_eq!(update(&source, &target, &Seen::default(), sides), None);
        let seen = Seen::common((&source, &sides.from), (&target, &sides.to), HASH);
        assert_eq!(update(&source, &target, &seen, sides), None);
        // What both had in common is cleared with the home.
        let common = Seen::common((&target, &sides.from), (&target, &sides.to), HASH);
        let fields = update(&source, &target, &common, sides).expect("an update");
        assert_eq!(fields.state(Field::Phone), crate::model::Patch::Clear);
    });
}

/// R18, R25: a provider that cannot clear keeps an old value, and a person decides.
#[test]
fn a_value_that_the_other_side_cannot_clear_needs_a_decision() {
    check("notchpay", "lomi", |sides| {
        let (source, target) = (Customer { phone: None, ..amadou() }, amadou());
        let seen = Seen::common((&target, &sides.from), (&target, &sides.to), HASH);
        let found = update_command(&source, &target, base(&seen), sides, None).expect_err("a finding");
        assert_eq!((found.code, found.field), (FindingCode::FieldNotUpdatable, Some(Field::Phone)));
        let decided = Decision::Link(target.id.clone());
        assert_eq!(update_command(&source, &target, base(&seen), sides, Some(&decided)), Ok(None));
    });
}

/// R18: metadata is merged by its keys where the record is linked, and becomes the home's where a copy made it.
#[test]
fn metadata_is_filled_by_key_and_overwritten_only_where_it_is_known() {
    check("lomi", "notchpay", |sides| {
        let with = |json: &str| Customer { metadata: object(json), ..amadou() };
        let patch = |source: &str, target: &str, seen: &Seen| {
            let fields = update(&with(source), &with(target), seen, sides);
            fields.and_then(|fields| fields.metadata.set().map(|patch| patch.as_str().to_owned()))
        };
        let nothing = Seen::default();
        assert_eq!(patch(r#"{"a":1,"b":"2"}"#, r#"{"b":2,"c":3}"#, &nothing).as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(patch(r#"{"a":1}"#, r#"{"a":"1","passerelle_op":"x"}"#, &nothing), None);
        let known = with(r#"{"a":1,"n":{"x":1,"y":2},"c":3}"#);
        let seen = Seen::common((&known, &sides.from), (&known, &sides.to), HASH);
        let patched = patch(r#"{"a":2,"n":{"x":1}}"#, known.metadata.as_str(), &seen).expect("a patch");
        assert_eq!(known.metadata.merged(&object(&patched)).as_str(), r#"{"a":2,"n":{"x":1}}"#);
        let conflict = update_command(&with(r#"{"a":1}"#), &with(r#"{"a":2}"#), base(&nothing), sides, None);
        assert_eq!(conflict.expect_err("a finding").code, FindingCode::FieldConflict);
    });
}

/// R25: a block that the other side cannot hold needs a decision, for a new record as well as for a linked one, and whatever
/// the policy. With the decision it is copied without the block.
#[test]
fn a_lost_block_needs_a_decision() {
    check("notchpay", "lomi", |sides| {
        let blocked = Customer { blocked: Some(true), ..amadou() };
        let found = create_command(&blocked, sides, None).expect_err("a finding");
        assert_eq!((found.code, found.level()), (FindingCode::BlockedLost, Level::Action));
        let found = update_command(&blocked, &amadou(), base(&Seen::default()), sides, None).expect_err("a finding");
        assert_eq!(found.code, FindingCode::BlockedLost);
        assert!(create_command(&blocked, sides, Some(&Decision::Create)).is_ok());
        let source = Source::new("public", &blocked);
        assert_eq!(judge(&source, &[], sides, Some(&Decision::Create)), Verdict::Create);
        let target = amadou();
        let link = judge(&source, &[Candidate::new(&target)], sides, None);
        assert_eq!(link.finding().map(|finding| finding.code), Some(FindingCode::BlockedLost));
        // A home that cannot block says nothing about it.
        let forecast = forecast(&blocked, sides, LossPolicy::Carry);
        assert_eq!(forecast.there.field(Field::Blocked).carried, 1);
    });
}

/// R18: a block follows the home where both sides can block, and an unblock only what the gateway knows.
#[test]
fn a_block_is_copied_and_a_foreign_block_is_kept() {
    check("notchpay", "bitnob", |sides| {
        let (free, blocked) = (amadou(), Customer { blocked: Some(true), ..amadou() });
        let nothing = Seen::default();
        let command =
            |source: &Customer, target: &Customer, seen: &Seen| block_command(source, target, base(seen), sides, None);
        assert!(matches!(command(&blocked, &free, &nothing), Ok(Some(Command::Block(_)))));
        assert!(matches!(command(&free, &blocked, &nothing), Ok(None)));
        // The base of a create has every value of the home, also the block, which no create can write.
        let sent = Seen::common((&blocked, &sides.from), (&blocked, &sides.from), HASH);
        assert!(matches!(command(&blocked, &free, &sent), Ok(Some(Command::Block(_)))));
        let seen = Seen::common((&blocked, &sides.from), (&blocked, &sides.to), HASH);
        assert!(matches!(command(&free, &blocked, &seen), Ok(Some(Command::Unblock(_)))));
        let seen = Seen::common((&free, &sides.from), (&free, &sides.to), HASH);
        let found = command(&free, &blocked, &seen).expect_err("a finding");
        assert_eq!(found.code, FindingCode::FieldConflict);
    });
}

/// R28: a name's parts that the gateway carries at a provider with one name are sent as parts to the next one.
#[test]
fn carried_parts_of_a_name_are_restored() {
    check("lomi", "bitnob", |sides| {
        let mut source = Customer {
            name: text("Awa Ndiaye Fall"),
            first_name: text("Awa"),
            last_name: text("Ndiaye Fall"),
            ..amadou()
        };
        for field in [Field::FirstName, Field::LastName] {
            source.fidelity.push(Entry { field, outcome: Outcome::Carried, rule: "carried", from: None });
        }
        let (command, _) = create_command(&source, sides, None).expect("no finding");
        let Command::Create(create) = command else { panic!("the command is not a create") };
        assert_eq!(create.fields.last_name.set().map(|last| &**last), Some("Ndiaye Fall"));
        assert!(create.fields.name.is_absent());
        // Without them only the whole name is known, so a target that splits it otherwise is left alone.
        source.fidelity = crate::model::Fidelity::default();
        let target = Customer { name: None, ..source.clone() };
        assert_eq!(update(&source, &target, &Seen::default(), sides), None);
    });
}

/// A type that was taken away is an individual again, also where the provider cannot clear a field.
#[test]
fn a_business_that_is_no_business_any_more_becomes_an_individual() {
    check("bitnob", "lomi", |sides| {
        let business = Customer { kind: Some(CustomerType::Business), ..amadou() };
        // Bitnob v1 has no type, so it says nothing about it.
        assert_eq!(update(&Customer { kind: None, ..amadou() }, &business, &Seen::default(), sides), None);
    });
    check("lomi", "lomi", |sides| {
        let business = Customer { kind: Some(CustomerType::Business), ..amadou() };
        let seen = Seen::common((&business, &sides.from), (&business, &sides.to), HASH);
        let fields = update(&amadou(), &business, &seen, sides).expect("an update");
        assert_eq!(fields.kind.set(), Some(&CustomerType::Individual));
    });
}

/// R29: where both sides store the parts of a name, another split of the same name is a difference; where one does not, it is
/// a rule.
#[test]
fn another_split_of_a_name_is_a_difference_where_both_sides_store_the_parts() {
    let split = |first, last| Customer {
        first_name: text(first),
        last_name: text(last),
        name: text("Awa Ndiaye Fall"),
        ..amadou()
    };
    let (home, other) = (split("Awa", "Ndiaye Fall"), split("Awa Ndiaye", "Fall"));
    check("bitnob", "bitnob", |sides| {
        assert_eq!(compare(&home, &home, sides).equality(), Equality::Equal);
        let fields: Vec<Field> = compare(&home, &other, sides).differences.iter().map(|found| found.field).collect();
        assert_eq!(fields, [Field::FirstName, Field::LastName]);
        let seen = Seen::common((&other, &sides.from), (&other, &sides.to), HASH);
        let fields = update(&home, &other, &seen, sides).expect("an update");
        assert_eq!(fields.last_name.set().map(|last| &**last), Some("Ndiaye Fall"));
    });
    for (from, to) in [("bitnob", "lomi"), ("lomi", "bitnob")] {
        check(from, to, |sides| {
            let compared = compare(&home, &other, sides);
            assert_eq!((compared.equality(), compared.rules.len()), (Equality::EqualAfterRule, 1));
        });
    }
}
