//! Sample and generated commands and customers for the laws, made from the fields that a manifest declares.

use bytes::Bytes;
use passerelle_providers::{
    api::input,
    json::{Extra, JsonObject},
    model::{
        Address, Command, CreateCustomer, Customer, CustomerFields, CustomerId, CustomerType, Fidelity, Field,
        IdPattern, Operation, Patch, Rewritten, manifest::Manifest,
    },
    text::{Source, Text, country::Region, phone},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The region of every merchant in the laws.
pub(crate) fn region() -> Option<Region> {
    Region::parse("SN")
}

/// An id that the pattern allows.
pub(crate) fn id(pattern: &IdPattern) -> CustomerId {
    let ids = ["b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "cus_Mxxxxxxxxxxxxxxx"];
    ids.into_iter()
        .find_map(|id| CustomerId::parse(Text::from(id), pattern).ok())
        .expect("one of the sample ids matches the pattern")
}

/// A JSON body with these fields.
pub(crate) fn body(members: &[(Field, &str)]) -> Map<String, Value> {
    let mut body = Map::new();
    for (field, value) in members {
        let value = match field {
            Field::Metadata => json!({ "canary": value }),
            _ => json!(value),
        };
        match field.pointer().strip_prefix("/address/") {
            Some(part) => {
                let address = body.entry("address").or_insert_with(|| json!({}));
                address[part] = value;
            }
            None => drop(body.insert(field.name().to_owned(), value)),
        }
    }
    body
}

/// A command with these fields. It has a sample id where the operation needs one.
pub(crate) fn command(operation: Operation, manifest: &Manifest, members: &[(Field, &str)]) -> Command {
    let mut body = body(members);
    if !matches!(operation, Operation::Create | Operation::List | Operation::Find) {
        body.insert("id".to_owned(), json!(&**id(&manifest.id).public()));
    }
    if operation == Operation::Find {
        body.insert("email".to_owned(), json!("amadou.ba@example.com"));
    }
    let text = Bytes::from(Value::Object(body).to_string());
    let source = Source::new(&text).expect("UTF-8");
    input::command(operation, &source, manifest, region()).expect("the gateway accepts the sample")
}

/// The fields of a customer that every provider accepts.
pub(crate) const USUAL: &[(Field, &str)] =
    &[(Field::Name, "Amadou Ba"), (Field::Email, "amadou.ba@example.com"), (Field::Phone, "+221771234567")];

/// A value that occurs in no other field.
pub(crate) const fn canary(field: Field) -> &'static str {
    match field {
        Field::Name => "Kanari Zuluwe",
        Field::FirstName => "Kanarifirst",
        Field::LastName => "Kanarilast",
        Field::Email => "canary.7411@example.org",
        Field::Phone => "+221770007411",
        Field::Whatsapp => "+221780007412",
        Field::Country => "NG",
        Field::Type => "business",
        Field::Balance => "7411.25",
        Field::Line1 => "canary line 1",
        Field::Line2 => "canary line 2",
        Field::City => "canary city",
        Field::State => "canary state",
        Field::PostalCode => "canary code",
        Field::Did => "z1CanaryDid",
        Field::Metadata => "canary value",
        Field::Id => "canary-id",
        Field::CreatedAt | Field::UpdatedAt => "2025-04-04T14:21:49.955Z",
        Field::Blocked | Field::Delinquent | Field::Livemode => "true",
    }
}

/// A part of the canary that every spelling of the value contains. `None`: no part is unique, so compare whole
/// requests.
pub(crate) fn trace(field: Field) -> Option<&'static str> {
    match field {
        Field::Name => Some("Zuluwe"),
        Field::Phone => Some("770007411"),
        Field::Whatsapp => Some("780007412"),
        Field::Country | Field::Type => None,
        other => Some(canary(other)),
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Z][a-z]{1,10}",
        Just("Aïssatou".to_owned()),
        Just("N'Diaye".to_owned()),
        Just("\"KK\"".to_owned()),
        Just("O\\Neil".to_owned()),
        Just("毛".to_owned()),
    ]
}

fn words(count: usize) -> impl Strategy<Value = Text> {
    prop::collection::vec(word(), 1..=count).prop_map(|words| Text::from(words.join(" ")))
}

fn phone_number() -> impl Strategy<Value = Text> {
    prop_oneof![
        (1_000_000_u32..9_999_999).prop_map(|digits| Text::from(format!("+22177{digits}"))),
        (10_000_000_u32..99_999_999).prop_map(|digits| Text::from(format!("+23480{digits}"))),
    ]
    .prop_filter("a number of a known numbering plan", |number| phone::split(number).is_some())
}

