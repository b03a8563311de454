//! Fault plans: which fault a request gets, and how a plan file is checked.

use std::time::Duration;

use super::{
    plan::{draw, fraction},
    *,
};

fn plan(text: &str) -> FaultPlan {
    FaultPlan::read(text, "faults.toml").expect("a plan")
}

fn mistakes(text: &str) -> Vec<String> {
    FaultPlan::read(text, "faults.toml").expect_err("a mistake").mistakes
}

#[test]
fn the_generator_is_split_mix_64() {
    // The reference implementation's numbers for this seed.
    let known = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
    assert_eq!([1, 2, 3].map(|number| draw(1_234_567, number)), known);
    assert!(fraction(0).abs() < f64::EPSILON);
    assert!(fraction(u64::MAX) < 1.0);
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let text = "seed = 7\nerror_before = 0.1\nhang_after = 0.2\nreset_after = 0.3\ndelay = \"1ms..9ms\"";
    let sequence = |plan: &FaultPlan| (1..=200).map(|number| plan.fault(number, None)).collect::<Vec<_>>();
    let (one, other) = (plan(text), plan(text));
    assert_eq!(sequence(&one), sequence(&other));
    assert_eq!(one.delay(5, None), other.delay(5, None));
    assert_ne!(sequence(&one), sequence(&plan(&text.replace('7', "8"))));
}

#[test]
fn each_fault_is_as_frequent_as_its_probability() {
    let plan = plan("seed = 3\nerror_before = 0.1\nhang_after = 0.25\ngzip_bomb = 0.15");
    let count = |wanted: Option<Fault>| (1..=10_000).filter(|number| plan.fault(*number, None) == wanted).count();
    for (fault, expected) in [
        (Some(Fault::ErrorBefore), 1_000),
        (Some(Fault::HangAfter), 2_500),
        (Some(Fault::GzipBomb), 1_500),
        (None, 5_000),
    ] {
        assert!(count(fault).abs_diff(expected) < 200, "{fault:?}: {}", count(fault));
    }
    assert_eq!(count(Some(Fault::Drip)), 0);
}

#[test]
fn probabilities_of_one_and_zero_are_exact() {
    for fault in Fault::ALL {
        let plan = plan(&format!("{fault} = 1"));
        assert!((1..=1_000).all(|number| plan.fault(number, None) == Some(fault)), "{fault}");
    }
    assert!((1..=1_000).all(|number| FaultPlan::default().fault(number, None).is_none()));
}

#[test]
fn a_fault_is_serialized_as_its_key() {
    for fault in Fault::ALL {
        assert_eq!(serde_json::to_value(fault).expect("JSON"), fault.name());
    }
}

#[test]
fn only_listed_operations_get_faults_and_delays() {
    let plan = plan("garbage = 1\nonly = [\"create\", \"update\"]\ndelay = \"5ms\"");
    assert_eq!(plan.fault(1, Some(Operation::Create)), Some(Fault::Garbage));
    for other in [Some(Operation::List), None] {
        assert_eq!((plan.fault(1, other), plan.delay(1, other)), (None, Duration::ZERO));
    }
    assert_eq!(plan.delay(1, Some(Operation::Update)), Duration::from_millis(5));
}

#[test]
fn delays_stay_in_their_range() {
    let plan = plan("delay = \"10ms .. 20ms\"");
    let delays: Vec<Duration> = (1..=100).map(|number| plan.delay(number, None)).collect();
    assert!(delays.iter().all(|delay| (10..20).contains(&delay.as_millis())));
    assert!(delays.iter().any(|delay| delay.as_millis() < 13) && delays.iter().any(|delay| delay.as_millis() > 17));
}

#[test]
fn mistakes_are_reported_with_their_line_and_a_hint() {
    for (text, expected) in [
        ("eror_before = 0.1", "faults.toml:1: `eror_before` is not a key; did you mean `error_before`?"),
        (
            "seed = 1\nhang_after = 1.5",
            "faults.toml:2: `hang_after` cannot be 1.5: a probability is from 0 to 1, such as 0.05",
        ),
        ("drip = -0.1", "faults.toml:1: `drip` cannot be -0.1: a probability is from 0 to 1, such as 0.05"),
        ("drip = nan", "faults.toml:1: `drip` cannot be NaN: a probability is from 0 to 1, such as 0.05"),
        ("only = [\"list\", \"crate\"]", "faults.toml:1: `only.1` cannot be `crate`; did you mean `create`?"),
        (
            "delay = \"2s..1s\"",
            "faults.toml:1: `delay` must be a delay, such as \"50ms\" or \"10ms..2s\", not `2s..1s`",
        ),
        (
            "search_lag = \"soon\"",
            "faults.toml:1: `search_lag` must be a duration above zero, such as \"10s\" or \"500ms\", not `soon`",
        ),
        (
            "drip = 0.6\ngarbage = 0.5",
            "faults.toml: the probabilities add up to 1.100, but a request gets at most one fault; lower them to 1 or less in total",
        ),
    ] {
        assert_eq!(mistakes(text), [expected]);
    }
    assert!(mistakes("drip = \"often\"")[0].starts_with("faults.toml:1: `drip` must be"));
    assert!(mistakes("seed = ")[0].starts_with("faults.toml:1: "));
    assert!(mistakes("seed = -1")[0].starts_with("faults.toml:1: `seed`"));
}

#[test]
fn tenths_add_up_to_one() {
    let tenths: Vec<String> = Fault::ALL.iter().take(10).map(|fault| format!("{fault} = 0.1")).collect();
    plan(&tenths.join("\n"));
}

#[test]
fn retry_after_is_rounded_up_to_whole_seconds() {
    for (text, seconds) in [("1s", 1), ("1500ms", 2), ("10ms", 1), ("2min", 120)] {
        assert_eq!(plan(&format!("retry_after = \"{text}\"")).retry_after(), seconds);
    }
}
