//! The failures of commands. Code branches on [`Kind`], people read the detail, and [`Effect`] says whether a write may
//! have happened at the provider. `src/problem` maps each kind to a problem of the API.

use std::{borrow::Cow, fmt};

use crate::model::{IdPattern, Operation, manifest::Manifest};

/// The kind of a failure. The gateway maps each kind to one problem type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The id does not match the provider's pattern.
    InvalidId,
    /// The text is not JSON, or different JSON parsers would read it differently.
    Malformed,
    /// A field is wrong; see the fields.
    Invalid,
    /// The provider cannot store every field, and the loss policy refuses a partial write; see the fields.
    FieldsNotSupported,
    /// A string contains a card number.
    CardData,
    /// The provider has no such operation.
    NotSupported,
    /// The provider knows no such customer.
    NotFound,
    /// The provider's own validation refused the request.
    Rejected,
    /// The provider answered an existing record with other values than the create sent.
    SharedRecord,
    /// Several customers match where one was asked for.
    Ambiguous,
    /// The id names several customers of the merchant: nothing was sent.
    AmbiguousId,
    /// A create that has not ended may make the customer: nothing was sent.
    InProgress,
    /// The provider limits the rate of requests.
    RateLimited,
    /// The provider refused the gateway's credentials.
    Unauthorized,
    /// The provider failed.
    ProviderFailed,
    /// The provider's answer could not be read.
    BadResponse,
    /// The provider could not be reached: nothing was sent.
    Unreachable,
    /// The gateway's limit of concurrent requests is reached: nothing was sent.
    Overloaded,
    /// The gateway's own rate limit for the provider is reached: nothing was sent.
    Throttled,
    /// The connection broke after the request may have been sent.
    Interrupted,
    /// The answer did not arrive in time.
    TimedOut,
    /// A search over list pages reached its bound without a result.
    ScanBound,
    /// The gateway's store cannot be read: nothing was sent, or only reads.
    StoreUnavailable,
    /// The gateway itself refused a client of an imitated provider, with this HTTP status: for example a body that is too
    /// large, or an idempotency key that is in flight. Nothing was sent.
    Refused(u16),
    /// The imitated provider has no such route.
    NoRoute,
}

/// Whether the write happened at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Certainly nothing happened.
    None,
    /// The write happened, but a later request failed.
    Done,
    /// It is unknown whether the write happened.
    Unknown,
}

impl Effect {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }
}

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// A JSON Pointer (RFC 6901) into the canonical body, or a query parameter's name.
    pub pointer: Cow<'static, str>,
    /// What is wrong.
    pub detail: Cow<'static, str>,
}

impl FieldError {
    /// An error for a field, with what is wrong.
    pub fn new(pointer: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// The provider's own error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VendorAnswer {
    /// The HTTP status.
    pub status: Option<u16>,
    /// The provider's error code, in the same form as its message.
    pub code: Option<String>,
    /// The provider's message, without control characters and cut to 500 characters.
    pub message: Option<String>,
}

/// A failure of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<ErrorParts>);

/// The parts of an [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorParts {
    /// The kind, for code to branch on.
    pub kind: Kind,
    /// The text for people. It contains no secrets and no personal data.
    pub detail: Cow<'static, str>,
    /// The fields that are wrong.
    pub fields: Vec<FieldError>,
    /// The provider's own error.
    pub vendor: Option<VendorAnswer>,
    /// The seconds after which a retry may succeed, if the provider said so.
    pub retry_after: Option<u64>,
    /// Whether a write happened at the provider.
    pub effect: Effect,
    /// The id of the existing record that caused the failure.
    pub existing: Option<String>,
    /// The ids of the customers that match where one was asked for.
    pub matching: Vec<String>,
}

impl std::ops::Deref for Error {
    type Target = ErrorParts;

