//! How earlier versions completed a command. The store of such a version has only a hash of the completed command of each
//! idempotency key, so the gateway makes the same command again to recognize the key.
//!
//! Remove this module, and `src/writes/earlier.rs`, when no store can have such a key any more: the use of a key is stored
//! for `store.keep_tombstones`, 30 days by default.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat};

use crate::{
    model::{Command, CreateCustomer, CustomerFields, Field, Patch, UpdateCustomer},
    text::{Text, country::Region, phone},
};

/// The command as an earlier version completed it, from the command as this version does.
#[must_use]
pub fn completed(mut command: Command, region: Option<Region>) -> Command {
    if let Command::Create(CreateCustomer { fields, .. }) | Command::Update(UpdateCustomer { fields, .. }) =
        &mut command
    {
        let CustomerFields { phone, whatsapp, address, rewritten, .. } = fields;
        for (field, number) in [(Field::Phone, phone), (Field::Whatsapp, whatsapp)] {
            if let Patch::Set(number) = number {
                *number = phone_number(rewritten.original(field).unwrap_or(number), region);
            }
        }
        // `UK` stayed as it is. Other texts became the same codes.
        if let Some(text) = rewritten.original(Field::Country).filter(|text| *text == "UK") {
            address.country = Patch::Set(text.clone());
        }
    }
    command
}

/// A number became E.164 if its length is possible, whether it has a dial code or only the merchant's region.
fn phone_number(text: &Text, region: Option<Region>) -> Text {
    if phone::is_e164(text) {
        return text.clone();
    }
    let number = match text.trim().strip_prefix("00") {
        Some(digits) => PHONE_NUMBER_UTIL.parse(format!("+{digits}"), None),
        None => PHONE_NUMBER_UTIL.parse(text, region.and_then(|region| region.alpha2().parse().ok())),
    };
    let possible = number.ok().filter(|number| PHONE_NUMBER_UTIL.is_possible_number(number));
    possible.map_or_else(
        || text.clone(),
        |number| Text::from(PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164).into_owned()),
    )
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        api::{JsonLimits, input},
        text::Source,
    };

    #[test]
    fn earlier_versions_completed_numbers_of_a_possible_length_and_kept_uk() {
        let region = Region::parse("CM");
        let body = r#"{"phone":"77 123 45 67","whatsapp":"6 77 12 34 56","address":{"country":"UK"}}"#;
        let source = Source::new(&Bytes::from_static(body.as_bytes())).expect("text");
        let fields = input::fields(&source, JsonLimits::DEFAULT, region).expect("fields");
        let create = Command::Create(CreateCustomer { fields, ..CreateCustomer::default() });
        let text = |command: Command| String::from_utf8(command.to_canonical_json()).expect("text");
        assert_eq!(
            text(completed(create.clone(), region)),
            r#"{"phone":"+237771234567","whatsapp":"+237677123456","address":{"country":"UK"}}"#
        );
        assert_eq!(text(create), r#"{"phone":"77 123 45 67","whatsapp":"+237677123456","address":{"country":"GB"}}"#);
    }
}
