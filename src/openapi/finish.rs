//! What is added to a document after its paths and types are collected: problems that all operations share become
//! components, and every operation gets examples of its request and of its answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::{
    Components, OpenApi, Ref, RefOr, Schema,
    example::ExampleBuilder,
    path::{Operation, PathItem},
    schema::{SchemaType, Type},
};

const PROBLEM: &str = "application/problem+json";

/// Examples of a document. A test records them from a gateway.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Examples {
    /// By the `operationId`.
    operations: BTreeMap<String, OperationExamples>,
    /// Problems by the status.
    problems: BTreeMap<String, Value>,
}

/// Examples of an operation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OperationExamples {
    /// The body of the request.
    request: Option<Value>,
    /// Bodies of answers by the status, and in it by a name.
    answers: BTreeMap<String, BTreeMap<String, Value>>,
}

/// The document as JSON. `examples` are in the form that the tests record.
pub fn document(mut document: OpenApi, examples: &str) -> String {
    let examples: Examples = serde_json::from_str(examples).unwrap_or_default();
    let components = document.components.get_or_insert_default();
    for schema in components.schemas.values_mut() {
        describe_in_place(schema);
    }
    let operations = document.paths.paths.values_mut().flat_map(operations_of);
    for operation in operations {
        for parameter in operation.parameters.iter_mut().flatten() {
            let RefOr::T(parameter) = parameter else { continue };
            parameter.schema = parameter.schema.take().map(not_null);
        }
        for response in operation.responses.responses.values_mut() {
            let RefOr::T(response) = response else { continue };
            for header in response.headers.values_mut() {
                let RefOr::T(header) = header else { continue };
                header.schema = header.schema.take().map(not_null);
            }
        }
        if let Some(found) = operation.operation_id.as_ref().and_then(|id| examples.operations.get(id)) {
            add_examples(operation, found);
        }
        share_problems(operation, components, &examples.problems);
    }
    let mut text = document.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// The operations of a path.
pub fn operations_of(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.put, &mut path.post, &mut path.patch, &mut path.delete].into_iter().flatten()
}

fn add_examples(operation: &mut Operation, examples: &OperationExamples) {
    if let Some(RefOr::T(body)) = &mut operation.request_body
        && let Some(request) = &examples.request
        && let Some(RefOr::T(content)) = body.content.get_mut("application/json")
    {
        content.example = Some(request.clone());
    }
    for (status, named) in &examples.answers {
        let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status) else { continue };
        for content in response.content.values_mut() {
            let RefOr::T(content) = content else { continue };
            content.examples = named
                .iter()
                .map(|(name, value)| {
                    let example = ExampleBuilder::new().value(Some(value.clone())).build();
                    (name.clone(), RefOr::T(example))
                })
                .collect();
        }
    }
}

/// Moves the problems of an operation to the components, where they are the same for all operations.
fn share_problems(operation: &mut Operation, components: &mut Components, examples: &BTreeMap<String, Value>) {
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(problem) = response else { continue };
        let Some(RefOr::T(content)) = problem.content.get_mut(PROBLEM) else { continue };
        content.example = examples.get(status).cloned();
        let name = format!("Problem{status}");
        let kept = components.responses.entry(name.clone()).or_insert_with(|| RefOr::T(problem.clone()));
        if *kept == RefOr::T(problem.clone()) {
            *response = RefOr::Ref(Ref::from_response_name(name));
        }
    }
}

/// A parameter or a header that is not sent is absent: it is never null.
fn not_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    let is_null = |one: &RefOr<Schema>| matches!(one, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
    match schema {
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Array(types) = &object.schema_type
                && let [only] = types.iter().filter(|kind| **kind != Type::Null).collect::<Vec<_>>()[..]
            {
                object.schema_type = SchemaType::Type(only.clone());
            }
            RefOr::T(Schema::Object(object))
        }
        RefOr::T(Schema::OneOf(one_of)) => {
            let mut others = one_of.items.iter().filter(|one| !is_null(one));
            match (others.next(), others.next()) {
                (Some(only), None) => only.clone(),
                _ => RefOr::T(Schema::OneOf(one_of)),
            }
        }
        other => other,
    }
}

/// utoipa writes a member with a description and an inline type as two schemas that must both hold. They become one, with
/// the description of the member.
fn describe_in_place(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            for member in object.properties.values_mut() {
                let RefOr::T(Schema::AllOf(both)) = &*member else { continue };
                let [RefOr::T(Schema::Object(inline)), RefOr::T(Schema::Object(described))] = &both.items[..] else {
                    continue;
                };
                let mut inline = inline.clone();
                inline.description.clone_from(&described.description);
                *member = RefOr::T(Schema::Object(inline));
            }
        }
        RefOr::T(Schema::AllOf(parts)) => parts.items.iter_mut().for_each(describe_in_place),
        _ => {}
    }
}