    fn deref(&self) -> &ErrorParts {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.detail)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// A failure of a kind, with its detail.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(ErrorParts {
            kind,
            detail: detail.into(),
            fields: Vec::new(),
            vendor: None,
            retry_after: None,
            effect: Effect::None,
            existing: None,
            matching: Vec::new(),
        }))
    }

    /// The error for an id that does not match the provider's pattern.
    pub fn invalid_id(pattern: &IdPattern) -> Self {
        Self::new(Kind::InvalidId, format!("the customer id must match {}", pattern.described))
    }

    /// The error for wrong fields.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let detail = match fields.as_slice() {
            [only] if only.pointer.is_empty() => only.detail.to_string(),
            [only] => format!("{}: {}", printable(&only.pointer), only.detail),
            many => format!("{} fields are wrong", many.len()),
        };
        Self::new(Kind::Invalid, detail).with_fields(fields)
    }

    /// The error for an operation that a provider lacks, with the reason from its manifest.
    pub fn not_supported(manifest: &Manifest, operation: Operation) -> Self {
        let reason = manifest.operation(operation).reason().unwrap_or("the adapter does not implement it");
        Self::new(Kind::NotSupported, format!("{} cannot {}: {reason}", manifest.name, operation.phrase()))
    }

    /// The error for an answer that could not be read. `what` describes the answer, but never contains its values.
    pub fn bad_response(what: impl fmt::Display) -> Self {
        Self::new(Kind::BadResponse, format!("the provider answered {what}"))
    }

    /// The same failure with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Replaces the detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Adds the wrong fields. An answer with an unexpected status refuses no field, so its error has none.
    #[must_use]
    pub fn with_fields(mut self, fields: Vec<FieldError>) -> Self {
        if self.kind != Kind::BadResponse {
            self.0.fields = fields;
        }
        self
    }

    /// Adds the provider's own error.
    #[must_use]
    pub fn with_vendor(mut self, vendor: VendorAnswer) -> Self {
        self.0.vendor = Some(vendor);
        self
    }

    /// Changes every text that comes from the provider.
    #[must_use]
    pub fn map_provider_texts(mut self, change: impl Fn(String) -> String) -> Self {
        if let Some(vendor) = &mut self.0.vendor {
            vendor.code = vendor.code.take().map(&change);
            vendor.message = vendor.message.take().map(&change);
        }
        for field in &mut self.0.fields {
            for text in [&mut field.pointer, &mut field.detail] {
                if let Cow::Owned(of_provider) = text {
                    *of_provider = change(std::mem::take(of_provider));
                }
            }
        }
        self
    }

    /// Adds the seconds after which a retry may succeed.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: Option<u64>) -> Self {
        self.0.retry_after = seconds;
        self
    }

    /// Adds the id of the existing record that caused the failure.
    #[must_use]
    pub fn with_existing(mut self, id: impl Into<String>) -> Self {
        self.0.existing = Some(id.into());
        self
    }

    /// Replaces the id of the record that another customer uses, or removes it.
    #[must_use]
    pub fn with_existing_id(mut self, id: Option<String>) -> Self {
        self.0.existing = id;
        self
    }

    /// Sets the ids of the customers that match where one was asked for.
    #[must_use]
    pub fn with_matching(mut self, ids: Vec<String>) -> Self {
        self.0.matching = ids;
        self
    }

    /// Sets the effect of a failed request. `write`: the request was a write, which may have happened unless the
    /// failure excludes it. `already_written`: an earlier request of the same command was a write and succeeded.
    #[must_use]
    pub fn after(mut self, write: bool, already_written: bool) -> Self {
        self.0.effect = match self.0.kind {
            _ if write && self.0.kind.may_have_executed() => Effect::Unknown,
            _ if already_written => Effect::Done,
            _ => Effect::None,
        };
        self
    }
}

/// The longest part of a pointer in a detail, in characters. The pointer in the fields is whole.
const LONGEST_POINTER: usize = 200;

/// A pointer as it may be logged. A client chooses its characters, so those that a terminal or a log would interpret are
/// escaped, and the end of a long one is left out.
pub(crate) fn printable(pointer: &str) -> Cow<'_, str> {
    let is_short = pointer.char_indices().nth(LONGEST_POINTER).is_none();
    if is_short && !pointer.contains(char::is_control) {
        return Cow::Borrowed(pointer);
    }
    let mut shown = String::new();
    for letter in pointer.chars().take(LONGEST_POINTER) {
        match letter.is_control() {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    if !is_short {
        shown.push('…');
    }
    Cow::Owned(shown)
}

impl Kind {
    /// Whether a write that failed with this kind may have been executed by the provider.
    pub const fn may_have_executed(self) -> bool {
        matches!(self, Self::ProviderFailed | Self::BadResponse | Self::Interrupted | Self::TimedOut)
    }

    /// The meaning of an HTTP status, for a provider without its own meaning of it.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 | 407 => Self::Unauthorized,
            404 | 410 => Self::NotFound,
            405 => Self::NotSupported,
            429 => Self::RateLimited,
            408 | 425 | 500..=599 => Self::ProviderFailed,
            400..=499 => Self::Rejected,
            _ => Self::BadResponse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The detail is logged, and a client chooses the names of its members.
    #[test]
    fn a_detail_has_no_control_characters_and_no_long_pointer() {
        let detail = |pointer: String| Error::invalid(vec![FieldError::new(pointer, "is unknown")]).detail.to_string();
        assert_eq!(detail("/e\u{301}t\u{e9}".to_owned()), "/e\u{301}t\u{e9}: is unknown");
        assert_eq!(detail("/a\n\u{1b}[31m\u{7f}".to_owned()), "/a\\n\\u{1b}[31m\\u{7f}: is unknown");
        assert_eq!(detail("é".repeat(200)), format!("{}: is unknown", "é".repeat(200)));
        assert_eq!(detail("é".repeat(201)), format!("{}…: is unknown", "é".repeat(200)));
    }

    /// A provider's answer that is no refusal may contain anything.
    #[test]
    fn only_a_refusal_names_wrong_fields() {
        let fields = || vec![FieldError::new("/email", "must be an email")];
        assert_eq!(Error::new(Kind::Rejected, "refused").with_fields(fields()).fields, fields());
        assert_eq!(Error::new(Kind::BadResponse, "unexpected").with_fields(fields()).fields, []);
    }
}
