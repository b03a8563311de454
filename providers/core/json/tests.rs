//! Compares the reader with `serde_json`.

use proptest::prelude::*;
use serde_json::{Value, value::RawValue};

use super::*;
use crate::text::{Str, plain::is_plain};

/// Text that is JSON, or JSON with a small error.
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
    fn the_reader_accepts_the_same_texts_as_serde_json(text in nearly_json()) {
        let ours = from_str::<Raw<'_>>(&text).map(Raw::get).ok();
        let theirs = serde_json::from_str::<&RawValue>(&text).map(RawValue::get).ok();
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    #[test]
    fn the_reader_reads_the_same_values_as_serde_json(text in nearly_json()) {
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
fn half_a_surrogate_pair_is_a_wrong_type_of_its_member() {
    struct Named<'a>(#[expect(dead_code, reason = "it is not read")] Str<'a>);
    impl<'a> FromJson<'a> for Named<'a> {
        fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
            reader.open_object()?;
            reader.key()?;
            reader.member("name").map(Named)
        }
    }
    let error = from_str::<Named<'_>>(r#"{"name":"\ud800"}"#).map(|_| ()).expect_err("not text");
    assert_eq!(error.wrong_member().as_deref(), Some("name"));
    assert!(from_str::<Raw<'_>>(r#""\ud800""#).is_ok(), "a raw value may contain it");
}

#[test]
fn a_value_of_any_depth_is_read_as_a_raw_value() {
    for (open, inner, close) in [("[", "", "]"), (r#"{"a":"#, "1", "}")] {
        let text = format!("{}{inner}{}", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(from_str::<Raw<'_>>(&text).map(Raw::get), Ok(&*text));
    }
}

#[test]
fn a_special_character_is_found_at_every_position() {
    for special in ["\0", "\u{1f}", "\"", "\\"] {
        for length in 0..40 {
            assert!(is_plain(&"é".repeat(length)), "{length}");
            for index in 0..=length {
                let text = format!("{}{special}{}", "~".repeat(index), "\u{80}".repeat(length - index));
                assert!(!is_plain(&text), "{text:?}");
                let quoted = serde_json::to_string(&text).expect("text is JSON");
                assert_eq!(from_str::<Str<'_>>(&quoted).as_deref(), Ok(&*text));
            }
        }
    }
}
