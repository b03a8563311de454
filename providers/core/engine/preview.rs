//! The preview of an update that is completed from the customer's record: its body, with a placeholder wherever a value
//! comes from the record. `explain` shows it.
//!
//! The gateway does not know the record before it has read it. So the request is planned twice, for two made-up records
//! that differ in every value. What differs between the two bodies comes from the record.

use bytes::Bytes;

use crate::{
    json::{self, Extra, JsonObject, Members, Raw},
    kit::{
        Plan,
        render::{FROM_RECORD, FromRecord},
    },
    model::{Address, Customer, CustomerType, Error, Request, UpdateCustomer},
    text::{Str, Text},
};

/// The requests that `plan` makes of a customer's record, with placeholders in the body of the first one.
pub(super) fn requests(
    update: &UpdateCustomer,
    plan: impl Fn(&Customer) -> Result<Plan<Box<Customer>>, Error>,
) -> Vec<Request> {
    // The same patch was planned before, so it can be planned again.
    let (Ok(one), Ok(other)) = (plan(&record(update, 0)), plan(&record(update, 1))) else { return Vec::new() };
    let mut requests: Vec<Request> = one.requests().into_iter().cloned().collect();
    let bodies = [one.request.body(), other.request.body()].map(|body| std::str::from_utf8(body));
    if let (Some(request), [Ok(body), Ok(other)]) = (requests.first_mut(), bodies) {
        let mut pointers = Vec::new();
        *request.body_mut() = Bytes::from(marked(body, other, "", &mut pointers));
        request.extensions_mut().insert(FromRecord(pointers));
    }
    requests
}

/// A record that has every field, and differs from the other one in each.
fn record(update: &UpdateCustomer, index: usize) -> Customer {
    let text = |texts: [&'static str; 2]| Some(Text::from_static(texts[index]));
    let metadata = update.fields.metadata.set().map(|patch| metadata_beside(patch.as_str(), ["1", "2"][index]));
    Customer {
        name: text(["Aa Aa", "Bb Bb"]),
        first_name: text(["Aa", "Bb"]),
        last_name: text(["Aa", "Bb"]),
        email: text(["a@example.com", "b@example.org"]),
        phone: text(["+221771234567", "+2348123456789"]),
        id: update.id.at_provider().clone(),
        whatsapp: text(["+221771234567", "+2348123456789"]),
        address: Address {
            line1: text(["a", "b"]),
            line2: text(["a", "b"]),
            city: text(["a", "b"]),
            state: text(["a", "b"]),
            postal_code: text(["1", "2"]),
            country: text(["SN", "NG"]),
        },
        kind: Some([CustomerType::Individual, CustomerType::Business][index]),
        did: text(["za", "zb"]),
        balance: text(["1", "2"]),
        metadata: metadata.and_then(|object| JsonObject::in_string(&object)).unwrap_or_default(),
        ..Customer::default()
    }
}

/// Metadata with a key beside those of the patch, in each of its objects.
fn metadata_beside(patch: &str, value: &str) -> String {
    let mut members = Extra::default();
    for (key, patched) in json::from_str::<Members<'_>>(patch).map(|Members(members)| members).unwrap_or_default() {
        if patched.get().starts_with('{') {
            members.add(&key, Raw::of_json(&metadata_beside(patched.get(), value)));
        }
    }
    members.add(FROM_RECORD, Raw::of_json(value));
    object(&members)
}

/// The body, with placeholders where it differs from the other one.
fn marked(body: &str, other: &str, pointer: &str, pointers: &mut Vec<String>) -> String {
    if body == other {
        return body.to_owned();
    }
    if let (Ok(Members(members)), Ok(Members(others))) = (json::from_str(body), json::from_str(other)) {
        let mut result = Extra::default();
        for (key, value) in members {
            let other = others.iter().find(|(name, _)| *name == key).map_or("null", |(_, value)| value.get());
            let below = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            result.add(&key, Raw::of_json(&marked(value.get(), other, &below, pointers)));
        }
        return object(&result);
    }
    pointers.push(pointer.to_owned());
    let text = match (json::from_str::<Str<'_>>(body), json::from_str::<Str<'_>>(other)) {
        (Ok(text), Ok(other)) => marked_text(&text, &other),
        _ => FROM_RECORD.to_owned(),
    };
    serde_json::Value::String(text).to_string()
}

fn object(members: &Extra) -> String {
    format!("{{{}}}", members.as_str())
}

/// The text, with a placeholder for the part that differs from the other one: whole words before and after it stay.
fn marked_text(text: &str, other: &str) -> String {
    let [words, others] = [text, other].map(|text| text.split(' ').collect::<Vec<_>>());
    let before = words.iter().zip(&others).take_while(|(word, other)| word == other).count();
    let rest = words.len().min(others.len()) - before;
    let after =
        words.iter().rev().zip(others.iter().rev()).take(rest).take_while(|(word, other)| word == other).count();
    let kept = [&words[..before], &[FROM_RECORD], &words[words.len() - after..]];
    kept.concat().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CustomerFields, CustomerId, Field, IdPattern, Patch};

    /// A value that is the same in both records would be explained as the client's own.
    #[test]
    fn the_two_records_have_every_field_that_an_update_can_send_and_differ_in_each() {
        let id = CustomerId::parse(Text::from_static("cus_1"), &IdPattern::PUBLIC).expect("an id");
        let metadata = Patch::Set(JsonObject::in_string(r#"{"crm":"2"}"#).expect("an object"));
        let update = UpdateCustomer { id, fields: CustomerFields { metadata, ..CustomerFields::default() } };
        let (one, other) = (record(&update, 0), record(&update, 1));
        for field in Field::WRITABLE {
            assert!(one.held(field).has_value() && other.held(field).has_value(), "{}", field.name());
            assert!(one.held(field) != other.held(field), "{}", field.name());
        }
    }

    #[test]
    fn a_joined_name_keeps_the_words_of_the_patch() {
        assert_eq!(marked_text("Aa Sow", "Bb Sow"), "<from the record> Sow");
        assert_eq!(marked_text("El Hadji Aa", "El Hadji Bb"), "El Hadji <from the record>");
        assert_eq!(marked_text("Aa Aa", "Bb Bb"), "<from the record>");
        assert_eq!(marked_text("Aa", "Aa Aa"), "Aa <from the record>");
    }

    #[test]
    fn what_differs_between_two_bodies_is_replaced_and_the_rest_stays_as_it_is() {
        let mut pointers = Vec::new();
        let body = r#"{"balance":1.50,"name":"Aa Sow","address":{"city":"Thi\u00e8s","a/b":"SN"},"kind":null}"#;
        let other = r#"{"balance":2,"name":"Bb Sow","address":{"city":"Thi\u00e8s","a/b":"NG"},"kind":null}"#;
        assert_eq!(
            marked(body, other, "", &mut pointers),
            r#"{"balance":"<from the record>","name":"<from the record> Sow","address":{"city":"Thi\u00e8s","a/b":"<from the record>"},"kind":null}"#
        );
        assert_eq!(pointers, ["/balance", "/name", "/address/a~1b"]);
    }

    #[test]
    fn metadata_of_the_record_stands_beside_every_object_of_the_patch() {
        assert_eq!(
            metadata_beside(r#"{"crm":"2","shop":{"id":1}}"#, "1"),
            r#"{"shop":{"<from the record>":1},"<from the record>":1}"#
        );
    }
}