fn object() -> impl Strategy<Value = JsonObject> {
    let value = prop_oneof![
        word().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(json!({ "nested": [true, null] })),
    ];
    prop::collection::btree_map("[a-z_]{1,8}", value, 1..4).prop_map(|members| {
        JsonObject::in_string(&Value::Object(members.into_iter().collect()).to_string()).expect("an object")
    })
}

type FieldSet = Vec<Field>;

/// The fields of a create: a name, an e-mail, and some of the allowed ones.
pub(crate) fn fields(allowed: FieldSet) -> impl Strategy<Value = CustomerFields> {
    let texts = (
        words(3),
        "[a-z]{1,8}(\\.[a-z]{1,8})?@[a-z]{1,8}\\.(com|sn)",
        phone_number(),
        phone_number(),
        (words(4), words(4), words(2), words(2), "[A-Z]{2} [0-9]{5}"),
        prop::sample::select(vec!["SN", "GM", "CM", "NG", "CI"]),
        any::<bool>(),
        "z1[a-zA-Z0-9]{10,30}",
        (0_u32..100_000).prop_map(|cents| format!("{}.{:02}", cents / 100, cents % 100)),
        object(),
    );
    let chosen = prop::collection::vec(any::<bool>(), Field::ALL.len());
    (texts, chosen).prop_map(move |(texts, chosen)| {
        let (
            name,
            email,
            phone,
            whatsapp,
            (line1, line2, city, state, code),
            country,
            business,
            did,
            balance,
            metadata,
        ) = texts;
        let is_chosen = |field: Field| chosen[field as usize] && allowed.contains(&field);
        let some = |field: Field, text: Text| if is_chosen(field) { Patch::Set(text) } else { Patch::Absent };
        let kind = if business { CustomerType::Business } else { CustomerType::Individual };
        CustomerFields {
            // A name and an e-mail meet the requirements of every provider.
            name: Patch::Set(name),
            email: Patch::Set(Text::from(email)),
            // The name is set whole.
            first_name: Patch::Absent,
            last_name: Patch::Absent,
            phone: some(Field::Phone, phone),
            whatsapp: some(Field::Whatsapp, whatsapp),
            address: Address {
                line1: some(Field::Line1, line1),
                line2: some(Field::Line2, line2),
                city: some(Field::City, city),
                state: some(Field::State, state),
                postal_code: some(Field::PostalCode, Text::from(code)),
                country: some(Field::Country, Text::from(country)),
            },
            kind: if is_chosen(Field::Type) { Patch::Set(kind) } else { Patch::Absent },
            did: some(Field::Did, Text::from(did)),
            balance: some(Field::Balance, Text::from(balance)),
            metadata: if is_chosen(Field::Metadata) { Patch::Set(metadata) } else { Patch::Absent },
            rewritten: Rewritten::default(),
        }
    })
}

/// A customer with some of the allowed fields.
pub(crate) fn customer(allowed: FieldSet, id: Text) -> impl Strategy<Value = Customer> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (fields(allowed.clone()), flags).prop_map(move |(fields, (blocked, delinquent, livemode))| {
        let flag = |field, value: bool| allowed.contains(&field).then_some(value);
        Customer {
            blocked: flag(Field::Blocked, blocked),
            delinquent: flag(Field::Delinquent, delinquent),
            livemode: flag(Field::Livemode, livemode),
            ..of_fields(&fields, id.clone())
        }
    })
}

/// A customer with the fields' values. It is built without [`CustomerFields::apply_to`], so that the laws find a field
/// that `apply_to` leaves out.
fn of_fields(fields: &CustomerFields, id: Text) -> Customer {
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
    let value = |patch: &Patch<Text>| patch.set().cloned();
    Customer {
        id,
        provider_id: None,
        name: value(name),
        first_name: value(first_name),
        last_name: value(last_name),
        email: value(email),
        phone: value(phone),
        whatsapp: value(whatsapp),
        address: address.map(value),
        kind: kind.set().copied(),
        did: value(did),
        balance: value(balance),
        delinquent: None,
        blocked: None,
        livemode: None,
        metadata: metadata.set().cloned().unwrap_or_default(),
        marker: None,
        created_at: Some(Text::from_static("2025-04-04T14:21:49.955Z")),
        updated_at: Some(Text::from_static("2025-04-05T09:00:00.001Z")),
        extra: Extra::default(),
        fidelity: Fidelity::default(),
    }
}

/// A create with the usual fields.
pub(crate) fn usual_create(manifest: &Manifest) -> CreateCustomer {
    match command(Operation::Create, manifest, USUAL) {
        Command::Create(create) => create,
        _ => unreachable!("the operation is a create"),
    }
}
