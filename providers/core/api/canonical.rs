//! Writes a command as canonical JSON: equal commands give equal bytes.
//!
//! The store keeps this text of every write, and compares it to detect a repeated request.
//! [`crate::api::input::stored`] reads it back.

use crate::{
    json::canonical::{ObjectWriter, canonicalized},
    model::{Address, Command, CustomerFields, CustomerType, Patch},
    text::Text,
};

/// The size of a usual create, in bytes.
const USUAL_SIZE: usize = 512;

impl Command {
    /// The command as one JSON object with its members in a fixed order. The metadata is in its canonical form: members
    /// sorted, no spaces, `1.0` as `1`. A command that only reads is written as its id alone, because it is not stored.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        let mut members = ObjectWriter::with_capacity(USUAL_SIZE);
        match self {
            Self::Create(create) => {
                write_fields(&mut members, &create.fields);
                if create.distinct {
                    members.raw("distinct", "true");
                }
                if let Some(existing) = &create.existing {
                    members.text("existing", existing.at_provider());
                }
            }
            Self::Update(update) => {
                members.text("id", update.id.public());
                write_fields(&mut members, &update.fields);
            }
            Self::Retrieve(id)
            | Self::RetrieveOrCreate(id)
            | Self::Delete(id)
            | Self::Block(id)
            | Self::Unblock(id)
            | Self::OverdueInvoices(id) => members.text("id", id.public()),
            Self::PaymentMethods(list) | Self::Payments(list) => members.text("id", list.id.public()),
            Self::Find(_) | Self::List(_) => {}
        }
        members.close().into_bytes()
    }
}

fn write_patch(object: &mut ObjectWriter, key: &str, patch: &Patch<Text>) {
    match patch {
        Patch::Absent => {}
        Patch::Clear => object.raw(key, "null"),
        Patch::Set(text) => object.text(key, text),
    }
}

fn write_fields(object: &mut ObjectWriter, fields: &CustomerFields) {
    let CustomerFields {
        name,
        first_name,
        last_name,
        email,
        phone,
        whatsapp,
        address,
        kind,
        did,
        balance,
        metadata,
        rewritten: _,
    } = fields;
    write_patch(object, "name", name);
    write_patch(object, "first_name", first_name);
    write_patch(object, "last_name", last_name);
    write_patch(object, "email", email);
    write_patch(object, "phone", phone);
    write_patch(object, "whatsapp", whatsapp);
    if let Some(parts) = address_parts(address) {
        object.raw("address", &parts);
    }
    match kind {
        Patch::Absent => {}
        Patch::Clear => object.raw("type", "null"),
        Patch::Set(kind) => object.text("type", CustomerType::as_str(*kind)),
    }
    write_patch(object, "did", did);
    write_patch(object, "balance", balance);
    match metadata {
        Patch::Absent => {}
        Patch::Clear => object.raw("metadata", "null"),
        Patch::Set(metadata) => object.raw("metadata", &canonicalized(metadata.as_str())),
    }
}

