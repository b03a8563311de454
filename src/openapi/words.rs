//! The words that members of documents and parameters can be. A single word is a constant, which tells a document apart
//! from others. Their comments become descriptions, so they are written for the people who call the API.

use passerelle_providers::model::Operation;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Object, RefOr, Schema,
        extensions::Extensions,
        schema::{AdditionalProperties, ObjectBuilder, SchemaType, Type},
    },
};

/// A text that is one of these words.
pub fn one_of(words: &[&str]) -> ObjectBuilder {
    text().enum_values(Some(words.iter().copied()))
}

/// A text that is this word.
fn only(word: &str) -> ObjectBuilder {
    // utoipa has no constants. An extension is written as it is.
    text().extensions(Some(Extensions::from_iter([("const", word)])))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::Type(Type::String))
}

/// The metadata that a client can write: an object, or null, with keys that are not those of the gateway.
pub fn metadata() -> Object {
    let keys = text().pattern(Some(r"^(?!passerelle_)[^\x00]*$"));
    let description = "Your own keys and values. Keys that begin with `passerelle_` are reserved for the gateway, and refused. So is \
                       an integer that does not fit into 64 bits, at any depth.";
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .property_names(Some(keys))
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)))
        .description(Some(description))
        .build()
}

/// The id of a switch.
#[derive(Debug)]
pub enum SwitchId {}

impl PartialSchema for SwitchId {
    fn schema() -> RefOr<Schema> {
        text().pattern(Some("^sw_[0-9a-f]{32}$")).into()
    }
}

impl ToSchema for SwitchId {}

/// A text that every database can store.
#[derive(Debug)]
pub enum Text {}

impl PartialSchema for Text {
    fn schema() -> RefOr<Schema> {
        text().pattern(Some(r"^[^\x00]*$")).into()
    }
}

impl ToSchema for Text {}

macro_rules! words {
    ($make:ident: $( $(#[doc = $doc:literal])+ $name:ident = $words:expr; )*) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $make($words).description(Some(concat!($($doc, "\n"),+).trim().replace("\n ", "\n"))).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

words! {
    only:
    /// Always `customer`.
    CustomerObject = "customer";
    /// Always `explanation`.
    ExplanationObject = "explanation";
    /// Always `list`.
    ListObject = "list";
    /// Always `payment_method`.
    PaymentMethodObject = "payment_method";
    /// Always `payment`.
    PaymentObject = "payment";
    /// Always `invoice`.
    InvoiceObject = "invoice";
    /// Always `operation`.
    OperationObject = "operation";
    /// Always `provider`.
    ProviderObject = "provider";
    /// Always `merchant`.
    MerchantObject = "merchant";
    /// Always `version`.
    VersionObject = "version";
    /// Always `active_connection`.
    ActiveObject = "active_connection";
    /// Always `audit_verification`.
    AuditVerificationObject = "audit_verification";
}

words! {
    one_of:
    /// Whether a customer is a person or a company.
    CustomerType = &["individual", "business"];
    /// The provider's raw answers.
    Include = &["raw"];
    /// The only value of `Idempotency-Coalesce`.
    Coalesce = &["off"];
    /// Whether the request was executed.
    ProblemOutcome = &["none", "done", "unknown"];
    /// The outcome of a write: `sending`, `done`, `failed` (the provider did not execute it) or `unknown`.
    OperationOutcome = &["sending", "done", "failed", "unknown"];
    /// An operation that changes a customer.
    WriteName = &["create", "update", "delete", "block", "unblock"];
    /// An operation on customers. New ones may come.
    OperationName = &Operation::ALL.map(Operation::name);
    /// How far an erasure is: `deleted`, `pending`, or `cannot`.
    ReceiptOutcome = &["deleted", "pending", "cannot"];
    /// Who applied a filter.
    FilteredBy = &["provider", "gateway"];
    /// Who applies a filter or a look-up: `provider`, `gateway` or `none`.
    AnsweredBy = &["provider", "gateway", "none"];
    /// `native` (by the provider), `emulated` (by the gateway) or `none`.
    Support = &["native", "emulated", "none"];
    /// What prevents a write from being executed twice.
    Dedupe = &["key", "id", "unique", "search", "nothing"];
    /// Which customers a list shows: `all` or `partial`.
    Coverage = &["all", "partial"];
    /// How a provider's lists are paged.
    PagingStyle = &["pages", "offset", "token"];
    /// What happens to fields that the provider cannot store: the request is refused, the gateway keeps them, or they are left
    /// out.
    LossPolicy = &["reject", "carry", "drop"];
    /// The method of a request to a provider.
    RequestMethod = &["GET", "POST", "PUT", "PATCH", "DELETE"];
    /// `ok`, `draining`, or `store unavailable: reads only`.
    HealthStatus = &["ok", "draining", "store unavailable: reads only"];
    /// The columns of the file for another importer.
    MapFormat = &["stripe"];
}
