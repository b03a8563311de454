//! The reader against `serde_json`.

use proptest::prelude::*;
use serde_json::{Value, value::RawValue};

use super::*;
use crate::text::{Str, plain::is_plain};

/// Text that is JSON, or nearly so.
pub(crate) fn nearly_json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        "-?[0-9.eE+-]{0,5}",
        r#""([ -~é€😀]|\\["\\/bfnrtx]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude00|\x01){0,12}"?"#,
    ];
    let value = scalar.prop_recursive(4, 24, 4, |inner| {
        let name = r#""([a-zé]|\\n|\\u00e9){0,10}"#;
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((name, inner), 0..4).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("{name}\" :\t{value}")).collect();
                format!("{{ {} }}", members.join(","))
            }),
        ]
    });
    (value, "[ \n]{0,2}", prop_oneof![9 => Just(""), 1 => Just("]"), 1 => Just("1")])
        .prop_map(|(value, space, end)| format!("{space}{value}{space}{end}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_json_is_what_serde_takes_for_json(text in nearly_json()) {
        let ours = from_str::<Raw<'_>>(&text).map(Raw::get).ok();
        let theirs = serde_json::from_str::<&RawValue>(&text).map(RawValue::get).ok();
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    #[test]
    fn values_are_read_as_serde_reads_them(text in nearly_json()) {
        let is_json = serde_json::from_str::<Value>(&text).is_ok();
        macro_rules! same {
            ($($type:ty as $serdes:ty),*) => {$(
                let ours = from_str::<$type>(&text).ok();
                let theirs = serde_json::from_str::<$serdes>(&text).ok();
                prop_assert_eq!(format!("{:?}", ours), format!("{:?}", theirs), "{} {}", is_json, text);
            )*};
        }
        same!(bool as bool, u64 as u64, u16 as u16, Option<bool> as Option<bool>);
        same!(Vec<Vec<u64>> as Vec<Vec<u64>>);
        let ours = from_str::<Vec<Option<Str<'_>>>>(&text).ok();
        let theirs = serde_json::from_str::<Vec<Option<String>>>(&text).ok();
        let ours = ours.map(|items| items.iter().map(|item| item.as_deref().map(str::to_owned)).collect());
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>(), json in nearly_json(), cut in any::<prop::sample::Index>()) {
        let _ = from_str::<Raw<'_>>(&text);
        let cut = cut.index(json.len() + 1);
        if let Some(cut) = json.get(..cut) {
            prop_assert_eq!(from_str::<Raw<'_>>(cut).is_ok(), serde_json::from_str::<&RawValue>(cut).is_ok());
        }
    }
}

#[test]
fn half_a_surrogate_pair_is_a_wrong_value_of_its_member() {
    struct Named<'a>(#[expect(dead_code, reason = "it is not read")] Str<'a>);
    impl<'a> FromJson<'a> for Named<'a> {
        fn read(reader: &mut Reader<'a>) -> Result<Self, Mistake> {
            reader.open_object()?;
            reader.key()?;
            reader.member("name").map(Named)
        }
    }
    let mistake = from_str::<Named<'_>>(r#"{"name":"\ud800"}"#).map(|_| ()).expect_err("no text");
    assert_eq!(mistake.wrong_member().as_deref(), Some("name"));
    assert!(from_str::<Raw<'_>>(r#""\ud800""#).is_ok(), "it passes where it is only passed on");
}

#[test]
fn no_depth_is_too_deep_to_be_kept() {
    for (open, inner, close) in [("[", "", "]"), (r#"{"a":"#, "1", "}")] {
        let text = format!("{}{inner}{}", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(from_str::<Raw<'_>>(&text).map(Raw::get), Ok(&*text));
    }
}

#[test]
fn what_has_to_be_escaped_is_found_wherever_it_stands() {
    for special in ["\0", "\u{1f}", "\"", "\\"] {
        for length in 0..40 {
            assert!(is_plain(&"é".repeat(length)), "{length}");
            for place in 0..=length {
                let text = format!("{}{special}{}", "~".repeat(place), "\u{80}".repeat(length - place));
                assert!(!is_plain(&text), "{text:?}");
                let quoted = serde_json::to_string(&text).expect("text is JSON");
                assert_eq!(from_str::<Str<'_>>(&quoted).as_deref(), Ok(&*text));
            }
        }
    }
}
