//! A provider in one generation of its API: its client side and its server side, which every target of a provider uses.

use std::sync::Arc;

use passerelle_providers::{
    CustomerProvider, Settings, VENDORS, VendorServer,
    kit::Endpoint,
    model::{Error, Kind, manifest::Manifest},
    text::country::Region,
};

use crate::{CANARY, bound::assert_in_proportion};

/// The home region of the merchants in the fixtures.
pub(crate) fn region() -> Option<Region> {
    Region::parse("SN")
}

/// One provider in one generation.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) manifest: &'static Manifest,
    pub(crate) provider: Arc<dyn CustomerProvider>,
    pub(crate) server: Arc<dyn VendorServer>,
}

/// Every provider in every generation.
pub(crate) fn all() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for vendor in VENDORS {
        for manifest in vendor.manifests {
            let settings = Settings { generation: manifest.generation, region: region(), livemode: true };
            let name = match vendor.manifests.len() {
                1 => vendor.name().to_owned(),
                _ => format!("{}-{}", vendor.name(), manifest.generation),
            };
            let (provider, server) = ((vendor.connect)(settings), (vendor.server)(settings));
            subjects.push(Subject { name, manifest, provider, server });
        }
    }
    subjects
}

impl Subject {
    /// The base of the provider's URLs; that of an example where the provider has none of its own.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::new(self.manifest.base_url.unwrap_or("https://app.example.com/payment"))
    }
}

/// The longest text of an error, in bytes. A provider's own message has at most 500 characters.
const LONGEST: usize = 4096;

/// What holds for the refusal of what a client sent: its text, which is logged, is short and has no control characters. It
/// may name the client's own members.
pub(crate) fn check_refusal(error: &Error, input: usize) {
    let detail = &*error.detail;
    assert!(detail.len() <= LONGEST, "an error of {} bytes", detail.len());
    assert!(!detail.contains(char::is_control), "control characters in an error: {detail:?}");
    let fields: usize = error.fields.iter().map(|field| field.pointer.len() + field.detail.len()).sum();
    assert_in_proportion("fields of an error", fields, input);
}

/// What holds for every other error as well: it shows no value of the input. The provider's own message is apart, and is
/// bounded.
pub(crate) fn check_error(error: &Error, input: usize) {
    check_refusal(error, input);
    let detail = &*error.detail;
    assert!(!detail.contains(CANARY), "a value of the input in an error: {detail}");
    if let Some(vendor) = &error.vendor {
        for text in [&vendor.message, &vendor.code].into_iter().flatten() {
            assert!(text.chars().count() <= 500, "{} characters of a provider's text", text.chars().count());
            assert!(!text.contains(char::is_control), "control characters in a provider's text: {text:?}");
        }
    }
    if error.kind == Kind::BadResponse {
        let shown = format!("{:?}", error.fields);
        assert!(!shown.contains(CANARY), "a value of the input in the fields of an error: {shown}");
    }
}
