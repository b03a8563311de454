//! Commands as JSON that says the same in the same bytes: what is remembered of a write, and what two
//! requests are compared by. [`crate::api::input::stored`] reads it back.

use crate::{
    json::canonical::{ObjectWriter, spelled},
    model::{Address, Command, CustomerFields, CustomerType, Patch},
    text::Text,
};

/// The size of a usual create.
const USUAL_SIZE: usize = 512;

impl Command {
    /// The command as one JSON object, its members in a fixed order. Values of metadata are spelled one way:
    /// members sorted, no spaces, `1.0` as `1`. Commands that only read are told by their id alone.
    pub fn to_canonical_json(&self) -> Vec<u8> {
        let mut members = ObjectWriter::with_capacity(USUAL_SIZE);
        match self {
            Self::Create(create) => {
                fields_of(&mut members, &create.fields);
                if create.distinct {
                    members.raw("distinct", "true");
                }
            }
            Self::Update(update) => {
                members.text("id", update.id.public());
                fields_of(&mut members, &update.fields);
            }
            Self::Retrieve(id)
            | Self::RetrieveOrCreate(id)
            | Self::Delete(id)
            | Self::Block(id)
            | Self::Unblock(id)
            | Self::OverdueInvoices(id) => members.text("id", id.public()),
            Self::PaymentMethods(asked) | Self::Payments(asked) => members.text("id", asked.id.public()),
            Self::Find(_) | Self::List(_) => {}
        }
        members.close().into_bytes()
    }
}

fn patch(object: &mut ObjectWriter, key: &str, patch: &Patch<Text>) {
    match patch {
        Patch::Absent => {}
        Patch::Clear => object.raw(key, "null"),
        Patch::Set(text) => object.text(key, text),
    }
}

fn fields_of(object: &mut ObjectWriter, fields: &CustomerFields) {
    let CustomerFields { name, first_name, last_name, email, phone, whatsapp, address, kind, did, balance, metadata } =
        fields;
    patch(object, "name", name);
    patch(object, "first_name", first_name);
    patch(object, "last_name", last_name);
    patch(object, "email", email);
    patch(object, "phone", phone);
    patch(object, "whatsapp", whatsapp);
    if let Some(parts) = address_parts(address) {
        object.raw("address", &parts);
    }
    match kind {
        Patch::Absent => {}
        Patch::Clear => object.raw("type", "null"),
        Patch::Set(kind) => object.text("type", CustomerType::as_str(*kind)),
    }
    patch(object, "did", did);
    patch(object, "balance", balance);
    match metadata {
        Patch::Absent => {}
        Patch::Clear => object.raw("metadata", "null"),
        Patch::Set(metadata) => object.raw("metadata", &spelled(metadata.as_str())),
    }
}

fn address_parts(address: &Address<Patch<Text>>) -> Option<String> {
    let Address { line1, line2, city, state, postal_code, country } = address;
    let mut members = ObjectWriter::default();
    patch(&mut members, "line1", line1);
    patch(&mut members, "line2", line2);
    patch(&mut members, "city", city);
    patch(&mut members, "state", state);
    patch(&mut members, "postal_code", postal_code);
    patch(&mut members, "country", country);
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
        model::{CreateCustomer, Error, Operation},
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
    fn spelling_makes_no_difference_and_values_do() {
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
    fn a_command_reads_back_as_itself() {
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

    /// Imitated providers take what the gateway's own rules refuse, or spell otherwise.
    #[test]
    fn a_command_of_an_imitated_providers_client_reads_back_as_well() {
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
        let create = Command::Create(CreateCustomer { fields, distinct: true });
        assert_eq!(read_back(&create), Ok(create));
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
        fn one_value_has_one_spelling(value in value()) {
            let once = spelled(&value.to_string()).into_owned();
            let pretty = serde_json::to_string_pretty(&value).expect("JSON");
            prop_assert_eq!(spelled(&pretty).into_owned(), once.clone());
            prop_assert_eq!(spelled(&once).into_owned(), once);
        }

        #[test]
        fn two_values_have_two(one in value(), other in value()) {
            let (spelled, differently) = (spelled(&one.to_string()).into_owned(), spelled(&other.to_string()).into_owned());
            let same: Value = serde_json::from_str(&spelled).expect("JSON");
            let other: Value = serde_json::from_str(&differently).expect("JSON");
            prop_assert_eq!(spelled == differently, same == other);
        }
    }
}
