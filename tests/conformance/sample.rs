//! Commands and customers for the laws, made from what a manifest says a provider can hold.

use bytes::Bytes;
use passerelle_providers::{
    api::input,
    json::JsonObject,
    model::{
        Command, CreateCustomer, Customer, CustomerFields, CustomerId, CustomerType, Field, IdPattern, Operation,
        Patch, manifest::Manifest,
    },
    text::{Source, Text, country::Region, phone},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The home of every merchant in the laws.
pub(crate) fn region() -> Option<Region> {
    Region::parse("SN")
}

/// An id that the pattern allows.
pub(crate) fn id(pattern: &IdPattern) -> CustomerId {
    let ids = ["b78de3c9-7f76-4f43-9c5d-19d9f5c7c985", "cus_Mxxxxxxxxxxxxxxx"];
    ids.into_iter()
        .find_map(|id| CustomerId::parse(Text::from(id), pattern).ok())
        .expect("the laws know an id for the pattern")
}

/// A command of JSON members beside the id.
pub(crate) fn command(operation: Operation, manifest: &Manifest, members: &[(Field, &str)]) -> Command {
    let mut body = Map::new();
    if !matches!(operation, Operation::Create | Operation::List | Operation::Find) {
        body.insert("id".to_owned(), json!(&**id(&manifest.id).public()));
    }
    if operation == Operation::Find {
        body.insert("email".to_owned(), json!("amadou.ba@example.com"));
    }
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
    let text = Bytes::from(Value::Object(body).to_string());
    let source = Source::new(&text).expect("UTF-8");
    input::command(operation, &source, manifest, region()).expect("a sample that the gateway takes")
}

/// The fields that any provider takes a customer with.
pub(crate) const USUAL: &[(Field, &str)] =
    &[(Field::Name, "Amadou Ba"), (Field::Email, "amadou.ba@example.com"), (Field::Phone, "+221771234567")];

/// A value that occurs nowhere else.
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
        _ => "canary value",
    }
}

/// A part of the canary that survives any spelling; `None` where only a difference can be seen.
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
    .prop_filter("a number that the plans know", |number| phone::split(number).is_some())
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

/// The fields of a create, restricted to what a provider holds.
pub(crate) fn fields(held: FieldSet) -> impl Strategy<Value = CustomerFields> {
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
    let chosen = prop::collection::vec(any::<bool>(), 16);
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
        let mut fields = CustomerFields::default();
        let keep = |place: usize, field: Field| chosen[place] && held.contains(&field);
        // Every provider is satisfied by a name and an e-mail.
        fields.name = Patch::Set(name);
        fields.email = Patch::Set(Text::from(email));
        let set = |place: usize, field: Field, patch: &mut Patch<Text>, text: Text| {
            if keep(place, field) {
                *patch = Patch::Set(text);
            }
        };
        set(0, Field::Phone, &mut fields.phone, phone);
        set(1, Field::Whatsapp, &mut fields.whatsapp, whatsapp);
        set(2, Field::Line1, &mut fields.address.line1, line1);
        set(3, Field::Line2, &mut fields.address.line2, line2);
        set(4, Field::City, &mut fields.address.city, city);
        set(5, Field::State, &mut fields.address.state, state);
        set(6, Field::PostalCode, &mut fields.address.postal_code, Text::from(code));
        set(7, Field::Country, &mut fields.address.country, Text::from(country));
        set(8, Field::Did, &mut fields.did, Text::from(did));
        set(9, Field::Balance, &mut fields.balance, Text::from(balance));
        if keep(10, Field::Type) {
            fields.kind = Patch::Set(if business { CustomerType::Business } else { CustomerType::Individual });
        }
        if keep(11, Field::Metadata) {
            fields.metadata = Patch::Set(metadata);
        }
        fields
    })
}

/// A customer as a provider could hold it.
pub(crate) fn customer(held: FieldSet, id: Text) -> impl Strategy<Value = Customer> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (fields(held.clone()), flags).prop_map(move |(fields, (blocked, delinquent, livemode))| {
        let mut customer = Customer {
            id: id.clone(),
            created_at: Some(Text::from_static("2025-04-04T14:21:49.955Z")),
            updated_at: Some(Text::from_static("2025-04-05T09:00:00.001Z")),
            ..Customer::default()
        };
        fields.apply_to(&mut customer);
        let flag = |field, value: bool| held.contains(&field).then_some(value);
        customer.blocked = flag(Field::Blocked, blocked);
        customer.delinquent = flag(Field::Delinquent, delinquent);
        customer.livemode = flag(Field::Livemode, livemode);
        customer
    })
}

/// A create of the usual fields.
pub(crate) fn usual_create(manifest: &Manifest) -> CreateCustomer {
    match command(Operation::Create, manifest, USUAL) {
        Command::Create(create) => create,
        _ => unreachable!("a create was asked for"),
    }
}