fn address_parts(address: &Address<Patch<Text>>) -> Option<String> {
    let Address { line1, line2, city, state, postal_code, country } = address;
    let mut members = ObjectWriter::default();
    write_patch(&mut members, "line1", line1);
    write_patch(&mut members, "line2", line2);
    write_patch(&mut members, "city", city);
    write_patch(&mut members, "state", state);
    write_patch(&mut members, "postal_code", postal_code);
    write_patch(&mut members, "country", country);
    (!members.is_empty()).then(|| members.close())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::input,
        json::canonical::canonical_document,
        model::{CreateCustomer, CustomerId, Error, IdPattern, Operation},
        text::Source,
        vendor,
    };

    fn read(operation: Operation, json: &str) -> Command {
        let manifest = vendor("lomi").expect("a vendor").manifests[0];
        let source = Source::new(&Bytes::from(json.to_owned())).expect("text");
        input::command(operation, &source, manifest, None).expect("a command")
    }

    fn canonical_of(operation: Operation, json: &str) -> String {
        String::from_utf8(read(operation, json).to_canonical_json()).expect("text")
    }

    #[test]
    fn equal_values_give_equal_bytes_and_different_values_do_not() {
        let one = r#"{"name":"Awa \u0044iop","metadata":{"b":[1.0,{"y":null,"x":"é"}],"a":1e2}}"#;
        let same = r#" { "metadata" : {"a":100, "b":[1,{"x":"\u00e9","y":null}]}, "name":"Awa Diop" } "#;
        assert_eq!(canonical_of(Operation::Create, one), canonical_of(Operation::Create, same));
        for other in [
            r#"{"name":"Awa Diop","metadata":{"a":100,"b":[1,{"x":"e","y":null}]}}"#,
            r#"{"name":"Awa Diop","metadata":{"a":"100","b":[1,{"x":"é","y":null}]}}"#,
            r#"{"name":"Awa Diop","metadata":{"a":100,"b":[{"x":"é","y":null},1]}}"#,
            r#"{"name":"Awa Diop"}"#,
        ] {
            assert_ne!(canonical_of(Operation::Create, one), canonical_of(Operation::Create, other), "{other}");
        }
    }

    #[test]
    fn a_stored_command_is_read_back_unchanged() {
        for (operation, json) in [
            (Operation::Create, r#"{"name":"Awa","type":"business","distinct":true,"address":{"city":"Dakar"}}"#),
            (
                Operation::Update,
                r#"{"id":"cus_1","email":null,"phone":"+221771234567","address":null,"metadata":null}"#,
            ),
            (Operation::Delete, r#"{"id":"cus_1"}"#),
            (Operation::Block, r#"{"id":"cus_1"}"#),
        ] {
            let command = read(operation, &json.replace("cus_1", "b78de3c9-7f76-4f43-9c5d-19d9f5c7c985"));
            assert_eq!(read_back(&command), Ok(command));
        }
    }

    fn read_back(command: &Command) -> Result<Command, Error> {
        let manifest = vendor("lomi").expect("a vendor").manifests[0];
        let written = Source::new(&Bytes::from(command.to_canonical_json())).expect("text");
        input::stored(command.operation(), &written, None, manifest)
    }

    /// Imitated providers accept values that the gateway's own API refuses or converts.
    #[test]
    fn a_stored_command_of_an_imitated_providers_client_is_read_back_unchanged() {
        let set = |text: &'static str| Patch::Set(Text::from_static(text));
        let fields = CustomerFields {
            name: set("Awa Diop"),
            first_name: set("Aïcha"),
            last_name: set(" "),
            email: set("nobody"),
            phone: set("77 123 45 67"),
            whatsapp: set("call me"),
            address: Address { country: set("Senegal"), city: set(""), ..Address::default() },
            did: set("4242 4242 4242 4242"),
            balance: set("1e3"),
            ..CustomerFields::default()
        };
        let existing = CustomerId::parse("b78de3c9-7f76-4f43-9c5d-19d9f5c7c985".into(), &IdPattern::UUID).ok();
        assert!(existing.is_some());
        for existing in [None, existing] {
            let create = Command::Create(CreateCustomer { fields: fields.clone(), distinct: true, existing });
            assert_eq!(read_back(&create), Ok(create));
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            (-1000_i32..1000).prop_map(|number| json!(f64::from(number) / 8.0)),
            "[a-zA-Zé\"\\\\ ]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn equal_json_values_have_the_same_canonical_form(value in value()) {
            let once = canonicalized(&value.to_string()).into_owned();
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            prop_assert_eq!(canonicalized(&pretty).into_owned(), once.clone());
            prop_assert_eq!(canonicalized(&once).into_owned(), once.clone());
            prop_assert_eq!(canonical_document(&pretty), once);
        }

        #[test]
        fn different_json_values_have_different_canonical_forms(one in value(), other in value()) {
            let first = canonicalized(&one.to_string()).into_owned();
            let second = canonicalized(&other.to_string()).into_owned();
            let first_value: Value = serde_json::from_str(&first).expect("JSON");
            let second_value: Value = serde_json::from_str(&second).expect("JSON");
            prop_assert_eq!(first == second, first_value == second_value);
        }
    }
}
